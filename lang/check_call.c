/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls: who is called, whether the arguments fit, and what comes of it. Ops run dry; a few natives that only look at
   shapes run as they are; functions and models of the language are followed as far as the budget goes, and an error
   that such a call cannot escape is an error of the call. */
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "check.h"
#include "compile.h"

enum { DEPTH_MOST = 8, ARGUMENTS_MOST = 24, BUDGET_OF_CALL = 3000 };

typedef struct Given { const char *name; const Fact *fact; Node *node; } Given;
typedef struct Call {         /* arguments with spreads taken apart */
    int n;
    Given at[ARGUMENTS_MOST];
    bool open;                /* a spread of unknown length, or too many: not all of them are here */
    Span span;
} Call;

/* ---- arguments ---- */

static void start(Call *call, Span span)
{
    call->n = 0;
    call->open = false;
    call->span = span;
}

static void add_given(Call *call, const char *name, const Fact *fact, Node *node)
{
    if (call->n == ARGUMENTS_MOST)
        call->open = true;
    else
        call->at[call->n++] = (Given){name, fact, node};
}

static void add_arguments(Checker *c, Env *e, Call *call, int count, const Argument *args)
{
    for (int i = 0; i < count; i++) {
        Node *value = args[i].value;
        if (value->kind != NODE_SPREAD) {
            add_given(call, args[i].name, check_expr(c, e, value), value);
            continue;
        }
        const Fact *row = check_expr(c, e, value->unary.child);
        bool known = row && (row->kind == FACT_LIST || row->kind == FACT_TUPLE);
        call->open = call->open || !known;
        for (int k = 0; known && k < row->list.count; k++)
            add_given(call, NULL, row->list.at[k], NULL);
    }
    for (int i = 0; i < call->n; i++)      /* the compiler says what is named twice */
        for (int k = 0; k < i; k++)
            call->open = call->open || (call->at[i].name && call->at[k].name &&
                                        !strcmp(call->at[i].name, call->at[k].name));
}

static void drop(Value *args, int n)
{
    for (int i = 0; i < n; i++)
        value_release(args[i]);
}

/* Splits the values of a call's arguments into positional and named ones. */
static int split(const Call *call, Value *values, Value *args, NamedValue *named, int *n_named)
{
    int n = 0;
    *n_named = 0;
    for (int i = 0; i < call->n; i++)
        if (call->at[i].name)
            named[(*n_named)++] = (NamedValue){call->at[i].name, values[i]};
        else
            args[n++] = values[i];
    return n;
}

static const Fact *fail_call(Checker *c, Env *e, const Call *call)
{
    char names[ERROR_MAX_OPERANDS][32];
    Node *node[ARGUMENTS_MOST];
    for (int i = 0; i < call->n; i++)
        node[i] = call->at[i].node;
    check_operands(c, e, call->n, node, names);
    return check_fail(c, e, call->span, (const char (*)[32])names);
}

/* ---- rows of the tables ---- */

/* The parameter that the argument goes to; NULL: none, or a rest. */
static const Param *param_of(const Signature *signature, const Call *call, int at)
{
    int place = 0;
    for (int i = 0; i < at && !call->at[at].name; i++)
        place += !call->at[i].name;
    for (int i = 0; i < signature->count; i++) {
        const Param *param = &signature->param[i];
        if (call->at[at].name ? !strcmp(param->name, call->at[at].name) : param->rest || i == place)
            return param;
    }
    return NULL;
}

/* What fits the parameter, for an argument of which nothing is known: one, wherever numbers may stand. */
static Value sample(const Param *param)
{
    if (param && param->kind == PARAM_bool)
        return value_bool(true);
    if (param && (param->kind == PARAM_str || param->kind == PARAM_dtype))
        return string_from(param->kind == PARAM_str ? "" : "f32");
    return value_int(1);
}

typedef struct AskRow {
    const Call *call;
    const OpDef *op;          /* or */
    const NativeDef *native;
    const Signature *signature;
    bool exact;               /* all of them are known plain numbers: a single number comes out as it is */
    bool bind;                /* only whether the arguments fit; unknown ones do */
} AskRow;

static bool call_native(Checker *c, AskRow *ask, int n, const Value *args, int n_named, const NamedValue *named,
                        Value *result)
{
    Value bound[SIGNATURE_MAX];
    if (!bind_signature(c->vm, ask->native->name, ask->signature, n, args, n_named, named, bound))
        return false;
    bool fine = ask->bind || ask->native->run(c->vm, bound, result);
    drop(bound, ask->signature->count);
    return fine;
}

/* Dry; but one number that comes of known numbers is worked out, unless chance has a part in it. */
static bool run_op(Checker *c, const AskRow *ask, int n, const Value *args, int n_named, const NamedValue *named,
                   Value *result)
{
    TensorContext *context = &c->vm->tensors;
    if (!op_apply(c->vm, ask->op, n, args, n_named, named, result))
        return false;
    if (!ask->exact || result->tag != TAG_TENSOR || result->tensor->ndim > 0)
        return true;
    uint64_t counter = context->counter;
    Value number = VALUE_UNDEFINED;
    context->meta = false;
    bool fine = op_apply(c->vm, ask->op, n, args, n_named, named, &number);
    context->meta = true;
    if (!fine)
        value_set(result, VALUE_UNDEFINED);
    else if (context->counter == counter)
        value_set(result, number);
    else
        value_release(number);
    return fine;
}

static bool ask_row(Checker *c, const World *world, void *to, int n_results, Value *results)
{
    AskRow *ask = to;
    const Call *call = ask->call;
    Value values[ARGUMENTS_MOST], args[ARGUMENTS_MOST];
    NamedValue named[ARGUMENTS_MOST];
    int n_named, made = 0;
    bool fine = true;
    (void)n_results;
    for (; fine && made < call->n; made++) {
        const Fact *fact = call->at[made].fact;
        if (fact && fact_value(c, fact, world, &values[made]))
            continue;
        values[made] = sample(param_of(ask->signature, call, made));
        fine = ask->bind;
    }
    int n = fine ? split(call, values, args, named, &n_named) : 0;
    if (fine && ask->op)
        fine = ask->bind ? op_binds(c->vm, ask->op, n, args, n_named, named)
                         : run_op(c, ask, n, args, n_named, named, &results[0]);
    else if (fine)
        fine = call_native(c, ask, n, args, n_named, named, &results[0]);
    drop(values, made);
    return fine;
}

/* Natives whose results hang on types and shapes alone. */
static bool looks_at_shapes(const NativeDef *native)
{
    static const char *const names[] = {"tensor", "shape", "len", "u8", "i32", "i64", "f32", "f64", "range", "list",
                                        "tuple", "type", "max", "min", "reverse", "zip", "enumerate", "upper", "lower"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], native->name))
            return true;
    return false;
}

static bool is_known_number(const Fact *fact)
{
    if (fact->kind == FACT_LIST) {
        for (int i = 0; i < fact->list.count; i++)
            if (!fact->list.at[i] || !is_known_number(fact->list.at[i]))
                return false;
        return true;
    }
    return fact->kind == FACT_INT ? fact->extent->kind == EXTENT_NUMBER
                                  : (fact->kind == FACT_FLOAT || fact->kind == FACT_BOOL) && fact->known;
}

/* A literal pattern has faults of its own, whatever it is applied to: tried on tensors of every rank. */
static void check_pattern(Checker *c, Env *e, AskRow *ask, const Call *call)
{
    if (ask->signature->count < 2 || strcmp(ask->signature->param[1].name, "pattern") != 0 || call->n < 2 ||
        call->at[0].fact || call->at[0].name)
        return;
    Call tried = *call;
    const Extent *dim[TENSOR_MAX_DIMS];
    AskRow again = *ask;
    again.bind = false;
    again.call = &tried;
    for (int rank = 0; rank <= TENSOR_MAX_DIMS; rank++) {
        const Fact *all[ARGUMENTS_MOST], *result;
        Inputs inputs = {.at = all};
        if (rank)
            dim[rank - 1] = extent_symbol(c, NULL);
        tried.at[0].fact = fact_tensor(c, DTYPE_f32, true, rank, dim);
        for (int i = 0; i < tried.n; i++)
            if (tried.at[i].fact)
                all[inputs.n++] = tried.at[i].fact;
        if (inputs.n < tried.n)
            return;
        Error *error = &c->vm->tensors.error;
        Answer answer = worlds_ask(c, &inputs, ask_row, &again, 1, &result);
        if (answer == ANSWER_ERROR && error->kind == ERROR_value) {
            char *on = strstr(error->message, " on ["), *end = on ? strchr(on, ']') : NULL;
            if (end)
                memmove(on, end + 1, strlen(end));
            error->n_operands = 0;
            check_fail(c, e, call->span, NULL);
            return;
        }
        error_clear(error);
    }
}

static const Fact *call_row(Checker *c, Env *e, AskRow *ask, const Call *call)
{
    const Fact *all[ARGUMENTS_MOST], *result = NULL;
    Inputs inputs = {.at = all}, none = {.at = all};
    for (int i = 0; i < call->n; i++)
        if (call->at[i].fact)
            all[inputs.n++] = call->at[i].fact;
    if (call->open)
        return NULL;
    bool runs = inputs.n == call->n && (ask->op || looks_at_shapes(ask->native));
    for (int i = 0; i < call->n && runs; i++)      /* a number that is not known, for a native that would look at it */
        runs = ask->op || (call->at[i].fact->kind < FACT_FUNCTION && !fact_has_map(call->at[i].fact) &&
                           (call->at[i].fact->kind != FACT_TENSOR || call->at[i].fact->tensor.ndim > 0));
    ask->exact = ask->op && ask->signature->count && ask->signature->param[0].kind == PARAM_tensor;
    for (int i = 0; i < call->n && ask->exact; i++)
        ask->exact = call->at[i].fact && is_known_number(call->at[i].fact);
    ask->bind = true;
    if (!runs || !ask->op) {
        if (worlds_ask(c, &none, ask_row, ask, 1, &result) == ANSWER_ERROR)
            return fail_call(c, e, call);
    }
    ask->bind = false;
    if (ask->op)
        check_pattern(c, e, ask, call);
    if (!runs)
        return NULL;
    if (worlds_ask(c, &inputs, ask_row, ask, 1, &result) == ANSWER_ERROR)
        return fail_call(c, e, call);
    return result;
}

/* ---- functions ---- */

/* Binds arguments to parameters as a call does, with their numbers for values: place[i] is the argument of parameter
   i, -1 none. */
static bool bind_places(Checker *c, const Proto *proto, const Call *call, Value *first)
{
    Value values[ARGUMENTS_MOST], args[ARGUMENTS_MOST];
    NamedValue named[ARGUMENTS_MOST];
    int n_named;
    for (int i = 0; i < call->n; i++)
        values[i] = value_int(i);
    int n = split(call, values, args, named, &n_named);
    return call_bind(c->vm, proto, first, n, args, n_named, named);
}

static const Fact *bound_fact(Checker *c, const Call *call, Value v)
{
    if (v.tag == TAG_INT)
        return call->at[v.i].fact;
    if (v.tag != TAG_LIST)
        return NULL;
    const Fact **at = check_alloc(c, (size_t)(v.list->count + 1) * sizeof *at);
    for (int64_t i = 0; i < v.list->count; i++)
        at[i] = call->at[v.list->at[i].i].fact;
    return fact_list(c, FACT_LIST, (int)v.list->count, at);
}

/* False: the arguments do not fit. Unknown ones are bound to nothing. */
static bool give_arguments(Checker *c, Env *callee, const Proto *proto, const Call *call, int count,
                           const Parameter *parameters)
{
    Value *first = check_alloc(c, (size_t)(count + 1) * sizeof *first);
    if (c->no_memory)
        return true;
    bool fine = bind_places(c, proto, call, first);
    for (int i = 0; fine && i < count; i++) {
        bool given = first[i].tag != TAG_UNDEFINED;
        env_set(c, callee, parameters[i].name, given ? bound_fact(c, call, first[i]) : NULL);
    }
    for (int i = 0; fine && i < count; i++)
        if (first[i].tag == TAG_UNDEFINED && parameters[i].fallback)
            env_set(c, callee, parameters[i].name, check_expr(c, callee, parameters[i].fallback));
    drop(first, count);
    return fine;
}

static bool may_follow(const Checker *c)
{
    return c->budget > 0 && c->depth < DEPTH_MOST && !c->no_memory;
}

/* A followed call takes its share of the budget, lest one long call leave nothing for the others. Returns what the
   budget is without it. */
static int begin_following(Checker *c, const Env *caller)
{
    int rest = !caller->inlined && c->budget > BUDGET_OF_CALL ? c->budget - BUDGET_OF_CALL : 0;
    c->budget -= rest;
    c->depth++;
    return rest;
}

static void end_following(Checker *c, int rest)
{
    c->depth--;
    c->budget = (c->budget > 0 ? c->budget : 0) + rest;
}

static const Fact *fail_contract(Checker *c, Env *e, Env *callee, Span header, const Call *call)
{
    char names[ERROR_MAX_OPERANDS][32] = {{0}};
    const Error *error = &c->vm->tensors.error;
    int count = callee->function ? callee->function->n_parameters : callee->owner->model.n_parameters;
    const Parameter *parameters = callee->function ? callee->function->parameters : callee->owner->model.parameters;
    for (int i = 0; i < error->n_operands; i++)
        if (error->operand[i].input >= 0 && error->operand[i].input < count)
            snprintf(names[i], sizeof names[i], "%s", parameters[error->operand[i].input].name);
    callee->unsure = callee->trying = 0;
    check_fail(c, callee, header, (const char (*)[32])names);
    return check_fail_inner(c, e, call->span);
}

static const Fact *call_function(Checker *c, Env *e, const Fact *of, const Call *call)
{
    const Function *function = of->function.function;
    Node *owner = of->function.owner;
    Unit *unit = of->function.unit;
    const Proto *proto;
    Env *callee = call->open ? NULL : env_follow(c, of->function.outer, unit, owner, function, &proto);
    if (!callee)
        return NULL;
    bool method = of->function.self != NULL;
    callee->self = of->function.self;
    callee->model = method ? of->function.self->object.model : NULL;
    if (method)
        env_bind(c, callee, arena_name(unit->parse->arena, "self", 4), callee->self);
    if (!give_arguments(c, callee, proto, call, function->n_parameters, function->parameters))
        return check_fail(c, e, call->span, NULL);
    if (check_contract(c, callee, proto, NULL) == ANSWER_ERROR)
        return fail_contract(c, e, callee, function->header, call);
    if (!may_follow(c))
        return function->result ? check_promise(c, callee, function->result) : NULL;
    int rest = begin_following(c, e);
    const Fact *value = check_block(c, callee, function->body);
    end_following(c, rest);
    if (callee->failed)
        return check_fail_inner(c, e, call->span);
    if (callee->returned)
        value = callee->ended ? callee->result : fact_join(callee->result, value);
    if (!value && function->result)
        value = check_promise(c, callee, function->result);
    return value;
}

static const Fact *call_model(Checker *c, Env *e, const Fact *of, const Call *call)
{
    Node *model = of->model.node;
    const Proto *proto = unit_proto(c, of->model.unit, model, model->model.header);
    if (!proto || call->open)
        return NULL;
    Env *callee = check_model_env(c, of->model.unit, model);
    if (!give_arguments(c, callee, proto, call, model->model.n_parameters, model->model.parameters))
        return check_fail(c, e, call->span, NULL);
    if (check_contract(c, callee, proto, NULL) == ANSWER_ERROR)
        return fail_contract(c, e, callee, model->model.header, call);
    if (!may_follow(c))
        return NULL;
    int rest = begin_following(c, e);
    const Fact *object = check_construct(c, callee, model);
    end_following(c, rest);
    return callee->failed ? check_fail_inner(c, e, call->span) : object;
}

/* fold(xs, start, f) over a list whose items are known. */
static const Fact *invoke(Checker *c, Env *e, const Fact *callee, const Call *call);

static const Fact *call_fold(Checker *c, Env *e, const Call *call)
{
    int count = 0;
    const Fact *const *items = check_items(call->at[0].fact, &count);
    const Fact *value = call->at[1].fact;
    if (!items || !fact_callable(call->at[2].fact) || !may_follow(c))
        return NULL;
    for (int i = 0; i < count && !e->failed; i++) {
        Call step = {.n = 2, .at = {{.fact = value}, {.fact = items[i]}}, .span = call->span};
        value = invoke(c, e, call->at[2].fact, &step);
    }
    return value;
}

static const Fact *call_map(Checker *c, Env *e, const Call *call)
{
    int count = 0;
    const Fact *const *items = check_items(call->at[0].fact, &count);
    if (!items || !fact_callable(call->at[1].fact) || !may_follow(c) || call->at[0].fact->kind != FACT_LIST)
        return NULL;
    const Fact **made = check_alloc(c, (size_t)(count + 1) * sizeof *made);
    for (int i = 0; i < count && !e->failed; i++) {
        Call step = {.n = 1, .at = {{.fact = items[i]}}, .span = call->span};
        made[i] = invoke(c, e, call->at[1].fact, &step);
    }
    return fact_list(c, FACT_LIST, count, made);
}

static const Fact *call_native_fact(Checker *c, Env *e, const NativeDef *native, const Call *call)
{
    Signature signature;
    bool positional = !call->open;
    for (int i = 0; i < call->n; i++)
        positional = positional && !call->at[i].name;
    if (!signature_parse(native->signature, &signature))
        return NULL;
    AskRow ask = {.call = call, .native = native, .signature = &signature};
    const Fact *result = call_row(c, e, &ask, call);
    if (e->failed || result)
        return result;
    if (positional && call->n == 3 && !strcmp(native->name, "fold"))
        return call_fold(c, e, call);
    if (positional && call->n == 2 && !strcmp(native->name, "map"))
        return call_map(c, e, call);
    if (!strcmp(native->name, "training"))
        return fact_bool(c, false, false);
    return NULL;
}

static const Fact *not_callable(Checker *c, Env *e, const Fact *of, const Call *call)
{
    Value v;
    World world = {.number = 1};
    if (of->kind == FACT_OBJECT)
        vm_fail(c->vm, ERROR_type, "", "%s has no method forward, so it cannot be called", of->object.model->model.name);
    else if (of->kind < FACT_FUNCTION && fact_value(c, of, &world, &v)) {
        Value ignored;
        vm_call(c->vm, v, 0, NULL, 0, NULL, &ignored);
        value_release(v);
    }
    return check_fail(c, e, call->span, NULL);
}

static const Fact *invoke(Checker *c, Env *e, const Fact *callee, const Call *call)
{
    if (!callee || e->failed)
        return NULL;
    switch (callee->kind) {
    case FACT_OP: {
        AskRow ask = {.call = call, .op = callee->op, .signature = op_signature(callee->op)};
        return call_row(c, e, &ask, call);
    }
    case FACT_NATIVE: return call_native_fact(c, e, callee->native, call);
    case FACT_FUNCTION: return call_function(c, e, callee, call);
    case FACT_MODEL: return call_model(c, e, callee, call);
    case FACT_OBJECT: {
        const Function *forward = model_method(callee, "forward");
        const Fact *method = forward ? check_member(c, e, callee, "forward", call->span) : NULL;
        return method ? call_function(c, e, method, call) : not_callable(c, e, callee, call);
    }
    default: return not_callable(c, e, callee, call);
    }
}

/* ---- who is called ---- */

/* (m.f)(…) calls what m.f holds. */
static bool in_brackets(const Env *e, const Node *callee)
{
    const char *text = e->unit->source->text + callee->member.name_span.end;
    while (*text == ' ' || *text == '\t' || *text == '\n')
        text++;
    return *text == ')';
}

static const Fact *call_named(Checker *c, Env *e, Node *callee, Call *call, int count, const Argument *args)
{
    bool found = true, is_function;
    const Fact *of = callee->kind == NODE_NAME ? check_name(c, e, callee->name, true, &found, &is_function)
                                               : check_expr(c, e, callee);
    bool handles = false;
    for (int i = 0; i < count && !handles; i++)
        handles = args[i].value->kind == NODE_LAMBDA && of && of->kind == FACT_FUNCTION &&
                  check_handles(of->function.function->body);
    if (!found)
        check_undefined(c, e, callee->name, callee->span);
    check_note(c, e, callee, of);
    e->trying += handles;
    add_arguments(c, e, call, count, args);
    e->trying -= handles;
    return invoke(c, e, of, call);
}

/* x.f(…) where f is no member: the declared function f with x as its first argument. */
static const Fact *function_of(Checker *c, Env *e, const char *name, bool *found)
{
    for (Env *at = e; at && !at->module; at = at->outer) {
        Local *local = env_local(at, name);
        if (local && local->is_function) {
            *found = true;
            return local->fact;
        }
        if (local)
            break;
    }
    return check_function_named(c, e, name, found);
}

static const Fact *no_function(Checker *c, Env *e, const Fact *receiver, const char *name, Span span)
{
    World world = {.number = 1};
    Value v;
    if (unit_lost(e->unit, name))
        return NULL;
    if (receiver->kind == FACT_OBJECT) {
        Suggest suggest;
        const NodeList *body = &receiver->object.model->model.body;
        suggest_start(&suggest, name);
        for (int i = 0; i < body->count; i++)
            if (body->at[i]->kind == NODE_FN)
                suggest_offer(&suggest, body->at[i]->function->name);
        vm_fail(c->vm, ERROR_name, "", "%s has no method %s, and no function is called %s",
                receiver->object.model->model.name, name, name);
        suggest_hint(&suggest, &c->vm->tensors.error);
        return check_fail(c, e, span, NULL);
    }
    if (receiver->kind == FACT_INT)
        v = value_int(1);
    else if (receiver->kind == FACT_TENSOR && receiver->tensor.ndim)
        v = (Value){.tag = TAG_TENSOR, .tensor = tensor_meta(&c->vm->tensors, receiver->tensor.dtype, 2,
                                                           (int64_t[]){1, 1})};
    else if (!fact_value(c, receiver, &world, &v))
        return NULL;
    call_no_method(c->vm, v, name);
    value_release(v);
    return check_fail(c, e, span, NULL);
}

static const Fact *call_member(Checker *c, Env *e, Node *callee, Call *call, int count, const Argument *args)
{
    const char *name = callee->member.name;
    const Fact *receiver = check_expr(c, e, callee->member.value);
    if (!name)
        return NULL;
    bool module = receiver && (receiver->kind == FACT_FILE || receiver->kind == FACT_STANDARD);
    bool member = receiver && receiver->kind == FACT_OBJECT &&
                  (object_field(receiver, name) || model_method(receiver, name));
    if (module || member) {
        const Fact *of = check_member(c, e, receiver, name, callee->span);
        add_arguments(c, e, call, count, args);
        return invoke(c, e, of, call);
    }
    Call all;
    start(&all, call->span);
    add_given(&all, NULL, receiver, callee->member.value);
    for (int i = 0; i < call->n; i++)
        add_given(&all, call->at[i].name, call->at[i].fact, call->at[i].node);
    add_arguments(c, e, &all, count, args);
    if (!receiver)
        return NULL;          /* it may have such a method */
    bool found;
    const Fact *of = function_of(c, e, name, &found);
    return found ? invoke(c, e, of, &all) : no_function(c, e, receiver, name, callee->member.name_span);
}

static const Fact *any_call(Checker *c, Env *e, Node *callee, Call *call, int count, const Argument *args)
{
    bool member = callee->kind == NODE_MEMBER && !in_brackets(e, callee);
    return (member ? call_member : call_named)(c, e, callee, call, count, args);
}

const Fact *check_call(Checker *c, Env *e, Node *node)
{
    Call call;
    start(&call, node->span);
    return any_call(c, e, node->call.callee, &call, node->call.count, node->call.args);
}

const Fact *check_pipe(Checker *c, Env *e, Node *node)
{
    Call call;
    Node *right = node->binary.right;
    start(&call, node->span);
    add_given(&call, NULL, check_expr(c, e, node->binary.left), node->binary.left);
    if (right->kind == NODE_CALL)
        return any_call(c, e, right->call.callee, &call, right->call.count, right->call.args);
    return any_call(c, e, right, &call, 0, NULL);
}
