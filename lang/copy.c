/* SPDX-License-Identifier: GPL-3.0-or-later */
/* copy(x): values with objects anew. Lists, maps and tensors need no copy, for nobody can see whether they are shared;
   only what leads to an object is made again. Two paths to one object lead to one new object. Functions are kept: what
   they captured belongs to them. */
#include <stdlib.h>
#include <string.h>

#include "builtins.h"
#include "heap.h"

#define DEPTH_LIMIT 1000

typedef struct Copying {
    Vm *vm;
    struct { const Object *old; Object *new; } *pair;
    size_t count, room;
    int depth;
} Copying;

static bool copy_value(Copying *c, Value v, Value *out);

static Object *known(const Copying *c, const Object *old)
{
    for (size_t i = c->count; i > 0; i--)
        if (c->pair[i - 1].old == old) return c->pair[i - 1].new;
    return NULL;
}

static bool remember(Copying *c, const Object *old, Object *new)
{
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 32;
        void *pair = realloc(c->pair, room * sizeof *c->pair);
        if (!pair) return vm_out_of_memory(c->vm);
        c->pair = pair;
        c->room = room;
    }
    c->pair[c->count].old = old;
    c->pair[c->count++].new = new;
    return true;
}

static bool copy_object(Copying *c, const Object *old, Value *out)
{
    Object *new = known(c, old);
    if (new) {
        *out = value_retain((Value){.tag = TAG_OBJECT, .object = new});
        return true;
    }
    new = heap_new(sizeof *new + (size_t)old->n_fields * sizeof(Value));
    if (!new) return vm_out_of_memory(c->vm);
    new->mode = old->mode;
    new->frozen = old->frozen;
    new->model = old->model;
    value_retain((Value){.tag = TAG_MODEL, .model = old->model});
    new->n_fields = old->n_fields;
    for (int i = 0; i < old->n_fields; i++) new->field[i] = VALUE_UNDEFINED;
    *out = (Value){.tag = TAG_OBJECT, .object = new};
    if (!remember(c, old, new)) return false;
    for (int i = 0; i < old->n_fields; i++)
        if (!copy_value(c, old->field[i], &new->field[i])) return false;
    return true;
}

/* A row whose items changed, or itself. */
static bool copy_row(Copying *c, Value v, Value *out)
{
    Value fresh = VALUE_UNDEFINED;
    for (int64_t i = 0; i < v.list->count; i++) {
        Value item = v.list->at[i], copied;
        if (item.tag < TAG_LIST) continue;
        bool fine = copy_value(c, item, &copied);
        if (fine && fresh.tag == TAG_UNDEFINED && copied.heap != item.heap) {
            fresh = value_retain(v);
            fine = list_own(&fresh).tag != TAG_UNDEFINED || vm_out_of_memory(c->vm);
        }
        if (fine && fresh.tag != TAG_UNDEFINED) value_set(&fresh.list->at[i], copied);
        else value_release(copied);
        if (!fine) {
            value_release(fresh);
            return false;
        }
    }
    *out = fresh.tag == TAG_UNDEFINED ? value_retain(v) : fresh;
    return true;
}

static bool copy_map(Copying *c, Value v, Value *out)
{
    Value fresh = VALUE_UNDEFINED;
    for (int64_t i = 0; i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        Value copied;
        if (entry->key.tag == TAG_UNDEFINED || entry->value.tag < TAG_LIST) continue;
        bool fine = copy_value(c, entry->value, &copied);
        if (fine && copied.heap != entry->value.heap) {
            if (fresh.tag == TAG_UNDEFINED) {
                fresh = value_retain(v);
                fine = map_own(&fresh).tag != TAG_UNDEFINED;
            }
            fine = fine && map_set_take(fresh.map, entry->key, copied);
            if (!fine) vm_out_of_memory(c->vm);
        } else {
            value_release(copied);
        }
        if (!fine) {
            value_release(fresh);
            return false;
        }
    }
    *out = fresh.tag == TAG_UNDEFINED ? value_retain(v) : fresh;
    return true;
}

/* On an error *out is UNDEFINED or a partial object that its holder releases. */
static bool copy_value(Copying *c, Value v, Value *out)
{
    *out = VALUE_UNDEFINED;
    if (c->depth >= DEPTH_LIMIT) return vm_fail(c->vm, ERROR_recursion, "copy", "the value is nested too deeply");
    c->depth++;
    bool fine = true;
    switch ((Tag)v.tag) {
    case TAG_OBJECT: fine = copy_object(c, v.object, out); break;
    case TAG_LIST:
    case TAG_TUPLE: fine = copy_row(c, v, out); break;
    case TAG_MAP: fine = copy_map(c, v, out); break;
    default: *out = value_retain(v); break;
    }
    c->depth--;
    return fine;
}

bool native_copy(Vm *vm, const Value *args, Value *result)
{
    Copying c = {.vm = vm};
    bool fine = copy_value(&c, args[0], result);
    if (!fine) value_set(result, VALUE_UNDEFINED);
    free(c.pair);
    return fine;
}
