/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A Frame is what shall stand on the screen, as rows of cells; painting compares it with the frame that stands there.
   Positions are rows from the first one of the text, since where on the screen that is, nobody knows. */
#include "paint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { STYLE_PROMPT = HIGHLIGHT_KINDS, STYLE_GREY, STYLE_PLAIN, STYLE_MATCH = 0x40, CELL_BYTES = 200, TAB_STOP = 8 };

typedef struct Cell {
    uint32_t at;                 /* its bytes in the frame */
    uint8_t size, width, style;
} Cell;

typedef struct Row { int first, count, columns; } Row;

typedef struct Frame {
    Cell *cell;
    Row *row;
    char *bytes;
    int n_cells, cell_room, n_rows, row_room;
    size_t n_bytes, byte_room;
    int cursor_row, cursor_column;
    int top, shown;              /* the window of rows that stands on the screen */
    bool failed;                 /* memory is out */
} Frame;

static Frame frames[2];
static Frame *standing = &frames[0], *coming = &frames[1];
static int row_now, column_now;          /* the cursor, from the window's first row; column == columns: about to wrap */
static int rows_made;                    /* rows below that one exist up to here */
static int columns = 80, screen_rows = 24;

/* ---- growing ---- */

static void *room_for(void *array, int count, int *room, size_t size)
{
    if (count < *room) return array;
    int more = *room ? *room * 2 : 256;
    void *wider = realloc(array, (size_t)more * size);
    if (wider) *room = more;
    return wider;
}

static bool add_bytes(Frame *f, const char *bytes, size_t size)
{
    if (f->n_bytes + size > f->byte_room) {
        size_t room = (f->n_bytes + size) * 2;
        char *wider = realloc(f->bytes, room);
        if (!wider) return false;
        f->bytes = wider;
        f->byte_room = room;
    }
    memcpy(f->bytes + f->n_bytes, bytes, size);
    f->n_bytes += size;
    return true;
}

static void new_row(Frame *f)
{
    Row *wider = f->failed ? NULL : room_for(f->row, f->n_rows, &f->row_room, sizeof *wider);
    if (!wider) {
        f->failed = true;
        return;
    }
    f->row = wider;
    f->row[f->n_rows++] = (Row){f->n_cells, 0, 0};
}

static Row *last_row(Frame *f)
{
    return &f->row[f->n_rows - 1];
}

static void wrap_before(Frame *f, int width)
{
    if (last_row(f)->columns + width > columns) new_row(f);
}

/* A mark without a width joins the cell before it. */
static void add_cell(Frame *f, const char *bytes, size_t size, int width, int style)
{
    if (f->failed || size > CELL_BYTES) return;
    wrap_before(f, width);
    Row *row = last_row(f);
    if (f->failed) return;
    if (width == 0 && row->count > 0) {
        Cell *before = &f->cell[f->n_cells - 1];
        if (before->size + size <= CELL_BYTES && add_bytes(f, bytes, size)) before->size = (uint8_t)(before->size + size);
        return;
    }
    Cell *wider = room_for(f->cell, f->n_cells, &f->cell_room, sizeof *wider);
    if (wider) f->cell = wider;
    if (!wider || !add_bytes(f, bytes, size)) {
        f->failed = true;
        return;
    }
    f->cell[f->n_cells++] = (Cell){(uint32_t)(f->n_bytes - size), (uint8_t)size, (uint8_t)width, (uint8_t)style};
    row->count++;
    row->columns += width;
}

/* ---- characters ---- */

/* Bytes of the character at [text]; *width of what shows it, in *shown of *size bytes, which may be [text] itself. */
static size_t character(const char *text, size_t length, int column, const char **shown, size_t *size, int *width)
{
    static char spelled[TAB_STOP + 1];
    unsigned char c = (unsigned char)*text;
    *shown = text;
    *size = 1;
    *width = 1;
    if (c >= 0x20 && c < 0x7F) return 1;
    if (c == '\t') {
        *width = TAB_STOP - column % TAB_STOP;
        *size = (size_t)*width;
        memset(spelled, ' ', TAB_STOP);
        *shown = spelled;
        return 1;
    }
    if (c < 0x20 || c == 0x7F) {
        spelled[0] = '^';
        spelled[1] = (char)(c ^ 0x40);
        *shown = spelled;
        *size = 2;
        *width = 2;
        return 1;
    }
    wchar_t wide = 0;
    mbstate_t state = {0};
    size_t used = mbrtowc(&wide, text, length, &state);
    bool fine = used != (size_t)-1 && used != (size_t)-2 && used > 0;
    int wanted = fine ? wcwidth(wide) : -1;
    if (fine) *size = used;
    if (wanted >= 0) *width = wanted;
    else *shown = "\xEF\xBF\xBD", *size = 3;             /* nothing that can be shown: the replacement character */
    return fine ? used : 1;
}

static size_t add_character(Frame *f, const char *text, size_t length, int style)
{
    const char *shown;
    size_t size;
    int width;
    size_t used = character(text, length, last_row(f)->columns, &shown, &size, &width);
    if (width > columns) width = 1, shown = "?", size = 1;
    if (*text == '\t' && last_row(f)->columns + width > columns) width = columns - last_row(f)->columns, size = (size_t)width;
    if (width == 2 && shown[0] == '^') {                 /* a control is two cells, which a row may part */
        add_cell(f, shown, 1, 1, style);
        add_cell(f, shown + 1, 1, 1, style);
    } else if (*text == '\t') {
        for (int i = 0; i < width; i++) add_cell(f, " ", 1, 1, style);
    } else {
        add_cell(f, shown, size, width, style);
    }
    return used;
}

/* Bytes of a prompt that take no place: between \1 and \2, or a terminal's control sequence. *skip: before they begin. */
static size_t silent_length(const char *text, size_t *skip)
{
    *skip = 0;
    if (*text == '\001') {
        *skip = 1;
        return strcspn(text + 1, "\002");
    }
    if (text[0] != '\033' || text[1] != '[') return 0;
    size_t length = 2 + strspn(text + 2, "0123456789;:?<=> ");
    return text[length] ? length + 1 : length;
}

static void add_prompt(Frame *f, const char *prompt, int style)
{
    while (*prompt && !f->failed) {
        size_t skip, silent = silent_length(prompt, &skip);
        if (silent > 0) {
            for (size_t at = 0; at < silent; at++) add_cell(f, prompt + skip + at, 1, 0, style);
            prompt += skip + silent;
        } else if (*prompt == '\n' || *prompt == '\001' || *prompt == '\002') {
            if (*prompt++ == '\n') new_row(f);
        } else {
            prompt += add_character(f, prompt, strlen(prompt), style);
        }
    }
}

/* ---- colours ---- */

/* Of 256 colours those that can be read on a dark ground and on a light one; else the terminal's own sixteen. */
static const struct { const char *many, *few; } sgr[] = {
    [HIGHLIGHT_KEYWORD] = {"38;5;133", "35"}, [HIGHLIGHT_CONSTANT] = {"38;5;31", "36"},
    [HIGHLIGHT_NUMBER] = {"38;5;31", "36"}, [HIGHLIGHT_STRING] = {"38;5;64", "32"},
    [HIGHLIGHT_COMMENT] = {"38;5;244", "90"}, [HIGHLIGHT_NAME] = {"", ""}, [HIGHLIGHT_CALL] = {"", ""},
    [HIGHLIGHT_DECLARED] = {"1", "1"}, [HIGHLIGHT_OPERATOR] = {"", ""}, [HIGHLIGHT_BRACKET] = {"", ""},
    [HIGHLIGHT_COMMAND] = {"1;38;5;133", "1;35"}, [HIGHLIGHT_WRONG] = {"38;5;160", "31"},
    [STYLE_PROMPT] = {"1", "1"}, [STYLE_GREY] = {"38;5;244", "90"}, [STYLE_PLAIN] = {"", ""},
};

static bool many_colors;

static bool has_many_colors(void)
{
    static const char *const names[] = {"256color", "direct", "kitty", "alacritty", "foot", "wezterm", "ghostty"};
    const char *term = getenv("TERM"), *more = getenv("COLORTERM");
    bool many = more && *more;
    for (size_t i = 0; term && i < sizeof names / sizeof *names; i++) many = many || strstr(term, names[i]);
    return many;
}

static const char *code_of(int style)
{
    return many_colors ? sgr[style].many : sgr[style].few;
}

/* The bracket at the cursor and its partner: the one before the cursor first. */
static void mark_match(const Highlight *spans, int count, size_t point, uint8_t *style)
{
    int found = -1;
    for (int i = 0; i < count && found < 0; i++)
        if (spans[i].partner >= 0 && spans[i].end == point) found = i;
    for (int i = 0; i < count && found < 0; i++)
        if (spans[i].partner >= 0 && spans[i].start == point) found = i;
    if (found < 0) return;
    style[spans[found].start] |= STYLE_MATCH;
    style[spans[spans[found].partner].start] |= STYLE_MATCH;
}

/* A style for each byte, malloc'ed, or NULL for none. */
static uint8_t *styles_of(const Picture *picture, bool live)
{
    if (!picture->highlight || !picture->color || picture->length == 0) return NULL;
    uint8_t *style = malloc(picture->length);
    int count = 0;
    Highlight *spans = style ? picture->highlight(picture->text, picture->length, &count) : NULL;
    if (style) memset(style, STYLE_PLAIN, picture->length);
    for (int i = 0; i < count; i++) memset(style + spans[i].start, (int)spans[i].kind, spans[i].end - spans[i].start);
    if (live) mark_match(spans, count, picture->point, style);
    free(spans);
    return style;
}

/* ---- the frame ---- */

static void note_cursor(Frame *f)
{
    f->cursor_row = f->n_rows - 1;
    f->cursor_column = last_row(f)->columns < columns ? last_row(f)->columns : columns - 1;
}

static void add_text(Frame *f, const Picture *picture, const uint8_t *style)
{
    const char *text = picture->text;
    for (size_t at = 0; at < picture->length && !f->failed;) {
        if (text[at] == '\n') {
            if (at == picture->point) note_cursor(f);
            new_row(f);
            if (!f->failed && picture->highlight) add_prompt(f, LINE_MORE, STYLE_GREY);
            at++;
            continue;
        }
        const char *shown;
        size_t size, left = picture->length - at;
        int width;
        character(text + at, left, 0, &shown, &size, &width);
        wrap_before(f, width == 2 && shown == text + at && columns > 1 ? 2 : width > 0);
        if (f->failed) return;
        if (at == picture->point) note_cursor(f);
        at += add_character(f, text + at, left, style ? style[at] : STYLE_PLAIN);
    }
    if (picture->point < picture->length || f->failed) return;
    wrap_before(f, 1);
    if (!f->failed) note_cursor(f);
}

static void add_suggestion(Frame *f, const char *suggestion)
{
    size_t length = strcspn(suggestion, "\n");
    for (size_t at = 0; at < length && !f->failed;) at += add_character(f, suggestion + at, length - at, STYLE_GREY);
    if (suggestion[length] && !f->failed) add_prompt(f, " …", STYLE_GREY);
}

static void build(Frame *f, const Picture *picture, bool live)
{
    f->n_cells = f->n_rows = 0;
    f->n_bytes = 0;
    f->failed = false;
    f->cursor_row = f->cursor_column = 0;
    new_row(f);
    if (f->failed) return;
    add_prompt(f, picture->prompt, picture->own_prompt ? STYLE_PROMPT : STYLE_PLAIN);
    uint8_t *style = styles_of(picture, live);
    if (!f->failed) add_text(f, picture, style);
    if (!f->failed && live && picture->suggestion && picture->color) add_suggestion(f, picture->suggestion);
    free(style);
}

/* As few lines as possible scroll. */
static void choose_window(Frame *f, int top)
{
    f->shown = f->n_rows < screen_rows ? f->n_rows : screen_rows;
    if (top > f->cursor_row) top = f->cursor_row;
    if (top < f->cursor_row - f->shown + 1) top = f->cursor_row - f->shown + 1;
    f->top = top > f->n_rows - f->shown ? f->n_rows - f->shown : top;
}

/* ---- the terminal ---- */

static char *output;
static size_t n_output, output_room;

static void put(const char *bytes, size_t size)
{
    if (n_output + size > output_room) {
        size_t room = (n_output + size) * 2 + 1024;
        char *wider = realloc(output, room);
        if (!wider) return;
        output = wider;
        output_room = room;
    }
    memcpy(output + n_output, bytes, size);
    n_output += size;
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

__attribute__((format(printf, 1, 2))) static void put_format(const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(text, (size_t)length);
}

static void send(void)
{
    for (size_t at = 0; at < n_output;) {
        ssize_t written = write(STDOUT_FILENO, output + at, n_output - at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;                         /* the terminal is gone; reading will say so */
        at += (size_t)written;
    }
    n_output = 0;
}

/* Rows that do not exist yet are made by going down at the end of the last one, which may scroll the screen. */
static void move_to(int row, int column)
{
    if (row != row_now || column_now >= columns) {
        if (column_now >= columns) put_text("\r"), column_now = 0;
        if (row < row_now) put_format("\033[%dA", row_now - row);
        int below = row < rows_made ? row : rows_made - 1;
        if (below > row_now) put_format("\033[%dB", below - row_now);
        for (row_now = row < row_now ? row : below > row_now ? below : row_now; row_now < row; row_now++) {
            put_text("\r\n");
            column_now = 0;
        }
        if (rows_made <= row) rows_made = row + 1;
    }
    if (column == column_now) return;
    if (column == 0) put_text("\r");
    else put_format("\033[%dG", column + 1);
    column_now = column;
}

static void put_style(int style, int *now)
{
    if (style == *now) return;
    *now = style;
    const char *code = code_of(style & ~STYLE_MATCH);
    put_format("\033[0%s%s%sm", *code ? ";" : "", code, style & STYLE_MATCH ? ";1;4" : "");
}

static bool same_cell(const Frame *a, const Cell *x, const Frame *b, const Cell *y)
{
    return x->size == y->size && x->style == y->style && memcmp(a->bytes + x->at, b->bytes + y->at, x->size) == 0;
}

/* How many first cells of the row at [place] of the window stand there already; -1: all, and nothing else. */
static int same_cells(const Frame *f, int place, const Frame *old)
{
    if (place >= old->shown) return 0;
    const Row *row = &f->row[f->top + place], *was = &old->row[old->top + place];
    int same = 0;
    while (same < row->count && same < was->count
           && same_cell(f, &f->cell[row->first + same], old, &old->cell[was->first + same]))
        same++;
    return same == row->count && same == was->count ? -1 : same;
}

static void paint_row(const Frame *f, int place, const Frame *old, int same, bool color)
{
    const Row *row = &f->row[f->top + place];
    const Cell *cell = f->cell + row->first;
    int column = 0, style = color ? STYLE_PLAIN : -1;
    for (int i = 0; i < same; i++) column += cell[i].width;
    move_to(place, column);
    for (int i = same; i < row->count; i++) {
        if (color) put_style(cell[i].style, &style);
        put(f->bytes + cell[i].at, cell[i].size);
    }
    if (color) put_style(STYLE_PLAIN, &style);
    column_now = row->columns;
    bool longer = place >= old->shown || old->row[old->top + place].columns > row->columns;
    if (longer && row->columns < columns) put_text("\033[K");
}

static void show(bool color)
{
    Frame *f = coming, *old = standing;
    int changed = 0;
    if (f->failed) return;
    for (int place = 0; place < f->shown; place++) changed += same_cells(f, place, old) >= 0;
    if (changed > 1) put_text("\033[?25l");              /* no cursor that races over the screen */
    for (int place = 0; place < f->shown; place++) {
        int same = same_cells(f, place, old);
        if (same >= 0) paint_row(f, place, old, same, color);
    }
    if (old->shown > f->shown) {
        move_to(f->shown, 0);
        put_text("\033[J");
    }
    move_to(f->cursor_row - f->top, f->cursor_column);
    if (changed > 1) put_text("\033[?25h");
    standing = f;
    coming = old;
    send();
}

/* ---- the outside ---- */

static void measure(void)
{
    struct winsize size;
    many_colors = has_many_colors();
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    columns = known && size.ws_col > 0 ? size.ws_col : 80;
    screen_rows = known && size.ws_row > 0 ? size.ws_row : 24;
}

void paint_start(void)
{
    measure();
    standing->shown = standing->top = standing->n_rows = 0;
    row_now = column_now = 0;
    rows_made = 1;
}

void paint(const Picture *picture)
{
    build(coming, picture, true);
    if (!coming->failed) choose_window(coming, standing->top);
    show(picture->color);
}

void paint_finish(const Picture *picture)
{
    Picture whole = *picture;
    whole.point = whole.length;
    build(coming, &whole, false);
    coming->top = 0;
    coming->shown = coming->n_rows;
    show(picture->color);
}

void paint_returned(void)
{
    column_now = 0;
}

void paint_hide(void)
{
    move_to(0, 0);
    put_text("\033[J");
    send();
    paint_start();
}

void paint_clear(bool history)
{
    put_text(history ? "\033[H\033[2J\033[3J" : "\033[H\033[2J");
    send();
    paint_start();
}

/* xterm and the console keep each row; other terminals part a row that has become too long. */
static bool reflows(void)
{
    const char *term = getenv("TERM");
    return !getenv("XTERM_VERSION") && !(term && strcmp(term, "linux") == 0);
}

void paint_resize(void)
{
    int up = row_now;
    measure();
    if (reflows()) {
        up = column_now / columns;
        for (int i = 0; i < row_now && i < standing->shown; i++) {
            int taken = standing->row[standing->top + i].columns;
            up += taken > columns ? (taken + columns - 1) / columns : 1;
        }
    }
    put_text("\r");
    if (up > 0) put_format("\033[%dA", up);
    put_text("\033[J");
    send();
    paint_start();
}

int paint_columns(void)
{
    return columns;
}

int paint_rows(void)
{
    return screen_rows;
}

void paint_grey(bool on)
{
    printf("\033[0%s%sm", on ? ";" : "", on ? code_of(STYLE_GREY) : "");
}

void paint_end(void)
{
    for (int i = 0; i < 2; i++) {
        free(frames[i].cell);
        free(frames[i].row);
        free(frames[i].bytes);
        frames[i] = (Frame){0};
    }
    free(output);
    output = NULL;
    n_output = output_room = 0;
}
