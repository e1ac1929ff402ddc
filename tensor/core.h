/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the runtime share among themselves, ops excluded: small blocks, limits of the machine, conversion
   between strided layouts, and the seam between op_call and the tape. */
#ifndef TESSERA_CORE_H
#define TESSERA_CORE_H

#include "op.h"

/* ---- block.c: small fixed-size memory from per-thread free lists ---- */
/* 64-byte aligned, uninitialised; NULL when memory is out. Give it back with the same size, on any thread. */
void *block_take(size_t bytes);
void block_give(void *block, size_t bytes);
void block_count_tensor(int by);                           /* one more tensor lives, or one less */
void block_counts(int64_t *bytes, int64_t *tensors);       /* bytes that memory_count was not told of; tensors alive */

/* ---- limits.c: what this process may use ---- */
size_t limits_memory(void);   /* bytes: RAM or the control group's limit, whichever is smaller */
int limits_cpus(void);        /* cores granted by affinity and by the control group's quota; at least 1 */

/* ---- storage.c ---- */
typedef struct MemoryUse { size_t budget, live, peak, cached; } MemoryUse;
void memory_use(MemoryUse *use);
bool memory_reserve(size_t bytes);     /* may [bytes] more come from the system? Trims the cache first if need be */
#ifdef TESSERA_DEBUG
/* Tests: the [n]th request from now on fails, once (1: the next); 0: none. Returns how many were still to come. Needs
   TESSERA_NO_CACHE to count what the free lists would serve. */
int64_t memory_fail_at(int64_t n);
#endif
void memory_count(int64_t bytes);      /* live bytes that are no storage (blocks); negative when they go */

/* ---- convert.c: copies between strided layouts ---- */
typedef struct StridedSide {
    Dtype dtype;
    char *data;
    const int64_t *stride;    /* elements; 0 repeats */
} StridedSide;
/* dst[i…] = src[i…] over [shape], converting: floats to ints round towards zero and saturate (NaN gives 0). Large
   copies use the pool; false only when interrupted. [ctx] may be NULL. */
bool convert_strided(TensorContext *ctx, StridedSide dst, StridedSide src, int ndim, const int64_t *shape);
void dense_strides(int ndim, const int64_t *shape, int64_t *stride);

/* ---- shape.c ---- */
/* Makes sure that the error of a failed call names the op and its tensors. */
void op_error_complete(OpCall *call);

/* ---- op.c ---- */
/* How many attributes a row takes; *strings has a bit for each that is a string. */
int op_attr_count(const OpDef *def, unsigned *strings);
int op_dtype_attr(const OpDef *def);   /* the place of the attribute that is a dtype, or -1 */

/* ---- widen.c: f16 and bf16 through f32 ---- */
bool op_takes_halves(const OpDef *def, int n_in, Tensor *const *in, const Attr *attr);
bool op_call_widened(TensorContext *ctx, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
                     int *n_out);

/* ---- tensor.c ---- */
/* For results that are put off: a shape without data, and the data (an axis at least) when they are made. */
Tensor *tensor_blank(TensorContext *ctx, Dtype dtype, int ndim, const int64_t *shape);
void tensor_take_contents(Tensor *tensor, Tensor *owned);
int64_t tensor_live_count(void);
/* How far apart [count] tensors laid out like this one lie where together they fill a storage; 0: they leave gaps. */
int64_t tensor_parts_step(const Tensor *part, int64_t count);
/* The number that [tensor]'s element at byte address [at] holds. */
double element_load(Dtype dtype, const char *at);
int64_t element_load_int(Dtype dtype, const char *at);

/* ---- tape.c ---- */
/* Records a finished call: gives its float outputs a node when an input leads somewhere. False: memory is out. */
bool tape_record(OpCall *call);
void grad_node_release(GradNode *node);
void grad_node_retain(GradNode *node);
/* What a node of row [def] has kept, in [g]: in, out, their specs and attr. False: it is no such node, or used up. */
bool grad_node_kept(const GradNode *node, const OpDef *def, GradCall *g);

/* ---- op_norm.c ---- */
/* relu(y), in place, where y is batch_norm's result, read by nobody else, and gradients are recorded: by one rule that
   keeps x alone. False with *out NULL: something else, or an error. */
bool batch_norm_relu(TensorContext *ctx, Tensor *y, Tensor **out);

/* ---- fuse.c ---- */
void deferred_free(Deferred *deferred);

/* ---- cpu.c ---- */
typedef enum CpuLevel { CPU_BASE, CPU_AVX2, CPU_AVX512 } CpuLevel;
CpuLevel cpu_level(void);              /* of the kernels: by feature bits, or lower by TESSERA_ISA */
CpuLevel cpu_detected(void);           /* what the processor and the system can do */
bool cpu_tiles(void);                  /* products of bf16 in tile registers */
const char *cpu_level_name(void);      /* of the kernels: "avx512" */

/* ---- pool.c, blas.c ---- */
void pool_set_threads(int threads);    /* 0: as many as the cores granted */
void *blas_symbol(const char *name);   /* of the library opened, or NULL */
const char *blas_path(void);           /* of the library opened, or NULL */
const char *blas_core(void);           /* its core type, or NULL */

#endif
