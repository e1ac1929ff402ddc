/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cdist: distances between all pairs of two sets of points. Differences are formed before they are squared, so points
   close to each other keep their distance, unlike with |a|^2 - 2ab + |b|^2.
   Invariant: a task is a run of rows of the result, so threads do not change bits. */
#include <math.h>

#include "op.h"

#define TASK_WORK 100000      /* differences a task takes */

bool shape_cdist(OpCall *call)
{
    const Tensor *a = call->in[0], *b = call->in[1];
    double p = call->attr[0].num;
    if (!(p >= 0)) return op_error(call, ERROR_value, "p is 0 or more, not %g", p);
    if (a->ndim < 2 || b->ndim < 2)
        return op_error(call, ERROR_shape, "needs points as rows of a matrix: [..., n, d] and [..., m, d]");
    if (a->shape[a->ndim - 1] != b->shape[b->ndim - 1])
        return op_error(call, ERROR_shape, "points of %lld and of %lld numbers", (long long)a->shape[a->ndim - 1],
                        (long long)b->shape[b->ndim - 1]);
    TensorSpec left, right, *out = &call->spec[0];
    spec_of(a, &left);
    spec_of(b, &right);
    left.ndim -= 2;
    right.ndim -= 2;
    if (!shape_broadcast(call, &left, &right, out)) return false;
    if (out->ndim + 3 > TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "at most %d axes lead", TENSOR_MAX_DIMS - 3);
    out->shape[out->ndim++] = a->shape[a->ndim - 2];
    out->shape[out->ndim++] = b->shape[b->ndim - 2];
    out->dtype = op_promote(2, call->in, true, true);
    return true;
}

/* ---- the loops ---- */

typedef struct Pairs {
    Dtype dtype;
    const char *a, *b;        /* [batch, n, d] and [batch, m, d], dense */
    char *out;                /* [batch, n, m] */
    int64_t rows, n, m, d, group;
    double p;
} Pairs;

/* The distance of two points under [kind], with four sums that do not wait for each other. */
#define DISTANCE(name, type, start, add, result)                                                                       \
    static type name(const type *x, const type *y, int64_t d, double p) {                                              \
        type sum[4] = {start, start, start, start}, both = start;                                                      \
        int64_t i = 0;                                                                                                 \
        (void)p;                                                                                                       \
        for (; i + 4 <= d; i += 4)                                                                                     \
            for (int j = 0; j < 4; j++) {                                                                              \
                type gap = x[i + j] - y[i + j], *to = &sum[j];                                                         \
                add;                                                                                                   \
            }                                                                                                          \
        for (; i < d; i++) {                                                                                           \
            type gap = x[i] - y[i], *to = &both;                                                                       \
            add;                                                                                                       \
        }                                                                                                              \
        for (int j = 0; j < 4; j++) both = JOIN_SUMS(both, sum[j]);                                                    \
        return result;                                                                                                 \
    }

#define JOIN_SUMS(a, b) (a) + (b)
DISTANCE(euclid_float, float, 0, *to += gap * gap, sqrtf(both))
DISTANCE(euclid_double, double, 0, *to += gap * gap, sqrt(both))
DISTANCE(city_float, float, 0, *to += fabsf(gap), both)
DISTANCE(city_double, double, 0, *to += fabs(gap), both)
DISTANCE(count_float, float, 0, *to += (float)(gap != 0), both)
DISTANCE(count_double, double, 0, *to += gap != 0, both)
DISTANCE(power_float, float, 0, *to += powf(fabsf(gap), (float)p), powf(both, (float)(1 / p)))
DISTANCE(power_double, double, 0, *to += pow(fabs(gap), p), pow(both, 1 / p))
#undef JOIN_SUMS
#define JOIN_SUMS(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
DISTANCE(most_float, float, 0, *to = JOIN_SUMS(*to, fabsf(gap)), both)
DISTANCE(most_double, double, 0, *to = JOIN_SUMS(*to, fabs(gap)), both)

static void pairs_task(void *arg, int64_t task)
{
    const Pairs *job = arg;
    double p = job->p;
    int64_t end = (task + 1) * job->group < job->rows ? (task + 1) * job->group : job->rows;
    for (int64_t row = task * job->group; row < end; row++)
        for (int64_t j = 0; j < job->m; j++) {
            int64_t other = row / job->n * job->m + j, to = row * job->m + j;
            if (job->dtype == DTYPE_f32) {
                const float *x = (const float *)(const void *)job->a + row * job->d;
                const float *y = (const float *)(const void *)job->b + other * job->d;
                ((float *)(void *)job->out)[to] = (p == 2 ? euclid_float : p == 1 ? city_float : p == 0 ? count_float
                                                   : isinf(p) ? most_float : power_float)(x, y, job->d, p);
            } else {
                const double *x = (const double *)(const void *)job->a + row * job->d;
                const double *y = (const double *)(const void *)job->b + other * job->d;
                ((double *)(void *)job->out)[to] = (p == 2 ? euclid_double : p == 1 ? city_double
                                                    : p == 0 ? count_double : isinf(p) ? most_double
                                                    : power_double)(x, y, job->d, p);
            }
        }
}

/* x over the result's batch, dense and in its dtype; owned. */
static Tensor *points(OpCall *call, Tensor *x)
{
    const TensorSpec *spec = &call->spec[0];
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < spec->ndim - 2; i++) shape[i] = spec->shape[i];
    for (int i = 1; i <= 2; i++) shape[spec->ndim - i] = x->shape[x->ndim - i];
    Tensor *all = tensor_new(call->ctx, spec->dtype, spec->ndim, shape);
    if (all != NULL && !tensor_assign(call->ctx, all, x)) tensor_slot(&all, NULL);
    return all;
}

bool cdist_run(OpCall *call)
{
    Tensor *a = points(call, call->in[0]), *b = a != NULL ? points(call, call->in[1]) : NULL;
    bool done = b != NULL;
    if (done && tensor_size(call->out[0]) > 0) {
        Pairs job = {.dtype = call->spec[0].dtype, .a = a->data, .b = b->data, .out = call->out[0]->data,
                     .n = a->shape[a->ndim - 2], .m = b->shape[b->ndim - 2], .d = a->shape[a->ndim - 1],
                     .p = call->attr[0].num};
        job.rows = tensor_size(call->out[0]) / job.m;
        job.group = TASK_WORK / (job.m * (job.d + 1)) + 1;
        done = pool_run(call->ctx, (job.rows + job.group - 1) / job.group, pairs_task, &job);
    }
    tensor_release(a);
    tensor_release(b);
    return done;
}

/* ---- the gradient ---- */

/* How the distance grows with each difference: sign(gap) (|gap| / distance)^(p - 1), 0 where the points coincide; for
   p = inf the largest differences share. */
static Tensor *slopes(Scope *s, Tensor *gap, Tensor *distance, double p)
{
    Tensor *sign = s_unary(s, OP_sign, gap);
    if (p == 0) return s_scale(s, sign, 0);
    if (p == 1) return sign;
    Tensor *none = s_binary(s, OP_eq, distance, s_const(s, 0)), *safe = s_where(s, none, s_const(s, 1), distance);
    if (p == 2) return s_div(s, gap, safe);
    if (isinf(p)) {
        Tensor *is_largest = s_binary(s, OP_eq, s_unary(s, OP_abs, gap), distance);
        if (is_largest == NULL) return NULL;
        bool last[TENSOR_MAX_DIMS] = {false};
        last[is_largest->ndim - 1] = true;
        Tensor *largest = s_cast(s, is_largest, (Dtype)gap->dtype);
        return s_div(s, s_mul(s, sign, largest), s_sum(s, largest, last, true));
    }
    Tensor *zero = s_binary(s, OP_eq, gap, s_const(s, 0));
    Tensor *ratio = s_div(s, s_unary(s, OP_abs, s_where(s, zero, s_const(s, 1), gap)), safe);
    Tensor *power = s_binary(s, OP_pow, ratio, s_const(s, p - 1));
    return s_mul(s, sign, s_where(s, zero, s_const(s, 0), power));
}

bool cdist_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *gap = s_sub(s, s_unsqueeze(s, g->in[0], -2), s_unsqueeze(s, g->in[1], -3));
    Tensor *flow = s_mul(s, s_unsqueeze(s, g->dy[0], -1),
                         gap != NULL ? slopes(s, gap, s_unsqueeze(s, g->out[0], -1), g->attr[0].num) : NULL);
    if (flow == NULL) return false;
    for (int i = 0; i < 2; i++) {
        bool other[TENSOR_MAX_DIMS] = {false};
        other[flow->ndim - 2 - i] = true;
        if (g->wants[i]) {
            Tensor *sum = s_sum(s, flow, other, false);
            g->dx[i] = s_sum_to(s, i == 0 ? sum : s_neg(s, sum), &g->in_spec[i]);
            if (g->dx[i] == NULL) return false;
        }
    }
    return true;
}
