/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What optimisers do to all parameters of a model at once: a step, adding up gradients, moving towards another model.
   The sweeps are tensor/op_optim.c's; here is who holds which tensor. Invariant: containers are made unshared and
   everything is allocated first, so that after a sweep only pointers are stored, which cannot fail. */
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "bridge.h"
#include "builtins.h"
#include "walk.h"

/* Updates, and where their results go. */
typedef struct Sweep {
    Vm *vm;
    int n;
    Update *update;
    Value *(*slot)[UPDATE_OUT];
    Tensor **made;            /* tensors made of numbers, owned */
    int n_made;
    const char **path;        /* of each update, borrowed */
    bool cells;               /* the first result goes into a cell, which holds tensors of no axis too */
} Sweep;

static bool sweep_init(Sweep *s, Vm *vm, int64_t room)
{
    size_t n = (size_t)(room > 0 ? room : 1);
    *s = (Sweep){.vm = vm, .update = calloc(n, sizeof *s->update), .slot = calloc(n, sizeof *s->slot),
                 .made = calloc(n * UPDATE_IN, sizeof *s->made), .path = calloc(n, sizeof *s->path)};
    return (s->update && s->slot && s->made && s->path) || vm_out_of_memory(vm);
}

static void sweep_clear(Sweep *s)
{
    for (int i = 0; i < s->n_made; i++) tensor_release(s->made[i]);
    free(s->update);
    free(s->slot);
    free(s->made);
    free(s->path);
}

/* The tensor of [v], borrowed: its count stays what it was. */
static Tensor *borrow(Sweep *s, Value v)
{
    if (v.tag == TAG_TENSOR) return v.tensor;
    Tensor *tensor = value_to_tensor(vm_tensors(s->vm), v);
    if (tensor) s->made[s->n_made++] = tensor;
    return tensor;
}

/* Stores the results where they belong. */
static void commit(Sweep *s)
{
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < UPDATE_OUT; k++) {
            Tensor *out = s->update[i].out[k];
            Value *slot = s->slot[i][k];
            if (!out) continue;
            bool cell = k == 0 && s->cells;
            value_set(slot, cell ? (Value){.tag = TAG_TENSOR, .tensor = out} : value_from_tensor_take(out));
        }
}

static double number(Value v) { return v.tag == TAG_INT ? (double)v.i : v.f; }

/* ---- cells ---- */

/* The cell of [path]; a model's are mostly asked for in their order, which *next remembers. */
static Cell *find_cell(const CellList *cells, const char *path, int *next)
{
    for (int i = 0; i < cells->count; i++) {
        int at = (*next + i) % cells->count;
        if (strcmp(cells->at[at].path, path) != 0) continue;
        *next = at + 1;
        return &cells->at[at];
    }
    return NULL;
}

/* Adds an update of the cell by [value], which is its gradient or what it moves towards. */
static bool add_cell(Sweep *s, const CellList *cells, int *next, Value key, Value value)
{
    TensorContext *ctx = vm_tensors(s->vm);
    Cell *cell = key.tag == TAG_STRING ? find_cell(cells, key.string->text, next) : NULL;
    if (!cell) {
        char described[96];
        value_describe(key, described, sizeof described);
        return vm_fail(s->vm, ERROR_key, "update", "the model has no parameter %s",
                       key.tag == TAG_STRING ? key.string->text : described);
    }
    Value *slot = &cell->object->field[cell->field];
    Update *update = &s->update[s->n];
    update->in[0] = slot->tensor;
    update->in[1] = borrow(s, value);
    if (!update->in[1]) return false;
    if (ctx->meta && !slot->tensor->meta)
        return vm_fail(s->vm, ERROR_value, "update", "%s is stored into here, and only shapes are being computed",
                       cell->path);
    update->own[0] = true;
    s->slot[s->n][0] = slot;
    s->path[s->n++] = cell->path;
    return true;
}

/* An update for every entry of [map]. */
static bool add_cells(Sweep *s, const CellList *cells, const Map *map)
{
    int next = 0;
    s->cells = true;
    for (int64_t i = 0; i < map->used; i++) {
        if (map->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (!add_cell(s, cells, &next, map->entry[i].key, map->entry[i].value)) return false;
    }
    return true;
}

/* ---- states ---- */

/* What an optimiser keeps: a map from path to a tuple of tensors in the object's field, unshared, with room for new
   ones, which wait in [fresh] until the sweep is done. */
typedef struct Memory {
    Value *field;
    Value *fresh;             /* owned tuples; UNDEFINED where the map has one */
} Memory;

static Value zero_state(Vm *vm, const Tensor *p, int slots)
{
    Value tuple = tuple_new(slots);
    for (int k = 0; k < slots && tuple.tag == TAG_TUPLE; k++) {
        Tensor *zeros = tensor_zeros(vm_tensors(vm), (Dtype)p->dtype, p->ndim, p->shape);
        if (zeros) {
            value_set(&tuple.list->at[k], value_from_tensor_take(zeros));
            continue;
        }
        value_release(tuple);
        return VALUE_UNDEFINED;
    }
    if (tuple.tag == TAG_UNDEFINED) vm_out_of_memory(vm);
    return tuple;
}

/* Adds the state of the parameter of [key] to the [at]th update. */
static bool add_state(Sweep *s, Memory *memory, Value key, int at, int slots)
{
    Value *state = map_slot(memory->field->map, key);
    if (!state) {
        state = &memory->fresh[at];
        *state = zero_state(s->vm, s->update[at].in[0], slots);
        if (state->tag == TAG_UNDEFINED) return false;
    }
    if (!native_is_row(*state) || state->list->count != slots)
        return vm_fail(s->vm, ERROR_value, "update", "the memory of %s must hold %d tensors", s->path[at], slots);
    if (list_own(state).tag == TAG_UNDEFINED) return vm_out_of_memory(s->vm);
    for (int k = 1; k <= slots; k++) {
        Value *slot = &state->list->at[k - 1];
        s->update[at].in[k + 1] = borrow(s, *slot);
        if (!s->update[at].in[k + 1]) return false;
        s->update[at].own[k] = true;
        s->slot[at][k] = slot;
    }
    return true;
}

static bool add_states(Sweep *s, Memory *memory, const Map *gradients, int slots)
{
    int at = 0;
    if (memory->field->tag != TAG_MAP) return native_wants(s->vm, "update", "memory", "a map", *memory->field);
    memory->fresh = calloc((size_t)s->n + 1, sizeof *memory->fresh);
    if (!memory->fresh || map_own(memory->field).tag == TAG_UNDEFINED || !map_reserve(memory->field->map, s->n))
        return vm_out_of_memory(s->vm);
    for (int64_t i = 0; i < gradients->used; i++)
        if (gradients->entry[i].key.tag != TAG_UNDEFINED &&
            !add_state(s, memory, gradients->entry[i].key, at++, slots))
            return false;
    return true;
}

static void keep_fresh(Memory *memory, const Map *gradients)
{
    int at = 0;
    for (int64_t i = 0; i < gradients->used; i++) {
        Value key = gradients->entry[i].key;
        if (key.tag == TAG_UNDEFINED) continue;
        if (memory->fresh[at].tag != TAG_UNDEFINED) map_set_take(memory->field->map, key, memory->fresh[at]);
        memory->fresh[at++] = VALUE_UNDEFINED;
    }
}

static void memory_clear(Memory *memory, int n)
{
    for (int i = 0; memory->fresh && i < n; i++) value_release(memory->fresh[i]);
    free(memory->fresh);
}

/* ---- a step ---- */

/* The numbers of the rule, by name in [settings]; the tensors of the first update stand for those of all. */
static bool rule_numbers(Sweep *s, const OpDef *rule, const Map *settings, Attr *attr)
{
    NamedValue named[SIGNATURE_MAX];
    Value tensors[UPDATE_IN];
    int n_named = 0, n = update_slots(rule) + 2;
    for (int i = 0; i < n; i++) tensors[i] = value_int(0);
    for (int64_t i = 0; i < settings->used && n_named < SIGNATURE_MAX; i++)
        if (settings->entry[i].key.tag == TAG_STRING)
            named[n_named++] = (NamedValue){settings->entry[i].key.string->text, settings->entry[i].value};
    return op_numbers(s->vm, rule, n, tensors, n_named, named, attr);
}

static bool run_step(Sweep *s, const OpDef *rule, const Attr *attr, double gradient)
{
    int at = -1;
    if (update_all(vm_tensors(s->vm), rule, attr, gradient, s->n, s->update, &at)) return true;
    if (at >= 0) error_hint(&vm_tensors(s->vm)->error, "p is the parameter %s", s->path[at]);
    return false;
}

static Value *field_of(Vm *vm, Value object, const char *name)
{
    int index = object.tag == TAG_OBJECT ? object_find_field(object.object, name) : -1;
    if (index >= 0) return &object.object->field[index];
    vm_fail(vm, ERROR_type, "update", "an optimiser with a field %s is wanted", name);
    return NULL;
}

/* The fields of an optimiser (nn/optim/optimizer.tsr) that a step changes. */
typedef struct Fields { Value *net, *memory, *steps, *pending; } Fields;

static bool fields_of(Vm *vm, Value optimiser, Fields *fields)
{
    *fields = (Fields){field_of(vm, optimiser, "net"), field_of(vm, optimiser, "memory"),
                       field_of(vm, optimiser, "steps"), field_of(vm, optimiser, "pending")};
    return fields->net && fields->memory && fields->steps && fields->pending;
}

/* What was accumulated is used up by the step that it makes. */
static void count_step(Fields *fields, Value gradients)
{
    if (fields->steps->tag == TAG_INT) fields->steps->i++;
    bool accumulated = fields->pending->tag == TAG_MAP && fields->pending->map == gradients.map;
    if (accumulated) value_set(fields->pending, VALUE_NONE);
}

static const OpDef *rule_of(Vm *vm, Value v)
{
    const OpDef *rule = v.tag == TAG_FUNCTION ? function_op(v) : NULL;
    if (rule && update_slots(rule) >= 0) return rule;
    native_wants(vm, "update", "rule", "an update rule such as sgd_update", v);
    return NULL;
}

/* _update(optimiser, gradients, rule, settings, gradient) */
bool native__update(Vm *vm, const Value *args, Value *result)
{
    Fields fields;
    const OpDef *rule;
    *result = VALUE_NONE;
    if (!fields_of(vm, args[0], &fields) || !(rule = rule_of(vm, args[2]))) return false;
    if (args[1].tag != TAG_MAP) return native_wants(vm, "update", "gradients", "a map from path to gradient", args[1]);
    if (args[3].tag != TAG_MAP) return native_wants(vm, "update", "settings", "a map of the rule's numbers", args[3]);
    CellList cells = {0};
    Sweep sweep;
    Memory memory = {.field = fields.memory};
    Attr attr[OP_MAX_ATTRS];
    const Map *gradients = args[1].map;
    bool fine = sweep_init(&sweep, vm, gradients->count) && walk_cells(vm, *fields.net, WALK_PARAMS, &cells) &&
                rule_numbers(&sweep, rule, args[3].map, attr) && add_cells(&sweep, &cells, gradients) &&
                add_states(&sweep, &memory, gradients, update_slots(rule)) &&
                run_step(&sweep, rule, attr, number(args[4]));
    if (fine) {
        commit(&sweep);
        keep_fresh(&memory, gradients);
        count_step(&fields, args[1]);
    }
    memory_clear(&memory, sweep.n);
    sweep_clear(&sweep);
    cells_clear(&cells);
    return fine;
}

/* ---- sums ---- */

/* a in[0] + b in[1] for all. */
static bool run_blend(Sweep *s, double a, double b)
{
    for (int i = 0; i < s->n; i++) {
        const Tensor *x = s->update[i].in[0], *y = s->update[i].in[1];
        bool same = x->ndim == y->ndim;
        for (int k = 0; k < x->ndim && same; k++) same = x->shape[k] == y->shape[k];
        if (same) continue;
        char left[96], right[96];
        tensor_type_name(x, left, sizeof left);
        tensor_type_name(y, right, sizeof right);
        return vm_fail(s->vm, ERROR_shape, "update", "%s is %s, the value for it %s", s->path[i], left, right);
    }
    if (!blend_all(vm_tensors(s->vm), a, b, s->n, s->update)) return false;
    commit(s);
    return true;
}

/* _blend(net, values, a, b): every parameter that the map names becomes a parameter + b value. */
bool native__blend(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    if (args[1].tag != TAG_MAP) return native_wants(vm, "update", "values", "a map from path to value", args[1]);
    CellList cells = {0};
    Sweep sweep;
    bool fine = sweep_init(&sweep, vm, args[1].map->count) && walk_cells(vm, args[0], WALK_PARAMS, &cells) &&
                add_cells(&sweep, &cells, args[1].map) && run_blend(&sweep, number(args[2]), number(args[3]));
    sweep_clear(&sweep);
    cells_clear(&cells);
    return fine;
}

/* Adds what both maps have into [sum]. */
static bool add_shared(Sweep *s, Map *sum, const Map *more)
{
    for (int64_t i = 0; i < more->used; i++) {
        Value key = more->entry[i].key, *slot = key.tag == TAG_STRING ? map_slot(sum, key) : NULL;
        if (!slot) continue;
        Update *update = &s->update[s->n];
        update->own[0] = true;
        s->slot[s->n][0] = slot;
        s->path[s->n++] = key.string->text;
        update->in[0] = borrow(s, *slot);
        update->in[1] = borrow(s, more->entry[i].value);
        if (!update->in[0] || !update->in[1]) return false;
    }
    return run_blend(s, 1.0, 1.0);
}

/* _accumulate(optimiser, gradients): adds them to those that are pending. */
bool native__accumulate(Vm *vm, const Value *args, Value *result)
{
    Value *sum = field_of(vm, args[0], "pending");
    *result = VALUE_NONE;
    if (!sum) return false;
    if (args[1].tag != TAG_MAP) return native_wants(vm, "accumulate", "gradients", "a map", args[1]);
    if (sum->tag != TAG_MAP) {
        value_set(sum, value_retain(args[1]));
        return true;
    }
    const Map *more = args[1].map;
    Sweep sweep;
    bool fine = sweep_init(&sweep, vm, more->count);
    if (fine) fine = (map_own(sum).tag == TAG_MAP && map_reserve(sum->map, more->count)) || vm_out_of_memory(vm);
    fine = fine && add_shared(&sweep, sum->map, more);
    for (int64_t i = 0; i < more->used && fine; i++)
        if (more->entry[i].key.tag != TAG_UNDEFINED && !map_slot(sum->map, more->entry[i].key))
            map_set_take(sum->map, more->entry[i].key, value_retain(more->entry[i].value));
    sweep_clear(&sweep);
    return fine;
}

/* _joint_norm(tensors): of all their elements. */
bool native__joint_norm(Vm *vm, const Value *args, Value *result)
{
    if (!native_is_row(args[0])) return native_wants(vm, "clip", "gradients", "a map from path to gradient", args[0]);
    const List *list = args[0].list;
    TensorContext *ctx = vm_tensors(vm);
    Tensor **tensors = list_tensors_new(ctx, (int)list->count);
    if (!tensors) return false;
    bool fine = true;
    for (int64_t i = 0; i < list->count && fine; i++) {
        tensors[i] = value_to_tensor(ctx, list->at[i]);
        fine = tensors[i] != NULL;
    }
    double norm = 0.0;
    fine = fine && joint_norm(ctx, (int)list->count, tensors, &norm);
    list_tensors_free(tensors, (int)list->count);
    *result = value_float(norm);
    return fine;
}
