/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "terminal.h"

#include "pseudo.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(const char *bytes, size_t length, void *user)
{
    Terminal *t = user;
    if (write(t->file, bytes, length) < 0) return;
}

bool terminal_start(Terminal *t, int rows, int columns, char *const *arguments, const char *const *variables)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    *t = (Terminal){.rows = rows, .columns = columns};
    t->child = forkpty(&t->file, NULL, NULL, &size);
    if (t->child == 0) {
        setenv("TERM", "xterm", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        setenv("XTERM_VERSION", "1", 1);                 /* the emulator keeps rows when it is resized, as xterm does */
        unsetenv("NO_COLOR");
        signal(SIGHUP, SIG_DFL);                         /* nohup has it ignored */
        for (; variables && *variables; variables++)
            if (strchr(*variables, '=')) putenv((char *)(uintptr_t)*variables);
            else unsetenv(*variables);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    if (t->child < 0) return false;
    t->emulator = vterm_new(rows, columns);
    vterm_set_utf8(t->emulator, 1);
    vterm_output_set_callback(t->emulator, answer, t);
    t->screen = vterm_obtain_screen(t->emulator);
    vterm_screen_enable_altscreen(t->screen, 1);
    vterm_screen_reset(t->screen, 1);
    return true;
}

static bool take(Terminal *t, double seconds)
{
    char bytes[4096];
    struct pollfd input = {.fd = t->file, .events = POLLIN};
    if (poll(&input, 1, (int)(seconds * 1000)) <= 0) return false;
    ssize_t got = read(t->file, bytes, sizeof bytes);
    if (got <= 0) {
        usleep(10000);                                   /* it is over; no use in asking faster */
        return false;
    }
    t->received += (size_t)got;
    vterm_input_write(t->emulator, bytes, (size_t)got);
    return true;
}

/* The program may write while we type, so both go on at once. */
void terminal_type(Terminal *t, const char *keys)
{
    size_t left = strlen(keys);
    for (double end = now() + 20; left > 0 && now() < end;) {
        struct pollfd output = {.fd = t->file, .events = POLLOUT | POLLIN};
        poll(&output, 1, 100);
        if (output.revents & POLLIN) take(t, 0);
        if (!(output.revents & POLLOUT)) continue;
        ssize_t written = write(t->file, keys, left < 256 ? left : 256);
        if (written < 0 && errno != EINTR) return;
        if (written < 0) continue;
        keys += written;
        left -= (size_t)written;
    }
}

void terminal_resize(Terminal *t, int rows, int columns)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    terminal_settle(t, 0.05);
    vterm_set_size(t->emulator, rows, columns);
    t->rows = rows;
    t->columns = columns;
    ioctl(t->file, TIOCSWINSZ, &size);
}

void terminal_settle(Terminal *t, double seconds)
{
    while (take(t, seconds)) continue;
}

VTermScreenCell terminal_cell(Terminal *t, int row, int column)
{
    VTermScreenCell cell = {0};
    vterm_screen_get_cell(t->screen, (VTermPos){row, column}, &cell);
    return cell;
}

int terminal_color(Terminal *t, int row, int column)
{
    VTermColor color = terminal_cell(t, row, column).fg;
    if (VTERM_COLOR_IS_DEFAULT_FG(&color) || !VTERM_COLOR_IS_INDEXED(&color)) return -1;
    return color.indexed.idx;
}

static size_t put_codepoint(char *at, uint32_t c)
{
    if (c < 0x80) return at[0] = (char)c, 1;
    if (c < 0x800) return at[0] = (char)(0xC0 | c >> 6), at[1] = (char)(0x80 | (c & 63)), 2;
    int size = c < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--, c >>= 6) at[i] = (char)(0x80 | (c & 63));
    at[0] = (char)((size == 3 ? 0xE0 : 0xF0) | c);
    return (size_t)size;
}

static size_t put_cell(char *at, const VTermScreenCell *cell)
{
    size_t size = 0;
    if (cell->chars[0] == 0) return *at = ' ', 1;
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell->chars[i]; i++) size += put_codepoint(at + size, cell->chars[i]);
    return size;
}

const char *terminal_text(Terminal *t, bool cursor)
{
    static char text[1 << 17];
    size_t size = 0;
    VTermPos at;
    vterm_state_get_cursorpos(vterm_obtain_state(t->emulator), &at);
    for (int row = 0; row < t->rows; row++) {
        size_t last = size;
        for (int column = 0; column <= t->columns; column++) {
            if (cursor && at.row == row && at.col == column) {
                size += put_codepoint(text + size, 0xA6);
                last = size;
            }
            if (column == t->columns) break;
            VTermScreenCell cell = terminal_cell(t, row, column);
            size += put_cell(text + size, &cell);
            if (cell.chars[0] != 0 && cell.chars[0] != ' ') last = size;
            if (cell.width == 2) column++;
        }
        size = last;
        text[size++] = '\n';
    }
    while (size > 0 && text[size - 1] == '\n') size--;
    text[size] = 0;
    return text;
}

static bool matches(Terminal *t, const char *text, bool whole)
{
    return whole ? strcmp(terminal_text(t, true), text) == 0 : strstr(terminal_text(t, false), text) != NULL;
}

static bool wait_for(Terminal *t, const char *text, bool whole, double seconds)
{
    double end = now() + seconds;
    while (!matches(t, text, whole)) {
        double left = end - now();
        if (left <= 0) return false;
        take(t, left < 0.2 ? left : 0.2);
    }
    return true;
}

bool terminal_is(Terminal *t, const char *text, double seconds)
{
    if (!wait_for(t, text, true, seconds)) return false;
    terminal_settle(t, 0.03);
    return matches(t, text, true) || wait_for(t, text, true, seconds);
}

bool terminal_has(Terminal *t, const char *text, double seconds)
{
    return wait_for(t, text, false, seconds);
}

int terminal_finish(Terminal *t)
{
    int status = -1, result = -1;
    bool over = false;
    for (double end = now() + 20; !over && now() < end;) {
        take(t, 0.02);
        over = waitpid(t->child, &status, WNOHANG) == t->child;
    }
    if (over) {
        terminal_settle(t, 0.02);
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else {
        kill(t->child, SIGKILL);
        waitpid(t->child, &status, 0);
    }
    close(t->file);
    vterm_free(t->emulator);
    t->emulator = NULL;
    return result;
}
