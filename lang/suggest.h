/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "Did you mean …": the nearest of the names a caller offers, and hints for words of other languages. */
#ifndef TESSERA_SUGGEST_H
#define TESSERA_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "../tensor/error.h"

typedef struct Suggest {
    const char *wanted;
    size_t length;
    int limit;                /* distances above it are no help */
    int distance;             /* of [best] */
    const char *best;         /* NULL: nothing near */
} Suggest;

/* Offer every known name between start and reading [best]; names must live as long as [best] is used. */
void suggest_start(Suggest *suggest, const char *wanted);
void suggest_offer(Suggest *suggest, const char *name);

/* Gives [error] its hint: what habits.def and peers.def say of the wanted name, else the best one offered. False: nothing known. */
bool suggest_hint(const Suggest *suggest, Error *error);

/* What to write instead of a word of another language's syntax: "write none" for None; NULL when it is none. */
const char *suggest_word(const char *word, size_t length);

/* What habits.def or peers.def say of a name of another language or library; NULL: nothing. */
const char *suggest_name(const char *name);

/* Writes where a name is found here ("relu", "nn.Linear") into [full]; false when nowhere. */
typedef bool SuggestKnown(const char *name, char *full, size_t size);

/* For a text such as `torch.nn.functional.relu(x)` whose root belongs to another library: the hint for its last name. */
bool suggest_path(const char *text, size_t left, SuggestKnown *known, Error *error);

#endif
