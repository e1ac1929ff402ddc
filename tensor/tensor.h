/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tensor library's public face: what a tensor is, how ops are called, how gradients are asked for, and array files.

   Ownership: arguments are borrowed, results are owned (+1), the rare taker is named _take. Tensors are immutable once
   they are shared; only a holder of the single reference to tensor AND storage may write (tensor_is_unshared).
   Errors: a fallible function returns NULL or false and fills context->error. Nothing here prints or exits.
   Threads: one thread at a time uses a context; ops spread over the process's pool by themselves.
   Shapes are row-major, first axis first; strides and offsets count elements. */
#ifndef TESSERA_TENSOR_H
#define TESSERA_TENSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#pragma GCC visibility push(default)   /* modules opened at run time call these */

#define TENSOR_MAX_DIMS 8

typedef enum Dtype {
#define DTYPE(name, ctype, class, st, npy) DTYPE_##name,
#include "dtypes.def"
#undef DTYPE
    DTYPE_COUNT
} Dtype;

typedef enum DtypeClass { CLASS_BOOL, CLASS_INT, CLASS_FLOAT, CLASS_HALF = CLASS_FLOAT } DtypeClass;

typedef struct DtypeRow { const char *name; size_t size; DtypeClass class; } DtypeRow;
extern const DtypeRow dtype_rows[];            /* what dtypes.def says */
static inline size_t dtype_size(Dtype dtype) { return dtype_rows[dtype].size; }
const char *dtype_name(Dtype dtype);
static inline DtypeClass dtype_class(Dtype dtype) { return dtype_rows[dtype].class; }
static inline bool dtype_is_half(Dtype dtype) { return dtype == DTYPE_f16 || dtype == DTYPE_bf16; }
double dtype_round(Dtype dtype, double value);     /* the nearest number that a float dtype holds */
bool dtype_from_name(const char *name, Dtype *dtype);

/* Bytes shared by views. [release] frees foreign memory (a mapped file) and the Storage itself, which its maker
   malloc'ed, and makes it read-only; NULL means the caching allocator's. */
typedef struct Storage {
    int32_t refs;
    uint32_t parts;           /* of a gradient that was made in parts of one tensor: those not yet joined (tape.c) */
    size_t bytes;
    void *data;
    void (*release)(struct Storage *storage);
    void *owner;
} Storage;

typedef struct GradNode GradNode;
typedef struct Deferred Deferred;

typedef struct Tensor {
    int32_t refs;             /* first, as in every heap object of the language */
    uint8_t dtype;
    uint8_t ndim;
    bool weak;                /* a plain number (f64 or i64): does not decide the dtype of a result; elementwise rows
                                 of plain numbers alone give plain numbers again */
    bool meta;                /* made by a dry run: only its shape and dtype mean something */
    int64_t shape[TENSOR_MAX_DIMS];
    int64_t stride[TENSOR_MAX_DIMS];
    char *data;               /* first element, view offset included */
    Storage *storage;         /* NULL: the one element lies in [scalar] */
    GradNode *node;           /* what made it, while gradients are recorded; else NULL */
    int32_t node_out;         /* which result of that node it is */
    Deferred *deferred;       /* steps that still have to make its data (op_call_fused); else NULL */
    union { double f; int64_t i; unsigned char bytes[8]; } scalar;
} Tensor;

typedef struct TensorContext {
    Error error;
    uint64_t seed;            /* Philox key */
    uint64_t counter;         /* Philox counter: every random op takes a block of it */
    int recording;            /* depth of enclosing gradient calls; ops record only when it is above 0 */
    bool meta;                /* a dry run: ops give tensors with shape and dtype but without values; an op whose
                                 result's shape depends on values fails with ERROR_internal */
    bool narrow;              /* products of f32 matrices and convolutions round their inputs to bf16 and sum in f32 */
    bool defer;               /* the next op_call_fused may put off its result */
    Tensor *dying;            /* an input of the next op_call_fused that nobody reads behind it; NULL: none is known */
    Tensor *room;             /* such an input of the next op_call, whose place its result may take; NULL: none */
    const atomic_uint *asked; /* of FLAG_…; long kernels look at it by tensor_stopped. May be NULL */
    void (*serve)(void *owner);   /* what FLAG_REQUEST asks for; on other threads it does nothing. May be NULL */
    void *owner;
    struct GradBoundary *boundary;    /* of what is being recorded; NULL: none */
    struct OpWatch *watch;    /* sees every op that runs; NULL: none */
} TensorContext;

/* Told of each op, and of each gradient rule of a recorded one, around the ops that it calls itself. */
typedef struct OpWatch {
    void (*begin)(struct OpWatch *watch, const char *name);
    void (*begin_gradient)(struct OpWatch *watch, const char *name, int32_t place);    /* of an op recorded there */
    void (*end)(struct OpWatch *watch);                                /* of what began last */
    int32_t place;            /* kept with what is recorded; set by whoever watches */
} OpWatch;

/* What others ask of the thread that computes. */
enum { FLAG_INTERRUPT = 1, FLAG_REQUEST = 2 };

void tensor_context_init(TensorContext *context, const atomic_uint *asked);
/* Whether an interrupt was asked for, from any thread that works for the context; on its own one what was requested is
   served first. */
bool tensor_stopped(const TensorContext *context);
bool tensor_interrupted(TensorContext *context);         /* the same on its own thread; fills the error */

/* ---- making and reading ---- */
Tensor *tensor_new(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape);   /* uninitialised */
Tensor *tensor_zeros(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape);
Tensor *tensor_scalar(TensorContext *context, Dtype dtype, double value);                  /* 0-d */
Tensor *tensor_scalar_int(TensorContext *context, Dtype dtype, int64_t value);             /* 0-d, exact */
Tensor *tensor_weak(TensorContext *context, bool is_float, double f, int64_t i);           /* 0-d, a plain number */
/* Any shape for the price of one element: every place shows the same zero, so that whoever reads it reads safely. */
Tensor *tensor_meta(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape);
Tensor *tensor_from_data(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape, const void *data);
Tensor *tensor_from_storage_take(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape, Storage *storage,
                                 size_t byte_offset);
/* A view of the same bytes: no gradient record (use the view ops for that). A 0-d tensor has no storage: a view of it
   is a copy. */
Tensor *tensor_view(TensorContext *context, const Tensor *tensor, int ndim, const int64_t *shape,
                    const int64_t *stride, int64_t offset);
Tensor *tensor_detach(TensorContext *context, Tensor *tensor);   /* itself (+1) when it has no node */
static inline Tensor *tensor_retain(Tensor *tensor) { if (tensor) tensor->refs++; return tensor; }
void tensor_free(Tensor *tensor);                                /* refs reached 0 */
static inline void tensor_release(Tensor *tensor) { if (tensor && --tensor->refs == 0) tensor_free(tensor); }

int64_t tensor_size(const Tensor *tensor);                       /* number of elements */
bool tensor_is_contiguous(const Tensor *tensor);
bool tensor_is_unshared(const Tensor *tensor);                   /* may be written in place */
Tensor *tensor_contiguous(TensorContext *context, Tensor *tensor);     /* itself (+1) or a dense copy; data only */
Tensor *tensor_copy(TensorContext *context, const Tensor *tensor);             /* a dense copy of its own storage */
Tensor *tensor_cast(TensorContext *context, Tensor *tensor, Dtype dtype);      /* data only, no gradient record */
double tensor_item(const Tensor *tensor, int64_t index);         /* element [index] in row-major order */
int64_t tensor_item_int(const Tensor *tensor, int64_t index);
void tensor_store(Tensor *tensor, int64_t index, double value);  /* rounds towards zero for ints */
void tensor_store_int(Tensor *tensor, int64_t index, int64_t value);
bool tensor_same(const Tensor *a, const Tensor *b);              /* dtype, shape and every value; NaN equals NaN */
/* index_put into in[0] itself, which is dense, unshared and without gradient: in is x, the value, the index tensors. */
bool tensor_index_put(TensorContext *context, Tensor *const *in, int n_in, int first_axis, bool accumulate);
static inline Tensor **tensor_slot(Tensor **slot, Tensor *owned) { tensor_release(*slot); *slot = owned; return slot; }

/* "f32[64, 10]" into [buffer] */
void tensor_type_name(const Tensor *tensor, char *buffer, size_t size);
void shape_format(int ndim, const int64_t *shape, char *buffer, size_t size);    /* "[64, 10]" */
/* Writes the aligned, shortened table of values; [width] columns. Lines are separated, the last has no end. */
typedef void TensorWrite(void *to, const char *text, size_t length);
void tensor_print(const Tensor *tensor, int width, TensorWrite *write, void *to);

/* Dst[region] = src, broadcast and converted: [dst] must be unshared and [view] a tensor_view of it or itself. */
bool tensor_assign(TensorContext *context, Tensor *view, Tensor *src);

/* ---- ops: rows of ops.def ---- */
typedef enum OpId {
#define OP(name, ...) OP_##name,
#include "ops.h"
    OP_COUNT
} OpId;

typedef enum ParamKind {      /* the words of a signature */
    PARAM_tensor,             /* x            (no word) */
    PARAM_tensors,            /* xs:tensors   a list; only as the one tensor parameter */
    PARAM_int, PARAM_ints,    /* ints: one int or a list of them */
    PARAM_padding,            /* padding: ints, "same" or "valid" */
    PARAM_num, PARAM_bool, PARAM_str, PARAM_dtype,
    PARAM_any                 /* for the language's own functions */
} ParamKind;

/* One parameter of a signature such as "x, axis:ints?, keepdim:bool=false, ..shape:ints". `?` allows none. */
typedef struct Param {
    char name[24];
    ParamKind kind;
    bool optional;            /* `?`: may be none and then is */
    bool rest;                /* `..name`: takes all positional arguments that are left */
    bool named_rest;          /* `..name:map`: takes all named arguments that are left */
    const char *fallback;     /* text of the default, not terminated; NULL when required */
    int fallback_length;
} Param;

#define SIGNATURE_MAX 24
typedef struct Signature {
    int count;
    Param param[SIGNATURE_MAX];
} Signature;
bool signature_parse(const char *text, Signature *signature);    /* false: our bug in a table */

typedef struct Attr {         /* the value of one parameter that is no tensor */
    bool none;
    bool whole;               /* of a num: it was written as an int */
    union {
        int64_t i;
        double num;
        bool b;
        Dtype dtype;
        const char *str;
        struct { int count; int64_t v[TENSOR_MAX_DIMS]; } ints;
    };
} Attr;
#define PADDING_SAME (-1)     /* the count of the ints of a PARAM_padding that says "same"; "valid" is 0 */

#define OP_MAX_ATTRS 12
#define OP_MAX_OUT 4
#define OP_MAX_IN 8

typedef struct OpDef OpDef;   /* op.h */
const OpDef *op_find(const char *name);
const OpDef *op_def(OpId id);
const char *op_name(const OpDef *def);
const char *op_signature_text(const OpDef *def);
const Signature *op_signature(const OpDef *def);
const char *op_doc(const OpDef *def);        /* one sentence with shapes */
const char *op_example(const OpDef *def);    /* "softmax([0., 0.], -1)  # 0.5 0.5" or "" */

/* Runs an op. [in]: the tensors in signature order (NULL where an optional one is none; a `tensors` parameter gives
   n_in of them); [attr]: the other parameters in signature order. Fills out[0..*n_out) with owned tensors. Converts
   and broadcasts by the op's own rules, records the gradient when asked for. */
bool op_call(TensorContext *context, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
             int *n_out);

/* The same for inputs that may have been put off. Clears context->defer and context->dying. With defer, the result of an
   elementwise op may be put off itself: it has a shape and a dtype, and its data are made together with those of the op
   that takes it, in one pass. Only for a result that nothing but op_call_fused, tensor_settle and tensor_release will
   see. */
bool op_call_fused(TensorContext *context, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr,
                   Tensor **out, int *n_out);
bool tensor_settle(TensorContext *context, Tensor *tensor);      /* makes the data of a result that was put off */
bool op_is_fused(const OpDef *def);                              /* a row that gains by inputs that were put off */

/* ---- steps of optimisers: many parameters in one sweep ---- */
#define UPDATE_IN 4
#define UPDATE_OUT 3
/* One parameter as the rows sgd_update … lamb_update take it: p, its gradient, its state; results: p and its state. */
typedef struct Update {
    Tensor *in[UPDATE_IN];    /* borrowed; NULL where there is none */
    bool own[UPDATE_OUT];     /* nobody can reach p or that state but by the reference that the caller holds */
    Tensor *out[UPDATE_OUT];  /* owned; in[…] itself (+1), written in place, if `own` and tensor_is_unshared say so */
} Update;
int update_slots(const OpDef *rule);     /* how many tensors of state it keeps; -1: no update rule */
/* Gradients are multiplied by [gradient] first. On an error nothing was written, [out] is empty and *at says which
   update is to blame, or -1; once values are written in place no interrupt is served before the end. */
bool update_all(TensorContext *context, const OpDef *rule, const Attr *attr, double gradient, int n, Update *updates,
                int *at);
/* out[0] = a in[0] + b in[1], of equal shapes; otherwise alike. */
bool blend_all(TensorContext *context, double a, double b, int n, Update *updates);
bool joint_norm(TensorContext *context, int n, Tensor *const *tensors, double *norm);      /* of floats; L2 */

/* ---- gradients ---- */
/* Opens a level of recording; each begin is paired with one end, on errors too. */
void grad_begin(TensorContext *context);
void grad_end(TensorContext *context);
/* An alias of [tensor] with a node of its own to differentiate by; linked to the tensor's own node when it has one. */
Tensor *grad_leaf(TensorContext *context, Tensor *tensor);
/* Sum over outputs of <seed_i, d output_i / d leaf_j>: fills grads[j] (owned; zeros where nothing flows). seed_i NULL
   means ones, allowed for one-element outputs only. Call it INSIDE the level that recorded (before grad_end): the
   level itself is not recorded on, enclosing ones are. Frees what it used when no enclosing level records. */
bool grad_backward(TensorContext *context, int n_outputs, Tensor *const *outputs, Tensor *const *seeds, int n_leaves,
                   Tensor *const *leaves, Tensor **grads);

/* A look at a record, for showing it. */
const char *grad_node_name(const GradNode *node);                  /* of its op; "" for a leaf */
void grad_node_type(const GradNode *node, char *buffer, size_t size);      /* of its first result: "f32[64, 10]" */
int grad_node_inputs(const GradNode *node);
const GradNode *grad_node_input(const GradNode *node, int i);      /* what made that input; NULL: a constant */
void grad_node_input_type(const GradNode *node, int i, char *buffer, size_t size);

/* A gradient from outside the table (with_grad, checkpoint). [gradient] fills dx[i] (owned; NULL: none) for the inputs
   that are wanted, from the gradients that arrived at the outputs (NULL where none did). */
typedef struct GradHook {
    const char *name;         /* for errors */
    bool (*gradient)(struct GradHook *hook, TensorContext *context, Tensor *const *dy, const bool *wants, Tensor **dx);
    void (*release)(struct GradHook *hook);
    /* Makes the one output again, bit by bit, for those that would have to keep it for their gradients: the hook has what
       that takes anyway. NULL: they keep it. */
    Tensor *(*remake)(struct GradHook *hook, TensorContext *context);
} GradHook;
/* Makes the outputs, finished values without a record, depend on the inputs by that hook, which it takes in any case. */
bool grad_hook_take(TensorContext *context, GradHook *hook, int n_in, Tensor *const *in, int n_out, Tensor **out);

/* From begin to end, what is recorded ends at stand-ins for everything recorded before, so that a backward pass over it
   may run inside another one. begin: room for the first [n] of [in], in that order, others as they are met. end gives
   their number; inputs are they, leaves their stand-ins, both tensors of a shape without data of their own (borrowed).
   Boundaries nest; each begin is paired with one end, then one free. */
typedef struct GradBoundary GradBoundary;
GradBoundary *grad_boundary_begin(TensorContext *context, int n, Tensor *const *in);
int grad_boundary_end(TensorContext *context, GradBoundary *boundary);
bool grad_boundary_is_beyond(const GradBoundary *boundary, const Tensor *recorded);
Tensor *const *grad_boundary_inputs(const GradBoundary *boundary);
Tensor *const *grad_boundary_leaves(const GradBoundary *boundary);
void grad_boundary_free(GradBoundary *boundary);

/* ---- random ---- */
/* Takes [n] 128-bit blocks of the stream and returns the first one's number. */
uint64_t rng_take(TensorContext *context, uint64_t n);

/* ---- files of arrays and images ---- */
typedef struct NamedTensor { char *name; Tensor *tensor; } NamedTensor;
typedef struct TensorFile {
    int count;
    NamedTensor *entry;       /* in file order */
    int n_metadata;
    char **metadata;          /* key, value, key, value … */
} TensorFile;
void tensor_file_free(TensorFile *file);
bool safetensors_load(TensorContext *context, const char *path, TensorFile *file);
bool safetensors_save(TensorContext *context, const char *path, const TensorFile *file);   /* atomically: via rename */
Tensor *npy_load(TensorContext *context, const char *path);
bool npy_save(TensorContext *context, const char *path, Tensor *tensor);
bool npz_load(TensorContext *context, const char *path, TensorFile *file);
bool npz_save(TensorContext *context, const char *path, const TensorFile *file);
Tensor *idx_load(TensorContext *context, const char *path);      /* IDX, gzip or plain */
Tensor *image_load(TensorContext *context, const char *path);    /* u8[channels, height, width]; PNG or JPEG */
/* u8 or float (0 to 1) [h, w], [1|3|4, h, w]; PNG */
bool image_save(TensorContext *context, const char *path, Tensor *tensor);

/* ---- the process ---- */
typedef struct RuntimeInfo {
    int threads;
    const char *isa;          /* the instruction set of the kernels in use */
    bool tiles;               /* tile registers multiply bf16 */
    const char *blas;         /* path of the BLAS in use */
    const char *blas_core;    /* its core type */
    size_t memory_budget, memory_live, memory_peak, memory_cached;   /* bytes */
    int64_t tensors_live;
} RuntimeInfo;
void runtime_info(RuntimeInfo *info, bool open_blas);
void runtime_set_threads(int threads);              /* 0: as many as the cores granted */
int64_t runtime_live_tensors(void);
size_t runtime_live_bytes(void);                    /* of larger tensors: cheap */
int64_t runtime_tensors_made(void);                 /* by this thread, ever */
void runtime_forget_peak(void);                     /* memory_peak starts anew from what is in use */
/* False under AddressSanitizer and when TESSERA_NO_CACHE is set: then nobody keeps freed memory, so that tools see
   every misuse. */
bool runtime_keeps_memory(void);
double runtime_measure_gflops(TensorContext *context, int threads);    /* f32 GEMM */
/* Replaces a file by these bytes at once or not at all, without waiting for the disk; writes into devices and pipes.
   Errors name [verb]. */
bool runtime_write_file(TensorContext *context, const char *verb, const char *path, const void *data, size_t bytes);
/* The folder of the running program, "" when unknown. */
void runtime_program_folder(char *folder, size_t size);
/* Opens an optional part of Tessera ("repl", "media" …) from beside the program or the library folder and returns its
   entry symbol `tessera_module_NAME`, or NULL with the error filled. */
void *runtime_open_module(Error *error, const char *name);

#pragma GCC visibility pop

#endif
