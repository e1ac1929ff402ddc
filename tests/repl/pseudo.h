/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every test behind a pseudo-terminal needs: whether there is one, and the time. */
#ifndef TESSERA_PSEUDO_H
#define TESSERA_PSEUDO_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Not so in a root folder without /dev/pts. */
static inline bool pty_usable(void)
{
    int trial = posix_openpt(O_RDWR | O_NOCTTY);
    bool usable = trial >= 0 && !grantpt(trial) && !unlockpt(trial);
    const char *side = usable ? ptsname(trial) : NULL;
    usable = side && access(side, R_OK) == 0;
    if (trial >= 0) close(trial);
    return usable;
}

#endif
