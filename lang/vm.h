/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtual machine as the language's own C functions see it: calling back, failing, binding arguments.
   Code, frames and the dispatch loop are in vm.c; compile.c makes the code. */
#ifndef TESSERA_VM_H
#define TESSERA_VM_H

#include "value.h"

struct Session;

/* A function of the language written in C: one row of builtins.def. [args] has one value per parameter of the row's
   signature, in order, defaults filled in (none where optional and absent; `..rest` is a list, a named rest a map).
   Fills *result (owned) or returns false with vm_error set. */
typedef bool NativeRun(Vm *vm, const Value *args, Value *result);

typedef struct NativeDef {
    const char *name;         /* "len", or "_optim.gradients" for members of a hidden module */
    const char *signature;
    NativeRun *run;
    const char *doc;
    const char *example;
} NativeDef;
extern const NativeDef native_defs[];
extern const int native_count;

/* Builtin names that are plain values, such as pi. A native of the same name as an op hides it. */
typedef struct ConstantDef { const char *name; Value value; const char *doc; } ConstantDef;
extern const ConstantDef constant_defs[];
extern const int constant_count;

/* What is called. */
typedef enum FunctionKind { FUNCTION_CLOSURE, FUNCTION_NATIVE, FUNCTION_OP, FUNCTION_METHOD } FunctionKind;

typedef struct NamedValue { const char *name; Value value; } NamedValue;

/* Calls any callable (function, model: makes an object, object: its forward). Arguments borrowed, result owned. */
bool vm_call(Vm *vm, Value callee, int n_args, const Value *args, int n_named, const NamedValue *named, Value *result);
/* Calls a function of the prelude: how a native goes on in the language for some types. */
bool vm_call_prelude(Vm *vm, const char *name, int n_args, const Value *args, Value *result);
/* Calls object.name(…) when the object has that method. *found false and true returned when it has none. */
bool vm_call_method(Vm *vm, Value object, const char *name, int n_args, const Value *args, Value *result, bool *found);

/* What others ask for, at a safe point: between two instructions, or in a native that reads only what its arguments hold.
   Another text may run there. False after an interrupt, with the error set. */
bool vm_safe_point(Vm *vm);
/* Paired: between them no other text runs, because something shared is half done, such as a module that is being loaded. */
void vm_hold_visits(Vm *vm, bool hold);

/* `return vm_fail(vm, ERROR_value, "take", "n must not be negative, got %lld", n);` The span and the stack are added
   by the VM. */
bool vm_fail(Vm *vm, ErrorKind kind, const char *op, const char *format, ...) __attribute__((format(printf, 4, 5)));
bool vm_out_of_memory(Vm *vm);
TensorContext *vm_tensors(Vm *vm);                         /* its error is the VM's error */
struct Session *vm_session(Vm *vm);
bool vm_training(const Vm *vm);                            /* inside a step */
void vm_set_training(Vm *vm, bool training);

/* ---- what natives need of the session ---- */
const struct SessionConfig *vm_config(const Vm *vm);
bool vm_output(Vm *vm, int stream, const char *text, size_t length);   /* enum OutputStream; always true */
bool vm_exit(Vm *vm, int code);                            /* exit(n): unwinds everything; returns false */
Value vm_script_arguments(Vm *vm);                         /* list of strings after the script's name; owned */
/* What natives keep for each VM. */
typedef struct SuspendedProgress { struct Progress *top; struct SuspendedProgress *below; } SuspendedProgress;
typedef struct NativeState {
    struct Progress *progress;                             /* the innermost one that runs (builtin_progress.c) */
    SuspendedProgress *suspended;                          /* those of computations that are set aside (suspend.h) */
    double progress_tokens, progress_time;                 /* how many messages may go out, as of that time */
    struct RegexCache *regex;                              /* compiled patterns (builtin_regex.c) */
    Value places;                                          /* map: names given to display() -> their numbers */
    int n_places, old_places;                              /* numbers given out, to progress too; of those, earlier */
    Value comms, comm_targets;                             /* maps: id, target -> handler (builtin_notebook.c) */
} NativeState;
NativeState *vm_native_state(Vm *vm);
void regex_cache_free(struct RegexCache *cache);
void progress_stop_all(NativeState *state);                /* none runs any longer, and nothing is told */

/* ---- functions, as reflection and printing see them ---- */
const char *function_name(Value callable);                 /* of a function or model; "" for a lambda */
const NativeDef *function_native(Value callable);          /* NULL when it is no native */
const OpDef *function_op(Value callable);                  /* NULL when it is no op */
const char *module_name(const struct Module *module);
/* A native that carries values, such as what grad(f) gives: run gets [bound] first (retained here), then one value per
   parameter of def->signature. [def] outlives it. TAG_UNDEFINED when memory is out. */
Value function_native_closure(const NativeDef *def, int n_bound, const Value *bound);

/* x.name for values with built-in members: tensors (shape, ndim, size, dtype, T), errors, ranges, streams
   (members.c). *found false and true returned when it has no such member; maps, objects and modules are the VM's. */
bool value_member(Vm *vm, Value v, const char *name, Value *result, bool *found);

/* Iteration over anything `for` takes: *iterator becomes a TAG_STREAM or a cheap cursor. */
bool vm_iterate(Vm *vm, Value iterable, Value *iterator);
bool vm_next(Vm *vm, Value iterator, Value *item);         /* TAG_DONE at the end */
void vm_iterate_close(Vm *vm, Value iterator);             /* after break or error */

/* ---- objects: instances of models ---- */
typedef enum FieldKind { FIELD_PLAIN, FIELD_PARAM, FIELD_BUFFER } FieldKind;
typedef struct ModelObject ModelObject;
typedef struct Object {
    int32_t refs;
    uint8_t mode;             /* 0 as the step says, 1 pinned to train, 2 pinned to eval: calling a method of a pinned
                                 object sets vm_training until it returns */
    uint8_t frozen;
    ModelObject *model;
    int n_fields;
    Value field[];            /* constructor parameters first, then fields in order of declaration */
} Object;
const char *object_model_name(const Object *object);
const char *object_field_name(const Object *object, int index);
FieldKind object_field_kind(const Object *object, int index);
bool object_field_hidden(const Object *object, int index); /* a constructor parameter: not shown, not state */
/* The field that comes at [place] where fields are shown, counted and saved: declared ones first. */
int object_nth_field(const Object *object, int place);
int object_find_field(const Object *object, const char *name);   /* -1 none */
/* Stores, checking cells' shape and dtype and refusing a path back to the object. */
bool object_store_take(Vm *vm, Object *object, int index, Value owned);

/* ---- printing (print.c): what `print`, the echo and "{x}" show ---- */
typedef struct Text { char *at; size_t length, room; bool failed; } Text;   /* a growing string */
void text_add(Text *text, const char *bytes, size_t length);
void text_format(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(Text *text);
bool function_header(Value callable, Text *out);           /* "name(x, y=2, ..rest)"; a lambda: "(x, y)" (by the VM) */
bool error_trace_text(Vm *vm, const ErrorObject *error, Text *out);    /* one line a user frame (by the VM) */
bool value_print(Vm *vm, Value v, Text *out);              /* strings bare: what print() shows */
bool value_repr(Vm *vm, Value v, Text *out);               /* strings quoted, models as trees: the echo */
bool value_format(Vm *vm, Value v, const char *spec, Text *out);   /* "{x:.3f}" */

#endif
