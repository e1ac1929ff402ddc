/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Function values: closures, natives with what they carry, ops, bound methods; and what printing and help ask of
   them. */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

Value function_new(FunctionKind kind, int n_values)
{
    FunctionObject *function = heap_new(sizeof *function + (size_t)n_values * sizeof(Value));
    if (!function)
        return VALUE_UNDEFINED;
    function->kind = (uint8_t)kind;
    function->takes = -1;
    function->n_values = n_values;
    return (Value){.tag = TAG_FUNCTION, .function = function};
}

void function_free(FunctionObject *function)
{
    for (int i = 0; i < function->n_values; i++)
        value_release(function->value[i]);
    if (function->kind == FUNCTION_CLOSURE)
        proto_release(function->proto);
    heap_delete(function, sizeof *function + (size_t)function->n_values * sizeof(Value));
}

Value function_native_closure(const NativeDef *def, int n_bound, const Value *bound)
{
    Value v = function_new(FUNCTION_NATIVE, n_bound);
    if (v.tag == TAG_UNDEFINED)
        return v;
    v.function->native = def;
    for (int i = 0; i < n_bound; i++)
        v.function->value[i] = value_retain(bound[i]);
    return v;
}

Value function_of_native(const NativeDef *def)
{
    return function_native_closure(def, 0, NULL);
}

Value function_of_op(const OpDef *def)
{
    Value v = function_new(FUNCTION_OP, 0);
    if (v.tag != TAG_UNDEFINED)
        v.function->op = def;
    return v;
}

Value function_bound(Value object, Value function)
{
    Value v = function_new(FUNCTION_METHOD, 2);
    if (v.tag == TAG_UNDEFINED)
        return v;
    v.function->value[0] = value_retain(object);
    v.function->value[1] = value_retain(function);
    return v;
}

/* The function below what is bound. */
static const FunctionObject *bare(Value callable)
{
    const FunctionObject *function = callable.tag == TAG_FUNCTION ? callable.function : NULL;
    while (function && function->kind == FUNCTION_METHOD)
        function = function->value[1].tag == TAG_FUNCTION ? function->value[1].function : NULL;
    return function;
}

const char *function_name(Value callable)
{
    const FunctionObject *function = bare(callable);
    const char *name = "";
    if (callable.tag == TAG_MODEL)
        name = callable.model->constructor->name;
    else if (!function)
        name = "";
    else if (function->kind == FUNCTION_CLOSURE)
        name = function->proto->name;
    else if (function->kind == FUNCTION_NATIVE)
        name = function->native->name;
    else if (function->kind == FUNCTION_OP)
        name = op_name(function->op);
    return name ? name : "";
}

const NativeDef *function_native(Value callable)
{
    bool native = callable.tag == TAG_FUNCTION && callable.function->kind == FUNCTION_NATIVE;
    return native ? callable.function->native : NULL;
}

const OpDef *function_op(Value callable)
{
    return callable.tag == TAG_FUNCTION && callable.function->kind == FUNCTION_OP ? callable.function->op : NULL;
}

bool function_header(Value callable, Text *out)
{
    const FunctionObject *function = bare(callable);
    if (callable.tag == TAG_MODEL)
        text_format(out, "%s", callable.model->constructor->signature);
    else if (function && function->kind == FUNCTION_CLOSURE)
        text_format(out, "%s", function->proto->signature);
    else if (function && function->kind == FUNCTION_NATIVE)
        text_format(out, "%s(%s)", function->native->name, function->native->signature);
    else if (function && function->kind == FUNCTION_OP)
        text_format(out, "%s(%s)", op_name(function->op), op_signature_text(function->op));
    return !out->failed;
}

bool value_callable(Value v)
{
    return v.tag == TAG_FUNCTION || v.tag == TAG_MODEL || (v.tag == TAG_OBJECT && v.object->model->forward >= 0);
}
