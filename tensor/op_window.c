/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Windows along an axis: unfold shows them as a view, overlap_add sums them back; each is the other's gradient.
   Invariant: each place of overlap_add is summed in the order of the windows, by one task. */
#include <string.h>

#include "op.h"
#include "rows.h"

bool unfold_run(OpCall *call)
{
    Tensor *x = call->in[0];
    int axis;
    int64_t size = call->attr[1].i, step = call->attr[2].i;
    if (!op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (x->ndim == TENSOR_MAX_DIMS)
        return op_error(call, ERROR_shape, "the result would have more than %d axes", TENSOR_MAX_DIMS);
    if (size < 0 || step < 1)
        return op_error(call, ERROR_value, "size is at least 0 and step at least 1, got %lld and %lld", (long long)size,
                        (long long)step);
    if (size > x->shape[axis])
        return op_error(call, ERROR_shape, "windows of %lld do not fit axis %d of size %lld", (long long)size, axis,
                        (long long)x->shape[axis]);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    memcpy(stride, x->stride, sizeof stride);
    shape[axis] = (x->shape[axis] - size) / step + 1;
    stride[axis] = shape[axis] > 1 ? x->stride[axis] * step : 1;
    shape[x->ndim] = size;
    stride[x->ndim] = x->stride[axis];
    bool empty = tensor_size(x) == 0 || size == 0;
    call->out[0] = empty ? tensor_new(call->ctx, (Dtype)x->dtype, x->ndim + 1, shape)
                         : tensor_view(call->ctx, x, x->ndim + 1, shape, stride, 0);
    return call->out[0] != NULL;
}

bool unfold_grad(GradCall *g)
{
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + g->in_spec[0].ndim : g->attr[0].i);
    Attr attr[3] = {attr_int(axis), attr_int(g->in_spec[0].shape[axis]), g->attr[2]};
    g->dx[0] = s_op(g->s, OP_overlap_add, 1, &g->dy[0], attr, 0);
    return g->dx[0] != NULL;
}

bool shape_overlap_add(OpCall *call)
{
    const Tensor *x = call->in[0];
    int axis, last = x->ndim - 1;
    int64_t length = call->attr[1].i, step = call->attr[2].i, span;
    if (x->ndim < 2) return op_error(call, ERROR_shape, "x needs an axis of windows and a last one within them");
    if (!op_axis(call, call->attr[0].i, last, &axis)) return false;
    int64_t count = x->shape[axis], size = x->shape[last];
    if (step < 1 || length < 0)
        return op_error(call, ERROR_value, "step is at least 1 and length at least 0, got %lld and %lld",
                        (long long)step, (long long)length);
    if (count > 0 && (__builtin_mul_overflow(count - 1, step, &span) || span > length - size))
        return op_error(call, ERROR_shape, "%lld windows of %lld by steps of %lld do not fit %lld places",
                        (long long)count, (long long)size, (long long)step, (long long)length);
    spec_of(x, &call->spec[0]);
    call->spec[0].ndim = last;
    call->spec[0].shape[axis] = length;
    return true;
}

typedef struct Overlap {
    Dtype dtype;
    int64_t count, middle, size, step, length;    /* x is [lead, count, middle, size], out [lead, length, middle] */
    const char *x;
    char *out;
} Overlap;

#define ADD_WINDOWS(type, sum)                                                                                         \
    for (int64_t lead = first; lead < first + leads; lead++) {                                                         \
        const type *x = (const type *)(const void *)job->x + lead * job->count * job->middle * job->size;              \
        type *out = (type *)(void *)job->out + lead * job->length * job->middle;                                       \
        for (int64_t c = 0; c < job->count; c++)                                                                       \
            for (int64_t m = 0; m < job->middle; m++, x += job->size) {                                                \
                type *to = out + c * job->step * job->middle + m;                                                      \
                for (int64_t j = 0; j < job->size; j++) {                                                              \
                    to[j * job->middle] = (type)((sum)to[j * job->middle] + (sum)x[j]);                                \
                }                                                                                                      \
            }                                                                                                          \
    }

static void add_windows(void *arg, int64_t first, int64_t leads)
{
    const Overlap *job = arg;
    switch (job->dtype) {
    case DTYPE_f32: ADD_WINDOWS(float, float) break;
    case DTYPE_f64: ADD_WINDOWS(double, double) break;
    case DTYPE_i32: ADD_WINDOWS(int32_t, uint32_t) break;
    case DTYPE_i64: ADD_WINDOWS(int64_t, uint64_t) break;
    case DTYPE_bool: ADD_WINDOWS(bool, bool) break;
    default: ADD_WINDOWS(uint8_t, uint32_t) break;
    }
}

bool overlap_add_run(OpCall *call)
{
    Tensor *x = tensor_contiguous(call->ctx, call->in[0]), *out = call->out[0];
    int axis = (int)(call->attr[0].i < 0 ? call->attr[0].i + out->ndim : call->attr[0].i);
    memset(out->data, 0, (size_t)tensor_size(out) * dtype_size((Dtype)out->dtype));
    if (!x) return false;
    Overlap job = {.dtype = (Dtype)out->dtype, .count = x->shape[axis], .middle = 1, .size = x->shape[x->ndim - 1],
                   .step = call->attr[2].i, .length = out->shape[axis], .x = x->data, .out = out->data};
    int64_t leads = 1;
    for (int d = 0; d < axis; d++) leads *= x->shape[d];
    for (int d = axis + 1; d < out->ndim; d++) job.middle *= x->shape[d];
    bool done = tensor_size(x) == 0 ||
                rows_run(call->ctx, leads, job.count * job.middle * job.size, add_windows, &job);
    tensor_release(x);
    return done;
}

bool overlap_add_grad(GradCall *g)
{
    const TensorSpec *x = &g->in_spec[0];
    int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + x->ndim - 1 : g->attr[0].i);
    Attr unfold[3] = {attr_int(axis), attr_int(x->shape[x->ndim - 1]), g->attr[2]};
    Attr some[4] = {attr_int(axis), attr_int(0), attr_int(x->shape[axis]), attr_int(1)};
    if (spec_size(x) == 0) {
        g->dx[0] = scope_own(g->s, tensor_zeros(g->ctx, x->dtype, x->ndim, x->shape));
    } else {
        Tensor *windows = s_op(g->s, OP_unfold, 1, &g->dy[0], unfold, 0);
        g->dx[0] = windows ? s_op(g->s, OP_slice, 1, &windows, some, 0) : NULL;
    }
    return g->dx[0] != NULL;
}
