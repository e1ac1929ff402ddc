/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reductions over any axes: sum mean prod max min all any, argmax argmin, cumsum, and what is composed of them: var std
   norm. The input is made contiguous; each run of reduced axes is one pass over [outer, reduced, inner]. Long rows are
   cut into tiles whose partial results are reduced again. Invariant: tiles depend on shapes only, so that results have
   the same bits for any number of threads; partial results of floats are f64. */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "op.h"
#include "reduce.h"
#include "rows.h"

#define TILE 32768            /* elements of a task */
#define WIDE 1024             /* columns of a task */

/* ---- one pass ---- */

typedef struct Pass {
    const Kernels *kernels;
    Reduction reduction;
    Dtype dtype;              /* of x */
    const char *x;            /* NULL: [make] gives each tile */
    MakeValues *make;
    void *arg;
    char *acc;                /* f64 or i64: [outer, tiles, inner] */
    int64_t outer, length, inner;
    int64_t tile, tiles;      /* of the reduced axis */
    int64_t group, groups;    /* outer indices of a task, when tiles == 1 */
    int64_t width, widths;    /* columns of a task */
} Pass;

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

/* Values that lie nowhere: made for a tile, and gone after it. */
static void made_task(void *arg, int64_t tile)
{
    const Pass *p = arg;
    _Alignas(64) char x[TILE * 8];
    int64_t from = tile * p->tile, n = p->length - from < p->tile ? p->length - from : p->tile;
    p->make(p->arg, from, n, x);
    p->kernels->reduce_rows[p->reduction][p->dtype](1, n, x, p->acc + tile * 8);
}

static void pass_task(void *arg, int64_t task)
{
    const Pass *p = arg;
    if (p->make) {
        made_task(arg, task);
        return;
    }
    int64_t column = task % p->widths * p->width, tile = task / p->widths % p->tiles;
    int64_t first = task / p->widths / p->tiles * p->group, size = (int64_t)dtype_size(p->dtype);
    int64_t last = first + p->group < p->outer ? first + p->group : p->outer;
    int64_t from = tile * p->tile, n = p->length - from < p->tile ? p->length - from : p->tile;
    int64_t width = p->inner - column < p->width ? p->inner - column : p->width;
    const char *x = p->x + ((first * p->length + from) * p->inner + column) * size;
    char *acc = p->acc + ((first * p->tiles + tile) * p->inner + column) * 8;
    if (p->inner == 1 && p->tiles == 1) {
        p->kernels->reduce_rows[p->reduction][p->dtype](last - first, n, x, acc);
        return;
    }
    for (int64_t i = first; i < last; i++) {
        if (p->inner == 1) p->kernels->reduce_rows[p->reduction][p->dtype](1, n, x, acc);
        else p->kernels->reduce_columns[p->reduction][p->dtype](n, width, p->inner, x, acc);
        x += p->length * p->inner * size;
        acc += p->tiles * p->inner * 8;
    }
}

static bool run_pass(TensorContext *ctx, Pass *p)
{
    p->width = p->inner < WIDE ? p->inner : WIDE;
    p->widths = ceil_div(p->inner, p->width);
    p->tile = at_least(TILE / p->width, 64);
    p->tiles = ceil_div(p->length, p->tile);
    p->group = p->tiles == 1 && p->widths == 1 ? at_least(TILE / (p->length * p->inner), 1) : 1;
    p->groups = ceil_div(p->outer, p->group);
    int64_t tasks = p->groups * p->tiles * p->widths;
    if (p->tiles == 1) {
        if (tasks > 1) return pool_run(ctx, tasks, pass_task, p);
        pass_task(p, 0);
        return true;
    }
    char *final = p->acc;
    p->acc = scratch_take(&ctx->error, (size_t)(p->outer * p->tiles * p->inner) * 8);
    if (!p->acc) return false;
    bool floats = dtype_class(p->dtype) == CLASS_FLOAT;
    Pass rest = { .kernels = p->kernels, .reduction = p->reduction, .dtype = floats ? DTYPE_f64 : DTYPE_i64,
                  .x = p->acc, .acc = final, .outer = p->outer, .length = p->tiles, .inner = p->inner };
    bool ok = pool_run(ctx, tasks, pass_task, p) && run_pass(ctx, &rest);
    scratch_release(p->acc);
    return ok;
}

/* ---- all axes ---- */

static void fill_identity(Reduction reduction, bool floats, int64_t n, char *acc)
{
    double f = reduction == REDUCE_PROD ? 1.0 : 0.0;
    int64_t i = reduction == REDUCE_PROD;
    for (int64_t k = 0; k < n; k++) memcpy(acc + k * 8, floats ? (void *)&f : (void *)&i, 8);
}

/* Reduces the [axes] of contiguous [x] into acc[] (f64 or i64, as many as the result has elements): one pass for each
   run of neighbouring reduced axes, the last one first. */
static bool reduce_axes(TensorContext *ctx, Reduction reduction, const Tensor *x, const bool *axes, char *acc)
{
    bool floats = dtype_class((Dtype)x->dtype) == CLASS_FLOAT;
    int64_t left = 1, inner = 1, size = tensor_size(x);
    int groups = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (!axes[i]) left *= x->shape[i];
        groups += axes[i] && (i == 0 || !axes[i - 1]);
    }
    if (left == 0) return true;
    if (size == 0) {
        fill_identity(reduction, floats, left, acc);
        return true;
    }
    Pass pass = { .kernels = kernels(), .reduction = reduction, .dtype = (Dtype)x->dtype, .x = x->data };
    char *scratch = NULL;
    bool ok = true;
    int end = x->ndim;
    while (ok && groups-- > 0) {
        while (!axes[end - 1]) inner *= x->shape[--end];
        pass.length = 1;
        while (end > 0 && axes[end - 1]) pass.length *= x->shape[--end];
        pass.inner = inner;
        pass.outer = 1;
        for (int i = 0; i < end; i++) pass.outer *= x->shape[i];
        char *to = groups == 0 ? acc : scratch_take(&ctx->error, (size_t)(pass.outer * inner) * 8);
        pass.acc = to;
        ok = to && run_pass(ctx, &pass);
        scratch_release(scratch);
        scratch = groups == 0 ? NULL : to;
        pass.x = to;
        pass.dtype = floats ? DTYPE_f64 : DTYPE_i64;
    }
    scratch_release(scratch);
    return ok;
}

static void store_results(Tensor *out, const char *acc, bool floats, double divide)
{
    int64_t n = tensor_size(out);
    const double *f = (const double *)(const void *)acc;
    const int64_t *w = (const int64_t *)(const void *)acc;
    for (int64_t i = 0; i < n; i++)
        switch ((Dtype)out->dtype) {
        case DTYPE_f32: ((float *)(void *)out->data)[i] = (float)((floats ? f[i] : (double)w[i]) / divide); break;
        case DTYPE_f64: ((double *)(void *)out->data)[i] = (floats ? f[i] : (double)w[i]) / divide; break;
        case DTYPE_i64: ((int64_t *)(void *)out->data)[i] = w[i]; break;
        case DTYPE_i32: ((int32_t *)(void *)out->data)[i] = (int32_t)w[i]; break;
        default: ((uint8_t *)(void *)out->data)[i] = (uint8_t)w[i];
        }
}

static bool no_axes(const bool *axes, int ndim)
{
    for (int i = 0; i < ndim; i++)
        if (axes[i]) return false;
    return true;
}

static bool run_reduction(OpCall *call, Reduction reduction, Tensor *x, bool mean)
{
    bool axes[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], x->ndim, axes)) return false;
    int64_t n = tensor_size(call->out[0]), count = 1;
    for (int i = 0; i < x->ndim; i++)
        if (axes[i]) count *= x->shape[i];
    Tensor *dense = tensor_contiguous(call->ctx, x);
    char *acc = dense ? scratch_take(&call->ctx->error, (size_t)(n > 0 ? n : 1) * 8) : NULL;
    bool floats = dtype_class((Dtype)x->dtype) == CLASS_FLOAT, ok = acc != NULL;
    if (ok && no_axes(axes, x->ndim)) {       /* nothing to reduce: a conversion */
        kernels()->convert[x->dtype][floats ? DTYPE_f64 : DTYPE_i64](n, dense->data, acc);
    } else if (ok) {
        ok = reduce_axes(call->ctx, reduction, dense, axes, acc);
    }
    if (ok) store_results(call->out[0], acc, floats, mean ? (double)count : 1.0);
    scratch_release(acc);
    tensor_release(dense);
    return ok;
}

bool reduce_made(OpCall *call, int64_t size, MakeValues *make, void *arg)
{
    double sum = 0;
    Pass pass = { .kernels = kernels(), .reduction = REDUCE_SUM, .dtype = call->spec[0].dtype, .make = make, .arg = arg,
                  .acc = (char *)&sum, .outer = 1, .length = size, .inner = 1 };
    if (size > 0 && !run_pass(call->ctx, &pass)) return false;
    store_results(call->out[0], (char *)&sum, true, call->def == &op_defs[OP_mean] ? (double)size : 1.0);
    return true;
}

/* ---- shape rules ---- */

static void drop_axes(TensorSpec *spec, const bool *axes, bool keepdim)
{
    int n = 0, ndim = spec->ndim;
    for (int i = 0; i < ndim; i++)
        if (!axes[i]) spec->shape[n++] = spec->shape[i];
        else if (keepdim) spec->shape[n++] = 1;
    spec->ndim = n;
}

static bool shape_reduce_to(OpCall *call, Dtype dtype)
{
    bool axes[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], call->in[0]->ndim, axes)) return false;
    spec_of(call->in[0], &call->spec[0]);
    drop_axes(&call->spec[0], axes, call->attr[1].b);
    call->spec[0].dtype = dtype;
    return true;
}

static bool is_float(const Tensor *x) { return dtype_class((Dtype)x->dtype) == CLASS_FLOAT; }

bool shape_sum(OpCall *call) { return shape_reduce_to(call, is_float(call->in[0]) ? call->in[0]->dtype : DTYPE_i64); }
bool shape_mean(OpCall *call) { return shape_reduce_to(call, is_float(call->in[0]) ? call->in[0]->dtype : DTYPE_f32); }
bool shape_test(OpCall *call) { return shape_reduce_to(call, DTYPE_bool); }

/* Names the empty axis, since there is no element to choose. */
static bool check_not_empty(OpCall *call, const bool *axes)
{
    const Tensor *x = call->in[0];
    for (int i = 0; i < x->ndim; i++)
        if (axes[i] && x->shape[i] == 0 && spec_size(&call->spec[0]) > 0)
            return op_error(call, ERROR_value, "axis %d has no elements to choose from", i);
    return true;
}

bool shape_extreme(OpCall *call)
{
    bool axes[TENSOR_MAX_DIMS];
    return shape_reduce_to(call, (Dtype)call->in[0]->dtype) &&
           op_axes(call, &call->attr[0], call->in[0]->ndim, axes) && check_not_empty(call, axes);
}

/* ---- sum and mean ---- */

bool sum_run(OpCall *call) { return run_reduction(call, REDUCE_SUM, call->in[0], false); }
bool mean_run(OpCall *call) { return run_reduction(call, REDUCE_SUM, call->in[0], true); }

/* The reduced axes of a gradient call; the row's own rule has checked them before. */
static void grad_axes(const GradCall *g, bool *axes)
{
    const Attr *attr = &g->attr[0];
    for (int i = 0; i < TENSOR_MAX_DIMS; i++) axes[i] = attr->none;
    for (int k = 0; !attr->none && k < attr->ints.count; k++) {
        int64_t axis = attr->ints.v[k];
        axes[axis < 0 ? axis + g->in_spec[0].ndim : axis] = true;
    }
}

/* Gives a result (or its gradient) the reduced axes back, with length 1. */
static Tensor *keep_axes(const GradCall *g, Tensor *y, const bool *axes)
{
    TensorSpec spec = g->in_spec[0];
    drop_axes(&spec, axes, true);
    return s_reshape(g->s, y, spec.ndim, spec.shape);
}

static bool spread_grad(GradCall *g, bool mean)
{
    bool axes[TENSOR_MAX_DIMS];
    grad_axes(g, axes);
    const TensorSpec *spec = &g->in_spec[0];
    int64_t count = 1;
    for (int i = 0; i < spec->ndim; i++)
        if (axes[i]) count *= spec->shape[i];
    Tensor *dy = mean && count > 0 ? s_scale(g->s, g->dy[0], 1.0 / (double)count) : g->dy[0];
    g->dx[0] = s_expand(g->s, keep_axes(g, dy, axes), spec->ndim, spec->shape);
    return g->dx[0] != NULL;
}

bool sum_grad(GradCall *g) { return spread_grad(g, false); }
bool mean_grad(GradCall *g) { return spread_grad(g, true); }

/* ---- max and min ---- */

bool max_run(OpCall *call) { return run_reduction(call, REDUCE_MAX, call->in[0], false); }
bool min_run(OpCall *call) { return run_reduction(call, REDUCE_MIN, call->in[0], false); }

/* Equal extremes share the gradient. */
static bool extreme_grad(GradCall *g)
{
    Scope *s = g->s;
    bool axes[TENSOR_MAX_DIMS];
    grad_axes(g, axes);
    Tensor *hit = s_binary(s, OP_eq, g->in[0], keep_axes(g, g->out[0], axes));
    Tensor *count = s_cast(s, s_sum(s, hit, axes, true), g->in_spec[0].dtype);
    g->dx[0] = s_where(s, hit, s_div(s, keep_axes(g, g->dy[0], axes), count), s_const(s, 0.0));
    return g->dx[0] != NULL;
}

bool max_grad(GradCall *g) { return extreme_grad(g); }
bool min_grad(GradCall *g) { return extreme_grad(g); }

/* ---- all and any ---- */

static bool test_run(OpCall *call, Reduction reduction)
{
    Tensor *bools = tensor_cast(call->ctx, call->in[0], DTYPE_bool);
    bool axes[TENSOR_MAX_DIMS];
    if (!bools || !op_axes(call, &call->attr[0], bools->ndim, axes)) return tensor_release(bools), false;
    bool ok = true;
    if (tensor_size(bools) == 0) memset(call->out[0]->data, reduction == REDUCE_MIN, (size_t)tensor_size(call->out[0]));
    else ok = run_reduction(call, reduction, bools, false);
    tensor_release(bools);
    return ok;
}

bool all_run(OpCall *call) { return test_run(call, REDUCE_MIN); }
bool any_run(OpCall *call) { return test_run(call, REDUCE_MAX); }

/* ---- prod ---- */

bool prod_run(OpCall *call) { return run_reduction(call, REDUCE_PROD, call->in[0], false); }

/* The product of all others along one axis, written so that zeros do no harm: x beside itself n times, 1 on the
   diagonal, multiplied up. */
static Tensor *others_product(GradCall *g, Tensor *x, int axis)
{
    Scope *s = g->s;
    int64_t n = x->shape[axis], wide[TENSOR_MAX_DIMS], mask[TENSOR_MAX_DIMS];
    Tensor *rows = s_unsqueeze(s, x, axis);
    if (!rows) return NULL;
    for (int i = 0; i < rows->ndim; i++) {
        wide[i] = i == axis ? n : rows->shape[i];
        mask[i] = i == axis || i == axis + 1 ? n : 1;
    }
    Tensor *eye = scope_own(s, tensor_zeros(g->ctx, DTYPE_bool, rows->ndim, mask));
    for (int64_t i = 0; eye && i < n; i++) tensor_store_int(eye, i * n + i, 1);
    Tensor *filled = s_where(s, eye, s_const(s, 1.0), s_expand(s, rows, rows->ndim, wide));
    Attr attr[2] = { attr_ints(1, (int64_t[]){ axis + 1 }), attr_bool(false) };
    return filled ? s_op(s, OP_prod, 1, &filled, attr, 0) : NULL;
}

bool prod_grad(GradCall *g)
{
    Scope *s = g->s;
    bool axes[TENSOR_MAX_DIMS], zero = false;
    grad_axes(g, axes);
    Tensor *x = g->in[0], *dy = keep_axes(g, g->dy[0], axes);
    int64_t size = tensor_size(x);
    for (int64_t i = 0; i < size && !zero; i++) zero = tensor_item(x, i) == 0.0;
    if (!zero) {
        g->dx[0] = s_div(s, s_mul(s, dy, keep_axes(g, g->out[0], axes)), x);
        return g->dx[0] != NULL;
    }
    int order[TENSOR_MAX_DIMS], back[TENSOR_MAX_DIMS], n = 0, ndim = x->ndim;
    int64_t kept = 1, reduced = 1, flat[2];
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < ndim; i++)
            if (axes[i] == (pass == 1)) {
                back[i] = n;
                order[n++] = i;
                *(pass == 1 ? &reduced : &kept) *= x->shape[i];
            }
    flat[0] = kept;
    flat[1] = reduced;
    Tensor *moved = s_permute(s, x, order);
    Tensor *others = moved ? others_product(g, s_reshape(s, moved, 2, flat), 1) : NULL;
    others = others ? s_permute(s, s_reshape(s, others, ndim, moved->shape), back) : NULL;
    g->dx[0] = s_mul(s, others, dy);
    return g->dx[0] != NULL;
}

/* ---- argmax and argmin ---- */

bool shape_argument(OpCall *call)
{
    const Attr *axis = &call->attr[0];
    bool axes[TENSOR_MAX_DIMS];
    int one = 0;
    if (!axis->none && !op_axis(call, axis->i, call->in[0]->ndim, &one)) return false;
    for (int i = 0; i < TENSOR_MAX_DIMS; i++) axes[i] = axis->none || i == one;
    spec_of(call->in[0], &call->spec[0]);
    drop_axes(&call->spec[0], axes, call->attr[1].b);
    call->spec[0].dtype = DTYPE_i64;
    return check_not_empty(call, axes);
}

typedef struct RowsJob {
    const Kernels *kernels;
    const Tensor *x;
    char *out;
    int64_t n;
    bool flag;                /* argmin; reverse */
} RowsJob;

static void argument_rows(void *arg, int64_t first, int64_t rows)
{
    const RowsJob *job = arg;
    ArgKernel *kernel = (job->flag ? job->kernels->argmin : job->kernels->argmax)[job->x->dtype];
    int64_t size = (int64_t)dtype_size((Dtype)job->x->dtype);
    kernel(rows, job->n, job->x->data + first * job->n * size, job->out + first * 8);
}

static bool argument_run(OpCall *call, bool smallest)
{
    int axis = 0;
    const Attr *attr = &call->attr[0];
    Tensor *x = call->in[0];
    if (!attr->none && !op_axis(call, attr->i, x->ndim, &axis)) return false;
    Tensor *dense = attr->none ? tensor_contiguous(call->ctx, x) : rows_along(call->ctx, x, axis);
    if (!dense) return false;
    int64_t rows = tensor_size(call->out[0]), n = rows > 0 ? tensor_size(x) / rows : 0;
    RowsJob job = { .kernels = kernels(), .x = dense, .out = call->out[0]->data, .n = n, .flag = smallest };
    bool ok = rows_run(call->ctx, rows, n, argument_rows, &job);
    tensor_release(dense);
    return ok;
}

bool argmax_run(OpCall *call) { return argument_run(call, false); }
bool argmin_run(OpCall *call) { return argument_run(call, true); }

/* ---- cumsum ---- */

bool shape_cumsum(OpCall *call)
{
    int axis;
    if (!op_axis(call, call->attr[0].i, call->in[0]->ndim, &axis)) return false;
    spec_of(call->in[0], &call->spec[0]);
    if (!is_float(call->in[0])) call->spec[0].dtype = DTYPE_i64;
    return true;
}

static void cumsum_rows(void *arg, int64_t first, int64_t rows)
{
    const RowsJob *job = arg;
    int64_t size = (int64_t)dtype_size((Dtype)job->x->dtype), out_size = is_float(job->x) ? size : 8;
    job->kernels->cumsum[job->x->dtype](rows, job->n, job->flag, job->x->data + first * job->n * size,
                                        job->out + first * job->n * out_size);
}

bool cumsum_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    int axis = 0;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (tensor_size(x) == 0) return true;
    Tensor *dense = rows_along(call->ctx, x, axis);
    Tensor *sums = dense ? rows_like(call->ctx, out, axis) : NULL;
    bool ok = sums != NULL;
    if (ok) {
        RowsJob job = { .kernels = kernels(), .x = dense, .out = sums->data, .n = x->shape[axis],
                        .flag = call->attr[1].b };
        ok = rows_run(call->ctx, tensor_size(x) / job.n, job.n, cumsum_rows, &job) &&
             rows_back(call->ctx, sums, axis, out);
    }
    tensor_release(sums);
    tensor_release(dense);
    return ok;
}

bool cumsum_grad(GradCall *g)
{
    Attr attr[2] = { g->attr[0], attr_bool(!g->attr[1].b) };
    Tensor *dy = g->dy[0];
    g->dx[0] = s_op(g->s, OP_cumsum, 1, &dy, attr, 0);
    return g->dx[0] != NULL;
}

/* ---- composed: var std norm ---- */

static bool composed(OpCall *call, Scope *s, Tensor *y)
{
    call->out[0] = tensor_retain(y);
    scope_clear(s);
    return y != NULL;
}

static Tensor *reduced(Scope *s, OpId id, Tensor *x, const Attr *axes, bool keepdim)
{
    Attr attr[2] = { *axes, attr_bool(keepdim) };
    return x ? s_op(s, id, 1, &x, attr, 0) : NULL;
}

static Tensor *variance(OpCall *call, Scope *s)
{
    Tensor *x = call->in[0];
    bool axes[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], x->ndim, axes)) return NULL;
    double count = 1.0;
    for (int i = 0; i < x->ndim; i++)
        if (axes[i]) count *= (double)x->shape[i];
    double divisor = count - (double)call->attr[1].i;
    Tensor *d = s_sub(s, x, reduced(s, OP_mean, x, &call->attr[0], true));
    Tensor *sum = reduced(s, OP_sum, s_unary(s, OP_square, d), &call->attr[0], call->attr[2].b);
    return s_div(s, sum, s_const(s, divisor > 0.0 ? divisor : 0.0));
}

bool var_run(OpCall *call)
{
    Scope s;
    scope_init(&s, call->ctx);
    return composed(call, &s, variance(call, &s));
}

bool std_run(OpCall *call)
{
    Scope s;
    scope_init(&s, call->ctx);
    return composed(call, &s, s_unary(&s, OP_sqrt, variance(call, &s)));
}

/* The root is taken of 1 where the sum is 0, so that its gradient there is 0 and not NaN. */
static Tensor *safe_root(Scope *s, Tensor *sum, double power)
{
    Tensor *none = s_binary(s, OP_eq, sum, s_const(s, 0.0));
    Tensor *safe = s_where(s, none, s_const(s, 1.0), sum);
    return s_where(s, none, s_const(s, 0.0), s_binary(s, OP_pow, safe, s_const(s, power)));
}

bool norm_run(OpCall *call)
{
    Scope s;
    scope_init(&s, call->ctx);
    const Attr *axes = &call->attr[0];
    double p = call->attr[1].num;
    bool keepdim = call->attr[2].b;
    Tensor *x = is_float(call->in[0]) ? call->in[0] : s_cast(&s, call->in[0], DTYPE_f32), *y;
    if (!(p > 0.0)) {
        op_error(call, ERROR_value, "p must be positive, got %g", p);
        y = NULL;
    } else if (p == 2.0) {
        y = safe_root(&s, reduced(&s, OP_sum, s_unary(&s, OP_square, x), axes, keepdim), 0.5);
    } else if (p == 1.0 || isinf(p)) {
        y = reduced(&s, p == 1.0 ? OP_sum : OP_max, s_unary(&s, OP_abs, x), axes, keepdim);
    } else {
        Tensor *powers = s_binary(&s, OP_pow, s_unary(&s, OP_abs, x), s_const(&s, p));
        y = safe_root(&s, reduced(&s, OP_sum, powers, axes, keepdim), 1.0 / p);
    }
    return composed(call, &s, y);
}
