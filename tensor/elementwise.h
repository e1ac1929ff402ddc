/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What op_elementwise.c knows of its rows and fuse.c asks. */
#ifndef TESSERA_ELEMENTWISE_H
#define TESSERA_ELEMENTWISE_H

#include "op.h"

bool unary_needs_libm(int row);                  /* large numbers get a second look after the kernel */
int power_row(const Tensor *exponent);           /* the unary row that does a power with this one exponent; -1: none */
/* The gradient by argument k of a UNARY or BINARY row, as ops: borrowed from the scope. b is NULL for a UNARY row; the
   others may be where the row does not read them. */
Tensor *elementwise_gradient(Scope *s, const OpDef *def, int k, Tensor *a, Tensor *b, Tensor *y, Tensor *g);

#endif
