/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The op table, made of ops.def, and op_call, through which every op runs: shape rule, outputs, run, record.
   Invariant: a failed call leaves no output and an error that names the op and its tensors. */
#include <pthread.h>
#include <string.h>

#include "core.h"

/* ---- the table ---- */

/* A row's derivative says ZERO or an expression; pasting PROBE_ tells which, before anything is expanded. */
#define PROBE_ZERO ~, 1
#define SECOND(a, b, ...) b
#define CHOOSE(...) SECOND(__VA_ARGS__, 0, ~)
#define IS_ZERO(derivative) CHOOSE(PROBE_##derivative)
#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define MODE_IF_ZERO_0 MODE_DIFF
#define MODE_IF_ZERO_1 MODE_ZERO
#define GRAD_MODE_DIFF(name) name##_grad
#define GRAD_MODE_NOGRAD(name) NULL
#define GRAD_MODE_ZERO(name) NULL
#define GRAD_MODE_COMPOSITE(name) NULL
#define VIEW_VIEW true
#define VIEW_DENSE false

enum {
#define OP(...)
#define BINARY(...)
#define UNARY(name, ...) UNARY_##name,
#include "ops.h"
    UNARY_COUNT
};

enum {
#define OP(...)
#define UNARY(...)
#define BINARY(name, ...) BINARY_##name,
#include "ops.h"
    BINARY_COUNT
};

const OpDef op_defs[OP_COUNT] = {
#define UNARY(op, class, value, derivative, saved, text, sample)                                                      \
    [OP_##op] = {.name = #op, .signature = "x", .shape = shape_elementwise, .run = unary_run, .grad = unary_grad,     \
                 .mode = JOIN(MODE_IF_ZERO_, IS_ZERO(derivative)), .saves = (saved), .elementwise = UNARY_##op,       \
                 .arity = 1, .element = ELEMENT_##class, .doc = text, .example = sample},
#define BINARY(op, ...) BINARY_AS(op, "a, b", __VA_ARGS__)
#define BINARY_AS(op, params, class, value, da, db, saved, text, sample)                                              \
    [OP_##op] = {.name = #op, .signature = params, .shape = shape_elementwise, .run = binary_run,                     \
                 .grad = binary_grad, .mode = JOIN(MODE_IF_ZERO_, IS_ZERO(da)), .saves = (saved),                     \
                 .elementwise = BINARY_##op, .arity = 2, .element = ELEMENT_##class, .doc = text, .example = sample},
#define OP(op, params, rule, kind, sharing, saved, text, sample)                                                      \
    [OP_##op] = {.name = #op, .signature = params, .shape = rule, .run = op##_run, .grad = GRAD_MODE_##kind(op),      \
                 .mode = MODE_##kind, .view = VIEW_##sharing, .saves = (saved), .elementwise = -1, .doc = text,       \
                 .example = sample},
#include "ops.h"
};

#define HASH_SLOTS 1024
_Static_assert(OP_COUNT < HASH_SLOTS / 2, "the hash of op names is too full");

static int16_t slots[HASH_SLOTS];     /* 1 + row; 0 empty */
static Signature signatures[OP_COUNT];
static struct AttrCount { uint8_t count; int8_t dtype; uint16_t strings; } attr_counts[OP_COUNT];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT, signatures_once = PTHREAD_ONCE_INIT;

static unsigned hash_name(const char *name)
{
    unsigned hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash % HASH_SLOTS;
}

static void fill_slots(void)
{
    for (int i = 0; i < OP_COUNT; i++) {
        unsigned at = hash_name(op_defs[i].name);
        while (slots[at])
            at = (at + 1) % HASH_SLOTS;
        slots[at] = (int16_t)(i + 1);
    }
}

static void fill_signatures(void)
{
    for (int i = 0; i < OP_COUNT; i++) {
        signature_parse(op_defs[i].signature, &signatures[i]);
        attr_counts[i].dtype = -1;
        for (int j = 0; j < signatures[i].count; j++) {
            ParamKind kind = signatures[i].param[j].kind;
            if (kind == PARAM_str)
                attr_counts[i].strings |= (uint16_t)(1u << attr_counts[i].count);
            if (kind == PARAM_dtype)
                attr_counts[i].dtype = (int8_t)attr_counts[i].count;
            if (kind != PARAM_tensor && kind != PARAM_tensors)
                attr_counts[i].count++;
        }
    }
}

const OpDef *op_find(const char *name)
{
    pthread_once(&slots_once, fill_slots);
    for (unsigned at = hash_name(name); slots[at]; at = (at + 1) % HASH_SLOTS)
        if (strcmp(op_defs[slots[at] - 1].name, name) == 0)
            return &op_defs[slots[at] - 1];
    return NULL;
}

const OpDef *op_def(OpId id)
{
    return &op_defs[id];
}

const char *op_name(const OpDef *def)
{
    return def->name;
}

const char *op_signature_text(const OpDef *def)
{
    return def->signature;
}

const Signature *op_signature(const OpDef *def)
{
    pthread_once(&signatures_once, fill_signatures);
    return &signatures[def - op_defs];
}

int op_attr_count(const OpDef *def, unsigned *strings)
{
    pthread_once(&signatures_once, fill_signatures);
    *strings = attr_counts[def - op_defs].strings;
    return attr_counts[def - op_defs].count;
}

int op_dtype_attr(const OpDef *def)
{
    pthread_once(&signatures_once, fill_signatures);
    return attr_counts[def - op_defs].dtype;
}

const char *op_doc(const OpDef *def)
{
    return def->doc;
}

const char *op_example(const OpDef *def)
{
    return def->example;
}

/* ---- calling ---- */

static void release_outputs(OpCall *call)
{
    for (int i = 0; i < call->n_out; i++) {
        tensor_release(call->out[i]);
        call->out[i] = NULL;
    }
}

/* Whether the one result, which is made element by element, may be written over what [room] holds. */
static bool has_room(const OpCall *call, const Tensor *room)
{
    const TensorSpec *spec = &call->spec[0];
    TensorSpec have;
    if (!room || call->def->elementwise < 0 || call->def->saves != SAVE_NONE || call->ctx->meta || room->meta || room->weak ||
        !room->storage || room->storage->refs != 1 || room->storage->release || !tensor_is_contiguous(room))
        return false;
    spec_of(room, &have);
    return have.dtype == spec->dtype && spec_equal_shape(&have, spec);
}

static bool make_outputs(OpCall *call, Tensor *room)
{
    if (has_room(call, room)) {
        call->out[0] = tensor_view(call->ctx, room, room->ndim, room->shape, room->stride, 0);
        return call->out[0] != NULL;
    }
    for (int i = 0; i < call->n_out; i++) {
        const TensorSpec *spec = &call->spec[i];
        call->out[i] = (call->ctx->meta ? tensor_meta : tensor_new)(call->ctx, spec->dtype, spec->ndim, spec->shape);
        if (!call->out[i])
            return false;
    }
    return true;
}

/* Results of plain numbers among themselves stay plain. */
static void keep_weak(OpCall *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (!call->in[i]->weak)
            return;
    call->out[0]->weak = true;
}

static bool any_node(const OpCall *call)
{
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i] && call->in[i]->node)
            return true;
    return false;
}

static bool run_call(OpCall *call)
{
    const OpDef *def = call->def;
    Tensor *room = call->ctx->room;
    call->ctx->room = NULL;
    if (!def->shape(call))
        return false;
    bool dense = !def->view && def->mode != MODE_COMPOSITE;
    if (dense && !make_outputs(call, room))
        return false;
    if (!(dense && call->ctx->meta) && !def->run(call))
        return false;
    if (def->elementwise >= 0)
        keep_weak(call);
    if (call->ctx->recording > 0 && (def->mode == MODE_DIFF || def->mode == MODE_NOGRAD) && any_node(call))
        return tape_record(call);
    return true;
}

static bool call_op(TensorContext *context, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
                    int *n_out)
{
    if (op_takes_halves(def, n_in, in, attr)) {
        context->room = NULL;
        return op_call_widened(context, def, n_in, in, attr, out, n_out);
    }
    OpCall call;
    call.ctx = context;
    call.def = def;
    call.n_in = n_in;
    call.in = in;
    call.attr = attr;
    call.n_out = 1;
    for (int i = 0; i < OP_MAX_OUT; i++)
        call.out[i] = NULL;
    if (!run_call(&call)) {
        release_outputs(&call);
        op_error_complete(&call);
        return false;
    }
    for (int i = 0; i < call.n_out; i++)
        out[i] = call.out[i];
    *n_out = call.n_out;
    return true;
}

bool op_call(TensorContext *context, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
             int *n_out)
{
    OpWatch *watch = context->watch;
    if (!watch)
        return call_op(context, def, n_in, in, attr, out, n_out);
    watch->begin(watch, def->name);
    bool done = call_op(context, def, n_in, in, attr, out, n_out);
    watch->end(watch);
    return done;
}
