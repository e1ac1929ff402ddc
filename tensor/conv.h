/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv.c, which cuts convolutions into matrix products, and kernels_conv.c, which moves the elements into
   place and is compiled once per instruction set. */
#ifndef TESSERA_CONV_H
#define TESSERA_CONV_H

#include <stdint.h>

/* Sizes of a convolution: x [n, c, h, w], weight [o, cg, kh, kw], result [n, o, oh, ow]; index 0 is vertical. */
typedef struct ConvGeometry {
    int64_t n, c, h, w, o, kh, kw, oh, ow;
    int64_t groups, cg, og;   /* channels of a group, in and out */
    int64_t stride[2], padding[2], dilation[2];
} ConvGeometry;

/* One dtype's kernels. [lines]: lines top… of an image of one group, channels last, [lines, w, cg]. [columns]:
   [rows * ow, kh, kw, cg], what each pixel of the result's rows first… reads, zeros outside the image. */
typedef struct ConvKernels {
    void (*gather)(const ConvGeometry *g, const void *lines, int64_t top, int64_t first, int64_t rows, void *columns);
    /* lines += columns, the adjoint of gather, into the whole image */
    void (*scatter)(const ConvGeometry *g, const void *columns, int64_t first, int64_t rows, void *lines);
    /* planes [cg, kh, kw, rows * ow]: the columns transposed, from an image [cg, h, w] */
    void (*planes)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *planes);
    /* to[j, i] = from[i, j] + bias[j]; [bias] may be NULL; steps between rows */
    void (*transpose)(const void *from, int64_t rows, int64_t columns, int64_t from_step, void *to, int64_t to_step,
                      const void *bias);
} ConvKernels;

typedef struct ConvTable { ConvKernels f32, f64; } ConvTable;

#endif
