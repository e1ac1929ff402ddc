/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames as the debugger sees them: where they are, their variables, and text evaluated among these. The frames are the
   machine's while something is stopped, else those kept of an error (failure.h).
   Invariant: what is evaluated leaves the machine as it was but for the variables that it assigns. */
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "display.h"

/* ---- frames ---- */

int frame_count(const Debugger *debugger)
{
    if (debugger->stopped || debugger->testing)
        return debugger->top - debugger->bottom;
    return debugger->failure ? debugger->failure->count : 0;
}

static FrameVariable *find_variable(const FrameView *view, const char *name)
{
    for (int i = 0; i < view->count; i++)
        if (view->variable[i].name == name)
            return &view->variable[i];
    return NULL;
}

/* Of variables of one name the one whose scope began last hides the others. */
static void add_variable(FrameView *view, const Frame *frame, const LocalName *name)
{
    FrameVariable *known = find_variable(view, name->name);
    const FunctionObject *function = frame->function;
    int capture = -1 - name->reg;
    if (!*name->name || view->pc < name->from || view->pc >= name->to ||
        (name->reg < 0 && (known || !function || capture >= function->n_values)))
        return;
    Value *slot = name->reg >= 0 ? &frame->base[name->reg] : &frame->function->value[capture];
    FrameVariable made = {name->name, slot, name->reg < 0, name->from};
    if (!known)
        view->variable[view->count++] = made;
    else if (known->from <= name->from)
        *known = made;
}

/* The object whose fields are in sight goes first. */
static void find_self(FrameView *view)
{
    for (int i = 0; i < view->count; i++) {
        FrameVariable found = view->variable[i];
        if (strcmp(found.name, "self") != 0 || found.slot->tag != TAG_OBJECT)
            continue;
        memmove(view->variable + 1, view->variable, (size_t)i * sizeof found);
        view->variable[0] = found;
        view->model = found.slot->object->model->constructor;
        return;
    }
}

bool frame_look(const Frame *frame, FrameView *view)
{
    const Proto *proto = frame->proto;
    int pc = (int)(frame->pc - proto->code) - 1;
    *view = (FrameView){.source = proto->source, .function = proto->name, .module = proto->module, .proto = proto,
                        .pc = pc, .span = pc >= 0 && pc < proto->n_code ? proto->spans[pc] : proto->span};
    view->variable = calloc((size_t)proto->n_names + 1, sizeof *view->variable);
    if (!view->variable)
        return false;
    for (int i = 0; i < proto->n_names; i++)       /* variables of the whole function, then of pieces of it */
        if (proto->names[i].reg >= 0 && proto->names[i].to == INT32_MAX)
            add_variable(view, frame, &proto->names[i]);
    for (int i = 0; i < proto->n_names; i++)
        if (proto->names[i].reg >= 0 && proto->names[i].to != INT32_MAX)
            add_variable(view, frame, &proto->names[i]);
    for (int i = 0; i < proto->n_names; i++)
        if (proto->names[i].reg < 0)
            add_variable(view, frame, &proto->names[i]);
    find_self(view);
    return true;
}

static bool look_at_failed(const FailedFrame *frame, FrameView *view)
{
    *view = (FrameView){.source = frame->source, .span = frame->span, .function = frame->function,
                        .module = frame->module};
    view->variable = calloc((size_t)frame->count + 1, sizeof *view->variable);
    for (int i = 0; view->variable && i < frame->count; i++)
        view->variable[view->count++] = (FrameVariable){frame->local[i].name, &frame->local[i].value,
                                                        frame->local[i].captured, 0};
    if (view->variable)
        find_self(view);
    return view->variable != NULL;
}

bool frame_view(const Debugger *debugger, int frame, FrameView *view)
{
    const Vm *vm = debugger->session->vm;
    *view = (FrameView){0};
    if (frame < 0) {
        *view = (FrameView){.module = vm->main};
        return true;
    }
    if (frame >= frame_count(debugger))
        return false;
    if (!debugger->stopped && !debugger->testing)
        return look_at_failed(&debugger->failure->frame[frame], view);
    if (!frame_look(&vm->frame[debugger->top - 1 - frame], view))
        return false;
    int mark = frame == 0 && debugger->at_statement ? debug_mark_at(view->proto, view->pc) : -1;
    if (mark >= 0)
        view->span = view->proto->marks[mark].span;
    return true;
}

void frame_view_clear(FrameView *view)
{
    free(view->variable);
    *view = (FrameView){0};
}

int session_debug_depth(const Session *session)
{
    return session->vm->debugger ? frame_count(session->vm->debugger) : 0;
}

bool session_debug_frame(Session *session, int frame, DebugFrame *out)
{
    FrameView view;
    uint32_t line, column, end_line, end_column;
    if (!session->vm->debugger || frame < 0 || !frame_view(session->vm->debugger, frame, &view))
        return false;
    source_locate(view.source, view.span.start, &line, &column);
    source_locate(view.source, view.span.end, &end_line, &end_column);
    *out = (DebugFrame){.function = view.function, .source = view.source->name, .line = (int)line,
                        .column = (int)column, .end_line = (int)end_line, .end_column = (int)end_column,
                        .library = view.source->library};
    frame_view_clear(&view);
    return true;
}

const char *session_debug_source(Session *session, const char *name, size_t *length)
{
    FrameView view;
    const Debugger *debugger = session->vm->debugger;
    const char *text = NULL;
    for (int i = 0; debugger && !text && i < frame_count(debugger); i++)
        if (frame_view(debugger, i, &view)) {
            text = !strcmp(view.source->name, name) ? view.source->text : NULL;
            *length = view.source->length;
            frame_view_clear(&view);
        }
    for (const Proto *proto = session->vm->protos; proto && !text; proto = proto->next)
        if (!strcmp(proto->source->name, name)) {
            text = proto->source->text;
            *length = proto->source->length;
        }
    return text ? text : session_embedded(name, length);
}

void session_debug_sources(const Session *session, DebugSourceReport *report, void *user)
{
    for (const Proto *proto = session->vm->protos; proto; proto = proto->next)
        report(user, proto->source->name, proto->source->library);
}

/* ---- evaluating ---- */

void frame_visit(Debugger *debugger, Suspended *kept)
{
    Vm *vm = debugger->session->vm;
    vm_suspend(vm, kept);
    vm->keeps_failures = false;
    if (debugger->testing)
        vm->tensors.serve = NULL;
    debugger->busy++;
    atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_INTERRUPT);
}

/* An interrupt that came too late for it does not reach what is stopped. */
void frame_visit_end(Debugger *debugger, Suspended *kept)
{
    Vm *vm = debugger->session->vm;
    if (!debugger->testing)
        atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_INTERRUPT);
    debugger->busy--;
    vm_resume(vm, kept);
}

Proto *frame_compile(Debugger *debugger, const FrameView *view, Parse *parse, bool *muted)
{
    Vm *vm = debugger->session->vm;
    const char **names = calloc((size_t)view->count + 1, sizeof *names);
    if (!names)
        return NULL;
    for (int i = 0; i < view->count; i++)
        names[i] = view->variable[i].name;
    Proto *proto = compile_for_frame(vm, view->module, parse, view->count, names, view->model, muted);
    free(names);
    return debug_compiled(vm, proto);
}

void debug_hand_back(Vm *vm, Value *r, int count)
{
    Debugger *debugger = vm->debugger;
    FrameView *view = debugger->target;
    for (int i = 0; i < count && i < view->count; i++) {
        FrameVariable *variable = &view->variable[i];
        if (r[i].tag == TAG_UNDEFINED || (r[i].head == variable->slot->head && r[i].i == variable->slot->i))
            continue;
        if (variable->captured)
            debugger->refused = variable->name;
        else
            value_set(variable->slot, value_retain(r[i]));
    }
}

static bool refuse(Debugger *debugger)
{
    Vm *vm = debugger->session->vm;
    vm_fail(vm, ERROR_name, "", "%s belongs to the function outside", debugger->refused);
    error_hint(&vm->tensors.error, "this function has a copy of it, from when it was made; assign in the frame outside");
    return false;
}

/* exit() ends what is stopped, too, once it goes on. */
static EvalStatus note_exit(Debugger *debugger, EvalResult *result)
{
    if (result->status == EVAL_EXIT) {
        debugger->exiting = true;
        debugger->exit_code = result->exit_code;
    }
    return result->status;
}

bool frame_run(Debugger *debugger, FrameView *view, Proto *proto, Value *out, EvalResult *result)
{
    Vm *vm = debugger->session->vm;
    Suspended kept;
    FrameView *outer = debugger->target;
    Value *values = calloc((size_t)view->count + 1, sizeof *values), made = VALUE_UNDEFINED;
    frame_visit(debugger, &kept);
    vm->tensors.recording = kept.tensors.recording;      /* what takes a variable's place has its gradient */
    vm->tensors.boundary = kept.tensors.boundary;
    for (int i = 0; values && i < view->count; i++)
        values[i] = *view->variable[i].slot;
    debugger->target = view;
    debugger->refused = NULL;
    bool fine = values ? vm_run_with(vm, proto, view->count, values, &made) : vm_out_of_memory(vm);
    if (fine && debugger->refused)
        fine = refuse(debugger);
    debugger->target = outer;
    if (!fine)
        session_fail(debugger->session, result);
    frame_visit_end(debugger, &kept);
    free(values);
    if (fine)
        *out = made;
    else
        value_release(made);
    note_exit(debugger, result);
    return fine;
}

static EvalStatus refuse_with(const char *message, EvalResult *result)
{
    *result = (EvalResult){.status = EVAL_ERROR, .error = strdup(message), .error_kind = strdup("value"),
                           .error_message = strdup(message)};
    return EVAL_ERROR;
}

static EvalStatus out_of_memory(Debugger *debugger, EvalResult *result)
{
    Suspended kept;
    frame_visit(debugger, &kept);
    vm_out_of_memory(debugger->session->vm);
    session_fail(debugger->session, result);
    frame_visit_end(debugger, &kept);
    return result->status;
}

EvalStatus frame_evaluate(Debugger *debugger, int frame, const char *text, size_t length, Value *out, bool *shown,
                          EvalResult *result)
{
    FrameView view;
    bool muted;
    *result = (EvalResult){0};
    *out = VALUE_UNDEFINED;
    if (debugger->session->serving)
        return refuse_with("nothing can be evaluated inside an op", result);
    Source *source = source_new("<debug>", text, length, false);
    Parse *parse = source ? parse_source(source, false) : NULL;
    source_release(source);
    if (!parse || !frame_view(debugger, frame, &view)) {
        if (parse)
            parse_free(parse);
        return out_of_memory(debugger, result);
    }
    Proto *proto = parse->errors ? NULL : frame_compile(debugger, &view, parse, &muted);
    if (proto)
        frame_run(debugger, &view, proto, out, result);
    else if (parse->errors)
        session_fail_syntax(debugger->session, parse, result);
    else
        out_of_memory(debugger, result);
    if (shown)
        *shown = proto && !muted && out->tag != TAG_NONE;
    proto_release(proto);
    frame_view_clear(&view);
    parse_free(parse);
    return result->status;
}

/* A name, or a path of names from one: what can be evaluated again for the same thing. */
static bool is_path(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
        bool start = i == 0 || text[i - 1] == '.';
        if (!letter && !(!start && ((c >= '0' && c <= '9') || (c == '.' && i + 1 < length))))
            return false;
    }
    return length > 0;
}

static bool show_value(Debugger *debugger, int frame, Value value, const char *text, size_t length, DebugVariables *out)
{
    char *expression = is_path(text, length) ? strndup(text, length) : NULL;
    bool fine = tree_add(debugger, out, expression ? expression : "", DEBUG_PLAIN, value, frame, expression);
    free(expression);
    return fine;
}

static void display_value(Debugger *debugger, Value value, EvalResult *result)
{
    Suspended kept;
    Vm *vm = debugger->session->vm;
    frame_visit(debugger, &kept);
    result->display = display_of(vm, value, display_forms(vm));
    result->text = result->display ? strdup(result->display->form[0].data) : NULL;
    if (!result->text)
        session_fail(debugger->session, result);
    frame_visit_end(debugger, &kept);
    note_exit(debugger, result);
}

EvalStatus session_debug_evaluate(Session *session, int frame, const char *text, size_t length, DebugVariables *out,
                                  EvalResult *result)
{
    Debugger *debugger = session->vm->debugger;
    Value value = VALUE_UNDEFINED;
    bool shown = false;
    if (out)
        *out = (DebugVariables){0};
    if (!debugger)
        return refuse_with("the debugger is not attached", result);
    if (frame_evaluate(debugger, frame, text, length, &value, &shown, result) == EVAL_OK && shown) {
        display_value(debugger, value, result);
        if (out && result->status == EVAL_OK && !show_value(debugger, frame, value, text, length, out))
            out_of_memory(debugger, result);
    }
    value_release(value);
    return result->status;
}

EvalStatus session_debug_copy(Session *session, int frame, const char *from, const char *to, EvalResult *result)
{
    Debugger *debugger = session->vm->debugger;
    Vm *vm = session->vm;
    Value value = VALUE_UNDEFINED;
    if (!debugger)
        return refuse_with("the debugger is not attached", result);
    if (frame_evaluate(debugger, frame, from, strlen(from), &value, NULL, result) != EVAL_OK)
        return result->status;
    const char *name = is_path(to, strlen(to)) && !strchr(to, '.') ? name_intern(vm, to, strlen(to)) : NULL;
    uint32_t slot = name ? module_slot(vm->main, name) : UINT32_MAX;
    if (slot == UINT32_MAX) {
        value_release(value);
        return out_of_memory(debugger, result);
    }
    value_set(&vm->main->slot[slot].value, value);
    return result->status;
}
