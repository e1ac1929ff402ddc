/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an op is made of: for those who write ops, inside tensor/ only.

   An op is a row of ops.def, a shape rule, NAME_run and, if the row says DIFF, NAME_grad; the last two stand together
   in one op_*.c file. The shape rule fills call->spec (and call->n_out); op_call then allocates dense outputs of those
   shapes and calls run, which only computes. Rows marked VIEW or COMPOSITE make their outputs themselves: a VIEW shares
   the storage of its input, a COMPOSITE calls other ops (scope.h) and so needs no gradient of its own.

   A gradient is written with ops through a Scope, so that it differentiates again; where a fused kernel is faster it
   may take that while nothing records (`grad_recording`), and the tests compare both ways. */
#ifndef TESSERA_OP_H
#define TESSERA_OP_H

#include "tensor.h"

typedef struct TensorSpec {   /* what is known of a tensor without its data */
    Dtype dtype;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
} TensorSpec;

/* What the gradient of a row reads, kept until backward has used it. Everything else is free at once. */
#define SAVE_NONE 0u
#define SAVE_IN(i) (1u << (i))   /* 7 stands for all later inputs of a list too */
#define SAVE_INS 0xFFu
#define SAVE_OUT(i) (0x100u << (i))

typedef enum OpMode {
    MODE_DIFF,                /* has NAME_grad */
    MODE_NOGRAD,              /* asking for its gradient is an error that says so */
    MODE_ZERO,                /* piecewise constant (comparisons, rounding, argmax): ends the graph like stop_grad */
    MODE_COMPOSITE            /* made of ops that record themselves */
} OpMode;

typedef struct OpCall {
    TensorContext *ctx;
    const OpDef *def;
    int n_in;
    Tensor *const *in;        /* borrowed; NULL for an absent optional tensor */
    const Attr *attr;
    int n_out;                /* set by the shape rule; 1 unless it says otherwise */
    TensorSpec spec[OP_MAX_OUT];
    Tensor *out[OP_MAX_OUT];  /* owned */
} OpCall;

/* Temporaries of a computation made of ops: what its functions return is borrowed, the scope owns it and scope_clear
   releases it. A NULL argument gives a NULL result, so that errors are looked at once, at the end. */
typedef struct Scope {
    TensorContext *ctx;
    Tensor **owned;
    int count, room;
} Scope;

typedef struct GradCall {
    TensorContext *ctx;
    Scope *s;                 /* for temporaries; == scope of this call */
    const OpDef *def;
    int n_in, n_out;
    Tensor *const *in;        /* inputs that the row saves, else NULL */
    Tensor *const *out;       /* outputs that the row saves, else NULL */
    const TensorSpec *in_spec, *out_spec;
    const Attr *attr;
    Tensor *const *dy;        /* gradient of each output; NULL where none flows */
    const bool *wants;        /* input i leads to a leaf; only then fill dx[i] */
    Tensor **dx;              /* borrowed from the scope (grad_set does not retain) */
} GradCall;
/* True while the gradient itself is recorded for a higher order: then only ops may be used. */
static inline bool grad_recording(const GradCall *g) { return g->ctx->recording > 0; }
/* A dense tensor for a gradient of output [k]'s shape, borrowed from the scope: dy[k] itself where it is dense and nobody
   reads it afterwards, so that the kernel writes where it has just read. NULL: no memory. */
Tensor *grad_room(const GradCall *g, int k);

typedef bool OpShape(OpCall *call);
typedef bool OpRun(OpCall *call);
typedef bool OpGrad(GradCall *grad);

/* The class of an elementwise row: how the dtypes of its inputs become the result's. */
typedef enum ElementClass {
    ELEMENT_NONE,             /* no elementwise row */
    ELEMENT_FLOAT, ELEMENT_ARITH, ELEMENT_SAME, ELEMENT_TEST, ELEMENT_LOGIC, ELEMENT_BITS, ELEMENT_INT
} ElementClass;

struct OpDef {
    const char *name;
    const char *signature;
    OpShape *shape;
    OpRun *run;
    OpGrad *grad;
    OpMode mode;
    bool view;
    unsigned saves;
    int elementwise;          /* index among the UNARY or BINARY rows, else -1 */
    int arity;                /* of an elementwise row: 1 UNARY, 2 BINARY; else 0 */
    ElementClass element;
    const char *doc;
    const char *example;
};
extern const OpDef op_defs[OP_COUNT];

/* What all elementwise rows share (op_elementwise.c); def->elementwise says which row is meant. */
OpRun unary_run, binary_run;
OpGrad unary_grad, binary_grad;
/* What each other row must have; a NOGRAD, ZERO or COMPOSITE row has no _grad. */
#define UNARY(...)
#define BINARY(...)
#define OP(name, signature, shape, ...) OpShape shape; OpRun name##_run; OpGrad name##_grad;
#include "ops.h"

/* Called by shape rules and composites that look at values: false, with the error set, in a dry run. */
bool op_reads_values(OpCall *call);

/* Errors of ops: fill op name and operands by themselves. `return op_error(call, ERROR_shape, "…", …);` */
bool op_error(OpCall *call, ErrorKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- shape rules and helpers (shape.c) ---- */
void spec_of(const Tensor *tensor, TensorSpec *spec);
int64_t spec_size(const TensorSpec *spec);
bool spec_equal_shape(const TensorSpec *a, const TensorSpec *b);
bool shape_broadcast(OpCall *call, const TensorSpec *a, const TensorSpec *b, TensorSpec *out);  /* names the axis */
bool op_axis(OpCall *call, int64_t axis, int ndim, int *out);      /* negative axes; error names op, axis and rank */
/* [n] ints of at least [low], as sizes of images are written: one stands for all (op_conv.c). */
bool op_sizes(OpCall *call, const char *name, const Attr *attr, int n, int64_t low, int64_t *out);
bool op_axes(OpCall *call, const Attr *axes, int ndim, bool selected[TENSOR_MAX_DIMS]);   /* none: all */
/* Copies x, converted, into a part of the first output that is given as a view's shape, strides and offset (op_move.c). */
bool op_put_part(OpCall *call, Tensor *x, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset);
/* Promotion of all inputs by DESIGN 2 (weak numbers, bool < int < float). [floats]: ints become f32;
   [arithmetic]: bool and u8 become i32. */
Dtype op_promote(int n, Tensor *const *in, bool floats, bool arithmetic);
OpShape shape_elementwise;    /* broadcast of all inputs; dtype by the row's class */
OpShape shape_same;           /* first input's shape and dtype */
OpShape shape_none;           /* for VIEW and COMPOSITE rows, which make their outputs */

/* ---- scope.c: ops by name for gradients and composites ---- */
void scope_init(Scope *s, TensorContext *ctx);
void scope_clear(Scope *s);
Tensor *scope_own(Scope *s, Tensor *owned);                        /* takes a +1, returns it borrowed; NULL passes */
Tensor *s_op(Scope *s, OpId id, int n_in, Tensor *const *in, const Attr *attr, int which_out);
Tensor *s_unary(Scope *s, OpId id, Tensor *x);
Tensor *s_binary(Scope *s, OpId id, Tensor *a, Tensor *b);
Tensor *s_const(Scope *s, double value);                           /* a weak number */
Tensor *s_full_like(Scope *s, const TensorSpec *spec, double value);
Tensor *s_add(Scope *s, Tensor *a, Tensor *b);
Tensor *s_sub(Scope *s, Tensor *a, Tensor *b);
Tensor *s_mul(Scope *s, Tensor *a, Tensor *b);
Tensor *s_div(Scope *s, Tensor *a, Tensor *b);
Tensor *s_neg(Scope *s, Tensor *a);
Tensor *s_scale(Scope *s, Tensor *a, double k);
Tensor *s_sum(Scope *s, Tensor *x, const bool axes[TENSOR_MAX_DIMS], bool keepdim);
Tensor *s_sum_to(Scope *s, Tensor *x, const TensorSpec *spec);     /* undoes broadcasting to spec's shape and dtype */
Tensor *s_expand(Scope *s, Tensor *x, int ndim, const int64_t *shape);
Tensor *s_reshape(Scope *s, Tensor *x, int ndim, const int64_t *shape);
Tensor *s_permute(Scope *s, Tensor *x, const int *order);
Tensor *s_transpose(Scope *s, Tensor *x, int a, int b);
Tensor *s_unsqueeze(Scope *s, Tensor *x, int axis);
Tensor *s_matmul(Scope *s, Tensor *a, Tensor *b);
Tensor *s_cast(Scope *s, Tensor *x, Dtype dtype);
Tensor *s_where(Scope *s, Tensor *condition, Tensor *a, Tensor *b);
Tensor *s_polygamma(Scope *s, int order, Tensor *x);
Attr attr_int(int64_t i);
Attr attr_num(double num);
Attr attr_bool(bool b);
Attr attr_none(void);
Attr attr_dtype(Dtype dtype);
Attr attr_ints(int count, const int64_t *v);

/* Fills the one result of [call] with ones of probability p and zeros (op_create.c). */
bool bernoulli_fill(OpCall *call, double p);

/* ---- cutting work ---- */
static inline int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }
static inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }

/* ---- threads (pool.c) ---- */
/* Runs fn(arg, i) for i in 0..tasks-1 over the pool and this thread; the split into tasks must not depend on the number
   of threads (same bits everywhere). Polls the interrupt between tasks: false and the error set when it came.
   Nested calls run in the caller. */
bool pool_run(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), void *arg);
int pool_threads(void);

/* ---- allocator (storage.c) ---- */
Storage *storage_new(Error *error, size_t bytes);                  /* 64-byte aligned, caching, within the budget */
void storage_release(Storage *storage);
void *scratch_take(Error *error, size_t bytes);                    /* a work buffer from the same cache */
void scratch_release(void *buffer);

/* ---- BLAS (blas.c): single-threaded calls; tile them over the pool ---- */
typedef struct Blas {
    void (*sgemm)(char ta, char tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                  float beta, float *c, int ldc);      /* row-major, as it reads */
    void (*dgemm)(char ta, char tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b,
                  int ldb, double beta, double *c, int ldc);
} Blas;
const Blas *blas_open(Error *error);                               /* once; NULL with the error set */

#endif
