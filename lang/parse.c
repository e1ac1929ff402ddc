/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parser's frame: tokens, errors and recovery, statements and declarations. Expressions are in parse_expr.c,
   contracts and parameters in parse_contract.c. What the tree means (names, scopes) is left to the compiler. */
#include "parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suggest.h"

enum { ERRORS_MAX = 20 };

/* ---- tokens ---- */

static const Token unwinding = {.kind = TOKEN_END, .first = true, .opener = -1, .partner = -1};

const Token *parse_token(const Parser *p)
{
    return p->failed ? &unwinding : &p->tokens[p->at];
}

TokenKind parse_peek(const Parser *p)
{
    return (TokenKind)parse_token(p)->kind;
}

TokenKind parse_peek_next(const Parser *p)
{
    return p->failed || p->at + 1 >= p->count ? TOKEN_END : (TokenKind)p->tokens[p->at + 1].kind;
}

bool parse_accept(Parser *p, TokenKind kind)
{
    if (p->failed || parse_peek(p) != kind || kind == TOKEN_END) return false;
    p->at++;
    return true;
}

bool parse_ended(const Parser *p)
{
    const Token *token = parse_token(p);
    return token->first || token->kind == TOKEN_END || token->kind == TOKEN_SEMICOLON || token->kind == TOKEN_RBRACE;
}

uint32_t parse_last_end(const Parser *p)
{
    return p->at > 0 ? p->tokens[p->at - 1].span.end : 0;
}

bool parse_is_word(const Parser *p, const char *word)
{
    const Token *token = parse_token(p);
    return token->kind == TOKEN_NAME && token->name && strcmp(token->name, word) == 0;
}

/* ---- errors ---- */

static void out_of_memory(Parser *p)
{
    p->no_memory = p->failed = p->stopped = true;
}

static void record(Parser *p, Span span, const char *hint, const char *format, va_list arguments)
{
    char message[sizeof p->parse->errors->message];
    vsnprintf(message, sizeof message, format, arguments);
    if (!syntax_error_add(p->parse, span, hint, "%s", message)) out_of_memory(p);
    if (++p->n_errors >= ERRORS_MAX) p->failed = p->stopped = true;
}

void parse_fail(Parser *p, Span span, const char *hint, const char *format, ...)
{
    if (p->failed) return;
    va_list arguments;
    va_start(arguments, format);
    record(p, span, hint, format, arguments);
    va_end(arguments);
    p->failed = true;
}

void parse_note(Parser *p, Span span, const char *hint, const char *format, ...)
{
    if (p->failed) return;
    va_list arguments;
    va_start(arguments, format);
    record(p, span, hint, format, arguments);
    va_end(arguments);
}

static void describe(const Parser *p, const Token *token, char *text, size_t size)
{
    int length = (int)(token->span.end - token->span.start);
    if (token->kind == TOKEN_NAME || token_info[token->kind].keyword || token_info[token->kind].symbol)
        snprintf(text, size, "'%.*s'", length < 60 ? length : 60, p->parse->source->text + token->span.start);
    else snprintf(text, size, "%s", token_info[token->kind].text);
}

/* Whether // stands between the start of the line and [token]: somebody's comment. */
static bool behind_slashes(const Parser *p, const Token *token)
{
    while (token > p->tokens && !token->first)
        if ((--token)->kind == TOKEN_FLOORDIV) return true;
    return false;
}

static const char *habit_of(const Token *token)
{
    return token->kind == TOKEN_NAME && token->name ? suggest_word(token->name, strlen(token->name)) : NULL;
}

static const char *hint_for(const Parser *p, const Token *token)
{
    const Token *before = token > p->tokens && !token->first ? token - 1 : NULL;
    const char *habit = habit_of(token);
    if (habit) return habit;
    bool star_next = token->kind == TOKEN_SLASH && token[1].kind == TOKEN_STAR
                     && token[1].span.start == token->span.end;
    if (token->kind == TOKEN_FLOORDIV || star_next) return "comments begin with #";
    if (behind_slashes(p, token)) return "// divides and rounds down; comments begin with #";
    switch ((TokenKind)token->kind) {
    case TOKEN_IF: case TOKEN_QUESTION: return "a choice is a value too: if c { a } else { b }";
    case TOKEN_FN: return "a function without a name is x -> e or (x, y) -> { … }";
    case TOKEN_STRING: return before && before->kind == TOKEN_STRING ? "strings are joined by ++" : NULL;
    case TOKEN_LBRACE:
        return before && before->kind == TOKEN_RPAREN ? "a function without a name is x -> e or (x, y) -> { … }" : NULL;
    case TOKEN_BAR: return "write or; of sets, a ++ b is the union";
    case TOKEN_AT: return token->first ? "there are no decorators: write f = decorate(f)" : NULL;
    case TOKEN_ELSE: return "else follows the } of an if";
    case TOKEN_CATCH: case TOKEN_FINALLY: return "it follows the } of a try";
    case TOKEN_PLUS: case TOKEN_STAR: case TOKEN_SLASH:
        return token->first ? "a line goes on when the operator stands at the end of the line before" : NULL;
    default: return NULL;
    }
}

/* At the end of the text: what was open could still be closed. Said once, for the innermost. */
static void fail_at_end(Parser *p, Span span, const char *message)
{
    if (!p->parse->errors) p->parse->incomplete = true;
    if (!p->reached_end) parse_fail(p, span, NULL, "%s", message);
    p->reached_end = p->failed = true;
}

void parse_unexpected(Parser *p, const char *expected)
{
    if (p->failed) return;
    const Token *token = parse_token(p);
    char found[80], message[200];
    describe(p, token, found, sizeof found);
    if (token->kind == TOKEN_END) {
        snprintf(message, sizeof message, "expected %s, but the text ends here", expected);
        fail_at_end(p, token->span, message);
    } else if (token->kind == TOKEN_BAD) {
        p->failed = true;                                /* the lexer has said it */
    } else if (token->kind == TOKEN_ASSIGN && p->at > 0 && token_info[token[-1].kind].keyword) {
        parse_fail(p, token[-1].span, "choose another name", "'%s' is a word of the language",
                   token_info[token[-1].kind].text);
    } else if (token->kind == TOKEN_ASSIGN) {
        parse_fail(p, token->span, "compare with ==; assigning is a statement of its own",
                   "an assignment has no value");
    } else if (p->at > 0 && !token->first && habit_of(token - 1)) {
        parse_fail(p, token[-1].span, habit_of(token - 1), "there is no %s", token[-1].name);
    } else {
        parse_fail(p, token->span, hint_for(p, token), "expected %s, found %s", expected, found);
    }
}

bool parse_expect(Parser *p, TokenKind kind, const char *where)
{
    if (parse_accept(p, kind)) return true;
    char expected[120];
    const TokenInfo *info = &token_info[kind];
    snprintf(expected, sizeof expected, info->symbol || info->keyword ? "'%s' %s" : "%s %s", info->text, where);
    parse_unexpected(p, expected);
    return false;
}

bool parse_close(Parser *p, TokenKind closer, int opener)
{
    if (p->failed || parse_accept(p, closer)) return !p->failed;
    const Token *bracket = &p->tokens[opener];
    char expected[64];
    if (parse_peek(p) == TOKEN_END) {
        snprintf(expected, sizeof expected, "this %s is not closed", token_info[bracket->kind].text);
        fail_at_end(p, bracket->span, expected);
    } else if (parse_token(p)->first && bracket->span.start < parse_token(p)->span.start
               && parse_peek(p) != TOKEN_RPAREN && parse_peek(p) != TOKEN_RBRACKET && parse_peek(p) != TOKEN_RBRACE) {
        snprintf(expected, sizeof expected, "this %s is not closed", token_info[bracket->kind].text);
        parse_fail(p, bracket->span, "members are separated by commas, over several lines too", "%s", expected);
    } else {
        snprintf(expected, sizeof expected, "',' or '%s'", token_info[closer].text);
        parse_unexpected(p, expected);
    }
    return false;
}

/* ---- nodes ---- */

Node *parse_node(Parser *p, NodeKind kind, uint32_t start)
{
    Node *node = arena_alloc(p->arena, sizeof *node);
    if (!node) {
        out_of_memory(p);
        node = &p->spare;
        *node = (Node){0};
    }
    node->kind = kind;
    node->span = (Span){start, start};
    node->height = 1;
    return node;
}

Node *parse_done(Parser *p, Node *node)
{
    uint32_t end = parse_last_end(p);
    node->span.end = end > node->span.start ? end : node->span.start;
    return node;
}

void parse_adopt(Parser *p, Node *parent, const Node *child)
{
    if (!child || child->height < parent->height) return;
    parent->height = child->height + 1;
    if (parent->height > HEIGHT_MAX && !p->failed)
        parse_fail(p, p->tokens[p->at].span, "split it into several statements", "this expression has too many parts");
}

bool parse_enter(Parser *p)
{
    if (p->depth >= NESTING_MAX)
        parse_fail(p, parse_token(p)->span, "name the inner parts", "nested too deeply (more than %d levels)",
                   NESTING_MAX);
    if (p->failed) return false;
    p->depth++;
    return true;
}

void parse_leave(Parser *p)
{
    p->depth--;
}

void parse_push(Parser *p, Node *node)
{
    if (p->n_stack == p->stack_room) {
        int room = p->stack_room ? p->stack_room * 2 : 64;
        Node **wider = p->stack_room < 1 << 28 ? realloc(p->stack, (size_t)room * sizeof *wider) : NULL;
        if (!wider) {
            out_of_memory(p);
            return;
        }
        p->stack = wider;
        p->stack_room = room;
    }
    p->stack[p->n_stack++] = node;
}

NodeList parse_pop(Parser *p, Node *parent, int mark)
{
    int count = p->n_stack - mark;
    NodeList list = {0};
    p->n_stack = mark;
    if (count <= 0 || p->no_memory) return list;
    list.at = arena_alloc(p->arena, (size_t)count * sizeof *list.at);
    if (!list.at) {
        out_of_memory(p);
        return list;
    }
    memcpy(list.at, p->stack + mark, (size_t)count * sizeof *list.at);
    list.count = count;
    for (int i = 0; i < count && parent; i++) parse_adopt(p, parent, list.at[i]);
    return list;
}

void *parse_grow(Parser *p, void *array, int count, int *room, size_t size)
{
    if (count < *room) return array;
    int more = *room ? *room * 2 : 4;
    void *wider = *room < 1 << 28 ? arena_alloc(p->arena, (size_t)more * size) : NULL;
    if (!wider) {
        out_of_memory(p);
        return NULL;
    }
    if (count) memcpy(wider, array, (size_t)count * size);
    *room = more;
    return wider;
}

static const char *string_of(const Token *token)
{
    return token->kind == TOKEN_STRING ? token->string.text : NULL;
}

/* ---- recovery ---- */

/* Spaces before the first token of the line of [token]. */
static uint32_t indent_of(const Parser *p, const Token *token)
{
    while (token > p->tokens && !token->first) token--;
    uint32_t line, column;
    source_locate(p->parse->source, token->span.start, &line, &column);
    return column;
}

/* After a hard error: goes to the next statement of the same block, which began at token [start]. */
static void recover(Parser *p, int start, int block)
{
    int at = p->at;
    int last = p->count - 1, end = block >= 0 && p->tokens[block].partner > 0 ? p->tokens[block].partner : last;
    p->failed = p->stopped;
    if (p->stopped) {
        p->at = last;
        return;
    }
    while (p->tokens[at].opener >= start && p->tokens[p->tokens[at].opener].partner > at)
        at = p->tokens[p->tokens[at].opener].partner + 1;
    uint32_t indent = indent_of(p, &p->tokens[start]);
    for (bool moved = at > start; at < end; moved = true) {
        const Token *token = &p->tokens[at];
        if (moved && token->first && (!p->skip_indented || indent_of(p, token) <= indent)) break;
        if (token->kind == TOKEN_SEMICOLON && !p->skip_indented) break;
        if (token->kind == TOKEN_RBRACE && block >= 0 && token->partner < start) break;
        at = token->partner > at ? token->partner + 1 : at + 1;
    }
    p->skip_indented = false;
    p->at = at < end ? at : end;
}

/* Notes that the tokens from [start] on gave no statement. */
static void lose(Parser *p, int start)
{
    Parse *parse = p->parse;
    Span *wider = parse_grow(p, parse->lost, parse->n_lost, &parse->lost_room, sizeof *wider);
    if (!wider) return;
    parse->lost = wider;
    uint32_t first = p->tokens[start].span.start, end = parse_last_end(p);
    parse->lost[parse->n_lost++] = (Span){first, end > first ? end : first};
}

/* ---- blocks ---- */

static Node *parse_statement(Parser *p);

static void end_statement(Parser *p, Node *node)
{
    if (p->failed) return;
    if (parse_accept(p, TOKEN_SEMICOLON)) {
        if (node->kind == NODE_EXPR) node->unary.muted = true;
        if (node->kind == NODE_ASSIGN) node->assign.muted = true;
        return;
    }
    if (parse_ended(p)) return;
    const Token *token = parse_token(p);
    if (node->kind == NODE_EXPR && node->unary.child->kind == NODE_NAME && token->kind == TOKEN_STRING
        && !habit_of(token - 1))
        parse_fail(p, token->span, "a call has parentheses: print(x)", "expected a new line or ';', found a string");
    else if (token->kind == TOKEN_RPAREN || token->kind == TOKEN_RBRACKET)
        parse_fail(p, token->span, NULL, "this %s closes nothing", token_info[token->kind].text);
    else if (token->kind == TOKEN_LBRACE)
        parse_fail(p, token->span, "functions are declared by fn name(x) { … } and passed as f(() -> { … })",
                   "no block can stand here");
    else parse_unexpected(p, "a new line or ';'");
}

/* Statements up to the } of [block], a token's index, or up to the end for -1. */
static NodeList parse_statements(Parser *p, Node *parent, int block)
{
    int mark = p->n_stack;
    while (!p->stopped && parse_peek(p) != TOKEN_END && (block < 0 || parse_peek(p) != TOKEN_RBRACE)) {
        if (parse_accept(p, TOKEN_SEMICOLON)) continue;
        int start = p->at, depth = p->depth, stack = p->n_stack;
        if (parse_peek(p) == TOKEN_RBRACE) {
            parse_note(p, parse_token(p)->span, NULL, "this } closes nothing");
            p->at++;
            continue;
        }
        Node *node = parse_statement(p);
        end_statement(p, node);
        if (p->failed) {
            p->depth = depth;
            p->n_stack = stack;
            p->lines = true;
            recover(p, start, block);
            if (p->at == start && !p->stopped) p->at++;
            lose(p, start);
        } else {
            parse_push(p, node);
        }
    }
    return parse_pop(p, parent, mark);
}

/* Behind a header stands what opens a block elsewhere: say what does here. */
static void expect_block(Parser *p, const char *after)
{
    const Token *token = parse_token(p);
    if (token->kind == TOKEN_COLON && token[-1].kind == TOKEN_INT && !token[1].first) {
        parse_fail(p, token->span, "write a..b; b itself is not in it", "a range has .. between its ends");
    } else if (token->kind == TOKEN_COLON || parse_is_word(p, "then") || parse_is_word(p, "do")) {
        parse_note(p, token->span, "a block stands in braces: { … }", "expected '{' after %s", after);
        p->at += !p->failed;
        if (parse_peek(p) == TOKEN_LBRACE) return;
        p->skip_indented = p->failed = true;
    } else if (token->kind != TOKEN_LBRACE) {
        char expected[120];
        snprintf(expected, sizeof expected, "'{' after %s", after);
        parse_unexpected(p, expected);
    }
}

Node *parse_block(Parser *p, const char *after)
{
    expect_block(p, after);
    if (p->failed || !parse_enter(p)) return &p->spare;
    Node *node = parse_node(p, NODE_BLOCK, parse_token(p)->span.start);
    bool lines = p->lines;
    int opener = p->at++;
    p->lines = true;
    p->blocks++;
    node->list = parse_statements(p, node, opener);
    p->blocks--;
    p->lines = lines;
    if (!p->failed && !parse_accept(p, TOKEN_RBRACE)) fail_at_end(p, p->tokens[opener].span, "this { is not closed");
    parse_leave(p);
    return parse_done(p, node);
}

Node *parse_condition(Parser *p, const char *after)
{
    Node *condition = parse_expression(p);
    if (parse_peek(p) == TOKEN_ASSIGN) {
        parse_note(p, parse_token(p)->span, "compare with ==", "an assignment has no value");
        p->at += !p->failed;
        parse_expression(p);
    }
    if (!p->failed && habit_of(&p->tokens[p->at]) && parse_peek_next(p) != TOKEN_LBRACE)
        expect_block(p, after);
    return condition;
}

/* ---- control ---- */

Node *parse_if(Parser *p)
{
    if (!parse_enter(p)) return &p->spare;
    Node *node = parse_node(p, NODE_IF, parse_token(p)->span.start);
    p->at++;
    node->branch.condition = parse_condition(p, "the condition");
    node->branch.then = parse_block(p, "the condition");
    bool elif = parse_is_word(p, "elif") || parse_is_word(p, "elseif");
    if (elif) {
        parse_note(p, parse_token(p)->span, "write else if", "there is no %s", parse_token(p)->name);
        node->branch.otherwise = parse_if(p);
    } else if (parse_accept(p, TOKEN_ELSE)) {
        node->branch.otherwise = parse_peek(p) == TOKEN_IF ? parse_if(p) : parse_block(p, "else");
    }
    parse_adopt(p, node, node->branch.condition);
    parse_adopt(p, node, node->branch.then);
    parse_adopt(p, node, node->branch.otherwise);
    parse_leave(p);
    return parse_done(p, node);
}

Node *parse_try(Parser *p)
{
    Node *node = parse_node(p, NODE_TRY, parse_token(p)->span.start);
    p->at++;
    node->attempt.body = parse_block(p, "try");
    if (parse_is_word(p, "except"))
        parse_fail(p, parse_token(p)->span, "errors are caught by: try { … } catch e { … }", "there is no except");
    if (parse_accept(p, TOKEN_CATCH)) {
        bool parenthesis = parse_peek(p) == TOKEN_LPAREN;
        if (parenthesis)
            parse_fail(p, parse_token(p)->span, "write catch e { … }",
                       "the name after catch stands without parentheses");
        if (parse_peek(p) == TOKEN_NAME) {
            node->attempt.name = parse_token(p)->name;
            p->at++;
        }
        node->attempt.handler = parse_block(p, "catch");
    }
    if (parse_accept(p, TOKEN_FINALLY)) node->attempt.finally = parse_block(p, "finally");
    if (!node->attempt.handler && !node->attempt.finally)
        parse_unexpected(p, "catch or finally after the block of try");
    parse_adopt(p, node, node->attempt.body);
    parse_adopt(p, node, node->attempt.handler);
    parse_adopt(p, node, node->attempt.finally);
    return parse_done(p, node);
}

static Node *parse_while(Parser *p)
{
    Node *node = parse_node(p, NODE_WHILE, parse_token(p)->span.start);
    p->at++;
    node->loop.clause.condition = parse_condition(p, "the condition");
    node->loop.body = parse_block(p, "the condition");
    parse_adopt(p, node, node->loop.clause.condition);
    parse_adopt(p, node, node->loop.body);
    return parse_done(p, node);
}

static Node *one_target(Parser *p)
{
    const Token *token = parse_token(p);
    Node *node;
    if (token->kind == TOKEN_NAME) {
        node = parse_node(p, NODE_NAME, token->span.start);
        node->name = token->name;
        p->at++;
        return parse_done(p, node);
    }
    bool list = token->kind == TOKEN_LBRACKET;
    if (!list && token->kind != TOKEN_LPAREN) {
        parse_unexpected(p, "a variable's name after 'for'");
        return &p->spare;
    }
    if (!parse_enter(p)) return &p->spare;
    int opener = p->at++, mark = p->n_stack;
    TokenKind closer = list ? TOKEN_RBRACKET : TOKEN_RPAREN;
    node = parse_node(p, list ? NODE_LIST : NODE_TUPLE, token->span.start);
    while (!p->failed && parse_peek(p) != closer) {
        parse_push(p, one_target(p));
        if (!parse_accept(p, TOKEN_COMMA)) break;
    }
    node->list = parse_pop(p, node, mark);
    parse_close(p, closer, opener);
    parse_leave(p);
    return parse_done(p, node);
}

Node *parse_target(Parser *p)
{
    Node *first = one_target(p);
    if (parse_peek(p) != TOKEN_COMMA) return first;
    int mark = p->n_stack;
    Node *node = parse_node(p, NODE_TUPLE, first->span.start);
    parse_push(p, first);
    while (parse_accept(p, TOKEN_COMMA)) parse_push(p, one_target(p));
    node->list = parse_pop(p, node, mark);
    return parse_done(p, node);
}

static Node *parse_for(Parser *p)
{
    Node *node = parse_node(p, NODE_FOR, parse_token(p)->span.start);
    p->at++;
    const Token *token = parse_token(p);
    if (token->kind == TOKEN_LPAREN && (token->partner < 0 || p->tokens[token->partner + 1].kind != TOKEN_IN))
        parse_fail(p, token->span, "a loop is: for i in 0..n { … }", "the head of 'for' stands without parentheses");
    node->loop.clause.target = parse_target(p);
    parse_expect(p, TOKEN_IN, "after the variable of 'for'");
    node->loop.clause.iterable = parse_expression(p);
    node->loop.body = parse_block(p, "the head of 'for'");
    parse_adopt(p, node, node->loop.clause.target);
    parse_adopt(p, node, node->loop.clause.iterable);
    parse_adopt(p, node, node->loop.body);
    return parse_done(p, node);
}

static Node *parse_jump(Parser *p)
{
    TokenKind kind = parse_peek(p);
    NodeKind made = kind == TOKEN_BREAK ? NODE_BREAK : kind == TOKEN_CONTINUE ? NODE_CONTINUE
                    : kind == TOKEN_RETURN ? NODE_RETURN : NODE_THROW;
    Node *node = parse_node(p, made, parse_token(p)->span.start);
    p->at++;
    if (made == NODE_THROW || (made == NODE_RETURN && !parse_ended(p))) {
        node->unary.child = parse_list_or_expression(p);
        parse_adopt(p, node, node->unary.child);
    }
    return parse_done(p, node);
}

static Node *parse_assert(Parser *p)
{
    Node *node = parse_node(p, NODE_ASSERT, parse_token(p)->span.start);
    p->at++;
    node->binary.left = parse_condition(p, "the condition");
    if (parse_accept(p, TOKEN_COMMA)) node->binary.right = parse_expression(p);
    if (!p->failed && node->binary.left->kind == NODE_TUPLE)
        parse_note(p, node->binary.left->span, "write: assert x > 0, \"message\"", "assert stands without parentheses");
    parse_adopt(p, node, node->binary.left);
    parse_adopt(p, node, node->binary.right);
    return parse_done(p, node);
}

/* ---- declarations ---- */

/* The ## lines right above the line of [token], joined; NULL when there are none. */
static const char *doc_above(Parser *p, const Token *token)
{
    const Source *source = p->parse->source;
    uint32_t line, column, length, first;
    if (!token->first) return NULL;
    source_locate(source, token->span.start, &line, &column);
    size_t total = 0;
    for (first = line; first > 1; first--) {
        const char *text = source_line(source, first - 1, &length);
        uint32_t skip = 0;
        while (skip < length && (text[skip] == ' ' || text[skip] == '\t')) skip++;
        if (length < skip + 2 || text[skip] != '#' || text[skip + 1] != '#') break;
        total += length + 1;
    }
    char *doc = total ? arena_alloc(p->arena, total) : NULL, *end = doc;
    if (total && !doc) out_of_memory(p);
    for (; doc && first < line; first++) {
        const char *text = source_line(source, first, &length), *stop = text + length;
        text = (const char *)memchr(text, '#', length) + 2;
        if (text < stop && *text == ' ') text++;
        if (end > doc) *end++ = '\n';
        while (stop > text && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        memcpy(end, text, (size_t)(stop - text));
        end += stop - text;
    }
    return doc;
}

static const char *expect_name(Parser *p, const char *where)
{
    const char *name = parse_token(p)->name;
    if (token_info[parse_peek(p)].keyword)
        parse_fail(p, parse_token(p)->span, NULL, "'%s' is a word of the language; choose another name", name);
    return parse_expect(p, TOKEN_NAME, where) ? name : NULL;
}

static void parse_body(Parser *p, Node *node, Function *function)
{
    bool model = p->in_model;
    p->in_model = false;
    if (parse_accept(p, TOKEN_ASSIGN)) {
        function->body = parse_list_or_expression(p);
    } else if (parse_peek(p) == TOKEN_LBRACE || parse_peek(p) == TOKEN_COLON) {
        function->body = parse_block(p, "the head of the function");
    } else {
        bool arrow = function->result != NULL;
        if (arrow && !p->failed && parse_peek(p) != TOKEN_END)
            parse_fail(p, parse_token(p)->span, "a shape follows ->, the value follows =: fn f(x) -> [n] = x + 1",
                       "expected '=' or '{' after the contract of the result");
        parse_unexpected(p, "'=' or '{' after the head of the function");
    }
    p->in_model = model;
    parse_adopt(p, node, function->body);
}

static Node *parse_fn(Parser *p)
{
    const Token *token = parse_token(p);
    Node *node = parse_node(p, NODE_FN, token->span.start);
    Function *function = arena_alloc(p->arena, sizeof *function);
    if (!function) {
        out_of_memory(p);
        return &p->spare;
    }
    node->function = function;
    function->doc = doc_above(p, token);
    p->at += !p->failed;
    if (parse_peek(p) == TOKEN_LPAREN)
        parse_fail(p, token->span, "a function without a name is x -> e or (x, y) -> { … }", "fn needs a name");
    function->name = expect_name(p, "after fn");
    if (parse_peek(p) == TOKEN_DOT)
        parse_fail(p, parse_token(p)->span, "declare fn f(x): then x.f() calls it", "a function's name has no .");
    function->parameters = parse_parameters(p, node, &function->n_parameters);
    if (!p->failed && p->in_model && function->n_parameters && strcmp(function->parameters[0].name, "self") == 0)
        parse_note(p, function->parameters[0].span, "leave self out: methods see it", "self is no parameter");
    if (parse_accept(p, TOKEN_ARROW)) {
        function->result = parse_contract(p);
        parse_adopt(p, node, function->result);
    }
    function->header = (Span){node->span.start, parse_last_end(p)};
    parse_body(p, node, function);
    return parse_done(p, node);
}

static Node *parse_model(Parser *p)
{
    const Token *token = parse_token(p);
    Node *node = parse_node(p, NODE_MODEL, token->span.start);
    node->model.doc = doc_above(p, token);
    p->at += !p->failed;
    node->model.name = expect_name(p, "after model");
    if (parse_peek(p) == TOKEN_LPAREN) node->model.parameters = parse_parameters(p, node, &node->model.n_parameters);
    node->model.header = (Span){node->span.start, parse_last_end(p)};
    bool model = p->in_model;
    p->in_model = true;
    Node *body = parse_block(p, "the head of the model");
    p->in_model = model;
    if (!p->failed) node->model.body = body->list;
    parse_adopt(p, node, body);
    return parse_done(p, node);
}

static Node *parse_cell(Parser *p)
{
    const Token *token = parse_token(p);
    Node *node = parse_node(p, NODE_CELL, token->span.start);
    node->cell.is_param = parse_is_word(p, "param");
    if (!p->in_model)
        parse_note(p, token->span, "declare it in the body of a model", "%s stands only in a model's body",
                   token->name);
    p->at += !p->failed;
    node->cell.name = expect_name(p, "after param or buffer");
    parse_expect(p, TOKEN_ASSIGN, "after the name");
    node->cell.value = parse_expression(p);
    parse_adopt(p, node, node->cell.value);
    return parse_done(p, node);
}

/* "./my_model.tsr" is m = my_model without `as`. */
static const char *name_of_path(Parser *p, const Token *token)
{
    const char *path = string_of(token), *base = path ? strrchr(path, '/') : NULL;
    if (!path) return NULL;
    base = base ? base + 1 : path;
    size_t length = strcspn(base, ".");
    for (size_t i = 0; i < length; i++) {
        bool letter = (base[i] | 32) >= 'a' && (base[i] | 32) <= 'z';
        if (!letter && base[i] != '_' && (i == 0 || base[i] < '0' || base[i] > '9')) length = 0;
    }
    if (length) return arena_name(p->arena, base, length);
    parse_fail(p, token->span, "write: use \"./file.tsr\" as name", "this file's name is no name of the language");
    return NULL;
}

static Node *parse_use(Parser *p)
{
    Node *node = parse_node(p, NODE_USE, parse_token(p)->span.start);
    p->at++;
    const Token *token = parse_token(p);
    node->use.file = token->kind == TOKEN_STRING;
    node->use.path = node->use.file ? string_of(token) : token->name;
    p->at++;
    if (parse_is_word(p, "as")) {
        p->at++;
        node->use.name = expect_name(p, "after as");
    } else {
        node->use.name = node->use.file ? name_of_path(p, token) : token->name;
    }
    return parse_done(p, node);
}

static Node *parse_option(Parser *p)
{
    Node *node = parse_node(p, NODE_OPTION, parse_token(p)->span.start);
    p->at++;
    node->option.name = expect_name(p, "after option");
    parse_expect(p, TOKEN_ASSIGN, "after the option's name");
    node->option.value = parse_expression(p);
    if (parse_peek(p) == TOKEN_STRING && !parse_token(p)->first) {
        node->option.help = string_of(parse_token(p));
        p->at++;
    }
    parse_adopt(p, node, node->option.value);
    return parse_done(p, node);
}

static Node *parse_test(Parser *p)
{
    Node *node = parse_node(p, NODE_TEST, parse_token(p)->span.start);
    p->at++;
    node->test.title = string_of(parse_token(p));
    p->at++;
    node->test.body = parse_block(p, "the test's title");
    parse_adopt(p, node, node->test.body);
    return parse_done(p, node);
}

/* ---- assignments and expressions ---- */

static const char *target_name(const Node *node)
{
    switch (node->kind) {
    case NODE_INT: case NODE_FLOAT: return "a number";
    case NODE_STRING: case NODE_FORMAT: return "a string";
    case NODE_BOOL: return node->boolean ? "true" : "false";
    case NODE_NONE: return "none";
    case NODE_CALL: return "a call";
    case NODE_MAP: return "a map";
    case NODE_COMPARE: return "a comparison";
    default: return "an expression";
    }
}

static void check_target(Parser *p, const Node *node, bool nested)
{
    if (p->failed) return;
    const Node *root = node;
    while (root->kind == NODE_MEMBER || root->kind == NODE_INDEX)
        root = root->kind == NODE_MEMBER ? root->member.value : root->index.value;
    if (root->kind == NODE_NAME) return;
    if (node->kind == NODE_TUPLE || node->kind == NODE_LIST) {
        int spreads = 0;
        if (node->list.count == 0) parse_fail(p, node->span, NULL, "nothing to assign to");
        for (int i = 0; i < node->list.count && !p->failed; i++) {
            const Node *member = node->list.at[i];
            bool spread = member->kind == NODE_SPREAD;
            spreads += spread;
            if (spreads > 1) parse_fail(p, member->span, NULL, "only one name can take the rest");
            check_target(p, spread ? member->unary.child : member, true);
        }
        return;
    }
    parse_fail(p, node->span, node->kind == NODE_CALL && !nested ? "a function is declared by: fn f(x) = …" : NULL,
               root == node ? "%s cannot be assigned to"
                            : "the result of %s cannot be changed in place: give it a name",
               target_name(root));
}

static Node *parse_assign(Parser *p, Node *target, Node *contract)
{
    Node *node = parse_node(p, NODE_ASSIGN, target->span.start);
    const Token *token = parse_token(p);
    node->assign.op = token_info[token->kind].op;
    node->assign.target = target;
    node->assign.contract = contract;
    if (token->kind != TOKEN_ASSIGN && (target->kind == NODE_TUPLE || target->kind == NODE_LIST))
        parse_fail(p, token->span, NULL, "%s changes one variable, not several", token_info[token->kind].text);
    check_target(p, target, false);
    p->at += !p->failed;
    node->assign.value = parse_list_or_expression(p);
    if (token_info[parse_peek(p)].assignment)
        parse_fail(p, parse_token(p)->span, "write two statements", "an assignment has no value");
    parse_adopt(p, node, target);
    parse_adopt(p, node, contract);
    parse_adopt(p, node, node->assign.value);
    return parse_done(p, node);
}

static Node *parse_annotated(Parser *p, Node *target)
{
    Span colon = parse_token(p)->span;
    p->at++;
    bool shape = parse_peek(p) == TOKEN_LBRACKET || parse_peek(p) == TOKEN_LPAREN || parse_peek(p) == TOKEN_NAME
                 || parse_peek(p) == TOKEN_FN;
    if (!shape && parse_peek(p) != TOKEN_END)
        parse_fail(p, colon, "a map after -> needs parentheses: x -> ({a: 1})",
                   "a contract follows ':', such as x: [b, d] = …");
    Node *contract = parse_contract(p);
    if (parse_peek(p) != TOKEN_ASSIGN) {
        if (!p->failed && parse_peek(p) != TOKEN_END)
            parse_fail(p, colon, "a map after -> needs parentheses: x -> ({a: 1})",
                       "a name with a contract needs a value: x: [b, d] = …");
        parse_unexpected(p, "'=' after the contract");
        return target;
    }
    return parse_assign(p, target, contract);
}

static Node *parse_simple(Parser *p)
{
    Node *expression = parse_list_or_expression(p);
    if (!parse_token(p)->first && token_info[parse_peek(p)].assignment) return parse_assign(p, expression, NULL);
    if (!parse_token(p)->first && parse_peek(p) == TOKEN_COLON && expression->kind == NODE_NAME)
        return parse_annotated(p, expression);
    Node *node = parse_node(p, NODE_EXPR, expression->span.start);
    node->unary.child = expression;
    parse_adopt(p, node, expression);
    return parse_done(p, node);
}

/* A control structure as a statement: its value is the statement's. */
static Node *expression_statement(Parser *p, Node *expression)
{
    Node *node = parse_node(p, NODE_EXPR, expression->span.start);
    node->unary.child = expression;
    parse_adopt(p, node, expression);
    return parse_done(p, node);
}

/* Words that declare only where a name or string follows; elsewhere they are ordinary names. NULL: not so here. */
static Node *parse_worded(Parser *p)
{
    const Token *token = parse_token(p), *next = token + 1;
    if (next->first || (next->kind != TOKEN_NAME && next->kind != TOKEN_STRING)) return NULL;
    bool named = next->kind == TOKEN_NAME;
    if (named && parse_is_word(p, "model")) return parse_model(p);
    if (named && (parse_is_word(p, "param") || parse_is_word(p, "buffer"))) return parse_cell(p);
    if (named && parse_is_word(p, "option")) return parse_option(p);
    if (parse_is_word(p, "use")) return parse_use(p);
    if (!named && parse_is_word(p, "test")) return parse_test(p);
    if (named && next[1].kind == TOKEN_LPAREN
        && (parse_is_word(p, "def") || parse_is_word(p, "function") || parse_is_word(p, "func"))) {
        parse_note(p, token->span, habit_of(token), "there is no %s", token->name);
        return parse_fn(p);
    }
    return NULL;
}

/* A line that begins with |> or .name goes on from the last value, at the prompt only. */
static Node *parse_continued(Parser *p)
{
    const Token *token = parse_token(p);
    parse_fail(p, token->span, "it continues a value: put it behind one", "nothing stands before this %s",
               token_info[token->kind].text);
    return &p->spare;
}

static Node *parse_statement(Parser *p)
{
    switch (parse_peek(p)) {
    case TOKEN_FN: return parse_fn(p);
    case TOKEN_IF: return expression_statement(p, parse_if(p));
    case TOKEN_TRY: return expression_statement(p, parse_try(p));
    case TOKEN_WHILE: return parse_while(p);
    case TOKEN_FOR: return parse_for(p);
    case TOKEN_BREAK: case TOKEN_CONTINUE: case TOKEN_RETURN: case TOKEN_THROW: return parse_jump(p);
    case TOKEN_ASSERT: return parse_assert(p);
    case TOKEN_PIPE: case TOKEN_DOT: return parse_continued(p);
    case TOKEN_NAME: {
        Node *node = parse_worded(p);
        return node ? node : parse_simple(p);
    }
    default: return parse_simple(p);
    }
}

/* ---- the whole text ---- */

/* At the prompt a first |> or . is given the name _ to stand on. */
static bool prepend_last_value(Parse *parse, Tokens *tokens)
{
    Token *token = tokens->at;
    if (token->kind != TOKEN_PIPE && token->kind != TOKEN_DOT) return true;
    Token *wider = malloc((size_t)(tokens->count + 1) * sizeof *wider);
    if (!wider) return false;
    memcpy(wider + 1, token, (size_t)tokens->count * sizeof *wider);
    wider[0] = (Token){.kind = TOKEN_NAME, .first = true, .span = {token->span.start, token->span.start}, .opener = -1,
                       .partner = -1, .name = arena_name(parse->arena, "_", 1)};
    tokens->count++;
    tokens->room = tokens->count;
    for (int i = 1; i < tokens->count; i++) {
        if (wider[i].opener >= 0) wider[i].opener++;
        if (wider[i].partner >= 0) wider[i].partner++;
    }
    free(tokens->at);
    tokens->at = wider;
    return wider[0].name != NULL;
}

static bool parse_tokens(Parse *parse, const Tokens *tokens, int open_lines)
{
    Parser p = {.parse = parse, .arena = parse->arena, .tokens = tokens->at, .count = tokens->count, .lines = true};
    parse->statements = parse_statements(&p, NULL, -1);
    free(p.stack);
    if (!parse->errors) parse->incomplete = false;
    if (parse->incomplete) parse->indent = 4 * (open_lines > 0 ? open_lines : 1);
    return !p.no_memory;
}

Parse *parse_source(Source *source, bool at_prompt)
{
    Parse *parse = calloc(1, sizeof *parse);
    if (!parse) return NULL;
    Tokens tokens = {0};
    int open_lines = 0;
    parse->source = source_retain(source);
    parse->arena = arena_new();
    bool fine = parse->arena && lex_source(parse, &tokens, &open_lines)
                && (!at_prompt || prepend_last_value(parse, &tokens)) && parse_tokens(parse, &tokens, open_lines);
    free(tokens.at);
    if (fine) return parse;
    parse_free(parse);
    return NULL;
}

void parse_free(Parse *parse)
{
    if (!parse) return;
    arena_free(parse->arena);
    source_release(parse->source);
    free(parse);
}
