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
    T *restrict to = dx;
    for (int64_t r = 0; r < rows; r++, ys += n, gs += n, to += n) {
        T s = (T)KERNEL(dot_one)(n, ys, gs);
        for (int64_t j = 0; j < n; j++) to[j] = ys[j] * (gs[j] - s);
    }
}

static void KERNEL(log_softmax_grad)(int64_t rows, int64_t n, const void *y, const void *g, void *dx)
{
    const T *ys = y, *gs = g;
    T *restrict to = dx;
    for (int64_t r = 0; r < rows; r++, ys += n, gs += n, to += n) {
        T s = (T)KERNEL(sum_one)(n, gs);
        for (int64_t j = 0; j < n; j++) to[j] = gs[j] - VMATH(exp)(ys[j]) * s;
    }
}

/* ---- layer norm: weight and bias may be NULL ---- */

static void KERNEL(layer_norm)(int64_t rows, int64_t n, const void *x, const void *weight, const void *bias, double eps,
                               bool centre, void *y)
{
    const T *xs = x, *w = weight, *b = bias;
    T *restrict to = y;
    for (int64_t r = 0; r < rows; r++, xs += n, to += n) {
        T mean = centre ? (T)(KERNEL(sum_one)(n, xs) / (double)n) : 0;
        T scale = (T)(1.0 / sqrt(KERNEL(spread_one)(n, xs, mean) / (double)n + eps));
        if (w && b)
            for (int64_t j = 0; j < n; j++) to[j] = (xs[j] - mean) * scale * w[j] + b[j];
        else if (w)
            for (int64_t j = 0; j < n; j++) to[j] = (xs[j] - mean) * scale * w[j];
        else if (b)
            for (int64_t j = 0; j < n; j++) to[j] = (xs[j] - mean) * scale + b[j];
        else
            for (int64_t j = 0; j < n; j++) to[j] = (xs[j] - mean) * scale;
    }
}

/* dx, and the rows' share of dw and db added to these; w NULL means ones. */
static void KERNEL(layer_norm_grad)(int64_t rows, int64_t n, const void *x, const void *weight, const void *g,
                                    double eps, bool centre, void *dx, void *dweight, void *dbias)
{
    const T *xs = x, *gs = g;
    T *restrict to = dx, *restrict dw = dweight, *restrict db = dbias;
    T ones[TILE], p[TILE], q[TILE];
    for (int64_t k = 0; k < TILE; k++) ones[k] = 1;
    for (int64_t r = 0; r < rows; r++, xs += n, gs += n, to += n) {
        T mean = centre ? (T)(KERNEL(sum_one)(n, xs) / (double)n) : 0;
        T scale = (T)(1.0 / sqrt(KERNEL(spread_one)(n, xs, mean) / (double)n + eps));
        double sum_p = 0.0, sum_q = 0.0;
        for (int64_t j = 0; j < n; j += TILE) {
            int64_t width = n - j < TILE ? n - j : TILE;
            const T *w = weight ? (const T *)weight + j : ones;
            NO_OVERLAP
            for (int64_t k = 0; k < width; k++) {
                T unit = (xs[j + k] - mean) * scale;
                p[k] = gs[j + k] * w[k];
                q[k] = p[k] * unit;
                dw[j + k] += gs[j + k] * unit;
                db[j + k] += gs[j + k];
            }
            sum_p += KERNEL(sum_one)(width, p);
            sum_q += KERNEL(sum_one)(width, q);
        }
        T mean_p = centre ? (T)(sum_p / (double)n) : 0, mean_q = (T)(sum_q / (double)n);
        for (int64_t j = 0; j < n; j += TILE) {
            int64_t width = n - j < TILE ? n - j : TILE;
            const T *w = weight ? (const T *)weight + j : ones;
            for (int64_t k = 0; k < width; k++)
                to[j + k] = scale * (gs[j + k] * w[k] - mean_p - (xs[j + k] - mean) * scale * mean_q);
        }
    }
}

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

static inline void KERNEL(plane_sums)(int64_t n, const T *x, const T *g, T mean, double *sum, double *product)
{
    int64_t i = 0;
    while (n - i >= LANES) {
        V a = { 0 }, b = { 0 };
        int64_t end = n - i > 64 * LANES ? i + 64 * LANES : n;
        for (; end - i >= LANES; i += LANES) {
            V v = LOAD(g + i);
            a += v;
            b += v * (LOAD(x + i) - mean);
        }
        *sum += KERNEL(add_lanes)(&a);
        *product += KERNEL(add_lanes)(&b);
    }
    for (; i < n; i++) {
        *sum += (double)g[i];
        *product += (double)g[i] * (double)(x[i] - mean);
    }
}

/* sum of g and of g (x - mean), for every channel */
static void KERNEL(channel_sums)(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                                 const void *mean, double *sum, double *product)
{
    const T *xs = x, *gs = g, *ms = mean;
    for (int64_t c = 0; c < channels; c++) sum[c] = product[c] = 0.0;
    for (int64_t i = 0; i < samples; i++) {
        if (size == 1) {
            for (int64_t c = 0; c < channels; c++) {
                sum[c] += (double)gs[c];
                product[c] += (double)gs[c] * (double)(xs[c] - ms[c]);
            }
            xs += channels;
            gs += channels;
            continue;
        }
        for (int64_t c = 0; c < channels; c++, xs += size, gs += size) {
            KERNEL(plane_sums)(size, xs, gs, ms[c], &sum[c], &product[c]);
        }
    }
}

/* dx = g a + (x - mean) b + c */
static void KERNEL(channel_grad)(int64_t samples, int64_t channels, int64_t size, const void *x, const void *g,
                                 const void *mean, const void *a, const void *b, const void *c, void *dx)
{
    const T *xs = x, *gs = g, *ms = mean, *as = a, *bs = b, *cs = c;
    T *restrict to = dx;
    for (int64_t i = 0; i < samples; i++) {
        if (size == 1) {
            for (int64_t k = 0; k < channels; k++) to[k] = gs[k] * as[k] + ((xs[k] - ms[k]) * bs[k] + cs[k]);
            xs += channels;
            gs += channels;
            to += channels;
            continue;
        }
        for (int64_t k = 0; k < channels; k++, xs += size, gs += size, to += size) {
            T m = ms[k], p = as[k], q = bs[k], shift = cs[k];
            for (int64_t j = 0; j < size; j++) to[j] = gs[j] * p + ((xs[j] - m) * q + shift);
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

/* ---- optimiser updates ---- */

static double KERNEL(dot)(int64_t n, const void *x, const void *y) { return KERNEL(dot_one)(n, x, y); }

/* d = scale (g + decay p); m' = first ? d : momentum m + d; p' = p - rate (nesterov ? d + momentum m' : m') */
static void KERNEL(sgd)(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, void *p_out,
                        void *m_out)
{
    const T *ps = p, *gs = g, *ms = m;
    T *restrict to = p_out, *restrict kept = m_out;
    T rate = (T)u->rate, momentum = (T)u->momentum, decay = (T)u->decay, scale = (T)u->scale;
    T ahead = u->nesterov ? momentum : 0, direct = u->nesterov ? 1 : 0, held = u->nesterov ? 0 : 1;
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) {
        T d = scale * (gs[i] + decay * ps[i]);
        T next = ms ? momentum * ms[i] + d : d;
        kept[i] = next;
        to[i] = ps[i] - rate * (direct * d + (ahead + held) * next);
    }
}

/* Adam's direction: with [whole], p' = p - rate (m^ / (sqrt v^ + eps) + decay p), else (LAMB) p' is what stands in the
   brackets. Coupled decay is added to g. */
static void KERNEL(adam)(int64_t n, const UpdateNumbers *u, const void *p, const void *g, const void *m, const void *v,
                         void *p_out, void *m_out, void *v_out)
{
    const T *ps = p, *gs = g, *ms = m, *vs = v;
    T *restrict to = p_out, *restrict kept = m_out, *restrict squares = v_out;
    T b1 = (T)u->beta1, b2 = (T)u->beta2, a1 = (T)(1.0 - u->beta1), a2 = (T)(1.0 - u->beta2);
    T c1 = (T)u->correct1, c2 = (T)u->correct2, eps = (T)u->eps;
    T coupled = u->decoupled ? 0 : (T)u->decay, decay = u->decoupled ? (T)u->decay : 0;
    T rate = u->whole ? (T)u->rate : -1, stay = u->whole ? 1 : 0;
    NO_OVERLAP
    for (int64_t i = 0; i < n; i++) {
        T d = gs[i] + coupled * ps[i];
        T mean = b1 * ms[i] + a1 * d, square = b2 * vs[i] + a2 * d * d;
        kept[i] = mean;
        squares[i] = square;
        to[i] = stay * ps[i] - rate * (mean * c1 / (VMATH(sqrt)(square * c2) + eps) + decay * ps[i]);
    }
}

/* p + k u */
static void KERNEL(step)(int64_t n, double k, const void *p, const void *u, void *p_out)
{
    const T *ps = p, *us = u;
    T *to = p_out, rate = (T)k;
    for (int64_t i = 0; i < n; i++) to[i] = ps[i] + rate * us[i];
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
