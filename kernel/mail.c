/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What threads hand each other: messages that go out, in mailboxes of the threads that own the sockets, and requests that
   wait for the interpreter, in queues. */
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

static Outgoing *take_all(Mailbox *mailbox)
{
    event_forget(mailbox->wake);
    pthread_mutex_lock(&mailbox->lock);
    Outgoing *all = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return all;
}

void mailbox_send_all(Kernel *kernel, SocketId id, const Signer *signer)
{
    for (Outgoing *outgoing = take_all(&kernel->mail[id]), *next; outgoing; outgoing = next) {
        next = outgoing->next;
        outgoing_send_take(outgoing, kernel->socket[outgoing->socket], &kernel->wire, signer);
    }
}

void post(Kernel *kernel, SocketId socket, const char *type, Request *to, unsigned number, json_t *content)
{
    Outgoing *outgoing = outgoing_new(socket, type, to, content);
    if (outgoing) outgoing->number = number;
    if (outgoing) mailbox_put_take(&kernel->mail[socket == SOCKET_CONTROL ? SOCKET_CONTROL : SOCKET_SHELL], outgoing);
}

void reply(Kernel *kernel, Request *request, json_t *content)
{
    if (request->type->reply) post(kernel, request->socket, request->type->reply, request, 0, content);
    else json_decref(content);
}

/* ---- queues of the interpreter ---- */

void queue_add(Queue *queue, Request *request)
{
    if (!queue->first) queue->last = &queue->first;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

void queue_put(Kernel *kernel, Queue *queue, Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    queue_add(queue, request);
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
