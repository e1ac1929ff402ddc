/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operators beyond what the VM does itself: numbers of mixed kinds, 0-d values with a dtype, tensors, promoted
   lists, `++`, comparisons, `in`, conditions.

   Plain numbers are weak: an f32 scalar times 2.5 is f32. Plain ints overflow with an error, typed ones wrap. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "ast.h"
#include "bind.h"
#include "bridge.h"
#include "date.h"

/* What each operator is called, which row of ops.def computes it for tensors. */
static const struct { const char *sign; OpId op; } table[] = {
    [OPERATOR_ADD] = {"+", OP_add},       [OPERATOR_SUB] = {"-", OP_sub},     [OPERATOR_MUL] = {"*", OP_mul},
    [OPERATOR_DIV] = {"/", OP_div},       [OPERATOR_FLOORDIV] = {"//", OP_floordiv}, [OPERATOR_MOD] = {"%", OP_mod},
    [OPERATOR_MATMUL] = {"@", OP_matmul}, [OPERATOR_POW] = {"^", OP_pow},     [OPERATOR_CONCAT] = {"++", OP_COUNT},
    [OPERATOR_AND] = {"and", OP_logical_and}, [OPERATOR_OR] = {"or", OP_logical_or},
    [OPERATOR_NOT] = {"not", OP_logical_not}, [OPERATOR_NEG] = {"-", OP_neg},
    [OPERATOR_EQ] = {"==", OP_eq},        [OPERATOR_NE] = {"!=", OP_ne},      [OPERATOR_LT] = {"<", OP_lt},
    [OPERATOR_LE] = {"<=", OP_le},        [OPERATOR_GT] = {">", OP_gt},       [OPERATOR_GE] = {">=", OP_ge},
    [OPERATOR_IN] = {"in", OP_COUNT},
    [OPERATOR_NOT_IN] = {"not in", OP_COUNT},
};

const char *operator_sign(int operator_)
{
    return operator_ > 0 && operator_ < (int)(sizeof table / sizeof table[0]) ? table[operator_].sign : "?";
}

static bool refuse(Vm *vm, int op, Value a, Value b)
{
    char left[96], right[96];
    value_describe(a, left, sizeof left);
    value_describe(b, right, sizeof right);
    return vm_fail(vm, ERROR_type, "", "%s is not defined between %s and %s", table[op].sign, left, right);
}

/* ---- plain numbers ---- */

static bool overflow(Vm *vm, int op, int64_t a, int64_t b)
{
    const char *sign = table[op].sign;
    vm_fail(vm, ERROR_overflow, sign, "%lld %s %lld does not fit an int (64 bits)", (long long)a, sign, (long long)b);
    error_hint(&vm_tensors(vm)->error, "use floats, as in %lld.0 %s %lld", (long long)a, sign, (long long)b);
    return false;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double float_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0) return (r < 0) != (b < 0) ? r + b : r;
    return copysign(0.0, b);
}

static bool int_power(int64_t base, int64_t exponent, int64_t *out)
{
    int64_t result = 1;
    while (exponent > 0) {
        if (exponent & 1 && __builtin_mul_overflow(result, base, &result)) return false;
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base)) {
            return false;
        }
    }
    *out = result;
    return true;
}

static bool by_zero(Vm *vm, int op, int64_t a)
{
    return vm_fail(vm, ERROR_zero, table[op].sign, "%lld %s 0", (long long)a, table[op].sign);
}

static bool ints(Vm *vm, int op, int64_t a, int64_t b, Value *result)
{
    int64_t out = 0;
    bool over = false;
    switch (op) {
    case OPERATOR_ADD: over = __builtin_add_overflow(a, b, &out); break;
    case OPERATOR_SUB: over = __builtin_sub_overflow(a, b, &out); break;
    case OPERATOR_MUL: over = __builtin_mul_overflow(a, b, &out); break;
    case OPERATOR_DIV:
        if (b == 0) return by_zero(vm, op, a);
        *result = value_float((double)a / (double)b);
        return true;
    case OPERATOR_FLOORDIV:
    case OPERATOR_MOD:
        if (b == 0) return by_zero(vm, op, a);
        if (b == -1) {
            over = op == OPERATOR_FLOORDIV && a == INT64_MIN;
            out = op == OPERATOR_MOD || over ? 0 : -a;
        } else {
            out = op == OPERATOR_MOD ? floor_mod(a, b) : floor_div(a, b);
        }
        break;
    case OPERATOR_POW:
        if (b < 0) {
            if (a == 0) return vm_fail(vm, ERROR_zero, "^", "0 to a negative power");
            *result = value_float(pow((double)a, (double)b));
            return true;
        }
        over = !int_power(a, b, &out);
        break;
    default: return refuse(vm, op, value_int(a), value_int(b));
    }
    if (over) return overflow(vm, op, a, b);
    *result = value_int(out);
    return true;
}

static double floats(int op, double a, double b)
{
    switch (op) {
    case OPERATOR_ADD: return a + b;
    case OPERATOR_SUB: return a - b;
    case OPERATOR_MUL: return a * b;
    case OPERATOR_DIV: return a / b;
    case OPERATOR_FLOORDIV: return floor(a / b);
    case OPERATOR_MOD: return float_mod(a, b);
    default: return pow(a, b);
    }
}

/* ---- 0-d values with a dtype ---- */

static bool is_typed_float(Value v)
{
    return v.tag == TAG_FLOAT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT);
}

/* The dtype of an arithmetic result of which at least one side is typed (DESIGN 2). */
static Dtype scalar_dtype(Value a, Value b)
{
    Dtype dtype = DTYPE_bool;
    if (a.tag == TAG_SCALAR) dtype = (Dtype)a.dtype;
    if (b.tag == TAG_SCALAR && a.tag == TAG_SCALAR && a.dtype != b.dtype && dtype_is_half((Dtype)a.dtype) &&
        dtype_is_half((Dtype)b.dtype))
        return DTYPE_f32;
    if (b.tag == TAG_SCALAR && b.dtype > dtype) dtype = (Dtype)b.dtype;
    bool weak_float = a.tag == TAG_FLOAT || b.tag == TAG_FLOAT;
    if (weak_float && dtype_class(dtype) != CLASS_FLOAT) return DTYPE_f32;
    if (dtype == DTYPE_bool || dtype == DTYPE_u8) dtype = DTYPE_i32;
    int64_t weak = a.tag == TAG_INT ? a.i : b.tag == TAG_INT ? b.i : 0;
    return dtype == DTYPE_i32 && (weak < INT32_MIN || weak > INT32_MAX) ? DTYPE_i64 : dtype;
}

static int64_t wrap(Dtype dtype, uint64_t bits)
{
    return dtype == DTYPE_i32 ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits;
}

static uint64_t wrapping_power(uint64_t base, uint64_t exponent)
{
    uint64_t result = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

static bool scalar_ints(Vm *vm, int op, Dtype dtype, int64_t a, int64_t b, Value *result)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b, out = 0;
    switch (op) {
    case OPERATOR_ADD: out = x + y; break;
    case OPERATOR_SUB: out = x - y; break;
    case OPERATOR_MUL: out = x * y; break;
    case OPERATOR_FLOORDIV:
    case OPERATOR_MOD:
        if (b == 0) return by_zero(vm, op, a);
        if (b == -1) out = op == OPERATOR_MOD ? 0 : 0 - x;
        else out = (uint64_t)(op == OPERATOR_MOD ? floor_mod(a, b) : floor_div(a, b));
        break;
    default: out = wrapping_power(x, y); break;
    }
    *result = value_scalar_int(dtype, wrap(dtype, out));
    return true;
}

static int64_t whole(Value v)
{
    return v.tag == TAG_BOOL ? v.b : v.i;
}

static double real(Value v)
{
    return is_typed_float(v) ? v.f : (double)whole(v);
}

static bool scalars(Vm *vm, int op, Value a, Value b, Value *result)
{
    Dtype dtype = scalar_dtype(a, b);
    if (dtype_class(dtype) != CLASS_FLOAT) {
        bool negative_power = op == OPERATOR_POW && whole(b) < 0;
        if (op != OPERATOR_DIV && !negative_power) return scalar_ints(vm, op, dtype, whole(a), whole(b), result);
        dtype = DTYPE_f32;
    }
    double x = real(a), y = real(b);
    if (dtype != DTYPE_f64) {
        x = (double)(float)x;
        y = (double)(float)y;
    }
    double out = floats(op, x, y);
    *result = value_scalar_float(dtype, dtype_round(dtype, dtype == DTYPE_f64 ? out : (double)(float)out));
    return true;
}

/* ---- tensors ---- */

static bool tensor_operator(Vm *vm, int op, int n, const Value *side, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    Tensor *in[2] = {NULL, NULL}, *out[OP_MAX_OUT] = {0};
    const OpDef *def = op_def(table[op].op);
    int n_out = 0;
    bool fine = true;
    for (int i = 0; fine && i < n; i++) fine = (in[i] = value_to_tensor(ctx, side[i])) != NULL;
    fine = fine && op_call_fused(ctx, def, n, in, NULL, out, &n_out);
    for (int i = 0; i < n; i++) tensor_release(in[i]);
    if (fine) *result = value_from_tensor_take(out[0]);
    else if (!ctx->error.op[0] && ctx->error.kind == ERROR_type) {
        snprintf(ctx->error.op, sizeof ctx->error.op, "%s", op_name(def));
    }
    return fine;
}

static bool is_row(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE;
}

/* Can stand on a side of an arithmetic operator. */
static bool is_arithmetic(Value v)
{
    return value_is_number(v) || v.tag == TAG_TENSOR || is_row(v) || v.tag == TAG_BOOL || v.tag == TAG_RANGE;
}

static bool refuse_arithmetic(Vm *vm, int op, Value a, Value b)
{
    Error *error = &vm_tensors(vm)->error;
    refuse(vm, op, a, b);
    if (op == OPERATOR_ADD && a.tag == TAG_STRING && b.tag == TAG_STRING) error_hint(error, "strings are joined by ++");
    else if (op == OPERATOR_ADD && (a.tag == TAG_STRING || b.tag == TAG_STRING)) {
        error_hint(error, "write \"…{x}…\" to put a value into a string");
    } else if (op == OPERATOR_MOD && a.tag == TAG_STRING) {
        error_hint(error, "write \"…{x:.2f}…\" to lay values out in a string");
    } else if (op == OPERATOR_MUL && (a.tag == TAG_STRING || b.tag == TAG_STRING)) {
        error_hint(error, "write repeat_text(s, n) to repeat a string");
    } else if (op == OPERATOR_ADD && a.tag == TAG_MAP && b.tag == TAG_MAP) error_hint(error, "maps are joined by ++");
    else if (op == OPERATOR_SUB && a.tag == TAG_SET) error_hint(error, "write difference(a, b)");
    else if (a.tag == TAG_NONE || b.tag == TAG_NONE) error_hint(error, "a value is none; compare with x == none first");
    return false;
}

static bool list_times_int(Vm *vm, Value a, Value b)
{
    char described[96];
    value_describe(is_row(a) ? a : b, described, sizeof described);
    vm_fail(vm, ERROR_type, "", "%s * an int could repeat or multiply", described);
    error_hint(&vm_tensors(vm)->error, "write tile(xs, n) to repeat, tensor(xs) * n to multiply each element");
    return false;
}

static bool arithmetic(Vm *vm, int op, Value a, Value b, Value *result)
{
    if (a.tag == TAG_INT && b.tag == TAG_INT && op != OPERATOR_MATMUL) return ints(vm, op, a.i, b.i, result);
    if (value_is_number(a) && value_is_number(b) && op != OPERATOR_MATMUL) {
        if (a.tag == TAG_SCALAR || b.tag == TAG_SCALAR) return scalars(vm, op, a, b, result);
        *result = value_float(floats(op, real(a), real(b)));
        return true;
    }
    if (a.tag == TAG_DATE || b.tag == TAG_DATE) {
        bool handled = false, fine = date_arithmetic(vm, op, a, b, result, &handled);
        return handled ? fine : refuse_arithmetic(vm, op, a, b);
    }
    if (!is_arithmetic(a) || !is_arithmetic(b)) return refuse_arithmetic(vm, op, a, b);
    if (op == OPERATOR_MUL && ((is_row(a) && b.tag == TAG_INT) || (is_row(b) && a.tag == TAG_INT))) {
        return list_times_int(vm, a, b);
    }
    bool tensor_side = a.tag == TAG_TENSOR || b.tag == TAG_TENSOR || is_row(a) || is_row(b);
    bool bools_only = (a.tag == TAG_BOOL || b.tag == TAG_BOOL || a.tag == TAG_RANGE || b.tag == TAG_RANGE);
    if (bools_only && !tensor_side && a.tag != TAG_SCALAR && b.tag != TAG_SCALAR) {
        refuse_arithmetic(vm, op, a, b);
        error_hint(&vm_tensors(vm)->error, "write int(x) for 1 or 0");
        return false;
    }
    if (!tensor_side && op != OPERATOR_MATMUL && a.tag != TAG_RANGE && b.tag != TAG_RANGE) {
        return scalars(vm, op, a, b, result);
    }
    Value side[2] = {a, b};
    if (tensor_operator(vm, op, 2, side, result)) return true;
    if (op == OPERATOR_ADD && is_row(a) && is_row(b)) {
        vm_tensors(vm)->error.hint[0] = 0;                       /* not how to broadcast */
        error_hint(&vm_tensors(vm)->error, "lists are joined by ++");
    }
    return false;
}

/* ---- ++ ---- */

static bool concat_lists(Vm *vm, Value a, Value b, Value *result)
{
    int64_t count = a.list->count + b.list->count;
    Value out = a.tag == TAG_TUPLE ? tuple_new(count) : list_new(count);
    if (out.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    for (int64_t i = 0; i < count; i++) {
        Value item = value_retain(i < a.list->count ? a.list->at[i] : b.list->at[i - a.list->count]);
        if (out.tag == TAG_TUPLE) out.list->at[i] = item;
        else if (!list_push_take(out.list, item)) {
            value_release(out);
            return vm_out_of_memory(vm);
        }
    }
    *result = out;
    return true;
}

static bool map_add_all(Map *to, const Map *from)
{
    for (int64_t i = 0; i < from->used; i++) {
        const MapEntry *entry = &from->entry[i];
        if (entry->key.tag == TAG_UNDEFINED) continue;
        if (!map_set_take(to, entry->key, value_retain(entry->value))) return false;
    }
    return true;
}

static bool concat_maps(Vm *vm, Value a, Value b, Value *result)
{
    Value out = map_new();
    if (out.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    if (!map_add_all(out.map, a.map) || !map_add_all(out.map, b.map)) {
        value_release(out);
        return vm_out_of_memory(vm);
    }
    *result = out;
    return true;
}

static bool concat(Vm *vm, Value a, Value b, Value *result)
{
    if (a.tag == TAG_STRING && b.tag == TAG_STRING) {
        *result = string_concat(a, b);
        return result->tag == TAG_UNDEFINED ? vm_out_of_memory(vm) : true;
    }
    if (a.tag == b.tag && is_row(a)) return concat_lists(vm, a, b, result);
    if (a.tag == TAG_MAP && b.tag == TAG_MAP) return concat_maps(vm, a, b, result);
    if (a.tag == TAG_SET && (b.tag == TAG_SET || b.tag == TAG_RANGE || is_row(b))) {
        *result = value_retain(a);
        if (set_extend(vm, "++", result, b)) return true;
        value_release(*result);
        return false;
    }
    refuse(vm, OPERATOR_CONCAT, a, b);
    Error *error = &vm_tensors(vm)->error;
    if (a.tag == TAG_TENSOR || b.tag == TAG_TENSOR) error_hint(error, "tensors are joined by concat([a, b], axis)");
    else if (a.tag == TAG_SET) error_hint(error, "write s ++ [x] to add one item");
    else if (a.tag == TAG_LIST) error_hint(error, "write xs ++ [x] to append one value");
    else if (a.tag == TAG_STRING || b.tag == TAG_STRING) error_hint(error, "write str(x), or \"…{x}…\"");
    return false;
}

/* ---- comparisons ---- */

/* -1, 0 or 1, and 2 for NaN, exact also where a double cannot hold the int. */
static int order_int_float(int64_t i, double f)
{
    if (isnan(f)) return 2;
    if (f >= 9223372036854775808.0) return -1;
    if (f < -9223372036854775808.0) return 1;
    int64_t floor_of_f = (int64_t)floor(f);
    if (i != floor_of_f) return i < floor_of_f ? -1 : 1;
    return f > floor(f) ? -1 : 0;
}

static bool equal_numbers(Value a, Value b)
{
    if (is_typed_float(a) != is_typed_float(b)) {
        double f = is_typed_float(a) ? a.f : b.f;
        return order_int_float(is_typed_float(a) ? whole(b) : whole(a), f) == 0;
    }
    if (is_typed_float(a)) {
        Dtype dtype = a.tag == TAG_FLOAT ? b.dtype : a.dtype;        /* a plain number counts as it would be stored */
        if (a.tag == b.tag) return real(a) == real(b);
        return dtype_round(dtype, real(a)) == dtype_round(dtype, real(b));
    }
    return whole(a) == whole(b);
}

static bool equal_rows(const List *a, const List *b)
{
    if (a->count != b->count) return false;
    for (int64_t i = 0; i < a->count; i++)
        if (!value_equal(a->at[i], b->at[i])) return false;
    return true;
}

static bool equal_maps(const Map *a, const Map *b)
{
    if (a->count != b->count) return false;
    for (int64_t i = 0; i < a->used; i++) {
        Value other;
        if (a->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (!map_get(b, a->entry[i].key, &other) || !value_equal(a->entry[i].value, other)) return false;
    }
    return true;
}

/* Natives of the table are equal by name; closures carry values and are equal only to themselves. */
static bool equal_functions(Value a, Value b)
{
    const NativeDef *x = function_native(a), *y = function_native(b);
    if (x && x == y && x >= native_defs && x < native_defs + native_count) return true;
    return (function_op(a) && function_op(a) == function_op(b)) || a.heap == b.heap;
}

bool value_equal(Value a, Value b)
{
    bool numbers = (value_is_number(a) || a.tag == TAG_BOOL) && (value_is_number(b) || b.tag == TAG_BOOL);
    if (numbers) {
        bool bools = (a.tag == TAG_BOOL) == (b.tag == TAG_BOOL) || a.tag == TAG_SCALAR || b.tag == TAG_SCALAR;
        return bools && equal_numbers(a, b);
    }
    if (a.tag != b.tag) {
        Dtype x, y;                                        /* x.dtype == "f32" */
        bool dtypes = (a.tag == TAG_FUNCTION && b.tag == TAG_STRING) || (a.tag == TAG_STRING && b.tag == TAG_FUNCTION);
        return dtypes && value_to_dtype(a, &x) && value_to_dtype(b, &y) && x == y;
    }
    switch ((Tag)a.tag) {
    case TAG_LIST:
    case TAG_TUPLE: return a.list == b.list || equal_rows(a.list, b.list);
    case TAG_MAP:
    case TAG_SET: return a.map == b.map || equal_maps(a.map, b.map);
    case TAG_FUNCTION: return equal_functions(a, b);
    default: return value_same(a, b);
    }
}

int value_order(Value a, Value b, bool *comparable)
{
    if (value_is_number(a) && value_is_number(b)) {
        if (!is_typed_float(a) && !is_typed_float(b)) return whole(a) < whole(b) ? -1 : whole(a) > whole(b);
        if (!is_typed_float(a)) return order_int_float(whole(a), b.f) % 2;
        if (!is_typed_float(b)) return -(order_int_float(whole(b), a.f) % 2);
        double x = real(a), y = real(b);
        return x < y ? -1 : x > y ? 1 : 0;
    }
    if (a.tag == TAG_STRING && b.tag == TAG_STRING) {
        uint32_t n = a.string->length < b.string->length ? a.string->length : b.string->length;
        int order = memcmp(a.string->text, b.string->text, n);
        if (order) return order < 0 ? -1 : 1;
        return a.string->length < b.string->length ? -1 : a.string->length > b.string->length;
    }
    if (a.tag == TAG_BOOL && b.tag == TAG_BOOL) return (int)a.b - (int)b.b;
    if (a.tag == TAG_DATE && b.tag == TAG_DATE) return a.i < b.i ? -1 : a.i > b.i;
    if (a.tag == b.tag && is_row(a)) {
        for (int64_t i = 0; i < a.list->count && i < b.list->count; i++) {
            int order = value_order(a.list->at[i], b.list->at[i], comparable);
            if (order || !*comparable) return order;
        }
        return a.list->count < b.list->count ? -1 : a.list->count > b.list->count;
    }
    *comparable = false;
    return 0;
}

static bool has_nan(Value a, Value b)
{
    return (is_typed_float(a) && isnan(a.f)) || (is_typed_float(b) && isnan(b.f));
}

static bool ordering(Vm *vm, int op, Value a, Value b, Value *result)
{
    bool comparable = !is_row(a) && !is_row(b);
    int order = comparable ? value_order(a, b, &comparable) : 0;
    if (!comparable) {
        bool promote = (is_row(a) && (is_row(b) || value_is_number(b))) || (is_row(b) && value_is_number(a));
        if (!promote) {
            refuse(vm, op, a, b);
            if (a.tag == TAG_SET) error_hint(&vm_tensors(vm)->error, "write is_subset(a, b)");
            return false;
        }
        Value side[2] = {a, b};
        return tensor_operator(vm, op, 2, side, result);
    }
    bool less = op == OPERATOR_LT || op == OPERATOR_LE, or_equal = op == OPERATOR_LE || op == OPERATOR_GE;
    bool truth = order == 0 ? or_equal : (order < 0) == less;
    *result = value_bool(truth && !has_nan(a, b));
    return true;
}

static bool compare(Vm *vm, int op, Value a, Value b, Value *result)
{
    Value side[2] = {a, b};
    if ((a.tag == TAG_TENSOR && is_arithmetic(b)) || (b.tag == TAG_TENSOR && is_arithmetic(a))) {
        return tensor_operator(vm, op, 2, side, result);
    }
    if (op != OPERATOR_EQ && op != OPERATOR_NE) return ordering(vm, op, a, b, result);
    *result = value_bool(value_equal(a, b) == (op == OPERATOR_EQ));
    return true;
}

/* ---- in ---- */

static bool in_tensor(Vm *vm, Value x, Value tensor, bool *found)
{
    Value equal;
    if (!compare(vm, OPERATOR_EQ, tensor, x, &equal)) return false;
    *found = equal.tag == TAG_SCALAR && equal.i;
    if (equal.tag == TAG_TENSOR) {
        int64_t size = tensor_size(equal.tensor);
        for (int64_t i = 0; i < size && !*found; i++) *found = tensor_item_int(equal.tensor, i) != 0;
    }
    value_release(equal);
    return true;
}

static bool in_range(Value x, const Range *range)
{
    int64_t i;
    double d;
    if (!value_to_int(x, &i)) {
        if (!value_to_double(x, &d) || d != floor(d) || fabs(d) > 9e15) return false;
        i = (int64_t)d;
    }
    bool inside = range->step > 0 ? i >= range->start && i < range->stop : i <= range->start && i > range->stop;
    return inside && (i - range->start) % range->step == 0;
}

static bool contains(Vm *vm, Value x, Value in, bool *found)
{
    Value ignored;
    *found = false;
    switch ((Tag)in.tag) {
    case TAG_LIST:
    case TAG_TUPLE:
        for (int64_t i = 0; i < in.list->count && !*found; i++) *found = value_equal(x, in.list->at[i]);
        return true;
    case TAG_MAP:
    case TAG_SET:
        *found = map_get(in.map, x, &ignored);
        return true;
    case TAG_STRING:
        if (x.tag != TAG_STRING) return refuse(vm, OPERATOR_IN, x, in);
        *found = memmem(in.string->text, in.string->length, x.string->text, x.string->length) != NULL;
        return true;
    case TAG_RANGE:
        *found = in_range(x, in.range);
        return true;
    case TAG_TENSOR: return in_tensor(vm, x, in, found);
    default: return refuse(vm, OPERATOR_IN, x, in);
    }
}

/* ---- and, or, not; conditions ---- */

static bool as_bool(Value v, bool *truth)
{
    if (v.tag == TAG_BOOL) *truth = v.b;
    else if (v.tag == TAG_SCALAR && v.dtype == DTYPE_bool) *truth = v.i != 0;
    else return false;
    return true;
}

static bool logical(Vm *vm, int op, int n, const Value *side, Value *result)
{
    bool truth[2] = {false, false}, all = true;
    for (int i = 0; i < n; i++) all &= as_bool(side[i], &truth[i]);
    if (all) {
        bool both = truth[0] && truth[1], either = truth[0] || truth[1];
        *result = value_bool(op == OPERATOR_NOT ? !truth[0] : op == OPERATOR_AND ? both : either);
        return true;
    }
    for (int i = 0; i < n; i++) {
        bool fine = as_bool(side[i], &truth[i]) || (side[i].tag == TAG_TENSOR && side[i].tensor->dtype == DTYPE_bool);
        if (fine) continue;
        char described[96];
        value_describe(side[i], described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "`%s` needs bools, got %s", table[op].sign, described);
    }
    return tensor_operator(vm, op, n, side, result);
}

bool arith_truth(Vm *vm, Value v, bool *truth)
{
    if (as_bool(v, truth)) return true;
    if (v.tag == TAG_TENSOR && v.tensor->dtype == DTYPE_bool && tensor_size(v.tensor) == 1) {
        *truth = tensor_item_int(v.tensor, 0) != 0;
        return true;
    }
    char described[96];
    value_describe(v, described, sizeof described);
    vm_fail(vm, ERROR_type, "", "a condition must be one bool, got %s", described);
    Error *error = &vm_tensors(vm)->error;
    if (v.tag == TAG_TENSOR) error_hint(error, "write any(x) or all(x)");
    else if (value_is_number(v)) error_hint(error, "write x != 0");
    else if (v.tag == TAG_NONE) error_hint(error, "write x != none");
    else if (is_row(v) || v.tag == TAG_MAP || v.tag == TAG_SET || v.tag == TAG_STRING) error_hint(error, "write len(x) > 0");
    return false;
}

bool arith_binary(Vm *vm, int operator_, Value a, Value b, Value *result)
{
    bool found;
    switch (operator_) {
    case OPERATOR_CONCAT: return concat(vm, a, b, result);
    case OPERATOR_EQ: case OPERATOR_NE: case OPERATOR_LT: case OPERATOR_LE: case OPERATOR_GT: case OPERATOR_GE:
        return compare(vm, operator_, a, b, result);
    case OPERATOR_IN:
    case OPERATOR_NOT_IN:
        if (!contains(vm, a, b, &found)) return false;
        *result = value_bool(found == (operator_ == OPERATOR_IN));
        return true;
    case OPERATOR_AND:
    case OPERATOR_OR: return logical(vm, operator_, 2, (Value[]){a, b}, result);
    default: return arithmetic(vm, operator_, a, b, result);
    }
}

bool arith_unary(Vm *vm, int operator_, Value a, Value *result)
{
    if (operator_ == OPERATOR_NOT) return logical(vm, operator_, 1, &a, result);
    if (a.tag == TAG_INT) {
        if (a.i == INT64_MIN) return overflow(vm, OPERATOR_SUB, 0, a.i);
        *result = value_int(-a.i);
        return true;
    }
    if (a.tag == TAG_FLOAT) *result = value_float(-a.f);
    else if (a.tag == TAG_SCALAR && is_typed_float(a)) *result = value_scalar_float((Dtype)a.dtype, -a.f);
    else if (a.tag == TAG_SCALAR) return scalars(vm, OPERATOR_SUB, value_int(0), a, result);
    else if (a.tag == TAG_TENSOR || is_row(a) || a.tag == TAG_RANGE) {
        return tensor_operator(vm, operator_, 1, &a, result);
    } else {
        char described[96];
        value_describe(a, described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "minus is not defined for %s", described);
    }
    return true;
}
