/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Array and picture files: what is saved comes back, files of other programs are read, and no file, however damaged,
   does worse than an error that names it: every small sample is cut at every byte and has every byte changed.
   Needs the module `media`, which it finds as the program does. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../../tensor/tensor.h"
#include "../tap.h"

static TensorContext ctx;
static atomic_uint flags;
static char folder[64];
static char path[256];        /* the file under test */

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t length)
{
    FILE *f = fopen(in_folder(name), "wb");
    if (!f || fwrite(bytes, 1, length, f) != length || fclose(f) != 0) {
        perror(path);
        exit(99);
    }
}

static size_t read_file(const char *name, unsigned char *bytes, size_t room)
{
    FILE *f = fopen(in_folder(name), "rb");
    if (!f)
        return 0;
    size_t length = fread(bytes, 1, room, f);
    fclose(f);
    return length;
}

/* The last call failed with [kind], naming the file and [words]. Clears the error. */
static void expect_error(bool failed, ErrorKind kind, const char *words, const char *what)
{
    const char *name = strrchr(path, '/') + 1;
    bool good = failed && ctx.error.kind == kind && strstr(ctx.error.message, words)
             && strstr(ctx.error.message, name);
    if (!tap_ok(good, "%s is refused: %s", what, words))
        tap_note("got %s: %s", error_kind_name(ctx.error.kind), ctx.error.message);
    error_clear(&ctx.error);
}

static Tensor *counting(Dtype dtype, int ndim, const int64_t *shape)
{
    Tensor *t = tensor_new(&ctx, dtype, ndim, shape);
    for (int64_t i = 0; t && i < tensor_size(t); i++)
        tensor_store(t, i, dtype == DTYPE_bool ? (double)(i % 2) : (double)(i + 1) * (dtype >= DTYPE_f32 ? 0.5 : 1));
    return t;
}

static Tensor *transposed(Tensor *t)
{
    int64_t shape[2] = {t->shape[1], t->shape[0]}, stride[2] = {t->stride[1], t->stride[0]};
    return tensor_view(&ctx, t, 2, shape, stride, 0);
}

/* ---- npy ---- */

static void test_npy_round_trip(void)
{
    static const int64_t shapes[][3] = {{2, 3, 4}, {0, 3, 2}, {5, 1, 1}, {1, 1, 1}};
    for (int d = 0; d < DTYPE_COUNT; d++)
        for (size_t s = 0; s < 4 && d != DTYPE_bf16; s++)
            for (int ndim = 0; ndim <= 3; ndim++) {
                Tensor *t = counting((Dtype)d, ndim, shapes[s]);
                Tensor *back = npy_save(&ctx, in_folder("a.npy"), t) ? npy_load(&ctx, path) : NULL;
                char type[96];
                tensor_type_name(t, type, sizeof type);
                tap_ok(back && tensor_same(t, back), "npy keeps %s", type);
                tensor_release(back);
                tensor_release(t);
            }
    Tensor *t = counting(DTYPE_bf16, 1, shapes[0]);
    expect_error(!npy_save(&ctx, in_folder("a.npy"), t), ERROR_dtype, "npy has no bf16", "bf16");
    tensor_release(t);
    t = counting(DTYPE_f32, 2, (const int64_t[]){3, 4});
    Tensor *view = transposed(t);
    Tensor *back = npy_save(&ctx, in_folder("a.npy"), view) ? npy_load(&ctx, path) : NULL;
    tap_ok(back && tensor_same(view, back), "npy keeps a transposed view");
    tensor_release(back);
    tensor_release(view);
    tensor_release(t);
}

/* A file of NumPy's with this dictionary and these bytes. */
static void make_npy(int version, const char *header, const void *data, size_t bytes)
{
    unsigned char file[1024];
    size_t length = strlen(header), at = version == 1 ? 10 : 12;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[7] = 0;
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    file[10] = file[11] = 0;
    memcpy(file + at, header, length);
    if (bytes)
        memcpy(file + at + length, data, bytes);
    write_file("a.npy", file, at + length + bytes);
}

static void expect_values(Tensor *t, Dtype dtype, int n, const double *values, const char *what)
{
    bool good = t && t->dtype == dtype && tensor_size(t) == n;
    for (int i = 0; good && i < n; i++)
        good = tensor_item(t, i) == values[i] || (isnan(values[i]) && isnan(tensor_item(t, i)));
    if (!tap_ok(good, "%s", what))
        tap_note("%s", ctx.error.message);
    error_clear(&ctx.error);
    tensor_release(t);
}

static void test_npy_of_others(void)
{
    make_npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n",
             (float[]){1, 4, 2, 5, 3, 6}, 24);
    expect_values(npy_load(&ctx, path), DTYPE_f32, 6, (double[]){1, 2, 3, 4, 5, 6}, "npy in Fortran order");
    make_npy(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }", "\0\0\1\2\xff\xff\xff\xfe", 8);
    expect_values(npy_load(&ctx, path), DTYPE_i32, 2, (double[]){258, -2}, "npy in big-endian order");
    make_npy(2, "{\"shape\": (3L,), 'fortran_order': False, 'descr': '|i1'}", "\x80\0\x7f", 3);
    expect_values(npy_load(&ctx, path), DTYPE_i32, 3, (double[]){-128, 0, 127}, "npy 2.0 of int8 becomes i32");
    make_npy(3, "{'descr':'<u2','fortran_order':False,'shape':(2,)}", "\xff\xff\1\0", 4);
    expect_values(npy_load(&ctx, path), DTYPE_i32, 2, (double[]){65535, 1}, "npy 3.0 of uint16 becomes i32");
    make_npy(1, "{'descr':'<i2','fortran_order':False,'shape':(2,)}", "\xff\xff\1\0", 4);
    expect_values(npy_load(&ctx, path), DTYPE_i32, 2, (double[]){-1, 1}, "npy of int16 becomes i32");
    make_npy(1, "{'descr':'>u4','fortran_order':False,'shape':(1,)}", "\xff\xff\xff\xff", 4);
    expect_values(npy_load(&ctx, path), DTYPE_i64, 1, (double[]){4294967295.0}, "npy of uint32 becomes i64");
    make_npy(1, "{'descr':'<u8','fortran_order':False,'shape':(1,)}", "\1\0\0\0\0\0\0\0", 8);
    expect_values(npy_load(&ctx, path), DTYPE_i64, 1, (double[]){1}, "npy of uint64 becomes i64");
    make_npy(1, "{'descr':'<f2','fortran_order':False,'shape':(6,)}", "\0\x3c\0\xc0\0\x7c\1\0\1\x7e\xff\x7b", 12);
    expect_values(npy_load(&ctx, path), DTYPE_f16, 6, (double[]){1, -2, (double)INFINITY, 0x1p-24, (double)NAN, 65504},
                  "npy of float16");
    make_npy(1, "{'descr':'<f8','fortran_order':False,'shape':()}", (double[]){2.5}, 8);
    expect_values(npy_load(&ctx, path), DTYPE_f64, 1, (double[]){2.5}, "npy without axes");
}

static void refuse_npy(const char *header, size_t bytes, const char *words, const char *what)
{
    static const unsigned char data[64] = {2, 255, 255, 255, 255, 255, 255, 255};
    make_npy(1, header, data, bytes);
    Tensor *t = npy_load(&ctx, path);
    expect_error(!t, ERROR_format, words, what);
    tensor_release(t);
}

static void test_npy_refused(void)
{
#define HEAD(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }"
    refuse_npy(HEAD("'<u8'", "(1,)"), 8, "largest i64", "npy with too large a uint64");
    refuse_npy(HEAD("'|O'", "(1,)"), 8, "Python objects", "npy with objects");
    refuse_npy(HEAD("'<c16'", "(1,)"), 16, "complex", "npy with complex numbers");
    refuse_npy(HEAD("'<U3'", "(1,)"), 12, "strings", "npy with strings");
    refuse_npy(HEAD("'<f16'", "(1,)"), 16, "differs by machine", "npy with long doubles");
    refuse_npy(HEAD("'<M8[ns]'", "(1,)"), 8, "dates", "npy with dates");
    refuse_npy(HEAD("[('a', '<f4')]", "(1,)"), 4, "records", "npy with records");
    refuse_npy(HEAD("'zebra'", "(1,)"), 4, "unknown: \"zebra\"", "npy with an unknown dtype");
    refuse_npy(HEAD("'|b1'", "(1,)"), 1, "no bool", "npy with a bool of 2");
    refuse_npy(HEAD("'<f4'", "(3,)"), 8, "8 bytes follow", "npy with too few bytes");
    refuse_npy(HEAD("'<f4'", "(1,)"), 8, "8 bytes follow", "npy with too many bytes");
    refuse_npy(HEAD("'<f4'", "(0, 4611686018427387904, 8)"), 4, "4 bytes follow", "npy with an overflowing shape");
    refuse_npy(HEAD("'<f4'", "(0, 4611686018427387904, 8)"), 0, "0 bytes follow", "an empty shape that overflows");
    refuse_npy(HEAD("'<f4'", "(99999999999999999999,)"), 4, "too long", "npy with a length beyond 64 bits");
    refuse_npy(HEAD("'<f4'", "(-1,)"), 4, "else than lengths", "npy with a negative length");
    refuse_npy(HEAD("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 4, "more than 8 axes", "npy with nine axes");
    refuse_npy(HEAD("'<f4'", "1"), 4, "not a tuple", "npy with a bare shape");
    refuse_npy("{'descr': '<f4', 'shape': (1,)}", 4, "lacks", "npy without its order");
    refuse_npy("{'descr': '<f4', 'descr': '<f4'}", 4, "twice", "npy with a key twice");
    refuse_npy("{'descr': '<f4', 'evil': 1}", 4, "unknown key", "npy with an unknown key");
    refuse_npy(HEAD("'<f4'", "(1,)") "x", 4, "behind its dictionary", "npy with text behind its header");
    refuse_npy("", 0, "no dictionary", "npy with an empty header");
#undef HEAD
    write_file("a.npy", "PK\3\4 something else", 18);
    expect_error(!npy_load(&ctx, path), ERROR_format, "no npy file", "another kind of file");
    write_file("a.npy", "\x93NUMPY\x09\x00\x00\x00\x00\x00", 12);
    expect_error(!npy_load(&ctx, path), ERROR_format, "version 9.0", "npy of the future");
    write_file("a.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
    expect_error(!npy_load(&ctx, path), ERROR_format, "claims 4294967295", "npy with a huge header");
}

/* Truthful headers of files with holes: the budget answers, not the kernel's killer. */
static void test_too_large(void)
{
    make_npy(1, "{'descr':'|u1','fortran_order':False,'shape':(8796093022208,)}", "", 0);
    struct stat st;
    stat(path, &st);
    if (truncate(path, st.st_size + 8796093022208) == 0) {
        Tensor *t = npy_load(&ctx, path);
        tap_ok(!t && ctx.error.kind == ERROR_memory, "npy of 8 TB is out of memory: %s", ctx.error.message);
        error_clear(&ctx.error);
    }
    unlink(path);
    write_file("a.idx", "\0\0\x08\1\xff\xff\xff\xff", 8);
    expect_error(!idx_load(&ctx, path), ERROR_format, "has only 8 bytes", "IDX that claims 4 GB");
}

/* ---- IDX ---- */

static void pack(const char *name, const void *bytes, size_t length)
{
    gzFile gz = gzopen(in_folder(name), "wb9");
    gzwrite(gz, bytes, (unsigned)length);
    gzclose(gz);
}

static void test_idx(void)
{
    static const struct { const char *bytes; size_t length; Dtype dtype; double values[2]; } files[] = {
        {"\0\0\x08\1\0\0\0\2\x05\xff", 10, DTYPE_u8, {5, 255}},
        {"\0\0\x09\1\0\0\0\2\x05\xff", 10, DTYPE_i32, {5, -1}},
        {"\0\0\x0B\1\0\0\0\2\1\2\xff\xfe", 12, DTYPE_i32, {258, -2}},
        {"\0\0\x0C\1\0\0\0\2\0\0\1\2\xff\xff\xff\xfe", 16, DTYPE_i32, {258, -2}},
        {"\0\0\x0D\1\0\0\0\2\x3f\x80\0\0\xc0\0\0\0", 16, DTYPE_f32, {1, -2}},
        {"\0\0\x0E\1\0\0\0\2\x3f\xf0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0", 24, DTYPE_f64, {1, -2}},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_file("a.idx", files[i].bytes, files[i].length);
        expect_values(idx_load(&ctx, path), files[i].dtype, 2, files[i].values, "IDX plain");
        pack("a.gz", files[i].bytes, files[i].length);
        expect_values(idx_load(&ctx, path), files[i].dtype, 2, files[i].values, "IDX packed");
    }
    write_file("a.idx", "\0\0\x08\2\0\0\0\0\0\0\0\3", 12);
    Tensor *t = idx_load(&ctx, path);
    tap_ok(t && t->ndim == 2 && t->shape[0] == 0 && t->shape[1] == 3, "IDX with an empty axis");
    tensor_release(t);
    write_file("a.idx", "\0\0\x0A\1\0\0\0\2\1\2", 10);
    expect_error(!idx_load(&ctx, path), ERROR_format, "0x0A is unknown", "IDX of an unknown type");
    write_file("a.idx", "\0\0\x08\1\0\0\0\2\1\2\3", 11);
    expect_error(!idx_load(&ctx, path), ERROR_format, "more bytes", "IDX that is too long");
    write_file("a.idx", "\0\0\x08\x09\0\0\0\2\1\2\3", 11);
    expect_error(!idx_load(&ctx, path), ERROR_format, "9 axes", "IDX with nine axes");
    write_file("a.idx", "nothing", 7);
    expect_error(!idx_load(&ctx, path), ERROR_format, "no IDX file", "another kind of file");
    pack("a.gz", "\0\0\x08\1\0\0\0\2\1\2\3", 11);
    expect_error(!idx_load(&ctx, path), ERROR_format, "more bytes", "packed IDX that is too long");
}

/* ---- safetensors ---- */

static void make_safetensors(const char *header, size_t data)
{
    unsigned char file[2048] = {0};
    size_t length = strlen(header);
    file[0] = (unsigned char)length;
    file[1] = (unsigned char)(length >> 8);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++)
        file[8 + length + i] = (unsigned char)i;
    write_file("a.safetensors", file, 8 + length + data);
}

static void refuse_safetensors(const char *header, size_t data, const char *words, const char *what)
{
    TensorFile file;
    make_safetensors(header, data);
    bool ok = safetensors_load(&ctx, path, &file);
    expect_error(!ok && file.count == 0, ERROR_format, words, what);
}

static bool same_files(const TensorFile *a, const TensorFile *b)
{
    bool same = a->count == b->count && a->n_metadata == b->n_metadata;
    for (int i = 0; same && i < a->count; i++)
        same = !strcmp(a->entry[i].name, b->entry[i].name) && tensor_same(a->entry[i].tensor, b->entry[i].tensor);
    for (int i = 0; same && i < 2 * a->n_metadata; i++)
        same = !strcmp(a->metadata[i], b->metadata[i]);
    return same;
}

static char *texts[] = {(char[]){"who"}, (char[]){"\"quoted\"\n\\ \x01 déjà"}, (char[]){""}, (char[]){"empty key"}};

/* One entry of each dtype, narrow ones first so that order and alignment disagree, an empty and a 0-d one. */
static void fill_sample(TensorFile *file, NamedTensor entry[DTYPE_COUNT + 2], char names[DTYPE_COUNT + 2][24])
{
    *file = (TensorFile){.count = DTYPE_COUNT + 2, .entry = entry, .n_metadata = 2, .metadata = texts};
    for (int d = 0; d < DTYPE_COUNT + 2; d++) {
        snprintf(names[d], 24, "%c.weight é %d", 'z' - d, d);
        entry[d].name = names[d];
        entry[d].tensor = d < DTYPE_COUNT ? counting((Dtype)d, 2, (const int64_t[]){3, 1})
                                          : counting(DTYPE_f32, d - DTYPE_COUNT, (const int64_t[]){0});
    }
}

static void test_safetensors_round_trip(void)
{
    NamedTensor entry[DTYPE_COUNT + 2];
    char names[DTYPE_COUNT + 2][24];
    static unsigned char first[4096], second[4096];
    TensorFile file, back, again;
    fill_sample(&file, entry, names);
    bool saved = safetensors_save(&ctx, in_folder("a.safetensors"), &file);
    bool loaded = saved && safetensors_load(&ctx, path, &back);
    tap_ok(loaded && same_files(&file, &back), "safetensors keeps entries in order, all dtypes, and metadata: %s",
           ctx.error.message);
    if (!loaded)
        return;
    bool aligned = true;
    for (int i = 0; i < back.count; i++) {
        const Tensor *t = back.entry[i].tensor;
        aligned = aligned && (uintptr_t)t->data % dtype_size((Dtype)t->dtype) == 0;
    }
    tap_ok(aligned, "safetensors: every tensor is aligned");
    tap_ok(back.entry[5].tensor->storage->release != NULL, "safetensors: tensors lie in the mapped file");
    size_t length = read_file("a.safetensors", first, sizeof first);
    tap_ok(safetensors_save(&ctx, path, &back) && safetensors_load(&ctx, path, &again)
           && same_files(&file, &again) && same_files(&file, &back),
           "saving over a file that is mapped keeps both right");
    tap_ok(read_file("a.safetensors", second, sizeof second) == length && memcmp(first, second, length) == 0,
           "saving the same twice gives the same bytes");
    tap_ok(!tensor_is_unshared(back.entry[5].tensor), "a mapped tensor is never written in place");
    tensor_file_free(&back);
    tap_ok(same_files(&file, &again), "one mapping outlives another");
    tensor_file_free(&again);
    for (int i = 0; i < file.count; i++)
        tensor_release(entry[i].tensor);
    file = (TensorFile){0};
    tap_ok(safetensors_save(&ctx, in_folder("a.safetensors"), &file) && safetensors_load(&ctx, path, &back)
           && back.count == 0, "safetensors without entries");
    tensor_file_free(&back);
}

static void test_safetensors_refused(void)
{
#define ONE(dtype, shape, offsets) "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    refuse_safetensors(ONE("F8_E4M3", "[2]", "[0,2]"), 2, "F8_E4M3", "safetensors of f8");
    refuse_safetensors(ONE("U16", "[2]", "[0,4]"), 4, "\"w\" is of type U16", "safetensors of u16");
    refuse_safetensors(ONE("F32", "[2]", "[0,4]"), 4, "is f32[2], but takes 4", "size and shape that differ");
    refuse_safetensors(ONE("F32", "[1]", "[0,4]"), 2, "cut off", "safetensors that is cut off");
    refuse_safetensors(ONE("F32", "[1]", "[0,4]"), 5, "belong to none", "safetensors with bytes behind");
    refuse_safetensors(ONE("F32", "[1]", "[4,8]"), 8, "begins at byte 4", "safetensors with a hole");
    refuse_safetensors(ONE("F32", "[1]", "[4,0]"), 4, "no pair", "safetensors with reversed offsets");
    refuse_safetensors(ONE("F32", "[1]", "[-4,0]"), 4, "no pair", "safetensors with a negative offset");
    refuse_safetensors(ONE("F32", "[1]", "[0,4,8]"), 4, "no pair", "safetensors with three offsets");
    refuse_safetensors(ONE("F32", "[1]", "[0,18446744073709551615]"), 4, "no JSON", "safetensors beyond 63 bits");
    refuse_safetensors(ONE("F32", "[-1]", "[0,4]"), 4, "else than lengths", "safetensors with a negative length");
    refuse_safetensors(ONE("F32", "[1.0]", "[0,4]"), 4, "else than lengths", "safetensors with a fractional length");
    refuse_safetensors(ONE("F32", "[4611686018427387904,4]", "[0,0]"), 0, "takes 0 bytes", "an overflowing shape");
    refuse_safetensors(ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 axes", "an entry with nine axes");
    refuse_safetensors(ONE("BOOL", "[2]", "[1,3]"), 3, "begins at byte 1", "a hole at the start");
    refuse_safetensors(ONE("BOOL", "[3]", "[0,3]"), 3, "is no bool but 2", "safetensors with a bool of 2");
    refuse_safetensors("{\"w\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no dtype", "an entry without dtype");
    refuse_safetensors("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape", "an entry without shape");
    refuse_safetensors("{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "no pair", "an entry without offsets");
    refuse_safetensors("{\"w\":7}", 4, "no dtype", "an entry that is a number");
    refuse_safetensors("{\"w\":{},\"w\":{}}", 0, "no JSON map (duplicate", "a name given twice");
    refuse_safetensors("[]", 0, "no JSON map", "a header that is a list");
    refuse_safetensors("{", 0, "no JSON map", "a header that does not end");
    refuse_safetensors("{\"__metadata__\":{\"a\":1}}", 0, "no string", "metadata that is a number");
    refuse_safetensors("{\"__metadata__\":[]}", 0, "no map", "metadata that is a list");
    refuse_safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                       "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "one before ends at 2",
                       "overlap");
    refuse_safetensors("{\"\\u001b[31m\":7}", 0, "?[31m", "an escape sequence in a name");
#undef ONE
    TensorFile file;
    write_file("a.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    expect_error(!safetensors_load(&ctx, path, &file), ERROR_format, "claims 9223372036854775807", "a huge header");
    Tensor *t = counting(DTYPE_f32, 1, (const int64_t[]){2});
    NamedTensor entry[2] = {{(char[]){"a"}, t}, {(char[]){"a"}, t}};
    file = (TensorFile){.count = 2, .entry = entry};
    expect_error(!safetensors_save(&ctx, path, &file), ERROR_value, "given to two", "saving a name twice");
    entry[1].name = (char[]){"__metadata__"};
    expect_error(!safetensors_save(&ctx, path, &file), ERROR_value, "kept for", "saving the metadata's name");
    tensor_release(t);
    make_safetensors("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}} ", 5);
    bool ok = safetensors_load(&ctx, path, &file);
    tap_ok(ok && (uintptr_t)file.entry[1].tensor->data % 4 == 0, "safetensors: a misaligned entry is copied");
    tensor_file_free(&file);
}

/* ---- pictures ---- */

/* 7 by 5 pixels; red is 10x + 5y, green and blue 40 and 80 more. */
static const unsigned char jpeg[] = {
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0,
    255, 219, 0, 132, 0, 13, 9, 10, 11, 10, 8, 13, 11, 10, 11, 14, 14, 13, 15, 19,
    32, 21, 19, 18, 18, 19, 39, 28, 30, 23, 32, 46, 41, 49, 48, 46, 41, 45, 44, 51,
    58, 74, 62, 51, 54, 70, 55, 44, 45, 64, 87, 65, 70, 76, 78, 82, 83, 82, 50, 62,
    90, 97, 90, 80, 96, 74, 81, 82, 79, 1, 14, 14, 14, 19, 17, 19, 38, 21, 21, 38,
    79, 53, 45, 53, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79,
    79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79,
    79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 255, 192, 0, 17, 8, 0,
    5, 0, 7, 3, 1, 34, 0, 2, 17, 1, 3, 17, 1, 255, 196, 1, 162, 0, 0, 1,
    5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5,
    6, 7, 8, 9, 10, 11, 16, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0,
    0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34,
    113, 20, 50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130,
    9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41, 42, 52, 53, 54, 55, 56, 57, 58,
    67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102,
    103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138,
    146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179,
    180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213,
    214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245,
    246, 247, 248, 249, 250, 1, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0,
    0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 0, 2, 1, 2, 4,
    4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49,
    6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9, 35,
    51, 82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39,
    40, 41, 42, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85,
    86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121,
    122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162,
    163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196,
    197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230,
    231, 232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250, 255, 218, 0, 12, 3, 1, 0,
    2, 17, 3, 17, 0, 63, 0, 194, 211, 34, 93, 163, 233, 90, 30, 82, 213, 45, 51, 238,
    143, 165, 104, 215, 121, 196, 127, 255, 217,
};

static void test_pictures(void)
{
    for (int c = 0; c <= 4; c++) {
        const int64_t shape[3] = {c, 3, 5};
        Tensor *t = counting(DTYPE_u8, c ? 3 : 2, c ? shape : shape + 1);
        Tensor *back = image_save(&ctx, in_folder("a.png"), t) ? image_load(&ctx, path) : NULL;
        bool same = back && back->ndim == 3 && back->shape[0] == (c ? c : 1) && tensor_size(back) == tensor_size(t);
        for (int64_t i = 0; same && i < tensor_size(t); i++)
            same = tensor_item(t, i) == tensor_item(back, i);
        tap_ok(same, "PNG keeps %d channels", c);
        tensor_release(back);
        tensor_release(t);
    }
    Tensor *t = tensor_from_data(&ctx, DTYPE_f32, 2, (const int64_t[]){1, 5}, (float[]){0, 1, 0.5f, -3, NAN});
    expect_values(image_save(&ctx, in_folder("a.png"), t) ? image_load(&ctx, path) : NULL, DTYPE_u8, 5,
                  (double[]){0, 255, 128, 0, 0}, "PNG of floats from 0 to 1, clipped");
    tensor_release(t);
    write_file("a.jpg", jpeg, sizeof jpeg);
    t = image_load(&ctx, path);
    bool near = t && t->ndim == 3 && t->shape[0] == 3 && t->shape[1] == 5 && t->shape[2] == 7;
    for (int i = 0; near && i < 105; i++)
        near = fabs(tensor_item(t, i) - (10 * (i % 7) + 5 * (i / 7 % 5) + 40 * (i / 35))) < 16;
    tap_ok(near, "JPEG is read: %s", ctx.error.message);
    tensor_release(t);
    error_clear(&ctx.error);
}

static void refuse_picture(Dtype dtype, int ndim, const int64_t *shape, ErrorKind kind, const char *words)
{
    Tensor *t = counting(dtype, ndim, shape);
    expect_error(!image_save(&ctx, in_folder("no.png"), t), kind, words, "saving a picture");
    tap_ok(access(path, F_OK) != 0, "and leaves no file");
    tensor_release(t);
}

static void test_pictures_refused(void)
{
    refuse_picture(DTYPE_i32, 2, (const int64_t[]){2, 2}, ERROR_dtype, "not i32[2, 2]");
    refuse_picture(DTYPE_u8, 1, (const int64_t[]){2}, ERROR_shape, "not u8[2]");
    refuse_picture(DTYPE_u8, 3, (const int64_t[]){5, 2, 2}, ERROR_shape, "not u8[5, 2, 2]");
    refuse_picture(DTYPE_u8, 2, (const int64_t[]){0, 2}, ERROR_shape, "at least one pixel");
    write_file("a.png", "GIF89a and so on", 16);
    expect_error(!image_load(&ctx, path), ERROR_format, "neither PNG nor JPEG", "a GIF");
    write_file("a.png", "", 0);
    expect_error(!image_load(&ctx, path), ERROR_format, "is empty", "an empty picture");
    unsigned char big[1024];
    Tensor *t = counting(DTYPE_u8, 2, (const int64_t[]){4, 4});
    image_save(&ctx, in_folder("a.png"), t);
    tensor_release(t);
    size_t length = read_file("a.png", big, sizeof big);
    for (int side = 0; side < 2; side++) {
        memcpy(big + 16, side ? "\0\0\x40\0\0\0\x40\0" : "\0\0\x80\0\0\0\x40\0", 8);
        uLong sum = crc32(0, big + 12, 17);
        for (int i = 0; i < 4; i++)
            big[29 + i] = (unsigned char)(sum >> (24 - 8 * i));
        write_file("a.png", big, length);
        expect_error(!image_load(&ctx, path), ERROR_format, side ? "cannot hold" : "too large",
                     "a small PNG that claims to be huge");
    }
}

/* ---- damage ---- */

typedef enum Kind { NPY, NPZ, IDX, SAFETENSORS, IMAGE } Kind;

/* Whether it loads; whatever it says, the error must be one of a damaged file and name it. */
static bool survives(Kind kind, bool *loaded)
{
    TensorFile file = {0};
    Tensor *t = kind == NPY ? npy_load(&ctx, path) : kind == IDX ? idx_load(&ctx, path)
              : kind == IMAGE ? image_load(&ctx, path) : NULL;
    *loaded = kind == SAFETENSORS ? safetensors_load(&ctx, path, &file)
            : kind == NPZ ? npz_load(&ctx, path, &file) : t != NULL;
    bool huge = kind == NPZ && ctx.error.kind == ERROR_memory;      /* a claim of its directory */
    bool good = *loaded ? ctx.error.kind == ERROR_NONE
              : (ctx.error.kind == ERROR_format || ctx.error.kind == ERROR_io || huge) && strstr(ctx.error.message, folder);
    if (!good)
        tap_note("%s: %s", error_kind_name(ctx.error.kind), ctx.error.message);
    error_clear(&ctx.error);
    tensor_file_free(&file);
    tensor_release(t);
    return good;
}

static void damage(Kind kind, const char *name)
{
    static unsigned char bytes[4096], changed[4096];
    static const unsigned char masks[] = {0x01, 0x20, 0x80, 0xFF};
    size_t length = read_file(name, bytes, sizeof bytes);
    int64_t live = runtime_live_tensors();
    bool good = length > 0, loaded, any = false;
    for (size_t cut = 0; cut < length; cut++) {
        write_file("cut", bytes, cut);
        good = survives(kind, &loaded) && good;
        any = any || loaded;
    }
    tap_ok(good && !any, "%s cut at each of its %d bytes is an error", name, (int)length);
    good = true;
    for (size_t at = 0; at < length; at++)
        for (size_t m = 0; m < sizeof masks; m++) {
            memcpy(changed, bytes, length);
            changed[at] ^= masks[m];
            if (m == 0)
                changed[(at * 7919 + 13) % length] ^= 0x55;
            write_file("changed", changed, length);
            good = survives(kind, &loaded) && good;
        }
    tap_ok(good, "%s with any byte changed loads or is an error", name);
    tap_ok(runtime_live_tensors() == live, "%s: nothing leaks", name);
}

/* A scan that names tables which the file has not: the last byte of the second component's, and the quantiser's. */
static void test_jpeg_tables(void)
{
    static unsigned char changed[sizeof jpeg];
    const struct { unsigned char marker; size_t byte; unsigned char value; const char *what; } cases[] = {
        {0xDA, 6, 0x31, "a DC table"}, {0xDA, 6, 0x12, "an AC table"}, {0xDA, 3, 9, "a component"},
        {0xC0, 10, 2, "a quantiser"}, {0xC4, 2, 0x02, "the table of another number"}, {0xC4, 3, 0xFF, "more codes than there are"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(changed, jpeg, sizeof jpeg);
        unsigned char *at = changed;
        while (at[0] != 0xFF || at[1] != cases[i].marker) at++;
        at[2 + cases[i].byte] = cases[i].value;
        write_file("tables.jpg", changed, sizeof changed);
        expect_error(!image_load(&ctx, in_folder("tables.jpg")), ERROR_format, "tables that it does not have", cases[i].what);
    }
}

static void test_damage(void)
{
    Tensor *t = counting(DTYPE_u8, 3, (const int64_t[]){3, 4, 4});
    NamedTensor entry[DTYPE_COUNT + 2];
    char names[DTYPE_COUNT + 2][24];
    TensorFile file;
    fill_sample(&file, entry, names);
    npy_save(&ctx, in_folder("d.npy"), t);
    image_save(&ctx, in_folder("d.png"), t);
    safetensors_save(&ctx, in_folder("d.safetensors"), &file);
    npz_save(&ctx, in_folder("d.npz"), &(TensorFile){.count = 1, .entry = &(NamedTensor){"a", t}});
    write_file("d.jpg", jpeg, sizeof jpeg);
    write_file("d.idx", "\0\0\x0B\2\0\0\0\2\0\0\0\3abcdefghijkl", 24);
    pack("d.gz", "\0\0\x0B\2\0\0\0\2\0\0\0\3abcdefghijkl", 24);
    damage(NPY, "d.npy");
    damage(NPZ, "d.npz");
    damage(IDX, "d.idx");
    damage(IDX, "d.gz");
    damage(SAFETENSORS, "d.safetensors");
    damage(IMAGE, "d.png");
    damage(IMAGE, "d.jpg");
    tensor_release(t);
    for (int i = 0; i < file.count; i++)
        tensor_release(entry[i].tensor);
}

/* ---- the file system ---- */

static void test_not_files(void)
{
    in_folder("missing.npy");
    expect_error(!npy_load(&ctx, path), ERROR_io, strerror(ENOENT), "a missing file");
    in_folder("sub");
    mkdir(path, 0755);
    expect_error(!idx_load(&ctx, path), ERROR_io, "is a folder", "a folder");
    Tensor *t = counting(DTYPE_f32, 1, (const int64_t[]){3});
    expect_error(!npy_save(&ctx, path, t), ERROR_io, "is a folder", "saving to a folder");
    rmdir(path);
    in_folder("pipe");
    mkfifo(path, 0644);
    expect_error(!image_load(&ctx, path), ERROR_io, "not a regular file", "a pipe");
    expect_error(!npy_save(&ctx, path, t), ERROR_io, "not a regular file", "saving to a pipe");
    unlink(path);
    in_folder("no/such/folder.npy");
    expect_error(!npy_save(&ctx, path, t), ERROR_io, strerror(ENOENT), "saving into a missing folder");
    tensor_release(t);
}

static void test_saving(void)
{
    Tensor *a = counting(DTYPE_f32, 1, (const int64_t[]){3}), *b = counting(DTYPE_f32, 1, (const int64_t[]){4});
    npy_save(&ctx, in_folder("a.npy"), a);
    chmod(path, 0640);
    char link[256];
    snprintf(link, sizeof link, "%s/link.npy", folder);
    struct stat st;
    tap_ok(symlink("a.npy", link) == 0 && npy_save(&ctx, link, b) && lstat(link, &st) == 0 && S_ISLNK(st.st_mode),
           "saving through a link keeps the link");
    Tensor *back = npy_load(&ctx, path);
    tap_ok(back && tensor_same(back, b) && stat(path, &st) == 0 && (st.st_mode & 0777) == 0640,
           "and replaces the file behind it, mode kept");
    tensor_release(back);
    atomic_store(&flags, 1);
    bool saved = npy_save(&ctx, path, a);
    tap_ok(!saved && ctx.error.kind == ERROR_interrupt, "saving can be interrupted");
    atomic_store(&flags, 0);
    error_clear(&ctx.error);
    back = npy_load(&ctx, path);
    tap_ok(back && tensor_same(back, b), "and then the old file is still there");
    tensor_release(back);
    char command[300];
    snprintf(command, sizeof command, "test -z \"$(find %s -name '.tessera-*')\"", folder);
    tap_ok(system(command) == 0, "no temporary file is left behind");
    tensor_release(a);
    tensor_release(b);
}

int main(void)
{
    /* In memory where there is such a folder: thousands of small files are written. */
    snprintf(folder, sizeof folder, "%s/tessera-files-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (!mkdtemp(folder))
        return 99;
    tensor_context_init(&ctx, &flags);
    test_npy_round_trip();
    test_npy_of_others();
    test_npy_refused();
    test_too_large();
    test_idx();
    test_safetensors_round_trip();
    test_safetensors_refused();
    test_pictures();
    test_pictures_refused();
    test_jpeg_tables();
    test_damage();
    test_not_files();
    test_saving();
    tap_ok(runtime_live_tensors() == 0, "no tensor is left");
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        tap_note("%s could not be removed", folder);
    return tap_end();
}
