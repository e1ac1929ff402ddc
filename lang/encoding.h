/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes as text and back, in UTF-8 and in what the C library's iconv knows. */
#ifndef TESSERA_ENCODING_H
#define TESSERA_ENCODING_H

#include "vm.h"

/* [bytes] as a string, a byte order mark left out. Errors say where: [what] is the file's path or "". */
bool encoding_decode(Vm *vm, const char *function, const char *what, const char *bytes, size_t length,
                     const char *encoding, Value *result);
/* A string's bytes in that encoding are added to [out]. */
bool encoding_encode(Vm *vm, const char *function, const String *text, const char *encoding, Text *out);
/* What is wrong with bytes of UTF-8: the message names line, column and byte. False. */
bool encoding_refuse(Vm *vm, const char *function, const char *what, const char *bytes, size_t length, size_t bad,
                     int64_t lines_before);

#endif
