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
        json_t *text = json_from_text(match->text);
        json_array_append_new(types, json_pack("{sI sI sO ss so}", "start", start, "end", end, "text", text, "type",
                                               match->kind, "signature", json_from_text(match->detail)));
        json_array_append_new(matches, text);
    }
    completions_clear(&found);
    return json_pack("{ss so sI sI s{so}}", "status", "ok", "matches", matches, "cursor_start", start, "cursor_end", end,
                     "metadata", "_jupyter_types_experimental", types);
}

json_t *handle_inspect(Kernel *kernel, Request *request)
{
    CodePlace place = place_of(request);
    bool source = json_integer_value(json_object_get(request->content, "detail_level")) > 0;
    Display *display = session_describe(kernel->session, place.code, place.length, place.cursor, source);
    json_t *content = display ? bundle_of(display) : json_pack("{s{} s{}}", "data", "metadata");
    json_object_set_new(content, "status", json_string("ok"));
    json_object_set_new(content, "found", json_boolean(display != NULL));
    session_display_free(display);
    return content;
}
