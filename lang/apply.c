/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls a row of ops.def with values. Plain numbers and lists of them give plain numbers where one number comes out:
   sqrt(2) and mean([0.1, 0.2]) are computed in f64, abs(-3) stays an int, whatever the row does with tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "bridge.h"
#include "builtins.h"

#define SIZES_ROOM 256

typedef struct Call {
    Vm *vm;
    TensorContext *ctx;
    const OpDef *def;
    const Signature *signature;
    Value bound[SIGNATURE_MAX];
    Attr attr[SIGNATURE_MAX];
    Tensor **in;              /* n_in of them, owned */
    Tensor *few[OP_MAX_IN];
    int n_in;
} Call;

static bool set_ints(Call *call, const Param *param, Value v, Attr *attr)
{
    int64_t count = 1, i = 0;
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) count = v.list->count;
    else if (v.tag == TAG_RANGE) count = range_length(v.range);
    else if (v.tag == TAG_TENSOR) count = tensor_size(v.tensor);
    if (count > TENSOR_MAX_DIMS) {
        return vm_fail(call->vm, ERROR_argument, op_name(call->def), "%s has %lld entries; at most %d are possible",
                       param->name, (long long)count, TENSOR_MAX_DIMS);
    }
    attr->ints.count = (int)count;
    for (int k = 0; k < count; k++) {
        if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) value_to_int(v.list->at[k], &i);
        else if (v.tag == TAG_RANGE) i = v.range->start + k * v.range->step;
        else if (v.tag == TAG_TENSOR) i = tensor_item_int(v.tensor, k);
        else value_to_int(v, &i);
        attr->ints.v[k] = i;
    }
    return true;
}

static bool set_padding(Call *call, const Param *param, Value v, Attr *attr)
{
    if (v.tag != TAG_STRING) return set_ints(call, param, v, attr);
    attr->ints.count = strcmp(v.string->text, "same") == 0 ? PADDING_SAME : 1;
    attr->ints.v[0] = 0;
    return true;
}

/* Bound values are canonical: bind_signature has checked the words. */
static bool set_attr(Call *call, const Param *param, Value v, Attr *attr)
{
    if (v.tag == TAG_NONE) {
        *attr = (Attr){.none = true};
        return true;
    }
    attr->none = attr->whole = false;
    switch (param->kind) {
    case PARAM_int: attr->i = v.i; return true;
    case PARAM_num:
        attr->whole = v.tag == TAG_INT;
        attr->num = attr->whole ? (double)v.i : v.f;
        return true;
    case PARAM_bool: attr->b = v.b; return true;
    case PARAM_str: attr->str = v.string->text; return true;
    case PARAM_dtype: value_to_dtype(v, &attr->dtype); return true;
    case PARAM_ints: return set_ints(call, param, v, attr);
    case PARAM_padding: return set_padding(call, param, v, attr);
    default: return vm_fail(call->vm, ERROR_internal, op_name(call->def), "the signature's %s is of no use to ops",
                            param->name);
    }
}

static bool no_tensor(Call *call, const Param *param, Value v)
{
    char described[96];
    value_describe(v, described, sizeof described);
    if (call->ctx->error.kind != ERROR_NONE) return false;
    return vm_fail(call->vm, ERROR_type, op_name(call->def), "%s must be a tensor or numbers, got %s", param->name,
                   described);
}

static bool add_list(Call *call, const Param *param, Value v)
{
    if (v.tag != TAG_LIST && v.tag != TAG_TUPLE) {
        char described[96];
        value_describe(v, described, sizeof described);
        return vm_fail(call->vm, ERROR_type, op_name(call->def), "%s must be a list of tensors, got %s", param->name,
                       described);
    }
    if (v.list->count > OP_MAX_IN) {
        call->in = list_tensors_new(call->ctx, (int)v.list->count);
        if (!call->in) {
            call->in = call->few;
            return false;
        }
    }
    for (int64_t i = 0; i < v.list->count; i++) {
        call->in[call->n_in] = value_to_tensor(call->ctx, v.list->at[i]);
        if (!call->in[call->n_in]) return false;
        call->n_in++;
    }
    return true;
}

/* What plain numbers [v] is made of; NOT_PLAIN when it holds anything else. */
typedef enum Plain { NOT_PLAIN, PLAIN_BOOL, PLAIN_INT, PLAIN_FLOAT } Plain;

static Plain plain_kind(Value v)
{
    if (v.tag == TAG_BOOL) return PLAIN_BOOL;
    if (v.tag == TAG_INT) return PLAIN_INT;
    if (v.tag == TAG_FLOAT) return PLAIN_FLOAT;
    if (v.tag != TAG_LIST && v.tag != TAG_TUPLE) return NOT_PLAIN;
    Plain kind = v.list->count == 0 ? PLAIN_INT : PLAIN_BOOL;
    for (int64_t i = 0; i < v.list->count; i++) {
        Plain item = plain_kind(v.list->at[i]);
        if (item == NOT_PLAIN) return NOT_PLAIN;
        if (item > kind) kind = item;
    }
    return kind;
}

/* Every tensor argument is plain; then the op computes in i64 or f64. */
static bool only_plain(const Call *call)
{
    int n = 0;
    for (int i = 0; i < call->signature->count; i++) {
        if (call->signature->param[i].kind == PARAM_tensors) return false;
        if (call->signature->param[i].kind != PARAM_tensor || call->bound[i].tag == TAG_NONE) continue;
        if (plain_kind(call->bound[i]) == NOT_PLAIN) return false;
        n++;
    }
    return n > 0;
}

enum { AS_WEAK, AS_I64, AS_F64 };

static Tensor *plain_tensor(Call *call, Value v, int numbers)
{
    Plain kind = plain_kind(v);
    if (kind == PLAIN_BOOL) return value_to_tensor(call->ctx, v);
    return value_to_tensor_dtype(call->ctx, v, numbers == AS_F64 || kind == PLAIN_FLOAT ? DTYPE_f64 : DTYPE_i64);
}

static bool collect(Call *call, int numbers)
{
    int n_attr = 0;
    call->in = call->few;
    call->n_in = 0;
    for (int i = 0; i < call->signature->count; i++) {
        const Param *param = &call->signature->param[i];
        Value v = call->bound[i];
        if (param->kind == PARAM_tensors) {
            if (!add_list(call, param, v)) return false;
        } else if (param->kind == PARAM_tensor) {
            Tensor *t = NULL;
            if (v.tag == TAG_NONE && !param->optional) return no_tensor(call, param, v);
            if (call->n_in == OP_MAX_IN) return no_tensor(call, param, v);
            if (v.tag != TAG_NONE) {
                t = numbers == AS_WEAK ? value_to_tensor(call->ctx, v) : plain_tensor(call, v, numbers);
                if (!t) return no_tensor(call, param, v);
            }
            call->in[call->n_in++] = t;
        } else if (!set_attr(call, param, v, &call->attr[n_attr++])) {
            return false;
        }
    }
    return true;
}

static void release_inputs(Call *call)
{
    for (int i = 0; i < call->n_in; i++) tensor_release(call->in[i]);
    if (call->in != call->few) free(call->in);
    call->in = call->few;
    call->n_in = 0;
}

static bool run(Call *call, int numbers, Tensor **out, int *n_out)
{
    bool fine = collect(call, numbers) &&
                op_call_fused(call->ctx, call->def, call->n_in, call->in, call->attr, out, n_out);
    release_inputs(call);
    Error *error = &call->ctx->error;
    if (!fine && !error->op[0]) snprintf(error->op, sizeof error->op, "%s", op_name(call->def));
    return fine;
}

static Value result_of(Tensor **out, int n_out, bool plain)
{
    Value tuple = n_out == 1 ? VALUE_NONE : tuple_new(n_out);
    if (tuple.tag == TAG_UNDEFINED) {
        for (int i = 0; i < n_out; i++) tensor_release(out[i]);
        return tuple;
    }
    for (int i = 0; i < n_out; i++) {
        Value v = plain ? value_from_tensor_plain_take(out[i]) : value_from_tensor_take(out[i]);
        if (n_out == 1) return v;
        tuple.list->at[i] = v;
    }
    return tuple;
}

/* Numbers in full precision; false with [out] empty when the op's answer is no plain number after all. */
static bool run_plain(Call *call, Tensor **out, int *n_out, bool *fine)
{
    uint64_t counter = call->ctx->counter;
    *fine = run(call, AS_I64, out, n_out);
    if (*fine && out[0]->dtype == DTYPE_f32) {             /* ints became f32: the same in f64 */
        for (int i = 0; i < *n_out; i++) tensor_slot(&out[i], NULL);
        call->ctx->counter = counter;
        *fine = run(call, AS_F64, out, n_out);
        if (!*fine) {                                      /* an op that takes ints only, one_hot say */
            error_clear(&call->ctx->error);
            return false;
        }
    }
    if (!*fine || out[0]->ndim == 0) return true;
    for (int i = 0; i < *n_out; i++) tensor_slot(&out[i], NULL);
    call->ctx->counter = counter;
    return false;
}

/* Streams stand for the list of what is left of them. */
static bool draw_streams(Call *call)
{
    for (int i = 0; i < call->signature->count; i++) {
        Value list;
        if (call->bound[i].tag != TAG_STREAM || call->signature->param[i].kind != PARAM_tensor) continue;
        if (!native_collect(call->vm, call->bound[i], &list)) return false;
        value_set(&call->bound[i], list);
    }
    return true;
}

static bool call_bound(Call *call, Value *result)
{
    Tensor *out[OP_MAX_OUT] = {0};
    int n_out = 0;
    bool defer = call->ctx->defer;
    call->ctx->defer = false;
    if (!draw_streams(call)) return false;
    call->ctx->defer = defer;
    bool fine = true, plain = only_plain(call);
    if (!plain || !run_plain(call, out, &n_out, &fine)) {
        plain = false;
        fine = run(call, AS_WEAK, out, &n_out);
    }
    if (!fine) return false;
    *result = result_of(out, n_out, plain);
    return result->tag == TAG_UNDEFINED ? vm_out_of_memory(call->vm) : true;
}

/* Named sizes of a pattern, rearrange(x, "…", h=3), become the row's `sizes:str` "h=3"; the others are kept. */
static bool join_sizes(Call *call, int *n_named, const NamedValue *named, NamedValue *kept, char *sizes)
{
    size_t at = 0;
    int n = 0;
    sizes[0] = '\0';
    for (int i = 0; i < *n_named; i++) {
        bool known = false;
        int64_t size;
        for (int k = 0; k < call->signature->count; k++) {
            known |= strcmp(call->signature->param[k].name, named[i].name) == 0;
        }
        if (known) {
            kept[n++] = named[i];
            continue;
        }
        if (!value_to_int(named[i].value, &size)) {
            return vm_fail(call->vm, ERROR_type, op_name(call->def), "the size %s must be an int", named[i].name);
        }
        at += (size_t)snprintf(sizes + at, SIZES_ROOM - at, "%s%s=%lld", at ? "," : "", named[i].name, (long long)size);
        if (at >= SIZES_ROOM) return vm_fail(call->vm, ERROR_argument, op_name(call->def), "too many named sizes");
    }
    *n_named = n;
    return true;
}

static bool has_sizes(const Signature *signature)
{
    for (int i = 0; i < signature->count; i++)
        if (signature->param[i].kind == PARAM_str && strcmp(signature->param[i].name, "sizes") == 0) return true;
    return false;
}

/* The arrays are filled as far as they are used. */
static void call_init(Call *call, Vm *vm, const OpDef *def)
{
    call->vm = vm;
    call->ctx = vm_tensors(vm);
    call->def = def;
    call->signature = op_signature(def);
}

static bool bind_call(Call *call, int n_args, const Value *args, int n_named, const NamedValue *named)
{
    char sizes[SIZES_ROOM];
    NamedValue kept[SIGNATURE_MAX + 1];
    Value joined = VALUE_UNDEFINED;
    if (n_named > 0 && n_named <= SIGNATURE_MAX && has_sizes(call->signature)) {
        if (!join_sizes(call, &n_named, named, kept, sizes)) return false;
        if (sizes[0]) {
            joined = string_from(sizes);
            if (joined.tag == TAG_UNDEFINED) return vm_out_of_memory(call->vm);
            kept[n_named++] = (NamedValue){"sizes", joined};
        }
        named = kept;
    }
    bool fine = bind_signature(call->vm, op_name(call->def), call->signature, n_args, args, n_named, named,
                               call->bound);
    value_release(joined);
    return fine;
}

static void release_bound(Call *call)
{
    for (int i = 0; i < call->signature->count; i++) value_release(call->bound[i]);
}

bool op_binds(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named)
{
    Call call;
    call_init(&call, vm, def);
    bool fine = bind_call(&call, n_args, args, n_named, named);
    if (fine) release_bound(&call);
    return fine;
}

bool op_numbers(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named, Attr *attr)
{
    Call call;
    call_init(&call, vm, def);
    if (!bind_call(&call, n_args, args, n_named, named)) return false;
    bool fine = true;
    for (int i = 0, n = 0; i < call.signature->count && fine; i++) {
        const Param *param = &call.signature->param[i];
        if (param->kind != PARAM_tensor) fine = set_attr(&call, param, call.bound[i], &attr[n++]);
    }
    release_bound(&call);
    return fine;
}

bool op_apply(Vm *vm, const OpDef *def, int n_args, const Value *args, int n_named, const NamedValue *named,
              Value *result)
{
    Call call;
    call_init(&call, vm, def);
    if (!bind_call(&call, n_args, args, n_named, named)) return false;
    bool fine = call_bound(&call, result);
    release_bound(&call);
    return fine;
}
