/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Standard output and error as a session's callbacks write them, and the bars of progress. */
#ifndef TESSERA_SCREEN_H
#define TESSERA_SCREEN_H

#include <pthread.h>

#include "../lang/lang.h"
#include "pictures.h"

enum { DRAWN_MAX = PROGRESS_LINES + 8 };

typedef struct Screen {
    bool out_terminal, err_terminal;
    bool dumb;                /* no terminal whose cursor can be moved */
    bool color, utf8;
    int out_error;            /* errno of the first failed write */
    bool mid_line;            /* the last thing written to standard output ended no line */
    double last_output;
    int drawn;                /* lines of progress that stand on the terminal, the cursor in the last */
    int drawn_columns[DRAWN_MAX];
    double last_plain;
    bool pictures_sought;     /* the terminal was asked; what it can show: */
    const PictureModule *pictures;
    PictureTerminal terminal;
    char *typed;              /* keys that came with its answers */
    size_t n_typed;
    int above_id, above_rows; /* the display that ends right above the cursor; 0 rows: none does */
    bool held;                /* more comes at once: nothing is written before the buffer is full */
    pthread_t owner;          /* the one thread that writes; what others put out waits as notes */
    pthread_mutex_t lock;     /* of the notes */
    struct Note *notes, **last_note;
    int wake[2];              /* a pipe that tells of notes, once it was asked for */
    size_t used;
    char buffer[1 << 15];
} Screen;

void screen_open(Screen *screen);
void screen_flush(Screen *screen);
/* From any thread. */
void screen_output(Screen *screen, OutputStream stream, const char *text, size_t length);
void screen_show(Screen *screen, const Display *display);
const char *screen_picture_forms(Screen *screen);            /* asks the terminal when it is first called */
void screen_write_error(const char *text, size_t length);
double screen_now(void);                     /* seconds of a clock that only runs forward */
int screen_wake(Screen *screen);             /* can be read when there are notes; -1: cannot be had */
void screen_take_notes(Screen *screen);      /* puts out what waits */
void screen_progress(Screen *screen, const Progressed *progress);
void screen_end_progress(Screen *screen);    /* after an error: what is drawn stays as it is */
void screen_erase_progress(Screen *screen);  /* until it is drawn again */
int screen_width(const Screen *screen);      /* 0: unknown */
int screen_height(const Screen *screen);

#endif
