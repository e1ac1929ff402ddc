/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small blocks for tensor heads, tape nodes and the data of small tensors: per-thread free lists, one per multiple of
   64 bytes, so that an op on tiny tensors calls no malloc once it is warm. Larger requests go to malloc.
   Invariant: a block's size is known to who gives it back; blocks are counted as live bytes like storages.
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
} BlockLists;

static _Thread_local BlockLists lists;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int keep_limit = BLOCK_KEEP;

static void free_lists(void *unused)
{
    (void)unused;
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
        memory_count((int64_t)(class * BLOCK_STEP));
        return block;
    }
    if (!lists.registered)
        register_thread();
    if (class > SIZE_MAX / BLOCK_STEP - 1 || !memory_reserve(class * BLOCK_STEP))
        return NULL;
    void *block = aligned_alloc(BLOCK_STEP, class * BLOCK_STEP);
    if (block)
        memory_count((int64_t)(class * BLOCK_STEP));
    return block;
}

void block_give(void *block, size_t bytes)
{
    if (!block)
        return;
    size_t class = class_of(bytes ? bytes : 1);
    memory_count(-(int64_t)(class * BLOCK_STEP));
    if (!lists.registered)
        register_thread();
    if (class >= BLOCK_CLASSES || lists.kept[class] >= keep_limit) {
        free(block);
        return;
    }
    FreeBlock *head = block;
    head->next = lists.list[class];
    lists.list[class] = head;
    lists.kept[class]++;
}
