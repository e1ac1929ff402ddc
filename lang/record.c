/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeps a session's inputs and outputs within bounds. Nothing here can fail: what memory is too short for is left out. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "display.h"

#define STREAM_MOST ((size_t)256 << 10)       /* bytes of one run of output */
#define BYTES_MOST ((size_t)32 << 20)         /* of all outputs */
#define INPUTS_MOST 5000

static Display *display_copy(const Display *from)
{
    Display *made = calloc(1, sizeof *made);
    if (made) made->form = calloc((size_t)from->count + 1, sizeof *made->form);
    if (made && made->form) made->id = from->id;
    for (int i = 0; made && made->form && i < from->count; i++) {
        char *mime = strdup(from->form[i].mime), *data = malloc(from->form[i].length + 1);
        if (!mime || !data) {
            free(mime);
            free(data);
            break;
        }
        memcpy(data, from->form[i].data, from->form[i].length);
        data[from->form[i].length] = 0;
        made->form[made->count++] = (DisplayForm){mime, data, from->form[i].length};
    }
    if (made && made->count > 0) return made;
    display_free(made);
    return NULL;
}

static size_t display_bytes(const Display *display)
{
    size_t bytes = 0;
    for (int i = 0; display && i < display->count; i++) bytes += display->form[i].length;
    return bytes;
}

static void drop_outputs(Records *records, Record *record)
{
    for (int i = 0; i < record->n_outputs; i++) {
        text_free(&record->output[i].text);
        display_free(record->output[i].display);
    }
    free(record->output);
    display_free(record->result);
    record->output = NULL;
    record->result = NULL;
    record->n_outputs = 0;
    records->bytes -= record->bytes;
    record->bytes = 0;
}

static void drop(Records *records, Record *record)
{
    drop_outputs(records, record);
    free(record->input);
    free(record->error);
    free(record->error_kind);
    free(record->error_message);
    free(record);
}

static void drop_first(Records *records)
{
    Record *first = records->first;
    records->first = first->next;
    if (records->open == first) records->open = NULL;
    if (!records->first) records->last = NULL;
    drop(records, first);
}

static void count_bytes(Records *records, size_t bytes)
{
    records->open->bytes += bytes;
    records->bytes += bytes;
    for (Record *record = records->first; record && records->bytes > BYTES_MOST; record = record->next)
        drop_outputs(records, record);
}

void record_begin(Records *records, const char *text, size_t length)
{
    Record *record = calloc(1, sizeof *record);
    if (record) record->input = strndup(text, length);
    records->count++;
    records->open = NULL;
    if (!record || !record->input) {
        free(record);
        return;
    }
    record->number = records->count;
    if (records->last) records->last->next = record;
    else records->first = record;
    records->last = records->open = record;
    if (record->number - records->first->number >= INPUTS_MOST) drop_first(records);
}

static RecordOutput *add_output(Record *record)
{
    RecordOutput *wider = realloc(record->output, (size_t)(record->n_outputs + 1) * sizeof *wider);
    if (!wider) return NULL;
    record->output = wider;
    wider[record->n_outputs] = (RecordOutput){.is_stream = false};
    return &wider[record->n_outputs++];
}

void record_stream(Records *records, OutputStream stream, const char *text, size_t length)
{
    if (!records->open || length == 0) return;
    Record *record = records->open;
    RecordOutput *output = record->n_outputs ? &record->output[record->n_outputs - 1] : NULL;
    if (!output || !output->is_stream || output->stream != stream) output = add_output(record);
    if (!output) return;
    output->is_stream = true;
    output->stream = stream;
    size_t room = output->text.length < STREAM_MOST ? STREAM_MOST - output->text.length : 0;
    if (length > room) {
        while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80) room--;      /* whole characters */
        length = room;
    }
    text_add(&output->text, text, length);
    count_bytes(records, length);
}

/* An update takes the place of what was shown under its number. */
void record_display(Records *records, const Display *display)
{
    if (!records->open) return;
    Record *record = records->open;
    RecordOutput *output = NULL;
    for (int i = 0; display->id && i < record->n_outputs && !output; i++)
        if (record->output[i].display && record->output[i].display->id == display->id) output = &record->output[i];
    if (!output) output = add_output(record);
    if (!output) return;
    display_free(output->display);
    output->display = display_copy(display);
    count_bytes(records, display_bytes(output->display));
}

void record_end(Records *records, const EvalResult *result)
{
    if (!records->open) return;
    Record *record = records->open;
    if (result->display) record->result = display_copy(result->display);
    if (result->error) record->error = strdup(result->error);
    if (result->error_kind) record->error_kind = strdup(result->error_kind);
    if (result->error_message) record->error_message = strdup(result->error_message);
    count_bytes(records, display_bytes(record->result));
    records->open = NULL;
}

void record_open_again(Records *records, const Record *record)
{
    records->open = NULL;
    for (Record *kept = records->first; record && kept; kept = kept->next)
        if (kept == record) records->open = kept;
}

void record_edited(Records *records, const char *text, size_t length)
{
    char *copy = records->open ? strndup(text, length) : NULL;
    if (!copy) return;
    free(records->open->input);
    records->open->input = copy;
}

void records_clear(Records *records)
{
    while (records->first) drop_first(records);
    *records = (Records){0};
}
