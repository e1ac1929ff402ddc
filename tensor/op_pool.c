/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pooling over windows of images, and resampling them by affine maps. The largest element of a window is found once
   (max_pool2d_index) and then gathered, so that max_pool2d differentiates through gather to any order. */
#include <limits.h>
#include <string.h>

#include "core.h"
#include "kernels_pool.h"

/* Windows over images [planes, h, w] that give [planes, oh, ow]; index 0 is vertical. */
typedef struct Windows {
    int64_t planes, h, w, oh, ow;
    int64_t size[2], stride[2], padding[2];
} Windows;

static bool is_image(OpCall *call, const Tensor *x)
{
    if (x->ndim == 4)
        return true;
    return op_error(call, ERROR_shape, "x must be [n, channels, height, width], it has %d %s", x->ndim,
                    x->ndim == 1 ? "axis" : "axes");
}

/* From size, stride (none: the size) and padding in attr[0..2] and an image of h x w. */
static bool windows_make(OpCall *call, const Attr *attr, int64_t planes, int64_t h, int64_t w, Windows *v)
{
    if (!op_sizes(call, "size", &attr[0], 2, 1, v->size) || !op_sizes(call, "padding", &attr[2], 2, 0, v->padding))
        return false;
    if (!op_sizes(call, "stride", attr[1].none ? &attr[0] : &attr[1], 2, 1, v->stride))
        return false;
    v->planes = planes;
    v->h = h;
    v->w = w;
    for (int i = 0; i < 2; i++)
        if (2 * v->padding[i] > v->size[i])
            return op_error(call, ERROR_value, "padding %lld is more than half of the window %lld",
                            (long long)v->padding[i], (long long)v->size[i]);
    if (h + 2 * v->padding[0] < v->size[0] || w + 2 * v->padding[1] < v->size[1])
        return op_error(call, ERROR_shape, "a window of [%lld, %lld] does not fit the padded input [%lld, %lld]",
                        (long long)v->size[0], (long long)v->size[1], (long long)(h + 2 * v->padding[0]),
                        (long long)(w + 2 * v->padding[1]));
    v->oh = (h + 2 * v->padding[0] - v->size[0]) / v->stride[0] + 1;
    v->ow = (w + 2 * v->padding[1] - v->size[1]) / v->stride[1] + 1;
    return true;
}

static bool windows_of(OpCall *call, Windows *v)
{
    const Tensor *x = call->in[0];
    return is_image(call, x) && windows_make(call, call->attr, x->shape[0] * x->shape[1], x->shape[2], x->shape[3], v);
}

/* The part [*low, *high) of window number [at] that lies inside an axis of [size]. */
static void window_range(const Windows *v, int axis, int64_t at, int64_t size, int64_t *low, int64_t *high)
{
    int64_t start = at * v->stride[axis] - v->padding[axis], stop = start + v->size[axis];
    *low = start < 0 ? 0 : start;
    *high = stop > size ? size : stop;
}

typedef struct PoolJob {
    Windows v;
    Dtype dtype;
    const void *from;
    void *to;
} PoolJob;

/* The dense input, cast to [dtype], into a job of one task a plane. */
static bool pool_planes(OpCall *call, const Windows *v, Dtype dtype, void (*task)(void *, int64_t))
{
    Tensor *cast = tensor_cast(call->ctx, call->in[0], dtype), *x = cast ? tensor_contiguous(call->ctx, cast) : NULL;
    tensor_release(cast);
    if (!x)
        return false;
    PoolJob job = {*v, dtype, x->data, call->out[0]->data};
    bool done = pool_run(call->ctx, v->planes, task, &job);
    tensor_release(x);
    return done;
}

/* ---- largest ---- */

bool shape_max_pool2d_index(OpCall *call)
{
    Windows v;
    if (!windows_of(call, &v))
        return false;
    if (v.h * v.w > INT32_MAX)
        return op_error(call, ERROR_shape, "an image of more than %d pixels is too large", INT32_MAX);
    const Tensor *x = call->in[0];
    call->spec[0] = (TensorSpec){DTYPE_i32, 4, {x->shape[0], x->shape[1], v.oh, v.ow}};
    return true;
}

#define LARGEST(name, type)                                                                                            \
    static int32_t name(const Windows *v, const type *x, int64_t top, int64_t bottom, int64_t left, int64_t right)     \
    {                                                                                                                  \
        int64_t best = top * v->w + left;                                                                              \
        for (int64_t y = top; y < bottom; y++)                                                                         \
            for (int64_t i = y * v->w + left; i < y * v->w + right; i++)                                               \
                if (!(x[i] <= x[best]) && x[best] == x[best]) /* the first NaN wins */                                 \
                    best = i;                                                                                          \
        return (int32_t)best;                                                                                          \
    }
LARGEST(largest_float, float)
LARGEST(largest_double, double)

#ifdef KERNELS_X86
extern const PoolTable kernels_pool_sse2, kernels_pool_avx2, kernels_pool_avx512;

static const PoolTable *pool_table(void)
{
    static const PoolTable *const by_level[] = {
        [CPU_BASE] = &kernels_pool_sse2, [CPU_AVX2] = &kernels_pool_avx2, [CPU_AVX512] = &kernels_pool_avx512,
    };
    return by_level[cpu_level()];
}
#else
extern const PoolTable kernels_pool_plain;

static const PoolTable *pool_table(void)
{
    return &kernels_pool_plain;
}
#endif

/* A plane whose windows all lie inside it. */
static void largest_inside(const PoolJob *job, int64_t plane, int32_t *to)
{
    const Windows *v = &job->v;
    const PoolTable *table = pool_table();
    const int32_t w = (int32_t)v->w, kh = (int32_t)v->size[0], kw = (int32_t)v->size[1], step = (int32_t)v->stride[1];
    const int64_t image = plane * v->h * v->w;
    for (int64_t y = 0; y < v->oh; y++)
        for (int64_t x = 0; x < v->ow; x += POOL_ROW) {
            const int32_t n = (int32_t)(v->ow - x < POOL_ROW ? v->ow - x : POOL_ROW);
            const int32_t start = (int32_t)(y * v->stride[0] * v->w + x * v->stride[1]);
            if (job->dtype == DTYPE_f32)
                table->largest_f32((const float *)job->from + image, w, kh, kw, step, start, n, to);
            else
                table->largest_f64((const double *)job->from + image, w, kh, kw, step, start, n, to);
            to += n;
        }
}

static void largest_task(void *arg, int64_t plane)
{
    const PoolJob *job = arg;
    const Windows *v = &job->v;
    if (v->padding[0] == 0 && v->padding[1] == 0) {
        largest_inside(job, plane, (int32_t *)job->to + plane * v->oh * v->ow);
        return;
    }
    int32_t *to = (int32_t *)job->to + plane * v->oh * v->ow;
    for (int64_t y = 0; y < v->oh; y++) {
        int64_t top, bottom, left, right;
        window_range(v, 0, y, v->h, &top, &bottom);
        for (int64_t x = 0; x < v->ow; x++) {
            window_range(v, 1, x, v->w, &left, &right);
            if (job->dtype == DTYPE_f32)
                *to++ = largest_float(v, (const float *)job->from + plane * v->h * v->w, top, bottom, left, right);
            else
                *to++ = largest_double(v, (const double *)job->from + plane * v->h * v->w, top, bottom, left, right);
        }
    }
}

bool max_pool2d_index_run(OpCall *call)
{
    Windows v;
    Dtype dtype = call->in[0]->dtype == DTYPE_f32 ? DTYPE_f32 : DTYPE_f64;
    return windows_of(call, &v) && pool_planes(call, &v, dtype, largest_task);
}

bool max_pool2d_run(OpCall *call)
{
    Tensor *x = call->in[0];
    Windows v;
    if (!windows_of(call, &v))
        return false;
    Scope s;
    scope_init(&s, call->ctx);
    int64_t flat[3] = {x->shape[0], x->shape[1], v.h * v.w}, small[3] = {x->shape[0], x->shape[1], v.oh * v.ow};
    int64_t result[4] = {x->shape[0], x->shape[1], v.oh, v.ow};
    Tensor *index = s_op(&s, OP_max_pool2d_index, 1, &x, call->attr, 0);
    Tensor *in[2] = {s_reshape(&s, x, 3, flat), s_reshape(&s, index, 3, small)};
    Attr axis = attr_int(2);
    call->out[0] = tensor_retain(s_reshape(&s, s_op(&s, OP_gather, 2, in, &axis, 0), 4, result));
    scope_clear(&s);
    return call->out[0] != NULL;
}

/* ---- average ---- */

static bool is_float(OpCall *call, const Tensor *x, Dtype *dtype)
{
    *dtype = dtype_class((Dtype)x->dtype) == CLASS_FLOAT ? (Dtype)x->dtype : DTYPE_f32;
    return is_image(call, x);
}

bool shape_avg_pool2d(OpCall *call)
{
    Windows v;
    const Tensor *x = call->in[0];
    Dtype dtype;
    if (!is_float(call, x, &dtype) || !windows_of(call, &v))
        return false;
    call->spec[0] = (TensorSpec){dtype, 4, {x->shape[0], x->shape[1], v.oh, v.ow}};
    return true;
}

#define AVERAGE(name, type)                                                                                            \
    static void name(const Windows *v, const type *x, type *to)                                                        \
    {                                                                                                                  \
        type scale = (type)1 / (type)(v->size[0] * v->size[1]);                                                        \
        for (int64_t y = 0; y < v->oh; y++)                                                                            \
            for (int64_t c = 0; c < v->ow; c++) {                                                                      \
                int64_t top, bottom, left, right;                                                                      \
                type sum = 0;                                                                                          \
                window_range(v, 0, y, v->h, &top, &bottom);                                                            \
                window_range(v, 1, c, v->w, &left, &right);                                                            \
                for (int64_t i = top; i < bottom; i++)                                                                 \
                    for (int64_t j = left; j < right; j++)                                                             \
                        sum += x[i * v->w + j];                                                                        \
                *to++ = sum * scale;                                                                                   \
            }                                                                                                          \
    }                                                                                                                  \
    static void name##_back(const Windows *v, const type *dy, type *to)                                                \
    {                                                                                                                  \
        type scale = (type)1 / (type)(v->size[0] * v->size[1]);                                                        \
        memset(to, 0, (size_t)(v->h * v->w) * sizeof *to);                                                             \
        for (int64_t y = 0; y < v->oh; y++)                                                                            \
            for (int64_t c = 0; c < v->ow; c++) {                                                                      \
                int64_t top, bottom, left, right;                                                                      \
                type part = *dy++ * scale;                                                                             \
                window_range(v, 0, y, v->h, &top, &bottom);                                                            \
                window_range(v, 1, c, v->w, &left, &right);                                                            \
                for (int64_t i = top; i < bottom; i++)                                                                 \
                    for (int64_t j = left; j < right; j++)                                                             \
                        to[i * v->w + j] += part;                                                                      \
            }                                                                                                          \
    }
AVERAGE(average_float, float)
AVERAGE(average_double, double)

static void average_task(void *arg, int64_t plane)
{
    const PoolJob *job = arg;
    const Windows *v = &job->v;
    int64_t from = plane * v->h * v->w, to = plane * v->oh * v->ow;
    if (job->dtype == DTYPE_f32)
        average_float(v, (const float *)job->from + from, (float *)job->to + to);
    else
        average_double(v, (const double *)job->from + from, (double *)job->to + to);
}

static void average_back_task(void *arg, int64_t plane)
{
    const PoolJob *job = arg;
    const Windows *v = &job->v;
    int64_t from = plane * v->oh * v->ow, to = plane * v->h * v->w;
    if (job->dtype == DTYPE_f32)
        average_float_back(v, (const float *)job->from + from, (float *)job->to + to);
    else
        average_double_back(v, (const double *)job->from + from, (double *)job->to + to);
}

bool avg_pool2d_run(OpCall *call)
{
    Windows v;
    return windows_of(call, &v) && pool_planes(call, &v, call->spec[0].dtype, average_task);
}

bool avg_pool2d_grad(GradCall *g)
{
    if (!g->wants[0])
        return true;
    Attr attr[5] = {attr_int(g->in_spec[0].shape[2]), attr_int(g->in_spec[0].shape[3]), g->attr[0], g->attr[1],
                    g->attr[2]};
    g->dx[0] = s_op(g->s, OP_avg_pool2d_input_grad, 1, &g->dy[0], attr, 0);
    return g->dx[0] != NULL;
}

static bool windows_back(OpCall *call, Windows *v)
{
    const Tensor *dy = call->in[0];
    if (!is_image(call, dy))
        return false;
    if (!windows_make(call, call->attr + 2, dy->shape[0] * dy->shape[1], call->attr[0].i, call->attr[1].i, v))
        return false;
    if (dy->shape[2] == v->oh && dy->shape[3] == v->ow)
        return true;
    return op_error(call, ERROR_shape, "dy must be [n, channels, %lld, %lld]", (long long)v->oh, (long long)v->ow);
}

bool shape_avg_pool2d_input_grad(OpCall *call)
{
    Windows v;
    Dtype dtype;
    const Tensor *dy = call->in[0];
    if (!is_float(call, dy, &dtype) || !windows_back(call, &v))
        return false;
    call->spec[0] = (TensorSpec){dtype, 4, {dy->shape[0], dy->shape[1], v.h, v.w}};
    return true;
}

bool avg_pool2d_input_grad_run(OpCall *call)
{
    Windows v;
    return windows_back(call, &v) && pool_planes(call, &v, call->spec[0].dtype, average_back_task);
}

bool avg_pool2d_input_grad_grad(GradCall *g)
{
    if (g->wants[0])
        g->dx[0] = s_op(g->s, OP_avg_pool2d, 1, &g->dy[0], g->attr + 2, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

/* ---- to a given size ---- */

/* [to, from]: row i averages the elements floor(i from / to) to ceil((i + 1) from / to). */
static Tensor *averaging_matrix(Scope *s, int64_t from, int64_t to, Dtype dtype)
{
    int64_t shape[2] = {to, from};
    Tensor *m = scope_own(s, tensor_zeros(s->ctx, dtype, 2, shape));
    for (int64_t i = 0; m && i < to; i++) {
        int64_t first = i * from / to, last = ((i + 1) * from + to - 1) / to;
        for (int64_t j = first; j < last; j++)
            tensor_store(m, i * from + j, 1.0 / (double)(last - first));
    }
    return m;
}

bool adaptive_avg_pool2d_run(OpCall *call)
{
    Tensor *x = call->in[0], *y;
    int64_t size[2];
    Dtype dtype;
    if (!is_float(call, x, &dtype) || !op_sizes(call, "size", &call->attr[0], 2, 1, size))
        return false;
    Scope s;
    scope_init(&s, call->ctx);
    if (x->shape[2] > 0 && x->shape[3] > 0 && x->shape[2] % size[0] == 0 && x->shape[3] % size[1] == 0) {
        int64_t window[2] = {x->shape[2] / size[0], x->shape[3] / size[1]};
        Attr attr[3] = {attr_ints(2, window), attr_none(), attr_ints(1, (int64_t[1]){0})};
        y = s_op(&s, OP_avg_pool2d, 1, &x, attr, 0);
    } else {
        Tensor *down = averaging_matrix(&s, x->shape[2], size[0], dtype);
        Tensor *across = averaging_matrix(&s, x->shape[3], size[1], dtype);
        y = s_matmul(&s, s_matmul(&s, down, s_cast(&s, x, dtype)), s_transpose(&s, across, 0, 1));
    }
    call->out[0] = tensor_retain(y);
    scope_clear(&s);
    return call->out[0] != NULL;
}

/* ---- affine resampling ---- */

typedef struct SampleJob {
    const float *x, *theta;   /* [n, c, h, w], [n, 2, 3] */
    float *to;                /* [n, c, oh, ow] */
    int64_t c, h, w, oh, ow;
    bool border;
} SampleJob;

bool shape_affine_sample(OpCall *call)
{
    const Tensor *x = call->in[0], *theta = call->in[1];
    const char *padding = call->attr[2].str;
    if (!is_image(call, x))
        return false;
    if (theta->ndim != 3 || theta->shape[0] != x->shape[0] || theta->shape[1] != 2 || theta->shape[2] != 3)
        return op_error(call, ERROR_shape, "theta must be [%lld, 2, 3], one map for each image",
                        (long long)x->shape[0]);
    if (dtype_class((Dtype)x->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "x must be floats, not %s", dtype_name((Dtype)x->dtype));
    if (strcmp(padding, "zeros") != 0 && strcmp(padding, "border") != 0)
        return op_error(call, ERROR_value, "padding is \"zeros\" or \"border\", not \"%s\"", padding);
    int64_t height = call->attr[0].none ? x->shape[2] : call->attr[0].i;
    int64_t width = call->attr[1].none ? x->shape[3] : call->attr[1].i;
    if (height < 0 || width < 0)
        return op_error(call, ERROR_value, "the size cannot be [%lld, %lld]", (long long)height, (long long)width);
    if (tensor_size(x) == 0 && x->shape[0] * x->shape[1] * height * width > 0)
        return op_error(call, ERROR_shape, "an image without pixels cannot be sampled");
    call->spec[0] = (TensorSpec){DTYPE_f32, 4, {x->shape[0], x->shape[1], height, width}};
    return true;
}

/* Where a coordinate falls: the element before it, how far beyond, and which of the two neighbours exist. */
typedef struct Between { int64_t at; float part; bool low, high; } Between;

static inline Between between(float position, int64_t size, bool border)
{
    if (!(position > -2))
        position = border ? 0 : -2;
    if (!(position < (float)size + 1))
        position = border ? (float)size - 1 : (float)size + 1;
    if (border)
        position = position < 0 ? 0 : position > (float)(size - 1) ? (float)(size - 1) : position;
    int64_t at = (int64_t)(position + 2) - 2;                      /* rounds down, for position is at least -2 */
    return (Between){at, position - (float)at, at >= 0 && at < size, at + 1 >= 0 && at + 1 < size};
}

static void sample_task(void *arg, int64_t image)
{
    const SampleJob *job = arg;
    const float *m = job->theta + image * 6, *x = job->x + image * job->c * job->h * job->w;
    float *to = job->to + image * job->c * job->oh * job->ow;
    float half_w = (float)job->w / 2, half_h = (float)job->h / 2;
    for (int64_t i = 0; i < job->oh * job->ow; i++) {
        float u = (float)(2 * (i % job->ow) + 1) / (float)job->ow - 1;
        float v = (float)(2 * (i / job->ow) + 1) / (float)job->oh - 1;
        Between a = between((m[0] * u + m[1] * v + m[2] + 1) * half_w - 0.5f, job->w, job->border);
        Between b = between((m[3] * u + m[4] * v + m[5] + 1) * half_h - 0.5f, job->h, job->border);
        float top_left = b.low && a.low ? (1 - b.part) * (1 - a.part) : 0;
        float top_right = b.low && a.high ? (1 - b.part) * a.part : 0;
        float bottom_left = b.high && a.low ? b.part * (1 - a.part) : 0;
        float bottom_right = b.high && a.high ? b.part * a.part : 0;
        int64_t row = (b.low ? b.at : b.high ? b.at + 1 : 0) * job->w, below = b.high && b.low ? job->w : 0;
        int64_t first = row + (a.low ? a.at : a.high ? a.at + 1 : 0), right = a.high && a.low ? 1 : 0;
        for (int64_t c = 0; c < job->c; c++) {
            const float *p = x + c * job->h * job->w + first;
            to[c * job->oh * job->ow + i] = top_left * p[0] + top_right * p[right] + bottom_left * p[below] +
                                            bottom_right * p[below + right];
        }
    }
}

bool affine_sample_run(OpCall *call)
{
    const TensorSpec *spec = &call->spec[0];
    Tensor *in[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        Tensor *cast = tensor_cast(call->ctx, call->in[i], DTYPE_f32);
        in[i] = cast ? tensor_contiguous(call->ctx, cast) : NULL;
        tensor_release(cast);
    }
    bool done = in[0] && in[1];
    if (done && spec_size(spec) > 0) {
        SampleJob job = {(const float *)(const void *)in[0]->data, (const float *)(const void *)in[1]->data,
                         (float *)(void *)call->out[0]->data, spec->shape[1], in[0]->shape[2], in[0]->shape[3],
                         spec->shape[2], spec->shape[3], strcmp(call->attr[2].str, "border") == 0};
        done = pool_run(call->ctx, spec->shape[0], sample_task, &job);
    }
    tensor_release(in[0]);
    tensor_release(in[1]);
    return done;
}
