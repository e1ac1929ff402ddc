/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What random rows draw: the right range, mean and spread, the same numbers for the same seed and any number of
   threads, others for other seeds and for the next call, and dropout that keeps what it promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../../tensor/random.h"
#include "../../tensor/rng.h"
#include "../tap.h"

#define N 200000

static TensorContext ctx;

static Tensor *draw(const char *name, int n_in, Tensor *const *in, const Attr *attr)
{
    Tensor *out[OP_MAX_OUT];
    int n = 0;
    if (!op_call(&ctx, op_find(name), n_in, in, attr, out, &n)) {
        tap_ok(false, "%s: %s", name, ctx.error.message);
        error_clear(&ctx.error);
        return NULL;
    }
    return out[0];
}

typedef struct Moments {
    double least, most, mean, variance, third, neighbours;
} Moments;

static Moments moments_of(const Tensor *t)
{
    Moments m = {.least = HUGE_VAL, .most = -HUGE_VAL};
    int64_t n = tensor_size(t);
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_item(t, i);
        m.least = fmin(m.least, x);
        m.most = fmax(m.most, x);
        m.mean += x / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_item(t, i) - m.mean;
        m.variance += x * x / (double)n;
        m.third += x * x * x / (double)n;
        m.neighbours += i ? x * (tensor_item(t, i - 1) - m.mean) / (double)n : 0;
    }
    return m;
}

/* Seven standard errors: a right generator fails once in 10^11. */
static void check(const char *what, const Tensor *t, double mean, double variance, double least, double most)
{
    if (!t)
        return;
    Moments m = moments_of(t);
    double error = 7 / sqrt((double)tensor_size(t)), deviation = sqrt(variance);
    if (!tap_ok(fabs(m.mean - mean) <= error * deviation && fabs(m.variance - variance) <= 2 * error * variance
                && fabs(m.third) <= 5 * error * deviation * variance && fabs(m.neighbours) <= error * variance
                && m.least >= least && m.most <= most, "%s has its range, mean, spread, symmetry and no memory", what))
        tap_note("mean %g, variance %g, third moment %g, neighbours %g, from %g to %g", m.mean, m.variance, m.third,
                 m.neighbours, m.least, m.most);
}

static void test_distributions(void)
{
    static const int64_t shape[] = {N};
    for (int wide = 0; wide < 2; wide++) {
        Attr type = attr_dtype(wide ? DTYPE_f64 : DTYPE_f32), size = attr_ints(1, shape);
        Tensor *t = draw("rand", 0, NULL, (Attr[]){size, type});
        check(wide ? "rand f64" : "rand", t, 0.5, 1.0 / 12, 0, nextafter(1, 0));
        tensor_release(t);
        t = draw("randn", 0, NULL, (Attr[]){size, type});
        check(wide ? "randn f64" : "randn", t, 0, 1, -7, 7);
        Moments m = moments_of(t);
        tap_ok(m.most > 3.8 && m.least < -3.8, "randn has tails");
        tensor_release(t);
        t = draw("uniform", 0, NULL, (Attr[]){attr_num(-2), attr_num(6), size, type});
        check(wide ? "uniform f64" : "uniform", t, 2, 64.0 / 12, -2, nextafter(6, 0));
        tensor_release(t);
        Tensor *half = tensor_weak(&ctx, true, 0.5, 0);
        t = draw("bernoulli", 1, &half, (Attr[]){size, type});
        check(wide ? "bernoulli f64" : "bernoulli", t, 0.5, 0.25, 0, 1);
        tensor_release(t);
        tensor_release(half);
    }
    Tensor *t = draw("randint", 0, NULL, (Attr[]){attr_int(-3), attr_int(4), attr_ints(1, shape)});
    check("randint", t, 0, 4, -3, 3);
    tensor_release(t);
    Tensor *tenth = tensor_weak(&ctx, true, 0.1, 0);
    t = draw("bernoulli", 1, &tenth, (Attr[]){attr_ints(1, shape), attr_dtype(DTYPE_f32)});
    tap_ok(fabs(moments_of(t).mean - 0.1) < 7 * 0.3 / sqrt(N), "bernoulli(0.1) is one in ten");
    tensor_release(t);
    tensor_release(tenth);
}

/* Mean and variance over the methods' ranges, in seven standard errors of each; [kurtosis] beyond the normal one. */
static void check_drawn(const char *name, double first, double second, double mean, double variance, double kurtosis)
{
    static const int64_t shape[] = {N};
    Tensor *in[2] = {tensor_weak(&ctx, true, first, 0), tensor_weak(&ctx, true, second, 0)};
    int count = strcmp(name, "binomial") == 0 ? 2 : 1;
    Tensor *t = draw(name, count, in, (Attr[]){attr_ints(1, shape), attr_dtype(DTYPE_f64)});
    Moments m = moments_of(t);
    double error = 7 / sqrt(N), spread = error * variance * sqrt(2 + kurtosis);
    if (!tap_ok(fabs(m.mean - mean) <= error * sqrt(variance) && fabs(m.variance - variance) <= spread && m.least >= 0
                && fabs(m.neighbours) <= error * variance, "%s(%g, %g) has its mean and variance", name, first, second))
        tap_note("mean %g, variance %g, neighbours %g, least %g", m.mean, m.variance, m.neighbours, m.least);
    tensor_release(t);
    tensor_release(in[0]);
    tensor_release(in[1]);
}

static void test_parameters(void)
{
    static const double shapes[] = {0.05, 0.5, 1, 2.5, 40, 1e6}, rates[] = {0.01, 3, 9.9, 10, 57.5, 1e6};
    static const double tries[][2] = {{5, 0.3}, {30, 0.01}, {40, 0.5}, {1000, 0.7}, {1000, 0.999}, {1e6, 0.2}};
    for (int i = 0; i < 6; i++) {
        check_drawn("gamma", shapes[i], 0, shapes[i], shapes[i], 6 / shapes[i]);
        check_drawn("poisson", rates[i], 0, rates[i], rates[i], 1 / rates[i]);
        double n = tries[i][0], p = tries[i][1], variance = n * p * (1 - p);
        check_drawn("binomial", n, p, n * p, variance, 1 / variance);
    }
}

/* 100,000 draws of three classes of four, by weights; and of two different ones at once. */
static void test_multinomial(void)
{
    enum { COUNT = 100000 };
    static const double weight[4] = {1, 0, 2, 5};
    double seen[4] = {0}, pairs = 0;
    Tensor *w = tensor_new(&ctx, DTYPE_f64, 1, (int64_t[]){4});
    for (int i = 0; i < 4; i++)
        tensor_store(w, i, weight[i]);
    Tensor *t = draw("multinomial", 1, &w, (Attr[]){attr_int(COUNT), attr_bool(true)});
    for (int64_t i = 0; i < COUNT; i++)
        seen[tensor_item_int(t, i)]++;
    double chi = 0;
    for (int i = 0; i < 4; i++)
        if (weight[i] > 0)
            chi += pow(seen[i] - COUNT * weight[i] / 8, 2) / (COUNT * weight[i] / 8);
    tap_ok(seen[1] == 0 && chi < 20, "multinomial draws by weight, chi-squared %.1f", chi);
    tensor_release(t);
    Tensor *many = tensor_new(&ctx, DTYPE_f64, 2, (int64_t[]){COUNT, 4});
    tensor_assign(&ctx, many, w);
    t = draw("multinomial", 1, &many, (Attr[]){attr_int(2), attr_bool(false)});
    bool different = true;
    for (int64_t i = 0; i < COUNT; i++) {
        int64_t a = tensor_item_int(t, 2 * i), b = tensor_item_int(t, 2 * i + 1);
        different = different && a != b && a != 1 && b != 1;
        pairs += a == 3 && b == 2;
    }
    double expected = 5.0 / 8 * 2 / 3;
    tap_ok(different && fabs(pairs / COUNT - expected) < 7 * sqrt(expected * (1 - expected) / COUNT),
           "without replacement no class comes twice, and the order follows the weights");
    tensor_release(t);
    tensor_release(many);
    tensor_release(w);
}

static void test_permutation(void)
{
    enum { COUNT = 5000 };
    static int64_t fixed;
    static bool seen[COUNT];
    Tensor *t = draw("randperm", 0, NULL, (Attr[]){attr_int(COUNT)});
    bool whole = true;
    for (int64_t i = 0; i < COUNT; i++) {
        int64_t x = tensor_item_int(t, i);
        whole = whole && x >= 0 && x < COUNT && !seen[x];
        if (whole)
            seen[x] = true;
        fixed += x == i;
    }
    tap_ok(whole, "randperm is a permutation");
    tap_ok(fixed < 12, "and moves almost everything");
    tensor_release(t);
}

static void test_dropout(void)
{
    static const int64_t shape[] = {400, 500};
    Tensor *x = tensor_new(&ctx, DTYPE_f32, 2, shape);
    for (int64_t i = 0; i < N; i++)
        tensor_store(x, i, 1 + (double)(i % 7));
    Tensor *y = draw("dropout", 1, (Tensor *[]){x}, (Attr[]){attr_num(0.25)});
    int64_t zeros = 0;
    bool right = true;
    for (int64_t i = 0; i < N; i++) {
        double got = tensor_item(y, i);
        zeros += got == 0;
        right = right && (got == 0 || fabs(got - tensor_item(x, i) / 0.75) < 1e-5);
    }
    tap_ok(right && fabs((double)zeros / N - 0.25) < 7 * sqrt(0.25 * 0.75 / N), "dropout zeroes p and scales the rest");
    tensor_release(y);
    tensor_release(x);
}

static void test_seeds(void)
{
    static const int64_t shape[] = {N};
    Attr attr[] = {attr_ints(1, shape), attr_dtype(DTYPE_f32)};
    Tensor *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        runtime_set_threads(threads);
        ctx.seed = 7;
        ctx.counter = 0;
        Tensor *t = draw("randn", 0, NULL, attr);
        tap_ok(t && (!first || tensor_same(first, t)), "the same seed gives the same numbers on %d threads", threads);
        if (first)
            tensor_release(t);
        else
            first = t;
    }
    runtime_set_threads(0);
    Tensor *next = draw("randn", 0, NULL, attr);
    tap_ok(next && !tensor_same(first, next), "the next call gives others");
    tensor_release(next);
    ctx.seed = 8;
    ctx.counter = 0;
    next = draw("randn", 0, NULL, attr);
    tap_ok(next && !tensor_same(first, next), "another seed gives others");
    tensor_release(next);
    tensor_release(first);
}

/* ---- the kernels of every instruction set that this machine runs ---- */

#define WORDS 4096

/* The same words as the generator's definition, over the counter's carry too; no more written than asked for. */
static void test_blocks(const RandomKernels *k)
{
    static uint32_t words[WORDS + 4];
    static const uint64_t firsts[] = {0, 0xfffffff0u, UINT64_MAX - 5, 0x123456789abcdefu};
    bool same = true;
    for (int i = 0; i < 4; i++)
        for (int64_t n = 1; n < 40 || n == WORDS / 4; n = n == 39 ? WORDS / 4 : n + 1) {
            memset(words, 0xa5, sizeof words);
            k->blocks(n, 0xfedcba9876543210u, firsts[i], words);
            for (int64_t b = 0; b < n; b++) {
                uint32_t want[4];
                rng_block(0xfedcba9876543210u, firsts[i] + (uint64_t)b, want);
                same = same && memcmp(want, words + 4 * b, sizeof want) == 0;
            }
            same = same && words[4 * n] == 0xa5a5a5a5u;
        }
    tap_ok(same, "%s: the generator's blocks", k->isa);
}

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

typedef struct Normals {
    int64_t pairs, off;       /* pairs that are not what libm's doubles, rounded, give */
    double worst;             /* distance from the exact pair in units of the radius times 2^-24 */
    uint64_t sum;             /* of all bits, weighted by their place */
} Normals;

static void look_at(Normals *all, const uint32_t *words, const float *out)
{
    float x = ((float)words[0] + 1) * 0x1p-32f, angle = (float)words[1] * (float)(6.28318530717958647692 * 0x1p-32);
    double a = (double)angle, exact = sqrt(-2 * log((double)x));
    float radius = sqrtf(-2 * (float)log((double)x)), want[2] = {radius * (float)cos(a), radius * (float)sin(a)};
    double apart = fmax(fabs((double)out[0] - exact * cos(a)), fabs((double)out[1] - exact * sin(a)));
    all->pairs++;
    all->off += want[0] != out[0] || want[1] != out[1];
    if (!(apart <= 0)) all->worst = fmax(all->worst, apart / (exact * 0x1p-24));
    all->sum = all->sum * 31 + float_bits(out[0]) * (uint64_t)3 + float_bits(out[1]);
}

/* Pairs of words over the whole range of each, the ends included. */
static void test_normals(const RandomKernels *k, Normals *first)
{
    static uint32_t words[2 * WORDS];
    static float out[2 * WORDS];
    Normals all = {0};
    uint32_t state = 1, ends[] = {0, 1, 2, 0x7fffffffu, 0x80000000u, 0xffffff7fu, 0xffffff80u, 0xffffffffu};
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 2 * WORDS; i++) {
            state = state * 1664525u + 1013904223u;
            words[i] = round == 0 ? ends[i / 2 % 8 * (1 - i % 2) + i / 16 % 8 * (i % 2)]
                     : round < 33 ? state >> (round - 1) : round < 65 ? ~(state >> (round - 33)) : state;
        }
        k->normal(WORDS, words, out);
        for (int i = 0; i < WORDS; i++) look_at(&all, words + 2 * i, out + 2 * i);
    }
    tap_ok(all.worst < 4, "%s: normal numbers are near the exact ones (%.2f of the radius' last place)", k->isa,
           all.worst);
    tap_ok(all.off * 1000 < all.pairs, "%s: and mostly the nearest (%lld of %lld are not)", k->isa, (long long)all.off,
           (long long)all.pairs);
    if (first->pairs == 0) *first = all;
    tap_ok(all.sum == first->sum, "%s: with the same bits as those of the first kernels", k->isa);
}

static void test_uniforms(const RandomKernels *k)
{
    uint32_t words[] = {0, 1, 0xff, 0x100, 0x7fffffffu, 0x80000000u, 0xffffff00u, 0xffffffffu, 0x33333333u,
                        0x33333334u};
    enum { COUNT = sizeof words / sizeof words[0] };
    float out[COUNT];
    bool right = true;
    k->uniform(COUNT, words, -1, 3, out);
    for (int i = 0; i < COUNT; i++) right = right && out[i] == -1 + 4 * rng_float(words[i]) && out[i] < 3;
    k->uniform(COUNT, words, 16777215, 16777216, out);
    for (int i = 0; i < COUNT; i++) right = right && out[i] == 16777215;
    tap_ok(right, "%s: uniform numbers over the range, its end left out", k->isa);
    static const double p[] = {0, 0x1p-32, 0.2, 0.5, 1 - 0x1p-33, 1, 0x33333334p-32, 0x33333333p-32};
    for (size_t j = 0; j < sizeof p / sizeof p[0]; j++) {
        k->bernoulli(COUNT, words, p[j], out);
        for (int i = 0; i < COUNT; i++) right = right && out[i] == ((double)words[i] * 0x1p-32 < p[j] ? 1 : 0);
    }
    tap_ok(right, "%s: ones where the word is below the probability", k->isa);
}

static void test_kernels(const RandomKernels *k, Normals *first)
{
    test_blocks(k);
    test_normals(k, first);
    test_uniforms(k);
}

#ifdef KERNELS_X86
extern const RandomKernels kernels_random_sse2, kernels_random_avx2, kernels_random_avx512;
#endif

static void test_instruction_sets(void)
{
    Normals first = {0};
#ifdef KERNELS_X86
    test_kernels(&kernels_random_sse2, &first);
    if (cpu_detected() >= CPU_AVX2) test_kernels(&kernels_random_avx2, &first);
    if (cpu_detected() >= CPU_AVX512) test_kernels(&kernels_random_avx512, &first);
#else
    test_kernels(random_kernels(), &first);
#endif
}

/* Whatever the size, a number depends on its place alone. */
static void test_sizes(void)
{
    static const char *const names[] = {"rand", "randn"};
    static const int64_t all[] = {40000};
    bool same = true;
    for (int i = 0; i < 4; i++) {
        Attr type = attr_dtype(i / 2 ? DTYPE_f64 : DTYPE_f32);
        ctx.counter = 0;
        Tensor *whole = draw(names[i % 2], 0, NULL, (Attr[]){attr_ints(1, all), type});
        for (int64_t n = 0; n < 40000 && same; n = n < 9 ? n + 1 : 3 * n + 1) {
            ctx.counter = 0;
            Tensor *part = draw(names[i % 2], 0, NULL, (Attr[]){attr_ints(1, &n), type});
            same = memcmp(part->data, whole->data, (size_t)n * dtype_size(type.dtype)) == 0;
            tensor_release(part);
        }
        tensor_release(whole);
    }
    tap_ok(same, "few numbers are the first of many");
}

int main(void)
{
    tensor_context_init(&ctx, NULL);
    ctx.seed = 1;
    test_instruction_sets();
    test_sizes();
    test_distributions();
    test_parameters();
    test_multinomial();
    test_permutation();
    test_dropout();
    test_seeds();
    tap_ok(runtime_live_tensors() == 0, "no tensor is left");
    return tap_end();
}
