/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Factorisations by orthogonal matrices: qr, svd, eigh, eig, and pinv, which is made of them. LAPACK leaves signs of
   rows and columns open; they are fixed here, so that the factors do not depend on its version: R has no negative
   diagonal, the largest element of each left singular vector and each eigenvector is positive. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "lapack.h"

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static Tensor *flipped(Scope *s, Tensor *x) { return s_transpose(s, x, -2, -1); }

/* The type of a matrix row's one input, its sizes and the result's dtype. */
static bool matrix_spec(OpCall *call, bool square, TensorSpec *spec, int64_t *m, int64_t *n)
{
    if (!(square ? check_square(call, 0) : check_matrix(call, 0))) return false;
    spec_of(call->in[0], spec);
    spec->dtype = op_promote(1, call->in, true, true);
    *m = spec->shape[spec->ndim - 2];
    *n = spec->shape[spec->ndim - 1];
    return true;
}

/* Result [which]: the batch of [spec] and then [rows, columns], or [rows] alone when columns is -1. */
static void add_result(OpCall *call, int which, const TensorSpec *spec, int64_t rows, int64_t columns)
{
    TensorSpec *out = &call->spec[which];
    *out = *spec;
    out->ndim = spec->ndim - 2;
    out->shape[out->ndim++] = rows;
    if (columns >= 0) out->shape[out->ndim++] = columns;
    if (call->n_out <= which) call->n_out = which + 1;
}

/* Opens a job whose part 0 is the input. */
static Job *open_input(OpCall *call, Factor *plan, const TensorSpec *spec)
{
    plan->m = (int)spec->shape[spec->ndim - 2];
    plan->n = (int)spec->shape[spec->ndim - 1];
    Job *job = factor_open(call, plan, spec, 2);
    if (job != NULL && !factor_input(call, factor_of(job), 0, call->in[0], false, spec->ndim - 2, spec->shape)) {
        job_release(job);
        return NULL;
    }
    return job;
}

/* Whether the largest element by size of [count] ones is negative. */
static bool points_down(const Factor *f, const void *a, int64_t first, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = factor_load(f, a, first + i);
        if (fabs(x) > fabs(most)) most = x;
    }
    return most < 0;
}

/* ---- qr ---- */

bool shape_qr(OpCall *call)
{
    TensorSpec spec;
    int64_t m, n;
    const char *mode = call->attr[0].str;
    if (strcmp(mode, "reduced") != 0 && strcmp(mode, "complete") != 0)
        return op_error(call, ERROR_value, "mode is \"reduced\" or \"complete\", not \"%.40s\"", mode);
    if (!matrix_spec(call, false, &spec, &m, &n)) return false;
    int64_t k = mode[0] == 'c' ? m : smaller(m, n);
    add_result(call, 0, &spec, m, k);
    add_result(call, 1, &spec, k, n);
    return true;
}

/* part 0 [m, n] gives part 1 [m, k] and part 2 [k, n]. */
static void qr_item(Factor *f, int64_t item)
{
    int m = f->m, n = f->n, k = f->k, rank = (int)smaller(m, n), lwork = 64 * (m > n ? m : n), info = 0;
    size_t width = dtype_size(f->dtype);
    char *a = factor_matrix(f, 0, item), *q = factor_matrix(f, 1, item), *r = factor_matrix(f, 2, item);
    char *work = factor_scratch(f, item, (size_t)(rank + lwork) * width), *tau = work + (size_t)lwork * width;
    if (work == NULL) return;
    f->lapack->geqrf(&m, &n, a, &m, tau, work, &lwork, &info);
    memset(r, 0, (size_t)k * (size_t)n * width);
    for (int64_t j = 0; j < n; j++)
        memcpy(r + (size_t)(j * k) * width, a + (size_t)(j * m) * width, (size_t)smaller(j + 1, rank) * width);
    memcpy(q, a, (size_t)m * (size_t)rank * width);
    f->lapack->orgqr(&m, &k, &rank, q, &m, tau, work, &lwork, &info);
    for (int64_t i = 0; i < rank; i++)
        if (factor_load(f, r, i * k + i) < 0) {
            factor_negate(f, r, i * k + i, k, n - i);
            factor_negate(f, q, i * m, 1, m);
        }
    scratch_release(work);
}

/* Ones on the diagonals of an empty matrix's complete Q. */
static void fill_identity(Tensor *q)
{
    int64_t rows = q->shape[q->ndim - 2], columns = q->shape[q->ndim - 1];
    for (int64_t i = 0, size = tensor_size(q); i < size; i++)
        tensor_store(q, i, i / columns % rows == i % columns ? 1 : 0);
}

bool qr_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {0};
    int64_t m, n;
    matrix_spec(call, false, &spec, &m, &n);
    plan.k = (int)call->spec[1].shape[spec.ndim - 2];
    if (m == 0 || n == 0 || spec_size(&spec) == 0) {
        fill_identity(call->out[0]);
        return true;
    }
    factor_part(&plan, m, n);
    factor_part(&plan, m, plan.k);
    factor_part(&plan, plan.k, n);
    Job *job = open_input(call, &plan, &spec);
    double work = 2.0 * (double)m * (double)plan.k * (double)(n > plan.k ? n : plan.k);
    bool done = job != NULL && factor_run(call, job, work, qr_item, &spec, 2)
             && factor_output(call, factor_of(job), 1, call->out[0], false)
             && factor_output(call, factor_of(job), 2, call->out[1], false);
    job_release(job);
    return done;
}

static Tensor *take_columns(Scope *s, Tensor *x, int64_t start, int64_t stop)
{
    Attr attr[4] = {attr_int(-1), attr_int(start), attr_int(stop), attr_int(1)};
    return x != NULL ? s_op(s, OP_slice, 1, &x, attr, 0) : NULL;
}

static Tensor *lower(Scope *s, Tensor *x, int k)
{
    Attr attr = attr_int(k);
    return x != NULL ? s_op(s, OP_tril, 1, &x, &attr, 0) : NULL;
}

/* Of a matrix with no more columns than rows; dq or dr may be NULL. With M the lower triangle of R dR' - dQ' Q,
   mirrored: (dQ + Q M) R'^-1. */
static Tensor *tall_qr_grad(Scope *s, Tensor *q, Tensor *r, Tensor *dq, Tensor *dr)
{
    Tensor *m = NULL;
    if (dr != NULL) m = s_matmul(s, r, flipped(s, dr));
    if (dq != NULL) {
        Tensor *part = s_matmul(s, flipped(s, dq), q);
        m = m != NULL ? s_sub(s, m, part) : s_neg(s, part);
    }
    Tensor *mirrored = s_add(s, lower(s, m, 0), flipped(s, lower(s, m, -1)));
    Tensor *left = s_matmul(s, q, mirrored);
    if (dq != NULL) left = s_add(s, dq, left);
    Tensor *in[2] = {r, flipped(s, left)};
    Attr attr[3] = {attr_bool(true), attr_bool(false), attr_bool(false)};
    if (in[0] == NULL || in[1] == NULL) return NULL;
    return flipped(s, s_op(s, OP_triangular_solve, 2, in, attr, 0));
}

/* A wide matrix is [X Y], X square with X = Q R1 and Y = Q R2. */
bool qr_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *spec = &g->in_spec[0];
    int64_t m = spec->shape[spec->ndim - 2], n = spec->shape[spec->ndim - 1];
    Tensor *q = g->out[0], *r = g->out[1], *dq = g->dy[0], *dr = g->dy[1], *dx;
    if (g->attr[0].str[0] == 'c' && m > n) {
        error_set(&g->ctx->error, ERROR_gradient, "qr", "a complete Q of more rows than columns has no gradient");
        error_hint(&g->ctx->error, "mode \"reduced\" has one");
        return false;
    }
    if (m >= n) {
        dx = tall_qr_grad(s, q, r, dq, dr);
    } else {
        Tensor *y = take_columns(s, g->in[0], m, n), *dr1 = NULL, *dy = NULL;
        if (dr != NULL) {
            Tensor *dr2 = take_columns(s, dr, m, n), *through = s_matmul(s, y, flipped(s, dr2));
            dr1 = take_columns(s, dr, 0, m);
            dq = dq != NULL ? s_add(s, dq, through) : through;
            dy = s_matmul(s, q, dr2);
        } else {
            dy = s_scale(s, y, 0);
        }
        Tensor *both[2] = {tall_qr_grad(s, q, take_columns(s, r, 0, m), dq, dr1), dy};
        Attr axis = attr_int(-1);
        dx = both[0] != NULL && both[1] != NULL ? s_op(s, OP_concat, 2, both, &axis, 0) : NULL;
    }
    g->dx[0] = s_cast(s, dx, spec->dtype);
    return g->dx[0] != NULL;
}

/* ---- svd ---- */

bool shape_svd(OpCall *call)
{
    TensorSpec spec;
    int64_t m, n;
    if (!matrix_spec(call, false, &spec, &m, &n)) return false;
    bool full = call->attr[0].b;
    int64_t k = smaller(m, n);
    add_result(call, 0, &spec, m, full ? m : k);
    add_result(call, 1, &spec, k, -1);
    add_result(call, 2, &spec, full ? n : k, n);
    return true;
}

/* part 0 [m, n] gives part 1 [m, k or m], part 2 [k], part 3 [k or n, n]. */
static void svd_item(Factor *f, int64_t item)
{
    int m = f->m, n = f->n, k = (int)smaller(m, n), ldvt = f->full ? n : k, lwork = -1, info = 0;
    void *a = factor_matrix(f, 0, item), *u = factor_matrix(f, 1, item), *values = factor_matrix(f, 2, item);
    void *vt = factor_matrix(f, 3, item);
    const char *job = f->full ? "A" : "S";
    double best[1] = {0};
    int none = 0;
    f->lapack->gesdd(job, &m, &n, a, &m, values, u, &m, vt, &ldvt, best, &lwork, &none, &info, 1);
    lwork = (int)(factor_load(f, best, 0) * (1 + 4 * (double)FLT_EPSILON)) + 1;
    size_t width = dtype_size(f->dtype);
    char *work = factor_scratch(f, item, (size_t)lwork * width + 8 * (size_t)k * sizeof(int) + 64);
    if (work == NULL) return;
    int *iwork = (int *)(void *)(work + (((size_t)lwork * width + 63) & ~(size_t)63));
    f->lapack->gesdd(job, &m, &n, a, &m, values, u, &m, vt, &ldvt, work, &lwork, iwork, &info, 1);
    scratch_release(work);
    if (!factor_info(f, item, info, TROUBLE_NO_CONVERGENCE)) return;
    for (int64_t i = 0; i < k; i++)
        if (points_down(f, u, i * m, m)) {
            factor_negate(f, u, i * m, 1, m);
            factor_negate(f, vt, i, ldvt, n);
        }
}

bool svd_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {.full = call->attr[0].b};
    int64_t m, n;
    matrix_spec(call, false, &spec, &m, &n);
    if (m == 0 || n == 0 || spec_size(&spec) == 0) {
        fill_identity(call->out[0]);
        fill_identity(call->out[2]);
        return true;
    }
    int64_t k = smaller(m, n);
    if (k > 20000)                         /* LAPACK counts its work in 32 bits */
        return op_error(call, ERROR_shape, "sides of %lld and %lld are too long, 20000 is the most for one",
                        (long long)m, (long long)n);
    factor_part(&plan, m, n);
    factor_part(&plan, m, plan.full ? m : k);
    factor_part(&plan, k, 1);
    factor_part(&plan, plan.full ? n : k, n);
    Job *job = open_input(call, &plan, &spec);
    double work = 12.0 * (double)m * (double)n * (double)(plan.full ? (m > n ? m : n) : k);
    bool done = job != NULL && factor_run(call, job, work, svd_item, &spec, 2)
             && factor_output(call, factor_of(job), 1, call->out[0], false)
             && factor_output(call, factor_of(job), 2, call->out[1], true)
             && factor_output(call, factor_of(job), 3, call->out[2], false);
    job_release(job);
    return done;
}

/* [k, k]: 1 / (v_j - v_i), or 1 / (v_j^2 - v_i^2), and 0 on the diagonal. */
static Tensor *gaps(Scope *s, Tensor *values, bool squared)
{
    if (values == NULL) return NULL;
    Tensor *i = s_unsqueeze(s, values, -1), *j = s_unsqueeze(s, values, -2), *gap = s_sub(s, j, i);
    if (squared) gap = s_mul(s, gap, s_add(s, j, i));
    Attr size[3] = {attr_int(values->shape[values->ndim - 1]), attr_none(), attr_dtype(DTYPE_bool)};
    Tensor *diagonal = s_op(s, OP_eye, 0, NULL, size, 0);
    Tensor *inverse = s_div(s, s_const(s, 1), s_where(s, diagonal, s_const(s, 1), gap));
    return s_where(s, diagonal, s_const(s, 0), inverse);
}

static Tensor *diagonal_matrix(Scope *s, Tensor *x)
{
    Attr attr[3] = {attr_int(0), attr_none(), attr_none()};
    return x != NULL ? s_op(s, OP_diag_embed, 1, &x, attr, 0) : NULL;
}

static Tensor *plus(Scope *s, Tensor *a, Tensor *b) { return a == NULL ? b : b == NULL ? a : s_add(s, a, b); }

/* x plus its transpose */
static Tensor *symmetrised(Scope *s, Tensor *x) { return s_add(s, x, flipped(s, x)); }

/* With X^ the part of X symmetrised after multiplying by the gaps: U (dU^ S + S dV^ + dS) V' plus what leaves the span
   of U or V. Singular values that coincide make the gradients of U and V infinite. */
static Tensor *thin_svd_grad(Scope *s, Tensor *const *usv, Tensor *const *dusv, int64_t m, int64_t n)
{
    Tensor *u = usv[0], *values = usv[1], *vt = usv[2], *dvt = dusv[2], *inner = NULL, *outside = NULL;
    if (dusv[1] != NULL) inner = diagonal_matrix(s, dusv[1]);
    Tensor *gap = dusv[0] != NULL || dvt != NULL ? gaps(s, values, true) : NULL;
    Tensor *row = s_unsqueeze(s, values, -2), *column = s_unsqueeze(s, values, -1);
    if (dusv[0] != NULL) {
        Tensor *along = s_matmul(s, flipped(s, u), dusv[0]);
        inner = plus(s, inner, s_mul(s, symmetrised(s, s_mul(s, gap, along)), row));
        if (m > n) {
            Tensor *rest = s_div(s, s_sub(s, dusv[0], s_matmul(s, u, along)), row);
            outside = s_matmul(s, rest, vt);
            if (outside == NULL) return NULL;
        }
    }
    if (dvt != NULL) {
        Tensor *along = s_matmul(s, vt, flipped(s, dvt));
        inner = plus(s, inner, s_mul(s, column, symmetrised(s, s_mul(s, gap, along))));
        if (n > m) {
            Tensor *rest = s_div(s, s_sub(s, dvt, s_matmul(s, flipped(s, along), vt)), column);
            outside = s_matmul(s, u, rest);
            if (outside == NULL) return NULL;
        }
    }
    return plus(s, s_matmul(s, s_matmul(s, u, inner), vt), outside);
}

bool svd_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *spec = &g->in_spec[0];
    int64_t m = spec->shape[spec->ndim - 2], n = spec->shape[spec->ndim - 1], k = smaller(m, n);
    Tensor *usv[3] = {g->out[0], g->out[1], g->out[2]};
    if (g->attr[0].b && m != n) {
        if (g->dy[0] != NULL || g->dy[2] != NULL) {
            error_set(&g->ctx->error, ERROR_gradient, "svd",
                      "the full U and V of a matrix that is not square have no gradient");
            error_hint(&g->ctx->error, "full_matrices=false has one");
            return false;
        }
        usv[0] = take_columns(s, usv[0], 0, k);
        usv[2] = flipped(s, take_columns(s, flipped(s, usv[2]), 0, k));
    }
    Tensor *dx = thin_svd_grad(s, usv, g->dy, m, n);
    g->dx[0] = s_cast(s, dx, spec->dtype);
    return g->dx[0] != NULL;
}

/* ---- eigh ---- */

bool shape_eigh(OpCall *call)
{
    TensorSpec spec;
    int64_t n;
    if (!matrix_spec(call, true, &spec, &n, &n)) return false;
    add_result(call, 0, &spec, n, -1);
    add_result(call, 1, &spec, n, n);
    return true;
}

/* The symmetric part of part 0 gives its eigenvectors there and its eigenvalues in part 1. */
static void eigh_item(Factor *f, int64_t item)
{
    int n = f->n, lwork = 1 + 6 * n + 2 * n * n, liwork = 3 + 5 * n, info = 0;
    size_t width = dtype_size(f->dtype);
    void *a = factor_matrix(f, 0, item);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++)
            factor_store(f, a, j * n + i, (factor_load(f, a, j * n + i) + factor_load(f, a, i * n + j)) / 2);
    char *work = factor_scratch(f, item, (size_t)lwork * width + (size_t)liwork * sizeof(int) + 64);
    if (work == NULL) return;
    int *iwork = (int *)(void *)(work + (((size_t)lwork * width + 63) & ~(size_t)63));
    f->lapack->syevd("V", "L", &n, a, &n, factor_matrix(f, 1, item), work, &lwork, iwork, &liwork, &info, 1, 1);
    scratch_release(work);
    if (!factor_info(f, item, info, TROUBLE_NO_CONVERGENCE)) return;
    for (int64_t j = 0; j < n; j++)
        if (points_down(f, a, j * n, n)) factor_negate(f, a, j * n, 1, n);
}

bool eigh_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {0};
    int64_t n;
    matrix_spec(call, true, &spec, &n, &n);
    if (spec_size(&spec) == 0) return true;
    if (n > 30000) return op_error(call, ERROR_shape, "a side of %lld is too long, 30000 is the most", (long long)n);
    factor_part(&plan, n, n);
    factor_part(&plan, n, 1);
    Job *job = open_input(call, &plan, &spec);
    bool done = job != NULL && factor_run(call, job, 5.0 * (double)n * (double)n * (double)n, eigh_item, &spec, 2)
             && factor_output(call, factor_of(job), 1, call->out[0], true)
             && factor_output(call, factor_of(job), 0, call->out[1], false);
    job_release(job);
    return done;
}

/* V (dw + gaps V' dV) V', its symmetric part. */
bool eigh_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *v = g->out[1], *inner = NULL;
    if (g->dy[0] != NULL) inner = diagonal_matrix(s, g->dy[0]);
    if (g->dy[1] != NULL)
        inner = plus(s, inner, s_mul(s, gaps(s, g->out[0], false), s_matmul(s, flipped(s, v), g->dy[1])));
    Tensor *dx = s_matmul(s, s_matmul(s, v, inner), flipped(s, v));
    g->dx[0] = s_cast(s, s_scale(s, symmetrised(s, dx), 0.5), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

/* ---- eig ---- */

/* Complex numbers are real tensors with a last axis of 2. */
bool shape_eig(OpCall *call)
{
    TensorSpec spec;
    int64_t n;
    if (!matrix_spec(call, true, &spec, &n, &n)) return false;
    if (spec.ndim == TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "complex results need an axis more than the %d there can be",
                        TENSOR_MAX_DIMS);
    add_result(call, 0, &spec, n, 2);
    add_result(call, 1, &spec, n, n);
    call->spec[1].shape[call->spec[1].ndim++] = 2;
    return true;
}

/* part 0 [n, n] gives part 1 [2, n] and part 2 [2, n * n], as they lie in the results; parts 3 and 4 are work. */
static void eig_item(Factor *f, int64_t item)
{
    int n = f->n, lwork = 34 * n, one = 1, info = 0;
    size_t width = dtype_size(f->dtype);
    void *w = factor_matrix(f, 1, item), *v = factor_matrix(f, 2, item), *right = factor_matrix(f, 3, item);
    char *real = factor_matrix(f, 4, item), *imaginary = real + (size_t)n * width;
    void *work = factor_scratch(f, item, (size_t)lwork * width);
    if (work == NULL) return;
    f->lapack->geev("N", "V", &n, factor_matrix(f, 0, item), &n, real, imaginary, work, &one, right, &n, work, &lwork,
                    &info, 1, 1);
    scratch_release(work);
    if (!factor_info(f, item, info, TROUBLE_NO_CONVERGENCE)) return;
    for (int64_t j = 0; j < n; j++) {
        double angle = factor_load(f, imaginary, j);
        int64_t first = angle < 0 ? j - 1 : j;             /* of a conjugate pair: real parts, then imaginary ones */
        factor_store(f, w, 2 * j, factor_load(f, real, j));
        factor_store(f, w, 2 * j + 1, angle);
        for (int64_t i = 0; i < n; i++) {
            double im = angle == 0 ? 0 : factor_load(f, right, (first + 1) * n + i);
            factor_store(f, v, 2 * (i * n + j), factor_load(f, right, first * n + i));
            factor_store(f, v, 2 * (i * n + j) + 1, angle < 0 ? -im : im);
        }
    }
}

bool eig_run(OpCall *call)
{
    TensorSpec spec;
    Factor plan = {0};
    int64_t n;
    matrix_spec(call, true, &spec, &n, &n);
    if (spec_size(&spec) == 0) return true;
    factor_part(&plan, n, n);
    factor_part(&plan, 2, n);
    factor_part(&plan, 2 * n, n);
    factor_part(&plan, n, n);
    factor_part(&plan, n, 2);
    Job *job = open_input(call, &plan, &spec);
    bool done = job != NULL && factor_run(call, job, 15.0 * (double)n * (double)n * (double)n, eig_item, &spec, 2);
    for (int i = 0; done && i < 2; i++) {
        Factor *f = factor_of(job);
        for (int64_t item = 0, bytes = (i ? n : 1) * n * 2 * (int64_t)dtype_size(f->dtype); item < f->count; item++)
            memcpy(call->out[i]->data + item * bytes, factor_matrix(f, 1 + i, item), (size_t)bytes);
    }
    job_release(job);
    return done;
}

/* ---- pinv ---- */

bool shape_pinv(OpCall *call)
{
    TensorSpec spec;
    int64_t m, n;
    if (!matrix_spec(call, false, &spec, &m, &n)) return false;
    add_result(call, 0, &spec, n, m);
    return true;
}

/* V diag(1 / s) U', singular values below rtol times the largest left out. */
bool pinv_run(OpCall *call)
{
    Tensor *x = call->in[0], *usv[3];
    int64_t m = x->shape[x->ndim - 2], n = x->shape[x->ndim - 1];
    Dtype dtype = call->spec[0].dtype;
    int n_out = 0;
    if (tensor_size(call->out[0]) == 0) return true;
    double epsilon = dtype == DTYPE_f32 ? (double)FLT_EPSILON : DBL_EPSILON;
    double tolerance = call->attr[0].none ? (double)(m > n ? m : n) * epsilon : call->attr[0].num;
    Attr no = attr_bool(false), last[2] = {attr_ints(1, (int64_t[]){-1}), attr_bool(true)};
    Tensor *plain = tensor_detach(call->ctx, x);
    bool done = plain != NULL && op_call(call->ctx, op_def(OP_svd), 1, &plain, &no, usv, &n_out);
    tensor_release(plain);
    if (!done) return false;
    Scope s;
    scope_init(&s, call->ctx);
    for (int i = 0; i < 3; i++) usv[i] = scope_own(&s, usv[i]);
    Tensor *limit = s_scale(&s, s_op(&s, OP_max, 1, &usv[1], last, 0), tolerance);
    Tensor *large = s_binary(&s, OP_gt, usv[1], limit);
    Tensor *inverse = s_div(&s, s_const(&s, 1), s_where(&s, large, usv[1], s_const(&s, 1)));
    Tensor *scaled = s_mul(&s, usv[0], s_unsqueeze(&s, s_where(&s, large, inverse, s_const(&s, 0)), -2));
    Tensor *result = flipped(&s, s_matmul(&s, scaled, usv[2]));
    done = result != NULL && tensor_assign(call->ctx, call->out[0], result);
    scope_clear(&s);
    return done;
}

/* With P the result and G what arrives (Golub and Pereyra 1973), rank unchanged:
   -P'G'P' + (I - X P) G' P P' + P' P G' (I - P X), where G' is G transposed. */
bool pinv_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *p = g->out[0], *pt = flipped(s, p), *gt = flipped(s, g->dy[0]);
    Tensor *first = s_matmul(s, s_matmul(s, pt, g->dy[0]), pt);
    Tensor *second = s_matmul(s, s_matmul(s, gt, p), pt), *third = s_matmul(s, pt, s_matmul(s, p, gt));
    second = s_sub(s, second, s_matmul(s, x, s_matmul(s, p, second)));
    third = s_sub(s, third, s_matmul(s, s_matmul(s, third, p), x));
    g->dx[0] = s_cast(s, s_add(s, s_sub(s, second, first), third), g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}
