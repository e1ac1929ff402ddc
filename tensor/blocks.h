/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrices in blocks, as our own products read them: between kernels_blocks.c, which is compiled once per instruction
   set, and the ops that cut their work into blocks.

   Everything is f32 in vectors of 16. Rows: [n / 16][rows][16], a block of 16 columns of all rows behind the other.
   Panels: [n / 48][rows][48], whose last ones have 32 or 16 columns (block_panel). Sizes are rounded up to whole vectors,
   what is missing is zeros. */
#ifndef TESSERA_BLOCKS_H
#define TESSERA_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_LANES 16
#define BLOCK_WIDE 3          /* vectors of a panel */
#define BLOCK_PANEL 2         /* of those that Winograd's convolution makes for itself */

/* How many vectors the next panel has where [left] are left: a last one alone would take as long as two. */
static inline int64_t block_panel(int64_t left)
{
    return left == 4 ? 2 : left < BLOCK_WIDE ? left : BLOCK_WIDE;
}

/* Where rows lie: [row] floats between them, [vector] between the vectors of one. */
typedef struct BlockResult { float *at; int64_t row, vector; } BlockResult;
typedef struct BlockRows { const float *at; int64_t row, vector; } BlockRows;
/* The left side of a product: rows of 16 floats, [row] apart, the next 16 of them [block] further. */
typedef struct BlockLeft { const float *at; int64_t row, block; } BlockLeft;

typedef struct BlockKernels {
    /* lines [pixels, 16] from [channels] planes [step] apart, zeros for missing ones; and back, with a bias or NULL */
    void (*gather)(int64_t channels, int64_t pixels, const float *planes, int64_t step, float *lines);
    void (*scatter)(int64_t channels, int64_t pixels, const float *lines, const float *bias, float *planes, int64_t step);
    /* c (+)= a [rows, depth] times panel [depth][wide][16]; where c is not added to, it begins at [start], wide * 16
       floats, or 0 */
    void (*multiply)(int64_t rows, int64_t depth, BlockLeft a, int64_t wide, const float *panel, BlockResult c, bool add,
                     const float *start);
    /* c (+)= a [blocks][rows][16] times panel [16 * blocks][wide][16]; where c is not added to, it begins at [start],
       wide * 16 floats, or 0 */
    void (*product)(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, BlockResult c, bool add,
                    const float *start);
    /* g [16][wide * 16], rows [step] apart, (+)= the transpose of a [rows][16] times d: rows of [wide] vectors */
    void (*product_grad)(int64_t rows, const float *a, int64_t wide, BlockRows d, bool add, const float *start, float *g,
                         int64_t step);
    /* rows of [n] floats, [step] apart, times [scale], in rows; what lies as [n, rows], in rows; [rows, n] in panels,
       turned: it lies as [n, rows] */
    void (*pack_rows)(int64_t rows, int64_t n, const float *from, int64_t step, float scale, float *to);
    void (*pack_columns)(int64_t rows, int64_t n, const float *from, int64_t step, float *to);
    void (*pack_panels)(int64_t rows, int64_t n, bool turned, const float *from, int64_t step, float *to);
    void (*add)(int64_t n, const float *from, float *to);           /* to += from, which do not overlap */
} BlockKernels;

const BlockKernels *block_kernels(void);     /* the best that this processor runs (kernels_pick.c) */

#endif
