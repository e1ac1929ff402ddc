/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of values for people: a tensor of one or two axes, a map of metrics, a list of such maps, a map of columns.
   They become text in aligned columns, or HTML in which everything is escaped and no colour is fixed, so that it suits
   light and dark pages. Long ones show their first and last rows and columns. */
#ifndef TESSERA_TABLE_H
#define TESSERA_TABLE_H

#include "vm.h"

typedef struct Table {
    int columns, rows;        /* what is shown; rows without that of heads */
    Text *cell;               /* [rows + 1, columns], the row of heads first; column 0 names the rows */
    bool *numeric;            /* by column: aligned to the right */
    bool heads;               /* the row of heads says something */
    Text caption;
} Table;

/* *found: whether [v] makes a table; table_free it then. False: an error. */
bool table_of(Vm *vm, Value v, Table *table, bool *found);
/* Whether [v] reads best as a table in text too: several named plain values, some of them floats. */
bool table_of_measures(Value v);
void table_free(Table *table);
void table_text(const Table *table, Text *out);
void table_html(const Table *table, Text *out);
/* Text of any kind as text of a page. */
void html_escape(Text *out, const char *text, size_t length);

#endif
