/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where an error happened (Trace) and how it is shown: one renderer for the layout of every error, syntax errors
   included. It returns text and knows no terminal but the flag for colour. */
#ifndef TESSERA_DIAGNOSE_H
#define TESSERA_DIAGNOSE_H

#include "ast.h"
#include "value.h"

typedef struct TraceFrame {
    Source *source;           /* retained; NULL: no text is known */
    Span span;                /* of the call, innermost: of what failed */
    char *function;           /* owned copy; NULL or "": module level */
} TraceFrame;

typedef struct Trace {
    int count;
    int room;
    int64_t left_out;         /* frames beyond TRACE_MAX, between the innermost and the outermost ones */
    TraceFrame frame[];       /* innermost first */
} Trace;

#define TRACE_MAX 256

/* Appends the next outer frame; *trace NULL makes one. Beyond TRACE_MAX the middle is dropped and counted. False when
   memory is out; *trace stays valid. */
bool trace_add(Trace **trace, Source *source, Span span, const char *function);
void trace_free(Trace *trace);

typedef struct Diagnostic {
    const char *title;        /* "shape error" */
    const char *op;           /* "matmul", or "" or NULL */
    const char *message;
    const char *hint;         /* or NULL or "" */
    int n_operands;
    const ErrorOperand *operand;
    const char (*operand_name)[32];    /* names of the variables, "" unknown; NULL: none known */
    const Trace *trace;       /* or NULL */
} Diagnostic;

typedef struct DiagnoseOptions {
    bool color;               /* ANSI colours */
    bool library;             /* show library frames too */
} DiagnoseOptions;

/* Rendered text without a final newline, malloc'ed; NULL when memory is out. */
char *diagnose(const Diagnostic *diagnostic, const DiagnoseOptions *options);
char *diagnose_error(const ErrorObject *error, const DiagnoseOptions *options);
/* All syntax errors of [parse] (at most 10), first one first. */
char *diagnose_syntax(const Parse *parse, const DiagnoseOptions *options);

/* Columns that [length] bytes of UTF-8 take on a terminal, starting in column [column] (tabs stop every 8). */
int text_columns(const char *text, size_t length, int column);

#endif
