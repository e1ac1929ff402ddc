/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tests of products multiply. */
#ifndef TESSERA_NUMBERS_H
#define TESSERA_NUMBERS_H

#include <stdint.h>
#include <stdlib.h>

/* Numbers from -1 to 1, the same for a seed, from malloc; NULL when memory is out. */
static float *numbers(int64_t count, unsigned seed)
{
    float *v = malloc((size_t)count * sizeof *v);
    for (int64_t i = 0; v && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return v;
}

#endif
