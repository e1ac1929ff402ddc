/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was run, in this session and earlier ones: the module "history", which the kernel opens on first use. Kernels that
   run at once share one file. All calls may come from any thread, one at a time for each History; what was added can be
   read as soon as the call returns. Rows come oldest first; their strings live as long as the call of the visitor. */
#ifndef TESSERA_HISTORY_H
#define TESSERA_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct History History;

typedef struct HistoryRow {
    long long session;
    int line;                 /* the execution count; several rows may share it */
    const char *input;
    const char *output;       /* the result as text, or NULL; only looked up when [outputs] */
} HistoryRow;
typedef void HistoryVisit(void *user, const HistoryRow *row);

typedef struct HistoryModule {
    /* [path] NULL: the usual place. NULL with a malloc'ed *error when there can be none. The session is new. */
    History *(*open)(const char *path, char **error);
    void (*close)(History *history);
    long long (*session)(const History *history);
    bool (*add)(History *history, int line, const char *input);
    bool (*set_output)(History *history, int line, const char *text);
    /* The last [n] rows of all sessions. */
    bool (*tail)(History *history, int n, bool outputs, HistoryVisit *visit, void *user);
    /* Lines [start, stop) of a session: 0 or less counts back from this one; stop < 0: to its end. */
    bool (*range)(History *history, long long session, int start, int stop, bool outputs, HistoryVisit *visit,
                  void *user);
    /* The last [n] rows (n < 0: all) whose input matches a glob of * and ?; [unique]: the latest of equal inputs. */
    bool (*search)(History *history, const char *pattern, int n, bool unique, bool outputs, HistoryVisit *visit,
                   void *user);
} HistoryModule;

extern const HistoryModule tessera_module_history;

#endif
