/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages as they go over sockets: frames, signatures, headers. A received message is checked before anything else
   sees it: what is malformed, wrongly signed or a replay is dropped and counted. Signatures cover the bytes as they came;
   nothing is written anew to be compared. */
#ifndef TESSERA_WIRE_H
#define TESSERA_WIRE_H

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#define PROTOCOL_VERSION "5.5"

typedef enum SocketId { SOCKET_SHELL, SOCKET_CONTROL, SOCKET_STDIN, SOCKET_IOPUB, SOCKET_HEARTBEAT, SOCKET_COUNT } SocketId;

/* ---- signatures ---- */

enum { SIGNATURE_LENGTH = 64, REPLAY_MEMORY = 65536 };

/* HMAC-SHA256 under one key; each thread has its own. Without a key signatures are empty. */
typedef struct Signer {
    bool keyed;
    EVP_MAC_CTX *mac;         /* NULL with a key: nothing can be signed, and no signature is right */
} Signer;
bool signer_open(Signer *signer, const char *key);       /* false: the library refuses */
void signer_close(Signer *signer);
/* Over four parts; [hex] gets SIGNATURE_LENGTH characters and a 0, or "" without a key. */
bool signer_sign(const Signer *signer, const void *const part[4], const size_t length[4], char *hex);

/* The latest REPLAY_MEMORY signatures, by their first 64 bits. */
typedef struct Replays {
    pthread_mutex_t lock;
    uint64_t *ring;           /* in order of arrival */
    uint32_t *index;          /* open addressing: place in the ring + 1 */
    uint32_t count, next;
} Replays;
bool replays_open(Replays *replays);
void replays_close(Replays *replays);
bool replays_add(Replays *replays, const char *hex);     /* false: it was there already */

/* What all sockets of a kernel share. */
typedef struct Wire {
    char session[37];         /* this process's, as a UUID */
    atomic_uint sent;         /* numbers message ids: see message_id */
    atomic_uint dropped;      /* messages that were not understood */
    Replays replays;
} Wire;

/* What the message of that number is called, and a number that no other has. */
enum { MESSAGE_ID = 48 };
void message_id(const Wire *wire, unsigned number, char id[MESSAGE_ID]);
unsigned message_number(Wire *wire);

/* ---- messages that come in ---- */

struct RequestType;
struct Subshell;

typedef struct Request {
    atomic_int refs;
    const struct RequestType *type;      /* NULL: unknown; replies then are not expected */
    SocketId socket;
    int n_frames, delimiter;  /* identities, then from [delimiter] on: signature, header, parent, metadata, content, buffers */
    zmq_msg_t *frame;
    json_t *header, *content; /* objects */
    struct Request *next;     /* in a queue */
    struct Request *outer;    /* while it runs: the one in whose midst it does, or NULL */
    struct Subshell *shell;   /* whose turn it takes; NULL: it waits for none, and is not run */
    unsigned long arrival;    /* among those that wait for their turn */
} Request;

/* The next message, without waiting. NULL with *dropped: one was thrown away; else there is none. */
Request *request_receive(void *socket, SocketId id, Wire *wire, const Signer *signer, bool *dropped);
Request *request_retain(Request *request);
void request_release(Request *request);
const char *request_text(const Request *request, const char *key);               /* "" when there is none */
bool request_flag(const Request *request, const char *key, bool otherwise);
int request_n_buffers(const Request *request);
const void *request_buffer(const Request *request, int index, size_t *length);
/* The id of the message that it answers, malloc'ed, or NULL. */
char *request_answered(const Request *request);

/* ---- messages that go out ---- */

typedef struct Buffer { void *at; size_t length; } Buffer;      /* malloc'ed */

typedef struct Outgoing {
    struct Outgoing *next;
    SocketId socket;
    unsigned number;          /* of its id; 0: the next one when it is sent */
    const char *type;         /* lives forever */
    const char *topic;        /* of iopub; NULL: the type */
    Request *parent;          /* retained; NULL: of no request. What is not for iopub goes to its sender */
    char *metadata, *content; /* malloc'ed JSON */
    int n_buffers;
    Buffer *buffer;
} Outgoing;

/* Takes [content]; NULL when memory is out or the content is no JSON. */
Outgoing *outgoing_new(SocketId socket, const char *type, Request *parent, json_t *content);
void outgoing_free(Outgoing *outgoing);
void outgoing_send_take(Outgoing *outgoing, void *socket, Wire *wire, const Signer *signer);

/* Any bytes as a JSON string: what is not UTF-8 becomes U+FFFD. */
json_t *json_from_bytes(const char *bytes, size_t length);
json_t *json_from_text(const char *text);

#endif
