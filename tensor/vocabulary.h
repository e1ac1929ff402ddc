/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words that the expressions of UNARY and BINARY rows may use, in one of two meanings that the includer asks for:

   VOCABULARY_SCALAR: C arithmetic on one element of type T; VMATH(f) names the function f for T. Operands X, A, B, Y, G
                      are elements. kernels_elementwise.h reads rows so.
   VOCABULARY_GRAPH:  calls of ops through the Scope *s on tensors, which can be differentiated again. op_elementwise.c
                      reads derivatives so; words that no derivative uses have no such meaning.

   A word is defined in both lists or says why not. */

#if defined VOCABULARY_SCALAR

#define C(k) ((T)(k))
#define ZERO ((T)0)
#define NEG(a) ((T)-(U)(a))                  /* U: T itself, for ints the unsigned type of its width, which wraps */
#define ADD(a, b) ((T)((U)(a) + (U)(b)))
#define SUB(a, b) ((T)((U)(a) - (U)(b)))
#define MUL(a, b) ((T)((U)(a) * (U)(b)))
#define DIV(a, b) ((T)((a) / (b)))
#define FLOORDIV(a, b) VMATH(floordiv)(a, b)
#define MOD(a, b) VMATH(mod)(a, b)
#define POW(a, b) VMATH(pow)(a, b)
#define ATAN2(a, b) VMATH(atan2)(a, b)
#define ABS(a) VMATH(abs)(a)
#define EXP(a) VMATH(exp)(a)
#define EXPM1(a) VMATH(expm1)(a)
#define LOG(a) VMATH(log)(a)
#define LOG1P(a) VMATH(log1p)(a)
#define LOG2(a) VMATH(log2)(a)
#define SQRT(a) VMATH(sqrt)(a)
#define SIN(a) VMATH(sin)(a)
#define COS(a) VMATH(cos)(a)
#define TAN(a) VMATH(tan)(a)
#define TANH(a) VMATH(tanh)(a)
#define SIGMOID(a) VMATH(sigmoid)(a)
#define ERF(a) VMATH(erf)(a)
#define GELU_GATE(a) VMATH(gelu_gate)(a)
#define GELU_SLOPE(a) VMATH(gelu_slope)(a)
#define SINH(a) VMATH(sinh)(a)
#define COSH(a) VMATH(cosh)(a)
#define ASIN(a) VMATH(asin)(a)
#define ACOS(a) VMATH(acos)(a)
#define ATAN(a) VMATH(atan)(a)
#define ASINH(a) VMATH(asinh)(a)
#define ACOSH(a) VMATH(acosh)(a)
#define ATANH(a) VMATH(atanh)(a)
#define EXP2(a) VMATH(exp2)(a)
#define LOG10(a) VMATH(log10)(a)
#define CBRT(a) VMATH(cbrt)(a)
#define HYPOT(a, b) VMATH(hypot)(a, b)
#define FMOD(a, b) VMATH(fmod)(a, b)
#define COPYSIGN(a, b) VMATH(copysign)(a, b)
#define NEXTAFTER(a, b) VMATH(nextafter)(a, b)
#define SINC(a) VMATH(sinc)(a)
#define ERFC(a) VMATH(erfc)(a)
#define ERFINV(a) VMATH(erfinv)(a)
#define NDTR(a) VMATH(ndtr)(a)
#define NDTRI(a) VMATH(ndtri)(a)
#define LOG_NDTR(a) VMATH(log_ndtr)(a)
#define LGAMMA(a) VMATH(lgamma)(a)
#define DIGAMMA(a) VMATH(digamma)(a)
#define TRIGAMMA(a) VMATH(trigamma)(a)
#define I0(a) VMATH(i0)(a)
#define I1(a) VMATH(i1)(a)
#define I0E(a) VMATH(i0e)(a)
#define I1E(a) VMATH(i1e)(a)
#define GCD(a, b) VMATH(gcd)(a, b)
#define LCM(a, b) VMATH(lcm)(a, b)
#define SHIFT_LEFT(a, b) VMATH(shift_left)(a, b)
#define SHIFT_RIGHT(a, b) VMATH(shift_right)(a, b)
#define FLOOR(a) VMATH(floor)(a)
#define CEIL(a) VMATH(ceil)(a)
#define ROUND(a) VMATH(round)(a)
#define TRUNC(a) VMATH(trunc)(a)
#define TANH_SOFTPLUS(a) VMATH(tanh_softplus)(a)
#define SIGN(a) ((a) != (a) ? (a) : (T)(((a) > (T)0) - ((a) < (T)0)))
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))      /* NaN wins */
#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define FMAX(a, b) ((a) > (b) || (b) != (b) ? (a) : (b))     /* NaN loses */
#define FMIN(a, b) ((a) < (b) || (b) != (b) ? (a) : (b))
#define SELECT(c, a, b) ((c) ? (a) : (b))
#define EQ(a, b) ((a) == (b))
#define NE(a, b) ((a) != (b))
#define LT(a, b) ((a) < (b))
#define LE(a, b) ((a) <= (b))
#define GT(a, b) ((a) > (b))
#define GE(a, b) ((a) >= (b))
#define AND(a, b) ((a) & (b))
#define OR(a, b) ((a) | (b))
#define XOR(a, b) ((a) ^ (b))
#define NOT(a) ((a) == 0)
#define COMPLEMENT(a) ((T)~(U)(a))
#define FINITE(a) ((a) - (a) == (T)0)

#elif defined VOCABULARY_GRAPH

#define C(k) s_const(s, (double)(k))
#define ZERO NULL
#define NEG(a) s_neg(s, a)
#define ADD(a, b) s_add(s, a, b)
#define SUB(a, b) s_sub(s, a, b)
#define MUL(a, b) s_mul(s, a, b)
#define DIV(a, b) s_div(s, a, b)
#define FLOORDIV(a, b) s_binary(s, OP_floordiv, a, b)
#define POW(a, b) s_binary(s, OP_pow, a, b)
#define EXP(a) s_unary(s, OP_exp, a)
#define LOG(a) s_unary(s, OP_log, a)
#define SQRT(a) s_unary(s, OP_sqrt, a)
#define SIN(a) s_unary(s, OP_sin, a)
#define COS(a) s_unary(s, OP_cos, a)
#define TANH(a) s_unary(s, OP_tanh, a)
#define SIGMOID(a) s_unary(s, OP_sigmoid, a)
#define ERF(a) s_unary(s, OP_erf, a)
#define GELU_SLOPE(a)                                                                                               \
    ADD(MUL(C(0.5), ADD(C(1), ERF(MUL(a, C(0.70710678118654752440))))),                                             \
        MUL(MUL(a, C(0.39894228040143267794)), EXP(MUL(C(-0.5), MUL(a, a)))))
#define SIGN(a) s_unary(s, OP_sign, a)
#define EXPM1(a) s_unary(s, OP_expm1, a)
#define SINH(a) s_unary(s, OP_sinh, a)
#define COSH(a) s_unary(s, OP_cosh, a)
#define LOG_NDTR(a) s_unary(s, OP_log_ndtr, a)
#define DIGAMMA(a) s_unary(s, OP_digamma, a)
#define TRIGAMMA(a) s_polygamma(s, 1, a)
#define TANH_SOFTPLUS(a) s_unary(s, OP_tanh, s_unary(s, OP_softplus, a))
#define I0(a) s_unary(s, OP_i0, a)
#define I1(a) s_unary(s, OP_i1, a)
#define I0E(a) s_unary(s, OP_i0e, a)
#define I1E(a) s_unary(s, OP_i1e, a)
#define TRUNC(a) s_unary(s, OP_trunc, a)
#define COPYSIGN(a, b) s_binary(s, OP_copysign, a, b)
#define MAX(a, b) s_binary(s, OP_maximum, a, b)
#define MIN(a, b) s_binary(s, OP_minimum, a, b)
#define NE(a, b) s_binary(s, OP_ne, a, b)
#define LE(a, b) s_binary(s, OP_le, a, b)
#define AND(a, b) s_binary(s, OP_logical_and, a, b)
#define OR(a, b) s_binary(s, OP_logical_or, a, b)
#define SELECT(c, a, b) s_where(s, c, a, b)
#define EQ(a, b) s_binary(s, OP_eq, a, b)
#define GT(a, b) s_binary(s, OP_gt, a, b)
#define LT(a, b) s_binary(s, OP_lt, a, b)
/* GELU_GATE MOD ATAN2 ABS LOG1P LOG2 TAN FLOOR CEIL ROUND GE XOR NOT FINITE ASIN ACOS ATAN ASINH ACOSH ATANH EXP2
   LOG10 CBRT HYPOT FMOD NEXTAFTER SINC ERFC
   ERFINV NDTR NDTRI LGAMMA GCD LCM SHIFT_LEFT SHIFT_RIGHT FMAX FMIN COMPLEMENT:
   in values only */

#else
#error "ask for one meaning of the vocabulary"
#endif
