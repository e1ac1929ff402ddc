/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shifting and padding: roll, and pad in all its modes. The dense output is filled piece by piece through tensor_assign,
   or, where elements come again, by choosing their places axis by axis. */
#include <string.h>

#include "op.h"

/* ---- roll ---- */

/* Without axes the elements in row-major order move together. */
static bool roll_flat(OpCall *call)
{
    int64_t size = tensor_size(call->in[0]), width = (int64_t)dtype_size((Dtype)call->in[0]->dtype);
    Tensor *x = tensor_contiguous(call->ctx, call->in[0]);
    if (x == NULL || size == 0) return tensor_release(x), x != NULL;
    int64_t cut = (call->attr[0].ints.v[0] % size + size) % size;
    memcpy(call->out[0]->data + cut * width, x->data, (size_t)((size - cut) * width));
    memcpy(call->out[0]->data, x->data + (size - cut) * width, (size_t)(cut * width));
    tensor_release(x);
    return true;
}

bool roll_run(OpCall *call)
{
    Tensor *x = call->in[0];
    const Attr *shift = &call->attr[0], *axes = &call->attr[1];
    if (axes->none) return roll_flat(call);
    int axis;
    int64_t cut[TENSOR_MAX_DIMS] = {0};                            /* elements that wrap to the front of each axis */
    for (int k = 0; k < axes->ints.count; k++) {
        int64_t by = shift->ints.v[shift->ints.count == 1 ? 0 : k];
        if (!op_axis(call, axes->ints.v[k], x->ndim, &axis)) return false;
        int64_t size = x->shape[axis];
        if (size > 0) cut[axis] = ((cut[axis] + by % size) % size + size) % size;
    }
    bool done = true;
    int64_t pieces = tensor_size(x) == 0 ? 0 : (int64_t)1 << x->ndim;
    for (int64_t piece = 0; done && piece < pieces; piece++) {     /* a bit an axis: the part that wraps or the rest */
        int64_t shape[TENSOR_MAX_DIMS], to = 0, at = 0;
        bool empty = false;
        for (int d = 0; d < x->ndim; d++) {
            bool wraps = (piece >> d) & 1;
            shape[d] = wraps ? cut[d] : x->shape[d] - cut[d];
            at += wraps ? (x->shape[d] - cut[d]) * x->stride[d] : 0;
            to += wraps ? 0 : cut[d] * call->out[0]->stride[d];
            empty = empty || shape[d] == 0;
        }
        if (empty) continue;
        Tensor *part = tensor_view(call->ctx, x, x->ndim, shape, x->stride, at);
        done = part != NULL && op_put_part(call, part, x->ndim, shape, call->out[0]->stride, to);
        tensor_release(part);
    }
    return done;
}

bool shape_roll(OpCall *call)
{
    const Attr *shift = &call->attr[0], *axes = &call->attr[1];
    if (axes->none && shift->ints.count != 1)
        return op_error(call, ERROR_value, "%d shifts, but no axes", shift->ints.count);
    if (!axes->none && shift->ints.count != 1 && shift->ints.count != axes->ints.count)
        return op_error(call, ERROR_value, "%d shifts for %d axes", shift->ints.count, axes->ints.count);
    return shape_same(call);
}

bool roll_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    Attr attr[2] = {g->attr[0], g->attr[1]};
    for (int k = 0; k < attr[0].ints.count; k++) attr[0].ints.v[k] = -attr[0].ints.v[k];
    g->dx[0] = s_op(g->s, OP_roll, 1, &g->dy[0], attr, 0);
    return g->dx[0] != NULL;
}

/* ---- pad ---- */

typedef enum PadMode { PAD_CONSTANT, PAD_REFLECT, PAD_SYMMETRIC, PAD_REPLICATE, PAD_CIRCULAR, PAD_MODES } PadMode;

static PadMode mode_of(const Attr *attr)
{
    static const char *const names[] = {"constant", "reflect", "symmetric", "replicate", "circular"};
    for (int i = 0; i < PAD_MODES; i++)
        if (strcmp(attr->str, names[i]) == 0) return (PadMode)i;
    return PAD_MODES;
}

bool shape_pad(OpCall *call)
{
    const Tensor *x = call->in[0];
    const Attr *widths = &call->attr[0];
    int pairs = widths->ints.count / 2;
    PadMode mode = mode_of(&call->attr[2]);
    if (mode == PAD_MODES)
        return op_error(call, ERROR_value, "mode is constant, reflect, symmetric, replicate or circular, not \"%s\"",
                        call->attr[2].str);
    if (widths->ints.count % 2 != 0 || pairs > x->ndim)
        return op_error(call, ERROR_shape, "widths are pairs for at most %d axes, last axis first, not %d numbers",
                        x->ndim, widths->ints.count);
    spec_of(x, &call->spec[0]);
    for (int k = 0; k < pairs; k++) {
        int axis = x->ndim - 1 - k;
        int64_t before = widths->ints.v[2 * k], after = widths->ints.v[2 * k + 1], both;
        int64_t *size = &call->spec[0].shape[axis];
        if (__builtin_add_overflow(before, after, &both) || __builtin_add_overflow(both, *size, size) || *size < 0)
            return op_error(call, ERROR_shape, "axis %d of size %lld cannot take widths %lld and %lld", axis,
                            (long long)x->shape[axis], (long long)before, (long long)after);
        if (mode != PAD_CONSTANT && x->shape[axis] == 0 && *size > 0)
            return op_error(call, ERROR_shape, "axis %d has no elements to pad with", axis);
    }
    return true;
}

/* Which of [size] elements stands at place i, counted from before the first one. */
static int64_t padded_place(PadMode mode, int64_t i, int64_t size)
{
    if (mode == PAD_REPLICATE) return i < 0 ? 0 : i >= size ? size - 1 : i;
    int64_t period = mode == PAD_CIRCULAR ? size : mode == PAD_SYMMETRIC ? 2 * size : 2 * size - 2;
    if (period == 0) return 0;
    i = (i % period + period) % period;
    return i < size ? i : mode == PAD_SYMMETRIC ? period - 1 - i : period - i;
}

/* The places of one padded axis as an index tensor. */
static Tensor *padded_places(TensorContext *ctx, PadMode mode, int64_t before, int64_t size, int64_t count)
{
    Tensor *places = tensor_new(ctx, DTYPE_i64, 1, &count);
    for (int64_t i = 0; places != NULL && i < count; i++)
        ((int64_t *)(void *)places->data)[i] = padded_place(mode, i - before, size);
    return places;
}

/* All modes but constant: each axis is an index_select. */
static bool pad_by_places(OpCall *call, PadMode mode)
{
    Tensor *x = call->in[0], *y = tensor_detach(call->ctx, x);
    bool done = y != NULL;
    for (int k = 0; done && k < call->attr[0].ints.count / 2; k++) {
        int axis = x->ndim - 1 - k, n_out;
        int64_t before = call->attr[0].ints.v[2 * k];
        Tensor *in[2] = {y, padded_places(call->ctx, mode, before, x->shape[axis], call->out[0]->shape[axis])};
        Tensor *out[OP_MAX_OUT] = {NULL};
        Attr attr = attr_int(axis);
        done = in[1] != NULL && op_call(call->ctx, op_def(OP_index_select), 2, in, &attr, out, &n_out);
        tensor_release(in[1]);
        tensor_slot(&y, out[0]);
    }
    done = done && tensor_assign(call->ctx, call->out[0], y);
    tensor_release(y);
    return done;
}

bool pad_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    PadMode mode = mode_of(&call->attr[2]);
    if (mode != PAD_CONSTANT) return pad_by_places(call, mode);
    Tensor *value = tensor_scalar(call->ctx, (Dtype)x->dtype, call->attr[1].num);
    bool done = value != NULL && tensor_assign(call->ctx, out, value);
    tensor_release(value);
    if (!done || tensor_size(x) == 0) return done;
    int64_t shape[TENSOR_MAX_DIMS], from = 0, to = 0;
    for (int d = 0; d < x->ndim; d++) {                            /* the part of x that is seen in out */
        int k = x->ndim - 1 - d;
        int64_t before = 2 * k < call->attr[0].ints.count ? call->attr[0].ints.v[2 * k] : 0;
        int64_t first = before < 0 ? -before : 0, last = out->shape[d] - before;   /* in x's coordinates */
        last = last > x->shape[d] ? x->shape[d] : last;
        shape[d] = last - first;
        if (shape[d] <= 0) return true;
        from += first * x->stride[d];
        to += (first + before) * out->stride[d];
    }
    Tensor *seen = tensor_view(call->ctx, x, x->ndim, shape, x->stride, from);
    done = seen != NULL && op_put_part(call, seen, x->ndim, shape, out->stride, to);
    tensor_release(seen);
    return done;
}

/* Back by the same places, the last padded axis first. */
static bool pad_grad_places(GradCall *g, PadMode mode)
{
    const TensorSpec *x = &g->in_spec[0];
    Tensor *dx = g->dy[0];
    for (int k = g->attr[0].ints.count / 2 - 1; dx != NULL && k >= 0; k--) {
        int axis = x->ndim - 1 - k;
        int64_t count = g->out_spec[0].shape[axis];
        Tensor *in[2] = {dx, scope_own(g->s, padded_places(g->ctx, mode, g->attr[0].ints.v[2 * k], x->shape[axis],
                                                           count))};
        Attr attr[2] = {attr_int(axis), attr_ints(1, &x->shape[axis])};
        dx = in[1] ? s_op(g->s, OP_index_add, 2, in, attr, 0) : NULL;
    }
    g->dx[0] = dx;
    return dx != NULL;
}

bool pad_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    PadMode mode = mode_of(&g->attr[2]);
    if (mode != PAD_CONSTANT) return pad_grad_places(g, mode);
    Attr attr[3] = {g->attr[0], attr_num(0), g->attr[2]};
    for (int k = 0; k < attr[0].ints.count; k++) attr[0].ints.v[k] = -attr[0].ints.v[k];
    g->dx[0] = s_op(g->s, OP_pad, 1, &g->dy[0], attr, 0);
    return g->dx[0] != NULL;
}
