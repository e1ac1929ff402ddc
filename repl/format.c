/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tessera fmt`: has the language format files, and writes those that changed or says what would change. A file is
   replaced as a whole or not at all, keeps its permissions, and is not touched when its text stays the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diff.h"
#include "repl.h"

enum { STATUS_FAILED = 1 };

typedef struct Formatting {
    Program *program;
    bool check, diff;
    int status;
} Formatting;

static void say(Formatting *formatting, OutputStream stream, const char *text)
{
    screen_output(&formatting->program->screen, stream, text, strlen(text));
}

static void on_difference(void *to, const char *text, size_t length)
{
    screen_output(&((Formatting *)to)->program->screen, OUTPUT_OUT, text, length);
}

static bool complain(Formatting *formatting, const char *what, const char *path, const char *why)
{
    const char *const pieces[] = {"tessera: ", what, path, ": ", why, "\n"};
    screen_flush(&formatting->program->screen);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) say(formatting, OUTPUT_ERR, pieces[i]);
    formatting->status = STATUS_FAILED;
    return false;
}

static bool write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(file, text, length);
        if (wrote < 0 && errno != EINTR) return false;
        if (wrote < 0) continue;
        text += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

/* Into a file beside it, which then takes its place. errno says why not. */
static bool replace_file(const char *path, const char *text, size_t length)
{
    struct stat info;
    char *target = realpath(path, NULL), *beside = NULL;         /* a link stays a link */
    int file = -1;
    bool made = target && stat(target, &info) == 0 && access(target, W_OK) == 0
                && asprintf(&beside, "%s.XXXXXX", target) >= 0 && (file = mkstemp(beside)) >= 0;
    bool fine = made && write_all(file, text, length) && fchmod(file, info.st_mode & 07777) == 0 && fsync(file) == 0;
    int saved = errno;
    if (made && fchown(file, info.st_uid, info.st_gid) != 0) errno = saved;      /* only root may always */
    if (file >= 0 && close(file) != 0) fine = false;
    fine = fine && rename(beside, target) == 0;
    saved = errno;
    if (made && !fine) unlink(beside);
    free(beside);
    free(target);
    errno = saved;
    return fine;
}

static void take_result(Formatting *formatting, const char *path, const char *old, size_t length, const char *new,
                        size_t made)
{
    bool input = strcmp(path, "-") == 0, changed = made != length || memcmp(old, new, made) != 0;
    const char *name = input ? "<stdin>" : path;
    if (changed && formatting->check) {
        say(formatting, OUTPUT_OUT, name);
        say(formatting, OUTPUT_OUT, "\n");
        formatting->status = STATUS_FAILED;
    }
    if (changed && formatting->diff && !diff_texts(name, old, length, new, made, on_difference, formatting))
        complain(formatting, "", name, "out of memory");
    if (formatting->check || formatting->diff) return;
    if (input) screen_output(&formatting->program->screen, OUTPUT_OUT, new, made);
    else if (changed && !replace_file(path, new, made)) complain(formatting, "cannot write ", path, strerror(errno));
}

static void format_file(Formatting *formatting, const char *path)
{
    const SessionConfig config = {.color = formatting->program->screen.color};
    bool input = strcmp(path, "-") == 0;
    EvalResult result = {0};
    size_t length = 0, made = 0;
    char *old = program_read(input ? NULL : path, &length);
    char *new = old ? session_format(&config, input ? "<stdin>" : path, old, length, &made, &result) : NULL;
    if (!old) complain(formatting, "cannot read ", input ? "standard input" : path, strerror(errno));
    if (old && !new) {
        screen_flush(&formatting->program->screen);
        say(formatting, OUTPUT_ERR, result.error ? result.error : "out of memory");
        say(formatting, OUTPUT_ERR, "\n");
        formatting->status = STATUS_FAILED;
    }
    if (new) take_result(formatting, path, old, length, new, made);
    eval_result_clear(&result);
    free(old);
    free(new);
}

int format_run(Program *program, bool check, bool diff, int count, char **paths)
{
    Formatting formatting = {.program = program, .check = check, .diff = diff};
    for (int i = 0; i < count; i++) format_file(&formatting, paths[i]);
    screen_flush(&program->screen);
    return program_end(program, formatting.status);
}
