/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shell thread, which receives requests on shell and stdin, and the heartbeat. */
#include "kernel.h"
#include "requests.h"

static void receive_all(Kernel *kernel, SocketId id, const Signer *signer)
{
    bool dropped;
    for (;;) {
        Request *request = request_receive(kernel->socket[id], id, &kernel->wire, signer, &dropped);
        if (request && id == SOCKET_SHELL) {
            pthread_mutex_lock(&kernel->lock);
            kernel->last_arrival = seconds_now();
            pthread_mutex_unlock(&kernel->lock);
        }
        if (request) request_dispatch(kernel, request);
        else if (dropped) note_dropped(kernel);
        else return;
    }
}

void *shell_run(void *user)
{
    Kernel *kernel = user;
    Signer signer;
    if (!signer_open(&signer, kernel->connection.key)) kernel_end(kernel);
    zmq_pollitem_t items[] = {{.socket = kernel->socket[SOCKET_SHELL], .events = ZMQ_POLLIN},
                              {.socket = kernel->socket[SOCKET_STDIN], .events = ZMQ_POLLIN},
                              {.fd = kernel->mail[SOCKET_SHELL].wake, .events = ZMQ_POLLIN},
                              {.fd = kernel->stop, .events = ZMQ_POLLIN}};
    do {
        zmq_poll(items, sizeof items / sizeof *items, -1);
        receive_all(kernel, SOCKET_SHELL, &signer);
        receive_all(kernel, SOCKET_STDIN, &signer);
        mailbox_send_all(kernel, SOCKET_SHELL, &signer);
    } while (!items[3].revents);
    zmq_close(kernel->socket[SOCKET_SHELL]);
    zmq_close(kernel->socket[SOCKET_STDIN]);
    signer_close(&signer);
    return NULL;
}

/* ---- heartbeat ---- */

void *heartbeat_run(void *user)
{
    Kernel *kernel = user;
    void *socket = kernel->socket[SOCKET_HEARTBEAT];
    zmq_pollitem_t items[] = {{.socket = socket, .events = ZMQ_POLLIN}, {.fd = kernel->stop, .events = ZMQ_POLLIN}};
    do {
        zmq_msg_t beat;
        zmq_poll(items, 2, -1);
        zmq_msg_init(&beat);
        if (zmq_msg_recv(&beat, socket, ZMQ_DONTWAIT) >= 0) {
            bool more;
            do {
                more = zmq_msg_more(&beat);
                zmq_msg_send(&beat, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
            } while (more && zmq_msg_recv(&beat, socket, ZMQ_DONTWAIT) >= 0);
        }
        zmq_msg_close(&beat);
    } while (!items[1].revents);
    zmq_close(socket);
    return NULL;
}
