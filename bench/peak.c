/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the cores can do at most, on some threads at once: fused multiply-adds of f32 in registers alone, or bytes read
   and written by a sweep of four arrays, three of which it updates, as AdamW does. bench/compare compiles it for this
   processor and asks it between the turns of both sides, since neighbours on the host move what it finds within seconds.

   usage: peak THREADS             multiply-adds: GFLOP/s
          peak THREADS FLOATS      sweeps of arrays of FLOATS: GB/s
   Answers each line of its input after about 20 ms; echo | peak 1 asks once.

   24 sums hide the latency; 12 to 28 of them in loops unrolled by 1 to 8 found the same. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
#define ROUNDS 80000
#define SECONDS 0.02
#define ARRAYS 4
#define BYTES_MOVED 28        /* of each element: four floats read, three written */

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));

/* What one thread does: sweeps of [count] floats of each array, or multiply-adds where count is 0. */
typedef struct {
    float *array[ARRAYS];
    long count;
    double rate;
    pthread_barrier_t *start;
} Part;

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

static void sweep(long count, float *restrict w, float *restrict m, float *restrict v, const float *restrict g)
{
    for (long i = 0; i < count; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.9f * v[i] + 0.1f * g[i];
        w[i] -= m[i] + v[i];
    }
}

static void *measure(void *given)
{
    Part *part = given;
    volatile float kept = 0;
    double amount = 0, start, took;
    pthread_barrier_wait(part->start);
    start = now();
    do {
        if (part->count > 0) {
            sweep(part->count, part->array[0], part->array[1], part->array[2], part->array[3]);
            amount += (double)BYTES_MOVED * (double)part->count;
        } else {
            kept = multiply_add(ROUNDS, 1e-9f);
            amount += 2.0 * LANES * COUNT * ROUNDS;
        }
        took = now() - start;
    } while (took < SECONDS);
    (void)kept;
    part->rate = amount / took / 1e9;
    return NULL;
}

/* Four arrays in large pages, as the tensors of both sides lie in; each thread has its share of each. */
static int share_out(Part *parts, int threads, long count)
{
    long each = count / threads / LANES * LANES;
    size_t page = 2u << 20, bytes = ((size_t)count * sizeof(float) + page - 1) / page * page;
    for (int k = 0; k < ARRAYS; k++) {
        float *array = aligned_alloc(page, bytes);
        if (!array)
            return 0;
        madvise(array, bytes, MADV_HUGEPAGE);
        memset(array, 0, bytes);
        for (int i = 0; i < threads; i++)
            parts[i].array[k] = array + i * each;
    }
    for (int i = 0; i < threads; i++)
        parts[i].count = each;
    return 1;
}

static double measure_all(Part *parts, int threads)
{
    pthread_t thread[MOST_THREADS];
    pthread_barrier_t start;
    double sum = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        parts[i].start = &start;
        if (pthread_create(&thread[i], NULL, measure, &parts[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        sum += parts[i].rate;
    }
    pthread_barrier_destroy(&start);
    return sum;
}

int main(int argc, char **argv)
{
    static Part parts[MOST_THREADS];
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    long count = argc > 2 ? atol(argv[2]) : 0;
    char line[64];
    if (threads < 1 || threads > MOST_THREADS || (count > 0 && !share_out(parts, threads, count)))
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        printf("%.1f\n", measure_all(parts, threads));
        fflush(stdout);
    }
    return 0;
}
