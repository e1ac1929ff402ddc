/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between the language and the module `data`, which reads JSON (with jansson, which it alone links beside
   `media`) and CSV: plain C data on both sides, so that the module needs no symbol of ours. Texts are valid UTF-8. */
#ifndef TESSERA_FORMATS_H
#define TESSERA_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FormatError {
    int64_t line, column;     /* from 1; column 0: the whole line */
    char why[200];            /* "" when a sink stopped the reading, or memory is out */
} FormatError;

/* What is found in a JSON text, in its order. False stops. Texts end in a 0, which is not counted. */
typedef struct JsonSink {
    void *to;
    bool (*null)(void *to);
    bool (*boolean)(void *to, bool b);
    bool (*integer)(void *to, int64_t i);
    bool (*real)(void *to, double d);
    bool (*string)(void *to, const char *text, size_t length);
    bool (*begin)(void *to, bool map, size_t count);
    bool (*key)(void *to, const char *text, size_t length);      /* before each value of a map */
    bool (*end)(void *to);
} JsonSink;

typedef enum CsvKind { CSV_TEXT, CSV_BOOL, CSV_INT, CSV_FLOAT } CsvKind;

typedef struct CsvCell { const char *text; uint32_t length; bool quoted; } CsvCell;   /* ends in a 0 */

typedef struct CsvTable {
    int64_t rows, cells;
    size_t *first;            /* of each row: its first cell; first[rows] == cells */
    int64_t *line;            /* of each row: where it begins, from 1 */
    CsvCell *cell;
    int64_t rows_room, cells_room;
} CsvTable;

typedef struct DataModule {
    bool (*json_read)(const char *text, size_t length, const JsonSink *sink, FormatError *error);
    /* Takes [text], which ends in a 0, apart in place: the cells lie in it. Lines without a character are no rows.
       csv_free also after an error. */
    bool (*csv_read)(char *text, size_t length, char separator, CsvTable *table, FormatError *error);
    void (*csv_free)(CsvTable *table);
    /* What all cells of a column can be, from row [start] on; each of these rows has the column. */
    CsvKind (*csv_kind)(const CsvTable *table, int64_t start, int64_t column);
    /* The values as uint8_t, int64_t or double; what is missing is nan. */
    void (*csv_fill)(const CsvTable *table, int64_t start, int64_t column, CsvKind kind, void *to);
} DataModule;

extern const DataModule tessera_module_data;

#endif
