/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion and help at the prompt and in notebooks: from the tables, the index of the library and the values that
   exist. Nothing is run and no library file is compiled for it. */
#include <stdlib.h>
#include <string.h>

#include "embedded.h"
#include "date.h"
#include "session.h"
#include "suggest.h"

static const char *const keywords[] = {
    "and", "assert", "break", "buffer", "catch", "continue", "else", "false", "finally", "fn", "for", "if", "in",
    "model", "none", "not", "option", "or", "param", "return", "throw", "true", "try", "use", "while"};
static const char *const tensor_members[] = {"T", "dtype", "ndim", "shape", "size"};

static bool is_word(char c)
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

/* The value of `a.b.c` in text[start..end), found without running anything; UNDEFINED when there is none. */
static Value chain_value(Vm *vm, const char *text, size_t start, size_t end)
{
    Value v = VALUE_UNDEFINED;
    bool first = true;
    while (start < end) {
        size_t stop = start;
        char name[128];
        while (stop < end && is_word(text[stop]))
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

static size_t chain_start(const char *text, size_t end)
{
    size_t start = end;
    while (start > 0 && (is_word(text[start - 1]) || text[start - 1] == '.'))
        start--;
    return start;
}

bool session_complete(Session *session, const char *text, size_t length, size_t cursor, Completions *out)
{
    if (cursor > length)
        cursor = length;
    size_t start = cursor, end = cursor;
    while (start > 0 && is_word(text[start - 1]))
        start--;
    while (end < length && is_word(text[end]))
        end++;
    *out = (Completions){.start = start, .end = end};
    Collector c = {.out = out, .prefix = text + start, .length = cursor - start};
    if (start == 0 || text[start - 1] != '.') {
        offer_names(&c, session->vm);
    } else {
        size_t root = chain_start(text, start - 1);
        Value v = chain_value(session->vm, text, root, start - 1);
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

/* ---- help ---- */

static void help_row(Text *out, const char *name, const char *signature, const char *doc, const char *example)
{
    text_format(out, "%s(%s)\n%s", name, signature, doc);
    if (example && *example)
        text_format(out, "\n\n    %s", example);
}

static bool help_builtin(const char *name, Text *out)
{
    for (int i = 0; i < native_count; i++)
        if (!strcmp(native_defs[i].name, name)) {
            help_row(out, name, native_defs[i].signature, native_defs[i].doc, native_defs[i].example);
            return true;
        }
    const OpDef *op = op_find(name);
    if (op) {
        help_row(out, name, op_signature_text(op), op_doc(op), op_example(op));
        return true;
    }
    for (int i = 0; i < constant_count; i++)
        if (!strcmp(constant_defs[i].name, name)) {
            text_format(out, "%s\n%s", name, constant_defs[i].doc);
            return true;
        }
    return false;
}

/* Length of a declaration up to its body. */
static int header_length(const char *line)
{
    int depth = 0, i = 0, last = 0;
    for (; line[i] && (line[i] != '\n' || depth > 0); i++) {
        char c = line[i];
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        if (depth == 0 && (c == '{' || c == '='))
            break;
        if (c != ' ')
            last = i + 1;
    }
    return last;
}

/* On one line, however many it takes in the source. */
static void help_header(const char *line, int length, Text *out)
{
    for (int i = 0; i < length; i++) {
        bool end = line[i] == '\n';
        text_add(out, end ? " " : line + i, 1);
        while (end && line[i + 1] == ' ')
            i++;
    }
}

/* The declaration's line and the ## lines above it, from the library's text. */
static void help_embedded(const EmbeddedName *name, Text *out)
{
    const char *text = (const char *)embedded_files[name->file].text, *line = text, *doc = NULL;
    for (int i = 1; i < name->line; i++) {
        bool comment = !strncmp(line, "##", 2);
        if (!comment)
            doc = NULL;
        else if (!doc)
            doc = line;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (strcmp(name->module, "prelude") != 0)
        text_format(out, "%s: ", name->module);
    help_header(line, header_length(line), out);
    for (; doc && doc < line; doc += strcspn(doc, "\n") + 1) {
        const char *words = doc + 2 + (doc[2] == ' ');
        text_format(out, "\n%.*s", (int)strcspn(words, "\n"), words);
    }
}

static bool help_library(const char *module, const char *name, Text *out)
{
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, module) && !strcmp(embedded_names[i].name, name)) {
            help_embedded(&embedded_names[i], out);
            return true;
        }
    return false;
}

static bool help_module(const char *module, Text *out)
{
    if (!module_is_standard(module))
        return false;
    text_format(out, "module %s:", module);
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, module))
            text_format(out, " %s", embedded_names[i].name);
    return true;
}

static void help_proto(const Proto *proto, Text *out)
{
    text_format(out, "%s", proto->signature ? proto->signature : "");
    if (proto->doc)
        text_format(out, "\n%s", proto->doc);
}

static bool help_value(Value v, const char *name, Text *out)
{
    char described[96];
    if (v.tag == TAG_MODEL)
        help_proto(v.model->constructor, out);
    else if (v.tag == TAG_FUNCTION && v.function->kind == FUNCTION_CLOSURE)
        help_proto(v.function->proto, out);
    else if (v.tag == TAG_FUNCTION && help_builtin(function_name(v), out))
        return true;
    else if (v.tag == TAG_MODULE && v.module->is_namespace)
        return help_module(v.module->name, out);
    else {
        value_describe(v, described, sizeof described);
        text_format(out, "%s: %s", name, described);
    }
    return true;
}

static bool help_method(Vm *vm, const char *text, size_t start, size_t dot, const char *name, Text *out)
{
    Value v = chain_value(vm, text, start, dot);
    for (int i = 0; v.tag == TAG_OBJECT && i < v.object->model->constructor->n_methods; i++)
        if (!strcmp(v.object->model->constructor->methods[i]->name, name)) {
            help_proto(v.object->model->constructor->methods[i], out);
            return true;
        }
    char module[64];
    if (dot - start >= sizeof module)
        return false;
    memcpy(module, text + start, dot - start);
    module[dot - start] = 0;
    return help_library(module, name, out);
}

/* What a name of NumPy, PyTorch or another language is called here. */
static bool help_peer(const char *name, Text *out)
{
    char full[96];
    const char *hint = suggest_name(name);
    if (hint)
        text_format(out, "%s is not a name here: %s", name, hint);
    else if (library_name(name, full, sizeof full))
        text_format(out, "%s is %s here", name, full);
    else
        return false;
    return true;
}

char *session_inspect(Session *session, const char *text, size_t length, size_t cursor)
{
    Text out = {0};
    Vm *vm = session->vm;
    if (cursor > length)
        cursor = length;
    while (cursor < length && is_word(text[cursor]))
        cursor++;
    while (cursor > 0 && !is_word(text[cursor - 1]))
        cursor--;                          /* on the bracket of a call: its function */
    size_t start = chain_start(text, cursor), word = cursor;
    while (word > start && is_word(text[word - 1]))
        word--;
    char name[128];
    if (word == cursor || cursor - word >= sizeof name)
        return NULL;
    memcpy(name, text + word, cursor - word);
    name[cursor - word] = 0;
    Value v = chain_value(vm, text, start, cursor);
    bool found = v.tag != TAG_UNDEFINED && help_value(v, name, &out);
    if (!found && word > start)
        found = help_method(vm, text, start, word - 1, name, &out);
    if (!found)
        found = help_builtin(name, &out) || help_library("prelude", name, &out) || help_module(name, &out) ||
                help_peer(name, &out);
    text_add(&out, "", 1);
    if (found && !out.failed)
        return out.at;
    text_free(&out);
    return NULL;
}
