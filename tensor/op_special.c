/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Elementwise functions with a parameter that is no tensor: polygamma. What depends on tensors alone is a row of the
   table and has no code of its own. */
#include "special.h"

#include "op.h"
#include "sweep.h"

typedef struct OrderJob {
    int order;
    Dtype dtype;
    char *out;
} OrderJob;

bool shape_polygamma(OpCall *call)
{
    int64_t order = call->attr[0].i;
    if (order < 0 || order > SPECIAL_MAX_ORDER)
        return op_error(call, ERROR_value, "n must be from 0 to %d, got %lld", SPECIAL_MAX_ORDER, (long long)order);
    spec_of(call->in[0], &call->spec[0]);
    call->spec[0].dtype = call->in[0]->weak ? DTYPE_f64 : op_promote(1, call->in, true, false);
    return true;
}

static void polygamma_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const OrderJob *job = arg;
    const float *narrow = in[0];
    const double *wide = in[0];
    for (int64_t i = 0; i < n; i++) {
        double y = special_polygamma(job->order, job->dtype == DTYPE_f64 ? wide[i] : (double)narrow[i]);
        if (job->dtype == DTYPE_f64) ((double *)(void *)job->out)[at + i] = y;
        else ((float *)(void *)job->out)[at + i] = (float)y;
    }
}

bool polygamma_run(OpCall *call)
{
    OrderJob job = { (int)call->attr[0].i, call->spec[0].dtype, call->out[0]->data };
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, polygamma_body, &job);
    sweep_input(&sweep, call->in[0], job.dtype);
    return sweep_run(call->ctx, &sweep);
}

Tensor *s_polygamma(Scope *s, int order, Tensor *x)
{
    Attr attr = attr_int(order);
    return x ? s_op(s, OP_polygamma, 1, &x, &attr, 0) : NULL;
}

bool polygamma_grad(GradCall *g)
{
    Tensor *slope = s_polygamma(g->s, (int)g->attr[0].i + 1, g->in[0]);
    g->dx[0] = s_sum_to(g->s, s_mul(g->s, g->dy[0], slope), &g->in_spec[0]);
    return g->dx[0] != NULL;
}
