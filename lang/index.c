/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x[…] and x[…] = v for lists, tuples, strings, maps and ranges; index_tensor.c does tensors. Slices clamp, indices
   out of range are errors, negative ones count from the end. Values are changed in place when nobody else holds
   them. */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "ast.h"
#include "suggest.h"

bool index_place(Vm *vm, int64_t index, int64_t size, int axis, int64_t *at)
{
    *at = index < 0 ? index + size : index;
    if (*at >= 0 && *at < size) return true;
    if (axis < 0) {
        vm_fail(vm, ERROR_index, "", "index %lld is out of range for %lld item%s", (long long)index, (long long)size,
                size == 1 ? "" : "s");
    } else {
        vm_fail(vm, ERROR_index, "", "index %lld is out of range for axis %d of size %lld", (long long)index, axis,
                (long long)size);
    }
    if (size > 0 && index == size)
        error_hint(&vm_tensors(vm)->error, "counting starts at 0: the last is %lld, or -1", (long long)size - 1);
    return false;
}

static bool slice_bound(Vm *vm, Value v, const char *which, int64_t otherwise, int64_t *out)
{
    char described[96];
    if (v.tag == TAG_NONE || v.tag == TAG_UNDEFINED) *out = otherwise;
    else if (!value_to_int(v, out)) {
        value_describe(v, described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "the %s of a slice must be an int, got %s", which, described);
    }
    return true;
}

static int64_t clamp(int64_t i, int64_t low, int64_t high)
{
    return i < low ? low : i > high ? high : i;
}

bool index_steps(Vm *vm, const Subscript *s, int64_t size, Steps *steps)
{
    int64_t step, start, stop;
    if (!slice_bound(vm, s->step, "step", 1, &step)) return false;
    if (step == 0 || step == INT64_MIN) {
        return vm_fail(vm, ERROR_value, "", "the step of a slice cannot be %lld", (long long)step);
    }
    bool up = step > 0;
    if (!slice_bound(vm, s->start, "start", up ? 0 : size - 1, &start)) return false;
    bool given = s->stop.tag != TAG_NONE && s->stop.tag != TAG_UNDEFINED;
    if (!slice_bound(vm, s->stop, "stop", up ? size : -1, &stop)) return false;
    if (start < 0) start += size;
    if (given && stop < 0) stop += size;
    start = clamp(start, up ? 0 : -1, up ? size : size - 1);
    stop = clamp(stop, up ? 0 : -1, up ? size : size - 1);
    int64_t span = up ? stop - start : start - stop, width = up ? step : -step;
    steps->count = span > 0 ? (span - 1) / width + 1 : 0;
    steps->start = steps->count ? start : 0;
    steps->step = step;
    return true;
}

static bool wrong_index(Vm *vm, const char *what, Value index)
{
    char described[96];
    value_describe(index, described, sizeof described);
    vm_fail(vm, ERROR_type, "", "%s takes an int or a slice as index, got %s", what, described);
    if (index.tag == TAG_FLOAT) error_hint(&vm_tensors(vm)->error, "a // b divides to an int, int(x) cuts a float");
    return false;
}

static bool one_subscript(Vm *vm, const char *what, int count, const Subscript *s)
{
    if (count == 1 && !s->ellipsis) return true;
    vm_fail(vm, ERROR_index, "", "%s has one axis, the index has %d", what, count);
    if (count > 1) error_hint(&vm_tensors(vm)->error, "write x[i][j], or tensor(x)[i, j]");
    return false;
}

/* ---- lists and tuples ---- */

static Value row_new(uint8_t tag, int64_t count)
{
    return tag == TAG_TUPLE ? tuple_new(count) : list_new(count);
}

static bool row_add(Vm *vm, Value *row, int64_t at, Value owned)
{
    if (row->tag == TAG_TUPLE) row->list->at[at] = owned;
    else if (!list_push_take(row->list, owned)) {
        value_set(row, VALUE_UNDEFINED);
        return vm_out_of_memory(vm);
    }
    return true;
}

static bool list_pick(Vm *vm, Value x, Value places, Value *result)
{
    Value out = row_new(x.tag, places.list->count);
    if (out.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    for (int64_t i = 0; i < places.list->count; i++) {
        int64_t index, at;
        bool fine = value_to_int(places.list->at[i], &index) || wrong_index(vm, "a list", places.list->at[i]);
        fine = fine && index_place(vm, index, x.list->count, -1, &at);
        if (!fine) {
            value_release(out);
            return false;
        }
        if (!row_add(vm, &out, i, value_retain(x.list->at[at]))) return false;
    }
    *result = out;
    return true;
}

static bool list_get(Vm *vm, Value x, int count, const Subscript *s, Value *result)
{
    const char *what = x.tag == TAG_TUPLE ? "a tuple" : "a list";
    if (!one_subscript(vm, what, count, s)) return false;
    if (s->slice) {
        Steps steps;
        if (!index_steps(vm, s, x.list->count, &steps)) return false;
        Value out = row_new(x.tag, steps.count);
        if (out.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
        for (int64_t i = 0; i < steps.count; i++) {
            if (!row_add(vm, &out, i, value_retain(x.list->at[steps.start + i * steps.step]))) return false;
        }
        *result = out;
        return true;
    }
    int64_t index, at;
    if (s->value.tag == TAG_LIST) return list_pick(vm, x, s->value, result);
    if (!value_to_int(s->value, &index)) return wrong_index(vm, what, s->value);
    if (!index_place(vm, index, x.list->count, -1, &at)) return false;
    *result = value_retain(x.list->at[at]);
    return true;
}

/* v, or what `old op v` gives; owned. */
static bool combined(Vm *vm, Value old, int op, Value v, Value *result)
{
    if (op != OPERATOR_NONE) return arith_binary(vm, op, old, v, result);
    *result = value_retain(v);
    return true;
}

/* xs[a:b] = ys replaces these items by those, whatever their number; a step asks for equally many. */
static bool list_set_slice(Vm *vm, Value *slot, const Subscript *s, Value v)
{
    Steps steps;
    int64_t size = slot->list->count;
    if (!index_steps(vm, s, size, &steps)) return false;
    if (v.tag != TAG_LIST && v.tag != TAG_TUPLE) return wrong_index(vm, "a slice of a list", v);
    if (steps.step != 1 && steps.count != v.list->count) {
        return vm_fail(vm, ERROR_value, "", "%lld items cannot replace %lld", (long long)v.list->count,
                       (long long)steps.count);
    }
    Value out = list_new(size - steps.count + v.list->count);
    if (out.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    int64_t low = steps.count ? steps.start : 0, given = 0;
    if (steps.count == 0 && s->start.tag != TAG_NONE && s->start.tag != TAG_UNDEFINED) {
        value_to_int(s->start, &low);
        low = clamp(low < 0 ? low + size : low, 0, size);
    }
    for (int64_t i = 0; i <= size; i++) {
        bool here = steps.step == 1 ? i == low : i < size && steps.count && (i - steps.start) % steps.step == 0 &&
                    (i - steps.start) / steps.step >= 0 && (i - steps.start) / steps.step < steps.count;
        int64_t n = !here ? 0 : steps.step == 1 ? v.list->count : 1;
        for (int64_t k = 0; k < n; k++) {
            int64_t from = steps.step == 1 ? given++ : (i - steps.start) / steps.step;
            if (!row_add(vm, &out, 0, value_retain(v.list->at[from]))) return false;
        }
        bool kept = i < size && !(steps.step == 1 ? i >= low && i < low + steps.count : here);
        if (kept && !row_add(vm, &out, 0, value_retain(slot->list->at[i]))) return false;
    }
    value_set(slot, out);
    return true;
}

static bool list_set(Vm *vm, Value *slot, int count, const Subscript *s, int op, Value v)
{
    if (slot->tag == TAG_TUPLE) return vm_fail(vm, ERROR_type, "", "a tuple cannot be changed; write list(t) first");
    if (!one_subscript(vm, "a list", count, s)) return false;
    if (s->slice && op == OPERATOR_NONE) return list_set_slice(vm, slot, s, v);
    int64_t index, at;
    if (s->slice || !value_to_int(s->value, &index)) return wrong_index(vm, "a list", s->value);
    if (!index_place(vm, index, slot->list->count, -1, &at)) return false;
    Value stored;
    if (!combined(vm, slot->list->at[at], op, v, &stored)) return false;
    if (list_own(slot).tag == TAG_UNDEFINED) {
        value_release(stored);
        return vm_out_of_memory(vm);
    }
    value_set(&slot->list->at[at], stored);
    return true;
}

/* ---- strings ---- */

/* Byte offset of a codepoint, found from byte [from], which is codepoint [at]. */
static size_t point_offset(const String *string, int64_t point, size_t from, int64_t at)
{
    if (string->codepoints == string->length) return (size_t)point;
    if (point < at) {
        from = 0;
        at = 0;
    }
    for (; at < point; at++) {
        from++;
        while (from < string->length && ((unsigned char)string->text[from] & 0xC0) == 0x80) from++;
    }
    return from;
}

static bool string_get(Vm *vm, Value x, int count, const Subscript *s, Value *result)
{
    String *string = x.string;
    int64_t size = string_points(string), index;
    Steps steps = {0, 1, 1};
    if (!one_subscript(vm, "a string", count, s)) return false;
    if (s->slice) {
        if (!index_steps(vm, s, size, &steps)) return false;
    } else {
        if (!value_to_int(s->value, &index)) return wrong_index(vm, "a string", s->value);
        if (!index_place(vm, index, size, -1, &steps.start)) return false;
    }
    if (steps.step == 1) {
        size_t from = point_offset(string, steps.start, 0, 0);
        size_t to = point_offset(string, steps.start + steps.count, from, steps.start);
        *result = string_new(string->text + from, steps.count ? to - from : 0);
    } else {
        Text text = {0};
        size_t at = 0;
        int64_t point = 0;
        for (int64_t i = 0; i < steps.count; i++) {
            int64_t wanted = steps.start + i * steps.step;
            at = point_offset(string, wanted, at, point);
            point = wanted;
            text_add(&text, string->text + at, point_offset(string, wanted + 1, at, point) - at);
        }
        *result = text.failed ? VALUE_UNDEFINED : string_new(text.at ? text.at : "", text.length);
        text_free(&text);
    }
    return result->tag == TAG_UNDEFINED ? vm_out_of_memory(vm) : true;
}

/* ---- maps ---- */

/* m[a, b] is m[(a, b)]. */
static bool map_key_of(Vm *vm, int count, const Subscript *s, Value *key)
{
    for (int i = 0; i < count; i++) {
        if (s[i].slice || s[i].ellipsis) return vm_fail(vm, ERROR_type, "", "a map has no slices, only single keys");
    }
    if (count == 1) *key = value_retain(s->value);
    else {
        *key = tuple_new(count);
        if (key->tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
        for (int i = 0; i < count; i++) key->list->at[i] = value_retain(s[i].value);
    }
    if (value_hashable(*key)) return true;
    char described[96];
    value_describe(*key, described, sizeof described);
    value_release(*key);
    return vm_fail(vm, ERROR_type, "", "keys of maps are strings, ints, bools, dates and tuples of them, not %s", described);
}

/* [adding]: m[key] += v. */
static bool missing_key(Vm *vm, Value x, Value key, bool adding)
{
    Text text = {0};
    bool fine = value_repr(vm, key, &text);
    if (fine) vm_fail(vm, ERROR_key, "", "the map has no key %.200s", text.at ? text.at : "");
    text_free(&text);
    if (!fine) return false;
    Suggest suggest;
    suggest_start(&suggest, key.tag == TAG_STRING ? key.string->text : "");
    for (int64_t i = 0; i < x.map->used; i++)
        if (x.map->entry[i].key.tag == TAG_STRING) suggest_offer(&suggest, x.map->entry[i].key.string->text);
    if (adding) error_hint(&vm_tensors(vm)->error, "m[key] = get(m, key, 0) + 1 begins at 0; counts(xs) counts");
    else if (suggest.best) error_hint(&vm_tensors(vm)->error, "did you mean \"%.100s\"?", suggest.best);
    else error_hint(&vm_tensors(vm)->error, "`key in m` asks for it, get(m, key, otherwise) gives something else");
    return false;
}

static bool map_index(Vm *vm, Value x, int count, const Subscript *s, Value *result)
{
    Value key, found;
    if (!map_key_of(vm, count, s, &key)) return false;
    bool fine = map_get(x.map, key, &found);
    if (fine) *result = value_retain(found);
    else missing_key(vm, x, key, false);
    value_release(key);
    return fine;
}

static bool map_set(Vm *vm, Value *slot, int count, const Subscript *s, int op, Value v)
{
    Value key, old = VALUE_NONE, stored;
    if (!map_key_of(vm, count, s, &key)) return false;
    bool fine = op == OPERATOR_NONE || map_get(slot->map, key, &old) || missing_key(vm, *slot, key, true);
    fine = fine && combined(vm, old, op, v, &stored);
    if (fine) {
        fine = map_own(slot).tag != TAG_UNDEFINED;
        if (!fine) value_release(stored);
        fine = fine && map_set_take(slot->map, key, stored);
        if (!fine) vm_out_of_memory(vm);
    }
    value_release(key);
    return fine;
}

/* ---- ranges ---- */

static bool range_get(Vm *vm, Value x, int count, const Subscript *s, Value *result)
{
    const Range *range = x.range;
    int64_t size = range_length(range), index, at;
    if (!one_subscript(vm, "a range", count, s)) return false;
    if (s->slice) {
        Steps steps;
        if (!index_steps(vm, s, size, &steps)) return false;
        int64_t step = range->step * steps.step, start = range->start + steps.start * range->step;
        *result = range_new(start, start + steps.count * step, step);
        return result->tag == TAG_UNDEFINED ? vm_out_of_memory(vm) : true;
    }
    if (!value_to_int(s->value, &index)) return wrong_index(vm, "a range", s->value);
    if (!index_place(vm, index, size, -1, &at)) return false;
    *result = value_int(range->start + at * range->step);
    return true;
}

/* ---- numbers with a dtype: tensors without axes ---- */

static bool scalar_get(Vm *vm, Value x, int count, const Subscript *s, Value *result)
{
    Tensor *tensor = value_to_tensor(vm_tensors(vm), x);
    bool fine = tensor && tensor_index_get(vm, tensor, count, s, result);
    tensor_release(tensor);
    return fine;
}

/* ---- entry points ---- */

bool index_get(Vm *vm, Value x, int count, const Subscript *subscripts, Value *result)
{
    char described[96];
    switch ((Tag)x.tag) {
    case TAG_TENSOR: return tensor_index_get(vm, x.tensor, count, subscripts, result);
    case TAG_SCALAR: return scalar_get(vm, x, count, subscripts, result);
    case TAG_LIST:
    case TAG_TUPLE: return list_get(vm, x, count, subscripts, result);
    case TAG_STRING: return string_get(vm, x, count, subscripts, result);
    case TAG_MAP: return map_index(vm, x, count, subscripts, result);
    case TAG_RANGE: return range_get(vm, x, count, subscripts, result);
    default:
        value_describe(x, described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "%s cannot be indexed", described);
    }
}

bool index_set(Vm *vm, Value *slot, int count, const Subscript *subscripts, int op, Value v)
{
    char described[96];
    switch ((Tag)slot->tag) {
    case TAG_TENSOR: return tensor_index_set(vm, slot, count, subscripts, op, v);
    case TAG_LIST:
    case TAG_TUPLE: return list_set(vm, slot, count, subscripts, op, v);
    case TAG_MAP: return map_set(vm, slot, count, subscripts, op, v);
    case TAG_STRING: return vm_fail(vm, ERROR_type, "", "a string cannot be changed; build a new one");
    default:
        value_describe(*slot, described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "%s has no items to set", described);
    }
}
