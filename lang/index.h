/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two files of indexing share: index.c (lists, strings, maps, ranges; the entry points) and index_tensor.c. */
#ifndef TESSERA_INDEX_H
#define TESSERA_INDEX_H

#include "bind.h"

/* A slice over an axis of [size]: first element, step, number of elements; bounds clamp. */
typedef struct Steps { int64_t start, step, count; } Steps;
bool index_steps(Vm *vm, const Subscript *subscript, int64_t size, Steps *steps);
/* A place counted from either end: 0..size-1 in *at, or an error that names index, size and axis (-1: no axis). */
bool index_place(Vm *vm, int64_t index, int64_t size, int axis, int64_t *at);

bool tensor_index_get(Vm *vm, Tensor *x, int count, const Subscript *subscripts, Value *result);
bool tensor_index_set(Vm *vm, Value *slot, int count, const Subscript *subscripts, int op, Value v);

#endif
