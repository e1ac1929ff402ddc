/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection file: where a client finds the kernel's sockets, and the key that signs messages. */
#ifndef TESSERA_CONNECTION_H
#define TESSERA_CONNECTION_H

#include "wire.h"

typedef struct Connection {
    char *path;               /* of the file; [made]: written here, and removed at the end */
    bool made;
    char *transport, *ip, *key;
    int port[SOCKET_COUNT];   /* 0: any that is free */
    bool bound[SOCKET_COUNT];
} Connection;

/* What a socket is called in connection files, and its type. */
extern const struct SocketKind { const char *name, *port_key; int type; } socket_kinds[SOCKET_COUNT];

/* False with a malloc'ed *error of one line. */
bool connection_read(Connection *connection, const char *path, char **error);
/* A new one on this machine, with a key and ports yet to be chosen. */
bool connection_make(Connection *connection, const char *path, char **error);
/* Binds, and notes a port that the system chose. */
bool connection_bind(Connection *connection, SocketId id, void *socket, char **error);
bool connection_write(const Connection *connection, char **error);
/* Takes away the file that was made and the sockets of ipc, which are files too. */
void connection_remove(const Connection *connection);
void connection_close(Connection *connection);           /* likewise, and frees */

#endif
