/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Classes of codepoints and their case, from the C library's tables for C.UTF-8, which are opened beside the process's
   locale and never become it. Where a system has no such locale, ASCII is known. */
#include "letters.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

static locale_t unicode;
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void open_locale(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!unicode)
        unicode = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
}

static locale_t tables(void)
{
    pthread_once(&opened, open_locale);
    return unicode;
}

uint32_t letter_upper(uint32_t c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z' ? c - 0x20 : c;
    return tables() ? (uint32_t)towupper_l((wint_t)c, unicode) : c;
}

uint32_t letter_lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 0x20 : c;
    return tables() ? (uint32_t)towlower_l((wint_t)c, unicode) : c;
}

bool letter_is_letter(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return tables() && iswalpha_l((wint_t)c, unicode);
}

bool letter_is_upper(uint32_t c)
{
    return letter_lower(c) != c;
}

bool letter_is_lower(uint32_t c)
{
    return letter_upper(c) != c || c == 0xDF;
}

bool letter_is_space(uint32_t c)
{
    static const uint16_t others[] = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    if (c <= 0x20)
        return c == ' ' || (c >= '\t' && c <= '\r');
    for (unsigned i = 0; c >= 0x85 && i < sizeof others / sizeof *others; i++)
        if (c == others[i])
            return true;
    return c >= 0x2000 && c <= 0x200A;
}
