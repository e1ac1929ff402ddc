/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of values that are made as they are added (op_reduce.c, for fuse.c). */
#ifndef TESSERA_REDUCE_H
#define TESSERA_REDUCE_H

#include "op.h"

/* Writes values [at, at + n) of the result's dtype; runs on any thread. */
typedef void MakeValues(void *arg, int64_t at, int64_t n, void *to);

/* The sum or the mean over all of [size] values, as the row call->def gives of a tensor with these values: the same
   bits. The call has its one output. */
bool reduce_made(OpCall *call, int64_t size, MakeValues *make, void *arg);

#endif
