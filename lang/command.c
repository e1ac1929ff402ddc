/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An input cut into code and commands, and the commands about the session itself. A line is a command when it starts
   with : or ?, or is a name with ? behind it, and nothing is open before it.
   Invariant: code keeps its lines and columns in errors, whatever commands stand around it. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "display.h"
#include "print.h"
#include "suggest.h"

const Command commands[] = {
#define COMMAND(name, alias, argument, takes, doc) {#name, alias, argument, TAKES_##takes, doc, command_##name},
#include "commands.def"
#undef COMMAND
};
const int command_count = sizeof commands / sizeof *commands;

/* ---- finding them in a text ---- */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static bool is_name_part(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

static size_t skip_spaces(const char *text, size_t at, size_t end)
{
    while (at < end && is_space(text[at])) at++;
    return at;
}

static size_t trim_end(const char *text, size_t start, size_t end)
{
    while (end > start && is_space(text[end - 1])) end--;
    return end;
}

static size_t line_end(const char *text, size_t at, size_t length)
{
    const char *end = memchr(text + at, '\n', length - at);
    return end ? (size_t)(end - text) : length;
}

/* name? or a.b.name?? and nothing else */
static bool asks_behind(const char *text, size_t start, size_t end)
{
    size_t at = start;
    while (at < end && (is_name_part(text[at]) || text[at] == '.')) at++;
    if (at == start) return false;
    at = skip_spaces(text, at, end);
    return at < end && end - at <= 2 && text[at] == '?' && text[end - 1] == '?';
}

static bool looks_like_command(const char *text, size_t start, size_t end)
{
    start = skip_spaces(text, start, end);
    end = trim_end(text, start, end);
    return start < end && (text[start] == ':' || text[start] == '?' || asks_behind(text, start, end));
}

bool command_possible(const char *text, size_t length)
{
    for (size_t at = 0; at < length; at = line_end(text, at, length) + 1)
        if (looks_like_command(text, at, line_end(text, at, length))) return true;
    return false;
}

Completeness command_code_complete(const char *text, size_t length, int *indent)
{
    Source *source = source_new("<input>", text, length, false);
    Parse *parse = source ? parse_source(source, true) : NULL;
    source_release(source);
    if (!parse) return CODE_INVALID;
    Completeness answer = parse->incomplete ? CODE_INCOMPLETE : parse->errors ? CODE_INVALID : CODE_COMPLETE;
    if (answer == CODE_INCOMPLETE) *indent = parse->indent;
    parse_free(parse);
    return answer;
}

static bool is_open(const char *text, size_t length)
{
    int indent;
    return command_code_complete(text, length, &indent) == CODE_INCOMPLETE;
}

const Command *command_find(const char *name, size_t length)
{
    for (int i = 0; i < command_count; i++)
        if ((strlen(commands[i].name) == length && !memcmp(commands[i].name, name, length)) ||
            (length > 0 && strlen(commands[i].alias) == length && !memcmp(commands[i].alias, name, length)))
            return &commands[i];
    return NULL;
}

/* Where code that starts at [from] ends: at the next command or the end. */
static size_t next_command(const char *text, size_t length, size_t from)
{
    for (size_t at = from; at < length; at = line_end(text, at, length) + 1)
        if (looks_like_command(text, at, line_end(text, at, length)) && !is_open(text + from, at - from)) return at;
    return length;
}

/* What stands behind the name, in lines up to [end]; code goes on over as many as it needs. */
static void find_argument(const char *text, size_t length, size_t end, Piece *piece)
{
    piece->argument = skip_spaces(text, piece->word_end, end);
    if (piece->command && piece->command->takes == TAKES_CODE) {
        if (piece->argument == end) {
            piece->argument = skip_spaces(text, end, length);
            end = next_command(text, length, piece->argument);
        }
        while (end < length && is_open(text + piece->argument, end - piece->argument))
            end = line_end(text, end + 1, length);
    }
    piece->argument_end = trim_end(text, piece->argument, end);
    piece->end = end < length && text[end] == '\n' ? end + 1 : end;
}

static void read_command(const char *text, size_t length, size_t start, Piece *piece)
{
    size_t end = line_end(text, start, length), last = trim_end(text, start, end);
    start = skip_spaces(text, start, end);
    piece->is_command = true;
    if (text[start] == ':') {
        piece->word = piece->word_end = start + 1;
        while (piece->word_end < last && !is_space(text[piece->word_end])) piece->word_end++;
        piece->command = command_find(text + piece->word, piece->word_end - piece->word);
        find_argument(text, length, end, piece);
        return;
    }
    bool before = text[start] == '?', twice = before ? last - start > 1 && text[start + 1] == '?'
                                                     : last - start > 1 && text[last - 2] == '?';
    if (before) start += 1 + twice;
    else last -= 1 + twice;
    piece->argument = skip_spaces(text, start, last);
    piece->argument_end = last = trim_end(text, piece->argument, last);
    const char *word = piece->argument == last ? "help" : twice ? "source" : "doc";
    piece->command = command_find(word, strlen(word));
    piece->end = end < length ? end + 1 : length;
}

bool command_piece(const char *text, size_t length, size_t from, Piece *piece)
{
    size_t start = skip_spaces(text, from, length), at = start;
    if (start == length) return false;
    while (at > from && text[at - 1] != '\n') at--;
    *piece = (Piece){.start = at};
    if (looks_like_command(text, at, line_end(text, at, length))) read_command(text, length, at, piece);
    else piece->end = next_command(text, length, at);
    return true;
}

/* ---- running them ---- */

/* The text up to [end] with spaces for all but the lines before [start]. */
static char *only_piece(const char *text, size_t start, size_t end)
{
    char *copy = malloc(end + 1);
    for (size_t i = 0; copy && i < end; i++) copy[i] = i >= start || text[i] == '\n' ? text[i] : ' ';
    if (copy) copy[end] = 0;
    return copy;
}

Proto *command_compile(CommandCall *call)
{
    Vm *vm = call->session->vm;
    bool muted;
    Proto *proto = NULL;
    char *code = only_piece(call->text, call->start, call->end);
    Source *source = code ? source_new(call->input, code, call->end, false) : NULL;
    Parse *parse = source ? parse_source(source, true) : NULL;
    if (parse && !parse->errors) proto = compile_module(vm, vm->main, parse, &muted);
    if (!parse || (!proto && !parse->errors)) vm_out_of_memory(vm);
    else if (parse->errors) session_fail_syntax(call->session, parse, call->result);
    if (parse) parse_free(parse);
    source_release(source);
    free(code);
    return proto;
}

bool command_flag(CommandCall *call, const char *flag)
{
    size_t length = strlen(flag);
    if (call->end - call->start < length || memcmp(call->text + call->start, flag, length) != 0) return false;
    size_t after = call->start + length;
    if (after < call->end && !is_space(call->text[after])) return false;
    call->start = skip_spaces(call->text, after, call->end);
    memmove(call->argument, call->text + call->start, call->end - call->start);
    call->argument[call->end - call->start] = 0;
    return true;
}

bool command_answer(CommandCall *call, Text *plain)
{
    Vm *vm = call->session->vm;
    while (plain->length > 0 && plain->at[plain->length - 1] == '\n') plain->length--;
    if (!plain->failed) call->result->display = display_of_text(vm, plain->at ? plain->at : "", plain->length);
    call->result->text = call->result->display ? strdup(call->result->display->form[0].data) : NULL;
    text_free(plain);
    return call->result->text || vm_out_of_memory(vm);
}

static bool unknown(Vm *vm, const char *word, size_t length)
{
    char name[32];
    Suggest suggest;
    const char *longer = NULL;
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), word);
    suggest_start(&suggest, name);
    for (int i = 0; i < command_count; i++) {
        suggest_offer(&suggest, commands[i].name);
        if (length > 0 && !longer && !strncmp(commands[i].name, name, length)) longer = commands[i].name;
    }
    const char *best = longer ? longer : suggest.best;
    vm_fail(vm, ERROR_name, "", "there is no command :%s", name);
    if (best) error_hint(&vm->tensors.error, "did you mean :%s? :help lists the commands", best);
    else error_hint(&vm->tensors.error, ":help lists the commands");
    return false;
}

static bool wrong_use(Vm *vm, const Command *command, bool missing)
{
    vm_fail(vm, ERROR_argument, "", ":%s %s", command->name, missing ? "needs an argument" : "takes no argument");
    error_hint(&vm->tensors.error, ":%s%s%s: %s", command->name, *command->argument ? " " : "", command->argument,
               command->doc);
    return false;
}

static bool run_piece(CommandCall *call, const Piece *piece)
{
    Vm *vm = call->session->vm;
    const Command *command = piece->command;
    bool given = call->end > call->start;
    if (!command) return unknown(vm, call->text + piece->word, piece->word_end - piece->word);
    if (given && command->takes == TAKES_NOTHING) return wrong_use(vm, command, false);
    if (!given && *command->argument && *command->argument != '[') return wrong_use(vm, command, true);
    return command->run(call);
}

static EvalStatus run_command(Session *session, const char *input, const char *text, const Piece *piece,
                              EvalResult *result)
{
    CommandCall call = {session, input, text, piece->argument, piece->argument_end, NULL, result};
    call.argument = strndup(text + call.start, call.end - call.start);
    bool fine = call.argument ? run_piece(&call, piece) : vm_out_of_memory(session->vm);
    free(call.argument);
    if (!fine && result->status == EVAL_OK) return session_fail(session, result);
    return result->status;
}

static EvalStatus run_code(Session *session, const char *input, const char *text, const Piece *piece, bool last,
                           EvalResult *result)
{
    char *code = only_piece(text, piece->start, piece->end);
    if (!code) {
        vm_out_of_memory(session->vm);
        return session_fail(session, result);
    }
    session_run_text(session, input, code, piece->end, last ? EVAL_INTERACTIVE : EVAL_SCRIPT, result);
    free(code);
    return result->status;
}

/* Only the last code's value is echoed, but every command answers. */
EvalStatus command_eval(Session *session, const char *input, const char *text, size_t length, EvalResult *result)
{
    Piece piece;
    bool more = command_piece(text, length, 0, &piece);
    while (more && result->status == EVAL_OK) {
        if (result->display) display_send(session->vm, result->display);
        eval_result_clear(result);
        Piece now = piece;
        more = command_piece(text, length, now.end, &piece);
        if (now.is_command) run_command(session, input, text, &now, result);
        else run_code(session, input, text, &now, !more, result);
    }
    return result->status;
}

/* ---- the commands about the session ---- */

bool command_quit(CommandCall *call)
{
    if (console_of(call->session)) return console_quit(call);
    return vm_exit(call->session->vm, 0);
}

bool command_reset(CommandCall *call)
{
    if (console_of(call->session))
        return vm_fail(call->session->vm, ERROR_value, "", ":quit leaves the debugger first");
    session_reset(call->session);
    return true;
}

static const char help_head[] =
    "An expression shows its value; a ; behind it keeps it quiet. _ is the last value.\n"
    "?name or name? says what a name is, ??name shows its source; apropos(\"word\") searches names and docs.\n\n";

static void help_list(Text *out, int width)
{
    enum { USE = 19 };        /* columns of what is typed */
    print_wrapped(out, help_head, sizeof help_head - 1, 0, 0, width);
    for (int i = 0; i < command_count; i++) {
        char use[48];
        snprintf(use, sizeof use, ":%s%s%s", commands[i].name, *commands[i].argument ? " " : "", commands[i].argument);
        text_format(out, "%-*s", USE, use);
        print_wrapped(out, commands[i].doc, strlen(commands[i].doc), USE, USE, width);
        if (i + 1 < command_count) text_format(out, "\n");
    }
}

bool command_page(CommandCall *call)
{
    const SessionConfig *config = vm_config(call->session->vm);
    if (!config->page) return true;
    config->page(config->user, call->result->display);
    eval_result_clear(call->result);
    return true;
}

bool command_help(CommandCall *call)
{
    Text out = {0};
    const char *name = call->argument + (*call->argument == ':');
    const Command *command = command_find(name, strlen(name));
    if (command)
        text_format(&out, ":%s%s%s\n%s", command->name, *command->argument ? " " : "", command->argument, command->doc);
    else if (*name)
        return command_doc(call);
    else
        help_list(&out, print_width(call->session->vm));
    return command_answer(call, &out) && command_page(call);
}
