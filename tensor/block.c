/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small blocks for tensor heads, tape nodes and the data of small tensors: per-thread free lists, one per multiple of
   64 bytes, so that an op on tiny tensors calls no malloc once it is warm. Larger requests go to malloc.
   Invariant: a block's size is known to who gives it back; blocks are counted as live bytes like storages. Each thread
   counts by itself, since one shared count would cost more than the blocks; sums are over all threads.
   Under AddressSanitizer, and when TESSERA_NO_CACHE is set, nothing is kept, so that tools see every misuse. */
#include <pthread.h>
#include <stdlib.h>

#include "core.h"

#define BLOCK_STEP 64
#define BLOCK_CLASSES 17
#define BLOCK_KEEP 8192       /* blocks kept per class and thread */

typedef struct FreeBlock { struct FreeBlock *next; } FreeBlock;
typedef struct BlockLists {
    FreeBlock *list[BLOCK_CLASSES];
    int kept[BLOCK_CLASSES];
    bool registered;
    _Atomic(int64_t) bytes, tensors;  /* taken less given back here, as far as memory_count does not know it */
    int64_t made;                     /* tensors, ever; the thread's own */
    struct BlockLists *next;          /* of all threads that live */
} BlockLists;

static _Thread_local BlockLists lists;
static BlockLists *all_lists;
static int64_t ended_tensors;         /* of threads that ended */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int keep_limit = BLOCK_KEEP;

/* Only the thread itself writes its counts. */
static void count(_Atomic(int64_t) *mine, int64_t by)
{
    atomic_store_explicit(mine, atomic_load_explicit(mine, memory_order_relaxed) + by, memory_order_relaxed);
}

#define COUNT_APART ((int64_t)64 << 10)   /* bytes that a thread may count before it tells of them */

static void count_bytes(int64_t by)
{
    count(&lists.bytes, by);
    int64_t apart = atomic_load_explicit(&lists.bytes, memory_order_relaxed);
    if (apart < -COUNT_APART || apart > COUNT_APART) {
        memory_count(apart);
        count(&lists.bytes, -apart);
    }
}

void block_counts(int64_t *bytes, int64_t *tensors)
{
    pthread_mutex_lock(&lock);
    *bytes = 0;
    *tensors = ended_tensors;
    for (BlockLists *each = all_lists; each; each = each->next) {
        *bytes += atomic_load_explicit(&each->bytes, memory_order_relaxed);
        *tensors += atomic_load_explicit(&each->tensors, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
}

void block_count_tensor(int by)
{
    count(&lists.tensors, by);
    lists.made += by > 0;
}

int64_t runtime_tensors_made(void)
{
    return lists.made;
}

static void free_lists(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    BlockLists **at = &all_lists;
    while (*at != &lists)
        at = &(*at)->next;
    *at = lists.next;
    memory_count(atomic_load(&lists.bytes));
    ended_tensors += atomic_load(&lists.tensors);
    pthread_mutex_unlock(&lock);
    atomic_store(&lists.bytes, 0);
    atomic_store(&lists.tensors, 0);
    lists.registered = false;          /* what is given back later in this thread's end is counted again */
    for (int i = 0; i < BLOCK_CLASSES; i++)
        while (lists.list[i]) {
            FreeBlock *block = lists.list[i];
            lists.list[i] = block->next;
            free(block);
        }
    for (int i = 0; i < BLOCK_CLASSES; i++)
        lists.kept[i] = BLOCK_KEEP;    /* what is given back later in this thread's end is freed at once */
}

static void make_key(void)
{
    pthread_key_create(&exit_key, free_lists);
    if (!runtime_keeps_memory())
        keep_limit = 0;
}

static void register_thread(void)
{
    pthread_once(&exit_once, make_key);
    lists.registered = true;
    pthread_setspecific(exit_key, &lists);
    pthread_mutex_lock(&lock);
    lists.next = all_lists;
    all_lists = &lists;
    pthread_mutex_unlock(&lock);
}

static size_t class_of(size_t bytes)
{
    return (bytes + BLOCK_STEP - 1) / BLOCK_STEP;
}

void *block_take(size_t bytes)
{
    size_t class = class_of(bytes ? bytes : 1);
    if (class < BLOCK_CLASSES && lists.list[class]) {
        FreeBlock *block = lists.list[class];
        lists.list[class] = block->next;
        lists.kept[class]--;
        count_bytes((int64_t)(class * BLOCK_STEP));
        return block;
    }
    if (!lists.registered)
        register_thread();
    if (class > SIZE_MAX / BLOCK_STEP - 1 || !memory_reserve(class * BLOCK_STEP))
        return NULL;
    void *block = aligned_alloc(BLOCK_STEP, class * BLOCK_STEP);
    if (block)
        count_bytes((int64_t)(class * BLOCK_STEP));
    return block;
}

void block_give(void *block, size_t bytes)
{
    if (!block)
        return;
    size_t class = class_of(bytes ? bytes : 1);
    if (!lists.registered)
        register_thread();
    count_bytes(-(int64_t)(class * BLOCK_STEP));
    if (class >= BLOCK_CLASSES || lists.kept[class] >= keep_limit) {
        free(block);
        return;
    }
    FreeBlock *head = block;
    head->next = lists.list[class];
    lists.list[class] = head;
    lists.kept[class]++;
}
