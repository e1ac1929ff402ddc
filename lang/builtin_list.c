/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives on lists, tuples and maps. They give new values: what they were given stays as it was. */
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "ast.h"
#include "bind.h"
#include "bridge.h"
#include "builtins.h"

static bool push(Vm *vm, Value *list, Value owned)
{
    if (list_push_take(list->list, owned)) return true;
    value_set(list, VALUE_UNDEFINED);
    return vm_out_of_memory(vm);
}

/* ---- maps ---- */

/* which: 0 keys, 1 values, 2 (key, value) pairs */
static bool map_parts(Vm *vm, const char *name, int which, Value v, Value *result)
{
    if (v.tag != TAG_MAP) return native_wants(vm, name, "m", "a map", v);
    Value list = list_new(v.map->count);
    if (list.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    for (int64_t i = 0; i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        if (entry->key.tag == TAG_UNDEFINED) continue;
        Value part = value_retain(which == 0 ? entry->key : entry->value);
        if (which == 2) {
            Value pair = tuple_new(2);
            if (pair.tag == TAG_UNDEFINED) {
                value_release(part);
                value_release(list);
                return vm_out_of_memory(vm);
            }
            pair.list->at[0] = value_retain(entry->key);
            pair.list->at[1] = part;
            part = pair;
        }
        if (!push(vm, &list, part)) return false;
    }
    *result = list;
    return true;
}

bool native_keys(Vm *vm, const Value *args, Value *result) { return map_parts(vm, "keys", 0, args[0], result); }
bool native_values(Vm *vm, const Value *args, Value *result) { return map_parts(vm, "values", 1, args[0], result); }
bool native_items(Vm *vm, const Value *args, Value *result) { return map_parts(vm, "items", 2, args[0], result); }

bool native_get(Vm *vm, const Value *args, Value *result)
{
    Value found;
    int64_t index;
    if (args[0].tag == TAG_MAP) {
        *result = value_retain(map_get(args[0].map, args[1], &found) ? found : args[2]);
        return true;
    }
    if (!native_is_row(args[0])) return native_wants(vm, "get", "m", "a map or a list", args[0]);
    if (!value_to_int(args[1], &index)) return native_wants(vm, "get", "key", "an int for a list", args[1]);
    int64_t count = args[0].list->count;
    if (index < 0) index += count;
    *result = value_retain(index >= 0 && index < count ? args[0].list->at[index] : args[2]);
    return true;
}

static bool remove_item(Vm *vm, Value set, Value item, Value *result)
{
    Value ignored;
    Text text = {0};
    *result = value_retain(set);
    if (map_get(set.map, item, &ignored)) {
        if (map_own(result).tag != TAG_UNDEFINED) return map_remove(result->map, item);
        vm_out_of_memory(vm);
    } else if (value_repr(vm, item, &text)) {
        vm_fail(vm, ERROR_key, "remove", "the set has no item %.200s", text.at ? text.at : "");
        error_hint(&vm_tensors(vm)->error, "`x in s` asks for it, difference(s, [x]) does not mind");
    }
    text_free(&text);
    value_set(result, VALUE_UNDEFINED);
    return false;
}

bool native_remove(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_SET) return remove_item(vm, args[0], args[1], result);
    Subscript s = {.value = args[1]};
    Value copy = value_retain(args[0]), found;
    bool fine = args[0].tag == TAG_MAP || args[0].tag == TAG_LIST ||
                native_wants(vm, "remove", "m", "a map, a list or a set", args[0]);
    fine = fine && index_get(vm, args[0], 1, &s, &found);          /* the error of a missing key is the index's */
    if (fine) value_release(found);
    if (fine && args[0].tag == TAG_MAP) {
        fine = map_own(&copy).tag != TAG_UNDEFINED || vm_out_of_memory(vm);
        if (fine) map_remove(copy.map, args[1]);
    } else if (fine) {
        int64_t at = 0;
        value_to_int(args[1], &at);
        if (at < 0) at += args[0].list->count;
        value_set(&copy, list_new(args[0].list->count));
        fine = copy.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
        for (int64_t i = 0; i < args[0].list->count && fine; i++) {
            if (i != at) fine = push(vm, &copy, value_retain(args[0].list->at[i]));
        }
    }
    if (fine) *result = copy;
    else value_release(copy);
    return fine;
}

/* ---- order ---- */

typedef struct Keyed { Value key, item; } Keyed;
typedef struct Sorting { Vm *vm; bool descending, failed; uint32_t compared; } Sorting;

static bool no_order(Sorting *s, Value a, Value b)
{
    char left[96], right[96];
    value_describe(a, left, sizeof left);
    value_describe(b, right, sizeof right);
    s->failed = true;
    return vm_fail(s->vm, ERROR_type, "sort", "%s and %s have no order", left, right);
}

/* Whether b must come before a, which stood before it. */
static bool swapped(Sorting *s, Value a, Value b)
{
    bool comparable = true;
    if (s->descending) {
        Value swap = a;
        a = b;
        b = swap;
    }
    if ((++s->compared & 0xFFF) == 0 && !s->failed && tensor_interrupted(vm_tensors(s->vm))) s->failed = true;
    if (a.tag == TAG_FLOAT && b.tag == TAG_FLOAT) return b.f < a.f;
    if (a.tag == TAG_INT && b.tag == TAG_INT) return b.i < a.i;
    if (s->failed) return false;
    int order = value_order(a, b, &comparable);
    if (!comparable) return no_order(s, a, b);
    return order > 0;
}

/* Stable: merges runs of doubling length between two arrays. Gives the one that is sorted. */
static Keyed *merge_sort(Sorting *s, Keyed *from, Keyed *to, int64_t n)
{
    for (int64_t run = 1; run < n && !s->failed; run *= 2) {
        for (int64_t low = 0; low < n && !s->failed; low += 2 * run) {
            int64_t middle = low + run < n ? low + run : n, high = low + 2 * run < n ? low + 2 * run : n;
            int64_t a = low, b = middle, at = low;
            if (b < high && swapped(s, from[b - 1].key, from[b].key)) {      /* else both halves stay as they are */
                while (a < middle && b < high) to[at++] = swapped(s, from[a].key, from[b].key) ? from[b++] : from[a++];
            }
            memcpy(to + at, from + a, (size_t)(middle - a) * sizeof *to);
            memcpy(to + at + (middle - a), from + b, (size_t)(high - b) * sizeof *to);
        }
        if (s->failed) break;                    /* [from] still has them all */
        Keyed *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* Fills [keyed]; how many, less than all after an error. The keys are owned if [key] makes them. */
static int64_t sort_keys(Vm *vm, const List *list, Value key, Keyed *keyed)
{
    for (int64_t i = 0; i < list->count; i++) {
        keyed[i].item = list->at[i];
        if (key.tag == TAG_NONE) keyed[i].key = list->at[i];
        else if (!vm_call(vm, key, 1, &list->at[i], 0, NULL, &keyed[i].key)) return i;
    }
    return list->count;
}

static bool sort_list(Vm *vm, Value list, Value key, bool descending, Value *result)
{
    int64_t n = list.list->count;
    Keyed *keyed = malloc(((size_t)n * 2 + 1) * sizeof *keyed);
    Value out = list_new(n);
    bool fine = (keyed && out.tag != TAG_UNDEFINED) || vm_out_of_memory(vm);
    int64_t made = fine ? sort_keys(vm, list.list, key, keyed) : 0;
    fine = fine && made == n;
    Keyed *sorted = keyed;
    if (fine) {
        Sorting sorting = {.vm = vm, .descending = descending};
        sorted = merge_sort(&sorting, keyed, keyed + n, n);
        fine = !sorting.failed;
    }
    for (int64_t i = 0; fine && i < n; i++) out.list->at[out.list->count++] = value_retain(sorted[i].item);
    for (int64_t i = 0; key.tag != TAG_NONE && i < made; i++) value_release(sorted[i].key);
    free(keyed);
    if (fine) *result = out;
    else value_release(out);
    return fine;
}

/* A row of ops.def of the same name does tensors. */
static bool by_op(Vm *vm, const char *name, int n_args, const Value *args, int n_named, const NamedValue *named,
                  Value *result)
{
    const OpDef *op = op_find(name);
    if (!op) return native_wants(vm, name, "xs", "a list", args[0]);
    return op_apply(vm, op, n_args, args, n_named, named, result);
}

bool native_sort(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_TENSOR) {
        NamedValue named[2] = {{"descending", args[2]}, {"axis", args[3]}};
        Value both;           /* the values and where they were */
        if (!by_op(vm, "sort", 1, args, 2, named, &both)) return false;
        *result = value_retain(both.list->at[0]);
        value_release(both);
        return true;
    }
    Value list;
    if (!native_collect(vm, args[0], &list)) return false;
    bool fine = sort_list(vm, list, args[1], args[2].b, result);
    value_release(list);
    return fine;
}

bool native_reverse(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_TENSOR) {
        Value flip[2] = {args[0], value_int(0)};
        return by_op(vm, "flip", 2, flip, 0, NULL, result);
    }
    Subscript s = {.slice = true, .start = VALUE_NONE, .stop = VALUE_NONE, .step = value_int(-1)};
    return index_get(vm, args[0], 1, &s, result);
}

/* ---- with functions ---- */

bool native_fold(Vm *vm, const Value *args, Value *result)
{
    Value iterator, item, sum = value_retain(args[1]);
    bool fine = vm_iterate(vm, args[0], &iterator);
    if (fine) {
        for (;;) {
            fine = vm_next(vm, iterator, &item);
            if (!fine || item.tag == TAG_DONE) break;
            Value two[2] = {sum, item}, next;
            fine = vm_call(vm, args[2], 2, two, 0, NULL, &next);
            value_release(item);
            if (!fine) break;
            value_set(&sum, next);
        }
        if (!fine) vm_iterate_close(vm, iterator);
        value_release(iterator);
    }
    if (fine) *result = sum;
    else value_release(sum);
    return fine;
}

bool native_count_of(Vm *vm, const Value *args, Value *result)
{
    Value list;
    int64_t n = 0;
    if (args[0].tag == TAG_STRING && args[1].tag == TAG_STRING && args[1].string->length) {
        const char *at = args[0].string->text;
        for (; (at = strstr(at, args[1].string->text)); at += args[1].string->length) n++;
        *result = value_int(n);
        return true;
    }
    if (!native_collect(vm, args[0], &list)) return false;
    for (int64_t i = 0; i < list.list->count; i++) n += value_equal(list.list->at[i], args[1]);
    value_release(list);
    *result = value_int(n);
    return true;
}

bool native__unique_items(Vm *vm, const Value *args, Value *result)
{
    Value list, seen = map_new();
    if (seen.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool fine = native_collect(vm, args[0], &list);
    if (fine) {
        Value out = list_new(0), old;
        fine = out.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
        for (int64_t i = 0; i < list.list->count && fine; i++) {
            Value item = list.list->at[i];
            fine = value_hashable(item) ||
                   native_unhashable(vm, "unique", "each item", item);
            if (!fine || map_get(seen.map, item, &old)) continue;
            fine = map_set_take(seen.map, item, VALUE_NONE) || vm_out_of_memory(vm);
            fine = fine && push(vm, &out, value_retain(item));
        }
        value_release(list);
        if (fine) *result = out;
        else value_release(out);
    }
    value_release(seen);
    return fine;
}
