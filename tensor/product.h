/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own product of two f32 matrices. The bits of a result do not depend on how its work was spread. */
#ifndef TESSERA_PRODUCT_H
#define TESSERA_PRODUCT_H

#include "core.h"

typedef struct ProductTile {
    int64_t m, n, k;
    const float *a, *b;       /* a [m, k], b [k, n], rows [lead] apart; turned: they lie as [k, m] and [n, k] */
    int64_t a_lead, b_lead;
    bool a_turned, b_turned;
    const float *bias;        /* [n], added to every row, or NULL */
    bool add;                 /* to what is in [out], without a bias */
    float *out;               /* [m, n], rows [out_lead] apart */
    int64_t out_lead;
} ProductTile;

/* Whether ours is the faster one for products of this size on this processor. */
bool product_suits(int64_t m, int64_t n, int64_t k);
/* How many pieces a product of this size has that threads can share. */
int64_t product_pieces(int64_t m, int64_t n);
/* On this thread alone. False when there was no memory to work in. */
bool product_tile(const ProductTile *tile);
/* On all threads of the pool. False when there was no memory, too, or on an interrupt, which [ctx] tells of. */
bool product_shared(TensorContext *ctx, const ProductTile *tile);

/* The same, with a and b rounded to bf16; needs a processor that has products of those (tiles.h). Elsewhere what is
   multiplied is rounded first. */
bool product_narrow_tile(const ProductTile *tile);
bool product_narrow_shared(TensorContext *ctx, const ProductTile *tile);
Tensor *product_rounded(TensorContext *ctx, Tensor *x);

/* What both kinds of product are made of. */
typedef enum ProductEnd {
    PRODUCT_DONE,
    PRODUCT_FAILED,           /* no memory, or an interrupt */
    PRODUCT_UNFIT,            /* not for these numbers, this size or this processor: what is in [out] counts for nothing */
} ProductEnd;

/* Of f32 in tile registers, with the accuracy of f32 (product_tiles.c). [ctx] NULL: on this thread. */
ProductEnd product_in_parts(TensorContext *ctx, const ProductTile *tile);
/* [tasks] of [fn]: on all threads, or on this one. */
bool product_tasks(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), void *job);

#endif
