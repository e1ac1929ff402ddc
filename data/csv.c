/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CSV as RFC 4180 describes it, with any separator: cells are cut out of the text in place, then columns are looked
   through for what all their cells can be. A number that would lose something as a number is text: 007, and ints
   beyond 64 bits. */
#include "csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells ---- */

static bool wrong(FormatError *error, int64_t line, const char *why)
{
    error->line = line;
    snprintf(error->why, sizeof error->why, "%s", why);
    return false;
}

static void *grow(void *at, int64_t count, int64_t *room, size_t size)
{
    if (count < *room)
        return at;
    int64_t wider = *room ? *room * 2 : 256;
    void *grown = realloc(at, (size_t)wider * size);
    if (grown)
        *room = wider;
    return grown;
}

static bool add_cell(CsvTable *t, const char *text, const char *end, bool quoted)
{
    CsvCell *cell = grow(t->cell, t->cells, &t->cells_room, sizeof *cell);
    if (!cell || end - text > UINT32_MAX)
        return false;
    t->cell = cell;
    cell[t->cells++] = (CsvCell){text, (uint32_t)(end - text), quoted};
    return true;
}

/* The rows are in two arrays that grow alike. */
static bool begin_row(CsvTable *t, int64_t line)
{
    int64_t room = t->rows_room;
    size_t *first = grow(t->first, t->rows + 1, &room, sizeof *first);
    if (!first)
        return false;
    t->first = first;
    int64_t *lines = room == t->rows_room ? t->line : realloc(t->line, (size_t)room * sizeof *lines);
    if (!lines)
        return false;
    t->line = lines;
    t->rows_room = room;
    first[t->rows] = (size_t)t->cells;
    lines[t->rows++] = line;
    first[t->rows] = (size_t)t->cells;
    return true;
}

typedef struct Reader {
    CsvTable *table;
    FormatError *error;
    char *at, *end;
    char separator;
    int64_t line;
} Reader;

/* A cell in quotes: "" in it is one quote. It is written over itself. Leaves [at] behind it. */
static bool quoted_cell(Reader *r)
{
    char *start = ++r->at, *to = start;
    int64_t line = r->line;
    for (;; r->at++) {
        char *hit = memchr(r->at, '"', (size_t)(r->end - r->at));
        if (!hit)
            return wrong(r->error, line, "the quote that begins here is not closed");
        for (const char *c = r->at; c < hit; c++)
            r->line += *c == '\n';
        if (to != r->at)
            memmove(to, r->at, (size_t)(hit - r->at));
        to += hit - r->at;
        r->at = hit + 1;
        if (*r->at != '"')
            break;
        *to++ = '"';
    }
    bool ends = r->at == r->end || *r->at == r->separator || *r->at == '\n' || (*r->at == '\r' && r->at[1] == '\n');
    if (!ends)
        return wrong(r->error, r->line, "there is text behind a closing quote; a quote inside quotes is written twice");
    if (!add_cell(r->table, start, to, true))
        return false;
    *to = '\0';
    return true;
}

static bool plain_cell(Reader *r)
{
    char *start = r->at;
    while (r->at < r->end && *r->at != r->separator && *r->at != '\n')
        r->at++;
    char *end = r->at;
    if (end > start && end[-1] == '\r' && (r->at == r->end || *r->at == '\n'))
        end--;
    return add_cell(r->table, start, end, false);
}

/* One row; the separators behind its cells become their ends. */
static bool read_row(Reader *r)
{
    if (!begin_row(r->table, r->line))
        return false;
    for (bool more = true; more;) {
        if (!(*r->at == '"' && r->at < r->end ? quoted_cell(r) : plain_cell(r)))
            return false;
        CsvCell *cell = &r->table->cell[r->table->cells - 1];
        if (r->at < r->end && *r->at == '\r')
            r->at++;
        more = r->at < r->end && *r->at == r->separator;
        bool line_end = r->at < r->end && *r->at == '\n';
        ((char *)(uintptr_t)cell->text)[cell->length] = '\0';
        r->at += more || line_end;
        r->line += line_end;
    }
    r->table->first[r->table->rows] = (size_t)r->table->cells;
    return true;
}

bool csv_read(char *text, size_t length, char separator, CsvTable *table, FormatError *error)
{
    Reader r = {.table = table, .error = error, .at = text, .end = text + length, .separator = separator, .line = 1};
    *table = (CsvTable){0};
    *error = (FormatError){0};
    while (r.at < r.end) {
        bool empty = *r.at == '\n' || (*r.at == '\r' && r.at[1] == '\n');
        if (empty) {
            r.at += *r.at == '\r' ? 2 : 1;
            r.line++;
        } else if (!read_row(&r)) {
            return false;
        }
    }
    return true;
}

void csv_free(CsvTable *table)
{
    free(table->first);
    free(table->line);
    free(table->cell);
    *table = (CsvTable){0};
}

/* ---- values ---- */

static bool is_word(const CsvCell *cell, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(cell->text, *words) == 0)
            return true;
    return false;
}

static bool is_missing(const CsvCell *cell)
{
    static const char *const words[] = {"NA", "N/A", "null", NULL};
    return cell->length == 0 || is_word(cell, words);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_int(const CsvCell *cell, int64_t *out)
{
    const char *at = cell->text;
    bool negative = *at == '-';
    at += *at == '-' || *at == '+';
    if (!is_digit(*at) || (*at == '0' && at[1]))
        return false;
    for (*out = 0; is_digit(*at); at++) {
        int digit = *at - '0';
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, negative ? -digit : digit, out))
            return false;
    }
    return *at == '\0';
}

/* Digits with a point, exactly: a whole number below 2^53 times or over a power of ten up to 22 is rounded once. */
static bool read_decimal(const char *at, double *out)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    bool negative = *at == '-', point = false;
    uint64_t whole = 0;
    int digits = 0, behind = 0;
    for (at += *at == '-' || *at == '+'; is_digit(*at) || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        whole = whole * 10 + (uint64_t)(*at - '0');
        digits++;
        behind += point;
        if (digits > 15)
            return false;
    }
    if (*at || digits == 0)
        return false;
    *out = (double)whole / power[behind];
    if (negative)
        *out = -*out;
    return true;
}

static bool read_float(const CsvCell *cell, double *out)
{
    const char *at = cell->text + (*cell->text == '-' || *cell->text == '+');
    char *end;
    if (at[0] == '0' && is_digit(at[1]))
        return false;
    if (read_decimal(cell->text, out))
        return true;
    bool number = is_digit(*at) || (*at == '.' && is_digit(at[1]));
    bool word = !strcmp(at, "inf") || !strcmp(at, "nan") || !strcmp(at, "NaN") || !strcmp(at, "Infinity");
    if ((!number && !word) || (number && strpbrk(at, "xX")))
        return false;
    if (number && !at[strspn(at, "0123456789")])
        return false;                        /* an int that did not fit */
    *out = strtod(cell->text, &end);
    return *end == '\0';
}

static bool read_bool(const CsvCell *cell, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL}, *const no[] = {"false", "False", "FALSE", NULL};
    *out = is_word(cell, yes);
    return *out || is_word(cell, no);
}

CsvKind csv_kind(const CsvTable *table, int64_t start, int64_t column)
{
    bool bools = true, ints = true, floats = true, some = false;
    for (int64_t row = start; row < table->rows && (bools || ints || floats); row++) {
        const CsvCell *cell = &table->cell[table->first[row] + (size_t)column];
        int64_t i;
        double d;
        bool b;
        if (is_missing(cell)) {
            bools = ints = false;
            continue;
        }
        some = true;
        bools = bools && read_bool(cell, &b);
        ints = ints && read_int(cell, &i);
        floats = floats && (ints || read_float(cell, &d) || read_int(cell, &i));
    }
    if (!some)
        return CSV_TEXT;
    return bools ? CSV_BOOL : ints ? CSV_INT : floats ? CSV_FLOAT : CSV_TEXT;
}

void csv_fill(const CsvTable *table, int64_t start, int64_t column, CsvKind kind, void *to)
{
    for (int64_t row = start, i = 0; row < table->rows; row++, i++) {
        const CsvCell *cell = &table->cell[table->first[row] + (size_t)column];
        if (kind == CSV_BOOL) {
            bool b = false;
            read_bool(cell, &b);
            ((uint8_t *)to)[i] = b;
        } else if (kind == CSV_INT) {
            read_int(cell, &((int64_t *)to)[i]);
        } else {
            double *d = &((double *)to)[i];
            int64_t whole;
            if (is_missing(cell)) *d = (double)NAN;
            else if (!read_float(cell, d) && read_int(cell, &whole)) *d = (double)whole;
        }
    }
}
