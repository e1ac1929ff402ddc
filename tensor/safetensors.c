/* SPDX-License-Identifier: GPL-3.0-or-later */
/* safetensors files. Loading maps the file: tensors share the mapping, pages come from disk on first touch, and nobody
   writes to them (tensor_is_unshared). The JSON of the header is parsed by the module `media` (jansson);
   saving writes it here. Refused: element types that Tessera lacks, sizes that do not fit shapes, entries that
   overlap, leave holes or leave the file, names given twice.
   Invariant: no tensor points outside the mapping, and the mapping lives as long as the last of its tensors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"
#include "media.h"

#define MAX_HEADER 100000000u     /* the format's own limit */

static const char *const type_names[] = {
#define DTYPE(name, ctype, class, st, npy) st,
#include "dtypes.def"
#undef DTYPE
};

void tensor_file_free(TensorFile *file)
{
    for (int i = 0; i < file->count; i++) {
        free(file->entry[i].name);
        tensor_release(file->entry[i].tensor);
    }
    for (int i = 0; i < 2 * file->n_metadata; i++)
        free(file->metadata[i]);
    free(file->entry);
    free(file->metadata);
    *file = (TensorFile){0};
}

/* ---- the mapping and the storages that share it ---- */

typedef struct Mapping {
    int refs;
    void *address;
    size_t bytes;
} Mapping;

static void mapping_release(Mapping *mapping)
{
    if (--mapping->refs == 0) {
        munmap(mapping->address, mapping->bytes);
        free(mapping);
    }
}

static void release_mapped(Storage *storage)
{
    mapping_release(storage->owner);
    free(storage);
}

static Mapping *map_file(TensorContext *ctx, int fd, const char *path, uint64_t size)
{
    Mapping *mapping = malloc(sizeof *mapping);
    if (!mapping) {
        error_set(&ctx->error, ERROR_memory, "load", "no memory to map a file");
        return NULL;
    }
    *mapping = (Mapping){.refs = 1, .bytes = (size_t)size};
    mapping->address = mmap(NULL, mapping->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping->address == MAP_FAILED) {
        file_errno(ctx, "load", path, "cannot be mapped");
        free(mapping);
        return NULL;
    }
    return mapping;
}

/* ---- loading ---- */

typedef struct Loader {
    TensorContext *ctx;
    const char *path;
    Mapping *mapping;
    MediaHeader header;
    const char *data;         /* behind the header */
    uint64_t bytes;           /* of data */
} Loader;

static bool find_dtype(Loader *l, const MediaEntry *e, Dtype *dtype)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (!strcmp(e->dtype, type_names[i])) {
            *dtype = (Dtype)i;
            return true;
        }
    return file_error(l->ctx, ERROR_format, "load", l->path,
                      "tensor \"%.80s\" is of type %.16s, which Tessera does not have", e->name, e->dtype);
}

static int by_offset(const void *a, const void *b)
{
    const MediaEntry *x = *(MediaEntry *const *)a, *y = *(MediaEntry *const *)b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;    /* empty ones first */
}

/* Sorted by place, each entry must begin where the one before ended, and the last must end with the file. */
static bool check_places(Loader *l)
{
    int n = l->header.count;
    MediaEntry **sorted = malloc((size_t)(n ? n : 1) * sizeof *sorted);
    if (!sorted)
        return error_set(&l->ctx->error, ERROR_memory, "load", "no memory for the header of a file");
    for (int i = 0; i < n; i++)
        sorted[i] = &l->header.entry[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_offset);
    uint64_t at = 0;
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        const MediaEntry *e = sorted[i];
        if (e->end > l->bytes)
            ok = file_error(l->ctx, ERROR_format, "load", l->path,
                            "tensor \"%.80s\" ends at byte %llu of %llu: the file is cut off or damaged", e->name,
                            (unsigned long long)e->end, (unsigned long long)l->bytes);
        else if (e->begin != at)
            ok = file_error(l->ctx, ERROR_format, "load", l->path,
                            "tensor \"%.80s\" begins at byte %llu, but the one before ends at %llu", e->name,
                            (unsigned long long)e->begin, (unsigned long long)at);
        at = e->end;
    }
    free(sorted);
    if (ok && at != l->bytes)
        ok = file_error(l->ctx, ERROR_format, "load", l->path, "%llu bytes behind the last tensor belong to none",
                        (unsigned long long)(l->bytes - at));
    return ok;
}

/* A tensor over the mapping, or a copy of its own where the file did not align the elements. */
static Tensor *make_tensor(Loader *l, const MediaEntry *e, Dtype dtype)
{
    char *data = (char *)(uintptr_t)(l->data + e->begin);
    uint64_t bytes = e->end - e->begin;
    if (bytes == 0 || file_host_is_big() || (uintptr_t)data % dtype_size(dtype) != 0) {
        Tensor *copy = tensor_new(l->ctx, dtype, e->ndim, e->shape);
        if (copy && bytes)
            memcpy(copy->data, data, (size_t)bytes);
        if (copy && file_host_is_big())
            file_swap(copy->data, tensor_size(copy), dtype_size(dtype));
        return copy;
    }
    Storage *storage = malloc(sizeof *storage);
    if (!storage) {
        error_set(&l->ctx->error, ERROR_memory, "load", "no memory for a tensor");
        return NULL;
    }
    *storage = (Storage){.refs = 1, .bytes = (size_t)bytes, .data = data, .release = release_mapped,
                         .owner = l->mapping};
    l->mapping->refs++;
    return tensor_from_storage_take(l->ctx, dtype, e->ndim, e->shape, storage, 0);
}

static Tensor *load_entry(Loader *l, const MediaEntry *e)
{
    Dtype dtype = DTYPE_u8;
    uint64_t bytes;
    if (!find_dtype(l, e, &dtype))
        return NULL;
    if (!file_count(e->ndim, e->shape, dtype_size(dtype), &bytes) || bytes != e->end - e->begin) {
        char shape[128];
        shape_format(e->ndim, e->shape, shape, sizeof shape);
        file_error(l->ctx, ERROR_format, "load", l->path, "tensor \"%.80s\" is %s%s, but takes %llu bytes", e->name,
                   dtype_name(dtype), shape, (unsigned long long)(e->end - e->begin));
        return NULL;
    }
    for (uint64_t i = 0; dtype == DTYPE_bool && i < bytes; i++)
        if ((unsigned char)l->data[e->begin + i] > 1) {
            file_error(l->ctx, ERROR_format, "load", l->path, "element %llu of tensor \"%.80s\" is no bool but %d",
                       (unsigned long long)i, e->name, (unsigned char)l->data[e->begin + i]);
            return NULL;
        }
    return make_tensor(l, e, dtype);
}

static bool fill(Loader *l, TensorFile *file)
{
    int n = l->header.count, m = l->header.n_metadata;
    file->entry = calloc((size_t)(n ? n : 1), sizeof *file->entry);
    file->metadata = calloc((size_t)(m ? 2 * m : 1), sizeof *file->metadata);
    bool memory = file->entry && file->metadata;
    for (; memory && file->n_metadata < m; file->n_metadata++) {
        int i = 2 * file->n_metadata;
        file->metadata[i] = strdup(l->header.metadata[i]);
        file->metadata[i + 1] = strdup(l->header.metadata[i + 1]);
        memory = file->metadata[i] && file->metadata[i + 1];
    }
    for (; memory && file->count < n; file->count++) {
        NamedTensor *to = &file->entry[file->count];
        to->name = strdup(l->header.entry[file->count].name);
        to->tensor = to->name ? load_entry(l, &l->header.entry[file->count]) : NULL;
        memory = to->name != NULL;
        if (memory && !to->tensor) {
            file->count++;    /* so that its name is freed */
            return false;
        }
    }
    return memory || error_set(&l->ctx->error, ERROR_memory, "load", "no memory for the names of a file");
}

static bool load_mapped(Loader *l, TensorFile *file)
{
    const unsigned char *start = l->mapping->address;
    uint64_t left = l->mapping->bytes - 8, length = 0;
    char why[MEDIA_WHY];
    for (int i = 7; i >= 0; i--)
        length = length << 8 | start[i];
    if (length > left)
        return file_error(l->ctx, ERROR_format, "load", l->path,
                          "its header claims %llu bytes, but only %llu follow: no safetensors file, or cut off",
                          (unsigned long long)length, (unsigned long long)left);
    if (length > MAX_HEADER)
        return file_error(l->ctx, ERROR_format, "load", l->path, "its header of %llu bytes is too long",
                          (unsigned long long)length);
    const MediaModule *media = runtime_open_module(&l->ctx->error, "media");
    if (!media)
        return false;
    if (!media->header_read((const char *)start + 8, (size_t)length, &l->header, why))
        return file_error(l->ctx, ERROR_format, "load", l->path, "%s", why);
    l->data = (const char *)start + 8 + length;
    l->bytes = left - length;
    bool ok = check_places(l) && fill(l, file);
    media->header_free(&l->header);
    return ok;
}

bool safetensors_load(TensorContext *ctx, const char *path, TensorFile *file)
{
    *file = (TensorFile){0};
    uint64_t size = 0;
    int fd = file_open(ctx, path, &size);
    if (fd < 0)
        return false;
    Loader l = {.ctx = ctx, .path = path};
    if (size < 8)
        file_error(ctx, ERROR_format, "load", path, "%llu bytes are too few for a safetensors file",
                   (unsigned long long)size);
    else
        l.mapping = map_file(ctx, fd, path, size);
    close(fd);
    bool ok = l.mapping && load_mapped(&l, file);
    if (l.mapping)
        mapping_release(l.mapping);
    if (!ok)
        tensor_file_free(file);
    return ok;
}

/* ---- saving ---- */

/* JSON grows here before it is written: its length stands in front of it. */
typedef struct Text {
    char *bytes;
    size_t used, room;
    bool failed;
} Text;

static void text_add(Text *t, const char *bytes, size_t length)
{
    if (t->failed)
        return;
    if (length > t->room - t->used) {
        size_t room = (t->used + length) * 2 + 1024;
        char *grown = realloc(t->bytes, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->bytes = grown;
        t->room = room;
    }
    memcpy(t->bytes + t->used, bytes, length);
    t->used += length;
}

static void text_put(Text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

static void text_number(Text *t, const char *before, uint64_t number)
{
    char buffer[64];
    snprintf(buffer, sizeof buffer, "%s%llu", before, (unsigned long long)number);
    text_put(t, buffer);
}

static void text_string(Text *t, const char *s)
{
    text_put(t, "\"");
    for (; *s; s++) {
        char escaped[8];
        if (*s == '"' || *s == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)*s);
        else
            snprintf(escaped, sizeof escaped, "%c", *s);
        text_put(t, escaped);
    }
    text_put(t, "\"");
}

static size_t entry_bytes(const NamedTensor *e)
{
    return (size_t)tensor_size(e->tensor) * dtype_size((Dtype)e->tensor->dtype);
}

static void text_entry(Text *t, const NamedTensor *e, uint64_t begin)
{
    text_string(t, e->name);
    text_put(t, ":{\"dtype\":\"");
    text_put(t, type_names[e->tensor->dtype]);
    text_put(t, "\",\"shape\":[");
    for (int i = 0; i < e->tensor->ndim; i++)
        text_number(t, i ? "," : "", (uint64_t)e->tensor->shape[i]);
    text_number(t, "],\"data_offsets\":[", begin);
    text_number(t, ",", begin + entry_bytes(e));
    text_put(t, "]}");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two entries of one name, or one that looks like the metadata, could not be read again. */
static bool check_names(TensorContext *ctx, const char *path, int n, char *const *first, size_t step, const char *what)
{
    const char **names = malloc((size_t)(n ? n : 1) * sizeof *names);
    if (!names)
        return error_set(&ctx->error, ERROR_memory, "save", "no memory for the names of a file");
    bool ok = true;
    for (int i = 0; i < n; i++)
        names[i] = *(char *const *)(const void *)((const char *)first + (size_t)i * step);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; ok && i < n; i++)
        if (!strcmp(names[i], "__metadata__") || (i > 0 && !strcmp(names[i - 1], names[i])))
            ok = file_error(ctx, ERROR_value, "save", path, "the name \"%.80s\" %s", names[i],
                            i > 0 && !strcmp(names[i - 1], names[i]) ? what : "is kept for the metadata");
    free(names);
    return ok;
}

/* The header names the entries in the caller's order; their bytes lie wide elements first, so that each is aligned
   without holes, which the format forbids. */
static void make_header(Text *t, const TensorFile *file)
{
    uint64_t at[9] = {0}, end = 0;
    for (int size = 8; size >= 1; size--) {
        at[size] = end;
        for (int i = 0; i < file->count; i++)
            if (dtype_size((Dtype)file->entry[i].tensor->dtype) == (size_t)size)
                end += entry_bytes(&file->entry[i]);
    }
    text_put(t, "{");
    for (int i = 0; i < file->n_metadata; i++) {
        text_put(t, i ? "," : "\"__metadata__\":{");
        text_string(t, file->metadata[2 * i]);
        text_put(t, ":");
        text_string(t, file->metadata[2 * i + 1]);
    }
    text_put(t, file->n_metadata ? file->count ? "}," : "}" : "");
    for (int i = 0; i < file->count; i++) {
        size_t size = dtype_size((Dtype)file->entry[i].tensor->dtype);
        text_put(t, i ? "," : "");
        text_entry(t, &file->entry[i], at[size]);
        at[size] += entry_bytes(&file->entry[i]);
    }
    text_put(t, "}");
    while (!t->failed && (t->used + 8) % 64 != 0)
        text_put(t, " ");
}

static bool write_all(FileWriter *w, const Text *header, const TensorFile *file)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(header->used >> (8 * i));
    if (!file_write(w, length, 8) || !file_write(w, header->bytes, header->used))
        return false;
    for (int size = 8; size >= 1; size--)
        for (int i = 0; i < file->count; i++)
            if (dtype_size((Dtype)file->entry[i].tensor->dtype) == (size_t)size
                && !file_write_tensor(w, file->entry[i].tensor))
                return false;
    return file_commit(w);
}

bool safetensors_save(TensorContext *ctx, const char *path, const TensorFile *file)
{
    if (!check_names(ctx, path, file->count, file->entry ? &file->entry[0].name : NULL, sizeof *file->entry,
                     "is given to two tensors")
        || !check_names(ctx, path, file->n_metadata, file->metadata, 2 * sizeof *file->metadata,
                        "stands twice in the metadata"))
        return false;
    Text header = {0};
    make_header(&header, file);
    bool ok = false;
    if (header.failed) {
        error_set(&ctx->error, ERROR_memory, "save", "no memory for the header of a file");
    } else if (header.used > MAX_HEADER) {
        file_error(ctx, ERROR_value, "save", path,
                   "its names and metadata take %llu bytes, more than the format allows",
                   (unsigned long long)header.used);
    } else {
        FileWriter w;
        ok = file_begin(&w, ctx, path) && write_all(&w, &header, file);
        file_abort(&w);
    }
    free(header.bytes);
    return ok;
}
