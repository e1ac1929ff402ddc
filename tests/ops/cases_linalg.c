/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of linear algebra. The references are the plain methods of textbooks: elimination with pivots, sums of products
   for Cholesky, Gram and Schmidt's QR, Jacobi's rotations for eigenvalues and singular values; signs are fixed as the
   rows promise. What is not unique (eig, a complete Q) is held to its equations in tests/lang/linalg.tsr. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops_test.h"

#define SIDE 40               /* no matrix of a case is larger */

static Dtype result_dtype(const Ref *r)
{
    Dtype d = DTYPE_bool;
    for (int i = 0; i < r->n_in; i++)
        d = r->in[i]->dtype > d ? r->in[i]->dtype : d;
    return ref_floating(d);
}

/* Runs over a batch: row-major matrices in and out. */
static int64_t matrices(const Array *a)
{
    int64_t count = 1;
    for (int i = 0; i < a->ndim - 2; i++)
        count *= a->shape[i];
    return count;
}

/* x[n,k] with a[n,n] x = b, by elimination with row pivots; gives the determinant. */
static double eliminate(const double *a, const double *b, double *x, int64_t n, int64_t k)
{
    double lu[SIDE * SIDE], det = 1;
    memcpy(lu, a, (size_t)(n * n) * sizeof *lu);
    memcpy(x, b, (size_t)(n * k) * sizeof *x);
    for (int64_t c = 0; c < n; c++) {
        int64_t pivot = c;
        for (int64_t i = c + 1; i < n; i++)
            if (fabs(lu[i * n + c]) > fabs(lu[pivot * n + c]))
                pivot = i;
        for (int64_t j = 0; j < n && pivot != c; j++) {
            double t = lu[c * n + j];
            lu[c * n + j] = lu[pivot * n + j];
            lu[pivot * n + j] = t;
        }
        for (int64_t j = 0; j < k && pivot != c; j++) {
            double t = x[c * k + j];
            x[c * k + j] = x[pivot * k + j];
            x[pivot * k + j] = t;
        }
        det *= lu[c * n + c] * (pivot == c ? 1 : -1);
        for (int64_t i = 0; i < n; i++) {
            if (i == c)
                continue;
            double factor = lu[i * n + c] / lu[c * n + c];
            for (int64_t j = c; j < n; j++)
                lu[i * n + j] -= factor * lu[c * n + j];
            for (int64_t j = 0; j < k; j++)
                x[i * k + j] -= factor * x[c * k + j];
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            x[i * k + j] /= lu[i * n + i];
    return det;
}

/* ---- systems ---- */

/* a with its other triangle, and its diagonal if unit, as triangular_solve reads them. */
static void clean_triangle(const Ref *r, const double *a, double *t, int64_t n)
{
    bool upper = ref_bool(r, "upper"), transpose = ref_bool(r, "transpose"), unit = ref_bool(r, "unit");
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double x = i == j ? (unit ? 1 : a[i * n + j]) : (i < j) == upper ? a[i * n + j] : 0;
            t[transpose ? j * n + i : i * n + j] = x;
        }
}

/* solve and triangular_solve over broadcast batches. */
static void ref_system(Ref *r)
{
    const Array *a = r->in[0], *b = r->in[1];
    bool vector = b->ndim == 1, triangular = r->test->op[0] == 't';
    int inner = vector ? 1 : 2, lead_a = a->ndim - 2, lead_b = b->ndim - inner;
    int lead = lead_a > lead_b ? lead_a : lead_b;
    int64_t n = a->shape[a->ndim - 1], k = vector ? 1 : b->shape[b->ndim - 1], shape[TENSOR_MAX_DIMS];
    Array batch = {.ndim = lead, .size = 1};
    for (int i = 0; i < lead; i++) {
        int64_t x = i < lead - lead_a ? 1 : a->shape[i - (lead - lead_a)];
        int64_t y = i < lead - lead_b ? 1 : b->shape[i - (lead - lead_b)];
        batch.shape[i] = shape[i] = x == 1 ? y : x;
        batch.size *= shape[i];
    }
    shape[lead] = n;
    shape[lead + 1] = k;
    double *v = ref_out(r, result_dtype(r), lead + inner, shape), t[SIDE * SIDE];
    for (int64_t p = 0; p < batch.size; p++) {
        int64_t place[TENSOR_MAX_DIMS], ia = 0, ib = 0;
        ref_place(&batch, p, place);
        for (int i = 0; i < lead_a; i++)
            ia = ia * a->shape[i] + (a->shape[i] == 1 ? 0 : place[lead - lead_a + i]);
        for (int i = 0; i < lead_b; i++)
            ib = ib * b->shape[i] + (b->shape[i] == 1 ? 0 : place[lead - lead_b + i]);
        memcpy(t, a->v + ia * n * n, (size_t)(n * n) * sizeof *t);
        if (triangular)
            clean_triangle(r, a->v + ia * n * n, t, n);
        eliminate(t, b->v + ib * n * k, v + p * n * k, n, k);
    }
}

static void ref_inv(Ref *r)
{
    int64_t n = r->in[0]->shape[r->in[0]->ndim - 1];
    double *v = ref_like(r, result_dtype(r), r->in[0]), one[SIDE * SIDE] = {0};
    for (int64_t i = 0; i < n; i++)
        one[i * n + i] = 1;
    for (int64_t p = 0; p < matrices(r->in[0]); p++)
        eliminate(r->in[0]->v + p * n * n, one, v + p * n * n, n, n);
}

static void ref_det(Ref *r)
{
    const Array *a = r->in[0];
    int64_t n = a->shape[a->ndim - 1];
    bool logs = r->test->op[0] == 's';
    double *v = ref_out(r, result_dtype(r), a->ndim - 2, a->shape), x[SIDE] = {0};
    double *log_size = logs ? ref_out(r, result_dtype(r), a->ndim - 2, a->shape) : NULL;
    for (int64_t p = 0; p < matrices(a); p++) {
        double det = eliminate(a->v + p * n * n, x, x, n, 0);
        v[p] = logs ? (det > 0) - (det < 0) : det;
        if (logs)
            log_size[p] = log(fabs(det));
    }
}

/* An exactly singular matrix, where elimination divides by 0. */
static void ref_zero(Ref *r)
{
    const Array *a = r->in[0];
    ref_out(r, result_dtype(r), a->ndim - 2, a->shape);
    if (r->test->op[0] == 's')
        *ref_out(r, result_dtype(r), a->ndim - 2, a->shape) = -HUGE_VAL;
}

static void ref_cholesky(Ref *r)
{
    int64_t n = r->in[0]->shape[r->in[0]->ndim - 1];
    double *v = ref_like(r, result_dtype(r), r->in[0]);
    bool upper = ref_bool(r, "upper");
    for (int64_t p = 0; p < matrices(r->in[0]); p++) {
        const double *a = r->in[0]->v + p * n * n;
        double l[SIDE][SIDE];
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j <= i; j++) {
                double sum = (a[i * n + j] + a[j * n + i]) / 2;
                for (int64_t q = 0; q < j; q++)
                    sum -= l[i][q] * l[j][q];
                l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
                v[p * n * n + (upper ? j * n + i : i * n + j)] = l[i][j];
            }
    }
}

/* Doolittle's, with row pivots. */
static void ref_lu(Ref *r)
{
    const Array *a = r->in[0];
    int64_t m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1], k = m < n ? m : n, shape[TENSOR_MAX_DIMS];
    double *out[3];
    memcpy(shape, a->shape, sizeof shape);
    for (int i = 0; i < 3; i++) {
        shape[a->ndim - 2] = i < 2 ? m : k;
        shape[a->ndim - 1] = i == 0 ? m : i == 1 ? k : n;
        out[i] = ref_out(r, result_dtype(r), a->ndim, shape);
    }
    for (int64_t p = 0; p < matrices(a); p++) {
        double x[SIDE][SIDE];
        int64_t row[SIDE];
        for (int64_t i = 0; i < m; i++) {
            row[i] = i;
            memcpy(x[i], a->v + (p * m + i) * n, (size_t)n * sizeof(double));
        }
        for (int64_t c = 0; c < k; c++) {
            int64_t best = c;
            for (int64_t i = c + 1; i < m; i++)
                if (fabs(x[i][c]) > fabs(x[best][c]))
                    best = i;
            int64_t t = row[c];
            row[c] = row[best];
            row[best] = t;
            for (int64_t j = 0; j < n; j++) {
                double value = x[c][j];
                x[c][j] = x[best][j];
                x[best][j] = value;
            }
            for (int64_t i = c + 1; i < m; i++) {
                x[i][c] /= x[c][c];
                for (int64_t j = c + 1; j < n; j++)
                    x[i][j] -= x[i][c] * x[c][j];
            }
        }
        for (int64_t i = 0; i < m; i++)
            out[0][(p * m + row[i]) * m + i] = 1;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < k; j++)
                out[1][(p * m + i) * k + j] = i == j ? 1 : i > j ? x[i][j] : 0;
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = i; j < n; j++)
                out[2][(p * k + i) * n + j] = x[i][j];
    }
}

/* ---- orthogonal factors ---- */

/* Gram and Schmidt, twice for the digits. [q]: [m,k], [t]: [k,n] */
static void gram_schmidt(const double *a, double *q, double *t, int64_t m, int64_t n)
{
    int64_t k = m < n ? m : n;
    for (int64_t j = 0; j < k; j++) {
        for (int64_t i = 0; i < m; i++)
            q[i * k + j] = a[i * n + j];
        for (int round = 0; round < 2; round++)
            for (int64_t c = 0; c < j; c++) {
                double dot = 0;
                for (int64_t i = 0; i < m; i++)
                    dot += q[i * k + c] * q[i * k + j];
                for (int64_t i = 0; i < m; i++)
                    q[i * k + j] -= dot * q[i * k + c];
            }
        double norm = 0;
        for (int64_t i = 0; i < m; i++)
            norm += q[i * k + j] * q[i * k + j];
        for (int64_t i = 0; i < m; i++)
            q[i * k + j] /= sqrt(norm);
    }
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) {
            double dot = 0;
            for (int64_t c = 0; c < m; c++)
                dot += q[c * k + i] * a[c * n + j];
            t[i * n + j] = i <= j ? dot : 0;
        }
}

static void ref_qr(Ref *r)
{
    const Array *a = r->in[0];
    int64_t m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1], k = m < n ? m : n, shape[TENSOR_MAX_DIMS];
    bool complete = ref_str(r, "mode")[0] == 'c';
    memcpy(shape, a->shape, sizeof shape);
    shape[a->ndim - 1] = complete ? m : k;
    double *q = ref_out(r, result_dtype(r), a->ndim, shape);
    shape[a->ndim - 2] = complete ? m : k;
    shape[a->ndim - 1] = n;
    double *t = ref_out(r, result_dtype(r), a->ndim, shape);
    r->any_value = complete && m > n;
    for (int64_t p = 0; p < matrices(a) && !r->any_value; p++)
        gram_schmidt(a->v + p * m * n, q + p * m * k, t + p * k * n, m, n);
}

/* Makes the largest element of column j of u[m,k] positive; true if it was not. */
static bool point_up(double *u, int64_t m, int64_t k, int64_t j)
{
    double most = 0;
    for (int64_t i = 0; i < m; i++)
        if (fabs(u[i * k + j]) > fabs(most))
            most = u[i * k + j];
    for (int64_t i = 0; i < m && most < 0; i++)
        u[i * k + j] = -u[i * k + j];
    return most < 0;
}

static void rotate(double *a, int64_t rows, int64_t columns, int64_t p, int64_t q, double c, double s)
{
    for (int64_t i = 0; i < rows; i++) {
        double x = a[i * columns + p], y = a[i * columns + q];
        a[i * columns + p] = c * x - s * y;
        a[i * columns + q] = s * x + c * y;
    }
}

/* One-sided Jacobi: turns pairs of columns of a[m,n] (m >= n) until all are orthogonal; [v] collects the turns. */
static void jacobi(double *a, double *v, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++)
        v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                double x = 0, y = 0, xy = 0;
                for (int64_t i = 0; i < m; i++) {
                    x += a[i * n + p] * a[i * n + p];
                    y += a[i * n + q] * a[i * n + q];
                    xy += a[i * n + p] * a[i * n + q];
                }
                if (fabs(xy) <= 1e-17 * sqrt(x * y) || xy == 0)
                    continue;
                double zeta = (y - x) / (2 * xy), t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
                double c = 1 / sqrt(1 + t * t);
                rotate(a, m, n, p, q, c, c * t);
                rotate(v, n, n, p, q, c, c * t);
            }
}

static double column_norm(const double *a, int64_t m, int64_t n, int64_t j)
{
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
        sum += a[i * n + j] * a[i * n + j];
    return sqrt(sum);
}

/* Places of [n] values, the largest first. */
static void falling(const double *value, int64_t n, int64_t *order)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i;
        for (; j > 0 && value[order[j - 1]] < value[i]; j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
}

/* u[m,k], s[k], vt[k,n] of a[m,n] */
static void plain_svd(const double *a, double *u, double *s, double *vt, int64_t m, int64_t n)
{
    double work[SIDE * SIDE], turns[SIDE * SIDE], norm[SIDE] = {0};
    bool wide = m < n;
    int64_t rows = wide ? n : m, k = wide ? m : n, order[SIDE];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < k; j++)
            work[i * k + j] = wide ? a[j * n + i] : a[i * n + j];
    jacobi(work, turns, rows, k);
    for (int64_t j = 0; j < k; j++)
        norm[j] = column_norm(work, rows, k, j);
    falling(norm, k, order);
    for (int64_t j = 0; j < k; j++) {
        int64_t from = order[j];
        s[j] = norm[from];
        for (int64_t i = 0; i < m; i++)
            u[i * k + j] = wide ? turns[i * k + from] : work[i * k + from] / s[j];
        for (int64_t i = 0; i < n; i++)
            vt[j * n + i] = wide ? work[i * k + from] / s[j] : turns[i * k + from];
        if (point_up(u, m, k, j))
            for (int64_t i = 0; i < n; i++)
                vt[j * n + i] = -vt[j * n + i];
    }
}

static void ref_svd(Ref *r)
{
    const Array *a = r->in[0];
    int64_t m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1], k = m < n ? m : n, shape[TENSOR_MAX_DIMS];
    bool full = ref_bool(r, "full_matrices");
    memcpy(shape, a->shape, sizeof shape);
    shape[a->ndim - 1] = full ? m : k;
    double *u = ref_out(r, result_dtype(r), a->ndim, shape);
    shape[a->ndim - 2] = k;
    double *s = ref_out(r, result_dtype(r), a->ndim - 1, shape);
    shape[a->ndim - 2] = full ? n : k;
    shape[a->ndim - 1] = n;
    double *vt = ref_out(r, result_dtype(r), a->ndim, shape);
    r->any_value = full && m != n;
    for (int64_t p = 0; p < matrices(a) && !r->any_value; p++)
        plain_svd(a->v + p * m * n, u + p * m * k, s + p * k, vt + p * k * n, m, n);
}

/* Two-sided Jacobi on the symmetric part. */
static void ref_eigh(Ref *r)
{
    const Array *a = r->in[0];
    int64_t n = a->shape[a->ndim - 1], order[SIDE];
    double *w = ref_out(r, result_dtype(r), a->ndim - 1, a->shape), *v = ref_like(r, result_dtype(r), a);
    for (int64_t p = 0; p < matrices(a); p++) {
        double s[SIDE * SIDE], turns[SIDE * SIDE], value[SIDE];
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                s[i * n + j] = (a->v[(p * n + i) * n + j] + a->v[(p * n + j) * n + i]) / 2;
                turns[i * n + j] = i == j;
            }
        for (int sweep = 0; sweep < 60; sweep++)
            for (int64_t x = 0; x < n; x++)
                for (int64_t y = x + 1; y < n; y++) {
                    double angle = atan2(2 * s[x * n + y], s[y * n + y] - s[x * n + x]) / 2;
                    rotate(s, n, n, x, y, cos(angle), sin(angle));
                    for (int64_t i = 0; i < n; i++) {        /* the rows likewise */
                        double f = s[x * n + i], g = s[y * n + i];
                        s[x * n + i] = cos(angle) * f - sin(angle) * g;
                        s[y * n + i] = sin(angle) * f + cos(angle) * g;
                    }
                    rotate(turns, n, n, x, y, cos(angle), sin(angle));
                }
        for (int64_t i = 0; i < n; i++)
            value[i] = s[i * n + i];
        falling(value, n, order);
        for (int64_t j = 0; j < n; j++) {
            w[p * n + j] = value[order[n - 1 - j]];
            for (int64_t i = 0; i < n; i++)
                v[(p * n + i) * n + j] = turns[i * n + order[n - 1 - j]];
            point_up(v + p * n * n, n, n, j);
        }
    }
}

static void ref_eig(Ref *r)
{
    const Array *a = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS];
    memcpy(shape, a->shape, sizeof shape);
    shape[a->ndim - 1] = 2;
    ref_out(r, result_dtype(r), a->ndim, shape);
    shape[a->ndim - 1] = shape[a->ndim - 2];
    shape[a->ndim] = 2;
    ref_out(r, result_dtype(r), a->ndim + 1, shape);
    r->any_value = true;
}

/* V diag(1 / s) U' over the singular values that are not small. */
static void ref_pinv(Ref *r)
{
    const Array *a = r->in[0];
    int64_t m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1], k = m < n ? m : n, shape[TENSOR_MAX_DIMS];
    memcpy(shape, a->shape, sizeof shape);
    shape[a->ndim - 2] = n;
    shape[a->ndim - 1] = m;
    double *v = ref_out(r, result_dtype(r), a->ndim, shape), rtol = ref_none(r, "rtol") ? 1e-6 : ref_num(r, "rtol");
    for (int64_t p = 0; p < matrices(a); p++) {
        double u[SIDE * SIDE], s[SIDE], vt[SIDE * SIDE];
        plain_svd(a->v + p * m * n, u, s, vt, m, n);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < m; j++)
                for (int64_t c = 0; c < k; c++)
                    if (s[c] > rtol * s[0])
                        v[(p * n + i) * m + j] += vt[c * n + i] * u[j * k + c] / s[c];
    }
}

/* ---- distances ---- */

static void ref_cdist(Ref *r)
{
    Array a = *r->in[0], b = *r->in[1];
    int64_t d = a.shape[a.ndim - 1], n = a.shape[a.ndim - 2], m = b.shape[b.ndim - 2], shape[TENSOR_MAX_DIMS];
    int lead = (a.ndim > b.ndim ? a.ndim : b.ndim) - 2;
    for (int i = 0; i < lead; i++) {
        int x = i - (lead - (a.ndim - 2)), y = i - (lead - (b.ndim - 2));
        int64_t left = x < 0 ? 1 : a.shape[x], right = y < 0 ? 1 : b.shape[y];
        shape[i] = left == 1 ? right : left;
    }
    shape[lead] = n;
    shape[lead + 1] = m;
    double p = ref_num(r, "p"), *v = ref_out(r, result_dtype(r), lead + 2, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        int64_t place[TENSOR_MAX_DIMS], from[2] = {0, 0};
        ref_place(&r->out[0], i, place);
        for (int side = 0; side < 2; side++) {
            const Array *x = side ? &b : &a;
            for (int axis = 0; axis < x->ndim - 2; axis++)
                from[side] = from[side] * x->shape[axis]
                           + (x->shape[axis] == 1 ? 0 : place[lead - (x->ndim - 2) + axis]);
            from[side] = from[side] * x->shape[x->ndim - 2] + place[lead + side];
        }
        for (int64_t c = 0; c < d; c++) {
            double gap = fabs(a.v[from[0] * d + c] - b.v[from[1] * d + c]);
            v[i] = p == 0 ? v[i] + (gap != 0) : isinf(p) ? fmax(v[i], gap) : v[i] + pow(gap, p);
        }
        if (p > 0 && !isinf(p))
            v[i] = pow(v[i], 1 / p);
    }
}

const Case cases_linalg[] = {
    {"solve", "x[3,3]d x[3]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[3,3]d x[3,2]", "", .reference = ref_system, .only = "i32 f32 f64"},
    {"solve", "x[2,3,3]d x[2,3,1]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[2,1,3,3]d x[4,3,2]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[2,3,3]d x[3]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[1,1]d x[1]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[0,0] x[0,2]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[0,3,3] x[3]", "", .reference = ref_system, .only = FLOATS},
    {"solve", "x[33,33]d x[33,5]", "", .reference = ref_system, .big = true, .loose = 10},
    {"solve", "x[300,3,3]d x[300,3,2]", "", .reference = ref_system, .big = true, .loose = 10},
    {"solve", "x[3,2] x[3]", "", .error = ERROR_shape},
    {"solve", "x[3,3] x[2]", "", .error = ERROR_shape},
    {"solve", "x[2,3,3] x[4,3,2]", "", .error = ERROR_shape},
    {"solve", "x[3] x[3]", "", .error = ERROR_shape},
    {"solve", "x[3,3] x[]", "", .error = ERROR_shape},
    {"solve", "x[2,2]zzzz x[2]", "", .error = ERROR_value},
    {"solve", "x[2,2]n x[2]", "", .error = ERROR_value, .only = FLOATS},
    {"solve", "x[2,2]d x[2]p", "", .error = ERROR_value, .only = FLOATS},
    {"triangular_solve", "x[3,3]d x[3]", "", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[3,3]d x[3,2]", "upper=false", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[3,3]d x[3,2]", "transpose=true", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[3,3](-1,1) x[3,2]", "unit=true", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[2,3,3](-1,1) x[3,2]", "upper=false, transpose=true, unit=true",
     .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[2,3,3]d x[3]", "", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[1,1]d x[1]", "", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[0,0] x[0]", "", .reference = ref_system, .only = FLOATS},
    {"triangular_solve", "x[2,2]zzzz x[2]", "", .error = ERROR_value},
    {"triangular_solve", "x[2,3] x[2]", "", .error = ERROR_shape},
    {"inv", "x[3,3]d", "", .reference = ref_inv, .only = "i64 f32 f64"},
    {"inv", "x[2,2,2]d", "", .reference = ref_inv, .only = FLOATS},
    {"inv", "x[1,1]d", "", .reference = ref_inv, .only = FLOATS},
    {"inv", "x[0,0]", "", .reference = ref_inv, .only = FLOATS},
    {"inv", "x[0,2,2]", "", .reference = ref_inv, .only = FLOATS},
    {"inv", "x[40,40]d", "", .reference = ref_inv, .big = true, .loose = 10},
    {"inv", "x[2,2]zzzz", "", .error = ERROR_value},
    {"inv", "x[2,3]", "", .error = ERROR_shape},
    {"cholesky", "x[3,3]d", "", .reference = ref_cholesky, .only = "u8 f32 f64"},
    {"cholesky", "x[3,3]d", "upper=true", .reference = ref_cholesky, .only = FLOATS},
    {"cholesky", "x[2,2,2]d", "", .reference = ref_cholesky, .only = FLOATS},
    {"cholesky", "x[1,1]d", "", .reference = ref_cholesky, .only = FLOATS},
    {"cholesky", "x[0,0]", "", .reference = ref_cholesky, .only = FLOATS},
    {"cholesky", "x[40,40]d", "", .reference = ref_cholesky, .big = true, .loose = 10},
    {"cholesky", "x[3,3](-2,-1)", "", .error = ERROR_value, .only = FLOATS},
    {"cholesky", "x[3,2]", "", .error = ERROR_shape},
    {"lu", "x[3,3]", "", .reference = ref_lu, .only = "i64 f32 f64", .loose = 10},
    {"lu", "x[2,2,2]d", "", .reference = ref_lu, .only = FLOATS, .loose = 10},
    {"lu", "x[4,2]", "", .reference = ref_lu, .only = FLOATS, .loose = 10, .no_grad = true},    /* none exists here */
    {"lu", "x[2,4]", "", .reference = ref_lu, .only = FLOATS, .loose = 10, .no_grad = true},
    {"lu", "x[1,1]", "", .reference = ref_lu, .only = FLOATS},
    {"lu", "x[0,0]", "", .reference = ref_lu, .only = FLOATS},
    {"lu", "x[2,2]n", "", .error = ERROR_value, .only = FLOATS},
    {"lu", "x[3]", "", .error = ERROR_shape},
    {"det", "x[3,3]", "", .reference = ref_det, .only = FLOATS, .loose = 4},
    {"det", "x[2,2,2]d", "", .reference = ref_det, .only = "i32 f32 f64", .loose = 4},
    {"det", "x[1,1]", "", .reference = ref_det, .only = FLOATS},
    {"det", "x[0,2,2]", "", .reference = ref_det, .only = FLOATS},
    {"det", "x[3,3]zzz", "", .reference = ref_zero, .only = FLOATS, .loose = 10},
    {"det", "x[2,3]", "", .error = ERROR_shape},
    {"det", "x[3]", "", .error = ERROR_shape},
    {"slogdet", "x[3,3]d", "", .reference = ref_det, .only = "i32 f32 f64"},
    {"slogdet", "x[2,2,2]", "", .reference = ref_det, .only = FLOATS, .loose = 10},
    {"slogdet", "x[1,1](-2,-1)", "", .reference = ref_det, .only = FLOATS},
    {"slogdet", "x[0,2,2]", "", .reference = ref_det, .only = FLOATS},
    {"slogdet", "x[3,3]zzz", "", .reference = ref_zero, .only = FLOATS, .no_grad = true},    /* -inf: no slope */
    {"slogdet", "x[2,3]", "", .error = ERROR_shape},
    {"qr", "x[4,3]d", "", .reference = ref_qr, .only = "i32 f32 f64", .loose = 4},
    {"qr", "x[3,3]d", "", .reference = ref_qr, .only = FLOATS, .loose = 4},
    {"qr", "x[2,4]d", "", .reference = ref_qr, .only = FLOATS, .loose = 4},
    {"qr", "x[2,3,2]d", "", .reference = ref_qr, .only = FLOATS, .loose = 4},
    {"qr", "x[2,4]d", "mode=\"complete\"", .reference = ref_qr, .only = FLOATS, .loose = 4},
    {"qr", "x[4,2]", "mode=\"complete\"", .reference = ref_qr, .only = FLOATS, .no_grad = true},    /* none exists */
    {"qr", "x[1,1]d", "", .reference = ref_qr, .only = FLOATS},
    {"qr", "x[0,3]", "", .reference = ref_qr, .only = FLOATS},
    {"qr", "x[0,3,2]", "", .reference = ref_qr, .only = FLOATS},
    {"qr", "x[3]", "", .error = ERROR_shape},
    {"qr", "x[3,2]", "mode=\"full\"", .error = ERROR_value},
    {"svd", "x[3,3]d", "", .reference = ref_svd, .only = "i64 f32 f64", .loose = 20},
    {"svd", "x[4,2]d", "", .reference = ref_svd, .only = FLOATS, .loose = 20},
    {"svd", "x[2,3]d", "", .reference = ref_svd, .only = FLOATS, .loose = 20},
    {"svd", "x[2,3,2]", "", .reference = ref_svd, .only = FLOATS, .loose = 100},
    {"svd", "x[3,2]", "full_matrices=true", .reference = ref_svd, .only = FLOATS, .no_grad = true},    /* none exists */
    {"svd", "x[2,2]", "full_matrices=true", .reference = ref_svd, .only = FLOATS, .loose = 20},
    {"svd", "x[1,1]", "", .reference = ref_svd, .only = FLOATS},
    {"svd", "x[0,2]", "", .reference = ref_svd, .only = FLOATS},
    {"svd", "x[0,2,2]", "", .reference = ref_svd, .only = FLOATS},
    {"svd", "x[3]", "", .error = ERROR_shape},
    {"svd", "x[2,2]n", "", .error = ERROR_value, .only = FLOATS},
    {"eigh", "x[3,3]d", "", .reference = ref_eigh, .only = "i64 f32 f64", .loose = 20},
    {"eigh", "x[2,2,2]", "", .reference = ref_eigh, .only = FLOATS, .loose = 20},
    {"eigh", "x[1,1]", "", .reference = ref_eigh, .only = FLOATS},
    {"eigh", "x[0,0]", "", .reference = ref_eigh, .only = FLOATS},
    {"eigh", "x[3,2]", "", .error = ERROR_shape},
    {"eigh", "x[2,2]n", "", .error = ERROR_value, .only = FLOATS},
    {"eig", "x[3,3]", "", .reference = ref_eig, .only = "i64 f32 f64"},
    {"eig", "x[2,1,1]", "", .reference = ref_eig, .only = FLOATS},
    {"eig", "x[0,0]", "", .reference = ref_eig, .only = FLOATS},
    {"eig", "x[3,2]", "", .error = ERROR_shape},
    {"eig", "x[2,2]p", "", .error = ERROR_value, .only = FLOATS},
    {"pinv", "x[3,2]d", "", .reference = ref_pinv, .only = "i32 f32 f64", .loose = 10},
    {"pinv", "x[2,3]d", "", .reference = ref_pinv, .only = FLOATS, .loose = 10},
    {"pinv", "x[2,3,2]d", "", .reference = ref_pinv, .only = FLOATS, .loose = 10},
    {"pinv", "x[1,1]", "", .reference = ref_pinv, .only = FLOATS},
    {"pinv", "x[0,2]", "", .reference = ref_pinv, .only = FLOATS},
    {"pinv", "x[3,3]d", "rtol=0.7", .reference = ref_pinv, .only = FLOATS, .no_grad = true},    /* the rank is cut */
    {"pinv", "x[3]", "", .error = ERROR_shape},
    {"cdist", "x[3,4] x[2,4]", "", .reference = ref_cdist, .only = "i32 f32 f64"},
    {"cdist", "x[2,3,5] x[4,5]", "p=1", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[3,5] x[2,5]", "p=3", .reference = ref_cdist, .only = FLOATS, .loose = 4},
    {"cdist", "x[3,5] x[2,5]", "p=1.5", .reference = ref_cdist, .only = FLOATS, .loose = 4, .no_second = true},
    {"cdist", "x[3,5] x[2,2,5]", "p=inf", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[3,5] x[2,5]", "p=0", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[1,1] x[1,1]", "", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[0,3] x[2,3]", "", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[2,0] x[3,0]", "", .reference = ref_cdist, .only = FLOATS},
    {"cdist", "x[200,70] x[90,70]", "", .reference = ref_cdist, .big = true, .loose = 10},
    {"cdist", "x[2,3] x[2,4]", "", .error = ERROR_shape},
    {"cdist", "x[3] x[3]", "", .error = ERROR_shape},
    {"cdist", "x[2,3] x[2,3]", "p=-1", .error = ERROR_value},
    {0},
};
