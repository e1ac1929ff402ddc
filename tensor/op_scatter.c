/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One index an element: gather, and its counterparts that put, add, multiply or compare elements where an index along
   one axis says.

   Invariant: places that are written more than once are written in the order of the index, by one task, so that results
   have the same bits for any number of threads. Negative indices count from the end; others out of range are errors. */
#include <stdatomic.h>
#include <string.h>

#include "blocks.h"
#include "places.h"

typedef enum Combine { TAKE, COMBINE_PUT, COMBINE_ADD, COMBINE_MUL, COMBINE_MAX, COMBINE_MIN } Combine;

/* ---- the walk ---- */

/* x is [.., size, ..] along [axis]; index and the small side have one shape, no longer than x's elsewhere. */
typedef struct Gather {
    Dtype dtype;
    int ndim, axis;
    int64_t size;
    const int64_t *shape;     /* of the index */
    const Tensor *index;      /* any strides */
    int64_t big[TENSOR_MAX_DIMS];     /* strides of x */
    const char *from;
    char *to;
    Combine combine;          /* how [from] meets what stands in [to]; TAKE: gather */
    int64_t leads, each;      /* places before the axis, and how many a task takes: no two tasks write one place */
    TensorContext *ctx;
    atomic_bool bad;
} Gather;

static bool gather_shape(OpCall *call, const Tensor *x, const Tensor *index, int *axis)
{
    if (!place_dtype(call, index)) return false;
    if (x->ndim != index->ndim || x->ndim == 0)
        return op_error(call, ERROR_shape, "index has %d axes, x has %d; they need the same number, at least 1",
                        index->ndim, x->ndim);
    if (!op_axis(call, call->attr[0].i, x->ndim, axis)) return false;
    for (int d = 0; d < x->ndim; d++)
        if (d != *axis && index->shape[d] > x->shape[d])
            return op_error(call, ERROR_shape, "axis %d of the index has size %lld, x has %lld", d,
                            (long long)index->shape[d], (long long)x->shape[d]);
    return true;
}

bool shape_gather(OpCall *call)
{
    int axis;
    if (!gather_shape(call, call->in[0], call->in[1], &axis)) return false;
    spec_of(call->in[1], &call->spec[0]);
    call->spec[0].dtype = (Dtype)call->in[0]->dtype;
    return true;
}

#define COMBINE(type, sum)                                                                                             \
    {                                                                                                                  \
        type a = *(type *)(void *)to, b = *(const type *)(const void *)from;                                           \
        *(type *)(void *)to = combine == COMBINE_ADD ? (type)((sum)a + (sum)b)                                         \
                              : combine == COMBINE_MUL ? (type)((sum)a * (sum)b)                                       \
                              : combine == COMBINE_MAX ? (b > a || b != b ? b : a)                                     \
                                                       : (b < a || b != b ? b : a);                                    \
    }

/* NaN wins, ints wrap, and sums of bools are `or`. */
static void combine_element(Dtype dtype, Combine combine, char *to, const char *from)
{
    if (combine == COMBINE_PUT) {
        place_copy(to, from, (int64_t)dtype_size(dtype));
        return;
    }
    switch (dtype) {
    case DTYPE_f32: COMBINE(float, float) break;
    case DTYPE_f64: COMBINE(double, double) break;
    case DTYPE_i32: COMBINE(int32_t, uint32_t) break;
    case DTYPE_i64: COMBINE(int64_t, uint64_t) break;
    case DTYPE_bool:
        if (combine == COMBINE_ADD || combine == COMBINE_MAX) *to |= *from;
        else *to &= *from;
        break;
    default: COMBINE(uint8_t, uint32_t) break;
    }
}

/* The common case: i32 along a dense last axis of 4-byte elements, as pooling has it. False: an index is bad. */
static bool gather_line(const Gather *g, const int32_t *index, int64_t big, int64_t small, int64_t n)
{
    const uint32_t *from = (const uint32_t *)(const void *)g->from + (g->combine == TAKE ? big : small);
    uint32_t *to = (uint32_t *)(void *)g->to + (g->combine == TAKE ? small : big);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = index[i] < 0 ? index[i] + g->size : index[i];
        if (row < 0 || row >= g->size) return false;
        if (g->combine == TAKE) to[i] = from[row];
        else ((float *)(void *)to)[row] += ((const float *)(const void *)from)[i];
    }
    return true;
}

static bool has_lines(const Gather *g)
{
    int last = g->ndim - 1;
    return g->axis == last && g->big[last] == 1 && g->index->dtype == DTYPE_i32 && g->index->stride[last] == 1 &&
           (g->combine == TAKE ? dtype_size(g->dtype) == 4 : g->combine == COMBINE_ADD && g->dtype == DTYPE_f32);
}

/* How many elements below the axis lie together and share one index, as in an index of rows that was expanded; 0 where
   they do not. */
static int64_t row_length(const Gather *g)
{
    int64_t n = 1;
    for (int d = g->ndim - 1; d > g->axis; d--) {
        if (g->shape[d] > 1 && (g->index->stride[d] != 0 || g->big[d] != n)) return 0;
        n *= g->shape[d];
    }
    return g->axis < g->ndim - 1 ? n : 0;
}

/* [n] indices, from [at] on, of rows of [length]. False: an index is bad. */
static bool gather_rows(const Gather *g, int64_t at, int64_t big, int64_t small, int64_t n, int64_t length)
{
    int64_t width = (int64_t)dtype_size(g->dtype);
    for (int64_t i = 0; i < n; i++, at += g->index->stride[g->axis], small += length) {
        int64_t value = place_at(g->index, at), row = value < 0 ? value + g->size : value;
        if (row < 0 || row >= g->size) return false;
        int64_t there = (big + row * g->big[g->axis]) * width, here = small * width;
        if (g->combine == TAKE)
            memcpy(g->to + here, g->from + there, (size_t)(length * width));
        else if (g->combine == COMBINE_ADD && g->dtype == DTYPE_f32)
            block_kernels()->add(length, (const float *)(const void *)(g->from + here), (float *)(void *)(g->to + there));
        else
            for (int64_t j = 0; j < length * width; j += width)
                combine_element(g->dtype, g->combine, g->to + there + j, g->from + here + j);
        if ((i & 0xFFF) == 0xFFF && tensor_stopped(g->ctx)) return true;
    }
    return true;
}

/* One task: [each] of the places before the axis, and the index below them in row-major order. The small side is
   dense, the big one has strides. A bad index is only noticed here. */
static void gather_task(void *arg, int64_t task)
{
    Gather *g = arg;
    int64_t inner = 1, width = (int64_t)dtype_size(g->dtype), length = row_length(g);
    for (int d = g->axis; d < g->ndim; d++) inner *= g->shape[d];
    for (int64_t lead = task * g->each; lead < (task + 1) * g->each && lead < g->leads; lead++) {
        int64_t place[TENSOR_MAX_DIMS] = {0}, at = 0, big = 0, small = lead * inner;
        for (int64_t d = g->axis - 1, rest = lead; d >= 0; d--) {
            at += rest % g->shape[d] * g->index->stride[d];
            big += rest % g->shape[d] * g->big[d];
            rest /= g->shape[d];
        }
        if (has_lines(g)) {
            if (!gather_line(g, (const int32_t *)(const void *)g->index->data + at, big, small, inner))
                atomic_store(&g->bad, true);
            continue;
        }
        if (length > 0) {
            if (!gather_rows(g, at, big, small, g->shape[g->axis], length))
                atomic_store(&g->bad, true);
            continue;
        }
        for (int64_t i = 0; i < inner; i++) {
            int64_t value = place_at(g->index, at), row = value < 0 ? value + g->size : value;
            if (row < 0 || row >= g->size) {
                atomic_store(&g->bad, true);
                return;
            }
            if ((i & 0xFFFFF) == 0xFFFFF && tensor_stopped(g->ctx)) return;
            int64_t there = (big + row * g->big[g->axis]) * width, here = (small + i) * width;
            if (g->combine == TAKE) place_copy(g->to + here, g->from + there, width);
            else combine_element(g->dtype, g->combine, g->to + there, g->from + here);
            for (int d = g->ndim - 1; d >= g->axis; d--) {
                int64_t step = d == g->axis ? 0 : g->big[d];
                at += g->index->stride[d];
                big += step;
                if (++place[d] < g->shape[d]) break;
                at -= g->index->stride[d] * g->shape[d];
                big -= step * g->shape[d];
                place[d] = 0;
            }
        }
    }
}

/* Gathers from x into [to], or combines [from] into it; [x] is the big side. */
static bool gather_walk(OpCall *call, const Tensor *x, Combine combine, const char *from, char *to)
{
    const Tensor *index = call->in[1];
    int axis = (int)(call->attr[0].i < 0 ? call->attr[0].i + x->ndim : call->attr[0].i);
    Gather g = {.dtype = (Dtype)x->dtype, .ndim = x->ndim, .axis = axis, .size = x->shape[axis], .shape = index->shape,
                .index = index, .from = from, .to = to, .combine = combine, .leads = 1, .ctx = call->ctx};
    memcpy(g.big, x->stride, sizeof g.big);
    int64_t n = tensor_size(index);
    if (n == 0) return true;
    for (int d = 0; d < axis; d++) g.leads *= index->shape[d];
    g.each = 32768 / (n / g.leads) + 1;
    if (!pool_run(call->ctx, (g.leads + g.each - 1) / g.each, gather_task, &g)) return false;
    if (tensor_interrupted(call->ctx)) return false;
    if (!atomic_load(&g.bad)) return true;
    for (int64_t i = 0; i < n; i++) {
        int64_t value = tensor_item_int(index, i);
        if (value < -g.size || value >= g.size) return place_out_of_range(call, value, axis, g.size);
    }
    return op_error(call, ERROR_internal, "an index was out of range");
}

bool gather_run(OpCall *call)
{
    const Tensor *x = call->in[0];
    return gather_walk(call, x, TAKE, x->data, call->out[0]->data);
}

bool gather_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    const TensorSpec *spec = &g->in_spec[0];
    Tensor *zero = scope_own(g->s, tensor_scalar(g->ctx, spec->dtype, 0));
    Tensor *in[3] = {s_expand(g->s, zero, spec->ndim, spec->shape), g->in[1], g->dy[0]};
    if (!in[0]) return false;
    g->dx[0] = s_op(g->s, OP_scatter_add, 3, in, g->attr, 0);
    return g->dx[0] != NULL;
}

/* ---- scatters: x, index, src; src is a number or has the shape of the index ---- */

bool shape_scatter(OpCall *call)
{
    const Tensor *index = call->in[1], *src = call->in[2];
    int axis;
    TensorSpec a, b;
    if (!gather_shape(call, call->in[0], index, &axis)) return false;
    spec_of(index, &a);
    spec_of(src, &b);
    if (src->ndim > 0 && !spec_equal_shape(&a, &b))
        return op_error(call, ERROR_shape, "src must be one number or have the shape of the index");
    return shape_same(call);
}

/* What is scattered: dense, of the result's dtype and the index's shape. */
static Tensor *source(OpCall *call)
{
    Tensor *src = call->in[2], *index = call->in[1];
    Dtype dtype = (Dtype)call->out[0]->dtype;
    if (src->dtype == dtype && src->ndim == index->ndim && tensor_is_contiguous(src))
        return tensor_retain(src);
    Tensor *made = tensor_new(call->ctx, dtype, index->ndim, index->shape);
    if (made != NULL && !tensor_assign(call->ctx, made, src))
        tensor_slot(&made, NULL);
    return made;
}

static bool scatter_by(OpCall *call, Combine combine)
{
    Tensor *out = call->out[0], *src = source(call);
    bool done = src != NULL && tensor_assign(call->ctx, out, call->in[0]) &&
                gather_walk(call, out, combine, src->data, out->data);
    tensor_release(src);
    return done;
}

bool scatter_run(OpCall *call) { return scatter_by(call, COMBINE_PUT); }
bool scatter_add_run(OpCall *call) { return scatter_by(call, COMBINE_ADD); }
bool scatter_prod_run(OpCall *call) { return scatter_by(call, COMBINE_MUL); }
bool scatter_max_run(OpCall *call) { return scatter_by(call, COMBINE_MAX); }
bool scatter_min_run(OpCall *call) { return scatter_by(call, COMBINE_MIN); }

/* What stands in x where the index points. */
static Tensor *gathered(GradCall *g, Tensor *x)
{
    Tensor *in[2] = {x, g->in[1]};
    return x ? s_op(g->s, OP_gather, 2, in, g->attr, 0) : NULL;
}

static Tensor *scattered(GradCall *g, OpId id, Tensor *x, Tensor *src)
{
    Tensor *in[3] = {x, g->in[1], src};
    return x && src ? s_op(g->s, id, 3, in, g->attr, 0) : NULL;
}

static bool give_source(GradCall *g, Tensor *slope)
{
    g->dx[2] = s_sum_to(g->s, slope, &g->in_spec[2]);
    return g->dx[2] != NULL;
}

bool scatter_add_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = g->dy[0];
    return !g->wants[2] || give_source(g, gathered(g, g->dy[0]));
}

/* Of several sources for one place the last one stays, and gets the gradient. */
bool scatter_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *x = &g->in_spec[0];
    if (g->wants[0] && !(g->dx[0] = scattered(g, OP_scatter, g->dy[0], s_const(s, 0)))) return false;
    if (!g->wants[2]) return true;
    int64_t n = tensor_size(g->in[1]);
    Attr range[4] = {attr_num(0), attr_num((double)n), attr_num(1), attr_dtype(DTYPE_i64)};
    Tensor *order = s_reshape(s, s_op(s, OP_arange, 0, NULL, range, 0), g->in[1]->ndim, g->in[1]->shape);
    Tensor *blank = scope_own(s, tensor_zeros(g->ctx, DTYPE_i64, x->ndim, x->shape));
    Tensor *won = s_binary(s, OP_eq, gathered(g, scattered(g, OP_scatter, blank, order)), order);
    return give_source(g, s_where(s, won, gathered(g, g->dy[0]), s_const(s, 0)));
}

/* Equal extremes share the gradient. */
static bool extreme_grad(GradCall *g)
{
    Scope *s = g->s;
    Dtype dtype = g->in_spec[0].dtype;
    Tensor *src = s_expand(s, g->in[2], g->in[1]->ndim, g->in[1]->shape);
    Tensor *mine = s_cast(s, s_binary(s, OP_eq, g->in[0], g->out[0]), dtype);
    Tensor *theirs = s_cast(s, s_binary(s, OP_eq, s_cast(s, src, dtype), gathered(g, g->out[0])), dtype);
    Tensor *count = scattered(g, OP_scatter_add, mine, theirs);
    Tensor *share = s_div(s, g->dy[0], s_binary(s, OP_maximum, count, s_const(s, 1)));
    if (g->wants[0] && !(g->dx[0] = s_mul(s, share, mine))) return false;
    return !g->wants[2] || give_source(g, s_mul(s, gathered(g, share), theirs));
}

bool scatter_max_grad(GradCall *g) { return extreme_grad(g); }
bool scatter_min_grad(GradCall *g) { return extreme_grad(g); }

/* The product of all other factors: over the factor itself, or where one factor is 0 the product of the rest. */
static Tensor *others(GradCall *g, Tensor *factor, Tensor *zeros, Tensor *rest)
{
    Scope *s = g->s;
    Tensor *one = s_const(s, 1), *none = s_const(s, 0);
    Tensor *is_zero = s_binary(s, OP_eq, factor, none);
    Tensor *alone = s_where(s, s_binary(s, OP_eq, zeros, one), rest, none);
    Tensor *over = s_div(s, rest, s_where(s, is_zero, one, factor));
    return s_where(s, is_zero, alone, s_where(s, s_binary(s, OP_eq, zeros, none), over, none));
}

bool scatter_prod_grad(GradCall *g)
{
    Scope *s = g->s;
    Dtype dtype = g->in_spec[0].dtype;
    Tensor *x = g->in[0], *src = s_cast(s, s_expand(s, g->in[2], g->in[1]->ndim, g->in[1]->shape), dtype);
    Tensor *none = s_const(s, 0), *one = s_const(s, 1);
    Tensor *x_zero = s_binary(s, OP_eq, x, none), *src_zero = s_binary(s, OP_eq, src, none);
    Tensor *zeros = scattered(g, OP_scatter_add, s_cast(s, x_zero, dtype), s_cast(s, src_zero, dtype));
    Tensor *rest = scattered(g, OP_scatter_prod, s_where(s, x_zero, one, x), s_where(s, src_zero, one, src));
    if (g->wants[0] && !(g->dx[0] = s_mul(s, g->dy[0], others(g, x, zeros, rest)))) return false;
    if (!g->wants[2]) return true;
    return give_source(g, s_mul(s, gathered(g, g->dy[0]), others(g, src, gathered(g, zeros), gathered(g, rest))));
}
