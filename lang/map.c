/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Maps in order of insertion: an array of entries and an open-addressing table of indices into it. A removed entry
   stays as a hole (key UNDEFINED) until the entries are packed. Invariant: the table has an empty slot, and every
   slot that is not empty points to an entry below [used]. */
#include <stdlib.h>
#include <string.h>

#include "heap.h"

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

void map_free(Map *map)
{
    for (int64_t i = 0; i < map->used; i++) {
        value_release(map->entry[i].key);
        value_release(map->entry[i].value);
    }
    free(map->entry);
    free(map->slot);
    heap_delete(map);
}

static bool keys_same(Value a, Value b)
{
    if (a.tag != b.tag)
        return false;
    if (a.tag == TAG_INT)
        return a.i == b.i;
    return value_same(a, b);
}

/* The entry of [key], or -1; *at is its slot, or the slot where it would go. */
static int64_t find(const Map *map, Value key, uint32_t hash, int64_t *at)
{
    if (!map->n_slots)
        return -1;
    uint64_t mask = (uint64_t)map->n_slots - 1, i = hash & mask;
    int64_t hole = -1;
    for (;; i = (i + 1) & mask) {
        int32_t index = map->slot[i];
        if (index < 0) {
            *at = hole >= 0 ? hole : (int64_t)i;
            return -1;
        }
        const MapEntry *entry = &map->entry[index];
        if (entry->key.tag == TAG_UNDEFINED) {
            if (hole < 0)
                hole = (int64_t)i;
        } else if (entry->hash == hash && keys_same(entry->key, key)) {
            *at = (int64_t)i;
            return index;
        }
    }
}

static void place(Map *map, int32_t index)
{
    uint64_t mask = (uint64_t)map->n_slots - 1, i = map->entry[index].hash & mask;
    while (map->slot[i] >= 0)
        i = (i + 1) & mask;
    map->slot[i] = index;
}

/* Packs the entries and makes room for at least one more; at most two thirds of the table are in use. */
static bool reserve(Map *map)
{
    if (map->used < map->room)
        return true;
    int64_t room = map->count < 6 ? 6 : map->count * 2;
    int64_t n_slots = 8;
    if (room >= INT32_MAX)
        return false;
    while (n_slots * 2 < room * 3)
        n_slots *= 2;
    MapEntry *entry = malloc((size_t)room * sizeof *entry);
    int32_t *slot = malloc((size_t)n_slots * sizeof *slot);
    if (!entry || !slot) {
        free(entry);
        free(slot);
        return false;
    }
    int64_t used = 0;
    for (int64_t i = 0; i < map->used; i++)
        if (map->entry[i].key.tag != TAG_UNDEFINED)
            entry[used++] = map->entry[i];
    free(map->entry);
    free(map->slot);
    memset(slot, 0xff, (size_t)n_slots * sizeof *slot);
    *map = (Map){.refs = map->refs, .count = used, .used = used, .room = room, .entry = entry, .slot = slot,
                 .n_slots = n_slots};
    for (int64_t i = 0; i < used; i++)
        place(map, (int32_t)i);
    return true;
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
    if (!reserve(map)) {
        value_release(owned);
        return false;
    }
    if (full)
        find(map, key, hash, &at);
    map->entry[map->used] = (MapEntry){.key = value_retain(key), .value = owned, .hash = hash};
    map->slot[at] = (int32_t)map->used++;
    map->count++;
    return true;
}

/* The entry that holds [key], or -1. */
static int64_t entry_of(const Map *map, Value key)
{
    int64_t at;
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

bool map_get_text(const Map *map, const char *key, Value *out)
{
    size_t length = strlen(key);
    uint32_t hash = text_hash(key, length);
    if (!map->n_slots)
        return false;
    uint64_t mask = (uint64_t)map->n_slots - 1;
    for (uint64_t i = hash & mask; map->slot[i] >= 0; i = (i + 1) & mask) {
        const MapEntry *entry = &map->entry[map->slot[i]];
        if (entry->key.tag == TAG_STRING && entry->hash == hash && entry->key.string->length == length &&
            !memcmp(entry->key.string->text, key, length)) {
            *out = entry->value;
            return true;
        }
    }
    return false;
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
    *slot = copy;
    return copy;
}
