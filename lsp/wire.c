/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages on two pipes: a header with Content-Length, a blank line, JSON. What is no header is skipped until the next
   Content-Length, so that one wrong length costs one message. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lsp.h"

enum { HEADER_MOST = 8192, CHUNK = 65536 };
#define MESSAGE_MOST ((size_t)64 << 20)
static const char length_field[] = "content-length:";

struct Wire {
    char *at;
    size_t length, room;
    size_t skip;              /* bytes of a message that is too long */
};

Wire *wire_new(void)
{
    return calloc(1, sizeof(Wire));
}

void wire_free(Wire *wire)
{
    if (wire) free(wire->at);
    free(wire);
}

bool wire_fill(Wire *wire, int fd)
{
    if (wire->room - wire->length < CHUNK) {
        size_t room = wire->room * 2 + CHUNK;
        char *wider = realloc(wire->at, room);
        if (!wider) return false;
        wire->at = wider;
        wire->room = room;
    }
    ssize_t n = read(fd, wire->at + wire->length, wire->room - wire->length);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    wire->length += (size_t)n;
    return n > 0;
}

static void drop(Wire *wire, size_t count)
{
    memmove(wire->at, wire->at + count, wire->length - count);
    wire->length -= count;
    if (wire->room > 4 * MESSAGE_MOST / 64 && wire->length < wire->room / 8) {
        char *narrower = realloc(wire->at, wire->room / 4);
        if (narrower) {
            wire->at = narrower;
            wire->room /= 4;
        }
    }
}

/* Up to what looks like the next header; true: something was dropped. */
static bool find_header(Wire *wire)
{
    size_t size = sizeof length_field - 1, at = 0;
    while (at + size <= wire->length && strncasecmp(wire->at + at, length_field, size) != 0) {
        bool other = at == 0 && wire->length > 13 && !strncasecmp(wire->at, "content-type:", 13);
        if (other) return false;
        at++;
    }
    if (at + size > wire->length && wire->length < size && at == 0) return false;
    drop(wire, at);
    return at > 0;
}

/* The header's end and what it says; 0: there is more to come, or it is none (*wrong). */
static size_t read_header(const Wire *wire, size_t *content, bool *wrong)
{
    size_t start = 0;
    bool found = false;
    *wrong = false;
    for (;;) {
        const char *end = wire->length > start ? memchr(wire->at + start, '\n', wire->length - start) : NULL;
        if (!end) {
            *wrong = wire->length - start > HEADER_MOST;
            return 0;
        }
        size_t stop = (size_t)(end - wire->at), length = stop - start;
        if (length && wire->at[stop - 1] == '\r') length--;
        if (length == 0) {
            *wrong = !found;
            return found ? stop + 1 : 0;
        }
        size_t size = sizeof length_field - 1;
        if (length > size && !strncasecmp(wire->at + start, length_field, size)) {
            char digits[24] = "", *last;
            size_t n = length - size < sizeof digits - 1 ? length - size : sizeof digits - 1;
            memcpy(digits, wire->at + start + size, n);
            *content = (size_t)strtoull(digits, &last, 10);
            found = last > digits && digits[strspn(digits, " \t")] != '-' && !*(last + strspn(last, " \t"));
            *wrong = !found;
        } else if (!memchr(wire->at + start, ':', length)) {
            *wrong = true;
        }
        if (*wrong) return 0;
        start = stop + 1;
    }
}

/* Half a character of UTF-16 alone is no text; jansson refuses it, editors send it. It becomes U+FFFD. */
static void mend_surrogates(char *text, size_t length)
{
    for (size_t at = 0; at + 6 <= length; at++) {
        if (text[at] != '\\') continue;
        if (text[at + 1] != 'u') {
            at++;
            continue;
        }
        unsigned first = 0, second = 0;
        sscanf(text + at + 2, "%4x", &first);
        bool pair = at + 12 <= length && text[at + 6] == '\\' && text[at + 7] == 'u' &&
                    sscanf(text + at + 8, "%4x", &second) == 1;
        if (first >= 0xD800 && first < 0xDC00 && pair && second >= 0xDC00 && second < 0xE000) {
            at += 11;
            continue;
        }
        if (first >= 0xD800 && first < 0xE000) memcpy(text + at + 2, "FFFD", 4);
        at += 5;
    }
}

WireNext wire_next(Wire *wire, json_t **message)
{
    size_t content = 0;
    bool wrong;
    if (wire->skip) {
        size_t n = wire->skip < wire->length ? wire->skip : wire->length;
        drop(wire, n);
        wire->skip -= n;
        return WIRE_NONE;
    }
    if (find_header(wire)) return WIRE_BROKEN;
    size_t header = read_header(wire, &content, &wrong);
    if (wrong) {
        size_t past = sizeof length_field - 1 < wire->length ? sizeof length_field - 1 : wire->length;
        drop(wire, past);
        find_header(wire);
        return WIRE_BROKEN;
    }
    if (!header) return WIRE_NONE;
    if (content > MESSAGE_MOST) {
        drop(wire, header);
        wire->skip = content;
        return WIRE_BROKEN;
    }
    if (wire->length - header < content) return WIRE_NONE;
    mend_surrogates(wire->at + header, content);
    json_error_t error;
    *message = json_loadb(wire->at + header, content, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    drop(wire, header + content);
    return *message ? WIRE_MESSAGE : WIRE_BROKEN;
}

static bool write_all(int fd, const char *at, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        }
    }
    return true;
}

bool send_take(Server *server, json_t *message)
{
    char header[64];
    json_object_set_new(message, "jsonrpc", json_string("2.0"));
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (!text) return false;
    size_t length = strlen(text);
    int n = snprintf(header, sizeof header, "Content-Length: %zu\r\n\r\n", length);
    bool fine = write_all(server->out, header, (size_t)n) && write_all(server->out, text, length);
    free(text);
    if (!fine) server->ended = true;
    return fine;
}

void notify_take(Server *server, const char *method, json_t *params)
{
    send_take(server, json_pack("{ss so}", "method", method, "params", params));
}

void log_message(Server *server, int type, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    json_t *params = json_pack("{si ss}", "type", type, "message", text);
    if (params) notify_take(server, "window/logMessage", params);
}
