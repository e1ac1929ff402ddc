/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of text formats, for load and save (builtin_file.c), and what the files of natives about them share. */
#ifndef TESSERA_TEXTFILE_H
#define TESSERA_TEXTFILE_H

#include "vm.h"

/* A whole file as a string; it must be UTF-8 (builtin_path.c). */
bool path_read_text(Vm *vm, const char *function, const char *path, const char *encoding, Value *result);
/* Writes, or adds at the end of, a file (builtin_path.c). */
bool path_write_bytes(Vm *vm, const char *function, const char *path, bool at_end, const void *data, size_t length);
/* The module `data`, or NULL with the error set (builtin_json.c). */
const struct DataModule *data_module(Vm *vm);

bool json_read(Vm *vm, const char *function, const char *text, size_t length, Value *result);
bool json_write(Vm *vm, const char *function, Value v, Text *out);         /* on one line */
bool json_load(Vm *vm, const char *path, bool lines, Value *result);        /* lines: a list, one value a line */
bool json_save(Vm *vm, Value v, const char *path, bool lines);
bool csv_load(Vm *vm, const char *path, char separator, Value *result);
bool csv_save(Vm *vm, Value v, const char *path, char separator);

#endif
