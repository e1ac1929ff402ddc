/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random numbers in loops that the compiler turns into vector code, compiled once for each instruction set (random.h),
   without contraction: a fused product and sum would round differently where a processor has one.
   No branch and no call; integers are converted as signed ones, which every instruction set can do in vectors. */
#include <math.h>
#include <string.h>

#include "random.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

#define BATCH 128             /* pairs between two loops of the normal numbers */

/* ---- the generator ---- */

/* Philox4x32-10; see rng.h. Written out round by round, so that the loop around it becomes vector code, and with the
   halves of a product apart, which compilers know how to make in vectors. */
#define HIGH(a, b) ((uint32_t)((uint64_t)(a) * (b) >> 32))
#define ROUND                                                                                                          \
    {                                                                                                                  \
        uint32_t n0 = HIGH(0xCD9E8D57u, c2) ^ c1 ^ k0, n2 = HIGH(0xD2511F53u, c0) ^ c3 ^ k1;                           \
        c1 = 0xCD9E8D57u * c2;                                                                                         \
        c3 = 0xD2511F53u * c0;                                                                                         \
        c0 = n0;                                                                                                       \
        c2 = n2;                                                                                                       \
        k0 += 0x9E3779B9u;                                                                                             \
        k1 += 0xBB67AE85u;                                                                                             \
    }

static void k_blocks(int64_t n, uint64_t seed, uint64_t first, uint32_t *restrict words)
{
    uint32_t low = (uint32_t)first, high = (uint32_t)(first >> 32);
    for (int64_t i = 0; i < n; i++) {
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        uint32_t c0 = low + (uint32_t)i, c1 = high + (c0 < low), c2 = 0, c3 = 0;
        ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND ROUND
        words[4 * i] = c0;
        words[4 * i + 1] = c1;
        words[4 * i + 2] = c2;
        words[4 * i + 3] = c3;
    }
}

/* ---- uniform numbers ---- */

static void k_uniform(int64_t n, const uint32_t *words, float low, float high, float *out)
{
    float span = high - low, last = low < high ? nextafterf(high, low) : INFINITY;
    for (int64_t i = 0; i < n; i++) {
        float x = low + span * ((float)(int32_t)(words[i] >> 8) * 0x1p-24f);
        out[i] = x >= high && low < high ? last : x;     /* rounding must not reach the bound */
    }
}

static void k_bernoulli(int64_t n, const uint32_t *words, double p, float *out)
{
    double below = ceil(p * 0x1p32);
    uint32_t most = below >= 1 ? (uint32_t)(below - 1) : 0;
    float hit = below >= 1 ? 1 : 0;
    for (int64_t i = 0; i < n; i++) out[i] = words[i] <= most ? hit : 0;
}

/* ---- normal numbers ---- */

static inline int32_t bits_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The float nearest to a word. */
static inline float nearest(uint32_t word) { return (float)((double)(int32_t)(word ^ 0x80000000u) + 0x1p31); }

/* log(x) for normal positive x: beside a power of two there remains m between the roots of 1/2 and 2, whose logarithm is
   twice the inverse hyperbolic tangent of s = (m - 1) / (m + 1). */
static inline float logarithm(float x)
{
    int32_t e = (bits_of(x) - 0x3f3504f3) >> 23;
    double m = (double)float_of(bits_of(x) - e * (1 << 23)), s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 2.0 / 13.0;
    p = p * z + 2.0 / 11.0;
    p = p * z + 2.0 / 9.0;
    p = p * z + 2.0 / 7.0;
    p = p * z + 2.0 / 5.0;
    p = p * z + 2.0 / 3.0;
    return (float)((double)e * 0.69314718055994530942 + (2.0 * s + s * z * p));
}

/* Sine and cosine of an angle in [0, 2 pi], by Taylor's series around the nearest multiple of pi/2, which is taken away
   in two parts: its first 33 bits, whose multiples are exact, and the rest. */
static inline void turn(float angle, float *sine, float *cosine)
{
    double a = (double)angle;
    int32_t quarter = (int32_t)(a * 0.63661977236758134308 + 0.5);
    double r = (a - (double)quarter * 1.57079632673412561417) - (double)quarter * 6.07710050650619224932e-11, z = r * r;
    double s = 1.0 / 362880.0 - z * (1.0 / 39916800.0), c = 1.0 / 479001600.0;
    s = s * z - 1.0 / 5040.0;
    s = s * z + 1.0 / 120.0;
    s = s * z - 1.0 / 6.0;
    c = c * z - 1.0 / 3628800.0;
    c = c * z + 1.0 / 40320.0;
    c = c * z - 1.0 / 720.0;
    c = c * z + 1.0 / 24.0;
    c = c * z - 0.5;
    float along = (float)(r + r * z * s), across = (float)(1.0 + z * c);
    float x = (quarter & 1) != 0 ? along : across, y = (quarter & 1) != 0 ? across : along;
    *cosine = ((quarter + 1) & 2) != 0 ? -x : x;
    *sine = (quarter & 2) != 0 ? -y : y;
}

static void k_normal(int64_t n, const uint32_t *words, float *out)
{
    uint32_t first[BATCH], second[BATCH];     /* apart, so that no loop reads every other word and ends in a rest */
    float radius[BATCH];
    for (int64_t at = 0; at < n; at += BATCH, words += 2 * BATCH, out += 2 * BATCH) {
        int64_t count = n - at < BATCH ? n - at : BATCH;
        for (int64_t i = 0; i < count; i++) {
            first[i] = words[2 * i];
            second[i] = words[2 * i + 1];
        }
        for (int64_t i = 0; i < count; i++)
            radius[i] = __builtin_sqrtf(-2.0f * logarithm((nearest(first[i]) + 1.0f) * 0x1p-32f));
        for (int64_t i = 0; i < count; i++) {
            float sine, cosine;
            turn(nearest(second[i]) * (float)(6.28318530717958647692 * 0x1p-32), &sine, &cosine);
            out[2 * i] = radius[i] * cosine;
            out[2 * i + 1] = radius[i] * sine;
        }
    }
}

#define RANDOM__(isa) kernels_random_##isa
#define RANDOM_(isa) RANDOM__(isa)
#define TEXT_(text) #text
#define TEXT(text) TEXT_(text)

extern const RandomKernels RANDOM_(KERNELS_ISA);
const RandomKernels RANDOM_(KERNELS_ISA) = {TEXT(KERNELS_ISA), k_blocks, k_uniform, k_bernoulli, k_normal};
