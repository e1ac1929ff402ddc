/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the cores can do at most: fused multiply-adds of f32 in registers alone, on some threads at once. bench/compare
   compiles it for this processor, runs it beside each row and prints the row's rate as a share of it.

   usage: fma-peak THREADS      prints GFLOP/s, the median of 9 runs of about 10 ms on each thread, summed */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#define COUNT 24              /* sums: enough to hide the latency, few enough for the registers */
#define REGISTER "+v"
#elif defined(__AVX__)
#define LANES 8
#define COUNT 12
#define REGISTER "+x"
#elif defined(__SSE__)
#define LANES 4
#define COUNT 12
#define REGISTER "+x"
#else
#define LANES 4
#define COUNT 24
#define REGISTER "+w"
#endif
#define MOST_THREADS 256
#define RUNS 9
#define ROUNDS 80000

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The empty statement keeps the product from being worked out once for all. */
static float multiply_add(long rounds, float x)
{
    Vector sum[COUNT], a = x - (Vector){0}, total = {0};
#pragma GCC unroll 24
    for (int i = 0; i < COUNT; i++)
        sum[i] = total;
    for (long round = 0; round < rounds; round++) {
#pragma GCC unroll 24
        for (int i = 0; i < COUNT; i++) {
            __asm__ volatile("" : REGISTER(a));
            sum[i] += a * a;
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < COUNT; i++)
        total += sum[i];
    return total[0];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *measure(void *result)
{
    double rate[RUNS];
    volatile float kept = multiply_add(ROUNDS, 1e-9f);
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        kept = multiply_add(ROUNDS, 1e-9f);
        rate[i] = 2.0 * LANES * COUNT * ROUNDS / (now() - start) / 1e9;
    }
    (void)kept;
    qsort(rate, RUNS, sizeof *rate, compare);
    *(double *)result = rate[RUNS / 2];
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t thread[MOST_THREADS];
    double rate[MOST_THREADS], sum = 0;
    if (threads < 1 || threads > MOST_THREADS)
        return 2;
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, measure, &rate[i]) != 0)
            return 1;
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        sum += rate[i];
    }
    printf("%.1f\n", sum);
    return 0;
}
