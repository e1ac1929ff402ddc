/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Square systems and what comes of their factors: solve, triangular_solve, inv, cholesky, lu, det, slogdet. Batches of
   matrices go through lapack.h; gradients are written with the same ops, so they differentiate again. */
#include <math.h>
#include <string.h>

#include "lapack.h"

static double cube(int64_t n) { return (double)n * (double)n * (double)n; }

/* The transpose of the last two axes. */
static Tensor *flipped(Scope *s, Tensor *x) { return s_transpose(s, x, -2, -1); }

/* ---- shapes ---- */

/* a [..., n, n] and b [n] or [..., n, k]: what solves them has b's shape over both batches. */
bool shape_solve(OpCall *call)
{
    const Tensor *a = call->in[0], *b = call->in[1];
    if (!check_square(call, 0)) return false;
    if (b->ndim == 0) return op_error(call, ERROR_shape, "b is a number, it needs the axis of rows");
    int inner = b->ndim == 1 ? 1 : 2;
    if (b->shape[b->ndim - inner] != a->shape[a->ndim - 1])
        return op_error(call, ERROR_shape, "a has %lld rows, b has %lld", (long long)a->shape[a->ndim - 1],
                        (long long)b->shape[b->ndim - inner]);
    TensorSpec left, right, *out = &call->spec[0];
    spec_of(a, &left);
    spec_of(b, &right);
    left.ndim -= 2;
    right.ndim -= inner;
    if (!shape_broadcast(call, &left, &right, out)) return false;
    for (int i = inner; i > 0; i--) out->shape[out->ndim++] = b->shape[b->ndim - i];
    out->dtype = op_promote(2, call->in, true, true);
    return true;
}

bool shape_square(OpCall *call)
{
    if (!check_square(call, 0)) return false;
    spec_of(call->in[0], &call->spec[0]);
    call->spec[0].dtype = op_promote(1, call->in, true, true);
    return true;
}

bool shape_det(OpCall *call)
{
    if (!shape_square(call)) return false;
    call->spec[0].ndim -= 2;
    return true;
}

bool shape_slogdet(OpCall *call)
{
    if (!shape_det(call)) return false;
    call->spec[1] = call->spec[0];
    call->n_out = 2;
    return true;
}

/* ---- LU ---- */

/* Factors part 0 in place; [pivots] holds n of them. */
static bool factor_lu(Factor *f, int64_t item, int *pivots, TroubleKind when_singular)
{
    int n = f->n, info = 0;
    f->lapack->getrf(&n, &n, factor_matrix(f, 0, item), &n, pivots, &info);
    return when_singular == TROUBLE_NONE || factor_info(f, item, info, when_singular);
}

/* part 1 = part 0^-1 part 1 */
static void solve_item(Factor *f, int64_t item)
{
    int n = f->n, k = f->k, info = 0;
    int *pivots = factor_scratch(f, item, (size_t)n * sizeof *pivots);
    if (pivots && factor_lu(f, item, pivots, TROUBLE_SINGULAR))
        f->lapack->getrs("N", &n, &k, factor_matrix(f, 0, item), &n, pivots, factor_matrix(f, 1, item), &n, &info, 1);
    scratch_release(pivots);
}

static void triangular_item(Factor *f, int64_t item)
{
    int n = f->n, k = f->k, info = 0;
    f->lapack->trtrs(f->upper ? "U" : "L", f->transpose ? "T" : "N", f->unit ? "U" : "N", &n, &k,
                     factor_matrix(f, 0, item), &n, factor_matrix(f, 1, item), &n, &info, 1, 1, 1);
    factor_info(f, item, info, TROUBLE_SINGULAR);
}

static void identity(const Factor *f, void *matrix, int64_t n)
{
    memset(matrix, 0, (size_t)(n * n) * dtype_size(f->dtype));
    for (int64_t i = 0; i < n; i++) factor_store(f, matrix, i * (n + 1), 1);
}

static void inv_item(Factor *f, int64_t item)
{
    identity(f, factor_matrix(f, 1, item), f->n);
    solve_item(f, item);
}

static bool run_system(OpCall *call, Factor *plan, FactorRun *run, double work)
{
    const TensorSpec *spec = &call->spec[0];
    const Tensor *b = call->in[1];
    bool vector = b->ndim == 1;
    int inner = vector ? 1 : 2, n_batch = spec->ndim - inner;
    if (tensor_size(call->out[0]) == 0) return true;
    plan->n = (int)call->in[0]->shape[call->in[0]->ndim - 1];
    plan->k = vector ? 1 : (int)b->shape[b->ndim - 1];
    factor_part(plan, plan->n, plan->n);
    factor_part(plan, plan->n, plan->k);
    Job *job = factor_open(call, plan, spec, inner);
    if (job == NULL) return false;
    Factor *f = factor_of(job);
    work += (double)plan->n * plan->n * plan->k;
    bool done = factor_input(call, f, 0, call->in[0], false, n_batch, spec->shape)
             && factor_input(call, f, 1, call->in[1], vector, n_batch, spec->shape)
             && factor_run(call, job, work, run, spec, inner) && factor_output(call, f, 1, call->out[0], vector);
    job_release(job);
    return done;
}

bool solve_run(OpCall *call)
{
    Factor plan = {0};
    return run_system(call, &plan, solve_item, cube(call->in[0]->shape[call->in[0]->ndim - 1]) / 3);
}

bool triangular_solve_run(OpCall *call)
{
    Factor plan = {.triangular = true, .upper = call->attr[0].b, .transpose = call->attr[1].b,
                   .unit = call->attr[2].b};
    return run_system(call, &plan, triangular_item, 0);
}

/* Opens a job over the square matrices of the one input, with more parts as [plan] has them. */
static Job *open_square(OpCall *call, Factor *plan, TensorSpec *spec)
{
    spec_of(call->in[0], spec);
    int64_t n = spec->shape[spec->ndim - 1];
    plan->n = (int)n;
    Job *job = factor_open(call, plan, spec, 2);
    if (job != NULL && !factor_input(call, factor_of(job), 0, call->in[0], false, spec->ndim - 2, spec->shape)) {
        job_release(job);
        return NULL;
    }
    return job;
}

bool inv_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {0};
    int64_t n = call->spec[0].shape[call->spec[0].ndim - 1];
    if (tensor_size(call->out[0]) == 0) return true;
    factor_part(&plan, n, n);
    factor_part(&plan, n, n);
    plan.k = (int)n;
    Job *job = open_square(call, &plan, &spec);
    bool done = job != NULL && factor_run(call, job, 4 * cube(n) / 3, inv_item, &spec, 2)
             && factor_output(call, factor_of(job), 1, call->out[0], false);
    job_release(job);
    return done;
}

/* ---- gradients of systems ---- */

/* b and what came of it as matrices: a vector is a column. */
static Tensor *as_columns(Scope *s, Tensor *x, bool vector) { return vector ? s_unsqueeze(s, x, -1) : x; }

/* The gradient of b from that of its columns. */
static bool columns_grad(GradCall *g, Tensor *db, bool vector)
{
    if (!g->wants[1]) return true;
    Tensor *rows = vector ? s_reshape(g->s, db, g->out_spec[0].ndim, g->out_spec[0].shape) : db;
    g->dx[1] = s_sum_to(g->s, rows, &g->in_spec[1]);
    return g->dx[1] != NULL;
}

bool solve_grad(GradCall *g)
{
    Scope *s = g->s;
    bool vector = g->in_spec[1].ndim == 1;
    Tensor *dy = as_columns(s, g->dy[0], vector), *x = as_columns(s, g->out[0], vector);
    Tensor *db = s_binary(s, OP_solve, flipped(s, g->in[0]), dy);
    if (g->wants[0]) {
        g->dx[0] = s_sum_to(s, s_neg(s, s_matmul(s, db, flipped(s, x))), &g->in_spec[0]);
        if (g->dx[0] == NULL) return false;
    }
    return columns_grad(g, db, vector);
}

static Tensor *triangle(Scope *s, Tensor *x, bool upper, int k)
{
    Attr attr = attr_int(k);
    return x != NULL ? s_op(s, upper ? OP_triu : OP_tril, 1, &x, &attr, 0) : NULL;
}

static Tensor *solve_triangle(Scope *s, Tensor *a, Tensor *b, bool upper, bool transpose, bool unit)
{
    Tensor *in[2] = {a, b};
    Attr attr[3] = {attr_bool(upper), attr_bool(transpose), attr_bool(unit)};
    return a != NULL && b != NULL ? s_op(s, OP_triangular_solve, 2, in, attr, 0) : NULL;
}

bool triangular_solve_grad(GradCall *g)
{
    Scope *s = g->s;
    bool upper = g->attr[0].b, transpose = g->attr[1].b, unit = g->attr[2].b, vector = g->in_spec[1].ndim == 1;
    Tensor *dy = as_columns(s, g->dy[0], vector), *x = as_columns(s, g->out[0], vector);
    Tensor *db = solve_triangle(s, g->in[0], dy, upper, !transpose, unit);
    if (g->wants[0]) {
        Tensor *product = transpose ? s_matmul(s, x, flipped(s, db)) : s_matmul(s, db, flipped(s, x));
        product = triangle(s, s_neg(s, product), upper, unit ? (upper ? 1 : -1) : 0);
        g->dx[0] = s_sum_to(s, product, &g->in_spec[0]);
        if (g->dx[0] == NULL) return false;
    }
    return columns_grad(g, db, vector);
}

bool inv_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *y = flipped(s, g->out[0]);
    g->dx[0] = s_cast(s, s_neg(s, s_matmul(s, s_matmul(s, y, g->dy[0]), y)), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

/* ---- cholesky ---- */

/* The factor of the symmetric part of the matrix, zeros in the other triangle. */
static void cholesky_item(Factor *f, int64_t item)
{
    int n = f->n, info = 0;
    void *a = factor_matrix(f, 0, item);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++) {
            double both = (factor_load(f, a, j * n + i) + factor_load(f, a, i * n + j)) / 2;
            factor_store(f, a, f->upper ? i * n + j : j * n + i, both);
            factor_store(f, a, f->upper ? j * n + i : i * n + j, 0);
        }
    f->lapack->potrf(f->upper ? "U" : "L", &n, a, &n, &info, 1);
    factor_info(f, item, info, TROUBLE_MINOR);
}

bool cholesky_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {.upper = call->attr[0].b};
    int64_t n = call->spec[0].shape[call->spec[0].ndim - 1];
    if (tensor_size(call->out[0]) == 0) return true;
    factor_part(&plan, n, n);
    Job *job = open_square(call, &plan, &spec);
    bool done = job != NULL && factor_run(call, job, cube(n) / 6, cholesky_item, &spec, 2)
             && factor_output(call, factor_of(job), 0, call->out[0], false);
    job_release(job);
    return done;
}

/* With L the factor and P the lower triangle of L'G, its diagonal halved: the symmetric part of L^-T P L^-1. */
bool cholesky_grad(GradCall *g)
{
    Scope *s = g->s;
    bool upper = g->attr[0].b;
    Tensor *l = upper ? flipped(s, g->out[0]) : g->out[0], *dl = upper ? flipped(s, g->dy[0]) : g->dy[0];
    Tensor *p = s_matmul(s, flipped(s, l), dl);
    Tensor *both = s_add(s, triangle(s, p, false, 0), triangle(s, p, false, -1));
    Tensor *m = s_scale(s, s_add(s, both, flipped(s, both)), 0.25);
    Tensor *left = solve_triangle(s, l, m, false, true, false);
    g->dx[0] = s_cast(s, solve_triangle(s, l, flipped(s, left), false, true, false), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

/* ---- lu ---- */

bool shape_lu(OpCall *call)
{
    if (!check_matrix(call, 0)) return false;
    TensorSpec spec;
    spec_of(call->in[0], &spec);
    spec.dtype = op_promote(1, call->in, true, true);
    int64_t m = spec.shape[spec.ndim - 2], n = spec.shape[spec.ndim - 1], k = m < n ? m : n;
    for (int i = 0; i < 3; i++) {
        call->spec[i] = spec;
        call->spec[i].shape[spec.ndim - 2] = i < 2 ? m : k;
        call->spec[i].shape[spec.ndim - 1] = i == 0 ? m : i == 1 ? k : n;
    }
    call->n_out = 3;
    return true;
}

/* part 0 [m, n] gives the parts P [m, m], L [m, k] and U [k, n]. */
static void lu_item(Factor *f, int64_t item)
{
    int m = f->m, n = f->n, k = m < n ? m : n, info = 0;
    void *a = factor_matrix(f, 0, item), *p = factor_matrix(f, 1, item), *l = factor_matrix(f, 2, item);
    void *u = factor_matrix(f, 3, item);
    int *pivots = factor_scratch(f, item, (size_t)(k + m) * sizeof *pivots);
    if (pivots == NULL) return;
    int *row = pivots + k;                 /* which row of the matrix each row of L U is */
    f->lapack->getrf(&m, &n, a, &m, pivots, &info);
    for (int i = 0; i < m; i++) row[i] = i;
    for (int i = 0; i < k; i++) {
        int swapped = row[i];
        row[i] = row[pivots[i] - 1];
        row[pivots[i] - 1] = swapped;
    }
    memset(p, 0, (size_t)m * (size_t)m * dtype_size(f->dtype));
    for (int64_t i = 0; i < m; i++) factor_store(f, p, i * m + row[i], 1);
    for (int64_t j = 0; j < k; j++)
        for (int64_t i = 0; i < m; i++)
            factor_store(f, l, j * m + i, i > j ? factor_load(f, a, j * m + i) : i == j);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < k; i++) factor_store(f, u, j * k + i, i <= j ? factor_load(f, a, j * m + i) : 0);
    scratch_release(pivots);
}

bool lu_run(OpCall *call)
{
    TensorSpec spec;
    spec_of(call->in[0], &spec);
    int64_t m = spec.shape[spec.ndim - 2], n = spec.shape[spec.ndim - 1], k = m < n ? m : n;
    Factor plan = {.m = (int)m, .n = (int)n};
    if (spec_size(&spec) == 0) {
        for (int64_t i = 0, size = tensor_size(call->out[0]); i < size; i++)
            tensor_store(call->out[0], i, i / m % m == i % m ? 1 : 0);
        return true;
    }
    factor_part(&plan, m, n);
    factor_part(&plan, m, m);
    factor_part(&plan, m, k);
    factor_part(&plan, k, n);
    Job *job = factor_open(call, &plan, &spec, 2);
    bool done = job != NULL && factor_input(call, factor_of(job), 0, call->in[0], false, spec.ndim - 2, spec.shape)
             && factor_run(call, job, (double)m * (double)n * (double)k, lu_item, &spec, 2);
    for (int i = 0; done && i < 3; i++) done = factor_output(call, factor_of(job), 1 + i, call->out[i], false);
    job_release(job);
    return done;
}

/* P L'^-1 (what is below the diagonal of L' dL, and the rest of dU U') U'^-1. */
bool lu_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *spec = &g->in_spec[0];
    Tensor *l = g->out[1], *u = g->out[2], *inner = NULL;
    if (spec->shape[spec->ndim - 2] != spec->shape[spec->ndim - 1])
        return error_set(&g->ctx->error, ERROR_gradient, "lu", "only the factors of square matrices have a gradient");
    if (g->dy[1] != NULL) inner = triangle(s, s_matmul(s, flipped(s, l), g->dy[1]), false, -1);
    if (g->dy[2] != NULL) {
        Tensor *part = triangle(s, s_matmul(s, g->dy[2], flipped(s, u)), true, 0);
        inner = g->dy[1] != NULL ? s_add(s, inner, part) : part;
    }
    if (g->dy[1] == NULL && g->dy[2] == NULL) {            /* P alone, which is constant */
        g->dx[0] = s_full_like(s, spec, 0);
        return g->dx[0] != NULL;
    }
    Tensor *left = solve_triangle(s, l, inner, false, true, true);
    Tensor *dx = flipped(s, solve_triangle(s, u, flipped(s, left), true, false, false));
    g->dx[0] = s_cast(s, s_matmul(s, g->out[0], dx), spec->dtype);
    return g->dx[0] != NULL;
}

/* ---- determinants ---- */

/* part 1: the determinant; or its sign, and in part 2 the logarithm of its size. */
static void det_item(Factor *f, int64_t item)
{
    int64_t n = f->n;
    int *pivots = factor_scratch(f, item, (size_t)n * sizeof *pivots);
    if (pivots == NULL) return;
    const void *a = factor_matrix(f, 0, item);
    factor_lu(f, item, pivots, TROUBLE_NONE);
    double product = 1, sign = 1, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double pivot = factor_load(f, a, i * (n + 1)) * (pivots[i] == i + 1 ? 1 : -1);
        product *= pivot;
        sum += log(fabs(pivot));
        sign *= (pivot > 0) - (pivot < 0);
    }
    factor_store(f, factor_matrix(f, 1, item), 0, f->n_parts > 2 ? sign : product);
    if (f->n_parts > 2) factor_store(f, factor_matrix(f, 2, item), 0, sum);
    scratch_release(pivots);
}

static bool det_of(OpCall *call, int parts)
{
    TensorSpec spec;
    Factor plan = {0};
    int64_t n = call->in[0]->shape[call->in[0]->ndim - 1];
    if (tensor_size(call->out[0]) == 0) return true;
    factor_part(&plan, n, n);
    for (int i = 0; i < parts; i++) factor_part(&plan, 1, 1);
    Job *job = open_square(call, &plan, &spec);
    bool done = job != NULL && factor_run(call, job, cube(n) / 3, det_item, &spec, 2);
    for (int i = 0; done && i < parts; i++)
        for (int64_t j = 0; j < tensor_size(call->out[i]); j++) {
            Factor *f = factor_of(job);
            factor_store(f, call->out[i]->data, j, factor_load(f, factor_matrix(f, 1 + i, j), 0));
        }
    job_release(job);
    return done;
}

bool det_run(OpCall *call) { return det_of(call, 1); }
bool slogdet_run(OpCall *call) { return det_of(call, 2); }

/* [...] as [..., 1, 1] */
static Tensor *as_matrices(Scope *s, Tensor *x) { return s_unsqueeze(s, s_unsqueeze(s, x, -1), -1); }

static bool any_zero(const Tensor *x)
{
    for (int64_t i = 0, n = tensor_size(x); i < n; i++)
        if (tensor_item(x, i) == 0) return true;
    return false;
}

/* The matrix of cofactors of singular matrices, too: U diag(products of all other singular values) V' by the signs of
   U and V. */
static Tensor *cofactors(Scope *s, Tensor *x)
{
    Attr no = attr_bool(false);
    Tensor *out[3], *result = NULL;
    int n_out = 0, n = (int)x->shape[x->ndim - 1];
    if (s->ctx->error.kind != ERROR_NONE || !op_call(s->ctx, op_def(OP_svd), 1, &x, &no, out, &n_out)) return NULL;
    Tensor *u = scope_own(s, out[0]), *values = scope_own(s, out[1]), *v = scope_own(s, out[2]);
    Attr size[3] = {attr_int(n), attr_none(), attr_dtype(DTYPE_bool)}, last[2] = {attr_ints(1, (int64_t[]){-1}), no};
    Tensor *diagonal = s_op(s, OP_eye, 0, NULL, size, 0);
    Tensor *others = s_where(s, diagonal, s_const(s, 1), s_unsqueeze(s, values, -2));
    Tensor *products = others != NULL ? s_op(s, OP_prod, 1, &others, last, 0) : NULL;
    Tensor *sign = s_mul(s, s_unary(s, OP_det, u), s_unary(s, OP_det, v));
    result = s_matmul(s, s_mul(s, u, s_unsqueeze(s, products, -2)), v);
    return s_mul(s, result, as_matrices(s, s_unary(s, OP_stop_grad, sign)));
}

bool det_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *dy = as_matrices(s, g->dy[0]), *by;
    if (any_zero(g->out[0])) by = cofactors(s, s_cast(s, x, g->out_spec[0].dtype));
    else by = s_mul(s, flipped(s, s_unary(s, OP_inv, x)), as_matrices(s, g->out[0]));
    g->dx[0] = s_cast(s, s_mul(s, dy, by), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

/* The inverse's transpose; NaN where the matrix is singular and the logarithm -inf. */
bool slogdet_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *sign = as_matrices(s, g->out[0]);
    if (g->dy[1] == NULL) {
        g->dx[0] = s_full_like(s, &g->in_spec[0], 0);
        return g->dx[0] != NULL;
    }
    bool singular = any_zero(g->out[0]);
    Attr size[3] = {attr_int(x->shape[x->ndim - 1]), attr_none(), attr_dtype(g->out_spec[0].dtype)};
    Tensor *regular = singular ? s_binary(s, OP_ne, sign, s_const(s, 0)) : NULL;
    if (singular) x = s_where(s, regular, x, s_op(s, OP_eye, 0, NULL, size, 0));
    Tensor *by = flipped(s, s_unary(s, OP_inv, x));
    if (singular) by = s_where(s, regular, by, s_const(s, (double)NAN));
    g->dx[0] = s_cast(s, s_mul(s, as_matrices(s, g->dy[1]), by), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}
