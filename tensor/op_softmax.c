/* SPDX-License-Identifier: GPL-3.0-or-later */
/* softmax, log_softmax and logsumexp along axes, as fused rows, and normalize. Their gradients read the saved output;
   one kernel while nothing records, else ops. */
#include <math.h>

#include "kernels.h"
#include "op.h"
#include "rows.h"

static Dtype float_of(const Tensor *x)
{
    return dtype_class((Dtype)x->dtype) == CLASS_FLOAT ? (Dtype)x->dtype : DTYPE_f32;
}

typedef struct RowsJob {
    RowsKernel *kernel;
    RowsGradKernel *grad;
    const char *x, *g;
    char *out;
    int64_t n, size, out_step;      /* out_step: elements of a row of the result */
} RowsJob;

static void value_rows(void *arg, int64_t first, int64_t count)
{
    const RowsJob *job = arg;
    job->kernel(count, job->n, job->x + first * job->n * job->size, job->out + first * job->out_step * job->size);
}

static void grad_rows(void *arg, int64_t first, int64_t count)
{
    const RowsJob *job = arg;
    int64_t at = first * job->n * job->size;
    job->grad(count, job->n, job->x + at, job->g + at, job->out + at);
}

/* ---- softmax and log_softmax ---- */

bool shape_softmax(OpCall *call)
{
    int axis;
    if (!op_axis(call, call->attr[0].i, call->in[0]->ndim, &axis)) return false;
    spec_of(call->in[0], &call->spec[0]);
    call->spec[0].dtype = float_of(call->in[0]);
    return true;
}

static bool softmax_rows(OpCall *call, RowsKernel *kernel)
{
    Tensor *x = call->in[0], *out = call->out[0];
    int axis;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (tensor_size(x) == 0) return true;
    Tensor *floats = tensor_cast(call->ctx, x, (Dtype)out->dtype);
    Tensor *rows = floats ? rows_along(call->ctx, floats, axis) : NULL;
    Tensor *to = rows ? rows_like(call->ctx, out, axis) : NULL;
    bool ok = to != NULL;
    if (ok) {
        int64_t n = x->shape[axis];
        RowsJob job = { .kernel = kernel, .x = rows->data, .out = to->data, .n = n, .out_step = n,
                        .size = (int64_t)dtype_size((Dtype)out->dtype) };
        ok = rows_run(call->ctx, tensor_size(x) / n, n, value_rows, &job) && rows_back(call->ctx, to, axis, out);
    }
    tensor_release(to);
    tensor_release(rows);
    tensor_release(floats);
    return ok;
}

bool softmax_run(OpCall *call) { return softmax_rows(call, kernels()->softmax[call->spec[0].dtype]); }
bool log_softmax_run(OpCall *call) { return softmax_rows(call, kernels()->log_softmax[call->spec[0].dtype]); }

static int grad_axis(const GradCall *g)
{
    int64_t axis = g->attr[0].i;
    return (int)(axis < 0 ? axis + g->in_spec[0].ndim : axis);
}

static Tensor *sum_along(Scope *s, Tensor *x, int axis)
{
    bool axes[TENSOR_MAX_DIMS] = { false };
    axes[axis] = true;
    return s_sum(s, x, axes, true);
}

static Tensor *fused_grad(GradCall *g, RowsGradKernel *kernel)
{
    int axis = grad_axis(g);
    const TensorSpec *spec = &g->out_spec[0];
    Tensor *dx = grad_room(g, 0);
    if (!dx || spec_size(spec) == 0) return dx;
    Tensor *y = scope_own(g->s, rows_along(g->ctx, g->out[0], axis));
    Tensor *dy = scope_own(g->s, rows_along(g->ctx, g->dy[0], axis));
    Tensor *to = scope_own(g->s, rows_like(g->ctx, dx, axis));
    if (!y || !dy || !to) return NULL;
    int64_t n = spec->shape[axis];
    RowsJob job = { .grad = kernel, .x = y->data, .g = dy->data, .out = to->data, .n = n,
                    .size = (int64_t)dtype_size(spec->dtype) };
    bool ok = rows_run(g->ctx, spec_size(spec) / n, n, grad_rows, &job) && rows_back(g->ctx, to, axis, dx);
    return ok ? dx : NULL;
}

bool softmax_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *dx, *y = g->out[0], *dy = g->dy[0];
    if (grad_recording(g)) dx = s_mul(s, y, s_sub(s, dy, sum_along(s, s_mul(s, y, dy), grad_axis(g))));
    else dx = fused_grad(g, kernels()->softmax_grad[g->out_spec[0].dtype]);
    g->dx[0] = s_cast(s, dx, g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

bool log_softmax_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *dx, *y = g->out[0], *dy = g->dy[0];
    if (grad_recording(g)) dx = s_sub(s, dy, s_mul(s, s_unary(s, OP_exp, y), sum_along(s, dy, grad_axis(g))));
    else dx = fused_grad(g, kernels()->log_softmax_grad[g->out_spec[0].dtype]);
    g->dx[0] = s_cast(s, dx, g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

/* ---- logsumexp ---- */

bool shape_logsumexp(OpCall *call)
{
    if (!shape_sum(call)) return false;
    call->spec[0].dtype = float_of(call->in[0]);
    return true;
}

/* The reduced axes moved behind the others, dense: rows of all reduced elements. */
static Tensor *reduced_last(TensorContext *ctx, Tensor *x, const bool *axes)
{
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->ndim; i++)
            if (axes[i] == (pass == 1)) {
                shape[n] = x->shape[i];
                stride[n++] = x->stride[i];
            }
    Tensor *view = tensor_view(ctx, x, n, shape, stride, 0);
    Tensor *dense = view ? tensor_contiguous(ctx, view) : NULL;
    tensor_release(view);
    return dense;
}

static void fill_lowest(Tensor *out)
{
    int64_t n = tensor_size(out);
    for (int64_t i = 0; i < n; i++) tensor_store(out, i, -HUGE_VAL);
}

bool logsumexp_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    bool axes[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], x->ndim, axes)) return false;
    if (tensor_size(x) == 0) return fill_lowest(out), true;
    Tensor *floats = tensor_cast(call->ctx, x, (Dtype)out->dtype);
    Tensor *rows = floats ? reduced_last(call->ctx, floats, axes) : NULL;
    bool ok = rows != NULL;
    if (ok) {
        int64_t count = tensor_size(out), n = tensor_size(x) / count;
        RowsJob job = { .kernel = kernels()->logsumexp[out->dtype], .x = rows->data, .out = out->data, .n = n,
                        .out_step = 1, .size = (int64_t)dtype_size((Dtype)out->dtype) };
        ok = rows_run(call->ctx, count, n, value_rows, &job);
    }
    tensor_release(rows);
    tensor_release(floats);
    return ok;
}

bool logsumexp_grad(GradCall *g)
{
    Scope *s = g->s;
    int64_t shape[TENSOR_MAX_DIMS];
    const Attr *axes = &g->attr[0];
    const TensorSpec *spec = &g->in_spec[0];
    for (int i = 0; i < spec->ndim; i++) shape[i] = axes->none ? 1 : spec->shape[i];
    for (int k = 0; !axes->none && k < axes->ints.count; k++) {
        int64_t axis = axes->ints.v[k];
        shape[axis < 0 ? axis + spec->ndim : axis] = 1;
    }
    Tensor *y = s_reshape(s, g->out[0], spec->ndim, shape), *dy = s_reshape(s, g->dy[0], spec->ndim, shape);
    Tensor *share = s_unary(s, OP_exp, s_sub(s, g->in[0], y));
    g->dx[0] = s_cast(s, s_mul(s, share, dy), spec->dtype);
    return g->dx[0] != NULL;
}

/* ---- normalize ---- */

bool normalize_run(OpCall *call)
{
    Scope s;
    scope_init(&s, call->ctx);
    Tensor *x = call->in[0], *y = NULL;
    int axis;
    if (op_axis(call, call->attr[0].i, x->ndim, &axis)) {
        double eps = call->attr[1].num;
        Tensor *sum = sum_along(&s, s_unary(&s, OP_square, s_cast(&s, x, float_of(x))), axis);
        Tensor *bounded[3] = { sum, s_const(&s, eps * eps), NULL };
        y = sum ? s_div(&s, x, s_unary(&s, OP_sqrt, s_op(&s, OP_clamp, 3, bounded, NULL, 0))) : NULL;
    }
    call->out[0] = tensor_retain(y);
    scope_clear(&s);
    return y != NULL;
}
