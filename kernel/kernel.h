/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel's files share. Four threads besides the interpreter's own:
       shell      receives requests, answers those that need no session, and speaks on stdin (shell.c)
       control    interrupt, shutdown, and the end of it all (control.c)
       iopub      sends what everybody publishes, and flushes output in time (iopub.c)
       heartbeat  echoes (shell.c)
   Each socket belongs to one thread; others hand it messages through a Mailbox. Only the interpreter's thread, the one
   that runs main, touches the Session; what others ask of it waits in queues: jobs, one queue for the main shell and each
   subshell (run in turn), and questions (answered at the next safe point). A job of a shell that has none running may run
   in the midst of another shell's, which goes on when it is over: what belongs to each is an Evaluation, innermost first.
   Every thread but the interpreter's blocks all signals. */
#ifndef TESSERA_KERNEL_H
#define TESSERA_KERNEL_H

#include "../lang/lang.h"
#include "connection.h"
#include "debug.h"
#include "event.h"
#include "history.h"
#include "output.h"
#include "places.h"
#include "wire.h"

/* Messages for the thread that owns the sockets. */
typedef struct Mailbox {
    pthread_mutex_t lock;
    Outgoing *first, **last;
    int wake;                 /* an eventfd that its thread polls */
} Mailbox;
bool mailbox_open(Mailbox *mailbox);
void mailbox_close(Mailbox *mailbox);
void mailbox_put_take(Mailbox *mailbox, Outgoing *outgoing);

typedef struct Queue { Request *first, **last; } Queue;

/* Whose requests are run one after the other. */
typedef struct Subshell {
    struct Subshell *next;
    char id[37];              /* "": the main shell */
    Queue jobs;
    bool busy;                /* one of its jobs runs, or is set aside for another shell's */
    bool gone;                /* deleted; who ends its job frees it */
} Subshell;

/* What runs for a request. */
typedef struct Evaluation {
    struct Evaluation *outer; /* which waits for this one's end */
    bool silent;              /* what it says is not shown */
    bool asks;                /* it may ask for input */
    int count;                /* its execution count */
    json_t *payload;          /* of its reply */
    OutputKept output;        /* of the outer one */
} Evaluation;

/* An input_request that waits for its answer. */
typedef struct Question {
    struct Question *outer;
    char id[MESSAGE_ID];
} Question;

typedef struct Kernel {
    Session *session;
    Connection connection;
    Wire wire;
    void *context, *socket[SOCKET_COUNT];
    pthread_t interpreter, control, shell, iopub, heartbeat;
    Mailbox mail[SOCKET_COUNT];          /* of shell (stdin's too), control and iopub */
    int wake;                            /* eventfd: the interpreter has something to look at */
    int stop;                            /* eventfd, never read: the threads leave */
    atomic_bool ending, interrupted, computing, told_of_drops;
    pid_t parent, manager;               /* that live as long as the kernel is wanted; 0: nobody watches */

    pthread_mutex_t lock;                /* of the following */
    Subshell main_shell;                 /* first of the list of all */
    unsigned long arrivals;              /* of jobs */
    int running;                         /* jobs, one within the other */
    Queue questions, aborted;            /* aborted: the interpreter's alone */
    Request *cell;                       /* the job that runs, the innermost, or NULL */
    Queue answers;                       /* input_replies that nobody has taken */
    double last_arrival;                 /* of a request on shell */
    json_t *comms;                       /* open ones: id -> target */

    Output output;
    Places places;
    pthread_mutex_t past_lock;           /* of the following */
    const HistoryModule *past;
    History *history;                    /* NULL: not opened yet, or there can be none */
    bool past_tried;
    /* the interpreter's alone */
    int count;                           /* the execution counter */
    Evaluation *evaluation;              /* the innermost, or NULL */
    Question *asking;                    /* the innermost, or NULL */
    bool leaving;                        /* a cell said exit() */
    Queue looks;                         /* questions of the debugger that wait for the end of an op */
    Debugger debugger;
} Kernel;

/* ---- main.c ---- */
void kernel_interrupt(Kernel *kernel);                   /* from any thread or a signal handler */
void kernel_end(Kernel *kernel);                         /* the same: an orderly end begins */
void complain(Kernel *kernel, const char *text);         /* a line where standard error went before */
void note_dropped(Kernel *kernel);                       /* the first dropped message is told of */

/* ---- iopub.c ---- */
void *iopub_run(void *kernel);
/* Content is taken. [parent] NULL: of no request. */
void publish(Kernel *kernel, const char *type, Request *parent, json_t *content);
void publish_outgoing_take(Kernel *kernel, Outgoing *outgoing);
/* Busy and idle; after another request's idle the cell that runs is busy again, for front ends that follow any status. */
void publish_status(Kernel *kernel, Request *request, const char *state);

/* ---- mail.c ---- */
void mailbox_send_all(Kernel *kernel, SocketId id, const Signer *signer);   /* by the thread that owns its sockets */
/* The reply to a request, to where it came from; content is taken. */
void reply(Kernel *kernel, Request *request, json_t *content);
void post(Kernel *kernel, SocketId socket, const char *type, Request *to, unsigned number, json_t *content);
void queue_add(Queue *queue, Request *request);          /* with the lock held */
void queue_put(Kernel *kernel, Queue *queue, Request *request);
Request *queue_take(Kernel *kernel, Queue *queue);       /* NULL: it is empty */
void queue_clear(Queue *queue);

/* ---- shell.c ---- */
void *shell_run(void *kernel);
void *heartbeat_run(void *kernel);

/* ---- control.c ---- */
void *control_run(void *kernel);

/* ---- subshell.c ---- */
/* Puts a request of the shell socket where its subshell_id says, or only looks whether there is such a shell. False: there
   is none, and nothing was done. */
bool jobs_put(Kernel *kernel, Request *request);
bool subshell_is_known(Kernel *kernel, const Request *request);
json_t *unknown_subshell(const Request *request);        /* the reply */
/* The job that came first of those whose shell is free, and its end. NULL: there is none. */
Request *jobs_take(Kernel *kernel);
void jobs_done(Kernel *kernel, Request *request);
bool jobs_wait(Kernel *kernel);                          /* whether jobs_take would find one */
bool subshell_is_gone(Kernel *kernel, const Request *request);
void subshells_close(Kernel *kernel);

/* ---- execute.c: the interpreter's thread ---- */
void run_jobs(Kernel *kernel);                           /* until none is left or the kernel ends */
/* Around what is evaluated for a request: its output is shown, unless it is silent, and an interrupt reaches it. They nest. */
void evaluation_begin(Kernel *kernel, Evaluation *evaluation, Request *request, bool silent);
void evaluation_end(Kernel *kernel);
bool evaluation_must_end(Kernel *kernel);                /* an interrupt, the kernel's end, or its subshell was deleted */
/* Answers a request that will not be run. */
void answer_aborted(Kernel *kernel, Request *request_taken, const char *why);
void answer_questions(Kernel *kernel);                   /* where another text could be evaluated */
SessionConfig session_callbacks(Kernel *kernel, const char *library);
void run_comm(Kernel *kernel, Request *request, const CommMessage *message, bool *known);

/* ---- bundle.c ---- */
/* {data, metadata} of a display, as display_data has it. */
json_t *bundle_of(const Display *display);

/* ---- comm.c ---- */
void comm_publish(Kernel *kernel, const CommMessage *message);   /* what the language sends */

/* ---- past.c: the history, if there is one ---- */
void past_add(Kernel *kernel, int line, const char *input);
void past_set_output(Kernel *kernel, int line, const char *text);
void past_close(Kernel *kernel);

#endif
