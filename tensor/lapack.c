/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens LAPACK's routines and runs them over batches of matrices (lapack.h). LAPACK is column-major: inputs are copied
   with their last two axes swapped, and results back in the same way.
   Invariant: what runs here sees its own job only, so a job may go on after the op that started it has failed. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "lapack.h"

#define QUICK_WORK 1e8        /* multiply-adds that an interrupt may wait for: about 50 ms at the slowest */
#define GROUP_WORK 2e5        /* multiply-adds worth a task */

/* ---- opening ---- */

static Lapack routines[2];    /* f32, f64 */
static const char *missing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_routine(const char *name, void *slot, char letter)
{
    char symbol[16];
    snprintf(symbol, sizeof symbol, "%c%s_", letter, name);
    void *at = blas_symbol(symbol);
    if (!at)
        missing = name;
    memcpy(slot, &at, sizeof at);    /* dlsym gives an object pointer where a function is meant */
}

static void open_routines(void)
{
    for (int i = 0; i < 2; i++) {
#define ROUTINE(name, arguments) open_routine(#name, &routines[i].name, i ? 'd' : 's');
        LAPACK_ROUTINES
#undef ROUTINE
    }
}

const Lapack *lapack_open(Error *error, Dtype dtype)
{
    if (!blas_open(error))
        return NULL;
    pthread_once(&once, open_routines);
    if (!missing)
        return &routines[dtype == DTYPE_f64];
    error_set(error, ERROR_module, "", "the matrix library %s has no LAPACK: %s is missing", blas_path(), missing);
    error_hint(error, "on Debian: apt-get install libopenblas0-pthread");
    return NULL;
}

/* ---- checks ---- */

bool check_matrix(OpCall *call, int i)
{
    const Tensor *x = call->in[i];
    if (x->ndim >= 2)
        return true;
    char shape[96];
    shape_format(x->ndim, x->shape, shape, sizeof shape);
    return op_error(call, ERROR_shape, "needs a matrix [..., n, m], got %s", shape);
}

bool check_square(OpCall *call, int i)
{
    const Tensor *x = call->in[i];
    if (!check_matrix(call, i))
        return false;
    int64_t n = x->shape[x->ndim - 2], m = x->shape[x->ndim - 1];
    if (n == m)
        return true;
    op_error(call, ERROR_shape, "needs a square matrix, got %lld rows and %lld columns", (long long)n, (long long)m);
    error_hint(&call->ctx->error, "lstsq, pinv, qr and svd take any matrix");
    return false;
}

/* ---- the job ---- */

static size_t padded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

void factor_part(Factor *plan, int64_t rows, int64_t columns)
{
    plan->part[plan->n_parts++] = (Part){.rows = rows, .columns = columns};
}

static int64_t part_bytes(const Factor *f, int which)
{
    return f->part[which].rows * f->part[which].columns * (int64_t)dtype_size(f->dtype);
}

Job *factor_open(OpCall *call, Factor *plan, const TensorSpec *spec, int inner)
{
    plan->dtype = call->spec[0].dtype;
    plan->count = 1;
    for (int i = 0; i < spec->ndim - inner; i++)
        plan->count *= spec->shape[i];
    plan->lapack = lapack_open(&call->ctx->error, plan->dtype);
    if (!plan->lapack)
        return NULL;
    plan->bytes = padded(sizeof *plan) + padded((size_t)plan->count * sizeof(Trouble));
    for (int i = 0; i < plan->n_parts; i++) {
        plan->part[i].at = plan->bytes;
        plan->bytes += padded((size_t)(plan->count * part_bytes(plan, i)));
    }
    Job *job = job_new(&call->ctx->error, plan->bytes);
    if (!job)
        return NULL;
    Factor *f = job_data(job);
    *f = *plan;
    f->trouble = (Trouble *)(void *)((char *)f + padded(sizeof *f));
    memset(f->trouble, 0, (size_t)f->count * sizeof *f->trouble);
    return job;
}

void *factor_matrix(Factor *f, int which, int64_t item)
{
    return (char *)f + f->part[which].at + item * part_bytes(f, which);
}

/* Strides of a part seen as [batch…, rows, columns]. */
static void part_strides(const Factor *f, int which, int n_batch, const int64_t *batch, bool vector, int64_t *stride)
{
    int64_t step = f->part[which].rows * f->part[which].columns;
    for (int i = n_batch - 1; i >= 0; i--) {
        stride[i] = step;
        step *= batch[i];
    }
    stride[n_batch] = 1;
    if (!vector)
        stride[n_batch + 1] = f->part[which].rows;
}

bool factor_input(OpCall *call, Factor *f, int which, Tensor *x, bool vector, int n_batch, const int64_t *batch)
{
    int inner = vector ? 1 : 2, lead = x->ndim - inner;
    int64_t shape[TENSOR_MAX_DIMS + 1], from[TENSOR_MAX_DIMS + 1], to[TENSOR_MAX_DIMS + 1];
    for (int i = 0; i < n_batch; i++) {
        int own = i - (n_batch - lead);
        shape[i] = batch[i];
        from[i] = own < 0 || x->shape[own] == 1 ? 0 : x->stride[own];
    }
    for (int i = 0; i < inner; i++) {
        shape[n_batch + i] = x->shape[lead + i];
        from[n_batch + i] = x->stride[lead + i];
    }
    part_strides(f, which, n_batch, batch, vector, to);
    StridedSide target = {f->dtype, factor_matrix(f, which, 0), to}, source = {(Dtype)x->dtype, x->data, from};
    if (which >= f->inputs)
        f->inputs = which + 1;
    return convert_strided(call->ctx, target, source, n_batch + inner, shape);
}

bool factor_output(OpCall *call, Factor *f, int which, Tensor *out, bool vector)
{
    int64_t from[TENSOR_MAX_DIMS + 1];
    part_strides(f, which, out->ndim - (vector ? 1 : 2), out->shape, vector, from);
    StridedSide source = {f->dtype, factor_matrix(f, which, 0), from};
    return convert_strided(call->ctx, (StridedSide){(Dtype)out->dtype, out->data, out->stride}, source, out->ndim,
                           out->shape);
}

/* ---- running ---- */

void *factor_scratch(Factor *f, int64_t item, size_t bytes)
{
    Error ignored = {.kind = ERROR_NONE};
    void *scratch = scratch_take(&ignored, bytes);
    if (!scratch)
        f->trouble[item] = (Trouble){.kind = TROUBLE_MEMORY, .at = (int64_t)bytes};
    return scratch;
}

bool factor_info(Factor *f, int64_t item, int info, TroubleKind kind)
{
    if (info != 0)
        f->trouble[item] = (Trouble){.kind = kind, .at = info > 0 ? info - 1 : 0};
    return info == 0;
}

void factor_negate(const Factor *f, void *a, int64_t first, int64_t step, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        factor_store(f, a, first + i * step, -factor_load(f, a, first + i * step));
}

/* Whether LAPACK looks at an element of a triangular matrix. */
static bool is_read(const Factor *f, int64_t row, int64_t column)
{
    return row == column ? !f->unit : (row < column) == f->upper;
}

/* Notes where an input of the item is NaN or infinite. */
static bool is_finite(Factor *f, int64_t item)
{
    for (int p = 0; p < f->inputs; p++) {
        const void *a = factor_matrix(f, p, item);
        int64_t rows = f->part[p].rows, columns = f->part[p].columns;
        for (int64_t i = 0; i < rows * columns; i++)
            if (!isfinite(factor_load(f, a, i)) && (!f->triangular || p > 0 || is_read(f, i % rows, i / rows))) {
                f->trouble[item] = (Trouble){TROUBLE_NOT_FINITE, i % rows, i / rows, p};
                return false;
            }
    }
    return true;
}

static void run_group(void *data, int64_t group)
{
    Factor *f = data;
    int64_t end = (group + 1) * f->group;
    for (int64_t item = group * f->group; item < end && item < f->count; item++)
        if (is_finite(f, item))
            f->run(f, item);
}

/* " [2, 0] of the batch", or nothing when there is one matrix only. */
static void name_item(const TensorSpec *spec, int inner, int64_t item, char *text, size_t size)
{
    int64_t place[TENSOR_MAX_DIMS];
    int n = spec->ndim - inner;
    text[0] = '\0';
    for (int i = n - 1; i >= 0; i--) {
        place[i] = item % spec->shape[i];
        item /= spec->shape[i];
    }
    if (n > 0) {
        char index[96];
        shape_format(n, place, index, sizeof index);
        snprintf(text, size, " %s of the batch", index);
    }
}

static bool report(OpCall *call, const Trouble *t, const TensorSpec *spec, int inner, int64_t item)
{
    char which[128];
    name_item(spec, inner, item, which, sizeof which);
    switch (t->kind) {
    case TROUBLE_NOT_FINITE:
        return op_error(call, ERROR_value, "%s holds NaN or infinity, first at [%lld, %lld]%s%s",
                        op_signature(call->def)->param[t->input].name, (long long)t->at, (long long)t->column,
                        which[0] ? " of matrix" : "", which);
    case TROUBLE_SINGULAR:
        op_error(call, ERROR_value, "matrix%s is singular: pivot %lld is 0", which, (long long)t->at);
        error_hint(&call->ctx->error, "lstsq and pinv take singular matrices, too");
        return false;
    case TROUBLE_MINOR:
        op_error(call, ERROR_value, "matrix%s is not positive definite: its leading minor of order %lld is not", which,
                 (long long)t->at + 1);
        error_hint(&call->ctx->error, "adding a small multiple of eye(n) makes a covariance definite");
        return false;
    case TROUBLE_NO_CONVERGENCE:
        return op_error(call, ERROR_value, "no convergence for matrix%s", which);
    case TROUBLE_MEMORY:
        return op_error(call, ERROR_memory, "no memory is left for %lld bytes of work", (long long)t->at);
    default:
        return true;
    }
}

bool factor_run(OpCall *call, Job *job, double work, FactorRun *run, const TensorSpec *spec, int inner)
{
    Factor *f = job_data(job);
    f->run = run;
    f->group = work < GROUP_WORK ? (int64_t)(GROUP_WORK / (work + 1)) + 1 : 1;
    int64_t groups = (f->count + f->group - 1) / f->group;
    if (!job_run(call->ctx, job, groups, work > QUICK_WORK, run_group))
        return false;
    for (int64_t i = 0; i < f->count; i++)
        if (f->trouble[i].kind != TROUBLE_NONE)
            return report(call, &f->trouble[i], spec, inner, i);
    return true;
}
