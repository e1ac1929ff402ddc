/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the compiler makes and the machine runs: instructions, a Proto for each function, and the tables that
   instructions point into. Names are interned (names.c): equal text, equal pointer. */
#ifndef TESSERA_CODE_H
#define TESSERA_CODE_H

#include "ast.h"
#include "value.h"
#include "vm.h"

typedef uint64_t Code;

typedef enum Opcode {
#define OPCODE(name, a, b, c, range, effect) CODE_##name,
#include "opcodes.def"
#undef OPCODE
    CODE_COUNT_ALL
} Opcode;

#define KILL_A 1u
#define KILL_B 2u
#define KILL_C 4u
#define EXPECT 8u             /* of TEST_…: the outcome that jumps */
#define SWAPPED 16u           /* of …_K: the constant stands on the left */
#define DEFER 32u             /* of an elementwise op: the next one reads the result and nothing else does */

static inline Code code_make(Opcode op, unsigned flags, int a, int b, int c)
{
    return (Code)op | (Code)(flags & 255u) << 8 | (Code)(uint16_t)a << 16 | (Code)(uint16_t)b << 32 |
           (Code)(uint16_t)c << 48;
}
static inline Code code_wide(Opcode op, unsigned flags, int a, int32_t wide)
{
    return (Code)op | (Code)(flags & 255u) << 8 | (Code)(uint16_t)a << 16 | (Code)(uint32_t)wide << 32;
}
#define CODE_OP(w) ((Opcode)((w) & 255u))
#define CODE_FLAGS(w) ((unsigned)((w) >> 8) & 255u)
#define CODE_A(w) ((unsigned)((w) >> 16) & 0xffffu)
#define CODE_B(w) ((unsigned)((w) >> 32) & 0xffffu)
#define CODE_C(w) ((unsigned)((w) >> 48))
#define CODE_WIDE(w) ((int32_t)((w) >> 32))

typedef enum OperandKind { OPERAND_NO, OPERAND_W, OPERAND_R, OPERAND_S, OPERAND_X, OPERAND_K, OPERAND_N, OPERAND_G,
                           OPERAND_J, OPERAND_I, OPERAND_T } OperandKind;
typedef enum RangeKind { RANGE_NONE, RANGE_CALL, RANGE_METHOD, RANGE_SEQUENCE, RANGE_PATH, RANGE_UNPACK, RANGE_PAIR,
                         RANGE_ITERATOR, RANGE_CLEAR, RANGE_CONTRACT, RANGE_RESULT } RangeKind;
typedef struct OpcodeInfo { const char *name; uint8_t operand[3], range; } OpcodeInfo;
extern const OpcodeInfo opcode_info[];

/* A place that names a member or passes named arguments, with the cache of what it found last. */
typedef struct Site {
    const char *name;         /* of the member; NULL for a plain call */
    uint32_t slot;            /* the module's slot of that name: where x.f(…) looks for the function f */
    bool nested;              /* the result's register holds a nested function of that name */
    bool plain;               /* no names, no spreads */
    int n_args;               /* as written, the receiver excluded */
    const char **names;       /* of the arguments; NULL: positional. NULL when plain */
    bool *spread;
    uint64_t model_id;        /* cache: of this model … */
    int index;                /* … the field or method */
    bool is_method;
    bool of_module;           /* the receiver was a module last time */
} Site;

typedef enum SubscriptKind { SUBSCRIPT_VALUE, SUBSCRIPT_SLICE, SUBSCRIPT_ELLIPSIS } SubscriptKind;
typedef struct IndexShape { int count; uint8_t kind[TENSOR_MAX_DIMS + 8]; } IndexShape;   /* SLICE takes 3 registers */
#define INDEX_MAX (TENSOR_MAX_DIMS + 8)

typedef struct PathStep { const char *name; IndexShape shape; } PathStep;    /* name: a member; else subscripts */
typedef struct Path {
    bool is_field;            /* the root is field [field] of the object in the root register */
    int field;
    uint32_t slot;            /* of a global root */
    int op;                   /* Operator of an augmented assignment */
    int n_steps, n_values;    /* registers: subscripts in order, then the value */
    PathStep *step;
} Path;

/* text NULL: an item */
typedef struct TemplatePart { const char *text; uint32_t length; const char *spec; } TemplatePart;
typedef struct Template { int count; TemplatePart *part; } Template;

/* Where an error goes: the first row that covers the failing instruction, innermost first. */
typedef enum HandlerKind { HANDLER_CATCH, HANDLER_FINALLY, HANDLER_CLOSE } HandlerKind;   /* CLOSE: goes on */
typedef struct Handler { int32_t start, end, target; uint16_t reg; uint8_t kind; } Handler;

typedef struct OperandName { int32_t pc; int16_t input; Span span; } OperandName;   /* x or x.y */

typedef struct ParameterInfo {
    const char *name;
    bool has_default, rest, named_rest;
} ParameterInfo;

/* A variable, while the next instruction lies in from..to-1. reg below 0: capture -1 - reg. */
typedef struct LocalName { const char *name; int reg; int32_t from, to; } LocalName;

typedef struct Mark { int32_t pc; Span span; } Mark;   /* where a statement begins; of a compound one its head */

typedef struct FieldInfo {
    const char *name;
    uint8_t kind;
    bool hidden;              /* a constructor parameter that the body does not assign */
    int declared;             /* its place among the declared fields */
    int nth;                  /* of the whole array: the field that comes at this place, see object_nth_field */
} FieldInfo;

struct Contract;              /* contract.c */
struct Module;

typedef struct Proto {
    int32_t refs;
    const char *name;         /* NULL: a lambda; the module's code: "" */
    char *signature;          /* "f(x, y=2)": as written */
    char *doc;
    Source *source;
    Span span;
    struct Module *module;    /* lives as long as the session */
    int n_code, n_constants, n_protos, n_sites, n_indexes, n_paths, n_templates, n_handlers, n_operands, n_contracts;
    Code *code;
    Span *spans;
    Value *constants;
    struct Proto **protos;
    Site *sites;
    IndexShape *indexes;
    Path *paths;
    Template *templates;
    Handler *handlers;
    OperandName *operands;    /* by pc */
    struct Contract **contracts;
    int n_names;              /* of variables, for looking at a frame */
    LocalName *names;
    int n_marks;
    Mark *marks;              /* by pc */
    struct DebugCode *debug;  /* while a debugger is attached (debug.h); else NULL */
    struct Proto *next, **link;   /* all of the machine, newest first */
    int entry;                /* first instruction */
    int n_registers, n_params, n_required, n_captures;
    bool simple;              /* no rest parameters */
    bool has_self;            /* register 0 is the object: a method or a constructor */
    bool is_constructor;
    ParameterInfo *params;
    /* a constructor's: */
    FieldInfo *fields;
    int n_fields;
    struct Proto **methods;
    int n_methods;
} Proto;

void proto_release(Proto *proto);
Code proto_code(const Proto *proto, int pc);   /* the instruction, also where a breakpoint lies on it */
void proto_disassemble(const Proto *proto, Text *out);

/* Registers that an instruction reads and writes through its range; [visit] gets each. */
typedef struct RegisterRange {
    int take_first, take_count, read_first, read_count, fill_first, fill_count;
} RegisterRange;
void code_range(const Proto *proto, Code w, RegisterRange *range);

/* Sets the KILL flags: a register is emptied where it is read last. [pinned] registers never are. */
bool liveness_run(Proto *proto, const bool *pinned);

/* Compiles a parsed text for [module]. Errors are added to parse->errors; NULL then, and when memory is out. The value
   of the Proto's run is that of the last expression statement, unless muted. */
Proto *compile_module(Vm *vm, struct Module *module, Parse *parse, bool *muted);

/* A test's block as a function of the module, likewise. */
Proto *compile_test(Vm *vm, struct Module *module, Parse *parse, const Node *test);

/* The same for what is typed while a frame is looked at: registers 0..count-1 are its variables, of these [names] (interned),
   which may be assigned and are handed back at the end. [model], or NULL: of the object in register 0, whose fields it sees. */
Proto *compile_for_frame(Vm *vm, struct Module *module, Parse *parse, int count, const char *const *names, Proto *model,
                         bool *muted);

/* ---- contract.c ---- */
void contract_free(struct Contract *contract);
void contract_registers(const struct Contract *contract, int *first, int *count);
void contract_pin(const struct Contract *contract, bool *pinned);      /* registers that the result's check reads */

#endif
