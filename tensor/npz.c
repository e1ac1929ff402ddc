/* SPDX-License-Identifier: GPL-3.0-or-later */
/* npz files: a zip archive with one npy file a tensor, as numpy.savez and savez_compressed write them. The module
   `media` (libzip) packs and unpacks; npy.c reads and writes the members.
   Invariant: nothing is unpacked that the directory of the archive claims to be larger than the memory allowed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "file.h"
#include "media.h"

static const MediaModule *module(TensorContext *ctx)
{
    return runtime_open_module(&ctx->error, "media");
}

/* ---- reading ---- */

/* A member on its way into memory that looks like a file. */
typedef struct Unpacking {
    TensorContext *ctx;
    int fd;
    uint64_t left;            /* bytes that the archive's directory still promises */
} Unpacking;

static bool unpack(void *to, const void *data, size_t bytes)
{
    Unpacking *u = to;
    if (bytes > u->left || tensor_interrupted(u->ctx))
        return false;
    u->left -= bytes;
    for (const char *p = data; bytes > 0;) {
        ssize_t put = write(u->fd, p, bytes);
        if (put <= 0)
            return false;
        p += put;
        bytes -= (size_t)put;
    }
    return true;
}

static Tensor *read_member(TensorContext *ctx, const MediaModule *media, const char *path, MediaArchive *archive, int i)
{
    char why[MEDIA_WHY], where[512];
    Unpacking u = {ctx, -1, archive->member[i].size};
    Tensor *tensor = NULL;
    snprintf(where, sizeof where, "%.350s: %.150s", path, archive->member[i].name);
    MemoryUse use;
    memory_use(&use);
    if (u.left > use.budget / 2) {               /* it is there twice for a moment */
        file_error(ctx, ERROR_memory, "load", where, "it takes %llu bytes unpacked", (unsigned long long)u.left);
        return NULL;
    }
    u.fd = memfd_create("npy", MFD_CLOEXEC);
    if (u.fd < 0)
        file_errno(ctx, "load", where, "cannot be unpacked");
    else if (media->archive_unpack(archive, i, unpack, &u, why) && u.left == 0 && lseek(u.fd, 0, SEEK_SET) == 0)
        tensor = npy_read(ctx, u.fd, where, archive->member[i].size);
    else if (ctx->error.kind == ERROR_NONE)
        file_error(ctx, ERROR_format, "load", where, "%s", why);
    if (u.fd >= 0)
        close(u.fd);
    return tensor;
}

/* The name without the ".npy" that numpy puts behind it. */
static char *tensor_name(const char *member)
{
    size_t length = strlen(member);
    if (length > 4 && strcmp(member + length - 4, ".npy") == 0)
        length -= 4;
    return strndup(member, length);
}

static bool read_members(TensorContext *ctx, const MediaModule *media, const char *path, MediaArchive *archive,
                         TensorFile *file)
{
    file->entry = calloc((size_t)archive->count + 1, sizeof *file->entry);
    if (!file->entry)
        return error_set(&ctx->error, ERROR_memory, "load", "no memory for %d names", archive->count);
    for (int i = 0; i < archive->count; i++) {
        NamedTensor *entry = &file->entry[file->count++];
        entry->name = tensor_name(archive->member[i].name);
        if (!entry->name)
            return error_set(&ctx->error, ERROR_memory, "load", "no memory for a name");
        entry->tensor = read_member(ctx, media, path, archive, i);
        if (!entry->tensor)
            return false;
    }
    return true;
}

bool npz_load(TensorContext *ctx, const char *path, TensorFile *file)
{
    char why[MEDIA_WHY];
    uint64_t size;
    *file = (TensorFile){0};
    int fd = file_open(ctx, path, &size);        /* so that a missing file is told as everywhere */
    const MediaModule *media = fd >= 0 ? module(ctx) : NULL;
    if (fd >= 0)
        close(fd);
    MediaArchive archive;
    if (!media)
        return false;
    if (!media->archive_open(path, &archive, why))
        return file_error(ctx, ERROR_format, "load", path, "%s", why);
    bool ok = read_members(ctx, media, path, &archive, file);
    media->archive_close(&archive);
    if (!ok)
        tensor_file_free(file);
    return ok;
}

/* ---- writing ---- */

/* A member that is made while the archive is written: a header of npy, then the bytes of a dense tensor. */
typedef struct Packing {
    char name[512], header[NPY_HEADER];
    size_t header_bytes, data_bytes;
    Tensor *dense;
} Packing;

static void pack(void *from, uint64_t offset, void *to, size_t bytes)
{
    const Packing *p = from;
    char *at = to;
    size_t head = offset < p->header_bytes ? p->header_bytes - (size_t)offset : 0;
    if (head > bytes)
        head = bytes;
    memcpy(at, p->header + offset, head);
    if (bytes > head)
        memcpy(at + head, p->dense->data + (size_t)offset + head - p->header_bytes, bytes - head);
}

static bool prepare(TensorContext *ctx, const char *path, const NamedTensor *entry, Packing *p, MediaPacked *packed)
{
    int length = snprintf(p->name, sizeof p->name, "%s.npy", entry->name);
    if (length < 0 || length >= (int)sizeof p->name)
        return file_error(ctx, ERROR_value, "save", path, "the name \"%.60s…\" is too long", entry->name);
    p->header_bytes = npy_header(ctx, path, entry->tensor, p->header);
    if (!p->header_bytes)
        return false;
    p->dense = file_host_is_big() ? tensor_copy(ctx, entry->tensor) : tensor_contiguous(ctx, entry->tensor);
    if (!p->dense)
        return false;
    size_t size = dtype_size((Dtype)p->dense->dtype);
    p->data_bytes = (size_t)tensor_size(p->dense) * size;
    if (file_host_is_big())
        file_swap(p->dense->data, tensor_size(p->dense), size);
    *packed = (MediaPacked){p->name, p->header_bytes + p->data_bytes, pack, p};
    return true;
}

/* The archive appears in place of the writer's temporary file, which is then the writer's again. */
static bool write_archive(FileWriter *w, const MediaModule *media, int count, const MediaPacked *packed)
{
    char why[MEDIA_WHY];
    if (!media->archive_write(w->temporary, count, packed, why))
        return file_error(w->ctx, ERROR_io, "save", w->path, "%s", why);
    return file_reopen(w);
}

bool npz_save(TensorContext *ctx, const char *path, const TensorFile *file)
{
    const MediaModule *media = module(ctx);
    if (!media)
        return false;
    FileWriter w;
    size_t n = (size_t)file->count + 1;
    Packing *parts = calloc(n, sizeof *parts);
    MediaPacked *packed = calloc(n, sizeof *packed);
    bool ok = (parts && packed) || error_set(&ctx->error, ERROR_memory, "save", "no memory for %d names", file->count);
    for (int i = 0; ok && i < file->count; i++)
        ok = prepare(ctx, path, &file->entry[i], &parts[i], &packed[i]);
    if (ok) {
        ok = file_begin(&w, ctx, path) && write_archive(&w, media, file->count, packed) && file_commit(&w);
        file_abort(&w);
    }
    for (int i = 0; parts && i < file->count; i++)
        tensor_release(parts[i].dense);
    free(parts);
    free(packed);
    return ok;
}
