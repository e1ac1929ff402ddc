/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv_winograd.c, which cuts convolutions into tiles, and kernels_winograd.c, which works on them and is
   compiled once per instruction set.

   Winograd's convolution F(4x4, 3x3) (Lavin & Gray 2016): a tile of 6x6 inputs and a 3x3 kernel are both turned into 36
   numbers each, multiplied one by one and turned back into 4x4 results: 36 multiplications instead of 144. Summed over
   channels, that is one matrix product for each of the 36.

   In the blocks of blocks.h, 16 channels a vector: lines [height * width, 16], tiles [36][channels / 16][tiles][16]; steps
   between the 36 are given. Channels that are missing in the last vector are zeros. */
#ifndef TESSERA_WINOGRAD_H
#define TESSERA_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

#include "blocks.h"

#define WINOGRAD_PLACES 36

/* A row of [tiles] tiles over lines of [height, width], its first pixel at (y, x), which may lie outside. */
typedef struct WinogradRow { int64_t height, width, y, x, tiles; } WinogradRow;

typedef struct WinogradKernels {
    void (*input)(const WinogradRow *row, const float *lines, float *to, int64_t step);      /* 6x6 pixels, zeros outside */
    void (*output)(const WinogradRow *row, const float *from, int64_t step, float *lines);   /* 4x4, cut at the borders */
    void (*output_grad)(const WinogradRow *row, const float *lines, float *to, int64_t step);     /* its adjoint */
    /* 16 output channels of one input channel: nine taps, [tap_step] apart, in order or turned round */
    void (*weight)(const float *taps, int64_t tap_step, bool turned, float *to, int64_t step);
    void (*weight_grad)(const float *from, int64_t step, float *taps, int64_t tap_step);
} WinogradKernels;

const WinogradKernels *winograd_kernels(void);       /* the best that this processor runs (kernels_pick.c) */

#endif
