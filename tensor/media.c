/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `media`: the only place that sees jansson, stb and libzip. It turns a safetensors header into a plain list,
   pictures into planes of bytes and zip archives into members; what these mean is checked by its callers.
   Invariant: it calls no function of ours, so that it can be opened beside any libtensor. */
#include <jansson.h>
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "jpeg.h"
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
    if (jpeg_is_one(bytes, (size_t)length) && !jpeg_is_whole(bytes, (size_t)length))
        return wrong(why, "the picture cannot be decoded (%s)", "it names tables that it does not have");
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

/* ---- archives ---- */

static bool zip_wrong(char why[MEDIA_WHY], const char *what, int code)
{
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    snprintf(why, MEDIA_WHY, "%s: %.120s", what, zip_error_strerror(&error));
    zip_error_fini(&error);
    return false;
}

static void archive_close(MediaArchive *archive)
{
    free(archive->member);
    zip_discard(archive->owner);
}

static bool archive_open(const char *path, MediaArchive *archive, char why[MEDIA_WHY])
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (!zip)
        return zip_wrong(why, "is no zip archive", code);
    zip_int64_t count = zip_get_num_entries(zip, 0);
    *archive = (MediaArchive){.owner = zip};
    archive->member = count >= 0 && count < 1 << 24 ? calloc((size_t)count + 1, sizeof *archive->member) : NULL;
    bool ok = archive->member || wrong(why, "no memory for its %s", "names");
    for (zip_int64_t i = 0; ok && i < count; i++) {
        zip_stat_t entry;
        ok = zip_stat_index(zip, (zip_uint64_t)i, 0, &entry) == 0 && entry.valid & ZIP_STAT_SIZE
           && entry.valid & ZIP_STAT_NAME;
        if (!ok)
            wrong(why, "its directory is %s", "damaged");
        else
            archive->member[archive->count++] = (MediaMember){entry.name, entry.size};
    }
    if (!ok)
        archive_close(archive);
    return ok;
}

static bool archive_unpack(const MediaArchive *archive, int member, MediaSink *sink, void *to, char why[MEDIA_WHY])
{
    char buffer[1 << 16];
    zip_file_t *file = zip_fopen_index(archive->owner, (zip_uint64_t)member, 0);
    if (!file) {
        snprintf(why, MEDIA_WHY, "cannot be unpacked: %.120s", zip_strerror(archive->owner));
        return false;
    }
    zip_int64_t got;
    while ((got = zip_fread(file, buffer, sizeof buffer)) > 0)
        if (!sink(to, buffer, (size_t)got)) {
            wrong(why, "it is %s", "longer than the archive says, or memory is out");
            break;
        }
    if (got < 0)
        snprintf(why, MEDIA_WHY, "cannot be unpacked: %.120s", zip_file_strerror(file));
    else if (got == 0)
        snprintf(why, MEDIA_WHY, "it is shorter than the archive says");
    zip_fclose(file);
    return got == 0;
}

/* One member while libzip reads it; libzip frees it when the archive is closed. */
typedef struct Feeding {
    MediaPacked packed;
    uint64_t at;
} Feeding;

static zip_int64_t feed(void *state, void *data, zip_uint64_t bytes, zip_source_cmd_t command)
{
    Feeding *f = state;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        f->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        if (bytes > f->packed.size - f->at)
            bytes = f->packed.size - f->at;
        f->packed.read(f->packed.from, f->at, data, (size_t)bytes);
        f->at += bytes;
        return (zip_int64_t)bytes;
    case ZIP_SOURCE_STAT: {
        zip_stat_t *stat = data;
        zip_stat_init(stat);
        stat->size = f->packed.size;
        stat->valid = ZIP_STAT_SIZE;
        return sizeof *stat;
    }
    case ZIP_SOURCE_FREE:
        free(f);
        return 0;
    case ZIP_SOURCE_CLOSE:
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
    default:
        return -1;
    }
}

/* Stored, not packed: numbers hardly shrink. */
static bool add_member(zip_t *zip, const MediaPacked *packed)
{
    Feeding *f = malloc(sizeof *f);
    if (!f)
        return false;
    *f = (Feeding){*packed, 0};
    zip_source_t *source = zip_source_function(zip, feed, f);
    if (!source) {
        free(f);
        return false;
    }
    zip_int64_t at = zip_file_add(zip, packed->name, source, ZIP_FL_ENC_UTF_8);
    if (at < 0) {
        zip_source_free(source);
        return false;
    }
    return zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) == 0;
}

static bool archive_write(const char *path, int count, const MediaPacked *packed, char why[MEDIA_WHY])
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!zip)
        return zip_wrong(why, "cannot be written", code);
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = add_member(zip, &packed[i]);
    if (ok && zip_close(zip) == 0)
        return true;
    snprintf(why, MEDIA_WHY, "cannot be written: %.120s", zip_strerror(zip));
    zip_discard(zip);
    return false;
}

__attribute__((visibility("default"))) const MediaModule tessera_module_media = {
    .header_read = header_read,
    .header_free = header_free,
    .image_size = image_size,
    .image_read = image_read,
    .image_write = image_write,
    .archive_open = archive_open,
    .archive_unpack = archive_unpack,
    .archive_close = archive_close,
    .archive_write = archive_write,
};
