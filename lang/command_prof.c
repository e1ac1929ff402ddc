/* SPDX-License-Identifier: GPL-3.0-or-later */
/* :prof, which runs code and tells where its time and memory went: by line of the user's code, gradients counted for the
   line that recorded them, and by op. It watches the ops (OpWatch): time between them is the language's, counted for the
   line that comes to the next op.
   Invariant: an op's time is its own, that of its gradient rule included; that of ops which these call is theirs. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"

#define PROF_BUDGET 0.5       /* seconds, unless one run takes longer */
#define PROF_LINES 15
#define PROF_OPS 25
#define PROF_COLUMNS 60       /* of a line's text */
#define PROF_DEPTH 64         /* of ops that call ops; deeper ones count for this one */

typedef struct Row {
    Source *source;           /* retained, of a line; NULL: an op's row */
    char *name;               /* owned; NULL: a line's */
    uint32_t line;
    int64_t calls;
    double forward, gradient; /* seconds */
    double bytes;             /* taken; what was given back meanwhile is not subtracted */
} Row;

typedef struct Rows { Row *at; int count, room; } Rows;

typedef struct Running { int op, place; bool gradient; } Running;      /* their rows */

typedef struct Profile {
    OpWatch watch;            /* first: what is told is told of a Profile */
    Vm *vm;
    Rows lines, ops;          /* their first rows: no line is known, no memory was left */
    Running running[PROF_DEPTH];
    int depth;
    double last;              /* when the last op began or ended */
    double language, total;   /* seconds */
    int64_t runs;
    size_t before, live, most;    /* bytes in use: at the start, at the last event, ever */
    int most_place;
    bool failed;
} Profile;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- rows ---- */

/* -1 when memory is out. */
static int add_row(Profile *p, Rows *rows, Source *source, uint32_t line, const char *name)
{
    if (rows->count == rows->room) {
        int room = rows->room ? 2 * rows->room : 64;
        Row *more = realloc(rows->at, (size_t)room * sizeof *more);
        p->failed |= !more;
        if (!more) return -1;
        rows->at = more;
        rows->room = room;
    }
    char *copy = name ? strdup(name) : NULL;
    p->failed |= name && !copy;
    if (name && !copy) return -1;
    rows->at[rows->count] = (Row){.source = source_retain(source), .line = line, .name = copy};
    return rows->count++;
}

static void clear_rows(Rows *rows)
{
    for (int i = 0; i < rows->count; i++) {
        source_release(rows->at[i].source);
        free(rows->at[i].name);
    }
    free(rows->at);
}

/* There are few enough to search; the first when memory is out. */
static int line_row(Profile *p, Source *source, uint32_t line)
{
    for (int i = p->lines.count - 1; i > 0; i--)
        if (p->lines.at[i].source == source && p->lines.at[i].line == line) return i;
    int added = add_row(p, &p->lines, source, line, NULL);
    return added < 0 ? 0 : added;
}

static int op_row(Profile *p, const char *name)
{
    for (int i = p->ops.count - 1; i > 0; i--)
        if (strcmp(p->ops.at[i].name, name) == 0) return i;
    int added = add_row(p, &p->ops, NULL, 0, name);
    return added < 0 ? 0 : added;
}

/* The innermost line of the user's own code. */
static int place_now(Profile *p)
{
    for (int i = p->vm->n_frames - 1; i >= 0; i--) {
        const Frame *frame = &p->vm->frame[i];
        const Proto *proto = frame->proto;
        if (proto->source->library) continue;
        int32_t pc = (int32_t)(frame->pc - proto->code) - 1;
        Span span = pc >= 0 && pc < proto->n_code ? proto->spans[pc] : proto->span;
        uint32_t line, column;
        source_locate(proto->source, span.start, &line, &column);
        return line_row(p, proto->source, line);
    }
    return 0;
}

/* ---- what the ops tell ---- */

static Running *running(Profile *p)
{
    return p->depth == 0 ? NULL : &p->running[(p->depth < PROF_DEPTH ? p->depth : PROF_DEPTH) - 1];
}

/* Counts the time since the last event, and the memory taken, for whoever ran: an op, or the language on its way to the
   line at [place]. */
static void count_time(Profile *p, int place)
{
    double time = now(), took = time - p->last;
    const Running *who = running(p);
    Row *line = &p->lines.at[who ? who->place : place];
    size_t live = runtime_live_bytes();
    double taken = live > p->live ? (double)(live - p->live) : 0;
    p->last = time;
    p->live = live;
    line->bytes += taken;
    if (who) {
        Row *op = &p->ops.at[who->op];
        op->bytes += taken;
        *(who->gradient ? &op->gradient : &op->forward) += took;
        *(who->gradient ? &line->gradient : &line->forward) += took;
    } else {
        p->language += took;
        line->forward += took;
    }
}

static void enter(Profile *p, int op, int place, bool gradient)
{
    count_time(p, place);
    if (p->depth++ < PROF_DEPTH) p->running[p->depth - 1] = (Running){op, place, gradient};
}

static void begin(OpWatch *watch, const char *name)
{
    Profile *p = (Profile *)(void *)watch;
    const Running *outer = running(p);
    int place = outer ? outer->place : place_now(p);
    if (!outer) p->lines.at[place].calls++;
    watch->place = place;
    int op = op_row(p, name);
    p->ops.at[op].calls++;
    enter(p, op, place, outer && outer->gradient);
}

/* A place may be that of an earlier run, when what is differentiated was recorded then. */
static void begin_gradient(OpWatch *watch, const char *name, int32_t place)
{
    Profile *p = (Profile *)(void *)watch;
    enter(p, op_row(p, name), place < p->lines.count ? place : 0, true);
}

static void end(OpWatch *watch)
{
    Profile *p = (Profile *)(void *)watch;
    const Running *who = running(p);
    count_time(p, 0);
    if (p->live > p->most) {
        p->most = p->live;
        p->most_place = who->place;
    }
    p->depth--;
}

/* ---- running ---- */

static bool run_watched(Profile *p, Proto *proto)
{
    TensorContext *context = &p->vm->tensors;
    Value value = VALUE_UNDEFINED;
    p->depth = 0;
    p->most = p->live = p->before = runtime_live_bytes();
    runtime_forget_peak();
    context->watch = &p->watch;
    double start = p->last = now();
    bool fine = vm_run_proto(p->vm, proto, &value);
    p->total += now() - start;
    p->language += now() - p->last;
    context->watch = NULL;
    value_release(value);
    p->runs++;
    return fine && vm_safe_point(p->vm) && (!p->failed || vm_out_of_memory(p->vm));
}

/* Begins anew, with the first row of each table. */
static bool reset(Profile *p)
{
    clear_rows(&p->lines);
    clear_rows(&p->ops);
    *p = (Profile){.watch = {.begin = begin, .end = end, .begin_gradient = begin_gradient}, .vm = p->vm};
    return (add_row(p, &p->lines, NULL, 0, "(no line)") == 0 && add_row(p, &p->ops, NULL, 0, "(others)") == 0) ||
           vm_out_of_memory(p->vm);
}

/* The first run fills caches and is not counted, unless it takes the whole time. */
static bool measure(Profile *p, Proto *proto)
{
    if (!reset(p) || !run_watched(p, proto)) return false;
    if (p->total >= PROF_BUDGET) return true;
    if (!reset(p)) return false;
    double start = now();
    do {
        if (!run_watched(p, proto)) return false;
    } while (now() - start < PROF_BUDGET);
    return true;
}

/* ---- the report ---- */

static int by_time(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    double s = x->forward + x->gradient, t = y->forward + y->gradient;
    return (s < t) - (s > t);
}

/* "train.tsr:14  loss = …", the line without its indentation. */
static void add_place(const Row *row, Text *out)
{
    uint32_t length = 0, first = 0;
    if (!row->source) {
        text_format(out, "%s", row->name);
        return;
    }
    const char *text = source_line(row->source, row->line, &length);
    while (first < length && (text[first] == ' ' || text[first] == '\t')) first++;
    length -= first;
    uint32_t shown = length > PROF_COLUMNS ? PROF_COLUMNS : length;
    while (shown < length && shown > 0 && ((unsigned char)text[first + shown] & 0xC0) == 0x80) shown--;
    text_format(out, "%s:%u  %.*s%s", row->source->name, row->line, (int)shown, text + first, shown < length ? "…" : "");
}

static void add_rows(const Profile *p, Rows *rows, int most, const char *title, Text *out)
{
    double runs = (double)p->runs;
    int shown = 0;
    qsort(rows->at, (size_t)rows->count, sizeof *rows->at, by_time);
    text_format(out, "\n\n%10s%6s%10s%10s%9s%10s  %s", "ms", "%", "forward", "gradient", "calls", "memory", title);
    for (int i = 0; i < rows->count; i++) {
        const Row *row = &rows->at[i];
        double all = row->forward + row->gradient;
        Text size = {0};
        if (all <= 0 || shown == most) continue;
        shown++;
        command_bytes(row->bytes / runs, &size);
        text_format(out, "\n%10.3f%6.1f%10.3f%10.3f%9.0f%10s  ", all / runs * 1e3, all / p->total * 100,
                    row->forward / runs * 1e3, row->gradient / runs * 1e3, (double)row->calls / runs,
                    size.at ? size.at : "");
        add_place(row, out);
        text_free(&size);
    }
}

static void report(Profile *p, Text *out)
{
    double runs = (double)p->runs;
    RuntimeInfo info;
    runtime_info(&info, false);
    double more = (double)info.memory_peak - (double)p->before;
    text_format(out, "%.3f ms", p->total / runs * 1e3);
    if (p->runs > 1) text_format(out, " a run, mean of %lld", (long long)p->runs);
    text_format(out, "; %.3f ms of it outside ops\nat most ", p->language / runs * 1e3);
    command_bytes(more > 0 ? more : 0, out);
    text_format(out, " more memory in use");
    if (p->most > p->before) {
        text_format(out, ", reached at ");
        add_place(&p->lines.at[p->most_place], out);
    }
    add_rows(p, &p->lines, PROF_LINES, "line", out);
    add_rows(p, &p->ops, PROF_OPS, "op", out);
}

bool command_prof(CommandCall *call)
{
    Text out = {0};
    Profile *p = calloc(1, sizeof *p);
    if (!p) return vm_out_of_memory(call->session->vm);
    p->vm = call->session->vm;
    Proto *proto = command_compile(call);
    bool fine = proto && measure(p, proto);
    if (fine) report(p, &out);
    if (proto) proto_release(proto);
    clear_rows(&p->lines);
    clear_rows(&p->ops);
    free(p);
    if (fine) return command_answer(call, &out);
    text_free(&out);
    return false;
}
