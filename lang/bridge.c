/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values become tensors and tensors values. A rectangular list of numbers, scalars or tensors is one tensor: ints are
   i64, floats f32, bools bool, mixed ones promoted; what is ragged is refused with the place. A list in which some
   tensor carries a gradient is joined by the op `stack`, so that the gradient reaches it. */
#include <stdio.h>
#include <stdlib.h>

#include "bridge.h"

#define PATH_ROOM 96

/* What a list says about the tensor it stands for. */
typedef struct Plan {
    TensorContext *ctx;
    Dtype dtype;
    bool found;               /* a leaf was seen, dtype is known */
    bool recorded;            /* some leaf carries a gradient */
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    int64_t index[TENSOR_MAX_DIMS];   /* of the item being looked at */
} Plan;

static bool is_row(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE;
}

/* "[2][0]" */
static const char *item_path(const Plan *plan, int depth, char *buffer)
{
    size_t at = 0;
    buffer[0] = '\0';
    for (int i = 0; i < depth && at < PATH_ROOM - 24; i++) {
        at += (size_t)snprintf(buffer + at, PATH_ROOM - at, "[%lld]", (long long)plan->index[i]);
    }
    return buffer;
}

static bool leaf_dtype(Value v, Dtype *dtype)
{
    switch ((Tag)v.tag) {
    case TAG_BOOL: *dtype = DTYPE_bool; return true;
    case TAG_INT: *dtype = DTYPE_i64; return true;
    case TAG_FLOAT: *dtype = DTYPE_f32; return true;
    case TAG_SCALAR: *dtype = (Dtype)v.dtype; return true;
    case TAG_TENSOR: *dtype = (Dtype)v.tensor->dtype; return true;
    default: return false;
    }
}

/* The shape by following first items. */
static bool first_shape(Plan *plan, Value v)
{
    while (is_row(v)) {
        if (plan->ndim == TENSOR_MAX_DIMS) {
            return error_set(&plan->ctx->error, ERROR_shape, "", "a list nested deeper than %d levels",
                             TENSOR_MAX_DIMS);
        }
        plan->shape[plan->ndim++] = v.list->count;
        if (v.list->count == 0) return true;
        v = v.list->at[0];
    }
    if (v.tag != TAG_TENSOR) return true;
    if (plan->ndim + v.tensor->ndim > TENSOR_MAX_DIMS) {
        return error_set(&plan->ctx->error, ERROR_shape, "", "a tensor of more than %d axes", TENSOR_MAX_DIMS);
    }
    for (int i = 0; i < v.tensor->ndim; i++) plan->shape[plan->ndim++] = v.tensor->shape[i];
    return true;
}

static bool ragged(Plan *plan, Value v, int depth)
{
    char path[PATH_ROOM], found[128], expected[128];
    shape_format(plan->ndim - depth, plan->shape + depth, expected, sizeof expected);
    if (is_row(v)) snprintf(found, sizeof found, "%lld items", (long long)v.list->count);
    else if (v.tag == TAG_TENSOR) tensor_type_name(v.tensor, found, sizeof found);
    else snprintf(found, sizeof found, "%s", "a number");
    return error_set(&plan->ctx->error, ERROR_shape, "",
                     "a ragged list: item %s has %s where %s is expected from the first", item_path(plan, depth, path),
                     found, depth == plan->ndim ? "a number" : expected);
}

static bool check_leaf(Plan *plan, Value v, int depth)
{
    Dtype dtype;
    if (!leaf_dtype(v, &dtype)) {
        char path[PATH_ROOM], described[96];
        value_describe(v, described, sizeof described);
        return error_set(&plan->ctx->error, ERROR_type, "", "item %s of the list is %s, no number",
                         item_path(plan, depth, path), described);
    }
    if (v.tag == TAG_TENSOR) {
        const Tensor *t = v.tensor;
        bool same = t->ndim == plan->ndim - depth;
        for (int i = 0; same && i < t->ndim; i++) same = t->shape[i] == plan->shape[depth + i];
        if (!same) return ragged(plan, v, depth);
        if (t->node) plan->recorded = true;
    } else if (depth != plan->ndim) {
        return ragged(plan, v, depth);
    }
    if (!plan->found || dtype > plan->dtype) plan->dtype = dtype;    /* dtypes are declared in promotion order */
    plan->found = true;
    return true;
}

static bool check_list(Plan *plan, Value v, int depth)
{
    if (!is_row(v)) return check_leaf(plan, v, depth);
    if (depth >= plan->ndim || v.list->count != plan->shape[depth]) return ragged(plan, v, depth);
    for (int64_t i = 0; i < v.list->count; i++) {
        plan->index[depth] = i;
        if (!check_list(plan, v.list->at[i], depth + 1)) return false;
    }
    return true;
}

static int64_t whole_of(Value v)
{
    if (v.tag == TAG_BOOL) return v.b;
    if (v.tag == TAG_FLOAT) return (int64_t)v.f;
    return v.i;
}

static double real_of(Value v)
{
    if (v.tag == TAG_FLOAT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT)) return v.f;
    return (double)whole_of(v);
}

static void fill_number(Tensor *out, int64_t at, Value v, bool floating)
{
    if (floating && out->dtype == DTYPE_f32) ((float *)(void *)out->data)[at] = (float)real_of(v);
    else if (floating) tensor_store(out, at, real_of(v));
    else if (out->dtype == DTYPE_i64) ((int64_t *)(void *)out->data)[at] = whole_of(v);
    else tensor_store_int(out, at, whole_of(v));
}

/* Writes the leaves in row-major order from element [at] on; returns the place after them. */
static int64_t fill_list(Tensor *out, int64_t at, Value v, bool floating)
{
    if (is_row(v)) {
        for (int64_t i = 0; i < v.list->count; i++) at = fill_list(out, at, v.list->at[i], floating);
        return at;
    }
    if (v.tag != TAG_TENSOR) {
        fill_number(out, at, v, floating);
        return at + 1;
    }
    int64_t size = tensor_size(v.tensor);
    for (int64_t i = 0; i < size; i++) {
        if (floating) tensor_store(out, at + i, tensor_item(v.tensor, i));
        else tensor_store_int(out, at + i, tensor_item_int(v.tensor, i));
    }
    return at + size;
}

/* Lists of recorded tensors: one `stack` a level. */
static Tensor *stack_list(TensorContext *ctx, Value v)
{
    int count = (int)v.list->count, made = 0, n_out = 0;
    Tensor **part = list_tensors_new(ctx, count);
    if (!part) return NULL;
    for (; made < count; made++) {
        part[made] = value_to_tensor(ctx, v.list->at[made]);
        if (!part[made]) break;
    }
    Tensor *out[OP_MAX_OUT] = {0};
    Attr axis = {.i = 0};
    bool fine = made == count && op_call(ctx, op_def(OP_stack), count, part, &axis, out, &n_out);
    list_tensors_free(part, made);
    return fine ? out[0] : NULL;
}

/* [dtype] DTYPE_COUNT: what the items say. Numbers go into an f64 tensor without passing through f32. */
static Tensor *list_to_tensor(TensorContext *ctx, Value v, Dtype dtype)
{
    Plan plan = {.ctx = ctx, .dtype = DTYPE_f32};
    if (!first_shape(&plan, v) || !check_list(&plan, v, 0)) return NULL;
    if (plan.recorded) return stack_list(ctx, v);
    if (dtype != DTYPE_COUNT) {
        bool wider = dtype_class(dtype) != CLASS_BOOL && dtype_class(dtype) >= dtype_class(plan.dtype);
        if (wider || !plan.found) plan.dtype = dtype;
    }
    Tensor *out = tensor_new(ctx, plan.dtype, plan.ndim, plan.shape);
    if (out) fill_list(out, 0, v, dtype_class(plan.dtype) == CLASS_FLOAT);
    return out;
}

static Tensor *range_to_tensor(TensorContext *ctx, const Range *range)
{
    int64_t count = range_length(range);
    Tensor *out = tensor_new(ctx, DTYPE_i64, 1, &count);
    if (!out) return NULL;
    int64_t *at = (int64_t *)(void *)out->data;
    for (int64_t i = 0; i < count; i++) at[i] = range->start + i * range->step;
    return out;
}

static Tensor *refuse(TensorContext *ctx, Value v)
{
    char described[96];
    value_describe(v, described, sizeof described);
    error_set(&ctx->error, ERROR_type, "", "expected a tensor or numbers, got %s", described);
    if (v.tag == TAG_SET) error_hint(&ctx->error, "s ++= [x] adds to a set; list(s) is the list of its items");
    return NULL;
}

Tensor *value_to_tensor(TensorContext *context, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_TENSOR: return tensor_retain(v.tensor);
    case TAG_INT: return tensor_weak(context, false, 0, v.i);
    case TAG_FLOAT: return tensor_weak(context, true, v.f, 0);
    case TAG_BOOL: return tensor_scalar_int(context, DTYPE_bool, v.b);
    case TAG_SCALAR:
        if (dtype_class((Dtype)v.dtype) == CLASS_FLOAT) return tensor_scalar(context, (Dtype)v.dtype, v.f);
        return tensor_scalar_int(context, (Dtype)v.dtype, v.i);
    case TAG_LIST:
    case TAG_TUPLE: return list_to_tensor(context, v, DTYPE_COUNT);
    case TAG_RANGE: return range_to_tensor(context, v.range);
    default: return refuse(context, v);
    }
}

/* 0-d without gradient is unboxed; weak ones (from plain numbers) become plain again. */
static Value unbox_take(Tensor *owned, bool plain)
{
    if (!owned) return VALUE_UNDEFINED;
    if (owned->ndim != 0 || owned->node || owned->meta) return (Value){.tag = TAG_TENSOR, .tensor = owned};
    Dtype dtype = (Dtype)owned->dtype;
    Value v;
    if (dtype_class(dtype) == CLASS_FLOAT) {
        double f = tensor_item(owned, 0);
        v = plain ? value_float(f) : value_scalar_float(dtype, f);
    } else {
        int64_t i = tensor_item_int(owned, 0);
        v = !plain ? value_scalar_int(dtype, i) : dtype == DTYPE_bool ? value_bool(i != 0) : value_int(i);
    }
    tensor_release(owned);
    return v;
}

Value value_from_tensor_take(Tensor *owned)
{
    return unbox_take(owned, owned && owned->weak);
}

Value value_from_tensor_plain_take(Tensor *owned)
{
    return unbox_take(owned, true);
}

static Tensor *cast_take(TensorContext *ctx, Tensor *owned, Dtype dtype)
{
    if (!owned || owned->dtype == dtype) return owned;
    Tensor *out[OP_MAX_OUT] = {0};
    Attr attr = {.dtype = dtype};
    int n_out = 0;
    bool fine = op_call(ctx, op_def(OP_to), 1, &owned, &attr, out, &n_out);
    tensor_release(owned);
    return fine ? out[0] : NULL;
}

Tensor *value_to_tensor_dtype(TensorContext *ctx, Value v, Dtype dtype)
{
    bool floating = dtype_class(dtype) == CLASS_FLOAT;
    if (v.tag == TAG_FLOAT && floating) return tensor_scalar(ctx, dtype, v.f);
    if (v.tag == TAG_INT && !floating && dtype != DTYPE_bool) return tensor_scalar_int(ctx, dtype, v.i);
    if (is_row(v)) return cast_take(ctx, list_to_tensor(ctx, v, dtype), dtype);
    return cast_take(ctx, value_to_tensor(ctx, v), dtype);
}

/* ---- arrays of tensors ---- */

Tensor **list_tensors_new(TensorContext *ctx, int count)
{
    Tensor **tensors = calloc((size_t)count + 1, sizeof *tensors);
    if (!tensors) error_set(&ctx->error, ERROR_memory, "", "out of memory");
    return tensors;
}

void list_tensors_free(Tensor **tensors, int count)
{
    if (!tensors) return;
    for (int i = 0; i < count; i++) tensor_release(tensors[i]);
    free(tensors);
}
