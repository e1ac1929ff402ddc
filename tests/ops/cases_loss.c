/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of losses and of the steps of optimisers. */
#include <math.h>

#include "ops_test.h"

/* ---- losses ---- */

static double row_logsumexp(const double *row, int64_t n)
{
    double most = row[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        most = fmax(most, row[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(row[i] - most);
    return most + log(sum);
}

static void ref_cross_entropy(Ref *r)
{
    const Array *x = r->in[0], *target = r->in[1];
    double *v = ref_out(r, x->dtype, 0, NULL), smoothing = ref_num(r, "label_smoothing");
    int64_t n = x->shape[0], c = x->shape[1];
    bool labels = target->ndim == 1;
    for (int64_t i = 0; i < n; i++) {
        double whole = row_logsumexp(x->v + i * c, c);
        for (int64_t k = 0; k < c; k++) {
            double wanted = labels ? (int64_t)target->v[i] == k : target->v[i * c + k];
            v[0] -= (wanted * (1 - smoothing) + smoothing / (double)c) * (x->v[i * c + k] - whole) / (double)n;
        }
    }
    if (n == 0)
        v[0] = (double)NAN;
}

/* ---- optimisers, as their papers and PyTorch write them ---- */

static double length(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static void momentum_step(Ref *r, double scale)
{
    const Array *p = r->in[0], *g = r->in[1], *m = r->in[2];
    double lr = ref_num(r, "lr"), mu = ref_num(r, "momentum"), decay = ref_num(r, "weight_decay");
    double *new_p = ref_like(r, p->dtype, p), *new_m = ref_like(r, p->dtype, p);
    for (int64_t i = 0; i < p->size; i++) {
        double step = scale * (g->v[i] + decay * p->v[i]);
        new_m[i] = m && !ref_bool(r, "first") ? mu * m->v[i] + step : step;
        new_p[i] = p->v[i] - lr * (ref_bool(r, "nesterov") ? step + mu * new_m[i] : new_m[i]);
    }
}

static void ref_sgd(Ref *r) { momentum_step(r, 1); }

static void ref_lars(Ref *r)
{
    double p = length(r->in[0]->v, r->in[0]->size), g = length(r->in[1]->v, r->in[1]->size);
    double decay = ref_num(r, "weight_decay");
    bool scaled = decay != 0 && p > 0 && g > 0;
    momentum_step(r, scaled ? ref_num(r, "trust") * p / (g + decay * p + ref_num(r, "eps")) : 1);
}

static void adam_step(Ref *r, bool coupled, bool is_lamb)
{
    const Array *p = r->in[0], *g = r->in[1];
    double lr = ref_num(r, "lr"), decay = ref_num(r, "weight_decay");
    double b1 = ref_num(r, "beta1"), b2 = ref_num(r, "beta2");
    double step = (double)ref_int(r, "step"), ratio = 1, u[64] = {0};
    double *new_p = ref_like(r, p->dtype, p), *m = ref_like(r, p->dtype, p), *v = ref_like(r, p->dtype, p);
    for (int64_t i = 0; i < p->size; i++) {
        double grad = g->v[i] + (coupled ? decay * p->v[i] : 0);
        m[i] = b1 * r->in[2]->v[i] + (1 - b1) * grad;
        v[i] = b2 * r->in[3]->v[i] + (1 - b2) * grad * grad;
        u[i] = m[i] / (1 - pow(b1, step)) / (sqrt(v[i] / (1 - pow(b2, step))) + ref_num(r, "eps"));
        u[i] += coupled ? 0 : decay * p->v[i];
    }
    double weight = length(p->v, p->size), way = length(u, p->size);
    if (is_lamb && weight > 0 && way > 0)
        ratio = weight / way;
    for (int64_t i = 0; i < p->size; i++)
        new_p[i] = p->v[i] - lr * ratio * u[i];
}

static void ref_adam(Ref *r) { adam_step(r, !ref_bool(r, "decoupled"), false); }
static void ref_lamb(Ref *r) { adam_step(r, false, true); }

const Case cases_loss[] = {
    {"softmax_cross_entropy", "x[4,3] i64[4](0,2)", "", .reference = ref_cross_entropy, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] i32[4](0,2)", "label_smoothing=0.1", .reference = ref_cross_entropy,
     .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] u8[4](0,2)", "", .reference = ref_cross_entropy, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] x[4,3](0.1,0.6)", "", .reference = ref_cross_entropy, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] x[4,3](0.1,0.6)!", "label_smoothing=0.2", .reference = ref_cross_entropy,
     .only = FLOATS},
    {"softmax_cross_entropy", "x[1,1] i64[1](0,0)", "", .reference = ref_cross_entropy, .only = FLOATS},
    {"softmax_cross_entropy", "x[0,3] i64[0](0,2)", "", .reference = ref_cross_entropy, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3](-500,500) i64[4](0,2)", "", .reference = ref_cross_entropy, .only = FLOATS,
     .no_grad = true /* too steep for differences */},
    {"softmax_cross_entropy", "x[4,3] i64[4](3,3)", "", .error = ERROR_index, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] i64[4](-1,-1)", "", .error = ERROR_index, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] i64[3](0,2)", "", .error = ERROR_shape, .only = FLOATS},
    {"softmax_cross_entropy", "x[4,3] i64[4,3](0,2)", "", .error = ERROR_shape, .only = FLOATS},
    {"softmax_cross_entropy", "x[4] i64[4](0,2)", "", .error = ERROR_shape, .only = FLOATS},
    {"softmax_cross_entropy", "i64[4,3] i64[4](0,2)", "", .error = ERROR_dtype},
    {"softmax_cross_entropy", "x[1000,97] i64[1000](0,96)", "", .reference = ref_cross_entropy, .big = true,
     .loose = 50},
    {"sgd_update", "x[3,4] x[3,4] x[3,4]", "lr=0.1", .reference = ref_sgd, .only = FLOATS},
    {"sgd_update", "x[3,4] x[3,4] x[3,4]", "lr=0.1, momentum=0.9, weight_decay=0.02", .reference = ref_sgd,
     .only = FLOATS},
    {"sgd_update", "x[5] x[5] x[5]", "lr=0.1, momentum=0.9, nesterov=true", .reference = ref_sgd, .only = FLOATS},
    {"sgd_update", "x[5] x[5] x[5]", "lr=0.1, momentum=0.9, first=true", .reference = ref_sgd, .only = FLOATS},
    {"sgd_update", "x[1] x[1] x[1]", "lr=0.1, momentum=0.9", .reference = ref_sgd, .only = FLOATS},
    {"sgd_update", "x[0] x[0] x[0]", "lr=0.1", .reference = ref_sgd, .only = FLOATS},
    {"sgd_update", "x[5] x[4] x[5]", "lr=0.1", .error = ERROR_shape, .only = FLOATS},
    {"adam_update", "x[3,4] x[3,4] x[3,4] x[3,4](0.1,1)", "step=1, lr=0.1", .reference = ref_adam, .only = FLOATS},
    {"adam_update", "x[3,4] x[3,4] x[3,4] x[3,4](0.1,1)",
     "step=7, lr=0.1, weight_decay=0.3, beta1=0.8, beta2=0.95, eps=0.01", .reference = ref_adam, .only = FLOATS},
    {"adam_update", "x[5] x[5] x[5] x[5](0.1,1)", "step=3, lr=0.1, weight_decay=0.3, decoupled=false",
     .reference = ref_adam, .only = FLOATS},
    {"adam_update", "x[1] x[1] x[1] x[1](0.1,1)", "step=1, lr=0.1", .reference = ref_adam, .only = FLOATS},
    {"adam_update", "x[0] x[0] x[0] x[0]", "step=1, lr=0.1", .reference = ref_adam, .only = FLOATS},
    {"lars_update", "x[3,4] x[3,4] x[3,4]", "lr=0.1, weight_decay=0.02", .reference = ref_lars, .only = FLOATS},
    {"lars_update", "x[3,4] x[3,4] x[3,4]", "lr=0.1", .reference = ref_lars, .only = FLOATS},
    {"lars_update", "x[5] x[5] x[5]", "lr=0.1, weight_decay=0.02, first=true, nesterov=true", .reference = ref_lars,
     .only = FLOATS},
    {"lars_update", "x[1] x[1] x[1]", "lr=0.1, weight_decay=0.02, trust=0.1", .reference = ref_lars, .only = FLOATS},
    {"lars_update", "x[0] x[0] x[0]", "lr=0.1", .reference = ref_lars, .only = FLOATS},
    {"lamb_update", "x[3,4] x[3,4] x[3,4] x[3,4](0.1,1)", "step=2, lr=0.1, weight_decay=0.05", .reference = ref_lamb,
     .only = FLOATS},
    {"lamb_update", "x[5] x[5] x[5] x[5](0.1,1)", "step=1, lr=0.1", .reference = ref_lamb, .only = FLOATS},
    {"lamb_update", "x[1] x[1] x[1] x[1](0.1,1)", "step=1, lr=0.1", .reference = ref_lamb, .only = FLOATS},
    {"lamb_update", "x[0] x[0] x[0] x[0]", "step=1, lr=0.1", .reference = ref_lamb, .only = FLOATS},
    {0},
};
