/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The caching allocator of tensor data: 64-byte aligned chunks in size classes (sixteen an octave), kept when freed so
   that a steady loop makes no page faults, and counted against a budget, since Linux grants more than it has.
   Small storages are blocks (block.c). Invariant: live + cached <= budget whenever memory is asked of the system;
   the cache gives way before a request is refused. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core.h"

#define HEADER 64                     /* a chunk's head, so that data stays aligned */
#define SMALL_LIMIT (1024 - HEADER)   /* up to here a storage is one block */
#define MAP_LIMIT ((size_t)256 << 10) /* from here chunks are mapped, below they are malloc's */
#define HUGE_LIMIT ((size_t)4 << 20)  /* from here huge pages are asked for */
#define CLASS_COUNT (16 * 48)
#define PAGE ((size_t)4096)

typedef struct Chunk {
    Storage storage;
    struct Chunk *next;               /* while cached */
    size_t capacity;                  /* bytes of data it can hold; 0: a block */
} Chunk;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Chunk *cache[CLASS_COUNT];
static _Atomic(int64_t) live_bytes, peak_bytes, cached_bytes;
static size_t budget_bytes, cache_limit;
static pthread_once_t budget_once = PTHREAD_ONCE_INIT;

/* "6G", "512M", or bytes. */
static size_t parse_bytes(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    double unit = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 1.0;
    return value > 0 && value * unit < 1e18 ? (size_t)(value * unit) : 0;
}

static void find_budget(void)
{
    const char *asked = getenv("TESSERA_MEMORY");
    size_t given = asked ? parse_bytes(asked) : 0;
    if (!given) {
        size_t all = limits_memory(), reserve = all / 16;
        if (reserve > (size_t)1 << 30)
            reserve = (size_t)1 << 30;
        given = all - reserve;
    }
    budget_bytes = given;
    cache_limit = given / 2;
    if (!runtime_keeps_memory())
        cache_limit = 0;
}

#ifdef TESSERA_DEBUG
static _Atomic(int64_t) until_failure;

int64_t memory_fail_at(int64_t n)
{
    return atomic_exchange(&until_failure, n);
}

static bool fails_on_purpose(void)
{
    return atomic_load(&until_failure) > 0 && atomic_fetch_sub(&until_failure, 1) == 1;
}
#else
static bool fails_on_purpose(void)
{
    return false;
}
#endif

void memory_use(MemoryUse *use)
{
    int64_t blocks, tensors;
    block_counts(&blocks, &tensors);
    pthread_once(&budget_once, find_budget);
    *use = (MemoryUse){.budget = budget_bytes, .live = (size_t)(atomic_load(&live_bytes) + blocks),
                       .peak = (size_t)atomic_load(&peak_bytes), .cached = (size_t)atomic_load(&cached_bytes)};
}

void runtime_forget_peak(void)
{
    atomic_store(&peak_bytes, atomic_load(&live_bytes));
}

size_t runtime_live_bytes(void)
{
    int64_t live = atomic_load_explicit(&live_bytes, memory_order_relaxed);
    return live > 0 ? (size_t)live : 0;
}

void memory_count(int64_t bytes)
{
    int64_t now = atomic_fetch_add_explicit(&live_bytes, bytes, memory_order_relaxed) + bytes;
    if (now > atomic_load_explicit(&peak_bytes, memory_order_relaxed))
        atomic_store_explicit(&peak_bytes, now, memory_order_relaxed);
}

/* The class whose chunks all hold [bytes], and the capacity of its chunks. */
static int class_for(size_t bytes, size_t *capacity)
{
    int high = 63 - __builtin_clzll(bytes);
    size_t step = (size_t)1 << (high - 4);
    size_t rounded = (bytes + step - 1) & ~(step - 1);
    high = 63 - __builtin_clzll(rounded);
    *capacity = rounded;
    return 16 * high + (int)((rounded >> (high - 4)) & 15);
}

static size_t mapped_bytes(size_t capacity)
{
    return (capacity + HEADER + PAGE - 1) & ~(PAGE - 1);
}

static void destroy_chunk(Chunk *chunk)
{
    if (chunk->capacity >= MAP_LIMIT)
        munmap(chunk, mapped_bytes(chunk->capacity));
    else
        free(chunk);
}

/* Gives cached chunks back to the system, the biggest first, until [bytes] more fit. The lock is held. */
static void trim(size_t bytes)
{
    for (int i = CLASS_COUNT - 1; i >= 0; i--)
        while (cache[i]) {
            int64_t held = atomic_load(&live_bytes) + atomic_load(&cached_bytes);
            if (held >= 0 && (size_t)held + bytes <= budget_bytes)
                return;
            Chunk *chunk = cache[i];
            cache[i] = chunk->next;
            atomic_fetch_sub(&cached_bytes, (int64_t)chunk->capacity);
            destroy_chunk(chunk);
        }
}

/* As memory_reserve, with the lock held. */
static bool reserve_locked(size_t bytes)
{
    if (bytes > budget_bytes)
        return false;
    int64_t live = atomic_load(&live_bytes);
    if ((size_t)(live + atomic_load(&cached_bytes)) + bytes <= budget_bytes)
        return true;
    if ((size_t)live + bytes > budget_bytes)
        return false;
    trim(bytes);
    return true;
}

bool memory_reserve(size_t bytes)
{
    pthread_once(&budget_once, find_budget);
    if (fails_on_purpose())
        return false;
    int64_t held = atomic_load_explicit(&live_bytes, memory_order_relaxed) +
                   atomic_load_explicit(&cached_bytes, memory_order_relaxed);
    if (bytes <= budget_bytes && (size_t)held + bytes <= budget_bytes)
        return true;
    pthread_mutex_lock(&lock);
    bool fits = reserve_locked(bytes);
    pthread_mutex_unlock(&lock);
    return fits;
}

static Chunk *make_chunk(size_t capacity)
{
    if (capacity < MAP_LIMIT)
        return aligned_alloc(HEADER, (capacity + HEADER + HEADER - 1) & ~(size_t)(HEADER - 1));
    size_t bytes = mapped_bytes(capacity);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_LIMIT)
        madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

/* A cached chunk of the class, or else of up to twice its size: what lies idle in a chunk costs less than another chunk
   beside those of sizes that are not needed now. The lock is held. */
static Chunk *find_cached(int class)
{
    for (int i = class; i <= class + 16 && i < CLASS_COUNT; i++)
        if (cache[i]) {
            Chunk *chunk = cache[i];
            cache[i] = chunk->next;
            atomic_fetch_sub(&cached_bytes, (int64_t)chunk->capacity);
            return chunk;
        }
    return NULL;
}

/* "1.5 GB": what people can compare; nothing finer than MB. */
static void format_bytes(size_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1048576;
    int unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(text, size, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void refuse(Error *error, size_t bytes)
{
    char asked[32], live[32], budget[32];
    MemoryUse use;
    memory_use(&use);
    format_bytes(bytes, asked, sizeof asked);
    format_bytes(use.live, live, sizeof live);
    format_bytes(use.budget, budget, sizeof budget);
    error_set(error, ERROR_memory, "", "%s asked for, %s in use of a budget of %s", asked, live, budget);
}

static Storage *small_storage(Error *error, size_t bytes)
{
    Chunk *chunk = block_take(HEADER + bytes);
    if (!chunk) {
        refuse(error, bytes);
        return NULL;
    }
    chunk->capacity = 0;
    chunk->storage = (Storage){.refs = 1, .bytes = bytes, .data = (char *)chunk + HEADER};
    return &chunk->storage;
}

Storage *storage_new(Error *error, size_t bytes)
{
    _Static_assert(sizeof(Chunk) <= HEADER, "a chunk's head must fit before its data");
    if (bytes <= SMALL_LIMIT)
        return small_storage(error, bytes);
    pthread_once(&budget_once, find_budget);
    if (bytes > SIZE_MAX / 4 || fails_on_purpose()) {
        refuse(error, bytes);
        return NULL;
    }
    size_t capacity;
    int class = class_for(bytes, &capacity);
    pthread_mutex_lock(&lock);
    Chunk *chunk = find_cached(class);
    if (!chunk && bytes >= MAP_LIMIT && !reserve_locked(capacity))
        capacity = (bytes + PAGE - 1) & ~(PAGE - 1);      /* near the budget: no more than asked, and not kept later */
    if (!chunk && reserve_locked(capacity)) {
        chunk = make_chunk(capacity);
        if (!chunk) {         /* the system disagrees with the count: give it what is cached and ask again */
            trim(budget_bytes);
            chunk = make_chunk(capacity);
        }
        if (chunk)
            chunk->capacity = capacity;
    }
    if (chunk)
        memory_count((int64_t)chunk->capacity);
    pthread_mutex_unlock(&lock);
    if (!chunk) {
        refuse(error, bytes);
        return NULL;
    }
    chunk->storage = (Storage){.refs = 1, .bytes = bytes, .data = (char *)chunk + HEADER};
    return &chunk->storage;
}

static void keep_chunk(Chunk *chunk)
{
    size_t capacity;
    int class = class_for(chunk->capacity, &capacity);
    pthread_mutex_lock(&lock);
    memory_count(-(int64_t)chunk->capacity);
    bool keep = capacity == chunk->capacity && (size_t)atomic_load(&cached_bytes) + capacity <= cache_limit;
    if (keep) {
        chunk->next = cache[class];
        cache[class] = chunk;
        atomic_fetch_add(&cached_bytes, (int64_t)capacity);
    }
    pthread_mutex_unlock(&lock);
    if (!keep)
        destroy_chunk(chunk);
}

void storage_release(Storage *storage)
{
    if (!storage || --storage->refs > 0)
        return;
    if (storage->release) {
        storage->release(storage);
        return;
    }
    Chunk *chunk = (Chunk *)storage;
    if (chunk->capacity == 0)
        block_give(chunk, HEADER + storage->bytes);
    else
        keep_chunk(chunk);
}

void *scratch_take(Error *error, size_t bytes)
{
    Storage *storage = storage_new(error, bytes);
    return storage ? storage->data : NULL;
}

void scratch_release(void *buffer)
{
    if (buffer)
        storage_release((Storage *)(void *)((char *)buffer - HEADER));
}
