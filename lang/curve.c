/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A curve that is drawn while it grows. Values that are not finite leave a gap. */
#include "curve.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 48, ROWS = 4, DOTS_X = 2 * COLUMNS, DOTS_Y = 4 * ROWS, SVG_WIDTH = 480, SVG_HEIGHT = 96 };

static void halve(Curve *curve)
{
    curve->count /= 2;
    for (int i = 0; i < curve->count; i++) curve->y[i] = (curve->y[2 * i] + curve->y[2 * i + 1]) / 2;
    curve->per *= 2;
}

void curve_add(Curve *curve, double value)
{
    if (curve->per == 0) curve->per = 1;
    curve->sum += value;
    if (++curve->gathered < curve->per) return;
    curve->y[curve->count++] = curve->sum / (double)curve->per;
    curve->sum = 0;
    curve->gathered = 0;
    if (curve->count == CURVE_POINTS) halve(curve);
}

/* False: there is no line to draw. */
static bool find_range(const Curve *curve, double *low, double *high)
{
    int finite = 0;
    *low = (double)INFINITY;
    *high = -(double)INFINITY;
    for (int i = 0; i < curve->count; i++) {
        if (!isfinite(curve->y[i])) continue;
        *low = fmin(*low, curve->y[i]);
        *high = fmax(*high, curve->y[i]);
        finite++;
    }
    return finite >= 2;
}

/* The height at [part] of the way, 0 to 1, as a share of the range from the top; nan in a gap. */
static double height(const Curve *curve, double part, double low, double high)
{
    double at = part * (curve->count - 1), whole = floor(at), more = at - whole;
    int i = (int)whole;
    double y = more > 0 ? curve->y[i] * (1 - more) + curve->y[i + 1] * more : curve->y[i];
    return high > low ? (high - y) / (high - low) : isfinite(y) ? 0.5 : y;
}

static void set_dot(unsigned char cell[ROWS][COLUMNS], int x, int y)
{
    static const unsigned char bits[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    cell[y / 4][x / 2] |= bits[y % 4][x % 2];
}

/* One dot a column, and those between it and the column before. */
static void plot_dots(const Curve *curve, double low, double high, unsigned char cell[ROWS][COLUMNS])
{
    int before = -1;
    for (int x = 0; x < DOTS_X; x++) {
        double share = height(curve, (double)x / (DOTS_X - 1), low, high);
        int y = isfinite(share) ? (int)lround(share * (DOTS_Y - 1)) : -1;
        if (y >= 0) set_dot(cell, x, y);
        for (int between = before; y >= 0 && before >= 0 && between != y; between += between < y ? 1 : -1)
            set_dot(cell, x, between);
        before = y;
    }
}

void curve_text(const Curve *curve, Text *out)
{
    unsigned char cell[ROWS][COLUMNS] = {{0}};
    double low, high;
    if (!find_range(curve, &low, &high)) return;
    plot_dots(curve, low, high, cell);
    for (int row = 0; row < ROWS; row++) {
        if (row == 0 || row == ROWS - 1) text_format(out, "%9.4g ", row == 0 ? high : low);
        else text_format(out, "%10s", "");
        for (int x = 0; x < COLUMNS; x++) {
            unsigned code = 0x2800U + cell[row][x];
            const char bytes[3] = {(char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F))};
            text_add(out, bytes, sizeof bytes);
        }
        text_add(out, "\n", 1);
    }
}

void curve_svg(const Curve *curve, Text *out)
{
    double low, high;
    if (!find_range(curve, &low, &high)) return;
    text_format(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
                "font-family=\"sans-serif\" font-size=\"11\" fill=\"gray\"><path fill=\"none\" stroke=\"#0072b2\" "
                "stroke-width=\"1.6\" d=\"", SVG_WIDTH, SVG_HEIGHT, SVG_WIDTH, SVG_HEIGHT);
    bool pen_down = false;
    for (int i = 0; i < curve->count; i++) {
        double part = (double)i / (curve->count - 1), share = height(curve, part, low, high);
        if (isfinite(share))
            text_format(out, "%c%.1f %.1f", pen_down ? 'L' : 'M', 56 + part * (SVG_WIDTH - 64), 8 + share * (SVG_HEIGHT - 16));
        pen_down = isfinite(share);
    }
    text_format(out, "\"/><text x=\"50\" y=\"12\" text-anchor=\"end\">%.4g</text><text x=\"50\" y=\"%d\" "
                "text-anchor=\"end\">%.4g</text></svg>", high, SVG_HEIGHT - 5, low);
}
