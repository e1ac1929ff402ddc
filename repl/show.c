/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What display(x) and values at the prompt look like in a terminal: a picture where it can show one, else the text. The
   terminal is asked before the first picture, by the module `pictures`, which is not opened earlier. What stands right
   above the cursor can be replaced; of anything else an update shows one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "screen.h"

enum { LINES_BELOW = 2,       /* for the prompt, or a line of progress */
       CAPTION_LINES = 3 };

static const char png[] = "image/png";

/* Keys that were read with the terminal's answer. */
static void keep_typed(void *to, const char *bytes, size_t length)
{
    Screen *screen = to;
    char *more = realloc(screen->typed, screen->n_typed + length);
    if (!more) return;
    memcpy(more + screen->n_typed, bytes, length);
    screen->typed = more;
    screen->n_typed += length;
}

static bool may_show(const Screen *screen)
{
    const char *plain = getenv("NO_COLOR"), *asked = getenv("TESSERA_PICTURES");
    if (!screen->out_terminal || screen->dumb) return false;
    return !(plain && *plain) || (asked && *asked);
}

/* Charts come as SVG first, photographs as PNG: blocks are good enough for these, and charts have a text of their own. */
const char *screen_picture_forms(Screen *screen)
{
    char *error = NULL;
    if (!screen->pictures_sought) {
        screen->pictures_sought = true;
        screen->pictures = may_show(screen) ? session_open_module("pictures", &error) : NULL;
        free(error);
        screen_flush(screen);
        screen_erase_progress(screen);
        if (screen->pictures) screen->terminal = screen->pictures->detect(STDIN_FILENO, STDOUT_FILENO, keep_typed, screen);
    }
    PictureKind kind = screen->terminal.kind;
    if (kind == PICTURE_NONE || (kind == PICTURE_BLOCKS && !screen->utf8)) return "";
    return kind == PICTURE_BLOCKS ? "image/svg+xml image/png" : png;
}

static void sink(void *to, const char *bytes, size_t length)
{
    screen_output(to, OUTPUT_OUT, bytes, length);
}

/* Its rows; 0: too many to go back over, or codes in it. */
static int show_text(Screen *screen, const char *text)
{
    int width = screen_width(screen), rows = 0;
    sink(screen, text, strlen(text));
    sink(screen, "\n", 1);
    if (width <= 0 || strchr(text, '\033')) return 0;
    for (size_t length; rows < screen_height(screen); text += length + 1, rows++) {
        length = strcspn(text, "\n");
        char *line = strndup(text, length);
        if (line && columns_of(line) > width) rows += (columns_of(line) - 1) / width;
        free(line);
        if (!text[length]) return rows + 1;
    }
    return 0;
}

static int count_lines(const char *text)
{
    int count = 1;
    for (; *text; text++) count += *text == '\n';
    return count;
}

static const DisplayForm *find_picture(const Screen *screen, const Display *display)
{
    for (int i = 1; i < display->count && screen->pictures; i++)
        if (strcmp(display->form[i].mime, png) == 0) return &display->form[i];
    return NULL;
}

/* Letters cannot be read in blocks: a short text stands below. False: there is no picture. */
static bool show_picture(Screen *screen, const Display *display, int *rows)
{
    const DisplayForm *form = find_picture(screen, display);
    const char *text = display->form[0].data;
    int lines = screen->terminal.kind == PICTURE_BLOCKS ? count_lines(text) : 0;
    if (!form) return false;
    if (lines > CAPTION_LINES) lines = 0;
    *rows = screen->pictures->draw(&screen->terminal, display->id, form->data, form->length, screen_width(screen),
                                   screen_height(screen) - LINES_BELOW - lines, sink, screen);
    if (*rows == 0) return false;
    sink(screen, "\n", 1);
    int below = lines > 0 ? show_text(screen, text) : 0;
    *rows = lines > 0 && below == 0 ? 0 : *rows + below;
    return true;
}

static void show_first_line(Screen *screen, const char *text)
{
    char *line = strndup(text, strcspn(text, "\n"));
    if (line) sink(screen, line, columns_cut(line, screen_width(screen) - 1));
    sink(screen, "\n", 1);
    free(line);
}

void screen_show(Screen *screen, const Display *display)
{
    const char *text = display->form[0].data;
    char code[32];
    bool place = screen->out_terminal && !screen->dumb && screen_width(screen) > 0 && display->id > 0;
    bool above = place && display->update && screen->above_id == display->id && screen->above_rows > 0;
    if (screen->mid_line) sink(screen, "\n", 1);
    screen->held = screen->out_terminal;
    if (above) sink(screen, code, (size_t)snprintf(code, sizeof code, "\033[%dA\r\033[J", screen->above_rows));
    if (place && display->update && !above) {
        show_first_line(screen, text);
    } else {
        int rows = 0;
        if (!show_picture(screen, display, &rows)) rows = show_text(screen, text);
        screen->above_rows = place && rows < screen_height(screen) ? rows : 0;
        screen->above_id = display->id;
    }
    screen->held = false;
    if (screen->out_terminal) screen_flush(screen);
}
