/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The difference between a text and the same text formatted, as `diff -u` shows it. */
#ifndef TESSERA_DIFF_H
#define TESSERA_DIFF_H

#include <stdbool.h>
#include <stddef.h>

typedef void DiffWrite(void *to, const char *text, size_t length);

/* The texts may differ in blanks and line ends alone. False: memory is out. */
bool diff_texts(const char *path, const char *old, size_t old_length, const char *new, size_t new_length,
                DiffWrite *write, void *to);

#endif
