/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv.c, which cuts convolutions into matrix products, and kernels_conv.c, which moves the elements into
   place and is compiled once per instruction set. */
#ifndef TESSERA_CONV_H
#define TESSERA_CONV_H

#include <stdbool.h>
#include <stdint.h>

#define CONV_AXES 3           /* depth, height, width; the first ones that a rank lacks have size 1 */

/* Sizes of a convolution: x [n, c, in...], weight [o, cg, kernel...], result [n, o, out...]. */
typedef struct ConvGeometry {
    int64_t n, c, o;
    int64_t in[CONV_AXES], kernel[CONV_AXES], out[CONV_AXES];
    int64_t groups, cg, og;   /* channels of a group, in and out */
    int64_t stride[CONV_AXES], padding[CONV_AXES], dilation[CONV_AXES];    /* padding: in front of each axis */
} ConvGeometry;

/* One channel of an image as the depthwise kernels read it: a box of [size...], zeros around the [from...] elements,
   which lie [spread] apart behind [before] places. */
typedef struct ConvBox {
    int64_t from[CONV_AXES], size[CONV_AXES], before[CONV_AXES], spread[CONV_AXES];
    int64_t slack;            /* elements behind the box that are read, as zeros */
} ConvBox;

/* One dtype's kernels. [lines]: an image of one group, channels last, [depth, height, width, cg]. [columns]:
   [rows * out width, kernel..., cg], what each pixel of the result's rows first... reads, zeros outside the image; rows
   count over depth and height. */
typedef struct ConvKernels {
    void (*gather)(const ConvGeometry *g, const void *lines, int64_t first, int64_t rows, void *columns);
    /* lines += columns, the adjoint of gather, into the whole image */
    void (*scatter)(const ConvGeometry *g, const void *columns, int64_t first, int64_t rows, void *lines);
    /* planes [cg, kernel..., rows * out width]: the columns transposed, from an image [cg, in...] */
    void (*planes)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *planes);
    /* to[j, i] = from[i, j] + bias[j]; [bias] may be NULL; steps between rows */
    void (*transpose)(const void *from, int64_t rows, int64_t columns, int64_t from_step, void *to, int64_t to_step,
                      const void *bias);
    /* A box from one channel [from...] */
    void (*box)(const ConvBox *b, const void *from, void *to);
    /* One channel: y (+)= bias + the sum over the kernel of w x, [x] a box of x_size that holds all that is read */
    void (*depthwise)(const ConvGeometry *g, const int64_t *x_size, const void *x, const void *w, const void *bias,
                      bool add, void *y);
    /* One channel: sums[kernel...] += the sum over dy of dy x; [dy] a box with rows of [dy_row] elements, a multiple of
       8; [work]: 8 elements for each place of the kernel */
    void (*depthwise_weight)(const ConvGeometry *g, const int64_t *x_size, const void *x, int64_t dy_row,
                             const void *dy, void *work, double *sums);
} ConvKernels;

typedef struct ConvTable { ConvKernels f32, f64; } ConvTable;

const ConvTable *conv_table(void);           /* the best that this processor runs (kernels_pick.c) */

/* Those for f32 or f64 (op_conv.c). */
const ConvKernels *conv_kernels(bool single);

#endif
