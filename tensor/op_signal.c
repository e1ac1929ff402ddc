/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fourier transforms along one axis: fft, ifft, rfft, irfft. Complex numbers are real tensors with a last axis of 2,
   and axes are counted without it. Rows are copied into a job, padded or cut to n, transformed in place by FFTW, one
   row a time, and copied out: the bits depend on neither batch nor threads.
   Each row's gradient is another of the four, by the dual factor, so any order works. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "fft.h"
#include "job.h"

#define GROUP_POINTS 4096     /* numbers worth a task */
#define QUICK_POINTS (1 << 20) /* rows longer than this make an interrupt wait */

/* The factor of a transform: none, 1 / n, or 1 / sqrt(n); by norm, which says where 1 / n goes. */
typedef enum Factor { FACTOR_NONE, FACTOR_ALL, FACTOR_HALF } Factor;

static bool read_norm(OpCall *call, bool inverse, Factor *factor)
{
    const char *norm = call->attr[2].str;
    if (strcmp(norm, "ortho") == 0) *factor = FACTOR_HALF;
    else if (strcmp(norm, "backward") == 0) *factor = inverse ? FACTOR_ALL : FACTOR_NONE;
    else if (strcmp(norm, "forward") == 0) *factor = inverse ? FACTOR_NONE : FACTOR_ALL;
    else return op_error(call, ERROR_value, "norm is \"backward\", \"ortho\" or \"forward\", not \"%.40s\"", norm);
    return true;
}

/* ---- shapes ---- */

/* The axis and length of a transform; complex inputs lose their last axis in [spec]. */
static bool read_transform(OpCall *call, bool complex, bool half, TensorSpec *spec, int *axis, int64_t *n)
{
    Factor factor;
    spec_of(call->in[0], spec);
    spec->dtype = op_promote(1, call->in, true, true);
    if (complex && (spec->ndim < 2 || spec->shape[spec->ndim - 1] != 2)) {
        op_error(call, ERROR_shape, "needs complex numbers: a last axis of 2, real and imaginary part");
        error_hint(&call->ctx->error, "rfft takes real numbers, complex(x) makes complex ones of them");
        return false;
    }
    spec->ndim -= complex;
    if (!read_norm(call, false, &factor) || !op_axis(call, call->attr[1].i, spec->ndim, axis)) return false;
    int64_t length = spec->shape[*axis];
    *n = !call->attr[0].none ? call->attr[0].i : half ? 2 * (length - 1) : length;
    if (*n < 1 || *n > INT32_MAX)
        return op_error(call, ERROR_value, "a transform of %lld points, it needs 1 or more", (long long)*n);
    return true;
}

static bool shape_transform(OpCall *call, bool complex, bool half, bool complex_result)
{
    TensorSpec *out = &call->spec[0];
    int axis;
    int64_t n;
    if (!read_transform(call, complex, half, out, &axis, &n)) return false;
    out->shape[axis] = complex_result && !complex ? n / 2 + 1 : n;
    if (!complex_result) return true;
    if (out->ndim == TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "complex results need an axis more than the %d there can be",
                        TENSOR_MAX_DIMS);
    out->shape[out->ndim++] = 2;
    return true;
}

bool shape_fft(OpCall *call) { return shape_transform(call, true, false, true); }
bool shape_rfft(OpCall *call) { return shape_transform(call, false, false, true); }
bool shape_irfft(OpCall *call) { return shape_transform(call, true, true, false); }

/* ---- running ---- */

/* Lies at the start of the job's data; the rows follow. */
typedef struct Rows {
    const FftModule *fft;
    FftKind kind;
    atomic_bool unplanned;    /* a task found no memory to plan */
    Dtype dtype;
    int64_t n, count, group, step;   /* step: bytes from row to row */
    double factor;
    char *first;
} Rows;

static const FftModule *open_fft(Error *error)
{
    static _Atomic(const FftModule *) opened;
    const FftModule *fft = atomic_load(&opened);
    if (fft == NULL) {
        fft = runtime_open_module(error, "fft");
        atomic_store(&opened, fft);
    }
    return fft;
}

static void scale_row(const Rows *r, void *row)
{
    int64_t numbers = r->kind == FFT_HALF ? r->n : r->kind == FFT_REAL ? 2 * (r->n / 2 + 1) : 2 * r->n;
    for (int64_t i = 0; i < numbers; i++) {
        if (r->dtype == DTYPE_f32) ((float *)row)[i] *= (float)r->factor;
        else ((double *)row)[i] *= r->factor;
    }
}

/* Plans here, since that takes long for long rows, too; the module keeps the plan for the other tasks. */
static void rows_task(void *data, int64_t task)
{
    Rows *r = data;
    FftPlan *plan = r->fft->plan(r->kind, r->dtype == DTYPE_f64, r->n, r->first + task * r->group * r->step);
    if (plan == NULL) {
        atomic_store(&r->unplanned, true);
        return;
    }
    for (int64_t i = task * r->group; i < (task + 1) * r->group && i < r->count; i++) {
        char *row = r->first + i * r->step;
        r->fft->run(plan, row);
        if (r->factor != 1) scale_row(r, row);
    }
    r->fft->release(plan);
}

/* Copies between a tensor and the rows: [keep] numbers of each, complex ones as pairs. */
static bool copy_rows(OpCall *call, const Rows *r, Tensor *t, bool in, bool complex, int axis, int64_t keep)
{
    int ndim = t->ndim - complex;
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS], step = r->step / (int64_t)dtype_size(r->dtype);
    for (int i = ndim - 1; i >= 0; i--) {
        shape[i] = i == axis ? keep : t->shape[i];
        stride[i] = i == axis ? 1 + complex : step;
        if (i != axis) step *= shape[i];
    }
    if (complex) {
        shape[ndim] = 2;
        stride[ndim] = 1;
    }
    StridedSide rows = {r->dtype, r->first, stride}, other = {(Dtype)t->dtype, t->data, t->stride};
    return convert_strided(call->ctx, in ? rows : other, in ? other : rows, t->ndim, shape);
}

static Job *open_rows(OpCall *call, FftKind kind, int64_t n, int64_t count)
{
    const FftModule *fft = open_fft(&call->ctx->error);
    Dtype dtype = call->spec[0].dtype;
    int64_t head = ((int64_t)sizeof(Rows) + 63) & ~(int64_t)63;
    int64_t numbers = kind == FFT_FORWARD || kind == FFT_BACKWARD ? 2 * n : 2 * (n / 2 + 1);
    int64_t step = (numbers * (int64_t)dtype_size(dtype) + 63) & ~(int64_t)63;
    Job *job = fft != NULL ? job_new(&call->ctx->error, (size_t)(head + count * step)) : NULL;
    if (job == NULL) return NULL;
    Rows *r = job_data(job);
    *r = (Rows){.fft = fft, .kind = kind, .dtype = dtype, .n = n, .count = count, .step = step, .factor = 1,
                .group = GROUP_POINTS / n + 1, .first = (char *)r + head};
    return job;
}

static bool run_rows(OpCall *call, Job *job)
{
    Rows *r = job_data(job);
    if (!job_run(call->ctx, job, (r->count + r->group - 1) / r->group, r->n > QUICK_POINTS, rows_task)) return false;
    return !atomic_load(&r->unplanned)
        || op_error(call, ERROR_memory, "no memory is left to plan a transform of %lld points", (long long)r->n);
}

static bool transform(OpCall *call, FftKind kind, bool inverse)
{
    bool complex = kind != FFT_REAL, half = kind == FFT_HALF;
    TensorSpec spec;
    Factor factor;
    int axis = 0;
    int64_t n = 1;
    if (!read_transform(call, complex, half, &spec, &axis, &n) || !read_norm(call, inverse, &factor)) return false;
    if (tensor_size(call->out[0]) == 0) return true;
    int64_t had = spec.shape[axis], room = half ? n / 2 + 1 : n, count = 1;
    for (int i = 0; i < spec.ndim; i++) count *= i == axis ? 1 : spec.shape[i];
    Job *job = open_rows(call, kind, n, count);
    if (job == NULL) return false;
    Rows *r = job_data(job);
    if (factor != FACTOR_NONE) r->factor = factor == FACTOR_ALL ? 1 / (double)n : 1 / sqrt((double)n);
    if (had < room) memset(r->first, 0, (size_t)(count * r->step));
    bool done = copy_rows(call, r, call->in[0], true, complex, axis, had < room ? had : room) && run_rows(call, job)
             && copy_rows(call, r, call->out[0], false, kind != FFT_HALF, axis, kind == FFT_REAL ? n / 2 + 1 : n);
    job_release(job);
    return done;
}

bool fft_run(OpCall *call) { return transform(call, FFT_FORWARD, false); }
bool ifft_run(OpCall *call) { return transform(call, FFT_BACKWARD, true); }
bool rfft_run(OpCall *call) { return transform(call, FFT_REAL, false); }
bool irfft_run(OpCall *call) { return transform(call, FFT_HALF, true); }

/* ---- gradients ---- */

static int axis_of(const GradCall *g, int ndim)
{
    int64_t axis = g->attr[1].i;
    return (int)(axis < 0 ? axis + ndim : axis);
}

/* The adjoint's factor: what one direction multiplies by, the other must too. */
static Tensor *adjoint(GradCall *g, OpId id, Tensor *x, int axis, int64_t n)
{
    const char *norm = g->attr[2].str;
    const char *dual = norm[0] == 'o' ? "ortho" : norm[0] == 'b' ? "forward" : "backward";
    Attr attr[3] = {attr_int(n), attr_int(axis), {.str = dual}};
    return x != NULL ? s_op(g->s, id, 1, &x, attr, 0) : NULL;
}

/* x [n along axis] for an input of [had] there: what padding added goes, what was cut off gets zeros. */
static Tensor *undo_fit(Scope *s, Tensor *x, int axis, int64_t n, int64_t had)
{
    if (x == NULL || n == had) return x;
    Attr cut[4] = {attr_int(axis), attr_int(0), attr_int(had), attr_int(1)};
    Attr fill[4] = {attr_int(axis), attr_int(0), attr_int(1), attr_int(had)};
    return had < n ? s_op(s, OP_slice, 1, &x, cut, 0) : s_op(s, OP_unslice, 1, &x, fill, 0);
}

static bool complex_grad(GradCall *g, OpId id)
{
    const TensorSpec *in = &g->in_spec[0], *out = &g->out_spec[0];
    int axis = axis_of(g, in->ndim - 1);
    Tensor *dx = adjoint(g, id, g->dy[0], axis, out->shape[axis]);
    g->dx[0] = s_cast(g->s, undo_fit(g->s, dx, axis, out->shape[axis], in->shape[axis]), in->dtype);
    return g->dx[0] != NULL;
}

bool fft_grad(GradCall *g) { return complex_grad(g, OP_ifft); }
bool ifft_grad(GradCall *g) { return complex_grad(g, OP_fft); }

/* x times [inner] but at the ends of the half spectrum of n points, which stand for themselves, not for a pair. */
static Tensor *weigh_pairs(Scope *s, Tensor *x, int axis, int64_t n, double inner)
{
    int64_t shape[TENSOR_MAX_DIMS], length = n / 2 + 1;
    if (x == NULL) return NULL;
    for (int i = 0; i < x->ndim; i++) shape[i] = i == axis ? length : 1;
    Tensor *weight = scope_own(s, tensor_new(s->ctx, (Dtype)x->dtype, x->ndim, shape));
    if (weight == NULL) return NULL;
    for (int64_t i = 0; i < length; i++) tensor_store(weight, i, i == 0 || 2 * i == n ? 1 : inner);
    return s_mul(s, x, weight);
}

bool rfft_grad(GradCall *g)
{
    const TensorSpec *in = &g->in_spec[0];
    int axis = axis_of(g, in->ndim);
    int64_t n = g->attr[0].none ? in->shape[axis] : g->attr[0].i;
    Tensor *dx = adjoint(g, OP_irfft, weigh_pairs(g->s, g->dy[0], axis, n, 0.5), axis, n);
    g->dx[0] = s_cast(g->s, undo_fit(g->s, dx, axis, n, in->shape[axis]), in->dtype);
    return g->dx[0] != NULL;
}

bool irfft_grad(GradCall *g)
{
    const TensorSpec *in = &g->in_spec[0];
    int axis = axis_of(g, in->ndim - 1);
    int64_t n = g->out_spec[0].shape[axis];
    Tensor *dx = weigh_pairs(g->s, adjoint(g, OP_rfft, g->dy[0], axis, n), axis, n, 2);
    g->dx[0] = s_cast(g->s, undo_fit(g->s, dx, axis, n / 2 + 1, in->shape[axis]), in->dtype);
    return g->dx[0] != NULL;
}
