/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tessera check`: reads the files, prints what session_check finds in each, and sums up. Findings go to standard
   output, for they are what the command is asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repl.h"

enum { STATUS_FINDINGS = 1 };

typedef struct Checking {
    Program *program;
    int errors, warnings;     /* in the file that is looked at */
} Checking;

static void say(Checking *checking, const char *text)
{
    screen_output(&checking->program->screen, OUTPUT_OUT, text, strlen(text));
}

static void on_finding(void *user, const CheckFinding *finding)
{
    Checking *checking = user;
    checking->errors += finding->severity == CHECK_ERROR;
    checking->warnings += finding->severity == CHECK_WARNING;
    say(checking, finding->text);
    say(checking, "\n\n");
}

static void sum_up(Checking *checking, const char *name)
{
    char text[80];
    int errors = checking->errors, warnings = checking->warnings, n = 0;
    if (errors || !warnings)
        n = snprintf(text, sizeof text, "%d error%s", errors, errors == 1 ? "" : "s");
    if (warnings)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%d warning%s", n ? ", " : "", warnings,
                      warnings == 1 ? "" : "s");
    say(checking, errors || warnings ? text : "no errors");
    say(checking, " in ");
    say(checking, name);
    say(checking, "\n");
}

static bool check_file(Checking *checking, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "<stdin>" : path;
    size_t length;
    char *text = program_read(standard ? NULL : path, &length);
    if (!text) {
        fprintf(stderr, "tessera: cannot read %s: %s\n", standard ? "standard input" : path, strerror(errno));
        return false;
    }
    checking->errors = checking->warnings = 0;
    bool fine = session_check(checking->program->session, name, text, length, on_finding, checking);
    free(text);
    if (!fine) {
        fputs("tessera: out of memory\n", stderr);
        return false;
    }
    sum_up(checking, name);
    return checking->errors == 0;
}

int check_run(Program *program, int count, char **paths)
{
    Checking checking = {.program = program};
    bool fine = true;
    if (!program_open(program))
        return STATUS_FINDINGS;
    for (int i = 0; i < count; i++)
        fine = check_file(&checking, paths[i]) && fine;
    return program_close(program, fine ? 0 : STATUS_FINDINGS);
}
