/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows along an axis (rows.h). */
#include "rows.h"

#define GROUP_ELEMENTS 32768

Tensor *rows_along(TensorContext *ctx, Tensor *x, int axis)
{
    if (axis == x->ndim - 1 || x->ndim == 0) return tensor_contiguous(ctx, x);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    for (int i = 0, n = 0; i < x->ndim; i++) {
        int at = i == axis ? x->ndim - 1 : n++;
        shape[at] = x->shape[i];
        stride[at] = x->stride[i];
    }
    Tensor *view = tensor_view(ctx, x, x->ndim, shape, stride, 0);
    Tensor *dense = view ? tensor_contiguous(ctx, view) : NULL;
    tensor_release(view);
    return dense;
}

Tensor *rows_like(TensorContext *ctx, Tensor *out, int axis)
{
    if (axis == out->ndim - 1 || out->ndim == 0) return tensor_retain(out);
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0, n = 0; i < out->ndim; i++) shape[i == axis ? out->ndim - 1 : n++] = out->shape[i];
    return tensor_new(ctx, (Dtype)out->dtype, out->ndim, shape);
}

bool rows_back(TensorContext *ctx, Tensor *rows, int axis, Tensor *out)
{
    if (rows == out) return true;
    int64_t stride[TENSOR_MAX_DIMS];
    for (int i = 0, n = 0; i < out->ndim; i++) stride[i] = rows->stride[i == axis ? out->ndim - 1 : n++];
    Tensor *view = tensor_view(ctx, rows, out->ndim, out->shape, stride, 0);
    bool ok = view && tensor_assign(ctx, out, view);
    tensor_release(view);
    return ok;
}

typedef struct Groups {
    RowsBody *body;
    void *arg;
    int64_t rows, group;
} Groups;

static void run_group(void *arg, int64_t task)
{
    const Groups *g = arg;
    int64_t first = task * g->group, left = g->rows - first;
    g->body(g->arg, first, left < g->group ? left : g->group);
}

int64_t rows_group(int64_t n) { return n >= GROUP_ELEMENTS ? 1 : GROUP_ELEMENTS / (n > 0 ? n : 1); }

bool rows_run(TensorContext *ctx, int64_t rows, int64_t n, RowsBody *body, void *arg)
{
    Groups groups = { .body = body, .arg = arg, .rows = rows, .group = rows_group(n) };
    if (rows == 0) return true;
    if (rows > groups.group) return pool_run(ctx, (rows + groups.group - 1) / groups.group, run_group, &groups);
    body(arg, 0, rows);
    return true;
}

bool rows_grad_places(GradCall *g, int64_t axis)
{
    const TensorSpec *spec = &g->in_spec[0];
    if (spec->ndim == 0) {
        g->dx[0] = g->dy[0];
        return true;
    }
    Tensor *zeros = scope_own(g->s, tensor_zeros(g->ctx, spec->dtype, spec->ndim, spec->shape));
    Tensor *in[3] = { zeros, g->out[1], g->dy[0] };
    Attr attr = attr_int(axis);
    g->dx[0] = zeros ? s_op(g->s, OP_scatter_add, 3, in, &attr, 0) : NULL;
    return g->dx[0] != NULL;
}
