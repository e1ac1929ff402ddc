/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ops that make tensors from numbers alone: constants, ranges and everything random. The generator itself is rng.h.

   Invariant: element i of a random tensor depends only on the seed, the counter before the call and i; how the work is
   cut into tasks and how many threads run them cannot be seen in the result. */
#include <math.h>
#include <string.h>

#include "op.h"
#include "random.h"
#include "rng.h"

#define TAU 6.28318530717958647692
#define CHUNK 16384           /* elements a task fills; a multiple of what one block of the generator gives */
#define BLOCKS 256            /* of the generator, computed at once */

/* ---- shape rules: attr[at] is the shape, attr[at + 1] the dtype ---- */

static bool spec_from(OpCall *call, const Attr *shape, Dtype dtype)
{
    TensorSpec *spec = &call->spec[0];
    spec->dtype = dtype;
    spec->ndim = shape->ints.count;
    for (int d = 0; d < spec->ndim; d++) {
        spec->shape[d] = shape->ints.v[d];
        if (spec->shape[d] < 0)
            return op_error(call, ERROR_value, "axis %d cannot have size %lld", d, (long long)spec->shape[d]);
    }
    return true;
}

static bool spec_floats(OpCall *call, const Attr *shape, Dtype dtype)
{
    if (dtype_class(dtype) == CLASS_FLOAT) return spec_from(call, shape, dtype);
    return op_error(call, ERROR_dtype, "the result is floats, not %s", dtype_name(dtype));
}

bool shape_create(OpCall *call) { return spec_from(call, &call->attr[0], call->attr[1].dtype); }
bool shape_full(OpCall *call) { return spec_from(call, &call->attr[0], call->attr[2].dtype); }
bool shape_random(OpCall *call) { return spec_floats(call, &call->attr[0], call->attr[1].dtype); }
bool shape_uniform(OpCall *call) { return spec_floats(call, &call->attr[2], call->attr[3].dtype); }

static bool spec_vector(OpCall *call, int64_t count, Dtype dtype)
{
    Attr shape = attr_ints(1, &count);
    return spec_from(call, &shape, dtype);
}

/* ---- constants ---- */

static bool fill(OpCall *call, double value)
{
    Tensor *number = tensor_scalar(call->ctx, (Dtype)call->out[0]->dtype, value);
    bool done = number != NULL && tensor_assign(call->ctx, call->out[0], number);
    tensor_release(number);
    return done;
}

#define CLEARED ((size_t)1 << 22)   /* bytes a task: pages are made by all threads, and interrupts looked at between */

typedef struct Clearing { char *at; size_t bytes; } Clearing;

static void clear_part(void *arg, int64_t task)
{
    const Clearing *c = arg;
    size_t start = (size_t)task * CLEARED, left = c->bytes - start;
    memset(c->at + start, 0, left < CLEARED ? left : CLEARED);
}

bool zeros_run(OpCall *call)
{
    Tensor *out = call->out[0];
    Clearing c = {out->data, (size_t)tensor_size(out) * dtype_size((Dtype)out->dtype)};
    return pool_run(call->ctx, (int64_t)((c.bytes + CLEARED - 1) / CLEARED), clear_part, &c);
}

bool ones_run(OpCall *call) { return fill(call, 1); }
bool full_run(OpCall *call) { return fill(call, call->attr[1].num); }

bool shape_eye(OpCall *call)
{
    int64_t shape[2] = {call->attr[0].i, call->attr[1].none ? call->attr[0].i : call->attr[1].i};
    Attr square = attr_ints(2, shape);
    return spec_from(call, &square, call->attr[2].dtype);
}

bool eye_run(OpCall *call)
{
    Tensor *out = call->out[0];
    int64_t rows = out->shape[0], columns = out->shape[1];
    if (!zeros_run(call)) return false;
    for (int64_t i = 0; i < rows && i < columns; i++) tensor_store_int(out, i * columns + i, 1);
    return true;
}

/* ---- ranges ---- */

typedef struct Run { double start, stop, step; } Run;

static Run run_of(const OpCall *call)
{
    Run run = {call->attr[0].num, call->attr[1].num, call->attr[2].num};
    if (call->attr[1].none) run = (Run){0, call->attr[0].num, call->attr[2].num};
    return run;
}

bool shape_arange(OpCall *call)
{
    Run run = run_of(call);
    const Attr *attr = call->attr;
    bool whole = attr[0].whole && (attr[1].none || attr[1].whole) && attr[2].whole;
    double count = ceil((run.stop - run.start) / run.step);
    if (run.step == 0) return op_error(call, ERROR_value, "step cannot be 0");
    if (!(count < 9e15))
        return op_error(call, ERROR_value, "there is no end from %g to %g by %g", run.start, run.stop, run.step);
    Dtype dtype = !call->attr[3].none ? call->attr[3].dtype : whole ? DTYPE_i64 : DTYPE_f32;
    return spec_vector(call, count > 0 ? (int64_t)count : 0, dtype);
}

bool arange_run(OpCall *call)
{
    Run run = run_of(call);
    Tensor *out = call->out[0];
    int64_t count = tensor_size(out);
    if (out->dtype == DTYPE_i64 && run.start == floor(run.start) && run.step == floor(run.step)) {
        int64_t *to = (int64_t *)(void *)out->data;
        for (int64_t i = 0; i < count; i++) to[i] = (int64_t)run.start + i * (int64_t)run.step;
    } else {
        for (int64_t i = 0; i < count; i++) tensor_store(out, i, run.start + (double)i * run.step);
    }
    return true;
}

bool shape_linspace(OpCall *call) { return spec_vector(call, call->attr[2].i, call->attr[3].dtype); }

bool linspace_run(OpCall *call)
{
    double start = call->attr[0].num, stop = call->attr[1].num;
    int64_t count = call->attr[2].i;
    for (int64_t i = 0; i < count; i++) {
        double part = count > 1 ? (double)i / (double)(count - 1) : 0;
        tensor_store(call->out[0], i, i == count - 1 && i > 0 ? stop : start + (stop - start) * part);
    }
    return true;
}

/* ---- random numbers ---- */

typedef struct RandomJob {
    uint64_t key, base;       /* of the generator */
    int64_t size, bytes;      /* elements, and of each */
    char *data;
    void (*kind)(const struct RandomJob *job, int64_t n, const uint32_t *words, void *out);
    int per_block;            /* elements that come from one block of 128 bits */
    double low, high;         /* or the probability in [low] */
    uint64_t first, range;    /* of whole numbers */
} RandomJob;

typedef void RandomKind(const RandomJob *job, int64_t n, const uint32_t *words, void *out);
static void fill_task(void *arg, int64_t task);

static bool random_fill(OpCall *call, int per_block, RandomKind *kind, double low, double high)
{
    Tensor *out = call->out[0];
    int64_t size = tensor_size(out);
    uint64_t blocks = ((uint64_t)size + (uint64_t)per_block - 1) / (uint64_t)per_block;
    RandomJob job = {.key = call->ctx->seed, .base = rng_take(call->ctx, blocks), .size = size,
                     .bytes = (int64_t)dtype_size((Dtype)out->dtype), .data = out->data, .kind = kind,
                     .per_block = per_block, .low = low, .high = high};
    if (call->spec[0].dtype == DTYPE_i64) {
        job.first = (uint64_t)call->attr[0].i;
        job.range = (uint64_t)call->attr[1].i - job.first;
    }
    return pool_run(call->ctx, (size + CHUNK - 1) / CHUNK, fill_task, &job);
}

/* A whole number below [range], from 64 random bits by their high product. */
static inline uint64_t below(uint64_t range, uint32_t a, uint32_t b)
{
    uint64_t bits = (uint64_t)a << 32 | b, low = (bits & UINT32_MAX) * (range & UINT32_MAX) >> 32;
    uint64_t cross = (bits >> 32) * (range & UINT32_MAX) + low;
    uint64_t other = (bits & UINT32_MAX) * (range >> 32) + (cross & UINT32_MAX);
    return (bits >> 32) * (range >> 32) + (cross >> 32) + (other >> 32);
}

/* ---- what the words of some blocks give of each kind: [n] numbers; more may be written, up to whole blocks ---- */

static void uniform_floats(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    random_kernels()->uniform(n, words, (float)job->low, (float)job->high, out);
}

static void uniform_doubles(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    double *to = out;
    for (int64_t i = 0; i < n; i++) {
        double x = job->low + (job->high - job->low) * rng_double(words[2 * i], words[2 * i + 1]);
        to[i] = x >= job->high && job->low < job->high ? nextafter(job->high, job->low) : x;
    }
}

static void bernoulli_floats(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    random_kernels()->bernoulli(n, words, job->low, out);
}

static void bernoulli_doubles(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    double *to = out;
    for (int64_t i = 0; i < n; i++) to[i] = (double)words[i] * 0x1p-32 < job->low ? 1 : 0;
}

static void normal_floats(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    (void)job;
    random_kernels()->normal((n + 1) / 2, words, out);
}

/* Pairs from pairs of uniform numbers (Box and Muller 1958). */
static void normal_doubles(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    double *to = out;
    (void)job;
    for (int64_t i = 0; i < n; i += 2, words += 4) {
        double radius = sqrt(-2 * log(1 - rng_double(words[0], words[1])));
        double angle = TAU * rng_double(words[2], words[3]);
        to[i] = radius * cos(angle);
        to[i + 1] = radius * sin(angle);
    }
}

static void whole_numbers(const RandomJob *job, int64_t n, const uint32_t *words, void *out)
{
    int64_t *to = out;
    for (int64_t i = 0; i < n; i++) to[i] = (int64_t)(job->first + below(job->range, words[2 * i], words[2 * i + 1]));
}

/* A chunk, some blocks at a time; the last one's elements that nobody asked for end beside it. */
static void fill_task(void *arg, int64_t task)
{
    const RandomJob *job = arg;
    uint32_t words[4 * BLOCKS];
    _Alignas(64) char beside[4 * BLOCKS * 8];
    int64_t end = (task + 1) * CHUNK < job->size ? (task + 1) * CHUNK : job->size, most = BLOCKS * job->per_block;
    for (int64_t at = task * CHUNK; at < end; at += most) {
        int64_t n = end - at < most ? end - at : most, blocks = (n + job->per_block - 1) / job->per_block;
        char *to = job->data + at * job->bytes;
        random_kernels()->blocks(blocks, job->key, job->base + (uint64_t)(at / job->per_block), words);
        bool whole = n == blocks * job->per_block;
        job->kind(job, n, words, whole ? to : beside);
        if (!whole) memcpy(to, beside, (size_t)(n * job->bytes));
    }
}

static bool uniform_fill(OpCall *call, double low, double high)
{
    if (call->spec[0].dtype == DTYPE_f32) return random_fill(call, 4, uniform_floats, low, high);
    return random_fill(call, 2, uniform_doubles, low, high);
}

bool rand_run(OpCall *call) { return uniform_fill(call, 0, 1); }
bool uniform_run(OpCall *call) { return uniform_fill(call, call->attr[0].num, call->attr[1].num); }

bool randn_run(OpCall *call)
{
    if (call->spec[0].dtype == DTYPE_f32) return random_fill(call, 4, normal_floats, 0, 0);
    return random_fill(call, 2, normal_doubles, 0, 0);
}

bool bernoulli_fill(OpCall *call, double p)
{
    if (call->spec[0].dtype == DTYPE_f32) return random_fill(call, 4, bernoulli_floats, p, 0);
    return random_fill(call, 4, bernoulli_doubles, p, 0);
}

bool shape_randint(OpCall *call)
{
    if (call->attr[0].i < call->attr[1].i) return spec_from(call, &call->attr[2], DTYPE_i64);
    return op_error(call, ERROR_value, "there is no int from %lld to below %lld", (long long)call->attr[0].i,
                    (long long)call->attr[1].i);
}

bool randint_run(OpCall *call)
{
    return random_fill(call, 2, whole_numbers, 0, 0);
}

bool shape_randperm(OpCall *call) { return spec_vector(call, call->attr[0].i, DTYPE_i64); }

bool randperm_run(OpCall *call)
{
    int64_t *to = (int64_t *)(void *)call->out[0]->data, size = tensor_size(call->out[0]);
    uint64_t base = rng_take(call->ctx, ((uint64_t)size + 1) / 2);
    uint32_t words[4 * BLOCKS];
    for (int64_t i = 0; i < size; i++) {              /* the inside-out shuffle */
        int64_t left = (size - i + 1) / 2, at = i % (2 * BLOCKS);
        if (at == 0)
            random_kernels()->blocks(left < BLOCKS ? left : BLOCKS, call->ctx->seed, base + (uint64_t)i / 2, words);
        int64_t j = (int64_t)below((uint64_t)i + 1, words[2 * at], words[2 * at + 1]);
        to[i] = to[j];
        to[j] = i;
        if ((i & 0xFFFFF) == 0xFFFFF && tensor_interrupted(call->ctx)) return false;
    }
    return true;
}

bool dropout_run(OpCall *call)
{
    Tensor *x = call->in[0];
    double p = call->attr[0].num;
    if (!(p >= 0 && p <= 1)) return op_error(call, ERROR_value, "p must lie between 0 and 1, not %g", p);
    if (dtype_class((Dtype)x->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "x must be floats, not %s", dtype_name((Dtype)x->dtype));
    Scope s;
    scope_init(&s, call->ctx);
    Attr attr[2] = {attr_ints(x->ndim, x->shape), attr_dtype((Dtype)x->dtype)};
    Tensor *keep = s_const(&s, 1 - p), *kept = keep != NULL ? s_op(&s, OP_bernoulli, 1, &keep, attr, 0) : NULL;
    call->out[0] = tensor_retain(s_mul(&s, x, s_scale(&s, kept, p < 1 ? 1 / (1 - p) : 0)));
    scope_clear(&s);
    return call->out[0] != NULL;
}
