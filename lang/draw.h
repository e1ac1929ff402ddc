/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the language and the module `plot`, which alone links cairo: a picture is a list of marks in pixels,
   y downwards, drawn in order. plot/plot.tsr decides what is drawn and where. */
#ifndef TESSERA_DRAW_H
#define TESSERA_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAW_WHY 200

typedef enum DrawKind {
    DRAW_LINE,                /* a polyline through points; a point that is not finite interrupts it */
    DRAW_FILL,                /* the polygon of the points */
    DRAW_CIRCLES,             /* discs of radius [size] around the points */
    DRAW_RECTS,               /* filled; four numbers each: x, y, width, height */
    DRAW_TEXT,                /* at the first point */
    DRAW_IMAGE,               /* pixels into the rectangle of the first four numbers, unsmoothed */
    DRAW_CLIP                 /* what follows is cut to the rectangle of the first four numbers; without points: no more */
} DrawKind;

typedef struct DrawMark {
    DrawKind kind;
    int64_t count;            /* points, or rectangles */
    const double *points;     /* [count, 2], or [count, 4] */
    const double *colors;     /* [count, 3] 0 to 1, one for each; NULL: color for all */
    double color[4];          /* red, green, blue, opacity */
    double width, size;       /* of lines; of letters or discs */
    double dash;              /* length of dashes; 0: none */
    const char *text;
    double align, angle;      /* 0: starts at the point, 0.5 centred, 1 ends there; degrees, counterclockwise */
    bool bold;
    const uint8_t *pixels;    /* [rows, columns, 3] */
    int rows, columns;
} DrawMark;

typedef bool DrawSink(void *to, const void *data, size_t bytes);

typedef struct PlotModule {
    /* [format] is "svg", "png" or "pdf"; [scale] pixels of the result for one of the picture (png). */
    bool (*draw)(const DrawMark *marks, int count, double width, double height, const char *format, double scale,
                 DrawSink *sink, void *to, char why[DRAW_WHY]);
} PlotModule;

extern const PlotModule tessera_module_plot;

#endif
