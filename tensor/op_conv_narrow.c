/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Convolutions at stride 1 whose numbers are rounded to bf16, in tile registers (tiles.h), and their adjoints. No columns are
   laid out: an image lies once with a margin of zeros, so that each place of the kernel reads the same tiles, a constant
   number of pixels further on. Pixels of all rows and of several images are one line ("flat"); what a result has at the places
   of margins is never read. The gradient by the input is such a convolution of dy with the kernel turned round and its channels
   exchanged.

   Invariant: chunks of images depend on sizes only, and so does the order of sums: the bits are the same for any number of
   threads. */
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "op_conv.h"
#include "tiles.h"

#define SIDE (2 * TILE_LINES)
#define LEAST_CHANNELS 8
#define FLAT_FORWARD 1024     /* pixels of a chunk, about */
#define FLAT_WEIGHT 4096      /* the same in gradients by the weight */
#define MOST_FLAT 16384       /* a row of an image is not cut */
#define LAYER 18              /* tiles along the depth that are summed at once, which stay in the first-level cache */
#define SEGMENT 32            /* the same in gradients by the weight: tiles of pixels */

typedef struct Flat {
    int64_t images, groups;
    int64_t from, to;                 /* channels of a group, in and out */
    int64_t height, width, out_height, out_width;
    int64_t top, left;                /* margins */
    int64_t down, across;             /* the kernel */
    int64_t down_step, across_step;   /* its dilation */
    bool turned;                      /* the weight is read as the gradient by the input reads it */
    int64_t rows, pitch;              /* of an image in a flat line, and pixels of a row */
    ConvChunks cut;
    const TileKernels *kernels;
    const ConvKernels *moves;
    Tensor *x, *weight, *bias, *dy;   /* dense f32, owned; NULL where not needed */
    float *arranged;                  /* the weight, [groups * o, taps, channels] */
    char *packed;                     /* the weight, [group][block of results][channels][taps] in tiles; or dy */
    float *sums;                      /* of the weight's gradient: [group][taps][channels in][channels out], whole blocks */
    int64_t chunk;                    /* the present one */
    float *out;
    TensorContext *ctx;
    atomic_bool failed;               /* a task found no memory */
} Flat;

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return ceil_div(n, to) * to;
}

static int64_t taps_of(const Flat *v)
{
    return v->down * v->across;
}

bool narrow_suits(const ConvGeometry *g)
{
    for (int i = 0; i < CONV_AXES; i++)
        if (g->stride[i] != 1 || g->padding[i] > (g->kernel[i] - 1) * g->dilation[i])
            return false;
    return tile_kernels() && g->in[0] == 1 && g->kernel[0] == 1 && g->cg >= LEAST_CHANNELS && g->og >= LEAST_CHANNELS &&
           g->in[2] + g->kernel[2] * g->dilation[2] < MOST_FLAT;
}

/* ---- beginning and end ---- */

/* How far apart lines of [in] pixels begin, whose margins are shared, so that [out] results fit. */
static int64_t pitch_of(int64_t in, int64_t out, int64_t margin, int64_t reach)
{
    return most(in + most(margin, out - 1 + reach - margin - (in - 1)), out);
}

/* Of at most [share] images. */
static void set_chunks(Flat *v, int64_t flat, int64_t share)
{
    int64_t image = v->rows * v->pitch;
    v->cut = conv_chunks(v->images, v->out_height, image <= flat ? at_most(flat / image, share) : 1,
                         image <= 2 * flat ? v->out_height : most(flat / v->pitch, 1));
}

/* [g] seen from x to the result; from dy to x when [turned]. */
static void set_sizes(Flat *v, const ConvGeometry *g, bool turned)
{
    const int64_t *in = turned ? g->out : g->in, *out = turned ? g->in : g->out;
    *v = (Flat){.images = g->n, .groups = g->groups, .from = turned ? g->og : g->cg, .to = turned ? g->cg : g->og,
                .height = in[1], .width = in[2], .out_height = out[1], .out_width = out[2], .down = g->kernel[1],
                .across = g->kernel[2], .down_step = g->dilation[1], .across_step = g->dilation[2], .turned = turned,
                .kernels = tile_kernels(), .moves = conv_kernels(true)};
    int64_t down = (v->down - 1) * v->down_step, across = (v->across - 1) * v->across_step;
    v->top = turned ? down - g->padding[1] : g->padding[1];
    v->left = turned ? across - g->padding[2] : g->padding[2];
    v->rows = pitch_of(v->height, v->out_height, v->top, down);
    v->pitch = pitch_of(v->width, v->out_width, v->left, across);
}

static bool end(OpCall *call, Flat *v, bool done)
{
    tensor_release(v->x);
    tensor_release(v->weight);
    tensor_release(v->bias);
    tensor_release(v->dy);
    scratch_release(v->arranged);
    scratch_release(v->packed);
    scratch_release(v->sums);
    if (atomic_load(&v->failed) && call->ctx->error.kind == ERROR_NONE)
        return op_error(call, ERROR_memory, "no memory is left to work in");
    return done && !tensor_interrupted(call->ctx);
}

/* Memory of a task; NULL is told of. */
static char *work_take(Flat *v, int64_t bytes)
{
    Error error = {0};
    char *work = scratch_take(&error, (size_t)bytes);
    if (!work)
        atomic_store(&v->failed, true);
    return work;
}

static const float *floats_of(const Tensor *t)
{
    return t ? (const float *)(const void *)t->data : NULL;
}

/* ---- chunks ---- */

/* Its size: flat pixels, a multiple of SIDE. */
static ConvChunk chunk_at(const Flat *v, int64_t chunk)
{
    ConvChunk c = conv_chunk_at(&v->cut, chunk);
    c.size = round_up(((c.count - 1) * v->rows + c.rows) * v->pitch, SIDE);
    return c;
}

static int64_t tap_at(const Flat *v, int64_t tap)
{
    return tap / v->across * v->down_step * v->pitch + tap % v->across * v->across_step;
}

/* Bytes between channels, or pairs of them, in a flat line of [width] bytes a number: tiles whose lines are a page apart would
   lie in the same few places of the cache. */
static int64_t line_bytes(const Flat *v, const ConvChunk *c, int64_t width)
{
    return ceil_div((c->size + tap_at(v, taps_of(v) - 1)) * width, 128) * 128 + 64;
}

/* The rows of x that a chunk reads of image [i], and where they begin in a flat line. */
static int64_t rows_read(const Flat *v, const ConvChunk *c, int64_t i, int64_t *first, int64_t *count)
{
    int64_t stop = c->row + c->rows + (v->down - 1) * v->down_step - v->top;
    *first = most(c->row - v->top, 0);
    *count = most(at_most(stop, v->height) - *first, 0);
    return (i * v->rows + *first - c->row + v->top) * v->pitch + v->left;
}

static int64_t channel_at(const Flat *v, int64_t image, int64_t group, int64_t channel)
{
    return (image * v->groups + group) * v->from + channel;
}

/* Pairs of channels of a group, flat, in lines [line] bytes apart, whose margins are zeros. */
static void read_pairs(const Flat *v, const ConvChunk *c, int64_t group, char *to, int64_t line)
{
    int64_t plane = v->height * v->width, first, count;
    for (int64_t i = 0; i < c->count; i++) {
        int64_t at = rows_read(v, c, i, &first, &count);
        for (int64_t channel = 0; channel < v->from; channel += 2) {
            const float *x = floats_of(v->x) + channel_at(v, c->first + i, group, channel) * plane + first * v->width;
            v->kernels->pair(count, v->width, x, channel + 1 < v->from ? x + plane : NULL, v->width,
                             to + channel / 2 * line + at * 4, v->pitch * 4);
        }
    }
}

/* ---- the weight ---- */

static void arrange_task(void *arg, int64_t o)
{
    Flat *v = arg;
    int64_t taps = taps_of(v), channels = v->turned ? v->to : v->from;
    v->moves->transpose(floats_of(v->weight) + o * channels * taps, channels, taps, taps, v->arranged + o * channels * taps,
                        channels, NULL);
}

/* Tiles along the depth of a sum: the taps of a block of channels, one behind the other, since they read the same pixels. */
static int64_t depth_of(const Flat *v)
{
    return taps_of(v) * ceil_div(v->from, TILE_INNER);
}

/* A block of results: all that they are multiplied by. */
static void pack_task(void *arg, int64_t task)
{
    Flat *v = arg;
    int64_t blocks = ceil_div(v->to, TILE_LINES), group = task / blocks, first = task % blocks * TILE_LINES;
    int64_t taps = taps_of(v), outer = v->turned ? v->from : v->to, inner = v->turned ? v->to : v->from;
    int64_t lines = at_most(v->to - first, TILE_LINES), step = taps * inner;
    char *to = v->packed + task * depth_of(v) * TILE_BYTES;
    for (int64_t k = 0; k < depth_of(v); k++, to += TILE_BYTES) {
        int64_t channel = k / taps * TILE_INNER, place = v->turned ? taps - 1 - k % taps : k % taps;
        const float *from = v->arranged + (group * outer * taps + place) * inner;
        from += v->turned ? channel * step + first : first * step + channel;
        v->kernels->pack(lines, at_most(v->from - channel, TILE_INNER), from, step, v->turned, false, 1, to);
    }
}

static bool weight_make(OpCall *call, Flat *v)
{
    int64_t outer = v->turned ? v->from : v->to, tasks = v->groups * ceil_div(v->to, TILE_LINES);
    v->arranged = scratch_take(&call->ctx->error, (size_t)(v->groups * v->from * v->to * taps_of(v)) * sizeof(float));
    v->packed = v->arranged ? scratch_take(&call->ctx->error, (size_t)(tasks * depth_of(v) * TILE_BYTES)) : NULL;
    return v->packed && pool_run(call->ctx, v->groups * outer, arrange_task, v) && pool_run(call->ctx, tasks, pack_task, v);
}

/* ---- forward, and the gradient by the input ---- */

/* Results [first, first + count) of the group, at most SIDE, flat: [SIDE][flat]. */
static void sum_flat(const Flat *v, const ConvChunk *c, int64_t group, int64_t first, int64_t count, const char *pairs,
                     int64_t line, const int64_t *offset, float *flat)
{
    int64_t depth = depth_of(v);
    TileSum sum = {.rows = count > TILE_LINES ? 2 : 1, .columns = 2, .parts = 1, .step = c->size};
    const char *weight = v->packed + (group * ceil_div(v->to, TILE_LINES) + first / TILE_LINES) * depth * TILE_BYTES;
    for (int64_t k = 0; k < depth; k += LAYER) {
        sum.deep = at_most(depth - k, LAYER);
        sum.a = (TileSide){weight + k * TILE_BYTES, 64, depth * TILE_BYTES, TILE_BYTES, NULL};
        for (int64_t pixel = 0; pixel < c->size; pixel += SIDE) {
            sum.b = (TileSide){pairs + pixel * 4, line, 64, 0, offset + k};
            sum.c = flat + pixel;
            sum.start = k ? sum.c : NULL;
            sum.start_step = c->size;
            v->kernels->product(&sum);
        }
    }
}

static void write_flat(const Flat *v, const ConvChunk *c, int64_t group, int64_t first, int64_t count, const float *flat)
{
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t o = 0; o < count; o++) {
            int64_t channel = group * v->to + first + o, width = v->out_width;
            float bias = v->bias ? floats_of(v->bias)[channel] : 0;
            float *to = v->out + (((c->first + i) * v->groups * v->to + channel) * v->out_height + c->row) * width;
            const float *from = flat + o * c->size + i * v->rows * v->pitch;
            for (int64_t row = 0; row < c->rows; row++, to += width, from += v->pitch)
                for (int64_t k = 0; k < width; k++)
                    to[k] = from[k] + bias;
        }
}

static void forward_task(void *arg, int64_t task)
{
    Flat *v = arg;
    ConvChunk c = chunk_at(v, task);
    int64_t line = line_bytes(v, &c, 4), blocks = ceil_div(v->from, TILE_INNER), depth = depth_of(v);
    int64_t image = blocks * TILE_LINES * line;
    char *pairs = work_take(v, image + SIDE * c.size * (int64_t)sizeof(float) + depth * (int64_t)sizeof(int64_t));
    if (!pairs)
        return;
    float *flat = (float *)(void *)(pairs + image);
    int64_t *offset = (int64_t *)(void *)(flat + SIDE * c.size);
    for (int64_t k = 0; k < depth; k++)
        offset[k] = tap_at(v, k % taps_of(v)) * 4 + k / taps_of(v) * TILE_LINES * line;
    memset(pairs, 0, (size_t)image);
    v->kernels->begin();
    for (int64_t group = 0; group < v->groups; group++) {
        read_pairs(v, &c, group, pairs, line);
        for (int64_t first = 0; first < v->to && !tensor_stopped(v->ctx); first += SIDE) {
            int64_t count = at_most(v->to - first, SIDE);
            sum_flat(v, &c, group, first, count, pairs, line, offset, flat);
            write_flat(v, &c, group, first, count, flat);
        }
    }
    v->kernels->end();
    scratch_release(pairs);
}

static bool run(OpCall *call, Flat *v, Tensor *bias)
{
    set_chunks(v, FLAT_FORWARD, ceil_div(v->images, 8));          /* small batches still spread over threads */
    v->ctx = call->ctx;
    v->out = (float *)(void *)call->out[0]->data;
    return end(call, v, conv_take(call, call->in[0], DTYPE_f32, &v->x) && conv_take(call, call->in[1], DTYPE_f32, &v->weight) &&
                            conv_take(call, bias, DTYPE_f32, &v->bias) &&
                            weight_make(call, v) && pool_run(call->ctx, v->cut.count, forward_task, v));
}

bool narrow_run(OpCall *call, const ConvGeometry *g)
{
    Flat v;
    set_sizes(&v, g, false);
    return run(call, &v, call->in[2]);
}

bool narrow_input_grad(OpCall *call, const ConvGeometry *g)
{
    Flat v;
    set_sizes(&v, g, true);
    return run(call, &v, NULL);
}

/* ---- gradient by the weight ---- */

/* A block of dy's channels, flat, in tiles, whose margins are zeros. */
static void dy_task(void *arg, int64_t task)
{
    Flat *v = arg;
    ConvChunk c = chunk_at(v, v->chunk);
    int64_t blocks = ceil_div(v->to, TILE_LINES), group = task / blocks, first = task % blocks * TILE_LINES;
    int64_t lines = at_most(v->to - first, TILE_LINES), width = v->out_width;
    float *flat = (float *)(void *)work_take(v, lines * c.size * (int64_t)sizeof *flat);
    if (!flat)
        return;
    memset(flat, 0, (size_t)(lines * c.size) * sizeof *flat);
    for (int64_t i = 0; i < c.count; i++)
        for (int64_t o = 0; o < lines; o++) {
            int64_t channel = ((c.first + i) * v->groups + group) * v->to + first + o;
            const float *from = floats_of(v->dy) + (channel * v->out_height + c.row) * width;
            for (int64_t row = 0; row < c.rows; row++)
                memcpy(flat + o * c.size + (i * v->rows + row) * v->pitch, from + row * width, (size_t)width * sizeof *flat);
        }
    v->kernels->pack(lines, c.size, flat, c.size, false, true, 1, v->packed + task * c.size / TILE_INNER * TILE_BYTES);
    scratch_release(flat);
}

static int64_t sums_of(const Flat *v)
{
    return taps_of(v) * round_up(v->from, TILE_LINES) * round_up(v->to, TILE_LINES);
}

/* Adds what tiles [k, k + deep) of the flat line give: channels [first, first + 2 blocks) of x times all of dy, every tap. */
static void add_taps(const Flat *v, const ConvChunk *c, int64_t group, int64_t first, const char *x, int64_t line, int64_t k,
                     int64_t deep)
{
    int64_t wide = round_up(v->to, TILE_LINES), high = round_up(v->from, TILE_LINES), whole = c->size / TILE_INNER;
    const char *dy = v->packed + group * wide / TILE_LINES * whole * TILE_BYTES;
    TileSum sum = {.rows = high - first > TILE_LINES ? 2 : 1, .parts = 1, .deep = deep, .start_step = wide, .step = wide};
    for (int64_t o = 0; o < wide; o += SIDE)
        for (int64_t tap = 0; tap < taps_of(v); tap++) {
            sum.columns = wide - o > TILE_LINES ? 2 : 1;
            sum.a = (TileSide){x + (tap_at(v, tap) + k * TILE_INNER) * 2, line, TILE_LINES * line, 64, NULL};
            sum.b = (TileSide){dy + (o / TILE_LINES * whole + k) * TILE_BYTES, 64, whole * TILE_BYTES, TILE_BYTES, NULL};
            sum.c = v->sums + group * sums_of(v) + (tap * high + first) * wide + o;
            sum.start = v->chunk > 0 || k > 0 ? sum.c : NULL;
            v->kernels->product(&sum);
        }
}

/* Two blocks of x's channels of a group. */
static void weight_task(void *arg, int64_t task)
{
    Flat *v = arg;
    ConvChunk c = chunk_at(v, v->chunk);
    int64_t slices = ceil_div(v->from, SIDE), group = task / slices, first = task % slices * SIDE, at, row, rows;
    int64_t line = line_bytes(v, &c, 2), plane = v->height * v->width, whole = c.size / TILE_INNER;
    char *x = work_take(v, SIDE * line);
    if (!x)
        return;
    memset(x, 0, (size_t)(SIDE * line));
    for (int64_t i = 0; i < c.count; i++) {
        at = rows_read(v, &c, i, &row, &rows);
        for (int64_t k = 0; k < SIDE && first + k < v->from; k++)
            v->kernels->round(rows, v->width,
                              floats_of(v->x) + channel_at(v, c.first + i, group, first + k) * plane + row * v->width, v->width,
                              x + k * line + at * 2, v->pitch * 2);
    }
    v->kernels->begin();
    for (int64_t k = 0; k < whole && !tensor_stopped(v->ctx); k += SEGMENT)
        add_taps(v, &c, group, first, x, line, k, at_most(whole - k, SEGMENT));
    v->kernels->end();
    scratch_release(x);
}

/* The gradient of one input channel's taps for all outputs of its group. */
static void spread_task(void *arg, int64_t channel)
{
    Flat *v = arg;
    int64_t group = channel / v->from, c = channel % v->from, taps = taps_of(v), wide = round_up(v->to, TILE_LINES);
    const float *sums = v->sums + group * sums_of(v) + c * wide;
    v->moves->transpose(sums, taps, v->to, round_up(v->from, TILE_LINES) * wide, v->out + (group * v->to * v->from + c) * taps,
                        v->from * taps, NULL);
}

static bool weight_sum(OpCall *call, Flat *v)
{
    int64_t blocks = v->groups * ceil_div(v->to, TILE_LINES), slices = v->groups * ceil_div(v->from, SIDE);
    ConvChunk c = chunk_at(v, 0);
    v->packed = scratch_take(&call->ctx->error, (size_t)(blocks * c.size / TILE_INNER * TILE_BYTES));
    v->sums = v->packed ? scratch_take(&call->ctx->error, (size_t)(v->groups * sums_of(v)) * sizeof(float)) : NULL;
    bool done = v->sums != NULL;
    for (v->chunk = 0; done && v->chunk < v->cut.count; v->chunk++)
        done = pool_run(call->ctx, blocks, dy_task, v) && pool_run(call->ctx, slices, weight_task, v) &&
               !atomic_load(&v->failed);
    return done && pool_run(call->ctx, v->groups * v->from, spread_task, v);
}

bool narrow_weight_grad(OpCall *call, const ConvGeometry *g)
{
    Flat v;
    set_sizes(&v, g, false);
    set_chunks(&v, FLAT_WEIGHT, v.images);
    v.ctx = call->ctx;
    v.out = (float *)(void *)call->out[0]->data;
    return end(call, &v, conv_take(call, call->in[0], DTYPE_f32, &v.x) && conv_take(call, call->in[1], DTYPE_f32, &v.dy) &&
                             weight_sum(call, &v));
}
