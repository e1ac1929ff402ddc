/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resampling of images. resize_axis makes one axis longer or shorter by a sparse matrix of weights, which its adjoint
   applies the other way round, so that both differentiate to any order; interpolate (the prelude's) goes axis by axis.
   grid_sample reads an image wherever a grid says: in one pass, or while gradients are recorded by ops. */
#include <math.h>
#include <string.h>

#include "core.h"

#define TASK_ELEMENTS 16384   /* of a result, about */

/* ---- one axis ---- */

/* Row i of the matrix [to, from]: weights at[i] … at[i + 1] - 1 of elements first[i] … */
typedef struct Taps {
    int64_t from, to;
    int64_t *first, *at;
    double *weight;
} Taps;

typedef enum ResizeMode { RESIZE_NEAREST, RESIZE_EXACT, RESIZE_LINEAR, RESIZE_CUBIC, RESIZE_AREA } ResizeMode;

typedef struct Resize {
    int axis;
    ResizeMode mode;
    bool align, smooth;
    double step;              /* of the source, for one of the result */
    int64_t from, to;
} Resize;

static bool resize_mode(OpCall *call, const char *name, ResizeMode *mode)
{
    static const char *const names[] = {"nearest", "nearest-exact", "linear", "cubic", "area"};
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *mode = (ResizeMode)i;
            return true;
        }
    return op_error(call, ERROR_value, "mode is nearest, nearest-exact, linear, cubic or area, not \"%s\"", name);
}

/* From axis, the other size, mode, align_corners, antialias and scale in attr[0..5]; [grad]: attr[1] is the source's. */
static bool resize_of(OpCall *call, bool grad, Resize *r)
{
    const Tensor *x = call->in[0];
    const Attr *attr = call->attr;
    if (!op_axis(call, attr[0].i, x->ndim, &r->axis) || !resize_mode(call, attr[2].str, &r->mode))
        return false;
    int64_t mine = x->shape[r->axis], other = attr[1].i;
    if (other < 1)
        return op_error(call, ERROR_value, "the size cannot be %lld", (long long)other);
    if (mine < 1)
        return op_error(call, ERROR_shape, "axis %d has no elements to sample", r->axis);
    r->from = grad ? other : mine;
    r->to = grad ? mine : other;
    r->align = attr[3].b;
    r->smooth = attr[4].b;
    if (!attr[5].none && !(attr[5].num >= 1e-6 && attr[5].num <= 1e6))
        return op_error(call, ERROR_value, "scale must lie between 1e-6 and 1e6, not %g", attr[5].num);
    if (r->smooth && r->mode != RESIZE_LINEAR && r->mode != RESIZE_CUBIC)
        return op_error(call, ERROR_value, "antialias is for the modes linear and cubic");
    if (r->align)
        r->step = r->to > 1 ? (double)(r->from - 1) / (double)(r->to - 1) : 0;
    else
        r->step = attr[5].none ? (double)r->from / (double)r->to : 1 / attr[5].num;
    return true;
}

/* Keys' cubic (1981) at a distance. */
static double cubic(double d, double a)
{
    d = fabs(d);
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* The weights of the elements [*first, return value) for result i, at most [room] of them. */
static int64_t tap_row(const Resize *r, int64_t i, int64_t *first, double *weight)
{
    double wide = r->step > 1 ? r->step : 1, reach = (r->mode == RESIZE_CUBIC ? 2 : 1) * (r->smooth ? wide : 1), sum = 0;
    double place = r->align ? (double)i * r->step : ((double)i + 0.5) * r->step - 0.5;
    int64_t low, high, last = r->from - 1;
    if (r->mode == RESIZE_AREA) {
        low = i * r->from / r->to;
        high = ((i + 1) * r->from + r->to - 1) / r->to;
        for (int64_t k = low; k < high; k++)
            weight[k - low] = 1.0 / (double)(high - low);
    } else if (r->mode <= RESIZE_EXACT) {
        double near = floor(((double)i + (r->mode == RESIZE_EXACT ? 0.5 : 0)) * r->step + 1e-9);
        low = near < (double)last ? (int64_t)near : last;
        high = low + 1;
        weight[0] = 1;
    } else if (r->smooth) {
        place = ((double)i + 0.5) * r->step;
        place = fmin(place, (double)r->from);                      /* a scale of one's own may lead beyond the end */
        low = (int64_t)fmax(place - reach + 0.5, 0);
        high = (int64_t)fmin(place + reach + 0.5, (double)r->from);
        for (int64_t k = low; k < high; k++) {
            double d = ((double)k - place + 0.5) / wide;
            sum += weight[k - low] = r->mode == RESIZE_CUBIC ? cubic(d, -0.5) : fmax(1 - fabs(d), 0);
        }
        for (int64_t k = low; k < high; k++)
            weight[k - low] /= sum;
    } else {
        place = r->mode == RESIZE_LINEAR && place < 0 ? 0 : fmin(place, (double)r->from + 4);
        int64_t start = (int64_t)floor(place) - (r->mode == RESIZE_CUBIC), count = r->mode == RESIZE_CUBIC ? 4 : 2;
        low = start < 0 ? 0 : start > last ? last : start;
        high = start + count > last + 1 ? last + 1 : start + count < 1 ? 1 : start + count;
        memset(weight, 0, (size_t)(high - low) * sizeof *weight);
        for (int64_t k = start; k < start + count; k++) {          /* places beyond the ends are the ends */
            double d = place - (double)k, w = r->mode == RESIZE_CUBIC ? cubic(d, -0.75) : fmax(1 - fabs(d), 0);
            weight[(k < 0 ? 0 : k > last ? last : k) - low] += w;
        }
    }
    *first = low;
    return high;
}

static bool taps_make(OpCall *call, const Resize *r, Taps *t)
{
    double wide = r->step > 1 ? r->step : 1;
    int64_t most = 4 + (int64_t)ceil(r->smooth ? 4 * wide + 2 : (double)r->from / (double)r->to);
    most = most < r->from + 4 ? most : r->from + 4;
    size_t rows = (size_t)r->to, bytes = (2 * rows + 1) * sizeof(int64_t);
    t->from = r->from;
    t->to = r->to;
    t->first = scratch_take(&call->ctx->error, bytes + rows * (size_t)most * sizeof(double));
    if (!t->first)
        return false;
    t->at = t->first + rows;
    t->weight = (double *)(void *)((char *)t->first + bytes);
    t->at[0] = 0;
    for (int64_t i = 0; i < r->to; i++) {
        int64_t end = tap_row(r, i, &t->first[i], t->weight + t->at[i]);
        t->at[i + 1] = t->at[i] + end - t->first[i];
    }
    return true;
}

typedef struct ResizeJob {
    Taps taps;
    Dtype dtype;
    const void *from;
    void *to;
    int64_t outer, inner;     /* x is [outer, from, inner] */
    int64_t group, width;     /* of a task: outer places, or a piece of the inner elements */
    bool back;
} ResizeJob;

/* Elements [start, stop) of every row of one outer place, forward or back. */
#define RESIZE(name, type)                                                                                             \
    static void name(const ResizeJob *job, int64_t outer, int64_t start, int64_t stop)                                 \
    {                                                                                                                  \
        const Taps *t = &job->taps;                                                                                    \
        const int64_t inner = job->inner, big = t->from * inner, small = t->to * inner;                                \
        const type *x = (const type *)job->from + outer * (job->back ? small : big);                                   \
        type *y = (type *)job->to + outer * (job->back ? big : small);                                                 \
        if (inner == 1 && !job->back) {                                                                                \
            for (int64_t i = 0; i < t->to; i++) {                                                                      \
                const type *at = x + t->first[i];                                                                      \
                double sum = 0;                                                                                        \
                for (int64_t k = t->at[i]; k < t->at[i + 1]; k++)                                                      \
                    sum += t->weight[k] * (double)*at++;                                                               \
                y[i] = (type)sum;                                                                                      \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t row = 0; row < (job->back ? t->from : t->to); row++)                                              \
            memset(y + row * inner + start, 0, (size_t)(stop - start) * sizeof *y);                                    \
        for (int64_t i = 0; i < t->to; i++)                                                                            \
            for (int64_t k = t->at[i]; k < t->at[i + 1]; k++) {                                                        \
                const int64_t far = (t->first[i] + k - t->at[i]) * inner, near = i * inner;                            \
                const type w = (type)t->weight[k], *a = x + (job->back ? near : far);                                  \
                type *b = y + (job->back ? far : near);                                                                \
                for (int64_t e = start; e < stop; e++)                                                                 \
                    b[e] += w * a[e];                                                                                  \
            }                                                                                                          \
    }
RESIZE(resize_float, float)
RESIZE(resize_double, double)

static void resize_task(void *arg, int64_t task)
{
    const ResizeJob *job = arg;
    int64_t pieces = (job->inner + job->width - 1) / job->width, first = task / pieces * job->group;
    int64_t start = task % pieces * job->width, stop = start + job->width < job->inner ? start + job->width : job->inner;
    for (int64_t outer = first; outer < first + job->group && outer < job->outer; outer++)
        (job->dtype == DTYPE_f32 ? resize_float : resize_double)(job, outer, start, stop);
}

static bool resize_run(OpCall *call, bool back)
{
    Resize r;
    Dtype dtype = call->spec[0].dtype;
    ResizeJob job = {.dtype = dtype, .to = call->out[0]->data, .back = back, .outer = 1, .inner = 1};
    if (!resize_of(call, back, &r))
        return false;
    if (spec_size(&call->spec[0]) == 0)
        return true;
    for (int i = 0; i < call->in[0]->ndim; i++)
        *(i < r.axis ? &job.outer : &job.inner) *= i == r.axis ? 1 : call->in[0]->shape[i];
    int64_t rows = r.from > r.to ? r.from : r.to, row = rows * job.inner;
    job.group = row >= TASK_ELEMENTS ? 1 : TASK_ELEMENTS / row;
    job.width = row <= TASK_ELEMENTS ? job.inner : rows >= TASK_ELEMENTS / 64 ? 64 : TASK_ELEMENTS / rows;
    Tensor *cast = tensor_cast(call->ctx, call->in[0], dtype), *x = cast ? tensor_contiguous(call->ctx, cast) : NULL;
    bool done = x && taps_make(call, &r, &job.taps);
    if (done) {
        job.from = x->data;
        int64_t tasks = (job.outer + job.group - 1) / job.group * ((job.inner + job.width - 1) / job.width);
        done = pool_run(call->ctx, tasks, resize_task, &job);
    }
    tensor_release(cast);
    tensor_release(x);
    scratch_release(job.taps.first);
    return done;
}

static bool resize_shape(OpCall *call, bool grad)
{
    Resize r;
    const Tensor *x = call->in[0];
    if (!resize_of(call, grad, &r))
        return false;
    spec_of(x, &call->spec[0]);
    call->spec[0].dtype = dtype_class((Dtype)x->dtype) == CLASS_FLOAT ? (Dtype)x->dtype : DTYPE_f32;
    call->spec[0].shape[r.axis] = grad ? r.from : r.to;
    return true;
}

bool shape_resize_axis(OpCall *call) { return resize_shape(call, false); }
bool shape_resize_axis_grad(OpCall *call) { return resize_shape(call, true); }
bool resize_axis_run(OpCall *call) { return resize_run(call, false); }
bool resize_axis_grad_run(OpCall *call) { return resize_run(call, true); }

static bool resize_adjoint(GradCall *g, OpId id)
{
    Attr attr[6];
    memcpy(attr, g->attr, sizeof attr);
    int axis = (int)(attr[0].i < 0 ? attr[0].i + g->in_spec[0].ndim : attr[0].i);
    attr[1] = attr_int(g->in_spec[0].shape[axis]);
    if (g->wants[0])
        g->dx[0] = s_op(g->s, id, 1, &g->dy[0], attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool resize_axis_grad(GradCall *g) { return resize_adjoint(g, OP_resize_axis_grad); }
bool resize_axis_grad_grad(GradCall *g) { return resize_adjoint(g, OP_resize_axis); }

/* ---- anywhere: grid_sample ---- */

#define MAX_SPACE 3
#define MAX_TAPS 16           /* a pixel reads: 4 x 4 or 2 x 2 x 2 */

typedef enum Beyond { BEYOND_ZEROS, BEYOND_BORDER, BEYOND_REFLECTION } Beyond;

typedef struct Sample {
    int space, taps;          /* taps along an axis: 1 nearest, 2 linear, 4 cubic */
    Beyond beyond;
    bool align;
    int64_t size[MAX_SPACE];  /* of the image, first axis first; the grid's last axis counts the other way round */
} Sample;

static bool word_of(OpCall *call, const char *param, const char *word, const char *const *words, int *which)
{
    for (*which = 0; *which < 3; ++*which)
        if (strcmp(word, words[*which]) == 0)
            return true;
    return op_error(call, ERROR_value, "%s is %s, %s or %s, not \"%s\"", param, words[0], words[1], words[2], word);
}

static bool sample_of(OpCall *call, Sample *s)
{
    static const char *const modes[] = {"nearest", "bilinear", "bicubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const Tensor *x = call->in[0], *grid = call->in[1];
    int mode, beyond;
    s->space = x->ndim - 2;
    if (s->space != 2 && s->space != 3)
        return op_error(call, ERROR_shape, "x must be [n, c, h, w] or [n, c, d, h, w], it has %d axes", x->ndim);
    if (grid->ndim != x->ndim || grid->shape[0] != x->shape[0] || grid->shape[grid->ndim - 1] != s->space)
        return op_error(call, ERROR_shape, "grid must be [%lld, %s, %d]", (long long)x->shape[0],
                        s->space == 2 ? "h', w'" : "d', h', w'", s->space);
    if (dtype_class((Dtype)x->dtype) != CLASS_FLOAT || dtype_class((Dtype)grid->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "x and grid must be floats");
    if (!word_of(call, "mode", call->attr[0].str, modes, &mode) ||
        !word_of(call, "padding", call->attr[1].str, paddings, &beyond))
        return false;
    if (mode == 2 && s->space == 3)
        return op_error(call, ERROR_value, "bicubic is for images with two axes");
    s->taps = mode == 0 ? 1 : mode == 1 ? 2 : 4;
    s->beyond = (Beyond)beyond;
    s->align = call->attr[2].b;
    for (int i = 0; i < s->space; i++) {
        s->size[i] = x->shape[2 + i];
        if (s->size[i] == 0)
            return op_error(call, ERROR_shape, "an image without pixels cannot be sampled");
    }
    return true;
}

/* Coordinates beyond the middle of the end pixels (or beyond their outer edges) come back. */
static double reflect(double at, double low, double high)
{
    double span = high - low;
    if (span <= 0)
        return 0;
    double far = fmod(fabs(at - low), 2 * span);
    return (far > span ? 2 * span - far : far) + low;
}

static double put_inside(const Sample *s, double at, int64_t size)
{
    if (s->beyond == BEYOND_REFLECTION)
        at = s->align ? reflect(at, 0, (double)(size - 1)) : reflect(at, -0.5, (double)size - 0.5);
    return at > 0 ? at < (double)(size - 1) ? at : (double)(size - 1) : 0;
}

/* The pixels of one axis that a grid's coordinate reads: places (-1: none) and weights. */
static void axis_taps(const Sample *s, int axis, double coordinate, int64_t *place, double *weight)
{
    int64_t size = s->size[axis], last = size - 1;
    double at = s->align ? (coordinate + 1) / 2 * (double)last : ((coordinate + 1) * (double)size - 1) / 2;
    if (!(fabs(at) < 1e15))
        at = -1e15;                                    /* NaN and what no image reaches */
    if (s->taps < 4 && s->beyond != BEYOND_ZEROS)
        at = put_inside(s, at, size);
    double start = s->taps == 1 ? nearbyint(at) : floor(at);
    for (int k = 0; k < s->taps; k++) {
        double pixel = start + k - (s->taps == 4), d = at - pixel;
        weight[k] = s->taps == 1 ? 1 : s->taps == 2 ? 1 - fabs(d) : cubic(d, -0.75);
        if (s->beyond != BEYOND_ZEROS)
            pixel = put_inside(s, pixel, size);
        place[k] = pixel >= 0 && pixel <= (double)last ? (int64_t)pixel : -1;
    }
}

typedef struct SampleJob {
    Sample s;
    Dtype dtype;
    const char *x, *grid;
    char *out;
    int64_t channels, image, pixels, pieces, width;    /* pixels of the result an image, in pieces of [width] */
} SampleJob;

/* What one pixel of the result reads: the taps of all axes multiplied out. */
static int pixel_taps(const Sample *s, const double *coordinate, int64_t *offset, double *weight)
{
    int64_t place[MAX_SPACE][4];
    double part[MAX_SPACE][4];
    int count = 1, found = 0;
    for (int i = 0; i < s->space; i++) {
        axis_taps(s, i, coordinate[s->space - 1 - i], place[i], part[i]);
        count *= s->taps;
    }
    for (int k = 0; k < count; k++) {
        int64_t at = 0;
        double w = 1;
        for (int i = 0, rest = k; i < s->space && at >= 0; i++, rest /= s->taps) {
            int64_t p = place[i][rest % s->taps];
            w *= part[i][rest % s->taps];
            at = p < 0 ? -1 : at * s->size[i] + p;
        }
        if (at >= 0) {
            offset[found] = at;
            weight[found++] = w;
        }
    }
    return found;
}

/* The same for bilinear in two axes, away from the edges: false near them. */
static inline bool inner_taps(const Sample *s, const double *coordinate, int64_t *offset, double *weight)
{
    double part[2];
    int64_t at[2];
    for (int i = 0; i < 2; i++) {
        double c = coordinate[1 - i], size = (double)s->size[i];
        double place = s->align ? (c + 1) / 2 * (size - 1) : ((c + 1) * size - 1) / 2;
        if (!(place >= 0 && place < size - 1))
            return false;
        at[i] = (int64_t)place;
        part[i] = place - (double)at[i];
    }
    offset[0] = at[0] * s->size[1] + at[1];
    offset[1] = offset[0] + 1;
    offset[2] = offset[0] + s->size[1];
    offset[3] = offset[2] + 1;
    weight[0] = (1 - part[0]) * (1 - part[1]);
    weight[1] = (1 - part[0]) * part[1];
    weight[2] = part[0] * (1 - part[1]);
    weight[3] = part[0] * part[1];
    return true;
}

#define SAMPLE(name, type)                                                                                             \
    static void name(const SampleJob *job, int64_t image, int64_t pixel)                                               \
    {                                                                                                                  \
        const Sample *s = &job->s;                                                                                     \
        const type *grid = (const type *)(const void *)job->grid + (image * job->pixels + pixel) * s->space;           \
        const type *x = (const type *)(const void *)job->x + image * job->channels * job->image;                       \
        type *to = (type *)(void *)job->out + image * job->channels * job->pixels + pixel;                             \
        double coordinate[MAX_SPACE], weight[MAX_TAPS];                                                                \
        int64_t offset[MAX_TAPS];                                                                                      \
        for (int i = 0; i < s->space; i++)                                                                             \
            coordinate[i] = (double)grid[i];                                                                           \
        if (s->space == 2 && s->taps == 2 && inner_taps(s, coordinate, offset, weight)) {                              \
            for (int64_t c = 0; c < job->channels; c++, x += job->image, to += job->pixels)                            \
                *to = (type)(weight[0] * (double)x[offset[0]] + weight[1] * (double)x[offset[1]] +                     \
                             weight[2] * (double)x[offset[2]] + weight[3] * (double)x[offset[3]]);                     \
            return;                                                                                                    \
        }                                                                                                              \
        int count = pixel_taps(s, coordinate, offset, weight);                                                         \
        for (int64_t c = 0; c < job->channels; c++, x += job->image, to += job->pixels) {                              \
            double sum = 0;                                                                                            \
            for (int k = 0; k < count; k++)                                                                            \
                sum += weight[k] * (double)x[offset[k]];                                                               \
            *to = (type)sum;                                                                                           \
        }                                                                                                              \
    }
SAMPLE(sample_float, float)
SAMPLE(sample_double, double)

static void sample_task(void *arg, int64_t task)
{
    const SampleJob *job = arg;
    int64_t image = task / job->pieces, first = task % job->pieces * job->width;
    for (int64_t i = first; i < first + job->width && i < job->pixels; i++)
        (job->dtype == DTYPE_f32 ? sample_float : sample_double)(job, image, i);
}

static Dtype sample_dtype(OpCall *call)
{
    return op_promote(2, call->in, true, true);
}

static void sample_spec(OpCall *call, TensorSpec *spec)
{
    const Tensor *x = call->in[0], *grid = call->in[1];
    *spec = (TensorSpec){sample_dtype(call), x->ndim, {x->shape[0], x->shape[1]}};
    memcpy(spec->shape + 2, grid->shape + 1, (size_t)(x->ndim - 2) * sizeof *spec->shape);
}

static bool sample_fused(OpCall *call, const Sample *s)
{
    TensorSpec spec;
    Tensor *in[2] = {NULL, NULL};
    sample_spec(call, &spec);
    for (int i = 0; i < 2; i++) {
        Tensor *cast = tensor_cast(call->ctx, call->in[i], spec.dtype);
        in[i] = cast ? tensor_contiguous(call->ctx, cast) : NULL;
        tensor_release(cast);
    }
    if (in[0] && in[1])
        call->out[0] = tensor_new(call->ctx, spec.dtype, spec.ndim, spec.shape);
    bool done = call->out[0] != NULL;
    if (done && spec_size(&spec) > 0) {
        SampleJob job = {.s = *s, .dtype = spec.dtype, .x = in[0]->data, .grid = in[1]->data,
                         .out = call->out[0]->data, .channels = spec.shape[1], .image = 1, .pixels = 1};
        for (int i = 0; i < s->space; i++) {
            job.image *= s->size[i];
            job.pixels *= spec.shape[2 + i];
        }
        job.width = TASK_ELEMENTS / 8;
        job.pieces = (job.pixels + job.width - 1) / job.width;
        done = pool_run(call->ctx, spec.shape[0] * job.pieces, sample_task, &job);
    }
    tensor_release(in[0]);
    tensor_release(in[1]);
    return done;
}

/* ---- the same by ops ---- */

static Tensor *graph_clamp(Scope *s, Tensor *at, int64_t size)
{
    Tensor *in[3] = {at, s_const(s, 0), s_const(s, (double)(size - 1))};
    return in[0] && in[1] && in[2] ? s_op(s, OP_clamp, 3, in, NULL, 0) : NULL;
}

/* The wave that a reflected coordinate follows, and which holds at the ends: see put_inside. */
static Tensor *graph_inside(Scope *s, const Sample *v, Tensor *at, int64_t size)
{
    if (v->beyond == BEYOND_REFLECTION) {
        double low = v->align ? 0 : -0.5, span = (double)size - (v->align ? 1 : 0);
        if (span > 0) {
            Tensor *in[2] = {s_unary(s, OP_abs, s_sub(s, at, s_const(s, low))), s_const(s, 2 * span)};
            Tensor *far = s_binary(s, OP_mod, in[0], in[1]);
            Tensor *turned = s_binary(s, OP_minimum, far, s_sub(s, in[1], far));
            at = s_add(s, turned, s_const(s, low));
        } else {
            at = s_scale(s, at, 0);
        }
    }
    return graph_clamp(s, at, size);
}

/* Keys' cubic at distances of 0 to 1 (near) or 1 to 2. */
static Tensor *graph_cubic(Scope *s, Tensor *d, bool near)
{
    const double a = -0.75, p[2][4] = {{a, -5 * a, 8 * a, -4 * a}, {a + 2, -(a + 3), 0, 1}};
    Tensor *sum = s_scale(s, d, p[near][0]);
    for (int i = 1; i < 4; i++) {
        sum = s_add(s, sum, s_const(s, p[near][i]));
        sum = i < 3 ? s_mul(s, sum, d) : sum;
    }
    return sum;
}

/* One axis: for each tap the place as i64 and the weight, both of the grid's shape without its last axis. */
static void graph_taps(Scope *s, const Sample *v, int axis, Tensor *grid, Tensor **place, Tensor **weight)
{
    int64_t size = v->size[axis];
    double half = v->align ? (double)(size - 1) / 2 : (double)size / 2;
    Attr select[2] = {attr_int(-1), attr_int(v->space - 1 - axis)};
    Tensor *u = grid ? s_op(s, OP_select, 1, &grid, select, 0) : NULL;
    Tensor *at = s_add(s, s_scale(s, u, half), s_const(s, v->align ? half : half - 0.5));
    if (v->taps < 4 && v->beyond != BEYOND_ZEROS)
        at = graph_inside(s, v, at, size);
    Tensor *start = s_unary(s, v->taps == 1 ? OP_round : OP_floor, at);
    Tensor *f = s_sub(s, at, start);
    for (int k = 0; k < v->taps; k++) {
        Tensor *pixel = s_add(s, start, s_const(s, (double)(k - (v->taps == 4))));
        if (v->taps == 1)
            weight[k] = s_add(s, s_scale(s, f, 0), s_const(s, 1));
        else if (v->taps == 2)
            weight[k] = k == 0 ? s_sub(s, s_const(s, 1), f) : f;
        else
            weight[k] = graph_cubic(s, k < 2 ? s_add(s, f, s_const(s, (double)(1 - k)))
                                             : s_sub(s, s_const(s, (double)(k - 1)), f), k == 1 || k == 2);
        if (v->beyond == BEYOND_ZEROS) {
            Tensor *inside = s_binary(s, OP_logical_and, s_binary(s, OP_ge, pixel, s_const(s, 0)),
                                      s_binary(s, OP_le, pixel, s_const(s, (double)(size - 1))));
            weight[k] = s_where(s, inside, weight[k], s_const(s, 0));
            pixel = graph_clamp(s, pixel, size);
        } else {
            pixel = graph_inside(s, v, pixel, size);
        }
        Attr i64 = attr_dtype(DTYPE_i64);
        place[k] = pixel ? s_op(s, OP_to, 1, &pixel, &i64, 0) : NULL;
    }
}

/* Weight times pixel, summed over all taps: x [n, c, image], places and weights [n, 1, pixels]. */
static Tensor *sample_graph(Scope *s, OpCall *call, const Sample *v)
{
    Tensor *place[MAX_SPACE][4], *weight[MAX_SPACE][4], *sum = NULL;
    Dtype dtype = sample_dtype(call);
    Tensor *grid = s_cast(s, call->in[1], dtype), *x = s_cast(s, call->in[0], dtype);
    TensorSpec spec;
    sample_spec(call, &spec);
    int64_t image = 1, pixels = 1;
    int count = 1;
    for (int i = 0; i < v->space; i++) {
        graph_taps(s, v, i, grid, place[i], weight[i]);
        image *= v->size[i];
        pixels *= spec.shape[2 + i];
        count *= v->taps;
    }
    Tensor *flat = s_reshape(s, x, 3, (int64_t[3]){spec.shape[0], spec.shape[1], image});
    int64_t line[3] = {spec.shape[0], 1, pixels}, all[3] = {spec.shape[0], spec.shape[1], pixels};
    for (int k = 0; k < count; k++) {
        Tensor *at = NULL, *w = NULL;
        for (int i = 0, rest = k; i < v->space; i++, rest /= v->taps) {
            Tensor *p = place[i][rest % v->taps], *part = weight[i][rest % v->taps];
            at = i == 0 ? p : s_add(s, s_mul(s, at, scope_own(s, tensor_weak(s->ctx, false, 0, v->size[i]))), p);
            w = i == 0 ? part : s_mul(s, w, part);
        }
        Attr axis = attr_int(2);
        Tensor *in[2] = {flat, s_expand(s, s_reshape(s, at, 3, line), 3, all)};
        Tensor *read = in[0] && in[1] ? s_op(s, OP_gather, 2, in, &axis, 0) : NULL;
        Tensor *part = s_mul(s, read, s_reshape(s, w, 3, line));
        sum = k == 0 ? part : s_add(s, sum, part);
    }
    return s_reshape(s, sum, spec.ndim, spec.shape);
}

bool grid_sample_run(OpCall *call)
{
    Sample v;
    Scope s;
    if (!sample_of(call, &v))
        return false;
    if (call->ctx->recording == 0 && !call->ctx->meta)
        return sample_fused(call, &v);
    scope_init(&s, call->ctx);
    call->out[0] = tensor_retain(sample_graph(&s, call, &v));
    scope_clear(&s);
    return call->out[0] != NULL;
}
