/* SPDX-License-Identifier: GPL-3.0-or-later */
/* docs/ops.md as the tables make it. */
#ifndef TESSERA_MANUAL_H
#define TESSERA_MANUAL_H

#include <stdio.h>

#include "../lang/lang.h"

void manual_print(FILE *to, Session *session);

#endif
