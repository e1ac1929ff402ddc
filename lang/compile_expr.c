/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Expressions. Each gives the register of its value; temporaries are taken in stack order and given back by whoever
   took them. Invariant: an expression that writes its target before it has read all its operands never writes a
   variable's register directly. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

void load_fixed(Fn *fn, int to, int which, Span span)
{
    emit3(fn, CODE_LOAD_FIXED, to, which, 0, span);
}

static int target(Fn *fn, int want)
{
    return want >= 0 ? want : temp(fn);
}

/* A place to build a value in steps: never a variable's own register. */
static int scratch(Fn *fn, int want)
{
    if (want < 0)
        return temp(fn);
    if (want < fn->n_locals)
        return temp(fn);
    for (int i = fn->n_bindings - 1; i >= 0; i--)
        if (fn->binding[i].reg == want)
            return temp(fn);
    return want;
}

static int settle(Fn *fn, int built, int want, Span span)
{
    if (want >= 0 && want != built)
        emit3(fn, CODE_MOVE, want, built, 0, span);
    return want >= 0 ? want : built;
}

/* ---- literals ---- */

bool literal_number(const Node *node, Value *out)
{
    bool minus = node->kind == NODE_UNARY && node->unary.op == OPERATOR_NEG;
    if (minus)
        node = node->unary.child;
    if (node->kind == NODE_INT)
        *out = value_int(minus ? -node->integer : node->integer);
    else if (node->kind == NODE_FLOAT)
        *out = value_float(minus ? -node->number : node->number);
    else
        return false;
    return true;
}

static int literal(Fn *fn, Value number, int want, Span span)
{
    int to = target(fn, want);
    if (number.tag == TAG_INT && number.i >= INT32_MIN && number.i <= INT32_MAX)
        emit_wide(fn, CODE_LOAD_INT, to, (int32_t)number.i, span);
    else
        emit_wide(fn, CODE_LOAD_CONST, to, constant_take(fn, number), span);
    return to;
}

static int string_literal(Fn *fn, const Node *node, int want)
{
    int to = target(fn, want);
    emit_wide(fn, CODE_LOAD_CONST, to, constant_text(fn, node->string.text, node->string.length), node->span);
    return to;
}

static char *copy_text(Compiler *c, const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy) {
        c->failed = true;
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

static int template_new(Fn *fn, const NodeList *parts)
{
    Proto *p = fn->proto;
    if (!array_grow(fn->c, (void **)&p->templates, &fn->template_room, p->n_templates, sizeof *p->templates))
        return 0;
    Template *template = &p->templates[p->n_templates];
    template->count = 0;
    template->part = calloc((size_t)parts->count + 1, sizeof *template->part);
    if (!template->part) {
        fn->c->failed = true;
        return 0;
    }
    for (int i = 0; i < parts->count; i++) {
        const Node *node = parts->at[i];
        TemplatePart *part = &template->part[template->count++];
        if (node->kind == NODE_STRING) {
            part->text = copy_text(fn->c, node->string.text, node->string.length);
            part->length = node->string.length;
        } else if (node->item.spec) {
            part->spec = copy_text(fn->c, node->item.spec, strlen(node->item.spec));
        }
    }
    return p->n_templates++;
}

static int format(Fn *fn, Node *node, int want)
{
    int mark = fn->top, first = fn->top, count = 0;
    for (int i = 0; i < node->list.count; i++)
        if (node->list.at[i]->kind == NODE_FORMAT_ITEM) {
            int to = temp(fn);
            fn->top = to + 1;
            expr(fn, node->list.at[i]->item.value, to);
            fn->top = to + 1;
            count++;
        }
    if (!count)
        temp(fn);
    emit3(fn, CODE_FORMAT, first, count, template_new(fn, &node->list), node->span);
    fn->top = mark;
    if (want < 0)
        return temp(fn);
    return settle(fn, first, want, node->span);
}

/* ---- names ---- */

static int load_field(Fn *fn, NameRef ref, int want, Span span)
{
    int to = target(fn, want), object = ref.reg;
    if (object < 0) {
        int self = temp(fn);
        emit3(fn, CODE_COPY_CAPTURE, self, -1 - object, 0, span);
        object = self;
    }
    emit3(fn, CODE_GET_FIELD, to, object, ref.index, span);
    return to;
}

static void check_local(Fn *fn, const char *name, NameRef ref, Span span)
{
    if (!ref.tracked || flow_definite(fn, ref.reg))
        return;
    if (!flow_maybe(fn, ref.reg)) {
        compile_error(fn->c, span, "a name that is assigned anywhere in a function is local throughout it: assign it "
                      "first, or give the local another name", "%s is read before it is assigned", name);
        flow_assign(fn, ref.reg);
        return;
    }
    fn->needs_clear = true;
    emit_wide(fn, CODE_CHECK, ref.reg, constant_text(fn, name, strlen(name)), span);
}

int load_name(Fn *fn, const char *name, int want, Span span)
{
    name = compile_name(fn->c, name);
    NameRef ref = resolve(fn, name, span);
    switch (ref.kind) {
    case NAME_LOCAL:
        check_local(fn, name, ref, span);
        return settle(fn, ref.reg, want, span);
    case NAME_FIELD: return load_field(fn, ref, want, span);
    case NAME_OWN:
        want = target(fn, want);
        emit3(fn, CODE_OWN_FUNCTION, want, 0, 0, span);
        return want;
    case NAME_CAPTURE:
        want = target(fn, want);
        emit3(fn, CODE_GET_CAPTURE, want, ref.index, constant_text(fn, name, strlen(name)), span);
        return want;
    case NAME_LATE:
        want = target(fn, want);
        emit3(fn, CODE_LATE_CAPTURE, want, ref.index, (int)ref.slot, span);
        return want;
    case NAME_GLOBAL: break;
    }
    want = target(fn, want);
    emit_wide(fn, CODE_GET_GLOBAL, want, (int32_t)ref.slot, span);
    return want;
}

/* ---- operators ---- */

Opcode binary_opcode(Operator op)
{
    switch (op) {
    case OPERATOR_ADD: return CODE_ADD;
    case OPERATOR_SUB: return CODE_SUB;
    case OPERATOR_MUL: return CODE_MUL;
    case OPERATOR_DIV: return CODE_DIV;
    case OPERATOR_FLOORDIV: return CODE_FLOORDIV;
    case OPERATOR_MOD: return CODE_MOD;
    case OPERATOR_MATMUL: return CODE_MATMUL;
    case OPERATOR_POW: return CODE_POW;
    case OPERATOR_CONCAT: return CODE_CONCAT;
    case OPERATOR_AND: return CODE_AND_COMBINE;
    case OPERATOR_OR: return CODE_OR_COMBINE;
    case OPERATOR_EQ: return CODE_EQ;
    case OPERATOR_NE: return CODE_NE;
    case OPERATOR_LT: return CODE_LT;
    case OPERATOR_LE: return CODE_LE;
    case OPERATOR_GT: return CODE_GT;
    case OPERATOR_GE: return CODE_GE;
    case OPERATOR_IN: return CODE_IN;
    default: return CODE_NOT_IN;
    }
}

/* The left operand of something whose right one may change it. */
static int left_operand(Fn *fn, Node *left, Node *right)
{
    int r = expr(fn, left, -1);
    if (r < fn->n_locals && may_assign(right)) {
        int copy = temp(fn);
        emit3(fn, CODE_MOVE, copy, r, 0, left->span);
        return copy;
    }
    return r;
}

static int constant_operand(Fn *fn, Operator op, Node *node)
{
    Value number;
    if (op < OPERATOR_ADD || op > OPERATOR_MOD || !literal_number(node, &number))
        return -1;
    int k = constant_take(fn, number);
    return k <= 0xffff ? k : -1;
}

/* ---- expressions in one pass (tensor/fuse.c) ---- */

static bool is_elementwise(Operator op)
{
    return op == OPERATOR_ADD || op == OPERATOR_SUB || op == OPERATOR_MUL || op == OPERATOR_DIV || op == OPERATOR_POW;
}

static bool gives_elementwise(Opcode op)
{
    switch (op) {
    case CODE_ADD: case CODE_SUB: case CODE_MUL: case CODE_DIV: case CODE_POW: case CODE_NEG: case CODE_CALL_FUSED:
    case CODE_ADD_K: case CODE_SUB_K: case CODE_MUL_K: case CODE_DIV_K:
        return true;
    default:
        return false;
    }
}

void may_defer(Fn *fn, const Node *node, int reg)
{
    bool whole = node->kind == NODE_BINARY || node->kind == NODE_UNARY || node->kind == NODE_CALL ||
                 node->kind == NODE_PIPE;
    if (!whole || reg < fn->n_locals || fn->proto->n_code == 0)
        return;
    Code *last = &fn->proto->code[fn->proto->n_code - 1];
    if (gives_elementwise(CODE_OP(*last)) && (int)CODE_A(*last) == reg)
        *last |= (Code)DEFER << 8;
}

static Opcode constant_form(Operator op)
{
    return (Opcode)(CODE_ADD_K + (op - OPERATOR_ADD));
}

static int binary(Fn *fn, Node *node, int want)
{
    Operator op = node->binary.op;
    Node *left = node->binary.left, *right = node->binary.right;
    int mark = fn->top, k = constant_operand(fn, op, right);
    int32_t pc;
    if (k >= 0) {
        int a = expr(fn, left, -1);
        if (is_elementwise(op))
            may_defer(fn, left, a);
        fn->top = mark;
        want = target(fn, want);
        pc = emit3(fn, constant_form(op), want, a, k, node->span);
        note_operand(fn, pc, 0, left);
        return want;
    }
    k = constant_operand(fn, op, left);
    if (k >= 0) {
        int b = expr(fn, right, -1);
        if (is_elementwise(op))
            may_defer(fn, right, b);
        fn->top = mark;
        want = target(fn, want);
        pc = emit(fn, code_make(constant_form(op), SWAPPED, want, b, k), node->span);
        note_operand(fn, pc, 1, right);
        return want;
    }
    int a = left_operand(fn, left, right);
    if (is_elementwise(op))
        may_defer(fn, left, a);
    int b = expr(fn, right, -1);
    if (is_elementwise(op))
        may_defer(fn, right, b);
    fn->top = mark;
    want = target(fn, want);
    pc = emit3(fn, binary_opcode(op), want, a, b, node->span);
    note_operand(fn, pc, 0, left);
    note_operand(fn, pc, 1, right);
    return want;
}

/* a and b: b is not evaluated when a is a plain false; two tensors combine elementwise. */
static int logic(Fn *fn, Node *node, int want)
{
    bool is_and = node->binary.op == OPERATOR_AND;
    int mark = fn->top, to = scratch(fn, want);
    Jumps end = {0};
    expr(fn, node->binary.left, to);
    jump_to(fn, &end, is_and ? CODE_JUMP_AND : CODE_JUMP_OR, to, node->span);
    Flow before = fn->flow;
    int inner = fn->top, right = expr(fn, node->binary.right, -1);
    emit3(fn, is_and ? CODE_AND_COMBINE : CODE_OR_COMBINE, to, to, right, node->span);
    fn->top = inner;
    flow_join(&fn->flow, &before);
    jumps_patch(fn, &end, fn->proto->n_code);
    to = settle(fn, to, want, node->span);
    fn->top = want >= 0 ? mark : mark + 1;
    return to;
}

static int compare_pair(Fn *fn, Node *node, int i, int a, int b, int want)
{
    int32_t pc = emit3(fn, binary_opcode(node->compare.ops[i]), want, a, b, node->span);
    note_operand(fn, pc, 0, node->compare.operands[i]);
    note_operand(fn, pc, 1, node->compare.operands[i + 1]);
    return want;
}

static int compare(Fn *fn, Node *node, int want)
{
    int mark = fn->top, n = node->compare.count;
    Node **operand = node->compare.operands;
    if (n == 2) {
        int a = left_operand(fn, operand[0], operand[1]), b = expr(fn, operand[1], -1);
        fn->top = mark;
        return compare_pair(fn, node, 0, a, b, target(fn, want));
    }
    int to = scratch(fn, want), next = temp(fn);
    Jumps end = {0};
    int a = temps(fn, n);
    expr(fn, operand[0], a);
    for (int i = 0; i + 1 < n; i++) {
        int work = fn->top;
        expr(fn, operand[i + 1], a + i + 1);
        fn->top = work;
        compare_pair(fn, node, i, a + i, a + i + 1, i ? next : to);
        if (i)
            emit3(fn, CODE_AND_COMBINE, to, to, next, node->span);
        if (i + 2 < n)
            jump_to(fn, &end, CODE_JUMP_AND, to, node->span);
    }
    jumps_patch(fn, &end, fn->proto->n_code);
    to = settle(fn, to, want, node->span);
    fn->top = want >= 0 ? mark : mark + 1;
    return to;
}

/* ---- conditions ---- */

static bool is_ordering(Operator op)
{
    return op >= OPERATOR_EQ && op <= OPERATOR_GE;
}

static void test_pair(Fn *fn, Node *node, int i, int a, int b, int k, bool sense, Jumps *out)
{
    Operator op = node->compare.ops[i];
    Opcode code = (Opcode)((k >= 0 ? CODE_TEST_EQ_K : CODE_TEST_EQ) + (op - OPERATOR_EQ));
    unsigned flags = sense ? EXPECT : 0;
    int32_t pc = emit(fn, k >= 0 ? code_wide(code, flags, a, k) : code_make(code, flags, a, b, 0), node->span);
    note_operand(fn, pc, 0, node->compare.operands[i]);
    if (k < 0)
        note_operand(fn, pc, 1, node->compare.operands[i + 1]);
    jump_to(fn, out, CODE_JUMP, 0, node->span);
}

static void condition_pair(Fn *fn, Node *node, bool sense, Jumps *out)
{
    Node **operand = node->compare.operands;
    Value number;
    int mark = fn->top;
    if (literal_number(operand[1], &number)) {
        int a = expr(fn, operand[0], -1);
        test_pair(fn, node, 0, a, 0, constant_take(fn, number), sense, out);
    } else {
        int a = left_operand(fn, operand[0], operand[1]), b = expr(fn, operand[1], -1);
        test_pair(fn, node, 0, a, b, -1, sense, out);
    }
    fn->top = mark;
}

static void condition_logic(Fn *fn, Node *node, bool sense, Jumps *out)
{
    bool is_and = node->binary.op == OPERATOR_AND;
    Flow before;
    if (sense != is_and) {    /* the first operand alone can decide for the jump */
        condition(fn, node->binary.left, sense, out);
        before = fn->flow;
        condition(fn, node->binary.right, sense, out);
    } else {
        Jumps past = {0};
        condition(fn, node->binary.left, !sense, &past);
        before = fn->flow;
        condition(fn, node->binary.right, sense, out);
        jumps_patch(fn, &past, fn->proto->n_code);
    }
    flow_join(&fn->flow, &before);
}

void condition(Fn *fn, Node *node, bool sense, Jumps *out)
{
    if (node->kind == NODE_UNARY && node->unary.op == OPERATOR_NOT) {
        condition(fn, node->unary.child, !sense, out);
        return;
    }
    if (node->kind == NODE_BINARY && (node->binary.op == OPERATOR_AND || node->binary.op == OPERATOR_OR)) {
        condition_logic(fn, node, sense, out);
        return;
    }
    if (node->kind == NODE_COMPARE && node->compare.count == 2 && is_ordering(node->compare.ops[0])) {
        condition_pair(fn, node, sense, out);
        return;
    }
    if (node->kind == NODE_BOOL) {
        if (node->boolean == sense)
            jump_to(fn, out, CODE_JUMP, 0, node->span);
        return;
    }
    int mark = fn->top, r = expr(fn, node, -1);
    jump_to(fn, out, sense ? CODE_JUMP_TRUE : CODE_JUMP_FALSE, r, node->span);
    note_operand(fn, fn->proto->n_code - 1, 0, node);
    fn->top = mark;
}

/* ---- lists, maps, comprehensions ---- */

#define BUILD_AT_ONCE 200

static bool has_spread(const NodeList *list)
{
    for (int i = 0; i < list->count; i++)
        if (list->at[i]->kind == NODE_SPREAD)
            return true;
    return false;
}

static void entry(Fn *fn, Node *node, int key, int value)
{
    int mark = fn->top;
    expr(fn, node->binary.left, key);
    fn->top = mark;
    expr(fn, node->binary.right, value);
    fn->top = mark;
}

/* Piece by piece: with spreads, or too long for registers. */
static int build(Fn *fn, Node *node, int want)
{
    int mark = fn->top, to = scratch(fn, want);
    emit3(fn, node->kind == NODE_MAP ? CODE_MAP : CODE_LIST, to, 0, 0, node->span);
    for (int i = 0; i < node->list.count; i++) {
        Node *item = node->list.at[i];
        int inner = fn->top;
        if (item->kind == NODE_SPREAD) {
            emit3(fn, CODE_EXTEND, to, expr(fn, item->unary.child, -1), 0, item->span);
        } else if (node->kind == NODE_MAP) {
            int pair = temps(fn, 2);
            entry(fn, item, pair, pair + 1);
            emit3(fn, CODE_PUT, to, pair, pair + 1, item->span);
        } else {
            emit3(fn, CODE_PUSH, to, expr(fn, item, -1), 0, item->span);
        }
        fn->top = inner;
    }
    if (node->kind == NODE_TUPLE)
        emit3(fn, CODE_TO_TUPLE, to, 0, 0, node->span);
    to = settle(fn, to, want, node->span);
    fn->top = want >= 0 ? mark : mark + 1;
    return to;
}

static int collection(Fn *fn, Node *node, int want)
{
    if (node->list.count > BUILD_AT_ONCE || has_spread(&node->list))
        return build(fn, node, want);
    int mark = fn->top, width = node->kind == NODE_MAP ? 2 : 1;
    int first = temps(fn, node->list.count ? node->list.count * width : 1);
    for (int i = 0; i < node->list.count; i++) {
        int inner = fn->top, to = first + i * width;
        if (node->kind == NODE_MAP)
            entry(fn, node->list.at[i], to, to + 1);
        else
            expr(fn, node->list.at[i], to);
        fn->top = inner;
    }
    Opcode op = node->kind == NODE_MAP ? CODE_MAP : node->kind == NODE_TUPLE ? CODE_TUPLE : CODE_LIST;
    emit3(fn, op, first, node->list.count * width, 0, node->span);
    fn->top = want >= 0 ? mark : mark + 1;
    return settle(fn, first, want, node->span);
}

typedef struct Comprehension { Node *node; int clause, to; } Comprehension;

/* An element on a line of its own is like a loop's body. */
static void mark_element(Fn *fn, const Node *element)
{
    const Proto *p = fn->proto;
    const char *text = fn->c->parse->source->text;
    const Mark *last = p->n_marks ? &p->marks[p->n_marks - 1] : NULL;
    if (last && last->span.start < element->span.start &&
        memchr(text + last->span.start, '\n', element->span.start - last->span.start))
        mark_statement(fn, element);
}

static void comprehension_body(Fn *fn, void *to)
{
    Comprehension *state = to;
    Node *node = state->node;
    Jumps skip = {0};
    Node *filter = node->comprehension.clauses[state->clause].condition;
    if (filter)
        condition(fn, filter, false, &skip);
    int mark = fn->top;
    if (state->clause + 1 < node->comprehension.count) {
        Comprehension inner = {node, state->clause + 1, state->to};
        for_loop(fn, &node->comprehension.clauses[inner.clause], comprehension_body, &inner, NULL, node->span);
    } else if (node->comprehension.key) {
        mark_element(fn, node->comprehension.key);
        int pair = temps(fn, 2), work = fn->top;
        expr(fn, node->comprehension.key, pair);
        fn->top = work;
        expr(fn, node->comprehension.element, pair + 1);
        emit3(fn, CODE_PUT, state->to, pair, pair + 1, node->comprehension.element->span);
    } else {
        Node *element = node->comprehension.element;
        mark_element(fn, element);
        emit3(fn, CODE_PUSH, state->to, expr(fn, element, -1), 0, element->span);
    }
    fn->top = mark;
    jumps_patch(fn, &skip, fn->proto->n_code);
}

static int comprehension(Fn *fn, Node *node, int want)
{
    int mark = fn->top, to = temp(fn), n_bindings = fn->n_bindings;
    emit3(fn, node->comprehension.key ? CODE_MAP : CODE_LIST, to, 0, 0, node->span);
    Comprehension state = {node, 0, to};
    for_loop(fn, &node->comprehension.clauses[0], comprehension_body, &state, NULL, node->span);
    unbind(fn, n_bindings);
    fn->top = want >= 0 ? mark : mark + 1;
    return settle(fn, to, want, node->span);
}

/* ---- indexing and members ---- */

int subscripts(Fn *fn, const NodeList *list, IndexShape *shape)
{
    int first = fn->top;
    *shape = (IndexShape){0};
    for (int i = 0; i < list->count; i++) {
        Node *node = list->at[i];
        if (shape->count == INDEX_MAX) {
            compile_error(fn->c, node->span, NULL, "too many subscripts");
            break;
        }
        if (node->kind == NODE_ELLIPSIS) {
            shape->kind[shape->count++] = SUBSCRIPT_ELLIPSIS;
            continue;
        }
        bool slice = node->kind == NODE_SLICE;
        shape->kind[shape->count++] = slice ? SUBSCRIPT_SLICE : SUBSCRIPT_VALUE;
        Node *part[3] = {slice ? node->slice.start : node, slice ? node->slice.stop : NULL,
                         slice ? node->slice.step : NULL};
        for (int j = 0; j < (slice ? 3 : 1); j++) {
            int to = temp(fn);
            if (part[j])
                expr(fn, part[j], to);
            else
                load_fixed(fn, to, 0, node->span);
            fn->top = to + 1;
        }
    }
    return fn->top - first;
}

static int index_shape(Fn *fn, const IndexShape *shape)
{
    Proto *p = fn->proto;
    if (!array_grow(fn->c, (void **)&p->indexes, &fn->index_room, p->n_indexes, sizeof *p->indexes))
        return 0;
    for (int i = 0; i < p->n_indexes && i < 64; i++)
        if (!memcmp(&p->indexes[i], shape, sizeof *shape))
            return i;
    p->indexes[p->n_indexes] = *shape;
    return p->n_indexes++;
}

static int index_expr(Fn *fn, Node *node, int want)
{
    int mark = fn->top;
    NodeList *list = &node->index.subscripts;
    int32_t pc;
    if (list->count == 1 && list->at[0]->kind != NODE_SLICE && list->at[0]->kind != NODE_ELLIPSIS) {
        int a = left_operand(fn, node->index.value, list->at[0]), b = expr(fn, list->at[0], -1);
        fn->top = mark;
        want = target(fn, want);
        pc = emit3(fn, CODE_INDEX, want, a, b, node->span);
        note_operand(fn, pc, 0, node->index.value);
        return want;
    }
    int first = temp(fn);
    IndexShape shape;
    expr(fn, node->index.value, first);
    fn->top = first + 1;
    int count = subscripts(fn, list, &shape);
    pc = emit3(fn, CODE_INDEX_MANY, first, count, index_shape(fn, &shape), node->span);
    note_operand(fn, pc, 0, node->index.value);
    fn->top = want >= 0 ? mark : mark + 1;
    return settle(fn, first, want, node->span);
}

static int member(Fn *fn, Node *node, int want)
{
    int mark = fn->top, value = expr(fn, node->member.value, -1);
    fn->top = mark;
    want = target(fn, want);
    int32_t pc = emit3(fn, CODE_GET_MEMBER, want, value, new_site(fn, node->member.name, node->span), node->span);
    note_operand(fn, pc, 0, node->member.value);
    return want;
}

int closure(Fn *fn, const Function *function, int want, Span span)
{
    /* the child is compiled first: only then is known what it captures */
    int mark = fn->top, count = 0;
    const char *names[MAX_CAPTURES];
    Proto *child = compile_function(fn, function, FN_LAMBDA, names, &count);
    int first = temps(fn, count ? count : 1);
    for (int i = 0; i < count; i++)
        load_raw(fn, names[i], first + i, span);
    int proto = add_proto(fn, child);
    emit3(fn, CODE_CLOSURE, first, count, proto, span);
    fn->top = want >= 0 ? mark : mark + 1;
    return settle(fn, first, want, span);
}

static int unary(Fn *fn, Node *node, int want)
{
    Value number;
    if (literal_number(node, &number))
        return literal(fn, number, want, node->span);
    int mark = fn->top, r = expr(fn, node->unary.child, -1);
    if (node->unary.op == OPERATOR_NEG)
        may_defer(fn, node->unary.child, r);
    fn->top = mark;
    want = target(fn, want);
    int32_t pc = emit3(fn, node->unary.op == OPERATOR_NOT ? CODE_NOT : CODE_NEG, want, r, 0, node->span);
    note_operand(fn, pc, 0, node->unary.child);
    return want;
}

static int range(Fn *fn, Node *node, int want)
{
    int mark = fn->top;
    int a = left_operand(fn, node->binary.left, node->binary.right), b = expr(fn, node->binary.right, -1);
    fn->top = mark;
    want = target(fn, want);
    emit3(fn, CODE_RANGE, want, a, b, node->span);
    return want;
}

static int statement_value(Fn *fn, Node *node, int want)
{
    int mark = fn->top, to = scratch(fn, want);
    statement(fn, node, to);
    fn->top = want >= 0 ? mark : mark + 1;
    return settle(fn, to, want, node->span);
}

int expr(Fn *fn, Node *node, int want)
{
    switch (node->kind) {
    case NODE_INT: return literal(fn, value_int(node->integer), want, node->span);
    case NODE_FLOAT: return literal(fn, value_float(node->number), want, node->span);
    case NODE_BOOL: load_fixed(fn, want = target(fn, want), node->boolean ? 2 : 1, node->span); return want;
    case NODE_NONE: load_fixed(fn, want = target(fn, want), 0, node->span); return want;
    case NODE_DONE: load_fixed(fn, want = target(fn, want), 3, node->span); return want;
    case NODE_STRING: return string_literal(fn, node, want);
    case NODE_FORMAT: return format(fn, node, want);
    case NODE_NAME: return load_name(fn, node->name, want, node->span);
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_MAP: return collection(fn, node, want);
    case NODE_COMPREHENSION: return comprehension(fn, node, want);
    case NODE_RANGE: return range(fn, node, want);
    case NODE_UNARY: return unary(fn, node, want);
    case NODE_BINARY:
        return node->binary.op == OPERATOR_AND || node->binary.op == OPERATOR_OR ? logic(fn, node, want)
                                                                                : binary(fn, node, want);
    case NODE_COMPARE: return compare(fn, node, want);
    case NODE_CALL: return call(fn, node, want);
    case NODE_PIPE: return pipe_call(fn, node, want);
    case NODE_INDEX: return index_expr(fn, node, want);
    case NODE_MEMBER: return member(fn, node, want);
    case NODE_LAMBDA: return closure(fn, node->function, want, node->span);
    case NODE_IF:
    case NODE_TRY:
    case NODE_BLOCK: return statement_value(fn, node, want);
    default:
        compile_error(fn->c, node->span, NULL, "this cannot stand here as a value");
        return target(fn, want);
    }
}
