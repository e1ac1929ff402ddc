/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tessera editors: the files by which other editors colour Tessera, written to a folder. What they say is the language's
   business (language_editor_file). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repl.h"

static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int made = mkdir(path, 0755);
        *slash = '/';
        if (made != 0 && errno != EEXIST) return false;
    }
    return true;
}

bool program_write(char *path, const void *data, size_t length)
{
    if (!make_folders(path)) return false;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return false;
    const char *at = data;
    int saved = 0;
    while (length > 0 && !saved) {
        ssize_t written = write(file, at, length);
        if (written < 0 && errno != EINTR) saved = errno;
        if (written <= 0) continue;
        at += written;
        length -= (size_t)written;
    }
    if (close(file) != 0 && !saved) saved = errno;
    errno = saved;
    return saved == 0;
}

int editors_run(const char *folder)
{
    const char *name;
    int count = 0;
    while ((name = language_editor_name(count))) {
        char path[4200];
        size_t length;
        char *text = language_editor_file(name, &length);
        bool fits = snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path;
        errno = !text ? ENOMEM : ENAMETOOLONG;
        bool fine = text && fits && program_write(path, text, length);
        free(text);
        if (!fine) {
            fprintf(stderr, "tessera: cannot write %s: %s\n", path, strerror(errno));
            return 1;
        }
        count++;
    }
    printf("Wrote %d files to %s; README.md there says what each editor does with them.\n", count, folder);
    return fflush(stdout) == 0 ? 0 : 1;
}
