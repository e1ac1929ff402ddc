/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that run code to look at it: :time, :shape, :bytecode, and :mem, which looks at what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "compile.h"
#include "walk.h"

bool command_value(CommandCall *call, Value *out)
{
    Proto *proto = command_compile(call);
    if (!proto) return false;
    *out = VALUE_UNDEFINED;
    bool fine = vm_run_proto(call->session->vm, proto, out);
    proto_release(proto);
    return fine;
}

void command_bytes(double bytes, Text *out)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
    text_format(out, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* ---- :time ---- */

#define TIME_BUDGET 0.6       /* seconds, unless one run takes longer */
#define TIME_SAMPLE 20e-6     /* a sample is as many runs as take so long: the clock itself takes time */
#define TIME_SAMPLES 1000

typedef struct Timing {
    Vm *vm;
    Proto *proto;
    int64_t batch, runs;
    int count;
    double sample[TIME_SAMPLES];      /* seconds a run */
} Timing;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool run_once(Timing *timing)
{
    Value value = VALUE_UNDEFINED;
    bool fine = vm_run_proto(timing->vm, timing->proto, &value);
    value_release(value);
    timing->runs++;
    return fine && vm_safe_point(timing->vm);
}

static bool take_sample(Timing *timing)
{
    double start = now();
    for (int64_t i = 0; i < timing->batch; i++)
        if (!run_once(timing)) return false;
    timing->sample[timing->count++] = (now() - start) / (double)timing->batch;
    return true;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_seconds(double seconds, Text *out)
{
    static const char *const units[] = {"s", "ms", "µs", "ns"};
    int unit = 0;
    for (; seconds < 1 && unit < 3; unit++) seconds *= 1000;
    text_format(out, "%.*f %s", seconds < 10 ? 2 : seconds < 100 ? 1 : 0, seconds, units[unit]);
}

static void report_time(Timing *timing, double tensors, double bytes, Text *out)
{
    int n = timing->count;
    qsort(timing->sample, (size_t)n, sizeof *timing->sample, by_size);
    add_seconds(timing->sample[n / 2], out);
    if (n > 1) {
        text_format(out, "  median of %lld runs; half of them ", (long long)timing->runs);
        add_seconds(timing->sample[n / 4], out);
        text_format(out, " to ");
        add_seconds(timing->sample[n - 1 - n / 4], out);
        text_format(out, ", fastest ");
        add_seconds(timing->sample[0], out);
    } else {
        text_format(out, "  one run");
    }
    text_format(out, "\n%.*f tensor%s a run; at most ", tensors == (double)(int64_t)tensors ? 0 : 1, tensors,
                tensors == 1 ? "" : "s");
    command_bytes(bytes, out);
    text_format(out, " more memory in use");
}

/* The first run fills caches and is not counted, unless it takes the whole time. */
static bool measure(Timing *timing, Text *out)
{
    RuntimeInfo before, after;
    double start = now(), first;
    timing->batch = 1;
    runtime_forget_peak();
    runtime_info(&before, false);
    int64_t made = runtime_tensors_made();
    if (!take_sample(timing)) return false;
    first = timing->sample[0];
    if (first < TIME_BUDGET) timing->count = 0;
    timing->batch = first < TIME_SAMPLE ? (int64_t)(TIME_SAMPLE / (first > 1e-8 ? first : 1e-8)) + 1 : 1;
    while (timing->count < TIME_SAMPLES && now() - start < TIME_BUDGET)
        if (!take_sample(timing)) return false;
    if (timing->count == 0 && !take_sample(timing)) return false;
    runtime_info(&after, false);
    double more = (double)after.memory_peak - (double)before.memory_live;
    report_time(timing, (double)(runtime_tensors_made() - made) / (double)timing->runs, more > 0 ? more : 0, out);
    return true;
}

bool command_time(CommandCall *call)
{
    Text out = {0};
    Timing *timing = calloc(1, sizeof *timing);
    if (!timing) return vm_out_of_memory(call->session->vm);
    timing->vm = call->session->vm;
    timing->proto = command_compile(call);
    bool fine = timing->proto && measure(timing, &out);
    if (timing->proto) proto_release(timing->proto);
    free(timing);
    if (fine) return command_answer(call, &out);
    text_free(&out);
    return false;
}

/* ---- :shape ---- */

#define SHAPE_DEPTH 6
#define SHAPE_ITEMS 20

/* Containers with what is in them. */
static void add_shape(Value v, int depth, Text *out)
{
    char described[128];
    bool row = v.tag == TAG_LIST || v.tag == TAG_TUPLE, map = v.tag == TAG_MAP;
    if ((!row && !map) || depth > SHAPE_DEPTH) {
        value_describe(v, described, sizeof described);
        text_format(out, "%s", described);
        return;
    }
    text_format(out, map ? "{" : v.tag == TAG_LIST ? "[" : "(");
    int64_t n = map ? v.map->used : v.list->count, shown = 0;
    for (int64_t i = 0; i < n && shown < SHAPE_ITEMS; i++) {
        if (map && v.map->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (shown++) text_format(out, ", ");
        if (map && v.map->entry[i].key.tag == TAG_STRING) text_format(out, "%s: ", v.map->entry[i].key.string->text);
        add_shape(map ? v.map->entry[i].value : v.list->at[i], depth + 1, out);
    }
    int64_t all = map ? v.map->count : n;
    if (all > shown) text_format(out, ", … %lld more", (long long)(all - shown));
    text_format(out, map ? "}" : v.tag == TAG_LIST ? "]" : ")");
}

/* Only expressions: variables would keep what has no values. */
static bool only_expressions(CommandCall *call)
{
    Source *source = source_new(call->input, call->argument, strlen(call->argument), false);
    Parse *parse = source ? parse_source(source, true) : NULL;
    bool fine = parse != NULL;
    for (int i = 0; fine && i < parse->statements.count; i++)
        fine = parse->statements.at[i]->kind == NODE_EXPR && !may_assign(parse->statements.at[i]);
    if (parse) parse_free(parse);
    source_release(source);
    if (!fine) {
        vm_fail(call->session->vm, ERROR_argument, "", ":shape takes an expression");
        error_hint(&call->session->vm->tensors.error, "it computes no values, so there is nothing to keep in a variable");
    }
    return fine;
}

bool command_shape(CommandCall *call)
{
    TensorContext *context = &call->session->vm->tensors;
    uint64_t seed = context->seed, counter = context->counter;
    Value value = VALUE_UNDEFINED;
    Text out = {0};
    if (!only_expressions(call)) return false;
    context->meta = true;
    bool fine = command_value(call, &value);
    context->meta = false;
    context->seed = seed;
    context->counter = counter;
    if (!fine) {
        if (context->error.kind == ERROR_internal)
            error_hint(&context->error, "this shape depends on values, which :shape does not compute");
        return false;
    }
    add_shape(value, 0, &out);
    value_release(value);
    return command_answer(call, &out);
}

/* ---- :bytecode ---- */

static bool is_name(const char *text)
{
    for (; *text; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') && !(*text >= '0' && *text <= '9') &&
            *text != '_' && *text != '.')
            return false;
    return true;
}

static bool bytecode_of(CommandCall *call, Value v, Text *out)
{
    char described[128];
    if (v.tag == TAG_OBJECT) proto_disassemble(v.object->model->constructor, out);
    else if (v.tag == TAG_MODEL) proto_disassemble(v.model->constructor, out);
    else if (v.tag == TAG_FUNCTION && v.function->kind == FUNCTION_CLOSURE) proto_disassemble(v.function->proto, out);
    else if (value_callable(v))
        return vm_fail(call->session->vm, ERROR_type, "", "%s is built in: it has no bytecode", call->argument);
    else {
        value_describe(v, described, sizeof described);
        vm_fail(call->session->vm, ERROR_type, "", "%s is no function, but %s", call->argument, described);
        error_hint(&call->session->vm->tensors.error, ":bytecode f(x) shows the code of an expression");
        return false;
    }
    return true;
}

/* Of the function that a name stands for, else of the code itself, which is not run. */
bool command_bytecode(CommandCall *call)
{
    Text out = {0};
    Value value = VALUE_UNDEFINED;
    bool fine;
    if (is_name(call->argument)) {
        fine = command_value(call, &value) && bytecode_of(call, value, &out);
    } else {
        Proto *proto = command_compile(call);
        fine = proto != NULL;
        if (proto) proto_disassemble(proto, &out);
        if (proto) proto_release(proto);
    }
    value_release(value);
    if (fine) return command_answer(call, &out);
    text_free(&out);
    return false;
}

/* ---- :mem ---- */

#define MEM_ROWS 30
#define MEM_DEPTH 100

typedef struct MemRow { const char *name; Value value; double bytes; int tensors; } MemRow;

typedef struct Counting {
    PointerSet seen;          /* storages and objects */
    MemRow *row;
    bool failed;
} Counting;

static void count_value(Counting *counting, Value v, int depth);

static void count_items(Counting *counting, const Value *items, int64_t count, int depth)
{
    for (int64_t i = 0; i < count; i++) count_value(counting, items[i], depth + 1);
}

/* Storages once, however many views and variables show them. */
static void count_value(Counting *counting, Value v, int depth)
{
    bool added = true;
    if (depth > MEM_DEPTH || v.tag < TAG_LIST) return;
    if (v.tag == TAG_TENSOR) {
        counting->row->tensors++;
        if (!v.tensor->storage) return;
        counting->failed |= !pointer_set_add(&counting->seen, v.tensor->storage, &added);
        if (added) counting->row->bytes += (double)v.tensor->storage->bytes;
    } else if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        count_items(counting, v.list->at, v.list->count, depth);
    } else if (v.tag == TAG_MAP) {
        for (int64_t i = 0; i < v.map->used; i++)
            if (v.map->entry[i].key.tag != TAG_UNDEFINED) count_value(counting, v.map->entry[i].value, depth + 1);
    } else if (v.tag == TAG_OBJECT) {
        counting->failed |= !pointer_set_add(&counting->seen, v.object, &added);
        if (added) count_items(counting, v.object->field, v.object->n_fields, depth);
    } else if (v.tag == TAG_FUNCTION) {
        count_items(counting, v.function->value, v.function->n_values, depth);
    }
}

static int by_bytes(const void *a, const void *b)
{
    const MemRow *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : strcmp(x->name, y->name);
}

static void add_row(const MemRow *row, Text *out)
{
    char described[128];
    Text size = {0};
    value_describe(row->value, described, sizeof described);
    command_bytes(row->bytes, &size);
    text_format(out, "%-16s %10s  %s", row->name, size.at ? size.at : "", described);
    if (row->value.tag != TAG_TENSOR) text_format(out, ", %d tensors", row->tensors);
    text_format(out, "\n");
    text_free(&size);
}

static void add_allocator(int tensors_named, Text *out)
{
    RuntimeInfo info;
    runtime_info(&info, false);
    text_format(out, "tensors: ");
    command_bytes((double)info.memory_live, out);
    text_format(out, " in use by %lld (%d in variables), ", (long long)info.tensors_live, tensors_named);
    command_bytes((double)info.memory_cached, out);
    text_format(out, " kept for reuse, ");
    command_bytes((double)(info.memory_peak > info.memory_live ? info.memory_peak : info.memory_live), out);
    text_format(out, " at the peak, of a budget of ");
    command_bytes((double)info.memory_budget, out);
}

bool command_mem(CommandCall *call)
{
    const Module *module = call->session->vm->main;
    Counting counting = {0};
    MemRow *rows = calloc(module->n_slots + 1, sizeof *rows);
    Text out = {0};
    int count = 0, tensors = 0;
    if (!rows) return vm_out_of_memory(call->session->vm);
    for (uint32_t i = 0; i < module->n_slots; i++) {
        counting.row = &rows[count];
        rows[count] = (MemRow){.name = module->slot[i].name, .value = module->slot[i].value};
        count_value(&counting, module->slot[i].value, 0);
        tensors += rows[count].tensors;
        count += rows[count].tensors > 0;
    }
    pointer_set_free(&counting.seen);
    qsort(rows, (size_t)count, sizeof *rows, by_bytes);
    for (int i = 0; i < count && i < MEM_ROWS; i++) add_row(&rows[i], &out);
    if (count > MEM_ROWS) text_format(&out, "… %d more variables\n", count - MEM_ROWS);
    add_allocator(tensors, &out);
    free(rows);
    if (!counting.failed) return command_answer(call, &out);
    text_free(&out);
    return vm_out_of_memory(call->session->vm);
}
