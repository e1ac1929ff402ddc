/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products in tile registers (tiles.h), of numbers rounded to bf16 or of whole ones in three parts. The right matrix is packed
   once for all threads; rows of the left one too where several tasks need the same, else by the task that multiplies them.
   Depth is cut into layers: 32 packed rows of one stay in the first-level cache while the columns pass by.
   Invariant: an element is one sum in the order of k, which goes on where a layer ended; so neither layers nor tasks nor
   threads show in the bits. */
#include <string.h>

#include "product.h"
#include "tiles.h"

#define SIDE (2 * TILE_LINES) /* of the square that is summed in registers */
#define GROUP_ROWS 128        /* of a task at most */
#define PACK_LINES 128        /* of a task that packs */
#define CHUNK_BYTES (1 << 20) /* of layers that are packed before they are used */
#define TASK_WORK 2e6         /* products of two numbers that a task should have */
#define ALONE_WORK 4e6        /* a product of fewer is not worth waking a thread */
#define LEAST 32              /* shorter sides are not worth being packed in parts, */
#define LEAST_DEPTH 64        /* nor is this, which is rounded up to tiles of 32 */

/* The work of all threads: a part of k, some layers. */
typedef struct Job {
    const ProductTile *t;
    const TileKernels *kernels;
    int parts;
    int64_t k, k_end, depth;          /* this part, and the depth of its layers */
    int64_t row_groups, column_groups;
    char *left, *right;               /* packed: [layers][lines / TILE_LINES][depth / TILE_INNER] tiles; left may be NULL */
    atomic_uint most_left, most_right;        /* bits of the largest magnitude so far */
    atomic_bool failed;
} Job;

/* From where to where: rows or columns. */
typedef struct Part { int64_t first, last; } Part;

static Part squares_of(int64_t n, int64_t groups, int64_t group)
{
    int64_t count = ceil_div(n, SIDE);
    return (Part){group * count / groups * SIDE, at_most((group + 1) * count / groups * SIDE, n)};
}

static int64_t tiles_bytes(const Job *job, int64_t lines, int64_t depth)
{
    return ceil_div(lines, TILE_LINES) * ceil_div(depth, TILE_INNER) * job->parts * TILE_BYTES;
}

/* ---- packing ---- */

static void note_largest(atomic_uint *most, uint32_t bits)
{
    unsigned known = atomic_load(most);
    while (known < bits && !atomic_compare_exchange_weak(most, &known, bits))
        continue;
}

/* Too large ones make the whole product one that is not for parts. */
static bool too_large(Job *job)
{
    return job->parts > 1 && (atomic_load(&job->most_left) >= TILE_TOO_LARGE || atomic_load(&job->most_right) >= TILE_TOO_LARGE);
}

static void pack_left(Job *job, Part rows, int64_t k, int64_t depth, char *to)
{
    const ProductTile *t = job->t;
    const float *from = t->a + (t->a_turned ? k * t->a_lead + rows.first : rows.first * t->a_lead + k);
    note_largest(&job->most_left, job->kernels->pack(rows.last - rows.first, depth, from, t->a_lead, t->a_turned, false,
                                                     job->parts, to));
}

static void pack_right(Job *job, Part columns, int64_t k, int64_t depth, char *to)
{
    const ProductTile *t = job->t;
    const float *from = t->b + (t->b_turned ? columns.first * t->b_lead + k : k * t->b_lead + columns.first);
    note_largest(&job->most_right, job->kernels->pack(columns.last - columns.first, depth, from, t->b_lead, !t->b_turned, true,
                                                      job->parts, to));
}

static char *layer_at(const Job *job, char *packed, int64_t lines, int64_t k)
{
    return packed + (k - job->k) / job->depth * tiles_bytes(job, lines, job->depth);
}

static int64_t left_groups(const Job *job)
{
    return job->left ? ceil_div(job->t->m, PACK_LINES) : 0;
}

static int64_t right_groups(const Job *job)
{
    return ceil_div(job->t->n, PACK_LINES);
}

/* Of layers, one behind the other, groups of columns and of rows; a task packs one. */
static void pack_task(void *arg, int64_t task)
{
    Job *job = arg;
    int64_t groups = right_groups(job) + left_groups(job), group = task % groups;
    int64_t k = job->k + task / groups * job->depth, depth = at_most(job->depth, job->k_end - k);
    bool right = group < right_groups(job);
    int64_t lines = right ? job->t->n : job->t->m, line = (right ? group : group - right_groups(job)) * PACK_LINES;
    Part some = {line, at_most(line + PACK_LINES, lines)};
    char *to = layer_at(job, right ? job->right : job->left, lines, k) + tiles_bytes(job, line, depth);
    (right ? pack_right : pack_left)(job, some, k, depth, to);
}

/* ---- rows ---- */

/* The square of the result at [row, column], of which [rows, columns] exist, by way of one that is whole. */
static void cut_square(const Job *job, TileSum sum, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const ProductTile *t = job->t;
    float *to = t->out + row * t->out_lead + column, edge[SIDE * SIDE], start[SIDE * SIDE];
    for (int64_t i = 0; sum.start && i < (sum.start_step ? rows : 1); i++)
        memcpy(start + i * SIDE, sum.start + i * sum.start_step, (size_t)columns * sizeof *start);
    sum.start = sum.start ? start : NULL;
    sum.start_step = sum.start_step ? SIDE : 0;
    sum.c = edge;
    sum.step = SIDE;
    job->kernels->product(&sum);
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * t->out_lead, edge + i * SIDE, (size_t)columns * sizeof *edge);
}

static void square(const Job *job, TileSum sum, int64_t row, int64_t column, bool add)
{
    const ProductTile *t = job->t;
    int64_t rows = at_most(t->m - row, SIDE), columns = at_most(t->n - column, SIDE);
    sum.parts = job->parts;
    sum.rows = rows > TILE_LINES ? 2 : 1;
    sum.columns = columns > TILE_LINES ? 2 : 1;
    sum.c = t->out + row * t->out_lead + column;
    sum.step = t->out_lead;
    sum.start = add ? sum.c : t->bias ? t->bias + column : NULL;
    sum.start_step = add ? t->out_lead : 0;
    if (rows == sum.rows * TILE_LINES && columns == sum.columns * TILE_LINES)
        job->kernels->product(&sum);
    else
        cut_square(job, sum, row, column, rows, columns);
}

/* Some rows, packed, times some columns, in the layer at [k]. */
static void times_columns(const Job *job, Part rows, Part columns, int64_t k, int64_t depth, const char *left)
{
    int64_t deep = ceil_div(depth, TILE_INNER);
    const char *right = layer_at(job, job->right, job->t->n, k);
    for (int64_t i = rows.first; i < rows.last; i += SIDE)
        for (int64_t j = columns.first; j < columns.last; j += SIDE) {
            TileSum sum = {.deep = deep, .a = tiles_packed(left + tiles_bytes(job, i - rows.first, depth), deep, job->parts),
                           .b = tiles_packed(right + tiles_bytes(job, j, depth), deep, job->parts)};
            square(job, sum, i, j, job->t->add || k > 0);
        }
}

/* Some rows times some columns, through all layers of this part. */
static void rows_task(void *arg, int64_t task)
{
    Job *job = arg;
    Part rows = squares_of(job->t->m, job->row_groups, task % job->row_groups);
    Part columns = squares_of(job->t->n, job->column_groups, task / job->row_groups);
    Error error = {0};
    char *own = NULL;
    if (!job->left && !(own = scratch_take(&error, (size_t)tiles_bytes(job, rows.last - rows.first, job->depth)))) {
        atomic_store(&job->failed, true);
        return;
    }
    job->kernels->begin();
    for (int64_t k = job->k; k < job->k_end && !too_large(job); k += job->depth) {
        int64_t depth = at_most(job->depth, job->k_end - k);
        if (own)
            pack_left(job, rows, k, depth, own);
        times_columns(job, rows, columns, k, depth,
                      own ? own : layer_at(job, job->left, job->t->m, k) + tiles_bytes(job, rows.first, depth));
    }
    job->kernels->end();
    scratch_release(own);
}

/* ---- all ---- */

/* The depth of layers and the columns of a task, about: such that the columns fill half of the second-level cache. */
static int64_t deepest(int parts)
{
    return parts == 1 ? 512 : 256;
}

static int64_t widest(int parts)
{
    return parts == 1 ? 1024 : 512;
}

/* Tasks of at most GROUP_ROWS and as many columns as are good; smaller ones, but not below TASK_WORK, where threads would
   wait for each other. */
static void cut(Job *job, int threads)
{
    const ProductTile *t = job->t;
    double work = (double)t->m * (double)t->n * (double)(job->k_end - job->k) * (job->parts == 1 ? 1 : 6);
    double tasks = work / TASK_WORK;
    int64_t want = threads == 1 ? 1 : tasks > 4.0 * threads ? 4 * threads : (int64_t)tasks;
    int64_t strips = ceil_div(t->m, SIDE), pairs = ceil_div(t->n, SIDE);
    job->row_groups = ceil_div(t->m, GROUP_ROWS);
    job->column_groups = ceil_div(t->n, widest(job->parts));
    while (job->row_groups * job->column_groups < want) {
        if (job->row_groups * 2 <= strips)
            job->row_groups *= 2;
        else if (job->column_groups * 2 <= pairs)
            job->column_groups *= 2;
        else
            break;
    }
}

/* One part of k after the other. */
static bool run_parts(TensorContext *ctx, Job *job, int64_t layers)
{
    const ProductTile *t = job->t;
    for (bool done = true; job->k < t->k; job->k = job->k_end) {
        job->k_end = at_most(job->k + layers * job->depth, t->k);
        cut(job, ctx ? pool_threads() : 1);
        int64_t packs = ceil_div(job->k_end - job->k, job->depth) * (right_groups(job) + left_groups(job));
        done = product_tasks(ctx, packs, pack_task, job) && !too_large(job) &&
               product_tasks(ctx, job->row_groups * job->column_groups, rows_task, job) && !atomic_load(&job->failed);
        if (!done)
            return false;
    }
    return true;
}

/* [ctx] NULL: on this thread. */
static ProductEnd run(TensorContext *ctx, const ProductTile *t, int parts)
{
    int64_t count = ceil_div(t->k, deepest(parts) + deepest(parts) / 4);
    Job job = {.t = t, .kernels = tile_kernels(), .parts = parts,
               .depth = ceil_div(ceil_div(t->k, count), TILE_INNER) * TILE_INNER};
    int64_t right = tiles_bytes(&job, t->n, job.depth), left = t->m <= PACK_LINES ? tiles_bytes(&job, t->m, job.depth) : 0;
    int64_t layers = at_most(right > CHUNK_BYTES ? 1 : CHUNK_BYTES / right, count);
    Error error = {0};
    char *packed = scratch_take(&error, (size_t)(layers * (left + right)));
    if (!packed)
        return PRODUCT_FAILED;
    job.right = packed;
    job.left = left ? packed + layers * right : NULL;
    bool done = run_parts(ctx, &job, layers);
    scratch_release(packed);
    if (too_large(&job) || (done && parts > 1 && !tiles_fit(atomic_load(&job.most_left), atomic_load(&job.most_right))))
        return PRODUCT_UNFIT;
    return done ? PRODUCT_DONE : PRODUCT_FAILED;
}

bool product_narrow_tile(const ProductTile *tile)
{
    return run(NULL, tile, 1) == PRODUCT_DONE;
}

bool product_narrow_shared(TensorContext *ctx, const ProductTile *tile)
{
    return run((double)tile->m * (double)tile->n * (double)tile->k < ALONE_WORK ? NULL : ctx, tile, 1) == PRODUCT_DONE;
}

/* What is added to must not be lost to a product that turns out to be unfit. */
static bool may_add(const ProductTile *t)
{
    const TileKernels *kernels = tile_kernels();
    return tiles_fit(kernels->largest(t->a_turned ? t->k : t->m, t->a_turned ? t->m : t->k, t->a, t->a_lead),
                     kernels->largest(t->b_turned ? t->n : t->k, t->b_turned ? t->k : t->n, t->b, t->b_lead));
}

ProductEnd product_in_parts(TensorContext *ctx, const ProductTile *t)
{
    if (!tile_kernels() || t->m < LEAST || t->n < LEAST || t->k < LEAST_DEPTH || (t->add && !may_add(t)))
        return PRODUCT_UNFIT;
    return run(ctx, t, TILE_WHOLE);
}

Tensor *product_rounded(TensorContext *ctx, Tensor *x)
{
    Tensor *narrow = tensor_cast(ctx, x, DTYPE_bf16), *wide = narrow ? tensor_cast(ctx, narrow, DTYPE_f32) : NULL;
    tensor_release(narrow);
    return wide;
}
