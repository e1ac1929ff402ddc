/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values: 16 bytes, a tag and a payload. Small ones are immediate, the others point to a counted heap object whose
   first field is its count (Tensor has the same head). Nothing can form a cycle, so counts are complete.

   Lists, maps and tuples have value semantics: whoever holds the only reference may change in place, everybody else
   changes a copy (list_own, map_own). Objects alone have identity.
   Arguments are borrowed, results are owned, _take takes. */
#ifndef TESSERA_VALUE_H
#define TESSERA_VALUE_H

#include "../tensor/tensor.h"
#include "source.h"

typedef struct Vm Vm;

typedef enum Tag {
    TAG_UNDEFINED,            /* no value yet: never seen by a program */
    TAG_NONE, TAG_BOOL, TAG_INT, TAG_FLOAT,
    TAG_SCALAR,               /* a 0-d tensor without gradient: dtype, and f (floats) or i (ints, bool) */
    TAG_DONE,                 /* the end of a stream */
    TAG_DATE,                 /* a moment: i, microseconds since 1970, and the zone it is told in */
    TAG_STRING,               /* the first tag with a heap object */
    TAG_LIST, TAG_TUPLE, TAG_MAP,
    TAG_SET,                  /* a map whose values are none */
    TAG_RANGE, TAG_TENSOR,
    TAG_FUNCTION,             /* closure, native, op, bound method */
    TAG_MODEL,                /* what `model` declares: makes objects */
    TAG_OBJECT,
    TAG_MODULE,
    TAG_STREAM,               /* a native iterator */
    TAG_ERROR,                /* what catch receives */
    TAG_COUNT
} Tag;

/* The common head of heap objects. */
typedef struct Heap { int32_t refs; } Heap;

typedef struct Value {
    union {
        struct {
            uint8_t tag;
            uint8_t dtype;    /* of TAG_SCALAR */
            int16_t zone;     /* of TAG_DATE: minutes east of Greenwich */
        };
        uint64_t head;        /* all of them, and nothing else */
    };
    union {
        int64_t i;
        double f;
        bool b;
        Heap *heap;
        Tensor *tensor;
        struct String *string;
        struct List *list;    /* tuples too */
        struct Map *map;      /* sets too */
        struct Range *range;
        struct FunctionObject *function;
        struct ModelObject *model;
        struct Object *object;
        struct Module *module;
        struct Stream *stream;
        struct ErrorObject *error;
    };
} Value;

typedef struct String {
    int32_t refs;
    uint32_t length;          /* bytes */
    uint32_t hash;            /* 0: not computed */
    uint32_t codepoints;      /* UINT32_MAX: not counted; == length: ASCII, indexing is direct */
    uint32_t room;            /* bytes for the text, without the terminator */
    char text[];              /* UTF-8, terminated */
} String;

typedef struct List {
    int32_t refs;
    int32_t near;             /* items that fit behind the head: a list starts there and moves away when it grows */
    int64_t count, room;
    Value *at;
    Value item[];
} List;

typedef struct MapEntry { Value key, value; uint32_t hash; } MapEntry;   /* key UNDEFINED: removed */
typedef struct Map {
    int32_t refs;
    int64_t count;            /* live entries */
    int64_t used, room;       /* entries in insertion order, removed ones included */
    MapEntry *entry;
    int32_t *slot;            /* open addressing into entry; -1 empty; behind the entries in memory */
    int64_t n_slots;          /* 0: so few entries that they are searched in order */
} Map;

typedef struct Range { int32_t refs; int64_t start, stop, step; } Range;

typedef struct Stream {       /* a native iterator; [next] gives TAG_DONE at its end, false on error */
    int32_t refs;
    bool busy;                /* in [next], which must not be entered again */
    const struct StreamKind { const char *name; bool (*next)(Vm *vm, struct Stream *s, Value *out);
                              void (*close)(Vm *vm, struct Stream *s);   /* at the end, break or error; may be NULL */
                              void (*free)(struct Stream *s);
                              int64_t (*length)(struct Stream *s); } *kind;   /* -1 unknown; may be NULL */
    Value source;             /* what it draws from; UNDEFINED if nothing */
    void *state;
} Stream;

typedef struct ErrorObject {  /* e.kind e.message e.value e.hint; e.trace as text */
    int32_t refs;
    ErrorKind kind;
    Value message;            /* string */
    Value value;              /* what was thrown, or none */
    Value hint;               /* string or none */
    char op[32];
    struct Trace *trace;      /* where; owned */
    int n_operands;
    ErrorOperand operand[ERROR_MAX_OPERANDS];
    char operand_name[ERROR_MAX_OPERANDS][32];   /* the variables' names where known */
} ErrorObject;

/* ---- immediates ---- */
#define VALUE_UNDEFINED ((Value){.tag = TAG_UNDEFINED})
#define VALUE_NONE ((Value){.tag = TAG_NONE})
#define VALUE_DONE ((Value){.tag = TAG_DONE})
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VALUE_HEAD(tag) ((uint64_t)(tag))
#else
#define VALUE_HEAD(tag) ((uint64_t)(tag) << 56)
#endif
static inline Value value_int(int64_t i) { return (Value){.head = VALUE_HEAD(TAG_INT), .i = i}; }
static inline Value value_float(double f) { return (Value){.head = VALUE_HEAD(TAG_FLOAT), .f = f}; }
static inline Value value_bool(bool b) { return (Value){.head = VALUE_HEAD(TAG_BOOL), .i = b}; }
static inline Value value_scalar_int(Dtype d, int64_t i) { return (Value){.tag = TAG_SCALAR, .dtype = (uint8_t)d, .i = i}; }
static inline Value value_scalar_float(Dtype d, double f) { return (Value){.tag = TAG_SCALAR, .dtype = (uint8_t)d, .f = f}; }
static inline Value value_date(int64_t i, int zone) { return (Value){.tag = TAG_DATE, .zone = (int16_t)zone, .i = i}; }
static inline bool value_is_heap(Value v) { return v.tag >= TAG_STRING; }

/* ---- counts ---- */
void value_free(Value v);                                  /* count reached 0; uses a worklist, never recursion */
static inline Value value_retain(Value v) { if (value_is_heap(v)) v.heap->refs++; return v; }
static inline void value_release(Value v) { if (value_is_heap(v) && --v.heap->refs == 0) value_free(v); }
static inline void value_set(Value *slot, Value owned) { Value old = *slot; *slot = owned; value_release(old); }
int64_t value_live_objects(void);                          /* blocks of values alive in this process, and tensors */
int64_t value_live_bytes(void);                            /* what they take, the data of tensors included */

/* ---- strings, lists, maps: NULL when memory is out (vm's error is set by the caller's helper) ---- */
Value string_new(const char *text, size_t length);         /* TAG_UNDEFINED when memory is out; so below */
Value string_from(const char *text);
Value string_concat(Value a, Value b);
uint32_t string_points(String *string);         /* its codepoints, counted once */
bool string_append(Value *to, Value more);     /* *to ++= more, in place if nobody else holds it; false: no memory */
Value list_new(int64_t room);                              /* empty */
Value tuple_new(int64_t count);                            /* filled with NONE */
bool list_push_take(List *list, Value owned);              /* only while unshared */
Value list_own(Value *slot);                               /* makes *slot (a list or tuple) unshared, returns it borrowed */
Value map_new(void);
Value set_new(void);
bool map_reserve(Map *map, int64_t more);      /* room for so many more keys; false: no memory */
Value map_own(Value *slot);                                /* sets too */
bool map_set_take(Map *map, Value key, Value owned);       /* [key] borrowed; false: unhashable or memory */
bool map_get(const Map *map, Value key, Value *out);       /* borrowed */
bool map_get_text(const Map *map, const char *key, Value *out);
Value *map_slot(Map *map, Value key);                      /* where the value lies in an unshared map, or NULL */
bool map_remove(Map *map, Value key);
bool value_hashable(Value v);                              /* strings, ints, bools, dates and tuples of them */
uint32_t value_hash(Value v);
Value range_new(int64_t start, int64_t stop, int64_t step);
int64_t range_length(const Range *range);
Value stream_new_take(const struct StreamKind *kind, Value source, void *state);   /* on failure [source] is released */

/* ---- general ---- */
const char *value_type_name(Value v);                      /* "int", "list", "tensor", "Block" … */
void value_describe(Value v, char *buffer, size_t size);   /* "f32[64, 10]", "list of 3", "int" for messages */
bool value_same(Value a, Value b);                         /* whole-value equality: same(a, b) */
static inline bool value_is_number(Value v) { return v.tag == TAG_INT || v.tag == TAG_FLOAT || v.tag == TAG_SCALAR; }
bool value_to_int(Value v, int64_t *out);                  /* int, or an int scalar */
bool value_to_double(Value v, double *out);                /* int, float, bool-free scalar */

/* ---- between values and tensors ---- */
/* A tensor for an op: tensors themselves (+1), numbers as weak 0-d, scalars as 0-d, rectangular lists promoted.
   NULL: not possible, error set in [context] naming the value. */
Tensor *value_to_tensor(TensorContext *context, Value v);
Value value_from_tensor_take(Tensor *owned);               /* unboxes 0-d without gradient */

#endif
