/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stream's position: every random op takes its blocks here, once, before it spreads over threads. */
#include "core.h"
#include "rng.h"

uint64_t rng_take(TensorContext *context, uint64_t n)
{
    uint64_t first = context->counter;
    context->counter += n;
    return first;
}
