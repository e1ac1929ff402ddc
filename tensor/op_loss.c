/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The usual case of cross_entropy, fused with its softmax: the mean as one number. All other losses are composed in the
   language (lang/prelude/losses.tsr). Shapes must be equal: a loss that broadcasts computes something else than was
   meant, so that is an error. */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "op.h"
#include "rows.h"

static bool needs_float(OpCall *call, int i)
{
    if (dtype_class((Dtype)call->in[i]->dtype) == CLASS_FLOAT) return true;
    return op_error(call, ERROR_dtype, "%s must be floats, got %s", op_signature(call->def)->param[i].name,
                    dtype_name((Dtype)call->in[i]->dtype));
}

static bool same_shapes(OpCall *call)
{
    TensorSpec a, b;
    spec_of(call->in[0], &a);
    spec_of(call->in[1], &b);
    if (spec_equal_shape(&a, &b)) return true;
    char left[96], right[96];
    shape_format(a.ndim, a.shape, left, sizeof left);
    shape_format(b.ndim, b.shape, right, sizeof right);
    op_error(call, ERROR_shape, "shapes differ, %s and %s", left, right);
    error_hint(&call->ctx->error, "a loss does not broadcast; reshape one side, or write mean((a - b)^2)");
    return false;
}

/* ---- cross-entropy ---- */

/* Labels are ints [n]; soft targets are floats of the logits' shape. */
static bool has_labels(const Tensor *target) { return dtype_class((Dtype)target->dtype) == CLASS_INT; }

bool shape_cross_entropy(OpCall *call)
{
    const Tensor *x = call->in[0], *target = call->in[1];
    double smoothing = call->attr[0].num;
    if (!needs_float(call, 0)) return false;
    if (x->ndim != 2) return op_error(call, ERROR_shape, "logits must be [n, classes], got %d axes", x->ndim);
    if (!(smoothing >= 0.0 && smoothing <= 1.0))
        return op_error(call, ERROR_value, "label_smoothing must be between 0 and 1, got %g", smoothing);
    if (!has_labels(target)) {
        if (!needs_float(call, 1)) return false;
        if (target->ndim == 1) {
            op_error(call, ERROR_dtype, "labels must be ints, got %s", dtype_name((Dtype)target->dtype));
            error_hint(&call->ctx->error, "write i64(labels)");
            return false;
        }
        if (!same_shapes(call)) return false;
    } else if (target->ndim != 1 || target->shape[0] != x->shape[0]) {
        char shape[96];
        shape_format(target->ndim, target->shape, shape, sizeof shape);
        op_error(call, ERROR_shape, "%lld rows of logits need labels [%lld], got %s", (long long)x->shape[0],
                 (long long)x->shape[0], shape);
        if (target->ndim == 2 && target->shape[1] == x->shape[1])
            error_hint(&call->ctx->error, "soft targets must be floats");
        return false;
    }
    call->spec[0] = (TensorSpec){ .dtype = (Dtype)x->dtype, .ndim = 0 };
    return true;
}

typedef struct EntropyJob {
    const Kernels *kernels;
    Dtype dtype;
    int64_t n, size, group;
    double smoothing, scale;
    const char *x, *soft;
    const int64_t *label;
    char *dx, *dsoft;
    double *partial;          /* loss of every group of rows */
} EntropyJob;

/* The dense forms of logits and target that the kernels read. */
typedef struct EntropyInputs { Tensor *x, *target; } EntropyInputs;

static bool entropy_inputs(TensorContext *ctx, Tensor *x, Tensor *target, EntropyInputs *in, EntropyJob *job)
{
    bool labels = has_labels(target);
    in->x = tensor_contiguous(ctx, x);
    Tensor *cast = in->x ? tensor_cast(ctx, target, labels ? DTYPE_i64 : (Dtype)x->dtype) : NULL;
    in->target = cast ? tensor_contiguous(ctx, cast) : NULL;
    tensor_release(cast);
    if (!in->target) return false;
    job->kernels = kernels();
    job->dtype = (Dtype)x->dtype;
    job->n = x->shape[1];
    job->size = (int64_t)dtype_size(job->dtype);
    job->group = rows_group(job->n);
    job->x = in->x->data;
    job->label = labels ? (const int64_t *)(const void *)in->target->data : NULL;
    job->soft = labels ? NULL : in->target->data;
    return true;
}

static void entropy_inputs_release(EntropyInputs *in)
{
    tensor_release(in->x);
    tensor_release(in->target);
}

static void entropy_rows(void *arg, int64_t first, int64_t count)
{
    const EntropyJob *job = arg;
    int64_t at = first * job->n * job->size;
    job->partial[first / job->group] =
        job->kernels->cross_entropy[job->dtype](count, job->n, job->x + at, job->label ? job->label + first : NULL,
                                                job->soft ? job->soft + at : NULL, job->smoothing);
}

static void entropy_grad_rows(void *arg, int64_t first, int64_t count)
{
    const EntropyJob *job = arg;
    int64_t at = first * job->n * job->size;
    job->kernels->cross_entropy_grad[job->dtype](count, job->n, job->x + at, job->label ? job->label + first : NULL,
                                                 job->soft ? job->soft + at : NULL, job->smoothing, job->scale,
                                                 job->dx + at, job->dsoft ? job->dsoft + at : NULL);
}

static bool check_labels(OpCall *call, const EntropyJob *job, int64_t rows)
{
    for (int64_t i = 0; job->label && i < rows; i++)
        if (job->label[i] < 0 || job->label[i] >= job->n)
            return op_error(call, ERROR_index, "label %lld at %lld is outside 0..%lld", (long long)job->label[i],
                            (long long)i, (long long)job->n);
    return true;
}

bool softmax_cross_entropy_run(OpCall *call)
{
    int64_t rows = call->in[0]->shape[0], n = call->in[0]->shape[1];
    EntropyInputs in = { NULL, NULL };
    EntropyJob job = { .smoothing = call->attr[0].num };
    bool ok = entropy_inputs(call->ctx, call->in[0], call->in[1], &in, &job) && check_labels(call, &job, rows);
    double loss = n == 0 && rows > 0 ? 0.0 : rows == 0 ? (double)NAN : 0.0;
    if (ok && rows > 0 && n > 0) {
        int64_t groups = (rows + job.group - 1) / job.group;
        job.partial = scratch_take(&call->ctx->error, (size_t)groups * sizeof(double));
        ok = job.partial && rows_run(call->ctx, rows, n, entropy_rows, &job);
        for (int64_t i = 0; ok && i < groups; i++) loss += job.partial[i];
        loss /= (double)rows;
        scratch_release(job.partial);
    }
    if (ok) tensor_store(call->out[0], 0, loss);
    entropy_inputs_release(&in);
    return ok;
}

static bool cross_entropy_fused(GradCall *g)
{
    const TensorSpec *spec = &g->in_spec[0];
    Tensor *dx = scope_own(g->s, tensor_new(g->ctx, spec->dtype, 2, spec->shape)), *dsoft = NULL;
    if (g->wants[1]) dsoft = scope_own(g->s, tensor_new(g->ctx, spec->dtype, 2, spec->shape));
    if (!dx || (g->wants[1] && !dsoft)) return false;
    EntropyInputs in = { NULL, NULL };
    EntropyJob job = { .smoothing = g->attr[0].num, .scale = tensor_item(g->dy[0], 0) / (double)spec->shape[0],
                       .dx = dx->data, .dsoft = dsoft ? dsoft->data : NULL };
    bool ok = entropy_inputs(g->ctx, g->in[0], g->in[1], &in, &job);
    if (ok && spec_size(spec) > 0) ok = rows_run(g->ctx, spec->shape[0], spec->shape[1], entropy_grad_rows, &job);
    entropy_inputs_release(&in);
    if (!ok) return false;
    g->dx[0] = g->wants[0] ? dx : NULL;
    if (g->wants[1]) g->dx[1] = s_cast(g->s, dsoft, g->in_spec[1].dtype);
    return !g->wants[1] || g->dx[1];
}

static Tensor *row_op(Scope *s, OpId id, Tensor *x)
{
    Attr attr[2] = { attr_ints(1, (int64_t[]){ 1 }), attr_bool(true) };
    return x ? s_op(s, id, 1, &x, attr, 0) : NULL;
}

bool softmax_cross_entropy_grad(GradCall *g)
{
    if (!grad_recording(g)) return cross_entropy_fused(g);
    Scope *s = g->s;
    const TensorSpec *spec = &g->in_spec[0];
    double smoothing = g->attr[0].num, n = (double)spec->shape[0], k = (double)spec->shape[1];
    Tensor *x = g->in[0], *target = g->in[1];
    Attr axis = attr_int(1);
    if (has_labels(target)) {
        Tensor *hot = scope_own(s, tensor_zeros(g->ctx, spec->dtype, 2, spec->shape));
        for (int64_t i = 0; hot && i < spec->shape[0]; i++)
            tensor_store(hot, i * spec->shape[1] + tensor_item_int(target, i), 1.0);
        target = hot;
    }
    Tensor *mixed = smoothing == 0.0 ? target : s_add(s, s_scale(s, target, 1.0 - smoothing),
                                                      s_const(s, smoothing / k));
    Tensor *scale = s_scale(s, g->dy[0], 1.0 / n);
    if (g->wants[0]) {
        Tensor *p = s_mul(s, s_op(s, OP_softmax, 1, &x, &axis, 0), row_op(s, OP_sum, mixed));
        g->dx[0] = s_mul(s, s_sub(s, p, mixed), scale);
    }
    if (g->wants[1]) {
        Tensor *p = s_op(s, OP_log_softmax, 1, &x, &axis, 0);
        g->dx[1] = s_cast(s, s_mul(s, s_scale(s, p, smoothing - 1.0), scale), g->in_spec[1].dtype);
    }
    return g->ctx->error.kind == ERROR_NONE;
}
