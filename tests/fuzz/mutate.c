/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes programs by whole words and lines, so that more of them still parse than when bytes change: words are dropped,
   copied, swapped, and taken from the language's tables. One change in four is libFuzzer's own. */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { CUTS_MAX = 4096 };

typedef struct Range { size_t from, to; } Range;

static uint64_t state;

static size_t draw(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return n ? (size_t)(state >> 33) % n : 0;
}

static bool is_word(uint8_t c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* Where words, strings, runs of blanks and single symbols begin. */
static size_t cut(const uint8_t *data, size_t size, size_t *cuts)
{
    size_t count = 0;
    for (size_t at = 0; at < size && count < CUTS_MAX - 1;) {
        cuts[count++] = at;
        uint8_t c = data[at++];
        if (is_word(c)) while (at < size && is_word(data[at])) at++;
        else if (c == ' ') while (at < size && data[at] == ' ') at++;
        else if (c == '"' || c == '\'') while (at < size && data[at - 1] != '\n' && data[at++] != c) continue;
    }
    cuts[count] = size;
    return count;
}

/* Some words next to each other, or with [lines] whole lines. */
static Range pick(const uint8_t *data, size_t size, const size_t *cuts, size_t count, bool lines)
{
    size_t first = draw(count), last = first + 1 + draw(draw(4) ? 2 : 12);
    Range range = {cuts[first], cuts[last < count ? last : count]};
    while (lines && range.from > 0 && data[range.from - 1] != '\n') range.from--;
    while (lines && range.to < size && data[range.to - 1] != '\n') range.to++;
    return range;
}

/* [data] with [range] replaced by [length] bytes of [text], where that fits. */
static size_t replace(uint8_t *data, size_t size, size_t max_size, Range range, const void *text, size_t length)
{
    size_t rest = size - range.to, made = range.from + length + rest;
    if (made > max_size) return size;
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy) return size;
    memcpy(copy, text, length);
    memmove(data + range.from + length, data + range.to, rest);
    memcpy(data + range.from, copy, length);
    free(copy);
    return made;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static size_t cuts[CUTS_MAX];
    state = seed;
    size_t count = cut(data, size, cuts);
    if (count < 2 || draw(4) == 0) return LLVMFuzzerMutate(data, size, max_size);
    bool lines = draw(4) == 0;
    const char *word = words[draw(N_WORDS)];
    Range range = pick(data, size, cuts, count, lines), other = pick(data, size, cuts, count, lines);
    Range before = {range.from, range.from};
    switch (draw(5)) {
    case 0: return replace(data, size, max_size, range, "", 0);
    case 1: return replace(data, size, max_size, range, data + other.from, other.to - other.from);
    case 2: return replace(data, size, max_size, before, data + other.from, other.to - other.from);
    case 3: return replace(data, size, max_size, range, word, strlen(word));
    default: return replace(data, size, max_size, before, word, strlen(word));
    }
}
