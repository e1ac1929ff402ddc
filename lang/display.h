/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values as a front end can show them. Whoever wants a value to look like something gives it a method show() (an
   object) or a function under "show" (a map). It gives another value to be shown instead, or a map from mime types to
   contents: strings, u8 tensors for bytes, or functions that make them and are called only for a form that the front
   end asked for (SessionConfig.forms). */
#ifndef TESSERA_DISPLAY_H
#define TESSERA_DISPLAY_H

#include "lang.h"
#include "vm.h"

/* [v] as text and in those of [forms], mime types with spaces between, that it has; NULL with the error set. */
Display *display_of(Vm *vm, Value v, const char *forms);
/* What print shows of [v]: of objects the text that show() gives. */
bool display_print(Vm *vm, Value v, Text *out);
const char *display_forms(Vm *vm);                         /* what the front end can show */
Display *display_new(Vm *vm);                              /* without a form; NULL with the error set */
bool display_add(Vm *vm, Display *display, const char *mime, const char *data, size_t length);
Display *display_of_text(Vm *vm, const char *text, size_t length);     /* text/plain alone */
void display_free(Display *display);
/* Hands it to the front end, or writes its text where there is no callback. */
void display_send(Vm *vm, const Display *display);
/* Calls the handler of a comm's message (builtin_notebook.c); *known: there is one. */
bool comm_receive(Vm *vm, const CommMessage *message, bool *known);

#endif
