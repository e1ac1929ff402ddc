/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The syntax tree: what the parser makes and the compiler reads. Nodes live in an Arena and die with it. Names are
   interned in the arena: equal text, equal pointer. Lists of nodes are arrays (NodeList). */
#ifndef TESSERA_AST_H
#define TESSERA_AST_H

#include "source.h"

typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *arena);
void *arena_alloc(Arena *arena, size_t size);              /* zeroed; NULL when memory is out */
const char *arena_name(Arena *arena, const char *text, size_t length);

typedef struct Node Node;
typedef struct NodeList { int count; Node **at; } NodeList;

typedef enum NodeKind {
    /* expressions */
    NODE_INT, NODE_FLOAT, NODE_BOOL, NODE_NONE, NODE_DONE,
    NODE_STRING,              /* text                         'raw' or "plain" */
    NODE_FORMAT,              /* list: STRING and FORMAT_ITEM "…{x:.3f}…" */
    NODE_FORMAT_ITEM,         /* item: value, text = spec after ':' or NULL */
    NODE_NAME,                /* name */
    NODE_ELLIPSIS,            /* ... as an index */
    NODE_LIST, NODE_TUPLE,    /* list; elements may be SPREAD */
    NODE_MAP,                 /* list of ENTRY and SPREAD     {a: 1, "b": 2, [k]: v, ..m} */
    NODE_ENTRY,               /* binary: left = key expression (STRING for a bare name), right = value */
    NODE_SPREAD,              /* unary                        ..xs */
    NODE_COMPREHENSION,       /* comprehension                [e for x in xs if c]   {k: v for …} */
    NODE_RANGE,               /* binary                       a..b  (b excluded) */
    NODE_UNARY,               /* unary with op: - not */
    NODE_BINARY,              /* binary with op: + - * / // % @ ^ ++ and or */
    NODE_COMPARE,             /* compare: chained             a < b <= c, x in xs, x not in xs */
    NODE_CALL,                /* call */
    NODE_PIPE,                /* binary: left |> right (right: CALL or a callee) */
    NODE_INDEX,               /* index                        x[i, a:b, ..., :] */
    NODE_SLICE,               /* slice, only inside INDEX */
    NODE_MEMBER,              /* member                       x.name */
    NODE_LAMBDA,              /* function (name NULL) */
    NODE_IF,                  /* branch; also a statement; has a value */
    NODE_TRY,                 /* attempt; has a value */
    NODE_BLOCK,               /* list: statements; value is the last expression */
    /* statements */
    NODE_EXPR,                /* unary: an expression as a statement; muted: ended by ; */
    NODE_ASSIGN,              /* assign */
    NODE_WHILE, NODE_FOR,     /* loop */
    NODE_BREAK, NODE_CONTINUE,
    NODE_RETURN, NODE_THROW,  /* unary; child may be NULL for return */
    NODE_ASSERT,              /* binary: left = condition, right = message or NULL */
    NODE_FN,                  /* function */
    NODE_MODEL,               /* model */
    NODE_CELL,                /* cell: param w = e, buffer b = e; only in a model's body */
    NODE_USE,                 /* use */
    NODE_OPTION,              /* option */
    NODE_TEST,                /* test */
    /* shape contracts */
    NODE_CONTRACT             /* contract */
} NodeKind;

typedef enum Operator {       /* also the operator of an augmented assignment (OPERATOR_NONE for plain =) */
    OPERATOR_NONE, OPERATOR_ADD, OPERATOR_SUB, OPERATOR_MUL, OPERATOR_DIV, OPERATOR_FLOORDIV, OPERATOR_MOD,
    OPERATOR_MATMUL, OPERATOR_POW, OPERATOR_CONCAT, OPERATOR_AND, OPERATOR_OR, OPERATOR_NOT, OPERATOR_NEG,
    OPERATOR_EQ, OPERATOR_NE, OPERATOR_LT, OPERATOR_LE, OPERATOR_GT, OPERATOR_GE, OPERATOR_IN, OPERATOR_NOT_IN
} Operator;

typedef struct Argument {     /* of a call */
    const char *name;         /* key=value, or NULL */
    Node *value;              /* may be SPREAD (of a list/tuple, or of a map: named arguments) */
    Span span;
} Argument;

typedef struct Parameter {
    const char *name;
    Node *contract;           /* or NULL */
    Node *fallback;           /* default expression, evaluated at each call in the callee's scope; or NULL */
    bool rest;                /* ..name: remaining positional arguments as a list */
    bool named_rest;          /* ..name after another rest, or the word map: `..opts: map`: named ones as a map */
    Span span;
} Parameter;

typedef struct Function {
    const char *name;         /* NULL: a lambda */
    const char *doc;          /* ## lines above it, or NULL */
    int n_parameters;
    Parameter *parameters;
    Node *result;             /* contract after ->, or NULL */
    Node *body;               /* BLOCK or an expression */
    Span header;              /* from `fn` to the end of the result contract */
} Function;

typedef struct ForClause { Node *target; Node *iterable; Node *condition; } ForClause;
                              /* target: NAME, TUPLE or LIST */

/* A contract. One node per written form. */
typedef enum ContractKind {
    CONTRACT_SHAPE,           /* [b, 3, h]  f32[b, t]  float[…]: word = dtype word or NULL; axes */
    CONTRACT_WORD,            /* int num str fn bool map list tensor …, or a model's name: word */
    CONTRACT_LIST,            /* list([b, d]): items[0] */
    CONTRACT_TUPLE,           /* ([k, d], [n]): items */
    CONTRACT_OPTIONAL,        /* T?: items[0] */
    CONTRACT_ANY              /* _ */
} ContractKind;
typedef enum AxisKind {
    AXIS_SIZE,                /* expression: an int, a name or arithmetic on them */
    AXIS_ANY,                 /* _ */
    AXIS_REST,                /* ... */
    AXIS_PACK,                /* ..name */
} AxisKind;
typedef struct Axis {
    AxisKind kind;
    Node *size;               /* AXIS_SIZE */
    const char *name;         /* AXIS_PACK; AXIS_SIZE when it is a bare name */
    bool or_one;              /* b|1 */
    bool forced;              /* =N: the variable N of the enclosing scope or module */
    Span span;
} Axis;

struct Node {
    NodeKind kind;
    Span span;
    uint32_t height;          /* of the tree from here down: bounded by the parser, so that recursion over it is safe */
    union {
        int64_t integer;
        double number;
        bool boolean;
        struct { const char *text; uint32_t length; } string;
        struct { Node *value; const char *spec; } item;
        const char *name;
        NodeList list;
        struct { Node *child; Operator op; bool muted; } unary;
        struct { Node *left, *right; Operator op; Span op_span; } binary;
        struct { int count; Node **operands; Operator *ops; Span *op_spans; } compare;   /* count - 1 ops */
        struct { Node *callee; int count; Argument *args; } call;
        struct { Node *value; NodeList subscripts; } index;
        struct { Node *start, *stop, *step; } slice;                    /* each may be NULL */
        struct { Node *value; const char *name; Span name_span; } member;
        struct { Node *element, *key; int count; ForClause *clauses; } comprehension;    /* key NULL: a list */
        struct { Node *condition, *then, *otherwise; } branch;          /* otherwise: BLOCK, IF or NULL */
        struct { Node *body; const char *name; Node *handler, *finally; } attempt;
        struct { Node *target; Node *contract; Operator op; Node *value; bool muted; } assign;
                                          /* target: NAME, TUPLE/LIST of targets (one may be SPREAD of a NAME),
                                             INDEX, MEMBER. `self.x = e` is a MEMBER of NAME self */
        struct { ForClause clause; Node *body; } loop;                  /* WHILE uses clause.condition only */
        Function *function;
        struct { const char *name, *doc; int n_parameters; Parameter *parameters; NodeList body; Span header; } model;
        struct { const char *name; bool is_param; Node *value; } cell;
        struct { const char *path; const char *name; bool file; } use;  /* use "./m.tsr" as m | use nn */
        struct { const char *name; Node *value; const char *help; } option;
        struct { const char *title; Node *body; } test;
        struct { ContractKind kind; const char *word; int n_axes; Axis *axes; NodeList items; } contract;
    };
};

/* What the parser found. Statements that parsed are kept, also beside errors, for completion and `check`. */
typedef struct SyntaxError {
    Span span;
    char message[320];
    char hint[240];
    struct SyntaxError *next;
} SyntaxError;

typedef struct Parse {
    Arena *arena;
    Source *source;
    NodeList statements;
    SyntaxError *errors;      /* first one first; NULL when fine */
    Span *lost;               /* text that gave no statement, because of an error in it */
    int n_lost, lost_room;
    bool incomplete;          /* the text ends inside something open: more input could mend it */
    int indent;               /* of the next line, in spaces, when incomplete */
} Parse;

/* Parses a whole text; NULL only when memory is out. [at_prompt]: a line that starts with .name or |> continues `_`. */
Parse *parse_source(Source *source, bool at_prompt);
void parse_free(Parse *parse);

#endif
