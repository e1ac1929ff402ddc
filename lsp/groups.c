/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Groups: a file, or a notebook's cells one after the other, as one text to analyse. Cells see what those before them
   declared, as when they run in order. Analyses are kept for the groups that were asked about last. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lsp.h"

enum { ANALYSES_KEPT = 6 };
static const double delay = 0.15, delay_most = 1.0;

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void forget(Group *group)
{
    analysis_free(group->analysis);
    group->analysis = NULL;
    free(group->text);
    group->text = NULL;
}

Group *group_open(Server *server, const char *uri, bool notebook)
{
    Group *group = calloc(1, sizeof *group);
    if (!group) return NULL;
    *group = (Group){.next = server->groups, .uri = strdup(uri), .path = path_of_uri(uri), .notebook = notebook,
                     .cells = json_array(), .used = json_array()};
    server->groups = group;
    if (group->uri && group->path && group->cells && group->used) return group;
    group_close(server, group);
    return NULL;
}

void group_close(Server *server, Group *group)
{
    for (Group **at = &server->groups; *at; at = &(*at)->next)
        if (*at == group) {
            *at = group->next;
            break;
        }
    while (group->texts) text_close(group->texts);
    forget(group);
    json_decref(group->cells);
    json_decref(group->used);
    free(group->uri);
    free(group->path);
    free(group);
}

Group *group_find(const Server *server, const char *uri)
{
    for (Group *group = server->groups; group && uri; group = group->next)
        if (!strcmp(group->uri, uri)) return group;
    return NULL;
}

Group *group_of_path(const Server *server, const char *path)
{
    for (Group *group = server->groups; group; group = group->next)
        if (!group->notebook && !strcmp(group->path, path)) return group;
    return NULL;
}

void group_changed(Server *server, Group *group)
{
    (void)server;
    forget(group);
    double at = now();
    if (!group->pending) group->changed = at;
    group->pending = true;
    group->due = at + delay;
    if (group->due > group->changed + delay_most) group->due = group->changed + delay_most;
}

static bool uses(const Group *group, const char *path)
{
    size_t i;
    json_t *used;
    json_array_foreach(group->used, i, used)
        if (!strcmp(json_string_value(used), path)) return true;
    return false;
}

void path_changed(Server *server, const char *path)
{
    for (Group *group = server->groups; group; group = group->next)
        if (uses(group, path)) group_changed(server, group);
}

/* ---- the text ---- */

/* A cell's lines for the session alone, :command and ?name, are no program. */
static void blank_commands(char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t end = at, first;
        while (end < length && text[end] != '\n') end++;
        for (first = at; first < end && text[first] == ' ';) first++;
        bool asks = first < end && (text[first] == ':' || text[first] == '?');
        for (size_t i = end; !asks && i > first && i == end && text[i - 1] == '?'; i--) asks = true;
        if (asks) memset(text + at, ' ', end - at);
        at = end + 1;
    }
}

/* Every line end becomes \n, nothing changes its place. */
static void copy_text(char *to, const Text *text, bool cell)
{
    memcpy(to, text->text, text->length);
    for (size_t i = 0; i < text->length; i++) {
        if (to[i] == 0) to[i] = ' ';
        if (to[i] == '\r') to[i] = i + 1 < text->length && text->text[i + 1] == '\n' ? ' ' : '\n';
    }
    if (cell) blank_commands(to, text->length);
}

static Text *cell_named(const Group *group, const char *uri)
{
    for (Text *text = group->texts; text && uri; text = text->next)
        if (!strcmp(text->uri, uri)) return text;
    return NULL;
}

bool group_text(Group *group)
{
    size_t length = 0, at = 0, i;
    json_t *cell;
    if (group->text) return true;
    for (Text *text = group->texts; text; text = text->next) length += text->length + 1;
    group->text = malloc(length + 1);
    if (!group->text) return false;
    if (!group->notebook && group->texts) {
        copy_text(group->text, group->texts, false);
        group->texts->base = 0;
        at = group->texts->length;
    }
    json_array_foreach(group->cells, i, cell) {
        Text *text = cell_named(group, json_string_value(cell));
        if (!text) continue;
        copy_text(group->text + at, text, true);
        text->base = at;
        at += text->length;
        group->text[at++] = '\n';
    }
    group->text[at] = 0;
    group->length = at;
    return true;
}

Text *group_at(const Group *group, size_t offset)
{
    for (Text *text = group->texts; text; text = text->next)
        if (offset >= text->base && offset <= text->base + text->length) return text;
    return group->texts;
}

json_t *group_range(const Server *server, const Group *group, size_t start, size_t end, const char **uri)
{
    const Text *text = group_at(group, start);
    if (!text) return NULL;
    size_t stop = end > text->base + text->length ? text->length : end - text->base;
    if (uri) *uri = text->uri;
    return lines_range(&text->lines, server->encoding, start - text->base, stop);
}

/* ---- the analysis ---- */

static void keep_few(Server *server, const Group *asked)
{
    int kept = 0;
    for (Group *group = server->groups; group; group = group->next) {
        if (!group->analysis || group == asked) continue;
        if (++kept < ANALYSES_KEPT) continue;
        analysis_free(group->analysis);
        group->analysis = NULL;
    }
}

static void note_used(Group *group)
{
    const char *path;
    json_array_clear(group->used);
    for (int i = 0; (path = analysis_used(group->analysis, i)); i++) json_array_append_new(group->used, json_string(path));
}

Analysis *group_analyse(Server *server, Group *group, AnalysisStop *stop)
{
    if (group->analysis) return group->analysis;
    keep_few(server, group);
    if (!group_text(group)) return NULL;
    group->analysis = session_analyse(server->session, group->path, group->text, group->length, ANALYSE_ALL, stop,
                                      server);
    if (group->analysis) note_used(group);
    return group->analysis;
}
