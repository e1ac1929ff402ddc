/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resampling of images: by affine maps. */
#include <string.h>

#include "core.h"

static bool is_image(OpCall *call, const Tensor *x)
{
    if (x->ndim == 4)
        return true;
    return op_error(call, ERROR_shape, "x must be [n, channels, height, width], it has %d %s", x->ndim,
                    x->ndim == 1 ? "axis" : "axes");
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
