/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A terminal for tests: a program behind a pseudo-terminal, and what a person would see of it, cell by cell. */
#ifndef TESSERA_TERMINAL_H
#define TESSERA_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <vterm.h>

typedef struct Terminal {
    int file;
    pid_t child;
    VTerm *emulator;
    VTermScreen *screen;
    int rows, columns;
    size_t received;                     /* bytes so far */
} Terminal;

/* [variables]: NAME=VALUE, NULL at the end; NAME alone is unset. */
bool terminal_start(Terminal *t, int rows, int columns, char *const *arguments, const char *const *variables);
void terminal_type(Terminal *t, const char *keys);
void terminal_resize(Terminal *t, int rows, int columns);
/* Takes in what the program writes until [seconds] went by without anything new; at least once. */
void terminal_settle(Terminal *t, double seconds);
/* The screen without spaces at line ends and blank rows at its end, the cursor marked by ¦ if asked for. The text is good
   until the next call. */
const char *terminal_text(Terminal *t, bool cursor);
/* Waits until the screen is, or contains, [text]. */
bool terminal_is(Terminal *t, const char *text, double seconds);
bool terminal_has(Terminal *t, const char *text, double seconds);
VTermScreenCell terminal_cell(Terminal *t, int row, int column);
/* The index of the colour of a cell, -1 for the terminal's own. */
int terminal_color(Terminal *t, int row, int column);
/* Waits for the end of the program: its exit status, 128 + a signal, or -1 when it had to be killed. */
int terminal_finish(Terminal *t);

#endif
