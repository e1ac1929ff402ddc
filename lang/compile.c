/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Puts code together: instructions with their spans, constants, jumps, handlers, and the frame of every function.
   The tree is walked by compile_expr.c, compile_call.c, compile_statement.c and compile_model.c.
   Invariant: after an error the walk goes on, so that all errors of a text are found; no code comes of it then. */
#include "compile.h"
#include "debug.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool array_grow(Compiler *c, void **at, int *room, int count, size_t size)
{
    if (count < *room)
        return true;
    int wider = *room ? *room * 2 : 16;
    void *moved = wider > (1 << 27) ? NULL : realloc(*at, (size_t)wider * size);
    if (!moved) {
        c->failed = true;
        return false;
    }
    *at = moved;
    *room = wider;
    return true;
}

void compile_error(Compiler *c, Span span, const char *hint, const char *format, ...)
{
    SyntaxError *error = arena_alloc(c->parse->arena, sizeof *error);
    if (!error) {
        c->failed = true;
        return;
    }
    va_list list;
    va_start(list, format);
    vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    if (hint)
        snprintf(error->hint, sizeof error->hint, "%s", hint);
    error->span = span;
    *c->last_error = error;
    c->last_error = &error->next;
}

const char *compile_name(Compiler *c, const char *name)
{
    const char *kept = name_intern(c->vm, name, strlen(name));
    if (!kept)
        c->failed = true;
    return kept ? kept : "";
}

uint32_t compile_slot(Compiler *c, const char *name)
{
    uint32_t slot = module_slot(c->module, name);
    if (slot != UINT32_MAX)
        return slot;
    c->failed = true;
    return 0;
}

/* ---- code ---- */

int32_t emit(Fn *fn, Code w, Span span)
{
    Proto *p = fn->proto;
    int room = fn->code_room;
    if (!array_grow(fn->c, (void **)&p->code, &room, p->n_code, sizeof *p->code) ||
        !array_grow(fn->c, (void **)&p->spans, &fn->code_room, p->n_code, sizeof *p->spans))
        return 0;
    p->code[p->n_code] = w;
    p->spans[p->n_code] = span;
    return p->n_code++;
}

int temps(Fn *fn, int count)
{
    int first = fn->top;
    fn->top += count;
    if (fn->top > fn->proto->n_registers)
        fn->proto->n_registers = fn->top;
    if (fn->top > 60000) {
        compile_error(fn->c, fn->proto->span, NULL, "this function is too large: it needs more than 60000 registers");
        fn->top = first = fn->n_locals;
    }
    return first;
}

int temp(Fn *fn)
{
    return temps(fn, 1);
}

int constant_take(Fn *fn, Value owned)
{
    Proto *p = fn->proto;
    if (owned.tag == TAG_UNDEFINED || !array_grow(fn->c, (void **)&p->constants, &fn->constant_room, p->n_constants,
                                                  sizeof *p->constants)) {
        fn->c->failed = true;
        value_release(owned);
        return 0;
    }
    /* equal neighbours are common in tables of numbers and in names; a short look back is enough */
    for (int i = p->n_constants - 1; i >= 0 && i >= p->n_constants - 32; i--)
        if (p->constants[i].tag == owned.tag && (owned.tag == TAG_INT || owned.tag == TAG_STRING) &&
            value_same(p->constants[i], owned)) {
            value_release(owned);
            return i;
        }
    p->constants[p->n_constants] = owned;
    return p->n_constants++;
}

int constant_text(Fn *fn, const char *text, size_t length)
{
    return constant_take(fn, string_new(text, length));
}

int new_site(Fn *fn, const char *name, Span span)
{
    Proto *p = fn->proto;
    if (!array_grow(fn->c, (void **)&p->sites, &fn->site_room, p->n_sites, sizeof *p->sites))
        return 0;
    if (p->n_sites > 60000)
        compile_error(fn->c, span, NULL, "this function is too large: it has more than 60000 calls");
    Site *site = &p->sites[p->n_sites];
    *site = (Site){.plain = true};
    if (name) {
        site->name = compile_name(fn->c, name);
        site->slot = compile_slot(fn->c, site->name);
    }
    return p->n_sites++;
}

int add_proto(Fn *fn, Proto *owned)
{
    Proto *p = fn->proto;
    if (!owned || !array_grow(fn->c, (void **)&p->protos, &fn->proto_room, p->n_protos, sizeof *p->protos)) {
        if (owned)
            proto_release(owned);
        return 0;
    }
    p->protos[p->n_protos] = owned;
    return p->n_protos++;
}

/* Only names are worth showing: an expression stands under the caret anyway. */
void note_operand(Fn *fn, int32_t pc, int input, const Node *node)
{
    const Node *root = node;
    while (root->kind == NODE_MEMBER)
        root = root->member.value;
    Proto *p = fn->proto;
    if (root->kind != NODE_NAME ||
        !array_grow(fn->c, (void **)&p->operands, &fn->operand_room, p->n_operands, sizeof *p->operands))
        return;
    p->operands[p->n_operands++] = (OperandName){.pc = pc, .input = (int16_t)input, .span = node->span};
}

static Span head_of(const Node *node)
{
    Span span = node->span;
    switch (node->kind) {
    case NODE_IF: span.end = node->branch.condition->span.end; break;
    case NODE_WHILE: span.end = node->loop.clause.condition->span.end; break;
    case NODE_FOR: span.end = node->loop.clause.iterable->span.end; break;
    case NODE_TRY: span.end = node->attempt.body->span.start; break;
    default: break;
    }
    return span;
}

/* Not declarations: whoever wants to stop there means their bodies. Of two at the same place the first makes no code. */
void mark_statement(Fn *fn, const Node *node)
{
    Proto *p = fn->proto;
    while (node->kind == NODE_EXPR)
        node = node->unary.child;
    if (node->kind == NODE_BLOCK || node->kind == NODE_FN || node->kind == NODE_MODEL || node->kind == NODE_TEST ||
        !array_grow(fn->c, (void **)&p->marks, &fn->mark_room, p->n_marks, sizeof *p->marks))
        return;
    if (p->n_marks && p->marks[p->n_marks - 1].pc == p->n_code)
        p->n_marks--;
    p->marks[p->n_marks++] = (Mark){p->n_code, head_of(node)};
}

/* ---- jumps ---- */

void jump_to(Fn *fn, Jumps *jumps, Opcode op, int a, Span span)
{
    if (!array_grow(fn->c, (void **)&jumps->at, &jumps->room, jumps->count, sizeof *jumps->at))
        return;
    jumps->at[jumps->count++] = emit_wide(fn, op, a, 0, span);
}

void jumps_patch(Fn *fn, Jumps *jumps, int32_t target)
{
    for (int i = 0; i < jumps->count && !fn->c->failed; i++) {
        Code *w = &fn->proto->code[jumps->at[i]];
        *w = (*w & 0xffffffffu) | (Code)(uint32_t)(target - jumps->at[i] - 1) << 32;
    }
    free(jumps->at);
    *jumps = (Jumps){0};
}

void jump_back(Fn *fn, int32_t target, Span span)
{
    emit_wide(fn, CODE_LOOP, 0, target - fn->proto->n_code - 1, span);
}

/* ---- contexts: finally, catch, iterators ---- */

static void context_cut(Fn *fn, Context *context, bool open)
{
    if (!array_grow(fn->c, (void **)&context->cut, &context->cut_room, context->n_cuts + 1, sizeof *context->cut))
        return;
    if (open) {
        context->cut[context->n_cuts++] = fn->proto->n_code;
        context->cut[context->n_cuts++] = -1;
    } else if (context->n_cuts) {
        context->cut[context->n_cuts - 1] = fn->proto->n_code;
    }
}

void context_open(Fn *fn, Context *context, HandlerKind kind, Node *finally, int reg)
{
    *context = (Context){.up = fn->context, .kind = kind, .finally = finally, .reg = reg};
    fn->context = context;
    context_cut(fn, context, true);
}

void context_close(Fn *fn, Context *context, int32_t target)
{
    Proto *p = fn->proto;
    if (context->n_cuts && context->cut[context->n_cuts - 1] < 0)
        context_cut(fn, context, false);
    for (int i = 0; i + 1 < context->n_cuts; i += 2) {
        if (context->cut[i] == context->cut[i + 1])
            continue;
        if (!array_grow(fn->c, (void **)&p->handlers, &fn->handler_room, p->n_handlers, sizeof *p->handlers))
            break;
        p->handlers[p->n_handlers++] = (Handler){.start = context->cut[i], .end = context->cut[i + 1], .target = target,
                                                 .reg = (uint16_t)context->reg, .kind = (uint8_t)context->kind};
    }
    free(context->cut);
    context->cut = NULL;
    context->n_cuts = context->cut_room = 0;
}

/* The clean-up of each region that is left stands outside that region, so an error in it goes further out. */
void context_leave(Fn *fn, Context *until, Span span)
{
    Context *inner = fn->context;
    for (Context *context = inner; context != until; context = context->up) {
        context_cut(fn, context, false);
        fn->context = context->up;
        if (context->kind == HANDLER_CLOSE)
            emit3(fn, CODE_CLOSE, context->reg, 0, 0, span);
        else if (context->kind == HANDLER_FINALLY)
            block(fn, context->finally, -1);
    }
    fn->context = inner;
}

void context_rejoin(Fn *fn, Context *until)
{
    for (Context *context = fn->context; context != until; context = context->up)
        context_cut(fn, context, true);
}


/* ---- functions ---- */

Fn *fn_open(Compiler *c, Fn *up, Fn *fn, FnKind kind, const char *name, Span span)
{
    *fn = (Fn){.up = up, .c = c, .kind = kind, .depth = up ? up->depth + 1 : 0};
    fn->proto = calloc(1, sizeof *fn->proto);
    if (!fn->proto) {
        c->failed = true;
        return NULL;
    }
    fn->proto->refs = 1;
    fn->proto->name = name ? compile_name(c, name) : NULL;
    fn->proto->source = source_retain(c->parse->source);
    fn->proto->span = span;
    fn->proto->module = c->module;
    if (up && kind == FN_LAMBDA)
        fn->model = up->model;
    return fn;
}

static void note_names(Fn *fn)
{
    Proto *p = fn->proto;
    size_t count = (size_t)(p->n_names + fn->n_bindings + p->n_captures) + 1;
    LocalName *names = realloc(p->names, count * sizeof *names);
    if (!names) {
        fn->c->failed = true;
        return;
    }
    p->names = names;
    for (int i = 0; i < fn->n_bindings; i++)
        p->names[p->n_names++] = (LocalName){fn->binding[i].name, fn->binding[i].reg, 0, INT32_MAX};
    for (int i = 0; i < p->n_captures; i++)
        p->names[p->n_names++] = (LocalName){fn->capture[i].name, -1 - i, 0, INT32_MAX};
}

/* At the prompt a function's variables can be looked at after an error (:locals): those that are written once, as
   parameters are by the call, keep their values to the end. What is written again may move, so that `v = f(v)` copies
   nothing. */
static void pin_for_inspection(const Fn *fn, bool *pinned)
{
    const Proto *p = fn->proto;
    uint8_t *writes = fn->c->vm->keeps_failures ? calloc((size_t)p->n_registers + 1, 1) : NULL;
    if (!writes)
        return;
    for (int i = 0; i < p->n_params && i < p->n_registers; i++)
        writes[i + p->has_self] = 1;
    for (int pc = 0; pc < p->n_code; pc++) {
        const Code w = p->code[pc];
        const OpcodeInfo *info = &opcode_info[CODE_OP(w)];
        const unsigned reg[3] = {CODE_A(w), CODE_B(w), CODE_C(w)};
        RegisterRange range;
        for (int i = 0; i < 3; i++)
            if ((info->operand[i] == OPERAND_W || info->operand[i] == OPERAND_X) && writes[reg[i]] < 2)
                writes[reg[i]]++;
        code_range(p, w, &range);
        for (int i = 0; i < range.fill_count && CODE_OP(w) != CODE_CLEAR; i++)
            if (writes[range.fill_first + i] < 2)
                writes[range.fill_first + i]++;
    }
    for (int i = 0; i < fn->n_bindings; i++)
        pinned[fn->binding[i].reg] = pinned[fn->binding[i].reg] || writes[fn->binding[i].reg] < 2;
    free(writes);
}

static void proto_link(Vm *vm, Proto *p)
{
    for (int i = 0; i < p->n_marks; i++)           /* without memory a debugger finds a later one */
        source_note_statement(p->source, p->marks[i].span.start);
    p->next = vm->protos;
    p->link = &vm->protos;
    if (p->next)
        p->next->link = &p->next;
    vm->protos = p;
    if (vm->debugger)
        debug_adopt(vm->debugger, p);
}

Proto *fn_close(Fn *fn)
{
    Proto *p = fn->proto;
    note_names(fn);
    bool *pinned = calloc((size_t)p->n_registers + 1, sizeof *pinned);
    bool done = pinned != NULL && !fn->c->failed && !fn->c->parse->errors;
    if (done) {
        pinned[0] = p->has_self;
        for (int i = 0; i < p->n_contracts; i++)
            contract_pin(p->contracts[i], pinned);
        for (int i = 0; i < fn->n_kept; i++)
            pinned[i] = true;
        pin_for_inspection(fn, pinned);
        done = liveness_run(p, pinned);
    }
    if (done)
        proto_link(fn->c->vm, p);
    fn->c->failed = fn->c->failed || (!done && !fn->c->parse->errors);
    free(pinned);
    free(fn->binding);
    free(fn->capture);
    if (done)
        return p;
    proto_release(p);
    return NULL;
}

void compile_parameters(Fn *fn, int count, const Parameter *parameters, int first_register)
{
    Proto *p = fn->proto;
    p->params = calloc((size_t)count + 1, sizeof *p->params);
    if (!p->params) {
        fn->c->failed = true;
        return;
    }
    p->simple = true;
    for (int i = 0; i < count; i++) {
        const Parameter *parameter = &parameters[i];
        refuse_self(fn, parameter->name, parameter->span);
        p->params[i] = (ParameterInfo){.name = compile_name(fn->c, parameter->name),
                                       .has_default = parameter->fallback != NULL, .rest = parameter->rest,
                                       .named_rest = parameter->named_rest};
        if (parameter->rest || parameter->named_rest)
            p->simple = false;
        else if (!parameter->fallback)
            p->n_required = i + 1;
        for (int j = 0; j < i; j++)
            if (p->params[j].name == p->params[i].name)
                compile_error(fn->c, parameter->span, NULL, "two parameters are called %s", parameter->name);
        bind(fn, p->params[i].name, first_register + i, true);
        flow_assign(fn, first_register + i);
    }
    p->n_params = count;
}

void compile_defaults(Fn *fn, int count, const Parameter *parameters, int first_register)
{
    for (int i = 0; i < count; i++) {
        if (!parameters[i].fallback)
            continue;
        Jumps given = {0};
        jump_to(fn, &given, CODE_JUMP_DEFINED, first_register + i, parameters[i].span);
        int mark = fn->top;
        expr(fn, parameters[i].fallback, first_register + i);
        fn->top = mark;
        jumps_patch(fn, &given, fn->proto->n_code);
    }
}

/* Returns the value of [node]: a block does so by its last statement, an if in each of its branches. */
static void leave_with(Fn *fn, Node *node, Span span)
{
    if (node->kind == NODE_EXPR)
        node = node->unary.child;
    if (node->kind == NODE_BLOCK && node->list.count) {
        int mark = fn->top;
        for (int i = 0; i + 1 < node->list.count; i++) {
            statement(fn, node->list.at[i], -1);
            fn->top = mark;
        }
        leave_with(fn, node->list.at[node->list.count - 1], span);
        return;
    }
    if (node->kind == NODE_IF && node->branch.otherwise) {
        Jumps otherwise = {0};
        mark_statement(fn, node);
        condition(fn, node->branch.condition, false, &otherwise);
        Flow before = fn->flow;
        leave_with(fn, node->branch.then, span);
        jumps_patch(fn, &otherwise, fn->proto->n_code);
        fn->flow = before;
        leave_with(fn, node->branch.otherwise, span);
        return;
    }
    if (node->kind == NODE_NAME)
        mark_statement(fn, node);
    int mark = fn->top, r = node->kind == NODE_NAME ? expr(fn, node, -1) : temp(fn);
    if (node->kind != NODE_NAME)
        statement(fn, node, r);
    if (fn->contract && !fn->flow.dead)
        emit3(fn, CODE_CHECK_RESULT, r, 0, fn->contract_index, span);
    emit3(fn, CODE_RETURN, r, 0, 0, span);
    fn->top = mark;
}

void compile_body(Fn *fn, Node *body, bool is_constructor)
{
    Span end = {body->span.end > body->span.start ? body->span.end - 1 : body->span.start, body->span.end};
    if (is_constructor) {
        emit3(fn, CODE_RETURN, 0, 0, 0, end);
        return;
    }
    leave_with(fn, body, body->span);
}

char *signature_text(Compiler *c, const char *name, int count, const Parameter *parameters)
{
    Text text = {0};
    const char *source = c->parse->source->text;
    text_format(&text, "%s(", name ? name : "");
    for (int i = 0; i < count; i++) {
        if (i)
            text_add(&text, ", ", 2);
        uint32_t end = parameters[i].fallback ? parameters[i].fallback->span.end : parameters[i].span.end;
        text_add(&text, source + parameters[i].span.start, end - parameters[i].span.start);
    }
    text_add(&text, ")", 2);
    if (text.failed) {
        text_free(&text);
        c->failed = true;
        return NULL;
    }
    return text.at;
}

static char *doc_copy(Compiler *c, const char *doc)
{
    char *copy = doc ? strdup(doc) : NULL;
    if (doc && !copy)
        c->failed = true;
    return copy;
}

/* The entry of every function: CLEAR for locals, patched away when no local needs it. */
static void emit_clear(Fn *fn, int from, Span span)
{
    emit3(fn, CODE_CLEAR, from, fn->n_locals - from, 0, span);
}

static void captures_out(Fn *fn, const char **captured, int *n_captured, Span span)
{
    if (fn->proto->n_captures > MAX_CAPTURES) {
        compile_error(fn->c, span, NULL, "a function can mention at most %d names from outside", MAX_CAPTURES);
        return;
    }
    for (int i = 0; captured && i < fn->proto->n_captures; i++)
        captured[i] = fn->capture[i].name;
    if (captured)
        *n_captured = fn->proto->n_captures;
}

Proto *compile_function(Fn *up, const Function *function, FnKind kind, const char **captured, int *n_captured)
{
    Compiler *c = up->c;
    Fn fn;
    if (!fn_open(c, up, &fn, kind, function->name, function->header))
        return NULL;
    if (fn.depth > 100) {
        compile_error(c, function->header, NULL, "functions are nested too deeply");
        return fn_close(&fn);
    }
    Proto *p = fn.proto;
    p->signature = signature_text(c, function->name, function->n_parameters, function->parameters);
    p->doc = doc_copy(c, function->doc);
    if (kind == FN_LAMBDA && function->name)
        fn.own_name = p->name;
    int first = 0;
    if (kind == FN_METHOD) {
        fn.model = up->model;
        p->has_self = true;
        bind(&fn, compile_name(c, "self"), 0, true);
        flow_assign(&fn, 0);
        first = 1;
    }
    compile_parameters(&fn, function->n_parameters, function->parameters, first);
    fn.n_locals = first + function->n_parameters;
    int first_local = fn.n_locals;
    collect_locals(&fn, function->body);
    fn.top = p->n_registers = fn.n_locals;
    bool cleared = fn.n_locals > first_local;
    if (cleared)
        emit_clear(&fn, first_local, function->header);
    compile_defaults(&fn, function->n_parameters, function->parameters, first);
    contract_compile(&fn, function->n_parameters, function->parameters, first, function->result, function->header);
    compile_body(&fn, function->body, false);
    p->entry = cleared && !fn.needs_clear && !c->failed ? 1 : 0;
    captures_out(&fn, captured, n_captured, function->header);
    return fn_close(&fn);
}

/* The statements of a text; the last one's value goes to [value]. */
static void module_body(Fn *fn, int value, bool *muted)
{
    const NodeList *list = &fn->c->parse->statements;
    load_fixed(fn, value, 0, fn->proto->span);
    for (int i = 0; i < list->count; i++) {
        Node *node = list->at[i];
        bool last = i == list->count - 1;
        if (node->kind == NODE_TEST)    /* compiled and run by `tessera test` only */
            continue;
        statement(fn, node, last ? value : -1);
        fn->flow.dead = false;
        if (last) {
            bool shown = node->kind == NODE_EXPR || node->kind == NODE_IF || node->kind == NODE_TRY ||
                         node->kind == NODE_BLOCK;
            *muted = !shown || (node->kind == NODE_EXPR && node->unary.muted);
        }
    }
}

static Fn *module_open(Compiler *c, Fn *fn, bool *muted)
{
    while (*c->last_error)
        c->last_error = &(*c->last_error)->next;
    *muted = true;
    return fn_open(c, NULL, fn, FN_MODULE, "", (Span){0, c->parse->source->length});
}

Proto *compile_module(Vm *vm, Module *module, Parse *parse, bool *muted)
{
    Compiler compiler = {.vm = vm, .module = module, .parse = parse, .last_error = &parse->errors};
    Fn fn;
    if (!module_open(&compiler, &fn, muted))
        return NULL;
    int value = temp(&fn);
    module_body(&fn, value, muted);
    emit3(&fn, CODE_RETURN, value, 0, 0, fn.proto->span);
    return debug_compiled(vm, fn_close(&fn));
}

/* What was assigned before an error is handed back, too. */
Proto *compile_for_frame(Vm *vm, Module *module, Parse *parse, int count, const char *const *names, Proto *model,
                         bool *muted)
{
    Compiler compiler = {.vm = vm, .module = module, .parse = parse, .last_error = &parse->errors};
    Fn fn;
    Context guard;
    if (!module_open(&compiler, &fn, muted))
        return NULL;
    Span all = fn.proto->span;
    for (int i = 0; i < count; i++)
        bind(&fn, names[i], i, true);
    memset(fn.flow.maybe, 255, sizeof fn.flow.maybe);
    fn.model = model;
    fn.n_locals = fn.n_kept = fn.top = fn.proto->n_registers = count;
    int value = temp(&fn);
    context_open(&fn, &guard, HANDLER_FINALLY, NULL, 0);
    module_body(&fn, value, muted);
    fn.context = NULL;
    emit3(&fn, CODE_HAND_BACK, 0, count, 0, all);
    emit3(&fn, CODE_RETURN, value, 0, 0, all);
    context_close(&fn, &guard, fn.proto->n_code);
    int error = temp(&fn);
    emit3(&fn, CODE_CATCH, error, 0, 0, all);
    emit3(&fn, CODE_HAND_BACK, 0, count, 0, all);
    emit3(&fn, CODE_RETHROW, error, 0, 0, all);
    return fn_close(&fn);
}

Proto *compile_test(Vm *vm, Module *module, Parse *parse, const Node *test)
{
    Compiler compiler = {.vm = vm, .module = module, .parse = parse, .last_error = &parse->errors};
    Fn fn;
    if (!fn_open(&compiler, NULL, &fn, FN_MODULE, "", test->span))
        return NULL;
    Function function = {.name = test->test.title, .body = test->test.body, .header = test->span};
    Proto *proto = compile_function(&fn, &function, FN_NAMED, NULL, NULL), *around = fn_close(&fn);
    if (around)
        proto_release(around);
    return debug_compiled(vm, proto);
}
