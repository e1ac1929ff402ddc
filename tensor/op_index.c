/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing elements by tensors of ints or bools, and putting them back. Everything that takes whole rows (index_select,
   embedding, index, index_put) is one pair of kernels, [index] and its adjoint [index_add]. One index an element, gather
   and the scatters, is op_scatter.c; slices and single indices are op_move.c.

   Invariant: places that are written more than once are written in the order of the index, by one task, so that sums
   have the same bits for any number of threads. Negative indices count from the end; others out of range are errors. */
#include <string.h>

#include "core.h"
#include "places.h"

#define INDEX_MOST 6          /* index tensors of one call: x and value take the other inputs */
#define COPY_WORK 65536       /* bytes worth a task of their own */

/* Where the rows chosen by index tensors lie: x is [lead, chosen…, tail], the result [lead, common…, tail]. */
typedef struct Places {
    int first, count;         /* the chosen axes */
    int64_t lead, size, tail; /* products of the sizes before, of and after the chosen axes */
    int common_ndim;
    int64_t common[TENSOR_MAX_DIMS], n;   /* the broadcast shape of the index tensors, and its size */
    int64_t *at;              /* [n] row number among [size]; scratch */
} Places;

/* ---- shapes ---- */

bool place_dtype(OpCall *call, const Tensor *index)
{
    if (dtype_class((Dtype)index->dtype) == CLASS_INT) return true;
    return op_error(call, ERROR_dtype, "an index must be ints, not %s", dtype_name((Dtype)index->dtype));
}

/* The broadcast shape of the index tensors in[from..]. */
static bool common_shape(OpCall *call, int from, Places *p)
{
    p->common_ndim = 0;
    p->n = 1;
    for (int i = from; i < call->n_in; i++) {
        if (!place_dtype(call, call->in[i])) return false;
        if (call->in[i]->ndim > p->common_ndim) p->common_ndim = call->in[i]->ndim;
    }
    for (int d = 0; d < p->common_ndim; d++) {
        p->common[d] = 1;
        for (int i = from; i < call->n_in; i++) {
            int own = d - (p->common_ndim - call->in[i]->ndim);
            int64_t size = own < 0 ? 1 : call->in[i]->shape[own];
            if (p->common[d] != 1 && size != 1 && size != p->common[d])
                return op_error(call, ERROR_shape, "index tensors do not broadcast: axis %d has sizes %lld and %lld", d,
                                (long long)p->common[d], (long long)size);
            if (size != 1) p->common[d] = size;
        }
        p->n *= p->common[d];
    }
    return true;
}

/* Fills everything but [at] for in[from..] that choose axes of a tensor [ndim] [shape] from [first] on. */
static bool places_shape(OpCall *call, int ndim, const int64_t *shape, int from, int64_t first, Places *p)
{
    p->count = call->n_in - from;
    if (p->count < 1) return op_error(call, ERROR_value, "there is no index tensor");
    if (p->count > INDEX_MOST) return op_error(call, ERROR_value, "there are more than %d index tensors", INDEX_MOST);
    if (ndim == 0) return op_error(call, ERROR_index, "a 0-d tensor has no axis to index");
    if (!op_axis(call, first, ndim, &p->first)) return false;
    if (p->first + p->count > ndim)
        return op_error(call, ERROR_index, "%d index tensors from axis %d are too many for %d axes", p->count, p->first,
                        ndim);
    if (!common_shape(call, from, p)) return false;
    p->lead = p->size = p->tail = 1;
    for (int d = 0; d < ndim; d++) {
        int64_t *product = d < p->first ? &p->lead : d < p->first + p->count ? &p->size : &p->tail;
        *product *= shape[d];
    }
    return true;
}

/* The result's shape: the chosen axes of [ndim] [shape] give way to the common shape. */
static bool places_result(OpCall *call, const Places *p, int ndim, const int64_t *shape, TensorSpec *spec)
{
    int result = ndim - p->count + p->common_ndim, to = 0;
    if (result > TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "the result would have %d axes, more than %d", result, TENSOR_MAX_DIMS);
    for (int d = 0; d < p->first; d++) spec->shape[to++] = shape[d];
    for (int d = 0; d < p->common_ndim; d++) spec->shape[to++] = p->common[d];
    for (int d = p->first + p->count; d < ndim; d++) spec->shape[to++] = shape[d];
    spec->ndim = result;
    return true;
}

/* ---- row numbers ---- */

bool place_out_of_range(OpCall *call, int64_t index, int axis, int64_t size)
{
    op_error(call, ERROR_index, "index %lld is out of range for axis %d of size %lld", (long long)index, axis,
             (long long)size);
    if (size > 0 && index == size)
        error_hint(&call->ctx->error, "counting starts at 0: the last is %lld, or -1", (long long)size - 1);
    return false;
}

/* Fills p->at: checks, wraps and combines in[from..] into row numbers. [shape] is x's. */
static bool places_fill(OpCall *call, const int64_t *shape, int from, Places *p)
{
    p->at = scratch_take(&call->ctx->error, (size_t)(p->n > 0 ? p->n : 1) * sizeof *p->at);
    if (p->at == NULL) return false;
    memset(p->at, 0, (size_t)p->n * sizeof *p->at);
    for (int c = 0; c < p->count; c++) {
        const Tensor *index = call->in[from + c];
        int64_t size = shape[p->first + c], place[TENSOR_MAX_DIMS] = {0}, stride[TENSOR_MAX_DIMS], offset = 0;
        for (int d = 0; d < p->common_ndim; d++) {
            int own = d - (p->common_ndim - index->ndim);
            stride[d] = own < 0 || index->shape[own] == 1 ? 0 : index->stride[own];
        }
        for (int64_t i = 0; i < p->n; i++) {
            int64_t value = place_at(index, offset), row = value < 0 ? value + size : value;
            if (row < 0 || row >= size) return place_out_of_range(call, value, p->first + c, size);
            p->at[i] = p->at[i] * size + row;
            for (int d = p->common_ndim - 1; d >= 0; d--) {        /* the next place, row-major */
                offset += stride[d];
                if (++place[d] < p->common[d]) break;
                offset -= stride[d] * p->common[d];
                place[d] = 0;
            }
        }
    }
    return true;
}

/* ---- kernels over rows ---- */

typedef struct RowJob {
    const Places *p;
    const char *from;
    char *to;
    int64_t row;              /* bytes of a row: tail elements */
    int64_t part, parts;      /* elements of a row that a task takes, and tasks a row */
    Dtype dtype;
    bool add;                 /* accumulate, else overwrite */
} RowJob;

#define COPY_ROWS 4096        /* rows that a task of [take_task] copies at most */

/* to[lead, i] = from[lead, at[i]] for a stretch of i; [part] rows a task. */
static void take_task(void *arg, int64_t task)
{
    const RowJob *job = arg;
    const Places *p = job->p;
    int64_t lead = task / job->parts, i = task % job->parts * job->part;
    int64_t end = i + job->part < p->n ? i + job->part : p->n;
    const char *from = job->from + lead * p->size * job->row;
    char *to = job->to + lead * p->n * job->row;
    for (; i < end; i++) place_copy(to + i * job->row, from + p->at[i] * job->row, job->row);
}

#define ADD_ROWS(type, sum)                                                                                            \
    for (int64_t i = 0; i < p->n; i++) {                                                                               \
        const type *x = (const type *)(const void *)(from + i * job->row);                                             \
        type *y = (type *)(void *)(to + p->at[i] * job->row);                                                          \
        for (int64_t j = 0; j < count; j++) y[j] = (type)(y[j] + (sum)x[j]);                                           \
    }

/* to[lead, at[i]] = or += from[lead, i] for all i in order, over [part] elements of each row. */
static void put_task(void *arg, int64_t task)
{
    const RowJob *job = arg;
    const Places *p = job->p;
    int64_t lead = task / job->parts, first = task % job->parts * job->part, width = (int64_t)dtype_size(job->dtype);
    int64_t count = p->tail - first < job->part ? p->tail - first : job->part;
    const char *from = job->from + lead * p->n * job->row + first * width;
    char *to = job->to + lead * p->size * job->row + first * width;
    if (!job->add) {
        for (int64_t i = 0; i < p->n; i++) place_copy(to + p->at[i] * job->row, from + i * job->row, count * width);
        return;
    }
    switch (job->dtype) {
    case DTYPE_f32: ADD_ROWS(float, float) break;
    case DTYPE_f64: ADD_ROWS(double, double) break;
    case DTYPE_i32: ADD_ROWS(uint32_t, uint32_t) break;            /* wraps */
    case DTYPE_i64: ADD_ROWS(uint64_t, uint64_t) break;
    case DTYPE_bool:
        for (int64_t i = 0; i < p->n; i++)
            for (int64_t j = 0; j < count; j++) to[p->at[i] * job->row + j] |= from[i * job->row + j];
        break;
    default: ADD_ROWS(uint8_t, uint8_t) break;
    }
}

static bool take_rows(TensorContext *ctx, const Places *p, Dtype dtype, const char *from, char *to)
{
    int64_t row = p->tail * (int64_t)dtype_size(dtype);
    if (p->n == 0 || p->lead == 0 || row == 0) return true;
    int64_t part = COPY_WORK / row < 1 ? 1 : COPY_WORK / row > COPY_ROWS ? COPY_ROWS : COPY_WORK / row;
    RowJob job = {p, from, to, row, part, (p->n + part - 1) / part, dtype, false};
    return pool_run(ctx, p->lead * job.parts, take_task, &job);
}

static bool put_rows(TensorContext *ctx, const Places *p, Dtype dtype, const char *from, char *to, bool add)
{
    int64_t width = (int64_t)dtype_size(dtype), row = p->tail * width;
    if (p->n == 0 || p->lead == 0 || row == 0) return true;
    int64_t part = p->tail;                                        /* cut rows into pieces of whole cache lines */
    if (p->n * row > COPY_WORK && p->tail > 256 / width) part = 256 / width;
    RowJob job = {p, from, to, row, part, (p->tail + part - 1) / part, dtype, add};
    return pool_run(ctx, p->lead * job.parts, put_task, &job);
}

/* ---- index and its adjoint ---- */

bool shape_index(OpCall *call)
{
    const Tensor *x = call->n_in > 0 ? call->in[0] : NULL;
    Places p = {0};
    if (x == NULL) return op_error(call, ERROR_value, "there is nothing to index");
    if (!places_shape(call, x->ndim, x->shape, 1, call->attr[0].i, &p)) return false;
    call->spec[0].dtype = (Dtype)x->dtype;
    return places_result(call, &p, x->ndim, x->shape, &call->spec[0]);
}

/* out = x with the axes from [first] on chosen by in[1..]. */
static bool index_rows(OpCall *call, int64_t first)
{
    Places p = {0};
    Tensor *x = tensor_contiguous(call->ctx, call->in[0]);
    bool done = x != NULL && places_shape(call, x->ndim, x->shape, 1, first, &p) &&
                places_fill(call, x->shape, 1, &p) &&
                take_rows(call->ctx, &p, (Dtype)x->dtype, x->data, call->out[0]->data);
    scratch_release(p.at);
    tensor_release(x);
    return done;
}

bool index_run(OpCall *call) { return index_rows(call, call->attr[0].i); }

/* The adjoint: dy summed into zeros where the index tensors in[1..] point. */
static Tensor *index_back(GradCall *g, int n, Tensor *const *in, int64_t first, const TensorSpec *x)
{
    Tensor *parts[OP_MAX_IN];
    parts[0] = g->dy[0];
    for (int i = 1; i < n; i++) parts[i] = in[i];
    int axis = (int)(first < 0 ? first + x->ndim : first);
    Attr attr[2] = {attr_int(axis), attr_ints(n - 1, x->shape + axis)};
    return s_op(g->s, OP_index_add, n, parts, attr, 0);
}

bool index_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = index_back(g, g->n_in, g->in, g->attr[0].i, &g->in_spec[0]);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool shape_index_add(OpCall *call)
{
    const Tensor *x = call->n_in > 0 ? call->in[0] : NULL;
    const Attr *sizes = &call->attr[1];
    Places p = {0};
    if (x == NULL || call->n_in < 2) return op_error(call, ERROR_value, "there is no index tensor");
    if (sizes->ints.count != call->n_in - 1)
        return op_error(call, ERROR_value, "%d sizes for %d index tensors", sizes->ints.count, call->n_in - 1);
    if (!common_shape(call, 1, &p)) return false;
    int64_t first = call->attr[0].i;
    bool fits = first >= 0 && first + p.common_ndim <= x->ndim;
    for (int d = 0; fits && d < p.common_ndim; d++) fits = x->shape[first + d] == p.common[d];
    if (!fits)
        return op_error(call, ERROR_shape, "x has not the shape of the index tensors at axis %lld", (long long)first);
    TensorSpec *spec = &call->spec[0];
    spec->dtype = (Dtype)x->dtype;
    spec->ndim = x->ndim - p.common_ndim + sizes->ints.count;
    if (spec->ndim > TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "the result has more than %d axes", TENSOR_MAX_DIMS);
    int to = 0;
    for (int d = 0; d < first; d++) spec->shape[to++] = x->shape[d];
    for (int d = 0; d < sizes->ints.count; d++) {
        if (sizes->ints.v[d] < 0)
            return op_error(call, ERROR_value, "size cannot be %lld", (long long)sizes->ints.v[d]);
        spec->shape[to++] = sizes->ints.v[d];
    }
    for (int d = (int)first + p.common_ndim; d < x->ndim; d++) spec->shape[to++] = x->shape[d];
    return true;
}

bool index_add_run(OpCall *call)
{
    Places p = {0};
    Tensor *out = call->out[0], *x = tensor_contiguous(call->ctx, call->in[0]);
    memset(out->data, 0, (size_t)tensor_size(out) * dtype_size((Dtype)out->dtype));
    bool done = x != NULL && places_shape(call, out->ndim, out->shape, 1, call->attr[0].i, &p) &&
                places_fill(call, out->shape, 1, &p) &&
                put_rows(call->ctx, &p, (Dtype)x->dtype, x->data, out->data, true);
    scratch_release(p.at);
    tensor_release(x);
    return done;
}

bool index_add_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    Tensor *parts[OP_MAX_IN];
    parts[0] = g->dy[0];
    for (int i = 1; i < g->n_in; i++) parts[i] = g->in[i];
    g->dx[0] = s_op(g->s, OP_index, g->n_in, parts, g->attr, 0);
    return g->dx[0] != NULL;
}

/* ---- index_put: xs = x, value, index tensors ---- */

bool shape_index_put(OpCall *call)
{
    if (call->n_in < 3) return op_error(call, ERROR_value, "it takes x, a value and at least one index tensor");
    const Tensor *x = call->in[0], *value = call->in[1];
    Places p = {0};
    TensorSpec region = {0};
    if (!places_shape(call, x->ndim, x->shape, 2, call->attr[0].i, &p)) return false;
    if (!places_result(call, &p, x->ndim, x->shape, &region)) return false;
    bool fits = value->ndim <= region.ndim;
    for (int d = 0; fits && d < value->ndim; d++) {
        int64_t size = value->shape[value->ndim - 1 - d];
        fits = size == 1 || size == region.shape[region.ndim - 1 - d];
    }
    if (fits) return shape_same(call);
    char have[160], wanted[160];
    shape_format(value->ndim, value->shape, have, sizeof have);
    shape_format(region.ndim, region.shape, wanted, sizeof wanted);
    return op_error(call, ERROR_shape, "a value of shape %s does not fit the chosen places, %s", have, wanted);
}

/* The value as a dense tensor of the chosen places' shape and x's dtype. */
static Tensor *put_value(OpCall *call, const Tensor *x, const Places *p)
{
    TensorSpec region = {(Dtype)x->dtype, 0, {0}};
    if (!places_result(call, p, x->ndim, x->shape, &region)) return NULL;
    Tensor *dense = tensor_new(call->ctx, region.dtype, region.ndim, region.shape);
    if (dense != NULL && !tensor_assign(call->ctx, dense, call->in[1])) tensor_slot(&dense, NULL);
    return dense;
}

/* Puts in[1] where in[2..] point in [to], which is dense and as in[0]; nothing is written before all is checked. */
static bool put_into(OpCall *call, Tensor *to)
{
    Places p = {0};
    Tensor *value = NULL;
    bool done = places_shape(call, to->ndim, to->shape, 2, call->attr[0].i, &p) &&
                places_fill(call, to->shape, 2, &p) && (value = put_value(call, to, &p)) != NULL &&
                put_rows(call->ctx, &p, (Dtype)to->dtype, value->data, to->data, call->attr[1].b);
    scratch_release(p.at);
    tensor_release(value);
    return done;
}

bool index_put_run(OpCall *call)
{
    return tensor_assign(call->ctx, call->out[0], call->in[0]) && put_into(call, call->out[0]);
}

bool tensor_index_put(TensorContext *context, Tensor *const *in, int n_in, int first_axis, bool accumulate)
{
    Attr attr[2] = {attr_int(first_axis), attr_bool(accumulate)};
    OpCall call = {.ctx = context, .def = op_def(OP_index_put), .n_in = n_in, .in = in, .attr = attr, .n_out = 1};
    bool done = shape_index_put(&call) && put_into(&call, in[0]);
    if (!done) op_error_complete(&call);
    return done;
}

/* Ones where a value was the last to be put at its place, zeros where a later one replaced it. [n…] as the index. */
static Tensor *put_winners(GradCall *g, const TensorSpec *common, int first, Dtype dtype)
{
    Scope *s = g->s;
    const TensorSpec *x = &g->in_spec[0];
    int count = g->n_in - 2;
    int64_t n = spec_size(common);
    Attr zeros[2] = {attr_ints(count, x->shape + first), attr_dtype(DTYPE_i64)};
    Attr range[4] = {attr_num(0), attr_num((double)n), attr_num(1), attr_dtype(DTYPE_i64)};
    Tensor *order = s_reshape(s, s_op(s, OP_arange, 0, NULL, range, 0), common->ndim, common->shape);
    Tensor *parts[OP_MAX_IN] = {s_op(s, OP_zeros, 0, NULL, zeros, 0), order};
    for (int i = 0; i < count; i++) parts[2 + i] = g->in[2 + i];
    Attr put[2] = {attr_int(0), attr_bool(false)};
    parts[1] = s_op(s, OP_index_put, g->n_in, parts, put, 0);      /* who came last at each place */
    Tensor *last = s_op(s, OP_index, g->n_in - 1, parts + 1, put, 0);
    Tensor *lost = s_cast(s, s_cast(s, s_sub(s, last, order), DTYPE_bool), dtype);
    return s_sub(s, s_const(s, 1), lost);
}

bool index_put_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *x = &g->in_spec[0];
    bool add = g->attr[1].b;
    int first = (int)(g->attr[0].i < 0 ? g->attr[0].i + x->ndim : g->attr[0].i), count = g->n_in - 2;
    Tensor *parts[OP_MAX_IN];
    for (int i = 2; i < g->n_in; i++) parts[i] = g->in[i];
    if (g->wants[0] && add) g->dx[0] = g->dy[0];
    if (g->wants[0] && !add) {
        parts[0] = g->dy[0];
        parts[1] = s_const(s, 0);
        g->dx[0] = s_op(s, OP_index_put, g->n_in, parts, g->attr, 0);
    }
    if (g->wants[0] && g->dx[0] == NULL) return false;
    if (!g->wants[1]) return true;
    parts[1] = g->dy[0];
    Tensor *dv = s_op(s, OP_index, g->n_in - 1, parts + 1, g->attr, 0);
    if (dv == NULL) return false;
    if (!add) {
        TensorSpec common = {DTYPE_i64, dv->ndim - (x->ndim - count), {0}};
        memcpy(common.shape, dv->shape + first, (size_t)common.ndim * sizeof *common.shape);
        Tensor *won = put_winners(g, &common, first, (Dtype)dv->dtype);
        for (int d = first + common.ndim; d < dv->ndim; d++) won = s_unsqueeze(s, won, -1);
        dv = s_mul(s, dv, won);
    }
    g->dx[1] = s_sum_to(s, dv, &g->in_spec[1]);
    return g->dx[1] != NULL;
}

/* ---- index_select and embedding ---- */

bool shape_index_select(OpCall *call)
{
    const Tensor *x = call->in[0];
    Places p = {0};
    int axis;
    if (x->ndim == 0) return op_error(call, ERROR_index, "a 0-d tensor has no axis to index");
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (!places_shape(call, x->ndim, x->shape, 1, axis, &p)) return false;
    call->spec[0].dtype = (Dtype)x->dtype;
    return places_result(call, &p, x->ndim, x->shape, &call->spec[0]);
}

bool index_select_run(OpCall *call) { return index_rows(call, call->attr[0].i); }

bool index_select_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = index_back(g, 2, g->in, g->attr[0].i, &g->in_spec[0]);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool shape_embedding(OpCall *call)
{
    const Tensor *weight = call->in[0];
    Places p = {0};
    if (weight->ndim != 2) return op_error(call, ERROR_shape, "weight is [count, dim], not %d axes", weight->ndim);
    if (!places_shape(call, 2, weight->shape, 1, 0, &p)) return false;
    call->spec[0].dtype = (Dtype)weight->dtype;
    return places_result(call, &p, 2, weight->shape, &call->spec[0]);
}

bool embedding_run(OpCall *call) { return index_rows(call, 0); }

bool embedding_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = index_back(g, 2, g->in, 0, &g->in_spec[0]);
    return !g->wants[0] || g->dx[0] != NULL;
}

/* ---- masks ---- */

static bool is_mask(OpCall *call, const Tensor *mask)
{
    if (mask->dtype == DTYPE_bool) return true;
    return op_error(call, ERROR_dtype, "mask must be bool, not %s", dtype_name((Dtype)mask->dtype));
}

bool shape_masked_fill(OpCall *call)
{
    TensorSpec x, mask, both;
    if (!is_mask(call, call->in[1])) return false;
    spec_of(call->in[0], &x);
    spec_of(call->in[1], &mask);
    if (!shape_broadcast(call, &x, &mask, &both)) return false;
    if (!spec_equal_shape(&x, &both)) return op_error(call, ERROR_shape, "mask does not broadcast to the shape of x");
    return shape_same(call);
}

typedef struct FillJob { char *out; const uint8_t *mask; int64_t size, width; const char *value; } FillJob;

static void fill_task(void *arg, int64_t task)
{
    const FillJob *job = arg;
    int64_t i = task * COPY_WORK, end = i + COPY_WORK < job->size ? i + COPY_WORK : job->size;
    if (job->width == 4) {
        uint32_t value, *to = (uint32_t *)(void *)job->out;
        memcpy(&value, job->value, 4);
        for (; i < end; i++) to[i] = job->mask[i] ? value : to[i];
        return;
    }
    for (; i < end; i++)
        if (job->mask[i]) place_copy(job->out + i * job->width, job->value, job->width);
}

bool masked_fill_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    Tensor *mask = tensor_new(call->ctx, DTYPE_bool, x->ndim, x->shape);
    Tensor *value = tensor_scalar(call->ctx, (Dtype)x->dtype, call->attr[0].num);
    bool done = mask != NULL && value != NULL && tensor_assign(call->ctx, out, x) &&
                tensor_assign(call->ctx, mask, call->in[1]);
    if (done) {
        FillJob job = {out->data, (const uint8_t *)mask->data, tensor_size(out), (int64_t)dtype_size((Dtype)x->dtype),
                       value->data};
        done = pool_run(call->ctx, (job.size + COPY_WORK - 1) / COPY_WORK, fill_task, &job);
    }
    tensor_release(mask);
    tensor_release(value);
    return done;
}

bool masked_fill_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    Tensor *in[2] = {g->dy[0], g->in[1]};
    Attr zero = attr_num(0);
    g->dx[0] = s_op(g->s, OP_masked_fill, 2, in, &zero, 0);
    return g->dx[0] != NULL;
}

/* Which elements are not 0, dense (+1). */
static Tensor *truths(TensorContext *ctx, Tensor *x)
{
    Tensor *bools = tensor_cast(ctx, x, DTYPE_bool), *dense = bools ? tensor_contiguous(ctx, bools) : NULL;
    tensor_release(bools);
    return dense;
}

bool shape_nonzero(OpCall *call)
{
    if (!op_reads_values(call)) return false;
    Tensor *x = call->in[0], *bools = truths(call->ctx, x);
    int64_t count = 0, size = tensor_size(x);
    for (int64_t i = 0; bools && i < size; i++) count += bools->data[i];
    call->spec[0] = (TensorSpec){DTYPE_i64, 2, {count, x->ndim}};
    tensor_release(bools);
    return bools != NULL;
}

bool nonzero_run(OpCall *call)
{
    Tensor *x = call->in[0], *bools = truths(call->ctx, x);
    int64_t *to = (int64_t *)(void *)call->out[0]->data, size = tensor_size(x);
    bool done = bools != NULL;
    for (int64_t i = 0; done && i < size; i++) {
        if ((i & 0xFFFFF) == 0xFFFFF && tensor_interrupted(call->ctx)) done = false;
        if (!bools->data[i]) continue;
        for (int64_t d = x->ndim - 1, rest = i; d > 0; d--) {
            to[d] = rest % x->shape[d];
            rest /= x->shape[d];
            to[0] = rest;
        }
        if (x->ndim == 1) to[0] = i;
        to += x->ndim;
    }
    tensor_release(bools);
    return done;
}

bool masked_select_run(OpCall *call)
{
    Tensor *x = call->in[0], *mask = call->in[1];
    TensorSpec sx, sm, both;
    if (!is_mask(call, mask)) return false;
    spec_of(x, &sx);
    spec_of(mask, &sm);
    if (!shape_broadcast(call, &sx, &sm, &both)) return false;
    Scope s;
    scope_init(&s, call->ctx);
    int64_t size = spec_size(&both), minus = -1;
    Tensor *row = s_reshape(&s, s_expand(&s, mask, both.ndim, both.shape), 1, &size);
    Tensor *in[2] = {s_reshape(&s, s_expand(&s, x, both.ndim, both.shape), 1, &size), NULL};
    in[1] = s_op(&s, OP_nonzero, 1, &row, NULL, 0);
    if (in[1] != NULL) minus = in[1]->shape[0];
    in[1] = s_reshape(&s, in[1], 1, &minus);
    Attr axis = attr_int(0);
    call->out[0] = tensor_retain(s_op(&s, OP_index_select, 2, in, &axis, 0));
    call->n_out = 1;
    scope_clear(&s);
    return call->out[0] != NULL;
}
