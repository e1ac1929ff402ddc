/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session whose output is kept. A test file includes it once. */
#ifndef TESSERA_OPENED_H
#define TESSERA_OPENED_H

#include <string.h>

#include "../../lang/lang.h"
#include "../tap.h"

static char printed[1 << 16];

static void output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    size_t used = strlen(printed), room = sizeof printed - 1 - used;
    memcpy(printed + used, text, length < room ? length : room);
    printed[used + (length < room ? length : room)] = 0;
}

static Session *open_session(void)
{
    SessionConfig config = {.output = output, .width = 80};
    return session_new(&config);
}

#endif
