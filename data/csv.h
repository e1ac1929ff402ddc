/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The half of the module `data` that reads CSV; formats.h says what each function does. */
#ifndef TESSERA_CSV_H
#define TESSERA_CSV_H

#include "../lang/formats.h"

bool csv_read(char *text, size_t length, char separator, CsvTable *table, FormatError *error);
void csv_free(CsvTable *table);
CsvKind csv_kind(const CsvTable *table, int64_t start, int64_t column);
void csv_fill(const CsvTable *table, int64_t start, int64_t column, CsvKind kind, void *to);

#endif
