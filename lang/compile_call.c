/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls: f(…), x.f(…), x |> f(…). The callee and its arguments lie in consecutive registers, which the call
   takes. A method call leaves the first register free for the result, then comes the receiver. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

static void check_slot(Fn *fn, uint32_t slot, Span span)
{
    if (slot > 0xffff)
        compile_error(fn->c, span, NULL, "this module has too many names");
}

/* In call position a variable that cannot be called hides no function. */
int load_callee(Fn *fn, const char *name, int to, Span span)
{
    name = compile_name(fn->c, name);
    NameRef ref = resolve(fn, name, span);
    uint32_t slot = compile_slot(fn->c, name);
    check_slot(fn, slot, span);
    switch (ref.kind) {
    case NAME_GLOBAL: emit_wide(fn, CODE_GET_CALLEE, to, (int32_t)ref.slot, span); break;
    case NAME_LATE: emit3(fn, CODE_CALLEE_CAPTURE, to, ref.index, (int)ref.slot, span); break;
    case NAME_OWN: emit3(fn, CODE_OWN_FUNCTION, to, 0, 0, span); break;
    case NAME_LOCAL:
        if (ref.tracked && !flow_definite(fn, ref.reg))
            fn->needs_clear = true;
        emit3(fn, CODE_CALLEE_LOCAL, to, ref.reg, (int)slot, span);
        break;
    case NAME_CAPTURE:
        emit3(fn, CODE_COPY_CAPTURE, to, ref.index, 0, span);
        emit3(fn, CODE_CALLEE_LOCAL, to, to, (int)slot, span);
        break;
    case NAME_FIELD:
        load_name(fn, name, to, span);
        fn->top = to + 1 > fn->top ? to + 1 : fn->top;
        emit3(fn, CODE_CALLEE_LOCAL, to, to, (int)slot, span);
        break;
    }
    return to;
}

typedef struct Arguments { int count; const Argument *at; } Arguments;

/* Names and spreads go into the site; [extra] arguments stand before the written ones. */
static void site_arguments(Fn *fn, int site_index, Arguments arguments, int extra)
{
    bool plain = true;
    for (int i = 0; i < arguments.count; i++)
        plain = plain && !arguments.at[i].name && arguments.at[i].value->kind != NODE_SPREAD;
    if (fn->c->failed)
        return;
    Site *site = &fn->proto->sites[site_index];
    site->n_args = arguments.count + extra;
    if (plain)
        return;
    site->plain = false;
    site->names = calloc((size_t)site->n_args, sizeof *site->names);
    site->spread = calloc((size_t)site->n_args, sizeof *site->spread);
    if (!site->names || !site->spread) {
        fn->c->failed = true;
        return;
    }
    for (int i = 0; i < arguments.count; i++) {
        const Argument *argument = &arguments.at[i];
        if (argument->name)
            site->names[extra + i] = compile_name(fn->c, argument->name);
        site->spread[extra + i] = argument->value->kind == NODE_SPREAD;
        for (int j = 0; argument->name && j < i; j++)
            if (site->names[extra + j] == site->names[extra + i])
                compile_error(fn->c, argument->span, NULL, "the argument %s is given twice", argument->name);
    }
}

/* [fused]: what they give may be put off. */
static void arguments_to(Fn *fn, Arguments arguments, bool fused)
{
    for (int i = 0; i < arguments.count; i++) {
        Node *value = arguments.at[i].value;
        int to = temp(fn);
        expr(fn, value->kind == NODE_SPREAD ? value->unary.child : value, to);
        if (fused)
            may_defer(fn, value, to);
        fn->top = to + 1;
    }
}

/* The name of an op that gains by it and that nothing in this function or around it hides; what it means is seen when it is
   called. */
static bool names_fused_op(Fn *fn, const Node *callee)
{
    if (callee->kind != NODE_NAME)
        return false;
    const OpDef *def = op_find(callee->name);
    if (!def || !op_is_fused(def))
        return false;
    NameKind kind = resolve(fn, compile_name(fn->c, callee->name), callee->span).kind;
    return kind == NAME_GLOBAL || kind == NAME_LATE;
}

static void note_arguments(Fn *fn, int32_t pc, Arguments arguments, int first)
{
    for (int i = 0; i < arguments.count; i++)
        note_operand(fn, pc, first + i, arguments.at[i].value);
}

static bool is_plain(Arguments arguments)
{
    for (int i = 0; i < arguments.count; i++)
        if (arguments.at[i].name || arguments.at[i].value->kind == NODE_SPREAD)
            return false;
    return true;
}

/* x.f(…) finds a function f that is declared inside a function, too. */
static bool is_nested_function(Fn *fn, const char *name, Span span)
{
    if (fn->kind == FN_MODULE)
        return false;
    for (const Fn *outer = fn; outer; outer = outer->kind == FN_LAMBDA ? outer->up : NULL) {
        bool own = outer->own_name && !strcmp(outer->own_name, name);
        for (int i = outer->n_bindings - 1; i >= 0 && !own; i--)
            if (!strcmp(outer->binding[i].name, name)) {
                own = outer->binding[i].is_function;
                if (!own)
                    return false;
            }
        if (own) {
            resolve(fn, compile_name(fn->c, name), span);
            return true;
        }
    }
    return false;
}

static int method_call(Fn *fn, Node *callee, Node *piped, Arguments arguments, int want, Span span)
{
    int mark = fn->top, a = temps(fn, 2), extra = piped ? 1 : 0;
    bool nested = is_nested_function(fn, callee->member.name, callee->span);
    if (nested)
        load_raw(fn, compile_name(fn->c, callee->member.name), a, callee->span);
    expr(fn, callee->member.value, a + 1);
    fn->top = a + 2;
    if (piped) {
        expr(fn, piped, temp(fn));
        fn->top = a + 3;
    }
    arguments_to(fn, arguments, false);
    int site = new_site(fn, callee->member.name, callee->member.name_span);
    site_arguments(fn, site, arguments, extra);
    if (nested && !fn->c->failed)
        fn->proto->sites[site].nested = true;
    int32_t pc = emit3(fn, CODE_CALL_METHOD, a, arguments.count + extra, site, span);
    note_operand(fn, pc, 0, callee->member.value);
    if (piped)
        note_operand(fn, pc, 1, piped);
    note_arguments(fn, pc, arguments, 1 + extra);
    fn->top = want >= 0 ? mark : mark + 1;
    if (want >= 0)
        emit3(fn, CODE_MOVE, want, a, 0, span);
    return want >= 0 ? want : a;
}

static int plain_call(Fn *fn, Node *callee, Node *piped, Arguments arguments, int want, Span span)
{
    /* a call whose value goes to the newest temporary builds itself there */
    bool in_place = want >= 0 && want == fn->top - 1 && want >= fn->n_locals;
    int mark = fn->top, a = in_place ? want : temp(fn), extra = piped ? 1 : 0;
    if (in_place)
        for (int i = fn->n_bindings - 1; i >= 0 && in_place; i--)
            if (fn->binding[i].reg == want) {
                in_place = false;
                a = temp(fn);
            }
    bool fused = is_plain(arguments) && names_fused_op(fn, callee);
    if (piped) {
        temp(fn);
        expr(fn, piped, a + 1);
        if (fused)
            may_defer(fn, piped, a + 1);
        fn->top = a + 2;
    }
    if (callee->kind == NODE_NAME)
        load_callee(fn, callee->name, a, callee->span);
    else
        expr(fn, callee, a);
    fn->top = a + 1 + extra;
    arguments_to(fn, arguments, fused);
    int32_t pc;
    if (is_plain(arguments)) {
        pc = emit3(fn, fused ? CODE_CALL_FUSED : CODE_CALL, a, arguments.count + extra, 0, span);
    } else {
        int site = new_site(fn, NULL, span);
        site_arguments(fn, site, arguments, extra);
        pc = emit3(fn, CODE_CALL_SITE, a, arguments.count + extra, site, span);
    }
    if (piped)
        note_operand(fn, pc, 0, piped);
    note_arguments(fn, pc, arguments, extra);
    fn->top = want >= 0 ? mark : mark + 1;
    if (want >= 0 && want != a)
        emit3(fn, CODE_MOVE, want, a, 0, span);
    return want >= 0 ? want : a;
}

/* (m.f)(…) calls what m.f holds; m.f(…) is a method call. The tree keeps no brackets, the text does. */
static bool in_brackets(Fn *fn, const Node *callee)
{
    const char *text = fn->c->parse->source->text + callee->member.name_span.end;
    while (*text == ' ' || *text == '\t' || *text == '\n')
        text++;
    return *text == ')';
}

int call(Fn *fn, Node *node, int want)
{
    Arguments arguments = {node->call.count, node->call.args};
    Node *callee = node->call.callee;
    if (callee->kind == NODE_MEMBER && !in_brackets(fn, callee))
        return method_call(fn, callee, NULL, arguments, want, node->span);
    return plain_call(fn, callee, NULL, arguments, want, node->span);
}

int pipe_call(Fn *fn, Node *node, int want)
{
    Node *right = node->binary.right, *callee = right;
    Arguments arguments = {0, NULL};
    if (right->kind == NODE_CALL) {
        callee = right->call.callee;
        arguments = (Arguments){right->call.count, right->call.args};
    }
    if (callee->kind == NODE_MEMBER)
        return method_call(fn, callee, node->binary.left, arguments, want, node->span);
    return plain_call(fn, callee, node->binary.left, arguments, want, node->span);
}
