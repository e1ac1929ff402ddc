/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON: read by the module `data`, whose findings become values here; written here. Maps keep their order both ways.
   An error of writing says at which part of the value it arose. */
#include <math.h>
#include <string.h>

#include "bridge.h"
#include "builtins.h"
#include "date.h"
#include "formats.h"
#include "print.h"
#include "textfile.h"

#define DEPTH_LIMIT 1000

const DataModule *data_module(Vm *vm)
{
    return runtime_open_module(&vm_tensors(vm)->error, "data");
}

/* ---- reading ---- */

/* The containers that are being filled are a list of (container, key) from the outside in. */
typedef struct Builder { Vm *vm; Value stack; Value key; Value root; } Builder;

static bool put_value(Builder *b, Value owned)
{
    List *stack = b->stack.list;
    if (owned.tag == TAG_UNDEFINED) return vm_out_of_memory(b->vm);
    if (stack->count == 0) {
        b->root = owned;
        return true;
    }
    Value in = stack->at[stack->count - 1];
    bool fine = in.tag == TAG_LIST ? list_push_take(in.list, owned) : map_set_take(in.map, b->key, owned);
    return fine || vm_out_of_memory(b->vm);
}

static bool put_null(void *to) { return put_value(to, VALUE_NONE); }
static bool put_bool(void *to, bool v) { return put_value(to, value_bool(v)); }
static bool put_int(void *to, int64_t v) { return put_value(to, value_int(v)); }
static bool put_real(void *to, double v) { return put_value(to, value_float(v)); }
static bool put_string(void *to, const char *text, size_t length) { return put_value(to, string_new(text, length)); }

/* An inner container's key waits below it on the stack. */
static bool begin(void *to, bool map, size_t count)
{
    Builder *b = to;
    Value v = map ? map_new() : list_new((int64_t)count), key = b->key;
    b->key = VALUE_NONE;
    if (!list_push_take(b->stack.list, key)) value_release(v);
    else if (v.tag != TAG_UNDEFINED && list_push_take(b->stack.list, v)) return true;
    return vm_out_of_memory(b->vm);
}

static bool put_key(void *to, const char *text, size_t length)
{
    Builder *b = to;
    value_set(&b->key, string_new(text, length));
    return b->key.tag != TAG_UNDEFINED || vm_out_of_memory(b->vm);
}

static bool end(void *to)
{
    Builder *b = to;
    List *stack = b->stack.list;
    Value v = stack->at[--stack->count];
    value_set(&b->key, stack->at[--stack->count]);
    return put_value(b, v);
}

/* [what] is the path with ": " or "", [line] that of the text's first one. */
static bool parse(Vm *vm, const char *function, const char *what, const char *text, size_t length, int64_t line,
                  Value *result)
{
    const DataModule *data = data_module(vm);
    if (!data) return false;
    FormatError error;
    Builder b = {.vm = vm, .stack = list_new(0), .key = VALUE_NONE, .root = VALUE_NONE};
    if (b.stack.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    JsonSink sink = {&b, put_null, put_bool, put_int, put_real, put_string, begin, put_key, end};
    bool fine = data->json_read(text, length, &sink, &error);
    value_release(b.stack);
    value_release(b.key);
    if (fine) {
        *result = b.root;
        return true;
    }
    value_release(b.root);
    if (!error.line) return false;                             /* a sink's error stands */
    if (!error.why[0]) return vm_out_of_memory(vm);
    vm_fail(vm, ERROR_format, function, "%.200sline %lld, column %lld: %s", what, (long long)(error.line + line - 1),
            (long long)error.column, error.why);
    Error *e = &vm_tensors(vm)->error;
    bool special = strcasestr(error.why, "nan") || strcasestr(error.why, "inf");
    if (strstr(error.why, "too big")) error_hint(e, "an int has 64 bits; longer numbers stand in quotes");
    else if (special) error_hint(e, "JSON has no nan or inf; null is none");
    else if (strstr(error.why, "'''")) error_hint(e, "strings of JSON stand in \"…\"");
    return false;
}

bool json_read(Vm *vm, const char *function, const char *text, size_t length, Value *result)
{
    return parse(vm, function, "", text, length, 1, result);
}

bool native_parse_json(Vm *vm, const Value *args, Value *result)
{
    return json_read(vm, "parse_json", args[0].string->text, args[0].string->length, result);
}

/* ---- writing ---- */

typedef struct Writer {
    Vm *vm;
    const char *function;
    Text *out, where;         /* where: ".loss[2]" */
    int indent, depth;        /* indent 0: on one line */
} Writer;

static bool write_value(Writer *w, Value v);

static bool refuse(Writer *w, const char *what, const char *hint)
{
    vm_fail(w->vm, ERROR_value, w->function, "%s cannot be written%s%.150s", what, w->where.length ? ", at x" : "",
            w->where.length ? w->where.at : "");
    error_hint(&vm_tensors(w->vm)->error, "%s", hint);
    return false;
}

static void write_string(Text *out, const char *text, size_t length)
{
    size_t done = 0;
    text_add(out, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        text_add(out, text + done, i - done);
        done = i + 1;
        if (c == '"' || c == '\\') text_format(out, "\\%c", c);
        else if (c == '\n') text_add(out, "\\n", 2);
        else if (c == '\t') text_add(out, "\\t", 2);
        else text_format(out, "\\u%04x", c);
    }
    text_add(out, text + done, length - done);
    text_add(out, "\"", 1);
}

static bool write_number(Writer *w, double number, Dtype dtype)
{
    if (!isfinite(number)) {
        return refuse(w, isnan(number) ? "nan" : "inf", "JSON has no nan and no inf; put none in its place");
    }
    print_float(w->out, number, dtype);
    return true;
}

static bool is_container(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_MAP || v.tag == TAG_SET || v.tag == TAG_RANGE ||
           (v.tag == TAG_TENSOR && v.tensor->ndim > 0);
}

static void next_line(Writer *w, bool broken, bool first)
{
    if (!first) text_add(w->out, broken ? "," : ", ", broken ? 1 : 2);
    if (!broken) return;
    text_add(w->out, "\n", 1);
    text_spaces(w->out, w->indent * w->depth);
}

/* Closes what stands on several lines. */
static void close_lines(Writer *w, bool broken)
{
    w->depth--;
    if (!broken) return;
    text_add(w->out, "\n", 1);
    text_spaces(w->out, w->indent * w->depth);
}

static bool write_part(Writer *w, Value v, size_t before)
{
    if (!write_value(w, v)) return false;
    w->where.length = before;
    if (w->where.at) w->where.at[before] = '\0';
    return true;
}

/* A list whose items are no containers stays on one line. */
static bool write_list(Writer *w, const List *list)
{
    bool broken = false;
    for (int64_t i = 0; w->indent && i < list->count && !broken; i++) broken = is_container(list->at[i]);
    text_add(w->out, "[", 1);
    w->depth++;
    for (int64_t i = 0; i < list->count; i++) {
        size_t before = w->where.length;
        next_line(w, broken, i == 0);
        text_format(&w->where, "[%lld]", (long long)i);
        if (!write_part(w, list->at[i], before)) return false;
    }
    close_lines(w, broken);
    text_add(w->out, "]", 1);
    return true;
}

/* A key's text; JSON knows no other keys. */
static bool write_key(Writer *w, Value key)
{
    Text text = {0};
    bool fine = key.tag == TAG_STRING || key.tag == TAG_INT || key.tag == TAG_DATE;
    if (!fine) return refuse(w, "a key that is no string, int or date", "JSON's keys are strings");
    fine = value_print(w->vm, key, &text);
    write_string(w->out, text.at ? text.at : "", text.length);
    text_format(&w->where, "[\"%.60s\"]", text.at ? text.at : "");
    text_free(&text);
    return fine;
}

static bool write_map(Writer *w, const Map *map)
{
    bool broken = w->indent && map->count, first = true;
    text_add(w->out, "{", 1);
    w->depth++;
    for (int64_t i = 0; i < map->used; i++) {
        const MapEntry *entry = &map->entry[i];
        size_t before = w->where.length;
        if (entry->key.tag == TAG_UNDEFINED) continue;
        next_line(w, broken, first);
        first = false;
        if (!write_key(w, entry->key)) return false;
        text_add(w->out, ": ", 2);
        if (!write_part(w, entry->value, before)) return false;
    }
    close_lines(w, broken);
    text_add(w->out, "}", 1);
    return true;
}

/* Sets, ranges and tensors: as the list of their items. */
static bool write_items(Writer *w, Value v)
{
    Value list;
    if (!native_collect(w->vm, v, &list)) return false;
    bool fine = write_list(w, list.list);
    value_release(list);
    return fine;
}

static bool write_scalar(Writer *w, Value v)
{
    if (dtype_class((Dtype)v.dtype) == CLASS_FLOAT) return write_number(w, v.f, (Dtype)v.dtype);
    if (v.dtype == DTYPE_bool) text_string(w->out, v.i ? "true" : "false");
    else text_format(w->out, "%lld", (long long)v.i);
    return true;
}

static bool write_other(Writer *w, Value v)
{
    char described[96];
    value_describe(v, described, sizeof described);
    return refuse(w, described, v.tag == TAG_OBJECT ? "state(x) is a map of what a model holds; .safetensors saves it"
                  : "data is none, bools, numbers, strings, dates, tensors, and lists, sets and maps of those");
}

static bool write_value(Writer *w, Value v)
{
    if (w->depth > DEPTH_LIMIT) return vm_fail(w->vm, ERROR_recursion, w->function, "the value is nested too deeply");
    switch ((Tag)v.tag) {
    case TAG_NONE: text_string(w->out, "null"); return true;
    case TAG_BOOL: text_string(w->out, v.b ? "true" : "false"); return true;
    case TAG_INT: text_format(w->out, "%lld", (long long)v.i); return true;
    case TAG_FLOAT: return write_number(w, v.f, DTYPE_f64);
    case TAG_SCALAR: return write_scalar(w, v);
    case TAG_STRING: write_string(w->out, v.string->text, v.string->length); return true;
    case TAG_DATE:
        text_add(w->out, "\"", 1);
        date_print(w->out, v);
        text_add(w->out, "\"", 1);
        return true;
    case TAG_LIST:
    case TAG_TUPLE: return write_list(w, v.list);
    case TAG_MAP: return write_map(w, v.map);
    case TAG_TENSOR:
        if (v.tensor->ndim > 0) return write_items(w, v);
        return write_number(w, tensor_item(v.tensor, 0), (Dtype)v.tensor->dtype);
    case TAG_SET:
    case TAG_RANGE: return write_items(w, v);
    default: return write_other(w, v);
    }
}

static bool write_json(Vm *vm, const char *function, Value v, int indent, Text *out)
{
    Writer w = {.vm = vm, .function = function, .out = out, .indent = indent};
    bool fine = write_value(&w, v);
    bool memory = out->failed || w.where.failed;
    text_free(&w.where);
    return fine && (!memory || vm_out_of_memory(vm));
}

bool json_write(Vm *vm, const char *function, Value v, Text *out)
{
    return write_json(vm, function, v, 0, out);
}

bool native_to_json(Vm *vm, const Value *args, Value *result)
{
    Text out = {0};
    int64_t indent = args[1].i;
    if (indent < 0 || indent > 40) {
        return vm_fail(vm, ERROR_value, "to_json", "indent goes from 0 to 40, got %lld", (long long)indent);
    }
    if (write_json(vm, "to_json", args[0], (int)indent, &out)) return native_give_text(vm, &out, result);
    text_free(&out);
    return false;
}

/* ---- files ---- */

static bool parse_lines(Vm *vm, const char *what, const String *text, Value *result)
{
    Value list = list_new(0), v;
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    int64_t line = 1;
    for (size_t at = 0, next; fine && at < text->length; at = next, line++) {
        const char *hit = memchr(text->text + at, '\n', text->length - at);
        size_t end_ = hit ? (size_t)(hit - text->text) : text->length;
        next = end_ + 1;
        if (strspn(text->text + at, " \t\r") >= end_ - at) continue;
        fine = parse(vm, "load", what, text->text + at, end_ - at, line, &v) &&
               (list_push_take(list.list, v) || vm_out_of_memory(vm));
        fine = fine && !tensor_interrupted(vm_tensors(vm));
    }
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool json_load(Vm *vm, const char *path, bool lines, Value *result)
{
    Value text;
    Text what = {0};
    if (!path_read_text(vm, "load", path, "utf-8", &text)) return false;
    text_format(&what, "%.200s: ", path);
    bool fine = !what.failed || vm_out_of_memory(vm);
    if (fine && lines) fine = parse_lines(vm, what.at, text.string, result);
    else if (fine) fine = parse(vm, "load", what.at, text.string->text, text.string->length, 1, result);
    text_free(&what);
    value_release(text);
    return fine;
}

bool json_save(Vm *vm, Value v, const char *path, bool lines)
{
    Text out = {0};
    Value list = VALUE_NONE;
    bool fine = lines ? native_collect(vm, v, &list) : write_json(vm, "save", v, 2, &out);
    for (int64_t i = 0; lines && fine && i < list.list->count; i++) {
        fine = write_json(vm, "save", list.list->at[i], 0, &out);
        text_add(&out, "\n", 1);
    }
    if (!lines) text_add(&out, "\n", 1);
    fine = fine && (!out.failed || vm_out_of_memory(vm)) &&
           runtime_write_file(vm_tensors(vm), "save", path, out.at ? out.at : "", out.length);
    if (lines) value_release(list);
    text_free(&out);
    return fine;
}
