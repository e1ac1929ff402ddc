/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program as an editor sees it (lang.h): the checker's findings, the names of scopes.c and what is known of each, an
   outline, and shapes to show between the lines. A program that does not parse has what its other statements say. */
#include "analysis.h"

#include <stdlib.h>
#include <string.h>

Analysis *session_analyse(Session *session, const char *path, const char *text, size_t length, size_t focus,
                          AnalysisStop *stop, void *user)
{
    Analysis *a = calloc(1, sizeof *a);
    char *copy = a ? strdup(path) : NULL;
    if (!copy) {
        free(a);
        return NULL;
    }
    a->path = copy;
    bool fine = check_open(&a->checker, session, &a->unit, copy, text, length);
    if (fine) {
        a->checker.focus = focus;
        a->checker.stop = stop;
        a->checker.stop_user = user;
        a->checker.noted = a->unit;
        fine = check_walk(&a->checker, a->unit) && names_find(&a->names, &a->checker, a->unit);
    }
    if (fine)
        return a;
    analysis_free(a);
    return NULL;
}

void analysis_free(Analysis *a)
{
    if (!a)
        return;
    check_close(&a->checker);
    free(a->path);
    free(a);
}

bool analysis_report(Analysis *a, CheckReport *report, void *user)
{
    return check_report(&a->checker, a->unit, report, user);
}

const char *analysis_used(const Analysis *a, int i)
{
    for (const Unit *unit = a->checker.units; unit; unit = unit->next)
        if (!unit->library && unit != a->unit && i-- == 0)
            return unit->path;
    return NULL;
}

/* ---- names ---- */

int analysis_count(const Analysis *a)
{
    return a->names.n_mentions;
}

const Symbol *analysis_symbol(const Analysis *a, int i)
{
    int symbol = a->names.mention[i].symbol;
    return symbol >= 0 ? &a->names.symbol[symbol] : NULL;
}

void analysis_mention(const Analysis *a, int i, Mention *out)
{
    const Mentioned *mention = &a->names.mention[i];
    const Symbol *symbol = analysis_symbol(a, i);
    *out = (Mention){.name = mention->name, .start = mention->span.start, .end = mention->span.end,
                     .declares = mention->declares, .writes = mention->writes, .sure = mention->sure};
    if (!symbol)
        return;
    out->kind = symbol->kind;
    if (!symbol->unit)
        return;
    out->path = symbol->unit->path;
    out->library = symbol->unit->library;
    out->name_start = symbol->span.start;
    out->name_end = symbol->span.end;
    out->whole_start = symbol->whole.start;
    out->whole_end = symbol->whole.end;
}

int analysis_find(const Analysis *a, size_t offset)
{
    int low = 0, high = a->names.n_mentions;
    while (low < high) {      /* the first that ends behind the offset, or at it */
        int middle = (low + high) / 2;
        if (a->names.mention[middle].span.end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low + 1 < a->names.n_mentions && a->names.mention[low + 1].span.start == offset)
        low++;
    return low < a->names.n_mentions && a->names.mention[low].span.start <= offset ? low : -1;
}

/* A piece of a source on one line. */
void analysis_piece(const Source *source, Span span, Text *out)
{
    for (uint32_t at = span.start; at < span.end; at++) {
        char c = source->text[at];
        bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (!space)
            text_add(out, &c, 1);
        else if (out->length && out->at[out->length - 1] != ' ' && out->at[out->length - 1] != '(')
            text_add(out, " ", 1);
    }
}

static void header_of(const Symbol *symbol, Text *out)
{
    const Source *source = symbol->unit ? symbol->unit->source : NULL;
    bool model = symbol->kind == SYMBOL_MODEL && symbol->node;
    if (!source || symbol->kind == SYMBOL_FILE || symbol->kind == SYMBOL_SELF)
        return;
    if (symbol->function || model)
        analysis_piece(source, model ? symbol->node->model.header : symbol->function->header, out);
    else if (symbol->kind == SYMBOL_PARAMETER || symbol->kind == SYMBOL_OPTION || symbol->kind == SYMBOL_MODULE)
        analysis_piece(source, symbol->whole, out);
    else if (symbol->kind == SYMBOL_PARAM || symbol->kind == SYMBOL_BUFFER)
        text_format(out, "%s %s", symbol->kind == SYMBOL_PARAM ? "param" : "buffer", symbol->name);
    else
        text_format(out, "%s", symbol->name);
    if (symbol->contract && symbol->kind != SYMBOL_PARAMETER) {
        text_format(out, ": ");
        analysis_piece(source, symbol->contract->span, out);
    }
}

static void add_number(const Fact *fact, const char *own, Text *out)
{
    int64_t number;
    bool named = fact->kind == FACT_INT && fact->extent->kind == EXTENT_SYMBOL && fact->extent->name;
    if (fact_is_int(fact, &number))
        text_format(out, " = %lld", (long long)number);
    else if (fact->kind == FACT_FLOAT && fact->known)
        text_format(out, " = %.6g", fact->number);
    else if (named && strcmp(fact->extent->name, own) != 0)
        text_format(out, " = %s", fact->extent->name);
}

/* The text as a string, NULL when it is empty; *fine false: memory is out. */
char *analysis_taken(Text *text, bool *fine)
{
    char *made = NULL;
    if (text->length && !text->failed) {
        made = strndup(text->at, text->length);
        *fine = *fine && made;
    }
    *fine = *fine && !text->failed;
    text_free(text);
    return made;
}

static bool describe_symbol(const Checker *c, const Symbol *symbol, const Fact *fact, Described *out)
{
    Text header = {0}, type = {0};
    bool callable = symbol && (symbol->function || symbol->kind == SYMBOL_MODEL), fine = true;
    if (symbol)
        header_of(symbol, &header);
    if (symbol && symbol->function)
        fact = symbol->function->result ? NULL : check_noted(c, symbol->function);
    if (fact && (symbol || fact->kind < FACT_FUNCTION) && !(callable && !symbol->function)) {
        fact_text(fact, &type);
        add_number(fact, symbol ? symbol->name : "", &type);
    }
    out->header = analysis_taken(&header, &fine);
    out->type = analysis_taken(&type, &fine);
    out->doc = symbol && symbol->doc ? strdup(symbol->doc) : NULL;
    return fine && (out->doc || !symbol || !symbol->doc);
}

bool analysis_describe(Analysis *a, int i, Described *out)
{
    const Symbol *symbol = analysis_symbol(a, i);
    const Fact *fact = check_noted(&a->checker, a->names.mention[i].noted);
    if (!fact && symbol && symbol->kind != SYMBOL_VARIABLE)
        fact = check_noted(&a->checker, symbol->noted);
    *out = (Described){0};
    if (describe_symbol(&a->checker, symbol, fact, out))
        return true;
    described_clear(out);
    return false;
}

void described_clear(Described *described)
{
    free(described->header);
    free(described->type);
    free(described->doc);
    *described = (Described){0};
}

/* ---- outline ---- */

static bool in_outline(const Names *names, const Symbol *symbol)
{
    bool own = symbol->unit == names->unit && symbol->whole.end > symbol->whole.start;
    bool module = symbol->scope == 0;
    switch (symbol->kind) {
    case SYMBOL_FUNCTION: case SYMBOL_MODEL: case SYMBOL_METHOD: case SYMBOL_FIELD: case SYMBOL_PARAM: case SYMBOL_BUFFER:
        return own && symbol->scope >= 0;
    case SYMBOL_TEST: return own;
    case SYMBOL_VARIABLE: case SYMBOL_OPTION: return own && module;
    case SYMBOL_MODULE: return own && module && !symbol->fixed;
    default: return false;
    }
}

static int by_whole(const void *a, const void *b)
{
    const OutlineItem *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return x->name_start < y->name_start ? -1 : x->name_start > y->name_start;
}

static char *outline_detail(const Analysis *a, const Symbol *symbol)
{
    Text text = {0};
    bool fine = true;
    const Fact *fact = symbol->function ? NULL : check_noted(&a->checker, symbol->noted);
    if (symbol->function || symbol->kind == SYMBOL_MODEL) {
        Text header = {0};
        header_of(symbol, &header);
        text_add(&header, "", 1);
        const char *open = header.failed ? NULL : strchr(header.at, '(');
        if (open)
            text_format(&text, "%s", open);
        text_free(&header);
    } else if (fact) {
        fact_text(fact, &text);
    }
    return analysis_taken(&text, &fine);
}

enum { OUTLINE_DEPTH = 64 };

OutlineItem *analysis_outline(Analysis *a, int *count)
{
    const Names *names = &a->names;
    OutlineItem *items = calloc((size_t)names->n_symbols + 1, sizeof *items);
    size_t open[OUTLINE_DEPTH];
    int n = 0, depth = 0;
    for (int i = 0; items && i < names->n_symbols; i++) {
        const Symbol *symbol = &names->symbol[i];
        if (!in_outline(names, symbol))
            continue;
        items[n++] = (OutlineItem){.name = symbol->name, .kind = symbol->kind, .start = symbol->whole.start,
                                   .end = symbol->whole.end, .name_start = symbol->span.start,
                                   .name_end = symbol->span.end, .detail = outline_detail(a, symbol)};
    }
    if (n > 1)
        qsort(items, (size_t)n, sizeof *items, by_whole);
    for (int i = 0; i < n; i++) {
        while (depth > 0 && open[depth - 1] <= items[i].start)
            depth--;
        items[i].depth = depth;
        bool holds = items[i].kind == SYMBOL_FUNCTION || items[i].kind == SYMBOL_MODEL || items[i].kind == SYMBOL_METHOD;
        if (holds && depth < OUTLINE_DEPTH)
            open[depth++] = items[i].end;
    }
    *count = n;
    return items;
}

void outline_free(OutlineItem *items, int count)
{
    for (int i = 0; items && i < count; i++)
        free(items[i].detail);
    free(items);
}

/* ---- shapes between the lines ---- */

typedef struct Inlays {
    const Analysis *a;
    size_t from, to;
    InlayVisit *visit;
    void *user;
} Inlays;

static void show(Inlays *to, uint32_t at, const char *before, const Fact *fact)
{
    Text text = {0};
    if (!fact_telling(fact) || at < to->from || at > to->to)
        return;
    text_format(&text, "%s", before);
    fact_text(fact, &text);
    text_add(&text, "", 1);
    if (!text.failed)
        to->visit(to->user, &(Inlay){.at = at, .text = text.at});
    text_free(&text);
}

static void show_target(Inlays *to, const Node *target)
{
    if (target->kind == NODE_NAME)
        show(to, target->span.end, ": ", check_noted(&to->a->checker, target));
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            show_target(to, target->list.at[i]);
}

/* What says its own shape. */
static bool is_plain(const Node *value)
{
    return value->kind <= NODE_FORMAT || value->kind == NODE_LIST || value->kind == NODE_NAME;
}

/* A step of a chain that stands on a line of its own. */
static void show_step(Inlays *to, const Node *pipe)
{
    const char *text = to->a->unit->source->text;
    uint32_t at = pipe->binary.op_span.start;
    const Node *right = pipe->binary.right;
    while (at > 0 && text[at] != '|')
        at--;
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
        at--;
    if (at > 0 && text[at - 1] == '\n')
        show(to, right->span.end, "  ", check_noted(&to->a->checker, pipe));
}

static void show_node(Node *node, void *user)
{
    Inlays *to = user;
    const Checker *c = &to->a->checker;
    if (node->span.start > to->to || node->span.end < to->from)
        return;
    if (node->kind == NODE_ASSIGN && node->assign.op == OPERATOR_NONE && !node->assign.contract &&
        !is_plain(node->assign.value))
        show_target(to, node->assign.target);
    else if (node->kind == NODE_FOR)
        show_target(to, node->loop.clause.target);
    else if (node->kind == NODE_FN && !node->function->result)
        show(to, node->function->header.end, " -> ", check_noted(c, node->function));
    else if (node->kind == NODE_CELL)
        for (int i = 0; i < to->a->names.n_symbols; i++) {
            const Symbol *symbol = &to->a->names.symbol[i];
            if (symbol->node == node)
                show(to, symbol->span.end, ": ", check_noted(c, node));
        }
    else if (node->kind == NODE_PIPE)
        show_step(to, node);
    tree_children(node, show_node, user);
}

void analysis_inlays(Analysis *a, size_t from, size_t to, InlayVisit *visit, void *user)
{
    Inlays inlays = {a, from, to, visit, user};
    for (int i = 0; i < a->unit->parse->statements.count; i++)
        show_node(a->unit->parse->statements.at[i], &inlays);
}
