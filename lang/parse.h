/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parser's three files share: parse.c (statements and recovery), parse_expr.c, parse_contract.c.

   One hard error at a time: parse_fail records it and from then on every token reads as END, so that all loops unwind
   without a word; the statement loop then finds the next statement and goes on. Errors whose meaning is clear are only
   recorded (parse_note), and parsing continues as if the right thing stood there. A node is never NULL. */
#ifndef TESSERA_PARSE_H
#define TESSERA_PARSE_H

#include "lex.h"

enum { NESTING_MAX = 200, HEIGHT_MAX = 1000 };

typedef struct Parser {
    Parse *parse;
    Arena *arena;
    const Token *tokens;
    int count, at;
    bool failed;              /* unwinding to the next statement */
    bool stopped;             /* for good: too many errors or no memory */
    bool lines;               /* newlines end statements here */
    bool skip_indented;       /* recovery drops the more indented lines below: a block of another language */
    bool no_memory;
    bool reached_end;         /* an error at the end of the text was recorded */
    bool in_model;            /* directly in a model's body: param and buffer may stand */
    int blocks;               /* how many { blocks } are open */
    int depth;
    int n_errors;
    Node **stack;             /* nodes of the lists being read */
    int n_stack, stack_room;
    Node spare;               /* stands for nodes that memory lacks */
} Parser;

/* ---- tokens ---- */
const Token *parse_token(const Parser *p);                 /* END while unwinding */
TokenKind parse_peek(const Parser *p);
TokenKind parse_peek_next(const Parser *p);
bool parse_accept(Parser *p, TokenKind kind);
bool parse_ended(const Parser *p);                         /* a statement can end before the current token */
uint32_t parse_last_end(const Parser *p);                  /* where the token before the current one ends */
bool parse_is_word(const Parser *p, const char *word);     /* the current token is the name [word] */

/* ---- errors ---- */
void parse_fail(Parser *p, Span span, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));
void parse_note(Parser *p, Span span, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));
void parse_unexpected(Parser *p, const char *expected);    /* "expected a value, found ')'", with what hint is known */
bool parse_expect(Parser *p, TokenKind kind, const char *where);
bool parse_close(Parser *p, TokenKind closer, int opener); /* [opener]: index of the token of the open bracket */

/* ---- nodes ---- */
Node *parse_node(Parser *p, NodeKind kind, uint32_t start);
Node *parse_done(Parser *p, Node *node);                   /* sets the end of its span */
void parse_adopt(Parser *p, Node *parent, const Node *child);      /* keeps heights */
bool parse_enter(Parser *p);                               /* false: nested too deeply; pair it with parse_leave */
void parse_leave(Parser *p);
void parse_push(Parser *p, Node *node);
NodeList parse_pop(Parser *p, Node *parent, int mark);     /* the nodes pushed since [mark] = p->n_stack */
/* Room for one more in an array of the arena with [count] members; NULL when memory is out. */
void *parse_grow(Parser *p, void *array, int count, int *room, size_t size);

/* ---- parts ---- */
Node *parse_expression(Parser *p);
Node *parse_binary(Parser *p, int binding);                /* operators that bind at least so tightly; 80: sums */
Node *parse_list_or_expression(Parser *p);                 /* a, b without parentheses is a tuple */
Node *parse_condition(Parser *p, const char *after);
Node *parse_target(Parser *p);                             /* of for: NAME, (a, b), [a, b] or a, b */
Node *parse_block(Parser *p, const char *after);
Node *parse_if(Parser *p);
Node *parse_try(Parser *p);
Node *parse_contract(Parser *p);
Parameter *parse_parameters(Parser *p, Node *owner, int *count);   /* from ( to ) */

#endif
