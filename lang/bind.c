/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the arguments of a call to the parameters of a table row, for natives and ops alike. Words of a signature are
   checked and made canonical here (an int parameter holds a TAG_INT afterwards), so that natives need not. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "bridge.h"
#include "suggest.h"

typedef struct Bind {
    Vm *vm;
    const char *function;
    const Signature *signature;
    Value *bound;
} Bind;

/* "softmax(x, axis=-1)" as a hint. */
static bool with_usage(Bind *b)
{
    char usage[200];
    size_t at = 0;
    usage[0] = '\0';
    for (int i = 0; i < b->signature->count && at < sizeof usage - 40; i++) {
        const Param *p = &b->signature->param[i];
        int length = p->fallback_length > 12 ? 12 : p->fallback_length;
        at += (size_t)snprintf(usage + at, sizeof usage - at, "%s%s%s%s%s%.*s", i ? ", " : "",
                               p->rest || p->named_rest ? ".." : "", p->name, p->optional && !p->fallback ? "?" : "",
                               p->fallback ? "=" : "", length, p->fallback ? p->fallback : "");
    }
    error_hint(&vm_tensors(b->vm)->error, "usage: %s(%s)", b->function, usage);
    return false;
}

/* ---- words ---- */

static const char *word_name(ParamKind kind)
{
    switch (kind) {
    case PARAM_int: return "an int";
    case PARAM_ints: return "an int or a list of ints";
    case PARAM_padding: return "an int, a list of ints, \"same\" or \"valid\"";
    case PARAM_num: return "a number";
    case PARAM_bool: return "a bool";
    case PARAM_str: return "a string";
    case PARAM_dtype: return "a dtype such as f32";
    case PARAM_tensors: return "a list of tensors";
    default: return "a tensor";
    }
}

/* The item of a row that is no int, for zeros(2.5), whose arguments were put into a row. */
static Value culprit(Value v)
{
    int64_t i;
    if (v.tag != TAG_LIST && v.tag != TAG_TUPLE) return v;
    for (int64_t k = 0; k < v.list->count; k++)
        if (!value_to_int(v.list->at[k], &i)) return v.list->at[k];
    return v;
}

static bool wrong_word(Bind *b, const Param *param, Value v)
{
    char described[96];
    if (param->kind == PARAM_ints) v = culprit(v);
    value_describe(v, described, sizeof described);
    vm_fail(b->vm, ERROR_type, b->function, "%s must be %s, got %s", param->name, word_name(param->kind), described);
    const Param *first = b->signature->param;
    if (first->kind == PARAM_tensors && first != param && v.tag == TAG_TENSOR)
        error_hint(&vm_tensors(b->vm)->error, "the tensors stand in a list: %s([a, b])", b->function);
    if (v.tag == TAG_FLOAT && (param->kind == PARAM_int || param->kind == PARAM_ints))
        error_hint(&vm_tensors(b->vm)->error, "a // b divides to an int, int(x) cuts a float");
    if (v.tag == TAG_TENSOR && v.tensor->node && tensor_size(v.tensor) == 1) {
        error_hint(&vm_tensors(b->vm)->error, "no gradient flows through %s; write stop_grad(%s)", param->name,
                   param->name);
    }
    return false;
}

static bool is_ints(Value v)
{
    int64_t i;
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t k = 0; k < v.list->count; k++)
            if (!value_to_int(v.list->at[k], &i)) return false;
        return true;
    }
    if (v.tag == TAG_TENSOR) return v.tensor->ndim == 1 && dtype_class((Dtype)v.tensor->dtype) == CLASS_INT;
    return v.tag == TAG_RANGE || value_to_int(v, &i);
}

static bool is_padding_word(Value v)
{
    return v.tag == TAG_STRING && (strcmp(v.string->text, "same") == 0 || strcmp(v.string->text, "valid") == 0);
}

/* Makes *slot canonical for the word of [param]. */
static bool check_word(Bind *b, const Param *param, Value *slot)
{
    Value v = *slot;
    int64_t i;
    double d;
    Dtype dtype;
    switch (param->kind) {
    case PARAM_int:
        if (!value_to_int(v, &i)) return wrong_word(b, param, v);
        *slot = value_int(i);
        return true;
    case PARAM_num:
        if (v.tag == TAG_INT || v.tag == TAG_FLOAT) return true;
        if (!value_to_double(v, &d)) return wrong_word(b, param, v);
        *slot = value_to_int(v, &i) ? value_int(i) : value_float(d);
        return true;
    case PARAM_bool:
        if (v.tag == TAG_SCALAR && v.dtype == DTYPE_bool) *slot = value_bool(v.i != 0);
        return slot->tag == TAG_BOOL ? true : wrong_word(b, param, v);
    case PARAM_str: return v.tag == TAG_STRING ? true : wrong_word(b, param, v);
    case PARAM_ints: return is_ints(v) ? true : wrong_word(b, param, v);
    case PARAM_padding: return is_padding_word(v) || is_ints(v) ? true : wrong_word(b, param, v);
    case PARAM_dtype: return value_to_dtype(v, &dtype) ? true : wrong_word(b, param, v);
    default: return true;
    }
}

/* ---- defaults ---- */

static Value number_from(const char *text, int length)
{
    char copy[40];
    snprintf(copy, sizeof copy, "%.*s", length, text);
    if (strpbrk(copy, ".eEn")) return value_float(strtod(copy, NULL));      /* n: inf, nan */
    return value_int(strtoll(copy, NULL, 10));
}

static Value ints_from(const char *at, const char *end)
{
    Value list = list_new(4);
    while (list.tag == TAG_LIST && at < end) {
        while (at < end && !isdigit((unsigned char)*at) && *at != '-') at++;
        if (at == end) break;
        char *after;
        if (!list_push_take(list.list, value_int(strtoll(at, &after, 10)))) break;
        at = after;
    }
    return list;
}

/* The text between quotes, \n as a line end. */
static Value string_default(const char *text, int length)
{
    char copy[64];
    size_t at = 0;
    for (int i = 1; i < length - 1 && at < sizeof copy; i++) {
        bool escaped = text[i] == '\\' && i + 1 < length - 1;
        copy[at++] = escaped && text[i + 1] == 'n' ? '\n' : escaped ? text[i + 1] : text[i];
        i += escaped;
    }
    return string_new(copy, at);
}

static bool is_text(const Param *param, const char *text)
{
    return (size_t)param->fallback_length == strlen(text) && memcmp(param->fallback, text, strlen(text)) == 0;
}

static Value default_value(const Param *param)
{
    const char *text = param->fallback;
    int length = param->fallback_length;
    if (is_text(param, "none")) return VALUE_NONE;
    if (is_text(param, "true")) return value_bool(true);
    if (is_text(param, "false")) return value_bool(false);
    if (*text == '\'' || *text == '"') return string_default(text, length);
    if (*text == '[' || *text == '(') return ints_from(text, text + length);
    if (param->kind == PARAM_dtype) {
        char name[16];
        Dtype dtype;
        snprintf(name, sizeof name, "%.*s", length, text);
        return dtype_from_name(name, &dtype) ? value_from_dtype(dtype) : VALUE_NONE;
    }
    return number_from(text, length);
}

/* ---- slots ---- */

/* The positional arguments from [at] on, for a `..rest`. One list for `..shape:ints` stands for its items. */
static bool take_rest(Bind *b, int index, int n, const Value *args)
{
    const Param *param = &b->signature->param[index];
    bool whole = param->kind == PARAM_ints && n == 1 && args[0].tag >= TAG_LIST && args[0].tag <= TAG_TENSOR;
    if (whole) {
        b->bound[index] = value_retain(args[0]);
        return true;
    }
    Value list = list_new(n);
    if (list.tag != TAG_LIST) return vm_out_of_memory(b->vm);
    b->bound[index] = list;
    for (int i = 0; i < n; i++) {
        if (!list_push_take(list.list, value_retain(args[i]))) return vm_out_of_memory(b->vm);
    }
    return true;
}

static bool bind_positional(Bind *b, int n_args, const Value *args)
{
    int at = 0, index = 0;
    for (; index < b->signature->count && at < n_args; index++) {
        const Param *param = &b->signature->param[index];
        if (param->named_rest) continue;
        if (param->rest) return take_rest(b, index, n_args - at, args + at);
        b->bound[index] = value_retain(args[at++]);
    }
    if (at == n_args) return true;
    int most = 0;
    for (int i = 0; i < b->signature->count; i++) most += !b->signature->param[i].named_rest;
    vm_fail(b->vm, ERROR_argument, b->function, "takes at most %d argument%s, got %d", most, most == 1 ? "" : "s",
            n_args);
    return with_usage(b);
}

static int find_param(const Signature *signature, const char *name)
{
    for (int i = 0; i < signature->count; i++)
        if (strcmp(signature->param[i].name, name) == 0 && !signature->param[i].named_rest) return i;
    return -1;
}

static bool unknown_name(Bind *b, const char *name)
{
    Suggest suggest;
    suggest_start(&suggest, name);
    for (int i = 0; i < b->signature->count; i++) suggest_offer(&suggest, b->signature->param[i].name);
    vm_fail(b->vm, ERROR_argument, b->function, "no argument is named `%s`", name);
    return suggest_hint(&suggest, &vm_tensors(b->vm)->error) ? false : with_usage(b);
}

static bool bind_named(Bind *b, const NamedValue *named)
{
    int index = find_param(b->signature, named->name);
    if (index >= 0) {
        if (b->bound[index].tag != TAG_UNDEFINED) {
            vm_fail(b->vm, ERROR_argument, b->function, "%s is given twice", named->name);
            return with_usage(b);
        }
        b->bound[index] = value_retain(named->value);
        return true;
    }
    for (int i = 0; i < b->signature->count; i++) {
        if (!b->signature->param[i].named_rest) continue;
        if (b->bound[i].tag == TAG_UNDEFINED) b->bound[i] = map_new();
        Value key = string_from(named->name);
        bool fine = b->bound[i].tag == TAG_MAP && key.tag == TAG_STRING &&
                    map_set_take(b->bound[i].map, key, value_retain(named->value));
        value_release(key);
        return fine ? true : vm_out_of_memory(b->vm);
    }
    return unknown_name(b, named->name);
}

/* What was not given. */
static bool fill_slot(Bind *b, int index)
{
    const Param *param = &b->signature->param[index];
    Value *slot = &b->bound[index];
    if (param->fallback) *slot = default_value(param);
    else if (param->rest) *slot = list_new(0);
    else if (param->named_rest) *slot = map_new();
    else if (param->optional) *slot = VALUE_NONE;
    else {
        vm_fail(b->vm, ERROR_argument, b->function, "the argument `%s` is missing", param->name);
        return with_usage(b);
    }
    return slot->tag == TAG_UNDEFINED ? vm_out_of_memory(b->vm) : true;
}

static bool bind_all(Bind *b, int n_args, const Value *args, int n_named, const NamedValue *named)
{
    if (!bind_positional(b, n_args, args)) return false;
    for (int i = 0; i < n_named; i++)
        if (!bind_named(b, &named[i])) return false;
    for (int i = 0; i < b->signature->count; i++) {
        const Param *param = &b->signature->param[i];
        if (b->bound[i].tag == TAG_UNDEFINED) {
            if (!fill_slot(b, i)) return false;
            continue;
        }
        if (b->bound[i].tag == TAG_NONE && (param->optional || (param->fallback && is_text(param, "none")))) continue;
        if (param->rest && param->kind != PARAM_ints) continue;
        if (!check_word(b, param, &b->bound[i])) return false;
    }
    return true;
}

bool bind_signature(Vm *vm, const char *function, const Signature *signature, int n_args, const Value *args,
                    int n_named, const NamedValue *named, Value *bound)
{
    Bind b = {vm, function, signature, bound};
    for (int i = 0; i < signature->count; i++) bound[i] = VALUE_UNDEFINED;
    if (bind_all(&b, n_args, args, n_named, named)) return true;
    for (int i = 0; i < signature->count; i++) value_set(&bound[i], VALUE_UNDEFINED);
    return false;
}

/* ---- plain calls ---- */

/* Whether check_word leaves v as it is. */
static bool is_word(ParamKind kind, Value v)
{
    switch (kind) {
    case PARAM_int: return v.tag == TAG_INT;
    case PARAM_num: return v.tag == TAG_INT || v.tag == TAG_FLOAT;
    case PARAM_bool: return v.tag == TAG_BOOL;
    case PARAM_str: return v.tag == TAG_STRING;
    case PARAM_ints: return v.tag == TAG_INT;
    case PARAM_dtype: return false;
    default: return true;
    }
}

bool bind_plain(const Signature *signature, int n_args, const Value *args, const Value *fallback, Value *bound)
{
    if (n_args > signature->count) return false;
    for (int i = 0; i < signature->count; i++) {
        const Param *param = &signature->param[i];
        bool given = i < n_args;
        if (given ? param->rest || param->named_rest : fallback[i].tag == TAG_UNDEFINED) return false;
        bound[i] = given ? args[i] : fallback[i];
        if (given && !is_word(param->kind, args[i])) return false;
    }
    return true;
}

bool bind_defaults(Vm *vm, const Signature *signature, Value *fallback)
{
    for (int i = 0; i < signature->count; i++) {
        const Param *param = &signature->param[i];
        if (param->kind == PARAM_dtype || param->rest || param->named_rest) continue;
        if (param->fallback) fallback[i] = default_value(param);
        else if (param->optional) fallback[i] = VALUE_NONE;
        else continue;
        if (fallback[i].tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    }
    return true;
}

void bind_defaults_release(const Signature *signature, Value *fallback)
{
    for (int i = 0; i < signature->count; i++) value_set(&fallback[i], VALUE_UNDEFINED);
}

/* ---- dtypes as values ---- */

bool value_to_dtype(Value v, Dtype *dtype)
{
    if (v.tag == TAG_STRING) return dtype_from_name(v.string->text, dtype);
    const NativeDef *def = v.tag == TAG_FUNCTION ? function_native(v) : NULL;
    return def && dtype_from_name(def->name, dtype);
}

Value value_from_dtype(Dtype dtype)
{
    for (int i = 0; i < native_count; i++) {
        const NativeDef *def = &native_defs[i];
        if (strcmp(def->name, dtype_name(dtype)) == 0) return function_native_closure(def, 0, NULL);
    }
    return VALUE_UNDEFINED;
}
