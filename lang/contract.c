/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks values against contracts. First the bare names of all arguments bind, then expressions compare or solve for
   the one name that is left. A mismatch says which function, argument and axis, both sizes, and where the other one
   came from. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parts ---- */

Size *size_new(SizeKind kind, Size *left, Size *right)
{
    Size *size = calloc(1, sizeof *size);
    bool whole = kind == SIZE_INT || kind == SIZE_NAME || (left && right);
    if (!size || !whole) {
        free(size);
        size_free(left);
        size_free(right);
        return NULL;
    }
    *size = (Size){.kind = kind, .left = left, .right = right};
    return size;
}

void size_free(Size *size)
{
    if (!size)
        return;
    size_free(size->left);
    size_free(size->right);
    free(size);
}

void rule_free(Rule *rule)
{
    if (!rule)
        return;
    for (int i = 0; i < rule->n_axes; i++) {
        size_free(rule->axes[i].size);
        free(rule->axes[i].text);
    }
    for (int i = 0; i < rule->n_items; i++)
        rule_free(rule->item[i]);
    free(rule->axes);
    free(rule->item);
    free(rule->word);
    free(rule->text);
    free(rule);
}

void contract_free(Contract *contract)
{
    for (int i = 0; i < contract->n_rules; i++)
        rule_free(contract->rule[i]);
    rule_free(contract->result);
    free(contract->rule);
    free(contract->rule_name);
    free(contract);
}

void contract_registers(const Contract *contract, int *first, int *count)
{
    *first = contract->first;
    *count = contract->count;
}

void contract_pin(const Contract *contract, bool *pinned)
{
    for (int i = 0; i < contract->count; i++)
        pinned[contract->first + i] = true;
    for (int i = 0; i < contract->n_names && contract->result; i++)
        if (contract->names[i].source == NAME_PARAMETER)
            pinned[contract->names[i].index] = true;
}

/* ---- words ---- */

static const char *const words[] = {"int", "num", "float", "str", "fn", "bool", "map", "set", "list", "tuple", "range",
                                    "date", "tensor", "any", "model", "module", "stream", "none"};

bool contract_word_known(const char *word)
{
    Dtype dtype;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i], word))
            return true;
    return dtype_from_name(word, &dtype);
}

static bool dtype_fits(const char *word, Dtype dtype)
{
    Dtype exact;
    if (dtype_from_name(word, &exact) && strcmp(word, "bool") != 0)
        return exact == dtype;
    DtypeClass class = dtype_class(dtype);
    if (!strcmp(word, "float"))
        return class == CLASS_FLOAT;
    if (!strcmp(word, "int"))
        return class == CLASS_INT;
    if (!strcmp(word, "bool"))
        return class == CLASS_BOOL;
    if (!strcmp(word, "num"))
        return class != CLASS_BOOL;
    return true;
}

/* The dtype class of a number of any kind; false: no number or bool. */
static bool number_class(Value v, DtypeClass *class)
{
    switch (v.tag) {
    case TAG_BOOL: *class = CLASS_BOOL; return true;
    case TAG_INT: *class = CLASS_INT; return true;
    case TAG_FLOAT: *class = CLASS_FLOAT; return true;
    case TAG_SCALAR: *class = dtype_class((Dtype)v.dtype); return true;
    case TAG_TENSOR: *class = dtype_class((Dtype)v.tensor->dtype); return v.tensor->ndim == 0;
    default: return false;
    }
}

static bool word_fits(const char *word, Value v)
{
    DtypeClass class;
    Dtype dtype;
    if (!strcmp(word, "any"))
        return true;
    if (!strcmp(word, "int") || !strcmp(word, "num") || !strcmp(word, "float") || !strcmp(word, "bool"))
        return number_class(v, &class) && (word[0] == 'i' ? class == CLASS_INT : word[0] == 'b' ? class == CLASS_BOOL
                                           : word[0] == 'n' ? class != CLASS_BOOL : class == CLASS_FLOAT);
    if (dtype_from_name(word, &dtype))
        return (v.tag == TAG_SCALAR && v.dtype == dtype) || (v.tag == TAG_TENSOR && v.tensor->dtype == dtype);
    static const struct { const char *word; Tag tag; } tags[] = {
        {"str", TAG_STRING}, {"map", TAG_MAP}, {"set", TAG_SET}, {"list", TAG_LIST}, {"tuple", TAG_TUPLE},
        {"range", TAG_RANGE}, {"date", TAG_DATE}, {"tensor", TAG_TENSOR}, {"module", TAG_MODULE}, {"stream", TAG_STREAM}, {"none", TAG_NONE}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (!strcmp(tags[i].word, word))
            return v.tag == tags[i].tag;
    if (!strcmp(word, "fn"))
        return value_callable(v);
    if (!strcmp(word, "model"))
        return v.tag == TAG_MODEL || v.tag == TAG_OBJECT;
    const char *dot = strrchr(word, '.');
    return v.tag == TAG_OBJECT && !strcmp(object_model_name(v.object), dot ? dot + 1 : word);
}

/* ---- one check ---- */

typedef struct Known {
    bool bound;
    int64_t size;
    const char *in;           /* the argument that bound it; NULL: no axis did */
    int item;                 /* of a list or tuple; -1: the argument itself */
    int axis;
    int n_pack;
    int64_t pack[TENSOR_MAX_DIMS];
} Known;

typedef struct Check {
    Vm *vm;
    const Contract *contract;
    Value *r;
    Known known[CONTRACT_NAMES];
    const char *what;         /* argument or result that is looked at */
    int item;                 /* which item of it, -1: itself */
    char shown[80];           /* what(k) of an item */
    int input;
    bool expressions;         /* the second pass */
    bool waiting;             /* an expression has more than one unknown as yet */
    bool news;
} Check;

static const char *item_name(const char *of, int item, char *text, size_t size)
{
    if (item < 0)
        return of;
    snprintf(text, size, "%s[%d]", of, item);
    return text;
}

static const char *what(Check *k)
{
    return item_name(k->what, k->item, k->shown, sizeof k->shown);
}

static bool operand_error(Check *k, ErrorKind kind, Value v, const char *message)
{
    Error *error = &k->vm->tensors.error;
    char type[128] = "";
    if (k->input < 0 && v.tag == TAG_TENSOR) {              /* no operand's line shows a result or a local */
        memcpy(type, ": ", 2);
        value_describe(v, type + 2, sizeof type - 2);
    }
    vm_fail(k->vm, kind, k->contract->function, "%s%s", message, type);
    if (k->input >= 0 && error->n_operands < ERROR_MAX_OPERANDS) {
        ErrorOperand *operand = &error->operand[error->n_operands++];
        operand->input = k->input;
        value_describe(v, operand->type, sizeof operand->type);
    }
    return false;
}

static void source_text(const Check *k, int name, char *text, size_t size)
{
    const ContractName *n = &k->contract->names[name];
    const Known *known = &k->known[name];
    char item[80];
    if (known->in)
        snprintf(text, size, "axis %d of %s", known->axis, item_name(known->in, known->item, item, sizeof item));
    else
        snprintf(text, size, "%s", n->source == NAME_PARAMETER ? "the argument"
                                   : n->source == NAME_OF_FIELD ? "the field"
                                   : n->source == NAME_PRESET ? "the variable" : "from an expression");
}

static bool wrong_size(Check *k, Value v, const AxisRule *axis, int at, int64_t got, int64_t wanted)
{
    char message[400], source[120] = "";
    if (axis->name >= 0) {
        source_text(k, axis->name, source, sizeof source);
        snprintf(message, sizeof message, "axis %d of %s is %lld, but %s is %lld (%s)", at, what(k), (long long)got,
                 k->contract->names[axis->name].name, (long long)wanted, source);
    } else if (axis->size->kind == SIZE_INT) {
        snprintf(message, sizeof message, "axis %d of %s is %lld, not %lld", at, what(k), (long long)got,
                 (long long)wanted);
    } else {
        int n = snprintf(message, sizeof message, "axis %d of %s is %lld, but %s is %lld", at, what(k), (long long)got,
                         axis->text, (long long)wanted);
        const char *open = " (";
        for (int i = 0; i < k->contract->n_names && n > 0 && n < 300; i++) {
            if (!k->known[i].bound || k->contract->names[i].pack || !strstr(axis->text, k->contract->names[i].name))
                continue;
            source_text(k, i, source, sizeof source);
            n += snprintf(message + n, sizeof message - (size_t)n, "%s%s is %lld, %s", open, k->contract->names[i].name,
                          (long long)k->known[i].size, source);
            open = "; ";
        }
        if (open[0] == ';' && n < (int)sizeof message - 2)
            snprintf(message + n, sizeof message - (size_t)n, ")");
    }
    return operand_error(k, ERROR_shape, v, message);
}

/* ---- expressions: a * unknown + b ---- */

static bool work_out(const Check *k, const Size *size, int unknown, int64_t *a, int64_t *b)
{
    int64_t la, lb, ra, rb;
    *a = *b = 0;
    if (size->kind == SIZE_INT) {
        *b = size->value;
        return true;
    }
    if (size->kind == SIZE_NAME) {
        if (size->name == unknown)
            *a = 1;
        else
            *b = k->known[size->name].size;
        return true;
    }
    if (!work_out(k, size->left, unknown, &la, &lb) || !work_out(k, size->right, unknown, &ra, &rb))
        return false;
    switch (size->kind) {
    case SIZE_ADD: return !__builtin_add_overflow(la, ra, a) && !__builtin_add_overflow(lb, rb, b);
    case SIZE_SUB: return !__builtin_sub_overflow(la, ra, a) && !__builtin_sub_overflow(lb, rb, b);
    case SIZE_MUL:
        if (la && ra)
            return false;
        return !__builtin_mul_overflow(la ? la : ra, la ? rb : lb, a) && !__builtin_mul_overflow(lb, rb, b);
    default:
        if (la || ra || rb == 0)
            return false;
        *b = lb / rb - (lb % rb != 0 && (lb < 0) != (rb < 0));
        return true;
    }
}

static int count_unknown(const Check *k, const Size *size, int *which)
{
    if (!size || size->kind == SIZE_INT)
        return 0;
    if (size->kind == SIZE_NAME) {
        if (k->known[size->name].bound || *which == size->name)
            return 0;
        bool first = *which < 0;
        *which = size->name;
        return first ? 1 : 2;
    }
    return count_unknown(k, size->left, which) + count_unknown(k, size->right, which);
}

static void bind_size(Check *k, int name, int64_t size, int axis)
{
    k->known[name].bound = k->news = true;
    k->known[name].size = size;
    k->known[name].in = k->what;
    k->known[name].item = k->item;
    k->known[name].axis = axis;
}

static bool check_expression(Check *k, Value v, const AxisRule *axis, int at, int64_t got)
{
    int which = -1, n = count_unknown(k, axis->size, &which);
    int64_t a, b;
    if (n > 1) {
        k->waiting = true;
        return true;
    }
    if (!work_out(k, axis->size, which, &a, &b)) {
        char message[300];
        snprintf(message, sizeof message, "%s in the contract of %s cannot be worked out", axis->text, what(k));
        return operand_error(k, ERROR_shape, v, message);
    }
    if (n == 0)
        return got == b || (axis->or_one && got == 1) || wrong_size(k, v, axis, at, got, b);
    if (axis->or_one && got == 1)
        return true;
    if (a == 0 || (got - b) % a != 0) {
        char message[300];
        snprintf(message, sizeof message, "axis %d of %s is %lld, which no %s makes %s", at, what(k), (long long)got,
                 k->contract->names[which].name, axis->text);
        return operand_error(k, ERROR_shape, v, message);
    }
    bind_size(k, which, (got - b) / a, at);
    return true;
}

/* ---- shapes ---- */

static bool check_axis(Check *k, Value v, const AxisRule *axis, int at, int64_t got)
{
    if (axis->kind == AXIS_ANY)
        return true;
    if (axis->name < 0) {
        bool literal = axis->size->kind == SIZE_INT;
        if (literal == k->expressions)
            return true;
        return check_expression(k, v, axis, at, got);
    }
    if (k->expressions)
        return true;
    Known *known = &k->known[axis->name];
    if (axis->or_one && got == 1)
        return true;
    if (known->bound)
        return known->size == got || wrong_size(k, v, axis, at, got, known->size);
    bind_size(k, axis->name, got, at);
    return true;
}

static bool check_pack(Check *k, Value v, const AxisRule *axis, int first, int count, const int64_t *shape)
{
    Known *known = &k->known[axis->name];
    if (!known->bound) {
        known->bound = true;
        known->n_pack = count;
        known->in = k->what;
        known->item = k->item;
        memcpy(known->pack, shape + first, (size_t)count * sizeof *shape);
        return true;
    }
    if (known->n_pack == count && !memcmp(known->pack, shape + first, (size_t)count * sizeof *shape))
        return true;
    char got[96], wanted[96], message[400], item[80];
    shape_format(count, shape + first, got, sizeof got);
    shape_format(known->n_pack, known->pack, wanted, sizeof wanted);
    snprintf(message, sizeof message, "..%s is %s in %s, but %s in %s", k->contract->names[axis->name].name, got, what(k),
             wanted, known->in ? item_name(known->in, known->item, item, sizeof item) : "the arguments");
    return operand_error(k, ERROR_shape, v, message);
}

static bool check_shape(Check *k, const Rule *rule, Value v, Dtype dtype, int ndim, const int64_t *shape)
{
    char message[400];
    int fixed = rule->n_axes - (rule->rest >= 0);
    if (rule->word && !k->expressions && !dtype_fits(rule->word, dtype)) {
        snprintf(message, sizeof message, "%s must be %s, got %s", what(k), rule->text, dtype_name(dtype));
        return operand_error(k, ERROR_dtype, v, message);
    }
    if (rule->rest >= 0 ? ndim < fixed : ndim != fixed) {
        snprintf(message, sizeof message, "%s must be %s, with %s%d ax%s, got %d", what(k), rule->text,
                 rule->rest >= 0 ? "at least " : "", fixed, fixed == 1 ? "is" : "es", ndim);
        return operand_error(k, ERROR_shape, v, message);
    }
    for (int i = 0; i < rule->n_axes; i++) {
        const AxisRule *axis = &rule->axes[i];
        if (i == rule->rest) {
            if (axis->kind == AXIS_PACK && !k->expressions && !check_pack(k, v, axis, i, ndim - fixed, shape))
                return false;
            continue;
        }
        int at = rule->rest >= 0 && i > rule->rest ? ndim - (rule->n_axes - i) : i;
        if (!check_axis(k, v, axis, at, shape[at]))
            return false;
    }
    return true;
}

static bool not_a_tensor(Check *k, const Rule *rule, Value v)
{
    char type[96], message[300];
    error_clear(&k->vm->tensors.error);
    value_describe(v, type, sizeof type);
    snprintf(message, sizeof message, "%s must be a tensor %s, got %s", what(k), rule->text, type);
    return operand_error(k, ERROR_type, v, message);
}

static bool check_value(Check *k, const Rule *rule, Value v);

static bool check_tensor(Check *k, const Rule *rule, Value v)
{
    if (v.tag == TAG_TENSOR)
        return check_shape(k, rule, v, (Dtype)v.tensor->dtype, v.tensor->ndim, v.tensor->shape);
    Tensor *t = value_to_tensor(&k->vm->tensors, v);
    if (!t)
        return not_a_tensor(k, rule, v);
    bool fine = check_shape(k, rule, v, (Dtype)t->dtype, t->ndim, t->shape);
    tensor_release(t);
    return fine;
}

static bool check_items(Check *k, const Rule *rule, Value v)
{
    bool list = rule->kind == CONTRACT_LIST;
    char type[96], message[300];
    if (v.tag != (list ? TAG_LIST : TAG_TUPLE) || (!list && v.list->count != rule->n_items)) {
        value_describe(v, type, sizeof type);
        snprintf(message, sizeof message, "%s must be %s, got %s", what(k), rule->text, type);
        return operand_error(k, ERROR_type, v, message);
    }
    int outside = k->item;
    for (int64_t i = 0; i < v.list->count; i++) {
        k->item = (int)i;
        if (!check_value(k, rule->item[list ? 0 : i], v.list->at[i]))
            return false;
    }
    k->item = outside;
    return true;
}

static bool check_value(Check *k, const Rule *rule, Value v)
{
    char type[96], message[300];
    switch (rule->kind) {
    case CONTRACT_ANY: return true;
    case CONTRACT_OPTIONAL: return v.tag == TAG_NONE || check_value(k, rule->item[0], v);
    case CONTRACT_SHAPE: return check_tensor(k, rule, v);
    case CONTRACT_LIST:
    case CONTRACT_TUPLE: return check_items(k, rule, v);
    case CONTRACT_WORD: break;
    }
    if (k->expressions || word_fits(rule->word, v))
        return true;
    value_describe(v, type, sizeof type);
    snprintf(message, sizeof message, "%s must be %s, got %s", what(k), rule->text, type);
    return operand_error(k, ERROR_type, v, message);
}

/* ---- the whole ---- */

static void start(Check *k, Vm *vm, const Contract *contract, Value *r)
{
    k->vm = vm;
    k->contract = contract;
    k->r = r;
    k->item = -1;
    k->expressions = k->waiting = k->news = false;
}

static void know_names(Check *k, bool bound_already)
{
    const Contract *c = k->contract;
    for (int i = 0; i < c->n_names; i++) {
        const ContractName *name = &c->names[i];
        Known *known = &k->known[i];
        Value v = VALUE_UNDEFINED;
        known->in = NULL;
        if (name->source == NAME_OF_FIELD)
            v = k->r[0].object->field[name->index];
        else if (name->source != NAME_FRESH || bound_already)
            v = k->r[name->index];
        known->bound = value_to_int(v, &known->size);
        if (name->pack && v.tag == TAG_LIST && v.list->count <= TENSOR_MAX_DIMS) {
            known->bound = true;
            known->n_pack = (int)v.list->count;
            for (int j = 0; j < known->n_pack; j++)
                known->pack[j] = v.list->at[j].i;
        }
    }
}

static bool pass(Check *k, bool expressions)
{
    const Contract *c = k->contract;
    k->expressions = expressions;
    for (int i = 0; i < c->n_rules; i++) {
        k->what = c->rule_name[i];
        k->input = i;
        Value v = k->r[c->first_parameter + i];
        if (c->rule[i] && v.tag != TAG_UNDEFINED && !check_value(k, c->rule[i], v))      /* unknown to a static check */
            return false;
    }
    return true;
}

/* A list where a tensor is expected becomes one. */
static bool promote(Vm *vm, const Contract *c, Value *r)
{
    for (int i = 0; i < c->n_rules; i++) {
        Value *v = &r[c->first_parameter + i];
        const Rule *rule = c->rule[i];
        if (rule && rule->kind == CONTRACT_OPTIONAL)
            rule = rule->item[0];
        if (!rule || rule->kind != CONTRACT_SHAPE || (v->tag != TAG_LIST && v->tag != TAG_RANGE))
            continue;
        Tensor *t = value_to_tensor(&vm->tensors, *v);
        if (t)
            value_set(v, (Value){.tag = TAG_TENSOR, .tensor = t});
        else if (vm->tensors.error.kind == ERROR_memory)
            return false;
        else
            error_clear(&vm->tensors.error);
    }
    return true;
}

static bool give_names(Check *k)
{
    const Contract *c = k->contract;
    for (int i = 0; i < c->n_names; i++) {
        const ContractName *name = &c->names[i];
        const Known *known = &k->known[i];
        if (name->source != NAME_FRESH)
            continue;
        Value v = known->bound ? value_int(known->size) : VALUE_NONE;
        if (name->pack && known->bound) {
            v = list_new(known->n_pack);
            if (v.tag == TAG_UNDEFINED)
                return vm_out_of_memory(k->vm);
            while (v.list->count < known->n_pack) {
                v.list->at[v.list->count] = value_int(known->pack[v.list->count]);
                v.list->count++;
            }
        }
        value_set(&k->r[name->index], v);
    }
    return true;
}

bool contract_check(Vm *vm, const Contract *contract, Value *r, const Proto *proto)
{
    Check k;                  /* [known] is large: know_names fills what is used */
    (void)proto;
    start(&k, vm, contract, r);
    if (!promote(vm, contract, r))
        return false;
    for (int i = 0; i < contract->n_names; i++)
        if (contract->names[i].source == NAME_FRESH)
            value_set(&r[contract->names[i].index], VALUE_UNDEFINED);
    know_names(&k, false);
    if (!pass(&k, false))
        return false;
    do {
        k.waiting = k.news = false;
        if (!pass(&k, true))
            return false;
    } while (k.waiting && k.news);
    return give_names(&k);
}

bool contract_check_result(Vm *vm, const Contract *contract, Value *r, Value v, const Proto *proto)
{
    Check k;
    (void)proto;
    start(&k, vm, contract, r);
    k.what = contract->result_name;
    k.input = -1;
    know_names(&k, true);
    if (!check_value(&k, contract->result, v))
        return false;
    k.expressions = true;
    do {
        k.waiting = k.news = false;
        if (!check_value(&k, contract->result, v))
            return false;
    } while (k.waiting && k.news);
    return true;
}
