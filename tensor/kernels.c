/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels of one instruction set: compiled once for each, with KERNELS_ISA naming it and the matching -m flags,
   and exported as kernels_ISA. Which functions there are follows from ops.def; the loops stand in the templates. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"     /* loops that are to be vectors call functions of libm, of f64 mostly */
#endif

#include "half.h"
#include "kernels.h"

#include "vmath.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

#define VOCABULARY_SCALAR
#include "vocabulary.h"

/* Whole numbers in the vocabulary: division floors, and what overflows wraps. Nobody divides by zero or takes a
   negative power here: op_elementwise.c looks first. */
#define WHOLE_NUMBERS(tag, type, unsigned_type)                                                                     \
    static inline type v_##tag##_floordiv(type a, type b)                                                           \
    {                                                                                                               \
        if (b == -1) return (type)(0 - (unsigned_type)a);                                                           \
        type q = (type)(a / b);                                                                                     \
        return (type)(q - (a % b != 0 && (a < 0) != (b < 0)));                                                      \
    }                                                                                                               \
    static inline type v_##tag##_mod(type a, type b)                                                                \
    {                                                                                                               \
        if (b == -1) return 0;                                                                                      \
        type r = (type)(a % b);                                                                                     \
        return (type)(r != 0 && (r < 0) != (b < 0) ? r + b : r);                                                    \
    }                                                                                                               \
    static inline type v_##tag##_pow(type a, type b)                                                                \
    {                                                                                                               \
        unsigned_type base = (unsigned_type)a, y = 1;                                                               \
        for (; b > 0; b = (type)(b / 2)) {                                                                          \
            if (b % 2 != 0) y *= base;                                                                              \
            base *= base;                                                                                           \
        }                                                                                                           \
        return (type)y;                                                                                             \
    }                                                                                                               \
    static inline type v_##tag##_fmod(type a, type b) { return b == -1 ? 0 : (type)(a % b); }                        \
    static inline type v_##tag##_abs(type a) { return a < 0 ? (type)(0 - (unsigned_type)a) : a; }
WHOLE_NUMBERS(i32, int32_t, uint32_t)
WHOLE_NUMBERS(i64, int64_t, uint64_t)
#define v_u8_abs(a) (a)

/* [beyond]: what is left of `a` when it is moved down by its width or more */
#define BIT_PATTERNS(tag, type, unsigned_type, width, beyond)                                                       \
    static inline type v_##tag##_shift_left(type a, type b)                                                         \
    {                                                                                                               \
        return (type)(b < width ? (unsigned_type)a << b : 0);                                                       \
    }                                                                                                               \
    static inline type v_##tag##_shift_right(type a, type b)                                                        \
    {                                                                                                               \
        return (type)(b < width ? a >> b : (beyond));                                                               \
    }                                                                                                               \
    static inline type v_##tag##_gcd(type a, type b)                                                                \
    {                                                                                                               \
        unsigned_type x = (unsigned_type)v_##tag##_abs(a), y = (unsigned_type)v_##tag##_abs(b);                       \
        while (y != 0) {                                                                                            \
            unsigned_type rest = x % y;                                                                             \
            x = y;                                                                                                  \
            y = rest;                                                                                               \
        }                                                                                                           \
        return (type)x;                                                                                             \
    }                                                                                                               \
    static inline type v_##tag##_lcm(type a, type b)                                                                \
    {                                                                                                               \
        unsigned_type d = (unsigned_type)v_##tag##_gcd(a, b);                                                       \
        return (type)(d == 0 ? 0 : (unsigned_type)v_##tag##_abs(a) / d * (unsigned_type)v_##tag##_abs(b));            \
    }
BIT_PATTERNS(u8, uint8_t, unsigned, 8, 0)
BIT_PATTERNS(i32, int32_t, uint32_t, 32, a < 0 ? -1 : 0)
BIT_PATTERNS(i64, int64_t, uint64_t, 64, a < 0 ? -1 : 0)

#define ROWS_SAME EMIT
#define ROWS_TEST EMIT
#define ROWS_BITS EMIT
#define ROWS_INT EMIT

#define GRADS SKIP
#define INTS EMIT
#define ROWS_FLOAT SKIP

#define VMATH_INT(tag, f) v_##tag##_##f
#define v_whole(a) (a)

/* floor, ceil, round and trunc of whole numbers */
#define v_u8_floor v_whole
#define v_u8_ceil v_whole
#define v_u8_round v_whole
#define v_u8_trunc v_whole
#define v_i32_floor v_whole
#define v_i32_ceil v_whole
#define v_i32_round v_whole
#define v_i32_trunc v_whole
#define v_i64_floor v_whole
#define v_i64_ceil v_whole
#define v_i64_round v_whole
#define v_i64_trunc v_whole

#define ACC int64_t

#define T uint8_t
#define U unsigned
#define TAG u8
#define VMATH(f) VMATH_INT(u8, f)
#define ROWS_ARITH SKIP
#define ROWS_LOGIC EMIT
#include "kernels_elementwise.h"
#include "kernels_reduce.h"
#undef ROWS_ARITH
#undef ROWS_LOGIC
#undef T
#undef U
#undef TAG
#undef VMATH

#define ROWS_ARITH EMIT
#define ROWS_LOGIC SKIP

#define T int32_t
#define U uint32_t
#define TAG i32
#define VMATH(f) VMATH_INT(i32, f)
#include "kernels_elementwise.h"
#include "kernels_reduce.h"
#undef T
#undef U
#undef TAG
#undef VMATH

#define T int64_t
#define U uint64_t
#define TAG i64
#define VMATH(f) VMATH_INT(i64, f)
#include "kernels_elementwise.h"
#include "kernels_reduce.h"
#undef T
#undef U
#undef TAG
#undef VMATH

#undef GRADS
#undef INTS
#undef ROWS_FLOAT
#undef ROWS_BITS
#undef ROWS_INT
#undef ACC
#define ACC double
#define IS_FLOAT
#define KEEP_KERNEL_NAMES
#define GRADS EMIT
#define INTS SKIP
#define ROWS_FLOAT EMIT
#define ROWS_BITS SKIP
#define ROWS_INT SKIP

#define T float
#define U float
#define TAG f32
#define VMATH(f) vf_##f
#define MASK int32_t
#include "kernels_elementwise.h"
#include "kernels_reduce.h"
#include "kernels_rows.h"
#undef MASK
#undef T
#undef U
#undef TAG
#undef VMATH

#define T double
#define U double
#define TAG f64
#define VMATH(f) vd_##f
#define MASK int64_t
#include "kernels_elementwise.h"
#include "kernels_reduce.h"
#include "kernels_rows.h"
#undef MASK
#undef T
#undef U
#undef TAG
#undef VMATH

/* ---- f16 and bf16, which are only converted ---- */

#define CONVERT_HALF(from, to, F, T)                                                                                \
    static void k_##from##_to_##to(int64_t n, const void *x, void *y)                                               \
    {                                                                                                               \
        const F *restrict xs = x;                                                                                   \
        T *restrict ys = y;                                                                                         \
        for (int64_t i = 0; i < n; i++) ys[i] = to##_from_##from(xs[i]);                                            \
    }
CONVERT_HALF(f16, f32, uint16_t, float)
CONVERT_HALF(bf16, f32, uint16_t, float)
CONVERT_HALF(f32, f16, float, uint16_t)
CONVERT_HALF(f32, bf16, float, uint16_t)

/* ---- the tables ---- */

#if defined __AVX512F__ && defined __AVX512DQ__
#include "kernels_gelu.h"
#define k_gelu_f32 k_gelu_cells      /* in place of the template's */
#define k_gelu_grad_f32 k_gelu_grad_cells
#endif

#define TABLE_FLOAT(k) { [DTYPE_f32] = k##_f32, [DTYPE_f64] = k##_f64 }
#define TABLE_ARITH(k) { [DTYPE_i32] = k##_i32, [DTYPE_i64] = k##_i64, [DTYPE_f32] = k##_f32, [DTYPE_f64] = k##_f64 }
#define TABLE_SAME(k)                                                                                               \
    { [DTYPE_bool] = k##_u8, [DTYPE_u8] = k##_u8, [DTYPE_i32] = k##_i32, [DTYPE_i64] = k##_i64,                     \
      [DTYPE_f32] = k##_f32, [DTYPE_f64] = k##_f64 }
#define TABLE_TEST TABLE_SAME
#define TABLE_LOGIC(k) { [DTYPE_bool] = k##_u8 }
#define TABLE_INT(k) { [DTYPE_u8] = k##_u8, [DTYPE_i32] = k##_i32, [DTYPE_i64] = k##_i64 }
#define TABLE_BITS(k)                                                                                               \
    { [DTYPE_bool] = k##_u8, [DTYPE_u8] = k##_u8, [DTYPE_i32] = k##_i32, [DTYPE_i64] = k##_i64 }
#define GRADS_FLOAT TABLE_FLOAT
#define GRADS_ARITH TABLE_FLOAT
#define GRADS_SAME TABLE_FLOAT
#define GRADS_TEST(k) { NULL }
#define GRADS_LOGIC(k) { NULL }
#define GRADS_BITS(k) { NULL }
#define GRADS_INT(k) { NULL }

#define KERNELS__(isa) kernels_##isa
#define KERNELS_(isa) KERNELS__(isa)
#define TEXT_(text) #text
#define TEXT(text) TEXT_(text)
#define CONVERT_INT(tag)                                                                                            \
    { [DTYPE_bool] = k_to_bool_##tag, [DTYPE_u8] = k_to_u8_##tag, [DTYPE_i32] = k_to_i32_##tag,                     \
      [DTYPE_i64] = k_to_i64_##tag, [DTYPE_f32] = k_to_f32_##tag, [DTYPE_f64] = k_to_f64_##tag }
#define CONVERT_FLOAT(tag)                                                                                          \
    [DTYPE_bool] = k_to_bool_##tag, [DTYPE_f32] = k_to_f32_##tag, [DTYPE_f64] = k_to_f64_##tag

extern const Kernels KERNELS_(KERNELS_ISA);
const Kernels KERNELS_(KERNELS_ISA) = {
    .isa = TEXT(KERNELS_ISA),
    .convert = {
        [DTYPE_bool] = CONVERT_INT(u8), [DTYPE_u8] = CONVERT_INT(u8), [DTYPE_i32] = CONVERT_INT(i32),
        [DTYPE_i64] = CONVERT_INT(i64), [DTYPE_f16] = { [DTYPE_f32] = k_f16_to_f32 },
        [DTYPE_bf16] = { [DTYPE_f32] = k_bf16_to_f32 },
        [DTYPE_f32] = { CONVERT_FLOAT(f32), [DTYPE_f16] = k_f32_to_f16, [DTYPE_bf16] = k_f32_to_bf16 },
        [DTYPE_f64] = { CONVERT_FLOAT(f64) },
    },
    .unary = {
#define UNARY(name, class, ...) [UNARY_##name] = TABLE_##class(k_##name),
#include "ops.h"
    },
    .unary_grad = {
#define UNARY(name, class, ...) [UNARY_##name] = GRADS_##class(k_##name##_grad),
#include "ops.h"
    },
    .binary = {
#define BINARY(name, class, ...) [BINARY_##name] = TABLE_##class(k_##name),
#include "ops.h"
    },
    .binary_grad = {
#define BINARY(name, class, ...) [BINARY_##name] = { GRADS_##class(k_##name##_da), GRADS_##class(k_##name##_db) },
#include "ops.h"
    },
    .where = TABLE_SAME(k_where),
    .clamp = TABLE_SAME(k_clamp),
    .reduce_rows = { TABLE_SAME(k_sum_rows), TABLE_SAME(k_prod_rows), TABLE_SAME(k_max_rows), TABLE_SAME(k_min_rows) },
    .reduce_columns = { TABLE_SAME(k_sum_columns), TABLE_SAME(k_prod_columns), TABLE_SAME(k_max_columns),
                        TABLE_SAME(k_min_columns) },
    .argmax = TABLE_SAME(k_argmax_rows),
    .argmin = TABLE_SAME(k_argmin_rows),
    .cumsum = TABLE_SAME(k_cumsum_rows),
    .softmax = TABLE_FLOAT(k_softmax),
    .log_softmax = TABLE_FLOAT(k_log_softmax),
    .logsumexp = TABLE_FLOAT(k_logsumexp),
    .softmax_grad = TABLE_FLOAT(k_softmax_grad),
    .log_softmax_grad = TABLE_FLOAT(k_log_softmax_grad),
    .layer_norm = TABLE_FLOAT(k_layer_norm),
    .layer_norm_grad = TABLE_FLOAT(k_layer_norm_grad),
    .channel_stats = TABLE_FLOAT(k_channel_stats),
    .channel_affine = TABLE_FLOAT(k_channel_affine),
    .channel_sums = TABLE_FLOAT(k_channel_sums),
    .channel_grad = TABLE_FLOAT(k_channel_grad),
    .cross_entropy = TABLE_FLOAT(k_cross_entropy),
    .cross_entropy_grad = TABLE_FLOAT(k_cross_entropy_grad),
    .dot = TABLE_FLOAT(k_dot),
    .sgd = TABLE_FLOAT(k_sgd),
    .adam = TABLE_FLOAT(k_adam),
    .adam_direction = TABLE_FLOAT(k_adam_direction),
    .blend = TABLE_FLOAT(k_blend),
};
