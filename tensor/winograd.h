/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv_winograd.c, which cuts convolutions into tiles, and kernels_winograd.c, which works on them and is
   compiled once per instruction set.

   Winograd's convolution F(4x4, 3x3) (Lavin & Gray 2016): a tile of 6x6 inputs and a 3x3 kernel are both turned into 36
   numbers each, multiplied one by one and turned back into 4x4 results: 36 multiplications instead of 144. Summed over
   channels, that is one matrix product for each of the 36.

   Everything is f32 in vectors of 16 channels: lines [height * width, 16], tiles [36][channels / 16][tiles][16]; steps
   between the 36 are given. Channels that are missing in the last vector are zeros. */
#ifndef TESSERA_WINOGRAD_H
#define TESSERA_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

#define WINOGRAD_LANES 16
#define WINOGRAD_PLACES 36
#define WINOGRAD_PANEL 2      /* vectors of a panel of the transformed weight */

/* A row of [tiles] tiles over lines of [height, width], its first pixel at (y, x), which may lie outside. */
typedef struct WinogradRow { int64_t height, width, y, x, tiles; } WinogradRow;

typedef struct WinogradKernels {
    /* lines [pixels, 16] from [channels] planes [step] apart, zeros for missing ones; and back, with a bias or NULL */
    void (*gather)(int64_t channels, int64_t pixels, const float *planes, int64_t step, float *lines);
    void (*scatter)(int64_t channels, int64_t pixels, const float *lines, const float *bias, float *planes, int64_t step);
    void (*input)(const WinogradRow *row, const float *lines, float *to, int64_t step);      /* 6x6 pixels, zeros outside */
    void (*output)(const WinogradRow *row, const float *from, int64_t step, float *lines);   /* 4x4, cut at the borders */
    void (*output_grad)(const WinogradRow *row, const float *lines, float *to, int64_t step);     /* its adjoint */
    /* 16 output channels of one input channel: nine taps, [tap_step] apart, in order or turned round */
    void (*weight)(const float *taps, int64_t tap_step, bool turned, float *to, int64_t step);
    void (*weight_grad)(const float *from, int64_t step, float *taps, int64_t tap_step);
    /* c [wide][rows][16] = a [blocks][rows][16] times panel [16 * blocks][wide][16] */
    void (*product)(int64_t rows, int64_t blocks, const float *a, int64_t wide, const float *panel, float *c);
    /* g [16][wide * 16], rows [step] apart, (+)= the transpose of a [rows][16] times d [wide][rows][16] */
    void (*product_grad)(int64_t rows, const float *a, int64_t wide, const float *d, bool add, float *g, int64_t step);
} WinogradKernels;

#endif
