/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Statements and functions: what is known of variables along the way. Where ways meet, what they agree on stays; what
   a loop assigns is unknown in it. A module is walked first, then each function once, with what its contract says of
   the arguments.
   Invariant: in a module, the locals of its Env stand in the order of the unit's globals. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "compile.h"

enum { UNROLLED_MOST = 64 };

/* ---- variables ---- */

static int base_of(const Env *e)
{
    return e->module ? e->unit->n_surveyed : 0;
}

Local *env_local(Env *e, const char *name)
{
    for (int i = e->n_locals - 1; i >= base_of(e); i--)
        if (e->local[i].name == name)
            return &e->local[i];
    if (!e->module)
        return NULL;
    const Global *global = unit_known(e->unit, name);
    ptrdiff_t at = global ? global - e->unit->global : e->n_locals;
    return at < base_of(e) && global->assigned ? &e->local[at] : NULL;
}

void env_bind(Checker *c, Env *e, const char *name, const Fact *fact)
{
    Local *wider = check_grow(c, e->local, e->n_locals, &e->room, sizeof *wider);
    if (!wider)
        return;
    e->local = wider;
    e->local[e->n_locals++] = (Local){.name = name, .fact = fact};
}

void env_set(Checker *c, Env *e, const char *name, const Fact *fact)
{
    Local *local = env_local(e, name);
    if (local)
        local->fact = fact;
    Global *global = local && e->module && local - e->local < base_of(e) ? unit_global(c, e->unit, name) : NULL;
    if (global && global->assigned == 1)
        global->fact = fact;
}

Local *env_copy(Checker *c, const Env *e)
{
    Local *copy = check_alloc(c, (size_t)(e->n_locals + 1) * sizeof *copy);
    if (copy && !c->no_memory && e->n_locals)
        memcpy(copy, e->local, (size_t)e->n_locals * sizeof *copy);
    return c->no_memory ? NULL : copy;
}

/* The locals after two ways, of which one may not get here. NULL: memory was out, nothing is known. */
static void env_join(Env *e, const Local *a, bool a_ended, const Local *b, bool b_ended)
{
    e->ended = a_ended && b_ended;
    for (int i = 0; i < e->n_locals; i++)
        if (!a || !b)
            e->local[i].fact = NULL;
        else
            e->local[i].fact = a_ended ? b[i].fact : b_ended ? a[i].fact : fact_join(a[i].fact, b[i].fact);
}

typedef struct Forgetting { Checker *c; Env *e; } Forgetting;

static void forget_root(Forgetting *f, Node *target)
{
    while (target->kind == NODE_INDEX || target->kind == NODE_MEMBER)
        target = target->kind == NODE_INDEX ? target->index.value : target->member.value;
    if (target->kind == NODE_NAME)
        env_set(f->c, f->e, target->name, NULL);
    else if (target->kind == NODE_SPREAD)
        forget_root(f, target->unary.child);
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            forget_root(f, target->list.at[i]);
}

static void forget(Node *node, void *to)
{
    Forgetting *f = to;
    if (node->kind == NODE_ASSIGN)
        forget_root(f, node->assign.target);
    else if (node->kind == NODE_FOR)
        forget_root(f, node->loop.clause.target);
    else if (node->kind == NODE_FN)
        env_set(f->c, f->e, node->function->name, NULL);
    if (node->kind != NODE_FN && node->kind != NODE_MODEL && node->kind != NODE_LAMBDA && node->kind != NODE_TEST)
        node_children(node, forget, to);
}

static void env_forget(Checker *c, Env *e, Node *assigned)
{
    Forgetting f = {c, e};
    forget(assigned, &f);
}

/* ---- scopes ---- */

typedef struct Collecting { Checker *c; Env *e; } Collecting;

static void add_local(void *to, const char *name, Origin origin)
{
    Collecting *k = to;
    if (env_local(k->e, name))
        return;
    if (k->e->model && k->e->self && origin != ORIGIN_FUNCTION && object_field(k->e->self, name))
        return;               /* stays the field: the compiler says so */
    env_bind(k->c, k->e, name, NULL);
    if (k->e->n_locals)
        k->e->local[k->e->n_locals - 1].is_function = origin == ORIGIN_FUNCTION;
}

/* A function's scope: its parameters and what its body assigns, with nothing known of them. */
Env *env_new(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, Node *body)
{
    Env *e = check_alloc(c, sizeof *e);
    *e = (Env){.outer = outer, .unit = unit, .owner = owner, .function = function};
    for (int i = 0; function && i < function->n_parameters; i++)
        env_bind(c, e, function->parameters[i].name, NULL);
    Collecting k = {c, e};
    if (body)
        collect_assigned(body, add_local, &k);
    return e;
}

static Followed *find_followed(const Checker *c, const Function *function)
{
    size_t mask = (size_t)c->followed_room - 1;
    size_t i = ((uintptr_t)function >> 4) * 0x9e3779b97f4a7c15u >> 32 & mask;
    while (c->followed[i].function && c->followed[i].function != function)
        i = (i + 1) & mask;
    return &c->followed[i];
}

static bool widen_followed(Checker *c)
{
    if (c->n_followed * 2 < c->followed_room)
        return true;
    Followed *old = c->followed;
    int room = c->followed_room, wider = room ? room * 2 : 64;
    Followed *made = arena_alloc(c->arena, (size_t)wider * sizeof *made);
    if (!made)
        return !(c->no_memory = true);
    c->followed = made;
    c->followed_room = wider;
    for (int i = 0; i < room; i++)
        if (old[i].function)
            *find_followed(c, old[i].function) = old[i];
    return true;
}

Env *env_follow(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, const Proto **proto)
{
    if (!owner || !widen_followed(c))
        return NULL;
    Followed *known = find_followed(c, function);
    if (!known->function) {
        Env *e = env_new(c, NULL, unit, owner, function, function->body);
        *known = (Followed){function, unit_proto(c, unit, owner, function->header), e->n_locals, e->local};
        c->n_followed++;
    }
    *proto = known->proto;
    if (!known->proto)
        return NULL;
    Env *e = check_alloc(c, sizeof *e);
    *e = (Env){.outer = outer, .unit = unit, .owner = owner, .function = function, .inlined = true,
               .room = known->n_locals + 4};
    e->local = check_alloc(c, (size_t)e->room * sizeof *e->local);
    if (c->no_memory)
        return NULL;
    if (known->n_locals)
        memcpy(e->local, known->local, (size_t)known->n_locals * sizeof *e->local);
    e->n_locals = known->n_locals;
    return e;
}

static Env *module_env(Checker *c, Unit *unit)
{
    Env *e = check_alloc(c, sizeof *e);
    *e = (Env){.unit = unit, .module = true};
    for (int i = 0; i < unit->n_surveyed; i++)
        env_bind(c, e, unit->global[i].name, NULL);
    return e;
}

/* ---- survey: the names of a module ---- */

typedef struct Survey { Checker *c; Unit *unit; uint32_t at; } Survey;

static void survey_name(Survey *s, const char *name)
{
    Global *global = unit_global(s->c, s->unit, name);
    if (global && global->assigned++ == 0)
        global->first = s->at;
}

static void survey_stored(Survey *s, const char *name)
{
    Unit *unit = s->unit;
    const char **wider = check_grow(s->c, unit->stored, unit->n_stored, &unit->stored_room, sizeof *wider);
    if (!wider)
        return;
    unit->stored = wider;
    unit->stored[unit->n_stored++] = name;
}

static void survey_target(Survey *s, Node *target, bool names)
{
    for (; target->kind == NODE_INDEX || target->kind == NODE_MEMBER;
         target = target->kind == NODE_INDEX ? target->index.value : target->member.value)
        if (target->kind == NODE_MEMBER && target->member.name)
            survey_stored(s, target->member.name);
    if (target->kind == NODE_NAME && names)
        survey_name(s, target->name);
    else if (target->kind == NODE_SPREAD)
        survey_target(s, target->unary.child, names);
    else if (target->kind == NODE_TUPLE || target->kind == NODE_LIST)
        for (int i = 0; i < target->list.count; i++)
            survey_target(s, target->list.at[i], names);
}

static void survey_inside(Node *node, void *to)
{
    if (node->kind == NODE_ASSIGN)
        survey_target(to, node->assign.target, false);
    tree_children(node, survey_inside, to);
}

static void survey(Node *node, void *to)
{
    Survey *s = to;
    switch (node->kind) {
    case NODE_ASSIGN: survey_target(s, node->assign.target, true); break;
    case NODE_FOR: survey_target(s, node->loop.clause.target, true); break;
    case NODE_USE: survey_name(s, node->use.name); break;
    case NODE_OPTION: survey_name(s, node->option.name); break;
    case NODE_FN:
    case NODE_LAMBDA:
    case NODE_MODEL:
    case NODE_TEST: survey_inside(node, to); return;
    default: break;
    }
    node_children(node, survey, to);
}

static void declare(Checker *c, Unit *unit, Node *node)
{
    bool model = node->kind == NODE_MODEL;
    Global *global = unit_global(c, unit, model ? node->model.name : node->function->name);
    if (!global)
        return;
    Fact *fact = check_alloc(c, sizeof *fact);
    if (model)
        *fact = (Fact){.kind = FACT_MODEL, .model = {unit, node}};
    else
        *fact = (Fact){.kind = FACT_FUNCTION, .function = {.unit = unit, .function = node->function, .owner = node}};
    global->function = global->declared ? NULL : fact;       /* declared twice: which one, only the run tells */
    global->declared = node;
}

void unit_survey(Checker *c, Unit *unit)
{
    NodeList *list = &unit->parse->statements;
    for (int i = 0; i < list->count; i++) {
        Node *node = list->at[i];
        bool plain = node->kind == NODE_ASSIGN || node->kind == NODE_USE || node->kind == NODE_OPTION;
        Survey s = {c, unit, plain ? node->span.end : node->span.start};
        if (node->kind == NODE_FN || node->kind == NODE_MODEL)
            declare(c, unit, node);
        survey(node, &s);
    }
    unit->n_surveyed = unit->n_globals;
    for (int i = 0; i < unit->n_globals; i++) {      /* what the module's own suggestions offer */
        const char *name = name_intern(c->vm, unit->global[i].name, strlen(unit->global[i].name));
        uint32_t slot = name ? module_slot(unit->module, name) : UINT32_MAX;
        if (slot != UINT32_MAX)
            unit->module->slot[slot].declared = true;
    }
}

/* ---- assignments ---- */

/* A part of a variable changes: a tensor keeps its shape, of anything else nothing is known afterwards. */
static void check_path(Checker *c, Env *e, Node *target, Operator op, const Fact *value)
{
    Node *below = target->kind == NODE_INDEX ? target->index.value : target->member.value;
    const Fact *whole = check_expr(c, e, below);
    if (target->kind == NODE_INDEX)
        check_store(c, e, target, whole, op, value);
    while (below->kind == NODE_INDEX || below->kind == NODE_MEMBER)
        below = below->kind == NODE_INDEX ? below->index.value : below->member.value;
    Local *local = below->kind == NODE_NAME ? env_local(e, below->name) : NULL;
    if (local && local->fact && local->fact->kind != FACT_TENSOR && local->fact->kind != FACT_OBJECT)
        env_set(c, e, below->name, NULL);
}

static void check_target(Checker *c, Env *e, Node *target, const Fact *fact);

typedef struct AskUnpack { const Fact *of; int count, rest; } AskUnpack;

static bool ask_unpack(Checker *c, const World *world, void *to, int n, Value *results)
{
    AskUnpack *ask = to;
    Value of, *parts = calloc((size_t)ask->count + 1, sizeof *parts);
    (void)n;
    (void)results;
    bool fine = parts && fact_value(c, ask->of, world, &of);
    if (fine) {
        fine = do_unpack(c->vm, of, parts, ask->count, ask->rest);
        value_release(of);
    }
    for (int i = 0; parts && i < ask->count; i++)
        value_release(parts[i]);
    free(parts);
    return fine;
}

/* The parts of what is taken apart: a row's items, a tensor's rows. NULL: unknown. */
static const Fact *parts_of(Checker *c, const Fact *fact)
{
    if (fact->kind != FACT_TENSOR || fact->tensor.ndim == 0)
        return fact->kind == FACT_LIST || fact->kind == FACT_TUPLE ? fact : NULL;
    const Extent *length = fact->tensor.dim[0];
    if (length->kind != EXTENT_NUMBER || length->number > UNROLLED_MOST)
        return NULL;
    const Fact **at = check_alloc(c, (size_t)(length->number + 1) * sizeof *at);
    for (int64_t i = 0; i < length->number; i++)
        at[i] = check_item(c, fact);
    return fact_list(c, FACT_LIST, (int)length->number, at);
}

static void unpack(Checker *c, Env *e, Node *target, const Fact *fact)
{
    int rest = 0, n = target->list.count;
    const Fact *parts = fact ? parts_of(c, fact) : NULL, *unused;
    const Fact *asked = parts ? check_stand_in(c, parts) : fact && fact->kind <= FACT_STRING ? fact : NULL;
    for (int i = 0; i < n; i++)
        if (target->list.at[i]->kind == NODE_SPREAD)
            rest = i + 1;
    AskUnpack ask = {asked, n, rest};
    Inputs inputs = {.n = 1, .at = &asked};
    if (asked && worlds_ask(c, &inputs, ask_unpack, &ask, 1, &unused) == ANSWER_ERROR)
        check_fail(c, e, target->span, NULL);
    bool fits = parts && (rest ? parts->list.count >= n - 1 : parts->list.count == n);
    for (int i = 0; i < n; i++) {
        Node *part = target->list.at[i];
        int at = rest && i >= rest ? parts ? parts->list.count - (n - i) : 0 : i;
        check_target(c, e, part->kind == NODE_SPREAD ? part->unary.child : part,
                     fits && part->kind != NODE_SPREAD ? parts->list.at[at] : NULL);
    }
}

static void check_target(Checker *c, Env *e, Node *target, const Fact *fact)
{
    switch (target->kind) {
    case NODE_NAME:
        check_note(c, e, target, fact);
        env_set(c, e, target->name, fact);
        break;
    case NODE_TUPLE:
    case NODE_LIST: unpack(c, e, target, fact); break;
    case NODE_INDEX:
    case NODE_MEMBER: check_path(c, e, target, OPERATOR_NONE, fact); break;
    default: break;
    }
}

static void check_augmented(Checker *c, Env *e, Node *node)
{
    Node *target = node->assign.target;
    const Fact *old = target->kind == NODE_NAME ? check_expr(c, e, target) : NULL;
    const Fact *value = check_expr(c, e, node->assign.value);
    if (target->kind == NODE_INDEX || target->kind == NODE_MEMBER)
        check_path(c, e, target, node->assign.op, value);
    if (target->kind != NODE_NAME)
        return;
    const Fact *sum = check_binary(c, e, node->assign.op, target, node->assign.value, old, value, node->span);
    check_note(c, e, target, sum);
    env_set(c, e, target->name, sum);
}

static void check_assign(Checker *c, Env *e, Node *node)
{
    if (node->assign.op != OPERATOR_NONE) {
        check_augmented(c, e, node);
        return;
    }
    const Fact *fact = check_expr(c, e, node->assign.value);
    if (node->assign.contract)
        fact = check_annotated(c, e, node, fact);
    check_target(c, e, node->assign.target, fact);
}

/* ---- ways that part and meet ---- */

/* Walks [node] (a block or statement) as what may run; its value goes to *value. Afterwards the locals are as it left
   them. */
static void check_branch(Checker *c, Env *e, Node *node, const Fact **value)
{
    e->unsure++;
    *value = node ? check_block(c, e, node) : fact_new(c, FACT_NONE);
    e->unsure--;
}

static void restore(Env *e, const Local *from, bool ended)
{
    for (int i = 0; i < e->n_locals; i++)
        e->local[i].fact = from ? from[i].fact : NULL;
    e->ended = ended;
}

/* A condition that is known: the other way is looked at for names alone. */
static const Fact *known_if(Checker *c, Env *e, Node *node, bool truth)
{
    const Fact *value, *unused;
    Node *taken = truth ? node->branch.then : node->branch.otherwise;
    Node *other = truth ? node->branch.otherwise : node->branch.then;
    if (other && !e->inlined) {
        Local *before = env_copy(c, e);
        bool ended = e->ended;
        c->quiet++;
        check_branch(c, e, other, &unused);
        c->quiet--;
        restore(e, before, ended);
    }
    value = taken ? check_block(c, e, taken) : fact_new(c, FACT_NONE);
    return value;
}

const Fact *check_if(Checker *c, Env *e, Node *node)
{
    const Fact *truth = check_condition(c, e, node->branch.condition);
    if (truth && truth->kind == FACT_BOOL && truth->known)
        return known_if(c, e, node, truth->boolean);
    const Fact *then, *otherwise;
    Local *before = env_copy(c, e);
    bool ended = e->ended;
    check_branch(c, e, node->branch.then, &then);
    Local *after = env_copy(c, e);
    bool then_ended = e->ended;
    restore(e, before, ended);
    check_branch(c, e, node->branch.otherwise, &otherwise);
    Local *other = env_copy(c, e);
    bool other_ended = e->ended;
    env_join(e, after, then_ended, other, other_ended);
    return then_ended ? otherwise : other_ended ? then : fact_join(then, otherwise);
}

const Fact *check_try(Checker *c, Env *e, Node *node)
{
    bool handled = node->attempt.handler != NULL, ended = e->ended;
    int n_locals = e->n_locals;
    const Fact *value, *unused;
    e->trying += handled;
    check_branch(c, e, node->attempt.body, &value);
    e->trying -= handled;
    bool body_ended = e->ended;
    Local *after = env_copy(c, e);
    env_forget(c, e, node->attempt.body);
    e->ended = ended;
    if (handled) {
        if (node->attempt.name)
            env_bind(c, e, node->attempt.name, NULL);
        check_branch(c, e, node->attempt.handler, &unused);
        e->n_locals = n_locals;
        value = body_ended ? unused : NULL;
        Local *other = env_copy(c, e);
        env_join(e, after, body_ended, other, e->ended);
    } else {
        restore(e, after, body_ended);
    }
    if (node->attempt.finally) {
        ended = e->ended;
        e->ended = false;
        check_branch(c, e, node->attempt.finally, &unused);
        e->ended = ended || e->ended;
    }
    return value;
}

/* ---- loops ---- */

static bool leaves_loop(Node *node);

static void find_leaving(Node *node, void *to)
{
    bool *found = to;
    *found = *found || leaves_loop(node);
}

static bool leaves_loop(Node *node)
{
    bool found = node->kind == NODE_BREAK || node->kind == NODE_CONTINUE || node->kind == NODE_RETURN;
    if (node->kind != NODE_LAMBDA && node->kind != NODE_FN)
        node_children(node, find_leaving, &found);
    return found;
}

/* The items of a list whose length is known; NULL: it is not, or there are too many. */
const Fact *const *check_items(const Fact *fact, int *count)
{
    bool row = fact && (fact->kind == FACT_LIST || fact->kind == FACT_TUPLE) && fact->list.count <= UNROLLED_MOST;
    *count = row ? fact->list.count : 0;
    return row ? fact->list.at : NULL;
}

/* What each item is, whichever. */
const Fact *check_item(Checker *c, const Fact *fact)
{
    if (fact && fact->kind == FACT_TENSOR && fact->tensor.ndim > 0)
        return fact_tensor(c, fact->tensor.dtype, fact->tensor.any_dtype, fact->tensor.ndim - 1, fact->tensor.dim + 1);
    if (!fact || (fact->kind != FACT_LIST && fact->kind != FACT_TUPLE) || fact->list.count == 0)
        return NULL;
    const Fact *joined = fact->list.at[0];
    for (int i = 1; i < fact->list.count; i++)
        joined = fact_join(joined, fact->list.at[i]);
    return joined;
}

typedef struct Handled { bool found; } Handled;

static void find_handler(Node *node, void *to)
{
    Handled *handled = to;
    handled->found = handled->found || (node->kind == NODE_TRY && node->attempt.handler);
    if (!handled->found)
        tree_children(node, find_handler, to);
}

/* Whether [node] has a try with a handler: what it calls may fail on purpose. */
bool check_handles(Node *node)
{
    Handled handled = {false};
    find_handler(node, &handled);
    return handled.found;
}

static void check_for(Checker *c, Env *e, Node *node)
{
    int count;
    Node *iterable = node->loop.clause.iterable;
    bool handled = iterable->kind == NODE_LIST && check_handles(node->loop.body);
    e->trying += handled;
    const Fact *over = check_iterable(c, e, iterable), *unused;
    e->trying -= handled;
    const Fact *const *items = iterable->kind == NODE_RANGE ? NULL : check_items(over, &count);
    if (e->inlined && items && !leaves_loop(node->loop.body)) {
        for (int i = 0; i < count && !e->failed; i++) {
            check_target(c, e, node->loop.clause.target, items[i]);
            check_block(c, e, node->loop.body);
        }
        return;
    }
    Local *before = env_copy(c, e);
    bool ended = e->ended;
    env_forget(c, e, node);
    const Fact *item = iterable->kind == NODE_RANGE ? fact_int(c, extent_symbol(c, NULL)) : check_item(c, over);
    e->loops++;
    check_target(c, e, node->loop.clause.target, item);
    check_branch(c, e, node->loop.body, &unused);
    e->loops--;
    restore(e, before, ended);
    env_forget(c, e, node);
}

static void check_while(Checker *c, Env *e, Node *node)
{
    const Fact *unused;
    Local *before = env_copy(c, e);
    bool ended = e->ended;
    env_forget(c, e, node);
    e->loops++;
    const Fact *truth = check_condition(c, e, node->loop.clause.condition);
    bool never = truth && truth->kind == FACT_BOOL && truth->known && !truth->boolean;
    c->quiet += never;
    check_branch(c, e, node->loop.body, &unused);
    c->quiet -= never;
    e->loops--;
    restore(e, before, ended);
    env_forget(c, e, node);
}

/* ---- statements ---- */

static const Fact *check_cell(Checker *c, Env *e, Node *node)
{
    const Fact *fact = check_expr(c, e, node->cell.value);
    if (fact && fact->kind == FACT_TENSOR)
        return fact;
    if (!fact || (fact->kind != FACT_INT && fact->kind != FACT_FLOAT))
        return fact && fact->kind == FACT_NONE ? fact : NULL;
    Dtype dtype = fact->kind == FACT_FLOAT || node->cell.is_param ? DTYPE_f32 : DTYPE_i64;
    return fact_tensor(c, dtype, false, 0, NULL);
}

static void check_return(Checker *c, Env *e, Node *node)
{
    const Fact *fact = node->unary.child ? check_expr(c, e, node->unary.child) : fact_new(c, FACT_NONE);
    if (e->failed)
        return;
    check_result(c, e, fact, node->span);
    e->result = e->returned ? fact_join(e->result, fact) : fact;
    e->returned = e->ended = true;
}

static void check_option(Checker *c, Env *e, Node *node)
{
    const Fact *fact = check_expr(c, e, node->option.value);
    if (fact && fact->kind == FACT_INT)
        fact = fact_int(c, extent_symbol(c, node->option.name));
    else if (fact && fact->kind == FACT_FLOAT)
        fact = fact_float(c, false, 0);
    else if (fact && fact->kind == FACT_BOOL)
        fact = fact_bool(c, false, false);
    else
        fact = NULL;
    check_note(c, e, node, fact);
    env_set(c, e, node->option.name, fact);
}

static void check_use(Checker *c, Env *e, Node *node)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    const char *path = node->use.path ? node->use.path : node->use.name;
    bool is_file = strchr(path, '/') || (strlen(path) > 4 && !strcmp(path + strlen(path) - 4, ".tsr"));
    if (is_file) {
        Unit *unit = unit_used(c, e->unit, node, node->span, !e->inlined && !e->trying);
        *fact = (Fact){.kind = FACT_FILE, .file = unit};
        if (!unit) {
            check_fail(c, e, node->span, NULL);
            fact = NULL;
        } else if (unit->parse->errors) {
            fact = NULL;
        }
    } else if (module_is_standard(path)) {
        *fact = (Fact){.kind = FACT_STANDARD, .standard = path};
    } else {
        Value ignored;
        module_use(c->vm, e->unit->module, path, &ignored);
        check_fail(c, e, node->span, NULL);
        fact = NULL;
    }
    env_set(c, e, node->use.name, fact);
}

static void check_nested(Checker *c, Env *e, Node *node)
{
    if (e->module)
        return;               /* walked when the module has been */
    Local *local = env_local(e, node->function->name);
    if (local)
        local->is_function = true;
    env_set(c, e, node->function->name, check_closure(c, e, node->function));
}

void check_statement(Checker *c, Env *e, Node *node)
{
    if (e->failed || c->no_memory)
        return;
    switch (node->kind) {
    case NODE_ASSIGN: check_assign(c, e, node); break;
    case NODE_FOR: check_for(c, e, node); break;
    case NODE_WHILE: check_while(c, e, node); break;
    case NODE_BREAK:
    case NODE_CONTINUE: e->ended = true; break;
    case NODE_RETURN: check_return(c, e, node); break;
    case NODE_THROW:
        check_expr(c, e, node->unary.child);
        e->ended = true;
        break;
    case NODE_ASSERT:
        check_condition(c, e, node->binary.left);
        e->unsure++;
        if (node->binary.right)
            check_expr(c, e, node->binary.right);
        e->unsure--;
        break;
    case NODE_FN: check_nested(c, e, node); break;
    case NODE_MODEL:
    case NODE_TEST: break;
    case NODE_CELL: {
        const Fact *fact = check_cell(c, e, node);
        check_note(c, e, node, fact);
        env_set(c, e, node->cell.name, fact);
        break;
    }
    case NODE_USE: check_use(c, e, node); break;
    case NODE_OPTION: check_option(c, e, node); break;
    case NODE_EXPR: check_expr(c, e, node->unary.child); break;
    default: check_expr(c, e, node); break;
    }
}

/* The value of a block or of anything that stands for one. */
const Fact *check_block(Checker *c, Env *e, Node *node)
{
    if (node->kind != NODE_BLOCK)
        return check_expr(c, e, node);
    const Fact *value = fact_new(c, FACT_NONE);
    bool ended = false;
    for (int i = 0; i < node->list.count && !e->failed; i++) {
        Node *statement_node = node->list.at[i];
        Node *child = statement_node->kind == NODE_EXPR ? statement_node->unary.child : statement_node;
        bool last = i == node->list.count - 1;
        bool has_value = statement_node->kind == NODE_EXPR || child->kind == NODE_IF || child->kind == NODE_TRY ||
                         child->kind == NODE_BLOCK;
        if (last && has_value)
            value = check_expr(c, e, child);
        else
            check_statement(c, e, statement_node);
        if (e->ended && e->inlined && !e->unsure)
            break;            /* the rest is never reached */
        ended = ended || e->ended;
        e->ended = false;
    }
    e->ended = e->ended || ended;
    return value;
}

/* ---- functions ---- */

static void check_defaults(Checker *c, Env *e, int count, const Parameter *parameters)
{
    for (int i = 0; i < count; i++)
        if (parameters[i].fallback) {
            e->unsure++;
            check_expr(c, e, parameters[i].fallback);
            e->unsure--;
        }
}

static void note_parameters(Checker *c, Env *e, int count, const Parameter *parameters)
{
    for (int i = 0; i < count && c->noted; i++) {
        const Local *local = env_local(e, parameters[i].name);
        if (local)
            check_note(c, e, &parameters[i], local->fact);
    }
}

void check_function(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, Node *model,
                    const Fact *self)
{
    Env *e = env_new(c, outer, unit, owner, function, NULL);
    e->model = model;
    e->self = self;
    e->trying = outer ? outer->trying : 0;
    if (self)
        env_bind(c, e, arena_name(unit->parse->arena, "self", 4), self);
    Collecting k = {c, e};
    collect_assigned(function->body, add_local, &k);
    check_assume(c, e, function->n_parameters, function->parameters);
    note_parameters(c, e, function->n_parameters, function->parameters);
    check_defaults(c, e, function->n_parameters, function->parameters);
    const Fact *value = check_block(c, e, function->body);
    if (!e->ended)
        check_result(c, e, value, function->body->span);
    check_note(c, e, function, !e->returned ? value : e->ended ? e->result : fact_join(e->result, value));
}

/* ---- models ---- */

static bool is_cell(const Node *model, const char *name)
{
    for (int i = 0; i < model->model.body.count; i++) {
        const Node *node = model->model.body.at[i];
        if (node->kind == NODE_CELL && !strcmp(node->cell.name, name))
            return true;
    }
    return false;
}

typedef struct Fields { Checker *c; Env *e; } Fields;

static void add_field(void *to, const char *name, Origin origin)
{
    Fields *f = to;
    if (origin != ORIGIN_FUNCTION && !env_local(f->e, name))
        env_bind(f->c, f->e, name, NULL);
}

/* The scope of a model's body: parameters, then fields. */
static Env *model_env(Checker *c, Unit *unit, Node *model)
{
    Env *e = env_new(c, NULL, unit, model, NULL, NULL);
    for (int i = 0; i < model->model.n_parameters; i++)
        env_bind(c, e, model->model.parameters[i].name, NULL);
    Fields f = {c, e};
    for (int i = 0; i < model->model.body.count; i++)
        if (model->model.body.at[i]->kind != NODE_FN)
            collect_assigned(model->model.body.at[i], add_field, &f);
    env_bind(c, e, arena_name(unit->parse->arena, "self", 4), NULL);
    return e;
}

/* What holds of the object whenever a method runs: fields that something may store are unknown, cells keep their
   shape. */
static const Fact *object_fact(Checker *c, Env *e, Node *model)
{
    int n = e->n_locals - 1;
    Local *field = check_alloc(c, (size_t)(n + 1) * sizeof *field);
    for (int i = 0; i < n; i++) {
        field[i] = e->local[i];
        if (check_is_stored(c, e->unit, field[i].name) && !is_cell(model, field[i].name))
            field[i].fact = NULL;
    }
    Fact *object = check_alloc(c, sizeof *object);
    *object = (Fact){.kind = FACT_OBJECT, .object = {e->unit, model, field, n}};
    return object;
}

static void walk_body(Checker *c, Env *e, Node *model)
{
    for (int i = 0; i < model->model.body.count; i++)
        if (model->model.body.at[i]->kind != NODE_FN)
            check_statement(c, e, model->model.body.at[i]);
}

Env *check_model_env(Checker *c, Unit *unit, Node *model)
{
    Env *e = model_env(c, unit, model);
    e->inlined = true;
    e->model = model;
    return e;
}

const Fact *check_construct(Checker *c, Env *e, Node *model)
{
    walk_body(c, e, model);
    return e->failed ? NULL : object_fact(c, e, model);
}

static void check_model(Checker *c, Unit *unit, Node *model)
{
    Env *e = model_env(c, unit, model);
    check_assume(c, e, model->model.n_parameters, model->model.parameters);
    check_assume_model(c, e, model);
    note_parameters(c, e, model->model.n_parameters, model->model.parameters);
    check_defaults(c, e, model->model.n_parameters, model->model.parameters);
    walk_body(c, e, model);
    const Fact *object = object_fact(c, e, model);
    for (int i = 0; i < model->model.body.count; i++)
        if (model->model.body.at[i]->kind == NODE_FN)
            check_function(c, NULL, unit, model, model->model.body.at[i]->function, model, object);
}

/* ---- the whole ---- */

/* Whether it was stopped; asked once for each statement of the module. */
static bool goes_on(Checker *c)
{
    c->stopped = c->stopped || (c->stop && c->stop(c->stop_user));
    return !c->no_memory && !c->stopped;
}

void check_unit(Checker *c, Unit *unit)
{
    Env *e = module_env(c, unit);
    NodeList *list = &unit->parse->statements;
    for (int i = 0; i < list->count && goes_on(c); i++) {
        check_statement(c, e, list->at[i]);
        e->ended = false;
    }
    for (int i = 0; i < list->count && goes_on(c); i++) {
        Node *node = list->at[i];
        c->n_missing = 0;
        if (c->focus != SIZE_MAX && (c->focus < node->span.start || c->focus > node->span.end))
            continue;
        if (c->focus != SIZE_MAX)
            c->budget = CHECK_BUDGET;      /* what the module took does not count */
        if (node->kind == NODE_FN) {
            check_function(c, NULL, unit, node, node->function, NULL, NULL);
        } else if (node->kind == NODE_MODEL) {
            check_model(c, unit, node);
        } else if (node->kind == NODE_TEST) {
            Env *test = env_new(c, NULL, unit, node, NULL, node->test.body);
            check_block(c, test, node->test.body);
        }
    }
}
