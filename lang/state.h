/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of a value: a map from path to everything in it that changes. For checkpoints and state(x). */
#ifndef TESSERA_STATE_H
#define TESSERA_STATE_H

#include "vm.h"

/* All cells and all plain data of the objects in [root] and of [root] itself. *has_objects: there were any. */
bool state_gather(Vm *vm, Value root, Value *map, bool *has_objects);
/* Puts a map as state_gather gives it back: objects are changed, *result is [root] with its plain data replaced. Names,
   shapes and dtypes of cells are strict; on an error nothing was changed. */
bool state_restore(Vm *vm, const char *function, Value root, const Map *map, Value *result);

#endif
