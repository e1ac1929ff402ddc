/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contracts both ways: what a function may assume of its arguments, as named sizes, and whether what it is called with
   and gives back fits. The second is asked of contract.c itself, over registers filled for one world. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "compile.h"

/* ---- assuming ---- */

static const Fact *size_name(Checker *c, Env *e, const char *name, bool make)
{
    Local *local = env_local(e, name);
    const Local *field = e->self && e->model ? object_field(e->self, name) : NULL;
    const Fact *known = local ? local->fact : field ? field->fact : NULL;
    if (known)
        return known->kind == FACT_INT ? known : NULL;
    if (!make)
        return NULL;
    const Fact *made = fact_int(c, extent_symbol(c, name));
    if (local)
        local->fact = made;
    else
        env_bind(c, e, name, made);
    return made;
}

/* The size that an axis' expression is; NULL: names are missing, unless they may be made. */
static const Extent *size_of(Checker *c, Env *e, const Node *node, bool make)
{
    if (node->kind == NODE_INT)
        return extent_number(c, node->integer);
    if (node->kind == NODE_NAME) {
        const Fact *fact = size_name(c, e, node->name, make);
        return fact ? fact->extent : NULL;
    }
    if (node->kind != NODE_BINARY)
        return NULL;
    const Extent *left = size_of(c, e, node->binary.left, make), *right = size_of(c, e, node->binary.right, make);
    return left && right ? extent_work(c, node->binary.op, left, right) : NULL;
}

static const Extent *axis_extent(Checker *c, Env *e, const Axis *axis, bool make)
{
    bool plain = axis->kind == AXIS_SIZE && axis->size && !axis->or_one && !axis->forced;
    const Extent *extent = plain ? size_of(c, e, axis->size, make) : NULL;
    return extent ? extent : extent_symbol(c, NULL);
}

/* Bare names first: everything else is worked out from them. */
static void make_names(Checker *c, Env *e, const Node *contract, bool sure)
{
    for (int i = 0; i < contract->contract.n_axes; i++) {
        const Axis *axis = &contract->contract.axes[i];
        if (axis->kind == AXIS_PACK)
            env_bind(c, e, axis->name, NULL);
        else if (axis->kind == AXIS_SIZE && axis->size && axis->size->kind == NODE_NAME && !axis->forced) {
            if (sure && !axis->or_one)
                size_name(c, e, axis->size->name, true);
            else if (!env_local(e, axis->size->name) && !(e->self && object_field(e->self, axis->size->name)))
                env_bind(c, e, axis->size->name, NULL);
        }
    }
    sure = sure && contract->contract.kind == CONTRACT_TUPLE;      /* a list may be empty, `none` has no axes */
    for (int i = 0; i < contract->contract.items.count; i++)
        make_names(c, e, contract->contract.items.at[i], sure);
}

static void make_expressions(Checker *c, Env *e, const Node *contract, bool sure)
{
    for (int i = 0; i < contract->contract.n_axes; i++) {
        const Axis *axis = &contract->contract.axes[i];
        if (axis->kind == AXIS_SIZE && axis->size && axis->size->kind != NODE_NAME && !axis->forced && sure)
            size_of(c, e, axis->size, true);
    }
    sure = sure && contract->contract.kind == CONTRACT_TUPLE;
    for (int i = 0; i < contract->contract.items.count; i++)
        make_expressions(c, e, contract->contract.items.at[i], sure);
}

static const Fact *shape_promise(Checker *c, Env *e, const Node *contract)
{
    const char *word = contract->contract.word;
    int n = contract->contract.n_axes;
    Dtype dtype = DTYPE_f32;
    bool exact = word && dtype_from_name(word, &dtype);
    if (n > TENSOR_MAX_DIMS || n == 0)
        return NULL;
    if (word && !exact)
        dtype = !strcmp(word, "int") ? DTYPE_i64 : DTYPE_f32;
    const Extent **dim = check_alloc(c, (size_t)(n + 1) * sizeof *dim);
    for (int i = 0; i < n; i++) {
        const Axis *axis = &contract->contract.axes[i];
        if (axis->kind == AXIS_REST || axis->kind == AXIS_PACK)
            return NULL;
        dim[i] = axis_extent(c, e, axis, false);
    }
    return fact_tensor(c, dtype, !exact, n, dim);
}

const Fact *check_promise(Checker *c, Env *e, Node *contract)
{
    const char *word = contract->contract.word;
    switch (contract->contract.kind) {
    case CONTRACT_SHAPE: return shape_promise(c, e, contract);
    case CONTRACT_TUPLE: {
        int n = contract->contract.items.count;
        const Fact **at = check_alloc(c, (size_t)(n + 1) * sizeof *at);
        for (int i = 0; i < n; i++)
            at[i] = check_promise(c, e, contract->contract.items.at[i]);
        return fact_list(c, FACT_TUPLE, n, at);
    }
    case CONTRACT_WORD:
        if (!strcmp(word, "none"))
            return fact_new(c, FACT_NONE);
        return NULL;          /* an int may be of any dtype */
    default: return NULL;
    }
}

static bool mentions(const Node *contract, const char *name)
{
    for (int i = 0; i < contract->contract.n_axes; i++) {
        const Axis *axis = &contract->contract.axes[i];
        if (axis->kind == AXIS_SIZE && axis->size && axis->size->kind == NODE_NAME && !strcmp(axis->size->name, name))
            return true;
    }
    for (int i = 0; i < contract->contract.items.count; i++)
        if (mentions(contract->contract.items.at[i], name))
            return true;
    return false;
}

void check_assume(Checker *c, Env *e, int count, const Parameter *parameters)
{
    for (int i = 0; i < count; i++) {     /* a parameter that is a size in another's contract, or an int by its own */
        const Node *own = parameters[i].contract;
        bool is_int = own && own->contract.kind == CONTRACT_WORD && !strcmp(own->contract.word, "int");
        for (int k = 0; k < count && !parameters[i].rest && !is_int; k++)
            is_int = !own && parameters[k].contract && mentions(parameters[k].contract, parameters[i].name);
        if (is_int && !parameters[i].rest && !parameters[i].named_rest)
            env_set(c, e, parameters[i].name, fact_int(c, extent_symbol(c, parameters[i].name)));
    }
    for (int i = 0; i < count; i++)
        if (parameters[i].contract)
            make_names(c, e, parameters[i].contract, true);
    for (int i = 0; i < count; i++)
        if (parameters[i].contract)
            make_expressions(c, e, parameters[i].contract, true);
    for (int i = 0; i < count; i++)
        if (parameters[i].contract && !parameters[i].rest && !parameters[i].named_rest) {
            const Fact *promise = check_promise(c, e, parameters[i].contract);
            if (promise)
                env_set(c, e, parameters[i].name, promise);
        }
}

void check_assume_model(Checker *c, Env *e, const Node *model)
{
    for (int p = 0; p < model->model.n_parameters; p++) {
        const Parameter *parameter = &model->model.parameters[p];
        bool is_size = false;
        for (int i = 0; i < model->model.body.count; i++) {
            const Node *node = model->model.body.at[i];
            for (int k = 0; node->kind == NODE_FN && k < node->function->n_parameters; k++) {
                const Node *contract = node->function->parameters[k].contract;
                is_size = is_size || (contract && mentions(contract, parameter->name));
            }
        }
        Local *local = env_local(e, parameter->name);
        if (is_size && !parameter->rest && !parameter->contract && local && !local->fact)
            local->fact = fact_int(c, extent_symbol(c, parameter->name));
    }
}

/* ---- asking ---- */

typedef struct AskContract {
    Env *callee;
    const Proto *proto;
    const Contract *contract;
    const Fact *result;
    bool local;               /* of an annotated local: only its result is looked at */
} AskContract;

static const Fact *of_name(Checker *c, const AskContract *ask, const ContractName *name)
{
    Env *e = ask->callee;
    const char *own = arena_name(e->unit->parse->arena, name->name, strlen(name->name));
    bool found, is_function;
    if (!own || name->source == NAME_FRESH)
        return NULL;
    if (name->source == NAME_OF_FIELD) {
        const Local *field = e->self ? object_field(e->self, own) : NULL;
        return field ? field->fact : NULL;
    }
    return check_name(c, e, own, false, &found, &is_function);
}

static Value value_or_none(Checker *c, const Fact *fact, const World *world)
{
    Value v;
    return fact && fact_value(c, fact, world, &v) ? v : VALUE_UNDEFINED;
}

/* The object of a method, with the fields that the contract's names mean. */
static bool fill_object(Checker *c, const AskContract *ask, const World *world, Value *r)
{
    bool needed = false;
    for (int i = 0; i < ask->contract->n_names; i++)
        needed = needed || ask->contract->names[i].source == NAME_OF_FIELD;
    Node *model = ask->callee->model;
    if (!needed)
        return true;
    Proto *constructor = model ? unit_proto(c, ask->callee->unit, model, model->model.header) : NULL;
    if (!constructor)
        return false;
    Value made = model_new(c->vm, constructor);
    Object *object = made.tag == TAG_MODEL ? object_new(made.model) : NULL;
    value_release(made);
    if (!object)
        return false;
    r[0] = (Value){.tag = TAG_OBJECT, .object = object};
    for (int i = 0; i < ask->contract->n_names; i++) {
        const ContractName *name = &ask->contract->names[i];
        if (name->source == NAME_OF_FIELD && name->index < object->n_fields)
            value_set(&object->field[name->index], value_or_none(c, of_name(c, ask, name), world));
    }
    return true;
}

static void fill_registers(Checker *c, const AskContract *ask, const World *world, Value *r)
{
    const Contract *contract = ask->contract;
    for (int i = 0; i < contract->n_rules && !ask->local; i++) {
        const char *name = arena_name(ask->callee->unit->parse->arena, contract->rule_name[i],
                                      strlen(contract->rule_name[i]));
        Local *local = name ? env_local(ask->callee, name) : NULL;
        r[contract->first_parameter + i] = value_or_none(c, local ? local->fact : NULL, world);
    }
    for (int i = 0; i < contract->n_names; i++) {
        const ContractName *name = &contract->names[i];
        if (name->source == NAME_PRESET || (name->source == NAME_PARAMETER && ask->local))
            value_set(&r[name->index], value_or_none(c, of_name(c, ask, name), world));
    }
}

static bool ask_contract(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskContract *ask = to;
    const Contract *contract = ask->contract;
    int n_registers = ask->proto->n_registers + 2;
    Value *r = calloc((size_t)n_registers, sizeof *r), v = VALUE_UNDEFINED;
    bool fine = r && fill_object(c, ask, world, r);
    if (fine)
        fill_registers(c, ask, world, r);
    fine = fine && (ask->local || contract_check(c->vm, contract, r, ask->proto));
    if (fine && ask->result && contract->result)
        fine = fact_value(c, ask->result, world, &v) && contract_check_result(c->vm, contract, r, v, ask->proto);
    for (int i = 0; fine && i < contract->n_names; i++)
        if (contract->names[i].source == NAME_FRESH && !ask->local && r[contract->names[i].index].tag != TAG_NONE)
            results[i] = value_retain(r[contract->names[i].index]);
    for (int i = contract->n_names; fine && i < n; i++)
        results[i] = value_retain(r[contract->first_parameter + i - contract->n_names]);
    for (int i = 0; r && i < n_registers; i++)
        value_set(&r[i], VALUE_UNDEFINED);
    value_release(v);
    free(r);
    return fine;
}

static void add_input(Inputs *inputs, const Fact *fact)
{
    if (fact && inputs->n < inputs->room)
        inputs->at[inputs->n++] = fact;
}

static Answer ask_all(Checker *c, AskContract *ask, const Fact **results)
{
    const Contract *contract = ask->contract;
    const Fact *all[CONTRACT_NAMES + 128];
    Inputs inputs = {.at = all, .room = CONTRACT_NAMES + 128};
    Env *e = ask->callee;
    for (int i = 0; i < contract->n_rules && !ask->local; i++) {
        const char *name = arena_name(e->unit->parse->arena, contract->rule_name[i], strlen(contract->rule_name[i]));
        Local *local = name ? env_local(e, name) : NULL;
        add_input(&inputs, local ? local->fact : NULL);
    }
    for (int i = 0; i < contract->n_names; i++)
        add_input(&inputs, of_name(c, ask, &contract->names[i]));
    add_input(&inputs, ask->result);
    int n = contract->n_names + (ask->local ? 0 : contract->n_rules);
    return worlds_ask(c, &inputs, ask_contract, ask, n <= WORLD_RESULTS ? n : contract->n_names, results);
}

/* A list where the contract has a shape is a tensor in the body. */
static void take_promoted(Checker *c, Env *callee, const Contract *contract, const Fact *const *arguments)
{
    for (int i = 0; i < contract->n_rules && contract->n_names + i < WORLD_RESULTS; i++) {
        const char *own = arena_name(callee->unit->parse->arena, contract->rule_name[i],
                                     strlen(contract->rule_name[i]));
        const Local *local = own ? env_local(callee, own) : NULL;
        if (local && local->fact && local->fact->kind == FACT_LIST && arguments[i])
            env_set(c, callee, own, arguments[i]);
    }
}

Answer check_contract(Checker *c, Env *callee, const Proto *proto, const Fact *result)
{
    const Fact *results[WORLD_RESULTS] = {0};
    if (!proto->n_contracts || proto->contracts[0]->first_parameter < 0 || !proto->contracts[0]->rule)
        return ANSWER_UNKNOWN;
    AskContract ask = {callee, proto, proto->contracts[0], result, false};
    Answer answer = ask_all(c, &ask, results);
    for (int i = 0; i < ask.contract->n_names && answer != ANSWER_ERROR && !result; i++) {
        const ContractName *name = &ask.contract->names[i];
        const char *own = arena_name(callee->unit->parse->arena, name->name, strlen(name->name));
        if (name->source != NAME_FRESH || !own)
            continue;
        const Fact *fact = answer == ANSWER_FINE ? results[i] : NULL;
        if (env_local(callee, own))
            env_set(c, callee, own, fact);
        else
            env_bind(c, callee, own, fact);
    }
    if (answer == ANSWER_FINE && !result)
        take_promoted(c, callee, ask.contract, results + ask.contract->n_names);
    return answer;
}

/* The result of a function that is looked at for itself: its arguments are what their contracts say. */
void check_result(Checker *c, Env *e, const Fact *fact, Span span)
{
    if (!e->function || !e->function->result || !fact || fact->kind >= FACT_FUNCTION)
        return;
    const Proto *proto = unit_proto(c, e->unit, e->owner, e->function->header);
    if (proto && check_contract(c, e, proto, fact) == ANSWER_ERROR)
        check_fail(c, e, span, NULL);
}

/* The compiled form of the code around [span]: of a function, a model's body, or a statement of the module. */
static const Proto *proto_around(Checker *c, const Env *e, Span span)
{
    Span header = {0, e->unit->source->length};
    Node *owner = e->owner;
    const NodeList *list = &e->unit->parse->statements;
    for (int i = 0; i < list->count && !owner; i++)
        if (list->at[i]->span.start <= span.start && span.end <= list->at[i]->span.end)
            owner = list->at[i];
    if (e->function)
        header = e->function->header;
    else if (owner && owner->kind == NODE_MODEL)
        header = owner->model.header;
    else if (owner && owner->kind == NODE_TEST)
        header = owner->span;
    return owner ? unit_proto(c, e->unit, owner, header) : NULL;
}

const Fact *check_annotated(Checker *c, Env *e, Node *assign, const Fact *fact)
{
    Node *contract = assign->assign.contract;
    const char *text = e->unit->source->text + contract->span.start, *name = assign->assign.target->name;
    const Proto *proto = fact && fact->kind < FACT_FUNCTION ? proto_around(c, e, assign->span) : NULL;
    if (!fact)
        return check_promise(c, e, contract);
    for (int i = 0; proto && i < proto->n_contracts; i++) {
        const Contract *at = proto->contracts[i];
        size_t length = contract->span.end - contract->span.start;
        if (at->rule || strcmp(at->result_name, name) != 0 || strlen(at->result->text) != length ||
            memcmp(at->result->text, text, length) != 0)
            continue;
        const Fact *results[WORLD_RESULTS] = {0};
        AskContract ask = {e, proto, at, fact, true};
        if (ask_all(c, &ask, results) == ANSWER_ERROR)
            return check_fail(c, e, assign->assign.target->span, NULL);
        break;
    }
    return fact;
}
