/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of few columns against plain loops over doubles: any number of rows and columns, depths that are no whole vectors, with
   and without bias, rows that lie apart, alone and through linear, cut into parts and on several threads with the same bits; for each
   set of kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tensor/core.h"
#include "../../tensor/dots.h"
#include "../tap.h"

#define MOST 4096
#define GAP 3                 /* floats behind each row, which nobody may touch */

static float left[MOST], right[MOST], bias[32], result[MOST], again[MOST];

static void fill(float *v, int n, unsigned seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

/* Whether c, rows [step] apart, is what it should be and nothing was written behind a row. */
static bool is_right(int m, int n, int k, int gap, const float *add, const float *c, int step)
{
    bool good = true;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = add ? (double)add[j] : 0;
            for (int l = 0; l < k; l++)
                sum += (double)left[i * (k + gap) + l] * (double)right[j * (k + gap) + l];
            good = good && fabs(sum - (double)c[i * step + j]) <= 1e-6 * (k + 1);
        }
        for (int j = n; j < step; j++)
            good = good && c[i * step + j] == 7;
    }
    return good;
}

static bool one_size(int m, int n, int k, const float *add)
{
    DotsRows a = {left, k + GAP}, b = {right, k + GAP};
    int step = n + GAP, row = m / 2, column = n / 3;
    for (int i = 0; i < m * step; i++)
        result[i] = again[i] = 7;
    dots_kernel()(m, n, k, a, b, add, result, step);
    for (int part = 0; part < 4; part++) {
        int i = part & 1 ? row : 0, j = part & 2 ? column : 0;
        DotsRows some_a = {left + i * a.step, a.step}, some_b = {right + j * b.step, b.step};
        dots_kernel()(part & 1 ? m - row : row, part & 2 ? n - column : column, k, some_a, some_b, add ? add + j : NULL,
                      again + i * step + j, step);
    }
    return is_right(m, n, k, GAP, add, result, step) && memcmp(result, again, sizeof result) == 0;
}

static Tensor *tensor_of(TensorContext *ctx, const float *from, int ndim, int64_t rows, int64_t columns)
{
    Tensor *t = tensor_new(ctx, DTYPE_f32, ndim, ndim == 1 ? &columns : (int64_t[2]){rows, columns});
    if (t)
        memcpy(t->data, from, (size_t)(rows * columns) * sizeof *from);
    return t;
}

static bool through_linear(int m, int n, int k)
{
    TensorContext ctx;
    bool good = true;
    tensor_context_init(&ctx, NULL);
    Tensor *in[3] = {tensor_of(&ctx, left, 2, m, k), tensor_of(&ctx, right, 2, n, k), tensor_of(&ctx, bias, 1, 1, n)};
    for (int threads = 1; threads <= 4; threads++) {
        Tensor *out = NULL;
        int n_out;
        pool_set_threads(threads);
        good = good && op_call(&ctx, op_def(OP_linear), 3, in, NULL, &out, &n_out) &&
               is_right(m, n, k, 0, bias, (const float *)(const void *)out->data, n);
        tensor_release(out);
    }
    for (int i = 0; i < 3; i++)
        tensor_release(in[i]);
    return good;
}

static bool all_sizes(void)
{
    static const int depth[] = {1, 15, 16, 17, 47, 64, 70};
    bool good = true;
    for (int m = 0; m < 12; m++)
        for (int n = 0; n < 24; n++)
            for (size_t k = 0; k < sizeof depth / sizeof depth[0]; k++)
                good = good && one_size(m, n, depth[k], NULL) && one_size(m, n, depth[k], bias);
    return good && through_linear(30, 10, 64) && through_linear(57, 1, 70) && through_linear(50, 23, 16);
}

/* In a process of its own, since the kernels are chosen once. */
static bool all_sizes_with(const char *isa)
{
    int status = 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("TESSERA_ISA", isa, 1);
        bool here = strcmp(cpu_level_name(), isa) == 0 || strcmp(cpu_level_name(), "plain") == 0;
        _exit(!here || all_sizes() ? 0 : 1);       /* not on this machine */
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(void)
{
    fill(left, MOST, 1);
    fill(right, MOST, 2);
    fill(bias, 32, 3);
    tap_ok(all_sizes_with("sse2"), "products of few columns with the kernels for sse2");
    tap_ok(all_sizes_with("avx2"), "products of few columns with the kernels for avx2");
    tap_ok(all_sizes_with("avx512"), "products of few columns with the kernels for avx512");
    return tap_end();
}
