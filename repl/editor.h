/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the line editor's files share: the line at hand, the keys typed ahead, and the commands of keys. */
#ifndef TESSERA_EDITOR_H
#define TESSERA_EDITOR_H

#include "line.h"

enum { INDENT = 4 };

typedef struct Editor {
    LineHost host;
    bool code;                   /* a statement or block is edited, not a line of text */
    bool stale;                  /* the screen does not show what the line has become */
} Editor;
extern Editor editor;

/* line.c: the next byte typed; -1: the input ended, Ctrl-C came, or for [seconds] there was none. */
int editor_next_key(int seconds);
void editor_untake_key(void);            /* the one that came last comes again */
void editor_below(void);                 /* the cursor to the row below the line: room for a list */
void editor_refresh(bool fresh);         /* draws all anew; [fresh]: in the row where the cursor stands */
void editor_clear(bool history);         /* an empty screen, the line on top */

/* keys.c */
void keys_bind(void);
const char *keys_suggestion(void);       /* what an earlier entry has behind the text before the cursor, or NULL */

/* paste.c: a command of readline, for the mark that begins a paste */
int paste_text(int count, int key);

/* complete.c */
void complete_bind(void);
void complete_close(void);

#endif
