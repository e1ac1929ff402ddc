/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of natives, the constants beside them, and the helpers that the natives share. */
#include "builtins.h"

#include <math.h>
#include <string.h>

const NativeDef native_defs[] = {
#define NATIVE(name, signature, doc, example) {#name, signature, native_##name, doc, example},
#include "builtins.def"
#undef NATIVE
};
const int native_count = (int)(sizeof native_defs / sizeof native_defs[0]);

const ConstantDef constant_defs[] = {
    {"pi", {.tag = TAG_FLOAT, .f = 3.14159265358979323846}, "The ratio of a circle's circumference to its diameter."},
    {"inf", {.tag = TAG_FLOAT, .f = (double)INFINITY}, "Positive infinity."},
    {"nan", {.tag = TAG_FLOAT, .f = (double)NAN}, "Not a number: what 0.0 / 0.0 gives."},
};
const int constant_count = (int)(sizeof constant_defs / sizeof constant_defs[0]);

bool native_wants(Vm *vm, const char *function, const char *param, const char *what, Value got)
{
    char described[96];
    value_describe(got, described, sizeof described);
    return vm_fail(vm, ERROR_type, function, "%s must be %s, got %s", param, what, described);
}

bool native_unhashable(Vm *vm, const char *function, const char *param, Value got)
{
    return native_wants(vm, function, param, "a string, an int, a bool, a date or a tuple of those", got);
}

bool native_give(Vm *vm, Value owned, Value *result)
{
    *result = owned;
    return owned.tag == TAG_UNDEFINED ? vm_out_of_memory(vm) : true;
}

bool native_give_text(Vm *vm, Text *text, Value *result)
{
    Value string = text->failed ? VALUE_UNDEFINED : string_new(text->at ? text->at : "", text->length);
    text_free(text);
    return native_give(vm, string, result);
}

bool native_is_row(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE;
}

bool native_is_callable(Value v)
{
    return v.tag == TAG_FUNCTION || v.tag == TAG_MODEL || v.tag == TAG_OBJECT;
}

bool native_is_lazy(Value v)
{
    return v.tag == TAG_STREAM || v.tag == TAG_OBJECT;
}

bool native_collect(Vm *vm, Value iterable, Value *list)
{
    if (iterable.tag == TAG_LIST) {
        *list = value_retain(iterable);
        return true;
    }
    Value iterator, item;
    *list = list_new(0);
    if (list->tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool fine = vm_iterate(vm, iterable, &iterator);
    if (fine) {
        for (;;) {
            fine = vm_next(vm, iterator, &item);
            if (!fine || item.tag == TAG_DONE) break;
            fine = list_push_take(list->list, item) || vm_out_of_memory(vm);
            if (!fine) break;
        }
        if (!fine) vm_iterate_close(vm, iterator);
        value_release(iterator);
    }
    if (!fine) value_set(list, VALUE_UNDEFINED);
    return fine;
}

static bool object_length(Vm *vm, Value v, int64_t *length)
{
    Value result;
    bool found;
    if (!vm_call_method(vm, v, "length", 0, NULL, &result, &found)) return false;
    if (!found) return true;
    if (!value_to_int(result, length)) *length = -1;
    value_release(result);
    return true;
}

bool native_length(Vm *vm, Value v, int64_t *length)
{
    *length = -1;
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE: *length = v.list->count; return true;
    case TAG_MAP:
    case TAG_SET: *length = v.map->count; return true;
    case TAG_STRING: *length = string_points(v.string); return true;
    case TAG_RANGE: *length = range_length(v.range); return true;
    case TAG_TENSOR: *length = v.tensor->ndim ? v.tensor->shape[0] : -1; return true;
    case TAG_STREAM: *length = v.stream->kind->length ? v.stream->kind->length(v.stream) : -1; return true;
    case TAG_OBJECT: return object_length(vm, v, length);
    default: return true;
    }
}
