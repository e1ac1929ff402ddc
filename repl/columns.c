/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Widths from the C library's tables for C.UTF-8, which never become the process's locale. */
#include "columns.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

static locale_t tables(void)
{
    static locale_t unicode;
    if (!unicode) unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return unicode ? unicode : LC_GLOBAL_LOCALE;
}

/* The bytes of the character at [text], which is not the end, and its columns. */
static size_t take(const char *text, int *columns)
{
    wchar_t c;
    mbstate_t state = {0};
    size_t length = mbrtowc(&c, text, strlen(text), &state);
    if (length == 0 || length > 8) {                     /* no character: a byte, shown as one */
        *columns = 1;
        return 1;
    }
    *columns = wcwidth(c);
    if (*columns < 0) *columns = 0;
    return length;
}

size_t columns_cut(const char *text, int columns)
{
    locale_t before = uselocale(tables());
    size_t at = 0;
    while (text[at]) {
        int wide;
        size_t length = take(text + at, &wide);
        if ((columns -= wide) < 0) break;
        at += length;
    }
    uselocale(before);
    return at;
}

int columns_of(const char *text)
{
    locale_t before = uselocale(tables());
    int count = 0, wide;
    for (; *text; count += wide) text += take(text, &wide);
    uselocale(before);
    return count;
}
