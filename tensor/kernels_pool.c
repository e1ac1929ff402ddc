/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pooling for one instruction set: compiled once for each, with KERNELS_ISA naming it, and exported as
   kernels_pool_ISA. One pass over the windows for each place in a window, without a branch on the values, since random
   maxima would defeat branch prediction. */
#include "kernels_pool.h"

#include <stdbool.h>

#define LANES 16

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

/* The values of one place go to a buffer first, filled up to whole vectors, so that short rows use them too. */
#define LARGEST(name, type, word)                                                                                      \
    static inline void name##_step(const type *x, int32_t w, int32_t kh, int32_t kw, const int32_t step,               \
                                   int32_t start, int32_t n, int32_t *to)                                              \
    {                                                                                                                  \
        type best[POOL_ROW], value[POOL_ROW];                                                                          \
        word at[POOL_ROW], place[POOL_ROW];                                                                            \
        const int32_t whole = (n + LANES - 1) / LANES * LANES;                                                         \
        for (int32_t i = 0; i < whole; i++) {                                                                          \
            at[i] = place[i] = start + i * step;                                                                       \
            best[i] = value[i] = x[start + (i < n ? i : 0) * step];                                                    \
        }                                                                                                              \
        for (int32_t y = 0; y < kh; y++)                                                                               \
            for (int32_t c = y == 0; c < kw; c++) {                                                                    \
                const word away = y * w + c;                                                                           \
                for (int32_t i = 0; i < n; i++)                                                                        \
                    value[i] = x[start + away + i * step];                                                             \
                for (int32_t i = 0; i < whole; i++) {                                                                  \
                    const bool take = (value[i] > best[i]) | ((value[i] != value[i]) & (best[i] == best[i]));          \
                    best[i] = take ? value[i] : best[i];                                                               \
                    at[i] = take ? place[i] + away : at[i];                                                            \
                }                                                                                                      \
            }                                                                                                          \
        for (int32_t i = 0; i < n; i++)                                                                                \
            to[i] = (int32_t)at[i];                                                                                    \
    }                                                                                                                  \
    static void name(const type *x, int32_t w, int32_t kh, int32_t kw, int32_t step, int32_t start, int32_t n,         \
                     int32_t *to)                                                                                      \
    {                                                                                                                  \
        if (step == 1)                                                                                                 \
            name##_step(x, w, kh, kw, 1, start, n, to);                                                                \
        else if (step == 2)                                                                                            \
            name##_step(x, w, kh, kw, 2, start, n, to);                                                                \
        else                                                                                                           \
            name##_step(x, w, kh, kw, step, start, n, to);                                                             \
    }
LARGEST(largest_f32, float, int32_t)
LARGEST(largest_f64, double, int64_t)

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const PoolTable JOIN(kernels_pool_, KERNELS_ISA);
const PoolTable JOIN(kernels_pool_, KERNELS_ISA) = {.largest_f32 = largest_f32, .largest_f64 = largest_f64};
