/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Winograd's convolution for one instruction set (winograd.h): compiled once for each, with KERNELS_ISA naming it, and
   exported as kernels_winograd_ISA. A vector is 16 floats everywhere; the compiler splits it where registers are
   shorter, so the products keep as many of them as there are registers for. */
#include <string.h>

#include "winograd.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

typedef float V __attribute__((vector_size(64), aligned(4), may_alias));
#define AT(p) (*(const V *)(p))
#define PUT(p) (*(V *)(p))
#define INLINE static inline __attribute__((always_inline))

/* Rows and vectors of a product that are summed in registers at once. */
#if defined(__AVX512F__)
#define ROWS 14
#define WIDE 2
#define GRAD_ROWS 8
#elif defined(__AVX2__)
#define ROWS 6
#define WIDE 1
#define GRAD_ROWS 4
#else
#define ROWS 2
#define WIDE 1
#define GRAD_ROWS 2
#endif

/* ---- the six transforms of one axis; elements [s] vectors apart ---- */

INLINE void input6(const V *d, int s, V *o)
{
    V even = d[4 * s] - 4 * d[2 * s], odd = d[3 * s] - 4 * d[s];
    V near = d[4 * s] - d[2 * s], far = 2 * (d[3 * s] - d[s]);
    o[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s];
    o[s] = even + odd;
    o[2 * s] = even - odd;
    o[3 * s] = near + far;
    o[4 * s] = near - far;
    o[5 * s] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
}

INLINE void output4(const V *m, int s, V *o)
{
    V sum = m[s] + m[2 * s], rest = m[s] - m[2 * s], far = m[3 * s] + m[4 * s], wide = m[3 * s] - m[4 * s];
    o[0] = m[0] + sum + far;
    o[s] = rest + 2 * wide;
    o[2 * s] = sum + 4 * far;
    o[3 * s] = rest + 8 * wide + m[5 * s];
}

INLINE void output_grad6(const V *y, int s, V *o)
{
    V even = y[0] + y[2 * s], odd = y[s] + y[3 * s], far = y[0] + 4 * y[2 * s], wide = 2 * y[s] + 8 * y[3 * s];
    o[0] = y[0];
    o[s] = even + odd;
    o[2 * s] = even - odd;
    o[3 * s] = far + wide;
    o[4 * s] = far - wide;
    o[5 * s] = y[3 * s];
}

INLINE void weight6(const V *g, int s, V *o)
{
    V ends = (g[0] + g[2 * s]) * (-1 / 6.0f), middle = g[s] * (-1 / 6.0f);
    V far = g[0] * (1 / 24.0f) + g[2 * s] * (1 / 6.0f), wide = g[s] * (1 / 12.0f);
    o[0] = g[0] * 0.25f;
    o[s] = ends + middle;
    o[2 * s] = ends - middle;
    o[3 * s] = far + wide;
    o[4 * s] = far - wide;
    o[5 * s] = g[2 * s];
}

INLINE void weight_grad3(const V *u, int s, V *o)
{
    V ends = (u[s] + u[2 * s]) * (-1 / 6.0f), far = u[3 * s] + u[4 * s];
    o[0] = u[0] * 0.25f + ends + far * (1 / 24.0f);
    o[s] = (u[2 * s] - u[s]) * (1 / 6.0f) + (u[3 * s] - u[4 * s]) * (1 / 12.0f);
    o[2 * s] = ends + far * (1 / 6.0f) + u[5 * s];
}

/* ---- channels together and apart ---- */

/* Stages of turning a square of 16 x 16: rows [by] apart exchange half of what they hold. */
#define STAGE(by, low, high)                                                                                          \
    for (int i = 0; i < 16; i++)                                                                                      \
        if ((i & by) == 0) {                                                                                          \
            V a = v[i], b = v[i + by];                                                                                \
            v[i] = __builtin_shufflevector(a, b, low);                                                                \
            v[i + by] = __builtin_shufflevector(a, b, high);                                                          \
        }
#define LOW_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define LOW_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31

INLINE void turn_square(const float *from, int64_t from_step, float *to, int64_t to_step, const float *bias)
{
    V v[16];
    for (int i = 0; i < 16; i++)
        v[i] = AT(from + i * from_step);
    STAGE(1, LOW_1, HIGH_1)
    STAGE(2, LOW_2, HIGH_2)
    STAGE(4, LOW_4, HIGH_4)
    STAGE(8, LOW_8, HIGH_8)
    for (int i = 0; i < 16; i++) {
        if (bias)
            v[i] += bias[i];
        PUT(to + i * to_step) = v[i];
    }
}

static void gather(int64_t channels, int64_t pixels, const float *planes, int64_t step, float *lines)
{
    int64_t i = 0;
    for (; channels == 16 && i + 16 <= pixels; i += 16)
        turn_square(planes + i, step, lines + i * 16, 16, NULL);
    for (; i < pixels; i++)
        for (int64_t c = 0; c < 16; c++)
            lines[i * 16 + c] = c < channels ? planes[c * step + i] : 0;
}

static void scatter(int64_t channels, int64_t pixels, const float *lines, const float *bias, float *planes, int64_t step)
{
    int64_t i = 0;
    for (; channels == 16 && i + 16 <= pixels; i += 16)
        turn_square(lines + i * 16, 16, planes + i, step, bias);
    for (; i < pixels; i++)
        for (int64_t c = 0; c < channels; c++)
            planes[c * step + i] = lines[i * 16 + c] + (bias ? bias[c] : 0);
}

/* ---- tiles ---- */

static int64_t clip(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The [size] x [size] pixels at (y, x) into rows of six; zeros outside. */
INLINE void load_tile(const WinogradRow *row, const float *lines, int64_t x, int size, V *d)
{
    int64_t top = clip(-row->y, 0, size), bottom = clip(row->height - row->y, top, size);
    int64_t left = clip(-x, 0, size), right = clip(row->width - x, left, size);
    const float *from = lines + (row->y * row->width + x) * WINOGRAD_LANES;
    if (bottom - top == size && right - left == size) {
#pragma GCC unroll 6
        for (int i = 0; i < size; i++)
#pragma GCC unroll 6
            for (int j = 0; j < size; j++)
                d[i * 6 + j] = AT(from + (i * row->width + j) * WINOGRAD_LANES);
        return;
    }
    memset(d, 0, (size_t)(6 * size) * sizeof *d);
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++)
            d[i * 6 + j] = AT(from + (i * row->width + j) * WINOGRAD_LANES);
}

static void input(const WinogradRow *row, const float *lines, float *to, int64_t step)
{
    V d[36], half[36], v[6];
    for (int64_t t = 0; t < row->tiles; t++, to += WINOGRAD_LANES) {
        load_tile(row, lines, row->x + 4 * t, 6, d);
        for (int j = 0; j < 6; j++)
            input6(d + j, 6, half + j);
        for (int i = 0; i < 6; i++) {
            input6(half + 6 * i, 1, v);
            for (int j = 0; j < 6; j++)
                PUT(to + (6 * i + j) * step) = v[j];
        }
    }
}

static void output_grad(const WinogradRow *row, const float *lines, float *to, int64_t step)
{
    V d[24], half[36], v[6];
    for (int64_t t = 0; t < row->tiles; t++, to += WINOGRAD_LANES) {
        load_tile(row, lines, row->x + 4 * t, 4, d);
        for (int j = 0; j < 4; j++)
            output_grad6(d + j, 6, half + j);
        for (int i = 0; i < 6; i++) {
            output_grad6(half + 6 * i, 1, v);
            for (int j = 0; j < 6; j++)
                PUT(to + (6 * i + j) * step) = v[j];
        }
    }
}

static void output(const WinogradRow *row, const float *from, int64_t step, float *lines)
{
    V m[36], half[36], v[6];
    int64_t bottom = clip(row->height - row->y, 0, 4);
    for (int64_t t = 0; t < row->tiles; t++, from += WINOGRAD_LANES) {
        int64_t x = row->x + 4 * t, right = clip(row->width - x, 0, 4);
        for (int k = 0; k < 36; k++)
            m[k] = AT(from + k * step);
        for (int j = 0; j < 6; j++)
            output4(m + j, 6, half + j);
        for (int64_t i = 0; i < bottom; i++) {
            output4(half + 6 * i, 1, v);
            for (int64_t j = 0; j < right; j++)
                PUT(lines + ((row->y + i) * row->width + x + j) * WINOGRAD_LANES) = v[j];
        }
    }
}

static void weight(const float *taps, int64_t tap_step, bool turned, float *to, int64_t step)
{
    V g[9], half[18], v[6];
    for (int k = 0; k < 9; k++)
        g[k] = AT(taps + (turned ? 8 - k : k) * tap_step);
    for (int j = 0; j < 3; j++)
        weight6(g + j, 3, half + j);
    for (int i = 0; i < 6; i++) {
        weight6(half + 3 * i, 1, v);
        for (int j = 0; j < 6; j++)
            PUT(to + (6 * i + j) * step) = v[j];
    }
}

static void weight_grad(const float *from, int64_t step, float *taps, int64_t tap_step)
{
    V u[36], half[18], v[3];
    for (int k = 0; k < 36; k++)
        u[k] = AT(from + k * step);
    for (int j = 0; j < 6; j++)
        weight_grad3(u + j, 6, half + j);
    for (int i = 0; i < 3; i++) {
        weight_grad3(half + 6 * i, 1, v);
        for (int j = 0; j < 3; j++)
            PUT(taps + (3 * i + j) * tap_step) = v[j];
    }
}

/* ---- products ---- */

/* [rows] and [wide] are constants where this is inlined, so that sum[] lies in registers. */
INLINE void block_product(const int rows, const int wide, int64_t blocks, const float *a, int64_t a_block,
                          const float *b, int64_t b_step, float *c, int64_t c_block)
{
    V sum[ROWS][2], left, right = {0};
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = (V){0};
    for (int64_t i = 0; i < blocks; i++, a += a_block)
        for (int k = 0; k < WINOGRAD_LANES; k++, b += b_step) {
            left = AT(b);
            if (wide == 2)
                right = AT(b + WINOGRAD_LANES);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                sum[r][0] += a[r * WINOGRAD_LANES + k] * left;
                if (wide == 2)
                    sum[r][1] += a[r * WINOGRAD_LANES + k] * right;
            }
        }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        PUT(c + r * WINOGRAD_LANES) = sum[r][0];
        if (wide == 2)
            PUT(c + c_block + r * WINOGRAD_LANES) = sum[r][1];
    }
}

#define CASE(n) case n: block_product(n, wide, blocks, a, a_block, b, b_step, c, c_block); break;
INLINE void some_rows(int64_t rows, const int wide, int64_t blocks, const float *a, int64_t a_block, const float *b,
                      int64_t b_step, float *c, int64_t c_block)
{
    switch (rows) {
    CASE(1) CASE(2)
#if ROWS > 2
    CASE(3) CASE(4) CASE(5) CASE(6)
#endif
#if ROWS > 6
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
    }
}

static void product(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, float *c)
{
    int64_t parts = (rows + ROWS - 1) / ROWS, step = rows * WINOGRAD_LANES;
    for (int64_t part = 0; part < parts; part++) {                 /* about equally many rows in each */
        int64_t first = part * rows / parts, count = (part + 1) * rows / parts - first;
        const float *from = a + first * WINOGRAD_LANES;
        float *to = c + first * WINOGRAD_LANES;
        if (WIDE == 2 && wide == 2)
            some_rows(count, 2, blocks, from, step, panel, 2 * WINOGRAD_LANES, to, step);
        else
            for (int64_t w = 0; w < wide; w++)
                some_rows(count, 1, blocks, from, step, panel + w * WINOGRAD_LANES, wide * WINOGRAD_LANES, to + w * step,
                          step);
    }
}

INLINE void grad_block(const int wide, int64_t rows, const float *a, const float *d, int64_t d_block, bool add, float *g,
                       int64_t step)
{
    V sum[GRAD_ROWS][2], left, right = {0};
#pragma GCC unroll 8
    for (int r = 0; r < GRAD_ROWS; r++) {
        sum[r][0] = add ? AT(g + r * step) : (V){0};
        sum[r][1] = add && wide == 2 ? AT(g + r * step + WINOGRAD_LANES) : (V){0};
    }
    for (int64_t t = 0; t < rows; t++, a += WINOGRAD_LANES, d += WINOGRAD_LANES) {
        left = AT(d);
        if (wide == 2)
            right = AT(d + d_block);
#pragma GCC unroll 8
        for (int r = 0; r < GRAD_ROWS; r++) {
            sum[r][0] += a[r] * left;
            if (wide == 2)
                sum[r][1] += a[r] * right;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < GRAD_ROWS; r++) {
        PUT(g + r * step) = sum[r][0];
        if (wide == 2)
            PUT(g + r * step + WINOGRAD_LANES) = sum[r][1];
    }
}

static void product_grad(int64_t rows, const float *a, int64_t wide, const float *d, bool add, float *g, int64_t step)
{
    for (int r = 0; r < WINOGRAD_LANES; r += GRAD_ROWS) {
        if (WIDE == 2 && wide == 2)
            grad_block(2, rows, a + r, d, rows * WINOGRAD_LANES, add, g + r * step, step);
        else
            for (int64_t w = 0; w < wide; w++)
                grad_block(1, rows, a + r, d + w * rows * WINOGRAD_LANES, 0, add, g + r * step + w * WINOGRAD_LANES, step);
    }
}

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const WinogradKernels JOIN(kernels_winograd_, KERNELS_ISA);
const WinogradKernels JOIN(kernels_winograd_, KERNELS_ISA) = {
    .gather = gather, .scatter = scatter, .input = input, .output = output, .output_grad = output_grad, .weight = weight, .weight_grad = weight_grad,
    .product = product, .product_grad = product_grad,
};
