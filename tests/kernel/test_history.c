/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history of kernels: numbers of sessions, duplicates, ranges, globs, several processes in one file, files that are
   broken, of a later version, or in no place to be. */
#include "../../kernel/history.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

enum { WRITERS = 4, ROWS = 100 };

static const HistoryModule *const module = &tessera_module_history;
static char folder[] = "/tmp/tessera-history-XXXXXX", seen[4096];

/* "session:line input=output " */
static void see(void *user, const HistoryRow *row)
{
    size_t used = strlen(seen);
    (void)user;
    snprintf(seen + used, sizeof seen - used, "%lld:%d %s%s%s ", row->session, row->line, row->input,
             row->output ? "=" : "", row->output ? row->output : "");
}

static void expect(bool fine, const char *wanted, const char *name)
{
    if (!tap_ok(fine && strcmp(seen, wanted) == 0, "%s", name)) tap_note("got %d \"%s\", wanted \"%s\"", fine, seen, wanted);
    seen[0] = 0;
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static History *open_there(const char *name)
{
    char *error;
    History *history = module->open(in_folder(name), &error);
    if (!history) tap_note("%s", error);
    free(error);
    return history;
}

static void fill(History *history)
{
    bool fine = module->add(history, 1, "x = 1") && module->add(history, 2, "x") && module->set_output(history, 2, "1") &&
                module->add(history, 3, "x") && module->set_output(history, 3, "1") && module->add(history, 4, "a[0] = *");
    tap_ok(fine, "rows are added");
}

static void test_rows(void)
{
    History *first = open_there("new/folder/h.sqlite");
    if (!tap_ok(first && module->session(first) == 1, "a new file, in new folders, begins with session 1")) return;
    struct stat info;
    tap_ok(stat(in_folder("new/folder/h.sqlite"), &info) == 0 && (info.st_mode & 077) == 0, "only its owner can read it");
    fill(first);
    expect(module->tail(first, 2, false, see, NULL), "1:3 x 1:4 a[0] = * ", "the tail, oldest first");
    expect(module->tail(first, 3, true, see, NULL), "1:2 x=1 1:3 x=1 1:4 a[0] = * ", "with results, duplicates kept");
    expect(module->tail(first, 0, true, see, NULL), "", "the tail of no rows");
    expect(module->range(first, 0, 1, 3, false, see, NULL), "1:1 x = 1 1:2 x ", "a range of this session");
    expect(module->range(first, 1, 3, -1, true, see, NULL), "1:3 x=1 1:4 a[0] = * ", "to its end, by its number");
    expect(module->range(first, -1, 1, -1, false, see, NULL), "", "there is no session before the first");
    expect(module->range(first, 9, 1, -1, false, see, NULL), "", "there is no session 9");
    expect(module->search(first, "x*", -1, false, false, see, NULL), "1:1 x = 1 1:2 x 1:3 x ", "a glob");
    expect(module->search(first, "?", 1, false, true, see, NULL), "1:3 x=1 ", "the last that matches");
    expect(module->search(first, "x*", -1, true, false, see, NULL), "1:1 x = 1 1:3 x ", "each once");
    expect(module->search(first, "a[0]*", -1, false, false, see, NULL), "1:4 a[0] = * ", "brackets stand for themselves");
    expect(module->search(first, "nowhere", -1, false, false, see, NULL), "", "nothing matches");
    module->close(first);
}

static void measure(void *user, const HistoryRow *row)
{
    *(size_t *)user = row->output ? strlen(row->output) : 0;
}

static void test_sessions(void)
{
    History *quiet = open_there("new/folder/h.sqlite"), *third = open_there("new/folder/h.sqlite");
    if (!tap_ok(quiet && third && module->session(quiet) == 2 && module->session(third) == 3, "numbers go on")) return;
    module->add(third, 1, "y");
    expect(module->range(third, -1, 2, 4, false, see, NULL), "1:2 x 1:3 x ", "-1 is the last session that ran something");
    expect(module->tail(quiet, 2, false, see, NULL), "1:4 a[0] = * 3:1 y ", "what another kernel added is seen at once");
    char *text = malloc(200001);
    memset(text, 'z', 200000);
    memcpy(text + 65535, "ä", 2);
    text[200000] = 0;
    size_t length = 0;
    bool fine = module->set_output(third, 1, text) && module->range(third, 0, 1, -1, true, measure, &length);
    tap_ok(fine && length == 65535, "a long result is cut between two characters");
    free(text);
    module->close(quiet);
    module->close(third);
}

static void write_rows(int writer)
{
    char *error, input[64];
    History *history = module->open(in_folder("shared.sqlite"), &error);
    for (int i = 1; history && i <= ROWS; i++) {
        snprintf(input, sizeof input, "w%d r%d", writer, i);
        if (!module->add(history, i, input) || !module->set_output(history, i, "done")) _exit(1);
    }
    if (writer == 0) kill(getpid(), SIGKILL);            /* one leaves without a word */
    module->close(history);
    _exit(history ? 0 : 2);
}

static void count(void *user, const HistoryRow *row)
{
    *(int *)user += row->output && strcmp(row->output, "done") == 0;
}

static void test_processes(void)
{
    int fine = 0, rows = 0;
    for (int i = 0; i < WRITERS; i++)
        if (fork() == 0) write_rows(i);
    for (int i = 0, status; i < WRITERS; i++)
        fine += wait(&status) > 0 && ((WIFEXITED(status) && WEXITSTATUS(status) == 0) || WIFSIGNALED(status));
    History *history = open_there("shared.sqlite");
    tap_ok(fine == WRITERS && history && module->session(history) == WRITERS + 1, "four processes write at once");
    if (history) module->search(history, "w* r*", -1, false, true, count, &rows);
    if (!tap_ok(rows == WRITERS * ROWS, "no row is lost")) tap_note("%d rows", rows);
    rows = 0;
    if (history) module->range(history, 2, 1, -1, true, count, &rows);
    tap_ok(rows == ROWS, "each has a session of its own");
    module->close(history);
}

static void expect_refusal(const char *path, const char *wanted, const char *name)
{
    char *error = NULL;
    History *history = module->open(path, &error);
    if (!tap_ok(!history && error && strstr(error, wanted), "%s", name)) tap_note("%s", error ? error : "it opened");
    module->close(history);
    free(error);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) tap_note("cannot write %s", path);
}

static void test_refusals(void)
{
    const char *path = in_folder("broken.sqlite");
    write_file(path, "this was never a database, though it is longer than a header of one has to be; so it is refused\n");
    expect_refusal(path, "broken.sqlite: ", "a file that is no database");
    expect_refusal(in_folder("broken.sqlite/below"), "Not a directory", "a folder that cannot be");
    expect_refusal("/proc/tessera/history.sqlite", "/proc/tessera", "a place where nothing can be written");
    History *history = open_there("later.sqlite");
    module->close(history);
    FILE *file = fopen(in_folder("later.sqlite"), "r+");
    if (file) {                                          /* the header's bytes 60 to 63: user_version */
        fseek(file, 63, SEEK_SET);
        fputc(9, file);
        fclose(file);
    }
    unlink(in_folder("later.sqlite-wal"));
    expect_refusal(in_folder("later.sqlite"), "later.sqlite: ", "a file of a later version");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    expect_refusal(NULL, "home", "no home");
    setenv("HOME", folder, 1);
    char *error;
    history = module->open(NULL, &error);
    tap_ok(history && access(in_folder(".local/state/tessera/history.sqlite"), F_OK) == 0, "the usual place");
    module->close(history);
    free(error);
}

int main(void)
{
    char command[80];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!mkdtemp(folder)) return 1;
    test_rows();
    test_sessions();
    test_processes();
    test_refusals();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) tap_note("%s stays", folder);
    return tap_end();
}
