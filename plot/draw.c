/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `plot`: marks become SVG, PNG or PDF. The only place that sees cairo. It calls no function of ours.
   SVG is written here, in few bytes and the same ones everywhere: places are whole tenths of a pixel, and texts are text,
   where cairo would write the outline of each letter. */
#include "../lang/draw.h"

#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define DEGREES (3.14159265358979323846 / 180)

typedef struct Target {
    DrawSink *sink;
    void *to;
} Target;

static cairo_status_t write_part(void *closure, const unsigned char *data, unsigned int length)
{
    Target *target = closure;
    return target->sink(target->to, data, length) ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

/* ---- SVG ---- */

typedef struct Buffer {
    char *at;
    size_t length, room;
    bool failed;
} Buffer;

static bool gather(void *to, const void *data, size_t bytes)
{
    Buffer *b = to;
    if (b->length + bytes + 1 > b->room) {
        size_t room = 2 * (b->length + bytes) + 4096;
        char *more = b->failed ? NULL : realloc(b->at, room);
        if (!more) {
            b->failed = true;
            return false;
        }
        b->at = more;
        b->room = room;
    }
    memcpy(b->at + b->length, data, bytes);
    b->length += bytes;
    b->at[b->length] = '\0';
    return true;
}

static void put(Buffer *b, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0 || length >= (int)sizeof text)
        b->failed = true;
    else
        gather(b, text, (size_t)length);
}

/* Places are whole tenths of a pixel, and far ones are moved to where nobody sees them either. */
static long tenths(double v)
{
    return lround(fmin(fmax(v, -1e5), 1e5) * 10);
}

/* " 12.3", the space only where the number before would swallow it. */
static void put_tenths(Buffer *b, long v)
{
    char before = b->length ? b->at[b->length - 1] : ' ';
    const char *space = before >= '0' && before <= '9' && v >= 0 ? " " : "";
    long size = labs(v);
    put(b, size % 10 ? "%s%s%ld.%ld" : "%s%s%ld", space, v < 0 ? "-" : "", size / 10, size % 10);
}

static void put_escaped(Buffer *b, const char *text)
{
    for (; *text; text++) {
        const char *name = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : NULL;
        unsigned char c = (unsigned char)*text;
        if (name)
            put(b, "%s", name);
        else if (c >= 0x20 && c != 0x7f)           /* XML allows no control characters */
            gather(b, text, 1);
    }
}

/* ATTRIBUTE="#rrggbb" and the opacity if it is not full. */
static void put_color(Buffer *b, const char *attribute, const DrawMark *m, int64_t i)
{
    const double *c = m->colors ? m->colors + 3 * i : m->color;
    int part[3];
    for (int k = 0; k < 3; k++)
        part[k] = (int)lround(255 * fmin(fmax(c[k], 0), 1));
    put(b, " %s=\"#%02x%02x%02x\"", attribute, (unsigned)part[0], (unsigned)part[1], (unsigned)part[2]);
    if (m->color[3] < 1)
        put(b, " %s-opacity=\"%.3g\"", attribute, m->color[3]);
}

static bool is_point(const double *p)
{
    return isfinite(p[0]) && isfinite(p[1]);
}

/* The points as a path: absolute where the pen is set down, else relative to the last one, in whole tenths. */
static void put_path(Buffer *b, const DrawMark *m)
{
    bool pen_down = false, lines = false;
    long x = 0, y = 0;
    for (int64_t i = 0; i < m->count; i++) {
        const double *p = m->points + 2 * i;
        bool seen = is_point(p);
        if (seen) {
            long to_x = tenths(p[0]), to_y = tenths(p[1]);
            if (pen_down && to_x == x && to_y == y && i + 1 < m->count)
                continue;
            if (!pen_down || !lines)
                put(b, pen_down ? "l" : "M");
            put_tenths(b, pen_down ? to_x - x : to_x);
            put_tenths(b, pen_down ? to_y - y : to_y);
            lines = pen_down;
            x = to_x;
            y = to_y;
        }
        pen_down = seen;
    }
}

static void svg_line(Buffer *b, const DrawMark *m)
{
    put(b, "<path d=\"");
    put_path(b, m);
    put(b, m->kind == DRAW_FILL ? "z\"" : "\" fill=\"none\" stroke-linejoin=\"round\"");
    put_color(b, m->kind == DRAW_FILL ? "fill" : "stroke", m, 0);
    if (m->kind == DRAW_LINE && fabs(m->width - 1) > 0)
        put(b, " stroke-width=\"%g\"", m->width);
    if (m->kind == DRAW_LINE && m->dash > 0)
        put(b, " stroke-dasharray=\"%g\"", m->dash);
    put(b, "/>\n");
}

/* A disc is a dot of a round pen, which takes few bytes. */
static void put_shape(Buffer *b, const DrawMark *m, const double *p)
{
    put(b, "M");
    put_tenths(b, tenths(p[0]));
    put_tenths(b, tenths(p[1]));
    if (m->kind == DRAW_CIRCLES) {
        put(b, "h0");
        return;
    }
    long w = tenths(p[2]), h = tenths(p[3]);
    put(b, "h");
    put_tenths(b, w);
    put(b, "v");
    put_tenths(b, h);
    put(b, "h");
    put_tenths(b, -w);
    put(b, "z");
}

/* Shapes of one colour are one path. */
static void svg_shapes(Buffer *b, const DrawMark *m)
{
    bool discs = m->kind == DRAW_CIRCLES, open = false;
    int numbers = discs ? 2 : 4;
    for (int64_t i = 0; i < m->count; i++) {
        const double *p = m->points + numbers * i;
        if (!is_point(p) || (!discs && !is_point(p + 2)))
            continue;
        if (!open || m->colors) {
            put(b, open ? "\"/>\n<path" : "<path");
            if (discs)
                put(b, " stroke-linecap=\"round\" stroke-width=\"%g\"", 2 * m->size);
            put_color(b, discs ? "stroke" : "fill", m, i);
            put(b, " d=\"");
            open = true;
        }
        put_shape(b, m, p);
    }
    if (open)
        put(b, "\"/>\n");
}

static void svg_text(Buffer *b, const DrawMark *m)
{
    if (m->count < 1 || !m->text || !is_point(m->points))
        return;
    put(b, "<text x=\"");
    put_tenths(b, tenths(m->points[0]));
    put(b, "\" y=\"");
    put_tenths(b, tenths(m->points[1]));
    put(b, "\"%s", m->align < 0.25 ? "" : m->align > 0.75 ? " text-anchor=\"end\"" : " text-anchor=\"middle\"");
    if (fabs(m->size - 11) > 0)
        put(b, " font-size=\"%g\"", m->size);
    if (m->bold)
        put(b, " font-weight=\"bold\"");
    put_color(b, "fill", m, 0);
    if (fabs(m->angle) > 0)
        put(b, " transform=\"rotate(%g %.1f %.1f)\"", -m->angle, m->points[0], m->points[1]);
    put(b, ">");
    put_escaped(b, m->text);
    put(b, "</text>\n");
}

static void put_base64(Buffer *b, const unsigned char *data, size_t length)
{
    static const char letter[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        unsigned char c[3] = {data[i], i + 1 < length ? data[i + 1] : 0, i + 2 < length ? data[i + 2] : 0};
        char four[4] = {letter[c[0] >> 2], letter[(c[0] & 3) << 4 | c[1] >> 4],
                        i + 1 < length ? letter[(c[1] & 15) << 2 | c[2] >> 6] : '=', i + 2 < length ? letter[c[2] & 63] : '='};
        gather(b, four, 4);
    }
}

/* ---- marks ---- */

static double tenth(double v)
{
    return round(v * 10) / 10;
}

static void set_color(cairo_t *cr, const DrawMark *m, int64_t i)
{
    const double *c = m->colors ? m->colors + 3 * i : m->color;
    cairo_set_source_rgba(cr, c[0], c[1], c[2], m->color[3]);
}

static void trace(cairo_t *cr, const DrawMark *m)
{
    bool pen_down = false;
    cairo_new_path(cr);
    for (int64_t i = 0; i < m->count; i++) {
        const double *p = m->points + 2 * i;
        if (!is_point(p))
            pen_down = false;
        else if (pen_down)
            cairo_line_to(cr, tenth(p[0]), tenth(p[1]));
        else
            cairo_move_to(cr, tenth(p[0]), tenth(p[1]));
        pen_down = is_point(p);
    }
}

static void draw_line(cairo_t *cr, const DrawMark *m)
{
    trace(cr, m);
    set_color(cr, m, 0);
    cairo_set_line_width(cr, m->width);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(cr, &m->dash, m->dash > 0 ? 1 : 0, 0);
    cairo_stroke(cr);
}

/* A disc is a dot of a round pen, in a file much shorter than an arc. */
static void add_shape(cairo_t *cr, const DrawMark *m, const double *p)
{
    if (m->kind == DRAW_RECTS) {
        cairo_rectangle(cr, tenth(p[0]), tenth(p[1]), tenth(p[2]), tenth(p[3]));
    } else {
        cairo_move_to(cr, tenth(p[0]), tenth(p[1]));
        cairo_line_to(cr, tenth(p[0]), tenth(p[1]));
    }
}

static void paint_shapes(cairo_t *cr, const DrawMark *m, int64_t i)
{
    set_color(cr, m, i);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_width(cr, 2 * m->size);
    cairo_set_dash(cr, NULL, 0, 0);
    if (m->kind == DRAW_RECTS)
        cairo_fill(cr);
    else
        cairo_stroke(cr);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
}

/* Shapes of one colour are one path. */
static void draw_many(cairo_t *cr, const DrawMark *m)
{
    int numbers = m->kind == DRAW_RECTS ? 4 : 2;
    cairo_new_path(cr);
    for (int64_t i = 0; i < m->count; i++) {
        const double *p = m->points + numbers * i;
        if (!is_point(p) || (m->kind == DRAW_RECTS && !is_point(p + 2)))
            continue;
        add_shape(cr, m, p);
        if (m->colors)
            paint_shapes(cr, m, i);
    }
    if (!m->colors)
        paint_shapes(cr, m, 0);
}

static void choose_font(cairo_t *cr, double size, bool bold)
{
    cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, size);
}

static void draw_text(cairo_t *cr, const DrawMark *m)
{
    cairo_text_extents_t extents;
    if (m->count < 1 || !m->text || !is_point(m->points))
        return;
    cairo_save(cr);
    choose_font(cr, m->size, m->bold);
    cairo_text_extents(cr, m->text, &extents);
    cairo_translate(cr, tenth(m->points[0]), tenth(m->points[1]));
    cairo_rotate(cr, -m->angle * DEGREES);
    cairo_move_to(cr, tenth(-m->align * extents.x_advance), 0);
    set_color(cr, m, 0);
    cairo_show_text(cr, m->text);
    cairo_restore(cr);
}

/* A cairo picture of the mark's pixels, and *data (to be freed after it) that it lies in; NULL: there is nothing to draw. */
static cairo_surface_t *image_surface(const DrawMark *m, unsigned char **data)
{
    int stride = m->count < 1 || m->rows < 1 || m->columns < 1 ? 0 : cairo_format_stride_for_width(CAIRO_FORMAT_RGB24, m->columns);
    *data = stride > 0 ? calloc((size_t)stride, (size_t)m->rows) : NULL;
    if (!*data)
        return NULL;
    for (int y = 0; y < m->rows; y++)
        for (int x = 0; x < m->columns; x++) {
            const uint8_t *p = m->pixels + 3 * ((size_t)y * (size_t)m->columns + (size_t)x);
            uint32_t pixel = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
            memcpy(*data + (size_t)y * (size_t)stride + 4 * (size_t)x, &pixel, 4);
        }
    return cairo_image_surface_create_for_data(*data, CAIRO_FORMAT_RGB24, m->columns, m->rows, stride);
}

static void draw_image(cairo_t *cr, const DrawMark *m)
{
    unsigned char *data;
    cairo_surface_t *image = image_surface(m, &data);
    if (!image)
        return;
    cairo_save(cr);
    cairo_translate(cr, m->points[0], m->points[1]);
    cairo_scale(cr, m->points[2] / m->columns, m->points[3] / m->rows);
    cairo_set_source_surface(cr, image, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_NEAREST);
    cairo_paint(cr);
    cairo_restore(cr);
    cairo_surface_finish(image);
    cairo_surface_destroy(image);
    free(data);
}

static void draw_clip(cairo_t *cr, const DrawMark *m)
{
    cairo_reset_clip(cr);
    if (m->count < 1)
        return;
    cairo_new_path(cr);
    cairo_rectangle(cr, m->points[0], m->points[1], m->points[2], m->points[3]);
    cairo_clip(cr);
}

static void draw_mark(cairo_t *cr, const DrawMark *m)
{
    switch (m->kind) {
    case DRAW_LINE: draw_line(cr, m); break;
    case DRAW_FILL:
        trace(cr, m);
        set_color(cr, m, 0);
        cairo_fill(cr);
        break;
    case DRAW_CIRCLES:
    case DRAW_RECTS: draw_many(cr, m); break;
    case DRAW_TEXT: draw_text(cr, m); break;
    case DRAW_IMAGE: draw_image(cr, m); break;
    case DRAW_CLIP: draw_clip(cr, m); break;
    }
}

static cairo_surface_t *open_surface(bool png, double width, double height, double scale, Target *target)
{
    if (!png)
        return cairo_pdf_surface_create_for_stream(write_part, target, width, height);
    return cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)ceil(width * scale), (int)ceil(height * scale));
}

/* PNG or PDF. */
static bool draw_as(const DrawMark *marks, int count, double width, double height, bool png, double scale, Target *target,
                    char why[DRAW_WHY])
{
    cairo_surface_t *surface = open_surface(png, width, height, scale, target);
    cairo_t *cr = cairo_create(surface);
    if (png)
        cairo_scale(cr, scale, scale);
    for (int i = 0; i < count; i++)
        draw_mark(cr, &marks[i]);
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    if (status == CAIRO_STATUS_SUCCESS && png)
        status = cairo_surface_write_to_png_stream(surface, write_part, target);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    snprintf(why, DRAW_WHY, "%s", cairo_status_to_string(status));
    return status == CAIRO_STATUS_SUCCESS;
}

/* ---- the whole as SVG ---- */

static void put_big(unsigned char *at, unsigned long v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* A chunk of a PNG file. */
static void put_chunk(Buffer *b, const char name[4], const void *data, size_t length)
{
    unsigned char number[4];
    uLong sum = crc32(crc32(0, (const Bytef *)name, 4), data, (uInt)length);
    put_big(number, length);
    gather(b, number, 4);
    gather(b, name, 4);
    if (length)
        gather(b, data, length);
    put_big(number, sum);
    gather(b, number, 4);
}

#define COLORS 256
#define SLOTS 1024            /* of the table that finds a colour's number */

typedef struct Palette { int count; uint8_t color[COLORS][3]; int16_t slot[SLOTS]; } Palette;

/* The number of a colour, which is added when new; -1: the palette is full. */
static int color_number(Palette *palette, const uint8_t *c)
{
    unsigned at = (c[0] * 31u + c[1]) * 31u + c[2];
    for (;; at++) {
        int16_t *slot = &palette->slot[at % SLOTS];
        if (*slot && memcmp(palette->color[*slot - 1], c, 3) == 0)
            return *slot - 1;
        if (*slot)
            continue;
        if (palette->count == COLORS)
            return -1;
        memcpy(palette->color[palette->count], c, 3);
        *slot = (int16_t)++palette->count;
        return *slot - 1;
    }
}

/* The rows as PNG compresses them, each behind a 0: numbers of colours if there are few, else the colours. */
static unsigned char *png_rows(const DrawMark *m, Palette *palette, size_t *length)
{
    size_t columns = (size_t)m->columns, rows = (size_t)m->rows;
    unsigned char *lines = malloc(rows * (3 * columns + 1));
    bool few = true;
    for (size_t i = 0; lines && few && i < rows * columns; i++) {
        int number = color_number(palette, m->pixels + 3 * i);
        few = number >= 0;
        lines[i + i / columns + 1] = (unsigned char)number;
    }
    if (!few)
        palette->count = 0;
    size_t row = (few ? 1 : 3) * columns + 1;
    for (size_t y = 0; lines && y < rows; y++) {
        lines[y * row] = 0;
        if (!few)
            memcpy(lines + y * row + 1, m->pixels + 3 * columns * y, 3 * columns);
    }
    *length = rows * row;
    return lines;
}

/* The mark's pixels as a PNG file, smaller than cairo's where the colours are few. */
static void put_png(Buffer *b, const DrawMark *m)
{
    Palette palette = {0};
    size_t length;
    unsigned char *lines = png_rows(m, &palette, &length);
    uLongf packed = lines ? compressBound((uLong)length) : 0;
    unsigned char *data = malloc(packed + 1), head[13] = {[8] = 8, [9] = palette.count ? 3 : 2};
    put_big(head, (unsigned long)m->columns);
    put_big(head + 4, (unsigned long)m->rows);
    if (!lines || !data || compress2(data, &packed, lines, (uLong)length, 9) != Z_OK) {
        b->failed = true;
    } else {
        gather(b, "\x89PNG\r\n\x1a\n", 8);
        put_chunk(b, "IHDR", head, sizeof head);
        if (palette.count)
            put_chunk(b, "PLTE", palette.color, 3 * (size_t)palette.count);
        put_chunk(b, "IDAT", data, packed);
        put_chunk(b, "IEND", NULL, 0);
    }
    free(data);
    free(lines);
}

static void svg_image(Buffer *b, const DrawMark *m)
{
    Buffer png = {0};
    if (m->count < 1 || m->rows < 1 || m->columns < 1)
        return;
    put_png(&png, m);
    b->failed |= png.failed;
    put(b, "<image x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", m->points[0], m->points[1], m->points[2], m->points[3]);
    put(b, " preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" xlink:href=\"data:image/png;base64,");
    if (!b->failed)
        put_base64(b, (const unsigned char *)png.at, png.length);
    put(b, "\"/>\n");
    free(png.at);
}

/* An inner picture cuts what is in it, without a name that could be that of another picture of the page. */
static void svg_clip(Buffer *b, const DrawMark *m, bool *inside)
{
    if (*inside)
        put(b, "</svg>\n");
    *inside = m->count >= 1;
    if (!*inside)
        return;
    const double *p = m->points;
    put(b, "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", p[0], p[1], p[2], p[3]);
    put(b, " viewBox=\"%.1f %.1f %.1f %.1f\">\n", p[0], p[1], p[2], p[3]);
}

static void svg_mark(Buffer *b, const DrawMark *m, bool *inside)
{
    switch (m->kind) {
    case DRAW_LINE:
    case DRAW_FILL: svg_line(b, m); break;
    case DRAW_CIRCLES:
    case DRAW_RECTS: svg_shapes(b, m); break;
    case DRAW_TEXT: svg_text(b, m); break;
    case DRAW_IMAGE: svg_image(b, m); break;
    case DRAW_CLIP: svg_clip(b, m, inside); break;
    }
}

static bool draw_svg(const DrawMark *marks, int count, double width, double height, DrawSink *sink, void *to,
                     char why[DRAW_WHY])
{
    Buffer b = {0};
    bool inside = false, image = false;
    for (int i = 0; i < count; i++)
        image = image || marks[i].kind == DRAW_IMAGE;
    put(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\"%s",
        image ? " xmlns:xlink=\"http://www.w3.org/1999/xlink\"" : "");
    put(&b, " width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\"", width, height, width, height);
    put(&b, " font-family=\"DejaVu Sans,Verdana,sans-serif\" font-size=\"11\">\n");
    for (int i = 0; i < count; i++)
        svg_mark(&b, &marks[i], &inside);
    put(&b, inside ? "</svg>\n</svg>\n" : "</svg>\n");
    bool fine = !b.failed && sink(to, b.at, b.length);
    snprintf(why, DRAW_WHY, "out of memory");
    free(b.at);
    return fine;
}

static bool draw(const DrawMark *marks, int count, double width, double height, const char *format, double scale,
                 DrawSink *sink, void *to, char why[DRAW_WHY])
{
    if (strcmp(format, "svg") == 0)
        return draw_svg(marks, count, width, height, sink, to, why);
    Target target = {sink, to};
    return draw_as(marks, count, width, height, strcmp(format, "png") == 0, scale, &target, why);
}

__attribute__((visibility("default"))) const PlotModule tessera_module_plot = {draw};
