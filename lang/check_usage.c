/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tree alone tells: statements that nothing reaches, values that nobody asks for, and changes to a copy that
   nobody reads. All are warnings. A name's reads are counted wherever it is mentioned, in inner functions too, so that
   what is said is certain. */
#include <string.h>

#include "check.h"
#include "compile.h"

/* ---- changes that nobody reads ---- */

typedef struct Change {
    const char *name;
    Span span;
    uint32_t loop;            /* where the outermost loop around it begins; UINT32_MAX: there is none */
    bool part;                /* xs[i] = v; else x += v */
} Change;

typedef struct Read { const char *name; uint32_t at; } Read;

typedef struct Usage {
    Checker *c;
    Unit *unit;
    Change *change;
    int n_changes, change_room;
    Read *read;
    int n_reads, read_room;
    uint32_t loop;
    bool silent;              /* inside another function, or a try with a handler: a test of what fails, perhaps */
} Usage;

static void add_read(Usage *u, const char *name, uint32_t at)
{
    Read *wider = check_grow(u->c, u->read, u->n_reads, &u->read_room, sizeof *wider);
    if (!wider)
        return;
    u->read = wider;
    u->read[u->n_reads++] = (Read){name, at};
}

static void add_change(Usage *u, const char *name, Span span, bool part)
{
    Change *wider = check_grow(u->c, u->change, u->n_changes, &u->change_room, sizeof *wider);
    if (!wider || u->silent)
        return;
    u->change = wider;
    u->change[u->n_changes++] = (Change){name, span, u->loop, part};
}

static void find_uses(Node *node, void *to);

/* The root of a target whose steps are all [ ]; the subscripts are read. NULL: an object may be meant. */
static Node *indexed_root(Node *target)
{
    while (target->kind == NODE_INDEX)
        target = target->index.value;
    return target->kind == NODE_NAME ? target : NULL;
}

static void target_uses(Usage *u, Node *target, Node *assign)
{
    Node *root = target->kind == NODE_INDEX ? indexed_root(target) : NULL;
    if (target->kind == NODE_NAME) {
        if (assign->assign.op != OPERATOR_NONE)
            add_change(u, target->name, assign->span, false);
    } else if (root) {
        for (Node *at = target; at->kind == NODE_INDEX; at = at->index.value)
            for (int i = 0; i < at->index.subscripts.count; i++)
                find_uses(at->index.subscripts.at[i], u);
        add_change(u, root->name, assign->span, true);
    } else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST) {
        for (int i = 0; i < target->list.count; i++)
            target_uses(u, target->list.at[i], assign);
    } else if (target->kind == NODE_SPREAD) {
        target_uses(u, target->unary.child, assign);
    } else {
        find_uses(target, u);
    }
}

static void find_uses(Node *node, void *to)
{
    Usage *u = to;
    uint32_t loop = u->loop;
    bool loops = node->kind == NODE_FOR || node->kind == NODE_WHILE || node->kind == NODE_COMPREHENSION;
    if (loops && loop == UINT32_MAX)
        u->loop = node->span.start;
    if (node->kind == NODE_NAME) {
        add_read(u, node->name, node->span.start);
    } else if (node->kind == NODE_ASSIGN) {
        if (node->assign.contract)
            find_uses(node->assign.contract, u);
        find_uses(node->assign.value, u);
        target_uses(u, node->assign.target, node);
    } else if (node->kind == NODE_FOR) {
        find_uses(node->loop.clause.iterable, u);
        find_uses(node->loop.body, u);
    } else {
        bool silent = u->silent;
        u->silent = silent || node->kind == NODE_LAMBDA || node->kind == NODE_FN ||
                    (node->kind == NODE_TRY && node->attempt.handler);
        tree_children(node, find_uses, u);
        u->silent = silent;
    }
    u->loop = loop;
}

static bool is_read_after(const Usage *u, const Change *change)
{
    for (int i = 0; i < u->n_reads; i++) {
        const Read *read = &u->read[i];
        if (read->name == change->name && (read->at >= change->span.end || read->at >= change->loop))
            return true;
    }
    return false;
}

static bool is_parameter(const Function *function, const char *name)
{
    for (int i = 0; i < function->n_parameters; i++)
        if (function->parameters[i].name == name)
            return true;
    return false;
}

typedef struct Assigned { const char **at; int n, room; Checker *c; } Assigned;

static void note_assigned(void *to, const char *name, Origin origin)
{
    Assigned *list = to;
    if (origin != ORIGIN_ASSIGNED && origin != ORIGIN_LOOP)
        return;
    const char **wider = check_grow(list->c, list->at, list->n, &list->room, sizeof *wider);
    if (!wider)
        return;
    list->at = wider;
    list->at[list->n++] = name;
}

static bool has_name(const Assigned *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (list->at[i] == name)
            return true;
    return false;
}

static bool is_read(const Usage *u, const char *name)
{
    for (int i = 0; i < u->n_reads; i++)
        if (u->read[i].name == name)
            return true;
    return false;
}

static void warn_changes(Usage *u, const Function *function, const Assigned *own)
{
    for (int i = 0; i < u->n_changes; i++) {
        const Change *change = &u->change[i];
        bool parameter = is_parameter(function, change->name);
        if ((!parameter && !has_name(own, change->name)) || is_read_after(u, change))
            continue;
        const char *hint = parameter ? "the caller's value stays as it is: give back the changed one"
                                     : "assigning copies: only this variable has changed";
        check_warn(u->c, u->unit, change->span, "unread", hint, "%s is changed here and never read", change->name);
    }
}

static void parameter_children(const Function *function, NodeVisit *visit, void *to)
{
    for (int i = 0; i < function->n_parameters; i++) {
        if (function->parameters[i].contract)
            visit(function->parameters[i].contract, to);
        if (function->parameters[i].fallback)
            visit(function->parameters[i].fallback, to);
    }
}

typedef struct Outside { struct Outside *up; const Function *function; const Assigned *own; } Outside;

static bool is_outside(const Usage *u, const Outside *outside, const char *name)
{
    for (; outside; outside = outside->up)
        if (is_parameter(outside->function, name) || has_name(outside->own, name))
            return true;
    for (int i = 0; i < u->unit->n_surveyed; i++)
        if (u->unit->global[i].name == name)
            return u->unit->global[i].assigned > 0;
    return false;
}

typedef struct Wanted { const char *name; const Node *found; } Wanted;

static void find_assignment(Node *node, void *to)
{
    Wanted *wanted = to;
    if (wanted->found)
        return;
    if (node->kind == NODE_ASSIGN && node->assign.target->kind == NODE_NAME && node->assign.target->name == wanted->name)
        wanted->found = node;
    else if (node->kind != NODE_LAMBDA && node->kind != NODE_FN)
        node_children(node, find_assignment, to);
}

/* A variable of the function's own that hides one outside and is never read: the one outside was meant. */
static void warn_hiding(Usage *u, const Function *function, const Assigned *own, const Outside *outside)
{
    for (int i = 0; i < own->n; i++) {
        const char *name = own->at[i];
        bool again = false;
        for (int k = 0; k < i; k++)
            again = again || own->at[k] == name;
        if (again || name[0] == '_' || is_parameter(function, name) || is_read(u, name) ||
            !is_outside(u, outside, name))
            continue;
        Wanted wanted = {.name = name};
        find_assignment(function->body, &wanted);
        if (wanted.found)
            check_warn(u->c, u->unit, wanted.found->span, "unread",
                       "a function changes only its own variables: give the new value back",
                       "%s is assigned here and never read; the %s outside stays as it is", name, name);
    }
}

/* ---- statements ---- */

static bool has_effect(const Node *node)
{
    switch (node->kind) {
    case NODE_INT:
    case NODE_FLOAT:
    case NODE_BOOL:
    case NODE_NONE:
    case NODE_DONE:
    case NODE_NAME:
    case NODE_LAMBDA:
    case NODE_RANGE: return false;
    case NODE_UNARY: return has_effect(node->unary.child);
    case NODE_BINARY: return has_effect(node->binary.left) || has_effect(node->binary.right);
    case NODE_COMPARE:
        for (int i = 0; i < node->compare.count; i++)
            if (has_effect(node->compare.operands[i]))
                return true;
        return false;
    case NODE_MEMBER: return has_effect(node->member.value);
    case NODE_INDEX: return has_effect(node->index.value);
    default: return true;
    }
}

static bool is_equality(const Node *node)
{
    return node->kind == NODE_COMPARE && node->compare.count == 2 && node->compare.ops[0] == OPERATOR_EQ;
}

static void check_value_used(Usage *u, const Node *node)
{
    if (node->kind != NODE_EXPR || has_effect(node->unary.child))
        return;
    const Node *child = node->unary.child;
    if (is_equality(child))
        check_warn(u->c, u->unit, child->span, "no-effect", "= assigns; assert a == b checks",
                   "this compares, and nobody uses the outcome");
    else
        check_warn(u->c, u->unit, child->span, "no-effect", NULL, "nobody uses this value");
}

static bool leaves(const Node *node)
{
    return node->kind == NODE_RETURN || node->kind == NODE_BREAK || node->kind == NODE_CONTINUE ||
           node->kind == NODE_THROW;
}

static void check_uses(Usage *u, Node *node, bool wanted);

static void block_uses(Usage *u, Node *node, bool wanted)
{
    if (node->kind != NODE_BLOCK) {
        check_uses(u, node, wanted);
        return;
    }
    bool said = false;
    for (int i = 0; i < node->list.count; i++) {
        Node *at = node->list.at[i];
        bool last = i == node->list.count - 1;
        if (i > 0 && leaves(node->list.at[i - 1]) && !said) {
            static const char *const words[] = {"break", "continue", "return", "throw"};
            said = true;
            check_warn(u->c, u->unit, at->span, "unreachable", NULL, "nothing gets here after the %s",
                       words[node->list.at[i - 1]->kind - NODE_BREAK]);
        }
        if (!last || !wanted)
            check_value_used(u, at);
        check_uses(u, at, last && wanted);
    }
}

/* A statement in a function; [wanted]: its value is. */
static void check_uses(Usage *u, Node *node, bool wanted)
{
    switch (node->kind) {
    case NODE_EXPR: check_uses(u, node->unary.child, wanted); break;
    case NODE_BLOCK: block_uses(u, node, wanted); break;
    case NODE_IF:
        block_uses(u, node->branch.then, wanted);
        if (node->branch.otherwise)
            block_uses(u, node->branch.otherwise, wanted);
        break;
    case NODE_TRY:
        block_uses(u, node->attempt.body, wanted);
        if (node->attempt.handler)
            block_uses(u, node->attempt.handler, wanted);
        if (node->attempt.finally)
            block_uses(u, node->attempt.finally, false);
        break;
    case NODE_FOR:
    case NODE_WHILE: block_uses(u, node->loop.body, false); break;
    default: break;
    }
}

/* ---- functions ---- */

typedef struct Walk { Usage *u; Outside *outside; } Walk;

static void walk(Node *node, void *to);

static void function_uses(Walk *w, const Function *function)
{
    Usage u = {.c = w->u->c, .unit = w->u->unit, .loop = UINT32_MAX};
    Assigned own = {.c = u.c};
    find_uses(function->body, &u);
    if (function->result)
        find_uses(function->result, &u);
    parameter_children(function, find_uses, &u);
    collect_assigned(function->body, note_assigned, &own);
    warn_changes(&u, function, &own);
    warn_hiding(&u, function, &own, w->outside);
    block_uses(&u, function->body, true);
    Outside here = {w->outside, function, &own};
    Walk inner = {w->u, &here};
    parameter_children(function, walk, &inner);
    walk(function->body, &inner);
}

static void walk(Node *node, void *to)
{
    if (node->kind == NODE_FN || node->kind == NODE_LAMBDA)
        function_uses(to, node->function);
    else
        tree_children(node, walk, to);
}

void usage_check(Checker *c, Unit *unit)
{
    Usage u = {.c = c, .unit = unit, .loop = UINT32_MAX};
    Walk w = {&u, NULL};
    for (int i = 0; i < unit->parse->statements.count; i++) {
        Node *node = unit->parse->statements.at[i];
        walk(node, &w);
        if (node->kind == NODE_EXPR && is_equality(node->unary.child) && i < unit->parse->statements.count - 1)
            check_value_used(&u, node);
        if (node->kind == NODE_FOR || node->kind == NODE_WHILE)
            block_uses(&u, node->loop.body, false);
    }
}
