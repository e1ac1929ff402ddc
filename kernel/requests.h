/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kinds of message that are understood, from messages.def. */
#ifndef TESSERA_REQUESTS_H
#define TESSERA_REQUESTS_H

#include <jansson.h>
#include <stdbool.h>

struct Kernel;
struct Request;

enum { ON_SHELL = 1, ON_CONTROL = 2, ON_STDIN = 4 };
typedef enum Turn { AT_ONCE, BETWEEN, IN_TURN } Turn;

typedef struct RequestType {
    const char *name, *reply;            /* as in headers; reply NULL: there is none */
    unsigned sockets;
    Turn turn;
    json_t *(*handle)(struct Kernel *kernel, struct Request *request);       /* the reply's content, owned */
} RequestType;

const RequestType *request_type_find(const char *name);  /* NULL: unknown */

/* Handles a message that has just come, or puts it where it waits for its turn. */
void request_dispatch(struct Kernel *kernel, struct Request *request_taken);
/* Busy, what the type's handler does, the reply, idle. */
void request_handle(struct Kernel *kernel, struct Request *request);

#define REQUEST(name, sockets, turn) json_t *handle_##name(struct Kernel *kernel, struct Request *request);
#define NOTE(name, sockets, turn) REQUEST(name, sockets, turn)
#include "messages.def"
#undef REQUEST
#undef NOTE

#endif
