/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moments as values (builtin_date.c): what operators, printing and files need of them. */
#ifndef TESSERA_DATE_H
#define TESSERA_DATE_H

#include "vm.h"

bool date_is_sound(int64_t micros, int64_t zone);              /* years 1 to 9999, zones below a day */
void date_print(Text *out, Value date);                        /* 2026-11-22T10:00:00Z */
bool date_format(Vm *vm, Value date, const char *spec, Text *out);     /* as strftime: "%d.%m.%Y" */
extern const char *const date_members[];                       /* their names; NULL at the end */
bool date_member(Vm *vm, Value date, const char *name, Value *result, bool *found);
/* date - date, date ± seconds; *handled false when the operator does not mean that. */
bool date_arithmetic(Vm *vm, int op, Value a, Value b, Value *result, bool *handled);

#endif
