/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values as tables, and tables as text and HTML. */
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

#define ROWS_SHOWN 20         /* of longer tables the first and the last half of so many */
#define COLUMNS_SHOWN 16
#define TENSOR_WIDTH 90       /* characters of a row of a tensor */
#define CELL_SHOWN 60         /* characters of a text */

/* ---- cells ---- */

static bool table_new(Vm *vm, Table *t, int64_t rows, int64_t columns)
{
    t->rows = (int)rows;
    t->columns = (int)columns;
    t->cell = calloc((size_t)((rows + 1) * columns), sizeof *t->cell);
    t->numeric = calloc((size_t)columns, sizeof *t->numeric);
    if (t->cell && t->numeric) return true;
    table_free(t);
    return vm_out_of_memory(vm);
}

void table_free(Table *table)
{
    for (int i = 0; table->cell && i < (table->rows + 1) * table->columns; i++) text_free(&table->cell[i]);
    free(table->cell);
    free(table->numeric);
    text_free(&table->caption);
    *table = (Table){0};
}

/* Row 0 is that of heads. */
static Text *cell_at(const Table *t, int64_t row, int64_t column)
{
    return &t->cell[row * t->columns + column];
}

static bool finished(Vm *vm, Table *t)
{
    bool failed = t->caption.failed;
    for (int i = 0; i < (t->rows + 1) * t->columns; i++) failed = failed || t->cell[i].failed;
    if (!failed) return true;
    table_free(t);
    return vm_out_of_memory(vm);
}

static bool is_number(Value v)
{
    return value_is_number(v) || v.tag == TAG_BOOL;
}

static bool is_plain(Value v)
{
    return (v.tag >= TAG_NONE && v.tag <= TAG_STRING) || (v.tag == TAG_TENSOR && v.tensor->ndim == 0);
}

/* Four digits are enough to compare metrics by. */
static void add_number(Text *out, double number)
{
    double size = fabs(number);
    if (isfinite(number) && size >= 1e4 && size < 1e15) text_format(out, "%.0f", number);
    else text_format(out, "%.4g", number);
}

static bool add_value(Vm *vm, Text *out, Value v)
{
    double number;
    bool floating = v.tag == TAG_FLOAT || (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT);
    if (floating && value_to_double(v, &number)) {
        add_number(out, number);
    } else if (v.tag == TAG_TENSOR && v.tensor->ndim == 0) {
        add_number(out, tensor_item(v.tensor, 0));
    } else if (is_plain(v)) {
        Text whole = {0};
        if (!value_print(vm, v, &whole)) return false;
        print_line(out, whole.at ? whole.at : "", whole.length, CELL_SHOWN);
        out->failed |= whole.failed;
        text_free(&whole);
    } else {
        char described[128];
        value_describe(v, described, sizeof described);
        text_string(out, described);
    }
    return true;
}

/* ---- which rows and columns show ---- */

typedef struct Shown { int64_t size, count, half; } Shown;     /* half: the place of the gap, -1: none */

static Shown shown_of(int64_t size, int64_t most)
{
    return size <= most ? (Shown){size, size, -1} : (Shown){size, most + 1, most / 2};
}

/* The index at a place, -1 for the gap. */
static int64_t index_at(const Shown *s, int64_t place)
{
    if (s->half < 0 || place < s->half) return place;
    return place == s->half ? -1 : s->size - s->count + place;
}

static void put_index(Text *out, int64_t index)
{
    if (index < 0) text_string(out, "…");
    else text_int(out, index);
}

static void say_size(Table *t, int64_t rows, int64_t columns)
{
    print_thousands(&t->caption, rows);
    text_string(&t->caption, rows == 1 ? " row × " : " rows × ");
    print_thousands(&t->caption, columns);
    text_string(&t->caption, columns == 1 ? " column" : " columns");
}

/* ---- tensors: the cells are those that text shows ---- */

static void write_text(void *to, const char *text, size_t length)
{
    text_add(to, text, length);
}

static int count_cells(const char *line)
{
    int count = 0;
    for (line += strspn(line, " "); *line && *line != '\n'; line += strspn(line, " ")) {
        line += strcspn(line, " \n");
        count++;
    }
    return count;
}

static void read_cells(Table *t, const char *line, int64_t row, int *gap)
{
    int column = 1;
    for (line += strspn(line, " "); *line && *line != '\n' && column < t->columns; line += strspn(line, " ")) {
        size_t length = strcspn(line, " \n");
        if (length == 3 && memcmp(line, "…", 3) == 0) *gap = column;
        text_add(cell_at(t, row, column++), line, length);
        line += length;
    }
}

/* The number of a row or column at place [i] of [n], of which one may be a gap. */
static int64_t number_of(int64_t i, int64_t n, int64_t gap, int64_t size)
{
    return gap < 0 || i < gap ? i : i == gap ? -1 : size - n + i;
}

static bool read_matrix(Vm *vm, const char *text, const Tensor *tensor, bool row_heads, Table *t)
{
    int64_t lines = 1, gap_line = -1, line = 0;
    int gap = -1;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    Shown shown = shown_of(lines, ROWS_SHOWN);
    int columns = count_cells(text);
    if (!table_new(vm, t, shown.count, columns + 1)) return false;
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL, line++)
        if (strncmp(at, "…", 3) == 0 && count_cells(at) == 1) gap_line = line;
    const char *at = text;
    line = 0;
    for (int64_t place = 0; place < shown.count; place++) {
        int64_t index = index_at(&shown, place);
        for (; index >= 0 && line < index; line++) at = strchr(at, '\n') + 1;
        if (row_heads) put_index(cell_at(t, place + 1, 0), index < 0 ? -1 : number_of(index, lines, gap_line, tensor->shape[0]));
        if (index >= 0) read_cells(t, at, place + 1, &gap);
    }
    for (int j = 1; j <= columns; j++) {
        t->numeric[j] = true;
        put_index(cell_at(t, 0, j), number_of(j - 1, columns, gap < 0 ? -1 : gap - 1, tensor->shape[tensor->ndim - 1]));
    }
    return true;
}

static bool table_of_tensor(Vm *vm, const Tensor *tensor, Table *t)
{
    Text text = {0};
    char type[128];
    Tensor row = *tensor;
    if (tensor->ndim == 1) {
        row.ndim = 2;
        row.shape[0] = 1;
        row.shape[1] = tensor->shape[0];
        row.stride[0] = 0;
        row.stride[1] = tensor->stride[0];
    }
    tensor_print(&row, TENSOR_WIDTH, write_text, &text);
    while (text.length && text.at[text.length - 1] == '\n') text.at[--text.length] = '\0';
    bool fine = (!text.failed && text.at) ? read_matrix(vm, text.at, &row, tensor->ndim == 2, t) : vm_out_of_memory(vm);
    text_free(&text);
    if (!fine) return false;
    t->heads = true;
    tensor_type_name(tensor, type, sizeof type);
    text_string(&t->caption, type);
    return true;
}

/* ---- maps and lists of maps ---- */

/* The key of entry [i], NULL for one that was removed. */
static const Value *live_key(const Map *map, int64_t i)
{
    return map->entry[i].key.tag == TAG_UNDEFINED ? NULL : &map->entry[i].key;
}

static bool all_plain(const Map *map)
{
    for (int64_t i = 0; i < map->used; i++)
        if (live_key(map, i) && !is_plain(map->entry[i].value)) return false;
    return map->count > 0;
}

bool table_of_measures(Value v)
{
    if (v.tag != TAG_MAP || v.map->count < 2 || !all_plain(v.map)) return false;
    bool floats = false;
    for (int64_t i = 0; i < v.map->used; i++) {
        const Value *key = live_key(v.map, i), x = v.map->entry[i].value;
        if (key && key->tag != TAG_STRING) return false;
        bool real = x.tag == TAG_FLOAT || (x.tag == TAG_SCALAR && dtype_class((Dtype)x.dtype) == CLASS_FLOAT);
        floats = floats || (key && real);
    }
    return floats;
}

static bool table_of_metrics(Vm *vm, const Map *map, Table *t)
{
    Shown shown = shown_of(map->count, 5 * ROWS_SHOWN);
    int64_t at = 0, live = 0;
    if (!table_new(vm, t, shown.count, 2)) return false;
    t->numeric[1] = true;
    for (int64_t place = 0; place < shown.count; place++) {
        int64_t index = index_at(&shown, place);
        if (index < 0) {
            text_string(cell_at(t, place + 1, 0), "…");
            continue;
        }
        while (!live_key(map, at) || live++ < index) at++;
        if (!add_value(vm, cell_at(t, place + 1, 0), map->entry[at].key) ||
            !add_value(vm, cell_at(t, place + 1, 1), map->entry[at].value))
            return false;
        t->numeric[1] = t->numeric[1] && is_number(map->entry[at].value);
        at++;
    }
    return true;
}

/* How many items a column has, -1 for what is none. */
static int64_t column_length(Value v)
{
    if (v.tag == TAG_LIST) return v.list->count;
    return v.tag == TAG_TENSOR && v.tensor->ndim == 1 ? v.tensor->shape[0] : -1;
}

/* The length that all columns share, or -1. */
static int64_t shared_length(const Map *map)
{
    int64_t length = -1;
    for (int64_t i = 0; i < map->used; i++) {
        if (!live_key(map, i)) continue;
        int64_t own = column_length(map->entry[i].value);
        if (own < 1 || (length >= 0 && own != length)) return -1;
        length = own;
    }
    return length;
}

static bool put_item(Vm *vm, Table *t, int64_t row, int64_t column, Value v)
{
    t->numeric[column] = t->numeric[column] && (is_number(v) || v.tag == TAG_NONE);
    return v.tag == TAG_NONE || add_value(vm, cell_at(t, row, column), v);
}

static Value item_of(Value column, int64_t i)
{
    if (column.tag == TAG_LIST) return column.list->at[i];
    Dtype dtype = (Dtype)column.tensor->dtype;
    if (dtype_class(dtype) == CLASS_FLOAT) return value_scalar_float(dtype, tensor_item(column.tensor, i));
    return value_scalar_int(dtype, tensor_item_int(column.tensor, i));
}

/* Heads, and the numbers of the rows. [names]: keys are the columns. */
static bool put_heads(Vm *vm, Table *t, const Map *names, const Shown *rows, const Shown *columns)
{
    t->heads = true;
    for (int64_t i = 0; i < rows->count; i++) put_index(cell_at(t, i + 1, 0), index_at(rows, i));
    for (int64_t place = 0; place < columns->count; place++) {
        int64_t index = index_at(columns, place), at = 0, live = 0;
        t->numeric[place + 1] = true;
        if (index < 0) text_string(cell_at(t, 0, place + 1), "…");
        if (index < 0) continue;
        while (!live_key(names, at) || live++ < index) at++;
        if (!add_value(vm, cell_at(t, 0, place + 1), names->entry[at].key)) return false;
    }
    say_size(t, rows->size, columns->size);
    return true;
}

static bool table_of_columns(Vm *vm, const Map *map, int64_t length, Table *t)
{
    Shown rows = shown_of(length, ROWS_SHOWN), columns = shown_of(map->count, COLUMNS_SHOWN);
    if (!table_new(vm, t, rows.count, columns.count + 1) || !put_heads(vm, t, map, &rows, &columns)) return false;
    for (int64_t place = 0; place < columns.count; place++) {
        int64_t index = index_at(&columns, place), at = 0, live = 0;
        if (index < 0) continue;
        while (!live_key(map, at) || live++ < index) at++;
        for (int64_t i = 0; i < rows.count; i++) {
            int64_t row = index_at(&rows, i);
            if (row >= 0 && !put_item(vm, t, i + 1, place + 1, item_of(map->entry[at].value, row))) return false;
        }
    }
    return true;
}

static bool all_maps(const List *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        Value v = list->at[i];
        if (v.tag != TAG_MAP || v.map->count == 0) return false;
        for (int64_t j = 0; j < v.map->used; j++)
            if (live_key(v.map, j) && v.map->entry[j].key.tag != TAG_STRING) return false;
    }
    return list->count > 0;
}

/* The names of all rows, in order of first appearance. */
static bool names_of(Vm *vm, const List *list, Value *names)
{
    *names = map_new();
    bool fine = names->tag != TAG_UNDEFINED;
    for (int64_t i = 0; fine && i < list->count; i++)
        for (int64_t j = 0; fine && j < list->at[i].map->used; j++)
            if (live_key(list->at[i].map, j)) fine = map_set_take(names->map, list->at[i].map->entry[j].key, VALUE_NONE);
    return fine || vm_out_of_memory(vm);
}

static bool table_of_rows(Vm *vm, const List *list, Table *t)
{
    Value names;
    if (!names_of(vm, list, &names)) return false;
    Shown rows = shown_of(list->count, ROWS_SHOWN), columns = shown_of(names.map->count, COLUMNS_SHOWN);
    bool fine = table_new(vm, t, rows.count, columns.count + 1) && put_heads(vm, t, names.map, &rows, &columns);
    for (int64_t i = 0; fine && i < rows.count; i++) {
        int64_t row = index_at(&rows, i);
        for (int64_t place = 0; row >= 0 && fine && place < columns.count; place++) {
            int64_t index = index_at(&columns, place);
            Value v;
            if (index >= 0 && map_get(list->at[row].map, names.map->entry[index].key, &v))
                fine = put_item(vm, t, i + 1, place + 1, v);
        }
    }
    value_release(names);
    return fine;
}

bool table_of(Vm *vm, Value v, Table *table, bool *found)
{
    *table = (Table){0};
    *found = true;
    bool fine = true;
    int64_t length = v.tag == TAG_MAP ? shared_length(v.map) : -1;
    bool tensor = v.tag == TAG_TENSOR && (v.tensor->ndim == 1 || v.tensor->ndim == 2) && tensor_size(v.tensor) > 0;
    if (tensor && !v.tensor->meta) fine = table_of_tensor(vm, v.tensor, table);
    else if (v.tag == TAG_MAP && all_plain(v.map)) fine = table_of_metrics(vm, v.map, table);
    else if (length > 0) fine = table_of_columns(vm, v.map, length, table);
    else if (v.tag == TAG_LIST && all_maps(v.list)) fine = table_of_rows(vm, v.list, table);
    else *found = false;
    if (fine && *found) return finished(vm, table);
    table_free(table);
    return fine;
}

/* ---- as text ---- */

static int cell_columns(const Text *text)
{
    return text->at ? print_columns(text->at, text->length) : 0;
}

void table_text(const Table *t, Text *out)
{
    int width[COLUMNS_SHOWN + TENSOR_WIDTH] = {0};
    int columns = t->columns < (int)(sizeof width / sizeof *width) ? t->columns : (int)(sizeof width / sizeof *width);
    for (int i = 0; i < (t->rows + 1) * t->columns; i++) {
        int wide = cell_columns(&t->cell[i]), column = i % t->columns;
        if (column < columns && wide > width[column]) width[column] = wide;
    }
    for (int row = t->heads ? 0 : 1; row <= t->rows; row++) {
        if (out->length) text_add(out, "\n", 1);
        int pending = 0;                         /* spaces, written only in front of something */
        for (int column = 0; column < columns; column++) {
            const Text *cell = cell_at(t, row, column);
            int spare = width[column] - cell_columns(cell);
            bool right = t->numeric[column] || (column == 0 && t->heads);
            if (right) pending += spare;
            if (cell->length) {
                text_spaces(out, pending);
                text_add(out, cell->at, cell->length);
                pending = 0;
            }
            pending += 2 + (right ? 0 : spare);
        }
    }
}

/* ---- as HTML ---- */

void html_escape(Text *out, const char *text, size_t length)
{
    for (size_t i = 0, done = 0; i <= length; i++) {
        unsigned char c = i < length ? (unsigned char)text[i] : '\0';
        const char *name = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;"
                         : c == '\'' ? "&#39;" : (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? "" : NULL;
        if (!name) continue;
        text_add(out, text + done, i - done);
        text_string(out, name);
        done = i + 1;
    }
}

static void add_cell(const Table *t, int row, int column, const char *tag, Text *out)
{
    const Text *cell = cell_at(t, row, column);
    text_format(out, t->numeric[column] ? "<%s align=\"right\">" : "<%s align=\"left\">", tag);
    html_escape(out, cell->at ? cell->at : "", cell->length);
    text_format(out, "</%s>", tag);
}

void table_html(const Table *t, Text *out)
{
    text_string(out, "<table>\n");
    for (int row = t->heads ? 0 : 1; row <= t->rows; row++) {
        text_string(out, row == 0 ? "<thead><tr>" : row == 1 ? "<tbody>\n<tr>" : "<tr>");
        for (int column = 0; column < t->columns; column++)
            add_cell(t, row, column, row == 0 || column == 0 ? "th" : "td", out);
        text_string(out, row == 0 ? "</tr></thead>\n" : "</tr>\n");
    }
    text_string(out, "</tbody></table>");
    if (!t->caption.length) return;
    text_string(out, "\n<div>");
    html_escape(out, t->caption.at, t->caption.length);
    text_string(out, "</div>");
}
