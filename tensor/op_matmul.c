/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix products. Broadcasting, batches, transposed and strided operands are worked out here; the products of tiles
   are product.c's or BLAS's, which runs single-threaded, one tile a task of the pool. Patterns (einsum) are op_einsum.c.

   Invariant: how a product is cut into tiles depends on its sizes only, so the bits are the same for any number of
   threads; no tile runs long enough to make an interrupt wait. */
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "blocks.h"
#include "dots.h"
#include "op.h"
#include "product.h"
#include "tiles.h"

#define TILE_WORK 4e6         /* multiply-adds worth a task of their own */
#define TILE_MOST 4e8         /* more than these make an interrupt wait */
#define TILE_SIDE 128         /* shorter sides waste the packing of BLAS */
#define TILE_DEPTH 512        /* k is cut into no shorter parts */
#define SHARED_PIECES 16      /* a product of fewer pieces is cut along k for its threads */
#define SHARED_BATCHES 16     /* of more matrices each is one thread's */
#define DOTS_COLUMNS 24       /* as few columns are not worth packing */
#define SMALL_WORK 1024       /* below this the plain loop beats the call */

/* One side of a product, as BLAS takes it. */
typedef struct Operand {
    Tensor *tensor;           /* owned */
    bool transposed;
    int64_t lead;             /* BLAS's leading dimension */
    int64_t batch[TENSOR_MAX_DIMS];   /* strides of the batch axes; 0 repeats */
} Operand;

typedef struct Product {
    Dtype dtype;
    const Blas *blas;
    int n_batch;
    int64_t shape[TENSOR_MAX_DIMS], batches;
    int64_t m, n, k;
    Operand a, b;
    char *out;
    const Tensor *bias;       /* [n], added to every row, or NULL */
    int64_t tile_m, tile_n, tile_k, tiles_m, tiles_n, tiles_k;        /* tiles_k 0: not cut into tiles */
    int64_t group;            /* batches a task */
    char *partial;            /* [tiles_k, m, n] when k is cut */
    bool own;                 /* the tiles are product.c's */
    bool dots;                /* or dots.h's */
    bool narrow;              /* or of numbers rounded to bf16 */
    atomic_bool failed;       /* one of those found no memory */
} Product;

/* ---- shapes ---- */

bool shape_matmul(OpCall *call)
{
    const Tensor *a = call->in[0], *b = call->in[1];
    if (a->ndim == 0 || b->ndim == 0)
        return op_error(call, ERROR_shape, "a 0-d tensor is no matrix; `*` multiplies by it");
    int64_t inner = b->shape[b->ndim == 1 ? 0 : b->ndim - 2];
    if (a->shape[a->ndim - 1] != inner)
        return op_error(call, ERROR_shape, "inner sizes differ, %lld and %lld", (long long)a->shape[a->ndim - 1],
                        (long long)inner);
    int na = a->ndim > 2 ? a->ndim - 2 : 0, nb = b->ndim > 2 ? b->ndim - 2 : 0, n = na > nb ? na : nb;
    TensorSpec *spec = &call->spec[0];
    for (int d = 0; d < n; d++) {                                  /* the batch axes broadcast */
        int64_t x = d < n - na ? 1 : a->shape[d - (n - na)], y = d < n - nb ? 1 : b->shape[d - (n - nb)];
        if (x != y && x != 1 && y != 1)
            return op_error(call, ERROR_shape, "axis %d has sizes %lld and %lld, which do not broadcast", d - n - 2,
                            (long long)x, (long long)y);
        spec->shape[d] = x == 1 ? y : x;
    }
    spec->ndim = n;
    if (a->ndim > 1) spec->shape[spec->ndim++] = a->shape[a->ndim - 2];
    if (b->ndim > 1) spec->shape[spec->ndim++] = b->shape[b->ndim - 1];
    spec->dtype = op_promote(2, call->in, false, true);
    return true;
}

/* ---- operands ---- */

/* Whether [rows, columns] with these strides is a matrix that BLAS can read, and how. */
static bool blas_layout(int64_t rows, int64_t columns, int64_t row, int64_t column, Operand *operand)
{
    if ((column == 1 || columns <= 1) && (row >= columns || rows <= 1)) {
        operand->transposed = false;
        operand->lead = rows <= 1 || row < 1 ? (columns > 0 ? columns : 1) : row;
        return true;
    }
    if ((row == 1 || rows <= 1) && (column >= rows || columns <= 1)) {
        operand->transposed = true;
        operand->lead = columns <= 1 || column < 1 ? (rows > 0 ? rows : 1) : column;
        return true;
    }
    return false;
}

/* Fills [operand] from x seen as [batch…, rows, columns]; a vector is a row on the left and a column on the right.
   Copies what BLAS cannot read. */
static bool operand_make(OpCall *call, const Product *p, Tensor *x, bool left, Operand *operand)
{
    int64_t rows = left ? p->m : p->k, columns = left ? p->k : p->n;
    operand->tensor = x->dtype == p->dtype ? tensor_retain(x) : tensor_cast(call->ctx, x, p->dtype);
    if (p->dtype == DTYPE_f32 && call->ctx->narrow && !tile_kernels() && operand->tensor != NULL)
        tensor_slot(&operand->tensor, product_rounded(call->ctx, operand->tensor));
    for (int attempt = 0; operand->tensor != NULL; attempt++) {
        Tensor *t = operand->tensor;
        int64_t row = t->ndim > 1 ? t->stride[t->ndim - 2] : left ? columns : t->stride[0];
        int64_t column = t->ndim > 1 || left ? t->stride[t->ndim - 1] : 1;
        int lead = t->ndim > 2 ? t->ndim - 2 : 0;
        for (int d = 0; d < p->n_batch; d++) {
            int own = d - (p->n_batch - lead);
            operand->batch[d] = own < 0 || t->shape[own] == 1 ? 0 : t->stride[own];
        }
        if (blas_layout(rows, columns, row, column, operand)) return true;
        if (attempt > 0) return op_error(call, ERROR_internal, "a dense operand has no layout");
        operand->tensor = tensor_copy(call->ctx, t);
        tensor_release(t);
    }
    return false;
}

/* [b, m, k] @ [k, n] is one product of b·m rows when the rows of all batches are evenly spaced. */
static void merge_batches(Product *p)
{
    if (p->a.transposed) return;
    int64_t step = p->a.lead, rows = p->m;
    if (rows == 1 && p->n_batch > 0) step = p->a.batch[p->n_batch - 1];
    for (int d = p->n_batch - 1; d >= 0; d--) {
        if (p->shape[d] == 1) continue;
        if (p->b.batch[d] != 0 || p->a.batch[d] != rows * step) return;
        rows *= p->shape[d];
    }
    if (rows == p->m || step < p->k) return;
    p->a.lead = step;
    p->m = rows;
    p->n_batch = 0;
    p->batches = 1;
}

static bool product_make(OpCall *call, Product *p)
{
    const Tensor *a = call->in[0], *b = call->in[1];
    const TensorSpec *spec = &call->spec[0];
    p->dtype = spec->dtype;
    p->k = a->shape[a->ndim - 1];
    p->m = a->ndim > 1 ? a->shape[a->ndim - 2] : 1;
    p->n = b->ndim > 1 ? b->shape[b->ndim - 1] : 1;
    p->n_batch = spec->ndim - (a->ndim > 1) - (b->ndim > 1);
    p->batches = 1;
    for (int d = 0; d < p->n_batch; d++) p->batches *= p->shape[d] = spec->shape[d];
    p->out = call->out[0]->data;
    return operand_make(call, p, call->in[0], true, &p->a) && operand_make(call, p, call->in[1], false, &p->b);
}

static void product_clear(Product *p)
{
    tensor_release(p->a.tensor);
    tensor_release(p->b.tensor);
    scratch_release(p->partial);
}

/* ---- tiles ---- */

/* Cuts the longer side until there are enough tiles, then k where the result is small and k long. */
static void choose_tiles(Product *p)
{
    double work = (double)p->m * (double)p->n * (double)p->k;
    double want = work / TILE_WORK > 16 ? 16 : work / TILE_WORK, most = work / TILE_MOST;
    if (most > want) want = most;
    int64_t parts_m = 1, parts_n = 1;
    while ((double)(parts_m * parts_n) < want) {
        int64_t side_m = p->m / parts_m, side_n = p->n / parts_n;
        if (side_m >= side_n && side_m >= 2 * TILE_SIDE) parts_m *= 2;
        else if (side_n >= 2 * TILE_SIDE) parts_n *= 2;
        else break;
    }
    p->tile_m = ceil_div(ceil_div(p->m, parts_m), 16) * 16;        /* whole registers of BLAS's kernels */
    p->tile_n = ceil_div(ceil_div(p->n, parts_n), 16) * 16;
    p->tiles_m = ceil_div(p->m, p->tile_m);
    p->tiles_n = ceil_div(p->n, p->tile_n);
    double left = want / (double)(p->tiles_m * p->tiles_n);
    int64_t parts_k = left < 2 || p->batches > 1 ? 1 : (int64_t)left;
    if (parts_k > p->k / TILE_DEPTH) parts_k = p->k / TILE_DEPTH;
    p->tile_k = parts_k < 2 ? p->k : ceil_div(p->k, parts_k);
    p->tiles_k = ceil_div(p->k, p->tile_k);
    p->group = work > 0 && work < 2e6 ? (int64_t)(2e6 / work) : 1;
    if (p->group > p->batches) p->group = p->batches;
}

/* A plain product of few elements; strides instead of layouts. */
#define SMALL_PRODUCT(name, type)                                                                                      \
    static void name(int64_t m, int64_t n, int64_t k, const type *a, int64_t a_row, int64_t a_column, const type *b,   \
                     int64_t b_row, int64_t b_column, type *c, int64_t c_row) {                                        \
        for (int64_t i = 0; i < m; i++)                                                                                \
            for (int64_t j = 0; j < n; j++) {                                                                          \
                type sum = 0;                                                                                          \
                for (int64_t l = 0; l < k; l++) sum += a[i * a_row + l * a_column] * b[l * b_row + j * b_column];      \
                c[i * c_row + j] = sum;                                                                                \
            }                                                                                                          \
    }
SMALL_PRODUCT(small_float, float)
SMALL_PRODUCT(small_double, double)

/* out[m, n] = a b for one tile; [a], [b] and [out] are at its first elements, rows of out are [row] apart. */
static void tile_product(const Product *p, int64_t m, int64_t n, int64_t k, const char *a, const char *b, char *out,
                         int64_t row)
{
    char ta = p->a.transposed ? 'T' : 'N', tb = p->b.transposed ? 'T' : 'N';
    int64_t ar = p->a.transposed ? 1 : p->a.lead, ac = p->a.transposed ? p->a.lead : 1;
    int64_t br = p->b.transposed ? 1 : p->b.lead, bc = p->b.transposed ? p->b.lead : 1;
    const void *x = a, *y = b;
    void *z = out;
    if (m * n * k <= SMALL_WORK) {
        if (p->dtype == DTYPE_f32) small_float(m, n, k, x, ar, ac, y, br, bc, z, row);
        else small_double(m, n, k, x, ar, ac, y, br, bc, z, row);
    } else if (p->dtype == DTYPE_f32) {
        p->blas->sgemm(ta, tb, (int)m, (int)n, (int)k, 1, x, (int)p->a.lead, y, (int)p->b.lead, 0, z, (int)row);
    } else {
        p->blas->dgemm(ta, tb, (int)m, (int)n, (int)k, 1, x, (int)p->a.lead, y, (int)p->b.lead, 0, z, (int)row);
    }
}

static void add_bias(const Product *p, int64_t m, int64_t n, int64_t first, char *out, int64_t row)
{
    if (p->dtype == DTYPE_f32) {
        const float *bias = (const float *)(const void *)p->bias->data + first;
        for (int64_t i = 0; i < m; i++) {
            float *to = (float *)(void *)out + i * row;
            for (int64_t j = 0; j < n; j++) to[j] += bias[j];
        }
    } else {
        const double *bias = (const double *)(const void *)p->bias->data + first;
        for (int64_t i = 0; i < m; i++) {
            double *to = (double *)(void *)out + i * row;
            for (int64_t j = 0; j < n; j++) to[j] += bias[j];
        }
    }
}

/* What product.c is to do for a tile of ours. */
static ProductTile own_tile(const Product *p, int64_t m, int64_t n, int64_t k, const char *a, const char *b, int64_t column,
                            char *out)
{
    bool biased = p->bias != NULL && p->tiles_k < 2;
    return (ProductTile){
        .m = m, .n = n, .k = k, .a = (const float *)(const void *)a, .b = (const float *)(const void *)b,
        .a_lead = p->a.lead, .b_lead = p->b.lead, .a_turned = p->a.transposed, .b_turned = p->b.transposed,
        .bias = biased ? (const float *)(const void *)p->bias->data + column : NULL,
        .out = (float *)(void *)out, .out_lead = p->n,
    };
}

/* Where batch number [batch] of each operand starts, in elements. */
static void batch_offsets(const Product *p, int64_t batch, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int d = p->n_batch - 1; d >= 0; d--) {
        int64_t at = batch % p->shape[d];
        batch /= p->shape[d];
        *a += at * p->a.batch[d];
        *b += at * p->b.batch[d];
    }
}

static void tile_task(void *arg, int64_t task)
{
    Product *p = arg;
    int64_t width = (int64_t)dtype_size(p->dtype);
    int64_t tile_k = task % p->tiles_k, tile_n = task / p->tiles_k % p->tiles_n;
    int64_t tile_m = task / p->tiles_k / p->tiles_n % p->tiles_m, group = task / p->tiles_k / p->tiles_n / p->tiles_m;
    int64_t i = tile_m * p->tile_m, j = tile_n * p->tile_n, l = tile_k * p->tile_k;
    int64_t m = p->m - i < p->tile_m ? p->m - i : p->tile_m, n = p->n - j < p->tile_n ? p->n - j : p->tile_n;
    int64_t k = p->k - l < p->tile_k ? p->k - l : p->tile_k;
    int64_t inside_a = p->a.transposed ? i + l * p->a.lead : i * p->a.lead + l;
    int64_t inside_b = p->b.transposed ? l + j * p->b.lead : l * p->b.lead + j;
    for (int64_t batch = group * p->group; batch < (group + 1) * p->group && batch < p->batches; batch++) {
        int64_t a, b;
        batch_offsets(p, batch, &a, &b);
        char *out = p->tiles_k > 1 ? p->partial + tile_k * p->m * p->n * width : p->out + batch * p->m * p->n * width;
        out += (i * p->n + j) * width;
        const char *left = p->a.tensor->data + (a + inside_a) * width, *right = p->b.tensor->data + (b + inside_b) * width;
        ProductTile own = own_tile(p, m, n, k, left, right, j, out);
        if (p->narrow) {
            if (!product_narrow_tile(&own)) atomic_store(&p->failed, true);
            continue;
        }
        if (p->dots) {
            dots_kernel()(m, n, k, (DotsRows){own.a, own.a_lead}, (DotsRows){own.b, own.b_lead}, own.bias, own.out, own.out_lead);
            continue;
        }
        if (p->own && product_tile(&own)) continue;                /* BLAS where memory is short */
        tile_product(p, m, n, k, left, right, out, p->n);
        if (p->bias != NULL && p->tiles_k == 1) add_bias(p, m, n, j, out, p->n);
    }
}

#define SUM_CHUNK (1 << 15)

/* Adds the parts of a product whose k was cut, in their order: some elements a task. */
static void sum_task(void *arg, int64_t task)
{
    const Product *p = arg;
    int64_t width = (int64_t)dtype_size(p->dtype), size = p->m * p->n, first = task * SUM_CHUNK;
    int64_t n = size - first < SUM_CHUNK ? size - first : SUM_CHUNK;
    char *to = p->out + first * width;
    memcpy(to, p->partial + first * width, (size_t)(n * width));
    for (int64_t part = 1; part < p->tiles_k; part++) {
        const char *from = p->partial + (part * size + first) * width;
        if (p->dtype == DTYPE_f32)
            block_kernels()->add(n, (const float *)(const void *)from, (float *)(void *)to);
        else
            for (int64_t i = 0; i < n; i++) ((double *)(void *)to)[i] += ((const double *)(const void *)from)[i];
    }
}

static bool sum_partials(OpCall *call, Product *p)
{
    if (!pool_run(call->ctx, ceil_div(p->m * p->n, SUM_CHUNK), sum_task, p)) return false;
    if (p->bias != NULL) add_bias(p, p->m, p->n, 0, p->out, p->n);
    return true;
}

static bool no_memory(OpCall *call)
{
    return op_error(call, ERROR_memory, "no memory is left to work in");
}

/* Few matrices that are large enough for all threads to work on each. */
static bool shared_products(OpCall *call, const Product *p)
{
    bool done = true;
    for (int64_t batch = 0; batch < p->batches && done; batch++) {
        int64_t a, b;
        batch_offsets(p, batch, &a, &b);
        const char *left = p->a.tensor->data + a * (int64_t)sizeof(float);
        const char *right = p->b.tensor->data + b * (int64_t)sizeof(float);
        ProductTile whole = own_tile(p, p->m, p->n, p->k, left, right, 0, p->out + batch * p->m * p->n * (int64_t)sizeof(float));
        done = p->narrow ? product_narrow_shared(call->ctx, &whole) : product_shared(call->ctx, &whole);
    }
    if (!done && call->ctx->error.kind == ERROR_NONE && !tensor_interrupted(call->ctx))
        return no_memory(call);
    return done;
}

/* Rows times few rows, as the layer of a classifier: BLAS would pack them. */
static bool suits_dots(const Product *p)
{
    return p->dtype == DTYPE_f32 && cpu_level() >= CPU_AVX2 && !p->a.transposed && p->b.transposed && p->n < DOTS_COLUMNS &&
           p->k >= BLOCK_LANES && p->m * p->n * p->k > SMALL_WORK;
}

static bool product_run(OpCall *call, Product *p)
{
    int64_t width = (int64_t)dtype_size(p->dtype);
    merge_batches(p);
    if (p->m == 0 || p->n == 0 || p->batches == 0) return true;
    if (p->k == 0) {
        memset(p->out, 0, (size_t)(p->batches * p->m * p->n * width));
        if (p->bias != NULL) add_bias(p, p->batches * p->m, p->n, 0, p->out, p->n);
        return true;
    }
    if (p->a.lead > INT_MAX || p->b.lead > INT_MAX || p->n > INT_MAX || p->k > INT_MAX)
        return op_error(call, ERROR_shape, "a side is longer than %d", INT_MAX);
    if (p->m * p->n * p->k > SMALL_WORK && (p->blas = blas_open(&call->ctx->error)) == NULL) return false;
    p->narrow = p->dtype == DTYPE_f32 && call->ctx->narrow && tile_kernels();
    if (p->dtype == DTYPE_f32 && (p->narrow || product_suits(p->m, p->n, p->k)) && p->batches < SHARED_BATCHES &&
        (product_pieces(p->m, p->n) >= SHARED_PIECES || p->k < 2 * TILE_DEPTH))
        return shared_products(call, p);
    choose_tiles(p);
    if (p->tiles_k > 1) {
        p->partial = scratch_take(&call->ctx->error, (size_t)(p->tiles_k * p->m * p->n * width));
        if (p->partial == NULL) return false;
    }
    p->own = p->dtype == DTYPE_f32 && product_suits(p->tile_m, p->tile_n, p->tile_k);
    p->dots = suits_dots(p);
    int64_t tasks = p->tiles_m * p->tiles_n * p->tiles_k * ceil_div(p->batches, p->group);
    if (!pool_run(call->ctx, tasks, tile_task, p)) return false;
    if (atomic_load(&p->failed)) return no_memory(call);
    return p->tiles_k == 1 || sum_partials(call, p);
}

/* ---- ints: plain loops that wrap ---- */

typedef struct IntProduct { const Product *p; const int64_t *a, *b; int64_t *out; } IntProduct;

static void int_task(void *arg, int64_t row) {                     /* one row of the result */
    const IntProduct *job = arg;
    const Product *p = job->p;
    int64_t batch = row / p->m, i = row % p->m, a, b;
    batch_offsets(p, batch, &a, &b);
    int64_t *to = job->out + row * p->n;
    memset(to, 0, (size_t)p->n * sizeof *to);
    for (int64_t l = 0; l < p->k; l++) {
        uint64_t x = (uint64_t)job->a[a + (p->a.transposed ? i + l * p->a.lead : i * p->a.lead + l)];
        for (int64_t j = 0; j < p->n; j++) {
            uint64_t y = (uint64_t)job->b[b + (p->b.transposed ? l + j * p->b.lead : l * p->b.lead + j)];
            to[j] = (int64_t)((uint64_t)to[j] + x * y);
        }
    }
}

/* In 64 bits, then cut to the dtype: the low bits of a product do not depend on the high ones. */
static bool int_matmul(OpCall *call, Product *p, Tensor **wide)
{
    p->dtype = DTYPE_i64;
    const Tensor *out = call->out[0];
    *wide = tensor_new(call->ctx, DTYPE_i64, out->ndim, out->shape);
    if (*wide == NULL || !operand_make(call, p, call->in[0], true, &p->a)) return false;
    if (!operand_make(call, p, call->in[1], false, &p->b)) return false;
    IntProduct job = {p, (const int64_t *)(const void *)p->a.tensor->data,
                      (const int64_t *)(const void *)p->b.tensor->data, (int64_t *)(void *)(*wide)->data};
    if (!pool_run(call->ctx, p->batches * p->m, int_task, &job)) return false;
    for (int64_t i = 0, size = tensor_size(out); i < size; i++) {
        if (out->dtype == DTYPE_i64) ((int64_t *)(void *)out->data)[i] = job.out[i];
        else ((int32_t *)(void *)out->data)[i] = (int32_t)(uint32_t)(uint64_t)job.out[i];
    }
    return true;
}

/* ---- matmul ---- */

bool matmul_run(OpCall *call)
{
    Product p = {0};
    Tensor *wide = NULL;
    bool done = product_make(call, &p);
    if (done && dtype_class(call->spec[0].dtype) == CLASS_FLOAT) {
        done = product_run(call, &p);
    } else if (done) {
        tensor_release(p.a.tensor);
        tensor_release(p.b.tensor);
        p.a.tensor = p.b.tensor = NULL;
        done = int_matmul(call, &p, &wide);
    }
    tensor_release(wide);
    product_clear(&p);
    return done;
}

/* x as [rows, last axis]. */
static Tensor *as_rows(Scope *s, Tensor *x, const TensorSpec *spec)
{
    int64_t shape[2] = {1, spec->shape[spec->ndim - 1]};
    for (int d = 0; d < spec->ndim - 1; d++) shape[0] *= spec->shape[d];
    return s_reshape(s, x, 2, shape);
}

bool matmul_grad(GradCall *g)
{
    Scope *s = g->s;
    const TensorSpec *sa = &g->in_spec[0], *sb = &g->in_spec[1];
    Tensor *a = g->in[0], *b = g->in[1], *dy = g->dy[0];
    if (sb->ndim == 1) {                                           /* the vector as a column */
        b = s_unsqueeze(s, b, 1);
        dy = s_unsqueeze(s, dy, -1);
    }
    if (sa->ndim == 1) {                                           /* the vector as a row */
        a = s_unsqueeze(s, a, 0);
        dy = s_unsqueeze(s, dy, -2);
    }
    if (g->wants[0]) {
        TensorSpec wide = *sa;
        if (sa->ndim == 1) wide = (TensorSpec){sa->dtype, 2, {1, sa->shape[0]}};
        g->dx[0] = s_sum_to(s, s_matmul(s, dy, s_transpose(s, b, -2, -1)), &wide);
        if (sa->ndim == 1) g->dx[0] = s_reshape(s, g->dx[0], 1, sa->shape);
        if (g->dx[0] == NULL) return false;
    }
    if (g->wants[1]) {
        TensorSpec wide = *sb;
        if (sb->ndim == 1) wide = (TensorSpec){sb->dtype, 2, {sb->shape[0], 1}};
        if (wide.ndim == 2 && sa->ndim > 2) {                      /* one product over all rows, not a sum of many */
            TensorSpec result = *sa;
            result.shape[sa->ndim - 1] = wide.shape[1];
            a = as_rows(s, a, sa);
            dy = as_rows(s, dy, &result);
        }
        g->dx[1] = s_sum_to(s, s_matmul(s, s_transpose(s, a, -2, -1), dy), &wide);
        if (sb->ndim == 1) g->dx[1] = s_reshape(s, g->dx[1], 1, sb->shape);
        if (g->dx[1] == NULL) return false;
    }
    return true;
}

/* ---- linear ---- */

bool shape_linear(OpCall *call)
{
    const Tensor *x = call->in[0], *weight = call->in[1], *bias = call->in[2];
    if (x->ndim < 1) return op_error(call, ERROR_shape, "x is a number, it needs an axis of inputs");
    if (weight->ndim != 2) return op_error(call, ERROR_shape, "weight is [outputs, inputs], not %d axes", weight->ndim);
    if (x->shape[x->ndim - 1] != weight->shape[1])
        return op_error(call, ERROR_shape, "x has %lld inputs, weight takes %lld", (long long)x->shape[x->ndim - 1],
                        (long long)weight->shape[1]);
    if (bias != NULL && (bias->ndim != 1 || bias->shape[0] != weight->shape[0]))
        return op_error(call, ERROR_shape, "bias must be [%lld], one for each output", (long long)weight->shape[0]);
    spec_of(x, &call->spec[0]);
    call->spec[0].shape[x->ndim - 1] = weight->shape[0];
    call->spec[0].dtype = op_promote(bias != NULL ? 3 : 2, call->in, true, true);
    return true;
}

bool linear_run(OpCall *call)
{
    const Tensor *weight = call->in[1];
    Tensor *flipped = tensor_view(call->ctx, weight, 2, (int64_t[2]){weight->shape[1], weight->shape[0]},
                                  (int64_t[2]){weight->stride[1], weight->stride[0]}, 0);
    Tensor *bias = NULL, *in[2] = {call->in[0], flipped};
    OpCall inner = *call;
    inner.in = in;
    inner.n_in = 2;
    Product p = {0};
    bool done = flipped != NULL;
    if (done && call->in[2] != NULL) {
        Tensor *cast = tensor_cast(call->ctx, call->in[2], call->spec[0].dtype);
        p.bias = bias = cast == NULL ? NULL : tensor_contiguous(call->ctx, cast);
        tensor_release(cast);
        done = bias != NULL;
    }
    done = done && product_make(&inner, &p) && product_run(&inner, &p);
    product_clear(&p);
    tensor_release(bias);
    tensor_release(flipped);
    return done;
}

bool linear_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *weight = g->in[1], *dy = g->dy[0];
    if (g->wants[0]) {
        g->dx[0] = s_cast(s, s_matmul(s, dy, weight), g->in_spec[0].dtype);
        if (g->dx[0] == NULL) return false;
    }
    Tensor *rows = g->wants[1] || (g->n_in > 2 && g->wants[2]) ? as_rows(s, dy, &g->out_spec[0]) : NULL;
    if (g->wants[1]) {
        Tensor *product = s_matmul(s, s_transpose(s, rows, 0, 1), as_rows(s, x, &g->in_spec[0]));
        g->dx[1] = s_cast(s, product, g->in_spec[1].dtype);
        if (g->dx[1] == NULL) return false;
    }
    if (g->n_in > 2 && g->wants[2]) {
        g->dx[2] = s_sum_to(s, rows, &g->in_spec[2]);
        if (g->dx[2] == NULL) return false;
    }
    return true;
}
