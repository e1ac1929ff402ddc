/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Winograd's convolution for one instruction set (winograd.h): compiled once for each, with KERNELS_ISA naming it, and
   exported as kernels_winograd_ISA. */
#include <string.h>

#include "vector.h"
#include "winograd.h"

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
    const float *from = lines + (row->y * row->width + x) * BLOCK_LANES;
    if (bottom - top == size && right - left == size) {
#pragma GCC unroll 6
        for (int i = 0; i < size; i++)
#pragma GCC unroll 6
            for (int j = 0; j < size; j++)
                d[i * 6 + j] = AT(from + (i * row->width + j) * BLOCK_LANES);
        return;
    }
    memset(d, 0, (size_t)(6 * size) * sizeof *d);
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++)
            d[i * 6 + j] = AT(from + (i * row->width + j) * BLOCK_LANES);
}

static void input(const WinogradRow *row, const float *lines, float *to, int64_t step)
{
    V d[36], half[36], v[6];
    for (int64_t t = 0; t < row->tiles; t++, to += BLOCK_LANES) {
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
    for (int64_t t = 0; t < row->tiles; t++, to += BLOCK_LANES) {
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
    for (int64_t t = 0; t < row->tiles; t++, from += BLOCK_LANES) {
        int64_t x = row->x + 4 * t, right = clip(row->width - x, 0, 4);
        for (int k = 0; k < 36; k++)
            m[k] = AT(from + k * step);
        for (int j = 0; j < 6; j++)
            output4(m + j, 6, half + j);
        for (int64_t i = 0; i < bottom; i++) {
            output4(half + 6 * i, 1, v);
            for (int64_t j = 0; j < right; j++)
                PUT(lines + ((row->y + i) * row->width + x + j) * BLOCK_LANES) = v[j];
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

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const WinogradKernels JOIN(kernels_winograd_, KERNELS_ISA);
const WinogradKernels JOIN(kernels_winograd_, KERNELS_ISA) = {
    .input = input, .output = output, .output_grad = output_grad, .weight = weight, .weight_grad = weight_grad,
};
