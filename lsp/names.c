/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a name is declared, where it stands, and giving it another. A name of a module is looked for in all files of the
   workspace that use it; a thing is known by the file and place of its declaration. */
#include <stdlib.h>
#include <string.h>

#include "lsp.h"

typedef struct Found {        /* the name that a request is about */
    Text *text;
    Group *group;
    Analysis *analysis;
    int at;
    Mention mention;
} Found;

static bool find_name(Server *server, const json_t *params, Found *found, Failure *failure)
{
    size_t offset;
    if (!find_place(server, params, &found->text, &offset, failure)) return false;
    found->group = found->text->group;
    found->analysis = group_analyse(server, found->group, NULL);
    found->at = found->analysis ? analysis_find(found->analysis, offset) : -1;
    if (found->at >= 0) analysis_mention(found->analysis, found->at, &found->mention);
    return found->at >= 0;
}

static bool same_thing(const Mention *a, const Mention *b)
{
    if (a->kind == SYMBOL_UNKNOWN || b->kind == SYMBOL_UNKNOWN) return false;
    if (!a->path || !b->path) return !a->path && !b->path && a->kind == b->kind && !strcmp(a->name, b->name);
    return a->library == b->library && a->name_start == b->name_start && a->name_end == b->name_end && !strcmp(a->path, b->path);
}

static json_t *group_location(const Server *server, const Group *group, size_t start, size_t end)
{
    const char *uri = NULL;
    json_t *range = group_range(server, group, start, end, &uri);
    return range ? json_pack("{ss so}", "uri", uri, "range", range) : NULL;
}

json_t *handle_definition(Server *server, const json_t *params, Failure *failure)
{
    Found found;
    if (!find_name(server, params, &found, failure)) return NULL;
    const Mention *mention = &found.mention;
    if (!mention->path) return NULL;
    if (!mention->library && !strcmp(mention->path, found.group->path))
        return group_location(server, found.group, mention->name_start, mention->name_end);
    return file_location(server, mention->path, mention->library, mention->name_start, mention->name_end);
}

/* ---- all mentions ---- */

typedef void Visit(Server *server, Group *group, Analysis *analysis, const Mention *mention, void *to);
typedef struct Search {
    const Mention *wanted;
    Visit *visit;
    void *to;
    const char *skip;         /* a path that has been looked at */
    Group *group;             /* for a file that is not open */
} Search;

static void visit_all(Server *server, Group *group, Analysis *analysis, const Search *search)
{
    for (int i = 0; i < analysis_count(analysis); i++) {
        Mention mention;
        analysis_mention(analysis, i, &mention);
        bool loose = mention.kind == SYMBOL_UNKNOWN && !strcmp(mention.name, search->wanted->name);
        if (loose || same_thing(&mention, search->wanted)) search->visit(server, group, analysis, &mention, search->to);
    }
}

static bool is_shared(const Mention *mention)
{
    return mention->path && mention->kind != SYMBOL_SIZE && mention->kind != SYMBOL_SELF;
}

static bool uses_path(const Analysis *analysis, const char *path)
{
    const char *used;
    for (int i = 0; (used = analysis_used(analysis, i)); i++)
        if (!strcmp(used, path)) return true;
    return false;
}

/* Another file of the workspace, open or on disk, if it uses the one that declares the name. */
static void visit_file(Server *server, const char *path, void *to)
{
    Search *search = to;
    size_t length = 0;
    if (!strcmp(path, search->skip)) return;
    Group *open = group_of_path(server, path), closed = {.path = (char *)(uintptr_t)path};
    char *text = open ? NULL : file_read(path, &length);
    bool own = !strcmp(path, search->wanted->path);
    if (open && group_text(open)) length = open->length;
    const char *look = open ? open->text : text;
    if (!look || !memmem(look, length, search->wanted->name, strlen(search->wanted->name)) ||
        (!own && !search->wanted->library && !memmem(look, length, "use ", 4))) {
        free(text);
        return;
    }
    char *uri = open ? NULL : uri_of_path(path);
    Text single = {.uri = uri, .text = text, .length = length, .group = &closed};
    Analysis *analysis = open ? group_analyse(server, open, NULL)
                              : session_analyse(server->session, path, text, length, ANALYSE_ALL, NULL, NULL);
    bool fine = analysis && (own || search->wanted->library || uses_path(analysis, search->wanted->path));
    if (fine && !open && uri && lines_make(&single.lines, text, length)) {
        closed.texts = &single;
        closed.text = text;
        closed.length = length;
        visit_all(server, &closed, analysis, search);
        lines_clear(&single.lines);
    } else if (fine && open) {
        visit_all(server, open, analysis, search);
    }
    if (!open) analysis_free(analysis);
    free(uri);
    free(text);
}

static void visit_everywhere(Server *server, const Found *found, Visit *visit, void *to)
{
    Mention wanted = found->mention;
    char *path = wanted.path ? strdup(wanted.path) : NULL, *name = strdup(wanted.name);
    if (name && (path || !wanted.path)) {
        wanted.path = path;
        wanted.name = name;
        Search search = {.wanted = &wanted, .visit = visit, .to = to, .skip = found->group->path};
        visit_all(server, found->group, found->analysis, &search);
        if (is_shared(&wanted) && !found->group->notebook) files_visit(server, visit_file, &search);
    }
    free(path);
    free(name);
}

typedef struct Listing { json_t *list; bool declarations; } Listing;

static void list_one(Server *server, Group *group, Analysis *analysis, const Mention *mention, void *to)
{
    Listing *listing = to;
    (void)analysis;
    if (mention->kind == SYMBOL_UNKNOWN || (mention->declares && !listing->declarations)) return;
    json_t *at = group_location(server, group, mention->start, mention->end);
    if (at) json_array_append_new(listing->list, at);
}

json_t *handle_references(Server *server, const json_t *params, Failure *failure)
{
    Found found;
    if (!find_name(server, params, &found, failure)) return NULL;
    const json_t *context = json_object_get(params, "context");
    Listing listing = {json_array(), !json_is_false(json_object_get(context, "includeDeclaration"))};
    visit_everywhere(server, &found, list_one, &listing);
    return listing.list;
}

json_t *handle_highlight(Server *server, const json_t *params, Failure *failure)
{
    enum { READ = 2, WRITE = 3 };
    Found found;
    json_t *list = json_array();
    if (!find_name(server, params, &found, failure)) {
        json_decref(list);
        return NULL;
    }
    for (int i = 0; i < analysis_count(found.analysis); i++) {
        Mention mention;
        analysis_mention(found.analysis, i, &mention);
        if ((i != found.at && !same_thing(&mention, &found.mention)) || group_at(found.group, mention.start) != found.text)
            continue;
        json_array_append_new(list, json_pack("{so si}", "range",
                                              group_range(server, found.group, mention.start, mention.end, NULL), "kind",
                                              mention.writes ? WRITE : READ));
    }
    return list;
}

/* ---- renaming ---- */

json_t *handle_prepare_rename(Server *server, const json_t *params, Failure *failure)
{
    Found found;
    if (!find_name(server, params, &found, failure))
        return failure->code ? NULL : fail(failure, FAIL_REFUSED, "there is no name here");
    char *why = analysis_refuses(found.analysis, found.at);
    if (why) fail(failure, FAIL_REFUSED, "%.300s", why);
    bool refused = why != NULL;
    free(why);
    if (refused) return NULL;
    return json_pack("{so ss}", "range", group_range(server, found.group, found.mention.start, found.mention.end, NULL),
                     "placeholder", found.mention.name);
}

typedef struct Renaming {
    json_t *changes;
    const char *name;
    const Group *own;         /* whose names have been looked at already */
    char *why;                /* it cannot be done; malloc'ed */
} Renaming;

static void refuse(Renaming *renaming, const Group *group)
{
    static const char said[] = "it is not certain what the name means in ";
    if (renaming->why) return;
    renaming->why = malloc(sizeof said + strlen(group->path));
    if (renaming->why) strcat(strcpy(renaming->why, said), group->path);
}

static void rename_one(Server *server, Group *group, Analysis *analysis, const Mention *mention, void *to)
{
    Renaming *renaming = to;
    const char *uri = NULL;
    bool other = group != renaming->own;
    if (other && mention->declares && !renaming->why)
        renaming->why = analysis_rename(server->session, analysis, analysis_find(analysis, mention->start), renaming->name);
    if (other && !mention->sure) refuse(renaming, group);
    if (mention->kind == SYMBOL_UNKNOWN || !mention->sure) return;
    json_t *range = group_range(server, group, mention->start, mention->end, &uri);
    json_t *list = uri ? json_object_get(renaming->changes, uri) : NULL;
    if (uri && !list) json_object_set_new(renaming->changes, uri, list = json_array());
    if (list) json_array_append_new(list, json_pack("{so ss}", "range", range, "newText", renaming->name));
    else json_decref(range);
}

json_t *handle_rename(Server *server, const json_t *params, Failure *failure)
{
    Found found;
    const char *name = text_of(params, "newName");
    if (!name) return fail(failure, FAIL_PARAMS, "newName was expected");
    if (!find_name(server, params, &found, failure))
        return failure->code ? NULL : fail(failure, FAIL_REFUSED, "there is no name here");
    bool elsewhere = found.mention.path && strcmp(found.mention.path, found.group->path) != 0;
    char *why = analysis_rename(server->session, found.analysis, found.at, name);
    if (why) fail(failure, FAIL_REFUSED, "%.300s", why);
    else if (elsewhere && found.group->notebook)
        fail(failure, FAIL_REFUSED, "%.100s is declared in a file: rename it there", found.mention.name);
    bool refused = why != NULL || failure->code;
    free(why);
    if (refused) return NULL;
    Renaming renaming = {.changes = json_object(), .name = name, .own = found.group};
    visit_everywhere(server, &found, rename_one, &renaming);
    if (!renaming.why) return json_pack("{so}", "changes", renaming.changes);
    fail(failure, FAIL_REFUSED, "%.300s", renaming.why);
    free(renaming.why);
    json_decref(renaming.changes);
    return NULL;
}
