/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int event_new(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void event_signal(int event)
{
    const uint64_t one = 1;
    int saved = errno;
    while (write(event, &one, sizeof one) < 0 && errno == EINTR) continue;
    errno = saved;
}

void event_forget(int event)
{
    uint64_t count;
    while (read(event, &count, sizeof count) < 0 && errno == EINTR) continue;
}
