/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory of values: blocks of up to 512 bytes lie in pages of one size each, larger ones are malloc's. A page whose
   last block comes back goes back to malloc, so that a list of a million tuples leaves nothing behind, and freeing
   them never merges neighbours. Each thread takes from pages of its own and locks nothing; a block that another thread
   gives back waits in a list until the owner is out of blocks. What a thread leaves, the next new one takes over.
   Invariant: a page with a free block is in the list of its class, unless it is marked full.
   Under AddressSanitizer, and when TESSERA_NO_CACHE is set, everything is malloc's, so that tools see every misuse. */
#include "heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE ((size_t)32768)     /* and its alignment: a block's page is found by its address */
#define PAGE_USED (PAGE_SIZE - 64)    /* the rest is room for malloc's own head, so that pages lie side by side */
#define STEP 16
#define LARGEST 512
#define CLASSES (LARGEST / STEP + 1)
#define RUN 4096                      /* bytes of a page that are made into blocks at a time */

typedef struct Block { struct Block *next; } Block;

typedef struct Page {
    struct Heaplet *owner;
    struct Page *next, *before;       /* of the same class, with free blocks */
    Block *free;
    uint32_t size, live, carved;      /* bytes of a block; blocks in use; bytes made into blocks so far */
    bool full;
} Page;
#define PAGE_HEAD 64
_Static_assert(sizeof(Page) <= PAGE_HEAD, "a page's head must fit before its blocks");

/* One thread's part. Parts are never freed, only handed on. */
typedef struct Heaplet {
    Page *page[CLASSES];
    _Atomic(Block *) foreign;         /* given back by other threads */
    _Atomic(int64_t) blocks, bytes;   /* taken less given back here; only the sums over all parts mean something */
    struct Heaplet *next;             /* of all parts */
    bool taken;
} Heaplet;

static _Thread_local Heaplet *mine;
static Heaplet *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool plain;                    /* everything is malloc's */

static void leave(void *part)
{
    pthread_mutex_lock(&lock);
    ((Heaplet *)part)->taken = false;
    mine = NULL;
    pthread_mutex_unlock(&lock);
}

static void begin(void)
{
    plain = !runtime_keeps_memory();
    pthread_key_create(&exit_key, leave);
}

static Heaplet *find_part(void)
{
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    Heaplet *part = all;
    while (part && part->taken)
        part = part->next;
    if (!part && (part = calloc(1, sizeof *part))) {
        part->next = all;
        all = part;
    }
    if (part)
        part->taken = true;
    pthread_mutex_unlock(&lock);
    if (part)
        pthread_setspecific(exit_key, part);
    return mine = part;
}

/* Only this thread writes its counts; others may read them. */
static void count(Heaplet *part, int64_t blocks, int64_t bytes)
{
    atomic_store_explicit(&part->blocks, atomic_load_explicit(&part->blocks, memory_order_relaxed) + blocks,
                          memory_order_relaxed);
    atomic_store_explicit(&part->bytes, atomic_load_explicit(&part->bytes, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

int64_t heap_live_blocks(void)
{
    int64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (Heaplet *part = all; part; part = part->next)
        sum += atomic_load(&part->blocks);
    pthread_mutex_unlock(&lock);
    return sum;
}

int64_t heap_live_bytes(void)
{
    int64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (Heaplet *part = all; part; part = part->next)
        sum += atomic_load(&part->bytes);
    pthread_mutex_unlock(&lock);
    return sum;
}

/* ---- pages ---- */

static void link_page(Heaplet *part, Page *page)
{
    Page **first = &part->page[page->size / STEP];
    page->full = false;
    page->before = NULL;
    page->next = *first;
    if (page->next)
        page->next->before = page;
    *first = page;
}

static void unlink_page(Heaplet *part, Page *page)
{
    if (page->before)
        page->before->next = page->next;
    else
        part->page[page->size / STEP] = page->next;
    if (page->next)
        page->next->before = page->before;
}

/* The first page of its class stays, so that a loop which makes and drops one value asks malloc for nothing. */
static void give_to_page(Heaplet *part, Page *page, Block *block)
{
    block->next = page->free;
    page->free = block;
    page->live--;
    if (page->full) {
        link_page(part, page);
    } else if (!page->live && page->before) {
        unlink_page(part, page);
        free(page);
    }
}

static Page *page_of(void *block)
{
    return (Page *)((uintptr_t)block & ~(uintptr_t)(PAGE_SIZE - 1));
}

/* Makes the next bytes of the page into blocks; false when it has no more. */
static bool carve(Page *page)
{
    size_t end = page->carved + RUN < PAGE_USED ? page->carved + RUN : PAGE_USED;
    if (page->carved + page->size > end)
        return false;
    Block **last = &page->free;
    for (; page->carved + page->size <= end; page->carved += page->size) {
        *last = (Block *)(void *)((char *)page + page->carved);
        last = &(*last)->next;
    }
    *last = NULL;
    return true;
}

/* A page of the class with a free block. */
static Page *find_page(Heaplet *part, size_t class)
{
    Block *block = atomic_exchange_explicit(&part->foreign, NULL, memory_order_acquire);
    while (block) {
        Block *next = block->next;
        give_to_page(part, page_of(block), block);
        block = next;
    }
    for (Page *page = part->page[class]; page; page = part->page[class]) {
        if (page->free || carve(page))
            return page;
        unlink_page(part, page);
        page->full = true;
    }
    void *memory;
    if (posix_memalign(&memory, PAGE_SIZE, PAGE_USED) != 0)
        return NULL;
    Page *page = memory;
    *page = (Page){.owner = part, .size = (uint32_t)(class * STEP), .carved = PAGE_HEAD};
    link_page(part, page);
    carve(page);
    return page;
}

/* ---- blocks ---- */

void *heap_take(size_t size)
{
    Heaplet *part = mine ? mine : find_part();
    if (!part)
        return NULL;
    size_t class = (size + STEP - 1) / STEP;
    if (size > LARGEST || plain) {
        void *block = malloc(size);
        if (block)
            count(part, 1, (int64_t)size);
        return block;
    }
    Page *page = part->page[class];
    if ((!page || !page->free) && !(page = find_page(part, class)))
        return NULL;
    Block *block = page->free;
    page->free = block->next;
    page->live++;
    count(part, 1, (int64_t)size);
    return block;
}

static void give_away(Heaplet *owner, Block *block)
{
    block->next = atomic_load_explicit(&owner->foreign, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&owner->foreign, &block->next, block, memory_order_release,
                                                  memory_order_relaxed)) {}
}

void heap_give(void *block, size_t size)
{
    if (!block)
        return;
    Heaplet *part = mine ? mine : find_part();
    if (part)
        count(part, -1, -(int64_t)size);
    if (size > LARGEST || plain) {
        free(block);
        return;
    }
    Page *page = page_of(block);
    if (page->owner == part)
        give_to_page(part, page, block);
    else
        give_away(page->owner, block);
}

void *heap_resize(void *block, size_t size, size_t wanted)
{
    Heaplet *part = mine ? mine : find_part();
    if (part && block && ((size > LARGEST && wanted > LARGEST) || plain)) {
        void *moved = realloc(block, wanted);
        if (moved)
            count(part, 0, (int64_t)wanted - (int64_t)size);
        return moved;
    }
    void *moved = heap_take(wanted);
    if (!moved)
        return NULL;
    if (block)
        memcpy(moved, block, size < wanted ? size : wanted);
    heap_give(block, size);
    return moved;
}

/* ---- objects ---- */

void *heap_new(size_t size)
{
    Heap *object = heap_take(size);
    if (!object)
        return NULL;
    memset(object, 0, size);
    object->refs = 1;
    return object;
}

void heap_delete(void *object, size_t size)
{
    heap_give(object, size);
}
