/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The allocator of values: blocks do not overlap, keep their contents when they grow, come back from other threads, and
   the counts are exact whatever thread gave back what. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lang/heap.h"
#include "../tap.h"

#define BLOCKS 40000
#define ROUNDS 5

typedef struct Held { unsigned char *at; size_t size; } Held;

static Held held[BLOCKS];
static bool sound = true;

static size_t size_of(int i)
{
    return (size_t)(1 + i * 37 % 700);        /* small ones and some from malloc */
}

static unsigned char mark_of(int i)
{
    return (unsigned char)(i * 131 >> 3);
}

static void take_one(int i)
{
    held[i] = (Held){heap_take(size_of(i)), size_of(i)};
    sound = sound && held[i].at != NULL;
    if (held[i].at)
        memset(held[i].at, mark_of(i), held[i].size);
}

static void give_one(int i)
{
    for (size_t k = 0; held[i].at && k < held[i].size; k++)
        sound = sound && held[i].at[k] == mark_of(i);
    heap_give(held[i].at, held[i].size);
    held[i].at = NULL;
}

static void *take_all(void *unused)
{
    (void)unused;
    for (int i = 0; i < BLOCKS; i++)
        take_one(i);
    return NULL;
}

static void *give_odd(void *unused)
{
    (void)unused;
    for (int i = 1; i < BLOCKS; i += 2)
        give_one(i);
    return NULL;
}

static void in_thread(void *(*work)(void *))
{
    pthread_t thread;
    sound = sound && pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static void test_alone(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        take_all(NULL);
        for (int i = 0; i < BLOCKS; i += 3)   /* holes, filled again */
            give_one(i);
        for (int i = 0; i < BLOCKS; i += 3)
            take_one(i);
        for (int i = BLOCKS - 1; i >= 0; i--)
            give_one(i);
    }
    tap_ok(sound, "blocks keep what is written into them");
    tap_ok(heap_live_blocks() == 0 && heap_live_bytes() == 0, "nothing is left");
}

static void test_resize(void)
{
    size_t size = 1;
    unsigned char *at = heap_take(size);
    at[0] = 7;
    bool kept = true;
    for (size_t wanted = 2; wanted < 5000; wanted += wanted / 3 + 1) {
        at = heap_resize(at, size, wanted);
        for (size_t k = 0; k < size; k++)
            kept = kept && at[k] == 7;
        memset(at, 7, wanted);
        size = wanted;
    }
    at = heap_resize(at, size, 10);
    kept = kept && at[0] == 7 && at[9] == 7;
    tap_ok(kept && heap_live_bytes() == 10, "a block keeps its bytes when it grows and shrinks");
    heap_give(at, 10);
    at = heap_resize(NULL, 0, 24);
    tap_ok(at && heap_live_blocks() == 1, "none grows into a new one");
    heap_give(at, 24);
}

/* One thread takes, ends, others give back: what comes home late is used again. */
static void test_threads(void)
{
    sound = true;
    for (int round = 0; round < ROUNDS; round++) {
        in_thread(take_all);
        int64_t wanted = 0;
        for (int i = 0; i < BLOCKS; i++)
            wanted += (int64_t)held[i].size;
        sound = sound && heap_live_blocks() == BLOCKS && heap_live_bytes() == wanted;
        in_thread(give_odd);
        for (int i = 0; i < BLOCKS; i += 2)
            give_one(i);
        sound = sound && heap_live_blocks() == 0 && heap_live_bytes() == 0;
    }
    tap_ok(sound, "blocks come back from other threads, and are counted");
}

/* Both at once: each thread gives back what the other took. */
static Held shared[2][BLOCKS];
static pthread_barrier_t barrier;

static void *exchange(void *which)
{
    int me = *(int *)which;
    bool fine = true;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            shared[me][i] = (Held){heap_take(size_of(i)), size_of(i)};
            memset(shared[me][i].at, me + 1, size_of(i));
        }
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < BLOCKS; i++) {
            Held *other = &shared[1 - me][i];
            fine = fine && other->at[0] == 2 - me && other->at[other->size - 1] == 2 - me;
            heap_give(other->at, other->size);
        }
        pthread_barrier_wait(&barrier);
    }
    return fine ? which : NULL;
}

static void test_exchange(void)
{
    pthread_t thread[2];
    int which[2] = {0, 1};
    void *fine[2] = {NULL, NULL};
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, exchange, &which[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], &fine[i]);
    pthread_barrier_destroy(&barrier);
    tap_ok(fine[0] && fine[1] && heap_live_blocks() == 0 && heap_live_bytes() == 0,
           "two threads give back each other's blocks");
}

int main(void)
{
    test_alone();
    test_resize();
    test_threads();
    test_exchange();
    return tap_end();
}
