/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products whose numbers are rounded to bf16 and summed in f32, in tile registers (tiles.h). The right matrix is packed once
   for all threads, rows of the left one by whoever multiplies them, a layer of the depth at a time: 32 packed rows stay in the
   first-level cache while the columns pass by.
   Invariant: an element is one sum in the order of k, which goes on where a layer ended; so neither layers nor tasks nor
   threads show in the bits. */
#include <string.h>

#include "product.h"
#include "tiles.h"

#define SIDE (2 * TILE_LINES) /* of the square that is summed in registers */
#define DEPTH 512             /* of a layer, about */
#define GROUP_ROWS 128        /* of a task at most */
#define GROUP_COLUMNS 1024
#define PACK_COLUMNS 128      /* of a task that packs */
#define CHUNK_BYTES (1 << 20) /* of layers that are packed before they are used */
#define TASK_WORK 2e6         /* multiply-adds that a task should have */
#define ALONE_WORK 4e6        /* a product of fewer is not worth waking a thread */

/* The work of all threads: a part of k, some layers. */
typedef struct Job {
    const ProductTile *t;
    const TileKernels *kernels;
    int64_t k, k_end, depth;          /* this part, and the depth of its layers */
    int64_t blocks;                   /* of [TILE_LINES] columns */
    int64_t row_groups, column_groups, pack_groups;
    char *packed;                     /* [layers][blocks][depth / TILE_INNER] tiles */
    atomic_bool failed;
} Job;

static int64_t parts(int64_t n, int64_t part)
{
    return (n + part - 1) / part;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tiles_bytes(int64_t lines, int64_t depth)
{
    return parts(lines, TILE_LINES) * parts(depth, TILE_INNER) * TILE_BYTES;
}

/* ---- the right matrix ---- */

static char *layer_at(const Job *job, int64_t k)
{
    return job->packed + (k - job->k) / job->depth * tiles_bytes(job->t->n, job->depth);
}

static void pack_task(void *arg, int64_t task)
{
    const Job *job = arg;
    const ProductTile *t = job->t;
    int64_t k = job->k + task / job->pack_groups * job->depth, column = task % job->pack_groups * PACK_COLUMNS;
    int64_t deep = least(job->depth, job->k_end - k), columns = least(t->n - column, PACK_COLUMNS);
    job->kernels->pack(columns, deep, t->b + (t->b_turned ? column * t->b_lead + k : k * t->b_lead + column), t->b_lead,
                       !t->b_turned, true, layer_at(job, k) + tiles_bytes(column, deep));
}

/* ---- rows ---- */

/* The square of the result at [row, column], of which [rows, columns] exist, by way of one that is whole. */
static void cut_square(const ProductTile *t, const TileKernels *kernels, TileSum sum, int64_t row, int64_t column,
                       int64_t rows, int64_t columns)
{
    float *to = t->out + row * t->out_lead + column, edge[SIDE * SIDE], start[SIDE * SIDE];
    for (int64_t i = 0; sum.start && i < (sum.start_step ? rows : 1); i++)
        memcpy(start + i * SIDE, sum.start + i * sum.start_step, (size_t)columns * sizeof *start);
    sum.start = sum.start ? start : NULL;
    sum.start_step = sum.start_step ? SIDE : 0;
    sum.c = edge;
    sum.step = SIDE;
    kernels->product(&sum);
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * t->out_lead, edge + i * SIDE, (size_t)columns * sizeof *edge);
}

static void square(const ProductTile *t, const TileKernels *kernels, TileSum sum, int64_t row, int64_t column, bool add)
{
    int64_t rows = least(t->m - row, SIDE), columns = least(t->n - column, SIDE);
    sum.rows = rows > TILE_LINES ? 2 : 1;
    sum.columns = columns > TILE_LINES ? 2 : 1;
    sum.c = t->out + row * t->out_lead + column;
    sum.step = t->out_lead;
    sum.start = add ? sum.c : t->bias ? t->bias + column : NULL;
    sum.start_step = add ? t->out_lead : 0;
    if (rows == sum.rows * TILE_LINES && columns == sum.columns * TILE_LINES)
        kernels->product(&sum);
    else
        cut_square(t, kernels, sum, row, column, rows, columns);
}

/* Some rows times some columns, through all layers of this part. */
static void rows_task(void *arg, int64_t task)
{
    Job *job = arg;
    const ProductTile *t = job->t;
    int64_t strips = parts(t->m, SIDE), group = task % job->row_groups, pairs = parts(t->n, SIDE);
    int64_t first = group * strips / job->row_groups * SIDE, last = least((group + 1) * strips / job->row_groups * SIDE, t->m);
    int64_t left = task / job->row_groups * pairs / job->column_groups * SIDE;
    int64_t right = least((task / job->row_groups + 1) * pairs / job->column_groups * SIDE, t->n);
    Error error = {0};
    char *a = scratch_take(&error, (size_t)tiles_bytes(last - first, job->depth));
    if (!a) {
        atomic_store(&job->failed, true);
        return;
    }
    job->kernels->begin();
    for (int64_t k = job->k; k < job->k_end; k += job->depth) {
        int64_t depth = least(job->depth, job->k_end - k);
        job->kernels->pack(last - first, depth, t->a + (t->a_turned ? k * t->a_lead + first : first * t->a_lead + k), t->a_lead,
                           t->a_turned, false, a);
        for (int64_t i = first; i < last; i += SIDE)
            for (int64_t j = left; j < right; j += SIDE) {
                int64_t deep = parts(depth, TILE_INNER);
                TileSum sum = {.deep = deep, .a = tiles_packed(a + tiles_bytes(i - first, depth), deep),
                               .b = tiles_packed(layer_at(job, k) + tiles_bytes(j, depth), deep)};
                square(t, job->kernels, sum, i, j, t->add || k > 0);
            }
    }
    job->kernels->end();
    scratch_release(a);
}

/* ---- all ---- */

/* Tasks of at most GROUP_ROWS and GROUP_COLUMNS; smaller ones, but not below TASK_WORK, where threads would wait for each
   other. */
static void cut(Job *job, int threads)
{
    const ProductTile *t = job->t;
    double tasks = (double)t->m * (double)t->n * (double)(job->k_end - job->k) / TASK_WORK;
    int64_t want = threads == 1 ? 1 : tasks > 4.0 * threads ? 4 * threads : (int64_t)tasks;
    int64_t strips = parts(t->m, SIDE), pairs = parts(t->n, SIDE);
    job->row_groups = parts(t->m, GROUP_ROWS);
    job->column_groups = parts(t->n, GROUP_COLUMNS);
    while (job->row_groups * job->column_groups < want) {
        if (job->row_groups * 2 <= strips)
            job->row_groups *= 2;
        else if (job->column_groups * 2 <= pairs)
            job->column_groups *= 2;
        else
            break;
    }
}

static bool run_tasks(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), Job *job)
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
    int64_t count = parts(t->k, DEPTH + DEPTH / 4);
    Job job = {.t = t, .kernels = tile_kernels(), .depth = parts(parts(t->k, count), TILE_INNER) * TILE_INNER,
               .pack_groups = parts(t->n, PACK_COLUMNS)};
    int64_t layer = tiles_bytes(t->n, job.depth), layers = least(layer > CHUNK_BYTES ? 1 : CHUNK_BYTES / layer, count);
    Error error = {0};
    job.packed = scratch_take(&error, (size_t)(layers * layer));
    bool done = job.packed != NULL;
    for (; done && job.k < t->k; job.k = job.k_end) {
        job.k_end = least(job.k + layers * job.depth, t->k);
        cut(&job, ctx ? pool_threads() : 1);
        done = run_tasks(ctx, parts(job.k_end - job.k, job.depth) * job.pack_groups, pack_task, &job) &&
               run_tasks(ctx, job.row_groups * job.column_groups, rows_task, &job) && !atomic_load(&job.failed);
    }
    scratch_release(job.packed);
    return done;
}

bool product_narrow_tile(const ProductTile *tile)
{
    return run(NULL, tile);
}

bool product_narrow_shared(TensorContext *ctx, const ProductTile *tile)
{
    return run((double)tile->m * (double)tile->n * (double)tile->k < ALONE_WORK ? NULL : ctx, tile);
}

Tensor *product_rounded(TensorContext *ctx, Tensor *x)
{
    Tensor *narrow = tensor_cast(ctx, x, DTYPE_bf16), *wide = narrow ? tensor_cast(ctx, narrow, DTYPE_f32) : NULL;
    tensor_release(narrow);
    return wide;
}
