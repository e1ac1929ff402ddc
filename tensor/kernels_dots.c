/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of rows with rows for one instruction set (dots.h): compiled once for each, with KERNELS_ISA naming it, and exported as
   kernels_dots_ISA. Nothing is packed: there is not work enough to pay for it.
   Invariant: an element is summed in an order that depends on the depth only, in lanes and then these, so that it does not
   matter with which others it is made. */
#include <string.h>

#include "dots.h"
#include "vector.h"

/* A register's floats; the rows and columns that are summed at once: their sums and what is multiplied fill the registers. */
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 4
#define COLUMNS 5
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 2
#define COLUMNS 5
#else
#define LANES 4
#define ROWS 2
#define COLUMNS 5
#endif

typedef float R __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

INLINE float sum_lanes(const R *v)
{
    const float *x = (const float *)v;
    Four sum = {0};
    for (int i = 0; i < LANES; i += 4)
        sum += *(const Four *)(x + i);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* [n] floats, zeros behind them. */
INLINE void load_some(const float *from, int64_t n, R *to)
{
    float room[LANES] = {0};
    memcpy(room, from, (size_t)n * sizeof *from);
    *to = *(const R *)room;
}

/* [rows] and [columns] are constants where this is inlined, so that sum[] lies in registers. */
INLINE void square(const int rows, const int columns, int64_t depth, DotsRows a, DotsRows b, const float *bias, float *c,
                   int64_t step)
{
    R sum[ROWS][COLUMNS], left[ROWS], right;
    int64_t k = 0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            sum[i][j] = (R){0};
#pragma GCC unroll 1
    for (; depth - k >= LANES; k += LANES) {
        for (int i = 0; i < rows; i++)
            left[i] = *(const R *)(a.at + i * a.step + k);
        for (int j = 0; j < columns; j++) {
            right = *(const R *)(b.at + j * b.step + k);
            for (int i = 0; i < rows; i++)
                sum[i][j] += left[i] * right;
        }
    }
    for (int i = 0; i < rows && k < depth; i++)
        load_some(a.at + i * a.step + k, depth - k, &left[i]);
    for (int j = 0; j < columns && k < depth; j++) {
        load_some(b.at + j * b.step + k, depth - k, &right);
        for (int i = 0; i < rows; i++)
            sum[i][j] += left[i] * right;
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * step + j] = sum_lanes(&sum[i][j]) + (bias ? bias[j] : 0);
}

#define CASE(n)                                                                                                       \
    case n:                                                                                                           \
        square(rows, n, depth, a, right, bias, c + first, step);                                                      \
        break;
/* About equally many columns at a time. */
INLINE void strip(const int rows, int64_t columns, int64_t depth, DotsRows a, DotsRows b, const float *bias, float *c, int64_t step)
{
    int64_t parts = (columns + COLUMNS - 1) / COLUMNS;
    for (int64_t part = 0; part < parts; part++) {
        int64_t first = part * columns / parts, count = (part + 1) * columns / parts - first;
        DotsRows right = {b.at + first * b.step, b.step};
        switch (count) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5)
        }
        bias += bias ? count : 0;
    }
}

static void dots(int64_t rows, int64_t columns, int64_t depth, DotsRows a, DotsRows b, const float *bias, float *c, int64_t step)
{
    int64_t i = 0;
    for (; rows - i >= ROWS; i += ROWS, a.at += ROWS * a.step, c += ROWS * step)
        strip(ROWS, columns, depth, a, b, bias, c, step);
    for (; i < rows; i++, a.at += a.step, c += step)
        strip(1, columns, depth, a, b, bias, c, step);
}

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern DotsKernel *const JOIN(kernels_dots_, KERNELS_ISA);
DotsKernel *const JOIN(kernels_dots_, KERNELS_ISA) = dots;
