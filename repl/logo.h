/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The logo of Tessera as files. */
#ifndef TESSERA_LOGO_H
#define TESSERA_LOGO_H

#include <stdbool.h>
#include <stddef.h>

char *logo_svg(void);                                      /* malloc'ed; NULL: memory is out */
unsigned char *logo_png(int side, size_t *length);         /* 32 or 64 pixels a side; likewise */

#endif
