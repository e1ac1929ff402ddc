/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `media`: the only place that sees jansson and stb. It turns a safetensors header into a plain list and
   pictures into planes of bytes; what these mean and whether they fit the file is checked by its callers.
   Invariant: it calls no function of ours, so that it can be opened beside any libtensor. */
#include <jansson.h>
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media.h"

/* ---- safetensors header ---- */

static bool wrong(char why[MEDIA_WHY], const char *format, const char *name)
{
    snprintf(why, MEDIA_WHY, format, name);
    return false;
}

static bool read_shape(const json_t *list, MediaEntry *e, char why[MEDIA_WHY])
{
    if (!json_is_array(list))
        return wrong(why, "tensor \"%.80s\" has no shape", e->name);
    if (json_array_size(list) > TENSOR_MAX_DIMS)
        return wrong(why, "tensor \"%.80s\" has more than 8 axes", e->name);
    e->ndim = (int)json_array_size(list);
    for (int i = 0; i < e->ndim; i++) {
        const json_t *length = json_array_get(list, (size_t)i);
        if (!json_is_integer(length) || json_integer_value(length) < 0)
            return wrong(why, "the shape of tensor \"%.80s\" holds something else than lengths", e->name);
        e->shape[i] = (int64_t)json_integer_value(length);
    }
    return true;
}

static bool read_offsets(const json_t *list, MediaEntry *e, char why[MEDIA_WHY])
{
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end)
        || json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return wrong(why, "the data_offsets of tensor \"%.80s\" are no pair [begin, end]", e->name);
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    return true;
}

static bool read_entry(const char *name, const json_t *value, MediaEntry *e, char why[MEDIA_WHY])
{
    e->name = name;
    e->dtype = json_string_value(json_object_get(value, "dtype"));
    if (!json_is_object(value) || !e->dtype)
        return wrong(why, "tensor \"%.80s\" has no dtype", name);
    return read_shape(json_object_get(value, "shape"), e, why)
        && read_offsets(json_object_get(value, "data_offsets"), e, why);
}

static bool read_metadata(json_t *map, MediaHeader *h, char why[MEDIA_WHY])
{
    const char *key;
    json_t *value;
    if (!json_is_object(map))
        return wrong(why, "its %s is no map", "__metadata__");
    h->metadata = calloc(2 * json_object_size(map) + 1, sizeof *h->metadata);
    if (!h->metadata)
        return wrong(why, "no memory for its %s", "metadata");
    json_object_foreach(map, key, value) {
        if (!json_is_string(value))
            return wrong(why, "metadata \"%.80s\" is no string", key);
        h->metadata[2 * h->n_metadata] = key;
        h->metadata[2 * h->n_metadata++ + 1] = json_string_value(value);
    }
    return true;
}

static void header_free(MediaHeader *h)
{
    free(h->entry);
    free(h->metadata);
    json_decref(h->owner);
    *h = (MediaHeader){0};
}

static bool read_entries(json_t *root, MediaHeader *h, char why[MEDIA_WHY])
{
    const char *key;
    json_t *value;
    h->entry = calloc(json_object_size(root) + 1, sizeof *h->entry);
    if (!h->entry)
        return wrong(why, "no memory for its %s", "header");
    json_object_foreach(root, key, value) {
        if (strcmp(key, "__metadata__") == 0) {
            if (!read_metadata(value, h, why))
                return false;
        } else if (!read_entry(key, value, &h->entry[h->count++], why)) {
            return false;
        }
    }
    return true;
}

static bool header_read(const char *text, size_t length, MediaHeader *h, char why[MEDIA_WHY])
{
    json_error_t error;
    *h = (MediaHeader){0};
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return wrong(why, "its header is no JSON map (%.120s)", error.text);
    h->owner = root;
    bool ok = json_is_object(root) ? read_entries(root, h, why) : wrong(why, "its header is no JSON %s", "map");
    if (!ok)
        header_free(h);
    return ok;
}

/* ---- pictures ---- */

static bool stb_wrong(char why[MEDIA_WHY])
{
    const char *reason = stbi_failure_reason();
    return wrong(why, "the picture cannot be decoded (%.100s)", reason ? reason : "unknown reason");
}

static bool image_size(const unsigned char *bytes, int length, int *width, int *height, int *channels,
                       char why[MEDIA_WHY])
{
    if (!stbi_info_from_memory(bytes, length, width, height, channels))
        return stb_wrong(why);
    return (*width > 0 && *height > 0 && *channels >= 1 && *channels <= 4)
        || wrong(why, "the picture has %s", "no pixels");
}

static bool image_read(const unsigned char *bytes, int length, int width, int height, int channels,
                       unsigned char *planes, char why[MEDIA_WHY])
{
    int w, h, c;
    unsigned char *pixels = stbi_load_from_memory(bytes, length, &w, &h, &c, channels);
    if (!pixels)
        return stb_wrong(why);
    bool same = w == width && h == height;
    size_t plane = (size_t)width * (size_t)height, n = (size_t)channels;
    for (size_t k = 0; same && k < n; k++)
        for (size_t i = 0; i < plane; i++)
            planes[k * plane + i] = pixels[i * n + k];
    stbi_image_free(pixels);
    return same || wrong(why, "the picture's %s differs from its header's", "size");
}

static bool image_write(MediaWrite *write, void *to, int width, int height, int channels, const unsigned char *pixels,
                        char why[MEDIA_WHY])
{
    return stbi_write_png_to_func(write, to, width, height, channels, pixels, width * channels)
        || wrong(why, "the picture cannot be encoded%s", "");
}

__attribute__((visibility("default"))) const MediaModule tessera_module_media = {
    .header_read = header_read,
    .header_free = header_free,
    .image_size = image_size,
    .image_read = image_read,
    .image_write = image_write,
};
