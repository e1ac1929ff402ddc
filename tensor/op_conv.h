/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between op_conv.c and op_conv_depthwise.c: convolutions whose groups have one channel each. */
#ifndef TESSERA_OP_CONV_H
#define TESSERA_OP_CONV_H

#include "conv.h"
#include "op.h"

bool depthwise_suits(const ConvGeometry *g);
/* Run the calls of conv1d to conv3d, conv_input_grad and conv_weight_grad, whose results have elements. */
bool depthwise_run(OpCall *call, const ConvGeometry *g);
bool depthwise_input_grad(OpCall *call, const ConvGeometry *g);
bool depthwise_weight_grad(OpCall *call, const ConvGeometry *g);

#endif
