/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Instructions beyond their fast cases: building lists, maps and texts, appending, unpacking. Operators are
   arith.c's. */
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "bridge.h"
#include "machine.h"

bool do_range(Vm *vm, Value a, Value b, Value *result)
{
    int64_t start, stop;
    if (!value_to_int(a, &start) || !value_to_int(b, &stop))
        return vm_fail(vm, ERROR_type, "..", "a range goes from int to int, not from %s to %s", value_type_name(a),
                       value_type_name(b));
    *result = range_new(start, stop, 1);
    return result->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
}

/* ---- operators on tensors ---- */

static Tensor *dying_tensor(const Value *register_)
{
    return register_ && register_->tag == TAG_TENSOR && register_->tensor->refs == 1 ? register_->tensor : NULL;
}

bool do_binary(Vm *vm, int operator_, Value x, Value y, const Value *dies, const Value *too, Value *result)
{
    Tensor *last = dying_tensor(dies);
    vm->tensors.dying = last ? last : dying_tensor(too);
    bool fine = arith_binary(vm, operator_, x, y, result);
    vm->tensors.dying = NULL;
    return fine;
}

/* ---- results that are put off ---- */

bool do_deferred(Vm *vm, int operator_, Value x, const Value *y, Value *result)
{
    vm->tensors.defer = true;
    bool fine = y ? arith_binary(vm, operator_, x, *y, result) : arith_unary(vm, operator_, x, result);
    vm->tensors.defer = false;
    return fine;
}

/* The name may mean something else than the op by now: then nothing stays put off. */
bool do_call_fused(Vm *vm, Value *window, int n, bool defer, bool *entered)
{
    bool is_op = window->tag == TAG_FUNCTION && window->function->kind == FUNCTION_OP;
    for (int i = 1; i <= n && !is_op; i++)
        if (window[i].tag == TAG_TENSOR && !tensor_settle(&vm->tensors, window[i].tensor))
            return false;
    vm->tensors.defer = defer && is_op;
    /* the window is emptied by the call: what nobody else holds dies there */
    bool dies = is_op && n > 0 && window[1].tag == TAG_TENSOR && window[1].tensor->refs == 1;
    vm->tensors.dying = dies ? window[1].tensor : NULL;
    bool fine = call_begin(vm, window, window + 1, n, window, entered);
    vm->tensors.defer = false;
    vm->tensors.dying = NULL;
    return fine;
}

/* ---- building ---- */

bool do_list(Vm *vm, Value *r, int count, Tag tag)
{
    Value v = list_new(count);
    if (v.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int i = 0; i < count; i++) {
        v.list->at[i] = r[i];
        r[i] = VALUE_UNDEFINED;
    }
    v.list->count = count;
    v.tag = (uint8_t)tag;
    value_set(r, v);
    return true;
}

bool do_put(Vm *vm, Map *map, Value key, Value owned)
{
    if (!value_hashable(key)) {
        value_release(owned);
        return vm_fail(vm, ERROR_type, "", "a map's keys are strings, ints, bools, dates and tuples of them, not %s",
                       value_type_name(key));
    }
    return map_set_take(map, key, owned) || vm_out_of_memory(vm);
}

bool do_map(Vm *vm, Value *r, int count)
{
    Value v = map_new();
    if (v.tag == TAG_UNDEFINED || (count && !map_reserve(v.map, count / 2))) {
        value_release(v);
        return vm_out_of_memory(vm);
    }
    for (int i = 0; i < count; i += 2) {
        Value owned = r[i + 1];
        r[i + 1] = VALUE_UNDEFINED;
        if (!do_put(vm, v.map, r[i], owned)) {
            value_release(v);
            return false;
        }
    }
    for (int i = 0; i < count; i += 2)
        value_set(&r[i], VALUE_UNDEFINED);
    value_set(r, v);
    return true;
}

static bool extend_list(Vm *vm, List *list, Value v)
{
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++)
            if (!list_push_take(list, value_retain(v.list->at[i])))
                return vm_out_of_memory(vm);
        return true;
    }
    Value it[2] = {VALUE_UNDEFINED, VALUE_UNDEFINED}, item;
    if (!iterate_begin(vm, value_retain(v), it))
        return false;
    bool fine = true;
    while (fine && (fine = iterate_next(vm, it, &item)) && item.tag != TAG_DONE)
        fine = list_push_take(list, item) || vm_out_of_memory(vm);
    iterate_end(vm, it);
    return fine;
}

static bool extend_map(Vm *vm, Map *map, Value v)
{
    for (int64_t i = 0; i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        if (entry->key.tag != TAG_UNDEFINED && !map_set_take(map, entry->key, value_retain(entry->value)))
            return vm_out_of_memory(vm);
    }
    return true;
}

bool do_extend(Vm *vm, Value *slot, Value v)
{
    if (slot->tag == TAG_LIST)
        return extend_list(vm, slot->list, v);
    if (v.tag != TAG_MAP)
        return vm_fail(vm, ERROR_type, "..", "only a map can be spread into a map, not %s", value_type_name(v));
    return extend_map(vm, slot->map, v);
}

bool do_append(Vm *vm, Value *slot, Value v)
{
    Value result;
    if (slot->tag == TAG_LIST && v.tag == TAG_LIST) {
        value_retain(v);      /* xs ++= xs: it stays as it was while the copy grows */
        bool fine = list_own(slot).tag != TAG_UNDEFINED ? extend_list(vm, slot->list, v) : vm_out_of_memory(vm);
        value_release(v);
        return fine;
    }
    if (slot->tag == TAG_MAP && v.tag == TAG_MAP) {
        value_retain(v);
        bool fine = map_own(slot).tag != TAG_UNDEFINED ? extend_map(vm, slot->map, v) : vm_out_of_memory(vm);
        value_release(v);
        return fine;
    }
    if (slot->tag == TAG_SET && (v.tag == TAG_SET || v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_RANGE)) {
        value_retain(v);
        bool fine = set_extend(vm, "++=", slot, v);
        value_release(v);
        return fine;
    }
    if (slot->tag == TAG_STRING && v.tag == TAG_STRING)
        return string_append(slot, v) || vm_out_of_memory(vm);
    if (!arith_binary(vm, OPERATOR_CONCAT, *slot, v, &result))
        return false;
    value_set(slot, result);
    return true;
}

bool do_append_item(Vm *vm, Value *slot, Value owned)
{
    if (slot->tag == TAG_LIST && list_own(slot).tag != TAG_UNDEFINED)
        return list_push_take(slot->list, owned) || vm_out_of_memory(vm);
    Value list = list_new(1);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    if (fine)
        fine = list_push_take(list.list, owned) && do_append(vm, slot, list);
    else
        value_release(owned);
    value_release(list);
    return fine;
}

bool append_global(Vm *vm, Module *module, uint32_t slot, Value v)
{
    if (module->slot[slot].value.tag == TAG_UNDEFINED)
        return vm_fail(vm, ERROR_name, "", "%s has no value yet", module->slot[slot].name);
    return do_append(vm, &module->slot[slot].value, v);
}

/* ---- unpacking ---- */

static bool unpack_count(Vm *vm, int64_t got, int count, int rest)
{
    if (rest ? got >= count - 1 : got == count)
        return true;
    return vm_fail(vm, ERROR_value, "", "%lld values for %s%d names", (long long)got, rest ? "at least " : "",
                   rest ? count - 1 : count);
}

static bool unpack_rest(Vm *vm, const Value *from, int64_t count, Value *to)
{
    Value list = list_new(count);
    if (list.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int64_t i = 0; i < count; i++)
        list.list->at[i] = value_retain(from[i]);
    list.list->count = count;
    value_set(to, list);
    return true;
}

bool do_unpack(Vm *vm, Value v, Value *to, int count, int rest)
{
    if (v.tag == TAG_STRING || v.tag == TAG_MAP || v.tag == TAG_SET || v.tag < TAG_STRING) {
        char text[64];
        value_describe(v, text, sizeof text);
        return vm_fail(vm, ERROR_type, "", "%s cannot be taken apart into %d names", text, count);
    }
    Value list = v.tag == TAG_TUPLE || v.tag == TAG_LIST ? value_retain(v) : list_new(0);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    if (fine && v.tag != TAG_TUPLE && v.tag != TAG_LIST)
        fine = extend_list(vm, list.list, v);
    fine = fine && unpack_count(vm, list.list->count, count, rest);
    if (fine) {
        int64_t extra = rest ? list.list->count - (count - 1) : 1;
        int before = rest ? rest - 1 : count;
        for (int i = 0; i < before; i++)
            value_set(&to[i], value_retain(list.list->at[i]));
        if (rest)
            fine = unpack_rest(vm, &list.list->at[before], extra, &to[before]);
        for (int i = before + 1; i < count; i++)
            value_set(&to[i], value_retain(list.list->at[i - 1 + extra]));
    }
    value_release(list);
    return fine;
}

/* ---- texts and closures ---- */

#define SCRATCH_MOST 4096

bool do_format(Vm *vm, const Template *template, Value *r, int count)
{
    Text text = vm->scratch;  /* a printed value may come back here: it finds none then */
    bool fine = true;
    vm->scratch = (Text){0};
    text.length = 0;
    for (int i = 0, item = 0; fine && i < template->count; i++) {
        const TemplatePart *part = &template->part[i];
        if (part->text)
            text_add(&text, part->text, part->length);
        else if (part->spec)
            fine = value_format(vm, r[item++], part->spec, &text);
        else
            fine = value_print(vm, r[item++], &text);
    }
    Value made = VALUE_UNDEFINED;
    if (fine && !text.failed)
        made = string_new(text.at ? text.at : "", text.length);
    if (fine && made.tag == TAG_UNDEFINED)
        fine = vm_out_of_memory(vm);
    if (vm->scratch.at || text.failed || text.room > SCRATCH_MOST)
        text_free(&text);
    else
        vm->scratch = text;
    if (!fine)
        return false;
    for (int i = 0; i < count; i++)
        value_set(&r[i], VALUE_UNDEFINED);
    value_set(r, made);
    return true;
}

bool do_closure(Vm *vm, Proto *proto, Value *r, int count)
{
    Value v = function_new(FUNCTION_CLOSURE, count);
    if (v.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    v.function->proto = proto;
    proto->refs++;
    for (int i = 0; i < count; i++) {
        v.function->value[i] = r[i];
        r[i] = VALUE_UNDEFINED;
    }
    value_set(r, v);
    return true;
}
