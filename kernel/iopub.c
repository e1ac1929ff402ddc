/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The iopub thread: sends what is published, welcomes each subscriber before anything else reaches it, and sees to it
   that output and updates that wait are sent in time. */
#include <poll.h>
#include <string.h>

#include "kernel.h"
#include "requests.h"

/* ---- publishing, from any thread ---- */

void publish_outgoing_take(Kernel *kernel, Outgoing *outgoing)
{
    if (outgoing) mailbox_put_take(&kernel->mail[SOCKET_IOPUB], outgoing);
}

void publish(Kernel *kernel, const char *type, Request *parent, json_t *content)
{
    publish_outgoing_take(kernel, outgoing_new(SOCKET_IOPUB, type, parent, content));
}

void publish_status(Kernel *kernel, Request *request, const char *state)
{
    bool idle = strcmp(state, "idle") == 0;
    Outgoing *outgoing = outgoing_new(SOCKET_IOPUB, "status", request, json_pack("{ss}", "execution_state", state));
    pthread_mutex_lock(&kernel->lock);
    if (idle && kernel->cell == request) kernel->cell = request->outer;
    if (!idle && request->shell) {
        request->outer = kernel->cell;
        kernel->cell = request;
    }
    publish_outgoing_take(kernel, outgoing);
    /* Not as the cell's after a question on control: JupyterLab's debugger asks again at each word of the cell. */
    Request *whose = request->socket == SOCKET_CONTROL ? NULL : kernel->cell;
    if (idle && kernel->cell) publish(kernel, "status", whose, json_pack("{ss}", "execution_state", "busy"));
    pthread_mutex_unlock(&kernel->lock);
}

/* ---- the thread ---- */

/* One welcome for each subscription, also for one that others have too. */
static bool take_subscription(Kernel *kernel, const Signer *signer, bool *started)
{
    zmq_msg_t message;
    void *socket = kernel->socket[SOCKET_IOPUB];
    zmq_msg_init(&message);
    int got = zmq_msg_recv(&message, socket, ZMQ_DONTWAIT);
    const char *data = zmq_msg_data(&message);
    size_t length = zmq_msg_size(&message);
    char topic[256];
    if (got > 0 && length - 1 < sizeof topic && (*data == 0 || *data == 1)) {
        memcpy(topic, data + 1, length - 1);
        topic[length - 1] = 0;
        zmq_setsockopt(socket, *data ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, topic, length - 1);
        json_t *content = *data ? json_pack("{so}", "subscription", json_from_bytes(topic, length - 1)) : NULL;
        Outgoing *welcome = content ? outgoing_new(SOCKET_IOPUB, "iopub_welcome", NULL, content) : NULL;
        if (welcome) {
            welcome->topic = topic;
            outgoing_send_take(welcome, socket, &kernel->wire, signer);
        }
        if (welcome && !*started) {
            *started = true;
            publish(kernel, "status", NULL, json_pack("{ss}", "execution_state", "starting"));
        }
    }
    zmq_msg_close(&message);
    return got >= 0;
}

/* Milliseconds until output or an update must go; -1: nothing waits. */
static long next_deadline(Kernel *kernel)
{
    double output = output_deadline(&kernel->output), places = places_deadline(&kernel->places);
    double first = output < places ? output : places, left = (first - seconds_now()) * 1e3;
    return first == NO_DEADLINE ? -1 : left < 0 ? 0 : (long)left + 1;
}

void *iopub_run(void *user)
{
    Kernel *kernel = user;
    Signer signer;
    bool started = false;
    if (!signer_open(&signer, kernel->connection.key)) kernel_end(kernel);
    zmq_pollitem_t items[] = {{.socket = kernel->socket[SOCKET_IOPUB], .events = ZMQ_POLLIN},
                              {.fd = kernel->mail[SOCKET_IOPUB].wake, .events = ZMQ_POLLIN},
                              {.fd = kernel->output.captured[OUTPUT_OUT], .events = ZMQ_POLLIN},
                              {.fd = kernel->output.captured[OUTPUT_ERR], .events = ZMQ_POLLIN},
                              {.fd = kernel->stop, .events = ZMQ_POLLIN}};
    do {
        zmq_poll(items, sizeof items / sizeof *items, next_deadline(kernel));
        if (items[2].revents || items[3].revents) output_drain(&kernel->output);
        output_tick(&kernel->output, seconds_now());
        places_tick(&kernel->places, seconds_now());
        while (take_subscription(kernel, &signer, &started)) continue;
        mailbox_send_all(kernel, SOCKET_IOPUB, &signer);
    } while (!items[4].revents);
    zmq_close(kernel->socket[SOCKET_IOPUB]);
    signer_close(&signer);
    return NULL;
}
