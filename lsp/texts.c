/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts and positions in them. A line ends with \n, \r\n or \r; a character counts as the client asked: bytes, units of
   UTF-16, or code points. What lies outside the text is taken for its nearest place. */
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

bool lines_make(Lines *lines, const char *text, size_t length)
{
    uint32_t count = 1;
    for (size_t i = 0; i < length; i++)
        count += text[i] == '\n' || (text[i] == '\r' && (i + 1 == length || text[i + 1] != '\n'));
    uint32_t *start = malloc(count * sizeof *start);
    if (!start) return false;
    *lines = (Lines){.text = text, .length = length, .start = start, .count = 1};
    start[0] = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == length || text[i + 1] != '\n')))
            start[lines->count++] = (uint32_t)i + 1;
    return true;
}

void lines_clear(Lines *lines)
{
    free(lines->start);
    *lines = (Lines){0};
}

/* Bytes of the character at [at], and its width in the client's count. */
static size_t step(const char *text, size_t left, Encoding encoding, int *width)
{
    unsigned char c = (unsigned char)*text;
    size_t size = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    if (size > left) size = 1;
    *width = encoding == ENCODING_UTF8 ? (int)size : encoding == ENCODING_UTF16 && size == 4 ? 2 : 1;
    return size;
}

size_t lines_offset(const Lines *lines, Encoding encoding, int64_t line, int64_t character)
{
    if (line < 0) return 0;
    if (line >= (int64_t)lines->count) return lines->length;
    size_t at = lines->start[line], end = line + 1 < (int64_t)lines->count ? lines->start[line + 1] : lines->length;
    while (end > at && (lines->text[end - 1] == '\n' || lines->text[end - 1] == '\r')) end--;
    while (at < end && character > 0) {
        int width;
        size_t size = step(lines->text + at, end - at, encoding, &width);
        if (width > character) break;      /* inside a character: before it */
        character -= width;
        at += size;
    }
    return at;
}

static uint32_t line_of(const Lines *lines, size_t offset)
{
    uint32_t low = 0, high = lines->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (lines->start[middle] <= offset) low = middle;
        else high = middle;
    }
    return low;
}

int64_t lines_units(const Lines *lines, Encoding encoding, size_t start, size_t end)
{
    int64_t units = 0;
    if (end > lines->length) end = lines->length;
    for (size_t at = start; at < end;) {
        int width;
        at += step(lines->text + at, end - at, encoding, &width);
        units += width;
    }
    return units;
}

json_t *lines_position(const Lines *lines, Encoding encoding, size_t offset)
{
    if (offset > lines->length) offset = lines->length;
    uint32_t line = line_of(lines, offset);
    int64_t units = lines_units(lines, encoding, lines->start[line], offset);
    return json_pack("{sI sI}", "line", (json_int_t)line, "character", (json_int_t)units);
}

json_t *lines_range(const Lines *lines, Encoding encoding, size_t start, size_t end)
{
    return json_pack("{so so}", "start", lines_position(lines, encoding, start), "end",
                     lines_position(lines, encoding, end));
}

/* ---- open documents ---- */

static bool take_text(Text *text, char *owned, size_t length)
{
    Lines lines;
    if (!owned || !lines_make(&lines, owned, length)) {
        free(owned);
        return false;
    }
    free(text->text);
    lines_clear(&text->lines);
    text->text = owned;
    text->length = length;
    text->lines = lines;
    return true;
}

static char *copy_of(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

Text *text_open(Group *group, const char *uri, const char *content, size_t length, json_int_t version)
{
    Text *text = calloc(1, sizeof *text), **last = &group->texts;
    if (!text) return NULL;
    text->uri = strdup(uri);
    text->group = group;
    text->version = version;
    if (!text->uri || !take_text(text, copy_of(content, length), length)) {
        free(text->uri);
        free(text);
        return NULL;
    }
    while (*last) last = &(*last)->next;
    *last = text;
    return text;
}

void text_close(Text *text)
{
    for (Text **at = &text->group->texts; *at; at = &(*at)->next)
        if (*at == text) {
            *at = text->next;
            break;
        }
    lines_clear(&text->lines);
    free(text->text);
    free(text->uri);
    free(text);
}

Text *text_find(const Server *server, const char *uri)
{
    for (Group *group = server->groups; group && uri; group = group->next)
        for (Text *text = group->texts; text; text = text->next)
            if (!strcmp(text->uri, uri)) return text;
    return NULL;
}

static size_t offset_of(const Text *text, Encoding encoding, const json_t *position)
{
    return lines_offset(&text->lines, encoding, json_integer_value(json_object_get(position, "line")),
                        json_integer_value(json_object_get(position, "character")));
}

static bool edit_one(Text *text, Encoding encoding, const json_t *change)
{
    const json_t *with = json_object_get(change, "text"), *range = json_object_get(change, "range");
    if (!json_is_string(with)) return false;
    const char *put = json_string_value(with);
    size_t size = json_string_length(with);
    if (!json_is_object(range)) return take_text(text, copy_of(put, size), size);
    size_t start = offset_of(text, encoding, json_object_get(range, "start"));
    size_t end = offset_of(text, encoding, json_object_get(range, "end"));
    if (end < start) end = start;
    size_t length = start + size + (text->length - end);
    char *made = malloc(length + 1);
    if (!made) return false;
    memcpy(made, text->text, start);
    memcpy(made + start, put, size);
    memcpy(made + start + size, text->text + end, text->length - end);
    made[length] = 0;
    return take_text(text, made, length);
}

bool text_edit(Text *text, Encoding encoding, const json_t *changes, json_int_t version)
{
    size_t i;
    json_t *change;
    bool fine = true;
    json_array_foreach(changes, i, change) fine = edit_one(text, encoding, change) && fine;
    text->version = version;
    return fine;
}

/* ---- what a request is about ---- */

Text *find_text(Server *server, const json_t *params, Failure *failure)
{
    const char *uri = text_of(json_object_get(params, "textDocument"), "uri");
    Text *text = text_find(server, uri);
    if (!text) fail(failure, FAIL_PARAMS, "%.300s is not open", uri ? uri : "the document");
    return text;
}

bool find_place(Server *server, const json_t *params, Text **text, size_t *offset, Failure *failure)
{
    const json_t *position = json_object_get(params, "position");
    *text = find_text(server, params, failure);
    if (!*text) return false;
    bool there = json_is_integer(json_object_get(position, "line")) && json_is_integer(json_object_get(position, "character"));
    if (!there) {
        fail(failure, FAIL_PARAMS, "a position with line and character was expected");
        return false;
    }
    if (!group_text((*text)->group)) {
        fail(failure, FAIL_INTERNAL, "out of memory");
        return false;
    }
    *offset = (*text)->base + offset_of(*text, server->encoding, position);
    return true;
}
