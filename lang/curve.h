/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The course of one number over a run, in bounded memory, as text and as SVG: small enough to be drawn ten times a
   second. Invariant: each point is the mean of [per] values; when the room is full, pairs become one point. */
#ifndef TESSERA_CURVE_H
#define TESSERA_CURVE_H

#include "vm.h"

enum { CURVE_POINTS = 256 };

typedef struct Curve {
    int count;
    int64_t per, gathered;
    double sum;               /* of the values gathered for the next point */
    double y[CURVE_POINTS];
} Curve;

void curve_add(Curve *curve, double value);
/* Four lines of Braille, the range of the values at the left; nothing below two points. */
void curve_text(const Curve *curve, Text *out);
void curve_svg(const Curve *curve, Text *out);

#endif
