/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nearest names by edit distance with swaps, ignoring case, and the table of other languages' words. It knows no scope:
   callers offer the names that would have been possible. */
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

static const struct { const char *word, *hint; } habits[] = {
    {"def", "a function is: fn name(x) { … }"},
    {"function", "a function is: fn name(x) { … }"},
    {"func", "a function is: fn name(x) { … }"},
    {"lambda", "a lambda is: x -> …"},
    {"None", "write none"},
    {"null", "write none"},
    {"nil", "write none"},
    {"NULL", "write none"},
    {"undefined", "write none"},
    {"True", "write true"},
    {"False", "write false"},
    {"elif", "write else if"},
    {"elseif", "write else if"},
    {"elsif", "write else if"},
    {"end", "blocks end with }"},
    {"pass", "an empty block is { }"},
    {"then", "a block is { … }: if condition { … } else { … }"},
    {"do", "a block is { … }: while condition { … }"},
    {"class", "models are declared by: model Name(x) { … }"},
    {"struct", "models are declared by: model Name(x) { … }; plain data is a map {a: 1}"},
    {"import", "standard modules (nn, data …) need no import; a file is loaded by: use \"./file.tsr\" as name"},
    {"from", "standard modules (nn, data …) need no import; a file is loaded by: use \"./file.tsr\" as name"},
    {"require", "standard modules (nn, data …) need no import; a file is loaded by: use \"./file.tsr\" as name"},
    {"include", "standard modules (nn, data …) need no import; a file is loaded by: use \"./file.tsr\" as name"},
    {"let", "a variable is made by assigning: name = value"},
    {"var", "a variable is made by assigning: name = value"},
    {"const", "a variable is made by assigning: name = value"},
    {"local", "a variable is made by assigning: name = value"},
    {"global", "module variables are read everywhere; a function gives its result by its value"},
    {"nonlocal", "a lambda copies the variables that it mentions; it gives its result by its value"},
    {"except", "errors are caught by: try { … } catch e { … }"},
    {"raise", "write throw"},
    {"with", "there is no with; no_grad is not needed either: gradients are recorded only where they are asked for"},
    {"yield", "there are no generators; return a list"},
    {"async", "there is no async"},
    {"await", "there is no await"},
    {"del", "variables need no deleting; remove(map, key) takes a key out"},
    {"is", "compare with ==, or same(a, b) for whole tensors and lists"},
    {"switch", "write if … else if … else"},
    {"match", "write if … else if … else"},
    {"foreach", "write for x in xs { … }"},
    {"torch", "ops are functions here: zeros(2, 3), softmax(x, -1); layers are in nn"},
    {"np", "ops are functions here: zeros(2, 3), sum(x, 0)"},
    {"numpy", "ops are functions here: zeros(2, 3), sum(x, 0)"},
    {"tf", "ops are functions here: zeros(2, 3), softmax(x, -1); layers are in nn"},
    {"F", "ops are functions here: softmax(x, -1), relu(x); losses are in nn"},
    {"no_grad", "gradients are recorded only inside opt.step(f), grad and value_and_grad: nothing to switch off"},
};

const char *suggest_habit(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if (strlen(habits[i].word) == length && memcmp(habits[i].word, word, length) == 0) return habits[i].hint;
    return NULL;
}
