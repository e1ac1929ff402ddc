/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dtypes.def says, as functions. */
#include <string.h>

#include "half.h"
#include "tensor.h"

const DtypeRow dtype_rows[DTYPE_COUNT] = {
#define DTYPE(name, ctype, class, st, npy) [DTYPE_##name] = {#name, sizeof(ctype), CLASS_##class},
#include "dtypes.def"
#undef DTYPE
};

const char *dtype_name(Dtype dtype)
{
    return dtype_rows[dtype].name;
}

double dtype_round(Dtype dtype, double value)
{
    switch (dtype) {
    case DTYPE_f16: return (double)f32_from_f16(f16_from_f64(value));
    case DTYPE_bf16: return (double)f32_from_bf16(bf16_from_f64(value));
    case DTYPE_f32: return (double)(float)value;
    default: return value;
    }
}

bool dtype_from_name(const char *name, Dtype *dtype)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (strcmp(dtype_rows[i].name, name) == 0) {
            *dtype = (Dtype)i;
            return true;
        }
    return false;
}
