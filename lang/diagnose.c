/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one renderer of errors: title, operands, frames with their source lines and carets, hint. It decides what of a
   trace is worth showing (user frames, recursion folded) and shows broken or odd text safely; who reads it is left to
   the front end. */
#include "diagnose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum { FRAMES_SHOWN = 12, SYNTAX_SHOWN = 10, LINE_COLUMNS = 110, PERIOD_MAX = 8,
       DROPPED = 24 };        /* many periods divide it: recursion stays in step over the gap */

/* ---- traces ---- */

static bool make_room(Trace **trace)
{
    Trace *old = *trace;
    if (old && old->count < old->room) return true;
    int room = old ? old->room * 2 : 4;
    Trace *wider = realloc(old, sizeof *wider + (size_t)room * sizeof(TraceFrame));
    if (!wider) return false;
    if (!old) wider->count = 0, wider->left_out = 0;
    wider->room = room;
    *trace = wider;
    return true;
}

static void frame_clear(TraceFrame *frame)
{
    source_release(frame->source);
    free(frame->function);
}

bool trace_add(Trace **trace, Source *source, Span span, const char *function)
{
    char *copy = function && *function ? strdup(function) : NULL;
    if (function && *function && !copy) return false;
    if (*trace && (*trace)->count == TRACE_MAX) {
        TraceFrame *middle = &(*trace)->frame[TRACE_MAX / 2];
        for (int i = 0; i < DROPPED; i++) frame_clear(&middle[i]);
        memmove(middle, middle + DROPPED, (TRACE_MAX - TRACE_MAX / 2 - DROPPED) * sizeof *middle);
        (*trace)->count -= DROPPED;
        (*trace)->left_out += DROPPED;
    } else if (!make_room(trace)) {
        free(copy);
        return false;
    }
    (*trace)->frame[(*trace)->count++] = (TraceFrame){source_retain(source), span, copy};
    return true;
}

void trace_free(Trace *trace)
{
    if (!trace) return;
    for (int i = 0; i < trace->count; i++) frame_clear(&trace->frame[i]);
    free(trace);
}

/* ---- text ---- */

int text_columns(const char *text, size_t length, int column)
{
    int start = column;
    for (size_t i = 0; i < length;) {
        uint32_t codepoint = 0xFFFD;
        int size = utf8_decode(text + i, length - i, &codepoint);
        column += text[i] == '\t' ? 8 - column % 8 : size ? utf8_width(codepoint) : 1;
        i += size ? (size_t)size : 1;
    }
    return column - start;
}

typedef struct Printer {
    FILE *to;
    const DiagnoseOptions *options;
} Printer;

static const char *paint(const Printer *printer, const char *code)
{
    return printer->options->color ? code : "";
}

#define RED "\033[1;31m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define CYAN "\033[36m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

/* One codepoint of a source line that begins in [column]: tabs as spaces, what a terminal might obey as U+FFFD. */
static int print_safely(FILE *to, const char *text, size_t left, int column, int *size)
{
    uint32_t codepoint = 0;
    *size = utf8_decode(text, left, &codepoint);
    if (*text == '\t') {
        int columns = 8 - column % 8;
        if (to) fprintf(to, "%*s", columns, "");
        return columns;
    }
    if (*size == 0 || codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0)) {
        if (*size == 0) *size = 1;
        if (to) fputs("\xEF\xBF\xBD", to);
        return 1;
    }
    if (to) fwrite(text, 1, (size_t)*size, to);
    return utf8_width(codepoint);
}

/* Where to begin showing a line, so that the carets are within LINE_COLUMNS. */
static uint32_t first_shown(const char *text, uint32_t length, uint32_t start)
{
    if (text_columns(text, length, 0) <= LINE_COLUMNS || text_columns(text, start, 0) < LINE_COLUMNS * 2 / 3) return 0;
    uint32_t first = start;
    while (first > 0 && text_columns(text + first, start - first, 0) < LINE_COLUMNS / 2) {
        first--;
        while (first > 0 && ((unsigned char)text[first] & 0xC0) == 0x80) first--;
    }
    return first;
}

/* "14 |  text" and the carets under [start, end) of the line. */
static void print_line(const Printer *printer, uint32_t number, const char *text, uint32_t length, uint32_t start,
                       uint32_t end)
{
    FILE *to = printer->to;
    uint32_t first = first_shown(text, length, start);
    int gutter = fprintf(to, "  %s%u |%s ", paint(printer, DIM), number, paint(printer, PLAIN));
    if (printer->options->color) gutter -= (int)(strlen(DIM) + strlen(PLAIN));
    int column = 0, caret = -1, carets = 0;
    if (first) fputs("…", to);
    column += first > 0;
    for (uint32_t i = first; i < length && column < LINE_COLUMNS + 10;) {
        int size;
        if (i >= start && caret < 0) caret = column;
        int columns = print_safely(to, text + i, length - i, column, &size);
        if (i >= start && i < end) carets += columns;
        column += columns;
        i += (uint32_t)size;
        if (column >= LINE_COLUMNS + 10 && i < length) fputs("…", to);
    }
    if (caret < 0) caret = column;
    fprintf(to, "\n%*s%s", gutter + caret, "", paint(printer, RED));
    for (int i = 0; i < carets || i == 0; i++) fputc('^', to);
    fprintf(to, "%s\n", paint(printer, PLAIN));
}

static void print_place(const Printer *printer, const Source *source, Span span, const char *function)
{
    if (span.start > source->length) span.start = source->length;
    if (span.end > source->length) span.end = source->length;
    bool at_end = span.start == source->length;
    if (at_end)                                          /* the end of the text is shown behind its last word */
        while (span.start > 0 && strchr(" \t\r\n", source->text[span.start - 1])) span.start--;
    if (at_end) span.end = span.start;
    uint32_t line, column, length;
    source_locate(source, span.start, &line, &column);
    const char *text = source_line(source, line, &length);
    uint32_t start = (uint32_t)(span.start - source->line_start[line - 1]);
    uint32_t end = span.end > span.start ? start + (span.end - span.start) : start;
    fprintf(printer->to, "  %s%s:%u:%u%s", paint(printer, CYAN), source->name, line, column, paint(printer, PLAIN));
    if (function && *function) fprintf(printer->to, "  in %s", function);
    fputc('\n', printer->to);
    print_line(printer, line, text, length, start < length ? start : length, end < length ? end : length);
}

static void print_title(const Printer *printer, const char *title, const char *op, const char *message)
{
    fprintf(printer->to, "%s%s%s", paint(printer, RED), title, paint(printer, PLAIN));
    bool has_op = op && *op, has_message = message && *message && strcmp(message, title) != 0;
    if (has_op) fprintf(printer->to, ": %s", op);
    if (has_message) fprintf(printer->to, ": %s%s%s", paint(printer, BOLD), message, paint(printer, PLAIN));
    fputc('\n', printer->to);
}

static void print_hint(const Printer *printer, const char *hint)
{
    if (hint && *hint) fprintf(printer->to, "  %shint:%s %s\n", paint(printer, GREEN), paint(printer, PLAIN), hint);
}

static void print_operands(const Printer *printer, const Diagnostic *diagnostic)
{
    int column = 0;
    for (int i = 0; i < diagnostic->n_operands && i < ERROR_MAX_OPERANDS; i++) {
        const ErrorOperand *operand = &diagnostic->operand[i];
        const char *name = diagnostic->operand_name ? diagnostic->operand_name[i] : "";
        char text[200];
        if (*name) snprintf(text, sizeof text, "%s : %s", name, operand->type);
        else snprintf(text, sizeof text, "argument %d : %s", operand->input + 1, operand->type);
        int width = text_columns(text, strlen(text), 0);
        bool wrap = column > 0 && column + 5 + width > 100;
        fprintf(printer->to, "%s%s%s", wrap ? "\n" : "", column == 0 || wrap ? "  " : "     ", text);
        column = (column == 0 || wrap ? 2 : column + 5) + width;
    }
    if (column) fputc('\n', printer->to);
}

/* ---- frames ---- */

static bool same_frame(const TraceFrame *a, const TraceFrame *b)
{
    return a->source == b->source && a->span.start == b->span.start && a->span.end == b->span.end;
}

/* Frames from [at] on that repeat with the shortest period: how many, and the period. */
static int repeated_frames(const TraceFrame *const *frames, int count, int at, int *period)
{
    for (*period = 1; *period <= PERIOD_MAX; ++*period) {
        int same = 0;
        while (at + *period + same < count && same_frame(frames[at + same], frames[at + *period + same])) same++;
        if (same >= *period) return same + *period;
    }
    *period = 1;
    return 1;
}

static void print_frames(const Printer *printer, const TraceFrame *const *frames, int count, int64_t left_out)
{
    int shown = 0;
    for (int at = 0; at < count;) {
        int period, run = repeated_frames(frames, count, at, &period);
        if (shown + period > FRAMES_SHOWN) {
            fprintf(printer->to, "  … %lld more calls\n", (long long)(count - at) + left_out);
            return;
        }
        for (const TraceFrame *const *frame = frames + at; frame < frames + at + period; frame++)
            print_place(printer, (*frame)->source, (*frame)->span, (*frame)->function);
        shown += period;
        int64_t times = run / period - 1;
        if (times > 0 && left_out > 0) times += left_out / period;   /* what was dropped lay within it */
        if (times > 0) left_out = 0;
        if (times == 1 && period == 1) {
            print_place(printer, frames[at + 1]->source, frames[at + 1]->span, frames[at + 1]->function);
            shown++;
        } else if (times > 0) {
            fprintf(printer->to, "  … the same %s, %lld times more\n", period == 1 ? "call" : "calls",
                    (long long)times);
        }
        at += run / period * period;
    }
    if (left_out > 0) fprintf(printer->to, "  … %lld calls were left out\n", (long long)left_out);
}

static void print_trace(const Printer *printer, const Trace *trace)
{
    const TraceFrame *frames[TRACE_MAX];
    int count = 0;
    bool users = false;
    for (int i = 0; i < trace->count; i++) users |= trace->frame[i].source && !trace->frame[i].source->library;
    for (int i = 0; i < trace->count && i < TRACE_MAX; i++) {
        const TraceFrame *frame = &trace->frame[i];
        if (frame->source && (!users || printer->options->library || !frame->source->library)) frames[count++] = frame;
    }
    print_frames(printer, frames, count, trace->left_out);
}

/* ---- whole errors ---- */

static const DiagnoseOptions plain_options;

/* Closes [to] and returns its text without the last newline; NULL when memory was out. */
static char *finish(FILE *to, char **text, size_t *length)
{
    bool failed = ferror(to) != 0;
    failed |= fclose(to) != 0;
    if (failed) {
        free(*text);
        return NULL;
    }
    while (*length > 0 && (*text)[*length - 1] == '\n') (*text)[--*length] = 0;
    return *text;
}

char *diagnose(const Diagnostic *diagnostic, const DiagnoseOptions *options)
{
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    if (!to) return NULL;
    Printer printer = {to, options ? options : &plain_options};
    print_title(&printer, diagnostic->title, diagnostic->op, diagnostic->message);
    print_operands(&printer, diagnostic);
    if (diagnostic->trace) print_trace(&printer, diagnostic->trace);
    print_hint(&printer, diagnostic->hint);
    return finish(to, &text, &length);
}

static const char *string_or_empty(Value value)
{
    return value.tag == TAG_STRING ? value.string->text : "";
}

char *diagnose_error(const ErrorObject *error, const DiagnoseOptions *options)
{
    Diagnostic diagnostic = {
        .title = error_kind_title(error->kind), .op = error->op, .message = string_or_empty(error->message),
        .hint = string_or_empty(error->hint), .n_operands = error->n_operands, .operand = error->operand,
        .operand_name = error->operand_name, .trace = error->trace,
    };
    return diagnose(&diagnostic, options);
}

char *diagnose_syntax(const Parse *parse, const DiagnoseOptions *options)
{
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    if (!to) return NULL;
    Printer printer = {to, options ? options : &plain_options};
    int shown = 0, more = 0;
    for (const SyntaxError *error = parse->errors; error; error = error->next) {
        if (shown == SYNTAX_SHOWN) {
            more++;
            continue;
        }
        if (shown++) fputc('\n', to);
        print_title(&printer, "syntax error", NULL, error->message);
        print_place(&printer, parse->source, error->span, NULL);
        print_hint(&printer, error->hint);
    }
    if (more) fprintf(to, "\n… %d more\n", more);
    return finish(to, &text, &length);
}
