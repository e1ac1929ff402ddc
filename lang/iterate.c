/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `for` goes over. An iterator is two registers: the thing, and how far it has come; a stream keeps that itself.
   For natives the pair is wrapped into a stream. */
#include <stdlib.h>

#include "machine.h"

bool iterate_begin(Vm *vm, Value owned, Value *r)
{
    switch ((Tag)owned.tag) {
    case TAG_LIST:
    case TAG_TUPLE:
    case TAG_MAP:
    case TAG_SET:
    case TAG_STRING:
    case TAG_RANGE:
    case TAG_STREAM: break;
    case TAG_TENSOR:
        if (owned.tensor->ndim)
            break;
        value_release(owned);
        return vm_fail(vm, ERROR_type, "for", "a tensor without axes has no items");
    case TAG_OBJECT: {
        const char *next = name_find(vm, "next");
        if (next && model_find_method(owned.object->model, next) >= 0)
            break;
        vm_fail(vm, ERROR_type, "for", "a %s has no items", value_type_name(owned));
        error_hint(&vm->tensors.error, "a model with a method next() that ends with done can be looped over");
        value_release(owned);
        return false;
    }
    default:
        vm_fail(vm, ERROR_type, "for", "a value of type %s has no items", value_type_name(owned));
        if (owned.tag == TAG_INT)
            error_hint(&vm->tensors.error, "write 0..%lld to count", (long long)owned.i);
        value_release(owned);
        return false;
    }
    value_set(&r[0], owned);
    value_set(&r[1], value_int(0));
    return true;
}

static bool next_of_map(const Map *map, int64_t *at, Value *item)
{
    while (*at < map->used && map->entry[*at].key.tag == TAG_UNDEFINED)
        (*at)++;
    *item = *at < map->used ? value_retain(map->entry[(*at)++].key) : VALUE_DONE;
    return true;
}

static bool next_of_string(Vm *vm, const String *string, int64_t *at, Value *item)
{
    if (*at >= string->length) {
        *item = VALUE_DONE;
        return true;
    }
    int64_t end = *at + 1;
    while (end < string->length && ((unsigned char)string->text[end] & 0xc0) == 0x80)
        end++;
    *item = string_new(string->text + *at, (size_t)(end - *at));
    *at = end;
    return item->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
}

static bool next_of_object(Vm *vm, Value object, Value *item)
{
    bool found;
    if (!vm_call_method(vm, object, "next", 0, NULL, item, &found))
        return false;
    return found || vm_fail(vm, ERROR_type, "for", "a %s has no items", value_type_name(object));
}

/* What runs meanwhile, a function that the stream calls or a second text, may hold the same stream. */
static bool next_of_stream(Vm *vm, Stream *stream, Value *item)
{
    if (stream->busy)
        return vm_fail(vm, ERROR_value, stream->kind->name, "this stream is being read already");
    stream->busy = true;
    bool fine = stream->kind->next(vm, stream, item);
    stream->busy = false;
    return fine;
}

static void close_stream(Vm *vm, Stream *stream)
{
    if (stream->kind->close && !stream->busy)
        stream->kind->close(vm, stream);
}

bool iterate_next(Vm *vm, Value *r, Value *item)
{
    int64_t *at = &r[1].i;
    switch ((Tag)r[0].tag) {
    case TAG_LIST:
    case TAG_TUPLE: *item = *at < r[0].list->count ? value_retain(r[0].list->at[(*at)++]) : VALUE_DONE; return true;
    case TAG_MAP:
    case TAG_SET: return next_of_map(r[0].map, at, item);
    case TAG_STRING: return next_of_string(vm, r[0].string, at, item);
    case TAG_RANGE: {
        const Range *range = r[0].range;
        *item = *at < range_length(range) ? value_int(range->start + (*at)++ * range->step) : VALUE_DONE;
        return true;
    }
    case TAG_TENSOR:
        if (*at >= r[0].tensor->shape[0]) {
            *item = VALUE_DONE;
            return true;
        }
        return index_get(vm, r[0], 1, &(Subscript){.value = value_int((*at)++)}, item);
    case TAG_OBJECT: return next_of_object(vm, r[0], item);
    case TAG_STREAM: return next_of_stream(vm, r[0].stream, item);
    default: *item = VALUE_DONE; return true;
    }
}

void iterate_end(Vm *vm, Value *r)
{
    if (r[0].tag == TAG_STREAM)
        close_stream(vm, r[0].stream);
    value_set(&r[0], VALUE_UNDEFINED);
    value_set(&r[1], VALUE_UNDEFINED);
}

bool count_bounds(Vm *vm, Value *start, Value *stop)
{
    if (start->tag == TAG_INT && stop->tag == TAG_INT)
        return true;
    int64_t from, to;
    if (!value_to_int(*start, &from) || !value_to_int(*stop, &to))
        return vm_fail(vm, ERROR_type, "..", "a range goes from int to int, not from %s to %s", value_type_name(*start),
                       value_type_name(*stop));
    value_set(start, value_int(from));
    value_set(stop, value_int(to));
    return true;
}

/* ---- for natives ---- */

typedef struct Pair { Value at[2]; } Pair;

static bool pair_next(Vm *vm, Stream *s, Value *out)
{
    return iterate_next(vm, ((Pair *)s->state)->at, out);
}

static void pair_close(Vm *vm, Stream *s)
{
    iterate_end(vm, ((Pair *)s->state)->at);
}

static void pair_free(Stream *s)
{
    Pair *pair = s->state;
    value_release(pair->at[0]);
    value_release(pair->at[1]);
    free(pair);
}

static const struct StreamKind pair_kind = {.name = "items", .next = pair_next, .close = pair_close, .free = pair_free};

bool vm_iterate(Vm *vm, Value iterable, Value *iterator)
{
    if (iterable.tag == TAG_STREAM) {
        *iterator = value_retain(iterable);
        return true;
    }
    Pair *pair = calloc(1, sizeof *pair);
    Stream *stream = heap_new(sizeof *stream);
    if (!pair || !stream) {
        free(pair);
        if (stream)
            heap_delete(stream, sizeof *stream);
        return vm_out_of_memory(vm);
    }
    stream->kind = &pair_kind;
    stream->state = pair;
    *iterator = (Value){.tag = TAG_STREAM, .stream = stream};
    if (iterate_begin(vm, value_retain(iterable), pair->at))
        return true;
    value_release(*iterator);
    *iterator = VALUE_UNDEFINED;
    return false;
}

/* Every loop of a native comes through here: it can be interrupted however long it is. */
bool vm_next(Vm *vm, Value iterator, Value *item)
{
    return !tensor_interrupted(vm_tensors(vm)) && next_of_stream(vm, iterator.stream, item);
}

void vm_iterate_close(Vm *vm, Value iterator)
{
    if (iterator.tag == TAG_STREAM)
        close_stream(vm, iterator.stream);
}
