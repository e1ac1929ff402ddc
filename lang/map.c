/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Maps and sets in order of insertion: an array of entries and, beyond a few, an open-addressing table of indices into
   it. A removed entry stays as a hole (key UNDEFINED) until the entries are packed. Invariant: the table has an empty
   slot, and every slot that is not empty points to an entry below [used]. */
#include <string.h>

#include "heap.h"

#define SEARCHED_MOST 8       /* up to so many entries are searched in order */

Value map_key(Value key)
{
    if (key.tag != TAG_SCALAR)
        return key;
    return key.dtype == DTYPE_bool ? value_bool(key.i != 0) : value_int(key.i);
}

Value map_new(void)
{
    Map *map = heap_new(sizeof *map);
    return map ? (Value){.tag = TAG_MAP, .map = map} : VALUE_UNDEFINED;
}

Value set_new(void)
{
    Value set = map_new();
    if (set.tag == TAG_MAP)
        set.tag = TAG_SET;
    return set;
}

/* Entries and table are one block. */
static size_t block_size(int64_t room, int64_t n_slots)
{
    return (size_t)room * sizeof(MapEntry) + (size_t)n_slots * sizeof(int32_t);
}

void map_free(Map *map)
{
    for (int64_t i = 0; i < map->used; i++) {
        value_release(map->entry[i].key);
        value_release(map->entry[i].value);
    }
    heap_give(map->entry, block_size(map->room, map->n_slots));
    heap_delete(map, sizeof *map);
}

static inline bool is_entry(const MapEntry *entry, Value key, uint32_t hash)
{
    if (entry->key.tag != key.tag || entry->hash != hash)
        return false;
    if (entry->key.i == key.i)
        return true;
    if (key.tag == TAG_STRING)
        return entry->key.string->length == key.string->length &&
               !memcmp(entry->key.string->text, key.string->text, key.string->length);
    return key.tag != TAG_INT && value_same(entry->key, key);
}

/* The entry of [key], or -1; *at is its slot, or the slot where it would go. */
static int64_t find(const Map *map, Value key, uint32_t hash, int64_t *at)
{
    if (!map->n_slots) {
        for (int64_t i = 0; i < map->used; i++)
            if (is_entry(&map->entry[i], key, hash))
                return i;
        return -1;
    }
    uint64_t mask = (uint64_t)map->n_slots - 1, i = hash & mask;
    int64_t hole = -1;
    for (;; i = (i + 1) & mask) {
        int32_t index = map->slot[i];
        if (index < 0) {
            *at = hole >= 0 ? hole : (int64_t)i;
            return -1;
        }
        if (is_entry(&map->entry[index], key, hash)) {
            *at = (int64_t)i;
            return index;
        }
        if (hole < 0 && map->entry[index].key.tag == TAG_UNDEFINED)
            hole = (int64_t)i;
    }
}

static void place(Map *map, int32_t index)
{
    uint64_t mask = (uint64_t)map->n_slots - 1, i = map->entry[index].hash & mask;
    while (map->slot[i] >= 0)
        i = (i + 1) & mask;
    map->slot[i] = index;
}

/* Packs the entries into a new block for [room] of them; at most two thirds of the table are in use. */
static bool resize(Map *map, int64_t room)
{
    int64_t n_slots = room > SEARCHED_MOST ? 8 : 0, used = 0;
    if (room >= INT32_MAX)
        return false;
    while (n_slots && n_slots * 2 < room * 3)
        n_slots *= 2;
    MapEntry *entry = heap_take(block_size(room, n_slots));
    if (!entry)
        return false;
    for (int64_t i = 0; i < map->used; i++)
        if (map->entry[i].key.tag != TAG_UNDEFINED)
            entry[used++] = map->entry[i];
    heap_give(map->entry, block_size(map->room, map->n_slots));
    *map = (Map){.refs = map->refs, .count = used, .used = used, .room = room, .entry = entry, .n_slots = n_slots,
                 .slot = (int32_t *)(void *)(entry + room)};
    memset(map->slot, 0xff, (size_t)n_slots * sizeof *map->slot);
    for (int64_t i = 0; n_slots && i < used; i++)
        place(map, (int32_t)i);
    return true;
}

bool map_reserve(Map *map, int64_t more)
{
    int64_t wanted = map->count + more;
    if (map->used + more <= map->room)
        return true;
    if (map->room && wanted < map->count * 2)
        wanted = map->count * 2;
    return resize(map, map->room && wanted < 4 ? 4 : wanted);
}

bool map_set_take(Map *map, Value key, Value owned)
{
    int64_t at = 0;
    key = map_key(key);
    if (!value_hashable(key)) {
        value_release(owned);
        return false;
    }
    uint32_t hash = value_hash(key);
    int64_t index = find(map, key, hash, &at);
    if (index >= 0) {
        value_set(&map->entry[index].value, owned);
        return true;
    }
    bool full = map->used == map->room;
    if (full && !map_reserve(map, map->room ? 1 : 4)) {
        value_release(owned);
        return false;
    }
    if (full)
        find(map, key, hash, &at);
    map->entry[map->used] = (MapEntry){.key = value_retain(key), .value = owned, .hash = hash};
    if (map->n_slots)
        map->slot[at] = (int32_t)map->used;
    map->used++;
    map->count++;
    return true;
}

/* The entry that holds [key], or -1. */
static int64_t entry_of(const Map *map, Value key)
{
    int64_t at;
    if (key.tag == TAG_INT || key.tag == TAG_STRING)
        return map->count ? find(map, key, value_hash(key), &at) : -1;
    key = map_key(key);
    return map->count && value_hashable(key) ? find(map, key, value_hash(key), &at) : -1;
}

bool map_get(const Map *map, Value key, Value *out)
{
    int64_t index = entry_of(map, key);
    if (index < 0)
        return false;
    *out = map->entry[index].value;
    return true;
}

static bool is_text_entry(const MapEntry *entry, const char *key, size_t length, uint32_t hash)
{
    return entry->hash == hash && entry->key.tag == TAG_STRING && entry->key.string->length == length &&
           !memcmp(entry->key.string->text, key, length);
}

bool map_get_text(const Map *map, const char *key, Value *out)
{
    size_t length = strlen(key);
    uint32_t hash = text_hash(key, length);
    const MapEntry *found = NULL;
    uint64_t mask = (uint64_t)map->n_slots - 1, i = hash & mask;
    if (!map->n_slots)
        for (int64_t n = 0; n < map->used && !found; n++)
            found = is_text_entry(&map->entry[n], key, length, hash) ? &map->entry[n] : NULL;
    for (; map->n_slots && !found && map->slot[i] >= 0; i = (i + 1) & mask)
        if (is_text_entry(&map->entry[map->slot[i]], key, length, hash))
            found = &map->entry[map->slot[i]];
    if (found)
        *out = found->value;
    return found != NULL;
}

Value *map_slot(Map *map, Value key)
{
    int64_t index = entry_of(map, key);
    return index < 0 ? NULL : &map->entry[index].value;
}

bool map_remove(Map *map, Value key)
{
    int64_t index = entry_of(map, key);
    if (index < 0)
        return false;
    MapEntry old = map->entry[index];
    map->entry[index].key = map->entry[index].value = VALUE_UNDEFINED;
    map->count--;
    value_release(old.key);
    value_release(old.value);
    return true;
}

Value map_own(Value *slot)
{
    if (slot->map->refs == 1)
        return *slot;
    Map *shared = slot->map;
    Value copy = map_new();
    if (copy.tag == TAG_UNDEFINED)
        return copy;
    for (int64_t i = 0; i < shared->used; i++) {
        const MapEntry *entry = &shared->entry[i];
        if (entry->key.tag != TAG_UNDEFINED && !map_set_take(copy.map, entry->key, value_retain(entry->value))) {
            value_release(copy);
            return VALUE_UNDEFINED;
        }
    }
    shared->refs--;
    slot->map = copy.map;
    return *slot;
}
