/* SPDX-License-Identifier: GPL-3.0-or-later */
/* After an error: :trace, :up, :down and :locals. The frames' variables are retained when the error is raised, before
   anything is unwound. Invariant: what is kept is bounded, in frames, variables and bytes. */
#include "failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"

#define KEEP_FRAMES 40
#define KEEP_LOCALS 100                       /* a frame */
#define KEEP_BYTES ((int64_t)1 << 30)         /* of tensors, over all frames */

/* ---- taking ---- */

bool failure_caught(const Vm *vm)
{
    if (vm->tensors.error.kind == ERROR_interrupt) return false;
    for (int i = vm->n_frames - 1; i >= vm->floor; i--) {
        const Frame *frame = &vm->frame[i];
        int32_t pc = (int32_t)(frame->pc - frame->proto->code) - 1;
        for (int j = 0; j < frame->proto->n_handlers; j++) {
            const Handler *handler = &frame->proto->handlers[j];
            if (handler->kind == HANDLER_CATCH && pc >= handler->start && pc < handler->end) return true;
        }
    }
    return false;
}

/* Retained as far as there is room. */
static void keep_value(FailedLocal *local, Value v, int64_t *left)
{
    int64_t bytes = v.tag == TAG_TENSOR && v.tensor->storage ? (int64_t)v.tensor->storage->bytes : 0;
    if (bytes > *left) {
        value_describe(v, local->type, sizeof local->type);
        return;
    }
    *left -= bytes;
    local->value = value_retain(v);
}

/* An argument of the call that failed may have left its variable already: the call's own registers have it. */
static Value moved_value(const Vm *vm, const Frame *frame, const char *name)
{
    const Proto *proto = frame->proto;
    int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
    Code w = pc >= 0 ? proto_code(proto, pc) : 0;
    bool method = pc >= 0 && CODE_OP(w) == CODE_CALL_METHOD;
    if (frame != &vm->frame[vm->n_frames - 1] || pc < 0 ||
        (!method && CODE_OP(w) != CODE_CALL && CODE_OP(w) != CODE_CALL_SITE))
        return VALUE_UNDEFINED;
    for (int i = 0; i < proto->n_operands; i++) {
        const OperandName *operand = &proto->operands[i];
        size_t length = operand->span.end - operand->span.start;
        if (operand->pc == pc && strlen(name) == length && operand->input <= (int)CODE_B(w) &&
            !memcmp(proto->source->text + operand->span.start, name, length))
            return frame->base[CODE_A(w) + 1 + (unsigned)operand->input];
    }
    return VALUE_UNDEFINED;
}

static void keep_locals(const Vm *vm, const Frame *frame, FailedFrame *kept, int64_t *left)
{
    FrameView view;
    if (!frame_look(frame, &view)) return;
    int count = view.count < KEEP_LOCALS ? view.count : KEEP_LOCALS;
    kept->local = calloc((size_t)count + 1, sizeof *kept->local);
    for (int i = 0; kept->local && i < count; i++) {
        const FrameVariable *variable = &view.variable[i];
        Value v = *variable->slot;
        if (v.tag == TAG_UNDEFINED && !variable->captured) v = moved_value(vm, frame, variable->name);
        FailedLocal *local = &kept->local[kept->count++];
        *local = (FailedLocal){.name = variable->name, .captured = variable->captured};
        if (v.tag != TAG_UNDEFINED) keep_value(local, v, left);
    }
    frame_view_clear(&view);
}

Failure *failure_take(const Vm *vm)
{
    int frames = vm->n_frames - vm->floor, count = frames < KEEP_FRAMES ? frames : KEEP_FRAMES;
    int64_t left = KEEP_BYTES;
    if (count == 0 || vm->exiting || failure_caught(vm)) return NULL;
    Failure *failure = calloc(1, sizeof *failure + (size_t)count * sizeof *failure->frame);
    if (!failure) return NULL;
    failure->count = count;
    failure->left_out = frames - count;
    for (int i = 0; i < count; i++) {
        const Frame *frame = &vm->frame[vm->n_frames - 1 - i];
        const Proto *proto = frame->proto;
        int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
        FailedFrame *kept = &failure->frame[i];
        kept->source = source_retain(proto->source);
        kept->module = proto->module;
        kept->span = pc >= 0 && pc < proto->n_code ? proto->spans[pc] : proto->span;
        kept->function = proto->name;
        keep_locals(vm, frame, kept, &left);
    }
    return failure;
}

void failure_free(Failure *failure)
{
    if (!failure) return;
    for (int i = 0; i < failure->count; i++) {
        FailedFrame *frame = &failure->frame[i];
        for (int j = 0; j < frame->count; j++) value_release(frame->local[j].value);
        free(frame->local);
        source_release(frame->source);
    }
    free(failure);
}

/* What another text meets while the user looks at a failure does not take its place. */
static bool is_looked_at(const Session *session)
{
    return session->vm->debugger && session->vm->debugger->failure;
}

void session_keep_failure(Session *session, Value error)
{
    if (is_looked_at(session)) return;
    failure_free(session->failure);
    session->failure = session->vm->failure;
    session->vm->failure = NULL;
    value_set(&session->failed, value_retain(error));
    session->failed_at = 0;
    const Failure *failure = session->failure;
    for (int i = 0; failure && i < failure->count; i++)
        if (!failure->frame[i].source->library) {      /* where the user's own code was, like the error itself */
            session->failed_at = i;
            break;
        }
}

void session_forget_failure(Session *session)
{
    if (is_looked_at(session)) return;
    failure_free(session->failure);
    session->failure = NULL;
    value_set(&session->failed, VALUE_UNDEFINED);
}

/* ---- showing ---- */

static bool has_failed(const Session *session)
{
    if (session->failed.tag == TAG_ERROR && session->failure) return true;
    return vm_fail(session->vm, ERROR_value, "", "no error has been kept: nothing has failed in this session");
}

bool command_trace(CommandCall *call)
{
    Session *session = call->session;
    DiagnoseOptions options = {.color = session->config.color, .library = true};
    Text out = {0};
    if (!has_failed(session)) return false;
    char *text = diagnose_error(session->failed.error, &options);
    if (!text) return vm_out_of_memory(session->vm);
    text_format(&out, "%s", text);
    free(text);
    return command_answer(call, &out);
}

static void add_place(const Session *session, Text *out)
{
    const FailedFrame *frame = &session->failure->frame[session->failed_at];
    uint32_t line, column, length;
    source_locate(frame->source, frame->span.start, &line, &column);
    const char *text = source_line(frame->source, line, &length);
    text_format(out, "frame %d of %d: %s:%u:%u", session->failed_at + 1, session->failure->count, frame->source->name,
                line, column);
    if (!frame->function) text_format(out, "  in a lambda");
    else if (*frame->function) text_format(out, "  in %s", frame->function);
    if (frame->source->library) text_format(out, "  (library)");
    text_format(out, "\n  %u | %.*s", line, (int)(length < 100 ? length : 100), text);
}

static bool move(CommandCall *call, int by)
{
    Session *session = call->session;
    Text out = {0};
    if (console_of(session)) return console_move(call, by);
    if (!has_failed(session)) return false;
    int to = session->failed_at + by;
    if (to < 0) return vm_fail(session->vm, ERROR_value, "", "this is the innermost frame");
    if (to >= session->failure->count)
        return vm_fail(session->vm, ERROR_value, "", session->failure->left_out ? "frames further out were not kept"
                                                                                 : "this is the outermost frame");
    session->failed_at = to;
    add_place(session, &out);
    return command_answer(call, &out);
}

bool command_up(CommandCall *call) { return move(call, 1); }
bool command_down(CommandCall *call) { return move(call, -1); }

#define SMALL 8               /* elements of a tensor that is shown whole */

static void add_local(Vm *vm, const FailedLocal *local, int width, Text *out)
{
    char type[96];
    Text value = {0};
    Value v = local->value;
    if (v.tag == TAG_UNDEFINED) {
        text_format(out, "\n  %-*s  %s, too large to keep", width, local->name, local->type);
        return;
    }
    value_describe(v, type, sizeof type);
    bool small = v.tag < TAG_LIST || (v.tag == TAG_TENSOR && tensor_size(v.tensor) <= SMALL);
    if (small) value_repr(vm, v, &value);
    bool line = value.length > 0 && value.length < 70 && !memchr(value.at, '\n', value.length);
    if (line && (v.tag < TAG_LIST || v.tag == TAG_TENSOR))
        text_format(out, "\n  %-*s  %.*s", width, local->name, (int)value.length, value.at);
    else
        text_format(out, "\n  %-*s  %s", width, local->name, type);
    text_free(&value);
}

static bool is_known(const FailedLocal *local)
{
    return local->value.tag != TAG_UNDEFINED || local->type[0];
}

static void add_locals(Session *session, const FailedFrame *frame, Text *out)
{
    int width = 1, missing = 0;
    for (int i = 0; i < frame->count; i++)
        if (is_known(&frame->local[i]) && (int)strlen(frame->local[i].name) > width)
            width = (int)strlen(frame->local[i].name);
    for (int i = 0; i < frame->count; i++)
        if (is_known(&frame->local[i])) add_local(session->vm, &frame->local[i], width, out);
    for (int i = 0; i < frame->count; i++)
        if (!is_known(&frame->local[i]))
            text_format(out, "%s%s", missing++ ? ", " : "\n  without a value, not yet or no longer: ",
                        frame->local[i].name);
    if (frame->count == 0 && frame->function && !*frame->function)
        text_format(out, "\n  its variables are the session's");
    else if (frame->count == 0)
        text_format(out, "\n  no variables");
}

static bool show_local(CommandCall *call, const FailedFrame *frame)
{
    Session *session = call->session;
    for (int i = 0; i < frame->count; i++)
        if (!strcmp(frame->local[i].name, call->argument) && frame->local[i].value.tag != TAG_UNDEFINED) {
            return session_echo(session, frame->local[i].value, call->result);
        }
    return vm_fail(session->vm, ERROR_name, "", "the frame has no variable %s with a value", call->argument);
}

bool command_locals(CommandCall *call)
{
    Session *session = call->session;
    Text out = {0};
    if (console_of(session)) return console_locals(call);
    if (!has_failed(session)) return false;
    const FailedFrame *frame = &session->failure->frame[session->failed_at];
    if (*call->argument) return show_local(call, frame);
    add_place(session, &out);
    add_locals(session, frame, &out);
    return command_answer(call, &out);
}
