/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives about files as text and bytes, folders and paths. Every error names the path and the system's reason. Whole
   files are replaced at once or not at all; a stream of lines closes its file at its end, on break and on errors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arith.h"
#include "bridge.h"
#include "builtins.h"
#include "encoding.h"
#include "print.h"
#include "textfile.h"
#include "utf8.h"

static bool file_fails(Vm *vm, const char *function, const char *path)
{
    if (errno == EINTR && tensor_interrupted(vm_tensors(vm))) return false;
    vm_fail(vm, ERROR_io, function, "%.200s: %s", path, strerror(errno));
    if (path[0] == '~') error_hint(&vm_tensors(vm)->error, "full_path(\"~/…\") begins at your home folder");
    return false;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool native_exists(Vm *vm, const Value *args, Value *result)
{
    struct stat info;
    (void)vm;
    *result = value_bool(stat(args[0].string->text, &info) == 0);
    return true;
}

bool native_is_folder(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    *result = value_bool(is_folder(args[0].string->text));
    return true;
}

bool native_file_size(Vm *vm, const Value *args, Value *result)
{
    struct stat info;
    if (stat(args[0].string->text, &info) != 0) return file_fails(vm, "file_size", args[0].string->text);
    *result = value_int(info.st_size);
    return true;
}

bool native_file_time(Vm *vm, const Value *args, Value *result)
{
    struct stat info;
    if (stat(args[0].string->text, &info) != 0) return file_fails(vm, "file_time", args[0].string->text);
    *result = value_date(info.st_mtim.tv_sec * INT64_C(1000000) + info.st_mtim.tv_nsec / 1000, 0);
    return true;
}

/* ---- whole files ---- */

/* All bytes of a file into [text]. */
static bool read_bytes(Vm *vm, const char *function, const char *path, Text *text)
{
    char block[1 << 16];
    FILE *file = is_folder(path) ? (errno = EISDIR, NULL) : fopen(path, "rb");
    if (!file) return file_fails(vm, function, path);
    size_t n;
    while (!text->failed && (n = fread(block, 1, sizeof block, file)) > 0) {
        text_add(text, block, n);
        if (tensor_interrupted(vm_tensors(vm))) break;
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return file_fails(vm, function, path);
    return !tensor_interrupted(vm_tensors(vm)) && (!text->failed || vm_out_of_memory(vm));
}

bool path_read_text(Vm *vm, const char *function, const char *path, const char *encoding, Value *result)
{
    Text text = {0};
    bool fine = read_bytes(vm, function, path, &text) &&
                encoding_decode(vm, function, path, text.at ? text.at : "", text.length, encoding, result);
    text_free(&text);
    return fine;
}

bool native_read_text(Vm *vm, const Value *args, Value *result)
{
    return path_read_text(vm, "read_text", args[0].string->text, args[1].string->text, result);
}

static bool append(Vm *vm, const char *function, const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "ab");
    if (!file) return file_fails(vm, function, path);
    bool fine = fwrite(data, 1, length, file) == length;
    fine = fclose(file) == 0 && fine;
    return fine || file_fails(vm, function, path);
}

bool path_write_bytes(Vm *vm, const char *function, const char *path, bool at_end, const void *data, size_t length)
{
    if (at_end) return append(vm, function, path, data, length);
    return runtime_write_file(vm_tensors(vm), function, path, data, length);
}

bool native_write_text(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    *result = VALUE_NONE;
    bool fine = encoding_encode(vm, "write_text", args[0].string, args[3].string->text, &text) &&
                path_write_bytes(vm, "write_text", args[1].string->text, args[2].b, text.at ? text.at : "", text.length);
    text_free(&text);
    return fine;
}

/* A u8 tensor of one axis. */
static bool bytes_tensor(Vm *vm, const Text *text, Value *result)
{
    int64_t length = (int64_t)text->length;
    Tensor *tensor = tensor_new(vm_tensors(vm), DTYPE_u8, 1, &length);
    if (!tensor) return false;
    if (length) memcpy(tensor->data, text->at, text->length);
    *result = value_from_tensor_take(tensor);
    return true;
}

/* The bytes of a dense u8 tensor, NULL with the error set. */
static Tensor *tensor_bytes(Vm *vm, const char *function, Value v)
{
    if (v.tag == TAG_TENSOR && v.tensor->dtype == DTYPE_u8) return tensor_contiguous(vm_tensors(vm), v.tensor);
    native_wants(vm, function, "bytes", "a u8 tensor", v);
    error_hint(&vm_tensors(vm)->error, "write u8(xs); a text's bytes are encode(s)");
    return NULL;
}

bool native_read_bytes(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    bool fine = read_bytes(vm, "read_bytes", args[0].string->text, &text) && bytes_tensor(vm, &text, result);
    text_free(&text);
    return fine;
}

bool native_write_bytes(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    Tensor *bytes = tensor_bytes(vm, "write_bytes", args[0]);
    if (!bytes) return false;
    bool fine = path_write_bytes(vm, "write_bytes", args[1].string->text, args[2].b, bytes->data, (size_t)tensor_size(bytes));
    tensor_release(bytes);
    return fine;
}

bool native_encode(Vm *vm, const Value *args, Value *result)
{
    Text text = {0};
    bool fine = encoding_encode(vm, "encode", args[0].string, args[1].string->text, &text) &&
                bytes_tensor(vm, &text, result);
    text_free(&text);
    return fine;
}

bool native_decode(Vm *vm, const Value *args, Value *result)
{
    Tensor *bytes = tensor_bytes(vm, "decode", args[0]);
    if (!bytes) return false;
    bool fine = encoding_decode(vm, "decode", "", (const char *)bytes->data, (size_t)tensor_size(bytes),
                                args[1].string->text, result);
    tensor_release(bytes);
    return fine;
}

/* ---- lines, one by one ---- */

typedef struct LineFile {
    FILE *file;               /* NULL once it is closed */
    char *line;
    size_t room;
    int64_t number;           /* of lines that were read */
    char path[];
} LineFile;

static void line_close(Vm *vm, Stream *s)
{
    (void)vm;
    LineFile *f = s->state;
    if (f->file) fclose(f->file);
    f->file = NULL;
}

static void line_free(Stream *s)
{
    LineFile *f = s->state;
    line_close(NULL, s);
    free(f->line);
    free(f);
}

static bool line_next(Vm *vm, Stream *s, Value *out)
{
    LineFile *f = s->state;
    *out = VALUE_DONE;
    if (!f->file) return true;
    errno = 0;
    ssize_t got = getline(&f->line, &f->room, f->file);
    if (got < 0) {
        bool fine = feof(f->file) || file_fails(vm, "read_lines", f->path);
        line_close(vm, s);
        return fine;
    }
    size_t length = (size_t)got;
    const char *text = f->line;
    if (length && text[length - 1] == '\n') length--;
    if (length && text[length - 1] == '\r') length--;
    if (f->number == 0 && length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        length -= 3;
    }
    size_t bad = utf8_check(text, length);
    if (bad < length) return encoding_refuse(vm, "read_lines", f->path, text, length, bad, f->number);
    f->number++;
    return native_give(vm, string_new(text, length), out);
}

static const struct StreamKind line_kind = {"lines", line_next, line_close, line_free, NULL};

bool native_read_lines(Vm *vm, const Value *args, Value *result)
{
    const String *path = args[0].string;
    LineFile *f = calloc(1, sizeof *f + path->length + 1);
    if (!f) return vm_out_of_memory(vm);
    memcpy(f->path, path->text, path->length);
    f->file = is_folder(path->text) ? (errno = EISDIR, NULL) : fopen(path->text, "rb");
    if (!f->file) {
        free(f);
        return file_fails(vm, "read_lines", path->text);
    }
    Value stream = stream_new_take(&line_kind, VALUE_UNDEFINED, f);
    if (stream.tag == TAG_UNDEFINED) {
        fclose(f->file);
        free(f);
    }
    return native_give(vm, stream, result);
}

/* ---- folders ---- */

bool native_make_folder(Vm *vm, const Value *args, Value *result)
{
    const String *path = args[0].string;
    *result = VALUE_NONE;
    char *part = strdup(path->text);
    if (!part) return vm_out_of_memory(vm);
    bool fine = path->length > 0 || (errno = ENOENT, file_fails(vm, "make_folder", "\"\""));
    for (size_t at = 1; fine && at <= path->length; at++) {
        if (part[at] != '/' && part[at]) continue;
        char end = part[at];
        part[at] = '\0';
        fine = mkdir(part, 0777) == 0 || (errno == EEXIST && is_folder(part));
        if (!fine) file_fails(vm, "make_folder", part);
        part[at] = end;
    }
    free(part);
    return fine;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

bool native_remove_folder(Vm *vm, const Value *args, Value *result)
{
    const char *path = args[0].string->text;
    char real[PATH_MAX];
    *result = VALUE_NONE;
    if (!realpath(path, real)) return file_fails(vm, "remove_folder", path);
    if (strcmp(real, "/") == 0) {
        return vm_fail(vm, ERROR_value, "remove_folder", "%.200s is the root of all files", path);
    }
    if (!args[1].b || !is_folder(path)) {
        if (rmdir(path) == 0) return true;
        bool full = errno == ENOTEMPTY || errno == EEXIST;
        file_fails(vm, "remove_folder", path);
        if (full) error_hint(&vm_tensors(vm)->error, "all=true removes what is in it, too");
        return false;
    }
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || file_fails(vm, "remove_folder", path);
}

bool native_remove_file(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    if (is_folder(args[0].string->text)) {
        vm_fail(vm, ERROR_io, "remove_file", "%.200s is a folder", args[0].string->text);
        error_hint(&vm_tensors(vm)->error, "write remove_folder(path)");
        return false;
    }
    return unlink(args[0].string->text) == 0 || file_fails(vm, "remove_file", args[0].string->text);
}

static bool push_path(Vm *vm, Value list, const char *folder, const char *name)
{
    Text path = {0};
    Value string;
    bool here = strcmp(folder, ".") == 0 || !*folder;
    if (!here) {
        text_string(&path, folder);
        if (path.length && path.at[path.length - 1] != '/') text_add(&path, "/", 1);
    }
    text_string(&path, name);
    return native_give_text(vm, &path, &string) && (list_push_take(list.list, string) || vm_out_of_memory(vm));
}

static int order_texts(const void *a, const void *b)
{
    const Value *x = a, *y = b;
    return strcmp(x->string->text, y->string->text);
}

static bool give_sorted(Value list, bool fine, Value *result)
{
    if (fine) {
        if (list.list->count > 1) qsort(list.list->at, (size_t)list.list->count, sizeof(Value), order_texts);
        *result = list;
    } else {
        value_release(list);
    }
    return fine;
}

/* Names of a folder that are UTF-8; others could not be strings. */
static const char *next_name(DIR *dir)
{
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);
        bool dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!dots && utf8_check(entry->d_name, length) == length) return entry->d_name;
    }
    return NULL;
}

bool native_list_folder(Vm *vm, const Value *args, Value *result)
{
    const char *name;
    DIR *dir = opendir(args[0].string->text);
    if (!dir) return file_fails(vm, "list_folder", args[0].string->text);
    Value list = list_new(0);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    while (fine && (name = next_name(dir))) fine = push_path(vm, list, "", name);
    closedir(dir);
    return give_sorted(list, fine, result);
}

/* Adds the files of one folder to [files], and its folders to [folders]. Links to folders are not followed. */
static bool list_one(Vm *vm, const char *folder, const char *pattern, Value files, Value folders)
{
    const char *name;
    DIR *dir = opendir(folder);
    if (!dir) return file_fails(vm, "list_files", folder);
    bool fine = true;
    while (fine && (name = next_name(dir))) {
        struct stat info, target;
        if (fstatat(dirfd(dir), name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        bool leads_to_folder = fstatat(dirfd(dir), name, &target, 0) == 0 && S_ISDIR(target.st_mode);
        if (S_ISDIR(info.st_mode) && name[0] != '.') fine = push_path(vm, folders, folder, name);
        else if (!leads_to_folder && fnmatch(pattern, name, FNM_PERIOD) == 0) fine = push_path(vm, files, folder, name);
        fine = fine && !tensor_interrupted(vm_tensors(vm));
    }
    closedir(dir);
    return fine;
}

bool native_list_files(Vm *vm, const Value *args, Value *result)
{
    const char *pattern = args[1].string->text;
    if (strchr(pattern, '/')) return vm_fail(vm, ERROR_value, "list_files", "pattern is for names, without a /");
    Value files = list_new(0), folders = list_new(0);
    bool fine = (files.tag != TAG_UNDEFINED && folders.tag != TAG_UNDEFINED) || vm_out_of_memory(vm);
    fine = fine && (list_push_take(folders.list, value_retain(args[0])) || vm_out_of_memory(vm));
    for (int64_t i = 0; fine && i < (args[2].b ? folders.list->count : 1); i++) {
        fine = list_one(vm, folders.list->at[i].string->text, pattern, files, folders);
    }
    value_release(folders);
    return give_sorted(files, fine, result);
}

/* ---- moving and copying ---- */

/* Where a file of name [from] lands: [to], or inside it when that is a folder. */
static bool landing(Vm *vm, const char *from, const char *to, char out[PATH_MAX])
{
    const char *name = strrchr(from, '/');
    int n = snprintf(out, PATH_MAX, is_folder(to) ? "%s/%s" : "%s", to, name ? name + 1 : from);
    return n < PATH_MAX || vm_fail(vm, ERROR_io, "", "%.100s…: the path is too long", to);
}

static bool copy_file(Vm *vm, const char *function, const char *from, const char *to)
{
    char block[1 << 16];
    struct stat info, other;
    if (stat(from, &info) != 0) return file_fails(vm, function, from);
    if (S_ISDIR(info.st_mode)) return vm_fail(vm, ERROR_io, function, "%.200s is a folder", from);
    if (stat(to, &other) == 0 && info.st_dev == other.st_dev && info.st_ino == other.st_ino) {
        return vm_fail(vm, ERROR_value, function, "%.100s and %.100s are the same file", from, to);
    }
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return file_fails(vm, function, from);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, info.st_mode & 0777);
    bool fine = out >= 0 || file_fails(vm, function, to);
    ssize_t n = 0;
    while (fine && (n = read(in, block, sizeof block)) > 0) {
        for (ssize_t put = 0, step = 0; fine && put < n; put += step) {
            step = write(out, block + put, (size_t)(n - put));
            fine = step >= 0 || file_fails(vm, function, to);
        }
        fine = fine && !tensor_interrupted(vm_tensors(vm));
    }
    if (fine && n < 0) fine = file_fails(vm, function, from);
    close(in);
    if (out >= 0 && close(out) != 0 && fine) fine = file_fails(vm, function, to);
    return fine;
}

bool native_copy_file(Vm *vm, const Value *args, Value *result)
{
    char to[PATH_MAX];
    *result = VALUE_NONE;
    const char *from = args[0].string->text;
    return landing(vm, from, args[1].string->text, to) && copy_file(vm, "copy_file", from, to);
}

bool native_move_file(Vm *vm, const Value *args, Value *result)
{
    char to[PATH_MAX];
    const char *from = args[0].string->text;
    *result = VALUE_NONE;
    if (!landing(vm, from, args[1].string->text, to)) return false;
    if (rename(from, to) == 0) return true;
    if (errno != EXDEV || is_folder(from)) return file_fails(vm, "move_file", access(from, F_OK) == 0 ? to : from);
    return copy_file(vm, "move_file", from, to) && (unlink(from) == 0 || file_fails(vm, "move_file", from));
}

bool native_temporary_folder(Vm *vm, const Value *args, Value *result)
{
    char path[PATH_MAX];
    const char *base = getenv("TMPDIR");
    (void)args;
    snprintf(path, sizeof path, "%.4000s/tessera-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(path) ? native_give(vm, string_from(path), result) : file_fails(vm, "temporary_folder", path);
}

/* ---- paths as text ---- */

bool native_path_join(Vm *vm, const Value *args, Value *result)
{
    Text path = {0};
    const List *parts = args[0].list;
    for (int64_t i = 0; i < parts->count; i++) {
        if (parts->at[i].tag != TAG_STRING) {
            text_free(&path);
            return native_wants(vm, "path_join", "each part", "a string", parts->at[i]);
        }
        const String *part = parts->at[i].string;
        if (part->length == 0) continue;
        if (part->text[0] == '/') path.length = 0;
        else if (path.length && path.at[path.length - 1] != '/') text_add(&path, "/", 1);
        text_add(&path, part->text, part->length);
    }
    return native_give_text(vm, &path, result);
}

static bool put_part(Map *map, const char *name, const char *text, size_t length)
{
    Value key = string_from(name), part = string_new(text, length);
    bool fine = key.tag != TAG_UNDEFINED && part.tag != TAG_UNDEFINED;
    if (fine) fine = map_set_take(map, key, part);
    else value_release(part);
    value_release(key);
    return fine;
}

bool native_path_parts(Vm *vm, const Value *args, Value *result)
{
    const char *path = args[0].string->text;
    size_t end = args[0].string->length, start, folder;
    while (end > 1 && path[end - 1] == '/') end--;
    for (start = end; start > 0 && path[start - 1] != '/'; start--) continue;
    for (folder = start; folder > 1 && path[folder - 1] == '/'; folder--) continue;
    size_t dot = end;
    while (dot > start && path[dot - 1] != '.') dot--;
    size_t stem = dot > start + 1 ? dot - 1 : end;         /* .bashrc has no extension */
    *result = map_new();
    bool fine = result->tag != TAG_UNDEFINED &&
                put_part(result->map, "folder", start ? path : ".", start ? folder : 1) &&
                put_part(result->map, "name", path + start, end - start) &&
                put_part(result->map, "stem", path + start, stem - start) &&
                put_part(result->map, "extension", path + stem, end - stem);
    if (fine) return true;
    value_set(result, VALUE_UNDEFINED);
    return vm_out_of_memory(vm);
}

/* Adds one part of a path to an absolute one: "." stays, ".." goes up. */
static void walk_part(Text *path, const char *part, size_t length)
{
    if (length == 0 || (length == 1 && part[0] == '.')) return;
    if (length == 2 && part[0] == '.' && part[1] == '.') {
        while (path->length && path->at[path->length - 1] != '/') path->length--;
        if (path->length) path->length--;
        return;
    }
    text_add(path, "/", 1);
    text_add(path, part, length);
}

static void walk_path(Text *path, const char *from)
{
    for (const char *end; *from; from = *end ? end + 1 : end) {
        end = strchrnul(from, '/');
        walk_part(path, from, (size_t)(end - from));
    }
}

bool native_full_path(Vm *vm, const Value *args, Value *result)
{
    const char *at = args[0].string->text, *home = getenv("HOME");
    char folder[PATH_MAX] = "";
    Text path = {0};
    if (at[0] == '~' && (at[1] == '/' || !at[1]) && home) {
        walk_path(&path, home);
        at++;
    } else if (at[0] != '/') {
        if (!getcwd(folder, sizeof folder)) return file_fails(vm, "full_path", ".");
        walk_path(&path, folder);
    }
    walk_path(&path, at);
    if (path.length == 0) text_add(&path, "/", 1);
    return native_give_text(vm, &path, result);
}
