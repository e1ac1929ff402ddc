/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Instructions beyond their fast cases: errors of int arithmetic, building lists, maps and texts, appending, unpacking.
   Operators on tensors, scalars and collections are arith.c's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "machine.h"

/* ---- operators ---- */

static bool overflow(Vm *vm, const char *sign, int64_t a, int64_t b)
{
    vm_fail(vm, ERROR_overflow, sign, "%lld %s %lld does not fit an int (64 bits)", (long long)a, sign, (long long)b);
    error_hint(&vm->tensors.error, "use floats, as in %lld.0 %s %lld", (long long)a, sign, (long long)b);
    return false;
}

static bool int_power(Vm *vm, int64_t base, int64_t exponent, Value *result)
{
    int64_t value = 1, square = base;
    if (exponent < 0) {
        if (base == 0)
            return vm_fail(vm, ERROR_zero, "^", "0 to a negative power");
        *result = value_float(pow((double)base, (double)exponent));
        return true;
    }
    for (int64_t e = exponent; e; e >>= 1) {
        if ((e & 1) && __builtin_mul_overflow(value, square, &value))
            return overflow(vm, "^", base, exponent);
        if (e > 1 && __builtin_mul_overflow(square, square, &square))
            return overflow(vm, "^", base, exponent);
    }
    *result = value_int(value);
    return true;
}

static bool int_divide(Vm *vm, int operation, int64_t a, int64_t b, Value *result)
{
    const char *sign = operation == OPERATOR_DIV ? "/" : operation == OPERATOR_FLOORDIV ? "//" : "%";
    if (b == 0)
        return vm_fail(vm, ERROR_zero, sign, "%lld %s 0", (long long)a, sign);
    if (operation == OPERATOR_DIV) {
        *result = value_float((double)a / (double)b);
        return true;
    }
    if (b == -1) {            /* the one quotient that may not fit */
        if (operation == OPERATOR_FLOORDIV && a == INT64_MIN)
            return overflow(vm, sign, a, b);
        *result = value_int(operation == OPERATOR_FLOORDIV ? -a : 0);
        return true;
    }
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    *result = value_int(operation == OPERATOR_FLOORDIV ? quotient : rest);
    return true;
}

static bool int_binary(Vm *vm, int operation, int64_t a, int64_t b, Value *result)
{
    int64_t made;
    switch (operation) {
    case OPERATOR_ADD:
        if (__builtin_add_overflow(a, b, &made))
            return overflow(vm, "+", a, b);
        break;
    case OPERATOR_SUB:
        if (__builtin_sub_overflow(a, b, &made))
            return overflow(vm, "-", a, b);
        break;
    case OPERATOR_MUL:
        if (__builtin_mul_overflow(a, b, &made))
            return overflow(vm, "*", a, b);
        break;
    case OPERATOR_POW: return int_power(vm, a, b, result);
    default: return int_divide(vm, operation, a, b, result);
    }
    *result = value_int(made);
    return true;
}

static bool float_binary(int operation, double a, double b, Value *result)
{
    double rest;
    switch (operation) {
    case OPERATOR_ADD: *result = value_float(a + b); break;
    case OPERATOR_SUB: *result = value_float(a - b); break;
    case OPERATOR_MUL: *result = value_float(a * b); break;
    case OPERATOR_DIV: *result = value_float(a / b); break;
    case OPERATOR_FLOORDIV: *result = value_float(floor(a / b)); break;
    case OPERATOR_POW: *result = value_float(pow(a, b)); break;
    default:
        rest = fmod(a, b);
        *result = value_float(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
        break;
    }
    return true;
}

static bool is_arithmetic(int operation)
{
    return (operation >= OPERATOR_ADD && operation <= OPERATOR_MOD) || operation == OPERATOR_POW;
}

static bool is_plain_number(Value v)
{
    return v.tag == TAG_INT || v.tag == TAG_FLOAT;
}

static bool compare_floats(int operation, double a, double b)
{
    switch (operation) {
    case OPERATOR_EQ: return a == b;
    case OPERATOR_NE: return a != b;
    case OPERATOR_LT: return a < b;
    case OPERATOR_LE: return a <= b;
    case OPERATOR_GT: return a > b;
    default: return a >= b;
    }
}

static bool is_small(Value v) /* exact as a double */
{
    return v.tag == TAG_FLOAT || (v.i <= (int64_t)1 << 53 && v.i >= -((int64_t)1 << 53));
}

bool do_binary(Vm *vm, int operation, Value a, Value b, Value *result)
{
    if (is_plain_number(a) && is_plain_number(b)) {
        if (is_arithmetic(operation)) {
            if (a.tag == TAG_INT && b.tag == TAG_INT)
                return int_binary(vm, operation, a.i, b.i, result);
            return float_binary(operation, a.tag == TAG_INT ? (double)a.i : a.f, b.tag == TAG_INT ? (double)b.i : b.f,
                                result);
        }
        if (operation >= OPERATOR_EQ && operation <= OPERATOR_GE && is_small(a) && is_small(b)) {
            *result = value_bool(compare_floats(operation, a.tag == TAG_INT ? (double)a.i : a.f,
                                                b.tag == TAG_INT ? (double)b.i : b.f));
            return true;
        }
    }
    if ((operation == OPERATOR_EQ || operation == OPERATOR_NE) && a.tag != TAG_TENSOR && b.tag != TAG_TENSOR) {
        *result = value_bool(value_equal(a, b) == (operation == OPERATOR_EQ));
        return true;
    }
    return arith_binary(vm, operation, a, b, result);
}

bool do_unary(Vm *vm, int operation, Value a, Value *result)
{
    if (operation == OPERATOR_NEG && a.tag == TAG_INT) {
        if (a.i == INT64_MIN)
            return overflow(vm, "-", 0, a.i);
        *result = value_int(-a.i);
        return true;
    }
    return arith_unary(vm, operation, a, result);
}

bool do_range(Vm *vm, Value a, Value b, Value *result)
{
    int64_t start, stop;
    if (!value_to_int(a, &start) || !value_to_int(b, &stop))
        return vm_fail(vm, ERROR_type, "..", "a range goes from int to int, not from %s to %s", value_type_name(a),
                       value_type_name(b));
    *result = range_new(start, stop, 1);
    return result->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
}

/* ---- building ---- */

bool do_list(Vm *vm, Value *r, int count, Tag tag)
{
    Value v = list_new(count);
    if (v.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int i = 0; i < count; i++) {
        v.list->at[i] = r[i];
        r[i] = VALUE_UNDEFINED;
    }
    v.list->count = count;
    v.tag = (uint8_t)tag;
    value_set(r, v);
    return true;
}

bool do_put(Vm *vm, Map *map, Value key, Value owned)
{
    if (!value_hashable(key)) {
        value_release(owned);
        return vm_fail(vm, ERROR_type, "", "a map's keys are strings, ints, bools and tuples of them, not %s",
                       value_type_name(key));
    }
    return map_set_take(map, key, owned) || vm_out_of_memory(vm);
}

bool do_map(Vm *vm, Value *r, int count)
{
    Value v = map_new();
    if (v.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int i = 0; i < count; i += 2) {
        Value owned = r[i + 1];
        r[i + 1] = VALUE_UNDEFINED;
        if (!do_put(vm, v.map, r[i], owned)) {
            value_release(v);
            return false;
        }
    }
    for (int i = 0; i < count; i += 2)
        value_set(&r[i], VALUE_UNDEFINED);
    value_set(r, v);
    return true;
}

static bool extend_list(Vm *vm, List *list, Value v)
{
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++)
            if (!list_push_take(list, value_retain(v.list->at[i])))
                return vm_out_of_memory(vm);
        return true;
    }
    Value it[2] = {VALUE_UNDEFINED, VALUE_UNDEFINED}, item;
    if (!iterate_begin(vm, value_retain(v), it))
        return false;
    bool fine = true;
    while (fine && (fine = iterate_next(vm, it, &item)) && item.tag != TAG_DONE)
        fine = list_push_take(list, item) || vm_out_of_memory(vm);
    iterate_end(vm, it);
    return fine;
}

static bool extend_map(Vm *vm, Map *map, Value v)
{
    for (int64_t i = 0; i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        if (entry->key.tag != TAG_UNDEFINED && !map_set_take(map, entry->key, value_retain(entry->value)))
            return vm_out_of_memory(vm);
    }
    return true;
}

bool do_extend(Vm *vm, Value *slot, Value v)
{
    if (slot->tag == TAG_LIST)
        return extend_list(vm, slot->list, v);
    if (v.tag != TAG_MAP)
        return vm_fail(vm, ERROR_type, "..", "only a map can be spread into a map, not %s", value_type_name(v));
    return extend_map(vm, slot->map, v);
}

bool do_append(Vm *vm, Value *slot, Value v)
{
    Value result;
    if (slot->tag == TAG_LIST && v.tag == TAG_LIST) {
        value_retain(v);      /* xs ++= xs: it stays as it was while the copy grows */
        bool fine = list_own(slot).tag != TAG_UNDEFINED ? extend_list(vm, slot->list, v) : vm_out_of_memory(vm);
        value_release(v);
        return fine;
    }
    if (slot->tag == TAG_MAP && v.tag == TAG_MAP) {
        value_retain(v);
        bool fine = map_own(slot).tag != TAG_UNDEFINED ? extend_map(vm, slot->map, v) : vm_out_of_memory(vm);
        value_release(v);
        return fine;
    }
    if (!arith_binary(vm, OPERATOR_CONCAT, *slot, v, &result))
        return false;
    value_set(slot, result);
    return true;
}

bool append_global(Vm *vm, Module *module, uint32_t slot, Value v)
{
    if (module->slot[slot].value.tag == TAG_UNDEFINED)
        return vm_fail(vm, ERROR_name, "", "%s has no value yet", module->slot[slot].name);
    return do_append(vm, &module->slot[slot].value, v);
}

/* ---- unpacking ---- */

static bool unpack_count(Vm *vm, int64_t got, int count, int rest)
{
    if (rest ? got >= count - 1 : got == count)
        return true;
    return vm_fail(vm, ERROR_value, "", "%lld values for %s%d names", (long long)got, rest ? "at least " : "",
                   rest ? count - 1 : count);
}

static bool unpack_rest(Vm *vm, const Value *from, int64_t count, Value *to)
{
    Value list = list_new(count);
    if (list.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int64_t i = 0; i < count; i++)
        list.list->at[i] = value_retain(from[i]);
    list.list->count = count;
    value_set(to, list);
    return true;
}

bool do_unpack(Vm *vm, Value v, Value *to, int count, int rest)
{
    if (v.tag == TAG_STRING || v.tag == TAG_MAP || v.tag < TAG_STRING) {
        char text[64];
        value_describe(v, text, sizeof text);
        return vm_fail(vm, ERROR_type, "", "%s cannot be taken apart into %d names", text, count);
    }
    Value list = v.tag == TAG_TUPLE || v.tag == TAG_LIST ? value_retain(v) : list_new(0);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    if (fine && v.tag != TAG_TUPLE && v.tag != TAG_LIST)
        fine = extend_list(vm, list.list, v);
    fine = fine && unpack_count(vm, list.list->count, count, rest);
    if (fine) {
        int64_t extra = rest ? list.list->count - (count - 1) : 1;
        int before = rest ? rest - 1 : count;
        for (int i = 0; i < before; i++)
            value_set(&to[i], value_retain(list.list->at[i]));
        if (rest)
            fine = unpack_rest(vm, &list.list->at[before], extra, &to[before]);
        for (int i = before + 1; i < count; i++)
            value_set(&to[i], value_retain(list.list->at[i - 1 + extra]));
    }
    value_release(list);
    return fine;
}

/* ---- texts and closures ---- */

bool do_format(Vm *vm, const Template *template, Value *r, int count)
{
    Text text = {0};
    bool fine = true;
    for (int i = 0, item = 0; fine && i < template->count; i++) {
        const TemplatePart *part = &template->part[i];
        if (part->text)
            text_add(&text, part->text, part->length);
        else if (part->spec)
            fine = value_format(vm, r[item++], part->spec, &text);
        else
            fine = value_print(vm, r[item++], &text);
    }
    Value made = VALUE_UNDEFINED;
    if (fine && !text.failed)
        made = string_new(text.at ? text.at : "", text.length);
    if (fine && made.tag == TAG_UNDEFINED)
        fine = vm_out_of_memory(vm);
    text_free(&text);
    if (!fine)
        return false;
    for (int i = 0; i < count; i++)
        value_set(&r[i], VALUE_UNDEFINED);
    value_set(r, made);
    return true;
}

bool do_closure(Vm *vm, Proto *proto, Value *r, int count)
{
    Value v = function_new(FUNCTION_CLOSURE, count);
    if (v.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    v.function->proto = proto;
    proto->refs++;
    for (int i = 0; i < count; i++) {
        v.function->value[i] = r[i];
        r[i] = VALUE_UNDEFINED;
    }
    value_set(r, v);
    return true;
}
