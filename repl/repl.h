/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program's files share: the session at work, its screen, and running a piece of code. */
#ifndef TESSERA_REPL_H
#define TESSERA_REPL_H

#include "screen.h"

typedef struct Program {
    Session *session;
    Screen screen;
    char *next;               /* what the next line to edit begins with, or NULL */
} Program;

/* The editor of SessionConfig.edit. */
bool program_edit(void *user, const char *path, int line, char **error);
/* Between begin and end Ctrl-C interrupts the session; otherwise interrupt_taken tells of it. */
void interrupt_begin(Session *session);
void interrupt_end(void);
bool interrupt_taken(void);
void interrupt_heeded(void);          /* whoever runs asks something: it does not hang, and knows of what came before */

/* Shows what came of a piece of code; returns the exit status it stands for. */
int program_show(Program *program, EvalStatus status, EvalResult *result);
int program_eval(Program *program, const char *name, const char *text, size_t length);

/* A new session for [program]; false: said so. Close returns [status], or what the end of the program says instead. */
bool program_open(Program *program);
int program_close(Program *program, int status);

/* The same for what needs no session: standard output may have failed. */
int program_end(Program *program, int status);
/* A whole file, or for NULL standard input, malloc'ed; NULL with errno set. */
char *program_read(const char *path, size_t *length);

/* Writes a whole file, its folders made first; false with errno set. [path] is changed on the way, and restored. */
bool program_write(char *path, const void *data, size_t length);

/* A file of the user's own, malloc'ed: below the folder that [variable] names, else below [home_folder] of the home
   folder; NULL when there is neither. */
char *program_path(const char *variable, const char *home_folder, const char *name);

/* `tessera test`: the files and folders named. `tessera check`, `tessera fmt`: the files named, - standard input. */
int test_run(Program *program, int count, char **paths);
int check_run(Program *program, int count, char **paths);
int format_run(Program *program, bool check, bool diff, int count, char **paths);

/* `tessera kernel install`, or uninstall, with the options that follow: the exit status. */
int kernelspec_run(bool installing, int argc, char **argv);

/* `tessera editors`: the exit status. */
int editors_run(const char *folder);

/* The prompt, until the user leaves: the exit status. Between open and close its line editor asks for input() too. */
void prompt_open(Program *program);
void prompt_close(void);
int prompt_run(Program *program);
/* The callbacks that the prompt answers: the language's input() while it runs, and what is edited next. */
char *prompt_input(void *program, const char *prompt, bool secret);
void prompt_next(void *program, const char *text, bool replace);

#endif
