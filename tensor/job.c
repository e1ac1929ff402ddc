/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs that can be abandoned. Quick ones run over the pool; slow ones on detached threads that the caller watches,
   looking at the interrupt meanwhile. An abandoned thread finishes the library call it is in, sees that nobody waits,
   and frees the job. Invariant: such a thread touches its job and the allocator, nothing else.
   At the end of the process it may still be inside the library, whose destructors would pull the ground from under it:
   then the process ends without them (leave_at_once). */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "job.h"

#define HEAD 512              /* of a job, in front of its data */
#define MOST_THREADS 64
#define LOOK 5000000          /* nanoseconds between looks at the interrupt */

struct Job {
    pthread_mutex_t lock;     /* guards what follows */
    pthread_cond_t ended;     /* a thread has left */
    int holders;              /* the caller and its threads */
    int running;              /* threads */
    bool abandoned;
    int64_t next, items;
    void (*fn)(void *data, int64_t item);
};

Job *job_new(Error *error, size_t bytes)
{
    _Static_assert(sizeof(Job) <= HEAD, "a job's head must fit before its data");
    Job *job = scratch_take(error, HEAD + bytes);
    if (!job)
        return NULL;
    *job = (Job){.holders = 1};
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->ended, &clock);
    pthread_condattr_destroy(&clock);
    return job;
}

void *job_data(Job *job)
{
    return (char *)job + HEAD;
}

void job_release(Job *job)
{
    if (!job)
        return;
    pthread_mutex_lock(&job->lock);
    bool last = --job->holders == 0;
    pthread_mutex_unlock(&job->lock);
    if (!last)
        return;
    pthread_cond_destroy(&job->ended);
    pthread_mutex_destroy(&job->lock);
    scratch_release(job);
}

/* ---- the end of the process ---- */

static atomic_int strays;     /* threads of abandoned jobs */
static int exit_status;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void note_status(int status, void *unused)
{
    (void)unused;
    exit_status = status;
}

static void watch_exit(void)
{
    on_exit(note_status, NULL);
}

/* Runs after what was registered with atexit and before the destructors of libraries. */
__attribute__((destructor)) static void leave_at_once(void)
{
    if (atomic_load(&strays) == 0)
        return;
    fflush(NULL);
    _exit(exit_status);
}

/* ---- threads of slow jobs ---- */

static bool draw_item(Job *job, int64_t *item)
{
    pthread_mutex_lock(&job->lock);
    bool one = !job->abandoned && job->next < job->items;
    if (one)
        *item = job->next++;
    pthread_mutex_unlock(&job->lock);
    return one;
}

static void *work(void *arg)
{
    Job *job = arg;
    int64_t item;
    while (draw_item(job, &item))
        job->fn(job_data(job), item);
    pthread_mutex_lock(&job->lock);
    job->running--;
    bool stray = job->abandoned;
    pthread_cond_signal(&job->ended);
    pthread_mutex_unlock(&job->lock);
    job_release(job);
    if (stray)
        atomic_fetch_sub(&strays, 1);
    return NULL;
}

/* Starts [count] threads that no signal reaches; fewer is no error. */
static void start_threads(Job *job, int count)
{
    pthread_attr_t detached;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&job->lock);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, work, job) != 0)
            break;
        job->holders++;
        job->running++;
    }
    pthread_mutex_unlock(&job->lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&detached);
}

/* Waits until all threads have left or an interrupt is asked for; then they are on their own. */
static bool watch(TensorContext *ctx, Job *job)
{
    bool stopped = false;
    pthread_mutex_lock(&job->lock);
    while (job->running > 0 && !stopped) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&job->ended, &job->lock, &until);
        stopped = tensor_interrupted(ctx);
    }
    if (stopped && job->running > 0) {
        pthread_once(&exit_once, watch_exit);
        atomic_fetch_add(&strays, job->running);
    }
    job->abandoned = stopped;
    pthread_mutex_unlock(&job->lock);
    return !stopped;
}

/* ---- running ---- */

static void run_item(void *arg, int64_t item)
{
    Job *job = arg;
    job->fn(job_data(job), item);
}

bool job_run(TensorContext *ctx, Job *job, int64_t items, bool slow, void (*fn)(void *data, int64_t item))
{
    job->fn = fn;
    job->items = items;
    job->next = 0;
    if (slow && items > 0) {
        int count = pool_threads() < MOST_THREADS ? pool_threads() : MOST_THREADS;
        start_threads(job, items < count ? (int)items : count);
        return watch(ctx, job) && pool_run(ctx, job->items - job->next, run_item, job);
    }
    return pool_run(ctx, items, run_item, job);
}
