/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a name can be renamed, and to what. A new name is tried: the changed text is looked at anew, and every name in it
   must mean what it meant before; that is asked of the same rules that found the names, so that no list of ways in which
   names hide each other is needed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"

__attribute__((format(printf, 1, 2)))
static char *say(const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    if (vasprintf(&text, format, list) < 0)
        text = NULL;
    va_end(list);
    return text ? text : strdup("out of memory");
}

static uint32_t line_of(const Unit *unit, size_t offset)
{
    uint32_t line, column;
    source_locate(unit->source, (uint32_t)offset, &line, &column);
    return line;
}

static char *refuses_kind(const Symbol *symbol, const char *name)
{
    if (!symbol)
        return say("it is not known what %s is here", name);
    if (symbol->kind == SYMBOL_BUILTIN || symbol->kind == SYMBOL_CONSTANT)
        return say("%s is built in", name);
    if (symbol->kind == SYMBOL_SELF)
        return say("self is the object, and stays it");
    if (symbol->kind == SYMBOL_MODULE && !symbol->unit)
        return say("%s is a module of the library", name);
    if (symbol->unit && symbol->unit->library)
        return say("%s belongs to the library", name);
    static const struct { const char *name, *why; } known[] = {      /* methods that the language itself calls */
        {"forward", "a call of the object calls"}, {"next", "makes the object a stream"}, {"show", "displays the object"}};
    for (size_t i = 0; symbol->kind == SYMBOL_METHOD && i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name))
            return say("%s is what %s", name, known[i].why);
    if (symbol->kind == SYMBOL_FILE || symbol->fixed)
        return say("the name comes from the file's path: write use \"…\" as name");
    return NULL;
}

/* Whether places that nothing is known of could mean a symbol of this kind. */
static bool could_be_loose(SymbolKind kind)
{
    return kind == SYMBOL_FIELD || kind == SYMBOL_PARAM || kind == SYMBOL_BUFFER || kind == SYMBOL_METHOD ||
           kind == SYMBOL_FUNCTION || kind == SYMBOL_MODEL || kind == SYMBOL_PARAMETER;
}

char *analysis_refuses(Analysis *a, int i)
{
    const Mentioned *wanted = &a->names.mention[i];
    const Symbol *symbol = analysis_symbol(a, i);
    char *why = refuses_kind(symbol, wanted->name);
    if (why)
        return why;
    if (unit_lost(a->unit, wanted->name))
        return say("%s also stands in text that does not parse: mend that first", wanted->name);
    for (int k = symbol->scope == 0 ? a->names.scope[0].first : -1; k >= 0; k = a->names.symbol[k].next)
        if (k != wanted->symbol && a->names.symbol[k].name == symbol->name)
            return say("%s is a variable and a function: which one is meant, the run decides", wanted->name);
    const Symbol *owner = symbol->kind == SYMBOL_PARAMETER && symbol->owner >= 0 ? &a->names.symbol[symbol->owner] : NULL;
    if (owner && owner->spread)
        return say("line %u: what is spread there may name %s", line_of(a->unit, owner->spread - 1), wanted->name);
    for (int k = 0; k < a->names.n_mentions; k++) {
        const Mentioned *mention = &a->names.mention[k];
        bool same = mention->symbol == wanted->symbol;
        if (same && !mention->sure)
            return say("line %u: it is not certain that %s is the same there", line_of(a->unit, mention->span.start),
                       wanted->name);
        if (!same && mention->loose && could_be_loose(symbol->kind) && !strcmp(mention->name, wanted->name))
            return say("line %u: it is not known what %s belongs to there", line_of(a->unit, mention->span.start),
                       wanted->name);
    }
    return NULL;
}

static bool is_name(const char *name)
{
    Source *source = source_new("", name, strlen(name), false);
    Parse *parse = source ? parse_source(source, false) : NULL;
    const Node *node = parse && !parse->errors && parse->statements.count == 1 ? parse->statements.at[0] : NULL;
    const Node *child = node && node->kind == NODE_EXPR ? node->unary.child : NULL;
    bool fine = child && child->kind == NODE_NAME && strlen(child->name) == strlen(name);
    parse_free(parse);
    source_release(source);
    return fine;
}

static char *renamed_text(const Analysis *a, int symbol, const char *name, size_t *length)
{
    const Source *source = a->unit->source;
    Text text = {0};
    uint32_t at = 0;
    for (int i = 0; i < a->names.n_mentions; i++) {
        const Mentioned *mention = &a->names.mention[i];
        if (mention->symbol != symbol)
            continue;
        text_add(&text, source->text + at, mention->span.start - at);
        text_add(&text, name, strlen(name));
        at = mention->span.end;
    }
    text_add(&text, source->text + at, source->length - at);
    *length = text.length;
    text_add(&text, "", 1);
    if (!text.failed)
        return text.at;
    text_free(&text);
    return NULL;
}

/* Which mention declares the symbol of the i-th one, as its number among all; -1: none here. */
static int *declaring(const Analysis *a)
{
    int *first = malloc((size_t)(a->names.n_symbols + 1) * sizeof *first);
    for (int i = 0; first && i <= a->names.n_symbols; i++)
        first[i] = -1;
    for (int i = a->names.n_mentions - 1; first && i >= 0; i--)
        if (a->names.mention[i].symbol >= 0)
            first[a->names.mention[i].symbol] = i;
    return first;
}

static bool same_foreign(const Symbol *a, const Symbol *b)
{
    bool outside = a->scope < 0 && b->scope < 0;
    return !outside || (a->kind == b->kind && a->span.start == b->span.start &&
                        (a->unit == NULL) == (b->unit == NULL) && (!a->unit || !strcmp(a->unit->path, b->unit->path)));
}

static char *compare(const Analysis *a, const Analysis *b, int symbol, const char *name)
{
    int *first = declaring(a), *second = declaring(b), at = -1;
    int count = a->names.n_mentions < b->names.n_mentions ? a->names.n_mentions : b->names.n_mentions;
    for (int i = 0; first && second && i < count && at < 0; i++) {
        int x = a->names.mention[i].symbol, y = b->names.mention[i].symbol;
        bool same = (x < 0) == (y < 0) && (x < 0 || first[x] == second[y]);
        same = same && (x < 0 || x == symbol || same_foreign(&a->names.symbol[x], &b->names.symbol[y]));
        if (!same)
            at = i;
    }
    if (at < 0 && a->names.n_mentions != b->names.n_mentions)
        at = count ? count - 1 : 0;
    bool fine = first && second;
    free(first);
    free(second);
    if (!fine)
        return say("out of memory");
    if (at < 0)
        return NULL;
    return say("the name %s is taken: line %u would mean something else", name,
               line_of(a->unit, a->names.mention[at].span.start));
}

char *analysis_rename(Session *session, Analysis *a, int i, const char *name)
{
    char *why = analysis_refuses(a, i);
    int symbol = a->names.mention[i].symbol;
    size_t length;
    if (why || !strcmp(name, a->names.mention[i].name))
        return why;
    if (!is_name(name))
        return say("%.60s is no name: names are letters, digits and _, and no word of the language", name);
    if (a->names.symbol[symbol].unit != a->unit)
        return NULL;          /* the file that declares it is asked */
    char *text = renamed_text(a, symbol, name, &length);
    Analysis *b = text ? session_analyse(session, a->path, text, length, ANALYSE_ALL, NULL, NULL) : NULL;
    free(text);
    why = !b ? say("out of memory") : compare(a, b, symbol, name);
    analysis_free(b);
    return why;
}
