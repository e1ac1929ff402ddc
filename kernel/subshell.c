/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shells: the main one and those that clients make beside it. Each has a queue of jobs of its own; which runs next, and the
   life of subshells. A deleted one leaves the list at once, so that nothing is put into it any more. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "kernel.h"
#include "requests.h"

enum { MOST_SUBSHELLS = 1000 };

/* ---- which is meant ---- */

/* What the header says: NULL is the main shell, as is a header that says nothing. */
static const json_t *wanted_shell(const Request *request)
{
    const json_t *id = json_object_get(request->header, "subshell_id");
    return json_is_null(id) ? NULL : id;
}

/* With the lock held; NULL: there is none. */
static Subshell *find(Kernel *kernel, const Request *request)
{
    const json_t *id = wanted_shell(request);
    if (!id) return &kernel->main_shell;
    Subshell *shell = json_is_string(id) ? kernel->main_shell.next : NULL;
    while (shell && strcmp(shell->id, json_string_value(id)) != 0) shell = shell->next;
    return shell;
}

bool subshell_is_known(Kernel *kernel, const Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    bool known = find(kernel, request) != NULL;
    pthread_mutex_unlock(&kernel->lock);
    return known;
}

static json_t *fail(const char *name, const char *why)
{
    return json_pack("{ss ss so s[]}", "status", "error", "ename", name, "evalue", json_from_text(why), "traceback");
}

static json_t *fail_unknown(const char *id)
{
    char why[160];
    snprintf(why, sizeof why, "there is no subshell %.100s", id);
    return fail("unknown subshell", why);
}

json_t *unknown_subshell(const Request *request)
{
    const json_t *id = wanted_shell(request);
    return json_is_string(id) ? fail_unknown(json_string_value(id)) : fail("unknown subshell", "a subshell_id is text");
}

/* ---- jobs ---- */

/* Has the thread that computes look at what is new: it may be asleep. */
static void knock(Kernel *kernel)
{
    event_signal(kernel->wake);
    pthread_kill(kernel->interpreter, SIGURG);
}

bool jobs_put(Kernel *kernel, Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    Subshell *shell = find(kernel, request);
    bool visit = shell && kernel->running > 0 && !shell->busy;
    if (shell) {
        request->shell = shell;
        request->arrival = ++kernel->arrivals;
        queue_add(&shell->jobs, request);
    }
    pthread_mutex_unlock(&kernel->lock);
    if (visit) {
        session_request_visit(kernel->session);
        knock(kernel);
    } else if (shell) {
        event_signal(kernel->wake);
    }
    return shell != NULL;
}

/* With the lock held. */
static Subshell *next_shell(Kernel *kernel)
{
    Subshell *first = NULL;
    for (Subshell *shell = &kernel->main_shell; shell; shell = shell->next)
        if (!shell->busy && shell->jobs.first && (!first || shell->jobs.first->arrival < first->jobs.first->arrival))
            first = shell;
    return first;
}

Request *jobs_take(Kernel *kernel)
{
    pthread_mutex_lock(&kernel->lock);
    Subshell *shell = next_shell(kernel);
    Request *request = shell ? shell->jobs.first : NULL;
    if (request) {
        shell->jobs.first = request->next;
        shell->busy = true;
        kernel->running++;
    }
    pthread_mutex_unlock(&kernel->lock);
    return request;
}

bool jobs_wait(Kernel *kernel)
{
    pthread_mutex_lock(&kernel->lock);
    bool wait = next_shell(kernel) != NULL;
    pthread_mutex_unlock(&kernel->lock);
    return wait;
}

void jobs_done(Kernel *kernel, Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    kernel->running--;
    request->shell->busy = false;
    if (request->shell->gone) free(request->shell);
    request->shell = NULL;
    pthread_mutex_unlock(&kernel->lock);
}

bool subshell_is_gone(Kernel *kernel, const Request *request)
{
    pthread_mutex_lock(&kernel->lock);
    bool gone = request && request->shell && request->shell->gone;
    pthread_mutex_unlock(&kernel->lock);
    return gone;
}

void subshells_close(Kernel *kernel)
{
    queue_clear(&kernel->main_shell.jobs);
    for (Subshell *shell = kernel->main_shell.next, *next; shell; shell = next) {
        next = shell->next;
        queue_clear(&shell->jobs);
        free(shell);
    }
}

/* ---- requests, on the control thread ---- */

json_t *handle_create_subshell(Kernel *kernel, Request *request)
{
    (void)request;
    Subshell *shell = calloc(1, sizeof *shell), **last = &kernel->main_shell.next;
    int count = 0;
    uuid_t id;
    if (!shell) return fail("no subshell", "no memory is left");
    uuid_generate_random(id);
    uuid_unparse_lower(id, shell->id);
    json_t *content = json_pack("{ss ss}", "status", "ok", "subshell_id", shell->id);
    pthread_mutex_lock(&kernel->lock);
    for (; *last; last = &(*last)->next) count++;
    if (count < MOST_SUBSHELLS) *last = shell;
    pthread_mutex_unlock(&kernel->lock);
    if (count < MOST_SUBSHELLS) return content;
    json_decref(content);
    free(shell);
    return fail("no subshell", "there are 1000 already");
}

json_t *handle_list_subshell(Kernel *kernel, Request *request)
{
    (void)request;
    json_t *ids = json_array();
    pthread_mutex_lock(&kernel->lock);
    for (Subshell *shell = kernel->main_shell.next; shell; shell = shell->next)
        json_array_append_new(ids, json_string(shell->id));
    pthread_mutex_unlock(&kernel->lock);
    return json_pack("{ss so}", "status", "ok", "subshell_id", ids);
}

/* What runs in it is ended by the thread that runs it, when it is the innermost; what waits in it is answered here. */
json_t *handle_delete_subshell(Kernel *kernel, Request *request)
{
    const char *id = request_text(request, "subshell_id");
    Subshell **link = &kernel->main_shell.next;
    pthread_mutex_lock(&kernel->lock);
    while (*link && strcmp((*link)->id, id) != 0) link = &(*link)->next;
    Subshell *shell = *link;
    Queue waiting = {0};
    bool found = shell, busy = false;
    if (shell) {
        *link = shell->next;
        waiting.first = shell->jobs.first;
        shell->jobs.first = NULL;
        shell->gone = true;
        busy = shell->busy;
    }
    pthread_mutex_unlock(&kernel->lock);
    for (Request *job; (job = waiting.first);) {
        waiting.first = job->next;
        answer_aborted(kernel, job, "its subshell was deleted");
    }
    if (busy) {
        session_request(kernel->session);
        knock(kernel);
    } else {
        free(shell);
    }
    return found ? json_pack("{ss}", "status", "ok") : fail_unknown(id);
}
