/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session's inside, shared by session.c and assist.c. */
#ifndef TESSERA_SESSION_H
#define TESSERA_SESSION_H

#include "machine.h"

typedef struct Option { const char *name, *value; } Option;   /* as given; the strings belong to others */

struct Session {
    SessionConfig config;
    char *library;
    Vm *vm;
    Option *option;           /* --name value of the script that runs */
    int n_options;
    int argc;                 /* other words of its command line */
    char **argv;
};

#endif
