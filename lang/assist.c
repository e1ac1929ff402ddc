/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion at the prompt and in notebooks: from the tables, the index of the library and the values that
   exist. Nothing is run and no library file is compiled for it. */
#include <stdlib.h>
#include <string.h>

#include "assist.h"
#include "date.h"
#include "embedded.h"

static const char *const keywords[] = {
    "and", "assert", "break", "buffer", "catch", "continue", "else", "false", "finally", "fn", "for", "if", "in",
    "model", "none", "not", "option", "or", "param", "return", "throw", "true", "try", "use", "while"};
static const char *const tensor_members[] = {"T", "dtype", "ndim", "shape", "size"};

bool assist_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

/* ---- collecting ---- */

typedef struct Collector {
    Completions *out;
    const char *prefix;
    size_t length;
    int room;
    bool failed;
} Collector;

static void offer(Collector *c, const char *name, const char *kind, const char *detail)
{
    Completions *out = c->out;
    bool hidden = name[0] == '_' && c->length == 0;
    if (c->failed || hidden || strncmp(name, c->prefix, c->length) != 0)
        return;
    for (int i = 0; i < out->count; i++)
        if (!strcmp(out->at[i].text, name))
            return;
    if (out->count == c->room) {
        int room = c->room ? c->room * 2 : 64;
        Completion *wider = realloc(out->at, (size_t)room * sizeof *wider);
        if (!wider) {
            c->failed = true;
            return;
        }
        out->at = wider;
        c->room = room;
    }
    Completion made = {strdup(name), strdup(kind), strdup(detail ? detail : "")};
    out->at[out->count++] = made;
    c->failed = !made.text || !made.kind || !made.detail;
}

static const char *kind_of(Value v)
{
    switch (v.tag) {
    case TAG_FUNCTION: return "function";
    case TAG_MODEL: return "model";
    case TAG_MODULE: return "module";
    default: return "variable";
    }
}

static void offer_value(Collector *c, const char *name, Value v)
{
    char described[96];
    Text header = {0};
    if (v.tag == TAG_UNDEFINED)
        return;
    value_describe(v, described, sizeof described);
    if ((v.tag == TAG_FUNCTION || v.tag == TAG_MODEL) && function_header(v, &header))
        text_add(&header, "", 1);
    offer(c, name, kind_of(v), header.at && !header.failed ? header.at : described);
    text_free(&header);
}

static void offer_functions(Collector *c)
{
    for (int i = 0; i < native_count; i++)
        if (native_defs[i].name[0] != '_')
            offer(c, native_defs[i].name, "function", native_defs[i].signature);
    for (int i = 0; i < OP_COUNT; i++)
        offer(c, op_name(op_def((OpId)i)), "function", op_signature_text(op_def((OpId)i)));
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, "prelude"))
            offer(c, embedded_names[i].name, "function", NULL);
}

static void offer_slots(Collector *c, const Module *module, bool functions_only)
{
    for (uint32_t i = 0; i < module->n_slots; i++) {
        const Slot *slot = &module->slot[i];
        if (slot->value.tag != TAG_UNDEFINED && !functions_only)
            offer_value(c, slot->name, slot->value);
        else if (slot->declared)
            offer_value(c, slot->name, slot->function);
    }
}

static void offer_module(Collector *c, const Module *module)
{
    if (!module->is_namespace)
        offer_slots(c, module, false);
    for (int i = 0; i < embedded_name_count && module->is_namespace; i++)
        if (!strcmp(embedded_names[i].module, module->name))
            offer(c, embedded_names[i].name, embedded_names[i].is_model ? "model" : "function", NULL);
}

static void offer_members(Collector *c, const Vm *vm, Value v)
{
    if (v.tag == TAG_MODULE) {
        offer_module(c, v.module);
        return;
    }
    if (v.tag == TAG_OBJECT) {
        const Proto *model = v.object->model->constructor;
        for (int i = 0; i < model->n_fields; i++)
            if (!model->fields[i].hidden)
                offer_value(c, model->fields[i].name, v.object->field[i]);
        for (int i = 0; i < model->n_methods; i++)
            offer(c, model->methods[i]->name, "method", model->methods[i]->signature);
        return;
    }
    for (int64_t i = 0; v.tag == TAG_MAP && i < v.map->used; i++)
        if (v.map->entry[i].key.tag == TAG_STRING)
            offer_value(c, v.map->entry[i].key.string->text, v.map->entry[i].value);
    for (size_t i = 0; v.tag == TAG_DATE && date_members[i]; i++) offer(c, date_members[i], "member", NULL);
    for (size_t i = 0; v.tag == TAG_TENSOR && i < sizeof tensor_members / sizeof *tensor_members; i++)
        offer(c, tensor_members[i], "member", NULL);
    offer_slots(c, vm->main, true);
    offer_functions(c);
}

static void offer_names(Collector *c, const Vm *vm)
{
    offer_slots(c, vm->main, false);
    offer_functions(c);
    for (int i = 0; i < constant_count; i++)
        offer(c, constant_defs[i].name, "constant", constant_defs[i].doc);
    for (int i = 0; i < embedded_name_count; i++)
        if (strcmp(embedded_names[i].module, "prelude") != 0)
            offer(c, embedded_names[i].module, "module", NULL);
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        offer(c, keywords[i], "keyword", NULL);
}

/* ---- what stands before the cursor ---- */

static Value slot_value(const Slot *slot)
{
    return slot->value.tag != TAG_UNDEFINED ? slot->value : slot->function;
}

Value assist_chain_value(Vm *vm, const char *text, size_t start, size_t end)
{
    Value v = VALUE_UNDEFINED;
    bool first = true;
    while (start < end) {
        size_t stop = start;
        char name[128];
        while (stop < end && assist_is_word(text[stop]))
            stop++;
        if (stop == start || stop - start >= sizeof name)
            return VALUE_UNDEFINED;
        memcpy(name, text + start, stop - start);
        name[stop - start] = 0;
        const char *known = name_find(vm, name);
        uint32_t slot;
        Value next = VALUE_UNDEFINED;
        const Module *module = first ? vm->main : v.tag == TAG_MODULE ? v.module : NULL;
        if (module && known && module_find(module, known, &slot))
            next = slot_value(&module->slot[slot]);
        else if (v.tag == TAG_OBJECT && object_find_field(v.object, name) >= 0)
            next = v.object->field[object_find_field(v.object, name)];
        else if (v.tag == TAG_MAP && !map_get_text(v.map, name, &next))
            next = VALUE_UNDEFINED;
        if (next.tag == TAG_UNDEFINED)
            return next;
        v = next;
        first = false;
        start = stop + 1;
    }
    return v;
}

size_t assist_chain_start(const char *text, size_t end)
{
    size_t start = end;
    while (start > 0 && (assist_is_word(text[start - 1]) || text[start - 1] == '.'))
        start--;
    return start;
}

bool session_complete(Session *session, const char *text, size_t length, size_t cursor, Completions *out)
{
    if (cursor > length)
        cursor = length;
    size_t start = cursor, end = cursor;
    while (start > 0 && assist_is_word(text[start - 1]))
        start--;
    while (end < length && assist_is_word(text[end]))
        end++;
    *out = (Completions){.start = start, .end = end};
    Collector c = {.out = out, .prefix = text + start, .length = cursor - start};
    if (start == 0 || text[start - 1] != '.') {
        offer_names(&c, session->vm);
    } else {
        size_t root = assist_chain_start(text, start - 1);
        Value v = assist_chain_value(session->vm, text, root, start - 1);
        char name[64] = "";
        if (start - 1 - root < sizeof name) {
            memcpy(name, text + root, start - 1 - root);
            name[start - 1 - root] = 0;
        }
        if (v.tag == TAG_UNDEFINED && module_is_standard(name))
            offer_module(&c, &(Module){.name = name, .is_namespace = true});
        else
            offer_members(&c, session->vm, v);
    }
    if (!c.failed)
        return true;
    completions_clear(out);
    return false;
}

void completions_clear(Completions *completions)
{
    for (int i = 0; i < completions->count; i++) {
        free(completions->at[i].text);
        free(completions->at[i].kind);
        free(completions->at[i].detail);
    }
    free(completions->at);
    *completions = (Completions){0};
}
