/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strings: UTF-8 that never changes while two hold it, with a count of codepoints that is taken on first need. What
   strings can do in programs stands in the natives; here is only how they are made. Invariant: text is valid UTF-8 and
   ends in a 0. */
#include <string.h>

#include "heap.h"

static size_t block_size(size_t room)
{
    return sizeof(String) + room + 1;
}

static String *allocate(size_t length)
{
    if (length >= UINT32_MAX)
        return NULL;
    String *string = heap_take(block_size(length));
    if (!string)
        return NULL;
    *string = (String){.refs = 1, .length = (uint32_t)length, .room = (uint32_t)length, .codepoints = UINT32_MAX};
    string->text[length] = 0;
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

/* Room for [length] bytes and half as many again, so that appending takes constant time on average. */
static String *grow(String *string, size_t length)
{
    size_t room = length + length / 2 < UINT32_MAX ? length + length / 2 : UINT32_MAX - 1;
    String *wider = heap_resize(string, block_size(string->room), block_size(room));
    if (wider)
        wider->room = (uint32_t)room;
    return wider;
}

bool string_append(Value *to, Value more)
{
    String *string = to->string;
    size_t length = (size_t)string->length + more.string->length;
    if (string->refs > 1 || string == more.string) {
        Value joined = string_concat(*to, more);
        if (joined.tag == TAG_UNDEFINED)
            return false;
        value_set(to, joined);
        return true;
    }
    if (length >= UINT32_MAX || (length > string->room && !(string = grow(string, length))))
        return false;
    to->string = string;
    memcpy(string->text + string->length, more.string->text, more.string->length + (size_t)1);
    string->length = (uint32_t)length;
    string->hash = 0;
    string->codepoints = UINT32_MAX;
    return true;
}

uint32_t string_points(String *string)
{
    if (string->codepoints == UINT32_MAX) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < string->length; i++)
            n += ((unsigned char)string->text[i] & 0xC0) != 0x80;
        string->codepoints = n;
    }
    return string->codepoints;
}

void string_free(String *string)
{
    heap_delete(string, block_size(string->room));
}
