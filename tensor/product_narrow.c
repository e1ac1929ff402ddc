/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tile of a product whose numbers are rounded to bf16 and summed in f32 (tiles.h), for one thread. Both operands are
   packed a part of the depth at a time; results that are cut at the last row or column go by way of a square.
   Invariant: the order of sums depends on sizes only. */
#include "product.h"
#include "tiles.h"

#define DEPTH 1024            /* of the parts that are packed at once */
#define SIDE (2 * TILE_LINES)

static int64_t parts(int64_t n, int64_t part)
{
    return (n + part - 1) / part;
}

static void add_bias(const ProductTile *t, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    for (int64_t i = row; i < row + rows; i++)
        for (int64_t j = column; j < column + columns; j++)
            t->out[i * t->out_lead + j] += t->bias[j];
}

/* The square of the result at [row, column], of which [rows, columns] exist. */
static void square(const ProductTile *t, const TileKernels *kernels, int64_t deep, const char *a, const char *b,
                   int64_t row, int64_t column, bool add)
{
    int64_t rows = t->m - row < SIDE ? t->m - row : SIDE, columns = t->n - column < SIDE ? t->n - column : SIDE;
    int down = rows > TILE_LINES ? 2 : 1, across = columns > TILE_LINES ? 2 : 1;
    float *to = t->out + row * t->out_lead + column, edge[SIDE * SIDE];
    if (rows == down * TILE_LINES && columns == across * TILE_LINES) {
        kernels->product(down, across, deep, a, b, add, to, t->out_lead);
        return;
    }
    kernels->product(down, across, deep, a, b, false, edge, SIDE);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * t->out_lead + j] = edge[i * SIDE + j] + (add ? to[i * t->out_lead + j] : 0);
}

static void multiply(const ProductTile *t, const TileKernels *kernels, int64_t depth, const char *a, const char *b,
                     bool add, bool last)
{
    int64_t deep = parts(depth, TILE_INNER), block = deep * TILE_BYTES;
    for (int64_t j = 0; j < t->n; j += SIDE)
        for (int64_t i = 0; i < t->m; i += SIDE) {
            square(t, kernels, deep, a + i / TILE_LINES * block, b + j / TILE_LINES * block, i, j, add);
            if (last && t->bias)
                add_bias(t, i, j, t->m - i < SIDE ? t->m - i : SIDE, t->n - j < SIDE ? t->n - j : SIDE);
        }
}

bool product_narrow_tile(const ProductTile *t)
{
    const TileKernels *kernels = tile_kernels();
    int64_t depth = t->k < DEPTH ? t->k : DEPTH, deep = parts(depth, TILE_INNER) * TILE_BYTES;
    int64_t left = parts(t->m, TILE_LINES) * deep, right = parts(t->n, TILE_LINES) * deep;
    Error error = {0};
    char *a = scratch_take(&error, (size_t)(left + right)), *b = a + left;
    if (!a)
        return false;
    kernels->begin();
    for (int64_t k = 0; k < t->k; k += depth) {
        int64_t part = t->k - k < depth ? t->k - k : depth;
        kernels->pack(t->m, part, t->a + (t->a_turned ? k * t->a_lead : k), t->a_lead, t->a_turned, false, a);
        kernels->pack(t->n, part, t->b + (t->b_turned ? k : k * t->b_lead), t->b_lead, !t->b_turned, true, b);
        multiply(t, kernels, part, a, b, t->add || k > 0, k + part == t->k);
    }
    kernels->end();
    scratch_release(a);
    return true;
}
