/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels_pool.c offers op_pool.c, once for each instruction set. */
#ifndef TESSERA_KERNELS_POOL_H
#define TESSERA_KERNELS_POOL_H

#include <stdint.h>

#define POOL_ROW 64           /* windows a call takes at most */

/* Where the largest element lies in each of [n] windows of kh x kw, [step] apart, all inside an image [_, w]; the
   first one's first element is x[start]. The first NaN is larger than all. */
typedef struct PoolTable {
    void (*largest_f32)(const float *x, int32_t w, int32_t kh, int32_t kw, int32_t step, int32_t start, int32_t n,
                        int32_t *to);
    void (*largest_f64)(const double *x, int32_t w, int32_t kh, int32_t kw, int32_t step, int32_t start, int32_t n,
                        int32_t *to);
} PoolTable;

#endif
