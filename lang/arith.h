/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparisons that natives such as sort share with the operators; bind.h has the operators themselves. */
#ifndef TESSERA_ARITH_H
#define TESSERA_ARITH_H

#include "vm.h"

/* -1, 0 or 1 among numbers, strings, bools, and lists and tuples of those; else *comparable becomes false. */
int value_order(Value a, Value b, bool *comparable);
const char *operator_sign(int operator_);                      /* "++" */
/* Adds the items of a set, list, tuple or range to the set in *slot, in place when nothing else holds it. */
bool set_extend(Vm *vm, const char *function, Value *slot, Value items);

#endif
