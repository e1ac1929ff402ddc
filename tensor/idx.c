/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IDX files, the format of MNIST and its relatives, plain or gzip: two zero bytes, an element type, the number of axes,
   the lengths as big-endian 32-bit numbers, then big-endian elements. int8 and int16 widen to i32.
   Invariant: the claimed size is compared with what the file can hold, packed or not, before memory is asked for. */
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "file.h"

#define CHUNK (1 << 24)

typedef struct IdxFile {
    TensorContext *ctx;
    const char *path;
    gzFile gz;
    uint64_t size;            /* of the file as it lies on disk */
} IdxFile;

/* Up to [bytes] unpacked bytes; false with the error set when fewer come. */
static bool read_bytes(IdxFile *f, void *to, uint64_t bytes)
{
    char *p = to;
    while (bytes > 0) {
        int got = gzread(f->gz, p, bytes < CHUNK ? (unsigned)bytes : CHUNK);
        if (got <= 0) {
            int code = Z_OK;
            const char *why = gzerror(f->gz, &code);
            if (code == Z_ERRNO)
                return file_errno(f->ctx, "load", f->path, "cannot be read");
            if (code == Z_MEM_ERROR)
                return error_set(&f->ctx->error, ERROR_memory, "load", "no memory to unpack gzip");
            if (code == Z_OK || code == Z_BUF_ERROR)
                return file_error(f->ctx, ERROR_format, "load", f->path, "it ends early: the file is cut off");
            return file_error(f->ctx, ERROR_format, "load", f->path, "its gzip data is damaged (%s)", why);
        }
        if (tensor_interrupted(f->ctx))
            return false;
        p += got;
        bytes -= (uint64_t)got;
    }
    return true;
}

/* Nothing may follow the elements; reading on also makes zlib compare the checksum. */
static bool expect_end(IdxFile *f)
{
    char extra;
    int got = gzread(f->gz, &extra, 1), code = Z_OK;
    if (got > 0)
        return file_error(f->ctx, ERROR_format, "load", f->path, "it has more bytes than its header says");
    const char *why = gzerror(f->gz, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        return file_error(f->ctx, ERROR_format, "load", f->path, "its gzip data is damaged (%s)",
                          code == Z_BUF_ERROR ? "it ends early" : why);
    return true;
}

typedef struct IdxHeader {
    Dtype dtype;              /* ours */
    size_t size;              /* bytes of an element in the file */
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
} IdxHeader;

static bool read_header(IdxFile *f, IdxHeader *h)
{
    unsigned char start[4], length[4];
    if (!read_bytes(f, start, 4))
        return false;
    if (start[0] || start[1])
        return file_error(f->ctx, ERROR_format, "load", f->path,
                          "is no IDX file: it does not start with two zero bytes");
    switch (start[2]) {
    case 0x08: h->dtype = DTYPE_u8; h->size = 1; break;
    case 0x09: h->dtype = DTYPE_i32; h->size = 1; break;
    case 0x0B: h->dtype = DTYPE_i32; h->size = 2; break;
    case 0x0C: h->dtype = DTYPE_i32; h->size = 4; break;
    case 0x0D: h->dtype = DTYPE_f32; h->size = 4; break;
    case 0x0E: h->dtype = DTYPE_f64; h->size = 8; break;
    default:
        return file_error(f->ctx, ERROR_format, "load", f->path, "its IDX element type 0x%02X is unknown", start[2]);
    }
    if (start[3] > TENSOR_MAX_DIMS)
        return file_error(f->ctx, ERROR_format, "load", f->path, "it has %d axes, more than %d", start[3],
                          TENSOR_MAX_DIMS);
    h->ndim = start[3];
    for (int i = 0; i < h->ndim; i++) {
        if (!read_bytes(f, length, 4))
            return false;
        h->shape[i] = (int64_t)length[0] << 24 | (int64_t)length[1] << 16 | (int64_t)length[2] << 8 | length[3];
    }
    return true;
}

/* Deflate packs at most 1032 to 1: what claims more than that was cut off or never held it. */
static bool check_size(IdxFile *f, const IdxHeader *h)
{
    uint64_t bytes, most = f->size;
    bool packed = !gzdirect(f->gz);
    if (packed && __builtin_mul_overflow(f->size, 1032u, &most))
        most = UINT64_MAX;
    if (file_count(h->ndim, h->shape, h->size, &bytes) && bytes <= most)
        return true;
    char shape[160];
    shape_format(h->ndim, h->shape, shape, sizeof shape);
    return file_error(f->ctx, ERROR_format, "load", f->path,
                      "its header says %s elements of %d bytes, but the file has only %llu%s bytes", shape,
                      (int)h->size, (unsigned long long)f->size, packed ? " packed" : "");
}

/* int8 and int16 were read into the upper end of the output, so that widening upwards overtakes nothing unread. */
static void widen(char *data, int64_t n, size_t size)
{
    const char *raw = data + (size_t)n * (4 - size);
    for (int64_t i = 0; i < n; i++) {
        int32_t value;
        if (size == 1) {
            value = (signed char)raw[i];
        } else {
            const unsigned char *p = (const unsigned char *)raw + 2 * i;
            value = (int16_t)(uint16_t)(p[0] << 8 | p[1]);
        }
        memcpy(data + 4 * i, &value, 4);
    }
}

static Tensor *load_open(IdxFile *f)
{
    IdxHeader h;
    if (!read_header(f, &h) || !check_size(f, &h))
        return NULL;
    Tensor *out = tensor_new(f->ctx, h.dtype, h.ndim, h.shape);
    if (!out)
        return NULL;
    int64_t n = tensor_size(out);
    size_t ours = dtype_size(h.dtype);
    if (!read_bytes(f, out->data + (size_t)n * (ours - h.size), (uint64_t)n * h.size) || !expect_end(f)) {
        tensor_release(out);
        return NULL;
    }
    if (ours != h.size)
        widen(out->data, n, h.size);
    else if (ours > 1 && !file_host_is_big())
        file_swap(out->data, n, ours);
    return out;
}

Tensor *idx_load(TensorContext *ctx, const char *path)
{
    IdxFile f = {.ctx = ctx, .path = path};
    int fd = file_open(ctx, path, &f.size);
    if (fd < 0)
        return NULL;
    f.gz = gzdopen(fd, "rb");
    if (!f.gz) {
        close(fd);
        error_set(&ctx->error, ERROR_memory, "load", "no memory to read a file");
        return NULL;
    }
    gzbuffer(f.gz, 1 << 17);
    Tensor *out = load_open(&f);
    gzclose(f.gz);
    return out;
}
