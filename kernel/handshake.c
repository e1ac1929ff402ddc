/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling a launcher the ports (handshake.h). Messages are three frames, delimiter, signature and content: first the ports,
   numbers as text, in a JSON object; then the word ACK. */
#include "handshake.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char delimiter[] = "<IDS|MSG>";
static const char acknowledgement[] = "ACK";

static char *ports_of(const Connection *connection)
{
    char port[16];
    json_t *content = json_object();
    if (connection->kernel_id) json_object_set_new(content, "kernel_id", json_string(connection->kernel_id));
    for (int i = 0; i < SOCKET_COUNT; i++) {
        snprintf(port, sizeof port, "%d", connection->port[i]);
        json_object_set_new(content, socket_kinds[i].port_key, json_string(port));
    }
    char *text = json_dumps(content, JSON_COMPACT);
    json_decref(content);
    return text;
}

static bool sign(const Signer *signer, const void *content, size_t length, char *hex)
{
    return signer_sign(signer, (const void *const[4]){content, "", "", ""}, (const size_t[4]){length, 0, 0, 0}, hex);
}

static bool send_ports(const Connection *connection, void *socket, const Signer *signer)
{
    char signature[SIGNATURE_LENGTH + 1], *ports = ports_of(connection);
    bool fine = ports && sign(signer, ports, strlen(ports), signature) &&
                zmq_send(socket, delimiter, strlen(delimiter), ZMQ_SNDMORE) >= 0 &&
                zmq_send(socket, signature, strlen(signature), ZMQ_SNDMORE) >= 0 &&
                zmq_send(socket, ports, strlen(ports), 0) >= 0;
    free(ports);
    return fine;
}

typedef struct Answer {
    char frame[3][SIGNATURE_LENGTH + 1];     /* the last three of the message; longer ones are cut */
    size_t length[3];
    int count;
} Answer;

/* False: nothing came in time. */
static bool receive(void *socket, Answer *answer)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    zmq_msg_t frame;
    bool more = true;
    if (zmq_poll(&item, 1, HANDSHAKE_PATIENCE) <= 0) return false;
    for (answer->count = 0; more; answer->count++) {
        if (answer->count >= 3) {
            memmove(answer->frame[0], answer->frame[1], sizeof answer->frame[0] * 2);
            memmove(&answer->length[0], &answer->length[1], sizeof answer->length[0] * 2);
        }
        int place = answer->count < 3 ? answer->count : 2;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, 0) < 0) return false;
        size_t length = zmq_msg_size(&frame);
        answer->length[place] = length;
        memcpy(answer->frame[place], zmq_msg_data(&frame), length < SIGNATURE_LENGTH ? length : SIGNATURE_LENGTH);
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return true;
}

/* NULL: it is the acknowledgement. */
static const char *fault_of(const Answer *answer, const Signer *signer)
{
    char wanted[SIGNATURE_LENGTH + 1];
    if (answer->count < 3 || answer->length[0] != strlen(delimiter) ||
        memcmp(answer->frame[0], delimiter, strlen(delimiter)) != 0)
        return "is no acknowledgement";
    if (answer->length[2] > SIGNATURE_LENGTH || !sign(signer, answer->frame[2], answer->length[2], wanted) ||
        answer->length[1] != strlen(wanted) || CRYPTO_memcmp(answer->frame[1], wanted, strlen(wanted)) != 0)
        return "is not signed with the key of the connection file";
    bool right = answer->length[2] == strlen(acknowledgement) &&
                 memcmp(answer->frame[2], acknowledgement, strlen(acknowledgement)) == 0;
    return right ? NULL : "is no acknowledgement";
}

static bool exchange(const Connection *connection, void *socket, const char *address, char **error)
{
    Answer answer;
    Signer signer;
    bool fine = signer_open(&signer, connection->key) && zmq_connect(socket, address) == 0 &&
                send_ports(connection, socket, &signer);
    if (!fine && asprintf(error, "cannot register at %s: %s", address, zmq_strerror(errno)) < 0) *error = NULL;
    bool came = fine && receive(socket, &answer);
    if (fine && !came && asprintf(error, "the launcher at %s has not acknowledged the registration within %d s", address,
                                  HANDSHAKE_PATIENCE / 1000) < 0)
        *error = NULL;
    const char *fault = came ? fault_of(&answer, &signer) : NULL;
    if (fault && asprintf(error, "what the launcher at %s answered to the registration %s", address, fault) < 0)
        *error = NULL;
    signer_close(&signer);
    return came && !fault;
}

bool handshake(const Connection *connection, void *context, char **error)
{
    char address[4400];
    void *socket = zmq_socket(context, ZMQ_DEALER);
    connection_address(connection, connection->registration_ip, connection->registration_port, address, sizeof address);
    if (!socket && asprintf(error, "%s", zmq_strerror(errno)) < 0) *error = NULL;
    if (!socket) return false;
    bool fine = exchange(connection, socket, address, error);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_close(socket);
    return fine;
}
