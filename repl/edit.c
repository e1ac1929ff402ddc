/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user's own editor ($VISUAL, $EDITOR, else vi) on the terminal, for :edit. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repl.h"

extern char **environ;

/* Ctrl-C is the editor's while it runs. */
static int run_shell(const char *command, const char *path, const char *line)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, "sh", (char *)(uintptr_t)path,
                               (char *)(uintptr_t)line, NULL};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    pid_t child;
    int status = -1;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    sigaction(SIGINT, &ignore, &before);
    int failed = posix_spawn(&child, "/bin/sh", NULL, &attributes, arguments, environ);
    while (!failed && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    sigaction(SIGINT, &before, NULL);
    posix_spawnattr_destroy(&attributes);
    return failed ? -1 : status;
}

bool program_edit(void *user, const char *path, int line, char **error)
{
    Program *program = user;
    char at[24], command[600];
    const char *editor = getenv("VISUAL");
    if (!editor || !*editor) editor = getenv("EDITOR");
    if (!editor || !*editor) editor = "vi";
    screen_flush(&program->screen);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        *error = strdup("it needs a terminal");
        return false;
    }
    snprintf(at, sizeof at, "+%d", line);
    snprintf(command, sizeof command, "exec %s \"$2\" \"$1\"", editor);
    int status = run_shell(command, path, at);
    if (status == 0) return true;
    int shown = WIFEXITED(status) ? WEXITSTATUS(status) : status;
    if (asprintf(error, "%s ended with status %d", editor, shown) < 0) *error = NULL;
    return false;
}
