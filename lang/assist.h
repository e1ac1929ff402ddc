/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What completion (assist.c) and inspection (inspect.c) share: names in a text that is perhaps unfinished, and what they
   stand for. Nothing is run for it. */
#ifndef TESSERA_ASSIST_H
#define TESSERA_ASSIST_H

#include "session.h"

bool assist_is_word(char c);

typedef struct Place {
    bool comment;
    bool string_open;
    size_t string;            /* its quote */
    bool has_call, has_index; /* the innermost open bracket is that of a call (or a parenthesis), of a subscript */
    size_t call, index;       /* where it is */
    size_t key, key_length;   /* of `name=` before the cursor in a call; length 0: none */
    bool has_command;
    size_t command;           /* its colon */
} Place;
/* [text] ends in a 0 somewhere behind [cursor]. */
void assist_place(const char *text, size_t cursor, Place *place);

/* One parameter as its signature writes it: "axis:int=-1". */
typedef struct SignaturePart {
    const char *at;
    size_t length, name_start, name;      /* name: its length */
    const char *type, *fallback;          /* or NULL */
    size_t type_length, fallback_length;
    bool rest;
} SignaturePart;
/* The next part of what stands between the brackets of a signature. */
bool assist_next_part(const char **text, SignaturePart *part);
/* The inside of a builtin's signature; NULL: none is called so. */
const char *assist_signature(const char *name);
/* session_complete, with paths that go out from [folder] (NULL: from the process's), guessing at names from [guess] on. */
bool assist_complete(Session *session, const char *text, size_t length, size_t cursor, const char *folder, size_t guess,
                     Completions *out);

/* Where the chain of names and dots that ends at [end] begins. */
size_t assist_chain_start(const char *text, size_t end);
/* The value of `a.b.c` in text[start..end); UNDEFINED when there is none. */
Value assist_chain_value(Vm *vm, const char *text, size_t start, size_t end);

/* The declaration of a library name on one line, up to its body, and its ## lines. */
struct EmbeddedName;
void library_header(const struct EmbeddedName *name, Text *out);
void library_doc(const struct EmbeddedName *name, Text *out);

#endif
