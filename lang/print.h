/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that print share: a Printer, numbers, and columns. Only print*.c, format.c and natives include it. */
#ifndef TESSERA_PRINT_H
#define TESSERA_PRINT_H

#include "vm.h"

typedef struct Printer {
    Vm *vm;
    Text *out;
    int width;
    bool flat;                /* never break lines */
} Printer;

void text_string(Text *text, const char *string);
void text_int(Text *text, int64_t number);
void text_spaces(Text *text, int count);
/* One line of at most [most] characters, then …; controls, which terminals might obey, are marked. */
void print_line(Text *out, const char *text, size_t length, int64_t most);
/* Prose in lines of [width]: broken at spaces, [used] columns of the first line taken, the other lines indented. Lines that
   start with a space, as examples do, stay as they are. */
void print_wrapped(Text *out, const char *text, size_t length, int used, int indent, int width);
int print_columns(const char *bytes, size_t length);
int print_width(Vm *vm);
bool print_is_word(const char *text);                          /* could be a name */
void print_float(Text *out, double number, Dtype dtype);     /* the dtype of which it is a number */
void print_object(Printer *p, const Object *object);          /* the tree of a model (print_model.c) */
void html_object(Vm *vm, const Object *object, Text *out);     /* the same, to be folded in a page */
void print_thousands(Text *out, int64_t number);               /* 1,234,567 (format.c) */

#endif
