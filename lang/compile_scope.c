/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names and flow for the compiler: where a name is found, what lambdas capture, and which locals are assigned where.
   Lookup: local, own function, field, captured, module. Everything weaker (builtins, standard modules) is found at run
   time through the module's slot. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

Binding *bind(Fn *fn, const char *name, int reg, bool tracked)
{
    if (!array_grow(fn->c, (void **)&fn->binding, &fn->binding_room, fn->n_bindings, sizeof *fn->binding))
        return NULL;
    Binding *binding = &fn->binding[fn->n_bindings++];
    *binding = (Binding){.name = name, .reg = reg, .from = fn->proto->n_code, .tracked = tracked};
    return binding;
}

void unbind(Fn *fn, int count)
{
    Proto *p = fn->proto;
    for (int i = count; i < fn->n_bindings; i++) {
        const Binding *binding = &fn->binding[i];
        if (!array_grow(fn->c, (void **)&p->names, &fn->name_room, p->n_names, sizeof *p->names))
            break;
        p->names[p->n_names++] = (LocalName){binding->name, binding->reg, binding->from, p->n_code};
    }
    fn->n_bindings = count;
}

bool refuse_self(Fn *fn, const char *name, Span span)
{
    if (!fn->model || strcmp(name, "self") != 0)
        return false;
    compile_error(fn->c, span, "give the variable another name; fields are written as self.x = e",
                  "self is the object, and stays it");
    return true;
}

/* ---- walking the tree ---- */

static void visit_list(const NodeList *list, NodeVisit *visit, void *to)
{
    for (int i = 0; i < list->count; i++)
        visit(list->at[i], to);
}

static void visit_some(Node *node, NodeVisit *visit, void *to)
{
    if (node)
        visit(node, to);
}

static void visit_clause(const ForClause *clause, NodeVisit *visit, void *to)
{
    visit_some(clause->target, visit, to);
    visit_some(clause->iterable, visit, to);
    visit_some(clause->condition, visit, to);
}

static void visit_compound(Node *node, NodeVisit *visit, void *to)
{
    switch (node->kind) {
    case NODE_COMPARE:
        for (int i = 0; i < node->compare.count; i++)
            visit(node->compare.operands[i], to);
        break;
    case NODE_CALL:
        visit(node->call.callee, to);
        for (int i = 0; i < node->call.count; i++)
            visit(node->call.args[i].value, to);
        break;
    case NODE_COMPREHENSION:
        for (int i = 0; i < node->comprehension.count; i++)
            visit_clause(&node->comprehension.clauses[i], visit, to);
        visit_some(node->comprehension.key, visit, to);
        visit(node->comprehension.element, to);
        break;
    case NODE_INDEX:
        visit(node->index.value, to);
        visit_list(&node->index.subscripts, visit, to);
        break;
    case NODE_SLICE:
        visit_some(node->slice.start, visit, to);
        visit_some(node->slice.stop, visit, to);
        visit_some(node->slice.step, visit, to);
        break;
    case NODE_IF:
        visit(node->branch.condition, to);
        visit(node->branch.then, to);
        visit_some(node->branch.otherwise, visit, to);
        break;
    case NODE_TRY:
        visit(node->attempt.body, to);
        visit_some(node->attempt.handler, visit, to);
        visit_some(node->attempt.finally, visit, to);
        break;
    default: break;
    }
}

void node_children(Node *node, NodeVisit *visit, void *to)
{
    switch (node->kind) {
    case NODE_FORMAT:
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_MAP:
    case NODE_BLOCK: visit_list(&node->list, visit, to); break;
    case NODE_FORMAT_ITEM: visit(node->item.value, to); break;
    case NODE_SPREAD:
    case NODE_UNARY:
    case NODE_EXPR:
    case NODE_RETURN:
    case NODE_THROW: visit_some(node->unary.child, visit, to); break;
    case NODE_ENTRY:
    case NODE_RANGE:
    case NODE_BINARY:
    case NODE_PIPE:
    case NODE_ASSERT:
        visit(node->binary.left, to);
        visit_some(node->binary.right, visit, to);
        break;
    case NODE_MEMBER: visit(node->member.value, to); break;
    case NODE_ASSIGN:
        visit(node->assign.target, to);
        visit(node->assign.value, to);
        break;
    case NODE_WHILE:
    case NODE_FOR:
        visit_clause(&node->loop.clause, visit, to);
        visit(node->loop.body, to);
        break;
    case NODE_CELL: visit(node->cell.value, to); break;
    case NODE_OPTION: visit(node->option.value, to); break;
    default: visit_compound(node, visit, to); break;
    }
}

typedef struct Finder { NameFound *found; void *to; } Finder;

static void find_targets(Node *target, Finder *finder, Origin origin)
{
    if (target->kind == NODE_NAME)
        finder->found(finder->to, target->name, origin);
    else if (target->kind == NODE_SPREAD)
        find_targets(target->unary.child, finder, origin);
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            find_targets(target->list.at[i], finder, origin);
}

static void find_assigned(Node *node, void *to)
{
    Finder *finder = to;
    switch (node->kind) {
    case NODE_ASSIGN:
        if (node->assign.op == OPERATOR_NONE)
            find_targets(node->assign.target, finder, ORIGIN_ASSIGNED);
        break;
    case NODE_FOR: find_targets(node->loop.clause.target, finder, ORIGIN_LOOP); break;
    case NODE_CELL:
        finder->found(finder->to, node->cell.name, node->cell.is_param ? ORIGIN_PARAM : ORIGIN_BUFFER);
        break;
    case NODE_FN: finder->found(finder->to, node->function->name, ORIGIN_FUNCTION); return;
    case NODE_USE: finder->found(finder->to, node->use.name, ORIGIN_ASSIGNED); return;
    case NODE_OPTION: finder->found(finder->to, node->option.name, ORIGIN_ASSIGNED); return;
    case NODE_LAMBDA:
    case NODE_MODEL:
    case NODE_TEST: return;
    default: break;
    }
    node_children(node, find_assigned, to);
}

void collect_assigned(Node *node, NameFound *found, void *to)
{
    Finder finder = {found, to};
    find_assigned(node, &finder);
}

static void found_any(void *to, const char *name, Origin origin)
{
    (void)name;
    (void)origin;
    *(bool *)to = true;
}

bool may_assign(Node *node)
{
    bool found = false;
    if (node->kind != NODE_NAME && node->kind != NODE_INT && node->kind != NODE_FLOAT && node->kind != NODE_STRING)
        collect_assigned(node, found_any, &found);
    return found;
}

static void found_local(void *to, const char *name, Origin origin)
{
    Fn *fn = to;
    const char *kept = compile_name(fn->c, name);
    for (int i = 0; i < fn->n_bindings; i++)
        if (fn->binding[i].name == kept)
            return;
    if (fn->model && fn->kind != FN_CONSTRUCTOR && origin != ORIGIN_FUNCTION && model_field(fn->model, kept) >= 0)
        return;               /* stays the field: assigning it is an error that says so */
    Binding *binding = bind(fn, kept, fn->n_locals++, true);
    if (binding)
        binding->is_function = origin == ORIGIN_FUNCTION;
}

void collect_locals(Fn *fn, Node *body)
{
    collect_assigned(body, found_local, fn);
    if (fn->n_locals > 50000)
        compile_error(fn->c, body->span, NULL, "this function has too many variables");
}

/* ---- flow ---- */

#define FLOW_LIMIT (FLOW_WORDS * 64)

void flow_assign(Fn *fn, int reg)
{
    if (reg < FLOW_LIMIT) {
        fn->flow.definite[reg / 64] |= (uint64_t)1 << (reg % 64);
        fn->flow.maybe[reg / 64] |= (uint64_t)1 << (reg % 64);
    }
}

bool flow_definite(const Fn *fn, int reg)
{
    return fn->flow.dead || (reg < FLOW_LIMIT && (fn->flow.definite[reg / 64] >> (reg % 64) & 1));
}

bool flow_maybe(const Fn *fn, int reg)
{
    return fn->flow.dead || reg >= FLOW_LIMIT || (fn->flow.maybe[reg / 64] >> (reg % 64) & 1);
}

void flow_join(Flow *into, const Flow *other)
{
    if (other->dead)
        return;
    if (into->dead) {
        *into = *other;
        return;
    }
    for (int i = 0; i < FLOW_WORDS; i++) {
        into->definite[i] &= other->definite[i];
        into->maybe[i] |= other->maybe[i];
    }
}

static void found_maybe(void *to, const char *name, Origin origin)
{
    Fn *fn = to;
    (void)origin;
    const char *kept = compile_name(fn->c, name);
    for (int i = 0; i < fn->n_bindings; i++)
        if (fn->binding[i].name == kept && fn->binding[i].reg < FLOW_LIMIT)
            fn->flow.maybe[fn->binding[i].reg / 64] |= (uint64_t)1 << (fn->binding[i].reg % 64);
}

void flow_loop(Fn *fn, Node *body)
{
    if (body && fn->kind != FN_MODULE)
        collect_assigned(body, found_maybe, fn);
}

/* ---- lookup ---- */

static int capture_index(Fn *fn, const char *name, bool late, uint32_t slot)
{
    for (int i = 0; i < fn->proto->n_captures; i++)
        if (fn->capture[i].name == name)
            return i;
    if (!array_grow(fn->c, (void **)&fn->capture, &fn->capture_room, fn->proto->n_captures, sizeof *fn->capture))
        return 0;
    fn->capture[fn->proto->n_captures] = (Capture){.name = name, .late = late, .slot = slot};
    return fn->proto->n_captures++;
}

static NameRef global_ref(Fn *fn, const char *name)
{
    return (NameRef){.kind = NAME_GLOBAL, .slot = compile_slot(fn->c, name)};
}

/* In a constructor a lambda copies the field's value, like any variable: it could not be stored otherwise. */
static FnKind owner_kind(const Fn *fn)
{
    while (fn->kind == FN_LAMBDA && fn->up)
        fn = fn->up;
    return fn->kind;
}

NameRef resolve(Fn *fn, const char *name, Span span)
{
    for (int i = fn->n_bindings - 1; i >= 0; i--)
        if (fn->binding[i].name == name)
            return (NameRef){.kind = NAME_LOCAL, .reg = fn->binding[i].reg, .tracked = fn->binding[i].tracked,
                             .is_function = fn->binding[i].is_function};
    if (fn->own_name == name)
        return (NameRef){.kind = NAME_OWN};
    int field = fn->model && fn->kind != FN_LAMBDA ? model_field(fn->model, name) : -1;
    if (field >= 0)
        return (NameRef){.kind = NAME_FIELD, .reg = 0, .index = field};
    if (fn->kind != FN_LAMBDA || !fn->up)
        return global_ref(fn, name);
    NameRef outer = resolve(fn->up, name, span);
    if (outer.kind == NAME_FIELD && owner_kind(fn) == FN_METHOD) {
        /* the object is captured, not the field: a field may change until it is read */
        const char *self = compile_name(fn->c, "self");
        return (NameRef){.kind = NAME_FIELD, .reg = -1 - capture_index(fn, self, false, 0), .index = outer.index};
    }
    bool late = outer.kind == NAME_GLOBAL || outer.kind == NAME_LATE;
    return (NameRef){.kind = late ? NAME_LATE : NAME_CAPTURE, .index = capture_index(fn, name, late, outer.slot),
                     .slot = outer.slot};
}

void load_raw(Fn *fn, const char *name, int to, Span span)
{
    NameRef ref = resolve(fn, name, span);
    switch (ref.kind) {
    case NAME_LOCAL:
        if (ref.tracked && !flow_definite(fn, ref.reg))
            fn->needs_clear = true;
        emit3(fn, CODE_MOVE, to, ref.reg, 0, span);
        break;
    case NAME_OWN: emit3(fn, CODE_OWN_FUNCTION, to, 0, 0, span); break;
    case NAME_FIELD: load_name(fn, name, to, span); break;
    case NAME_CAPTURE:
    case NAME_LATE: emit3(fn, CODE_COPY_CAPTURE, to, ref.index, 0, span); break;
    case NAME_GLOBAL: emit_wide(fn, CODE_GET_VARIABLE, to, (int32_t)ref.slot, span); break;
    }
}
