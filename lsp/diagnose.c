/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `tessera check` finds, published a moment after the last change: at most a second after the first one, however fast
   somebody types. Between two messages a check in progress is given up. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

enum { SEVERITY_ERROR = 1, SEVERITY_WARNING = 2, TAG_UNNECESSARY = 1 };

bool input_waits(void *user)
{
    const Server *server = user;
    struct pollfd in = {.fd = server->in, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

/* ---- one finding ---- */

typedef struct Publishing {
    Server *server;
    Group *group;
    json_t *of;               /* findings by the uri of the text */
} Publishing;

/* The path of another file that the finding is also about. */
static json_t *related_of(Publishing *p, const CheckPlace *place)
{
    bool own = !strcmp(place->path, p->group->path);
    const char *uri = NULL;
    json_t *at = NULL;
    if (own) {
        json_t *range = group_range(p->server, p->group, place->start, place->end, &uri);
        at = range ? json_pack("{ss so}", "uri", uri, "range", range) : NULL;
    } else {
        at = file_location(p->server, place->path, false, place->start, place->end);
    }
    return at ? json_pack("[{so ss}]", "location", at, "message", "it fails here") : NULL;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

static bool has_word(const char *text, const char *word, size_t length)
{
    for (const char *at = text; *at; at++)
        if (!strncmp(at, word, length) && !is_word(at[length]) && (at == text || !is_word(at[-1]))) return true;
    return false;
}

/* A hint that says what to write instead: the words, and what they stand for. */
static bool fix_of(const Group *group, const CheckFinding *finding, const char **with, size_t *length, size_t *start,
                   size_t *end)
{
    static const char meant[] = "did you mean ", write[] = "write ";
    const char *hint = finding->hint;
    size_t at = finding->place.end < group->length ? finding->place.end : group->length;
    bool suggested = !strncmp(hint, meant, sizeof meant - 1);
    bool written = !strncmp(hint, write, sizeof write - 1) && !strcmp(finding->kind, "syntax");
    *with = hint + (suggested ? sizeof meant - 1 : sizeof write - 1);
    *length = strlen(*with) - (suggested && hint[strlen(hint) - 1] == '?');
    if (!suggested && !written) return false;
    for (size_t i = 0; i < *length; i++)
        if (!is_word((*with)[i]) && !(written && (*with)[i] == ' ') && !(suggested && (*with)[i] == '.')) return false;
    while (at > finding->place.start) {      /* the last word there that the message names */
        size_t stop = at;
        while (at > finding->place.start && is_word(group->text[at - 1])) at--;
        if (stop > at && has_word(finding->message, group->text + at, stop - at)) {
            *start = at;
            *end = stop;
            return true;
        }
        if (at > finding->place.start && stop == at) at--;
    }
    return false;
}

static json_t *message_of(const CheckFinding *finding)
{
    char text[1600];
    bool hint = finding->hint && *finding->hint;
    snprintf(text, sizeof text, "%s%s%s", finding->message, hint ? "\n" : "", hint ? finding->hint : "");
    return json_string(text);
}

static void on_finding(void *user, const CheckFinding *finding)
{
    Publishing *p = user;
    const Server *server = p->server;
    const char *uri = NULL, *with;
    size_t length, start, end = finding->place.end;
    if (end <= finding->place.start) end = finding->place.start + 1;
    json_t *range = group_range(server, p->group, finding->place.start, end, &uri);
    json_t *list = uri ? json_object_get(p->of, uri) : NULL;
    bool error = finding->severity == CHECK_ERROR;
    json_t *one = range ? json_pack("{so si ss ss so}", "range", range, "severity", error ? SEVERITY_ERROR : SEVERITY_WARNING,
                                    "code", finding->kind, "source", "tessera", "message", message_of(finding)) : NULL;
    if (!one) return;
    char *link = error ? error_page(finding->kind) : NULL;
    if (link) json_object_set_new(one, "codeDescription", json_pack("{ss}", "href", link));
    free(link);
    if (!strcmp(finding->kind, "unread") || !strcmp(finding->kind, "unreachable") ||
               !strcmp(finding->kind, "no-effect")) {
        json_object_set_new(one, "tags", json_pack("[i]", TAG_UNNECESSARY));
    }
    json_t *related = finding->related && server->related ? related_of(p, finding->related) : NULL;
    if (related) json_object_set_new(one, "relatedInformation", related);
    if (fix_of(p->group, finding, &with, &length, &start, &end)) {
        json_t *place = group_range(server, p->group, start, end, NULL);
        json_object_set_new(one, "data", json_pack("{s:s% s:o}", "replace", with, length, "range", place));
    }
    if (list) json_array_append_new(list, one);
    else json_decref(one);
}

static void publish_take(Server *server, const char *uri, const Text *text, json_t *list)
{
    json_t *params = json_pack("{ss so}", "uri", uri, "diagnostics", list);
    if (params && text) json_object_set_new(params, "version", json_integer(text->version));
    if (params) notify_take(server, "textDocument/publishDiagnostics", params);
}

void diagnose_forget(Server *server, const char *uri)
{
    publish_take(server, uri, NULL, json_array());
}

static void publish(Server *server, Group *group)
{
    Publishing p = {server, group, json_object()};
    for (Text *text = group->texts; text; text = text->next) json_object_set_new(p.of, text->uri, json_array());
    if (!analysis_report(group->analysis, on_finding, &p)) log_message(server, 1, "out of memory");
    for (Text *text = group->texts; text; text = text->next)
        publish_take(server, text->uri, text, json_incref(json_object_get(p.of, text->uri)));
    json_decref(p.of);
}

/* ---- when ---- */

void diagnose_due(Server *server)
{
    double at = now();
    for (Group *group = server->groups; group; group = group->next) {
        if (!group->pending || group->due > at) continue;
        bool late = at >= group->changed + 1.0;
        if (!group_analyse(server, group, late ? NULL : input_waits)) {
            group->due = now() + 0.05;
            return;
        }
        group->pending = false;
        publish(server, group);
    }
}

double diagnose_wait(const Server *server)
{
    double soonest = -1;
    for (const Group *group = server->groups; group; group = group->next)
        if (group->pending && (soonest < 0 || group->due < soonest)) soonest = group->due;
    if (soonest < 0) return -1;
    double left = soonest - now();
    return left > 0 ? left : 0;
}
