/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Statements: assignments to every kind of target, loops, try, declarations. A block's value is its last expression.
   Return, break and continue run the finally blocks that they leave, by a copy of their code at each exit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"

static const char *const outer_hint =
    "a function changes only its own variables: pass the value in and return the new one";

/* ---- assignment ---- */

static void field_error(Fn *fn, const char *name, Span span)
{
    char hint[240];
    snprintf(hint, sizeof hint, "write self.%s to change it, or give the local another name", name);
    compile_error(fn->c, span, hint, "%s is a field of this model, which only self.%s can change", name, name);
}

static void assign_name(Fn *fn, const char *name, int reg, Span span)
{
    if (refuse_self(fn, name, span))
        return;
    name = compile_name(fn->c, name);
    NameRef ref = resolve(fn, name, span);
    switch (ref.kind) {
    case NAME_LOCAL:
        if (ref.reg != reg)
            emit3(fn, CODE_MOVE, ref.reg, reg, 0, span);
        flow_assign(fn, ref.reg);
        break;
    case NAME_FIELD:
        if (fn->kind == FN_CONSTRUCTOR)
            emit3(fn, CODE_INIT_FIELD, reg, ref.index, 0, span);
        else
            field_error(fn, name, span);
        break;
    case NAME_GLOBAL: emit_wide(fn, CODE_SET_GLOBAL, reg, (int32_t)ref.slot, span); break;
    default: compile_error(fn->c, span, outer_hint, "%s belongs to the function outside", name); break;
    }
}

static int new_path(Fn *fn, int n_steps, int op)
{
    Proto *p = fn->proto;
    if (!array_grow(fn->c, (void **)&p->paths, &fn->path_room, p->n_paths, sizeof *p->paths))
        return -1;
    PathStep *step = calloc((size_t)n_steps, sizeof *step);
    if (!step) {
        fn->c->failed = true;
        return -1;
    }
    p->paths[p->n_paths] = (Path){.n_steps = n_steps, .step = step, .op = op};
    return p->n_paths++;
}

static Node *path_below(Node *node)
{
    return node->kind == NODE_INDEX ? node->index.value : node->kind == NODE_MEMBER ? node->member.value : NULL;
}

typedef struct PathRoot { Opcode op; int reg; bool is_field; int field; uint32_t slot; } PathRoot;

/* `self.x…` in a method: the path starts at the field. */
static bool self_root(Fn *fn, Node *first, PathRoot *root)
{
    if (first->kind != NODE_MEMBER) {
        compile_error(fn->c, first->span, "fields are written as self.x = e", "self is an object and has no items");
        return false;
    }
    const char *name = compile_name(fn->c, first->member.name);
    int field = model_field(fn->model, name);
    if (field < 0) {
        compile_error(fn->c, first->member.name_span, "assign it in the model's body to declare it",
                      "this model has no field %s", name);
        return false;
    }
    NameRef self = resolve(fn, compile_name(fn->c, "self"), first->span);
    if (self.kind == NAME_LOCAL) {
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = self.reg, .is_field = true, .field = field};
    } else {
        int reg = load_name(fn, "self", -1, first->span);
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = reg, .is_field = true, .field = field};
    }
    return true;
}

static bool find_root(Fn *fn, Node *name, Node *first, PathRoot *root)
{
    if (name->kind != NODE_NAME) {
        if (first->kind != NODE_MEMBER) {
            compile_error(fn->c, name->span, "assign it to a variable first",
                          "only a part of a variable can be assigned");
            return false;
        }
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = expr(fn, name, temp(fn))};
        return true;
    }
    NameRef ref = resolve(fn, compile_name(fn->c, name->name), name->span);
    if (ref.kind == NAME_LOCAL) {
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = load_name(fn, name->name, -1, name->span)};
        return true;
    }
    if (ref.kind == NAME_GLOBAL && fn->kind == FN_MODULE) {
        *root = (PathRoot){.op = CODE_SET_PATH_GLOBAL, .slot = ref.slot};
        return true;
    }
    if (ref.kind == NAME_FIELD && fn->kind == FN_CONSTRUCTOR) {
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = 0, .is_field = true, .field = ref.index};
        return true;
    }
    if (first->kind == NODE_MEMBER) {      /* an object: it has identity wherever its name comes from */
        int object = load_name(fn, name->name, temp(fn), name->span);
        *root = (PathRoot){.op = CODE_SET_PATH, .reg = object, .slot = UINT32_MAX};
        return true;
    }
    if (ref.kind == NAME_FIELD)
        field_error(fn, name->name, name->span);
    else
        compile_error(fn->c, name->span, outer_hint, "%s is not a variable of this function", name->name);
    return false;
}

static void path_steps(Fn *fn, Node *node, Node *stop, int path, int *step)
{
    if (node == stop)
        return;
    path_steps(fn, path_below(node), stop, path, step);
    PathStep made = {0};
    if (node->kind == NODE_MEMBER)
        made.name = compile_name(fn->c, node->member.name);
    else
        subscripts(fn, &node->index.subscripts, &made.shape);
    if (path >= 0)
        fn->proto->paths[path].step[(*step)++] = made;
}

/* x[i] = r[value] and x[i] op= r[value] of a local x are one instruction. */
static bool assign_element(Fn *fn, Node *node, Operator op, int value, Span span)
{
    if (node->kind != NODE_INDEX || node->index.value->kind != NODE_NAME || node->index.subscripts.count != 1)
        return false;
    Node *subscript = node->index.subscripts.at[0];
    const char *name = compile_name(fn->c, node->index.value->name);
    if (subscript->kind == NODE_SLICE || subscript->kind == NODE_ELLIPSIS || may_assign(subscript) ||
        resolve(fn, name, node->index.value->span).kind != NAME_LOCAL)
        return false;
    int local = load_name(fn, name, -1, node->index.value->span), at = expr(fn, subscript, -1);
    int32_t pc = emit(fn, code_make(CODE_SET_INDEX, (unsigned)op << 3, local, at, value), span);
    note_operand(fn, pc, 0, node);
    return true;
}

/* target = r[value], or target op= r[value]; [value] is the newest temporary. */
static void assign_path(Fn *fn, Node *node, Operator op, int value, Span span)
{
    Node *first = node, *name = path_below(node);
    int n_steps = 1;
    for (; path_below(name); n_steps++) {
        first = name;
        name = path_below(name);
    }
    bool is_self = name->kind == NODE_NAME && !strcmp(name->name, "self") && fn->model;
    PathRoot root = {0};
    Node *stop = name;
    if (n_steps == 1 && !is_self && assign_element(fn, node, op, value, span))
        return;
    if (is_self) {
        if (!self_root(fn, first, &root))
            return;
        stop = first;
        n_steps--;
    } else if (!find_root(fn, name, first, &root)) {
        return;
    }
    if (is_self && n_steps == 0 && op == OPERATOR_NONE) {
        emit3(fn, CODE_SET_FIELD, value, root.reg, root.field, span);
        return;
    }
    int from = temp(fn);
    emit3(fn, CODE_MOVE, from, value, 0, span);
    int step = 0, path = new_path(fn, n_steps ? n_steps : 1, (int)op);
    path_steps(fn, node, stop, path, &step);
    if (path < 0)
        return;
    Path *made = &fn->proto->paths[path];
    made->n_steps = n_steps;
    made->n_values = fn->top - from;
    made->is_field = root.is_field;
    made->field = root.field;
    made->slot = root.slot;
    int32_t pc = emit3(fn, root.op, root.reg, from, path, span);
    note_operand(fn, pc, 0, node);
}

static void unpack(Fn *fn, Node *target, int reg, Span span)
{
    int n = target->list.count, rest = 0, mark = fn->top;
    if (n > 200)
        compile_error(fn->c, span, NULL, "too many names on the left of =");
    for (int i = 0; i < n; i++)
        if (target->list.at[i]->kind == NODE_SPREAD) {
            if (rest)
                compile_error(fn->c, target->list.at[i]->span, NULL, "only one name can take the rest");
            rest = i + 1;
        }
    if (rest > 31)
        compile_error(fn->c, span, NULL, "too many names before the one that takes the rest");
    int first = temps(fn, n ? n : 1);
    emit(fn, code_make(CODE_UNPACK, (unsigned)rest << 3, first, reg, n), span);
    for (int i = 0; i < n; i++) {
        Node *part = target->list.at[i];
        assign_from(fn, part->kind == NODE_SPREAD ? part->unary.child : part, first + i, part->span);
    }
    fn->top = mark;
}

void assign_from(Fn *fn, Node *target, int reg, Span span)
{
    int mark = fn->top;
    switch (target->kind) {
    case NODE_NAME: assign_name(fn, target->name, reg, span); break;
    case NODE_TUPLE:
    case NODE_LIST: unpack(fn, target, reg, span); break;
    case NODE_INDEX:
    case NODE_MEMBER: assign_path(fn, target, OPERATOR_NONE, reg, target->span); break;
    default: compile_error(fn->c, target->span, NULL, "this cannot be assigned to"); break;
    }
    fn->top = mark;
}

static void augment_name(Fn *fn, Node *node)
{
    Node *target = node->assign.target;
    const char *name = compile_name(fn->c, target->name);
    NameRef ref = resolve(fn, name, target->span);
    bool append = node->assign.op == OPERATOR_CONCAT;
    if (ref.kind != NAME_LOCAL && !(ref.kind == NAME_GLOBAL && fn->kind == FN_MODULE) &&
        !(ref.kind == NAME_FIELD && fn->kind == FN_CONSTRUCTOR)) {
        if (ref.kind == NAME_FIELD)
            field_error(fn, name, target->span);
        else
            compile_error(fn->c, target->span, outer_hint, "%s is not a variable of this function", name);
        return;
    }
    if (append) {
        const NodeList *items = node->assign.value->kind == NODE_LIST ? &node->assign.value->list : NULL;
        bool one = items && items->count == 1 && items->at[0]->kind != NODE_SPREAD && ref.kind == NAME_LOCAL;
        int value = expr(fn, one ? items->at[0] : node->assign.value, -1);
        if (ref.kind == NAME_GLOBAL) {
            emit_wide(fn, CODE_APPEND_GLOBAL, value, (int32_t)ref.slot, node->span);
        } else if (ref.kind == NAME_FIELD) {
            emit3(fn, CODE_APPEND_FIELD, value, ref.reg, ref.index, node->span);
        } else {
            int local = load_name(fn, name, -1, target->span);
            if (one && value == local)        /* xs ++= [xs]: it stays as it was in there */
                emit3(fn, CODE_MOVE, value = temp(fn), local, 0, node->span);
            emit3(fn, one ? CODE_APPEND_ITEM : CODE_APPEND, local, value, 0, node->span);
        }
        return;
    }
    Node sum = {.kind = NODE_BINARY, .span = node->span};
    sum.binary.left = target;
    sum.binary.right = node->assign.value;
    sum.binary.op = node->assign.op;
    int r = expr(fn, &sum, ref.kind == NAME_LOCAL ? ref.reg : -1);
    assign_name(fn, name, r, node->span);
}

static void assignment(Fn *fn, Node *node)
{
    Node *target = node->assign.target;
    int mark = fn->top;
    if (node->assign.op != OPERATOR_NONE) {
        if (target->kind == NODE_NAME) {
            augment_name(fn, node);
        } else if (target->kind == NODE_INDEX || target->kind == NODE_MEMBER) {
            int value = expr(fn, node->assign.value, temp(fn));
            assign_path(fn, target, node->assign.op, value, node->span);
        } else {
            compile_error(fn->c, target->span, NULL, "this cannot be changed by an operator");
        }
    } else if (target->kind == NODE_NAME) {
        const char *name = compile_name(fn->c, target->name);
        NameRef ref = resolve(fn, name, target->span);
        int r = expr(fn, node->assign.value, ref.kind == NAME_LOCAL ? ref.reg : -1);
        if (node->assign.contract)
            contract_check_local(fn, node->assign.contract, name, r, target->span);
        assign_name(fn, name, r, node->span);
    } else {
        int value = temp(fn);
        expr(fn, node->assign.value, value);
        fn->top = value + 1;
        assign_from(fn, target, value, node->span);
    }
    fn->top = mark;
}

/* ---- loops ---- */

void bind_target(Fn *fn, Node *target)
{
    if (target->kind == NODE_NAME && !refuse_self(fn, target->name, target->span))
        bind(fn, compile_name(fn->c, target->name), temp(fn), false);
    else if (target->kind == NODE_SPREAD)
        bind_target(fn, target->unary.child);
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            bind_target(fn, target->list.at[i]);
}

static void loop_enter(Fn *fn, Loop *loop, Context *outside)
{
    *loop = (Loop){.up = fn->loop, .context = outside, .inner = fn->context};
    fn->loop = loop;
}

/* Where each item goes: a local directly, everything else through a temporary. */
static int item_register(Fn *fn, Node *target)
{
    if (target->kind == NODE_NAME) {
        NameRef ref = resolve(fn, compile_name(fn->c, target->name), target->span);
        if (ref.kind == NAME_LOCAL)
            return ref.reg;
    }
    return temp(fn);
}

static void loop_items(Fn *fn, const ForClause *clause, int it, bool counted, void (*body)(Fn *fn, void *to), void *to,
                       Node *assigned, Span span)
{
    Jumps start = {0};
    int item = item_register(fn, clause->target);
    Loop loop;
    Context iterator, *outside = fn->context;
    if (!counted)
        context_open(fn, &iterator, HANDLER_CLOSE, NULL, it);
    loop_enter(fn, &loop, outside);
    jump_to(fn, &start, CODE_JUMP, 0, span);
    int32_t top = fn->proto->n_code;
    Flow before = fn->flow;
    flow_loop(fn, assigned);
    assign_from(fn, clause->target, item, clause->target->span);
    int mark = fn->top;
    body(fn, to);
    fn->top = mark;
    jumps_patch(fn, &loop.continues, fn->proto->n_code);
    jumps_patch(fn, &start, fn->proto->n_code);
    if (counted)
        emit3(fn, CODE_NEXT_COUNT, it, it + 1, item, clause->iterable->span);
    else
        emit3(fn, CODE_NEXT, it, item, 0, clause->iterable->span);
    jump_back(fn, top, span);
    if (!counted) {
        fn->context = outside;
        context_close(fn, &iterator, 0);
    }
    fn->loop = loop.up;
    jumps_patch(fn, &loop.breaks, fn->proto->n_code);
    if (!counted)
        emit3(fn, CODE_CLOSE, it, 0, 0, span);
    Flow after = fn->flow;
    fn->flow = before;
    for (int i = 0; i < FLOW_WORDS; i++)
        fn->flow.maybe[i] |= after.maybe[i];
}

void for_loop(Fn *fn, const ForClause *clause, void (*body)(Fn *fn, void *to), void *to, Node *assigned, Span span)
{
    int mark = fn->top, it = temps(fn, 2);
    Node *iterable = clause->iterable;
    bool counted = iterable->kind == NODE_RANGE;
    if (counted) {
        expr(fn, iterable->binary.left, it);
        expr(fn, iterable->binary.right, it + 1);
        fn->top = it + 2;
        emit3(fn, CODE_COUNT, it, it + 1, 0, iterable->span);
    } else {
        int inner = fn->top, r = expr(fn, iterable, -1);
        fn->top = inner;
        int32_t pc = emit3(fn, CODE_ITERATE, it, r, 0, iterable->span);
        note_operand(fn, pc, 0, iterable);
    }
    if (!assigned)            /* a comprehension: its variables are its own */
        bind_target(fn, clause->target);
    loop_items(fn, clause, it, counted, body, to, assigned, span);
    fn->top = mark;
}

static void for_body(Fn *fn, void *to)
{
    block(fn, to, -1);
}

static void while_loop(Fn *fn, Node *node)
{
    Jumps start = {0}, top = {0};
    Loop loop;
    loop_enter(fn, &loop, fn->context);
    jump_to(fn, &start, CODE_JUMP, 0, node->span);
    int32_t body = fn->proto->n_code;
    Flow before = fn->flow;
    flow_loop(fn, node);
    Flow inside = fn->flow;
    block(fn, node->loop.body, -1);
    jumps_patch(fn, &loop.continues, fn->proto->n_code);
    jumps_patch(fn, &start, fn->proto->n_code);
    Flow after = fn->flow;
    fn->flow = inside;
    condition(fn, node->loop.clause.condition, true, &top);
    jumps_patch(fn, &top, body);
    fn->loop = loop.up;
    jumps_patch(fn, &loop.breaks, fn->proto->n_code);
    fn->flow = before;
    for (int i = 0; i < FLOW_WORDS; i++)
        fn->flow.maybe[i] |= after.maybe[i];
}

static void leave_loop(Fn *fn, Node *node)
{
    bool is_break = node->kind == NODE_BREAK;
    if (!fn->loop) {
        compile_error(fn->c, node->span, NULL, "%s outside a loop", is_break ? "break" : "continue");
        return;
    }
    context_leave(fn, fn->loop->inner, node->span);
    jump_to(fn, is_break ? &fn->loop->breaks : &fn->loop->continues, CODE_JUMP, 0, node->span);
    context_rejoin(fn, fn->loop->inner);
    fn->flow.dead = true;
}

static void return_statement(Fn *fn, Node *node)
{
    int mark = fn->top, r = -1;
    if (fn->kind == FN_MODULE || fn->kind == FN_CONSTRUCTOR) {
        compile_error(fn->c, node->span, NULL, "return outside a function");
        return;
    }
    if (node->unary.child) {
        r = fn->context ? expr(fn, node->unary.child, temp(fn)) : expr(fn, node->unary.child, -1);
    } else if (fn->contract) {
        r = temp(fn);
        load_fixed(fn, r, 0, node->span);
    }
    if (fn->contract)
        emit3(fn, CODE_CHECK_RESULT, r, 0, fn->contract_index, node->span);
    context_leave(fn, NULL, node->span);
    emit3(fn, r >= 0 ? CODE_RETURN : CODE_RETURN_FIXED, r >= 0 ? r : 0, 0, 0, node->span);
    context_rejoin(fn, NULL);
    fn->flow.dead = true;
    fn->top = mark;
}

/* ---- if and try ---- */

void if_value(Fn *fn, Node *node, int want)
{
    Jumps otherwise = {0}, end = {0};
    condition(fn, node->branch.condition, false, &otherwise);
    Flow before = fn->flow;
    block(fn, node->branch.then, want);
    Flow then = fn->flow;
    bool has_other = node->branch.otherwise || want >= 0;
    if (has_other && !then.dead)
        jump_to(fn, &end, CODE_JUMP, 0, node->span);
    jumps_patch(fn, &otherwise, fn->proto->n_code);
    fn->flow = before;
    if (node->branch.otherwise)
        statement(fn, node->branch.otherwise, want);
    else if (want >= 0)
        load_fixed(fn, want, 0, node->span);
    jumps_patch(fn, &end, fn->proto->n_code);
    flow_join(&fn->flow, &then);
}

/* Ends what [guard] covers, which jumps over the handler to [end], and begins the handler: it knows of a name what was
   known [before] or may have become known on the way. Returns the register of the error. */
static int begin_handler(Fn *fn, Context *guard, Flow before, Jumps *end, Span span)
{
    fn->context = guard->up;
    if (!fn->flow.dead)
        jump_to(fn, end, CODE_JUMP, 0, span);
    context_close(fn, guard, fn->proto->n_code);
    for (int i = 0; i < FLOW_WORDS; i++)
        before.maybe[i] |= fn->flow.maybe[i];
    fn->flow = before;
    int error = temp(fn);
    emit3(fn, CODE_CATCH, error, 0, 0, span);
    return error;
}

static void catch_part(Fn *fn, Node *node, int want)
{
    Context guard;
    Jumps end = {0};
    int mark = fn->top, n_bindings = fn->n_bindings;
    context_open(fn, &guard, HANDLER_CATCH, NULL, 0);
    Flow before = fn->flow;
    block(fn, node->attempt.body, want);
    Flow after = fn->flow;
    int error = begin_handler(fn, &guard, before, &end, node->span);
    if (node->attempt.name && !refuse_self(fn, node->attempt.name, node->span))
        bind(fn, compile_name(fn->c, node->attempt.name), error, false);
    block(fn, node->attempt.handler, want);
    unbind(fn, n_bindings);
    fn->top = mark;
    jumps_patch(fn, &end, fn->proto->n_code);
    flow_join(&fn->flow, &after);
}

void try_value(Fn *fn, Node *node, int want)
{
    Context guard;
    Jumps over = {0};
    if (!node->attempt.finally) {
        catch_part(fn, node, want);
        return;
    }
    context_open(fn, &guard, HANDLER_FINALLY, node->attempt.finally, 0);
    Flow before = fn->flow;
    if (node->attempt.handler)
        catch_part(fn, node, want);
    else
        block(fn, node->attempt.body, want);
    Flow after = fn->flow;
    int error = begin_handler(fn, &guard, before, &over, node->span);
    block(fn, node->attempt.finally, -1);
    emit3(fn, CODE_RETHROW, error, 0, 0, node->span);
    fn->top = error;
    jumps_patch(fn, &over, fn->proto->n_code);
    fn->flow = after;
    if (!after.dead)
        block(fn, node->attempt.finally, -1);
}

/* ---- the rest ---- */

static void assert_statement(Fn *fn, Node *node)
{
    Jumps fine = {0};
    Node *tested = node->binary.left;
    int mark = fn->top;
    condition(fn, tested, true, &fine);
    const char *text = fn->c->parse->source->text + tested->span.start;
    int k = constant_text(fn, text, tested->span.end - tested->span.start);
    if (node->binary.right) {
        int r = expr(fn, node->binary.right, -1);
        emit3(fn, CODE_ASSERT, r, 1, k, node->span);
    } else {
        emit3(fn, CODE_ASSERT, 0, 0, k, node->span);
    }
    jumps_patch(fn, &fine, fn->proto->n_code);
    fn->top = mark;
}

static void function_statement(Fn *fn, Node *node)
{
    const Function *function = node->function;
    int mark = fn->top;
    const char *name = compile_name(fn->c, function->name);
    if (fn->kind == FN_MODULE) {
        int to = temp(fn), proto = add_proto(fn, compile_function(fn, function, FN_NAMED, NULL, NULL));
        uint32_t slot = compile_slot(fn->c, name);
        emit3(fn, CODE_CLOSURE, to, 0, proto, node->span);
        emit_wide(fn, CODE_SET_FUNCTION, to, (int32_t)slot, node->span);
    } else {
        assign_name(fn, name, closure(fn, function, -1, node->span), node->span);
    }
    fn->top = mark;
}

static void option_statement(Fn *fn, Node *node)
{
    int mark = fn->top, r = temp(fn);
    if (fn->kind != FN_MODULE)
        compile_error(fn->c, node->span, NULL, "an option is declared outside functions");
    expr(fn, node->option.value, r);
    emit_wide(fn, CODE_OPTION, r, constant_text(fn, node->option.name, strlen(node->option.name)), node->span);
    assign_name(fn, node->option.name, r, node->span);
    fn->top = mark;
}

static void use_statement(Fn *fn, Node *node)
{
    int mark = fn->top, r = temp(fn);
    const char *path = node->use.file ? node->use.path : node->use.path ? node->use.path : node->use.name;
    emit_wide(fn, CODE_USE, r, constant_text(fn, path, strlen(path)), node->span);
    assign_name(fn, node->use.name, r, node->span);
    fn->top = mark;
}

static void expression_statement(Fn *fn, Node *node, int want)
{
    Node *child = node->kind == NODE_EXPR ? node->unary.child : node;
    int mark = fn->top;
    if (child->kind == NODE_IF)
        if_value(fn, child, want);
    else if (child->kind == NODE_TRY)
        try_value(fn, child, want);
    else if (child->kind == NODE_BLOCK)
        block(fn, child, want);
    else
        expr(fn, child, want);
    fn->top = mark;
}

static void throw_statement(Fn *fn, Node *node)
{
    int mark = fn->top;
    emit3(fn, CODE_THROW, expr(fn, node->unary.child, -1), 0, 0, node->span);
    fn->flow.dead = true;
    fn->top = mark;
}

static void loop_statement(Fn *fn, Node *node)
{
    int mark = fn->top;
    if (node->kind == NODE_WHILE)
        while_loop(fn, node);
    else
        for_loop(fn, &node->loop.clause, for_body, node->loop.body, node, node->span);
    fn->top = mark;
}

static void plain_statement(Fn *fn, Node *node)
{
    switch (node->kind) {
    case NODE_ASSIGN: assignment(fn, node); break;
    case NODE_WHILE:
    case NODE_FOR: loop_statement(fn, node); break;
    case NODE_BREAK:
    case NODE_CONTINUE: leave_loop(fn, node); break;
    case NODE_RETURN: return_statement(fn, node); break;
    case NODE_THROW: throw_statement(fn, node); break;
    case NODE_ASSERT: assert_statement(fn, node); break;
    case NODE_FN: function_statement(fn, node); break;
    case NODE_MODEL: model_statement(fn, node); break;
    case NODE_CELL: compile_error(fn->c, node->span, NULL, "param and buffer stand only in a model's body"); break;
    case NODE_USE: use_statement(fn, node); break;
    case NODE_OPTION: option_statement(fn, node); break;
    case NODE_TEST: compile_error(fn->c, node->span, NULL, "a test stands at the top level of a file"); break;
    default: compile_error(fn->c, node->span, NULL, "this is not a statement"); break;
    }
}

void statement(Fn *fn, Node *node, int want)
{
    mark_statement(fn, node);
    switch (node->kind) {
    case NODE_EXPR:
    case NODE_IF:
    case NODE_TRY:
    case NODE_BLOCK: expression_statement(fn, node, want); return;
    case NODE_ASSIGN:
    case NODE_WHILE:
    case NODE_FOR:
    case NODE_BREAK:
    case NODE_CONTINUE:
    case NODE_RETURN:
    case NODE_THROW:
    case NODE_ASSERT:
    case NODE_FN:
    case NODE_MODEL:
    case NODE_CELL:
    case NODE_USE:
    case NODE_OPTION:
    case NODE_TEST: break;
    default: expression_statement(fn, node, want); return;
    }
    plain_statement(fn, node);
    if (want >= 0 && !fn->flow.dead)
        load_fixed(fn, want, 0, node->span);
}

void block(Fn *fn, Node *node, int want)
{
    if (node->kind != NODE_BLOCK) {
        statement(fn, node, want);
        return;
    }
    int mark = fn->top;
    for (int i = 0; i < node->list.count; i++) {
        bool last = i == node->list.count - 1;
        statement(fn, node->list.at[i], last ? want : -1);
        fn->top = mark;
    }
    if (!node->list.count && want >= 0)
        load_fixed(fn, want, 0, node->span);
}
