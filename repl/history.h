/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file of what was typed, which several sessions may write at once: each entry is on the disk before it runs. */
#ifndef TESSERA_HISTORY_H
#define TESSERA_HISTORY_H

#include <stdbool.h>

/* Opens [path], whose folders are made, and tells of its newest thousands of entries, oldest first. NULL: nothing is kept. */
void history_open(const char *path, void (*entry)(const char *text));
/* False, with errno: it could not be kept. */
bool history_add(const char *text);
void history_close(void);

#endif
