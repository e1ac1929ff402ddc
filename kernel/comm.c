/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comms: channels between code and a page. The kernel knows which are open; what they do is the language's affair. */
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "requests.h"

static const char *const event_types[] = {[COMM_OPEN] = "comm_open", [COMM_MESSAGE] = "comm_msg", [COMM_CLOSE] = "comm_close"};

static void note(Kernel *kernel, CommEvent event, const char *id, const char *target)
{
    pthread_mutex_lock(&kernel->lock);
    if (event == COMM_OPEN) json_object_set_new(kernel->comms, id, json_string(target));
    if (event == COMM_CLOSE) json_object_del(kernel->comms, id);
    pthread_mutex_unlock(&kernel->lock);
}

static bool is_open(Kernel *kernel, const char *id)
{
    pthread_mutex_lock(&kernel->lock);
    bool found = json_object_get(kernel->comms, id) != NULL;
    pthread_mutex_unlock(&kernel->lock);
    return found;
}

json_t *handle_comm_info(Kernel *kernel, Request *request)
{
    const char *wanted = request_text(request, "target_name"), *id;
    json_t *comms = json_object(), *target;
    pthread_mutex_lock(&kernel->lock);
    json_object_foreach(kernel->comms, id, target)
        if (!*wanted || strcmp(json_string_value(target), wanted) == 0)
            json_object_set_new(comms, id, json_pack("{sO}", "target_name", target));
    pthread_mutex_unlock(&kernel->lock);
    return json_pack("{ss so}", "status", "ok", "comms", comms);
}

/* ---- from the language to the page ---- */

static bool take_buffers(Outgoing *outgoing, const CommMessage *message)
{
    outgoing->buffer = calloc((size_t)message->n_buffers + 1, sizeof *outgoing->buffer);
    for (int i = 0; outgoing->buffer && i < message->n_buffers; i++) {
        void *copy = malloc(message->buffer[i].length + 1);
        if (!copy) return false;
        memcpy(copy, message->buffer[i].at, message->buffer[i].length);
        outgoing->buffer[outgoing->n_buffers++] = (Buffer){copy, message->buffer[i].length};
    }
    return outgoing->buffer != NULL;
}

void comm_publish(Kernel *kernel, const CommMessage *message)
{
    json_t *data = json_loadb(message->data, message->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *content = json_pack("{ss so}", "comm_id", message->id, "data", data ? data : json_object());
    if (message->event == COMM_OPEN) json_object_set_new(content, "target_name", json_string(message->target));
    note(kernel, message->event, message->id, message->target);
    output_flush(&kernel->output);
    Outgoing *outgoing = outgoing_new(SOCKET_IOPUB, event_types[message->event], kernel->cell, content);
    if (outgoing && take_buffers(outgoing, message)) publish_outgoing_take(kernel, outgoing);
    else outgoing_free(outgoing);
}

/* ---- from the page to the language ---- */

/* What the message says, for the language's handler; false: it lacks something. [data] is malloc'ed. */
static bool read_message(const Request *request, CommEvent event, CommMessage *message, CommBuffer *buffer, char **data)
{
    const json_t *given = json_object_get(request->content, "data");
    *data = given ? json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("{}");
    *message = (CommMessage){.event = event, .id = request_text(request, "comm_id"),
                             .target = request_text(request, "target_name"), .data = *data,
                             .length = *data ? strlen(*data) : 0, .n_buffers = request_n_buffers(request), .buffer = buffer};
    for (int i = 0; i < message->n_buffers; i++) buffer[i].at = request_buffer(request, i, &buffer[i].length);
    return *data && *message->id;
}

static void refuse(Kernel *kernel, Request *request, const char *id)
{
    note(kernel, COMM_CLOSE, id, NULL);
    publish(kernel, "comm_close", request, json_pack("{ss s{}}", "comm_id", id, "data"));
}

static json_t *receive(Kernel *kernel, Request *request, CommEvent event)
{
    CommMessage message;
    char *data = NULL;
    CommBuffer *buffer = calloc((size_t)request_n_buffers(request) + 1, sizeof *buffer);
    if (buffer && read_message(request, event, &message, buffer, &data)) {
        bool known = false;
        if (event == COMM_OPEN) note(kernel, COMM_OPEN, message.id, message.target);
        run_comm(kernel, request, &message, &known);
        if (event == COMM_CLOSE) note(kernel, COMM_CLOSE, message.id, NULL);
        else if (!known && (event == COMM_OPEN || !is_open(kernel, message.id))) refuse(kernel, request, message.id);
    }
    free(data);
    free(buffer);
    return NULL;
}

json_t *handle_comm_open(Kernel *kernel, Request *request) { return receive(kernel, request, COMM_OPEN); }
json_t *handle_comm_msg(Kernel *kernel, Request *request) { return receive(kernel, request, COMM_MESSAGE); }
json_t *handle_comm_close(Kernel *kernel, Request *request) { return receive(kernel, request, COMM_CLOSE); }
