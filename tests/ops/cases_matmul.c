/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of matrix products, convolutions, pooling and patterns. */
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

/* ---- convolutions: seven loops ---- */

static int64_t of_axis(const Ref *r, const char *param, int axis)
{
    int64_t v[TENSOR_MAX_DIMS];
    return v[ref_ints(r, param, v) == 1 ? 0 : axis];
}

typedef struct Conv {
    int64_t stride[2], padding[2], dilation[2], groups;
} Conv;

static Conv conv_params(const Ref *r)
{
    Conv c = {.groups = ref_int(r, "groups")};
    for (int i = 0; i < 2; i++) {
        c.stride[i] = of_axis(r, "stride", i);
        c.padding[i] = of_axis(r, "padding", i);
        c.dilation[i] = of_axis(r, "dilation", i);
    }
    return c;
}

/* Calls [visit] with the flat indices of every product y += x w:
   y [n, o, yh, yw], x [n, c, h, w], w [o, c/g, kh, kw]. */
typedef void Visit(double *to, int64_t y, int64_t x, int64_t w, const double *a, const double *b);

static void convolve(const Conv *c, const int64_t *ys, const int64_t *xs, const int64_t *ws, Visit *visit, double *to,
                     const double *a, const double *b)
{
    int64_t per = ys[1] / c->groups;
    for (int64_t i = 0; i < ys[0] * ys[1] * ys[2] * ys[3]; i++)
        for (int64_t j = 0; j < ws[1] * ws[2] * ws[3]; j++) {
            int64_t yw = i % ys[3], yh = i / ys[3] % ys[2], n = i / ys[3] / ys[2] / ys[1];
            int64_t o = i / ys[3] / ys[2] % ys[1];
            int64_t kw = j % ws[3], kh = j / ws[3] % ws[2], ch = j / ws[3] / ws[2];
            int64_t h = yh * c->stride[0] + kh * c->dilation[0] - c->padding[0];
            int64_t w = yw * c->stride[1] + kw * c->dilation[1] - c->padding[1];
            if (h < 0 || h >= xs[2] || w < 0 || w >= xs[3])
                continue;
            int64_t x = ((n * xs[1] + o / per * ws[1] + ch) * xs[2] + h) * xs[3] + w;
            visit(to, i, x, o * ws[1] * ws[2] * ws[3] + j, a, b);
        }
}

static void visit_y(double *to, int64_t y, int64_t x, int64_t w, const double *a, const double *b)
{
    to[y] += a[x] * b[w];
}

static void visit_x(double *to, int64_t y, int64_t x, int64_t w, const double *a, const double *b)
{
    to[x] += a[y] * b[w];
}

static void visit_w(double *to, int64_t y, int64_t x, int64_t w, const double *a, const double *b)
{
    to[w] += a[x] * b[y];
}

static void add_bias(double *v, const Array *bias, const int64_t *shape)
{
    for (int64_t i = 0; bias && i < shape[0] * shape[1] * shape[2] * shape[3]; i++)
        v[i] += bias->v[i / (shape[2] * shape[3]) % shape[1]];
}

static void ref_conv2d(Ref *r)
{
    const Array *x = r->in[0], *w = r->in[1];
    Conv c = conv_params(r);
    int64_t shape[4] = {x->shape[0], w->shape[0]};
    for (int i = 0; i < 2; i++)
        shape[2 + i] = (x->shape[2 + i] + 2 * c.padding[i] - c.dilation[i] * (w->shape[2 + i] - 1) - 1) / c.stride[i]
                     + 1;
    double *v = ref_out(r, r->in[0]->dtype, 4, shape);
    convolve(&c, shape, x->shape, w->shape, visit_y, v, x->v, w->v);
    add_bias(v, r->n_in > 2 ? r->in[2] : NULL, shape);
}

static void ref_conv2d_input_grad(Ref *r)
{
    const Array *dy = r->in[0], *w = r->in[1];
    Conv c = conv_params(r);
    int64_t shape[4] = {dy->shape[0], w->shape[1] * c.groups, ref_int(r, "height"), ref_int(r, "width")};
    double *v = ref_out(r, dy->dtype, 4, shape);
    convolve(&c, dy->shape, shape, w->shape, visit_x, v, dy->v, w->v);
}

static void ref_conv2d_weight_grad(Ref *r)
{
    const Array *x = r->in[0], *dy = r->in[1];
    Conv c = conv_params(r);
    int64_t shape[4] = {dy->shape[1], x->shape[1] / c.groups, ref_int(r, "height"), ref_int(r, "width")};
    double *v = ref_out(r, x->dtype, 4, shape);
    convolve(&c, dy->shape, x->shape, shape, visit_w, v, x->v, dy->v);
}

/* The weight is [c, o/groups, kh, kw]: conv2d's adjoint, so x stands where dy does. */
static void ref_conv_transpose2d(Ref *r)
{
    const Array *x = r->in[0], *w = r->in[1];
    Conv c = conv_params(r);
    int64_t shape[4] = {x->shape[0], w->shape[1] * c.groups};
    for (int i = 0; i < 2; i++)
        shape[2 + i] = (x->shape[2 + i] - 1) * c.stride[i] - 2 * c.padding[i] + c.dilation[i] * (w->shape[2 + i] - 1)
                     + of_axis(r, "output_padding", i) + 1;
    double *v = ref_out(r, x->dtype, 4, shape);
    convolve(&c, x->shape, shape, w->shape, visit_x, v, x->v, w->v);
    add_bias(v, r->n_in > 2 ? r->in[2] : NULL, shape);
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
    {"conv2d", "x[2,3,5,4] x[4,3,3,2] x[4]", "", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[2,2,5,4] x[3,2,3,3] -", "padding=1", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[1,2,6,5] x[2,2,2,3] x[2]", "stride=(2,1), padding=(1,2)", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[1,2,7,6] x[2,2,2,2] -", "dilation=(3,2), stride=2, padding=1",
     .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[2,4,4,4] x[6,2,2,2] x[6]", "groups=2", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[1,3,4,4] x[3,1,3,3] -", "groups=3, padding=1", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[2,3,4,4] x[5,3,1,1] x[5]", "", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[0,3,4,4] x[2,3,3,3] x[2]", "", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[2,0,4,4] x[3,0,2,2] x[3]", "", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[2,0,4,4] x[3,0,2,2] -", "", .reference = ref_conv2d, .only = FLOATS},
    {"conv2d", "x[1,3,4,4] x[2,2,3,3] -", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,2,4] x[2,3,3,3] -", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,4,4] x[2,3,3,3] x[3]", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,4,4] x[2,3,3,3] -", "stride=0", .error = ERROR_value},
    {"conv2d", "x[3,4,4] x[2,3,3,3] -", "", .error = ERROR_shape},
    {"conv2d", "x[9,5,17,19] x[7,5,3,3] x[7]", "padding=1", .reference = ref_conv2d, .big = true, .loose = 20},
    {"conv2d", "x[5,8,15,15] x[8,1,3,3] -", "padding=1, groups=8", .reference = ref_conv2d, .big = true, .loose = 20},
    {"conv2d", "x[3,4,33,31] x[6,4,5,5] x[6]", "stride=2, padding=2",
     .reference = ref_conv2d, .big = true, .loose = 20},
    {"conv2d_input_grad", "x[2,4,3,3] x[4,3,3,2]", "height=5, width=4",
     .reference = ref_conv2d_input_grad, .only = FLOATS},
    {"conv2d_input_grad", "x[1,2,3,4] x[2,2,2,2]", "height=6, width=4, stride=(2,1), padding=(0,1), dilation=(1,2)",
     .reference = ref_conv2d_input_grad, .only = FLOATS},
    {"conv2d_input_grad", "x[1,4,2,2] x[4,1,2,2]", "height=3, width=3, groups=2", .reference = ref_conv2d_input_grad,
     .only = FLOATS},
    {"conv2d_input_grad", "x[0,4,2,2] x[4,3,2,2]", "height=3, width=3", .reference = ref_conv2d_input_grad,
     .only = FLOATS},
    {"conv2d_weight_grad", "x[2,3,5,4] x[2,4,3,3]", "height=3, width=2", .reference = ref_conv2d_weight_grad,
     .only = FLOATS},
    {"conv2d_weight_grad", "x[1,2,6,4] x[1,2,3,4]", "height=2, width=2, stride=(2,1), padding=(0,1), dilation=(1,2)",
     .reference = ref_conv2d_weight_grad, .only = FLOATS},
    {"conv2d_weight_grad", "x[1,2,3,3] x[1,4,2,2]", "height=2, width=2, groups=2", .reference = ref_conv2d_weight_grad,
     .only = FLOATS},
    {"conv2d_weight_grad", "x[0,2,3,3] x[0,4,2,2]", "height=2, width=2", .reference = ref_conv2d_weight_grad,
     .only = FLOATS},
    {"conv_transpose2d", "x[2,3,3,4] x[3,2,2,3] x[2]", "", .reference = ref_conv_transpose2d, .only = FLOATS},
    {"conv_transpose2d", "x[1,2,3,3] x[2,2,3,3] -", "stride=2, padding=1, output_padding=1",
     .reference = ref_conv_transpose2d, .only = FLOATS},
    {"conv_transpose2d", "x[1,4,2,3] x[4,1,2,2] x[2]", "groups=2, dilation=2", .reference = ref_conv_transpose2d,
     .only = FLOATS},
    {"conv_transpose2d", "x[0,2,3,3] x[2,2,3,3] -", "", .reference = ref_conv_transpose2d, .only = FLOATS},
    {0},
};
