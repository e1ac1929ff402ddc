/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Models and their objects: fields, cells (param and buffer), members, and the check that keeps objects free of cycles:
   what is stored into a field must not lead back to its object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "suggest.h"

/* ---- models ---- */

Value model_new(Vm *vm, Proto *constructor)
{
    ModelObject *model = heap_new(sizeof *model);
    if (!model) {
        vm_out_of_memory(vm);
        return VALUE_UNDEFINED;
    }
    Value v = {.tag = TAG_MODEL, .model = model};
    model->id = ++vm->next_model_id;
    model->constructor = constructor;
    constructor->refs++;
    model->forward = -1;
    model->method = calloc((size_t)constructor->n_methods + 1, sizeof *model->method);
    bool fine = model->method != NULL;
    for (int i = 0; fine && i < constructor->n_methods; i++) {
        Value method = function_new(FUNCTION_CLOSURE, 0);
        fine = method.tag != TAG_UNDEFINED;
        if (!fine)
            break;
        method.function->proto = constructor->methods[i];
        constructor->methods[i]->refs++;
        model->method[model->n_methods++] = method;
        if (!strcmp(constructor->methods[i]->name, "forward"))
            model->forward = i;
    }
    if (fine)
        return v;
    value_release(v);
    vm_out_of_memory(vm);
    return VALUE_UNDEFINED;
}

void model_free(ModelObject *model)
{
    for (int i = 0; i < model->n_methods; i++)
        value_release(model->method[i]);
    free(model->method);
    proto_release(model->constructor);
    heap_delete(model, sizeof *model);
}

int model_find_method(const ModelObject *model, const char *name)
{
    for (int i = 0; i < model->n_methods; i++)
        if (model->constructor->methods[i]->name == name)
            return i;
    return -1;
}

/* ---- objects ---- */

Object *object_new(ModelObject *model)
{
    int n = model->constructor->n_fields;
    Object *object = heap_new(sizeof *object + (size_t)n * sizeof(Value));
    if (!object)
        return NULL;
    object->model = model;
    model->refs++;
    object->n_fields = n;
    return object;
}

void object_free(Object *object)
{
    for (int i = 0; i < object->n_fields; i++)
        value_release(object->field[i]);
    value_release((Value){.tag = TAG_MODEL, .model = object->model});
    heap_delete(object, sizeof *object + (size_t)object->n_fields * sizeof(Value));
}

const char *object_model_name(const Object *object)
{
    return object->model->constructor->name;
}

const char *object_field_name(const Object *object, int index)
{
    return object->model->constructor->fields[index].name;
}

FieldKind object_field_kind(const Object *object, int index)
{
    return (FieldKind)object->model->constructor->fields[index].kind;
}

bool object_field_hidden(const Object *object, int index)
{
    return object->model->constructor->fields[index].hidden;
}

int object_nth_field(const Object *object, int place)
{
    return object->model->constructor->fields[place].nth;
}

int object_find_field(const Object *object, const char *name)
{
    const Proto *model = object->model->constructor;
    for (int i = 0; i < model->n_fields; i++)
        if (model->fields[i].name == name)
            return i;
    for (int i = 0; i < model->n_fields; i++)     /* a name that is not interned */
        if (!strcmp(model->fields[i].name, name))
            return i;
    return -1;
}

/* ---- reachability ---- */

typedef struct Walk {
    Value *at;
    size_t count, room;
    const void **seen;        /* objects met: open addressing */
    size_t n_seen, seen_room;
    bool failed;
} Walk;

static bool may_lead(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_MAP || v.tag == TAG_FUNCTION ||
           v.tag == TAG_OBJECT || v.tag == TAG_STREAM || v.tag == TAG_ERROR;
}

static void walk_push(Walk *walk, Value v)
{
    if (!may_lead(v))
        return;
    if (walk->count == walk->room) {
        size_t room = walk->room ? walk->room * 2 : 64;
        Value *at = realloc(walk->at, room * sizeof *at);
        if (!at) {
            walk->failed = true;
            return;
        }
        walk->at = at;
        walk->room = room;
    }
    walk->at[walk->count++] = v;
}

static size_t seen_slot(const Walk *walk, const void *pointer)
{
    size_t i = ((uintptr_t)pointer >> 4) * 0x9e3779b97f4a7c15u >> 20 & (walk->seen_room - 1);
    while (walk->seen[i] && walk->seen[i] != pointer)
        i = (i + 1) & (walk->seen_room - 1);
    return i;
}

/* True the first time: shared parts are walked once. */
static bool first_visit(Walk *walk, const void *pointer)
{
    if (walk->n_seen * 2 >= walk->seen_room) {
        Walk wider = {.seen_room = walk->seen_room ? walk->seen_room * 2 : 64};
        wider.seen = calloc(wider.seen_room, sizeof *wider.seen);
        if (!wider.seen) {
            walk->failed = true;
            return false;
        }
        for (size_t i = 0; i < walk->seen_room; i++)
            if (walk->seen[i])
                wider.seen[seen_slot(&wider, walk->seen[i])] = walk->seen[i];
        free(walk->seen);
        walk->seen = wider.seen;
        walk->seen_room = wider.seen_room;
    }
    size_t i = seen_slot(walk, pointer);
    if (walk->seen[i])
        return false;
    walk->seen[i] = pointer;
    walk->n_seen++;
    return true;
}

static void walk_children(Walk *walk, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE:
        for (int64_t i = 0; i < v.list->count; i++)
            walk_push(walk, v.list->at[i]);
        break;
    case TAG_MAP:
        for (int64_t i = 0; i < v.map->used; i++)
            walk_push(walk, v.map->entry[i].value);
        break;
    case TAG_FUNCTION:
        for (int i = 0; i < v.function->n_values; i++)
            walk_push(walk, v.function->value[i]);
        break;
    case TAG_OBJECT:
        for (int i = 0; i < v.object->n_fields; i++)
            walk_push(walk, v.object->field[i]);
        break;
    case TAG_STREAM: walk_push(walk, v.stream->source); break;
    case TAG_ERROR: walk_push(walk, v.error->value); break;
    default: break;
    }
}

/* An object with one reference is held by whoever stores into it, so by nothing else: no walk is needed, and long
   chains are built in linear time. */
bool object_admits(Vm *vm, const Object *object, int index, Value v)
{
    if (!may_lead(v) || object->refs == 1)
        return true;
    Walk walk = {0};
    bool reached = false;
    walk_push(&walk, v);
    while (walk.count && !reached && !walk.failed) {
        Value next = walk.at[--walk.count];
        reached = next.tag == TAG_OBJECT && next.object == object;
        if (!reached && first_visit(&walk, next.heap))
            walk_children(&walk, next);
    }
    free(walk.at);
    free(walk.seen);
    if (walk.failed)
        return vm_out_of_memory(vm);
    if (!reached)
        return true;
    vm_fail(vm, ERROR_value, "", "the field %s of %s cannot hold something that leads back to the same object",
            object_field_name(object, index), object_model_name(object));
    error_hint(&vm->tensors.error, "hand the object over when it is needed instead of keeping it");
    return false;
}

/* ---- stores ---- */

/* The tensor of a cell: never a weak number, never with a gradient record; takes nothing. */
static Tensor *cell_tensor(Vm *vm, Value v, bool is_param, const char *name)
{
    Tensor *t = value_to_tensor(&vm->tensors, v);
    Error *error = &vm->tensors.error;
    if (!t && !error->op[0])
        snprintf(error->op, sizeof error->op, "%s", name);
    if (!t)
        return NULL;
    if (t->weak) {
        Dtype dtype = dtype_class((Dtype)t->dtype) == CLASS_FLOAT || is_param ? DTYPE_f32 : DTYPE_i64;
        Tensor *cast = tensor_cast(&vm->tensors, t, dtype);
        tensor_release(t);
        t = cast;
        if (t && t->weak) {   /* the cast of a number to its own dtype is the number itself */
            Tensor *own = tensor_copy(&vm->tensors, t);
            tensor_release(t);
            t = own;
            if (t)
                t->weak = false;
        }
    }
    if (t && is_param && dtype_class((Dtype)t->dtype) != CLASS_FLOAT) {
        vm_fail(vm, ERROR_dtype, "", "the param %s must be a float tensor, not %s", name, dtype_name((Dtype)t->dtype));
        error_hint(&vm->tensors.error, "declare it as a buffer, or convert it with f32(…)");
        tensor_release(t);
        return NULL;
    }
    Tensor *detached = t ? tensor_detach(&vm->tensors, t) : NULL;
    tensor_release(t);
    return detached;
}

static bool cell_fits(Vm *vm, const Object *object, int index, const Tensor *old, const Tensor *t)
{
    bool same = old->dtype == t->dtype && old->ndim == t->ndim;
    for (int i = 0; same && i < t->ndim; i++)
        same = old->shape[i] == t->shape[i];
    if (same)
        return true;
    char before[96], after[96];
    tensor_type_name(old, before, sizeof before);
    tensor_type_name(t, after, sizeof after);
    return vm_fail(vm, old->dtype == t->dtype ? ERROR_shape : ERROR_dtype, "", 
                   "%s.%s is %s and keeps its shape and dtype; got %s", object_model_name(object),
                   object_field_name(object, index), before, after);
}

static bool store_cell(Vm *vm, Object *object, int index, Value owned)
{
    Value *field = &object->field[index];
    bool is_param = object_field_kind(object, index) == FIELD_PARAM;
    if (owned.tag == TAG_NONE && field->tag != TAG_TENSOR) {
        value_set(field, owned);
        return true;
    }
    Tensor *t = cell_tensor(vm, owned, is_param, object_field_name(object, index));
    value_release(owned);
    if (!t)
        return false;
    if (field->tag == TAG_TENSOR && !cell_fits(vm, object, index, field->tensor, t)) {
        tensor_release(t);
        return false;
    }
    value_set(field, (Value){.tag = TAG_TENSOR, .tensor = t});
    return true;
}

/* A dry run must not leave what has no values in an object that outlives it. */
static bool is_dry(Vm *vm, Value now, Value stored)
{
    return vm->tensors.meta && stored.tag == TAG_TENSOR && stored.tensor->meta && now.tag != TAG_UNDEFINED &&
           !(now.tag == TAG_TENSOR && now.tensor->meta);
}

bool object_store_take(Vm *vm, Object *object, int index, Value owned)
{
    if (is_dry(vm, object->field[index], owned)) {
        value_release(owned);
        return vm_fail(vm, ERROR_value, "", "%s is stored into here, and only shapes are being computed",
                       object_field_name(object, index));
    }
    if (object_field_kind(object, index) != FIELD_PLAIN)
        return store_cell(vm, object, index, owned);
    if (!object_admits(vm, object, index, owned)) {
        value_release(owned);
        return false;
    }
    value_set(&object->field[index], owned);
    return true;
}

/* In a constructor: a parameter of the same name does not yet make a cell of it. */
bool object_init_field(Vm *vm, Object *object, int index, Value owned)
{
    const Proto *model = object->model->constructor;
    bool is_cell = model->fields[index].kind != FIELD_PLAIN;
    bool from_parameter = index < model->n_params;
    if (!is_cell && object->refs == 1) {      /* nobody else knows it yet: nothing can lead back to it */
        value_set(&object->field[index], owned);
        return true;
    }
    if (!is_cell || !from_parameter)
        return object_store_take(vm, object, index, owned);
    /* the parameter itself comes first, then the cell's own value */
    Value *field = &object->field[index];
    if (field->tag == TAG_UNDEFINED) {
        value_set(field, owned);
        return true;
    }
    value_set(field, VALUE_NONE);
    return store_cell(vm, object, index, owned);
}

/* ---- members ---- */

static bool object_member(Vm *vm, Value v, Site *site, Value *result)
{
    const Object *object = v.object;
    if (site->model_id != object->model->id) {
        site->model_id = object->model->id;
        site->index = object_find_field(object, site->name);
        site->is_method = site->index < 0;
        if (site->is_method)
            site->index = model_find_method(object->model, site->name);
    }
    if (site->index >= 0 && site->is_method) {
        *result = function_bound(v, object->model->method[site->index]);
        return result->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    }
    if (site->index >= 0) {
        if (object->field[site->index].tag == TAG_UNDEFINED)
            return vm_fail(vm, ERROR_name, "", "the field %s has no value yet", site->name);
        *result = value_retain(object->field[site->index]);
        return true;
    }
    Suggest suggest;
    suggest_start(&suggest, site->name);
    for (int i = 0; i < object->n_fields; i++)
        suggest_offer(&suggest, object_field_name(object, i));
    for (int i = 0; i < object->model->n_methods; i++)
        suggest_offer(&suggest, object->model->constructor->methods[i]->name);
    vm_fail(vm, ERROR_name, "", "%s has no field or method %s", object_model_name(object), site->name);
    suggest_hint(&suggest, &vm->tensors.error);
    return false;
}

static bool map_member(Vm *vm, const Map *map, const char *name, Value *result)
{
    Value found;
    if (map_get_text(map, name, &found)) {
        *result = value_retain(found);
        return true;
    }
    Suggest suggest;
    suggest_start(&suggest, name);
    for (int64_t i = 0; i < map->used; i++)
        if (map->entry[i].key.tag == TAG_STRING)
            suggest_offer(&suggest, map->entry[i].key.string->text);
    vm_fail(vm, ERROR_key, "", "the map has no key \"%s\"", name);
    if (suggest.best)
        error_hint(&vm->tensors.error, "did you mean %s?", suggest.best);
    else if (name_known(vm, name))
        error_hint(&vm->tensors.error, "to call the function, write .%s()", name);
    return false;
}

bool member_get(Vm *vm, Value v, Site *site, Value *result)
{
    bool found = true;
    if (v.tag == TAG_OBJECT)
        return object_member(vm, v, site, result);
    if (v.tag == TAG_MAP)
        return map_member(vm, v.map, site->name, result);
    if (v.tag == TAG_MODULE) {
        if (!module_member(vm, v.module, site->name, result))
            return false;
        value_retain(*result);
        return true;
    }
    if (!value_member(vm, v, site->name, result, &found))
        return false;
    if (found)
        return true;
    vm_fail(vm, ERROR_name, "", "a value of type %s has no member %s", value_type_name(v), site->name);
    Suggest suggest;
    suggest_start(&suggest, site->name);
    if (!suggest_hint(&suggest, &vm->tensors.error) && name_known(vm, site->name))
        error_hint(&vm->tensors.error, "%s is a function: write .%s()", site->name, site->name);
    return false;
}
