/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compiles contracts: the written form becomes rules, names become registers of the function. Names of all parameters
   bind first; an expression with one name left unbound solves for it if it is linear; what cannot be solved is a
   compile error here, so that the check never has to guess. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "contract.h"

typedef struct Maker {
    Fn *fn;
    Contract *contract;
    int count;
    const Parameter *parameters;
    int first_register;
    bool local;               /* an annotated local: fresh names stay unseen */
} Maker;

static char *text_of(Maker *m, Span span)
{
    char *text = strndup(m->fn->c->parse->source->text + span.start, span.end - span.start);
    if (!text)
        m->fn->c->failed = true;
    return text;
}

/* ---- names ---- */

static int add_name(Maker *m, const char *name, NameSource source, int index, bool pack, Span span)
{
    Contract *c = m->contract;
    if (c->n_names == CONTRACT_NAMES) {
        compile_error(m->fn->c, span, NULL, "a contract can have at most %d names", CONTRACT_NAMES);
        return 0;
    }
    c->names[c->n_names] = (ContractName){name, source, index, pack};
    return c->n_names++;
}

static int find_name(Maker *m, const char *written, bool forced, bool pack, Span span)
{
    Contract *c = m->contract;
    const char *name = compile_name(m->fn->c, written);
    refuse_self(m->fn, written, span);
    for (int i = 0; i < c->n_names; i++)
        if (c->names[i].name == name && (c->names[i].source == NAME_PRESET) == forced)
            return i;
    if (forced) {
        int reg = temp(m->fn);
        load_name(m->fn, name, reg, span);
        return add_name(m, name, NAME_PRESET, reg, false, span);
    }
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->parameters[i].name, written))
            return add_name(m, name, NAME_PARAMETER, m->first_register + i, false, span);
    if (m->local)
        for (int i = m->fn->n_bindings - 1; i >= 0; i--)
            if (m->fn->binding[i].name == name && flow_definite(m->fn, m->fn->binding[i].reg))
                return add_name(m, name, NAME_PARAMETER, m->fn->binding[i].reg, false, span);
    bool in_model = m->fn->kind == FN_METHOD;
    int field = in_model && m->fn->model ? model_field(m->fn->model, name) : -1;
    if (field >= 0)
        return add_name(m, name, NAME_OF_FIELD, field, false, span);
    return add_name(m, name, NAME_FRESH, temp(m->fn), pack, span);
}

/* ---- sizes ---- */

static Size *size_of(Maker *m, const Node *node, bool forced)
{
    Compiler *c = m->fn->c;
    static const struct { Operator op; SizeKind kind; } kinds[] = {
        {OPERATOR_ADD, SIZE_ADD}, {OPERATOR_SUB, SIZE_SUB}, {OPERATOR_MUL, SIZE_MUL}, {OPERATOR_FLOORDIV, SIZE_DIV}};
    Size *size = NULL;
    if (node->kind == NODE_INT || node->kind == NODE_NAME) {
        size = size_new(node->kind == NODE_INT ? SIZE_INT : SIZE_NAME, NULL, NULL);
        if (size && node->kind == NODE_INT)
            size->value = node->integer;
        else if (size)
            size->name = find_name(m, node->name, forced, false, node->span);
    } else if (node->kind == NODE_UNARY && node->unary.op == OPERATOR_NEG) {
        size = size_new(SIZE_SUB, size_new(SIZE_INT, NULL, NULL), size_of(m, node->unary.child, forced));
    } else if (node->kind == NODE_BINARY) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !size; i++)
            if (kinds[i].op == node->binary.op)
                size = size_new(kinds[i].kind, size_of(m, node->binary.left, forced),
                                size_of(m, node->binary.right, forced));
    }
    if (!size) {
        compile_error(c, node->span, "sizes are ints, names and + - * // of them", "this is not a size");
        size = size_new(SIZE_INT, NULL, NULL);
    }
    return size;
}

static void axis_rule(Maker *m, const Axis *axis, AxisRule *rule)
{
    rule->kind = axis->kind;
    rule->or_one = axis->or_one;
    rule->text = text_of(m, axis->span);
    rule->name = -1;
    if (axis->kind == AXIS_PACK)
        rule->name = find_name(m, axis->name, false, true, axis->span);
    else if (axis->kind == AXIS_SIZE && axis->size && axis->size->kind == NODE_NAME)
        rule->name = find_name(m, axis->size->name, axis->forced, false, axis->span);
    else if (axis->kind == AXIS_SIZE && axis->size)
        rule->size = size_of(m, axis->size, axis->forced);
}

static Rule *rule_new(Maker *m, const Node *node)
{
    Compiler *c = m->fn->c;
    Rule *rule = calloc(1, sizeof *rule);
    if (!rule) {
        c->failed = true;
        return NULL;
    }
    rule->kind = node->contract.kind;
    rule->rest = -1;
    rule->text = text_of(m, node->span);
    if (node->contract.word)
        rule->word = strdup(node->contract.word);
    rule->axes = calloc((size_t)node->contract.n_axes + 1, sizeof *rule->axes);
    rule->item = calloc((size_t)node->contract.items.count + 1, sizeof(Rule *));
    if (!rule->axes || !rule->item || (node->contract.word && !rule->word)) {
        c->failed = true;
        return rule;
    }
    Dtype dtype;
    if (rule->kind == CONTRACT_SHAPE && rule->word && !dtype_from_name(rule->word, &dtype) &&
        !contract_word_known(rule->word))
        compile_error(c, node->span, "write f32[…], float[…], int[…] or bool[…]", "%s is no dtype", rule->word);
    else if (rule->word && !contract_word_known(rule->word) && rule->word[0] >= 'a' && rule->word[0] <= 'z' &&
             !strchr(rule->word, '.'))
        compile_error(c, node->span, "shapes stand in [ ], other words are int num str fn bool map list tensor and "
                      "the names of models", "%s is no type", rule->word);
    for (int i = 0; i < node->contract.n_axes; i++) {
        const Axis *axis = &node->contract.axes[i];
        axis_rule(m, axis, &rule->axes[i]);
        rule->n_axes++;
        if (axis->kind == AXIS_SIZE || axis->kind == AXIS_ANY)
            continue;
        if (rule->rest >= 0)
            compile_error(c, axis->span, NULL, "only one `...` or ..name fits in a shape");
        rule->rest = i;
    }
    for (int i = 0; i < node->contract.items.count; i++) {
        rule->item[i] = rule_new(m, node->contract.items.at[i]);
        rule->n_items += rule->item[i] != NULL;
    }
    return rule;
}

/* ---- can every expression be worked out? ---- */

static int unknowns(const Size *size, const bool *known, int *which)
{
    if (!size || size->kind == SIZE_INT)
        return 0;
    if (size->kind == SIZE_NAME) {
        if (known[size->name] || *which == size->name)
            return 0;
        int first = *which < 0;
        *which = size->name;
        return first ? 1 : 2;
    }
    return unknowns(size->left, known, which) + unknowns(size->right, known, which);
}

static bool mentions(const Size *size, int name)
{
    return size && (size->kind == SIZE_NAME ? size->name == name
                                            : mentions(size->left, name) || mentions(size->right, name));
}

static bool linear(const Size *size, int name)
{
    if (!mentions(size, name) || size->kind == SIZE_NAME)
        return true;
    if (size->kind == SIZE_DIV)
        return false;
    if (size->kind == SIZE_MUL && mentions(size->left, name) && mentions(size->right, name))
        return false;
    return linear(size->left, name) && linear(size->right, name);
}

static void bare_names(const Rule *rule, bool *known)
{
    for (int i = 0; rule && i < rule->n_axes; i++)
        if (rule->axes[i].name >= 0)
            known[rule->axes[i].name] = true;
    for (int i = 0; rule && i < rule->n_items; i++)
        bare_names(rule->item[i], known);
}

/* Marks what expressions can solve; true if that was news. [last]: what is left is an error. */
static bool solve_names(Maker *m, const Rule *rule, bool *known, bool last, Span span)
{
    bool news = false;
    for (int i = 0; rule && i < rule->n_axes; i++) {
        const AxisRule *axis = &rule->axes[i];
        int which = -1, n = axis->size ? unknowns(axis->size, known, &which) : 0;
        if (n == 0)
            continue;
        if (n == 1 && linear(axis->size, which))
            news = known[which] = true;
        else if (last)
            compile_error(m->fn->c, span, "give a name an axis of its own, or make it a parameter",
                          "the contract cannot work out %s in %s", m->contract->names[which].name, axis->text);
    }
    for (int i = 0; rule && i < rule->n_items; i++)
        news = solve_names(m, rule->item[i], known, last, span) || news;
    return news;
}

static void check_solvable(Maker *m, Span span)
{
    Contract *c = m->contract;
    bool known[CONTRACT_NAMES] = {0}, news = true;
    for (int i = 0; i < c->n_names; i++)
        known[i] = c->names[i].source != NAME_FRESH;
    for (int i = 0; i < c->n_rules; i++)
        bare_names(c->rule[i], known);
    while (news) {
        news = false;
        for (int i = 0; i < c->n_rules; i++)
            news = solve_names(m, c->rule[i], known, false, span) || news;
    }
    for (int i = 0; i < c->n_rules; i++)
        solve_names(m, c->rule[i], known, true, span);
    bare_names(c->result, known);
    while (solve_names(m, c->result, known, false, span)) {}
    solve_names(m, c->result, known, true, span);
}

/* ---- into the function ---- */

static Contract *contract_new(Fn *fn, int *index)
{
    Proto *p = fn->proto;
    if (!array_grow(fn->c, (void **)&p->contracts, &fn->contract_room, p->n_contracts, sizeof *p->contracts))
        return NULL;
    Contract *contract = calloc(1, sizeof *contract);
    if (!contract) {
        fn->c->failed = true;
        return NULL;
    }
    contract->function = p->name ? p->name : "";
    *index = p->n_contracts;
    p->contracts[p->n_contracts++] = contract;
    return contract;
}

/* Fresh names become locals; a local of the same name that the body assigns starts with the value. */
static void bind_names(Fn *fn, const Contract *contract, Span span)
{
    for (int i = 0; i < contract->n_names; i++) {
        const ContractName *name = &contract->names[i];
        if (name->source != NAME_FRESH)
            continue;
        int known = -1;
        for (int j = 0; j < fn->n_bindings; j++)
            if (fn->binding[j].name == name->name)
                known = fn->binding[j].reg;
        if (known >= 0) {
            emit3(fn, CODE_MOVE, known, name->index, 0, span);
            flow_assign(fn, known);
        } else {
            bind(fn, name->name, name->index, false);
        }
    }
}

void contract_compile(Fn *fn, int count, const Parameter *parameters, int first_register, Node *result, Span span)
{
    bool any = result != NULL;
    int index;
    for (int i = 0; i < count; i++)
        any = any || parameters[i].contract;
    Contract *contract = any ? contract_new(fn, &index) : NULL;
    if (!contract)
        return;
    Maker m = {.fn = fn, .contract = contract, .count = count, .parameters = parameters,
               .first_register = first_register};
    contract->rule = calloc((size_t)count + 1, sizeof(Rule *));
    contract->rule_name = calloc((size_t)count + 1, sizeof(char *));
    if (!contract->rule || !contract->rule_name) {
        fn->c->failed = true;
        return;
    }
    contract->first_parameter = first_register;
    contract->first = fn->top;
    for (int i = 0; i < count; i++) {
        contract->rule_name[i] = compile_name(fn->c, parameters[i].name);
        if (parameters[i].contract && !parameters[i].named_rest)
            contract->rule[i] = rule_new(&m, parameters[i].contract);
        contract->n_rules++;
    }
    if (result)
        contract->result = rule_new(&m, result);
    contract->result_name = compile_name(fn->c, "the result");
    contract->count = fn->top - contract->first;
    fn->n_locals = fn->top;
    check_solvable(&m, span);
    int32_t pc = emit3(fn, CODE_CONTRACT, 0, 0, index, span);
    for (int i = 0; i < count; i++) {
        Node name = {.kind = NODE_NAME, .span = {parameters[i].span.start,
                                                 parameters[i].span.start + (uint32_t)strlen(parameters[i].name)}};
        note_operand(fn, pc, i, &name);
    }
    bind_names(fn, contract, span);
    if (result) {
        fn->contract = contract;
        fn->contract_index = index;
    }
}

void contract_check_local(Fn *fn, Node *node, const char *name, int reg, Span span)
{
    int index, mark = fn->top;
    Contract *contract = contract_new(fn, &index);
    if (!contract)
        return;
    Maker m = {.fn = fn, .contract = contract, .local = true};
    if (reg == fn->top)
        temp(fn);
    contract->first = fn->top;
    contract->result = rule_new(&m, node);
    contract->result_name = name;
    contract->count = fn->top - contract->first;
    check_solvable(&m, span);
    if (contract->count)
        emit3(fn, CODE_CLEAR, contract->first, contract->count, 0, span);
    emit3(fn, CODE_CHECK_RESULT, reg, 0, index, span);
    fn->top = mark;
}
