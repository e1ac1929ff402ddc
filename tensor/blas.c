/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenBLAS, opened on first use. It must be the pthread or the sequential build: the OpenMP build collapses when two
   threads call it. Its own threads are switched off, the pool spreads tiles instead. Old versions do not know new
   processors, so the core type is given to them, chosen by feature bits.
   Invariant: the environment is as the user left it once the library is open. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

typedef void FortranSgemm(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha,
                          const float *a, const int *lda, const float *b, const int *ldb, const float *beta, float *c,
                          const int *ldc, size_t ta_length, size_t tb_length);
typedef void FortranDgemm(const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha,
                          const double *a, const int *lda, const double *b, const int *ldb, const double *beta,
                          double *c, const int *ldc, size_t ta_length, size_t tb_length);

static struct {
    void *handle;
    FortranSgemm *sgemm;
    FortranDgemm *dgemm;
    char path[512];
    char core[64];
    char trouble[256];        /* why there is none */
    bool open;
} lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Column-major Fortran sees every row-major matrix transposed: C' = B' A'. */
static void sgemm(char ta, char tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                  float beta, float *c, int ldc)
{
    lib.sgemm(&tb, &ta, &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc, 1, 1);
}

static void dgemm(char ta, char tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b,
                  int ldb, double beta, double *c, int ldc)
{
    lib.dgemm(&tb, &ta, &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc, 1, 1);
}

static const Blas blas = {.sgemm = sgemm, .dgemm = dgemm};

/* dlsym gives an object pointer where a function is meant. */
static bool find(void *handle, const char *name, void *function)
{
    void *at = dlsym(handle, name);
    memcpy(function, &at, sizeof at);
    return at != NULL;
}

/* A variable of the environment for the time of opening. */
typedef struct Lent { const char *name; char *before; bool changed; } Lent;

static Lent lend(const char *name, const char *value, bool always)
{
    const char *now = getenv(name);
    Lent lent = {.name = name};
    if (!value || (now && !always))
        return lent;
    lent.before = now ? strdup(now) : NULL;
    lent.changed = (!now || lent.before) && setenv(name, value, 1) == 0;
    return lent;
}

static void give_back(Lent *lent)
{
    if (lent->changed && lent->before)
        setenv(lent->name, lent->before, 1);
    else if (lent->changed)
        unsetenv(lent->name);
    free(lent->before);
}

static bool use_library(void *handle)
{
    int (*parallel)(void);
    void (*set_threads)(int);
    char *(*corename)(void);
    if (find(handle, "openblas_get_parallel", &parallel) && parallel() == 2) {
        snprintf(lib.trouble, sizeof lib.trouble, "the OpenBLAS found is the OpenMP build");
        return false;
    }
    if (!find(handle, "sgemm_", &lib.sgemm) || !find(handle, "dgemm_", &lib.dgemm)) {
        snprintf(lib.trouble, sizeof lib.trouble, "the library found has no sgemm_ or dgemm_");
        return false;
    }
    if (find(handle, "openblas_set_num_threads", &set_threads))
        set_threads(1);
    lib.handle = handle;
    bool named = find(handle, "openblas_get_corename", &corename);
    snprintf(lib.core, sizeof lib.core, "%s", named ? corename() : "unknown");
    Dl_info where;
    void *symbol = dlsym(handle, "sgemm_");
    if (dladdr(symbol, &where) && where.dli_fname)
        snprintf(lib.path, sizeof lib.path, "%s", where.dli_fname);
    return true;
}

static void open_library(void)
{
    static const char *const candidates[] = {
#ifdef OPENBLAS_PATH
        OPENBLAS_PATH,
#endif
        "libopenblas.so.0", "libopenblas.so",
    };
    CpuLevel level = cpu_detected();
    Lent threads = lend("OPENBLAS_NUM_THREADS", "1", true);
    const char *type = level == CPU_AVX512 ? "SkylakeX" : level == CPU_AVX2 ? "Haswell" : NULL;
    Lent core = lend("OPENBLAS_CORETYPE", type, false);
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0] && !lib.open; i++) {
        void *handle = dlopen(candidates[i], RTLD_NOW | RTLD_LOCAL);
        if (!handle) {
            const char *why = dlerror();
            if (!lib.trouble[0])
                snprintf(lib.trouble, sizeof lib.trouble, "%s", why ? why : candidates[i]);
            continue;
        }
        lib.open = use_library(handle);
        if (!lib.open)
            dlclose(handle);
    }
    give_back(&core);
    give_back(&threads);
}

const Blas *blas_open(Error *error)
{
    pthread_once(&once, open_library);
    if (lib.open)
        return &blas;
    error_set(error, ERROR_module, "", "no matrix library: %s", lib.trouble);
    error_hint(error, "on Debian: apt-get install libopenblas0-pthread");
    return NULL;
}

void *blas_symbol(const char *name)
{
    return lib.open ? dlsym(lib.handle, name) : NULL;
}

const char *blas_path(void)
{
    return lib.open ? lib.path : NULL;
}

const char *blas_core(void)
{
    return lib.open ? lib.core : NULL;
}
