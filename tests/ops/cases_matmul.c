/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of matrix products. */
#include <math.h>

#include "ops_test.h"

static Dtype widest(const Ref *r)
{
    Dtype d = r->in[0]->dtype;
    for (int i = 1; i < r->n_in; i++)
        d = r->in[i] && r->in[i]->dtype > d ? r->in[i]->dtype : d;
    return ref_arithmetic(d);
}

/* [n, k] by [k, m] over broadcast leading axes; a vector is a row on the left, a column on the right. */
static void ref_matmul(Ref *r)
{
    Array a = *r->in[0], b = *r->in[1];
    bool row = a.ndim == 1, column = b.ndim == 1;
    if (row) {
        a.ndim = 2;
        a.shape[1] = a.shape[0];
        a.shape[0] = 1;
    }
    if (column) {
        b.ndim = 2;
        b.shape[1] = 1;
    }
    int64_t n = a.shape[a.ndim - 2], k = a.shape[a.ndim - 1], m = b.shape[b.ndim - 1], shape[TENSOR_MAX_DIMS] = {0};
    int lead = (a.ndim > b.ndim ? a.ndim : b.ndim) - 2, ndim = lead;
    Array batch = {.ndim = lead, .size = 1};
    for (int i = 0; i < lead; i++) {
        int x = i - (lead - (a.ndim - 2)), y = i - (lead - (b.ndim - 2));
        int64_t left = x < 0 ? 1 : a.shape[x], right = y < 0 ? 1 : b.shape[y];
        batch.shape[i] = shape[i] = left == 1 ? right : left;
        batch.size *= shape[i];
    }
    if (!row)
        shape[ndim++] = n;
    if (!column)
        shape[ndim++] = m;
    double *v = ref_out(r, widest(r), ndim, shape);
    for (int64_t p = 0; p < batch.size; p++) {
        int64_t place[TENSOR_MAX_DIMS], ia = 0, ib = 0;
        ref_place(&batch, p, place);
        for (int i = 0; i < a.ndim - 2; i++)
            ia = ia * a.shape[i] + (a.shape[i] == 1 ? 0 : place[lead - (a.ndim - 2) + i]);
        for (int i = 0; i < b.ndim - 2; i++)
            ib = ib * b.shape[i] + (b.shape[i] == 1 ? 0 : place[lead - (b.ndim - 2) + i]);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < m; j++)
                for (int64_t q = 0; q < k; q++)
                    v[(p * n + i) * m + j] += a.v[(ia * n + i) * k + q] * b.v[(ib * k + q) * m + j];
    }
}

static void ref_linear(Ref *r)
{
    const Array *x = r->in[0], *w = r->in[1], *bias = r->n_in > 2 ? r->in[2] : NULL;
    int64_t shape[TENSOR_MAX_DIMS], k = w->shape[1], m = w->shape[0], rows = 1;
    for (int i = 0; i < x->ndim - 1; i++)
        rows *= shape[i] = x->shape[i];
    shape[x->ndim - 1] = m;
    double *v = ref_out(r, widest(r), x->ndim, shape);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < m; j++) {
            v[i * m + j] = bias ? bias->v[j] : 0;
            for (int64_t q = 0; q < k; q++)
                v[i * m + j] += x->v[i * k + q] * w->v[j * k + q];
        }
}

const Case cases_matmul[] = {
    {"matmul", "x[3,4] x[4,2]", "", .reference = ref_matmul},
    {"matmul", "x[4] x[4]", "", .reference = ref_matmul},
    {"matmul", "x[4] x[4,2]", "", .reference = ref_matmul},
    {"matmul", "x[3,4] x[4]", "", .reference = ref_matmul},
    {"matmul", "x[2,3,4] x[4,2]", "", .reference = ref_matmul},
    {"matmul", "x[3,4] x[2,4,2]", "", .reference = ref_matmul},
    {"matmul", "x[2,1,3,4] x[5,4,2]", "", .reference = ref_matmul},
    {"matmul", "x[2,3,4] x[4]", "", .reference = ref_matmul},
    {"matmul", "x[4] x[2,4,3]", "", .reference = ref_matmul},
    {"matmul", "x[1,1] x[1,1]", "", .reference = ref_matmul},
    {"matmul", "x[0,4] x[4,2]", "", .reference = ref_matmul},
    {"matmul", "x[3,0] x[0,2]", "", .reference = ref_matmul},
    {"matmul", "x[0,3,4] x[1,4,2]", "", .reference = ref_matmul},
    {"matmul", "x[3,4] x[3,2]", "", .error = ERROR_shape},
    {"matmul", "x[] x[3]", "", .error = ERROR_shape},
    {"matmul", "x[2,3,4] x[3,4,2]", "", .error = ERROR_shape},
    {"matmul", "x[70,130] x[130,257]", "", .reference = ref_matmul, .big = true, .loose = 20},
    {"matmul", "x[9,33,17] x[9,17,40]", "", .reference = ref_matmul, .big = true, .loose = 10},
    {"matmul", "x[1,300] x[300,257]", "", .reference = ref_matmul, .big = true, .loose = 40},
    {"matmul", "x[300,1] x[1,257]", "", .reference = ref_matmul, .big = true, .loose = 10},
    {"matmul", "x[60,2400] x[2400,60]", "", .reference = ref_matmul, .big = true, .loose = 100},     /* cut along k */
    {"matmul", "x[600,700] x[700,11]", "", .reference = ref_matmul, .big = true, .loose = 60},       /* and m, of f64 */
    {"matmul", "x[9,700] x[700,800]", "", .reference = ref_matmul, .big = true, .loose = 60},        /* and n */
    {"linear", "x[3,4] x[2,4] x[2]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[3,4] x[2,4] -", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[4] x[2,4] x[2]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[2,3,4] x[5,4] x[5]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[1,1] x[1,1] x[1]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[0,4] x[2,4] x[2]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[3,0] x[2,0] x[2]", "", .reference = ref_linear, .only = FLOATS},
    {"linear", "x[3,4] x[2,3] -", "", .error = ERROR_shape},
    {"linear", "x[3,4] x[2,4] x[3]", "", .error = ERROR_shape},
    {"linear", "x[128,200] x[65,200] x[65]", "", .reference = ref_linear, .big = true, .loose = 20},
    {"linear", "x[50,2500] x[70,2500] x[70]", "", .reference = ref_linear, .big = true, .loose = 100},
    {0},
};
