/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The session: texts in, results and rendered errors out, options of scripts, and the callbacks of the front end.
   Completion and help are in assist.c. Invariant: between two evaluations the machine has no frames and no error. */
#include "session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug.h"
#include "display.h"
#include "embedded.h"
#include "suggest.h"
#include "suspend.h"

/* At a safe point of the thread that evaluates; others that work for it pass it by. The flag goes down first, so that a
   request which comes meanwhile is served again. An error under way is kept. */
static void serve(void *owner)
{
    Session *session = owner;
    Vm *vm = session->vm;
    if (!pthread_equal(pthread_self(), session->thread))
        return;
    Error under_way = vm->tensors.error;
    atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_REQUEST);
    session->serving = true;
    session->config.serve(session->config.user);
    session->serving = false;
    vm->tensors.error = under_way;
}

Session *session_new(const SessionConfig *config)
{
    Session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->config = *config;
    if (session->config.width <= 0)
        session->config.width = 80;
    if (config->library && !(session->library = strdup(config->library))) {
        free(session);
        return NULL;
    }
    session->config.library = session->library;
    session->input = config->input;
    session->vm = vm_new(session);
    if (!session->vm) {
        free(session->library);
        free(session);
        return NULL;
    }
    session->vm->tensors.owner = session;
    if (config->serve)
        session->vm->tensors.serve = serve;
    return session;
}

static void forget_loaded(Session *session)
{
    while (session->loaded) {
        Loaded *first = session->loaded;
        session->loaded = first->next;
        free(first->path);
        free(first);
    }
}

void session_free(Session *session)
{
    if (!session)
        return;
    debug_free(session->vm->debugger);
    session_forget_failure(session);
    records_clear(&session->records);
    forget_loaded(session);
    vm_free(session->vm);
    free(session->option);
    free(session->library);
    free(session);
}

bool session_note_loaded(Session *session, const char *path, int64_t stamp)
{
    Loaded *loaded = session->loaded;
    while (loaded && strcmp(loaded->path, path) != 0)
        loaded = loaded->next;
    if (!loaded) {
        loaded = calloc(1, sizeof *loaded);
        char *copy = loaded ? strdup(path) : NULL;
        if (!copy) {
            free(loaded);
            return false;
        }
        *loaded = (Loaded){.next = session->loaded, .path = copy};
        session->loaded = loaded;
    }
    loaded->stamp = stamp;
    return true;
}

void session_reset(Session *session)
{
    Vm *vm = session->vm;
    records_clear(&session->records);
    forget_loaded(session);
    session_forget_failure(session);
    for (Module *module = vm->modules; module; module = module->next)
        if (!module->library)
            module_forget(module);
    vm->tensors.seed = vm->tensors.counter = 0;
}

long long session_live_objects(void) { return (long long)value_live_objects(); }
long long session_live_bytes(void) { return (long long)value_live_bytes(); }
void session_interrupt(Session *session)
{
    bool pauses = atomic_exchange(&session->interrupt_pauses, false);     /* a second one does not wait for a statement */
    atomic_fetch_or(&session->vm->flags, pauses ? FLAG_PAUSE : FLAG_INTERRUPT);
}

void session_request(Session *session) { atomic_fetch_or(&session->vm->flags, FLAG_REQUEST); }
bool session_interrupt_waits(const Session *session)
{
    return atomic_load(&session->vm->flags) & (FLAG_INTERRUPT | FLAG_PAUSE);
}

void session_request_visit(Session *session) { atomic_fetch_or(&session->vm->flags, FLAG_VISIT); }
bool session_may_visit(const Session *session) { return !session->serving && vm_may_visit(session->vm); }

/* The flag stays up where it may not be, and goes down before the look, so that what comes meanwhile is seen again. */
void session_visit(Session *session)
{
    Vm *vm = session->vm;
    if (!pthread_equal(pthread_self(), session->thread) || !session_may_visit(session)) return;
    atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_VISIT);
    if (session->config.visit) session->config.visit(session->config.user);
}

void session_allow_input(Session *session, bool allowed) { session->config.input = allowed ? session->input : NULL; }
void session_set_forms(Session *session, const char *forms)
{
    session->config.forms = forms;
}

void session_set_width(Session *session, int columns) { session->config.width = columns > 0 ? columns : 80; }

const SessionConfig *vm_config(const Vm *vm) { return &vm->session->config; }

bool vm_output(Vm *vm, int stream, const char *text, size_t length)
{
    const SessionConfig *config = &vm->session->config;
    record_stream(&vm->session->records, (OutputStream)stream, text, length);
    if (config->output)
        config->output(config->user, (OutputStream)stream, text, length);
    return true;
}

Value vm_script_arguments(Vm *vm)
{
    Session *session = vm->session;
    Value list = list_new(session->argc);
    for (int i = 0; list.tag != TAG_UNDEFINED && i < session->argc; i++) {
        Value text = string_from(session->argv[i]);
        if (text.tag == TAG_UNDEFINED || !list_push_take(list.list, text)) {
            value_release(list);
            return VALUE_UNDEFINED;
        }
    }
    return list;
}

/* ---- results ---- */

void eval_result_clear(EvalResult *result)
{
    free(result->text);
    display_free(result->display);
    free(result->error);
    free(result->error_kind);
    free(result->error_message);
    *result = (EvalResult){0};
}

static DiagnoseOptions diagnose_options(const Session *session)
{
    return (DiagnoseOptions){.color = session->config.color, .library = session->config.library != NULL};
}

EvalStatus session_fail(Session *session, EvalResult *result)
{
    Vm *vm = session->vm;
    bool exiting = vm->exiting, interrupted = vm->tensors.error.kind == ERROR_interrupt;
    vm_trace(vm);
    Value error = vm_take_error(vm);
    vm->exiting = false;
    result->status = exiting ? EVAL_EXIT : interrupted ? EVAL_INTERRUPTED : EVAL_ERROR;
    result->exit_code = vm->exit_code;
    if (!exiting && error.tag == TAG_ERROR) {
        DiagnoseOptions options = diagnose_options(session);
        result->error = diagnose_error(error.error, &options);
        result->error_kind = strdup(error_kind_name(error.error->kind));
        if (error.error->message.tag == TAG_STRING)
            result->error_message = strdup(error.error->message.string->text);
    } else if (!exiting) {
        result->error = strdup("out of memory");
        result->error_kind = strdup("memory");
    }
    if (vm->keeps_failures && error.tag == TAG_ERROR && error.error->trace)
        session_keep_failure(session, error);
    value_release(error);
    return result->status;
}

EvalStatus session_fail_syntax(Session *session, const Parse *parse, EvalResult *result)
{
    DiagnoseOptions options = diagnose_options(session);
    result->status = EVAL_ERROR;
    result->error = diagnose_syntax(parse, &options);
    result->error_kind = strdup("syntax");
    result->error_message = strdup(parse->errors->message);
    return result->status;
}

/* `_` is the last value at the prompt. */
static void keep_last(Vm *vm, Value value)
{
    const char *name = name_intern(vm, "_", 1);
    uint32_t slot = name ? module_slot(vm->main, name) : UINT32_MAX;
    if (slot != UINT32_MAX)
        value_set(&vm->main->slot[slot].value, value_retain(value));
}

bool session_echo(Session *session, Value value, EvalResult *result)
{
    keep_last(session->vm, value);
    result->display = display_of(session->vm, value, display_forms(session->vm));
    result->text = result->display ? strdup(result->display->form[0].data) : NULL;
    return result->text || (result->display && vm_out_of_memory(session->vm));
}

static EvalStatus run_parse(Session *session, Parse *parse, EvalMode mode, EvalResult *result)
{
    Vm *vm = session->vm;
    bool muted;
    Value value = VALUE_UNDEFINED;
    Proto *proto = parse->errors ? NULL : compile_module(vm, vm->main, parse, &muted);
    if (!proto && parse->errors)
        return session_fail_syntax(session, parse, result);
    if (!proto) {
        vm_out_of_memory(vm);
        return session_fail(session, result);
    }
    bool fine = vm_run_proto(vm, proto, &value);
    proto_release(proto);
    if (fine && mode == EVAL_INTERACTIVE && !muted && value.tag != TAG_NONE) {
        fine = session_echo(session, value, result);
    }
    value_release(value);
    return fine ? (result->status = EVAL_OK) : session_fail(session, result);
}

/* NULL: *result says why. */
static Parse *parse_text(Session *session, const char *name, const char *text, size_t length, bool at_prompt,
                         EvalResult *result)
{
    Source *source = source_new(name, text, length, false);
    Parse *parse = source ? parse_source(source, at_prompt) : NULL;
    source_release(source);
    if (!parse) {
        vm_out_of_memory(session->vm);
        session_fail(session, result);
    }
    return parse;
}

EvalStatus session_run_text(Session *session, const char *name, const char *text, size_t length, EvalMode mode,
                            EvalResult *result)
{
    Parse *parse = parse_text(session, name, text, length, mode == EVAL_INTERACTIVE, result);
    if (!parse)
        return result->status;
    EvalStatus status = run_parse(session, parse, mode, result);
    parse_free(parse);
    return status;
}

/* Names given to display() before stand for other places from here on. */
static void begin_evaluation(Session *session, EvalMode mode, EvalResult *result)
{
    NativeState *state = &session->vm->native_state;
    *result = (EvalResult){0};
    session->thread = pthread_self();
    state->old_places = state->n_places;
    session->vm->keeps_failures = mode == EVAL_INTERACTIVE;
    failure_free(session->vm->failure);       /* of an error that was caught after all */
    session->vm->failure = NULL;
}

/* Interrupts that came before do not count; while something else runs they do. */
static void begin_alone(Session *session, EvalMode mode, EvalResult *result)
{
    begin_evaluation(session, mode, result);
    atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_INTERRUPT);
    if (session->vm->debugger)
        debug_begin(session->vm->debugger);
}

static EvalStatus eval(Session *session, const char *name, const char *text, size_t length, EvalMode mode,
                       EvalResult *result)
{
    if (mode == EVAL_SCRIPT)
        return session_run_text(session, name, text, length, mode, result);
    record_begin(&session->records, text, length);
    if (command_possible(text, length))
        command_eval(session, name, text, length, result);
    else
        session_run_text(session, name, text, length, mode, result);
    record_end(&session->records, result);
    return result->status;
}

/* An interrupt that came while the second text ran was for that one, seen or not. */
static void go_on(Session *session, Suspended *outer)
{
    atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_INTERRUPT);
    vm_resume(session->vm, outer);
}

static bool refuse_serving(Session *session, EvalResult *result)
{
    if (!session->serving)
        return true;
    *result = (EvalResult){.status = EVAL_ERROR, .error = strdup("internal error: nothing can be evaluated inside an op"),
                           .error_kind = strdup("internal")};
    return false;
}

EvalStatus session_eval(Session *session, const char *name, const char *text, size_t length, EvalMode mode,
                        EvalResult *result)
{
    Suspended outer;
    if (!refuse_serving(session, result))
        return result->status;
    if (session->vm->n_frames == 0) {
        begin_alone(session, mode, result);
        return eval(session, name, text, length, mode, result);
    }
    vm_suspend(session->vm, &outer);
    begin_evaluation(session, mode, result);
    eval(session, name, text, length, mode, result);
    go_on(session, &outer);
    return result->status;
}

static EvalStatus receive(Session *session, const CommMessage *message, bool *known, EvalResult *result)
{
    return comm_receive(session->vm, message, known) ? (result->status = EVAL_OK) : session_fail(session, result);
}

EvalStatus session_comm(Session *session, const CommMessage *message, bool *known, EvalResult *result)
{
    Suspended outer;
    *known = true;
    if (!refuse_serving(session, result))
        return result->status;
    if (session->vm->n_frames == 0) {
        begin_alone(session, EVAL_SCRIPT, result);
        return receive(session, message, known, result);
    }
    vm_suspend(session->vm, &outer);
    begin_evaluation(session, EVAL_SCRIPT, result);
    receive(session, message, known, result);
    go_on(session, &outer);
    return result->status;
}

const char *session_embedded(const char *path, size_t *length)
{
    for (int i = 0; i < embedded_file_count; i++)
        if (!strcmp(embedded_files[i].path, path)) {
            *length = embedded_files[i].length;
            return (const char *)embedded_files[i].text;
        }
    return NULL;
}

/* ---- options of a script ---- */

static Node *find_option(const Parse *parse, const char *name, size_t length)
{
    for (int i = 0; i < parse->statements.count; i++) {
        Node *node = parse->statements.at[i];
        if (node->kind != NODE_OPTION || strlen(node->option.name) != length)
            continue;
        bool same = true;
        for (size_t j = 0; j < length && same; j++)
            same = node->option.name[j] == (name[j] == '-' ? '_' : name[j]);
        if (same)
            return node;
    }
    return NULL;
}

static bool unknown_option(Vm *vm, const Parse *parse, const char *name)
{
    Suggest suggest;
    suggest_start(&suggest, name);
    for (int i = 0; i < parse->statements.count; i++)
        if (parse->statements.at[i]->kind == NODE_OPTION)
            suggest_offer(&suggest, parse->statements.at[i]->option.name);
    vm_fail(vm, ERROR_argument, "", "there is no option --%s", name);
    if (suggest.best)
        error_hint(&vm->tensors.error, "did you mean --%s? --help lists all options", suggest.best);
    else
        error_hint(&vm->tensors.error, "--help lists all options");
    return false;
}

static bool add_option(Session *session, const char *name, const char *value)
{
    Option *wider = realloc(session->option, (size_t)(session->n_options + 1) * sizeof *wider);
    if (!wider)
        return vm_out_of_memory(session->vm);
    session->option = wider;
    session->option[session->n_options++] = (Option){name, value};
    return true;
}

/* One `--…`; *at moves past a value that stands by itself. */
static bool read_option(Session *session, const Parse *parse, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    Node *node = find_option(parse, name, length);
    if (!node && !equals && !strncmp(name, "no-", 3)) {
        node = find_option(parse, name + 3, length - 3);
        if (node && node->option.value->kind == NODE_BOOL)
            return add_option(session, node->option.name, "false");
        node = NULL;
    }
    if (!node) {
        char plain[128];
        snprintf(plain, sizeof plain, "%.*s", (int)length, name);
        return unknown_option(session->vm, parse, plain);
    }
    if (equals)
        return add_option(session, node->option.name, equals + 1);
    if (node->option.value->kind == NODE_BOOL)
        return add_option(session, node->option.name, "true");
    if (*at + 1 >= argc)
        return vm_fail(session->vm, ERROR_argument, "", "the option --%s needs a value", node->option.name);
    return add_option(session, node->option.name, argv[++*at]);
}

static void print_help(Session *session, const Parse *parse, const char *path)
{
    Text text = {0};
    text_format(&text, "usage: tessera run %s [options]\n", path);
    for (int i = 0; i < parse->statements.count; i++) {
        const Node *node = parse->statements.at[i];
        if (node->kind != NODE_OPTION)
            continue;
        const Span span = node->option.value->span;
        char left[128];
        snprintf(left, sizeof left, "--%s", node->option.name);
        for (char *c = left + 2; *c; c++)
            if (*c == '_')
                *c = '-';
        text_format(&text, "  %-22s %s%s(default %.*s)\n", left, node->option.help ? node->option.help : "",
                    node->option.help && *node->option.help ? "  " : "", (int)(span.end - span.start),
                    parse->source->text + span.start);
    }
    if (!text.failed)
        vm_output(session->vm, OUTPUT_OUT, text.at, text.length);
    text_free(&text);
}

static bool convert_bool(const char *text, Value *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (int i = 0; i < 8; i++)
        if (!strcmp(text, words[i])) {
            *out = value_bool(i % 2);
            return true;
        }
    return false;
}

static bool convert_number(const char *text, bool allow_float, Value *out)
{
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (end != text && !*end && !errno) {
        *out = value_int(i);
        return true;
    }
    double f = strtod(text, &end);
    *out = value_float(f);
    return allow_float && end != text && !*end;
}

bool session_option(Vm *vm, const char *name, Value *slot)
{
    const Session *session = vm->session;
    const char *text = NULL;
    for (int i = 0; i < session->n_options; i++)
        if (!strcmp(session->option[i].name, name))
            text = session->option[i].value;
    if (!text)
        return true;
    Value made;
    bool fine = true;
    switch (slot->tag) {
    case TAG_BOOL: fine = convert_bool(text, &made); break;
    case TAG_INT: fine = convert_number(text, false, &made); break;
    case TAG_FLOAT:
        fine = convert_number(text, true, &made);
        if (fine && made.tag == TAG_INT)
            made = value_float((double)made.i);
        break;
    case TAG_NONE:
        if (convert_number(text, true, &made))
            break;
        made = string_from(text);
        break;
    case TAG_STRING: made = string_from(text); break;
    default:
        return vm_fail(vm, ERROR_argument, "", "the option --%s is a %s and cannot be set from the command line", name,
                       value_type_name(*slot));
    }
    if (!fine)
        return vm_fail(vm, ERROR_argument, "", "the option --%s is a %s, so \"%s\" does not fit", name,
                       value_type_name(*slot), text);
    if (made.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    value_set(slot, made);
    return true;
}

static bool read_options(Session *session, const Parse *parse, int argc, char **argv, bool *help)
{
    bool any = false;
    for (int i = 0; i < parse->statements.count; i++)
        any = any || parse->statements.at[i]->kind == NODE_OPTION;
    session->argc = 0;
    session->argv = argv;
    for (int i = 0; i < argc; i++) {
        bool dashed = !strncmp(argv[i], "--", 2) && argv[i][2];
        if (dashed && (any || !strcmp(argv[i], "--help")) && !strcmp(argv[i], "--help"))
            *help = true;
        else if (dashed && any && !read_option(session, parse, argc, argv, &i))
            return false;
        else if (!dashed || !any)
            session->argv[session->argc++] = argv[i];
    }
    return true;
}

/* Reads and parses a script, for the session's own module. NULL: *result says why. */
static Parse *open_script(Session *session, const char *path, EvalResult *result)
{
    Vm *vm = session->vm;
    size_t length;
    begin_alone(session, EVAL_SCRIPT, result);
    const char *embedded = access(path, F_OK) == 0 ? NULL : session_embedded(path, &length);
    char *text = embedded ? NULL : module_read(vm, path, &length);
    if (!text && !embedded) {
        session_fail(session, result);
        return NULL;
    }
    Parse *parse = parse_text(session, path, text ? text : embedded, length, false, result);
    free(text);
    if (!parse)
        return NULL;
    vm->main->path = module_path(vm, path);
    if (!vm->main->path)    /* not a file with a path, such as a pipe: what it uses is found from here */
        error_clear(&vm->tensors.error);
    if (!parse->errors)
        return parse;
    session_fail_syntax(session, parse, result);
    parse_free(parse);
    return NULL;
}

static EvalStatus run_script(Session *session, Parse *parse, EvalResult *result)
{
    session->vm->main->loading = true;
    EvalStatus status = run_parse(session, parse, EVAL_SCRIPT, result);
    session->vm->main->loading = false;
    return status;
}

EvalStatus session_run_file(Session *session, const char *path, int argc, char **argv, EvalResult *result)
{
    bool help = false;
    Parse *parse = open_script(session, path, result);
    if (!parse)
        return result->status;
    if (!read_options(session, parse, argc, argv, &help))
        session_fail(session, result);
    else if (help)
        print_help(session, parse, path);
    else
        run_script(session, parse, result);
    parse_free(parse);
    return result->status;
}

/* ---- tests ---- */

static EvalStatus run_test(Session *session, Parse *parse, const Node *test, EvalResult *result)
{
    Vm *vm = session->vm;
    Value value = VALUE_UNDEFINED;
    *result = (EvalResult){0};
    Proto *proto = compile_test(vm, vm->main, parse, test);
    if (!proto && parse->errors) {
        session_fail_syntax(session, parse, result);
        parse->errors = NULL;    /* they are this test's alone */
        return result->status;
    }
    if (!proto) {
        vm_out_of_memory(vm);
        return session_fail(session, result);
    }
    bool fine = vm_run_proto(vm, proto, &value);
    proto_release(proto);
    value_release(value);
    return fine ? EVAL_OK : session_fail(session, result);
}

static bool has_tests(const Parse *parse)
{
    for (int i = 0; i < parse->statements.count; i++)
        if (parse->statements.at[i]->kind == NODE_TEST)
            return true;
    return false;
}

EvalStatus session_test_file(Session *session, const char *path, TestReport *report, void *user, EvalResult *result)
{
    Parse *parse = open_script(session, path, result);
    if (!parse)
        return result->status;
    session->argc = session->n_options = 0;
    EvalStatus status = has_tests(parse) ? run_script(session, parse, result) : EVAL_OK;
    for (int i = 0; status == EVAL_OK && i < parse->statements.count; i++) {
        const Node *node = parse->statements.at[i];
        if (node->kind != NODE_TEST)
            continue;
        EvalResult one;
        if (run_test(session, parse, node, &one) == EVAL_INTERRUPTED)
            status = result->status = EVAL_INTERRUPTED;
        report(user, node->test.title, &one);
        eval_result_clear(&one);
    }
    parse_free(parse);
    return status;
}

Completeness session_is_complete(Session *session, const char *text, size_t length, int *indent)
{
    (void)session;
    Piece piece;
    Completeness answer = CODE_COMPLETE;
    *indent = 0;
    if (!command_possible(text, length))
        return command_code_complete(text, length, indent);
    for (size_t at = 0; answer == CODE_COMPLETE && command_piece(text, length, at, &piece); at = piece.end)
        if (!piece.is_command)
            answer = command_code_complete(text + piece.start, piece.end - piece.start, indent);
        else if (piece.command && piece.command->takes == TAKES_CODE)
            answer = command_code_complete(text + piece.argument, piece.argument_end - piece.argument, indent);
    return answer;
}
