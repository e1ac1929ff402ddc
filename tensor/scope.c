/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Computations made of ops, as gradients and composites write them: every result belongs to the scope, a NULL argument
   gives a NULL result, so one look at the end finds any error. */
#include "core.h"

#define FIRST_ROOM 16

void scope_init(Scope *s, TensorContext *ctx)
{
    *s = (Scope){.ctx = ctx};
}

void scope_clear(Scope *s)
{
    for (int i = 0; i < s->count; i++)
        tensor_release(s->owned[i]);
    block_give(s->owned, (size_t)s->room * sizeof *s->owned);
    *s = (Scope){.ctx = s->ctx};
}

static bool grow(Scope *s)
{
    int room = s->room ? 2 * s->room : FIRST_ROOM;
    Tensor **owned = block_take((size_t)room * sizeof *owned);
    if (!owned)
        return error_set(&s->ctx->error, ERROR_memory, "", "no memory is left for temporaries");
    for (int i = 0; i < s->count; i++)
        owned[i] = s->owned[i];
    block_give(s->owned, (size_t)s->room * sizeof *s->owned);
    s->owned = owned;
    s->room = room;
    return true;
}

Tensor *scope_own(Scope *s, Tensor *owned)
{
    if (!owned)
        return NULL;
    if (s->count == s->room && !grow(s)) {
        tensor_release(owned);
        return NULL;
    }
    s->owned[s->count++] = owned;
    return owned;
}

/* ---- attributes ---- */

Attr attr_int(int64_t i)
{
    return (Attr){.i = i};
}

Attr attr_num(double num)
{
    return (Attr){.num = num};
}

Attr attr_bool(bool b)
{
    return (Attr){.b = b};
}

Attr attr_none(void)
{
    return (Attr){.none = true};
}

Attr attr_dtype(Dtype dtype)
{
    return (Attr){.dtype = dtype};
}

Attr attr_ints(int count, const int64_t *v)
{
    Attr attr = {.ints = {.count = count}};
    for (int i = 0; i < count; i++)
        attr.ints.v[i] = v[i];
    return attr;
}

/* ---- ops ---- */

Tensor *s_op(Scope *s, OpId id, int n_in, Tensor *const *in, const Attr *attr, int which_out)
{
    Tensor *out[OP_MAX_OUT], *result = NULL;
    int n_out = 0;
    if (s->ctx->error.kind != ERROR_NONE || !op_call(s->ctx, &op_defs[id], n_in, in, attr, out, &n_out))
        return NULL;
    for (int i = 0; i < n_out; i++)
        if (i == which_out)
            result = out[i];
        else
            tensor_release(out[i]);
    return scope_own(s, result);
}

Tensor *s_unary(Scope *s, OpId id, Tensor *x)
{
    return x ? s_op(s, id, 1, &x, NULL, 0) : NULL;
}

Tensor *s_binary(Scope *s, OpId id, Tensor *a, Tensor *b)
{
    Tensor *in[2] = {a, b};
    return a && b ? s_op(s, id, 2, in, NULL, 0) : NULL;
}

/* One input and attributes. */
static Tensor *shaped(Scope *s, OpId id, Tensor *x, const Attr *attr)
{
    return x ? s_op(s, id, 1, &x, attr, 0) : NULL;
}

Tensor *s_const(Scope *s, double value)
{
    return scope_own(s, tensor_weak(s->ctx, true, value, 0));
}

Tensor *s_full_like(Scope *s, const TensorSpec *spec, double value)
{
    Tensor *full = tensor_new(s->ctx, spec->dtype, spec->ndim, spec->shape);
    Tensor *one = full ? tensor_scalar(s->ctx, spec->dtype, value) : NULL;
    if (one && !tensor_assign(s->ctx, full, one))
        tensor_slot(&one, NULL);
    if (!one)
        tensor_slot(&full, NULL);
    tensor_release(one);
    return scope_own(s, full);
}

Tensor *s_add(Scope *s, Tensor *a, Tensor *b)
{
    return s_binary(s, OP_add, a, b);
}

Tensor *s_sub(Scope *s, Tensor *a, Tensor *b)
{
    return s_binary(s, OP_sub, a, b);
}

Tensor *s_mul(Scope *s, Tensor *a, Tensor *b)
{
    return s_binary(s, OP_mul, a, b);
}

Tensor *s_div(Scope *s, Tensor *a, Tensor *b)
{
    return s_binary(s, OP_div, a, b);
}

Tensor *s_neg(Scope *s, Tensor *a)
{
    return s_unary(s, OP_neg, a);
}

Tensor *s_scale(Scope *s, Tensor *a, double k)
{
    return a && k != 1.0 ? s_mul(s, a, s_const(s, k)) : a;
}

Tensor *s_sum(Scope *s, Tensor *x, const bool axes[TENSOR_MAX_DIMS], bool keepdim)
{
    if (!x)
        return NULL;
    Attr attr[2] = {attr_ints(0, NULL), attr_bool(keepdim)};
    for (int i = 0; i < x->ndim; i++)
        if (axes[i])
            attr[0].ints.v[attr[0].ints.count++] = i;
    return attr[0].ints.count == 0 ? x : shaped(s, OP_sum, x, attr);
}

Tensor *s_sum_to(Scope *s, Tensor *x, const TensorSpec *spec)
{
    if (!x)
        return NULL;
    int lead = x->ndim - spec->ndim;
    bool axes[TENSOR_MAX_DIMS] = {false}, same = lead == 0;
    for (int i = 0; i < x->ndim; i++) {
        axes[i] = i < lead || (spec->shape[i - lead] == 1 && x->shape[i] != 1);
        same = same && !axes[i];
    }
    if (!same)
        x = s_reshape(s, s_sum(s, x, axes, false), spec->ndim, spec->shape);
    return s_cast(s, x, spec->dtype);
}

Tensor *s_expand(Scope *s, Tensor *x, int ndim, const int64_t *shape)
{
    Attr attr = attr_ints(ndim, shape);
    return shaped(s, OP_expand, x, &attr);
}

Tensor *s_reshape(Scope *s, Tensor *x, int ndim, const int64_t *shape)
{
    if (!x)
        return NULL;
    TensorSpec now, wanted = {.ndim = ndim};
    spec_of(x, &now);
    for (int i = 0; i < ndim; i++)
        wanted.shape[i] = shape[i];
    Attr attr = attr_ints(ndim, shape);
    return spec_equal_shape(&now, &wanted) ? x : shaped(s, OP_reshape, x, &attr);
}

Tensor *s_permute(Scope *s, Tensor *x, const int *order)
{
    if (!x)
        return NULL;
    Attr attr = attr_ints(0, NULL);
    attr.ints.count = x->ndim;
    for (int i = 0; i < x->ndim; i++)
        attr.ints.v[i] = order[i];
    return shaped(s, OP_permute, x, &attr);
}

Tensor *s_transpose(Scope *s, Tensor *x, int a, int b)
{
    Attr attr[2] = {attr_int(a), attr_int(b)};
    return shaped(s, OP_transpose, x, attr);
}

Tensor *s_unsqueeze(Scope *s, Tensor *x, int axis)
{
    if (!x || x->ndim == TENSOR_MAX_DIMS)
        return NULL;
    int64_t shape[TENSOR_MAX_DIMS];
    if (axis < 0)
        axis += x->ndim + 1;
    for (int i = 0; i <= x->ndim; i++)
        shape[i] = i == axis ? 1 : x->shape[i < axis ? i : i - 1];
    return s_reshape(s, x, x->ndim + 1, shape);
}

Tensor *s_matmul(Scope *s, Tensor *a, Tensor *b)
{
    return s_binary(s, OP_matmul, a, b);
}

Tensor *s_cast(Scope *s, Tensor *x, Dtype dtype)
{
    Attr attr = attr_dtype(dtype);
    return x && (x->dtype != dtype || x->weak) ? shaped(s, OP_to, x, &attr) : x;
}

Tensor *s_where(Scope *s, Tensor *condition, Tensor *a, Tensor *b)
{
    Tensor *in[3] = {condition, a, b};
    return condition && a && b ? s_op(s, OP_where, 3, in, NULL, 0) : NULL;
}

/* ---- results of gradients ---- */

Tensor *grad_room(const GradCall *g, int k)
{
    const TensorSpec *spec = &g->out_spec[k];
    Tensor *dy = g->dy[k];
    if (dy && !grad_recording(g) && dy->dtype == spec->dtype && tensor_is_unshared(dy) && tensor_is_contiguous(dy))
        return scope_own(g->s, tensor_retain(dy));
    return scope_own(g->s, tensor_new(g->ctx, spec->dtype, spec->ndim, spec->shape));
}
