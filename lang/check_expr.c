/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Expressions: where a name is found, members, indices, operators, literals, lambdas. What a value would be is asked of
   the machine's own functions, in worlds (check_fact.c). */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "compile.h"
#include "embedded.h"

enum { NESTING_MOST = 1200, ITEMS_MOST = 64 };

/* ---- names ---- */

static bool callable_or_unknown(const Fact *fact)
{
    return !fact || fact_callable(fact);
}

const Fact *check_function_named(Checker *c, Env *e, const char *name, bool *found)
{
    const Fact *weak = NULL;
    Global *global = unit_global(c, e->unit, name);
    if (!global)
        return NULL;
    if (global->declared)
        return *found = true, global->function;
    *found = weak_find(c, e->unit, global, &weak) && callable_or_unknown(weak);
    return *found ? weak : NULL;
}

static const Fact *global_name(Checker *c, Env *e, const char *name, bool *found)
{
    const Fact *weak;
    Global *global = unit_global(c, e->unit, name);
    *found = true;
    if (!global)
        return NULL;
    if (global->assigned)
        return global->assigned == 1 ? global->fact : NULL;
    if (global->declared)
        return global->function;
    *found = weak_find(c, e->unit, global, &weak);
    return weak;
}

/* A variable of a scope; *found false: only the module can have it. */
static const Fact *scoped_name(Env *e, const char *name, bool *found, bool *is_function)
{
    *found = true;
    for (Env *at = e; at; at = at->outer) {
        const Local *local = env_local(at, name);
        if (local) {
            *is_function = local->is_function;
            return local->fact;
        }
        if (at->function && at->function->name == name && at->outer)
            return NULL;
        const Local *field = at->self && at->model ? object_field(at->self, name) : NULL;
        if (field)
            return field->fact;
    }
    *found = false;
    return NULL;
}

/* In call position a variable that cannot be called hides no function. */
const Fact *check_name(Checker *c, Env *e, const char *name, bool callee, bool *found, bool *is_function)
{
    *is_function = false;
    const Fact *fact = scoped_name(e, name, found, is_function);
    if (!*found)
        fact = global_name(c, e, name, found);
    if (!callee || !*found || callable_or_unknown(fact))
        return fact;
    bool other;
    const Fact *function = check_function_named(c, e, name, &other);
    return other ? function : fact;
}

void check_undefined(Checker *c, Env *e, const char *name, Span span)
{
    const char *more[200];
    int n = 0;
    if (e->inlined || unit_lost(e->unit, name))
        return;
    for (int i = 0; i < c->n_missing; i++)
        if (c->missing[i] == name)
            return;
    const char **wider = check_grow(c, c->missing, c->n_missing, &c->missing_room, sizeof *wider);
    if (!wider)
        return;
    c->missing = wider;
    c->missing[c->n_missing++] = name;
    for (Env *at = e; at; at = at->outer) {
        for (int i = 0; i < at->n_locals && n < 200 && !at->module; i++)
            more[n++] = at->local[i].name;
        for (int i = 0; at->self && at->model && i < at->self->object.count && n < 200; i++)
            more[n++] = at->self->object.field[i].name;
    }
    name_unknown(c->vm, e->unit->module, name, n, more);
    if (e->trying && !c->quiet)
        check_warn(c, e->unit, span, "name", c->vm->tensors.error.hint, "%s", c->vm->tensors.error.message);
    check_fail(c, e, span, NULL);
}

static const Fact *name_value(Checker *c, Env *e, Node *node)
{
    bool found, is_function;
    const Fact *fact = check_name(c, e, node->name, false, &found, &is_function), *weak;
    Global *global = e->module && !e->inlined && !e->loops ? unit_global(c, e->unit, node->name) : NULL;
    if (!found) {
        check_undefined(c, e, node->name, node->span);
    } else if (global && global->assigned && node->span.start < global->first && !global->declared &&
               !weak_find(c, e->unit, global, &weak) && e->n_locals == e->unit->n_surveyed) {
        vm_fail(c->vm, ERROR_name, "", "%s is not defined", node->name);
        error_hint(&c->vm->tensors.error, "it is assigned only further down");
        check_fail(c, e, node->span, NULL);
    }
    return fact;
}

/* ---- members ---- */

const Local *object_field(const Fact *object, const char *name)
{
    for (int i = 0; i < object->object.count; i++)
        if (!strcmp(object->object.field[i].name, name))
            return &object->object.field[i];
    return NULL;
}

const Function *model_method(const Fact *object, const char *name)
{
    const NodeList *body = &object->object.model->model.body;
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind == NODE_FN && !strcmp(body->at[i]->function->name, name))
            return body->at[i]->function;
    return NULL;
}

static const Fact *method_fact(Checker *c, const Fact *object, const Function *method)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_FUNCTION, .function = {.unit = object->object.unit, .function = method,
                                                       .owner = object->object.model, .self = object}};
    return fact;
}

/* The fields and methods in an error's hint. */
static void no_field(Checker *c, const Fact *object, const char *name)
{
    Suggest suggest;
    const Node *model = object->object.model;
    suggest_start(&suggest, name);
    for (int i = 0; i < object->object.count; i++)
        suggest_offer(&suggest, object->object.field[i].name);
    for (int i = 0; i < model->model.body.count; i++)
        if (model->model.body.at[i]->kind == NODE_FN)
            suggest_offer(&suggest, model->model.body.at[i]->function->name);
    vm_fail(c->vm, ERROR_name, "", "%s has no field or method %s", model->model.name, name);
    suggest_hint(&suggest, &c->vm->tensors.error);
}

static const Fact *file_member(Checker *c, Env *e, Unit *file, const char *name, Span span)
{
    Global *global = unit_find(file, name);
    if (name[0] == '_') {
        vm_fail(c->vm, ERROR_name, "", "%s is private to the module %s", name, file->module->name);
        return check_fail(c, e, span, NULL);
    }
    if (!global || (!global->assigned && !global->declared)) {
        module_no_member(c->vm, file->module, name);
        return check_fail(c, e, span, NULL);
    }
    return global->assigned ? NULL : global->function;
}

static const Fact *standard_member(Checker *c, Env *e, const char *module, const char *name, Span span)
{
    int at;
    Value namespace;
    if (embedded_find(module, name, &at) && (name[0] != '_' || e->unit->internal)) {
        Unit *unit = unit_library(c, embedded_names[at].file);
        Global *global = unit ? unit_find(unit, name) : NULL;
        return global ? global->function : NULL;
    }
    if (module_use(c->vm, e->unit->module, module, &namespace)) {
        Value member;
        if (module_member(c->vm, namespace.module, name, &member))
            error_clear(&c->vm->tensors.error);
        value_release(namespace);
    }
    return check_fail(c, e, span, NULL);
}

static const Fact *map_entry(const Fact *map, const char *text, size_t length, bool *found);

typedef struct AskMember { const Fact *of; const char *name; } AskMember;

static bool ask_member(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskMember *ask = to;
    Value of;
    (void)n;
    const char *name = name_intern(c->vm, ask->name, strlen(ask->name));
    if (!name || !fact_value(c, ask->of, world, &of))
        return false;
    Site site = {.name = name};
    bool fine = member_get(c->vm, of, &site, &results[0]);
    value_release(of);
    return fine;
}

const Fact *check_member(Checker *c, Env *e, const Fact *of, const char *name, Span span)
{
    const Fact *result = NULL;
    if (!of || !name)         /* what stands behind the point was no name */
        return NULL;
    switch (of->kind) {
    case FACT_FILE: return file_member(c, e, of->file, name, span);
    case FACT_STANDARD: return standard_member(c, e, of->standard, name, span);
    case FACT_OBJECT: {
        const Local *field = object_field(of, name);
        const Function *method = field ? NULL : model_method(of, name);
        if (field || method)
            return field ? field->fact : method_fact(c, of, method);
        no_field(c, of, name);
        return check_fail(c, e, span, NULL);
    }
    case FACT_FUNCTION:
    case FACT_NATIVE:
    case FACT_OP:
    case FACT_MODEL: return NULL;
    default: break;
    }
    bool found = false;
    if (of->kind == FACT_MAP)
        result = map_entry(of, name, strlen(name), &found);
    if (found)
        return result;
    AskMember ask = {of, name};
    Inputs inputs = {.n = 1, .at = &of};
    if (worlds_ask(c, &inputs, ask_member, &ask, 1, &result) == ANSWER_ERROR)
        return check_fail(c, e, span, NULL);
    return result;
}

/* ---- operators ---- */

static void operand_name(const Env *e, const Node *node, char name[32])
{
    const Node *root = node;
    while (root->kind == NODE_MEMBER)
        root = root->member.value;
    if (root->kind == NODE_NAME && node->span.end - node->span.start < 32)
        snprintf(name, 32, "%.*s", (int)(node->span.end - node->span.start), e->unit->source->text + node->span.start);
}

void check_operands(const Checker *c, const Env *e, int n, Node *const *node, char names[ERROR_MAX_OPERANDS][32])
{
    const Error *error = &c->vm->tensors.error;
    memset(names, 0, ERROR_MAX_OPERANDS * sizeof *names);
    for (int i = 0; i < error->n_operands; i++) {
        int input = error->operand[i].input;
        if (input >= 0 && input < n && node[input])
            operand_name(e, node[input], names[i]);
    }
}

typedef struct AskBinary { Operator op; const Fact *a, *b; } AskBinary;

static bool ask_binary(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskBinary *ask = to;
    Value a, b = VALUE_UNDEFINED;
    (void)n;
    if (!fact_value(c, ask->a, world, &a))
        return false;
    bool fine = !ask->b || fact_value(c, ask->b, world, &b);
    fine = fine && (ask->b ? arith_binary(c->vm, (int)ask->op, a, b, &results[0])
                           : arith_unary(c->vm, (int)ask->op, a, &results[0]));
    value_release(a);
    value_release(b);
    return fine;
}

static const Fact *answer(Checker *c, Env *e, const Inputs *inputs, Ask *ask, void *to, Node *const *node, Span span)
{
    const Fact *result = NULL;
    char names[ERROR_MAX_OPERANDS][32];
    if (worlds_ask(c, inputs, ask, to, 1, &result) != ANSWER_ERROR)
        return result;
    check_operands(c, e, inputs->n, node, names);
    return check_fail(c, e, span, (const char (*)[32])names);
}

static bool is_int_work(Operator op)
{
    return op == OPERATOR_ADD || op == OPERATOR_SUB || op == OPERATOR_MUL || op == OPERATOR_FLOORDIV ||
           op == OPERATOR_MOD;
}

const Fact *check_binary(Checker *c, Env *e, Operator op, Node *left, Node *right, const Fact *a, const Fact *b,
                         Span span)
{
    int64_t known;
    if (!a || !b || c->no_memory)
        return NULL;
    if ((fact_has_map(a) || fact_has_map(b)) && op >= OPERATOR_EQ)
        return fact_bool(c, false, false);
    bool numbers = fact_is_int(a, &known) && fact_is_int(b, &known);
    if (a->kind == FACT_INT && b->kind == FACT_INT && !numbers && is_int_work(op))
        return fact_int(c, extent_work(c, op, a->extent, b->extent));
    AskBinary ask = {op, a, b};
    const Fact *both[2] = {a, b};
    Node *node[2] = {left, right};
    Inputs inputs = {.n = 2, .at = both};
    return answer(c, e, &inputs, ask_binary, &ask, node, span);
}

static const Fact *unary(Checker *c, Env *e, Node *node)
{
    Value number;
    if (literal_number(node, &number))
        return number.tag == TAG_INT ? fact_number(c, number.i) : fact_float(c, true, number.f);
    const Fact *of = check_expr(c, e, node->unary.child);
    if (!of)
        return NULL;
    if (node->unary.op == OPERATOR_NOT && of->kind == FACT_BOOL)
        return fact_bool(c, of->known, !of->boolean);
    if (node->unary.op == OPERATOR_NEG && of->kind == FACT_INT && of->extent->kind != EXTENT_NUMBER)
        return fact_int(c, extent_work(c, OPERATOR_SUB, extent_number(c, 0), of->extent));
    AskBinary ask = {node->unary.op, of, NULL};
    Inputs inputs = {.n = 1, .at = &of};
    return answer(c, e, &inputs, ask_binary, &ask, &node->unary.child, node->span);
}

static const Fact *logic(Checker *c, Env *e, Node *node)
{
    bool is_and = node->binary.op == OPERATOR_AND;
    const Fact *left = check_expr(c, e, node->binary.left);
    bool known = left && left->kind == FACT_BOOL && left->known, decided = known && left->boolean != is_and;
    e->unsure += !known;
    c->quiet += decided;
    const Fact *right = check_expr(c, e, node->binary.right);
    c->quiet -= decided;
    e->unsure -= !known;
    if (decided)
        return left;
    if (known)
        return right;
    if (left && right && left->kind == FACT_BOOL && right->kind == FACT_BOOL)
        return fact_bool(c, false, false);
    return check_binary(c, e, node->binary.op, node->binary.left, node->binary.right, left, right, node->span);
}

static const Fact *compare(Checker *c, Env *e, Node *node)
{
    const Fact *fact[2] = {NULL, NULL}, *result = NULL;
    int n = node->compare.count;
    for (int i = 0; i < n; i++) {
        e->unsure += i > 1;
        fact[0] = fact[1];
        fact[1] = check_expr(c, e, node->compare.operands[i]);
        Operator op = i ? node->compare.ops[i - 1] : OPERATOR_NONE;
        if (i && op != OPERATOR_IN && op != OPERATOR_NOT_IN)
            result = check_binary(c, e, op, node->compare.operands[i - 1], node->compare.operands[i], fact[0], fact[1],
                                  node->span);
        else if (i)
            result = fact_bool(c, false, false);
        e->unsure -= i > 1;
    }
    if (n == 2)
        return result;
    return result && result->kind == FACT_BOOL ? fact_bool(c, false, false) : NULL;
}

typedef struct AskTruth { const Fact *of; } AskTruth;

static bool ask_truth(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskTruth *ask = to;
    Value v;
    bool truth = false;
    (void)n;
    if (!fact_value(c, ask->of, world, &v))
        return false;
    bool fine = v.tag == TAG_TENSOR && tensor_size(v.tensor) == 1 ? true : arith_truth(c->vm, v, &truth);
    results[0] = value_bool(truth);
    value_release(v);
    return fine;
}

/* A condition must be one bool. */
const Fact *check_condition(Checker *c, Env *e, Node *node)
{
    const Fact *of = check_expr(c, e, node);
    if (!of || of->kind >= FACT_FUNCTION)
        return NULL;
    AskTruth ask = {of};
    Inputs inputs = {.n = 1, .at = &of};
    const Fact *truth = answer(c, e, &inputs, ask_truth, &ask, &node, node->span);
    return of->kind == FACT_TENSOR ? NULL : truth;
}

/* ---- indices ---- */

typedef struct AskIndex {
    const Fact *of;
    Node *node;
    const Fact *const (*part)[3];
    Operator op;
    const Fact *value;        /* of a store; NULL: the element is read */
} AskIndex;

static bool part_value(Checker *c, const Fact *fact, const World *world, Value *out)
{
    *out = VALUE_NONE;
    return !fact || fact_value(c, fact, world, out);
}

static bool ask_index(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskIndex *ask = to;
    NodeList *list = &ask->node->index.subscripts;
    Subscript s[INDEX_MAX] = {0};
    Value of = VALUE_UNDEFINED;
    (void)n;
    bool fine = fact_value(c, ask->of, world, &of);
    for (int i = 0; i < list->count && fine; i++) {
        NodeKind kind = list->at[i]->kind;
        s[i].ellipsis = kind == NODE_ELLIPSIS;
        s[i].slice = kind == NODE_SLICE;
        if (s[i].slice)
            fine = part_value(c, ask->part[i][0], world, &s[i].start) &&
                   part_value(c, ask->part[i][1], world, &s[i].stop) &&
                   part_value(c, ask->part[i][2], world, &s[i].step);
        else if (!s[i].ellipsis)
            fine = part_value(c, ask->part[i][0], world, &s[i].value);
    }
    Value value = VALUE_UNDEFINED;
    if (fine && ask->value)
        fine = fact_value(c, ask->value, world, &value) &&
               index_set(c->vm, &of, list->count, s, (int)ask->op, value);
    else
        fine = fine && index_get(c->vm, of, list->count, s, &results[0]);
    value_release(value);
    for (int i = 0; i < list->count; i++) {
        value_release(s[i].value);
        value_release(s[i].start);
        value_release(s[i].stop);
        value_release(s[i].step);
    }
    value_release(of);
    return fine;
}

/* Masks choose by their values. */
static bool is_mask(const Fact *fact)
{
    if (!fact)
        return false;
    if (fact->kind == FACT_LIST && fact->list.count && fact->list.at[0])
        return fact->list.at[0]->kind == FACT_BOOL || fact->list.at[0]->kind == FACT_LIST;
    return fact->kind == FACT_TENSOR && (fact->tensor.any_dtype || dtype_class(fact->tensor.dtype) == CLASS_BOOL);
}

/* A row of as many ints, for rules that only count. */
const Fact *check_stand_in(Checker *c, const Fact *row)
{
    const Fact **at = check_alloc(c, (size_t)(row->list.count + 1) * sizeof *at);
    for (int i = 0; i < row->list.count; i++)
        at[i] = fact_number(c, 0);
    return fact_list(c, row->kind, row->list.count, at);
}

/* Looks at the subscripts of [node]; what x[…] gives when all of them are known. */
static const Fact *subscripted(Checker *c, Env *e, Node *node, const Fact *of, Operator op, const Fact *value)
{
    NodeList *list = &node->index.subscripts;
    const Fact *part[INDEX_MAX][3] = {0}, *all[INDEX_MAX * 3 + 2];
    Inputs inputs = {.at = all};
    bool known = of != NULL && list->count <= INDEX_MAX;
    if (of)
        all[inputs.n++] = of;
    for (int i = 0; i < list->count && i < INDEX_MAX; i++) {
        Node *at = list->at[i];
        bool slice = at->kind == NODE_SLICE;
        Node *written[3] = {slice ? at->slice.start : at, slice ? at->slice.stop : NULL, slice ? at->slice.step : NULL};
        for (int k = 0; k < 3; k++) {
            if (!written[k] || written[k]->kind == NODE_ELLIPSIS)
                continue;
            part[i][k] = check_expr(c, e, written[k]);
            known = known && part[i][k] && !is_mask(part[i][k]);
            if (part[i][k])
                all[inputs.n++] = part[i][k];
        }
    }
    int64_t at;
    bool row = of && (of->kind == FACT_LIST || of->kind == FACT_TUPLE);
    if (row && !value && known && list->count == 1 && fact_is_int(part[0][0], &at) && list->at[0]->kind != NODE_SLICE) {
        at += at < 0 ? of->list.count : 0;
        if (at >= 0 && at < of->list.count)
            return of->list.at[at];
        of = all[0] = check_stand_in(c, of);
    }
    bool found = false;
    if (known && of->kind == FACT_MAP && list->count == 1 && part[0][0] && part[0][0]->kind == FACT_STRING && !value) {
        const Fact *entry = map_entry(of, part[0][0]->string.text, part[0][0]->string.length, &found);
        if (found)
            return entry;
    }
    if (!known || of->kind >= FACT_FUNCTION || (value && of->kind == FACT_MAP))
        return NULL;
    if (value)
        all[inputs.n++] = value;
    AskIndex ask = {of, node, (const Fact *const (*)[3])part, op, value};
    const Fact *result = NULL;
    char names[ERROR_MAX_OPERANDS][32];
    if (worlds_ask(c, &inputs, ask_index, &ask, 1, &result) != ANSWER_ERROR)
        return result;
    check_operands(c, e, 1, &node->index.value, names);
    return check_fail(c, e, node->span, (const char (*)[32])names);
}

const Fact *check_subscripts(Checker *c, Env *e, Node *node, const Fact *of)
{
    return subscripted(c, e, node, of, OPERATOR_NONE, NULL);
}

void check_store(Checker *c, Env *e, Node *node, const Fact *of, Operator op, const Fact *value)
{
    bool known = value && value->kind < FACT_FUNCTION;
    subscripted(c, e, node, known ? of : NULL, op, known ? value : NULL);
}

/* ---- collections ---- */

static const Fact *row(Checker *c, Env *e, Node *node)
{
    int n = node->list.count;
    bool known = n <= 1000;
    const Fact **at = check_alloc(c, (size_t)(known ? n + 1 : 1) * sizeof *at);
    for (int i = 0; i < n; i++) {
        Node *item = node->list.at[i];
        const Fact *fact = check_expr(c, e, item->kind == NODE_SPREAD ? item->unary.child : item);
        known = known && item->kind != NODE_SPREAD;
        if (known)
            at[i] = fact;
    }
    return known ? fact_list(c, node->kind == NODE_LIST ? FACT_LIST : FACT_TUPLE, n, at) : NULL;
}

static const Fact *map(Checker *c, Env *e, Node *node)
{
    int n = node->list.count;
    bool known = n <= 200;
    const Fact **key = check_alloc(c, (size_t)(known ? n + 1 : 1) * sizeof *key);
    const Fact **at = check_alloc(c, (size_t)(known ? n + 1 : 1) * sizeof *at);
    for (int i = 0; i < n; i++) {
        Node *item = node->list.at[i];
        bool entry = item->kind == NODE_ENTRY;
        const Fact *name = check_expr(c, e, entry ? item->binary.left : item->unary.child);
        const Fact *value = entry ? check_expr(c, e, item->binary.right) : NULL;
        known = known && entry && name && name->kind == FACT_STRING;
        if (known) {
            key[i] = name;
            at[i] = value;
        }
    }
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_MAP, .map = {n, key, at}};
    return known ? fact : NULL;
}

/* The last entry of that key; *found false: the map has none. */
static const Fact *map_entry(const Fact *map, const char *text, size_t length, bool *found)
{
    for (int i = map->map.count - 1; i >= 0; i--)
        if (map->map.key[i]->string.length == length && !memcmp(map->map.key[i]->string.text, text, length))
            return *found = true, map->map.at[i];
    *found = false;
    return NULL;
}

static void bind_targets(Checker *c, Env *e, Node *target, const Fact *fact)
{
    bool fits = fact && (fact->kind == FACT_LIST || fact->kind == FACT_TUPLE);
    if (target->kind == NODE_NAME) {
        check_note(c, e, target, fact);
        env_bind(c, e, target->name, fact);
    }
    if (target->kind == NODE_SPREAD)
        bind_targets(c, e, target->unary.child, NULL);
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            bind_targets(c, e, target->list.at[i],
                         fits && fact->list.count == target->list.count ? fact->list.at[i] : NULL);
}

/* The items of a range or list that are all known. */
static const Fact *const *items_of(Checker *c, Env *e, Node *iterable, const Fact *over, int *count)
{
    int64_t from, to;
    (void)e;
    if (iterable->kind != NODE_RANGE)
        return check_items(over, count);
    if (!over || over->kind != FACT_TUPLE || !fact_is_int(over->list.at[0], &from) ||
        !fact_is_int(over->list.at[1], &to) || to - from > ITEMS_MOST)
        return NULL;
    *count = to > from ? (int)(to - from) : 0;
    const Fact **at = check_alloc(c, (size_t)(*count + 1) * sizeof *at);
    for (int i = 0; i < *count; i++)
        at[i] = fact_number(c, from + i);
    return at;
}

static void clause(Checker *c, Env *e, Node *node, int i)
{
    if (i == node->comprehension.count) {
        if (node->comprehension.key)
            check_expr(c, e, node->comprehension.key);
        check_expr(c, e, node->comprehension.element);
        return;
    }
    const ForClause *at = &node->comprehension.clauses[i];
    const Fact *over = check_iterable(c, e, at->iterable);
    int n_locals = e->n_locals;
    bind_targets(c, e, at->target, at->iterable->kind == NODE_RANGE ? fact_int(c, extent_symbol(c, NULL))
                                                                   : check_item(c, over));
    if (at->condition)
        check_condition(c, e, at->condition);
    clause(c, e, node, i + 1);
    e->n_locals = n_locals;
}

typedef struct AskItems { const Fact *a, *b; } AskItems;

static bool ask_items(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskItems *ask = to;
    Value v, r[2] = {0};
    (void)n;
    (void)results;
    if (!fact_value(c, ask->a, world, &v) || !iterate_begin(c->vm, v, r))
        return false;
    iterate_end(c->vm, r);
    value_release(r[0]);
    value_release(r[1]);
    return true;
}

static bool ask_range(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskItems *ask = to;
    Value a = VALUE_UNDEFINED, b = VALUE_UNDEFINED;
    (void)n;
    bool fine = fact_value(c, ask->a, world, &a) && fact_value(c, ask->b, world, &b) &&
                do_range(c->vm, a, b, &results[0]);
    value_release(a);
    value_release(b);
    return fine;
}

/* a..b as the tuple of its ends; anything else as it is, if it has items. */
const Fact *check_iterable(Checker *c, Env *e, Node *node)
{
    bool range = node->kind == NODE_RANGE;
    const Fact **ends = check_alloc(c, 2 * sizeof *ends), *unused;
    ends[0] = check_expr(c, e, range ? node->binary.left : node);
    ends[1] = range ? check_expr(c, e, node->binary.right) : NULL;
    AskItems ask = {ends[0], ends[1]};
    Inputs inputs = {.n = range ? 2 : 1, .at = ends};
    bool known = range ? ends[0] && ends[1] : ends[0] && ends[0]->kind <= FACT_FLOAT;
    if (known && worlds_ask(c, &inputs, range ? ask_range : ask_items, &ask, 1, &unused) == ANSWER_ERROR)
        check_fail(c, e, node->span, NULL);
    return range ? fact_list(c, FACT_TUPLE, 2, ends) : ends[0];
}

static const Fact *comprehension(Checker *c, Env *e, Node *node)
{
    const ForClause *first = &node->comprehension.clauses[0];
    int count = 0, n_locals = e->n_locals;
    bool simple = node->comprehension.count == 1 && !first->condition && !node->comprehension.key;
    const Fact *over = simple ? check_iterable(c, e, first->iterable) : NULL;
    const Fact *const *items = simple ? items_of(c, e, first->iterable, over, &count) : NULL;
    if (!items || !count) {
        e->unsure++;
        clause(c, e, node, 0);
        e->unsure--;
        return items ? fact_list(c, FACT_LIST, 0, items) : NULL;
    }
    const Fact **made = check_alloc(c, (size_t)(count + 1) * sizeof *made);
    for (int i = 0; i < count && !e->failed; i++) {
        c->quiet += i > 0;
        bind_targets(c, e, first->target, items[i]);
        made[i] = check_expr(c, e, node->comprehension.element);
        e->n_locals = n_locals;
        c->quiet -= i > 0;
    }
    return fact_list(c, FACT_LIST, count, made);
}

/* ---- the rest ---- */

typedef struct AskFormat { const Fact *of; const char *spec; int sample; } AskFormat;

static bool ask_format(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskFormat *ask = to;
    Text text = {0};
    Value v = ask->sample == 0 ? value_int(1) : ask->sample == 1 ? value_float(1.5) : VALUE_UNDEFINED;
    if (ask->of ? !fact_value(c, ask->of, world, &v) : ask->sample == 2 && (v = string_from("x")).tag == TAG_UNDEFINED)
        return false;
    bool fine = value_format(c->vm, v, ask->spec, &text);
    text_free(&text);
    value_release(v);
    (void)n;
    results[0] = VALUE_NONE;
    return fine;
}

/* A spec that fits neither ints nor floats nor strings fits nothing. */
static void check_spec(Checker *c, Env *e, Node *item, const Fact *of)
{
    bool plain = of && (of->kind == FACT_INT || of->kind == FACT_FLOAT || of->kind == FACT_STRING);
    Inputs inputs = {.n = plain, .at = &of};
    if (!plain && strchr(item->item.spec, '%'))
        return;               /* a date has specs of its own */
    for (int sample = plain ? 2 : 0; sample < 3; sample++) {
        const Fact *unused;
        AskFormat ask = {plain ? of : NULL, item->item.spec, sample};
        if (worlds_ask(c, &inputs, ask_format, &ask, 1, &unused) != ANSWER_ERROR)
            return;
        if (sample < 2)
            error_clear(&c->vm->tensors.error);
    }
    check_fail(c, e, item->span, NULL);
}

static const Fact *format(Checker *c, Env *e, Node *node)
{
    for (int i = 0; i < node->list.count; i++) {
        Node *item = node->list.at[i];
        if (item->kind != NODE_FORMAT_ITEM)
            continue;
        const Fact *of = check_expr(c, e, item->item.value);
        if (item->item.spec)
            check_spec(c, e, item, of);
    }
    return NULL;
}

/* A function made here: it copies what it mentions. What it does is looked at once, with unknown arguments. */
const Fact *check_closure(Checker *c, Env *e, const Function *function)
{
    Env *outer = NULL;
    if (!e->module || e->n_locals > e->unit->n_surveyed || e->outer) {
        outer = check_alloc(c, sizeof *outer);
        *outer = *e;
        outer->local = env_copy(c, e);
        if (!outer->local)
            outer->n_locals = 0;
    }
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_FUNCTION, .function = {.unit = e->unit, .function = function, .owner = e->owner,
                                                       .outer = outer}};
    if (!e->inlined)
        check_function(c, outer ? outer : e, e->unit, e->owner, function, NULL, NULL);
    return fact;
}

static const Fact *known_expr(Checker *c, Env *e, Node *node)
{
    switch (node->kind) {
    case NODE_INT: return fact_number(c, node->integer);
    case NODE_FLOAT: return fact_float(c, true, node->number);
    case NODE_BOOL: return fact_bool(c, true, node->boolean);
    case NODE_NONE: return fact_new(c, FACT_NONE);
    case NODE_STRING: return fact_string(c, node->string.text, node->string.length);
    case NODE_FORMAT: return format(c, e, node);
    case NODE_NAME: return name_value(c, e, node);
    case NODE_LIST:
    case NODE_TUPLE: return row(c, e, node);
    case NODE_MAP: return map(c, e, node);
    case NODE_COMPREHENSION: return comprehension(c, e, node);
    case NODE_RANGE: check_iterable(c, e, node); return NULL;
    case NODE_UNARY: return unary(c, e, node);
    case NODE_BINARY: {
        if (node->binary.op == OPERATOR_AND || node->binary.op == OPERATOR_OR)
            return logic(c, e, node);
        const Fact *left = check_expr(c, e, node->binary.left), *right = check_expr(c, e, node->binary.right);
        return check_binary(c, e, node->binary.op, node->binary.left, node->binary.right, left, right, node->span);
    }
    case NODE_COMPARE: return compare(c, e, node);
    case NODE_CALL: return check_call(c, e, node);
    case NODE_PIPE: return check_pipe(c, e, node);
    case NODE_INDEX: return check_subscripts(c, e, node, check_expr(c, e, node->index.value));
    case NODE_MEMBER:
        return check_member(c, e, check_expr(c, e, node->member.value), node->member.name, node->span);
    case NODE_LAMBDA: return check_closure(c, e, node->function);
    case NODE_IF: return check_if(c, e, node);
    case NODE_TRY: return check_try(c, e, node);
    case NODE_BLOCK: return check_block(c, e, node);
    case NODE_DONE:
    case NODE_ELLIPSIS: return NULL;
    default:
        if (node->kind > NODE_EXPR)
            check_statement(c, e, node);
        return NULL;
    }
}

const Fact *check_expr(Checker *c, Env *e, Node *node)
{
    if (e->failed || c->no_memory || (e->inlined && c->budget-- <= 0))
        return NULL;
    if (e->inlined && c->nesting > NESTING_MOST)
        return NULL;          /* followed calls stay well within the C stack */
    c->nesting++;
    const Fact *fact = known_expr(c, e, node);
    c->nesting--;
    if (c->noted && node->kind >= NODE_NAME)
        check_note(c, e, node, fact);
    return e->failed ? NULL : fact;
}
