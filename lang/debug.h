/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger's inside. debug.c stops and steps, debug_break.c keeps breakpoints, debug_frame.c looks at frames and
   evaluates in them, debug_tree.c shows values as trees, command_debug.c is the prompt; the contract is in lang.h.

   Code carries marks where statements begin (Proto.marks). A statement at which something may stop has BREAK in place of
   its first opcode; no other code pays. While a debugger is attached every Proto keeps a copy of its code, and the code
   itself does not empty the registers of variables.
   Invariant: nothing stops while [busy] is above 0, so that what the user evaluates runs through. */
#ifndef TESSERA_DEBUG_H
#define TESSERA_DEBUG_H

#include "command.h"
#include "failure.h"
#include "suspend.h"

typedef struct DebugCode {
    int entry;                /* of the Proto, before its locals were made to begin without values */
    bool *breaks;             /* of each mark: a breakpoint lies there */
    Code original[];
} DebugCode;

typedef struct Spot { const Proto *proto; int mark; } Spot;

typedef enum HitTest { HIT_ALWAYS, HIT_FROM, HIT_EQUAL, HIT_ABOVE, HIT_BELOW, HIT_AT_MOST, HIT_MULTIPLE } HitTest;

typedef struct Breakpoint {
    struct Breakpoint *next;
    char *source, *path;      /* as it was named; the file it means or NULL. Of a function: NULL */
    char *function;           /* "f" or "Model.method" */
    DebugBreakpoint told;     /* its strings are owned */
    HitTest test;
    long long hits, wanted;
    Spot *spot;               /* where it lies */
    int n_spots, room;
    Proto *condition;         /* compiled last, … */
    const Proto *around;      /* … for this code */
    int around_pc;
    bool broken;              /* by condition: its text is wrong */
} Breakpoint;

/* A variable of a frame. */
typedef struct FrameVariable { const char *name; Value *slot; bool captured; int from; } FrameVariable;
typedef struct FrameView {
    Source *source;           /* borrowed, as everything here */
    Span span;                /* what it is doing */
    const char *function;
    Module *module;
    const Proto *proto;       /* NULL: of a failure that is over */
    int pc;
    Proto *model;             /* of the object that is variable 0, or NULL */
    int count;
    FrameVariable *variable;  /* of each name the innermost; `self` first; owned */
} FrameView;

typedef enum NodeWhat { TREE_VALUE, TREE_LOCALS, TREE_CAPTURED, TREE_FIELDS, TREE_GLOBALS, TREE_RANGE } NodeWhat;
typedef struct TreeNode {     /* what a reference stands for */
    NodeWhat what;
    int frame;                /* -1: none */
    Value value;              /* owned; of TREE_RANGE what it is a part of */
    char *expression;         /* that gives it, or NULL */
    long long start, count;   /* TREE_RANGE */
} TreeNode;

typedef enum StepMode { STEP_NONE, STEP_ENTRY, STEP_PAUSE, STEP_INTO, STEP_OVER, STEP_OUT } StepMode;

typedef struct Debugger {
    Session *session;
    Breakpoint *breakpoints;
    int last_id;
    DebugPlace *place;        /* what session_debug_breakpoints told */
    DebugErrors errors;
    bool just_my_code;
    int busy;                 /* stopped, or evaluating for the debugger */
    bool stopped, at_statement;   /* not where an error was raised */
    bool testing;             /* conditions of breakpoints: they stay as they are */
    bool leaving;             /* detached in the midst of a stop */
    bool held;                /* by a front end, and not for breakpoints alone */
    bool under_debug;         /* :debug runs: an interrupt pauses */
    int top, bottom;          /* what is stopped: the machine's frames from bottom on, below top */
    StepMode mode;
    int depth;                /* frames when the step began, … */
    const Proto *proto;       /* … in this code */
    bool library;             /* the step began in library code, and stays in sight there */
    const Proto *skip;        /* STEP_ENTRY: not in this code */
    bool all;                 /* every mark is armed, not only those with breakpoints */
    long long stops;          /* that there have been */
    FrameView *target;        /* what HAND_BACK writes to, … */
    const char *refused;      /* … and a captured variable that was assigned */
    TreeNode *node;
    int n_nodes, node_room;
    const Failure *failure;   /* looked at after the end: its frames stand for the machine's */
    /* the prompt (command_debug.c) */
    bool console;             /* it is asking */
    bool repeats;             /* [action] was taken before: Enter takes it again */
    int selected;             /* frame */
    bool resume;              /* a command said to go on, … */
    DebugAction action;       /* … in this way */
    bool exiting;             /* exit() was evaluated */
    int exit_code;
} Debugger;

/* ---- debug.c ---- */
#define BREAK_ENDS (~(Code)0)
Code debug_break(Vm *vm);      /* at BREAK: what stands there; BREAK_ENDS: the error is set. By value, so that the loop
                                  keeps its instruction in a register */
void debug_adopt(Debugger *debugger, Proto *proto);            /* just compiled */
Proto *debug_compiled(Vm *vm, Proto *proto);   /* a whole text was; passes it through */
bool debug_raised(Vm *vm);                     /* an error was just raised; false: the error is another one now */
void debug_safe_point(Vm *vm);                 /* FLAG_PAUSE is up */
void debug_begin(Debugger *debugger);          /* an evaluation begins: steps of the last one are over */
Debugger *debug_attach(Session *session);      /* the one there is, or a new one; NULL: memory is out, the error is set */
void debug_free(Debugger *debugger);
void debug_arm(Debugger *debugger);            /* lays BREAK where it is due now */
void debug_enter(Debugger *debugger, const Proto *skip);       /* stops at the next statement of the user's */
void debug_leave(Debugger *debugger);          /* what ran is over */
int debug_mark_at(const Proto *proto, int pc); /* the mark whose statement begins there, or -1 */

/* ---- debug_break.c ---- */
void breakpoints_bind(Debugger *debugger);     /* finds anew where each one lies */
/* Those that stop at the mark go to [hit], at most [most]; log messages go out. *trouble: why a condition could not
   tell, malloc'ed. */
int breakpoints_hit(Debugger *debugger, const Proto *proto, int mark, int *hit, int most, bool *function, char **trouble);
void breakpoints_free(Debugger *debugger);
/* One more, in place of the one at the same line or function; NULL with a malloc'ed *error where it could never stop. */
const Breakpoint *breakpoint_add(Debugger *debugger, const char *source, const char *function,
                                 const DebugBreakpoint *asked, char **error);
bool breakpoint_remove(Debugger *debugger, int id);            /* false: there is none */

/* ---- debug_frame.c ---- */
int frame_count(const Debugger *debugger);
bool frame_view(const Debugger *debugger, int frame, FrameView *view);     /* -1: the session, without variables */
bool frame_look(const Frame *frame, FrameView *view);      /* one of the machine's; false: memory is out */
void frame_view_clear(FrameView *view);
void debug_hand_back(Vm *vm, Value *r, int count);
/* Code for where [view] stands; NULL: parse->errors say why, or memory is out. */
Proto *frame_compile(Debugger *debugger, const FrameView *view, Parse *parse, bool *muted);
/* Runs it; false: the error is in *result. */
bool frame_run(Debugger *debugger, FrameView *view, Proto *proto, Value *out, EvalResult *result);
/* Both; frame -1: in the session. *shown (may be NULL): there is a value and nothing mutes it. */
EvalStatus frame_evaluate(Debugger *debugger, int frame, const char *text, size_t length, Value *out, bool *shown,
                          EvalResult *result);
/* Around whatever runs in the midst of what is stopped. */
void frame_visit(Debugger *debugger, Suspended *kept);
void frame_visit_end(Debugger *debugger, Suspended *kept);

/* ---- debug_tree.c ---- */
void tree_forget(Debugger *debugger);
bool tree_add(Debugger *debugger, DebugVariables *out, const char *name, DebugKind kind, Value v, int frame,
              const char *expression);
void value_preview(Vm *vm, Value v, Text *out);        /* one short line */

/* ---- command_debug.c ---- */
DebugAction debug_console(Debugger *debugger, const DebugStop *stop);
Debugger *console_of(const Session *session);  /* that is asking; else NULL */
/* What :up, :down, :locals, :quit and :where do while it asks. */
bool console_move(CommandCall *call, int by);
bool console_locals(CommandCall *call);
bool console_quit(CommandCall *call);

#endif
