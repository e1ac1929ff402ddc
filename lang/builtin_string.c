/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives on strings. Places and lengths count codepoints; bytes stay inside. */
#include <string.h>

#include "builtins.h"
#include "letters.h"
#include "utf8.h"

/* Strings are valid UTF-8. */
static uint32_t decode(const char *text, size_t *length)
{
    uint32_t c = (unsigned char)*text;
    *length = 1;
    if (c < 0x80) return c;
    int n = utf8_decode(text, 4, &c);
    *length = n > 0 ? (size_t)n : 1;
    return c;
}

/* Where the character before byte [at] begins. */
static size_t before(const char *text, size_t at)
{
    do at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

static bool push_text(Vm *vm, Value list, const char *text, size_t length)
{
    Value string = string_new(text, length);
    return (string.tag != TAG_UNDEFINED && list_push_take(list.list, string)) || vm_out_of_memory(vm);
}

static bool split_words(Vm *vm, const String *s, int64_t most, Value list)
{
    size_t at = 0, n, end = s->length;
    for (int64_t found = 0;; found++) {
        while (at < s->length && letter_is_space(decode(s->text + at, &n))) at += n;
        if (at >= s->length) return true;
        size_t start = at;
        while (at < s->length && !letter_is_space(decode(s->text + at, &n))) at += n;
        bool last = most >= 0 && found == most;
        while (last && end > start && letter_is_space(decode(s->text + before(s->text, end), &n))) end -= n;
        if (!push_text(vm, list, s->text + start, (last ? end : at) - start)) return false;
        if (last) return true;
    }
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

/* The byte at which the last [part] that ends by [end] begins, or -1. */
static int64_t last_hit(const String *s, const String *part, size_t end)
{
    if (part->length > end) return -1;
    for (size_t at = end - part->length + 1; at-- > 0;)
        if (memcmp(s->text + at, part->text, part->length) == 0) return (int64_t)at;
    return -1;
}

/* The cuts are the last ones; the parts come from the back. */
static bool split_from_end(Vm *vm, const String *s, const String *by, int64_t most, Value list)
{
    size_t end = s->length;
    bool fine = true;
    for (int64_t n = 0; fine && (most < 0 || n < most); n++) {
        int64_t hit = last_hit(s, by, end);
        if (hit < 0) break;
        fine = push_text(vm, list, s->text + hit + by->length, end - (size_t)hit - by->length);
        end = (size_t)hit;
    }
    fine = fine && push_text(vm, list, s->text, end);
    for (int64_t i = 0, j = list.list->count - 1; fine && i < j; i++, j--) {
        Value swap = list.list->at[i];
        list.list->at[i] = list.list->at[j];
        list.list->at[j] = swap;
    }
    return fine;
}

/* split(x, by, axis) of a tensor, the axis by place or by name. */
static bool split_tensor(Vm *vm, const Value *args, Value *result)
{
    Value axis = args[2].tag == TAG_NONE ? args[4] : args[2];
    if (args[1].tag == TAG_NONE) return native_wants(vm, "split", "by", "a size or a list of sizes", args[1]);
    return vm_call_prelude(vm, "split_sizes", axis.tag == TAG_NONE ? 2 : 3, (Value[]){args[0], args[1], axis}, result);
}

bool native_split(Vm *vm, const Value *args, Value *result)
{
    if (args[0].tag == TAG_TENSOR) return split_tensor(vm, args, result);
    if (args[0].tag != TAG_STRING) return native_wants(vm, "split", "s", "a string or a tensor", args[0]);
    if (args[1].tag != TAG_NONE && args[1].tag != TAG_STRING)
        return native_wants(vm, "split", "by", "a string", args[1]);
    Value list = list_new(0);
    if (list.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool words = args[1].tag == TAG_NONE, from_end = args[3].b;
    bool fine = words || args[1].string->length > 0 || vm_fail(vm, ERROR_value, "split", "by must not be empty");
    if (!fine) error_hint(&vm_tensors(vm)->error, "chars(s) is the list of characters");
    if (fine && words && from_end) fine = vm_fail(vm, ERROR_argument, "split", "from_end needs a `by`");
    int64_t most = args[2].tag == TAG_NONE ? -1 : args[2].i;
    if (fine && words) fine = split_words(vm, args[0].string, most, list);
    else if (fine) fine = (from_end ? split_from_end : split_at)(vm, args[0].string, args[1].string, most, list);
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

/* Whether character [c] is to be cut off: it is in [set], or white space when that is none. */
static bool is_cut(uint32_t c, Value set)
{
    if (set.tag != TAG_STRING) return letter_is_space(c);
    for (size_t at = 0, n; at < set.string->length; at += n)
        if (decode(set.string->text + at, &n) == c) return true;
    return false;
}

static bool trim(Vm *vm, const Value *args, bool left, bool right, Value *result)
{
    const String *s = args[0].string;
    size_t start = 0, end = s->length, n;
    if (args[1].tag != TAG_NONE && args[1].tag != TAG_STRING) {
        return native_wants(vm, "trim", "chars", "a string", args[1]);
    }
    while (left && start < end && is_cut(decode(s->text + start, &n), args[1])) start += n;
    while (right && end > start && is_cut(decode(s->text + before(s->text, end), &n), args[1])) end -= n;
    return native_give(vm, string_new(s->text + start, end - start), result);
}

bool native_trim(Vm *vm, const Value *args, Value *result) { return trim(vm, args, true, true, result); }
bool native_trim_left(Vm *vm, const Value *args, Value *result) { return trim(vm, args, true, false, result); }
bool native_trim_right(Vm *vm, const Value *args, Value *result) { return trim(vm, args, false, true, result); }

/* ---- case ---- */

typedef enum Case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITALIZE } Case;

static bool recase(Vm *vm, const String *s, Case to, Value *result)
{
    Text text = {0};
    bool inside = false;                                   /* behind a word's first letter */
    for (size_t at = 0, n; at < s->length; at += n) {
        char bytes[4];
        uint32_t c = decode(s->text + at, &n);
        bool large = to == CASE_UPPER || (to >= CASE_TITLE && !inside);
        if (c == 0xDF && large) text_add(&text, to == CASE_UPPER ? "SS" : "Ss", 2);
        else {
            uint32_t changed = large ? letter_upper(c) : letter_lower(c);
            text_add(&text, bytes, (size_t)utf8_encode(changed, bytes));
        }
        bool apostrophe = inside && (c == '\'' || c == 0x2019);
        inside = to == CASE_CAPITALIZE || letter_is_letter(c) || apostrophe;
    }
    return native_give_text(vm, &text, result);
}

bool native_upper(Vm *vm, const Value *args, Value *result) { return recase(vm, args[0].string, CASE_UPPER, result); }
bool native_lower(Vm *vm, const Value *args, Value *result) { return recase(vm, args[0].string, CASE_LOWER, result); }
bool native_title(Vm *vm, const Value *args, Value *result) { return recase(vm, args[0].string, CASE_TITLE, result); }
bool native_capitalize(Vm *vm, const Value *args, Value *result)
{
    return recase(vm, args[0].string, CASE_CAPITALIZE, result);
}

/* ---- questions ---- */

static bool is_ascii_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool is_letter_or_digit(uint32_t c) { return is_ascii_digit(c) || letter_is_letter(c); }

/* Whether s is not empty and each character is so. */
static bool each_is(Vm *vm, const Value *args, bool (*is)(uint32_t c), Value *result)
{
    (void)vm;
    const String *s = args[0].string;
    bool all = s->length > 0;
    for (size_t at = 0, n; all && at < s->length; at += n) all = is(decode(s->text + at, &n));
    *result = value_bool(all);
    return true;
}

/* Whether there are such letters, and none of the other case. */
static bool case_is(const Value *args, bool (*is)(uint32_t c), bool (*other)(uint32_t c), Value *result)
{
    const String *s = args[0].string;
    bool some = false, fine = true;
    for (size_t at = 0, n; fine && at < s->length; at += n) {
        uint32_t c = decode(s->text + at, &n);
        some |= is(c);
        fine = !other(c);
    }
    *result = value_bool(some && fine);
    return true;
}

bool native_is_digit(Vm *vm, const Value *args, Value *result) { return each_is(vm, args, is_ascii_digit, result); }
bool native_is_letter(Vm *vm, const Value *args, Value *result) { return each_is(vm, args, letter_is_letter, result); }
bool native_is_alnum(Vm *vm, const Value *args, Value *result) { return each_is(vm, args, is_letter_or_digit, result); }
bool native_is_space(Vm *vm, const Value *args, Value *result) { return each_is(vm, args, letter_is_space, result); }
bool native_is_upper(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    return case_is(args, letter_is_upper, letter_is_lower, result);
}
bool native_is_lower(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    return case_is(args, letter_is_lower, letter_is_upper, result);
}

/* ---- parts ---- */

bool native_replace(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string, *old = args[1].string, *new = args[2].string;
    if (old->length == 0) return vm_fail(vm, ERROR_value, "replace", "old must not be empty");
    Text text = {0};
    const char *at = s->text, *end = s->text + s->length, *hit;
    int64_t left = args[3].tag == TAG_NONE ? INT64_MAX : args[3].i;
    while (left-- > 0 && (hit = memmem(at, (size_t)(end - at), old->text, old->length))) {
        text_add(&text, at, (size_t)(hit - at));
        text_add(&text, new->text, new->length);
        at = hit + old->length;
    }
    text_add(&text, at, (size_t)(end - at));
    return native_give_text(vm, &text, result);
}

/* Byte [at] as a number of characters; -1 stays. */
static Value place_of(const String *s, int64_t at)
{
    int64_t place = at < 0 ? -1 : 0;
    for (int64_t i = 0; i < at; i++) place += ((unsigned char)s->text[i] & 0xC0) != 0x80;
    return value_int(place);
}

bool native_find(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    const String *s = args[0].string, *p = args[1].string;
    int64_t from = args[2].i;
    size_t start = 0, n;
    if (from < 0) from += string_points(args[0].string);
    for (; from > 0 && start < s->length; from--) {
        decode(s->text + start, &n);
        start += n;
    }
    const char *hit = from > 0 ? NULL : memmem(s->text + start, s->length - start, p->text, p->length);
    *result = place_of(s, hit ? hit - s->text : -1);
    return true;
}

bool native_find_last(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = place_of(args[0].string, last_hit(args[0].string, args[1].string, args[0].string->length));
    return true;
}

static bool starts(const String *s, const String *p)
{
    return p->length <= s->length && memcmp(s->text, p->text, p->length) == 0;
}

static bool ends(const String *s, const String *p)
{
    return p->length <= s->length && memcmp(s->text + s->length - p->length, p->text, p->length) == 0;
}

bool native_starts_with(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = value_bool(starts(args[0].string, args[1].string));
    return true;
}

bool native_ends_with(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = value_bool(ends(args[0].string, args[1].string));
    return true;
}

bool native_remove_start(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    size_t cut = starts(s, args[1].string) ? args[1].string->length : 0;
    return native_give(vm, string_new(s->text + cut, s->length - cut), result);
}

bool native_remove_end(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    size_t cut = ends(s, args[1].string) ? args[1].string->length : 0;
    return native_give(vm, string_new(s->text, s->length - cut), result);
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

/* Where what is missing goes. */
typedef enum Padding { PAD_LEFT, PAD_RIGHT, PAD_BOTH } Padding;

static bool pad(Vm *vm, const char *name, const Value *args, Padding where, Value *result)
{
    String *s = args[0].string, *fill = args[2].string;
    if (string_points(fill) != 1) return vm_fail(vm, ERROR_value, name, "fill must be one character");
    int64_t missing = args[1].i - string_points(s);
    if (missing > 1 << 28) return vm_out_of_memory(vm);
    int64_t front = missing < 0 || where == PAD_RIGHT ? 0 : where == PAD_LEFT ? missing : missing / 2;
    Text text = {0};
    for (int64_t i = 0; i < front; i++) text_add(&text, fill->text, fill->length);
    text_add(&text, s->text, s->length);
    for (int64_t i = front; i < missing; i++) text_add(&text, fill->text, fill->length);
    return native_give_text(vm, &text, result);
}

bool native_pad_left(Vm *vm, const Value *args, Value *result) { return pad(vm, "pad_left", args, PAD_LEFT, result); }
bool native_pad_right(Vm *vm, const Value *args, Value *result)
{
    return pad(vm, "pad_right", args, PAD_RIGHT, result);
}
bool native_center(Vm *vm, const Value *args, Value *result) { return pad(vm, "center", args, PAD_BOTH, result); }

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
