/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line editor, a module of its own because readline costs start-up time: GNU readline through its callback
   interface, so that waiting, and what a signal does to it, stay in our hands; the screen is painted by paint.c. */
#include "line.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "editor.h"
#include "paint.h"

Editor editor;

/* ---- keys typed ahead ---- */

static char *ahead;
static size_t n_ahead, taken_ahead, ahead_room;
static bool input_ended;

static void line_unread(const char *bytes, size_t length)
{
    size_t kept = n_ahead - taken_ahead;
    if (length == 0) return;
    if (kept + length > ahead_room || taken_ahead > 0) {
        char *wider = malloc(kept + length + 4096);
        if (!wider) return;
        if (kept > 0) memcpy(wider, ahead + taken_ahead, kept);
        free(ahead);
        ahead = wider;
        ahead_room = kept + length + 4096;
        n_ahead = kept;
        taken_ahead = 0;
    }
    memcpy(ahead + n_ahead, bytes, length);
    n_ahead += length;
}

static bool is_ahead(void)
{
    return taken_ahead < n_ahead;
}

static void fill_ahead(void)
{
    char bytes[4096];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got > 0) line_unread(bytes, (size_t)got);
    else if (got == 0 || (errno != EINTR && errno != EAGAIN)) input_ended = true;
}

/* A Ctrl-D typed while the terminal still read whole lines arrives as a zero byte. */
static void take_early_keys(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, 0) <= 0) return;
    fill_ahead();
    for (size_t at = taken_ahead; at < n_ahead; at++)
        if (ahead[at] == 0) ahead[at] = CTRL('D');
}

static bool input_waits(int milliseconds)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return is_ahead() || poll(&input, 1, milliseconds) > 0;
}

/* ---- signals: let through only while we wait, so that none is missed ---- */

static const int watched[] = {SIGINT, SIGCONT, SIGWINCH, SIGTSTP, SIGTERM, SIGHUP, SIGQUIT};
enum { WATCHED = sizeof watched / sizeof *watched };
static volatile sig_atomic_t arrived[WATCHED];
static struct sigaction actions_before[WATCHED];
static sigset_t mask_before;

static void on_signal(int number)
{
    for (int i = 0; i < WATCHED; i++)
        if (watched[i] == number) arrived[i] = 1;
}

static void watch_signals(void)
{
    sigset_t blocked;
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&blocked);
    for (int i = 0; i < WATCHED; i++) sigaddset(&blocked, watched[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask_before);
    for (int i = 1; i < WATCHED; i++) {                  /* SIGINT has the caller's handler */
        arrived[i] = 0;
        sigaction(watched[i], NULL, &actions_before[i]);
        if (actions_before[i].sa_handler != SIG_IGN) sigaction(watched[i], &action, NULL);
    }
}

static void unwatch_signals(void)
{
    for (int i = 1; i < WATCHED; i++) sigaction(watched[i], &actions_before[i], NULL);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

static void forget_signal(int number)
{
    struct sigaction ignored = {.sa_handler = SIG_IGN}, ours;
    sigaction(number, &ignored, &ours);
    sigaction(number, &ours, NULL);
}

/* As if we had no handler; returns when a stopped process goes on. */
static void obey(int number)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, ours;
    sigset_t one;
    rl_deprep_terminal();
    sigaction(number, &plain, &ours);
    raise(number);
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    sigprocmask(SIG_BLOCK, &one, NULL);
    sigaction(number, &ours, NULL);
    rl_prep_terminal(1);
}

/* ---- the screen ---- */

/* The prompt, behind the sign of the editing mode for those who want to see it. */
static const char *prompt_now(void)
{
    static char text[512];
    const char *prompt = rl_display_prompt ? rl_display_prompt : "", *wanted = rl_variable_value("show-mode-in-prompt");
    if (!wanted || strcmp(wanted, "on") != 0) return prompt;
    const char *mode = rl_variable_value(rl_editing_mode == 1 ? "emacs-mode-string"
                                         : rl_get_keymap() == vi_movement_keymap ? "vi-cmd-mode-string"
                                                                                 : "vi-ins-mode-string");
    snprintf(text, sizeof text, "%s%s", mode ? mode : "", prompt);
    return text;
}

static Picture picture_now(void)
{
    bool own = editor.code && rl_display_prompt == rl_prompt;
    return (Picture){.prompt = prompt_now(), .text = rl_line_buffer,
                     .length = (size_t)rl_end, .point = (size_t)rl_point,
                     .suggestion = own ? keys_suggestion() : NULL, .highlight = editor.code ? editor.host.highlight : NULL,
                     .color = editor.host.color, .own_prompt = own};
}

static void mark_stale(void)
{
    editor.stale = true;
}

static void draw(void)
{
    Picture picture = picture_now();
    fflush(rl_outstream);
    paint(&picture);
    editor.stale = false;
}

/* The line as it stays on the screen, the cursor behind it. */
static void draw_last(void)
{
    Picture picture = picture_now();
    fflush(rl_outstream);
    paint_finish(&picture);
}

void editor_below(void)
{
    draw_last();
    fputs("\r\n", rl_outstream);
    fflush(rl_outstream);
}

void editor_refresh(bool fresh)
{
    fflush(rl_outstream);
    if (fresh) paint_start();
    else paint_hide();
    editor.stale = true;
}

void editor_clear(bool history)
{
    fflush(rl_outstream);
    paint_clear(history);
    editor.stale = true;
}

/* ---- waiting ---- */

static char *line_read;
static bool line_finished;
static bool cancelled_now;
static const char *line_prefill;

static int insert_prefill(void)
{
    if (line_prefill) rl_insert_text(line_prefill);
    return 0;
}

static void mind_signals(void)
{
    cancelled_now = cancelled_now || editor.host.interrupted(editor.host.user);
    for (int i = 1; i < WATCHED; i++) {
        if (!arrived[i]) continue;
        arrived[i] = 0;
        if (watched[i] == SIGWINCH) {
            paint_resize();
            editor.stale = true;
        } else if (watched[i] == SIGCONT) {
            rl_deprep_terminal();                        /* readline believes that its modes still hold */
            rl_prep_terminal(1);
            editor_refresh(true);
        } else {
            editor_below();
            obey(watched[i]);
            forget_signal(SIGCONT);
            editor_refresh(true);
        }
    }
}

/* A poll that finds input leaves signals pending; Ctrl-C comes before the keys behind it. */
static void let_signals_in(void)
{
    sigset_t ours;
    sigprocmask(SIG_SETMASK, &mask_before, &ours);
    sigprocmask(SIG_SETMASK, &ours, NULL);
    mind_signals();
}

/* Waits for input; false: a signal, the host, or the time came first. */
static bool wait_for_input(int seconds)
{
    struct pollfd wait[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = editor.host.wake, .events = POLLIN}};
    struct timespec time = {.tv_sec = seconds};
    let_signals_in();
    if (cancelled_now) return false;
    if (is_ahead() || input_ended) return true;
    int ready = ppoll(wait, editor.host.wake >= 0 ? 2 : 1, seconds >= 0 ? &time : NULL, &mask_before);
    let_signals_in();
    if (cancelled_now) return false;
    if (ready > 0 && wait[1].revents) {
        editor_refresh(false);
        editor.host.woken(editor.host.user);
        editor_refresh(true);
    }
    if (ready <= 0 || !wait[0].revents) return false;
    fill_ahead();
    return is_ahead() || input_ended;
}

int editor_next_key(int seconds)
{
    while (!wait_for_input(seconds))
        if (seconds >= 0 || cancelled_now) return -1;
    return is_ahead() ? (unsigned char)ahead[taken_ahead++] : -1;
}

void editor_untake_key(void)
{
    taken_ahead--;
}

/* readline asks for a key within a command, such as the second one of a sequence. Ctrl-C ends that command. */
static int next_key(FILE *stream)
{
    (void)stream;
    int key = editor_next_key(-1);
    return key >= 0 ? key : cancelled_now ? CTRL('G') : EOF;
}

/* The same question as readline's own, of our keys too. */
static int keys_wait(void)
{
    int microseconds = rl_set_keyboard_input_timeout(0);
    rl_set_keyboard_input_timeout(microseconds);
    return input_waits(microseconds / 1000);
}

/* ---- the module ---- */

static void take_line(char *line)
{
    line_read = line;
    line_finished = true;
    if (line) {
        paint_returned();                                /* readline has set the terminal back */
        editor_below();
    }
    rl_callback_handler_remove();
}

/* Text is UTF-8 here: where no locale is chosen, C.UTF-8 is. readline takes the environment's again for each line. */
static void choose_locale(void)
{
    const char *name = setlocale(LC_CTYPE, NULL);
    if (name && strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0) return;
    if (!setlocale(LC_CTYPE, "C.UTF-8")) return;
    rl_variable_bind("input-meta", "on");
    rl_variable_bind("output-meta", "on");
    rl_variable_bind("convert-meta", "off");
}

static void drop_line(void)
{
    rl_callback_sigcleanup();                            /* out of a search or an argument */
    draw_last();
    fputs("^C\r\n", rl_outstream);
    fflush(rl_outstream);
    rl_free_line_state();
    rl_replace_line("", 0);
    rl_callback_handler_remove();
    n_ahead = taken_ahead = 0;
}

static char *line_get(const char *prompt, const char *prefill, bool *cancelled)
{
    line_read = NULL;
    line_finished = cancelled_now = *cancelled = false;
    editor.code = prompt == NULL;
    line_prefill = prefill;
    editor.stale = true;
    watch_signals();
    paint_start();
    rl_callback_handler_install(prompt ? prompt : LINE_PROMPT, take_line);
    choose_locale();
    take_early_keys();
    while (!line_finished && !cancelled_now) {
        if (editor.stale && !input_waits(0)) draw();
        if (wait_for_input(-1)) rl_callback_read_char();
    }
    if (cancelled_now && !line_finished) {
        drop_line();
        *cancelled = true;
    }
    complete_close();
    unwatch_signals();
    input_ended = false;
    return line_read;
}

static void line_open(const LineHost *host)
{
    editor.host = *host;
    rl_readline_name = "tessera";
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0;
    rl_startup_hook = insert_prefill;
    rl_redisplay_function = mark_stale;
    rl_getc_function = next_key;
    rl_input_available_hook = keys_wait;
    rl_variable_bind("show-all-if-ambiguous", "on");     /* before ~/.inputrc, which may say otherwise */
    rl_variable_bind("revert-all-at-newline", "on");
    rl_variable_bind("bind-tty-special-chars", "off");   /* or each line binds Backspace and Ctrl-U anew */
    using_history();
    rl_initialize();
    keys_bind();
    complete_bind();
}

static void line_remember(const char *text)
{
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (last && strcmp(last->line, text) == 0) return;
    add_history(text);
}

static void line_close(void)
{
    clear_history();
    complete_close();
    paint_end();
    free(ahead);
    ahead = NULL;
    n_ahead = taken_ahead = ahead_room = 0;
}

__attribute__((visibility("default"))) extern const LineModule tessera_module_repl;
const LineModule tessera_module_repl = {line_open, line_get, line_remember, line_unread, line_close};
