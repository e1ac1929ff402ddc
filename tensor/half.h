/* SPDX-License-Identifier: GPL-3.0-or-later */
/* f16 (IEEE binary16) and bf16 (the upper half of a binary32) as bits, and what turns them into numbers and back.
   They are dtypes of storage: arithmetic is done in f32. Rounding is to the nearest, ties to even, from whichever
   width; nothing branches on the value, so that loops over these become SIMD code. */
#ifndef TESSERA_HALF_H
#define TESSERA_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- to f32, exactly ---- */

static inline float f32_from_f16(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7FFF) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t bits = float_bits(float_of_bits(magnitude) * 0x1p112f);   /* exponent bias 127 for 15, subnormals too */
    return float_of_bits(sign | (magnitude < 0x7C00u << 13 ? bits : magnitude | 0x7F800000u));
}

static inline float f32_from_bf16(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

/* ---- from f32 ---- */

static inline uint16_t f16_from_f32(float f)
{
    uint32_t bits = float_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    uint32_t normal = ((magnitude + 0xFFF + (magnitude >> 13 & 1)) >> 13) - (112u << 10);
    uint32_t subnormal = float_bits(float_of_bits(magnitude) + 0.5f) - 0x3F000000u;    /* 0.5's last bit is 2^-24 */
    uint32_t rounded = magnitude < 0x38800000u ? subnormal : normal;
    uint32_t special = magnitude > 0x7F800000u ? 0x7E00 : 0x7C00;
    return (uint16_t)(sign | (magnitude < 0x477FF000u ? rounded : special));           /* from 65520 on: infinite */
}

static inline uint16_t bf16_from_f32(float f)
{
    uint32_t bits = float_bits(f), rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000u ? bits >> 16 | 0x40 : rounded);
}

/* ---- from f64: through an f32 whose last bit says that something was cut off, so that nothing is rounded twice ---- */

static inline float float_rounded_to_odd(double d)
{
    float f = (float)d;
    double back = (double)f;
    if (back == d || d != d)
        return f;
    uint32_t bits = float_bits(f);
    bool away = d < 0 ? back < d : back > d;
    return float_of_bits((away ? bits - 1 : bits) | 1);
}

static inline uint16_t f16_from_f64(double d) { return f16_from_f32(float_rounded_to_odd(d)); }
static inline uint16_t bf16_from_f64(double d) { return bf16_from_f32(float_rounded_to_odd(d)); }

#endif
