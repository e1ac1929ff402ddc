/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template: the elementwise kernels of one element type, from the expressions in ops.def. The includer (kernels.c)
   defines T, U (T for floats, the unsigned type of the same width for ints), TAG (the dtype's name), VMATH(f), and
   ROWS_FLOAT, ROWS_ARITH, ROWS_SAME, ROWS_TEST, ROWS_LOGIC, ROWS_BITS, ROWS_INT, each as EMIT or SKIP: which classes
   of rows exist for T; GRADS as EMIT or SKIP. Loops hold no branch and no call (f64 and a few rows apart), so that the compiler vectorises
   them. Pointers of operands that a row does not read may be NULL. */

#define KERNEL__(name, tag) k_##name##_##tag
#define KERNEL_(name, tag) KERNEL__(name, tag)
#define KERNEL(name) KERNEL_(name, TAG)
#define EMIT(...) __VA_ARGS__
#define SKIP(...)

#define X (xs[i])
#define A (as[i])
#define B (bs[i])
#define Y (ys[i])
#define G (gs[i])

/* Before loops whose result may lie where an input lies, of the same size, and nowhere between. */
#ifdef __clang__
#define IN_PLACE _Pragma("clang loop vectorize(assume_safety)")
#else
#define IN_PLACE _Pragma("GCC ivdep")
#endif

/* Functions of one operand, which a set of kernels may have its own of. */
#define OWN_OR_THIS __attribute__((unused))

/* ---- values ---- */

#define VALUE_1(name, out, value)                                                                                   \
    OWN_OR_THIS static void KERNEL(name)(int64_t n, const void *x, void *y)                                         \
    {                                                                                                               \
        const T *xs = x;                                                                                            \
        out *to = y;                                                                                                \
        IN_PLACE                                                                                                    \
        for (int64_t i = 0; i < n; i++) to[i] = (out)(value);                                                       \
    }
#define VALUE_2(name, out, value)                                                                                   \
    static void KERNEL(name)(int64_t n, const void *a, const void *b, void *y)                                      \
    {                                                                                                               \
        const T *as = a, *bs = b;                                                                                   \
        out *to = y;                                                                                                \
        IN_PLACE                                                                                                    \
        for (int64_t i = 0; i < n; i++) to[i] = (out)(value);                                                       \
    }
#define OUT_FLOAT T
#define OUT_ARITH T
#define OUT_SAME T
#define OUT_TEST uint8_t
#define OUT_LOGIC uint8_t
#define OUT_BITS T
#define OUT_INT T

#define UNARY(name, class, value, ...) ROWS_##class(VALUE_1(name, OUT_##class, value))
#define BINARY(name, class, value, ...) ROWS_##class(VALUE_2(name, OUT_##class, value))
#include "ops.h"

/* ---- derivatives in one pass ---- */

#define GRADS_TEST SKIP
#define GRADS_LOGIC SKIP
#define GRADS_BITS SKIP
#define GRADS_INT SKIP
#define GRADS_FLOAT GRADS
#define GRADS_ARITH GRADS
#define GRADS_SAME GRADS

#define GRAD_1(name, value)                                                                                         \
    OWN_OR_THIS static void KERNEL(name##_grad)(int64_t n, const void *x, const void *y, const void *g, void *dx)   \
    {                                                                                                               \
        const T *xs = x, *ys = y, *gs = g;                                                                          \
        T *to = dx;                                                                                                 \
        (void)xs, (void)ys, (void)gs;                                                                               \
        IN_PLACE                                                                                                    \
        for (int64_t i = 0; i < n; i++) to[i] = (T)(value);                                                         \
    }
#define GRAD_2(name, value)                                                                                         \
    static void KERNEL(name)(int64_t n, const void *a, const void *b, const void *y, const void *g, void *d)        \
    {                                                                                                               \
        const T *as = a, *bs = b, *ys = y, *gs = g;                                                                 \
        T *to = d;                                                                                                  \
        (void)as, (void)bs, (void)ys, (void)gs;                                                                     \
        IN_PLACE                                                                                                    \
        for (int64_t i = 0; i < n; i++) to[i] = (T)(value);                                                         \
    }

#define UNARY(name, class, value, derivative, ...) GRADS_##class(GRAD_1(name, derivative))
#define BINARY(name, class, value, da, db, ...) GRADS_##class(GRAD_2(name##_da, da) GRAD_2(name##_db, db))
#include "ops.h"

#undef X
#undef A
#undef B
#undef Y
#undef G

/* ---- conversion and choice ---- */

#define TO_BOOL(name, ctype) CONVERT(name, ctype, xs[i] != (T)0)
#define TO_INT(name, ctype) INTS(CONVERT(name, ctype, xs[i]))
#define TO_FLOAT(name, ctype) CONVERT(name, ctype, xs[i])
#define TO_HALF(name, ctype)
#define CONVERT(name, ctype, value)                                                                                 \
    static void KERNEL(name)(int64_t n, const void *x, void *y)                                                \
    {                                                                                                               \
        const T *restrict xs = x;                                                                                   \
        ctype *restrict to = y;                                                                                     \
        for (int64_t i = 0; i < n; i++) to[i] = (ctype)(value);                                                     \
    }
#define DTYPE(name, ctype, class, ...) TO_##class(to_##name, ctype)
#include "dtypes.def"
#undef DTYPE

static void KERNEL(where)(int64_t n, const void *condition, const void *a, const void *b, void *y)
{
    const uint8_t *cs = condition;
    const T *as = a, *bs = b;
    T *restrict to = y;
    for (int64_t i = 0; i < n; i++) to[i] = cs[i] != 0 ? as[i] : bs[i];
}

static void KERNEL(clamp)(int64_t n, const void *x, const void *low, const void *high, void *y)
{
    const T *xs = x, least = *(const T *)low, most = *(const T *)high;
    T *restrict to = y;
    for (int64_t i = 0; i < n; i++) {
        T v = xs[i] < least ? least : xs[i];         /* NaN passes both */
        to[i] = v > most ? most : v;
    }
}

#undef KERNEL__
#undef KERNEL_
#undef KERNEL
#undef EMIT
#undef SKIP
#undef VALUE_1
#undef VALUE_2
#undef OUT_FLOAT
#undef OUT_ARITH
#undef OUT_SAME
#undef OUT_TEST
#undef OUT_LOGIC
#undef OUT_BITS
#undef OUT_INT
#undef GRADS_TEST
#undef GRADS_LOGIC
#undef GRADS_BITS
#undef GRADS_INT
#undef GRADS_FLOAT
#undef GRADS_ARITH
#undef GRADS_SAME
#undef IN_PLACE
#undef OWN_OR_THIS
#undef GRAD_1
#undef GRAD_2
#undef TO_BOOL
#undef TO_HALF
#undef TO_INT
#undef TO_FLOAT
#undef CONVERT
