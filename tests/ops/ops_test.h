/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of ops and the naive side they are compared with. A case names a row of ops.def, describes inputs and
   parameters in one line each, and gives a reference: plain loops over doubles that share no code with the op. From
   that test_ops.c checks values in every dtype, gradients to second order, views, threads and errors.

   inputs: words separated by spaces, one a tensor
       x[2,3]        the dtype under test: all in turn (f16, bf16 against f32), unless the case refuses some
       x[2,3](0.1,2) values between the two (ints: whole ones between them); without it -2 to 2. Values of one input
                     are distinct floats, away from 0, so that no kink is near
       i64[4](0,3)   that dtype in every run
       x[3]!         no gradient is asked for this one
       x[3]zn        its first elements are a zero, a NaN (z n; p m: plus and minus infinity; ints take zeros only)
       x[3,3]d       with twice the columns' count added to the diagonal of its last two axes
       num(2.5) int(3)   a plain number       -   an absent optional tensor
   params: "axis=1, shape=(2,3), keepdim=true, to=f32, s=\"a, b\""; what is left out takes the row's default. */
#ifndef TESSERA_OPS_TEST_H
#define TESSERA_OPS_TEST_H

#include "../../tensor/op.h"

typedef struct Array {        /* row-major, every value a double */
    Dtype dtype;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    int64_t size;
    bool weak;                /* a plain number */
    double *v;
} Array;

typedef struct Case Case;

/* What a reference reads and fills: it calls ref_out for each output and writes out[k].v. */
typedef struct Ref {
    const Case *test;
    const Signature *signature;
    const Attr *attr;
    Dtype dtype;              /* the dtype under test */
    int n_in;
    const Array *in[OP_MAX_IN];    /* NULL for absent ones */
    int n_out;
    Array out[OP_MAX_OUT];
    bool any_value;           /* set it: only dtype and shape are known (random numbers) */
} Ref;
typedef void Reference(Ref *r);

struct Case {
    const char *op, *inputs, *params;
    Reference *reference;
    double (*f1)(double);     /* for ref_unary and ref_binary */
    double (*f2)(double, double);
    const char *only;         /* the dtypes to go through, when not all: FLOATS */
    const char *refuses;      /* dtypes that must be a dtype error: INTS */
    ErrorKind error;          /* expected instead of a result; in every dtype */
    double loose;             /* multiplies tolerances; 0 is 1 */
    bool relative;            /* errors count relative to the value alone, as for elementary functions */
    bool big;                 /* too big for differences: values, dtypes f32 and f64, and threads only */
    bool no_grad;             /* the gradient is not smooth here, or none exists; say why beside it */
    bool no_second;
};

/* One list a section of ops.def, each ended by {0}. */
#define SECTION(name) extern const Case cases_##name[];
#include "sections.def"
#undef SECTION

#define INTS "bool u8 i32 i64"
#define FLOATS "f32 f64"

/* ---- from a case to tensors (build.c) ---- */
typedef struct Inputs {
    int n;
    Tensor *tensor[OP_MAX_IN];
    Array array[OP_MAX_IN];   /* the same values, as the tensor holds them */
    bool constant[OP_MAX_IN];
    Attr attr[SIGNATURE_MAX];
    char text[8][96];         /* strings of attr */
} Inputs;

/* False when the case has no values in that dtype (a range without whole numbers, say). */
bool inputs_build(TensorContext *ctx, const Case *test, Dtype dtype, Inputs *inputs);
void inputs_free(Inputs *inputs);
bool is_listed(const char *dtypes, Dtype dtype);     /* among the names that a case gives */
uint64_t next_random(uint64_t *state);

/* ---- for references (reference.c) ---- */
double *ref_out(Ref *r, Dtype dtype, int ndim, const int64_t *shape);    /* the next output, zeros */
double *ref_like(Ref *r, Dtype dtype, const Array *like);
int64_t ref_int(const Ref *r, const char *param);
double ref_num(const Ref *r, const char *param);
bool ref_bool(const Ref *r, const char *param);
bool ref_none(const Ref *r, const char *param);
Dtype ref_dtype(const Ref *r, const char *param);
const char *ref_str(const Ref *r, const char *param);
int ref_ints(const Ref *r, const char *param, int64_t v[TENSOR_MAX_DIMS]);    /* their count */
int ref_axis(const Ref *r, const char *param, int ndim);                      /* an int, made non-negative */
/* Row-major index to places on each axis and back; broadcasting reads place 0 of axes of size 1. */
void ref_place(const Array *a, int64_t index, int64_t place[TENSOR_MAX_DIMS]);
int64_t ref_index(const Array *a, const int64_t *place);
double ref_broadcast(const Array *a, const Array *out, int64_t index);
bool ref_broadcast_shape(Ref *r, int *ndim, int64_t *shape);                  /* of all inputs present */
Dtype ref_floating(Dtype dtype);      /* ints become f32 */
Dtype ref_arithmetic(Dtype dtype);    /* bool and u8 become i32 */
Reference ref_unary, ref_binary;      /* f1 or f2 under broadcasting, dtype by the row's class */

#endif
