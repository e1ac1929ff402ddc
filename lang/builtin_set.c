/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets, which are maps without values, and counting, which makes maps. Nothing here changes what it was given, but
   set_extend its slot. */
#include "arith.h"
#include "bridge.h"
#include "builtins.h"

static bool add_item(Vm *vm, const char *function, Map *map, Value item)
{
    if (!value_hashable(item)) return native_unhashable(vm, function, "each item", item);
    return map_set_take(map, item, VALUE_NONE) || vm_out_of_memory(vm);
}

/* Adds what an iterator gives. */
static bool add_items(Vm *vm, const char *function, Map *map, Value items)
{
    Value iterator, item;
    bool fine = vm_iterate(vm, items, &iterator);
    if (!fine) return false;
    for (;;) {
        fine = vm_next(vm, iterator, &item);
        if (!fine || item.tag == TAG_DONE) break;
        fine = add_item(vm, function, map, item);
        value_release(item);
        if (!fine) break;
    }
    if (!fine) vm_iterate_close(vm, iterator);
    value_release(iterator);
    return fine;
}

bool set_extend(Vm *vm, const char *function, Value *slot, Value items)
{
    for (int64_t i = 0; native_is_row(items) && i < items.list->count; i++)      /* all of them or none */
        if (!value_hashable(items.list->at[i])) return native_unhashable(vm, function, "each item", items.list->at[i]);
    if (map_own(slot).tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    return add_items(vm, function, slot->map, items);
}

/* A new set of the items of anything that `for` takes. */
static bool set_of(Vm *vm, const char *function, Value items, Value *result)
{
    *result = set_new();
    if (result->tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    if (add_items(vm, function, result->map, items)) return true;
    value_set(result, VALUE_UNDEFINED);
    return false;
}

/* [items] as a set: itself, or one made of it. */
static bool as_set(Vm *vm, const char *function, Value items, Value *result)
{
    if (items.tag != TAG_SET) return set_of(vm, function, items, result);
    *result = value_retain(items);
    return true;
}

bool native_set(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_NONE) return native_give(vm, set_new(), result);
    return as_set(vm, "set", args[0], result);
}

bool native_union(Vm *vm, const Value *args, Value *result)
{
    if (!as_set(vm, "union", args[0], result)) return false;
    if (set_extend(vm, "union", result, args[1])) return true;
    value_set(result, VALUE_UNDEFINED);
    return false;
}

/* The items of [a] that are in [b], or that are not. */
static bool choose(Vm *vm, const char *function, const Value *args, bool inside, Value *result)
{
    Value a, b, ignored;
    if (!as_set(vm, function, args[0], &a)) return false;
    bool fine = as_set(vm, function, args[1], &b);
    if (fine) {
        *result = set_new();
        fine = result->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
        for (int64_t i = 0; fine && i < a.map->used; i++) {
            Value item = a.map->entry[i].key;
            if (item.tag == TAG_UNDEFINED || map_get(b.map, item, &ignored) != inside) continue;
            fine = map_set_take(result->map, item, VALUE_NONE) || vm_out_of_memory(vm);
        }
        if (!fine) value_set(result, VALUE_UNDEFINED);
        value_release(b);
    }
    value_release(a);
    return fine;
}

bool native_intersection(Vm *vm, const Value *args, Value *result)
{
    return choose(vm, "intersection", args, true, result);
}

bool native_difference(Vm *vm, const Value *args, Value *result)
{
    return choose(vm, "difference", args, false, result);
}

bool native_is_subset(Vm *vm, const Value *args, Value *result)
{
    Value left;
    if (!choose(vm, "is_subset", args, false, &left)) return false;
    *result = value_bool(left.map->count == 0);
    value_release(left);
    return true;
}

/* ---- counting ---- */

static bool count_item(Vm *vm, Map *map, Value item)
{
    Value *n = map_slot(map, item);
    if (n) {
        n->i++;
        return true;
    }
    if (!value_hashable(item)) return native_unhashable(vm, "counts", "each item", item);
    return map_set_take(map, item, value_int(1)) || vm_out_of_memory(vm);
}

bool native_counts(Vm *vm, const Value *args, Value *result)
{
    Value map = map_new(), iterator, item;
    if (map.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool fine = vm_iterate(vm, args[0], &iterator);
    if (fine) {
        for (;;) {
            fine = vm_next(vm, iterator, &item);
            if (!fine || item.tag == TAG_DONE) break;
            fine = count_item(vm, map.map, item);
            value_release(item);
            if (!fine) break;
        }
        if (!fine) vm_iterate_close(vm, iterator);
        value_release(iterator);
    }
    if (fine) *result = map;
    else value_release(map);
    return fine;
}
