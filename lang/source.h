/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A Source keeps a text and its lines; a Span is a piece of it. Everything that can fail later carries a Span. */
#ifndef TESSERA_SOURCE_H
#define TESSERA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Span { uint32_t start, end; } Span;      /* byte offsets, end excluded */

typedef struct Source {
    int32_t refs;
    char *name;               /* "train.tsr", "nn/linear.tsr", "<input 3>" */
    char *text;               /* valid UTF-8, terminated by a 0 that is not counted */
    uint32_t length;
    uint32_t *line_start;     /* offsets of line starts */
    uint32_t n_lines;
    uint32_t *statement;      /* where statements begin, in no order: what was compiled says it (compile.c) */
    uint32_t n_statements, statement_room;
    bool library;             /* shipped with Tessera: its frames are hidden by default */
} Source;

/* Copies [text]; NULL when memory is out. */
Source *source_new(const char *name, const char *text, size_t length, bool library);
static inline Source *source_retain(Source *source) { if (source) source->refs++; return source; }
void source_release(Source *source);
/* 1-based line and column (in codepoints) of an offset */
void source_locate(const Source *source, uint32_t offset, uint32_t *line, uint32_t *column);
bool source_note_statement(Source *source, uint32_t start);    /* false: memory is out */
/* The first statement that begins in a 1-based line or after it; UINT32_MAX: none does. */
uint32_t source_statement_from(const Source *source, uint32_t line);
/* The text of a 1-based line without its newline. */
const char *source_line(const Source *source, uint32_t line, uint32_t *length);

#endif
