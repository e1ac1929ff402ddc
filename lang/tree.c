/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Syntax trees as wholes: all children of a node, and whether two programs are the same. What a node holds beside its
   children is compared by same_self; how many children it has and of which sort must follow from that. */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "compile.h"

/* ---- children ---- */

static void visit_some(Node *node, NodeVisit *visit, void *to)
{
    if (node) visit(node, to);
}

static void visit_parameters(const Parameter *parameters, int count, NodeVisit *visit, void *to)
{
    for (int i = 0; i < count; i++) {
        visit_some(parameters[i].contract, visit, to);
        visit_some(parameters[i].fallback, visit, to);
    }
}

void tree_children(Node *node, NodeVisit *visit, void *to)
{
    switch (node->kind) {
    case NODE_FN:
    case NODE_LAMBDA:
        visit_parameters(node->function->parameters, node->function->n_parameters, visit, to);
        visit_some(node->function->result, visit, to);
        visit(node->function->body, to);
        break;
    case NODE_MODEL:
        visit_parameters(node->model.parameters, node->model.n_parameters, visit, to);
        for (int i = 0; i < node->model.body.count; i++) visit(node->model.body.at[i], to);
        break;
    case NODE_TEST: visit(node->test.body, to); break;
    case NODE_CONTRACT:
        for (int i = 0; i < node->contract.n_axes; i++) visit_some(node->contract.axes[i].size, visit, to);
        for (int i = 0; i < node->contract.items.count; i++) visit(node->contract.items.at[i], to);
        break;
    case NODE_ASSIGN:
        visit(node->assign.target, to);
        visit_some(node->assign.contract, visit, to);
        visit(node->assign.value, to);
        break;
    default: node_children(node, visit, to);
    }
}

/* ---- comparing ---- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_parameters(const Parameter *a, const Parameter *b, int count)
{
    for (int i = 0; i < count; i++)
        if (!same_text(a[i].name, b[i].name) || !a[i].contract != !b[i].contract || !a[i].fallback != !b[i].fallback
            || a[i].rest != b[i].rest || a[i].named_rest != b[i].named_rest)
            return false;
    return true;
}

static bool same_function(const Function *a, const Function *b)
{
    return same_text(a->name, b->name) && same_text(a->doc, b->doc) && a->n_parameters == b->n_parameters
           && !a->result == !b->result && same_parameters(a->parameters, b->parameters, a->n_parameters);
}

static bool same_contract(const Node *a, const Node *b)
{
    if (a->contract.kind != b->contract.kind || !same_text(a->contract.word, b->contract.word)
        || a->contract.n_axes != b->contract.n_axes)
        return false;
    for (int i = 0; i < a->contract.n_axes; i++) {
        const Axis *x = &a->contract.axes[i], *y = &b->contract.axes[i];
        if (x->kind != y->kind || !same_text(x->name, y->name) || x->or_one != y->or_one || x->forced != y->forced)
            return false;
    }
    return true;
}

static bool same_call(const Node *a, const Node *b)
{
    if (a->call.count != b->call.count) return false;
    for (int i = 0; i < a->call.count; i++)
        if (!same_text(a->call.args[i].name, b->call.args[i].name)) return false;
    return true;
}

static bool same_clauses(const Node *a, const Node *b)
{
    if (a->comprehension.count != b->comprehension.count || !a->comprehension.key != !b->comprehension.key) return false;
    for (int i = 0; i < a->comprehension.count; i++)
        if (!a->comprehension.clauses[i].condition != !b->comprehension.clauses[i].condition) return false;
    return true;
}

static bool same_declaration(const Node *a, const Node *b)
{
    switch (a->kind) {
    case NODE_FN: case NODE_LAMBDA: return same_function(a->function, b->function);
    case NODE_MODEL:
        return same_text(a->model.name, b->model.name) && same_text(a->model.doc, b->model.doc)
               && a->model.n_parameters == b->model.n_parameters
               && same_parameters(a->model.parameters, b->model.parameters, a->model.n_parameters);
    case NODE_CELL: return same_text(a->cell.name, b->cell.name) && a->cell.is_param == b->cell.is_param;
    case NODE_USE:
        return same_text(a->use.path, b->use.path) && same_text(a->use.name, b->use.name) && a->use.file == b->use.file;
    case NODE_OPTION: return same_text(a->option.name, b->option.name) && same_text(a->option.help, b->option.help);
    case NODE_TEST: return same_text(a->test.title, b->test.title);
    default: return true;
    }
}

static bool same_self(const Node *a, const Node *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case NODE_INT: return a->integer == b->integer;
    case NODE_FLOAT: return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case NODE_BOOL: return a->boolean == b->boolean;
    case NODE_STRING:
        return a->string.length == b->string.length
               && (a->string.length == 0 || memcmp(a->string.text, b->string.text, a->string.length) == 0);
    case NODE_FORMAT_ITEM: return same_text(a->item.spec, b->item.spec);
    case NODE_NAME: return same_text(a->name, b->name);
    case NODE_UNARY: return a->unary.op == b->unary.op;
    case NODE_EXPR: return a->unary.muted == b->unary.muted;
    case NODE_BINARY: return a->binary.op == b->binary.op;
    case NODE_COMPARE:
        return a->compare.count == b->compare.count
               && memcmp(a->compare.ops, b->compare.ops, (size_t)(a->compare.count - 1) * sizeof *a->compare.ops) == 0;
    case NODE_CALL: return same_call(a, b);
    case NODE_SLICE:
        return !a->slice.start == !b->slice.start && !a->slice.stop == !b->slice.stop && !a->slice.step == !b->slice.step;
    case NODE_MEMBER: return same_text(a->member.name, b->member.name);
    case NODE_COMPREHENSION: return same_clauses(a, b);
    case NODE_TRY:
        return same_text(a->attempt.name, b->attempt.name) && !a->attempt.handler == !b->attempt.handler
               && !a->attempt.finally == !b->attempt.finally;
    case NODE_ASSIGN:
        return a->assign.op == b->assign.op && a->assign.muted == b->assign.muted
               && !a->assign.contract == !b->assign.contract;
    case NODE_CONTRACT: return same_contract(a, b);
    default: return same_declaration(a, b);
    }
}

typedef struct Comparer {     /* a stack of nodes: the children of the pairs that are open */
    Node **at;
    int count, room;
    bool no_memory;
} Comparer;

static void collect(Node *node, void *to)
{
    Comparer *c = to;
    if (c->count == c->room) {
        int room = c->room ? c->room * 2 : 256;
        Node **wider = c->room < 1 << 28 ? realloc(c->at, (size_t)room * sizeof *wider) : NULL;
        if (!wider) {
            c->no_memory = true;
            return;
        }
        c->at = wider;
        c->room = room;
    }
    c->at[c->count++] = node;
}

static bool same(Comparer *c, Node *a, Node *b);

/* The nodes from [first] to [middle] against those from there to the end. */
static bool same_halves(Comparer *c, int first, int middle)
{
    int count = middle - first;
    bool fine = !c->no_memory && c->count - middle == count;
    for (int i = 0; i < count && fine; i++) fine = same(c, c->at[first + i], c->at[middle + i]);
    c->count = first;
    return fine;
}

static bool same(Comparer *c, Node *a, Node *b)
{
    int first = c->count;
    if (!same_self(a, b)) return false;
    tree_children(a, collect, c);
    int middle = c->count;
    tree_children(b, collect, c);
    return same_halves(c, first, middle);
}

TreeAnswer tree_compare(const Parse *a, const Parse *b)
{
    Comparer c = {0};
    for (int i = 0; i < a->statements.count; i++) collect(a->statements.at[i], &c);
    int middle = c.count;
    for (int i = 0; i < b->statements.count; i++) collect(b->statements.at[i], &c);
    bool fine = same_halves(&c, 0, middle);
    free(c.at);
    return fine ? TREE_SAME : c.no_memory ? TREE_NO_MEMORY : TREE_DIFFERENT;
}
