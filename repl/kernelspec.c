/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tessera kernel install, uninstall: the folder by which Jupyter finds the kernel. Its files are those of one table; only
   they are written, and only they are removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logo.h"
#include "repl.h"

enum { FAILED = 1, WRONG_USE = 2 };

typedef struct Spec {
    const char *name, *prefix;
    bool sys_prefix;
    char *folder;
} Spec;

static int wrong_use(const char *format, const char *word)
{
    fputs("tessera: ", stderr);
    fprintf(stderr, format, word);
    fputs("\nTry: tessera kernel --help\n", stderr);
    return WRONG_USE;
}

static bool is_name(const char *name)
{
    size_t fine = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    return *name && !name[fine] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* 0, or the exit status. */
static int read_options(int argc, char **argv, Spec *spec)
{
    *spec = (Spec){.name = "tessera"};
    for (int i = 0; i < argc; i++) {
        const char **value = strcmp(argv[i], "--prefix") == 0 ? &spec->prefix
                           : strcmp(argv[i], "--name") == 0 ? &spec->name : NULL;
        if (value && i + 1 == argc) return wrong_use("%s needs a value", argv[i]);
        if (value) *value = argv[++i];
        else if (strcmp(argv[i], "--sys-prefix") == 0) spec->sys_prefix = true;
        else if (strcmp(argv[i], "--user") != 0) return wrong_use("kernel takes no '%s' here", argv[i]);
    }
    if (!is_name(spec->name)) return wrong_use("'%s' is no kernel's name: letters, digits, - . and _", spec->name);
    return 0;
}

/* Where Jupyter looks: under a prefix, or the user's folder of data. */
static int find_folder(Spec *spec)
{
    const char *data = getenv("JUPYTER_DATA_DIR"), *share = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const char *environment = getenv("VIRTUAL_ENV");
    int made = -1;
    if (!environment || !*environment) environment = getenv("CONDA_PREFIX");
    if (spec->sys_prefix) {
        if (!environment || !*environment)
            return wrong_use("%s is for an active environment; VIRTUAL_ENV and CONDA_PREFIX are not set", "--sys-prefix");
        spec->prefix = environment;
    }
    if (spec->prefix) made = asprintf(&spec->folder, "%s/share/jupyter/kernels/%s", spec->prefix, spec->name);
    else if (data && *data) made = asprintf(&spec->folder, "%s/kernels/%s", data, spec->name);
    else if (share && *share == '/') made = asprintf(&spec->folder, "%s/jupyter/kernels/%s", share, spec->name);
    else if (home && *home) made = asprintf(&spec->folder, "%s/.local/share/jupyter/kernels/%s", home, spec->name);
    else {
        fputs("tessera: there is no home folder (HOME is not set)\n  --prefix DIR names another place\n", stderr);
        return FAILED;
    }
    if (made >= 0) return 0;
    fputs("tessera: out of memory\n", stderr);
    return FAILED;
}

/* ---- the files ---- */

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20) fprintf(out, "\\u%04x", (unsigned char)*text);
        else fputc(*text, out);
    }
    fputc('"', out);
}

static unsigned char *make_spec(size_t *length)
{
    char program[4096], *text = NULL;
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    FILE *out = size > 0 ? open_memstream(&text, length) : NULL;
    if (!out) return NULL;
    program[size] = 0;
    fputs("{\n \"argv\": [", out);
    write_string(out, program);
    fputs(", \"kernel\", \"-f\", \"{connection_file}\"],\n \"display_name\": \"Tessera\",\n \"language\": \"tessera\",\n"
          " \"interrupt_mode\": \"message\",\n \"kernel_protocol_version\": \"5.5\",\n"
          " \"metadata\": {\"debugger\": false}\n}\n", out);
    return fclose(out) == 0 ? (unsigned char *)text : NULL;
}

static unsigned char *make_svg(size_t *length)
{
    char *text = logo_svg();
    *length = text ? strlen(text) : 0;
    return (unsigned char *)text;
}

static unsigned char *make_small(size_t *length) { return logo_png(32, length); }
static unsigned char *make_large(size_t *length) { return logo_png(64, length); }

/* kernel.json last: without it the folder is no kernel. */
static const struct { const char *name; unsigned char *(*make)(size_t *length); } files[] = {
    {"logo-32x32.png", make_small},
    {"logo-64x64.png", make_large},
    {"logo-svg.svg", make_svg},
    {"kernel.json", make_spec},
};
enum { FILES = sizeof files / sizeof *files };

static bool write_file(const char *path, const unsigned char *data, size_t length)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return false;
    bool fine = write(file, data, length) == (ssize_t)length;
    int saved = errno;
    fine = close(file) == 0 && fine;
    if (!fine && saved) errno = saved;
    return fine;
}

static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) *slash = 0;
        int made = mkdir(path, 0755);
        if (slash) *slash = '/';
        if (made != 0 && errno != EEXIST) return false;
        if (!slash) return true;
    }
}

static bool write_files(const Spec *spec)
{
    char path[4200];
    for (int i = 0; i < FILES; i++) {
        size_t length;
        unsigned char *data = files[i].make(&length);
        snprintf(path, sizeof path, "%s/%s", spec->folder, files[i].name);
        errno = data ? 0 : ENOMEM;
        bool fine = data && write_file(path, data, length);
        free(data);
        if (!fine) return false;
    }
    return true;
}

static int refused(const Spec *spec, const char *what)
{
    fprintf(stderr, "tessera: cannot %s %s: %s\n", what, spec->folder, strerror(errno));
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        fputs("  --user or --prefix DIR chooses another place\n", stderr);
    return FAILED;
}

static int install(Spec *spec)
{
    if (!make_folders(spec->folder) || !write_files(spec)) return refused(spec, "write to");
    printf("Installed the kernel '%s' in %s\nNotebooks list it as Tessera; tessera kernel uninstall removes it.\n",
           spec->name, spec->folder);
    return 0;
}

static int uninstall(Spec *spec)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/kernel.json", spec->folder);
    if (access(path, F_OK) != 0) {
        fprintf(stderr, "tessera: there is no kernel '%s' in %s\n", spec->name, spec->folder);
        return FAILED;
    }
    for (int i = FILES; i-- > 0;) {
        snprintf(path, sizeof path, "%s/%s", spec->folder, files[i].name);
        if (unlink(path) != 0 && errno != ENOENT) return refused(spec, "remove from");
    }
    if (rmdir(spec->folder) != 0 && errno != ENOTEMPTY) return refused(spec, "remove");
    printf("Removed the kernel '%s' from %s\n", spec->name, spec->folder);
    return 0;
}

int kernelspec_run(bool installing, int argc, char **argv)
{
    Spec spec;
    int status = read_options(argc, argv, &spec);
    if (!status) status = find_folder(&spec);
    if (status) return status;
    status = installing ? install(&spec) : uninstall(&spec);
    free(spec.folder);
    if (fflush(stdout) != 0 && !status) status = FAILED;
    return status;
}
