/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own product of f32 matrices, by vectors where tile registers (product_tiles.c) are not for it. The right one is packed
   into wide panels (blocks.h): once for all threads, or by each task alone where it has all rows. Rows of the left one are
   read where they lie. A panel stays in the first-level cache while all rows of a task pass by it, the panels of a task in
   the second.
   Invariant: an element is one sum in the order of k, cut into parts that depend on k only; so neither tiles nor threads
   show in the bits. */
#include <string.h>

#include "blocks.h"
#include "product.h"

#define LANES BLOCK_LANES
#define DEPTH 256             /* of a panel, about */
#define LEAST 24              /* shorter sides waste the packing */
#define GROUP_ROWS 112        /* of a task at most */
#define GROUP_VECTORS 60      /* of panels */
#define LEAST_VECTORS 6
#define ALONE_ROWS 128        /* for so few every task packs its own panels */
#define ALONE_LAYERS 16       /* and multiplies no more layers at once, for an interrupt is to be heard */
#define SAME_SETS 1024        /* rows a multiple of it apart push each other out of the first-level cache */
#define CHUNK_BYTES (1 << 20) /* of panels that are packed before they are used */
#define TASK_WORK 5e5         /* multiply-adds that a task should have */
#define ALONE_WORK 1e6        /* a product of fewer is not worth waking a thread */

/* The work of all threads: a part of k, of panels in layers of [depth]. */
typedef struct Job {
    const ProductTile *t;
    const BlockKernels *kernels;
    int64_t k, k_end, depth;          /* this part, and the depth of its layers */
    int64_t vectors;                  /* [n] in vectors of 16 */
    int64_t row_groups, groups;       /* of tasks: of rows, and of vectors */
    float *packed;                    /* [layers][vectors][depth][16], in panels; NULL: each task packs its own */
    atomic_bool failed;
} Job;

/* From where to where: rows or vectors. */
typedef struct Part { int64_t first, last; } Part;

static Part part_of(int64_t n, int64_t parts, int64_t part)
{
    return (Part){part * n / parts, (part + 1) * n / parts};
}

static int64_t whole(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

bool product_suits(int64_t m, int64_t n, int64_t k)
{
    return cpu_level() >= CPU_AVX2 && m >= LEAST && n >= LEAST && k >= LEAST;
}

int64_t product_pieces(int64_t m, int64_t n)
{
    return ceil_div(m, LANES) * ceil_div(n, 2 * LANES);
}

/* ---- panels of the right matrix ---- */

/* Some vectors from row [k] on, [deep] of them. */
static void pack(const Job *job, int64_t k, int64_t deep, Part vectors, float *to)
{
    const ProductTile *t = job->t;
    int64_t column = vectors.first * LANES, columns = at_most(vectors.last * LANES, t->n) - column;
    const float *from = t->b + (t->b_turned ? column * t->b_lead + k : k * t->b_lead + column);
    job->kernels->pack_panels(deep, columns, t->b_turned, from, t->b_lead, to);
}

/* Of layers, one behind the other, groups of panels; a task packs one. */
static void pack_task(void *arg, int64_t task)
{
    const Job *job = arg;
    Part vectors = part_of(job->vectors, job->groups, task % job->groups);
    int64_t k = job->k + task / job->groups * job->depth, deep = at_most(job->depth, job->k_end - k);
    pack(job, k, deep, vectors, job->packed + ((k - job->k) * job->vectors + vectors.first * whole(deep)) * LANES);
}

/* ---- rows ---- */

/* Rows of one layer. */
typedef struct Strip {
    BlockLeft a;
    int64_t row, rows, deep;
    bool add;
    float *edge;
} Strip;

/* A result that is cut at the last column goes by way of the strip's edge, whose rows are whole vectors. */
static void edge_panel(const Job *job, const Strip *s, int64_t wide, const float *panel, int64_t column)
{
    const ProductTile *t = job->t;
    int64_t count = t->n - column, step = wide * LANES;
    float start[BLOCK_WIDE * LANES] = {0}, *out = t->out + s->row * t->out_lead + column;
    for (int64_t j = 0; j < count && t->bias; j++)
        start[j] = t->bias[column + j];
    for (int64_t i = 0; i < s->rows && s->add; i++)
        for (int64_t j = 0; j < step; j++)
            s->edge[i * step + j] = j < count ? out[i * t->out_lead + j] : 0;
    job->kernels->multiply(s->rows, s->deep, s->a, wide, panel, (BlockResult){s->edge, step, LANES}, s->add, start);
    for (int64_t i = 0; i < s->rows; i++)
        memcpy(out + i * t->out_lead, s->edge + i * step, (size_t)count * sizeof *out);
}

static void times_panels(const Job *job, const Strip *s, Part vectors, const float *panels)
{
    const ProductTile *t = job->t;
    for (int64_t v = vectors.first, wide; v < vectors.last; v += wide, panels += wide * LANES * whole(s->deep)) {
        int64_t column = v * LANES;
        wide = block_panel(vectors.last - v);
        if (column + wide * LANES > t->n) {
            edge_panel(job, s, wide, panels, column);
            continue;
        }
        BlockResult to = {t->out + s->row * t->out_lead + column, t->out_lead, LANES};
        job->kernels->multiply(s->rows, s->deep, s->a, wide, panels, to, s->add, t->bias ? t->bias + column : NULL);
    }
}

static bool reads_in_place(const ProductTile *t)
{
    return !t->a_turned && t->a_lead % SAME_SETS != 0;
}

/* [rows, deep] of the left matrix: where they lie, or [copied] into blocks. */
static BlockLeft left_of(const Job *job, int64_t k, int64_t deep, Part rows, float *copied)
{
    const ProductTile *t = job->t;
    int64_t count = rows.last - rows.first;
    const float *from = t->a + (t->a_turned ? k * t->a_lead + rows.first : rows.first * t->a_lead + k);
    if (reads_in_place(t))
        return (BlockLeft){from, t->a_lead, LANES};
    if (t->a_turned)
        job->kernels->pack_columns(deep, count, from, t->a_lead, copied);
    else
        job->kernels->pack_rows(count, deep, from, t->a_lead, 1, copied);
    return (BlockLeft){copied, LANES, count * LANES};
}

/* Some rows times some vectors, through all layers of this part. */
static void rows_task(void *arg, int64_t task)
{
    Job *job = arg;
    Part rows = part_of(job->t->m, job->row_groups, task / job->groups);
    Part vectors = part_of(job->vectors, job->groups, task % job->groups);
    int64_t count = rows.last - rows.first, own = job->packed ? 0 : (vectors.last - vectors.first) * LANES * job->depth;
    int64_t copied = reads_in_place(job->t) ? 0 : count * job->depth;
    Error error = {0};
    float *work = scratch_take(&error, (size_t)(own + copied + count * BLOCK_WIDE * LANES) * sizeof *work);
    if (!work) {
        atomic_store(&job->failed, true);
        return;
    }
    for (int64_t k = job->k; k < job->k_end; k += job->depth) {
        int64_t deep = at_most(job->depth, job->k_end - k);
        Strip strip = {left_of(job, k, deep, rows, work + own), rows.first, count, deep, job->t->add || k > 0,
                       work + own + copied};
        if (own)
            pack(job, k, deep, vectors, work);
        times_panels(job, &strip, vectors,
                     own ? work : job->packed + ((k - job->k) * job->vectors + vectors.first * whole(deep)) * LANES);
    }
    scratch_release(work);
}

/* ---- all ---- */

/* Tasks of at most GROUP_ROWS rows and GROUP_VECTORS vectors; smaller ones, but not below TASK_WORK, where threads would
   wait for each other. */
static void cut(Job *job, int threads)
{
    const ProductTile *t = job->t;
    double tasks = (double)t->m * (double)t->n * (double)(job->k_end - job->k) / TASK_WORK;
    int64_t want = threads == 1 ? 1 : tasks > 4.0 * threads ? 4 * threads : (int64_t)tasks;
    job->row_groups = t->m <= ALONE_ROWS ? 1 : ceil_div(t->m, GROUP_ROWS);
    job->groups = ceil_div(job->vectors, GROUP_VECTORS);
    while (job->row_groups * job->groups < want) {
        if (t->m > ALONE_ROWS && t->m / job->row_groups >= 2 * 28 && t->m / job->row_groups * 4 >= t->n / job->groups)
            job->row_groups *= 2;
        else if (job->vectors / job->groups >= 2 * LEAST_VECTORS)
            job->groups *= 2;
        else
            break;
    }
}

bool product_tasks(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), void *job)
{
    if (ctx)
        return pool_run(ctx, tasks, fn, job);
    for (int64_t task = 0; task < tasks; task++)
        fn(job, task);
    return true;
}

/* [ctx] NULL: on this thread. */
static bool run(TensorContext *ctx, const ProductTile *t)
{
    int64_t parts = ceil_div(t->k, DEPTH + DEPTH / 4);
    Job job = {.t = t, .kernels = block_kernels(), .vectors = ceil_div(t->n, LANES), .depth = whole(ceil_div(t->k, parts))};
    int64_t layer = job.vectors * LANES * job.depth, layers = CHUNK_BYTES / (layer * (int64_t)sizeof(float));
    bool alone = t->m <= ALONE_ROWS, done = true;
    Error error = {0};
    layers = at_most(alone ? ALONE_LAYERS : layers < 1 ? 1 : layers, parts);
    if (!alone)
        done = (job.packed = scratch_take(&error, (size_t)(layers * layer) * sizeof(float))) != NULL;
    for (job.k = 0; done && job.k < t->k; job.k = job.k_end) {
        job.k_end = at_most(job.k + layers * job.depth, t->k);
        cut(&job, ctx ? pool_threads() : 1);
        done = (alone || product_tasks(ctx, ceil_div(job.k_end - job.k, job.depth) * job.groups, pack_task, &job)) &&
               product_tasks(ctx, job.row_groups * job.groups, rows_task, &job) && !atomic_load(&job.failed);
    }
    scratch_release(job.packed);
    return done;
}

/* In tile registers, or by vectors what is not for them. [ctx] NULL: on this thread. */
static bool multiply(TensorContext *ctx, const ProductTile *t)
{
    ProductEnd end = product_in_parts(ctx, t);
    return end == PRODUCT_UNFIT ? run(ctx, t) : end == PRODUCT_DONE;
}

bool product_tile(const ProductTile *tile)
{
    return multiply(NULL, tile);
}

bool product_shared(TensorContext *ctx, const ProductTile *tile)
{
    return multiply((double)tile->m * (double)tile->n * (double)tile->k < ALONE_WORK ? NULL : ctx, tile);
}
