/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pooling over windows of images of one to three axes, all treated as three with missing first ones of size 1. The
   largest element of a window is found with its place, and its gradient goes there (max_unpool), so that max_pool
   differentiates to any order; averages and their gradients are each other's adjoints. */
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "kernels_pool.h"

#define AXES 3                /* depth, height, width */
#define TASK_ELEMENTS 16384   /* read by a task, about */

/* Windows over images [planes, in...] that give [planes, out...]. */
typedef struct Windows {
    int64_t planes, in[AXES], out[AXES];
    int64_t size[AXES], stride[AXES], padding[AXES], dilation[AXES];
    bool adaptive;            /* the windows divide an axis as evenly as can be */
    bool counts_padding;      /* in the mean's divisor */
} Windows;

static int64_t product(const int64_t axes[AXES])
{
    return axes[0] * axes[1] * axes[2];
}

/* How many axes of space x has, 0 with an error. */
static int space_of(OpCall *call, const Tensor *x)
{
    if (x->ndim >= 3 && x->ndim <= 2 + AXES)
        return x->ndim - 2;
    op_error(call, ERROR_shape, "x must be [n, channels, ...] with one to %d axes of space, it has %d %s", AXES,
             x->ndim, x->ndim == 1 ? "axis" : "axes");
    return 0;
}

static void set_axes(int64_t to[AXES], int space, const int64_t *from, int64_t otherwise)
{
    for (int i = 0; i < AXES; i++)
        to[i] = i < AXES - space ? otherwise : from[i - (AXES - space)];
}

static TensorSpec spec_like(const Tensor *x, Dtype dtype, const int64_t axes[AXES])
{
    TensorSpec spec = {dtype, x->ndim, {x->shape[0], x->shape[1]}};
    memcpy(spec.shape + 2, axes + AXES - (x->ndim - 2), (size_t)(x->ndim - 2) * sizeof *axes);
    return spec;
}

static bool does_not_fit(OpCall *call, const Windows *v, int space)
{
    int64_t window[AXES], padded[AXES];
    char reach[96], room[96];
    for (int i = 0; i < AXES; i++) {
        window[i] = v->dilation[i] * (v->size[i] - 1) + 1;
        padded[i] = v->in[i] + 2 * v->padding[i];
    }
    shape_format(space, window + AXES - space, reach, sizeof reach);
    shape_format(space, padded + AXES - space, room, sizeof room);
    return op_error(call, ERROR_shape, "a window of %s does not fit the padded input %s", reach, room);
}

/* The attributes of one kind of pooling; [dilation] may be NULL. A stride of none is the size. */
typedef struct WindowAttrs { const Attr *size, *stride, *padding, *dilation; bool ceil; } WindowAttrs;

/* Of v->in; v->planes is set. */
static bool windows_make(OpCall *call, WindowAttrs a, int space, Windows *v)
{
    int64_t size[AXES], stride[AXES], padding[AXES], dilation[AXES] = {1, 1, 1};
    if (!op_sizes(call, "size", a.size, space, 1, size) || !op_sizes(call, "padding", a.padding, space, 0, padding) ||
        !op_sizes(call, "stride", a.stride->none ? a.size : a.stride, space, 1, stride) ||
        (a.dilation && !op_sizes(call, "dilation", a.dilation, space, 1, dilation)))
        return false;
    set_axes(v->size, space, size, 1);
    set_axes(v->stride, space, stride, 1);
    set_axes(v->padding, space, padding, 0);
    set_axes(v->dilation, space, dilation, 1);
    for (int i = 0; i < AXES; i++) {
        int64_t room = v->in[i] + 2 * v->padding[i] - v->dilation[i] * (v->size[i] - 1) - 1;
        if (2 * v->padding[i] > v->size[i])
            return op_error(call, ERROR_value, "padding %lld is more than half of the window %lld",
                            (long long)v->padding[i], (long long)v->size[i]);
        if (room < 0)
            return does_not_fit(call, v, space);
        v->out[i] = (room + (a.ceil ? v->stride[i] - 1 : 0)) / v->stride[i] + 1;
        if ((v->out[i] - 1) * v->stride[i] >= v->in[i] + v->padding[i])
            v->out[i]--;                                           /* a window of padding alone */
    }
    return true;
}

/* The windows of x that give it a size of attr[0]. */
static bool windows_adaptive(OpCall *call, Windows *v)
{
    const Tensor *x = call->in[0];
    int space = space_of(call, x);
    int64_t size[AXES];
    if (!space || !op_sizes(call, "size", &call->attr[0], space, 1, size))
        return false;
    *v = (Windows){.planes = x->shape[0] * x->shape[1], .adaptive = true, .dilation = {1, 1, 1}};
    set_axes(v->in, space, x->shape + 2, 1);
    set_axes(v->out, space, size, 1);
    if (product(v->in) > 0)
        return true;
    return op_error(call, ERROR_shape, "an image without pixels has no windows");
}

/* Where the elements of a window lie along one axis: first, first + dilation ... below last. */
typedef struct Range { int64_t first, last, extent; } Range;   /* extent: with what the padding adds */

static Range window_range(const Windows *v, int axis, int64_t at)
{
    int64_t in = v->in[axis], out = v->out[axis], step = v->dilation[axis], pad = v->padding[axis];
    if (v->adaptive) {
        int64_t first = at * in / out, last = ((at + 1) * in + out - 1) / out;
        return (Range){first, last, last - first};
    }
    int64_t first = at * v->stride[axis] - pad, last = first + (v->size[axis] - 1) * step + 1;
    int64_t extent = (last < in + pad ? last : in + pad) - first;
    if (first < 0)
        first += (-first + step - 1) / step * step;
    return (Range){first, last < in ? last : in, extent};
}

typedef struct Column { int64_t first, last; double share; } Column;

typedef struct PoolJob {
    Windows v;
    Dtype dtype;              /* computed in: f32 or f64 */
    const void *from;
    void *to;
    int32_t *places;
    int64_t group;            /* planes of a task */
    int64_t fast[AXES][2];    /* the windows [from, to) of each axis that lie inside the image */
    Column *columns;          /* of averages: the last axis of each window */
    atomic_bool failed;       /* a task found no memory */
} PoolJob;

/* Runs [task] over groups of planes of in[0], dense and cast to job->dtype. */
static bool pool_planes(OpCall *call, PoolJob *job, void (*task)(void *, int64_t))
{
    Tensor *cast = tensor_cast(call->ctx, call->in[0], job->dtype);
    Tensor *x = cast ? tensor_contiguous(call->ctx, cast) : NULL;
    int64_t plane = product(job->v.in) + 1;
    tensor_release(cast);
    if (!x)
        return false;
    job->from = x->data;
    job->group = plane >= TASK_ELEMENTS ? 1 : TASK_ELEMENTS / plane;
    bool done = pool_run(call->ctx, (job->v.planes + job->group - 1) / job->group, task, job);
    tensor_release(x);
    return done;
}

static int64_t group_end(const PoolJob *job, int64_t task)
{
    int64_t end = (task + 1) * job->group;
    return end < job->v.planes ? end : job->v.planes;
}

/* ---- largest ---- */

static bool windows_max(OpCall *call, Windows *v)
{
    const Tensor *x = call->in[0];
    const Attr *attr = call->attr;
    int space = space_of(call, x);
    *v = (Windows){.planes = x->ndim > 1 ? x->shape[0] * x->shape[1] : 0};
    if (!space)
        return false;
    set_axes(v->in, space, x->shape + 2, 1);
    return windows_make(call, (WindowAttrs){&attr[0], &attr[1], &attr[2], &attr[3], attr[4].b}, space, v);
}

static bool max_specs(OpCall *call, const Windows *v)
{
    if (product(v->in) > INT32_MAX)
        return op_error(call, ERROR_shape, "an image of more than %d pixels is too large", INT32_MAX);
    call->n_out = 2;
    call->spec[0] = spec_like(call->in[0], (Dtype)call->in[0]->dtype, v->out);
    call->spec[1] = spec_like(call->in[0], DTYPE_i32, v->out);
    return true;
}

bool shape_max_pool(OpCall *call)
{
    Windows v;
    return windows_max(call, &v) && max_specs(call, &v);
}

bool shape_adaptive_max_pool(OpCall *call)
{
    Windows v;
    return windows_adaptive(call, &v) && max_specs(call, &v);
}

#define LARGEST(name, type)                                                                                            \
    static void name(const Windows *v, const type *x, Range z, Range y, Range c, type *to, int32_t *place)             \
    {                                                                                                                  \
        int64_t best = (z.first * v->in[1] + y.first) * v->in[2] + c.first;                                            \
        for (int64_t i = z.first; i < z.last; i += v->dilation[0])                                                     \
            for (int64_t j = y.first; j < y.last; j += v->dilation[1]) {                                               \
                int64_t row = (i * v->in[1] + j) * v->in[2];                                                           \
                for (int64_t k = row + c.first; k < row + c.last; k += v->dilation[2])                                 \
                    if (!(x[k] <= x[best]) && x[best] == x[best]) /* the first NaN wins */                             \
                        best = k;                                                                                      \
            }                                                                                                          \
        *to = x[best];                                                                                                 \
        *place = (int32_t)best;                                                                                        \
    }
LARGEST(largest_float, float)
LARGEST(largest_double, double)

/* Windows [first, last) of row (z, y), all inside the image; [at]: the row's first window among all. */
static void largest_inside(const PoolJob *job, int64_t plane, int64_t z, int64_t y, int64_t first, int64_t last,
                           int64_t at)
{
    const Windows *v = &job->v;
    const int64_t h = v->in[1], w = v->in[2], image = plane * product(v->in);
    const PoolWindow window = {
        .size = {(int32_t)v->size[0], (int32_t)v->size[1], (int32_t)v->size[2]},
        .line = {(int32_t)(v->dilation[0] * h * w), (int32_t)(v->dilation[1] * w), (int32_t)v->dilation[2]},
        .step = (int32_t)v->stride[2]};
    const int64_t row = ((z * v->stride[0] - v->padding[0]) * h + y * v->stride[1] - v->padding[1]) * w - v->padding[2];
    const int64_t room = (v->planes - plane) * product(v->in);
    const int32_t end = room < INT32_MAX ? (int32_t)room : INT32_MAX;
    const int32_t start = (int32_t)(row + first * v->stride[2]), n = (int32_t)(last - first);
    int32_t *places = job->places + at + first;
    if (job->dtype == DTYPE_f32)
        pool_table()->largest_f32(&window, (const float *)job->from + image, end, start, n,
                                  (float *)job->to + at + first, places);
    else
        pool_table()->largest_f64(&window, (const double *)job->from + image, end, start, n,
                                  (double *)job->to + at + first, places);
}

/* Windows [first, last) of row (z, y), wherever they lie. */
static void largest_edge(const PoolJob *job, int64_t plane, int64_t z, int64_t y, int64_t first, int64_t last,
                         int64_t at)
{
    const Windows *v = &job->v;
    const int64_t image = plane * product(v->in);
    const Range deep = window_range(v, 0, z), high = window_range(v, 1, y);
    for (int64_t x = first; x < last; x++) {
        const Range wide = window_range(v, 2, x);
        if (job->dtype == DTYPE_f32)
            largest_float(v, (const float *)job->from + image, deep, high, wide, (float *)job->to + at + x,
                          job->places + at + x);
        else
            largest_double(v, (const double *)job->from + image, deep, high, wide, (double *)job->to + at + x,
                           job->places + at + x);
    }
}

static void largest_task(void *arg, int64_t task)
{
    const PoolJob *job = arg;
    const Windows *v = &job->v;
    for (int64_t plane = task * job->group; plane < group_end(job, task); plane++)
        for (int64_t row = 0; row < v->out[0] * v->out[1]; row++) {
            int64_t z = row / v->out[1], y = row % v->out[1], at = plane * product(v->out) + row * v->out[2];
            bool inside = z >= job->fast[0][0] && z < job->fast[0][1] && y >= job->fast[1][0] && y < job->fast[1][1];
            int64_t first = inside ? job->fast[2][0] : v->out[2], last = inside ? job->fast[2][1] : v->out[2];
            if (first > 0)
                largest_edge(job, plane, z, y, 0, first, at);
            if (first < last)
                largest_inside(job, plane, z, y, first, last, at);
            if (last < v->out[2])
                largest_edge(job, plane, z, y, last, v->out[2], at);
        }
}

/* job->fast: none of adaptive windows. */
static void find_inside(PoolJob *job)
{
    const Windows *v = &job->v;
    for (int i = 0; i < AXES; i++) {
        int64_t reach = v->dilation[i] * (v->size[i] - 1) + 1;
        int64_t low = v->adaptive ? v->out[i] : (v->padding[i] + v->stride[i] - 1) / v->stride[i];
        int64_t room = v->in[i] + v->padding[i] - reach, high = room < 0 || v->adaptive ? 0 : room / v->stride[i] + 1;
        job->fast[i][0] = low < v->out[i] ? low : v->out[i];
        job->fast[i][1] = high > v->out[i] ? v->out[i] : high < job->fast[i][0] ? job->fast[i][0] : high;
    }
}

/* Elements of other dtypes than floats, from the places that were found. */
static bool pick_values(OpCall *call, const Windows *v)
{
    Tensor *x = tensor_contiguous(call->ctx, call->in[0]);
    const int32_t *places = (const int32_t *)(const void *)call->out[1]->data;
    size_t width = dtype_size((Dtype)call->in[0]->dtype);
    int64_t per = product(v->out);
    for (int64_t i = 0; x && i < v->planes * per; i++)
        memcpy(call->out[0]->data + (size_t)i * width,
               x->data + (size_t)(i / per * product(v->in) + places[i]) * width, width);
    tensor_release(x);
    return x != NULL;
}

static bool largest_run(OpCall *call, const Windows *v)
{
    Dtype dtype = (Dtype)call->in[0]->dtype;
    bool floats = dtype == DTYPE_f32 || dtype == DTYPE_f64;
    PoolJob job = {.v = *v, .dtype = floats ? dtype : DTYPE_f64, .to = call->out[0]->data,
                   .places = (int32_t *)(void *)call->out[1]->data};
    if (v->planes * product(v->out) == 0)
        return true;
    find_inside(&job);
    if (floats)
        return pool_planes(call, &job, largest_task);
    job.to = scratch_take(&call->ctx->error, (size_t)(v->planes * product(v->out)) * sizeof(double));
    bool done = job.to && pool_planes(call, &job, largest_task) && pick_values(call, v);
    scratch_release(job.to);
    return done;
}

bool max_pool_run(OpCall *call)
{
    Windows v;
    return windows_max(call, &v) && largest_run(call, &v);
}

bool adaptive_max_pool_run(OpCall *call)
{
    Windows v;
    return windows_adaptive(call, &v) && largest_run(call, &v);
}

bool max_pool_grad(GradCall *g)
{
    const TensorSpec *x = &g->in_spec[0];
    Tensor *in[2] = {g->dy[0], g->out[1]};
    Attr size = attr_ints(x->ndim - 2, x->shape + 2);
    if (g->wants[0] && g->dy[0])
        g->dx[0] = s_op(g->s, OP_max_unpool, 2, in, &size, 0);
    return g->ctx->error.kind == ERROR_NONE;
}

bool adaptive_max_pool_grad(GradCall *g) { return max_pool_grad(g); }

/* ---- back to where the largest stood ---- */

bool shape_max_unpool(OpCall *call)
{
    const Tensor *x = call->in[0], *places = call->in[1];
    int space = space_of(call, x);
    int64_t size[AXES], axes[AXES];
    char shape[96];
    if (!space || !op_sizes(call, "size", &call->attr[0], space, 0, size))
        return false;
    if (places->ndim != x->ndim || memcmp(places->shape, x->shape, (size_t)x->ndim * sizeof *x->shape) != 0) {
        shape_format(x->ndim, x->shape, shape, sizeof shape);
        return op_error(call, ERROR_shape, "places must be %s, one for each element of x", shape);
    }
    if (dtype_class((Dtype)places->dtype) != CLASS_INT)
        return op_error(call, ERROR_dtype, "places must be ints, not %s", dtype_name((Dtype)places->dtype));
    if (dtype_class((Dtype)x->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "x must be floats, not %s", dtype_name((Dtype)x->dtype));
    set_axes(axes, space, size, 1);
    call->spec[0] = spec_like(x, (Dtype)x->dtype, axes);
    return true;
}

typedef struct UnpoolJob {
    int64_t planes, per, size, group;    /* per: elements of x in a plane; size: of the result */
    Dtype dtype;
    const void *from;
    const int64_t *places;
    const int32_t *places32;  /* one of the two */
    void *to;
    atomic_llong wrong;       /* a place outside, plus 1 */
} UnpoolJob;

#define PUT_BACK(name, type, word, list)                                                                               \
    static void name(UnpoolJob *job, int64_t plane)                                                                    \
    {                                                                                                                  \
        const type *x = (const type *)job->from + plane * job->per;                                                    \
        const word *at = job->list + plane * job->per;                                                                 \
        type *to = (type *)job->to + plane * job->size;                                                                \
        memset(to, 0, (size_t)job->size * sizeof *to);                                                                 \
        for (int64_t i = 0; i < job->per; i++) {                                                                       \
            if (at[i] < 0 || at[i] >= job->size) {                                                                     \
                atomic_store(&job->wrong, at[i] < 0 ? at[i] : at[i] + 1);                                              \
                return;                                                                                                \
            }                                                                                                          \
            to[at[i]] += x[i];                                                                                         \
        }                                                                                                              \
    }
PUT_BACK(put_f32_32, float, int32_t, places32)
PUT_BACK(put_f32_64, float, int64_t, places)
PUT_BACK(put_f64_32, double, int32_t, places32)
PUT_BACK(put_f64_64, double, int64_t, places)

static void unpool_task(void *arg, int64_t task)
{
    UnpoolJob *job = arg;
    bool single = job->dtype == DTYPE_f32, narrow = job->places32 != NULL;
    void (*put)(UnpoolJob *, int64_t) = single ? narrow ? put_f32_32 : put_f32_64 : narrow ? put_f64_32 : put_f64_64;
    int64_t last = (task + 1) * job->group < job->planes ? (task + 1) * job->group : job->planes;
    for (int64_t plane = task * job->group; plane < last; plane++)
        put(job, plane);
}

bool max_unpool_run(OpCall *call)
{
    const TensorSpec *spec = &call->spec[0];
    bool narrow = call->in[1]->dtype == DTYPE_i32;
    Tensor *x = tensor_contiguous(call->ctx, call->in[0]);
    Tensor *cast = x ? tensor_cast(call->ctx, call->in[1], narrow ? DTYPE_i32 : DTYPE_i64) : NULL;
    Tensor *places = cast ? tensor_contiguous(call->ctx, cast) : NULL;
    bool done = places != NULL;
    UnpoolJob job = {.planes = spec->shape[0] * spec->shape[1], .dtype = spec->dtype, .to = call->out[0]->data};
    if (done && job.planes > 0) {
        job.per = tensor_size(x) / job.planes;
        job.size = spec_size(spec) / job.planes;
        job.group = job.size >= TASK_ELEMENTS ? 1 : TASK_ELEMENTS / (job.size + 1);
        job.from = x->data;
        job.places = narrow ? NULL : (const int64_t *)(const void *)places->data;
        job.places32 = narrow ? (const int32_t *)(const void *)places->data : NULL;
        done = pool_run(call->ctx, (job.planes + job.group - 1) / job.group, unpool_task, &job);
    }
    long long wrong = atomic_load(&job.wrong);
    if (done && wrong != 0)
        done = op_error(call, ERROR_index, "place %lld lies outside an image of %lld pixels",
                        wrong > 0 ? wrong - 1 : wrong, (long long)job.size);
    tensor_release(x);
    tensor_release(cast);
    tensor_release(places);
    return done;
}

/* Each element's gradient is the one at its place. */
bool max_unpool_grad(GradCall *g)
{
    const TensorSpec *x = &g->in_spec[0], *y = &g->out_spec[0];
    int64_t small[3] = {x->shape[0], x->shape[1], -1}, flat[3] = {y->shape[0], y->shape[1], 1};
    Attr axis = attr_int(2);
    if (!g->wants[0])
        return true;
    small[2] = 1;
    for (int i = 2; i < x->ndim; i++) {
        small[2] *= x->shape[i];
        flat[2] *= y->shape[i];
    }
    Tensor *in[2] = {s_reshape(g->s, g->dy[0], 3, flat), s_reshape(g->s, g->in[1], 3, small)};
    g->dx[0] = s_reshape(g->s, s_op(g->s, OP_gather, 2, in, &axis, 0), x->ndim, x->shape);
    return g->dx[0] != NULL;
}

/* ---- average ---- */

static bool windows_avg(OpCall *call, const Attr *attr, int space, Windows *v)
{
    v->counts_padding = attr[4].b;
    return windows_make(call, (WindowAttrs){&attr[0], &attr[1], &attr[2], NULL, attr[3].b}, space, v);
}

static bool windows_forward(OpCall *call, Windows *v)
{
    const Tensor *x = call->in[0];
    int space = space_of(call, x);
    *v = (Windows){.planes = x->ndim > 1 ? x->shape[0] * x->shape[1] : 0};
    if (!space)
        return false;
    set_axes(v->in, space, x->shape + 2, 1);
    return windows_avg(call, call->attr, space, v);
}

static Dtype mean_dtype(const Tensor *x)
{
    return dtype_class((Dtype)x->dtype) == CLASS_FLOAT ? (Dtype)x->dtype : DTYPE_f32;
}

bool shape_avg_pool(OpCall *call)
{
    Windows v;
    if (!windows_forward(call, &v))
        return false;
    call->spec[0] = spec_like(call->in[0], mean_dtype(call->in[0]), v.out);
    return true;
}

/* What an element counts for along one axis of a window. */
static double share(const Windows *v, Range r)
{
    return 1.0 / (double)(v->counts_padding ? r.extent : r.last - r.first);
}

/* The lines that a row of windows covers are summed first, then the columns of each window. */
#define AVERAGE(name, type)                                                                                            \
    static void name(const PoolJob *job, const type *x, type *line, type *to)                                          \
    {                                                                                                                  \
        const Windows *v = &job->v;                                                                                    \
        const int64_t w = v->in[2];                                                                                    \
        for (int64_t row = 0; row < v->out[0] * v->out[1]; row++) {                                                    \
            Range deep = window_range(v, 0, row / v->out[1]), high = window_range(v, 1, row % v->out[1]);              \
            double part = share(v, deep) * share(v, high);                                                             \
            memset(line, 0, (size_t)w * sizeof *line);                                                                 \
            for (int64_t z = deep.first; z < deep.last; z++)                                                           \
                for (int64_t y = high.first; y < high.last; y++)                                                       \
                    for (int64_t i = 0; i < w; i++)                                                                    \
                        line[i] += x[(z * v->in[1] + y) * w + i];                                                      \
            for (int64_t c = 0; c < v->out[2]; c++) {                                                                  \
                const Column *wide = &job->columns[c];                                                                 \
                type sum = 0;                                                                                          \
                for (int64_t i = wide->first; i < wide->last; i++)                                                     \
                    sum += line[i];                                                                                    \
                *to++ = sum * (type)(part * wide->share);                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_back(const PoolJob *job, const type *dy, type *line, type *to)                                  \
    {                                                                                                                  \
        const Windows *v = &job->v;                                                                                    \
        const int64_t w = v->in[2];                                                                                    \
        memset(to, 0, (size_t)product(v->in) * sizeof *to);                                                            \
        for (int64_t row = 0; row < v->out[0] * v->out[1]; row++) {                                                    \
            Range deep = window_range(v, 0, row / v->out[1]), high = window_range(v, 1, row % v->out[1]);              \
            double part = share(v, deep) * share(v, high);                                                             \
            memset(line, 0, (size_t)w * sizeof *line);                                                                 \
            for (int64_t c = 0; c < v->out[2]; c++) {                                                                  \
                const Column *wide = &job->columns[c];                                                                 \
                type each = *dy++ * (type)(part * wide->share);                                                        \
                for (int64_t i = wide->first; i < wide->last; i++)                                                     \
                    line[i] += each;                                                                                   \
            }                                                                                                          \
            for (int64_t z = deep.first; z < deep.last; z++)                                                           \
                for (int64_t y = high.first; y < high.last; y++)                                                       \
                    for (int64_t i = 0; i < w; i++)                                                                    \
                        to[(z * v->in[1] + y) * w + i] += line[i];                                                     \
        }                                                                                                              \
    }
AVERAGE(average_float, float)
AVERAGE(average_double, double)

static void average_planes(PoolJob *job, int64_t task, bool back)
{
    const Windows *v = &job->v;
    Error error = {0};
    void *line = scratch_take(&error, (size_t)(v->in[2] + 1) * sizeof(double));
    if (!line)
        atomic_store(&job->failed, true);
    for (int64_t plane = task * job->group; line && plane < group_end(job, task); plane++) {
        int64_t image = plane * product(v->in), small = plane * product(v->out);
        int64_t from = back ? small : image, to = back ? image : small;
        if (job->dtype == DTYPE_f32)
            (back ? average_float_back : average_float)(job, (const float *)job->from + from, line,
                                                        (float *)job->to + to);
        else
            (back ? average_double_back : average_double)(job, (const double *)job->from + from, line,
                                                          (double *)job->to + to);
    }
    scratch_release(line);
}

static void average_task(void *arg, int64_t task) { average_planes(arg, task, false); }
static void average_back_task(void *arg, int64_t task) { average_planes(arg, task, true); }

/* Fills job->columns and runs. */
static bool average_run(OpCall *call, PoolJob *job, void (*task)(void *, int64_t))
{
    const Windows *v = &job->v;
    job->columns = scratch_take(&call->ctx->error, (size_t)(v->out[2] + 1) * sizeof *job->columns);
    for (int64_t c = 0; job->columns && c < v->out[2]; c++) {
        Range r = window_range(v, 2, c);
        job->columns[c] = (Column){r.first, r.last, share(v, r)};
    }
    bool done = job->columns && pool_planes(call, job, task);
    scratch_release(job->columns);
    return done && (!atomic_load(&job->failed) || op_error(call, ERROR_memory, "no memory is left to work in"));
}

bool avg_pool_run(OpCall *call)
{
    PoolJob job = {.dtype = call->spec[0].dtype, .to = call->out[0]->data};
    return windows_forward(call, &job.v) && average_run(call, &job, average_task);
}

bool avg_pool_grad(GradCall *g)
{
    const TensorSpec *x = &g->in_spec[0];
    Attr attr[6] = {attr_ints(x->ndim - 2, x->shape + 2), g->attr[0], g->attr[1], g->attr[2], g->attr[3], g->attr[4]};
    if (g->wants[0])
        g->dx[0] = s_op(g->s, OP_avg_pool_input_grad, 1, &g->dy[0], attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

static bool windows_back(OpCall *call, Windows *v)
{
    const Tensor *dy = call->in[0];
    int space = space_of(call, dy);
    int64_t in[AXES];
    char wanted[96];
    *v = (Windows){.planes = dy->ndim > 1 ? dy->shape[0] * dy->shape[1] : 0};
    if (!space || !op_sizes(call, "space", &call->attr[0], space, 0, in))
        return false;
    set_axes(v->in, space, in, 1);
    if (!windows_avg(call, call->attr + 1, space, v))
        return false;
    if (memcmp(dy->shape + 2, v->out + AXES - space, (size_t)space * sizeof *in) == 0)
        return true;
    TensorSpec spec = spec_like(dy, DTYPE_f32, v->out);
    shape_format(spec.ndim, spec.shape, wanted, sizeof wanted);
    return op_error(call, ERROR_shape, "dy must be %s", wanted);
}

bool shape_avg_pool_input_grad(OpCall *call)
{
    Windows v;
    if (!windows_back(call, &v))
        return false;
    call->spec[0] = spec_like(call->in[0], mean_dtype(call->in[0]), v.in);
    return true;
}

bool avg_pool_input_grad_run(OpCall *call)
{
    PoolJob job = {.dtype = call->spec[0].dtype, .to = call->out[0]->data};
    return windows_back(call, &job.v) && average_run(call, &job, average_back_task);
}

bool avg_pool_input_grad_grad(GradCall *g)
{
    if (g->wants[0])
        g->dx[0] = s_op(g->s, OP_avg_pool, 1, &g->dy[0], g->attr + 1, 0);
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

/* One axis at a time: the means over a box of windows are means of means. */
static Tensor *average_axes(Scope *s, Tensor *x, int space, const int64_t *size)
{
    for (int i = 0; x && i < space; i++) {
        int axis = 2 + i, last = x->ndim - 1;
        Tensor *m = averaging_matrix(s, x->shape[axis], size[i], (Dtype)x->dtype);
        x = s_transpose(s, s_matmul(s, s_transpose(s, x, axis, last), s_transpose(s, m, 0, 1)), axis, last);
    }
    return x;
}

bool adaptive_avg_pool_run(OpCall *call)
{
    Tensor *x = call->in[0], *y = NULL;
    Windows v;
    if (!windows_adaptive(call, &v))
        return false;
    Scope s;
    scope_init(&s, call->ctx);
    int space = x->ndim - 2;
    const int64_t *in = v.in + AXES - space, *out = v.out + AXES - space;
    int64_t window[AXES];
    bool even = true, whole = true, axes[TENSOR_MAX_DIMS] = {false, false, true, true, true};
    for (int i = 0; i < space; i++) {
        even = even && in[i] % out[i] == 0;
        whole = whole && out[i] == 1;
        window[i] = in[i] / out[i];
    }
    x = s_cast(&s, x, mean_dtype(x));
    if (whole) {
        y = s_scale(&s, s_sum(&s, x, axes, true), 1 / (double)product(v.in));
    } else if (even) {
        Attr attr[5] = {attr_ints(space, window), attr_none(), attr_ints(1, (int64_t[1]){0}), attr_bool(false),
                        attr_bool(true)};
        y = x ? s_op(&s, OP_avg_pool, 1, &x, attr, 0) : NULL;
    } else {
        y = average_axes(&s, x, space, out);
    }
    call->out[0] = tensor_retain(y);
    scope_clear(&s);
    return call->out[0] != NULL;
}
