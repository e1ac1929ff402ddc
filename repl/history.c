/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history file: for each entry a line `#SECONDS`, then its lines, as readline writes them. Entries are appended under
   a lock; a file that has grown too large is replaced by its newer half under the same lock, and whoever then waits for
   the lock of the old file opens the new one. What is broken in it is left out. */
#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20, ENTRY_BYTES = 1 << 18, STAMP_DIGITS = 9, ENTRIES_TOLD = 5000 };

static char *history_path;

/* `#` and at least nine digits, to the end of the line. */
static bool is_stamp(const char *line, size_t length)
{
    if (length <= STAMP_DIGITS || line[0] != '#') return false;
    return strspn(line + 1, "0123456789") >= length - 1;
}

static bool is_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) return false;
    }
    return length > 0 && length <= ENTRY_BYTES;
}

/* Tells of the entry text[start, end), whose last newline is not part of it. */
static void tell(char *text, size_t start, size_t end, void (*entry)(const char *text))
{
    while (end > start && text[end - 1] == '\n') end--;
    if (!is_text(text + start, end - start)) return;
    char kept = text[end];
    text[end] = 0;
    entry(text + start);
    text[end] = kept;
}

/* Where the entries that are told of begin: most files have fewer. */
static size_t first_told(const char *text, size_t length)
{
    int entries = 0;
    for (size_t at = length; at > 0; at--) {
        bool starts = at == 1 || text[at - 2] == '\n';
        if (!starts || text[at - 1] != '#') continue;
        const char *end = memchr(text + at - 1, '\n', length - at + 1);
        if (end && is_stamp(text + at - 1, (size_t)(end - text) - at + 1) && ++entries == ENTRIES_TOLD) return at - 1;
    }
    return 0;
}

/* [text] has a 0 behind it. Lines before the first stamp are entries of their own. */
static void tell_all(char *text, size_t length, void (*entry)(const char *text))
{
    size_t start = first_told(text, length);
    bool stamped = false;
    for (size_t at = start; at < length;) {
        char *end = memchr(text + at, '\n', length - at);
        size_t next = end ? (size_t)(end - text) + 1 : length, size = next - at - (end != NULL);
        bool stamp = is_stamp(text + at, size);
        if (stamp || !stamped) {
            if (at > start) tell(text, start, at, entry);
            start = stamp ? next : at;
            stamped = stamped || stamp;
        }
        at = next;
    }
    tell(text, start, length, entry);
}

/* The file, malloc'ed with a 0 behind it; of a very large one the end. */
static char *read_end(int file, size_t *length)
{
    struct stat about;
    *length = 0;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) return NULL;
    off_t skipped = about.st_size > 4 * FILE_BYTES ? about.st_size - 4 * FILE_BYTES : 0;
    size_t room = (size_t)(about.st_size - skipped);
    char *text = malloc(room + 1);
    while (text && *length < room) {
        ssize_t got = pread(file, text + *length, room - *length, skipped + (off_t)*length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        *length += (size_t)got;
    }
    if (text) text[*length] = 0;
    return text;
}

static bool write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* The file under its lock, or -1: again if another session replaced it meanwhile. */
static int open_locked(void)
{
    for (int tries = 0; tries < 100; tries++) {
        struct stat here, there;
        int file = open(history_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file < 0) return -1;
        while (flock(file, LOCK_EX) != 0)
            if (errno != EINTR) return file;             /* a file system without locks: better kept than not */
        if (fstat(file, &here) == 0 && stat(history_path, &there) == 0 && here.st_ino == there.st_ino
            && here.st_dev == there.st_dev)
            return file;
        close(file);
    }
    errno = EAGAIN;
    return -1;
}

/* The newer half of a locked file that has become too large takes its place. */
static void shorten(int file)
{
    size_t length;
    char *text = read_end(file, &length), *path = NULL;
    if (!text || length <= FILE_BYTES || asprintf(&path, "%s.new", history_path) < 0) {
        free(text);
        return;
    }
    size_t start = length - FILE_BYTES / 2;
    while (start < length && !(text[start - 1] == '\n' && is_stamp(text + start, strcspn(text + start, "\n")))) start++;
    int made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool fine = made >= 0 && write_all(made, text + start, length - start) && fsync(made) == 0;
    if (made >= 0) close(made);
    if (!fine || rename(path, history_path) != 0) unlink(path);
    free(path);
    free(text);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);                               /* mostly there already; a failure shows when writing */
        *slash = '/';
    }
}

void history_open(const char *path, void (*entry)(const char *text))
{
    size_t length;
    history_path = path ? strdup(path) : NULL;
    if (!history_path) return;
    make_folders(history_path);
    int file = open(history_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = file >= 0 ? read_end(file, &length) : NULL;
    if (text) tell_all(text, length, entry);
    free(text);
    if (file >= 0) close(file);
}

/* The entry as the file has it: a line of it that looks like a stamp, which is a comment, moves by a space. */
static char *spelled(const char *text, size_t *length)
{
    size_t lines = 1;
    for (const char *at = text; *at; at++) lines += *at == '\n';
    char *made = malloc(strlen(text) + lines + 32);
    if (!made) return NULL;
    size_t used = (size_t)sprintf(made, "#%010lld\n", (long long)time(NULL));
    while (*text) {
        size_t size = strcspn(text, "\n");
        if (is_stamp(text, size)) made[used++] = ' ';
        memcpy(made + used, text, size);
        used += size;
        made[used++] = '\n';
        text += size + (text[size] == '\n');
    }
    *length = used;
    return made;
}

bool history_add(const char *text)
{
    struct stat about;
    size_t length;
    if (!history_path || !is_text(text, strlen(text))) return true;
    char *entry = spelled(text, &length);
    int file = entry ? open_locked() : -1;
    bool kept = file >= 0 && fstat(file, &about) == 0;
    if (kept && !S_ISREG(about.st_mode)) {
        errno = EINVAL;
        kept = false;
    }
    char last = '\n';                                    /* a crash may have left half a line */
    if (kept && about.st_size > 0 && pread(file, &last, 1, about.st_size - 1) == 1 && last != '\n')
        kept = write_all(file, "\n", 1);
    kept = kept && write_all(file, entry, length) && fdatasync(file) == 0;
    int saved = errno;
    if (kept && about.st_size + (off_t)length > FILE_BYTES) shorten(file);
    if (file >= 0) close(file);
    free(entry);
    errno = saved;
    return kept;
}

void history_close(void)
{
    free(history_path);
    history_path = NULL;
}
