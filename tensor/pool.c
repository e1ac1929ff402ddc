/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process's one thread pool. A job is a range of tasks, of which each thread has a share: it takes its own from the
   front, then what is left of the others' from the back. So the same rows fall to the same thread in one job after
   another, and are in its core's cache. Workers start on first use, spin for the next job, then sleep in a futex.
   Invariant: a worker touches a job only between entering it (count in [state] raised while the job is open) and
   leaving it, and the caller returns only when the job is closed and nobody is inside.
   state: bit 31 open, bits 16 to 30 the job's number, bits 0 to 15 how many workers are inside. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

#define OPEN 0x80000000u
#define NUMBER 0x7fff0000u
#define NUMBER_ONE 0x00010000u
#define INSIDE 0x0000ffffu
#define MAX_THREADS 256
#define CALLER_SPINS 3000                 /* the caller's looks for the end of the last tasks, about 80 us */
#define BRIEF 8000                        /* nanoseconds that a worker spins for the next job */
#define PATIENT 400000                    /* the same while jobs follow one another */
#define PROMPT_JOBS 32                    /* how many jobs in a row within that time say so */
#define MOST_TASKS ((int64_t)1 << 31)     /* of a job: counts of draws are halves of a word */
#define BACK_ONE ((uint64_t)1 << 32)

/* Tasks [first] to [first + size - 1]. [drawn] counts the draws, those from the front in its low half and those from the
   back in its high half. Each draw adds one and sees how many went before it: just [size] of them see fewer than [size] and get a
   task, and f of them from the front, b from the back with f + b = size get the first f and the last b tasks, each once.
   Later draws find nothing; there is at most one a thread, so no half overflows. */
typedef struct Share {
    alignas(64) _Atomic uint64_t drawn;
    int64_t first, size;
} Share;

static struct Pool {
    pthread_mutex_t gate;     /* one job at a time */
    pthread_t worker[MAX_THREADS];
    int started;              /* workers running */
    int threads;              /* wanted, caller included; 0: not asked yet */
    atomic_uint state, call, sleepers;
    atomic_bool quit;
    atomic_int helpers;       /* workers with a lower index may enter */
    /* the job */
    int shares;
    Share share[MAX_THREADS];
    void (*fn)(void *arg, int64_t task);
    void *arg;
    const TensorContext *ctx; /* of whoever asked for it; NULL: never interrupted */
    atomic_bool skipped;
} pool = {.gate = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool inside_job;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void futex_wait(atomic_uint *word, unsigned value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* The share's next task, or -1. */
static int64_t draw(Share *share, bool own)
{
    uint64_t drawn = atomic_load_explicit(&share->drawn, memory_order_relaxed);
    if ((int64_t)((uint32_t)drawn + (drawn >> 32)) >= share->size)
        return -1;                        /* seen without taking the line from its owner */
    drawn = atomic_fetch_add_explicit(&share->drawn, own ? 1 : BACK_ONE, memory_order_relaxed);
    int64_t front = (uint32_t)drawn, back = (int64_t)(drawn >> 32);
    if (front + back >= share->size)
        return -1;
    return own ? share->first + front : share->first + share->size - 1 - back;
}

/* Works as thread [self] of the job until no task is left or an interrupt is asked for. */
static void draw_tasks(int self)
{
    for (int i = 0; i < pool.shares; i++) {
        Share *share = &pool.share[(self + i) % pool.shares];
        for (int64_t task; (task = draw(share, i == 0)) >= 0;) {
            if (pool.ctx && tensor_stopped(pool.ctx)) {
                atomic_store_explicit(&pool.skipped, true, memory_order_relaxed);
                return;
            }
            pool.fn(pool.arg, task);
        }
    }
}

/* Is there an open job that worker [index] has not been in and is wanted for? */
static bool wanted(unsigned state, unsigned seen, int index)
{
    return (state & OPEN) && (state & NUMBER) != seen && index < atomic_load(&pool.helpers);
}

static bool enter_job(unsigned *seen, int index)
{
    unsigned state = atomic_load_explicit(&pool.state, memory_order_acquire);
    while (wanted(state, *seen, index))
        if (atomic_compare_exchange_weak(&pool.state, &state, state + 1)) {
            *seen = state & NUMBER;
            return true;
        }
    return false;
}

static void leave_job(void)
{
    unsigned before = atomic_fetch_sub(&pool.state, 1);
    if ((before & INSIDE) == 1 && !(before & OPEN))
        futex_wake(&pool.state, 1);
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Spins for at least that long: for a wanted job, or the end? */
static bool called_within(int64_t time, unsigned seen, int index)
{
    int64_t limit = nanoseconds() + time;
    do {
        for (int i = 0; i < 32; i++) {
            if (wanted(atomic_load(&pool.state), seen, index) || atomic_load(&pool.quit))
                return true;
            pause_cpu();
        }
    } while (nanoseconds() < limit);
    return false;
}

static void sleep_until_called(unsigned seen, int index)
{
    unsigned call = atomic_load(&pool.call);
    atomic_fetch_add(&pool.sleepers, 1);
    if (!wanted(atomic_load(&pool.state), seen, index) && !atomic_load(&pool.quit))
        futex_wait(&pool.call, call);
    atomic_fetch_sub(&pool.sleepers, 1);
}

/* Between the jobs of a training step lie up to 400 us, and to sleep there costs two system calls and the start of the next
   job. But a core that spins is one that another program, or the caller when it has lost its own, could use: spinning
   that long always made steps beside one other program a tenth slower, and four threads on two cores a third. There jobs
   come late now and then, so a worker spins for long only after many jobs that did not. */
static void *work(void *arg)
{
    int index = (int)(intptr_t)arg, prompt = 0;
    unsigned seen = ~0u;
    int64_t left = nanoseconds();
    inside_job = true;        /* jobs of jobs run inline */
    while (!atomic_load(&pool.quit)) {
        if (enter_job(&seen, index)) {
            if (nanoseconds() - left >= PATIENT)
                prompt = 0;
            else if (prompt < PROMPT_JOBS)
                prompt++;
            draw_tasks(index + 1);
            leave_job();
            left = nanoseconds();
        } else if (!called_within(prompt < PROMPT_JOBS ? BRIEF : PATIENT, seen, index)) {
            sleep_until_called(seen, index);
        }
    }
    return NULL;
}

/* ---- starting and stopping ---- */

static void forget_workers(void)          /* in a forked child */
{
    pthread_mutex_init(&pool.gate, NULL);
    pool.started = 0;
    atomic_store(&pool.state, 0);
    atomic_store(&pool.sleepers, 0);
    inside_job = false;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_workers);
}

static int default_threads(void)
{
    const char *asked = getenv("TESSERA_THREADS");
    long count = asked ? strtol(asked, NULL, 10) : 0;
    if (count <= 0)
        count = limits_cpus();
    return count > MAX_THREADS ? MAX_THREADS : (int)count;
}

/* Starts what is missing; fewer workers than wanted is no error. The gate is held. */
static void start_workers(void)
{
    if (pool.threads == 0)
        pool.threads = default_threads();
    if (pool.started >= pool.threads - 1)
        return;
    pthread_once(&fork_once, watch_forks);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (pool.started < pool.threads - 1) {
        if (pthread_create(&pool.worker[pool.started], NULL, work, (void *)(intptr_t)pool.started) != 0)
            break;
        pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

__attribute__((destructor)) static void stop_workers(void)
{
    if (pool.started == 0)
        return;
    atomic_store(&pool.quit, true);
    atomic_fetch_add(&pool.call, 1);
    futex_wake(&pool.call, MAX_THREADS);
    for (int i = 0; i < pool.started; i++)
        pthread_join(pool.worker[i], NULL);
    pool.started = 0;
}

int pool_threads(void)
{
    if (pool.threads == 0)
        pool.threads = default_threads();
    return pool.threads;
}

void pool_set_threads(int threads)
{
    pthread_mutex_lock(&pool.gate);
    pool.threads = threads <= 0 ? default_threads() : threads > MAX_THREADS ? MAX_THREADS : threads;
    pthread_mutex_unlock(&pool.gate);
}

/* ---- running ---- */

static bool run_inline(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), void *arg)
{
    for (int64_t i = 0; i < tasks; i++) {
        if (ctx && tensor_interrupted(ctx))
            return false;
        fn(arg, i);
    }
    return true;
}

/* Gives each thread its share of the tasks from [first]; one that comes late or never finds it taken by others. */
static void share_out(int64_t first, int64_t tasks)
{
    int threads = pool.threads <= pool.started ? pool.threads : pool.started + 1;
    pool.shares = tasks < threads ? (int)tasks : threads;
    for (int i = 0; i < pool.shares; i++) {
        Share *share = &pool.share[i];
        int64_t before = i * tasks / pool.shares;
        share->first = first + before;
        share->size = (i + 1) * tasks / pool.shares - before;
        atomic_store_explicit(&share->drawn, 0, memory_order_relaxed);
    }
}

static void open_job(void)
{
    atomic_store(&pool.helpers, pool.shares - 1);
    unsigned number = (atomic_load(&pool.state) + NUMBER_ONE) & NUMBER;
    atomic_store(&pool.state, number | OPEN);
    atomic_fetch_add(&pool.call, 1);
    if (atomic_load(&pool.sleepers) > 0)
        futex_wake(&pool.call, MAX_THREADS);
}

static void close_job(void)
{
    unsigned state = atomic_fetch_and(&pool.state, ~OPEN) & ~OPEN;
    for (int spin = 0; state & INSIDE; spin++) {
        if (spin < CALLER_SPINS)
            pause_cpu();
        else
            futex_wait(&pool.state, state);
        state = atomic_load(&pool.state);
    }
}

static bool run_job(int64_t first, int64_t tasks)
{
    share_out(first, tasks);
    atomic_store(&pool.skipped, false);
    open_job();
    inside_job = true;
    draw_tasks(0);
    inside_job = false;
    close_job();
    return !atomic_load(&pool.skipped);
}

bool pool_run(TensorContext *ctx, int64_t tasks, void (*fn)(void *arg, int64_t task), void *arg)
{
    if (tasks <= 1 || inside_job || pool_threads() <= 1 || pthread_mutex_trylock(&pool.gate) != 0)
        return run_inline(ctx, tasks, fn, arg);
    start_workers();
    pool.fn = fn;
    pool.arg = arg;
    pool.ctx = ctx;
    bool whole = true;
    for (int64_t first = 0; whole && first < tasks; first += MOST_TASKS)
        whole = run_job(first, tasks - first < MOST_TASKS ? tasks - first : MOST_TASKS);
    pthread_mutex_unlock(&pool.gate);
    if (!whole && !tensor_interrupted(ctx))    /* the flag was lowered in between: the job is still incomplete */
        error_set(&ctx->error, ERROR_interrupt, "", "stopped on request");
    return whole;
}
