/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the prompt and its line editor, which is opened only when a terminal asks for it. */
#ifndef TESSERA_LINE_H
#define TESSERA_LINE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct LineHost {
    void *user;
    bool (*interrupted)(void *user);         /* Ctrl-C since the last call? */
    /* Candidates for the word that ends at [cursor], malloc'ed, NULL at the end; *start: where they begin. */
    char **(*complete)(void *user, const char *text, size_t cursor, size_t *start);
} LineHost;

typedef struct LineModule {
    void (*open)(const LineHost *host, const char *history);     /* NULL: keep no history */
    /* A malloc'ed line without its newline; NULL at the end of input, and with *cancelled after Ctrl-C. SIGINT's
       handler must be set. [prefill] stands on the line at first. */
    char *(*read)(const char *prompt, const char *prefill, bool *cancelled);
    void (*remember)(const char *text);
    void (*close)(void);                     /* writes the history */
} LineModule;

#endif
