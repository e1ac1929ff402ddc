/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a codepoint is: a letter, white space, capital or small. */
#ifndef TESSERA_LETTERS_H
#define TESSERA_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

uint32_t letter_upper(uint32_t c);     /* c itself when it has no capital of one codepoint */
uint32_t letter_lower(uint32_t c);
bool letter_is_letter(uint32_t c);
bool letter_is_upper(uint32_t c);
bool letter_is_lower(uint32_t c);
bool letter_is_space(uint32_t c);

#endif
