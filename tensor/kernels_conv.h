/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template of the convolution's kernels for one element type: REAL is the type, NAME(f) the function's name. Included
   by kernels_conv.c only; the contracts are in conv.h. */

/* ---- transposes, in blocks of 8 x 8 that stay in registers ---- */

typedef REAL NAME(Eight) __attribute__((vector_size(8 * sizeof(REAL))));

/* Swaps blocks of [width] elements between v[i] and v[i + width], for every such pair. */
#define SWAP_STAGE(width, low, high)                                                                                   \
    for (int i = 0; i < 8; i++)                                                                                        \
        if ((i & (width)) == 0) {                                                                                      \
            NAME(Eight) a = v[i], b = v[i + (width)];                                                                  \
            v[i] = __builtin_shufflevector(a, b, low);                                                                 \
            v[i + (width)] = __builtin_shufflevector(a, b, high);                                                      \
        }

static inline void NAME(block8)(const REAL *x, int64_t from_step, REAL *y, int64_t to_step, const REAL *bias)
{
    NAME(Eight) v[8];
    for (int i = 0; i < 8; i++)
        memcpy(&v[i], x + i * from_step, sizeof v[i]);
    SWAP_STAGE(1, SWAP_1_LOW, SWAP_1_HIGH)
    SWAP_STAGE(2, SWAP_2_LOW, SWAP_2_HIGH)
    SWAP_STAGE(4, SWAP_4_LOW, SWAP_4_HIGH)
    for (int j = 0; j < 8; j++) {
        if (bias)
            v[j] += bias[j];
        memcpy(y + j * to_step, &v[j], sizeof v[j]);
    }
}

/* to[j, i] = from[i, j] + bias[j] */
static void NAME(transpose)(const void *from, int64_t rows, int64_t columns, int64_t from_step, void *to,
                            int64_t to_step, const void *bias)
{
    const REAL *x = from, *b = bias;
    REAL *y = to;
    for (int64_t i = 0; i < rows; i += 8) {
        int64_t height = rows - i < 8 ? rows - i : 8;
        for (int64_t j = 0; j < columns; j += 8) {
            int64_t width = columns - j < 8 ? columns - j : 8;
            const REAL *source = x + i * from_step + j;
            REAL *target = y + j * to_step + i;
            if (height == 8 && width == 8) {
                NAME(block8)(source, from_step, target, to_step, b ? b + j : NULL);
                continue;
            }
            for (int64_t l = 0; l < width; l++)
                for (int64_t k = 0; k < height; k++)
                    target[l * to_step + k] = source[k * from_step + l] + (b ? b[j + l] : 0);
        }
    }
}

/* ---- what pixels read ---- */

/* Of kernel row ky of a pixel whose first column is [left]: taps [*low, *high) lie inside the image. */
static void NAME(inside)(const ConvGeometry *g, int64_t left, int64_t *low, int64_t *high)
{
    int64_t step = g->dilation[1];
    *low = left >= 0 ? 0 : (-left + step - 1) / step;
    *high = left >= g->w ? 0 : (g->w - 1 - left) / step + 1;
    *low = *low < g->kw ? *low : g->kw;
    *high = *high > g->kw ? g->kw : *high < *low ? *low : *high;
}

/* Channels that lie together are moved together: of a whole kernel row, or of one tap when dilated. */
static void NAME(gather)(const ConvGeometry *g, const void *lines, int64_t top, int64_t first, int64_t rows,
                         void *columns)
{
    REAL *to = columns;
    int64_t cg = g->cg;
    for (int64_t y = first; y < first + rows; y++)
        for (int64_t x = 0; x < g->ow; x++) {
            int64_t left = x * g->stride[1] - g->padding[1], low, high;
            NAME(inside)(g, left, &low, &high);
            for (int64_t ky = 0; ky < g->kh; ky++, to += g->kw * cg) {
                int64_t line = y * g->stride[0] + ky * g->dilation[0] - g->padding[0];
                if (line < 0 || line >= g->h) {
                    memset(to, 0, (size_t)(g->kw * cg) * sizeof *to);
                    continue;
                }
                const REAL *from = (const REAL *)lines + ((line - top) * g->w + left) * cg;
                memset(to, 0, (size_t)(low * cg) * sizeof *to);
                if (g->dilation[1] == 1)
                    memcpy(to + low * cg, from + low * cg, (size_t)((high - low) * cg) * sizeof *to);
                else
                    for (int64_t kx = low; kx < high; kx++)
                        memcpy(to + kx * cg, from + kx * g->dilation[1] * cg, (size_t)cg * sizeof *to);
                memset(to + high * cg, 0, (size_t)((g->kw - high) * cg) * sizeof *to);
            }
        }
}

static void NAME(scatter)(const ConvGeometry *g, const void *columns, int64_t first, int64_t rows, void *lines)
{
    const REAL *from = columns;
    int64_t cg = g->cg, runs = g->dilation[1] == 1 ? 1 : g->kw;
    for (int64_t y = first; y < first + rows; y++)
        for (int64_t x = 0; x < g->ow; x++) {
            int64_t left = x * g->stride[1] - g->padding[1], low, high;
            NAME(inside)(g, left, &low, &high);
            for (int64_t ky = 0; ky < g->kh; ky++, from += g->kw * cg) {
                int64_t line = y * g->stride[0] + ky * g->dilation[0] - g->padding[0];
                if (line < 0 || line >= g->h)
                    continue;
                REAL *to = (REAL *)lines + (line * g->w + left) * cg;
                for (int64_t run = 0; run < runs; run++) {
                    int64_t start = runs == 1 ? low : run, stop = runs == 1 ? high : run + 1;
                    if (runs > 1 && (run < low || run >= high))
                        continue;
                    REAL *sum = to + start * g->dilation[1] * cg;
                    for (int64_t i = 0; i < (stop - start) * cg; i++)
                        sum[i] += from[start * cg + i];
                }
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

#undef SWAP_STAGE
