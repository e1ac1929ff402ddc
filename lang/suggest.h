/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "Did you mean …": the nearest of the names a caller offers, and hints for words of other languages. */
#ifndef TESSERA_SUGGEST_H
#define TESSERA_SUGGEST_H

#include <stddef.h>

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

/* What somebody who types [word] by habit should write: "write none" for None; NULL when the word means nothing. */
const char *suggest_habit(const char *word, size_t length);

#endif
