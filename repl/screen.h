/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard output and error as a session's callbacks write them, and the line of progress. */
#ifndef TESSERA_SCREEN_H
#define TESSERA_SCREEN_H

#include "../lang/lang.h"

typedef struct Meter {        /* one open progress */
    int id;
    char label[64], metrics[160];
    double step, total, elapsed;
} Meter;

enum { METERS_MAX = 6 };

typedef struct Screen {
    bool out_terminal, err_terminal;
    bool color, utf8;
    int out_error;            /* errno of the first failed write */
    bool mid_line;            /* the last thing written to standard output ended no line */
    double last_output;
    Meter meter[METERS_MAX];  /* outermost first */
    int n_meters;
    bool drawn;               /* a line of progress stands on the terminal */
    double last_drawn, last_plain;
    size_t used;
    char buffer[1 << 15];
} Screen;

void screen_open(Screen *screen);
void screen_flush(Screen *screen);
void screen_output(Screen *screen, OutputStream stream, const char *text, size_t length);
void screen_progress(Screen *screen, const ProgressState *state);
void screen_end_progress(Screen *screen);    /* after an error: the line stays as it is */
int screen_width(const Screen *screen);      /* 0: unknown */

#endif
