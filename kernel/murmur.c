/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MurmurHash2, Austin Appleby's function in its 32-bit form. JupyterLab computes it in the page over a cell's UTF-8. */
#include "murmur.h"

static uint32_t little_endian(const unsigned char *at, size_t count)
{
    uint32_t word = 0;
    while (count-- > 0) word = word << 8 | at[count];
    return word;
}

uint32_t murmur2(const void *bytes, size_t length, uint32_t seed)
{
    const uint32_t multiplier = 0x5bd1e995u;
    const unsigned char *at = bytes;
    uint32_t hash = seed ^ (uint32_t)length;
    for (; length >= 4; at += 4, length -= 4) {
        uint32_t word = little_endian(at, 4) * multiplier;
        hash = hash * multiplier ^ (word ^ word >> 24) * multiplier;
    }
    if (length > 0) hash = (hash ^ little_endian(at, length)) * multiplier;
    hash = (hash ^ hash >> 13) * multiplier;
    return hash ^ hash >> 15;
}
