/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal, or what stands in its place. Standard output is buffered unless it is a terminal, and flushed before
   anything goes to standard error. Progress is one line on standard error: rewritten in place on a terminal, at most
   ten times a second; elsewhere a plain line every ten seconds. */
#include "screen.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS 10.0

static double now(void)
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
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    memset(screen, 0, sizeof *screen);
    screen->out_terminal = isatty(STDOUT_FILENO) != 0;
    screen->err_terminal = isatty(STDERR_FILENO) && !dumb;
    screen->color = screen->err_terminal && !(plain && *plain);
    screen->utf8 = speaks_utf8();
    screen->last_plain = now();
}

int screen_width(const Screen *screen)
{
    struct winsize size;
    if (screen->out_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    if (screen->err_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 0;
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

static void write_error(const char *text, size_t length)
{
    write_all(STDERR_FILENO, text, length);              /* there is nowhere left to complain */
}

void screen_flush(Screen *screen)
{
    if (screen->used && !screen->out_error) screen->out_error = write_all(STDOUT_FILENO, screen->buffer, screen->used);
    screen->used = 0;
}

static void erase(Screen *screen)
{
    if (screen->drawn) write_error("\r\033[K", 4);
    screen->drawn = false;
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

void screen_output(Screen *screen, OutputStream stream, const char *text, size_t length)
{
    if (length == 0) return;
    if (stream == OUTPUT_ERR) {
        screen_flush(screen);
        erase(screen);
        write_error(text, length);
        return;
    }
    if (screen->out_terminal) erase(screen);
    add_out(screen, text, length);
    screen->mid_line = text[length - 1] != '\n';
    double time = now();
    bool burst = time - screen->last_output < 0.05;      /* a log that is watched shows single lines at once */
    screen->last_output = time;
    if (screen->out_terminal || !burst) screen_flush(screen);
}

/* ---- progress ---- */

static void format_time(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0) || seconds > 1e7) seconds = 0;
    long whole = lround(seconds);
    if (whole >= 3600) snprintf(text, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(text, size, "%ld:%02ld", whole / 60, whole % 60);
}

static void format_count(double count, char *text, size_t size)
{
    if (count == floor(count) && fabs(count) < 1e15) snprintf(text, size, "%.0f", count);
    else snprintf(text, size, "%.4g", count);
}

/* "label 120/235", or "label 120" */
static void format_head(const Meter *meter, char *text, size_t size)
{
    char step[32], total[32] = "";
    format_count(meter->step, step, sizeof step);
    if (meter->total >= 0) format_count(meter->total, total, sizeof total);
    snprintf(text, size, "%s%s%s%s%s", meter->label, *meter->label ? " " : "", step, *total ? "/" : "", total);
}

/* "12.3/s  0:09 left  loss 0.512" */
static void format_tail(const Meter *meter, bool done, bool failed, char *text, size_t size)
{
    char rate[48] = "", time[32];
    double speed = meter->elapsed > 0 ? meter->step / meter->elapsed : 0;
    if (speed >= 100) snprintf(rate, sizeof rate, "%.0f/s  ", speed);
    else if (speed >= 1) snprintf(rate, sizeof rate, "%.1f/s  ", speed);
    else if (speed > 0) snprintf(rate, sizeof rate, "%.1f s each  ", 1 / speed);
    bool known = meter->total >= 0 && speed > 0 && !done;
    format_time(known ? (meter->total - meter->step) / speed : meter->elapsed, time, sizeof time);
    snprintf(text, size, "%s%s%s%s%s%s", rate, time, known ? " left" : "", *meter->metrics ? "  " : "", meter->metrics,
             failed ? "  stopped" : "");
}

/* Cuts to [columns] characters. */
static size_t cut(const char *text, int columns)
{
    size_t at = 0;
    for (; text[at]; at++)
        if (((unsigned char)text[at] & 0xC0) != 0x80 && columns-- == 0) break;
    return at;
}

static int characters(const char *text)
{
    int count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static void format_bar(const Screen *screen, const Meter *meter, int room, char *text, size_t size)
{
    const char *full = screen->utf8 ? "█" : "#", *empty = screen->utf8 ? "░" : "-";
    int width = room > 24 ? 24 : room;
    size_t used = 0;
    *text = 0;
    if (meter->total <= 0 || width < 6) return;
    double part = meter->step / meter->total;
    int filled = (int)lround((part < 0 ? 0 : part > 1 ? 1 : part) * width);
    for (int i = 0; i < width && used + 8 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s", i < filled ? full : empty);
    snprintf(text + used, size - used, "  ");
}

/* The whole line: the outer ones shortly, the innermost with its bar. */
static void format_line(const Screen *screen, bool plain, bool done, bool failed, char *line, size_t size)
{
    char head[160], tail[280], bar[160] = "";
    size_t used = 0;
    const Meter *inner = &screen->meter[screen->n_meters - 1];
    for (const Meter *outer = screen->meter; outer < inner; outer++) {
        format_head(outer, head, sizeof head);
        used += (size_t)snprintf(line + used, size - used, "%s  ", head);
    }
    format_head(inner, head, sizeof head);
    format_tail(inner, done, failed, tail, sizeof tail);
    int width = screen_width(screen);
    if (width <= 0) width = 80;
    int room = width - 5 - characters(head) - characters(tail) - (int)used;
    if (!plain) format_bar(screen, inner, room, bar, sizeof bar);
    snprintf(line + used, size - used, "%s  %s%s", head, bar, tail);
    if (!plain) line[cut(line, width - 1)] = 0;
}

static void draw(Screen *screen, bool done, bool failed)
{
    char line[1600], text[1700];
    if (screen->mid_line && screen->out_terminal && !done) return;
    format_line(screen, false, done, failed, line, sizeof line);
    screen_flush(screen);
    int length = snprintf(text, sizeof text, "\r%s\033[K%s", line, done ? "\n" : "");
    write_error(text, (size_t)length);
    screen->drawn = !done;
    screen->last_drawn = now();
}

static void print_plain(Screen *screen, bool done, bool failed)
{
    char line[1600];
    format_line(screen, true, done, failed, line, sizeof line - 1);
    screen_flush(screen);
    strcat(line, "\n");
    write_error(line, strlen(line));
    screen->last_plain = now();
}

/* The meter of [state]: a known one, whose inner ones are over, or a new innermost one. */
static Meter *find_meter(Screen *screen, const ProgressState *state)
{
    int at = 0;
    while (at < screen->n_meters && screen->meter[at].id < state->id) at++;
    if (at == METERS_MAX) return NULL;
    Meter *meter = &screen->meter[at];
    screen->n_meters = at + 1;
    meter->id = state->id;
    snprintf(meter->label, sizeof meter->label, "%s", state->label ? state->label : "");
    snprintf(meter->metrics, sizeof meter->metrics, "%s", state->metrics ? state->metrics : "");
    meter->step = state->step;
    meter->total = state->total;
    meter->elapsed = state->elapsed;
    return meter;
}

void screen_progress(Screen *screen, const ProgressState *state)
{
    Meter *meter = find_meter(screen, state);
    if (!meter) return;
    double time = now();
    if (screen->err_terminal) {
        if (state->done || time - screen->last_drawn >= REDRAW_SECONDS) draw(screen, state->done, state->failed);
    } else if (time - screen->last_plain >= PLAIN_SECONDS || (state->done && state->elapsed >= PLAIN_SECONDS)) {
        print_plain(screen, state->done, state->failed);
    }
    if (state->done) screen->n_meters = (int)(meter - screen->meter);
}

void screen_end_progress(Screen *screen)
{
    if (screen->drawn) write_error("\n", 1);
    screen->drawn = false;
    screen->n_meters = 0;
}
