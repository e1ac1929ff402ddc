/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives on strings. Places and lengths count codepoints; bytes stay inside. */
#include <ctype.h>
#include <string.h>

#include "builtins.h"
#include "utf8.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool push_text(Vm *vm, Value list, const char *text, size_t length)
{
    Value string = string_new(text, length);
    return (string.tag != TAG_UNDEFINED && list_push_take(list.list, string)) || vm_out_of_memory(vm);
}

static bool split_words(Vm *vm, const String *s, Value list)
{
    for (size_t at = 0; at < s->length;) {
        while (at < s->length && is_space(s->text[at])) at++;
        size_t start = at;
        while (at < s->length && !is_space(s->text[at])) at++;
        if (at > start && !push_text(vm, list, s->text + start, at - start)) return false;
    }
    return true;
}

static bool split_at(Vm *vm, const String *s, const String *by, int64_t most, Value list)
{
    size_t start = 0;
    for (int64_t n = 0; most < 0 || n < most; n++) {
        const char *hit = memmem(s->text + start, s->length - start, by->text, by->length);
        if (!hit) break;
        size_t end = (size_t)(hit - s->text);
        if (!push_text(vm, list, s->text + start, end - start)) return false;
        start = end + by->length;
    }
    return push_text(vm, list, s->text + start, s->length - start);
}

bool native_split(Vm *vm, const Value *args, Value *result)
{
    Value list = list_new(0);
    if (list.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool words = args[1].tag == TAG_NONE;
    bool fine = words || args[1].string->length > 0 || vm_fail(vm, ERROR_value, "split", "by must not be empty");
    int64_t most = args[2].tag == TAG_NONE ? -1 : args[2].i;
    if (fine && words) fine = split_words(vm, args[0].string, list);
    else if (fine) fine = split_at(vm, args[0].string, args[1].string, most, list);
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool native_lines(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    Value list = list_new(0);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    for (size_t at = 0; fine && at < s->length;) {
        const char *hit = memchr(s->text + at, '\n', s->length - at);
        size_t end = hit ? (size_t)(hit - s->text) : s->length;
        size_t stop = end > at && s->text[end - 1] == '\r' ? end - 1 : end;
        fine = push_text(vm, list, s->text + at, stop - at);
        at = end + 1;
    }
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool native_join(Vm *vm, const Value *args, Value *result)
{
    Value list;
    if (!native_collect(vm, args[0], &list)) return false;
    Text text = {0};
    bool fine = true;
    for (int64_t i = 0; i < list.list->count && fine; i++) {
        if (i) text_add(&text, args[1].string->text, args[1].string->length);
        fine = value_print(vm, list.list->at[i], &text);
    }
    value_release(list);
    if (fine) return native_give_text(vm, &text, result);
    text_free(&text);
    return false;
}

bool native_trim(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    size_t start = 0, end = s->length;
    while (start < end && is_space(s->text[start])) start++;
    while (end > start && is_space(s->text[end - 1])) end--;
    return native_give(vm, string_new(s->text + start, end - start), result);
}

/* Letters of ASCII and Latin, Greek and Cyrillic capitals that lie a fixed distance from their small ones. */
static uint32_t change_case(uint32_t c, bool upper)
{
    if (c < 0x80) return (uint32_t)(upper ? toupper((int)c) : tolower((int)c));
    bool latin_small = c >= 0xE0 && c <= 0xFE && c != 0xF7, latin_large = c >= 0xC0 && c <= 0xDE && c != 0xD7;
    bool greek_small = c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2, greek_large = c >= 0x391 && c <= 0x3A9;
    bool cyrillic_small = c >= 0x430 && c <= 0x44F, cyrillic_large = c >= 0x410 && c <= 0x42F;
    if (upper) return latin_small || greek_small || cyrillic_small ? c - 0x20 : c;
    return latin_large || greek_large || cyrillic_large ? c + 0x20 : c;
}

/* Strings are valid UTF-8. */
static uint32_t decode(const char *text, size_t *length)
{
    uint32_t c = 0;
    int n = utf8_decode(text, 4, &c);
    *length = n > 0 ? (size_t)n : 1;
    return c;
}

static bool recase(Vm *vm, const String *s, bool upper, Value *result)
{
    Text text = {0};
    for (size_t at = 0, n; at < s->length; at += n) {
        char bytes[4];
        uint32_t c = change_case(decode(s->text + at, &n), upper);
        text_add(&text, bytes, (size_t)utf8_encode(c, bytes));
    }
    return native_give_text(vm, &text, result);
}

bool native_upper(Vm *vm, const Value *args, Value *result) { return recase(vm, args[0].string, true, result); }
bool native_lower(Vm *vm, const Value *args, Value *result) { return recase(vm, args[0].string, false, result); }

bool native_replace(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string, *old = args[1].string, *new = args[2].string;
    if (old->length == 0) return vm_fail(vm, ERROR_value, "replace", "old must not be empty");
    Text text = {0};
    const char *at = s->text, *end = s->text + s->length, *hit;
    while ((hit = memmem(at, (size_t)(end - at), old->text, old->length))) {
        text_add(&text, at, (size_t)(hit - at));
        text_add(&text, new->text, new->length);
        at = hit + old->length;
    }
    text_add(&text, at, (size_t)(end - at));
    return native_give_text(vm, &text, result);
}

bool native_starts_with(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    const String *s = args[0].string, *p = args[1].string;
    *result = value_bool(p->length <= s->length && memcmp(s->text, p->text, p->length) == 0);
    return true;
}

bool native_ends_with(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    const String *s = args[0].string, *p = args[1].string;
    *result = value_bool(p->length <= s->length && memcmp(s->text + s->length - p->length, p->text, p->length) == 0);
    return true;
}

bool native_find(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    const String *s = args[0].string, *p = args[1].string;
    const char *hit = memmem(s->text, s->length, p->text, p->length);
    int64_t place = -1;
    if (hit) {
        place = 0;
        for (const char *at = s->text; at < hit; at++) place += ((unsigned char)*at & 0xC0) != 0x80;
    }
    *result = value_int(place);
    return true;
}

bool native_contains(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    const String *s = args[0].string, *p = args[1].string;
    *result = value_bool(memmem(s->text, s->length, p->text, p->length) != NULL);
    return true;
}

bool native_repeat_text(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    for (int64_t i = 0; i < args[1].i && !text.failed; i++) {
        text_add(&text, args[0].string->text, args[0].string->length);
        if (text.length > (size_t)1 << 31) text.failed = true;
    }
    return native_give_text(vm, &text, result);
}

static bool pad(Vm *vm, const Value *args, bool left, Value *result)
{
    String *s = args[0].string, *fill = args[2].string;
    if (string_points(fill) != 1) {
        return vm_fail(vm, ERROR_value, left ? "pad_left" : "pad_right", "fill must be one character");
    }
    int64_t missing = args[1].i - string_points(s);
    if (missing > 1 << 28) return vm_out_of_memory(vm);
    Text text = {0};
    if (!left) text_add(&text, s->text, s->length);
    for (int64_t i = 0; i < missing; i++) text_add(&text, fill->text, fill->length);
    if (left) text_add(&text, s->text, s->length);
    return native_give_text(vm, &text, result);
}

bool native_pad_left(Vm *vm, const Value *args, Value *result) { return pad(vm, args, true, result); }
bool native_pad_right(Vm *vm, const Value *args, Value *result) { return pad(vm, args, false, result); }

bool native_chars(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    Value list = list_new(s->length);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    for (size_t at = 0, n; fine && at < s->length; at += n) {
        decode(s->text + at, &n);
        fine = push_text(vm, list, s->text + at, n);
    }
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool native_ord(Vm *vm, const Value *args, Value *result)
{
    size_t n;
    if (string_points(args[0].string) != 1) return vm_fail(vm, ERROR_value, "ord", "takes one character");
    *result = value_int(decode(args[0].string->text, &n));
    return true;
}

bool native_chr(Vm *vm, const Value *args, Value *result)
{
    int64_t c = args[0].i;
    char bytes[4];
    bool fine = c >= 0 && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
    if (!fine) return vm_fail(vm, ERROR_value, "chr", "%lld is no codepoint of Unicode", (long long)c);
    int n = utf8_encode((uint32_t)c, bytes);
    return native_give(vm, string_new(bytes, (size_t)n), result);
}
