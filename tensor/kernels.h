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

/* Rows of floats; see kernels_rows.h for each. Weight and bias may be NULL. */
typedef void RowsKernel(int64_t rows, int64_t n, const void *x, void *y);
typedef void RowsGradKernel(int64_t rows, int64_t n, const void *y, const void *g, void *dx);
typedef void LayerNormKernel(int64_t rows, int64_t n, const void *x, const void *weight, const void *bias, double eps,
                             bool centre, void *y);
typedef void LayerNormGradKernel(int64_t rows, int64_t n, const void *x, const void *weight, const void *g, double eps,
                                 bool centre, void *dx, void *dweight, void *dbias);
typedef void ChannelStatsKernel(int64_t samples, int64_t channels, int64_t size, const void *x, double *mean,
                                double *spread);
typedef void ChannelAffineKernel(int64_t samples, int64_t channels, int64_t size, const void *x, const void *mean,
                                 const void *a, const void *b, void *y);
/* [gate]: two arrays, what channel_affine had for a and b where relu came behind it, so that g counts where that was
   positive; NULL: none. dx may be g. */
typedef void ChannelSumsKernel(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                               const void *mean, const void *const *gate, double *sum, double *product);
typedef void ChannelGradKernel(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                               const void *mean, const void *const *gate, const void *a, const void *b, const void *c,
                               void *dx);
typedef double CrossEntropyKernel(int64_t rows, int64_t n, const void *x, const int64_t *label, const void *soft,
                                  double smoothing);
typedef void CrossEntropyGradKernel(int64_t rows, int64_t n, const void *x, const int64_t *label, const void *soft,
                                    double smoothing, double scale, void *dx, void *dsoft);

typedef struct UpdateNumbers {      /* of an optimiser's step */
    double gradient;                /* what the gradient is multiplied by first */
    double rate, decay, scale, momentum;
    double beta1, beta2, eps, correct1, correct2;
    bool nesterov, decoupled, whole;
} UpdateNumbers;
typedef double DotKernel(int64_t n, const void *x, const void *y);
typedef void SgdKernel(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, void *p_out,
                       void *m_out);
typedef void AdamKernel(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, const void *v,
                        void *p_out, void *m_out, void *v_out);
typedef void DirectionKernel(int64_t n, const UpdateNumbers *u, const void *p, const void *m, const void *v, void *out);
typedef void BlendKernel(int64_t n, double a, const void *x, double b, const void *y, void *out);

typedef struct Kernels {
    const char *isa;
    /* elementwise; the index is the dtype that is computed in, of inputs and (TEST rows apart) of the result */
    ConvertKernel *convert[DTYPE_COUNT][DTYPE_COUNT];        /* [from][to]; floats to ints not, halves to f32 and back */
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
    /* rows; the index is f32 or f64 */
    RowsKernel *softmax[DTYPE_COUNT], *log_softmax[DTYPE_COUNT], *logsumexp[DTYPE_COUNT];
    RowsGradKernel *softmax_grad[DTYPE_COUNT], *log_softmax_grad[DTYPE_COUNT];
    LayerNormKernel *layer_norm[DTYPE_COUNT];
    LayerNormGradKernel *layer_norm_grad[DTYPE_COUNT];
    ChannelStatsKernel *channel_stats[DTYPE_COUNT];
    ChannelAffineKernel *channel_affine[DTYPE_COUNT];
    ChannelSumsKernel *channel_sums[DTYPE_COUNT];
    ChannelGradKernel *channel_grad[DTYPE_COUNT];
    CrossEntropyKernel *cross_entropy[DTYPE_COUNT];
    CrossEntropyGradKernel *cross_entropy_grad[DTYPE_COUNT];
    DotKernel *dot[DTYPE_COUNT];
    SgdKernel *sgd[DTYPE_COUNT];
    AdamKernel *adam[DTYPE_COUNT];
    DirectionKernel *adam_direction[DTYPE_COUNT];
    BlendKernel *blend[DTYPE_COUNT];
} Kernels;

const Kernels *kernels(void);        /* the best that this processor runs */

#endif
