/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Elements and parts: x[…] beyond the loop's fast case, and assignment to a part of a variable, however deep:
   a.b[i].c = v. Going down, each container is made unshared, so that only this variable changes; an object keeps its
   identity and changes itself. */
#include <string.h>

#include "machine.h"

bool do_index(Vm *vm, Value x, Value subscript, Value *result)
{
    if (x.tag == TAG_MAP && map_get(x.map, subscript, result)) {
        value_retain(*result);
        return true;
    }
    return index_get(vm, x, 1, &(Subscript){.value = subscript}, result);
}

/* Fills subscripts from registers; gives how many registers they took. */
static int read_subscripts(const IndexShape *shape, const Value *r, Subscript *to)
{
    int used = 0;
    for (int i = 0; i < shape->count; i++) {
        to[i] = (Subscript){.ellipsis = shape->kind[i] == SUBSCRIPT_ELLIPSIS,
                            .slice = shape->kind[i] == SUBSCRIPT_SLICE};
        if (to[i].slice) {
            to[i].start = r[used];
            to[i].stop = r[used + 1];
            to[i].step = r[used + 2];
            used += 3;
        } else if (!to[i].ellipsis) {
            to[i].value = r[used++];
        }
    }
    return used;
}

bool do_index_many(Vm *vm, const IndexShape *shape, Value *r)
{
    Subscript subscript[INDEX_MAX];
    int used = read_subscripts(shape, r + 1, subscript);
    Value result;
    if (!index_get(vm, r[0], shape->count, subscript, &result))
        return false;
    for (int i = 0; i < used; i++)
        value_set(&r[1 + i], VALUE_UNDEFINED);
    value_set(&r[0], result);
    return true;
}

static bool is_plain_key(Value v)
{
    return v.tag == TAG_STRING || v.tag == TAG_INT;
}

/* Where an element of a list or map lies, which is made unshared. NULL: there is none, or it is not so simple. */
static Value *own_element(Value *slot, Value subscript)
{
    if (slot->tag == TAG_LIST && subscript.tag == TAG_INT) {
        int64_t at = subscript.i < 0 ? subscript.i + slot->list->count : subscript.i;
        bool inside = at >= 0 && at < slot->list->count;
        return inside && list_own(slot).tag != TAG_UNDEFINED ? &slot->list->at[at] : NULL;
    }
    if (slot->tag == TAG_MAP && is_plain_key(subscript))
        return map_own(slot).tag != TAG_UNDEFINED ? map_slot(slot->map, subscript) : NULL;
    return NULL;
}

/* *slot = v, or *slot op= v. */
static bool assign(Vm *vm, Value *slot, int op, Value v)
{
    Value made;
    if (op == OPERATOR_CONCAT)
        return do_append(vm, slot, v);
    if (op == OPERATOR_NONE)
        made = value_retain(v);
    else if (!arith_binary(vm, op, *slot, v, &made))
        return false;
    value_set(slot, made);
    return true;
}

bool do_set_index(Vm *vm, Value *slot, Value subscript, int op, Value v)
{
    Value *element = own_element(slot, subscript);
    if (element)
        return assign(vm, element, op, v);
    if (op == OPERATOR_NONE && slot->tag == TAG_MAP && is_plain_key(subscript) && slot->map->refs == 1)
        return map_set_take(slot->map, subscript, value_retain(v)) || vm_out_of_memory(vm);
    return index_set(vm, slot, 1, &(Subscript){.value = subscript}, op, v);
}

typedef struct Store {
    Vm *vm;
    const Path *path;
    Value *values;            /* the value, then the subscripts */
} Store;

static bool store(Store *s, int step, int used, Value *slot);

static bool no_field(Store *s, Value v, const char *name)
{
    vm_fail(s->vm, ERROR_name, "", "%s has no field %s", value_type_name(v), name);
    error_hint(&s->vm->tensors.error, "fields are declared by assigning them in the model's body");
    return false;
}

/* Field [index], the step before [step]. */
static bool store_field(Store *s, int step, int used, Object *object, int index)
{
    Value *field = &object->field[index], made;
    if (!object_admits(s->vm, object, index, s->values[0]))
        return false;
    if (step < s->path->n_steps)
        return store(s, step, used, field);
    if (s->path->op == OPERATOR_CONCAT && object_field_kind(object, index) == FIELD_PLAIN)
        return do_append(s->vm, field, s->values[0]);
    if (s->path->op == OPERATOR_NONE)
        made = value_retain(s->values[0]);
    else if (!arith_binary(s->vm, s->path->op, *field, s->values[0], &made))
        return false;
    return object_store_take(s->vm, object, index, made);
}

static bool missing_key(Store *s, Value key)
{
    Text text = {0};
    value_repr(s->vm, key, &text);
    text_add(&text, "", 1);
    vm_fail(s->vm, ERROR_key, "", "the map has no key %s", text.failed ? "" : text.at);
    text_free(&text);
    return false;
}

static bool store_entry(Store *s, int step, int used, Value *slot, Value key)
{
    if (map_own(slot).tag == TAG_UNDEFINED)
        return vm_out_of_memory(s->vm);
    Value *entry = map_slot(slot->map, key);
    if (!entry && step == s->path->n_steps && s->path->op == OPERATOR_NONE)
        return do_put(s->vm, slot->map, key, value_retain(s->values[0]));
    if (!entry)
        return missing_key(s, key);
    return step == s->path->n_steps ? assign(s->vm, entry, s->path->op, s->values[0]) : store(s, step, used, entry);
}

static bool store_member(Store *s, int step, int used, Value *slot)
{
    const char *name = s->path->step[step].name;
    if (slot->tag == TAG_OBJECT) {
        int index = object_find_field(slot->object, name);
        return index >= 0 ? store_field(s, step + 1, used, slot->object, index) : no_field(s, *slot, name);
    }
    if (slot->tag != TAG_MAP)
        return vm_fail(s->vm, ERROR_type, "", "%s has no part called %s that can be assigned",
                       value_type_name(*slot), name);
    Value key = string_from(name);
    if (key.tag == TAG_UNDEFINED)
        return vm_out_of_memory(s->vm);
    bool fine = store_entry(s, step + 1, used, slot, key);
    value_release(key);
    return fine;
}

/* A part of a part that has no place of its own, such as a row of a tensor: taken out, changed, put back. */
static bool store_through(Store *s, int step, int used, Value *slot, int count, const Subscript *subscript)
{
    Value part;
    if (!index_get(s->vm, *slot, count, subscript, &part))
        return false;
    bool fine = store(s, step, used, &part) && index_set(s->vm, slot, count, subscript, OPERATOR_NONE, part);
    value_release(part);
    return fine;
}

static bool store_element(Store *s, int step, int used, Value *slot)
{
    const IndexShape *shape = &s->path->step[step].shape;
    Subscript subscript[INDEX_MAX];
    int next = used + read_subscripts(shape, s->values + used, subscript);
    int64_t at;
    bool single = shape->count == 1 && !subscript[0].slice && !subscript[0].ellipsis;
    if (step + 1 == s->path->n_steps)
        return single ? do_set_index(s->vm, slot, subscript[0].value, s->path->op, s->values[0])
                      : index_set(s->vm, slot, shape->count, subscript, s->path->op, s->values[0]);
    if (single && slot->tag == TAG_MAP)
        return store_entry(s, step + 1, next, slot, subscript[0].value);
    if (single && slot->tag == TAG_LIST && value_to_int(subscript[0].value, &at)) {
        at += at < 0 ? slot->list->count : 0;
        if (at >= 0 && at < slot->list->count) {
            if (list_own(slot).tag == TAG_UNDEFINED)
                return vm_out_of_memory(s->vm);
            return store(s, step + 1, next, &slot->list->at[at]);
        }
    }
    return store_through(s, step + 1, next, slot, shape->count, subscript);
}

static bool store(Store *s, int step, int used, Value *slot)
{
    return s->path->step[step].name ? store_member(s, step, used, slot) : store_element(s, step, used, slot);
}

bool do_set_path(Vm *vm, const Path *path, Value *root, Value *values)
{
    Store s = {vm, path, values};
    bool fine;
    if (path->is_field)
        fine = store_field(&s, 0, 1, root->object, path->field);
    else if (path->slot == UINT32_MAX && root->tag != TAG_OBJECT)
        fine = vm_fail(vm, ERROR_type, "", "only an object can be changed from here, not %s: pass the value in and "
                       "return the new one", value_type_name(*root));
    else
        fine = store(&s, 0, 1, root);
    for (int i = 0; fine && i < path->n_values; i++)
        value_set(&values[i], VALUE_UNDEFINED);
    return fine;
}

bool set_path_global(Vm *vm, Module *module, const Path *path, Value *values)
{
    Slot *slot = &module->slot[path->slot];
    if (slot->value.tag == TAG_UNDEFINED)
        return vm_fail(vm, ERROR_name, "", "%s has no value yet", slot->name);
    return do_set_path(vm, path, &slot->value, values);
}
