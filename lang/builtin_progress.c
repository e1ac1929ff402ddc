/* SPDX-License-Identifier: GPL-3.0-or-later */
/* progress(xs) passes the items of xs on and tells the session how far it is; report(loss=…) sets the metrics of the
   innermost one. Running ones form a stack in the VM's native state: one is on it from its first item to its end, and
   leaves it when the loop ends, breaks or fails, or at the latest when the stream is freed. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builtins.h"
#include "lang.h"
#include "print.h"

#define MOST_OFTEN 0.05       /* seconds between two messages */

typedef struct Progress {
    Vm *vm;
    struct Progress *outer;   /* the next one on the stack */
    bool running;
    int id;
    Value from;               /* iterator */
    Value label;              /* string */
    double step, total, start, last;
    Text metrics;
} Progress;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void tell(Progress *p, bool done, bool failed)
{
    const SessionConfig *config = vm_config(p->vm);
    double time = now();
    if (!config || !config->progress || (!done && p->step > 0 && time - p->last < MOST_OFTEN)) return;
    p->last = time;
    ProgressState state = {
        .id = p->id, .label = p->label.tag == TAG_STRING ? p->label.string->text : "",
        .step = p->step, .total = p->total,
        .elapsed = time - p->start, .metrics = p->metrics.at ? p->metrics.at : "", .done = done, .failed = failed,
    };
    config->progress(config->user, &state);
}

static void begin(Progress *p)
{
    NativeState *state = vm_native_state(p->vm);
    p->running = true;
    p->id = ++state->n_progress;
    p->outer = state->progress;
    state->progress = p;
    p->start = now();
    tell(p, false, false);
}

static void end(Progress *p, bool failed)
{
    if (!p->running) return;
    p->running = false;
    struct Progress **link = &vm_native_state(p->vm)->progress;
    while (*link && *link != p) link = &(*link)->outer;
    if (*link) *link = p->outer;
    tell(p, true, failed);
}

static bool progress_next(Vm *vm, Stream *s, Value *item)
{
    Progress *p = s->state;
    if (!p->running) begin(p);
    else {
        p->step += 1;
        tell(p, false, false);
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

static void progress_free(Stream *s)
{
    Progress *p = s->state;
    end(p, true);
    value_release(p->from);
    value_release(p->label);
    text_free(&p->metrics);
    free(p);
}

static const struct StreamKind progress_kind = {"progress", progress_next, progress_close, progress_free, NULL};

bool native_progress(Vm *vm, const Value *args, Value *result)
{
    int64_t length = -1;
    if (args[2].tag == TAG_NONE && !native_length(vm, args[0], &length)) return false;
    Progress *p = calloc(1, sizeof *p);
    if (!p) return vm_out_of_memory(vm);
    p->vm = vm;
    p->total = args[2].tag == TAG_INT ? (double)args[2].i : args[2].tag == TAG_FLOAT ? args[2].f : (double)length;
    if (!vm_iterate(vm, args[0], &p->from)) {
        free(p);
        return false;
    }
    p->label = value_retain(args[1]);
    Value v = stream_new_take(&progress_kind, VALUE_UNDEFINED, p);
    if (v.tag == TAG_UNDEFINED) {
        value_release(p->from);
        value_release(p->label);
        free(p);
    }
    return native_give(vm, v, result);
}

static bool add_metric(Vm *vm, Text *text, const MapEntry *entry)
{
    Value v = entry->value;
    double d;
    if (text->length) text_add(text, "  ", 2);
    if (!value_print(vm, entry->key, text)) return false;
    text_add(text, " ", 1);
    bool floating = v.tag == TAG_FLOAT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT) ||
                    (v.tag == TAG_TENSOR && v.tensor->ndim == 0);
    if (!floating || !value_to_double(v, &d)) return value_print(vm, v, text);
    text_format(text, "%.4g", d);
    return true;
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
    return true;
}
