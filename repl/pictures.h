/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the program and the module `pictures`, which alone links chafa: what a terminal can show, and PNG
   files in its words. */
#ifndef TESSERA_PICTURES_H
#define TESSERA_PICTURES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum PictureKind { PICTURE_NONE, PICTURE_BLOCKS, PICTURE_SIXEL, PICTURE_ITERM2, PICTURE_KITTY } PictureKind;

typedef void PictureSink(void *to, const char *bytes, size_t length);

typedef struct PictureTerminal {
    PictureKind kind;
    int cell_width, cell_height;             /* pixels; 0: unknown */
} PictureTerminal;

typedef struct PictureModule {
    /* What the terminal behind [in] and [out] can show. Where that is not known beforehand it is asked, for a tenth of a
       second at most; keys that were typed meanwhile go to [typed]. */
    PictureTerminal (*detect)(int in, int out, PictureSink *typed, void *to);
    /* Writes a PNG file in the terminal's words, no larger than [columns] and [rows], at the cursor, which stands in the
       first column and ends on the picture's last row: that many rows are given. 0: it cannot be shown. An [id] above 0 is
       the picture's, in the place of that which had it. */
    int (*draw)(const PictureTerminal *terminal, int id, const char *png, size_t length, int columns, int rows,
                PictureSink *sink, void *to);
} PictureModule;

#endif
