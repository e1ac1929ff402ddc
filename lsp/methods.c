/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server understands, and the messages about its own life: from initialize to exit. A request is answered once,
   whatever it says; a notification never. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

json_t *fail(Failure *failure, int code, const char *format, ...)
{
    va_list list;
    failure->code = code;
    va_start(list, format);
    vsnprintf(failure->message, sizeof failure->message, format, list);
    va_end(list);
    return NULL;
}

typedef json_t *Handler(Server *server, const json_t *params, Failure *failure);
static const struct { const char *name; Handler *handle; bool is_request; } methods[] = {
#define METHOD(name, handler, is_request) {name, handle_##handler, is_request},
#include "methods.def"
#undef METHOD
};

/* ---- dispatch ---- */

static void answer_take(Server *server, const json_t *id, json_t *result, const Failure *failure)
{
    json_t *message = json_pack("{sO}", "id", id);
    if (!message) return;
    if (failure->code) {
        json_decref(result);
        json_t *text = json_string(failure->message);
        json_object_set_new(message, "error", json_pack("{si so}", "code", failure->code, "message",
                                                        text ? text : json_string("the request failed")));
    } else {
        json_object_set_new(message, "result", result ? result : json_null());
    }
    send_take(server, message);
}

static bool allowed(const Server *server, const char *method, Failure *failure)
{
    bool first = !strcmp(method, "initialize");
    if (server->state == STATE_NEW && !first) fail(failure, FAIL_NOT_INITIALIZED, "initialize comes first");
    else if (server->state == STATE_OPEN && first) fail(failure, FAIL_REQUEST, "the server is initialized already");
    else if (server->state == STATE_SHUT) fail(failure, FAIL_REQUEST, "the server has been shut down");
    return failure->code == 0;
}

static void handle_request(Server *server, const char *method, const json_t *id, const json_t *params)
{
    Failure failure = {0};
    json_t *result = NULL;
    size_t i = 0, count = sizeof methods / sizeof *methods;
    while (i < count && !(methods[i].is_request && !strcmp(methods[i].name, method))) i++;
    if (!allowed(server, method, &failure)) {
        answer_take(server, id, NULL, &failure);
        return;
    }
    if (i == count) fail(&failure, FAIL_METHOD, "no such method: %.200s", method);
    else result = methods[i].handle(server, params, &failure);
    answer_take(server, id, result, &failure);
}

static void handle_notification(Server *server, const char *method, const json_t *params)
{
    Failure failure = {0};
    bool exits = !strcmp(method, "exit");
    if (server->state != STATE_OPEN && !exits) return;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (!methods[i].is_request && !strcmp(methods[i].name, method)) json_decref(methods[i].handle(server, params, &failure));
    if (failure.code) log_message(server, 2, "%s: %s", method, failure.message);
}

void message_handle(Server *server, json_t *message)
{
    const char *method = text_of(message, "method");
    const json_t *id = json_object_get(message, "id");
    json_t *params = json_object_get(message, "params");
    Failure failure = {0};
    bool named = json_is_string(id) || json_is_integer(id);
    if (!method && json_is_object(message) && (json_object_get(message, "result") || json_object_get(message, "error")))
        return;               /* the answer to a request of ours */
    if (!method || (id && !named)) {
        json_t *null = json_null();
        fail(&failure, FAIL_REQUEST, "this is no request: a method and an id were expected");
        answer_take(server, named ? id : null, NULL, &failure);
        return;
    }
    if (server->trace) notify_take(server, "$/logTrace", json_pack("{ss}", "message", method));
    if (named) handle_request(server, method, id, params);
    else handle_notification(server, method, params);
}

/* ---- life ---- */

static json_t *in(const json_t *object, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(json_object_get(object, a), b);
    return c ? json_object_get(at, c) : at;
}

static bool has_text(const json_t *list, const char *wanted)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
        if (json_is_string(one) && !strcmp(json_string_value(one), wanted)) return true;
    return false;
}

static void choose_encoding(Server *server, const json_t *client)
{
    static const char *const names[] = {[ENCODING_UTF8] = "utf-8", [ENCODING_UTF32] = "utf-32"};
    const json_t *offered = in(client, "general", "positionEncodings", NULL);
    size_t i;
    json_t *one;
    server->encoding = ENCODING_UTF16;
    json_array_foreach(offered, i, one) {      /* the first that we know: the client lists its own order */
        const char *name = json_string_value(one);
        for (int k = 0; name && k <= ENCODING_UTF32; k++)
            if (names[k] && !strcmp(names[k], name)) {
                server->encoding = (Encoding)k;
                return;
            }
        if (name && !strcmp(name, "utf-16")) return;
    }
}

static void add_root(Server *server, const char *uri)
{
    char *path = uri ? path_of_uri(uri) : NULL;
    if (path && *path == '/' && !has_text(server->roots, path)) json_array_append_new(server->roots, json_string(path));
    free(path);
}

static void find_roots(Server *server, const json_t *params)
{
    size_t i;
    json_t *one;
    const json_t *folders = json_object_get(params, "workspaceFolders");
    json_array_foreach(folders, i, one) add_root(server, text_of(one, "uri"));
    if (json_array_size(server->roots) == 0) add_root(server, text_of(params, "rootUri"));
    if (json_array_size(server->roots) == 0) add_root(server, text_of(params, "rootPath"));
}

json_t *handle_initialize(Server *server, const json_t *params, Failure *failure)
{
    const json_t *client = json_object_get(params, "capabilities");
    const json_t *completion = in(client, "textDocument", "completion", "completionItem");
    const json_t *parent = json_object_get(params, "processId");
    const char *trace = text_of(params, "trace");
    if (!json_is_object(params)) return fail(failure, FAIL_PARAMS, "initialize needs params");
    choose_encoding(server, client);
    find_roots(server, params);
    server->snippets = json_is_true(json_object_get(completion, "snippetSupport"));
    server->watches = json_is_true(in(client, "workspace", "didChangeWatchedFiles", "dynamicRegistration"));
    server->hierarchical = json_is_true(in(client, "textDocument", "documentSymbol", "hierarchicalDocumentSymbolSupport"));
    server->related = json_is_true(in(client, "textDocument", "publishDiagnostics", "relatedInformation"));
    server->markdown = has_text(in(client, "textDocument", "hover", "contentFormat"), "markdown");
    server->trace = trace && !strcmp(trace, "verbose");
    server->parent = json_is_integer(parent) ? (pid_t)json_integer_value(parent) : 0;
    server->state = STATE_OPEN;
    return json_pack("{so s{ss ss}}", "capabilities", capabilities(server), "serverInfo", "name", "tessera", "version",
                     session_version());
}

/* Files that change outside the editor: asked for where the client can tell. */
json_t *handle_initialized(Server *server, const json_t *params, Failure *failure)
{
    (void)params;
    (void)failure;
    if (server->watches)
        send_take(server, json_pack("{sI ss s{s[{ss ss s{s[{ss}]}}]}}", "id", ++server->last_id, "method",
                                    "client/registerCapability", "params", "registrations", "id", "watch", "method",
                                    "workspace/didChangeWatchedFiles", "registerOptions", "watchers", "globPattern",
                                    "**/*.tsr"));
    log_message(server, 3, "Tessera %s", session_version());
    return NULL;
}

json_t *handle_shutdown(Server *server, const json_t *params, Failure *failure)
{
    (void)params;
    (void)failure;
    server->state = STATE_SHUT;
    return NULL;
}

json_t *handle_exit(Server *server, const json_t *params, Failure *failure)
{
    (void)params;
    (void)failure;
    server->ended = true;
    return NULL;
}

/* A request that has not been looked at yet is answered so; one that is done has its answer. */
json_t *handle_cancel(Server *server, const json_t *params, Failure *failure)
{
    const json_t *id = json_object_get(params, "id");
    Failure cancelled = {0};
    size_t i;
    json_t *message;
    (void)failure;
    fail(&cancelled, FAIL_CANCELLED, "cancelled");
    json_array_foreach(server->queue, i, message)
        if (json_object_get(message, "method") && json_equal(json_object_get(message, "id"), id)) {
            answer_take(server, id, NULL, &cancelled);
            json_array_remove(server->queue, i);
            return NULL;
        }
    return NULL;
}

json_t *handle_trace(Server *server, const json_t *params, Failure *failure)
{
    const char *value = text_of(params, "value");
    (void)failure;
    server->trace = value && !strcmp(value, "verbose");
    return NULL;
}

json_t *handle_nothing(Server *server, const json_t *params, Failure *failure)
{
    (void)server;
    (void)params;
    (void)failure;
    return NULL;
}

json_t *handle_folders(Server *server, const json_t *params, Failure *failure)
{
    const json_t *event = json_object_get(params, "event");
    size_t i, k;
    json_t *one, *root;
    (void)failure;
    json_array_foreach(json_object_get(event, "removed"), i, one) {
        char *path = text_of(one, "uri") ? path_of_uri(text_of(one, "uri")) : NULL;
        json_array_foreach(server->roots, k, root)
            if (path && !strcmp(json_string_value(root), path)) {
                json_array_remove(server->roots, k);
                break;
            }
        free(path);
    }
    json_array_foreach(json_object_get(event, "added"), i, one) add_root(server, text_of(one, "uri"));
    return NULL;
}

/* ---- documents ---- */

json_t *handle_open(Server *server, const json_t *params, Failure *failure)
{
    const json_t *document = json_object_get(params, "textDocument"), *content = json_object_get(document, "text");
    const char *uri = text_of(document, "uri");
    if (!uri || !json_is_string(content)) return fail(failure, FAIL_PARAMS, "a document with uri and text was expected");
    Text *known = text_find(server, uri);
    if (known && known->group->notebook) return NULL;
    if (known) group_close(server, known->group);
    Group *group = group_open(server, uri, false);
    Text *text = group ? text_open(group, uri, json_string_value(content), json_string_length(content),
                                   json_integer_value(json_object_get(document, "version"))) : NULL;
    if (group && !text) group_close(server, group);
    if (!text) return fail(failure, FAIL_INTERNAL, "out of memory");
    group_changed(server, group);
    path_changed(server, group->path);
    return NULL;
}

static void text_changed(Server *server, Text *text)
{
    group_changed(server, text->group);
    if (!text->group->notebook) path_changed(server, text->group->path);
}

json_t *handle_change(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    if (!text) return NULL;
    json_int_t version = json_integer_value(json_object_get(json_object_get(params, "textDocument"), "version"));
    if (!text_edit(text, server->encoding, json_object_get(params, "contentChanges"), version))
        fail(failure, FAIL_PARAMS, "a change without a text");
    text_changed(server, text);
    return NULL;
}

json_t *handle_save(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    if (text) text_changed(server, text);
    return NULL;
}

json_t *handle_close(Server *server, const json_t *params, Failure *failure)
{
    Text *text = find_text(server, params, failure);
    if (!text || text->group->notebook) return NULL;
    char *path = strdup(text->group->path);
    diagnose_forget(server, text->uri);
    group_close(server, text->group);
    if (path) path_changed(server, path);
    free(path);
    return NULL;
}

json_t *handle_watched(Server *server, const json_t *params, Failure *failure)
{
    enum { CHANGED = 2 };
    size_t i;
    json_t *one;
    (void)failure;
    json_array_foreach(json_object_get(params, "changes"), i, one) {
        char *path = text_of(one, "uri") ? path_of_uri(text_of(one, "uri")) : NULL;
        bool there = json_integer_value(json_object_get(one, "type")) == CHANGED;
        for (Group *group = server->groups; group && !there; group = group->next) group_changed(server, group);
        if (path && !group_of_path(server, path)) path_changed(server, path);
        free(path);
    }
    return NULL;
}

/* ---- notebooks ---- */

static void open_cells(Group *group, const json_t *documents)
{
    size_t i;
    json_t *document;
    json_array_foreach(documents, i, document) {
        const json_t *content = json_object_get(document, "text");
        const char *uri = text_of(document, "uri");
        if (uri && json_is_string(content))
            text_open(group, uri, json_string_value(content), json_string_length(content),
                      json_integer_value(json_object_get(document, "version")));
    }
}

static void insert_cells(Group *group, size_t at, const json_t *cells)
{
    size_t i;
    json_t *cell;
    json_array_foreach(cells, i, cell) {
        const char *uri = text_of(cell, "document");
        if (uri) json_array_insert_new(group->cells, at++, json_string(uri));
    }
}

json_t *handle_notebook_open(Server *server, const json_t *params, Failure *failure)
{
    const json_t *notebook = json_object_get(params, "notebookDocument");
    const char *uri = text_of(notebook, "uri");
    Group *known = group_find(server, uri);
    if (known) group_close(server, known);
    Group *group = uri ? group_open(server, uri, true) : NULL;
    if (!group) return fail(failure, FAIL_PARAMS, "a notebook with a uri was expected");
    insert_cells(group, 0, json_object_get(notebook, "cells"));
    open_cells(group, json_object_get(params, "cellTextDocuments"));
    group_changed(server, group);
    return NULL;
}

static void close_cells(Server *server, Group *group, const json_t *closed)
{
    size_t i;
    json_t *one;
    json_array_foreach(closed, i, one) {
        Text *text = text_find(server, text_of(one, "uri"));
        if (!text || text->group != group) continue;
        diagnose_forget(server, text->uri);
        text_close(text);
    }
}

json_t *handle_notebook_change(Server *server, const json_t *params, Failure *failure)
{
    Group *group = group_find(server, text_of(json_object_get(params, "notebookDocument"), "uri"));
    const json_t *cells = in(params, "change", "cells", NULL), *structure = json_object_get(cells, "structure");
    const json_t *array = json_object_get(structure, "array");
    size_t i;
    json_t *one;
    if (!group) return fail(failure, FAIL_PARAMS, "the notebook is not open");
    if (array) {
        json_int_t start = json_integer_value(json_object_get(array, "start"));
        json_int_t count = json_integer_value(json_object_get(array, "deleteCount"));
        for (; start >= 0 && count > 0 && (size_t)start < json_array_size(group->cells); count--)
            json_array_remove(group->cells, (size_t)start);
        size_t size = json_array_size(group->cells);
        insert_cells(group, start >= 0 && (size_t)start < size ? (size_t)start : size, json_object_get(array, "cells"));
    }
    open_cells(group, json_object_get(structure, "didOpen"));
    close_cells(server, group, json_object_get(structure, "didClose"));
    json_array_foreach(json_object_get(cells, "textContent"), i, one) {
        const json_t *document = json_object_get(one, "document");
        Text *text = text_find(server, text_of(document, "uri"));
        if (text && text->group == group)
            text_edit(text, server->encoding, json_object_get(one, "changes"),
                      json_integer_value(json_object_get(document, "version")));
    }
    group_changed(server, group);
    return NULL;
}

json_t *handle_notebook_close(Server *server, const json_t *params, Failure *failure)
{
    Group *group = group_find(server, text_of(json_object_get(params, "notebookDocument"), "uri"));
    if (!group) return fail(failure, FAIL_PARAMS, "the notebook is not open");
    for (Text *text = group->texts; text; text = text->next) diagnose_forget(server, text->uri);
    group_close(server, group);
    return NULL;
}
