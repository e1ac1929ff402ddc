/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ops that choose elements by index tensors share: op_index.c (whole rows) and op_scatter.c (one index an
   element). */
#ifndef TESSERA_PLACES_H
#define TESSERA_PLACES_H

#include <string.h>

#include "op.h"

bool place_dtype(OpCall *call, const Tensor *index);          /* ints, or an error */
bool place_out_of_range(OpCall *call, int64_t index, int axis, int64_t size);

/* Element of an index tensor, by its offset in elements. */
static inline int64_t place_at(const Tensor *index, int64_t offset)
{
    const char *at = index->data + offset * (int64_t)dtype_size((Dtype)index->dtype);
    if (index->dtype == DTYPE_i64) return *(const int64_t *)(const void *)at;
    if (index->dtype == DTYPE_i32) return *(const int32_t *)(const void *)at;
    return *(const uint8_t *)at;
}

static inline void place_copy(char *to, const char *from, int64_t bytes)
{
    if (bytes == 4) memcpy(to, from, 4);
    else if (bytes == 8) memcpy(to, from, 8);
    else memcpy(to, from, (size_t)bytes);
}

#endif
