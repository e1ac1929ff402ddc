/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion and inspection. Clients count codepoints, the session bytes. */
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "requests.h"

/* The byte at which codepoint [count] begins; the end where there are fewer. */
static size_t bytes_of(const char *text, size_t length, json_int_t count)
{
    size_t at = 0;
    while (at < length && count > 0) {
        at++;
        while (at < length && ((unsigned char)text[at] & 0xC0) == 0x80) at++;
        count--;
    }
    return at;
}

static json_int_t codepoints_of(const char *text, size_t bytes)
{
    json_int_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

typedef struct CodePlace { const char *code; size_t length, cursor; } CodePlace;

static CodePlace place_of(const Request *request)
{
    const json_t *code = json_object_get(request->content, "code"), *cursor = json_object_get(request->content, "cursor_pos");
    CodePlace place = {.code = request_text(request, "code"), .length = json_string_length(code)};
    place.cursor = json_is_integer(cursor) ? bytes_of(place.code, place.length, json_integer_value(cursor)) : place.length;
    return place;
}

json_t *handle_complete(Kernel *kernel, Request *request)
{
    CodePlace place = place_of(request);
    Completions found = {.start = place.cursor, .end = place.cursor};
    json_t *matches = json_array(), *types = json_array();
    bool fine = session_complete(kernel->session, place.code, place.length, place.cursor, &found);
    json_int_t start = codepoints_of(place.code, found.start), end = codepoints_of(place.code, found.end);
    for (int i = 0; fine && i < found.count; i++) {
        const Completion *match = &found.at[i];
        json_array_append_new(matches, json_string(match->text));
        json_array_append_new(types, json_pack("{sI sI ss ss ss}", "start", start, "end", end, "text", match->text, "type",
                                               match->kind, "signature", match->detail));
    }
    completions_clear(&found);
    return json_pack("{ss so sI sI s{so}}", "status", "ok", "matches", matches, "cursor_start", start, "cursor_end", end,
                     "metadata", "_jupyter_types_experimental", types);
}

json_t *handle_inspect(Kernel *kernel, Request *request)
{
    CodePlace place = place_of(request);
    char *text = session_inspect(kernel->session, place.code, place.length, place.cursor);
    json_t *data = json_object();
    if (text) json_object_set_new(data, "text/plain", json_from_bytes(text, strlen(text)));
    json_t *content = json_pack("{ss sb so s{}}", "status", "ok", "found", text != NULL, "data", data, "metadata");
    free(text);
    return content;
}
