/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text in other encodings than UTF-8, by iconv, which is part of the C library. Invariant: what becomes a string is
   valid UTF-8, else there is an error that says which byte is wrong and where it stands. */
#include "encoding.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "builtins.h"
#include "utf8.h"

static bool is_utf8(const char *encoding)
{
    return strcasecmp(encoding, "utf-8") == 0 || strcasecmp(encoding, "utf8") == 0;
}

/* iconv's handle, by the name as it is or without its first dash: latin-1. */
static iconv_t open_converter(Vm *vm, const char *function, const char *encoding, bool reading)
{
    char name[64];
    iconv_t converter = (iconv_t)-1;
    for (int i = 0; i < 2 && converter == (iconv_t)-1; i++) {
        snprintf(name, sizeof name, "%s", encoding);
        char *dash = strchr(name, '-');
        if (i && dash) memmove(dash, dash + 1, strlen(dash));
        converter = reading ? iconv_open("UTF-8", name) : iconv_open(name, "UTF-8");
    }
    if (converter == (iconv_t)-1) {
        vm_fail(vm, ERROR_value, function, "the encoding \"%.60s\" is unknown", encoding);
        error_hint(&vm_tensors(vm)->error, "such as utf-8, latin-1, windows-1252, utf-16");
    }
    return converter;
}

static bool refuse_at(Vm *vm, const char *function, const char *what, const char *bytes, size_t bad,
                      const char *encoding, int64_t lines_before)
{
    int64_t line = 1 + lines_before, column = 1;
    for (size_t i = 0; i < bad; i++) {
        if (bytes[i] == '\n') {
            line++;
            column = 1;
        } else {
            column += ((unsigned char)bytes[i] & 0xC0) != 0x80;
        }
    }
    return vm_fail(vm, ERROR_format, function, "%.200s%sline %lld, column %lld: byte 0x%02X is no %s", what,
                   *what ? ": " : "", (long long)line, (long long)column, (unsigned char)bytes[bad], encoding);
}

bool encoding_refuse(Vm *vm, const char *function, const char *what, const char *bytes, size_t length, size_t bad,
                     int64_t lines_before)
{
    bool utf16 = length >= 2 && lines_before == 0 && (!memcmp(bytes, "\xFF\xFE", 2) || !memcmp(bytes, "\xFE\xFF", 2));
    refuse_at(vm, function, what, bytes, bad, "UTF-8", lines_before);
    error_hint(&vm_tensors(vm)->error, utf16 ? "it begins like UTF-16: encoding=\"utf-16\""
               : "text of another encoding: read_text(path, encoding=\"latin-1\")");
    return false;
}

/* Runs the converter over all of the input; *bad is where it stuck, the length when it did not. */
static bool convert(Vm *vm, iconv_t converter, const char *bytes, size_t length, Text *out, size_t *bad)
{
    char block[4096], *from = (char *)(uintptr_t)bytes;
    size_t left = length;
    bool going = true;
    while (going) {
        char *to = block;
        size_t room = sizeof block;
        size_t done = left ? iconv(converter, &from, &left, &to, &room) : iconv(converter, NULL, NULL, &to, &room);
        going = left > 0 && (done != (size_t)-1 || errno == E2BIG);
        text_add(out, block, (size_t)(to - block));
        if (tensor_interrupted(vm_tensors(vm))) return false;
    }
    *bad = length - left;
    return !out->failed || vm_out_of_memory(vm);
}

static bool decode_by(Vm *vm, const char *function, const char *what, const char *bytes, size_t length,
                      const char *encoding, Value *result)
{
    Text out = {0};
    size_t bad = length;
    iconv_t converter = open_converter(vm, function, encoding, true);
    if (converter == (iconv_t)-1) return false;
    bool fine = convert(vm, converter, bytes, length, &out, &bad);
    iconv_close(converter);
    if (fine && bad < length) fine = refuse_at(vm, function, what, bytes, bad, encoding, 0);
    if (fine) return native_give_text(vm, &out, result);
    text_free(&out);
    return false;
}

bool encoding_decode(Vm *vm, const char *function, const char *what, const char *bytes, size_t length,
                     const char *encoding, Value *result)
{
    if (!is_utf8(encoding)) return decode_by(vm, function, what, bytes, length, encoding, result);
    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        bytes += 3;
        length -= 3;
    }
    size_t bad = utf8_check(bytes, length);
    if (bad < length) return encoding_refuse(vm, function, what, bytes, length, bad, 0);
    return native_give(vm, string_new(bytes, length), result);
}

bool encoding_encode(Vm *vm, const char *function, const String *text, const char *encoding, Text *out)
{
    size_t bad = text->length;
    if (is_utf8(encoding)) {
        text_add(out, text->text, text->length);
        return !out->failed || vm_out_of_memory(vm);
    }
    iconv_t converter = open_converter(vm, function, encoding, false);
    if (converter == (iconv_t)-1) return false;
    bool fine = convert(vm, converter, text->text, text->length, out, &bad);
    iconv_close(converter);
    if (!fine || bad == text->length) return fine;
    uint32_t c = 0;
    int n = utf8_decode(text->text + bad, text->length - bad, &c);
    return vm_fail(vm, ERROR_value, function, "%s has no \"%.*s\"", encoding, n, text->text + bad);
}
