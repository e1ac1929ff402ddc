/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two-dimensional convolution and its two adjoints, each differentiable through the others. All three are matrix
   products over chunks of output pixels: kernels_conv.c lays out what the pixels read, BLAS multiplies.

   Two layouts: rows (one pixel a row, channels last) for everything with many channels; planes (one tap a row, pixels
   along it) for few taps, where results land in place. Invariant: chunks and the parts that a weight gradient is summed
   in depend on sizes only, so the bits are the same for any number of threads. */
#include <stdatomic.h>
#include <string.h>

#include "conv.h"
#include "core.h"

#define CHUNK_BYTES (1 << 20)         /* of columns: they stay in the second-level cache until multiplied */
#define FEW_TAPS 64
#define WEIGHT_PARTS 8
#define PARTS_BYTES (64 << 20)

typedef struct Conv {
    ConvGeometry g;
    Dtype dtype;
    int64_t width;            /* bytes of an element */
    int64_t taps;             /* cg * kh * kw */
    bool planes, direct;      /* direct: the planes are the image itself */
    const ConvKernels *kernels;
    const Blas *blas;
    Tensor *x, *weight, *bias, *dy;   /* dense, of [dtype]; owned; NULL where not needed */
    char *arranged;           /* weight as [o, kh, kw, cg] for rows; scratch */
    char *out;
    int64_t images, rows;     /* of a chunk: several whole images, or some rows of one */
    int64_t pieces, chunks;   /* chunks an image, and in all */
    char *partial;            /* [parts, o, taps]; scratch */
    int64_t parts;
    const atomic_uint *flags;
    atomic_bool failed;       /* a task found no memory */
} Conv;

/* ---- geometry ---- */

bool op_pair(OpCall *call, const char *name, const Attr *attr, int64_t low, int64_t out[2])
{
    if (attr->ints.count != 1 && attr->ints.count != 2)
        return op_error(call, ERROR_value, "%s is one number or two, not %d", name, attr->ints.count);
    for (int i = 0; i < 2; i++) {
        out[i] = attr->ints.v[attr->ints.count == 1 ? 0 : i];
        if (out[i] < low || out[i] > INT32_MAX)
            return op_error(call, ERROR_value, "%s cannot be %lld", name, (long long)out[i]);
    }
    return true;
}

/* Fills strides, padding, dilation and groups from four attributes. */
static bool read_attrs(OpCall *call, const Attr *attr, ConvGeometry *g)
{
    g->groups = attr[3].i;
    if (g->groups < 1)
        return op_error(call, ERROR_value, "groups cannot be %lld", (long long)g->groups);
    return op_pair(call, "stride", &attr[0], 1, g->stride) && op_pair(call, "padding", &attr[1], 0, g->padding) &&
           op_pair(call, "dilation", &attr[2], 1, g->dilation);
}

static bool needs_axes(OpCall *call, const char *name, const Tensor *x, const char *layout)
{
    if (x->ndim == 4)
        return true;
    return op_error(call, ERROR_shape, "%s must be %s, it has %d %s", name, layout, x->ndim,
                    x->ndim == 1 ? "axis" : "axes");
}

/* Derives the rest from n, c, h, w, o, kh, kw and the attributes. */
static bool finish_geometry(OpCall *call, ConvGeometry *g)
{
    if (g->c % g->groups != 0 || g->o % g->groups != 0)
        return op_error(call, ERROR_shape, "%lld groups do not divide %lld input and %lld output channels",
                        (long long)g->groups, (long long)g->c, (long long)g->o);
    g->cg = g->c / g->groups;
    g->og = g->o / g->groups;
    int64_t height = g->h + 2 * g->padding[0] - g->dilation[0] * (g->kh - 1) - 1;
    int64_t width = g->w + 2 * g->padding[1] - g->dilation[1] * (g->kw - 1) - 1;
    if (g->kh < 1 || g->kw < 1)
        return op_error(call, ERROR_shape, "the kernel is empty, [%lld, %lld]", (long long)g->kh, (long long)g->kw);
    if (height < 0 || width < 0)
        return op_error(call, ERROR_shape, "a kernel of [%lld, %lld] does not fit the padded input [%lld, %lld]",
                        (long long)(g->dilation[0] * (g->kh - 1) + 1), (long long)(g->dilation[1] * (g->kw - 1) + 1),
                        (long long)(g->h + 2 * g->padding[0]), (long long)(g->w + 2 * g->padding[1]));
    g->oh = height / g->stride[0] + 1;
    g->ow = width / g->stride[1] + 1;
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

static bool geometry_forward(OpCall *call, ConvGeometry *g)
{
    const Tensor *x = call->in[0], *weight = call->in[1];
    if (!needs_axes(call, "x", x, "[n, channels, height, width]") ||
        !needs_axes(call, "weight", weight, "[outputs, channels / groups, height, width]") ||
        !read_attrs(call, call->attr, g))
        return false;
    g->n = x->shape[0];
    g->c = x->shape[1];
    g->h = x->shape[2];
    g->w = x->shape[3];
    g->o = weight->shape[0];
    g->kh = weight->shape[2];
    g->kw = weight->shape[3];
    return weight_fits(call, g, weight->shape[1]) && finish_geometry(call, g);
}

static bool result_fits(OpCall *call, const ConvGeometry *g, const Tensor *dy)
{
    if (dy->shape[0] == g->n && dy->shape[1] == g->o && dy->shape[2] == g->oh && dy->shape[3] == g->ow)
        return true;
    return op_error(call, ERROR_shape, "dy must be [%lld, %lld, %lld, %lld]", (long long)g->n, (long long)g->o,
                    (long long)g->oh, (long long)g->ow);
}

/* Of conv2d_input_grad: dy, weight, and the size of x. */
static bool geometry_input(OpCall *call, ConvGeometry *g)
{
    const Tensor *dy = call->in[0], *weight = call->in[1];
    if (!needs_axes(call, "dy", dy, "[n, outputs, height, width]") ||
        !needs_axes(call, "weight", weight, "[outputs, channels / groups, height, width]") ||
        !read_attrs(call, call->attr + 2, g))
        return false;
    g->n = dy->shape[0];
    g->o = weight->shape[0];
    g->c = weight->shape[1] * g->groups;
    g->kh = weight->shape[2];
    g->kw = weight->shape[3];
    g->h = call->attr[0].i;
    g->w = call->attr[1].i;
    if (g->h < 0 || g->w < 0)
        return op_error(call, ERROR_value, "the size of x cannot be [%lld, %lld]", (long long)g->h, (long long)g->w);
    return finish_geometry(call, g) && result_fits(call, g, dy);
}

/* Of conv2d_weight_grad: x, dy, and the size of the kernel. */
static bool geometry_weight(OpCall *call, ConvGeometry *g)
{
    const Tensor *x = call->in[0], *dy = call->in[1];
    if (!needs_axes(call, "x", x, "[n, channels, height, width]") ||
        !needs_axes(call, "dy", dy, "[n, outputs, height, width]") || !read_attrs(call, call->attr + 2, g))
        return false;
    g->n = x->shape[0];
    g->c = x->shape[1];
    g->h = x->shape[2];
    g->w = x->shape[3];
    g->o = dy->shape[1];
    g->kh = call->attr[0].i;
    g->kw = call->attr[1].i;
    return finish_geometry(call, g) && result_fits(call, g, dy);
}

static TensorSpec four(Dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (TensorSpec){dtype, 4, {a, b, c, d}};
}

bool shape_conv2d(OpCall *call)
{
    ConvGeometry g;
    const Tensor *bias = call->in[2];
    if (!geometry_forward(call, &g))
        return false;
    if (bias && (bias->ndim != 1 || bias->shape[0] != g.o))
        return op_error(call, ERROR_shape, "bias must be [%lld], one for each output channel", (long long)g.o);
    call->spec[0] = four(op_promote(bias ? 3 : 2, call->in, true, true), g.n, g.o, g.oh, g.ow);
    return true;
}

bool shape_conv2d_input_grad(OpCall *call)
{
    ConvGeometry g;
    if (!geometry_input(call, &g))
        return false;
    call->spec[0] = four(op_promote(2, call->in, true, true), g.n, g.c, g.h, g.w);
    return true;
}

bool shape_conv2d_weight_grad(OpCall *call)
{
    ConvGeometry g;
    if (!geometry_weight(call, &g))
        return false;
    call->spec[0] = four(op_promote(2, call->in, true, true), g.o, g.cg, g.kh, g.kw);
    return true;
}

/* ---- a job ---- */

#ifdef KERNELS_X86
extern const ConvTable kernels_conv_sse2, kernels_conv_avx2, kernels_conv_avx512;

static const ConvTable *conv_table(void)
{
    static const ConvTable *const by_level[] = {
        [CPU_BASE] = &kernels_conv_sse2, [CPU_AVX2] = &kernels_conv_avx2, [CPU_AVX512] = &kernels_conv_avx512,
    };
    return by_level[cpu_level()];
}
#else
extern const ConvTable kernels_conv_plain;

static const ConvTable *conv_table(void)
{
    return &kernels_conv_plain;
}
#endif

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static Tensor *dense_as(TensorContext *ctx, Tensor *x, Dtype dtype)
{
    Tensor *cast = tensor_cast(ctx, x, dtype), *dense = cast ? tensor_contiguous(ctx, cast) : NULL;
    tensor_release(cast);
    return dense;
}

/* [o, cg, kh, kw] to [o, kh, kw, cg] or back. */
static void arrange(const Conv *v, const char *from, char *to, bool back)
{
    int64_t kernel = v->g.kh * v->g.kw;
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
    bool unit = g->kh == 1 && g->kw == 1 && g->stride[0] == 1 && g->stride[1] == 1 && g->padding[0] == 0 &&
                g->padding[1] == 0;
    v->taps = g->cg * g->kh * g->kw;
    v->planes = allow_planes && ((unit && g->oh * g->ow >= 4 * FEW_TAPS) || v->taps <= FEW_TAPS);
    v->direct = v->planes && unit;
    int64_t row = g->ow * v->taps * v->width, image = row * g->oh;
    v->rows = g->oh;
    v->images = 1;
    if (image > CHUNK_BYTES)
        v->rows = CHUNK_BYTES / row < 1 ? 1 : CHUNK_BYTES / row;
    else
        v->images = CHUNK_BYTES / image;
    if (v->images > ceil_div(g->n, 4))                 /* small batches still spread over threads */
        v->images = ceil_div(g->n, 4);
    v->pieces = ceil_div(g->oh, v->rows);
    v->chunks = v->pieces > 1 ? g->n * v->pieces : ceil_div(g->n, v->images);
}

static bool conv_begin(OpCall *call, Conv *v, Tensor *x, Tensor *weight, Tensor *dy, bool allow_planes)
{
    v->dtype = call->spec[0].dtype;
    v->width = (int64_t)dtype_size(v->dtype);
    v->kernels = v->dtype == DTYPE_f32 ? &conv_table()->f32 : &conv_table()->f64;
    v->out = call->out[0]->data;
    v->flags = call->ctx->flags;
    if ((v->blas = blas_open(&call->ctx->error)) == NULL)
        return false;
    if ((x && !(v->x = dense_as(call->ctx, x, v->dtype))) || (dy && !(v->dy = dense_as(call->ctx, dy, v->dtype))) ||
        (weight && !(v->weight = dense_as(call->ctx, weight, v->dtype))))
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

static bool stopped(const Conv *v)
{
    return v->flags && atomic_load_explicit(v->flags, memory_order_relaxed) != 0;
}

static void multiply(const Conv *v, char ta, char tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                     const void *b, int64_t ldb, bool add, void *c, int64_t ldc)
{
    if (v->dtype == DTYPE_f32)
        v->blas->sgemm(ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
    else
        v->blas->dgemm(ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
}

/* A chunk: images [first, first + count), rows [row, row + rows) of each. */
typedef struct Chunk { int64_t first, count, row, rows; } Chunk;

static Chunk chunk_at(const Conv *v, int64_t chunk)
{
    Chunk c = {chunk / v->pieces, 1, chunk % v->pieces * v->rows, v->rows};
    if (v->pieces == 1) {
        c.first = chunk * v->images;
        c.count = v->g.n - c.first < v->images ? v->g.n - c.first : v->images;
    }
    c.rows = v->g.oh - c.row < c.rows ? v->g.oh - c.row : c.rows;
    return c;
}

/* Work memory of a task, cut into what it needs. */
typedef struct Work { char *base, *lines, *columns, *pixels; } Work;

static bool work_take(Conv *v, Work *w, bool lines)
{
    int64_t pixels = v->images * v->rows * v->g.ow;
    int64_t image = lines ? ceil_div(v->g.h * v->g.w * v->g.cg * v->width, 64) * 64 : 0;
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
    return x + (image * v->g.c + group * v->g.cg) * v->g.h * v->g.w * v->width;
}

static char *y_at(const Conv *v, char *y, int64_t image, int64_t group, int64_t row)
{
    return y + ((image * v->g.o + group * v->g.og) * v->g.oh + row) * v->g.ow * v->width;
}

/* w->columns = what the chunk's pixels read of x. */
static void fill_columns(const Conv *v, const Work *w, Chunk c, int64_t group)
{
    const ConvGeometry *g = &v->g;
    int64_t top = c.row * g->stride[0] - g->padding[0];
    int64_t bottom = top + (c.rows - 1) * g->stride[0] + (g->kh - 1) * g->dilation[0] + 1;
    top = top < 0 ? 0 : top > g->h ? g->h : top;
    bottom = bottom > g->h ? g->h : bottom < top ? top : bottom;
    for (int64_t i = 0; i < c.count; i++) {
        const char *x = x_at(v, v->x->data, c.first + i, group) + top * g->w * v->width;
        v->kernels->transpose(x, g->cg, (bottom - top) * g->w, g->h * g->w, w->lines, g->cg, NULL);
        v->kernels->gather(g, w->lines, top, c.row, c.rows, w->columns + i * c.rows * g->ow * v->taps * v->width);
    }
}

/* w->pixels = the chunk of dy, [pixels, og]. */
static void fill_pixels(const Conv *v, const Work *w, Chunk c, int64_t group)
{
    int64_t plane = v->g.oh * v->g.ow, count = c.rows * v->g.ow;
    for (int64_t i = 0; i < c.count; i++)
        v->kernels->transpose(y_at(v, v->dy->data, c.first + i, group, c.row), v->g.og, count, plane,
                              w->pixels + i * count * v->g.og * v->width, v->g.og, NULL);
}

/* ---- forward ---- */

static void forward_rows(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Chunk c = chunk_at(v, task);
    Work w;
    int64_t count = c.rows * g->ow, plane = g->oh * g->ow;
    if (!work_take(v, &w, true))
        return;
    for (int64_t group = 0; group < g->groups && !stopped(v); group++) {
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

static void add_plane_bias(const Conv *v, int64_t image, Chunk c)
{
    int64_t count = c.rows * v->g.ow;
    for (int64_t o = 0; o < v->g.o; o++) {
        char *at = y_at(v, v->out, image, 0, c.row) + o * v->g.oh * v->g.ow * v->width;
        for (int64_t i = 0; i < count; i++) {
            if (v->dtype == DTYPE_f32)
                ((float *)(void *)at)[i] += ((const float *)(const void *)v->bias->data)[o];
            else
                ((double *)(void *)at)[i] += ((const double *)(const void *)v->bias->data)[o];
        }
    }
}

/* The planes of one image's rows, [taps, pixels], and how far apart their rows are. */
static const char *planes_of(const Conv *v, const Work *w, int64_t image, int64_t group, Chunk c, int64_t *step)
{
    const char *x = x_at(v, v->x->data, image, group);
    *step = v->direct ? v->g.h * v->g.w : c.rows * v->g.ow;
    if (v->direct)
        return x + c.row * v->g.w * v->width;
    v->kernels->planes(&v->g, x, c.row, c.rows, w->columns);
    return w->columns;
}

static void forward_planes(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Chunk c = chunk_at(v, task);
    Work w;
    if (!work_take(v, &w, false))
        return;
    for (int64_t image = c.first; image < c.first + c.count && !stopped(v); image++) {
        for (int64_t group = 0; group < g->groups; group++) {
            int64_t step;
            const char *planes = planes_of(v, &w, image, group, c, &step);
            multiply(v, 'N', 'N', g->og, c.rows * g->ow, v->taps, v->weight->data + group * g->og * v->taps * v->width,
                     v->taps, planes, step, false, y_at(v, v->out, image, group, c.row), g->oh * g->ow);
        }
        if (v->bias)
            add_plane_bias(v, image, c);
    }
    scratch_release(w.base);
}

bool conv2d_run(OpCall *call)
{
    Conv v = {0};
    bool done = geometry_forward(call, &v.g);
    if (done && v.g.c == 0) {                          /* sums of nothing */
        Tensor *sum = call->in[2] ? tensor_view(call->ctx, call->in[2], 3, (int64_t[3]){v.g.o, 1, 1},
                                                (int64_t[3]){call->in[2]->stride[0], 1, 1}, 0)
                                  : tensor_scalar(call->ctx, call->spec[0].dtype, 0);
        done = sum && tensor_assign(call->ctx, call->out[0], sum);
        tensor_release(sum);
    } else if (done && spec_size(&call->spec[0]) > 0) {
        done = conv_begin(call, &v, call->in[0], call->in[1], NULL, true) &&
               (!call->in[2] || (v.bias = dense_as(call->ctx, call->in[2], v.dtype))) &&
               pool_run(call->ctx, v.chunks, v.planes ? forward_planes : forward_rows, &v);
    }
    return conv_end(call, &v, done);
}

bool conv2d_grad(GradCall *g)
{
    const TensorSpec *x = &g->in_spec[0], *weight = &g->in_spec[1];
    Attr attr[6] = {attr_int(x->shape[2]), attr_int(x->shape[3]), g->attr[0], g->attr[1], g->attr[2], g->attr[3]};
    if (g->wants[0]) {
        Tensor *in[2] = {g->dy[0], g->in[1]};
        g->dx[0] = s_cast(g->s, s_op(g->s, OP_conv2d_input_grad, 2, in, attr, 0), x->dtype);
        if (!g->dx[0])
            return false;
    }
    if (g->wants[1]) {
        Tensor *in[2] = {g->in[0], g->dy[0]};
        attr[0] = attr_int(weight->shape[2]);
        attr[1] = attr_int(weight->shape[3]);
        g->dx[1] = s_cast(g->s, s_op(g->s, OP_conv2d_weight_grad, 2, in, attr, 0), weight->dtype);
        if (!g->dx[1])
            return false;
    }
    if (g->n_in > 2 && g->wants[2]) {
        bool axes[TENSOR_MAX_DIMS] = {true, false, true, true};
        g->dx[2] = s_cast(g->s, s_sum(g->s, g->dy[0], axes, false), g->in_spec[2].dtype);
        return g->dx[2] != NULL;
    }
    return true;
}

/* ---- gradient by the input ---- */

/* Images of one chunk, or one image of several: nobody else adds to them. */
static void input_task(void *arg, int64_t task)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Work w;
    size_t image = (size_t)(g->h * g->w * g->cg * v->width);
    if (!work_take(v, &w, true))
        return;
    for (int64_t group = 0; group < g->groups && !stopped(v); group++) {
        for (int64_t piece = 0; piece < v->pieces; piece++) {
            Chunk c = chunk_at(v, task * v->pieces + piece);
            int64_t count = c.rows * g->ow;
            fill_pixels(v, &w, c, group);
            multiply(v, 'N', 'N', c.count * count, v->taps, g->og, w.pixels, g->og,
                     v->arranged + group * g->og * v->taps * v->width, v->taps, false, w.columns, v->taps);
            for (int64_t i = 0; i < c.count; i++) {
                if (piece == 0)
                    memset(w.lines, 0, image);
                v->kernels->scatter(g, w.columns + i * count * v->taps * v->width, c.row, c.rows, w.lines);
                if (piece == v->pieces - 1)
                    v->kernels->transpose(w.lines, g->h * g->w, g->cg, g->cg, x_at(v, v->out, c.first + i, group),
                                          g->h * g->w, NULL);
            }
        }
    }
    scratch_release(w.base);
}

bool conv2d_input_grad_run(OpCall *call)
{
    Conv v = {0};
    bool done = geometry_input(call, &v.g);
    if (done && spec_size(&call->spec[0]) > 0 && v.g.o == 0)
        memset(call->out[0]->data, 0, (size_t)tensor_size(call->out[0]) * dtype_size(call->spec[0].dtype));
    else if (done && spec_size(&call->spec[0]) > 0)
        done = conv_begin(call, &v, NULL, call->in[1], call->in[0], false) &&
               pool_run(call->ctx, v.chunks / v.pieces, input_task, &v);
    return conv_end(call, &v, done);
}

bool conv2d_input_grad_grad(GradCall *g)
{
    if (g->wants[0]) {
        Tensor *in[3] = {g->dy[0], g->in[1], NULL};
        g->dx[0] = s_cast(g->s, s_op(g->s, OP_conv2d, 3, in, g->attr + 2, 0), g->in_spec[0].dtype);
        if (!g->dx[0])
            return false;
    }
    if (g->wants[1]) {
        Tensor *in[2] = {g->dy[0], g->in[0]};
        Attr attr[6] = {attr_int(g->in_spec[1].shape[2]), attr_int(g->in_spec[1].shape[3]), g->attr[2], g->attr[3],
                        g->attr[4], g->attr[5]};
        g->dx[1] = s_cast(g->s, s_op(g->s, OP_conv2d_weight_grad, 2, in, attr, 0), g->in_spec[1].dtype);
        return g->dx[1] != NULL;
    }
    return true;
}

/* ---- gradient by the weight ---- */

/* Sums the chunks of one part, in order. */
static void weight_task(void *arg, int64_t part)
{
    Conv *v = arg;
    const ConvGeometry *g = &v->g;
    Work w;
    int64_t first = part * v->chunks / v->parts, last = (part + 1) * v->chunks / v->parts;
    char *out = v->partial + part * g->o * v->taps * v->width;
    if (!work_take(v, &w, !v->planes))
        return;
    for (int64_t chunk = first; chunk < last && !stopped(v); chunk++) {
        Chunk c = chunk_at(v, chunk);
        for (int64_t group = 0; group < g->groups; group++) {
            char *to = out + group * g->og * v->taps * v->width;
            int64_t count = c.rows * g->ow, step;
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
                         g->oh * g->ow, planes, step, chunk > first || i > 0, to, v->taps);
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
    v->parts = v->parts > v->chunks ? v->chunks : v->parts;
    v->partial = scratch_take(&call->ctx->error, (size_t)(v->parts * bytes));
    if (!v->partial || !pool_run(call->ctx, v->parts, weight_task, v) || !pool_run(call->ctx, v->g.o, sum_task, v))
        return false;
    if (v->planes)
        memcpy(v->out, v->partial, (size_t)bytes);
    else
        arrange(v, v->partial, v->out, true);
    return true;
}

bool conv2d_weight_grad_run(OpCall *call)
{
    Conv v = {0};
    bool done = geometry_weight(call, &v.g);
    if (done && spec_size(&call->spec[0]) > 0 && v.g.n == 0)
        memset(call->out[0]->data, 0, (size_t)tensor_size(call->out[0]) * dtype_size(call->spec[0].dtype));
    else if (done && spec_size(&call->spec[0]) > 0)
        done = conv_begin(call, &v, call->in[0], NULL, call->in[1], true) && weight_sum(call, &v);
    return conv_end(call, &v, done);
}

bool conv2d_weight_grad_grad(GradCall *g)
{
    if (g->wants[0]) {
        Tensor *in[2] = {g->in[1], g->dy[0]};
        Attr attr[6] = {attr_int(g->in_spec[0].shape[2]), attr_int(g->in_spec[0].shape[3]), g->attr[2], g->attr[3],
                        g->attr[4], g->attr[5]};
        g->dx[0] = s_cast(g->s, s_op(g->s, OP_conv2d_input_grad, 2, in, attr, 0), g->in_spec[0].dtype);
        if (!g->dx[0])
            return false;
    }
    if (g->wants[1]) {
        Tensor *in[3] = {g->in[0], g->dy[0], NULL};
        g->dx[1] = s_cast(g->s, s_op(g->s, OP_conv2d, 3, in, g->attr + 2, 0), g->in_spec[1].dtype);
        return g->dx[1] != NULL;
    }
    return true;
}

/* ---- transposed ---- */

/* conv_transpose2d is the gradient of a convolution whose weight is [in, out / groups, kh, kw]. */
bool conv_transpose2d_run(OpCall *call)
{
    const Tensor *x = call->in[0], *weight = call->in[1], *bias = call->in[2];
    int64_t stride[2], padding[2], extra[2], dilation[2], size[2];
    if (!needs_axes(call, "x", x, "[n, channels, height, width]") ||
        !needs_axes(call, "weight", weight, "[channels, outputs / groups, height, width]") ||
        !op_pair(call, "stride", &call->attr[0], 1, stride) || !op_pair(call, "padding", &call->attr[1], 0, padding) ||
        !op_pair(call, "output_padding", &call->attr[2], 0, extra) ||
        !op_pair(call, "dilation", &call->attr[3], 1, dilation))
        return false;
    for (int i = 0; i < 2; i++)
        size[i] = (x->shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight->shape[2 + i] - 1) + 1 +
                  extra[i];
    if (extra[0] >= stride[0] || extra[1] >= stride[1])
        return op_error(call, ERROR_value, "output_padding must be smaller than the stride");
    if (x->shape[1] != weight->shape[0])
        return op_error(call, ERROR_shape, "x has %lld channels, weight takes %lld", (long long)x->shape[1],
                        (long long)weight->shape[0]);
    if (size[0] < 1 || size[1] < 1)
        return op_error(call, ERROR_shape, "nothing is left of the result after its padding is cut off");
    Scope s;
    scope_init(&s, call->ctx);
    Attr attr[6] = {attr_int(size[0]), attr_int(size[1]), call->attr[0], call->attr[1], call->attr[3], call->attr[4]};
    Tensor *y = s_op(&s, OP_conv2d_input_grad, 2, call->in, attr, 0);
    if (bias && y)
        y = s_add(&s, y, s_reshape(&s, call->in[2], 3, (int64_t[3]){bias->ndim == 1 ? bias->shape[0] : -1, 1, 1}));
    call->out[0] = tensor_retain(y);
    scope_clear(&s);
    return call->out[0] != NULL;
}
