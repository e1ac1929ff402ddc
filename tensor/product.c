/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own product of f32 matrices: the right one is packed into panels once for all threads, rows of the left one by
   whoever multiplies them (blocks.h). A panel stays in the first-level cache while all rows of a task pass by it, the
   panels of a task in the second.
   Invariant: an element is one sum in the order of k, cut into parts that depend on k only; so neither tiles nor threads
   show in the bits. */
#include <string.h>

#include "blocks.h"
#include "product.h"

#define LANES BLOCK_LANES
#define WIDE (BLOCK_PANEL * BLOCK_LANES)
#define DEPTH 256             /* of a panel, about */
#define LEAST 24              /* shorter sides waste the packing */
#define GROUP_ROWS 112        /* of a task at most */
#define GROUP_PANELS 32
#define CHUNK_BYTES (2 << 20) /* of panels that are packed before they are used */
#define TASK_WORK 5e5         /* multiply-adds that a task should have */
#define ALONE_WORK 1e6        /* a product of fewer is not worth waking a thread */

/* The work of all threads: a part of k, of panels in [depths] layers. */
typedef struct Job {
    const ProductTile *t;
    const BlockKernels *kernels;
    int64_t k, k_end, depth;          /* this part, and the depth of its layers */
    int64_t panels, group_panels;     /* [n] in panels; of a task */
    int64_t row_groups, panel_groups;
    float *packed;                    /* [layers][panels][depth][WIDE] */
    atomic_bool failed;
} Job;

static int64_t whole(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

static int64_t ceil_div(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool product_suits(int64_t m, int64_t n, int64_t k)
{
    return cpu_level() >= CPU_AVX2 && m >= LEAST && n >= LEAST && k >= LEAST;
}

int64_t product_pieces(int64_t m, int64_t n)
{
    return ceil_div(m, LANES) * ceil_div(n, WIDE);
}

/* ---- panels of the right matrix ---- */

/* Of layers, one behind the other, groups of panels; a task packs one. */
static void pack_task(void *arg, int64_t task)
{
    const Job *job = arg;
    const ProductTile *t = job->t;
    int64_t layer = task / job->panel_groups, panel = task % job->panel_groups * job->group_panels;
    int64_t k = job->k + layer * job->depth, deep = least(job->depth, job->k_end - k), column = panel * WIDE;
    int64_t columns = least(t->n - column, job->group_panels * WIDE);
    float *to = job->packed + layer * job->depth * job->panels * WIDE + column * whole(deep);
    if (t->b_turned)
        job->kernels->pack_turned(columns, deep, t->b + column * t->b_lead + k, t->b_lead, to);
    else
        job->kernels->pack_panels(deep, columns, t->b + k * t->b_lead + column, t->b_lead, to);
}

/* ---- rows ---- */

/* Results that are cut at the last column go by way of [edge], whose rows are whole vectors. */
static void edge_rows(const Job *job, const float *a, int64_t row, int64_t rows, int64_t column, int64_t blocks,
                      const float *panel, bool add, float *edge)
{
    const ProductTile *t = job->t;
    int64_t count = t->n - column, wide = count > LANES ? 2 : 1;
    float start[WIDE] = {0};
    for (int64_t j = 0; j < count && t->bias; j++)
        start[j] = t->bias[column + j];
    for (int64_t i = 0; i < rows && add; i++)
        for (int64_t j = 0; j < wide * LANES; j++)
            edge[i * WIDE + j] = j < count ? t->out[(row + i) * t->out_lead + column + j] : 0;
    job->kernels->product(rows, blocks, a, wide, panel, (BlockResult){edge, WIDE, LANES}, add, start);
    for (int64_t i = 0; i < rows; i++)
        memcpy(t->out + (row + i) * t->out_lead + column, edge + i * WIDE, (size_t)count * sizeof *edge);
}

static void one_panel(const Job *job, const float *a, int64_t row, int64_t rows, int64_t column, int64_t blocks,
                      const float *panel, bool add, float *edge)
{
    const ProductTile *t = job->t;
    int64_t wide = t->n - column > LANES ? 2 : 1;
    if (t->n - column < wide * LANES) {
        edge_rows(job, a, row, rows, column, blocks, panel, add, edge);
        return;
    }
    BlockResult to = {t->out + row * t->out_lead + column, t->out_lead, LANES};
    job->kernels->product(rows, blocks, a, wide, panel, to, add, t->bias ? t->bias + column : NULL);
}

/* Some rows times some panels, through all layers of this part. */
static void rows_task(void *arg, int64_t task)
{
    Job *job = arg;
    const ProductTile *t = job->t;
    int64_t group = task % job->row_groups, first = task / job->row_groups * job->group_panels;
    int64_t strip = job->kernels->rows, strips = ceil_div(t->m, strip), row = group * strips / job->row_groups * strip;
    int64_t rows = least((group + 1) * strips / job->row_groups * strip, t->m) - row;
    int64_t last = least(first + job->group_panels, job->panels);
    Error error = {0};
    float *a = scratch_take(&error, (size_t)(rows * (job->depth + WIDE)) * sizeof(float)), *edge = a + rows * job->depth;
    if (!a) {
        atomic_store(&job->failed, true);
        return;
    }
    for (int64_t k = job->k; k < job->k_end; k += job->depth) {
        int64_t deep = least(job->depth, job->k_end - k), blocks = whole(deep) / LANES;
        const float *layer = job->packed + (k - job->k) * job->panels * WIDE;
        if (t->a_turned)
            job->kernels->pack_columns(deep, rows, t->a + k * t->a_lead + row, t->a_lead, a);
        else
            job->kernels->pack_rows(rows, deep, t->a + row * t->a_lead + k, t->a_lead, 1, a);
        for (int64_t panel = first; panel < last; panel++)
            one_panel(job, a, row, rows, panel * WIDE, blocks, layer + panel * WIDE * blocks * LANES, t->add || k > 0, edge);
    }
    scratch_release(a);
}

/* ---- all ---- */

/* Tasks of at most GROUP_ROWS rows and GROUP_PANELS panels; smaller ones, but not below TASK_WORK, where threads would
   wait for each other. */
static void cut(Job *job, int threads)
{
    const ProductTile *t = job->t;
    double tasks = (double)t->m * (double)t->n * (double)(job->k_end - job->k) / TASK_WORK;
    int64_t want = threads == 1 ? 1 : tasks > 4.0 * threads ? 4 * threads : (int64_t)tasks;
    job->row_groups = ceil_div(t->m, GROUP_ROWS);
    job->panel_groups = ceil_div(job->panels, GROUP_PANELS);
    while (job->row_groups * job->panel_groups < want) {
        if (t->m / job->row_groups >= 2 * 28 && t->m / job->row_groups * 4 >= t->n / job->panel_groups)
            job->row_groups *= 2;
        else if (job->panels / job->panel_groups >= 2)
            job->panel_groups *= 2;
        else
            break;
    }
    job->group_panels = ceil_div(job->panels, job->panel_groups);
    job->panel_groups = ceil_div(job->panels, job->group_panels);
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
    int64_t parts = ceil_div(t->k, DEPTH + DEPTH / 4);
    Job job = {.t = t, .kernels = block_kernels(), .panels = ceil_div(t->n, WIDE), .depth = whole(ceil_div(t->k, parts))};
    int64_t layer = job.panels * WIDE * job.depth, layers = CHUNK_BYTES / (layer * (int64_t)sizeof(float));
    layers = least(layers < 1 ? 1 : layers, parts);
    Error error = {0};
    job.packed = scratch_take(&error, (size_t)(layers * layer) * sizeof(float));
    bool done = job.packed != NULL;
    for (job.k = 0; done && job.k < t->k; job.k = job.k_end) {
        job.k_end = least(job.k + layers * job.depth, t->k);
        cut(&job, ctx ? pool_threads() : 1);
        done = run_tasks(ctx, ceil_div(job.k_end - job.k, job.depth) * job.panel_groups, pack_task, &job) &&
               run_tasks(ctx, job.row_groups * job.panel_groups, rows_task, &job) && !atomic_load(&job.failed);
    }
    scratch_release(job.packed);
    return done;
}

bool product_tile(const ProductTile *tile)
{
    return run(NULL, tile);
}

bool product_shared(TensorContext *ctx, const ProductTile *tile)
{
    return run((double)tile->m * (double)tile->n * (double)tile->k < ALONE_WORK ? NULL : ctx, tile);
}
