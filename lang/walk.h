/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking values that hold objects: every cell once, with its path, ties met a second time left out. The order is that
   of the fields and containers, so it is the same in every run. */
#ifndef TESSERA_WALK_H
#define TESSERA_WALK_H

#include "vm.h"

typedef struct PointerSet { const void **slot; size_t room, count; } PointerSet;
bool pointer_set_add(PointerSet *set, const void *pointer, bool *added);   /* false: memory is out */
void pointer_set_free(PointerSet *set);

typedef struct Cell {
    Object *object;           /* borrowed: the walked value keeps it alive */
    int field;
    char *path;               /* "blocks.0.qkv.weight"; owned */
} Cell;

typedef struct CellList {
    Cell *at;
    int count, room;
} CellList;

enum { WALK_PARAMS = 1, WALK_BUFFERS = 2, WALK_UNFROZEN = 4 };   /* UNFROZEN: leave out cells of frozen objects */

/* Appends the cells in [root] that [what] asks for; empty cells (none) are left out. */
bool walk_cells(Vm *vm, Value root, unsigned what, CellList *cells);
void cells_clear(CellList *cells);

/* Calls [visit] once for every object in [root], outermost first. */
typedef bool WalkObject(Vm *vm, Object *object, void *to);
bool walk_objects(Vm *vm, Value root, WalkObject *visit, void *to);

#endif
