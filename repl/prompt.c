/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prompt: reads statements over as many lines as they need, shows values and errors, keeps a history. Lines come
   from the line editor's module, or plainly where it is missing; what they mean is the session's affair. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "line.h"
#include "repl.h"

/* ---- lines ---- */

static char *plain_read(const char *prompt, const char *prefill, bool *cancelled)
{
    char *line = NULL;
    size_t room = 0;
    (void)prefill;
    *cancelled = false;
    fputs(prompt, stdout);
    fflush(stdout);
    ssize_t length = getline(&line, &room, stdin);
    if (length < 0) {
        *cancelled = interrupt_taken();
        clearerr(stdin);
        if (*cancelled) putchar('\n');
        free(line);
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\n') line[length - 1] = 0;
    return line;
}

static void plain_open(const LineHost *host, const char *history)
{
    (void)host;
    (void)history;
}

static void plain_remember(const char *text)
{
    (void)text;
}

static void plain_close(void)
{
}

static const LineModule plain_lines = {plain_open, plain_read, plain_remember, plain_close};
static const LineModule *lines;

static bool host_interrupted(void *user)
{
    (void)user;
    return interrupt_taken();
}

static char **host_complete(void *user, const char *text, size_t cursor, size_t *start)
{
    Program *program = user;
    Completions found = {0};
    if (!session_complete(program->session, text, strlen(text), cursor, &found)) return NULL;
    *start = found.start;
    char **list = found.count > 0 ? calloc((size_t)found.count + 1, sizeof *list) : NULL;
    for (int i = 0; list && i < found.count; i++)
        if (!(list[i] = strdup(found.at[i].text))) break;
    completions_clear(&found);
    return list;
}

/* ~/.local/state/tessera/history, whose folders are made; NULL when there is no home. */
static char *history_file(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int made = state && *state == '/' ? asprintf(&path, "%s/tessera/history", state)
               : home && *home ? asprintf(&path, "%s/.local/state/tessera/history", home) : -1;
    if (made < 0) return NULL;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);                               /* mostly there already; a failure shows when writing */
        *slash = '/';
    }
    return path;
}

static void open_lines(Program *program)
{
    static LineHost host;
    char *error = NULL, *history = history_file();
    host = (LineHost){program, host_interrupted, host_complete};
    lines = isatty(STDOUT_FILENO) ? session_open_module("repl", &error) : NULL;
    if (!lines) lines = &plain_lines;
    lines->open(&host, history);
    free(error);
    free(history);
}

/* With the terminal's echo off, past the editor: nothing of it is kept or shown. */
static char *read_secret(const char *prompt)
{
    struct termios before, silent;
    bool cancelled = false, terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        silent.c_lflag |= ICANON | ISIG;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *line = plain_read(prompt, "", &cancelled);
    if (!terminal) return line;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    if (!cancelled) putchar('\n');
    fflush(stdout);
    return line;
}

char *prompt_input(void *user, const char *prompt, bool secret)
{
    Program *program = user;
    bool cancelled = false;
    screen_flush(&program->screen);
    screen_end_progress(&program->screen);
    if (!prompt) prompt = "";
    if (secret) return read_secret(prompt);
    if (lines) return lines->read(prompt, "", &cancelled);
    return plain_read(prompt, "", &cancelled);
}

/* ---- the loop ---- */

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t")] == 0;
}

/* Appends [line] and a newline to *text. */
static bool append(char **text, size_t *length, const char *line)
{
    size_t more = strlen(line);
    char *wider = realloc(*text, *length + more + 2);
    if (!wider) return false;
    memcpy(wider + *length, line, more);
    *length += more + 1;
    wider[*length - 1] = '\n';
    wider[*length] = 0;
    *text = wider;
    return true;
}

/* One whole input, malloc'ed; NULL at the end of input, or with *cancelled after Ctrl-C. Two blank lines end an
   incomplete one. */
static char *read_input(Program *program, bool *cancelled)
{
    char *text = NULL, spaces[64] = "";
    size_t length = 0;
    int blanks = 0;
    for (bool first = true;; first = false) {
        char *line = lines->read(first ? "> " : ". ", spaces, cancelled);
        if (!line) {
            if (*cancelled || !text) {
                free(text);
                return NULL;
            }
            return text;
        }
        blanks = is_blank(line) ? blanks + 1 : 0;
        bool kept = append(&text, &length, line);
        free(line);
        int indent = 0;
        if (!kept || blanks >= 2) return text;
        if (session_is_complete(program->session, text, length, &indent) != CODE_INCOMPLETE) return text;
        if (indent < 0 || indent > (int)sizeof spaces - 1) indent = 0;
        memset(spaces, ' ', (size_t)indent);
        spaces[indent] = 0;
    }
}

/* Runs one input; true to leave. */
static bool run_input(Program *program, char *text, int *status)
{
    static int count;
    char name[32];
    bool leave = false;
    size_t length = strlen(text);
    if (is_blank(text) || strspn(text, " \t\n") == length) return false;
    text[length - 1] = 0;
    lines->remember(text);
    snprintf(name, sizeof name, "<input %d>", ++count);
    session_set_width(program->session, screen_width(&program->screen));
    EvalResult result = {0};
    interrupt_begin(program->session);
    EvalStatus evaluated = session_eval(program->session, name, text, length - 1, EVAL_INTERACTIVE, &result);
    interrupt_end();
    *status = program_show(program, evaluated, &result);
    leave = evaluated == EVAL_EXIT;
    eval_result_clear(&result);
    if (program->screen.mid_line) screen_output(&program->screen, OUTPUT_OUT, "\n", 1);
    screen_flush(&program->screen);
    return leave;
}

int prompt_run(Program *program)
{
    int status = 0;
    bool leave = false;
    open_lines(program);
    while (!leave && !program->screen.out_error) {
        bool cancelled = false;
        char *text = read_input(program, &cancelled);
        if (!text && cancelled) continue;
        if (!text) {
            screen_output(&program->screen, OUTPUT_OUT, "\n", 1);
            status = 0;
            break;
        }
        status = 0;
        leave = run_input(program, text, &status);
        if (!leave) status = 0;
        free(text);
    }
    lines->close();
    screen_flush(&program->screen);
    return status;
}
