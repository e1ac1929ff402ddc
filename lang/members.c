/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x.name for values with built-in members: tensors and typed numbers, errors, ranges, dates. */
#include <string.h>

#include "bind.h"
#include "bridge.h"
#include "builtins.h"
#include "date.h"

static Value shape_list(const Tensor *tensor)
{
    Value list = list_new(tensor ? tensor->ndim : 0);
    for (int d = 0; tensor && list.tag != TAG_UNDEFINED && d < tensor->ndim; d++) {
        if (!list_push_take(list.list, value_int(tensor->shape[d]))) value_set(&list, VALUE_UNDEFINED);
    }
    return list;
}

static bool tensor_member(Vm *vm, Value v, const char *name, Value *result, bool *found)
{
    const Tensor *tensor = v.tag == TAG_TENSOR ? v.tensor : NULL;
    if (strcmp(name, "shape") == 0) return native_give(vm, shape_list(tensor), result);
    if (strcmp(name, "ndim") == 0) *result = value_int(tensor ? tensor->ndim : 0);
    else if (strcmp(name, "size") == 0) *result = value_int(tensor ? tensor_size(tensor) : 1);
    else if (strcmp(name, "dtype") == 0) {
        return native_give(vm, value_from_dtype((Dtype)(tensor ? tensor->dtype : v.dtype)), result);
    } else if (strcmp(name, "T") == 0) {
        return op_apply(vm, op_def(OP_transpose), 1, &v, 0, NULL, result);
    } else {
        *found = false;
    }
    return true;
}

static bool error_member(Vm *vm, const ErrorObject *error, const char *name, Value *result, bool *found)
{
    if (strcmp(name, "kind") == 0) return native_give(vm, string_from(error_kind_name(error->kind)), result);
    if (strcmp(name, "message") == 0) *result = value_retain(error->message);
    else if (strcmp(name, "hint") == 0) *result = value_retain(error->hint);
    else if (strcmp(name, "value") == 0) *result = value_retain(error->value);
    else if (strcmp(name, "op") == 0) return native_give(vm, string_from(error->op), result);
    else if (strcmp(name, "trace") == 0) {
        Text text = {0};
        if (error_trace_text(vm, error, &text)) return native_give_text(vm, &text, result);
        text_free(&text);
        return false;
    } else {
        *found = false;
    }
    return true;
}

static void range_member(const Range *range, const char *name, Value *result, bool *found)
{
    if (strcmp(name, "start") == 0) *result = value_int(range->start);
    else if (strcmp(name, "stop") == 0) *result = value_int(range->stop);
    else if (strcmp(name, "step") == 0) *result = value_int(range->step);
    else *found = false;
}

bool value_member(Vm *vm, Value v, const char *name, Value *result, bool *found)
{
    *found = true;
    if (v.tag == TAG_TENSOR || v.tag == TAG_SCALAR) return tensor_member(vm, v, name, result, found);
    if (v.tag == TAG_ERROR) return error_member(vm, v.error, name, result, found);
    if (v.tag == TAG_DATE) return date_member(vm, v, name, result, found);
    if (v.tag == TAG_RANGE) range_member(v.range, name, result, found);
    else *found = false;
    return true;
}
