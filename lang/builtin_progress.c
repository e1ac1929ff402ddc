/* SPDX-License-Identifier: GPL-3.0-or-later */
/* progress(xs) passes the items of xs on and tells the session how far it is; report(loss=…) sets the metrics of the
   innermost one. Running ones form a stack in the VM's native state: one is on it from its first item to its end, and
   leaves it when the loop ends, breaks or fails, or at the latest when the stream is freed. A front end that draws no
   bars itself gets the whole stack as one display, which takes its own place again and again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builtins.h"
#include "curve.h"
#include "lang.h"
#include "print.h"
#include "table.h"

#define A_SECOND 10.0         /* messages, at most */
#define AT_ONCE 3.0           /* messages: an outer one and its inner ones begin together */
#define RECENT 15.0           /* seconds that the rate looks back */

typedef struct Progress {
    Vm *vm;
    struct Progress *outer;   /* the next one on the stack */
    bool running;
    int place;                /* of the display, for the outermost */
    Value from;               /* iterator */
    Value label;              /* string */
    double step, total, start;
    double rate_time, rate_step, rate_sum, rate_weight;      /* the rate is sum / weight, of up to that time and step */
    Text metrics;
    bool reported;            /* by itself; else they are the last inner one's */
    struct Line *stopped;     /* of inner ones that failed last */
    Value curve_of;           /* a metric's name, or none: the loss, or the first one */
    Curve *curve;             /* NULL when none was asked for */
} Progress;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the line ---- */

static void add_time(Text *text, double seconds)
{
    long whole = seconds >= 0 && seconds < 1e8 ? lround(seconds) : 0;
    if (whole >= 3600) text_format(text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else text_format(text, "%ld:%02ld", whole / 60, whole % 60);
}

static int format_count(double count, int width, char text[32])
{
    return snprintf(text, 32, floor(count) == count && fabs(count) < 1e15 ? "%*.0f" : "%*.4g", width, count);
}

/* "label  20/235", as wide as it will be, or "label 20" */
static void add_head(const Progress *p, Text *text)
{
    char step[32], total[32];
    int width = p->total >= 0 ? format_count(p->total, 0, total) : 0;
    if (p->label.tag == TAG_STRING && p->label.string->length) {
        text_add(text, p->label.string->text, p->label.string->length);
        text_add(text, " ", 1);
    }
    format_count(p->step, width, step);
    text_format(text, "%s%s%s", step, width ? "/" : "", width ? total : "");
}

/* Steps a second, of late while it runs. */
static double find_rate(Progress *p, double time, bool done)
{
    double elapsed = time - p->start, passed = time - p->rate_time;
    if (done) return elapsed > 0 ? p->step / elapsed : 0;
    if (passed >= 1 / A_SECOND && p->step > p->rate_step) {
        double keep = exp(-passed / RECENT);
        p->rate_sum = keep * p->rate_sum + (1 - keep) * (p->step - p->rate_step) / passed;
        p->rate_weight = keep * p->rate_weight + (1 - keep);
        p->rate_time = time;
        p->rate_step = p->step;
    }
    return p->rate_weight > 0 ? p->rate_sum / p->rate_weight : 0;
}

/* "12.3/s  0:09 left  loss 0.512" */
static void add_tail(Progress *p, double time, bool done, bool failed, Text *text)
{
    double rate = find_rate(p, time, done);
    bool known = !done && rate > 0 && p->total >= p->step;
    if (rate >= 1) text_format(text, "%.*f/s  ", rate >= 100 ? 0 : 1, rate);
    else if (rate > 0) text_format(text, "%.1f s each  ", 1 / rate);
    add_time(text, known ? (p->total - p->step) / rate : time - p->start);
    if (known) text_add(text, " left", 5);
    if (p->metrics.length) {
        text_add(text, "  ", 2);
        text_add(text, p->metrics.at, p->metrics.length);
    }
    if (failed) text_add(text, "  stopped", 9);
}

/* ---- the lines of a stack ---- */

typedef struct Line {
    struct Line *inner;
    Text head, tail;
    double step, total;
} Line;

/* NULL: no memory, and this line is not told. */
static Line *line_new(Progress *p, double time, bool done, bool failed)
{
    Line *line = calloc(1, sizeof *line);
    if (!line) return NULL;
    line->step = p->step;
    line->total = p->total;
    add_head(p, &line->head);
    add_tail(p, time, done, failed, &line->tail);
    return line;
}

static void lines_free(Line *line)
{
    while (line) {
        Line *inner = line->inner;
        text_free(&line->head);
        text_free(&line->tail);
        free(line);
        line = inner;
    }
}

/* Of [p] and all around it; what failed within it comes last. */
static Line *lines_of(Progress *p, double time, bool done, bool failed)
{
    Line *first = line_new(p, time, done, failed);
    if (first) {
        first->inner = p->stopped;
        p->stopped = NULL;
    }
    for (Progress *outer = p->outer; first && outer; outer = outer->outer) {
        Line *line = line_new(outer, time, false, false);
        if (!line) break;
        line->inner = first;
        first = line;
    }
    return first;
}

static void add_curve(const Progress *p, void draw(const Curve *, Text *), Text *out)
{
    while (p && !p->curve) p = p->outer;
    if (p) draw(p->curve, out);
}

/* ---- as a display ---- */

static void add_html(const Line *line, Text *html)
{
    text_add(html, "<div>", 5);
    html_escape(html, line->head.at, line->head.length);
    if (line->total > 0) text_format(html, " <progress max=\"%g\" value=\"%g\"></progress> ", line->total, line->step);
    else text_add(html, "  ", 2);
    html_escape(html, line->tail.at, line->tail.length);
    text_add(html, "</div>", 6);
}

static void display(Progress *p, const Line *line)
{
    const SessionConfig *config = vm_config(p->vm);
    Progress *first = p;
    Text plain = {0}, html = {0};
    text_format(&html, "<div style=\"font-family:monospace;white-space:pre-wrap\">");
    for (; line; line = line->inner) {
        text_format(&plain, "%s  %s\n", line->head.at, line->tail.at);
        add_html(line, &html);
    }
    add_curve(p, curve_text, &plain);
    add_curve(p, curve_svg, &html);
    text_add(&html, "</div>", 6);
    while (first->outer) first = first->outer;
    if (!plain.failed && !html.failed) {
        plain.at[--plain.length] = '\0';
        DisplayForm form[] = {{"text/plain", plain.at, plain.length}, {"text/html", html.at, html.length}};
        int count = config->forms && strstr(config->forms, "text/html") ? 2 : 1;
        bool update = first->place != 0;
        if (!update) first->place = ++vm_native_state(p->vm)->n_places;
        config->display(config->user, &(Display){.count = count, .form = form, .id = first->place, .update = update});
    }
    text_free(&plain);
    text_free(&html);
}

/* ---- telling ---- */

static void call(Progress *p, const Line *line, bool done)
{
    const SessionConfig *config = vm_config(p->vm);
    ProgressLine told[PROGRESS_LINES];
    int count = 0;
    Text curve = {0};
    for (; line && count < PROGRESS_LINES; line = line->inner)
        told[count++] = (ProgressLine){line->head.at, line->tail.at, line->step, line->total};
    add_curve(p, curve_text, &curve);
    config->progress(config->user, &(Progressed){.count = count, .line = told, .curve = curve.at ? curve.at : "",
                                                 .elapsed = now() - p->start, .done = done});
    text_free(&curve);
}

static void tell(Progress *p, bool done, bool failed)
{
    const SessionConfig *config = vm_config(p->vm);
    if (!config || (!config->progress && !config->display)) return;
    Line *lines = lines_of(p, now(), done, failed), *line = lines;
    while (line && !line->head.failed && !line->tail.failed) line = line->inner;
    if (lines && !line && config->progress) call(p, lines, done);
    else if (lines && !line) display(p, lines);
    lines_free(lines);
}

/* Whether another message may go out now. */
static bool may_tell(Vm *vm)
{
    NativeState *state = vm_native_state(vm);
    double time = now();
    state->progress_tokens = fmin(AT_ONCE, state->progress_tokens + (time - state->progress_time) * A_SECOND);
    state->progress_time = time;
    if (state->progress_tokens < 1) return false;
    state->progress_tokens -= 1;
    return true;
}

static void begin(Progress *p)
{
    NativeState *state = vm_native_state(p->vm);
    p->running = true;
    p->outer = state->progress;
    state->progress = p;
    p->start = p->rate_time = now();
    if (may_tell(p->vm)) tell(p, false, false);
}

static bool unlink(struct Progress **link, Progress *p)
{
    while (*link && *link != p) link = &(*link)->outer;
    if (!*link) return false;
    *link = p->outer;
    return true;
}

/* It may be one of a computation that is set aside. */
static void leave(Progress *p)
{
    NativeState *state = vm_native_state(p->vm);
    bool found = unlink(&state->progress, p);
    for (SuspendedProgress *kept = state->suspended; !found && kept; kept = kept->below) found = unlink(&kept->top, p);
}

void progress_stop_all(NativeState *state)
{
    for (Progress *p; (p = state->progress); p->outer = NULL) {
        state->progress = p->outer;
        p->running = false;
    }
}

/* The outermost one's end is always told, with what failed within it. */
static void end(Progress *p, bool failed)
{
    if (!p->running) return;
    p->running = false;
    leave(p);
    if (!p->outer) {
        tell(p, true, failed);
    } else if (!failed) {
        if (!p->outer->reported && p->metrics.length) {
            Text metrics = p->outer->metrics;
            p->outer->metrics = p->metrics;
            p->metrics = metrics;
        }
        if (may_tell(p->vm)) tell(p->outer, false, false);
    } else {
        Line *line = line_new(p, now(), true, true);
        if (!line) return;
        line->inner = p->stopped;
        p->stopped = NULL;
        lines_free(p->outer->stopped);
        p->outer->stopped = line;
    }
}

static bool progress_next(Vm *vm, Stream *s, Value *item)
{
    Progress *p = s->state;
    if (!p->running) begin(p);
    else {
        p->step += 1;
        lines_free(p->stopped);
        p->stopped = NULL;
        if (may_tell(vm)) tell(p, false, false);
    }
    if (!vm_next(vm, p->from, item)) {
        end(p, true);
        return false;
    }
    if (item->tag == TAG_DONE) end(p, false);
    return true;
}

static void progress_close(Vm *vm, Stream *s)
{
    Progress *p = s->state;
    end(p, vm_tensors(vm)->error.kind != ERROR_NONE);
    vm_iterate_close(vm, p->from);
}

static void drop(Progress *p)
{
    value_release(p->from);
    value_release(p->label);
    value_release(p->curve_of);
    text_free(&p->metrics);
    lines_free(p->stopped);
    free(p->curve);
    free(p);
}

static void progress_free(Stream *s)
{
    end(s->state, true);
    drop(s->state);
}

static const struct StreamKind progress_kind = {"progress", progress_next, progress_close, progress_free, NULL};

/* [asked] is a bool or a metric's name. */
static bool find_curve(Vm *vm, Value asked, Progress *p)
{
    if (asked.tag == TAG_BOOL && !asked.b) return true;
    if (asked.tag != TAG_BOOL && asked.tag != TAG_STRING)
        return native_wants(vm, "progress", "curve", "true or the name of a metric", asked);
    p->curve = calloc(1, sizeof *p->curve);
    if (asked.tag == TAG_STRING) p->curve_of = value_retain(asked);
    return p->curve || vm_out_of_memory(vm);
}

bool native_progress(Vm *vm, const Value *args, Value *result)
{
    int64_t length = -1;
    if (args[2].tag == TAG_NONE && !native_length(vm, args[0], &length)) return false;
    Progress *p = calloc(1, sizeof *p);
    if (!p) return vm_out_of_memory(vm);
    p->vm = vm;
    p->from = p->curve_of = VALUE_NONE;
    p->total = args[2].tag == TAG_INT ? (double)args[2].i : args[2].tag == TAG_FLOAT ? args[2].f : (double)length;
    p->label = value_retain(args[1]);
    bool fine = find_curve(vm, args[3], p) && vm_iterate(vm, args[0], &p->from);
    Value v = fine ? stream_new_take(&progress_kind, VALUE_UNDEFINED, p) : VALUE_UNDEFINED;
    if (v.tag == TAG_UNDEFINED) drop(p);
    return fine && native_give(vm, v, result);
}

/* ---- metrics ---- */

static bool as_number(Value v, double *d)
{
    bool floating = v.tag == TAG_FLOAT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT) ||
                    (v.tag == TAG_TENSOR && v.tensor->ndim == 0);
    return floating && value_to_double(v, d);
}

static bool add_metric(Vm *vm, Text *text, const MapEntry *entry)
{
    double d;
    if (text->length) text_add(text, "  ", 2);
    if (!value_print(vm, entry->key, text)) return false;
    text_add(text, " ", 1);
    if (!as_number(entry->value, &d)) return value_print(vm, entry->value, text);
    text_format(text, "%.4g", d);
    return true;
}

/* A curve of no name takes that of the loss, or of the first number, and keeps it. */
static void add_to_curve(Progress *p, const Map *metrics)
{
    Value name = VALUE_NONE, v;
    double d;
    for (int64_t i = 0; p->curve_of.tag != TAG_STRING && i < metrics->used; i++) {
        Value key = metrics->entry[i].key;
        if (key.tag != TAG_STRING || !as_number(metrics->entry[i].value, &d)) continue;
        bool loss = strcmp(key.string->text, "loss") == 0;
        if (name.tag == TAG_NONE || loss) name = key;
    }
    if (name.tag == TAG_STRING) p->curve_of = value_retain(name);
    if (p->curve_of.tag == TAG_STRING && map_get_text(metrics, p->curve_of.string->text, &v) && value_to_double(v, &d))
        curve_add(p->curve, d);
}

bool native_report(Vm *vm, const Value *args, Value *result)
{
    Progress *p = vm_native_state(vm)->progress;
    const Map *metrics = args[0].map;
    *result = VALUE_NONE;
    if (!p) return true;
    Text text = {0};
    for (int64_t i = 0; i < metrics->used; i++) {
        if (metrics->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (!add_metric(vm, &text, &metrics->entry[i])) {
            text_free(&text);
            return false;
        }
    }
    text_free(&p->metrics);
    p->metrics = text;
    p->reported = true;
    for (; p; p = p->outer)
        if (p->curve) add_to_curve(p, metrics);
    return true;
}
