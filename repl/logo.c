/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The logo: a mosaic in the form of a T whose last tile is still to be filled in. One table of tiles gives the SVG and
   PNGs of any size that is a multiple of 32. */
#include "logo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { TILES = 5, SIDE = 64, MARGIN = 3, PITCH = 12, TILE = 10, CORNER = 2 };

static const char mosaic[TILES][TILES + 1] = {
    "rorar",
    "ts_tb",
    "btrsb",
    "sbotb",
    "tb?st",
};

static const struct { char letter; unsigned color; } glazes[] = {
    {'r', 0xd1495b}, {'o', 0xe27d3f}, {'a', 0xedae49}, {'_', 0xd1495b},      /* the T: warm */
    {'t', 0x30718a}, {'s', 0x66a3a8}, {'b', 0x1f4e66},                       /* the ground: cool */
};

static unsigned color_of(char letter)
{
    for (size_t i = 0; i < sizeof glazes / sizeof *glazes; i++)
        if (glazes[i].letter == letter) return glazes[i].color;
    return 0;
}

char *logo_svg(void)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (!out) return NULL;
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\">\n", SIDE, SIDE);
    for (int y = 0; y < TILES; y++)
        for (int x = 0; x < TILES; x++) {
            char letter = mosaic[y][x];
            int left = MARGIN + PITCH * x, top = MARGIN + PITCH * y;
            if (letter == '?')
                fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"none\" stroke=\"#%06x\" "
                             "stroke-width=\"2\" stroke-dasharray=\"3 2\"/>\n",
                        left + 1, top + 1, TILE - 2, TILE - 2, CORNER, color_of('r'));
            else
                fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"#%06x\"/>\n", left, top,
                        TILE, TILE, CORNER, color_of(letter));
        }
    fputs("</svg>\n", out);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

/* ---- PNG ---- */

/* Red, green, blue, opacity of a pixel of the logo at [side] pixels. */
static void pixel(int side, int x, int y, unsigned char *to)
{
    int scale = SIDE / side, column = (x * scale - MARGIN + PITCH) / PITCH - 1, row = (y * scale - MARGIN + PITCH) / PITCH - 1;
    int across = x * scale - MARGIN - PITCH * column, down = y * scale - MARGIN - PITCH * row;
    memset(to, 0, 4);
    if (column < 0 || row < 0 || column >= TILES || row >= TILES || across >= TILE || down >= TILE) return;
    char letter = mosaic[row][column];
    bool edge = across < 2 || down < 2 || across >= TILE - 2 || down >= TILE - 2;
    if (letter == '?' && (!edge || (across / 2 + down / 2) % 2)) return;
    unsigned color = color_of(letter == '?' ? 'r' : letter);
    to[0] = (unsigned char)(color >> 16);
    to[1] = (unsigned char)(color >> 8);
    to[2] = (unsigned char)color;
    to[3] = 255;
}

static unsigned char *put_number(unsigned char *to, unsigned long number)
{
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = (unsigned char)(number >> shift);
    return to;
}

/* Length, name, data, checksum of name and data. */
static unsigned char *put_chunk(unsigned char *to, const char *name, const unsigned char *data, size_t length)
{
    to = put_number(to, (unsigned long)length);
    unsigned char *start = to;
    memcpy(to, name, 4);
    if (length) memcpy(to + 4, data, length);
    to += 4 + length;
    return put_number(to, crc32(0, start, (unsigned)(4 + length)));
}

unsigned char *logo_png(int side, size_t *length)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char header[13], *end = put_number(put_number(header, (unsigned long)side), (unsigned long)side);
    size_t stride = 4 * (size_t)side + 1, rows = stride * (size_t)side;
    uLongf packed = compressBound(rows);
    unsigned char *raw = calloc(rows, 1), *data = malloc(packed), *file = malloc(packed + 80), *to = file;
    memcpy(end, "\x08\x06\0\0\0", 5);                      /* 8 bits, colour with opacity */
    for (int y = 0; raw && y < side; y++)
        for (int x = 0; x < side; x++) pixel(side, x, y, raw + stride * (size_t)y + 1 + 4 * (size_t)x);
    if (raw && data && file && compress2(data, &packed, raw, rows, 9) == Z_OK) {
        memcpy(to, signature, sizeof signature);
        to = put_chunk(to + sizeof signature, "IHDR", header, sizeof header);
        to = put_chunk(to, "IDAT", data, packed);
        to = put_chunk(to, "IEND", NULL, 0);
    }
    free(raw);
    free(data);
    *length = (size_t)(to - file);
    if (to != file) return file;
    free(file);
    return NULL;
}
