/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tensors as rows along one axis, for kernels that want each row contiguous; rows spread over the pool. */
#ifndef TESSERA_ROWS_H
#define TESSERA_ROWS_H

#include "op.h"

/* [x] with [axis] moved to the end, dense: itself (+1) when it lies so already. */
Tensor *rows_along(TensorContext *ctx, Tensor *x, int axis);
/* Where the rows of [out] may be written: [out] itself (+1) when [axis] is its last, else a new dense tensor. */
Tensor *rows_like(TensorContext *ctx, Tensor *out, int axis);
/* Moves the rows that were written to rows_like's result to their place in [out]. */
bool rows_back(TensorContext *ctx, Tensor *rows, int axis, Tensor *out);

/* Does rows [first, first + count). */
typedef void RowsBody(void *arg, int64_t first, int64_t count);
/* [rows] rows of [n] elements, in groups that depend on these numbers only. */
bool rows_run(TensorContext *ctx, int64_t rows, int64_t n, RowsBody *body, void *arg);
int64_t rows_group(int64_t n);       /* how many rows of n elements make one group */

/* The gradient of a row whose second output says which elements along [axis] the first one was taken from. */
bool rows_grad_places(GradCall *g, int64_t axis);

#endif
