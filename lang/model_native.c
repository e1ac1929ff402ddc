/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives about models and other objects: their cells by path, freezing, and the mode of training. */
#include <stdlib.h>
#include <string.h>

#include "builtins.h"
#include "suggest.h"
#include "walk.h"

static bool cells_map(Vm *vm, Value root, unsigned what, Value *result)
{
    CellList cells = {0};
    Value map = map_new();
    bool fine = (map.tag != TAG_UNDEFINED || vm_out_of_memory(vm)) && walk_cells(vm, root, what, &cells);
    for (int i = 0; fine && i < cells.count; i++) {
        Value key = string_from(cells.at[i].path);
        Value cell = cells.at[i].object->field[cells.at[i].field];
        fine = (key.tag != TAG_UNDEFINED && map_set_take(map.map, key, value_retain(cell))) || vm_out_of_memory(vm);
        value_release(key);
    }
    cells_clear(&cells);
    if (fine) *result = map;
    else value_release(map);
    return fine;
}

static bool needs_model(Vm *vm, const char *function, Value v)
{
    bool fine = v.tag == TAG_OBJECT || v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_MAP;
    return fine || native_wants(vm, function, "net", "a model", v);
}

bool native_params(Vm *vm, const Value *args, Value *result)
{
    return needs_model(vm, "params", args[0]) && cells_map(vm, args[0], WALK_PARAMS, result);
}

bool native_buffers(Vm *vm, const Value *args, Value *result)
{
    return needs_model(vm, "buffers", args[0]) && cells_map(vm, args[0], WALK_BUFFERS, result);
}

bool native_param_count(Vm *vm, const Value *args, Value *result)
{
    CellList cells = {0};
    int64_t n = 0;
    bool fine = needs_model(vm, "param_count", args[0]) && walk_cells(vm, args[0], WALK_PARAMS, &cells);
    for (int i = 0; i < cells.count; i++) {
        Value v = cells.at[i].object->field[cells.at[i].field];
        n += v.tag == TAG_TENSOR ? tensor_size(v.tensor) : 1;
    }
    cells_clear(&cells);
    *result = value_int(n);
    return fine;
}

/* ---- assign ---- */

static bool unknown_cell(Vm *vm, const char *function, const char *path, const CellList *cells)
{
    Suggest suggest;
    suggest_start(&suggest, path);
    for (int i = 0; i < cells->count; i++) suggest_offer(&suggest, cells->at[i].path);
    vm_fail(vm, ERROR_key, function, "the model has no parameter or buffer %s", path);
    suggest_hint(&suggest, &vm_tensors(vm)->error);
    return false;
}

static bool no_value(Vm *vm, const char *function, const char *path, const Map *map)
{
    Suggest suggest;
    suggest_start(&suggest, path);
    for (int64_t i = 0; i < map->used; i++)
        if (map->entry[i].key.tag == TAG_STRING) suggest_offer(&suggest, map->entry[i].key.string->text);
    vm_fail(vm, ERROR_key, function, "the map has no value for parameter %s", path);
    if (suggest.best) error_hint(&vm_tensors(vm)->error, "the nearest name in the map is %.100s", suggest.best);
    return false;
}

/* Every name known, every cell of the first [n_required] given, every dtype and shape right. */
static bool check_assignment(Vm *vm, const char *function, const CellList *cells, int n_required, const Map *map)
{
    Value v;
    int64_t used = 0;
    for (int i = 0; i < cells->count; i++) {
        const Cell *cell = &cells->at[i];
        if (!map_get_text(map, cell->path, &v)) {
            if (i >= n_required) continue;
            return no_value(vm, function, cell->path, map);
        }
        used++;
        char have[128], want[128];
        value_describe(v, have, sizeof have);
        value_describe(cell->object->field[cell->field], want, sizeof want);
        bool number = v.tag == TAG_INT || v.tag == TAG_FLOAT;
        if (!number && strcmp(have, want) != 0) {
            return vm_fail(vm, ERROR_shape, function, "%s is %s, the value for it %s", cell->path, want, have);
        }
    }
    if (used == map->count) return true;
    for (int64_t i = 0; i < map->used; i++) {
        Value key = map->entry[i].key;
        bool known = key.tag == TAG_UNDEFINED;
        for (int k = 0; k < cells->count && !known; k++) {
            known = key.tag == TAG_STRING && strcmp(key.string->text, cells->at[k].path) == 0;
        }
        if (!known) return unknown_cell(vm, function, key.tag == TAG_STRING ? key.string->text : "(no string)", cells);
    }
    return true;
}

bool native_assign(Vm *vm, const Value *args, Value *result)
{
    CellList cells = {0};
    *result = VALUE_NONE;
    if (!needs_model(vm, "assign", args[0])) return false;
    if (args[1].tag != TAG_MAP) return native_wants(vm, "assign", "map", "a map from path to value", args[1]);
    bool fine = walk_cells(vm, args[0], WALK_PARAMS, &cells);
    int n_params = cells.count;
    fine = fine && walk_cells(vm, args[0], WALK_BUFFERS, &cells);
    fine = fine && check_assignment(vm, "assign", &cells, n_params, args[1].map);
    for (int i = 0; fine && i < cells.count; i++) {
        Value v;
        if (!map_get_text(args[1].map, cells.at[i].path, &v)) continue;
        fine = object_store_take(vm, cells.at[i].object, cells.at[i].field, value_retain(v));
    }
    cells_clear(&cells);
    return fine;
}

/* A copy of the model whose cells hold the map's values as they are, gradients included; others keep their own. */
static void replace_cells(const CellList *cells, const Map *map)
{
    for (int i = 0; i < cells->count; i++) {
        Value v;
        if (!map_get_text(map, cells->at[i].path, &v)) continue;
        value_set(&cells->at[i].object->field[cells->at[i].field], value_retain(v));
    }
}

bool native_with_params(Vm *vm, const Value *args, Value *result)
{
    CellList cells = {0};
    if (!needs_model(vm, "with_params", args[0])) return false;
    if (args[1].tag != TAG_MAP) return native_wants(vm, "with_params", "map", "a map from path to value", args[1]);
    if (!native_copy(vm, args, result)) return false;
    bool fine = walk_cells(vm, *result, WALK_PARAMS | WALK_BUFFERS, &cells) &&
                check_assignment(vm, "with_params", &cells, 0, args[1].map);
    if (fine) replace_cells(&cells, args[1].map);
    cells_clear(&cells);
    if (!fine) value_set(result, VALUE_UNDEFINED);
    return fine;
}

/* ---- freezing and modes ---- */

static bool set_frozen(Vm *vm, Object *object, void *to)
{
    (void)vm;
    object->frozen = *(const uint8_t *)to;
    return true;
}

static bool set_mode(Vm *vm, Object *object, void *to)
{
    (void)vm;
    object->mode = *(const uint8_t *)to;
    return true;
}

static bool over_objects(Vm *vm, const char *function, WalkObject *visit, uint8_t to, Value net, Value *result)
{
    *result = VALUE_NONE;
    return needs_model(vm, function, net) && walk_objects(vm, net, visit, &to);
}

bool native_freeze(Vm *vm, const Value *args, Value *result)
{
    return over_objects(vm, "freeze", set_frozen, 1, args[0], result);
}

bool native_unfreeze(Vm *vm, const Value *args, Value *result)
{
    return over_objects(vm, "unfreeze", set_frozen, 0, args[0], result);
}

bool native_train(Vm *vm, const Value *args, Value *result)
{
    return over_objects(vm, "train", set_mode, 1, args[0], result);
}

bool native_eval(Vm *vm, const Value *args, Value *result)
{
    return over_objects(vm, "eval", set_mode, 2, args[0], result);
}

bool native_auto(Vm *vm, const Value *args, Value *result)
{
    return over_objects(vm, "auto", set_mode, 0, args[0], result);
}

bool native_training(Vm *vm, const Value *args, Value *result)
{
    uint8_t mode = args[0].tag == TAG_OBJECT ? args[0].object->mode : 0;
    *result = value_bool(mode ? mode == 1 : vm_training(vm));
    return true;
}
