/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The compiler's own header: one Fn for each function that is being compiled, innermost first by [up].

   compile.c puts code together, compile_scope.c finds names, compile_expr.c, compile_call.c, compile_statement.c and
   compile_model.c walk the tree, contract.c compiles contracts, liveness.c then marks where registers die.
   Registers: parameters, then locals, then temporaries in stack order (fn->top). An expression's value may lie in a
   local's register; whoever may change it before use copies it first. */
#ifndef TESSERA_COMPILE_H
#define TESSERA_COMPILE_H

#include "machine.h"

#define FLOW_WORDS 8
typedef struct Flow {         /* which locals (by register, below 512) are assigned here */
    uint64_t definite[FLOW_WORDS], maybe[FLOW_WORDS];
    bool dead;                /* nothing gets here */
} Flow;

typedef struct Jumps { int32_t *at; int count, room; } Jumps;

typedef struct Binding { const char *name; int reg; int32_t from; bool tracked, is_function; } Binding;
typedef struct Capture { const char *name; bool late; uint32_t slot; } Capture;

typedef struct Context {      /* what a jump out of a region must do: a finally, an iterator; or a catch */
    struct Context *up;
    HandlerKind kind;
    Node *finally;
    int reg;
    int32_t *cut;             /* pairs start, end: covered pieces; the last end is -1 while open */
    int n_cuts, cut_room;
} Context;

typedef struct Loop {
    struct Loop *up;
    Context *context;         /* outside the loop's own iterator */
    Context *inner;           /* inside it: what continue keeps */
    Jumps breaks, continues;
} Loop;

typedef enum FnKind { FN_MODULE, FN_NAMED, FN_LAMBDA, FN_METHOD, FN_CONSTRUCTOR } FnKind;

typedef struct Compiler {
    Vm *vm;
    Module *module;
    Parse *parse;
    bool failed;              /* memory is out */
    SyntaxError **last_error;
} Compiler;

typedef struct Fn {
    struct Fn *up;
    Compiler *c;
    FnKind kind;
    const char *own_name;     /* of a nested fn, else NULL */
    Proto *proto;
    int code_room, constant_room, proto_room, site_room, index_room, path_room, template_room, handler_room,
        operand_room, contract_room, mark_room, name_room;
    Binding *binding;
    int n_bindings, binding_room;
    Capture *capture;
    int capture_room;
    int n_locals;             /* registers of parameters and locals */
    int n_kept;               /* the first ones, that keep their values to the end */
    int top;
    Flow flow;
    bool needs_clear;         /* some local may be read before it is assigned: CLEAR at entry */
    Context *context;
    Loop *loop;
    Proto *model;             /* fields of the model that a method, constructor or lambda in one belongs to */
    struct Contract *contract;    /* with a result to check; owned by the proto */
    int contract_index;
    int depth;                /* of nesting, to refuse what would overflow the C stack */
} Fn;

/* ---- compile.c ---- */
bool array_grow(Compiler *c, void **at, int *room, int count, size_t size);
void compile_error(Compiler *c, Span span, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
const char *compile_name(Compiler *c, const char *name);              /* interned; "" when memory is out */
uint32_t compile_slot(Compiler *c, const char *name);                  /* of an interned name */
int32_t emit(Fn *fn, Code w, Span span);
static inline int32_t emit3(Fn *fn, Opcode op, int a, int b, int c, Span span)
{
    return emit(fn, code_make(op, 0, a, b, c), span);
}
static inline int32_t emit_wide(Fn *fn, Opcode op, int a, int32_t wide, Span span)
{
    return emit(fn, code_wide(op, 0, a, wide), span);
}
int temp(Fn *fn);                                                      /* the next temporary */
int temps(Fn *fn, int count);
int constant_take(Fn *fn, Value owned);
int constant_text(Fn *fn, const char *text, size_t length);
int new_site(Fn *fn, const char *name, Span span);                     /* index, -1 when memory is out */
/* The value of [node], just compiled to [reg], goes to an elementwise op and nowhere else: it may be put off. */
void may_defer(Fn *fn, const Node *node, int reg);
void mark_statement(Fn *fn, const Node *node);                         /* begins here: where a debugger can stop */
void note_operand(Fn *fn, int32_t pc, int input, const Node *node);
void jump_to(Fn *fn, Jumps *jumps, Opcode op, int a, Span span);       /* emits a jump to be patched */
void jumps_patch(Fn *fn, Jumps *jumps, int32_t target);                /* and frees the list */
void jump_back(Fn *fn, int32_t target, Span span);
void context_open(Fn *fn, Context *context, HandlerKind kind, Node *finally, int reg);
void context_close(Fn *fn, Context *context, int32_t target);          /* writes its rows; errors go to [target] */
void context_leave(Fn *fn, Context *until, Span span);                 /* code for jumping out, down to [until] */
void context_rejoin(Fn *fn, Context *until);                           /* after the jump: they cover again */
Fn *fn_open(Compiler *c, Fn *up, Fn *fn, FnKind kind, const char *name, Span span);
Proto *fn_close(Fn *fn);                                               /* NULL when memory is out */
#define MAX_CAPTURES 250
/* [captured]: what the function captures, MAX_CAPTURES names of room; NULL for kinds that capture nothing. */
Proto *compile_function(Fn *up, const Function *function, FnKind kind, const char **captured, int *n_captured);
void compile_parameters(Fn *fn, int count, const Parameter *parameters, int first_register);
void compile_defaults(Fn *fn, int count, const Parameter *parameters, int first_register);
void compile_body(Fn *fn, Node *body, bool is_constructor);
int add_proto(Fn *fn, Proto *owned);
char *signature_text(Compiler *c, const char *name, int count, const Parameter *parameters);

/* ---- compile_scope.c ---- */
typedef enum NameKind { NAME_LOCAL, NAME_FIELD, NAME_CAPTURE, NAME_LATE, NAME_GLOBAL, NAME_OWN } NameKind;
typedef struct NameRef { NameKind kind; int reg; int index; uint32_t slot; bool tracked, is_function; } NameRef;
NameRef resolve(Fn *fn, const char *name, Span span);
Binding *bind(Fn *fn, const char *name, int reg, bool tracked);
void unbind(Fn *fn, int count);        /* all but the first [count], whose scope ends here */
/* Whether the name is that of the object inside a model, which nothing else may bear: an error that says so. */
bool refuse_self(Fn *fn, const char *name, Span span);
void collect_locals(Fn *fn, Node *body);                               /* binds every name that [body] assigns */
typedef void NodeVisit(Node *node, void *to);
void node_children(Node *node, NodeVisit *visit, void *to);            /* not into functions and models */
bool may_assign(Node *node);
typedef enum Origin { ORIGIN_ASSIGNED, ORIGIN_LOOP, ORIGIN_FUNCTION, ORIGIN_PARAM, ORIGIN_BUFFER } Origin;
typedef void NameFound(void *to, const char *name, Origin origin);
void collect_assigned(Node *node, NameFound *found, void *to);   /* not inside functions */
void load_raw(Fn *fn, const char *name, int to, Span span);            /* for captures: perhaps without a value */
void flow_assign(Fn *fn, int reg);
void flow_join(Flow *into, const Flow *other);
void flow_loop(Fn *fn, Node *body);                                    /* what the body assigns may be assigned now */
bool flow_definite(const Fn *fn, int reg);
bool flow_maybe(const Fn *fn, int reg);

/* ---- compile_expr.c ---- */
/* Register of the value: [want] when that is not negative, else a local's or a new temporary. */
int expr(Fn *fn, Node *node, int want);
void condition(Fn *fn, Node *node, bool sense, Jumps *out);            /* jumps to [out] when the truth is [sense] */
int load_name(Fn *fn, const char *name, int want, Span span);
void load_fixed(Fn *fn, int to, int which, Span span);                 /* 0 none, 1 false, 2 true, 3 done */
int subscripts(Fn *fn, const NodeList *list, IndexShape *shape);       /* into consecutive temporaries; their number */
int closure(Fn *fn, const Function *function, int want, Span span);
bool literal_number(const Node *node, Value *out);
Opcode binary_opcode(Operator op);

/* ---- compile_call.c ---- */
int call(Fn *fn, Node *node, int want);
int pipe_call(Fn *fn, Node *node, int want);
int load_callee(Fn *fn, const char *name, int to, Span span);

/* ---- compile_statement.c ---- */
/* A statement's or block's value goes to [want]; -1: nobody asks. */
void statement(Fn *fn, Node *node, int want);
void block(Fn *fn, Node *node, int want);
void assign_from(Fn *fn, Node *target, int reg, Span span);
void bind_target(Fn *fn, Node *target);                                /* names of a comprehension's target */
void if_value(Fn *fn, Node *node, int want);
void try_value(Fn *fn, Node *node, int want);
void for_loop(Fn *fn, const ForClause *clause, void (*body)(Fn *fn, void *to), void *to, Node *assigned, Span span);

/* ---- compile_model.c ---- */
void model_statement(Fn *fn, Node *node);
int model_field(const Proto *model, const char *name);                 /* interned; -1: none */

/* ---- contract.c ---- */
/* Compiles the contracts of parameters (NULL: none) and the result; binds fresh names to registers of [fn] and emits
   the check of the arguments. */
void contract_compile(Fn *fn, int count, const Parameter *parameters, int first_register, Node *result, Span span);
void contract_check_local(Fn *fn, Node *contract, const char *name, int reg, Span span);

#endif
