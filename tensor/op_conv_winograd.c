/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 3x3 convolutions of many channels at stride 1 by Winograd's tiles (winograd.h), and their adjoints: a quarter of the
   multiplications. f32 only: the sums of a tile lose about two bits more than direct ones, f64 is for those who mind.
   The gradient by the input is such a convolution of dy with the kernel turned round and its channels exchanged.

   A task takes a chunk of tiles through all its steps while they lie in the cache. Invariant: chunks, and the parts
   that a weight gradient is summed in, depend on sizes only, so the bits are the same for any number of threads. */
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "op_conv.h"
#include "winograd.h"

#define LANES BLOCK_LANES
#define PLACES WINOGRAD_PLACES
#define CHUNK_FLOATS (384 << 10)      /* of transformed tiles: about what the second-level cache holds */
#define CHUNK_TILES 48                /* but no fewer, or the weight is read too often */
#define LEAST_CHANNELS 8
#define LEAST_TILES 8
#define SLICE 4                       /* vectors of x's channels that a task of a weight gradient does */
#define GRAD_TASKS 8

typedef struct Winograd {
    int64_t images, groups;
    int64_t from, to;                 /* channels of a group, in and out */
    int64_t from_blocks, to_blocks;   /* the same in vectors */
    int64_t height, width, out_height, out_width, top, left;      /* top, left: padding */
    int64_t down, across;             /* tiles of an image */
    bool turned;                      /* the weight is read as the gradient by the input reads it */
    const WinogradKernels *kernels;
    const BlockKernels *blocks;
    Tensor *x, *weight, *bias, *dy;   /* dense f32, owned; NULL where not needed */
    float *transformed;               /* the weight, [group][36][channels in][channels out]; or the sums of its gradient */
    float *taps;                      /* [group][channel][9][channels]: the weight, the last axis in whole vectors */
    float *out;
    ConvChunks cut;                   /* its rows: of tiles */
    int64_t parts;
    TensorContext *ctx;
    atomic_bool failed;               /* a task found no memory */
} Winograd;

bool winograd_suits(const ConvGeometry *g, Dtype dtype)
{
    int64_t down = ceil_div(g->out[1], 4), across = ceil_div(g->out[2], 4);
    for (int i = 1; i < CONV_AXES; i++)
        if (g->kernel[i] != 3 || g->stride[i] != 1 || g->dilation[i] != 1 || g->padding[i] > 2)
            return false;
    return dtype == DTYPE_f32 && g->in[0] == 1 && g->kernel[0] == 1 && g->padding[0] == 0 && g->stride[0] == 1 &&
           g->cg >= LEAST_CHANNELS && g->og >= LEAST_CHANNELS && g->n * down * across >= LEAST_TILES &&
           down * across * PLACES * 2 <= g->out[1] * g->out[2] * 9;        /* else too much of the tiles is cut off */
}

/* ---- beginning and end ---- */

static void plan(Winograd *v)
{
    v->from_blocks = ceil_div(v->from, LANES);
    v->to_blocks = ceil_div(v->to, LANES);
    v->down = ceil_div(v->out_height, 4);
    v->across = ceil_div(v->out_width, 4);
    v->kernels = winograd_kernels();
    v->blocks = block_kernels();
    int64_t image = v->down * v->across, all = v->images * image, share = ceil_div(all, 8);
    int64_t tiles = CHUNK_FLOATS / (PLACES * LANES * (v->from_blocks + v->to_blocks));
    tiles = tiles < CHUNK_TILES ? CHUNK_TILES : tiles;
    tiles = tiles > share ? share : tiles;             /* small batches still spread over threads */
    v->cut = conv_chunks(v->images, v->down, image <= tiles ? tiles / image : 1,
                         image <= tiles ? v->down : tiles < v->across ? 1 : tiles / v->across);
}

/* [g] seen from x to the result; from dy to x when [turned]. */
static void set_sizes(Winograd *v, const ConvGeometry *g, bool turned)
{
    const int64_t *in = turned ? g->out : g->in, *out = turned ? g->in : g->out;
    v->images = g->n;
    v->groups = g->groups;
    v->from = turned ? g->og : g->cg;
    v->to = turned ? g->cg : g->og;
    v->height = in[1];
    v->width = in[2];
    v->out_height = out[1];
    v->out_width = out[2];
    v->top = turned ? 2 - g->padding[1] : g->padding[1];
    v->left = turned ? 2 - g->padding[2] : g->padding[2];
    v->turned = turned;
    plan(v);
}

static bool end(OpCall *call, Winograd *v, bool done)
{
    tensor_release(v->x);
    tensor_release(v->weight);
    tensor_release(v->bias);
    tensor_release(v->dy);
    scratch_release(v->transformed);
    scratch_release(v->taps);
    if (done && atomic_load(&v->failed))
        return op_error(call, ERROR_memory, "no memory is left to work in");
    return done && !tensor_interrupted(call->ctx);
}

static float *floats_take(Error *error, int64_t count)
{
    return scratch_take(error, (size_t)count * sizeof(float) + 1);
}

/* ---- chunks ---- */

static const float *floats_of(const Tensor *t)
{
    return t ? (const float *)(const void *)t->data : NULL;
}

/* Its size: tiles. */
static ConvChunk chunk_at(const Winograd *v, int64_t chunk)
{
    ConvChunk c = conv_chunk_at(&v->cut, chunk);
    c.size = c.count * c.rows * v->across;
    return c;
}

/* Work memory of a task. */
typedef struct Work { float *base, *lines, *from, *to; } Work;

static bool work_take(Winograd *v, Work *w)
{
    Error error = {0};
    int64_t lines = (v->cut.rows * 4 + 2) * (v->width > v->out_width ? v->width : v->out_width) * LANES;
    int64_t tiles = v->cut.images * v->cut.rows * v->across * PLACES * LANES;
    w->base = floats_take(&error, lines + tiles * (v->from_blocks + v->to_blocks));
    if (!w->base) {
        atomic_store(&v->failed, true);
        return false;
    }
    w->lines = w->base;
    w->from = w->base + lines;
    w->to = w->from + tiles * v->from_blocks;
    return true;
}

typedef void Transform(const WinogradRow *row, const float *lines, float *to, int64_t step);

/* One side of the tiles: the channels [first, first + count) of all groups' [channels], and where its tiles start. */
typedef struct Side {
    const float *data;
    int64_t channels, first, count, height, width, size, top, left;
    Transform *transform;
} Side;

static Side side_x(const Winograd *v)
{
    return (Side){floats_of(v->x), v->from, 0, v->from, v->height, v->width, 6, v->top, v->left, v->kernels->input};
}

static Side side_dy(const Winograd *v)
{
    return (Side){floats_of(v->dy), v->to, 0, v->to, v->out_height, v->out_width, 4, 0, 0, v->kernels->output_grad};
}

static int64_t clip(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* A group's channels of a chunk, transformed. */
static void read_tiles(const Winograd *v, const Work *w, const ConvChunk *c, const Side *s, int64_t group, float *to)
{
    int64_t blocks = ceil_div(s->count, LANES), step = blocks * c->size * LANES, plane = s->height * s->width;
    int64_t first = clip(c->row * 4 - s->top, 0, s->height);       /* the rows of pixels that the chunk reads */
    int64_t last = clip((c->row + c->rows - 1) * 4 - s->top + s->size, first, s->height);
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t block = 0; block < blocks; block++) {
            int64_t channel = ((c->first + i) * v->groups + group) * s->channels + s->first + block * LANES;
            int64_t count = s->count - block * LANES < LANES ? s->count - block * LANES : LANES;
            v->blocks->gather(count, (last - first) * s->width, s->data + channel * plane + first * s->width, plane,
                              w->lines);
            for (int64_t row = 0; row < c->rows; row++) {
                WinogradRow r = {last - first, s->width, (c->row + row) * 4 - s->top - first, -s->left, v->across};
                s->transform(&r, w->lines, to + (block * c->size + (i * c->rows + row) * v->across) * LANES, step);
            }
        }
}

static void write_tiles(const Winograd *v, const Work *w, const ConvChunk *c, int64_t group)
{
    int64_t step = v->to_blocks * c->size * LANES, plane = v->out_height * v->out_width;
    int64_t first = c->row * 4, height = v->out_height - first < c->rows * 4 ? v->out_height - first : c->rows * 4;
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t block = 0; block < v->to_blocks; block++) {
            int64_t channel = group * v->to + block * LANES;
            int64_t count = v->to - block * LANES < LANES ? v->to - block * LANES : LANES;
            for (int64_t row = 0; row < c->rows; row++) {
                WinogradRow r = {height, v->out_width, row * 4, 0, v->across};
                v->kernels->output(&r, w->to + (block * c->size + (i * c->rows + row) * v->across) * LANES, step,
                                   w->lines);
            }
            v->blocks->scatter(count, height * v->out_width, w->lines, v->bias ? floats_of(v->bias) + channel : NULL,
                               v->out + ((c->first + i) * v->groups * v->to + channel) * plane + first * v->out_width,
                               plane);
        }
}

/* ---- the weight ---- */

static int64_t place_floats(const Winograd *v)
{
    return v->from_blocks * LANES * v->to_blocks * LANES;
}

/* One input channel of one group: its taps for all output channels, then the transformed ones in their panels. */
static void weight_task(void *arg, int64_t task)
{
    Winograd *v = arg;
    int64_t rows = v->from_blocks * LANES, group = task / rows, k = task % rows, wide = v->to_blocks * LANES;
    float *taps = v->taps + task * 9 * wide, *to = v->transformed + group * PLACES * place_floats(v);
    const float *weight = floats_of(v->weight) + group * v->from * v->to * 9;
    memset(taps, 0, (size_t)(9 * wide) * sizeof *taps);
    for (int64_t o = 0; k < v->from && o < v->to; o++)
        for (int64_t tap = 0; tap < 9; tap++)
            taps[tap * wide + o] = weight[(v->turned ? k * v->to + o : o * v->from + k) * 9 + tap];
    for (int64_t block = 0; block < v->to_blocks; block++) {
        int64_t panel = block / BLOCK_PANEL * BLOCK_PANEL;
        int64_t in_panel = v->to_blocks - panel < BLOCK_PANEL ? v->to_blocks - panel : BLOCK_PANEL;
        v->kernels->weight(taps + block * LANES, wide, v->turned,
                           to + (panel * rows + k * in_panel + block - panel) * LANES, place_floats(v));
    }
}

static bool weight_make(OpCall *call, Winograd *v)
{
    int64_t tasks = v->groups * v->from_blocks * LANES;
    v->transformed = floats_take(&call->ctx->error, v->groups * PLACES * place_floats(v));
    v->taps = v->transformed ? floats_take(&call->ctx->error, tasks * 9 * v->to_blocks * LANES) : NULL;
    return v->taps && pool_run(call->ctx, tasks, weight_task, v);
}

/* ---- forward, and the gradient by the input ---- */

static void forward_task(void *arg, int64_t task)
{
    Winograd *v = arg;
    ConvChunk c = chunk_at(v, task);
    Work w;
    if (!work_take(v, &w))
        return;
    int64_t rows = v->from_blocks * LANES, from_step = v->from_blocks * c.size * LANES;
    int64_t to_step = v->to_blocks * c.size * LANES;
    Side side = side_x(v);
    for (int64_t group = 0; group < v->groups && !tensor_stopped(v->ctx); group++) {
        read_tiles(v, &w, &c, &side, group, w.from);
        for (int64_t place = 0; place < PLACES; place++) {
            const float *weight = v->transformed + (group * PLACES + place) * place_floats(v);
            for (int64_t panel = 0; panel < v->to_blocks; panel += BLOCK_PANEL) {
                int64_t wide = v->to_blocks - panel < BLOCK_PANEL ? v->to_blocks - panel : BLOCK_PANEL;
                BlockResult to = {w.to + place * to_step + panel * c.size * LANES, LANES, c.size * LANES};
                v->blocks->product(c.size, v->from_blocks, w.from + place * from_step, wide,
                                   weight + panel * rows * LANES, to, false, NULL);
            }
        }
        write_tiles(v, &w, &c, group);
    }
    scratch_release(w.base);
}

static bool run(OpCall *call, Winograd *v, Tensor *x, Tensor *weight, Tensor *bias)
{
    v->out = (float *)(void *)call->out[0]->data;
    return end(call, v, conv_take(call, x, DTYPE_f32, &v->x) && conv_take(call, weight, DTYPE_f32, &v->weight) &&
                            conv_take(call, bias, DTYPE_f32, &v->bias) &&
                            weight_make(call, v) && pool_run(call->ctx, v->cut.count, forward_task, v));
}

bool winograd_run(OpCall *call, const ConvGeometry *g)
{
    Winograd v = {.ctx = call->ctx};
    set_sizes(&v, g, false);
    return run(call, &v, call->in[0], call->in[1], call->in[2]);
}

bool winograd_input_grad(OpCall *call, const ConvGeometry *g)
{
    Winograd v = {.ctx = call->ctx};
    set_sizes(&v, g, true);
    return run(call, &v, call->in[0], call->in[1], NULL);
}

/* ---- gradient by the weight ---- */

/* Adds the chunk's share of the weight's gradient, still transformed, to [sums]: [36][channels in][channels out]. */
static void chunk_grad(const Winograd *v, const Work *w, const ConvChunk *c, int64_t blocks, bool add, float *sums)
{
    int64_t block = c->size * LANES, wide = v->to_blocks * LANES;
    for (int64_t place = 0; place < PLACES; place++, sums += place_floats(v))
        for (int64_t panel = 0; panel < v->to_blocks; panel += BLOCK_PANEL) {
            int64_t vectors = v->to_blocks - panel < BLOCK_PANEL ? v->to_blocks - panel : BLOCK_PANEL;
            BlockRows to = {w->to + (place * v->to_blocks + panel) * block, LANES, block};
            for (int64_t from = 0; from < blocks; from++)
                v->blocks->product_grad(c->size, w->from + (place * blocks + from) * block, vectors, to, add, NULL,
                                        sums + (from * wide + panel) * LANES, wide);
        }
}

/* Sums the chunks of one part, in order, for a slice of x's channels. */
static void part_task(void *arg, int64_t task)
{
    Winograd *v = arg;
    int64_t slices = ceil_div(v->from_blocks, SLICE), slice = task % slices * SLICE, part = task / slices;
    int64_t first = part * v->cut.count / v->parts, last = (part + 1) * v->cut.count / v->parts;
    int64_t blocks = v->from_blocks - slice < SLICE ? v->from_blocks - slice : SLICE;
    Side x = side_x(v), dy = side_dy(v);
    Work w;
    if (!work_take(v, &w))
        return;
    x.first = slice * LANES;
    x.count = clip(v->from - x.first, 0, blocks * LANES);
    for (int64_t chunk = first; chunk < last; chunk++) {
        ConvChunk c = chunk_at(v, chunk);
        for (int64_t group = 0; group < v->groups && !tensor_stopped(v->ctx); group++) {
            read_tiles(v, &w, &c, &x, group, w.from);
            read_tiles(v, &w, &c, &dy, group, w.to);
            chunk_grad(v, &w, &c, blocks, chunk > first,
                       v->transformed + (part * v->groups + group) * PLACES * place_floats(v) +
                           slice * LANES * v->to_blocks * LANES);
        }
    }
    scratch_release(w.base);
}

/* One input channel of one group: the parts summed in order, turned back, and put in their places. */
static void weight_grad_task(void *arg, int64_t task)
{
    Winograd *v = arg;
    int64_t group = task / v->from, k = task % v->from, wide = v->to_blocks * LANES;
    int64_t part_step = v->groups * PLACES * place_floats(v);
    float *sums = v->transformed + group * PLACES * place_floats(v) + k * wide, *taps = v->taps + task * 9 * wide;
    for (int64_t place = 0; place < PLACES; place++)
        for (int64_t part = 1; part < v->parts; part++) {
            float *to = sums + place * place_floats(v);
            v->blocks->add(wide, to + part * part_step, to);
        }
    for (int64_t block = 0; block < v->to_blocks; block++)
        v->kernels->weight_grad(sums + block * LANES, place_floats(v), taps + block * LANES, wide);
    float *out = v->out + group * v->from * v->to * 9;
    for (int64_t o = 0; o < v->to; o++)
        for (int64_t tap = 0; tap < 9; tap++)
            out[(o * v->from + k) * 9 + tap] = taps[tap * wide + o];
}

bool winograd_weight_grad(OpCall *call, const ConvGeometry *g)
{
    Winograd v = {.ctx = call->ctx, .out = (float *)(void *)call->out[0]->data};
    set_sizes(&v, g, false);
    int64_t slices = ceil_div(v.from_blocks, SLICE), tasks = v.groups * v.from;
    v.parts = clip(GRAD_TASKS / slices, 1, v.cut.count);
    bool done = conv_take(call, call->in[0], DTYPE_f32, &v.x) && conv_take(call, call->in[1], DTYPE_f32, &v.dy);
    v.transformed = done ? floats_take(&call->ctx->error, v.parts * v.groups * PLACES * place_floats(&v)) : NULL;
    v.taps = v.transformed ? floats_take(&call->ctx->error, tasks * 9 * v.to_blocks * LANES) : NULL;
    return end(call, &v, v.taps && pool_run(call->ctx, v.parts * slices, part_task, &v) &&
                             pool_run(call->ctx, tasks, weight_grad_task, &v));
}
