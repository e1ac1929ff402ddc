/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files for the array formats: regular files only, whole reads, and saving through a temporary file in the same folder
   that is flushed to disk and renamed. The formats themselves are in npy.c, idx.c, safetensors.c and image.c.
   Invariant: a save that fails or is interrupted leaves the old file untouched. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define CHUNK ((size_t)1 << 24)   /* how much is read or written between two looks at the interrupt flag */

/* ---- errors ---- */

/* Names inside hostile files may hold escape sequences: only printable bytes and UTF-8 reach a message. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7F)
            *p = '?';
}

bool file_error(TensorContext *ctx, ErrorKind kind, const char *verb, const char *path, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    make_printable(what);

    /* The end of a long path says more than its beginning; do not start inside a UTF-8 character. */
    size_t length = strlen(path), skip = length > 160 ? length - 160 : 0;
    while (skip && ((unsigned char)path[skip] & 0xC0) == 0x80)
        skip++;
    char shown[192];
    snprintf(shown, sizeof shown, "%s%s", skip ? "..." : "", path + skip);
    make_printable(shown);
    return error_set(&ctx->error, kind, verb, "%s: %s", shown, what);
}

bool file_errno(TensorContext *ctx, const char *verb, const char *path, const char *what)
{
    char buffer[128];
    int code = errno;
    return file_error(ctx, ERROR_io, verb, path, "%s: %s", what, strerror_r(code, buffer, sizeof buffer));
}

/* ---- reading ---- */

int file_open(TensorContext *ctx, const char *path, uint64_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);   /* not blocking: a pipe must be refused, not waited for */
    if (fd < 0) {
        file_errno(ctx, "load", path, "cannot be opened");
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        file_errno(ctx, "load", path, "cannot be read");
    } else if (S_ISDIR(st.st_mode)) {
        file_error(ctx, ERROR_io, "load", path, "is a folder");
    } else if (!S_ISREG(st.st_mode)) {
        file_error(ctx, ERROR_io, "load", path, "is not a regular file");
    } else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

bool file_read(TensorContext *ctx, int fd, const char *path, void *to, uint64_t bytes)
{
    char *p = to;
    while (bytes > 0) {
        ssize_t got = read(fd, p, bytes < CHUNK ? (size_t)bytes : CHUNK);
        if (got < 0 && errno == EINTR)
            got = 0;
        else if (got < 0)
            return file_errno(ctx, "load", path, "cannot be read");
        else if (got == 0)
            return file_error(ctx, ERROR_io, "load", path, "became shorter while it was read");
        if (tensor_interrupted(ctx))
            return false;
        p += got;
        bytes -= (uint64_t)got;
    }
    return true;
}

void file_swap(void *data, int64_t n, size_t size)
{
    unsigned char *p = data;
    for (int64_t i = 0; i < n; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            unsigned char t = p[a];
            p[a] = p[b];
            p[b] = t;
        }
}

bool file_count(int ndim, const int64_t *shape, size_t element, uint64_t *bytes)
{
    int64_t product = (int64_t)element;
    bool empty = false;
    for (int i = 0; i < ndim; i++) {
        empty = empty || shape[i] == 0;
        if (shape[i] < 0 || __builtin_mul_overflow(product, shape[i] ? shape[i] : 1, &product))
            return false;
    }
    *bytes = empty ? 0 : (uint64_t)product;
    return true;
}

/* ---- saving ---- */

/* The file that a save replaces: links are followed, so that a link stays one. NULL with the error set. */
static char *resolve_target(TensorContext *ctx, const char *path, mode_t *mode)
{
    struct stat st;
    *mode = 0;
    if (stat(path, &st) != 0) {
        char *copy = errno == ENOENT ? strdup(path) : NULL;
        if (!copy)
            file_errno(ctx, "save", path, "cannot be written");
        return copy;
    }
    if (S_ISDIR(st.st_mode)) {
        file_error(ctx, ERROR_io, "save", path, "is a folder");
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        file_error(ctx, ERROR_io, "save", path, "is not a regular file");
        return NULL;
    }
    if (access(path, W_OK) != 0) {
        file_errno(ctx, "save", path, "cannot be written");
        return NULL;
    }
    *mode = st.st_mode & 07777;
    char *resolved = realpath(path, NULL);
    if (!resolved)
        file_errno(ctx, "save", path, "cannot be written");
    return resolved;
}

/* Opens a new file beside the target; its name does not depend on the target's, which may be as long as allowed. */
static bool open_temporary(FileWriter *w, mode_t mode)
{
    const char *slash = strrchr(w->target, '/');
    int folder = slash ? (int)(slash - w->target + 1) : 0;
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        free(w->temporary);
        if (asprintf(&w->temporary, "%.*s.tessera-%ld-%u.tmp", folder, w->target, (long)getpid(), attempt) < 0) {
            w->temporary = NULL;
            return error_set(&w->ctx->error, ERROR_memory, "save", "no memory for a file name");
        }
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) {
            if (mode && fchmod(w->fd, mode) != 0)
                return file_errno(w->ctx, "save", w->path, "cannot be given its mode");
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    file_errno(w->ctx, "save", w->path, "cannot be written");
    free(w->temporary);       /* not ours: file_abort must not remove it */
    w->temporary = NULL;
    return false;
}

bool file_begin(FileWriter *w, TensorContext *ctx, const char *path)
{
    w->ctx = ctx;
    w->path = path;
    w->temporary = NULL;
    w->fd = -1;
    w->used = 0;
    mode_t mode;
    w->target = resolve_target(ctx, path, &mode);
    return w->target && open_temporary(w, mode);
}

static bool write_out(FileWriter *w, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes > 0) {
        ssize_t put = write(w->fd, p, bytes < CHUNK ? bytes : CHUNK);
        if (put < 0 && errno != EINTR)
            return file_errno(w->ctx, "save", w->path, "cannot be written");
        if (tensor_interrupted(w->ctx))
            return false;
        if (put > 0) {
            p += put;
            bytes -= (size_t)put;
        }
    }
    return true;
}

static bool flush(FileWriter *w)
{
    size_t used = w->used;
    w->used = 0;
    return write_out(w, w->buffer, used);
}

bool file_write(FileWriter *w, const void *data, size_t bytes)
{
    if (bytes > sizeof w->buffer - w->used && !flush(w))
        return false;
    if (bytes > sizeof w->buffer)
        return write_out(w, data, bytes);
    if (bytes > 0)
        memcpy(w->buffer + w->used, data, bytes);
    w->used += bytes;
    return true;
}

bool file_write_tensor(FileWriter *w, Tensor *tensor)
{
    Tensor *dense = tensor_contiguous(w->ctx, tensor);
    if (!dense)
        return false;
    size_t size = dtype_size((Dtype)dense->dtype), bytes = (size_t)tensor_size(dense) * size;
    bool ok = true;
    if (!file_host_is_big() || size == 1) {
        ok = file_write(w, dense->data, bytes);
    } else {
        for (size_t at = 0; ok && at < bytes; at += size) {
            unsigned char element[16];
            memcpy(element, dense->data + at, size);
            file_swap(element, 1, size);
            ok = file_write(w, element, size);
        }
    }
    tensor_release(dense);
    return ok;
}

/* So that the rename itself outlives a power cut. Some file systems cannot do it: then the data is still safe. */
static void sync_folder(const char *target)
{
    const char *slash = strrchr(target, '/');
    char *folder = slash ? strndup(target, (size_t)(slash - target + 1)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

bool file_reopen(FileWriter *w)
{
    close(w->fd);
    w->fd = open(w->temporary, O_WRONLY | O_CLOEXEC);
    return w->fd >= 0 || file_errno(w->ctx, "save", w->path, "cannot be written");
}

static bool commit(FileWriter *w, bool durable)
{
    if (!flush(w))
        return false;
    if (durable && fsync(w->fd) != 0)
        return file_errno(w->ctx, "save", w->path, "cannot be written");
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0)
        return file_errno(w->ctx, "save", w->path, "cannot be written");
    if (rename(w->temporary, w->target) != 0)
        return file_errno(w->ctx, "save", w->path, "cannot be replaced");
    if (durable)
        sync_folder(w->target);
    free(w->temporary);
    w->temporary = NULL;
    return true;
}

bool file_commit(FileWriter *w)
{
    return commit(w, true);
}

void file_abort(FileWriter *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->temporary)
        unlink(w->temporary);
    free(w->temporary);
    free(w->target);
    w->fd = -1;
    w->temporary = w->target = NULL;
}

bool runtime_write_file(TensorContext *ctx, const char *verb, const char *path, const void *data, size_t bytes)
{
    FileWriter w = {.ctx = ctx, .path = path, .fd = -1};
    struct stat st;
    bool device = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode), ok;
    if (device) {
        w.fd = open(path, O_WRONLY | O_CLOEXEC);
        ok = w.fd >= 0 ? write_out(&w, data, bytes) : file_errno(ctx, "save", path, "cannot be written");
    } else {
        ok = file_begin(&w, ctx, path) && file_write(&w, data, bytes) && commit(&w, false);
    }
    file_abort(&w);
    if (!ok)
        snprintf(ctx->error.op, sizeof ctx->error.op, "%s", verb);
    return ok;
}
