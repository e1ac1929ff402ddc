/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The moving of elements in convolutions, for one instruction set: compiled once for each, with KERNELS_ISA naming it,
   and exported as kernels_conv_ISA. The matrix products are op_conv.c's. */
#include "conv.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

#define REAL float
#define NAME(f) f##_f32
#include "kernels_conv.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(f) f##_f64
#include "kernels_conv.h"
#undef REAL
#undef NAME

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const ConvTable JOIN(kernels_conv_, KERNELS_ISA);
const ConvTable JOIN(kernels_conv_, KERNELS_ISA) = {
    .f32 = {load_f32, gather_f32, scatter_f32, store_f32, planes_f32, transpose_f32},
    .f64 = {load_f64, gather_f64, scatter_f64, store_f64, planes_f64, transpose_f64},
};
