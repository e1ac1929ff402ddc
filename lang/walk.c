/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking values that hold objects (walk.h). Lists, tuples, maps, fields and constructor arguments are looked into;
   functions are not: what a closure captured is no part of a model. */
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 1000

/* ---- a set of addresses ---- */

static size_t place(const PointerSet *set, const void *pointer)
{
    size_t at = ((uintptr_t)pointer >> 4) * (size_t)11400714819323198485u;
    at = (at ^ (at >> 29)) & (set->room - 1);
    while (set->slot[at] && set->slot[at] != pointer) at = (at + 1) & (set->room - 1);
    return at;
}

bool pointer_set_add(PointerSet *set, const void *pointer, bool *added)
{
    *added = false;
    if (set->count * 2 >= set->room) {
        PointerSet bigger = {.room = set->room ? set->room * 2 : 64};
        bigger.slot = calloc(bigger.room, sizeof *bigger.slot);
        if (!bigger.slot) return false;
        for (size_t i = 0; i < set->room; i++)
            if (set->slot[i]) bigger.slot[place(&bigger, set->slot[i])] = set->slot[i];
        bigger.count = set->count;
        free(set->slot);
        *set = bigger;
    }
    size_t at = place(set, pointer);
    if (set->slot[at]) return true;
    set->slot[at] = pointer;
    set->count++;
    *added = true;
    return true;
}

void pointer_set_free(PointerSet *set)
{
    free(set->slot);
    *set = (PointerSet){0};
}

/* ---- the walk ---- */

typedef struct Walk {
    Vm *vm;
    unsigned what;
    CellList *cells;          /* or NULL */
    WalkObject *visit;        /* or NULL */
    void *to;
    PointerSet seen;
    Text path;
    int depth;
} Walk;

static bool walk_value(Walk *walk, Value v);

/* Lengthens the path by a name; *before is the length to go back to. */
static bool enter(Walk *walk, const char *name, size_t *before)
{
    *before = walk->path.length;
    if (walk->depth >= DEPTH_LIMIT) return vm_fail(walk->vm, ERROR_recursion, "", "a value is nested too deeply");
    walk->depth++;
    if (walk->path.length) text_add(&walk->path, ".", 1);
    text_add(&walk->path, name, strlen(name));
    return walk->path.failed ? vm_out_of_memory(walk->vm) : true;
}

static void leave(Walk *walk, size_t before)
{
    walk->depth--;
    walk->path.length = before;
    if (walk->path.at) walk->path.at[before] = '\0';
}

static bool add_cell(Walk *walk, Object *object, int field)
{
    CellList *cells = walk->cells;
    if (cells->count == cells->room) {
        int room = cells->room ? cells->room * 2 : 16;
        Cell *at = realloc(cells->at, (size_t)room * sizeof *at);
        if (!at) return vm_out_of_memory(walk->vm);
        cells->at = at;
        cells->room = room;
    }
    char *path = strdup(walk->path.at);
    if (!path) return vm_out_of_memory(walk->vm);
    cells->at[cells->count++] = (Cell){object, field, path};
    return true;
}

static bool walk_field(Walk *walk, Object *object, int field)
{
    FieldKind kind = object_field_kind(object, field);
    if (kind == FIELD_PLAIN) return walk_value(walk, object->field[field]);
    if (!walk->cells || object->field[field].tag == TAG_NONE || object->field[field].tag == TAG_UNDEFINED) return true;
    if (!(walk->what & (kind == FIELD_PARAM ? WALK_PARAMS : WALK_BUFFERS))) return true;
    if (object->frozen && (walk->what & WALK_UNFROZEN)) return true;
    return add_cell(walk, object, field);
}

static bool walk_object(Walk *walk, Object *object)
{
    bool added;
    if (!pointer_set_add(&walk->seen, object, &added)) return vm_out_of_memory(walk->vm);
    if (!added) return true;
    if (walk->visit && !walk->visit(walk->vm, object, walk->to)) return false;
    for (int place = 0; place < object->n_fields; place++) {    /* declared fields name what arguments hold too */
        size_t before;
        int i = object_nth_field(object, place);
        bool fine = enter(walk, object_field_name(object, i), &before) && walk_field(walk, object, i);
        if (!fine) return false;
        leave(walk, before);
    }
    return true;
}

static bool walk_list(Walk *walk, const List *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        if (list->at[i].tag < TAG_LIST) continue;            /* most lists hold numbers */
        char name[24];
        size_t before;
        snprintf(name, sizeof name, "%lld", (long long)i);
        if (!enter(walk, name, &before) || !walk_value(walk, list->at[i])) return false;
        leave(walk, before);
    }
    return true;
}

static bool walk_map(Walk *walk, const Map *map)
{
    for (int64_t i = 0; i < map->used; i++) {
        Value key = map->entry[i].key;
        if (key.tag == TAG_UNDEFINED || map->entry[i].value.tag < TAG_LIST) continue;
        Text name = {0};
        size_t before;
        bool fine = value_print(walk->vm, key, &name) && enter(walk, name.at ? name.at : "", &before) &&
                    walk_value(walk, map->entry[i].value);
        text_free(&name);
        if (!fine) return false;
        leave(walk, before);
    }
    return true;
}

static bool walk_value(Walk *walk, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_OBJECT: return walk_object(walk, v.object);
    case TAG_LIST:
    case TAG_TUPLE: return walk_list(walk, v.list);
    case TAG_MAP: return walk_map(walk, v.map);
    default: return true;
    }
}

static bool run_walk(Walk *walk, Value root)
{
    bool fine = walk_value(walk, root);
    pointer_set_free(&walk->seen);
    text_free(&walk->path);
    return fine;
}

bool walk_cells(Vm *vm, Value root, unsigned what, CellList *cells)
{
    Walk walk = {.vm = vm, .what = what, .cells = cells};
    return run_walk(&walk, root);
}

bool walk_objects(Vm *vm, Value root, WalkObject *visit, void *to)
{
    Walk walk = {.vm = vm, .visit = visit, .to = to};
    return run_walk(&walk, root);
}

void cells_clear(CellList *cells)
{
    for (int i = 0; i < cells->count; i++) free(cells->at[i].path);
    free(cells->at);
    *cells = (CellList){0};
}
