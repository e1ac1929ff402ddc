/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The difference of two texts that differ in blanks alone. No search is needed: lines of both belong together where
   equally many characters that are not blank lie behind them. */
#include "diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 3 };

typedef struct Place { const char *at; int line; } Place;

typedef struct Step {         /* an equal line of both, or lines that stand for each other */
    Place old, new;           /* where it begins; it ends where the next one begins */
    bool equal;
} Step;

typedef struct Diff {
    const char *old_end, *new_end;
    Step *step;               /* the last one is empty, at the ends */
    int count, room;
    DiffWrite *write;
    void *to;
} Diff;

static size_t line_length(const char *at, const char *end)
{
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return (size_t)((stop ? stop + 1 : end) - at);
}

/* Goes past a line: how many of its characters are not blank. */
static size_t take_line(Place *place, const char *end)
{
    size_t length = line_length(place->at, end), count = 0;
    for (size_t i = 0; i < length; i++) count += place->at[i] == 0 || !strchr(" \t\r\n", place->at[i]);
    place->at += length;
    place->line++;
    return count;
}

static bool is_blank(Place place, const char *end)
{
    return place.at < end && take_line(&place, end) == 0;
}

/* Goes past the next lines that stand for each other. */
static bool take_step(const Diff *diff, Place *old, Place *new)
{
    size_t length = line_length(old->at, diff->old_end);
    bool equal = length == line_length(new->at, diff->new_end) && memcmp(old->at, new->at, length) == 0;
    bool blank_old = is_blank(*old, diff->old_end), blank_new = is_blank(*new, diff->new_end);
    if (!equal && blank_old != blank_new) {
        if (blank_old) take_line(old, diff->old_end);
        else take_line(new, diff->new_end);
        return false;
    }
    size_t count_old = take_line(old, diff->old_end), count_new = take_line(new, diff->new_end);
    while (count_old != count_new && (old->at < diff->old_end || new->at < diff->new_end)) {
        if (new->at >= diff->new_end || (count_old < count_new && old->at < diff->old_end))
            count_old += take_line(old, diff->old_end);
        else count_new += take_line(new, diff->new_end);
    }
    return equal;
}

static Step *add_step(Diff *diff, Place old, Place new)
{
    if (diff->count == diff->room) {
        int room = diff->room ? diff->room * 2 : 256;
        Step *wider = diff->room < 1 << 26 ? realloc(diff->step, (size_t)room * sizeof *wider) : NULL;
        if (!wider) return NULL;
        diff->step = wider;
        diff->room = room;
    }
    Step *step = &diff->step[diff->count++];
    *step = (Step){old, new, true};
    return step;
}

static bool find_steps(Diff *diff, Place old, Place new)
{
    while (old.at < diff->old_end || new.at < diff->new_end) {
        Step *step = add_step(diff, old, new);
        if (!step) return false;
        step->equal = take_step(diff, &old, &new);
    }
    return add_step(diff, old, new) != NULL;
}

static void write_lines(const Diff *diff, char mark, const char *at, const char *end)
{
    static const char unended[] = "\n\\ No newline at end of file\n";
    for (size_t length; at < end; at += length) {
        length = line_length(at, end);
        diff->write(diff->to, &mark, 1);
        diff->write(diff->to, at, length);
        if (at[length - 1] != '\n') diff->write(diff->to, unended, sizeof unended - 1);
    }
}

static void write_hunk(const Diff *diff, int from, int to)
{
    char head[80];
    const Step *first = &diff->step[from], *last = &diff->step[to];
    int old_lines = last->old.line - first->old.line, new_lines = last->new.line - first->new.line;
    int length = snprintf(head, sizeof head, "@@ -%d,%d +%d,%d @@\n", first->old.line + (old_lines > 0), old_lines,
                          first->new.line + (new_lines > 0), new_lines);
    diff->write(diff->to, head, (size_t)length);
    for (const Step *step = first, *next; step < last; step = next) {
        for (next = step + 1; next < last && next->equal == step->equal;) next++;
        write_lines(diff, step->equal ? ' ' : '-', step->old.at, next->old.at);
        if (!step->equal) write_lines(diff, '+', step->new.at, next->new.at);
    }
}

static void write_hunks(const Diff *diff)
{
    int count = diff->count - 1;
    for (int at = 0; at < count; at++) {
        if (diff->step[at].equal) continue;
        int from = at > CONTEXT ? at - CONTEXT : 0, last = at;
        while (at < count && at - last <= 2 * CONTEXT) {
            if (!diff->step[at].equal) last = at;
            at++;
        }
        at = last + CONTEXT < count ? last + CONTEXT : count - 1;
        write_hunk(diff, from, at + 1);
    }
}

bool diff_texts(const char *path, const char *old, size_t old_length, const char *new, size_t new_length,
                DiffWrite *write, void *to)
{
    Diff diff = {.old_end = old + old_length, .new_end = new + new_length, .write = write, .to = to};
    bool fine = find_steps(&diff, (Place){old, 0}, (Place){new, 0});
    const char *const head[] = {"--- ", path, "\n+++ ", path, "\n"};
    for (size_t i = 0; i < sizeof head / sizeof *head && fine; i++) write(to, head[i], strlen(head[i]));
    if (fine) write_hunks(&diff);
    free(diff.step);
    return fine;
}
