/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dispatch loop. It does by itself what is fast (ints, floats, moves, calls of closures with plain arguments, list
   elements) and hands everything else to call.c, path.c, object.c, module.c and the natives.
   Invariants: a register holds an owned value or none; an instruction that fails leaves its registers valid; the
   loop never nests for calls between functions of the language. */
#include "debug.h"
#include "machine.h"

#include <math.h>
#include <stdlib.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Registers are written and read as two words. A copy of all 16 bytes at once would have to wait until both words that
   were written a moment ago have reached the cache. */
static inline Value get(const Value *slot)
{
    Value v;
    v.head = slot->head;
    v.i = slot->i;
    return v;
}

static inline void set(Value *slot, Value owned)
{
    slot->head = owned.head;
    slot->i = owned.i;
}

static inline void put(Value *slot, Value owned)
{
    Value old = get(slot);
    set(slot, owned);
    if (UNLIKELY(value_is_heap(old)))
        value_release(old);
}

static inline void drop(Value *slot)
{
    Value old = get(slot);
    slot->head = VALUE_HEAD(TAG_UNDEFINED);
    value_release(old);
}

static inline Value take(Value *slot)
{
    Value v = get(slot);
    slot->head = VALUE_HEAD(TAG_UNDEFINED);
    return v;
}

static inline Value copy(const Value *slot)
{
    return value_retain(get(slot));
}

/* Both as floats, if both are floats or plain ints. */
static inline bool floats(const Value *x, const Value *y, double *left, double *right)
{
    if (x->tag == TAG_FLOAT)
        *left = x->f;
    else if (x->tag == TAG_INT)
        *left = (double)x->i;
    else
        return false;
    if (y->tag == TAG_FLOAT)
        *right = y->f;
    else if (y->tag == TAG_INT)
        *right = (double)y->i;
    else
        return false;
    return true;
}

/* Where the error under way is handled, if in this frame; iterators on the way out are closed. */
static const Code *find_handler(Vm *vm, const Frame *frame)
{
    const Proto *proto = frame->proto;
    int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
    bool unstoppable = vm->exiting || vm->tensors.error.kind == ERROR_interrupt;
    for (int i = 0; i < proto->n_handlers; i++) {
        const Handler *handler = &proto->handlers[i];
        if (pc < handler->start || pc >= handler->end)
            continue;
        if (handler->kind == HANDLER_CLOSE)
            iterate_end(vm, &frame->base[handler->reg]);
        else if (handler->kind == HANDLER_FINALLY || !unstoppable)
            return proto->code + handler->target;
    }
    return NULL;
}

/* Leaves frames until one handles the error. False: none down to the entry from C. */
static bool unwind(Vm *vm)
{
    vm_trace(vm);
    for (;;) {
        Frame *frame = &vm->frame[vm->n_frames - 1];
        const Code *handler = find_handler(vm, frame);
        if (handler) {
            frame = &vm->frame[vm->n_frames - 1];
            frame->pc = handler;
            return true;
        }
        bool entry = frame->flags & FRAME_ENTRY;
        frame_pop(vm);
        if (entry)
            return false;
    }
}

/* Whether a call with [n] arguments at [base] only needs a frame: nothing to bind, and room. */
static inline bool enters_plainly(const Vm *vm, const Proto *callee, const Value *base, int n)
{
    return callee->simple && n == callee->n_params && vm->n_frames < MAX_FRAMES &&
           callee->n_registers <= vm->segment->end - base;
}

#define A r[CODE_A(w)]
#define B r[CODE_B(w)]
#define C r[CODE_C(w)]
#define FLAG(f) ((w) & (Code)(f) << 8)
#define NEXT() do { w = *pc++; goto *label[w & 255u]; } while (0)
#define SAVE() (frame->pc = pc)
#define LOAD() do { \
        frame = &vm->frame[vm->n_frames - 1]; \
        proto = frame->proto; pc = frame->pc; r = frame->base; k = proto->constants; \
    } while (0)
#define TRY(call) do { if (UNLIKELY(!(call))) goto fail; } while (0)
/* A safe point; the next instruction follows. */
#define POLL() do { if (UNLIKELY(atomic_load_explicit(&vm->flags, memory_order_relaxed))) goto asked; } while (0)
#define JUMP_BY(by) do { int32_t by_ = (by); pc += by_; if (by_ < 0) POLL(); } while (0)
/* The next instruction is a JUMP or LOOP: taken or stepped over. */
#define BRANCH(taken) do { if (taken) JUMP_BY(CODE_WIDE(*pc) + 1); else pc++; } while (0)
#define BOTH(t) (x->tag == (t) && y->tag == (t))
#define ARITHMETIC(oper, checked, sign) \
    if (LIKELY(BOTH(TAG_INT))) { \
        int64_t sum; \
        if (LIKELY(!checked(x->i, y->i, &sum))) { put(&A, value_int(sum)); NEXT(); } \
    } else if (floats(x, y, &left, &right)) { \
        put(&A, value_float(left sign right)); NEXT(); \
    } \
    operation = oper; goto binary
#define DIVISION(oper) \
    if (!BOTH(TAG_INT) && floats(x, y, &left, &right)) { put(&A, value_float(left / right)); NEXT(); } \
    operation = oper; goto binary
#define REMAINDER(oper, by_positive) \
    if (BOTH(TAG_INT) && y->i > 0) { \
        int64_t q = x->i / y->i, m = x->i % y->i; \
        if (m < 0) { m += y->i; q--; } \
        (void)q; (void)m; \
        put(&A, value_int(by_positive)); NEXT(); \
    } \
    operation = oper; goto binary
#define COMPARISON(oper, sign) \
    if (LIKELY(BOTH(TAG_INT))) { put(&A, value_bool(x->i sign y->i)); NEXT(); } \
    if (BOTH(TAG_FLOAT)) { put(&A, value_bool(x->f sign y->f)); NEXT(); } \
    operation = oper; goto binary
#define TEST(oper, sign) \
    if (LIKELY(BOTH(TAG_INT))) { BRANCH((x->i sign y->i) == !!FLAG(EXPECT)); NEXT(); } \
    if (BOTH(TAG_FLOAT)) { BRANCH((x->f sign y->f) == !!FLAG(EXPECT)); NEXT(); } \
    operation = oper; goto test
#define REGISTERS() x = &B; y = &C
#define CONSTANT() x = &B; y = &k[CODE_C(w)]
#define ORDERED() CONSTANT(); if (FLAG(SWAPPED)) { const Value *z_ = x; x = y; y = z_; }
#define TESTED() x = &A; y = &B
#define TESTED_K() x = &A; y = &k[CODE_WIDE(w)]

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

bool vm_run(Vm *vm)
{
    static const void *const label[] = {
#define OPCODE(name, a, b, c, range, effect) &&op_##name,
#include "opcodes.def"
#undef OPCODE
    };
    const Code *pc;
    Value *r;
    const Value *k, *x, *y;
    const Proto *proto;
    Frame *frame;
    FunctionObject *function;
    Code w;
    int operation;
    Value made;
    double left, right;
    bool entered, truth;

    LOAD();
    NEXT();

    /* ---- loads and moves ---- */
op_CLEAR:
    for (unsigned i = 0; i < CODE_B(w); i++)
        r[CODE_A(w) + i].head = VALUE_HEAD(TAG_UNDEFINED);
    NEXT();
op_MOVE:
    made = FLAG(KILL_B) ? take(&B) : copy(&B);
    put(&A, made);
    NEXT();
op_LOAD_CONST:
    put(&A, copy(&k[CODE_WIDE(w)]));
    NEXT();
op_LOAD_INT:
    put(&A, value_int(CODE_WIDE(w)));
    NEXT();
op_LOAD_FIXED: {
    static const Value fixed[] = {{.tag = TAG_NONE}, {.tag = TAG_BOOL, .b = false}, {.tag = TAG_BOOL, .b = true},
                                  {.tag = TAG_DONE}};
    put(&A, fixed[CODE_B(w)]);
    NEXT();
}
op_CHECK:
    if (UNLIKELY(A.tag == TAG_UNDEFINED)) {
        vm_fail(vm, ERROR_name, "", "%s has no value here: it is assigned on another path only",
                k[CODE_WIDE(w)].string->text);
        goto fail;
    }
    NEXT();
op_GET_GLOBAL: {
    const Slot *slot = &proto->module->slot[CODE_WIDE(w)];
    if (LIKELY(slot->value.tag != TAG_UNDEFINED)) {
        put(&A, copy(&slot->value));
    } else if (slot->function.tag != TAG_UNDEFINED) {
        put(&A, copy(&slot->function));
    } else {
        SAVE();
        TRY(global_get(vm, proto->module, (uint32_t)CODE_WIDE(w), &made));
        put(&A, value_retain(made));
    }
    NEXT();
}
op_GET_CALLEE: {
    const Slot *slot = &proto->module->slot[CODE_WIDE(w)];
    if (LIKELY(slot->value.tag == TAG_UNDEFINED && slot->function.tag != TAG_UNDEFINED)) {
        put(&A, copy(&slot->function));
    } else {
        SAVE();
        TRY(global_callee(vm, proto->module, (uint32_t)CODE_WIDE(w), &made));
        put(&A, value_retain(made));
    }
    NEXT();
}
op_GET_VARIABLE:
    put(&A, value_retain(proto->module->slot[CODE_WIDE(w)].value));
    NEXT();
op_SET_GLOBAL:
    put(&proto->module->slot[CODE_WIDE(w)].value, FLAG(KILL_A) ? take(&A) : copy(&A));
    NEXT();
op_SET_FUNCTION: {
    Slot *slot = &proto->module->slot[CODE_WIDE(w)];
    put(&slot->value, VALUE_UNDEFINED);
    put(&slot->function, FLAG(KILL_A) ? take(&A) : copy(&A));
    slot->declared = true;
    NEXT();
}
op_GET_CAPTURE: {
    Value v = frame->function->value[CODE_B(w)];
    if (UNLIKELY(v.tag == TAG_UNDEFINED)) {
        vm_fail(vm, ERROR_name, "", "%s had no value when this function was made", k[CODE_C(w)].string->text);
        goto fail;
    }
    put(&A, value_retain(v));
    NEXT();
}
op_COPY_CAPTURE:
    put(&A, value_retain(frame->function->value[CODE_B(w)]));
    NEXT();
op_LATE_CAPTURE:
    made = frame->function->value[CODE_B(w)];
    if (made.tag == TAG_UNDEFINED) {
        SAVE();
        TRY(global_get(vm, proto->module, CODE_C(w), &made));
    }
    put(&A, value_retain(made));
    NEXT();
op_CALLEE_CAPTURE:
    made = frame->function->value[CODE_B(w)];
    if (made.tag != TAG_FUNCTION && !value_callable(made)) {
        SAVE();
        TRY(callee_or(vm, proto->module, CODE_C(w), &made));
    }
    put(&A, value_retain(made));
    NEXT();
op_CALLEE_LOCAL:
    made = B;
    if (made.tag != TAG_FUNCTION && !value_callable(made)) {
        SAVE();
        TRY(callee_or(vm, proto->module, CODE_C(w), &made));
    }
    put(&A, value_retain(made));
    NEXT();
op_OWN_FUNCTION: {
    FunctionObject *own = frame->function;
    own->refs++;
    put(&A, (Value){.tag = TAG_FUNCTION, .function = own});
    NEXT();
}
op_GET_FIELD: {
    Value v = get(&B.object->field[CODE_C(w)]);
    if (UNLIKELY(v.tag == TAG_UNDEFINED)) {
        vm_fail(vm, ERROR_name, "", "the field %s has no value yet", object_field_name(B.object, (int)CODE_C(w)));
        goto fail;
    }
    put(&A, value_retain(v));
    NEXT();
}
op_SET_FIELD:
    made = FLAG(KILL_A) ? take(&A) : copy(&A);
    if (LIKELY(!value_is_heap(made) && object_field_kind(B.object, (int)CODE_C(w)) == FIELD_PLAIN)) {
        put(&B.object->field[CODE_C(w)], made);
        NEXT();
    }
    TRY(object_store_take(vm, B.object, (int)CODE_C(w), made));
    NEXT();
op_INIT_FIELD:
    made = FLAG(KILL_A) ? take(&A) : copy(&A);
    TRY(object_init_field(vm, r[0].object, (int)CODE_B(w), made));
    NEXT();

    /* ---- operators ---- */
op_ADD: REGISTERS(); ARITHMETIC(OPERATOR_ADD, __builtin_add_overflow, +);
op_SUB: REGISTERS(); ARITHMETIC(OPERATOR_SUB, __builtin_sub_overflow, -);
op_MUL: REGISTERS(); ARITHMETIC(OPERATOR_MUL, __builtin_mul_overflow, *);
op_DIV: REGISTERS(); DIVISION(OPERATOR_DIV);
op_FLOORDIV: REGISTERS(); REMAINDER(OPERATOR_FLOORDIV, q);
op_MOD: REGISTERS(); REMAINDER(OPERATOR_MOD, m);
op_ADD_K: ORDERED(); ARITHMETIC(OPERATOR_ADD, __builtin_add_overflow, +);
op_SUB_K: ORDERED(); ARITHMETIC(OPERATOR_SUB, __builtin_sub_overflow, -);
op_MUL_K: ORDERED(); ARITHMETIC(OPERATOR_MUL, __builtin_mul_overflow, *);
op_DIV_K: ORDERED(); DIVISION(OPERATOR_DIV);
op_FLOORDIV_K: ORDERED(); REMAINDER(OPERATOR_FLOORDIV, q);
op_MOD_K: ORDERED(); REMAINDER(OPERATOR_MOD, m);
op_MATMUL: REGISTERS(); operation = OPERATOR_MATMUL; goto binary;
op_POW: REGISTERS(); operation = OPERATOR_POW; goto binary;
op_CONCAT: REGISTERS(); operation = OPERATOR_CONCAT; goto binary;
op_EQ: REGISTERS(); COMPARISON(OPERATOR_EQ, ==);
op_NE: REGISTERS(); COMPARISON(OPERATOR_NE, !=);
op_LT: REGISTERS(); COMPARISON(OPERATOR_LT, <);
op_LE: REGISTERS(); COMPARISON(OPERATOR_LE, <=);
op_GT: REGISTERS(); COMPARISON(OPERATOR_GT, >);
op_GE: REGISTERS(); COMPARISON(OPERATOR_GE, >=);
op_IN: REGISTERS(); operation = OPERATOR_IN; goto binary;
op_NOT_IN: REGISTERS(); operation = OPERATOR_NOT_IN; goto binary;
op_AND_COMBINE: REGISTERS(); operation = OPERATOR_AND; goto binary;
op_OR_COMBINE: REGISTERS(); operation = OPERATOR_OR; goto binary;
binary:
    SAVE();
    TRY(FLAG(DEFER) ? do_deferred(vm, operation, *x, y, &made)
                    : do_binary(vm, operation, *x, *y, FLAG(KILL_C) ? &C : NULL, FLAG(KILL_B) ? &B : NULL, &made));
    if (FLAG(KILL_B))
        drop(&B);
    if (FLAG(KILL_C))
        drop(&C);
    put(&A, made);
    POLL();
    NEXT();
op_NEG:
    if (LIKELY(B.tag == TAG_FLOAT)) {
        put(&A, value_float(-B.f));
        NEXT();
    }
    operation = OPERATOR_NEG;
    goto unary;
op_NOT:
    if (LIKELY(B.tag == TAG_BOOL)) {
        put(&A, value_bool(!B.b));
        NEXT();
    }
    operation = OPERATOR_NOT;
unary:
    SAVE();
    TRY(FLAG(DEFER) ? do_deferred(vm, operation, B, NULL, &made) : arith_unary(vm, operation, B, &made));
    if (FLAG(KILL_B))
        drop(&B);
    put(&A, made);
    NEXT();
op_APPEND:
    TRY(do_append(vm, &A, B));
    if (FLAG(KILL_B))
        drop(&B);
    NEXT();
op_APPEND_GLOBAL:
    TRY(append_global(vm, proto->module, (uint32_t)CODE_WIDE(w), A));
    if (FLAG(KILL_A))
        drop(&A);
    NEXT();
op_APPEND_FIELD:
    TRY(do_append(vm, &B.object->field[CODE_C(w)], A));
    if (FLAG(KILL_A))
        drop(&A);
    NEXT();

    /* ---- jumps ---- */
op_JUMP:
    JUMP_BY(CODE_WIDE(w));
    NEXT();
op_LOOP:
    pc += CODE_WIDE(w);
    POLL();
    NEXT();
op_JUMP_TRUE:
op_JUMP_FALSE:
    if (LIKELY(A.tag == TAG_BOOL)) {
        truth = A.b;
    } else {
        TRY(arith_truth(vm, A, &truth));
        if (FLAG(KILL_A))
            drop(&A);
    }
    if (truth == (CODE_OP(w) == CODE_JUMP_TRUE))
        JUMP_BY(CODE_WIDE(w));
    NEXT();
op_JUMP_AND:
    if (value_is_false(A))
        pc += CODE_WIDE(w);
    NEXT();
op_JUMP_OR:
    if (value_is_true(A))
        pc += CODE_WIDE(w);
    NEXT();
op_JUMP_DEFINED:
    if (A.tag != TAG_UNDEFINED)
        pc += CODE_WIDE(w);
    NEXT();
op_TEST_EQ: TESTED(); TEST(OPERATOR_EQ, ==);
op_TEST_NE: TESTED(); TEST(OPERATOR_NE, !=);
op_TEST_LT: TESTED(); TEST(OPERATOR_LT, <);
op_TEST_LE: TESTED(); TEST(OPERATOR_LE, <=);
op_TEST_GT: TESTED(); TEST(OPERATOR_GT, >);
op_TEST_GE: TESTED(); TEST(OPERATOR_GE, >=);
op_TEST_EQ_K: TESTED_K(); TEST(OPERATOR_EQ, ==);
op_TEST_NE_K: TESTED_K(); TEST(OPERATOR_NE, !=);
op_TEST_LT_K: TESTED_K(); TEST(OPERATOR_LT, <);
op_TEST_LE_K: TESTED_K(); TEST(OPERATOR_LE, <=);
op_TEST_GT_K: TESTED_K(); TEST(OPERATOR_GT, >);
op_TEST_GE_K: TESTED_K(); TEST(OPERATOR_GE, >=);
test:
    SAVE();
    TRY(arith_binary(vm, operation, *x, *y, &made));
    if (made.tag == TAG_BOOL) {
        truth = made.b;
    } else {
        entered = arith_truth(vm, made, &truth);
        value_release(made);
        TRY(entered);
    }
    if (FLAG(KILL_A))
        drop(&A);
    if (FLAG(KILL_B))
        drop(&B);
    BRANCH(truth == !!FLAG(EXPECT));
    NEXT();

    /* ---- loops ---- */
op_ITERATE:
    made = FLAG(KILL_B) ? take(&B) : copy(&B);
    drop(&A);
    drop(&r[CODE_A(w) + 1]);
    TRY(iterate_begin(vm, made, &A));
    NEXT();
op_NEXT:
    if (A.tag == TAG_LIST) {
        Value *cursor = &r[CODE_A(w) + 1];
        if (cursor->i < A.list->count) {
            put(&B, copy(&A.list->at[cursor->i++]));
            BRANCH(true);
        } else {
            pc++;
        }
        NEXT();
    }
    SAVE();
    TRY(iterate_next(vm, &A, &made));
    if (made.tag == TAG_DONE) {
        pc++;
    } else {
        put(&B, made);
        BRANCH(true);
    }
    NEXT();
op_COUNT:
    TRY(count_bounds(vm, &A, &B));
    NEXT();
op_NEXT_COUNT:
    if (A.i < B.i) {
        put(&C, value_int(A.i++));
        BRANCH(true);
    } else {
        pc++;
    }
    NEXT();
op_CLOSE:
    iterate_end(vm, &A);
    NEXT();

    /* ---- building ---- */
op_LIST:
    TRY(do_list(vm, &A, (int)CODE_B(w), TAG_LIST));
    NEXT();
op_TUPLE:
    TRY(do_list(vm, &A, (int)CODE_B(w), TAG_TUPLE));
    NEXT();
op_MAP:
    TRY(do_map(vm, &A, (int)CODE_B(w)));
    NEXT();
op_FORMAT:
    SAVE();
    TRY(do_format(vm, &proto->templates[CODE_C(w)], &A, (int)CODE_B(w)));
    NEXT();
op_RANGE:
    TRY(do_range(vm, B, C, &made));
    if (FLAG(KILL_B))
        drop(&B);
    if (FLAG(KILL_C))
        drop(&C);
    put(&A, made);
    NEXT();
op_PUSH:
    made = FLAG(KILL_B) ? take(&B) : copy(&B);
    if (LIKELY(A.list->count < A.list->room))
        set(&A.list->at[A.list->count++], made);
    else
        TRY(list_push_take(A.list, made) || vm_out_of_memory(vm));
    NEXT();
op_APPEND_ITEM:
    made = FLAG(KILL_B) ? take(&B) : copy(&B);
    if (LIKELY(A.tag == TAG_LIST && A.list->refs == 1 && A.list->count < A.list->room))
        set(&A.list->at[A.list->count++], made);
    else
        TRY(do_append_item(vm, &A, made));
    NEXT();
op_EXTEND:
    SAVE();
    TRY(do_extend(vm, &A, B));
    if (FLAG(KILL_B))
        drop(&B);
    NEXT();
op_PUT:
    TRY(do_put(vm, A.map, B, FLAG(KILL_C) ? take(&C) : copy(&C)));
    if (FLAG(KILL_B))
        drop(&B);
    NEXT();
op_TO_TUPLE:
    A.tag = TAG_TUPLE;
    NEXT();
op_CLOSURE:
    TRY(do_closure(vm, proto->protos[CODE_C(w)], &A, (int)CODE_B(w)));
    NEXT();
op_MODEL:
    made = model_new(vm, proto->protos[CODE_C(w)]);
    TRY(made.tag != TAG_UNDEFINED);
    put(&A, made);
    NEXT();
op_UNPACK:
    SAVE();
    TRY(do_unpack(vm, B, &A, (int)CODE_C(w), (int)(CODE_FLAGS(w) >> 3)));
    if (FLAG(KILL_B))
        drop(&B);
    NEXT();

    /* ---- members and elements ---- */
op_GET_MEMBER:
    SAVE();
    TRY(member_get(vm, B, &proto->sites[CODE_C(w)], &made));
    if (FLAG(KILL_B))
        drop(&B);
    put(&A, made);
    NEXT();
op_INDEX:
    if (LIKELY((B.tag == TAG_LIST || B.tag == TAG_TUPLE) && C.tag == TAG_INT)) {
        const List *list = B.list;
        int64_t i = C.i < 0 ? C.i + list->count : C.i;
        if (LIKELY(i >= 0 && i < list->count)) {
            made = copy(&list->at[i]);
            if (FLAG(KILL_B))
                drop(&B);
            put(&A, made);
            NEXT();
        }
    }
    SAVE();
    TRY(do_index(vm, B, C, &made));
    if (FLAG(KILL_B))
        drop(&B);
    if (FLAG(KILL_C))
        drop(&C);
    put(&A, made);
    NEXT();
op_INDEX_MANY:
    SAVE();
    TRY(do_index_many(vm, &proto->indexes[CODE_C(w)], &A));
    NEXT();
op_SET_INDEX:
    if (LIKELY(A.tag == TAG_LIST && B.tag == TAG_INT && A.list->refs == 1 && !(CODE_FLAGS(w) >> 3))) {
        List *list = A.list;
        int64_t i = B.i < 0 ? B.i + list->count : B.i;
        if (LIKELY(i >= 0 && i < list->count)) {
            put(&list->at[i], FLAG(KILL_C) ? take(&C) : copy(&C));
            NEXT();
        }
    }
    TRY(do_set_index(vm, &A, B, (int)(CODE_FLAGS(w) >> 3), C));
    if (FLAG(KILL_B))
        drop(&B);
    if (FLAG(KILL_C))
        drop(&C);
    NEXT();
op_SET_PATH:
    SAVE();
    TRY(do_set_path(vm, &proto->paths[CODE_C(w)], &A, &B));
    NEXT();
op_SET_PATH_GLOBAL:
    SAVE();
    TRY(set_path_global(vm, proto->module, &proto->paths[CODE_C(w)], &B));
    NEXT();

    /* ---- calls ---- */
op_CALL:
    SAVE();
    if (LIKELY(A.tag == TAG_FUNCTION && A.function->kind == FUNCTION_CLOSURE)) {
        function = A.function;
        if (LIKELY(enters_plainly(vm, function->proto, &A + 1, (int)CODE_B(w))))
            goto enter;
    }
    if (A.tag == TAG_FUNCTION && A.function->takes == (int)CODE_B(w)) {
        TRY(A.function->native->run(vm, &A + 1, &made));
        for (Value *v = &A + CODE_B(w); v > &A; v--)
            drop(v);
        put(&A, made);
        NEXT();
    }
    TRY(call_begin(vm, &A, &A + 1, (int)CODE_B(w), &A, &entered));
    goto called;
op_CALL_FUSED:
    SAVE();
    TRY(do_call_fused(vm, &A, (int)CODE_B(w), FLAG(DEFER), &entered));
    goto called;
op_CALL_SITE:
    SAVE();
    TRY(call_begin_named(vm, &A, &A + 1, (int)CODE_B(w), 0, &proto->sites[CODE_C(w)], &A, &entered));
    goto called;
op_CALL_METHOD: {
    Site *site = &proto->sites[CODE_C(w)];
    const Object *object = (&A)[1].object;
    SAVE();
    if (LIKELY((&A)[1].tag == TAG_OBJECT && object->model->id == site->model_id && site->is_method && site->plain &&
               !object->mode)) {
        function = object->model->method[site->index].function;
        site->of_module = false;
        if (LIKELY(enters_plainly(vm, function->proto, &A + 1, (int)CODE_B(w))))
            goto enter;
    }
    TRY(method_begin(vm, proto, &A, (int)CODE_B(w), site, &entered));
    goto called;
}
enter:                        /* [function], with its registers behind A, where the result goes */
    vm->n_frames++;
    *++frame = (Frame){.function = function, .proto = function->proto, .base = &A + 1, .result = &A};
    proto = function->proto;
    pc = proto->code + proto->entry;
    r = frame->base;
    k = proto->constants;
    POLL();
    NEXT();
called:
    if (entered)
        LOAD();
    POLL();
    NEXT();
op_RETURN:
    made = FLAG(KILL_A) ? take(&A) : copy(&A);
    goto leave;
op_RETURN_FIXED:
    made = VALUE_NONE;
leave: {
    Value *end = r + proto->n_registers;
    for (Value *v = r; v < end; v++)
        if (value_is_heap(*v))
            drop(v);
    Value *result = frame->result;
    unsigned flags = frame->flags;
    if (UNLIKELY(flags))
        frame_pop(vm);
    else
        vm->n_frames--;
    put(result, made);
    if (UNLIKELY(flags & FRAME_ENTRY))
        return true;
    LOAD();
    NEXT();
}
op_CONTRACT:
    TRY(contract_check(vm, proto->contracts[CODE_C(w)], r, proto));
    NEXT();
op_CHECK_RESULT:
    TRY(contract_check_result(vm, proto->contracts[CODE_C(w)], r, A, proto));
    NEXT();

    /* ---- errors and modules ---- */
op_THROW:
    do_throw(vm, A);
    goto fail;
op_CATCH:
    put(&A, vm_take_error(vm));
    NEXT();
op_RETHROW:
    vm_set_error(vm, A);
    goto fail;
op_ASSERT:
    do_assert(vm, CODE_B(w) ? &A : NULL, k[CODE_C(w)]);
    goto fail;
op_BREAK:
    SAVE();
    w = debug_break(vm);
    if (w == BREAK_ENDS)
        goto fail;
    goto *label[w & 255u];
op_HAND_BACK:
    debug_hand_back(vm, r, (int)CODE_B(w));
    NEXT();
op_USE:
    SAVE();
    TRY(module_use(vm, proto->module, k[CODE_WIDE(w)].string->text, &made));
    put(&A, made);
    NEXT();
op_OPTION:
    SAVE();
    TRY(session_option(vm, k[CODE_WIDE(w)].string->text, &A));
    NEXT();

asked:
    SAVE();
    TRY(vm_safe_point(vm));
    NEXT();
fail:
    SAVE();
    if (!unwind(vm))
        return false;
    LOAD();
    NEXT();
}

#pragma GCC diagnostic pop
