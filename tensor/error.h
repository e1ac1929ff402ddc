/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One record for everything that can go wrong. The layer that notices fills it and returns false or NULL; layers above
   add what they know (lang: span, variable names, stack). Nobody prints here, nobody exits. The first error wins until
   it is cleared, so that a failing clean-up cannot hide the cause. */
#ifndef TESSERA_ERROR_H
#define TESSERA_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(default)   /* modules opened at run time call these */

typedef enum ErrorKind {
    ERROR_NONE,
#define ERROR(name, title) ERROR_##name,
#include "errors.def"
#undef ERROR
    ERROR_KIND_COUNT
} ErrorKind;

#define ERROR_MAX_OPERANDS 4

/* A tensor that took part: which input it was (0 first) and its printed type, such as "f32[32, 784]". */
typedef struct ErrorOperand {
    int input;
    char type[96];
} ErrorOperand;

typedef struct Error {
    ErrorKind kind;
    char op[32];              /* the op or function that failed, or "" */
    char message[480];        /* one line, without the op's name */
    char hint[240];           /* what to do about it, or "" */
    int n_operands;
    ErrorOperand operand[ERROR_MAX_OPERANDS];
} Error;

/* Fills [error] unless it is already set; always returns false, so that `return error_set(…)` reads well. */
bool error_set(Error *error, ErrorKind kind, const char *op, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void error_hint(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_clear(Error *error);
const char *error_kind_name(ErrorKind kind);   /* "shape" */
const char *error_kind_title(ErrorKind kind);  /* "shape error" */

#pragma GCC visibility pop

#endif
