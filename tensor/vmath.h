/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scalar mathematics that the compiler turns into vector code: straight-line f32 functions without calls or branches
   (selects only), and f64 functions, which call libm. Included by kernels.c once per instruction set.

   Error bounds in f32, in units in the last place, tested by tests/tensor/test_vmath.c with NaN, infinities, zeros of
   both signs and denormals: exp, exp2, log, log2, log10 and what goes through f64 2; all others 4. NaN in gives NaN out.
   sin, cos and tan hold for |x| up to VMATH_TURNS; op_elementwise.c gives what lies beyond to libm, so that the loop
   here needs no table and no branch. */
#ifndef TESSERA_VMATH_H
#define TESSERA_VMATH_H

#include <math.h>
#include <stdint.h>

#include "special.h"

#define VMATH_TURNS 134217728.0f    /* 2^27 */

static inline int32_t vf_bits(float x)
{
    int32_t i;
    __builtin_memcpy(&i, &x, sizeof i);
    return i;
}

static inline float vf_from_bits(int32_t i)
{
    float x;
    __builtin_memcpy(&x, &i, sizeof x);
    return x;
}

static inline double vd_from_bits(int64_t i)
{
    double x;
    __builtin_memcpy(&x, &i, sizeof x);
    return x;
}

static inline int64_t vd_bits(double x)
{
    int64_t i;
    __builtin_memcpy(&i, &x, sizeof i);
    return i;
}

/* 2^n for n in -126 … 127 */
static inline float vf_two_to(int32_t n) { return vf_from_bits((int32_t)((uint32_t)(n + 127) << 23)); }

/* The part that exp and expm1 share: x = n ln 2 + r with |r| <= ln 2 / 2; returns e^r - 1 - r. */
static inline float vf_exp_reduce(float x, int32_t *n, float *r)
{
    const float round = 12582912.0f;             /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    float shifted = x * 1.44269504f + round;
    float k = shifted - round;
    *n = vf_bits(shifted) - vf_bits(round);
    float t = (x - k * 0.693359375f) - k * -2.12194440e-4f;
    float p = 0.0001989124731f;
    p = p * t + 0.001393388096f;
    p = p * t + 0.008333310694f;
    p = p * t + 0.04166646284f;
    p = p * t + 0.1666666668f;
    p = p * t + 0.5f;
    *r = t;
    return p * (t * t);
}

static inline float vf_exp(float x)
{
    int32_t n;
    float r, c = x > 89.0f ? 89.0f : x;
    c = c < -105.0f ? -105.0f : c;
    float tail = vf_exp_reduce(c, &n, &r);
    int32_t half = n >> 1;                       /* two steps: 2^n alone may be infinite or denormal */
    float y = (1.0f + (r + tail)) * vf_two_to(half) * vf_two_to(n - half);
    return x != x ? x : y;
}

static inline float vf_expm1(float x)
{
    int32_t n;
    float r, c = x > 89.0f ? 89.0f : x;
    c = c < -18.0f ? -18.0f : c;
    float tail = vf_exp_reduce(c, &n, &r);
    float scale = vf_two_to(n - 1);
    float y = (scale * (r + tail) + (scale - 0.5f)) * 2.0f;
    y = __builtin_fabsf(x) < 1e-4f ? x * (1.0f + 0.5f * x) : y;
    return x != x ? x : y;
}

/* log(1 + f) - f for f in [-0.3, 0.42]: the series of 2 atanh(f / (2 + f)) */
static inline float vf_log_tail(float f)
{
    float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    float p = 0.22222222f;
    p = p * z + 0.28571429f;
    p = p * z + 0.4f;
    p = p * z + 0.66666667f;
    return s * (half + z * p) - half;
}

/* x = 2^k (1 + f), f in [-0.3, 0.42]; x positive and normal */
static inline float vf_log_split(float x, int32_t *k)
{
    uint32_t i = (uint32_t)vf_bits(x);
    int32_t e = (int32_t)(i - 0x3f3504f3u) >> 23;
    *k = e;
    return vf_from_bits((int32_t)(i - ((uint32_t)e << 23))) - 1.0f;
}

static inline float vf_log_edges(float x, float y)
{
    y = x == 0.0f ? -INFINITY : y;
    y = x == INFINITY ? x : y;
    return x >= 0.0f ? y : NAN;
}

static inline float vf_log(float x)
{
    int32_t k;
    float small = x < 1.17549435e-38f ? 1.0f : 0.0f;      /* denormals are scaled into the normal range */
    float f = vf_log_split(small != 0.0f ? x * 8388608.0f : x, &k);
    float n = (float)k - small * 23.0f;
    return vf_log_edges(x, n * 0.693359375f + (f + (vf_log_tail(f) + n * -2.12194440e-4f)));
}

static inline float vf_log2(float x)
{
    int32_t k;
    float small = x < 1.17549435e-38f ? 1.0f : 0.0f;
    float f = vf_log_split(small != 0.0f ? x * 8388608.0f : x, &k);
    float n = (float)k - small * 23.0f, tail = vf_log_tail(f);
    /* 1.4426950 = 1.44269504 - 1.9e-8: the product in two parts */
    return vf_log_edges(x, n + (f * 1.44269502f + (tail * 1.44269502f + (f + tail) * 1.9259629e-8f)));
}

static inline float vf_log1p(float x)
{
    int32_t k;
    float u = 1.0f + x;
    float f = vf_log_split(u, &k), n = (float)k;
    float lost = (x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x)) / u;    /* what rounding 1 + x dropped */
    f = k == 0 ? x : f;
    lost = k == 0 ? 0.0f : lost;
    float y = n * 0.693359375f + (f + (vf_log_tail(f) + (n * -2.12194440e-4f + lost)));
    y = __builtin_fabsf(x) < 1e-4f ? x * (1.0f - x * (0.5f - x * 0.33333333f)) : y;
    y = x == -1.0f ? -INFINITY : y;
    y = x == INFINITY ? x : y;
    return x >= -1.0f ? y : NAN;
}

static inline float vf_tanh(float x)
{
    float a = __builtin_fabsf(x), c = a > 10.0f ? 10.0f : a;
    float t = vf_expm1(2.0f * c);
    float y = __builtin_copysignf(t / (t + 2.0f), x);
    return x != x ? x : y;
}

static inline float vf_sigmoid(float x)
{
    float e = vf_exp(-__builtin_fabsf(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

static inline float vf_erf(float x)
{
    float t = __builtin_fabsf(x), z = x * x;
    float p = 8.387074557e-5f;                            /* |x| <= 0.92: odd polynomial */
    p = p * z + -0.0008147081117f;
    p = p * z + 0.005201456326f;
    p = p * z + -0.02685958812f;
    p = p * z + 0.1128369935f;
    p = p * z + -0.3761263402f;
    p = p * z + 0.1283791671f;
    float c = t > 4.0f ? 4.0f : t;                        /* beyond: 1 - 2^q(|x|), q from -24 to -2 */
    float q = 2.370439788e-06f;
    q = q * c + -6.660036991e-05f;
    q = q * c + 0.0008621340272f;
    q = q * c + -0.006871016671f;
    q = q * c + 0.03812702106f;
    q = q * c + -0.1588222092f;
    q = q * c + -0.9115292334f;
    q = q * c + -1.630578738f;
    q = q * c + 0.0004595555913f;
    const float round = 12582912.0f;
    float shifted = q + round, r = q - (shifted - round), e = 0.000153533605f;
    e = e * r + 0.001339887502f;
    e = e * r + 0.009618436918f;
    e = e * r + 0.05550332367f;
    e = e * r + 0.2402264774f;
    e = e * r + 0.6931471825f;
    float rest = (1.0f + r * e) * vf_two_to(vf_bits(shifted) - vf_bits(round));
    float y = t <= 0.92f ? x + x * p : __builtin_copysignf(1.0f - rest, x);
    return x != x ? x : y;
}

/* GELU's two functions, odd about 1/2: the normal distribution function, and that plus x times its density. Each is 1/2
   plus |c| p(c^2) with x's sign, c = x up to where it is flat in f32. The polynomials of degree 14 and 17 in
   t = 2 (c / flat)^2 - 1 were fitted to the least largest error (Lawson's iteration on Chebyshev polynomials), 3e-8 and
   5e-8: the first one to 1/2 (1 + 8e-8) at its end, so that rounding cannot fall short of 1/2 there. They are summed by
   pairs, so that no long chain of sums has to be waited for. Bounds are compared as integers, in which the order of floats
   that are not negative is the same: compilers find a minimum there, and none among floats that may be NaN. */
static inline int32_t vf_least(int32_t a, int32_t b) { return a < b ? a : b; }
#define VF_MAGNITUDE 0x7fffffff
#define VF_SIGN (-VF_MAGNITUDE - 1)

/* Within 4 * 2^-24 of the normal distribution function; exactly 0 and 1 where |x| > 5.42, and for NaN one of them. */
static inline float vf_gelu_gate(float x)
{
    float c = vf_from_bits(vf_least(vf_bits(x) & VF_MAGNITUDE, 0x40ad70a4));      /* 5.42 */
    float t = c * c * 0.0680818597f - 1.0f, u = t * t, w = u * u;
    float p = 0.0004187388858f * u + (-0.001089798345f * t + 0.0009044528313f);
    p = p * w + ((-0.001199563435f * t + 0.003770069549f) * u + (-0.006899349611f * t + 0.009815473851f));
    p = p * w + ((-0.01411102058f * t + 0.01977992413f) * u + (-0.02582605806f * t + 0.03211511405f));
    p = p * w + ((-0.03912564863f * t + 0.04834678166f) * u + (-0.06509414956f * t + 0.1304459618f));
    int32_t half = vf_least(vf_bits(c * p), 0x3f000000);                          /* never above 1/2 */
    return 0.5f + vf_from_bits(half | (vf_bits(x) & VF_SIGN));
}

/* Within 7 * 2^-24 of gelu's derivative. */
static inline float vf_gelu_slope(float x)
{
    float c = vf_from_bits(vf_least(vf_bits(x) & VF_MAGNITUDE, 0x40be6666));      /* 5.95 */
    float t = c * c * 0.0564931891f - 1.0f, u = t * t, w = u * u;
    float p = -0.004921706638f * t + 0.01184476055f;
    p = p * w + ((-0.002878347956f * t + -0.003365393677f) * u + (-0.02365315547f * t + 0.04704641973f));
    p = p * w + ((-0.0411056539f * t + 0.04366707532f) * u + (-0.0623428976f * t + 0.07048854216f));
    p = p * w + ((-0.06639713397f * t + 0.0598209219f) * u + (-0.05248058322f * t + 0.04590757576f));
    p = p * w + ((-0.04324932707f * t + 0.04665343287f) * u + (-0.0598964987f * t + 0.1188955852f));
    float half = vf_from_bits(vf_bits(c * p) ^ (vf_bits(x) & VF_SIGN));
    return x != x ? x : 0.5f + half;
}

/* |x| = quarter pi / 2 + r with |r| <= pi / 4, reduced in f64; for |x| up to 2^27. Returns r. */
static inline float vf_quarters(float x, int32_t *quarter)
{
    const double round = 6755399441055744.0;     /* 1.5 * 2^52 */
    double v = (double)__builtin_fabsf(x);
    double shifted = v * 0.63661977236758134308 + round, k = shifted - round;
    double r = ((v - k * 0x1.921fb50000000p+0) - k * 0x1.110b460000000p-26) - k * 0x1.1a62633145c07p-54;
    *quarter = (int32_t)(vd_bits(shifted) & 3);
    return (float)r;
}

static inline float vf_sin_part(float r)
{
    float z = r * r;
    float p = 2.724836477e-6f;
    p = p * z + -0.0001984007467f;
    p = p * z + 0.008333331852f;
    p = p * z + -0.1666666666f;
    return r + r * (z * p);
}

static inline float vf_cos_part(float r)
{
    float z = r * r;
    float p = 2.454665377e-5f;
    p = p * z + -0.001388829706f;
    p = p * z + 0.04166666463f;
    return 1.0f + z * (-0.5f + z * p);
}

static inline float vf_sin(float x)
{
    int32_t q;
    float r = vf_quarters(x, &q);
    float y = (q & 1) != 0 ? vf_cos_part(r) : vf_sin_part(r);
    y = ((q & 2) != 0) != (vf_bits(x) < 0) ? -y : y;
    return x - x == 0.0f ? y : NAN;
}

static inline float vf_cos(float x)
{
    int32_t q;
    float r = vf_quarters(x, &q);
    float y = (q & 1) != 0 ? vf_sin_part(r) : vf_cos_part(r);
    y = ((q + 1) & 2) != 0 ? -y : y;
    return x - x == 0.0f ? y : NAN;
}

static inline float vf_tan(float x)
{
    int32_t q;
    float r = vf_quarters(x, &q);
    float s = vf_sin_part(r), c = vf_cos_part(r);
    float y = (q & 1) != 0 ? -c / s : s / c;
    y = vf_bits(x) < 0 ? -y : y;
    return x - x == 0.0f ? y : NAN;
}

/* x^y through f64: log by the atanh series, exp by its own. Special cases as in C99. */
static inline float vf_pow(float x, float y)
{
    double a = (double)__builtin_fabsf(x);
    int64_t bits = vd_bits(a == 0.0 ? 1.0 : a), e = (bits - 0x3fe6a09e00000000) >> 52;
    double f = vd_from_bits(bits - e * ((int64_t)1 << 52)) - 1.0, s = f / (2.0 + f), z = s * s;
    double p = 2.0 / 17.0;
    p = p * z + 2.0 / 15.0;
    p = p * z + 2.0 / 13.0;
    p = p * z + 2.0 / 11.0;
    p = p * z + 2.0 / 9.0;
    p = p * z + 2.0 / 7.0;
    p = p * z + 2.0 / 5.0;
    p = p * z + 2.0 / 3.0;
    double l = (double)(int32_t)e * 0.69314718055994530942 + (2.0 * s + s * z * p);
    l = a == 0.0 ? -(double)INFINITY : l;
    l = a < (double)INFINITY ? l : a;            /* infinity and NaN pass */
    double t = l * (double)y;
    t = t > 700.0 ? 700.0 : t;
    t = t < -700.0 ? -700.0 : t;
    const double round = 6755399441055744.0;
    double shifted = t * 1.44269504088896340736 + round, k = shifted - round;
    double r = t - k * 0.69314718055994530942;
    double q = 1.0 / 3628800.0;
    q = q * r + 1.0 / 362880.0;
    q = q * r + 1.0 / 40320.0;
    q = q * r + 1.0 / 5040.0;
    q = q * r + 1.0 / 720.0;
    q = q * r + 1.0 / 120.0;
    q = q * r + 1.0 / 24.0;
    q = q * r + 1.0 / 6.0;
    q = q * r + 0.5;
    q = (q * r + 1.0) * r + 1.0;
    int64_t n = vd_bits(shifted) - vd_bits(round);
    double power = q * vd_from_bits((int64_t)((uint64_t)(n + 1023) << 52));
    float v = (float)(t != t ? t : power);
    float clipped = y > 33554432.0f ? 33554432.0f : y;      /* an even whole number, as every larger float is */
    clipped = clipped < -33554432.0f ? -33554432.0f : clipped;
    clipped = y != y ? 0.0f : clipped;
    int32_t whole = (int32_t)clipped;
    int32_t is_whole = (float)whole == clipped;
    v = ((vf_bits(x) < 0) & is_whole & whole) != 0 ? -v : v;
    v = ((x < 0.0f) & (x > -INFINITY) & !is_whole) != 0 ? NAN : v;
    int32_t is_one = ((a == 1.0) & (__builtin_fabsf(y) == INFINITY)) | (x == 1.0f) | (y == 0.0f);
    return is_one != 0 ? 1.0f : v;
}

/* ---- f32: hyperbolic and inverse functions, from the parts above ---- */

static inline float vf_exp2(float x)
{
    const float round = 12582912.0f;
    float c = x > 129.0f ? 129.0f : x;
    c = c < -151.0f ? -151.0f : c;
    float shifted = c + round, r = c - (shifted - round);
    int32_t n = vf_bits(shifted) - vf_bits(round), half = n >> 1;
    float p = 0.000153533605f;
    p = p * r + 0.001339887502f;
    p = p * r + 0.009618436918f;
    p = p * r + 0.05550332367f;
    p = p * r + 0.2402264774f;
    p = p * r + 0.6931471825f;
    float y = (1.0f + r * p) * vf_two_to(half) * vf_two_to(n - half);
    return x != x ? x : y;
}

static inline float vf_log10(float x)
{
    int32_t k;
    float small = x < 1.17549435e-38f ? 1.0f : 0.0f;
    float f = vf_log_split(small != 0.0f ? x * 8388608.0f : x, &k);
    float n = (float)k - small * 23.0f, y = f + vf_log_tail(f);
    /* log10(2) in two parts, the first short enough to make n times it exact */
    return vf_log_edges(x, n * 0.301025391f + (y * 0.434294482f + n * 4.6050390e-6f));
}

static inline float vf_sinh(float x)
{
    float a = __builtin_fabsf(x), t = vf_expm1(a > 80.0f ? 80.0f : a), h = vf_exp(0.5f * a);
    float y = a > 80.0f ? (0.5f * h) * h : 0.5f * (t + t / (t + 1.0f));
    y = __builtin_copysignf(y, x);
    return x != x ? x : y;
}

static inline float vf_cosh(float x)
{
    float a = __builtin_fabsf(x), e = vf_exp(a > 80.0f ? 80.0f : a), h = vf_exp(0.5f * a);
    float y = a > 80.0f ? (0.5f * h) * h : 0.5f * e + 0.5f / e;
    return x != x ? x : y;
}

/* tanh(log(1 + e^x)) is n / (n + 2) with n = e^x (e^x + 2) */
static inline float vf_tanh_softplus(float x)
{
    float e = vf_exp(x > 20.0f ? 20.0f : x), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

/* asin(s) - s for |s| <= 1/2 */
static inline float vf_asin_tail(float s)
{
    float z = s * s, p = 0.04223053157f;
    p = p * z + 0.02414099872f;
    p = p * z + 0.04547834024f;
    p = p * z + 0.07495232671f;
    p = p * z + 0.1666675359f;
    return s * (z * p);
}

static inline float vf_asin(float x)
{
    float a = __builtin_fabsf(x), big = __builtin_sqrtf(0.5f * (1.0f - a));
    float s = a > 0.5f ? big : a, y = s + vf_asin_tail(s);
    y = a > 0.5f ? 1.57079637f - (2.0f * y + 4.37113883e-8f) : y;
    return __builtin_copysignf(y, x);
}

static inline float vf_acos(float x)
{
    float a = __builtin_fabsf(x), big = __builtin_sqrtf(0.5f * (1.0f - a));
    float s = a > 0.5f ? big : x, y = s + vf_asin_tail(s);
    float far = x < 0.0f ? 3.14159274f - (2.0f * y + 8.74227766e-8f) : 2.0f * y;
    return a > 0.5f ? far : 1.57079637f - (y + 4.37113883e-8f);
}

static inline float vf_atan(float x)
{
    float a = __builtin_fabsf(x);
    float top = a > 2.41421356f ? -1.0f : a - 1.0f, under = a > 2.41421356f ? a : a + 1.0f;
    float s = a > 0.414213562f ? top / under : a, z = s * s;
    float p = -0.06081743166f;
    p = p * z + 0.1059535965f;
    p = p * z + -0.1424376667f;
    p = p * z + 0.1999848485f;
    p = p * z + -0.3333331645f;
    float start = a > 2.41421356f ? 1.57079637f : a > 0.414213562f ? 0.785398185f : 0.0f;
    float y = start + (s + s * (z * p));
    return __builtin_copysignf(y, x);
}

static inline float vf_asinh(float x)
{
    float a = __builtin_fabsf(x), c = a > 1e9f ? 1.0f : a;
    float near = vf_log1p(c + c * c / (1.0f + __builtin_sqrtf(c * c + 1.0f)));
    float y = a > 1e9f ? vf_log(a) + 0.693147181f : near;
    y = __builtin_copysignf(y, x);
    return x != x ? x : y;
}

static inline float vf_acosh(float x)
{
    float t = (x > 1e9f ? 2.0f : x) - 1.0f, near = vf_log1p(t + __builtin_sqrtf(t * (t + 2.0f)));
    return x > 1e9f ? vf_log(x) + 0.693147181f : x >= 1.0f ? near : NAN;
}

static inline float vf_atanh(float x)
{
    float a = __builtin_fabsf(x), y = 0.5f * vf_log1p(2.0f * a / (1.0f - a));
    return __builtin_copysignf(y, x);
}

/* The bits divided by three are a cube root to 4 per cent; Newton's steps double its digits, the last ones in f64. */
static inline float vf_cbrt(float x)
{
    float a = __builtin_fabsf(x), small = a < 1.17549435e-38f ? 1.0f : 0.0f;
    float v = small != 0.0f ? a * 16777216.0f : a;
    uint32_t bits = (uint32_t)vf_bits(v), third = (uint32_t)(((uint64_t)bits * 0xAAAAAAABu) >> 33);
    double t = (double)vf_from_bits((int32_t)(third + 0x2a514067u)), w = (double)v;
    t = t * 0.66666666666666667 + w / (3.0 * t * t);
    t = t * 0.66666666666666667 + w / (3.0 * t * t);
    t = t * 0.66666666666666667 + w / (3.0 * t * t);
    float y = (float)(small != 0.0f ? t * 0.00390625 : t);
    y = a == 0.0f || !(a < INFINITY) ? a : y;
    return __builtin_copysignf(y, x);
}

static inline float vf_hypot(float a, float b)
{
    double x = (double)a, y = (double)b;
    float h = (float)__builtin_sqrt(x * x + y * y);
    return __builtin_fabsf(a) == INFINITY || __builtin_fabsf(b) == INFINITY ? INFINITY : h;
}

static inline float vf_sqrt(float x) { return __builtin_sqrtf(x); }

static inline float vf_floor(float x) { return __builtin_floorf(x); }
static inline float vf_ceil(float x) { return __builtin_ceilf(x); }
static inline float vf_trunc(float x) { return __builtin_truncf(x); }
static inline float vf_round(float x) { return __builtin_rintf(x); }      /* halves to even */
static inline float vf_abs(float x) { return __builtin_fabsf(x); }
static inline float vf_atan2(float y, float x) { return atan2f(y, x); }

/* Python's floats: the remainder takes the divisor's sign, and a = (a // b) * b + a % b. */
static inline float vf_mod(float a, float b)
{
    float r = fmodf(a, b);
    return r != 0.0f ? ((r < 0.0f) != (b < 0.0f) ? r + b : r) : __builtin_copysignf(r, b);
}

static inline float vf_floordiv(float a, float b)
{
    if (b == 0.0f) return a / b;
    float q = (a - vf_mod(a, b)) / b, w = __builtin_floorf(q);
    w = q - w > 0.5f ? w + 1.0f : w;
    return q != 0.0f ? w : __builtin_copysignf(0.0f, a / b);
}

static inline float vf_fmod(float a, float b) { return fmodf(a, b); }
static inline float vf_copysign(float a, float b) { return __builtin_copysignf(a, b); }
static inline float vf_nextafter(float a, float b) { return nextafterf(a, b); }

/* sin(pi x) / (pi x), through f64: near whole numbers pi x would lose what the sine needs. */
static inline double vd_sinc(double x)
{
    double r = x - __builtin_rint(x), s = sin(3.14159265358979323846 * r);
    double odd = __builtin_fabs(__builtin_fmod(__builtin_rint(x), 2.0));
    return x == 0.0 ? 1.0 : x - x != 0.0 ? (x != x ? x : 0.0) : (odd == 1.0 ? -s : s) / (3.14159265358979323846 * x);
}

static inline double vd_i0(double x) { return x - x == 0.0 ? exp(__builtin_fabs(x)) * special_i0e(x) : x * x; }
static inline double vd_i1(double x) { return x - x == 0.0 ? exp(__builtin_fabs(x)) * special_i1e(x) : x; }

/* One f32 by the f64 function: rounding is all its error. */
#define VF_BY_VD(name, of) static inline float vf_##name(float x) { return (float)(of); }
VF_BY_VD(sinc, vd_sinc((double)x))
VF_BY_VD(erfc, erfc((double)x))
VF_BY_VD(erfinv, special_erfinv((double)x))
VF_BY_VD(ndtr, 0.5 * erfc((double)x * -0.70710678118654752440))
VF_BY_VD(ndtri, special_ndtri((double)x))
VF_BY_VD(log_ndtr, special_log_ndtr((double)x))
VF_BY_VD(lgamma, special_lgamma((double)x))
VF_BY_VD(digamma, special_digamma((double)x))
VF_BY_VD(trigamma, special_polygamma(1, (double)x))
VF_BY_VD(i0, vd_i0((double)x))
VF_BY_VD(i1, vd_i1((double)x))
VF_BY_VD(i0e, special_i0e((double)x))
VF_BY_VD(i1e, special_i1e((double)x))
#undef VF_BY_VD

static inline double vd_tanh_softplus(double x)
{
    double e = exp(x > 40.0 ? 40.0 : x), n = e * (e + 2.0);
    return n / (n + 2.0);
}

static inline double vd_gelu_gate(double x) { return 0.5 * (1.0 + erf(x * 0.70710678118654752440)); }
static inline double vd_gelu_slope(double x)
{
    return vd_gelu_gate(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}
static inline double vd_exp2(double x) { return exp2(x); }
static inline double vd_log10(double x) { return log10(x); }
static inline double vd_sinh(double x) { return sinh(x); }
static inline double vd_cosh(double x) { return cosh(x); }
static inline double vd_asin(double x) { return asin(x); }
static inline double vd_acos(double x) { return acos(x); }
static inline double vd_atan(double x) { return atan(x); }
static inline double vd_asinh(double x) { return asinh(x); }
static inline double vd_acosh(double x) { return acosh(x); }
static inline double vd_atanh(double x) { return atanh(x); }
static inline double vd_cbrt(double x) { return cbrt(x); }
static inline double vd_hypot(double a, double b) { return hypot(a, b); }
static inline double vd_fmod(double a, double b) { return fmod(a, b); }
static inline double vd_copysign(double a, double b) { return __builtin_copysign(a, b); }
static inline double vd_nextafter(double a, double b) { return nextafter(a, b); }
static inline double vd_erfc(double x) { return erfc(x); }
static inline double vd_erfinv(double x) { return special_erfinv(x); }
static inline double vd_ndtr(double x) { return 0.5 * erfc(x * -0.70710678118654752440); }
static inline double vd_ndtri(double x) { return special_ndtri(x); }
static inline double vd_log_ndtr(double x) { return special_log_ndtr(x); }
static inline double vd_lgamma(double x) { return special_lgamma(x); }
static inline double vd_digamma(double x) { return special_digamma(x); }
static inline double vd_trigamma(double x) { return special_polygamma(1, x); }
static inline double vd_i0e(double x) { return special_i0e(x); }
static inline double vd_i1e(double x) { return special_i1e(x); }

static inline double vd_exp(double x) { return exp(x); }
static inline double vd_expm1(double x) { return expm1(x); }
static inline double vd_log(double x) { return log(x); }
static inline double vd_log2(double x) { return log2(x); }
static inline double vd_log1p(double x) { return log1p(x); }
static inline double vd_tanh(double x) { return tanh(x); }
static inline double vd_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static inline double vd_erf(double x) { return erf(x); }
static inline double vd_sin(double x) { return sin(x); }
static inline double vd_cos(double x) { return cos(x); }
static inline double vd_tan(double x) { return tan(x); }
static inline double vd_pow(double x, double y) { return pow(x, y); }
static inline double vd_sqrt(double x) { return __builtin_sqrt(x); }
static inline double vd_floor(double x) { return __builtin_floor(x); }
static inline double vd_ceil(double x) { return __builtin_ceil(x); }
static inline double vd_trunc(double x) { return __builtin_trunc(x); }
static inline double vd_round(double x) { return __builtin_rint(x); }
static inline double vd_abs(double x) { return __builtin_fabs(x); }
static inline double vd_atan2(double y, double x) { return atan2(y, x); }

static inline double vd_mod(double a, double b)
{
    double r = fmod(a, b);
    return r != 0.0 ? ((r < 0.0) != (b < 0.0) ? r + b : r) : __builtin_copysign(r, b);
}

static inline double vd_floordiv(double a, double b)
{
    if (b == 0.0) return a / b;
    double q = (a - vd_mod(a, b)) / b, w = __builtin_floor(q);
    w = q - w > 0.5 ? w + 1.0 : w;
    return q != 0.0 ? w : __builtin_copysign(0.0, a / b);
}

#endif
