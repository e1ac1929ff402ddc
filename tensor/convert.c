/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copies between strided layouts, converting dtypes: the one place where bytes of one tensor become another's.
   Axes are merged first; equal dtypes move as words (transposes in tiles), unequal ones through a buffer of wide
   numbers: int64 from bools and ints, double from floats. Invariant: the result does not depend on threads. */
#include <string.h>

#include "core.h"
#include "half.h"
#include "kernels.h"

#define BUFFER 256
#define PARALLEL_FROM (1 << 16)       /* elements from which the pool is worth its wake-up */
#define TILE 16

typedef struct Walk {         /* merged axes, outermost first */
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS], dst[TENSOR_MAX_DIMS], src[TENSOR_MAX_DIMS];
} Walk;

void dense_strides(int ndim, const int64_t *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape[i] > 1 ? shape[i] : 1;
    }
}

static void merge_axes(Walk *walk, const int64_t *dst, const int64_t *src, int ndim, const int64_t *shape)
{
    walk->ndim = 0;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] == 1)
            continue;
        int last = walk->ndim - 1;
        if (last >= 0 && walk->dst[last] == dst[i] * shape[i] && walk->src[last] == src[i] * shape[i]) {
            walk->shape[last] *= shape[i];
            walk->dst[last] = dst[i];
            walk->src[last] = src[i];
            continue;
        }
        walk->shape[walk->ndim] = shape[i];
        walk->dst[walk->ndim] = dst[i];
        walk->src[walk->ndim++] = src[i];
    }
    if (walk->ndim == 0) {
        walk->ndim = 1;
        walk->shape[0] = walk->dst[0] = walk->src[0] = 1;
    }
}

/* ---- equal dtypes: words of 1, 4 or 8 bytes ---- */

#define MOVE(bits)                                                                                                    \
    static void move_##bits(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n)                           \
    {                                                                                                                 \
        uint##bits##_t *to = (uint##bits##_t *)(void *)dst;                                                           \
        const uint##bits##_t *from = (const uint##bits##_t *)(const void *)src;                                       \
        if (ds == 1 && ss == 1)                                                                                       \
            memcpy(to, from, (size_t)n * sizeof *to);                                                                 \
        else if (ds == 1 && ss == 0)                                                                                  \
            for (int64_t i = 0; i < n; i++)                                                                           \
                to[i] = from[0];                                                                                      \
        else                                                                                                          \
            for (int64_t i = 0; i < n; i++)                                                                           \
                to[i * ds] = from[i * ss];                                                                            \
    }
MOVE(8)
MOVE(16)
MOVE(32)
MOVE(64)

typedef void Move(char *dst, int64_t ds, const char *src, int64_t ss, int64_t n);

static Move *move_of(size_t size)
{
    return size == 1 ? move_8 : size == 2 ? move_16 : size == 4 ? move_32 : move_64;
}

/* ---- unequal dtypes ---- */

static int64_t saturate(double value, double low, double high)
{
    if (!(value >= low))
        return value < low ? (int64_t)low : 0;      /* NaN compares false both ways */
    return value >= high ? (high >= 0x1p63 ? INT64_MAX : (int64_t)high) : (int64_t)value;
}

static uint8_t bool_from_int(int64_t v) { return v != 0; }
static uint8_t u8_from_int(int64_t v) { return (uint8_t)v; }
static int32_t i32_from_int(int64_t v) { return (int32_t)v; }
static int64_t i64_from_int(int64_t v) { return v; }
static uint16_t f16_from_int(int64_t v) { return f16_from_f64((double)v); }      /* exact up to 2^53, far beyond 65504 */
static uint16_t bf16_from_int(int64_t v) { return bf16_from_f64((double)v); }
static float f32_from_int(int64_t v) { return (float)v; }
static double f64_from_int(int64_t v) { return (double)v; }
static uint8_t bool_from_real(double v) { return v != 0.0; }
static uint8_t u8_from_real(double v) { return (uint8_t)saturate(v, 0, 255); }
static int32_t i32_from_real(double v) { return (int32_t)saturate(v, -0x1p31, 0x1p31 - 1); }
static int64_t i64_from_real(double v) { return saturate(v, -0x1p63, 0x1p63); }
static uint16_t f16_from_real(double v) { return f16_from_f64(v); }
static uint16_t bf16_from_real(double v) { return bf16_from_f64(v); }
static float f32_from_real(double v) { return (float)v; }
static double f64_from_real(double v) { return v; }

#define REAL_bool (double)
#define REAL_u8 (double)
#define REAL_i32 (double)
#define REAL_i64 (double)
#define REAL_f16 (double)f32_from_f16
#define REAL_bf16 (double)f32_from_bf16
#define REAL_f32 (double)
#define REAL_f64

#define DTYPE(name, ctype, class, st, npy)                                                                            \
    static void gather_int_##name(int64_t *to, const char *at, int64_t stride, int64_t n)                             \
    {                                                                                                                 \
        const ctype *from = (const ctype *)(const void *)at;                                                          \
        for (int64_t i = 0; i < n; i++)                                                                               \
            to[i] = (int64_t)from[i * stride];                                                                        \
    }                                                                                                                 \
    static void gather_real_##name(double *to, const char *at, int64_t stride, int64_t n)                             \
    {                                                                                                                 \
        const ctype *from = (const ctype *)(const void *)at;                                                          \
        for (int64_t i = 0; i < n; i++)                                                                               \
            to[i] = REAL_##name(from[i * stride]);                                                                    \
    }                                                                                                                 \
    static void scatter_int_##name(char *at, int64_t stride, const int64_t *from, int64_t n)                          \
    {                                                                                                                 \
        ctype *to = (ctype *)(void *)at;                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                               \
            to[i * stride] = name##_from_int(from[i]);                                                                \
    }                                                                                                                 \
    static void scatter_real_##name(char *at, int64_t stride, const double *from, int64_t n)                          \
    {                                                                                                                 \
        ctype *to = (ctype *)(void *)at;                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                               \
            to[i * stride] = name##_from_real(from[i]);                                                               \
    }
#include "dtypes.def"
#undef DTYPE

static const struct Conversion {
    bool real;
    void (*gather_int)(int64_t *to, const char *at, int64_t stride, int64_t n);
    void (*gather_real)(double *to, const char *at, int64_t stride, int64_t n);
    void (*scatter_int)(char *at, int64_t stride, const int64_t *from, int64_t n);
    void (*scatter_real)(char *at, int64_t stride, const double *from, int64_t n);
} conversions[DTYPE_COUNT] = {
#define DTYPE(name, ctype, class, st, npy)                                                                            \
    [DTYPE_##name] = {CLASS_##class == CLASS_FLOAT, gather_int_##name, gather_real_##name, scatter_int_##name,        \
                      scatter_real_##name},
#include "dtypes.def"
#undef DTYPE
};

double element_load(Dtype dtype, const char *at)
{
    double value;
    conversions[dtype].gather_real(&value, at, 1, 1);
    return value;
}

int64_t element_load_int(Dtype dtype, const char *at)
{
    if (conversions[dtype].real)
        return i64_from_real(element_load(dtype, at));
    int64_t value;
    conversions[dtype].gather_int(&value, at, 1, 1);
    return value;
}

static void convert_row(Dtype to, char *dst, int64_t ds, Dtype from, const char *src, int64_t ss, int64_t n)
{
    ConvertKernel *kernel = ds == 1 && ss == 1 ? kernels()->convert[from][to] : NULL;
    if (kernel) {
        kernel(n, src, dst);
        return;
    }
    int64_t size = (int64_t)dtype_size(to), width = (int64_t)dtype_size(from);
    for (int64_t done = 0; done < n; done += BUFFER) {
        int64_t part = n - done < BUFFER ? n - done : BUFFER;
        char *at = dst + done * ds * size;
        const char *take = src + done * ss * width;
        if (conversions[from].real) {
            double wide[BUFFER];
            conversions[from].gather_real(wide, take, ss, part);
            conversions[to].scatter_real(at, ds, wide, part);
        } else {
            int64_t wide[BUFFER];
            conversions[from].gather_int(wide, take, ss, part);
            conversions[to].scatter_int(at, ds, wide, part);
        }
    }
}

/* ---- the walk ---- */

typedef struct Job {
    Walk walk;
    Dtype to, from;
    char *dst;
    const char *src;
    Move *move;               /* NULL: convert */
    bool tiled;               /* the last two axes are a transpose */
    int64_t per_task;         /* rows of the outermost axis */
} Job;

static void copy_row(const Job *job, char *dst, int64_t ds, const char *src, int64_t ss, int64_t n)
{
    if (job->move)
        job->move(dst, ds, src, ss, n);
    else
        convert_row(job->to, dst, ds, job->from, src, ss, n);
}

/* One matrix [rows, cols] whose source runs along the rows: in tiles, so that each cache line is used whole. */
static void copy_tiles(const Job *job, char *dst, const char *src, int axis)
{
    const Walk *w = &job->walk;
    int64_t size = (int64_t)dtype_size(job->to);
    for (int64_t r = 0; r < w->shape[axis]; r += TILE)
        for (int64_t c = 0; c < w->shape[axis + 1]; c += TILE) {
            int64_t rows = w->shape[axis] - r < TILE ? w->shape[axis] - r : TILE;
            int64_t cols = w->shape[axis + 1] - c < TILE ? w->shape[axis + 1] - c : TILE;
            for (int64_t i = r; i < r + rows; i++)
                job->move(dst + (i * w->dst[axis] + c * w->dst[axis + 1]) * size, w->dst[axis + 1],
                          src + (i * w->src[axis] + c * w->src[axis + 1]) * size, w->src[axis + 1], cols);
        }
}

static void copy_axes(const Job *job, char *dst, const char *src, int axis)
{
    const Walk *w = &job->walk;
    if (axis == w->ndim - 1) {
        copy_row(job, dst, w->dst[axis], src, w->src[axis], w->shape[axis]);
        return;
    }
    if (job->tiled && axis == w->ndim - 2) {
        copy_tiles(job, dst, src, axis);
        return;
    }
    int64_t to = w->dst[axis] * (int64_t)dtype_size(job->to), from = w->src[axis] * (int64_t)dtype_size(job->from);
    for (int64_t i = 0; i < w->shape[axis]; i++)
        copy_axes(job, dst + i * to, src + i * from, axis + 1);
}

static void copy_task(void *arg, int64_t task)
{
    Job part = *(const Job *)arg;
    int64_t first = task * part.per_task, left = part.walk.shape[0] - first;
    char *dst = part.dst + first * part.walk.dst[0] * (int64_t)dtype_size(part.to);
    const char *src = part.src + first * part.walk.src[0] * (int64_t)dtype_size(part.from);
    part.walk.shape[0] = left < part.per_task ? left : part.per_task;
    copy_axes(&part, dst, src, 0);
}

bool convert_strided(TensorContext *ctx, StridedSide dst, StridedSide src, int ndim, const int64_t *shape)
{
    int64_t total = 1;
    for (int i = 0; i < ndim; i++)
        total *= shape[i];
    if (total == 0)
        return true;
    Job job = {.to = dst.dtype, .from = src.dtype, .dst = dst.data, .src = src.data};
    job.move = dst.dtype == src.dtype ? move_of(dtype_size(dst.dtype)) : NULL;
    merge_axes(&job.walk, dst.stride, src.stride, ndim, shape);
    const Walk *w = &job.walk;
    int last = w->ndim - 1;
    job.tiled = job.move && last > 0 && w->src[last] > 1 && w->src[last - 1] == 1 && w->shape[last - 1] > 1;
    job.per_task = w->shape[0];
    if (total >= PARALLEL_FROM) {
        int64_t per_row = total / w->shape[0];
        job.per_task = per_row >= PARALLEL_FROM / 4 ? 1 : PARALLEL_FROM / 4 / per_row;
        if (job.tiled && last == 1)   /* whole tiles */
            job.per_task = (job.per_task + TILE - 1) / TILE * TILE;
    }
    int64_t tasks = (w->shape[0] + job.per_task - 1) / job.per_task;
    if (tasks > 1)
        return pool_run(ctx, tasks, copy_task, &job);
    copy_task(&job, 0);
    return true;
}
