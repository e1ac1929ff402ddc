/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control thread: what must work while a cell runs, watching whoever started the kernel, and the end: it lets the
   cell stop, has the other threads send what waits and leave, closes the sockets, and ends the process itself when the
   interpreter does not come back in time. */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include "requests.h"

enum { LOOK_EVERY = 500 };    /* milliseconds between two looks at the parent */
#define PATIENCE 0.015        /* seconds that a cell has to stop, and again to leave the interpreter */

static bool is_orphan(const Kernel *kernel)
{
    if (kernel->parent && getppid() != kernel->parent) return true;
    return kernel->manager && kill(kernel->manager, 0) != 0 && errno == ESRCH;
}

static void serve(Kernel *kernel, const Signer *signer)
{
    bool dropped;
    zmq_pollitem_t items[] = {{.socket = kernel->socket[SOCKET_CONTROL], .events = ZMQ_POLLIN},
                              {.fd = kernel->mail[SOCKET_CONTROL].wake, .events = ZMQ_POLLIN}};
    zmq_poll(items, 2, LOOK_EVERY);
    do {
        Request *request = request_receive(kernel->socket[SOCKET_CONTROL], SOCKET_CONTROL, &kernel->wire, signer, &dropped);
        if (request) request_dispatch(kernel, request);
        else if (dropped) note_dropped(kernel);
        else break;
    } while (!atomic_load(&kernel->ending));
    mailbox_send_all(kernel, SOCKET_CONTROL, signer);
    if (is_orphan(kernel)) kernel_end(kernel);
}

/* Whether the interpreter is idle, and has said so, in time. */
static bool wait_for_interpreter(Kernel *kernel)
{
    double start = seconds_now();
    for (;;) {
        pthread_mutex_lock(&kernel->lock);
        bool idle = !kernel->cell;
        pthread_mutex_unlock(&kernel->lock);
        if (idle || seconds_now() - start >= PATIENCE) return idle;
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
}

void *control_run(void *user)
{
    Kernel *kernel = user;
    Signer signer;
    if (!signer_open(&signer, kernel->connection.key)) kernel_end(kernel);
    while (!atomic_load(&kernel->ending)) serve(kernel, &signer);
    mailbox_send_all(kernel, SOCKET_CONTROL, &signer);
    wait_for_interpreter(kernel);
    event_signal(kernel->stop);
    pthread_join(kernel->shell, NULL);
    pthread_join(kernel->iopub, NULL);
    pthread_join(kernel->heartbeat, NULL);
    zmq_close(kernel->socket[SOCKET_CONTROL]);
    signer_close(&signer);
    zmq_ctx_term(kernel->context);
    if (!wait_for_interpreter(kernel)) {
        connection_remove(&kernel->connection);
        _exit(0);
    }
    return NULL;
}
