/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparisons that natives such as sort share with the operators; bind.h has the operators themselves. */
#ifndef TESSERA_ARITH_H
#define TESSERA_ARITH_H

#include "vm.h"

/* -1, 0 or 1 among numbers, strings, bools, and lists and tuples of those; else *comparable becomes false. */
int value_order(Value a, Value b, bool *comparable);
const char *operator_sign(int operator_);                      /* "++" */

#endif
