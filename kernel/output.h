/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a cell writes: the language's output and, through pipes in the place of standard output and error, what C libraries
   write, in one order. Text waits for more of its kind, for at most OUTPUT_DELAY seconds or OUTPUT_CHUNK bytes. Of a cell
   that writes more than the limit the beginning is shown as it comes and the end when the cell is done; what lies between
   is counted, not kept, so that memory stays bounded whatever is written.

   The language's output comes from the interpreter's thread, the iopub thread reads the pipes and keeps time. */
#ifndef TESSERA_OUTPUT_H
#define TESSERA_OUTPUT_H

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "../lang/lang.h"
#include "wire.h"

enum { OUTPUT_CHUNK = 1 << 16, OUTPUT_TAIL = 1 << 14, OUTPUT_LIMIT = 1 << 20 };
#define OUTPUT_DELAY 0.05
#define NO_DEADLINE ((double)INFINITY)

/* Called with the lock held; [parent] NULL: of no request. */
typedef void OutputEmit(void *user, Request *parent, OutputStream stream, const char *text, size_t length);

typedef struct Output {
    OutputEmit *emit;
    void *user;
    size_t limit;             /* of a cell, in bytes; 0: none */
    int wake;                 /* eventfd: there is a deadline now */
    int captured[2];          /* the pipes' ends to read from; -1: none */
    int original[2];          /* where 1 and 2 went before; -1 */
    pthread_mutex_t lock;     /* of the following */
    Request *parent;          /* retained: the cell whose output it is */
    bool muted, over;         /* nothing is shown; nothing more is */
    OutputStream stream;      /* of the text that waits */
    char *text;               /* OUTPUT_CHUNK bytes and a codepoint's */
    size_t used, sent, left_out;
    double since;             /* when the oldest byte that waits came */
    char *tail;               /* a ring of OUTPUT_TAIL bytes; NULL: there was no memory for it */
    size_t tail_used;         /* ever written to it */
} Output;

bool output_open(Output *output, OutputEmit *emit, void *user, size_t limit, int wake);
void output_close(Output *output);                       /* flushes first */
bool output_capture(Output *output);                     /* from now on 1 and 2 are read; false: errno says why not */
void output_release(Output *output);                     /* and are as before */

void output_begin(Output *output, Request *parent, bool muted);      /* of a cell: a new count */
/* The same in the midst of another cell, whose count and end are put back by output_resume. */
typedef struct OutputKept {
    Request *parent;
    bool muted, over;
    size_t sent, left_out, tail_used;
    char *tail;
} OutputKept;
void output_suspend(Output *output, OutputKept *kept, Request *parent, bool muted);
void output_resume(Output *output, OutputKept *kept);
void output_write(Output *output, OutputStream stream, const char *text, size_t length);
void output_drain(Output *output);                       /* takes what is in the pipes */
void output_flush(Output *output);                       /* all that was written before is sent: something else comes */
void output_finish(Output *output);                      /* of a cell: that, and the end of what was held back */
double output_deadline(Output *output);                  /* of seconds_now, or NO_DEADLINE */
void output_tick(Output *output, double now);

/* In [text], a line that carriage returns write over again and again becomes what it shows at last. Returns the length. */
size_t output_collapse(char *text, size_t length);

#endif
