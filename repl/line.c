/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line editor, a module of its own because readline costs start-up time: GNU readline through its callback
   interface, so that waiting, and what a signal does to it, stay in our hands. */
#include "line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { HISTORY_LINES = 10000 };

static const LineHost *host;
static char *history_path;
static char *line_read;
static bool line_finished;
static const char *line_prefill;
static char **candidates;
static size_t candidates_start;
static volatile sig_atomic_t continued;

static void take_line(char *line)
{
    line_read = line;
    line_finished = true;
    rl_callback_handler_remove();
}

static int insert_prefill(void)
{
    if (line_prefill && *line_prefill) rl_insert_text(line_prefill);
    return 0;
}

static char *next_candidate(const char *text, int state)
{
    static size_t index;
    (void)text;
    if (state == 0) index = 0;
    return candidates && candidates[index] ? strdup(candidates[index++]) : NULL;
}

static void free_candidates(void)
{
    for (size_t i = 0; candidates && candidates[i]; i++) free(candidates[i]);
    free(candidates);
    candidates = NULL;
}

static char **complete(const char *text, int start, int end)
{
    rl_attempted_completion_over = 1;                    /* never file names */
    rl_completion_append_character = '\0';
    candidates = host->complete(host->user, rl_line_buffer, (size_t)end, &candidates_start);
    size_t before = candidates_start < (size_t)start ? (size_t)start - candidates_start : 0;
    for (char **one = candidates; one && *one; one++)
        if (before <= strlen(*one)) memmove(*one, *one + before, strlen(*one + before) + 1);
    char **matches = candidates ? rl_completion_matches(text, next_candidate) : NULL;
    free_candidates();
    return matches;
}

static void line_open(const LineHost *caller, const char *history)
{
    host = caller;
    rl_readline_name = "tessera";
    rl_catch_signals = 0;
    rl_startup_hook = insert_prefill;
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = " \t\n\"'()[]{}+-*/%@^=<>,;:|!?.#";
    rl_completer_quote_characters = "";
    history_comment_char = '#';                          /* time stamps, which keep entries of several lines together */
    history_write_timestamps = 1;
    using_history();
    stifle_history(HISTORY_LINES);
    history_path = history ? strdup(history) : NULL;
    if (history_path) read_history(history_path);
}

static void on_continue(int signal_number)
{
    (void)signal_number;
    continued = 1;
}

static void keep_width(void)
{
    static unsigned short columns;
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == columns) return;
    if (columns) rl_resize_terminal();
    columns = size.ws_col;
}

/* Waits for a key with SIGINT and SIGCONT let through only here, so that none is missed. */
static void wait_for_key(const sigset_t *mask, bool *cancelled)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = ppoll(&input, 1, NULL, mask);
    if (continued) {
        continued = 0;
        rl_prep_terminal(1);
        rl_forced_update_display();
    }
    if (host->interrupted(host->user)) {
        *cancelled = true;
        return;
    }
    if (ready <= 0) return;
    keep_width();
    rl_callback_read_char();
}

static char *line_get(const char *prompt, const char *prefill, bool *cancelled)
{
    sigset_t blocked, before;
    struct sigaction action = {.sa_handler = on_continue}, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGCONT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGCONT, &action, &old);
    line_read = NULL;
    line_finished = *cancelled = false;
    line_prefill = prefill;
    keep_width();
    rl_callback_handler_install(prompt, take_line);
    while (!line_finished && !*cancelled) wait_for_key(&before, cancelled);
    if (*cancelled) {
        rl_replace_line("", 0);
        rl_callback_handler_remove();
        fputs("^C\n", stdout);
        fflush(stdout);
    }
    sigaction(SIGCONT, &old, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return line_read;
}

static void line_remember(const char *text)
{
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (last && strcmp(last->line, text) == 0) return;
    add_history(text);
}

static void line_close(void)
{
    if (history_path) write_history(history_path);
    free(history_path);
    history_path = NULL;
    clear_history();
}

__attribute__((visibility("default"))) extern const LineModule tessera_module_repl;
const LineModule tessera_module_repl = {line_open, line_get, line_remember, line_close};
