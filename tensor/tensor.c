/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tensors: making, viewing, copying, reading and writing them. Storage is storage.c's, ops are op.c's.
   Invariant: a 0-d tensor made here has no storage and lives in its own head, and so does every view of one; all
   other tensors share a counted storage. */
#include <stdio.h>
#include <string.h>

#include "core.h"

enum { META_BYTES = 1 << 16 };   /* what a dry run may compute, the small tensors that some ops make on their way */

int64_t tensor_live_count(void)
{
    int64_t bytes, tensors;
    block_counts(&bytes, &tensors);
    return tensors;
}

int64_t runtime_live_tensors(void)
{
    return tensor_live_count();
}

void tensor_context_init(TensorContext *context, const atomic_uint *asked)
{
    memset(context, 0, sizeof *context);
    context->asked = asked;
}

bool tensor_stopped(const TensorContext *context)
{
    unsigned asked = context->asked ? atomic_load_explicit(context->asked, memory_order_relaxed) : 0;
    if ((asked & FLAG_REQUEST) && context->serve)
        context->serve(context->owner);
    return (asked & FLAG_INTERRUPT) != 0;
}

bool tensor_interrupted(TensorContext *context)
{
    if (!tensor_stopped(context))
        return false;
    error_set(&context->error, ERROR_interrupt, "", "stopped on request");
    return true;
}

/* ---- making ---- */

/* A head with no shape, storage or data yet. */
static Tensor *new_head(TensorContext *context, Dtype dtype)
{
    Tensor *tensor = block_take(sizeof *tensor);
    if (!tensor) {
        error_set(&context->error, ERROR_memory, "", "no memory is left for one more tensor");
        return NULL;
    }
    tensor->refs = 1;
    tensor->dtype = (uint8_t)dtype;
    tensor->ndim = 0;
    tensor->weak = false;
    tensor->meta = false;
    tensor->data = (char *)tensor->scalar.bytes;
    tensor->storage = NULL;
    tensor->node = NULL;
    tensor->deferred = NULL;
    tensor->node_out = 0;
    tensor->scalar.i = 0;
    block_count_tensor(1);
    return tensor;
}

void tensor_free(Tensor *tensor)
{
    if (tensor->node)
        grad_node_release(tensor->node);
    if (tensor->deferred)
        deferred_free(tensor->deferred);
    storage_release(tensor->storage);
    block_give(tensor, sizeof *tensor);
    block_count_tensor(-1);
}

/* The bytes of a dense tensor; false when the shape is impossible. */
static bool dense_bytes(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape, size_t *bytes)
{
    if (ndim < 0 || ndim > TENSOR_MAX_DIMS)
        return error_set(&context->error, ERROR_shape, "", "a tensor has at most %d axes, not %d", TENSOR_MAX_DIMS,
                         ndim);
    size_t total = dtype_size(dtype);
    bool empty = false, overflow = false;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return error_set(&context->error, ERROR_shape, "", "axis %d would have size %lld", i, (long long)shape[i]);
        empty = empty || shape[i] == 0;
        overflow = __builtin_mul_overflow(total, (size_t)shape[i], &total) || overflow;
    }
    if (empty)
        total = 0;
    else if (overflow || total > SIZE_MAX / 4) {
        char text[128];
        shape_format(ndim, shape, text, sizeof text);
        return error_set(&context->error, ERROR_memory, "", "%s%s has more bytes than any machine",
                         dtype_name(dtype), text);
    }
    *bytes = total;
    return true;
}

static void set_dense_shape(Tensor *tensor, int ndim, const int64_t *shape)
{
    tensor->ndim = (uint8_t)ndim;
    for (int i = 0; i < ndim; i++)
        tensor->shape[i] = shape[i];
    dense_strides(ndim, shape, tensor->stride);
}

Tensor *tensor_new(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape)
{
    if (ndim == 0)
        return new_head(context, dtype);
    size_t bytes;
    if (!dense_bytes(context, dtype, ndim, shape, &bytes))
        return NULL;
    if (context->meta && bytes > META_BYTES) {
        error_set(&context->error, ERROR_internal, "", "a dry run computes no large tensors");
        return NULL;
    }
    Tensor *tensor = new_head(context, dtype);
    if (!tensor)
        return NULL;
    set_dense_shape(tensor, ndim, shape);
    tensor->storage = storage_new(&context->error, bytes);
    if (!tensor->storage) {
        tensor_release(tensor);
        return NULL;
    }
    tensor->data = tensor->storage->data;
    return tensor;
}

Tensor *tensor_blank(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape)
{
    Tensor *tensor = new_head(context, dtype);
    if (tensor)
        set_dense_shape(tensor, ndim, shape);
    return tensor;
}

void tensor_take_contents(Tensor *tensor, Tensor *owned)
{
    tensor->data = owned->data;
    tensor->storage = owned->storage;
    tensor->node = owned->node;
    tensor->node_out = owned->node_out;
    owned->storage = NULL;
    owned->node = NULL;
    tensor_release(owned);
}

Tensor *tensor_meta(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape)
{
    size_t bytes;
    if (!dense_bytes(context, dtype, ndim, shape, &bytes))
        return NULL;
    Tensor *tensor = new_head(context, dtype);
    if (!tensor)
        return NULL;
    tensor->storage = storage_new(&context->error, sizeof tensor->scalar);
    if (!tensor->storage) {
        tensor_release(tensor);
        return NULL;
    }
    tensor->meta = true;
    tensor->ndim = (uint8_t)ndim;
    for (int i = 0; i < ndim; i++) {
        tensor->shape[i] = shape[i];
        tensor->stride[i] = 0;
    }
    tensor->data = memset(tensor->storage->data, 0, sizeof tensor->scalar);
    return tensor;
}

Tensor *tensor_zeros(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape)
{
    Tensor *tensor = tensor_new(context, dtype, ndim, shape);
    if (tensor && tensor->storage && tensor->storage->bytes > 0)
        memset(tensor->data, 0, tensor->storage->bytes);
    return tensor;
}

Tensor *tensor_scalar(TensorContext *context, Dtype dtype, double value)
{
    Tensor *tensor = new_head(context, dtype);
    if (tensor)
        tensor_store(tensor, 0, value);
    return tensor;
}

Tensor *tensor_scalar_int(TensorContext *context, Dtype dtype, int64_t value)
{
    Tensor *tensor = new_head(context, dtype);
    if (tensor)
        tensor_store_int(tensor, 0, value);
    return tensor;
}

Tensor *tensor_weak(TensorContext *context, bool is_float, double f, int64_t i)
{
    Tensor *tensor = new_head(context, is_float ? DTYPE_f64 : DTYPE_i64);
    if (!tensor)
        return NULL;
    if (is_float)
        tensor->scalar.f = f;
    else
        tensor->scalar.i = i;
    tensor->weak = true;
    return tensor;
}

Tensor *tensor_from_data(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    Tensor *tensor = tensor_new(context, dtype, ndim, shape);
    size_t bytes = tensor ? (size_t)tensor_size(tensor) * dtype_size(dtype) : 0;
    if (bytes > 0)
        memcpy(tensor->data, data, bytes);
    return tensor;
}

Tensor *tensor_from_storage_take(TensorContext *context, Dtype dtype, int ndim, const int64_t *shape, Storage *storage,
                                 size_t byte_offset)
{
    size_t bytes;
    Tensor *tensor = NULL;
    if (dense_bytes(context, dtype, ndim, shape, &bytes)) {
        if (byte_offset > storage->bytes || bytes > storage->bytes - byte_offset)
            error_set(&context->error, ERROR_internal, "", "a tensor of %zu bytes does not fit its storage", bytes);
        else
            tensor = new_head(context, dtype);
    }
    if (!tensor) {
        storage_release(storage);
        return NULL;
    }
    set_dense_shape(tensor, ndim, shape);
    tensor->storage = storage;
    tensor->data = (char *)storage->data + byte_offset;
    return tensor;
}

Tensor *tensor_view(TensorContext *context, const Tensor *tensor, int ndim, const int64_t *shape, const int64_t *stride,
                    int64_t offset)
{
    if (ndim > TENSOR_MAX_DIMS) {
        error_set(&context->error, ERROR_shape, "", "a tensor has at most %d axes, not %d", TENSOR_MAX_DIMS, ndim);
        return NULL;
    }
    Tensor *view = new_head(context, (Dtype)tensor->dtype);
    if (!view)
        return NULL;
    view->meta = tensor->meta;
    view->ndim = (uint8_t)ndim;
    for (int i = 0; i < ndim; i++) {
        view->shape[i] = shape[i];
        view->stride[i] = stride[i];
    }
    if (!tensor->storage) {
        view->scalar = tensor->scalar;
        return view;
    }
    view->storage = tensor->storage;
    view->storage->refs++;
    view->data = tensor->data + offset * (int64_t)dtype_size((Dtype)tensor->dtype);
    return view;
}

Tensor *tensor_detach(TensorContext *context, Tensor *tensor)
{
    if (!tensor->node)
        return tensor_retain(tensor);
    Tensor *alias = tensor_view(context, tensor, tensor->ndim, tensor->shape, tensor->stride, 0);
    if (alias)
        alias->weak = tensor->weak;
    return alias;
}

/* ---- asking ---- */

int64_t tensor_size(const Tensor *tensor)
{
    int64_t size = 1;
    for (int i = 0; i < tensor->ndim; i++)
        size *= tensor->shape[i];
    return size;
}

bool tensor_is_contiguous(const Tensor *tensor)
{
    int64_t step = 1;
    for (int i = tensor->ndim - 1; i >= 0; i--) {
        if (tensor->shape[i] == 0)
            return true;
        if (tensor->shape[i] != 1 && tensor->stride[i] != step)
            return false;
        step *= tensor->shape[i];
    }
    return true;
}

int64_t tensor_parts_step(const Tensor *part, int64_t count)
{
    bool used[TENSOR_MAX_DIMS] = {false};
    int64_t filled = 1, step = 0;
    for (int left = part->ndim; left > 0;) {          /* the axes from the inmost one on, each as far apart as those inside fill */
        int d = 0;
        while (d < part->ndim && (used[d] || (part->shape[d] != 1 && part->stride[d] != filled)))
            d++;
        if (d < part->ndim) {
            used[d] = true;
            filled *= part->shape[d];
            left--;
        } else if (step > 0 || filled == 0) {
            return 0;
        } else {                                      /* here lie the other parts */
            step = filled;
            filled *= count;
        }
    }
    return step > 0 ? step : filled;
}

bool tensor_is_unshared(const Tensor *tensor)
{
    if (tensor->refs != 1 || tensor->node)
        return false;
    for (int i = 0; i < tensor->ndim; i++)
        if (tensor->stride[i] == 0 && tensor->shape[i] > 1)       /* one element in many places */
            return false;
    return !tensor->storage || (tensor->storage->refs == 1 && !tensor->storage->release);
}

void shape_format(int ndim, const int64_t *shape, char *buffer, size_t size)
{
    size_t used = (size_t)snprintf(buffer, size, "[");
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, i ? ", %lld" : "%lld", (long long)shape[i]);
    if (used < size)
        snprintf(buffer + used, size - used, "]");
}

void tensor_type_name(const Tensor *tensor, char *buffer, size_t size)
{
    int used = snprintf(buffer, size, "%s", dtype_name((Dtype)tensor->dtype));
    if (used >= 0 && (size_t)used < size)
        shape_format(tensor->ndim, tensor->shape, buffer + used, size - (size_t)used);
}

/* ---- copies ---- */

static bool copy_into(TensorContext *context, Tensor *dense, const Tensor *tensor)
{
    StridedSide dst = {(Dtype)dense->dtype, dense->data, dense->stride};
    StridedSide src = {(Dtype)tensor->dtype, tensor->data, tensor->stride};
    return convert_strided(context, dst, src, tensor->ndim, tensor->shape);
}

static Tensor *dense_copy(TensorContext *context, const Tensor *tensor, Dtype dtype)
{
    Tensor *dense = tensor_new(context, dtype, tensor->ndim, tensor->shape);
    if (dense && !copy_into(context, dense, tensor)) {
        tensor_release(dense);
        return NULL;
    }
    return dense;
}

Tensor *tensor_contiguous(TensorContext *context, Tensor *tensor)
{
    if (tensor_is_contiguous(tensor))
        return tensor_retain(tensor);
    return dense_copy(context, tensor, (Dtype)tensor->dtype);
}

Tensor *tensor_copy(TensorContext *context, const Tensor *tensor)
{
    Tensor *copy = dense_copy(context, tensor, (Dtype)tensor->dtype);
    if (copy)
        copy->weak = tensor->weak;
    return copy;
}

Tensor *tensor_cast(TensorContext *context, Tensor *tensor, Dtype dtype)
{
    if (tensor->dtype == dtype && !tensor->weak)
        return tensor_retain(tensor);
    return dense_copy(context, tensor, dtype);
}

/* ---- elements ---- */

static char *element_at(const Tensor *tensor, int64_t index)
{
    int64_t offset = 0;
    for (int i = tensor->ndim - 1; i >= 0; i--) {
        offset += index % tensor->shape[i] * tensor->stride[i];
        index /= tensor->shape[i];
    }
    return tensor->data + offset * (int64_t)dtype_size((Dtype)tensor->dtype);
}

double tensor_item(const Tensor *tensor, int64_t index)
{
    return element_load((Dtype)tensor->dtype, element_at(tensor, index));
}

int64_t tensor_item_int(const Tensor *tensor, int64_t index)
{
    return element_load_int((Dtype)tensor->dtype, element_at(tensor, index));
}

static void store_at(Tensor *tensor, int64_t index, Dtype from, void *value)
{
    static const int64_t one = 1;
    StridedSide dst = {(Dtype)tensor->dtype, element_at(tensor, index), &one};
    convert_strided(NULL, dst, (StridedSide){from, value, &one}, 0, NULL);
}

void tensor_store(Tensor *tensor, int64_t index, double value)
{
    store_at(tensor, index, DTYPE_f64, &value);
}

void tensor_store_int(Tensor *tensor, int64_t index, int64_t value)
{
    store_at(tensor, index, DTYPE_i64, &value);
}

static bool same_element(const Tensor *a, const Tensor *b, int64_t index)
{
    if (dtype_class((Dtype)a->dtype) != CLASS_FLOAT)
        return tensor_item_int(a, index) == tensor_item_int(b, index);
    double x = tensor_item(a, index), y = tensor_item(b, index);
    return x == y || (x != x && y != y);
}

bool tensor_same(const Tensor *a, const Tensor *b)
{
    if (a == b)
        return true;
    if (a->dtype != b->dtype || a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    int64_t size = tensor_size(a);
    if (size == 0)
        return true;
    if (tensor_is_contiguous(a) && tensor_is_contiguous(b) &&
        memcmp(a->data, b->data, (size_t)size * dtype_size((Dtype)a->dtype)) == 0)
        return true;
    for (int64_t i = 0; i < size; i++)
        if (!same_element(a, b, i))
            return false;
    return true;
}

/* ---- writing a region ---- */

/* Strides that repeat [src] over the shape of [view]. */
static bool broadcast_strides(TensorContext *context, const Tensor *view, const Tensor *src, int64_t *stride)
{
    int lead = view->ndim - src->ndim, bad = -1;
    for (int i = src->ndim - 1; i >= 0 && bad < 0; i--) {
        int axis = i + lead;
        if (src->shape[i] != 1 && (axis < 0 || src->shape[i] != view->shape[axis]))
            bad = i;
        else if (axis >= 0)
            stride[axis] = src->shape[i] == 1 ? 0 : src->stride[i];
    }
    for (int i = 0; i < lead; i++)
        stride[i] = 0;
    if (bad < 0)
        return true;
    char from[96], to[96];
    tensor_type_name(src, from, sizeof from);
    tensor_type_name(view, to, sizeof to);
    if (bad + lead < 0)
        return error_set(&context->error, ERROR_shape, "assign", "%s has more axes than the region %s", from, to);
    return error_set(&context->error, ERROR_shape, "assign",
                     "%s does not fit the region %s: axis %d has sizes %lld and %lld", from, to, bad + lead,
                     (long long)src->shape[bad], (long long)view->shape[bad + lead]);
}

bool tensor_assign(TensorContext *context, Tensor *view, Tensor *src)
{
    int64_t stride[TENSOR_MAX_DIMS];
    if (!broadcast_strides(context, view, src, stride))
        return false;
    if (view->storage && view->storage == src->storage) {     /* may overlap: write from a copy */
        Tensor *copy = tensor_copy(context, src);
        bool done = copy && tensor_assign(context, view, copy);
        tensor_release(copy);
        return done;
    }
    StridedSide to = {(Dtype)view->dtype, view->data, view->stride};
    return convert_strided(context, to, (StridedSide){(Dtype)src->dtype, src->data, stride}, view->ndim, view->shape);
}
