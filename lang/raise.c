/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors on their way: from the tensor library's record to what `catch` receives and back, with the trace of where they
   came from. Invariant: vm->trace and vm->thrown belong to the error that vm->tensors.error announces. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "machine.h"
#include "suggest.h"

bool vm_fail(Vm *vm, ErrorKind kind, const char *op, const char *format, ...)
{
    char message[sizeof vm->tensors.error.message];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    return error_set(&vm->tensors.error, kind, op, "%s", message);
}

bool vm_out_of_memory(Vm *vm)
{
    return error_set(&vm->tensors.error, ERROR_memory, "", "no memory is left");
}

bool vm_exit(Vm *vm, int code)
{
    vm->exiting = true;
    vm->exit_code = code;
    return vm_fail(vm, ERROR_interrupt, "exit", "exit(%d)", code);
}

bool vm_safe_point(Vm *vm)
{
    unsigned asked = atomic_load_explicit(&vm->flags, memory_order_relaxed);
    if (asked & FLAG_VISIT) session_visit(vm->session);
    if (asked & FLAG_PAUSE) debug_safe_point(vm);
    if (!tensor_interrupted(&vm->tensors)) return true;
    error_clear(&vm->tensors.error);
    return vm_fail(vm, ERROR_interrupt, "", "interrupted");
}

/* ---- where ---- */

static void name_operands(Vm *vm, const Frame *frame)
{
    const Proto *proto = frame->proto;
    int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
    const Error *error = &vm->tensors.error;
    if (error->kind == ERROR_gradient)       /* found on the way back, when the op's own site is long left */
        return;
    /* in nn.f(x) the module is no operand */
    Code w = pc >= 0 ? proto_code(proto, pc) : 0;
    int shift = pc >= 0 && CODE_OP(w) == CODE_CALL_METHOD && proto->sites[CODE_C(w)].of_module;
    for (int i = 0; i < proto->n_operands; i++) {
        const OperandName *operand = &proto->operands[i];
        uint32_t length = operand->span.end - operand->span.start;
        if (operand->pc != pc || length >= sizeof vm->operand_name[0])
            continue;
        for (int j = 0; j < error->n_operands && j < ERROR_MAX_OPERANDS; j++)
            if (error->operand[j].input == operand->input - shift) {
                memcpy(vm->operand_name[j], proto->source->text + operand->span.start, length);
                vm->operand_name[j][length] = 0;
            }
    }
}

static void trace_frames(Vm *vm)
{
    memset(vm->operand_name, 0, sizeof vm->operand_name);
    for (int i = vm->n_frames - 1; i >= vm->floor; i--) {
        const Frame *frame = &vm->frame[i];
        const Proto *proto = frame->proto;
        int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
        Span span = pc >= 0 && pc < proto->n_code ? proto->spans[pc] : proto->span;
        if (i == vm->n_frames - 1)
            name_operands(vm, frame);
        if (!trace_add(&vm->trace, proto->source, span, proto->name ? proto->name : "a lambda"))
            return;
    }
}

static void keep_frames(Vm *vm)
{
    failure_free(vm->failure);
    vm->failure = failure_take(vm);
}

/* An unknown `torch` may be the beginning of a name that has a better hint; the source tells. */
static void hint_path(Vm *vm)
{
    const TraceFrame *frame = vm->trace && vm->trace->count > 0 ? &vm->trace->frame[0] : NULL;
    if (!frame || vm->tensors.error.kind != ERROR_name || frame->span.start >= frame->source->length) return;
    suggest_path(frame->source->text + frame->span.start, frame->source->length - frame->span.start, library_name,
                 &vm->tensors.error);
}

void vm_trace(Vm *vm)
{
    if (vm->tensors.error.kind == ERROR_interrupt)
        atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_INTERRUPT);       /* what runs on the way out is not stopped again */
    if (!vm->trace && vm->thrown.tag != TAG_ERROR) {
        trace_frames(vm);
        hint_path(vm);
        if (vm->keeps_failures)
            keep_frames(vm);
        debug_raised(vm);
    }
}

void vm_trace_at(Vm *vm, Source *source, Span span)
{
    trace_free(vm->trace);
    vm->trace = NULL;
    trace_add(&vm->trace, source, span, NULL);
    trace_frames(vm);
}

/* ---- as a value ---- */

void error_object_free(ErrorObject *error)
{
    value_release(error->message);
    value_release(error->value);
    value_release(error->hint);
    trace_free(error->trace);
    heap_delete(error, sizeof *error);
}

static void clear(Vm *vm)
{
    error_clear(&vm->tensors.error);
    value_set(&vm->thrown, VALUE_UNDEFINED);
    trace_free(vm->trace);
    vm->trace = NULL;
}

Value vm_take_error(Vm *vm)
{
    Error *error = &vm->tensors.error;
    if (vm->thrown.tag == TAG_ERROR) {
        Value same = value_retain(vm->thrown);
        clear(vm);
        return same;
    }
    ErrorObject *made = heap_new(sizeof *made);
    if (!made) {
        clear(vm);
        return VALUE_NONE;
    }
    made->kind = error->kind;
    made->message = string_from(error->message);
    made->hint = error->hint[0] ? string_from(error->hint) : VALUE_NONE;
    made->value = vm->thrown.tag == TAG_UNDEFINED ? VALUE_NONE : value_retain(vm->thrown);
    memcpy(made->op, error->op, sizeof made->op);
    made->n_operands = error->n_operands;
    memcpy(made->operand, error->operand, sizeof made->operand);
    memcpy(made->operand_name, vm->operand_name, sizeof made->operand_name);
    made->trace = vm->trace;
    vm->trace = NULL;
    if (made->message.tag == TAG_UNDEFINED)
        made->message = VALUE_NONE;
    clear(vm);
    return (Value){.tag = TAG_ERROR, .error = made};
}

void vm_set_error(Vm *vm, Value v)
{
    if (v.tag != TAG_ERROR) {
        do_throw(vm, v);
        return;
    }
    clear(vm);
    vm_fail(vm, v.error->kind, v.error->op, "%s",
            v.error->message.tag == TAG_STRING ? v.error->message.string->text : "");
    vm->thrown = value_retain(v);
}

bool do_throw(Vm *vm, Value v)
{
    if (v.tag == TAG_ERROR) {
        vm_set_error(vm, v);
        return false;
    }
    Text text = {0};
    value_print(vm, v, &text);
    text_add(&text, "", 1);
    if (text.failed)
        vm_out_of_memory(vm);
    else
        vm_fail(vm, ERROR_thrown, "", "%s", text.at);
    text_free(&text);
    value_set(&vm->thrown, value_retain(v));
    return false;
}

bool do_assert(Vm *vm, const Value *message, Value condition)
{
    Text text = {0};
    if (message) {
        value_print(vm, *message, &text);
        text_add(&text, "", 1);
    }
    if (message && !text.failed)
        vm_fail(vm, ERROR_assertion, "", "%s", text.at);
    else
        vm_fail(vm, ERROR_assertion, "", "%s", condition.string->text);
    text_free(&text);
    return false;
}

bool error_trace_text(Vm *vm, const ErrorObject *error, Text *out)
{
    (void)vm;
    for (int i = 0; error->trace && i < error->trace->count; i++) {
        const TraceFrame *frame = &error->trace->frame[i];
        uint32_t line = 0, column = 0;
        if (!frame->source || frame->source->library)
            continue;
        source_locate(frame->source, frame->span.start, &line, &column);
        text_format(out, "%s:%u:%u", frame->source->name, line, column);
        if (frame->function && *frame->function)
            text_format(out, "  in %s", frame->function);
        text_add(out, "\n", 1);
    }
    return !out->failed;
}
