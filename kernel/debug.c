/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger's conversation: which command is whose, who is attached, what a stop is, and how the cell goes on. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "requests.h"

enum { THE_THREAD = 1 };      /* a session computes on one */

typedef enum When { ALWAYS, STARTED, STOPPED } When;
typedef enum Where { ANYWHERE, AT_STEP } Where;

typedef struct Command {
    const char *name;
    When when;
    Where where;
    const char *capability;
    bool (*run)(DebugCall *call);
} Command;

static const Command commands[] = {
#define COMMAND(name, command, when, where, capability) {#command, when, where, capability, debug_##name},
#include "dap.def"
#undef COMMAND
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* What a client can choose under "break on errors". */
static const struct { const char *filter, *label, *description; DebugErrors errors; } filters[] = {
    {"uncaught", "Uncaught errors", "Stops where an error was raised that nothing catches", DEBUG_ERRORS_UNCAUGHT},
    {"all", "All errors", "Stops wherever an error is raised, also when try catches it", DEBUG_ERRORS_ALL},
};
enum { FILTERS = sizeof filters / sizeof *filters };

/* ---- failing, and arguments ---- */

bool debug_refuse(DebugCall *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(call->error);
    if (vasprintf(&call->error, format, arguments) < 0) call->error = NULL;
    va_end(arguments);
    return false;
}

/* With the first line of the error: "division by zero: 7 // 0". */
bool debug_refuse_result(DebugCall *call, const EvalResult *result)
{
    char *plain = debug_plain(result->error ? result->error : "out of memory");
    if (plain) plain[strcspn(plain, "\n")] = 0;
    debug_refuse(call, "%s", plain ? plain : "out of memory");
    free(plain);
    return false;
}

char *debug_plain(const char *text)
{
    char *plain = malloc(strlen(text) + 1), *to = plain;
    for (const char *at = text; plain && *at;) {
        if (*at == '\033') at += strcspn(at, "m") + (at[strcspn(at, "m")] == 'm');
        else *to++ = *at++;
    }
    if (plain) *to = 0;
    return plain;
}

const char *debug_text(DebugCall *call, const char *key, size_t *length)
{
    const json_t *text = json_object_get(call->arguments, key);
    if (!json_is_string(text)) {
        debug_refuse(call, "the argument '%s' must be a string", key);
        return NULL;
    }
    if (length) *length = json_string_length(text);
    return json_string_value(text);
}

bool debug_number(DebugCall *call, const char *key, json_int_t *number)
{
    const json_t *value = json_object_get(call->arguments, key);
    if (!json_is_integer(value)) return debug_refuse(call, "the argument '%s' must be an integer", key);
    *number = json_integer_value(value);
    return *number >= 0 || debug_refuse(call, "the argument '%s' must not be negative", key);
}

bool debug_number_or(DebugCall *call, const char *key, json_int_t otherwise, json_int_t *number)
{
    const json_t *value = json_object_get(call->arguments, key);
    *number = otherwise;
    return !value || json_is_null(value) || debug_number(call, key, number);
}

bool debug_thread(DebugCall *call)
{
    json_int_t thread;
    if (!debug_number_or(call, "threadId", THE_THREAD, &thread)) return false;
    return thread == THE_THREAD || debug_refuse(call, "there is no thread %lld, only %d", (long long)thread, THE_THREAD);
}

static bool flag_of(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* ---- events ---- */

void debug_event(Kernel *kernel, const char *name, json_t *body_taken)
{
    Debugger *debugger = &kernel->debugger;
    output_flush(&kernel->output);
    publish(kernel, "debug_event", debugger->client,
            json_pack("{sI ss ss so}", "seq", ++debugger->events, "type", "event", "event", name, "body", body_taken));
}

static void tell_continued(Kernel *kernel)
{
    debug_event(kernel, "continued", json_pack("{si sb}", "threadId", THE_THREAD, "allThreadsContinued", 1));
}

static const char *reason_of(const DebugStop *stop)
{
    switch (stop->reason) {
    case DEBUG_AT_ENTRY: return "entry";
    case DEBUG_AT_STEP: return "step";
    case DEBUG_AT_PAUSE: return "pause";
    case DEBUG_AT_ERROR: return "exception";
    case DEBUG_AT_BREAKPOINT: break;
    }
    return stop->function ? "function breakpoint" : "breakpoint";
}

/* The client's numbers of the breakpoints that were hit, each once. */
static json_t *hits_of(const Debugger *debugger, const DebugStop *stop)
{
    json_t *hits = json_array(), *seen = json_object();
    for (int i = 0; i < stop->n_breakpoints; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", stop->breakpoint[i]);
        const json_t *same = json_object_get(debugger->same, key);
        json_int_t number = same ? json_integer_value(same) : stop->breakpoint[i];
        snprintf(key, sizeof key, "%d", (int)number);
        if (json_object_get(seen, key)) continue;
        json_object_set_new(seen, key, json_true());
        json_array_append_new(hits, json_integer(number));
    }
    json_decref(seen);
    return hits;
}

static void tell_stopped(Kernel *kernel, const DebugStop *stop)
{
    json_t *body = json_pack("{ss so si sb so}", "reason", reason_of(stop), "description",
                             json_from_text(stop->description ? stop->description : ""), "threadId", THE_THREAD,
                             "allThreadsStopped", 1, "hitBreakpointIds", hits_of(&kernel->debugger, stop));
    if (stop->error_message) json_object_set_new(body, "text", json_from_text(stop->error_message));
    debug_event(kernel, "stopped", body);
}

/* Messages go out together, as a loop may log as fast as it turns. */
void debug_tell_logged(Kernel *kernel)
{
    Debugger *debugger = &kernel->debugger;
    if (debugger->n_logged == 0) return;
    json_t *text = json_from_bytes(debugger->logged, debugger->n_logged);
    debugger->n_logged = 0;
    debug_event(kernel, "output", json_pack("{ss so}", "category", "console", "output", text));
}

/* In the cell, where JupyterLab's users look, and as the event that other clients have a console for. */
void debug_logged(Kernel *kernel, const char *text, size_t length)
{
    Debugger *debugger = &kernel->debugger;
    output_write(&kernel->output, OUTPUT_OUT, text, length);
    output_write(&kernel->output, OUTPUT_OUT, "\n", 1);
    if (!debugger->started || (!debugger->logged && !(debugger->logged = malloc(OUTPUT_CHUNK)))) return;
    if (length > OUTPUT_CHUNK - 1) length = OUTPUT_CHUNK - 1;
    if (length + 1 > OUTPUT_CHUNK - debugger->n_logged) debug_tell_logged(kernel);
    if (debugger->n_logged == 0) debugger->logged_since = seconds_now();
    memcpy(debugger->logged + debugger->n_logged, text, length);
    debugger->logged[debugger->n_logged + length] = '\n';
    debugger->n_logged += length + 1;
    if (seconds_now() - debugger->logged_since > OUTPUT_DELAY) debug_tell_logged(kernel);
}

/* ---- being stopped ---- */

/* Numbers of frames are never used twice: a client that still asks for an earlier stop's is told so. */
static void number_frames(Debugger *debugger, int depth)
{
    debugger->first_frame = debugger->frame;
    debugger->frame += depth + 1;
}

DebugAction debug_stopped(Kernel *kernel, const DebugStop *stop)
{
    Debugger *debugger = &kernel->debugger;
    if (!debugger->started || debugger->stop) return debugger->started ? DEBUG_CONTINUE : DEBUG_ASK;
    debugger->stop = stop;
    debugger->resumed = false;
    debugger->action = DEBUG_TERMINATE;
    number_frames(debugger, session_debug_depth(kernel->session));
    debug_tell_moved(kernel);
    debug_tell_logged(kernel);
    tell_stopped(kernel, stop);
    answer_questions(kernel);
    while (!debugger->resumed && !evaluation_must_end(kernel)) {
        struct pollfd wake = {.fd = kernel->wake, .events = POLLIN};
        poll(&wake, 1, -1);
        event_forget(kernel->wake);
        answer_questions(kernel);
    }
    debugger->stop = NULL;
    if (debugger->started) tell_continued(kernel);
    return debugger->resumed ? debugger->action : DEBUG_TERMINATE;
}

static bool go_on(DebugCall *call, DebugAction action)
{
    if (!debug_thread(call)) return false;
    call->debugger->resumed = true;
    call->debugger->action = action;
    return true;
}

bool debug_continue(DebugCall *call)
{
    json_object_set_new(call->body, "allThreadsContinued", json_true());
    return go_on(call, DEBUG_CONTINUE);
}

bool debug_next(DebugCall *call) { return go_on(call, DEBUG_STEP_OVER); }
bool debug_step_in(DebugCall *call) { return go_on(call, DEBUG_STEP_IN); }
bool debug_step_out(DebugCall *call) { return go_on(call, DEBUG_STEP_OUT); }

bool debug_pause(DebugCall *call)
{
    if (!debug_thread(call)) return false;
    if (!call->debugger->stop) session_debug_pause(call->session);
    return true;
}

bool debug_threads(DebugCall *call)
{
    json_object_set_new(call->body, "threads", json_pack("[{si ss}]", "id", THE_THREAD, "name", "interpreter"));
    return true;
}

/* ---- beginning and end ---- */

static void forget(Kernel *kernel)
{
    Debugger *debugger = &kernel->debugger;
    request_release(debugger->client);
    json_decref(debugger->dumped);
    json_decref(debugger->breakpoints);
    json_decref(debugger->same);
    free(debugger->hash);
    free(debugger->logged);
    *debugger = (Debugger){.events = debugger->events, .frame = debugger->frame, .stop = debugger->stop,
                           .resumed = debugger->resumed, .action = debugger->action};
}

void debug_close(Kernel *kernel)
{
    forget(kernel);
}

static bool start(DebugCall *call)
{
    Debugger *debugger = call->debugger;
    if (!session_debug_attach(call->session, true)) return debug_refuse(call, "out of memory");
    debugger->started = true;
    debugger->dumped = json_object();
    debugger->breakpoints = json_object();
    debugger->same = json_object();
    debug_note_cells(call->kernel);
    return true;
}

static json_t *error_filters(void)
{
    json_t *list = json_array();
    for (int i = 0; i < FILTERS; i++)
        json_array_append_new(list, json_pack("{ss ss ss sb}", "filter", filters[i].filter, "label", filters[i].label,
                                              "description", filters[i].description, "default", 0));
    return list;
}

bool debug_initialize(DebugCall *call)
{
    Debugger *debugger = call->debugger;
    if (!debugger->started && !start(call)) return false;
    debugger->lines_from = flag_of(call->arguments, "linesStartAt1", true);
    debugger->columns_from = flag_of(call->arguments, "columnsStartAt1", true);
    for (int i = 0; i < COMMANDS; i++)
        if (commands[i].capability) json_object_set_new(call->body, commands[i].capability, json_true());
    static const char *const more[] = {"supportsConditionalBreakpoints", "supportsHitConditionalBreakpoints",
                                       "supportsLogPoints", "supportTerminateDebuggee", "supportsDelayedStackTraceLoading"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) json_object_set_new(call->body, more[i], json_true());
    json_object_set_new(call->body, "exceptionBreakpointFilters", error_filters());
    return true;
}

/* Only now, since JupyterLab has read the answer to initialize when it attaches. */
bool debug_attach(DebugCall *call)
{
    Debugger *debugger = call->debugger;
    session_debug_just_my_code(call->session, flag_of(call->arguments, "justMyCode", true));
    if (flag_of(call->arguments, "stopOnEntry", false)) session_debug_stop_at_entry(call->session);
    request_release(debugger->client);
    debugger->client = request_retain(call->request);
    debug_event(call->kernel, "initialized", json_object());
    debug_event(call->kernel, "thread", json_pack("{ss si}", "reason", "started", "threadId", THE_THREAD));
    return true;
}

bool debug_launch(DebugCall *call) { return debug_attach(call); }
bool debug_configuration_done(DebugCall *call) { return call->debugger->started; }

static void tell_terminated(Kernel *kernel)
{
    debug_tell_logged(kernel);
    debug_event(kernel, "thread", json_pack("{ss si}", "reason", "exited", "threadId", THE_THREAD));
    debug_event(kernel, "terminated", json_object());
}

bool debug_terminate(DebugCall *call)
{
    if (call->debugger->stop) go_on(call, DEBUG_TERMINATE);
    else kernel_interrupt(call->kernel);
    tell_terminated(call->kernel);
    return true;
}

/* What is stopped goes on as if nobody had looked. */
bool debug_disconnect(DebugCall *call)
{
    Debugger *debugger = call->debugger;
    if (!debugger->started) return true;
    bool ends = flag_of(call->arguments, "terminateDebuggee", false);
    if (debugger->stop) {
        debugger->resumed = true;
        debugger->action = ends ? DEBUG_TERMINATE : DEBUG_CONTINUE;
        tell_continued(call->kernel);
    } else if (ends) {
        kernel_interrupt(call->kernel);
    }
    tell_terminated(call->kernel);
    session_debug_attach(call->session, false);
    forget(call->kernel);
    return true;
}

/* ---- errors ---- */

bool debug_set_exception_breakpoints(DebugCall *call)
{
    const json_t *wanted = json_object_get(call->arguments, "filters");
    DebugErrors errors = DEBUG_ERRORS_NONE;
    json_t *answers = json_array();
    json_object_set_new(call->body, "breakpoints", answers);
    if (!json_is_array(wanted)) return debug_refuse(call, "the argument 'filters' must be a list");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const char *name = json_string_value(json_array_get(wanted, i));
        int found = 0;
        while (found < FILTERS && (!name || strcmp(name, filters[found].filter) != 0)) found++;
        if (found < FILTERS && filters[found].errors > errors) errors = filters[found].errors;
        json_array_append_new(answers, found < FILTERS ? json_pack("{sb}", "verified", 1)
                                       : json_pack("{sb ss}", "verified", 0, "message", "there is no such filter"));
    }
    session_debug_break_on_errors(call->session, errors);
    return true;
}

bool debug_exception_info(DebugCall *call)
{
    const DebugStop *stop = call->debugger->stop;
    if (stop->reason != DEBUG_AT_ERROR) return debug_refuse(call, "the cell did not stop at an error");
    char *plain = debug_plain(stop->error ? stop->error : "");
    json_t *kind = json_from_bytes(plain ? plain : "", plain ? strcspn(plain, ":\n") : 0);
    json_t *details = json_pack("{so sO so}", "message", json_from_text(stop->error_message ? stop->error_message : ""),
                                "typeName", kind, "stackTrace", json_from_text(plain ? plain : ""));
    json_object_set_new(call->body, "exceptionId", kind);
    json_object_set_new(call->body, "description", json_from_text(stop->error_message ? stop->error_message : ""));
    json_object_set_new(call->body, "breakMode", json_string(stop->caught ? "always" : "unhandled"));
    json_object_set_new(call->body, "details", details);
    free(plain);
    return true;
}

/* ---- the request ---- */

static const Command *find_command(const char *name)
{
    for (int i = 0; name && i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

bool debug_waits_for_step(const Request *request)
{
    const Command *command = find_command(json_string_value(json_object_get(request->content, "command")));
    return request->type && request->type->handle == handle_debug && command && command->where == AT_STEP;
}

static bool run_command(DebugCall *call, const json_t *content, const char *name)
{
    const Command *command = find_command(name);
    const json_t *arguments = json_object_get(content, "arguments"), *type = json_object_get(content, "type");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "request") != 0))
        return debug_refuse(call, "the 'type' of what is asked must be \"request\"");
    if (!name) return debug_refuse(call, "the 'command' must be a string");
    if (!command) return debug_refuse(call, "there is no command '%.60s'", name);
    if (arguments && !json_is_null(arguments) && !json_is_object(arguments))
        return debug_refuse(call, "the 'arguments' must be an object");
    if (command->when != ALWAYS && !call->debugger->started)
        return debug_refuse(call, "the debugger is not started: 'initialize' starts it");
    if (command->when == STOPPED && !call->debugger->stop)
        return debug_refuse(call, "nothing is stopped");
    call->arguments = json_is_object(arguments) ? arguments : NULL;
    return command->run(call);
}

/* A body also when the command fails: JupyterLab looks into it without asking. */
json_t *handle_debug(Kernel *kernel, Request *request)
{
    const char *name = json_string_value(json_object_get(request->content, "command"));
    const json_t *seq = json_object_get(request->content, "seq");
    DebugCall call = {.kernel = kernel, .request = request, .debugger = &kernel->debugger, .session = kernel->session,
                      .body = json_object()};
    bool fine = run_command(&call, request->content, name);
    json_t *content = json_pack("{sI ss sI sb ss so}", "seq", ++kernel->debugger.events, "type", "response",
                                "request_seq", json_is_integer(seq) ? json_integer_value(seq) : 0, "success", fine,
                                "command", name ? name : "", "body", call.body);
    if (!fine) {
        json_t *message = json_from_text(call.error ? call.error : "out of memory");
        json_object_set(content, "message", message);
        json_object_set_new(json_object_get(content, "body"), "error",
                            json_pack("{si so sb}", "id", 1, "format", message, "showUser", 1));
    }
    free(call.error);
    return content;
}
