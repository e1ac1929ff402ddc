/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CSV: tables are maps from a column's name to a tensor or a list of strings, all of one length. The module `data`
   cuts the text and knows what a column can be; here are the values, and writing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "builtins.h"
#include "formats.h"
#include "print.h"
#include "textfile.h"

typedef struct Sheet {
    Vm *vm;
    const char *function, *what;          /* what: the path with ": ", or "" */
    const DataModule *data;
    Value text;                           /* which the cells lie in */
    CsvTable table;
} Sheet;

static bool fail_at(Sheet *s, int64_t line, const char *why)
{
    return vm_fail(s->vm, ERROR_format, s->function, "%.200sline %lld: %s", s->what, (long long)line, why);
}

/* The text is copied: reading takes it apart. */
static bool open_sheet(Sheet *s, const String *text, char separator)
{
    FormatError error;
    s->data = data_module(s->vm);
    if (!s->data) return false;
    s->text = string_new(text->text, text->length);
    if (s->text.tag == TAG_UNDEFINED) return vm_out_of_memory(s->vm);
    if (s->data->csv_read(s->text.string->text, text->length, separator, &s->table, &error)) return true;
    return error.why[0] ? fail_at(s, error.line, error.why) : vm_out_of_memory(s->vm);
}

static void close_sheet(Sheet *s)
{
    if (s->data) s->data->csv_free(&s->table);
    value_release(s->text);
}

static size_t width(const CsvTable *t, int64_t row)
{
    return t->first[row + 1] - t->first[row];
}

/* Every row is as wide as the first. */
static bool check_widths(Sheet *s)
{
    const CsvTable *t = &s->table;
    for (int64_t row = 1; row < t->rows; row++) {
        if (width(t, row) == width(t, 0)) continue;
        char why[100];
        snprintf(why, sizeof why, "%zu cell%s, but line %lld has %zu", width(t, row), width(t, row) == 1 ? "" : "s",
                 (long long)t->line[0], width(t, 0));
        fail_at(s, t->line[row], why);
        error_hint(&vm_tensors(s->vm)->error, "cells with a separator, quote or line end in them stand in quotes; "
                   "csv_rows(s) takes rows of any length");
        return false;
    }
    return true;
}

static Value cell_string(const CsvCell *cell)
{
    return string_new(cell->text, cell->length);
}

static bool column_value(Sheet *s, int64_t start, int64_t column, bool typed, Value *result)
{
    const CsvTable *t = &s->table;
    int64_t n = t->rows - start;
    CsvKind kind = typed && n > 0 ? s->data->csv_kind(t, start, column) : CSV_TEXT;
    if (kind != CSV_TEXT) {
        Dtype dtype = kind == CSV_BOOL ? DTYPE_bool : kind == CSV_INT ? DTYPE_i64 : DTYPE_f64;
        Tensor *tensor = tensor_new(vm_tensors(s->vm), dtype, 1, &n);
        if (!tensor) return false;
        s->data->csv_fill(t, start, column, kind, tensor->data);
        *result = (Value){.tag = TAG_TENSOR, .tensor = tensor};
        return true;
    }
    Value list = list_new(n);
    bool fine = list.tag != TAG_UNDEFINED;
    for (int64_t row = start; fine && row < t->rows; row++) {
        Value cell = cell_string(&t->cell[t->first[row] + (size_t)column]);
        fine = cell.tag != TAG_UNDEFINED && list_push_take(list.list, cell);
    }
    if (fine) *result = list;
    else value_release(list);
    return fine || vm_out_of_memory(s->vm);
}

static bool table_value(Sheet *s, bool header, bool typed, Value *result)
{
    const CsvTable *t = &s->table;
    Value map = map_new(), column, ignored;
    bool fine = map.tag != TAG_UNDEFINED || vm_out_of_memory(s->vm);
    int64_t columns = t->rows ? (int64_t)width(t, 0) : 0;
    for (int64_t i = 0; fine && i < columns; i++) {
        Value key = header ? cell_string(&t->cell[i]) : value_int(i);
        if (key.tag == TAG_UNDEFINED) fine = vm_out_of_memory(s->vm);
        else if (map_get(map.map, key, &ignored)) {
            fine = fail_at(s, t->line[0], "two columns have the same name");
            error_hint(&vm_tensors(s->vm)->error, "header=false numbers the columns");
        }
        fine = fine && column_value(s, header, i, typed, &column) &&
               (map_set_take(map.map, key, column) || vm_out_of_memory(s->vm));
        value_release(key);
    }
    if (fine) *result = map;
    else value_release(map);
    return fine;
}

static bool parse_table(Vm *vm, const char *function, const char *what, const String *text, char separator, bool header,
                        bool typed, Value *result)
{
    Sheet s = {.vm = vm, .function = function, .what = what, .text = VALUE_NONE};
    bool fine = open_sheet(&s, text, separator) && check_widths(&s) && table_value(&s, header, typed, result);
    close_sheet(&s);
    return fine;
}

/* The one character of `by`. */
static bool separator_of(Vm *vm, const char *function, const String *by, char *separator)
{
    *separator = by->text[0];
    bool fine = by->length == 1 && *separator != '"' && *separator != '\n' && *separator != '\r';
    return fine || vm_fail(vm, ERROR_value, function, "by must be one character of ASCII and no quote");
}

bool native_parse_csv(Vm *vm, const Value *args, Value *result)
{
    char separator;
    return separator_of(vm, "parse_csv", args[1].string, &separator) &&
           parse_table(vm, "parse_csv", "", args[0].string, separator, args[2].b, args[3].b, result);
}

static bool row_value(Sheet *s, int64_t row, Value *result)
{
    size_t n = width(&s->table, row);
    Value list = list_new((int64_t)n);
    bool fine = list.tag != TAG_UNDEFINED;
    for (size_t i = 0; fine && i < n; i++) {
        Value cell = cell_string(&s->table.cell[s->table.first[row] + i]);
        fine = cell.tag != TAG_UNDEFINED && list_push_take(list.list, cell);
    }
    if (fine) *result = list;
    else value_release(list);
    return fine || vm_out_of_memory(s->vm);
}

bool native_csv_rows(Vm *vm, const Value *args, Value *result)
{
    char separator;
    Sheet s = {.vm = vm, .function = "csv_rows", .what = "", .text = VALUE_NONE};
    if (!separator_of(vm, "csv_rows", args[1].string, &separator)) return false;
    bool fine = open_sheet(&s, args[0].string, separator);
    Value list = list_new(0), row;
    fine = fine && (list.tag != TAG_UNDEFINED || vm_out_of_memory(vm));
    for (int64_t i = 0; fine && i < s.table.rows; i++) {
        fine = row_value(&s, i, &row) && (list_push_take(list.list, row) || vm_out_of_memory(vm));
    }
    close_sheet(&s);
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool csv_load(Vm *vm, const char *path, char separator, Value *result)
{
    Value text;
    Text what = {0};
    if (!path_read_text(vm, "load", path, "utf-8", &text)) return false;
    text_format(&what, "%.200s: ", path);
    bool fine = (!what.failed || vm_out_of_memory(vm)) &&
                parse_table(vm, "load", what.at, text.string, separator, true, true, result);
    text_free(&what);
    value_release(text);
    return fine;
}

/* ---- writing ---- */

typedef struct Writer { Vm *vm; const char *function; Text *out; char separator; } Writer;

static void add_text(Writer *w, const char *text, size_t length, bool alone)
{
    bool quoted = (alone && length == 0) || (length && (text[0] == ' ' || text[length - 1] == ' '));
    for (size_t i = 0; i < length && !quoted; i++) {
        quoted = text[i] == '"' || text[i] == '\n' || text[i] == '\r' || text[i] == w->separator;
    }
    if (quoted) text_add(w->out, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') text_add(w->out, "\"", 1);
        text_add(w->out, text + i, 1);
    }
    if (quoted) text_add(w->out, "\"", 1);
}

/* [alone]: the only cell of its row, which must not look like no row. */
static bool write_cell(Writer *w, Value v, bool alone)
{
    double number;
    bool missing = v.tag == TAG_NONE || (value_to_double(v, &number) && isnan(number));
    bool plain = missing || value_is_number(v) || v.tag == TAG_BOOL || v.tag == TAG_STRING || v.tag == TAG_DATE ||
                 (v.tag == TAG_TENSOR && v.tensor->ndim == 0);
    if (!plain) return native_wants(w->vm, w->function, "a cell", "a number, a bool, a string, a date or none", v);
    Text text = {0};
    bool fine = missing || value_print(w->vm, v, &text);
    add_text(w, text.at ? text.at : "", text.length, alone);
    text_free(&text);
    return fine;
}

static bool write_row(Writer *w, Value row)
{
    Value list;
    if (!native_collect(w->vm, row, &list)) return false;
    bool fine = true;
    for (int64_t i = 0; fine && i < list.list->count; i++) {
        if (i) text_add(w->out, &w->separator, 1);
        fine = write_cell(w, list.list->at[i], list.list->count == 1);
    }
    text_add(w->out, "\n", 1);
    value_release(list);
    return fine;
}

/* The columns as a list of lists, in their order. */
static bool columns_of(Writer *w, const Map *table, Value *columns)
{
    int64_t rows = -1;
    *columns = list_new(table->count);
    bool fine = columns->tag != TAG_UNDEFINED || vm_out_of_memory(w->vm);
    for (int64_t i = 0; fine && i < table->used; i++) {
        const MapEntry *entry = &table->entry[i];
        Value column;
        if (entry->key.tag == TAG_UNDEFINED) continue;
        if (entry->value.tag == TAG_STRING) {
            fine = native_wants(w->vm, w->function, "a column", "a list or tensor", entry->value);
        }
        if (!fine || !(fine = native_collect(w->vm, entry->value, &column))) break;
        int64_t n = column.list->count;
        if (rows >= 0 && n != rows) {
            Text key = {0};
            value_print(w->vm, entry->key, &key);
            fine = vm_fail(w->vm, ERROR_value, w->function, "column %.100s has %lld rows, the first column %lld",
                           key.at ? key.at : "", (long long)n, (long long)rows);
            text_free(&key);
        }
        rows = n;
        if (!list_push_take(columns->list, column)) fine = vm_out_of_memory(w->vm);
    }
    if (!fine) value_set(columns, VALUE_UNDEFINED);
    return fine;
}

static bool write_header(Writer *w, const Map *table)
{
    bool first = true;
    for (int64_t i = 0; i < table->used; i++) {
        if (table->entry[i].key.tag == TAG_UNDEFINED) continue;
        if (!first) text_add(w->out, &w->separator, 1);
        first = false;
        if (!write_cell(w, table->entry[i].key, table->count == 1)) return false;
    }
    text_add(w->out, "\n", 1);
    return true;
}

static bool write_table(Writer *w, const Map *table, bool header)
{
    Value columns;
    if (header && !write_header(w, table)) return false;
    if (!columns_of(w, table, &columns)) return false;
    const List *list = columns.list;
    bool fine = true;
    for (int64_t row = 0; fine && list->count && row < list->at[0].list->count; row++) {
        for (int64_t i = 0; fine && i < list->count; i++) {
            if (i) text_add(w->out, &w->separator, 1);
            fine = write_cell(w, list->at[i].list->at[row], list->count == 1);
        }
        text_add(w->out, "\n", 1);
        fine = fine && !tensor_interrupted(vm_tensors(w->vm));
    }
    value_release(columns);
    return fine;
}

static bool write_csv(Vm *vm, const char *function, Value v, char separator, bool header, Text *out)
{
    Writer w = {vm, function, out, separator};
    if (v.tag == TAG_MAP) return write_table(&w, v.map, header) && (!out->failed || vm_out_of_memory(vm));
    if (v.tag == TAG_STRING) return native_wants(vm, function, "table", "a map of columns or a list of rows", v);
    Value rows;
    if (!native_collect(vm, v, &rows)) return false;
    bool fine = true;
    for (int64_t i = 0; fine && i < rows.list->count; i++) {
        Value row = rows.list->at[i];
        bool is_row = native_is_row(row) || (row.tag == TAG_TENSOR && row.tensor->ndim == 1);
        fine = is_row || native_wants(vm, function, "a row", "a list (to_columns makes a table of maps)", row);
        fine = fine && write_row(&w, row);
    }
    value_release(rows);
    return fine && (!out->failed || vm_out_of_memory(vm));
}

bool native_to_csv(Vm *vm, const Value *args, Value *result)
{
    Text out = {0};
    char separator;
    bool fine = separator_of(vm, "to_csv", args[1].string, &separator) &&
                write_csv(vm, "to_csv", args[0], separator, args[2].b, &out);
    if (fine) return native_give_text(vm, &out, result);
    text_free(&out);
    return false;
}

bool csv_save(Vm *vm, Value v, const char *path, char separator)
{
    Text out = {0};
    bool fine = write_csv(vm, "save", v, separator, true, &out) &&
                runtime_write_file(vm_tensors(vm), "save", path, out.at ? out.at : "", out.length);
    text_free(&out);
    return fine;
}
