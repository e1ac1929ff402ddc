/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the language and the module `regex`, which alone links PCRE2: plain C data on both sides, so that
   the module needs no symbol of ours. Texts are valid UTF-8; places are bytes. */
#ifndef TESSERA_REGEX_H
#define TESSERA_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGEX_WHY 160
#define REGEX_UNSET ((size_t)-1)              /* both ends of a group that took no part */

typedef struct RegexCode RegexCode;

typedef enum RegexResult { REGEX_FOUND, REGEX_NONE, REGEX_LIMIT, REGEX_MEMORY } RegexResult;

typedef struct RegexModule {
    /* NULL: *at and [why] say what is wrong with the pattern. */
    RegexCode *(*compile)(const char *pattern, size_t length, size_t *at, char why[REGEX_WHY]);
    void (*free)(RegexCode *code);
    int (*groups)(const RegexCode *code);                        /* without the whole match */
    const char *(*group_name)(const RegexCode *code, int group); /* from 1; NULL when it has none */
    /* The first match from [start] on, in at most [limit] steps; [again]: one that is not empty and begins at [start].
       *spans: begin and end of the whole match and of each group, valid until the next call. */
    RegexResult (*match)(RegexCode *code, const char *text, size_t length, size_t start, bool again, uint32_t limit,
                         const size_t **spans);
} RegexModule;

extern const RegexModule tessera_module_regex;

#endif
