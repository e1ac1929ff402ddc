/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attention in one pass. For f32 a task takes one head: its keys and values go into panels, then blocks of queries run
   through scores, softmax and the second product while they lie in the cache (blocks.h). The gradient recomputes the
   scores, so nothing but the inputs is kept. Other dtypes, gradients by the mask and second orders are ops.

   Invariant: a head's blocks and sums depend on sizes only, so the bits are the same for any number of threads. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "blocks.h"
#include "core.h"

#define LANES BLOCK_LANES
#define MOST_ROWS 64          /* queries of a block */
#define LEAST_ROWS 14
#define SCORES (64 << 10)     /* floats of a block's scores, about what the second-level cache has room for */
#define PART_ROWS 256         /* queries of a task, forward */

typedef struct Operand {
    Tensor *tensor;           /* owned; f32 whose last axis lies in one piece */
    int64_t step;             /* of its rows */
    int64_t batch[TENSOR_MAX_DIMS];
} Operand;

typedef struct Attention {
    const BlockKernels *kernels;
    TensorContext *ctx;
    int n_batch;
    int64_t shape[TENSOR_MAX_DIMS], batches;
    int64_t t, s, d, e;
    int64_t wide_s, wide_d, wide_e;        /* rounded up to whole vectors */
    int64_t rows, parts;      /* queries of a block; tasks a head, forward */
    double scale;
    bool causal, bools;       /* bools: the mask's dtype */
    Operand q, k, v, dy;
    Tensor *mask;             /* owned; bool or f32; NULL: none */
    int64_t mask_stride[TENSOR_MAX_DIMS];  /* over [batch..., t, s] */
    Operand out, dq, dk, dv;  /* of a tensor that is not owned; NULL where not wanted */
    atomic_bool failed;       /* a task found no memory */
} Attention;

/* ---- shapes ---- */

static bool differ(OpCall *call, const char *what, int64_t a, int64_t b)
{
    return op_error(call, ERROR_shape, "%s differ, %lld and %lld", what, (long long)a, (long long)b);
}

bool shape_attention(OpCall *call)
{
    const Tensor *q = call->in[0], *k = call->in[1], *v = call->in[2], *mask = call->in[3];
    int n = q->ndim;
    if (n < 2 || k->ndim != n || v->ndim != n)
        return op_error(call, ERROR_shape, "q, k and v must have the same number of axes, two or more, not %d, %d and %d", n,
                        k->ndim, v->ndim);
    for (int i = 0; i < n - 2; i++)
        if (q->shape[i] != k->shape[i] || q->shape[i] != v->shape[i])
            return op_error(call, ERROR_shape, "axis %d of q, k and v has sizes %lld, %lld and %lld", i,
                            (long long)q->shape[i], (long long)k->shape[i], (long long)v->shape[i]);
    if (q->shape[n - 1] != k->shape[n - 1])
        return differ(call, "the last axes of q and k", q->shape[n - 1], k->shape[n - 1]);
    if (k->shape[n - 2] != v->shape[n - 2])
        return differ(call, "the numbers of keys and values", k->shape[n - 2], v->shape[n - 2]);
    TensorSpec *spec = &call->spec[0], wanted, given, both;
    spec_of(q, spec);
    wanted = *spec;
    wanted.shape[n - 1] = k->shape[n - 2];
    spec->shape[n - 1] = v->shape[n - 1];
    spec->dtype = op_promote(3, call->in, true, true);
    if (!mask)
        return true;
    if (mask->dtype != DTYPE_bool && dtype_class((Dtype)mask->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "the mask must be bools or floats, got %s", dtype_name((Dtype)mask->dtype));
    spec_of(mask, &given);
    if (!shape_broadcast(call, &wanted, &given, &both))
        return false;
    if (spec_equal_shape(&wanted, &both))
        return true;
    char text[96];
    shape_format(wanted.ndim, wanted.shape, text, sizeof text);
    return op_error(call, ERROR_shape, "the mask must broadcast to %s", text);
}

/* ---- made of ops ---- */

static Tensor *turned(Scope *s, Tensor *x)
{
    return s_transpose(s, x, -2, -1);
}

/* Bools [t, s]: query i sees keys 0 to i. */
static Tensor *past_keys(Scope *s, int64_t queries, int64_t keys)
{
    int64_t shape[2] = {queries, keys};
    Tensor *past = scope_own(s, tensor_new(s->ctx, DTYPE_bool, 2, shape));
    for (int64_t i = 0; past && !s->ctx->meta && i < queries * keys; i++)
        ((bool *)(void *)past->data)[i] = i % keys <= i / keys;
    return past;
}

static Tensor *softmax_of(Scope *s, Tensor *scores)
{
    Attr axis[1] = {attr_int(-1)};
    return scores ? s_op(s, OP_softmax, 1, &scores, axis, 0) : NULL;
}

/* softmax(q k^T scale + mask) */
static Tensor *weights(Scope *s, Tensor *const *in, double scale, bool causal)
{
    Tensor *q = in[0], *k = in[1], *mask = in[3], *allowed = NULL;
    Tensor *scores = s_scale(s, s_matmul(s, q, turned(s, k)), scale);
    if (mask && mask->dtype == DTYPE_bool) {
        allowed = mask;
    } else if (mask) {
        scores = s_add(s, scores, mask);
        allowed = s_binary(s, OP_gt, mask, s_const(s, (double)-INFINITY));
    }
    if (causal) {
        Tensor *past = past_keys(s, q->shape[q->ndim - 2], k->shape[k->ndim - 2]);
        allowed = allowed ? s_binary(s, OP_logical_and, allowed, past) : past;
    }
    if (!allowed)
        return softmax_of(s, scores);
    Tensor *y = softmax_of(s, s_where(s, allowed, scores, s_const(s, -1e30)));
    return s_where(s, allowed, y, s_const(s, 0));
}

static bool run_ops(OpCall *call)
{
    Scope scope, *s = &scope;
    scope_init(s, call->ctx);
    Tensor *y = s_matmul(s, weights(s, call->in, call->attr[0].num, call->attr[1].b), call->in[2]);
    bool done = y && tensor_assign(call->ctx, call->out[0], y);
    scope_clear(s);
    return done;
}

static bool grad_ops(GradCall *g)
{
    Scope *s = g->s;
    Tensor *q = g->in[0], *k = g->in[1], *v = g->in[2], *dy = g->dy[0];
    double scale = g->attr[0].num;
    bool last[TENSOR_MAX_DIMS] = {false};
    Tensor *p = weights(s, g->in, scale, g->attr[1].b), *dp = s_matmul(s, dy, turned(s, v));
    if (!p || !dp)
        return false;
    last[p->ndim - 1] = true;
    Tensor *ds = s_mul(s, p, s_sub(s, dp, s_sum(s, s_mul(s, p, dp), last, true)));
    Tensor *scaled = s_scale(s, ds, scale);
    if (g->wants[0])
        g->dx[0] = s_cast(s, s_matmul(s, scaled, k), g->in_spec[0].dtype);
    if (g->wants[1])
        g->dx[1] = s_cast(s, s_matmul(s, turned(s, scaled), q), g->in_spec[1].dtype);
    if (g->wants[2])
        g->dx[2] = s_cast(s, s_matmul(s, turned(s, p), dy), g->in_spec[2].dtype);
    if (g->n_in > 3 && g->wants[3])
        g->dx[3] = s_sum_to(s, ds, &g->in_spec[3]);
    return g->ctx->error.kind == ERROR_NONE;
}

/* ---- the fused job ---- */

static bool operand_take(TensorContext *ctx, Tensor *x, Operand *o)
{
    Tensor *t = tensor_cast(ctx, x, DTYPE_f32);
    int n = x->ndim;
    if (t && t->shape[n - 1] > 1 && t->stride[n - 1] != 1) {
        Tensor *dense = tensor_contiguous(ctx, t);
        tensor_release(t);
        t = dense;
    }
    o->tensor = t;
    if (!t)
        return false;
    o->step = t->stride[n - 2];
    memcpy(o->batch, t->stride, (size_t)(n - 2) * sizeof *o->batch);
    return true;
}

/* Where a result goes, which is f32 with its last axis in one piece. */
static Operand result_to(Tensor *t)
{
    Operand o = {.tensor = t, .step = t->stride[t->ndim - 2]};
    memcpy(o.batch, t->stride, (size_t)(t->ndim - 2) * sizeof *o.batch);
    return o;
}

static bool mask_take(TensorContext *ctx, Attention *a, const Tensor *q, Tensor *mask)
{
    a->bools = mask->dtype == DTYPE_bool;
    a->mask = tensor_cast(ctx, mask, a->bools ? DTYPE_bool : DTYPE_f32);
    if (!a->mask)
        return false;
    for (int i = 0; i < q->ndim; i++) {
        int own = i - (q->ndim - a->mask->ndim);
        a->mask_stride[i] = own < 0 || a->mask->shape[own] == 1 ? 0 : a->mask->stride[own];
    }
    return true;
}

static int64_t whole(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

static bool begin(TensorContext *ctx, Attention *a, Tensor *const *in, const Attr *attr)
{
    const Tensor *q = in[0];
    a->kernels = block_kernels();
    a->ctx = ctx;
    a->n_batch = q->ndim - 2;
    a->batches = 1;
    for (int i = 0; i < a->n_batch; i++)
        a->batches *= a->shape[i] = q->shape[i];
    a->t = q->shape[q->ndim - 2];
    a->d = q->shape[q->ndim - 1];
    a->s = in[1]->shape[q->ndim - 2];
    a->e = in[2]->shape[q->ndim - 1];
    a->wide_d = whole(a->d);
    a->wide_s = whole(a->s);
    a->wide_e = whole(a->e);
    a->rows = SCORES / a->wide_s;
    a->rows = a->rows > MOST_ROWS ? MOST_ROWS : a->rows < LEAST_ROWS ? LEAST_ROWS : a->rows;
    a->rows = a->rows > a->t ? a->t : a->rows;
    a->parts = (a->t + PART_ROWS - 1) / PART_ROWS;
    a->scale = attr[0].num;
    a->causal = attr[1].b;
    return operand_take(ctx, in[0], &a->q) && operand_take(ctx, in[1], &a->k) && operand_take(ctx, in[2], &a->v) &&
           (!in[3] || mask_take(ctx, a, q, in[3]));
}

static void end(Attention *a)
{
    tensor_release(a->q.tensor);
    tensor_release(a->k.tensor);
    tensor_release(a->v.tensor);
    tensor_release(a->dy.tensor);
    tensor_release(a->mask);
}

static int64_t offset(const Attention *a, const int64_t *stride, int64_t batch)
{
    int64_t at = 0;
    for (int i = a->n_batch - 1; i >= 0; i--) {
        at += batch % a->shape[i] * stride[i];
        batch /= a->shape[i];
    }
    return at;
}

static const float *head_of(const Attention *a, const Operand *o, int64_t batch)
{
    return (const float *)(const void *)o->tensor->data + offset(a, o->batch, batch);
}

static float *rows_of(const Attention *a, const Operand *o, int64_t batch, int64_t row)
{
    return (float *)(void *)o->tensor->data + offset(a, o->batch, batch) + row * o->step;
}

/* ---- a head ---- */

/* What a task works in: panels of a head's keys and values, and the blocks of some queries. */
typedef struct Head {
    int64_t batch;
    float *base;
    float *keys_turned, *values, *keys, *values_turned, *dk, *dv;
    float *q, *dy, *p, *dp, *out, *top, *share;
} Head;

static float *cut(float **at, int64_t floats)
{
    float *piece = *at;
    *at += floats;
    return piece;
}

static bool head_take(Attention *a, Head *h, int64_t batch, bool grad)
{
    int64_t by_d = a->wide_s * a->wide_d, by_e = a->wide_s * a->wide_e, per_row = a->wide_d + a->wide_e + a->wide_s;
    int64_t wide_out = a->wide_d > a->wide_e ? a->wide_d : a->wide_e;
    int64_t floats = by_d + by_e + a->rows * (per_row + wide_out + 2 * LANES);
    Error error = {0};
    if (grad)
        floats += 2 * by_d + by_e + a->rows * a->wide_s;
    float *at = h->base = scratch_take(&error, (size_t)floats * sizeof(float));
    h->batch = batch;
    if (!at) {
        atomic_store(&a->failed, true);
        return false;
    }
    h->keys_turned = cut(&at, by_d);
    h->q = cut(&at, a->rows * a->wide_d);
    h->dy = cut(&at, a->rows * a->wide_e);
    h->p = cut(&at, a->rows * a->wide_s);
    h->out = cut(&at, a->rows * wide_out);
    h->top = cut(&at, a->rows * LANES);
    h->share = cut(&at, a->rows * LANES);
    a->kernels->pack_turned(a->s, a->d, head_of(a, &a->k, batch), a->k.step, h->keys_turned);
    if (!grad) {
        h->values = cut(&at, by_e);
        a->kernels->pack_panels(a->s, a->e, head_of(a, &a->v, batch), a->v.step, h->values);
        return true;
    }
    h->dp = cut(&at, a->rows * a->wide_s);
    h->keys = cut(&at, by_d);
    h->dk = cut(&at, by_d);
    h->values_turned = cut(&at, by_e);
    h->dv = cut(&at, by_e);
    a->kernels->pack_panels(a->s, a->d, head_of(a, &a->k, batch), a->k.step, h->keys);
    a->kernels->pack_turned(a->s, a->e, head_of(a, &a->v, batch), a->v.step, h->values_turned);
    memset(h->dk, 0, (size_t)by_d * sizeof(float));
    memset(h->dv, 0, (size_t)by_e * sizeof(float));
    return true;
}

/* c [rows, n] in blocks = a [rows, inner], in [blocks], times panels of [depth] rows and n columns. */
static void times_panels(const Attention *a, int64_t rows, int64_t blocks, const float *x, int64_t n, int64_t depth,
                         const float *panels, float *c)
{
    for (int64_t j = 0; j < n; j += BLOCK_PANEL) {
        int64_t wide = n - j < BLOCK_PANEL ? n - j : BLOCK_PANEL;
        BlockResult to = {c + j * LANES * rows, LANES, rows * LANES};
        a->kernels->product(rows, blocks, x, wide, panels + j * LANES * depth, to, false, NULL);
    }
}

/* Scores that must not count, and those that a mask moves. Only the last block has columns that do not exist. */
static void mask_scores(const Attention *a, const Head *h, int64_t first, int64_t rows, int64_t blocks, float *scores)
{
    const int64_t *stride = a->mask_stride + a->n_batch;
    int64_t from = a->mask ? offset(a, a->mask_stride, h->batch) : 0;
    bool cut_off = blocks * LANES > a->s || (a->causal && blocks * LANES > first + 1);
    if (!a->mask && !cut_off)
        return;
    for (int64_t j = 0; j < blocks * LANES; j++)
        for (int64_t i = 0; i < rows; i++) {
            float *x = scores + (j / LANES * rows + i) * LANES + j % LANES;
            if (j >= a->s || (a->causal && j > first + i)) {
                *x = -INFINITY;
                continue;
            }
            if (!a->mask)
                continue;
            int64_t at = from + (first + i) * stride[0] + j * stride[1];
            if (!a->bools)
                *x += ((const float *)(const void *)a->mask->data)[at];
            else if (!((const bool *)(const void *)a->mask->data)[at])
                *x = -INFINITY;
        }
}

/* The softmax of queries [first, first + rows), not yet times its share; returns how many blocks of keys they see. */
static int64_t scores_of(const Attention *a, const Head *h, int64_t first, int64_t rows)
{
    int64_t all = a->wide_s / LANES, seen = a->causal ? (first + rows + LANES - 1) / LANES : all;
    seen = (seen + BLOCK_PANEL - 1) / BLOCK_PANEL * BLOCK_PANEL;
    seen = seen > all ? all : seen;
    a->kernels->pack_rows(rows, a->d, head_of(a, &a->q, h->batch) + first * a->q.step, a->q.step, (float)a->scale, h->q);
    times_panels(a, rows, a->wide_d / LANES, h->q, seen, a->wide_d, h->keys_turned, h->p);
    mask_scores(a, h, first, rows, seen, h->p);
    a->kernels->softmax(rows, seen, h->p, h->top, h->share);
    return seen;
}

static void forward_task(void *arg, int64_t task)
{
    Attention *a = arg;
    Head h;
    int64_t first = task % a->parts * PART_ROWS, last = first + PART_ROWS < a->t ? first + PART_ROWS : a->t;
    if (!head_take(a, &h, task / a->parts, false))
        return;
    for (int64_t row = first; row < last && !tensor_stopped(a->ctx); row += a->rows) {
        int64_t rows = last - row < a->rows ? last - row : a->rows, seen = scores_of(a, &h, row, rows);
        times_panels(a, rows, seen, h.p, a->wide_e / LANES, a->wide_s, h.values, h.out);
        a->kernels->unpack_rows(rows, a->e, h.out, h.share, rows_of(a, &a->out, h.batch, row), a->out.step);
    }
    scratch_release(h.base);
}

/* sums [blocks * 16, n * 16] += the transpose of x [rows, blocks * 16] times y [rows, n * 16] */
static void add_turned(const Attention *a, int64_t rows, int64_t blocks, const float *x, int64_t n, const float *y,
                       float *sums)
{
    for (int64_t j = 0; j < n; j += BLOCK_PANEL) {
        int64_t wide = n - j < BLOCK_PANEL ? n - j : BLOCK_PANEL;
        BlockRows from = {y + j * rows * LANES, LANES, rows * LANES};
        for (int64_t i = 0; i < blocks; i++)
            a->kernels->product_grad(rows, x + i * rows * LANES, wide, from, true, NULL,
                                     sums + (i * LANES * n + j) * LANES, n * LANES);
    }
}

static void backward_rows(const Attention *a, Head *h, int64_t first, int64_t rows)
{
    int64_t seen = scores_of(a, h, first, rows), blocks_d = a->wide_d / LANES, blocks_e = a->wide_e / LANES;
    const float *dy = head_of(a, &a->dy, h->batch) + first * a->dy.step;
    a->kernels->pack_rows(rows, a->e, dy, a->dy.step, 1, h->dy);
    times_panels(a, rows, blocks_e, h->dy, seen, a->wide_e, h->values_turned, h->dp);
    a->kernels->softmax_grad(rows, seen, h->p, h->share, h->dp, h->top);
    add_turned(a, rows, seen, h->dp, blocks_d, h->q, h->dk);
    add_turned(a, rows, seen, h->p, blocks_e, h->dy, h->dv);
    if (!a->dq.tensor)
        return;
    for (int64_t i = 0; i < rows * LANES; i++)
        h->top[i] = (float)a->scale;
    times_panels(a, rows, seen, h->dp, blocks_d, a->wide_s, h->keys, h->out);
    a->kernels->unpack_rows(rows, a->d, h->out, h->top, rows_of(a, &a->dq, h->batch, first), a->dq.step);
}

static void store_rows(const Attention *a, const Operand *to, int64_t batch, int64_t n, int64_t step, const float *from)
{
    for (int64_t i = 0; to->tensor && i < a->s; i++)
        memcpy(rows_of(a, to, batch, i), from + i * step, (size_t)n * sizeof *from);
}

static void backward_task(void *arg, int64_t task)
{
    Attention *a = arg;
    Head h;
    if (!head_take(a, &h, task, true))
        return;
    for (int64_t row = 0; row < a->t && !tensor_stopped(a->ctx); row += a->rows)
        backward_rows(a, &h, row, a->t - row < a->rows ? a->t - row : a->rows);
    store_rows(a, &a->dk, task, a->d, a->wide_d, h.dk);
    store_rows(a, &a->dv, task, a->e, a->wide_e, h.dv);
    scratch_release(h.base);
}

/* ---- run ---- */

static bool finish(TensorContext *ctx, Attention *a, bool done)
{
    end(a);
    if (!done || !atomic_load(&a->failed))
        return done && !tensor_interrupted(ctx);
    error_set(&ctx->error, ERROR_memory, "softmax_attention", "no memory is left to work in");
    return false;
}

/* Puts heads inside tokens where q has them so: the usual [n, t, h d] that follows is then no copy. */
static void lay_out_like(const Tensor *q, Tensor *out)
{
    int n = q->ndim;
    if (n < 3 || q->stride[n - 3] >= q->stride[n - 2])
        return;
    out->stride[n - 3] = out->shape[n - 1];
    out->stride[n - 2] = out->shape[n - 3] * out->shape[n - 1];
}

bool softmax_attention_run(OpCall *call)
{
    Attention a = {0};
    if (call->spec[0].dtype != DTYPE_f32 || tensor_size(call->in[1]) == 0)
        return run_ops(call);
    if (spec_size(&call->spec[0]) == 0)
        return true;
    lay_out_like(call->in[0], call->out[0]);
    a.out = result_to(call->out[0]);
    bool done = begin(call->ctx, &a, call->in, call->attr) &&
                pool_run(call->ctx, a.batches * a.parts, forward_task, &a);
    return finish(call->ctx, &a, done);
}

/* An uninitialised tensor for the gradient by input [i] where it is wanted. */
static bool grad_take(GradCall *g, int i, Operand *to)
{
    const TensorSpec *spec = &g->in_spec[i];
    if (!g->wants[i])
        return true;
    if (!g->dx[i])
        g->dx[i] = scope_own(g->s, tensor_new(g->ctx, DTYPE_f32, spec->ndim, spec->shape));
    if (g->dx[i])
        *to = result_to(g->dx[i]);
    return g->dx[i] != NULL;
}

/* Where q, k and v are the three parts of one tensor, their gradients become the parts of another that is laid out in the
   same way; the tape makes it the gradient of the tensor without a copy. */
static bool take_parts(GradCall *g)
{
    const Tensor *q = g->in[0];
    int64_t size = 3 * tensor_size(q), step = q->stride[q->ndim - 1] == 1 ? tensor_parts_step(q, 3) : 0;
    for (int i = 0; i < 3; i++) {
        const Tensor *x = g->in[i];
        bool alike = x->storage && x->storage == q->storage && x->dtype == DTYPE_f32 && g->wants[i] && step > 0 &&
                     x->data == q->data + i * step * (int64_t)sizeof(float);
        for (int d = 0; alike && d < q->ndim; d++)
            alike = x->shape[d] == q->shape[d] && x->stride[d] == q->stride[d];
        if (!alike)
            return true;
    }
    Tensor *whole = scope_own(g->s, tensor_new(g->ctx, DTYPE_f32, 1, &size));
    for (int i = 0; whole && i < 3; i++)
        g->dx[i] = scope_own(g->s, tensor_view(g->ctx, whole, q->ndim, q->shape, q->stride, i * step));
    if (whole)
        whole->storage->parts = 7;
    return whole && g->dx[0] && g->dx[1] && g->dx[2];
}

bool softmax_attention_grad(GradCall *g)
{
    Attention a = {0};
    bool mask = g->n_in > 3 && g->wants[3];
    if (grad_recording(g) || mask || g->out_spec[0].dtype != DTYPE_f32 || spec_size(&g->out_spec[0]) == 0 ||
        spec_size(&g->in_spec[1]) == 0)
        return grad_ops(g);
    bool done = take_parts(g) && grad_take(g, 0, &a.dq) && grad_take(g, 1, &a.dk) && grad_take(g, 2, &a.dv) &&
                begin(g->ctx, &a, g->in, g->attr) && operand_take(g->ctx, g->dy[0], &a.dy) &&
                pool_run(g->ctx, a.batches, backward_task, &a);
    if (!finish(g->ctx, &a, done))
        return false;
    for (int i = 0; i < 3; i++)
        if (g->wants[i])
            g->dx[i] = s_cast(g->s, g->dx[i], g->in_spec[i].dtype);
    return g->ctx->error.kind == ERROR_NONE;
}
