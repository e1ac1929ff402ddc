/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Convolution over one to three axes and its two adjoints, each differentiable through the others. All three are matrix
   products over chunks of output pixels: kernels_conv.c lays out what the pixels read, product.c or BLAS multiplies. Groups of one
   channel go to op_conv_depthwise.c, 3x3 kernels of many channels to op_conv_winograd.c.

   Two layouts: rows (one pixel a row, channels last) for everything with many channels; planes (one tap a row, pixels
   along it) for few taps, where results land in place. Invariant: chunks and the parts that a weight gradient is summed
   in depend on sizes only, so the bits are the same for any number of threads. */
#include <stdatomic.h>
#include <string.h>

#include "conv.h"
#include "core.h"
#include "op_conv.h"
#include "product.h"
#include "tiles.h"

#define CHUNK_BYTES (1 << 20)         /* of columns: they stay in the second-level cache until multiplied */
#define FEW_TAPS 64
#define WEIGHT_PARTS 8
#define PARTS_BYTES (64 << 20)

typedef struct Conv {
    ConvGeometry g;
    Dtype dtype;
    int64_t width;            /* bytes of an element */
    int64_t taps;             /* cg * kernel */
    bool planes, direct;      /* direct: the planes are the image itself */
    bool narrow;              /* products are product_tiles.c's */
    const ConvKernels *kernels;
    const Blas *blas;
    Tensor *x, *weight, *bias, *dy;   /* dense, of [dtype]; owned; NULL where not needed */
    char *arranged;           /* weight as [o, kernel..., cg] for rows; scratch */
    char *out;
    int64_t lines;            /* rows of pixels in a result, over depth and height */
    ConvChunks cut;
    char *partial;            /* [parts, o, taps]; scratch */
    int64_t parts;
    TensorContext *ctx;
    atomic_bool failed;       /* a task found no memory */
} Conv;

/* ---- geometry ---- */

bool op_sizes(OpCall *call, const char *name, const Attr *attr, int n, int64_t low, int64_t *out)
{
    static const char *const words[] = {"no number", "one number", "one number or two", "one number or three"};
    if (attr->ints.count != 1 && attr->ints.count != n)
        return op_error(call, ERROR_value, "%s is %s, not %d", name, words[n < 4 ? n : 0], attr->ints.count);
    for (int i = 0; i < n; i++) {
        out[i] = attr->ints.v[attr->ints.count == 1 ? 0 : i];
        if (out[i] < low || out[i] > INT32_MAX)
            return op_error(call, ERROR_value, "%s cannot be %lld", name, (long long)out[i]);
    }
    return true;
}

#define LAYOUTS(channels)                                                                                              \
    {"[n, " channels ", length]", "[n, " channels ", height, width]", "[n, " channels ", depth, height, width]"}
static const char *const x_layout[] = LAYOUTS("channels"), *const dy_layout[] = LAYOUTS("outputs");
static const char *const weight_layout[] = {"[outputs, channels / groups, length]",
                                            "[outputs, channels / groups, height, width]",
                                            "[outputs, channels / groups, depth, height, width]"};
static const char *const transposed_layout[] = {"[channels, outputs / groups, length]",
                                                "[channels, outputs / groups, height, width]",
                                                "[channels, outputs / groups, depth, height, width]"};

static bool needs_axes(OpCall *call, const char *name, const Tensor *x, int space, const char *const *layout)
{
    if (x->ndim == 2 + space)
        return true;
    return op_error(call, ERROR_shape, "%s must be %s, it has %d %s", name, layout[space - 1], x->ndim,
                    x->ndim == 1 ? "axis" : "axes");
}

/* How many axes of space a row for any number of them is called for, 0 with an error. */
static int space_of(OpCall *call, const char *name, const Tensor *x)
{
    if (x->ndim >= 3 && x->ndim <= 2 + CONV_AXES)
        return x->ndim - 2;
    op_error(call, ERROR_shape, "%s must have 3 to %d axes, it has %d", name, 2 + CONV_AXES, x->ndim);
    return 0;
}

static void set_axes(int64_t to[CONV_AXES], int space, const int64_t *from, int64_t otherwise)
{
    for (int i = 0; i < CONV_AXES; i++)
        to[i] = i < CONV_AXES - space ? otherwise : from[i - (CONV_AXES - space)];
}

/* Fills strides, padding, dilation and groups from four attributes; needs the kernel. */
static bool read_attrs(OpCall *call, const Attr *attr, int space, ConvGeometry *g)
{
    int64_t stride[CONV_AXES], padding[CONV_AXES] = {0}, dilation[CONV_AXES];
    bool same = attr[1].ints.count == PADDING_SAME;
    g->groups = attr[3].i;
    if (g->groups < 1)
        return op_error(call, ERROR_value, "groups cannot be %lld", (long long)g->groups);
    if (!op_sizes(call, "stride", &attr[0], space, 1, stride) ||
        (!same && !op_sizes(call, "padding", &attr[1], space, 0, padding)) ||
        !op_sizes(call, "dilation", &attr[2], space, 1, dilation))
        return false;
    set_axes(g->stride, space, stride, 1);
    set_axes(g->padding, space, padding, 0);
    set_axes(g->dilation, space, dilation, 1);
    for (int i = 0; same && i < CONV_AXES; i++) {
        g->padding[i] = g->dilation[i] * (g->kernel[i] - 1) / 2;
        if (g->stride[i] != 1)
            return op_error(call, ERROR_value, "padding=\"same\" needs stride 1, not %lld", (long long)g->stride[i]);
    }
    return true;
}

static bool does_not_fit(OpCall *call, const ConvGeometry *g, int space)
{
    int64_t kernel[CONV_AXES], padded[CONV_AXES];
    char reach[96], room[96];
    for (int i = 0; i < CONV_AXES; i++) {
        kernel[i] = g->dilation[i] * (g->kernel[i] - 1) + 1;
        padded[i] = g->in[i] + 2 * g->padding[i];
    }
    shape_format(space, kernel + CONV_AXES - space, reach, sizeof reach);
    shape_format(space, padded + CONV_AXES - space, room, sizeof room);
    return op_error(call, ERROR_shape, "a kernel of %s does not fit the padded input %s", reach, room);
}

/* Derives the rest from n, c, in, o, kernel and the attributes. */
static bool finish_geometry(OpCall *call, ConvGeometry *g, int space, const Attr *padding)
{
    char kernel[96];
    if (g->c % g->groups != 0 || g->o % g->groups != 0)
        return op_error(call, ERROR_shape, "%lld groups do not divide %lld input and %lld output channels",
                        (long long)g->groups, (long long)g->c, (long long)g->o);
    g->cg = g->c / g->groups;
    g->og = g->o / g->groups;
    for (int i = 0; i < CONV_AXES; i++) {
        if (g->kernel[i] < 1) {
            shape_format(space, g->kernel + CONV_AXES - space, kernel, sizeof kernel);
            return op_error(call, ERROR_shape, "the kernel is empty, %s", kernel);
        }
        int64_t reach = g->in[i] + 2 * g->padding[i] - g->dilation[i] * (g->kernel[i] - 1) - 1;
        if (padding->ints.count == PADDING_SAME)
            reach = g->in[i] - 1;
        if (reach < 0)
            return padding->ints.count == PADDING_SAME
                       ? op_error(call, ERROR_shape, "an image without pixels has no convolution of its size")
                       : does_not_fit(call, g, space);
        g->out[i] = reach / g->stride[i] + 1;
    }
    return true;
}

static bool weight_fits(OpCall *call, const ConvGeometry *g, int64_t per_group)
{
    if (per_group * g->groups == g->c)
        return true;
    if (g->groups == 1)
        return op_error(call, ERROR_shape, "x has %lld channels, weight takes %lld", (long long)g->c,
                        (long long)per_group);
    return op_error(call, ERROR_shape, "x has %lld channels, weight takes %lld in each of %lld groups", (long long)g->c,
                    (long long)per_group, (long long)g->groups);
}

/* Of conv1d, conv2d and conv3d. */
static bool geometry_forward(OpCall *call, ConvGeometry *g)
{
    const Tensor *x = call->in[0], *weight = call->in[1];
    int space = call->def == op_def(OP_conv1d) ? 1 : call->def == op_def(OP_conv2d) ? 2 : 3;
    if (!needs_axes(call, "x", x, space, x_layout) || !needs_axes(call, "weight", weight, space, weight_layout))
        return false;
    g->n = x->shape[0];
    g->c = x->shape[1];
    g->o = weight->shape[0];
    set_axes(g->in, space, x->shape + 2, 1);
    set_axes(g->kernel, space, weight->shape + 2, 1);
    return read_attrs(call, call->attr, space, g) && weight_fits(call, g, weight->shape[1]) &&
           finish_geometry(call, g, space, &call->attr[1]);
}

static bool result_fits(OpCall *call, const ConvGeometry *g, const Tensor *dy)
{
    int space = dy->ndim - 2;
    int64_t shape[2 + CONV_AXES] = {g->n, g->o};
    char wanted[96];
    memcpy(shape + 2, g->out + CONV_AXES - space, (size_t)space * sizeof *shape);
    if (memcmp(shape, dy->shape, (size_t)dy->ndim * sizeof *shape) == 0)
        return true;
    shape_format(dy->ndim, shape, wanted, sizeof wanted);
    return op_error(call, ERROR_shape, "dy must be %s", wanted);
}

/* Of conv_input_grad: dy, weight, and the size of x. */
static bool geometry_input(OpCall *call, ConvGeometry *g)
{
    const Tensor *dy = call->in[0], *weight = call->in[1];
    int space = space_of(call, "dy", dy);
    int64_t size[CONV_AXES];
    if (!space || !needs_axes(call, "weight", weight, space, weight_layout) ||
        !op_sizes(call, "size", &call->attr[0], space, 0, size))
        return false;
    g->n = dy->shape[0];
    g->o = weight->shape[0];
    set_axes(g->in, space, size, 1);
    set_axes(g->kernel, space, weight->shape + 2, 1);
    if (!read_attrs(call, call->attr + 1, space, g))
        return false;
    g->c = weight->shape[1] * g->groups;
    return finish_geometry(call, g, space, &call->attr[2]) && result_fits(call, g, dy);
}

/* Of conv_weight_grad: x, dy, and the size of the kernel. */
static bool geometry_weight(OpCall *call, ConvGeometry *g)
{
    const Tensor *x = call->in[0], *dy = call->in[1];
    int space = space_of(call, "x", x);
    int64_t size[CONV_AXES];
    if (!space || !needs_axes(call, "dy", dy, space, dy_layout) ||
        !op_sizes(call, "size", &call->attr[0], space, 1, size))
        return false;
    g->n = x->shape[0];
    g->c = x->shape[1];
    g->o = dy->shape[1];
    set_axes(g->in, space, x->shape + 2, 1);
    set_axes(g->kernel, space, size, 1);
    return read_attrs(call, call->attr + 1, space, g) && finish_geometry(call, g, space, &call->attr[2]) &&
           result_fits(call, g, dy);
}

static TensorSpec spec_for(OpCall *call, int n_in, int64_t a, int64_t b, const int64_t axes[CONV_AXES])
{
    int space = call->in[0]->ndim - 2;
    TensorSpec spec = {op_promote(n_in, call->in, true, true), 2 + space, {a, b}};
    memcpy(spec.shape + 2, axes + CONV_AXES - space, (size_t)space * sizeof *axes);
    return spec;
}

bool shape_conv(OpCall *call)
{
    ConvGeometry g;
    const Tensor *bias = call->in[2];
    if (!geometry_forward(call, &g))
        return false;
    if (bias && (bias->ndim != 1 || bias->shape[0] != g.o))
        return op_error(call, ERROR_shape, "bias must be [%lld], one for each output channel", (long long)g.o);
    call->spec[0] = spec_for(call, bias ? 3 : 2, g.n, g.o, g.out);
    return true;
}

bool shape_conv_input_grad(OpCall *call)
{
    ConvGeometry g;
    if (!geometry_input(call, &g))
        return false;
    call->spec[0] = spec_for(call, 2, g.n, g.c, g.in);
    return true;
}

bool shape_conv_weight_grad(OpCall *call)
{
    ConvGeometry g;
    if (!geometry_weight(call, &g))
        return false;
    call->spec[0] = spec_for(call, 2, g.o, g.cg, g.kernel);
    return true;
}

/* ---- a job ---- */

const ConvKernels *conv_kernels(bool single)
{
    return single ? &conv_table()->f32 : &conv_table()->f64;
}

static int64_t product(const int64_t axes[CONV_AXES])
{
    return axes[0] * axes[1] * axes[2];
}

bool conv_take(OpCall *call, Tensor *x, Dtype dtype, Tensor **to)
{
    if (!x)
        return true;
    Tensor *cast = tensor_cast(call->ctx, x, dtype);
    *to = cast ? tensor_contiguous(call->ctx, cast) : NULL;
    tensor_release(cast);
    return *to != NULL;
}

ConvChunks conv_chunks(int64_t all_images, int64_t all_rows, int64_t images, int64_t rows)
{
    int64_t pieces = ceil_div(all_rows, rows);
    return (ConvChunks){all_images, all_rows, images, rows, pieces,
                        pieces > 1 ? all_images * pieces : ceil_div(all_images, images)};
}

ConvChunk conv_chunk_at(const ConvChunks *cut, int64_t chunk)
{
    ConvChunk c = {.first = chunk / cut->pieces, .count = 1, .row = chunk % cut->pieces * cut->rows};
    if (cut->pieces == 1) {
        c.first = chunk * cut->images;
        c.count = cut->all_images - c.first < cut->images ? cut->all_images - c.first : cut->images;
    }
    c.rows = cut->all_rows - c.row < cut->rows ? cut->all_rows - c.row : cut->rows;
    return c;
}

/* [o, cg, kernel...] to [o, kernel..., cg] or back. */
static void arrange(const Conv *v, const char *from, char *to, bool back)
{
    int64_t kernel = product(v->g.kernel);
    for (int64_t o = 0; o < v->g.o; o++)
        for (int64_t c = 0; c < v->g.cg; c++)
            for (int64_t k = 0; k < kernel; k++) {
                int64_t first = (o * v->g.cg + c) * kernel + k, last = (o * kernel + k) * v->g.cg + c;
                int64_t source = back ? last : first, target = back ? first : last;
                if (v->dtype == DTYPE_f32)
                    ((float *)(void *)to)[target] = ((const float *)(const void *)from)[source];
                else
                    ((double *)(void *)to)[target] = ((const double *)(const void *)from)[source];
            }
}

/* Chooses the layout and the chunks. */
static void plan(Conv *v, bool allow_planes)
{
    ConvGeometry *g = &v->g;
    bool unit = product(g->kernel) == 1 && product(g->stride) == 1 && g->padding[0] == 0 && g->padding[1] == 0 &&
                g->padding[2] == 0;
    v->taps = g->cg * product(g->kernel);
    v->lines = g->out[0] * g->out[1];
    v->planes = allow_planes && ((unit && v->lines * g->out[2] >= 4 * FEW_TAPS) || v->taps <= FEW_TAPS);
    v->direct = v->planes && unit;
    int64_t row = g->out[2] * v->taps * v->width, image = row * v->lines;
    int64_t rows = v->lines, images = 1;
    if (image > CHUNK_BYTES)
        rows = CHUNK_BYTES / row < 1 ? 1 : CHUNK_BYTES / row;
    else
        images = CHUNK_BYTES / image;
    if (images > ceil_div(g->n, 4))                    /* small batches still spread over threads */
        images = ceil_div(g->n, 4);
    v->cut = conv_chunks(g->n, v->lines, images, rows);
}

static bool is_narrow(const OpCall *call)
{
    return call->ctx->narrow && call->spec[0].dtype == DTYPE_f32;
}

static bool conv_begin(OpCall *call, Conv *v, Tensor *x, Tensor *weight, Tensor *dy, bool allow_planes)
{
    v->dtype = call->spec[0].dtype;
    v->width = (int64_t)dtype_size(v->dtype);
    v->kernels = conv_kernels(v->dtype == DTYPE_f32);
    v->out = call->out[0]->data;
    v->ctx = call->ctx;
    v->narrow = is_narrow(call) && tile_kernels();
    if ((v->blas = blas_open(&call->ctx->error)) == NULL)
        return false;
    if (!conv_take(call, x, v->dtype, &v->x) || !conv_take(call, dy, v->dtype, &v->dy) ||
        !conv_take(call, weight, v->dtype, &v->weight))
        return false;
    plan(v, allow_planes);
    if (!weight || v->planes)
        return true;
    v->arranged = scratch_take(&call->ctx->error, (size_t)(v->g.o * v->taps * v->width) + 1);
    if (v->arranged)
        arrange(v, v->weight->data, v->arranged, false);
    return v->arranged != NULL;
}

static bool conv_end(OpCall *call, Conv *v, bool done)
{
    tensor_release(v->x);
    tensor_release(v->weight);
    tensor_release(v->bias);
    tensor_release(v->dy);
    scratch_release(v->arranged);
    scratch_release(v->partial);
    if (done && atomic_load(&v->failed))
        return op_error(call, ERROR_memory, "no memory is left to work in");
    return done && !tensor_interrupted(call->ctx);
}

static void multiply(Conv *v, char ta, char tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                     const void *b, int64_t ldb, bool add, void *c, int64_t ldc)
{
    ProductTile tile = {m, n, k, a, b, lda, ldb, ta == 'T', tb == 'T', NULL, add, c, ldc};
    if (v->narrow && !product_narrow_tile(&tile))
        atomic_store(&v->failed, true);
    if (v->narrow || (v->dtype == DTYPE_f32 && product_suits(m, n, k) && product_tile(&tile)))
        return;
    if (v->dtype == DTYPE_f32)
        v->blas->sgemm(ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
    else
        v->blas->dgemm(ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
}

/* Work memory of a task, cut into what it needs. */
typedef struct Work { char *base, *lines, *columns, *pixels; } Work;

static bool work_take(Conv *v, Work *w, bool lines)
{
    int64_t pixels = v->cut.images * v->cut.rows * v->g.out[2];
    int64_t image = lines ? ceil_div(product(v->g.in) * v->g.cg * v->width, 64) * 64 : 0;
    int64_t columns = ceil_div(pixels * v->taps * v->width, 64) * 64;
    Error error = {0};
    w->base = scratch_take(&error, (size_t)(image + columns + pixels * v->g.og * v->width));
    if (!w->base) {
        atomic_store(&v->failed, true);
        return false;
    }
    w->lines = w->base;
    w->columns = w->base + image;
    w->pixels = w->columns + columns;
    return true;
}

/* ---- addresses, in bytes ---- */

static char *x_at(const Conv *v, char *x, int64_t image, int64_t group)
{
    return x + (image * v->g.c + group * v->g.cg) * product(v->g.in) * v->width;
}

static char *y_at(const Conv *v, char *y, int64_t image, int64_t group, int64_t row)
{
    return y + ((image * v->g.o + group * v->g.og) * v->lines + row) * v->g.out[2] * v->width;
}

static int64_t clip(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The places [*low, *high) of an axis of x that results [first, last] read. */
static void axis_read(const ConvGeometry *g, int axis, int64_t first, int64_t last, int64_t *low, int64_t *high)
{
    int64_t start = first * g->stride[axis] - g->padding[axis];
    int64_t stop = last * g->stride[axis] - g->padding[axis] + (g->kernel[axis] - 1) * g->dilation[axis] + 1;
    *low = clip(start, 0, g->in[axis]);
    *high = clip(stop, *low, g->in[axis]);
}

/* w->columns = what the chunk's pixels read of x: the lines needed, channels last, and from them the columns. */
static void fill_columns(const Conv *v, const Work *w, ConvChunk c, int64_t group)
{
    const ConvGeometry *g = &v->g;
    int64_t oh = g->out[1], first = c.row / oh, last = (c.row + c.rows - 1) / oh, front, back, top, bottom;
    axis_read(g, 0, first, last, &front, &back);
    axis_read(g, 1, first == last ? c.row % oh : 0, first == last ? (c.row + c.rows - 1) % oh : oh - 1, &top, &bottom);
    for (int64_t i = 0; i < c.count; i++) {
        const char *x = x_at(v, v->x->data, c.first + i, group);
        for (int64_t z = front; z < back; z++) {
            int64_t at = (z * g->in[1] + top) * g->in[2];
            v->kernels->transpose(x + at * v->width, g->cg, (bottom - top) * g->in[2], product(g->in),
                                  w->lines + at * g->cg * v->width, g->cg, NULL);
        }
        v->kernels->gather(g, w->lines, c.row, c.rows, w->columns + i * c.rows * g->out[2] * v->taps * v->width);
    }
}

/* w->pixels = the chunk of dy, [pixels, og]. */
static void fill_pixels(const Conv *v, const Work *w, ConvChunk c, int64_t group)
{
    int64_t plane = v->lines * v->g.out[2], count = c.rows * v->g.out[2];
    for (int64_t i = 0; i < c.count; i++)
        v->kernels->transpose(y_at(v, v->dy->data, c.first + i, group, c.row), v->g.og, count, plane,
                              w->pixels + i * count * v->g.og * v->width, v->g.og, NULL);
}

/* ---- which way ---- */

/* The files that can run an op of the three; the last one can always. */
typedef bool Way(OpCall *call, const ConvGeometry *g);
typedef struct Ways { Way *depthwise, *narrow, *winograd, *general; } Ways;

/* What tiles round as they are packed, for processors without them. */
static bool run_rounded(OpCall *call, const Ways *ways, const ConvGeometry *g)
{
    Tensor *in[3] = {product_rounded(call->ctx, call->in[0]), NULL, call->n_in > 2 ? call->in[2] : NULL};
    OpCall inner = *call;
    inner.in = in;
    in[1] = in[0] ? product_rounded(call->ctx, call->in[1]) : NULL;
    bool done = in[1] && (winograd_suits(g, DTYPE_f32) ? ways->winograd(&inner, g) : ways->general(&inner, g));
    tensor_release(in[0]);
    tensor_release(in[1]);
    return done;
}

static bool run_way(OpCall *call, const Ways *ways, const ConvGeometry *g)
{
    bool done;
    if (spec_size(&call->spec[0]) == 0)
        return true;
    if (depthwise_suits(g))
        done = ways->depthwise(call, g);
    else if (is_narrow(call) && !tile_kernels())
        done = run_rounded(call, ways, g);
    else if (is_narrow(call) && narrow_suits(g))
        done = ways->narrow(call, g);
    else if (!is_narrow(call) && winograd_suits(g, call->spec[0].dtype))
        done = ways->winograd(call, g);
    else
        done = ways->general(call, g);
    return done && !tensor_interrupted(call->ctx);
}

/* ---- forward ---- */

static void forward_rows(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    ConvChunk c = conv_chunk_at(&v->cut, task);
    Work w;
    int64_t count = c.rows * g->out[2], plane = v->lines * g->out[2];
    if (!work_take(v, &w, true))
        return;
    for (int64_t group = 0; group < g->groups && !tensor_stopped(v->ctx); group++) {
        fill_columns(v, &w, c, group);
        multiply(v, 'N', 'T', c.count * count, g->og, v->taps, w.columns, v->taps,
                 v->arranged + group * g->og * v->taps * v->width, v->taps, false, w.pixels, g->og);
        const char *bias = v->bias ? v->bias->data + group * g->og * v->width : NULL;
        for (int64_t i = 0; i < c.count; i++)
            v->kernels->transpose(w.pixels + i * count * g->og * v->width, count, g->og, g->og,
                                  y_at(v, v->out, c.first + i, group, c.row), plane, bias);
    }
    scratch_release(w.base);
}

static void add_plane_bias(const Conv *v, int64_t image, ConvChunk c)
{
    int64_t count = c.rows * v->g.out[2];
    for (int64_t o = 0; o < v->g.o; o++) {
        char *at = y_at(v, v->out, image, 0, c.row) + o * v->lines * v->g.out[2] * v->width;
        for (int64_t i = 0; i < count; i++) {
            if (v->dtype == DTYPE_f32)
                ((float *)(void *)at)[i] += ((const float *)(const void *)v->bias->data)[o];
            else
                ((double *)(void *)at)[i] += ((const double *)(const void *)v->bias->data)[o];
        }
    }
}

/* The planes of one image's rows, [taps, pixels], and how far apart their rows are. */
static const char *planes_of(const Conv *v, const Work *w, int64_t image, int64_t group, ConvChunk c, int64_t *step)
{
    const char *x = x_at(v, v->x->data, image, group);
    *step = v->direct ? product(v->g.in) : c.rows * v->g.out[2];
    if (v->direct)
        return x + c.row * v->g.in[2] * v->width;
    v->kernels->planes(&v->g, x, c.row, c.rows, w->columns);
    return w->columns;
}

static void forward_planes(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    ConvChunk c = conv_chunk_at(&v->cut, task);
    Work w;
    if (!work_take(v, &w, false))
        return;
    for (int64_t image = c.first; image < c.first + c.count && !tensor_stopped(v->ctx); image++) {
        for (int64_t group = 0; group < g->groups; group++) {
            int64_t step;
            const char *planes = planes_of(v, &w, image, group, c, &step);
            multiply(v, 'N', 'N', g->og, c.rows * g->out[2], v->taps, v->weight->data + group * g->og * v->taps * v->width,
                     v->taps, planes, step, false, y_at(v, v->out, image, group, c.row), v->lines * g->out[2]);
        }
        if (v->bias)
            add_plane_bias(v, image, c);
    }
    scratch_release(w.base);
}

/* Without channels: sums of nothing. */
static bool only_bias(OpCall *call)
{
    const Tensor *bias = call->in[2];
    Tensor *sum = NULL;
    int64_t shape[1 + CONV_AXES] = {0, 1, 1, 1}, stride[1 + CONV_AXES] = {0, 1, 1, 1};
    if (bias) {
        shape[0] = bias->shape[0];
        stride[0] = bias->stride[0];
        sum = tensor_view(call->ctx, bias, call->spec[0].ndim - 1, shape, stride, 0);
    } else {
        sum = tensor_scalar(call->ctx, call->spec[0].dtype, 0);
    }
    bool done = sum && tensor_assign(call->ctx, call->out[0], sum);
    tensor_release(sum);
    return done;
}

static bool forward_general(OpCall *call, const ConvGeometry *g)
{
    Conv v = {.g = *g};
    return conv_end(call, &v, conv_begin(call, &v, call->in[0], call->in[1], NULL, true) &&
                                  conv_take(call, call->in[2], v.dtype, &v.bias) &&
                                  pool_run(call->ctx, v.cut.count, v.planes ? forward_planes : forward_rows, &v));
}

static bool conv_run(OpCall *call)
{
    static const Ways ways = {depthwise_run, narrow_run, winograd_run, forward_general};
    ConvGeometry g;
    if (!geometry_forward(call, &g))
        return false;
    return g.c == 0 ? only_bias(call) : run_way(call, &ways, &g);
}

bool conv1d_run(OpCall *call) { return conv_run(call); }
bool conv2d_run(OpCall *call) { return conv_run(call); }
bool conv3d_run(OpCall *call) { return conv_run(call); }

/* The row for dx, dy or dweight [id], of two tensors, the sizes of its result's space, and the four attributes. */
static bool adjoint(GradCall *g, int input, OpId id, Tensor *a, Tensor *b, const Attr *attr)
{
    const TensorSpec *spec = &g->in_spec[input];
    Tensor *in[2] = {a, b};
    Attr all[5] = {attr_ints(spec->ndim - 2, spec->shape + 2), attr[0], attr[1], attr[2], attr[3]};
    g->dx[input] = s_cast(g->s, s_op(g->s, id, 2, in, all, 0), spec->dtype);
    return g->dx[input] != NULL;
}

/* The gradient by an input that the convolution of x and weight stands for. */
static bool forward_again(GradCall *g, int input, Tensor *x, Tensor *weight, const Attr *attr)
{
    static const OpId by_space[] = {OP_conv1d, OP_conv2d, OP_conv3d};
    const TensorSpec *spec = &g->in_spec[input];
    Tensor *in[3] = {x, weight, NULL};
    g->dx[input] = s_cast(g->s, s_op(g->s, by_space[spec->ndim - 3], 3, in, attr, 0), spec->dtype);
    return g->dx[input] != NULL;
}

static bool conv_grad(GradCall *g)
{
    if (g->wants[0] && !adjoint(g, 0, OP_conv_input_grad, g->dy[0], g->in[1], g->attr))
        return false;
    if (g->wants[1] && !adjoint(g, 1, OP_conv_weight_grad, g->in[0], g->dy[0], g->attr))
        return false;
    if (g->n_in > 2 && g->wants[2]) {
        bool axes[TENSOR_MAX_DIMS] = {true, false, true, true, true};
        g->dx[2] = s_cast(g->s, s_sum(g->s, g->dy[0], axes, false), g->in_spec[2].dtype);
        return g->dx[2] != NULL;
    }
    return true;
}

bool conv1d_grad(GradCall *g) { return conv_grad(g); }
bool conv2d_grad(GradCall *g) { return conv_grad(g); }
bool conv3d_grad(GradCall *g) { return conv_grad(g); }

/* ---- gradient by the input ---- */

/* Images of one chunk, or one image of several: nobody else adds to them. */
static void input_task(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Work w;
    size_t image = (size_t)(product(g->in) * g->cg * v->width);
    if (!work_take(v, &w, true))
        return;
    for (int64_t group = 0; group < g->groups && !tensor_stopped(v->ctx); group++) {
        for (int64_t piece = 0; piece < v->cut.pieces; piece++) {
            ConvChunk c = conv_chunk_at(&v->cut, task * v->cut.pieces + piece);
            int64_t count = c.rows * g->out[2];
            fill_pixels(v, &w, c, group);
            multiply(v, 'N', 'N', c.count * count, v->taps, g->og, w.pixels, g->og,
                     v->arranged + group * g->og * v->taps * v->width, v->taps, false, w.columns, v->taps);
            for (int64_t i = 0; i < c.count; i++) {
                if (piece == 0)
                    memset(w.lines, 0, image);
                v->kernels->scatter(g, w.columns + i * count * v->taps * v->width, c.row, c.rows, w.lines);
                if (piece == v->cut.pieces - 1)
                    v->kernels->transpose(w.lines, product(g->in), g->cg, g->cg,
                                          x_at(v, v->out, c.first + i, group), product(g->in), NULL);
            }
        }
    }
    scratch_release(w.base);
}

static bool input_general(OpCall *call, const ConvGeometry *g)
{
    Conv v = {.g = *g};
    return conv_end(call, &v, conv_begin(call, &v, NULL, call->in[1], call->in[0], false) &&
                                  pool_run(call->ctx, v.cut.count / v.cut.pieces, input_task, &v));
}

static bool set_zero(OpCall *call)
{
    memset(call->out[0]->data, 0, (size_t)tensor_size(call->out[0]) * dtype_size(call->spec[0].dtype));
    return true;
}

bool conv_input_grad_run(OpCall *call)
{
    static const Ways ways = {depthwise_input_grad, narrow_input_grad, winograd_input_grad, input_general};
    ConvGeometry g;
    if (!geometry_input(call, &g))
        return false;
    return g.o == 0 && spec_size(&call->spec[0]) > 0 ? set_zero(call) : run_way(call, &ways, &g);
}

bool conv_input_grad_grad(GradCall *g)
{
    return (!g->wants[0] || forward_again(g, 0, g->dy[0], g->in[1], g->attr + 1)) &&
           (!g->wants[1] || adjoint(g, 1, OP_conv_weight_grad, g->dy[0], g->in[0], g->attr + 1));
}

/* ---- gradient by the weight ---- */

/* Sums the chunks of one part, in order. */
static void weight_task(void *arg, int64_t part)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Work w;
    int64_t first = part * v->cut.count / v->parts, last = (part + 1) * v->cut.count / v->parts;
    char *out = v->partial + part * g->o * v->taps * v->width;
    if (!work_take(v, &w, !v->planes))
        return;
    for (int64_t chunk = first; chunk < last && !tensor_stopped(v->ctx); chunk++) {
        ConvChunk c = conv_chunk_at(&v->cut, chunk);
        for (int64_t group = 0; group < g->groups; group++) {
            char *to = out + group * g->og * v->taps * v->width;
            int64_t count = c.rows * g->out[2], step;
            if (!v->planes) {
                fill_columns(v, &w, c, group);
                fill_pixels(v, &w, c, group);
                multiply(v, 'T', 'N', g->og, v->taps, c.count * count, w.pixels, g->og, w.columns, v->taps,
                         chunk > first, to, v->taps);
                continue;
            }
            for (int64_t i = 0; i < c.count; i++) {
                const char *planes = planes_of(v, &w, c.first + i, group, c, &step);
                multiply(v, 'N', 'T', g->og, v->taps, count, y_at(v, v->dy->data, c.first + i, group, c.row),
                         v->lines * g->out[2], planes, step, chunk > first || i > 0, to, v->taps);
            }
        }
    }
    scratch_release(w.base);
}

/* The parts summed into the first one, in order: one output channel a task. */
static void sum_task(void *arg, int64_t o)
{
    Conv *v = arg;
    int64_t size = v->g.o * v->taps;
    for (int64_t part = 1; part < v->parts; part++)
        for (int64_t i = o * v->taps; i < (o + 1) * v->taps; i++) {
            if (v->dtype == DTYPE_f32)
                ((float *)(void *)v->partial)[i] += ((float *)(void *)v->partial)[part * size + i];
            else
                ((double *)(void *)v->partial)[i] += ((double *)(void *)v->partial)[part * size + i];
        }
}

static bool weight_sum(OpCall *call, Conv *v)
{
    int64_t bytes = v->g.o * v->taps * v->width;
    v->parts = PARTS_BYTES / bytes < 2 ? 2 : PARTS_BYTES / bytes;
    v->parts = v->parts > WEIGHT_PARTS ? WEIGHT_PARTS : v->parts;
    v->parts = v->parts > v->cut.count ? v->cut.count : v->parts;
    v->partial = scratch_take(&call->ctx->error, (size_t)(v->parts * bytes));
    if (!v->partial || !pool_run(call->ctx, v->parts, weight_task, v) || !pool_run(call->ctx, v->g.o, sum_task, v))
        return false;
    if (v->planes)
        memcpy(v->out, v->partial, (size_t)bytes);
    else
        arrange(v, v->partial, v->out, true);
    return true;
}

static bool weight_general(OpCall *call, const ConvGeometry *g)
{
    Conv v = {.g = *g};
    return conv_end(call, &v, conv_begin(call, &v, call->in[0], NULL, call->in[1], true) && weight_sum(call, &v));
}

bool conv_weight_grad_run(OpCall *call)
{
    static const Ways ways = {depthwise_weight_grad, narrow_weight_grad, winograd_weight_grad, weight_general};
    ConvGeometry g;
    if (!geometry_weight(call, &g))
        return false;
    return g.n == 0 && spec_size(&call->spec[0]) > 0 ? set_zero(call) : run_way(call, &ways, &g);
}

bool conv_weight_grad_grad(GradCall *g)
{
    return (!g->wants[0] || adjoint(g, 0, OP_conv_input_grad, g->in[1], g->dy[0], g->attr + 1)) &&
           (!g->wants[1] || forward_again(g, 1, g->in[0], g->dy[0], g->attr + 1));
}

/* ---- transposed ---- */

/* A transposed convolution is the gradient of a convolution whose weight is [in, out / groups, kernel...]. */
static bool transposed_run(OpCall *call, int space)
{
    const Tensor *x = call->in[0], *weight = call->in[1], *bias = call->in[2];
    int64_t stride[CONV_AXES], padding[CONV_AXES], extra[CONV_AXES], dilation[CONV_AXES], size[CONV_AXES];
    if (!needs_axes(call, "x", x, space, x_layout) || !needs_axes(call, "weight", weight, space, transposed_layout) ||
        !op_sizes(call, "stride", &call->attr[0], space, 1, stride) ||
        !op_sizes(call, "padding", &call->attr[1], space, 0, padding) ||
        !op_sizes(call, "output_padding", &call->attr[2], space, 0, extra) ||
        !op_sizes(call, "dilation", &call->attr[4], space, 1, dilation))
        return false;
    for (int i = 0; i < space; i++) {
        size[i] = (x->shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight->shape[2 + i] - 1) + 1 +
                  extra[i];
        if (extra[i] >= stride[i])
            return op_error(call, ERROR_value, "output_padding must be smaller than the stride");
        if (size[i] < 1)
            return op_error(call, ERROR_shape, "nothing is left of the result after its padding is cut off");
    }
    if (x->shape[1] != weight->shape[0])
        return op_error(call, ERROR_shape, "x has %lld channels, weight takes %lld", (long long)x->shape[1],
                        (long long)weight->shape[0]);
    Scope s;
    scope_init(&s, call->ctx);
    Attr attr[5] = {attr_ints(space, size), call->attr[0], call->attr[1], call->attr[4], call->attr[3]};
    Tensor *y = s_op(&s, OP_conv_input_grad, 2, call->in, attr, 0);
    int64_t beside[1 + CONV_AXES] = {bias && bias->ndim == 1 ? bias->shape[0] : -1, 1, 1, 1};
    if (bias && y)
        y = s_add(&s, y, s_reshape(&s, call->in[2], 1 + space, beside));
    call->out[0] = tensor_retain(y);
    scope_clear(&s);
    return call->out[0] != NULL;
}

bool conv_transpose1d_run(OpCall *call) { return transposed_run(call, 1); }
bool conv_transpose2d_run(OpCall *call) { return transposed_run(call, 2); }
bool conv_transpose3d_run(OpCall *call) { return transposed_run(call, 3); }
