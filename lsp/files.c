/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths and uris, files on disk, and the library's sources: they lie in the program, so that a file to look at is written
   into the user's cache when somebody goes to a definition there. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lsp.h"

enum { FILES_MOST = 2000, DEPTH_MOST = 12 };
#define FILE_MOST ((size_t)8 << 20)

/* ---- uris ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *path_of_uri(const char *uri)
{
    if (strncasecmp(uri, "file:", 5) != 0) return strdup(uri);
    const char *at = uri + 5;
    if (!strncmp(at, "//", 2)) at += 2 + strcspn(at + 2, "/");      /* a host, mostly none */
    char *path = malloc(strlen(at) + 1), *end = path;
    if (!path) return NULL;
    for (; *at && *at != '?' && *at != '#'; at++) {
        bool escaped = *at == '%' && digit(at[1]) >= 0 && digit(at[2]) >= 0;
        int c = escaped ? digit(at[1]) * 16 + digit(at[2]) : 0;
        if (escaped) at += 2;
        if (!escaped) *end++ = *at;
        else if (c) *end++ = (char)c;
    }
    *end = 0;
    return path;
}

char *uri_of_path(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    if (*path != '/') return strdup(path);
    char *uri = malloc(3 * strlen(path) + 8), *at = uri;
    if (!uri) return NULL;
    at += sprintf(at, "file://");
    for (; *path; path++) {
        if (strchr(plain, *path)) *at++ = *path;
        else at += sprintf(at, "%%%02X", (unsigned char)*path);
    }
    *at = 0;
    return uri;
}

/* ---- files ---- */

char *file_read(const char *path, size_t *length)
{
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || (size_t)about.st_size > FILE_MOST) return NULL;
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc((size_t)about.st_size + 1) : NULL;
    if (text) {
        *length = fread(text, 1, (size_t)about.st_size, file);
        text[*length] = 0;
    }
    if (file) fclose(file);
    return text;
}

char *opened_text(void *user, const char *path, size_t *length)
{
    Group *group = group_of_path(user, path);
    if (!group || !group->texts) return NULL;
    char *copy = malloc(group->texts->length + 1);
    if (!copy) return NULL;
    *length = group->texts->length;
    memcpy(copy, group->texts->text, *length);
    copy[*length] = 0;
    return copy;
}

static bool make_folders(char *path)
{
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            bool fine = mkdir(path, 0777) == 0 || errno == EEXIST;
            *at = '/';
            if (!fine) return false;
        }
    return true;
}

static bool same_file(const char *path, const char *text, size_t length)
{
    size_t size = 0;
    char *known = file_read(path, &size);
    bool same = known && size == length && !memcmp(known, text, length);
    free(known);
    return same;
}

char *library_path(const Server *server, const char *path)
{
    char file[4096], fresh[4120];
    size_t length = 0;
    if (server->library) {
        snprintf(file, sizeof file, "%s/%s", server->library, path);
        return realpath(file, NULL);
    }
    const char *text = session_embedded(path, &length), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (!text || (!(cache && *cache == '/') && !home)) return NULL;
    bool own = cache && *cache == '/';
    int n = snprintf(file, sizeof file, "%s%s/tessera/library-%s/%s", own ? cache : home, own ? "" : "/.cache",
                     session_version(), path);
    if (n < 0 || (size_t)n >= sizeof file) return NULL;
    if (same_file(file, text, length)) return strdup(file);
    snprintf(fresh, sizeof fresh, "%s.%ld", file, (long)getpid());
    FILE *out = make_folders(fresh) ? fopen(fresh, "wb") : NULL;
    bool fine = out && fwrite(text, 1, length, out) == length;
    fine = out && fclose(out) == 0 && fine;
    fine = fine && chmod(fresh, 0444) == 0 && rename(fresh, file) == 0;
    if (!fine) unlink(fresh);
    return fine ? strdup(file) : NULL;
}

/* The page of a kind of error: installed, or beside the program in a source tree. */
char *error_page(const char *kind)
{
    char program[4096], page[4400];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    snprintf(page, sizeof page, "%s/errors/%s.md", DOCDIR, kind);
    for (int up = 0; up < 3 && access(page, R_OK) != 0; up++) {
        char *slash = strrchr(program, '/');
        if (!slash) return NULL;
        *slash = 0;
        snprintf(page, sizeof page, "%s/docs/errors/%s.md", program, kind);
    }
    return access(page, R_OK) == 0 ? uri_of_path(page) : NULL;
}

/* ---- places in files ---- */

static json_t *location(const Server *server, const char *path, const char *text, size_t length, size_t start, size_t end)
{
    Lines lines;
    char *uri = uri_of_path(path);
    json_t *made = NULL;
    if (uri && lines_make(&lines, text, length)) {
        made = json_pack("{ss so}", "uri", uri, "range", lines_range(&lines, server->encoding, start, end));
        lines_clear(&lines);
    }
    free(uri);
    return made;
}

json_t *file_location(Server *server, const char *path, bool library, size_t start, size_t end)
{
    Group *group = library ? NULL : group_of_path(server, path);
    size_t length = 0;
    if (!group) {
        for (Group *any = server->groups; any && !library; any = any->next)
            if (!strcmp(any->path, path)) group = any;
    }
    if (group && group_text(group)) {
        const char *uri = NULL;
        json_t *range = group_range(server, group, start, end, &uri);
        return range ? json_pack("{ss so}", "uri", uri, "range", range) : NULL;
    }
    char *file = library ? library_path(server, path) : strdup(path);
    char *text = file ? file_read(file, &length) : NULL;
    json_t *made = text ? location(server, file, text, length, start, end) : NULL;
    free(text);
    free(file);
    return made;
}

/* ---- the workspace ---- */

typedef struct Scan { Server *server; FileVisit *visit; void *to; int seen; } Scan;

static void scan(Scan *s, const char *folder, int depth)
{
    DIR *files = depth < DEPTH_MOST ? opendir(folder) : NULL;
    struct dirent *entry;
    while (files && s->seen < FILES_MOST && (entry = readdir(files))) {
        char path[4096];
        struct stat about;
        int n = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof path || !strcmp(entry->d_name, "node_modules")) continue;
        if (lstat(path, &about) != 0) continue;      /* no links: they may go in circles */
        if (S_ISDIR(about.st_mode)) scan(s, path, depth + 1);
        else if (S_ISREG(about.st_mode) && length > 4 && !strcmp(entry->d_name + length - 4, ".tsr")) {
            s->seen++;
            s->visit(s->server, path, s->to);
        }
    }
    if (files) closedir(files);
}

void files_visit(Server *server, FileVisit *visit, void *to)
{
    Scan s = {server, visit, to, 0};
    size_t i;
    json_t *root;
    json_array_foreach(server->roots, i, root) {
        char *folder = strdup(json_string_value(root));
        size_t length = folder ? strlen(folder) : 0;
        while (length > 1 && folder[length - 1] == '/') folder[--length] = 0;
        if (folder && *folder == '/') scan(&s, folder, 0);
        free(folder);
    }
}
