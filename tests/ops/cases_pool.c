/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of pooling of images [n, c, ...]. The references treat all as having three axes of space. */
#include <string.h>

#include "ops_test.h"

typedef struct Windows {
    int64_t size[3], stride[3], padding[3], dilation[3], in[3], out[3];
    bool adaptive, counts_padding;
} Windows;

static void of_axes(const Ref *r, const char *param, int space, int64_t otherwise, int64_t to[3])
{
    int64_t v[TENSOR_MAX_DIMS] = {0};
    int n = ref_ints(r, param, v);
    for (int i = 0; i < 3; i++)
        to[i] = i < 3 - space ? otherwise : v[n == 1 ? 0 : i - (3 - space)];
}

/* Of w->in. */
static void windows_fill(const Ref *r, int space, bool dilated, Windows *w)
{
    of_axes(r, "size", space, 1, w->size);
    of_axes(r, ref_none(r, "stride") ? "size" : "stride", space, 1, w->stride);
    of_axes(r, "padding", space, 0, w->padding);
    for (int i = 0; i < 3; i++)
        w->dilation[i] = 1;
    if (dilated)
        of_axes(r, "dilation", space, 1, w->dilation);
    for (int i = 0; i < 3; i++) {
        int64_t reach = w->dilation[i] * (w->size[i] - 1) + 1;
        w->out[i] = 0;
        /* a window starts inside the image or the padding before it, and ends inside unless it may overhang */
        for (int64_t at = -w->padding[i]; at < w->in[i]; at += w->stride[i])
            w->out[i] += ref_bool(r, "ceil_mode") ? w->out[i] == 0 || at - w->stride[i] + reach < w->in[i] + w->padding[i]
                                                  : at + reach <= w->in[i] + w->padding[i];
    }
}

static void space_of(const Array *x, int64_t to[3])
{
    for (int i = 0; i < 3; i++)
        to[i] = i < 5 - x->ndim ? 1 : x->shape[x->ndim - 3 + i];
}

static double *out_of(Ref *r, Dtype dtype, const Array *x, const int64_t axes[3])
{
    int64_t shape[5] = {x->shape[0], x->shape[1]};
    memcpy(shape + 2, axes + 5 - x->ndim, (size_t)(x->ndim - 2) * sizeof *shape);
    return ref_out(r, dtype, x->ndim, shape);
}

/* For window [at]: calls visit with each element's index in the image, or -1 where there is padding. */
typedef void Visit(void *to, int64_t element);

static void each_element(const Windows *w, int64_t at, Visit *visit, void *to)
{
    int64_t place[3] = {at / (w->out[1] * w->out[2]), at / w->out[2] % w->out[1], at % w->out[2]};
    int64_t start[3], count[3];
    for (int i = 0; i < 3; i++) {
        start[i] = w->adaptive ? place[i] * w->in[i] / w->out[i] : place[i] * w->stride[i] - w->padding[i];
        count[i] = w->adaptive ? ((place[i] + 1) * w->in[i] + w->out[i] - 1) / w->out[i] - start[i] : w->size[i];
    }
    for (int64_t k = 0; k < count[0] * count[1] * count[2]; k++) {
        int64_t tap[3] = {k / (count[1] * count[2]), k / count[2] % count[1], k % count[2]}, element = 0;
        bool inside = true, padded = true;
        for (int i = 0; i < 3; i++) {
            int64_t x = start[i] + tap[i] * w->dilation[i];
            inside = inside && x >= 0 && x < w->in[i];
            padded = padded && x < w->in[i] + w->padding[i];
            element = element * w->in[i] + x;
        }
        if (padded)
            visit(to, inside ? element : -1);
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

static void largest(Ref *r, const Windows *w)
{
    const Array *x = r->in[0];
    int64_t per = w->out[0] * w->out[1] * w->out[2];
    double *v = out_of(r, x->dtype, x, w->out), *place = out_of(r, DTYPE_i32, x, w->out);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        Largest l = {x->v + i / per * w->in[0] * w->in[1] * w->in[2], -1};
        each_element(w, i % per, visit_largest, &l);
        place[i] = (double)l.at;
        v[i] = l.image[l.at];
    }
}

static void ref_max_pool(Ref *r)
{
    Windows w = {0};
    space_of(r->in[0], w.in);
    windows_fill(r, r->in[0]->ndim - 2, true, &w);
    largest(r, &w);
}

static void ref_adaptive_max_pool(Ref *r)
{
    Windows w = {.adaptive = true, .dilation = {1, 1, 1}};
    space_of(r->in[0], w.in);
    of_axes(r, "size", r->in[0]->ndim - 2, 1, w.out);
    largest(r, &w);
}

static void ref_max_unpool(Ref *r)
{
    const Array *x = r->in[0];
    int64_t axes[3], n = x->shape[0] * x->shape[1];
    of_axes(r, "size", x->ndim - 2, 1, axes);
    double *v = out_of(r, x->dtype, x, axes);
    for (int64_t i = 0; i < x->size; i++)
        v[i / (x->size / n) * axes[0] * axes[1] * axes[2] + (int64_t)r->in[1]->v[i]] += x->v[i];
}

typedef struct Spread {
    const Windows *w;
    const double *from;
    double *to, sum, share;
    int64_t count;
} Spread;

static void visit_sum(void *to, int64_t element)
{
    Spread *s = to;
    s->sum += element < 0 ? 0 : s->from[element];
    s->count += element >= 0 || s->w->counts_padding;
}

static void visit_count(void *to, int64_t element)
{
    Spread *s = to;
    s->count += element >= 0 || s->w->counts_padding;
}

static void visit_share(void *to, int64_t element)
{
    Spread *s = to;
    if (element >= 0)
        s->to[element] += s->share;
}

static void average(Ref *r, const Windows *w)
{
    const Array *x = r->in[0];
    int64_t per = w->out[0] * w->out[1] * w->out[2];
    double *v = out_of(r, ref_floating(x->dtype), x, w->out);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        Spread s = {.w = w, .from = x->v + i / per * w->in[0] * w->in[1] * w->in[2]};
        each_element(w, i % per, visit_sum, &s);
        v[i] = s.sum / (double)s.count;
    }
}

static void ref_avg_pool(Ref *r)
{
    Windows w = {.counts_padding = ref_bool(r, "count_include_pad")};
    space_of(r->in[0], w.in);
    windows_fill(r, r->in[0]->ndim - 2, false, &w);
    average(r, &w);
}

static void ref_adaptive_avg_pool(Ref *r)
{
    Windows w = {.adaptive = true, .dilation = {1, 1, 1}};
    space_of(r->in[0], w.in);
    of_axes(r, "size", r->in[0]->ndim - 2, 1, w.out);
    average(r, &w);
}

static void ref_avg_pool_input_grad(Ref *r)
{
    const Array *dy = r->in[0];
    Windows w = {.counts_padding = ref_bool(r, "count_include_pad")};
    of_axes(r, "space", dy->ndim - 2, 1, w.in);
    windows_fill(r, dy->ndim - 2, false, &w);
    int64_t per = w.out[0] * w.out[1] * w.out[2];
    double *v = out_of(r, dy->dtype, dy, w.in);
    for (int64_t i = 0; i < dy->size; i++) {
        Spread s = {.w = &w, .to = v + i / per * w.in[0] * w.in[1] * w.in[2]};
        each_element(&w, i % per, visit_count, &s);
        s.share = dy->v[i] / (double)s.count;
        each_element(&w, i % per, visit_share, &s);
    }
}

#define MAX(inputs, params) {"max_pool", inputs, params, .reference = ref_max_pool}
#define AVG(inputs, params) {"avg_pool", inputs, params, .reference = ref_avg_pool, .only = FLOATS}
#define BACK(inputs, params) {"avg_pool_input_grad", inputs, params, .reference = ref_avg_pool_input_grad, .only = FLOATS}
#define CHECK(op, inputs, params) {#op, inputs, params, .reference = ref_##op, .only = FLOATS}
#define WRONG(op, inputs, params, kind) {op, inputs, params, .error = kind, .only = FLOATS}

const Case cases_pool[] = {
    {"max_pool", "x[2,3,4,6]", "size=2", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "i64[2,1,5,5]", "size=2", .reference = ref_max_pool},
    {"max_pool", "x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "x[1,1,5,5](-3,-1)", "size=3, stride=2, padding=1", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "x[1,2,7,8]", "size=(3,2), stride=2, padding=1, dilation=(2,3)", .reference = ref_max_pool,
     .only = FLOATS},
    {"max_pool", "x[1,2,5,6]", "size=2, stride=3, ceil_mode=true", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "x[1,2,5,4]", "size=3, stride=2, padding=1, ceil_mode=true", .reference = ref_max_pool,
     .only = FLOATS},
    {"max_pool", "x[2,3,7]", "size=3, stride=2, padding=1", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "x[1,2,4,5,3]", "size=(2,3,2), stride=(2,1,1), padding=(0,1,1)", .reference = ref_max_pool,
     .only = FLOATS},
    {"max_pool", "x[2,1,1,1]", "size=1", .reference = ref_max_pool, .only = FLOATS},
    {"max_pool", "x[0,1,4,4]", "size=2", .reference = ref_max_pool, .only = FLOATS},
    WRONG("max_pool", "x[1,1,2,4]", "size=3", ERROR_shape),
    WRONG("max_pool", "x[2,4]", "size=2", ERROR_shape),
    WRONG("max_pool", "x[1,1,4,4]", "size=2, stride=0", ERROR_value),
    WRONG("max_pool", "x[1,1,4,4]", "size=2, padding=2", ERROR_value),
    WRONG("max_pool", "x[1,1,4,4]", "size=(2,2,2)", ERROR_value),
    {"max_pool", "x[9,13,28,28]", "size=2", .reference = ref_max_pool, .big = true},
    {"max_pool", "x[5,7,33,170]", "size=3, stride=(2,1), padding=1", .reference = ref_max_pool, .big = true},
    {"max_pool", "x[3,5,9,12,31]", "size=(2,3,2), padding=(1,0,1)", .reference = ref_max_pool, .big = true},
    CHECK(adaptive_max_pool, "x[2,3,4,6]", "size=2"),
    CHECK(adaptive_max_pool, "x[1,2,7,5]", "size=(3,4)"),
    CHECK(adaptive_max_pool, "x[2,2,7]", "size=3"),
    CHECK(adaptive_max_pool, "x[1,2,3,5,4]", "size=(2,1,3)"),
    CHECK(adaptive_max_pool, "x[0,1,4,4]", "size=2"),
    WRONG("adaptive_max_pool", "x[1,1,4,4]", "size=0", ERROR_value),
    WRONG("adaptive_max_pool", "x[4,4]", "size=1", ERROR_shape),
    {"adaptive_max_pool", "x[9,13,28,30]", "size=(9,7)", .reference = ref_adaptive_max_pool, .big = true},
    CHECK(max_unpool, "x[2,3,4] i64[2,3,4](0,5)", "size=6"),
    CHECK(max_unpool, "x[1,2,2,3] i32[1,2,2,3](0,19)", "size=(5,4)"),
    CHECK(max_unpool, "x[1,2,1,1,2] i32[1,2,1,1,2](0,11)", "size=(2,3,2)"),
    CHECK(max_unpool, "x[2,1,1] i32[2,1,1](0,1)", "size=2"),
    CHECK(max_unpool, "x[0,1,4] i32[0,1,4]", "size=5"),
    WRONG("max_unpool", "x[1,1,3] i32[1,1,3](4,9)", "size=4", ERROR_index),
    WRONG("max_unpool", "x[1,1,3] i32[1,1,2](0,3)", "size=4", ERROR_shape),
    WRONG("max_unpool", "x[1,1,3] x[1,1,3]", "size=4", ERROR_dtype),
    {"max_unpool", "x[9,13,14,14] i32[9,13,14,14](0,783)", "size=28", .reference = ref_max_unpool, .big = true,
     .loose = 10},
    AVG("x[2,3,4,6]", "size=2"),
    AVG("x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1"),
    AVG("x[1,2,5,6]", "size=(3,2), stride=(1,2), padding=1, count_include_pad=false"),
    AVG("x[1,2,5,4]", "size=3, stride=2, padding=1, ceil_mode=true"),
    AVG("x[1,2,6,5]", "size=3, stride=3, ceil_mode=true, count_include_pad=false"),
    AVG("x[2,3,7]", "size=3, stride=2, padding=1"),
    AVG("x[1,2,4,5,3]", "size=(2,3,2), stride=(2,1,1), padding=(0,1,1)"),
    AVG("x[2,1,1,1]", "size=1"),
    AVG("x[0,1,4,4]", "size=2"),
    WRONG("avg_pool", "x[1,1,2,4]", "size=3", ERROR_shape),
    {"avg_pool", "x[9,13,28,28]", "size=2", .reference = ref_avg_pool, .big = true},
    BACK("x[2,3,2,3]", "space=(4,6), size=2"),
    BACK("x[1,2,5,4]", "space=(5,6), size=(3,2), stride=(1,2), padding=1"),
    BACK("x[1,2,5,4]", "space=(5,6), size=(3,2), stride=(1,2), padding=1, count_include_pad=false"),
    BACK("x[1,2,2,3,2]", "space=(3,4,2), size=(2,2,1), stride=1"),
    BACK("x[2,1,1]", "space=1, size=1"),
    BACK("x[0,1,2,2]", "space=4, size=2"),
    WRONG("avg_pool_input_grad", "x[1,1,2,2]", "space=6, size=2", ERROR_shape),
    CHECK(adaptive_avg_pool, "x[2,3,4,6]", "size=2"),
    CHECK(adaptive_avg_pool, "x[1,2,7,5]", "size=(3,4)"),
    CHECK(adaptive_avg_pool, "x[1,2,3,3]", "size=1"),
    CHECK(adaptive_avg_pool, "x[2,2,7]", "size=3"),
    CHECK(adaptive_avg_pool, "x[1,2,3,5,4]", "size=(2,1,3)"),
    CHECK(adaptive_avg_pool, "x[1,2,3,1]", "size=(5,2)"),
    CHECK(adaptive_avg_pool, "x[0,1,4,4]", "size=2"),
    WRONG("adaptive_avg_pool", "x[1,1,0,4]", "size=2", ERROR_shape),
    {0},
};
