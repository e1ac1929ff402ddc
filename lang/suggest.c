/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nearest names by edit distance with swaps, ignoring case, and the tables of other languages' words (habits.def) and
   libraries' names (peers.def). It knows no scope: callers offer the names that would have been possible. */
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

/* Rows of habits.def have one word, rows of peers.def several with blanks between them, `*` standing for anything. */
static const struct { const char *text, *hint; bool syntax, peers; } habits[] = {
#define WORD(text, hint) {text, hint, true, false},
#define NAME(text, hint) {text, hint, false, false},
#define PEERS(texts, hint) {texts, hint, false, true},
#include "habits.def"
#include "peers.def"
#undef WORD
#undef NAME
#undef PEERS
};

static bool equal(const char *a, size_t n, const char *b, size_t m)
{
    return n == m && memcmp(a, b, n) == 0;
}

/* Whether the word is the pattern, which may begin or end in `*`. */
static bool fits(const char *pattern, size_t length, const char *word, size_t n)
{
    bool front = length > 0 && *pattern == '*', back = length > 1 && pattern[length - 1] == '*';
    const char *core = pattern + front;
    size_t size = length - front - back;
    if (size > n) return false;
    if (!front) return back ? memcmp(core, word, size) == 0 : equal(core, size, word, n);
    if (!back) return memcmp(core, word + n - size, size) == 0;
    for (size_t i = 0; i + size <= n; i++)
        if (memcmp(core, word + i, size) == 0) return true;
    return false;
}

static bool listed(const char *patterns, const char *word, size_t n)
{
    for (const char *at = patterns; *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (fits(at, length, word, n)) return true;
        at += length;
    }
    return false;
}

static const char *find_habit(const char *word, size_t length, bool names)
{
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
        if (!names && !habits[i].syntax) continue;
        if (habits[i].peers ? listed(habits[i].text, word, length)
                            : equal(habits[i].text, strlen(habits[i].text), word, length))
            return habits[i].hint;
    }
    return NULL;
}

const char *suggest_word(const char *word, size_t length)
{
    return find_habit(word, length, false);
}

const char *suggest_name(const char *name)
{
    return find_habit(name, strlen(name), true);
}

/* PyTorch's x.relu_() changes x. */
static bool hint_in_place(const Suggest *suggest, Error *error)
{
    size_t plain = suggest->length - 1;
    if (suggest->length < 3 || suggest->wanted[plain] != '_') return false;
    const char *habit = find_habit(suggest->wanted, plain, true);
    bool same = suggest->best && equal(suggest->best, strlen(suggest->best), suggest->wanted, plain);
    if (same) error_hint(error, "nothing changes in place: write x = x.%s(…)", suggest->best);
    else if (habit) error_hint(error, "nothing changes in place; without the _: %s", habit);
    return same || habit;
}

bool suggest_hint(const Suggest *suggest, Error *error)
{
    const char *habit = find_habit(suggest->wanted, suggest->length, true);
    if (habit) error_hint(error, "%s", habit);
    else if (hint_in_place(suggest, error)) return true;
    else if (suggest->best) error_hint(error, "did you mean %s?", suggest->best);
    return habit || suggest->best;
}

/* ---- torch.nn.functional.relu ---- */

static bool is_part(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

bool suggest_path(const char *text, size_t left, SuggestKnown *known, Error *error)
{
    static const char roots[] = "torch np numpy F jnp jax tf math scipy functional";
    char path[128], full[96];
    size_t length = 0;
    while (length < left && length < sizeof path - 1 && is_part(text[length])) length++;
    memcpy(path, text, length);
    path[length] = '\0';
    char *last = strrchr(path, '.');
    if (!last || !last[1]) return false;
    if (!listed(roots, path, strcspn(path, ".")) && !strstr(path, ".functional.")) return false;
    last++;
    bool here = known(last, full, sizeof full);
    const char *habit = here ? NULL : suggest_name(last);
    if (here || habit) error->hint[0] = '\0';            /* of the root, which says less */
    if (here) error_hint(error, "here it is %s", full);
    else if (habit) error_hint(error, "%s: %s", last, habit);
    return here || habit;
}
