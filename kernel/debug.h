/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger as front ends see it: the Debug Adapter Protocol in `debug_request` and `debug_event`, with Jupyter's
   additions. All of it belongs to the interpreter's thread, which answers between two steps of a cell, and while the cell
   waits at a breakpoint. What a breakpoint, a frame and a variable are is the language's affair; here they get the
   protocol's form: debug.c has the conversation, debug_break.c breakpoints, debug_look.c frames and values,
   debug_complete.c completion, debug_source.c texts and their names.

   A cell is a source "<cell 3>" to the language. Front ends know it by a path made of the hash of its text, which they
   compute too; the same text run twice is two sources with one path. */
#ifndef TESSERA_DEBUG_H
#define TESSERA_DEBUG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lang/lang.h"

struct Kernel;
struct Request;

typedef struct Debugger {
    bool started;             /* between initialize and disconnect; without it nothing below is used */
    struct Request *client;   /* retained: events are part of its conversation */
    int lines_from, columns_from;        /* what the client calls the first: 0 or 1 */
    json_int_t events;        /* sent so far */
    json_t *dumped;           /* texts of cells that a client told: path -> code */
    json_t *breakpoints;      /* path -> list of what was asked for and what came of it */
    json_t *same;             /* numbers of breakpoints in sources that share a path: the language's -> the client's */
    uint32_t *hash;           /* of the text of cell [count] */
    int n_hashes;
    char *logged;             /* messages of breakpoints that were not told yet: OUTPUT_CHUNK bytes, or NULL */
    size_t n_logged;
    double logged_since;
    /* while a cell is stopped */
    const DebugStop *stop;
    bool resumed;             /* the loop ends, with */
    DebugAction action;
    json_int_t first_frame, frame;       /* what frames' numbers are counted from: since the stop, and now */
} Debugger;

/* A command under way. */
typedef struct DebugCall {
    struct Kernel *kernel;
    struct Request *request;
    Debugger *debugger;
    Session *session;
    const json_t *arguments;  /* an object */
    json_t *body;             /* of the answer: an object, for the command to fill */
    char *error;              /* malloc'ed: why it failed */
} DebugCall;

/* ---- debug.c ---- */
DebugAction debug_stopped(struct Kernel *kernel, const DebugStop *stop);  /* waits until somebody says how to go on */
void debug_logged(struct Kernel *kernel, const char *text, size_t length);           /* a breakpoint's message */
void debug_tell_logged(struct Kernel *kernel);           /* those that wait, now */
void debug_close(struct Kernel *kernel);
bool debug_waits_for_step(const struct Request *request);            /* it is a command that must not run inside an op */
/* The command fails, for this reason; returns false. */
bool debug_refuse(DebugCall *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool debug_refuse_result(DebugCall *call, const EvalResult *result);
void debug_event(struct Kernel *kernel, const char *name, json_t *body_taken);
char *debug_plain(const char *text);                     /* without its colours; malloc'ed */
/* Arguments. Those that are needed refuse the command and return NULL or false when they are not there; a number that may
   be left out is [otherwise] then. */
const char *debug_text(DebugCall *call, const char *key, size_t *length);
bool debug_number(DebugCall *call, const char *key, json_int_t *number);
bool debug_number_or(DebugCall *call, const char *key, json_int_t otherwise, json_int_t *number);
bool debug_thread(DebugCall *call);                      /* of the one thread there is */

/* ---- debug_break.c ---- */
/* A cell is about to run: breakpoints of its path hold in it. */
void debug_begin_cell(struct Kernel *kernel, const char *name, const char *text, size_t length);
/* Tells of breakpoints whose place is known now. */
void debug_tell_moved(struct Kernel *kernel);

/* ---- debug_look.c ---- */
/* The frame of 'frameId', 0 the innermost; where that is left out the innermost, or -1 while nothing is stopped. */
bool debug_frame(DebugCall *call, int *frame);

/* ---- debug_source.c ---- */
enum { DEBUG_PATH = 96 };
char *debug_path_of(uint32_t hash, char path[DEBUG_PATH]);           /* returns it */
uint32_t debug_hash(const char *text, size_t length);
/* The number of a source that is a cell, or 0. */
int debug_cell_number(const char *source);
/* What a path or the name of a source stands for; NULL: nothing that is known. */
const char *debug_find_text(DebugCall *call, const char *path, size_t *length);
/* A DAP Source. */
json_t *debug_source_of(Session *session, const char *name, bool library);
bool debug_is_cell_path(const char *path);
void debug_note_cells(struct Kernel *kernel);            /* hashes of the cells so far */
void debug_note_cell(Debugger *debugger, int number, uint32_t hash);

#define COMMAND(name, command, when, where, capability) bool debug_##name(DebugCall *call);
#include "dap.def"
#undef COMMAND

#endif
