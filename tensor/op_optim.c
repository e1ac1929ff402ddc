/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One step of an optimiser for one parameter, in one pass over memory (LARS and LAMB: two, since their rate needs norms
   first). Results are new tensors: p and the state that goes into the next step. No gradients.

   sgd   d = g + decay p; m = momentum m + d (the first time d); p -= lr (nesterov ? d + momentum m : m)
   adam  m, v running means of g and g^2, bias-corrected; decoupled decay is AdamW
   lars  as lightly: d = trust |p| / (|g| + decay |p| + eps) (g + decay p) if decay is not 0 and neither norm is, then
         momentum as in sgd
   lamb  Adam's direction u, decay added; p -= lr |p| / |u| u */
#include <math.h>
#include <string.h>

#include "sweep.h"

/* All tensors have p's shape; results have p's dtype. */
static bool shape_update(OpCall *call, int inputs, int outputs)
{
    TensorSpec p, other;
    spec_of(call->in[0], &p);
    if (dtype_class(p.dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "parameters must be floats, got %s", dtype_name(p.dtype));
    for (int i = 1; i < inputs; i++) {
        if (!call->in[i]) continue;
        spec_of(call->in[i], &other);
        if (spec_equal_shape(&p, &other)) continue;
        char left[96], right[96];
        shape_format(p.ndim, p.shape, left, sizeof left);
        shape_format(other.ndim, other.shape, right, sizeof right);
        return op_error(call, ERROR_shape, "the parameter is %s, but %s is %s", left,
                        op_signature(call->def)->param[i].name, right);
    }
    call->n_out = outputs;
    for (int i = 0; i < outputs; i++) call->spec[i] = p;
    return true;
}

bool shape_sgd(OpCall *call) { return shape_update(call, 3, 2); }
bool shape_adam(OpCall *call) { return shape_update(call, 4, 3); }

typedef struct Update {
    const Kernels *kernels;
    Dtype dtype;
    int64_t size;
    UpdateNumbers numbers;
    double k;                 /* of step */
    char *out[3];
    double *partial;          /* sums of squares: two for every chunk */
} Update;

static void update_init(Update *u, OpCall *call)
{
    memset(u, 0, sizeof *u);
    u->kernels = kernels();
    u->dtype = call->spec[0].dtype;
    u->size = (int64_t)dtype_size(u->dtype);
    u->numbers.scale = 1.0;
    for (int i = 0; i < call->n_out; i++) u->out[i] = call->out[i]->data;
}

static void sweep_update(Sweep *sweep, OpCall *call, int inputs, SweepBody *body, Update *u)
{
    sweep_init(sweep, call->spec[0].ndim, call->spec[0].shape, body, u);
    for (int i = 0; i < inputs; i++) sweep_input(sweep, call->in[i], u->dtype);
}

/* ---- sgd ---- */

static void sgd_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Update *u = arg;
    u->kernels->sgd[u->dtype](n, &u->numbers, in[0], in[1], in[2], u->out[0] + at * u->size, u->out[1] + at * u->size);
}

/* The momentum buffer is not read the first time. */
static bool run_sgd(OpCall *call, Update *u, bool first)
{
    Sweep sweep;
    sweep_update(&sweep, call, 2, sgd_body, u);
    sweep_input(&sweep, first ? NULL : call->in[2], u->dtype);
    return sweep_run(call->ctx, &sweep);
}

bool sgd_update_run(OpCall *call)
{
    const Attr *attr = call->attr;
    Update u;
    update_init(&u, call);
    u.numbers.rate = attr[0].num;
    u.numbers.momentum = attr[1].num;
    u.numbers.decay = attr[2].num;
    u.numbers.nesterov = attr[3].b;
    return run_sgd(call, &u, attr[4].b);
}

/* ---- norms ---- */

static void square_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Update *u = arg;
    for (int k = 0; k < 2; k++)     /* several blocks may share a chunk; one thread does a chunk */
        u->partial[2 * (at / SWEEP_CHUNK) + k] += u->kernels->dot[u->dtype](n, in[k], in[k]);
}

/* The 2-norms of [a] and [b], which have p's shape. */
static bool two_norms(OpCall *call, Update *u, const Tensor *a, const Tensor *b, double norm[2])
{
    size_t chunks = (size_t)(spec_size(&call->spec[0]) / SWEEP_CHUNK) + 1;
    u->partial = scratch_take(&call->ctx->error, chunks * 2 * sizeof(double));
    if (!u->partial) return false;
    memset(u->partial, 0, chunks * 2 * sizeof(double));
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, square_body, u);
    sweep_input(&sweep, a, u->dtype);
    sweep_input(&sweep, b, u->dtype);
    bool ok = sweep_run(call->ctx, &sweep);
    norm[0] = norm[1] = 0.0;
    for (size_t i = 0; i < chunks * 2; i++) norm[i % 2] += u->partial[i];
    norm[0] = sqrt(norm[0]);
    norm[1] = sqrt(norm[1]);
    scratch_release(u->partial);
    return ok;
}

/* ---- lars ---- */

bool lars_update_run(OpCall *call)
{
    const Attr *attr = call->attr;
    Update u;
    update_init(&u, call);
    double decay = attr[2].num, trust = attr[3].num, eps = attr[4].num, norm[2];
    u.numbers.rate = attr[0].num;
    u.numbers.momentum = attr[1].num;
    u.numbers.nesterov = attr[5].b;
    if (decay != 0.0) {
        if (!two_norms(call, &u, call->in[0], call->in[1], norm)) return false;
        if (norm[0] != 0.0 && norm[1] != 0.0) {
            u.numbers.decay = decay;
            u.numbers.scale = trust * norm[0] / (norm[1] + decay * norm[0] + eps);
        }
    }
    return run_sgd(call, &u, attr[6].b);
}

/* ---- adam and lamb ---- */

static void adam_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Update *u = arg;
    int64_t to = at * u->size;
    u->kernels->adam[u->dtype](n, &u->numbers, in[0], in[1], in[2], in[3], u->out[0] + to, u->out[1] + to,
                               u->out[2] + to);
}

/* Attributes: step, lr, beta1, beta2, eps, weight_decay */
static bool adam_numbers(OpCall *call, Update *u)
{
    const Attr *attr = call->attr;
    UpdateNumbers *n = &u->numbers;
    double step = (double)attr[0].i;
    if (attr[0].i < 1) return op_error(call, ERROR_value, "step counts from 1, got %lld", (long long)attr[0].i);
    n->rate = attr[1].num;
    n->beta1 = attr[2].num;
    n->beta2 = attr[3].num;
    n->eps = attr[4].num;
    n->decay = attr[5].num;
    n->correct1 = 1.0 / (1.0 - pow(n->beta1, step));
    n->correct2 = 1.0 / (1.0 - pow(n->beta2, step));
    return true;
}

bool adam_update_run(OpCall *call)
{
    Update u;
    Sweep sweep;
    update_init(&u, call);
    if (!adam_numbers(call, &u)) return false;
    u.numbers.decoupled = call->attr[6].b;
    u.numbers.whole = true;
    sweep_update(&sweep, call, 4, adam_body, &u);
    return sweep_run(call->ctx, &sweep);
}

static void step_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Update *u = arg;
    u->kernels->step[u->dtype](n, u->k, in[0], in[1], u->out[0] + at * u->size);
}

bool lamb_update_run(OpCall *call)
{
    Update u;
    Sweep sweep;
    double norm[2];
    update_init(&u, call);
    if (!adam_numbers(call, &u)) return false;
    u.numbers.decoupled = true;
    sweep_update(&sweep, call, 4, adam_body, &u);      /* leaves the direction where p' will stand */
    if (!sweep_run(call->ctx, &sweep) || !two_norms(call, &u, call->in[0], call->out[0], norm)) return false;
    u.k = -u.numbers.rate * (norm[0] > 0.0 && norm[1] > 0.0 ? norm[0] / norm[1] : 1.0);
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, step_body, &u);
    sweep_input(&sweep, call->in[0], u.dtype);
    sweep_input(&sweep, call->out[0], u.dtype);
    return sweep_run(call->ctx, &sweep);
}
