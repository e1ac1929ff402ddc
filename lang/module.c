/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modules: names and their slots, where a name is found beyond its module, standard modules whose files are compiled
   when one of their names is first used, and files that a program uses.
   Invariant: a slot's index never changes, so code may hold it; names are interned. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embedded.h"
#include "machine.h"
#include "suggest.h"

/* ---- slots ---- */

Module *module_new(Vm *vm, const char *name)
{
    const char *kept = name_intern(vm, name, strlen(name));
    Module *module = kept ? heap_new(sizeof *module) : NULL;
    if (!module)
        return NULL;
    module->name = kept;
    module->next = vm->modules;
    vm->modules = module;
    return module;
}

void module_clear(Module *module)
{
    for (uint32_t i = 0; i < module->n_slots; i++) {
        value_set(&module->slot[i].value, VALUE_UNDEFINED);
        value_set(&module->slot[i].function, VALUE_UNDEFINED);
    }
}

void module_forget(Module *module)
{
    module_clear(module);
    for (uint32_t i = 0; i < module->n_slots; i++)
        module->slot[i].declared = false;
    module->path = NULL;
}

void module_free(Module *module)
{
    module_clear(module);
    source_release(module->source);
    free(module->slot);
    free(module->index);
    heap_delete(module, sizeof *module);
}

const char *module_name(const Module *module)
{
    return module->name;
}

static uint32_t *index_of(const Module *module, const char *name)
{
    uint32_t mask = module->n_index - 1;
    uint32_t i = (uint32_t)(((uintptr_t)name >> 3) * 0x9e3779b97f4a7c15u >> 32) & mask;
    while (module->index[i] && module->slot[module->index[i] - 1].name != name)
        i = (i + 1) & mask;
    return &module->index[i];
}

bool module_find(const Module *module, const char *name, uint32_t *slot)
{
    uint32_t found = module->n_index ? *index_of(module, name) : 0;
    *slot = found - 1;
    return found != 0;
}

static bool grow(Module *module)
{
    uint32_t room = module->room ? module->room * 2 : 32, n_index = room * 2;
    Slot *slot = realloc(module->slot, room * sizeof *slot);
    if (!slot)
        return false;
    module->slot = slot;
    uint32_t *index = calloc(n_index, sizeof *index);
    if (!index)
        return false;
    free(module->index);
    module->index = index;
    module->n_index = n_index;
    module->room = room;
    for (uint32_t i = 0; i < module->n_slots; i++)
        *index_of(module, module->slot[i].name) = i + 1;
    return true;
}

uint32_t module_slot(Module *module, const char *name)
{
    uint32_t slot;
    if (module_find(module, name, &slot))
        return slot;
    if (module->n_slots == module->room && !grow(module))
        return UINT32_MAX;
    module->slot[module->n_slots] = (Slot){.name = name};
    *index_of(module, name) = module->n_slots + 1;
    return module->n_slots++;
}

/* ---- running files ---- */

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;
    *length = 0;
    while (file) {
        if (*length + 1 >= room) {
            room = room ? room * 2 : 16384;
            char *wider = realloc(text, room);
            if (!wider)
                break;
            text = wider;
        }
        size_t got = fread(text + *length, 1, room - *length - 1, file);
        *length += got;
        if (got == 0) {
            bool bad = ferror(file);
            fclose(file);
            if (!bad)
                return text;
            file = NULL;
        }
    }
    if (file)
        fclose(file);
    free(text);
    return NULL;
}

char *module_read(Vm *vm, const char *path, size_t *length)
{
    errno = 0;
    char *text = read_file(path, length);
    if (!text)
        vm_fail(vm, ERROR_io, "", "cannot read %s: %s", path, errno ? strerror(errno) : "read error");
    return text;
}

/* The first syntax error of [parse] as the error under way, placed in that file. */
static bool syntax_fail(Vm *vm, const Parse *parse)
{
    vm_fail(vm, ERROR_syntax, "", "%s", parse->errors->message);
    if (parse->errors->hint[0])
        error_hint(&vm->tensors.error, "%s", parse->errors->hint);
    vm_trace_at(vm, parse->source, parse->errors->span);
    return false;
}

static bool run_source(Vm *vm, Module *module, Source *source)
{
    bool muted, fine = false;
    Value value = VALUE_UNDEFINED;
    Parse *parse = parse_source(source, false);
    if (!parse)
        return vm_out_of_memory(vm);
    Proto *proto = parse->errors ? NULL : compile_module(vm, module, parse, &muted);
    if (proto) {
        module->loading = true;
        vm_hold_visits(vm, true);
        fine = vm_run_proto(vm, proto, &value);
        vm_hold_visits(vm, false);
        module->loading = false;
        value_release(value);
        proto_release(proto);
    } else if (parse->errors) {
        syntax_fail(vm, parse);
    } else {
        vm_out_of_memory(vm);
    }
    parse_free(parse);
    return fine;
}

static Module *find_loaded(const Vm *vm, const char *path, bool library)
{
    for (Module *module = vm->modules; module; module = module->next)
        if (module->path == path && module->library == library && !module->is_namespace)
            return module;
    return NULL;
}

/* A new module of a text; NULL with the error set. Gone from the cache again when it fails. */
static Module *load(Vm *vm, const char *name, const char *path, const char *text, size_t length, bool library)
{
    Module *module = module_new(vm, name);
    if (!module) {
        vm_out_of_memory(vm);
        return NULL;
    }
    module->path = path;
    module->library = library;
    module->source = source_new(path, text, length, library);
    if (!module->source)
        vm_out_of_memory(vm);
    else if (run_source(vm, module, module->source))
        return module;
    module->path = NULL;
    return NULL;
}

int64_t module_stamp(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return 0;
    return (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec + (int64_t)about.st_size * 31 + 1;
}

bool module_reload(Vm *vm, Module *module)
{
    size_t length;
    int64_t stamp = module_stamp(module->path);
    char *text = module_read(vm, module->path, &length);
    Module *fresh = text ? load(vm, module->name, module->path, text, length, false) : NULL;
    free(text);
    if (!fresh)
        return false;
    fresh->path = NULL;       /* its functions live there, its names are found in the old one */
    for (uint32_t i = 0; i < module->n_slots; i++)
        if (module->slot[i].declared || module->slot[i].value.tag != TAG_UNDEFINED) {
            value_set(&module->slot[i].value, VALUE_UNDEFINED);
            value_set(&module->slot[i].function, VALUE_UNDEFINED);
            module->slot[i].declared = false;
        }
    for (uint32_t i = 0; i < fresh->n_slots; i++) {
        const Slot *from = &fresh->slot[i];
        uint32_t at = from->declared || from->value.tag != TAG_UNDEFINED ? module_slot(module, from->name) : UINT32_MAX;
        if (at == UINT32_MAX)
            continue;
        value_set(&module->slot[at].value, value_retain(from->value));
        value_set(&module->slot[at].function, value_retain(from->function));
        module->slot[at].declared = from->declared;
    }
    Source *source = module->source;
    module->source = source_retain(fresh->source);
    source_release(source);
    module->stamp = stamp;
    return true;
}

/* ---- standard modules ---- */

static int find_embedded(const char *module, const char *name)
{
    int low = 0, high = embedded_name_count;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(embedded_names[middle].module, module);
        if (!order)
            order = strcmp(embedded_names[middle].name, name);
        if (!order)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

bool module_is_standard(const char *name)
{
    int low = 0, high = embedded_name_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcmp(embedded_names[middle].module, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < embedded_name_count && !strcmp(embedded_names[low].module, name) && strcmp(name, "prelude") != 0;
}

static Module *load_embedded(Vm *vm, int file)
{
    const EmbeddedFile *embedded = &embedded_files[file];
    const char *path = name_intern(vm, embedded->path, strlen(embedded->path));
    if (!path) {
        vm_out_of_memory(vm);
        return NULL;
    }
    Module *module = find_loaded(vm, path, true);
    if (module)
        return module;
    const char *folder = vm_config(vm)->library;
    if (!folder)
        return load(vm, path, path, (const char *)embedded->text, embedded->length, true);
    char disk[PATH_MAX];
    size_t length;
    snprintf(disk, sizeof disk, "%s/%s", folder, path);
    char *text = module_read(vm, disk, &length);
    module = text ? load(vm, path, path, text, length, true) : NULL;
    free(text);
    return module;
}

/* The function or model that a standard module exports under a name. */
static bool embedded_value(Vm *vm, int index, Value *out)
{
    const EmbeddedName *name = &embedded_names[index];
    Module *file = load_embedded(vm, name->file);
    if (!file)
        return false;
    const char *known = name_find(vm, name->name);
    uint32_t slot;
    if (known && module_find(file, known, &slot) && file->slot[slot].declared) {
        *out = file->slot[slot].function;
        return true;
    }
    return vm_fail(vm, ERROR_module, "", "%s.%s is not ready yet: its file %s is still being loaded", name->module,
                   name->name, file->path ? file->path : "");
}

static Module *standard_module(Vm *vm, const char *name)
{
    for (Module *module = vm->modules; module; module = module->next)
        if (module->is_namespace && module->name == name)
            return module;
    Module *module = module_new(vm, name);
    if (!module) {
        vm_out_of_memory(vm);
        return NULL;
    }
    module->is_namespace = module->library = true;
    return module;
}

/* ---- lookup ---- */

static bool find_builtin(const char *name, bool library, Value *out)
{
    for (int i = 0; i < native_count; i++)
        if ((name[0] != '_' || library) && !strcmp(native_defs[i].name, name)) {
            *out = function_of_native(&native_defs[i]);
            return true;
        }
    const OpDef *op = op_find(name);
    if (op) {
        *out = function_of_op(op);
        return true;
    }
    for (int i = 0; i < constant_count; i++)
        if (!strcmp(constant_defs[i].name, name)) {
            *out = value_retain(constant_defs[i].value);
            return true;
        }
    return false;
}

/* Fills the slot's function from what is weaker than the module: builtins, prelude, standard modules. */
static bool resolve_weak(Vm *vm, Module *module, uint32_t index, bool *found)
{
    const char *name = module->slot[index].name;
    Value made = VALUE_UNDEFINED;
    *found = module->slot[index].function.tag != TAG_UNDEFINED;
    if (*found)
        return true;
    int prelude = find_embedded("prelude", name);
    if (find_builtin(name, module->library, &made)) {
        if (made.tag == TAG_UNDEFINED)
            return vm_out_of_memory(vm);
    } else if (prelude >= 0) {
        if (!embedded_value(vm, prelude, &made))
            return false;
        value_retain(made);
    } else if (module_is_standard(name)) {
        Module *standard = standard_module(vm, name);
        if (!standard)
            return false;
        made = value_retain((Value){.tag = TAG_MODULE, .module = standard});
    } else {
        return true;
    }
    value_set(&module->slot[index].function, made);
    return *found = true;
}

bool vm_call_prelude(Vm *vm, const char *name, int n_args, const Value *args, Value *result)
{
    Value function;
    int index = find_embedded("prelude", name);
    if (index < 0) return vm_fail(vm, ERROR_internal, name, "the prelude has no such function");
    return embedded_value(vm, index, &function) && vm_call(vm, function, n_args, args, 0, NULL, result);
}

bool name_known(Vm *vm, const char *name)
{
    Value v = VALUE_UNDEFINED;
    (void)vm;
    if (!find_builtin(name, false, &v))
        return find_embedded("prelude", name) >= 0;
    bool callable = value_callable(v);
    value_release(v);
    return callable;
}

static void offer_all(Suggest *suggest, const Module *module)
{
    for (uint32_t i = 0; i < module->n_slots; i++)
        if (module->slot[i].value.tag != TAG_UNDEFINED || module->slot[i].declared)
            suggest_offer(suggest, module->slot[i].name);
    for (int i = 0; i < native_count; i++)
        if (native_defs[i].name[0] != '_')
            suggest_offer(suggest, native_defs[i].name);
    for (int i = 0; i < OP_COUNT; i++)
        suggest_offer(suggest, op_name(op_def((OpId)i)));
    for (int i = 0; i < constant_count; i++)
        suggest_offer(suggest, constant_defs[i].name);
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, "prelude"))
            suggest_offer(suggest, embedded_names[i].name);
        else if (i == 0 || strcmp(embedded_names[i].module, embedded_names[i - 1].module) != 0)
            suggest_offer(suggest, embedded_names[i].module);
}

bool library_name(const char *name, char *full, size_t size)
{
    bool known = op_find(name) != NULL, is_private = name[0] == '_';
    const char *module = "";
    for (int i = 0; i < native_count && !known; i++)
        known = !strcmp(native_defs[i].name, name);
    for (int i = 0; i < constant_count && !known; i++)
        known = !strcmp(constant_defs[i].name, name);
    for (int i = 0; i < embedded_name_count && !known; i++)
        if (!strcmp(embedded_names[i].name, name)) {
            known = true;
            module = embedded_names[i].module;
        }
    bool plain = !*module || !strcmp(module, "prelude");
    snprintf(full, size, "%s%s%s", plain ? "" : module, plain ? "" : ".", name);
    return known && !is_private;
}

bool name_unknown(Vm *vm, const Module *module, const char *name, int n_more, const char *const *more)
{
    Suggest suggest;
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, name))
            return vm_fail(vm, ERROR_type, "", "%s is a module: only its members are values", name);
    suggest_start(&suggest, name);
    for (int i = 0; i < n_more; i++)
        suggest_offer(&suggest, more[i]);
    offer_all(&suggest, module);
    vm_fail(vm, ERROR_name, "", "%s is not defined", name);
    suggest_hint(&suggest, &vm->tensors.error);
    return false;
}

bool global_function(Vm *vm, Module *module, uint32_t slot, Value *out, bool *found)
{
    if (!resolve_weak(vm, module, slot, found))
        return false;
    *out = module->slot[slot].function;
    const char *name = module->slot[slot].name;
    bool main = out->tag == TAG_MODULE && find_embedded(name, name) >= 0;      /* plot(x) is plot.plot(x) */
    *found = *found && (main || value_callable(*out));
    return true;
}

bool global_get(Vm *vm, Module *module, uint32_t slot, Value *out)
{
    bool found;
    *out = module->slot[slot].value;
    if (out->tag != TAG_UNDEFINED)
        return true;
    if (!resolve_weak(vm, module, slot, &found))
        return false;
    *out = module->slot[slot].function;
    return found || name_unknown(vm, module, module->slot[slot].name, 0, NULL);
}

bool callee_or(Vm *vm, Module *module, uint32_t slot, Value *callee)
{
    Value function;
    bool found;
    if (!global_function(vm, module, slot, &function, &found))
        return false;
    if (found)
        *callee = function;
    return callee->tag != TAG_UNDEFINED || name_unknown(vm, module, module->slot[slot].name, 0, NULL);
}

bool global_callee(Vm *vm, Module *module, uint32_t slot, Value *out)
{
    *out = module->slot[slot].value;
    if (value_callable(*out))
        return true;
    if (!callee_or(vm, module, slot, out))
        return false;
    return true;
}

bool module_no_member(Vm *vm, const Module *module, const char *name)
{
    Suggest suggest;
    suggest_start(&suggest, name);
    for (uint32_t i = 0; i < module->n_slots && !module->is_namespace; i++)
        if (module->slot[i].name[0] != '_' && (module->slot[i].value.tag != TAG_UNDEFINED || module->slot[i].declared))
            suggest_offer(&suggest, module->slot[i].name);
    for (int i = 0; i < embedded_name_count && module->is_namespace; i++)
        if (!strcmp(embedded_names[i].module, module->name))
            suggest_offer(&suggest, embedded_names[i].name);
    vm_fail(vm, ERROR_name, "", "the module %s has no member %s", module->name, name);
    suggest_hint(&suggest, &vm->tensors.error);
    return false;
}

bool module_member(Vm *vm, Module *module, const char *name, Value *out)
{
    uint32_t slot;
    if (name[0] == '_' && !(module->library && module->is_namespace))
        return vm_fail(vm, ERROR_name, "", "%s is private to the module %s", name, module->name);
    if (!module->is_namespace) {
        if (!module_find(module, name, &slot))
            return module_no_member(vm, module, name);
        *out = module->slot[slot].value;
        if (out->tag == TAG_UNDEFINED && module->slot[slot].declared)
            *out = module->slot[slot].function;
        return out->tag != TAG_UNDEFINED || module_no_member(vm, module, name);
    }
    slot = module_slot(module, name);
    if (slot == UINT32_MAX)
        return vm_out_of_memory(vm);
    if (module->slot[slot].function.tag == TAG_UNDEFINED) {
        int index = find_embedded(module->name, name);
        if (index < 0)
            return module_no_member(vm, module, name);
        if (!embedded_value(vm, index, out))
            return false;
        module->slot[slot].function = value_retain(*out);
    }
    *out = module->slot[slot].function;
    return true;
}

/* ---- use ---- */

static bool refuse_cycle(Vm *vm, const Module *again)
{
    Text text = {0};
    text_format(&text, "%s", again->path);
    for (const Module *module = vm->modules; module; module = module->next) {
        if (!module->loading || module->library || !module->path)
            continue;
        Text longer = {0};
        text_format(&longer, "%s -> %.*s", module->path, (int)text.length, text.at ? text.at : "");
        text_free(&text);
        text = longer;
        if (module == again)
            break;
    }
    text_add(&text, "", 1);
    vm_fail(vm, ERROR_module, "", "these files use each other in a circle: %s", text.failed ? "" : text.at);
    text_free(&text);
    return false;
}

/* [path] beside the file that uses it, in its shortest form; interned. */
const char *module_path_beside(Vm *vm, const char *user, const char *path)
{
    char joined[PATH_MAX], real[PATH_MAX];
    const char *slash = user && path[0] != '/' ? strrchr(user, '/') : NULL;
    int length = slash ? (int)(slash - user) + 1 : 0;
    snprintf(joined, sizeof joined, "%.*s%s", length, user ? user : "", path);
    if (!realpath(joined, real)) {
        vm_fail(vm, ERROR_module, "", "cannot read %s: %s", joined, strerror(errno));
        return NULL;
    }
    /* a path below the working directory is shown as the user knows it */
    char here[PATH_MAX];
    const char *shown = real;
    if (getcwd(here, sizeof here)) {
        size_t n = strlen(here);
        if (!strncmp(real, here, n) && real[n] == '/')
            shown = real + n + 1;
    }
    const char *kept = name_intern(vm, shown, strlen(shown));
    if (!kept)
        vm_out_of_memory(vm);
    return kept;
}

const char *module_path(Vm *vm, const char *path)
{
    return module_path_beside(vm, vm->main->path, path);
}

static bool use_file(Vm *vm, Module *user, const char *written, Value *out)
{
    const char *path = module_path_beside(vm, user->path, written);
    if (!path)
        return false;
    Module *module = find_loaded(vm, path, false);
    if (module && module->loading)
        return refuse_cycle(vm, module);
    if (!module) {
        const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
        size_t length;
        int64_t stamp = module_stamp(path);
        char *text = module_read(vm, path, &length);
        module = text ? load(vm, name, path, text, length, false) : NULL;
        free(text);
        if (module)
            module->stamp = stamp;
    }
    if (!module)
        return false;
    *out = value_retain((Value){.tag = TAG_MODULE, .module = module});
    return true;
}

bool module_use(Vm *vm, Module *user, const char *path, Value *out)
{
    size_t length = strlen(path);
    if (strchr(path, '/') || (length > 4 && !strcmp(path + length - 4, ".tsr")))
        return use_file(vm, user, path, out);
    if (!module_is_standard(path)) {
        vm_fail(vm, ERROR_module, "", "there is no module %s", path);
        error_hint(&vm->tensors.error, "a file is used by its path: use \"./%s.tsr\" as %s", path, path);
        return false;
    }
    const char *name = name_intern(vm, path, length);
    Module *module = name ? standard_module(vm, name) : NULL;
    if (!module)
        return vm_out_of_memory(vm);
    *out = value_retain((Value){.tag = TAG_MODULE, .module = module});
    return true;
}
