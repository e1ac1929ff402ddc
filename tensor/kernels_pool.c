/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pooling for one instruction set: compiled once for each, with KERNELS_ISA naming it, and exported as
   kernels_pool_ISA. A vector of windows at a time, place by place and without a branch on the values, since random
   maxima would defeat branch prediction. A vector reads windows that are not asked for too, where the image goes on. */
#include "kernels_pool.h"

#include <string.h>

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

#define EVEN_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define EVEN_8 0, 2, 4, 6, 8, 10, 12, 14

#define LARGEST(name, type, word, lanes, even)                                                                         \
    typedef type name##_v __attribute__((vector_size(lanes * sizeof(type))));                                          \
    typedef word name##_w __attribute__((vector_size(lanes * sizeof(type))));                                          \
    static inline __attribute__((always_inline)) void name##_load(name##_v *v, const type *x, int32_t step)            \
    {                                                                                                                  \
        name##_v next;                                                                                                 \
        if (step == 1) {                                                                                               \
            memcpy(v, x, sizeof *v);                                                                                   \
        } else if (step == 2) {                                                                                        \
            memcpy(v, x, sizeof *v);                                                                                   \
            memcpy(&next, x + lanes, sizeof next);                                                                     \
            *v = __builtin_shufflevector(*v, next, even);                                                              \
        } else {                                                                                                       \
            type all[lanes];                                                                                           \
            for (int i = 0; i < lanes; i++)                                                                            \
                all[i] = x[i * step];                                                                                  \
            memcpy(v, all, sizeof *v);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void name##_block(const PoolWindow *v, const type *x, int32_t start,  \
                                                                   int32_t step, type *to, word *at)                   \
    {                                                                                                                  \
        name##_v best, value;                                                                                          \
        name##_w place, found;                                                                                         \
        name##_load(&best, x + start, step);                                                                           \
        for (int i = 0; i < lanes; i++)                                                                                \
            ((word *)&place)[i] = start + i * step;                                                                    \
        found = place;                                                                                                 \
        for (int32_t z = 0; z < v->size[0]; z++)                                                                       \
            for (int32_t y = 0; y < v->size[1]; y++)                                                                   \
                for (int32_t c = z + y == 0; c < v->size[2]; c++) {                                                    \
                    const int32_t away = z * v->line[0] + y * v->line[1] + c * v->line[2];                             \
                    name##_load(&value, x + start + away, step);                                                       \
                    const name##_w take = (value > best) | ((value != value) & (best == best));                        \
                    best = (name##_v)(((name##_w)value & take) | ((name##_w)best & ~take));                            \
                    found = ((place + away) & take) | (found & ~take);                                                 \
                }                                                                                                      \
        memcpy(to, &best, sizeof best);                                                                                \
        memcpy(at, &found, sizeof found);                                                                              \
    }                                                                                                                  \
    static void name##_one(const PoolWindow *v, const type *x, int32_t start, type *to, int32_t *at)                   \
    {                                                                                                                  \
        int32_t best = start;                                                                                          \
        for (int32_t z = 0; z < v->size[0]; z++)                                                                       \
            for (int32_t y = 0; y < v->size[1]; y++)                                                                   \
                for (int32_t c = 0; c < v->size[2]; c++) {                                                             \
                    const int32_t i = start + z * v->line[0] + y * v->line[1] + c * v->line[2];                        \
                    if (x[i] > x[best] || (x[i] != x[i] && x[best] == x[best]))                                        \
                        best = i;                                                                                      \
                }                                                                                                      \
        *to = x[best];                                                                                                 \
        *at = best;                                                                                                    \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void name##_step(const PoolWindow *v, const type *x, int32_t end,     \
                                                                  int32_t step, int32_t start, int32_t n, type *to,    \
                                                                  int32_t *at)                                         \
    {                                                                                                                  \
        const int32_t reach = (v->size[0] - 1) * v->line[0] + (v->size[1] - 1) * v->line[1] +                          \
                              (v->size[2] - 1) * v->line[2] + lanes * step;                                            \
        for (int32_t i = 0; i < n; i += lanes, start += lanes * step) {                                                \
            type values[lanes];                                                                                        \
            word places[lanes];                                                                                        \
            const int32_t count = n - i < lanes ? n - i : lanes;                                                       \
            if (start + reach > end) {                                                                                 \
                for (int32_t k = 0; k < count; k++)                                                                    \
                    name##_one(v, x, start + k * step, to + i + k, at + i + k);                                        \
                continue;                                                                                              \
            }                                                                                                          \
            name##_block(v, x, start, step, values, places);                                                           \
            for (int32_t k = 0; k < count; k++) {                                                                      \
                to[i + k] = values[k];                                                                                 \
                at[i + k] = (int32_t)places[k];                                                                        \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(const PoolWindow *v, const type *x, int32_t end, int32_t start, int32_t n, type *to, int32_t *at) \
    {                                                                                                                  \
        if (v->step == 1)                                                                                              \
            name##_step(v, x, end, 1, start, n, to, at);                                                               \
        else if (v->step == 2)                                                                                         \
            name##_step(v, x, end, 2, start, n, to, at);                                                               \
        else                                                                                                           \
            name##_step(v, x, end, v->step, start, n, to, at);                                                         \
    }
LARGEST(largest_f32, float, int32_t, 16, EVEN_16)
LARGEST(largest_f64, double, int64_t, 8, EVEN_8)

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const PoolTable JOIN(kernels_pool_, KERNELS_ISA);
const PoolTable JOIN(kernels_pool_, KERNELS_ISA) = {.largest_f32 = largest_f32, .largest_f64 = largest_f64};
