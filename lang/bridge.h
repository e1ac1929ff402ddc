/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helpers around values and tensors that the natives share; value.h has the two main ones. */
#ifndef TESSERA_BRIDGE_H
#define TESSERA_BRIDGE_H

#include "vm.h"

/* Arrays of [count] owned tensors (NULL at first), and their end. */
Tensor **list_tensors_new(TensorContext *ctx, int count);
void list_tensors_free(Tensor **tensors, int count);
/* As value_to_tensor, in that dtype; differentiable when [v] is recorded. Numbers are not rounded to f32 on the way. */
Tensor *value_to_tensor_dtype(TensorContext *ctx, Value v, Dtype dtype);
/* As value_from_tensor_take, but a 0-d result is a plain number or bool. */
Value value_from_tensor_plain_take(Tensor *owned);

/* Dtypes as values: each is the native of its name. */
bool value_to_dtype(Value v, Dtype *dtype);                    /* the native f32, or the string "f32" */
Value value_from_dtype(Dtype dtype);
/* Numeric equality; whole values otherwise; what `==` means when no side is a tensor. */
bool value_equal(Value a, Value b);

#endif
