/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random numbers whose distribution has parameters: bernoulli, gamma, poisson, binomial and multinomial. Parameters
   broadcast with each other and with the shape asked for.
   Rejection takes a varying number of draws, so every element has a stream of its own: its block of the generator, and
   as many attempts of that block as it needs. Invariant: element i depends on seed, counter and i alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"
#include "rng.h"

#define CHUNK 2048            /* elements a task fills */
#define TAU 6.28318530717958647692

typedef struct Stream {
    uint64_t seed, block;
    uint32_t attempt, word[4];
    int left;                 /* words not used yet */
} Stream;

/* Uniform in (0, 1). */
static double next_uniform(Stream *s)
{
    if (s->left == 0) {
        const uint32_t counter[4] = {(uint32_t)s->block, (uint32_t)(s->block >> 32), s->attempt++, 0};
        const uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
        philox4x32(counter, key, s->word);
        s->left = 4;
    }
    s->left -= 2;
    return rng_double(s->word[s->left], s->word[s->left + 1]) + 0x1p-54;
}

static double next_normal(Stream *s)
{
    double radius = sqrt(-2 * log(next_uniform(s)));
    return radius * cos(TAU * next_uniform(s));
}

/* lgamma writes a global. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* ---- distributions ---- */

static double draw_bernoulli(Stream *s, double p, double unused)
{
    (void)unused;
    return next_uniform(s) < p ? 1 : 0;
}

/* Marsaglia and Tsang 2000; shapes below 1 through the one above. */
static double draw_gamma(Stream *s, double shape, double unused)
{
    (void)unused;
    double boost = shape < 1 ? log(next_uniform(s)) / shape : 0;
    double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = next_normal(s), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(next_uniform(s)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v * exp(boost);
    }
}

/* Transformed rejection with a table mountain (Hörmann 1993); small rates by counting up from 0. */
static double draw_poisson(Stream *s, double rate, double unused)
{
    (void)unused;
    if (rate < 10) {
        double u = next_uniform(s), p = exp(-rate), k = 0;
        for (; u > p && p > 0; k++) {
            u -= p;
            p *= rate / (k + 1);
        }
        return k;
    }
    double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b, squeeze = 0.9277 - 3.6224 / (b - 2);
    double scale = log(1.1239 + 1.1328 / (b - 3.4));
    for (;;) {
        double u = next_uniform(s) - 0.5, v = next_uniform(s), us = 0.5 - fabs(u);
        double k = floor((2 * a / us + b) * u + rate + 0.43);
        if (us >= 0.07 && v <= squeeze) return k;
        if (k < 0 || (us < 0.013 && v > us)) continue;
        if (log(v) + scale - log(a / (us * us) + b) <= k * log(rate) - rate - log_gamma(k + 1)) return k;
    }
}

/* The same for p up to a half; n tries of more than a half are n minus those of the rest. */
static double draw_binomial(Stream *s, double n, double p)
{
    double q = p > 0.5 ? 1 - p : p, k = 0;
    if (n * q < 10) {
        double u = next_uniform(s), mass = exp(n * log1p(-q));
        for (; u > mass && k < n; k++) {
            u -= mass;
            mass *= (n - k) / (k + 1) * q / (1 - q);
        }
        return p > 0.5 ? n - k : k;
    }
    double spread = sqrt(n * q * (1 - q)), b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * q;
    double squeeze = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread, odds = log(q / (1 - q));
    double mode = floor((n + 1) * q), top = log_gamma(mode + 1) + log_gamma(n - mode + 1);
    for (;;) {
        double u = next_uniform(s) - 0.5, v = next_uniform(s), us = 0.5 - fabs(u);
        k = floor((2 * a / us + b) * u + n * q + 0.5);
        if (k < 0 || k > n) continue;
        if (us >= 0.07 && v <= squeeze) break;
        double mass = top - log_gamma(k + 1) - log_gamma(n - k + 1) + (k - mode) * odds;
        if (log(v * alpha / (a / (us * us) + b)) <= mass) break;
    }
    return p > 0.5 ? n - k : k;
}

/* ---- filling ---- */

typedef double Draw(Stream *s, double a, double b);

typedef struct Filling {
    uint64_t seed, base;
    Draw *draw;
    Dtype dtype;
    char *out;
    const double *a, *b;      /* for each element; b may be NULL */
    int64_t size;
} Filling;

static void fill_chunk(void *arg, int64_t task)
{
    const Filling *f = arg;
    int64_t end = (task + 1) * CHUNK < f->size ? (task + 1) * CHUNK : f->size;
    for (int64_t i = task * CHUNK; i < end; i++) {
        Stream stream = {.seed = f->seed, .block = f->base + (uint64_t)i};
        double x = f->draw(&stream, f->a[i], f->b != NULL ? f->b[i] : 0);
        if (f->dtype == DTYPE_f32) ((float *)(void *)f->out)[i] = (float)x;
        else ((double *)(void *)f->out)[i] = x;
    }
}

/* The parameter for each element, as dense f64; owned. */
static Tensor *spread(OpCall *call, Tensor *x)
{
    const TensorSpec *spec = &call->spec[0];
    Tensor *all = tensor_new(call->ctx, DTYPE_f64, spec->ndim, spec->shape);
    if (all != NULL && !tensor_assign(call->ctx, all, x)) tensor_slot(&all, NULL);
    return all;
}

static bool fill_with(OpCall *call, Draw *draw)
{
    int64_t size = tensor_size(call->out[0]);
    Tensor *a = spread(call, call->in[0]), *b = a != NULL && call->n_in > 1 ? spread(call, call->in[1]) : NULL;
    bool done = a != NULL && (b != NULL || call->n_in < 2);
    if (done) {
        Filling f = {call->ctx->seed, rng_take(call->ctx, (uint64_t)size), draw, call->spec[0].dtype,
                     call->out[0]->data, (const double *)(const void *)a->data,
                     b != NULL ? (const double *)(const void *)b->data : NULL, size};
        done = pool_run(call->ctx, (size + CHUNK - 1) / CHUNK, fill_chunk, &f);
    }
    tensor_release(a);
    tensor_release(b);
    return done;
}

/* ---- rows ---- */

/* Parameters broadcast together, to the shape in attr[0] if there is one; the dtype is attr[1]. */
static bool shape_parameters(OpCall *call)
{
    TensorSpec all, other, *out = &call->spec[0];
    spec_of(call->in[0], &all);
    if (call->n_in > 1) {
        spec_of(call->in[1], &other);
        if (!shape_broadcast(call, &all, &other, out)) return false;
        all = *out;
    }
    out->dtype = call->attr[1].dtype;
    if (dtype_class(out->dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "the result is floats, not %s", dtype_name(out->dtype));
    if (call->attr[0].ints.count == 0) {
        out->ndim = all.ndim;
        memcpy(out->shape, all.shape, sizeof all.shape);
        return true;
    }
    TensorSpec asked = {.ndim = call->attr[0].ints.count};
    for (int i = 0; i < asked.ndim; i++) {
        asked.shape[i] = call->attr[0].ints.v[i];
        if (asked.shape[i] < 0)
            return op_error(call, ERROR_value, "axis %d cannot have size %lld", i, (long long)asked.shape[i]);
    }
    if (!shape_broadcast(call, &all, &asked, out)) return false;
    if (spec_equal_shape(out, &asked)) return true;
    char has[96], wants[96];
    shape_format(all.ndim, all.shape, has, sizeof has);
    shape_format(asked.ndim, asked.shape, wants, sizeof wants);
    return op_error(call, ERROR_shape, "parameters of shape %s do not fit into %s", has, wants);
}

bool shape_drawn(OpCall *call) { return shape_parameters(call); }

/* Whether every element of a parameter lies in [low, high], low itself only if [closed]. */
static bool check_range(OpCall *call, int input, double low, bool closed, double high, const char *range)
{
    const Tensor *x = call->in[input];
    for (int64_t i = 0, n = tensor_size(x); i < n; i++) {
        double v = tensor_item(x, i);
        if (v >= low && v <= high && (closed || v > low) && !isinf(v)) continue;
        return op_error(call, ERROR_value, "%s must be %s, not %g", op_signature(call->def)->param[input].name, range,
                        v);
    }
    return true;
}

bool bernoulli_run(OpCall *call)
{
    const Tensor *p = call->in[0];
    if (!check_range(call, 0, 0, true, 1, "between 0 and 1")) return false;
    return p->ndim == 0 ? bernoulli_fill(call, tensor_item(p, 0)) : fill_with(call, draw_bernoulli);
}

bool gamma_run(OpCall *call)
{
    return check_range(call, 0, 0, false, HUGE_VAL, "above 0") && fill_with(call, draw_gamma);
}

bool poisson_run(OpCall *call)
{
    return check_range(call, 0, 0, true, 1e15, "0 or more, at most 1e15") && fill_with(call, draw_poisson);
}

bool binomial_run(OpCall *call)
{
    const Tensor *count = call->in[0];
    for (int64_t i = 0, n = tensor_size(count); i < n; i++)
        if (tensor_item(count, i) != floor(tensor_item(count, i)))
            return op_error(call, ERROR_value, "count must be whole numbers, not %g", tensor_item(count, i));
    return check_range(call, 0, 0, true, 1e15, "0 or more, at most 1e15")
        && check_range(call, 1, 0, true, 1, "between 0 and 1") && fill_with(call, draw_binomial);
}

/* ---- multinomial ---- */

bool shape_multinomial(OpCall *call)
{
    int64_t count = call->attr[0].i;
    TensorSpec *out = &call->spec[0];
    spec_of(call->in[0], out);
    if (out->ndim == 0) return op_error(call, ERROR_shape, "weights need an axis of classes");
    if (count < 0) return op_error(call, ERROR_value, "count must be 0 or more, not %lld", (long long)count);
    out->shape[out->ndim - 1] = count;
    out->dtype = DTYPE_i64;
    return true;
}

typedef struct Choice { double key; int64_t index; } Choice;

typedef struct Choosing {
    uint64_t seed, base;
    double *weight;           /* [rows, classes]; running sums when replacing */
    Choice *choice;           /* [rows, classes], when not */
    int64_t *out;             /* [rows, count] */
    int64_t rows, classes, count;
    bool replacement;
} Choosing;

/* Turns weights into running sums; what is wrong with a row is told by the caller. */
static bool sum_row(OpCall *call, Choosing *c, int64_t row)
{
    double *w = c->weight + row * c->classes, sum = 0;
    int64_t possible = 0;
    for (int64_t i = 0; i < c->classes; i++) {
        if (!(w[i] >= 0) || isinf(w[i]))
            return op_error(call, ERROR_value, "weights must be 0 or more, not %g", w[i]);
        possible += w[i] > 0;
        sum += w[i];
        if (c->replacement) w[i] = sum;
    }
    if (c->count > 0 && possible == 0)
        return op_error(call, ERROR_value, "all weights of row %lld are 0", (long long)row);
    if (!c->replacement && c->count > possible) {
        op_error(call, ERROR_value, "%lld different classes of %lld whose weight is not 0", (long long)c->count,
                 (long long)possible);
        error_hint(&call->ctx->error, "replacement=true may take a class again");
        return false;
    }
    return true;
}

static int64_t find_sum(const double *sums, int64_t n, double at)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {                   /* the first sum above */
        int64_t middle = (low + high) / 2;
        if (sums[middle] > at) high = middle;
        else low = middle + 1;
    }
    while (low > 0 && sums[low - 1] == sums[low]) low--;    /* rounding: never a class of weight 0 */
    return low;
}

static int by_key(const void *x, const void *y)
{
    const Choice *a = x, *b = y;
    return a->key != b->key ? (a->key < b->key ? -1 : 1) : (a->index > b->index) - (a->index < b->index);
}

/* Without replacement: exponential arrival times by weight; the first ones to come are the choice. */
static void choose_row(void *arg, int64_t row)
{
    const Choosing *c = arg;
    const double *w = c->weight + row * c->classes;
    int64_t *out = c->out + row * c->count, blocks = c->replacement ? c->count : c->classes;
    Choice *choice = c->replacement ? NULL : c->choice + row * c->classes;
    for (int64_t i = 0; i < blocks; i++) {
        Stream stream = {.seed = c->seed, .block = c->base + (uint64_t)(row * blocks + i)};
        double u = next_uniform(&stream);
        if (c->replacement) out[i] = find_sum(w, c->classes, u * w[c->classes - 1]);
        else choice[i] = (Choice){w[i] > 0 ? -log(u) / w[i] : HUGE_VAL, i};
    }
    if (c->replacement) return;
    qsort(choice, (size_t)c->classes, sizeof *choice, by_key);
    for (int64_t i = 0; i < c->count; i++) out[i] = choice[i].index;
}

bool multinomial_run(OpCall *call)
{
    Tensor *x = call->in[0], *all = tensor_new(call->ctx, DTYPE_f64, x->ndim, x->shape);
    if (all == NULL) return false;
    Choosing c = {.seed = call->ctx->seed, .classes = x->shape[x->ndim - 1], .count = call->attr[0].i,
                  .replacement = call->attr[1].b, .out = (int64_t *)(void *)call->out[0]->data,
                  .weight = (double *)(void *)all->data};
    bool done = tensor_assign(call->ctx, all, x);
    c.rows = 1;
    for (int i = 0; i < x->ndim - 1; i++) c.rows *= x->shape[i];
    if (done && !c.replacement && tensor_size(all) > 0) {
        c.choice = scratch_take(&call->ctx->error, (size_t)tensor_size(all) * sizeof *c.choice);
        done = c.choice != NULL;
    }
    for (int64_t row = 0; done && row < c.rows; row++) done = sum_row(call, &c, row);
    if (done && c.count > 0) {
        c.base = rng_take(call->ctx, (uint64_t)(c.rows * (c.replacement ? c.count : c.classes)));
        done = pool_run(call->ctx, c.rows, choose_row, &c);
    }
    scratch_release(c.choice);
    tensor_release(all);
    return done;
}
