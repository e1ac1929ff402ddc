/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-8 and terminal widths without the C library's locale, which a library must not set. The width ranges are coarse
   blocks of Unicode: carets line up for what people write, not for every codepoint. */
#include "utf8.h"

#include <stdbool.h>

int utf8_decode(const char *text, size_t length, uint32_t *codepoint)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (length == 0) return 0;
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80) {
        *codepoint = byte[0];
        return 1;
    }
    int size = byte[0] >= 0xF0 && byte[0] < 0xF8 ? 4 : byte[0] >= 0xE0 && byte[0] < 0xF0 ? 3
               : byte[0] >= 0xC2 && byte[0] < 0xE0 ? 2 : 0;
    if (size == 0 || (size_t)size > length) return 0;
    uint32_t value = byte[0] & (0x7Fu >> size);
    for (int i = 1; i < size; i++) {
        if ((byte[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (byte[i] & 0x3F);
    }
    if (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return 0;
    *codepoint = value;
    return size;
}

int utf8_encode(uint32_t codepoint, char *bytes)
{
    if (codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint < 0xE000)) return 0;
    if (codepoint < 0x80) {
        bytes[0] = (char)codepoint;
        return 1;
    }
    int size = codepoint < 0x800 ? 2 : codepoint < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (codepoint & 0x3F));
        codepoint >>= 6;
    }
    bytes[0] = (char)((0xF00u >> size & 0xFF) | codepoint);
    return size;
}

size_t utf8_check(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint32_t codepoint;
        int size = utf8_decode(text + at, length - at, &codepoint);
        if (size == 0) return at;
        at += (size_t)size;
    }
    return length;
}

typedef struct Range { uint32_t first, last; } Range;

static const Range invisible[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0E31, 0x0E31},
    {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x202A, 0x202E},
    {0x2060, 0x2064}, {0x20D0, 0x20F0}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF},
    {0xE0100, 0xE01EF},
};

static const Range wide[] = {
    {0x1100, 0x115F}, {0x231A, 0x231B}, {0x23E9, 0x23EC}, {0x25FD, 0x25FE}, {0x2614, 0x2615}, {0x2648, 0x2653},
    {0x26A1, 0x26A1}, {0x2705, 0x2705}, {0x270A, 0x270B}, {0x2728, 0x2728}, {0x274C, 0x274C}, {0x2753, 0x2755},
    {0x2795, 0x2797}, {0x2B1B, 0x2B1C}, {0x2B50, 0x2B50}, {0x2E80, 0x303E}, {0x3041, 0x33FF}, {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF}, {0xA000, 0xA4CF}, {0xA960, 0xA97C}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F18E},
    {0x1F191, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393},
    {0x1F3A0, 0x1F3CA}, {0x1F3E0, 0x1F3F0}, {0x1F400, 0x1F4FD}, {0x1F4FF, 0x1F53D}, {0x1F550, 0x1F567},
    {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool within(const Range *ranges, size_t count, uint32_t codepoint)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (codepoint > ranges[middle].last) low = middle + 1; else high = middle;
    }
    return low < count && codepoint >= ranges[low].first;
}

int utf8_width(uint32_t codepoint)
{
    if (codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0)) return 0;
    if (codepoint < 0x300) return 1;
    if (within(invisible, sizeof invisible / sizeof *invisible, codepoint)) return 0;
    return within(wide, sizeof wide / sizeof *wide, codepoint) ? 2 : 1;
}
