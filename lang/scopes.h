/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of a program: scopes, what each declares, and every place where a name stands with what it means there, by the
   rules of docs/language.md ("Names"). Members and arguments are found with the checker's facts; what those cannot tell
   is marked as not sure. Lives in the checker's arena. */
#ifndef TESSERA_SCOPES_H
#define TESSERA_SCOPES_H

#include "check.h"

typedef struct Symbol {
    SymbolKind kind;
    const char *name;
    Unit *unit;               /* that declares it; NULL: built in */
    Span span, whole;         /* the name there, and all of the declaration */
    int scope;                /* of the text that is looked at; -1: of another */
    int next;                 /* in its scope, or -1 */
    int owner;                /* the function of a parameter, the model of a field; -1: none */
    int first, count;         /* parameters, when they are known; symbols in a row */
    int inside;               /* the scope of a model of the text */
    const Function *function;
    Node *node;               /* FN, MODEL, CELL, USE … */
    const Parameter *parameter;
    const Node *contract;
    const char *module;       /* of the standard library */
    const char *doc;
    const void *noted;        /* whose fact is its own */
    bool fixed;               /* its name is made of something else */
    uint32_t spread;          /* of a function: 1 + where a call spreads what may name any argument; 0: none does */
} Symbol;

typedef enum ScopeKind { SCOPE_MODULE, SCOPE_FUNCTION, SCOPE_MODEL, SCOPE_BLOCK } ScopeKind;
typedef struct Scoped {
    ScopeKind kind;
    Span span;
    int up;                   /* -1: the module */
    int first;                /* symbol, or -1 */
    int owner;                /* the function's or model's symbol, or -1 */
    Node *model;              /* of a method: whose fields are read bare */
    int fields;               /* that model's scope, or -1 */
} Scoped;

typedef struct Mentioned {
    Span span;
    const char *name;
    int symbol;               /* -1: not known */
    bool declares, writes;
    bool sure;
    bool loose;               /* a member or an argument of nobody knows what */
    const void *noted;
    const Function *called;   /* an argument's name: of this function, */
    Node *made;               /* or of this model; filled in last */
} Mentioned;

typedef struct Names {
    Checker *c;
    Unit *unit;
    Symbol *symbol;
    int n_symbols, symbol_room;
    Scoped *scope;
    int n_scopes, scope_room;
    Mentioned *mention;
    int n_mentions, mention_room;
    int *global;              /* by the unit's globals: 1 + the variable's symbol, 1 + the function's */
    int n_global;
    int *foreign;             /* symbols of other sources */
    int n_foreign, foreign_room;
} Names;

/* After check_walk; mentions only in the statement of c->focus, if there is one. False: memory is out. */
bool names_find(Names *names, Checker *c, Unit *unit);
int names_scope(const Names *names, size_t offset);        /* the innermost around it */
/* A symbol of another source, or of a model by its member's name; -1: none. */
int names_global(Names *names, Unit *unit, const char *name);
int names_member(Names *names, Unit *unit, Node *model, const char *name);
int names_weak(Names *names, const char *name);            /* built in, prelude, standard module */
int names_standard(Names *names, const char *module, const char *name);
/* The variable or function of that name at a scope; -1: none in the text. */
int names_lookup(const Names *names, int scope, const char *name, bool callee);
/* The members that a fact has, each as a symbol. */
typedef void MemberVisit(void *to, int symbol);
void names_members(Names *names, const Fact *of, MemberVisit *visit, void *to);

#endif
