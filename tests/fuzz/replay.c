/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gives files to the fuzz target without a fuzzer: those named, or all that tests/fuzz/regressions holds, each compiled and
   run. A finding ends the program. Speaks TAP. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    static uint8_t text[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    bool read = file && !ferror(file);
    if (file) fclose(file);
    uint8_t *copy = malloc(length ? length : 1);         /* as long as it is, so that sanitizers see its end */
    if (!copy) abort();
    memcpy(copy, text, length);
    printf("# %s\n", path);                              /* who it was, should it end here */
    fflush(stdout);
    setenv("TESSERA_FUZZ", "compile", 1);
    LLVMFuzzerTestOneInput(copy, length);
    setenv("TESSERA_FUZZ", "run", 1);
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
    tap_ok(read, "%s", path);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    const char *top = getenv("SRCDIR") ? getenv("SRCDIR") : ".";
    struct dirent **entry = NULL;
    char *folder = NULL;
    for (int i = 1; i < argc; i++) replay(argv[i]);
    if (argc > 1) return tap_end();
    if (asprintf(&folder, "%s/tests/fuzz/regressions", top) < 0) abort();
    int count = scandir(folder, &entry, is_visible, alphasort);
    tap_ok(count > 0, "there are regressions in %s", folder);
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", folder, entry[i]->d_name) < 0) abort();
        replay(path);
        free(path);
        free(entry[i]);
    }
    free(entry);
    free(folder);
    return tap_end();
}
