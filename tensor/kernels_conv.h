/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template of the convolution's kernels for one element type: REAL is the type, NAME(f) the function's name. Included
   by kernels_conv.c only; the contracts are in conv.h. */
#include <string.h>

#define LANES 16              /* channels moved together: a cache line of floats */

/* to[j, i] = from[i, j] + bias[j] */
static void NAME(transpose)(const void *from, int64_t rows, int64_t columns, int64_t from_step, void *to,
                            int64_t to_step, const void *bias)
{
    const REAL *x = from, *b = bias;
    REAL *y = to;
    for (int64_t first = 0; first < columns; first += LANES) {
        int64_t last = first + LANES < columns ? first + LANES : columns;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = first; j < last; j++)
                y[j * to_step + i] = x[i * from_step + j] + (b ? b[j] : 0);
    }
}

/* The columns [*low, *high) of a padded image that lie inside the image. */
static void NAME(inside)(const ConvGeometry *g, int64_t *low, int64_t *high)
{
    *low = g->padding[1] < g->pw ? g->padding[1] : g->pw;
    *high = g->padding[1] + g->w < g->pw ? g->padding[1] + g->w : g->pw;
}

static void NAME(load)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *padded)
{
    const REAL *x = image;
    REAL *to = padded;
    int64_t count = conv_padded_rows(g, rows), low, high, top = first * g->stride[0] - g->padding[0];
    NAME(inside)(g, &low, &high);
    memset(to, 0, (size_t)(count * g->pw * g->cg) * sizeof *to);
    for (int64_t y = 0; y < count; y++) {
        if (top + y < 0 || top + y >= g->h)
            continue;
        const REAL *row = x + (top + y) * g->w - g->padding[1];
        REAL *out = to + y * g->pw * g->cg;
        for (int64_t c = 0; c < g->cg; c += LANES) {
            int64_t end = c + LANES < g->cg ? c + LANES : g->cg;
            for (int64_t i = low; i < high; i++)
                for (int64_t j = c; j < end; j++)
                    out[i * g->cg + j] = row[j * g->h * g->w + i];
        }
    }
}

static void NAME(store)(const ConvGeometry *g, const void *padded, void *image)
{
    const REAL *from = padded;
    REAL *x = image;
    int64_t count = conv_padded_rows(g, g->oh), low, high;
    NAME(inside)(g, &low, &high);
    for (int64_t y = 0; y < g->h; y++) {
        bool seen = y + g->padding[0] < count;
        const REAL *row = from + (y + g->padding[0]) * g->pw * g->cg;
        for (int64_t c = 0; c < g->cg; c++) {
            REAL *out = x + (c * g->h + y) * g->w;
            if (!seen || high < g->padding[1] + g->w)
                memset(out, 0, (size_t)g->w * sizeof *out);
        }
        for (int64_t c = 0; seen && c < g->cg; c += LANES) {
            int64_t end = c + LANES < g->cg ? c + LANES : g->cg;
            for (int64_t i = low; i < high; i++)
                for (int64_t j = c; j < end; j++)
                    x[(j * g->h + y) * g->w + i - g->padding[1]] = row[i * g->cg + j];
        }
    }
}

/* Channels that lie together are copied together: of a whole kernel row, or of one tap when dilated. */
static void NAME(gather)(const ConvGeometry *g, const void *padded, int64_t rows, void *columns)
{
    const REAL *from = padded;
    REAL *to = columns;
    int64_t taps = g->dilation[1] == 1 ? 1 : g->kw, run = g->dilation[1] == 1 ? g->kw * g->cg : g->cg;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < g->ow; x++)
            for (int64_t ky = 0; ky < g->kh; ky++) {
                const REAL *at = from + ((y * g->stride[0] + ky * g->dilation[0]) * g->pw + x * g->stride[1]) * g->cg;
                for (int64_t kx = 0; kx < taps; kx++, to += run)
                    memcpy(to, at + kx * g->dilation[1] * g->cg, (size_t)run * sizeof *to);
            }
}

static void NAME(scatter)(const ConvGeometry *g, const void *columns, int64_t rows, void *padded)
{
    const REAL *from = columns;
    REAL *to = padded;
    int64_t taps = g->dilation[1] == 1 ? 1 : g->kw, run = g->dilation[1] == 1 ? g->kw * g->cg : g->cg;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < g->ow; x++)
            for (int64_t ky = 0; ky < g->kh; ky++) {
                REAL *at = to + ((y * g->stride[0] + ky * g->dilation[0]) * g->pw + x * g->stride[1]) * g->cg;
                for (int64_t kx = 0; kx < taps; kx++, from += run) {
                    REAL *sum = at + kx * g->dilation[1] * g->cg;
                    for (int64_t i = 0; i < run; i++)
                        sum[i] += from[i];
                }
            }
}

static void NAME(planes)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *planes)
{
    const REAL *x = image;
    REAL *to = planes;
    int64_t taps = g->kh * g->kw, sx = g->stride[1];
    for (int64_t plane = 0; plane < g->cg * taps; plane++) {
        int64_t c = plane / taps, ky = plane % taps / g->kw, kx = plane % g->kw;
        int64_t left = kx * g->dilation[1] - g->padding[1];        /* column of the image under output column 0 */
        int64_t low = left >= 0 ? 0 : (-left + sx - 1) / sx, high = left >= g->w ? 0 : (g->w - 1 - left) / sx + 1;
        low = low > g->ow ? g->ow : low;
        high = high > g->ow ? g->ow : high < low ? low : high;
        for (int64_t y = 0; y < rows; y++, to += g->ow) {
            int64_t from = (first + y) * g->stride[0] + ky * g->dilation[0] - g->padding[0];
            if (from < 0 || from >= g->h) {
                memset(to, 0, (size_t)g->ow * sizeof *to);
                continue;
            }
            const REAL *row = x + (c * g->h + from) * g->w + left;
            for (int64_t i = 0; i < low; i++)
                to[i] = 0;
            if (sx == 1)
                memcpy(to + low, row + low, (size_t)(high - low) * sizeof *to);
            else
                for (int64_t i = low; i < high; i++)
                    to[i] = row[i * sx];
            for (int64_t i = high; i < g->ow; i++)
                to[i] = 0;
        }
    }
}

#undef LANES
