/* SPDX-License-Identifier: GPL-3.0-or-later */
/* UTF-8 by codepoint, and how wide a terminal shows one. */
#ifndef TESSERA_UTF8_H
#define TESSERA_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the codepoint at [text], 1 to 4, or 0 when broken (truncated, overlong, a surrogate, too large). */
int utf8_decode(const char *text, size_t length, uint32_t *codepoint);
/* Writes 1 to 4 bytes; 0 when [codepoint] is none. */
int utf8_encode(uint32_t codepoint, char *bytes);
/* Offset of the first broken byte, or [length]. */
size_t utf8_check(const char *text, size_t length);
/* Terminal columns: 0 for combining marks and controls, 2 for East Asian wide and emoji, else 1. */
int utf8_width(uint32_t codepoint);

#endif
