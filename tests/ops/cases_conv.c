/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of convolutions over one to three axes. The reference treats all as three, missing first ones of size 1. */
#include <string.h>

#include "ops_test.h"

typedef struct Conv {
    int64_t stride[3], padding[3], dilation[3], groups;
} Conv;

static void of_axes(const Ref *r, const char *param, int space, int64_t otherwise, int64_t to[3])
{
    int64_t v[TENSOR_MAX_DIMS] = {0};
    int n = ref_ints(r, param, v);
    for (int i = 0; i < 3; i++)
        to[i] = i < 3 - space ? otherwise : v[n == 1 ? 0 : i - (3 - space)];
}

/* [n, c, space...] as [n, c, d, h, w] */
static void five(const Array *a, int64_t to[5])
{
    for (int i = 0; i < 5; i++)
        to[i] = i < 2 ? a->shape[i] : i < 7 - a->ndim ? 1 : a->shape[a->ndim - 5 + i];
}

static Conv conv_params(const Ref *r, int space, const int64_t *kernel)
{
    Conv c = {.groups = ref_int(r, "groups")};
    of_axes(r, "stride", space, 1, c.stride);
    of_axes(r, "dilation", space, 1, c.dilation);
    if (r->test->params && strstr(r->test->params, "same"))
        for (int i = 0; i < 3; i++)
            c.padding[i] = (kernel[i] - 1) * c.dilation[i] / 2;
    else
        of_axes(r, "padding", space, 0, c.padding);
    return c;
}

/* Calls [visit] with the flat indices of every product y += x w: y [n, o, ...], x [n, c, ...], w [o, c/g, ...]. */
typedef void Visit(double *to, int64_t y, int64_t x, int64_t w, const double *a, const double *b);

static void convolve(const Conv *c, const int64_t *ys, const int64_t *xs, const int64_t *ws, Visit *visit, double *to,
                     const double *a, const double *b)
{
    int64_t per = ys[1] / c->groups, pixels = ys[2] * ys[3] * ys[4], taps = ws[2] * ws[3] * ws[4];
    for (int64_t i = 0; i < ys[0] * ys[1] * pixels; i++)
        for (int64_t j = 0; j < ws[1] * taps; j++) {
            int64_t y[3] = {i / (ys[3] * ys[4]) % ys[2], i / ys[4] % ys[3], i % ys[4]}, n = i / pixels / ys[1];
            int64_t k[3] = {j / (ws[3] * ws[4]) % ws[2], j / ws[4] % ws[3], j % ws[4]}, o = i / pixels % ys[1];
            int64_t x = n * xs[1] + o / per * ws[1] + j / taps;
            bool inside = true;
            for (int axis = 0; axis < 3; axis++) {
                int64_t at = y[axis] * c->stride[axis] + k[axis] * c->dilation[axis] - c->padding[axis];
                inside = inside && at >= 0 && at < xs[2 + axis];
                x = x * xs[2 + axis] + at;
            }
            if (inside)
                visit(to, i, x, o * ws[1] * taps + j, a, b);
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

/* [shape] has five axes, of which a result of [space] axes keeps the last ones. */
static double *out_of(Ref *r, int space, const int64_t shape[5])
{
    int64_t kept[5] = {shape[0], shape[1]};
    memcpy(kept + 2, shape + 5 - space, (size_t)space * sizeof *kept);
    return ref_out(r, r->in[0]->dtype, 2 + space, kept);
}

static void add_bias(double *v, const Array *bias, const int64_t *shape)
{
    int64_t pixels = shape[2] * shape[3] * shape[4];
    for (int64_t i = 0; bias && i < shape[0] * shape[1] * pixels; i++)
        v[i] += bias->v[i / pixels % shape[1]];
}

static void ref_conv(Ref *r)
{
    int64_t x[5], w[5], y[5];
    int space = r->in[0]->ndim - 2;
    five(r->in[0], x);
    five(r->in[1], w);
    Conv c = conv_params(r, space, w + 2);
    y[0] = x[0];
    y[1] = w[0];
    bool same = r->test->params && strstr(r->test->params, "same");
    for (int i = 2; i < 5; i++)
        y[i] = same ? x[i] : (x[i] + 2 * c.padding[i - 2] - c.dilation[i - 2] * (w[i] - 1) - 1) / c.stride[i - 2] + 1;
    double *v = out_of(r, space, y);
    convolve(&c, y, x, w, visit_y, v, r->in[0]->v, r->in[1]->v);
    add_bias(v, r->n_in > 2 ? r->in[2] : NULL, y);
}

static void ref_conv_input_grad(Ref *r)
{
    int64_t x[5], w[5], y[5];
    int space = r->in[0]->ndim - 2;
    five(r->in[0], y);
    five(r->in[1], w);
    Conv c = conv_params(r, space, w + 2);
    x[0] = y[0];
    x[1] = w[1] * c.groups;
    of_axes(r, "size", space, 1, x + 2);
    convolve(&c, y, x, w, visit_x, out_of(r, space, x), r->in[0]->v, r->in[1]->v);
}

static void ref_conv_weight_grad(Ref *r)
{
    int64_t x[5], w[5], y[5];
    int space = r->in[0]->ndim - 2;
    five(r->in[0], x);
    five(r->in[1], y);
    of_axes(r, "size", space, 1, w + 2);
    Conv c = conv_params(r, space, w + 2);
    w[0] = y[1];
    w[1] = x[1] / c.groups;
    convolve(&c, y, x, w, visit_w, out_of(r, space, w), r->in[0]->v, r->in[1]->v);
}

/* The weight is [c, o/groups, ...]: a convolution's adjoint, so x stands where dy does. */
static void ref_conv_transpose(Ref *r)
{
    int64_t x[5], w[5], y[5], extra[3];
    int space = r->in[0]->ndim - 2;
    five(r->in[0], x);
    five(r->in[1], w);
    of_axes(r, "output_padding", space, 0, extra);
    Conv c = conv_params(r, space, w + 2);
    y[0] = x[0];
    y[1] = w[1] * c.groups;
    for (int i = 0; i < 3; i++)
        y[2 + i] = (x[2 + i] - 1) * c.stride[i] - 2 * c.padding[i] + c.dilation[i] * (w[2 + i] - 1) + extra[i] + 1;
    double *v = out_of(r, space, y);
    convolve(&c, x, y, w, visit_x, v, r->in[0]->v, r->in[1]->v);
    add_bias(v, r->n_in > 2 ? r->in[2] : NULL, y);
}

#define CONV(op, inputs, params) {op, inputs, params, .reference = ref_conv, .only = FLOATS}
#define CONV_BIG(op, inputs, params) {op, inputs, params, .reference = ref_conv, .big = true, .loose = 30}
#define CONV_TILES(inputs, params) {"conv2d", inputs, params, .reference = ref_conv, .big = true, .loose = 100}
#define INPUT(inputs, params) {"conv_input_grad", inputs, params, .reference = ref_conv_input_grad, .only = FLOATS}
#define WEIGHT(inputs, params) {"conv_weight_grad", inputs, params, .reference = ref_conv_weight_grad, .only = FLOATS}
#define INPUT_BIG(inputs, params)                                                                                      \
    {"conv_input_grad", inputs, params, .reference = ref_conv_input_grad, .big = true, .loose = 60}
#define WEIGHT_BIG(inputs, params)                                                                                     \
    {"conv_weight_grad", inputs, params, .reference = ref_conv_weight_grad, .big = true, .loose = 200}
#define TRANSPOSED(op, inputs, params) {op, inputs, params, .reference = ref_conv_transpose, .only = FLOATS}

const Case cases_conv[] = {
    CONV("conv1d", "x[2,3,7] x[4,3,3] x[4]", ""),
    CONV("conv1d", "x[1,2,9] x[3,2,3] -", "stride=2, padding=2, dilation=2"),
    CONV("conv1d", "x[2,2,6] x[3,2,4] x[3]", "padding=same"),
    CONV("conv1d", "x[2,4,6] x[4,1,3] -", "padding=1, groups=4"),
    CONV("conv1d", "x[1,2,1] x[3,2,1] -", ""),
    CONV("conv1d", "x[0,3,4] x[2,3,3] x[2]", ""),
    {"conv1d", "x[1,3,4,4] x[2,3,3] -", "", .error = ERROR_shape},
    {"conv1d", "x[1,3,8] x[2,3,3] -", "stride=(1,2)", .error = ERROR_value},
    CONV("conv2d", "x[2,3,5,4] x[4,3,3,2] x[4]", ""),
    CONV("conv2d", "x[2,2,5,4] x[3,2,3,3] -", "padding=1"),
    CONV("conv2d", "x[1,2,6,5] x[2,2,2,3] x[2]", "stride=(2,1), padding=(1,2)"),
    CONV("conv2d", "x[1,2,7,6] x[2,2,2,2] -", "dilation=(3,2), stride=2, padding=1"),
    CONV("conv2d", "x[1,2,5,6] x[2,2,2,4] x[2]", "padding=same, dilation=(1,2)"),
    CONV("conv2d", "x[2,4,4,4] x[6,2,2,2] x[6]", "groups=2"),
    CONV("conv2d", "x[1,3,4,4] x[3,1,3,3] -", "groups=3, padding=1"),
    CONV("conv2d", "x[2,2,7,5] x[4,1,3,2] x[4]", "groups=2, padding=(2,1), stride=(2,3), dilation=(1,2)"),
    CONV("conv2d", "x[1,2,4,5] x[2,1,2,2] -", "groups=2, padding=same"),
    CONV("conv2d", "x[2,3,4,4] x[5,3,1,1] x[5]", ""),
    CONV("conv2d", "x[0,3,4,4] x[2,3,3,3] x[2]", ""),
    CONV("conv2d", "x[0,3,4,4] x[3,1,3,3] x[3]", "groups=3"),
    CONV("conv2d", "x[2,0,4,4] x[3,0,2,2] x[3]", ""),
    CONV("conv2d", "x[2,0,4,4] x[3,0,2,2] -", ""),
    {"conv2d", "x[1,3,4,4] x[2,2,3,3] -", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,2,4] x[2,3,3,3] -", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,4,4] x[2,3,3,3] x[3]", "", .error = ERROR_shape},
    {"conv2d", "x[1,3,4,4] x[2,3,3,3] -", "stride=0", .error = ERROR_value},
    {"conv2d", "x[1,3,4,4] x[2,3,3,3] -", "stride=2, padding=same", .error = ERROR_value},
    {"conv2d", "x[3,4,4] x[2,3,3,3] -", "", .error = ERROR_shape},
    CONV_BIG("conv2d", "x[9,5,17,19] x[7,5,3,3] x[7]", "padding=1"),
    CONV_BIG("conv2d", "x[5,8,15,15] x[8,1,3,3] -", "padding=1, groups=8"),
    CONV_BIG("conv2d", "x[3,6,33,70] x[12,1,5,5] x[12]", "padding=2, groups=6, stride=(1,2)"),
    CONV_BIG("conv2d", "x[3,4,33,31] x[6,4,5,5] x[6]", "stride=2, padding=2"),
    /* by Winograd's tiles in f32: whole and cut vectors, panels and tiles; images of one chunk, chunks of one image */
    CONV_TILES("x[8,16,4,4] x[32,16,3,3] x[32]", "padding=1"),
    CONV_TILES("x[3,20,9,10] x[41,20,3,3] x[41]", "padding=1"),
    CONV_TILES("x[2,34,17,16] x[32,17,3,3] -", "groups=2"),
    CONV_TILES("x[5,8,6,11] x[9,8,3,3] -", "padding=2"),
    CONV_TILES("x[1,16,70,61] x[16,16,3,3] x[16]", "padding=(1,2)"),
    CONV("conv3d", "x[2,3,3,4,2] x[2,3,2,3,2] x[2]", ""),
    CONV("conv3d", "x[1,2,4,3,5] x[2,2,2,2,3] -", "stride=(2,1,2), padding=(1,0,1), dilation=(2,1,1)"),
    CONV("conv3d", "x[1,2,3,4,3] x[2,2,2,3,2] x[2]", "padding=same"),
    CONV("conv3d", "x[1,4,2,3,3] x[4,2,2,2,2] -", "groups=2"),
    CONV("conv3d", "x[1,3,3,3,4] x[3,1,2,3,3] x[3]", "groups=3, padding=1"),
    CONV("conv3d", "x[2,3,1,1,1] x[4,3,1,1,1] -", ""),
    CONV("conv3d", "x[0,3,2,4,4] x[2,3,2,3,3] x[2]", ""),
    {"conv3d", "x[1,3,4,4] x[2,3,3,3] -", "", .error = ERROR_shape},
    CONV_BIG("conv3d", "x[3,16,9,11,13] x[8,16,3,3,3] x[8]", "padding=1, stride=(1,2,1)"),
    CONV_BIG("conv3d", "x[2,2,17,18,19] x[3,2,3,3,3] x[3]", "padding=1"),
    INPUT("x[2,4,3,3] x[4,3,3,2]", "size=(5,4)"),
    INPUT("x[1,2,3,4] x[2,2,2,2]", "size=(6,4), stride=(2,1), padding=(0,1), dilation=(1,2)"),
    INPUT("x[1,4,2,2] x[4,1,2,2]", "size=3, groups=2"),
    INPUT("x[2,3,3,2] x[3,1,3,3]", "size=(6,4), groups=3, stride=(2,3), padding=1"),
    INPUT("x[1,2,5] x[2,3,2]", "size=5, padding=same"),
    INPUT("x[1,2,2,3,2] x[2,3,2,1,2]", "size=(3,3,3)"),
    INPUT("x[0,4,2,2] x[4,3,2,2]", "size=3"),
    {"conv_input_grad", "x[2,4] x[4,3]", "size=1", .error = ERROR_shape},
    {"conv_input_grad", "x[2,4,3] x[4,3,3]", "size=4", .error = ERROR_shape},
    INPUT_BIG("x[5,32,13,13] x[32,16,3,3]", "size=13, padding=1"),
    {"conv_input_grad", "x[5,8,14,33] x[8,1,3,3]", "size=(28,66), padding=1, groups=8, stride=2",
     .reference = ref_conv_input_grad, .big = true, .loose = 20},
    INPUT_BIG("x[3,8,5,6,7] x[8,16,3,3,3]", "size=(5,6,7), padding=1"),
    INPUT_BIG("x[8,32,4,4] x[32,16,3,3]", "size=4, padding=1"),
    INPUT_BIG("x[3,41,9,10] x[41,20,3,3]", "size=(9,10), padding=1"),
    INPUT_BIG("x[2,32,15,14] x[32,17,3,3]", "size=(17,16), groups=2"),
    INPUT_BIG("x[1,16,70,63] x[16,16,3,3]", "size=(70,61), padding=(1,2)"),
    WEIGHT("x[2,3,5,4] x[2,4,3,3]", "size=(3,2)"),
    WEIGHT("x[1,2,6,4] x[1,2,3,4]", "size=2, stride=(2,1), padding=(0,1), dilation=(1,2)"),
    WEIGHT("x[1,2,3,3] x[1,4,2,2]", "size=2, groups=2"),
    WEIGHT("x[2,3,6,4] x[2,6,3,2]", "size=3, groups=3, stride=(2,3), padding=1"),
    WEIGHT("x[2,3,5] x[2,2,5]", "size=4, padding=same"),
    WEIGHT("x[1,2,3,3,3] x[1,2,2,3,2]", "size=(2,1,2)"),
    WEIGHT("x[0,2,3,3] x[0,4,2,2]", "size=2"),
    {"conv_weight_grad", "x[2,4] x[2,4]", "size=1", .error = ERROR_shape},
    WEIGHT_BIG("x[3,8,28,30] x[3,8,14,15]", "size=3, padding=1, groups=8, stride=2"),
    WEIGHT_BIG("x[3,16,5,6,7] x[3,8,5,6,7]", "size=3, padding=1"),
    WEIGHT_BIG("x[8,16,4,4] x[8,32,4,4]", "size=3, padding=1"),
    WEIGHT_BIG("x[3,20,9,10] x[3,41,9,10]", "size=3, padding=1"),
    WEIGHT_BIG("x[2,34,17,16] x[2,32,15,14]", "size=3, groups=2"),
    WEIGHT_BIG("x[3,90,8,8] x[3,16,8,8]", "size=3, padding=1"),
    WEIGHT_BIG("x[1,16,70,61] x[1,16,70,63]", "size=3, padding=(1,2)"),
    TRANSPOSED("conv_transpose1d", "x[2,3,4] x[3,2,3] x[2]", "stride=2, padding=1, output_padding=1"),
    TRANSPOSED("conv_transpose1d", "x[1,4,3] x[4,1,2] -", "groups=2, dilation=2"),
    TRANSPOSED("conv_transpose1d", "x[0,3,4] x[3,2,3] x[2]", ""),
    {"conv_transpose1d", "x[1,3,4] x[2,2,3] -", "", .error = ERROR_shape},
    TRANSPOSED("conv_transpose2d", "x[2,3,3,4] x[3,2,2,3] x[2]", ""),
    TRANSPOSED("conv_transpose2d", "x[1,2,3,3] x[2,2,3,3] -", "stride=2, padding=1, output_padding=1"),
    TRANSPOSED("conv_transpose2d", "x[1,4,2,3] x[4,1,2,2] x[2]", "groups=2, dilation=2"),
    TRANSPOSED("conv_transpose2d", "x[0,2,3,3] x[2,2,3,3] -", ""),
    {"conv_transpose2d", "x[1,2,3,3] x[2,2,3,3] -", "output_padding=1", .error = ERROR_value},
    TRANSPOSED("conv_transpose3d", "x[1,3,2,1,2] x[3,2,2,3,2] x[2]", "stride=(2,1,2), output_padding=(1,0,0)"),
    TRANSPOSED("conv_transpose3d", "x[1,2,2,2,1] x[2,1,2,2,2] -", "groups=2, padding=(1,0,0)"),
    TRANSPOSED("conv_transpose3d", "x[0,2,2,3,3] x[2,2,2,3,3] -", ""),
    {"conv_transpose3d", "x[1,2,3,3] x[2,2,3,3] -", "", .error = ERROR_shape},
    {0},
};
