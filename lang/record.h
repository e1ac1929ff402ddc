/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a session was given and what it showed, for :save. Bounded: of long sessions the oldest outputs go first, then
   the oldest inputs. */
#ifndef TESSERA_RECORD_H
#define TESSERA_RECORD_H

#include "lang.h"
#include "vm.h"

typedef struct RecordOutput {
    bool is_stream;
    OutputStream stream;
    Text text;                /* of a stream */
    Display *display;
} RecordOutput;

typedef struct Record {
    struct Record *next;      /* the one after it */
    char *input;
    int number;               /* 1 first */
    int n_outputs;
    RecordOutput *output;
    Display *result;          /* the echo, or NULL */
    char *error, *error_kind, *error_message;
    size_t bytes;             /* of outputs and result */
} Record;

typedef struct Records {
    Record *first, *last;
    Record *open;             /* that runs now; NULL: none */
    int count;                /* ever begun */
    size_t bytes;
} Records;

void record_begin(Records *records, const char *text, size_t length);
void record_stream(Records *records, OutputStream stream, const char *text, size_t length);
void record_display(Records *records, const Display *display);
void record_edited(Records *records, const char *text, size_t length);     /* the input stands for this */
void record_end(Records *records, const EvalResult *result);
void record_open_again(Records *records, const Record *record);            /* which may have been dropped meanwhile */
void records_clear(Records *records);

#endif
