/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sort, argsort and topk along an axis, and searches in what is sorted. Every element becomes a 64-bit key in whose unsigned order the result stands
   (NaN last, both zeros equal, inverted when descending), carried with its index through a stable radix sort; topk
   with a small k keeps the best k in order instead. Gradients go back by the indices. */
#include <math.h>
#include <string.h>

#include "op.h"
#include "rows.h"

#define FEW 48                /* rows of this length are sorted by insertion; so many best ones are kept in order */

typedef struct Pair { uint64_t key; int64_t index; } Pair;

typedef struct SortJob {
    Dtype dtype;
    int64_t n, keep, size;    /* keep: elements of a row that go out */
    int64_t group;
    bool descending;
    const char *x;
    char *values;             /* NULL: not wanted */
    int64_t *indices;
    Pair *work;               /* two rows for every group */
    TensorContext *ctx;       /* a long row looks for an interrupt on its way */
} SortJob;

static uint64_t float_key(double x, bool descending)
{
    if (isnan(x)) return UINT64_MAX;
    if (x == 0.0) x = 0.0;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    return descending ? ~bits : bits;
}

static uint64_t key_of(Dtype dtype, const char *at, bool descending)
{
    int64_t whole;
    switch (dtype) {
    case DTYPE_f32: return float_key((double)*(const float *)(const void *)at, descending);
    case DTYPE_f64: return float_key(*(const double *)(const void *)at, descending);
    case DTYPE_i64: whole = *(const int64_t *)(const void *)at; break;
    case DTYPE_i32: whole = *(const int32_t *)(const void *)at; break;
    default: whole = *(const uint8_t *)(const void *)at;
    }
    uint64_t key = (uint64_t)whole ^ (uint64_t)1 << 63;
    return descending ? ~key : key;
}

static void insert_sort(Pair *p, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        Pair one = p[i];
        int64_t j = i;
        for (; j > 0 && p[j - 1].key > one.key; j--) p[j] = p[j - 1];
        p[j] = one;
    }
}

#define LOOK_EVERY ((int64_t)1 << 20)     /* items moved between two looks for an interrupt */

/* Sorts p[0..n) by key, eight bits at a time from the lowest; bytes that all keys share are passed over. Returns where
   the result stands: [p] or [other]; after an interrupt, where they stand in some order. */
static Pair *radix_sort(Pair *p, Pair *other, int64_t n, TensorContext *ctx)
{
    uint64_t differ = 0;
    for (int64_t i = 1; i < n; i++) differ |= p[i].key ^ p[0].key;
    for (int shift = 0; shift < 64; shift += 8) {
        if ((differ >> shift & 255) == 0) continue;
        int64_t start[256] = { 0 }, at = 0;
        for (int64_t i = 0; i < n; i++) start[p[i].key >> shift & 255]++;
        for (int k = 0; k < 256; k++) {
            int64_t count = start[k];
            start[k] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) {
            if (i % LOOK_EVERY == 0 && tensor_stopped(ctx)) return p;
            other[start[p[i].key >> shift & 255]++] = p[i];
        }
        Pair *swap = p;
        p = other;
        other = swap;
    }
    return p;
}

/* ---- long rows whose keys fit 32 bits: half the memory to move, and three passes ---- */

#define DIGIT 11
#define DIGITS 3

typedef struct Narrow { uint32_t key, index; } Narrow;

static uint32_t narrow_float(float x, bool descending)
{
    uint32_t key;
    if (isnan(x)) return UINT32_MAX;
    if (x == 0.0f) x = 0.0f;
    memcpy(&key, &x, sizeof key);
    key = key >> 31 ? ~key : key | (uint32_t)1 << 31;
    return descending ? ~key : key;
}

/* The keys of a row less the smallest one, *low; false when they do not fit. */
static bool narrow_keys(const SortJob *job, const char *x, Narrow *work, uint64_t *low)
{
    *low = 0;
    if (job->dtype == DTYPE_f32) {
        for (int64_t i = 0; i < job->n; i++)
            work[i] = (Narrow){ narrow_float(((const float *)(const void *)x)[i], job->descending), (uint32_t)i };
        return true;
    }
    if (job->dtype == DTYPE_f64) return false;
    uint64_t high = *low = key_of(job->dtype, x, job->descending);
    for (int64_t i = 1; i < job->n; i++) {
        uint64_t key = key_of(job->dtype, x + i * job->size, job->descending);
        *low = key < *low ? key : *low;
        high = key > high ? key : high;
    }
    if (high - *low > UINT32_MAX) return false;
    for (int64_t i = 0; i < job->n; i++)
        work[i] = (Narrow){ (uint32_t)(key_of(job->dtype, x + i * job->size, job->descending) - *low), (uint32_t)i };
    return true;
}

/* As radix_sort; counts of all digits come from one look at the keys. */
static Narrow *radix_narrow(Narrow *p, Narrow *other, int64_t n, TensorContext *ctx)
{
    uint32_t start[DIGITS][1 << DIGIT];
    memset(start, 0, sizeof start);
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++) start[d][p[i].key >> d * DIGIT & ((1 << DIGIT) - 1)]++;
    for (int d = 0; d < DIGITS; d++) {
        if (start[d][p[0].key >> d * DIGIT & ((1 << DIGIT) - 1)] == (uint32_t)n) continue;
        uint32_t at = 0;
        for (int k = 0; k < 1 << DIGIT; k++) {
            uint32_t count = start[d][k];
            start[d][k] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) {
            if (i % LOOK_EVERY == 0 && tensor_stopped(ctx)) return p;
            other[start[d][p[i].key >> d * DIGIT & ((1 << DIGIT) - 1)]++] = p[i];
        }
        Narrow *swap = p;
        p = other;
        other = swap;
    }
    return p;
}

/* Values are read back from their keys, which lie here, not from their places, which lie anywhere; but for a float's zero
   or NaN, which lose their sign in the key. */
static void narrow_values(const SortJob *job, const char *x, const Narrow *order, uint64_t low, char *to)
{
    uint32_t sign = (uint32_t)1 << 31, zero = job->descending ? ~sign : sign;
    for (int64_t i = 0; i < job->keep; i++) {
        uint32_t bits = job->descending ? ~order[i].key : order[i].key;
        uint64_t key = low + order[i].key;
        int64_t whole = (int64_t)((job->descending ? ~key : key) ^ (uint64_t)1 << 63);
        bool kept = order[i].key != zero && order[i].key != UINT32_MAX;
        switch (job->dtype) {
        case DTYPE_f32:
            bits = bits >> 31 ? bits & ~sign : ~bits;
            memcpy(to + 4 * i, kept ? (const char *)&bits : x + (int64_t)order[i].index * 4, 4);
            break;
        case DTYPE_i64: ((int64_t *)(void *)to)[i] = whole; break;
        case DTYPE_i32: ((int32_t *)(void *)to)[i] = (int32_t)whole; break;
        default: ((uint8_t *)to)[i] = (uint8_t)whole;
        }
    }
}

/* False: the row's keys do not fit. */
static bool sort_narrow(const SortJob *job, const char *x, Narrow *work, int64_t row)
{
    uint64_t low;
    if (job->n > UINT32_MAX || !narrow_keys(job, x, work, &low)) return false;
    const Narrow *order = radix_narrow(work, work + job->n, job->n, job->ctx);
    if (tensor_stopped(job->ctx)) return true;      /* nobody will look at it */
    int64_t *to = job->indices + row * job->keep;
    for (int64_t i = 0; i < job->keep; i++) to[i] = order[i].index;
    if (job->values) narrow_values(job, x, order, low, job->values + row * job->keep * job->size);
    return true;
}

/* The first [keep] of a row in order, without sorting the rest. */
static void keep_best(const SortJob *job, const char *x, Pair *best)
{
    int64_t count = 0;
    for (int64_t i = 0; i < job->n; i++) {
        Pair one = { key_of(job->dtype, x + i * job->size, job->descending), i };
        if (count == job->keep && best[count - 1].key <= one.key) continue;
        int64_t j = count < job->keep ? count++ : count - 1;
        for (; j > 0 && best[j - 1].key > one.key; j--) best[j] = best[j - 1];
        best[j] = one;
    }
}

static const Pair *order_row(const SortJob *job, const char *x, Pair *work)
{
    if (job->keep < job->n && job->keep <= FEW) {
        keep_best(job, x, work);
        return work;
    }
    for (int64_t i = 0; i < job->n; i++)
        work[i] = (Pair){ key_of(job->dtype, x + i * job->size, job->descending), i };
    if (job->n > FEW) return radix_sort(work, work + job->n, job->n, job->ctx);
    insert_sort(work, job->n);
    return work;
}

static void sort_rows(void *arg, int64_t first, int64_t count)
{
    const SortJob *job = arg;
    Pair *work = job->work + first / job->group * 2 * job->n;
    for (int64_t r = first; r < first + count; r++) {
        const char *x = job->x + r * job->n * job->size;
        bool few = job->n <= FEW || (job->keep < job->n && job->keep <= FEW);
        if (!few && sort_narrow(job, x, (Narrow *)(void *)work, r)) continue;
        const Pair *order = order_row(job, x, work);
        for (int64_t i = 0; i < job->keep; i++) job->indices[r * job->keep + i] = order[i].index;
        char *to = job->values ? job->values + r * job->keep * job->size : NULL;
        for (int64_t i = 0; to && i < job->keep; i++)
            memcpy(to + i * job->size, x + order[i].index * job->size, (size_t)job->size);
    }
}

static bool order_run(OpCall *call, int axis, int64_t keep, bool descending, Tensor *values, Tensor *indices)
{
    Tensor *x = call->in[0], *to_values = NULL;
    if (tensor_size(indices) == 0) return true;
    Tensor *rows = rows_along(call->ctx, x, axis), *to_indices = rows_like(call->ctx, indices, axis);
    if (values) to_values = rows_like(call->ctx, values, axis);
    int64_t n = x->ndim > 0 ? x->shape[axis] : 1, count = tensor_size(x) / n;
    SortJob job = { .dtype = (Dtype)x->dtype, .n = n, .keep = keep, .size = (int64_t)dtype_size((Dtype)x->dtype),
                    .group = rows_group(n), .descending = descending, .ctx = call->ctx };
    int64_t groups = (count + job.group - 1) / job.group;
    bool ok = rows && to_indices && (!values || to_values);
    job.work = ok ? scratch_take(&call->ctx->error, (size_t)(groups * 2 * n) * sizeof(Pair)) : NULL;
    ok = ok && job.work;
    if (ok) {
        job.x = rows->data;
        job.values = values ? to_values->data : NULL;
        job.indices = (int64_t *)(void *)to_indices->data;
        ok = rows_run(call->ctx, count, n, sort_rows, &job) && !tensor_interrupted(call->ctx) &&
             rows_back(call->ctx, to_indices, axis, indices) &&
             (!values || rows_back(call->ctx, to_values, axis, values));
    }
    scratch_release(job.work);
    tensor_release(rows);
    tensor_release(to_indices);
    tensor_release(to_values);
    return ok;
}

/* A number alone is its own order. */
static bool sort_axis(OpCall *call, int64_t axis, int *out)
{
    *out = 0;
    return (call->in[0]->ndim == 0 && (axis == 0 || axis == -1)) || op_axis(call, axis, call->in[0]->ndim, out);
}

bool shape_sort(OpCall *call)
{
    int axis;
    if (!sort_axis(call, call->attr[0].i, &axis)) return false;
    call->n_out = 2;
    spec_of(call->in[0], &call->spec[0]);
    call->spec[1] = call->spec[0];
    call->spec[1].dtype = DTYPE_i64;
    return true;
}

bool sort_run(OpCall *call)
{
    int axis;
    if (!sort_axis(call, call->attr[0].i, &axis)) return false;
    return order_run(call, axis, call->in[0]->ndim > 0 ? call->in[0]->shape[axis] : 1, call->attr[1].b, call->out[0],
                     call->out[1]);
}

bool sort_grad(GradCall *g) { return rows_grad_places(g, g->attr[0].i); }

bool shape_argsort(OpCall *call)
{
    int axis;
    if (!sort_axis(call, call->attr[0].i, &axis)) return false;
    spec_of(call->in[0], &call->spec[0]);
    call->spec[0].dtype = DTYPE_i64;
    return true;
}

bool argsort_run(OpCall *call)
{
    int axis;
    if (!sort_axis(call, call->attr[0].i, &axis)) return false;
    return order_run(call, axis, call->in[0]->ndim > 0 ? call->in[0]->shape[axis] : 1, call->attr[1].b, NULL,
                     call->out[0]);
}

/* Attributes: k, axis, largest */
bool shape_topk(OpCall *call)
{
    int axis;
    int64_t k = call->attr[0].i;
    if (call->in[0]->ndim == 0) return op_error(call, ERROR_shape, "needs at least one axis");
    if (!op_axis(call, call->attr[1].i, call->in[0]->ndim, &axis)) return false;
    spec_of(call->in[0], &call->spec[0]);
    if (k < 0 || k > call->spec[0].shape[axis])
        return op_error(call, ERROR_value, "k is %lld, but axis %d has %lld elements", (long long)k, axis,
                        (long long)call->spec[0].shape[axis]);
    call->n_out = 2;
    call->spec[0].shape[axis] = k;
    call->spec[1] = call->spec[0];
    call->spec[1].dtype = DTYPE_i64;
    return true;
}

bool topk_run(OpCall *call)
{
    int axis;
    if (!op_axis(call, call->attr[1].i, call->in[0]->ndim, &axis)) return false;
    return order_run(call, axis, call->attr[0].i, call->attr[2].b, call->out[0], call->out[1]);
}

bool topk_grad(GradCall *g) { return rows_grad_places(g, g->attr[1].i); }

/* ---- searchsorted: sorted [n] and any x, or sorted [..., n] and x [..., m] ---- */

bool shape_searchsorted(OpCall *call)
{
    const Tensor *sorted = call->in[0], *x = call->in[1];
    bool fits = sorted->ndim == 1 || sorted->ndim == x->ndim;
    for (int d = 0; fits && sorted->ndim > 1 && d < x->ndim - 1; d++) fits = sorted->shape[d] == x->shape[d];
    if (!fits || sorted->ndim == 0)
        return op_error(call, ERROR_shape, "sorted is [n], or [..., n] beside values [..., m]");
    spec_of(x, &call->spec[0]);
    call->spec[0].dtype = DTYPE_i64;
    return true;
}

typedef struct Search { const char *sorted, *x; int64_t *to, n, each; Dtype dtype; bool right, shared; } Search;

/* NaN stands behind all others. */
#define PRECEDES(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))
#define SEARCH(type)                                                                                                   \
    for (int64_t r = first; r < first + rows; r++) {                                                                   \
        const type *row = (const type *)(const void *)job->sorted + (job->shared ? 0 : r / job->each * job->n);        \
        type value = ((const type *)(const void *)job->x)[r];                                                          \
        int64_t low = 0, high = job->n;                                                                                \
        while (low < high) {                                                                                           \
            int64_t middle = low + (high - low) / 2;                                                                   \
            bool after = job->right ? !PRECEDES(value, row[middle]) : PRECEDES(row[middle], value);                    \
            if (after) low = middle + 1;                                                                               \
            else high = middle;                                                                                        \
        }                                                                                                              \
        job->to[r] = low;                                                                                              \
    }

static void search_rows(void *arg, int64_t first, int64_t rows)
{
    const Search *job = arg;
    if (job->dtype == DTYPE_f64) SEARCH(double)
    else SEARCH(int64_t)
}

bool searchsorted_run(OpCall *call)
{
    Tensor *sorted = call->in[0], *x = call->in[1];
    bool floats = dtype_class((Dtype)sorted->dtype) == CLASS_FLOAT || dtype_class((Dtype)x->dtype) == CLASS_FLOAT;
    Dtype dtype = floats ? DTYPE_f64 : DTYPE_i64;
    Tensor *wide[2] = {tensor_cast(call->ctx, sorted, dtype), tensor_cast(call->ctx, x, dtype)}, *dense[2];
    for (int i = 0; i < 2; i++) {
        dense[i] = wide[i] ? tensor_contiguous(call->ctx, wide[i]) : NULL;
        tensor_release(wide[i]);
    }
    bool ok = dense[0] && dense[1];
    if (ok && tensor_size(x) > 0) {
        Search job = {.sorted = dense[0]->data, .x = dense[1]->data, .to = (int64_t *)(void *)call->out[0]->data,
                      .n = sorted->shape[sorted->ndim - 1], .each = x->ndim > 0 ? x->shape[x->ndim - 1] : 1,
                      .dtype = dtype, .right = call->attr[0].b, .shared = sorted->ndim == 1};
        ok = rows_run(call->ctx, tensor_size(x), 32, search_rows, &job);
    }
    tensor_release(dense[0]);
    tensor_release(dense[1]);
    return ok;
}
