/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion: the session's candidates given to readline, and the list of them: a table with kinds and signatures where
   it fits on the screen, else columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/readline.h>

#include "columns.h"
#include "editor.h"
#include "paint.h"

static Completions found;
static size_t skipped;           /* bytes of the candidates before the word that readline completes */

static char *next_candidate(const char *text, int state)
{
    static int index;
    (void)text;
    if (state == 0) index = 0;
    if (index >= found.count) return NULL;
    const char *candidate = found.at[index++].text;
    return strdup(strlen(candidate) > skipped ? candidate + skipped : candidate);
}

static char **complete(const char *text, int start, int end)
{
    rl_attempted_completion_over = 1;                    /* file names are the session's affair */
    rl_completion_append_character = '\0';
    completions_clear(&found);
    if (!editor.code
        || !session_complete(editor.host.session, rl_line_buffer, (size_t)rl_end, (size_t)end, &found)) return NULL;
    skipped = found.start < (size_t)start ? (size_t)start - found.start : 0;
    return found.count > 0 ? rl_completion_matches(text, next_candidate) : NULL;
}

/* ---- the list ---- */

/* The first line of [text] as far as it fits into [columns], filled up with spaces if [fill]. */
static void put_cell(const char *text, int columns, bool fill)
{
    char cell[512];
    snprintf(cell, sizeof cell, "%.*s", (int)strcspn(text, "\n"), text);
    cell[columns_cut(cell, columns)] = 0;
    fputs(cell, rl_outstream);
    for (int at = columns_of(cell); at < columns && fill; at++) putc(' ', rl_outstream);
}

static int widest(bool kinds)
{
    int most = 0;
    for (int i = 0; i < found.count; i++) {
        int width = columns_of(kinds ? found.at[i].kind : found.at[i].text);
        if (width > most) most = width;
    }
    return most;
}

/* What is told beside a name: of "f(x, y)" what follows the name. */
static const char *detail_of(const Completion *one)
{
    size_t length = strlen(one->text);
    if (length > 0 && one->text[length - 1] == '=') length--;
    bool repeats = strncmp(one->detail, one->text, length) == 0 && strchr("(:?", one->detail[length]);      /* or its end */
    return repeats ? one->detail + length : one->detail;
}

/* One candidate a row: name, kind, detail. */
static void list_table(int columns)
{
    int names = widest(false), kinds = widest(true);
    for (int i = 0; i < found.count; i++) {
        const Completion *one = &found.at[i];
        put_cell(one->text, names < columns - 1 ? names : columns - 1, true);
        if (names + kinds + 4 < columns) {
            if (editor.host.color) paint_grey(true);
            fputs("  ", rl_outstream);
            put_cell(one->kind, kinds, true);
            fputs("  ", rl_outstream);
            put_cell(detail_of(one), columns - 1 - names - kinds - 4, false);
            if (editor.host.color) paint_grey(false);
        }
        fputs("\r\n", rl_outstream);
    }
}

/* Names in columns, read downwards, each with as much of its detail as there is room for; what does not fit is counted. */
static void list_columns(int columns, int rows)
{
    int names = widest(false) + 2, room = names + 18;
    int across = columns / room > 0 ? columns / room : 1;
    if ((found.count + across - 1) / across > rows) {
        room = names;
        across = columns / room > 0 ? columns / room : 1;
    }
    int down = (found.count + across - 1) / across, shown = down > rows ? rows : down;
    if (shown < 1) shown = 1;
    int cell = columns / across;
    for (int row = 0; row < shown; row++) {
        for (int i = row, at = 0; i < found.count && at < across; i += shown, at++) {
            bool last = at == across - 1;
            put_cell(found.at[i].text, names < cell ? names : cell - 1, true);
            if (cell - names < 6) continue;
            if (editor.host.color) paint_grey(true);
            put_cell(detail_of(&found.at[i]), cell - names - 1 - last, true);
            if (!last) putc(' ', rl_outstream);
            if (editor.host.color) paint_grey(false);
        }
        fputs("\r\n", rl_outstream);
    }
    int left = found.count - shown * across;
    if (left > 0) fprintf(rl_outstream, "%d more; type on to see them\r\n", left);
}

static void list(char **matches, int count, int longest)
{
    (void)matches;
    (void)count;
    (void)longest;
    int columns = paint_columns(), rows = paint_rows() - 3;
    editor_below();
    if (found.count <= rows) list_table(columns);
    else list_columns(columns, rows - 1);
    fflush(rl_outstream);
    editor_refresh(true);
}

void complete_bind(void)
{
    rl_attempted_completion_function = complete;
    rl_completion_display_matches_hook = list;
    rl_completion_query_items = 0;
    rl_sort_completion_matches = 0;
    rl_completer_word_break_characters = (char *)" \t\n\"'()[]{}+-*/%@^=<>,;:|!?.#";
    rl_completer_quote_characters = "";
}

void complete_close(void)
{
    completions_clear(&found);
}
