/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strings: immutable UTF-8 with a count of codepoints that is taken on first need. What strings can do in programs
   stands in the natives; here is only how they are made. Invariant: text is valid UTF-8 and ends in a 0. */
#include <stdlib.h>
#include <string.h>

#include "heap.h"

static String *allocate(size_t length)
{
    if (length >= UINT32_MAX)
        return NULL;
    String *string = heap_new(sizeof *string + length + 1);
    if (!string)
        return NULL;
    string->length = (uint32_t)length;
    string->codepoints = UINT32_MAX;
    return string;
}

Value string_new(const char *text, size_t length)
{
    String *string = allocate(length);
    if (!string)
        return VALUE_UNDEFINED;
    if (length)
        memcpy(string->text, text, length);
    return (Value){.tag = TAG_STRING, .string = string};
}

Value string_from(const char *text)
{
    return string_new(text, strlen(text));
}

Value string_concat(Value a, Value b)
{
    String *string = allocate((size_t)a.string->length + b.string->length);
    if (!string)
        return VALUE_UNDEFINED;
    memcpy(string->text, a.string->text, a.string->length);
    memcpy(string->text + a.string->length, b.string->text, b.string->length);
    return (Value){.tag = TAG_STRING, .string = string};
}

void string_free(String *string)
{
    heap_delete(string);
}
