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

/* Of a kernel row of a pixel whose first column is [left]: taps [*low, *high) lie inside the image. */
static void NAME(inside)(const ConvGeometry *g, int64_t left, int64_t *low, int64_t *high)
{
    int64_t step = g->dilation[2], w = g->in[2], kw = g->kernel[2];
    *low = left >= 0 ? 0 : (-left + step - 1) / step;
    *high = left >= w ? 0 : (w - 1 - left) / step + 1;
    *low = *low < kw ? *low : kw;
    *high = *high > kw ? kw : *high < *low ? *low : *high;
}

/* What one pixel reads of one line of an image (NULL: of none), channels together: moved by whole kernel rows, or tap
   by tap when dilated. */
static inline void NAME(gather_line)(const REAL *line, int64_t low, int64_t high, int64_t kw, int64_t step, int64_t cg,
                                     REAL *to)
{
    if (!line) {
        memset(to, 0, (size_t)(kw * cg) * sizeof *to);
        return;
    }
    memset(to, 0, (size_t)(low * cg) * sizeof *to);
    if (step == 1)
        memcpy(to + low * cg, line + low * cg, (size_t)((high - low) * cg) * sizeof *to);
    else
        for (int64_t kx = low; kx < high; kx++)
            memcpy(to + kx * cg, line + kx * step * cg, (size_t)cg * sizeof *to);
    memset(to + high * cg, 0, (size_t)((kw - high) * cg) * sizeof *to);
}

static void NAME(gather)(const ConvGeometry *g, const void *lines, int64_t first, int64_t rows, void *columns)
{
    REAL *to = columns;
    int64_t cg = g->cg, d = g->in[0], h = g->in[1], w = g->in[2], kw = g->kernel[2];
    for (int64_t row = first; row < first + rows; row++) {
        int64_t back = row / g->out[1] * g->stride[0] - g->padding[0];
        int64_t top = row % g->out[1] * g->stride[1] - g->padding[1];
        for (int64_t x = 0; x < g->out[2]; x++) {
            int64_t left = x * g->stride[2] - g->padding[2], low, high;
            NAME(inside)(g, left, &low, &high);
            for (int64_t kz = 0, plane = back; kz < g->kernel[0]; kz++, plane += g->dilation[0])
                for (int64_t ky = 0, line = top; ky < g->kernel[1]; ky++, line += g->dilation[1], to += kw * cg) {
                    bool outside = plane < 0 || plane >= d || line < 0 || line >= h;
                    const REAL *from = (const REAL *)lines + ((plane * h + line) * w + left) * cg;
                    NAME(gather_line)(outside ? NULL : from, low, high, kw, g->dilation[2], cg, to);
                }
        }
    }
}

/* The adjoint of gather_line. */
static inline void NAME(scatter_line)(const REAL *from, int64_t low, int64_t high, int64_t step, int64_t cg, REAL *line)
{
    if (step == 1) {
        for (int64_t i = low * cg; i < high * cg; i++)
            line[i] += from[i];
        return;
    }
    for (int64_t kx = low; kx < high; kx++)
        for (int64_t i = 0; i < cg; i++)
            line[kx * step * cg + i] += from[kx * cg + i];
}

static void NAME(scatter)(const ConvGeometry *g, const void *columns, int64_t first, int64_t rows, void *lines)
{
    const REAL *from = columns;
    int64_t cg = g->cg, d = g->in[0], h = g->in[1], w = g->in[2], kw = g->kernel[2];
    for (int64_t row = first; row < first + rows; row++) {
        int64_t back = row / g->out[1] * g->stride[0] - g->padding[0];
        int64_t top = row % g->out[1] * g->stride[1] - g->padding[1];
        for (int64_t x = 0; x < g->out[2]; x++) {
            int64_t left = x * g->stride[2] - g->padding[2], low, high;
            NAME(inside)(g, left, &low, &high);
            for (int64_t kz = 0, plane = back; kz < g->kernel[0]; kz++, plane += g->dilation[0])
                for (int64_t ky = 0, line = top; ky < g->kernel[1]; ky++, line += g->dilation[1], from += kw * cg)
                    if (plane >= 0 && plane < d && line >= 0 && line < h)
                        NAME(scatter_line)(from, low, high, g->dilation[2], cg,
                                           (REAL *)lines + ((plane * h + line) * w + left) * cg);
        }
    }
}

static void NAME(planes)(const ConvGeometry *g, const void *image, int64_t first, int64_t rows, void *planes)
{
    const REAL *x = image;
    REAL *to = planes;
    int64_t d = g->in[0], h = g->in[1], w = g->in[2], ow = g->out[2], sx = g->stride[2];
    int64_t kh = g->kernel[1], kw = g->kernel[2], taps = g->kernel[0] * kh * kw;
    for (int64_t plane = 0; plane < g->cg * taps; plane++) {
        int64_t c = plane / taps, kz = plane % taps / (kh * kw), ky = plane / kw % kh, kx = plane % kw;
        int64_t left = kx * g->dilation[2] - g->padding[2];        /* column of the image under output column 0 */
        int64_t low = left >= 0 ? 0 : (-left + sx - 1) / sx, high = left >= w ? 0 : (w - 1 - left) / sx + 1;
        low = low > ow ? ow : low;
        high = high > ow ? ow : high < low ? low : high;
        int64_t oz = first / g->out[1], oy = first % g->out[1];
        for (int64_t y = 0; y < rows; y++, to += ow) {
            int64_t z = oz * g->stride[0] + kz * g->dilation[0] - g->padding[0];
            int64_t from = oy * g->stride[1] + ky * g->dilation[1] - g->padding[1];
            oy = oy + 1 < g->out[1] ? oy + 1 : 0;
            oz += oy == 0;
            if (z < 0 || z >= d || from < 0 || from >= h) {
                memset(to, 0, (size_t)ow * sizeof *to);
                continue;
            }
            const REAL *row = x + ((c * d + z) * h + from) * w + left;
            for (int64_t i = 0; i < low; i++)
                to[i] = 0;
            if (sx == 1)
                memcpy(to + low, row + low, (size_t)(high - low) * sizeof *to);
            else
                for (int64_t i = low; i < high; i++)
                    to[i] = row[i * sx];
            for (int64_t i = high; i < ow; i++)
                to[i] = 0;
        }
    }
}

/* ---- one channel at a time ---- */

static void NAME(box)(const ConvBox *b, const void *from, void *to)
{
    const REAL *x = from;
    REAL *y = to;
    const int64_t *size = b->size, spread = b->spread[2];
    memset(y, 0, (size_t)(size[0] * size[1] * size[2] + b->slack) * sizeof *y);
    int64_t low = b->before[2] >= 0 ? 0 : (-b->before[2] + spread - 1) / spread;
    int64_t high = size[2] <= b->before[2] ? 0 : (size[2] - 1 - b->before[2]) / spread + 1;
    high = high > b->from[2] ? b->from[2] : high;
    for (int64_t z = 0; z < b->from[0]; z++) {
        int64_t plane = z * b->spread[0] + b->before[0];
        for (int64_t i = 0; plane >= 0 && plane < size[0] && i < b->from[1]; i++) {
            int64_t line = i * b->spread[1] + b->before[1];
            if (line < 0 || line >= size[1])
                continue;
            const REAL *row = x + (z * b->from[1] + i) * b->from[2];
            REAL *target = y + (plane * size[1] + line) * size[2] + b->before[2];
            if (spread == 1 && low < high)
                memcpy(target + low, row + low, (size_t)(high - low) * sizeof *y);
            else
                for (int64_t k = low; k < high; k++)
                    target[k * spread] = row[k];
        }
    }
}

/* Eight elements, [step] apart. Vectors go by reference: as results they would depend on the instruction set. */
static inline __attribute__((always_inline)) void NAME(load)(NAME(Eight) *v, const REAL *x, int64_t step)
{
    NAME(Eight) next;
    if (step == 1) {
        memcpy(v, x, sizeof *v);
    } else if (step == 2) {
        memcpy(v, x, sizeof *v);
        memcpy(&next, x + 8, sizeof next);
        *v = __builtin_shufflevector(*v, next, EVEN_COLUMNS);
    } else {
        *v = (NAME(Eight)){x[0], x[step], x[2 * step], x[3 * step], x[4 * step], x[5 * step], x[6 * step], x[7 * step]};
    }
}

static inline __attribute__((always_inline)) void NAME(put)(const NAME(Eight) *v, int64_t n, bool add, REAL *y)
{
    if (n == 8 && !add)
        memcpy(y, v, sizeof *v);
    else
        for (int64_t k = 0; k < n; k++)
            y[k] = add ? y[k] + (*v)[k] : (*v)[k];
}

/* [count] vectors of eight results of one row, at most four; they stay in registers. */
static inline __attribute__((always_inline)) void NAME(depthwise_block)(const ConvGeometry *g, const int64_t *x_size,
                                                                        const REAL *x, const REAL *w, REAL bias,
                                                                        int count, int64_t step, NAME(Eight) *sum)
{
    for (int b = 0; b < count; b++)
        sum[b] = (NAME(Eight)){0} + bias;
    for (int64_t kz = 0; kz < g->kernel[0]; kz++)
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const REAL *row = x + (kz * g->dilation[0] * x_size[1] + ky * g->dilation[1]) * x_size[2];
            for (int64_t kx = 0; kx < g->kernel[2]; kx++, w++, row += g->dilation[2])
                for (int b = 0; b < count; b++) {
                    NAME(Eight) v;
                    NAME(load)(&v, row + b * 8 * step, step);
                    sum[b] += *w * v;
                }
        }
}

static inline __attribute__((always_inline)) void NAME(depthwise_rows)(const ConvGeometry *g, const int64_t *x_size,
                                                                       const REAL *x, const REAL *w, REAL bias,
                                                                       bool add, int64_t step, REAL *y)
{
    int64_t ow = g->out[2];
    for (int64_t row = 0; row < g->out[0] * g->out[1]; row++, y += ow) {
        const REAL *from = x + (row / g->out[1] * g->stride[0] * x_size[1] + row % g->out[1] * g->stride[1]) * x_size[2];
        int64_t i = 0;
        NAME(Eight) sum[4];
        for (; i + 32 <= ow; i += 32) {
            NAME(depthwise_block)(g, x_size, from + i * step, w, bias, 4, step, sum);
            for (int b = 0; b < 4; b++)
                NAME(put)(&sum[b], 8, add, y + i + b * 8);
        }
        for (; i < ow; i += 8) {
            NAME(depthwise_block)(g, x_size, from + i * step, w, bias, 1, step, sum);
            NAME(put)(&sum[0], ow - i < 8 ? ow - i : 8, add, y + i);
        }
    }
}

static void NAME(depthwise)(const ConvGeometry *g, const int64_t *x_size, const void *x, const void *w,
                            const void *bias, bool add, void *y)
{
    REAL b = bias ? *(const REAL *)bias : 0;
    if (g->stride[2] == 1)
        NAME(depthwise_rows)(g, x_size, x, w, b, add, 1, y);
    else if (g->stride[2] == 2)
        NAME(depthwise_rows)(g, x_size, x, w, b, add, 2, y);
    else
        NAME(depthwise_rows)(g, x_size, x, w, b, add, g->stride[2], y);
}

static inline __attribute__((always_inline)) void NAME(weight_rows)(const ConvGeometry *g, const int64_t *x_size,
                                                                    const REAL *x, int64_t dy_row, const REAL *dy,
                                                                    int64_t step, NAME(Eight) *sum)
{
    for (int64_t row = 0; row < g->out[0] * g->out[1]; row++, dy += dy_row) {
        const REAL *from = x + (row / g->out[1] * g->stride[0] * x_size[1] + row % g->out[1] * g->stride[1]) * x_size[2];
        NAME(Eight) *to = sum;
        for (int64_t kz = 0; kz < g->kernel[0]; kz++)
            for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
                const REAL *at = from + (kz * g->dilation[0] * x_size[1] + ky * g->dilation[1]) * x_size[2];
                for (int64_t kx = 0; kx < g->kernel[2]; kx++, to++, at += g->dilation[2]) {
                    NAME(Eight) total = *to, a, b;
                    for (int64_t i = 0; i < dy_row; i += 8) {
                        NAME(load)(&a, dy + i, 1);
                        NAME(load)(&b, at + i * step, step);
                        total += a * b;
                    }
                    *to = total;
                }
            }
    }
}

static void NAME(depthwise_weight)(const ConvGeometry *g, const int64_t *x_size, const void *x, int64_t dy_row,
                                   const void *dy, void *work, double *sums)
{
    int64_t taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
    memset(work, 0, (size_t)taps * sizeof(NAME(Eight)));
    if (g->stride[2] == 1)
        NAME(weight_rows)(g, x_size, x, dy_row, dy, 1, work);
    else if (g->stride[2] == 2)
        NAME(weight_rows)(g, x_size, x, dy_row, dy, 2, work);
    else
        NAME(weight_rows)(g, x_size, x, dy_row, dy, g->stride[2], work);
    const REAL *lane = work;
    for (int64_t k = 0; k < taps; k++)
        for (int i = 0; i < 8; i++)
            sums[k] += (double)lane[k * 8 + i];
}

#undef SWAP_STAGE
