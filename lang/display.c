/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forms of a value: follows show() to what is to be shown, makes the forms that the front end can take, and display().
   Invariant: a Display owns its bytes, which end in a 0 that does not count. */
#include "display.h"

#include <stdlib.h>
#include <string.h>

#include "builtins.h"

#define SHOW_DEPTH 8          /* show() that gives something with a show() … */
#define MOST_FORMS 16

/* ---- the bundle ---- */

void display_free(Display *display)
{
    if (!display) return;
    for (int i = 0; i < display->count; i++) {
        free((char *)(uintptr_t)display->form[i].mime);
        free((char *)(uintptr_t)display->form[i].data);
    }
    free(display->form);
    free(display);
}

static Display *display_new(Vm *vm)
{
    Display *display = calloc(1, sizeof *display);
    if (display) display->form = calloc(MOST_FORMS, sizeof *display->form);
    if (display && display->form) return display;
    free(display);
    vm_out_of_memory(vm);
    return NULL;
}

static bool add_form(Vm *vm, Display *display, const char *mime, size_t mime_length, const char *data, size_t length)
{
    char *name = strndup(mime, mime_length), *bytes = malloc(length + 1);
    if (!name || !bytes || display->count == MOST_FORMS) {
        free(name);
        free(bytes);
        return vm_out_of_memory(vm);
    }
    if (length) memcpy(bytes, data, length);
    bytes[length] = '\0';
    display->form[display->count++] = (DisplayForm){name, bytes, length};
    return true;
}

static bool add_text(Vm *vm, Display *display, Value v)
{
    Text text = {0};
    bool fine = value_repr(vm, v, &text) && (!text.failed || vm_out_of_memory(vm));
    fine = fine && add_form(vm, display, "text/plain", 10, text.at ? text.at : "", text.length);
    text_free(&text);
    return fine;
}

/* ---- what show() gave ---- */

/* A map from mime types. */
static bool is_bundle(Value v)
{
    if (v.tag != TAG_MAP || v.map->count == 0) return false;
    for (int64_t i = 0; i < v.map->used; i++) {
        Value key = v.map->entry[i].key;
        if (key.tag != TAG_UNDEFINED && (key.tag != TAG_STRING || !strchr(key.string->text, '/'))) return false;
    }
    return true;
}

/* *shown (owned) is [v], or what its show() gave; *found whether it had one. */
static bool call_show(Vm *vm, Value v, Value *shown, bool *found)
{
    Value function;
    *found = false;
    if (v.tag == TAG_OBJECT) {
        if (!vm_call_method(vm, v, "show", 0, NULL, shown, found)) return false;
    } else if (v.tag == TAG_MAP && map_get_text(v.map, "show", &function) && native_is_callable(function)) {
        *found = true;
        return vm_call(vm, function, 0, NULL, 0, NULL, shown);
    }
    if (!*found) *shown = value_retain(v);
    return true;
}

static bool follow_show(Vm *vm, Value v, Value *shown, bool *bundle)
{
    *shown = value_retain(v);
    *bundle = false;
    for (int depth = 0; depth < SHOW_DEPTH; depth++) {
        Value next;
        bool found;
        bool fine = call_show(vm, *shown, &next, &found);
        value_release(*shown);
        *shown = VALUE_UNDEFINED;
        if (!fine) return false;
        *shown = next;
        *bundle = found && is_bundle(next);
        if (!found || *bundle) return true;
    }
    value_set(shown, VALUE_UNDEFINED);
    return vm_fail(vm, ERROR_recursion, "show", "show() keeps giving values that have a show() themselves");
}

static bool add_content(Vm *vm, Display *display, const char *mime, size_t length, Value content)
{
    if (native_is_callable(content)) {
        Value made;
        if (!vm_call(vm, content, 0, NULL, 0, NULL, &made)) return false;
        bool fine = !native_is_callable(made) ? add_content(vm, display, mime, length, made)
                  : vm_fail(vm, ERROR_type, "show", "the form %.*s is a function of a function", (int)length, mime);
        value_release(made);
        return fine;
    }
    if (content.tag == TAG_STRING)
        return add_form(vm, display, mime, length, content.string->text, content.string->length);
    if (content.tag != TAG_TENSOR || content.tensor->dtype != DTYPE_u8) {
        char described[96];
        value_describe(content, described, sizeof described);
        return vm_fail(vm, ERROR_type, "show", "the form %.*s must be a string or a u8 tensor, got %s", (int)length, mime,
                       described);
    }
    Tensor *dense = tensor_contiguous(vm_tensors(vm), content.tensor);
    bool fine = dense && add_form(vm, display, mime, length, dense->data, (size_t)tensor_size(dense));
    tensor_release(dense);
    return fine;
}

static bool add_wanted(Vm *vm, Display *display, const Map *bundle, const char *at)
{
    for (size_t length; (length = strcspn(at += strspn(at, " "), " ")) > 0; at += length) {
        char mime[64];
        Value content;
        if (length >= sizeof mime) continue;
        memcpy(mime, at, length);
        mime[length] = '\0';
        if (!map_get_text(bundle, mime, &content)) continue;
        if (!add_content(vm, display, mime, length, content)) return false;
    }
    return true;
}

const char *display_forms(Vm *vm)
{
    const SessionConfig *config = vm_config(vm);
    return config && config->forms ? config->forms : "";
}

Display *display_of(Vm *vm, Value v, const char *forms)
{
    Value shown, text;
    bool bundle;
    if (!follow_show(vm, v, &shown, &bundle)) return NULL;
    Display *display = display_new(vm);
    bool fine = display != NULL;
    if (fine && bundle && map_get_text(shown.map, "text/plain", &text))
        fine = add_content(vm, display, "text/plain", 10, text);
    else if (fine && shown.tag == TAG_STRING && v.tag != TAG_STRING)     /* a string from show() is the text itself */
        fine = add_content(vm, display, "text/plain", 10, shown);
    else if (fine)
        fine = add_text(vm, display, bundle ? v : shown);
    fine = fine && (!bundle || add_wanted(vm, display, shown.map, forms));
    value_release(shown);
    if (fine) return display;
    display_free(display);
    return NULL;
}

Display *display_of_text(Vm *vm, const char *text, size_t length)
{
    Display *display = display_new(vm);
    if (!display || add_form(vm, display, "text/plain", 10, text, length)) return display;
    display_free(display);
    return NULL;
}

/* ---- showing ---- */

void display_send(Vm *vm, const Display *display)
{
    const SessionConfig *config = vm_config(vm);
    if (config && config->display) {
        config->display(config->user, display);
        return;
    }
    vm_output(vm, OUTPUT_OUT, display->form[0].data, display->form[0].length);
    vm_output(vm, OUTPUT_OUT, "\n", 1);
}

/* The number of the user's name for a place, 0 where nothing is shown by it. */
static int place_find(Vm *vm, Value name)
{
    Value places = vm_native_state(vm)->places, found;
    return places.tag == TAG_MAP && map_get_text(places.map, name.string->text, &found) ? (int)found.i : 0;
}

/* A new place of that name; 0 with the error set. */
static int place_new(Vm *vm, Value name)
{
    NativeState *state = vm_native_state(vm);
    if (state->places.tag != TAG_MAP) state->places = map_new();
    if (state->places.tag == TAG_MAP && map_set_take(state->places.map, name, value_int(state->n_places + 1)))
        return ++state->n_places;
    vm_out_of_memory(vm);
    return 0;
}

/* [number] 0: in no place. */
static bool show(Vm *vm, Value v, int number, bool update)
{
    Display *display = display_of(vm, v, display_forms(vm));
    if (!display) return false;
    display->id = number;
    display->update = update;
    display_send(vm, display);
    display_free(display);
    return true;
}

bool native_display(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    if (args[1].tag != TAG_STRING) return show(vm, args[0], 0, false);
    int number = place_find(vm, args[1]);
    bool update = number > vm_native_state(vm)->old_places;    /* a cell that runs again shows anew */
    if (!update) number = place_new(vm, args[1]);
    return number && show(vm, args[0], number, update);
}

bool native_update_display(Vm *vm, const Value *args, Value *result)
{
    int number = place_find(vm, args[1]);
    *result = VALUE_NONE;
    if (number) return show(vm, args[0], number, true);
    vm_fail(vm, ERROR_value, "update_display", "nothing is shown by the name \"%.80s\"", args[1].string->text);
    error_hint(&vm_tensors(vm)->error, "display(x, \"%.80s\") shows it first", args[1].string->text);
    return false;
}
