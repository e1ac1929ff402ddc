/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures as tensors: PNG and JPEG in, PNG out. Decoding and encoding are stb's, inside the module `media`; this file
   looks at what stb does not: the checksum of every PNG chunk, a JPEG's end, and whether a file of that length can
   hold the picture that it claims.
   Invariant: the tensor is made, within the budget, before stb is asked to decode. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "file.h"
#include "media.h"
#include "op.h"

#define MAX_FILE ((uint64_t)1 << 30)
#define MAX_PIXELS ((int64_t)1 << 28)

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Walks the chunks: length, type, data, checksum, until IEND. */
static bool check_png(TensorContext *ctx, const char *path, const unsigned char *bytes, size_t size)
{
    size_t at = 8;
    for (;;) {
        if (size - at < 12)
            return file_error(ctx, ERROR_format, "load", path, "the PNG ends before its last chunk");
        uint32_t length = big32(bytes + at);
        if (length > size - at - 12)
            return file_error(ctx, ERROR_format, "load", path,
                              "a PNG chunk at byte %llu claims %lu bytes, more than follow", (unsigned long long)at,
                              (unsigned long)length);
        uLong sum = crc32(0, bytes + at + 4, length + 4);
        if (sum != big32(bytes + at + 8 + length))
            return file_error(ctx, ERROR_format, "load", path,
                              "the checksum of the PNG chunk at byte %llu is wrong: the file is damaged",
                              (unsigned long long)at);
        if (memcmp(bytes + at + 4, "IEND", 4) == 0)
            return true;
        at += 12 + (size_t)length;
    }
}

static bool check_kind(TensorContext *ctx, const char *path, const unsigned char *bytes, size_t size)
{
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return check_png(ctx, path, bytes, size);
    if (size >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) {
        for (size_t i = size - 1; i > 3; i--)
            if (bytes[i] == 0xD9 && bytes[i - 1] == 0xFF)
                return true;
        return file_error(ctx, ERROR_format, "load", path, "the JPEG has no end: the file is cut off");
    }
    return file_error(ctx, ERROR_format, "load", path, "is neither PNG nor JPEG");
}

static Tensor *decode(TensorContext *ctx, const char *path, const unsigned char *bytes, int size)
{
    const MediaModule *media = runtime_open_module(&ctx->error, "media");
    char why[MEDIA_WHY];
    int width, height, channels;
    if (!media)
        return NULL;
    if (!media->image_size(bytes, size, &width, &height, &channels, why)) {
        file_error(ctx, ERROR_format, "load", path, "%s", why);
        return NULL;
    }
    int64_t shape[3] = {channels, height, width}, pixels = (int64_t)width * height;
    if (pixels > MAX_PIXELS) {
        file_error(ctx, ERROR_format, "load", path, "a picture of %d by %d pixels is too large", width, height);
        return NULL;
    }
    /* One colour, one bit a pixel, four channels from a palette: even so a byte packs no more than 33,024 bytes. */
    if (pixels * channels > (int64_t)size * 40000) {
        file_error(ctx, ERROR_format, "load", path, "%d bytes cannot hold the %d by %d pixels that they claim", size,
                   width, height);
        return NULL;
    }
    Tensor *out = tensor_new(ctx, DTYPE_u8, 3, shape);
    if (out && !media->image_read(bytes, size, width, height, channels, (unsigned char *)out->data, why)) {
        file_error(ctx, ERROR_format, "load", path, "%s", why);
        tensor_release(out);
        out = NULL;
    }
    return out;
}

Tensor *image_load(TensorContext *ctx, const char *path)
{
    uint64_t size = 0;
    int fd = file_open(ctx, path, &size);
    if (fd < 0)
        return NULL;
    Tensor *out = NULL;
    unsigned char *bytes = NULL;
    if (size == 0)
        file_error(ctx, ERROR_format, "load", path, "is empty");
    else if (size > MAX_FILE)
        file_error(ctx, ERROR_format, "load", path, "%llu bytes are too many for a picture", (unsigned long long)size);
    else
        bytes = scratch_take(&ctx->error, (size_t)size);
    if (bytes && file_read(ctx, fd, path, bytes, size) && check_kind(ctx, path, bytes, (size_t)size))
        out = decode(ctx, path, bytes, (int)size);
    if (bytes)
        scratch_release(bytes);
    close(fd);
    return out;
}

/* ---- saving ---- */

static unsigned char to_byte(double value, bool is_float)
{
    if (!is_float)
        return (unsigned char)value;
    double scaled = value * 255.0 + 0.5;
    return !(scaled > 0.0) ? 0 : scaled >= 255.0 ? 255 : (unsigned char)scaled;    /* NaN becomes black */
}

typedef struct Encoded {
    FileWriter file;
    bool ok;
} Encoded;

static void write_bytes(void *to, void *data, int size)
{
    Encoded *encoded = to;
    encoded->ok = encoded->ok && file_write(&encoded->file, data, (size_t)size);
}

static bool check_picture(TensorContext *ctx, const char *path, const Tensor *t, int *channels)
{
    char type[96];
    tensor_type_name(t, type, sizeof type);
    if (t->dtype != DTYPE_u8 && dtype_class((Dtype)t->dtype) != CLASS_FLOAT)
        return file_error(ctx, ERROR_dtype, "save", path, "a picture is u8, or a float from 0 to 1, not %s", type);
    *channels = t->ndim == 3 ? (int)(t->shape[0] < 9 ? t->shape[0] : 9) : 1;
    if ((t->ndim != 2 && t->ndim != 3) || *channels < 1 || *channels > 4)
        return file_error(ctx, ERROR_shape, "save", path,
                          "a picture is [height, width] or [1 to 4, height, width], not %s", type);
    int64_t h = t->shape[t->ndim - 2], w = t->shape[t->ndim - 1];
    if (h < 1 || w < 1)
        return file_error(ctx, ERROR_shape, "save", path, "a picture needs at least one pixel, not %s", type);
    if (h > INT_MAX || w > INT_MAX || h * w > MAX_PIXELS)
        return file_error(ctx, ERROR_value, "save", path, "a picture of %lld by %lld pixels is too large", (long long)w,
                          (long long)h);
    return true;
}

bool image_save(TensorContext *ctx, const char *path, Tensor *tensor)
{
    int channels = 0;
    if (!check_picture(ctx, path, tensor, &channels))
        return false;
    const MediaModule *media = runtime_open_module(&ctx->error, "media");
    if (!media)
        return false;
    int width = (int)tensor->shape[tensor->ndim - 1], height = (int)tensor->shape[tensor->ndim - 2];
    int64_t plane = (int64_t)width * height;
    unsigned char *pixels = scratch_take(&ctx->error, (size_t)(plane * channels));
    if (!pixels)
        return false;
    bool is_float = tensor->dtype != DTYPE_u8;
    for (int c = 0; c < channels; c++)
        for (int64_t i = 0; i < plane; i++)
            pixels[i * channels + c] = to_byte(tensor_item(tensor, c * plane + i), is_float);
    Encoded to;
    char why[MEDIA_WHY];
    to.ok = file_begin(&to.file, ctx, path);
    if (to.ok && !media->image_write(write_bytes, &to, width, height, channels, pixels, why))
        to.ok = file_error(ctx, ERROR_io, "save", path, "%s", why);
    to.ok = to.ok && file_commit(&to.file);
    file_abort(&to.file);
    scratch_release(pixels);
    return to.ok;
}
