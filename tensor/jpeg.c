/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks through a JPEG file before it is decoded: a scan may only name tables that the file has defined. The decoder
   believes scans, and reads what was never written where they are wrong (ITU T.81, annex B, has the segments). */
#include "jpeg.h"

enum { START = 0xD8, END = 0xD9, HUFFMAN = 0xC4, QUANTISER = 0xDB, FRAME_FIRST = 0xC0, FRAME_PROGRESSIVE = 0xC2,
       SCAN = 0xDA, RESTART_FIRST = 0xD0, RESTART_LAST = 0xD7, TEMPORARY = 0x01 };

typedef struct Jpeg {
    bool huffman[2][4];       /* defined so far: DC and AC */
    bool quantiser[4];
    bool progressive;
    int components;
    struct { unsigned char id, quantiser; } component[4];
} Jpeg;

static bool read_huffman(Jpeg *jpeg, const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        unsigned class = *at >> 4, table = *at & 15, codes = 0;
        if (end - at < 17 || class > 1 || table > 3) return false;
        for (int i = 1; i <= 16; i++) codes += at[i];
        if (codes > 256 || end - at < 17 + (long)codes) return false;
        jpeg->huffman[class][table] = true;
        at += 17 + codes;
    }
    return true;
}

static bool read_quantisers(Jpeg *jpeg, const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        unsigned wide = *at >> 4, table = *at & 15;
        if (wide > 1 || table > 3 || end - at < 1 + (wide ? 128 : 64)) return false;
        jpeg->quantiser[table] = true;
        at += 1 + (wide ? 128 : 64);
    }
    return true;
}

static bool read_frame(Jpeg *jpeg, bool progressive, const unsigned char *at, const unsigned char *end)
{
    if (end - at < 6 || jpeg->components) return false;
    int n = at[5];
    if (n < 1 || n > 4 || end - at < 6 + 3 * n) return false;
    jpeg->progressive = progressive;
    jpeg->components = n;
    for (int i = 0; i < n; i++) {
        jpeg->component[i].id = at[6 + 3 * i];
        jpeg->component[i].quantiser = at[8 + 3 * i];
    }
    return true;
}

/* Whether what one component of a scan is decoded with is there. */
static bool has_tables(const Jpeg *jpeg, unsigned char id, unsigned char tables, unsigned first, unsigned refined)
{
    bool dc = !jpeg->progressive || (first == 0 && refined == 0), ac = !jpeg->progressive || first > 0;
    if (dc && (tables >> 4 > 3 || !jpeg->huffman[0][tables >> 4])) return false;
    if (ac && ((tables & 15) > 3 || !jpeg->huffman[1][tables & 15])) return false;
    for (int i = 0; i < jpeg->components; i++)
        if (jpeg->component[i].id == id)
            return jpeg->component[i].quantiser < 4 && jpeg->quantiser[jpeg->component[i].quantiser];
    return false;
}

static bool check_scan(const Jpeg *jpeg, const unsigned char *at, const unsigned char *end)
{
    int n = end > at ? *at : 0;
    if (n < 1 || n > 4 || end - at < 4 + 2 * n) return false;
    const unsigned char *range = at + 1 + 2 * n;
    for (int i = 0; i < n; i++)
        if (!has_tables(jpeg, at[1 + 2 * i], at[2 + 2 * i], range[0], range[2] >> 4)) return false;
    return true;
}

/* The next marker's place behind the 0xFF, or [end]. */
static const unsigned char *next_marker(const unsigned char *at, const unsigned char *end)
{
    for (; end - at >= 2; at++)
        if (at[0] == 0xFF && at[1] != 0 && at[1] != 0xFF && !(at[1] >= RESTART_FIRST && at[1] <= RESTART_LAST)) return at + 1;
    return end;
}

bool jpeg_is_whole(const unsigned char *bytes, size_t length)
{
    const unsigned char *at = bytes + 2, *end = bytes + length;
    Jpeg jpeg = {0};
    while ((at = next_marker(at, end)) < end) {
        unsigned marker = *at++;
        if (marker == END) return true;
        if (marker == TEMPORARY || marker == START) continue;
        if (end - at < 2) return true;       /* cut off: the decoder says so */
        long size = at[0] << 8 | at[1];
        const unsigned char *body = at + 2, *stop = size >= 2 && size <= end - at ? at + size : end;
        bool fine = true;
        if (marker == HUFFMAN) fine = read_huffman(&jpeg, body, stop);
        else if (marker == QUANTISER) fine = read_quantisers(&jpeg, body, stop);
        else if (marker >= FRAME_FIRST && marker <= FRAME_PROGRESSIVE) {
            fine = read_frame(&jpeg, marker == FRAME_PROGRESSIVE, body, stop);
        } else if (marker == SCAN) fine = check_scan(&jpeg, body, stop);
        if (!fine) return false;
        at = stop;
    }
    return true;
}

bool jpeg_is_one(const unsigned char *bytes, size_t length)
{
    return length >= 3 && bytes[0] == 0xFF && bytes[1] == START && bytes[2] == 0xFF;
}
