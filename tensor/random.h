/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels_random.c offers the ops that draw, once for each instruction set. All give the same bits: products and
   sums are not contracted there, and everything is exact or rounded by IEEE 754's rules in one order. */
#ifndef TESSERA_RANDOM_H
#define TESSERA_RANDOM_H

#include <stdint.h>

typedef struct RandomKernels {
    const char *isa;
    /* the words of [n] blocks of the generator (rng.h) from number [first] on, four a block */
    void (*blocks)(int64_t n, uint64_t seed, uint64_t first, uint32_t *words);
    /* a number a word */
    void (*uniform)(int64_t n, const uint32_t *words, float low, float high, float *out);
    void (*bernoulli)(int64_t n, const uint32_t *words, double p, float *out);
    /* [n] pairs of independent normal numbers from pairs of words (Box and Muller 1958); the logarithm, sine and cosine
       are the nearest floats but for one in thousands */
    void (*normal)(int64_t n, const uint32_t *words, float *out);
} RandomKernels;

const RandomKernels *random_kernels(void);   /* the best that this processor runs (kernels_pick.c) */

#endif
