/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data values as text and back (notation.h). Equal values give equal text: maps keep their order, floats their
   shortest digits. */
#include "notation.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "date.h"
#include "print.h"

#define DEPTH_LIMIT 200

/* ---- writing ---- */

static bool is_data(Value v, int depth)
{
    if (depth > DEPTH_LIMIT) return false;
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++)
            if (!is_data(v.list->at[i], depth + 1)) return false;
        return true;
    }
    if (v.tag == TAG_MAP) {
        for (int64_t i = 0; i < v.map->used; i++) {
            const MapEntry *entry = &v.map->entry[i];
            if (entry->key.tag != TAG_UNDEFINED && !is_data(entry->value, depth + 1)) return false;
        }
        return true;
    }
    bool small = (v.tag >= TAG_NONE && v.tag <= TAG_SCALAR) || v.tag == TAG_DATE;
    return small || v.tag == TAG_SET || v.tag == TAG_STRING || v.tag == TAG_RANGE || v.tag == TAG_TENSOR;
}

bool notation_is_data(Value v)
{
    return is_data(v, 0);
}

static void write_string(Text *out, const char *text, size_t length)
{
    text_add(out, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') text_format(out, "\\%c", c);
        else if (c < 0x20) text_format(out, "\\u%04x", c);
        else text_add(out, &text[i], 1);
    }
    text_add(out, "\"", 1);
}

static void write_float(Text *out, double f, Dtype dtype)
{
    if (isfinite(f)) print_float(out, f, dtype);
    else {
        text_string(out, "{\"float\":\"");
        print_float(out, f, DTYPE_f64);
        text_string(out, "\"}");
    }
}

typedef struct Writer { Vm *vm; NotationKeep *keep; void *to; Text *out; } Writer;

static bool write_value(Writer *w, Value v);

static bool write_row(Writer *w, const List *list)
{
    text_add(w->out, "[", 1);
    for (int64_t i = 0; i < list->count; i++) {
        if (i) text_add(w->out, ",", 1);
        if (!write_value(w, list->at[i])) return false;
    }
    text_add(w->out, "]", 1);
    return true;
}

static bool write_map(Writer *w, const Map *map)
{
    int64_t n = 0;
    text_string(w->out, "{\"map\":[");
    for (int64_t i = 0; i < map->used; i++) {
        const MapEntry *entry = &map->entry[i];
        if (entry->key.tag == TAG_UNDEFINED) continue;
        text_string(w->out, n++ ? ",[" : "[");
        if (!write_value(w, entry->key)) return false;
        text_add(w->out, ",", 1);
        if (!write_value(w, entry->value)) return false;
        text_add(w->out, "]", 1);
    }
    text_string(w->out, "]}");
    return true;
}

static bool write_set(Writer *w, const Map *map)
{
    int64_t n = 0;
    text_string(w->out, "{\"set\":[");
    for (int64_t i = 0; i < map->used; i++) {
        if (map->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (n++) text_add(w->out, ",", 1);
        if (!write_value(w, map->entry[i].key)) return false;
    }
    text_string(w->out, "]}");
    return true;
}

static bool write_scalar(Writer *w, Value v)
{
    text_format(w->out, "{\"scalar\":[\"%s\",", dtype_name((Dtype)v.dtype));
    if (dtype_class((Dtype)v.dtype) == CLASS_FLOAT) write_float(w->out, v.f, (Dtype)v.dtype);
    else text_format(w->out, "%lld", (long long)v.i);
    text_string(w->out, "]}");
    return true;
}

static bool write_tensor(Writer *w, Value v)
{
    Value name;
    if (!w->keep(w->to, v, &name)) return false;
    text_string(w->out, "{\"tensor\":");
    write_string(w->out, name.string->text, name.string->length);
    text_add(w->out, "}", 1);
    value_release(name);
    return true;
}

static bool write_value(Writer *w, Value v)
{
    switch ((Tag)v.tag) {
    case TAG_BOOL: text_string(w->out, v.b ? "true" : "false"); return true;
    case TAG_INT: text_format(w->out, "%lld", (long long)v.i); return true;
    case TAG_FLOAT: write_float(w->out, v.f, DTYPE_f64); return true;
    case TAG_SCALAR: return write_scalar(w, v);
    case TAG_STRING: write_string(w->out, v.string->text, v.string->length); return true;
    case TAG_LIST: return write_row(w, v.list);
    case TAG_TUPLE:
        text_string(w->out, "{\"tuple\":");
        if (!write_row(w, v.list)) return false;
        text_add(w->out, "}", 1);
        return true;
    case TAG_MAP: return write_map(w, v.map);
    case TAG_SET: return write_set(w, v.map);
    case TAG_DATE: text_format(w->out, "{\"date\":[%lld,%d]}", (long long)v.i, v.zone); return true;
    case TAG_RANGE:
        text_format(w->out, "{\"range\":[%lld,%lld,%lld]}", (long long)v.range->start, (long long)v.range->stop,
                    (long long)v.range->step);
        return true;
    case TAG_TENSOR: return write_tensor(w, v);
    default: text_string(w->out, "null"); return true;
    }
}

bool notation_write(Vm *vm, Value v, NotationKeep *keep, void *to, Text *out)
{
    Writer w = {vm, keep, to, out};
    if (!write_value(&w, v)) return false;
    return !out->failed || vm_out_of_memory(vm);
}

/* ---- reading ---- */

typedef struct Reader {
    Vm *vm;
    const char *at, *end;
    const Map *tensors;
    Map *unused;
    int depth;
} Reader;

static bool read_value(Reader *r, Value *out);

static bool damaged(Reader *r)
{
    return vm_fail(r->vm, ERROR_format, "load", "the file's metadata is damaged");
}

static void skip_space(Reader *r)
{
    while (r->at < r->end && isspace((unsigned char)*r->at)) r->at++;
}

static bool take(Reader *r, const char *word)
{
    size_t length = strlen(word);
    skip_space(r);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_escape(Reader *r, Text *text)
{
    char c = r->at < r->end ? *r->at++ : '\0';
    if (c == '"' || c == '\\' || c == '/') text_add(text, &c, 1);
    else if (c == 'u' && r->end - r->at >= 4) {
        int code = 0;
        for (int i = 0; i < 4; i++) code = code * 16 + hex_digit(*r->at++);
        if (code < 0 || code >= 0x80) return damaged(r);             /* others are written as they are */
        text_add(text, &(char){(char)code}, 1);
    } else return damaged(r);
    return true;
}

static bool read_string(Reader *r, Value *out)
{
    Text text = {0};
    if (!take(r, "\"")) return damaged(r);
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            if (!read_escape(r, &text)) {
                text_free(&text);
                return false;
            }
        } else {
            text_add(&text, r->at++, 1);
        }
    }
    bool closed = take(r, "\"");
    *out = closed && !text.failed ? string_new(text.at ? text.at : "", text.length) : VALUE_NONE;
    bool failed = text.failed || out->tag == TAG_UNDEFINED;
    text_free(&text);
    if (failed) return vm_out_of_memory(r->vm);
    return closed || damaged(r);
}

static bool read_number(Reader *r, Value *out)
{
    char copy[64];
    size_t n = 0;
    while (r->at < r->end && n < sizeof copy - 1 && strchr("+-.eE0123456789", *r->at) && *r->at) copy[n++] = *r->at++;
    copy[n] = '\0';
    if (n == 0) return damaged(r);
    *out = strpbrk(copy, ".eE") ? value_float(strtod(copy, NULL)) : value_int(strtoll(copy, NULL, 10));
    return true;
}

static bool read_list(Reader *r, Value *out)
{
    Value list = list_new(0), item;
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(r->vm);
    fine = fine && (take(r, "[") || damaged(r));
    bool first = true;
    while (fine && !take(r, "]")) {
        fine = (first || take(r, ",") || damaged(r)) && read_value(r, &item);
        fine = fine && (list_push_take(list.list, item) || vm_out_of_memory(r->vm));
        first = false;
    }
    if (fine) *out = list;
    else value_release(list);
    return fine;
}

static bool tuple_of(Reader *r, Value list, Value *out)
{
    *out = tuple_new(list.list->count);
    if (out->tag == TAG_UNDEFINED) return vm_out_of_memory(r->vm);
    for (int64_t i = 0; i < list.list->count; i++) out->list->at[i] = value_retain(list.list->at[i]);
    return true;
}

static bool map_of(Reader *r, Value list, Value *out)
{
    Value map = map_new();
    bool fine = map.tag != TAG_UNDEFINED || vm_out_of_memory(r->vm);
    for (int64_t i = 0; fine && i < list.list->count; i++) {
        Value pair = list.list->at[i];
        fine = (pair.tag == TAG_LIST && pair.list->count == 2 && value_hashable(pair.list->at[0])) || damaged(r);
        fine = fine && map_set_take(map.map, pair.list->at[0], value_retain(pair.list->at[1]));
    }
    if (fine) *out = map;
    else value_release(map);
    return fine || vm_out_of_memory(r->vm);              /* an earlier error stands */
}

static bool set_of(Reader *r, Value list, Value *out)
{
    *out = set_new();
    bool fine = out->tag != TAG_UNDEFINED || vm_out_of_memory(r->vm);
    for (int64_t i = 0; fine && i < list.list->count; i++) {
        fine = value_hashable(list.list->at[i]) || damaged(r);
        fine = fine && (map_set_take(out->map, list.list->at[i], VALUE_NONE) || vm_out_of_memory(r->vm));
    }
    if (!fine) value_release(*out);
    return fine;
}

static bool date_of(Reader *r, Value list, Value *out)
{
    int64_t at, zone;
    bool sound = list.list->count == 2 && value_to_int(list.list->at[0], &at) && value_to_int(list.list->at[1], &zone) &&
                 date_is_sound(at, zone);
    if (sound) *out = value_date(at, (int)zone);
    return sound || damaged(r);
}

static bool scalar_of(Reader *r, Value list, Value *out)
{
    Dtype dtype;
    double f = 0;
    int64_t i = 0;
    const List *l = list.list;
    bool named = l->count == 2 && l->at[0].tag == TAG_STRING && dtype_from_name(l->at[0].string->text, &dtype);
    if (!named) return damaged(r);
    bool floating = dtype_class(dtype) == CLASS_FLOAT;
    bool fine = floating ? value_to_double(l->at[1], &f) : value_to_int(l->at[1], &i);
    *out = floating ? value_scalar_float(dtype, f) : value_scalar_int(dtype, i);
    return fine || damaged(r);
}

static bool range_of(Reader *r, Value list, Value *out)
{
    int64_t v[3];
    if (list.list->count != 3) return damaged(r);
    for (int i = 0; i < 3; i++)
        if (!value_to_int(list.list->at[i], &v[i])) return damaged(r);
    *out = range_new(v[0], v[1], v[2] ? v[2] : 1);
    return out->tag != TAG_UNDEFINED || vm_out_of_memory(r->vm);
}

/* The content of a one-member object as the value that it stands for. */
static bool special(Reader *r, const char *kind, Value content, Value *out)
{
    Value found;
    bool list = content.tag == TAG_LIST, string = content.tag == TAG_STRING;
    if (strcmp(kind, "tuple") == 0 && list) return tuple_of(r, content, out);
    if (strcmp(kind, "map") == 0 && list) return map_of(r, content, out);
    if (strcmp(kind, "set") == 0 && list) return set_of(r, content, out);
    if (strcmp(kind, "date") == 0 && list) return date_of(r, content, out);
    if (strcmp(kind, "scalar") == 0 && list) return scalar_of(r, content, out);
    if (strcmp(kind, "range") == 0 && list) return range_of(r, content, out);
    if (strcmp(kind, "float") == 0 && string) {
        *out = value_float(strtod(content.string->text, NULL));
        return true;
    }
    if (strcmp(kind, "tensor") != 0 || !string || !map_get(r->tensors, content, &found)) return damaged(r);
    *out = value_retain(found);
    map_remove(r->unused, content);
    return true;
}

static bool read_special(Reader *r, Value *out)
{
    Value kind, content;
    if (!take(r, "{") || !read_string(r, &kind)) return damaged(r);
    bool fine = (take(r, ":") || damaged(r)) && read_value(r, &content);
    if (fine) {
        fine = (take(r, "}") || damaged(r)) && special(r, kind.string->text, content, out);
        value_release(content);
    }
    value_release(kind);
    return fine;
}

static bool read_value(Reader *r, Value *out)
{
    skip_space(r);
    if (r->at >= r->end || r->depth > DEPTH_LIMIT) return damaged(r);
    r->depth++;
    bool fine = true;
    if (*r->at == '{') fine = read_special(r, out);
    else if (*r->at == '[') fine = read_list(r, out);
    else if (*r->at == '"') fine = read_string(r, out);
    else if (take(r, "null")) *out = VALUE_NONE;
    else if (take(r, "true")) *out = value_bool(true);
    else if (take(r, "false")) *out = value_bool(false);
    else fine = read_number(r, out);
    r->depth--;
    return fine;
}

bool notation_read(Vm *vm, const String *text, const Map *tensors, Map *unused, Value *result)
{
    Reader r = {vm, text->text, text->text + text->length, tensors, unused, 0};
    if (!read_value(&r, result)) return false;
    skip_space(&r);
    if (r.at == r.end) return true;
    value_release(*result);
    return damaged(&r);
}
