/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbols of a text and of the workspace, and what can be folded. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lsp.h"

static int symbol_kind(SymbolKind kind)
{
    switch (kind) {
    case SYMBOL_MODULE: return 2;
    case SYMBOL_MODEL: return 5;
    case SYMBOL_METHOD: return 6;
    case SYMBOL_FIELD: case SYMBOL_PARAM: case SYMBOL_BUFFER: return 8;
    case SYMBOL_FUNCTION: case SYMBOL_TEST: return 12;
    case SYMBOL_OPTION: return 14;
    default: return 13;
    }
}

static json_t *symbol_of(const Server *server, const Group *group, const OutlineItem *item)
{
    json_t *whole = group_range(server, group, item->start, item->end, NULL);
    json_t *symbol = json_pack("{ss si so so}", "name", *item->name ? item->name : "test", "kind", symbol_kind(item->kind),
                               "range", whole, "selectionRange",
                               group_range(server, group, item->name_start, item->name_end, NULL));
    if (symbol && item->detail) json_object_set_new(symbol, "detail", json_string(item->detail));
    return symbol;
}

enum { DEPTH_MOST = 66 };

static json_t *tree_of(const Server *server, const Text *text, const OutlineItem *items, int count)
{
    json_t *list = json_array(), *at[DEPTH_MOST] = {list};
    for (int i = 0; i < count; i++) {
        const OutlineItem *item = &items[i];
        if (group_at(text->group, item->start) != text) continue;
        json_t *symbol = symbol_of(server, text->group, item);
        int depth = item->depth < DEPTH_MOST - 1 ? item->depth : DEPTH_MOST - 2;
        while (depth > 0 && !at[depth]) depth--;
        if (!symbol) continue;
        if (!at[depth]) at[depth] = list;
        json_t *children = json_array();
        json_array_append_new(at[depth], symbol);
        json_object_set_new(symbol, "children", children);
        at[depth + 1] = children;
        for (int k = depth + 2; k < DEPTH_MOST; k++) at[k] = NULL;
    }
    return list;
}

static json_t *flat_of(const Server *server, const Text *text, const OutlineItem *items, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        if (group_at(text->group, items[i].start) != text) continue;
        json_t *range = group_range(server, text->group, items[i].start, items[i].end, NULL);
        json_array_append_new(list, json_pack("{ss si s{ss so}}", "name", *items[i].name ? items[i].name : "test", "kind",
                                              symbol_kind(items[i].kind), "location", "uri", text->uri, "range", range));
    }
    return list;
}

json_t *handle_document_symbol(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    Analysis *analysis = text ? group_analyse(server, text->group, NULL) : NULL;
    int count = 0;
    if (!analysis) return failure->code ? NULL : fail(failure, FAIL_INTERNAL, "out of memory");
    OutlineItem *items = analysis_outline(analysis, &count);
    json_t *made = (server->hierarchical ? tree_of : flat_of)(server, text, items, count);
    outline_free(items, count);
    return made;
}

/* ---- the workspace ---- */

typedef struct Query { const char *word; json_t *list; } Query;

/* Whether the letters of the word come in the name in their order. */
static bool fits(const char *name, const char *word)
{
    for (; *word; word++) {
        while (*name && strncasecmp(name, word, 1) != 0) name++;
        if (!*name++) return false;
    }
    return true;
}

enum { SYMBOLS_MOST = 500 };

static void list_symbols(Server *server, const char *path, void *to)
{
    Query *query = to;
    size_t length = 0;
    int count = 0;
    if (json_array_size(query->list) >= SYMBOLS_MOST) return;
    char *text = opened_text(server, path, &length);
    if (!text) text = file_read(path, &length);
    Lines lines = {0};
    char *uri = uri_of_path(path);
    Analysis *analysis = text && uri && lines_make(&lines, text, length)
                       ? session_analyse(server->session, path, text, length, ANALYSE_NAMES, NULL, NULL) : NULL;
    OutlineItem *items = analysis ? analysis_outline(analysis, &count) : NULL;
    const char *holder = "";
    for (int i = 0; i < count; i++) {
        if (items[i].kind == SYMBOL_MODEL) holder = items[i].name;
        if (!fits(items[i].name, query->word)) continue;
        json_t *one = json_pack("{ss si s{ss so}}", "name", *items[i].name ? items[i].name : "test", "kind",
                                symbol_kind(items[i].kind), "location", "uri", uri, "range",
                                lines_range(&lines, server->encoding, items[i].name_start, items[i].name_end));
        if (one && items[i].depth > 0) json_object_set_new(one, "containerName", json_string(holder));
        if (one) json_array_append_new(query->list, one);
    }
    outline_free(items, count);
    analysis_free(analysis);
    lines_clear(&lines);
    free(uri);
    free(text);
}

json_t *handle_workspace_symbol(Server *server, const json_t *params, Failure *failure)
{
    const char *word = text_of(params, "query");
    Query query = {word ? word : "", json_array()};
    (void)failure;
    files_visit(server, list_symbols, &query);
    return query.list;
}

/* ---- folding ---- */

static void fold(json_t *list, json_int_t from, json_int_t to, const char *kind)
{
    json_t *one = to > from ? json_pack("{sI sI}", "startLine", from, "endLine", to) : NULL;
    if (one && kind) json_object_set_new(one, "kind", json_string(kind));
    if (one) json_array_append_new(list, one);
}

static json_int_t line_at(const Text *text, size_t offset)
{
    uint32_t low = 0, high = text->lines.count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (text->lines.start[middle] <= offset) low = middle;
        else high = middle;
    }
    return low;
}

/* Brackets over several lines, up to the line before the closing one; comments on lines one below the other. */
json_t *handle_folding(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    int count = 0;
    if (!text) return NULL;
    Highlight *spans = language_highlight(text->text, text->length, &count);
    json_t *list = json_array();
    json_int_t first = -1, last = -2;
    for (int i = 0; spans && i < count; i++) {
        json_int_t line = line_at(text, spans[i].start);
        if (spans[i].kind == HIGHLIGHT_BRACKET && spans[i].partner > i)
            fold(list, line, line_at(text, spans[spans[i].partner].start) - 1, NULL);
        bool alone = i == 0 || line_at(text, spans[i - 1].start) != line;
        if (spans[i].kind != HIGHLIGHT_COMMENT || !alone) continue;
        if (line != last + 1) {
            if (first >= 0) fold(list, first, last, "comment");
            first = line;
        }
        last = line;
    }
    if (first >= 0) fold(list, first, last, "comment");
    free(spans);
    return list;
}
