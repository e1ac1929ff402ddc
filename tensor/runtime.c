/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process as a whole: what is in use, what it measures, and the optional parts that are opened when needed. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

#ifndef PKGLIBDIR
#define PKGLIBDIR "/usr/local/lib/tessera"
#endif

void runtime_info(RuntimeInfo *info, bool open_blas)
{
    Error ignored = {.kind = ERROR_NONE};
    bool opened = open_blas && blas_open(&ignored);
    MemoryUse use;
    memory_use(&use);
    *info = (RuntimeInfo){.threads = pool_threads(), .isa = cpu_level_name(), .tiles = cpu_tiles(),
                          .blas = opened ? blas_path() : NULL, .blas_core = opened ? blas_core() : NULL,
                          .memory_budget = use.budget, .memory_live = use.live, .memory_peak = use.peak,
                          .memory_cached = use.cached,
                          .tensors_live = tensor_live_count()};
}

bool runtime_keeps_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return false;
#endif
#endif
    return !getenv("TESSERA_NO_CACHE");
}

void runtime_set_threads(int threads)
{
    pool_set_threads(threads);
}

/* ---- measuring ---- */

#define SIDE 1536             /* of the square matrices */
#define SECONDS 0.25

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool multiply(TensorContext *context, Tensor *x)
{
    Tensor *in[2] = {x, x}, *product = NULL;
    int count;
    bool done = op_call(context, &op_defs[OP_matmul], 2, in, NULL, &product, &count);
    tensor_release(product);
    return done;
}

/* Multiplies until [SECONDS] are over; the first product warms up. 0 on error. */
static double time_products(TensorContext *context, Tensor *x)
{
    double start = 0, spent = 0;
    int count = 0;
    for (; spent < SECONDS; count++) {
        if (count == 1)
            start = now();
        if (!multiply(context, x))
            return 0;
        spent = count ? now() - start : 0;
    }
    return 2.0 * SIDE * SIDE * SIDE * (count - 1) / spent * 1e-9;
}

double runtime_measure_gflops(TensorContext *context, int threads)
{
    Tensor *x = tensor_zeros(context, DTYPE_f32, 2, (int64_t[2]){SIDE, SIDE});
    int before = pool_threads();
    double gflops = 0;
    if (x) {
        pool_set_threads(threads);
        gflops = time_products(context, x);
        pool_set_threads(before);
    }
    tensor_release(x);
    return gflops;
}

/* ---- optional parts ---- */

static void *open_at(Error *error, const char *folder, const char *middle, const char *name)
{
    char path[PATH_MAX], symbol[64];
    int length = snprintf(path, sizeof path, "%s%s/%s.so", folder, middle, name);
    if (length < 0 || (size_t)length >= sizeof path || access(path, F_OK) != 0)
        return NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    snprintf(symbol, sizeof symbol, "tessera_module_%s", name);
    void *entry = handle ? dlsym(handle, symbol) : NULL;
    if (!entry) {
        const char *why = dlerror();
        error_set(error, ERROR_module, name, "cannot be opened: %s", why ? why : symbol);
        if (handle)
            dlclose(handle);
    }
    return entry;
}

void runtime_program_folder(char *folder, size_t size)
{
    char path[PATH_MAX] = "", started[PATH_MAX];
    const char *name = (const char *)getauxval(AT_EXECFN);
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0)
        path[length] = '\0';
    else if (name && realpath(name, started))    /* a root folder without /proc */
        memcpy(path, started, sizeof path);
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    snprintf(folder, size, "%s", path);
}

void *runtime_open_module(Error *error, const char *name)
{
    char folder[PATH_MAX];
    const char *asked = getenv("TESSERA_MODULES");
    runtime_program_folder(folder, sizeof folder);
    void *entry = asked ? open_at(error, asked, "", name) : NULL;
    if (!entry && error->kind == ERROR_NONE && folder[0])
        entry = open_at(error, folder, "/.libs", name);
    if (!entry && error->kind == ERROR_NONE && folder[0])
        entry = open_at(error, folder, "", name);
    if (!entry && error->kind == ERROR_NONE)
        entry = open_at(error, PKGLIBDIR, "", name);
    if (!entry && error->kind == ERROR_NONE && folder[0])    /* installed, then moved */
        entry = open_at(error, folder, "/../lib/tessera", name);
    if (!entry)
        error_set(error, ERROR_module, name, "this part of Tessera is not installed (no %s.so in %s)", name, PKGLIBDIR);
    return entry;
}
