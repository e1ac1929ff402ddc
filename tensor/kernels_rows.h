/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template: kernels over rows and planes of floats: softmax, norms, cross-entropy, optimiser updates. Included by
   kernels.c after kernels_reduce.h (with KEEP_KERNEL_NAMES), whose sums it uses. Every row is read from cache after its
   first pass; results of a row depend on that row only. */

#define TILE 512

/* Before a loop with more pointers than the compiler would compare: none of them overlap. */
#ifdef __clang__
#define NO_OVERLAP _Pragma("clang loop vectorize(assume_safety)")
#else
#define NO_OVERLAP _Pragma("GCC ivdep")
#endif

/* ---- softmax ---- */

/* Sum of e^(x - top); the powers themselves to [y] when it is given. */
static inline double KERNEL(exp_sum)(int64_t n, const T *x, T top, T *y)
{
    double sum = 0.0;
    T tile[TILE];
    for (int64_t j = 0; j < n; j += TILE) {
        int64_t width = n - j < TILE ? n - j : TILE;
        T *restrict to = y ? y + j : tile;
        for (int64_t k = 0; k < width; k++) to[k] = VMATH(exp)(x[j + k] - top);
        sum += KERNEL(sum_one)(width, to);
    }
    return sum;
}

static void KERNEL(softmax)(int64_t rows, int64_t n, const void *x, void *y)
{
    const T *xs = x;
    T *ys = y;
    for (int64_t r = 0; r < rows; r++, xs += n, ys += n) {
        T scale = (T)(1.0 / KERNEL(exp_sum)(n, xs, (T)KERNEL(max_one)(n, xs), ys));
        for (int64_t j = 0; j < n; j++) ys[j] *= scale;
    }
}

static void KERNEL(log_softmax)(int64_t rows, int64_t n, const void *x, void *y)
{
    const T *xs = x;
    T *restrict ys = y;
    for (int64_t r = 0; r < rows; r++, xs += n, ys += n) {
        T top = (T)KERNEL(max_one)(n, xs), rest = (T)log(KERNEL(exp_sum)(n, xs, top, NULL));
        for (int64_t j = 0; j < n; j++) ys[j] = (xs[j] - top) - rest;
    }
}

static void KERNEL(logsumexp)(int64_t rows, int64_t n, const void *x, void *y)
{
    const T *xs = x;
    T *ys = y;
    for (int64_t r = 0; r < rows; r++, xs += n) {
        T top = (T)KERNEL(max_one)(n, xs);
        ys[r] = top - top == 0 ? (T)((double)top + log(KERNEL(exp_sum)(n, xs, top, NULL))) : top;
    }
}

static void KERNEL(softmax_grad)(int64_t rows, int64_t n, const void *y, const void *g, void *dx)
{
    const T *ys = y, *gs = g;
    T *to = dx;               /* or g itself */
    for (int64_t r = 0; r < rows; r++, ys += n, gs += n, to += n) {
        T s = (T)KERNEL(dot_one)(n, ys, gs);
        NO_OVERLAP
        for (int64_t j = 0; j < n; j++) to[j] = ys[j] * (gs[j] - s);
    }
}

static void KERNEL(log_softmax_grad)(int64_t rows, int64_t n, const void *y, const void *g, void *dx)
{
    const T *ys = y, *gs = g;
    T *to = dx;               /* or g itself */
    for (int64_t r = 0; r < rows; r++, ys += n, gs += n, to += n) {
        T s = (T)KERNEL(sum_one)(n, gs);
        NO_OVERLAP
        for (int64_t j = 0; j < n; j++) to[j] = gs[j] - VMATH(exp)(ys[j]) * s;
    }
}

/* ---- layer norm: weight and bias may be NULL ---- */

/* Rows are asked for while earlier ones are worked on, in elements from what is read. */
static inline int64_t KERNEL(rows_ahead)(int64_t n) { return n < 512 ? 1024 : n > 2048 ? 4096 : 2 * n; }
#define FETCH(from, elements) __builtin_prefetch((const void *)((uintptr_t)(from) + (uintptr_t)(elements) * sizeof(T)))

/* Short rows are worked on together: while the sum across lanes or the root of one is waited for the others go on, and
   weights and what is added for them are read and written once for all. Long ones would push each other out of the
   cache. */
#define TOGETHER 4
static inline int64_t KERNEL(rows_together)(int64_t rows, int64_t n)
{
    return n <= 256 && rows >= TOGETHER ? TOGETHER : 1;
}

static inline void KERNEL(row_stats)(int64_t rows, int64_t n, const T *x, double eps, bool centre, T *mean, T *scale)
{
    for (int64_t r = 0; r < rows; r++) mean[r] = centre ? (T)(KERNEL(sum_one)(n, x + r * n) / (double)n) : 0;
    for (int64_t r = 0; r < rows; r++)
        scale[r] = (T)(1.0 / sqrt(KERNEL(spread_one)(n, x + r * n, mean[r]) / (double)n + eps));
}

static inline void KERNEL(norm_row)(int64_t n, const T *x, const T *w, const T *b, T mean, T scale, T *restrict to)
{
    int64_t ahead = KERNEL(rows_ahead)(n), j = 0;
    for (; n - j >= LANES; j += LANES) {
        FETCH(x + j, ahead);
        V v = (LOAD(x + j) - mean) * scale;
        if (w) v *= LOAD(w + j);
        if (b) v += LOAD(b + j);
        STORE(to + j, v);
    }
    for (; j < n; j++) to[j] = (x[j] - mean) * scale * (w ? w[j] : 1) + (b ? b[j] : 0);
}

static void KERNEL(layer_norm)(int64_t rows, int64_t n, const void *x, const void *weight, const void *bias, double eps,
                               bool centre, void *y)
{
    const T *xs = x;
    T *to = y, mean[TOGETHER], scale[TOGETHER];
    for (int64_t r = 0, count; r < rows; r += count) {
        count = KERNEL(rows_together)(rows - r, n);
        KERNEL(row_stats)(count, n, xs + r * n, eps, centre, mean, scale);
        for (int64_t k = 0; k < count; k++)
            KERNEL(norm_row)(n, xs + (r + k) * n, weight, bias, mean[k], scale[k], to + (r + k) * n);
    }
}

/* One vector of a row: what its gradients of w and b get is added, and the two sums go on. */
static inline void KERNEL(norm_sum)(const T *x, const T *g, const T *w, T mean, T scale, V *dw, V *db, V *sum_p,
                                    V *sum_q)
{
    V dy = LOAD(g), unit = (LOAD(x) - mean) * scale, p = w ? dy * LOAD(w) : dy;
    *sum_p += p;
    *sum_q += p * unit;
    *dw += dy * unit;
    *db += dy;
}

/* For [count] rows, 1 or TOGETHER: the sums over each of p = g w and of p times the normalised x; dw and db are added
   to. One row alone has two sums of each, so that none waits for itself. */
static inline __attribute__((always_inline)) void KERNEL(norm_sums)(int64_t count, int64_t n, const T *x, const T *g,
                                                                    const T *w, const T *mean, const T *scale, T *dw,
                                                                    T *db, double *sum_p, double *sum_q)
{
    const int64_t ahead = KERNEL(rows_ahead)(n), wide = count == 1 ? 2 : 1;
    int64_t j = 0;
    for (int64_t k = 0; k < count; k++) sum_p[k] = sum_q[k] = 0.0;
    while (n - j >= LANES) {
        V p[TOGETHER] = { { 0 } }, q[TOGETHER] = { { 0 } };
        int64_t end = n - j > 64 * LANES ? j + 64 * LANES : n;
        while (end - j >= LANES)
            for (int64_t v = 0; v < wide && end - j >= LANES; v++, j += LANES) {
                V dws = LOAD(dw + j), dbs = LOAD(db + j);
#pragma GCC unroll 4
                for (int64_t k = 0; k < count; k++) {
                    FETCH(x + k * n + j, ahead);
                    KERNEL(norm_sum)(x + k * n + j, g + k * n + j, w ? w + j : NULL, mean[k], scale[k], &dws, &dbs,
                                     &p[k + v], &q[k + v]);
                }
                STORE(dw + j, dws);
                STORE(db + j, dbs);
            }
        if (wide == 2) {
            p[0] += p[1];
            q[0] += q[1];
        }
#pragma GCC unroll 4
        for (int64_t k = 0; k < count; k++) {
            sum_p[k] += KERNEL(add_lanes)(&p[k]);
            sum_q[k] += KERNEL(add_lanes)(&q[k]);
        }
    }
    for (; j < n; j++)
        for (int64_t k = 0; k < count; k++) {
            T dy = g[k * n + j], unit = (x[k * n + j] - mean[k]) * scale[k], p = w ? dy * w[j] : dy;
            dw[j] += dy * unit;
            db[j] += dy;
            sum_p[k] += (double)p;
            sum_q[k] += (double)(p * unit);
        }
}

/* dx of a row, over g or x if it is one of these */
static inline void KERNEL(norm_row_grad)(int64_t n, const T *x, const T *g, const T *w, T mean, T scale, T mean_p,
                                         T mean_q, T *to)
{
    int64_t ahead = KERNEL(rows_ahead)(n), j = 0;
    T slope = -scale * scale * mean_q;
    for (; n - j >= LANES; j += LANES) {
        FETCH(g + j, ahead);
        V p = w ? LOAD(g + j) * LOAD(w + j) : LOAD(g + j);
        STORE(to + j, (p - mean_p) * scale + (LOAD(x + j) - mean) * slope);
    }
    for (; j < n; j++) to[j] = ((w ? g[j] * w[j] : g[j]) - mean_p) * scale + (x[j] - mean) * slope;
}

/* dx, and the rows' share of dw and db added to these; w NULL means ones. dx may be g or x itself. */
static void KERNEL(layer_norm_grad)(int64_t rows, int64_t n, const void *x, const void *weight, const void *g,
                                    double eps, bool centre, void *dx, void *dweight, void *dbias)
{
    T mean[TOGETHER], scale[TOGETHER];
    double sum_p[TOGETHER], sum_q[TOGETHER];
    for (int64_t r = 0, count; r < rows; r += count) {
        const T *xs = (const T *)x + r * n, *gs = (const T *)g + r * n;
        T *to = (T *)dx + r * n;
        count = KERNEL(rows_together)(rows - r, n);
        KERNEL(row_stats)(count, n, xs, eps, centre, mean, scale);
        if (count == TOGETHER)
            KERNEL(norm_sums)(TOGETHER, n, xs, gs, weight, mean, scale, dweight, dbias, sum_p, sum_q);
        else
            KERNEL(norm_sums)(1, n, xs, gs, weight, mean, scale, dweight, dbias, sum_p, sum_q);
        for (int64_t k = 0; k < count; k++) {
            T mean_p = centre ? (T)(sum_p[k] / (double)n) : 0, mean_q = (T)(sum_q[k] / (double)n);
            KERNEL(norm_row_grad)(n, xs + k * n, gs + k * n, weight, mean[k], scale[k], mean_p, mean_q, to + k * n);
        }
    }
}
#undef TOGETHER
#undef FETCH

/* ---- batch norm: [samples, channels, size]; per-channel arrays of T or f64 ---- */

/* Mean and sum of squared distances of every channel over these samples. */
static void KERNEL(channel_stats)(int64_t samples, int64_t channels, int64_t size, const void *x, double *mean,
                                  double *spread)
{
    const T *xs = x;
    for (int64_t c = 0; c < channels; c++) mean[c] = spread[c] = 0.0;
    if (size == 1) {
        for (int64_t i = 0; i < samples; i++)
            for (int64_t c = 0; c < channels; c++) mean[c] += (double)xs[i * channels + c];
        for (int64_t c = 0; c < channels; c++) mean[c] /= (double)samples;
        for (int64_t i = 0; i < samples; i++)
            for (int64_t c = 0; c < channels; c++) {
                double d = (double)xs[i * channels + c] - mean[c];
                spread[c] += d * d;
            }
        return;
    }
    for (int64_t i = 0; i < samples; i++)
        for (int64_t c = 0; c < channels; c++, xs += size) {
            double m = KERNEL(sum_one)(size, xs) / (double)size;
            T near = (T)m;                            /* the rounding of the mean is taken back below */
            double d = m - mean[c], off = m - (double)near;
            double own = KERNEL(spread_one)(size, xs, near) - off * off * (double)size;
            mean[c] += d / (double)(i + 1);
            spread[c] += own + d * d * (double)size * (double)i / (double)(i + 1);
        }
}

/* y = (x - mean) a + b */
static void KERNEL(channel_affine)(int64_t samples, int64_t channels, int64_t size, const void *x, const void *mean,
                                   const void *a, const void *b, void *y)
{
    const T *xs = x, *ms = mean, *as = a, *bs = b;
    T *restrict to = y;
    for (int64_t i = 0; i < samples; i++) {
        if (size == 1) {
            for (int64_t c = 0; c < channels; c++) to[c] = (xs[c] - ms[c]) * as[c] + bs[c];
            xs += channels;
            to += channels;
            continue;
        }
        for (int64_t c = 0; c < channels; c++, xs += size, to += size) {
            T m = ms[c], scale = as[c], shift = bs[c];
            for (int64_t j = 0; j < size; j++) to[j] = (xs[j] - m) * scale + shift;
        }
    }
}

/* g where (x - mean) a + b is positive: how relu hands on what arrives */
static inline T KERNEL(gated)(T g, T x, T mean, T a, T b) { return (x - mean) * a + b > 0 ? g : 0; }

static inline void KERNEL(plane_sums)(int64_t n, const T *x, const T *g, T mean, bool gate, T up, T shift, double *sum,
                                      double *product)
{
    int64_t i = 0;
    while (n - i >= LANES) {
        V a = { 0 }, b = { 0 };
        int64_t end = n - i > 64 * LANES ? i + 64 * LANES : n;
        for (; end - i >= LANES; i += LANES) {
            V v = LOAD(g + i), d = LOAD(x + i) - mean;
            if (gate) v = (V)((M)v & (M)(d * up + shift > 0));
            a += v;
            b += v * d;
        }
        *sum += KERNEL(add_lanes)(&a);
        *product += KERNEL(add_lanes)(&b);
    }
    for (; i < n; i++) {
        T v = gate ? KERNEL(gated)(g[i], x[i], mean, up, shift) : g[i];
        *sum += (double)v;
        *product += (double)v * (double)(x[i] - mean);
    }
}

/* sum of g and of g (x - mean), for every channel */
static void KERNEL(channel_sums)(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                                 const void *mean, const void *const *gate, double *sum, double *product)
{
    const T *xs = x, *gs = g, *ms = mean, *up = gate ? gate[0] : mean, *shift = gate ? gate[1] : mean;
    for (int64_t c = 0; c < channels; c++) sum[c] = product[c] = 0.0;
    for (int64_t i = 0; i < samples; i++) {
        if (size == 1) {
            for (int64_t c = 0; c < channels; c++) {
                T v = gate ? KERNEL(gated)(gs[c], xs[c], ms[c], up[c], shift[c]) : gs[c];
                sum[c] += (double)v;
                product[c] += (double)v * (double)(xs[c] - ms[c]);
            }
            xs += channels;
            gs += channels;
            continue;
        }
        for (int64_t c = 0; c < channels; c++, xs += size, gs += size) {
            KERNEL(plane_sums)(size, xs, gs, ms[c], gate != NULL, up[c], shift[c], &sum[c], &product[c]);
        }
    }
}

/* dx = g a + (x - mean) b + c */
static void KERNEL(channel_grad)(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                                 const void *mean, const void *const *gate, const void *a, const void *b, const void *c,
                                 void *dx)
{
    const T *xs = x, *gs = g, *ms = mean, *as = a, *bs = b, *cs = c;
    const T *up = gate ? gate[0] : mean, *shift = gate ? gate[1] : mean;
    T *to = dx;
    for (int64_t i = 0; i < samples; i++) {
        if (size == 1) {
            NO_OVERLAP
            for (int64_t k = 0; k < channels; k++) {
                T v = gate ? KERNEL(gated)(gs[k], xs[k], ms[k], up[k], shift[k]) : gs[k];
                to[k] = v * as[k] + ((xs[k] - ms[k]) * bs[k] + cs[k]);
            }
            xs += channels;
            gs += channels;
            to += channels;
            continue;
        }
        for (int64_t k = 0; k < channels; k++, xs += size, gs += size, to += size) {
            T m = ms[k], p = as[k], q = bs[k], rest = cs[k], slope = up[k], start = shift[k];
            NO_OVERLAP
            for (int64_t j = 0; j < size; j++) {
                T v = gate ? KERNEL(gated)(gs[j], xs[j], m, slope, start) : gs[j];
                to[j] = v * p + ((xs[j] - m) * q + rest);
            }
        }
    }
}

/* ---- cross-entropy of rows; target: (1 - smoothing) of the label (or of the row of [soft]) + smoothing / n ---- */

static double KERNEL(cross_entropy)(int64_t rows, int64_t n, const void *x, const int64_t *label, const void *soft,
                                    double smoothing)
{
    const T *xs = x, *ts = soft;
    double loss = 0.0, even = smoothing / (double)n;
    for (int64_t r = 0; r < rows; r++, xs += n) {
        T top = (T)KERNEL(max_one)(n, xs);
        double rest = log(KERNEL(exp_sum)(n, xs, top, NULL));
        if (!ts) {
            loss += (1.0 - smoothing) * (rest - (double)(xs[label[r]] - top));
            if (smoothing != 0.0) loss += even * ((rest + (double)top) * (double)n - KERNEL(sum_one)(n, xs));
            continue;
        }
        for (int64_t j = 0; j < n; j++) {
            double t = (1.0 - smoothing) * (double)ts[j] + even;
            if (t != 0.0) loss += t * (rest - (double)(xs[j] - top));
        }
        ts += n;
    }
    return loss;
}

/* dx and, when given, dsoft, both times [scale] */
static void KERNEL(cross_entropy_grad)(int64_t rows, int64_t n, const void *x, const int64_t *label, const void *soft,
                                       double smoothing, double scale, void *dx, void *dsoft)
{
    const T *xs = x, *ts = soft;
    T *restrict to = dx, *restrict dt = dsoft;
    T even = (T)(smoothing / (double)n * scale), share = (T)((1.0 - smoothing) * scale);
    for (int64_t r = 0; r < rows; r++, xs += n, to += n) {
        T top = (T)KERNEL(max_one)(n, xs);
        double sum = KERNEL(exp_sum)(n, xs, top, to), total = scale;
        if (ts) total *= (1.0 - smoothing) * KERNEL(sum_one)(n, ts) + smoothing;
        T factor = (T)(total / sum), rest = (T)log(sum);
        if (!ts) {
            for (int64_t j = 0; j < n; j++) to[j] = to[j] * factor - even;
            to[label[r]] -= share;
            continue;
        }
        for (int64_t j = 0; j < n; j++) to[j] = to[j] * factor - (share * ts[j] + even);
        ts += n;
        if (!dt) continue;
        for (int64_t j = 0; j < n; j++) dt[j] = (rest - (xs[j] - top)) * share;
        dt += n;
    }
}

/* ---- optimiser updates: results may be the inputs themselves ---- */

static double KERNEL(dot)(int64_t n, const void *x, const void *y) { return KERNEL(dot_one)(n, x, y); }

/* d = scale (gradient g + decay p); m' = momentum m + d; p' = p - rate (nesterov ? d + momentum m' : m'). Without m
   it is 0 and nobody asks for m'. */
static void KERNEL(sgd)(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, void *p_out,
                        void *m_out)
{
    const T *ps = p, *gs = g, *ms = m;
    T *to = p_out, *kept = m_out;
    T rate = (T)u->rate, momentum = (T)u->momentum, decay = (T)u->decay, scale = (T)u->scale, factor = (T)u->gradient;
    T direct = u->nesterov ? 1 : 0, held = u->nesterov ? momentum : 1;
    if (!ms || !kept) {
        NO_OVERLAP
        for (int64_t i = 0; i < n; i++) {
            T d = scale * (factor * gs[i] + decay * ps[i]);
            if (kept) kept[i] = d;
            to[i] = ps[i] - rate * (direct * d + held * d);
        }
        return;
    }
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) {
        T d = scale * (factor * gs[i] + decay * ps[i]), next = momentum * ms[i] + d;
        kept[i] = next;
        to[i] = ps[i] - rate * (direct * d + held * next);
    }
}

/* m', v' running means of d and d^2 with d = gradient g + coupled decay p, and with [whole]
   p' = p - rate (m^ / (sqrt v^ + eps) + decay p), else (LAMB) p' is what stands in the brackets. */
static void KERNEL(adam)(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, const void *v,
                         void *p_out, void *m_out, void *v_out)
{
    const T *ps = p, *gs = g, *ms = m, *vs = v;
    T *to = p_out, *kept = m_out, *squares = v_out;
    T b1 = (T)u->beta1, b2 = (T)u->beta2, a1 = (T)(1.0 - u->beta1), a2 = (T)(1.0 - u->beta2);
    T c1 = (T)u->correct1, c2 = (T)u->correct2, eps = (T)u->eps, factor = (T)u->gradient;
    T coupled = u->decoupled ? 0 : (T)u->decay, decay = u->decoupled ? (T)u->decay : 0;
    T rate = u->whole ? (T)u->rate : -1, stay = u->whole ? 1 : 0;
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) {
        T w = ps[i], d = factor * gs[i] + coupled * w;
        T mean = b1 * ms[i] + a1 * d, square = b2 * vs[i] + a2 * d * d;
        kept[i] = mean;
        squares[i] = square;
        to[i] = stay * w - rate * (mean * c1 / (VMATH(sqrt)(square * c2) + eps) + decay * w);
    }
}

/* What stands in Adam's brackets, from m' and v'. */
static void KERNEL(adam_direction)(int64_t n, const UpdateNumbers *u, const void *p, const void *m, const void *v,
                                   void *out)
{
    const T *ps = p, *ms = m, *vs = v;
    T *to = out;
    T c1 = (T)u->correct1, c2 = (T)u->correct2, eps = (T)u->eps, decay = (T)u->decay;
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) to[i] = ms[i] * c1 / (VMATH(sqrt)(vs[i] * c2) + eps) + decay * ps[i];
}

/* a x + b y */
static void KERNEL(blend)(int64_t n, double a, const void *x, double b, const void *y, void *out)
{
    const T *xs = x, *ys = y;
    T *to = out, by_x = (T)a, by_y = (T)b;
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) to[i] = by_x * xs[i] + by_y * ys[i];
}

#undef TILE
#undef NO_OVERLAP
#undef KERNEL__
#undef KERNEL_
#undef KERNEL
#undef V
#undef M
#undef LANES
#undef LOAD
#undef STORE
