/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `fft`: the only place that sees FFTW. Plans are made by estimate, so that results do not depend on what
   some measurement found faster, and kept for the next call; making and destroying them is not thread-safe in FFTW and
   happens under one lock, transforming needs none.
   Invariant: a plan is destroyed only while nobody holds it. */
#include <fftw3.h>
#include <pthread.h>
#include <stdlib.h>

#include "fft.h"

#define KEPT 64               /* plans that wait for the next call */

struct FftPlan {
    FftKind kind;
    bool wide;
    int64_t n;
    int holders;
    fftw_plan f64;
    fftwf_plan f32;
    FftPlan *next;            /* the one used before this one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FftPlan *plans;        /* the latest first */

static bool make(FftPlan *plan, void *row)
{
    int n = (int)plan->n;
    if (plan->wide) {
        fftw_complex *c = row;
        plan->f64 = plan->kind == FFT_REAL ? fftw_plan_dft_r2c_1d(n, row, c, FFTW_ESTIMATE)
                  : plan->kind == FFT_HALF ? fftw_plan_dft_c2r_1d(n, c, row, FFTW_ESTIMATE)
                  : fftw_plan_dft_1d(n, c, c, plan->kind == FFT_FORWARD ? FFTW_FORWARD : FFTW_BACKWARD, FFTW_ESTIMATE);
        return plan->f64 != NULL;
    }
    fftwf_complex *c = row;
    plan->f32 = plan->kind == FFT_REAL ? fftwf_plan_dft_r2c_1d(n, row, c, FFTW_ESTIMATE)
              : plan->kind == FFT_HALF ? fftwf_plan_dft_c2r_1d(n, c, row, FFTW_ESTIMATE)
              : fftwf_plan_dft_1d(n, c, c, plan->kind == FFT_FORWARD ? FFTW_FORWARD : FFTW_BACKWARD, FFTW_ESTIMATE);
    return plan->f32 != NULL;
}

static void destroy(FftPlan *plan)
{
    if (plan->f64)
        fftw_destroy_plan(plan->f64);
    if (plan->f32)
        fftwf_destroy_plan(plan->f32);
    free(plan);
}

/* Takes the plan out of the list, or NULL. The lock is held. */
static FftPlan *find(FftKind kind, bool wide, int64_t n)
{
    for (FftPlan **at = &plans; *at; at = &(*at)->next) {
        FftPlan *plan = *at;
        if (plan->kind == kind && plan->wide == wide && plan->n == n) {
            *at = plan->next;
            return plan;
        }
    }
    return NULL;
}

/* Destroys what nobody holds behind the latest ones. The lock is held. */
static void trim(void)
{
    int count = 0;
    for (FftPlan **at = &plans; *at;) {
        FftPlan *plan = *at;
        if (++count > KEPT && plan->holders == 0) {
            *at = plan->next;
            destroy(plan);
        } else {
            at = &plan->next;
        }
    }
}

static FftPlan *plan_rows(FftKind kind, bool wide, int64_t n, void *row)
{
    pthread_mutex_lock(&lock);
    FftPlan *plan = find(kind, wide, n);
    if (!plan) {
        plan = calloc(1, sizeof *plan);
        if (plan) {
            plan->kind = kind;
            plan->wide = wide;
            plan->n = n;
        }
        if (plan && !make(plan, row)) {
            free(plan);
            plan = NULL;
        }
    }
    if (plan) {
        plan->holders++;
        plan->next = plans;
        plans = plan;
        trim();
    }
    pthread_mutex_unlock(&lock);
    return plan;
}

static void run(const FftPlan *plan, void *row)
{
    if (plan->wide && plan->kind == FFT_REAL)
        fftw_execute_dft_r2c(plan->f64, row, row);
    else if (plan->wide && plan->kind == FFT_HALF)
        fftw_execute_dft_c2r(plan->f64, row, row);
    else if (plan->wide)
        fftw_execute_dft(plan->f64, row, row);
    else if (plan->kind == FFT_REAL)
        fftwf_execute_dft_r2c(plan->f32, row, row);
    else if (plan->kind == FFT_HALF)
        fftwf_execute_dft_c2r(plan->f32, row, row);
    else
        fftwf_execute_dft(plan->f32, row, row);
}

static void release(FftPlan *plan)
{
    pthread_mutex_lock(&lock);
    plan->holders--;
    pthread_mutex_unlock(&lock);
}

/* So that nothing is left when the program ends. */
__attribute__((destructor)) static void forget_plans(void)
{
    while (plans) {
        FftPlan *plan = plans;
        plans = plan->next;
        if (plan->holders == 0)
            destroy(plan);
    }
    fftw_cleanup();
    fftwf_cleanup();
}

__attribute__((visibility("default"))) const FftModule tessera_module_fft = {
    .plan = plan_rows,
    .run = run,
    .release = release,
};
