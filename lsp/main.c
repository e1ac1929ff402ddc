/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tessera lsp`: reads messages, answers them in their order, and publishes findings in between. It ends on exit, with the
   end of its input, and when the process that started it is gone. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lsp.h"

enum { LOOK_FOR_PARENT = 3000, QUEUE_MOST = 10000 };

static bool parent_is_gone(const Server *server)
{
    return server->parent > 0 && kill(server->parent, 0) != 0 && errno == ESRCH;
}

static void refuse_broken(Server *server)
{
    json_t *message = json_pack("{sn s{si ss}}", "id", "error", "code", FAIL_PARSE, "message",
                                "a message could not be read: it is no JSON, or its Content-Length is wrong");
    if (message) send_take(server, message);
}

/* Everything that has come; cancellations are looked at first, for they concern what waits. */
static void take_messages(Server *server)
{
    for (;;) {
        json_t *message = NULL;
        WireNext next = wire_next(server->wire, &message);
        if (next == WIRE_NONE) return;
        if (next == WIRE_BROKEN) {
            refuse_broken(server);
            continue;
        }
        const char *method = text_of(message, "method");
        bool now_ = method && !strcmp(method, "$/cancelRequest");
        if (now_ || json_array_size(server->queue) >= QUEUE_MOST) {
            message_handle(server, message);
            json_decref(message);
        } else {
            json_array_append_new(server->queue, message);
        }
    }
}

static bool wait_for_input(Server *server)
{
    double wait = diagnose_wait(server);
    int most = json_array_size(server->queue) ? 0 : wait < 0 || wait > LOOK_FOR_PARENT / 1000.0 ? LOOK_FOR_PARENT
             : (int)(wait * 1000) + 1;
    struct pollfd in = {.fd = server->in, .events = POLLIN};
    int ready = server->closed ? 0 : poll(&in, 1, most);
    server->closed = server->closed || (ready > 0 && !wire_fill(server->wire, server->in));
    return !server->closed || json_array_size(server->queue) > 0;
}

static void serve(Server *server)
{
    while (!server->ended) {
        bool more = wait_for_input(server);
        take_messages(server);
        if (!more && json_array_size(server->queue) == 0) break;
        if (json_array_size(server->queue)) {
            json_t *message = json_incref(json_array_get(server->queue, 0));
            json_array_remove(server->queue, 0);
            message_handle(server, message);
            json_decref(message);
        } else {
            diagnose_due(server);
        }
        if (parent_is_gone(server)) break;
    }
}

/* The protocol has standard output for itself: what else would be written there goes to standard error. */
static bool open_streams(Server *server)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    server->in = STDIN_FILENO;
    server->out = dup(STDOUT_FILENO);
    return server->out >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

static void on_output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    (void)text;
    (void)length;
}

static void close_all(Server *server)
{
    while (server->groups) group_close(server, server->groups);
    session_free(server->session);
    json_decref(server->roots);
    json_decref(server->queue);
    wire_free(server->wire);
    if (server->out >= 0) close(server->out);
}

static int lsp_main(int argc, char **argv, const char *library)
{
    Server server = {.library = library, .out = -1, .encoding = ENCODING_UTF16};
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--stdio") != 0) {      /* editors give it; there is nothing else */
            fprintf(stderr, "tessera lsp: what is '%s'?\nTry: tessera lsp --help\n", argv[i]);
            return 2;
        }
    SessionConfig config = {.user = &server, .output = on_output, .opened = opened_text, .library = library};
    server.roots = json_array();
    server.queue = json_array();
    server.wire = wire_new();
    server.session = session_new(&config);
    bool fine = server.roots && server.queue && server.wire && server.session && open_streams(&server);
    if (fine) serve(&server);
    else fprintf(stderr, "tessera lsp: %s\n", strerror(errno));
    bool shut = server.state == STATE_SHUT;
    close_all(&server);
    return fine && shut ? 0 : 1;
}

extern const FrontEnd tessera_module_lsp;
__attribute__((visibility("default"))) const FrontEnd tessera_module_lsp = {lsp_main};
