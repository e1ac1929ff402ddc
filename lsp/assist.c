/* SPDX-License-Identifier: GPL-3.0-or-later */
/* While somebody types: completion, hover, signatures. What stands in the text comes from its analysis, the rest from the
   session's documentation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

/* ---- documentation ---- */

json_t *markup_take(const Server *server, char *text)
{
    json_t *made = text ? json_pack("{ss ss}", "kind", server->markdown ? "markdown" : "plaintext", "value", text) : NULL;
    free(text);
    return made;
}

/* What the session knows of a name of the library, malloc'ed; NULL: nothing. */
static char *library_doc(const Server *server, const char *name)
{
    Display *display = session_describe(server->session, name, strlen(name), strlen(name), false);
    const char *wanted = server->markdown ? "text/markdown" : "text/plain";
    char *text = NULL;
    for (int i = 0; display && i < display->count && !text; i++)
        if (!strcmp(display->form[i].mime, wanted)) text = strdup(display->form[i].data);
    session_display_free(display);
    return text;
}

/* ---- completion ---- */

enum { ITEMS_MOST = 1000 };

static int item_kind(const char *kind)
{
    static const struct { const char *word; int kind; } kinds[] = {
        {"method", 2}, {"function", 3}, {"field", 5}, {"member", 5}, {"key", 5}, {"variable", 6}, {"parameter", 6},
        {"name", 6}, {"model", 7}, {"module", 9}, {"argument", 10}, {"option", 21}, {"value", 12}, {"dtype", 20},
        {"keyword", 14}, {"file", 17}, {"folder", 19}, {"constant", 21}, {"size", 25},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].word, kind)) return kinds[i].kind;
    return 1;
}

/* The name that resolve looks up: nn.Linear for Linear behind nn. */
static void full_name(const Group *group, const Completions *found, const char *text, char *out, size_t size)
{
    size_t end = found->start, start = end;
    bool member = end > 0 && group->text[end - 1] == '.';
    while (member && start > 0 && (group->text[start - 1] == '.' || group->text[start - 1] == '_' ||
                                   (group->text[start - 1] >= '0' && group->text[start - 1] <= '9') ||
                                   ((group->text[start - 1] | 32) >= 'a' && (group->text[start - 1] | 32) <= 'z')))
        start--;
    snprintf(out, size, "%.*s%s", (int)(end - start < 200 ? end - start : 0), group->text + start, text);
}

static json_t *item_of(const Server *server, const Group *group, const Completions *found, int i)
{
    const Completion *one = &found->at[i];
    char sort[16], name[400];
    snprintf(sort, sizeof sort, "%05d", i);
    json_t *range = group_range(server, group, found->start, found->end, NULL);
    json_t *item = json_pack("{ss si ss s{so ss}}", "label", one->text, "kind", item_kind(one->kind), "sortText", sort,
                             "textEdit", "range", range, "newText", one->text);
    if (!item) return NULL;
    if (*one->detail) json_object_set_new(item, "detail", json_string(one->detail));
    bool library = !one->doc && (!strcmp(one->kind, "function") || !strcmp(one->kind, "model") ||
                                 !strcmp(one->kind, "module") || !strcmp(one->kind, "constant"));
    if (one->doc) json_object_set_new(item, "documentation", markup_take(server, strdup(one->doc)));
    full_name(group, found, one->text, name, sizeof name);
    if (library) json_object_set_new(item, "data", json_string(name));
    return item;
}

json_t *handle_completion(Server *server, const json_t *params, Failure *failure)
{
    Text *text;
    size_t offset;
    Completions found;
    if (!find_place(server, params, &text, &offset, failure)) return NULL;
    const Group *group = text->group;
    if (!session_complete_text(server->session, group->path, group->text, group->length, offset, &found))
        return fail(failure, FAIL_INTERNAL, "out of memory");
    json_t *items = json_array();
    int most = found.count < ITEMS_MOST ? found.count : ITEMS_MOST;
    for (int i = 0; i < most; i++) {
        json_t *item = item_of(server, group, &found, i);
        if (item) json_array_append_new(items, item);
    }
    bool more = found.count > most;          /* the next letter asks again */
    completions_clear(&found);
    return json_pack("{sb so}", "isIncomplete", more, "items", items);
}

json_t *handle_resolve(Server *server, const json_t *params, Failure *failure)
{
    const char *name = text_of(params, "data");
    json_t *item = json_deep_copy(params);
    if (!json_is_object(item)) {
        json_decref(item);
        return fail(failure, FAIL_PARAMS, "an item was expected");
    }
    char *doc = name ? library_doc(server, name) : NULL;
    if (doc) json_object_set_new(item, "documentation", markup_take(server, doc));
    return item;
}

/* ---- hover ---- */

static void add(char **text, const char *format, const char *what)
{
    char *longer = NULL, *piece = NULL;
    if (!*text || asprintf(&piece, format, what) < 0) return;
    if (asprintf(&longer, "%s%s", *text, piece) < 0) longer = NULL;
    free(piece);
    free(*text);
    *text = longer;
}

static const char *kind_note(SymbolKind kind)
{
    switch (kind) {
    case SYMBOL_PARAMETER: return "parameter";
    case SYMBOL_SIZE: return "size of an axis";
    case SYMBOL_FIELD: return "field";
    case SYMBOL_PARAM: return "trained and saved";
    case SYMBOL_BUFFER: return "saved, not trained";
    case SYMBOL_OPTION: return "option of the command line";
    case SYMBOL_METHOD: return "method";
    default: return NULL;
    }
}

/* The header with what is known of the value: x: f32[32, 784]. */
static char *hover_text(const Server *server, const Mention *mention, const Described *known)
{
    const char *header = known->header ? known->header : mention->name, *note = kind_note(mention->kind);
    bool callable = mention->kind == SYMBOL_FUNCTION || mention->kind == SYMBOL_METHOD || mention->kind == SYMBOL_MODEL;
    const char *fence = server->markdown ? "```" : "";
    char *text = NULL;
    bool shown = known->type && !callable && strcmp(known->type, "_") != 0;
    bool repeats = shown && strstr(header, known->type);
    if (asprintf(&text, "%s%s%s%s%s%s%s%s", fence, server->markdown ? "tessera\n" : "", header,
                 shown && !repeats ? (strchr(header, ':') ? "  # " : ": ") : "", shown && !repeats ? known->type : "",
                 callable && known->type ? "  # gives " : "", callable && known->type ? known->type : "",
                 server->markdown ? "\n```" : "") < 0)
        return NULL;
    if (note) add(&text, server->markdown ? "\n\n*%s*" : "\n\n%s", note);
    if (known->doc) add(&text, "\n\n%s", known->doc);
    if (!mention->sure && mention->kind != SYMBOL_UNKNOWN) add(&text, "\n\n%s", "It is likely, not certain, that this is meant.");
    return text;
}

static bool is_library(const Mention *mention)
{
    return mention->kind == SYMBOL_BUILTIN || mention->kind == SYMBOL_CONSTANT ||
           (mention->kind == SYMBOL_MODULE && !mention->path) ||
           (mention->library && (mention->kind == SYMBOL_FUNCTION || mention->kind == SYMBOL_MODEL));
}

/* nn.Linear as it stands in the text: names and dots that end at [end]. */
static char *chain(const Group *group, const Mention *mention)
{
    size_t start = mention->start;
    const char *slash = mention->path ? strchr(mention->path, '/') : NULL;
    bool standard = mention->library && slash && strncmp(mention->path, "lang/", 5) != 0;
    char *name = NULL;
    if (standard && start > 0 && group->text[start - 1] == '.') {
        if (asprintf(&name, "%.*s.%s", (int)(slash - mention->path), mention->path, mention->name) < 0) return NULL;
        return name;
    }
    return strdup(mention->name);
}

json_t *handle_hover(Server *server, const json_t *params, Failure *failure)
{
    Text *text;
    size_t offset;
    Mention mention;
    Described known;
    if (!find_place(server, params, &text, &offset, failure)) return NULL;
    Analysis *analysis = group_analyse(server, text->group, NULL);
    int i = analysis ? analysis_find(analysis, offset) : -1;
    if (i < 0) return NULL;
    analysis_mention(analysis, i, &mention);
    char *shown = NULL, *name = is_library(&mention) ? chain(text->group, &mention) : NULL;
    if (name) shown = library_doc(server, name);
    free(name);
    if (!shown) {
        if (!analysis_describe(analysis, i, &known)) return fail(failure, FAIL_INTERNAL, "out of memory");
        bool says = known.header || known.type || known.doc;
        shown = says ? hover_text(server, &mention, &known) : NULL;
        described_clear(&known);
    }
    if (!shown) return NULL;
    return json_pack("{so so}", "contents", markup_take(server, shown), "range",
                     group_range(server, text->group, mention.start, mention.end, NULL));
}

/* ---- signatures ---- */

json_t *handle_signature(Server *server, const json_t *params, Failure *failure)
{
    Text *text;
    size_t offset;
    SignatureHelp help;
    Lines lines;
    if (!find_place(server, params, &text, &offset, failure)) return NULL;
    const Group *group = text->group;
    if (!session_signature(server->session, group->path, group->text, group->length, offset, &help)) return NULL;
    json_t *parts = json_array(), *signature = NULL;
    if (lines_make(&lines, help.label, strlen(help.label))) {
        for (int i = 0; i < help.count; i++)      /* the protocol counts a label in UTF-16 */
            json_array_append_new(parts, json_pack("{s[II]}", "label",
                (json_int_t)lines_units(&lines, ENCODING_UTF16, 0, help.part[i].start),
                (json_int_t)lines_units(&lines, ENCODING_UTF16, 0, help.part[i].end)));
        lines_clear(&lines);
    }
    signature = json_pack("{ss so}", "label", help.label, "parameters", parts);
    if (signature && help.doc) json_object_set_new(signature, "documentation", markup_take(server, strdup(help.doc)));
    json_t *made = json_pack("{s[o] si}", "signatures", signature, "activeSignature", 0);
    if (made) json_object_set_new(made, "activeParameter", json_integer(help.active >= 0 ? help.active : help.count));
    signature_clear(&help);
    return made;
}
