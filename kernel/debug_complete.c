/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion in the debugger's console: the variables of the frame, then what the session offers. This protocol counts
   in units of UTF-16. */
#include <string.h>

#include "kernel.h"

static size_t size_of(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The byte at which unit [units] begins; the end where there are fewer. */
static size_t bytes_of(const char *text, size_t length, json_int_t units)
{
    size_t at = 0;
    while (at < length && units > 0) {
        size_t size = size_of((unsigned char)text[at]);
        units -= size == 4 ? 2 : 1;
        at += size;
    }
    return at < length ? at : length;
}

static json_int_t units_of(const char *text, size_t bytes)
{
    json_int_t units = 0;
    for (size_t at = 0; at < bytes; at += size_of((unsigned char)text[at]))
        units += size_of((unsigned char)text[at]) == 4 ? 2 : 1;
    return units;
}

/* The byte that the request's line and column name, and where its line begins. */
static bool read_cursor(DebugCall *call, const char *text, size_t length, size_t *line_start, size_t *cursor)
{
    json_int_t line, column, first = call->debugger->lines_from;
    if (!debug_number(call, "column", &column) || !debug_number_or(call, "line", first, &line)) return false;
    *line_start = 0;
    for (; line > first; line--) {
        const char *end = memchr(text + *line_start, '\n', length - *line_start);
        if (!end) return debug_refuse(call, "the text has no such line");
        *line_start = (size_t)(end - text) + 1;
    }
    *cursor = *line_start + bytes_of(text + *line_start, length - *line_start, column - call->debugger->columns_from);
    return true;
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (unsigned char)c >= 0x80;
}

static void offer(json_t *targets, const char *label, const char *kind, json_int_t start, json_int_t length)
{
    static const char *const known[] = {"function", "keyword", "method", "module", "variable"};
    json_t *target = json_pack("{so sI sI}", "label", json_from_text(label), "start", start, "length", length);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(kind, known[i]) == 0) json_object_set_new(target, "type", json_string(kind));
    json_array_append_new(targets, target);
}

/* Variables of the frame's scopes whose names begin so, but for the session's, which offers them itself. */
static void offer_frame(DebugCall *call, int frame, const char *word, size_t length, json_int_t start, json_t *targets)
{
    DebugVariables scopes = {0};
    if (!session_debug_scopes(call->session, frame, &scopes)) return;
    for (int i = 0; i < scopes.count; i++) {
        DebugVariables inside = {0};
        if (scopes.at[i].kind == DEBUG_GLOBAL ||
            !session_debug_variables(call->session, scopes.at[i].reference, DEBUG_ALL, 0, 0, &inside)) continue;
        for (int j = 0; j < inside.count; j++)
            if (strncmp(inside.at[j].name, word, length) == 0)
                offer(targets, inside.at[j].name, "variable", start, units_of(word, length));
        debug_variables_clear(&inside);
    }
    debug_variables_clear(&scopes);
}

bool debug_completions(DebugCall *call)
{
    size_t length, line_start = 0, cursor = 0;
    int frame;
    const char *text = debug_text(call, "text", &length);
    json_t *targets = json_array();
    json_object_set_new(call->body, "targets", targets);
    if (!text || !debug_frame(call, &frame) || !read_cursor(call, text, length, &line_start, &cursor)) return false;
    Completions found = {.start = cursor, .end = cursor};
    size_t word = cursor;
    while (word > line_start && is_word(text[word - 1])) word--;
    bool member = word > line_start && text[word - 1] == '.';
    if (frame >= 0 && word < cursor && !member)
        offer_frame(call, frame, text + word, cursor - word, units_of(text + line_start, word - line_start), targets);
    if (session_complete(call->session, text, length, cursor, &found) && found.start >= line_start)
        for (int i = 0; i < found.count; i++)
            offer(targets, found.at[i].text, found.at[i].kind, units_of(text + line_start, found.start - line_start),
                  units_of(text + found.start, found.end - found.start));
    completions_clear(&found);
    return true;
}
