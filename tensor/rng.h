/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, 2011): a block cipher over
   counters. A random op takes a range of block numbers (rng_take) and computes each block by itself, so that the result
   depends on seed and counter only, never on threads. */
#ifndef TESSERA_RNG_H
#define TESSERA_RNG_H

#include <stdint.h>

/* Encrypts counter [c] under key [k] into four words. */
static inline void philox4x32(const uint32_t c[4], const uint32_t k[2], uint32_t out[4])
{
    uint32_t c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3], k0 = k[0], k1 = k[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Block number [block] of the stream of [seed]. */
static inline void rng_block(uint64_t seed, uint64_t block, uint32_t out[4])
{
    const uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
    const uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    philox4x32(c, k, out);
}

/* Uniform in [0, 1) with the 24 bits that a float holds. */
static inline float rng_float(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

/* Uniform in [0, 1) with the 53 bits that a double holds. */
static inline double rng_double(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 21) ^ (low >> 11)) * 0x1p-53;
}

#endif
