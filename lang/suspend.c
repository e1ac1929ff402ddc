/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Setting a computation aside for another one (suspend.h). */
#include "suspend.h"

#include <string.h>

#include "failure.h"

enum { VISIT_DEPTH = 30 };    /* calls from C that another text counts for: reading and compiling it take stack too */

/* `_` of the session; NULL: nobody ever wrote it. */
static Value *last_value(Vm *vm)
{
    const char *name = name_find(vm, "_");
    uint32_t slot;
    return name && module_find(vm->main, name, &slot) ? &vm->main->slot[slot].value : NULL;
}

/* The names of places are copied: those that both give stand for each one's own. */
static Value copy_places(const NativeState *state)
{
    Value copy = value_retain(state->places);
    return copy.tag == TAG_MAP ? map_own(&copy) : copy;
}

void vm_suspend(Vm *vm, Suspended *kept)
{
    NativeState *state = &vm->native_state;
    Value *last = last_value(vm);
    *kept = (Suspended){
        .tensors = vm->tensors, .training = vm->training, .exiting = vm->exiting, .keeps_failures = vm->keeps_failures,
        .held = vm->held, .exit_code = vm->exit_code, .floor = vm->floor, .thrown = vm->thrown, .last = last ? value_retain(*last) : VALUE_UNDEFINED,
        .trace = vm->trace, .failure = vm->failure, .progress = {state->progress, state->suspended},
        .places = state->places, .old_places = state->old_places, .record = vm->session->records.open};
    memcpy(kept->operand_name, vm->operand_name, sizeof kept->operand_name);
    error_clear(&vm->tensors.error);
    vm->tensors.recording = 0;
    vm->tensors.meta = vm->tensors.defer = vm->tensors.narrow = false;
    vm->tensors.boundary = NULL;
    vm->tensors.watch = NULL;
    vm->training = vm->exiting = false;
    vm->thrown = VALUE_UNDEFINED;
    vm->trace = NULL;
    vm->failure = NULL;
    state->places = copy_places(state);
    state->progress = NULL;
    state->suspended = &kept->progress;
    vm->session->records.open = NULL;
    vm->c_depth += VISIT_DEPTH;
    vm->held += kept->tensors.recording > 0;
    vm->floor = vm->n_frames;
}

/* Names of places that are new since are known from now on. */
static void join_places(Value to, Value from)
{
    Value there;
    for (int64_t i = 0; to.tag == TAG_MAP && from.tag == TAG_MAP && i < from.map->used; i++) {
        const MapEntry *entry = &from.map->entry[i];
        if (entry->key.tag != TAG_UNDEFINED && !map_get(to.map, entry->key, &there))
            map_set_take(to.map, entry->key, value_retain(entry->value));      /* without memory it is not known */
    }
}

void vm_resume(Vm *vm, Suspended *kept)
{
    NativeState *state = &vm->native_state;
    uint64_t seed = vm->tensors.seed, counter = vm->tensors.counter;
    Value *last = last_value(vm), made = state->places;
    vm->c_depth -= VISIT_DEPTH;
    vm->held = kept->held;
    vm->floor = kept->floor;
    trace_free(vm->trace);
    failure_free(vm->failure);
    value_release(vm->thrown);
    vm->tensors = kept->tensors;
    if (vm->tensors.recording == 0 && !kept->held) {
        vm->tensors.seed = seed;
        vm->tensors.counter = counter;
    }
    vm->training = kept->training;
    vm->exiting = kept->exiting;
    vm->exit_code = kept->exit_code;
    vm->keeps_failures = kept->keeps_failures;
    vm->thrown = kept->thrown;
    vm->trace = kept->trace;
    vm->failure = kept->failure;
    memcpy(vm->operand_name, kept->operand_name, sizeof vm->operand_name);
    progress_stop_all(state);
    state->progress = kept->progress.top;
    state->suspended = kept->progress.below;
    state->places = kept->places.tag == TAG_MAP ? kept->places : made;
    state->old_places = kept->old_places;
    join_places(kept->places, made);
    if (kept->places.tag == TAG_MAP) value_release(made);
    record_open_again(&vm->session->records, kept->record);
    if (last) value_set(last, kept->last);
    else value_release(kept->last);
}

void vm_hold_visits(Vm *vm, bool hold) { vm->held += hold ? 1 : -1; }

bool vm_may_visit(const Vm *vm)
{
    return vm->tensors.recording == 0 && vm->held == 0 && vm->c_depth + VISIT_DEPTH < MAX_C_DEPTH;
}
