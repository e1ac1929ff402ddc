/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sixteen floats at once, for the kernels that are written in vectors: the compiler splits them where the instruction
   set that KERNELS_ISA names has shorter registers. */
#ifndef TESSERA_VECTOR_H
#define TESSERA_VECTOR_H

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

typedef float V __attribute__((vector_size(64), aligned(4), may_alias));
#define AT(p) (*(const V *)(p))
#define PUT(p) (*(V *)(p))
#define INLINE static inline __attribute__((always_inline))

/* Transposes the 16 vectors v[16] of 16 floats or as wide ints, in stages: rows [by] apart exchange half of what they
   hold. */
#define TURN_SQUARE(type, v)                                                                                          \
    STAGE(type, v, 1, LOW_1, HIGH_1)                                                                                  \
    STAGE(type, v, 2, LOW_2, HIGH_2)                                                                                  \
    STAGE(type, v, 4, LOW_4, HIGH_4)                                                                                  \
    STAGE(type, v, 8, LOW_8, HIGH_8)
#define STAGE(type, v, by, low, high)                                                                                 \
    for (int row_ = 0; row_ < 16; row_++)                                                                             \
        if ((row_ & by) == 0) {                                                                                       \
            type a = v[row_], b = v[row_ + by];                                                                       \
            v[row_] = __builtin_shufflevector(a, b, low);                                                             \
            v[row_ + by] = __builtin_shufflevector(a, b, high);                                                       \
        }
#define LOW_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define LOW_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31

#endif
