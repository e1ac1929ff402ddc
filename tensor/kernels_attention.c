/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products and the softmax of a head of attention for one instruction set (attention.h): compiled once for each, with
   KERNELS_ISA naming it, and exported as kernels_attention_ISA. A vector is 16 floats everywhere; the compiler splits it
   where registers are shorter, so the products keep as many of them as there are registers for. */
#include <math.h>
#include <string.h>

#include "attention.h"
#include "vector.h"

typedef int32_t Bits __attribute__((vector_size(64), aligned(4), may_alias));

/* ---- products ---- */

/* Rows of a product that are summed in registers at once, for 4, 2 and 1 vectors: as many as there are registers for. */
#if defined(__AVX512F__)
#define MOST_WIDE 4
#define SIZES_4(do) do(6, 4) do(4, 4) do(2, 4) do(1, 4)
#define SIZES_2(do) do(12, 2) do(8, 2) do(4, 2) do(2, 2) do(1, 2)
#define SIZES_1(do) do(16, 1) do(8, 1) do(4, 1) do(2, 1) do(1, 1)
#define MOST_ROWS 16
#elif defined(__AVX2__)
#define MOST_WIDE 1
#define SIZES_1(do) do(6, 1) do(4, 1) do(2, 1) do(1, 1)
#define MOST_ROWS 6
#else
#define MOST_WIDE 1
#define SIZES_1(do) do(2, 1) do(1, 1)
#define MOST_ROWS 2
#endif

/* One step of the depth. */
INLINE void step_of(const int rows, const int wide, const bool turned, const float *a, int64_t a_step, const float *b,
                    V (*sum)[4])
{
    V right[4];
#pragma GCC unroll 4
    for (int w = 0; w < wide; w++)
        right[w] = AT(b + w * HEAD_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        float left = turned ? a[r] : a[r * a_step];
#pragma GCC unroll 4
        for (int w = 0; w < wide; w++)
            sum[r][w] += left * right[w];
    }
}

/* [sum] becomes the result. */
INLINE void store_tile(const int rows, const int wide, V (*sum)[4], HeadResult c)
{
    if (c.factor)
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int w = 0; w < wide; w++)
                sum[r][w] *= c.factor[r * c.next];
    if (c.add)
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int w = 0; w < wide; w++)
                sum[r][w] += AT(c.rows.at + r * c.rows.step + w * HEAD_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int w = 0; w < wide; w++)
            PUT(c.rows.at + r * c.rows.step + w * HEAD_LANES) = sum[r][w];
}

/* [rows], [wide] and [turned] are constants where this is inlined, so that sum[] lies in registers. */
INLINE void tile(const int rows, const int wide, const bool turned, int64_t depth, const float *a, int64_t a_step, HeadRows b,
                 HeadResult c)
{
    const int64_t next = turned ? a_step : 1;
    V sum[MOST_ROWS][4];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int w = 0; w < wide; w++)
            sum[r][w] = (V){0};
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++, a += next, b.at += b.step)
            step_of(rows, wide, turned, a, a_step, b.at, sum);
    }
    for (; k < depth; k++, a += next, b.at += b.step)
        step_of(rows, wide, turned, a, a_step, b.at, sum);
    store_tile(rows, wide, sum, c);
}

#define TILES(rows_, wide_)                                                                                           \
    for (; rows >= rows_; rows -= rows_) {                                                                            \
        tile(rows_, wide_, turned, depth, a.at, a.step, b, c);                                                        \
        a.at += turned ? rows_ : rows_ * a.step;                                                                      \
        c.rows.at += rows_ * c.rows.step;                                                                             \
        c.factor += c.factor ? rows_ * c.next : 0;                                                                    \
    }
#define COLUMNS(n)                                                                                                    \
    INLINE void columns_##n(const bool turned, int64_t rows, int64_t depth, HeadLeft a, HeadRows b, HeadResult c)     \
    {                                                                                                                 \
        SIZES_##n(TILES)                                                                                              \
    }                                                                                                                 \
    static void turned_##n(int64_t rows, int64_t depth, HeadLeft a, HeadRows b, HeadResult c)                         \
    {                                                                                                                 \
        columns_##n(true, rows, depth, a, b, c);                                                                      \
    }                                                                                                                 \
    static void in_rows_##n(int64_t rows, int64_t depth, HeadLeft a, HeadRows b, HeadResult c)                        \
    {                                                                                                                 \
        columns_##n(false, rows, depth, a, b, c);                                                                     \
    }
COLUMNS(1)
#if MOST_WIDE > 1
COLUMNS(2)
COLUMNS(4)
#endif

typedef void Columns(int64_t rows, int64_t depth, HeadLeft a, HeadRows b, HeadResult c);

static void product(int64_t rows, int64_t depth, int64_t wide, HeadLeft a, HeadRows b, HeadResult c)
{
    static Columns *const by_wide[][2] = {
        [1] = {in_rows_1, turned_1},
#if MOST_WIDE > 1
        [2] = {in_rows_2, turned_2}, [4] = {in_rows_4, turned_4},
#endif
    };
    while (wide > 0) {
        int now = MOST_WIDE == 1 || wide == 1 ? 1 : wide >= 4 ? 4 : 2;
        by_wide[now][a.turned](rows, depth, a, b, c);
        wide -= now;
        b.at += now * HEAD_LANES;
        c.rows.at += now * HEAD_LANES;
    }
}

static void settle(int64_t rows, int64_t wide, const float *from, int64_t step, HeadResult c)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < wide * HEAD_LANES; i += HEAD_LANES) {
            float *to = c.rows.at + r * c.rows.step + i;
            V x = AT(from + r * step + i);
            if (c.factor)
                x *= c.factor[r * c.next];
            if (c.add)
                x += AT(to);
            PUT(to) = x;
        }
}

/* ---- turned ---- */

static void turn(int64_t rows, int64_t n, const float *from, int64_t step, int64_t wide, float *to)
{
    for (int64_t i = 0; i < wide * HEAD_LANES; i += HEAD_LANES)
        for (int64_t j = 0; j < n; j += HEAD_LANES) {
            V v[16];
            int64_t many = rows - i < 16 ? rows - i : 16, most = n - j < 16 ? n - j : 16;
            for (int64_t k = 0; k < 16; k++)
                v[k] = k < many && most == 16 ? AT(from + (i + k) * step + j) : (V){0};
            for (int64_t k = 0; most < 16 && k < many; k++)
                memcpy(&v[k], from + (i + k) * step + j, (size_t)most * sizeof(float));
            TURN_SQUARE(V, v)
            for (int64_t k = 0; k < most; k++)
                PUT(to + (j + k) * wide * HEAD_LANES + i) = v[k];
        }
}

/* ---- the softmax of every lane ---- */

#define CHOOSE(which, a, b) ((V)(((Bits)(a) & (which)) | ((Bits)(b) & ~(which))))

/* x = e^x for x <= 0, 0 where that is no normal number: what vf_exp of vmath.h does, without its steps for large results
   and for the smallest. Adding [round] leaves the nearest integer and the bias of exponents in the low bits. */
INLINE void exp_below(V *x)
{
    const float round = 12582912.0f + 127.0f;
    V shifted = *x * 1.44269504f + round, k = shifted - round;
    V t = (*x - k * 0.693359375f) - k * -2.12194440e-4f;
    V p = 0.0001989124731f * t + 0.001393388096f;
    p = p * t + 0.008333310694f;
    p = p * t + 0.04166646284f;
    p = p * t + 0.1666666668f;
    p = p * t + 0.5f;
    V y = ((t + p * (t * t)) + 1.0f) * (V)((Bits)shifted << 23);
    *x = (V)((Bits)y & ~(Bits)(*x < -87.3f));
}

/* The largest of each lane, 0 where all are minus infinity. */
INLINE void tops(const int wide, int64_t keys, int64_t step, const float *x, V *top)
{
    for (int w = 0; w < wide; w++)
        top[w] = (V){0} - INFINITY;
    for (int64_t j = 0; j < keys; j++, x += step)
        for (int w = 0; w < wide; w++) {
            V next = AT(x + w * HEAD_LANES);
            top[w] = CHOOSE(top[w] > next, top[w], next);
        }
    for (int w = 0; w < wide; w++)
        top[w] = CHOOSE(top[w] == -INFINITY, (V){0}, top[w]);
}

INLINE void invert(V *sum)
{
    *sum = CHOOSE(*sum == 0, (V){0}, 1 / *sum);
}

INLINE void softmax_of(const int wide, int64_t keys, int64_t step, float *x, float *share)
{
    V top[HEAD_WIDE], sum[HEAD_WIDE];
    tops(wide, keys, step, x, top);
    for (int w = 0; w < wide; w++)
        sum[w] = (V){0};
    for (int64_t j = 0; j < keys; j++, x += step)
        for (int w = 0; w < wide; w++) {
            V y = AT(x + w * HEAD_LANES) - top[w];
            exp_below(&y);
            PUT(x + w * HEAD_LANES) = y;
            sum[w] += y;
        }
    for (int w = 0; w < wide; w++) {
        invert(&sum[w]);
        PUT(share + w * HEAD_LANES) = sum[w];
    }
}

INLINE void softmax_grad_of(const int wide, int64_t keys, int64_t step, float *x, float *g)
{
    V top[HEAD_WIDE], sum[HEAD_WIDE], dot[HEAD_WIDE];
    tops(wide, keys, step, x, top);
    for (int w = 0; w < wide; w++)
        sum[w] = dot[w] = (V){0};
    for (int64_t j = 0; j < keys * step; j += step)
        for (int w = 0; w < wide; w++) {
            float *at = x + j + w * HEAD_LANES;
            V y = AT(at) - top[w];
            exp_below(&y);
            PUT(at) = y;
            sum[w] += y;
            dot[w] += y * AT(g + j + w * HEAD_LANES);
        }
    for (int w = 0; w < wide; w++) {
        invert(&sum[w]);
        dot[w] *= sum[w];
    }
    for (int64_t j = 0; j < keys * step; j += step)
        for (int w = 0; w < wide; w++) {
            float *at = x + j + w * HEAD_LANES, *to = g + j + w * HEAD_LANES;
            V y = AT(at) * sum[w];
            PUT(at) = y;
            PUT(to) = y * (AT(to) - dot[w]);
        }
}

/* As many vectors at a time as there are registers for; [now] is a constant in each call. */
#define EACH_WIDE(call)                                                                                               \
    for (int64_t at = 0, now; at < wide; at += now) {                                                                 \
        now = wide - at < HEAD_WIDE ? wide - at : HEAD_WIDE;                                                          \
        switch (now) {                                                                                                \
        case 1: call(1, at * HEAD_LANES); break;                                                                      \
        case 2: call(2, at * HEAD_LANES); break;                                                                      \
        case 3: call(3, at * HEAD_LANES); break;                                                                      \
        case 4: call(4, at * HEAD_LANES); break;                                                                      \
        }                                                                                                             \
    }

static void softmax(int64_t keys, int64_t wide, float *x, float *share)
{
#define OF(n, at) softmax_of(n, keys, wide * HEAD_LANES, x + at, share + at)
    EACH_WIDE(OF)
#undef OF
}

static void softmax_grad(int64_t keys, int64_t wide, float *x, float *g)
{
#define OF(n, at) softmax_grad_of(n, keys, wide * HEAD_LANES, x + at, g + at)
    EACH_WIDE(OF)
#undef OF
}

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

extern const AttentionKernels JOIN(kernels_attention_, KERNELS_ISA);
const AttentionKernels JOIN(kernels_attention_, KERNELS_ISA) = {
    .product = product, .settle = settle, .turn = turn, .softmax = softmax,
    .softmax_grad = softmax_grad,
};
