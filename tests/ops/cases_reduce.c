/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of reductions, running sums, sorting, softmax and norms. */
#include <math.h>
#include <stdlib.h>

#include "ops_test.h"

/* ---- reductions over any axes ---- */

/* What is kept of the axes of x: an array of the kept shape with 1 for each reduced axis. */
typedef struct Split {
    bool reduced[TENSOR_MAX_DIMS];
    Array kept;
    int64_t count;            /* elements that go into one result */
} Split;

static void split_axes(const Ref *r, Split *s)
{
    const Array *x = r->in[0];
    int64_t axes[TENSOR_MAX_DIMS];
    int n = ref_none(r, "axis") ? -1 : ref_ints(r, "axis", axes);
    *s = (Split){.kept = {.ndim = x->ndim, .size = 1}, .count = 1};
    for (int i = 0; i < x->ndim; i++) {
        s->reduced[i] = n < 0;
        for (int k = 0; k < n; k++)
            s->reduced[i] = s->reduced[i] || axes[k] == i || axes[k] == i - x->ndim;
        s->kept.shape[i] = s->reduced[i] ? 1 : x->shape[i];
        s->kept.size *= s->kept.shape[i];
        s->count *= s->reduced[i] ? x->shape[i] : 1;
    }
}

/* The next output, in the kept shape with or without the ones. */
static double *kept_out(Ref *r, const Split *s, Dtype dtype)
{
    int64_t shape[TENSOR_MAX_DIMS];
    int n = 0;
    for (int i = 0; i < s->kept.ndim; i++)
        if (!s->reduced[i] || ref_bool(r, "keepdim"))
            shape[n++] = s->kept.shape[i];
    return ref_out(r, dtype, n, shape);
}

static int64_t kept_index(const Split *s, const Array *x, int64_t i)
{
    int64_t place[TENSOR_MAX_DIMS];
    ref_place(x, i, place);
    for (int k = 0; k < x->ndim; k++)
        place[k] = s->reduced[k] ? 0 : place[k];
    return ref_index(&s->kept, place);
}

typedef double Step(double so_far, double x);

static double *fold(Ref *r, const Split *s, Dtype dtype, double start, Step *step)
{
    const Array *x = r->in[0];
    double *v = kept_out(r, s, dtype);
    for (int64_t i = 0; i < s->kept.size; i++)
        v[i] = start;
    for (int64_t i = 0; i < x->size; i++) {
        double *at = &v[kept_index(s, x, i)];
        *at = step(*at, x->v[i]);
    }
    return v;
}

static double step_add(double a, double x) { return a + x; }
static double step_mul(double a, double x) { return a * x; }
static double step_max(double a, double x) { return isnan(a) || isnan(x) ? (double)NAN : a > x ? a : x; }
static double step_min(double a, double x) { return isnan(a) || isnan(x) ? (double)NAN : a < x ? a : x; }
static double step_all(double a, double x) { return a != 0 && x != 0; }
static double step_any(double a, double x) { return a != 0 || x != 0; }
static double step_abs(double a, double x) { return a + fabs(x); }
static double step_square(double a, double x) { return a + x * x; }
static double step_largest(double a, double x) { return step_max(a, fabs(x)); }

static Dtype sum_dtype(Dtype d) { return dtype_class(d) == CLASS_FLOAT ? d : DTYPE_i64; }

static void reduce(Ref *r, Dtype dtype, double start, Step *step)
{
    Split s;
    split_axes(r, &s);
    fold(r, &s, dtype, start, step);
}

static void ref_sum(Ref *r) { reduce(r, sum_dtype(r->in[0]->dtype), 0, step_add); }
static void ref_prod(Ref *r) { reduce(r, sum_dtype(r->in[0]->dtype), 1, step_mul); }
static void ref_max(Ref *r) { reduce(r, r->in[0]->dtype, -HUGE_VAL, step_max); }
static void ref_min(Ref *r) { reduce(r, r->in[0]->dtype, HUGE_VAL, step_min); }
static void ref_all(Ref *r) { reduce(r, DTYPE_bool, 1, step_all); }
static void ref_any(Ref *r) { reduce(r, DTYPE_bool, 0, step_any); }

static void ref_mean(Ref *r)
{
    Split s;
    split_axes(r, &s);
    double *v = fold(r, &s, ref_floating(r->in[0]->dtype), 0, step_add);
    for (int64_t i = 0; i < s.kept.size; i++)
        v[i] /= (double)s.count;
}

/* Squared distances to the mean over n - correction. */
static double *variance(Ref *r, Split *s)
{
    const Array *x = r->in[0];
    split_axes(r, s);
    double *v = kept_out(r, s, ref_floating(x->dtype));
    for (int64_t k = 0; k < s->kept.size; k++) {
        double mean = 0;
        for (int64_t i = 0; i < x->size; i++)
            mean += kept_index(s, x, i) == k ? x->v[i] / (double)s->count : 0;
        for (int64_t i = 0; i < x->size; i++)
            v[k] += kept_index(s, x, i) == k ? (x->v[i] - mean) * (x->v[i] - mean) : 0;
        v[k] /= (double)(s->count - ref_int(r, "correction"));
    }
    return v;
}

static void ref_var(Ref *r)
{
    Split s;
    variance(r, &s);
}

static void ref_std(Ref *r)
{
    Split s;
    double *v = variance(r, &s);
    for (int64_t i = 0; i < s.kept.size; i++)
        v[i] = sqrt(v[i]);
}

static void ref_norm(Ref *r)
{
    Split s;
    double p = ref_num(r, "p");
    split_axes(r, &s);
    double *v = fold(r, &s, ref_floating(r->in[0]->dtype), 0, p == 1 ? step_abs : p == 2 ? step_square : step_largest);
    for (int64_t i = 0; p == 2 && i < s.kept.size; i++)
        v[i] = sqrt(v[i]);
}

/* ---- along one axis ---- */

static void extreme_place(Ref *r, double sign)
{
    const Array *x = r->in[0];
    bool flat = ref_none(r, "axis"), keep = ref_bool(r, "keepdim");
    int axis = flat ? 0 : ref_axis(r, "axis", x->ndim), n = 0;
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], other[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        if (!(flat || i == axis) || keep)
            shape[n++] = flat || i == axis ? 1 : x->shape[i];
    double *v = ref_out(r, DTYPE_i64, n, shape);
    for (int64_t i = 0, to = 0; i < x->size; i++) {
        ref_place(x, i, place);
        if (flat ? i != 0 : place[axis] != 0)
            continue;
        double best = x->v[i];
        int64_t at = 0, length = flat ? x->size : x->shape[axis];
        for (int64_t k = 1; k < length; k++) {
            for (int a = 0; a < x->ndim; a++)
                other[a] = a == axis ? k : place[a];
            double value = x->v[flat ? k : ref_index(x, other)];
            if (!isnan(best) && (isnan(value) || sign * value > sign * best)) {
                best = value;
                at = k;
            }
        }
        v[to++] = (double)at;
    }
}

static void ref_argmax(Ref *r) { extreme_place(r, 1); }
static void ref_argmin(Ref *r) { extreme_place(r, -1); }

static void ref_cumsum(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    bool reverse = ref_bool(r, "reverse");
    int64_t place[TENSOR_MAX_DIMS];
    double *v = ref_like(r, sum_dtype(x->dtype), x);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        int64_t mine = place[axis];
        for (int64_t k = reverse ? mine : 0; reverse ? k < x->shape[axis] : k <= mine; k++) {
            place[axis] = k;
            v[i] += x->v[ref_index(x, place)];
        }
    }
}

/* ---- order: insertion, which keeps equal ones as they stood ---- */

static bool comes_before(double a, double b, bool descending)
{
    if (isnan(a) || isnan(b))
        return !isnan(a) && isnan(b);
    return descending ? a > b : a < b;
}

/* The first [k] of each line along [axis]: values if wanted, then their places. */
static void in_order(Ref *r, int axis, int64_t k, bool descending, bool values)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], step = 1, length = x->ndim ? x->shape[axis] : 1;
    for (int i = 0; i < x->ndim; i++)
        shape[i] = i == axis ? k : x->shape[i];
    for (int i = axis + 1; i < x->ndim; i++)
        step *= x->shape[i];
    double *v = values ? ref_out(r, x->dtype, x->ndim, shape) : NULL, *place = ref_out(r, DTYPE_i64, x->ndim, shape);
    int64_t *order = malloc((size_t)(length + 1) * sizeof *order);
    for (int64_t line = 0; length && line < x->size / length; line++) {
        int64_t from = line / step * step * length + line % step, to = line / step * step * k + line % step;
        for (int64_t i = 0; i < length; i++) {
            int64_t at = i;
            for (; at > 0 && comes_before(x->v[from + i * step], x->v[from + order[at - 1] * step], descending); at--)
                order[at] = order[at - 1];
            order[at] = i;
        }
        for (int64_t i = 0; i < k; i++) {
            place[to + i * step] = (double)order[i];
            if (v)
                v[to + i * step] = x->v[from + order[i] * step];
        }
    }
    free(order);
}

static void ref_sort(Ref *r)
{
    int axis = ref_axis(r, "axis", r->in[0]->ndim);
    in_order(r, axis, r->in[0]->shape[axis], ref_bool(r, "descending"), true);
}

static void ref_argsort(Ref *r)
{
    int axis = ref_axis(r, "axis", r->in[0]->ndim);
    in_order(r, axis, r->in[0]->shape[axis], ref_bool(r, "descending"), false);
}

static void ref_topk(Ref *r)
{
    in_order(r, ref_axis(r, "axis", r->in[0]->ndim), ref_int(r, "k"), ref_bool(r, "largest"), true);
}

/* The shapes that every reduction meets. */
#define REDUCES(name, fn)                                                                                             \
    {name, "x[3,4]", "", .reference = fn}, {name, "x[3,4]", "axis=0", .reference = fn},                               \
    {name, "x[3,4]", "axis=-1, keepdim=true", .reference = fn},                                                       \
    {name, "x[2,3,4]", "axis=(0,2)", .reference = fn}, {name, "x[2,3,4]", "axis=1", .reference = fn},                 \
    {name, "x[2,3,4]", "axis=(2,1), keepdim=true", .reference = fn}, {name, "x[1,3,1]", "axis=0", .reference = fn},   \
    {name, "x[]", "", .reference = fn}, {name, "x[3,0,2]", "axis=0", .reference = fn},                                \
    {name, "x[3]", "axis=1", .error = ERROR_index}, {name, "x[3,2]", "axis=(0,0)", .error = ERROR_value},             \
    {name, "x[3,4]n", "axis=1", .reference = fn, .only = FLOATS, .no_grad = true},                                    \
    {name, "x[70,1500]", "axis=0", .reference = fn, .big = true, .loose = 500},                                       \
    {name, "x[70,1500]", "axis=1", .reference = fn, .big = true, .loose = 500},                                       \
    {name, "x[70,1500]", "", .reference = fn, .big = true, .loose = 5000},                                            \
    {name, "x[30,50,61]", "axis=1", .reference = fn, .big = true, .loose = 500}

const Case cases_reduce[] = {
    REDUCES("sum", ref_sum),
    {"sum", "x[3,0]", "axis=1", .reference = ref_sum},
    {"sum", "x[0]", "", .reference = ref_sum},
    REDUCES("mean", ref_mean),
    {"mean", "x[3,0]", "axis=1", .reference = ref_mean},
    {"prod", "x[3,4]", "", .reference = ref_prod},
    {"prod", "x[3,4]", "axis=0", .reference = ref_prod},
    {"prod", "x[2,3,4]", "axis=(0,2), keepdim=true", .reference = ref_prod},
    {"prod", "x[3,0]", "axis=1", .reference = ref_prod},
    {"prod", "x[1,3]", "axis=0", .reference = ref_prod},
    {"prod", "x[4]z", "", .reference = ref_prod},
    {"prod", "x[2,4]zz", "axis=1", .reference = ref_prod},
    {"prod", "x[70,1500](0.9,1.1)", "axis=0", .reference = ref_prod, .big = true, .loose = 100},
    REDUCES("max", ref_max),
    {"max", "x[3,0]", "axis=1", .error = ERROR_value},
    REDUCES("min", ref_min),
    {"min", "x[0]", "", .error = ERROR_value},
    {"all", "x[3,4](-1,4)", "axis=1", .reference = ref_all},
    {"all", "x[3,4](1,4)", "", .reference = ref_all},
    {"all", "bool[5,3]", "axis=0, keepdim=true", .reference = ref_all},
    {"all", "x[3,0]", "axis=1", .reference = ref_all},
    {"all", "bool[1]", "", .reference = ref_all},
    {"any", "x[3,4](-1,4)", "axis=1", .reference = ref_any},
    {"any", "x[3,4]z", "", .reference = ref_any},
    {"any", "bool[5,3]", "axis=0, keepdim=true", .reference = ref_any},
    {"any", "x[3,0]", "axis=1", .reference = ref_any},
    {"any", "bool[1]", "", .reference = ref_any},
    {"argmax", "x[3,4]", "axis=1", .reference = ref_argmax},
    {"argmax", "x[3,4]", "axis=0, keepdim=true", .reference = ref_argmax},
    {"argmax", "x[3,4]", "", .reference = ref_argmax},
    {"argmax", "x[3,4]n", "axis=-1", .reference = ref_argmax, .only = FLOATS},
    {"argmax", "x[1,0]", "axis=0", .reference = ref_argmax},
    {"argmax", "x[3,0]", "axis=1", .error = ERROR_value},
    {"argmax", "x[70,1500]", "axis=1", .reference = ref_argmax, .big = true},
    {"argmin", "x[3,4]", "axis=1", .reference = ref_argmin},
    {"argmin", "x[3,4]", "axis=0, keepdim=true", .reference = ref_argmin},
    {"argmin", "x[3,4]", "", .reference = ref_argmin},
    {"argmin", "x[1,0]", "axis=0", .reference = ref_argmin},
    {"cumsum", "x[5]", "", .reference = ref_cumsum},
    {"cumsum", "x[3,4]", "axis=0", .reference = ref_cumsum},
    {"cumsum", "x[3,4]", "axis=1, reverse=true", .reference = ref_cumsum},
    {"cumsum", "x[0,1]", "", .reference = ref_cumsum},
    {"cumsum", "x[3]", "axis=1", .error = ERROR_index},
    {"cumsum", "x[70,300]", "axis=1", .reference = ref_cumsum, .big = true, .loose = 200},
    {"var", "x[3,4]", "", .reference = ref_var},
    {"var", "x[3,4]", "axis=1, correction=0", .reference = ref_var},
    {"var", "x[2,3,4]", "axis=(0,2), keepdim=true", .reference = ref_var},
    {"var", "x[1,3]", "axis=0, correction=0", .reference = ref_var},
    {"var", "x[3,0]", "axis=0", .reference = ref_var},
    {"std", "x[3,4]", "", .reference = ref_std},
    {"std", "x[3,4]", "axis=1, correction=0", .reference = ref_std},
    {"std", "x[1,3]", "axis=1, keepdim=true", .reference = ref_std},
    {"std", "x[3,0]", "axis=0", .reference = ref_std},
    {"norm", "x[3,4]", "", .reference = ref_norm},
    {"norm", "x[3,4]", "axis=1", .reference = ref_norm},
    {"norm", "x[3,4]", "axis=0, p=1, keepdim=true", .reference = ref_norm},
    {"norm", "x[3,4]", "axis=1, p=inf", .reference = ref_norm},
    {"norm", "x[1,3]", "axis=0", .reference = ref_norm},
    {"norm", "x[3,0]", "axis=0", .reference = ref_norm},
    {"sort", "x[3,5]", "", .reference = ref_sort},
    {"sort", "x[4,3]", "axis=0, descending=true", .reference = ref_sort},
    {"sort", "x[2,4,3]", "axis=1", .reference = ref_sort},
    {"sort", "x[3,4]n", "", .reference = ref_sort, .only = FLOATS, .no_grad = true /* NaN */},
    {"sort", "x[3,4]n", "descending=true", .reference = ref_sort, .only = FLOATS, .no_grad = true},
    {"sort", "x[3,1]", "", .reference = ref_sort},
    {"sort", "x[3,0]", "", .reference = ref_sort},
    {"sort", "x[3]", "axis=1", .error = ERROR_index},
    {"sort", "i64[50](0,3)", "", .reference = ref_sort},
    {"sort", "x[90,400]", "axis=0", .reference = ref_sort, .big = true},
    {"argsort", "x[3,5]", "", .reference = ref_argsort},
    {"argsort", "x[4,3]", "axis=0, descending=true", .reference = ref_argsort},
    {"argsort", "x[3,4]n", "", .reference = ref_argsort, .only = FLOATS},
    {"argsort", "x[3,1]", "", .reference = ref_argsort},
    {"argsort", "x[0]", "", .reference = ref_argsort},
    {"argsort", "i64[50](0,3)", "descending=true", .reference = ref_argsort},
    {"topk", "x[3,5]", "k=2", .reference = ref_topk},
    {"topk", "x[4,3]", "k=4, axis=0, largest=false", .reference = ref_topk},
    {"topk", "x[3,4]n", "k=2", .reference = ref_topk, .only = FLOATS, .no_grad = true},
    {"topk", "x[3,1]", "k=1", .reference = ref_topk},
    {"topk", "x[0,3]", "k=2", .reference = ref_topk},
    {"topk", "x[3,5]", "k=0", .reference = ref_topk},
    {"topk", "x[3,5]", "k=6", .error = ERROR_value},
    {"topk", "x[3,5]", "k=-1", .error = ERROR_value},
    {"topk", "x[300,120]", "k=7", .reference = ref_topk, .big = true},
    {0},
};
