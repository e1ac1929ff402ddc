/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrices in blocks, as our own products read them: between kernels_blocks.c, which is compiled once per instruction
   set, and the ops that cut their work into blocks.

   Everything is f32 in vectors of 16. Rows: [n / 16][rows][16], a block of 16 columns of all rows behind the other.
   Panels: [n / 32][rows][32], whose last one has 16 columns where that suffices. Sizes are rounded up to whole vectors,
   what is missing is zeros. */
#ifndef TESSERA_BLOCKS_H
#define TESSERA_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_LANES 16
#define BLOCK_PANEL 2         /* vectors of a panel */

/* Where rows lie: [row] floats between them, [vector] between the two vectors of one. */
typedef struct BlockResult { float *at; int64_t row, vector; } BlockResult;
typedef struct BlockRows { const float *at; int64_t row, vector; } BlockRows;

typedef struct BlockKernels {
    int rows;                 /* of a product that are summed at once: a multiple of them takes least time */
    /* lines [pixels, 16] from [channels] planes [step] apart, zeros for missing ones; and back, with a bias or NULL */
    void (*gather)(int64_t channels, int64_t pixels, const float *planes, int64_t step, float *lines);
    void (*scatter)(int64_t channels, int64_t pixels, const float *lines, const float *bias, float *planes, int64_t step);
    /* c (+)= a [blocks][rows][16] times panel [16 * blocks][wide][16]; where c is not added to, it begins at [start],
       wide * 16 floats, or 0 */
    void (*product)(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, BlockResult c, bool add,
                    const float *start);
    /* g [16][wide * 16], rows [step] apart, (+)= the transpose of a [rows][16] times d: rows of [wide] vectors */
    void (*product_grad)(int64_t rows, const float *a, int64_t wide, BlockRows d, bool add, const float *start, float *g,
                         int64_t step);
    /* rows of [n] floats, [step] apart, times [scale], in rows; in panels; the panels and the rows of their transpose */
    void (*pack_rows)(int64_t rows, int64_t n, const float *from, int64_t step, float scale, float *to);
    void (*pack_panels)(int64_t rows, int64_t n, const float *from, int64_t step, float *to);
    void (*pack_turned)(int64_t rows, int64_t n, const float *from, int64_t step, float *to);
    void (*pack_columns)(int64_t rows, int64_t n, const float *from, int64_t step, float *to);
    void (*add)(int64_t n, const float *from, float *to);           /* to += from, which do not overlap */
} BlockKernels;

const BlockKernels *block_kernels(void);     /* the best that this processor runs (kernels_pick.c) */

#endif
