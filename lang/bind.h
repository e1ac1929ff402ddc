/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From values to table rows: binds a call's arguments to a signature, and calls ops with values. */
#ifndef TESSERA_BIND_H
#define TESSERA_BIND_H

#include "vm.h"

/* Fills bound[0..signature->count) with owned values: arguments, then named ones, then defaults; absent optional ones
   are none. Errors name the function, the argument and, for an unknown name, the nearest known one. */
bool bind_signature(Vm *vm, const char *function, const Signature *signature, int n_args, const Value *args, int n_named,
                    const NamedValue *named, Value *bound);

/* The same for plain arguments of just the kinds that are asked for, without errors: bound[…] are borrowed, from [args]
   and from [fallback], the defaults. False: bind_signature must look. */
bool bind_plain(const Signature *signature, int n_args, const Value *args, const Value *fallback, Value *bound);
/* The defaults, owned; UNDEFINED where a call must give or make a value. */
bool bind_defaults(Vm *vm, const Signature *signature, Value *fallback);
void bind_defaults_release(const Signature *signature, Value *fallback);

/* Calls a row of ops.def: tensor parameters take tensors, numbers, scalars and rectangular lists. One result is that
   value (0-d without gradient unboxed), several are a tuple. */
bool op_apply(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named, Value *result);

/* The row's parameters that are no tensors and no strings, as op_call takes them; the same errors. */
bool op_numbers(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named, Attr *attr);

/* Whether the arguments fit the row's parameters; the same errors. */
bool op_binds(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named);

/* The slow path of the operators (arith.c): everything but int-int and float-float, which the VM does itself. Numbers,
   scalars, tensors, promoted lists; ++ on lists, strings, maps; comparisons; errors that say what to write instead. */
bool arith_binary(Vm *vm, int operator_, Value a, Value b, Value *result);   /* enum Operator of ast.h */
bool arith_unary(Vm *vm, int operator_, Value a, Value *result);
/* One bool of a condition; a tensor of more than one element is an error that names any() and all(). */
bool arith_truth(Vm *vm, Value v, bool *truth);
/* x[subscripts]: tensors, lists, strings, maps, tuples, ranges. A slice subscript is a tuple of three ints-or-none
   tagged by [slice]; `...` is TAG_UNDEFINED with [ellipsis]. */
typedef struct Subscript { Value value; bool slice, ellipsis; Value start, stop, step; } Subscript;
bool index_get(Vm *vm, Value x, int count, const Subscript *subscripts, Value *result);
/* *slot[subscripts] = v, in place when unshared, else on a copy that replaces *slot. [op] as in an augmented assignment
   (OPERATOR_NONE for =): repeated indices accumulate. */
bool index_set(Vm *vm, Value *slot, int count, const Subscript *subscripts, int op, Value v);

#endif
