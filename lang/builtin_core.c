/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives about any value: showing it, its type and size, conversions between kinds, tensors from values. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "bind.h"
#include "bridge.h"
#include "builtins.h"
#include "display.h"
#include "lang.h"
#include "print.h"

/* ---- showing ---- */

static bool print_to(Vm *vm, OutputStream stream, const Value *args, Value *result)
{
    const List *xs = args[0].list;
    Text text = {0};
    bool fine = true;
    for (int64_t i = 0; i < xs->count && fine; i++) {
        if (i) text_add(&text, args[1].string->text, args[1].string->length);
        fine = display_print(vm, xs->at[i], &text);
    }
    text_add(&text, args[2].string->text, args[2].string->length);
    fine = fine && (!text.failed || vm_out_of_memory(vm));
    fine = fine && vm_output(vm, (int)stream, text.at ? text.at : "", text.length);
    text_free(&text);
    *result = VALUE_NONE;
    return fine;
}

bool native_print(Vm *vm, const Value *args, Value *result)
{
    const SessionConfig *config = vm_config(vm);
    if (!print_to(vm, OUTPUT_OUT, args, result)) return false;
    if (args[3].b && config && config->flush) config->flush(config->user);
    return true;
}

bool native_warn(Vm *vm, const Value *args, Value *result)
{
    return print_to(vm, OUTPUT_ERR, args, result);
}

bool native_str(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    if (args[0].tag == TAG_STRING) return native_give(vm, value_retain(args[0]), result);
    if (display_print(vm, args[0], &text)) return native_give_text(vm, &text, result);
    text_free(&text);
    return false;
}

bool native_repr(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    if (value_repr(vm, args[0], &text)) return native_give_text(vm, &text, result);
    text_free(&text);
    return false;
}

bool native_format(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    if (value_format(vm, args[0], args[1].string->text, &text)) return native_give_text(vm, &text, result);
    text_free(&text);
    return false;
}

/* ---- type and size ---- */

bool native_type(Vm *vm, const Value *args, Value *result)
{
    return native_give(vm, string_from(value_type_name(args[0])), result);
}

bool native_len(Vm *vm, const Value *args, Value *result)
{
    int64_t length;
    if (!native_length(vm, args[0], &length)) return false;
    if (length < 0) return native_wants(vm, "len", "x", "something with a known length", args[0]);
    *result = value_int(length);
    return true;
}

bool native_same(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = value_bool(value_same(args[0], args[1]));
    return true;
}

/* ---- numbers ---- */

/* The whole text as a number; spaces around it do not count. */
static bool parse_number(Vm *vm, const char *function, const String *text, int base, Value *result)
{
    const char *at = text->text, *end = at + text->length;
    char *after;
    while (at < end && strchr(" \t\r\n", *at)) at++;
    while (end > at && strchr(" \t\r\n", end[-1])) end--;
    bool digits = end > at && (base != 10 || strspn(at, "+-0123456789_.eEinfa") >= (size_t)(end - at));
    errno = 0;
    if (strcmp(function, "int") == 0) {
        long long number = strtoll(at, &after, base);
        if (digits && after == end && errno == ERANGE) {
            return vm_fail(vm, ERROR_overflow, function, "\"%.60s\" does not fit an int of 64 bits", text->text);
        }
        *result = value_int(number);
    } else {
        *result = value_float(strtod(at, &after));
    }
    if (digits && after == end) return true;
    if (base != 10) return vm_fail(vm, ERROR_value, function, "\"%.60s\" is no int in base %d", text->text, base);
    return vm_fail(vm, ERROR_value, function, "\"%.60s\" is no %s", text->text,
                   strcmp(function, "int") ? "number" : "int");
}

/* A plain number in place of one-element tensors and typed scalars. */
static Value plain_number(Value v)
{
    if (v.tag == TAG_TENSOR && tensor_size(v.tensor) == 1) {
        bool floating = dtype_class((Dtype)v.tensor->dtype) == CLASS_FLOAT;
        return floating ? value_float(tensor_item(v.tensor, 0)) : value_int(tensor_item_int(v.tensor, 0));
    }
    if (v.tag == TAG_SCALAR) return dtype_class((Dtype)v.dtype) == CLASS_FLOAT ? value_float(v.f) : value_int(v.i);
    return v.tag == TAG_BOOL ? value_int(v.b) : v;
}

bool native_int(Vm *vm, const Value *args, Value *result)
{
    int64_t base = args[1].i;
    if (base < 2 || base > 36) {
        return vm_fail(vm, ERROR_value, "int", "base goes from 2 to 36, got %lld", (long long)base);
    }
    if (args[0].tag == TAG_STRING) return parse_number(vm, "int", args[0].string, (int)base, result);
    Value v = plain_number(args[0]);
    if (v.tag != TAG_INT && v.tag != TAG_FLOAT) return native_wants(vm, "int", "x", "a number or a string", v);
    *result = v;
    if (v.tag == TAG_INT) return true;
    if (isnan(v.f)) return vm_fail(vm, ERROR_value, "int", "nan is no int");
    if (v.f >= 9223372036854775808.0 || v.f < -9223372036854775808.0) {
        return vm_fail(vm, ERROR_overflow, "int", "%g does not fit an int of 64 bits", v.f);
    }
    *result = value_int((int64_t)v.f);
    return true;
}

bool native_float(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_STRING) return parse_number(vm, "float", args[0].string, 10, result);
    Value v = plain_number(args[0]);
    if (v.tag != TAG_INT && v.tag != TAG_FLOAT) return native_wants(vm, "float", "x", "a number or a string", v);
    *result = v.tag == TAG_INT ? value_float((double)v.i) : v;
    return true;
}

/* ---- dtypes: casts, and values that stand for themselves ---- */

static bool cast(Vm *vm, Value v, Dtype dtype, Value *result)
{
    Tensor *tensor = value_to_tensor_dtype(vm_tensors(vm), v, dtype);
    if (!tensor) return false;
    *result = value_from_tensor_take(tensor);
    return true;
}

bool native_f16(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_f16, result); }
bool native_bf16(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_bf16, result); }
bool native_f32(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_f32, result); }
bool native_f64(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_f64, result); }
bool native_i32(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_i32, result); }
bool native_i64(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_i64, result); }
bool native_u8(Vm *vm, const Value *args, Value *result) { return cast(vm, args[0], DTYPE_u8, result); }

bool native_bool(Vm *vm, const Value *args, Value *result)
{
    Value v = args[0];
    *result = v;
    if (v.tag == TAG_BOOL) return true;
    if (v.tag == TAG_INT || v.tag == TAG_FLOAT) {
        *result = value_bool(v.tag == TAG_INT ? v.i != 0 : v.f != 0);
        return true;
    }
    if (!cast(vm, v, DTYPE_bool, result)) return false;
    if (result->tag == TAG_SCALAR) *result = value_bool(result->i != 0);
    return true;
}

bool native_tensor(Vm *vm, const Value *args, Value *result)
{
    Dtype dtype;
    Tensor *tensor;
    TensorContext *ctx = vm_tensors(vm);
    Value v = args[0];
    if (native_is_lazy(v)) {
        Value list;
        if (!native_collect(vm, v, &list)) return false;
        Value inner[2] = {list, args[1]};
        bool fine = native_tensor(vm, inner, result);
        value_release(list);
        return fine;
    }
    if (args[1].tag != TAG_NONE && value_to_dtype(args[1], &dtype)) tensor = value_to_tensor_dtype(ctx, v, dtype);
    else if (v.tag == TAG_INT) tensor = tensor_scalar_int(ctx, DTYPE_i64, v.i);
    else if (v.tag == TAG_FLOAT) tensor = tensor_scalar(ctx, DTYPE_f32, v.f);
    else tensor = value_to_tensor(ctx, v);
    if (!tensor) return false;
    *result = value_from_tensor_take(tensor);
    return true;
}

bool native_shape(Vm *vm, const Value *args, Value *result)
{
    bool found;
    if (!value_member(vm, args[0], "shape", result, &found)) return false;
    if (found) return true;
    Tensor *tensor = value_to_tensor(vm_tensors(vm), args[0]);
    if (!tensor) return false;
    Value v = {.tag = TAG_TENSOR, .tensor = tensor};
    bool fine = value_member(vm, v, "shape", result, &found);
    tensor_release(tensor);
    return fine;
}

/* ---- containers ---- */

bool native_list(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_NONE) return native_give(vm, list_new(0), result);
    return native_collect(vm, args[0], result);
}

bool native_tuple(Vm *vm, const Value *args, Value *result)
{
    Value list;
    if (args[0].tag == TAG_TUPLE) return native_give(vm, value_retain(args[0]), result);
    if (!native_collect(vm, args[0], &list)) return false;
    Value tuple = tuple_new(list.list->count);
    for (int64_t i = 0; tuple.tag != TAG_UNDEFINED && i < list.list->count; i++) {
        tuple.list->at[i] = value_retain(list.list->at[i]);
    }
    value_release(list);
    return native_give(vm, tuple, result);
}

bool native_range(Vm *vm, const Value *args, Value *result)
{
    int64_t start = 0, stop = args[0].i, step = args[2].i;
    if (args[1].tag != TAG_NONE) {
        start = args[0].i;
        stop = args[1].i;
    }
    if (step == 0) return vm_fail(vm, ERROR_value, "range", "step must not be 0");
    return native_give(vm, range_new(start, stop, step), result);
}

/* ---- the larger and the smaller: numbers here, tensors and lists by the op ---- */

static bool no_order(Vm *vm, const char *name, Value a, Value b)
{
    char left[96], right[96];
    value_describe(a, left, sizeof left);
    value_describe(b, right, sizeof right);
    return vm_fail(vm, ERROR_type, name, "%s and %s have no order", left, right);
}

static void hint_elementwise(Vm *vm, OpId id)
{
    error_hint(&vm_tensors(vm)->error, "elementwise it is %s(a, b)", id == OP_max ? "maximum" : "minimum");
}

/* The item whose key comes last or first in the order that sort has; the first of equal ones. */
static bool extreme_item(Vm *vm, OpId id, Value items, Value key, Value *result)
{
    const char *name = op_name(op_def(id));
    Value iterator, item, best = VALUE_UNDEFINED, best_key = VALUE_UNDEFINED;
    bool fine = vm_iterate(vm, items, &iterator);
    if (!fine) return false;
    for (;;) {
        fine = vm_next(vm, iterator, &item);
        if (!fine || item.tag == TAG_DONE) break;
        bool first = best.tag == TAG_UNDEFINED, comparable = true;
        Value k = value_retain(item);
        if (key.tag != TAG_NONE) {
            value_release(k);
            fine = vm_call(vm, key, 1, &item, 0, NULL, &k);
        }
        if (!fine) {
            value_release(item);
            break;
        }
        int order = first ? 0 : value_order(k, best_key, &comparable);
        bool better = first || (id == OP_max ? order > 0 : order < 0);
        if (!comparable) fine = no_order(vm, name, k, best_key);
        if (fine && better) {
            value_set(&best, item);
            value_set(&best_key, k);
        } else {
            value_release(item);
            value_release(k);
        }
        if (!fine) break;
    }
    if (!fine) vm_iterate_close(vm, iterator);
    value_release(iterator);
    value_release(best_key);
    if (fine && best.tag == TAG_UNDEFINED) fine = vm_fail(vm, ERROR_value, name, "there are no items");
    if (fine) *result = best;
    else value_release(best);
    return fine;
}

/* Whether max(x) is a question about items rather than about a tensor. */
static bool by_items(Value x, Value key)
{
    bool items = x.tag == TAG_SET || x.tag == TAG_MAP || x.tag == TAG_STRING || native_is_lazy(x);
    if (items || key.tag != TAG_NONE) return true;
    return native_is_row(x) && x.list->count && (x.list->at[0].tag == TAG_STRING || x.list->at[0].tag == TAG_DATE);
}

static bool extreme(Vm *vm, OpId id, const Value *args, Value *result)
{
    const char *name = op_name(op_def(id));
    const List *xs = args[0].list;
    bool numbers = xs->count > 1, strings = xs->count > 1, dates = xs->count > 1, comparable = true;
    if (xs->count == 1 && by_items(xs->at[0], args[3])) return extreme_item(vm, id, xs->at[0], args[3], result);
    for (int64_t i = 0; i < xs->count; i++) {
        numbers &= value_is_number(xs->at[i]);
        strings &= xs->at[i].tag == TAG_STRING;
        dates &= xs->at[i].tag == TAG_DATE;
    }
    bool second_is_axis = xs->count == 2 && (xs->at[0].tag == TAG_TENSOR || native_is_row(xs->at[0]));
    if (xs->count == 1 || second_is_axis) {
        NamedValue named[2];
        int n_named = 0;
        if (args[1].tag != TAG_NONE) named[n_named++] = (NamedValue){"axis", args[1]};
        if (args[2].b) named[n_named++] = (NamedValue){"keepdim", args[2]};
        if (op_apply(vm, op_def(id), (int)xs->count, xs->at, n_named, named, result)) return true;
        if (second_is_axis && xs->at[1].tag == TAG_TENSOR) hint_elementwise(vm, id);
        return false;
    }
    if (!numbers && !strings && !dates) {
        vm_fail(vm, ERROR_type, name, "takes numbers, or one tensor or list and an axis");
        hint_elementwise(vm, id);
        return false;
    }
    Value best = xs->at[0];
    for (int64_t i = 1; i < xs->count; i++) {
        int order = value_order(xs->at[i], best, &comparable);
        if (id == OP_max ? order > 0 : order < 0) best = xs->at[i];
    }
    *result = value_retain(best);
    return true;
}

bool native_max(Vm *vm, const Value *args, Value *result) { return extreme(vm, OP_max, args, result); }
bool native_min(Vm *vm, const Value *args, Value *result) { return extreme(vm, OP_min, args, result); }
