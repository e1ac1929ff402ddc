/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shape rules that many rows share, and the helpers and errors that every rule is made of. A rule reads inputs and
   attributes and fills call->spec; it touches no data, so it serves dry runs too. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core.h"

void spec_of(const Tensor *tensor, TensorSpec *spec)
{
    spec->dtype = (Dtype)tensor->dtype;
    spec->ndim = tensor->ndim;
    for (int i = 0; i < tensor->ndim; i++)
        spec->shape[i] = tensor->shape[i];
}

int64_t spec_size(const TensorSpec *spec)
{
    int64_t size = 1;
    for (int i = 0; i < spec->ndim; i++)
        size *= spec->shape[i];
    return size;
}

bool spec_equal_shape(const TensorSpec *a, const TensorSpec *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return true;
}

/* ---- errors ---- */

/* Adds the op's name and its tensors to an error that lacks them. */
static void add_operands(OpCall *call)
{
    Error *error = &call->ctx->error;
    if (!error->op[0])
        snprintf(error->op, sizeof error->op, "%s", call->def->name);
    if (error->n_operands > 0)
        return;
    for (int i = 0; i < call->n_in && error->n_operands < ERROR_MAX_OPERANDS; i++) {
        if (!call->in[i])
            continue;
        ErrorOperand *operand = &error->operand[error->n_operands++];
        operand->input = i;
        tensor_type_name(call->in[i], operand->type, sizeof operand->type);
    }
}

bool op_error(OpCall *call, ErrorKind kind, const char *format, ...)
{
    if (call->ctx->error.kind != ERROR_NONE)
        return false;
    char message[sizeof call->ctx->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(&call->ctx->error, kind, call->def->name, "%s", message);
    add_operands(call);
    return false;
}

bool op_reads_values(OpCall *call)
{
    return !call->ctx->meta || op_error(call, ERROR_internal, "the shape of the result depends on values");
}

void op_error_complete(OpCall *call)
{
    if (call->ctx->error.kind == ERROR_NONE)
        error_set(&call->ctx->error, ERROR_internal, call->def->name, "failed without saying why");
    if (call->ctx->error.kind != ERROR_interrupt)     /* which is no fault of the op */
        add_operands(call);
}

/* ---- broadcasting ---- */

bool shape_broadcast(OpCall *call, const TensorSpec *a, const TensorSpec *b, TensorSpec *out)
{
    int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    for (int back = 1; back <= ndim; back++) {
        int64_t x = back <= a->ndim ? a->shape[a->ndim - back] : 1;
        int64_t y = back <= b->ndim ? b->shape[b->ndim - back] : 1;
        if (x != y && x != 1 && y != 1) {
            op_error(call, ERROR_shape, "sizes differ at axis %d, %lld and %lld",
                     a->ndim == b->ndim ? ndim - back : -back, (long long)x, (long long)y);
            error_hint(&call->ctx->error, "shapes broadcast where sizes are equal or one is 1, last axis first");
            return false;
        }
        shape[ndim - back] = x == 1 ? y : x;
    }
    out->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        out->shape[i] = shape[i];
    return true;
}

/* ---- axes ---- */

bool op_axis(OpCall *call, int64_t axis, int ndim, int *out)
{
    if (axis < -ndim || axis >= ndim) {
        if (ndim == 0)
            return op_error(call, ERROR_index, "axis %lld of a tensor that has no axes", (long long)axis);
        return op_error(call, ERROR_index, "axis %lld is out of range: %d %s, so %d to %d", (long long)axis, ndim,
                        ndim == 1 ? "axis" : "axes", -ndim, ndim - 1);
    }
    *out = (int)(axis < 0 ? axis + ndim : axis);
    return true;
}

bool op_axes(OpCall *call, const Attr *axes, int ndim, bool selected[TENSOR_MAX_DIMS])
{
    for (int i = 0; i < TENSOR_MAX_DIMS; i++)
        selected[i] = axes->none && i < ndim;
    for (int i = 0; !axes->none && i < axes->ints.count; i++) {
        int axis = 0;
        if (!op_axis(call, axes->ints.v[i], ndim, &axis))
            return false;
        if (selected[axis])
            return op_error(call, ERROR_value, "axis %lld is given twice", (long long)axes->ints.v[i]);
        selected[axis] = true;
    }
    return true;
}

/* ---- dtypes ---- */

/* A plain number joins [strong], the dtype of the tensors beside it. A plain int that would not fit widens it. */
static Dtype join_weak(Dtype strong, const Tensor *weak)
{
    if (dtype_class((Dtype)weak->dtype) == CLASS_FLOAT)
        return dtype_class(strong) == CLASS_FLOAT ? strong : DTYPE_f32;
    int64_t value = weak->scalar.i;
    if (strong == DTYPE_bool)
        return DTYPE_i64;
    if (strong == DTYPE_u8 && (value < 0 || value > UINT8_MAX))
        strong = DTYPE_i32;
    if (strong == DTYPE_i32 && (value < INT32_MIN || value > INT32_MAX))
        strong = DTYPE_i64;
    return strong;
}

Dtype op_promote(int n, Tensor *const *in, bool floats, bool arithmetic)
{
    Dtype result = DTYPE_bool;
    bool any_strong = false, weak_float = false;
    for (int i = 0; i < n; i++) {
        if (!in[i])
            continue;
        if (in[i]->weak)
            weak_float = weak_float || dtype_class((Dtype)in[i]->dtype) == CLASS_FLOAT;
        else if (!any_strong || in[i]->dtype > result)
            result = (Dtype)in[i]->dtype;
        any_strong = any_strong || !in[i]->weak;
    }
    if (!any_strong)
        result = weak_float ? DTYPE_f32 : DTYPE_i64;
    else if (arithmetic && result < DTYPE_i32)
        result = DTYPE_i32;
    for (int i = 0; i < n && any_strong; i++)
        if (in[i] && in[i]->weak)
            result = join_weak(result, in[i]);
    return floats && dtype_class(result) != CLASS_FLOAT ? DTYPE_f32 : result;
}

/* ---- rules ---- */

static bool all_weak(const OpCall *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (!call->in[i]->weak)
            return false;
    return true;
}

static bool element_dtype(OpCall *call, Dtype *dtype)
{
    ElementClass class = call->def->element;
    if (class == ELEMENT_TEST || class == ELEMENT_LOGIC) {
        for (int i = 0; class == ELEMENT_LOGIC && i < call->n_in; i++)
            if (call->in[i]->dtype != DTYPE_bool)
                return op_error(call, ERROR_dtype, "needs bool tensors, got %s", dtype_name((Dtype)call->in[i]->dtype));
        *dtype = DTYPE_bool;
        return true;
    }
    *dtype = op_promote(call->n_in, call->in, class == ELEMENT_FLOAT, class == ELEMENT_ARITH);
    bool whole = class == ELEMENT_BITS || class == ELEMENT_INT;
    if (whole && (dtype_class(*dtype) == CLASS_FLOAT || (class == ELEMENT_INT && *dtype == DTYPE_bool))) {
        op_error(call, ERROR_dtype, "needs ints%s, got %s", class == ELEMENT_BITS ? " or bools" : "",
                 dtype_name(*dtype));
        error_hint(&call->ctx->error, "write i64(x) for the whole part of a float, or for a bool");
        return false;
    }
    if (dtype_class(*dtype) == CLASS_FLOAT && all_weak(call))
        *dtype = DTYPE_f64;       /* plain numbers stay doubles among themselves */
    return true;
}

bool shape_elementwise(OpCall *call)
{
    TensorSpec *out = &call->spec[0];
    spec_of(call->in[0], out);
    for (int i = 1; i < call->n_in; i++) {
        const Tensor *x = call->in[i];
        if (x->ndim == 0 || (x->ndim == out->ndim && !memcmp(x->shape, out->shape, (size_t)x->ndim * sizeof *x->shape)))
            continue;
        TensorSpec spec;
        spec_of(x, &spec);
        if (!spec_equal_shape(out, &spec) && !shape_broadcast(call, out, &spec, out))
            return false;
    }
    return element_dtype(call, &out->dtype);
}

bool shape_same(OpCall *call)
{
    spec_of(call->in[0], &call->spec[0]);
    return true;
}

bool shape_none(OpCall *call)
{
    (void)call;
    return true;
}
