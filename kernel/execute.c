/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The interpreter's thread: runs cells one after the other, publishes what they show, aborts those that were queued behind
   an error, and answers questions in between. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel.h"
#include "requests.h"

/* After an error, requests that were sent with it may still be on their way: as many seconds of silence end the wait. */
#define SILENCE 0.03
#define LONGEST_WAIT 0.2

/* ---- what the language says ---- */

static void on_output(void *user, OutputStream stream, const char *text, size_t length)
{
    output_write(&((Kernel *)user)->output, stream, text, length);
}

static bool is_silent(const Kernel *kernel)
{
    return kernel->evaluation && kernel->evaluation->silent;
}

static void show(Kernel *kernel, const char *type, json_t *content)
{
    output_flush(&kernel->output);
    if (is_silent(kernel)) json_decref(content);
    else publish(kernel, type, kernel->cell, content);
}

static void on_display(void *user, const Display *display)
{
    Kernel *kernel = user;
    json_t *content = bundle_of(display);
    if (display->id <= 0 || is_silent(kernel)) {
        show(kernel, "display_data", content);
        return;
    }
    char id[64];
    snprintf(id, sizeof id, "%.8s-%d", kernel->wire.session, display->id);
    json_object_set_new(content, "transient", json_pack("{ss}", "display_id", id));
    if (!display->update) output_flush(&kernel->output);
    places_put(&kernel->places, display->id, display->update, kernel->cell, content);
}

static void on_clear(void *user, bool wait)
{
    places_finish(&((Kernel *)user)->places);
    show(user, "clear_output", json_pack("{sb}", "wait", wait));
}

static void add_payload(Kernel *kernel, json_t *payload)
{
    if (kernel->evaluation) json_array_append_new(kernel->evaluation->payload, payload);
    else json_decref(payload);
}

static void on_page(void *user, const Display *display)
{
    json_t *bundle = bundle_of(display);
    add_payload(user, json_pack("{ss sO si}", "source", "page", "data", json_object_get(bundle, "data"), "start", 0));
    json_decref(bundle);
}

static void on_next_input(void *user, const char *text, bool replace)
{
    add_payload(user, json_pack("{ss so sb}", "source", "set_next_input", "text", json_from_text(text),
                                "replace", replace));
}

static void on_comm(void *user, const CommMessage *message)
{
    comm_publish(user, message);
}

static void answer(Kernel *kernel, Request *request)
{
    request_handle(kernel, request);
    request_release(request);
}

/* ---- asking the user ---- */

/* Whether an answer is for a question that waits further out. Clients that do not say what they answer mean the latest. */
static bool is_for_outer(const Kernel *kernel, const Request *answer)
{
    char *id = request_answered(answer);
    const Question *question = id ? kernel->asking->outer : NULL;
    while (question && strcmp(question->id, id) != 0) question = question->outer;
    free(id);
    return question != NULL;
}

/* What has come since on stdin for the innermost question; the caller's. */
static Request *take_answer(Kernel *kernel)
{
    pthread_mutex_lock(&kernel->lock);
    Request **link = &kernel->answers.first, *answer;
    while ((answer = *link) && is_for_outer(kernel, answer)) link = &answer->next;
    if (answer) *link = answer->next;
    if (answer && !*link) kernel->answers.last = link;
    pthread_mutex_unlock(&kernel->lock);
    return answer;
}

bool evaluation_must_end(Kernel *kernel)
{
    return atomic_load(&kernel->interrupted) || atomic_load(&kernel->ending) || subshell_is_gone(kernel, kernel->cell);
}

/* Between two steps, maybe inside an op. */
static void on_request(void *user)
{
    Kernel *kernel = user;
    for (Request *request; (request = queue_take(kernel, &kernel->questions));) {
        if (debug_waits_for_step(request)) queue_put(kernel, &kernel->looks, request);
        else answer(kernel, request);
    }
    if (kernel->looks.first) session_request_visit(kernel->session);
    if (subshell_is_gone(kernel, kernel->cell)) session_interrupt(kernel->session);
}

static void run_job(Kernel *kernel, Request *request);

/* Where a job of another shell may run. One at a time, so that who waits goes on in between. */
static void on_visit(void *user)
{
    Kernel *kernel = user;
    answer_questions(kernel);
    Request *request = atomic_load(&kernel->ending) ? NULL : jobs_take(kernel);
    if (request) run_job(kernel, request);
    if (request && jobs_wait(kernel)) session_request_visit(kernel->session);
}

/* In the place of a safe point, while the user is asked. */
static void wait_for_news(Kernel *kernel)
{
    struct pollfd wake = {.fd = kernel->wake, .events = POLLIN};
    if (session_may_visit(kernel->session) && (kernel->looks.first || jobs_wait(kernel))) {
        on_visit(kernel);
        return;
    }
    poll(&wake, 1, -1);
    event_forget(kernel->wake);
    on_request(kernel);
}

static char *on_input(void *user, const char *prompt, bool secret)
{
    Kernel *kernel = user;
    Request *answer;
    Question question = {.outer = kernel->asking};
    unsigned number = message_number(&kernel->wire);
    message_id(&kernel->wire, number, question.id);
    kernel->asking = &question;
    output_flush(&kernel->output);
    while ((answer = take_answer(kernel))) request_release(answer);    /* of questions that nobody waits for any longer */
    post(kernel, SOCKET_STDIN, "input_request", kernel->cell, number,
         json_pack("{so sb}", "prompt", json_from_text(prompt), "password", secret));
    while (!(answer = take_answer(kernel)) && !evaluation_must_end(kernel)) wait_for_news(kernel);
    kernel->asking = question.outer;
    char *line = answer ? strdup(request_text(answer, "value")) : NULL;
    request_release(answer);
    return line;
}

static DebugAction on_stopped(void *user, const DebugStop *stop)
{
    return debug_stopped(user, stop);
}

static void on_logged(void *user, const char *text, size_t length)
{
    debug_logged(user, text, length);
}

SessionConfig session_callbacks(Kernel *kernel, const char *library)
{
    return (SessionConfig){.user = kernel, .output = on_output, .display = on_display, .input = on_input,
                           .clear = on_clear, .page = on_page, .next_input = on_next_input, .comm = on_comm,
                           .serve = on_request, .visit = on_visit, .stopped = on_stopped, .logged = on_logged,
                           .library = library, .width = 100, .color = true,
                           .forms = "text/html text/markdown text/latex image/svg+xml image/png image/jpeg "
                                    "audio/wav application/json application/vnd.vegalite.v5+json"};
}

/* ---- running ---- */

void evaluation_begin(Kernel *kernel, Evaluation *evaluation, Request *request, bool silent)
{
    *evaluation = (Evaluation){.outer = kernel->evaluation, .silent = silent, .count = kernel->count, .payload = json_array()};
    kernel->evaluation = evaluation;
    if (evaluation->outer) {
        output_suspend(&kernel->output, &evaluation->output, request, silent);
        return;
    }
    output_begin(&kernel->output, request, silent);
    atomic_store(&kernel->interrupted, false);
    atomic_store(&kernel->computing, true);
}

/* An interrupt ends all that run, one after the other. */
void evaluation_end(Kernel *kernel)
{
    Evaluation *evaluation = kernel->evaluation, *outer = evaluation->outer;
    json_decref(evaluation->payload);
    places_finish(&kernel->places);
    kernel->evaluation = outer;
    if (!outer) {
        atomic_store(&kernel->computing, false);
        output_finish(&kernel->output);
        return;
    }
    output_resume(&kernel->output, &evaluation->output);
    session_allow_input(kernel->session, outer->asks);
}

static void allow_input(Kernel *kernel, bool allowed)
{
    kernel->evaluation->asks = allowed;
    session_allow_input(kernel->session, allowed);
}

static json_t *lines_of(const char *text)
{
    json_t *lines = json_array();
    while (*text) {
        size_t length = strcspn(text, "\n");
        json_array_append_new(lines, json_from_bytes(text, length));
        text += length + (text[length] == '\n');
    }
    return lines;
}

/* The first line without its colours: "shape error: matmul: inner sizes differ, 3 and 2"; malloc'ed. */
static char *headline(const char *text)
{
    char *line = malloc(strcspn(text, "\n") + 1), *to = line;
    for (const char *at = text; line && *at && *at != '\n';) {
        if (*at == '\033') at += strcspn(at, "m\n") + (at[strcspn(at, "m\n")] == 'm');
        else *to++ = *at++;
    }
    if (line) *to = 0;
    return line;
}

/* {ename, evalue, traceback}; "interrupted" has no value. */
static json_t *error_content(const EvalResult *result)
{
    char *name = headline(result->error ? result->error : "memory error: out of memory");
    if (!name) return NULL;
    char *value = strstr(name, ": ");
    if (value) {
        *value = 0;
        value += 2;
    }
    json_t *content = json_pack("{so so so}", "ename", json_from_text(name), "evalue", json_from_text(value ? value : ""),
                                "traceback", lines_of(result->error ? result->error : name));
    free(name);
    return content;
}

static void publish_result(Kernel *kernel, const EvalResult *result)
{
    json_t *content = bundle_of(result->display);
    json_object_set_new(content, "execution_count", json_integer(kernel->evaluation->count));
    show(kernel, "execute_result", content);
}

/* What asked for the cell's end since it began, but not while something ran, counts too. */
static EvalStatus evaluate(Kernel *kernel, const char *name, const char *code, size_t length, EvalResult *result)
{
    if (evaluation_must_end(kernel)) {
        *result = (EvalResult){.status = EVAL_INTERRUPTED, .error = strdup("interrupted")};
        return EVAL_INTERRUPTED;
    }
    return session_eval(kernel->session, name, code, length, EVAL_INTERACTIVE, result);
}

static json_t *evaluate_expression(Kernel *kernel, const char *code)
{
    EvalResult result = {0};
    json_t *content;
    if (evaluate(kernel, "<user expression>", code, strlen(code), &result) == EVAL_OK) {
        content = result.display ? bundle_of(result.display) : json_pack("{s{} s{}}", "data", "metadata");
        json_object_set_new(content, "status", json_string("ok"));
    } else {
        content = error_content(&result);
        json_object_set_new(content, "status", json_string("error"));
    }
    eval_result_clear(&result);
    return content;
}

static json_t *evaluate_expressions(Kernel *kernel, const Request *request)
{
    json_t *values = json_object(), *code;
    const char *name;
    json_object_foreach(json_object_get(request->content, "user_expressions"), name, code)
        if (json_is_string(code)) json_object_set_new(values, name, evaluate_expression(kernel, json_string_value(code)));
    return values;
}

/* ---- aborting ---- */

static double last_arrival(Kernel *kernel)
{
    pthread_mutex_lock(&kernel->lock);
    double last = kernel->last_arrival;
    pthread_mutex_unlock(&kernel->lock);
    return last;
}

/* The cells that wait now will not run; whatever else waits will. */
static void abort_queued(Kernel *kernel)
{
    double start = seconds_now(), now = start;
    while (now - last_arrival(kernel) < SILENCE && now - start < LONGEST_WAIT && !atomic_load(&kernel->ending)) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        answer_questions(kernel);
        now = seconds_now();
    }
    Queue kept = {0};
    pthread_mutex_lock(&kernel->lock);
    Queue *jobs = &kernel->cell->shell->jobs;
    for (Request *request = jobs->first, *next; request; request = next) {
        next = request->next;
        queue_add(request->type == kernel->cell->type ? &kernel->aborted : &kept, request);
    }
    *jobs = kept;
    pthread_mutex_unlock(&kernel->lock);
}

void answer_aborted(Kernel *kernel, Request *request, const char *why)
{
    request->shell = NULL;
    publish_status(kernel, request, "busy");
    reply(kernel, request, json_pack("{ss si ss ss s[]}", "status", "aborted", "execution_count", kernel->count,
                                     "ename", "aborted", "evalue", why, "traceback"));
    publish_status(kernel, request, "idle");
    request_release(request);
}

/* ---- cells ---- */

static bool is_blank(const char *code)
{
    return code[strspn(code, " \t\r\n")] == 0;
}

static json_t *reply_ok(Kernel *kernel, const Request *request, bool leaving)
{
    json_t *expressions = evaluate_expressions(kernel, request);
    if (leaving) add_payload(kernel, json_pack("{ss sb}", "source", "ask_exit", "keepkernel", 0));
    return json_pack("{ss so sO}", "status", "ok", "user_expressions", expressions, "payload", kernel->evaluation->payload);
}

static json_t *reply_error(Kernel *kernel, const EvalResult *result)
{
    json_t *content = error_content(result);
    show(kernel, "error", json_copy(content));
    json_object_set_new(content, "status", json_string("error"));
    json_object_set_new(content, "user_expressions", json_object());
    json_object_set(content, "payload", kernel->evaluation->payload);
    return content;
}

/* Runs the code, shows what comes of it, and makes the reply but for its count. */
static json_t *run_code(Kernel *kernel, Request *request, bool store)
{
    const json_t *code = json_object_get(request->content, "code");
    EvalResult result = {0};
    char name[32];
    snprintf(name, sizeof name, "<cell %d>", kernel->evaluation->count);
    debug_begin_cell(kernel, name, json_string_value(code), json_string_length(code));
    EvalStatus status = evaluate(kernel, name, json_string_value(code), json_string_length(code), &result);
    debug_tell_logged(kernel);
    json_t *content;
    bool leaving = status == EVAL_EXIT;
    if (status == EVAL_OK || leaving) {
        if (result.display) publish_result(kernel, &result);
        if (store && result.text) past_set_output(kernel, kernel->evaluation->count, result.text);
        content = reply_ok(kernel, request, leaving);
    } else {
        content = reply_error(kernel, &result);
    }
    eval_result_clear(&result);
    kernel->leaving |= leaving;
    return content;
}

json_t *handle_execute(Kernel *kernel, Request *request)
{
    json_t *code = json_object_get(request->content, "code");
    bool silent = request_flag(request, "silent", false);
    bool store = !silent && request_flag(request, "store_history", true) && !is_blank(request_text(request, "code"));
    if (!json_is_string(code)) json_object_set_new(request->content, "code", code = json_string(""));
    if (store) kernel->count++;
    Evaluation evaluation;
    evaluation_begin(kernel, &evaluation, request, silent);
    if (!silent)
        publish(kernel, "execute_input", request, json_pack("{sO si}", "code", code, "execution_count", evaluation.count));
    if (store) past_add(kernel, evaluation.count, json_string_value(code));
    allow_input(kernel, request_flag(request, "allow_stdin", true));
    json_t *content = run_code(kernel, request, store);
    evaluation_end(kernel);
    json_object_set_new(content, "execution_count", json_integer(evaluation.count));
    const char *status = json_string_value(json_object_get(content, "status"));
    bool failed = status && strcmp(status, "error") == 0;
    if (failed && request_flag(request, "stop_on_error", true)) abort_queued(kernel);
    return content;
}

void run_comm(Kernel *kernel, Request *request, const CommMessage *message, bool *known)
{
    EvalResult result = {0};
    Evaluation evaluation;
    evaluation_begin(kernel, &evaluation, request, false);
    allow_input(kernel, false);
    if (session_comm(kernel->session, message, known, &result) == EVAL_ERROR) json_decref(reply_error(kernel, &result));
    evaluation_end(kernel);
    eval_result_clear(&result);
}

/* What waits already may come in its midst; what it ran in the midst of is told to end in its turn, if that is wanted. */
static void run_job(Kernel *kernel, Request *request)
{
    if (jobs_wait(kernel)) session_request_visit(kernel->session);
    request_handle(kernel, request);
    for (Request *aborted; (aborted = kernel->aborted.first);) {
        kernel->aborted.first = aborted->next;
        answer_aborted(kernel, aborted, "a cell before this one failed");
    }
    jobs_done(kernel, request);
    request_release(request);
    if (kernel->leaving) kernel_end(kernel);
    answer_questions(kernel);
    if (kernel->evaluation && evaluation_must_end(kernel)) session_interrupt(kernel->session);
}

void run_jobs(Kernel *kernel)
{
    Request *request;
    while (!atomic_load(&kernel->ending) && (request = jobs_take(kernel))) run_job(kernel, request);
}

void answer_questions(Kernel *kernel)
{
    for (Request *request; (request = queue_take(kernel, &kernel->looks));) answer(kernel, request);
    for (Request *request; (request = queue_take(kernel, &kernel->questions));) answer(kernel, request);
}
