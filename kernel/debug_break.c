/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Breakpoints. What a client asked for is kept by path, since it may be asked before the cell runs, holds in each cell of
   that path, and a client that comes later wants to know. An entry of such a list:
       {asked: {line, condition, hitCondition, logMessage}, id, verified: the line or 0, message} */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

enum { MOST = 1000 };         /* of one source, and functions */

/* ---- from JSON and back ---- */

/* Copies the members that are known, in the client's way of counting lines; false: one is wrong. */
static bool read_asked(DebugCall *call, const json_t *given, json_t *asked)
{
    static const char *const texts[] = {"condition", "hitCondition", "logMessage"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *text = json_object_get(given, texts[i]);
        if (!text || json_is_null(text)) continue;
        if (!json_is_string(text)) return debug_refuse(call, "a breakpoint's '%s' must be a string", texts[i]);
        if (json_string_length(text) > 0) json_object_set(asked, texts[i], text);
    }
    return true;
}

static const char *text_or_null(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int line_of(const Debugger *debugger, const json_t *asked)
{
    json_int_t line = json_integer_value(json_object_get(asked, "line")) + 1 - debugger->lines_from;
    return line < 1 ? 1 : line > INT32_MAX ? INT32_MAX : (int)line;
}

/* One breakpoint for each entry; malloc'ed, the strings the entries'. */
static DebugBreakpoint *breakpoints_of(const Debugger *debugger, const json_t *entries, int *count)
{
    *count = (int)json_array_size(entries);
    DebugBreakpoint *list = calloc((size_t)*count + 1, sizeof *list);
    for (int i = 0; list && i < *count; i++) {
        const json_t *asked = json_object_get(json_array_get(entries, (size_t)i), "asked");
        list[i] = (DebugBreakpoint){.line = line_of(debugger, asked), .condition = text_or_null(asked, "condition"),
                                    .hit_condition = text_or_null(asked, "hitCondition"),
                                    .log_message = text_or_null(asked, "logMessage")};
    }
    return list;
}

static void note_answers(json_t *entries, const DebugBreakpoint *list, int count)
{
    for (int i = 0; i < count; i++) {
        json_t *entry = json_array_get(entries, (size_t)i);
        json_object_set_new(entry, "id", json_integer(list[i].id));
        json_object_set_new(entry, "verified", json_integer(list[i].verified));
        json_object_set_new(entry, "message", json_from_text(list[i].message));
    }
}

/* A DAP Breakpoint; [path] NULL: of a function. */
static json_t *breakpoint_of(const Debugger *debugger, const char *path, const json_t *entry)
{
    json_int_t verified = json_integer_value(json_object_get(entry, "verified"));
    json_t *answer = json_pack("{sO sb}", "id", json_object_get(entry, "id"), "verified", verified > 0);
    if (path) json_object_set_new(answer, "source", json_pack("{so}", "path", json_from_text(path)));
    if (verified > 0) json_object_set_new(answer, "line", json_integer(verified - 1 + debugger->lines_from));
    else json_object_set(answer, "line", json_object_get(json_object_get(entry, "asked"), "line"));
    if (verified == 0) json_object_set(answer, "message", json_object_get(entry, "message"));
    return answer;
}

static void answer_with(DebugCall *call, const char *path, const json_t *entries)
{
    json_t *answers = json_array();
    for (size_t i = 0; i < json_array_size(entries); i++)
        json_array_append_new(answers, breakpoint_of(call->debugger, path, json_array_get(entries, i)));
    json_object_set_new(call->body, "breakpoints", answers);
}

/* ---- setting ---- */

static void tell_changed(Kernel *kernel, const char *path, json_t *entry, const DebugBreakpoint *now)
{
    if (json_integer_value(json_object_get(entry, "verified")) == now->verified) return;
    json_object_set_new(entry, "verified", json_integer(now->verified));
    json_object_set_new(entry, "message", json_from_text(now->message));
    debug_event(kernel, "breakpoint", json_pack("{ss so}", "reason", "changed", "breakpoint",
                                                breakpoint_of(&kernel->debugger, path, entry)));
}

/* In a source that is another run of the same text: its numbers stand for the entries'. */
static bool set_in_cell(Kernel *kernel, const char *path, const char *name, const char *text, size_t length, json_t *entries)
{
    int count;
    DebugBreakpoint *list = breakpoints_of(&kernel->debugger, entries, &count);
    bool fine = list && session_debug_set_breakpoints(kernel->session, name, text, length, count, list);
    for (int i = 0; fine && i < count; i++) {
        json_t *entry = json_array_get(entries, (size_t)i);
        char key[16];
        snprintf(key, sizeof key, "%d", list[i].id);
        json_object_set(kernel->debugger.same, key, json_object_get(entry, "id"));
        tell_changed(kernel, path, entry, &list[i]);
    }
    free(list);
    return fine;
}

static bool set_in_cells(Kernel *kernel, const char *path, json_t *entries)
{
    const Debugger *debugger = &kernel->debugger;
    bool fine = true;
    for (int number = 1; number < debugger->n_hashes; number++) {
        char name[32], its[DEBUG_PATH];
        size_t length;
        if (!debugger->hash[number] || strcmp(debug_path_of(debugger->hash[number], its), path) != 0) continue;
        snprintf(name, sizeof name, "<cell %d>", number);
        const char *text = session_debug_source(kernel->session, name, &length);
        if (text) fine &= set_in_cell(kernel, path, name, text, length, entries);
    }
    return fine;
}

/* The path itself stands for the text that is to come, and gives the numbers that the client knows. */
static bool set_in_path(DebugCall *call, const char *path, json_t *entries)
{
    int count;
    size_t length;
    const char *text = debug_is_cell_path(path) ? debug_find_text(call, path, &length) : NULL;
    DebugBreakpoint *list = breakpoints_of(call->debugger, entries, &count);
    bool fine = list && session_debug_set_breakpoints(call->session, path, text, text ? length : 0, count, list);
    if (fine) note_answers(entries, list, count);
    free(list);
    return fine && set_in_cells(call->kernel, path, entries);
}

/* What the request lists, as entries; also the protocol's old list of lines alone. NULL: it is wrong. */
static json_t *read_entries(DebugCall *call)
{
    const json_t *given = json_object_get(call->arguments, "breakpoints"), *lines = json_object_get(call->arguments, "lines");
    bool plain = !json_is_array(given) && json_is_array(lines);
    json_t *entries = json_array();
    if (plain) given = lines;
    bool fine = !given || json_is_null(given) || json_is_array(given) ||
                debug_refuse(call, "the argument 'breakpoints' must be a list");
    if (fine && json_array_size(given) > MOST) fine = debug_refuse(call, "%d breakpoints are the most for one source", MOST);
    for (size_t i = 0; fine && i < json_array_size(given); i++) {
        const json_t *one = json_array_get(given, i), *line = plain ? one : json_object_get(one, "line");
        json_t *asked = json_object();
        if (!json_is_integer(line)) fine = debug_refuse(call, "a breakpoint's 'line' must be an integer");
        else json_object_set_new(asked, "line", json_integer(json_integer_value(line)));
        fine = fine && (plain || read_asked(call, one, asked));
        json_array_append_new(entries, json_pack("{so}", "asked", asked));
    }
    if (fine) return entries;
    json_decref(entries);
    return NULL;
}

bool debug_set_breakpoints(DebugCall *call)
{
    const char *path = json_string_value(json_object_get(json_object_get(call->arguments, "source"), "path"));
    if (!path || !*path) return debug_refuse(call, "the argument 'source' must have a 'path'");
    json_t *entries = read_entries(call);
    if (!entries) return false;
    bool fine = set_in_path(call, path, entries) || debug_refuse(call, "out of memory");
    if (fine) answer_with(call, path, entries);
    if (fine && json_array_size(entries) > 0) json_object_set(call->debugger->breakpoints, path, entries);
    else json_object_del(call->debugger->breakpoints, path);
    json_decref(entries);
    return fine;
}

bool debug_set_function_breakpoints(DebugCall *call)
{
    const json_t *given = json_object_get(call->arguments, "breakpoints");
    if (!json_is_array(given)) return debug_refuse(call, "the argument 'breakpoints' must be a list");
    if (json_array_size(given) > MOST) return debug_refuse(call, "%d functions are the most", MOST);
    const char **names = calloc(json_array_size(given) + 1, sizeof *names);
    json_t *entries = json_array();
    bool fine = names || debug_refuse(call, "out of memory");
    for (size_t i = 0; fine && i < json_array_size(given); i++) {
        json_t *asked = json_object();
        names[i] = json_string_value(json_object_get(json_array_get(given, i), "name"));
        fine = names[i] || debug_refuse(call, "a function's 'name' must be a string");
        fine = fine && read_asked(call, json_array_get(given, i), asked);
        json_array_append_new(entries, json_pack("{so}", "asked", asked));
    }
    int count = 0;
    DebugBreakpoint *list = fine ? breakpoints_of(call->debugger, entries, &count) : NULL;
    if (list && session_debug_set_functions(call->session, count, names, list)) {
        note_answers(entries, list, count);
        answer_with(call, NULL, entries);
    } else if (fine) {
        fine = debug_refuse(call, "out of memory");
    }
    free(list);
    free(names);
    json_decref(entries);
    return fine;
}

void debug_begin_cell(Kernel *kernel, const char *name, const char *text, size_t length)
{
    Debugger *debugger = &kernel->debugger;
    if (!debugger->started) return;
    char path[DEBUG_PATH];
    uint32_t hash = debug_hash(text, length);
    debug_note_cell(debugger, debug_cell_number(name), hash);
    json_t *entries = json_object_get(debugger->breakpoints, debug_path_of(hash, path));
    if (entries) set_in_cell(kernel, path, name, text, length, entries);
}

/* Those in files become certain when the file is read. */
void debug_tell_moved(Kernel *kernel)
{
    Debugger *debugger = &kernel->debugger;
    int count = 0;
    if (json_object_size(debugger->breakpoints) == 0) return;
    const DebugPlace *places = session_debug_breakpoints(kernel->session, &count);
    for (int i = 0; i < count; i++) {
        bool file = places[i].source && !debug_is_cell_path(places[i].source);
        json_t *entries = file ? json_object_get(debugger->breakpoints, places[i].source) : NULL;
        for (size_t j = 0; j < json_array_size(entries); j++) {
            json_t *entry = json_array_get(entries, j);
            if (json_integer_value(json_object_get(entry, "id")) == places[i].breakpoint->id)
                tell_changed(kernel, places[i].source, entry, places[i].breakpoint);
        }
    }
}

/* ---- where they can be ---- */

/* Asks for one on each line of the text as if it were another source's, and takes them away again. */
static bool add_locations(DebugCall *call, const char *text, size_t length, int first, int last)
{
    static const char nowhere[] = "<lines>";
    int count = last - first + 1, before = 0;
    json_t *places = json_object_get(call->body, "breakpoints");
    DebugBreakpoint *list = calloc((size_t)count, sizeof *list);
    for (int i = 0; list && i < count; i++) list[i].line = first + i;
    bool fine = list && session_debug_set_breakpoints(call->session, nowhere, text, length, count, list);
    for (int i = 0; fine && i < count; i++) {
        int line = list[i].verified;
        if (line <= before || line > last) continue;
        before = line;
        json_array_append_new(places, json_pack("{si}", "line", line - 1 + call->debugger->lines_from));
    }
    if (fine) session_debug_set_breakpoints(call->session, nowhere, text, length, 0, list);
    free(list);
    return fine || debug_refuse(call, "out of memory");
}

bool debug_breakpoint_locations(DebugCall *call)
{
    const char *path = json_string_value(json_object_get(json_object_get(call->arguments, "source"), "path"));
    json_int_t line, last;
    size_t length;
    if (!path) return debug_refuse(call, "the argument 'source' must have a 'path'");
    if (!debug_number(call, "line", &line) || !debug_number_or(call, "endLine", line, &last)) return false;
    json_object_set_new(call->body, "breakpoints", json_array());
    const char *text = debug_find_text(call, path, &length);
    if (!text) return debug_refuse(call, "there is no source '%.200s'", path);
    line += 1 - call->debugger->lines_from;
    last += 1 - call->debugger->lines_from;
    int lines = 1;
    for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
    if (line < 1) line = 1;
    if (last > lines) last = lines;
    return last < line || add_locations(call, text, length, (int)line, (int)last);
}
