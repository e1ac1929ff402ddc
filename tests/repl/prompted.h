/* SPDX-License-Identifier: GPL-3.0-or-later */
/* $TESSERA on a terminal without colours, by talk.h: keys, and the text that must appear. A test file includes it once. */
#ifndef TESSERA_PROMPTED_H
#define TESSERA_PROMPTED_H

#include <stdlib.h>
#include <unistd.h>

#include "talk.h"

static bool start(const char *program, char *const *arguments, const char *folder, unsigned short rows,
                  unsigned short columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    n_seen = looked = 0;
    child = forkpty(&terminal, NULL, NULL, &size);
    if (child == 0) {
        setenv("TERM", "xterm", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        setenv("NO_COLOR", "1", 1);
        if (!folder || chdir(folder) == 0) execv(program, arguments);
        _exit(127);
    }
    return child > 0;
}

static void expect(const char *keys, const char *text, const char *name)
{
    if (keys) type(keys);
    size_t before = looked;
    if (!tap_ok(wait_for(text, 20), "%s", name)) tap_note("no \"%s\" in: %s", text, seen + before);
}

#endif
