/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of bf16 in tile registers against plain loops over doubles of rounded numbers: both operands straight and turned,
   with and without a bias, added or not, sides that fill no tile, depths of several layers, a result inside a wider one; the
   same bits cut and spread over threads; interrupts; no memory. Convolutions and their adjoints of odd shapes likewise, against
   those of f64; without tile registers these alone, of numbers that are rounded first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../../tensor/half.h"
#include "../../tensor/op.h"
#include "../../tensor/product.h"
#include "../../tensor/tiles.h"
#include "../tap.h"
#include "numbers.h"

#define GAP 3                 /* floats behind each row, which nobody may touch */
#define GUARD 7.0f            /* what is in them */
#define LAYOUTS 16            /* bits: a turned, b turned, a bias, added */

typedef struct Case { ProductTile t; float *a, *b, *bias, *before, *again; } Case;

static size_t out_bytes(const ProductTile *t)
{
    return (size_t)(t->m * t->out_lead) * sizeof(float);
}

static bool case_make(Case *c, const int64_t *size, int layout)
{
    ProductTile *t = &c->t;
    *t = (ProductTile){.m = size[0], .n = size[1], .k = size[2], .a_turned = layout & 1, .b_turned = layout & 2,
                       .add = layout & 8};
    t->a_lead = (t->a_turned ? t->m : t->k) + GAP;
    t->b_lead = (t->b_turned ? t->k : t->n) + GAP;
    t->out_lead = t->n + GAP;
    t->a = c->a = numbers((t->a_turned ? t->k : t->m) * t->a_lead, 1);
    t->b = c->b = numbers((t->b_turned ? t->n : t->k) * t->b_lead, 2);
    c->bias = numbers(t->n, 3);
    t->bias = (layout & 12) == 4 ? c->bias : NULL;
    t->out = numbers(t->m * t->out_lead, 4);
    c->before = malloc(out_bytes(t));
    c->again = malloc(out_bytes(t));
    if (!t->a || !t->b || !c->bias || !t->out || !c->before || !c->again)
        return false;
    for (int64_t i = 0; i < t->m * GAP; i++)
        t->out[i / GAP * t->out_lead + t->n + i % GAP] = GUARD;
    memcpy(c->before, t->out, out_bytes(t));
    return true;
}

static void case_clear(Case *c)
{
    free(c->a);
    free(c->b);
    free(c->bias);
    free(c->t.out);
    free(c->before);
    free(c->again);
}

static double rounded(float x)
{
    return (double)f32_from_bf16(bf16_from_f32(x));
}

/* The largest error over what sums of [k] terms in f32 may lose; infinite when the gap was written to. */
static double error_of(const Case *c)
{
    const ProductTile *t = &c->t;
    double worst = 0;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            double sum = t->bias ? (double)t->bias[j] : t->add ? (double)c->before[i * t->out_lead + j] : 0;
            for (int64_t k = 0; k < t->k; k++)
                sum += rounded(t->a[t->a_turned ? k * t->a_lead + i : i * t->a_lead + k]) *
                       rounded(t->b[t->b_turned ? j * t->b_lead + k : k * t->b_lead + j]);
            worst = fmax(worst, fabs(sum - (double)t->out[i * t->out_lead + j]) / (double)(t->k + 1) / 1e-7);
        }
        for (int64_t j = t->n; j < t->out_lead; j++)
            worst = t->out[i * t->out_lead + j] == GUARD ? worst : HUGE_VAL;
    }
    return worst;
}

/* Whether the product in four parts has the bits of the whole. */
static bool same_when_cut(Case *c)
{
    const ProductTile *t = &c->t;
    int64_t rows = t->m / 3, columns = t->n / 2;
    memcpy(c->again, c->before, out_bytes(t));
    for (int part = 0; part < 4; part++) {
        ProductTile some = *t;
        int64_t row = part & 1 ? rows : 0, column = part & 2 ? columns : 0;
        some.m = part & 1 ? t->m - rows : rows;
        some.n = part & 2 ? t->n - columns : columns;
        some.a += t->a_turned ? row : row * t->a_lead;
        some.b += t->b_turned ? column * t->b_lead : column;
        some.bias = t->bias ? t->bias + column : NULL;
        some.out = c->again + row * t->out_lead + column;
        if (some.m > 0 && some.n > 0 && !product_narrow_tile(&some))
            return false;
    }
    return memcmp(c->again, t->out, out_bytes(t)) == 0;
}

static bool same_when_shared(Case *c)
{
    TensorContext ctx;
    bool same = true;
    tensor_context_init(&ctx, NULL);
    for (int threads = 1; same && threads <= 4; threads++) {
        ProductTile shared = c->t;
        shared.out = c->again;
        memcpy(c->again, c->before, out_bytes(&shared));
        pool_set_threads(threads);
        same = product_narrow_shared(&ctx, &shared) && memcmp(c->again, c->t.out, out_bytes(&shared)) == 0;
    }
    return same;
}

static void test_sizes(void)
{
    static const int64_t sizes[][3] = {{32, 32, 32}, {1, 1, 1}, {16, 48, 64}, {33, 47, 513}, {100, 130, 300}, {40, 64, 1100},
                                       {29, 17, 31}, {140, 1100, 40}, {40, 33, 2600}, {17, 1, 700}, {1, 40, 5}, {130, 270, 560}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        double worst = 0;
        bool same = true;
        for (int layout = 0; layout < LAYOUTS; layout++) {
            Case c;
            bool made = case_make(&c, sizes[i], layout) && product_narrow_tile(&c.t);
            worst = made ? fmax(worst, error_of(&c)) : HUGE_VAL;
            same = same && made && same_when_cut(&c) && same_when_shared(&c);
            case_clear(&c);
        }
        tap_ok(worst < 10 && same, "%d x %d x %d", (int)sizes[i][0], (int)sizes[i][1], (int)sizes[i][2]);
    }
}

/* Infinities and NaN stay; a sum of nothing but zeros is zero. */
static void test_special(void)
{
    float a[2] = {INFINITY, 0}, b[2] = {1, 0}, nan[2] = {NAN, 0}, out[3];
    ProductTile t = {.m = 1, .n = 1, .k = 2, .a = a, .b = b, .a_lead = 2, .b_lead = 1, .out_lead = 1, .out = out};
    bool made = product_narrow_tile(&t);
    t.a = nan;
    t.out = out + 1;
    made = made && product_narrow_tile(&t);
    t.a = a + 1;
    t.k = 1;
    t.out = out + 2;
    made = made && product_narrow_tile(&t);
    tap_ok(made && isinf(out[0]) && isnan(out[1]) && out[2] == 0, "infinity, NaN and zero");
}

/* An interrupt that was asked for is an error of its own, a product of one thread aside. */
static void test_interrupt(void)
{
    static const int64_t size[3] = {500, 400, 300};
    atomic_uint asked = FLAG_INTERRUPT;
    TensorContext ctx;
    Case c;
    tensor_context_init(&ctx, &asked);
    bool made = case_make(&c, size, 0);
    for (int threads = 1; threads <= 2; threads++) {
        pool_set_threads(threads);
        bool done = made && product_narrow_shared(&ctx, &c.t);
        tap_ok(made && !done && ctx.error.kind == ERROR_interrupt, "interrupted on %d threads", threads);
        error_clear(&ctx.error);
    }
    case_clear(&c);
}

/* Each request for memory fails once: the product says so and loses nothing. */
static void test_failures(void)
{
#ifdef TESSERA_DEBUG
    static const int64_t size[3] = {500, 400, 300};
    TensorContext ctx;
    Case c;
    bool made = case_make(&c, size, 0), orderly = made;
    int failures = 0;
    tensor_context_init(&ctx, NULL);
    pool_set_threads(2);
    for (bool reached = made; reached; failures += reached) {
        MemoryUse before, after;
        memory_use(&before);
        memory_fail_at(failures + 1);
        bool done = product_narrow_shared(&ctx, &c.t);
        reached = memory_fail_at(0) <= 0;
        memory_use(&after);
        orderly = orderly && done == !reached && before.live == after.live;
    }
    case_clear(&c);
    tap_ok(orderly && failures > 1, "each of %d failing requests for memory is told", failures);
#else
    tap_ok(true, "failing requests for memory # SKIP --enable-debug only");
#endif
}

/* ---- convolutions ---- */

typedef struct Shape { int64_t n, c, h, w, o, down, across, padding, dilation, groups; } Shape;

static TensorContext plain;           /* not narrow */

static Tensor *filled(Scope *s, Dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d, unsigned seed)
{
    int64_t shape[4] = {a, b, c, d};
    float *v = numbers(a * b * c * d, seed);
    Tensor *x = v ? scope_own(s, tensor_from_data(s->ctx, DTYPE_f32, 4, shape, v)) : NULL;
    free(v);
    return x ? s_cast(s, x, dtype) : NULL;
}

/* The convolution (0), or its gradient by the input (1) or the weight (2), of what is rounded first when the context is not
   narrow. Owned. */
static Tensor *convolution(TensorContext *ctx, const Shape *z, int which, Dtype dtype)
{
    static const OpId id[] = {OP_conv2d, OP_conv_input_grad, OP_conv_weight_grad};
    int64_t one[2] = {1, 1}, padding[2] = {z->padding, z->padding}, dilation[2] = {z->dilation, z->dilation};
    int64_t size[2] = {z->h, z->w}, kernel[2] = {z->down, z->across};
    int64_t oh = z->h + 2 * z->padding - z->dilation * (z->down - 1), ow = z->w + 2 * z->padding - z->dilation * (z->across - 1);
    Attr attr[5] = {attr_ints(2, which == 1 ? size : kernel), attr_ints(2, one), attr_ints(2, padding), attr_ints(2, dilation),
                    attr_int(z->groups)};
    Scope s;
    scope_init(&s, ctx);
    Dtype like = ctx->narrow ? dtype : DTYPE_bf16;
    Tensor *x = s_cast(&s, filled(&s, like, z->n, z->c, z->h, z->w, 1), dtype);
    Tensor *weight = s_cast(&s, filled(&s, like, z->o, z->c / z->groups, z->down, z->across, 2), dtype);
    Tensor *dy = s_cast(&s, filled(&s, like, z->n, z->o, oh, ow, 3), dtype);
    Tensor *in[3] = {which == 1 ? dy : x, which == 2 ? dy : weight, NULL};
    Tensor *y = tensor_retain(s_op(&s, id[which], which ? 2 : 3, in, attr + (which == 0), 0));
    scope_clear(&s);
    return y;
}

/* The largest difference over the largest number. */
static double apart(const Tensor *a, const Tensor *b)
{
    double worst = 0, top = 1e-30;
    for (int64_t i = 0; i < tensor_size(a); i++) {
        worst = fmax(worst, fabs(tensor_item(a, i) - tensor_item(b, i)));
        top = fmax(top, fabs(tensor_item(b, i)));
    }
    return worst / top;
}

static bool same_bits(const Tensor *a, const Tensor *b)
{
    return a && b && memcmp(a->data, b->data, (size_t)tensor_size(a) * sizeof(float)) == 0;
}

static const Shape conv_shapes[] = {
    {2, 16, 9, 7, 16, 3, 3, 1, 1, 1},    {3, 40, 8, 8, 24, 3, 3, 1, 1, 1},  {20, 64, 4, 4, 70, 3, 3, 1, 1, 1},
    {2, 33, 6, 31, 17, 5, 4, 2, 1, 1},   {2, 48, 12, 31, 40, 1, 1, 0, 1, 1}, {2, 32, 14, 13, 32, 3, 3, 2, 2, 2},
    {1, 16, 90, 60, 16, 3, 1, 0, 1, 1},  {1, 9, 5, 5, 8, 4, 4, 1, 1, 1},    {2, 16, 3, 3, 16, 3, 3, 2, 1, 1},
    {2, 3, 12, 12, 16, 3, 3, 1, 1, 1},   {2, 16, 6, 6, 16, 3, 3, 3, 1, 1},
};

/* [most]: without tile registers some go by Winograd's way, whose sums lose more. */
static void test_convolutions(double most)
{
    static const char *const names[] = {"convolution", "its gradient by the input", "its gradient by the weight"};
    TensorContext ctx;
    tensor_context_init(&ctx, NULL);
    ctx.narrow = true;
    for (int which = 0; which < 3; which++) {
        double worst = 0;
        bool same = true;
        for (size_t i = 0; i < sizeof conv_shapes / sizeof conv_shapes[0]; i++) {
            Tensor *wanted = convolution(&plain, &conv_shapes[i], which, DTYPE_f64), *first = NULL;
            for (int threads = 1; threads <= 4; threads *= 2) {
                pool_set_threads(threads);
                Tensor *y = convolution(&ctx, &conv_shapes[i], which, DTYPE_f32);
                first = first ? first : tensor_retain(y);
                same = same && same_bits(y, first);
                tensor_release(y);
            }
            worst = first && wanted ? fmax(worst, apart(first, wanted)) : HUGE_VAL;
            tensor_release(first);
            tensor_release(wanted);
        }
        tap_ok(worst < most && same, "%s: %.1g apart", names[which], worst);
    }
}

static void test_convolution_stops(void)
{
    atomic_uint asked = FLAG_INTERRUPT;
    TensorContext ctx;
    bool stopped = true;
    tensor_context_init(&ctx, &asked);
    ctx.narrow = true;
    for (int which = 0; which < 3; which++) {
        Tensor *y = convolution(&ctx, &conv_shapes[2], which, DTYPE_f32);
        stopped = stopped && !y && ctx.error.kind == ERROR_interrupt;
        tensor_release(y);
        error_clear(&ctx.error);
    }
    tap_ok(stopped, "interrupted convolutions");
}

static void test_convolution_failures(void)
{
#ifdef TESSERA_DEBUG
    TensorContext ctx;
    bool orderly = true;
    int failures = 0;
    tensor_context_init(&ctx, NULL);
    ctx.narrow = true;
    for (int which = 0; which < 3; which++)
        for (int n = 1, reached = true; reached; n++) {
            int64_t live = runtime_live_tensors();
            memory_fail_at(n);
            Tensor *y = convolution(&ctx, &conv_shapes[1], which, DTYPE_f32);
            reached = memory_fail_at(0) <= 0;
            orderly = orderly && (y != NULL) == !reached && (ctx.error.kind == ERROR_memory) == reached;
            error_clear(&ctx.error);
            tensor_release(y);
            orderly = orderly && runtime_live_tensors() == live;
            failures += reached;
        }
    tap_ok(orderly && failures > 6, "each of %d failing requests of convolutions is an ordinary error", failures);
#else
    tap_ok(true, "failing requests of convolutions # SKIP --enable-debug only");
#endif
}

int main(void)
{
    tensor_context_init(&plain, NULL);
    if (tile_kernels()) {
        test_sizes();
        test_special();
        test_interrupt();
        test_failures();
    } else {
        tap_ok(true, "products of bf16 # SKIP no tile registers");
    }
    test_convolutions(tile_kernels() ? 2e-6 : 2e-5);
    test_convolution_stops();
    test_convolution_failures();
    return tap_end();
}
