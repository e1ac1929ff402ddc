/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `plot`: marks become SVG, PNG or PDF. The only place that sees cairo. It calls no function of ours.
   SVG is written in few bytes: coordinates are rounded to a tenth of a pixel, and texts are text, put on top of the rest,
   where cairo would write the outline of each letter. */
#include "../lang/draw.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- shorter SVG ---- */

typedef struct Buffer {
    char *at;
    size_t length, room;
} Buffer;

static bool gather(void *to, const void *data, size_t bytes)
{
    Buffer *b = to;
    if (b->length + bytes + 1 > b->room) {
        size_t room = 2 * (b->length + bytes) + 4096;
        char *more = realloc(b->at, room);
        if (!more)
            return false;
        b->at = more;
        b->room = room;
    }
    memcpy(b->at + b->length, data, bytes);
    b->length += bytes;
    b->at[b->length] = '\0';
    return true;
}

/* The number at [from] in at most two digits behind the point; *end is behind it in the text. */
static int shorter(const char *from, char **end, char text[32])
{
    int length = snprintf(text, 32, "%.2f", strtod(from, end));
    while (text[length - 1] == '0')
        length--;
    return text[length - 1] == '.' ? length - 1 : length;
}

/* Embedded pictures, behind href=", stay as they are, and their pixels sharp. */
static bool shorten(const char *from, Buffer *to)
{
    static const char image[] = "<image ", sharp[] = "<image style=\"image-rendering:pixelated\" ";
    bool fine = true;
    while (fine && *from) {
        bool number = (*from >= '0' && *from <= '9') || *from == '-', opaque = strncmp(from, "href=\"", 6) == 0;
        size_t whole = opaque ? 6 + strcspn(from + 6, "\"") : number ? 1 + strspn(from + 1, "0123456789")
                     : 1 + strcspn(from + 1, "-0123456789h<");
        char text[32], *end = (char *)(uintptr_t)from + whole;
        if (number && *end == '.' && strspn(end + 1, "0123456789") > 2)
            fine = gather(to, text, (size_t)shorter(from, &end, text));
        else if (strncmp(from, image, sizeof image - 1) == 0)
            fine = gather(to, sharp, sizeof sharp - 1) && (end = (char *)(uintptr_t)from + sizeof image - 1);
        else
            fine = gather(to, from, whole);
        from = end;
    }
    return fine;
}

static void put_format(Buffer *b, bool *fine, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *fine = *fine && length >= 0 && length < (int)sizeof text && gather(b, text, (size_t)length);
}

static void put_escaped(Buffer *b, bool *fine, const char *text)
{
    for (; *text; text++) {
        const char *name = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : NULL;
        unsigned char c = (unsigned char)*text;
        if (name)
            put_format(b, fine, "%s", name);
        else if (c >= 0x20)           /* control characters are not allowed in XML */
            *fine = *fine && gather(b, text, 1);
    }
}

static void put_text(Buffer *b, bool *fine, const DrawMark *m)
{
    const char *anchor = m->align < 0.25 ? "" : m->align > 0.75 ? " text-anchor=\"end\"" : " text-anchor=\"middle\"";
    if (m->count < 1 || !m->text || !isfinite(m->points[0]) || !isfinite(m->points[1]))
        return;
    put_format(b, fine, "<text x=\"%.1f\" y=\"%.1f\"%s", m->points[0], m->points[1], anchor);
    put_format(b, fine, " font-size=\"%g\" fill=\"rgb(%.0f,%.0f,%.0f)\"", m->size, 255 * m->color[0], 255 * m->color[1],
               255 * m->color[2]);
    if (m->bold)
        put_format(b, fine, " font-weight=\"bold\"");
    if (fabs(m->angle) > 0)
        put_format(b, fine, " transform=\"rotate(%g %.1f %.1f)\"", -m->angle, m->points[0], m->points[1]);
    put_format(b, fine, ">");
    put_escaped(b, fine, m->text);
    put_format(b, fine, "</text>\n");
}

/* Puts all texts before the end of the picture. */
static bool add_texts(Buffer *b, const DrawMark *marks, int count)
{
    static const char end[] = "</svg>\n";
    bool fine = b->length >= sizeof end - 1 && strcmp(b->at + b->length - (sizeof end - 1), end) == 0;
    if (!fine)
        return false;
    b->length -= sizeof end - 1;
    put_format(b, &fine, "<g font-family=\"sans-serif\">\n");
    for (int i = 0; i < count; i++)
        if (marks[i].kind == DRAW_TEXT)
            put_text(b, &fine, &marks[i]);
    put_format(b, &fine, "</g>\n%s", end);
    return fine;
}

/* ---- marks ---- */

static double tenth(double v)
{
    return round(v * 10) / 10;
}

static bool is_point(const double *p)
{
    return isfinite(p[0]) && isfinite(p[1]);
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
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
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

static void draw_image(cairo_t *cr, const DrawMark *m)
{
    if (m->count < 1 || m->rows < 1 || m->columns < 1)
        return;
    int stride = cairo_format_stride_for_width(CAIRO_FORMAT_RGB24, m->columns);
    unsigned char *data = stride > 0 ? calloc((size_t)stride, (size_t)m->rows) : NULL;
    if (!data)
        return;
    for (int y = 0; y < m->rows; y++)
        for (int x = 0; x < m->columns; x++) {
            const uint8_t *p = m->pixels + 3 * ((size_t)y * (size_t)m->columns + (size_t)x);
            uint32_t pixel = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
            memcpy(data + (size_t)y * (size_t)stride + 4 * (size_t)x, &pixel, 4);
        }
    cairo_surface_t *image = cairo_image_surface_create_for_data(data, CAIRO_FORMAT_RGB24, m->columns, m->rows, stride);
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

static cairo_surface_t *open_surface(const char *format, double width, double height, double scale, Target *target)
{
    if (strcmp(format, "svg") == 0)
        return cairo_svg_surface_create_for_stream(write_part, target, width, height);
    if (strcmp(format, "pdf") == 0)
        return cairo_pdf_surface_create_for_stream(write_part, target, width, height);
    return cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)ceil(width * scale), (int)ceil(height * scale));
}

static bool draw_as(const DrawMark *marks, int count, double width, double height, const char *format, double scale,
                    DrawSink *sink, void *to, char why[DRAW_WHY])
{
    Target target = {sink, to};
    bool png = strcmp(format, "png") == 0, svg = strcmp(format, "svg") == 0;
    cairo_surface_t *surface = open_surface(format, width, height, scale, &target);
    cairo_t *cr = cairo_create(surface);
    if (svg)
        cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
    if (png)
        cairo_scale(cr, scale, scale);
    for (int i = 0; i < count; i++)
        if (!svg || marks[i].kind != DRAW_TEXT)
            draw_mark(cr, &marks[i]);
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    if (status == CAIRO_STATUS_SUCCESS && png)
        status = cairo_surface_write_to_png_stream(surface, write_part, &target);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    snprintf(why, DRAW_WHY, "%s", cairo_status_to_string(status));
    return status == CAIRO_STATUS_SUCCESS;
}

static bool draw(const DrawMark *marks, int count, double width, double height, const char *format, double scale,
                 DrawSink *sink, void *to, char why[DRAW_WHY])
{
    if (strcmp(format, "svg") != 0)
        return draw_as(marks, count, width, height, format, scale, sink, to, why);
    Buffer raw = {0}, svg = {0};
    bool fine = draw_as(marks, count, width, height, format, scale, gather, &raw, why) && raw.at
             && shorten(raw.at, &svg) && add_texts(&svg, marks, count) && sink(to, svg.at, svg.length);
    free(raw.at);
    free(svg.at);
    return fine;
}

static double text_width(const char *text, double size, bool bold)
{
    cairo_text_extents_t extents;
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    cairo_t *cr = cairo_create(surface);
    choose_font(cr, size, bold);
    cairo_text_extents(cr, text, &extents);
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    return extents.x_advance;
}

__attribute__((visibility("default"))) const PlotModule tessera_module_plot = {draw, text_width};
