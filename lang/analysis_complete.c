/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion and signatures in a text that is being written. The statement at the cursor seldom parses; so it is taken out,
   blanks in its place, and only what stands before the dot or bracket is left there as a statement of its own: then the
   checker says what that is, and everything else keeps its place. Names of the library come from assist.c. */
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "assist.h"

/* ---- the text without the statement at the cursor ---- */

typedef struct Repaired {
    char *text;
    size_t length;
    size_t from, to;          /* what was taken out */
} Repaired;

/* The line on which the outermost bracket around the cursor opens, braces not counted. */
static size_t statement_start(const char *text, size_t cursor)
{
    Place place;
    size_t at = cursor;
    for (int depth = 0; depth < 20; depth++) {
        assist_place(text, at, &place);
        if (place.string_open)
            at = place.string;
        else if (place.has_call || place.has_index)
            at = place.call;
        else
            break;
    }
    while (at > 0 && text[at - 1] != '\n')
        at--;
    return at;
}

static bool repair(const char *text, size_t length, size_t cursor, size_t keep, size_t keep_end, Repaired *out)
{
    out->text = malloc(length + 1);
    if (!out->text)
        return false;
    memcpy(out->text, text, length);
    out->text[length] = 0;
    out->length = length;
    out->from = statement_start(out->text, cursor);
    if (keep < keep_end && keep < out->from)
        out->from = keep;
    out->to = cursor;
    while (out->to < length && text[out->to] != '\n')
        out->to++;
    while (out->from < out->to && (text[out->from] == ' ' || text[out->from] == '}'))
        out->from++;          /* a block that ends here ends */
    int open = 0;
    for (size_t at = out->from; at < out->to; at++)
        open += (text[at] == '{') - (text[at] == '}');
    for (size_t at = out->from; at < out->to; at++)
        if (text[at] != '\n' && !(at >= keep && at < keep_end))
            out->text[at] = ' ';
    bool head = open > 0 && out->to > out->from && out->to > keep_end && out->text[out->to - 1] == ' ';
    if (!head)
        return true;
    out->text[out->to - 1] = '{';
    size_t at = keep < keep_end ? keep : out->to > 8 ? out->to - 6 : 0;
    bool room = keep < keep_end && at >= out->from + 3;
    if (room)
        memcpy(out->text + at - 3, "if ", 3);
    else if (keep >= keep_end && at >= out->from + 3)
        memcpy(out->text + at - 3, "if true", 7);
    else
        out->text[out->to - 1] = ' ';
    return true;
}

static size_t back_over(const char *text, size_t end, char opener, char closer)
{
    int depth = 0;
    for (size_t at = end; at > 0; at--) {
        depth += text[at - 1] == closer;
        depth -= text[at - 1] == opener;
        if (depth == 0)
            return at - 1;
    }
    return end;
}

/* Where the expression of names, dots, calls and subscripts that ends at [end] begins. */
static size_t chain_start(const char *text, size_t end)
{
    size_t at = end;
    while (at > 0) {
        size_t before = at;
        char last = text[at - 1];
        if (last == ')')
            at = back_over(text, at, '(', ')');
        else if (last == ']')
            at = back_over(text, at, '[', ']');
        else if (last == '"' || last == '\'')
            for (at--; at > 0 && text[at - 1] != last && text[at - 1] != '\n';)
                at--;
        else
            while (at > 0 && assist_is_word(text[at - 1]))
                at--;
        if ((last == '"' || last == '\'') && at > 0)
            return at - 1;
        if (at == before || at == 0)
            return at;
        bool joined = text[at - 1] == '.' || ((text[at] == '(' || text[at] == '[') &&
                                             (assist_is_word(text[at - 1]) || text[at - 1] == ')' || text[at - 1] == ']'));
        if (!joined)
            return at;
        at -= text[at - 1] == '.';
    }
    return at;
}

typedef struct Sought { Span span; const Node *found; } Sought;

static void seek(Node *node, void *to)
{
    Sought *sought = to;
    if (node->span.start > sought->span.start || node->span.end < sought->span.end)
        return;
    bool same = node->span.start == sought->span.start && node->span.end == sought->span.end;
    if (same && node->kind != NODE_EXPR && node->kind != NODE_BLOCK)
        sought->found = node;
    else
        tree_children(node, seek, to);
}

/* What is known of the expression that stands in text[start..end) of an analysis. */
static const Fact *fact_at(const Analysis *a, size_t start, size_t end)
{
    Sought sought = {.span = {(uint32_t)start, (uint32_t)end}};
    const NodeList *list = &a->unit->parse->statements;
    for (int i = 0; i < list->count && !sought.found; i++)
        seek(list->at[i], &sought);
    return check_noted(&a->checker, sought.found);
}

/* ---- offers ---- */

typedef struct Offers {
    Analysis *a;
    const Fact *object;       /* whose members are offered; or NULL */
    const char *prefix;
    size_t length;
    Completions *out;
    int room;
    bool failed;
    bool seen[32768];         /* by a hash of the text: else nobody compares it with all that there are */
} Offers;

static bool *seen_slot(Offers *o, const char *text)
{
    unsigned hash = 5381;
    while (*text)
        hash = hash * 33 + (unsigned char)*text++;
    return &o->seen[hash % (sizeof o->seen / sizeof *o->seen)];
}

static bool has_offer(Offers *o, const char *text)
{
    bool seen = *seen_slot(o, text);
    for (int i = 0; seen && i < o->out->count; i++)
        if (!strcmp(o->out->at[i].text, text))
            return true;
    return false;
}

static void offer_take(Offers *o, Completion one)
{
    bool wider = o->out->count == o->room && !o->failed;
    int room = o->room ? o->room * 2 : 64;
    Completion *at = wider ? realloc(o->out->at, (size_t)room * sizeof *at) : o->out->at;
    o->failed = o->failed || !at || !one.text || !one.kind || !one.detail;
    if (wider && at) {
        o->out->at = at;
        o->room = room;
    }
    if (!o->failed) {
        *seen_slot(o, one.text) = true;
        o->out->at[o->out->count++] = one;
        return;
    }
    free(one.text);
    free(one.kind);
    free(one.detail);
    free(one.doc);
}

static void offer(Offers *o, const char *name, const char *kind, const char *detail, const char *doc)
{
    if (strncasecmp(name, o->prefix, o->length) != 0 || (name[0] == '_' && o->length == 0))
        return;
    offer_take(o, (Completion){strdup(name), strdup(kind), strdup(detail ? detail : ""), doc ? strdup(doc) : NULL});
}

static const char *kind_word(const Symbol *symbol)
{
    switch (symbol->kind) {
    case SYMBOL_FUNCTION: return "function";
    case SYMBOL_MODEL: return "model";
    case SYMBOL_METHOD: return "method";
    case SYMBOL_MODULE: return "module";
    case SYMBOL_FIELD: case SYMBOL_PARAM: case SYMBOL_BUFFER: return "field";
    case SYMBOL_PARAMETER: return "parameter";
    case SYMBOL_SIZE: return "size";
    case SYMBOL_OPTION: return "option";
    default: return "variable";
    }
}

static void offer_symbol(void *to, int index)
{
    Offers *o = to;
    const Symbol *symbol = &o->a->names.symbol[index];
    Text detail = {0};
    const Fact *fact = symbol->function ? NULL : check_noted(&o->a->checker, symbol->noted);
    const Local *field = o->object ? object_field(o->object, symbol->name) : NULL;
    if (field)
        fact = field->fact;   /* of this object, not of any */
    if (strncasecmp(symbol->name, o->prefix, o->length) != 0)
        return;
    if (symbol->function)
        analysis_piece(symbol->unit->source, symbol->function->header, &detail);
    else if (symbol->kind == SYMBOL_MODEL && symbol->node)
        analysis_piece(symbol->unit->source, symbol->node->model.header, &detail);
    else if (fact)
        fact_text(fact, &detail);
    else if (symbol->contract)
        analysis_piece(symbol->unit->source, symbol->contract->span, &detail);
    text_add(&detail, "", 1);
    const char *shown = detail.failed ? "" : detail.at;
    if (!strncmp(shown, "fn ", 3))
        shown += 3;
    else if (!strncmp(shown, "model ", 6))
        shown += 6;
    offer(o, symbol->name, kind_word(symbol), shown, symbol->doc);
    text_free(&detail);
}

/* Names in the order of the scopes, innermost first. */
static void offer_scopes(Offers *o, size_t cursor)
{
    const Names *names = &o->a->names;
    for (int at = names_scope(names, cursor); at >= 0; at = names->scope[at].up) {
        const Scoped *scope = &names->scope[at];
        for (int i = scope->first; i >= 0; i = names->symbol[i].next)
            if (names->symbol[i].kind != SYMBOL_METHOD && !has_offer(o, names->symbol[i].name))
                offer_symbol(o, i);
        for (int i = scope->fields >= 0 ? names->scope[scope->fields].first : -1; i >= 0; i = names->symbol[i].next)
            if (names->symbol[i].kind != SYMBOL_METHOD && names->symbol[i].kind != SYMBOL_SIZE &&
                !has_offer(o, names->symbol[i].name))
                offer_symbol(o, i);
    }
}

static bool names_argument(const char *text, size_t open, size_t cursor, const char *name)
{
    size_t length = strlen(name);
    for (size_t at = open + 1; at + length < cursor; at++)
        if (!assist_is_word(text[at - 1]) && !memcmp(text + at, name, length) && !assist_is_word(text[at + length])) {
            size_t next = at + length;
            while (next < cursor && text[next] == ' ')
                next++;
            if (next < cursor && text[next] == '=')
                return true;
        }
    return false;
}

typedef struct Called { const Parameter *parameter; int count; Unit *unit; const Symbol *symbol; Span result;
                        const char *name, *doc; } Called;

static bool called_by(const Fact *fact, Called *out)
{
    if (fact && fact->kind == FACT_OBJECT) {
        const Function *forward = model_method(fact, "forward");
        if (forward)
            *out = (Called){.parameter = forward->parameters, .count = forward->n_parameters, .unit = fact->object.unit,
                            .name = "forward", .doc = forward->doc};
        return forward != NULL;
    }
    if (fact && fact->kind == FACT_FUNCTION) {
        const Function *function = fact->function.function;
        *out = (Called){.parameter = function->parameters, .count = function->n_parameters, .unit = fact->function.unit,
                        .name = function->name ? function->name : "", .doc = function->doc};
        if (function->result)
            out->result = function->result->span;
        return true;
    }
    if (!fact || fact->kind != FACT_MODEL)
        return false;
    const Node *model = fact->model.node;
    *out = (Called){.parameter = model->model.parameters, .count = model->model.n_parameters, .unit = fact->model.unit,
                    .name = model->model.name, .doc = model->model.doc};
    return true;
}

static void offer_arguments(Offers *o, const Fact *fact, const char *text, size_t open, size_t start)
{
    Called called;
    if (!called_by(fact, &called))
        return;
    for (int i = 0; i < called.count; i++) {
        const Parameter *parameter = &called.parameter[i];
        Text name = {0}, detail = {0};
        if (parameter->rest || parameter->named_rest || names_argument(text, open, start, parameter->name))
            continue;
        text_format(&name, "%s=", parameter->name);
        analysis_piece(called.unit->source, parameter->span, &detail);
        text_add(&name, "", 1);
        text_add(&detail, "", 1);
        if (!name.failed && !detail.failed)
            offer(o, name.at, "argument", detail.at, NULL);
        text_free(&name);
        text_free(&detail);
    }
}

static void offer_members(Offers *o, const Fact *fact)
{
    static const char *const members[] = {"T", "dtype", "ndim", "shape", "size"};
    o->object = fact->kind == FACT_OBJECT ? fact : NULL;
    names_members(&o->a->names, fact, offer_symbol, o);
    o->object = NULL;
    for (size_t i = 0; fact->kind == FACT_TENSOR && i < sizeof members / sizeof *members; i++)
        offer(o, members[i], "member", NULL, NULL);
    for (int i = 0; fact->kind == FACT_MAP && i < fact->map.count; i++)
        offer(o, fact->map.key[i]->string.text, "key", NULL, NULL);
}

static void offer_words(Offers *o, const char *text, size_t from, size_t to)
{
    for (size_t at = from; at < to; at++) {
        size_t end = at;
        char name[80];
        while (end < to && assist_is_word(text[end]))
            end++;
        bool first = at == from || strchr("(,. ", text[at - 1]);      /* no default, no contract */
        if (end > at && end - at < sizeof name && first && (text[at] < '0' || text[at] > '9')) {
            memcpy(name, text + at, end - at);
            name[end - at] = 0;
            if (!has_offer(o, name))
                offer(o, name, "parameter", NULL, NULL);
        }
        at = end > at ? end - 1 : at;
    }
}

/* Parameters of lambdas in the statement that was taken out: x -> …, (x, y) -> … */
static void offer_lambdas(Offers *o, const char *text, size_t from, size_t cursor)
{
    for (size_t at = from; at + 2 <= cursor; at++) {
        size_t end = at, start;
        if (text[at] != '-' || text[at + 1] != '>')
            continue;
        while (end > from && text[end - 1] == ' ')
            end--;
        for (start = end; start > from && assist_is_word(text[start - 1]);)
            start--;
        if (start == end && end > from && text[end - 1] == ')')
            for (start = end - 1; start > from && text[start] != '(';)
                start--;
        offer_words(o, text, start, end);
    }
}

/* Takes over what assist.c offers, but names that it only guessed at from the text, unless they stand in what was taken
   out. */
static void take_over(Offers *o, Completions *base, const Repaired *repaired, const char *text)
{
    for (int i = 0; i < base->count; i++) {
        Completion *one = &base->at[i];
        size_t length = strlen(one->text);
        bool guessed = !strcmp(one->kind, "name"), near = false;
        for (size_t at = repaired->from; guessed && at + length <= repaired->to; at++)
            near = near || (!memcmp(text + at, one->text, length) && !assist_is_word(text[at + length]));
        if (has_offer(o, one->text) || (guessed && !near))
            continue;
        offer_take(o, *one);
        *one = (Completion){0};
    }
}

/* ---- completion ---- */

typedef struct Asked {
    Session *session;
    const char *path, *text;
    size_t length, cursor;
    Place place;
} Asked;

static void folder_of(const char *path, char folder[4096])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash && slash - path < 4095 ? (size_t)(slash - path) : 0;
    memcpy(folder, path, length);
    folder[length] = 0;
    if (slash == path)
        strcpy(folder, "/");
}

static bool complete_code(const Asked *asked, size_t start, Completions *base, Completions *out)
{
    const char *text = asked->text;
    bool member = start > 0 && text[start - 1] == '.' && !(start > 1 && text[start - 2] == '.');
    bool call = !member && asked->place.has_call && asked->place.key_length == 0;
    size_t end = member ? start - 1 : call ? asked->place.call : start, first = member || call ? chain_start(text, end) : end;
    Repaired repaired = {0};
    Analysis *a = NULL;
    if (!repair(text, asked->length, asked->cursor, first, end, &repaired))
        return false;
    if (!member && !call)     /* mostly such a text is whole */
        a = session_analyse(asked->session, asked->path, text, asked->length, asked->cursor, NULL, NULL);
    bool plain = a && !a->unit->parse->errors;
    if (!plain) {
        analysis_free(a);
        a = session_analyse(asked->session, asked->path, repaired.text, repaired.length, asked->cursor, NULL, NULL);
    }
    Offers o = {.a = a, .prefix = text + start, .length = asked->cursor - start, .out = out};
    const Fact *fact = a && first < end ? fact_at(a, first, end) : NULL;
    if (a && member && fact)
        offer_members(&o, fact);
    if (a && call)
        offer_arguments(&o, fact, text, asked->place.call, start);
    if (a && !member)
        offer_scopes(&o, asked->cursor);
    if (a && !member && !plain)
        offer_lambdas(&o, text, repaired.from, asked->cursor);
    bool closed = member && fact && (fact->kind == FACT_OBJECT || fact->kind == FACT_FILE);
    if (member && !closed && a)
        for (int i = a->names.scope[0].first; i >= 0; i = a->names.symbol[i].next)
            if (a->names.symbol[i].kind == SYMBOL_FUNCTION)
                offer_symbol(&o, i);
    if (!closed)
        take_over(&o, base, &repaired, text);
    analysis_free(a);
    free(repaired.text);
    return a && !o.failed;
}

bool session_complete_text(Session *session, const char *path, const char *text, size_t length, size_t cursor,
                           Completions *out)
{
    char folder[4096];
    Completions base = {0};
    char *copy = strndup(text, length);
    *out = (Completions){0};
    if (!copy)
        return false;
    length = strlen(copy);
    Asked asked = {session, path, copy, length, cursor < length ? cursor : length, {0}};
    folder_of(path, folder);
    assist_place(copy, asked.cursor, &asked.place);
    size_t start = asked.cursor;
    while (start > 0 && assist_is_word(copy[start - 1]))
        start--;
    bool number = start < asked.cursor && copy[start] >= '0' && copy[start] <= '9';
    size_t from = statement_start(copy, asked.cursor), to = asked.cursor;
    while (to < length && copy[to] != '\n')
        to++;
    char after = copy[to];
    copy[to] = 0;             /* names are guessed at in the statement alone: the analysis knows the others */
    bool fine = assist_complete(session, copy, to, asked.cursor, *folder ? folder : NULL, from, &base);
    copy[to] = after;
    bool code = !asked.place.string_open && !asked.place.comment && !number && !asked.place.has_command;
    bool valued = asked.place.key_length > 0 && base.count > 0 && !strcmp(base.at[0].kind, "value");
    if (fine && code && !valued) {
        out->start = base.start;
        out->end = base.end;
        fine = complete_code(&asked, start, &base, out);
        completions_clear(&base);
    } else {
        *out = base;
    }
    free(copy);
    if (!fine)
        completions_clear(out);
    return fine;
}

/* ---- signatures ---- */

static void add_part(SignatureHelp *out, size_t start, size_t end)
{
    if (out->count == (int)(sizeof out->part / sizeof *out->part))
        return;
    out->part[out->count].start = start;
    out->part[out->count++].end = end;
}

static void label_called(const Called *called, SignatureHelp *out, Text *label)
{
    text_format(label, "%s(", called->name);
    for (int i = 0; i < called->count; i++) {
        text_format(label, "%s", i ? ", " : "");
        size_t start = label->length;
        Span span = called->parameter[i].span;
        const Node *fallback = called->parameter[i].fallback;
        Text piece = {0};
        if (fallback && fallback->span.end > span.end)
            span.end = fallback->span.end;
        analysis_piece(called->unit->source, span, &piece);
        text_add(label, piece.at, piece.length);
        text_free(&piece);
        add_part(out, start, label->length);
    }
    text_format(label, ")");
    if (called->result.end > called->result.start) {
        Text piece = {0};
        analysis_piece(called->unit->source, called->result, &piece);
        text_format(label, " -> %.*s", (int)piece.length, piece.at ? piece.at : "");
        text_free(&piece);
    }
}

static void label_builtin(const char *name, const char *signature, SignatureHelp *out, Text *label)
{
    SignaturePart part;
    text_format(label, "%s(", name);
    for (const char *at = signature; assist_next_part(&at, &part);) {
        size_t start = label->length + (out->count ? 2 : 0);
        text_format(label, "%s%.*s", out->count ? ", " : "", (int)part.length, part.at);
        add_part(out, start, label->length);
    }
    text_format(label, ")");
}

/* Which argument the cursor is at: by its name, or by the commas before it. */
static int active_part(const Asked *asked, const SignatureHelp *help, const char *label, bool method)
{
    int depth = 0, count = method ? 1 : 0;
    const char *text = asked->text;
    for (size_t at = asked->place.call + 1; at < asked->cursor; at++) {
        char c = text[at];
        if (c == '"' || c == '\'')
            while (at + 1 < asked->cursor && text[at + 1] != c)
                at++, at += text[at] == '\\';
        if (at >= asked->cursor)
            break;
        at += c == '"' || c == '\'';
        depth += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
        count += c == ',' && depth == 0;
    }
    for (int i = 0; asked->place.key_length && i < help->count; i++)
        if (!strncmp(label + help->part[i].start, text + asked->place.key, asked->place.key_length) &&
            !assist_is_word(label[help->part[i].start + asked->place.key_length]))
            return i;
    if (help->count && count >= help->count && !strncmp(label + help->part[help->count - 1].start, "..", 2))
        return help->count - 1;
    return count < help->count ? count : -1;
}

static const char *builtin_doc(const Fact *fact)
{
    return fact->kind == FACT_NATIVE ? fact->native->doc : op_doc(fact->op);
}

static bool signature_of(const Asked *asked, Analysis *a, size_t first, size_t end, SignatureHelp *out)
{
    const Fact *fact = fact_at(a, first, end);
    const char *text = asked->text, *doc = NULL;
    size_t word = end;
    char name[128];
    bool method = false, fine = true, found = false;
    Called called;
    Text label = {0};
    while (word > first && assist_is_word(text[word - 1]))
        word--;
    if (!fact && word > first && text[word - 1] == '.' && end - word < sizeof name) {   /* x.f(…): the function f */
        memcpy(name, text + word, end - word);
        name[end - word] = 0;
        int symbol = names_weak(&a->names, name);
        const char *own = arena_name(a->unit->parse->arena, name, end - word);
        const Global *global = own ? unit_known(a->unit, own) : NULL;
        fact = global && global->declared ? global->function : symbol >= 0 && global ? global->weak : NULL;
        method = fact != NULL;
    }
    if (fact && (fact->kind == FACT_NATIVE || fact->kind == FACT_OP)) {
        const char *known = fact->kind == FACT_NATIVE ? fact->native->name : op_name(fact->op);
        const char *inside = assist_signature(known);
        label_builtin(known, inside ? inside : "", out, &label);
        doc = builtin_doc(fact);
        found = true;
    } else if (called_by(fact, &called)) {
        label_called(&called, out, &label);
        doc = called.doc;
        found = true;
    }
    text_add(&label, "", 1);
    if (found && !label.failed)
        out->active = active_part(asked, out, label.at, method);
    if (label.length)
        label.length--;
    out->label = analysis_taken(&label, &fine);
    out->doc = doc && found ? strdup(doc) : NULL;
    return found && out->label;
}

bool session_signature(Session *session, const char *path, const char *text, size_t length, size_t cursor,
                       SignatureHelp *out)
{
    char *copy = strndup(text, length);
    *out = (SignatureHelp){.active = -1};
    if (!copy)
        return false;
    length = strlen(copy);
    Asked asked = {session, path, copy, length, cursor < length ? cursor : length, {0}};
    Repaired repaired = {0};
    assist_place(copy, asked.cursor, &asked.place);
    size_t end = asked.place.call, first = asked.place.has_call ? chain_start(copy, end) : end;
    bool found = first < end && repair(copy, length, asked.cursor, first, end, &repaired);
    Analysis *a = found ? session_analyse(session, path, repaired.text, length, asked.cursor, NULL, NULL) : NULL;
    found = a && signature_of(&asked, a, first, end, out);
    analysis_free(a);
    free(repaired.text);
    free(copy);
    if (!found)
        signature_clear(out);
    return found;
}

void signature_clear(SignatureHelp *help)
{
    free(help->label);
    free(help->doc);
    *help = (SignatureHelp){.active = -1};
}
