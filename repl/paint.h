/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows the text that readline edits: prompts, colours, wrapped lines, a window of it when it is taller than the screen.
   Only cells that changed are sent. Lines are never left to the terminal to wrap, so where each row is stays known. */
#ifndef TESSERA_PAINT_H
#define TESSERA_PAINT_H

#include "line.h"

typedef struct Picture {
    const char *prompt, *text;
    size_t length, point;            /* of the text, in bytes */
    const char *suggestion;          /* grey behind the text, or NULL */
    Highlight *(*highlight)(const char *text, size_t length, int *count);    /* of code; NULL: it is a line of text */
    bool color;
    bool own_prompt;                 /* the prompt is LINE_PROMPT, not a search or an argument */
} Picture;

void paint_start(void);                          /* the cursor stands at the start of an empty row */
void paint(const Picture *picture);
void paint_finish(const Picture *picture);       /* as it stays: whole, the cursor behind it */
void paint_returned(void);                       /* others moved the cursor to the start of its row */
void paint_hide(void);                           /* nothing of it is left, the cursor where it began */
void paint_clear(bool history);                  /* the screen too; its scrolled lines too */
/* The terminal has another size: what stood there is taken away, for the next paint. */
void paint_resize(void);
int paint_columns(void);
int paint_rows(void);
void paint_grey(bool on);                        /* what is printed next */
void paint_end(void);                            /* frees */

#endif
