/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language's library as it lies in the program: sources of the standard modules and the examples, and an index of
   what each module exports. autotools/embed.sh writes the tables into lang/embedded.c at build time; a file is compiled
   when one of its names is first used. Names are sorted by module, then name, in byte order; examples have none. */
#ifndef TESSERA_EMBEDDED_H
#define TESSERA_EMBEDDED_H

#include <stdbool.h>
#include <stddef.h>

typedef struct EmbeddedFile {
    const char *path;              /* "nn/linear.tsr", from the top of the source tree */
    const unsigned char *text;     /* ends with a 0 that [length] does not count */
    size_t length;
} EmbeddedFile;
extern const EmbeddedFile embedded_files[];
extern const int embedded_file_count;

typedef struct EmbeddedName {
    const char *module, *name;     /* "nn", "Linear" */
    int file;                      /* index into embedded_files */
    bool is_model;                 /* else a function */
    int line;                      /* of its declaration, 1 first */
} EmbeddedName;
extern const EmbeddedName embedded_names[];
extern const int embedded_name_count;

#endif
