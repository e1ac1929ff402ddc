/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connection files: read, or made by a kernel that was started by hand; and binding to what they say. */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const struct SocketKind socket_kinds[SOCKET_COUNT] = {
    [SOCKET_SHELL] = {"shell", "shell_port", ZMQ_ROUTER},
    [SOCKET_CONTROL] = {"control", "control_port", ZMQ_ROUTER},
    [SOCKET_STDIN] = {"stdin", "stdin_port", ZMQ_ROUTER},
    [SOCKET_IOPUB] = {"iopub", "iopub_port", ZMQ_XPUB},
    [SOCKET_HEARTBEAT] = {"heartbeat", "hb_port", ZMQ_REP},
};

__attribute__((format(printf, 2, 3)))
static bool fail(char **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(error, format, arguments) < 0) *error = NULL;
    va_end(arguments);
    return false;
}

/* ---- reading ---- */

/* Where clients look: $JUPYTER_RUNTIME_DIR, or the usual folder below the home. */
static char *usual_path(void)
{
    const char *folder = getenv("JUPYTER_RUNTIME_DIR"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int made = folder && *folder ? asprintf(&path, "%s/kernel-%d.json", folder, (int)getpid())
             : data && *data ? asprintf(&path, "%s/jupyter/runtime/kernel-%d.json", data, (int)getpid())
             : home && *home ? asprintf(&path, "%s/.local/share/jupyter/runtime/kernel-%d.json", home, (int)getpid())
             : asprintf(&path, "kernel-%d.json", (int)getpid());
    return made < 0 ? NULL : path;
}

static bool take_text(const json_t *file, const char *path, const char *key, const char *otherwise, char **to, char **error)
{
    const json_t *value = json_object_get(file, key);
    const char *text = value ? json_string_value(value) : otherwise;
    if (!text) return fail(error, "%s: \"%s\" is %s", path, key, value ? "no string" : "missing");
    if (strlen(text) > 4096) return fail(error, "%s: \"%s\" is too long", path, key);
    *to = strdup(text);
    return *to || fail(error, "out of memory");
}

static bool take_port(const json_t *file, const char *path, const char *key, int *port, char **error)
{
    const json_t *value = json_object_get(file, key);
    if (!value) return fail(error, "%s: \"%s\" is missing", path, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > 65535)
        return fail(error, "%s: \"%s\" is no port (0 to 65535)", path, key);
    *port = (int)number;
    return true;
}

/* Both keys or none. */
static bool take_keys(Connection *c, const json_t *file, const char *path, char **error)
{
    static const char public[] = "curve_publickey", secret[] = "curve_secretkey";
    uint8_t bytes[32];
    char derived[41] = "";
    if (!json_object_get(file, public) && !json_object_get(file, secret)) return true;
    if (!take_text(file, path, public, NULL, &c->curve_public, error) ||
        !take_text(file, path, secret, NULL, &c->curve_secret, error))
        return false;
    if (!zmq_has("curve"))
        return fail(error, "%s has keys of CurveZMQ, but this libzmq was built without it (libsodium)", path);
    if (strlen(c->curve_public) != 40 || !zmq_z85_decode(bytes, c->curve_public))
        return fail(error, "%s: \"%s\" is no key: 40 characters of Z85", path, public);
    if (strlen(c->curve_secret) != 40 || !zmq_z85_decode(bytes, c->curve_secret))
        return fail(error, "%s: \"%s\" is no key: 40 characters of Z85", path, secret);
    if (zmq_curve_public(derived, c->curve_secret) != 0 || strcmp(derived, c->curve_public) != 0)
        return fail(error, "%s: \"%s\" is not the public key of \"%s\"", path, public, secret);
    return true;
}

/* The file of a launcher that wants to be told the ports. The kernel writes one of its own for other clients. */
static bool take_registration(Connection *c, const json_t *file, const char *path, char **error)
{
    if (json_object_get(file, "kernel_id") && !take_text(file, path, "kernel_id", NULL, &c->kernel_id, error)) return false;
    if (!take_text(file, path, "registration_ip", NULL, &c->registration_ip, error) ||
        !take_port(file, path, "registration_port", &c->registration_port, error))
        return false;
    if (json_object_get(file, "ip")) {
        if (!take_text(file, path, "ip", NULL, &c->ip, error)) return false;
    } else if (strcmp(c->transport, "ipc") != 0) {
        c->ip = strdup("127.0.0.1");
    } else if (asprintf(&c->ip, "%s-kernel-%d", c->registration_ip, (int)getpid()) < 0) {
        c->ip = NULL;
    }
    free(c->path);
    c->path = usual_path();
    c->made = true;
    return (c->ip && c->path) || fail(error, "out of memory");
}

static bool take_ports(Connection *c, const json_t *file, const char *path, char **error)
{
    bool fine = take_text(file, path, "ip", NULL, &c->ip, error);
    for (int i = 0; i < SOCKET_COUNT && fine; i++)
        fine = take_port(file, path, socket_kinds[i].port_key, &c->port[i], error);
    return fine;
}

static bool read_fields(Connection *c, const json_t *file, const char *path, char **error)
{
    char *scheme = NULL;
    bool registers = json_object_get(file, "registration_ip") || json_object_get(file, "registration_port");
    bool fine = take_text(file, path, "transport", "tcp", &c->transport, error) &&
                take_text(file, path, "key", NULL, &c->key, error) &&
                take_text(file, path, "signature_scheme", "hmac-sha256", &scheme, error) &&
                (registers ? take_registration : take_ports)(c, file, path, error) && take_keys(c, file, path, error);
    if (fine && strcmp(c->transport, "tcp") != 0 && strcmp(c->transport, "ipc") != 0)
        fine = fail(error, "%s: unknown transport \"%s\"; tcp and ipc are known", path, c->transport);
    if (fine && *c->key && strcmp(scheme, "hmac-sha256") != 0)
        fine = fail(error, "%s: unknown signature_scheme \"%s\"; hmac-sha256 is known", path, scheme);
    free(scheme);
    return fine;
}

bool connection_read(Connection *connection, const char *path, char **error)
{
    json_error_t where;
    struct stat about;
    *connection = (Connection){.path = strdup(path)};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &about) != 0) {
        fail(error, "cannot read the connection file %s: %s", path, strerror(errno));
        if (file >= 0) close(file);
        return false;
    }
    bool shared = S_ISREG(about.st_mode) && (about.st_mode & S_IWOTH);
    json_t *fields = shared ? NULL : json_loadfd(file, 0, &where);
    close(file);
    if (shared) return fail(error, "%s: others may write this file; its key is worth nothing (chmod 600)", path);
    if (!fields) return fail(error, "%s:%d: no JSON: %s", path, where.line, where.text);
    bool fine = json_is_object(fields) ? read_fields(connection, fields, path, error)
                                       : fail(error, "%s: no JSON object", path);
    json_decref(fields);
    return fine;
}

/* ---- making ---- */

static char *random_hex(int bytes)
{
    unsigned char random[32];
    char *text = malloc(2 * (size_t)bytes + 1);
    if (!text || getrandom(random, (size_t)bytes, 0) != bytes) {
        free(text);
        return NULL;
    }
    for (int i = 0; i < bytes; i++) snprintf(text + 2 * i, 3, "%02x", random[i]);
    return text;
}

bool connection_make(Connection *connection, const char *path, char **error)
{
    *connection = (Connection){.path = path ? strdup(path) : usual_path(), .made = true, .transport = strdup("tcp"),
                               .ip = strdup("127.0.0.1"), .key = random_hex(32)};
    return (connection->path && connection->transport && connection->ip && connection->key) || fail(error, "out of memory");
}

#define SOCKET_FILE "%s-%d"

void connection_address(const Connection *connection, const char *ip, int port, char *to, size_t room)
{
    bool tcp = strcmp(connection->transport, "tcp") == 0;
    if (tcp && port == 0) snprintf(to, room, "tcp://%s:*", ip);
    else if (tcp) snprintf(to, room, "tcp://%s:%d", ip, port);
    else snprintf(to, room, "ipc://" SOCKET_FILE, ip, port);
}

/* Only who knows the public key gets through to a socket that has these. */
static bool encrypt(const Connection *connection, void *socket)
{
    const char *public = connection->curve_public, *secret = connection->curve_secret;
    return !public || (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &(int){1}, sizeof(int)) == 0 &&
                       zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public, strlen(public) + 1) == 0 &&
                       zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, strlen(secret) + 1) == 0);
}

bool connection_bind(Connection *connection, SocketId id, void *socket, char **error)
{
    char address[4400], bound[4400];
    size_t room = sizeof bound;
    bool tcp = strcmp(connection->transport, "tcp") == 0;
    int port = connection->port[id];
    if (!tcp && port == 0) connection->port[id] = port = (int)id + 1;    /* a file's name, not a port */
    connection_address(connection, connection->ip, port, address, sizeof address);
    if (!encrypt(connection, socket))
        return fail(error, "cannot encrypt the %s socket: %s", socket_kinds[id].name, zmq_strerror(errno));
    if (zmq_bind(socket, address) != 0)
        return fail(error, "cannot bind the %s socket to %s: %s", socket_kinds[id].name, address, zmq_strerror(errno));
    connection->bound[id] = true;
    if (port == 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &room) == 0 && strrchr(bound, ':'))
        connection->port[id] = atoi(strrchr(bound, ':') + 1);
    return true;
}

static void make_folders(const char *path)
{
    char *copy = strdup(path);
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(copy, 0700);                               /* mostly there; a failure shows when the file is opened */
        *slash = '/';
    }
    free(copy);
}

bool connection_write(const Connection *connection, char **error)
{
    json_t *fields = json_pack("{ss ss ss ss ss}", "transport", connection->transport, "ip", connection->ip, "key",
                               connection->key, "signature_scheme", "hmac-sha256", "kernel_name", "tessera");
    if (connection->curve_public) {
        json_object_set_new(fields, "curve_publickey", json_string(connection->curve_public));
        json_object_set_new(fields, "curve_secretkey", json_string(connection->curve_secret));
    }
    for (int i = 0; i < SOCKET_COUNT; i++)
        json_object_set_new(fields, socket_kinds[i].port_key, json_integer(connection->port[i]));
    char *text = json_dumps(fields, JSON_INDENT(1));
    json_decref(fields);
    make_folders(connection->path);
    int file = open(connection->path, O_WRONLY | O_CREAT | O_CLOEXEC | (connection->made ? O_EXCL : O_TRUNC), 0600);
    ssize_t length = text ? (ssize_t)strlen(text) : -1;
    bool fine = file >= 0 && text && write(file, text, (size_t)length) == length;
    if (!fine) fail(error, "cannot write the connection file %s: %s", connection->path, strerror(errno));
    if (file >= 0 && close(file) != 0 && fine) fine = fail(error, "%s: %s", connection->path, strerror(errno));
    free(text);
    return fine;
}

void connection_remove(const Connection *connection)
{
    char file[4400];
    if (connection->made && connection->path) unlink(connection->path);
    for (int i = 0; i < SOCKET_COUNT; i++) {
        if (!connection->bound[i] || strcmp(connection->transport, "ipc") != 0) continue;
        snprintf(file, sizeof file, SOCKET_FILE, connection->ip, connection->port[i]);
        unlink(file);
    }
}

void connection_close(Connection *connection)
{
    connection_remove(connection);
    free(connection->path);
    free(connection->transport);
    free(connection->ip);
    free(connection->key);
    free(connection->curve_public);
    free(connection->curve_secret);
    free(connection->registration_ip);
    free(connection->kernel_id);
    *connection = (Connection){0};
}
