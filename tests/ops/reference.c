/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the references of op cases share: parameters by name, row-major places, broadcasting and the dtype rules, all
   written anew in plain loops. Nothing here calls an op. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_test.h"

double *ref_out(Ref *r, Dtype dtype, int ndim, const int64_t *shape)
{
    Array *a = &r->out[r->n_out++];
    a->dtype = dtype;
    a->ndim = ndim;
    a->size = 1;
    for (int i = 0; i < ndim; i++) {
        a->shape[i] = shape[i];
        a->size *= shape[i];
    }
    a->v = calloc((size_t)a->size + 1, sizeof *a->v);
    if (!a->v)
        abort();
    return a->v;
}

double *ref_like(Ref *r, Dtype dtype, const Array *like)
{
    return ref_out(r, dtype, like->ndim, like->shape);
}

/* ---- parameters ---- */

static const Attr *find(const Ref *r, const char *param)
{
    for (int i = 0, at = 0; i < r->signature->count; i++) {
        const Param *p = &r->signature->param[i];
        if (p->kind == PARAM_tensor || p->kind == PARAM_tensors)
            continue;
        if (strcmp(p->name, param) == 0)
            return &r->attr[at];
        at++;
    }
    fprintf(stderr, "case of %s: no parameter %s\n", r->test->op, param);
    abort();
}

int64_t ref_int(const Ref *r, const char *param) { return find(r, param)->i; }
double ref_num(const Ref *r, const char *param) { return find(r, param)->num; }
bool ref_bool(const Ref *r, const char *param) { return find(r, param)->b; }
bool ref_none(const Ref *r, const char *param) { return find(r, param)->none; }
Dtype ref_dtype(const Ref *r, const char *param) { return find(r, param)->dtype; }
const char *ref_str(const Ref *r, const char *param) { return find(r, param)->str; }

int ref_ints(const Ref *r, const char *param, int64_t v[TENSOR_MAX_DIMS])
{
    const Attr *a = find(r, param);
    for (int i = 0; i < a->ints.count; i++)
        v[i] = a->ints.v[i];
    return a->ints.count;
}

int ref_axis(const Ref *r, const char *param, int ndim)
{
    int64_t axis = ref_int(r, param);
    return (int)(axis < 0 ? axis + ndim : axis);
}

/* ---- places ---- */

void ref_place(const Array *a, int64_t index, int64_t place[TENSOR_MAX_DIMS])
{
    for (int i = a->ndim - 1; i >= 0; i--) {
        place[i] = index % a->shape[i];
        index /= a->shape[i];
    }
}

int64_t ref_index(const Array *a, const int64_t *place)
{
    int64_t index = 0;
    for (int i = 0; i < a->ndim; i++)
        index = index * a->shape[i] + place[i];
    return index;
}

double ref_broadcast(const Array *a, const Array *out, int64_t index)
{
    int64_t place[TENSOR_MAX_DIMS], mine[TENSOR_MAX_DIMS];
    ref_place(out, index, place);
    for (int i = 0; i < a->ndim; i++)
        mine[i] = a->shape[i] == 1 ? 0 : place[i + out->ndim - a->ndim];
    return a->v[ref_index(a, mine)];
}

bool ref_broadcast_shape(Ref *r, int *ndim, int64_t *shape)
{
    *ndim = 0;
    for (int i = 0; i < r->n_in; i++)
        if (r->in[i] && r->in[i]->ndim > *ndim)
            *ndim = r->in[i]->ndim;
    for (int k = 0; k < *ndim; k++)
        shape[k] = 1;
    for (int i = 0; i < r->n_in; i++)
        for (int k = 0; r->in[i] && k < r->in[i]->ndim; k++) {
            int64_t *to = &shape[*ndim - r->in[i]->ndim + k];
            if (*to != 1 && r->in[i]->shape[k] != 1 && *to != r->in[i]->shape[k])
                return false;
            if (*to == 1)
                *to = r->in[i]->shape[k];
        }
    return true;
}

/* ---- dtypes and elementwise rows ---- */

Dtype ref_floating(Dtype dtype)
{
    return dtype == DTYPE_f64 ? DTYPE_f64 : DTYPE_f32;
}

Dtype ref_arithmetic(Dtype dtype)
{
    return dtype == DTYPE_bool || dtype == DTYPE_u8 ? DTYPE_i32 : dtype;
}

/* The class word of an elementwise row, as ops.def writes it. */
static const char *element_class(const char *op)
{
    static const char *const names[][2] = {
#define UNARY(name, class, ...) {#name, #class},
#define BINARY(name, class, ...) {#name, #class},
#include "../../tensor/ops.h"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], op) == 0)
            return names[i][1];
    return "SAME";
}

static Dtype element_dtype(const char *op, Dtype d)
{
    const char *class = element_class(op);
    return !strcmp(class, "FLOAT") ? ref_floating(d) : !strcmp(class, "ARITH") ? ref_arithmetic(d)
         : !strcmp(class, "TEST") || !strcmp(class, "LOGIC") ? DTYPE_bool : d;
}

/* Promotion between tensors: bool < u8 < i32 < i64 < f32 < f64, as the enum has them; plain numbers give way. */
static Dtype widest(const Ref *r)
{
    Dtype d = DTYPE_bool;
    bool fraction = false;
    for (int i = 0; i < r->n_in; i++) {
        if (r->in[i] && !r->in[i]->weak && r->in[i]->dtype > d)
            d = r->in[i]->dtype;
        fraction = fraction || (r->in[i] && r->in[i]->weak && r->in[i]->dtype == DTYPE_f64);
    }
    return fraction && d < DTYPE_f32 ? DTYPE_f32 : d;
}

void ref_unary(Ref *r)
{
    double *v = ref_like(r, element_dtype(r->test->op, r->in[0]->dtype), r->in[0]);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = r->test->f1(r->in[0]->v[i]);
}

void ref_binary(Ref *r)
{
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    ref_broadcast_shape(r, &ndim, shape);
    double *v = ref_out(r, element_dtype(r->test->op, widest(r)), ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = r->test->f2(ref_broadcast(r->in[0], &r->out[0], i), ref_broadcast(r->in[1], &r->out[0], i));
}
