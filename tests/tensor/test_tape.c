/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tape: orders, shapes of graphs, what is kept and freed, errors. Gradients of single ops are tests/ops's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../tensor/core.h"
#include "../tap.h"

static TensorContext ctx;
static atomic_uint flag;

static bool failed_with(ErrorKind kind, const char *part)
{
    bool right = ctx.error.kind == kind && strstr(ctx.error.message, part);
    if (!right)
        tap_note("got %s: %s: %s", error_kind_name(ctx.error.kind), ctx.error.op, ctx.error.message);
    error_clear(&ctx.error);
    return right;
}

static bool near(double a, double b)
{
    bool same = fabs(a - b) <= 1e-12 * (1 + fabs(b));
    if (!same)
        tap_note("%.17g, not %.17g", a, b);
    return same;
}

/* y = f(x): builds f with a scope, whose result is borrowed. */
typedef Tensor *Function(Scope *s, Tensor *x);

static Tensor *exp_sin(Scope *s, Tensor *x)
{
    return s_mul(s, s_unary(s, OP_exp, x), s_unary(s, OP_sin, x));
}

static Tensor *diamond(Scope *s, Tensor *x)
{
    Tensor *y = s_mul(s, x, x);
    return s_add(s, y, s_mul(s, y, y));
}

/* The [order]th derivative of f at x, by nested levels; owned. */
static Tensor *derivative(Function *f, int order, Tensor *x)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *result = NULL;
    if (order == 0) {
        result = tensor_retain(f(&s, x));
    } else {
        grad_begin(&ctx);
        Tensor *leaf = scope_own(&s, grad_leaf(&ctx, x));
        Tensor *y = leaf ? scope_own(&s, derivative(f, order - 1, leaf)) : NULL;
        if (!y || !grad_backward(&ctx, 1, &y, NULL, 1, &leaf, &result))
            result = NULL;
        grad_end(&ctx);
    }
    scope_clear(&s);
    return result;
}

static double derivative_at(Function *f, int order, double at)
{
    Tensor *x = tensor_scalar(&ctx, DTYPE_f64, at), *y = derivative(f, order, x);
    double value = y ? tensor_item(y, 0) : (double)NAN;
    tensor_release(x);
    tensor_release(y);
    return value;
}

static void test_orders(void)
{
    const double x = 0.7, e = exp(x), s = sin(x), c = cos(x);
    const double want[] = {e * s, e * (s + c), 2 * e * c, 2 * e * (c - s), -4 * e * s};
    for (int order = 0; order < 5; order++)
        tap_ok(near(derivative_at(exp_sin, order, x), want[order]), "derivative of order %d", order);
    tap_ok(near(derivative_at(diamond, 1, 1.5), 2 * 1.5 + 4 * 1.5 * 1.5 * 1.5), "a diamond adds both ways");
    tap_ok(near(derivative_at(diamond, 2, 1.5), 2 + 12 * 1.5 * 1.5), "to second order too");
}

/* d/dx of [d/dy x y^2 at y = x]: the inner level sees x as a constant, the outer one does not. */
static void test_levels(void)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *three = scope_own(&s, tensor_scalar(&ctx, DTYPE_f64, 3)), *inner = NULL, *outer = NULL;
    grad_begin(&ctx);
    Tensor *x = scope_own(&s, grad_leaf(&ctx, three));
    grad_begin(&ctx);
    Tensor *y = scope_own(&s, grad_leaf(&ctx, x)), *z = s_mul(&s, x, s_mul(&s, y, y));
    bool good = grad_backward(&ctx, 1, &z, NULL, 1, &y, &inner);
    grad_end(&ctx);
    scope_own(&s, inner);
    good = good && inner->node && grad_backward(&ctx, 1, &inner, NULL, 1, &x, &outer);
    grad_end(&ctx);
    scope_own(&s, outer);
    tap_ok(good && near(tensor_item(inner, 0), 18) && near(tensor_item(outer, 0), 12) && !outer->node,
           "levels do not mix");
    Tensor *plain = s_mul(&s, x, x);
    tap_ok(plain && !plain->node, "nothing is recorded outside a level");
    scope_clear(&s);
}

static Tensor *filled(int64_t n, double value)
{
    Tensor *t = tensor_new(&ctx, DTYPE_f32, 1, &n);
    for (int64_t i = 0; i < n; i++)
        ((float *)(void *)t->data)[i] = (float)value;
    return t;
}

/* Two outputs, seeds, a leaf that nothing reaches, one asked twice, an intermediate asked for. */
static void test_leaves(void)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *two = scope_own(&s, filled(3, 2)), *grads[5] = {NULL};
    grad_begin(&ctx);
    Tensor *a = scope_own(&s, grad_leaf(&ctx, two)), *b = scope_own(&s, grad_leaf(&ctx, two));
    Tensor *c = scope_own(&s, grad_leaf(&ctx, two)), *m = s_mul(&s, a, b);
    Tensor *outputs[2] = {s_mul(&s, m, a), s_neg(&s, m)};
    Tensor *seeds[2] = {scope_own(&s, filled(3, 1)), scope_own(&s, filled(3, 10))}, *leaves[5] = {a, b, c, a, m};
    bool good = grad_backward(&ctx, 2, outputs, seeds, 5, leaves, grads);
    grad_end(&ctx);
    for (int i = 0; i < 5; i++)
        scope_own(&s, grads[i]);
    /* (1 m a - 10 m)' : by m 2 - 10 = -8; by a m + -8 b = 4 - 16; by b -8 a */
    tap_ok(good && tensor_item(grads[0], 0) == -12 && tensor_item(grads[1], 2) == -16 && tensor_item(grads[4], 1) == -8,
           "seeds weigh several outputs; an intermediate has a gradient too");
    tap_ok(good && tensor_item(grads[2], 1) == 0 && grads[2]->shape[0] == 3, "a leaf without flow gets zeros");
    tap_ok(good && tensor_same(grads[0], grads[3]), "a leaf may be asked for twice");
    scope_clear(&s);
}


static void test_broadcast(void)
{
    static const int64_t shape[2] = {4, 3};
    Scope s;
    scope_init(&s, &ctx);
    Tensor *row = scope_own(&s, filled(3, 2)), *grid = scope_own(&s, tensor_zeros(&ctx, DTYPE_f64, 2, shape)),
              *grad = NULL;
    grad_begin(&ctx);
    Tensor *leaf = scope_own(&s, grad_leaf(&ctx, row)), *y = s_add(&s, grid, s_mul(&s, leaf, s_const(&s, 5)));
    TensorSpec spec;
    spec_of(y, &spec);
    Tensor *seed = s_full_like(&s, &spec, 1);
    bool good = grad_backward(&ctx, 1, &y, &seed, 1, &leaf, &grad);
    grad_end(&ctx);
    scope_own(&s, grad);
    tap_ok(good && grad->dtype == DTYPE_f32 && grad->ndim == 1 && tensor_item(grad, 2) == 20,
           "broadcasting and promotion are undone");
    scope_clear(&s);
}

/* ---- size ---- */

#define CHAIN 1000000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static Tensor *chain(Tensor *x, int n)
{
    Tensor *one = tensor_weak(&ctx, true, 1, 0), *y = tensor_retain(x), *out;
    int n_out;
    for (int i = 0; i < n && y; i++) {
        Tensor *in[2] = {y, one};
        bool good = op_call(&ctx, op_def(OP_add), 2, in, NULL, &out, &n_out);
        tensor_slot(&y, good ? out : NULL);
    }
    tensor_release(one);
    return y;
}

static void test_chain(void)
{
    Tensor *x = filled(4, 1), *grad = NULL, *ones = filled(4, 1);
    grad_begin(&ctx);
    Tensor *leaf = grad_leaf(&ctx, x);
    double start = now();
    Tensor *y = chain(leaf, CHAIN);
    double recorded = now();
    bool good = y && grad_backward(&ctx, 1, &y, &ones, 1, &leaf, &grad);
    tap_note("a recorded op on 4 numbers: %.0f ns, its backward: %.0f ns", 1e9 * (recorded - start) / CHAIN,
             1e9 * (now() - recorded) / CHAIN);
    tap_ok(good && tensor_item(grad, 3) == 1, "a chain of a million nodes");
    tensor_release(y);
    y = chain(leaf, CHAIN);
    grad_end(&ctx);
    tensor_release(leaf);
    tensor_release(y);
    tap_ok(true, "released without backward");
    start = now();
    y = chain(x, CHAIN);
    tap_note("an op that is not recorded: %.0f ns", 1e9 * (now() - start) / CHAIN);
    tensor_release(y);
    tensor_release(grad);
    tensor_release(ones);
    tensor_release(x);
}

static size_t live_bytes(void)
{
    MemoryUse use;
    memory_use(&use);
    return use.live;
}

/* exp saves its output: ten of them are alive before backward, none after it. */
static void test_freeing(void)
{
    const int64_t n = 1 << 18;
    Tensor *x = filled(n, 0), *ones = filled(n, 1), *grad = NULL, *y, *out;
    int n_out;
    grad_begin(&ctx);
    Tensor *leaf = grad_leaf(&ctx, x);
    size_t before = live_bytes();
    y = tensor_retain(leaf);
    for (int i = 0; i < 10; i++) {
        op_call(&ctx, op_def(i == 0 ? OP_neg : OP_sin), 1, &y, NULL, &out, &n_out);
        tensor_slot(&y, out);
    }
    size_t kept = live_bytes() - before;
    bool good = grad_backward(&ctx, 1, &y, &ones, 1, &leaf, &grad);
    size_t after = live_bytes() - before;
    tap_ok(kept > 9 * 4 * (size_t)n && good && after < 3 * 4 * (size_t)n,
           "backward frees activations as it goes (%zu to %zu MB)",
           kept >> 20, after >> 20);
    tensor_slot(&grad, NULL);
    good = grad_backward(&ctx, 1, &y, &ones, 1, &leaf, &grad);
    tap_ok(!good && failed_with(ERROR_gradient, "earlier gradient"), "and a second one is an error");
    grad_end(&ctx);
    Tensor *all[] = {x, ones, leaf, y, grad};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tensor_release(all[i]);
}

/* ---- errors and ends ---- */

static void test_ends(void)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *x = scope_own(&s, filled(3, 2)), *grad = NULL;
    Tensor *whole = scope_own(&s, tensor_scalar_int(&ctx, DTYPE_i64, 3));
    grad_begin(&ctx);
    tap_ok(!grad_leaf(&ctx, whole) && failed_with(ERROR_gradient, "i64"), "an int is no leaf");
    Tensor *leaf = scope_own(&s, grad_leaf(&ctx, x)), *y = s_mul(&s, leaf, leaf);
    tap_ok(!grad_backward(&ctx, 1, &y, NULL, 1, &leaf, &grad) && failed_with(ERROR_gradient, "one number, got f32[3]"),
           "a vector needs a seed");
    Tensor *below = s_binary(&s, OP_lt, leaf, y), *held = s_unary(&s, OP_stop_grad, y);
    Tensor *rounded = s_unary(&s, OP_round, leaf);
    tap_ok(below && !below->node && held && !held->node && rounded && !rounded->node,
           "comparisons, rounding and stop_grad end the graph");
    atomic_store(&flag, 1);
    tap_ok(!grad_backward(&ctx, 1, &y, &x, 1, &leaf, &grad) && failed_with(ERROR_interrupt, ""),
           "backward can be interrupted");
    atomic_store(&flag, 0);
    tap_ok(ctx.recording == 1 && !grad, "an error leaves the level open and no gradient");
    grad_end(&ctx);
    scope_clear(&s);
}

static void test_no_gradient(void)
{
    static const int64_t two[1] = {2};
    Scope s;
    scope_init(&s, &ctx);
    Tensor *p = scope_own(&s, tensor_zeros(&ctx, DTYPE_f32, 1, two)), *grad = NULL;
    Tensor *g = scope_own(&s, tensor_zeros(&ctx, DTYPE_f32, 1, two));
    const Attr attr[5] = {attr_num(0.1), attr_num(0), attr_num(0), attr_bool(false), attr_bool(true)};
    grad_begin(&ctx);
    Tensor *leaf = scope_own(&s, grad_leaf(&ctx, p)), *in[3] = {leaf, g, g};
    Tensor *y = s_op(&s, OP_sgd_update, 3, in, attr, 0);
    bool good = y && y->node && grad_backward(&ctx, 1, &y, &g, 1, &leaf, &grad);
    grad_end(&ctx);
    tap_ok(!good && strcmp(ctx.error.op, "sgd_update") == 0 && ctx.error.n_operands == 3 &&
               failed_with(ERROR_gradient, "has no gradient"),
           "an op without a gradient says so");
    scope_clear(&s);
}

/* A view that gives its input itself must not write its record into it. */
static void test_views(void)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *x = scope_own(&s, filled(4, 2)), *grads[2] = {NULL};
    grad_begin(&ctx);
    Tensor *leaf = scope_own(&s, grad_leaf(&ctx, x));
    const int64_t same[1] = {4}, square[2] = {2, 2};
    Attr attr = attr_ints(1, same);
    Tensor *v = s_op(&s, OP_reshape, 1, &leaf, &attr, 0), *w = s_reshape(&s, v, 2, square), *y = s_mul(&s, w, w);
    Tensor *back = s_reshape(&s, y, 1, same), *leaves[2] = {leaf, v};
    bool good = v && v != leaf && grad_backward(&ctx, 1, &back, &x, 2, leaves, grads);
    grad_end(&ctx);
    scope_own(&s, grads[0]);
    scope_own(&s, grads[1]);
    tap_ok(good && tensor_item(grads[0], 3) == 8 && tensor_item(grads[1], 0) == 8, "views pass gradients on");
    scope_clear(&s);
}

/* Every request for memory fails once: each time an ordinary error, nothing lost, the level in order. */
static void test_failures(void)
{
#ifdef TESSERA_DEBUG
    int failures = 0;
    bool orderly = true;
    for (int64_t n = 1;; n++) {
        Tensor *x = tensor_scalar(&ctx, DTYPE_f64, 0.5);
        int64_t live = runtime_live_tensors();
        memory_fail_at(n);
        Tensor *y = derivative(exp_sin, 3, x);
        bool reached = memory_fail_at(0) <= 0;
        orderly = orderly && (y != NULL) == !reached && (ctx.error.kind == ERROR_memory) == reached &&
                  ctx.recording == 0;
        error_clear(&ctx.error);
        tensor_release(y);
        orderly = orderly && runtime_live_tensors() == live;
        tensor_release(x);
        failures += reached;
        if (!reached)
            break;
    }
    tap_ok(orderly, "each of %d failing requests for memory is an ordinary error", failures);
#else
    tap_ok(true, "failing requests for memory # SKIP --enable-debug only");
#endif
}

int main(void)
{
#ifdef TESSERA_DEBUG
    setenv("TESSERA_NO_CACHE", "1", 1);
#endif
    tensor_context_init(&ctx, &flag);
    test_orders();
    test_levels();
    test_leaves();
    test_broadcast();
    test_chain();
    test_freeing();
    test_ends();
    test_no_gradient();
    test_views();
    test_failures();
    tap_ok(runtime_live_tensors() == 0 && ctx.error.kind == ERROR_NONE, "no tensor is left");
    return tap_end();
}
