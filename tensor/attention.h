/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a head of attention is computed with: between kernels_attention.c, which is compiled once per instruction set, and
   op_attention.c.

   Everything is f32 in vectors of 16. Scores lie turned, a row for each key with some queries side by side, [keys][lanes]:
   then a query's largest score and its sum take no steps across a vector, every other operand of the products is read
   where it lies, and results go where they belong. */
#ifndef TESSERA_ATTENTION_H
#define TESSERA_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

#define HEAD_LANES 16
#define HEAD_WIDE 4           /* vectors of queries whose softmax is made at once, at most */

/* The left operand of a product: its rows lie [step] apart, or, where it is turned, its columns do. */
typedef struct HeadLeft { const float *at; int64_t step; bool turned; } HeadLeft;
/* Rows of whole vectors, [step] apart. */
typedef struct HeadRows { float *at; int64_t step; } HeadRows;
/* What becomes of a product: row r times factor[r * next], NULL: 1; added to what is there, or alone. */
typedef struct HeadResult { HeadRows rows; bool add; const float *factor; int64_t next; } HeadResult;

typedef struct AttentionKernels {
    /* c [rows, 16 * wide] (+)= a [rows, depth] times b [depth, 16 * wide] */
    void (*product)(int64_t rows, int64_t depth, int64_t wide, HeadLeft a, HeadRows b, HeadResult c);
    /* c [rows, 16 * wide] (+)= from, rows [step] apart */
    void (*settle)(int64_t rows, int64_t wide, const float *from, int64_t step, HeadResult c);
    /* to [n][16 * wide] = the transpose of [rows] rows of n floats, zeros in the missing lanes */
    void (*turn)(int64_t rows, int64_t n, const float *from, int64_t step, int64_t wide, float *to);
    /* x [keys][16 * wide] = e^(x - its lane's largest), share: the inverse of its lane's sum, 0 for one of minus infinities */
    void (*softmax)(int64_t keys, int64_t wide, float *x, float *share);
    /* x = its softmax y, g = y (g - the lane's sum of y g) */
    void (*softmax_grad)(int64_t keys, int64_t wide, float *x, float *g);
} AttentionKernels;

const AttentionKernels *attention_kernels(void);     /* the best that this processor runs (kernels_pick.c) */

#endif
