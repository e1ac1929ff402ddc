/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which message goes where, and the answers that need neither the session nor much code. */
#include "requests.h"

#include <string.h>

#include "kernel.h"

static const RequestType types[] = {
#define REQUEST(name, sockets, turn) {#name "_request", #name "_reply", sockets, turn, handle_##name},
#define NOTE(name, sockets, turn) {#name, NULL, sockets, turn, handle_##name},
#include "messages.def"
#undef REQUEST
#undef NOTE
};

const RequestType *request_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

void request_handle(Kernel *kernel, Request *request)
{
    publish_status(kernel, request, "busy");
    json_t *content = request->type ? request->type->handle(kernel, request) : NULL;
    if (content) reply(kernel, request, content);
    publish_status(kernel, request, "idle");
}

static bool belongs_on(const RequestType *type, SocketId socket)
{
    static const unsigned bits[SOCKET_COUNT] = {
        [SOCKET_SHELL] = ON_SHELL, [SOCKET_CONTROL] = ON_CONTROL, [SOCKET_STDIN] = ON_STDIN};
    return (type->sockets & bits[socket]) != 0;
}

/* Sent to a subshell that there is not. */
static void refuse(Kernel *kernel, Request *request)
{
    publish_status(kernel, request, "busy");
    if (request->type) reply(kernel, request, unknown_subshell(request));
    publish_status(kernel, request, "idle");
    request_release(request);
}

/* Types that are unknown, or came over the wrong socket, have a busy and an idle and nothing else. */
void request_dispatch(Kernel *kernel, Request *request)
{
    if (request->type && !belongs_on(request->type, request->socket)) request->type = NULL;
    Turn turn = request->type ? request->type->turn : AT_ONCE;
    if (turn == IN_TURN && jobs_put(kernel, request)) return;
    if (request->socket == SOCKET_SHELL && !subshell_is_known(kernel, request)) {
        refuse(kernel, request);
        return;
    }
    if (turn == AT_ONCE) {
        if (request->socket == SOCKET_STDIN && request->type) request->type->handle(kernel, request);
        else request_handle(kernel, request);
        request_release(request);
        return;
    }
    queue_put(kernel, &kernel->questions, request);
}

/* ---- what the kernel is ---- */

json_t *handle_kernel_info(Kernel *kernel, Request *request)
{
    (void)kernel;
    (void)request;
    /* A page that does not know the mode takes the one of the mime type: Python's is the nearest. */
    json_t *mode = json_pack("{ss ss}", "name", "tessera", "mime", "text/x-python");
    json_t *language = json_pack("{ss ss ss ss ss so ss}", "name", "tessera", "version", session_version(), "mimetype",
                                 "text/x-tessera", "file_extension", ".tsr", "pygments_lexer", "tessera",
                                 "codemirror_mode", mode, "nbconvert_exporter", "script");
    char banner[128];
    snprintf(banner, sizeof banner, "Tessera %s: tensors and gradients. name? explains a name.", session_version());
    return json_pack("{ss ss ss ss so ss s[] s[ss] sb}", "status", "ok", "protocol_version", PROTOCOL_VERSION,
                     "implementation", "tessera", "implementation_version", session_version(), "language_info", language,
                     "banner", banner, "help_links", "supported_features", "kernel subshells", "debugger", "debugger", 1);
}

json_t *handle_connect(Kernel *kernel, Request *request)
{
    (void)request;
    json_t *content = json_pack("{ss}", "status", "ok");
    for (int i = 0; i < SOCKET_COUNT; i++)
        json_object_set_new(content, socket_kinds[i].port_key, json_integer(kernel->connection.port[i]));
    return content;
}

json_t *handle_interrupt(Kernel *kernel, Request *request)
{
    (void)request;
    kernel_interrupt(kernel);
    return json_pack("{ss}", "status", "ok");
}

json_t *handle_shutdown(Kernel *kernel, Request *request)
{
    bool restart = request_flag(request, "restart", false);
    publish(kernel, "shutdown_reply", request, json_pack("{ss sb}", "status", "ok", "restart", restart));
    kernel_end(kernel);
    return json_pack("{ss sb}", "status", "ok", "restart", restart);
}

json_t *handle_is_complete(Kernel *kernel, Request *request)
{
    static const char *const answers[] = {
        [CODE_COMPLETE] = "complete", [CODE_INCOMPLETE] = "incomplete", [CODE_INVALID] = "invalid"};
    const char *code = request_text(request, "code");
    char indent[128];
    int columns = 0;
    Completeness state = session_is_complete(kernel->session, code, strlen(code), &columns);
    snprintf(indent, sizeof indent, "%*s", columns < 120 ? columns : 120, "");
    json_t *content = json_pack("{ss}", "status", answers[state]);
    if (state == CODE_INCOMPLETE) json_object_set_new(content, "indent", json_string(indent));
    return content;
}

json_t *handle_input_reply(Kernel *kernel, Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    queue_add(&kernel->answers, request_retain(request));
    pthread_mutex_unlock(&kernel->lock);
    event_signal(kernel->wake);
    return NULL;
}
