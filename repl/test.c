/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tessera test`: finds the files, runs each in a session of its own, and reports one line a test and a sum. What a test
   is and how it runs is the language's affair (session_test_file). Invariant: whatever fails, the next file runs,
   unless Ctrl-C ended it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repl.h"

enum { STATUS_FAILED = 1, STATUS_INTERRUPTED = 130 };

typedef struct Testing {
    Program *program;
    const char *path;         /* of the file that runs */
    int passed, failed;
    int in_file;              /* tests of it that were reported */
    int status;
} Testing;

/* One line of the report, from four pieces. */
static void say(Testing *testing, const char *a, const char *b, const char *c, const char *d)
{
    Screen *screen = &testing->program->screen;
    const char *pieces[] = {screen->mid_line ? "\n" : "", a, b, c, d, "\n"};
    screen_end_progress(screen);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        screen_output(screen, OUTPUT_OUT, pieces[i], strlen(pieces[i]));
}

/* The line of what failed stands before its error, on a terminal as in a file that takes both streams. */
static void show_failure(Testing *testing, const EvalResult *result)
{
    Screen *screen = &testing->program->screen;
    char left[80];
    const char *text = result->error;
    if (result->status == EVAL_EXIT) {
        snprintf(left, sizeof left, "exit(%d) was called before the end", result->exit_code);
        text = left;
    }
    screen_flush(screen);
    screen_output(screen, OUTPUT_ERR, text ? text : "out of memory", strlen(text ? text : "out of memory"));
    screen_output(screen, OUTPUT_ERR, "\n", 1);
    testing->failed++;
    testing->status = STATUS_FAILED;
}

static void on_test(void *user, const char *name, const EvalResult *result)
{
    Testing *testing = user;
    testing->in_file++;
    if (result->status == EVAL_OK) {
        testing->passed++;
        say(testing, "ok ", name, "  in ", testing->path);
    } else {
        say(testing, "FAILED ", name, "  in ", testing->path);
        show_failure(testing, result);
    }
}

/* False: interrupted, or no session can be had. */
static bool test_file(Testing *testing, const char *path)
{
    Program *program = testing->program;
    EvalResult result;
    testing->path = path;
    testing->in_file = 0;
    if (!program_open(program)) {
        testing->status = STATUS_FAILED;
        return false;
    }
    interrupt_begin(program->session);
    EvalStatus status = session_test_file(program->session, path, on_test, testing, &result);
    interrupt_end();
    if (status == EVAL_OK && testing->in_file == 0) {
        say(testing, path, ": no tests", "", "");
    } else if (status != EVAL_OK && (status != EVAL_INTERRUPTED || result.error)) {
        say(testing, "FAILED ", path, "", "");
        show_failure(testing, &result);
    }
    eval_result_clear(&result);
    int closed = program_close(program, 0);
    if (closed) testing->status = closed;
    if (status == EVAL_INTERRUPTED) testing->status = STATUS_INTERRUPTED;
    return status != EVAL_INTERRUPTED;
}

static int is_source(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 4, ".tsr") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool test_folder(Testing *testing, const char *folder)
{
    struct dirent **entry = NULL;
    size_t n = strlen(folder);
    const char *slash = n && folder[n - 1] == '/' ? "" : "/";
    bool going = true;
    int count = scandir(folder, &entry, is_source, by_name);
    if (count <= 0) {
        say(testing, "FAILED ", folder, ": ", count < 0 ? strerror(errno) : "there is no .tsr file in this folder");
        testing->failed++;
        testing->status = STATUS_FAILED;
    }
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (going && asprintf(&path, "%s%s%s", folder, slash, entry[i]->d_name) < 0) path = NULL;
        going = going && path && test_file(testing, path);
        free(path);
        free(entry[i]);
    }
    free(entry);
    return going;
}

int test_run(Program *program, int count, char **paths)
{
    Testing testing = {.program = program};
    bool going = true;
    for (int i = 0; i < count && going; i++) {
        struct stat info;
        bool folder = stat(paths[i], &info) == 0 && S_ISDIR(info.st_mode);
        going = folder ? test_folder(&testing, paths[i]) : test_file(&testing, paths[i]);
    }
    char passed[16], failed[16];
    snprintf(passed, sizeof passed, "%d", testing.passed);
    snprintf(failed, sizeof failed, "%d", testing.failed);
    say(&testing, passed, " passed, ", failed, " failed");
    screen_flush(&program->screen);
    bool nothing = testing.passed + testing.failed == 0;
    return testing.status ? testing.status : nothing || program->screen.out_error ? STATUS_FAILED : 0;
}
