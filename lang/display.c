/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forms of a value: follows show() to what is to be shown, makes the forms that the front end can take, and display().
   Invariant: a Display owns its bytes, which end in a 0 that does not count. */
#include "display.h"

#include <stdlib.h>
#include <string.h>

#include "builtins.h"
#include "session.h"
#include "print.h"
#include "table.h"
#include "textfile.h"
#include "utf8.h"

#define SHOW_DEPTH 8          /* show() that gives something with a show() … */
#define MOST_FORMS 16
#define JSON_LIMIT 10000      /* items; nobody unfolds more */

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

Display *display_new(Vm *vm)
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

bool display_add(Vm *vm, Display *display, const char *mime, const char *data, size_t length)
{
    return add_form(vm, display, mime, strlen(mime), data, length);
}

/* Nothing where [v] is no table. */
static bool add_table_text(Vm *vm, Value v, Text *out)
{
    Table table;
    bool found;
    if (!table_of(vm, v, &table, &found)) return false;
    if (found) table_text(&table, out);
    table_free(&table);
    return true;
}

static bool add_text(Vm *vm, Display *display, Value v)
{
    Text text = {0};
    bool fine = (table_of_measures(v) ? add_table_text(vm, v, &text) : value_repr(vm, v, &text)) && (!text.failed || vm_out_of_memory(vm));
    fine = fine && add_form(vm, display, "text/plain", 10, text.at ? text.at : "", text.length);
    text_free(&text);
    return fine;
}

/* Whether [mime] is one of [forms]. */
static bool is_wanted(const char *forms, const char *mime)
{
    size_t length = strlen(mime);
    for (const char *at = forms; (at = strstr(at, mime)) != NULL; at += length)
        if ((at == forms || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return true;
    return false;
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

/* Of pictures a front end needs one, the first in the bundle's order that it can show; of sound none beside a page's part,
   which has its player. */
static bool is_spare(const Map *bundle, const char *mime, const char *forms)
{
    Value page;
    if (strncmp(mime, "audio/", 6) == 0) return is_wanted(forms, "text/html") && map_get_text(bundle, "text/html", &page);
    if (strncmp(mime, "image/", 6) != 0) return false;
    for (int64_t i = 0; i < bundle->used; i++) {
        Value key = bundle->entry[i].key;
        if (key.tag != TAG_STRING || strncmp(key.string->text, "image/", 6) != 0) continue;
        if (strcmp(key.string->text, mime) == 0) return false;
        if (is_wanted(forms, key.string->text)) return true;
    }
    return false;
}

static bool add_wanted(Vm *vm, Display *display, const Map *bundle, const char *forms)
{
    const char *at = forms;
    for (size_t length; (length = strcspn(at += strspn(at, " "), " ")) > 0; at += length) {
        char mime[64];
        Value content;
        if (length >= sizeof mime) continue;
        memcpy(mime, at, length);
        mime[length] = '\0';
        if (!map_get_text(bundle, mime, &content) || is_spare(bundle, mime, forms)) continue;
        if (!add_content(vm, display, mime, length, content)) return false;
    }
    return true;
}

/* ---- forms of values without a show() ---- */

static bool make_html(Vm *vm, Value v, Text *out)
{
    Table table;
    bool found = v.tag == TAG_OBJECT;
    if (found) {
        html_object(vm, v.object, out);
        return true;
    }
    if (!table_of(vm, v, &table, &found)) return false;
    if (found) table_html(&table, out);
    table_free(&table);
    return true;
}

static bool is_container(Value v)
{
    return v.tag == TAG_LIST || v.tag == TAG_MAP;
}

/* Counts what is in [v] and stops at [most]. */
static int64_t weigh(Value v, int64_t most)
{
    int64_t n = v.tag == TAG_TENSOR ? tensor_size(v.tensor) : v.tag == TAG_RANGE ? range_length(v.range) : 1;
    for (int64_t i = 0; v.tag == TAG_LIST && i < v.list->count && n < most; i++) n += weigh(v.list->at[i], most - n);
    for (int64_t i = 0; v.tag == TAG_MAP && i < v.map->used && n < most; i++) n += weigh(v.map->entry[i].value, most - n);
    return n;
}

/* Data within data: something to unfold. */
static bool is_nested(Value v)
{
    bool nested = false;
    for (int64_t i = 0; v.tag == TAG_LIST && i < v.list->count && !nested; i++) nested = is_container(v.list->at[i]);
    for (int64_t i = 0; v.tag == TAG_MAP && i < v.map->used && !nested; i++) nested = is_container(v.map->entry[i].value);
    return nested && weigh(v, JSON_LIMIT) < JSON_LIMIT;
}

/* What cannot be said in JSON has no such form, and that is no error. */
static void make_json(Vm *vm, Value v, Text *out)
{
    if (json_write(vm, "display", v, out)) return;
    error_clear(&vm_tensors(vm)->error);
    text_free(out);
}

static bool add_made(Vm *vm, Display *display, Value v, const char *forms)
{
    Text html = {0}, json = {0};
    bool fine = !is_wanted(forms, "text/html") || make_html(vm, v, &html);
    bool broken = memchr(display->form[0].data, '\n', display->form[0].length) != NULL;
    if (fine && !html.length && broken && is_nested(v) && is_wanted(forms, "application/json")) make_json(vm, v, &json);
    fine = fine && (!html.failed || vm_out_of_memory(vm));
    if (fine && html.length) fine = add_form(vm, display, "text/html", 9, html.at, html.length);
    if (fine && json.length) fine = add_form(vm, display, "application/json", 16, json.at, json.length);
    text_free(&html);
    text_free(&json);
    return fine;
}

const char *display_forms(Vm *vm)
{
    const SessionConfig *config = vm_config(vm);
    return config && config->forms ? config->forms : "";
}

static bool has_picture(const Map *bundle)
{
    for (int64_t i = 0; i < bundle->used; i++) {
        Value key = bundle->entry[i].key;
        if (key.tag == TAG_STRING && strncmp(key.string->text, "image/", 6) == 0) return true;
    }
    return false;
}

/* A terminal is asked what it can show when there is something to show, not before. */
static const char *forms_for(Vm *vm, const Map *bundle, const char *forms)
{
    const SessionConfig *config = vm_config(vm);
    bool ask = config && config->picture_forms && forms == display_forms(vm) && has_picture(bundle);
    return ask ? config->picture_forms(config->user) : forms;
}

Display *display_of(Vm *vm, Value v, const char *forms)
{
    Value shown, text;
    bool bundle;
    if (!follow_show(vm, v, &shown, &bundle)) return NULL;
    if (bundle) forms = forms_for(vm, shown.map, forms);
    Display *display = display_new(vm);
    bool fine = display != NULL;
    if (fine && bundle && map_get_text(shown.map, "text/plain", &text))
        fine = add_content(vm, display, "text/plain", 10, text);
    else if (fine && shown.tag == TAG_STRING && v.tag != TAG_STRING)     /* a string from show() is the text itself */
        fine = add_content(vm, display, "text/plain", 10, shown);
    else if (fine)
        fine = add_text(vm, display, bundle ? v : shown);
    bool plain = !bundle && (shown.tag != TAG_STRING || v.tag == TAG_STRING);
    fine = fine && (!bundle || add_wanted(vm, display, shown.map, forms)) && (!plain || add_made(vm, display, shown, forms));
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
    record_display(&vm_session(vm)->records, display);
    if (config->display) {
        config->display(config->user, display);
        return;
    }
    if (!config->output) return;
    config->output(config->user, OUTPUT_OUT, display->form[0].data, display->form[0].length);
    config->output(config->user, OUTPUT_OUT, "\n", 1);
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

/* ---- forms for programs ---- */

bool display_print(Vm *vm, Value v, Text *out)
{
    if (v.tag != TAG_OBJECT) return value_print(vm, v, out);
    Display *display = display_of(vm, v, "");
    if (!display) return false;
    text_add(out, display->form[0].data, display->form[0].length);
    display_free(display);
    return true;
}

/* Texts as a string, anything else as bytes. */
static bool give_form(Vm *vm, const DisplayForm *form, Value *result)
{
    if (utf8_check(form->data, form->length) == form->length)
        return native_give(vm, string_new(form->data, form->length), result);
    int64_t size = (int64_t)form->length;
    Tensor *bytes = tensor_from_data(vm_tensors(vm), DTYPE_u8, 1, &size, form->data);
    return bytes && native_give(vm, value_from_tensor_take(bytes), result);
}

bool native_shown_as(Vm *vm, const Value *args, Value *result)
{
    const char *mime = args[1].string->text;
    Display *display = display_of(vm, args[0], mime);
    *result = VALUE_NONE;
    if (!display) return false;
    const DisplayForm *form = &display->form[display->count - 1];
    bool fine = strcmp(form->mime, mime) != 0 || give_form(vm, form, result);
    display_free(display);
    return fine;
}

bool native_escape_html(Vm *vm, const Value *args, Value *result)
{
    Text out = {0};
    html_escape(&out, args[0].string->text, args[0].string->length);
    return native_give_text(vm, &out, result);
}

bool native__table_text(Vm *vm, const Value *args, Value *result)
{
    Text out = {0};
    if (add_table_text(vm, args[0], &out)) return native_give_text(vm, &out, result);
    text_free(&out);
    return false;
}
