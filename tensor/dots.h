/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of few columns, as a layer of ten classes has: between kernels_dots.c, which is compiled once per instruction set,
   and op_matmul.c. */
#ifndef TESSERA_DOTS_H
#define TESSERA_DOTS_H

#include <stdint.h>

/* Rows of floats, [step] apart. */
typedef struct DotsRows { const float *at; int64_t step; } DotsRows;

/* c [rows, columns], rows [step] apart, = a [rows, depth] times the transpose of b [columns, depth], and [bias], one number a column,
   unless it is NULL */
typedef void DotsKernel(int64_t rows, int64_t columns, int64_t depth, DotsRows a, DotsRows b, const float *bias, float *c,
                        int64_t step);

DotsKernel *dots_kernel(void);               /* the best that this processor runs (kernels_pick.c) */

#endif
