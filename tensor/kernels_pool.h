/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels_pool.c offers op_pool.c, once for each instruction set. */
#ifndef TESSERA_KERNELS_POOL_H
#define TESSERA_KERNELS_POOL_H

#include <stdint.h>

/* Windows of size[0] x size[1] x size[2] elements, line[i] apart along axis i; the next window is [step] further. */
typedef struct PoolWindow { int32_t size[3], line[3], step; } PoolWindow;

/* The largest element of each of [n] windows that lie inside an image, and its place there; the first window's first
   element is x[start], and what lies before x[end] may be read. The first NaN is larger than all. */
typedef struct PoolTable {
    void (*largest_f32)(const PoolWindow *window, const float *x, int32_t end, int32_t start, int32_t n, float *to,
                        int32_t *place);
    void (*largest_f64)(const PoolWindow *window, const double *x, int32_t end, int32_t start, int32_t n, double *to,
                        int32_t *place);
} PoolTable;

const PoolTable *pool_table(void);           /* the best that this processor runs (kernels_pick.c) */

#endif
