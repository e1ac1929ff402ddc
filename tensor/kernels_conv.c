/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The moving of elements in convolutions, for one instruction set: compiled once for each, with KERNELS_ISA naming it,
   and exported as kernels_conv_ISA. The matrix products are op_conv.c's. */
#include <string.h>

#include "conv.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

/* The columns of two rows of eight that a transposing stage keeps; the second row's count from 8. */
#define SWAP_1_LOW 0, 8, 2, 10, 4, 12, 6, 14
#define SWAP_1_HIGH 1, 9, 3, 11, 5, 13, 7, 15
#define SWAP_2_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define SWAP_2_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define SWAP_4_LOW 0, 1, 2, 3, 8, 9, 10, 11
#define SWAP_4_HIGH 4, 5, 6, 7, 12, 13, 14, 15
#define EVEN_COLUMNS 0, 2, 4, 6, 8, 10, 12, 14

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
    .f32 = {gather_f32, scatter_f32, planes_f32, transpose_f32, box_f32, depthwise_f32, depthwise_weight_f32},
    .f64 = {gather_f64, scatter_f64, planes_f64, transpose_f64, box_f64, depthwise_f64, depthwise_weight_f64},
};
