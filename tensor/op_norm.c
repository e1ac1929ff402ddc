/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Normalisation with learned scale: layer_norm and rms_norm over the last axis, batch_norm over all axes but axis 1, and
   relu behind it. Fused kernels go over memory once for values and twice for gradients; while gradients are recorded the same formulas run as ops.
   Invariant: partial sums are cut by shapes only and added in order, so that threads do not change bits. */
#include <math.h>
#include <string.h>

#include "core.h"
#include "kernels.h"
#include "rows.h"

#define GROUP_ELEMENTS 65536  /* elements of a group of samples */

/* Weight, bias and the like: [n] each, or absent. */
static bool check_vectors(OpCall *call, int first, int count, int64_t n, const char *of)
{
    for (int i = first; i < first + count; i++) {
        const Tensor *v = call->in[i];
        if (!v || (v->ndim == 1 && v->shape[0] == n)) continue;
        char shape[96];
        shape_format(v->ndim, v->shape, shape, sizeof shape);
        return op_error(call, ERROR_shape, "%s has %lld elements, but %s is %s", of, (long long)n,
                        op_signature(call->def)->param[i].name, shape);
    }
    return true;
}

static bool check_float(OpCall *call)
{
    if (dtype_class((Dtype)call->in[0]->dtype) == CLASS_FLOAT) return true;
    return op_error(call, ERROR_dtype, "needs floats, got %s", dtype_name((Dtype)call->in[0]->dtype));
}

/* [v] dense and of [dtype], owned; absent stays NULL. False only on failure. */
static bool dense_as(TensorContext *ctx, Tensor *v, Dtype dtype, Tensor **to)
{
    *to = NULL;
    if (!v) return true;
    Tensor *cast = tensor_cast(ctx, v, dtype);
    *to = cast ? tensor_contiguous(ctx, cast) : NULL;
    tensor_release(cast);
    return *to != NULL;
}

static const void *data_or_null(const Tensor *t) { return t ? t->data : NULL; }

/* ---- layer norm, and rms norm: the same without the mean ---- */

bool shape_layer_norm(OpCall *call)
{
    const Tensor *x = call->in[0];
    if (!check_float(call)) return false;
    if (x->ndim == 0) return op_error(call, ERROR_shape, "needs at least one axis");
    return check_vectors(call, 1, call->n_in - 1, x->shape[x->ndim - 1], "the last axis") && shape_same(call);
}

typedef struct LayerJob {
    const Kernels *kernels;
    Dtype dtype;
    int64_t n, size, group;
    double eps;
    bool centre;              /* about the mean */
    const char *x, *g;
    const void *weight, *bias;
    char *out, *partial;      /* partial: per group n of dweight, n of dbias */
} LayerJob;

static void layer_rows(void *arg, int64_t first, int64_t count)
{
    const LayerJob *job = arg;
    int64_t at = first * job->n * job->size;
    job->kernels->layer_norm[job->dtype](count, job->n, job->x + at, job->weight, job->bias, job->eps,
                                         job->centre, job->out + at);
}

static bool rows_norm_run(OpCall *call, bool centre)
{
    Tensor *x = call->in[0], *out = call->out[0], *dense = NULL, *weight = NULL, *bias = NULL;
    Dtype dtype = call->spec[0].dtype;
    int64_t n = x->shape[x->ndim - 1];
    if (tensor_size(x) == 0) return true;
    bool ok = dense_as(call->ctx, x, dtype, &dense) && dense_as(call->ctx, call->in[1], dtype, &weight) &&
              dense_as(call->ctx, centre ? call->in[2] : NULL, dtype, &bias);
    if (ok) {
        LayerJob job = { .kernels = kernels(), .dtype = dtype, .n = n, .size = (int64_t)dtype_size(dtype),
                         .centre = centre, .eps = call->attr[0].num, .x = dense->data, .weight = data_or_null(weight),
                         .bias = data_or_null(bias), .out = out->data };
        ok = rows_run(call->ctx, tensor_size(x) / n, n, layer_rows, &job);
    }
    tensor_release(dense);
    tensor_release(weight);
    tensor_release(bias);
    return ok;
}

bool layer_norm_run(OpCall *call) { return rows_norm_run(call, true); }
bool rms_norm_run(OpCall *call) { return rows_norm_run(call, false); }

static void layer_grad_rows(void *arg, int64_t first, int64_t count)
{
    const LayerJob *job = arg;
    int64_t at = first * job->n * job->size, bytes = job->n * job->size;
    char *dweight = job->partial + first / job->group * 2 * bytes;
    memset(dweight, 0, (size_t)(2 * bytes));
    job->kernels->layer_norm_grad[job->dtype](count, job->n, job->x + at, job->weight, job->g + at, job->eps,
                                              job->centre, job->out + at, dweight, dweight + bytes);
}

static bool layer_norm_fused(GradCall *g, bool centre)
{
    const TensorSpec *spec = &g->in_spec[0];
    int64_t n = spec->shape[spec->ndim - 1], rows = n ? spec_size(spec) / n : 0, groups;
    Tensor *x = NULL, *weight = NULL, *dy = NULL, *partial = NULL, *dx = grad_room(g, 0);
    groups = rows > 0 ? (rows + rows_group(n) - 1) / rows_group(n) : 0;
    bool ok = dx && dense_as(g->ctx, g->in[0], spec->dtype, &x) && dense_as(g->ctx, g->in[1], spec->dtype, &weight) &&
              dense_as(g->ctx, g->dy[0], spec->dtype, &dy);
    if (ok) partial = scope_own(g->s, tensor_new(g->ctx, spec->dtype, 3, (int64_t[]){ groups, 2, n }));
    if (ok && partial) {
        LayerJob job = { .kernels = kernels(), .dtype = spec->dtype, .n = n, .group = rows_group(n),
                         .size = (int64_t)dtype_size(spec->dtype), .eps = g->attr[0].num, .centre = centre, .x = x->data,
                         .g = dy->data,
                         .weight = data_or_null(weight), .out = dx->data, .partial = partial->data };
        ok = rows_run(g->ctx, rows, n, layer_grad_rows, &job);
    }
    scope_own(g->s, x);
    scope_own(g->s, weight);
    scope_own(g->s, dy);
    if (!ok || !partial) return false;
    g->dx[0] = dx;
    for (int k = 0; k < g->n_in - 1; k++) {
        if (!g->wants[1 + k]) continue;
        Tensor *half = scope_own(g->s, tensor_view(g->ctx, partial, 2, (int64_t[]){ groups, n },
                                                   (int64_t[]){ 2 * n, 1 }, k * n));
        g->dx[1 + k] = s_cast(g->s, s_sum(g->s, half, (bool[TENSOR_MAX_DIMS]){ true }, false), g->in_spec[1 + k].dtype);
        if (!g->dx[1 + k]) return false;
    }
    return true;
}

static Tensor *mean_last(Scope *s, Tensor *x)
{
    Attr attr[2] = { attr_ints(1, (int64_t[]){ -1 }), attr_bool(true) };
    return x ? s_op(s, OP_mean, 1, &x, attr, 0) : NULL;
}

static bool rows_norm_grad(GradCall *g, bool centre)
{
    if (!grad_recording(g)) return layer_norm_fused(g, centre);
    Scope *s = g->s;
    Tensor *x = g->in[0], *dy = g->dy[0];
    Tensor *d = centre ? s_sub(s, x, mean_last(s, x)) : x;
    Tensor *var = mean_last(s, s_unary(s, OP_square, d));
    Tensor *scale = s_unary(s, OP_rsqrt, s_add(s, var, s_const(s, g->attr[0].num)));
    Tensor *unit = s_mul(s, d, scale), *p = g->in[1] ? s_mul(s, dy, g->in[1]) : dy;
    if (g->wants[0]) {
        Tensor *rest = s_mul(s, unit, mean_last(s, s_mul(s, p, unit)));
        if (centre) rest = s_add(s, mean_last(s, p), rest);
        g->dx[0] = s_mul(s, scale, s_sub(s, p, rest));
    }
    if (g->wants[1]) g->dx[1] = s_sum_to(s, s_mul(s, dy, unit), &g->in_spec[1]);
    if (centre && g->wants[2]) g->dx[2] = s_sum_to(s, dy, &g->in_spec[2]);
    return g->ctx->error.kind == ERROR_NONE;
}

bool layer_norm_grad(GradCall *g) { return rows_norm_grad(g, true); }
bool rms_norm_grad(GradCall *g) { return rows_norm_grad(g, false); }

/* ---- batch norm ---- */

typedef struct Channels {     /* x as [samples, channels, size] */
    const Kernels *kernels;
    Dtype dtype;
    int64_t samples, channels, size, bytes;
    int64_t group, groups;    /* samples of a task */
    const char *x, *g;
    char *out;
    double *partial;          /* per group: two f64 per channel, one array behind the other */
    const void *mean, *a, *b, *c;
    const void *gate[2];      /* of a relu behind: a and b of what it was given */
    bool gated;
} Channels;

static void channels_init(Channels *job, const TensorSpec *spec)
{
    job->gated = false;
    job->kernels = kernels();
    job->dtype = spec->dtype;
    job->bytes = (int64_t)dtype_size(spec->dtype);
    job->samples = spec->shape[0];
    job->channels = spec->shape[1];
    job->size = 1;
    for (int i = 2; i < spec->ndim; i++) job->size *= spec->shape[i];
    int64_t sample = job->channels * job->size;
    job->group = sample >= GROUP_ELEMENTS || sample == 0 ? 1 : GROUP_ELEMENTS / sample;
    job->groups = (job->samples + job->group - 1) / job->group;
}

static int64_t group_samples(const Channels *job, int64_t task)
{
    int64_t left = job->samples - task * job->group;
    return left < job->group ? left : job->group;
}

static void stats_task(void *arg, int64_t task)
{
    const Channels *job = arg;
    int64_t at = task * job->group * job->channels * job->size * job->bytes;
    double *to = job->partial + task * 2 * job->channels;
    job->kernels->channel_stats[job->dtype](group_samples(job, task), job->channels, job->size, job->x + at, to,
                                            to + job->channels);
}

static void affine_task(void *arg, int64_t task)
{
    const Channels *job = arg;
    int64_t at = task * job->group * job->channels * job->size * job->bytes;
    job->kernels->channel_affine[job->dtype](group_samples(job, task), job->channels, job->size, job->x + at, job->mean,
                                             job->a, job->b, job->out + at);
}

static void sums_task(void *arg, int64_t task)
{
    const Channels *job = arg;
    int64_t at = task * job->group * job->channels * job->size * job->bytes;
    double *to = job->partial + task * 2 * job->channels;
    job->kernels->channel_sums[job->dtype](group_samples(job, task), job->channels, job->size, job->x + at, job->g + at,
                                           job->mean, job->gated ? job->gate : NULL, to, to + job->channels);
}

static void channel_grad_task(void *arg, int64_t task)
{
    const Channels *job = arg;
    int64_t at = task * job->group * job->channels * job->size * job->bytes;
    job->kernels->channel_grad[job->dtype](group_samples(job, task), job->channels, job->size, job->x + at, job->g + at,
                                           job->mean, job->gated ? job->gate : NULL, job->a, job->b, job->c,
                                           job->out + at);
}

static void put(const Channels *job, void *to, int64_t at, double value)
{
    if (job->dtype == DTYPE_f32) ((float *)to)[at] = (float)value;
    else ((double *)to)[at] = value;
}

static double get(const Channels *job, const void *from, int64_t at)
{
    return job->dtype == DTYPE_f32 ? (double)((const float *)from)[at] : ((const double *)from)[at];
}

bool shape_batch_norm(OpCall *call)
{
    const Tensor *x = call->in[0];
    if (!check_float(call)) return false;
    if (x->ndim < 2) return op_error(call, ERROR_shape, "needs [n, channels, ...], got %d axes", x->ndim);
    if (!check_vectors(call, 1, 2, x->shape[1], "axis 1")) return false;
    call->n_out = 3;
    spec_of(x, &call->spec[0]);
    call->spec[1] = call->spec[2] = (TensorSpec){ .dtype = call->spec[0].dtype, .ndim = 1, .shape = { x->shape[1] } };
    return true;
}

/* Mean and biased variance of the groups' partial results, merged in order. */
static void merge_stats(const Channels *job, void *mean, void *var)
{
    for (int64_t c = 0; c < job->channels; c++) {
        double m = 0.0, spread = 0.0, count = 0.0;
        for (int64_t k = 0; k < job->groups; k++) {
            const double *part = job->partial + k * 2 * job->channels;
            double n = (double)(group_samples(job, k) * job->size), d = part[c] - m, all = count + n;
            m += d * n / all;
            spread += part[job->channels + c] + d * d * count * n / all;
            count = all;
        }
        put(job, mean, c, count > 0.0 ? m : (double)NAN);
        put(job, var, c, count > 0.0 ? spread / count : (double)NAN);
    }
}

/* a and b of y = (x - mean) a + b, [channels] each, in [work]: two arrays of as many doubles. */
static void affine_coefficients(Channels *job, const Tensor *weight, const Tensor *bias, const Tensor *variance,
                                double eps, double *work)
{
    double *a = work, *b = work + job->channels;
    for (int64_t c = 0; c < job->channels; c++) {
        double scale = 1.0 / sqrt(get(job, variance->data, c) + eps);
        put(job, a, c, weight ? scale * get(job, weight->data, c) : scale);
        put(job, b, c, bias ? get(job, bias->data, c) : 0.0);
    }
    job->a = a;
    job->b = b;
}

bool batch_norm_run(OpCall *call)
{
    Channels job;
    channels_init(&job, &call->spec[0]);
    Tensor *x = NULL, *weight = NULL, *bias = NULL;
    int64_t doubles = (job.groups * 2 + 2) * job.channels;
    job.partial = scratch_take(&call->ctx->error, (size_t)(doubles > 0 ? doubles : 1) * sizeof(double));
    bool ok = job.partial && dense_as(call->ctx, call->in[0], job.dtype, &x) &&
              dense_as(call->ctx, call->in[1], job.dtype, &weight) &&
              dense_as(call->ctx, call->in[2], job.dtype, &bias);
    if (ok) {
        job.x = x->data;
        job.out = call->out[0]->data;
        ok = job.size == 0 || pool_run(call->ctx, job.groups, stats_task, &job);
    }
    if (ok) {
        if (job.size == 0) job.groups = 0;
        merge_stats(&job, call->out[1]->data, call->out[2]->data);
        job.mean = call->out[1]->data;
        /* in place of what is used up */
        affine_coefficients(&job, weight, bias, call->out[2], call->attr[0].num, job.partial);
        ok = job.size == 0 || pool_run(call->ctx, job.groups, affine_task, &job);
    }
    scratch_release(job.partial);
    tensor_release(x);
    tensor_release(weight);
    tensor_release(bias);
    return ok;
}

/* Sums the groups' partial results in order into the first group's place. */
static void merge_sums(const Channels *job)
{
    for (int64_t k = 1; k < job->groups; k++)
        for (int64_t c = 0; c < 2 * job->channels; c++) job->partial[c] += job->partial[k * 2 * job->channels + c];
    if (job->groups == 0) memset(job->partial, 0, (size_t)(2 * job->channels) * sizeof(double));
}

/* The coefficients of dx = dy a + (x - mean) b + c, and the gradients of weight and bias. */
static void grad_coefficients(GradCall *g, Channels *job, const Tensor *weight, double *work)
{
    const double *sum = job->partial, *product = job->partial + job->channels;
    double count = (double)(job->samples * job->size);
    double *a = work, *b = work + job->channels, *c = work + 2 * job->channels;
    for (int64_t k = 0; k < job->channels; k++) {
        double scale = 1.0 / sqrt(get(job, g->out[2]->data, k) + g->attr[0].num);
        double p = weight ? scale * get(job, weight->data, k) : scale;
        double dmean = g->dy[1] ? tensor_item(g->dy[1], k) : 0.0, dvar = g->dy[2] ? tensor_item(g->dy[2], k) : 0.0;
        put(job, a, k, p);
        put(job, b, k, (2.0 * dvar - p * product[k] * scale * scale) / count);
        put(job, c, k, (dmean - p * sum[k]) / count);
        if (g->dx[1]) put(job, g->dx[1]->data, k, product[k] * scale);
        if (g->dx[2]) put(job, g->dx[2]->data, k, sum[k]);
    }
    job->a = a;
    job->b = b;
    job->c = c;
}

static Tensor *zeros_like(GradCall *g, const TensorSpec *spec)
{
    return scope_own(g->s, tensor_zeros(g->ctx, spec->dtype, spec->ndim, spec->shape));
}

/* [relu]: what arrives has passed none yet. */
static bool batch_norm_fused(GradCall *g, bool relu)
{
    Channels job;
    channels_init(&job, &g->in_spec[0]);
    Tensor *x = NULL, *dy = NULL, *weight = NULL, *bias = NULL, *dx = grad_room(g, 0);
    Tensor *from = g->dy[0] ? g->dy[0] : zeros_like(g, &g->in_spec[0]);
    TensorSpec vector = { .dtype = job.dtype, .ndim = 1, .shape = { job.channels } };
    for (int k = 1; k < 3; k++)
        if (g->wants[k] && !(g->dx[k] = zeros_like(g, &vector))) return false;
    int64_t doubles = (job.groups * 2 + 7) * job.channels;
    job.partial = scratch_take(&g->ctx->error, (size_t)(doubles > 0 ? doubles : 1) * sizeof(double));
    bool ok = dx && from && job.partial && dense_as(g->ctx, g->in[0], job.dtype, &x) &&
              dense_as(g->ctx, from, job.dtype, &dy) && dense_as(g->ctx, g->in[1], job.dtype, &weight) &&
              dense_as(g->ctx, relu ? g->in[2] : NULL, job.dtype, &bias);
    if (ok && relu) {
        affine_coefficients(&job, weight, bias, g->out[2], g->attr[0].num, job.partial + (doubles - 2 * job.channels));
        job.gate[0] = job.a;
        job.gate[1] = job.b;
        job.gated = true;
    }
    if (ok) {
        job.x = x->data;
        job.g = dy->data;
        job.out = dx->data;
        job.mean = g->out[1]->data;
        if (job.size == 0) job.groups = 0;
        ok = pool_run(g->ctx, job.groups, sums_task, &job);
    }
    if (ok) {
        int64_t groups = job.groups;
        merge_sums(&job);
        grad_coefficients(g, &job, weight, job.partial + (groups > 0 ? groups : 1) * 2 * job.channels);
        ok = !g->wants[0] || pool_run(g->ctx, groups, channel_grad_task, &job);
    }
    scratch_release(job.partial);
    scope_own(g->s, x);
    scope_own(g->s, dy);
    scope_own(g->s, weight);
    scope_own(g->s, bias);
    g->dx[0] = g->wants[0] ? dx : NULL;
    for (int k = 1; ok && k < 3; k++)
        if (g->wants[k]) g->dx[k] = s_cast(g->s, g->dx[k], g->in_spec[k].dtype);
    return ok && g->ctx->error.kind == ERROR_NONE;
}

/* [c] as [1, c, 1, …], to stand beside x */
static Tensor *beside(Scope *s, Tensor *v, int ndim)
{
    int64_t shape[TENSOR_MAX_DIMS] = { 1 };
    for (int i = 1; i < ndim; i++) shape[i] = i == 1 && v ? v->shape[0] : 1;
    return s_reshape(s, v, ndim, shape);
}

static bool batch_norm_graph(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *spec = &g->in_spec[0];
    int ndim = spec->ndim;
    bool axes[TENSOR_MAX_DIMS];
    double count = 1.0;
    for (int i = 0; i < TENSOR_MAX_DIMS; i++) {
        axes[i] = i != 1;
        if (i != 1 && i < ndim) count *= (double)spec->shape[i];
    }
    Tensor *d = s_sub(s, g->in[0], beside(s, g->out[1], ndim));
    Tensor *scale = s_unary(s, OP_rsqrt, s_add(s, g->out[2], s_const(s, g->attr[0].num)));
    Tensor *dx = NULL;
    if (g->dy[0]) {
        Tensor *unit = s_mul(s, d, beside(s, scale, ndim)), *dy = g->dy[0];
        Tensor *sum = s_sum(s, dy, axes, false), *product = s_sum(s, s_mul(s, dy, unit), axes, false);
        Tensor *p = g->in[1] ? s_mul(s, scale, g->in[1]) : scale;
        if (g->wants[1]) g->dx[1] = s_cast(s, product, g->in_spec[1].dtype);
        if (g->wants[2]) g->dx[2] = s_cast(s, sum, g->in_spec[2].dtype);
        Tensor *rest = s_add(s, beside(s, sum, ndim), s_mul(s, unit, beside(s, product, ndim)));
        dx = s_mul(s, beside(s, p, ndim), s_sub(s, dy, s_scale(s, rest, 1.0 / count)));
    }
    if (g->dy[2]) {
        Tensor *share = s_mul(s, d, beside(s, s_scale(s, g->dy[2], 2.0 / count), ndim));
        dx = dx ? s_add(s, dx, share) : share;
    }
    if (g->dy[1]) {
        Tensor *share = s_expand(s, beside(s, s_scale(s, g->dy[1], 1.0 / count), ndim), ndim, spec->shape);
        dx = dx ? s_add(s, dx, share) : share;
    }
    if (g->wants[0]) g->dx[0] = dx;
    return g->ctx->error.kind == ERROR_NONE;
}

bool batch_norm_grad(GradCall *g) { return grad_recording(g) ? batch_norm_graph(g) : batch_norm_fused(g, false); }

/* ---- batch norm and relu behind it: x is kept, neither's result ---- */

typedef struct NormRelu {
    GradHook hook;
    TensorSpec in_spec[3], out_spec[3];
    Tensor *in[3], *out[3];   /* x, weight, bias; nothing, mean, variance */
    Attr eps;
} NormRelu;

static void norm_relu_release(GradHook *hook)
{
    NormRelu *rule = (NormRelu *)hook;
    for (int i = 0; i < 3; i++) {
        tensor_release(rule->in[i]);
        tensor_release(rule->out[i]);
    }
    block_give(rule, sizeof *rule);
}

static void affine_relu_task(void *arg, int64_t task)
{
    const Channels *job = arg;
    int64_t sample = job->channels * job->size;
    char *to = job->out + task * job->group * sample * job->bytes;
    affine_task(arg, task);
    job->kernels->unary[UNARY_relu][job->dtype](group_samples(job, task) * sample, to, to);
}

static Tensor *norm_relu_remake(GradHook *hook, TensorContext *ctx)
{
    NormRelu *rule = (NormRelu *)hook;
    Channels job;
    channels_init(&job, &rule->in_spec[0]);
    Tensor *x = NULL, *weight = NULL, *bias = NULL;
    Tensor *y = tensor_new(ctx, job.dtype, rule->in_spec[0].ndim, rule->in_spec[0].shape);
    double *work = scratch_take(&ctx->error, (size_t)(2 * job.channels + 1) * sizeof(double));
    bool ok = y && work && dense_as(ctx, rule->in[0], job.dtype, &x) &&
              dense_as(ctx, rule->in[1], job.dtype, &weight) && dense_as(ctx, rule->in[2], job.dtype, &bias);
    if (ok) {
        affine_coefficients(&job, weight, bias, rule->out[2], rule->eps.num, work);
        job.x = x->data;
        job.out = y->data;
        job.mean = rule->out[1]->data;
        ok = job.size == 0 || pool_run(ctx, job.groups, affine_relu_task, &job);
    }
    scratch_release(work);
    tensor_release(x);
    tensor_release(weight);
    tensor_release(bias);
    if (!ok) tensor_slot(&y, NULL);
    return y;
}

/* As ops, through relu first. */
static bool norm_relu_graph(GradCall *g, NormRelu *rule)
{
    Tensor *y = scope_own(g->s, norm_relu_remake(&rule->hook, g->ctx)), *zero = s_const(g->s, 0.0);
    Tensor *dy[3] = { s_where(g->s, s_binary(g->s, OP_gt, y, zero), g->dy[0], zero), NULL, NULL };
    g->dy = dy;
    return dy[0] && batch_norm_graph(g);
}

static bool norm_relu_gradient(GradHook *hook, TensorContext *ctx, Tensor *const *dy, const bool *wants, Tensor **dx)
{
    NormRelu *rule = (NormRelu *)hook;
    Scope scope;
    scope_init(&scope, ctx);
    GradCall g = { .ctx = ctx, .s = &scope, .def = op_def(OP_batch_norm), .n_in = 3, .n_out = 3, .in = rule->in,
                   .out = rule->out, .in_spec = rule->in_spec, .out_spec = rule->out_spec, .attr = &rule->eps,
                   .dy = (Tensor *const[]){ dy[0], NULL, NULL }, .wants = wants, .dx = dx };
    if (ctx->watch) ctx->watch->begin(ctx->watch, hook->name);
    bool fine = grad_recording(&g) ? norm_relu_graph(&g, rule) : batch_norm_fused(&g, true);
    if (ctx->watch) ctx->watch->end(ctx->watch);
    for (int i = 0; i < 3; i++) dx[i] = fine ? tensor_retain(dx[i]) : NULL;      /* the scope's until here */
    scope_clear(&scope);
    return fine;
}

/* While an enclosing level records, mean and variance are results of batch norm's own node, which leads to x. */
static Tensor *kept_output(TensorContext *ctx, const GradCall *g, GradNode *node, int i)
{
    const Tensor *from = g->out[i];
    Tensor *kept = tensor_view(ctx, from, from->ndim, from->shape, from->stride, 0);
    if (kept && ctx->recording > 1) {
        kept->node = node;
        kept->node_out = i;
        grad_node_retain(node);
    }
    return kept;
}

static NormRelu *norm_relu_new(TensorContext *ctx, const GradCall *g, GradNode *node)
{
    NormRelu *rule = block_take(sizeof *rule);
    if (!rule) {
        error_set(&ctx->error, ERROR_memory, "", "no memory is left to record gradients");
        return NULL;
    }
    *rule = (NormRelu){ .hook = { "fused batch_norm relu", norm_relu_gradient, norm_relu_release, norm_relu_remake },
                        .eps = g->attr[0] };
    for (int i = 0; i < 3; i++) {
        rule->in[i] = tensor_retain(g->in[i]);
        rule->in_spec[i] = g->in_spec[i];
        rule->out_spec[i] = g->out_spec[i];
        rule->out[i] = i == 0 ? NULL : kept_output(ctx, g, node, i);
    }
    if (rule->out[1] && rule->out[2]) return rule;
    norm_relu_release(&rule->hook);
    return NULL;
}

typedef struct InPlace { const Kernels *kernels; char *data; int64_t n; Dtype dtype; } InPlace;
#define IN_PLACE_CHUNK 32768

static void relu_task(void *arg, int64_t task)
{
    const InPlace *job = arg;
    int64_t at = task * IN_PLACE_CHUNK, n = job->n - at < IN_PLACE_CHUNK ? job->n - at : IN_PLACE_CHUNK;
    char *data = job->data + at * (int64_t)dtype_size(job->dtype);
    job->kernels->unary[UNARY_relu][job->dtype](n, data, data);
}

/* A result that batch norm alone made and [y] alone shows. */
static bool can_take_relu(const TensorContext *ctx, const Tensor *y, GradCall *g)
{
    return y->node && y->node_out == 0 && !y->meta && !ctx->meta && y->storage && y->storage->refs == 1 &&
           tensor_is_contiguous(y) && grad_node_kept(y->node, op_def(OP_batch_norm), g) &&
           y->dtype == g->in_spec[0].dtype;
}

bool batch_norm_relu(TensorContext *ctx, Tensor *y, Tensor **out)
{
    GradCall g;
    *out = NULL;
    if (!can_take_relu(ctx, y, &g)) return false;
    if (ctx->watch) ctx->watch->begin(ctx->watch, "fused batch_norm relu");
    InPlace job = { kernels(), y->data, tensor_size(y), (Dtype)y->dtype };
    NormRelu *rule = norm_relu_new(ctx, &g, y->node);
    Tensor *in[3] = { g.in[0], g.in[1], g.in[2] };
    bool fine = rule && pool_run(ctx, (job.n + IN_PLACE_CHUNK - 1) / IN_PLACE_CHUNK, relu_task, &job);
    if (rule && !fine) norm_relu_release(&rule->hook);
    if (fine) *out = tensor_view(ctx, y, y->ndim, y->shape, y->stride, 0);
    if (fine && !*out) norm_relu_release(&rule->hook);
    if (*out && !grad_hook_take(ctx, &rule->hook, 3, in, 1, out)) tensor_slot(out, NULL);
    if (ctx->watch) ctx->watch->end(ctx->watch);
    return *out != NULL;
}

/* ---- batch norm by given statistics ---- */

bool shape_batch_norm_eval(OpCall *call)
{
    const Tensor *x = call->in[0];
    if (!check_float(call)) return false;
    if (x->ndim < 2) return op_error(call, ERROR_shape, "needs [n, channels, ...], got %d axes", x->ndim);
    return check_vectors(call, 1, 4, x->shape[1], "axis 1");
}

/* While nothing records: one pass. */
static bool batch_norm_eval_fused(OpCall *call)
{
    Channels job;
    TensorSpec spec;
    Tensor *v[5] = { NULL };
    spec_of(call->in[0], &spec);
    channels_init(&job, &spec);
    int64_t c = job.channels;
    double *work = scratch_take(&call->ctx->error, (size_t)(c > 0 ? c : 1) * 2 * sizeof(double));
    bool ok = work != NULL;
    for (int i = 0; ok && i < 5; i++) ok = dense_as(call->ctx, call->in[i], spec.dtype, &v[i]);
    call->out[0] = ok ? tensor_new(call->ctx, spec.dtype, spec.ndim, spec.shape) : NULL;
    if (call->out[0]) {
        for (int64_t k = 0; k < c; k++) {
            double scale = 1.0 / sqrt(get(&job, v[2]->data, k) + call->attr[0].num);
            put(&job, work, k, v[3] ? scale * get(&job, v[3]->data, k) : scale);
            put(&job, work + c, k, v[4] ? get(&job, v[4]->data, k) : 0.0);
        }
        job.x = v[0]->data;
        job.out = call->out[0]->data;
        job.mean = v[1]->data;
        job.a = work;
        job.b = work + c;
        ok = job.size == 0 || pool_run(call->ctx, job.groups, affine_task, &job);
    }
    for (int i = 0; i < 5; i++) tensor_release(v[i]);
    scratch_release(work);
    return ok && call->out[0];
}

bool batch_norm_eval_run(OpCall *call)
{
    if (call->ctx->recording == 0) return batch_norm_eval_fused(call);
    Scope scope, *s = &scope;
    scope_init(s, call->ctx);
    Tensor *x = call->in[0], *mean = call->in[1], *weight = call->in[3], *bias = call->in[4];
    Tensor *scale = s_unary(s, OP_rsqrt, s_add(s, call->in[2], s_const(s, call->attr[0].num)));
    if (weight) scale = s_mul(s, scale, weight);
    Tensor *y = s_mul(s, s_sub(s, x, beside(s, mean, x->ndim)), beside(s, scale, x->ndim));
    if (bias) y = s_add(s, y, beside(s, bias, x->ndim));
    call->out[0] = tensor_retain(y);
    scope_clear(s);
    return y != NULL;
}
