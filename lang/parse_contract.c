/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shape contracts and parameter lists: [b, 3, h], f32[b, t], list([b, d]), ([k, d], [n]), T?, and names with their
   contracts and defaults. Which words are dtypes, and what names mean, is the compiler's affair. */
#include <stdio.h>
#include <string.h>

#include "parse.h"

static void axis_size(Parser *p, Node *contract, Axis *axis)
{
    axis->kind = AXIS_SIZE;
    axis->size = parse_binary(p, 80);
    parse_adopt(p, contract, axis->size);
    if (axis->size->kind == NODE_NAME) axis->name = axis->size->name;
    if (!parse_accept(p, TOKEN_BAR)) return;
    const Token *one = parse_token(p);
    if (one->kind == TOKEN_INT && one->integer == 1) p->at++;
    else parse_fail(p, one->span, "b|1 admits b or a broadcast 1", "expected 1 after |");
    axis->or_one = true;
}

static void parse_axis(Parser *p, Node *contract, Axis *axis)
{
    const Token *token = parse_token(p);
    axis->span.start = token->span.start;
    if (parse_accept(p, TOKEN_ELLIPSIS)) {
        axis->kind = AXIS_REST;
    } else if (parse_accept(p, TOKEN_RANGE)) {
        axis->kind = AXIS_PACK;
        axis->name = parse_token(p)->name;
        parse_expect(p, TOKEN_NAME, "after ..");
    } else if (parse_is_word(p, "_")) {
        p->at++;
        axis->kind = AXIS_ANY;
    } else if (token->kind == TOKEN_COLON) {
        parse_fail(p, token->span, "_ stands for any size, ... for any number of axes", "expected an axis, found ':'");
    } else {
        axis->forced = parse_accept(p, TOKEN_ASSIGN);
        axis_size(p, contract, axis);
    }
    axis->span.end = parse_last_end(p);
}

static void parse_axes(Parser *p, Node *contract)
{
    int opener = p->at, room = 0, rests = 0;
    bool lines = p->lines;
    contract->contract.kind = CONTRACT_SHAPE;
    p->lines = false;
    parse_expect(p, TOKEN_LBRACKET, "before the axes");
    while (!p->failed && parse_peek(p) != TOKEN_RBRACKET) {
        Axis *axes = parse_grow(p, contract->contract.axes, contract->contract.n_axes, &room, sizeof *axes);
        if (!axes) break;
        contract->contract.axes = axes;
        Axis *axis = &axes[contract->contract.n_axes++];
        parse_axis(p, contract, axis);
        if ((axis->kind == AXIS_REST || axis->kind == AXIS_PACK) && ++rests == 2)
            parse_note(p, axis->span, NULL, "a shape takes one ... or ..name");
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    parse_close(p, TOKEN_RBRACKET, opener);
}

static void parse_items(Parser *p, Node *contract)
{
    int opener = p->at, mark = p->n_stack;
    bool lines = p->lines;
    p->lines = false;
    parse_expect(p, TOKEN_LPAREN, "before the members");
    while (!p->failed && parse_peek(p) != TOKEN_RPAREN) {
        parse_push(p, parse_contract(p));
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    parse_close(p, TOKEN_RPAREN, opener);
    contract->contract.items = parse_pop(p, contract, mark);
}

/* nn.Linear, however it was spaced. */
static const char *join_names(Parser *p, const char *module, const char *name)
{
    size_t length = module && name ? strlen(module) + 1 + strlen(name) : 0;
    char *text = length ? arena_alloc(p->arena, length + 1) : NULL;
    if (text) snprintf(text, length + 1, "%s.%s", module, name);
    const char *joined = text ? arena_name(p->arena, text, length) : NULL;
    if (!joined) p->no_memory = p->failed = p->stopped = true;
    return joined;
}

static void parse_word(Parser *p, Node *contract)
{
    Span span = parse_token(p)->span;
    const char *word = parse_token(p)->name;
    p->at++;
    if (parse_peek(p) == TOKEN_DOT && parse_peek_next(p) == TOKEN_NAME) {      /* nn.Linear */
        p->at++;
        span.end = parse_token(p)->span.end;
        const char *name = parse_token(p)->name;
        p->at++;
        word = join_names(p, word, name);
    }
    contract->contract.kind = CONTRACT_WORD;
    contract->contract.word = word;
    bool is_list = word && strcmp(word, "list") == 0;
    if (is_list && parse_peek(p) == TOKEN_LPAREN) {
        contract->contract.kind = CONTRACT_LIST;
        parse_items(p, contract);
        if (!p->failed && contract->contract.items.count != 1)
            parse_note(p, span, "list([b, d]): every member is a [b, d]", "list(…) takes one contract");
    } else if (parse_peek(p) == TOKEN_LBRACKET && !(p->lines && parse_token(p)->first)) {
        if (is_list) parse_fail(p, parse_token(p)->span, "write list(int), list([b, d])",
                                "a list's contract takes ( )");
        parse_axes(p, contract);
    }
}

static Node *parse_plain(Parser *p)
{
    Node *contract = parse_node(p, NODE_CONTRACT, parse_token(p)->span.start);
    switch (parse_peek(p)) {
    case TOKEN_LBRACKET:
        parse_axes(p, contract);
        break;
    case TOKEN_LPAREN:
        contract->contract.kind = CONTRACT_TUPLE;
        parse_items(p, contract);
        break;
    case TOKEN_NAME: case TOKEN_FN: case TOKEN_NONE:
        if (parse_is_word(p, "_")) {
            contract->contract.kind = CONTRACT_ANY;
            p->at++;
        } else {
            parse_word(p, contract);
        }
        break;
    default:
        parse_unexpected(p, "a contract such as [b, d], f32[n] or int");
    }
    return parse_done(p, contract);
}

Node *parse_contract(Parser *p)
{
    if (!parse_enter(p)) return &p->spare;
    Node *contract = parse_plain(p);
    while (parse_peek(p) == TOKEN_QUESTION && !(p->lines && parse_token(p)->first)) {
        Node *optional = parse_node(p, NODE_CONTRACT, contract->span.start);
        int mark = p->n_stack;
        p->at++;
        parse_push(p, contract);
        optional->contract.kind = CONTRACT_OPTIONAL;
        optional->contract.items = parse_pop(p, optional, mark);
        contract = parse_done(p, optional);
    }
    parse_leave(p);
    return contract;
}

/* ---- parameters ---- */

static void check_parameter(Parser *p, const Parameter *all, int index)
{
    const Parameter *parameter = &all[index];
    bool defaults = false, rest = false;
    for (int i = 0; i < index; i++) {
        if (all[i].name == parameter->name)
            parse_note(p, parameter->span, NULL, "two parameters are called '%s'", parameter->name);
        if (all[i].named_rest)
            parse_note(p, parameter->span, NULL, "..%s takes all arguments that are left; it stands last", all[i].name);
        defaults |= all[i].fallback != NULL;
        rest |= all[i].rest;
    }
    if (defaults && !rest && !parameter->fallback && !parameter->rest && !parameter->named_rest)
        parse_note(p, parameter->span, "give it a default, or move it before those that have one",
                   "'%s' has no default but stands after one that has", parameter->name);
}

static void parse_parameter(Parser *p, Node *owner, Parameter *parameter, bool has_rest)
{
    parameter->span.start = parse_token(p)->span.start;
    if (parse_accept(p, TOKEN_STAR)) {                   /* *args */
        parse_note(p, (Span){parameter->span.start, parse_last_end(p)}, "write ..args", "the rest is taken by ..name");
        parameter->rest = true;
    } else if (parse_accept(p, TOKEN_RANGE)) {
        parameter->rest = true;
    }
    parameter->name = parse_token(p)->name;
    if (parse_peek(p) == TOKEN_NAME) p->at++;
    else if (token_info[parse_peek(p)].keyword)
        parse_fail(p, parse_token(p)->span, NULL, "'%s' is a word of the language; call the parameter something else",
                   token_info[parse_peek(p)].text);
    else parse_unexpected(p, "a parameter's name");
    if (parse_accept(p, TOKEN_COLON)) {
        parameter->contract = parse_contract(p);
        parse_adopt(p, owner, parameter->contract);
        const Node *contract = parameter->contract;
        if (parameter->rest && contract->kind == NODE_CONTRACT && contract->contract.kind == CONTRACT_WORD
            && contract->contract.word && strcmp(contract->contract.word, "map") == 0)
            parameter->named_rest = true;
    }
    if (parameter->rest && has_rest) parameter->named_rest = true;
    if (parameter->named_rest) parameter->rest = false;
    uint32_t end = parse_last_end(p);
    if (parse_accept(p, TOKEN_ASSIGN)) {
        parameter->fallback = parse_expression(p);
        parse_adopt(p, owner, parameter->fallback);
        if (parameter->rest || parameter->named_rest)
            parse_note(p, parameter->fallback->span, NULL, "..%s has no default: it may be empty", parameter->name);
    }
    parameter->span.end = end;
}

Parameter *parse_parameters(Parser *p, Node *owner, int *count)
{
    Parameter *parameters = NULL;
    int opener = p->at, room = 0;
    bool lines = p->lines, has_rest = false;
    *count = 0;
    p->lines = false;
    parse_expect(p, TOKEN_LPAREN, "before the parameters");
    while (!p->failed && parse_peek(p) != TOKEN_RPAREN) {
        Parameter *wider = parse_grow(p, parameters, *count, &room, sizeof *wider);
        if (!wider) break;
        parameters = wider;
        parse_parameter(p, owner, &parameters[*count], has_rest);
        if (p->failed) break;
        check_parameter(p, parameters, *count);
        has_rest |= parameters[*count].rest;
        ++*count;
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    parse_close(p, TOKEN_RPAREN, opener);
    return parameters;
}
