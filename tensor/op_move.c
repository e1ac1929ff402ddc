/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ops that move axes and elements without computing: reshape, permute, slices, concat, pad and their kin. Whatever can
   share the storage of its input does (VIEW rows, built by [view_of]); the rest fills a dense output through
   tensor_assign. Choosing elements by index tensors is op_index.c.

   Invariant: a view's strides never reach outside its storage. */
#include <string.h>

#include "op.h"

/* ---- making views ---- */

static Tensor *view_of(OpCall *call, Tensor *x, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset)
{
    int64_t size = 1;
    for (int d = 0; d < ndim; d++) size *= shape[d];
    if (size == 0) return tensor_new(call->ctx, (Dtype)x->dtype, ndim, shape);
    return tensor_view(call->ctx, x, ndim, shape, stride, offset);
}

static void dense_strides(int ndim, const int64_t *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        stride[d] = step;
        step *= shape[d] > 0 ? shape[d] : 1;
    }
}

static bool finish(OpCall *call, Tensor *owned)
{
    call->out[0] = owned;
    call->n_out = 1;
    return owned != NULL;
}

static bool has_room(OpCall *call, int ndim)
{
    if (ndim <= TENSOR_MAX_DIMS) return true;
    return op_error(call, ERROR_shape, "the result would have %d axes, more than %d", ndim, TENSOR_MAX_DIMS);
}

/* Strides that show x under [shape] (same size, not empty) without moving an element; false when none exist. */
static bool reshape_strides(const Tensor *x, int ndim, const int64_t *shape, int64_t *stride)
{
    int d = x->ndim - 1, v = ndim - 1;
    while (d >= 0) {
        int64_t base = x->stride[d], have = x->shape[d];
        for (d--; d >= 0; d--) {                       /* the longest run of axes that lie evenly spaced */
            if (have == 1) base = x->stride[d];
            else if (x->shape[d] != 1 && x->stride[d] != have * base) break;
            have *= x->shape[d];
        }
        int64_t shown = 1;
        for (; v >= 0 && (shown < have || shape[v] == 1); v--) {
            stride[v] = shown * base;
            shown *= shape[v];
        }
        if (shown != have) return false;
    }
    for (; v >= 0; v--) stride[v] = 1;                 /* a 0-d input: only ones are left */
    return true;
}

/* x under a new shape of the same size: a view where strides allow, else a dense copy. */
static bool reshape_to(OpCall *call, int ndim, const int64_t *shape)
{
    Tensor *x = call->in[0];
    int64_t stride[TENSOR_MAX_DIMS];
    dense_strides(ndim, shape, stride);
    if (tensor_size(x) == 0 || tensor_is_contiguous(x) || reshape_strides(x, ndim, shape, stride))
        return finish(call, view_of(call, x, ndim, shape, stride, 0));
    Tensor *dense = tensor_copy(call->ctx, x);
    if (dense == NULL) return false;
    dense_strides(ndim, shape, stride);
    bool done = finish(call, view_of(call, dense, ndim, shape, stride, 0));
    tensor_release(dense);
    return done;
}

/* ---- shape ---- */

bool reshape_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int ndim = call->attr[0].ints.count, unknown = -1;
    int64_t shape[TENSOR_MAX_DIMS], size = tensor_size(x), known = 1;
    char wanted[160];
    shape_format(ndim, call->attr[0].ints.v, wanted, sizeof wanted);
    for (int d = 0; d < ndim; d++) {
        shape[d] = call->attr[0].ints.v[d];
        if (shape[d] == -1 && unknown < 0) { unknown = d; continue; }
        if (shape[d] < 0) return op_error(call, ERROR_shape, "%s is not a shape: at most one axis may be -1", wanted);
        if (__builtin_mul_overflow(known, shape[d], &known))
            return op_error(call, ERROR_shape, "%s is too large", wanted);
    }
    if (unknown >= 0) {
        if (known == 0) return op_error(call, ERROR_shape, "-1 is undefined in %s, whose other axes are empty", wanted);
        shape[unknown] = size / known;
        known *= shape[unknown];
    }
    if (known != size) {
        char have[160];
        shape_format(x->ndim, x->shape, have, sizeof have);
        return op_error(call, ERROR_shape, "%s has %lld elements, which do not fit %s", have, (long long)size, wanted);
    }
    return reshape_to(call, ndim, shape);
}

/* Back to the input's shape: the gradient of every row that only regroups axes. */
static bool grad_reshape(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_reshape(g->s, g->dy[0], g->in_spec[0].ndim, g->in_spec[0].shape);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool reshape_grad(GradCall *g) { return grad_reshape(g); }

bool flatten_run(OpCall *call)
{
    Tensor *x = call->in[0];
    if (x->ndim == 0) return reshape_to(call, 1, (int64_t[]){1});
    int first, last, ndim = 0;
    if (!op_axis(call, call->attr[0].i, x->ndim, &first)) return false;
    if (!op_axis(call, call->attr[1].i, x->ndim, &last)) return false;
    if (last < first) return op_error(call, ERROR_shape, "start %d lies after stop %d", first, last);
    int64_t shape[TENSOR_MAX_DIMS];
    for (int d = 0; d < x->ndim; d++) {
        if (d > first && d <= last) shape[ndim - 1] *= x->shape[d];
        else shape[ndim++] = x->shape[d];
    }
    return reshape_to(call, ndim, shape);
}

bool flatten_grad(GradCall *g) { return grad_reshape(g); }

bool squeeze_run(OpCall *call)
{
    Tensor *x = call->in[0];
    bool chosen[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], x->ndim, chosen)) return false;
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    int ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (chosen[d] && x->shape[d] == 1) continue;
        if (chosen[d] && !call->attr[0].none)
            return op_error(call, ERROR_shape, "axis %d has size %lld, not 1", d, (long long)x->shape[d]);
        shape[ndim] = x->shape[d];
        stride[ndim++] = x->stride[d];
    }
    return finish(call, view_of(call, x, ndim, shape, stride, 0));
}

bool squeeze_grad(GradCall *g) { return grad_reshape(g); }

bool unsqueeze_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int axis;
    if (!has_room(call, x->ndim + 1) || !op_axis(call, call->attr[0].i, x->ndim + 1, &axis)) return false;
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    for (int d = 0, from = 0; d <= x->ndim; d++) {
        shape[d] = d == axis ? 1 : x->shape[from];
        stride[d] = d == axis ? 1 : x->stride[from++];
    }
    return finish(call, view_of(call, x, x->ndim + 1, shape, stride, 0));
}

bool unsqueeze_grad(GradCall *g) { return grad_reshape(g); }

/* ---- order of axes ---- */

static bool permuted(OpCall *call, const int *order)
{
    Tensor *x = call->in[0];
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    for (int d = 0; d < x->ndim; d++) {
        shape[d] = x->shape[order[d]];
        stride[d] = x->stride[order[d]];
    }
    return finish(call, view_of(call, x, x->ndim, shape, stride, 0));
}

bool permute_run(OpCall *call)
{
    Tensor *x = call->in[0];
    const Attr *axes = &call->attr[0];
    int order[TENSOR_MAX_DIMS];
    bool seen[TENSOR_MAX_DIMS] = {false};
    if (axes->ints.count != x->ndim)
        return op_error(call, ERROR_shape, "%d axes are named, but x has %d", axes->ints.count, x->ndim);
    for (int d = 0; d < x->ndim; d++) {
        if (!op_axis(call, axes->ints.v[d], x->ndim, &order[d])) return false;
        if (seen[order[d]]) return op_error(call, ERROR_shape, "axis %d is named twice", order[d]);
        seen[order[d]] = true;
    }
    return permuted(call, order);
}

bool permute_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    int back[TENSOR_MAX_DIMS], ndim = g->in_spec[0].ndim;
    for (int d = 0; d < ndim; d++) {
        int64_t axis = g->attr[0].ints.v[d];
        back[axis < 0 ? axis + ndim : axis] = d;
    }
    g->dx[0] = s_permute(g->s, g->dy[0], back);
    return g->dx[0] != NULL;
}

bool transpose_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int order[TENSOR_MAX_DIMS], a, b;
    for (int d = 0; d < x->ndim; d++) order[d] = d;
    if (!op_axis(call, call->attr[0].i, x->ndim, &a) || !op_axis(call, call->attr[1].i, x->ndim, &b)) return false;
    order[a] = b;
    order[b] = a;
    return permuted(call, order);
}

bool transpose_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_transpose(g->s, g->dy[0], (int)g->attr[0].i, (int)g->attr[1].i);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool flip_run(OpCall *call)
{
    Tensor *x = call->in[0];
    bool chosen[TENSOR_MAX_DIMS];
    if (!op_axes(call, &call->attr[0], x->ndim, chosen)) return false;
    int64_t stride[TENSOR_MAX_DIMS], offset = 0;
    for (int d = 0; d < x->ndim; d++) {
        stride[d] = chosen[d] ? -x->stride[d] : x->stride[d];
        if (chosen[d]) offset += (x->shape[d] - 1) * x->stride[d];
    }
    return finish(call, view_of(call, x, x->ndim, x->shape, stride, offset));
}

bool flip_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_op(g->s, OP_flip, 1, &g->dy[0], g->attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool expand_run(OpCall *call)
{
    Tensor *x = call->in[0];
    const Attr *want = &call->attr[0];
    int ndim = want->ints.count, lead = ndim - x->ndim;
    char text[160];
    shape_format(ndim, want->ints.v, text, sizeof text);
    if (lead < 0) return op_error(call, ERROR_shape, "x has %d axes, more than %s", x->ndim, text);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    for (int d = 0; d < ndim; d++) {
        int64_t have = d < lead ? 1 : x->shape[d - lead], to = want->ints.v[d];
        if (to == -1 && d >= lead) to = have;
        if (to < 0 || (have != to && have != 1))
            return op_error(call, ERROR_shape, "axis %d of size %lld does not stretch to %lld in %s", d - lead,
                            (long long)have, (long long)to, text);
        shape[d] = to;
        stride[d] = have == to && d >= lead ? x->stride[d - lead] : 0;
    }
    return finish(call, view_of(call, x, ndim, shape, stride, 0));
}

bool expand_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_sum_to(g->s, g->dy[0], &g->in_spec[0]);
    return !g->wants[0] || g->dx[0] != NULL;
}

/* ---- slices ---- */

/* Python's slice arithmetic: clamps, negative bounds count from the end. [count] elements from [first]. */
static void slice_bounds(const Attr *start, const Attr *stop, int64_t step, int64_t size, int64_t *first,
                         int64_t *count)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    int64_t a = step > 0 ? low : high, b = step > 0 ? high : low;
    if (!start->none) a = start->i < 0 ? start->i + size : start->i;
    if (!stop->none) b = stop->i < 0 ? stop->i + size : stop->i;
    a = a < low ? low : a > high ? high : a;
    b = b < low ? low : b > high ? high : b;
    *first = a;
    int64_t span = step > 0 ? b - a : a - b, width = step > 0 ? step : -step;
    *count = span <= 0 ? 0 : (span - 1) / width + 1;
}

bool slice_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int axis;
    int64_t step = call->attr[3].i, first, count;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (step == 0 || step == INT64_MIN) return op_error(call, ERROR_value, "step cannot be %lld", (long long)step);
    slice_bounds(&call->attr[1], &call->attr[2], step, x->shape[axis], &first, &count);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    memcpy(stride, x->stride, sizeof stride);
    shape[axis] = count;
    stride[axis] = count > 1 ? x->stride[axis] * step : 1;
    return finish(call, view_of(call, x, x->ndim, shape, stride, first * x->stride[axis]));
}

static Tensor *unslice(Scope *s, Tensor *dy, int axis, int64_t start, int64_t step, int64_t size)
{
    Attr attr[4] = {attr_int(axis), attr_int(start), attr_int(step), attr_int(size)};
    return s_op(s, OP_unslice, 1, &dy, attr, 0);
}

bool slice_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    int ndim = g->in_spec[0].ndim;
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + ndim : g->attr[0].i);
    int64_t first, count, size = g->in_spec[0].shape[axis];
    slice_bounds(&g->attr[1], &g->attr[2], g->attr[3].i, size, &first, &count);
    g->dx[0] = unslice(g->s, g->dy[0], axis, first, count > 1 ? g->attr[3].i : 1, size);
    return g->dx[0] != NULL;
}

bool shape_unslice(OpCall *call)
{
    Tensor *x = call->in[0];
    int axis;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    int64_t start = call->attr[1].i, step = call->attr[2].i, size = call->attr[3].i, count = x->shape[axis], last = 0;
    if (size < 0) return op_error(call, ERROR_value, "size cannot be %lld", (long long)size);
    bool lost = __builtin_mul_overflow(count - 1, step, &last) || __builtin_add_overflow(last, start, &last);
    if (count > 0 && (lost || step == 0 || start < 0 || start >= size || last < 0 || last >= size))
        return op_error(call, ERROR_index, "%lld elements from %lld by %lld do not fit axis %d of size %lld",
                        (long long)count, (long long)start, (long long)step, axis, (long long)size);
    spec_of(x, &call->spec[0]);
    call->spec[0].shape[axis] = size;
    return true;
}

bool unslice_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    int axis = (int)(call->attr[0].i < 0 ? call->attr[0].i + x->ndim : call->attr[0].i);
    memset(out->data, 0, (size_t)tensor_size(out) * dtype_size((Dtype)out->dtype));
    if (tensor_size(x) == 0) return true;
    int64_t stride[TENSOR_MAX_DIMS];
    memcpy(stride, out->stride, sizeof stride);
    stride[axis] *= call->attr[2].i;
    Tensor *place = tensor_view(call->ctx, out, x->ndim, x->shape, stride, call->attr[1].i * out->stride[axis]);
    bool done = place != NULL && tensor_assign(call->ctx, place, x);
    tensor_release(place);
    return done;
}

bool unslice_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + g->in_spec[0].ndim : g->attr[0].i);
    int64_t start = g->attr[1].i, step = g->attr[2].i, count = g->in_spec[0].shape[axis];
    int64_t stop = start + (count - 1) * step + (step > 0 ? 1 : -1);
    Attr attr[4] = {attr_int(axis), attr_int(start), attr_int(count == 0 ? start : stop), attr_int(step)};
    if (stop < 0 && count > 0) attr[2] = attr_none();              /* a negative stop would count from the end */
    g->dx[0] = s_op(g->s, OP_slice, 1, &g->dy[0], attr, 0);
    return g->dx[0] != NULL;
}

bool select_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int axis;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    int64_t size = x->shape[axis], index = call->attr[1].i, at = index < 0 ? index + size : index;
    if (at < 0 || at >= size)
        return op_error(call, ERROR_index, "index %lld is out of range for axis %d of size %lld", (long long)index,
                        axis, (long long)size);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    int ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (d == axis) continue;
        shape[ndim] = x->shape[d];
        stride[ndim++] = x->stride[d];
    }
    return finish(call, view_of(call, x, ndim, shape, stride, at * x->stride[axis]));
}

bool select_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    int ndim = g->in_spec[0].ndim;
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + ndim : g->attr[0].i);
    int64_t size = g->in_spec[0].shape[axis], at = g->attr[1].i < 0 ? g->attr[1].i + size : g->attr[1].i;
    g->dx[0] = unslice(g->s, s_unsqueeze(g->s, g->dy[0], axis), axis, at, 1, size);
    return g->dx[0] != NULL;
}

/* ---- joining ---- */

bool op_put_part(OpCall *call, Tensor *x, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset)
{
    if (tensor_size(x) == 0) return true;
    Tensor *place = tensor_view(call->ctx, call->out[0], ndim, shape, stride, offset);
    bool done = place != NULL && tensor_assign(call->ctx, place, x);
    tensor_release(place);
    return done;
}

bool shape_concat(OpCall *call)
{
    if (call->n_in == 0) return op_error(call, ERROR_shape, "there is nothing to join");
    const Tensor *first = call->in[0];
    int axis;
    if (first->ndim == 0) return op_error(call, ERROR_shape, "0-d tensors have no axis to join along; stack them");
    if (!op_axis(call, call->attr[0].i, first->ndim, &axis)) return false;
    spec_of(first, &call->spec[0]);
    for (int i = 1; i < call->n_in; i++) {
        const Tensor *x = call->in[i];
        bool fits = x->ndim == first->ndim;
        for (int d = 0; fits && d < x->ndim; d++) fits = d == axis || x->shape[d] == first->shape[d];
        if (!fits) {
            char a[160], b[160];
            shape_format(first->ndim, first->shape, a, sizeof a);
            shape_format(x->ndim, x->shape, b, sizeof b);
            return op_error(call, ERROR_shape, "input %d is %s, which differs from %s in more than axis %d", i, b, a,
                            axis);
        }
        call->spec[0].shape[axis] += x->shape[axis];
    }
    call->spec[0].dtype = op_promote(call->n_in, call->in, false, false);
    return true;
}

bool concat_run(OpCall *call)
{
    const Tensor *out = call->out[0];
    int axis = (int)(call->attr[0].i < 0 ? call->attr[0].i + out->ndim : call->attr[0].i);
    int64_t offset = 0;
    for (int i = 0; i < call->n_in; i++) {
        Tensor *x = call->in[i];
        if (!op_put_part(call, x, x->ndim, x->shape, out->stride, offset)) return false;
        offset += x->shape[axis] * out->stride[axis];
    }
    return true;
}

bool concat_grad(GradCall *g)
{
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + g->out_spec[0].ndim : g->attr[0].i);
    int64_t start = 0;
    for (int i = 0; i < g->n_in; i++) {
        int64_t stop = start + g->in_spec[i].shape[axis];
        if (g->wants[i]) {
            Attr attr[4] = {attr_int(axis), attr_int(start), attr_int(stop), attr_int(1)};
            g->dx[i] = s_cast(g->s, s_op(g->s, OP_slice, 1, &g->dy[0], attr, 0), g->in_spec[i].dtype);
            if (g->dx[i] == NULL) return false;
        }
        start = stop;
    }
    return true;
}

bool shape_stack(OpCall *call)
{
    if (call->n_in == 0) return op_error(call, ERROR_shape, "there is nothing to stack");
    const Tensor *first = call->in[0];
    int axis;
    if (!has_room(call, first->ndim + 1) || !op_axis(call, call->attr[0].i, first->ndim + 1, &axis)) return false;
    TensorSpec *spec = &call->spec[0], one, other;
    spec_of(first, &one);
    for (int i = 1; i < call->n_in; i++) {
        spec_of(call->in[i], &other);
        if (spec_equal_shape(&one, &other)) continue;
        char a[160], b[160];
        shape_format(one.ndim, one.shape, a, sizeof a);
        shape_format(other.ndim, other.shape, b, sizeof b);
        return op_error(call, ERROR_shape, "input %d is %s, the first is %s", i, b, a);
    }
    spec->ndim = one.ndim + 1;
    for (int d = 0, from = 0; d < spec->ndim; d++) spec->shape[d] = d == axis ? call->n_in : one.shape[from++];
    spec->dtype = op_promote(call->n_in, call->in, false, false);
    return true;
}

bool stack_run(OpCall *call)
{
    const Tensor *out = call->out[0], *first = call->in[0];
    int axis = (int)(call->attr[0].i < 0 ? call->attr[0].i + out->ndim : call->attr[0].i);
    int64_t stride[TENSOR_MAX_DIMS];
    for (int d = 0, to = 0; d < out->ndim; d++)
        if (d != axis) stride[to++] = out->stride[d];
    for (int i = 0; i < call->n_in; i++)
        if (!op_put_part(call, call->in[i], first->ndim, first->shape, stride, i * out->stride[axis])) return false;
    return true;
}

bool stack_grad(GradCall *g)
{
    for (int i = 0; i < g->n_in; i++) {
        if (!g->wants[i]) continue;
        Attr attr[2] = {g->attr[0], attr_int(i)};
        g->dx[i] = s_cast(g->s, s_op(g->s, OP_select, 1, &g->dy[0], attr, 0), g->in_spec[i].dtype);
        if (g->dx[i] == NULL) return false;
    }
    return true;
}

bool tile_run(OpCall *call)
{
    Tensor *x = call->in[0];
    const Attr *repeats = &call->attr[0];
    int ndim = repeats->ints.count > x->ndim ? repeats->ints.count : x->ndim, lead = ndim - x->ndim;
    int given = ndim - repeats->ints.count;                        /* axes in front that repeat once */
    Scope s;
    scope_init(&s, call->ctx);
    int64_t shape[TENSOR_MAX_DIMS];
    for (int d = 0; d < ndim; d++) shape[d] = d < lead ? 1 : x->shape[d - lead];
    Tensor *y = s_reshape(&s, x, ndim, shape);
    for (int d = 0; d < ndim && y != NULL; d++) {
        int64_t times = d < given ? 1 : repeats->ints.v[d - given];
        if (times == 1) continue;
        if (times < 0) { op_error(call, ERROR_value, "cannot repeat %lld times", (long long)times); y = NULL; break; }
        Tensor *copies[1] = {y};
        int64_t at[TENSOR_MAX_DIMS + 1];
        /* in front of axis d: [before, times, size · after], then the two middle axes merge */
        int64_t before = 1, rest = 1;
        for (int e = 0; e < d; e++) before *= shape[e];
        for (int e = d; e < ndim; e++) rest *= shape[e];
        at[0] = before; at[1] = 1; at[2] = rest;
        copies[0] = s_reshape(&s, y, 3, at);
        at[1] = times;
        shape[d] *= times;
        y = s_reshape(&s, s_expand(&s, copies[0], 3, at), ndim, shape);
    }
    bool done = finish(call, tensor_retain(y));
    scope_clear(&s);
    return done;
}

/* ---- triangles and diagonals ---- */

bool shape_triangle(OpCall *call)
{
    if (call->in[0]->ndim >= 2) return shape_same(call);
    return op_error(call, ERROR_shape, "x needs at least two axes, it has %d", call->in[0]->ndim);
}

/* Copies x and zeroes what lies above (lower) or below (not lower) diagonal k of the last two axes. */
static bool triangle(OpCall *call, bool lower)
{
    Tensor *x = call->in[0], *out = call->out[0];
    if (!tensor_assign(call->ctx, out, x)) return false;
    int64_t rows = x->shape[x->ndim - 2], columns = x->shape[x->ndim - 1], size = tensor_size(x);
    int64_t k = call->attr[0].i;
    k = k > columns ? columns : k < -rows ? -rows : k;             /* beyond these nothing changes */
    size_t width = dtype_size((Dtype)x->dtype);
    for (int64_t row = 0; size > 0 && row < size / columns; row++) {
        int64_t edge = row % rows + k + (lower ? 1 : 0);           /* first column above the kept triangle, or kept */
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        char *at = out->data + (size_t)(row * columns) * width;
        if (lower) memset(at + (size_t)edge * width, 0, (size_t)(columns - edge) * width);
        else memset(at, 0, (size_t)edge * width);
    }
    return true;
}

bool tril_run(OpCall *call) { return triangle(call, true); }

bool tril_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_op(g->s, OP_tril, 1, &g->dy[0], g->attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool triu_run(OpCall *call) { return triangle(call, false); }

bool triu_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = s_op(g->s, OP_triu, 1, &g->dy[0], g->attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

/* Length of diagonal [k] of a rows x columns matrix. */
static int64_t diagonal_length(int64_t rows, int64_t columns, int64_t k)
{
    if (k > columns || k < -rows) return 0;
    int64_t down = rows + (k < 0 ? k : 0), right = columns - (k > 0 ? k : 0);
    int64_t length = down < right ? down : right;
    return length < 0 ? 0 : length;
}

/* The two axes of a diagonal, made non-negative. */
static bool diagonal_axes(OpCall *call, int *rows, int *columns)
{
    int n = call->in[0]->ndim;
    if (n < 2) return op_error(call, ERROR_shape, "x needs at least two axes, it has %d", n);
    if (!op_axis(call, call->attr[1].i, n, rows) || !op_axis(call, call->attr[2].i, n, columns)) return false;
    return *rows != *columns || op_error(call, ERROR_value, "axis %d is given twice", *rows);
}

bool diagonal_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int rows, columns, n = 0;
    if (!diagonal_axes(call, &rows, &columns)) return false;
    int64_t k = call->attr[0].i, shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    for (int d = 0; d < x->ndim; d++) {
        if (d == rows || d == columns) continue;
        shape[n] = x->shape[d];
        stride[n++] = x->stride[d];
    }
    shape[n] = diagonal_length(x->shape[rows], x->shape[columns], k);
    stride[n] = x->stride[rows] + x->stride[columns];
    int64_t offset = shape[n] == 0 ? 0 : k > 0 ? k * x->stride[columns] : -k * x->stride[rows];
    return finish(call, view_of(call, x, n + 1, shape, stride, offset));
}

bool diagonal_grad(GradCall *g)
{
    if (!g->wants[0]) return true;
    const TensorSpec *x = &g->in_spec[0];
    int rows = (int)(g->attr[1].i < 0 ? g->attr[1].i + x->ndim : g->attr[1].i);
    int columns = (int)(g->attr[2].i < 0 ? g->attr[2].i + x->ndim : g->attr[2].i);
    Attr attr[3] = {g->attr[0], attr_int(x->shape[rows]), attr_int(x->shape[columns])};
    Tensor *square = s_op(g->s, OP_diag_embed, 1, &g->dy[0], attr, 0);
    int order[TENSOR_MAX_DIMS];                                    /* the last two axes back to where they were */
    for (int d = 0, from = 0; d < x->ndim; d++)
        order[d] = d == rows ? x->ndim - 2 : d == columns ? x->ndim - 1 : from++;
    g->dx[0] = rows == x->ndim - 2 && columns == x->ndim - 1 ? square : s_permute(g->s, square, order);
    return g->dx[0] != NULL;
}

bool shape_diag_embed(OpCall *call)
{
    const Tensor *x = call->in[0];
    int n = x->ndim;
    if (n < 1) return op_error(call, ERROR_shape, "x needs at least one axis");
    if (!has_room(call, n + 1)) return false;
    int64_t k = call->attr[0].i, length = x->shape[n - 1], side;
    if (__builtin_add_overflow(length, k < 0 ? -k : k, &side) || k == INT64_MIN)
        return op_error(call, ERROR_value, "offset %lld is too large", (long long)k);
    spec_of(x, &call->spec[0]);
    call->spec[0].ndim = n + 1;
    int64_t rows = call->spec[0].shape[n - 1] = call->attr[1].none ? side : call->attr[1].i;
    int64_t columns = call->spec[0].shape[n] = call->attr[2].none ? side : call->attr[2].i;
    if (rows >= 0 && columns >= 0 && diagonal_length(rows, columns, k) == length) return true;
    return op_error(call, ERROR_shape, "%lld elements are not diagonal %lld of a matrix [%lld, %lld]",
                    (long long)length, (long long)k, (long long)rows, (long long)columns);
}

bool diag_embed_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    int n = x->ndim;
    int64_t k = call->attr[0].i, stride[TENSOR_MAX_DIMS];
    memset(out->data, 0, (size_t)tensor_size(out) * dtype_size((Dtype)out->dtype));
    memcpy(stride, out->stride, sizeof stride);
    stride[n - 1] = out->stride[n - 1] + out->stride[n];
    return op_put_part(call, x, n, x->shape, stride, k > 0 ? k * out->stride[n] : -k * out->stride[n - 1]);
}

bool diag_embed_grad(GradCall *g)
{
    Attr attr[3] = {g->attr[0], attr_int(-2), attr_int(-1)};
    if (g->wants[0]) g->dx[0] = s_op(g->s, OP_diagonal, 1, &g->dy[0], attr, 0);
    return !g->wants[0] || g->dx[0] != NULL;
}

bool diag_run(OpCall *call)
{
    Tensor *x = call->in[0];
    if (x->ndim != 1 && x->ndim != 2)
        return op_error(call, ERROR_shape, "x must be a vector or a matrix, it has %d axes", x->ndim);
    Scope s;
    scope_init(&s, call->ctx);
    bool embeds = x->ndim == 1;
    Attr attr[3] = {call->attr[0], embeds ? attr_none() : attr_int(-2), embeds ? attr_none() : attr_int(-1)};
    Tensor *y = s_op(&s, embeds ? OP_diag_embed : OP_diagonal, 1, &x, attr, 0);
    bool done = finish(call, tensor_retain(y));
    scope_clear(&s);
    return done;
}

/* ---- dtype and graph ---- */

bool shape_one_hot(OpCall *call)
{
    const Tensor *x = call->in[0];
    if (dtype_class((Dtype)x->dtype) == CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "classes are ints, not %s", dtype_name((Dtype)x->dtype));
    if (call->attr[0].i < 1) return op_error(call, ERROR_value, "classes must be at least 1");
    if (!has_room(call, x->ndim + 1)) return false;
    spec_of(x, &call->spec[0]);
    call->spec[0].shape[x->ndim] = call->attr[0].i;
    call->spec[0].ndim = x->ndim + 1;
    call->spec[0].dtype = DTYPE_f32;
    return true;
}

bool one_hot_run(OpCall *call)
{
    Tensor *x = call->in[0], *out = call->out[0];
    float *to = (float *)(void *)out->data;
    int64_t classes = call->attr[0].i, size = tensor_size(x);
    memset(to, 0, (size_t)tensor_size(out) * sizeof *to);
    for (int64_t i = 0; i < size; i++) {
        int64_t class = tensor_item_int(x, i);
        if (class < 0 || class >= classes)
            return op_error(call, ERROR_index, "class %lld is out of range for %lld classes", (long long)class,
                            (long long)classes);
        to[i * classes + class] = 1;
    }
    return true;
}

bool to_run(OpCall *call)
{
    Tensor *x = call->in[0];
    Dtype dtype = call->attr[0].dtype;
    bool same = dtype == (Dtype)x->dtype;
    Tensor *y = call->ctx->meta ? tensor_meta(call->ctx, dtype, x->ndim, x->shape)
                : same ? view_of(call, x, x->ndim, x->shape, x->stride, 0) : tensor_cast(call->ctx, x, dtype);
    if (y != NULL) y->weak = false;                                /* its dtype was asked for */
    return finish(call, y);
}

bool to_grad(GradCall *g)
{
    if (!g->wants[0] || dtype_class(g->out_spec[0].dtype) != CLASS_FLOAT) return true;
    g->dx[0] = s_cast(g->s, g->dy[0], g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}

bool contiguous_run(OpCall *call)
{
    Tensor *x = call->in[0];
    if (tensor_is_contiguous(x) || x->meta)
        return finish(call, view_of(call, x, x->ndim, x->shape, x->stride, 0));
    return finish(call, tensor_copy(call->ctx, x));
}

bool contiguous_grad(GradCall *g)
{
    if (g->wants[0]) g->dx[0] = g->dy[0];
    return true;
}

bool stop_grad_run(OpCall *call)
{
    Tensor *x = call->in[0];
    return finish(call, view_of(call, x, x->ndim, x->shape, x->stride, 0));
}
