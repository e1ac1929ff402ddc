/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connectionist temporal classification (Graves et al. 2006): minus the log probability of all alignments of a label
   sequence, by the forward algorithm in log space. Values and the first gradient are loops over doubles, one task a
   sample; while a higher order records, the recursion is made of ops and differentiated by the tape. */
#include <math.h>
#include <string.h>

#include "op.h"

/* The labels with a blank before, between and behind: places 0 to 2 * length. */
typedef struct CtcJob {
    TensorContext *ctx;
    int64_t steps, samples, classes, width, blank;
    const double *logp;                  /* [steps, samples, classes] */
    const int64_t *target;               /* [samples, width] */
    const int64_t *input_length, *target_length;
    double *loss;                        /* [samples] */
    const double *seed;                  /* of the gradient; NULL while values are computed */
    double *grad, *work;                 /* [steps, samples, classes]; rows of alpha and beta for each sample */
    Tensor *owned[4];
} CtcJob;

static bool need_ints(OpCall *call, int i, int ndim)
{
    const Tensor *t = call->in[i];
    const char *name = op_signature(call->def)->param[i].name;
    if (dtype_class((Dtype)t->dtype) != CLASS_INT)
        return op_error(call, ERROR_dtype, "%s must be ints, got %s", name, dtype_name((Dtype)t->dtype));
    if (t->ndim == ndim && t->shape[0] == call->in[0]->shape[1]) return true;
    char shape[96];
    shape_format(t->ndim, t->shape, shape, sizeof shape);
    return op_error(call, ERROR_shape, "%s must be [%lld%s], one %s a sample, got %s", name,
                    (long long)call->in[0]->shape[1], ndim == 2 ? ", longest" : "", ndim == 2 ? "row" : "number", shape);
}

bool shape_ctc(OpCall *call)
{
    const Tensor *x = call->in[0];
    if (dtype_class((Dtype)x->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "log_probabilities must be floats, got %s", dtype_name((Dtype)x->dtype));
    if (x->ndim != 3)
        return op_error(call, ERROR_shape, "log_probabilities must be [steps, n, classes], got %d axes", x->ndim);
    if (!need_ints(call, 1, 2) || !need_ints(call, 2, 1) || !need_ints(call, 3, 1)) return false;
    int64_t blank = call->attr[0].i;
    if (blank < 0 || blank >= x->shape[2])
        return op_error(call, ERROR_index, "blank %lld is outside 0..%lld", (long long)blank, (long long)x->shape[2]);
    call->spec[0] = (TensorSpec){ .dtype = (Dtype)x->dtype, .ndim = 1, .shape = { x->shape[1] } };
    return true;
}

static const void *dense(CtcJob *job, int slot, Tensor *t, Dtype dtype)
{
    Tensor *cast = tensor_cast(job->ctx, t, dtype);
    job->owned[slot] = cast ? tensor_contiguous(job->ctx, cast) : NULL;
    tensor_release(cast);
    return job->owned[slot] ? job->owned[slot]->data : NULL;
}

static bool job_init(CtcJob *job, TensorContext *ctx, Tensor *const *in, int64_t blank)
{
    *job = (CtcJob){ .ctx = ctx, .steps = in[0]->shape[0], .samples = in[0]->shape[1], .classes = in[0]->shape[2],
                     .width = in[1]->shape[1], .blank = blank };
    job->logp = dense(job, 0, in[0], DTYPE_f64);
    job->target = job->logp ? dense(job, 1, in[1], DTYPE_i64) : NULL;
    job->input_length = job->target ? dense(job, 2, in[2], DTYPE_i64) : NULL;
    job->target_length = job->input_length ? dense(job, 3, in[3], DTYPE_i64) : NULL;
    return job->target_length != NULL;
}

static void job_clear(CtcJob *job)
{
    for (int i = 0; i < 4; i++) tensor_release(job->owned[i]);
}

static bool check_numbers(OpCall *call, const CtcJob *job)
{
    for (int64_t i = 0; i < job->samples; i++) {
        int64_t steps = job->input_length[i], length = job->target_length[i];
        if (steps < 0 || steps > job->steps)
            return op_error(call, ERROR_index, "input length %lld of sample %lld is outside 0..%lld", (long long)steps,
                            (long long)i, (long long)job->steps + 1);
        if (length < 0 || length > job->width)
            return op_error(call, ERROR_index, "target length %lld of sample %lld is outside 0..%lld",
                            (long long)length, (long long)i, (long long)job->width + 1);
        for (int64_t k = 0; k < length; k++) {
            int64_t label = job->target[i * job->width + k];
            if (label < 0 || label >= job->classes)
                return op_error(call, ERROR_index, "label %lld of sample %lld is outside 0..%lld", (long long)label,
                                (long long)i, (long long)job->classes);
            if (label == job->blank)
                return op_error(call, ERROR_value, "label %lld of sample %lld is the blank", (long long)k,
                                (long long)i);
        }
    }
    return true;
}

static double add_logs(double a, double b)
{
    double most = a > b ? a : b;
    return most == -HUGE_VAL ? most : most + log1p(exp((a > b ? b : a) - most));
}

static int64_t label_at(const CtcJob *job, int64_t sample, int64_t place)
{
    return place % 2 == 0 ? job->blank : job->target[sample * job->width + place / 2];
}

static double emission(const CtcJob *job, int64_t sample, int64_t step, int64_t place)
{
    return job->logp[(step * job->samples + sample) * job->classes + label_at(job, sample, place)];
}

/* Whether a path may step over the blank below [place]. */
static bool may_skip(const CtcJob *job, int64_t sample, int64_t place)
{
    return place % 2 == 1 && place >= 3 && label_at(job, sample, place) != label_at(job, sample, place - 2);
}

/* alpha[step][place]: log probability of all ways to be there after that step. Keeps every row if [all], else two. */
static double forward(const CtcJob *job, int64_t sample, double *alpha, bool all)
{
    int64_t places = 2 * job->target_length[sample] + 1, row = 2 * job->width + 1, steps = job->input_length[sample];
    if (steps == 0) return places == 1 ? 0.0 : -HUGE_VAL;
    for (int64_t p = 0; p < places; p++) alpha[p] = p < 2 ? emission(job, sample, 0, p) : -HUGE_VAL;
    for (int64_t t = 1; t < steps; t++) {
        const double *last = alpha + (all ? t - 1 : (t - 1) % 2) * row;
        double *now = alpha + (all ? t : t % 2) * row;
        for (int64_t p = 0; p < places; p++) {
            double sum = p > 0 ? add_logs(last[p], last[p - 1]) : last[p];
            if (may_skip(job, sample, p)) sum = add_logs(sum, last[p - 2]);
            now[p] = sum + emission(job, sample, t, p);
        }
    }
    const double *end = alpha + (all ? steps - 1 : (steps - 1) % 2) * row;
    return places > 1 ? add_logs(end[places - 1], end[places - 2]) : end[0];
}

/* Adds minus seed times the probability of being at each class at each step. [beta]: log probability of what follows. */
static void backward(const CtcJob *job, int64_t sample, const double *alpha, double *beta, double total)
{
    int64_t places = 2 * job->target_length[sample] + 1, row = 2 * job->width + 1, steps = job->input_length[sample];
    for (int64_t t = steps - 1; t >= 0; t--) {
        double *now = beta + t % 2 * row;
        const double *next = beta + (t + 1) % 2 * row;
        for (int64_t p = 0; p < places; p++) {
            double sum = p >= places - 2 ? 0.0 : -HUGE_VAL;
            if (t < steps - 1) {
                sum = next[p] + emission(job, sample, t + 1, p);
                if (p + 1 < places) sum = add_logs(sum, next[p + 1] + emission(job, sample, t + 1, p + 1));
                if (p + 2 < places && may_skip(job, sample, p + 2))
                    sum = add_logs(sum, next[p + 2] + emission(job, sample, t + 1, p + 2));
            }
            now[p] = sum;
            job->grad[(t * job->samples + sample) * job->classes + label_at(job, sample, p)] -=
                job->seed[sample] * exp(alpha[t * row + p] + sum - total);
        }
    }
}

static void sample_task(void *arg, int64_t sample)
{
    const CtcJob *job = arg;
    int64_t row = 2 * job->width + 1, rows = job->seed ? job->steps + 2 : 2;
    double *alpha = job->work + sample * rows * row;
    double total = forward(job, sample, alpha, job->seed != NULL);
    if (!job->seed) job->loss[sample] = -total;
    else if (total > -HUGE_VAL) backward(job, sample, alpha, alpha + job->steps * row, total);
}

/* One task a sample, with room for the rows that each needs. */
static bool run_samples(CtcJob *job)
{
    size_t rows = (size_t)(job->seed ? job->steps + 2 : 2), row = (size_t)(2 * job->width + 1);
    if (job->samples == 0) return true;
    job->work = scratch_take(&job->ctx->error, (size_t)job->samples * rows * row * sizeof(double));
    bool ok = job->work && pool_run(job->ctx, job->samples, sample_task, job);
    scratch_release(job->work);
    return ok;
}

bool ctc_losses_run(OpCall *call)
{
    CtcJob job;
    Tensor *loss = NULL;
    bool ok = job_init(&job, call->ctx, call->in, call->attr[0].i) && check_numbers(call, &job);
    ok = ok && (loss = tensor_new(call->ctx, DTYPE_f64, 1, call->spec[0].shape)) != NULL;
    if (ok) {
        job.loss = (double *)(void *)loss->data;
        ok = run_samples(&job);
    }
    for (int64_t i = 0; ok && i < job.samples; i++) tensor_store(call->out[0], i, job.loss[i]);
    tensor_release(loss);
    job_clear(&job);
    return ok;
}

/* ---- the gradient ---- */

static Tensor *fused_gradient(GradCall *g)
{
    CtcJob job;
    Tensor *grad = NULL, *result = NULL, *wide = NULL, *seed = NULL;
    bool ok = job_init(&job, g->ctx, g->in, g->attr[0].i);
    ok = ok && (grad = tensor_zeros(g->ctx, DTYPE_f64, 3, g->in_spec[0].shape)) != NULL;
    ok = ok && (wide = tensor_cast(g->ctx, g->dy[0], DTYPE_f64)) != NULL;
    ok = ok && (seed = tensor_contiguous(g->ctx, wide)) != NULL;
    if (ok) {
        job.grad = (double *)(void *)grad->data;
        job.seed = (const double *)(const void *)seed->data;
        ok = run_samples(&job);
    }
    if (ok) result = tensor_cast(g->ctx, grad, g->in_spec[0].dtype);
    tensor_release(seed);
    tensor_release(wide);
    tensor_release(grad);
    job_clear(&job);
    return scope_own(g->s, result);
}

#define NEVER -1e30           /* log of an impossible event; finite, so that differences of two stay numbers */

/* What the recursion by ops reads, worked out once: [n, places] or [1, n, places]. */
typedef struct CtcPlan { Tensor *labels, *start, *skip, *end; } CtcPlan;

static bool plan_init(CtcPlan *plan, Scope *s, const CtcJob *job)
{
    int64_t places = 2 * job->width + 1, shape[2] = { job->samples, places };
    plan->labels = scope_own(s, tensor_zeros(job->ctx, DTYPE_i64, 2, shape));
    plan->start = scope_own(s, tensor_zeros(job->ctx, DTYPE_f64, 2, shape));
    plan->skip = scope_own(s, tensor_zeros(job->ctx, DTYPE_f64, 2, shape));
    plan->end = scope_own(s, tensor_zeros(job->ctx, DTYPE_f64, 2, shape));
    if (!plan->labels || !plan->start || !plan->skip || !plan->end) return false;
    for (int64_t i = 0; i < job->samples; i++)
        for (int64_t p = 0; p < places; p++) {
            int64_t last = 2 * job->target_length[i], at = i * places + p;
            bool inside = p <= last;
            tensor_store_int(plan->labels, at, inside ? label_at(job, i, p) : job->blank);
            tensor_store(plan->start, at, inside && p < 2 ? 0.0 : NEVER);
            tensor_store(plan->skip, at, inside && may_skip(job, i, p) ? 0.0 : NEVER);
            tensor_store(plan->end, at, inside && p >= last - 1 ? 0.0 : NEVER);
        }
    return true;
}

/* [n, places] moved up by [places]; NEVER comes in */
static Tensor *moved_up(Scope *s, Tensor *x, int64_t places)
{
    Attr attr[3] = { attr_ints(2, (int64_t[]){ places, -places }), attr_num(NEVER), { .str = "constant" } };
    return x ? s_op(s, OP_pad, 1, &x, attr, 0) : NULL;
}

/* Which samples have not ended before a step, as bool [n, 1]. */
static Tensor *running(Scope *s, const CtcJob *job, int64_t step)
{
    Tensor *mask = scope_own(s, tensor_zeros(job->ctx, DTYPE_bool, 2, (int64_t[]){ job->samples, 1 }));
    for (int64_t i = 0; mask && i < job->samples; i++) tensor_store_int(mask, i, step < job->input_length[i]);
    return mask;
}

/* Minus the losses [n], as ops on log probabilities x. */
static Tensor *recursion(Scope *s, const CtcJob *job, Tensor *x)
{
    CtcPlan plan;
    if (!plan_init(&plan, s, job)) return NULL;
    int64_t shape[3] = { job->steps, job->samples, 2 * job->width + 1 };
    Tensor *in[2] = { x, s_expand(s, s_unsqueeze(s, plan.labels, 0), 3, shape) };
    Attr axis = attr_int(2);
    Tensor *emissions = in[1] ? s_op(s, OP_gather, 2, in, &axis, 0) : NULL, *alpha = plan.start;
    for (int64_t t = 0; t < job->steps; t++) {
        Attr at[2] = { attr_int(0), attr_int(t) };
        Tensor *emitted = emissions ? s_op(s, OP_select, 1, &emissions, at, 0) : NULL, *sum = alpha;
        if (t > 0) {
            sum = s_binary(s, OP_logaddexp, alpha, moved_up(s, alpha, 1));
            sum = s_binary(s, OP_logaddexp, sum, s_add(s, moved_up(s, alpha, 2), plan.skip));
        }
        alpha = s_where(s, running(s, job, t), s_add(s, sum, emitted), alpha);
    }
    Attr last[2] = { attr_ints(1, (int64_t[]){ 1 }), attr_bool(false) };
    Tensor *ended = s_add(s, alpha, plan.end);
    return ended ? s_op(s, OP_logsumexp, 1, &ended, last, 0) : NULL;
}

/* 0 for samples without any alignment, whose loss is infinite; bool [n]. */
static Tensor *possible(Scope *s, const CtcJob *job, Tensor *total)
{
    Tensor *mask = scope_own(s, tensor_zeros(job->ctx, DTYPE_bool, 1, (int64_t[]){ job->samples }));
    for (int64_t i = 0; mask && total && i < job->samples; i++)
        tensor_store_int(mask, i, tensor_item(total, i) > 0.5 * NEVER);
    return mask;
}

/* The recursion is recorded by a level of its own and differentiated by it; enclosing levels record that. */
static Tensor *graph_gradient(GradCall *g)
{
    CtcJob job;
    Tensor *leaf = NULL, *grad = NULL;
    bool ok = job_init(&job, g->ctx, g->in, g->attr[0].i);
    grad_begin(g->ctx);
    if (ok) leaf = grad_leaf(g->ctx, g->in[0]);
    Tensor *total = leaf ? recursion(g->s, &job, leaf) : NULL;
    Tensor *seed = total ? s_neg(g->s, s_cast(g->s, g->dy[0], (Dtype)total->dtype)) : NULL;
    seed = seed ? s_where(g->s, possible(g->s, &job, total), seed, s_const(g->s, 0.0)) : NULL;
    ok = seed && grad_backward(g->ctx, 1, &total, &seed, 1, &leaf, &grad);
    grad_end(g->ctx);
    tensor_release(leaf);
    job_clear(&job);
    return ok ? s_cast(g->s, scope_own(g->s, grad), g->in_spec[0].dtype) : NULL;
}

bool ctc_losses_grad(GradCall *g)
{
    g->dx[0] = grad_recording(g) ? graph_gradient(g) : fused_gradient(g);
    return g->dx[0] != NULL;
}
