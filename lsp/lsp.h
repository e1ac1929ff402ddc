/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language server: one thread that reads messages, keeps the open texts, and asks lang.h what they mean. Nothing of a
   program is ever run. Files: wire.c frames messages, main.c is the server's life, methods.c the table of what it
   understands, texts.c positions and texts, groups.c what belongs together and its analysis, files.c paths and files on
   disk, assist.c completion and hover, names.c definitions and renaming, outline.c symbols, show.c colours, shapes and
   formatting, diagnose.c findings.

   A Group is what is analysed as one: a file, or all cells of a notebook. Offsets are bytes of the group's text; positions
   of the protocol belong to one Text. */
#ifndef TESSERA_LSP_H
#define TESSERA_LSP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lang/lang.h"

typedef enum Encoding { ENCODING_UTF8, ENCODING_UTF16, ENCODING_UTF32 } Encoding;

/* ---- texts.c ---- */
typedef struct Lines {        /* of a text that lives as long */
    const char *text;
    size_t length;
    uint32_t *start;
    uint32_t count;
} Lines;
bool lines_make(Lines *lines, const char *text, size_t length);
void lines_clear(Lines *lines);
size_t lines_offset(const Lines *lines, Encoding encoding, int64_t line, int64_t character);   /* clamped into the text */
json_t *lines_position(const Lines *lines, Encoding encoding, size_t offset);
json_t *lines_range(const Lines *lines, Encoding encoding, size_t start, size_t end);
int64_t lines_units(const Lines *lines, Encoding encoding, size_t start, size_t end);         /* the length in characters */

typedef struct Group Group;
typedef struct Text {         /* an open document */
    struct Text *next;        /* in its group */
    Group *group;
    char *uri;
    json_int_t version;
    char *text;
    size_t length;
    size_t base;              /* where it begins in the group's text */
    Lines lines;
} Text;

/* ---- groups.c ---- */
struct Group {
    Group *next;
    char *uri;                /* of the file or notebook */
    char *path;
    bool notebook;
    json_t *cells;            /* of a notebook: the uris of its cells in order */
    Text *texts;
    char *text;               /* all of it, line ends as \n; NULL: to be put together */
    size_t length;
    Analysis *analysis;       /* of [text]; NULL: to be made */
    json_t *used;             /* paths of the files that it used last */
    bool pending;             /* findings are to be published */
    double changed, due;      /* when it first changed since, when its findings are due */
};

typedef enum State { STATE_NEW, STATE_OPEN, STATE_SHUT } State;

typedef struct Server {
    Session *session;
    const char *library;
    int in, out;
    State state;
    bool closed, ended;       /* nothing more comes in; all is over */
    Encoding encoding;
    bool snippets, markdown, watches, trace, hierarchical, related;
    pid_t parent;
    json_t *roots;            /* paths */
    Group *groups;
    json_t *queue;            /* messages that were read and not answered */
    struct Wire *wire;
    json_int_t last_id;       /* of requests of our own */
} Server;

typedef struct Failure { int code; char message[400]; } Failure;
enum {
    FAIL_PARSE = -32700, FAIL_REQUEST = -32600, FAIL_METHOD = -32601, FAIL_PARAMS = -32602, FAIL_INTERNAL = -32603,
    FAIL_NOT_INITIALIZED = -32002, FAIL_CANCELLED = -32800, FAIL_REFUSED = -32803
};
json_t *fail(Failure *failure, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));   /* NULL */

double now(void);             /* seconds */
Group *group_open(Server *server, const char *uri, bool notebook);
void group_close(Server *server, Group *group);
Group *group_find(const Server *server, const char *uri);
Group *group_of_path(const Server *server, const char *path);
Text *text_open(Group *group, const char *uri, const char *text, size_t length, json_int_t version);
void text_close(Text *text);
Text *text_find(const Server *server, const char *uri);
bool text_edit(Text *text, Encoding encoding, const json_t *changes, json_int_t version);
void group_changed(Server *server, Group *group);         /* its text, or a file that it uses */
void path_changed(Server *server, const char *path);      /* and so all that use it */
bool group_text(Group *group);                            /* puts group->text together */
Analysis *group_analyse(Server *server, Group *group, AnalysisStop *stop);   /* kept; NULL: stopped, or memory is out */
Text *group_at(const Group *group, size_t offset);        /* the text that an offset of the group lies in */
/* What { textDocument, position } says. False: *failure. */
bool find_place(Server *server, const json_t *params, Text **text, size_t *offset, Failure *failure);
Text *find_text(Server *server, const json_t *params, Failure *failure);
json_t *group_range(const Server *server, const Group *group, size_t start, size_t end, const char **uri);

/* ---- files.c ---- */
char *path_of_uri(const char *uri);                       /* malloc'ed; of a uri that is no file's the uri itself */
char *uri_of_path(const char *path);
char *file_read(const char *path, size_t *length);
char *opened_text(void *user, const char *path, size_t *length);      /* for SessionConfig */
char *library_path(const Server *server, const char *path);           /* a file to look at; written when it is missing */
char *error_page(const char *kind);                       /* its uri, malloc'ed; NULL: there is none */
/* { uri, range } of a piece of a file, open or not; NULL: it cannot be read. */
json_t *file_location(Server *server, const char *path, bool library, size_t start, size_t end);
typedef void FileVisit(Server *server, const char *path, void *to);
void files_visit(Server *server, FileVisit *visit, void *to);         /* sources in the workspace */

/* ---- diagnose.c ---- */
void diagnose_due(Server *server);                        /* publishes what is due */
double diagnose_wait(const Server *server);               /* seconds until something is; negative: nothing waits */
void diagnose_forget(Server *server, const char *uri);    /* publishes that there is nothing */
bool input_waits(void *user);

/* ---- wire.c ---- */
typedef struct Wire Wire;
Wire *wire_new(void);
void wire_free(Wire *wire);
bool wire_fill(Wire *wire, int fd);                       /* false: the end */
typedef enum WireNext { WIRE_NONE, WIRE_MESSAGE, WIRE_BROKEN } WireNext;
WireNext wire_next(Wire *wire, json_t **message);
bool send_take(Server *server, json_t *message);
void notify_take(Server *server, const char *method, json_t *params);
void log_message(Server *server, int type, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- assist.c ---- */
json_t *markup_take(const Server *server, char *text);

/* ---- methods.c ---- */
void message_handle(Server *server, json_t *message);

/* ---- capabilities.c ---- */
json_t *capabilities(const Server *server);
/* Kinds and modifiers of semantic tokens, in the order of the legend. */
typedef enum TokenType {
    TYPE_NAMESPACE, TYPE_CLASS, TYPE_TYPE_PARAMETER, TYPE_PARAMETER, TYPE_VARIABLE, TYPE_PROPERTY, TYPE_FUNCTION,
    TYPE_METHOD, TYPE_KEYWORD, TYPE_COMMENT, TYPE_STRING, TYPE_NUMBER, TYPE_OPERATOR, TYPE_COUNT
} TokenType;
enum { MODIFIER_DECLARATION = 1, MODIFIER_LIBRARY = 2 };

/* Each handler gives the result, or NULL with *failure; of a notification nobody asks. */
#define METHOD(name, handler, is_request) json_t *handle_##handler(Server *server, const json_t *params, Failure *failure);
#include "methods.def"
#undef METHOD

static inline const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

#endif
