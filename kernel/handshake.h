/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registration (protocol 5.6): a launcher that does not choose ports is told which ones the kernel has bound, and says that
   it knows. */
#ifndef TESSERA_HANDSHAKE_H
#define TESSERA_HANDSHAKE_H

#include "connection.h"

#define HANDSHAKE_PATIENCE 5000  /* milliseconds for the launcher's answer */

/* Tells the ports of a connection that registers, all bound, and waits for the acknowledgement. False with a malloc'ed
   *error of one line. */
bool handshake(const Connection *connection, void *context, char **error);

#endif
