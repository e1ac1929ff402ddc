/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the prompt and its line editor, which is opened only when a terminal asks for it. */
#ifndef TESSERA_LINE_H
#define TESSERA_LINE_H

#include "../lang/lang.h"

#define LINE_PROMPT ">>> "
#define LINE_MORE "... "

typedef struct LineHost {
    void *user;
    Session *session;                        /* completes and judges code */
    Highlight *(*highlight)(const char *text, size_t length, int *count);
    bool color;
    bool (*interrupted)(void *user);         /* Ctrl-C since the last call? */
    int wake;                                /* a descriptor to watch while a line is edited, or -1 */
    void (*woken)(void *user);               /* it can be read; the line is off the screen meanwhile, output is welcome */
} LineHost;

typedef struct LineModule {
    void (*open)(const LineHost *host);
    /* What was typed, malloc'ed, without its last newline; NULL at the end of input, and with *cancelled after Ctrl-C.
       SIGINT's handler must be set. [prompt] NULL: a whole statement or block, with completion, colours and history,
       under prompts of its own; else one line of text. [prefill] stands there at first. */
    char *(*read)(const char *prompt, const char *prefill, bool *cancelled);
    void (*remember)(const char *entry);     /* for Up and Ctrl-R; the file of it is the caller's */
    void (*unread)(const char *bytes, size_t length);   /* read by others, but typed: comes before what follows */
    void (*close)(void);
} LineModule;

#endif
