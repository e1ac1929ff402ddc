/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map, filter, zip, take and their like: over lists and other values of known extent they give lists at once, over
   streams and objects with next() they give streams that draw one item at a time. Both come from one step function. */
#include <stdlib.h>

#include "bind.h"
#include "builtins.h"

typedef struct Lazy Lazy;
typedef bool LazyNext(Vm *vm, Lazy *lazy, Value *item);

struct Lazy {
    LazyNext *step;
    Value function;           /* or UNDEFINED */
    int64_t at, limit;
    bool ended;               /* what was drawn from has given `done`, which is still to be passed on */
    Value inner;              /* of flat: the item that is being gone through, or UNDEFINED */
    int count;
    Value from[];             /* iterators, owned */
};

static void lazy_free(Lazy *lazy)
{
    for (int i = 0; i < lazy->count; i++) value_release(lazy->from[i]);
    value_release(lazy->inner);
    value_release(lazy->function);
    free(lazy);
}

static void lazy_close(Vm *vm, Lazy *lazy)
{
    vm_iterate_close(vm, lazy->inner);
    for (int i = 0; i < lazy->count; i++) vm_iterate_close(vm, lazy->from[i]);
}

static bool stream_next(Vm *vm, Stream *s, Value *item)
{
    Lazy *lazy = s->state;
    return lazy->step(vm, lazy, item);
}

static void stream_close(Vm *vm, Stream *s) { lazy_close(vm, s->state); }
static void stream_free(Stream *s) { lazy_free(s->state); }

static const struct StreamKind lazy_kind = {"lazy", stream_next, stream_close, stream_free, NULL};

/* ---- steps ---- */

static bool step_map(Vm *vm, Lazy *lazy, Value *item)
{
    Value x;
    if (!vm_next(vm, lazy->from[0], &x)) return false;
    *item = x;
    if (x.tag == TAG_DONE) return true;
    bool fine = vm_call(vm, lazy->function, 1, &x, 0, NULL, item);
    value_release(x);
    return fine;
}

/* Whether f(item) is true. */
static bool holds(Vm *vm, Value f, const Value *item, bool *truth)
{
    Value verdict;
    if (!vm_call(vm, f, 1, item, 0, NULL, &verdict)) return false;
    bool fine = arith_truth(vm, verdict, truth);
    value_release(verdict);
    return fine;
}

static bool step_filter(Vm *vm, Lazy *lazy, Value *item)
{
    for (;;) {
        bool keep = false;
        if (!vm_next(vm, lazy->from[0], item)) return false;
        if (item->tag == TAG_DONE) return true;
        bool fine = holds(vm, lazy->function, item, &keep);
        if (fine && keep) return true;
        value_release(*item);
        if (!fine) return false;
    }
}

/* Ends with the shortest. */
static bool step_zip(Vm *vm, Lazy *lazy, Value *item)
{
    Value tuple = tuple_new(lazy->count);
    if (tuple.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    for (int i = 0; i < lazy->count; i++) {
        Value x;
        bool fine = vm_next(vm, lazy->from[i], &x);
        if (!fine || x.tag == TAG_DONE) {
            value_release(tuple);
            *item = VALUE_DONE;
            return fine;
        }
        tuple.list->at[i] = x;
    }
    *item = tuple;
    return true;
}

static bool step_enumerate(Vm *vm, Lazy *lazy, Value *item)
{
    Value x;
    if (!vm_next(vm, lazy->from[0], &x)) return false;
    *item = x;
    if (x.tag == TAG_DONE) return true;
    Value pair = tuple_new(2);
    if (pair.tag == TAG_UNDEFINED) {
        value_release(x);
        return vm_out_of_memory(vm);
    }
    pair.list->at[0] = value_int(lazy->at++);
    pair.list->at[1] = x;
    *item = pair;
    return true;
}

static bool step_take(Vm *vm, Lazy *lazy, Value *item)
{
    *item = VALUE_DONE;
    if (lazy->at >= lazy->limit) return true;
    lazy->at++;
    return vm_next(vm, lazy->from[0], item);
}

static bool step_take_while(Vm *vm, Lazy *lazy, Value *item)
{
    bool keep = false;
    *item = VALUE_DONE;
    if (lazy->ended) return true;
    if (!vm_next(vm, lazy->from[0], item)) return false;
    if (item->tag == TAG_DONE) return true;
    bool fine = holds(vm, lazy->function, item, &keep);
    if (fine && keep) return true;
    lazy->ended = true;
    value_set(item, VALUE_DONE);
    return fine;
}

static bool step_skip(Vm *vm, Lazy *lazy, Value *item)
{
    for (; lazy->at < lazy->limit; lazy->at++) {
        if (!vm_next(vm, lazy->from[0], item)) return false;
        if (item->tag == TAG_DONE) return true;
        value_release(*item);
    }
    return vm_next(vm, lazy->from[0], item);
}

/* Lists of [limit] items; the last may be shorter. */
static bool step_chunks(Vm *vm, Lazy *lazy, Value *item)
{
    *item = VALUE_DONE;
    if (lazy->ended) {
        lazy->ended = false;
        return true;
    }
    Value list = list_new(0), x;
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    while (fine && !lazy->ended && list.list->count < lazy->limit) {
        fine = vm_next(vm, lazy->from[0], &x);
        lazy->ended = fine && x.tag == TAG_DONE;
        if (fine && !lazy->ended) fine = list_push_take(list.list, x) || vm_out_of_memory(vm);
    }
    if (fine && list.list->count > 0) {
        *item = list;
        return true;
    }
    lazy->ended = false;
    value_release(list);
    return fine;
}

static bool step_flat(Vm *vm, Lazy *lazy, Value *item)
{
    for (;;) {
        if (lazy->inner.tag != TAG_UNDEFINED) {
            if (!vm_next(vm, lazy->inner, item)) return false;
            if (item->tag != TAG_DONE) return true;
            value_set(&lazy->inner, VALUE_UNDEFINED);
        }
        Value outer;
        if (!vm_next(vm, lazy->from[0], &outer)) return false;
        *item = outer;
        if (outer.tag == TAG_DONE) return true;
        bool fine = vm_iterate(vm, outer, &lazy->inner);
        value_release(outer);
        if (!fine) {
            lazy->inner = VALUE_UNDEFINED;
            return false;
        }
    }
}

/* ---- making them ---- */

static bool run_to_list(Vm *vm, Lazy *lazy, Value *result)
{
    Value list = list_new(0), item;
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    while (fine) {
        fine = !tensor_interrupted(vm_tensors(vm)) && lazy->step(vm, lazy, &item);
        if (!fine || item.tag == TAG_DONE) break;
        fine = list_push_take(list.list, item) || vm_out_of_memory(vm);
    }
    if (!fine) lazy_close(vm, lazy);
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

static bool lazy_over(Vm *vm, LazyNext *step, Value function, int64_t at, int64_t limit, int count,
                      const Value *sources, Value *result)
{
    Lazy *lazy = calloc(1, sizeof *lazy + (size_t)count * sizeof(Value));
    if (!lazy) return vm_out_of_memory(vm);
    *lazy = (Lazy){.step = step, .function = value_retain(function), .at = at, .limit = limit};
    bool stream = false;
    for (int i = 0; i < count; i++) {
        if (!vm_iterate(vm, sources[i], &lazy->from[i])) {
            lazy_free(lazy);
            return false;
        }
        lazy->count++;
        stream |= native_is_lazy(sources[i]);
    }
    if (stream) {
        Value v = stream_new_take(&lazy_kind, VALUE_UNDEFINED, lazy);
        if (v.tag == TAG_UNDEFINED) lazy_free(lazy);
        return native_give(vm, v, result);
    }
    bool fine = run_to_list(vm, lazy, result);
    lazy_free(lazy);
    return fine;
}

static bool add_pair(Vm *vm, Map *map, Value pair)
{
    if (!native_is_row(pair) || pair.list->count != 2) {
        return native_wants(vm, "map", "each item", "a (key, value) pair", pair);
    }
    Value key = pair.list->at[0];
    if (!value_hashable(key)) return native_unhashable(vm, "map", "a key", key);
    return map_set_take(map, key, value_retain(pair.list->at[1])) || vm_out_of_memory(vm);
}

/* map(pairs): a map from (key, value) pairs. */
static bool map_from_pairs(Vm *vm, Value pairs, Value *result)
{
    Value list, out;
    if (!native_collect(vm, pairs, &list)) return false;
    out = map_new();
    bool fine = out.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    for (int64_t i = 0; fine && i < list.list->count; i++) fine = add_pair(vm, out.map, list.list->at[i]);
    value_release(list);
    if (fine) *result = out;
    else value_release(out);
    return fine;
}

bool native_map(Vm *vm, const Value *args, Value *result)
{
    if (args[1].tag == TAG_NONE && args[0].tag == TAG_MAP) return native_give(vm, value_retain(args[0]), result);
    if (args[1].tag == TAG_NONE) return map_from_pairs(vm, args[0], result);
    if (!native_is_callable(args[1])) return native_wants(vm, "map", "f", "a function", args[1]);
    return lazy_over(vm, step_map, args[1], 0, 0, 1, args, result);
}

bool native_filter(Vm *vm, const Value *args, Value *result)
{
    if (!native_is_callable(args[1])) return native_wants(vm, "filter", "f", "a function", args[1]);
    return lazy_over(vm, step_filter, args[1], 0, 0, 1, args, result);
}

bool native_zip(Vm *vm, const Value *args, Value *result)
{
    const List *xs = args[0].list;
    if (xs->count == 0) return native_give(vm, list_new(0), result);
    return lazy_over(vm, step_zip, VALUE_UNDEFINED, 0, 0, (int)xs->count, xs->at, result);
}

bool native_enumerate(Vm *vm, const Value *args, Value *result)
{
    return lazy_over(vm, step_enumerate, VALUE_UNDEFINED, args[1].i, 0, 1, args, result);
}

bool native_take(Vm *vm, const Value *args, Value *result)
{
    int64_t n;
    if (args[0].tag == TAG_TENSOR && (args[1].tag == TAG_TENSOR || args[1].tag == TAG_LIST || args[2].tag != TAG_NONE))
        return vm_call_prelude(vm, "take_places", 3, args, result);
    if (!value_to_int(args[1], &n)) return native_wants(vm, "take", "n", "an int", args[1]);
    if (n < 0) return vm_fail(vm, ERROR_value, "take", "n must not be negative, got %lld", (long long)n);
    return lazy_over(vm, step_take, VALUE_UNDEFINED, 0, n, 1, args, result);
}

bool native_take_while(Vm *vm, const Value *args, Value *result)
{
    if (!native_is_callable(args[1])) return native_wants(vm, "take_while", "f", "a function", args[1]);
    return lazy_over(vm, step_take_while, args[1], 0, 0, 1, args, result);
}

bool native_skip(Vm *vm, const Value *args, Value *result)
{
    int64_t n = args[1].i;
    if (n < 0) return vm_fail(vm, ERROR_value, "skip", "n must not be negative, got %lld", (long long)n);
    return lazy_over(vm, step_skip, VALUE_UNDEFINED, 0, n, 1, args, result);
}

bool native_chunks(Vm *vm, const Value *args, Value *result)
{
    int64_t n = args[1].i;
    if (n < 1) return vm_fail(vm, ERROR_value, "chunks", "n must be at least 1, got %lld", (long long)n);
    return lazy_over(vm, step_chunks, VALUE_UNDEFINED, 0, n, 1, args, result);
}

bool native_flat(Vm *vm, const Value *args, Value *result)
{
    return lazy_over(vm, step_flat, VALUE_UNDEFINED, 0, 0, 1, args, result);
}

bool native_stream(Vm *vm, const Value *args, Value *result)
{
    return vm_iterate(vm, args[0], result);
}

/* ---- questions about all items ---- */

/* Whether f is [wanted] for some item; draws no more than it needs. */
static bool search(Vm *vm, const char *name, const Value *args, bool wanted, bool *found)
{
    Value iterator, item;
    *found = false;
    if (!native_is_callable(args[1])) return native_wants(vm, name, "f", "a function", args[1]);
    bool fine = vm_iterate(vm, args[0], &iterator);
    if (!fine) return false;
    while (!*found) {
        bool truth = false;
        fine = vm_next(vm, iterator, &item);
        if (!fine || item.tag == TAG_DONE) break;
        fine = holds(vm, args[1], &item, &truth);
        value_release(item);
        if (!fine) break;
        *found = truth == wanted;
    }
    if (!fine || *found) vm_iterate_close(vm, iterator);
    value_release(iterator);
    return fine;
}

bool native_any_of(Vm *vm, const Value *args, Value *result)
{
    bool found;
    if (!search(vm, "any_of", args, true, &found)) return false;
    *result = value_bool(found);
    return true;
}

bool native_all_of(Vm *vm, const Value *args, Value *result)
{
    bool found;
    if (!search(vm, "all_of", args, false, &found)) return false;
    *result = value_bool(!found);
    return true;
}

bool native_next(Vm *vm, const Value *args, Value *result)
{
    Value iterator;
    if (!native_is_lazy(args[0])) return native_wants(vm, "next", "s", "a stream", args[0]);
    if (!vm_iterate(vm, args[0], &iterator)) return false;
    bool fine = vm_next(vm, iterator, result);
    value_release(iterator);
    return fine;
}
