/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NumPy's .npy files, versions 1.0 to 3.0, one array a file, C or Fortran order, either byte order. Element types that
   Tessera lacks are widened to one that holds every value (int8 to i32, uint32 to i64, float16 to f32); what cannot be
   held exactly is refused by name. The header is parsed here: it is a Python dictionary of three known keys.
   Invariant: the array's size is compared with the file's before memory is asked for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define MAX_HEADER 65536u

typedef struct Header {
    char descr[32];
    bool fortran;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
} Header;

typedef struct Cursor {
    const char *at, *end;
    const char *wrong;        /* what is wrong, once something is */
} Cursor;

/* ---- the header's text ---- */

static bool fail(Cursor *c, const char *wrong)
{
    if (!c->wrong)
        c->wrong = wrong;
    return false;
}

static void skip_space(Cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static bool take(Cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(Cursor *c, const char *word)
{
    skip_space(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

static bool take_string(Cursor *c, char *to, size_t size)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return fail(c, "a quoted string is missing in its header");
    char quote = *c->at++;
    size_t length = 0;
    while (c->at < c->end && *c->at != quote && length + 1 < size)
        to[length++] = *c->at++;
    to[length] = 0;
    if (c->at == c->end || *c->at != quote)
        return fail(c, "a string in its header does not end");
    c->at++;
    return true;
}

static bool take_shape(Cursor *c, Header *h)
{
    if (!take(c, '('))
        return fail(c, "its shape is not a tuple");
    while (!take(c, ')')) {
        if (h->ndim == TENSOR_MAX_DIMS)
            return fail(c, "it has more than 8 axes");
        skip_space(c);
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return fail(c, "its shape holds something else than lengths");
        int64_t length = 0;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
            if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, *c->at - '0', &length))
                return fail(c, "an axis of its shape is too long");
        h->shape[h->ndim++] = length;
        take(c, 'L');         /* Python 2 wrote long integers so */
        if (!take(c, ',')) {
            if (!take(c, ')'))
                return fail(c, "its shape does not end");
            break;
        }
    }
    return true;
}

static bool take_item(Cursor *c, Header *h, unsigned *seen)
{
    char key[32];
    if (!take_string(c, key, sizeof key))
        return false;
    unsigned bit = !strcmp(key, "descr") ? 1 : !strcmp(key, "fortran_order") ? 2 : !strcmp(key, "shape") ? 4 : 0;
    if (!bit)
        return fail(c, "its header has an unknown key");
    if (*seen & bit)
        return fail(c, "its header has the same key twice");
    *seen |= bit;
    if (!take(c, ':'))
        return fail(c, "a colon is missing in its header");
    if (bit == 4)
        return take_shape(c, h);
    if (bit == 2) {
        h->fortran = take_word(c, "True");
        return h->fortran || take_word(c, "False") || fail(c, "its fortran_order is neither True nor False");
    }
    skip_space(c);
    if (c->at < c->end && *c->at == '[')
        return fail(c, "it holds records (a structured dtype); save each field as an array of its own");
    return take_string(c, h->descr, sizeof h->descr);
}

static bool parse_header(Cursor *c, Header *h)
{
    unsigned seen = 0;
    memset(h, 0, sizeof *h);
    if (!take(c, '{'))
        return fail(c, "its header is no dictionary");
    while (!take(c, '}')) {
        if (!take_item(c, h, &seen))
            return false;
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return fail(c, "its header does not end");
            break;
        }
    }
    skip_space(c);
    if (c->at != c->end)
        return fail(c, "its header has something behind its dictionary");
    return seen == 7 || fail(c, "its header lacks descr, fortran_order or shape");
}

/* ---- element types ---- */

/* How the elements of a file become ours: [size] bytes each of kind b, i, u or f. */
typedef struct Source {
    char kind;
    size_t size;
    bool swap;
    Dtype dtype;
} Source;

static bool describe(TensorContext *ctx, const char *path, const char *descr, Source *s)
{
    static const struct { const char *code; Dtype dtype; } known[] = {
        {"b1", DTYPE_bool}, {"u1", DTYPE_u8}, {"i1", DTYPE_i32}, {"i2", DTYPE_i32}, {"u2", DTYPE_i32},
        {"i4", DTYPE_i32}, {"u4", DTYPE_i64}, {"i8", DTYPE_i64}, {"u8", DTYPE_i64}, {"f2", DTYPE_f16},
        {"f4", DTYPE_f32}, {"f8", DTYPE_f64},
    };
    static const struct { char kind; const char *name; } refused[] = {
        {'O', "Python objects"}, {'c', "complex numbers"}, {'U', "strings"}, {'S', "byte strings"},
        {'a', "byte strings"}, {'V', "raw bytes or records"}, {'M', "dates"}, {'m', "time spans"},
        {'f', "floats of a width that differs by machine"},
    };
    char order = descr[0];
    const char *code = order && strchr("<>|=", order) ? descr + 1 : descr;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(code, known[i].code)) {
            s->kind = code[0];
            s->size = (size_t)(code[1] - '0');
            s->dtype = known[i].dtype;
            s->swap = s->size > 1 && (order == '<' || order == '>') && (order == '>') != file_host_is_big();
            return true;
        }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (code[0] == refused[i].kind)
            return file_error(ctx, ERROR_format, "load", path, "it holds %s (dtype %s), which Tessera does not",
                              refused[i].name, descr);
    return file_error(ctx, ERROR_format, "load", path, "its dtype is unknown: \"%s\"", descr);
}

/* Widens element [i] of the raw bytes; false when a uint64 is above the largest i64. */
static bool widen(const Source *s, const unsigned char *raw, int64_t i, char *to)
{
    int16_t i2;
    uint16_t u2;
    uint32_t u4;
    uint64_t u8;
    int32_t narrow = 0;
    int64_t wide = 0;
    const unsigned char *p = raw + (size_t)i * s->size;
    switch (s->size * 128 + (unsigned char)s->kind) {
    case 128 + 'i': narrow = *(const signed char *)p; break;
    case 256 + 'i': memcpy(&i2, p, 2); narrow = i2; break;
    case 256 + 'u': memcpy(&u2, p, 2); narrow = u2; break;
    case 512 + 'u': memcpy(&u4, p, 4); wide = u4; break;
    default: memcpy(&u8, p, 8); if (u8 > INT64_MAX) return false; wide = (int64_t)u8; break;
    }
    if (s->dtype == DTYPE_i64)
        memcpy(to + i * 8, &wide, 8);
    else
        memcpy(to + i * 4, &narrow, 4);
    return true;
}

static bool is_native(const Source *s)
{
    return s->size == dtype_size(s->dtype) && !(s->kind == 'u' && s->size == 8);
}

/* Reads [n] elements into [out], in pieces where they must be widened. */
static bool read_elements(TensorContext *ctx, int fd, const char *path, const Source *s, char *out, int64_t n)
{
    if (is_native(s)) {
        if (!file_read(ctx, fd, path, out, (uint64_t)n * s->size))
            return false;
        if (s->swap)
            file_swap(out, n, s->size);
        for (int64_t i = 0; s->kind == 'b' && i < n; i++)
            if ((unsigned char)out[i] > 1)
                return file_error(ctx, ERROR_format, "load", path, "element %lld is no bool but %d", (long long)i,
                                  (unsigned char)out[i]);
        return true;
    }
    unsigned char raw[4096];
    for (int64_t done = 0, step; done < n; done += step) {
        step = n - done < (int64_t)(sizeof raw / s->size) ? n - done : (int64_t)(sizeof raw / s->size);
        if (!file_read(ctx, fd, path, raw, (uint64_t)step * s->size))
            return false;
        if (s->swap)
            file_swap(raw, step, s->size);
        for (int64_t i = 0; i < step; i++)
            if (!widen(s, raw, i, out + (size_t)done * dtype_size(s->dtype)))
                return file_error(ctx, ERROR_format, "load", path,
                                  "element %lld (uint64) is above the largest i64", (long long)(done + i));
    }
    return true;
}

/* ---- load and save ---- */

/* Reads magic and header; [left] becomes the number of bytes behind them. */
static bool read_header(TensorContext *ctx, int fd, const char *path, uint64_t *left, Header *h)
{
    unsigned char start[12];
    char text[MAX_HEADER];
    if (*left < 10)
        return file_error(ctx, ERROR_format, "load", path, "%llu bytes are too few for an npy file",
                          (unsigned long long)*left);
    if (!file_read(ctx, fd, path, start, 10))
        return false;
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return file_error(ctx, ERROR_format, "load", path, "is no npy file: it does not start with \\x93NUMPY");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return file_error(ctx, ERROR_format, "load", path, "npy version %d.%d is unknown", start[6], start[7]);
    *left -= 10;
    uint64_t length = start[8] | (uint64_t)start[9] << 8;
    if (start[6] > 1) {
        if (*left < 2)
            return file_error(ctx, ERROR_format, "load", path, "it ends inside its header");
        if (!file_read(ctx, fd, path, start + 10, 2))
            return false;
        *left -= 2;
        length |= (uint64_t)start[10] << 16 | (uint64_t)start[11] << 24;
    }
    if (length > *left)
        return file_error(ctx, ERROR_format, "load", path, "its header claims %llu bytes, but only %llu follow",
                          (unsigned long long)length, (unsigned long long)*left);
    if (length > MAX_HEADER)
        return file_error(ctx, ERROR_format, "load", path, "its header of %llu bytes is too long",
                          (unsigned long long)length);
    if (!file_read(ctx, fd, path, text, length))
        return false;
    *left -= length;
    Cursor c = {text, text + length, NULL};
    return parse_header(&c, h) || file_error(ctx, ERROR_format, "load", path, "%s", c.wrong);
}

/* The file's order is first axis fastest: read as the reversed shape, seen through reversed strides, copied dense. */
static Tensor *from_fortran(TensorContext *ctx, Tensor *reversed)
{
    int64_t shape[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    int n = reversed->ndim;
    for (int i = 0; i < n; i++) {
        shape[i] = reversed->shape[n - 1 - i];
        stride[i] = reversed->stride[n - 1 - i];
    }
    Tensor *view = tensor_view(ctx, reversed, n, shape, stride, 0);
    Tensor *dense = view ? tensor_contiguous(ctx, view) : NULL;
    tensor_release(view);
    tensor_release(reversed);
    return dense;
}

Tensor *npy_read(TensorContext *ctx, int fd, const char *path, uint64_t left)
{
    Header h;
    Source s = {0};
    uint64_t bytes;
    if (!read_header(ctx, fd, path, &left, &h) || !describe(ctx, path, h.descr, &s))
        return NULL;
    if (!file_count(h.ndim, h.shape, s.size, &bytes) || bytes != left) {
        char shape[128];
        shape_format(h.ndim, h.shape, shape, sizeof shape);
        file_error(ctx, ERROR_format, "load", path, "its header says %s %s, but %llu bytes follow", h.descr, shape,
                   (unsigned long long)left);
        return NULL;
    }
    bool turn = h.fortran && h.ndim > 1;
    for (int i = 0, j = h.ndim - 1; turn && i < j; i++, j--) {
        int64_t t = h.shape[i];
        h.shape[i] = h.shape[j];
        h.shape[j] = t;
    }
    Tensor *out = tensor_new(ctx, s.dtype, h.ndim, h.shape);
    if (out && !read_elements(ctx, fd, path, &s, out->data, tensor_size(out))) {
        tensor_release(out);
        out = NULL;
    }
    return out && turn ? from_fortran(ctx, out) : out;
}

Tensor *npy_load(TensorContext *ctx, const char *path)
{
    uint64_t size = 0;
    int fd = file_open(ctx, path, &size);
    if (fd < 0)
        return NULL;
    Tensor *out = npy_read(ctx, fd, path, size);
    close(fd);
    return out;
}

static const char *descriptor(Dtype dtype)
{
    static const char *const names[] = {
#define DTYPE(name, ctype, class, st, npy) npy,
#include "dtypes.def"
#undef DTYPE
    };
    return names[dtype];
}

size_t npy_header(TensorContext *ctx, const char *path, const Tensor *tensor, char text[NPY_HEADER])
{
    if (!descriptor((Dtype)tensor->dtype)[0]) {
        file_error(ctx, ERROR_dtype, "save", path, "npy has no %s", dtype_name((Dtype)tensor->dtype));
        error_hint(&ctx->error, "save it as .safetensors, or its numbers by f32(x)");
        return 0;
    }
    int at = snprintf(text + 10, 400, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                      descriptor((Dtype)tensor->dtype));
    for (int i = 0; i < tensor->ndim; i++)
        at += snprintf(text + 10 + at, 32, "%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    at += snprintf(text + 10 + at, 8, "%s), }", tensor->ndim == 1 ? "," : "");
    size_t used = 10 + (size_t)at, total = (used + 1 + 63) / 64 * 64;
    memset(text + used, ' ', total - used);
    text[total - 1] = '\n';
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    text[8] = (char)((total - 10) & 0xFF);
    text[9] = (char)((total - 10) >> 8);
    return total;
}

bool npy_save(TensorContext *ctx, const char *path, Tensor *tensor)
{
    char header[NPY_HEADER];
    FileWriter w;
    size_t length = npy_header(ctx, path, tensor, header);
    if (length == 0)
        return false;
    bool ok = file_begin(&w, ctx, path) && file_write(&w, header, length) && file_write_tensor(&w, tensor)
           && file_commit(&w);
    file_abort(&w);
    return ok;
}
