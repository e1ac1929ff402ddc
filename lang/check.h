/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The static checker's own header. check.c keeps sources and findings, check_flow.c walks statements and functions,
   check_expr.c expressions, check_call.c calls, check_fact.c knows what can be known of a value, check_usage.c looks
   at the tree alone, check_notes.c keeps what was found for editors.

   A Fact is what holds of a value whenever its expression is reached; NULL: nothing is known. Every rule of the
   language is asked of the code that will run it (shape rules in a dry run, binding, contracts, arithmetic), in a
   machine of the checker's own. What is said is certain: sizes that are only named are tried in several worlds, and an
   error counts when it comes in all of them. */
#ifndef TESSERA_CHECK_H
#define TESSERA_CHECK_H

#include <stddef.h>

#include "contract.h"
#include "session.h"
#include "suggest.h"
#include "tree.h"

/* An int: a number, a named one that is not known, or worked out of such. */
typedef enum ExtentKind { EXTENT_NUMBER, EXTENT_SYMBOL, EXTENT_WORKED } ExtentKind;
typedef struct Extent {
    ExtentKind kind;
    Operator op;              /* + - * // % of a WORKED one */
    int64_t number;
    int symbol;
    const char *name;         /* of a SYMBOL; NULL: none to show */
    const struct Extent *left, *right;
} Extent;

typedef struct Fact Fact;
typedef struct Unit Unit;
typedef struct Env Env;

typedef enum FactKind {
    FACT_NONE, FACT_BOOL, FACT_INT, FACT_FLOAT, FACT_STRING, FACT_LIST, FACT_TUPLE, FACT_TENSOR, FACT_MAP,
    FACT_FUNCTION, FACT_NATIVE, FACT_OP, FACT_MODEL, FACT_OBJECT, FACT_FILE, FACT_STANDARD
} FactKind;

typedef struct Local { const char *name; const Fact *fact; bool is_function; } Local;

struct Fact {
    FactKind kind;
    bool known;               /* of a BOOL or FLOAT: its value is */
    union {
        bool boolean;
        double number;
        const Extent *extent;
        struct { const char *text; uint32_t length; } string;
        struct { int count; const Fact *const *at; } list;
        struct { int count; const Fact *const *key, *const *at; } map;     /* all its entries; keys are strings */
        struct { Dtype dtype; bool any_dtype; int ndim; const Extent *const *dim; } tensor;
        struct { Unit *unit; const Function *function; Node *owner; Env *outer; const Fact *self; } function;
        struct { Unit *unit; Node *node; } model;
        struct { Unit *unit; Node *model; const Local *field; int count; } object;
        const NativeDef *native;
        const OpDef *op;
        Unit *file;
        const char *standard;
    };
};

/* A name of a source's module. */
typedef struct Global {
    const char *name;
    const Fact *fact;         /* of a variable that is assigned once; NULL: unknown, or not assigned yet */
    Node *declared;           /* the fn or model */
    const Fact *function;     /* that; NULL: declared more than once */
    int assigned;             /* at how many places */
    uint32_t first;           /* where the first assignment ends */
    bool weak_found, weak_tried;
    const Fact *weak;         /* what stands behind the module: builtins, prelude, standard modules */
} Global;

/* A source: a file on the command line, one that it uses, or one of the library. */
struct Unit {
    Unit *next;
    const char *path;
    Source *source;
    Parse *parse;
    Module *module;           /* for the compiler's slots */
    bool library;
    bool internal;            /* it may use what is for the library alone */
    bool compiled;            /* all of it, for its errors; else single statements when they are needed */
    Proto **proto;            /* of each statement; NULL: none, or none yet */
    Global *global;
    int n_globals, room;
    int n_surveyed;           /* the first ones: assigned or declared here */
    int *index;               /* open addressing by name pointer: global + 1 */
    int n_index;
    const char **stored;      /* names x of assignments to something.x */
    int n_stored, stored_room;
};

typedef struct Finding {
    Unit *unit;
    Span span;
    const char *warning;      /* the kind of a warning; NULL: an error */
    Error error;
    char name[ERROR_MAX_OPERANDS][32];
    Unit *inner;              /* where a call that was followed fails; NULL: at [span] itself */
    Span inner_span;
    const char *inner_function;
    int order;                /* of finding, for those at one place */
} Finding;

/* What following a function needs again and again. */
typedef struct Followed {
    const Function *function;
    const Proto *proto;       /* NULL: it does not compile */
    int n_locals;
    const Local *local;       /* parameters, then what the body assigns */
} Followed;

typedef struct Checker {
    Session *session;
    Vm *vm;                   /* of the checker's own: the session's is not touched */
    Arena *arena;
    Unit *units;
    Finding *finding;
    int n_findings, finding_room;
    const char **missing;     /* undefined names that this function has heard of */
    int n_missing, missing_room;
    Finding failure;          /* what ended the call that is being followed */
    Followed *followed;       /* open addressing by function */
    int n_followed, followed_room;
    int n_symbols;
    int quiet;                /* inside what is known never to run */
    int budget;               /* expressions that may yet be looked at in followed calls */
    int depth;                /* of followed calls */
    int nesting;              /* of expressions */
    struct Note *note;        /* facts by what they are of, open addressing */
    size_t n_notes, note_room;
    Unit *noted;              /* the unit whose facts are kept; NULL: none */
    size_t focus;             /* look only into the declaration that this offset lies in; SIZE_MAX: all */
    bool (*stop)(void *user);
    void *stop_user;
    bool stopped;
    bool no_memory;
    max_align_t spare[512];   /* stands for what memory lacks */
} Checker;

/* Where names have values: a function, a model's body, or a module at its top level. */
struct Env {
    Env *outer;               /* of a lambda or nested function: a copy of what it was made in */
    Unit *unit;
    Node *owner;              /* the statement of the module that all this belongs to */
    const Function *function; /* NULL: the module or a model's body */
    Node *model;              /* whose fields are read bare */
    const Fact *self;         /* in a method; NULL: unknown */
    Local *local;
    int n_locals, room;
    bool module;              /* names that are not local are assigned to the module */
    bool inlined;             /* a call is being followed: nothing is said, the first certain error ends it */
    bool failed;              /* it did */
    bool ended;               /* nothing gets here */
    int unsure;               /* inside what may run or not */
    int trying;               /* inside a try with a handler */
    int loops;
    bool returned;            /* some return was seen; [result] joins them */
    const Fact *result;
};

/* ---- check.c ---- */
enum { CHECK_BUDGET = 25000 };
bool check_open(Checker *c, Session *session, Unit **unit, const char *path, const char *text, size_t length);
bool check_walk(Checker *c, Unit *unit);                   /* false: stopped, or memory is out */
bool check_report(Checker *c, Unit *unit, CheckReport *report, void *user);
void check_close(Checker *c);
/* The machine's error as a finding at [span]; in a followed call it ends the call. [names]: of operands, or NULL.
   Always NULL. */
const Fact *check_fail(Checker *c, Env *e, Span span, const char (*names)[32]);
/* The same for an error that a callee's [c->failure] holds. */
const Fact *check_fail_inner(Checker *c, Env *e, Span span);
void check_warn(Checker *c, Unit *unit, Span span, const char *kind, const char *hint, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
void *check_alloc(Checker *c, size_t size);                /* zeroed; never NULL: c->no_memory and a spare at the end */
void *check_grow(Checker *c, void *array, int count, int *room, size_t size);
Global *unit_global(Checker *c, Unit *unit, const char *name);    /* interned in the unit's arena; made when missing */
const Global *unit_known(const Unit *unit, const char *name);     /* the same; NULL when missing */
Global *unit_find(Unit *unit, const char *name);                  /* any text; NULL: none of that name */
Unit *unit_used(Checker *c, Unit *user, const Node *use, Span span, bool say);
Unit *unit_library(Checker *c, int embedded_file);
Proto *unit_proto(Checker *c, Unit *unit, Node *statement, Span header);    /* of a function in a statement; or NULL */
/* What is weaker than the module: false when nothing has that name. */
bool weak_find(Checker *c, Unit *unit, Global *global, const Fact **fact);
bool embedded_find(const char *module, const char *name, int *at);
/* Whether a program's source, or [own], assigns to something.name. */
bool check_is_stored(const Checker *c, const Unit *own, const char *name);
bool unit_lost(const Unit *unit, const char *name);               /* it stands in text that did not parse */

/* ---- check_fact.c ---- */
#define WORLD_SYMBOLS 12
#define WORLD_RESULTS (CONTRACT_NAMES + 48)
typedef struct World { int n, symbol[WORLD_SYMBOLS]; int64_t size[WORLD_SYMBOLS]; int number; } World;
/* Everything that a rule is asked about. */
typedef struct Inputs {
    int n, room;
    const Fact **at;          /* none is NULL */
} Inputs;
/* Asks a rule in one world: owned values, or false with the machine's error. */
typedef bool Ask(Checker *c, const World *world, void *to, int n_results, Value *results);
typedef enum Answer { ANSWER_FINE, ANSWER_ERROR, ANSWER_UNKNOWN } Answer;
/* Facts of the results that hold in every world. ERROR: the machine's error is certain; UNKNOWN: it has none. */
Answer worlds_ask(Checker *c, const Inputs *inputs, Ask *ask, void *to, int n_results, const Fact **results);
bool fact_value(Checker *c, const Fact *fact, const World *world, Value *out);    /* owned; false: it has none */

const Fact *fact_new(Checker *c, FactKind kind);
const Fact *fact_bool(Checker *c, bool known, bool value);
const Fact *fact_float(Checker *c, bool known, double value);
const Fact *fact_int(Checker *c, const Extent *extent);
const Fact *fact_number(Checker *c, int64_t number);
const Fact *fact_string(Checker *c, const char *text, uint32_t length);
const Fact *fact_list(Checker *c, FactKind kind, int count, const Fact *const *at);
const Fact *fact_tensor(Checker *c, Dtype dtype, bool any_dtype, int ndim, const Extent *const *dim);
const Fact *fact_join(const Fact *a, const Fact *b);       /* what holds of both */
bool fact_is_int(const Fact *fact, int64_t *number);       /* a known one */
bool fact_has_map(const Fact *fact);                       /* its value stands for more than it tells */
bool fact_callable(const Fact *fact);
const Extent *extent_number(Checker *c, int64_t number);
const Extent *extent_symbol(Checker *c, const char *name);
const Extent *extent_work(Checker *c, Operator op, const Extent *left, const Extent *right);
bool extent_same(const Extent *a, const Extent *b);

/* ---- check_expr.c ---- */
const Fact *check_expr(Checker *c, Env *e, Node *node);
const Fact *check_binary(Checker *c, Env *e, Operator op, Node *left, Node *right, const Fact *a, const Fact *b,
                         Span span);
const Fact *check_condition(Checker *c, Env *e, Node *node);
const Fact *check_subscripts(Checker *c, Env *e, Node *node, const Fact *of);
/* x[…] op= value, as check_subscripts. */
void check_store(Checker *c, Env *e, Node *node, const Fact *of, Operator op, const Fact *value);
const Fact *check_iterable(Checker *c, Env *e, Node *node);
const Fact *check_closure(Checker *c, Env *e, const Function *function);
/* The fact of a name; *found false: nothing has it. [callee]: what a call of it would call. */
const Fact *check_name(Checker *c, Env *e, const char *name, bool callee, bool *found, bool *is_function);
/* What x.name(…) calls when it is no member: what is declared, or stands behind the module. */
const Fact *check_function_named(Checker *c, Env *e, const char *name, bool *found);
const Fact *check_stand_in(Checker *c, const Fact *row);
void check_undefined(Checker *c, Env *e, const char *name, Span span);
const Fact *check_member(Checker *c, Env *e, const Fact *of, const char *name, Span span);
const Local *object_field(const Fact *object, const char *name);
const Function *model_method(const Fact *object, const char *name);
/* The names of an error's operands, where the arguments are names. */
void check_operands(const Checker *c, const Env *e, int n, Node *const *node, char names[ERROR_MAX_OPERANDS][32]);

/* ---- check_call.c ---- */
const Fact *check_call(Checker *c, Env *e, Node *node);
const Fact *check_pipe(Checker *c, Env *e, Node *node);

/* ---- check_contract.c ---- */
/* Gives the parameters what their contracts say, and the contracts' names. */
void check_assume(Checker *c, Env *e, int count, const Parameter *parameters);
/* The fields of a model's body that its methods' contracts take for sizes, as named ints. */
void check_assume_model(Checker *c, Env *e, const Node *model);
/* A followed call's contract: the names it binds become locals of [callee]. False: it fails, the error is the
   machine's. [result]: compared too; NULL: nothing is known of it. */
Answer check_contract(Checker *c, Env *callee, const Proto *proto, const Fact *result);
const Fact *check_promise(Checker *c, Env *e, Node *contract);     /* a value that fits the contract */
void check_result(Checker *c, Env *e, const Fact *fact, Span span);
const Fact *check_annotated(Checker *c, Env *e, Node *assign, const Fact *fact);

/* ---- check_flow.c ---- */
void check_statement(Checker *c, Env *e, Node *node);
const Fact *check_block(Checker *c, Env *e, Node *node);   /* its value */
const Fact *check_if(Checker *c, Env *e, Node *node);
const Fact *check_try(Checker *c, Env *e, Node *node);
Local *env_local(Env *e, const char *name);
Local *env_copy(Checker *c, const Env *e);
void env_set(Checker *c, Env *e, const char *name, const Fact *fact);
void env_bind(Checker *c, Env *e, const char *name, const Fact *fact);    /* a new name, hiding older ones */
/* A scope in which the function's body can be followed, and its compiled form. NULL: it has none. */
Env *env_follow(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, const Proto **proto);
Env *env_new(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, Node *body);
bool check_handles(Node *node);
const Fact *const *check_items(const Fact *fact, int *count);
const Fact *check_item(Checker *c, const Fact *fact);
void unit_survey(Checker *c, Unit *unit);                  /* fills its globals from the tree */
void check_unit(Checker *c, Unit *unit);                   /* says all there is to say of it */
/* Says what is wrong in a function whatever it is called with. */
void check_function(Checker *c, Env *outer, Unit *unit, Node *owner, const Function *function, Node *model,
                    const Fact *self);
Env *check_model_env(Checker *c, Unit *unit, Node *model); /* for a followed call of the model: parameters first */
const Fact *check_construct(Checker *c, Env *e, Node *model);     /* the object; NULL when that fails */

/* ---- check_notes.c ---- */
/* Keeps what is known of [key], a node, parameter or function of c->noted, wherever it is reached. */
void check_note(Checker *c, const Env *e, const void *key, const Fact *fact);
const Fact *check_noted(const Checker *c, const void *key);
bool fact_telling(const Fact *fact);                       /* worth saying: a shape is in it */
void fact_text(const Fact *fact, Text *out);               /* "f32[n, 784]", "(f32[2], int)", "Linear" */

/* ---- check_usage.c ---- */
void usage_check(Checker *c, Unit *unit);

#endif
