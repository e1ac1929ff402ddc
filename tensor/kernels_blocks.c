/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of blocked matrices for one instruction set (blocks.h): compiled once for each, with KERNELS_ISA naming it, and
   exported as kernels_blocks_ISA. A vector is 16 floats everywhere; where registers are shorter the products split it
   themselves, the compiler the rest. */
#include <string.h>

#include "blocks.h"
#include "vector.h"

/* A register's floats; the rows of a product that are summed at once, and those of three registers: as many as there are
   registers for. */
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 12
#define ROWS_OF_3 9
#elif defined(__AVX2__)
#define ROWS 6
#define ROWS_OF_3 4
#else
#define ROWS 6
#define ROWS_OF_3 3
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

#define WIDE 3                /* registers of a row that are summed at once, at most */
#define SPLIT (BLOCK_LANES / LANES)

typedef float R __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
#define REGISTER(p) (*(R *)(p))
#define CONSTANT(p) (*(const R *)(p))

/* [sum], of some rows, becomes the result: added to it, or to [start], or alone. */
INLINE void store_rows(const int rows, const int wide, R (*sum)[WIDE], BlockResult c, bool add, const float *start)
{
    if (add) {
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < wide; w++)
                sum[r][w] += CONSTANT(c.at + r * c.row + w * c.vector);
    } else if (start) {
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < wide; w++)
                sum[r][w] += CONSTANT(start + w * LANES);
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < wide; w++)
            REGISTER(c.at + r * c.row + w * c.vector) = sum[r][w];
}

/* sum += a * b. On AVX-512 gcc would multiply into the register of a factor's last use and then have sums to copy, so both
   are said to be needed still. */
#if defined(__AVX512F__)
#define ADD_PRODUCT(sum, a, b)                                                                                        \
    do {                                                                                                              \
        R left_ = (a) - (R){0};                                                                                       \
        sum += left_ * b;                                                                                             \
        __asm__ volatile("" : : "v"(left_));                                                                          \
        __asm__ volatile("" : : "v"(b));                                                                              \
    } while (0)
#else
#define ADD_PRODUCT(sum, a, b) sum += (a) * b
#endif

/* Some steps of k: the left numbers of a row lie behind each other from a[row], turned those of a step from a[step]. */
INLINE void add_steps(const int rows, const int wide, const bool turned, const int steps, R (*sum)[WIDE],
                      const float *const *a, int64_t at, BlockRows b)
{
#pragma GCC unroll 4
    for (int k = 0; k < steps; k++) {
        R right[WIDE];
        for (int w = 0; w < wide; w++)
            right[w] = CONSTANT(b.at + k * b.row + w * b.vector);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++)
            for (int w = 0; w < wide; w++)
                ADD_PRODUCT(sum[r][w], (turned ? a[k] : a[r])[at + (turned ? r : k)], right[w]);
    }
}

/* [rows], [wide] and [turned] are constants where this is inlined, so that sum[] lies in registers. In [b] and [c] a vector
   is a register. */
INLINE void block_product(const int rows, const int wide, const bool turned, int64_t depth, BlockLeft a, BlockRows b,
                          BlockResult c, bool add, const float *start)
{
    const int64_t step = turned ? a.row : 1;
    const float *from[ROWS];
    R sum[ROWS][WIDE];
    int64_t at = 0;
    for (int i = 0; i < (turned ? 4 : rows); i++)
        from[i] = a.at + i * a.row;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < wide; w++)
            sum[r][w] = (R){0};
    for (; depth >= BLOCK_LANES; depth -= BLOCK_LANES, at += a.block - BLOCK_LANES * step)
#pragma GCC unroll 1
        for (int k = 0; k < BLOCK_LANES; k += 4, at += 4 * step, b.at += 4 * b.row)
            add_steps(rows, wide, turned, 4, sum, from, at, b);
#pragma GCC unroll 1
    for (; depth > 0; depth--, at += step, b.at += b.row)
        add_steps(rows, wide, turned, 1, sum, from, at, b);
    store_rows(rows, wide, sum, c, add, start);
}

#define CASE(n)                                                                                                       \
    case n:                                                                                                           \
        if (n <= (wide == 3 ? ROWS_OF_3 : ROWS))                                                                      \
            block_product(n, wide, turned, depth, a, b, c, add, start);                                               \
        break;
INLINE void some_rows(int64_t rows, const int wide, const bool turned, int64_t depth, BlockLeft a, BlockRows b,
                      BlockResult c, bool add, const float *start)
{
    switch (rows) {
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if ROWS > 6
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
    }
}

/* About equally many rows at a time. */
INLINE void all_rows(int64_t rows, const int wide, const bool turned, int64_t depth, BlockLeft a, BlockRows b,
                     BlockResult c, bool add, const float *start)
{
    const int most = wide == 3 ? ROWS_OF_3 : ROWS;
    int64_t parts = (rows + most - 1) / most;
    if (SPLIT == 1 && !turned)                                     /* panels: so the distances are constants, too */
        b.row = wide * LANES, b.vector = LANES;
    for (int64_t part = 0; part < parts; part++) {
        int64_t first = part * rows / parts, count = (part + 1) * rows / parts - first;
        BlockLeft from = {a.at + first * (turned ? 1 : a.row), a.row, a.block};
        BlockResult to = {c.at + first * c.row, c.row, c.vector};
        some_rows(count, wide, turned, depth, from, b, to, add, start);
    }
}

/* Vectors of shorter registers are taken in turn where they do not lie behind each other. */
INLINE void all_vectors(int64_t rows, const bool turned, int64_t depth, BlockLeft a, int64_t wide, BlockRows b,
                        BlockResult c, bool add, const float *start)
{
    bool joined = SPLIT == 1 || (b.vector == BLOCK_LANES && c.vector == BLOCK_LANES);
    for (int64_t first = 0, some; first < wide * SPLIT; first += some) {
        int64_t vector = first / SPLIT, inside = first % SPLIT * LANES;
        BlockRows right = {b.at + vector * b.vector + inside, b.row, SPLIT == 1 ? b.vector : LANES};
        BlockResult to = {c.at + vector * c.vector + inside, c.row, SPLIT == 1 ? c.vector : LANES};
        const float *begin = start ? start + first * LANES : NULL;
        some = joined ? block_panel(wide * SPLIT - first) : 2;
        if (some == 3)
            all_rows(rows, 3, turned, depth, a, right, to, add, begin);
        else if (some == 2)
            all_rows(rows, 2, turned, depth, a, right, to, add, begin);
        else
            all_rows(rows, 1, turned, depth, a, right, to, add, begin);
    }
}

static void multiply(int64_t rows, int64_t depth, BlockLeft a, int64_t wide, const float *panel, BlockResult c, bool add,
                     const float *start)
{
    all_vectors(rows, false, depth, a, wide, (BlockRows){panel, wide * BLOCK_LANES, BLOCK_LANES}, c, add, start);
}

static void product(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, BlockResult c, bool add,
                    const float *start)
{
    multiply(rows, blocks * BLOCK_LANES, (BlockLeft){a, BLOCK_LANES, rows * BLOCK_LANES}, wide, panel, c, add, start);
}

static void product_grad(int64_t rows, const float *a, int64_t wide, BlockRows d, bool add, const float *start, float *g,
                         int64_t step)
{
    BlockLeft left = {a, BLOCK_LANES, BLOCK_LANES * BLOCK_LANES};
    all_vectors(BLOCK_LANES, true, rows, left, wide, d, (BlockResult){g, step, BLOCK_LANES}, add, start);
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

/* One row of a panel: [n] floats and zeros. */
INLINE void panel_row(int64_t n, int64_t wide, const float *from, float *to)
{
    for (int64_t w = 0; w < wide; w++, n -= BLOCK_LANES, from += BLOCK_LANES, to += BLOCK_LANES) {
        if (n >= BLOCK_LANES) {
            PUT(to) = AT(from);
            continue;
        }
        for (int64_t k = 0; k < BLOCK_LANES; k++)
            to[k] = k < n ? from[k] : 0;
    }
}

#define TOGETHER 12           /* vectors of panels that are filled at once, row by row: the processor foresees such reads */

static void to_panels(int64_t rows, int64_t n, const float *from, int64_t step, float *to)
{
    const int64_t vectors = whole(n) / BLOCK_LANES;
    for (int64_t first = 0, last = 0, wide; first < vectors; first = last) {
        for (int64_t i = 0; i < whole(rows); i++)
            for (last = first; last < vectors && last < first + TOGETHER; last += wide) {
                wide = block_panel(vectors - last);
                panel_row(i < rows ? n - last * BLOCK_LANES : 0, wide, from + i * step + last * BLOCK_LANES,
                          to + (last * whole(rows) + i * wide) * BLOCK_LANES);
            }
    }
}

/* A square of the transpose, of which [rows, n] exist. */
INLINE void panel_square(int64_t rows, int64_t n, const float *from, int64_t step, float *to, int64_t to_step)
{
    if (rows >= BLOCK_LANES && n >= BLOCK_LANES) {
        turn_square(from, step, to, to_step, NULL);
        return;
    }
    for (int64_t i = 0; i < BLOCK_LANES; i++)
        for (int64_t j = 0; j < BLOCK_LANES; j++)
            to[j * to_step + i] = i < rows && j < n ? from[i * step + j] : 0;
}

static void to_turned(int64_t rows, int64_t n, const float *from, int64_t step, float *to)
{
    const int64_t vectors = whole(rows) / BLOCK_LANES;
    for (int64_t first = 0, wide; first < vectors; first += wide, to += wide * BLOCK_LANES * whole(n)) {
        wide = block_panel(vectors - first);
        for (int64_t v = 0; v < wide; v++)
            for (int64_t j = 0; j < n; j += BLOCK_LANES) {
                int64_t i = (first + v) * BLOCK_LANES;
                panel_square(rows - i, n - j, from + i * step + j, step, to + (j * wide + v) * BLOCK_LANES,
                             wide * BLOCK_LANES);
            }
    }
}

static void pack_panels(int64_t rows, int64_t n, bool turned, const float *from, int64_t step, float *to)
{
    if (turned)
        to_turned(n, rows, from, step, to);
    else
        to_panels(rows, n, from, step, to);
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
    .gather = gather, .scatter = scatter, .multiply = multiply, .product = product, .product_grad = product_grad, .pack_rows = pack_rows,
    .pack_panels = pack_panels, .pack_columns = pack_columns, .add = add,
};
