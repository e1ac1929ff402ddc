/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data values as text, for the metadata of checkpoints: JSON, in which what JSON lacks is an object of one member:
   {"tuple": […]} {"map": [[key, value], …]} {"range": [a, b, c]} {"float": "nan"} {"scalar": ["f32", 0.5]} and
   {"tensor": "name"} for a tensor that is stored beside the text. */
#ifndef TESSERA_NOTATION_H
#define TESSERA_NOTATION_H

#include "vm.h"

/* Numbers, bools, none, strings, tensors, ranges, and lists, tuples and maps of those. */
bool notation_is_data(Value v);

/* [keep] stores a tensor and says under which name: a string (owned), or false with the error set. */
typedef bool NotationKeep(void *to, Value tensor, Value *name);
bool notation_write(Vm *vm, Value v, NotationKeep *keep, void *to, Text *out);

/* Reads one value; tensors come from [tensors], a map from name to value, and are removed from [unused]. */
bool notation_read(Vm *vm, const String *text, const Map *tensors, Map *unused, Value *result);

#endif
