/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tessera kernel install, uninstall: the folder by which Jupyter finds the kernel, and the extension by which JupyterLab
   colours it. Their files are those of one table; only they are written, and only they are removed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logo.h"
#include "repl.h"

enum { FAILED = 1, WRONG_USE = 2 };

typedef struct Spec {
    const char *name, *prefix;
    bool sys_prefix;
    char *data;               /* Jupyter's folder that both stand in */
    char *folder[2];          /* by Where */
} Spec;

typedef enum Where { KERNEL, EXTENSION } Where;

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
static int find_data(Spec *spec)
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
    if (spec->prefix) made = asprintf(&spec->data, "%s/share/jupyter", spec->prefix);
    else if (data && *data) made = asprintf(&spec->data, "%s", data);
    else if (share && *share == '/') made = asprintf(&spec->data, "%s/jupyter", share);
    else if (home && *home) made = asprintf(&spec->data, "%s/.local/share/jupyter", home);
    else {
        fputs("tessera: there is no home folder (HOME is not set)\n  --prefix DIR names another place\n", stderr);
        return FAILED;
    }
    if (made < 0) spec->data = NULL;
    if (spec->data && asprintf(&spec->folder[KERNEL], "%s/kernels/%s", spec->data, spec->name) >= 0
        && asprintf(&spec->folder[EXTENSION], "%s/labextensions/tessera-highlight", spec->data) >= 0) return 0;
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
          " \"metadata\": {\"debugger\": true, \"supported_encryption\": [\"curve\"]}\n}\n", out);
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

static unsigned char *make_package(size_t *length)
{
    return (unsigned char *)language_editor_file("jupyterlab/package.json", length);
}

static unsigned char *make_plugin(size_t *length)
{
    return (unsigned char *)language_editor_file("jupyterlab/static/tessera.js", length);
}

static unsigned char *make_mode(size_t *length)
{
    return (unsigned char *)language_editor_file("notebook/kernel.js", length);
}

/* package.json and kernel.json last: without them the folders are no extension and no kernel. */
static const struct { Where where; const char *name; unsigned char *(*make)(size_t *length); } files[] = {
    {EXTENSION, "static/tessera.js", make_plugin},
    {EXTENSION, "package.json", make_package},
    {KERNEL, "kernel.js", make_mode},
    {KERNEL, "logo-32x32.png", make_small},
    {KERNEL, "logo-64x64.png", make_large},
    {KERNEL, "logo-svg.svg", make_svg},
    {KERNEL, "kernel.json", make_spec},
};
enum { FILES = sizeof files / sizeof *files };

static void file_path(const Spec *spec, int i, char *path, size_t room)
{
    snprintf(path, room, "%s/%s", spec->folder[files[i].where], files[i].name);
}

static int refused(const char *what, const char *folder)
{
    fprintf(stderr, "tessera: cannot %s %s: %s\n", what, folder, strerror(errno));
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        fputs("  --user or --prefix DIR chooses another place\n", stderr);
    return FAILED;
}

static int install(Spec *spec)
{
    char path[4200];
    for (int i = 0; i < FILES; i++) {
        size_t length;
        unsigned char *data = files[i].make(&length);
        file_path(spec, i, path, sizeof path);
        errno = data ? 0 : ENOMEM;
        bool fine = data && program_write(path, data, length);
        free(data);
        if (!fine) return refused("write to", spec->folder[files[i].where]);
    }
    printf("Installed the kernel '%s' in %s\nand its colours for JupyterLab in %s\n"
           "Notebooks list it as Tessera; tessera kernel uninstall removes it.\n",
           spec->name, spec->folder[KERNEL], spec->folder[EXTENSION]);
    return 0;
}

static bool is_tessera(const char *kernels, const char *name)
{
    static const char language[] = "\"language\": \"tessera\"";
    char *path = NULL;
    size_t length;
    char *text = asprintf(&path, "%s/%s/kernel.json", kernels, name) >= 0 ? program_read(path, &length) : NULL;
    bool found = text && memmem(text, length, language, sizeof language - 1);
    free(path);
    free(text);
    return found;
}

/* A Tessera under another name needs the colours too. */
static bool is_extension_needed(const Spec *spec)
{
    char kernels[4200];
    snprintf(kernels, sizeof kernels, "%s/kernels", spec->data);
    DIR *folder = opendir(kernels);
    bool needed = false;
    for (struct dirent *entry; folder && !needed && (entry = readdir(folder));)
        needed = strcmp(entry->d_name, spec->name) != 0 && is_tessera(kernels, entry->d_name);
    if (folder) closedir(folder);
    return needed;
}

static bool remove_folder(const char *folder)
{
    return rmdir(folder) == 0 || errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT;
}

static int uninstall(Spec *spec)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/kernel.json", spec->folder[KERNEL]);
    if (access(path, F_OK) != 0) {
        fprintf(stderr, "tessera: there is no kernel '%s' in %s\n", spec->name, spec->folder[KERNEL]);
        return FAILED;
    }
    bool keep = is_extension_needed(spec);
    for (int i = FILES; i-- > 0;) {
        if (keep && files[i].where == EXTENSION) continue;
        file_path(spec, i, path, sizeof path);
        if (unlink(path) != 0 && errno != ENOENT) return refused("remove from", spec->folder[files[i].where]);
    }
    snprintf(path, sizeof path, "%s/static", spec->folder[EXTENSION]);
    if (!keep && (!remove_folder(path) || !remove_folder(spec->folder[EXTENSION])))
        return refused("remove", spec->folder[EXTENSION]);
    if (!remove_folder(spec->folder[KERNEL])) return refused("remove", spec->folder[KERNEL]);
    printf("Removed the kernel '%s' from %s\n", spec->name, spec->folder[KERNEL]);
    return 0;
}

int kernelspec_run(bool installing, int argc, char **argv)
{
    Spec spec;
    int status = read_options(argc, argv, &spec);
    if (!status) status = find_data(&spec);
    if (!status) status = installing ? install(&spec) : uninstall(&spec);
    free(spec.data);
    free(spec.folder[KERNEL]);
    free(spec.folder[EXTENSION]);
    if (fflush(stdout) != 0 && !status) status = FAILED;
    return status;
}
