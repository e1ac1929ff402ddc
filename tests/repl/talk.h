/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program behind a pseudo-terminal as a stream: keys go in, texts are waited for in what comes out. terminal.h has the
   screen instead. A test file includes it once, and forks [child] onto [terminal] itself. */
#ifndef TESSERA_TALK_H
#define TESSERA_TALK_H

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../tap.h"
#include "pseudo.h"

static int terminal;
static pid_t child;
static char seen[1 << 18];
static size_t n_seen, looked;            /* what was looked at already lies before [looked] */

/* Reads until [text] has appeared behind what was found before. */
static bool wait_for(const char *text, double seconds)
{
    double end = now() + seconds;
    for (;;) {
        seen[n_seen] = 0;
        const char *found = strstr(seen + looked, text);
        if (found) {
            looked = (size_t)(found - seen) + strlen(text);
            return true;
        }
        struct pollfd input = {.fd = terminal, .events = POLLIN};
        int left = (int)((end - now()) * 1000);
        if (left <= 0 || n_seen + 4096 >= sizeof seen || poll(&input, 1, left) <= 0) return false;
        ssize_t got = read(terminal, seen + n_seen, 4096);
        if (got <= 0) return false;
        for (ssize_t i = 0; i < got; i++)
            if (!seen[n_seen + (size_t)i]) seen[n_seen + (size_t)i] = '?';
        n_seen += (size_t)got;
    }
}

static void type(const char *keys)
{
    if (write(terminal, keys, strlen(keys)) < 0) tap_note("cannot type: %s", strerror(errno));
}

/* Waits for the end of the program: its exit status, or -1 when it had to be killed. */
static int finish(void)
{
    int status = -1;
    double end = now() + 20;
    while (now() < end) {
        wait_for("\001 never", 0.02);
        if (waitpid(child, &status, WNOHANG) == child) {
            while (wait_for("\001 never", 0.02)) {}
            close(terminal);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(terminal);
    return -1;
}

#endif
