/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of the machine: its stack and frames, functions, models, modules. Shared by vm.c, call.c, object.c,
   module.c and session.c; nobody else includes it.

   The stack is made of segments that never move. A call's arguments lie where the callee's first registers will be, so
   a call copies nothing. Invariant: slots above the innermost frame's registers hold no heap value. */
#ifndef TESSERA_MACHINE_H
#define TESSERA_MACHINE_H

#include "bind.h"
#include "code.h"
#include "diagnose.h"
#include "heap.h"
#include "lang.h"

typedef struct FunctionObject {
    int32_t refs;
    uint8_t kind;             /* FunctionKind */
    int8_t takes;             /* of a native: so many arguments as they are, whatever they are; -1: not known */
    int n_values;
    union {
        Proto *proto;
        const NativeDef *native;
        const OpDef *op;
    };
    Value value[];            /* captures; a native's bound values; a bound method's object and function */
} FunctionObject;

struct ModelObject {
    int32_t refs;
    uint64_t id;              /* never used again: what caches compare */
    Proto *constructor;
    int n_methods;
    Value *method;            /* functions, in the order of constructor->methods */
    int forward;              /* index of the method `forward`, or -1 */
};

typedef struct Slot {         /* a module's name */
    const char *name;
    Value value;              /* the variable; UNDEFINED: none */
    Value function;           /* what `fn` or `model` declared, else the builtin, cached on first use */
    bool declared;
} Slot;

typedef struct Module {
    int32_t refs;
    const char *name;         /* interned: "nn", "mine" */
    Source *source;           /* of its file; NULL for a namespace and the session's own */
    const char *path;         /* interned, as it was opened; NULL for the session's own */
    int64_t stamp;            /* of the file when it was read (module_stamp) */
    bool library;
    bool is_namespace;        /* a standard module: its members lie in the modules of its files */
    bool loading;
    Slot *slot;
    uint32_t n_slots, room;
    uint32_t *index;          /* open addressing by name pointer: slot + 1 */
    uint32_t n_index;
    struct Module *next;      /* all modules of the session */
} Module;

#define FRAME_ENTRY 1u        /* returns to C */
#define FRAME_SEGMENT 2u      /* opened a stack segment */
#define FRAME_TRAINING 4u     /* restores vm->training */

typedef struct Frame {
    FunctionObject *function; /* kept alive by the caller's register or by the object; NULL: a module's code */
    Proto *proto;
    const Code *pc;           /* of the next instruction, while it is not the innermost */
    Value *base, *result;
    uint8_t flags, training;
} Frame;

typedef struct Segment { struct Segment *below; Value *end; Value at[]; } Segment;

/* What others ask of the loop, besides FLAG_… of tensor.h: a look by config.visit; a stop of the debugger. */
enum { FLAG_VISIT = 4, FLAG_PAUSE = 8 };

#define MAX_FRAMES 100000
#define MAX_C_DEPTH 1000

struct Vm {
    TensorContext tensors;    /* its error is the error */
    atomic_uint flags;        /* FLAG_… of tensor.h */
    Frame *frame;             /* frame[0..n_frames) of MAX_FRAMES: they never move */
    int n_frames;
    int floor;                /* of these, those below wait for what runs in their midst */
    Segment *segment, *spare;
    int c_depth;
    int held;                 /* above 0 no visit may come: vm_hold_visits */
    bool training;
    bool exiting;
    int exit_code;
    Value thrown;             /* the value of a `throw`, or the error object that is thrown again */
    Trace *trace;             /* of the error that is under way */
    bool keeps_failures;      /* the frames of an error that nothing catches are kept … */
    struct Failure *failure;  /* … here, until the session takes them */
    char operand_name[ERROR_MAX_OPERANDS][32];
    Proto *protos;            /* all, newest first */
    struct Debugger *debugger;    /* while one is attached (debug.h) */
    struct Names *names;
    Module *modules;          /* all, newest first */
    Module *main;
    uint64_t next_model_id;
    struct NativeRow *natives;    /* call.c: what was learned of the table's rows on first use */
    NativeState native_state;
    Text scratch;             /* what the last text was put together in */
    struct Session *session;
};

/* ---- names.c ---- */
const char *name_intern(Vm *vm, const char *text, size_t length);      /* NULL: memory */
const char *name_find(const Vm *vm, const char *text);                 /* NULL: nobody ever wrote it */
void names_free(struct Names *names);

/* ---- vm.c ---- */
/* Runs the innermost frame until it returns; *result is where its frame says. */
bool vm_run(Vm *vm);

/* ---- call.c ---- */
Vm *vm_new(struct Session *session);
void vm_free(Vm *vm);
bool vm_run_proto(Vm *vm, Proto *proto, Value *result);                /* a module's code */
bool vm_run_with(Vm *vm, Proto *proto, int n, const Value *values, Value *result);     /* with its first registers */
bool value_callable(Value v);
void frame_pop(Vm *vm);                                                /* releases its registers */
/* Calls r[0] of a window: arguments at [args], which are taken. *entered: a frame was pushed that will fill *result;
   else *result is filled. [extra]: positional arguments before those that the site describes. */
bool call_begin(Vm *vm, Value *callee, Value *args, int n, Value *result, bool *entered);
bool call_begin_named(Vm *vm, Value *callee, Value *args, int n, int extra, const Site *site, Value *result,
                      bool *entered);
/* Puts arguments where parameters are, from [first] on: retained; what a default will fill stays UNDEFINED. */
bool call_bind(Vm *vm, const Proto *proto, Value *first, int n, const Value *args, int n_named,
               const NamedValue *named);
bool call_no_method(Vm *vm, Value v, const char *name);     /* false: the error of v.name(…) that nothing answers */
/* The window is result, receiver, arguments. */
bool method_begin(Vm *vm, const Proto *proto, Value *window, int n, Site *site, bool *entered);

/* ---- function.c ---- */
Value function_new(FunctionKind kind, int n_values);                   /* values UNDEFINED */
Value function_of_native(const NativeDef *def);
Value function_of_op(const OpDef *def);
Value function_bound(Value object, Value function);

/* ---- raise.c ---- */
Value vm_take_error(Vm *vm);                                           /* the error under way as a value; clears it */
void vm_set_error(Vm *vm, Value error);                                /* borrowed: throws it again */
void vm_trace(Vm *vm);                                                 /* notes where the error came from */
void vm_trace_at(Vm *vm, Source *source, Span span);                   /* the same, from a place in a text outwards */
bool do_throw(Vm *vm, Value v);
bool do_assert(Vm *vm, const Value *message, Value condition);

/* ---- operate.c: what instructions do beyond the fast cases ---- */
bool do_range(Vm *vm, Value a, Value b, Value *result);
/* [dies], [too]: registers that nothing reads behind it, or NULL. */
bool do_binary(Vm *vm, int operator_, Value x, Value y, const Value *dies, const Value *too, Value *result);
/* Of instructions with DEFER: the result may be put off until the next one takes it. [y] NULL: a unary operator. */
bool do_deferred(Vm *vm, int operator_, Value x, const Value *y, Value *result);
bool do_call_fused(Vm *vm, Value *window, int n, bool defer, bool *entered);
bool do_list(Vm *vm, Value *r, int count, Tag tag);
bool do_map(Vm *vm, Value *r, int count);
bool do_put(Vm *vm, Map *map, Value key, Value owned);
bool do_append(Vm *vm, Value *slot, Value v);
bool do_append_item(Vm *vm, Value *slot, Value owned);                 /* *slot ++= [owned] */
bool do_extend(Vm *vm, Value *slot, Value v);
bool do_unpack(Vm *vm, Value v, Value *to, int count, int rest);
bool do_format(Vm *vm, const Template *template, Value *r, int count);
bool do_closure(Vm *vm, Proto *proto, Value *r, int count);
static inline bool value_is_false(Value v)
{
    return (v.tag == TAG_BOOL && !v.b) || (v.tag == TAG_SCALAR && v.dtype == DTYPE_bool && !v.i);
}
static inline bool value_is_true(Value v)
{
    return (v.tag == TAG_BOOL && v.b) || (v.tag == TAG_SCALAR && v.dtype == DTYPE_bool && v.i);
}

/* ---- path.c: elements and parts ---- */
bool do_index(Vm *vm, Value x, Value subscript, Value *result);
bool do_index_many(Vm *vm, const IndexShape *shape, Value *r);
bool do_set_index(Vm *vm, Value *slot, Value subscript, int op, Value v);   /* slot[subscript] op= v */
bool do_set_path(Vm *vm, const Path *path, Value *root, Value *values);
bool set_path_global(Vm *vm, Module *module, const Path *path, Value *values);
bool append_global(Vm *vm, Module *module, uint32_t slot, Value v);

/* ---- iterate.c ---- */
bool iterate_begin(Vm *vm, Value owned, Value *r);                     /* into r[0], r[1] */
bool iterate_next(Vm *vm, Value *r, Value *item);                      /* TAG_DONE at the end */
void iterate_end(Vm *vm, Value *r);
bool count_bounds(Vm *vm, Value *start, Value *stop);

/* ---- object.c ---- */
Value model_new(Vm *vm, Proto *constructor);
Object *object_new(ModelObject *model);
bool object_init_field(Vm *vm, Object *object, int index, Value owned);
int model_find_method(const ModelObject *model, const char *name);     /* interned */
bool member_get(Vm *vm, Value v, Site *site, Value *result);
bool object_admits(Vm *vm, const Object *object, int index, Value v);  /* false, an error: [v] leads back to it */

/* ---- module.c ---- */
Module *module_new(Vm *vm, const char *name);
uint32_t module_slot(Module *module, const char *name);                /* makes it; UINT32_MAX: memory */
bool module_find(const Module *module, const char *name, uint32_t *slot);
void module_clear(Module *module);
int64_t module_stamp(const char *path);        /* changes when the file does; 0: there is none */
/* Runs a file's module again and puts what it has now in its place; on errors it stays as it was. */
bool module_reload(Vm *vm, Module *module);
void module_forget(Module *module);                                    /* no names, and found by no path any more */
bool global_get(Vm *vm, Module *module, uint32_t slot, Value *out);    /* borrowed; an error when unknown */
bool global_callee(Vm *vm, Module *module, uint32_t slot, Value *out);
bool global_function(Vm *vm, Module *module, uint32_t slot, Value *out, bool *found);   /* what x.f(…) may call */
bool module_member(Vm *vm, Module *module, const char *name, Value *out);
bool module_use(Vm *vm, Module *user, const char *path, Value *out);
bool module_is_standard(const char *name);
char *module_read(Vm *vm, const char *path, size_t *length);           /* malloc'ed; NULL: error set */
/* The error of a name that nothing has; [more] names are suggested first. Always false. */
bool name_unknown(Vm *vm, const Module *module, const char *name, int n_more, const char *const *more);
bool module_no_member(Vm *vm, const Module *module, const char *name);      /* the same for module.name */
/* [path] beside the file [user] (NULL: none) that mentions it, in its shortest form; interned. NULL: error. */
const char *module_path_beside(Vm *vm, const char *user, const char *path);
const char *module_path(Vm *vm, const char *path);           /* as modules are cached and shown; NULL: error */
bool callee_or(Vm *vm, Module *module, uint32_t slot, Value *callee);   /* the function of that name, if there is one */
bool name_known(Vm *vm, const char *name);                   /* a builtin, op, prelude name or standard module */
bool library_name(const char *name, char *full, size_t size); /* where it is known: "relu", "nn.Linear" (suggest.h) */

/* ---- contract.c ---- */
bool contract_check(Vm *vm, const struct Contract *contract, Value *r, const Proto *proto);
bool contract_check_result(Vm *vm, const struct Contract *contract, Value *r, Value v, const Proto *proto);

/* ---- session.c ---- */
bool session_option(Vm *vm, const char *name, Value *slot);
void session_visit(struct Session *session);                           /* calls config.visit, where it may be */

#endif
