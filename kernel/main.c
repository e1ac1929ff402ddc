/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tessera kernel`: the life of a Jupyter kernel, from its connection file to its end. The thread that runs this is the
   interpreter's; kernel.h says who else there is. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <uuid/uuid.h>

#include "handshake.h"
#include "kernel.h"

void complain(Kernel *kernel, const char *text)
{
    int to = kernel->output.original[OUTPUT_ERR];
    dprintf(to >= 0 ? to : STDERR_FILENO, "tessera kernel: %s\n", text);
}

void note_dropped(Kernel *kernel)
{
    if (!atomic_exchange(&kernel->told_of_drops, true))
        complain(kernel, "dropped a message that is malformed, wrongly signed or a replay; more will be dropped silently");
}

/* ---- signals ---- */

static Kernel *the_kernel;    /* for the handlers: a process is one kernel */

void kernel_interrupt(Kernel *kernel)
{
    if (!atomic_load(&kernel->computing)) return;
    atomic_store(&kernel->interrupted, true);
    session_interrupt(kernel->session);
    event_signal(kernel->wake);
}

void kernel_end(Kernel *kernel)
{
    atomic_store(&kernel->ending, true);
    if (atomic_load(&kernel->computing)) session_interrupt(kernel->session);
    event_signal(kernel->wake);
    event_signal(kernel->mail[SOCKET_CONTROL].wake);
}

static void on_signal(int number)
{
    if (number == SIGINT) kernel_interrupt(the_kernel);
    else if (number != SIGURG) kernel_end(the_kernel);   /* SIGURG only ends a sleep */
}

/* Blocked before, so that whatever came until now is handled here. */
static void catch_signals(Kernel *kernel)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGURG};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    the_kernel = kernel;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) sigaction(caught[i], &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* ---- start ---- */

typedef struct Options { const char *file; size_t limit; } Options;

static bool fail(const char *message)
{
    fprintf(stderr, "tessera kernel: %s\n", message ? message : "out of memory");
    return false;
}

static bool fail_taken(char *message)
{
    fail(message);
    free(message);
    return false;
}

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void *open_socket(Kernel *kernel, SocketId id)
{
    void *socket = zmq_socket(kernel->context, socket_kinds[id].type);
    if (!socket) return NULL;
    set_option(socket, ZMQ_LINGER, 1000);
    set_option(socket, ZMQ_SNDHWM, id == SOCKET_IOPUB ? 100000 : 0);     /* replies are never dropped */
    if (socket_kinds[id].type == ZMQ_ROUTER) set_option(socket, ZMQ_ROUTER_HANDOVER, 1);
    if (id == SOCKET_IOPUB) set_option(socket, ZMQ_XPUB_MANUAL, 1);
    return socket;
}

static bool open_sockets(Kernel *kernel)
{
    char *error = NULL;
    bool chosen = false;
    kernel->context = zmq_ctx_new();
    for (int i = 0; i < SOCKET_COUNT; i++) {
        chosen |= kernel->connection.port[i] == 0;
        kernel->socket[i] = kernel->context ? open_socket(kernel, (SocketId)i) : NULL;
        if (!kernel->socket[i]) return fail(zmq_strerror(errno));
        if (!connection_bind(&kernel->connection, (SocketId)i, kernel->socket[i], &error)) return fail_taken(error);
    }
    if (chosen && !connection_write(&kernel->connection, &error)) return fail_taken(error);
    return !kernel->connection.registration_ip || handshake(&kernel->connection, kernel->context, &error) ||
           fail_taken(error);
}

static bool find_connection(Kernel *kernel, const char *file)
{
    char *error = NULL;
    bool there = file && access(file, F_OK) == 0;
    return (there ? connection_read(&kernel->connection, file, &error)
                  : connection_make(&kernel->connection, file, &error)) || fail_taken(error);
}

/* Started by a program, the kernel ends with it; started by hand, it stays. */
static void find_parent(Kernel *kernel, bool by_program)
{
    const char *text = getenv("JPY_PARENT_PID");
    long manager = text ? strtol(text, NULL, 10) : 0;
    if (manager > 1 && manager != getppid()) kernel->manager = (pid_t)manager;
    else if ((manager > 1 || by_program) && getppid() > 1) kernel->parent = getppid();
}

static void emit(void *user, Request *parent, OutputStream stream, const char *text, size_t length)
{
    const char *name = stream == OUTPUT_OUT ? "stdout" : "stderr";
    json_t *content = json_pack("{ss so}", "name", name, "text", json_from_bytes(text, length));
    Outgoing *outgoing = outgoing_new(SOCKET_IOPUB, "stream", parent, content);
    if (outgoing) outgoing->topic = stream == OUTPUT_OUT ? "stream.stdout" : "stream.stderr";
    publish_outgoing_take(user, outgoing);
}

static void show_place(void *user, Request *parent, bool update, json_t *content)
{
    publish(user, update ? "update_display_data" : "display_data", parent, content);
}

static bool open_state(Kernel *kernel, const Options *options, const char *library)
{
    static const SocketId with_mail[] = {SOCKET_SHELL, SOCKET_CONTROL, SOCKET_IOPUB};
    uuid_t session;
    uuid_generate_random(session);
    uuid_unparse_lower(session, kernel->wire.session);
    pthread_mutex_init(&kernel->lock, NULL);
    pthread_mutex_init(&kernel->past_lock, NULL);
    kernel->interpreter = pthread_self();
    kernel->comms = json_object();
    kernel->wake = event_new();
    kernel->stop = event_new();
    bool fine = kernel->wake >= 0 && kernel->stop >= 0 && replays_open(&kernel->wire.replays);
    for (size_t i = 0; i < sizeof with_mail / sizeof *with_mail; i++) fine &= mailbox_open(&kernel->mail[with_mail[i]]);
    const int iopub = kernel->mail[SOCKET_IOPUB].wake;
    fine &= output_open(&kernel->output, emit, kernel, options->limit, iopub);
    places_open(&kernel->places, show_place, kernel, iopub);
    SessionConfig config = session_callbacks(kernel, library);
    kernel->session = session_new(&config);
    return (fine && kernel->session) || fail(strerror(errno));
}

static bool start_threads(Kernel *kernel)
{
    bool fine = pthread_create(&kernel->iopub, NULL, iopub_run, kernel) == 0;
    fine = fine && pthread_create(&kernel->shell, NULL, shell_run, kernel) == 0;
    fine = fine && pthread_create(&kernel->heartbeat, NULL, heartbeat_run, kernel) == 0;
    fine = fine && pthread_create(&kernel->control, NULL, control_run, kernel) == 0;
    return fine || fail("no threads can be had");
}

/* ---- end ---- */

static void close_state(Kernel *kernel)
{
    debug_close(kernel);
    output_close(&kernel->output);
    places_close(&kernel->places);
    session_free(kernel->session);
    past_close(kernel);
    subshells_close(kernel);
    queue_clear(&kernel->questions);
    queue_clear(&kernel->looks);
    queue_clear(&kernel->answers);
    json_decref(kernel->comms);
    replays_close(&kernel->wire.replays);
    mailbox_close(&kernel->mail[SOCKET_SHELL]);
    mailbox_close(&kernel->mail[SOCKET_CONTROL]);
    mailbox_close(&kernel->mail[SOCKET_IOPUB]);
    close(kernel->wake);
    close(kernel->stop);
    connection_close(&kernel->connection);
}

/* ---- between ---- */

static void work(Kernel *kernel)
{
    while (!atomic_load(&kernel->ending)) {
        struct pollfd wake = {.fd = kernel->wake, .events = POLLIN};
        poll(&wake, 1, -1);
        event_forget(kernel->wake);
        answer_questions(kernel);
        run_jobs(kernel);
    }
}

static void say_how_to_connect(const Kernel *kernel)
{
    if (!kernel->connection.made || kernel->connection.registration_ip) return;
    printf("To connect a client to this kernel:\n    jupyter console --existing %s\n", kernel->connection.path);
    fflush(stdout);
}

static int run(const Options *options, const char *library)
{
    static Kernel kernel;
    if (!find_connection(&kernel, options->file)) return 1;
    find_parent(&kernel, options->file != NULL);
    if (!open_state(&kernel, options, library) || !open_sockets(&kernel)) {
        connection_close(&kernel.connection);
        return 1;
    }
    say_how_to_connect(&kernel);
    if (!output_capture(&kernel.output)) fail("what C libraries print will not be seen");
    if (!start_threads(&kernel)) return 1;
    catch_signals(&kernel);
    work(&kernel);
    pthread_join(kernel.control, NULL);
    close_state(&kernel);
#ifdef TESSERA_DEBUG
    if (session_live_objects() != 0) {
        fprintf(stderr, "tessera kernel: %lld objects are still alive\n", session_live_objects());
        return 70;
    }
#endif
    return 0;
}

/* ---- the command line ---- */

static int fail_usage(const char *format, const char *word)
{
    fprintf(stderr, "tessera kernel: ");
    fprintf(stderr, format, word);
    fprintf(stderr, "\nTry: tessera kernel --help\n");
    return 2;
}

static int kernel_main(int argc, char **argv, const char *library)
{
    Options options = {.limit = OUTPUT_LIMIT};
    for (int i = 0; i < argc; i++) {
        char *end;
        bool is_file = strcmp(argv[i], "-f") == 0, is_limit = strcmp(argv[i], "--output-limit") == 0;
        if (!is_file && !is_limit) return fail_usage("what is '%s'?", argv[i]);
        if (++i == argc) return fail_usage("%s needs a value", argv[i - 1]);
        if (is_file) options.file = argv[i];
        else options.limit = strtoull(argv[i], &end, 10);
        if (is_limit && (end == argv[i] || *end || *argv[i] == '-')) return fail_usage("'%s' is no number of bytes", argv[i]);
    }
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL);
    return run(&options, library);
}

extern const FrontEnd tessera_module_kernel;
__attribute__((visibility("default"))) const FrontEnd tessera_module_kernel = {kernel_main};
