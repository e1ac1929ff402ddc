/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of one machine, each text kept once, so that equal names are equal pointers. They live as long as the machine.
   Invariant: the table has an empty slot. */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

typedef struct Names {
    char **at;                /* open addressing; NULL empty */
    size_t count, room;
} Names;

static size_t hash(const char *text, size_t length)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static char **find(const Names *names, const char *text, size_t length)
{
    size_t mask = names->room - 1, i = hash(text, length) & mask;
    while (names->at[i] && (strncmp(names->at[i], text, length) != 0 || names->at[i][length]))
        i = (i + 1) & mask;
    return &names->at[i];
}

static bool grow(Names *names)
{
    Names wider = {.room = names->room ? names->room * 2 : 256};
    wider.at = calloc(wider.room, sizeof *wider.at);
    if (!wider.at)
        return false;
    for (size_t i = 0; i < names->room; i++)
        if (names->at[i])
            *find(&wider, names->at[i], strlen(names->at[i])) = names->at[i];
    wider.count = names->count;
    free(names->at);
    *names = wider;
    return true;
}

const char *name_intern(Vm *vm, const char *text, size_t length)
{
    if (!vm->names && !(vm->names = calloc(1, sizeof *vm->names)))
        return NULL;
    Names *names = vm->names;
    if (names->count * 2 >= names->room && !grow(names))
        return NULL;
    char **slot = find(names, text, length);
    if (!*slot) {
        char *copy = malloc(length + 1);
        if (!copy)
            return NULL;
        memcpy(copy, text, length);
        copy[length] = 0;
        *slot = copy;
        names->count++;
    }
    return *slot;
}

const char *name_find(const Vm *vm, const char *text)
{
    return vm->names && vm->names->room ? *find(vm->names, text, strlen(text)) : NULL;
}

void names_free(struct Names *names)
{
    if (!names)
        return;
    for (size_t i = 0; i < names->room; i++)
        free(names->at[i]);
    free(names->at);
    free(names);
}
