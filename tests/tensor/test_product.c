/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our products of matrices against plain loops over doubles: both operands straight and turned, with and without bias, sides
   that are no whole vectors, depths that take several parts, a result inside a wider one, added or not, cut and spread over
   threads with the same bits; for each set of kernels. In tile registers also: the error beside that of a sum of f32, and numbers
   that cannot be taken in parts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tensor/core.h"
#include "../../tensor/product.h"
#include "../../tensor/tiles.h"
#include "../tap.h"
#include "numbers.h"

#define GAP 3                 /* floats behind each row, which nobody may touch */
#define TILES "tile registers"        /* the kernels that TESSERA_ISA does not name */
#define MISSING 2             /* the status of a test whose kernels this machine cannot run */
#define LEAST_TILES 32        /* sides from here on are for them */

/* The largest error over what sums of [k] terms may lose; infinite when the gap was written to. */
static double error_of(const ProductTile *t)
{
    double worst = 0;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            double sum = t->bias ? (double)t->bias[j] : 0;
            for (int64_t k = 0; k < t->k; k++)
                sum += (double)t->a[t->a_turned ? k * t->a_lead + i : i * t->a_lead + k] *
                       (double)t->b[t->b_turned ? j * t->b_lead + k : k * t->b_lead + j];
            worst = fmax(worst, fabs(sum - (double)t->out[i * t->out_lead + j]) / (double)t->k / 1e-7);
        }
        for (int64_t j = t->n; j < t->out_lead; j++)
            worst = t->out[i * t->out_lead + j] == 7 ? worst : HUGE_VAL;
    }
    return worst;
}

/* Whether a product that is spread over threads has the bits of one that is not, in parts of its rows and columns. */
static bool same_when_cut(const ProductTile *t, float *again)
{
    int64_t rows = t->m / 3, columns = t->n / 2;
    if (tile_kernels() && t->m >= LEAST_TILES && t->n >= LEAST_TILES && (rows < LEAST_TILES || columns < LEAST_TILES))
        return true;                                               /* other kernels would take the parts */
    for (int part = 0; part < 4; part++) {
        ProductTile some = *t;
        int64_t row = part & 1 ? rows : 0, column = part & 2 ? columns : 0;
        some.m = part & 1 ? t->m - rows : rows;
        some.n = part & 2 ? t->n - columns : columns;
        some.a += t->a_turned ? row : row * t->a_lead;
        some.b += t->b_turned ? column * t->b_lead : column;
        some.bias = t->bias ? t->bias + column : NULL;
        some.out = again + row * t->out_lead + column;
        if (some.m > 0 && some.n > 0 && !product_tile(&some))
            return false;
    }
    return memcmp(again, t->out, (size_t)(t->m * t->out_lead) * sizeof(float)) == 0;
}

static bool same_when_shared(const ProductTile *t, float *again)
{
    TensorContext ctx;
    bool same = true;
    tensor_context_init(&ctx, NULL);
    for (int threads = 1; same && threads <= 4; threads++) {
        ProductTile shared = *t;
        shared.out = again;
        pool_set_threads(threads);
        same = product_shared(&ctx, &shared) && memcmp(again, t->out, (size_t)(t->m * t->out_lead) * sizeof(float)) == 0;
    }
    return same;
}

/* Whether the product was added to what was in [before]. */
static bool added(const ProductTile *t, const float *before)
{
    bool good = true;
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < t->n; j++) {
            double sum = (double)before[i * t->out_lead + j];
            for (int64_t k = 0; k < t->k; k++)
                sum += (double)t->a[t->a_turned ? k * t->a_lead + i : i * t->a_lead + k] *
                       (double)t->b[t->b_turned ? j * t->b_lead + k : k * t->b_lead + j];
            good = good && fabs(sum - (double)t->out[i * t->out_lead + j]) / (double)t->k < 1e-6;
        }
    return good;
}

static bool one_size(int64_t m, int64_t n, int64_t k, int layout)
{
    ProductTile t = {.m = m, .n = n, .k = k, .a_turned = layout & 1, .b_turned = layout & 2, .out_lead = n + GAP};
    t.a_lead = (t.a_turned ? m : k) + GAP;
    t.b_lead = (t.b_turned ? k : n) + GAP;
    float *a = numbers((m + k) * 2 + t.a_lead * (t.a_turned ? k : m), 1), *b = numbers(t.b_lead * (t.b_turned ? n : k), 2);
    float *bias = numbers(n, 3), *out = numbers(m * t.out_lead, 4);
    float *again = numbers(m * t.out_lead, 5);
    bool good = a && b && bias && out;
    for (int64_t i = 0; good && i < m * t.out_lead; i++)
        out[i] = 7;
    t.a = a;
    t.b = b;
    t.bias = layout & 4 ? bias : NULL;
    t.out = out;
    good = good && again && product_tile(&t) && error_of(&t) < 10;
    if (good)
        memcpy(again, out, (size_t)(m * t.out_lead) * sizeof *again);
    good = good && same_when_cut(&t, again) && same_when_shared(&t, again);
    t.bias = NULL;
    t.add = true;
    for (int64_t i = 0; good && i < m * t.out_lead; i++)
        again[i] = out[i];
    good = good && product_tile(&t) && added(&t, again);
    free(again);
    free(a);
    free(b);
    free(bias);
    free(out);
    return good;
}

/* In a process of its own, since the kernels are chosen once. */
static void test_kernels(const char *isa)
{
    static const int64_t sizes[][3] = {{24, 24, 24}, {14, 32, 16}, {33, 47, 513}, {100, 130, 300}, {1, 1, 1},
                                       {16, 16, 256}, {29, 17, 257}, {70, 64, 31}, {2, 33, 1000}, {150, 129, 600},
                                       {300, 90, 40}, {40, 1100, 270}};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        bool tiles = strcmp(isa, TILES) == 0;
        tiles ? unsetenv("TESSERA_ISA") : setenv("TESSERA_ISA", isa, 1);
        bool good = tiles ? tile_kernels() != NULL : strcmp(cpu_level_name(), isa) == 0 || strcmp(cpu_level_name(), "plain") == 0;
        if (!good)
            _exit(MISSING);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int layout = 0; layout < 8; layout++)
                good = one_size(sizes[i][0], sizes[i][1], sizes[i][2], layout) && good;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    bool missing = WIFEXITED(status) && WEXITSTATUS(status) == MISSING;
    tap_ok(missing || status == 0, "products with the kernels for %s%s", isa, missing ? " # SKIP not on this machine" : "");
}

/* ---- numbers in parts ---- */

#define SIDE 48
#define DEEP 1000

static float left[SIDE * DEEP], right[DEEP * SIDE], result[SIDE * SIDE];

/* Fills [left] and [right] with numbers up to these. */
static bool fill(float left_scale, float right_scale)
{
    float *a = numbers(SIDE * DEEP, 1), *b = numbers(DEEP * SIDE, 2);
    for (int i = 0; a && b && i < SIDE * DEEP; i++) {
        left[i] = a[i] * left_scale;
        right[i] = b[i] * right_scale;
    }
    free(a);
    free(b);
    return a && b;
}

static bool product_of_both(void)
{
    ProductTile t = {.m = SIDE, .n = SIDE, .k = DEEP, .a = left, .b = right, .a_lead = DEEP, .b_lead = SIDE, .out = result,
                     .out_lead = SIDE};
    return product_tile(&t);
}

/* Root mean squares over the largest: of the product's error and of that which a sum of f32, number by number, makes. */
static void errors(double *ours, double *plain)
{
    double top = 0;
    *ours = *plain = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double sum = 0;
            float chain = 0;
            for (int k = 0; k < DEEP; k++) {
                sum += (double)left[i * DEEP + k] * (double)right[k * SIDE + j];
                chain = fmaf(left[i * DEEP + k], right[k * SIDE + j], chain);
            }
            *ours += pow((double)result[i * SIDE + j] - sum, 2);
            *plain += pow((double)chain - sum, 2);
            top = fmax(top, fabs(sum));
        }
    *ours = sqrt(*ours) / SIDE / top;
    *plain = sqrt(*plain) / SIDE / top;
}

static void test_accuracy(void)
{
    static const struct { float left, right; const char *what; } scale[] = {
        {1, 1, "about 1"}, {1e-9f, 1e9f, "small and large"}, {1e-16f, 1, "whose products are small"},
        {1e-17f, 1e-17f, "whose products are too small"}, {1e-30f, 1e-2f, "too small for parts"},
        {1e20f, 1e10f, "too large for parts"}, {1e-40f, 1e20f, "without all bits"},
    };
    for (size_t i = 0; i < sizeof scale / sizeof scale[0]; i++) {
        double ours = HUGE_VAL, plain = 0;
        if (fill(scale[i].left, scale[i].right) && product_of_both())
            errors(&ours, &plain);
        tap_ok(ours < plain, "numbers %s: error %.1e, of a plain sum %.1e", scale[i].what, ours, plain);
    }
}

/* One that is infinite, NaN or huge reaches only the row and the column that it should, also where sums are added to. */
static void test_special(void)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, 3e38f};
    bool good = true;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        for (int side = 0; side < 2; side++)
            for (int add = 0; add < 2; add++) {
                good = good && fill(1, 1);
                (side ? right : left)[side ? 7 : 7 * DEEP] = special[i];
                for (int j = 0; j < SIDE * SIDE; j++)
                    result[j] = 5;
                ProductTile t = {.m = SIDE, .n = SIDE, .k = DEEP, .a = left, .b = right, .a_lead = DEEP, .b_lead = SIDE,
                                 .out = result, .out_lead = SIDE, .add = add};
                good = good && product_tile(&t);
                for (int j = 0; j < SIDE * SIDE; j++) {
                    double sum = add ? 5 : 0;
                    for (int k = 0; k < DEEP; k++)
                        sum += (double)left[j / SIDE * DEEP + k] * (double)right[k * SIDE + j % SIDE];
                    double got = (double)result[j];
                    good = good && (isfinite(sum) ? fabs(got - sum) <= 1e-4 + fabs(sum) * 1e-6
                                                  : (isnan(sum) ? isnan(got) : got == sum));
                }
            }
    tap_ok(good, "infinity, NaN and huge numbers");
}

int main(void)
{
    test_kernels(TILES);
    test_kernels("sse2");
    test_kernels("avx2");
    test_kernels("avx512");
    test_accuracy();
    test_special();
    return tap_end();
}
