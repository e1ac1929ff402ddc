/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts that are debugged and what front ends call them. No file is written: who wants a cell's text asks for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "murmur.h"

/* The prefix holds "ipykernel_" because JupyterLab shows "Cell [3]" in place of a path only when it sees that word. */
static const char prefix[] = "/tmp/tessera_ipykernel_", suffix[] = ".tsr";
enum { SEED = 0x7e55e7a, MOST_DUMPED = 1000 };

static char *prefix_of_process(char *text, size_t size)
{
    snprintf(text, size, "%s%ld/", prefix, (long)getpid());
    return text;
}

char *debug_path_of(uint32_t hash, char path[DEBUG_PATH])
{
    char start[64];
    snprintf(path, DEBUG_PATH, "%s%u%s", prefix_of_process(start, sizeof start), (unsigned)hash, suffix);
    return path;
}

uint32_t debug_hash(const char *text, size_t length)
{
    return murmur2(text, length, SEED);
}

/* ---- cells ---- */

int debug_cell_number(const char *source)
{
    int number = 0, end = 0;
    return sscanf(source, "<cell %d>%n", &number, &end) == 1 && end > 0 && !source[end] && number > 0 ? number : 0;
}

bool debug_is_cell_path(const char *path)
{
    return strncmp(path, prefix, sizeof prefix - 1) == 0;
}

void debug_note_cell(Debugger *debugger, int number, uint32_t hash)
{
    if (number >= debugger->n_hashes) {
        size_t room = (size_t)number * 2 + 64, had = (size_t)debugger->n_hashes;
        uint32_t *grown = realloc(debugger->hash, room * sizeof *grown);
        if (!grown) return;                              /* its breakpoints will not hold */
        memset(grown + had, 0, (room - had) * sizeof *grown);
        debugger->hash = grown;
        debugger->n_hashes = (int)room;
    }
    debugger->hash[number] = hash;
}

void debug_note_cells(Kernel *kernel)
{
    for (int number = 1; number <= kernel->count; number++) {
        char name[32];
        size_t length;
        snprintf(name, sizeof name, "<cell %d>", number);
        const char *text = session_debug_source(kernel->session, name, &length);
        if (text) debug_note_cell(&kernel->debugger, number, debug_hash(text, length));
    }
}

bool debug_dump_cell(DebugCall *call)
{
    size_t length;
    char path[DEBUG_PATH];
    const char *code = debug_text(call, "code", &length);
    if (!code) return false;
    debug_path_of(debug_hash(code, length), path);
    Debugger *debugger = call->debugger;
    if (debugger->started && json_object_size(debugger->dumped) >= MOST_DUMPED) {
        const char *oldest;
        json_t *text;
        void *next;
        json_object_foreach_safe(debugger->dumped, next, oldest, text) {
            if (json_object_get(debugger->breakpoints, oldest)) continue;
            json_object_del(debugger->dumped, oldest);
            break;
        }
    }
    if (debugger->started) json_object_set(debugger->dumped, path, json_object_get(call->arguments, "code"));
    json_object_set_new(call->body, "sourcePath", json_string(path));
    return true;
}

/* ---- texts ---- */

static const char *text_of_cell(DebugCall *call, const char *path, size_t *length)
{
    const Debugger *debugger = call->debugger;
    for (int number = debugger->n_hashes - 1; number > 0; number--) {
        char name[32], its[DEBUG_PATH];
        if (!debugger->hash[number] || strcmp(debug_path_of(debugger->hash[number], its), path) != 0) continue;
        snprintf(name, sizeof name, "<cell %d>", number);
        const char *text = session_debug_source(call->session, name, length);
        if (text && strcmp(debug_path_of(debug_hash(text, *length), its), path) == 0) return text;
    }
    return NULL;
}

const char *debug_find_text(DebugCall *call, const char *path, size_t *length)
{
    const json_t *dumped = json_object_get(call->debugger->dumped, path);
    const char *text = json_string_value(dumped);
    *length = json_string_length(dumped);
    if (!text && debug_is_cell_path(path)) text = text_of_cell(call, path, length);
    return text ? text : session_debug_source(call->session, path, length);
}

json_t *debug_source_of(Session *session, const char *name, bool library)
{
    int number = debug_cell_number(name);
    size_t length;
    const char *text = number ? session_debug_source(session, name, &length) : NULL, *slash = strrchr(name, '/');
    char path[DEBUG_PATH];
    if (text)
        return json_pack("{so ss}", "name", json_sprintf("Cell [%d]", number), "path",
                         debug_path_of(debug_hash(text, length), path));
    json_t *source = json_pack("{so so}", "name", json_from_text(slash ? slash + 1 : name), "path", json_from_text(name));
    if (library) json_object_set_new(source, "presentationHint", json_string("deemphasize"));
    return source;
}

bool debug_source(DebugCall *call)
{
    const char *path = json_string_value(json_object_get(json_object_get(call->arguments, "source"), "path"));
    size_t length;
    if (!path) return debug_refuse(call, "the argument 'source' must have a 'path'");
    const char *text = debug_find_text(call, path, &length);
    if (!text) return debug_refuse(call, "there is no source '%.200s'", path);
    json_object_set_new(call->body, "content", json_from_bytes(text, length));
    json_object_set_new(call->body, "mimeType", json_string("text/x-tessera"));
    return true;
}

/* ---- what is loaded ---- */

typedef struct Listing { Session *session; json_t *seen, *sources; } Listing;

/* Cells once for each text; what a person typed elsewhere, such as an expression that was evaluated, is no source. */
static void list_source(void *user, const char *name, bool library)
{
    Listing *listing = user;
    if (json_object_get(listing->seen, name) || (*name == '<' && !debug_cell_number(name))) return;
    json_object_set_new(listing->seen, name, json_true());
    json_t *source = debug_source_of(listing->session, name, library);
    const char *path = json_string_value(json_object_get(source, "path"));
    bool known = !path || (json_object_get(listing->seen, path) && strcmp(path, name) != 0);
    if (path) json_object_set_new(listing->seen, path, json_true());
    if (known) json_decref(source);
    else json_array_append_new(listing->sources, source);
}

static json_t *list_sources(Session *session)
{
    Listing listing = {session, json_object(), json_array()};
    session_debug_sources(session, list_source, &listing);
    json_decref(listing.seen);
    return listing.sources;
}

bool debug_loaded_sources(DebugCall *call)
{
    json_object_set_new(call->body, "sources", list_sources(call->session));
    return true;
}

/* Files and modules of the library, by their paths. */
bool debug_modules(DebugCall *call)
{
    json_int_t start, count, total = 0;
    json_t *modules = json_array(), *sources, *source;
    size_t i;
    json_object_set_new(call->body, "modules", modules);
    if (!debug_number_or(call, "startModule", 0, &start) || !debug_number_or(call, "moduleCount", 0, &count)) return false;
    sources = list_sources(call->session);
    json_array_foreach(sources, i, source) {
        const char *path = json_string_value(json_object_get(source, "path"));
        if (debug_is_cell_path(path)) continue;
        if (total >= start && (count == 0 || total < start + count))
            json_array_append_new(modules, json_pack("{ss ss ss}", "id", path, "name", path, "path", path));
        total++;
    }
    json_object_set_new(call->body, "totalModules", json_integer(total));
    json_decref(sources);
    return true;
}

/* ---- what a front end needs to begin ---- */

bool debug_info(DebugCall *call)
{
    const Debugger *debugger = call->debugger;
    char start[64];
    json_t *breakpoints = json_array(), *places;
    const char *path;
    json_object_foreach(debugger->breakpoints, path, places) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(places); i++)
            json_array_append_new(list, json_deep_copy(json_object_get(json_array_get(places, i), "asked")));
        json_array_append_new(breakpoints, json_pack("{ss so}", "source", path, "breakpoints", list));
    }
    json_t *body = json_pack("{sb ss sI ss ss so so sb s[s] sb}", "isStarted", debugger->started, "hashMethod", "Murmur2",
                             "hashSeed", (json_int_t)SEED, "tmpFilePrefix", prefix_of_process(start, sizeof start),
                             "tmpFileSuffix", suffix, "breakpoints", breakpoints, "stoppedThreads",
                             debugger->stop ? json_pack("[i]", 1) : json_array(), "richRendering", 1, "exceptionPaths",
                             "Tessera errors", "copyToGlobals", 1);
    json_object_update(call->body, body);
    json_decref(body);
    return true;
}
