/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of softmax and its kin, and of the norms that layers use. */
#include <math.h>

#include "ops_test.h"

/* ---- one line of elements along an axis at a time ---- */

typedef struct Line {
    int64_t start, step, length;
} Line;

static int64_t line_count(const Array *x, int axis)
{
    int64_t n = 1;
    for (int i = 0; i < x->ndim; i++)
        n *= i == axis ? 1 : x->shape[i];
    return n;
}

static Line line_at(const Array *x, int axis, int64_t at)
{
    int64_t step = 1;
    for (int i = axis + 1; i < x->ndim; i++)
        step *= x->shape[i];
    return (Line){at / step * step * x->shape[axis] + at % step, step, x->shape[axis]};
}

static double line_logsumexp(const Array *x, Line l)
{
    double most = -HUGE_VAL, sum = 0;
    for (int64_t k = 0; k < l.length; k++)
        most = fmax(most, x->v[l.start + k * l.step]);
    for (int64_t k = 0; k < l.length; k++)
        sum += exp(x->v[l.start + k * l.step] - most);
    return l.length ? most + log(sum) : -HUGE_VAL;
}

static void softmax(Ref *r, bool is_log)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    double *v = ref_like(r, ref_floating(x->dtype), x);
    for (int64_t i = 0; x->size && i < line_count(x, axis); i++) {
        Line l = line_at(x, axis, i);
        double whole = line_logsumexp(x, l);
        for (int64_t k = l.start; k < l.start + l.length * l.step; k += l.step)
            v[k] = is_log ? x->v[k] - whole : exp(x->v[k] - whole);
    }
}

static void ref_softmax(Ref *r) { softmax(r, false); }
static void ref_log_softmax(Ref *r) { softmax(r, true); }

static void ref_logsumexp(Ref *r)
{
    const Array *x = r->in[0];
    int64_t axes[TENSOR_MAX_DIMS], shape[TENSOR_MAX_DIMS], kept[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    int n = ref_none(r, "axis") ? -1 : ref_ints(r, "axis", axes), ndim = 0;
    bool reduced[TENSOR_MAX_DIMS];
    Array mid = {.ndim = x->ndim, .size = 1};
    for (int i = 0; i < x->ndim; i++) {
        reduced[i] = n < 0;
        for (int k = 0; k < n; k++)
            reduced[i] = reduced[i] || axes[k] == i || axes[k] == i - x->ndim;
        mid.size *= mid.shape[i] = kept[i] = reduced[i] ? 1 : x->shape[i];
        if (!reduced[i] || ref_bool(r, "keepdim"))
            shape[ndim++] = kept[i];
    }
    double *v = ref_out(r, ref_floating(x->dtype), ndim, shape);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        for (int k = 0; k < x->ndim; k++)
            place[k] = reduced[k] ? 0 : place[k];
        v[ref_index(&mid, place)] += exp(x->v[i]);
    }
    for (int64_t i = 0; i < mid.size; i++)
        v[i] = log(v[i]);
}

static void ref_normalize(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    double *v = ref_like(r, ref_floating(x->dtype), x);
    for (int64_t i = 0; x->size && i < line_count(x, axis); i++) {
        Line l = line_at(x, axis, i);
        double sum = 0;
        for (int64_t k = l.start; k < l.start + l.length * l.step; k += l.step)
            sum += x->v[k] * x->v[k];
        for (int64_t k = l.start; k < l.start + l.length * l.step; k += l.step)
            v[k] = x->v[k] / fmax(sqrt(sum), ref_num(r, "eps"));
    }
}

static double factor(const Ref *r, int input, int64_t at, double otherwise)
{
    return input < r->n_in && r->in[input] ? r->in[input]->v[at] : otherwise;
}

static void ref_layer_norm(Ref *r)
{
    const Array *x = r->in[0];
    double *v = ref_like(r, ref_floating(x->dtype), x);
    int64_t d = x->shape[x->ndim - 1];
    for (int64_t i = 0; d && i < x->size; i += d) {
        double mean = 0, variance = 0;
        for (int64_t k = 0; k < d; k++)
            mean += x->v[i + k] / (double)d;
        for (int64_t k = 0; k < d; k++)
            variance += (x->v[i + k] - mean) * (x->v[i + k] - mean) / (double)d;
        for (int64_t k = 0; k < d; k++)
            v[i + k] = (x->v[i + k] - mean) / sqrt(variance + ref_num(r, "eps")) * factor(r, 1, k, 1)
                     + factor(r, 2, k, 0);
    }
}

static void ref_rms_norm(Ref *r)
{
    const Array *x = r->in[0];
    double *v = ref_like(r, ref_floating(x->dtype), x);
    int64_t d = x->shape[x->ndim - 1];
    for (int64_t i = 0; d && i < x->size; i += d) {
        double square = 0;
        for (int64_t k = 0; k < d; k++)
            square += x->v[i + k] * x->v[i + k] / (double)d;
        for (int64_t k = 0; k < d; k++)
            v[i + k] = x->v[i + k] / sqrt(square + ref_num(r, "eps")) * factor(r, 1, k, 1);
    }
}

/* The channel of element i of [n, c, ...]. */
static int64_t channel(const Array *x, int64_t i)
{
    int64_t place[TENSOR_MAX_DIMS];
    ref_place(x, i, place);
    return place[1];
}

static void ref_batch_norm(Ref *r)
{
    const Array *x = r->in[0];
    int64_t c = x->shape[1];
    double *v = ref_like(r, x->dtype, x), *mean = ref_out(r, x->dtype, 1, &c), *variance = ref_out(r, x->dtype, 1, &c);
    double n = c ? (double)x->size / (double)c : 0;
    for (int64_t i = 0; i < x->size; i++)
        mean[channel(x, i)] += x->v[i] / n;
    for (int64_t i = 0; i < x->size; i++) {
        double far = x->v[i] - mean[channel(x, i)];
        variance[channel(x, i)] += far * far / n;
    }
    for (int64_t k = 0; n == 0 && k < c; k++)
        mean[k] = variance[k] = (double)NAN;
    for (int64_t i = 0; i < x->size; i++) {
        int64_t k = channel(x, i);
        v[i] = (x->v[i] - mean[k]) / sqrt(variance[k] + ref_num(r, "eps")) * factor(r, 1, k, 1) + factor(r, 2, k, 0);
    }
}

static void ref_batch_norm_eval(Ref *r)
{
    const Array *x = r->in[0];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++) {
        int64_t k = channel(x, i);
        v[i] = (x->v[i] - r->in[1]->v[k]) / sqrt(r->in[2]->v[k] + ref_num(r, "eps")) * factor(r, 3, k, 1)
             + factor(r, 4, k, 0);
    }
}

const Case cases_norm[] = {
    {"softmax", "x[3,4]", "", .reference = ref_softmax},
    {"softmax", "x[2,3,4]", "axis=1", .reference = ref_softmax},
    {"softmax", "x[5]", "axis=0", .reference = ref_softmax},
    {"softmax", "x[3,1]", "", .reference = ref_softmax},
    {"softmax", "x[3,0]", "", .reference = ref_softmax},
    {"softmax", "x[0,3]", "", .reference = ref_softmax},
    {"softmax", "x[3,4](-800,900)", "", .reference = ref_softmax, .only = FLOATS, .no_grad = true /* too steep */},
    {"softmax", "x[3]", "axis=1", .error = ERROR_index},
    {"softmax", "x[300,333]", "", .reference = ref_softmax, .big = true},
    {"softmax", "x[30,33,70]", "axis=1", .reference = ref_softmax, .big = true},
    {"log_softmax", "x[3,4]", "", .reference = ref_log_softmax},
    {"log_softmax", "x[2,3,4]", "axis=1", .reference = ref_log_softmax},
    {"log_softmax", "x[3,1]", "", .reference = ref_log_softmax},
    {"log_softmax", "x[3,0]", "", .reference = ref_log_softmax},
    {"log_softmax", "x[3,4](-800,900)", "", .reference = ref_log_softmax, .only = FLOATS, .no_grad = true},
    {"log_softmax", "x[300,333]", "", .reference = ref_log_softmax, .big = true, .loose = 2},
    {"log_softmax", "x[30,33,70]", "axis=1", .reference = ref_log_softmax, .big = true, .loose = 2},
    {"logsumexp", "x[3,4]", "", .reference = ref_logsumexp},
    {"logsumexp", "x[2,3,4]", "axis=(0,2)", .reference = ref_logsumexp},
    {"logsumexp", "x[2,3,4]", "axis=1, keepdim=true", .reference = ref_logsumexp},
    {"logsumexp", "x[3,1]", "axis=1", .reference = ref_logsumexp},
    {"logsumexp", "x[3,0]", "axis=1", .reference = ref_logsumexp},
    {"logsumexp", "x[300,333]", "axis=1", .reference = ref_logsumexp, .big = true},
    {"normalize", "x[3,4]", "", .reference = ref_normalize, .only = FLOATS},
    {"normalize", "x[3,4]", "axis=0", .reference = ref_normalize, .only = FLOATS},
    {"normalize", "x[3,1]", "", .reference = ref_normalize, .only = FLOATS},
    {"normalize", "x[3,0]", "", .reference = ref_normalize, .only = FLOATS},
    {"normalize", "x[1,3]zzz", "", .reference = ref_normalize, .only = FLOATS, .no_grad = true /* eps steps in */},
    {"layer_norm", "x[3,4] x[4] x[4]", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[2,3,5] - -", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[3,4] x[4] -", "eps=0.1", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[3,4] - x[4]", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[4] x[4] x[4]", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[3,1] x[1] x[1]", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[0,4] x[4] x[4]", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[3,53] x[53] x[53]", "", .reference = ref_layer_norm, .only = FLOATS},      /* vectors and a rest */
    {"layer_norm", "x[2,53] - -", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[5,37] x[37] x[37]", "", .reference = ref_layer_norm, .only = FLOATS},   /* four rows, one */
    {"layer_norm", "x[4,35] - -", "", .reference = ref_layer_norm, .only = FLOATS},
    {"layer_norm", "x[501,192] x[192] x[192]", "", .reference = ref_layer_norm, .big = true, .loose = 30},
    {"layer_norm", "x[3,4] x[3] -", "", .error = ERROR_shape, .only = FLOATS},
    {"layer_norm", "x[] - -", "", .error = ERROR_shape, .only = FLOATS},
    {"layer_norm", "x[300,333] x[333] x[333]", "", .reference = ref_layer_norm, .big = true, .loose = 30},
    {"rms_norm", "x[3,4] x[4]", "", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[2,3,5] -", "eps=0.1", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[3,53] x[53]", "", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[5,37] x[37]", "", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[3,1] x[1]", "eps=0.5", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[0,4] x[4]", "", .reference = ref_rms_norm, .only = FLOATS},
    {"rms_norm", "x[3,4] x[3]", "", .error = ERROR_shape, .only = FLOATS},
    {"rms_norm", "x[300,333] x[333]", "", .reference = ref_rms_norm, .big = true, .loose = 30},
    {"batch_norm", "x[5,3] x[3] x[3]", "", .reference = ref_batch_norm, .only = FLOATS},
    {"batch_norm", "x[2,3,2,2] x[3] x[3]", "eps=0.01", .reference = ref_batch_norm, .only = FLOATS},
    {"batch_norm", "x[2,3,4] - -", "", .reference = ref_batch_norm, .only = FLOATS},
    {"batch_norm", "x[4,1] x[1] -", "", .reference = ref_batch_norm, .only = FLOATS},
    {"batch_norm", "x[0,3] x[3] x[3]", "", .reference = ref_batch_norm, .only = FLOATS, .no_grad = true},
    {"batch_norm", "x[4] - -", "", .error = ERROR_shape, .only = FLOATS},
    {"batch_norm", "x[4,3] x[4] -", "", .error = ERROR_shape, .only = FLOATS},
    {"batch_norm", "x[16,7,28,28] x[7] x[7]", "", .reference = ref_batch_norm, .big = true, .loose = 100},
    {"batch_norm", "x[1500,70] x[70] x[70]", "", .reference = ref_batch_norm, .big = true, .loose = 100},
    {"batch_norm_eval", "x[5,3] x[3] x[3](0.2,2) x[3] x[3]", "", .reference = ref_batch_norm_eval, .only = FLOATS},
    {"batch_norm_eval", "x[2,3,2,2] x[3] x[3](0.2,2) - -", "", .reference = ref_batch_norm_eval, .only = FLOATS},
    {"batch_norm_eval", "x[4,1] x[1] x[1](0.2,2) - x[1]", "", .reference = ref_batch_norm_eval, .only = FLOATS},
    {"batch_norm_eval", "x[0,3] x[3] x[3](0.2,2) x[3] x[3]", "", .reference = ref_batch_norm_eval, .only = FLOATS},
    {0},
};
