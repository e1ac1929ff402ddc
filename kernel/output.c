/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output of cells: joined, cut short, and caught from C libraries (output.h). */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "event.h"

bool output_open(Output *output, OutputEmit *emit, void *user, size_t limit, int wake)
{
    *output = (Output){.emit = emit, .user = user, .limit = limit, .wake = wake, .captured = {-1, -1},
                       .original = {-1, -1}, .text = malloc(OUTPUT_CHUNK + 8), .tail = malloc(OUTPUT_TAIL)};
    pthread_mutex_init(&output->lock, NULL);
    return output->text && output->tail;
}

void output_close(Output *output)
{
    output_finish(output);
    output_release(output);
    pthread_mutex_destroy(&output->lock);
    request_release(output->parent);
    free(output->text);
    free(output->tail);
}

/* ---- sending, with the lock held ---- */

/* Bytes at the end that begin a codepoint without ending it. */
static size_t unfinished(const char *text, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char c = (unsigned char)text[length - back];
        if (c < 0x80) return 0;
        if (c >= 0xC0) return back < (c >= 0xF0 ? 4u : c >= 0xE0 ? 3u : 2u) ? back : 0;
    }
    return 0;
}

static void hold_back(Output *output, const char *text, size_t length)
{
    output->left_out += length;
    if (!output->tail) return;
    if (length > OUTPUT_TAIL) {
        text += length - OUTPUT_TAIL;
        length = OUTPUT_TAIL;
    }
    size_t at = output->tail_used % OUTPUT_TAIL, first = OUTPUT_TAIL - at < length ? OUTPUT_TAIL - at : length;
    memcpy(output->tail + at, text, first);
    memcpy(output->tail, text + first, length - first);
    output->tail_used += length;
}

static void send_limited(Output *output, const char *text, size_t length)
{
    size_t allowed = output->limit ? output->limit - output->sent : length;      /* sent stays below */
    if (allowed > length) allowed = length;
    else if (allowed < length) allowed -= unfinished(text, allowed);
    if (allowed) output->emit(output->user, output->parent, output->stream, text, allowed);
    output->sent += allowed;
    if (allowed == length) return;
    output->over = true;                                 /* nothing more of this cell, however little */
    char note[128];
    int size = snprintf(note, sizeof note, "\n[more than %.1f MB of output: the rest is held back; its end follows]\n",
                        (double)output->sent / 1e6);
    output->emit(output->user, output->parent, OUTPUT_ERR, note, (size_t)size);
    hold_back(output, text + allowed, length - allowed);
}

/* [all]: also half a codepoint, which will not be finished. */
static void flush(Output *output, bool all)
{
    size_t rest = all ? 0 : unfinished(output->text, output->used), length = output->used - rest;
    if (length == 0) return;
    char kept[4];
    memcpy(kept, output->text + length, rest);
    send_limited(output, output->text, output_collapse(output->text, length));
    memcpy(output->text, kept, rest);
    output->used = rest;
}

static void append(Output *output, OutputStream stream, const char *text, size_t length)
{
    if (output->muted) return;
    if (stream != output->stream) {
        flush(output, true);
        output->stream = stream;
    }
    while (length > 0 && !output->over) {
        size_t room = OUTPUT_CHUNK - output->used, part = length < room ? length : room;
        if (output->used == 0) {
            output->since = seconds_now();
            event_signal(output->wake);
        }
        memcpy(output->text + output->used, text, part);
        output->used += part;
        text += part;
        length -= part;
        if (output->used == OUTPUT_CHUNK) flush(output, false);
    }
    if (length > 0) hold_back(output, text, length);
}

/* ---- the pipes ---- */

static void drain(Output *output)
{
    char bytes[1 << 14];
    for (OutputStream stream = OUTPUT_OUT; stream <= OUTPUT_ERR; stream++) {
        int waiting = 0;
        while (output->captured[stream] >= 0 && ioctl(output->captured[stream], FIONREAD, &waiting) == 0 && waiting > 0) {
            ssize_t got = read(output->captured[stream], bytes, sizeof bytes);
            if (got <= 0) break;
            append(output, stream, bytes, (size_t)got);
        }
    }
}

bool output_capture(Output *output)
{
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return false;
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);           /* as much as one may have; less will do */
        output->original[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
        bool fine = dup2(ends[1], i + 1) >= 0;
        close(ends[1]);
        output->captured[i] = ends[0];
        if (!fine) return false;
    }
    setvbuf(stdout, NULL, _IONBF, 0);                    /* or what printf writes would come after what the language does */
    return true;
}

void output_release(Output *output)
{
    for (int i = 0; i < 2; i++) {
        if (output->original[i] >= 0) {
            dup2(output->original[i], i + 1);
            close(output->original[i]);
        }
        if (output->captured[i] >= 0) close(output->captured[i]);
        output->original[i] = output->captured[i] = -1;
    }
}

/* ---- from outside ---- */

void output_begin(Output *output, Request *parent, bool muted)
{
    pthread_mutex_lock(&output->lock);
    drain(output);
    flush(output, true);                                 /* what came since the last cell belongs to that */
    request_release(output->parent);
    output->parent = request_retain(parent);
    output->sent = output->left_out = output->tail_used = 0;
    output->muted = muted;
    output->over = false;
    pthread_mutex_unlock(&output->lock);
}

/* The last words of a cell: what waits, and the end of what was held back. */
static void say_rest(Output *output);

void output_suspend(Output *output, OutputKept *kept, Request *parent, bool muted)
{
    pthread_mutex_lock(&output->lock);
    drain(output);
    flush(output, true);
    *kept = (OutputKept){output->parent, output->muted, output->over, output->sent, output->left_out, output->tail_used,
                         output->tail};
    output->parent = request_retain(parent);
    output->sent = output->left_out = output->tail_used = 0;
    output->muted = muted;
    output->over = false;
    output->tail = malloc(OUTPUT_TAIL);
    pthread_mutex_unlock(&output->lock);
}

void output_resume(Output *output, OutputKept *kept)
{
    pthread_mutex_lock(&output->lock);
    say_rest(output);
    request_release(output->parent);
    free(output->tail);
    output->parent = kept->parent;
    output->muted = kept->muted;
    output->over = kept->over;
    output->sent = kept->sent;
    output->left_out = kept->left_out;
    output->tail_used = kept->tail_used;
    output->tail = kept->tail;
    pthread_mutex_unlock(&output->lock);
}

void output_write(Output *output, OutputStream stream, const char *text, size_t length)
{
    pthread_mutex_lock(&output->lock);
    drain(output);
    append(output, stream, text, length);
    pthread_mutex_unlock(&output->lock);
}

void output_drain(Output *output)
{
    pthread_mutex_lock(&output->lock);
    drain(output);
    pthread_mutex_unlock(&output->lock);
}

void output_flush(Output *output)
{
    pthread_mutex_lock(&output->lock);
    drain(output);
    flush(output, true);
    pthread_mutex_unlock(&output->lock);
}

/* The end of what was held back, from the beginning of a line on. */
static void send_tail(Output *output)
{
    size_t kept = output->tail_used < OUTPUT_TAIL ? output->tail_used : OUTPUT_TAIL, start = output->tail_used - kept;
    char *end = malloc(kept + 1);
    if (!end) return;
    for (size_t i = 0; i < kept; i++) end[i] = output->tail[(start + i) % OUTPUT_TAIL];
    end[kept] = 0;
    char *line = output->left_out > kept ? strchr(end, '\n') : NULL;
    size_t skipped = line && line[1] ? (size_t)(line + 1 - end) : 0;
    char note[64];
    int size = snprintf(note, sizeof note, "[%zu bytes left out]\n", output->left_out - kept + skipped);
    if (output->left_out > kept - skipped) output->emit(output->user, output->parent, OUTPUT_ERR, note, (size_t)size);
    output->emit(output->user, output->parent, OUTPUT_OUT, end + skipped, kept - skipped);
    free(end);
}

static void say_rest(Output *output)
{
    drain(output);
    flush(output, true);
    if (output->left_out) send_tail(output);
    output->left_out = output->tail_used = 0;
}

void output_finish(Output *output)
{
    pthread_mutex_lock(&output->lock);
    say_rest(output);
    pthread_mutex_unlock(&output->lock);
}

double output_deadline(Output *output)
{
    pthread_mutex_lock(&output->lock);
    double deadline = output->used ? output->since + OUTPUT_DELAY : NO_DEADLINE;
    pthread_mutex_unlock(&output->lock);
    return deadline;
}

void output_tick(Output *output, double now)
{
    pthread_mutex_lock(&output->lock);
    if (output->used && now >= output->since + OUTPUT_DELAY) {
        output->since = now;                             /* of the half codepoint that may stay */
        flush(output, false);
    }
    pthread_mutex_unlock(&output->lock);
}

/* ---- lines written over ---- */

/* Columns that text without control characters takes, about; -1: it has some. */
static long width_of(const char *text, size_t length)
{
    long width = 0;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' && text[i] != '\t') return -1;
        width += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return width;
}

/* One line without its end, into [to] (which may be [line]): parts that the next part hides go. */
static size_t collapse_line(char *to, const char *line, size_t length)
{
    size_t made = 0, start = 0;
    while (start < length) {
        const char *end = memchr(line + start, '\r', length - start);
        size_t stop = end ? (size_t)(end - line) : length, next = stop + 1;
        const char *after = next < length ? memchr(line + next, '\r', length - next) : NULL;
        size_t next_stop = after ? (size_t)(after - line) : length;
        long width = width_of(line + start, stop - start);
        bool hidden = end && next < length && width >= 0 && width <= width_of(line + next, next_stop - next);
        if (!hidden) {
            size_t kept = stop + (end != NULL) - start;
            memmove(to + made, line + start, kept);
            made += kept;
        } else if (start == 0) {
            to[made++] = '\r';                           /* what stood before this text is hidden as well */
        }
        start = next;
    }
    return made;
}

size_t output_collapse(char *text, size_t length)
{
    size_t made = 0;
    if (!memchr(text, '\r', length)) return length;
    for (size_t start = 0; start < length;) {
        const char *end = memchr(text + start, '\n', length - start);
        size_t stop = end ? (size_t)(end - text) : length;
        made += collapse_line(text + made, text + start, stop - start);
        if (end) text[made++] = '\n';
        start = stop + 1;
    }
    return made;
}
