/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection file: where a client finds the kernel's sockets, and the key that signs messages; or, of a launcher that
   leaves the ports to the kernel, where those are to be told (handshake.h). */
#ifndef TESSERA_CONNECTION_H
#define TESSERA_CONNECTION_H

#include "wire.h"

typedef struct Connection {
    char *path;               /* of the file; [made]: written here, and removed at the end */
    bool made;
    char *transport, *ip, *key;
    char *curve_public, *curve_secret;    /* of CurveZMQ, as text; NULL: messages are not encrypted */
    char *registration_ip, *kernel_id;    /* of a launcher that is told the ports; else NULL. The id may be */
    int registration_port;
    int port[SOCKET_COUNT];   /* 0: any that is free */
    bool bound[SOCKET_COUNT];
} Connection;

/* What a socket is called in connection files, and its type. */
extern const struct SocketKind { const char *name, *port_key; int type; } socket_kinds[SOCKET_COUNT];

/* False with a malloc'ed *error of one line. */
bool connection_read(Connection *connection, const char *path, char **error);
/* A new one on this machine, with a key and ports yet to be chosen. */
bool connection_make(Connection *connection, const char *path, char **error);
/* tcp://IP:PORT, or ipc://IP-PORT; port 0: any of tcp. */
void connection_address(const Connection *connection, const char *ip, int port, char *to, size_t room);
/* Binds, encrypted if there are keys, and notes a port that the system chose. */
bool connection_bind(Connection *connection, SocketId id, void *socket, char **error);
bool connection_write(const Connection *connection, char **error);
/* Takes away the file that was made and the sockets of ipc, which are files too. */
void connection_remove(const Connection *connection);
void connection_close(Connection *connection);           /* likewise, and frees */

#endif
