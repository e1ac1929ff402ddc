/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory of a syntax tree: zeroed pieces out of growing blocks, freed all at once, and the table of interned names.
   A piece never moves. */
#include "ast.h"

#include <stdlib.h>
#include <string.h>

typedef struct Block {
    struct Block *next;
    size_t used, room;
    max_align_t at[];
} Block;

typedef struct Interned { uint32_t hash, length; const char *text; } Interned;

struct Arena {
    Block *blocks;            /* the newest first */
    Interned *names;          /* open addressing; text NULL: empty */
    uint32_t n_names, room;   /* room: a power of two */
};

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 18 };

Arena *arena_new(void)
{
    return calloc(1, sizeof(Arena));
}

void arena_free(Arena *arena)
{
    if (!arena) return;
    for (Block *block = arena->blocks; block;) {
        Block *next = block->next;
        free(block);
        block = next;
    }
    free(arena->names);
    free(arena);
}

static bool add_block(Arena *arena, size_t size)
{
    size_t room = arena->blocks ? arena->blocks->room * 2 : FIRST_BLOCK;
    if (room > LARGEST_BLOCK) room = LARGEST_BLOCK;
    if (room < size) room = size;
    Block *block = calloc(1, sizeof *block + room);
    if (!block) return false;
    block->room = room;
    block->next = arena->blocks;
    arena->blocks = block;
    return true;
}

void *arena_alloc(Arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!arena->blocks || arena->blocks->room - arena->blocks->used < size)
        if (!add_block(arena, size)) return NULL;
    void *piece = (char *)arena->blocks->at + arena->blocks->used;
    arena->blocks->used += size;
    return piece;
}

static bool widen(Arena *arena)
{
    uint32_t room = arena->room ? arena->room * 2 : 64;
    Interned *names = calloc(room, sizeof *names);
    if (!names) return false;
    for (uint32_t i = 0; i < arena->room; i++) {
        if (!arena->names[i].text) continue;
        uint32_t slot = arena->names[i].hash & (room - 1);
        while (names[slot].text) slot = (slot + 1) & (room - 1);
        names[slot] = arena->names[i];
    }
    free(arena->names);
    arena->names = names;
    arena->room = room;
    return true;
}

const char *arena_name(Arena *arena, const char *text, size_t length)
{
    if (arena->n_names * 2 >= arena->room && !widen(arena)) return NULL;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    uint32_t slot = hash & (arena->room - 1);
    for (; arena->names[slot].text; slot = (slot + 1) & (arena->room - 1)) {
        const Interned *known = &arena->names[slot];
        if (known->hash == hash && known->length == length && memcmp(known->text, text, length) == 0)
            return known->text;
    }
    char *copy = arena_alloc(arena, length + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    arena->names[slot] = (Interned){hash, (uint32_t)length, copy};
    arena->n_names++;
    return copy;
}
