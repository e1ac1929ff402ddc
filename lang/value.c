/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values in general: making and freeing heap objects, equality, hashing, names of types, and the way to tensors and
   back. Strings, lists and maps have their own files; functions, models, objects and modules are freed by theirs.
   Invariant: freeing never recurses. What dies while something is being freed waits in a worklist. */
#include "heap.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

int64_t value_live_objects(void)
{
    return heap_live_blocks() + runtime_live_tensors();
}

int64_t value_live_bytes(void)
{
    RuntimeInfo info;
    runtime_info(&info, false);
    return heap_live_bytes() + (int64_t)info.memory_live;
}

/* ---- freeing ---- */

#define PENDING_INLINE 32

static _Thread_local struct {
    Value near[PENDING_INLINE];
    Value *far;               /* used once [near] is full */
    size_t count, room;
    bool active;
} pending;

/* False when memory is out: then the caller recurses, which is the lesser evil. */
static bool pending_push(Value v)
{
    if (pending.count < PENDING_INLINE) {
        pending.near[pending.count++] = v;
        return true;
    }
    size_t index = pending.count - PENDING_INLINE;
    if (index == pending.room) {
        size_t room = pending.room ? pending.room * 2 : 256;
        Value *far = realloc(pending.far, room * sizeof *far);
        if (!far)
            return false;
        pending.far = far;
        pending.room = room;
    }
    pending.far[index] = v;
    pending.count++;
    return true;
}

static Value pending_pop(void)
{
    pending.count--;
    return pending.count < PENDING_INLINE ? pending.near[pending.count] : pending.far[pending.count - PENDING_INLINE];
}

static void stream_free(Stream *stream)
{
    if (stream->kind->free)
        stream->kind->free(stream);
    value_release(stream->source);
    heap_delete(stream, sizeof *stream);
}

static void free_one(Value v)
{
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE: list_free(v.list); break;
    case TAG_MAP:
    case TAG_SET: map_free(v.map); break;
    case TAG_FUNCTION: function_free(v.function); break;
    case TAG_MODEL: model_free((struct ModelObject *)v.heap); break;
    case TAG_OBJECT: object_free((Object *)v.heap); break;
    case TAG_MODULE: module_free(v.module); break;
    case TAG_STREAM: stream_free(v.stream); break;
    case TAG_ERROR: error_object_free(v.error); break;
    default: break;
    }
}

void value_free(Value v)
{
    switch (v.tag) {
    case TAG_STRING: string_free(v.string); return;
    case TAG_RANGE: heap_delete(v.range, sizeof *v.range); return;
    case TAG_TENSOR: tensor_free(v.tensor); return;
    default: break;
    }
    if (pending.active) {
        if (!pending_push(v))
            free_one(v);
        return;
    }
    pending.active = true;
    free_one(v);
    while (pending.count)
        free_one(pending_pop());
    free(pending.far);
    pending.far = NULL;
    pending.room = 0;
    pending.active = false;
}

Value stream_new_take(const struct StreamKind *kind, Value source, void *state)
{
    Stream *stream = heap_new(sizeof *stream);
    if (!stream) {
        value_release(source);
        return VALUE_UNDEFINED;
    }
    stream->kind = kind;
    stream->source = source;
    stream->state = state;
    return (Value){.tag = TAG_STREAM, .stream = stream};
}

/* ---- ranges ---- */

Value range_new(int64_t start, int64_t stop, int64_t step)
{
    Range *range = heap_new(sizeof *range);
    if (!range)
        return VALUE_UNDEFINED;
    range->start = start;
    range->stop = stop;
    range->step = step;
    return (Value){.tag = TAG_RANGE, .range = range};
}

int64_t range_length(const Range *range)
{
    if (range->step > 0 && range->start < range->stop) {
        uint64_t width = (uint64_t)range->stop - (uint64_t)range->start;
        return (int64_t)((width - 1) / (uint64_t)range->step + 1);
    }
    if (range->step < 0 && range->start > range->stop) {
        uint64_t width = (uint64_t)range->start - (uint64_t)range->stop;
        return (int64_t)((width - 1) / (0 - (uint64_t)range->step) + 1);
    }
    return 0;
}

/* ---- names ---- */

const char *value_type_name(Value v)
{
    switch ((Tag)v.tag) {
    case TAG_UNDEFINED: return "nothing";
    case TAG_NONE: return "none";
    case TAG_BOOL: return "bool";
    case TAG_INT: return "int";
    case TAG_FLOAT: return "float";
    case TAG_SCALAR: return dtype_name((Dtype)v.dtype);
    case TAG_DONE: return "done";
    case TAG_DATE: return "date";
    case TAG_STRING: return "str";
    case TAG_LIST: return "list";
    case TAG_TUPLE: return "tuple";
    case TAG_MAP: return "map";
    case TAG_SET: return "set";
    case TAG_RANGE: return "range";
    case TAG_TENSOR: return "tensor";
    case TAG_FUNCTION: return "fn";
    case TAG_MODEL: return "model";
    case TAG_OBJECT: return object_model_name((const Object *)v.heap);
    case TAG_MODULE: return "module";
    case TAG_STREAM: return "stream";
    case TAG_ERROR: return "error";
    case TAG_COUNT: break;
    }
    return "value";
}

void value_describe(Value v, char *buffer, size_t size)
{
    switch ((Tag)v.tag) {
    case TAG_TENSOR: tensor_type_name(v.tensor, buffer, size); return;
    case TAG_LIST: snprintf(buffer, size, "list of %" PRId64, v.list->count); return;
    case TAG_TUPLE: snprintf(buffer, size, "tuple of %" PRId64, v.list->count); return;
    case TAG_MAP: snprintf(buffer, size, "map of %" PRId64, v.map->count); return;
    case TAG_SET: snprintf(buffer, size, "set of %" PRId64, v.map->count); return;
    case TAG_SCALAR: snprintf(buffer, size, "%s[]", dtype_name((Dtype)v.dtype)); return;
    default: snprintf(buffer, size, "%s", value_type_name(v)); return;
    }
}

/* ---- numbers ---- */

bool value_to_int(Value v, int64_t *out)
{
    if (v.tag == TAG_INT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_INT)) {
        *out = v.i;
        return true;
    }
    if (v.tag == TAG_TENSOR && v.tensor->ndim == 0 && dtype_class((Dtype)v.tensor->dtype) == CLASS_INT) {
        *out = tensor_item_int(v.tensor, 0);
        return true;
    }
    return false;
}

bool value_to_double(Value v, double *out)
{
    if (v.tag == TAG_FLOAT) {
        *out = v.f;
        return true;
    }
    if (v.tag == TAG_INT) {
        *out = (double)v.i;
        return true;
    }
    if (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) != CLASS_BOOL) {
        *out = dtype_class((Dtype)v.dtype) == CLASS_FLOAT ? v.f : (double)v.i;
        return true;
    }
    if (v.tag == TAG_TENSOR && v.tensor->ndim == 0 && dtype_class((Dtype)v.tensor->dtype) != CLASS_BOOL) {
        *out = tensor_item(v.tensor, 0);
        return true;
    }
    return false;
}

/* ---- hashing ---- */

static uint32_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return (uint32_t)x;
}

static uint32_t hash_int(int64_t i)
{
    uint64_t x = (uint64_t)i + 1;
    return (uint32_t)((x ^ x >> 32) * 0x9e3779b97f4a7c15u >> 32);
}

uint32_t text_hash(const char *text, size_t length)
{
    uint64_t h = length, word;
    for (size_t at = 0; at < length; at += sizeof word) {
        word = 0;
        memcpy(&word, text + at, length - at < sizeof word ? length - at : sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    uint32_t mixed = mix(h);
    return mixed ? mixed : 1;
}

bool value_hashable(Value v)
{
    if (v.tag == TAG_STRING || v.tag == TAG_INT || v.tag == TAG_BOOL || v.tag == TAG_DATE)
        return true;
    if (v.tag == TAG_SCALAR)
        return dtype_class((Dtype)v.dtype) != CLASS_FLOAT;
    if (v.tag != TAG_TUPLE)
        return false;
    for (int64_t i = 0; i < v.list->count; i++)
        if (!value_hashable(v.list->at[i]))
            return false;
    return true;
}

uint32_t value_hash(Value v)
{
    if (v.tag == TAG_SCALAR)
        v = map_key(v);
    if (v.tag == TAG_INT)
        return hash_int(v.i);
    if (v.tag == TAG_STRING) {
        if (!v.string->hash)
            v.string->hash = text_hash(v.string->text, v.string->length);
        return v.string->hash;
    }
    if (v.tag == TAG_TUPLE) {
        uint32_t h = 77;
        for (int64_t i = 0; i < v.list->count; i++)
            h = mix(((uint64_t)h << 32) ^ value_hash(v.list->at[i]));
        return h;
    }
    return mix(v.tag == TAG_BOOL ? (v.b ? 3u : 2u) : (uint64_t)v.i);
}

/* ---- equality ---- */

typedef struct Pairs {        /* what is still to be compared */
    Value (*at)[2];
    size_t count, room;
    bool failed;
} Pairs;

static void pairs_push(Pairs *pairs, Value a, Value b)
{
    if (pairs->count == pairs->room) {
        size_t room = pairs->room ? pairs->room * 2 : 64;
        Value(*at)[2] = realloc(pairs->at, room * sizeof *at);
        if (!at) {
            pairs->failed = true;
            return;
        }
        pairs->at = at;
        pairs->room = room;
    }
    pairs->at[pairs->count][0] = a;
    pairs->at[pairs->count++][1] = b;
}

static bool numbers_same(Value a, Value b)
{
    bool float_a = a.tag == TAG_FLOAT || (a.tag == TAG_SCALAR && dtype_class((Dtype)a.dtype) == CLASS_FLOAT);
    bool float_b = b.tag == TAG_FLOAT || (b.tag == TAG_SCALAR && dtype_class((Dtype)b.dtype) == CLASS_FLOAT);
    if (!float_a && !float_b)
        return a.i == b.i;
    if (float_a && float_b)
        return a.f == b.f || (isnan(a.f) && isnan(b.f));
    double f = float_a ? a.f : b.f;
    int64_t i = float_a ? b.i : a.i;
    return f >= -9223372036854775808.0 && f < 9223372036854775808.0 && (int64_t)f == i && (double)(int64_t)f == f;
}

static bool maps_same(const Map *a, const Map *b, Pairs *pairs)
{
    if (a->count != b->count)
        return false;
    for (int64_t i = 0; i < a->used; i++) {
        Value other;
        if (a->entry[i].key.tag == TAG_UNDEFINED)
            continue;
        if (!map_get(b, a->entry[i].key, &other))
            return false;
        pairs_push(pairs, a->entry[i].value, other);
    }
    return true;
}

static bool ranges_same(const Range *a, const Range *b)
{
    int64_t n = range_length(a);
    return n == range_length(b) && (n == 0 || (a->start == b->start && (n == 1 || a->step == b->step)));
}

static Value plain(Value v)   /* bool scalars compare as bools */
{
    if (v.tag == TAG_SCALAR && v.dtype == DTYPE_bool)
        return value_bool(v.i != 0);
    return v;
}

/* Compares heads; what is inside goes on the list. */
static bool same_shallow(Value a, Value b, Pairs *pairs)
{
    a = plain(a);
    b = plain(b);
    if (value_is_number(a) && value_is_number(b))
        return numbers_same(a, b);
    if (a.tag != b.tag)
        return false;
    switch ((Tag)a.tag) {
    case TAG_BOOL: return a.b == b.b;
    case TAG_DATE: return a.i == b.i;
    case TAG_STRING:
        return a.string == b.string ||
               (a.string->length == b.string->length && !memcmp(a.string->text, b.string->text, a.string->length));
    case TAG_LIST:
    case TAG_TUPLE:
        if (a.list == b.list)
            return true;
        if (a.list->count != b.list->count)
            return false;
        for (int64_t i = 0; i < a.list->count; i++)
            pairs_push(pairs, a.list->at[i], b.list->at[i]);
        return true;
    case TAG_MAP:
    case TAG_SET: return a.map == b.map || maps_same(a.map, b.map, pairs);
    case TAG_RANGE: return ranges_same(a.range, b.range);
    case TAG_TENSOR: return a.tensor == b.tensor || tensor_same(a.tensor, b.tensor);
    case TAG_UNDEFINED:
    case TAG_NONE:
    case TAG_DONE: return true;
    default: return a.heap == b.heap;
    }
}

bool value_same(Value a, Value b)
{
    Pairs pairs = {0};
    bool same = same_shallow(a, b, &pairs);
    while (same && pairs.count && !pairs.failed) {
        pairs.count--;
        same = same_shallow(pairs.at[pairs.count][0], pairs.at[pairs.count][1], &pairs);
    }
    free(pairs.at);
    return same && !pairs.failed;
}
