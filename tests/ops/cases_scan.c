/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of running products, extremes and logarithms of sums, and of searches in what is sorted. */
#include <math.h>

#include "ops_test.h"

/* What one line has seen so far: f is folded over its elements, from the end when [reverse]. */
typedef double Step(double so_far, double x, bool first);

static void running(Ref *r, Dtype dtype, Step *step, bool reverse)
{
    const Array *x = r->in[0];
    int axis = x->ndim ? ref_axis(r, "axis", x->ndim) : 0;
    int64_t place[TENSOR_MAX_DIMS];
    double *v = ref_like(r, dtype, x);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        int64_t mine = x->ndim ? place[axis] : 0, n = x->ndim ? x->shape[axis] : 1;
        for (int64_t k = reverse ? n - 1 : 0; reverse ? k >= mine : k <= mine; k += reverse ? -1 : 1) {
            if (x->ndim)
                place[axis] = k;
            v[i] = step(v[i], x->v[ref_index(x, place)], k == (reverse ? n - 1 : 0));
        }
    }
}

static double step_product(double a, double x, bool first) { return first ? x : a * x; }
static double step_max(double a, double x, bool first) { return first || isnan(x) || x >= a ? x : a; }
static double step_min(double a, double x, bool first) { return first || isnan(x) || x <= a ? x : a; }
static double step_log(double a, double x, bool first)
{
    if (first)
        return x;
    if (isinf(a) && a == x)
        return a;
    return fmax(a, x) + log(exp(a - fmax(a, x)) + exp(x - fmax(a, x))) + (isnan(a) || isnan(x) ? (double)NAN : 0);
}

static void ref_cumprod(Ref *r)
{
    Dtype dtype = r->in[0]->dtype;
    running(r, dtype_class(dtype) == CLASS_FLOAT ? dtype : DTYPE_i64, step_product, false);
}

static void ref_logcumsumexp(Ref *r)
{
    running(r, ref_floating(r->in[0]->dtype), step_log, ref_bool(r, "reverse"));
}

/* Values, then the places of the last ones that equal them. */
static void extremes(Ref *r, Step *step)
{
    const Array *x = r->in[0];
    int64_t place[TENSOR_MAX_DIMS];
    running(r, x->dtype, step, false);
    const double *best = r->out[0].v;
    double *at = ref_like(r, DTYPE_i64, x);
    for (int64_t i = 0; i < x->size && x->ndim; i++) {
        int axis = ref_axis(r, "axis", x->ndim);
        ref_place(x, i, place);
        for (int64_t k = 0, mine = place[axis]; k <= mine; k++) {
            place[axis] = k;
            double v = x->v[ref_index(x, place)];
            if (v == best[i] || (isnan(v) && isnan(best[i])))
                at[i] = (double)k;
        }
    }
}

static void ref_cummax(Ref *r) { extremes(r, step_max); }
static void ref_cummin(Ref *r) { extremes(r, step_min); }

/* How many of the sorted come before x; NaN after all. */
static void ref_searchsorted(Ref *r)
{
    const Array *s = r->in[0], *x = r->in[1];
    bool right = ref_bool(r, "right");
    int64_t n = s->shape[s->ndim - 1], each = x->ndim ? x->shape[x->ndim - 1] : 1;
    double *v = ref_like(r, DTYPE_i64, x);
    for (int64_t i = 0; i < x->size; i++)
        for (int64_t k = 0; k < n; k++) {
            double a = s->v[(s->ndim == 1 ? 0 : i / each * n) + k], b = x->v[i];
            bool before = a < b || (isnan(b) && !isnan(a)), equal = a == b || (isnan(a) && isnan(b));
            v[i] += before || (right && equal);
        }
}

#define RUNS(name, fn)                                                                                                 \
    {name, "x[5]", "", .reference = fn}, {name, "x[3,4]", "axis=0", .reference = fn},                                  \
    {name, "x[2,4,3]", "axis=1", .reference = fn}, {name, "x[3,1]", "", .reference = fn},                              \
    {name, "x[3,0]", "", .reference = fn}, {name, "x[]", "", .reference = fn},                                         \
    {name, "x[3,4]n", "", .reference = fn, .only = FLOATS, .no_grad = true /* NaN */},                                 \
    {name, "x[3]", "axis=1", .error = ERROR_index}, {name, "x[]", "axis=1", .error = ERROR_index}

const Case cases_scan[] = {
    RUNS("cumprod", ref_cumprod),
    {"cumprod", "x[2,4]z", "", .reference = ref_cumprod},
    {"cumprod", "x[4,2]zz", "axis=0", .reference = ref_cumprod},
    {"cumprod", "x[70,900](0.99,1.01)", "", .reference = ref_cumprod, .only = FLOATS, .big = true, .loose = 100},
    RUNS("cummax", ref_cummax),
    {"cummax", "i64[4,9](0,2)", "axis=1", .reference = ref_cummax},
    {"cummax", "x[70,900]", "axis=0", .reference = ref_cummax, .big = true},
    RUNS("cummin", ref_cummin),
    {"cummin", "i32[4,9](0,2)", "axis=0", .reference = ref_cummin},
    {"cummin", "x[70,900]", "axis=0", .reference = ref_cummin, .big = true},
    RUNS("logcumsumexp", ref_logcumsumexp),
    {"logcumsumexp", "x[2,4]", "axis=1, reverse=true", .reference = ref_logcumsumexp},
    {"logcumsumexp", "x[3,4](-300,300)", "axis=0", .reference = ref_logcumsumexp, .only = FLOATS},
    {"logcumsumexp", "x[2,4]m", "", .reference = ref_logcumsumexp, .only = FLOATS, .no_grad = true /* -inf - -inf */},
    {"logcumsumexp", "x[70,900]", "", .reference = ref_logcumsumexp, .only = FLOATS, .big = true, .loose = 10},
    {"searchsorted", "i64[1](2,2) x[3,4]", "", .reference = ref_searchsorted},
    {"searchsorted", "x[1] x[5]", "right=true", .reference = ref_searchsorted},
    {"searchsorted", "x[3,1] x[3,4]", "", .reference = ref_searchsorted},
    {"searchsorted", "x[0] x[2,3]", "", .reference = ref_searchsorted},
    {"searchsorted", "x[1] x[0]", "", .reference = ref_searchsorted},
    {"searchsorted", "f64[1] x[]", "", .reference = ref_searchsorted},
    {"searchsorted", "x[1] x[4]n", "", .reference = ref_searchsorted, .only = FLOATS},
    {"searchsorted", "x[1]n x[4]n", "right=true", .reference = ref_searchsorted, .only = FLOATS},
    {"searchsorted", "x[2,3] x[3,4]", "", .error = ERROR_shape},
    {"searchsorted", "x[2,3] x[3]", "", .error = ERROR_shape},
    {"searchsorted", "x[] x[3]", "", .error = ERROR_shape},
    {0},
};
