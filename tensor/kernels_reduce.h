/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template: reductions over contiguous rows and over columns, of one element type. The includer (kernels.c) defines T,
   TAG, ACC (double for floats, int64_t for the rest: what partial results are kept in) and, for floats, IS_FLOAT and
   MASK (the signed integer of T's width). Floats are summed in lanes over short stretches and these in f64, so that
   the error does not grow with the length; the order of additions depends on lengths only. NaN wins in max and min. */

#define KERNEL__(name, tag) k_##name##_##tag
#define KERNEL_(name, tag) KERNEL__(name, tag)
#define KERNEL(name) KERNEL_(name, TAG)

#ifdef IS_FLOAT

typedef T KERNEL(lanes) __attribute__((vector_size(64)));
typedef T KERNEL(unaligned) __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
typedef MASK KERNEL(masks) __attribute__((vector_size(64)));
#define V KERNEL(lanes)
#define M KERNEL(masks)
#define LANES ((int64_t)(64 / sizeof(T)))

#define LOAD(x) ((V) * (const KERNEL(unaligned) *)(x))
#define STORE(x, v) (*(KERNEL(unaligned) *)(x) = (KERNEL(unaligned))(v))

/* Every fourth lane, and the four sums. */
static inline double KERNEL(add_lanes)(const V *v)
{
    typedef T Four __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
    typedef double Sums __attribute__((vector_size(32)));
    Sums sum = { 0 };
    for (int64_t i = 0; i < LANES; i += 4) sum += __builtin_convertvector(*(const Four *)((const T *)v + i), Sums);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline double KERNEL(sum_one)(int64_t n, const T *x)
{
    double sum = 0.0;
    int64_t i = 0;
    while (n - i >= LANES) {
        V a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
        int64_t end = n - i > 64 * LANES ? i + 64 * LANES : n;
        for (; end - i >= 4 * LANES; i += 4 * LANES) {
            a += LOAD(x + i);
            b += LOAD(x + i + LANES);
            c += LOAD(x + i + 2 * LANES);
            d += LOAD(x + i + 3 * LANES);
        }
        for (; end - i >= LANES; i += LANES) a += LOAD(x + i);
        a = (a + b) + (c + d);
        sum += KERNEL(add_lanes)(&a);
    }
    for (; i < n; i++) sum += (double)x[i];
    return sum;
}

/* sum of x y */
static inline double KERNEL(dot_one)(int64_t n, const T *x, const T *y)
{
    double sum = 0.0;
    int64_t i = 0;
    while (n - i >= LANES) {
        V a = { 0 }, b = { 0 };
        int64_t end = n - i > 64 * LANES ? i + 64 * LANES : n;
        for (; end - i >= 2 * LANES; i += 2 * LANES) {
            a += LOAD(x + i) * LOAD(y + i);
            b += LOAD(x + i + LANES) * LOAD(y + i + LANES);
        }
        for (; end - i >= LANES; i += LANES) a += LOAD(x + i) * LOAD(y + i);
        a += b;
        sum += KERNEL(add_lanes)(&a);
    }
    for (; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* sum of (x - mean)^2 */
static inline double KERNEL(spread_one)(int64_t n, const T *x, T mean)
{
    double sum = 0.0;
    int64_t i = 0;
    while (n - i >= LANES) {
        V a = { 0 }, b = { 0 };
        int64_t end = n - i > 64 * LANES ? i + 64 * LANES : n;
        for (; end - i >= 2 * LANES; i += 2 * LANES) {
            V p = LOAD(x + i) - mean, q = LOAD(x + i + LANES) - mean;
            a += p * p;
            b += q * q;
        }
        for (; end - i >= LANES; i += LANES) {
            V p = LOAD(x + i) - mean;
            a += p * p;
        }
        a += b;
        sum += KERNEL(add_lanes)(&a);
    }
    for (; i < n; i++) {
        double d = (double)(x[i] - mean);
        sum += d * d;
    }
    return sum;
}

static inline double KERNEL(prod_one)(int64_t n, const T *x)
{
    double product = 1.0;
    for (int64_t i = 0; i < n; i++) product *= (double)x[i];
    return product;
}

#define WINS(a, op, b) ((a)op(b) || (a) != (a))
#define EXTREME_ONE(name, op)                                                                                       \
    static inline double KERNEL(name)(int64_t n, const T *x)                                                        \
    {                                                                                                               \
        T best = x[0];                                                                                              \
        int64_t i = 0;                                                                                              \
        if (n >= 2 * LANES) {                                                                                       \
            V m = LOAD(x);                                                                                  \
            for (i = LANES; n - i >= LANES; i += LANES) {                                                           \
                V v = LOAD(x + i);                                                                          \
                M take = (M)(v op m) | (M)(v != v);                                                                 \
                m = (V)((take & (M)v) | (~take & (M)m));                                                            \
            }                                                                                                       \
            best = m[0];                                                                                            \
            for (int64_t k = 1; k < LANES; k++) best = WINS(m[k], op, best) ? m[k] : best;                          \
        }                                                                                                           \
        for (; i < n; i++) best = WINS(x[i], op, best) ? x[i] : best;                                               \
        return (double)best;                                                                                        \
    }
EXTREME_ONE(max_one, >)
EXTREME_ONE(min_one, <)

#else

static inline ACC KERNEL(sum_one)(int64_t n, const T *x)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (uint64_t)(int64_t)x[i];
    return (ACC)sum;
}

static inline ACC KERNEL(prod_one)(int64_t n, const T *x)
{
    uint64_t product = 1;
    for (int64_t i = 0; i < n; i++) product *= (uint64_t)(int64_t)x[i];
    return (ACC)product;
}

#define WINS(a, op, b) ((a)op(b))
#define EXTREME_ONE(name, op)                                                                                       \
    static inline ACC KERNEL(name)(int64_t n, const T *x)                                                           \
    {                                                                                                               \
        T best = x[0];                                                                                              \
        for (int64_t i = 1; i < n; i++) best = x[i] op best ? x[i] : best;                                          \
        return (ACC)best;                                                                                           \
    }
EXTREME_ONE(max_one, >)
EXTREME_ONE(min_one, <)

#endif

/* ---- rows: acc[r] of [rows] rows of [n] elements, n >= 1 ---- */

#define REDUCE_ROWS(name)                                                                                           \
    static void KERNEL(name##_rows)(int64_t rows, int64_t n, const void *x, void *acc)                              \
    {                                                                                                               \
        const T *xs = x;                                                                                            \
        ACC *to = acc;                                                                                              \
        for (int64_t r = 0; r < rows; r++) to[r] = KERNEL(name##_one)(n, xs + r * n);                               \
    }
REDUCE_ROWS(sum)
REDUCE_ROWS(prod)
REDUCE_ROWS(max)
REDUCE_ROWS(min)

/* ---- columns: acc[j] over [rows] rows that lie [stride] apart, j < n ---- */

#define COLUMN_TILE 512
#define COLUMN_ROWS 32

static void KERNEL(sum_columns)(int64_t rows, int64_t n, int64_t stride, const void *x, void *acc)
{
    const T *xs = x;
    ACC *to = acc;
    T part[COLUMN_TILE];
    for (int64_t j = 0; j < n; j++) to[j] = 0;
    for (int64_t r = 0; r < rows; r += COLUMN_ROWS) {
        int64_t end = rows - r > COLUMN_ROWS ? r + COLUMN_ROWS : rows;
        for (int64_t j = 0; j < n; j += COLUMN_TILE) {
            int64_t width = n - j > COLUMN_TILE ? COLUMN_TILE : n - j;
#ifdef IS_FLOAT
            for (int64_t k = 0; k < width; k++) part[k] = xs[r * stride + j + k];
            for (int64_t i = r + 1; i < end; i++)
                for (int64_t k = 0; k < width; k++) part[k] += xs[i * stride + j + k];
            for (int64_t k = 0; k < width; k++) to[j + k] += (ACC)part[k];
#else
            (void)part;
            for (int64_t i = r; i < end; i++)
                for (int64_t k = 0; k < width; k++)
                    to[j + k] = (ACC)((uint64_t)to[j + k] + (uint64_t)(int64_t)xs[i * stride + j + k]);
#endif
        }
    }
}

static void KERNEL(prod_columns)(int64_t rows, int64_t n, int64_t stride, const void *x, void *acc)
{
    const T *xs = x;
    ACC *to = acc;
    for (int64_t j = 0; j < n; j++) to[j] = 1;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) {
#ifdef IS_FLOAT
            to[j] *= (ACC)xs[i * stride + j];
#else
            to[j] = (ACC)((uint64_t)to[j] * (uint64_t)(int64_t)xs[i * stride + j]);
#endif
        }
}

#define EXTREME_COLUMNS(name, op)                                                                                   \
    static void KERNEL(name)(int64_t rows, int64_t n, int64_t stride, const void *x, void *acc)                     \
    {                                                                                                               \
        const T *xs = x;                                                                                            \
        ACC *to = acc;                                                                                              \
        T best[COLUMN_TILE];                                                                                        \
        for (int64_t j = 0; j < n; j += COLUMN_TILE) {                                                              \
            int64_t width = n - j > COLUMN_TILE ? COLUMN_TILE : n - j;                                              \
            for (int64_t k = 0; k < width; k++) best[k] = xs[j + k];                                                \
            for (int64_t i = 1; i < rows; i++)                                                                      \
                for (int64_t k = 0; k < width; k++) {                                                               \
                    T v = xs[i * stride + j + k];                                                                   \
                    best[k] = WINS(v, op, best[k]) ? v : best[k];                                                   \
                }                                                                                                   \
            for (int64_t k = 0; k < width; k++) to[j + k] = (ACC)best[k];                                           \
        }                                                                                                           \
    }
EXTREME_COLUMNS(max_columns, >)
EXTREME_COLUMNS(min_columns, <)

/* ---- where the extreme stands: the first of equals, the first NaN before all ---- */

#define ARG_ROWS(name, one)                                                                                         \
    static void KERNEL(name)(int64_t rows, int64_t n, const void *x, void *index)                                   \
    {                                                                                                               \
        const T *xs = x;                                                                                            \
        int64_t *to = index;                                                                                        \
        for (int64_t r = 0; r < rows; r++, xs += n) {                                                               \
            T best = (T)KERNEL(one)(n, xs);                                                                         \
            int64_t i = 0;                                                                                          \
            while (best == best ? xs[i] != best : xs[i] == xs[i]) i++;                                              \
            to[r] = i;                                                                                              \
        }                                                                                                           \
    }
ARG_ROWS(argmax_rows, max_one)
ARG_ROWS(argmin_rows, min_one)

/* Running sums of rows, backwards when [reverse]. */
static void KERNEL(cumsum_rows)(int64_t rows, int64_t n, bool reverse, const void *x, void *y)
{
    const T *xs = x;
#ifdef IS_FLOAT
    T *to = y;
#else
    int64_t *to = y;
#endif
    for (int64_t r = 0; r < rows; r++, xs += n, to += n) {
#ifdef IS_FLOAT
        double sum = 0.0;
        for (int64_t k = 0; k < n; k++) {
            int64_t i = reverse ? n - 1 - k : k;
            sum += (double)xs[i];
            to[i] = (T)sum;
        }
#else
        uint64_t sum = 0;
        for (int64_t k = 0; k < n; k++) {
            int64_t i = reverse ? n - 1 - k : k;
            sum += (uint64_t)(int64_t)xs[i];
            to[i] = (int64_t)sum;
        }
#endif
    }
}

#undef REDUCE_ROWS
#undef EXTREME_ONE
#undef EXTREME_COLUMNS
#undef ARG_ROWS
#undef COLUMN_TILE
#undef COLUMN_ROWS
#undef WINS
#ifndef KEEP_KERNEL_NAMES
#undef KERNEL__
#undef KERNEL_
#undef KERNEL
#undef V
#undef M
#undef LANES
#undef LOAD
#endif
