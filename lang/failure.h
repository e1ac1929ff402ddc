/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was in the frames of the last error that nothing caught, kept for :up, :down and :locals until the next one. */
#ifndef TESSERA_FAILURE_H
#define TESSERA_FAILURE_H

#include "code.h"

typedef struct FailedLocal {
    const char *name;
    bool captured;
    Value value;              /* UNDEFINED: none yet, none any more, or too large to keep */
    char type[64];            /* of a value that is not kept; or "" */
} FailedLocal;

typedef struct FailedFrame {
    Source *source;
    Span span;                /* what it was doing */
    struct Module *module;
    const char *function;
    int count;
    FailedLocal *local;
} FailedFrame;

typedef struct Failure {
    int count;                /* innermost first */
    int left_out;             /* outer frames that were not kept */
    FailedFrame frame[];
} Failure;

/* The machine's frames as they are now; NULL where none are open, something will catch the error, or memory is out. */
Failure *failure_take(const Vm *vm);
bool failure_caught(const Vm *vm);            /* the error under way, by code of the language */
void failure_free(Failure *failure);

#endif
