/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A function's contract as the machine checks it: one Rule for each parameter and the result, over a table of names.
   contract_compile.c makes it, contract.c checks it. */
#ifndef TESSERA_CONTRACT_H
#define TESSERA_CONTRACT_H

#include "machine.h"

#define CONTRACT_NAMES 48

typedef enum SizeKind { SIZE_INT, SIZE_NAME, SIZE_ADD, SIZE_SUB, SIZE_MUL, SIZE_DIV } SizeKind;
typedef struct Size {
    SizeKind kind;
    int64_t value;
    int name;
    struct Size *left, *right;
} Size;

typedef struct AxisRule {
    AxisKind kind;
    int name;                 /* a bare name or a pack; -1: an expression */
    Size *size;               /* of an expression */
    bool or_one;
    char *text;               /* as written */
} AxisRule;

typedef struct Rule {
    ContractKind kind;
    char *word;               /* dtype or class of a shape; a type's word */
    char *text;               /* as written */
    int n_axes, rest;         /* rest: place of `...` or a pack, -1 none */
    AxisRule *axes;
    int n_items;
    struct Rule **item;
} Rule;

typedef enum NameSource { NAME_FRESH, NAME_PRESET, NAME_PARAMETER, NAME_OF_FIELD } NameSource;
typedef struct ContractName { const char *name; NameSource source; int index; bool pack; } ContractName;

typedef struct Contract {
    const char *function;     /* interned */
    int n_rules;
    Rule **rule;              /* by parameter, NULL: none */
    const char **rule_name;   /* the parameters' */
    int first_parameter;      /* its register */
    Rule *result;
    const char *result_name;  /* "the result", or a local's name; interned */
    int n_names;
    ContractName names[CONTRACT_NAMES];
    int first, count;         /* registers of fresh and preset names */
} Contract;

Size *size_new(SizeKind kind, Size *left, Size *right);
void size_free(Size *size);
void rule_free(Rule *rule);
bool contract_word_known(const char *word);

#endif
