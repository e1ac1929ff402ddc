/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Expressions: precedence climbing over the table of tokens, postfix chains, literals, lambdas, comprehensions.
   Loosest first: ->, |>, or, and, not, comparisons, .., ++, + -, * / // % @, unary -, ^, postfix. */
#include <string.h>

#include "parse.h"
#include "suggest.h"

enum { BINDING_PIPE = 10, BINDING_NOT = 40, BINDING_COMPARE = 50, BINDING_RANGE = 60 };

/* A newline before the current token ends the expression. */
static bool line_breaks(const Parser *p)
{
    return p->lines && parse_token(p)->first;
}

/* ---- lambdas ---- */

static bool is_lambda(const Parser *p)
{
    if (p->failed) return false;
    const Token *token = parse_token(p);
    if (token->kind == TOKEN_NAME) return parse_peek_next(p) == TOKEN_ARROW;
    return token->kind == TOKEN_LPAREN && token->partner >= 0 && p->tokens[token->partner + 1].kind == TOKEN_ARROW;
}

static Node *parse_lambda(Parser *p)
{
    Node *node = parse_node(p, NODE_LAMBDA, parse_token(p)->span.start);
    Function *function = arena_alloc(p->arena, sizeof *function);
    if (!function) {
        p->no_memory = p->failed = p->stopped = true;
        return &p->spare;
    }
    node->function = function;
    if (parse_peek(p) == TOKEN_NAME) {
        Parameter *parameter = arena_alloc(p->arena, sizeof *parameter);
        if (parameter) {
            parameter->name = parse_token(p)->name;
            parameter->span = parse_token(p)->span;
        } else {
            p->no_memory = p->failed = p->stopped = true;
        }
        function->parameters = parameter;
        function->n_parameters = parameter != NULL;
        p->at++;
    } else {
        function->parameters = parse_parameters(p, node, &function->n_parameters);
    }
    function->header = (Span){node->span.start, parse_last_end(p)};
    parse_expect(p, TOKEN_ARROW, "after the parameters");
    bool model = p->in_model;
    p->in_model = false;
    function->body = parse_peek(p) == TOKEN_LBRACE ? parse_block(p, "->") : parse_expression(p);
    p->in_model = model;
    parse_adopt(p, node, function->body);
    return parse_done(p, node);
}

Node *parse_expression(Parser *p)
{
    if (!parse_enter(p)) return &p->spare;
    Node *node = is_lambda(p) ? parse_lambda(p) : parse_binary(p, BINDING_PIPE);
    parse_leave(p);
    return node;
}

Node *parse_list_or_expression(Parser *p)
{
    uint32_t start = parse_token(p)->span.start;
    int mark = p->n_stack;
    bool tuple = false;
    for (;;) {
        uint32_t at = parse_token(p)->span.start;
        if (parse_accept(p, TOKEN_RANGE)) {
            Node *spread = parse_node(p, NODE_SPREAD, at);
            spread->unary.child = parse_expression(p);
            parse_adopt(p, spread, spread->unary.child);
            parse_push(p, parse_done(p, spread));
            tuple = true;
        } else {
            parse_push(p, parse_expression(p));
        }
        if (line_breaks(p) || !parse_accept(p, TOKEN_COMMA)) break;
        tuple = true;
        if (parse_ended(p) || token_info[parse_peek(p)].assignment) break;
    }
    if (!tuple) {
        Node *only = p->n_stack > mark ? p->stack[mark] : &p->spare;
        p->n_stack = mark;
        return only;
    }
    Node *node = parse_node(p, NODE_TUPLE, start);
    node->list = parse_pop(p, node, mark);
    return parse_done(p, node);
}

/* ---- operators ---- */

static Node *binary_node(Parser *p, NodeKind kind, Node *left, Operator op, Span op_span, Node *right)
{
    Node *node = parse_node(p, kind, left->span.start);
    node->binary.left = left;
    node->binary.right = right;
    node->binary.op = op;
    node->binary.op_span = op_span;
    parse_adopt(p, node, left);
    parse_adopt(p, node, right);
    return parse_done(p, node);
}

/* i++ and the like: the operator at hand ends its statement. */
static bool is_increment(const Parser *p)
{
    const Token *token = parse_token(p), *next = token + 1;
    if (token->kind == TOKEN_MINUS && next->kind == TOKEN_MINUS && next->span.start == token->span.end) next++;
    else if (token->kind != TOKEN_CONCAT) return false;
    return next->kind == TOKEN_END || next->kind == TOKEN_SEMICOLON || next->kind == TOKEN_RBRACE
           || next->kind == TOKEN_RPAREN || (p->lines && next->first);
}

static Node *parse_comparison(Parser *p, Node *left, bool *negated)
{
    Node *node = parse_node(p, NODE_COMPARE, left->span.start);
    int room_operands = 0, room_ops = 0, room_spans = 0;
    parse_adopt(p, node, left);
    Node *operand = left;
    for (int count = 0;; count++) {
        Node **operands = parse_grow(p, node->compare.operands, count, &room_operands, sizeof *operands);
        Operator *ops = parse_grow(p, node->compare.ops, count, &room_ops, sizeof *ops);
        Span *spans = parse_grow(p, node->compare.op_spans, count, &room_spans, sizeof *spans);
        if (!operands || !ops || !spans) break;
        operands[count] = operand;
        node->compare.operands = operands;
        node->compare.ops = ops;
        node->compare.op_spans = spans;
        node->compare.count = count + 1;
        const Token *token = parse_token(p);
        *negated = token->kind == TOKEN_NOT && parse_peek_next(p) == TOKEN_IN;
        if (line_breaks(p) || !(*negated || token_info[token->kind].binding == BINDING_COMPARE)) break;
        ops[count] = *negated ? OPERATOR_NOT_IN : token_info[token->kind].op;
        p->at += *negated ? 2 : 1;
        spans[count] = (Span){token->span.start, parse_last_end(p)};
        operand = parse_binary(p, BINDING_COMPARE + 1);
        parse_adopt(p, node, operand);
    }
    return parse_done(p, node);
}

static Node *parse_pipe(Parser *p, Node *left, Span op_span)
{
    Node *right = parse_binary(p, BINDING_PIPE + 1);
    switch (right->kind) {
    case NODE_CALL: case NODE_NAME: case NODE_MEMBER: case NODE_LAMBDA: case NODE_INDEX: break;
    default:
        if (!p->failed)
            parse_fail(p, right->span, "x |> f(a) is f(x, a)", "the right side of |> must be a function or a call");
    }
    return binary_node(p, NODE_PIPE, left, OPERATOR_NONE, op_span, right);
}

static Node *parse_not(Parser *p, int binding)
{
    const Token *token = parse_token(p);
    if (binding > BINDING_NOT && token->span.end - token->span.start == 3)     /* not "!", which was noted already */
        parse_fail(p, token->span, "put it in parentheses: (not x)", "'not' binds looser than the operator before it");
    if (!parse_enter(p)) return &p->spare;
    Node *node = parse_node(p, NODE_UNARY, token->span.start);
    bool word = token->span.end - token->span.start == 3;
    p->at += !p->failed;
    node->unary.op = OPERATOR_NOT;
    node->unary.child = parse_binary(p, word ? BINDING_NOT : 100);
    parse_adopt(p, node, node->unary.child);
    parse_leave(p);
    return parse_done(p, node);
}

static Node *parse_unary(Parser *p, int binding);

/* One more operator and its right side. */
static Node *parse_operator(Parser *p, Node *left, int tightness)
{
    const Token *token = parse_token(p);
    if (is_increment(p) && (left->kind == NODE_NAME || left->kind == NODE_INDEX || left->kind == NODE_MEMBER)) {
        bool plus = token->kind == TOKEN_CONCAT;
        parse_fail(p, (Span){token->span.start, token->span.start + 2}, plus ? "write i += 1" : "write i -= 1",
                   "there is no %s", plus ? "++ that counts up" : "--");
        return left;
    }
    p->at++;
    if (token->kind == TOKEN_PIPE) return parse_pipe(p, left, token->span);
    if (token->kind == TOKEN_RANGE && parse_peek(p) == TOKEN_LBRACE) {
        parse_fail(p, token->span, "write a..b; while true { … } goes on for ever", "a range has both ends");
        return left;
    }
    Node *right = parse_binary(p, tightness + 1);
    if (token->kind != TOKEN_RANGE)
        return binary_node(p, NODE_BINARY, left, token_info[token->kind].op, token->span, right);
    if (parse_peek(p) == TOKEN_RANGE)
        parse_fail(p, parse_token(p)->span, "range(start, stop, step) counts in steps", "a range has one ..");
    return binary_node(p, NODE_RANGE, left, OPERATOR_NONE, token->span, right);
}

Node *parse_binary(Parser *p, int binding)
{
    Node *left = parse_unary(p, binding);
    while (!p->failed) {
        const Token *token = parse_token(p);
        bool negated = token->kind == TOKEN_NOT && parse_peek_next(p) == TOKEN_IN;
        int tightness = negated ? BINDING_COMPARE : token->kind == TOKEN_NOT ? 0 : token_info[token->kind].binding;
        if (tightness == 0 || tightness < binding || (line_breaks(p) && token->kind != TOKEN_PIPE)) break;
        left = tightness == BINDING_COMPARE ? parse_comparison(p, left, &negated) : parse_operator(p, left, tightness);
    }
    return left;
}

/* ---- calls, members, subscripts ---- */

static void parse_argument(Parser *p, Node *call, Argument *argument, bool *named)
{
    const Token *token = parse_token(p);
    argument->span.start = token->span.start;
    if (parse_accept(p, TOKEN_RANGE)) {
        Node *spread = parse_node(p, NODE_SPREAD, token->span.start);
        spread->unary.child = parse_expression(p);
        parse_adopt(p, spread, spread->unary.child);
        argument->value = parse_done(p, spread);
    } else if (token->kind == TOKEN_STAR || (token->kind == TOKEN_CARET && token->span.end - token->span.start == 2)) {
        parse_fail(p, token->span, "write ..xs", "arguments are spread by ..");
        argument->value = &p->spare;
    } else {
        if (token->kind == TOKEN_NAME && parse_peek_next(p) == TOKEN_ASSIGN) {
            argument->name = token->name;
            for (int i = 0; i < call->call.count - 1; i++)
                if (call->call.args[i].name == token->name)
                    parse_note(p, token->span, NULL, "the argument '%s' is given twice", token->name);
            *named = true;
            p->at += 2;
        } else if (*named) {
            parse_note(p, token->span, NULL, "an argument without a name follows one with a name");
        }
        argument->value = parse_expression(p);
    }
    parse_adopt(p, call, argument->value);
    argument->span.end = parse_last_end(p);
}

static Node *parse_call(Parser *p, Node *callee)
{
    Node *node = parse_node(p, NODE_CALL, callee->span.start);
    int opener = p->at, room = 0;
    bool lines = p->lines, named = false;
    parse_adopt(p, node, callee);
    node->call.callee = callee;
    p->lines = false;
    p->at++;
    while (!p->failed && parse_peek(p) != TOKEN_RPAREN) {
        Argument *args = parse_grow(p, node->call.args, node->call.count, &room, sizeof *args);
        if (!args) break;
        node->call.args = args;
        parse_argument(p, node, &args[node->call.count++], &named);
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    if (parse_peek(p) == TOKEN_FOR)
        parse_fail(p, parse_token(p)->span, "put the comprehension in brackets: sum([x^2 for x in xs])",
                   "a comprehension stands in [ ]");
    parse_close(p, TOKEN_RPAREN, opener);
    return parse_done(p, node);
}

static bool ends_subscript(TokenKind kind)
{
    return kind == TOKEN_COLON || kind == TOKEN_COMMA || kind == TOKEN_RBRACKET || kind == TOKEN_END;
}

static Node *parse_subscript(Parser *p)
{
    uint32_t start = parse_token(p)->span.start;
    if (parse_accept(p, TOKEN_ELLIPSIS)) return parse_done(p, parse_node(p, NODE_ELLIPSIS, start));
    Node *first = parse_peek(p) == TOKEN_COLON ? NULL : parse_expression(p);
    if (parse_peek(p) != TOKEN_COLON) return first ? first : &p->spare;
    Node *node = parse_node(p, NODE_SLICE, start);
    Node **part[2] = {&node->slice.stop, &node->slice.step};
    node->slice.start = first;
    for (int i = 0; i < 2 && parse_accept(p, TOKEN_COLON); i++)
        if (!ends_subscript(parse_peek(p))) *part[i] = parse_expression(p);
    parse_adopt(p, node, node->slice.start);
    parse_adopt(p, node, node->slice.stop);
    parse_adopt(p, node, node->slice.step);
    return parse_done(p, node);
}

static Node *parse_index(Parser *p, Node *value)
{
    Node *node = parse_node(p, NODE_INDEX, value->span.start);
    int opener = p->at, mark = p->n_stack;
    bool lines = p->lines;
    node->index.value = value;
    p->lines = false;
    p->at++;
    if (parse_peek(p) == TOKEN_RBRACKET) parse_unexpected(p, "an index");
    while (!p->failed && parse_peek(p) != TOKEN_RBRACKET) {
        parse_push(p, parse_subscript(p));
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    node->index.subscripts = parse_pop(p, node, mark);
    parse_adopt(p, node, value);
    parse_close(p, TOKEN_RBRACKET, opener);
    return parse_done(p, node);
}

static Node *parse_member(Parser *p, Node *value)
{
    Node *node = parse_node(p, NODE_MEMBER, value->span.start);
    p->at++;
    const Token *token = parse_token(p);
    node->member.value = value;
    parse_adopt(p, node, value);
    if (token->kind == TOKEN_NAME || token_info[token->kind].keyword) {
        node->member.name = token->name;
        node->member.name_span = token->span;
        p->at++;
    } else {
        parse_unexpected(p, "a name after .");
    }
    return parse_done(p, node);
}

static Node *parse_primary(Parser *p);

static Node *parse_postfix(Parser *p)
{
    Node *node = parse_primary(p);
    while (!p->failed) {
        TokenKind kind = parse_peek(p);
        if (kind == TOKEN_DOT) node = parse_member(p, node);
        else if (kind == TOKEN_LPAREN && !line_breaks(p)) node = parse_call(p, node);
        else if (kind == TOKEN_LBRACKET && !line_breaks(p)) node = parse_index(p, node);
        else break;
    }
    return node;
}

static Node *parse_power(Parser *p)
{
    Node *base = parse_postfix(p);
    const Token *token = parse_token(p);
    if (token->kind != TOKEN_CARET || line_breaks(p)) return base;
    if (!parse_enter(p)) return base;
    p->at++;
    Node *exponent = parse_unary(p, 110);
    parse_leave(p);
    return binary_node(p, NODE_BINARY, base, OPERATOR_POW, token->span, exponent);
}

/* -9223372036854775808, whose digits alone are too large. */
static bool is_smallest(const Parser *p)
{
    const Token *next = parse_token(p) + 1;
    return next->kind == TOKEN_INT && next->smallest && next[1].kind != TOKEN_CARET;
}

static Node *parse_unary(Parser *p, int binding)
{
    const Token *token = parse_token(p);
    if (token->kind == TOKEN_NOT) return parse_not(p, binding);
    if (token->kind != TOKEN_MINUS) return parse_power(p);
    if (is_smallest(p)) {
        Node *node = parse_node(p, NODE_INT, token->span.start);
        node->integer = INT64_MIN;
        p->at += 2;
        return parse_done(p, node);
    }
    if (!parse_enter(p)) return &p->spare;
    Node *node = parse_node(p, NODE_UNARY, token->span.start);
    p->at++;
    node->unary.op = OPERATOR_NEG;
    node->unary.child = parse_unary(p, 100);
    parse_adopt(p, node, node->unary.child);
    parse_leave(p);
    return parse_done(p, node);
}

/* ---- literals ---- */

static Node *string_node(Parser *p, const Token *token)
{
    Node *node = parse_node(p, NODE_STRING, token->span.start);
    node->string.text = token->string.text;
    node->string.length = token->string.length;
    node->span.end = token->span.end;
    return node;
}

static Node *parse_format(Parser *p)
{
    Node *node = parse_node(p, NODE_FORMAT, parse_token(p)->span.start);
    int mark = p->n_stack;
    TokenKind kind = parse_peek(p);
    while (kind == TOKEN_FORMAT_START || kind == TOKEN_FORMAT_MIDDLE) {
        if (parse_token(p)->string.length) parse_push(p, string_node(p, parse_token(p)));
        p->at++;
        Node *item = parse_node(p, NODE_FORMAT_ITEM, parse_token(p)->span.start);
        if (parse_peek(p) == TOKEN_FORMAT_END || parse_peek(p) == TOKEN_FORMAT_MIDDLE)
            parse_fail(p, parse_token(p)->span, "a brace itself is written {{", "nothing stands between { and }");
        item->item.value = parse_expression(p);
        parse_adopt(p, item, item->item.value);
        if (parse_peek(p) == TOKEN_FORMAT_SPEC) {
            item->item.spec = parse_token(p)->string.text;
            p->at++;
        }
        parse_push(p, parse_done(p, item));
        kind = parse_peek(p);
        if (kind != TOKEN_FORMAT_MIDDLE && kind != TOKEN_FORMAT_END && !p->failed)
            parse_fail(p, parse_token(p)->span, "{x:.3f} shows x with three digits; a brace itself is written {{",
                       "expected } after the value in this string");
    }
    if (kind == TOKEN_FORMAT_END) {
        if (parse_token(p)->string.length) parse_push(p, string_node(p, parse_token(p)));
        p->at++;
    }
    node->list = parse_pop(p, node, mark);
    return parse_done(p, node);
}

/* for … in … if …, once and more, into [node]. */
static void parse_clauses(Parser *p, Node *node)
{
    int room = 0;
    while (parse_peek(p) == TOKEN_FOR) {
        int count = node->comprehension.count;
        ForClause *clauses = parse_grow(p, node->comprehension.clauses, count, &room, sizeof *clauses);
        if (!clauses) return;
        node->comprehension.clauses = clauses;
        node->comprehension.count++;
        ForClause *clause = &clauses[count];
        p->at++;
        clause->target = parse_target(p);
        parse_expect(p, TOKEN_IN, "after the variable of 'for'");
        clause->iterable = parse_expression(p);
        while (parse_peek(p) == TOKEN_IF) {
            Span span = parse_token(p)->span;
            p->at++;
            Node *condition = parse_expression(p);
            clause->condition = clause->condition
                ? binary_node(p, NODE_BINARY, clause->condition, OPERATOR_AND, span, condition) : condition;
        }
        parse_adopt(p, node, clause->target);
        parse_adopt(p, node, clause->iterable);
        parse_adopt(p, node, clause->condition);
    }
}

static Node *parse_element(Parser *p)
{
    uint32_t start = parse_token(p)->span.start;
    if (!parse_accept(p, TOKEN_RANGE)) return parse_expression(p);
    Node *spread = parse_node(p, NODE_SPREAD, start);
    spread->unary.child = parse_expression(p);
    parse_adopt(p, spread, spread->unary.child);
    return parse_done(p, spread);
}

static Node *parse_list(Parser *p)
{
    Node *node = parse_node(p, NODE_LIST, parse_token(p)->span.start);
    int opener = p->at, mark = p->n_stack;
    bool lines = p->lines;
    p->lines = false;
    p->at++;
    while (!p->failed && parse_peek(p) != TOKEN_RBRACKET) {
        Node *element = parse_element(p);
        if (parse_peek(p) == TOKEN_FOR && p->n_stack == mark) {
            node->kind = NODE_COMPREHENSION;
            node->comprehension.element = element;
            parse_adopt(p, node, element);
            parse_clauses(p, node);
            break;
        }
        parse_push(p, element);
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    if (node->kind == NODE_LIST) node->list = parse_pop(p, node, mark);
    parse_close(p, TOKEN_RBRACKET, opener);
    return parse_done(p, node);
}

/* (a), (a, b), (a,), () */
static Node *parse_parentheses(Parser *p)
{
    uint32_t start = parse_token(p)->span.start;
    int opener = p->at, mark = p->n_stack;
    bool lines = p->lines, tuple = parse_peek_next(p) == TOKEN_RPAREN;
    p->lines = false;
    p->at++;
    while (!p->failed && parse_peek(p) != TOKEN_RPAREN) {
        Node *element = parse_element(p);
        tuple |= element->kind == NODE_SPREAD;
        parse_push(p, element);
        if (!parse_accept(p, TOKEN_COMMA)) break;
        tuple = true;
    }
    p->lines = lines;
    if (parse_peek(p) == TOKEN_FOR)
        parse_fail(p, parse_token(p)->span, "put the comprehension in brackets: [x^2 for x in xs]",
                   "a comprehension stands in [ ]");
    parse_close(p, TOKEN_RPAREN, opener);
    if (!tuple && p->n_stack == mark + 1) {
        Node *only = p->stack[mark];
        p->n_stack = mark;
        only->span.start = start;
        return parse_done(p, only);
    }
    Node *node = parse_node(p, NODE_TUPLE, start);
    node->list = parse_pop(p, node, mark);
    return parse_done(p, node);
}

/* The key of a map's entry: a bare word, a string, [k], a number. *bare: a word; a comprehension reads it as a name. */
static Node *parse_key(Parser *p, bool *bare)
{
    const Token *token = parse_token(p);
    bool word = token->kind == TOKEN_NAME || token_info[token->kind].keyword;
    *bare = word && token->kind != TOKEN_TRUE && token->kind != TOKEN_FALSE && parse_peek_next(p) == TOKEN_COLON;
    if (*bare) {
        Node *node = parse_node(p, NODE_STRING, token->span.start);
        node->string.text = token->name;
        node->string.length = token->name ? (uint32_t)strlen(token->name) : 0;
        p->at++;
        return parse_done(p, node);
    }
    if (token->kind != TOKEN_LBRACKET) return parse_expression(p);
    int opener = p->at;
    p->at++;
    Node *key = parse_expression(p);
    parse_close(p, TOKEN_RBRACKET, opener);
    return key;
}

static Node *parse_entry(Parser *p, bool *bare)
{
    Node *node = parse_node(p, NODE_ENTRY, parse_token(p)->span.start);
    node->binary.left = parse_key(p, bare);
    if (!p->failed && parse_peek(p) != TOKEN_COLON)
        parse_fail(p, parse_token(p)->span,
                   "{ begins a map here: {name: value}; a set is set([a, b]), a block stands after a header or ->",
                   "expected : after the key of this map");
    node->binary.op_span = parse_token(p)->span;
    parse_accept(p, TOKEN_COLON);
    node->binary.right = parse_expression(p);
    parse_adopt(p, node, node->binary.left);
    parse_adopt(p, node, node->binary.right);
    return parse_done(p, node);
}

static Node *parse_map(Parser *p)
{
    Node *node = parse_node(p, NODE_MAP, parse_token(p)->span.start);
    int opener = p->at, mark = p->n_stack;
    bool lines = p->lines, bare = false;
    p->lines = false;
    p->at++;
    while (!p->failed && parse_peek(p) != TOKEN_RBRACE) {
        Node *entry = parse_peek(p) == TOKEN_RANGE ? parse_element(p) : parse_entry(p, &bare);
        if (parse_peek(p) == TOKEN_FOR && p->n_stack == mark && entry->kind == NODE_ENTRY) {
            node->kind = NODE_COMPREHENSION;
            Node *key = entry->binary.left;
            if (bare) {
                const char *name = key->string.text;
                key->kind = NODE_NAME;
                key->name = name;
            }
            node->comprehension.key = key;
            node->comprehension.element = entry->binary.right;
            parse_adopt(p, node, entry);
            parse_clauses(p, node);
            break;
        }
        parse_push(p, entry);
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    p->lines = lines;
    if (node->kind == NODE_MAP) node->list = parse_pop(p, node, mark);
    parse_close(p, TOKEN_RBRACE, opener);
    return parse_done(p, node);
}

/* ---- primaries ---- */

/* f"…" and r'…', and True, False, None: read as what they mean. NULL: an ordinary name. */
static Node *parse_habit_name(Parser *p, const Token *token)
{
    const Token *next = token + 1;
    size_t length = token->span.end - token->span.start;
    const char *name = token->name ? token->name : "";
    bool string = next->kind == TOKEN_STRING || next->kind == TOKEN_FORMAT_START;
    if (string && next->span.start == token->span.end && length <= 2 && strspn(name, "fFrRbBuU") == length) {
        parse_note(p, token->span, "\"…{x}…\" shows values by itself; '…' is raw",
                   "strings take no letter in front");
        p->at++;
        return parse_primary(p);
    }
    bool truth = strcmp(name, "True") == 0, falsehood = strcmp(name, "False") == 0;
    if (!truth && !falsehood && strcmp(name, "None") != 0) return NULL;
    parse_note(p, token->span, suggest_word(name, length), "there is no %s", name);
    Node *node = parse_node(p, truth || falsehood ? NODE_BOOL : NODE_NONE, token->span.start);
    node->boolean = truth;
    p->at++;
    return parse_done(p, node);
}

static Node *parse_name(Parser *p, const Token *token)
{
    Node *habit = parse_habit_name(p, token);
    if (habit) return habit;
    Node *node = parse_node(p, NODE_NAME, token->span.start);
    node->name = token->name;
    p->at++;
    if (token[1].kind == TOKEN_ARROW && !p->failed)
        parse_fail(p, token[1].span, "put the lambda in parentheses: (x -> …)",
                   "a lambda cannot stand behind an operator");
    return parse_done(p, node);
}

static Node *parse_number(Parser *p, const Token *token)
{
    Node *node = parse_node(p, token->kind == TOKEN_INT ? NODE_INT : NODE_FLOAT, token->span.start);
    if (token->kind == TOKEN_INT) node->integer = token->integer; else node->number = token->number;
    if (token->kind == TOKEN_INT && token->smallest)
        parse_note(p, token->span, "ints have 64 bits; write it as a float, such as 1e19", "this int is too large");
    p->at++;
    return parse_done(p, node);
}

static Node *parse_constant(Parser *p, const Token *token)
{
    NodeKind kind = token->kind == TOKEN_NONE ? NODE_NONE : token->kind == TOKEN_DONE ? NODE_DONE : NODE_BOOL;
    Node *node = parse_node(p, kind, token->span.start);
    node->boolean = token->kind == TOKEN_TRUE;
    p->at++;
    return parse_done(p, node);
}

static Node *parse_primary(Parser *p)
{
    const Token *token = parse_token(p);
    Node *node;
    switch ((TokenKind)token->kind) {
    case TOKEN_INT: case TOKEN_FLOAT: return parse_number(p, token);
    case TOKEN_TRUE: case TOKEN_FALSE: case TOKEN_NONE: case TOKEN_DONE: return parse_constant(p, token);
    case TOKEN_STRING:
        node = string_node(p, token);
        p->at++;
        return node;
    case TOKEN_FORMAT_START: return parse_format(p);
    case TOKEN_NAME: return parse_name(p, token);
    case TOKEN_LPAREN: return parse_parentheses(p);
    case TOKEN_LBRACKET: return parse_list(p);
    case TOKEN_LBRACE: return parse_map(p);
    case TOKEN_IF: return parse_if(p);
    case TOKEN_TRY: return parse_try(p);
    case TOKEN_ELLIPSIS:
        parse_fail(p, token->span, NULL, "... stands only in an index or a shape");
        return &p->spare;
    case TOKEN_RANGE:
        parse_fail(p, token->span, "a range has both ends: 0..n", "..x spreads only in lists, tuples, maps and calls");
        return &p->spare;
    default:
        parse_unexpected(p, "a value");
        return &p->spare;
    }
}
