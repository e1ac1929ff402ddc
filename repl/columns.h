/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many columns of a terminal a text takes, whatever the locale: wide characters two, combining marks none. */
#ifndef TESSERA_COLUMNS_H
#define TESSERA_COLUMNS_H

#include <stddef.h>

int columns_of(const char *text);
/* The bytes of the longest start that takes at most [columns]. */
size_t columns_cut(const char *text, int columns);

#endif
