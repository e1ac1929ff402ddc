/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attention in one pass. For f32 a task takes some heads, or some queries of a long one: blocks of queries run through
   scores, softmax and the second product while these lie in the cache (attention.h); keys and values are read where they
   lie. The gradient recomputes the scores, so nothing but the inputs is kept. Other dtypes, gradients by the mask and
   second orders are ops. Under autocast the products of long heads round to bf16 where there are tile registers (tiles.h), for
   which a task packs keys and values once a head.

   Invariant: a head's blocks and sums depend on sizes only, so the bits are the same for any number of threads. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "attention.h"
#include "core.h"
#include "tiles.h"

#define LANES HEAD_LANES
#define SIDE (2 * TILE_LINES) /* of the squares that products in tiles make */
#define SCORES (128 << 10)    /* floats of a block's scores, about what the second-level cache has room for */
#define LEAST_NARROW 32       /* queries and keys from which tiles multiply faster than packing for them takes */
#define TILE_QUERIES 128      /* of a block whose products are by tiles, at most */
#define PART_ROWS 256         /* queries of a task, forward */
#define PART_SCORES (32 << 10)         /* and the scores of one that takes several heads */

typedef struct Operand {
    Tensor *tensor;           /* owned; f32 whose last axis lies in one piece */
    int64_t step;             /* of its rows */
    int64_t batch[TENSOR_MAX_DIMS];
} Operand;

typedef struct Attention {
    const AttentionKernels *kernels;
    const TileKernels *tiles; /* NULL: products are f32 */
    TensorContext *ctx;
    int n_batch;
    int64_t shape[TENSOR_MAX_DIMS], batches;
    int64_t t, s, d, e;
    int64_t wide_d, wide_e;   /* rounded up to whole vectors */
    int64_t lanes;            /* queries of a block */
    int64_t parts, together;  /* tasks a head, forward; heads a task */
    float scale;
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

/* How many queries are a block, and what is a task. */
static void cut_work(Attention *a)
{
    int64_t most = a->tiles ? TILE_QUERIES : HEAD_WIDE * LANES, fits = SCORES / a->s / LANES * LANES;
    a->lanes = fits > most ? most : fits < LANES ? LANES : fits;
    a->lanes = a->lanes > whole(a->t) ? whole(a->t) : a->lanes;
    a->parts = (a->t + PART_ROWS - 1) / PART_ROWS;
    a->together = PART_SCORES / a->s / a->t;
    a->together = a->together < 1 ? 1 : a->together;
}

static bool begin(TensorContext *ctx, Attention *a, Tensor *const *in, const Attr *attr)
{
    const Tensor *q = in[0];
    a->kernels = attention_kernels();
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
    a->wide_e = whole(a->e);
    a->tiles = ctx->narrow && a->t >= LEAST_NARROW && a->s >= LEAST_NARROW ? tile_kernels() : NULL;
    cut_work(a);
    a->scale = (float)attr[0].num;
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

/* ---- a head ---- */

typedef struct Size { int64_t rows, columns, depth; } Size;    /* of a product; columns are whole vectors */

/* An operand in tiles: blocks of [deep] ones. */
typedef struct Packed { char *at; int64_t deep; } Packed;

/* What a task works in: a block's queries and their gradients, turned, its scores and their gradients, and room for
   matrices whose rows are not whole vectors. */
typedef struct Work {
    float *base;
    int64_t used;
    float *q, *dy, *p, *dp, *share;
    Packed k, turned_k, v;                 /* of a head */
    char *left, *right;                    /* room for other operands, packed */
    float *square;                         /* and for a part of a product */
    HeadRows keys, values, queries, grads, dk, dv, out;
} Work;

/* Without a base this only counts. */
static float *cut(Work *w, int64_t floats)
{
    float *piece = w->base ? w->base + w->used : NULL;
    w->used += floats;
    return piece;
}

static HeadRows cut_ragged(Work *w, int64_t rows, int64_t n)
{
    HeadRows room = {NULL, whole(n)};
    if (n % LANES != 0)
        room.at = cut(w, rows * room.step);
    return room;
}

static int64_t squares(int64_t n)
{
    return (n + SIDE - 1) / SIDE;
}

static char *cut_packed(Work *w, int64_t lines, int64_t depth)
{
    return (char *)cut(w, squares(lines) * squares(depth) * SIDE * SIDE / 2);
}

static void cut_tiles(const Attention *a, Work *w, bool grad)
{
    int64_t lanes = a->lanes, widest = a->d > a->e ? a->d : a->e;
    w->k.at = cut_packed(w, a->s, a->d);
    w->v.at = cut_packed(w, a->s, a->e);
    if (grad)
        w->turned_k.at = cut_packed(w, a->s, a->d);
    w->left = cut_packed(w, lanes, a->s);
    w->right = cut_packed(w, lanes, widest);
    w->square = cut(w, SIDE * SIDE);
}

static void cut_all(const Attention *a, Work *w, bool grad)
{
    if (a->tiles)
        cut_tiles(a, w, grad);
    else
        w->q = cut(w, a->lanes * a->d);
    w->p = cut(w, a->lanes * a->s);
    w->share = cut(w, a->lanes);
    w->out = cut_ragged(w, a->lanes, grad ? a->d : a->e);
    if (!grad) {
        w->values = cut_ragged(w, a->s, a->e);
        return;
    }
    if (!a->tiles)
        w->dy = cut(w, a->lanes * a->e);
    w->dp = cut(w, a->lanes * a->s);
    w->keys = cut_ragged(w, a->s, a->d);
    w->queries = cut_ragged(w, a->t, a->d);
    w->grads = cut_ragged(w, a->t, a->e);
    w->dk = cut_ragged(w, a->s, a->d);
    w->dv = cut_ragged(w, a->s, a->e);
}

static bool work_take(Attention *a, Work *w, bool grad)
{
    Error error = {0};
    *w = (Work){0};
    cut_all(a, w, grad);
    w->base = scratch_take(&error, (size_t)w->used * sizeof(float));
    if (!w->base) {
        atomic_store(&a->failed, true);
        return false;
    }
    w->used = 0;
    cut_all(a, w, grad);
    if (a->tiles)
        a->tiles->begin();
    return true;
}

static void work_give(const Attention *a, Work *w)
{
    if (a->tiles)
        a->tiles->end();
    scratch_release(w->base);
}

/* The square of a product at [row, column]: straight to where it belongs if all of its rows do, as they are. */
static void square(const Attention *a, const Work *w, TileSum sum, int64_t rows, HeadResult c)
{
    bool straight = rows == sum.rows * TILE_LINES && !c.factor;
    sum.c = straight ? c.rows.at : w->square;
    sum.step = straight ? c.rows.step : SIDE;
    sum.start = straight && c.add ? c.rows.at : NULL;
    sum.start_step = c.rows.step;
    a->tiles->product(&sum);
    if (!straight)
        a->kernels->settle(rows, sum.columns, w->square, SIDE, c);
}

/* [lines] of [depth] numbers, or, where they lie so, the depth's rows of [lines] numbers. */
static Packed packed(const Attention *a, char *at, int64_t lines, int64_t depth, HeadLeft from, bool right)
{
    if (a->tiles)
        a->tiles->pack(lines, depth, from.at, from.step, from.turned, right, 1, at);
    return (Packed){at, squares(depth)};
}

static void multiply_tiles(const Attention *a, const Work *w, Size n, Packed x, Packed y, HeadResult c)
{
    for (int64_t i = 0; i < n.rows; i += SIDE)
        for (int64_t j = 0; j < n.columns; j += SIDE) {
            int64_t rows = n.rows - i < SIDE ? n.rows - i : SIDE;
            TileSum sum = {.rows = rows > TILE_LINES ? 2 : 1, .columns = n.columns - j > TILE_LINES ? 2 : 1, .parts = 1,
                           .deep = squares(n.depth)};
            sum.a = tiles_packed(x.at + i / TILE_LINES * x.deep * TILE_BYTES, x.deep, 1);
            sum.b = tiles_packed(y.at + j / TILE_LINES * y.deep * TILE_BYTES, y.deep, 1);
            HeadRows to = {c.rows.at + i * c.rows.step + j, c.rows.step};
            square(a, w, sum, rows, (HeadResult){to, c.add, c.factor ? c.factor + i * c.next : NULL, c.next});
        }
}

/* c = left right, or, where there are tiles, x y, in which these are packed, or more of what they are part of. */
static void multiply(const Attention *a, const Work *w, Size n, Packed x, Packed y, HeadLeft left, HeadRows right, HeadResult c)
{
    if (a->tiles)
        multiply_tiles(a, w, n, x, y, c);
    else
        a->kernels->product(n.rows, n.depth, n.columns / LANES, left, right, c);
}

static HeadRows rows_of(const Attention *a, const Operand *o, int64_t head, int64_t row)
{
    return (HeadRows){(float *)(void *)o->tensor->data + offset(a, o->batch, head) + row * o->step, o->step};
}

static HeadRows from_row(HeadRows rows, int64_t row)
{
    return (HeadRows){rows.at + row * rows.step, rows.step};
}

/* All rows of an operand as whole vectors: where they lie, or copied into [room] with zeros behind them. */
static HeadRows whole_rows(const Attention *a, const Operand *o, int64_t head, int64_t rows, int64_t n, HeadRows room)
{
    HeadRows from = rows_of(a, o, head, 0);
    if (!room.at)
        return from;
    for (int64_t i = 0; i < rows; i++) {
        float *to = room.at + i * room.step;
        memcpy(to, from.at + i * from.step, (size_t)n * sizeof *to);
        memset(to + n, 0, (size_t)(room.step - n) * sizeof *to);
    }
    return room;
}

/* Where rows that a product writes go: where they belong, or into [room], to be brought there by put_rows. */
static HeadRows result_rows(const Attention *a, const Operand *o, int64_t head, int64_t row, HeadRows room)
{
    return room.at ? room : rows_of(a, o, head, row);
}

static void put_rows(const Attention *a, const Operand *o, int64_t head, int64_t row, int64_t rows, int64_t n, HeadRows room)
{
    HeadRows to = room.at ? rows_of(a, o, head, row) : room;
    for (int64_t i = 0; to.at && i < rows; i++)
        memcpy(to.at + i * to.step, room.at + i * room.step, (size_t)n * sizeof *to.at);
}

/* The rows of k or v of a head as lines of a left operand, or as the depth of a right one. */
static Packed packed_keys(const Attention *a, const Operand *o, int64_t head, int64_t n, char *at, bool right)
{
    HeadRows from = rows_of(a, o, head, 0);
    return packed(a, at, right ? n : a->s, right ? a->s : n, (HeadLeft){from.at, from.step, right}, right);
}

/* Some queries of a head that lie side by side, and how many keys they see. */
typedef struct Block { int64_t head, first, rows, wide, lanes, seen; } Block;

static Block block_at(const Attention *a, int64_t head, int64_t first, int64_t end)
{
    Block b = {.head = head, .first = first, .rows = end - first < a->lanes ? end - first : a->lanes, .seen = a->s};
    b.wide = (b.rows + LANES - 1) / LANES;
    b.lanes = b.wide * LANES;
    if (a->causal && first + b.rows < a->s)
        b.seen = first + b.rows;
    return b;
}

/* Scores that must not count, and those that a mask moves. */
static void mask_scores(const Attention *a, const Block *b, float *scores)
{
    const int64_t *stride = a->mask_stride + a->n_batch;
    int64_t from = a->mask ? offset(a, a->mask_stride, b->head) + b->first * stride[0] : 0;
    for (int64_t j = a->mask ? 0 : b->first + 1; (a->mask || a->causal) && j < b->seen; j++)
        for (int64_t i = 0; i < b->rows; i++) {
            float *x = scores + j * b->lanes + i;
            int64_t at = from + i * stride[0] + j * stride[1];
            if (a->causal && j > b->first + i)
                *x = -INFINITY;
            else if (a->mask && !a->bools)
                *x += ((const float *)(const void *)a->mask->data)[at];
            else if (a->mask && !((const bool *)(const void *)a->mask->data)[at])
                *x = -INFINITY;
        }
}

/* c [keys, queries] = x [keys, n] times the queries' rows of y, turned in [room] for vectors. */
static void times_turned(const Attention *a, const Work *w, const Block *b, int64_t n, Packed keys, HeadRows x, HeadRows y,
                         float *room, HeadResult c)
{
    Packed queries = packed(a, w->right, b->rows, n, (HeadLeft){y.at, y.step, false}, true);
    if (!a->tiles)
        a->kernels->turn(b->rows, n, y.at, y.step, b->wide, room);
    multiply(a, w, (Size){b->seen, b->lanes, n}, keys, queries, (HeadLeft){x.at, x.step, false}, (HeadRows){room, b->lanes}, c);
}

static void scores_of(const Attention *a, const Work *w, const Block *b)
{
    HeadRows q = rows_of(a, &a->q, b->head, b->first), k = rows_of(a, &a->k, b->head, 0);
    times_turned(a, w, b, a->d, w->k, k, q, w->q, (HeadResult){{w->p, b->lanes}, false, &a->scale, 0});
    mask_scores(a, b, w->p);
}

/* c [queries, n] = the transpose of x [keys, queries] times y [keys, n] */
static void times_keys(const Attention *a, const Work *w, const Block *b, int64_t n, float *x, Packed keys, HeadRows y,
                       HeadResult c)
{
    HeadLeft left = {x, b->lanes, true};
    Packed queries = packed(a, w->left, b->rows, b->seen, left, false);
    multiply(a, w, (Size){b->rows, whole(n), b->seen}, queries, keys, left, y, c);
}

static void forward_block(const Attention *a, const Work *w, const Block *b, HeadRows values)
{
    HeadRows out = result_rows(a, &a->out, b->head, b->first, w->out);
    scores_of(a, w, b);
    a->kernels->softmax(b->seen, b->wide, w->p, w->share);
    times_keys(a, w, b, a->e, w->p, w->v, values, (HeadResult){out, false, w->share, 1});
    put_rows(a, &a->out, b->head, b->first, b->rows, a->e, w->out);
}

static void forward_task(void *arg, int64_t task)
{
    Attention *a = arg;
    Work w;
    int64_t part = task % a->parts * PART_ROWS, last = part + PART_ROWS < a->t ? part + PART_ROWS : a->t;
    int64_t head = task / a->parts * a->together, end = head + a->together < a->batches ? head + a->together : a->batches;
    if (!work_take(a, &w, false))
        return;
    for (; head < end; head++) {
        HeadRows values = whole_rows(a, &a->v, head, a->s, a->e, w.values);
        w.k = packed_keys(a, &a->k, head, a->d, w.k.at, false);
        w.v = packed_keys(a, &a->v, head, a->e, w.v.at, true);
        for (int64_t row = part; row < last && !tensor_stopped(a->ctx); row += a->lanes) {
            Block b = block_at(a, head, row, last);
            forward_block(a, &w, &b, values);
        }
    }
    work_give(a, &w);
}

/* The gradients by the scores, and the softmax again. */
static void scores_grad(const Attention *a, const Work *w, const Block *b)
{
    HeadRows dy = rows_of(a, &a->dy, b->head, b->first), v = rows_of(a, &a->v, b->head, 0);
    scores_of(a, w, b);
    times_turned(a, w, b, a->e, w->v, v, dy, w->dy, (HeadResult){{w->dp, b->lanes}, false, NULL, 0});
    a->kernels->softmax_grad(b->seen, b->wide, w->p, w->dp);
}

/* c [keys, n] (+)= x [keys, queries] times the queries' rows of y */
static void times_queries(const Attention *a, const Work *w, const Block *b, int64_t n, Packed keys, float *x, HeadRows y,
                          HeadResult c)
{
    Packed queries = packed(a, w->right, n, b->rows, (HeadLeft){y.at, y.step, true}, true);
    multiply(a, w, (Size){b->seen, whole(n), b->rows}, keys, queries, (HeadLeft){x, b->lanes, false}, y, c);
}

static void query_grad(const Attention *a, const Work *w, const Block *b, HeadRows keys)
{
    HeadRows dq = result_rows(a, &a->dq, b->head, b->first, w->out);
    times_keys(a, w, b, a->d, w->dp, w->turned_k, keys, (HeadResult){dq, false, &a->scale, 0});
    put_rows(a, &a->dq, b->head, b->first, b->rows, a->d, w->out);
}

/* Under a causal mask the first block does not see all keys, so it cannot begin their gradients. */
static void zero_rows(HeadRows to, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++)
        memset(to.at + i * to.step, 0, (size_t)n * sizeof *to.at);
}

static void backward_head(const Attention *a, Work *w, int64_t head)
{
    HeadRows keys = whole_rows(a, &a->k, head, a->s, a->d, w->keys), dk = {0}, dv = {0};
    HeadRows queries = whole_rows(a, &a->q, head, a->t, a->d, w->queries);
    HeadRows grads = whole_rows(a, &a->dy, head, a->t, a->e, w->grads);
    w->k = packed_keys(a, &a->k, head, a->d, w->k.at, false);
    w->v = packed_keys(a, &a->v, head, a->e, w->v.at, false);
    if (a->dq.tensor)
        w->turned_k = packed_keys(a, &a->k, head, a->d, w->turned_k.at, true);
    if (a->dk.tensor)
        dk = result_rows(a, &a->dk, head, 0, w->dk);
    if (a->dv.tensor)
        dv = result_rows(a, &a->dv, head, 0, w->dv);
    if (a->causal && dk.at)
        zero_rows(dk, a->s, a->wide_d);
    if (a->causal && dv.at)
        zero_rows(dv, a->s, a->wide_e);
    for (int64_t row = 0; row < a->t && !tensor_stopped(a->ctx); row += a->lanes) {
        Block b = block_at(a, head, row, a->t);
        bool add = a->causal || row > 0;
        scores_grad(a, w, &b);
        if (dk.at) {
            Packed ds = packed(a, w->left, b.seen, b.rows, (HeadLeft){w->dp, b.lanes, false}, false);
            times_queries(a, w, &b, a->d, ds, w->dp, from_row(queries, row), (HeadResult){dk, add, &a->scale, 0});
        }
        if (dv.at) {
            Packed p = packed(a, w->left, b.seen, b.rows, (HeadLeft){w->p, b.lanes, false}, false);
            times_queries(a, w, &b, a->e, p, w->p, from_row(grads, row), (HeadResult){dv, add, NULL, 0});
        }
        if (a->dq.tensor)
            query_grad(a, w, &b, keys);
    }
    if (dk.at)
        put_rows(a, &a->dk, head, 0, a->s, a->d, w->dk);
    if (dv.at)
        put_rows(a, &a->dv, head, 0, a->s, a->e, w->dv);
}

static void backward_task(void *arg, int64_t task)
{
    Attention *a = arg;
    Work w;
    int64_t head = task * a->together, end = head + a->together < a->batches ? head + a->together : a->batches;
    if (!work_take(a, &w, true))
        return;
    for (; head < end && !tensor_stopped(a->ctx); head++)
        backward_head(a, &w, head);
    work_give(a, &w);
}

/* ---- run ---- */

static int64_t tasks(const Attention *a)
{
    return (a->batches + a->together - 1) / a->together;
}

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
                pool_run(call->ctx, tasks(&a) * a.parts, forward_task, &a);
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
                pool_run(g->ctx, tasks(&a), backward_task, &a);
    if (!finish(g->ctx, &a, done))
        return false;
    for (int i = 0; i < 3; i++)
        if (g->wants[i])
            g->dx[i] = s_cast(g->s, g->dx[i], g->in_spec[i].dtype);
    return g->ctx->error.kind == ERROR_NONE;
}
