/* SPDX-License-Identifier: GPL-3.0-or-later */
/* save and load, by the name's ending: text formats are builtin_json.c's and builtin_csv.c's; .npy and images hold one tensor, .npz a map of tensors, .safetensors any value with its objects. A
   checkpoint has one entry a tensor, in the order of the walk, and in its metadata the other data (notation.h) and the
   random state; the same run gives the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridge.h"
#include "builtins.h"
#include "display.h"
#include "notation.h"
#include "state.h"
#include "textfile.h"

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n >= k && strcasecmp(path + n - k, ending) == 0;
}

static bool is_image(const char *path)
{
    return ends_in(path, ".png") || ends_in(path, ".jpg") || ends_in(path, ".jpeg");
}

/* ---- text formats ---- */

static bool is_text(const char *path)
{
    return ends_in(path, ".json") || ends_in(path, ".jsonl") || ends_in(path, ".csv") || ends_in(path, ".tsv");
}

static bool save_text(Vm *vm, Value v, const char *path)
{
    if (ends_in(path, ".csv") || ends_in(path, ".tsv")) return csv_save(vm, v, path, ends_in(path, ".csv") ? ',' : '\t');
    return json_save(vm, v, path, ends_in(path, ".jsonl"));
}

static bool load_text(Vm *vm, const char *path, Value *result)
{
    if (ends_in(path, ".csv") || ends_in(path, ".tsv")) return csv_load(vm, path, ends_in(path, ".csv") ? ',' : '\t', result);
    return json_load(vm, path, ends_in(path, ".jsonl"), result);
}

/* ---- saving checkpoints ---- */

typedef struct Saving {
    Vm *vm;
    TensorContext *ctx;
    TensorFile file;
    int room;
    Value names;              /* map: names in use */
    const char *path;         /* of the data that is being written */
} Saving;

/* Adds a tensor under [wanted], or under a like name when that is taken. */
static bool add_tensor_take(Saving *s, const char *wanted, Tensor *owned, Value *name)
{
    Text text = {0};
    Value used;
    text_add(&text, wanted, strlen(wanted));
    while (!text.failed && map_get_text(s->names.map, text.at, &used)) text_add(&text, "'", 1);
    *name = text.failed ? VALUE_UNDEFINED : string_new(text.at, text.length);
    if (s->file.count == s->room) {
        int room = s->room ? s->room * 2 : 32;
        NamedTensor *entry = realloc(s->file.entry, (size_t)room * sizeof *entry);
        if (entry) {
            s->file.entry = entry;
            s->room = room;
        }
    }
    bool fine = name->tag != TAG_UNDEFINED && s->file.count < s->room && map_set_take(s->names.map, *name, VALUE_NONE);
    if (fine) s->file.entry[s->file.count++] = (NamedTensor){text.at, owned};
    else {
        value_release(*name);
        text_free(&text);
        tensor_release(owned);
        vm_out_of_memory(s->vm);
    }
    return fine;
}

static bool keep_tensor(void *to, Value tensor, Value *name)
{
    Saving *s = to;
    char wanted[300];
    snprintf(wanted, sizeof wanted, "%.250s.%d", s->path, s->file.count);
    Tensor *plain = tensor_detach(s->ctx, tensor.tensor);
    return plain && add_tensor_take(s, wanted, plain, name);
}

static bool add_entry(Saving *s, const char *path, Value v, Text *values)
{
    Value name;
    if (v.tag == TAG_TENSOR || v.tag == TAG_SCALAR) {
        Tensor *tensor = v.tag == TAG_TENSOR ? tensor_detach(s->ctx, v.tensor) : value_to_tensor(s->ctx, v);
        if (!tensor || !add_tensor_take(s, path, tensor, &name)) return false;
        value_release(name);
        return true;
    }
    Value key = string_from(path);
    if (key.tag == TAG_UNDEFINED) return vm_out_of_memory(s->vm);
    text_add(values, values->length > 1 ? ",[" : "[", values->length > 1 ? 2 : 1);
    s->path = path;
    bool fine = notation_write(s->vm, key, keep_tensor, s, values);
    text_add(values, ",", 1);
    fine = fine && notation_write(s->vm, v, keep_tensor, s, values);
    text_add(values, "]", 1);
    value_release(key);
    return fine;
}

static bool add_metadata(Saving *s, const char *values)
{
    char random[64];
    snprintf(random, sizeof random, "%llu %llu", (unsigned long long)s->ctx->seed, (unsigned long long)s->ctx->counter);
    const char *text[6] = {"format", "tessera 1", "random", random, "values", values};
    s->file.metadata = calloc(6, sizeof *s->file.metadata);
    if (!s->file.metadata) return vm_out_of_memory(s->vm);
    s->file.n_metadata = 3;
    for (int i = 0; i < 6; i++) {
        s->file.metadata[i] = strdup(text[i]);
        if (!s->file.metadata[i]) return vm_out_of_memory(s->vm);
    }
    return true;
}

static bool save_checkpoint(Vm *vm, Value v, const char *path)
{
    Value map;
    bool objects;
    if (!state_gather(vm, v, &map, &objects)) return false;
    Saving s = {.vm = vm, .ctx = vm_tensors(vm), .names = map_new()};
    bool fine = s.names.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    Text values = {0};
    text_add(&values, "[", 1);
    for (int64_t i = 0; fine && i < map.map->used; i++) {
        const MapEntry *entry = &map.map->entry[i];
        if (entry->key.tag == TAG_STRING) fine = add_entry(&s, entry->key.string->text, entry->value, &values);
    }
    bool plain = !objects && values.length == 1;         /* tensors only: a file as others write them */
    text_add(&values, "]", 1);
    fine = fine && (!values.failed || vm_out_of_memory(vm));
    fine = fine && (plain || add_metadata(&s, values.at)) && safetensors_save(s.ctx, path, &s.file);
    text_free(&values);
    tensor_file_free(&s.file);
    value_release(s.names);
    value_release(map);
    return fine;
}

/* A map from name to tensor, as numpy.savez takes them. */
static bool save_npz(Vm *vm, Value v, const char *path)
{
    Saving s = {.vm = vm, .ctx = vm_tensors(vm), .names = map_new()};
    bool fine = s.names.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    if (v.tag != TAG_MAP || v.map->count == 0) {
        fine = vm_fail(vm, ERROR_type, "save", "a .npz file holds a map from names to tensors");
        error_hint(&s.ctx->error, "save({x: x, y: y}, path); a model by save(params(net), path)");
    }
    for (int64_t i = 0; fine && i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        Value name;
        if (entry->key.tag == TAG_UNDEFINED) continue;
        if (entry->key.tag != TAG_STRING) {
            fine = vm_fail(vm, ERROR_type, "save", "the names in a .npz file are strings");
            break;
        }
        Tensor *tensor = value_to_tensor(s.ctx, entry->value), *plain = tensor ? tensor_detach(s.ctx, tensor) : NULL;
        tensor_release(tensor);
        fine = plain && add_tensor_take(&s, entry->key.string->text, plain, &name);
        if (fine) value_release(name);
    }
    fine = fine && npz_save(s.ctx, path, &s.file);
    tensor_file_free(&s.file);
    value_release(s.names);
    return fine;
}

/* What is shown by show() as a picture or sound: "image/png" and the like, or NULL for other endings. */
static const char *picture_form(const char *path)
{
    return ends_in(path, ".svg") ? "image/svg+xml" : ends_in(path, ".pdf") ? "application/pdf"
         : ends_in(path, ".png") ? "image/png" : ends_in(path, ".wav") ? "audio/wav" : NULL;
}

static bool save_picture(Vm *vm, Value v, const char *form, const char *path)
{
    Display *display = display_of(vm, v, form);
    if (!display) return false;
    bool fine = true;
    if (display->count > 1) {
        fine = path_write_bytes(vm, "save", path, false, display->form[1].data, display->form[1].length);
    } else {
        char described[96];
        value_describe(v, described, sizeof described);
        bool sound = ends_in(path, ".wav");
        fine = vm_fail(vm, ERROR_type, "save", "%s has no %s for \"%.200s\"", described, sound ? "sound" : "picture", path);
        error_hint(&vm_tensors(vm)->error, sound ? "save(plot.audio(x, rate), path)"
                   : v.tag == TAG_TENSOR ? "plot.heatmap(x), plot.imshow(x) and their like make pictures of tensors"
                   : "plot(…) and its like make pictures");
    }
    display_free(display);
    return fine;
}

/* Several pictures: [n, c, h, w] or [n, h, w, c]. */
static bool is_batch(const Tensor *x)
{
    if (x->ndim != 4) return false;
    int64_t first = x->shape[1], last = x->shape[3];
    return first == 1 || first == 3 || first == 4 || last == 1 || last == 3 || last == 4;
}

/* A tensor as show(x) draws it. */
static bool save_shown(Vm *vm, Value tensor, const char *path)
{
    Value figure;
    if (!vm_call_prelude(vm, "show", 1, &tensor, &figure)) return false;
    bool fine = save_picture(vm, figure, picture_form(path), path);
    value_release(figure);
    return fine;
}

bool native_save(Vm *vm, const Value *args, Value *result)
{
    const char *path = args[1].string->text;
    TensorContext *ctx = vm_tensors(vm);
    *result = VALUE_NONE;
    if (ends_in(path, ".safetensors")) return save_checkpoint(vm, args[0], path);
    if (ends_in(path, ".npz")) return save_npz(vm, args[0], path);
    if (is_text(path)) return save_text(vm, args[0], path);
    bool tensor_given = args[0].tag == TAG_TENSOR, png = ends_in(path, ".png");
    bool shown = args[0].tag == TAG_OBJECT || args[0].tag == TAG_MAP;
    if (tensor_given && ((png && is_batch(args[0].tensor)) || ends_in(path, ".svg") || ends_in(path, ".pdf")))
        return save_shown(vm, args[0], path);
    if (picture_form(path) && (shown || !png)) return save_picture(vm, args[0], picture_form(path), path);
    if (!ends_in(path, ".npy") && !ends_in(path, ".png")) {
        return vm_fail(vm, ERROR_value, "save",
                       "\"%.200s\" must end in .safetensors, .npy, .npz, .png, .svg, .pdf, .wav, .json, .jsonl, .csv or .tsv", path);
    }
    Tensor *tensor = value_to_tensor(ctx, args[0]);
    if (!tensor) return false;
    bool fine = ends_in(path, ".npy") ? npy_save(ctx, path, tensor) : image_save(ctx, path, tensor);
    tensor_release(tensor);
    return fine;
}

/* ---- loading ---- */

static const char *metadata(const TensorFile *file, const char *key)
{
    for (int i = 0; i < file->n_metadata; i++)
        if (strcmp(file->metadata[2 * i], key) == 0) return file->metadata[2 * i + 1];
    return NULL;
}

/* The file's tensors as a map from name to value. */
static bool tensors_map(Vm *vm, const TensorFile *file, Value *map)
{
    *map = map_new();
    bool fine = map->tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    for (int i = 0; fine && i < file->count; i++) {
        Value key = string_from(file->entry[i].name), v = value_from_tensor_take(tensor_retain(file->entry[i].tensor));
        fine = (key.tag != TAG_UNDEFINED && map_set_take(map->map, key, v)) || vm_out_of_memory(vm);
        value_release(key);
    }
    if (!fine) value_set(map, VALUE_UNDEFINED);
    return fine;
}

/* Adds the data of the metadata to the tensors, less those that are part of such data. */
static bool merge_values(Vm *vm, const char *text, const Map *tensors, Value *state)
{
    Value string = string_from(text), list;
    if (string.tag == TAG_UNDEFINED) return vm_out_of_memory(vm);
    bool fine = notation_read(vm, string.string, tensors, state->map, &list);
    value_release(string);
    if (!fine) return false;
    fine = list.tag == TAG_LIST || vm_fail(vm, ERROR_format, "load", "the file's metadata is damaged");
    for (int64_t i = 0; fine && i < list.list->count; i++) {
        Value pair = list.list->at[i];
        bool sound = pair.tag == TAG_LIST && pair.list->count == 2 && pair.list->at[0].tag == TAG_STRING;
        fine = sound || vm_fail(vm, ERROR_format, "load", "the file's metadata is damaged");
        fine = fine && map_set_take(state->map, pair.list->at[0], value_retain(pair.list->at[1]));
    }
    value_release(list);
    return fine || vm_out_of_memory(vm);                 /* an earlier error stands */
}

static void restore_random(Vm *vm, const char *text)
{
    unsigned long long seed, counter;
    if (!text || sscanf(text, "%llu %llu", &seed, &counter) != 2) return;
    vm_tensors(vm)->seed = seed;
    vm_tensors(vm)->counter = counter;
}

static bool load_checkpoint(Vm *vm, const char *path, Value into, Value *result)
{
    TensorFile file = {0};
    if (!safetensors_load(vm_tensors(vm), path, &file)) return false;
    Value tensors = VALUE_UNDEFINED, state = VALUE_UNDEFINED;
    const char *values = metadata(&file, "values"), *format = metadata(&file, "format");
    bool ours = values && format && strcmp(format, "tessera 1") == 0;
    bool fine = tensors_map(vm, &file, &tensors) && tensors_map(vm, &file, &state);
    if (fine && ours) fine = merge_values(vm, values, tensors.map, &state);
    if (fine && into.tag == TAG_NONE) *result = value_retain(state);
    else if (fine) {
        fine = state_restore(vm, "load", into, state.map, result);
        if (fine && ours) restore_random(vm, metadata(&file, "random"));
    }
    value_release(tensors);
    value_release(state);
    tensor_file_free(&file);
    return fine;
}

static bool load_npz(Vm *vm, const char *path, Value *result)
{
    TensorFile file;
    if (!npz_load(vm_tensors(vm), path, &file)) return false;
    bool fine = tensors_map(vm, &file, result);
    tensor_file_free(&file);
    return fine;
}

bool native_load(Vm *vm, const Value *args, Value *result)
{
    const char *path = args[0].string->text;
    TensorContext *ctx = vm_tensors(vm);
    Tensor *tensor = NULL;
    if (ends_in(path, ".safetensors")) return load_checkpoint(vm, path, args[1], result);
    if (args[1].tag != TAG_NONE) return vm_fail(vm, ERROR_argument, "load", "`into` is for .safetensors files");
    if (ends_in(path, ".npz")) return load_npz(vm, path, result);
    if (is_text(path)) return load_text(vm, path, result);
    if (ends_in(path, ".npy")) tensor = npy_load(ctx, path);
    else if (is_image(path)) tensor = image_load(ctx, path);
    else if (ends_in(path, ".gz") || ends_in(path, "ubyte") || ends_in(path, ".idx")) tensor = idx_load(ctx, path);
    else {
        return vm_fail(vm, ERROR_value, "load",
                       "\"%.200s\" must end in .safetensors, .npy, .npz, .png, .jpg, .json, .jsonl, .csv, .tsv, .idx, "
                       "-ubyte or .gz", path);
    }
    if (tensor) *result = value_from_tensor_take(tensor);
    return tensor != NULL;
}
