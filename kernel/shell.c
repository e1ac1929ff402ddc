/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mailboxes and queues between threads; the shell thread, which receives requests on shell and stdin; the heartbeat. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel.h"
#include "requests.h"

/* ---- mailboxes ---- */

bool mailbox_open(Mailbox *mailbox)
{
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->wake = event_new();
    return mailbox->wake >= 0;
}

void mailbox_close(Mailbox *mailbox)
{
    for (Outgoing *outgoing = mailbox->first, *next; outgoing; outgoing = next) {
        next = outgoing->next;
        outgoing_free(outgoing);
    }
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->wake);
}

void mailbox_put_take(Mailbox *mailbox, Outgoing *outgoing)
{
    pthread_mutex_lock(&mailbox->lock);
    bool sleeping = !mailbox->first;
    *mailbox->last = outgoing;
    mailbox->last = &outgoing->next;
    pthread_mutex_unlock(&mailbox->lock);
    if (sleeping) event_signal(mailbox->wake);
}

Outgoing *mailbox_take_all(Mailbox *mailbox)
{
    event_forget(mailbox->wake);
    pthread_mutex_lock(&mailbox->lock);
    Outgoing *all = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return all;
}

void post(Kernel *kernel, SocketId socket, const char *type, Request *to, json_t *content)
{
    Outgoing *outgoing = outgoing_new(socket, type, to, content);
    if (outgoing) mailbox_put_take(&kernel->mail[socket == SOCKET_CONTROL ? SOCKET_CONTROL : SOCKET_SHELL], outgoing);
}

void reply(Kernel *kernel, Request *request, json_t *content)
{
    if (request->type->reply) post(kernel, request->socket, request->type->reply, request, content);
    else json_decref(content);
}

/* ---- queues of the interpreter ---- */

void queue_put(Kernel *kernel, Queue *queue, Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    if (!queue->first) queue->last = &queue->first;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
    bool interrupting = queue == &kernel->questions && kernel->cell;
    pthread_mutex_unlock(&kernel->lock);
    event_signal(kernel->wake);
    if (interrupting) {
        session_request(kernel->session);
        pthread_kill(kernel->interpreter, SIGURG);       /* which ends a sleep early */
    }
}

Request *queue_take(Kernel *kernel, Queue *queue)
{
    pthread_mutex_lock(&kernel->lock);
    Request *request = queue->first;
    if (request) queue->first = request->next;
    pthread_mutex_unlock(&kernel->lock);
    return request;
}

void queue_clear(Queue *queue)
{
    for (Request *next; queue->first; queue->first = next) {
        next = queue->first->next;
        request_release(queue->first);
    }
}

/* ---- the shell thread ---- */

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
        else if (!dropped) return;
    }
}

static void send_all(Kernel *kernel, const Signer *signer)
{
    for (Outgoing *outgoing = mailbox_take_all(&kernel->mail[SOCKET_SHELL]), *next; outgoing; outgoing = next) {
        next = outgoing->next;
        outgoing_send_take(outgoing, kernel->socket[outgoing->socket], &kernel->wire, signer);
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
        send_all(kernel, &signer);
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
