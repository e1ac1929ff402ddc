/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runtime under the ops: allocator and budget, Philox, pool, signatures, conversion, op_call and its errors, BLAS.
   Printing and gradients have files of their own (test_print.c, test_tape.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tensor/core.h"
#include "../../tensor/rng.h"
#include "../tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define CACHES false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHES false
#endif
#endif
#ifndef CACHES
#define CACHES (getenv("TESSERA_NO_CACHE") == NULL)
#endif

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

/* ---- memory ---- */

static void test_budget(void)
{
    int64_t shape[1] = {(int64_t)(limits_memory() / 10 * 6)};
    Tensor *a = tensor_new(&ctx, DTYPE_u8, 1, shape);
    Tensor *b = tensor_new(&ctx, DTYPE_u8, 1, shape);
    tap_ok(a && !b && failed_with(ERROR_memory, "asked for"), "two tensors of 60 %% of memory: the second is refused");
    tensor_release(a);
    b = tensor_new(&ctx, DTYPE_u8, 1, shape);
    tap_ok(b != NULL, "and fits once the first is gone");
    tensor_release(b);
    shape[0] = INT64_MAX / 2;
    tap_ok(!tensor_new(&ctx, DTYPE_f64, 1, shape) && failed_with(ERROR_memory, "bytes"),
           "sizes that overflow are refused");
    int64_t odd[2] = {3, -1};
    tap_ok(!tensor_new(&ctx, DTYPE_f32, 2, odd) && failed_with(ERROR_shape, "-1"), "so are negative sizes");
}

static long page_faults(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_minflt;
}

static void test_cache(void)
{
    int64_t shape[1] = {3 << 20};
    long before = 0;
    for (int i = 0; i < 20; i++) {
        Tensor *a = tensor_zeros(&ctx, DTYPE_f32, 1, shape), *b = tensor_zeros(&ctx, DTYPE_f64, 1, shape);
        tensor_release(a);
        tensor_release(b);
        before = i == 3 ? page_faults() : before;
    }
    long faults = page_faults() - before;
    tap_ok(!CACHES || faults < 20, "a steady loop makes no page faults (%ld)", faults);
    MemoryUse use;
    memory_use(&use);
    tap_ok(use.live < 1 << 20 && (!CACHES || use.cached > 30u << 20), "freed buffers are cached, not live");
    shape[0] = (int64_t)(use.budget - use.live - (1 << 20));
    Tensor *all = tensor_new(&ctx, DTYPE_u8, 1, shape);
    memory_use(&use);
    tap_ok(all && use.cached == 0, "the cache gives way before a request is refused");
    tensor_release(all);
}

static void test_alignment(void)
{
    bool aligned = true;
    for (int64_t n = 1; n < 5000; n = n * 3 + 1) {
        Tensor *t = tensor_new(&ctx, DTYPE_u8, 1, &n);
        aligned = aligned && t && (uintptr_t)t->data % 64 == 0;
        tensor_release(t);
    }
    void *scratch = scratch_take(&ctx.error, 100000);
    tap_ok(aligned && scratch && (uintptr_t)scratch % 64 == 0, "data is aligned to 64 bytes");
    scratch_release(scratch);
}

/* ---- Philox: the known answers of Random123's kat_vectors ---- */

static void test_philox(void)
{
    static const struct { uint32_t c[4], k[2], out[4]; } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    bool right = true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        philox4x32(known[i].c, known[i].k, out);
        right = right && memcmp(out, known[i].out, sizeof out) == 0;
    }
    tap_ok(right, "Philox4x32-10 gives the known answers");
    uint64_t first = rng_take(&ctx, 5), second = rng_take(&ctx, 1);
    tap_ok(second == first + 5, "a stream gives every block once");
}

/* ---- pool ---- */

typedef struct Sums { double part[500]; atomic_int runs; } Sums;

static void add_up(void *arg, int64_t task)
{
    Sums *sums = arg;
    for (int i = 0; i < 2000; i++)
        sums->part[task] += sin((double)(task * 2000 + i));
    atomic_fetch_add(&sums->runs, 1);
}

static void nest(void *arg, int64_t task)
{
    (void)task;
    pool_run(NULL, 10, add_up, arg);
}

static void interrupt_at_third(void *arg, int64_t task)
{
    atomic_int *runs = arg;
    (void)task;
    if (atomic_fetch_add(runs, 1) == 3)
        atomic_store(&flag, 1);
}

static void test_pool(void)
{
    static Sums one, many, nested;
    pool_set_threads(1);
    pool_run(&ctx, 500, add_up, &one);
    pool_set_threads(4);
    bool same = true;
    for (int i = 0; i < 50; i++) {
        memset(&many, 0, sizeof many);
        same = pool_run(&ctx, 500, add_up, &many) && same;
        same = same && memcmp(one.part, many.part, sizeof one.part) == 0 && many.runs == 500;
    }
    tap_ok(same, "every task runs once, whatever the number of threads");
    pool_run(&ctx, 1, nest, &nested);
    tap_ok(nested.runs == 10, "jobs of jobs run");
    atomic_int runs = 0;
    bool whole = pool_run(&ctx, 100000, interrupt_at_third, &runs);
    tap_ok(!whole && runs < 1000 && failed_with(ERROR_interrupt, ""),
           "an interrupt ends a job between tasks (%d ran)", runs);
    atomic_store(&flag, 0);
#ifdef __SANITIZE_THREAD__
    tap_ok(true, "the pool works in a forked child # SKIP not under ThreadSanitizer");
#else
    pid_t child = fork();
    if (child == 0) {
        memset(&many, 0, sizeof many);
        _exit(pool_run(&ctx, 500, add_up, &many) && memcmp(one.part, many.part, sizeof one.part) == 0 ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    tap_ok(status == 0, "the pool works in a forked child");
#endif
    pool_set_threads(0);
}

/* ---- signatures ---- */

static bool param_is(const Signature *s, int i, const char *name, ParamKind kind, bool optional, const char *fallback)
{
    const Param *p = &s->param[i];
    if (i >= s->count || strcmp(p->name, name) != 0 || p->kind != kind || p->optional != optional)
        return false;
    if (!fallback || !p->fallback)
        return !fallback && !p->fallback;
    return strlen(fallback) == (size_t)p->fallback_length && memcmp(fallback, p->fallback, strlen(fallback)) == 0;
}

static void test_signatures(void)
{
    Signature s;
    bool parsed = signature_parse("x, y?, axis:ints?, k:int=-1, word:str=\"a, b\", ..shape:ints", &s);
    tap_ok(parsed && s.count == 6 && param_is(&s, 0, "x", PARAM_tensor, false, NULL) &&
               param_is(&s, 1, "y", PARAM_tensor, true, NULL) && param_is(&s, 2, "axis", PARAM_ints, true, NULL) &&
               param_is(&s, 3, "k", PARAM_int, false, "-1") && param_is(&s, 4, "word", PARAM_str, false, "\"a, b\"") &&
               param_is(&s, 5, "shape", PARAM_ints, false, NULL) && s.param[5].rest,
           "a signature's words");
    parsed = signature_parse("xs:tensors, ..rest, ..options:map", &s);
    tap_ok(parsed && s.param[0].kind == PARAM_tensors && s.param[1].rest && s.param[1].kind == PARAM_any &&
               s.param[2].named_rest && !s.param[2].rest,
           "rests, positional and named");
    tap_ok(signature_parse("", &s) && s.count == 0 && !signature_parse("x:wrong", &s) && !signature_parse("x y", &s) &&
               !signature_parse("x,,y", &s),
           "an empty one is right, unknown words and missing names are not");
    bool all = true;
    for (int i = 0; i < OP_COUNT; i++)
        if (!signature_parse(op_defs[i].signature, &s) || op_find(op_defs[i].name) != &op_defs[i]) {
            tap_note("%s(%s)", op_defs[i].name, op_defs[i].signature);
            all = false;
        }
    tap_ok(all && !op_find("no_such_op"), "every row's signature parses and every row is found by name");
}

/* ---- tensors ---- */

static void test_conversion(void)
{
    static const double value[6] = {0, 1, -3.7, 300.2, (double)NAN, 1e30};
    static const int64_t six[1] = {6};
    Tensor *x = tensor_from_data(&ctx, DTYPE_f64, 1, six, value);
    Tensor *u = tensor_cast(&ctx, x, DTYPE_u8), *i = tensor_cast(&ctx, x, DTYPE_i32);
    Tensor *l = tensor_cast(&ctx, x, DTYPE_i64);
    Tensor *b = tensor_cast(&ctx, x, DTYPE_bool), *f = tensor_cast(&ctx, x, DTYPE_f32);
    tap_ok(tensor_item_int(u, 2) == 0 && tensor_item_int(u, 3) == 255 && tensor_item_int(i, 2) == -3 &&
               tensor_item_int(i, 5) == INT32_MAX && tensor_item_int(l, 5) == INT64_MAX && tensor_item_int(l, 4) == 0,
           "floats become ints towards zero, saturating, NaN as 0");
    tap_ok(tensor_item_int(b, 0) == 0 && tensor_item_int(b, 2) == 1 && tensor_item(f, 3) == (double)300.2f,
           "bools and f32");
    Tensor *all[] = {x, u, i, l, b, f};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        tensor_release(all[k]);
    Tensor *big = tensor_scalar_int(&ctx, DTYPE_i64, INT64_C(9007199254740993));
    tap_ok(tensor_item_int(big, 0) == INT64_C(9007199254740993), "ints beyond 2^53 stay exact");
    tensor_release(big);
}

static void test_transpose_copy(void)
{
    static const int64_t shape[3] = {3, 150, 170};
    Tensor *x = tensor_new(&ctx, DTYPE_f32, 3, shape);
    for (int64_t i = 0; i < 3 * 150 * 170; i++)
        ((float *)(void *)x->data)[i] = (float)i;
    const int64_t turned[3] = {170, 3, 150}, stride[3] = {1, 150 * 170, 170};
    Tensor *view = tensor_view(&ctx, x, 3, turned, stride, 0);
    Tensor *dense = tensor_contiguous(&ctx, view), *wide = tensor_cast(&ctx, view, DTYPE_f64);
    bool right = true;
    for (int64_t i = 0; i < 170; i++)
        for (int64_t j = 0; j < 3; j++)
            for (int64_t k = 0; k < 150; k++) {
                int64_t at = (i * 3 + j) * 150 + k;
                float want = (float)(j * 150 * 170 + k * 170 + i);
                right = right && ((float *)(void *)dense->data)[at] == want &&
                        ((double *)(void *)wide->data)[at] == (double)want;
            }
    tap_ok(right && tensor_is_contiguous(dense) && !tensor_is_contiguous(view), "strided copies, converting or not");
    tap_ok(tensor_same(view, dense) && !tensor_same(view, x) && !tensor_same(dense, wide),
           "same compares dtype, shape, values");
    tensor_release(wide);
    tensor_release(dense);
    tensor_release(view);
    tensor_release(x);
}

static void test_assign(void)
{
    static const int64_t shape[2] = {3, 4}, part[2] = {3, 2}, stride[2] = {4, 2}, three[1] = {3};
    Tensor *x = tensor_zeros(&ctx, DTYPE_i32, 2, shape);
    Tensor *region = tensor_view(&ctx, x, 2, part, stride, 1);
    Tensor *row = tensor_scalar(&ctx, DTYPE_f32, 7.9), *bad = tensor_zeros(&ctx, DTYPE_f32, 1, three);
    tap_ok(tensor_assign(&ctx, region, row) && tensor_item_int(x, 1) == 7 && tensor_item_int(x, 0) == 0 &&
               tensor_item_int(x, 11) == 7,
           "a region is assigned, broadcast and converted");
    tap_ok(!tensor_assign(&ctx, region, bad) && failed_with(ERROR_shape, "axis 1 has sizes 3 and 2"),
           "or refused by axis");
    tap_ok(!tensor_is_unshared(x), "a view shares");
    tensor_release(region);
    tap_ok(tensor_is_unshared(x), "until it is gone");
    const int64_t two[1] = {8}, one[1] = {1};
    Tensor *to = tensor_view(&ctx, x, 1, two, one, 1), *from = tensor_view(&ctx, x, 1, two, one, 0);
    tap_ok(tensor_assign(&ctx, to, from) && tensor_item_int(x, 2) == 7 && tensor_item_int(x, 3) == 0 &&
               tensor_item_int(x, 8) == 7 && tensor_item_int(x, 1) == 0,
           "an overlapping source is read before it is written");
    tensor_release(to);
    tensor_release(from);
    tensor_release(bad);
    tensor_release(row);
    tensor_release(x);
}

/* ---- calls ---- */

static Tensor *call2(OpId id, Tensor *a, Tensor *b)
{
    Tensor *in[2] = {a, b}, *out[OP_MAX_OUT];
    int n_out;
    return op_call(&ctx, op_def(id), 2, in, NULL, out, &n_out) ? out[0] : NULL;
}

static void test_errors(void)
{
    static const int64_t s23[2] = {2, 3}, s24[2] = {2, 4}, s5[1] = {5};
    Tensor *a = tensor_zeros(&ctx, DTYPE_f32, 2, s23), *b = tensor_zeros(&ctx, DTYPE_f32, 2, s24);
    Tensor *c = tensor_zeros(&ctx, DTYPE_i64, 1, s5);
    tap_ok(!call2(OP_add, a, b) && strcmp(ctx.error.op, "add") == 0 && ctx.error.n_operands == 2 &&
               strcmp(ctx.error.operand[0].type, "f32[2, 3]") == 0 && ctx.error.operand[1].input == 1 &&
               failed_with(ERROR_shape, "sizes differ at axis 1, 3 and 4"),
           "a failed broadcast names op, axis, sizes and operands");
    tap_ok(!call2(OP_mul, a, c) && failed_with(ERROR_shape, "axis -1, 3 and 5"),
           "by the axis from the end when ranks differ");
    tensor_release(a);
    tensor_release(b);
    tensor_release(c);
}

static Dtype sum_dtype(Tensor *a, Tensor *b)
{
    Tensor *sum = call2(OP_add, a, b);
    Dtype dtype = sum ? (Dtype)sum->dtype : DTYPE_COUNT;
    tensor_release(sum);
    tensor_release(a);
    tensor_release(b);
    return dtype;
}

static void test_promotion(void)
{
    static const int64_t two[1] = {2};
    Tensor *(*make)(TensorContext *, Dtype, int, const int64_t *) = tensor_zeros;
    bool strong = sum_dtype(make(&ctx, DTYPE_f32, 1, two), make(&ctx, DTYPE_i64, 1, two)) == DTYPE_f32 &&
                  sum_dtype(make(&ctx, DTYPE_u8, 1, two), make(&ctx, DTYPE_bool, 1, two)) == DTYPE_i32 &&
                  sum_dtype(make(&ctx, DTYPE_f64, 1, two), make(&ctx, DTYPE_f32, 1, two)) == DTYPE_f64;
    tap_ok(strong, "dtypes promote by class, then size; u8 and bool arithmetic is i32");
    bool weak = sum_dtype(make(&ctx, DTYPE_f32, 1, two), tensor_weak(&ctx, true, 2.5, 0)) == DTYPE_f32 &&
                sum_dtype(make(&ctx, DTYPE_i32, 1, two), tensor_weak(&ctx, false, 0, 2)) == DTYPE_i32 &&
                sum_dtype(make(&ctx, DTYPE_i64, 1, two), tensor_weak(&ctx, true, 2.5, 0)) == DTYPE_f32;
    tap_ok(weak, "plain numbers are weak");
    Tensor *x = tensor_weak(&ctx, true, 0.1, 0), *y = tensor_weak(&ctx, false, 0, 3);
    Tensor *z = call2(OP_mul, x, y);
    tap_ok(z && z->weak && tensor_item(z, 0) == 0.1 * 3, "and stay plain doubles among themselves");
    tensor_release(x);
    tensor_release(y);
    tensor_release(z);
}

/* ---- the process ---- */

static void test_blas(void)
{
    const Blas *blas = blas_open(&ctx.error);
    if (!blas) {
        tap_note("%s", ctx.error.message);
        error_clear(&ctx.error);
        tap_ok(true, "matrix library # SKIP none");
        return;
    }
    const float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {1, 0, 0, 1, 1, 1};
    float c[4];
    blas->sgemm('N', 'N', 2, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    tap_ok(c[0] == 4 && c[1] == 5 && c[2] == 10 && c[3] == 11, "row-major matrix products");
    const double d[4] = {1, 2, 3, 4};
    double e[4] = {1, 1, 1, 1};
    blas->dgemm('T', 'N', 2, 2, 2, 1, d, 2, d, 2, 1, e, 2);
    tap_ok(e[0] == 11 && e[1] == 15 && e[3] == 21, "transposed, accumulated, in doubles");
    RuntimeInfo info;
    runtime_info(&info, true);
    tap_note("%s, core %s, kernels %s, %d threads", info.blas, info.blas_core, info.isa, info.threads);
    tap_ok(info.threads >= 1 && info.blas && info.memory_budget > 0 && !getenv("OPENBLAS_NUM_THREADS"),
           "the runtime describes itself and leaves the environment as it was");
}

static void test_modules(void)
{
    tap_ok(!runtime_open_module(&ctx.error, "nothing") && failed_with(ERROR_module, "not installed"),
           "a missing part is an error");
}

int main(void)
{
    tensor_context_init(&ctx, &flag);
    test_budget();
    test_cache();
    test_alignment();
    test_philox();
    test_pool();
    test_signatures();
    test_conversion();
    test_transpose_copy();
    test_assign();
    test_errors();
    test_promotion();
    test_blas();
    test_modules();
    tap_ok(runtime_live_tensors() == 0 && ctx.error.kind == ERROR_NONE, "no tensor is left");
    return tap_end();
}
