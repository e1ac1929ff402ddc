/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of a value (state.h): cells, and plain fields that hold data. Objects are met once, under their first path;
   constructor parameters are no state, but objects in them are; functions are code and are left out.

   One walk serves gathering, checking and restoring, so that the three agree about paths. */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "builtins.h"
#include "notation.h"
#include "suggest.h"
#include "walk.h"

#define DEPTH_LIMIT 1000

typedef enum Mode { GATHER, CHECK, RESTORE } Mode;

typedef struct State {
    Vm *vm;
    const char *function;
    Mode mode;
    Value gathered;           /* GATHER: a map */
    const Map *given;         /* CHECK and RESTORE */
    int64_t used;             /* entries of [given] that were asked for */
    bool has_objects;
    PointerSet seen;
    Text path;
    int depth;
} State;

static bool state_value(State *s, Value v, Value *out);

static bool enter(State *s, const char *name, size_t *before)
{
    *before = s->path.length;
    if (++s->depth > DEPTH_LIMIT) return vm_fail(s->vm, ERROR_recursion, s->function, "the value is nested too deeply");
    if (s->path.length) text_add(&s->path, ".", 1);
    text_add(&s->path, name, strlen(name));
    return !s->path.failed || vm_out_of_memory(s->vm);
}

static void leave(State *s, size_t before)
{
    s->depth--;
    s->path.length = before;
    if (s->path.at) s->path.at[before] = '\0';
}

static const char *path_of(const State *s)
{
    return s->path.length ? s->path.at : "value";
}

static bool missing(State *s)
{
    return vm_fail(s->vm, ERROR_key, s->function, "there is no value for %s", path_of(s));
}

static bool differs(State *s, Value want, Value have)
{
    char wanted[128], found[128];
    value_describe(want, wanted, sizeof wanted);
    value_describe(have, found, sizeof found);
    return vm_fail(s->vm, ERROR_shape, s->function, "%s is %s, the value for it %s", path_of(s), wanted, found);
}

/* A cell takes values of its own dtype and shape only. */
static bool fits_cell(Value cell, Value v)
{
    char a[128], b[128];
    value_describe(cell, a, sizeof a);
    value_describe(v, b, sizeof b);
    return strcmp(a, b) == 0;
}

/* A piece of data at the present path; [cell]: of a param or buffer. *out is what belongs there, owned. */
static bool leaf(State *s, Value v, bool cell, Value *out)
{
    *out = value_retain(v);
    if (s->mode == GATHER) {
        Value key = string_from(path_of(s));
        bool fine = key.tag != TAG_UNDEFINED && map_set_take(s->gathered.map, key, value_retain(v));
        value_release(key);
        if (!fine) value_release(v);
        return fine || vm_out_of_memory(s->vm);
    }
    Value given;
    bool fine = map_get_text(s->given, path_of(s), &given) || missing(s);
    fine = fine && (!cell || fits_cell(v, given) || differs(s, v, given));
    if (!fine) {
        value_release(*out);
        return false;
    }
    s->used++;
    value_set(out, value_retain(given));
    return true;
}

static bool has_object(Value v, int depth)
{
    if (v.tag == TAG_OBJECT) return true;
    if (depth > DEPTH_LIMIT) return false;
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++)
            if (v.list->at[i].tag >= TAG_LIST && has_object(v.list->at[i], depth + 1)) return true;
    } else if (v.tag == TAG_MAP) {
        for (int64_t i = 0; i < v.map->used; i++)
            if (v.map->entry[i].key.tag != TAG_UNDEFINED && has_object(v.map->entry[i].value, depth + 1)) return true;
    }
    return false;
}

static bool state_field(State *s, Object *object, int field)
{
    Value v = object->field[field], out;
    bool cell = object_field_kind(object, field) != FIELD_PLAIN;
    size_t before;
    if (v.tag == TAG_UNDEFINED) return true;
    if (!cell && object_field_hidden(object, field) && !has_object(v, 0)) return true;
    if (!enter(s, object_field_name(object, field), &before)) return false;
    bool fine = cell ? leaf(s, v, true, &out) : state_value(s, v, &out);
    if (!fine) return false;
    bool changed = s->mode == RESTORE && v.tag != TAG_OBJECT && !(out.tag == v.tag && out.heap == v.heap);
    if (changed) fine = object_store_take(s->vm, object, field, out);
    else value_release(out);
    leave(s, before);
    return fine;
}

static bool state_object(State *s, Object *object)
{
    bool added;
    s->has_objects = true;
    if (!pointer_set_add(&s->seen, object, &added)) return vm_out_of_memory(s->vm);
    for (int place = 0; place < object->n_fields && added; place++)
        if (!state_field(s, object, object_nth_field(object, place))) return false;
    return true;
}

/* A container that holds more than data, item by item; *out is a copy where items changed. */
static bool state_row(State *s, Value v, Value *out)
{
    *out = value_retain(v);
    for (int64_t i = 0; i < v.list->count; i++) {
        char name[24];
        size_t before;
        Value item;
        snprintf(name, sizeof name, "%lld", (long long)i);
        bool fine = enter(s, name, &before) && state_value(s, v.list->at[i], &item);
        if (fine && s->mode == RESTORE && item.tag != TAG_OBJECT) {
            fine = list_own(out).tag != TAG_UNDEFINED || vm_out_of_memory(s->vm);
            if (fine) value_set(&out->list->at[i], item);
            else value_release(item);
        } else if (fine) {
            value_release(item);
        }
        if (!fine) {
            value_release(*out);
            return false;
        }
        leave(s, before);
    }
    return true;
}

static bool state_map(State *s, Value v, Value *out)
{
    *out = value_retain(v);
    for (int64_t i = 0; i < v.map->used; i++) {
        Value key = v.map->entry[i].key, item;
        Text name = {0};
        size_t before;
        if (key.tag == TAG_UNDEFINED) continue;
        bool fine = value_print(s->vm, key, &name) && enter(s, name.at ? name.at : "", &before) &&
                    state_value(s, v.map->entry[i].value, &item);
        text_free(&name);
        if (fine && s->mode == RESTORE && item.tag != TAG_OBJECT) {
            fine = map_own(out).tag != TAG_UNDEFINED && map_set_take(out->map, key, item);
            if (!fine) vm_out_of_memory(s->vm);
        } else if (fine) {
            value_release(item);
        }
        if (!fine) {
            value_release(*out);
            return false;
        }
        leave(s, before);
    }
    return true;
}

static bool state_value(State *s, Value v, Value *out)
{
    bool top = s->path.length == 0 && v.tag == TAG_MAP;      /* the entries of a map given as it is have own names */
    if (!top && notation_is_data(v)) return leaf(s, v, false, out);
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE: return state_row(s, v, out);
    case TAG_MAP: return state_map(s, v, out);
    case TAG_OBJECT:
        *out = value_retain(v);
        if (state_object(s, v.object)) return true;
        value_release(v);
        return false;
    default: *out = value_retain(v); return true;            /* functions, modules, streams: no state */
    }
}

static bool walk(State *s, Value root, Value *out)
{
    bool fine = state_value(s, root, out);
    pointer_set_free(&s->seen);
    text_free(&s->path);
    s->depth = 0;
    return fine;
}

bool state_gather(Vm *vm, Value root, Value *map, bool *has_objects)
{
    State s = {.vm = vm, .function = "state", .mode = GATHER, .gathered = map_new()};
    Value same;
    if (s.gathered.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    if (!walk(&s, root, &same)) {
        value_release(s.gathered);
        return false;
    }
    value_release(same);
    *map = s.gathered;
    *has_objects = s.has_objects;
    return true;
}

/* The first entry that nothing asked for. */
static bool left_over(Vm *vm, const char *function, Value root, const Map *given)
{
    Value own;
    bool objects;
    if (!state_gather(vm, root, &own, &objects)) return false;
    for (int64_t i = 0; i < given->used; i++) {
        Value key = given->entry[i].key, found;
        if (key.tag == TAG_UNDEFINED || map_get(own.map, key, &found)) continue;
        vm_fail(vm, ERROR_key, function, "nothing is called %.200s", key.tag == TAG_STRING ? key.string->text : "so");
        if (key.tag != TAG_STRING) break;
        Suggest suggest;
        suggest_start(&suggest, key.string->text);
        for (int64_t k = 0; k < own.map->used; k++) suggest_offer(&suggest, own.map->entry[k].key.string->text);
        if (suggest.best) error_hint(&vm_tensors(vm)->error, "the nearest name is %.150s", suggest.best);
        break;
    }
    value_release(own);
    return false;
}

bool state_restore(Vm *vm, const char *function, Value root, const Map *map, Value *result)
{
    State s = {.vm = vm, .function = function, .mode = CHECK, .given = map};
    Value same;
    if (!walk(&s, root, &same)) return false;
    value_release(same);
    if (s.used != map->count) return left_over(vm, function, root, map);
    s.mode = RESTORE;
    return walk(&s, root, result);
}

bool native_state(Vm *vm, const Value *args, Value *result)
{
    bool objects;
    return state_gather(vm, args[0], result, &objects);
}

bool native_set_state(Vm *vm, const Value *args, Value *result)
{
    if (args[1].tag != TAG_MAP) return native_wants(vm, "set_state", "map", "a map as state(x) gives it", args[1]);
    return state_restore(vm, "set_state", args[0], args[1].map, result);
}
