/* SPDX-License-Identifier: GPL-3.0-or-later */
/* :graph: runs code as if gradients were asked for by every float tensor and parameter that it can see, and shows what
   was recorded, from the result down to those. Variables are what they were afterwards, on errors too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "walk.h"

#define GRAPH_ROWS 300
#define GRAPH_DEPTH 40

/* A value whose place holds a leaf while the code runs. */
typedef struct Lent { Value *at; Object *object; Value before; Tensor *leaf; char name[96]; } Lent;

typedef struct Graph {
    CommandCall *call;
    Vm *vm;
    Lent *lent;
    int count, room;
    PointerSet seen;          /* slots' functions and objects that were looked at; then nodes that were shown */
    const GradNode **order;   /* nodes by number, as they are met */
    int n_nodes, node_room, rows;
    Text out;
    bool failed;
} Graph;

/* ---- lending leaves ---- */

static bool lend(Graph *graph, Value *at, Object *object, const char *name)
{
    if (at->tag != TAG_TENSOR || dtype_class((Dtype)at->tensor->dtype) != CLASS_FLOAT) return true;
    if (graph->count == graph->room) {
        int room = graph->room ? graph->room * 2 : 32;
        Lent *wider = realloc(graph->lent, (size_t)room * sizeof *wider);
        if (!wider) return vm_out_of_memory(graph->vm);
        graph->lent = wider;
        graph->room = room;
    }
    Tensor *leaf = grad_leaf(&graph->vm->tensors, at->tensor);
    if (!leaf) return false;
    Lent *lent = &graph->lent[graph->count++];
    *lent = (Lent){.at = at, .object = object, .before = *at, .leaf = tensor_retain(leaf)};
    snprintf(lent->name, sizeof lent->name, "%s", name);
    if (object) value_retain((Value){.tag = TAG_OBJECT, .object = object});
    *at = (Value){.tag = TAG_TENSOR, .tensor = leaf};
    return true;
}

/* What the code itself stored meanwhile stays. */
static void give_back(Graph *graph)
{
    for (int i = graph->count - 1; i >= 0; i--) {
        Lent *lent = &graph->lent[i];
        if (lent->at->tag == TAG_TENSOR && lent->at->tensor == lent->leaf) value_set(lent->at, lent->before);
        else value_release(lent->before);
    }
}

static bool lend_value(Graph *graph, Value *at, const char *name)
{
    char path[96];
    if (at->tag != TAG_OBJECT) return lend(graph, at, NULL, name);
    CellList cells = {0};
    bool fine = walk_cells(graph->vm, *at, WALK_PARAMS, &cells);
    for (int i = 0; fine && i < cells.count; i++) {
        bool added;
        Value *cell = &cells.at[i].object->field[cells.at[i].field];
        snprintf(path, sizeof path, "%.30s.%.60s", name, cells.at[i].path);
        if (!pointer_set_add(&graph->seen, cell, &added)) fine = vm_out_of_memory(graph->vm);
        else if (added) fine = lend(graph, cell, cells.at[i].object, path);
    }
    cells_clear(&cells);
    return fine;
}

static bool lend_globals(Graph *graph, const Proto *proto, int depth);

static bool lend_slot(Graph *graph, Slot *slot, int depth)
{
    bool added;
    if (!pointer_set_add(&graph->seen, slot->name, &added)) return vm_out_of_memory(graph->vm);
    if (!added) return true;
    if (!lend_value(graph, &slot->value, slot->name)) return false;
    Value f = slot->value.tag == TAG_FUNCTION ? slot->value : slot->function;
    if (f.tag != TAG_FUNCTION || f.function->kind != FUNCTION_CLOSURE) return true;
    return lend_globals(graph, f.function->proto, depth + 1);
}

/* Every variable of the session that the code reads, through the session's own functions too. */
static bool lend_globals(Graph *graph, const Proto *proto, int depth)
{
    Module *module = graph->vm->main;
    bool fine = true;
    if (proto->module != module || depth > GRAPH_DEPTH) return true;
    for (int pc = 0; fine && pc < proto->n_code; pc++) {
        const Code w = proto_code(proto, pc);
        Opcode op = CODE_OP(w);
        if (op == CODE_GET_GLOBAL || op == CODE_GET_CALLEE || op == CODE_GET_VARIABLE)
            fine = lend_slot(graph, &module->slot[CODE_WIDE(w)], depth);
        else if (op == CODE_LATE_CAPTURE || op == CODE_CALLEE_CAPTURE || op == CODE_CALLEE_LOCAL)
            fine = lend_slot(graph, &module->slot[CODE_C(w)], depth);
    }
    for (int i = 0; fine && i < proto->n_protos; i++) fine = lend_globals(graph, proto->protos[i], depth + 1);
    return fine;
}

/* ---- showing ---- */

static const char *leaf_name(const Graph *graph, const GradNode *node)
{
    for (int i = 0; i < graph->count; i++)
        if (graph->lent[i].leaf->node == node) return graph->lent[i].name;
    return NULL;
}

/* Its number; *added when it is met the first time. */
static int number_of(Graph *graph, const GradNode *node, bool *added)
{
    *added = false;
    if (!pointer_set_add(&graph->seen, node, added)) graph->failed = true;
    if (!*added)
        for (int i = 0; i < graph->n_nodes; i++)
            if (graph->order[i] == node) return i + 1;
    if (graph->n_nodes == graph->node_room) {
        int room = graph->node_room ? graph->node_room * 2 : 64;
        const GradNode **wider = realloc(graph->order, (size_t)room * sizeof *wider);
        if (!wider) {
            graph->failed = true;
            return 0;
        }
        graph->order = wider;
        graph->node_room = room;
    }
    graph->order[graph->n_nodes++] = node;
    return graph->n_nodes;
}

static int recorded_inputs(const GradNode *node)
{
    int count = 0;
    for (int i = 0; i < grad_node_inputs(node); i++) count += grad_node_input(node, i) != NULL;
    return count;
}

static void add_constants(Graph *graph, const GradNode *node)
{
    char type[96];
    const char *word = "  with ";
    for (int i = 0; i < grad_node_inputs(node); i++)
        if (!grad_node_input(node, i)) {
            grad_node_input_type(node, i, type, sizeof type);
            text_format(&graph->out, "%s%s", word, type);
            word = ", ";
        }
}

/* A node whose record has one source stands above it in the same column, so that long chains stay narrow. */
static void add_tree(Graph *graph, const GradNode *node, int depth)
{
    while (node && !graph->failed) {
        char type[96];
        bool added;
        const char *leaf = leaf_name(graph, node);
        if (++graph->rows > GRAPH_ROWS || depth > GRAPH_DEPTH) return;
        number_of(graph, node, &added);
        grad_node_type(node, type, sizeof type);
        text_format(&graph->out, "%*s", 2 * depth, "");
        if (leaf) {
            text_format(&graph->out, "%s : %s\n", leaf, type);
            return;
        }
        text_format(&graph->out, "%s  %s", *grad_node_name(node) ? grad_node_name(node) : "input", type);
        if (added) add_constants(graph, node);
        else text_format(&graph->out, "  (shown above)");
        text_format(&graph->out, "\n");
        if (!added) return;
        int sources = recorded_inputs(node);
        const GradNode *only = NULL;
        for (int i = 0; i < grad_node_inputs(node); i++) {
            const GradNode *input = grad_node_input(node, i);
            if (input && sources > 1) add_tree(graph, input, depth + 1);
            else if (input) only = input;
        }
        node = only;
    }
}

static void add_dot(Graph *graph, const GradNode *root)
{
    bool added;
    text_format(&graph->out, "digraph gradient {\n    rankdir = BT\n    node [shape = box]\n");
    number_of(graph, root, &added);
    for (int at = 0; at < graph->n_nodes && !graph->failed; at++) {
        const GradNode *node = graph->order[at];
        const char *leaf = leaf_name(graph, node), *name = leaf ? leaf : grad_node_name(node);
        char type[96];
        grad_node_type(node, type, sizeof type);
        text_format(&graph->out, "    n%d [label = \"%s\\n%s\"%s]\n", at + 1, *name ? name : "input", type,
                    leaf ? ", style = rounded" : "");
        for (int i = 0; !leaf && i < grad_node_inputs(node); i++) {
            const GradNode *input = grad_node_input(node, i);
            if (input) text_format(&graph->out, "    n%d -> n%d\n", number_of(graph, input, &added), at + 1);
        }
    }
    text_format(&graph->out, "}\n");
}

/* The first recorded tensor of a value. */
static const GradNode *node_of(Value v)
{
    if (v.tag == TAG_TENSOR) return v.tensor->node;
    const GradNode *found = NULL;
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE)
        for (int64_t i = 0; i < v.list->count && !found; i++) found = node_of(v.list->at[i]);
    return found;
}

static bool show_graph(Graph *graph, Value value, bool dot)
{
    const GradNode *root = node_of(value);
    if (!root) {
        vm_fail(graph->vm, ERROR_gradient, "", "the value depends on no float tensor or model in a variable");
        error_hint(&graph->vm->tensors.error,
                   "a value that is computed already has no graph: write the expression, such as :graph mean((x @ w)^2)");
        return false;
    }
    pointer_set_free(&graph->seen);
    graph->seen = (PointerSet){0};
    if (dot) add_dot(graph, root);
    else add_tree(graph, root, 0);
    if (!dot && graph->rows > GRAPH_ROWS) text_format(&graph->out, "… more: :graph --dot shows all of it\n");
    return !graph->failed || vm_out_of_memory(graph->vm);
}

static void graph_clear(Graph *graph)
{
    for (int i = 0; i < graph->count; i++) {
        tensor_release(graph->lent[i].leaf);
        if (graph->lent[i].object) value_release((Value){.tag = TAG_OBJECT, .object = graph->lent[i].object});
    }
    free(graph->lent);
    free(graph->order);
    pointer_set_free(&graph->seen);
}

bool command_graph(CommandCall *call)
{
    Graph graph = {.call = call, .vm = call->session->vm};
    bool dot = command_flag(call, "--dot");
    Value value = VALUE_UNDEFINED;
    Proto *proto = command_compile(call);
    if (!proto) return false;
    grad_begin(&graph.vm->tensors);
    bool fine = lend_globals(&graph, proto, 0) && vm_run_proto(graph.vm, proto, &value);
    give_back(&graph);
    grad_end(&graph.vm->tensors);
    fine = fine && show_graph(&graph, value, dot);
    value_release(value);
    proto_release(proto);
    graph_clear(&graph);
    if (fine) return command_answer(call, &graph.out);
    text_free(&graph.out);
    return false;
}
