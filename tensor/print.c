/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of a tensor as people read them: one row a line, two spaces between numbers (print's own separator is
   one), columns aligned at the decimal point, the last two axes as a matrix and a line like [0, :, :] above each where
   there are more. Beyond 1000 elements, or where a row is wider than the screen, the middle gives way to …; the first
   and the last always show. Floats show four decimals, fewer where the largest is in the thousands; a value too small
   for that is written like 3.2e-06 among its neighbours, and all are once the largest is very large or very small.
   Invariant: what is not zero never looks zero. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core.h"

#define SHOW_ALL 1000         /* elements up to which nothing is left out for its length */
#define EDGE 3                /* items shown at each end of a shortened axis */
#define CELL 40

typedef struct Look {
    bool sci;
    int decimals;             /* of a fixed number, before its zeros are dropped */
    int width, after;         /* of a cell, and of what follows the integer part in it */
} Look;

typedef struct Printer {
    const Tensor *tensor;
    int screen;
    TensorWrite *write;
    void *to;
    bool shorten;
    bool first;               /* no line yet */
    Look look;
} Printer;

/* ---- which elements show ---- */

/* How many places axis [axis] takes; place EDGE of a shortened one is the gap. */
static int64_t places(const Printer *p, int axis)
{
    int64_t size = p->tensor->shape[axis];
    return p->shorten && size > 2 * EDGE + 1 ? 2 * EDGE + 1 : size;
}

/* The index at a place, -1 for the gap. */
static int64_t index_at(const Printer *p, int axis, int64_t place)
{
    int64_t size = p->tensor->shape[axis], shown = places(p, axis);
    if (shown == size || place < EDGE)
        return place;
    return place == EDGE ? -1 : size - shown + place;
}

static const char *element(const Printer *p, const char *base, int axis, int64_t index)
{
    return base + index * p->tensor->stride[axis] * (int64_t)dtype_size((Dtype)p->tensor->dtype);
}

/* ---- how they look ---- */

static Dtype dtype_of(const Printer *p)
{
    return (Dtype)p->tensor->dtype;
}

static void drop_zeros(char *text)
{
    if (!strchr(text, '.'))
        return;
    size_t length = strlen(text);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    text[length] = '\0';
}

/* [mantissa] digits after the point, zeros dropped: 1.25e-07 */
static void format_sci(char *text, size_t size, double value, int mantissa)
{
    char power[8];
    snprintf(text, size, "%.*e", mantissa, value);
    char *e = strchr(text, 'e');
    snprintf(power, sizeof power, "%s", e);
    *e = '\0';
    drop_zeros(text);
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", power);
}

static void format_float(const Look *look, double value, char *text, size_t size)
{
    if (isnan(value))
        snprintf(text, size, "nan");
    else if (isinf(value))
        snprintf(text, size, value < 0 ? "-inf" : "inf");
    else if (value == 0)
        snprintf(text, size, "0");
    else if (look->sci)
        format_sci(text, size, value, 4);
    else if (fabs(value) < 0.5 * pow(10, -look->decimals))
        format_sci(text, size, value, 1);
    else {
        snprintf(text, size, "%.*f", look->decimals, value);
        drop_zeros(text);
    }
}

static void format_cell(const Printer *p, const char *at, char *text, size_t size)
{
    if (dtype_of(p) == DTYPE_bool)
        snprintf(text, size, *at ? "true" : "false");
    else if (dtype_class(dtype_of(p)) == CLASS_INT)
        snprintf(text, size, "%lld", (long long)element_load_int(dtype_of(p), at));
    else
        format_float(&p->look, element_load(dtype_of(p), at), text, size);
}

/* What follows the integer part: ".25", or nothing for what has no point. */
static int fraction_length(const char *text)
{
    const char *point = strchr(text, '.');
    return point && !strchr(text, 'e') ? (int)strlen(point) : 0;
}

typedef struct Range { double largest; bool whole; int before, after, sci; } Range;

static void measure(const Printer *p, const char *at, void *to)
{
    Range *range = to;
    double value = element_load(dtype_of(p), at);
    if (!isfinite(value))
        return;
    range->largest = fmax(range->largest, fabs(value));
    range->whole = range->whole && value == floor(value);
}

static void measure_text(const Printer *p, const char *at, void *to)
{
    Range *range = to;
    char text[CELL];
    format_cell(p, at, text, sizeof text);
    int after = fraction_length(text), before = (int)strlen(text) - after;
    if (strchr(text, 'e') && dtype_of(p) != DTYPE_bool) {
        range->sci = before > range->sci ? before : range->sci;
        return;
    }
    range->before = before > range->before ? before : range->before;
    range->after = after > range->after ? after : range->after;
}

typedef void Visit(const Printer *p, const char *at, void *to);

static void each_shown(const Printer *p, const char *base, int axis, Visit *visit, void *to)
{
    if (axis == p->tensor->ndim) {
        visit(p, base, to);
        return;
    }
    for (int64_t i = 0; i < places(p, axis); i++) {
        int64_t index = index_at(p, axis, i);
        if (index >= 0)
            each_shown(p, element(p, base, axis, index), axis + 1, visit, to);
    }
}

/* Decimals for a largest value of that power of ten: four, fewer where it is large, more where it is small. */
static int decimals_for(int power)
{
    if (power < -1)
        return 3 - power;
    return power <= 2 ? 4 : 6 - power;
}

static void choose_look(Printer *p)
{
    Range range = {.whole = true};
    if (dtype_class(dtype_of(p)) == CLASS_FLOAT) {
        each_shown(p, p->tensor->data, 0, measure, &range);
        int power = range.largest > 0 ? (int)floor(log10(range.largest)) : 0;
        p->look.decimals = range.whole ? 0 : decimals_for(power);
        p->look.sci = range.largest > 0 && (power < -3 || (range.whole ? power >= 9 : power >= 6));
    }
    each_shown(p, p->tensor->data, 0, measure_text, &range);
    p->look.width = range.before + range.after > range.sci ? range.before + range.after : range.sci;
    p->look.after = range.after;
}

/* ---- lines ---- */

static void put(const Printer *p, const char *text)
{
    p->write(p->to, text, strlen(text));
}

static void spaces(const Printer *p, int n)
{
    for (; n > 0; n--)
        p->write(p->to, " ", 1);
}

static void new_line(Printer *p)
{
    if (!p->first)
        put(p, "\n");
    p->first = false;
}

/* A cell in its column; [last]: nothing follows, so no padding behind. */
static void put_cell(const Printer *p, const char *at, bool last)
{
    char text[CELL];
    format_cell(p, at, text, sizeof text);
    int fraction = fraction_length(text), length = (int)strlen(text);
    bool aligned = dtype_of(p) == DTYPE_bool || !strchr(text, 'e');
    int behind = aligned && p->look.width > 0 ? p->look.after - fraction : 0;
    spaces(p, p->look.width - length - behind);
    put(p, text);
    if (!last)
        spaces(p, behind);
}

/* Cells that fit a line of two spaces between columns. */
static int64_t columns_that_fit(const Printer *p)
{
    int64_t fit = (p->screen + 2) / (p->look.width + 2);
    return fit < 1 ? 1 : fit;
}

/* One row of a matrix; columns in the middle give way when the screen is too narrow. */
static void put_row(Printer *p, const char *base, int axis)
{
    int64_t n = places(p, axis), fit = columns_that_fit(p), head = n, tail = 0;
    bool gap = places(p, axis) < p->tensor->shape[axis];
    if (n > fit) {
        int64_t room = (p->screen - 1) / (p->look.width + 2);     /* the gap takes three columns of text */
        head = room > 1 ? (room + 1) / 2 : 1;
        tail = room > 1 ? room / 2 : 0;
    }
    new_line(p);
    for (int64_t i = 0; i < n; i++) {
        int64_t index = index_at(p, axis, i);
        bool skipped = n > fit && i >= head && i < n - tail;
        if (i > 0 && (!skipped || i == head))
            put(p, "  ");
        if (skipped && i == head)
            put(p, "…");
        if (skipped)
            continue;
        if (index < 0 && gap)
            put(p, "…");
        else
            put_cell(p, element(p, base, axis, index), i == n - 1);
    }
}

static void put_matrix(Printer *p, const char *base, int axis)
{
    for (int64_t i = 0; i < places(p, axis); i++) {
        int64_t index = index_at(p, axis, i);
        if (index >= 0) {
            put_row(p, element(p, base, axis, index), axis + 1);
            continue;
        }
        new_line(p);
        put(p, "…");
    }
}

/* A line above each matrix that says where it lies: [0, 2, :, :] */
static void put_place(Printer *p, const int64_t *at, int n)
{
    new_line(p);
    put(p, "[");
    for (int i = 0; i < n; i++) {
        char text[CELL];
        snprintf(text, sizeof text, "%lld, ", (long long)at[i]);
        put(p, text);
    }
    put(p, ":, :]");
}

static void put_axes(Printer *p, const char *base, int axis, int64_t *at)
{
    if (axis == p->tensor->ndim - 2) {
        put_place(p, at, axis);
        put_matrix(p, base, axis);
        return;
    }
    for (int64_t i = 0; i < places(p, axis); i++) {
        int64_t index = index_at(p, axis, i);
        at[axis] = index;
        if (index >= 0) {
            put_axes(p, element(p, base, axis, index), axis + 1, at);
            continue;
        }
        new_line(p);
        put(p, "…");
    }
}

static int64_t length_of(const Printer *p, const char *at)
{
    char text[CELL];
    format_cell(p, at, text, sizeof text);
    return (int64_t)strlen(text);
}

/* One axis: on one line without padding where it fits, else in aligned columns over several lines. */
static void put_vector(Printer *p)
{
    int64_t n = places(p, 0), fit = columns_that_fit(p), length = 0;
    for (int64_t i = 0; i < n; i++)
        length += 2 + (index_at(p, 0, i) < 0 ? 1 : length_of(p, element(p, p->tensor->data, 0, index_at(p, 0, i))));
    bool one_line = length - 2 <= p->screen;
    p->look.width = one_line ? 0 : p->look.width;
    for (int64_t i = 0; i < n; i++) {
        int64_t index = index_at(p, 0, i);
        bool starts = one_line ? i == 0 : i % fit == 0;
        bool ends = i == n - 1 || (!one_line && i % fit == fit - 1);
        if (starts)
            new_line(p);
        else
            put(p, "  ");
        if (index >= 0)
            put_cell(p, element(p, p->tensor->data, 0, index), ends);
        else {
            spaces(p, p->look.width - 1);
            put(p, "…");
        }
    }
}

void tensor_print(const Tensor *tensor, int width, TensorWrite *write, void *to)
{
    Printer p = {.tensor = tensor, .screen = width > 0 ? width : 80, .write = write, .to = to, .first = true};
    int64_t size = tensor_size(tensor), at[TENSOR_MAX_DIMS];
    if (size == 0) {
        put(&p, "(empty)");
        return;
    }
    p.shorten = size > SHOW_ALL;
    choose_look(&p);
    if (tensor->ndim == 0)
        put_cell(&p, tensor->data, true);
    else if (tensor->ndim == 1)
        put_vector(&p);
    else if (tensor->ndim == 2)
        put_matrix(&p, tensor->data, 0);
    else
        put_axes(&p, tensor->data, 0, at);
}
