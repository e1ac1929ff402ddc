/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inner loops, as tables of functions over contiguous memory: what kernels.c exports once per instruction set.
   A kernel knows no tensor, no thread and no error; op_*.c cut the work into blocks and choose the table once.
   NULL stands where a row has no such kernel (sine of integers). */
#ifndef TESSERA_KERNELS_H
#define TESSERA_KERNELS_H

#include "tensor.h"

typedef enum UnaryRow {
#define UNARY(name, ...) UNARY_##name,
#include "ops.h"
    UNARY_COUNT
} UnaryRow;

typedef enum BinaryRow {
#define BINARY(name, ...) BINARY_##name,
#include "ops.h"
    BINARY_COUNT
} BinaryRow;

typedef void ConvertKernel(int64_t n, const void *x, void *y);
typedef void UnaryKernel(int64_t n, const void *x, void *y);
typedef void UnaryGradKernel(int64_t n, const void *x, const void *y, const void *g, void *dx);
typedef void BinaryKernel(int64_t n, const void *a, const void *b, void *y);
typedef void BinaryGradKernel(int64_t n, const void *a, const void *b, const void *y, const void *g, void *d);
typedef void WhereKernel(int64_t n, const void *condition, const void *a, const void *b, void *y);

typedef enum Reduction { REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_COUNT } Reduction;

/* acc[] is double for floats, int64_t for ints and bools. Rows and columns have at least one element. */
typedef void ReduceRowsKernel(int64_t rows, int64_t n, const void *x, void *acc);
typedef void ReduceColumnsKernel(int64_t rows, int64_t n, int64_t stride, const void *x, void *acc);
typedef void ArgKernel(int64_t rows, int64_t n, const void *x, void *index);
typedef void CumsumKernel(int64_t rows, int64_t n, bool reverse, const void *x, void *y);   /* ints give int64_t */

typedef struct Kernels {
    const char *isa;
    /* elementwise; the index is the dtype that is computed in, of inputs and (TEST rows apart) of the result */
    ConvertKernel *convert[DTYPE_COUNT][DTYPE_COUNT];        /* [from][to]; floats to ints not */
    UnaryKernel *unary[UNARY_COUNT][DTYPE_COUNT];
    UnaryGradKernel *unary_grad[UNARY_COUNT][DTYPE_COUNT];
    BinaryKernel *binary[BINARY_COUNT][DTYPE_COUNT];
    BinaryGradKernel *binary_grad[BINARY_COUNT][2][DTYPE_COUNT];     /* by A, by B */
    WhereKernel *where[DTYPE_COUNT];
    WhereKernel *clamp[DTYPE_COUNT];                         /* x, low, high; the bounds are single elements */
    /* reductions; the index is the dtype of the input */
    ReduceRowsKernel *reduce_rows[REDUCE_COUNT][DTYPE_COUNT];
    ReduceColumnsKernel *reduce_columns[REDUCE_COUNT][DTYPE_COUNT];
    ArgKernel *argmax[DTYPE_COUNT], *argmin[DTYPE_COUNT];
    CumsumKernel *cumsum[DTYPE_COUNT];
} Kernels;

const Kernels *kernels(void);        /* the best that this processor runs */

#endif
