/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of pooling and resampling of images [n, c, h, w]. */
#include <math.h>

#include "ops_test.h"

typedef struct Windows {
    int64_t size[2], stride[2], padding[2], out[2];
} Windows;

static int64_t of_axis(const Ref *r, const char *param, int axis)
{
    int64_t v[TENSOR_MAX_DIMS];
    return v[ref_ints(r, param, v) == 1 ? 0 : axis];
}

static Windows windows_of(const Ref *r, int64_t height, int64_t width)
{
    Windows w;
    for (int i = 0; i < 2; i++) {
        w.size[i] = of_axis(r, "size", i);
        w.stride[i] = ref_none(r, "stride") ? w.size[i] : of_axis(r, "stride", i);
        w.padding[i] = of_axis(r, "padding", i);
        w.out[i] = ((i ? width : height) + 2 * w.padding[i] - w.size[i]) / w.stride[i] + 1;
    }
    return w;
}

/* For window [at] of an image [height, width]: calls visit with each element's index, or -1 where there is padding. */
typedef void Visit(void *to, int64_t element);

static void each_element(const Windows *w, int64_t at, int64_t height, int64_t width, Visit *visit, void *to)
{
    int64_t top = at / w->out[1] * w->stride[0] - w->padding[0], left = at % w->out[1] * w->stride[1] - w->padding[1];
    for (int64_t i = 0; i < w->size[0]; i++)
        for (int64_t j = 0; j < w->size[1]; j++) {
            bool inside = top + i >= 0 && top + i < height && left + j >= 0 && left + j < width;
            visit(to, inside ? (top + i) * width + left + j : -1);
        }
}

typedef struct Largest {
    const double *image;
    int64_t at;
} Largest;

static void visit_largest(void *to, int64_t element)
{
    Largest *l = to;
    if (element >= 0 && (l->at < 0 || l->image[element] > l->image[l->at]))
        l->at = element;
}

static void max_pool(Ref *r, bool index)
{
    const Array *x = r->in[0];
    Windows w = windows_of(r, x->shape[2], x->shape[3]);
    int64_t shape[4] = {x->shape[0], x->shape[1], w.out[0], w.out[1]}, per = w.out[0] * w.out[1];
    double *v = ref_out(r, index ? DTYPE_i32 : x->dtype, 4, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        Largest l = {x->v + i / per * x->shape[2] * x->shape[3], -1};
        each_element(&w, i % per, x->shape[2], x->shape[3], visit_largest, &l);
        v[i] = index ? (double)l.at : l.image[l.at];
    }
}

static void ref_max_pool2d(Ref *r) { max_pool(r, false); }
static void ref_max_pool2d_index(Ref *r) { max_pool(r, true); }

typedef struct Spread {
    const double *from;
    double *to, sum, share;
} Spread;

static void visit_sum(void *to, int64_t element)
{
    Spread *s = to;
    s->sum += element < 0 ? 0 : s->from[element];
}

static void visit_share(void *to, int64_t element)
{
    Spread *s = to;
    if (element >= 0)
        s->to[element] += s->share;
}

static void ref_avg_pool2d(Ref *r)
{
    const Array *x = r->in[0];
    Windows w = windows_of(r, x->shape[2], x->shape[3]);
    int64_t shape[4] = {x->shape[0], x->shape[1], w.out[0], w.out[1]}, per = w.out[0] * w.out[1];
    double *v = ref_out(r, ref_floating(x->dtype), 4, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        Spread s = {.from = x->v + i / per * x->shape[2] * x->shape[3]};
        each_element(&w, i % per, x->shape[2], x->shape[3], visit_sum, &s);
        v[i] = s.sum / (double)(w.size[0] * w.size[1]);
    }
}

static void ref_avg_pool2d_input_grad(Ref *r)
{
    const Array *dy = r->in[0];
    int64_t height = ref_int(r, "height"), width = ref_int(r, "width");
    Windows w = windows_of(r, height, width);
    int64_t shape[4] = {dy->shape[0], dy->shape[1], height, width}, per = w.out[0] * w.out[1];
    double *v = ref_out(r, dy->dtype, 4, shape);
    for (int64_t i = 0; i < dy->size; i++) {
        Spread s = {.to = v + i / per * height * width, .share = dy->v[i] / (double)(w.size[0] * w.size[1])};
        each_element(&w, i % per, height, width, visit_share, &s);
    }
}

/* Window i of n over size elements: from floor(i size / n) to below ceil((i + 1) size / n). */
static void ref_adaptive_avg_pool2d(Ref *r)
{
    const Array *x = r->in[0];
    int64_t h = x->shape[2], w = x->shape[3];
    int64_t shape[4] = {x->shape[0], x->shape[1], of_axis(r, "size", 0), of_axis(r, "size", 1)};
    double *v = ref_out(r, ref_floating(x->dtype), 4, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        int64_t place[TENSOR_MAX_DIMS];
        ref_place(&r->out[0], i, place);
        int64_t top = place[2] * h / shape[2], bottom = ((place[2] + 1) * h + shape[2] - 1) / shape[2];
        int64_t left = place[3] * w / shape[3], right = ((place[3] + 1) * w + shape[3] - 1) / shape[3];
        for (int64_t a = top; a < bottom; a++)
            for (int64_t b = left; b < right; b++)
                v[i] += x->v[((place[0] * shape[1] + place[1]) * h + a) * w + b];
        v[i] /= (double)((bottom - top) * (right - left));
    }
}

/* The pixel of an image, zero or the nearest one beyond its edge. */
static double pixel(const Array *x, int64_t n, int64_t c, int64_t i, int64_t j, bool border)
{
    int64_t h = x->shape[2], w = x->shape[3];
    if (border) {
        i = i < 0 ? 0 : i >= h ? h - 1 : i;
        j = j < 0 ? 0 : j >= w ? w - 1 : j;
    }
    return i < 0 || i >= h || j < 0 || j >= w ? 0 : x->v[((n * x->shape[1] + c) * h + i) * w + j];
}

static void ref_affine_sample(Ref *r)
{
    const Array *x = r->in[0], *theta = r->in[1];
    bool border = ref_str(r, "padding")[0] == 'b';
    int64_t shape[4] = {x->shape[0], x->shape[1], ref_none(r, "height") ? x->shape[2] : ref_int(r, "height"),
                        ref_none(r, "width") ? x->shape[3] : ref_int(r, "width")};
    double *v = ref_out(r, DTYPE_f32, 4, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        int64_t p[TENSOR_MAX_DIMS];
        ref_place(&r->out[0], i, p);
        const double *m = theta->v + p[0] * 6;
        double a = (2 * (double)p[3] + 1) / (double)shape[3] - 1, b = (2 * (double)p[2] + 1) / (double)shape[2] - 1;
        double across = ((m[0] * a + m[1] * b + m[2] + 1) * (double)x->shape[3] - 1) / 2;
        double down = ((m[3] * a + m[4] * b + m[5] + 1) * (double)x->shape[2] - 1) / 2;
        double fx = across - floor(across), fy = down - floor(down);
        int64_t j = (int64_t)floor(across), k = (int64_t)floor(down);
        v[i] = (1 - fy) * (1 - fx) * pixel(x, p[0], p[1], k, j, border)
             + (1 - fy) * fx * pixel(x, p[0], p[1], k, j + 1, border)
             + fy * (1 - fx) * pixel(x, p[0], p[1], k + 1, j, border)
             + fy * fx * pixel(x, p[0], p[1], k + 1, j + 1, border);
    }
}

const Case cases_pool[] = {
    {"max_pool2d", "x[2,3,4,6]", "size=2", .reference = ref_max_pool2d, .only = FLOATS},
    {"max_pool2d", "x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1", .reference = ref_max_pool2d, .only = FLOATS},
    {"max_pool2d", "x[1,1,5,5](-3,-1)", "size=3, stride=2, padding=1", .reference = ref_max_pool2d, .only = FLOATS},
    {"max_pool2d", "x[0,1,4,4]", "size=2", .reference = ref_max_pool2d, .only = FLOATS},
    {"max_pool2d", "x[1,1,2,4]", "size=3", .error = ERROR_shape},
    {"max_pool2d", "x[1,2,4]", "size=2", .error = ERROR_shape},
    {"max_pool2d", "x[1,1,4,4]", "size=2, stride=0", .error = ERROR_value},
    {"max_pool2d", "x[9,13,28,28]", "size=2", .reference = ref_max_pool2d, .big = true},
    {"max_pool2d_index", "x[2,3,4,6]", "size=2", .reference = ref_max_pool2d_index, .only = FLOATS},
    {"max_pool2d_index", "x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1", .reference = ref_max_pool2d_index,
     .only = FLOATS},
    {"max_pool2d_index", "x[0,1,4,4]", "size=2", .reference = ref_max_pool2d_index, .only = FLOATS},
    {"avg_pool2d", "x[2,3,4,6]", "size=2", .reference = ref_avg_pool2d, .only = FLOATS},
    {"avg_pool2d", "x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1", .reference = ref_avg_pool2d, .only = FLOATS},
    {"avg_pool2d", "x[0,1,4,4]", "size=2", .reference = ref_avg_pool2d, .only = FLOATS},
    {"avg_pool2d", "x[1,1,2,4]", "size=3", .error = ERROR_shape},
    {"avg_pool2d", "x[9,13,28,28]", "size=2", .reference = ref_avg_pool2d, .big = true},
    {"avg_pool2d_input_grad", "x[2,3,2,3]", "height=4, width=6, size=2", .reference = ref_avg_pool2d_input_grad,
     .only = FLOATS},
    {"avg_pool2d_input_grad", "x[1,2,5,4]", "height=5, width=6, size=(3,2), stride=(1,2), padding=1",
     .reference = ref_avg_pool2d_input_grad, .only = FLOATS},
    {"avg_pool2d_input_grad", "x[0,1,2,2]", "height=4, width=4, size=2", .reference = ref_avg_pool2d_input_grad,
     .only = FLOATS},
    {"adaptive_avg_pool2d", "x[2,3,4,6]", "size=2", .reference = ref_adaptive_avg_pool2d, .only = FLOATS},
    {"adaptive_avg_pool2d", "x[1,2,7,5]", "size=(3,4)", .reference = ref_adaptive_avg_pool2d, .only = FLOATS},
    {"adaptive_avg_pool2d", "x[1,2,3,3]", "size=1", .reference = ref_adaptive_avg_pool2d, .only = FLOATS},
    {"adaptive_avg_pool2d", "x[0,1,4,4]", "size=2", .reference = ref_adaptive_avg_pool2d, .only = FLOATS},
    {"affine_sample", "x[2,3,5,4] x[2,2,3]", "", .reference = ref_affine_sample, .only = "f32", .loose = 10},
    {"affine_sample", "x[1,2,5,4] x[1,2,3]", "height=3, width=7, padding=border", .reference = ref_affine_sample,
     .only = "f32", .loose = 10},
    {"affine_sample", "x[0,1,4,4] x[0,2,3]", "", .reference = ref_affine_sample, .only = "f32"},
    {"affine_sample", "x[1,1,4,4] x[2,2,3]", "", .error = ERROR_shape},
    {"affine_sample", "x[1,1,4,4] x[1,2,3]", "padding=reflect", .error = ERROR_value, .only = FLOATS},
    {"affine_sample", "x[9,3,28,28] x[9,2,3]", "", .reference = ref_affine_sample, .big = true, .loose = 100},
    {0},
};
