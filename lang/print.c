/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How values look: what print() shows, what the prompt echoes, what "{x}" inserts. Format specs are in format.c, trees
   of models in print_model.c, tables of tensors in the tensor library.

   A container is first tried on one line; what does not fit the width is broken over lines. Nothing here recurses
   deeper than DEPTH_LIMIT. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "date.h"
#include "lang.h"
#include "print.h"
#include "utf8.h"

#define DEPTH_LIMIT 40
#define ITEMS_LIMIT 200     /* longer containers are shortened … */
#define ITEMS_HEAD 100      /* … to so many first items */
#define ITEMS_TAIL 10       /* … and so many last ones */

/* ---- growing text ---- */

void text_add(Text *text, const char *bytes, size_t length)
{
    if (text->failed) return;
    if (text->length + length + 1 > text->room) {
        size_t room = text->room ? text->room * 2 : 64;
        while (room < text->length + length + 1) room *= 2;
        char *at = realloc(text->at, room);
        if (!at) {
            text->failed = true;
            return;
        }
        text->at = at;
        text->room = room;
    }
    if (length) memcpy(text->at + text->length, bytes, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_string(Text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_format(Text *text, const char *format, ...)
{
    char small[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (length < 0) return;
    if ((size_t)length < sizeof small) {
        text_add(text, small, (size_t)length);
        return;
    }
    char *big = malloc((size_t)length + 1);
    if (!big) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(big, (size_t)length + 1, format, args);
    va_end(args);
    text_add(text, big, (size_t)length);
    free(big);
}

void text_free(Text *text)
{
    free(text->at);
    *text = (Text){0};
}

void text_spaces(Text *text, int count)
{
    for (; count > 0; count--) text_add(text, " ", 1);
}

void text_int(Text *text, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) digits[--at] = '-';
    text_add(text, digits + at, sizeof digits - at);
}

/* Columns that UTF-8 text takes on a terminal. */
int print_columns(const char *bytes, size_t length)
{
    int columns = 0;
    for (size_t i = 0; i < length;) {
        uint32_t c;
        int n = utf8_decode(bytes + i, length - i, &c);
        columns += n ? utf8_width(c) : 1;
        i += n ? (size_t)n : 1;
    }
    return columns;
}

void print_wrapped(Text *out, const char *text, size_t length, int used, int indent, int width)
{
    bool kept = length > 0 && text[0] == ' ';
    for (size_t at = 0; at < length;) {
        if (text[at] == '\n') {
            text_add(out, "\n", 1);
            kept = at + 1 < length && text[at + 1] == ' ';
            used = 0;
            at++;
            continue;
        }
        size_t spaces = 0, end;
        while (at + spaces < length && text[at + spaces] == ' ') spaces++;
        for (end = at + spaces; end < length && text[end] != ' ' && text[end] != '\n';) end++;
        int columns = print_columns(text + at, end - at);
        if (!kept && spaces && used + columns > width) {
            text_add(out, "\n", 1);
            text_spaces(out, indent);
            used = indent;
            columns -= (int)spaces;
            at += spaces;
        }
        text_add(out, text + at, end - at);
        used += columns;
        at = end;
    }
}

void print_line(Text *out, const char *text, size_t length, int64_t most)
{
    for (size_t i = 0; i < length; most--) {
        uint32_t c;
        int n = utf8_decode(text + i, length - i, &c);
        if (most == 0 || (most == 1 && n > 0 && i + (size_t)n < length)) {
            text_string(out, "…");
            return;
        }
        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) text_string(out, c == '\n' || c == '\t' ? " " : "\uFFFD");
        else text_add(out, text + i, (size_t)n);
        i += n ? (size_t)n : 1;
    }
}

int print_width(Vm *vm)
{
    const SessionConfig *config = vm_config(vm);
    return config && config->width > 0 ? config->width : 80;
}

/* ---- numbers ---- */

/* The fewest digits that read back as the same number of that dtype, laid out as Python does: 3.0, 0.1, 1e-07, 1e+20. */
void print_float(Text *out, double number, Dtype dtype)
{
    if (isnan(number)) {
        text_string(out, "nan");
        return;
    }
    if (isinf(number)) {
        text_string(out, number > 0 ? "inf" : "-inf");
        return;
    }
    char buffer[64];
    /* numbers of so many digits come back as they were written, unless they are too near to zero */
    int digits = 1;
    if (dtype == DTYPE_f64 && fabs(number) >= DBL_MIN) digits = DBL_DIG;
    if (dtype == DTYPE_f32 && fabs(number) >= (double)FLT_MIN) digits = FLT_DIG;
    for (;; digits++) {
        snprintf(buffer, sizeof buffer, "%.*e", digits - 1, number);
        if (digits == DBL_DECIMAL_DIG || dtype_round(dtype, strtod(buffer, NULL)) == dtype_round(dtype, number)) break;
    }
    const char *mark = strchr(buffer, 'e');
    int exponent = mark ? atoi(mark + 1) : 0;
    while (digits > 1 && *--mark == '0') digits--;
    if (exponent < -5 || exponent >= 16) {
        text_add(out, buffer, (size_t)(digits + (digits > 1) + (number < 0)));
        text_format(out, "e%d", exponent);
        return;
    }
    int decimals = digits - 1 - exponent;
    text_format(out, "%.*f", decimals > 1 ? decimals : 1, number);
}

static void print_scalar(Text *out, Value v)
{
    Dtype dtype = (Dtype)v.dtype;
    if (dtype_class(dtype) == CLASS_FLOAT) print_float(out, v.f, dtype);
    else if (dtype == DTYPE_bool) text_string(out, v.i ? "true" : "false");
    else text_int(out, v.i);
}

/* ---- strings ---- */

static void print_quoted(Text *out, const String *string)
{
    text_add(out, "\"", 1);
    for (uint32_t i = 0; i < string->length; i++) {
        unsigned char c = (unsigned char)string->text[i];
        if (c == '"') text_add(out, "\\\"", 2);
        else if (c == '\\') text_add(out, "\\\\", 2);
        else if (c == '\n') text_add(out, "\\n", 2);
        else if (c == '\t') text_add(out, "\\t", 2);
        else if (c == '\r') text_add(out, "\\r", 2);
        else if (c == '{' || c == '}') text_format(out, "%c%c", c, c);
        else if (c < 0x20 || c == 0x7f) text_format(out, "\\x%02x", c);
        else text_add(out, (const char *)&string->text[i], 1);
    }
    text_add(out, "\"", 1);
}

/* ---- tensors ---- */

static void write_text(void *to, const char *text, size_t length)
{
    text_add(to, text, length);
}

/* The values of a tensor on one line, or false when they need a table. */
static bool print_tensor_line(Text *out, const Tensor *tensor, int width)
{
    if (tensor->ndim > 1 || tensor_size(tensor) == 0) return false;
    Text line = {0};
    tensor_print(tensor, width, write_text, &line);
    while (line.length && line.at[line.length - 1] == '\n') line.at[--line.length] = '\0';
    bool fits = line.at && !memchr(line.at, '\n', line.length);
    if (fits) text_add(out, line.at, line.length);
    if (line.failed) out->failed = true;
    text_free(&line);
    return fits;
}

static void print_tensor(Printer *p, const Tensor *tensor, bool header, bool inside)
{
    char type[128];
    tensor_type_name(tensor, type, sizeof type);
    if (inside) {                    /* in a container: small rows with their values, others by type */
        text_string(p->out, type);
        if (tensor->ndim != 1 || tensor_size(tensor) > 8 || tensor_size(tensor) == 0) return;
        text_add(p->out, "(", 1);
        print_tensor_line(p->out, tensor, 1000);
        text_add(p->out, ")", 1);
        return;
    }
    if (!header && print_tensor_line(p->out, tensor, p->width)) return;
    text_string(p->out, type);
    if (tensor_size(tensor) == 0) return;
    if (header && tensor->ndim <= 1) {
        text_add(p->out, "  ", 2);
        if (print_tensor_line(p->out, tensor, p->width - (int)strlen(type) - 2)) return;
    }
    text_add(p->out, "\n", 1);
    tensor_print(tensor, p->width, write_text, p->out);
    while (p->out->length && p->out->at[p->out->length - 1] == '\n') p->out->at[--p->out->length] = '\0';
}

/* ---- containers ---- */

static void print_inside(Printer *p, Value v, int indent, int depth);

/* One item of a container, in reading order: a key first where there is one. */
static void print_item(Printer *p, const Value *key, Value v, int indent, int depth)
{
    if (key) {
        size_t before = p->out->length;
        bool word = key->tag == TAG_STRING && print_is_word(key->string->text);
        if (word) text_string(p->out, key->string->text);
        else if (key->tag == TAG_STRING) print_inside(p, *key, indent, depth + 1);
        else {
            text_add(p->out, "[", 1);
            print_inside(p, *key, indent, depth + 1);
            text_add(p->out, "]", 1);
        }
        text_add(p->out, ": ", 2);
        indent += (int)(p->out->length - before);
    }
    print_inside(p, v, indent, depth + 1);
}

typedef struct Items { Value v; const char *open, *close; int64_t count, raw; } Items;

/* Calls of next walk the live items; [at] counts slots, removed map entries included. */
static bool items_next(const Items *items, int64_t *at, const Value **key, Value *value)
{
    if (items->v.tag != TAG_MAP && items->v.tag != TAG_SET) {
        if (*at >= items->raw) return false;
        *key = NULL;
        *value = items->v.list->at[(*at)++];
        return true;
    }
    const Map *map = items->v.map;
    while (*at < map->used && map->entry[*at].key.tag == TAG_UNDEFINED) (*at)++;
    if (*at >= map->used) return false;
    bool set = items->v.tag == TAG_SET;
    *key = set ? NULL : &map->entry[*at].key;
    *value = set ? map->entry[*at].key : map->entry[*at].value;
    (*at)++;
    return true;
}

static Items items_of(Value v)
{
    if (v.tag == TAG_MAP) return (Items){v, "{", "}", v.map->count, v.map->used};
    if (v.tag == TAG_SET) return (Items){v, v.map->count ? "set([" : "set(", v.map->count ? "])" : ")", v.map->count, v.map->used};
    if (v.tag == TAG_TUPLE) return (Items){v, "(", v.list->count == 1 ? ",)" : ")", v.list->count, v.list->count};
    return (Items){v, "[", "]", v.list->count, v.list->count};
}

/* Everything on one line; stops early once it is hopeless. */
static void print_flat(Printer *p, const Items *items, int indent, int depth)
{
    text_string(p->out, items->open);
    int64_t at = 0, n = 0;
    const Value *key;
    Value value;
    size_t start = p->out->length;
    while (items_next(items, &at, &key, &value)) {
        if (n) text_add(p->out, ", ", 2);
        print_item(p, key, value, indent, depth);
        n++;
        if (p->out->length - start > (size_t)p->width * 4 + 400) break;
    }
    text_string(p->out, items->close);
}

static bool is_compound(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_TUPLE || v.tag == TAG_MAP || v.tag == TAG_SET;
}

/* Several lines: atoms fill them, maps and nested containers take one each. */
static void print_broken(Printer *p, const Items *items, int indent, int depth)
{
    text_string(p->out, items->open);
    int64_t at = 0, n = 0;
    const Value *key;
    Value value;
    int column = indent + 1;
    while (items_next(items, &at, &key, &value)) {
        if (items->count > ITEMS_LIMIT && n >= ITEMS_HEAD && n < items->count - ITEMS_TAIL) {
            if (n++ == ITEMS_HEAD) {
                text_format(p->out, ",\n%*s… %lld more …", indent + 1, "",
                            (long long)(items->count - ITEMS_HEAD - ITEMS_TAIL));
                column = p->width;
            }
            continue;
        }
        Text item = {0};
        Printer inner = *p;
        inner.out = &item;
        print_item(&inner, key, value, indent + 1, depth);
        int columns = print_columns(item.at ? item.at : "", item.length);
        bool alone = key || is_compound(value);
        if (n) {
            text_add(p->out, ",", 1);
            if (alone || column + 2 + columns > p->width - 1) {
                text_add(p->out, "\n", 1);
                text_spaces(p->out, indent + 1);
                column = indent + 1;
            } else {
                text_add(p->out, " ", 1);
                column += 2;
            }
        }
        text_add(p->out, item.at ? item.at : "", item.length);
        if (item.failed) p->out->failed = true;
        column += columns;
        n++;
        text_free(&item);
    }
    text_string(p->out, items->close);
}

static void print_container(Printer *p, Value v, int indent, int depth)
{
    Items items = items_of(v);
    if (depth > DEPTH_LIMIT) {
        text_format(p->out, "%s…%s", items.open, items.close);
        return;
    }
    if (items.count <= ITEMS_LIMIT || p->flat) {
        Text line = {0};
        Printer inner = *p;
        inner.out = &line;
        inner.flat = true;
        print_flat(&inner, &items, indent, depth);
        bool fits = line.at && !memchr(line.at, '\n', line.length) &&
                    indent + print_columns(line.at, line.length) <= p->width;
        if (fits || p->flat) text_add(p->out, line.at ? line.at : "", line.length);
        if (line.failed) p->out->failed = true;
        text_free(&line);
        if (fits || p->flat) return;
    }
    print_broken(p, &items, indent, depth);
}

/* ---- the rest ---- */

bool print_is_word(const char *text)
{
    if (!(*text == '_' || (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z'))) return false;
    for (; *text; text++) {
        bool fine = *text == '_' || (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                    (*text >= '0' && *text <= '9');
        if (!fine) return false;
    }
    return true;
}

static void print_callable(Text *out, Value v)
{
    Dtype dtype;
    if (value_to_dtype(v, &dtype)) {             /* dtypes are natives that stand for themselves */
        text_string(out, dtype_name(dtype));
        return;
    }
    text_string(out, v.tag == TAG_MODEL ? "model " : "fn ");
    if (!function_header(v, out)) out->failed = true;
}

static void print_error(Text *out, const ErrorObject *error)
{
    text_format(out, "%s: ", error_kind_title(error->kind));
    if (error->op[0]) text_format(out, "%s: ", error->op);
    if (error->message.tag == TAG_STRING) text_add(out, error->message.string->text, error->message.string->length);
}

static void print_range(Text *out, const Range *range)
{
    if (range->step == 1) text_format(out, "%lld..%lld", (long long)range->start, (long long)range->stop);
    else text_format(out, "range(%lld, %lld, %lld)", (long long)range->start, (long long)range->stop,
                     (long long)range->step);
}

/* Values that are no container and no tensor. */
static void print_plain(Text *out, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_NONE: text_string(out, "none"); break;
    case TAG_BOOL: text_string(out, v.b ? "true" : "false"); break;
    case TAG_INT: text_int(out, v.i); break;
    case TAG_FLOAT: print_float(out, v.f, DTYPE_f64); break;
    case TAG_SCALAR: print_scalar(out, v); break;
    case TAG_DONE: text_string(out, "done"); break;
    case TAG_DATE: date_print(out, v); break;
    case TAG_RANGE: print_range(out, v.range); break;
    case TAG_FUNCTION:
    case TAG_MODEL: print_callable(out, v); break;
    case TAG_MODULE: text_format(out, "module %s", module_name(v.module)); break;
    case TAG_STREAM: text_format(out, "stream (%s)", v.stream->kind->name); break;
    case TAG_ERROR: print_error(out, v.error); break;
    case TAG_OBJECT: text_string(out, object_model_name(v.object)); break;
    default: break;
    }
}

static void print_inside(Printer *p, Value v, int indent, int depth)
{
    if (is_compound(v)) print_container(p, v, indent, depth);
    else if (v.tag == TAG_STRING) print_quoted(p->out, v.string);
    else if (v.tag == TAG_TENSOR) print_tensor(p, v.tensor, true, true);
    else print_plain(p->out, v);
}

static bool finish(Vm *vm, Text *out)
{
    return out->failed ? vm_out_of_memory(vm) : true;
}

bool value_print(Vm *vm, Value v, Text *out)
{
    Printer p = {vm, out, print_width(vm), false};
    if (v.tag == TAG_STRING) text_add(out, v.string->text, v.string->length);
    else if (v.tag == TAG_TENSOR) print_tensor(&p, v.tensor, false, false);
    else if (v.tag == TAG_OBJECT) print_object(&p, v.object);
    else print_inside(&p, v, 0, 0);
    return finish(vm, out);
}

bool value_repr(Vm *vm, Value v, Text *out)
{
    Printer p = {vm, out, print_width(vm), false};
    if (v.tag == TAG_TENSOR) print_tensor(&p, v.tensor, true, false);
    else if (v.tag == TAG_OBJECT) print_object(&p, v.object);
    else print_inside(&p, v, 0, 0);
    return finish(vm, out);
}
