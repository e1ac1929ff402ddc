/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Expressions of elementwise ops in one pass. A call may be put off: its result has a shape and a dtype but no data,
   only the steps that make it. The op that takes it next either adds a step or has it computed first. Then one walk
   over the leaves does all steps in blocks that stay in the cache, by the same kernels on the same elements as the ops
   one by one: the values have the same bits. A sum or mean over all of them takes them as they are made. The gradient
   is one walk too, which makes the values between again.

   Invariants: a put-off tensor is seen by op_call_fused and tensor_settle only; every step has the shape of the whole
   result, so that only leaves are broadcast; each step is read once, by a later one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "elementwise.h"
#include "reduce.h"
#include "sweep.h"

#define FUSE_FROM 4096        /* elements: below, an op costs little more than its call */
#define MOST_LEAVES 6
#define MOST_STEPS 12
#define BLOCK_BYTES 2048      /* of a value between two steps */

_Static_assert(MOST_LEAVES + 2 <= SWEEP_MAX_IN, "a gradient walks the leaves, the result and what arrives");

typedef struct Step {
    const OpDef *def;
    int8_t arg[2];            /* a leaf, or MOST_LEAVES + an earlier step */
} Step;

typedef struct Steps {
    int n_leaves, n_steps;
    Step step[MOST_STEPS];
} Steps;

struct Deferred {
    Steps steps;
    Tensor *leaf[MOST_LEAVES];      /* owned */
};

/* ---- who watches ---- */

/* Tells that these steps begin, and [last] behind them unless it is NULL: "fused mul add sum". */
static void watch_begin(TensorContext *ctx, const Steps *steps, const OpDef *last)
{
    char name[128] = "fused";
    if (!ctx->watch)
        return;
    for (int i = 0; i <= steps->n_steps; i++) {
        const OpDef *def = i < steps->n_steps ? steps->step[i].def : last;
        size_t used = strlen(name);
        if (def)
            snprintf(name + used, sizeof name - used, " %s", def->name);
    }
    ctx->watch->begin(ctx->watch, name);
}

static void watch_end(TensorContext *ctx)
{
    if (ctx->watch)
        ctx->watch->end(ctx->watch);
}

/* ---- putting off ---- */

void deferred_free(Deferred *deferred)
{
    for (int i = 0; i < deferred->steps.n_leaves; i++)
        tensor_release(deferred->leaf[i]);
    block_give(deferred, sizeof *deferred);
}

/* Rows whose kernel is all there is to them: no search for zeros before, no second pass after. */
static bool is_fusable(const OpDef *def)
{
    if (def->elementwise < 0 || def->mode != MODE_DIFF)
        return false;
    return def->arity == 2 || !unary_needs_libm(def->elementwise);
}

bool op_is_fused(const OpDef *def)
{
    return is_fusable(def) || def == op_def(OP_sum) || def == op_def(OP_mean);
}

/* The row that is run instead: x^2 is square(x), as in binary_run. NULL: x^0.5 and x^-1, which have a second way. */
static const OpDef *actual_row(const OpDef *def, Tensor *const *in)
{
    if (def != op_def(OP_pow))
        return def;
    int unary = power_row(in[1]);
    return unary < 0 ? def : unary == UNARY_square ? op_def(OP_square) : NULL;
}

/* Where [leaf] stands among the leaves, added if need be; -1: there is no room. */
static int leaf_place(Deferred *d, Tensor *leaf)
{
    for (int i = 0; i < d->steps.n_leaves; i++)
        if (d->leaf[i] == leaf)
            return i;
    if (d->steps.n_leaves == MOST_LEAVES)
        return -1;
    d->leaf[d->steps.n_leaves] = tensor_retain(leaf);
    return d->steps.n_leaves++;
}

/* Copies the steps of [from] behind those of [d]; the place of its last one, or -1. */
static int append_steps(Deferred *d, const Deferred *from)
{
    int8_t place[MOST_LEAVES + MOST_STEPS];
    if (d->steps.n_steps + from->steps.n_steps >= MOST_STEPS)
        return -1;
    for (int i = 0; i < from->steps.n_leaves; i++) {
        int at = leaf_place(d, from->leaf[i]);
        if (at < 0)
            return -1;
        place[i] = (int8_t)at;
    }
    for (int i = 0; i < from->steps.n_steps; i++) {
        Step step = from->steps.step[i];
        for (int k = 0; k < step.def->arity; k++)
            step.arg[k] = place[step.arg[k]];
        place[MOST_LEAVES + i] = (int8_t)(MOST_LEAVES + d->steps.n_steps);
        d->steps.step[d->steps.n_steps++] = step;
    }
    return MOST_LEAVES + d->steps.n_steps - 1;
}

static bool append_call(Deferred *d, const OpDef *def, Tensor *const *in)
{
    Step step = {.def = def};
    for (int k = 0; k < def->arity; k++) {
        int at = in[k]->deferred ? append_steps(d, in[k]->deferred) : leaf_place(d, in[k]);
        if (at < 0)
            return false;
        step.arg[k] = (int8_t)at;
    }
    if (d->steps.n_steps == MOST_STEPS)
        return false;
    d->steps.step[d->steps.n_steps++] = step;
    return true;
}

/* All tensors have one dtype, f32 or f64, beside plain numbers, and steps have the shape of the result. */
static bool fits(const OpCall *call)
{
    const TensorSpec *out = &call->spec[0];
    if (out->dtype != DTYPE_f32 && out->dtype != DTYPE_f64)
        return false;
    for (int i = 0; i < call->n_in; i++) {
        const Tensor *x = call->in[i];
        if (x->meta || (!x->weak && x->dtype != out->dtype))
            return false;
        if (x->deferred && (x->ndim != out->ndim || memcmp(x->shape, out->shape, (size_t)x->ndim * sizeof *x->shape)))
            return false;
    }
    return spec_size(out) >= FUSE_FROM;
}

static Tensor *deferred_tensor(TensorContext *ctx, const TensorSpec *spec, Deferred *owned)
{
    Tensor *tensor = tensor_blank(ctx, spec->dtype, spec->ndim, spec->shape);
    if (tensor)
        tensor->deferred = owned;
    else
        deferred_free(owned);
    return tensor;
}

/* The call's result, put off. NULL without an error: it has to be computed. */
static Tensor *put_off(OpCall *call)
{
    const OpDef *def = is_fusable(call->def) && !call->ctx->meta ? actual_row(call->def, call->in) : NULL;
    if (!def)
        return NULL;
    if (!def->shape(call)) {
        error_clear(&call->ctx->error);      /* computing it will say so, with all names */
        return NULL;
    }
    Deferred *deferred = fits(call) ? block_take(sizeof *deferred) : NULL;
    if (!deferred)
        return NULL;
    deferred->steps.n_leaves = deferred->steps.n_steps = 0;
    if (append_call(deferred, def, call->in))
        return deferred_tensor(call->ctx, &call->spec[0], deferred);
    deferred_free(deferred);
    return NULL;
}

/* ---- blocks of values ---- */

typedef struct Pass {
    const Steps *steps;
    const Kernels *kernels;
    Dtype dtype;
    size_t size;              /* bytes of an element */
    char *out;                /* forward: the result */
    /* backward */
    char *grad[MOST_LEAVES];  /* where each leaf's gradient goes; NULL: not asked for */
    bool wanted[MOST_STEPS];  /* the step leads to such a leaf */
    bool read[MOST_STEPS];    /* its value is read */
    bool result_kept;         /* the last step's value is at hand */
} Pass;

typedef struct Block { _Alignas(64) char byte[BLOCK_BYTES]; } Block;

static void run_step(const Pass *pass, const Step *step, const void *const *value, int64_t n, void *to)
{
    int row = step->def->elementwise;
    if (step->def->arity == 1)
        pass->kernels->unary[row][pass->dtype](n, value[step->arg[0]], to);
    else
        pass->kernels->binary[row][pass->dtype](n, value[step->arg[0]], value[step->arg[1]], to);
}

static int64_t block_elements(const Pass *pass) { return BLOCK_BYTES / (int64_t)pass->size; }

/* Points value[] at elements [from, …) of what the walk hands out. */
static void leaves_at(const Pass *pass, const void *const *in, int64_t from, const void **value)
{
    for (int i = 0; i < pass->steps->n_leaves; i++)
        value[i] = in[i] ? (const char *)in[i] + from * (int64_t)pass->size : NULL;
}

static void forward_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Pass *pass = arg;
    Block block[MOST_STEPS];
    const void *value[MOST_LEAVES + MOST_STEPS];
    int last = pass->steps->n_steps - 1;
    for (int64_t from = 0; from < n; from += block_elements(pass)) {
        int64_t count = n - from < block_elements(pass) ? n - from : block_elements(pass);
        leaves_at(pass, in, from, value);
        for (int i = 0; i <= last; i++) {
            char *to = i < last ? block[i].byte : pass->out + (at + from) * (int64_t)pass->size;
            run_step(pass, &pass->steps->step[i], value, count, to);
            value[MOST_LEAVES + i] = to;
        }
    }
}

static void pass_init(Pass *pass, const Steps *steps, Dtype dtype)
{
    *pass = (Pass){.steps = steps, .kernels = kernels(), .dtype = dtype, .size = dtype_size(dtype)};
}

/* ---- the gradient ---- */

typedef struct FusedHook {
    GradHook hook;
    Steps steps;
    TensorSpec spec;          /* of the result */
    Tensor *leaf[MOST_LEAVES];      /* NULL: only its shape is asked for */
    TensorSpec leaf_spec[MOST_LEAVES];
    Tensor *result;           /* without its node; NULL: not read */
    bool read[MOST_STEPS];    /* the values that a gradient makes again */
    bool higher;              /* may be differentiated again: everything is there to be made again */
} FusedHook;

static void hook_release(GradHook *hook)
{
    FusedHook *fused = (FusedHook *)hook;
    for (int i = 0; i < fused->steps.n_leaves; i++)
        tensor_release(fused->leaf[i]);
    tensor_release(fused->result);
    block_give(fused, sizeof *fused);
}

/* d of the argument [k] of a step, from [g] to [to]; gives where it lies: sums hand g on as it is. */
static const void *step_gradient(const Pass *pass, const Step *step, int k, const void *const *value, const void *y,
                                 const void *g, int64_t n, void *to)
{
    int row = step->def->elementwise;
    if (step->def->arity == 1) {
        pass->kernels->unary_grad[row][pass->dtype](n, value[step->arg[0]], y, g, to);
        return to;
    }
    if (row == BINARY_add || (row == BINARY_sub && k == 0))
        return g;
    pass->kernels->binary_grad[row][k][pass->dtype](n, value[step->arg[0]], value[step->arg[1]], y, g, to);
    return to;
}

static bool leads_on(const Pass *pass, int arg)
{
    return arg < MOST_LEAVES ? pass->grad[arg] != NULL : pass->wanted[arg - MOST_LEAVES];
}

/* What a leaf's gradient in one block is so far, at [sum] or still where its only part lies, and one more part of it. */
static const void *add_part(const Pass *pass, const void *so_far, const void *part, int64_t n, void *sum)
{
    if (!so_far)
        return part;
    pass->kernels->binary[BINARY_add][pass->dtype](n, so_far, part, sum);
    return sum;
}

/* One block: value[] holds the leaves and what was made again; [g] has arrived; [at] is its place in the result. */
static void backward_block(const Pass *pass, const void *const *value, const void *g, int64_t at, int64_t n)
{
    Block block[MOST_STEPS], spare;
    const void *grad[MOST_STEPS], *so_far[MOST_LEAVES] = {NULL};
    grad[pass->steps->n_steps - 1] = g;
    for (int i = pass->steps->n_steps - 1; i >= 0; i--) {
        const Step *step = &pass->steps->step[i];
        for (int k = 0; k < step->def->arity && pass->wanted[i]; k++) {
            int arg = step->arg[k];
            if (!leads_on(pass, arg))
                continue;
            char *leaf = arg < MOST_LEAVES ? pass->grad[arg] + at * (int64_t)pass->size : NULL;
            void *to = !leaf ? block[arg - MOST_LEAVES].byte : so_far[arg] ? spare.byte : leaf;
            const void *d = step_gradient(pass, step, k, value, value[MOST_LEAVES + i], grad[i], n, to);
            if (leaf)
                so_far[arg] = add_part(pass, so_far[arg], d, n, leaf);
            else
                grad[arg - MOST_LEAVES] = d;
        }
    }
    for (int i = 0; i < pass->steps->n_leaves; i++) {
        char *leaf = so_far[i] ? pass->grad[i] + at * (int64_t)pass->size : NULL;
        if (leaf && so_far[i] != leaf)
            memcpy(leaf, so_far[i], (size_t)n * pass->size);
    }
}

/* in[]: the leaves, the result, what arrives */
static void backward_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Pass *pass = arg;
    const Steps *steps = pass->steps;
    Block block[MOST_STEPS];
    const void *value[MOST_LEAVES + MOST_STEPS];
    const char *result = in[steps->n_leaves], *g = in[steps->n_leaves + 1];
    for (int64_t from = 0; from < n; from += block_elements(pass)) {
        int64_t count = n - from < block_elements(pass) ? n - from : block_elements(pass);
        int64_t byte = from * (int64_t)pass->size;
        leaves_at(pass, in, from, value);
        for (int i = 0; i < steps->n_steps; i++) {
            value[MOST_LEAVES + i] = pass->read[i] ? block[i].byte : NULL;
            if (pass->result_kept && i == steps->n_steps - 1)
                value[MOST_LEAVES + i] = result + byte;
            else if (pass->read[i])
                run_step(pass, &steps->step[i], value, count, block[i].byte);
        }
        backward_block(pass, value, g + byte, at + from, count);
    }
}

static void mark_wanted(Pass *pass)
{
    for (int i = 0; i < pass->steps->n_steps; i++)
        for (int k = 0; k < pass->steps->step[i].def->arity; k++)
            pass->wanted[i] = pass->wanted[i] || leads_on(pass, pass->steps->step[i].arg[k]);
}

/* [twin]: the leaf's gradient is written as another one's. */
static bool backward_pass(FusedHook *fused, TensorContext *ctx, Tensor *dy, Tensor *const *full, const bool *twin)
{
    Pass pass;
    pass_init(&pass, &fused->steps, fused->spec.dtype);
    for (int i = 0; i < fused->steps.n_leaves; i++)
        pass.grad[i] = full[i] && !twin[i] ? full[i]->data : NULL;
    memcpy(pass.read, fused->read, sizeof pass.read);
    pass.result_kept = fused->result != NULL;
    mark_wanted(&pass);
    Sweep sweep;
    sweep_init(&sweep, fused->spec.ndim, fused->spec.shape, backward_body, &pass);
    for (int i = 0; i < fused->steps.n_leaves; i++)
        sweep_input(&sweep, fused->leaf[i], pass.dtype);
    sweep_input(&sweep, fused->result, pass.dtype);
    sweep_input(&sweep, dy, pass.dtype);
    return sweep_run(ctx, &sweep);
}

/* The same by ops, one by one, while the gradient itself is recorded. */
static bool backward_ops(FusedHook *fused, Scope *s, Tensor *dy, const bool *wants, Tensor **sum)
{
    const Steps *steps = &fused->steps;
    Tensor *value[MOST_LEAVES + MOST_STEPS] = {NULL}, *grad[MOST_STEPS] = {NULL};
    for (int i = 0; i < steps->n_leaves; i++)
        value[i] = fused->leaf[i];
    for (int i = 0; i < steps->n_steps; i++) {
        const Step *step = &steps->step[i];
        Tensor *in[2] = {value[step->arg[0]], step->def->arity == 2 ? value[step->arg[1]] : NULL};
        if (fused->higher || fused->read[i])
            value[MOST_LEAVES + i] = s_op(s, (OpId)(step->def - op_defs), step->def->arity, in, NULL, 0);
    }
    if (!fused->higher && fused->result)
        value[MOST_LEAVES + steps->n_steps - 1] = fused->result;
    grad[steps->n_steps - 1] = dy;
    for (int i = steps->n_steps - 1; i >= 0; i--) {
        const Step *step = &steps->step[i];
        for (int k = 0; k < step->def->arity; k++) {
            int arg = step->arg[k];
            if (arg < MOST_LEAVES && !wants[arg])
                continue;
            Tensor *d = elementwise_gradient(s, step->def, k, value[step->arg[0]],
                                             step->def->arity == 2 ? value[step->arg[1]] : NULL,
                                             value[MOST_LEAVES + i], grad[i]);
            if (!d)
                return false;
            if (arg >= MOST_LEAVES)
                grad[arg - MOST_LEAVES] = d;
            else
                sum[arg] = sum[arg] ? s_add(s, sum[arg], d) : d;
        }
    }
    return true;
}

/* The leaf before [leaf] that has the same gradient: both are read once, by one sum; -1: none. */
static int twin_of(const Steps *steps, int leaf)
{
    int reads[MOST_LEAVES] = {0}, twin = -1;
    for (int i = 0; i < steps->n_steps; i++)
        for (int k = 0; k < steps->step[i].def->arity; k++)
            if (steps->step[i].arg[k] < MOST_LEAVES)
                reads[steps->step[i].arg[k]]++;
    for (int i = 0; i < steps->n_steps; i++) {
        const Step *step = &steps->step[i];
        if (step->def != op_def(OP_add) || (step->arg[0] != leaf && step->arg[1] != leaf))
            continue;
        int other = step->arg[0] == leaf ? step->arg[1] : step->arg[0];
        if (other < leaf && reads[other] == 1 && reads[leaf] == 1)
            twin = other;
    }
    return twin;
}

/* Room for the gradients by all wanted leaves, as of the result's shape; what arrived is written over where nobody reads
   it later: where the last step alone reads it, and once. */
static bool make_room(FusedHook *fused, Scope *s, Tensor *dy, const bool *wants, Tensor **full, bool *twin)
{
    const TensorSpec *spec = &fused->spec;
    bool free_dy = fused->steps.step[fused->steps.n_steps - 1].def->arity == 1 && dy->dtype == spec->dtype &&
                   tensor_is_unshared(dy) && tensor_is_contiguous(dy);
    for (int i = 0; i < fused->steps.n_leaves; i++) {
        int other = wants[i] ? twin_of(&fused->steps, i) : -1;
        twin[i] = other >= 0 && wants[other];
        if (!wants[i])
            continue;
        if (twin[i])
            full[i] = full[other];
        else if (free_dy)
            full[i] = scope_own(s, tensor_retain(dy));
        else
            full[i] = scope_own(s, tensor_new(s->ctx, spec->dtype, spec->ndim, spec->shape));
        free_dy = free_dy && twin[i];
        if (!full[i])
            return false;
    }
    return true;
}

static bool hook_gradient(GradHook *hook, TensorContext *ctx, Tensor *const *dy, const bool *wants, Tensor **dx)
{
    FusedHook *fused = (FusedHook *)hook;
    Tensor *full[MOST_LEAVES] = {NULL};
    Scope scope;
    scope_init(&scope, ctx);
    bool fine = true;
    if (ctx->recording > 0) {
        fine = backward_ops(fused, &scope, dy[0], wants, full);
    } else {
        bool twin[MOST_LEAVES];
        fine = make_room(fused, &scope, dy[0], wants, full, twin);
        watch_begin(ctx, &fused->steps, NULL);
        fine = fine && backward_pass(fused, ctx, dy[0], full, twin);
        watch_end(ctx);
    }
    for (int i = 0; i < fused->steps.n_leaves && fine; i++) {
        if (!wants[i])
            continue;
        dx[i] = tensor_retain(s_sum_to(&scope, full[i], &fused->leaf_spec[i]));
        fine = dx[i] != NULL;
    }
    scope_clear(&scope);
    return fine;
}

/* ---- recording ---- */

/* Which values a gradient reads: of each step by its row, and what these are made of. */
static void find_read(FusedHook *fused, bool kept, bool *leaf_read, bool *result_read)
{
    const Steps *steps = &fused->steps;
    int last = steps->n_steps - 1;
    *result_read = kept && (steps->step[last].def->saves & SAVE_OUT(0)) != 0;
    for (int i = last; i >= 0; i--) {
        const Step *step = &steps->step[i];
        bool made_again = fused->read[i];
        if (step->def->saves & SAVE_OUT(0) && !(kept && i == last))
            made_again = fused->read[i] = true;
        for (int k = 0; k < step->def->arity; k++) {
            if (!made_again && !(step->def->saves & SAVE_IN(k)))
                continue;
            if (step->arg[k] < MOST_LEAVES)
                leaf_read[step->arg[k]] = true;
            else
                fused->read[step->arg[k] - MOST_LEAVES] = true;
        }
    }
    for (int i = 0; fused->higher && i < steps->n_leaves; i++)
        leaf_read[i] = true;
}

static bool leads_anywhere(const Deferred *deferred)
{
    for (int i = 0; i < deferred->steps.n_leaves; i++)
        if (deferred->leaf[i]->node)
            return true;
    return false;
}

/* [kept]: the result has data, which the gradient may read. */
static bool record(TensorContext *ctx, const Deferred *deferred, bool kept, Tensor **result)
{
    FusedHook *fused = block_take(sizeof *fused);
    if (!fused)
        return error_set(&ctx->error, ERROR_memory, "", "no memory is left to record gradients");
    *fused = (FusedHook){.hook = {"fused", hook_gradient, hook_release, NULL}, .steps = deferred->steps,
                         .higher = ctx->recording > 1};
    bool leaf_read[MOST_LEAVES] = {false}, result_read, fine = true;
    spec_of(*result, &fused->spec);
    find_read(fused, kept, leaf_read, &result_read);
    for (int i = 0; i < deferred->steps.n_leaves; i++) {
        spec_of(deferred->leaf[i], &fused->leaf_spec[i]);
        if (leaf_read[i])
            fused->leaf[i] = tensor_retain(deferred->leaf[i]);
    }
    if (result_read) {
        const Tensor *y = *result;
        fused->result = tensor_view(ctx, y, y->ndim, y->shape, y->stride, 0);
        fine = fused->result != NULL;
    }
    if (!fine) {
        hook_release(&fused->hook);
        return false;
    }
    return grad_hook_take(ctx, &fused->hook, deferred->steps.n_leaves, deferred->leaf, 1, result);
}

/* ---- computing ---- */

/* Whether the leaf's place may become the result's: [deferred] alone holds it, it lies as the result will. */
static bool is_last_reader(const Deferred *deferred, int leaf, Dtype dtype, int ndim, const int64_t *shape)
{
    const Tensor *x = deferred->leaf[leaf];
    bool alone = x->refs == 1 && x->storage && x->storage->refs == 1 && !x->storage->release;
    return alone && !x->weak && x->dtype == dtype && x->ndim == ndim && memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) == 0 && tensor_is_contiguous(x);
}

/* Where the steps write to: over a leaf that nobody will read, else into new memory. */
static Tensor *result_room(TensorContext *ctx, const Deferred *deferred, Dtype dtype, int ndim, const int64_t *shape)
{
    FusedHook fused = {.steps = deferred->steps, .higher = ctx->recording > 1};
    bool leaf_read[MOST_LEAVES] = {false}, result_read;
    if (ctx->recording > 0 && leads_anywhere(deferred))
        find_read(&fused, true, leaf_read, &result_read);
    for (int i = 0; i < deferred->steps.n_leaves; i++)
        if (!leaf_read[i] && is_last_reader(deferred, i, dtype, ndim, shape))
            return tensor_view(ctx, deferred->leaf[i], ndim, shape, deferred->leaf[i]->stride, 0);
    return tensor_new(ctx, dtype, ndim, shape);
}

/* What [deferred] stands for, as a tensor with data and, where gradients are recorded, a node. */
static Tensor *compute(TensorContext *ctx, const Deferred *deferred, Dtype dtype, int ndim, const int64_t *shape)
{
    Tensor *result = result_room(ctx, deferred, dtype, ndim, shape);
    if (!result)
        return NULL;
    Pass pass;
    pass_init(&pass, &deferred->steps, dtype);
    pass.out = result->data;
    Sweep sweep;
    sweep_init(&sweep, ndim, shape, forward_body, &pass);
    for (int i = 0; i < deferred->steps.n_leaves; i++)
        sweep_input(&sweep, deferred->leaf[i], dtype);
    bool fine = sweep_run(ctx, &sweep);
    if (fine && ctx->recording > 0 && leads_anywhere(deferred))
        fine = record(ctx, deferred, true, &result);
    if (!fine)
        tensor_slot(&result, NULL);
    return result;
}

bool tensor_settle(TensorContext *ctx, Tensor *tensor)
{
    Deferred *deferred = tensor->deferred;
    if (!deferred)
        return true;
    watch_begin(ctx, &deferred->steps, NULL);
    Tensor *made = compute(ctx, deferred, (Dtype)tensor->dtype, tensor->ndim, tensor->shape);
    watch_end(ctx);
    if (!made)
        return false;
    tensor->deferred = NULL;
    tensor_take_contents(tensor, made);
    deferred_free(deferred);
    return true;
}

/* ---- sums ---- */

typedef struct Making { const Sweep *sweep; const Pass *pass; } Making;

static void make_values(void *arg, int64_t at, int64_t n, void *to)
{
    const Making *making = arg;
    Pass pass = *making->pass;
    pass.out = (char *)to - at * (int64_t)pass.size;
    sweep_part(making->sweep, at, n, &pass);
}

/* A sum or mean over all axes takes the values as they are made: they are written nowhere. */
static bool can_sum(const OpCall *call)
{
    bool sum = call->def == op_def(OP_sum) || call->def == op_def(OP_mean);
    return sum && call->attr[0].none && call->in[0]->deferred && !call->ctx->meta;
}

static bool record_sum(OpCall *call, const Deferred *deferred)
{
    TensorContext *ctx = call->ctx;
    const Tensor *late = call->in[0];
    Tensor *between = tensor_blank(ctx, (Dtype)late->dtype, late->ndim, late->shape);
    bool fine = between && record(ctx, deferred, false, &between);
    OpCall sum = *call;
    sum.in = &between;
    fine = fine && tape_record(&sum);
    call->out[0] = sum.out[0];
    tensor_release(between);
    return fine;
}

static bool sum_fused(OpCall *call)
{
    TensorContext *ctx = call->ctx;
    const Tensor *late = call->in[0];
    const Deferred *deferred = late->deferred;
    if (!call->def->shape(call))
        return false;
    const TensorSpec *spec = &call->spec[0];
    call->out[0] = tensor_new(ctx, spec->dtype, spec->ndim, spec->shape);
    if (!call->out[0])
        return false;
    Pass pass;
    pass_init(&pass, &deferred->steps, spec->dtype);
    Sweep sweep;
    sweep_init(&sweep, late->ndim, late->shape, forward_body, NULL);
    for (int i = 0; i < deferred->steps.n_leaves; i++)
        sweep_input(&sweep, deferred->leaf[i], spec->dtype);
    Making making = {&sweep, &pass};
    bool fine = sweep_begin(ctx, &sweep) && reduce_made(call, tensor_size(late), make_values, &making);
    sweep_end(&sweep);
    if (fine && ctx->recording > 0 && leads_anywhere(deferred))
        fine = record_sum(call, deferred);
    if (!fine)
        tensor_slot(&call->out[0], NULL);
    return fine;
}

bool op_call_fused(TensorContext *ctx, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
                   int *n_out)
{
    bool waiting = false, defer = ctx->defer;
    Tensor *dying = ctx->dying;
    ctx->defer = false;
    ctx->dying = NULL;
    if (dying && dying == in[0] && def == op_def(OP_relu) && !dying->deferred && ctx->recording > 0) {
        *n_out = 1;
        if (batch_norm_relu(ctx, dying, out) || ctx->error.kind != ERROR_NONE)
            return out[0] != NULL;
    }
    for (int i = 0; i < n_in; i++)
        waiting = waiting || (in[i] && in[i]->deferred);
    if (waiting || defer) {
        OpCall call = {.ctx = ctx, .def = def, .n_in = n_in, .in = in, .attr = attr, .n_out = 1};
        if (waiting && can_sum(&call)) {
            watch_begin(ctx, &in[0]->deferred->steps, def);
            bool fine = sum_fused(&call);
            watch_end(ctx);
            out[0] = call.out[0];
            *n_out = 1;
            return fine;
        }
        out[0] = def->elementwise >= 0 ? put_off(&call) : NULL;
        *n_out = 1;
        if (out[0] && (defer || tensor_settle(ctx, out[0])))
            return true;
        if (out[0]) {
            tensor_slot(&out[0], NULL);
            return false;
        }
        for (int i = 0; i < n_in; i++)
            if (in[i] && !tensor_settle(ctx, in[i]))
                return false;
    }
    for (int i = 0; i < n_in && dying; i++)
        if (in[i] == dying)
            ctx->room = dying;
    return op_call(ctx, def, n_in, in, attr, out, n_out);
}
