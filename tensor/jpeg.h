/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the media module asks of a JPEG file before it has it decoded. */
#ifndef TESSERA_JPEG_H
#define TESSERA_JPEG_H

#include <stdbool.h>
#include <stddef.h>

bool jpeg_is_one(const unsigned char *bytes, size_t length);         /* begins as JPEG files do */
bool jpeg_is_whole(const unsigned char *bytes, size_t length);       /* every scan has the tables that it names */

#endif
