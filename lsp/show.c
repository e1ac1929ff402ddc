/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a text looks: colours, shapes between the lines, formatting, and quick fixes of what is wrong. */
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

/* ---- colours ---- */

static int type_of_symbol(SymbolKind kind)
{
    switch (kind) {
    case SYMBOL_MODULE: return TYPE_NAMESPACE;
    case SYMBOL_MODEL: return TYPE_CLASS;
    case SYMBOL_SIZE: return TYPE_TYPE_PARAMETER;
    case SYMBOL_PARAMETER: return TYPE_PARAMETER;
    case SYMBOL_FIELD: case SYMBOL_PARAM: case SYMBOL_BUFFER: return TYPE_PROPERTY;
    case SYMBOL_FUNCTION: case SYMBOL_BUILTIN: return TYPE_FUNCTION;
    case SYMBOL_METHOD: return TYPE_METHOD;
    case SYMBOL_SELF: return TYPE_KEYWORD;
    case SYMBOL_FILE: return TYPE_STRING;
    default: return TYPE_VARIABLE;
    }
}

static int type_of_span(HighlightKind kind)
{
    switch (kind) {
    case HIGHLIGHT_KEYWORD: case HIGHLIGHT_CONSTANT: return TYPE_KEYWORD;
    case HIGHLIGHT_NUMBER: return TYPE_NUMBER;
    case HIGHLIGHT_STRING: return TYPE_STRING;
    case HIGHLIGHT_COMMENT: return TYPE_COMMENT;
    case HIGHLIGHT_NAME: return TYPE_VARIABLE;
    case HIGHLIGHT_CALL: case HIGHLIGHT_DECLARED: return TYPE_FUNCTION;
    case HIGHLIGHT_OPERATOR: return TYPE_OPERATOR;
    default: return -1;
    }
}

typedef struct Tokens {
    json_t *data;
    const Lines *lines;
    Encoding encoding;
    uint32_t line;            /* of the last one, and where it began */
    int64_t character;
} Tokens;

static void add_token(Tokens *t, size_t start, size_t end, int type, int modifiers)
{
    uint32_t line = t->line;
    while (line + 1 < t->lines->count && t->lines->start[line + 1] <= start) line++;
    int64_t character = lines_units(t->lines, t->encoding, t->lines->start[line], start);
    const json_int_t values[] = {line - t->line, line == t->line ? character - t->character : character,
                                 lines_units(t->lines, t->encoding, start, end), type, modifiers};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) json_array_append_new(t->data, json_integer(values[i]));
    t->line = line;
    t->character = character;
}

static void tokens_between(const Server *server, const Text *text, Analysis *analysis, size_t from, size_t to, json_t *data)
{
    int count = 0, next = 0, names = analysis_count(analysis);
    Highlight *spans = language_highlight(text->group->text + text->base, text->length, &count);
    Tokens t = {.data = data, .lines = &text->lines, .encoding = server->encoding};
    for (int i = 0; spans && i < count && spans[i].start < to; i++) {
        Mention mention = {0};
        size_t at = text->base + spans[i].start;
        int type = type_of_span(spans[i].kind), modifiers = 0;
        while (next < names && (analysis_mention(analysis, next, &mention), mention.start < at)) next++;
        if (next < names) analysis_mention(analysis, next, &mention);
        bool named = next < names && mention.start == at && mention.kind != SYMBOL_UNKNOWN;
        if (named && type != TYPE_KEYWORD) {
            type = type_of_symbol(mention.kind);
            modifiers = (mention.declares ? MODIFIER_DECLARATION : 0) |
                        (mention.library || !mention.path ? MODIFIER_LIBRARY : 0);
        }
        if (spans[i].kind == HIGHLIGHT_DECLARED && !named) modifiers = MODIFIER_DECLARATION;
        if (type >= 0 && spans[i].end > from) add_token(&t, spans[i].start, spans[i].end, type, modifiers);
    }
    free(spans);
}

static bool range_of(const Server *server, const Text *text, const json_t *range, size_t *from, size_t *to)
{
    const json_t *start = json_object_get(range, "start"), *end = json_object_get(range, "end");
    *from = 0;
    *to = text->length;
    if (!json_is_object(range)) return false;
    *from = lines_offset(&text->lines, server->encoding, json_integer_value(json_object_get(start, "line")),
                         json_integer_value(json_object_get(start, "character")));
    *to = lines_offset(&text->lines, server->encoding, json_integer_value(json_object_get(end, "line")),
                       json_integer_value(json_object_get(end, "character")));
    return true;
}

json_t *handle_tokens(Server *server, const json_t *params, Failure *failure)
{
    size_t from, to;
    Text *text = find_text(server, params, failure);
    Analysis *analysis = text ? group_analyse(server, text->group, NULL) : NULL;
    if (!analysis) return failure->code ? NULL : fail(failure, FAIL_INTERNAL, "out of memory");
    json_t *data = json_array();
    range_of(server, text, json_object_get(params, "range"), &from, &to);
    tokens_between(server, text, analysis, from, to, data);
    return json_pack("{so}", "data", data);
}

/* ---- shapes ---- */

typedef struct Hints { const Server *server; const Text *text; json_t *list; } Hints;

static void on_inlay(void *user, const Inlay *inlay)
{
    enum { TYPE = 1 };
    Hints *hints = user;
    const Text *text = hints->text;
    if (inlay->at < text->base || inlay->at > text->base + text->length) return;
    json_t *at = lines_position(&text->lines, hints->server->encoding, inlay->at - text->base);
    json_array_append_new(hints->list, json_pack("{so ss si}", "position", at, "label", inlay->text, "kind", TYPE));
}

json_t *handle_inlay(Server *server, const json_t *params, Failure *failure)
{
    size_t from, to;
    Text *text = find_text(server, params, failure);
    Analysis *analysis = text ? group_analyse(server, text->group, NULL) : NULL;
    if (!analysis) return failure->code ? NULL : fail(failure, FAIL_INTERNAL, "out of memory");
    Hints hints = {server, text, json_array()};
    range_of(server, text, json_object_get(params, "range"), &from, &to);
    analysis_inlays(analysis, text->base + from, text->base + to, on_inlay, &hints);
    return hints.list;
}

/* ---- formatting ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void add_edit(json_t *edits, const Server *server, const Text *text, size_t start, size_t end, const char *with,
                     size_t length)
{
    json_t *range = lines_range(&text->lines, server->encoding, start, end);
    json_array_append_new(edits, json_pack("{so ss%}", "range", range, "newText", with, length));
}

/* Formatting changes only what lies between the visible characters: an edit for each such place. False: something else
   has changed. */
static bool edit_spaces(const Server *server, const Text *text, const char *made, size_t length, size_t from, size_t to,
                        json_t *edits)
{
    const char *old = text->text;
    size_t i = 0, k = 0;
    while (i < text->length || k < length) {
        size_t start = i, first = k;
        while (i < text->length && is_space(old[i])) i++;
        while (k < length && is_space(made[k])) k++;
        bool same = i - start == k - first && !memcmp(old + start, made + first, k - first);
        if (!same && start >= from && i <= to) add_edit(edits, server, text, start, i, made + first, k - first);
        if ((i == text->length) != (k == length) || (i < text->length && old[i] != made[k])) return false;
        i += i < text->length;
        k += k < length;
    }
    return true;
}

static json_t *format(Server *server, Text *text, const json_t *range, Failure *failure)
{
    SessionConfig config = {.color = false};
    EvalResult result = {0};
    size_t length = 0, from, to;
    bool part = range_of(server, text, range, &from, &to);
    char *made = session_format(&config, text->group->path, text->text, text->length, &length, &result);
    if (!made) {
        fail(failure, FAIL_REFUSED, "%s", result.error_message ? result.error_message : "the text does not parse");
        eval_result_clear(&result);
        return NULL;
    }
    json_t *edits = json_array();
    if (!edit_spaces(server, text, made, length, from, to, edits)) {
        json_array_clear(edits);
        if (!part) add_edit(edits, server, text, 0, text->length, made, length);
    }
    free(made);
    eval_result_clear(&result);
    return edits;
}

json_t *handle_formatting(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    return text ? format(server, text, NULL, failure) : NULL;
}

json_t *handle_range_formatting(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    return text ? format(server, text, json_object_get(params, "range"), failure) : NULL;
}

/* ---- quick fixes ---- */

json_t *handle_action(Server *server, const json_t *params, Failure *failure)
{
    const Text *text = find_text(server, params, failure);
    const json_t *found = json_object_get(json_object_get(params, "context"), "diagnostics");
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach(found, i, one) {
        const json_t *data = json_object_get(one, "data");
        const char *with = text_of(data, "replace");
        json_t *range = json_object_get(data, "range");
        char title[200];
        if (!text || !with || !json_is_object(range)) continue;
        size_t length = strlen(with);
        memcpy(title, "Write ", 7);
        strncat(title, with, length < 150 ? length : 150);
        json_array_append_new(list, json_pack("{ss ss s[O] sb s{s{s[{sO ss}]}}}", "title", title, "kind", "quickfix",
                                              "diagnostics", one, "isPreferred", 1, "edit", "changes", text->uri, "range",
                                              range, "newText", with));
    }
    if (!failure->code) return list;
    json_decref(list);
    return NULL;
}
