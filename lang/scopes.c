/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scopes and names of a program (scopes.h). A scope's symbols are made when it is entered, before anything in it is looked
   at, since a name that is assigned anywhere in a function is its own throughout. */
#include "scopes.h"

#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "embedded.h"

typedef struct Walker { Names *names; int scope; } Walker;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

/* Where [name] stands first as a word in [from, end) of a source; empty: nowhere. */
static Span find_word(const Source *source, uint32_t from, uint32_t end, const char *name)
{
    uint32_t length = (uint32_t)strlen(name);
    for (uint32_t at = from; at + length <= end && at + length <= source->length; at++)
        if (!memcmp(source->text + at, name, length) && !is_word(source->text[at + length]) &&
            (at == 0 || !is_word(source->text[at - 1])))
            return (Span){at, at + length};
    return (Span){from, from};
}

/* The name behind a first word such as fn, model, param. */
static Span named_after(const Source *source, Span whole, const char *name)
{
    uint32_t at = whole.start;
    while (at < whole.end && is_word(source->text[at]))
        at++;
    return find_word(source, at, whole.end, name);
}

/* ---- making ---- */

static int add_symbol(Names *names, Symbol symbol)
{
    Symbol *wider = check_grow(names->c, names->symbol, names->n_symbols, &names->symbol_room, sizeof *wider);
    if (!wider)
        return -1;
    names->symbol = wider;
    symbol.next = -1;
    if (symbol.scope >= 0) {
        symbol.next = names->scope[symbol.scope].first;
        names->scope[symbol.scope].first = names->n_symbols;
    }
    names->symbol[names->n_symbols] = symbol;
    return names->n_symbols++;
}

static int add_scope(Names *names, Scoped scope)
{
    Scoped *wider = check_grow(names->c, names->scope, names->n_scopes, &names->scope_room, sizeof *wider);
    if (!wider)
        return -1;
    names->scope = wider;
    scope.first = -1;
    names->scope[names->n_scopes] = scope;
    return names->n_scopes++;
}

static Mentioned *add_mention(Names *names, Span span, const char *name, int symbol)
{
    const Source *source = names->unit->source;
    bool there = name && span.end > span.start && span.end <= source->length &&
                 span.end - span.start == strlen(name) &&
                 !memcmp(source->text + span.start, name, span.end - span.start);
    Mentioned *wider = there ? check_grow(names->c, names->mention, names->n_mentions, &names->mention_room, sizeof *wider)
                             : NULL;
    if (!wider)
        return NULL;
    names->mention = wider;
    names->mention[names->n_mentions] = (Mentioned){.span = span, .name = name, .symbol = symbol, .sure = true};
    return &names->mention[names->n_mentions++];
}

/* ---- looking up ---- */

static int *global_slot(const Names *names, const char *name)
{
    const Global *global = unit_known(names->unit, name);
    ptrdiff_t at = global ? global - names->unit->global : names->n_global;
    return at < names->n_global ? &names->global[2 * at] : NULL;
}

static int in_scope(const Names *names, int scope, const char *name)
{
    if (scope < 0)
        return -1;
    if (names->scope[scope].kind == SCOPE_MODULE) {
        const int *slot = global_slot(names, name);
        return slot ? (slot[0] ? slot[0] : slot[1]) - 1 : -1;
    }
    for (int i = names->scope[scope].first; i >= 0; i = names->symbol[i].next)
        if (names->symbol[i].name == name)
            return i;
    return -1;
}

static bool is_field(const Symbol *symbol)
{
    return symbol->kind == SYMBOL_FIELD || symbol->kind == SYMBOL_PARAM || symbol->kind == SYMBOL_BUFFER ||
           symbol->kind == SYMBOL_PARAMETER;
}

/* The way out of a scope: of a method to its model's fields alone, then to the module. */
int names_lookup(const Names *names, int scope, const char *name, bool callee)
{
    for (int at = scope; at >= 0; at = names->scope[at].up) {
        const Scoped *here = &names->scope[at];
        int found = in_scope(names, at, name);
        bool own = here->kind != SCOPE_MODEL || at == scope || found < 0 || names->symbol[found].kind != SYMBOL_METHOD;
        if (found >= 0 && own && !(here->kind == SCOPE_MODEL && names->symbol[found].kind == SYMBOL_METHOD)) {
            const int *slot = here->kind == SCOPE_MODULE ? global_slot(names, name) : NULL;
            return slot && callee && slot[1] && !slot[0] ? slot[1] - 1 : found;
        }
        if (here->fields >= 0) {
            int field = in_scope(names, here->fields, name);
            if (field >= 0 && is_field(&names->symbol[field]))
                return field;
        }
    }
    return -1;
}

static int find_foreign(const Names *names, const Unit *unit, const char *name, const void *within)
{
    for (int i = 0; i < names->n_foreign; i++) {
        const Symbol *symbol = &names->symbol[names->foreign[i]];
        if (symbol->unit == unit && (const void *)symbol->node == within && !strcmp(symbol->name, name))
            return names->foreign[i];
    }
    return -1;
}

static int add_foreign(Names *names, Symbol symbol)
{
    int *wider = check_grow(names->c, names->foreign, names->n_foreign, &names->foreign_room, sizeof *wider);
    if (!wider)
        return -1;
    names->foreign = wider;
    symbol.scope = symbol.owner = -1;
    int made = add_symbol(names, symbol);
    if (made >= 0)
        names->foreign[names->n_foreign++] = made;
    return made;
}

static int foreign_declared(Names *names, Unit *unit, Node *node)
{
    bool model = node->kind == NODE_MODEL;
    const char *name = model ? node->model.name : node->function->name;
    int known = find_foreign(names, unit, name, node);
    Symbol symbol = {.kind = model ? SYMBOL_MODEL : SYMBOL_FUNCTION, .name = name, .unit = unit, .whole = node->span,
                     .span = named_after(unit->source, node->span, name), .node = node,
                     .function = model ? NULL : node->function, .doc = model ? node->model.doc : node->function->doc};
    return known >= 0 ? known : add_foreign(names, symbol);
}

typedef struct Search { const char *name; Node *found; Node *inside; } Search;

static void search_target(Search *s, Node *target, Node *statement)
{
    if (target->kind == NODE_NAME && !s->found && !strcmp(target->name, s->name)) {
        s->found = target;
        s->inside = statement;
    } else if (target->kind == NODE_SPREAD) {
        search_target(s, target->unary.child, statement);
    } else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST) {
        for (int i = 0; i < target->list.count; i++)
            search_target(s, target->list.at[i], statement);
    }
}

/* The first statement that gives [name] a value, functions left out. */
static void search(Node *node, void *to)
{
    Search *s = to;
    const char *own = node->kind == NODE_CELL ? node->cell.name : node->kind == NODE_OPTION ? node->option.name
                    : node->kind == NODE_USE ? node->use.name : NULL;
    if (s->found)
        return;
    if (own && !strcmp(own, s->name))
        s->found = s->inside = node;
    else if (node->kind == NODE_ASSIGN)
        search_target(s, node->assign.target, node);
    else if (node->kind == NODE_FOR)
        search_target(s, node->loop.clause.target, node);
    if (node->kind != NODE_FN && node->kind != NODE_LAMBDA && node->kind != NODE_MODEL && node->kind != NODE_TEST)
        node_children(node, search, to);
}

static SymbolKind kind_of_statement(const Node *node, SymbolKind plain)
{
    if (node->kind == NODE_CELL)
        return node->cell.is_param ? SYMBOL_PARAM : SYMBOL_BUFFER;
    return node->kind == NODE_OPTION ? SYMBOL_OPTION : node->kind == NODE_USE ? SYMBOL_MODULE : plain;
}

static int foreign_variable(Names *names, Unit *unit, const NodeList *list, const char *name, SymbolKind plain, Node *model)
{
    Search s = {.name = name};
    int known = find_foreign(names, unit, name, model);
    if (known >= 0)
        return known;
    for (int i = 0; i < list->count && !s.found; i++)
        search(list->at[i], &s);
    if (!s.found)
        return -1;
    Span span = s.found->kind == NODE_NAME ? s.found->span : named_after(unit->source, s.found->span, name);
    return add_foreign(names, (Symbol){.kind = kind_of_statement(s.inside, plain), .name = name, .unit = unit, .span = span,
                                       .whole = s.inside->span, .node = model});
}

int names_global(Names *names, Unit *unit, const char *name)
{
    Global *global = unit_find(unit, name);
    if (!global)
        return -1;
    if (unit == names->unit)
        return in_scope(names, 0, global->name);
    return global->declared ? foreign_declared(names, unit, global->declared)
                            : foreign_variable(names, unit, &unit->parse->statements, global->name, SYMBOL_VARIABLE, NULL);
}

static int scope_of_model(const Names *names, const Node *model)
{
    const int *slot = global_slot(names, model->model.name);
    if (slot && slot[1] && names->symbol[slot[1] - 1].node == model)
        return names->symbol[slot[1] - 1].inside;
    for (int i = 0; i < names->n_scopes; i++)
        if (names->scope[i].kind == SCOPE_MODEL && names->scope[i].model == model)
            return i;
    return -1;
}

static int own_member(const Names *names, const Node *model, const char *name)
{
    int scope = scope_of_model(names, model);
    for (int i = scope < 0 ? -1 : names->scope[scope].first; i >= 0; i = names->symbol[i].next)
        if (!strcmp(names->symbol[i].name, name) && names->symbol[i].kind != SYMBOL_SIZE)
            return i;
    return -1;
}

int names_member(Names *names, Unit *unit, Node *model, const char *name)
{
    if (unit == names->unit)
        return own_member(names, model, name);
    const NodeList *body = &model->model.body;
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind == NODE_FN && !strcmp(body->at[i]->function->name, name)) {
            int found = foreign_declared(names, unit, body->at[i]);
            if (found >= 0)
                names->symbol[found].kind = SYMBOL_METHOD;
            return found;
        }
    for (int i = 0; i < model->model.n_parameters; i++)
        if (!strcmp(model->model.parameters[i].name, name)) {
            const Parameter *parameter = &model->model.parameters[i];
            int known = find_foreign(names, unit, name, model);
            Symbol symbol = {.kind = SYMBOL_PARAMETER, .name = parameter->name, .unit = unit, .whole = parameter->span,
                             .span = find_word(unit->source, parameter->span.start, parameter->span.end, name),
                             .node = model, .parameter = parameter};
            return known >= 0 ? known : add_foreign(names, symbol);
        }
    return foreign_variable(names, unit, body, name, SYMBOL_FIELD, model);
}

int names_standard(Names *names, const char *module, const char *name)
{
    int at;
    if (!embedded_find(module, name, &at))
        return -1;
    Unit *unit = unit_library(names->c, embedded_names[at].file);
    int found = unit ? names_global(names, unit, name) : -1;
    if (found >= 0)
        names->symbol[found].module = embedded_names[at].module;
    return found;
}

static int add_builtin(Names *names, const char *name, SymbolKind kind)
{
    int known = find_foreign(names, NULL, name, NULL);
    return known >= 0 ? known : add_foreign(names, (Symbol){.kind = kind, .name = name});
}

int names_weak(Names *names, const char *name)
{
    const Fact *fact;
    Global *global = unit_global(names->c, names->unit, name);
    int at;
    if (!global || !weak_find(names->c, names->unit, global, &fact))
        return -1;
    if (fact && fact->kind == FACT_STANDARD)
        return add_builtin(names, name, SYMBOL_MODULE);
    if (fact && (fact->kind == FACT_NATIVE || fact->kind == FACT_OP))
        return add_builtin(names, name, SYMBOL_BUILTIN);
    if (embedded_find("prelude", name, &at))
        return names_standard(names, "prelude", name);
    return add_builtin(names, name, SYMBOL_CONSTANT);
}

/* ---- declaring ---- */

static int declare(Walker *w, SymbolKind kind, const char *name, Span span, Node *statement)
{
    Names *names = w->names;
    int known = in_scope(names, w->scope, name);
    bool module = names->scope[w->scope].kind == SCOPE_MODULE;
    int *slot = module ? global_slot(names, name) : NULL;
    bool function = kind == SYMBOL_FUNCTION || kind == SYMBOL_MODEL;
    if (slot)
        known = (function ? slot[1] : slot[0]) - 1;
    if (known >= 0)
        return known;
    int made = add_symbol(names, (Symbol){.kind = kind, .name = name, .unit = names->unit, .span = span,
                                          .whole = statement->span, .scope = w->scope, .owner = -1, .node = statement});
    if (slot && made >= 0)
        slot[function] = made + 1;
    return made;
}

static Span with_default(const Parameter *parameter)
{
    const Node *fallback = parameter->fallback;
    return (Span){parameter->span.start, fallback ? fallback->span.end : parameter->span.end};
}

/* Parameters of a function that is declared: what a call by name means. */
static void declare_parameters(Walker *w, int owner, int count, const Parameter *parameters)
{
    Names *names = w->names;
    const Source *source = names->unit->source;
    if (owner >= 0) {
        names->symbol[owner].first = names->n_symbols;
        names->symbol[owner].count = count;
    }
    for (int i = 0; i < count; i++) {
        const Parameter *parameter = &parameters[i];
        add_symbol(names, (Symbol){.kind = SYMBOL_PARAMETER, .name = parameter->name, .unit = names->unit,
                                   .span = find_word(source, parameter->span.start, parameter->span.end, parameter->name),
                                   .whole = with_default(parameter), .scope = w->scope, .owner = owner, .parameter = parameter,
                                   .contract = parameter->contract, .noted = parameter});
    }
}

static int open_function(Walker *w, int owner, const Function *function, Span span)
{
    Names *names = w->names;
    const Scoped *up = &names->scope[w->scope];
    bool method = up->kind == SCOPE_MODEL;
    int scope = add_scope(names, (Scoped){.kind = SCOPE_FUNCTION, .span = span, .owner = owner,
                                          .up = method ? up->up : w->scope, .model = method ? up->model : NULL,
                                          .fields = method ? w->scope : -1});
    Walker inner = {names, scope};
    if (scope >= 0)
        declare_parameters(&inner, owner, function->n_parameters, function->parameters);
    if (scope >= 0 && method)
        add_symbol(names, (Symbol){.kind = SYMBOL_SELF, .name = arena_name(names->unit->parse->arena, "self", 4),
                                   .scope = scope, .owner = -1});
    return scope;
}

static void declare_function(Walker *w, Node *node)
{
    Names *names = w->names;
    bool method = names->scope[w->scope].kind == SCOPE_MODEL;
    const Function *function = node->function;
    int made = declare(w, method ? SYMBOL_METHOD : SYMBOL_FUNCTION, function->name,
                       named_after(names->unit->source, node->span, function->name), node);
    if (made < 0 || names->symbol[made].function)
        return;
    names->symbol[made].function = function;
    names->symbol[made].doc = function->doc;
    names->symbol[made].noted = function;
    if (method)
        names->symbol[made].owner = names->scope[w->scope].owner;
    open_function(w, made, function, node->span);
}

static void declare_target(Walker *w, Node *target, Node *statement, SymbolKind kind)
{
    if (target->kind == NODE_NAME) {
        int made = declare(w, kind, target->name, target->span, statement);
        Symbol *symbol = made >= 0 ? &w->names->symbol[made] : NULL;
        if (symbol && !symbol->noted)
            symbol->noted = target;
        if (symbol && statement->kind == NODE_ASSIGN && !symbol->contract)
            symbol->contract = statement->assign.contract;
        if (symbol && kind == SYMBOL_FIELD)
            symbol->owner = w->names->scope[w->scope].owner;
    } else if (target->kind == NODE_SPREAD) {
        declare_target(w, target->unary.child, statement, kind);
    } else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST) {
        for (int i = 0; i < target->list.count; i++)
            declare_target(w, target->list.at[i], statement, kind);
    }
}

static Span use_span(const Source *source, const Node *node)
{
    uint32_t length = (uint32_t)strlen(node->use.name), end = node->span.end;
    if (end > length && end - length > node->span.start && !memcmp(source->text + end - length, node->use.name, length))
        return (Span){end - length, end};
    return (Span){node->span.start, node->span.start};
}

static void declare_model(Walker *w, Node *node)
{
    Names *names = w->names;
    int made = declare(w, SYMBOL_MODEL, node->model.name, named_after(names->unit->source, node->span, node->model.name),
                       node);
    if (made < 0 || names->symbol[made].node != node)
        return;
    names->symbol[made].doc = node->model.doc;
    int scope = add_scope(names, (Scoped){.kind = SCOPE_MODEL, .span = node->span, .up = w->scope, .owner = made,
                                          .model = node, .fields = -1});
    Walker inner = {names, scope};
    names->symbol[made].inside = scope;
    if (scope >= 0)
        declare_parameters(&inner, made, node->model.n_parameters, node->model.parameters);
}

/* Everything that [node] declares in the scope itself, not in functions below. */
static void declare_all(Node *node, void *to)
{
    Walker *w = to;
    const Source *source = w->names->unit->source;
    SymbolKind plain = w->names->scope[w->scope].kind == SCOPE_MODEL ? SYMBOL_FIELD : SYMBOL_VARIABLE;
    int made = -1;
    switch (node->kind) {
    case NODE_ASSIGN:
        if (node->assign.op == OPERATOR_NONE || w->names->scope[w->scope].kind == SCOPE_MODULE)
            declare_target(w, node->assign.target, node, plain);
        break;
    case NODE_FOR: declare_target(w, node->loop.clause.target, node, plain); break;
    case NODE_FN: declare_function(w, node); return;
    case NODE_MODEL: declare_model(w, node); return;
    case NODE_CELL:
        made = declare(w, node->cell.is_param ? SYMBOL_PARAM : SYMBOL_BUFFER, node->cell.name,
                       named_after(source, node->span, node->cell.name), node);
        if (made >= 0) {
            w->names->symbol[made].noted = node;
            w->names->symbol[made].owner = w->names->scope[w->scope].owner;
        }
        break;
    case NODE_OPTION:
        made = declare(w, SYMBOL_OPTION, node->option.name, named_after(source, node->span, node->option.name), node);
        if (made >= 0) {
            w->names->symbol[made].noted = node;
            w->names->symbol[made].doc = node->option.help;
        }
        break;
    case NODE_USE: {
        Span span = use_span(source, node);
        made = declare(w, SYMBOL_MODULE, node->use.name, span, node);
        if (made >= 0)
            w->names->symbol[made].fixed = span.end == span.start || (!node->use.file && node->use.name == node->use.path);
        return;
    }
    case NODE_LAMBDA:
    case NODE_TEST: return;
    default: break;
    }
    node_children(node, declare_all, to);
}

/* ---- walking ---- */

static void walk(Node *node, void *to);

static void walk_some(Walker *w, Node *node)
{
    if (node)
        walk(node, w);
}

static bool is_variable(const Symbol *symbol)
{
    return symbol->kind == SYMBOL_VARIABLE || symbol->kind == SYMBOL_PARAMETER || symbol->kind == SYMBOL_FIELD ||
           symbol->kind == SYMBOL_OPTION;
}

/* What a call of the variable [name] calls instead, because its value cannot be called; -1: the variable. */
static int called_instead(Walker *w, const Node *node, int symbol)
{
    const Fact *of = check_noted(w->names->c, node);
    if (!is_variable(&w->names->symbol[symbol]) || !of)
        return -1;
    if (of->kind == FACT_NATIVE && !strcmp(of->native->name, node->name))
        return names_weak(w->names, node->name);
    if (of->kind == FACT_OP && !strcmp(op_name(of->op), node->name))
        return names_weak(w->names, node->name);
    if (of->kind != FACT_FUNCTION || !of->function.function->name || strcmp(of->function.function->name, node->name) != 0)
        return -1;
    const int *slot = global_slot(w->names, node->name);
    if (of->function.unit == w->names->unit)
        return slot ? slot[1] - 1 : -1;
    return of->function.unit->library ? names_weak(w->names, node->name) : -1;
}

static void mention_name(Walker *w, const Node *node, bool callee, bool writes)
{
    Names *names = w->names;
    int symbol = names_lookup(names, w->scope, node->name, callee);
    int instead = symbol >= 0 && callee ? called_instead(w, node, symbol) : -1;
    bool open = symbol >= 0 && callee && is_variable(&names->symbol[symbol]) && !check_noted(names->c, node) &&
                (names_weak(names, node->name) >= 0 ||
                 (global_slot(names, node->name) && global_slot(names, node->name)[1]));
    if (instead >= 0)
        symbol = instead;
    else if (symbol < 0)
        symbol = names_weak(names, node->name);
    Mentioned *mention = add_mention(names, node->span, node->name, symbol);
    if (!mention)
        return;
    mention->sure = !open;
    mention->writes = writes;
    mention->noted = node;
    mention->declares = symbol >= 0 && writes && names->symbol[symbol].span.start == node->span.start;
}

/* The model of an object that is only known by its parameter's contract or as self. */
static bool model_of(Walker *w, const Node *value, Unit **unit, Node **model)
{
    Names *names = w->names;
    const Fact *fact = check_noted(names->c, value);
    if (fact && fact->kind == FACT_OBJECT) {
        *unit = fact->object.unit;
        *model = fact->object.model;
        return true;
    }
    int symbol = fact || value->kind != NODE_NAME ? -1 : names_lookup(names, w->scope, value->name, false);
    if (symbol < 0)
        return false;
    for (int at = w->scope; names->symbol[symbol].kind == SYMBOL_SELF && at >= 0; at = names->scope[at].up)
        if (names->scope[at].model) {
            *unit = names->unit;
            *model = names->scope[at].model;
            return true;
        }
    const Node *contract = names->symbol[symbol].contract;
    if (!contract || contract->contract.kind != CONTRACT_WORD || !contract->contract.word)
        return false;
    const char *word = contract->contract.word, *dot = strchr(word, '.');
    char module[64] = "";
    if (dot && (size_t)(dot - word) < sizeof module)
        memcpy(module, word, (size_t)(dot - word));
    int found = dot ? names_standard(names, module, dot + 1) : names_lookup(names, w->scope, word, true);
    if (found < 0 || names->symbol[found].kind != SYMBOL_MODEL)
        return false;
    *unit = names->symbol[found].unit;
    *model = names->symbol[found].node;
    return true;
}

static bool has_member(const Walker *w, const char *name)
{
    for (const Unit *unit = w->names->c->units; unit; unit = unit->next)
        for (int i = 0; i < unit->parse->statements.count; i++) {
            const Node *node = unit->parse->statements.at[i];
            for (int k = 0; node->kind == NODE_MODEL && k < node->model.body.count; k++)
                if (node->model.body.at[k]->kind == NODE_FN && !strcmp(node->model.body.at[k]->function->name, name))
                    return true;
        }
    return false;
}

/* x.f(…) where f is a function that is declared. */
static int function_named(Walker *w, const char *name)
{
    Names *names = w->names;
    for (int at = w->scope; at >= 0; at = names->scope[at].up) {
        int found = names->scope[at].kind == SCOPE_MODULE ? -1 : in_scope(names, at, name);
        if (found >= 0)
            return names->symbol[found].kind == SYMBOL_FUNCTION ? found : -1;
    }
    const int *slot = global_slot(names, name);
    int found = slot && slot[1] ? slot[1] - 1 : names_weak(names, name);
    if (found < 0 || names->symbol[found].kind == SYMBOL_CONSTANT || names->symbol[found].kind == SYMBOL_MODULE)
        return -1;
    return found;
}

static void mention_member(Walker *w, const Node *node, bool callee, bool writes)
{
    Names *names = w->names;
    const Fact *of = check_noted(names->c, node->member.value);
    const char *name = node->member.name;
    Unit *unit;
    Node *model;
    int symbol = -1;
    bool sure = of != NULL;
    if (!name)
        return;
    if (model_of(w, node->member.value, &unit, &model)) {
        symbol = names_member(names, unit, model, name);
        sure = true;
    } else if (of && of->kind == FACT_FILE && of->file) {
        symbol = names_global(names, of->file, name);
    } else if (of && of->kind == FACT_STANDARD) {
        symbol = names_standard(names, of->standard, name);
    }
    if (symbol < 0 && callee) {
        symbol = function_named(w, name);
        sure = sure || !has_member(w, name);
        if (!of && symbol >= 0 && names->symbol[symbol].unit == names->unit)
            sure = false;     /* a library model may have such a method */
    }
    Mentioned *mention = add_mention(names, node->member.name_span, name, symbol);
    if (!mention)
        return;
    mention->loose = !of && !(sure && symbol >= 0);
    mention->sure = sure && symbol >= 0;
    mention->writes = writes;
    mention->noted = node;
}

static void walk_callee(Walker *w, Node *callee)
{
    if (callee->kind == NODE_NAME) {
        mention_name(w, callee, true, false);
    } else if (callee->kind == NODE_MEMBER) {
        walk(callee->member.value, w);
        mention_member(w, callee, true, false);
    } else {
        walk(callee, w);
    }
}

/* f(..{a: 1}) names an argument as a map's key. */
static void mention_spread(Walker *w, const Node *spread, int called)
{
    Names *names = w->names;
    const Node *child = spread->unary.child;
    const Fact *fact = check_noted(names->c, child);
    for (int i = 0; child->kind == NODE_MAP && i < child->list.count; i++) {
        const Node *entry = child->list.at[i], *key = entry->kind == NODE_ENTRY ? entry->binary.left : NULL;
        if (!key || key->kind != NODE_STRING)
            continue;
        const char *name = arena_name(names->unit->parse->arena, key->string.text, key->string.length);
        uint32_t quote = key->span.end - key->span.start > key->string.length ? 1 : 0;
        Span span = {key->span.start + quote, key->span.start + quote + key->string.length};
        Mentioned *mention = add_mention(names, span, name, -1);
        if (mention)
            mention->loose = true;
    }
    bool open = child->kind != NODE_MAP && child->kind != NODE_LIST && (!fact || fact->kind == FACT_MAP);
    if (called >= 0 && open)
        names->symbol[called].spread = spread->span.start + 1;
}

/* The names of arguments are those of the parameters of what is called. */
static void walk_arguments(Walker *w, const Node *call)
{
    Names *names = w->names;
    Node *callee = call->call.callee;
    Span at = callee->kind == NODE_MEMBER ? callee->member.name_span : callee->span;
    int last = names->n_mentions - 1;
    int called = last >= 0 && names->mention[last].span.start == at.start ? names->mention[last].symbol : -1;
    const Fact *fact = check_noted(names->c, callee);
    const Function *function = called >= 0 ? names->symbol[called].function : NULL;
    Node *model = called >= 0 && names->symbol[called].kind == SYMBOL_MODEL ? names->symbol[called].node : NULL;
    if (!function && !model && fact && fact->kind == FACT_FUNCTION)
        function = fact->function.function;
    if (!function && !model && fact && fact->kind == FACT_OBJECT)
        function = model_method(fact, "forward");
    for (int i = 0; i < call->call.count; i++) {
        const Argument *argument = &call->call.args[i];
        if (argument->name) {
            Span span = {argument->span.start, argument->span.start + (uint32_t)strlen(argument->name)};
            Mentioned *mention = add_mention(names, span, argument->name, -1);
            if (mention) {
                mention->loose = !function && !model && !(called >= 0 && names->symbol[called].kind == SYMBOL_BUILTIN);
                mention->sure = false;
                mention->called = function;
                mention->made = model;
            }
        }
        walk(argument->value, w);
        if (argument->value->kind == NODE_SPREAD)
            mention_spread(w, argument->value, called);
    }
}

static void walk_target(Walker *w, Node *target)
{
    switch (target->kind) {
    case NODE_NAME: mention_name(w, target, false, true); break;
    case NODE_SPREAD: walk_target(w, target->unary.child); break;
    case NODE_TUPLE:
    case NODE_LIST:
        for (int i = 0; i < target->list.count; i++)
            walk_target(w, target->list.at[i]);
        break;
    case NODE_MEMBER:
        walk(target->member.value, w);
        mention_member(w, target, false, true);
        break;
    default: walk(target, w);
    }
}

/* ---- contracts ---- */

static void mention_size(Walker *w, const Node *node, const char *name, Span span, bool forced)
{
    Names *names = w->names;
    int symbol = names_lookup(names, w->scope, name, false);
    bool own = symbol >= 0 && names->symbol[symbol].scope != 0;
    const Scoped *here = &names->scope[w->scope];
    if (!forced && !own)      /* a name that is new, here */
        symbol = add_symbol(names, (Symbol){.kind = SYMBOL_SIZE, .name = name, .unit = names->unit, .span = span,
                                            .whole = span, .scope = here->kind == SCOPE_MODULE ? -1 : w->scope,
                                            .owner = here->owner});
    if (symbol < 0)
        symbol = names_weak(names, name);
    Mentioned *mention = add_mention(names, span, name, symbol);
    if (mention && symbol >= 0)
        mention->declares = names->symbol[symbol].span.start == span.start && names->symbol[symbol].kind == SYMBOL_SIZE;
    if (mention)
        mention->noted = node;
}

static void walk_size(Walker *w, Node *node, bool forced)
{
    if (node->kind == NODE_NAME) {
        mention_size(w, node, node->name, node->span, forced);
    } else if (node->kind == NODE_BINARY) {
        walk_size(w, node->binary.left, forced);
        walk_size(w, node->binary.right, forced);
    } else if (node->kind == NODE_UNARY) {
        walk_size(w, node->unary.child, forced);
    }
}

static void walk_word(Walker *w, const Node *contract)
{
    Names *names = w->names;
    const char *word = contract->contract.word, *dot = strchr(word, '.');
    if (contract->contract.kind != CONTRACT_WORD || *word < 'A' || (*word > 'Z' && !dot))
        return;
    uint32_t start = contract->span.start, length = (uint32_t)(dot ? dot - word : (ptrdiff_t)strlen(word));
    const char *first = arena_name(names->unit->parse->arena, word, length);
    int symbol = first ? names_lookup(names, w->scope, first, false) : -1;
    if (symbol < 0 && first)
        symbol = names_weak(names, first);
    add_mention(names, (Span){start, start + length}, first, symbol);
    if (!dot)
        return;
    symbol = names_standard(names, first, dot + 1);
    Span span = find_word(names->unit->source, start + length, contract->span.end, dot + 1);
    Mentioned *mention = add_mention(names, span, dot + 1, symbol);
    if (mention)
        mention->sure = symbol >= 0;
}

static void walk_contract(Walker *w, Node *contract)
{
    if (contract->kind != NODE_CONTRACT)
        return;
    if (contract->contract.word)
        walk_word(w, contract);
    for (int i = 0; i < contract->contract.n_axes; i++) {
        const Axis *axis = &contract->contract.axes[i];
        if (axis->kind == AXIS_PACK && axis->name)
            mention_size(w, contract, axis->name,
                         find_word(w->names->unit->source, axis->span.start, axis->span.end, axis->name), false);
        else if (axis->size)
            walk_size(w, axis->size, axis->forced);
    }
    for (int i = 0; i < contract->contract.items.count; i++)
        walk_contract(w, contract->contract.items.at[i]);
}

/* ---- functions, models, blocks ---- */

static int scope_of_function(const Names *names, Span span)
{
    for (int i = names->n_scopes - 1; i >= 0; i--)
        if (names->scope[i].kind == SCOPE_FUNCTION && names->scope[i].span.start == span.start &&
            names->scope[i].span.end == span.end)
            return i;
    return -1;
}

static void mention_declared(Walker *w, int symbol)
{
    const Symbol *made = symbol >= 0 ? &w->names->symbol[symbol] : NULL;
    Mentioned *mention = made ? add_mention(w->names, made->span, made->name, symbol) : NULL;
    if (!mention)
        return;
    mention->declares = mention->writes = true;
    mention->noted = w->names->symbol[symbol].noted;
}

static void walk_parameters(Walker *w, int count, const Parameter *parameters)
{
    for (int i = 0; i < count; i++) {
        int symbol = parameters[i].name ? in_scope(w->names, w->scope, parameters[i].name) : -1;
        mention_declared(w, symbol);
        if (parameters[i].contract)
            walk_contract(w, parameters[i].contract);
    }
    for (int i = 0; i < count; i++)
        walk_some(w, parameters[i].fallback);
}

static void walk_function(Walker *w, const Function *function, Span span)
{
    int scope = scope_of_function(w->names, span);
    if (scope < 0)
        scope = open_function(w, -1, function, span);
    if (scope < 0)
        return;
    Walker inner = {w->names, scope};
    declare_all(function->body, &inner);
    walk_parameters(&inner, function->n_parameters, function->parameters);
    if (function->result)
        walk_contract(&inner, function->result);
    walk(function->body, &inner);
}

static void walk_declared_function(Walker *w, Node *node)
{
    Names *names = w->names;
    const char *name = node->function->name;
    const int *slot = names->scope[w->scope].kind == SCOPE_MODULE ? global_slot(names, name) : NULL;
    int symbol = slot ? slot[1] - 1 : in_scope(names, w->scope, name);
    if (symbol >= 0) {        /* declared twice: each place is a declaration */
        Span span = named_after(names->unit->source, node->span, name);
        Mentioned *mention = add_mention(names, span, name, symbol);
        if (mention) {
            mention->declares = mention->writes = true;
            mention->noted = node->function;
        }
    }
    walk_function(w, node->function, node->span);
}

static void walk_model(Walker *w, Node *node)
{
    Names *names = w->names;
    int scope = scope_of_model(names, node);
    const int *slot = global_slot(names, node->model.name);
    if (slot && slot[1] && scope >= 0)
        mention_declared(w, slot[1] - 1);
    if (scope < 0)
        return;
    Walker inner = {names, scope};
    walk_parameters(&inner, node->model.n_parameters, node->model.parameters);
    for (int i = 0; i < node->model.body.count; i++)
        walk(node->model.body.at[i], &inner);
}

static int open_block(Walker *w, Span span)
{
    return add_scope(w->names, (Scoped){.kind = SCOPE_BLOCK, .span = span, .up = w->scope, .owner = -1, .fields = -1});
}

static void walk_comprehension(Walker *w, Node *node)
{
    Walker inner = {w->names, open_block(w, node->span)};
    if (inner.scope < 0)
        return;
    for (int i = 0; i < node->comprehension.count; i++) {
        const ForClause *clause = &node->comprehension.clauses[i];
        walk(clause->iterable, &inner);
        declare_target(&inner, clause->target, node, SYMBOL_VARIABLE);
        walk_target(&inner, clause->target);
        walk_some(&inner, clause->condition);
    }
    walk_some(&inner, node->comprehension.key);
    walk(node->comprehension.element, &inner);
}

static void walk_try(Walker *w, Node *node)
{
    walk(node->attempt.body, w);
    if (node->attempt.handler && node->attempt.name) {
        const char *name = node->attempt.name;
        Span between = {node->attempt.body->span.end, node->attempt.handler->span.start};
        uint32_t at = find_word(w->names->unit->source, between.start, between.end, "catch").end;
        Span span = find_word(w->names->unit->source, at, between.end, name);
        Walker inner = {w->names, open_block(w, (Span){span.start, node->attempt.handler->span.end})};
        if (inner.scope < 0)
            return;
        mention_declared(&inner, declare(&inner, SYMBOL_VARIABLE, name, span, node->attempt.handler));
        walk(node->attempt.handler, &inner);
    } else {
        walk_some(w, node->attempt.handler);
    }
    walk_some(w, node->attempt.finally);
}

static void walk_use(Walker *w, Node *node)
{
    Names *names = w->names;
    const Source *source = names->unit->source;
    int symbol = names_lookup(names, w->scope, node->use.name, false);
    Span span = use_span(source, node);
    if (symbol >= 0 && span.end > span.start) {
        Mentioned *mention = add_mention(names, span, node->use.name, symbol);
        if (mention)
            mention->declares = mention->writes = true;
    }
    if (!node->use.file || !node->use.path)
        return;
    const char *open = memchr(source->text + node->span.start, '"', node->span.end - node->span.start);
    uint32_t at = open ? (uint32_t)(open - source->text) + 1 : node->span.end;
    Unit *used = NULL;
    const char *path = module_path_beside(names->c->vm, names->unit->path, node->use.path);
    error_clear(&names->c->vm->tensors.error);
    for (Unit *unit = names->c->units; unit && path; unit = unit->next)
        if (!unit->library && !strcmp(unit->path, path))
            used = unit;
    if (!used)
        return;
    int known = find_foreign(names, used, node->use.path, NULL);
    int file = known >= 0 ? known : add_foreign(names, (Symbol){.kind = SYMBOL_FILE, .name = node->use.path, .unit = used,
                                                                .fixed = true});
    add_mention(names, (Span){at, at + (uint32_t)strlen(node->use.path)}, node->use.path, file);
}

static void walk_test(Walker *w, Node *node)
{
    Names *names = w->names;
    add_symbol(names, (Symbol){.kind = SYMBOL_TEST, .name = node->test.title, .unit = names->unit,
                               .span = {node->span.start, node->span.start + 4}, .whole = node->span, .scope = -1,
                               .owner = -1, .node = node});
    Walker inner = {names, add_scope(names, (Scoped){.kind = SCOPE_FUNCTION, .span = node->span, .up = w->scope, .owner = -1,
                                                     .fields = -1})};
    if (inner.scope < 0)
        return;
    declare_all(node->test.body, &inner);
    walk(node->test.body, &inner);
}

static void walk(Node *node, void *to)
{
    Walker *w = to;
    switch (node->kind) {
    case NODE_NAME: mention_name(w, node, false, false); break;
    case NODE_MEMBER:
        walk(node->member.value, w);
        mention_member(w, node, false, false);
        break;
    case NODE_CALL:
        walk_callee(w, node->call.callee);
        walk_arguments(w, node);
        break;
    case NODE_PIPE:
        walk(node->binary.left, w);
        if (node->binary.right->kind == NODE_CALL)
            walk(node->binary.right, w);
        else
            walk_callee(w, node->binary.right);
        break;
    case NODE_ASSIGN:
        if (node->assign.contract)
            walk_contract(w, node->assign.contract);
        walk(node->assign.value, w);
        walk_target(w, node->assign.target);
        break;
    case NODE_FOR:
        walk(node->loop.clause.iterable, w);
        walk_target(w, node->loop.clause.target);
        walk_some(w, node->loop.clause.condition);
        walk(node->loop.body, w);
        break;
    case NODE_COMPREHENSION: walk_comprehension(w, node); break;
    case NODE_TRY: walk_try(w, node); break;
    case NODE_FN: walk_declared_function(w, node); break;
    case NODE_LAMBDA: walk_function(w, node->function, node->span); break;
    case NODE_MODEL: walk_model(w, node); break;
    case NODE_CELL:
        mention_declared(w, in_scope(w->names, w->scope, node->cell.name));
        walk(node->cell.value, w);
        break;
    case NODE_OPTION: {
        int symbol = in_scope(w->names, w->scope, node->option.name);
        mention_declared(w, symbol);
        walk(node->option.value, w);
        break;
    }
    case NODE_USE: walk_use(w, node); break;
    case NODE_TEST: walk_test(w, node); break;
    case NODE_CONTRACT: walk_contract(w, node); break;
    default: tree_children(node, walk, w);
    }
}

/* ---- the whole ---- */

static int parameter_named(Names *names, const Function *function, Node *model, const char *name)
{
    for (int i = 0; i < names->n_symbols; i++) {
        const Symbol *symbol = &names->symbol[i];
        bool callable = function ? symbol->function == function : symbol->node == model && symbol->kind == SYMBOL_MODEL;
        if (!callable)
            continue;
        for (int k = 0; k < symbol->count; k++)
            if (names->symbol[symbol->first + k].name == name)
                return symbol->first + k;
        int count = function ? function->n_parameters : model->model.n_parameters;
        const Parameter *all = function ? function->parameters : model->model.parameters;
        for (int k = 0; k < count && symbol->unit != names->unit; k++)
            if (!strcmp(all[k].name, name)) {
                int known = find_foreign(names, symbol->unit, name, symbol->node);
                Symbol made = {.kind = SYMBOL_PARAMETER, .name = all[k].name, .unit = symbol->unit, .whole = all[k].span,
                               .span = find_word(symbol->unit->source, all[k].span.start, all[k].span.end, name),
                               .node = symbol->node, .parameter = &all[k]};
                return known >= 0 ? known : add_foreign(names, made);
            }
        return -1;
    }
    return -1;
}

static void name_arguments(Names *names)
{
    for (int i = 0; i < names->n_mentions; i++) {
        Mentioned *mention = &names->mention[i];
        if (!mention->called && !mention->made)
            continue;
        int symbol = parameter_named(names, mention->called, mention->made, mention->name);
        mention->symbol = symbol;
        mention->sure = symbol >= 0;
        if (symbol >= 0)
            mention->noted = names->symbol[symbol].noted;
    }
}

static int by_place(const void *a, const void *b)
{
    const Mentioned *x = a, *y = b;
    if (x->span.start != y->span.start)
        return x->span.start < y->span.start ? -1 : 1;
    return (int)y->declares - (int)x->declares;
}

/* Nodes that are looked at twice, as x in x += 1, mention once. */
static void drop_doubles(Names *names)
{
    int kept = 0;
    if (names->n_mentions)
        qsort(names->mention, (size_t)names->n_mentions, sizeof *names->mention, by_place);
    for (int i = 0; i < names->n_mentions; i++)
        if (!kept || names->mention[kept - 1].span.start != names->mention[i].span.start)
            names->mention[kept++] = names->mention[i];
    names->n_mentions = kept;
}

bool names_find(Names *names, Checker *c, Unit *unit)
{
    *names = (Names){.c = c, .unit = unit, .n_global = unit->n_globals};
    names->global = check_alloc(c, (size_t)(2 * unit->n_globals + 2) * sizeof *names->global);
    if (c->no_memory)
        return false;
    int scope = add_scope(names, (Scoped){.kind = SCOPE_MODULE, .span = {0, unit->source->length}, .up = -1, .owner = -1,
                                          .fields = -1});
    Walker w = {names, scope};
    const NodeList *list = &unit->parse->statements;
    for (int i = 0; i < list->count && !c->no_memory; i++)
        declare_all(list->at[i], &w);
    for (int i = 0; i < names->n_scopes && !c->no_memory; i++) {      /* models: fields and methods before any use */
        Walker inner = {names, i};
        Node *model = names->scope[i].kind == SCOPE_MODEL ? names->scope[i].model : NULL;
        for (int k = 0; model && k < model->model.body.count; k++)
            declare_all(model->model.body.at[k], &inner);
    }
    for (int i = 0; i < list->count && !c->no_memory; i++) {
        Span span = list->at[i]->span;
        if (c->focus >= ANALYSE_NAMES || (c->focus >= span.start && c->focus <= span.end))
            walk(list->at[i], &w);
    }
    name_arguments(names);
    drop_doubles(names);
    return !c->no_memory;
}

int names_scope(const Names *names, size_t offset)
{
    int best = 0;
    for (int i = 1; i < names->n_scopes; i++) {
        Span span = names->scope[i].span;
        bool inside = offset > span.start && offset <= span.end;
        Span known = names->scope[best].span;
        if (inside && span.end - span.start <= known.end - known.start)
            best = i;
    }
    return best;
}

void names_members(Names *names, const Fact *of, MemberVisit *visit, void *to)
{
    if (of->kind == FACT_OBJECT) {
        Node *model = of->object.model;
        for (int i = 0; i < of->object.count; i++) {
            int symbol = names_member(names, of->object.unit, model, of->object.field[i].name);
            if (symbol >= 0)
                visit(to, symbol);
        }
        for (int i = 0; i < model->model.body.count; i++) {
            const Node *node = model->model.body.at[i];
            int symbol = node->kind == NODE_FN ? names_member(names, of->object.unit, model, node->function->name) : -1;
            if (symbol >= 0)
                visit(to, symbol);
        }
    } else if (of->kind == FACT_FILE && of->file) {
        for (int i = 0; i < of->file->n_surveyed; i++) {
            const char *name = of->file->global[i].name;
            int symbol = name[0] == '_' ? -1 : names_global(names, of->file, name);
            if (symbol >= 0)
                visit(to, symbol);
        }
    }
}
