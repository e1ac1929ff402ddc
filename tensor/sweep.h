/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking several tensors in step: the elements of a result shape in row-major order, cut into blocks, with every input
   broadcast, converted to the dtype it is computed in, and laid out contiguously. Contiguous inputs are handed out
   where they lie; others are gathered into cache-sized buffers. Large walks are spread over the pool in fixed chunks,
   so that results do not depend on the number of threads. */
#ifndef TESSERA_SWEEP_H
#define TESSERA_SWEEP_H

#include "kernels.h"
#include "op.h"

#define SWEEP_MAX_IN 8
#define SWEEP_CHUNK 32768     /* elements of one task */
#define SWEEP_BLOCK 2048      /* elements of a buffer */

typedef struct SweepInput {
    Tensor *copy;             /* dense copy of an input that would be read across its rows; owned during the run */
    const Tensor *tensor;
    const char *data;         /* NULL: an absent input, handed on as NULL */
    Dtype from, to;
    int64_t stride[TENSOR_MAX_DIMS];     /* over the merged axes; 0 where broadcast */
    bool dense;               /* lies in the order of the walk */
    bool single;              /* one element for all */
} SweepInput;

/* Does elements [at, at + n): in[i] points to n elements of input i. */
typedef void SweepBody(void *arg, int64_t at, int64_t n, const void *const *in);

typedef struct Sweep {
    const Kernels *kernels;
    int64_t size;
    int ndim;                 /* after merging axes; at least 1 */
    int64_t shape[TENSOR_MAX_DIMS];
    int n_in;
    SweepInput in[SWEEP_MAX_IN];
    SweepBody *body;
    void *arg;
} Sweep;

void sweep_init(Sweep *sweep, int ndim, const int64_t *shape, SweepBody *body, void *arg);
void sweep_input(Sweep *sweep, const Tensor *tensor, Dtype to);      /* NULL: absent */
bool sweep_run(TensorContext *ctx, Sweep *sweep);                    /* false: interrupted, or no memory */

/* The same in parts, in any order and on any thread, between a begin (false: no memory) and an end. */
bool sweep_begin(TensorContext *ctx, Sweep *sweep);
void sweep_part(const Sweep *sweep, int64_t at, int64_t n, void *arg);       /* the body gets this arg */
void sweep_end(Sweep *sweep);

#endif
