/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nearest names by edit distance with swaps, ignoring case, and the table of other languages' words (habits.def). It
   knows no scope: callers offer the names that would have been possible. */
#include "suggest.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 63 };        /* longer names are compared no more */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b. */
static int edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][LONGEST + 1];
    int *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++) last[j] = before[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        int ca = tolower((unsigned char)a[i - 1]);
        for (size_t j = 1; j <= m; j++) {
            int cb = tolower((unsigned char)b[j - 1]);
            int best = smaller(smaller(row[j - 1], last[j]) + 1, last[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]))
                best = smaller(best, before[j - 2] + 1);
            row[j] = best;
        }
        int *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

void suggest_start(Suggest *suggest, const char *wanted)
{
    size_t length = strlen(wanted);
    *suggest = (Suggest){.wanted = wanted, .length = length, .limit = (int)(length + 1) / 3};
    if (suggest->limit > 3) suggest->limit = 3;
    suggest->distance = suggest->limit + 2;
}

void suggest_offer(Suggest *suggest, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > LONGEST || suggest->length > LONGEST) return;
    size_t shorter = length < suggest->length ? length : suggest->length;
    size_t longer = length + suggest->length - shorter;
    int distance = suggest->limit + 2;
    if ((int)(longer - shorter) <= suggest->limit)
        distance = edit_distance(suggest->wanted, suggest->length, name, length);
    if (distance > suggest->limit) {                     /* cross_entropy_loss: one starts with the other */
        if (shorter < 4 || shorter * 2 < longer || memcmp(name, suggest->wanted, shorter) != 0) return;
        distance = suggest->limit + 1;
    }
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = name;
    }
}

static const struct { const char *text, *hint; bool syntax; } habits[] = {
#define WORD(text, hint) {text, hint, true},
#define NAME(text, hint) {text, hint, false},
#include "habits.def"
#undef WORD
#undef NAME
};

static const char *find_habit(const char *word, size_t length, bool names)
{
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if ((names || habits[i].syntax) && strlen(habits[i].text) == length
            && memcmp(habits[i].text, word, length) == 0)
            return habits[i].hint;
    return NULL;
}

const char *suggest_word(const char *word, size_t length)
{
    return find_habit(word, length, false);
}

bool suggest_hint(const Suggest *suggest, Error *error)
{
    const char *habit = find_habit(suggest->wanted, suggest->length, true);
    if (habit) error_hint(error, "%s", habit);
    else if (suggest->best) error_hint(error, "did you mean %s?", suggest->best);
    return habit || suggest->best;
}
