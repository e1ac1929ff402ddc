/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv.c, which cuts convolutions into matrix products, and kernels_conv.c, which moves the elements into
   place and is compiled once per instruction set. */
#ifndef TESSERA_CONV_H
#define TESSERA_CONV_H

#include <stdbool.h>
#include <stdint.h>

/* Sizes of a convolution: x [n, c, h, w], weight [o, cg, kh, kw], result [n, o, oh, ow]; index 0 is vertical. */
typedef struct ConvGeometry {
    int64_t n, c, h, w, o, kh, kw, oh, ow;
    int64_t groups, cg, og;   /* channels of a group, in and out */
    int64_t stride[2], padding[2], dilation[2];
    int64_t pw;               /* columns of a padded image: all that kernels touch */
} ConvGeometry;

/* Rows of a padded image that [rows] rows of the result read. */
static inline int64_t conv_padded_rows(const ConvGeometry *g, int64_t rows)
{
    return (rows - 1) * g->stride[0] + (g->kh - 1) * g->dilation[0] + 1;
}

/* One dtype's kernels. [image]: the first channel of a group, [cg, h, w]. [padded]: [rows, pw, cg], channels last, with
   zeros around. [columns]: [rows * ow, kh, kw, cg], what each pixel of the result reads. */
typedef struct ConvKernels {
    /* padded = what rows first… of the result read of image */
    void (*load)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *padded);
    void (*gather)(const ConvGeometry *g, const void *padded, int64_t rows, void *columns);
    /* padded += columns, the adjoint of gather */
    void (*scatter)(const ConvGeometry *g, const void *columns, int64_t rows, void *padded);
    /* image = the padded image of all rows, without its border */
    void (*store)(const ConvGeometry *g, const void *padded, void *image);
    /* planes [cg, kh, kw, rows * ow]: the columns of rows first… transposed */
    void (*planes)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *planes);
    /* to[j, i] = from[i, j] + bias[j]; [bias] may be NULL; steps between rows */
    void (*transpose)(const void *from, int64_t rows, int64_t columns, int64_t from_step, void *to, int64_t to_step,
                      const void *bias);
} ConvKernels;

typedef struct ConvTable { ConvKernels f32, f64; } ConvTable;

#endif
