/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger at a prompt: :debug, :break and what is typed while something is stopped. It asks through config.input,
   so that it works wherever input() does: on a terminal, in a notebook, behind a pipe.
   Invariant: while it asks, whatever is typed comes back to it; only a command that says so goes on. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "display.h"

enum { CONTEXT = 2 };         /* lines shown before and after the current one */

/* ---- showing ---- */

static void say(Debugger *debugger, Text *text)
{
    if (!text->failed && text->length)
        vm_output(debugger->session->vm, OUTPUT_OUT, text->at, text->length);
    text_free(text);
}

static void add_function(const char *function, Text *out)
{
    if (!function)
        text_format(out, "a lambda at ");
    else if (*function)
        text_format(out, "%s at ", function);
}

static void add_place(const FrameView *view, Text *out)
{
    uint32_t line, column;
    source_locate(view->source, view->span.start, &line, &column);
    add_function(view->function, out);
    text_format(out, "%s:%u", view->source->name, line);
}

static void add_lines(const FrameView *view, bool color, Text *out)
{
    uint32_t at, column, length;
    source_locate(view->source, view->span.start, &at, &column);
    uint32_t first = at > CONTEXT ? at - CONTEXT : 1, last = at + CONTEXT;
    if (last > view->source->n_lines)
        last = view->source->n_lines;
    for (uint32_t line = first; line <= last; line++) {
        const char *text = source_line(view->source, line, &length);
        if (line > at && length == 0 && line == view->source->n_lines)
            break;
        text_format(out, "%s%s %4u | %.*s%s\n", line == at && color ? "\033[1m" : "", line == at ? "->" : "  ", line,
                    (int)length, text, line == at && color ? "\033[0m" : "");
    }
}

static void show_selected(Debugger *debugger, const char *why)
{
    FrameView view;
    Text out = {0};
    if (!frame_view(debugger, debugger->selected, &view))
        return;
    if (why) {
        text_format(&out, "%s: ", why);
        add_place(&view, &out);
        text_format(&out, "\n");
    }
    add_lines(&view, debugger->session->config.color, &out);
    frame_view_clear(&view);
    say(debugger, &out);
}

static bool is_hidden(const Debugger *debugger, int frame)
{
    FrameView view;
    bool hidden = frame_view(debugger, frame, &view) && view.source->library && debugger->just_my_code;
    frame_view_clear(&view);
    return hidden;
}

/* ---- reading ---- */

static char *prompt_of(Debugger *debugger)
{
    FrameView view;
    Text out = {0};
    text_format(&out, "(debug) ");
    if (frame_view(debugger, debugger->selected, &view)) {
        add_place(&view, &out);
        frame_view_clear(&view);
    }
    text_format(&out, "> ");
    if (out.failed)
        text_free(&out);
    return out.at;
}

/* NULL: the end of the input, or *interrupted. */
static char *ask_line(Session *session, const char *prompt, bool *interrupted)
{
    const SessionConfig *config = &session->config;
    char *line = config->input ? config->input(config->user, prompt, false) : NULL;
    *interrupted = atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_INTERRUPT) & FLAG_INTERRUPT;
    if (*interrupted) {
        free(line);
        return NULL;
    }
    return line;
}

/* As many lines as the code needs. */
static char *read_text(Debugger *debugger, bool *interrupted)
{
    char *prompt = prompt_of(debugger), *text = ask_line(debugger->session, prompt ? prompt : "(debug) > ", interrupted);
    int indent;
    free(prompt);
    while (text && !command_possible(text, strlen(text)) &&
           command_code_complete(text, strlen(text), &indent) == CODE_INCOMPLETE) {
        char *more = ask_line(debugger->session, "... ", interrupted), *both = NULL;
        if (more && asprintf(&both, "%s\n%s", text, more) < 0)
            both = NULL;
        bool ends = !more || (!*more && text[strlen(text) - 1] == '\n');
        free(more);
        if (!both && *interrupted) {
            free(text);
            return NULL;
        }
        if (!both)
            break;
        free(text);
        text = both;
        if (ends)
            break;
    }
    return text;
}

/* ---- the prompt ---- */

Debugger *console_of(const Session *session)
{
    Debugger *debugger = session->vm->debugger;
    return debugger && debugger->console ? debugger : NULL;
}

static void show_result(Debugger *debugger, EvalResult *result)
{
    Vm *vm = debugger->session->vm;
    if (result->display)
        display_send(vm, result->display);
    if (result->error) {
        vm_output(vm, OUTPUT_ERR, result->error, strlen(result->error));
        vm_output(vm, OUTPUT_ERR, "\n", 1);
    }
    eval_result_clear(result);
}

/* Commands are the session's, the ones that go on among them. */
static void run_commands(Debugger *debugger, const char *text)
{
    Suspended kept;
    EvalResult result = {0};
    frame_visit(debugger, &kept);
    command_eval(debugger->session, "<debug>", text, strlen(text), &result);
    frame_visit_end(debugger, &kept);
    if (result.status == EVAL_EXIT && !debugger->resume) {
        debugger->exiting = true;
        debugger->exit_code = result.exit_code;
    }
    show_result(debugger, &result);
}

static void run_text(Debugger *debugger, const char *text)
{
    EvalResult result = {0};
    if (command_possible(text, strlen(text))) {
        run_commands(debugger, text);
        return;
    }
    session_debug_evaluate(debugger->session, debugger->selected, text, strlen(text), NULL, &result);
    show_result(debugger, &result);
}

static void talk(Debugger *debugger)
{
    while (!debugger->resume && !debugger->exiting && !debugger->leaving) {
        bool interrupted;
        char *text = read_text(debugger, &interrupted);
        if (!text && !interrupted) {
            debugger->action = DEBUG_TERMINATE;
            debugger->repeats = false;
            debugger->resume = true;
        } else if (text && !text[strspn(text, " \t\n")]) {
            debugger->resume = debugger->repeats;
        } else if (text) {
            run_text(debugger, text);
        }
        free(text);
    }
}

static void open_console(Debugger *debugger)
{
    debugger->console = true;
    debugger->resume = false;
    debugger->selected = 0;
    for (int i = 0; i < frame_count(debugger); i++)      /* where the user's own code is */
        if (!is_hidden(debugger, i)) {
            debugger->selected = i;
            break;
        }
}

DebugAction debug_console(Debugger *debugger, const DebugStop *stop)
{
    Vm *vm = debugger->session->vm;
    if (!debugger->session->config.input) {
        Text note = {0};
        text_format(&note, "%s: nobody can be asked here, so it goes on\n", stop->description);
        say(debugger, &note);
        return DEBUG_CONTINUE;
    }
    open_console(debugger);
    if (stop->error) {
        vm_output(vm, OUTPUT_ERR, stop->error, strlen(stop->error));
        vm_output(vm, OUTPUT_ERR, "\n", 1);
    }
    show_selected(debugger, stop->error ? NULL : stop->description);
    talk(debugger);
    debugger->console = false;
    return debugger->resume ? debugger->action : DEBUG_TERMINATE;
}

/* ---- going on ---- */

static bool nothing_stopped(Vm *vm)
{
    vm_fail(vm, ERROR_value, "", "nothing is stopped");
    error_hint(&vm->tensors.error, ":debug f(x) stops in f; :break file:line or :break f says where to stop");
    return false;
}

static bool go_on(CommandCall *call, DebugAction action)
{
    Debugger *debugger = console_of(call->session);
    if (!debugger)
        return nothing_stopped(call->session->vm);
    if (!debugger->stopped) {
        vm_fail(call->session->vm, ERROR_value, "", "it has ended with this error: there is nothing to go on with");
        error_hint(&call->session->vm->tensors.error, ":quit leaves the debugger");
        return false;
    }
    debugger->action = action;
    debugger->resume = debugger->repeats = true;
    return true;
}

bool command_step(CommandCall *call) { return go_on(call, DEBUG_STEP_IN); }
bool command_next(CommandCall *call) { return go_on(call, DEBUG_STEP_OVER); }
bool command_out(CommandCall *call) { return go_on(call, DEBUG_STEP_OUT); }
bool command_continue(CommandCall *call) { return go_on(call, DEBUG_CONTINUE); }

bool console_quit(CommandCall *call)
{
    Debugger *debugger = console_of(call->session);
    debugger->action = DEBUG_TERMINATE;
    debugger->resume = true;
    debugger->repeats = false;
    return true;
}

/* ---- looking ---- */

bool console_move(CommandCall *call, int by)
{
    Debugger *debugger = console_of(call->session);
    Text out = {0};
    FrameView view;
    int to = debugger->selected + by;
    while (to >= 0 && to < frame_count(debugger) && is_hidden(debugger, to))
        to += by;
    if (to < 0 || to >= frame_count(debugger))
        return vm_fail(call->session->vm, ERROR_value, "", "this is the %s frame", by < 0 ? "innermost" : "outermost");
    if (!frame_view(debugger, to, &view))
        return vm_out_of_memory(call->session->vm);
    debugger->selected = to;
    add_lines(&view, call->session->config.color, &out);
    frame_view_clear(&view);
    return command_answer(call, &out);
}

static void add_frame(const Debugger *debugger, int frame, const FrameView *view, Text *out)
{
    uint32_t line, column, length;
    Text place = {0};
    source_locate(view->source, view->span.start, &line, &column);
    const char *text = source_line(view->source, line, &length);
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    add_place(view, &place);
    text_format(out, "%s %2d  %-32s  %.*s\n", frame == debugger->selected ? "->" : "  ", frame, place.at ? place.at : "",
                (int)(length < 80 ? length : 80), text);
    text_free(&place);
}

bool command_where(CommandCall *call)
{
    Debugger *debugger = console_of(call->session);
    Text out = {0};
    int hidden = 0;
    if (!debugger)
        return nothing_stopped(call->session->vm);
    for (int i = 0; i < frame_count(debugger); i++) {
        FrameView view;
        if (is_hidden(debugger, i)) {
            hidden++;
            continue;
        }
        if (hidden)
            text_format(&out, "       … %d of the library\n", hidden);
        hidden = 0;
        if (frame_view(debugger, i, &view))
            add_frame(debugger, i, &view, &out);
        frame_view_clear(&view);
    }
    return command_answer(call, &out);
}

static void add_variable(Vm *vm, const char *name, int width, Value v, Text *out)
{
    char type[96];
    Text line = {0};
    value_describe(v, type, sizeof type);
    value_preview(vm, v, &line);
    text_format(out, "%-*s  ", width, name);
    if (v.tag == TAG_TENSOR || v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_MAP || v.tag == TAG_SET)
        text_format(out, "%s  ", type);
    text_format(out, "%s\n", line.at ? line.at : "");
    text_free(&line);
}

static int name_width(const FrameView *view)
{
    int width = 1;
    for (int i = 0; i < view->count; i++)
        if (view->variable[i].slot->tag != TAG_UNDEFINED && (int)strlen(view->variable[i].name) > width)
            width = (int)strlen(view->variable[i].name);
    return width < 30 ? width : 30;
}

bool console_locals(CommandCall *call)
{
    Debugger *debugger = console_of(call->session);
    Text out = {0};
    FrameView view;
    int shown = 0;
    if (*call->argument) {
        session_debug_evaluate(call->session, debugger->selected, call->argument, strlen(call->argument), NULL,
                               call->result);
        return call->result->status == EVAL_OK;
    }
    if (!frame_view(debugger, debugger->selected, &view))
        return vm_out_of_memory(call->session->vm);
    for (int i = 0; i < view.count; i++)
        if (view.variable[i].slot->tag != TAG_UNDEFINED) {
            add_variable(call->session->vm, view.variable[i].name, name_width(&view), *view.variable[i].slot, &out);
            shown++;
        }
    if (!shown && view.function && !*view.function)
        text_format(&out, "its variables are the session's, or the file's");
    else if (!shown)
        text_format(&out, "no variables have a value yet");
    frame_view_clear(&view);
    return command_answer(call, &out);
}

/* ---- :debug ---- */

/* Nobody waits for it any more: code runs at full speed again. */
static void detach_if_idle(Session *session)
{
    const Debugger *debugger = session->vm->debugger;
    if (debugger && !debugger->breakpoints && debugger->errors == DEBUG_ERRORS_NONE && !debugger->held && !debugger->busy)
        session_debug_attach(session, false);
}

static bool look_at_failure(CommandCall *call)
{
    Session *session = call->session;
    Vm *vm = session->vm;
    if (session->failed.tag != TAG_ERROR || !session->failure) {
        vm_fail(vm, ERROR_value, "", "no error has been kept: nothing has failed in this session");
        error_hint(&vm->tensors.error, ":debug f(x) runs f(x) and stops in f");
        return false;
    }
    Debugger *debugger = debug_attach(session);
    if (!debugger)
        return false;
    DiagnoseOptions options = {.color = session->config.color};
    char *text = diagnose_error(session->failed.error, &options);
    DebugStop stop = {.reason = DEBUG_AT_ERROR, .description = "error", .error = text ? text : "out of memory"};
    debugger->failure = session->failure;
    debugger->busy++;
    debug_console(debugger, &stop);
    debugger->busy--;
    debugger->failure = NULL;
    tree_forget(debugger);
    bool exiting = debugger->exiting;
    int code = debugger->exit_code;
    debugger->exiting = false;
    free(text);
    if (debugger->leaving)
        session_debug_attach(session, false);
    detach_if_idle(session);
    return exiting ? vm_exit(vm, code) : true;
}

/* One expression is stepped into; statements are stopped at. */
static bool is_one_expression(const char *text)
{
    Source *source = source_new("<input>", text, strlen(text), false);
    Parse *parse = source ? parse_source(source, true) : NULL;
    bool one = parse && parse->statements.count == 1 && parse->statements.at[0]->kind == NODE_EXPR;
    if (parse)
        parse_free(parse);
    source_release(source);
    return one;
}

static bool run_stopping(CommandCall *call, Debugger *debugger, Proto *proto, bool expression)
{
    Session *session = call->session;
    Vm *vm = session->vm;
    Value value = VALUE_UNDEFINED;
    long long stops = debugger->stops;
    size_t length = strlen(call->argument);
    debug_enter(debugger, expression ? proto : NULL);
    session_debug_pause_on_interrupt(session, true);
    bool fine = vm_run_proto(vm, proto, &value), stopped = true;
    session_debug_pause_on_interrupt(session, false);
    if (vm->debugger) {
        stopped = vm->debugger->stops != stops;
        debug_leave(vm->debugger);
    }
    if (fine && expression && value.tag != TAG_NONE && (length == 0 || call->argument[length - 1] != ';'))
        fine = session_echo(session, value, call->result);
    value_release(value);
    if (fine && !stopped)
        vm_output(vm, OUTPUT_OUT, "no statement of yours was reached, so there was nothing to stop at\n", 67);
    return fine;
}

bool command_debug(CommandCall *call)
{
    Session *session = call->session;
    Vm *vm = session->vm;
    if (console_of(session) || (vm->debugger && vm->debugger->busy))
        return vm_fail(vm, ERROR_value, "", "the debugger is stopped already: an expression is evaluated in its frame");
    if (!session->config.input && !session->config.stopped)
        return vm_fail(vm, ERROR_value, "", "the debugger has nobody to ask here");
    if (!*call->argument)
        return look_at_failure(call);
    Proto *proto = command_compile(call);
    Debugger *debugger = proto ? debug_attach(session) : NULL;
    bool fine = debugger && run_stopping(call, debugger, proto, is_one_expression(call->argument));
    if (proto)
        proto_release(proto);
    detach_if_idle(session);
    return fine;
}

/* ---- :break ---- */

static void add_breakpoint(const Breakpoint *breakpoint, Text *out)
{
    const DebugBreakpoint *told = &breakpoint->told;
    if (breakpoint->function)
        text_format(out, "%d  %s", told->id, breakpoint->function);
    else
        text_format(out, "%d  %s:%d", told->id, breakpoint->source, told->verified ? told->verified : told->line);
    if (!breakpoint->function && told->verified && told->verified != told->line)
        text_format(out, "  (line %d has no statement)", told->line);
    if (breakpoint->function && !breakpoint->n_spots)
        text_format(out, "  (not defined yet)");
    if (told->condition)
        text_format(out, "  if %s", told->condition);
    if (breakpoint->hits)
        text_format(out, "  hit %lld time%s", breakpoint->hits, breakpoint->hits == 1 ? "" : "s");
    text_format(out, "\n");
}

static bool list_breakpoints(CommandCall *call)
{
    static const char *const errors[] = {"", "errors that nothing catches\n", "all errors\n"};
    const Debugger *debugger = call->session->vm->debugger;
    Text out = {0};
    for (const Breakpoint *at = debugger ? debugger->breakpoints : NULL; at; at = at->next)
        add_breakpoint(at, &out);
    if (debugger)
        text_format(&out, "%s", errors[debugger->errors]);
    if (!out.length)
        text_format(&out, "no breakpoints; :break file:line or :break f sets one");
    return command_answer(call, &out);
}

static bool break_on_errors(CommandCall *call, DebugErrors which)
{
    Debugger *debugger = debug_attach(call->session);
    Text out = {0};
    if (!debugger)
        return false;
    debugger->errors = which;
    text_format(&out, "stops where an error is raised%s", which == DEBUG_ERRORS_ALL ? ", caught or not"
                                                                                   : " that nothing catches");
    return command_answer(call, &out);
}

/* "place if condition": the condition, cut off; NULL: none. */
static char *cut_condition(char *text)
{
    char *found = strstr(text, " if ");
    if (!found)
        return NULL;
    *found = 0;
    return found + 4 + strspn(found + 4, " ");
}

/* "file:12", or while something is stopped "12": the line, and *source; 0: it is a function's name. */
static int cut_line(CommandCall *call, char *text, const char **source, FrameView *view)
{
    char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    const Debugger *debugger = console_of(call->session);
    if (!*digits || digits[strspn(digits, "0123456789")] || strlen(digits) > 8)
        return 0;
    if (colon) {
        *colon = 0;
        *source = text;
    } else if (debugger && frame_view(debugger, debugger->selected, view)) {
        *source = view->source->name;
    }
    return *source ? atoi(digits) : 0;
}

static bool is_callable_path(const char *text)
{
    size_t length = strlen(text);
    bool fine = length > 0 && !(*text >= '0' && *text <= '9') && *text != '.' && text[length - 1] != '.';
    for (const char *c = text; *c; c++)
        fine = fine && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' ||
                        *c == '.' || (*c & 0x80));
    return fine;
}

static bool wrong_place(CommandCall *call, const char *text)
{
    Vm *vm = call->session->vm;
    vm_fail(vm, ERROR_argument, "", "%.100s is no place", text);
    error_hint(&vm->tensors.error, "write file:line, <input 3>:2, the name of a function, Model.method, or error");
    return false;
}

static bool set_break(CommandCall *call, char *text)
{
    Vm *vm = call->session->vm;
    FrameView view = {0};
    Text out = {0};
    const char *source = NULL;
    char *error = NULL, *condition = cut_condition(text);
    int line = cut_line(call, text, &source, &view);
    if (!source && !is_callable_path(text))
        return wrong_place(call, text);
    if (source && line == 0)
        return vm_fail(vm, ERROR_argument, "", "lines are counted from 1");
    Debugger *debugger = debug_attach(call->session);
    DebugBreakpoint asked = {.line = line, .condition = condition};
    const Breakpoint *made = debugger ? breakpoint_add(debugger, source, source ? NULL : text, &asked, &error) : NULL;
    frame_view_clear(&view);
    if (made) {
        text_format(&out, "breakpoint ");
        add_breakpoint(made, &out);
    } else {
        vm_fail(vm, ERROR_value, "", "%s", error ? error : "no memory is left");
    }
    free(error);
    detach_if_idle(call->session);
    return made ? command_answer(call, &out) : false;
}

bool command_break(CommandCall *call)
{
    if (!*call->argument)
        return list_breakpoints(call);
    if (!strcmp(call->argument, "error"))
        return break_on_errors(call, DEBUG_ERRORS_UNCAUGHT);
    if (!strcmp(call->argument, "error all"))
        return break_on_errors(call, DEBUG_ERRORS_ALL);
    return set_break(call, call->argument);
}

bool command_unbreak(CommandCall *call)
{
    Session *session = call->session;
    Debugger *debugger = session->vm->debugger;
    char *end;
    bool all = !strcmp(call->argument, "all"), errors = !strcmp(call->argument, "error");
    long id = strtol(call->argument, &end, 10);
    bool found = debugger && ((errors && debugger->errors != DEBUG_ERRORS_NONE) ||
                              (all && (debugger->breakpoints || debugger->errors != DEBUG_ERRORS_NONE)));
    if (debugger && (all || errors))
        debugger->errors = DEBUG_ERRORS_NONE;
    while (all && debugger && debugger->breakpoints && breakpoint_remove(debugger, debugger->breakpoints->told.id)) {}
    if (!all && !errors && end != call->argument && !*end)
        found = debugger && id > 0 && id < 1 << 30 && breakpoint_remove(debugger, (int)id);
    detach_if_idle(session);
    if (found)
        return true;
    vm_fail(session->vm, ERROR_value, "", "there is no breakpoint %.60s", call->argument);
    error_hint(&session->vm->tensors.error, ":break lists them; :unbreak all removes them all");
    return false;
}
