/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module "history": one SQLite file for all kernels of a user. Each statement is a transaction of its own over a
   write-ahead log, so that kernels that run at once neither wait long for each other nor see half a row. Every prepared
   statement is reset before its function returns: nothing stays locked between two calls. */
#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MILLISECONDS = 2000, SCHEMA = 1, LONGEST_OUTPUT = 1 << 16 };

struct History {
    sqlite3 *file;
    long long session;
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS session (id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, line INTEGER NOT NULL,"
    " input TEXT NOT NULL, output TEXT);"
    "CREATE INDEX IF NOT EXISTS entry_session ON entry (session, line);"
    "PRAGMA user_version = 1;"
    "COMMIT;";

/* ---- statements ---- */

static sqlite3_stmt *prepare(const History *history, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    return sqlite3_prepare_v2(history->file, sql, -1, &statement, NULL) == SQLITE_OK ? statement : NULL;
}

static bool finish(sqlite3_stmt *statement)
{
    int status = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    sqlite3_finalize(statement);
    return status == SQLITE_DONE;
}

static bool bind_text(sqlite3_stmt *statement, int at, const char *text, int length)
{
    return sqlite3_bind_text(statement, at, text, length, SQLITE_STATIC) == SQLITE_OK;
}

/* The first column of the first row, or [otherwise]. */
static long long ask_number(const History *history, const char *sql, long long given, long long otherwise)
{
    sqlite3_stmt *statement = prepare(history, sql);
    if (!statement) return otherwise;
    if (sqlite3_bind_parameter_count(statement) > 0) sqlite3_bind_int64(statement, 1, given);
    long long number = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : otherwise;
    sqlite3_finalize(statement);
    return number;
}

/* Rows of session, line, input, output; the statement is taken. */
static bool visit_rows(sqlite3_stmt *statement, HistoryVisit *visit, void *user)
{
    int status;
    if (!statement) return false;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        HistoryRow row = {
            .session = sqlite3_column_int64(statement, 0),
            .line = sqlite3_column_int(statement, 1),
            .input = (const char *)sqlite3_column_text(statement, 2),
            .output = (const char *)sqlite3_column_text(statement, 3),
        };
        if (row.input) visit(user, &row);
    }
    sqlite3_finalize(statement);
    return status == SQLITE_DONE;
}

/* ---- opening ---- */

/* ~/.local/state/tessera/history.sqlite; NULL without a home or memory. */
static char *usual_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int made = state && *state == '/' ? asprintf(&path, "%s/tessera/history.sqlite", state)
             : home && *home == '/' ? asprintf(&path, "%s/.local/state/tessera/history.sqlite", home) : -1;
    return made < 0 ? NULL : path;
}

/* The file with its folders, readable by its owner alone. */
static bool make_file(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int made = mkdir(path, 0700);
        *slash = '/';
        if (made != 0 && errno != EEXIST) return false;
    }
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return file >= 0 && close(file) == 0;
}

static bool set_up(History *history)
{
    sqlite3_db_config(history->file, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);    /* leaving does not wait for the disk */
    sqlite3_busy_timeout(history->file, BUSY_MILLISECONDS);
    sqlite3_exec(history->file, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);     /* where it cannot be, without */
    if (sqlite3_exec(history->file, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL) != SQLITE_OK) return false;
    long long version = ask_number(history, "PRAGMA user_version", 0, -1);
    if (version < 0 || (version == 0 && sqlite3_exec(history->file, schema, NULL, NULL, NULL) != SQLITE_OK)) return false;
    if (version > SCHEMA) return false;
    if (!finish(prepare(history, "INSERT INTO session (started) VALUES (datetime('now'))"))) return false;
    history->session = sqlite3_last_insert_rowid(history->file);
    return true;
}

static void history_close(History *history)
{
    if (!history) return;
    sqlite3_close(history->file);
    free(history);
}

static History *open_file(char *path, const char **why)
{
    History *history = calloc(1, sizeof *history);
    *why = strerror(ENOMEM);
    if (!history) return NULL;
    *why = NULL;
    if (!make_file(path)) *why = strerror(errno);
    else if (sqlite3_open_v2(path, &history->file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
             !set_up(history)) {
        int status = history->file ? sqlite3_errcode(history->file) : SQLITE_NOMEM;
        *why = status == SQLITE_OK || status == SQLITE_ROW || status == SQLITE_DONE
             ? "a newer version wrote it" : sqlite3_errstr(status);
    }
    if (!*why) return history;
    history_close(history);
    return NULL;
}

static History *history_open(const char *given, char **error)
{
    const char *why = "there is no home folder";
    char *path = given ? strdup(given) : usual_path();
    *error = NULL;
    History *history = path ? open_file(path, &why) : NULL;
    if (!history && asprintf(error, "%s%s%s", path ? path : "", path ? ": " : "", why) < 0) *error = NULL;
    free(path);
    return history;
}

static long long history_session(const History *history)
{
    return history->session;
}

/* ---- writing ---- */

static bool history_add(History *history, int line, const char *input)
{
    sqlite3_stmt *statement = prepare(history, "INSERT INTO entry (session, line, input) VALUES (?, ?, ?)");
    bool fine = statement && sqlite3_bind_int64(statement, 1, history->session) == SQLITE_OK &&
                sqlite3_bind_int(statement, 2, line) == SQLITE_OK && bind_text(statement, 3, input, -1);
    return finish(statement) && fine;
}

static bool history_set_output(History *history, int line, const char *text)
{
    size_t length = strnlen(text, LONGEST_OUTPUT);
    while (length > 0 && text[length] && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    sqlite3_stmt *statement = prepare(history, "UPDATE entry SET output = ?1 WHERE id = (SELECT max(id) FROM entry"
                                               " WHERE session = ?2 AND line = ?3)");
    bool fine = statement && bind_text(statement, 1, text, (int)length) &&
                sqlite3_bind_int64(statement, 2, history->session) == SQLITE_OK &&
                sqlite3_bind_int(statement, 3, line) == SQLITE_OK;
    return finish(statement) && fine;
}

/* ---- reading ---- */

static bool history_tail(History *history, int n, bool outputs, HistoryVisit *visit, void *user)
{
    sqlite3_stmt *statement = prepare(history,
        "SELECT session, line, input, CASE WHEN ?2 THEN output END FROM"
        " (SELECT * FROM entry ORDER BY id DESC LIMIT ?1) ORDER BY id");
    if (statement) {
        sqlite3_bind_int(statement, 1, n < 0 ? 0 : n);
        sqlite3_bind_int(statement, 2, outputs);
    }
    return visit_rows(statement, visit, user);
}

/* The number of the session that is [back] before this one, of those that ran something; 0: there is none. */
static long long session_before(const History *history, long long back)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT DISTINCT session FROM entry WHERE session < ?1 ORDER BY session DESC"
                              " LIMIT 1 OFFSET %lld", back - 1);
    return ask_number(history, sql, history->session, 0);
}

static bool history_range(History *history, long long session, int start, int stop, bool outputs, HistoryVisit *visit,
                          void *user)
{
    long long number = session > 0 ? session : session == 0 ? history->session : session_before(history, -session);
    sqlite3_stmt *statement = prepare(history,
        "SELECT session, line, input, CASE WHEN ?4 THEN output END FROM entry"
        " WHERE session = ?1 AND line >= ?2 AND (?3 < 0 OR line < ?3) ORDER BY id");
    if (statement) {
        sqlite3_bind_int64(statement, 1, number);
        sqlite3_bind_int(statement, 2, start);
        sqlite3_bind_int(statement, 3, stop);
        sqlite3_bind_int(statement, 4, outputs);
    }
    return visit_rows(statement, visit, user);
}

/* For SQL's GLOB, which knows [classes] too; malloc'ed. */
static char *plain_glob(const char *pattern)
{
    char *glob = malloc(3 * strlen(pattern) + 1), *to = glob;
    if (!glob) return NULL;
    for (; *pattern; pattern++) {
        if (*pattern == '[') to = stpcpy(to, "[[]");
        else *to++ = *pattern;
    }
    *to = 0;
    return glob;
}

static bool history_search(History *history, const char *pattern, int n, bool unique, bool outputs, HistoryVisit *visit,
                           void *user)
{
    char *glob = plain_glob(pattern);
    sqlite3_stmt *statement = !glob ? NULL : prepare(history, unique
        ? "SELECT session, line, input, CASE WHEN ?3 THEN output END FROM"
          " (SELECT * FROM entry WHERE id IN (SELECT max(id) FROM entry WHERE input GLOB ?1 GROUP BY input)"
          "  ORDER BY id DESC LIMIT ?2) ORDER BY id"
        : "SELECT session, line, input, CASE WHEN ?3 THEN output END FROM"
          " (SELECT * FROM entry WHERE input GLOB ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id");
    if (statement) {
        bind_text(statement, 1, glob, -1);
        sqlite3_bind_int(statement, 2, n);
        sqlite3_bind_int(statement, 3, outputs);
    }
    bool fine = visit_rows(statement, visit, user);
    free(glob);
    return fine;
}

__attribute__((visibility("default"))) const HistoryModule tessera_module_history = {
    .open = history_open, .close = history_close, .session = history_session, .add = history_add,
    .set_output = history_set_output, .tail = history_tail, .range = history_range, .search = history_search,
};
