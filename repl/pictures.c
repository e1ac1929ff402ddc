/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `pictures`: pictures in a terminal by kitty's graphics, iTerm2's inline images or sixels where it answers or
   says that it has them, else by blocks in colour. Opened for the first picture; it calls no function of ours.
   A question ends with the one that every terminal answers (its primary attributes), so that most need not wait. */
#include "pictures.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <chafa.h>
#include <stb/stb_image.h>

#define ANSWER_SECONDS 0.1

enum { MOST_COLUMNS = 80, LEAST_COLUMNS = 16, USUAL_WIDTH = 8, USUAL_HEIGHT = 16, CHUNK = 4096,
       FIRST_ID = 1 << 25, SYMBOL_SIDE = 8, SIXEL_ROWS = 6,
       MOST_PIXELS = 1 << 26, MOST_CELL = 200 };

/* ---- what the environment says ---- */

static bool has(const char *name, const char *value)
{
    const char *found = getenv(name);
    return found && strcmp(found, value) == 0;
}

static bool starts(const char *name, const char *start)
{
    const char *found = getenv(name);
    return found && strncmp(found, start, strlen(start)) == 0;
}

static bool multiplexed(void)
{
    return getenv("TMUX") || getenv("STY") || starts("TERM", "screen") || starts("TERM", "tmux");
}

/* TESSERA_PICTURES, or PICTURE_NONE with *asked false. */
static PictureKind find_wish(bool *asked)
{
    static const struct { const char *name; PictureKind kind; } kinds[] = {
        {"none", PICTURE_NONE}, {"blocks", PICTURE_BLOCKS}, {"sixel", PICTURE_SIXEL}, {"iterm2", PICTURE_ITERM2},
        {"kitty", PICTURE_KITTY},
    };
    *asked = true;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (has("TESSERA_PICTURES", kinds[i].name)) return kinds[i].kind;
    *asked = false;
    return PICTURE_NONE;
}

/* Multiplexers pass the variables of the terminal around them on, but not the pictures. */
static bool is_iterm2(void)
{
    static const char *const programs[] = {"iTerm.app", "WezTerm", "mintty"};
    if (multiplexed()) return false;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (has("TERM_PROGRAM", programs[i])) return true;
    return has("LC_TERMINAL", "iTerm2");
}

/* Some show kitty's question as text, or take it for a title. */
static bool may_ask_kitty(void)
{
    return !multiplexed() && !has("TERM_PROGRAM", "Apple_Terminal") && !has("TERM", "linux");
}

/* ---- asking ---- */

typedef struct Answers {
    bool over, kitty, sixel;                 /* over: the last answer has come */
    PictureTerminal *terminal;
    PictureSink *typed;
    void *to;
    size_t used;
    char bytes[4096];                        /* read, and not understood yet */
} Answers;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A size that cannot be is not believed. */
static void keep_cell(PictureTerminal *terminal, int width, int height)
{
    if (width < 1 || height < 1 || width > MOST_CELL || height > MOST_CELL) return;
    terminal->cell_width = width;
    terminal->cell_height = height;
}

/* "\033_Gi=31;OK\033\\": its length, 0 when it is none, -1 when its end is missing. */
static int take_graphics(Answers *answers, const char *at, size_t length)
{
    static const char start[] = "\033_G";
    size_t known = length < 3 ? length : 3;
    if (memcmp(at, start, known) != 0) return 0;
    for (size_t i = 3; i + 1 < length; i++) {
        if (at[i] != '\033' || at[i + 1] != '\\') continue;
        answers->kitty = answers->kitty || (i >= 3 && memmem(at, i, ";OK", 3));
        return (int)i + 2;
    }
    return -1;
}

static bool has_attribute(const char *at, const char *end, long attribute)
{
    while (at < end) {
        char *stop;
        if (strtol(at, &stop, 10) == attribute) return true;
        at = stop + 1;
    }
    return false;
}

/* "\033[?62;4c" and "\033[6;16;8t", likewise. */
static int take_report(Answers *answers, const char *at, size_t length)
{
    int high, wide;
    bool attributes = length > 2 && at[2] == '?';
    if (length < 3) return length < 2 || at[1] == '[' ? -1 : 0;
    if (at[1] != '[' || (!attributes && at[2] != '6')) return 0;
    size_t end = 3;
    while (end < length && strchr("0123456789;", at[end])) end++;
    if (end == length) return -1;
    if (attributes && at[end] == 'c') {
        answers->sixel = has_attribute(at + 3, at + end, 4);
        answers->over = true;
        return (int)end + 1;
    }
    if (attributes || at[end] != 't' || sscanf(at + 2, "6;%d;%dt", &high, &wide) != 2) return 0;
    keep_cell(answers->terminal, wide, high);
    return (int)end + 1;
}

/* Keeps what may become an answer when more comes; what is none was typed. */
static void understand(Answers *answers, bool more)
{
    size_t at = 0;
    answers->bytes[answers->used] = 0;
    while (at < answers->used) {
        const char *here = answers->bytes + at;
        size_t length = answers->used - at;
        int taken = answers->over || *here != '\033' ? 0 : take_graphics(answers, here, length);
        if (taken <= 0 && !answers->over && *here == '\033') {
            int report = take_report(answers, here, length);
            if (report != 0 && taken == 0) taken = report;
        }
        if (taken < 0 && more) break;
        if (taken <= 0) answers->typed(answers->to, here, 1);
        at += taken > 0 ? (size_t)taken : 1;
    }
    answers->used -= at;
    memmove(answers->bytes, answers->bytes + at, answers->used);
}

static void listen_to(int in, Answers *answers)
{
    double end = now() + ANSWER_SECONDS;
    while (!answers->over && answers->used + 1 < sizeof answers->bytes) {
        struct pollfd input = {.fd = in, .events = POLLIN};
        int left = (int)((end - now()) * 1000);
        if (left <= 0 || poll(&input, 1, left) <= 0) break;
        ssize_t got = read(in, answers->bytes + answers->used, sizeof answers->bytes - 1 - answers->used);
        if (got <= 0) break;
        answers->used += (size_t)got;
        understand(answers, true);
    }
    understand(answers, false);
}

static void say(int out, const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t wrote = write(out, text, length);
        if (wrote < 0 && errno != EINTR) return;
        if (wrote > 0) {
            text += wrote;
            length -= (size_t)wrote;
        }
    }
}

/* Signals of keys stay on, and a return is a new line, as for whoever reads lines. */
static bool ask(int in, int out, Answers *answers)
{
    struct termios before, quiet;
    if (!isatty(in) || tcgetpgrp(in) != getpgrp() || tcgetattr(in, &before) != 0) return false;
    quiet = before;
    quiet.c_lflag &= (tcflag_t)~(ICANON | ECHO);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    if (tcsetattr(in, TCSANOW, &quiet) != 0) return false;
    if (may_ask_kitty()) say(out, "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\");
    if (!answers->terminal->cell_width) say(out, "\033[16t");
    say(out, "\033[c");
    listen_to(in, answers);
    tcsetattr(in, TCSANOW, &before);
    return true;
}

static PictureTerminal detect(int in, int out, PictureSink *typed, void *to)
{
    struct winsize size;
    bool asked;
    PictureTerminal terminal = {.kind = find_wish(&asked)};
    Answers answers = {.terminal = &terminal, .typed = typed, .to = to};
    if (ioctl(out, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row)
        keep_cell(&terminal, size.ws_xpixel / size.ws_col, size.ws_ypixel / size.ws_row);
    if (asked) return terminal;
    ask(in, out, &answers);
    terminal.kind = answers.kitty ? PICTURE_KITTY : is_iterm2() ? PICTURE_ITERM2
                  : answers.sixel ? PICTURE_SIXEL : PICTURE_BLOCKS;
    return terminal;
}

/* ---- sizes ---- */

static unsigned number_at(const unsigned char *at)
{
    return (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
}

static bool read_size(const char *png, size_t length, int *width, int *height)
{
    const unsigned char *at = (const unsigned char *)png;
    if (length < 24 || memcmp(at, "\211PNG\r\n\032\n", 8) != 0) return false;
    unsigned w = number_at(at + 16), h = number_at(at + 20);
    if (w == 0 || h == 0 || w > 1 << 20 || h > 1 << 20 || (double)w * h > MOST_PIXELS) return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

/* Of one cell in pixels of the picture's; a block shows two pixels, one above the other. */
static void cell_size(const PictureTerminal *terminal, double *width, double *height)
{
    bool blocks = terminal->kind == PICTURE_BLOCKS, known = terminal->cell_width > 0 && terminal->cell_height > 0;
    *width = blocks ? 1 : known ? terminal->cell_width : USUAL_WIDTH;
    *height = blocks ? 2 : known ? terminal->cell_height : USUAL_HEIGHT;
}

static int within(double value, int most)
{
    int whole = (int)(value + 0.5);
    return whole < 1 ? 1 : whole > most ? most : whole;
}

/* The picture's own size where that fits, small ones by a whole factor larger. */
static void choose_cells(const PictureTerminal *terminal, int width, int height, int *columns, int *rows)
{
    double cell_width, cell_height;
    int most_columns = *columns < MOST_COLUMNS ? *columns : MOST_COLUMNS, most_rows = *rows;
    cell_size(terminal, &cell_width, &cell_height);
    double wide = width / cell_width, high = height / cell_height;
    double grow = wide < LEAST_COLUMNS ? ceil(LEAST_COLUMNS / wide) : 1;
    if (grow * wide > most_columns) grow = most_columns / wide;
    if (grow * high > most_rows) grow = most_rows / high;
    *columns = within(grow * wide, most_columns);
    *rows = within(grow * high, most_rows);
}

/* ---- drawing ---- */

typedef struct Output {
    PictureSink *sink;
    void *to;
} Output;

static void put(Output out, const char *text)
{
    out.sink(out.to, text, strlen(text));
}

static size_t put_base64(Output out, const char *from, size_t length)
{
    gchar *text = g_base64_encode((const guchar *)from, length);
    put(out, text);
    g_free(text);
    return length;
}

/* No answers (q=2), and the cursor ends behind the picture's last row. */
static void draw_kitty(Output out, int id, const char *png, size_t length, int columns, int rows)
{
    enum { PART = CHUNK / 4 * 3 };
    char head[80], name[24] = "";
    if (id > 0) snprintf(name, sizeof name, "i=%d,", FIRST_ID + id % (1 << 24));
    for (size_t at = 0; at < length;) {
        size_t part = length - at < PART ? length - at : PART;
        if (at == 0) snprintf(head, sizeof head, "\033_Ga=T,f=100,q=2,%sc=%d,r=%d,m=%d;", name, columns, rows, part < length);
        else snprintf(head, sizeof head, "\033_Gm=%d;", at + part < length);
        put(out, head);
        at += put_base64(out, png + at, part);
        put(out, "\033\\");
    }
}

static void draw_iterm2(Output out, const char *png, size_t length, int columns, int rows)
{
    char head[160];
    snprintf(head, sizeof head, "\033]1337;File=inline=1;size=%zu;width=%d;height=%d;preserveAspectRatio=1:", length,
             columns, rows);
    put(out, head);
    put_base64(out, png, length);
    put(out, "\007");
}

static ChafaCanvasMode choose_colours(void)
{
    const char *term = getenv("TERM");
    if (has("COLORTERM", "truecolor") || has("COLORTERM", "24bit")) return CHAFA_CANVAS_MODE_TRUECOLOR;
    if (term && strstr(term, "direct")) return CHAFA_CANVAS_MODE_TRUECOLOR;
    return term && strstr(term, "256") ? CHAFA_CANVAS_MODE_INDEXED_240 : CHAFA_CANVAS_MODE_INDEXED_16;
}

static ChafaCanvasConfig *configure(const PictureTerminal *terminal, int columns, int rows)
{
    double cell_width, cell_height;
    ChafaCanvasConfig *config = chafa_canvas_config_new();
    chafa_canvas_config_set_geometry(config, columns, rows);
    if (terminal->kind == PICTURE_SIXEL) {
        cell_size(terminal, &cell_width, &cell_height);
        chafa_canvas_config_set_pixel_mode(config, CHAFA_PIXEL_MODE_SIXELS);
        chafa_canvas_config_set_cell_geometry(config, (gint)cell_width, (gint)cell_height);
        chafa_canvas_config_set_canvas_mode(config, CHAFA_CANVAS_MODE_TRUECOLOR);
        return config;
    }
    ChafaSymbolMap *symbols = chafa_symbol_map_new();
    chafa_symbol_map_add_by_tags(symbols, CHAFA_SYMBOL_TAG_SPACE | CHAFA_SYMBOL_TAG_HALF | CHAFA_SYMBOL_TAG_QUAD);
    chafa_canvas_config_set_symbol_map(config, symbols);
    chafa_symbol_map_unref(symbols);
    chafa_canvas_config_set_canvas_mode(config, choose_colours());
    return config;
}

/* Small pictures keep their corners: chafa would smooth them. *width and *height become those of the cells as it
   sees them. */
static unsigned char *enlarge(const PictureTerminal *terminal, unsigned char *pixels, int columns, int rows, int *width,
                              int *height)
{
    double cell_width = SYMBOL_SIDE, cell_height = SYMBOL_SIDE;
    if (terminal->kind == PICTURE_SIXEL) cell_size(terminal, &cell_width, &cell_height);
    int w = columns * (int)cell_width, h = rows * (int)cell_height;
    if (terminal->kind == PICTURE_SIXEL && h > SIXEL_ROWS) h -= h % SIXEL_ROWS;      /* as chafa does */
    unsigned char *large = w >= *width && h >= *height ? malloc((size_t)w * (size_t)h * 4) : NULL;
    if (!large) return pixels;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            memcpy(large + 4 * ((size_t)y * (size_t)w + (size_t)x),
                   pixels + 4 * ((size_t)(y * *height / h) * (size_t)*width + (size_t)(x * *width / w)), 4);
    free(pixels);
    *width = w;
    *height = h;
    return large;
}

/* Blocks and sixels. */
static bool draw_pixels(const PictureTerminal *terminal, Output out, const char *png, size_t length, int columns, int rows)
{
    int width, height, channels;
    if (length > 1 << 30) return false;
    unsigned char *pixels = stbi_load_from_memory((const stbi_uc *)png, (int)length, &width, &height, &channels, 4);
    if (!pixels) return false;
    pixels = enlarge(terminal, pixels, columns, rows, &width, &height);
    chafa_set_n_threads(1);                              /* signals are for our threads, and this is soon done */
    ChafaCanvasConfig *config = configure(terminal, columns, rows);
    ChafaCanvas *canvas = chafa_canvas_new(config);
    chafa_canvas_draw_all_pixels(canvas, CHAFA_PIXEL_RGBA8_UNASSOCIATED, pixels, width, height, 4 * width);
    ChafaTermInfo *words = chafa_term_db_get_fallback_info(chafa_term_db_get_default());
    GString *text = chafa_canvas_print(canvas, words);
    out.sink(out.to, text->str, text->len);
    g_string_free(text, TRUE);
    chafa_term_info_unref(words);
    chafa_canvas_unref(canvas);
    chafa_canvas_config_unref(config);
    free(pixels);
    return true;
}

static int draw(const PictureTerminal *terminal, int id, const char *png, size_t length, int columns, int rows,
                PictureSink *sink, void *to)
{
    int width, height;
    Output out = {sink, to};
    if (terminal->kind == PICTURE_NONE || columns < 2 || rows < 1 || !read_size(png, length, &width, &height)) return 0;
    choose_cells(terminal, width, height, &columns, &rows);
    if (terminal->kind == PICTURE_KITTY) draw_kitty(out, id, png, length, columns, rows);
    else if (terminal->kind == PICTURE_ITERM2) draw_iterm2(out, png, length, columns, rows);
    else if (!draw_pixels(terminal, out, png, length, columns, rows)) return 0;
    return rows;
}

__attribute__((visibility("default"))) extern const PictureModule tessera_module_pictures;
const PictureModule tessera_module_pictures = {detect, draw};
