/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal, or what stands in its place. Standard output is buffered unless it is a terminal, and flushed before
   anything goes to standard error. Bars of progress (progress.c) stand below everything and go before anything else is
   written. Invariant: only the thread that opened it writes; a line that is being edited is never written over. */
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double screen_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The first of the locale's variables that is set decides. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

void screen_open(Screen *screen)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    memset(screen, 0, sizeof *screen);
    screen->dumb = !term || !*term || strcmp(term, "dumb") == 0;
    screen->out_terminal = isatty(STDOUT_FILENO) != 0;
    screen->err_terminal = isatty(STDERR_FILENO) && !screen->dumb;
    screen->color = screen->err_terminal && !(plain && *plain);
    screen->utf8 = speaks_utf8();
    screen->last_plain = screen_now();
    screen->owner = pthread_self();
    pthread_mutex_init(&screen->lock, NULL);
    screen->last_note = &screen->notes;
    screen->wake[0] = screen->wake[1] = -1;
}

static struct winsize find_size(const Screen *screen)
{
    struct winsize size = {0};
    if (screen->out_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size;
    if (screen->err_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size;
    return (struct winsize){0};
}

int screen_width(const Screen *screen)
{
    return find_size(screen).ws_col;
}

int screen_height(const Screen *screen)
{
    int rows = find_size(screen).ws_row;
    return rows > 0 ? rows : 24;
}

/* ---- writing ---- */

static int write_all(int to, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(to, text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        text += written;
        length -= (size_t)written;
    }
    return 0;
}

void screen_write_error(const char *text, size_t length)
{
    write_all(STDERR_FILENO, text, length);              /* there is nowhere left to complain */
}

void screen_flush(Screen *screen)
{
    if (screen->used && !screen->out_error) screen->out_error = write_all(STDOUT_FILENO, screen->buffer, screen->used);
    screen->used = 0;
}

static void add_out(Screen *screen, const char *text, size_t length)
{
    while (length > 0) {
        if (screen->used == sizeof screen->buffer) screen_flush(screen);
        size_t part = sizeof screen->buffer - screen->used;
        if (part > length) part = length;
        memcpy(screen->buffer + screen->used, text, part);
        screen->used += part;
        text += part;
        length -= part;
    }
}

/* ---- other threads ---- */

typedef struct Note {
    struct Note *next;
    OutputStream stream;
    size_t length;
    char text[];
} Note;

static void keep_note(Screen *screen, OutputStream stream, const char *text, size_t length)
{
    Note *note = malloc(sizeof *note + length);
    if (!note) return;
    *note = (Note){.stream = stream, .length = length};
    memcpy(note->text, text, length);
    pthread_mutex_lock(&screen->lock);
    *screen->last_note = note;
    screen->last_note = &note->next;
    if (screen->wake[1] >= 0 && write(screen->wake[1], "!", 1) < 0) errno = 0;       /* full: it has been told */
    pthread_mutex_unlock(&screen->lock);
}

void screen_take_notes(Screen *screen)
{
    char told[64];
    pthread_mutex_lock(&screen->lock);
    Note *note = screen->notes;
    screen->notes = NULL;
    screen->last_note = &screen->notes;
    while (note && screen->wake[0] >= 0 && read(screen->wake[0], told, sizeof told) > 0) {}
    pthread_mutex_unlock(&screen->lock);
    while (note) {
        Note *next = note->next;
        screen_output(screen, note->stream, note->text, note->length);
        free(note);
        note = next;
    }
}

int screen_wake(Screen *screen)
{
    pthread_mutex_lock(&screen->lock);
    if (screen->wake[0] < 0 && pipe2(screen->wake, O_CLOEXEC | O_NONBLOCK) != 0) screen->wake[0] = screen->wake[1] = -1;
    pthread_mutex_unlock(&screen->lock);
    return screen->wake[0];
}

/* ---- all output ---- */

void screen_output(Screen *screen, OutputStream stream, const char *text, size_t length)
{
    if (length == 0) return;
    if (!pthread_equal(pthread_self(), screen->owner)) {
        keep_note(screen, stream, text, length);
        return;
    }
    screen_take_notes(screen);
    screen->above_rows = 0;
    if (stream == OUTPUT_ERR) {
        screen_flush(screen);
        screen_erase_progress(screen);
        screen_write_error(text, length);
        return;
    }
    if (screen->out_terminal) screen_erase_progress(screen);
    add_out(screen, text, length);
    screen->mid_line = text[length - 1] != '\n';
    double time = screen_now();
    bool burst = time - screen->last_output < 0.05;      /* a log that is watched shows single lines at once */
    screen->last_output = time;
    if ((screen->out_terminal || !burst) && !screen->held) screen_flush(screen);
}
