/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the readers and writers of array files share: opening, exact reading, errors that name the path, and saving
   that replaces a file at once or not at all. Used inside tensor/ only.

   Every length that a file claims is compared with the size of the file before anything is allocated by it. */
#ifndef TESSERA_FILE_H
#define TESSERA_FILE_H

#include "tensor.h"

static inline bool file_host_is_big(void) { return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__; }

/* "PATH: what is wrong"; [verb] is "load" or "save". Returns false. Bytes that a terminal would obey are replaced. */
bool file_error(TensorContext *ctx, ErrorKind kind, const char *verb, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool file_errno(TensorContext *ctx, const char *verb, const char *path, const char *what);   /* adds errno's text */

/* A regular file for reading, or -1 with the error set. */
int file_open(TensorContext *ctx, const char *path, uint64_t *size);
bool file_read(TensorContext *ctx, int fd, const char *path, void *to, uint64_t bytes);      /* all of them */
void file_swap(void *data, int64_t n, size_t size);                  /* reverses the bytes of n elements */

/* Bytes of dense elements of that shape; false when it does not fit 63 bits. Axes of length 0 hide no overflow. */
bool file_count(int ndim, const int64_t *shape, size_t element, uint64_t *bytes);

/* A file being saved: bytes gather in a temporary file beside [path], which file_commit renames over it. A symbolic
   link keeps pointing to the file that is replaced. After any false, or a failed commit, nothing is left behind once
   file_abort was called; file_abort after a commit does nothing. */
typedef struct FileWriter {
    TensorContext *ctx;
    const char *path;         /* as the user wrote it, for errors */
    char *target;             /* with links resolved */
    char *temporary;
    int fd;
    size_t used;
    unsigned char buffer[16384];
} FileWriter;
bool file_begin(FileWriter *writer, TensorContext *ctx, const char *path);
bool file_write(FileWriter *writer, const void *data, size_t bytes);
bool file_write_tensor(FileWriter *writer, Tensor *tensor);          /* row-major, little-endian */
bool file_reopen(FileWriter *writer);                                /* the temporary file was made anew by its name */
bool file_commit(FileWriter *writer);
void file_abort(FileWriter *writer);

/* ---- npy.c, for npz.c too ---- */
/* What follows in fd, [bytes] long, is one npy file. */
Tensor *npy_read(TensorContext *ctx, int fd, const char *path, uint64_t bytes);
/* Magic, version 1.0 and a header padded so that the data starts at a multiple of 64. Returns its length; 0: error. */
#define NPY_HEADER 512
size_t npy_header(TensorContext *ctx, const char *path, const Tensor *tensor, char text[NPY_HEADER]);

#endif
