/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON: jansson parses, the tree that it makes is told to a sink. The module's entry is here, too. */
#include <jansson.h>
#include <stdio.h>

#include "csv.h"

static bool tell(const json_t *value, const JsonSink *sink);

/* The depth is jansson's limit, 2,048. */
static bool tell_container(const json_t *value, const JsonSink *sink)
{
    if (json_is_array(value)) {
        size_t count = json_array_size(value);
        if (!sink->begin(sink->to, false, count))
            return false;
        for (size_t i = 0; i < count; i++)
            if (!tell(json_array_get(value, i), sink))
                return false;
        return sink->end(sink->to);
    }
    if (!sink->begin(sink->to, true, json_object_size(value)))
        return false;
    json_t *map = (json_t *)(uintptr_t)value;
    for (void *at = json_object_iter(map); at; at = json_object_iter_next(map, at)) {
        if (!sink->key(sink->to, json_object_iter_key(at), json_object_iter_key_len(at)))
            return false;
        if (!tell(json_object_iter_value(at), sink))
            return false;
    }
    return sink->end(sink->to);
}

static bool tell(const json_t *value, const JsonSink *sink)
{
    switch (json_typeof(value)) {
    case JSON_NULL: return sink->null(sink->to);
    case JSON_TRUE: return sink->boolean(sink->to, true);
    case JSON_FALSE: return sink->boolean(sink->to, false);
    case JSON_INTEGER: return sink->integer(sink->to, json_integer_value(value));
    case JSON_REAL: return sink->real(sink->to, json_real_value(value));
    case JSON_STRING: return sink->string(sink->to, json_string_value(value), json_string_length(value));
    default: return tell_container(value, sink);
    }
}

static bool json_read(const char *text, size_t length, const JsonSink *sink, FormatError *error)
{
    json_error_t wrong;
    *error = (FormatError){0};
    json_t *root = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &wrong);
    if (!root) {
        error->line = wrong.line;
        error->column = wrong.column < 1 ? 1 : wrong.column;
        if (json_error_code(&wrong) != json_error_out_of_memory)
            snprintf(error->why, sizeof error->why, "%s", wrong.text);
        return false;
    }
    bool fine = tell(root, sink);
    json_decref(root);
    return fine;
}

__attribute__((visibility("default"))) const DataModule tessera_module_data = {
    .json_read = json_read, .csv_read = csv_read, .csv_free = csv_free, .csv_kind = csv_kind, .csv_fill = csv_fill};
