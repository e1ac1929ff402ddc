/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands: lines of a session that are not code. command.c cuts an input into code and commands and calls the function
   of the row of commands.def; the functions stand in the other command_*.c. */
#ifndef TESSERA_COMMAND_H
#define TESSERA_COMMAND_H

#include "session.h"

typedef enum CommandTakes { TAKES_NOTHING, TAKES_CODE, TAKES_NAME, TAKES_FILE, TAKES_TEXT, TAKES_COMMAND } CommandTakes;

typedef struct CommandCall {
    Session *session;
    const char *input;        /* the name of the input, for errors */
    const char *text;         /* the whole input, … */
    size_t start, end;        /* … of which this is the argument, without spaces around it */
    char *argument;           /* the same as a string */
    EvalResult *result;
} CommandCall;

/* Fills call->result. False: the VM's error is set, or the result is an error or the end of the session already. */
typedef bool CommandRun(CommandCall *call);

typedef struct Command {
    const char *name, *alias, *argument;
    CommandTakes takes;
    const char *doc;
    CommandRun *run;
} Command;
extern const Command commands[];
extern const int command_count;
const Command *command_find(const char *name, size_t length);          /* by its short name too; NULL: none */

#define COMMAND(name, alias, argument, takes, doc) CommandRun command_##name;
#include "commands.def"
#undef COMMAND

/* A part of an input: code, or one command with its argument. */
typedef struct Piece {
    size_t start, end;
    bool is_command;
    const Command *command;   /* NULL: unknown */
    size_t word, word_end;    /* its name */
    size_t argument, argument_end;
} Piece;
/* The part that starts at [from]; false: only blank lines are left. */
bool command_piece(const char *text, size_t length, size_t from, Piece *piece);
/* Whether any line of the text may be a command: a quick look. */
bool command_possible(const char *text, size_t length);
/* Runs an input that has commands, piece by piece up to the first error. */
EvalStatus command_eval(Session *session, const char *input, const char *text, size_t length, EvalResult *result);
/* Of code without commands. */
Completeness command_code_complete(const char *text, size_t length, int *indent);

/* ---- for the functions ---- */

/* Makes [plain] (taken) the command's answer. */
bool command_answer(CommandCall *call, Text *plain);
/* Hands the answer to the front end's pager where there is one. */
bool command_page(CommandCall *call);
/* "--word " at the argument's start: steps over it. */
bool command_flag(CommandCall *call, const char *flag);
/* The argument as the module's code, to be run by vm_run_proto as often as one likes; return false where it is NULL. */
Proto *command_compile(CommandCall *call);
bool command_value(CommandCall *call, Value *out);                     /* runs it once */
void command_bytes(double bytes, Text *out);                           /* "1.5 MB" */

#endif
