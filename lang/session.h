/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session's inside, shared by session.c, assist.c and the commands. */
#ifndef TESSERA_SESSION_H
#define TESSERA_SESSION_H

#include <pthread.h>

#include "machine.h"
#include "record.h"

typedef struct Option { const char *name, *value; } Option;   /* as given; the strings belong to others */

typedef struct Loaded {       /* a file that :load ran */
    struct Loaded *next;
    char *path;
    int64_t stamp;
} Loaded;

struct Session {
    SessionConfig config;
    char *library;
    char *(*input)(void *user, const char *prompt, bool secret);   /* the front end's, also while it may not be asked */
    Vm *vm;
    atomic_bool interrupt_pauses;     /* while :debug runs code: it stops in the debugger */
    pthread_t thread;         /* that evaluates */
    Option *option;           /* --name value of the script that runs */
    int n_options;
    Records records;
    bool serving;             /* config.serve runs, maybe inside an op */
    Loaded *loaded;
    struct Failure *failure;  /* frames of the last error that nothing caught, */
    Value failed;             /* the error itself, */
    int failed_at;            /* and the frame that is looked at */
    int argc;                 /* other words of its command line */
    char **argv;
};

void session_reset(Session *session);      /* as if it were new; what is being used stays usable */
/* [error], just taken, is what :trace and its kin look at. */
void session_keep_failure(Session *session, Value error);
void session_forget_failure(Session *session);
/* Makes [value] the result's echo and `_`. False: the VM's error is set. */
bool session_echo(Session *session, Value value, EvalResult *result);
/* Remembers what :reload looks at. False: memory is out. */
bool session_note_loaded(Session *session, const char *path, int64_t stamp);
bool notebook_save(Session *session, const char *path);
/* The source of a function or model, as ??name shows it; malloc'ed, NULL: there is none. */
char *session_source(Session *session, const char *name);
/* The error under way becomes the result. */
EvalStatus session_fail(Session *session, EvalResult *result);
EvalStatus session_fail_syntax(Session *session, const Parse *parse, EvalResult *result);
/* One piece of code without commands, likewise. */
EvalStatus session_run_text(Session *session, const char *name, const char *text, size_t length, EvalMode mode,
                            EvalResult *result);

#endif
