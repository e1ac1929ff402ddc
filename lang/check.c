/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The static checker from outside: sources and their names, what the parser and the compiler complain about, findings
   and their order. Invariant: the session is only read; names, modules and errors are those of a machine of the
   checker's own, in which nothing ever runs but dry. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "embedded.h"

enum { FINDINGS_MOST = 500 };

/* ---- memory ---- */

void *check_alloc(Checker *c, size_t size)
{
    void *at = arena_alloc(c->arena, size);
    if (at)
        return at;
    c->no_memory = true;
    c->budget = 0;
    return size <= sizeof c->spare ? memset(c->spare, 0, size) : NULL;
}

void *check_grow(Checker *c, void *array, int count, int *room, size_t size)
{
    if (count < *room)
        return array;
    int wider = *room ? *room * 2 : 8;
    void *moved = arena_alloc(c->arena, (size_t)wider * size);
    if (!moved) {
        c->no_memory = true;
        return NULL;
    }
    if (count)
        memcpy(moved, array, (size_t)count * size);
    *room = wider;
    return moved;
}

/* ---- findings ---- */

static Finding *add_finding(Checker *c, Unit *unit, Span span)
{
    if (c->n_findings >= FINDINGS_MOST || unit->library)
        return NULL;
    Finding *wider = check_grow(c, c->finding, c->n_findings, &c->finding_room, sizeof *wider);
    if (!wider)
        return NULL;
    c->finding = wider;
    Finding *finding = &c->finding[c->n_findings];
    *finding = (Finding){.unit = unit, .span = span, .order = c->n_findings++};
    return finding;
}

void check_warn(Checker *c, Unit *unit, Span span, const char *kind, const char *hint, const char *format, ...)
{
    Finding *finding = add_finding(c, unit, span);
    if (!finding)
        return;
    finding->warning = kind;
    va_list list;
    va_start(list, format);
    vsnprintf(finding->error.message, sizeof finding->error.message, format, list);
    va_end(list);
    if (hint)
        snprintf(finding->error.hint, sizeof finding->error.hint, "%s", hint);
}

static bool is_certain(const Error *error)
{
    return error->kind != ERROR_NONE && error->kind != ERROR_internal && error->kind != ERROR_memory &&
           error->kind != ERROR_interrupt;
}

/* In a followed call: whether it may end well all the same. */
static bool is_unsure(const Env *e)
{
    return e->unsure || e->trying || e->returned;
}

static const char *function_of(const Env *e)
{
    return e->function ? e->function->name : e->model ? e->model->model.name : NULL;
}

const Fact *check_fail(Checker *c, Env *e, Span span, const char (*names)[32])
{
    Error *error = &c->vm->tensors.error;
    Finding *finding = NULL;
    if (!is_certain(error)) {
        error_clear(error);
        return NULL;
    }
    if (e->inlined && !is_unsure(e) && !c->quiet) {
        finding = &c->failure;
        e->failed = true;
        *finding = (Finding){.inner = e->unit, .inner_span = span,
                             .inner_function = function_of(e)};
    } else if (!e->inlined && !c->quiet && !e->trying) {
        finding = add_finding(c, e->unit, span);
    }
    if (finding) {
        finding->error = *error;
        if (names)
            memcpy(finding->name, names, sizeof finding->name);
    }
    error_clear(error);
    return NULL;
}

const Fact *check_fail_inner(Checker *c, Env *e, Span span)
{
    if (e->inlined && !is_unsure(e) && !c->quiet) {
        e->failed = true;
        if (c->failure.inner && c->failure.inner->library && !e->unit->library) {
            c->failure.inner = e->unit;
            c->failure.inner_span = span;
            c->failure.inner_function = function_of(e);
        }
    } else if (!e->inlined && !c->quiet && !e->trying) {
        Finding *finding = add_finding(c, e->unit, span);
        if (finding) {
            int order = finding->order;
            *finding = c->failure;
            finding->unit = e->unit;
            finding->span = span;
            finding->order = order;
            if (finding->inner && finding->inner->library)
                finding->inner = NULL;
        }
    }
    return NULL;
}

/* ---- names of a source ---- */

static size_t slot_of(const Unit *unit, const char *name)
{
    size_t mask = (size_t)unit->n_index - 1, i = ((uintptr_t)name >> 3) * 0x9e3779b97f4a7c15u >> 32 & mask;
    while (unit->index[i] && unit->global[unit->index[i] - 1].name != name)
        i = (i + 1) & mask;
    return i;
}

static bool widen_index(Checker *c, Unit *unit)
{
    if (unit->n_globals * 2 < unit->n_index)
        return true;
    int wider = unit->n_index ? unit->n_index * 2 : 128;
    int *index = arena_alloc(c->arena, (size_t)wider * sizeof *index);
    if (!index)
        return !(c->no_memory = true);
    unit->index = index;
    unit->n_index = wider;
    for (int i = 0; i < unit->n_globals; i++)
        unit->index[slot_of(unit, unit->global[i].name)] = i + 1;
    return true;
}

Global *unit_global(Checker *c, Unit *unit, const char *name)
{
    if (!widen_index(c, unit))
        return NULL;
    size_t slot = slot_of(unit, name);
    if (unit->index[slot])
        return &unit->global[unit->index[slot] - 1];
    Global *wider = check_grow(c, unit->global, unit->n_globals, &unit->room, sizeof *wider);
    if (!wider)
        return NULL;
    unit->global = wider;
    unit->global[unit->n_globals] = (Global){.name = name};
    unit->index[slot] = ++unit->n_globals;
    return &unit->global[unit->n_globals - 1];
}

const Global *unit_known(const Unit *unit, const char *name)
{
    size_t slot = unit->n_index ? slot_of(unit, name) : 0;
    return unit->n_index && unit->index[slot] ? &unit->global[unit->index[slot] - 1] : NULL;
}

Global *unit_find(Unit *unit, const char *name)
{
    for (int i = 0; i < unit->n_globals; i++)
        if (!strcmp(unit->global[i].name, name))
            return &unit->global[i];
    return NULL;
}

bool check_is_stored(const Checker *c, const Unit *own, const char *name)
{
    for (const Unit *unit = c->units; unit; unit = unit->next)
        for (int i = 0; i < unit->n_stored && (unit == own || !unit->library); i++)
            if (!strcmp(unit->stored[i], name))
                return true;
    return false;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

bool unit_lost(const Unit *unit, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < unit->parse->n_lost; i++) {
        const char *at = unit->source->text + unit->parse->lost[i].start;
        const char *end = unit->source->text + unit->parse->lost[i].end;
        for (; at + length <= end; at++)
            if (!memcmp(at, name, length) && !is_word(at[length]) && (at == unit->source->text || !is_word(at[-1])))
                return true;
    }
    return false;
}

/* ---- sources ---- */

/* Whether a file on disk is the source of a file of the library. */
static bool is_library_path(const char *path)
{
    size_t length = strlen(path);
    for (int i = 0; i < embedded_file_count; i++) {
        size_t n = strlen(embedded_files[i].path);
        bool ends = n <= length && !strcmp(path + length - n, embedded_files[i].path);
        if (ends && (n == length || path[length - n - 1] == '/'))
            return true;
    }
    return false;
}

static Unit *unit_new(Checker *c, const char *path, const char *text, size_t length, bool library)
{
    Unit *unit = check_alloc(c, sizeof *unit);
    unit->path = path;
    unit->library = library;
    unit->source = source_new(path, text, length, library);
    unit->parse = unit->source ? parse_source(unit->source, false) : NULL;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
    unit->module = unit->parse ? module_new(c->vm, name) : NULL;
    if (!unit->module || c->no_memory) {
        if (unit->parse)
            parse_free(unit->parse);
        source_release(unit->source);
        c->no_memory = true;
        return NULL;
    }
    unit->module->library = library;
    unit->internal = library || is_library_path(path);
    unit->next = c->units;
    c->units = unit;
    unit->proto = check_alloc(c, (size_t)(unit->parse->statements.count + 1) * sizeof *unit->proto);
    if (!unit->proto)
        return NULL;
    unit_survey(c, unit);
    return unit;
}

static void unit_free(Unit *unit)
{
    for (int i = 0; unit->proto && i < unit->parse->statements.count; i++)
        if (unit->proto[i])
            proto_release(unit->proto[i]);
    parse_free(unit->parse);
    source_release(unit->source);
}

static Unit *find_unit(Checker *c, const char *path, bool library)
{
    for (Unit *unit = c->units; unit; unit = unit->next)
        if (unit->library == library && !strcmp(unit->path, path))
            return unit;
    return NULL;
}

Unit *unit_library(Checker *c, int file)
{
    const EmbeddedFile *embedded = &embedded_files[file];
    Unit *known = find_unit(c, embedded->path, true);
    if (known || c->no_memory)
        return known;
    const char *folder = c->session->config.library;
    if (!folder)
        return unit_new(c, embedded->path, (const char *)embedded->text, embedded->length, true);
    char disk[4096];
    size_t length;
    snprintf(disk, sizeof disk, "%s/%s", folder, embedded->path);
    char *text = module_read(c->vm, disk, &length);
    error_clear(&c->vm->tensors.error);
    Unit *unit = text ? unit_new(c, embedded->path, text, length, true) : NULL;
    free(text);
    return unit;
}

static void say_broken(Checker *c, Unit *user, Span span, const Unit *used)
{
    Finding *finding = add_finding(c, user, span);
    if (!finding)
        return;
    uint32_t line, column;
    source_locate(used->source, used->parse->errors->span.start, &line, &column);
    finding->error.kind = ERROR_syntax;
    snprintf(finding->error.message, sizeof finding->error.message, "%s:%u:%u: %s", used->path, line, column,
             used->parse->errors->message);
    snprintf(finding->error.hint, sizeof finding->error.hint, "tessera check %.200s shows all its errors", used->path);
}

Unit *unit_used(Checker *c, Unit *user, const Node *use, Span span, bool say)
{
    const char *path = module_path_beside(c->vm, user->path, use->use.path);
    Unit *unit = path ? find_unit(c, path, false) : NULL;
    size_t length;
    const SessionConfig *config = &c->session->config;
    char *text = path && !unit && config->opened ? config->opened(config->user, path, &length) : NULL;
    if (!text && path && !unit)
        text = module_read(c->vm, path, &length);
    if (text)
        unit = unit_new(c, path, text, length, false);
    free(text);
    if (unit && unit->parse->errors && say)
        say_broken(c, user, span, unit);
    return unit;
}

bool embedded_find(const char *module, const char *name, int *at)
{
    int low = 0, high = embedded_name_count;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(embedded_names[middle].module, module);
        order = order ? order : strcmp(embedded_names[middle].name, name);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < embedded_name_count && !strcmp(embedded_names[low].module, module) &&
           !strcmp(embedded_names[low].name, name);
}

static const Fact *constant_fact(Checker *c, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_INT: return fact_number(c, v.i);
    case TAG_FLOAT: return fact_float(c, true, v.f);
    case TAG_BOOL: return fact_bool(c, true, v.b);
    default: return NULL;
    }
}

static bool find_builtin(Checker *c, const char *name, bool library, const Fact **fact)
{
    Fact *made = check_alloc(c, sizeof *made);
    *fact = made;
    for (int i = 0; i < native_count; i++)
        if (name[0] == native_defs[i].name[0] && !strcmp(native_defs[i].name, name) && (name[0] != '_' || library)) {
            *made = (Fact){.kind = FACT_NATIVE, .native = &native_defs[i]};
            return true;
        }
    const OpDef *op = op_find(name);
    if (op) {
        *made = (Fact){.kind = FACT_OP, .op = op};
        return true;
    }
    for (int i = 0; i < constant_count; i++)
        if (!strcmp(constant_defs[i].name, name)) {
            *fact = constant_fact(c, constant_defs[i].value);
            return true;
        }
    return false;
}

bool weak_find(Checker *c, Unit *unit, Global *global, const Fact **fact)
{
    int at;
    if (!global->weak_tried) {
        global->weak_tried = true;
        global->weak_found = find_builtin(c, global->name, unit->internal, &global->weak);
        if (!global->weak_found && embedded_find("prelude", global->name, &at)) {
            Unit *prelude = unit_library(c, embedded_names[at].file);
            Global *found = prelude ? unit_find(prelude, global->name) : NULL;
            global->weak_found = true;
            global->weak = found ? found->function : NULL;
        } else if (!global->weak_found && module_is_standard(global->name)) {
            Fact *made = check_alloc(c, sizeof *made);
            *made = (Fact){.kind = FACT_STANDARD, .standard = global->name};
            global->weak_found = true;
            global->weak = made;
        } else if (!global->weak_found) {
            global->weak = NULL;
        }
    }
    *fact = global->weak;
    return global->weak_found;
}

/* ---- compiling ---- */

static void syntax_findings(Checker *c, Unit *unit, const SyntaxError *errors)
{
    for (const SyntaxError *error = errors; error; error = error->next) {
        Finding *finding = add_finding(c, unit, error->span);
        if (!finding)
            return;
        finding->error.kind = ERROR_syntax;
        snprintf(finding->error.message, sizeof finding->error.message, "%s", error->message);
        snprintf(finding->error.hint, sizeof finding->error.hint, "%s", error->hint);
    }
}

static void compile_statement(Checker *c, Unit *unit, int i)
{
    Node *node = unit->parse->statements.at[i];
    Parse one = {.arena = unit->parse->arena, .source = unit->source, .statements = {1, &node}};
    bool muted;
    unit->proto[i] = node->kind == NODE_TEST ? compile_test(c->vm, unit->module, &one, node)
                                             : compile_module(c->vm, unit->module, &one, &muted);
    if (!unit->proto[i] && !one.errors)
        c->no_memory = true;
    if (unit->compiled)
        syntax_findings(c, unit, one.errors);
}

static Proto *find_proto(Proto *proto, Span header)
{
    if (proto->span.start == header.start && proto->span.end == header.end)
        return proto;
    for (int i = 0; i < proto->n_protos; i++) {
        Proto *found = find_proto(proto->protos[i], header);
        if (found)
            return found;
    }
    for (int i = 0; i < proto->n_methods; i++) {
        Proto *found = find_proto(proto->methods[i], header);
        if (found)
            return found;
    }
    return NULL;
}

Proto *unit_proto(Checker *c, Unit *unit, Node *statement, Span header)
{
    int at = 0, count = unit->parse->statements.count;
    while (at < count && unit->parse->statements.at[at] != statement)
        at++;
    if (at == count)
        return NULL;
    if (!unit->proto[at] && !unit->compiled)
        compile_statement(c, unit, at);
    return unit->proto[at] ? find_proto(unit->proto[at], header) : NULL;
}

/* What the parser and the compiler have against the unit. */
static void compiler_findings(Checker *c, Unit *unit)
{
    syntax_findings(c, unit, unit->parse->errors);
    unit->compiled = true;
    for (int i = 0; i < unit->parse->statements.count; i++)
        compile_statement(c, unit, i);
}

/* ---- reporting ---- */

static int by_place(const void *a, const void *b)
{
    const Finding *x = a, *y = b;
    if (x->span.start != y->span.start)
        return x->span.start < y->span.start ? -1 : 1;
    return x->order - y->order;
}

static bool same_span(Span a, Span b)
{
    return a.start == b.start && a.end == b.end;
}

/* Whether another finding says it already: at the same place, or at the place inside the function. */
static bool is_repeated(const Checker *c, int at)
{
    const Finding *finding = &c->finding[at];
    for (int i = 0; i < c->n_findings; i++) {
        const Finding *other = &c->finding[i];
        if (i == at || other->unit != finding->unit)
            continue;
        bool syntax = !other->warning && other->error.kind == ERROR_syntax;
        bool within = other->span.start >= finding->span.start && other->span.start < finding->span.end;
        bool again = finding->warning || finding->error.kind != ERROR_syntax ||
                     (i < at && other->span.start == finding->span.start);
        if (syntax && within && again)
            return true;      /* what does not parse or compile may have meant something else */
        if (finding->inner == finding->unit && !other->inner && same_span(other->span, finding->inner_span))
            return true;
        if (i < at && other->span.start == finding->span.start && !other->warning && !finding->warning &&
            (same_span(other->span, finding->span) || !strcmp(other->error.message, finding->error.message)))
            return true;
    }
    return false;
}

static CheckPlace place_of(const Unit *unit, Span span)
{
    uint32_t line, column;
    source_locate(unit->source, span.start, &line, &column);
    return (CheckPlace){.path = unit->path, .start = span.start, .end = span.end, .line = (int)line,
                        .column = (int)column};
}

static char *render(Checker *c, const Finding *finding)
{
    const Error *error = &finding->error;
    Trace *trace = NULL;
    bool fine = !finding->inner || trace_add(&trace, finding->inner->source, finding->inner_span,
                                             finding->inner_function);
    fine = fine && trace_add(&trace, finding->unit->source, finding->span, NULL);
    Diagnostic diagnostic = {
        .title = finding->warning ? "warning" : error_kind_title(error->kind), .op = error->op,
        .message = error->message, .hint = error->hint, .n_operands = error->n_operands, .operand = error->operand,
        .operand_name = finding->name, .trace = trace,
    };
    DiagnoseOptions options = {.color = c->session->config.color};
    char *text = fine ? diagnose(&diagnostic, &options) : NULL;
    trace_free(trace);
    return text;
}

static void report_one(Checker *c, const Finding *finding, CheckReport *report, void *user)
{
    const Error *error = &finding->error;
    char message[sizeof error->op + sizeof error->message + 4];
    snprintf(message, sizeof message, "%s%s%s", error->op, *error->op ? ": " : "", error->message);
    CheckPlace related = finding->inner ? place_of(finding->inner, finding->inner_span) : (CheckPlace){0};
    CheckFinding out = {
        .severity = finding->warning ? CHECK_WARNING : CHECK_ERROR,
        .kind = finding->warning ? finding->warning : error_kind_name(error->kind), .message = message,
        .hint = error->hint, .place = place_of(finding->unit, finding->span),
        .related = finding->inner ? &related : NULL,
    };
    char *text = render(c, finding);
    out.text = text ? text : "";
    c->no_memory = c->no_memory || !text;
    report(user, &out);
    free(text);
}

bool check_open(Checker *c, Session *session, Unit **unit, const char *path, const char *text, size_t length)
{
    *c = (Checker){.session = session, .budget = CHECK_BUDGET, .vm = vm_new(session), .arena = arena_new(), .focus = SIZE_MAX};
    *unit = NULL;
    if (c->vm && c->arena) {
        c->vm->tensors.meta = true;
        *unit = unit_new(c, path, text, length, false);
    }
    return *unit != NULL;
}

bool check_walk(Checker *c, Unit *unit)
{
    if (c->focus == SIZE_MAX)
        compiler_findings(c, unit);
    if (c->focus != ANALYSE_NAMES)
        check_unit(c, unit);
    if (c->focus == SIZE_MAX && !c->stopped)
        usage_check(c, unit);
    if (c->n_findings)
        qsort(c->finding, (size_t)c->n_findings, sizeof *c->finding, by_place);
    return !c->no_memory && !c->stopped;
}

bool check_report(Checker *c, Unit *unit, CheckReport *report, void *user)
{
    for (int i = 0; i < c->n_findings; i++)
        if (c->finding[i].unit == unit && !is_repeated(c, i))
            report_one(c, &c->finding[i], report, user);
    return !c->no_memory;
}

void check_close(Checker *c)
{
    while (c->units) {
        Unit *unit = c->units;
        c->units = unit->next;
        unit_free(unit);
    }
    vm_free(c->vm);
    if (c->arena)
        arena_free(c->arena);
}

bool session_check(Session *session, const char *path, const char *text, size_t length, CheckReport *report, void *user)
{
    Checker c;
    Unit *unit;
    bool fine = check_open(&c, session, &unit, path, text, length) && check_walk(&c, unit);
    fine = fine && check_report(&c, unit, report, user);
    check_close(&c);
    return fine;
}
