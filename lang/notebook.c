/* SPDX-License-Identifier: GPL-3.0-or-later */
/* :save file.ipynb: the records of a session as a notebook of nbformat 4.5. It is put together as a value of the
   language and written by its JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtins.h"
#include "command.h"
#include "textfile.h"

typedef struct Maker { Vm *vm; bool failed; } Maker;

static Value text_value(Maker *m, const char *text, size_t length)
{
    Value v = string_new(text, length);
    m->failed |= v.tag == TAG_UNDEFINED;
    return v;
}

/* [v] is taken. */
static void put(Maker *m, Value map, const char *name, Value v)
{
    Value key = text_value(m, name, strlen(name));
    if (m->failed || !map_set_take(map.map, key, v)) {
        if (m->failed) value_release(v);
        m->failed = true;
    }
    value_release(key);
}

static void put_text(Maker *m, Value map, const char *name, const char *text)
{
    put(m, map, name, text_value(m, text, strlen(text)));
}

static Value new_map(Maker *m)
{
    Value map = map_new();
    m->failed |= map.tag == TAG_UNDEFINED;
    return map;
}

static Value new_list(Maker *m)
{
    Value list = list_new(4);
    m->failed |= list.tag == TAG_UNDEFINED;
    return list;
}

static void add(Maker *m, Value list, Value v)
{
    if (m->failed) value_release(v);
    else if (!list_push_take(list.list, v)) m->failed = true;
}

static Value base64(Maker *m, const char *data, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *made = malloc((length + 2) / 3 * 4 + 1), *at = made;
    for (size_t i = 0; made && i < length; i += 3) {
        unsigned long three = 0;
        size_t left = length - i < 3 ? length - i : 3;
        for (size_t j = 0; j < 3; j++) three = three << 8 | (j < left ? (unsigned char)data[i + j] : 0);
        for (size_t j = 0; j < 4; j++) *at++ = j <= left ? digits[three >> (18 - 6 * j) & 63] : '=';
    }
    Value v = made ? text_value(m, made, (size_t)(at - made)) : VALUE_UNDEFINED;
    m->failed |= !made;
    free(made);
    return v;
}

static bool is_text(const char *mime)
{
    return !strncmp(mime, "text/", 5) || !strcmp(mime, "image/svg+xml");
}

static Value form_value(Maker *m, const DisplayForm *form)
{
    Value v = VALUE_UNDEFINED;
    size_t n = strlen(form->mime);
    bool json = n > 4 && (!strcmp(form->mime, "application/json") || !strcmp(form->mime + n - 5, "+json"));
    if (json && json_read(m->vm, ":save", form->data, form->length, &v)) return v;
    error_clear(&vm_tensors(m->vm)->error);
    return is_text(form->mime) || json ? text_value(m, form->data, form->length) : base64(m, form->data, form->length);
}

static Value bundle(Maker *m, const Display *display)
{
    Value data = new_map(m);
    for (int i = 0; !m->failed && i < display->count; i++)
        put(m, data, display->form[i].mime, form_value(m, &display->form[i]));
    return data;
}

static Value output_value(Maker *m, const RecordOutput *output)
{
    Value map = new_map(m);
    if (m->failed) return map;
    put_text(m, map, "output_type", output->is_stream ? "stream" : "display_data");
    if (output->is_stream) {
        put_text(m, map, "name", output->stream == OUTPUT_OUT ? "stdout" : "stderr");
        put(m, map, "text", text_value(m, output->text.at ? output->text.at : "", output->text.length));
    } else {
        put(m, map, "data", bundle(m, output->display));
        put(m, map, "metadata", new_map(m));
    }
    return map;
}

static Value result_value(Maker *m, const Record *record)
{
    Value map = new_map(m);
    if (m->failed) return map;
    put_text(m, map, "output_type", "execute_result");
    put(m, map, "execution_count", value_int(record->number));
    put(m, map, "data", bundle(m, record->result));
    put(m, map, "metadata", new_map(m));
    return map;
}

static Value error_value(Maker *m, const Record *record)
{
    Value map = new_map(m), lines = new_list(m);
    if (m->failed) {
        value_release(lines);
        return map;
    }
    put_text(m, map, "output_type", "error");
    put_text(m, map, "ename", record->error_kind ? record->error_kind : "error");
    put_text(m, map, "evalue", record->error_message ? record->error_message : "");
    for (const char *at = record->error; *at; at += strcspn(at, "\n"), at += *at == '\n')
        add(m, lines, text_value(m, at, strcspn(at, "\n")));
    put(m, map, "traceback", lines);
    return map;
}

static Value cell_value(Maker *m, const Record *record)
{
    char id[24];
    Value cell = new_map(m), outputs = new_list(m);
    if (m->failed) {
        value_release(outputs);
        return cell;
    }
    for (int i = 0; i < record->n_outputs; i++) {
        const RecordOutput *output = &record->output[i];
        if (output->is_stream || output->display) add(m, outputs, output_value(m, output));
    }
    if (record->result) add(m, outputs, result_value(m, record));
    if (record->error) add(m, outputs, error_value(m, record));
    snprintf(id, sizeof id, "input-%d", record->number);
    put_text(m, cell, "cell_type", "code");
    put_text(m, cell, "id", id);
    put(m, cell, "metadata", new_map(m));
    put(m, cell, "execution_count", value_int(record->number));
    put_text(m, cell, "source", record->input);
    put(m, cell, "outputs", outputs);
    return cell;
}

static Value metadata_value(Maker *m)
{
    Value map = new_map(m), kernel = new_map(m), language = new_map(m);
    if (m->failed) {
        value_release(kernel);
        value_release(language);
        return map;
    }
    put_text(m, kernel, "display_name", "Tessera");
    put_text(m, kernel, "language", "tessera");
    put_text(m, kernel, "name", "tessera");
    put_text(m, language, "name", "tessera");
    put_text(m, language, "version", session_version());
    put_text(m, language, "file_extension", ".tsr");
    put(m, map, "kernelspec", kernel);
    put(m, map, "language_info", language);
    return map;
}

static Value notebook_value(Maker *m, const Records *records)
{
    Value map = new_map(m), cells = new_list(m);
    if (m->failed) {
        value_release(cells);
        return map;
    }
    for (const Record *record = records->first; record && record != records->last; record = record->next)
        add(m, cells, cell_value(m, record));
    put(m, map, "cells", cells);
    put(m, map, "metadata", metadata_value(m));
    put(m, map, "nbformat", value_int(4));
    put(m, map, "nbformat_minor", value_int(5));
    return map;
}

/* The input that saves is not part of it. */
bool notebook_save(Session *session, const char *path)
{
    Maker m = {session->vm, false};
    Value notebook = notebook_value(&m, &session->records), text = VALUE_UNDEFINED;
    const Value args[] = {notebook, value_int(1)};
    bool fine = m.failed ? vm_out_of_memory(session->vm) : native_to_json(session->vm, args, &text);
    fine = fine && path_write_bytes(session->vm, ":save", path, false, text.string->text, text.string->length);
    value_release(text);
    value_release(notebook);
    return fine;
}
