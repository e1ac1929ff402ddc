/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of blocked matrices for one instruction set (blocks.h): compiled once for each, with KERNELS_ISA naming it, and
   exported as kernels_blocks_ISA. A vector is 16 floats everywhere; the compiler splits it where registers are shorter, so
   the products keep as many of them as there are registers for. */
#include <string.h>

#include "blocks.h"
#include "vector.h"

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

/* ---- squares turned ---- */

INLINE void turn_square(const float *from, int64_t from_step, float *to, int64_t to_step, const float *bias)
{
    V v[16];
    for (int i = 0; i < 16; i++)
        v[i] = AT(from + i * from_step);
    TURN_SQUARE(V, v)
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

/* ---- products ---- */

#define AHEAD 8               /* rows of a panel that are asked for before they are needed */

/* [sum], of some rows, becomes the result: added to it, or to [start], or alone. Inlined with [rows] and [wide] constant. */
INLINE void store_rows(const int rows, const int wide, V (*sum)[2], float *at, int64_t row, int64_t vector, bool add,
                       const float *start)
{
    if (add) {
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < wide; w++)
                sum[r][w] += AT(at + r * row + w * vector);
    } else if (start) {
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < wide; w++)
                sum[r][w] += AT(start + w * BLOCK_LANES);
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < wide; w++)
            PUT(at + r * row + w * vector) = sum[r][w];
}

/* [rows] and [wide] are constants where this is inlined, so that sum[] lies in registers. The next block's rows of a are
   asked for one a step, where they would all be missed at once. */
INLINE void block_product(const int rows, const int wide, int64_t blocks, const float *a, int64_t a_block,
                          const float *b, int64_t b_step, BlockResult c, bool add, const float *start)
{
    V sum[ROWS][2], left, right = {0};
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = (V){0};
        __builtin_prefetch(c.at + r * c.row, 1);
        if (wide == 2)
            __builtin_prefetch(c.at + r * c.row + c.vector, 1);
    }
    for (int64_t i = 0; i < blocks; i++, a += a_block)
        for (int k = 0; k < BLOCK_LANES; k++, b += b_step) {
            __builtin_prefetch(a + a_block + k * BLOCK_LANES);
            __builtin_prefetch(b + AHEAD * b_step);
            left = AT(b);
            if (wide == 2) {
                __builtin_prefetch(b + AHEAD * b_step + BLOCK_LANES);
                right = AT(b + BLOCK_LANES);
            }
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                sum[r][0] += a[r * BLOCK_LANES + k] * left;
                if (wide == 2)
                    sum[r][1] += a[r * BLOCK_LANES + k] * right;
            }
        }
    store_rows(rows, wide, sum, c.at, c.row, c.vector, add, start);
}

#define CASE(n) case n: block_product(n, wide, blocks, a, a_block, b, b_step, c, add, start); break;
INLINE void some_rows(int64_t rows, const int wide, int64_t blocks, const float *a, int64_t a_block, const float *b,
                      int64_t b_step, BlockResult c, bool add, const float *start)
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

static void product(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, BlockResult c, bool add,
                    const float *start)
{
    int64_t parts = (rows + ROWS - 1) / ROWS, step = rows * BLOCK_LANES;
    for (int64_t part = 0; part < parts; part++) {                 /* about equally many rows in each */
        int64_t first = part * rows / parts, count = (part + 1) * rows / parts - first;
        const float *from = a + first * BLOCK_LANES;
        BlockResult to = {c.at + first * c.row, c.row, c.vector};
        if (WIDE == 2 && wide == 2) {
            some_rows(count, 2, blocks, from, step, panel, 2 * BLOCK_LANES, to, add, start);
            continue;
        }
        for (int64_t w = 0; w < wide; w++, to.at += c.vector)
            some_rows(count, 1, blocks, from, step, panel + w * BLOCK_LANES, wide * BLOCK_LANES, to, add,
                      start ? start + w * BLOCK_LANES : NULL);
    }
}

INLINE void grad_block(const int wide, int64_t rows, const float *a, BlockRows d, bool add, const float *start, float *g,
                       int64_t step)
{
    V sum[GRAD_ROWS][2], left, right = {0};
#pragma GCC unroll 8
    for (int r = 0; r < GRAD_ROWS; r++)
        sum[r][0] = sum[r][1] = (V){0};
    for (int64_t t = 0; t < rows; t++, a += BLOCK_LANES, d.at += d.row) {
        left = AT(d.at);
        if (wide == 2)
            right = AT(d.at + d.vector);
#pragma GCC unroll 8
        for (int r = 0; r < GRAD_ROWS; r++) {
            sum[r][0] += a[r] * left;
            if (wide == 2)
                sum[r][1] += a[r] * right;
        }
    }
    store_rows(GRAD_ROWS, wide, sum, g, step, BLOCK_LANES, add, start);
}

static void product_grad(int64_t rows, const float *a, int64_t wide, BlockRows d, bool add, const float *start, float *g,
                         int64_t step)
{
    for (int r = 0; r < BLOCK_LANES; r += GRAD_ROWS) {
        if (WIDE == 2 && wide == 2) {
            grad_block(2, rows, a + r, d, add, start, g + r * step, step);
            continue;
        }
        for (int64_t w = 0; w < wide; w++)
            grad_block(1, rows, a + r, (BlockRows){d.at + w * d.vector, d.row, 0}, add,
                       start ? start + w * BLOCK_LANES : NULL, g + r * step + w * BLOCK_LANES, step);
    }
}

/* ---- into blocks ---- */

/* Rows of [n] floats as [n / 16][rows][16], times [scale]: row by row, as the processor foresees reads. */
static void pack_rows(int64_t rows, int64_t n, const float *from, int64_t step, float scale, float *to)
{
    for (int64_t i = 0; i < rows; i++, from += step, to += BLOCK_LANES) {
        int64_t j = 0;
        for (; j + BLOCK_LANES <= n; j += BLOCK_LANES)
            PUT(to + j * rows) = AT(from + j) * scale;
        for (int64_t k = 0; j < n && k < BLOCK_LANES; k++)
            to[j * rows + k] = k < n - j ? from[j + k] * scale : 0;
    }
}

static int64_t whole(int64_t n)
{
    return (n + BLOCK_LANES - 1) / BLOCK_LANES * BLOCK_LANES;
}

/* How many vectors the panel that starts at column [j] of [n] has. */
static int64_t panel_wide(int64_t n, int64_t j)
{
    return n - j > BLOCK_LANES ? BLOCK_PANEL : 1;
}

#define TOGETHER (4 * BLOCK_PANEL * BLOCK_LANES)    /* columns of panels that are filled at once */

static void whole_panels(int64_t rows, int64_t columns, const float *from, int64_t step, float *to)
{
    const int64_t wide = BLOCK_PANEL * BLOCK_LANES, panel = whole(rows) * wide;
    for (int64_t i = 0; i < rows; i++, from += step, to += wide)
        for (int64_t j = 0; j < columns; j += wide)
            for (int64_t k = 0; k < wide; k += BLOCK_LANES)
                PUT(to + j / wide * panel + k) = AT(from + j + k);
    for (int64_t j = 0; j < columns; j += wide)
        memset(to + j / wide * panel, 0, (size_t)((whole(rows) - rows) * wide) * sizeof *to);
}

static void pack_panels(int64_t rows, int64_t n, const float *from, int64_t step, float *to)
{
    const int64_t panel = BLOCK_PANEL * BLOCK_LANES;
    int64_t j = 0, inside = n / panel * panel, wide = panel_wide(n, inside) * BLOCK_LANES;
    for (; j < inside; j += TOGETHER)
        whole_panels(rows, inside - j < TOGETHER ? inside - j : TOGETHER, from + j, step, to + j * whole(rows));
    to += inside * whole(rows);
    for (int64_t i = 0; inside < n && i < whole(rows); i++, to += wide)
        for (int64_t k = 0; k < wide; k++)
            to[k] = i < rows && k < n - inside ? from[i * step + inside + k] : 0;
}

static void pack_turned(int64_t rows, int64_t n, const float *from, int64_t step, float *to)
{
    for (int64_t i = 0; i < rows; i += BLOCK_LANES) {
        int64_t panel = i / (BLOCK_PANEL * BLOCK_LANES) * BLOCK_PANEL * BLOCK_LANES;
        int64_t wide = panel_wide(rows, panel) * BLOCK_LANES;
        float *base = to + panel * whole(n) + i - panel;
        for (int64_t j = 0; j < n; j += BLOCK_LANES) {
            if (rows - i >= BLOCK_LANES && n - j >= BLOCK_LANES) {
                turn_square(from + i * step + j, step, base + j * wide, wide, NULL);
                continue;
            }
            for (int64_t a = 0; a < BLOCK_LANES; a++)
                for (int64_t b = 0; b < BLOCK_LANES; b++)
                    base[(j + b) * wide + a] = i + a < rows && j + b < n ? from[(i + a) * step + j + b] : 0;
        }
    }
}

static void pack_columns(int64_t rows, int64_t n, const float *from, int64_t step, float *to)
{
    for (int64_t i = 0; i < rows; i += BLOCK_LANES, from += BLOCK_LANES * step, to += n * BLOCK_LANES)
        for (int64_t j = 0; j < n; j += BLOCK_LANES) {
            if (rows - i >= BLOCK_LANES && n - j >= BLOCK_LANES) {
                turn_square(from + j, step, to + j * BLOCK_LANES, BLOCK_LANES, NULL);
                continue;
            }
            for (int64_t b = 0; b < BLOCK_LANES && j + b < n; b++)
                for (int64_t a = 0; a < BLOCK_LANES; a++)
                    to[(j + b) * BLOCK_LANES + a] = i + a < rows ? from[a * step + j + b] : 0;
        }
}

static void add(int64_t n, const float *restrict from, float *restrict to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += from[i];
}

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const BlockKernels JOIN(kernels_blocks_, KERNELS_ISA);
const BlockKernels JOIN(kernels_blocks_, KERNELS_ISA) = {
    .rows = ROWS, .gather = gather, .scatter = scatter, .product = product, .product_grad = product_grad, .pack_rows = pack_rows,
    .pack_panels = pack_panels, .pack_turned = pack_turned, .pack_columns = pack_columns, .add = add,
};
