/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Convolutions whose groups have one input channel, and their adjoints: too few multiplications for a matrix product,
   so each channel is laid into a box with its padding and the kernel runs over that (kernels_conv.c). The gradient by
   the input is such a convolution too, of dy with its elements a stride apart and the kernel turned round.
   Invariant: a channel's sums are added in the order of the images, so the bits do not depend on threads. */
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "op_conv.h"

#define TASK_WORK 65536       /* multiplications of a task, about */

typedef struct Depthwise {
    ConvGeometry g;           /* of what the kernel runs: for the gradient by the input, the turned convolution */
    const ConvKernels *kernels;
    int64_t width;            /* bytes of an element */
    ConvBox box, dy_box;
    Tensor *x, *weight, *bias, *dy;   /* dense, owned; NULL where not needed */
    char *turned;             /* weight with every kernel turned round; scratch */
    char *out;
    int64_t group;            /* channels of a task */
    atomic_bool failed;       /* a task found no memory */
} Depthwise;

bool depthwise_suits(const ConvGeometry *g)
{
    return g->cg == 1 && g->groups > 1;
}

static int64_t product(const int64_t axes[CONV_AXES])
{
    return axes[0] * axes[1] * axes[2];
}

static int64_t box_bytes(const ConvBox *b, int64_t width)
{
    return ((product(b->size) + b->slack) * width + 63) / 64 * 64;
}

/* Weight, bias and x as they are read, and the box of all that [v->g] reads of a channel. */
static bool begin(OpCall *call, Depthwise *v, Tensor *x, Tensor *weight, Tensor *bias, Tensor *dy)
{
    Dtype dtype = call->spec[0].dtype;
    const ConvGeometry *g = &v->g;
    v->width = (int64_t)dtype_size(dtype);
    v->kernels = conv_kernels(dtype == DTYPE_f32);
    v->out = call->out[0]->data;
    v->box.slack = 16 + 8 * g->stride[2];              /* a row's last vector */
    for (int i = 0; i < CONV_AXES; i++) {
        v->box.size[i] = (g->out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1;
        v->box.before[i] = g->padding[i];
        if (v->box.spread[i] == 0) {
            v->box.spread[i] = 1;
            v->box.from[i] = g->in[i];
        }
    }
    int64_t channel = product(g->out) * product(g->kernel) * g->og;
    v->group = channel >= TASK_WORK ? 1 : TASK_WORK / channel;
    return conv_take(call, x, dtype, &v->x) && conv_take(call, weight, dtype, &v->weight) &&
           conv_take(call, bias, dtype, &v->bias) && conv_take(call, dy, dtype, &v->dy);
}

static bool end(OpCall *call, Depthwise *v, bool done)
{
    tensor_release(v->x);
    tensor_release(v->weight);
    tensor_release(v->bias);
    tensor_release(v->dy);
    scratch_release(v->turned);
    if (done && atomic_load(&v->failed))
        return op_error(call, ERROR_memory, "no memory is left to work in");
    return done && !tensor_interrupted(call->ctx);
}

static char *work_take(Depthwise *v, int64_t bytes)
{
    Error error = {0};
    char *work = scratch_take(&error, (size_t)bytes);
    if (!work)
        atomic_store(&v->failed, true);
    return work;
}

/* ---- forward ---- */

static void forward_task(void *arg, int64_t task)
{
    Depthwise *v = arg;
    const ConvGeometry *g = &v->g;
    int64_t planes = g->n * g->c, first = task * v->group, last = first + v->group < planes ? first + v->group : planes;
    int64_t taps = product(g->kernel) * v->width, out = product(g->out) * v->width;
    char *box = work_take(v, box_bytes(&v->box, v->width));
    for (int64_t plane = first; box && plane < last; plane++) {
        v->kernels->box(&v->box, v->x->data + plane * product(v->box.from) * v->width, box);
        for (int64_t k = 0; k < g->og; k++) {
            int64_t o = plane % g->c * g->og + k;
            v->kernels->depthwise(g, v->box.size, box, v->weight->data + o * taps,
                                  v->bias ? v->bias->data + o * v->width : NULL, false,
                                  v->out + (plane * g->og + k) * out);
        }
    }
    scratch_release(box);
}

static int64_t plane_tasks(const Depthwise *v)
{
    return (v->g.n * v->g.c + v->group - 1) / v->group;
}

bool depthwise_run(OpCall *call, const ConvGeometry *g)
{
    Depthwise v = {.g = *g};
    return end(call, &v, begin(call, &v, call->in[0], call->in[1], call->in[2], NULL) &&
                             pool_run(call->ctx, plane_tasks(&v), forward_task, &v));
}

/* ---- gradient by the input ---- */

/* [g] is the turned convolution, from one of dy's channels to one of x's. */
static void input_task(void *arg, int64_t task)
{
    Depthwise *v = arg;
    const ConvGeometry *g = &v->g;
    int64_t planes = g->n * g->c, first = task * v->group, last = first + v->group < planes ? first + v->group : planes;
    int64_t taps = product(g->kernel) * v->width, dy = product(v->box.from) * v->width;
    char *box = work_take(v, box_bytes(&v->box, v->width));
    for (int64_t plane = first; box && plane < last; plane++)
        for (int64_t k = 0; k < g->og; k++) {
            v->kernels->box(&v->box, v->dy->data + (plane * g->og + k) * dy, box);
            v->kernels->depthwise(g, v->box.size, box, v->turned + (plane % g->c * g->og + k) * taps, NULL, k > 0,
                                  v->out + plane * product(g->out) * v->width);
        }
    scratch_release(box);
}

/* The kernels of [v->weight], each from its last place to its first. */
static bool turn(OpCall *call, Depthwise *v)
{
    int64_t taps = product(v->g.kernel), count = v->g.o * taps;
    v->turned = scratch_take(&call->ctx->error, (size_t)(count * v->width));
    for (int64_t i = 0; v->turned && i < count; i++)
        memcpy(v->turned + i * v->width, v->weight->data + (i / taps * taps + taps - 1 - i % taps) * v->width,
               (size_t)v->width);
    return v->turned != NULL;
}

bool depthwise_input_grad(OpCall *call, const ConvGeometry *g)
{
    Depthwise v = {.g = *g};
    for (int i = 0; i < CONV_AXES; i++) {
        v.g.out[i] = g->in[i];
        v.g.stride[i] = 1;
        v.g.padding[i] = (g->kernel[i] - 1) * g->dilation[i] - g->padding[i];
        v.box.from[i] = g->out[i];
        v.box.spread[i] = g->stride[i];
    }
    return end(call, &v, begin(call, &v, NULL, call->in[1], NULL, call->in[0]) && turn(call, &v) &&
                             pool_run(call->ctx, plane_tasks(&v), input_task, &v));
}

/* ---- gradient by the weight ---- */

static void weight_task(void *arg, int64_t task)
{
    Depthwise *v = arg;
    const ConvGeometry *g = &v->g;
    int64_t taps = product(g->kernel), x = box_bytes(&v->box, v->width), dy = box_bytes(&v->dy_box, v->width);
    int64_t lanes = taps * 8 * v->width, first = task * v->group;
    int64_t last = first + v->group < g->c ? first + v->group : g->c;
    char *work = work_take(v, x + dy + lanes + g->og * taps * (int64_t)sizeof(double));
    for (int64_t c = first; work && c < last; c++) {
        double *sums = (double *)(void *)(work + x + dy + lanes);
        memset(sums, 0, (size_t)(g->og * taps) * sizeof *sums);
        for (int64_t image = 0; image < g->n; image++) {
            v->kernels->box(&v->box, v->x->data + (image * g->c + c) * product(g->in) * v->width, work);
            for (int64_t k = 0; k < g->og; k++) {
                int64_t plane = (image * g->c + c) * g->og + k;
                v->kernels->box(&v->dy_box, v->dy->data + plane * product(g->out) * v->width, work + x);
                v->kernels->depthwise_weight(g, v->box.size, work, v->dy_box.size[2], work + x, work + x + dy,
                                             sums + k * taps);
            }
        }
        for (int64_t i = 0; i < g->og * taps; i++) {
            char *to = v->out + (c * g->og * taps + i) * v->width;
            if (v->width == sizeof(float))
                *(float *)(void *)to = (float)sums[i];
            else
                *(double *)(void *)to = sums[i];
        }
    }
    scratch_release(work);
}

bool depthwise_weight_grad(OpCall *call, const ConvGeometry *g)
{
    Depthwise v = {.g = *g};
    for (int i = 0; i < CONV_AXES; i++) {
        v.dy_box.from[i] = v.dy_box.size[i] = g->out[i];
        v.dy_box.spread[i] = 1;
    }
    v.dy_box.size[2] = (g->out[2] + 7) / 8 * 8;
    bool done = begin(call, &v, call->in[0], NULL, NULL, call->in[1]);
    int64_t work = product(g->out) * product(g->kernel) * g->og * g->n;
    v.group = work >= TASK_WORK ? 1 : TASK_WORK / work;
    return end(call, &v, done && pool_run(call->ctx, (g->c + v.group - 1) / v.group, weight_task, &v));
}
