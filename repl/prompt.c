/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prompt: reads statements over as many lines as they need, shows values and errors, keeps a history. Lines come
   from the line editor's module, or plainly where it is missing; what they mean is the session's affair. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "history.h"
#include "line.h"
#include "repl.h"

/* ---- lines without an editor: no terminal, a dumb one, or no readline ---- */

static char *typed;           /* ahead, NULL when nothing was */

static void plain_unread(const char *bytes, size_t length)
{
    size_t kept = typed ? strlen(typed) : 0;
    char *more = realloc(typed, kept + length + 1);
    if (!more) return;
    memcpy(more + kept, bytes, length);
    more[kept + length] = 0;
    typed = more;
}

/* The line typed ahead, malloc'ed, with what the terminal would have taken back; *whole: its end was typed too. */
static char *take_typed(bool *whole)
{
    size_t length = typed ? strcspn(typed, "\n") : 0, used = 0;
    char *line = typed ? malloc(length + 1) : NULL;
    *whole = line && typed[length] == '\n';
    if (!line) return NULL;
    for (size_t i = 0; i < length; i++) {
        if (typed[i] != 0x7F && typed[i] != '\b') line[used++] = typed[i];
        else if (used > 0) used--;
    }
    line[used] = 0;
    if (*whole) memmove(typed, typed + length + 1, strlen(typed + length + 1) + 1);
    if (*whole && *typed) return line;
    free(typed);
    typed = NULL;
    return line;
}

static char *read_line(const char *prompt, bool *cancelled)
{
    char *line = NULL;
    size_t room = 0;
    fputs(prompt, stdout);
    fflush(stdout);
    *cancelled = interrupt_taken();                      /* before the line was waited for */
    ssize_t length = *cancelled ? -1 : getline(&line, &room, stdin);
    if (length < 0) {
        *cancelled = *cancelled || interrupt_taken();
        clearerr(stdin);
        if (*cancelled) putchar('\n');
        free(line);
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\n') line[length - 1] = 0;
    return line;
}

static char *plain_line(const char *prompt, bool *cancelled)
{
    bool whole;
    char *start = take_typed(&whole), *line = NULL;
    *cancelled = false;
    if (whole) {
        puts(prompt);
        return start;
    }
    char *rest = read_line(prompt, cancelled);
    if (start && !*cancelled && asprintf(&line, "%s%s", start, rest ? rest : "") < 0) line = NULL;
    if (!start || *cancelled) line = rest;
    else free(rest);
    free(start);
    return line;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\n")] == 0;
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

static Session *plain_session;

static void plain_open(const LineHost *host)
{
    plain_session = host->session;
}

/* Two blank lines end an incomplete block; the end of input too. */
static char *plain_read(const char *prompt, const char *prefill, bool *cancelled)
{
    char *text = NULL;
    size_t length = 0;
    int blanks = 0, indent;
    (void)prefill;
    if (prompt) return plain_line(prompt, cancelled);
    do {
        char *line = plain_line(text ? LINE_MORE : LINE_PROMPT, cancelled);
        if (!line) break;
        blanks = is_blank(line) ? blanks + 1 : 0;
        bool kept = append(&text, &length, line);
        free(line);
        if (!kept) break;
    } while (blanks < 2 && session_is_complete(plain_session, text, length, &indent) == CODE_INCOMPLETE);
    if (text && !*cancelled) {
        text[length - 1] = 0;
        return text;
    }
    free(text);
    return NULL;
}

static void plain_remember(const char *entry)
{
    (void)entry;
}

static void plain_close(void)
{
    free(typed);
    typed = NULL;
}

static const LineModule plain_lines = {plain_open, plain_read, plain_remember, plain_unread, plain_close};
static const LineModule *lines;

/* ---- opening ---- */

static bool host_interrupted(void *user)
{
    (void)user;
    return interrupt_taken();
}

/* Before a line is read: what came with the terminal's answers goes where lines come from, and that line will stand below
   what was shown last. */
static void give_way(Screen *screen, bool editor)
{
    screen->above_rows = 0;
    if (!screen->typed) return;
    (editor ? lines->unread : plain_unread)(screen->typed, screen->n_typed);
    free(screen->typed);
    screen->typed = NULL;
    screen->n_typed = 0;
}

/* Other threads have something to say while a line is edited. */
static void host_woken(void *user)
{
    Screen *screen = &((Program *)user)->screen;
    screen_take_notes(screen);
    if (screen->mid_line) screen_output(screen, OUTPUT_OUT, "\n", 1);
    screen_flush(screen);
}

void prompt_open(Program *program)
{
    char *error = NULL, *history = program_path("XDG_STATE_HOME", ".local/state", "history");
    LineHost host = {.user = program, .session = program->session, .highlight = language_highlight,
                     .color = program->screen.color, .interrupted = host_interrupted,
                     .wake = screen_wake(&program->screen), .woken = host_woken};
    lines = isatty(STDOUT_FILENO) && !program->screen.dumb ? session_open_module("repl", &error) : NULL;
    if (!lines) lines = &plain_lines;
    lines->open(&host);
    history_open(history, lines->remember);
    free(error);
    free(history);
}

void prompt_close(void)
{
    lines->close();
    lines = NULL;
    history_close();
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
    char *line = plain_line(prompt, &cancelled);
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
    interrupt_heeded();
    bool behind = program->screen.mid_line;              /* the editor would draw over what stands there */
    bool editor = lines && !behind && !secret;
    give_way(&program->screen, editor);
    if (secret) return read_secret(prompt);
    program->screen.mid_line = false;
    return editor ? lines->read(prompt, NULL, &cancelled) : plain_line(prompt, &cancelled);
}

/* ---- the loop ---- */

/* On the disk before it runs. What hinders that is said once. */
static void remember(Program *program, const char *text)
{
    static bool said;
    char note[256];
    lines->remember(text);
    if (history_add(text) || said) return;
    said = true;
    snprintf(note, sizeof note, "the history cannot be kept: %s\n", strerror(errno));
    screen_output(&program->screen, OUTPUT_ERR, note, strlen(note));
}

/* Runs one input; true to leave. */
static bool run_input(Program *program, const char *text, int *status)
{
    static int count;
    char name[32];
    if (is_blank(text)) return false;
    remember(program, text);
    snprintf(name, sizeof name, "<input %d>", ++count);
    session_set_width(program->session, screen_width(&program->screen));
    EvalResult result = {0};
    interrupt_begin(program->session);
    EvalStatus evaluated = session_eval(program->session, name, text, strlen(text), EVAL_INTERACTIVE, &result);
    interrupt_end();
    *status = program_show(program, evaluated, &result);
    eval_result_clear(&result);
    if (program->screen.mid_line) screen_output(&program->screen, OUTPUT_OUT, "\n", 1);
    screen_flush(&program->screen);
    return evaluated == EVAL_EXIT;
}

void prompt_next(void *user, const char *text, bool replace)
{
    Program *program = user;
    (void)replace;
    free(program->next);
    program->next = strdup(text);
}

int prompt_run(Program *program)
{
    int status = 0;
    bool leave = false;
    prompt_open(program);
    while (!leave && !program->screen.out_error) {
        bool cancelled = false;
        char *next = program->next, *text;
        program->next = NULL;
        give_way(&program->screen, true);
        screen_take_notes(&program->screen);
        text = lines->read(NULL, next, &cancelled);
        free(next);
        status = 0;
        if (text) {
            leave = run_input(program, text, &status);
            if (!leave) status = 0;
        } else if (!cancelled) {
            screen_output(&program->screen, OUTPUT_OUT, "\n", 1);
            leave = true;
        }
        free(text);
    }
    free(program->next);
    program->next = NULL;
    prompt_close();
    screen_flush(&program->screen);
    return status;
}
