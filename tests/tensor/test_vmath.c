/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The vector mathematics of every set of kernels that this machine runs, against libm in f64: over all of f32 in steps,
   and at the special values. The bounds are those that tensor/vmath.h states. */
#include <math.h>
#include <string.h>

#include "../../tensor/kernels.h"
#include "../../tensor/special.h"
#include "../tap.h"

#define BLOCK 4096
#define STEP 12007u           /* between the bit patterns tried; odd, so that all low bits occur */

typedef struct Function {
    const char *name;
    UnaryRow row;
    double (*reference)(double x);
    double bound;             /* in units in the last place */
    float largest;            /* |x| tried */
} Function;

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static double ndtr(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static double i0(double x) { return isinf(x) ? (double)INFINITY : exp(fabs(x)) * special_i0e(x); }

static const Function functions[] = {
    { "exp", UNARY_exp, exp, 2.0, INFINITY },       { "expm1", UNARY_expm1, expm1, 4.0, INFINITY },
    { "log", UNARY_log, log, 2.0, INFINITY },       { "log2", UNARY_log2, log2, 2.0, INFINITY },
    { "log1p", UNARY_log1p, log1p, 4.0, INFINITY }, { "tanh", UNARY_tanh, tanh, 4.0, INFINITY },
    { "sigmoid", UNARY_sigmoid, sigmoid, 4.0, INFINITY }, { "erf", UNARY_erf, erf, 4.0, INFINITY },
    { "sin", UNARY_sin, sin, 4.0, 134217728.0f },   { "cos", UNARY_cos, cos, 4.0, 134217728.0f },
    { "tan", UNARY_tan, tan, 4.0, 134217728.0f },
    { "sinh", UNARY_sinh, sinh, 4.0, INFINITY },    { "cosh", UNARY_cosh, cosh, 4.0, INFINITY },
    { "asin", UNARY_asin, asin, 4.0, INFINITY },    { "acos", UNARY_acos, acos, 4.0, INFINITY },
    { "atan", UNARY_atan, atan, 4.0, INFINITY },    { "asinh", UNARY_asinh, asinh, 4.0, INFINITY },
    { "acosh", UNARY_acosh, acosh, 4.0, INFINITY }, { "atanh", UNARY_atanh, atanh, 4.0, INFINITY },
    { "exp2", UNARY_exp2, exp2, 2.0, INFINITY },    { "log10", UNARY_log10, log10, 2.0, INFINITY },
    { "cbrt", UNARY_cbrt, cbrt, 2.0, INFINITY },    { "erfc", UNARY_erfc, erfc, 2.0, INFINITY },
    { "lgamma", UNARY_lgamma, lgamma, 2.0, INFINITY }, { "ndtr", UNARY_ndtr, ndtr, 2.0, INFINITY },
    /* what these are in f64, tests/tensor/test_special.c checks */
    { "erfinv", UNARY_erfinv, special_erfinv, 2.0, INFINITY }, { "ndtri", UNARY_ndtri, special_ndtri, 2.0, INFINITY },
    { "log_ndtr", UNARY_log_ndtr, special_log_ndtr, 2.0, INFINITY },
    { "digamma", UNARY_digamma, special_digamma, 2.0, INFINITY }, { "i0", UNARY_i0, i0, 2.0, INFINITY },
    { "i0e", UNARY_i0e, special_i0e, 2.0, INFINITY }, { "i1e", UNARY_i1e, special_i1e, 2.0, INFINITY },
};

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The distance in units of the last place of [want] as an f32 (of the smallest normal where it is denormal). */
static double distance(float got, double want)
{
    float rounded = (float)want;
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0.0 : 1e9;
    if (isinf(rounded) || isinf(got)) return got == rounded ? 0.0 : fabs(want) > 3.402823e38 ? 1.0 : 1e9;
    int exponent;
    frexp(fabs(want) < 1.1754943508222875e-38 ? 1.1754943508222875e-38 : want, &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - 24);
}

static void test_function(const Kernels *k, const Function *f)
{
    static float x[BLOCK], y[BLOCK];
    double worst = 0.0;
    float at = 0.0f;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int64_t n = 0;
        for (; n < BLOCK && bits < (uint64_t)1 << 32; bits += STEP) {
            float v = from_bits((uint32_t)bits);
            if (!(fabsf(v) > f->largest)) x[n++] = v;
        }
        k->unary[f->row][DTYPE_f32](n, x, y);
        for (int64_t i = 0; i < n; i++) {
            double d = distance(y[i], f->reference((double)x[i]));
            if (d > worst) {
                worst = d;
                at = x[i];
            }
        }
    }
    tap_ok(worst <= f->bound, "%s: %s within %g units in the last place (worst %.2f at %.9g)", k->isa, f->name,
           f->bound, worst, (double)at);
}

static const float special[] = {
    0.0f, -0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 0.5f, -0.5f, 3.0f, -3.0f, 1e-40f, -1e-40f, 1e38f, -1e38f, 88.72f, -103.9f,
    INFINITY, -INFINITY, NAN,
};
#define SPECIALS ((int)(sizeof special / sizeof special[0]))

/* Same value, and the same sign where it is zero; NaN for NaN. */
static bool same(float got, double want)
{
    if (got == 0.0f && want == 0.0) return !signbit(got) == !signbit(want);
    return distance(got, want) <= 4.0;
}

static void test_specials(const Kernels *k, const Function *f)
{
    float y[SPECIALS];
    bool ok = true;
    k->unary[f->row][DTYPE_f32](SPECIALS, special, y);
    for (int i = 0; i < SPECIALS; i++) {
        if (isfinite(special[i]) && fabsf(special[i]) > f->largest) continue;
        if (same(y[i], f->reference((double)special[i]))) continue;
        tap_note("%s(%g) is %g", f->name, (double)special[i], (double)y[i]);
        ok = false;
    }
    tap_ok(ok, "%s: %s of zeros, infinities, NaN and denormals", k->isa, f->name);
}

static void test_pow(const Kernels *k)
{
    double worst = 0.0;
    bool ok = true;
    for (int i = 0; i < SPECIALS; i++) {
        float a[SPECIALS], y[SPECIALS];
        for (int j = 0; j < SPECIALS; j++) a[j] = special[i];
        k->binary[BINARY_pow][DTYPE_f32](SPECIALS, a, special, y);
        for (int j = 0; j < SPECIALS; j++) {
            if (same(y[j], pow((double)a[j], (double)special[j]))) continue;
            tap_note("pow(%g, %g) is %g", (double)a[j], (double)special[j], (double)y[j]);
            ok = false;
        }
    }
    tap_ok(ok, "%s: pow of special values", k->isa);
    uint32_t state = 1;
    for (int block = 0; block < 40; block++) {
        static float a[BLOCK], b[BLOCK], y[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            state = state * 1664525u + 1013904223u;
            a[i] = block % 2 ? from_bits(state & 0x7fffffffu) : 0.5f + (float)(state >> 8) / 16777216.0f;
            state = state * 1664525u + 1013904223u;
            b[i] = (float)((double)(int32_t)state / (block % 2 ? 1e9 : 2e7));
        }
        k->binary[BINARY_pow][DTYPE_f32](BLOCK, a, b, y);
        for (int i = 0; i < BLOCK; i++) worst = fmax(worst, distance(y[i], pow((double)a[i], (double)b[i])));
    }
    tap_ok(worst <= 4.0, "%s: pow within 4 units in the last place (worst %.2f)", k->isa, worst);
}

/* gelu and its derivative, whose bounds are absolute: gelu's for each unit of |x|. */
static void test_gelu(const Kernels *k)
{
    static float x[BLOCK], one[BLOCK], y[BLOCK], d[BLOCK];
    double worst = 0.0, worst_slope = 0.0, unit = ldexp(1.0, -24), least = ldexp(1.0, -149);
    bool flat = true;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int64_t n = 0;
        for (; n < BLOCK && bits < (uint64_t)1 << 32; bits += STEP) {
            x[n] = from_bits((uint32_t)bits);
            one[n] = 1.0f;
            if (isfinite(x[n])) n++;
        }
        k->unary[UNARY_gelu][DTYPE_f32](n, x, y);
        k->unary_grad[UNARY_gelu][DTYPE_f32](n, x, NULL, one, d);
        for (int64_t i = 0; i < n; i++) {
            double v = (double)x[i], gate = ndtr(v), slope = gate + v * 0.39894228040143267794 * exp(-0.5 * v * v);
            worst = fmax(worst, (fabs((double)y[i] - v * gate) - least) / (fabs(v) + least) / unit);
            worst_slope = fmax(worst_slope, fabs((double)d[i] - slope) / unit);
            flat = flat && (fabsf(x[i]) < 6.0f || y[i] == (x[i] > 0.0f ? x[i] : 0.0f));
        }
    }
    tap_ok(worst <= 4.0, "%s: gelu within 4 |x| 2^-24 (worst %.2f)", k->isa, worst);
    tap_ok(worst_slope <= 7.0, "%s: gelu's derivative within 7 * 2^-24 (worst %.2f)", k->isa, worst_slope);
    tap_ok(flat, "%s: gelu is x or 0 beyond 6", k->isa);
    k->unary[UNARY_gelu][DTYPE_f32](2, (float[]){ INFINITY, NAN }, y);
    k->unary_grad[UNARY_gelu][DTYPE_f32](2, (float[]){ -NAN, NAN }, NULL, one, d);
    tap_ok(y[0] == INFINITY && isnan(y[1]) && isnan(d[0]) && isnan(d[1]), "%s: gelu of infinity and NaN", k->isa);
}

/* The square root that optimisers divide by: 1 / root(x) is Adam's direction for a mean of 1 without eps and decay. */
static void test_root(const Kernels *k)
{
    static float x[BLOCK], y[BLOCK], one[BLOCK], zero[BLOCK];
    const UpdateNumbers numbers = {.correct1 = 1.0, .correct2 = 1.0};
    double worst = 0.0;
    for (int i = 0; i < BLOCK; i++) one[i] = 1.0f;
    for (uint64_t bits = 0; bits <= 0x7f800000u;) {
        int64_t n = 0;
        for (; n < BLOCK && bits <= 0x7f800000u; bits += STEP / 8) x[n++] = from_bits((uint32_t)bits);
        k->adam_direction[DTYPE_f32](n, &numbers, zero, one, x, y);
        for (int64_t i = 0; i < n; i++) worst = fmax(worst, distance(y[i], 1.0 / sqrt((double)x[i])));
    }
    tap_ok(worst <= 1.5, "%s: what optimisers divide by a root within 1.5 units in the last place (worst %.2f)", k->isa, worst);
    float ends[] = {INFINITY, NAN, -1.0f, -0.0f}, got[4];
    k->adam_direction[DTYPE_f32](4, &numbers, zero, one, ends, got);
    tap_ok(got[0] == 0.0f && isnan(got[1]) && isnan(got[2]) && isinf(got[3]),
           "%s: and at infinity, NaN, -1 and -0", k->isa);
}

static void test_kernels(const Kernels *k)
{
    test_gelu(k);
    test_root(k);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        test_function(k, &functions[i]);
        test_specials(k, &functions[i]);
    }
    test_pow(k);
}

#ifdef KERNELS_X86
extern const Kernels kernels_sse2, kernels_avx2, kernels_avx512;
#endif

int main(void)
{
#ifdef KERNELS_X86
    __builtin_cpu_init();
    test_kernels(&kernels_sse2);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) test_kernels(&kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        test_kernels(&kernels_avx512);
#else
    test_kernels(kernels());
#endif
    return tap_end();
}
