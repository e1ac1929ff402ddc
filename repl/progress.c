/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bars of progress on standard error: on a terminal one line for each that is open, outermost first, then the curve that
   was asked for, rewritten in place; elsewhere a plain line every ten seconds. The outermost one's last line stays. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "screen.h"

#define PLAIN_SECONDS 10.0

enum { BAR_MOST = 24, BAR_LEAST = 6 };

typedef struct Drawing {      /* lines in the making, with the codes that put them in their place */
    const Screen *screen;
    int width, lines;
    int columns[DRAWN_MAX];
    size_t used;
    char text[1 << 14];
} Drawing;

static void add(Drawing *drawing, const char *text, size_t length)
{
    if (length >= sizeof drawing->text - drawing->used) return;
    memcpy(drawing->text + drawing->used, text, length);
    drawing->used += length;
}

static void tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F) *text = ' ';
}

static void add_code(Drawing *drawing, const char *format, int n)
{
    char code[32];
    add(drawing, code, (size_t)snprintf(code, sizeof code, format, n));
}

/* The last column stays free: terminals differ in where the cursor is behind it. What controls a terminal may be part of
   a label, and does not. */
static void add_line(Drawing *drawing, const char *text)
{
    char line[2000];
    if (drawing->lines == DRAWN_MAX) return;
    snprintf(line, sizeof line, "%s", text);
    tame(line);
    line[columns_cut(line, drawing->width - 1)] = 0;
    if (drawing->lines) add(drawing, "\n", 1);
    drawing->columns[drawing->lines++] = columns_of(line);
    add(drawing, line, strlen(line));
    add(drawing, "\033[K", 3);
}

typedef struct Layout { int head, bar; } Layout;      /* columns */

/* Heads are filled up to one width and bars are of one length, so that they stand below each other. */
static Layout find_layout(const Drawing *drawing, const ProgressLine *line, int count)
{
    Layout layout = {0, BAR_MOST};
    for (int i = 0; i < count; i++) {
        int head = columns_of(line[i].head);
        if (head > layout.head) layout.head = head;
    }
    for (int i = 0; i < count; i++) {
        int room = drawing->width - 5 - layout.head - columns_of(line[i].tail);
        if (room < layout.bar && line[i].total > 0) layout.bar = room;
    }
    if (layout.bar < BAR_LEAST) layout.bar = 0;
    return layout;
}

static void format_bar(const Screen *screen, const ProgressLine *line, int width, char *text, size_t size)
{
    const char *full = screen->utf8 ? "━" : "#", *empty = screen->utf8 ? "─" : "-";
    size_t used = 0;
    *text = 0;
    if (line->total <= 0 || width == 0) return;
    double part = line->step / line->total;
    int filled = (int)lround((part < 0 ? 0 : part > 1 ? 1 : part) * width);
    for (int i = 0; i < width && used + 8 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s", i < filled ? full : empty);
    snprintf(text + used, size - used, "  ");
}

static void add_meter(Drawing *drawing, const ProgressLine *line, Layout layout)
{
    char bar[160], text[1800];
    format_bar(drawing->screen, line, layout.bar, bar, sizeof bar);
    snprintf(text, sizeof text, "%.800s%*s  %s%.800s", line->head, layout.head - columns_of(line->head), "", bar, line->tail);
    add_line(drawing, text);
}

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

static void add_curve(Drawing *drawing, const char *curve)
{
    char line[400];
    for (size_t length; *curve; curve += length + (curve[length] != 0)) {
        length = strcspn(curve, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, curve);
        add_line(drawing, line);
    }
}

static void add_lines(Drawing *drawing, const Progressed *progress)
{
    const char *curve = drawing->screen->utf8 ? progress->curve : "";
    int height = screen_height(drawing->screen), first = 0;
    if (progress->count + count_lines(curve) >= height) curve = "";
    if (progress->count >= height) first = progress->count - 1;
    Layout layout = find_layout(drawing, progress->line + first, progress->count - first);
    for (int i = first; i < progress->count; i++) add_meter(drawing, &progress->line[i], layout);
    add_curve(drawing, curve);
}

/* Up to the first of the lines that stand there; a terminal that became narrower has folded them. */
static void add_return(Drawing *drawing)
{
    const Screen *screen = drawing->screen;
    int rows = 0;
    for (int i = 0; i < screen->drawn; i++)
        rows += screen->drawn_columns[i] > drawing->width ? 1 + (screen->drawn_columns[i] - 1) / drawing->width : 1;
    add(drawing, "\r", 1);
    if (rows > 1) add_code(drawing, "\033[%dA", rows - 1);
}

static void begin(Drawing *drawing, const Screen *screen)
{
    *drawing = (Drawing){.screen = screen, .width = screen_width(screen)};
    if (drawing->width <= 0) drawing->width = 80;
    add_return(drawing);
}

/* The lines stay when it is done, the cursor goes below them. */
static void draw(Screen *screen, const Progressed *progress)
{
    Drawing drawing;
    if (screen->mid_line && screen->out_terminal) {
        if (!progress->done) return;
        screen_output(screen, OUTPUT_OUT, "\n", 1);
    }
    begin(&drawing, screen);
    add_lines(&drawing, progress);
    add(&drawing, "\033[J", 3);
    if (progress->done) add(&drawing, "\n", 1);
    screen_flush(screen);
    screen_write_error(drawing.text, drawing.used);
    screen->drawn = progress->done ? 0 : drawing.lines;
    memcpy(screen->drawn_columns, drawing.columns, sizeof drawing.columns);
}

void screen_erase_progress(Screen *screen)
{
    Drawing drawing;
    if (!screen->drawn) return;
    begin(&drawing, screen);
    add(&drawing, "\033[J", 3);
    screen_write_error(drawing.text, drawing.used);
    screen->drawn = 0;
}

/* Everything in one line, the outer ones by their heads. */
static void print_plain(Screen *screen, const Progressed *progress)
{
    char line[1600];
    size_t used = 0, room = sizeof line - 2;
    for (int i = 0; i < progress->count && used < room; i++)
        used += (size_t)snprintf(line + used, room - used, "%s  ", progress->line[i].head);
    if (used < room) snprintf(line + used, room - used, "%s", progress->line[progress->count - 1].tail);
    tame(line);
    strcat(line, "\n");
    screen_flush(screen);
    screen_write_error(line, strlen(line));
    screen->last_plain = screen_now();
}

void screen_progress(Screen *screen, const Progressed *progress)
{
    if (screen->err_terminal) draw(screen, progress);
    else if (screen_now() - screen->last_plain >= PLAIN_SECONDS || (progress->done && progress->elapsed >= PLAIN_SECONDS))
        print_plain(screen, progress);
}

void screen_end_progress(Screen *screen)
{
    if (screen->drawn) screen_write_error("\n", 1);
    screen->drawn = 0;
}
