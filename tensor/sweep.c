/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks of several tensors in step (sweep.h). Invariant: which elements share a block, and so the bits of a result,
   depends on shapes and strides only. */
#include <string.h>

#include "sweep.h"

#define STRAIGHTEN_FROM 4096
#define LONG_RUN 192          /* an inner axis of this length is walked in place, without a copy */
/* Walks of many elements come from memory or a cache that the cores share: what is read soon is asked for in time, a few lines
   with each short block, as the processor by itself asks too late once the kernel does more than copy. */
#define FAR_FROM (1 << 18)    /* elements */
#define FAR_BLOCK 256         /* elements of a block */
#define FAR_AHEAD 1024        /* elements from what is read to what is asked for */
#define LINE 64

typedef struct SweepBuffers {
    _Alignas(64) unsigned char value[SWEEP_MAX_IN][SWEEP_BLOCK * 8];
    _Alignas(64) unsigned char raw[SWEEP_BLOCK * 8];
} SweepBuffers;

void sweep_init(Sweep *sweep, int ndim, const int64_t *shape, SweepBody *body, void *arg)
{
    sweep->kernels = kernels();
    sweep->size = 1;
    sweep->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        sweep->shape[i] = shape[i];
        sweep->size *= shape[i];
    }
    sweep->n_in = 0;
    sweep->body = body;
    sweep->arg = arg;
}

static void place(const Sweep *sweep, SweepInput *in, const Tensor *tensor)
{
    int lead = sweep->ndim - tensor->ndim;
    in->data = tensor->data;
    for (int i = 0; i < sweep->ndim; i++)
        in->stride[i] = i < lead || tensor->shape[i - lead] == 1 ? 0 : tensor->stride[i - lead];
}

void sweep_input(Sweep *sweep, const Tensor *tensor, Dtype to)
{
    SweepInput *in = &sweep->in[sweep->n_in++];
    in->copy = NULL;
    in->tensor = tensor;
    in->data = NULL;
    in->dense = in->single = false;
    if (!tensor) return;
    in->from = (Dtype)tensor->dtype;
    in->to = to;
    place(sweep, in, tensor);
}

static bool joins(const Sweep *s, int axis, const int64_t *size)
{
    for (int k = 0; k < s->n_in; k++)
        if (s->in[k].data && s->in[k].stride[axis - 1] != s->in[k].stride[axis] * size[axis]) return false;
    return true;
}

/* Drops axes of length 1 and merges neighbours that all inputs walk alike. */
static void merge_axes(Sweep *s)
{
    int n = 0;
    for (int i = 0; i < s->ndim; i++) {
        if (s->shape[i] == 1) continue;
        s->shape[n] = s->shape[i];
        for (int k = 0; k < s->n_in; k++) s->in[k].stride[n] = s->in[k].stride[i];
        n++;
        if (n >= 2 && joins(s, n - 1, s->shape)) {
            s->shape[n - 2] *= s->shape[n - 1];
            for (int k = 0; k < s->n_in; k++) s->in[k].stride[n - 2] = s->in[k].stride[n - 1];
            n--;
        }
    }
    if (n == 0) {
        s->shape[0] = 1;
        for (int k = 0; k < s->n_in; k++) s->in[k].stride[0] = 0;
        n = 1;
    }
    s->ndim = n;
    for (int k = 0; k < s->n_in; k++) {
        int64_t step = 1;
        s->in[k].dense = s->in[k].single = s->in[k].data != NULL;
        for (int i = n - 1; i >= 0; i--) {
            s->in[k].dense = s->in[k].dense && (s->in[k].stride[i] == step || s->shape[i] == 1);
            s->in[k].single = s->in[k].single && s->in[k].stride[i] == 0;
            step *= s->shape[i];
        }
        if (s->in[k].single) s->in[k].dense = false;
    }
}

/* [n] elements of [size] bytes, [stride] apart, one behind the other */
static void copy_run(char *to, const char *from, int64_t n, int64_t stride, size_t size)
{
    if (stride == 1) {
        memcpy(to, from, (size_t)n * size);
    } else if (size == 4) {
        uint32_t *out = (uint32_t *)(void *)to;
        const uint32_t *in = (const uint32_t *)(const void *)from;
        if (stride == 0)
            for (int64_t i = 0; i < n; i++) out[i] = in[0];
        else
            for (int64_t i = 0; i < n; i++) out[i] = in[i * stride];
    } else if (size == 8) {
        uint64_t *out = (uint64_t *)(void *)to;
        const uint64_t *in = (const uint64_t *)(const void *)from;
        for (int64_t i = 0; i < n; i++) out[i] = in[i * stride];
    } else {
        for (int64_t i = 0; i < n; i++) to[i] = from[i * stride];
    }
}

/* Where element [at] of the walk lies in input [in]; index[] gets its place on every axis. */
static int64_t locate(const Sweep *s, const SweepInput *in, int64_t at, int64_t *index)
{
    int64_t offset = 0;
    for (int i = s->ndim - 1; i > 0; i--) {
        int64_t rest = at / s->shape[i];
        index[i] = at - rest * s->shape[i];
        offset += index[i] * in->stride[i];
        at = rest;
    }
    index[0] = at;
    return offset + at * in->stride[0];
}

static void gather(const Sweep *s, const SweepInput *in, int64_t at, int64_t n, char *to)
{
    int64_t index[TENSOR_MAX_DIMS], offset = locate(s, in, at, index);
    int last = s->ndim - 1;
    size_t size = dtype_size(in->from);
    while (n > 0) {
        int64_t run = s->shape[last] - index[last];
        if (run > n) run = n;
        copy_run(to, in->data + offset * (int64_t)size, run, in->stride[last], size);
        to += run * (int64_t)size;
        n -= run;
        offset += run * in->stride[last];
        index[last] += run;
        for (int i = last; i > 0 && index[i] == s->shape[i]; i--) {
            offset += in->stride[i - 1] - s->shape[i] * in->stride[i];
            index[i] = 0;
            index[i - 1]++;
        }
    }
}

static const void *block_of(const Sweep *s, int k, int64_t at, int64_t n, SweepBuffers *buffers)
{
    const SweepInput *in = &s->in[k];
    if (!in->data) return NULL;
    if (in->single) return buffers->value[k];
    const char *raw = NULL;
    if (in->dense) {
        raw = in->data + at * (int64_t)dtype_size(in->from);
    } else {
        int64_t index[TENSOR_MAX_DIMS];
        int last = s->ndim - 1;
        if (in->stride[last] == 1 && s->shape[last] >= LONG_RUN) {
            int64_t offset = locate(s, in, at, index);
            if (index[last] + n <= s->shape[last]) raw = in->data + offset * (int64_t)dtype_size(in->from);
        }
        if (!raw) {
            gather(s, in, at, n, (char *)(in->from == in->to ? buffers->value[k] : buffers->raw));
            raw = (const char *)(in->from == in->to ? buffers->value[k] : buffers->raw);
        }
    }
    if (in->from == in->to) return raw;
    s->kernels->convert[in->from][in->to](n, raw, buffers->value[k]);
    return buffers->value[k];
}

static void fetch_ahead(const Sweep *s, int64_t at, int64_t n)
{
    for (int k = 0; k < s->n_in; k++) {
        int64_t size = s->in[k].dense ? (int64_t)dtype_size(s->in[k].from) : 0;
        const char *from = s->in[k].data + (at + FAR_AHEAD) * size;
        for (int64_t i = 0; i < n * size; i += LINE) __builtin_prefetch(from + i);
    }
}

static void run_range(const Sweep *s, int64_t at, int64_t end, void *arg)
{
    SweepBuffers buffers;
    const void *in[SWEEP_MAX_IN];
    bool direct = true, walked = false;     /* no buffer of limited length; an input that follows the inner axis */
    for (int k = 0; k < s->n_in; k++) {
        const SweepInput *x = &s->in[k];
        direct = direct && (!x->data || (x->dense && x->from == x->to));
        walked = walked || (x->data && !x->dense && !x->single);
        if (!x->data || !x->single) continue;
        int64_t n = end - at < SWEEP_BLOCK ? end - at : SWEEP_BLOCK;
        copy_run((char *)buffers.raw, x->data, n, 0, dtype_size(x->from));
        s->kernels->convert[x->from][x->to](n, buffers.raw, buffers.value[k]);
    }
    int64_t inner = s->shape[s->ndim - 1];
    bool far = s->size >= FAR_FROM;
    int64_t longest = far ? FAR_BLOCK : direct ? SWEEP_CHUNK : SWEEP_BLOCK;
    while (at < end) {
        int64_t n = end - at < longest ? end - at : longest;
        if (walked && inner >= LONG_RUN && n > inner - at % inner) n = inner - at % inner;
        if (far && at + FAR_AHEAD + n <= s->size) fetch_ahead(s, at, n);
        for (int k = 0; k < s->n_in; k++) in[k] = block_of(s, k, at, n, &buffers);
        s->body(arg, at, n, in);
        at += n;
    }
}

static void run_task(void *arg, int64_t task)
{
    const Sweep *s = arg;
    int64_t at = task * SWEEP_CHUNK, end = at + SWEEP_CHUNK;
    run_range(s, at, end < s->size ? end : s->size, s->arg);
}

/* Large inputs whose last axis does not lie in one piece (transposes) are copied first: a copy goes in tiles, a gather
   would fetch a cache line for every element. */
static bool straighten(TensorContext *ctx, Sweep *s)
{
    for (int k = 0; k < s->n_in; k++) {
        SweepInput *in = &s->in[k];
        int last = in->tensor ? in->tensor->ndim - 1 : -1;
        while (last >= 0 && in->tensor->shape[last] == 1) last--;
        if (last < 0 || (in->tensor->stride[last] >= -1 && in->tensor->stride[last] <= 1)) continue;
        if (tensor_size(in->tensor) < STRAIGHTEN_FROM) continue;
        in->copy = tensor_copy(ctx, in->tensor);
        if (!in->copy) return false;
        place(s, in, in->copy);
    }
    return true;
}

static bool run_all(TensorContext *ctx, Sweep *sweep)
{
    if (sweep->size > SWEEP_CHUNK)
        return pool_run(ctx, (sweep->size + SWEEP_CHUNK - 1) / SWEEP_CHUNK, run_task, sweep);
    run_range(sweep, 0, sweep->size, sweep->arg);
    return true;
}

/* Few elements that already lie as they are walked, without conversion: the body takes them where they are. */
static bool run_small(const Sweep *s)
{
    const void *in[SWEEP_MAX_IN];
    if (s->size > SWEEP_CHUNK) return false;
    for (int k = 0; k < s->n_in; k++) {
        const SweepInput *x = &s->in[k];
        in[k] = x->data;
        if (!x->tensor) continue;
        if (x->from != x->to || x->tensor->ndim != s->ndim || !tensor_is_contiguous(x->tensor)) return false;
        for (int i = 0; i < s->ndim; i++)
            if (x->tensor->shape[i] != s->shape[i]) return false;
    }
    s->body(s->arg, 0, s->size, in);
    return true;
}

bool sweep_run(TensorContext *ctx, Sweep *sweep)
{
    if (sweep->size == 0 || run_small(sweep)) return true;
    bool ok = sweep_begin(ctx, sweep) && run_all(ctx, sweep);
    sweep_end(sweep);
    return ok;
}

bool sweep_begin(TensorContext *ctx, Sweep *sweep)
{
    if (!straighten(ctx, sweep)) return false;
    merge_axes(sweep);
    return true;
}

void sweep_part(const Sweep *sweep, int64_t at, int64_t n, void *arg) { run_range(sweep, at, at + n, arg); }

void sweep_end(Sweep *sweep)
{
    for (int k = 0; k < sweep->n_in; k++) tensor_release(sweep->in[k].copy);
}
