/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv.c and the files that are faster for some shapes: op_conv_depthwise.c for groups of one channel,
   op_conv_winograd.c for 3x3 kernels, op_conv_narrow.c for numbers rounded to bf16. */
#ifndef TESSERA_OP_CONV_H
#define TESSERA_OP_CONV_H

#include "conv.h"
#include "op.h"

/* How a convolution is cut into chunks: some whole images each, or some rows of one image where that has several pieces. It
   depends on sizes only. */
typedef struct ConvChunks {
    int64_t all_images, all_rows;     /* rows: of pixels or tiles of a result */
    int64_t images, rows;             /* of a chunk, at most */
    int64_t pieces, count;            /* chunks an image, and in all */
} ConvChunks;

/* Images [first, first + count), rows [row, row + rows) of each. */
typedef struct ConvChunk {
    int64_t first, count, row, rows;
    int64_t size;                     /* in units of whoever cuts: set there */
} ConvChunk;

ConvChunks conv_chunks(int64_t all_images, int64_t all_rows, int64_t images, int64_t rows);
ConvChunk conv_chunk_at(const ConvChunks *cut, int64_t chunk);
/* x, dense and of [dtype], to *to: owned. NULL stays NULL. */
bool conv_take(OpCall *call, Tensor *x, Dtype dtype, Tensor **to);

bool depthwise_suits(const ConvGeometry *g);
/* Run the calls of conv1d to conv3d, conv_input_grad and conv_weight_grad, whose results have elements. */
bool depthwise_run(OpCall *call, const ConvGeometry *g);
bool depthwise_input_grad(OpCall *call, const ConvGeometry *g);
bool depthwise_weight_grad(OpCall *call, const ConvGeometry *g);

bool winograd_suits(const ConvGeometry *g, Dtype dtype);
bool winograd_run(OpCall *call, const ConvGeometry *g);
bool winograd_input_grad(OpCall *call, const ConvGeometry *g);
bool winograd_weight_grad(OpCall *call, const ConvGeometry *g);

bool narrow_suits(const ConvGeometry *g);       /* f32, on a processor with tile registers */
bool narrow_run(OpCall *call, const ConvGeometry *g);
bool narrow_input_grad(OpCall *call, const ConvGeometry *g);
bool narrow_weight_grad(OpCall *call, const ConvGeometry *g);

#endif
