/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that runs out at every possible moment: for the first cases of each row, the n-th request for memory fails,
   for every n until the op, its gradient and the gradient of that go through. Each time there must be an ordinary
   error and nothing left behind. Linked with --wrap, so that every request of libtensor's comes by here. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "ops_test.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *at, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void __real_free(void *at);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *at, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
void __wrap_free(void *at);

static int64_t requests, fail_at;     /* the request that fails; 0: none */
static int64_t live;                  /* pieces of memory */
static bool armed;

static bool refuse(void)
{
    return armed && ++requests == fail_at;
}

static void *count(void *at)
{
    live += at != NULL;
    return at;
}

void *__wrap_malloc(size_t bytes) { return refuse() ? NULL : count(__real_malloc(bytes)); }
void *__wrap_calloc(size_t n, size_t bytes) { return refuse() ? NULL : count(__real_calloc(n, bytes)); }
void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return refuse() ? NULL : count(__real_aligned_alloc(align, bytes));
}

void *__wrap_realloc(void *at, size_t bytes)
{
    return refuse() ? NULL : at ? __real_realloc(at, bytes) : count(__real_realloc(at, bytes));
}

void __wrap_free(void *at)
{
    live -= at != NULL;
    __real_free(at);
}

static const Case *const sections[] = {
#define SECTION(name) cases_##name,
#include "sections.def"
#undef SECTION
};

static TensorContext ctx;

static void release(int n, Tensor **t)
{
    for (int i = 0; i < n; i++)
        tensor_release(t[i]);
}

/* A tensor of ones, made while nothing fails. */
static Tensor *ones_like(const Tensor *t)
{
    bool was = armed;
    armed = false;
    Tensor *seed = tensor_new(&ctx, (Dtype)t->dtype, t->ndim, t->shape);
    for (int64_t i = 0; i < tensor_size(seed); i++)
        tensor_store(seed, i, 1);
    armed = was;
    return seed;
}

/* The op, and by [order] its gradient and second gradient, at [in]; grads are owned by the caller. */
static bool run_order(const Case *test, Inputs *in, Tensor *const *at, int order, Tensor **grads, int *n_grads)
{
    Tensor *args[OP_MAX_IN] = {0}, *leaves[OP_MAX_IN] = {0}, *out[OP_MAX_OUT] = {0}, *seeds[OP_MAX_IN] = {0};
    Tensor *picked[OP_MAX_IN];
    int n = 0, n_out = 0, n_picked = 0;
    bool ok = true;
    *n_grads = 0;
    if (order > 0)
        grad_begin(&ctx);
    for (int i = 0; i < in->n; i++) {
        args[i] = at[i];
        if (order > 0 && at[i] && !in->constant[i]) {
            args[i] = leaves[n++] = grad_leaf(&ctx, at[i]);
            ok = ok && args[i];
        }
    }
    if (order < 2) {
        ok = ok && op_call(&ctx, op_find(test->op), in->n, args, in->attr, out, &n_out);
    } else {
        Tensor *first[OP_MAX_IN] = {0};
        ok = ok && run_order(test, in, args, 1, first, &n_out);
        memcpy(out, first, sizeof out);
        for (int i = OP_MAX_OUT; i < n_out; i++)
            tensor_release(first[i]);
        n_out = n_out < OP_MAX_OUT ? n_out : OP_MAX_OUT;
    }
    for (int k = 0; ok && order > 0 && k < n_out; k++)
        if (dtype_class((Dtype)out[k]->dtype) == CLASS_FLOAT) {
            picked[n_picked] = out[k];
            seeds[n_picked++] = ones_like(out[k]);
        }
    if (order > 0) {
        ok = ok && grad_backward(&ctx, n_picked, picked, seeds, n, leaves, grads);
        *n_grads = ok ? n : 0;
        grad_end(&ctx);
    }
    release(n_picked, seeds);
    release(n_out, out);
    release(n, leaves);
    return ok;
}

static int64_t failures;

static bool expect_failure(const Case *test, int order, int64_t before, int64_t tensors)
{
    const char *wrong = ctx.error.kind != ERROR_memory ? error_kind_name(ctx.error.kind)
                      : live != before ? "memory leaks" : runtime_live_tensors() != tensors ? "tensors leak"
                      : ctx.recording != 0 ? "recording goes on" : NULL;
    if (wrong)
        tap_note("%s, order %d, request %lld of memory fails: %s: %s", test->op, order, (long long)fail_at, wrong,
                 ctx.error.message);
    error_clear(&ctx.error);
    failures++;
    return !wrong;
}

static bool starve(const Case *test, Dtype dtype, int order)
{
    Inputs in;
    Tensor *grads[OP_MAX_IN];
    int n;
    bool good = true, done = !inputs_build(&ctx, test, dtype, &in);
    for (fail_at = 1; !done && good && fail_at < 4000; fail_at++) {
        int64_t before = live, tensors = runtime_live_tensors();
        requests = 0;
        armed = true;
        done = run_order(test, &in, in.tensor, order, grads, &n);
        armed = false;
        if (done)
            release(n, grads);
        /* What a first call keeps for good (tables, the pool) is made with the first success. */
        else
            good = expect_failure(test, order, before, tensors);
    }
    inputs_free(&in);
    return good && done;
}

static bool is_chosen(const Case *section, const Case *test)
{
    int before = 0;
    for (const Case *c = section; c < test; c++)
        before += strcmp(c->op, test->op) == 0;
    return before < 2 && !test->error && !test->big && op_find(test->op);
}

/* ---- files ---- */

static bool load_one(int kind, const char *path)
{
    TensorFile file = {0};
    Tensor *t = kind == 0 ? npy_load(&ctx, path) : kind == 2 ? image_load(&ctx, path) : NULL;
    bool ok = kind == 1 ? safetensors_load(&ctx, path, &file) : t != NULL;
    tensor_file_free(&file);
    tensor_release(t);
    return ok;
}

/* Only tensors are counted here: libc itself asks for memory in between. */
static void starve_files(void)
{
    char path[] = "/tmp/tessera-memory-XXXXXX";
    int fd = mkstemp(path);
    static const int64_t shape[] = {3, 4};
    Tensor *t = tensor_zeros(&ctx, DTYPE_u8, 2, shape);
    NamedTensor entry = {(char[]){"weight"}, t};
    TensorFile file = {.count = 1, .entry = &entry, .n_metadata = 1, .metadata = (char *[]){entry.name, entry.name}};
    int64_t tensors = runtime_live_tensors();
    for (int kind = 0; kind < 3; kind++) {
        bool done = false, good = true;
        bool saved = kind == 0 ? npy_save(&ctx, path, t) : kind == 1 ? safetensors_save(&ctx, path, &file)
                   : image_save(&ctx, path, t);
        for (fail_at = 1; saved && good && !done && fail_at < 1000; fail_at++) {
            requests = 0;
            armed = true;
            done = load_one(kind, path);
            armed = false;
            good = done || (ctx.error.kind == ERROR_memory && runtime_live_tensors() == tensors);
            error_clear(&ctx.error);
        }
        tap_ok(saved && good && done, "loading %s without memory",
               kind == 0 ? "npy" : kind == 1 ? "safetensors" : "PNG");
    }
    tensor_release(t);
    unlink(path);
    close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    setenv("TESSERA_NO_CACHE", "1", 1);
    tensor_context_init(&ctx, NULL);
    runtime_set_threads(1);
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++)
        for (const Case *test = sections[s]; test->op; test++) {
            if (!is_chosen(sections[s], test))
                continue;
            OpMode mode = op_find(test->op)->mode;
            bool floats = (!test->only || is_listed(test->only, DTYPE_f32)) && !is_listed(test->refuses, DTYPE_f32);
            Dtype dtype = floats ? DTYPE_f32 : DTYPE_i64;
            int most = mode == MODE_NOGRAD || test->no_grad || !floats ? 0
                     : mode == MODE_ZERO || test->no_second ? 1 : 2;
            bool good = true;
            Inputs in;
            if (inputs_build(&ctx, test, dtype, &in) && in.n == 0)
                most = 0;
            inputs_free(&in);
            for (int order = 0; order <= most; order++)
                good = starve(test, dtype, order) && good;
            tap_ok(good, "%s %s (%s) without memory", test->op, test->inputs, test->params);
        }
    starve_files();
    tap_ok(failures > 1000, "%lld requests for memory failed", (long long)failures);
    return tap_end();
}
