/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop over ops.def. For every row: documented, and covered by cases, an empty axis and an axis of size 1 among
   them. For every case and dtype: the value against the reference, the shape rule, strided inputs, inputs left alone,
   the gradient and its own gradient against differences, the fused gradient against the one made of ops, the errors it
   should give, nothing leaked, and the same bits on 1, 2 and 4 threads.
   Usage: test_ops [--first] [names of rows]. --first: only the first case of each row, and one thread count, for slow
   machines such as valgrind's. TESSERA_ISA chooses the kernels, as for the program. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../tap.h"
#include "ops_test.h"

#define MAX_WRONG 4           /* lines of explanation a case may print */

static const Case *const sections[] = {
#define SECTION(name) cases_##name,
#include "sections.def"
#undef SECTION
};

static TensorContext ctx;

/* One case in one dtype. */
typedef struct Run {
    const Case *test;
    const OpDef *def;
    Dtype dtype;
    Inputs in;
    Ref ref;
    int wrong;                /* complaints so far */
    unsigned hidden;          /* inputs (bits) that gradient() leaves out */
    unsigned unseeded;        /* results (bits) to which no gradient comes */
    int seed_layout;          /* of restride(); -1: dense */
} Run;

__attribute__((format(printf, 2, 3))) static bool complain(Run *run, const char *format, ...)
{
    if (run->wrong++ < MAX_WRONG) {
        va_list args;
        va_start(args, format);
        printf("# %s in %s: ", run->test->op, dtype_name(run->dtype));
        vprintf(format, args);
        putchar('\n');
        va_end(args);
    }
    error_clear(&ctx.error);
    return false;
}

typedef struct Outputs {
    int n;
    Tensor *t[OP_MAX_OUT];
} Outputs;

static bool call(Run *run, Tensor *const *in, Outputs *out)
{
    out->n = 0;
    return op_call(&ctx, run->def, run->in.n, in, run->in.attr, out->t, &out->n);
}

static void release(int n, Tensor **t)
{
    for (int i = 0; i < n; i++) {
        tensor_release(t[i]);
        t[i] = NULL;
    }
}

/* ---- comparing ---- */

static double tolerance(const Run *run, Dtype dtype)
{
    double loose = run->test->loose > 0 ? run->test->loose : 1;
    return dtype_class(dtype) != CLASS_FLOAT ? 0 : loose * (dtype == DTYPE_f32 ? 4e-6 : 1e-13);
}

static bool close_to(double a, double b, double scale, double relative)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= relative * (scale + fabs(b));
}

static bool same_shape(const Tensor *t, int ndim, const int64_t *shape)
{
    bool same = t->ndim == ndim;
    for (int i = 0; same && i < ndim; i++)
        same = t->shape[i] == shape[i];
    return same;
}

static bool compare(Run *run, const Outputs *out, const char *what)
{
    const Ref *ref = &run->ref;
    if (out->n != ref->n_out)
        return complain(run, "%s: %d results instead of %d", what, out->n, ref->n_out);
    for (int k = 0; k < out->n; k++) {
        const Array *want = &ref->out[k];
        char got[96], shape[96];
        tensor_type_name(out->t[k], got, sizeof got);
        shape_format(want->ndim, want->shape, shape, sizeof shape);
        if (out->t[k]->dtype != want->dtype || !same_shape(out->t[k], want->ndim, want->shape))
            return complain(run, "%s: result %d is %s, not %s%s", what, k, got, dtype_name(want->dtype), shape);
        double relative = tolerance(run, want->dtype);
        for (int64_t i = 0; !ref->any_value && i < want->size; i++) {
            double value = tensor_item(out->t[k], i);
            double right = want->dtype == DTYPE_f32 ? (double)(float)want->v[i] : want->v[i];    /* it may overflow */
            if (!close_to(value, right, run->test->relative ? 0 : 1, relative))
                return complain(run, "%s: result %d is %.17g at %lld, not %.17g", what, k, value, (long long)i, right);
        }
    }
    return true;
}

static void make_reference(Run *run)
{
    Ref *ref = &run->ref;
    memset(ref, 0, sizeof *ref);
    ref->test = run->test;
    ref->signature = op_signature(run->def);
    ref->attr = run->in.attr;
    ref->dtype = run->dtype;
    ref->n_in = run->in.n;
    for (int i = 0; i < run->in.n; i++)
        ref->in[i] = run->in.tensor[i] ? &run->in.array[i] : NULL;
    run->test->reference(ref);
}

static void free_reference(Run *run)
{
    for (int i = 0; i < run->ref.n_out; i++)
        free(run->ref.out[i].v);
    run->ref.n_out = 0;
}

/* ---- values ---- */

static void check_unchanged(Run *run)
{
    for (int k = 0; k < run->in.n; k++) {
        const Array *a = &run->in.array[k];
        for (int64_t i = 0; run->in.tensor[k] && i < a->size; i++)
            if (!close_to(tensor_item(run->in.tensor[k], i), a->v[i], 0, 0)) {
                complain(run, "input %d was written to", k);
                return;
            }
    }
}

/* The rule alone, as a dry run calls it, must foretell what the op makes. Composites use theirs for checks only. */
static void check_shape_rule(Run *run, const Outputs *out)
{
    if (run->def->shape == shape_none || run->def->mode == MODE_COMPOSITE)
        return;
    OpCall dry = {.ctx = &ctx, .def = run->def, .n_in = run->in.n, .in = run->in.tensor, .attr = run->in.attr,
                  .n_out = 1};
    if (!run->def->shape(&dry)) {
        complain(run, "the shape rule fails: %s", ctx.error.message);
        return;
    }
    if (dry.n_out != out->n)
        complain(run, "the shape rule foretells %d results, not %d", dry.n_out, out->n);
    for (int k = 0; k < dry.n_out && k < out->n; k++)
        if (dry.spec[k].dtype != (Dtype)out->t[k]->dtype || !same_shape(out->t[k], dry.spec[k].ndim, dry.spec[k].shape))
            complain(run, "the shape rule foretells another result %d", k);
}

/* A dry run over inputs without values must come to the same dtypes and shapes, or say that it needs values. */
static void check_dry_run(Run *run, const Outputs *out)
{
    Tensor *in[OP_MAX_IN];
    Outputs dry = {0};
    ctx.meta = true;
    for (int i = 0; i < run->in.n; i++) {
        Tensor *t = run->in.tensor[i];
        in[i] = !t || t->ndim == 0 ? tensor_retain(t) : tensor_meta(&ctx, (Dtype)t->dtype, t->ndim, t->shape);
    }
    bool fine = call(run, in, &dry);
    ctx.meta = false;
    release(run->in.n, in);
    if (!fine && ctx.error.kind != ERROR_internal)
        complain(run, "a dry run fails: %s", ctx.error.message);
    error_clear(&ctx.error);
    if (!fine)
        return;
    if (dry.n != out->n)
        complain(run, "a dry run gives %d results, not %d", dry.n, out->n);
    for (int k = 0; k < dry.n && k < out->n; k++)
        if (dry.t[k]->dtype != out->t[k]->dtype || !same_shape(dry.t[k], out->t[k]->ndim, out->t[k]->shape))
            complain(run, "a dry run gives another result %d", k);
    release(dry.n, dry.t);
}

/* The same values in another layout: 0 axes reversed in memory, 1 every other element of a longer last axis, from 1,
   2 last axis backwards. */
static Tensor *restride(Tensor *t, int layout)
{
    int n = t->ndim;
    if (n == 0 || t->weak)
        return tensor_retain(t);
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS], order[TENSOR_MAX_DIMS];
    for (int i = 0; i < n; i++)
        shape[i] = layout == 0 ? t->shape[n - 1 - i] : t->shape[i] * (layout == 1 && i == n - 1 ? 2 : 1);
    if (layout == 1)
        shape[n - 1]++;
    Tensor *whole = tensor_zeros(&ctx, (Dtype)t->dtype, n, shape);
    for (int i = 0; i < n; i++) {
        stride[i] = layout == 0 ? whole->stride[n - 1 - i] : whole->stride[i];
        order[i] = t->shape[i];
    }
    int64_t offset = layout == 1 && t->shape[n - 1] > 0 ? 1 : 0;
    if (layout == 1)
        stride[n - 1] = 2;
    if (layout == 2) {
        stride[n - 1] = -1;
        offset = t->shape[n - 1] > 0 ? t->shape[n - 1] - 1 : 0;
    }
    Tensor *view = tensor_view(&ctx, whole, n, order, stride, offset);
    int64_t place[TENSOR_MAX_DIMS] = {0};
    size_t size = dtype_size((Dtype)t->dtype);
    for (int64_t i = 0, total = tensor_size(t); i < total; i++) {
        int64_t from = 0, to = 0;
        for (int a = 0; a < n; a++) {
            from += place[a] * t->stride[a];
            to += place[a] * view->stride[a];
        }
        memcpy(view->data + to * (int64_t)size, t->data + from * (int64_t)size, size);
        for (int a = n - 1; a >= 0 && ++place[a] == t->shape[a]; a--)
            place[a] = 0;
    }
    tensor_release(whole);
    return view;
}

static void check_strided(Run *run)
{
    static const char *const names[] = {"axes reversed in memory", "stepped inputs", "backward inputs"};
    for (int layout = 0; layout < 3; layout++) {
        Tensor *in[OP_MAX_IN] = {0};
        Outputs out;
        for (int i = 0; i < run->in.n; i++)
            in[i] = run->in.tensor[i] ? restride(run->in.tensor[i], layout) : NULL;
        if (call(run, in, &out))
            compare(run, &out, names[layout]);
        else
            complain(run, "%s: %s", names[layout], ctx.error.message);
        release(out.n, out.t);
        release(run->in.n, in);
    }
}

/* Large inputs are laid out anew in f32 only: for time. */
static bool is_big_again(const Run *run)
{
    return run->test->big && run->dtype == DTYPE_f64;
}

static bool check_values(Run *run)
{
    Outputs out;
    uint64_t counter = ctx.counter;
    if (!call(run, run->in.tensor, &out))
        return complain(run, "%s error: %s", error_kind_name(ctx.error.kind), ctx.error.message);
    make_reference(run);
    bool good = compare(run, &out, "value");
    if (good) {
        ctx.counter = counter;
        check_shape_rule(run, &out);
        check_dry_run(run, &out);
        check_unchanged(run);
        if (!is_big_again(run)) {
            check_strided(run);
            check_unchanged(run);
        }
    }
    release(out.n, out.t);
    free_reference(run);
    return good;
}

static void check_error(Run *run, ErrorKind kind)
{
    Outputs out;
    if (call(run, run->in.tensor, &out)) {
        release(out.n, out.t);
        complain(run, "no %s error", error_kind_name(kind));
        return;
    }
    if (ctx.error.kind != kind)
        complain(run, "%s error instead of %s: %s", error_kind_name(ctx.error.kind), error_kind_name(kind),
                 ctx.error.message);
    else if (strcmp(ctx.error.op, run->def->name) != 0)
        complain(run, "the error names \"%s\"", ctx.error.op);
    else if (!ctx.error.message[0] || (run->in.n > 0 && ctx.error.n_operands == 0))
        complain(run, "the error lacks its message or its tensors");
    error_clear(&ctx.error);
}

/* ---- gradients ---- */

/* Fixed weights by which results are summed to one number. */
static double weight(int k, int64_t i)
{
    uint64_t state = (uint64_t)k * 1000003u + (uint64_t)i * 7919u + 17;
    return (double)(next_random(&state) >> 11) * 0x1p-52 - 1 + 0.1;
}

static Tensor *weights_like(int k, const Tensor *t)
{
    Tensor *w = tensor_new(&ctx, (Dtype)t->dtype, t->ndim, t->shape);
    for (int64_t i = 0; w && i < tensor_size(w); i++)
        tensor_store(w, i, weight(k, i));
    return w;
}

typedef struct Grads {
    int n;
    int input[OP_MAX_IN];     /* which input each belongs to */
    Tensor *t[OP_MAX_IN];
} Grads;

static bool is_float(const Tensor *t)
{
    return t && dtype_class((Dtype)t->dtype) == CLASS_FLOAT;
}

/* The float results of a call and their weights as seeds. */
static int float_outputs(const Run *run, const Outputs *out, Tensor **picked, Tensor **seeds)
{
    int n = 0;
    for (int k = 0; k < out->n; k++)
        if (is_float(out->t[k]) && !(run->unseeded & 1u << k)) {
            picked[n] = out->t[k];
            seeds[n] = weights_like(k, out->t[k]);
            if (run->seed_layout >= 0) {
                Tensor *dense = seeds[n];
                seeds[n] = restride(dense, run->seed_layout);
                tensor_release(dense);
            }
            n++;
        }
    return n;
}

static bool is_leaf(const Run *run, Tensor *const *in, int i)
{
    return in[i] && !run->in.constant[i] && !(run->hidden & 1u << i);
}

/* Gradient of the weighted sum of results by each input that is no constant, at [in]. Everything that the call makes is
   recorded by the enclosing level, if there is one. */
static bool gradient(Run *run, Tensor *const *in, Grads *grads)
{
    Tensor *args[OP_MAX_IN] = {0}, *leaves[OP_MAX_IN] = {0}, *picked[OP_MAX_OUT], *seeds[OP_MAX_OUT] = {0};
    Outputs out = {0};
    grads->n = 0;
    grad_begin(&ctx);
    for (int i = 0; i < run->in.n; i++) {
        args[i] = in[i];
        if (is_leaf(run, in, i)) {
            args[i] = leaves[grads->n] = grad_leaf(&ctx, in[i]);
            grads->input[grads->n++] = i;
        }
    }
    bool ok = call(run, args, &out);
    int n = ok ? float_outputs(run, &out, picked, seeds) : 0;
    ok = ok && grad_backward(&ctx, n, picked, seeds, grads->n, leaves, grads->t);
    grad_end(&ctx);
    release(n, seeds);
    release(out.n, out.t);
    release(grads->n, leaves);
    if (!ok)
        grads->n = 0;
    return ok;
}

/* The gradient of the weighted sum of gradients, recorded by ops alone. [first] receives the gradients. */
static bool second_gradient(Run *run, Tensor *const *in, Grads *first, Grads *second)
{
    Tensor *outer[OP_MAX_IN] = {0}, *args[OP_MAX_IN] = {0}, *seeds[OP_MAX_IN] = {0};
    int n = 0;
    grad_begin(&ctx);
    for (int i = 0; i < run->in.n; i++) {
        args[i] = in[i];
        if (is_leaf(run, in, i))
            args[i] = outer[n++] = grad_leaf(&ctx, in[i]);
    }
    bool ok = gradient(run, args, first);
    for (int i = 0; ok && i < first->n; i++)
        seeds[i] = weights_like(10 + i, first->t[i]);
    ok = ok && grad_backward(&ctx, first->n, first->t, seeds, n, outer, second->t);
    second->n = ok ? n : 0;
    grad_end(&ctx);
    release(n, seeds);
    release(n, outer);
    return ok;
}

/* The number whose gradient is looked at: order 1 the weighted sum of results, order 2 of gradients. NAN on errors. */
static double measure(Run *run, Tensor *const *in, int order)
{
    double sum = 0;
    Outputs out;
    Grads grads;
    uint64_t counter = ctx.counter;
    bool ok = order == 1 ? call(run, in, &out) : gradient(run, in, &grads);
    ctx.counter = counter;    /* random ops draw the same again */
    if (!ok)
        return (double)NAN;
    int n = order == 1 ? out.n : grads.n;
    for (int k = 0; k < n; k++) {
        const Tensor *t = order == 1 ? out.t[k] : grads.t[k];
        for (int64_t i = 0; is_float(t) && i < tensor_size(t); i++)
            sum += weight(order == 1 ? k : 10 + k, i) * tensor_item(t, i);
    }
    release(n, order == 1 ? out.t : grads.t);
    return sum;
}

/* Five-point central difference by element [i] of input [k]. */
static double difference(Run *run, int k, int64_t i, int order)
{
    static const double at[] = {1, -1, 2, -2}, factor[] = {8, -8, -1, 1};
    const double h = 1e-3;
    double sum = 0, value = run->in.array[k].v[i];
    Tensor *in[OP_MAX_IN];
    for (int j = 0; j < 4; j++) {
        memcpy(in, run->in.tensor, sizeof in);
        in[k] = tensor_copy(&ctx, run->in.tensor[k]);
        tensor_store(in[k], i, value + at[j] * h);
        sum += factor[j] * measure(run, in, order);
        tensor_release(in[k]);
    }
    return sum / (12 * h);
}

static void compare_differences(Run *run, const Grads *grads, int order)
{
    double loose = run->test->loose > 0 ? run->test->loose : 1;
    for (int g = 0; g < grads->n; g++) {
        int k = grads->input[g];
        const Array *a = &run->in.array[k];
        if (!same_shape(grads->t[g], a->ndim, a->shape) || grads->t[g]->dtype != a->dtype) {
            char type[96];
            tensor_type_name(grads->t[g], type, sizeof type);
            complain(run, "order %d: the gradient of input %d is %s", order, k, type);
            continue;
        }
        for (int64_t i = 0; a->dtype == DTYPE_f64 && i < a->size; i++) {
            double numeric = difference(run, k, i, order), exact = tensor_item(grads->t[g], i);
            if (!close_to(exact, numeric, 1, (order == 1 ? 1e-7 : 1e-6) * loose)) {
                complain(run, "order %d: the gradient of input %d is %.12g at %lld, by differences %.12g", order, k,
                         exact, (long long)i, numeric);
                break;
            }
        }
    }
}

static void compare_grads(Run *run, const Grads *a, const Grads *b, double relative, const char *what)
{
    for (int g = 0; g < a->n && g < b->n; g++) {
        if (!same_shape(b->t[g], a->t[g]->ndim, a->t[g]->shape) || b->t[g]->dtype != a->t[g]->dtype) {
            complain(run, "%s: the gradients of input %d differ in type", what, a->input[g]);
            continue;
        }
        for (int64_t i = 0; i < tensor_size(a->t[g]); i++) {
            double x = tensor_item(a->t[g], i), y = tensor_item(b->t[g], i);
            if (!close_to(x, y, 1, relative)) {
                complain(run, "%s: the gradient of input %d is %.12g and %.12g at %lld", what, a->input[g], x, y,
                         (long long)i);
                break;
            }
        }
    }
}

static void check_strided_gradient(Run *run, const Grads *dense, double relative)
{
    Tensor *in[OP_MAX_IN] = {0};
    Grads grads;
    for (int i = 0; i < run->in.n; i++)
        in[i] = run->in.tensor[i] ? restride(run->in.tensor[i], i % 2) : NULL;
    uint64_t counter = ctx.counter;
    if (gradient(run, in, &grads)) {
        compare_grads(run, dense, &grads, relative, "dense and strided");
        release(grads.n, grads.t);
    } else {
        complain(run, "gradient of strided inputs: %s", ctx.error.message);
    }
    ctx.counter = counter;
    release(run->in.n, in);
}

/* Asked for one input alone, the gradient of that input stays the same. */
static void check_single_gradients(Run *run, const Grads *all, double relative)
{
    uint64_t counter = ctx.counter;
    for (int g = 0; g < all->n && all->n > 1; g++) {
        Grads one, mine = {.n = 1, .input = {all->input[g]}, .t = {all->t[g]}};
        run->hidden = ~(1u << all->input[g]);
        if (gradient(run, run->in.tensor, &one)) {
            compare_grads(run, &mine, &one, relative, "all inputs and one");
            release(one.n, one.t);
        } else {
            complain(run, "gradient of input %d alone: %s", all->input[g], ctx.error.message);
        }
        ctx.counter = counter;
    }
    run->hidden = 0;
}

/* Gradients by each result alone add up to the gradient by all; one result may be the only one that is used. */
static void check_single_results(Run *run, const Grads *all, double relative)
{
    uint64_t counter = ctx.counter;
    double *sum[OP_MAX_IN] = {0};
    for (int g = 0; g < all->n; g++)
        sum[g] = calloc((size_t)tensor_size(all->t[g]) + 1, sizeof **sum);
    bool good = true;
    for (int k = 0; k < OP_MAX_OUT && good; k++) {
        Grads one;
        run->unseeded = ~(1u << k);
        good = gradient(run, run->in.tensor, &one)
            || complain(run, "gradient of result %d alone: %s", k, ctx.error.message);
        ctx.counter = counter;
        for (int g = 0; good && g < one.n; g++)
            for (int64_t i = 0; i < tensor_size(one.t[g]); i++)
                sum[g][i] += tensor_item(one.t[g], i);
        release(good ? one.n : 0, one.t);
    }
    run->unseeded = 0;
    for (int g = 0; g < all->n; g++) {
        for (int64_t i = 0; good && i < tensor_size(all->t[g]); i++)
            if (!close_to(sum[g][i], tensor_item(all->t[g], i), 1, relative))
                good = complain(run, "the gradients of single results do not add up for input %d", all->input[g]);
        free(sum[g]);
    }
}

/* The gradient that arrives may lie in any order too. */
static void check_strided_seeds(Run *run, const Grads *dense, double relative)
{
    uint64_t counter = ctx.counter;
    for (int layout = 0; layout < 2; layout++) {
        Grads grads;
        run->seed_layout = layout;
        if (gradient(run, run->in.tensor, &grads)) {
            compare_grads(run, dense, &grads, relative, "dense and strided seeds");
            release(grads.n, grads.t);
        } else {
            complain(run, "gradient of strided seeds: %s", ctx.error.message);
        }
        ctx.counter = counter;
    }
    run->seed_layout = -1;
}

/* A view that repeats its first column by stride 0, and a dense copy of the same values. */
static void make_repeated(Run *run, Tensor **view, Tensor **dense)
{
    for (int i = 0; i < run->in.n; i++) {
        Tensor *t = run->in.tensor[i];
        view[i] = dense[i] = NULL;
        if (!t || t->weak || t->ndim == 0) {
            view[i] = tensor_retain(t);
            dense[i] = tensor_retain(t);
            continue;
        }
        int64_t stride[TENSOR_MAX_DIMS];
        memcpy(stride, t->stride, sizeof stride);
        stride[t->ndim - 1] = 0;
        view[i] = tensor_view(&ctx, t, t->ndim, t->shape, stride, 0);
        dense[i] = tensor_copy(&ctx, view[i]);
    }
}

/* Inputs of stride 0 give what their dense copies give, or fail in the same way; gradients too. */
static void check_repeated(Run *run, bool with_gradient)
{
    Tensor *view[OP_MAX_IN], *dense[OP_MAX_IN];
    Outputs a = {0}, b = {0};
    Grads left = {0}, right = {0};
    uint64_t counter = ctx.counter;
    make_repeated(run, view, dense);
    bool ok = call(run, view, &a);
    error_clear(&ctx.error);
    ctx.counter = counter;
    if (call(run, dense, &b) != ok)
        complain(run, "inputs of stride 0: %s", ok ? ctx.error.message : "an error that dense ones do not give");
    error_clear(&ctx.error);
    for (int k = 0; ok && k < a.n && k < b.n; k++)
        for (int64_t i = 0; i < tensor_size(b.t[k]); i++)
            if (!close_to(tensor_item(a.t[k], i), tensor_item(b.t[k], i), 1, tolerance(run, (Dtype)b.t[k]->dtype))) {
                ok = complain(run, "inputs of stride 0: result %d differs at %lld", k, (long long)i);
                break;
            }
    if (ok && with_gradient) {
        ctx.counter = counter;
        ok = gradient(run, view, &left);
        ErrorKind kind = ctx.error.kind;          /* equal columns make a singular matrix, which may have no gradient */
        error_clear(&ctx.error);
        ctx.counter = counter;
        bool other = gradient(run, dense, &right);
        if (ok && other)
            compare_grads(run, &left, &right, run->dtype == DTYPE_f64 ? 1e-11 : 1e-4, "stride 0 and dense");
        else if (ok != other || ctx.error.kind != kind || kind != ERROR_value)
            complain(run, "gradient of inputs of stride 0: %s", ctx.error.message);
        error_clear(&ctx.error);
    }
    ctx.counter = counter;
    release(left.n, left.t);
    release(right.n, right.t);
    release(a.n, a.t);
    release(b.n, b.t);
    release(run->in.n, view);
    release(run->in.n, dense);
}

/* One tensor given twice: its gradient is the sum of what two copies get. */
static void check_twice(Run *run)
{
    Tensor *x = run->in.tensor[0], *in[OP_MAX_IN] = {0};
    int n = run->in.n;
    if (n < 2 || !x || !run->in.tensor[1] || run->in.constant[0] || run->in.constant[1]
        || !same_shape(run->in.tensor[1], x->ndim, x->shape))
        return;
    Outputs out = {0};
    Tensor *picked[OP_MAX_OUT], *seeds[OP_MAX_OUT] = {0}, *twice = NULL;
    Grads apart = {0};
    memcpy(in, run->in.tensor, sizeof in);
    in[1] = x;
    uint64_t counter = ctx.counter;
    bool ok = gradient(run, in, &apart);
    ctx.counter = counter;
    grad_begin(&ctx);
    Tensor *leaf = grad_leaf(&ctx, x);
    in[0] = in[1] = leaf;
    ok = ok && call(run, in, &out);
    int count = ok ? float_outputs(run, &out, picked, seeds) : 0;
    ok = ok && grad_backward(&ctx, count, picked, seeds, 1, &leaf, &twice);
    grad_end(&ctx);
    if (!ok)
        complain(run, "one tensor given twice: %s", ctx.error.message);
    for (int64_t i = 0; ok && i < tensor_size(x); i++) {
        double sum = tensor_item(apart.t[0], i) + tensor_item(apart.t[1], i), got = tensor_item(twice, i);
        if (!close_to(got, sum, 1, run->dtype == DTYPE_f64 ? 1e-12 : 1e-4))
            ok = complain(run, "one tensor given twice: gradient %.12g at %lld, not %.12g", got, (long long)i, sum);
    }
    ctx.counter = counter;
    release(apart.n, apart.t);
    release(count, seeds);
    release(out.n, out.t);
    tensor_release(twice);
    tensor_release(leaf);
}

/* f32 kernels of the gradient against those of f64 on the same numbers. */
static void check_narrow_gradient(Run *run, const Grads *narrow)
{
    Tensor *in[OP_MAX_IN] = {0};
    Grads wide, back = {.n = 0};
    double loose = run->test->loose > 0 ? run->test->loose : 1;
    for (int i = 0; i < run->in.n; i++)
        in[i] = !run->in.tensor[i] ? NULL : run->in.tensor[i]->dtype == DTYPE_f32 && !run->in.tensor[i]->weak
              ? tensor_cast(&ctx, run->in.tensor[i], DTYPE_f64) : tensor_retain(run->in.tensor[i]);
    uint64_t counter = ctx.counter;
    bool ok = gradient(run, in, &wide);
    ctx.counter = counter;
    for (int g = 0; ok && g < wide.n; g++)
        back.t[back.n++] = tensor_cast(&ctx, wide.t[g], (Dtype)narrow->t[g]->dtype);
    if (ok)
        compare_grads(run, narrow, &back, 2e-5 * loose, "f32 and f64");
    else
        error_clear(&ctx.error);
    release(back.n, back.t);
    if (ok)
        release(wide.n, wide.t);
    release(run->in.n, in);
}

static bool wants_gradient(const Run *run)
{
    bool any = false;
    for (int i = 0; i < run->in.n; i++)
        any = any || (run->in.tensor[i] && !run->in.constant[i]);
    return any && !run->test->no_grad && dtype_class(run->dtype) == CLASS_FLOAT;
}

/* Rows that say NOGRAD must refuse, rows that say ZERO must give zeros. */
static void check_no_gradient(Run *run)
{
    Grads grads;
    bool ok = gradient(run, run->in.tensor, &grads);
    if (run->def->mode == MODE_NOGRAD) {
        if (ok)
            complain(run, "a NOGRAD row gives a gradient");
        else if (ctx.error.kind != ERROR_gradient)
            complain(run, "%s error instead of gradient: %s", error_kind_name(ctx.error.kind), ctx.error.message);
        error_clear(&ctx.error);
    } else if (!ok) {
        complain(run, "a ZERO row gives no zeros: %s", ctx.error.message);
    }
    for (int g = 0; g < grads.n; g++)
        for (int64_t i = 0; run->def->mode == MODE_ZERO && i < tensor_size(grads.t[g]); i++)
            if (tensor_item(grads.t[g], i) != 0) {
                complain(run, "a ZERO row gives a gradient");
                break;
            }
    release(grads.n, grads.t);
}

static void check_gradient(Run *run)
{
    Grads fused, graph = {.n = 0}, second = {.n = 0};
    double loose = run->test->loose > 0 ? run->test->loose : 1;
    uint64_t counter = ctx.counter;
    if (run->def->mode == MODE_NOGRAD || run->def->mode == MODE_ZERO) {
        check_no_gradient(run);
        return;
    }
    if (!gradient(run, run->in.tensor, &fused)) {
        complain(run, "gradient: %s error: %s", error_kind_name(ctx.error.kind), ctx.error.message);
        return;
    }
    ctx.counter = counter;
    if (run->dtype == DTYPE_f64 && !run->test->big)
        compare_differences(run, &fused, 1);
    if (run->dtype == DTYPE_f32)
        check_narrow_gradient(run, &fused);
    double relative = loose * (run->dtype == DTYPE_f64 ? 1e-12 : 1e-5);
    if (!is_big_again(run)) {
        check_strided_gradient(run, &fused, relative);
        check_strided_seeds(run, &fused, relative);
        check_single_gradients(run, &fused, relative);
    }
    if (!run->test->big) {
        check_single_results(run, &fused, relative);
        check_twice(run);
    }
    if (!run->test->no_second && !run->test->big) {
        if (second_gradient(run, run->in.tensor, &graph, &second)) {
            ctx.counter = counter;
            compare_grads(run, &fused, &graph, relative, "fused and graph");
            memcpy(second.input, fused.input, sizeof second.input);
            if (run->dtype == DTYPE_f64)
                compare_differences(run, &second, 2);
        } else {
            complain(run, "second order: %s error: %s", error_kind_name(ctx.error.kind), ctx.error.message);
        }
    }
    release(graph.n, graph.t);
    release(second.n, second.t);
    release(fused.n, fused.t);
}

/* ---- f16 and bf16 ---- */

/* The inputs with halves as f32 and the counter as it was; a result is right when it is the f32 result rounded. */
static bool compare_half(Run *run, Tensor *const *wide, Outputs *out, Outputs *want)
{
    uint64_t counter = ctx.counter;
    if (!call(run, run->in.tensor, out))
        return complain(run, "%s error: %s", error_kind_name(ctx.error.kind), ctx.error.message);
    ctx.counter = counter;
    if (!call(run, wide, want))
        return complain(run, "as f32: %s", ctx.error.message);
    ctx.counter = counter;
    for (int k = 0; k < out->n && k < want->n; k++) {
        Dtype dtype = (Dtype)out->t[k]->dtype;
        bool rounds = dtype == run->dtype && want->t[k]->dtype == DTYPE_f32;
        Tensor *right = rounds ? tensor_cast(&ctx, want->t[k], dtype) : tensor_retain(want->t[k]);
        if (!tensor_same(out->t[k], right))
            complain(run, "result %d is not that of f32, rounded", k);
        tensor_release(right);
    }
    return run->wrong == 0;
}

/* The op in half floats gives what it gives on the same numbers in f32, rounded; likewise its gradient, up to the
   rounding on the way. */
static void check_half(Run *run)
{
    Tensor *wide[OP_MAX_IN] = {0};
    Outputs out = {0}, want = {0};
    Grads narrow, full, back = {.n = 0};
    for (int i = 0; i < run->in.n; i++)
        if (run->in.tensor[i])
            wide[i] = dtype_is_half((Dtype)run->in.tensor[i]->dtype)
                    ? tensor_cast(&ctx, run->in.tensor[i], DTYPE_f32) : tensor_retain(run->in.tensor[i]);
    bool good = compare_half(run, wide, &out, &want);
    if (good && wants_gradient(run) && (run->def->mode == MODE_DIFF || run->def->mode == MODE_COMPOSITE)) {
        good = gradient(run, wide, &full);
        ctx.counter = 0;
        if (!good || !gradient(run, run->in.tensor, &narrow)) {
            complain(run, "gradient: %s error: %s", error_kind_name(ctx.error.kind), ctx.error.message);
        } else {
            for (int g = 0; g < full.n; g++)
                back.t[back.n++] = tensor_cast(&ctx, full.t[g], (Dtype)narrow.t[g]->dtype);
            compare_grads(run, &narrow, &back, run->dtype == DTYPE_f16 ? 8e-3 : 6e-2, "half and f32");
            release(narrow.n, narrow.t);
        }
        if (good)
            release(full.n, full.t);
    }
    release(back.n, back.t);
    release(want.n, want.t);
    release(out.n, out.t);
    release(run->in.n, wide);
}

/* ---- the loop ---- */

/* Whether the case varies with the dtype at all; else it runs once, in f64. */
static bool applies(const Case *test, Dtype dtype)
{
    bool varies = test->inputs[0] == 'x' || strstr(test->inputs, " x[");
    if (!varies)
        return dtype == DTYPE_f64;
    if (dtype_is_half(dtype))
        return !test->big && !test->error && !is_listed(test->refuses, DTYPE_f32)
            && (!test->only || is_listed(test->only, DTYPE_f32));
    if (test->big && dtype_class(dtype) != CLASS_FLOAT)
        return false;
    return !test->only || is_listed(test->only, dtype);
}

static int run_dtype(const Case *test, Dtype dtype)
{
    Run run = {.test = test, .def = op_find(test->op), .dtype = dtype, .seed_layout = -1};
    int64_t live = runtime_live_tensors();
    ctx.counter = 0;
    bool built = inputs_build(&ctx, test, dtype, &run.in);
    if (built && test->error != ERROR_NONE)
        check_error(&run, test->error);
    else if (built && is_listed(test->refuses, dtype))
        check_error(&run, ERROR_dtype);
    else if (built && dtype_is_half(dtype))
        check_half(&run);
    else if (built) {
        bool good = check_values(&run);
        ctx.counter = 0;
        bool grad = good && wants_gradient(&run);
        if (grad)
            check_gradient(&run);
        if (good && !test->big)
            check_repeated(&run, grad && (run.def->mode == MODE_DIFF || run.def->mode == MODE_COMPOSITE));
    }
    inputs_free(&run.in);
    if (ctx.error.kind != ERROR_NONE)
        complain(&run, "an error is left behind: %s", ctx.error.message);
    if (runtime_live_tensors() != live)
        complain(&run, "%lld tensors leak", (long long)(runtime_live_tensors() - live));
    return run.wrong;
}

static bool run_case(const Case *test)
{
    int wrong = 0;
    for (int d = 0; d < DTYPE_COUNT; d++)
        if (applies(test, (Dtype)d))
            wrong += run_dtype(test, (Dtype)d);
    tap_ok(wrong == 0, "%s %s (%s)%s", test->op, test->inputs, test->params, test->error ? " is an error" : "");
    return wrong == 0;
}

static uint64_t hash_bytes(uint64_t hash, const Tensor *t)
{
    Tensor *dense = tensor_contiguous(&ctx, (Tensor *)(uintptr_t)t);
    size_t bytes = (size_t)tensor_size(dense) * dtype_size((Dtype)dense->dtype);
    const char *data = tensor_size(dense) ? dense->data : "";
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)data[i]) * 1099511628211u;
    tensor_release(dense);
    return hash;
}

/* A fingerprint of the results and gradients of a case, with however many threads are set. */
static uint64_t fingerprint(const Case *test, Dtype dtype)
{
    Run run = {.test = test, .def = op_find(test->op), .dtype = dtype, .seed_layout = -1};
    uint64_t hash = 14695981039346656037u;
    Outputs out;
    Grads grads = {.n = 0};
    ctx.counter = 0;
    if (inputs_build(&ctx, test, dtype, &run.in) && call(&run, run.in.tensor, &out)) {
        for (int k = 0; k < out.n; k++)
            hash = hash_bytes(hash, out.t[k]);
        release(out.n, out.t);
        ctx.counter = 0;
        if (wants_gradient(&run) && (run.def->mode == MODE_DIFF || run.def->mode == MODE_COMPOSITE))
            gradient(&run, run.in.tensor, &grads);
        for (int g = 0; g < grads.n; g++)
            hash = hash_bytes(hash, grads.t[g]);
        release(grads.n, grads.t);
    }
    inputs_free(&run.in);
    error_clear(&ctx.error);
    return hash;
}

/* All cases of a section again on 1, 2 and 4 threads. */
static void check_threads(const Case *section, bool (*wanted)(const char *))
{
    static uint64_t one[2000][2];
    static const int threads[] = {1, 2, 4};
    const char *differs = NULL;
    int at = 0;
    for (int n = 0; n < 3; n++) {
        runtime_set_threads(threads[n]);
        at = 0;
        for (const Case *test = section; test->op && at < 2000; test++, at++)
            for (int wide = 0; wide < (test->big ? 2 : 1); wide++) {
                if (!wanted(test->op) || !op_find(test->op) || test->error)
                    continue;
                uint64_t hash = fingerprint(test, wide ? DTYPE_f64 : DTYPE_f32);
                if (n == 0)
                    one[at][wide] = hash;
                else if (hash != one[at][wide] && !differs)
                    differs = test->op;
            }
    }
    runtime_set_threads(0);
    tap_ok(!differs, "the same bits on 1, 2 and 4 threads%s%s", differs ? ", not so: " : "", differs ? differs : "");
}

static int row_count;
static char **rows;           /* the names on the command line */

static bool wanted(const char *op)
{
    for (int i = 0; i < row_count; i++)
        if (strcmp(rows[i], op) == 0)
            return true;
    return row_count == 0;
}

/* Whether a shape in the text, or a list or number among parameters, holds that length. */
static bool has_length(const char *text, char length)
{
    for (const char *at = text; *at; at++)
        if ((*at == '[' || *at == '(' || *at == '=' || (*at == ',' && at[1] != ' ')) && at[1] == length
            && (!at[2] || strchr(",])", at[2])))
            return true;
    return false;
}

/* Documented, and with the cases that every row owes. */
static void check_row(const OpDef *def)
{
    int cases = 0, empty = 0, single = 0;
    bool takes_tensors = false;
    Signature signature;
    bool parsed = signature_parse(def->signature, &signature);
    for (int i = 0; parsed && i < signature.count; i++)
        takes_tensors = takes_tensors || signature.param[i].kind == PARAM_tensor
                     || signature.param[i].kind == PARAM_tensors;
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++)
        for (const Case *test = sections[s]; test->op; test++)
            if (strcmp(test->op, def->name) == 0) {
                cases++;
                empty += has_length(test->inputs[0] ? test->inputs : test->params, '0');
                single += has_length(test->inputs[0] ? test->inputs : test->params, '1');
            }
    size_t doc = strlen(def->doc);
    bool documented = parsed && doc > 10 && def->doc[doc - 1] == '.'
                   && (!def->example[0] || strstr(def->example, "  # "));
    if (!tap_ok(cases >= 3 && empty && single && documented, "%s has cases and a description", def->name))
        tap_note("%d cases (3 are due), %d with an empty axis, %d with one of size 1%s%s", cases, empty, single,
                 documented ? "" : ", signature, doc or example missing or malformed",
                 takes_tensors ? "" : " (no tensor goes in)");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);    /* so that a crash shows where */
    bool first = argc > 1 && strcmp(argv[1], "--first") == 0;
    row_count = argc - 1 - first;
    rows = argv + 1 + first;
    tensor_context_init(&ctx, NULL);
    RuntimeInfo info;
    runtime_info(&info, false);
    tap_note("kernels for %s%s", info.isa, cpu_tiles() ? " with tile registers" : "");
    for (int i = 0; i < OP_COUNT; i++)
        if (wanted(op_defs[i].name))
            check_row(&op_defs[i]);
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++)
        for (const Case *test = sections[s]; test->op; test++) {
            if (!wanted(test->op) || (first && test > sections[s] && strcmp(test[-1].op, test->op) == 0))
                continue;
            if (op_find(test->op))
                run_case(test);
            else
                tap_ok(false, "there is no row %s", test->op);
        }
    for (size_t s = 0; !first && s < sizeof sections / sizeof *sections; s++)
        check_threads(sections[s], wanted);
    tap_ok(runtime_live_tensors() == 0, "no tensor is left");
    return tap_end();
}
