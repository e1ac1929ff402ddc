/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts and their lines. A Source takes any bytes: the lexer refuses broken UTF-8 and the renderer shows it safely.
   Lines end with \n or \r\n; offsets beyond the end are taken for the end. */
#include "source.h"

#include <stdlib.h>
#include <string.h>

static bool find_lines(Source *source)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i < source->length; i++) count += source->text[i] == '\n';
    source->line_start = malloc(count * sizeof *source->line_start);
    if (!source->line_start) return false;
    source->line_start[0] = 0;
    source->n_lines = 1;
    for (uint32_t i = 0; i < source->length; i++)
        if (source->text[i] == '\n') source->line_start[source->n_lines++] = i + 1;
    return true;
}

Source *source_new(const char *name, const char *text, size_t length, bool library)
{
    if (length >= UINT32_MAX - 1) return NULL;
    Source *source = calloc(1, sizeof *source);
    if (!source) return NULL;
    source->refs = 1;
    source->library = library;
    source->length = (uint32_t)length;
    source->name = strdup(name);
    source->text = malloc(length + 1);
    if (source->name && source->text) {
        if (length) memcpy(source->text, text, length);
        source->text[length] = 0;
        if (find_lines(source)) return source;
    }
    source_release(source);
    return NULL;
}

void source_release(Source *source)
{
    if (!source || --source->refs > 0) return;
    free(source->name);
    free(source->text);
    free(source->line_start);
    free(source->statement);
    free(source);
}

void source_locate(const Source *source, uint32_t offset, uint32_t *line, uint32_t *column)
{
    if (offset > source->length) offset = source->length;
    uint32_t low = 0, high = source->n_lines;            /* line_start[low] <= offset < line_start[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (source->line_start[middle] <= offset) low = middle; else high = middle;
    }
    *line = low + 1;
    *column = 1;
    for (uint32_t i = source->line_start[low]; i < offset; i++)
        *column += ((unsigned char)source->text[i] & 0xC0) != 0x80;
}

bool source_note_statement(Source *source, uint32_t start)
{
    if (source->n_statements == source->statement_room) {
        uint32_t room = source->statement_room ? source->statement_room * 2 : 16;
        uint32_t *wider = realloc(source->statement, room * sizeof *wider);
        if (!wider) return false;
        source->statement = wider;
        source->statement_room = room;
    }
    source->statement[source->n_statements++] = start;
    return true;
}

uint32_t source_statement_from(const Source *source, uint32_t line)
{
    uint32_t first = UINT32_MAX;
    if (line < 1 || line > source->n_lines) return first;
    for (uint32_t i = 0; i < source->n_statements; i++)
        if (source->statement[i] >= source->line_start[line - 1] && source->statement[i] < first)
            first = source->statement[i];
    return first;
}

const char *source_line(const Source *source, uint32_t line, uint32_t *length)
{
    if (line < 1) line = 1;
    if (line > source->n_lines) line = source->n_lines;
    uint32_t start = source->line_start[line - 1];
    uint32_t end = line < source->n_lines ? source->line_start[line] - 1 : source->length;
    if (end > start && source->text[end - 1] == '\r') end--;
    *length = end - start;
    return source->text + start;
}
