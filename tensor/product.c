/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own product of f32 matrices: parts of both are packed into blocks (blocks.h) that stay in the second-level cache,
   where BLAS packs them in smaller pieces and more often. Invariant: the order of sums depends on sizes only. */
#include <string.h>

#include "blocks.h"
#include "core.h"
#include "product.h"

#define LANES BLOCK_LANES
#define WIDE (BLOCK_PANEL * BLOCK_LANES)
#define DEPTH 256             /* of the parts that are packed at once */
#define LEAST 24              /* shorter sides waste the packing */

bool product_suits(int64_t m, int64_t n, int64_t k)
{
    return cpu_level() >= CPU_AVX2 && m >= LEAST && n >= LEAST && k >= LEAST;
}

static int64_t whole(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* Work memory: a part of each operand in blocks, and results that are cut at the last column or row. */
typedef struct Packed { float *a, *b, *edge; } Packed;

static void pack(const ProductTile *t, const BlockKernels *kernels, const Packed *p, int64_t k, int64_t depth)
{
    if (t->a_turned)
        kernels->pack_rows(depth, t->m, t->a + k * t->a_lead, t->a_lead, 1, p->a);
    else
        kernels->pack_rows(t->m, depth, t->a + k, t->a_lead, 1, p->a);
    if (t->b_turned)
        kernels->pack_turned(t->n, depth, t->b + k, t->b_lead, p->b);
    else
        kernels->pack_panels(depth, t->n, t->b + k * t->b_lead, t->b_lead, p->b);
}

/* Rows [row, row + rows) and [wide] vectors from column [column] on, of which [count] columns exist. */
static void some_rows(const ProductTile *t, const BlockKernels *kernels, const Packed *p, int64_t depth, int64_t row,
                      int64_t rows, int64_t column, int64_t wide, bool add, const float *start, float *out, int64_t lead)
{
    int64_t deep = whole(depth);
    const float *panel = p->b + column * deep;
    BlockRows from = {panel, wide * LANES, LANES};
    if (t->a_turned)
        for (int64_t i = 0; i < rows; i += LANES)
            kernels->product_grad(depth, p->a + (row + i) * depth, wide, from, add, start, out + i * lead, lead);
    else
        kernels->product(rows, deep / LANES, p->a + row * LANES, wide, panel, (BlockResult){out, lead, LANES}, add, start);
}

/* By way of [edge], whose rows are whole vectors: only what exists goes to the result. */
static void edge_rows(const ProductTile *t, const BlockKernels *kernels, const Packed *p, int64_t depth, int64_t row,
                      int64_t rows, int64_t column, int64_t wide, bool add)
{
    int64_t count = t->n - column < wide * LANES ? t->n - column : wide * LANES;
    some_rows(t, kernels, p, depth, row, rows, column, wide, false, NULL, p->edge, WIDE);
    for (int64_t i = 0; i < rows && row + i < t->m; i++) {
        float *to = t->out + (row + i) * t->out_lead + column;
        for (int64_t j = 0; j < count; j++)
            to[j] = p->edge[i * WIDE + j] + (add ? to[j] : t->bias ? t->bias[column + j] : 0);
    }
}

static void multiply(const ProductTile *t, const BlockKernels *kernels, const Packed *p, int64_t depth, bool add)
{
    int64_t inside = t->a_turned ? t->m / LANES * LANES : t->m;    /* rows that need no edge */
    for (int64_t column = 0; column < t->n; column += WIDE) {
        int64_t wide = t->n - column > LANES ? BLOCK_PANEL : 1;
        if (t->n - column < wide * LANES) {
            edge_rows(t, kernels, p, depth, 0, t->m, column, wide, add);
            continue;
        }
        some_rows(t, kernels, p, depth, 0, inside, column, wide, add, t->bias ? t->bias + column : NULL, t->out + column,
                  t->out_lead);
        if (inside < t->m)
            edge_rows(t, kernels, p, depth, inside, t->m - inside, column, wide, add);
    }
}

bool product_tile(const ProductTile *t)
{
    const BlockKernels *kernels = block_kernels();
    int64_t depth = t->k < DEPTH ? t->k : DEPTH, a = whole(t->m) * whole(depth), b = whole(depth) * whole(t->n);
    Error error = {0};
    float *base = scratch_take(&error, (size_t)(a + b + whole(t->m) * WIDE) * sizeof(float));
    Packed p = {base, base + a, base + a + b};
    for (int64_t k = 0; base && k < t->k; k += depth) {
        int64_t deep = t->k - k < depth ? t->k - k : depth;
        pack(t, kernels, &p, k, deep);
        multiply(t, kernels, &p, deep, t->add || k > 0);
    }
    scratch_release(base);
    return base != NULL;
}
