/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the natives share. One row of builtins.def declares one native_NAME here; the functions stand in builtin_*.c and
   native_*.c. Arguments come checked by the words of the row's signature (bind.c). */
#ifndef TESSERA_BUILTINS_H
#define TESSERA_BUILTINS_H

#include "vm.h"

#define NATIVE(name, signature, doc, example) NativeRun native_##name;
#include "builtins.def"
#undef NATIVE

/* Errors with the described value: "split: s must be a string, got list of 3". Always false. */
bool native_wants(Vm *vm, const char *function, const char *param, const char *what, Value got);
/* Result or out of memory: for what the value constructors return. */
bool native_give(Vm *vm, Value owned, Value *result);
bool native_give_text(Vm *vm, Text *text, Value *result);      /* frees [text] */
bool native_unhashable(Vm *vm, const char *function, const char *param, Value got);  /* cannot be a key or in a set */
bool native_is_row(Value v);                                   /* list or tuple */
bool native_is_callable(Value v);
/* All items of an iterable as a list (owned). */
bool native_collect(Vm *vm, Value iterable, Value *list);
/* Number of items; -1 when it cannot be known before the end; false on an error. */
bool native_length(Vm *vm, Value v, int64_t *length);
bool native_is_lazy(Value v);                                  /* a stream, or an object that may be one */

#endif
