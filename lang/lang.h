/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language's public face: everything that a front end (terminal, notebook, batch) may use. A Session is one user's
   world: a VM, its variables and modules, and the callbacks through which it speaks. Several can live in one process.

   A session never prints, reads a terminal or exits: output, progress and input go through the callbacks, an
   interrupt is a flag that session_interrupt raises from any thread or signal handler. */
#ifndef TESSERA_LANG_H
#define TESSERA_LANG_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(default)   /* modules opened at run time call these */

typedef struct Session Session;

typedef enum OutputStream { OUTPUT_OUT, OUTPUT_ERR } OutputStream;

/* How far progress(…) is, and those around it, outermost first: told at most ten times a second, and when the outermost
   one is over; then lines of inner ones tell where they failed. */
enum { PROGRESS_LINES = 6 };
typedef struct ProgressLine {
    const char *head, *tail;     /* what stands around the bar: "train 120/235", "12.3/s  0:09 left  loss 0.512" */
    double step, total;          /* total < 0: unknown */
} ProgressLine;
typedef struct Progressed {
    int count;
    const ProgressLine *line;
    const char *curve;           /* lines of Braille, the loss so far; "" when not asked for */
    double elapsed;              /* seconds since the innermost one began */
    bool done;
} Progressed;

/* One thing in several forms, "text/plain" first; a front end shows the best it can. Bytes end in a 0 that does not
   count. With an [id] above 0 it takes the place of what was shown under that id, if [update]. */
typedef struct DisplayForm { const char *mime, *data; size_t length; } DisplayForm;
typedef struct Display {
    int count;
    DisplayForm *form;
    int id;
    bool update;
} Display;

/* A message of a comm: a channel between code and a front end's page. Data is JSON. */
typedef enum CommEvent { COMM_OPEN, COMM_MESSAGE, COMM_CLOSE } CommEvent;
typedef struct CommBuffer { const void *at; size_t length; } CommBuffer;
typedef struct CommMessage {
    CommEvent event;
    const char *id;
    const char *target;       /* COMM_OPEN: whom it is for */
    const char *data;
    size_t length;
    int n_buffers;
    const CommBuffer *buffer;
} CommMessage;

typedef struct DebugStop DebugStop;

/* How to go on after a stop of the debugger (below). */
typedef enum DebugAction {
    DEBUG_CONTINUE,
    DEBUG_STEP_IN,             /* to the next statement, in what is called too */
    DEBUG_STEP_OVER,           /* to the next statement of this function or of who called it */
    DEBUG_STEP_OUT,            /* to where this function was called from */
    DEBUG_TERMINATE,           /* ends the evaluation as an interrupt does */
    DEBUG_ASK                  /* the session asks at its own prompt, through [input] */
} DebugAction;

typedef struct SessionConfig {
    void *user;                                                            /* passed to every callback */
    void (*output)(void *user, OutputStream stream, const char *text, size_t length);
    void (*flush)(void *user);                                             /* what was put out is wanted now; may be NULL */
    void (*progress)(void *user, const Progressed *progress);              /* NULL: a display that takes its own place, else silent */
    void (*display)(void *user, const Display *display);                   /* NULL: its text goes to output */
    const char *forms;                                                     /* mime types it can show besides text, by spaces */
    const char *(*picture_forms)(void *user);                              /* in place of forms for what has pictures; may be NULL */
    /* malloc'ed line or NULL at the end; may be NULL. [secret]: what is typed must not be seen. */
    char *(*input)(void *user, const char *prompt, bool secret);
    /* NULL: nothing happens. Removes what the cell has shown, with [wait] only when the next thing is shown. */
    void (*clear)(void *user, bool wait);
    void (*page)(void *user, const Display *display);                      /* a long text to read; NULL: display */
    /* Lets the user edit a file and waits for the end; false with a malloc'ed *error. NULL: there is no editor. */
    bool (*edit)(void *user, const char *path, int line, char **error);
    void (*next_input)(void *user, const char *text, bool replace);        /* what the user edits next; NULL: page */
    void (*comm)(void *user, const CommMessage *message);                  /* to the page; NULL: there is none */
    void (*serve)(void *user);                                             /* after session_request; may be NULL */
    void (*visit)(void *user);                                             /* after session_request_visit; may be NULL */
    /* The debugger stopped, on the session's own thread; NULL: DEBUG_ASK. */
    DebugAction (*stopped)(void *user, const DebugStop *stop);
    void (*logged)(void *user, const char *text, size_t length);           /* a breakpoint's message; NULL: a line of output */
    /* The text (malloc'ed) of a file that is open and perhaps not saved, for session_check and session_analyse; NULL: as it
       is on disk. May be NULL. */
    char *(*opened)(void *user, const char *path, size_t *length);
    const char *library;                                                   /* read library sources from here; NULL: embedded */
    int width;                                                             /* columns for tables; 0: 80 */
    bool color;
} SessionConfig;

Session *session_new(const SessionConfig *config);   /* NULL: memory is out */
void session_free(Session *session);
/* Debug builds: heap objects that outlived the last session; 0 is right. */
long long session_live_objects(void);
/* Bytes that values and tensors of all sessions take, kept memory that waits for reuse excluded. */
long long session_live_bytes(void);

typedef enum EvalStatus { EVAL_OK, EVAL_ERROR, EVAL_INTERRUPTED, EVAL_EXIT } EvalStatus;
typedef enum EvalMode {
    EVAL_INTERACTIVE,      /* echo the value of the last expression unless muted by ; */
    EVAL_SCRIPT            /* echo nothing */
} EvalMode;

typedef struct EvalResult {
    EvalStatus status;
    int exit_code;         /* EVAL_EXIT: of exit(n) */
    char *text;            /* the echoed value, without a final newline, or NULL */
    Display *display;      /* the same in all forms, or NULL */
    char *error;           /* the rendered error, or NULL */
    char *error_kind;      /* "shape", … or NULL */
    char *error_message;   /* one line, or NULL */
} EvalResult;
void eval_result_clear(EvalResult *result);

/* Runs [text]; [name] is shown in errors. What it defined before an error stays.

   While something is computed it may be called from config.visit, and from config.input if session_may_visit: the second
   text runs to its end, then the first goes on as if nothing had been. Each has its own errors, `_`, progress displays,
   names of places, mode of training and profile, and nothing of the second is recorded for gradients; variables,
   functions, models, modules and the random generator are shared, as are changes made to them: the first sees them when
   it reads a name next, while what it reads already (what it loops over, an argument, the body of a running function)
   stays as it was. An interrupt while the second runs ends that alone; exit() in it gives its EVAL_EXIT and no more. A stream that the first
   is in the midst of reading cannot be read by the second. */
EvalStatus session_eval(Session *session, const char *name, const char *text, size_t length, EvalMode mode,
                        EvalResult *result);
/* Runs a script file, or the embedded file of that path where there is none, with its command line: `option`s are set
   from [argv], which excludes the file's name. `--help` prints the options and returns EVAL_OK. */
EvalStatus session_run_file(Session *session, const char *path, int argc, char **argv, EvalResult *result);
/* Runs a script file without options, then its blocks `test "name" { … }` in order, each in a scope of its own; tells
   [report] of each. An error in one fails that one; *result is about the file. A file without tests is not run. */
typedef void TestReport(void *user, const char *name, const EvalResult *result);
EvalStatus session_test_file(Session *session, const char *path, TestReport *report, void *user, EvalResult *result);
/* An embedded example such as "examples/first.tsr" or a library module: its text, or NULL. */
const char *session_embedded(const char *path, size_t *length);

/* A program in the language's one style (docs/language.md), malloc'ed: line ends, indentation and spaces change, nothing
   else does. NULL: a syntax error, or no memory; *result says it. Needs no session, only the config's colour. */
char *session_format(const SessionConfig *config, const char *name, const char *text, size_t length, size_t *made,
                     EvalResult *result);

/* Hands a page's message to the handler that the language registered for its target. *known: false, and nothing was run,
   where there is none. Output goes to the callbacks. */
EvalStatus session_comm(Session *session, const CommMessage *message, bool *known, EvalResult *result);

typedef enum Completeness { CODE_COMPLETE, CODE_INCOMPLETE, CODE_INVALID } Completeness;
Completeness session_is_complete(Session *session, const char *text, size_t length, int *indent);

/* What an editor colours: spans of a text in its order, malloc'ed; the text may be unfinished, wrong or broken (then what
   lies behind the break has none). NULL: memory is out. */
typedef enum HighlightKind {
    HIGHLIGHT_KEYWORD, HIGHLIGHT_CONSTANT, HIGHLIGHT_NUMBER, HIGHLIGHT_STRING, HIGHLIGHT_COMMENT, HIGHLIGHT_NAME,
    HIGHLIGHT_CALL,            /* a name before ( */
    HIGHLIGHT_DECLARED,        /* the name of a fn or model */
    HIGHLIGHT_OPERATOR, HIGHLIGHT_BRACKET,
    HIGHLIGHT_COMMAND,         /* :word or ? at the beginning of a line */
    HIGHLIGHT_WRONG,           /* no token, or a bracket that closes nothing */
    HIGHLIGHT_KINDS
} HighlightKind;
typedef struct Highlight {
    size_t start, end;
    HighlightKind kind;
    int partner;               /* of a bracket: the span of the one it matches; else -1 */
} Highlight;
Highlight *language_highlight(const char *text, size_t length, int *count);

/* The files by which other editors colour the same, made from the lexer's tables: the names of all, such as
   "vim/syntax/tessera.vim", then NULL; the text of one, malloc'ed, or NULL: memory is out or there is no such file. */
const char *language_editor_name(int index);
char *language_editor_file(const char *name, size_t *length);

/* kind: function, variable, module …; doc: of a name of the text itself, or NULL */
typedef struct Completion { char *text; char *kind; char *detail; char *doc; } Completion;
typedef struct Completions { size_t start, end; int count; Completion *at; } Completions;
bool session_complete(Session *session, const char *text, size_t length, size_t cursor, Completions *out);
void completions_clear(Completions *completions);
/* The documentation of the name at the cursor as text (malloc'ed), or NULL. */
char *session_inspect(Session *session, const char *text, size_t length, size_t cursor);
/* The same as text/plain, text/markdown and text/html, with its place and of a variable the value; [source]: with the
   source too. NULL: nothing is known of it. */
Display *session_describe(Session *session, const char *text, size_t length, size_t cursor, bool source);
void session_display_free(Display *display);

/* What is wrong with a program, found without running it. The strings live as long as the call of the report. */
typedef enum CheckSeverity { CHECK_ERROR, CHECK_WARNING } CheckSeverity;
typedef struct CheckPlace {
    const char *path;
    size_t start, end;         /* bytes of that text, the end excluded */
    int line, column;          /* 1 first; columns are codepoints */
} CheckPlace;
typedef struct CheckFinding {
    CheckSeverity severity;
    const char *kind;          /* of an error as at run time: "shape"; of a warning: "unread", "no-effect" … */
    const char *message;       /* one line */
    const char *hint;          /* or "" */
    CheckPlace place;
    const CheckPlace *related; /* inside the function that is called at [place], where it fails; or NULL */
    const char *text;          /* all of it as it is printed, without a final newline */
} CheckFinding;
typedef void CheckReport(void *user, const CheckFinding *finding);
/* Checks a text as the script [path] and reports what it finds in the text's order; files that it uses are looked at.
   Nothing is run, and the session is as before. False: memory is out. */
bool session_check(Session *session, const char *path, const char *text, size_t length, CheckReport *report,
                   void *user);

/* ---- the debugger ----
   Until it is attached it costs nothing. From then on breakpoints hold in all code, that of earlier inputs too, and
   variables keep their values to the end of their function. All calls but session_debug_pause are for the session's own
   thread: between evaluations, in config.serve, and in config.stopped, where alone there are frames. Strings in results
   are malloc'ed and freed by the _clear function; a call that answers EvalStatus fills *result, the error rendered. */
bool session_debug_attach(Session *session, bool attached);    /* false: memory is out; detaching forgets breakpoints */
bool session_debug_attached(const Session *session);
bool session_debug_stopped(const Session *session);
void session_debug_just_my_code(Session *session, bool just);  /* steps pass over library code; true at first */

typedef struct DebugBreakpoint {
    int line;                  /* asked for, 1 first */
    const char *condition;     /* an expression in the frame, or NULL; so below */
    const char *hit_condition; /* "3" stops the third time and later; "== 3", "> 3", "< 3", ">= 3", "<= 3", "% 3" */
    const char *log_message;   /* put out instead of stopping; {expression} stands for its value */
    /* answered: */
    int id;                    /* the same as before for the same line of the same source */
    int verified;              /* the line where it stops: of the first statement at or after [line]; 0: see [message] */
    char message[256];         /* "" when verified */
} DebugBreakpoint;
/* Takes the place of what was set for this source before. [source]: a name as frames tell it, or a path, also of what is
   not read yet. [text], or NULL: what it will be, for telling lines; else loaded code or the file tells. */
bool session_debug_set_breakpoints(Session *session, const char *source, const char *text, size_t length, int count,
                                   DebugBreakpoint *breakpoint);
/* The same for functions: stops at the first statement of any that is called so. */
bool session_debug_set_functions(Session *session, int count, const char *const *names, DebugBreakpoint *breakpoint);
/* Every breakpoint, in the order of their numbers; [source] NULL: of a function, then [function]. Kept until one is set. */
typedef struct DebugPlace { const char *source, *function; const DebugBreakpoint *breakpoint; } DebugPlace;
const DebugPlace *session_debug_breakpoints(Session *session, int *count);

typedef enum DebugErrors { DEBUG_ERRORS_NONE, DEBUG_ERRORS_UNCAUGHT, DEBUG_ERRORS_ALL } DebugErrors;
void session_debug_break_on_errors(Session *session, DebugErrors which);
void session_debug_stop_at_entry(Session *session);            /* at the first statement of the user's that runs next */
void session_debug_pause_on_interrupt(Session *session, bool pauses);     /* session_interrupt stops in the debugger */
void session_debug_pause(Session *session);                    /* from any thread or a signal handler: at the next statement */

typedef enum DebugReason { DEBUG_AT_ENTRY, DEBUG_AT_STEP, DEBUG_AT_BREAKPOINT, DEBUG_AT_PAUSE, DEBUG_AT_ERROR } DebugReason;
struct DebugStop {
    DebugReason reason;
    const char *description;   /* one line: "breakpoint 2", "value error: …" */
    int n_breakpoints;         /* that were hit here */
    const int *breakpoint;     /* their ids */
    bool function;             /* one of them was set for a function */
    const char *error_kind, *error_message, *error;   /* DEBUG_AT_ERROR: as in EvalResult; else NULL */
    bool caught;               /* something will catch the error */
};

typedef struct DebugFrame {
    const char *function;      /* "" code outside functions, NULL a lambda */
    const char *source;
    int line, column, end_line, end_column;   /* 1 first, in codepoints, the end excluded */
    bool library;              /* not the user's code */
} DebugFrame;
int session_debug_depth(const Session *session);               /* frames there are, 0 unless stopped */
bool session_debug_frame(Session *session, int frame, DebugFrame *out);   /* 0: innermost; false: there is none */
/* The text of a source by its name, of the latest of that name; NULL: unknown. */
const char *session_debug_source(Session *session, const char *name, size_t *length);
/* Tells the name of the source of all code that there is, the latest first, a name as often as there is code of it. */
typedef void DebugSourceReport(void *user, const char *name, bool library);
void session_debug_sources(const Session *session, DebugSourceReport *report, void *user);

/* Values as a tree that is opened piece by piece. References hold until the evaluation goes on or ends. */
typedef enum DebugKind { DEBUG_PLAIN, DEBUG_LOCAL, DEBUG_CAPTURED, DEBUG_FIELD, DEBUG_PARAM, DEBUG_BUFFER, DEBUG_GLOBAL,
                         DEBUG_FUNCTION, DEBUG_GROUP } DebugKind;
typedef struct DebugVariable {
    char *name;
    char *value;               /* one short line */
    char *type;                /* "f32[32, 784]", "list of 3", "Linear" */
    char *expression;          /* that gives it in its frame, to be evaluated or assigned to; NULL: none */
    DebugKind kind;
    int reference;             /* for session_debug_variables; 0: nothing inside */
    long long named, indexed;  /* how many are inside */
} DebugVariable;
typedef struct DebugVariables { int count; DebugVariable *at; } DebugVariables;
void debug_variables_clear(DebugVariables *variables);
/* Locals, captured, fields and globals of a frame; scopes that would be empty are left out. */
bool session_debug_scopes(Session *session, int frame, DebugVariables *out);
/* The session's own variables, also when nothing is stopped. */
bool session_debug_globals(Session *session, DebugVariables *out);
typedef enum DebugFilter { DEBUG_ALL, DEBUG_NAMED, DEBUG_INDEXED } DebugFilter;
/* What is inside, [count] from [start] on; count 0: all, in groups that can be opened where there are very many. */
bool session_debug_variables(Session *session, int reference, DebugFilter filter, long long start, long long count,
                             DebugVariables *out);

/* Evaluates a text where the frame stands (-1: as an input of the session): it reads and assigns the frame's variables,
   other names that it assigns become the module's. Breakpoints in what it calls do not stop. *result has the value in
   all forms of the session; *out (may be NULL) what a tree shows of it, with count 0 where it has no value. */
EvalStatus session_debug_evaluate(Session *session, int frame, const char *text, size_t length, DebugVariables *out,
                                  EvalResult *result);
/* Assigns the value of [text] to an entry of session_debug_variables, and shows what it is then. */
EvalStatus session_debug_set(Session *session, int reference, const char *name, const char *text, size_t length,
                             DebugVariables *out, EvalResult *result);
/* A frame's variable becomes a variable of the session. */
EvalStatus session_debug_copy(Session *session, int frame, const char *from, const char *to, EvalResult *result);
/* ---- a program in an editor: its names, what each is, and what is known of it without running it ---- */

typedef struct Analysis Analysis;
typedef enum SymbolKind {
    SYMBOL_UNKNOWN,            /* a member or argument of something that is not known */
    SYMBOL_VARIABLE, SYMBOL_PARAMETER, SYMBOL_SIZE, SYMBOL_OPTION, SYMBOL_FIELD, SYMBOL_PARAM, SYMBOL_BUFFER, SYMBOL_METHOD,
    SYMBOL_FUNCTION, SYMBOL_MODEL, SYMBOL_MODULE, SYMBOL_FILE, SYMBOL_TEST, SYMBOL_SELF,
    SYMBOL_BUILTIN, SYMBOL_CONSTANT, SYMBOL_KINDS
} SymbolKind;
/* A name where it stands in the text. */
typedef struct Mention {
    const char *name;
    size_t start, end;
    SymbolKind kind;
    bool declares, writes;
    bool sure;                 /* else it is only likely to be what is said here */
    const char *path;          /* where it is declared; NULL: nowhere in a text */
    bool library;              /* [path] is one that session_embedded knows */
    size_t name_start, name_end, whole_start, whole_end;    /* there: the name, and all of the declaration */
} Mention;
typedef struct Described {     /* malloc'ed; each but the first may be NULL */
    char *header;              /* "fn scale(x: [n, d]) -> [n, d]", "param w" */
    char *type;                /* what is known of the value at this place: "f32[32, 784]", "Linear" */
    char *doc;
} Described;
typedef struct OutlineItem {
    const char *name;
    SymbolKind kind;
    int depth;
    size_t start, end, name_start, name_end;
    char *detail;              /* malloc'ed, or NULL */
} OutlineItem;
typedef struct Inlay { size_t at; const char *text; } Inlay;
typedef struct SignatureHelp {
    char *label, *doc;         /* malloc'ed; doc may be NULL */
    int count, active;         /* active: the parameter of the cursor, or -1 */
    struct { size_t start, end; } part[64];      /* bytes of the label */
} SignatureHelp;

/* [stop] is asked now and then; true: the analysis is given up. Only what [focus] lies in is looked into, unless it is
   ANALYSE_ALL. The text may be unfinished or wrong. NULL: stopped, or memory is out. The session must outlive it. */
#define ANALYSE_ALL ((size_t)-1)
#define ANALYSE_NAMES ((size_t)-2)     /* what is declared where; nothing is checked */
typedef bool AnalysisStop(void *user);
Analysis *session_analyse(Session *session, const char *path, const char *text, size_t length, size_t focus,
                          AnalysisStop *stop, void *user);
void analysis_free(Analysis *analysis);
bool analysis_report(Analysis *analysis, CheckReport *report, void *user);      /* as session_check does */
/* Files that it used, one after the other; NULL: no more. */
const char *analysis_used(const Analysis *analysis, int i);
/* The names of the text in its order. */
int analysis_count(const Analysis *analysis);
void analysis_mention(const Analysis *analysis, int i, Mention *out);
int analysis_find(const Analysis *analysis, size_t offset);         /* the one that [offset] touches, or -1 */
bool analysis_describe(Analysis *analysis, int i, Described *out);
void described_clear(Described *described);
/* The declarations of the text, a model's and a function's own behind it. */
OutlineItem *analysis_outline(Analysis *analysis, int *count);
void outline_free(OutlineItem *items, int count);
/* Shapes that are known and not written down. */
typedef void InlayVisit(void *user, const Inlay *inlay);
void analysis_inlays(Analysis *analysis, size_t from, size_t to, InlayVisit *visit, void *user);
/* Why the i-th name cannot be renamed (malloc'ed); NULL: it can, to what analysis_rename then says of [name]. */
char *analysis_refuses(Analysis *analysis, int i);
char *analysis_rename(Session *session, Analysis *analysis, int i, const char *name);

/* As session_complete and session_inspect do at the prompt, from the text itself, which is never run. */
bool session_complete_text(Session *session, const char *path, const char *text, size_t length, size_t cursor,
                           Completions *out);
bool session_signature(Session *session, const char *path, const char *text, size_t length, size_t cursor,
                       SignatureHelp *out);
void signature_clear(SignatureHelp *help);

/* An optional part for front ends, such as "repl": its entry `tessera_module_NAME`; NULL with a malloc'ed *error. */
void *session_open_module(const char *name, char **error);
/* Such a part that is a front end, like "kernel"; what follows its name on the command line, and its exit status. */
typedef struct FrontEnd { int (*run)(int argc, char **argv, const char *library); } FrontEnd;
const char *session_version(void);
/* Writes what this machine gives Tessera (threads, kernels, BLAS and its speed, memory, parts, data sets) to the
   config's output; needs no session. False when something is missing that the user should mend. */
bool session_doctor(const SessionConfig *config);

void session_interrupt(Session *session);            /* from any thread or a signal handler */
bool session_interrupt_waits(const Session *session);            /* nothing has heeded it yet */
/* From any thread: while something is computed the session's own thread calls config.serve, between two steps and
   mostly at once, at the latest where an interrupt would be seen. There, session_complete and session_inspect may be
   called; other variables are as the step left them. */
void session_request(Session *session);
/* From any thread: the thread that computes calls config.visit, where session_eval and session_comm may be called, at the
   next place that allows it: between two steps, in sleep() and in calls that natives make. What is waited for: the end of
   an op, of a gradient call or opt.step (so parameters are never seen half way), and of loading a module. */
void session_request_visit(Session *session);
bool session_may_visit(const Session *session);
void session_allow_input(Session *session, bool allowed);       /* without, input() says that there is nobody to ask */
void session_set_width(Session *session, int columns);
void session_set_forms(Session *session, const char *forms);   /* kept, not copied */

#pragma GCC visibility pop

#endif
