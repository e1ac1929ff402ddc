/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history, kept by an optional module: without it cells run all the same, and history requests find nothing. It is
   opened when it is first needed, for that takes longer than all else of the kernel's start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "requests.h"

/* With the lock held; false: there is no history. */
static bool open_past(Kernel *kernel)
{
    char *error = NULL;
    if (kernel->past_tried) return kernel->history != NULL;
    kernel->past_tried = true;
    kernel->past = session_open_module("history", &error);
    if (kernel->past) kernel->history = kernel->past->open(NULL, &error);
    if (kernel->past && error) {                         /* a build without the module is no fault */
        char line[512];
        snprintf(line, sizeof line, "no history: %s", error);
        complain(kernel, line);
    }
    free(error);
    return kernel->history != NULL;
}

void past_add(Kernel *kernel, int line, const char *input)
{
    pthread_mutex_lock(&kernel->past_lock);
    if (open_past(kernel)) kernel->past->add(kernel->history, line, input);
    pthread_mutex_unlock(&kernel->past_lock);
}

void past_set_output(Kernel *kernel, int line, const char *text)
{
    pthread_mutex_lock(&kernel->past_lock);
    if (kernel->history) kernel->past->set_output(kernel->history, line, text);
    pthread_mutex_unlock(&kernel->past_lock);
}

void past_close(Kernel *kernel)
{
    if (kernel->history) kernel->past->close(kernel->history);
    kernel->history = NULL;
}

/* ---- requests ---- */

typedef struct Rows { json_t *list; bool outputs; } Rows;

static json_t *text_or_null(const char *text)
{
    return text ? json_from_text(text) : json_null();
}

static void on_row(void *user, const HistoryRow *row)
{
    Rows *rows = user;
    json_t *input = text_or_null(row->input);
    json_t *item = rows->outputs ? json_pack("[oo]", input, text_or_null(row->output)) : input;
    json_array_append_new(rows->list, json_pack("[Iio]", (json_int_t)row->session, row->line, item));
}

static json_int_t number_of(const Request *request, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(request->content, key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : otherwise;
    return number > INT_MAX ? INT_MAX : number < -INT_MAX ? -INT_MAX : number;
}

static void find_rows(Kernel *kernel, const Request *request, Rows *rows)
{
    const char *access = request_text(request, "hist_access_type"), *pattern = request_text(request, "pattern");
    const HistoryModule *past = kernel->past;
    int n = (int)number_of(request, "n", -1);
    if (strcmp(access, "range") == 0)
        past->range(kernel->history, number_of(request, "session", 0), (int)number_of(request, "start", 1),
                    (int)number_of(request, "stop", -1), rows->outputs, on_row, rows);
    else if (strcmp(access, "search") == 0)
        past->search(kernel->history, *pattern ? pattern : "*", n, request_flag(request, "unique", false), rows->outputs,
                     on_row, rows);
    else
        past->tail(kernel->history, n, rows->outputs, on_row, rows);
}

json_t *handle_history(Kernel *kernel, Request *request)
{
    Rows rows = {.list = json_array(), .outputs = request_flag(request, "output", false)};
    pthread_mutex_lock(&kernel->past_lock);
    if (open_past(kernel)) find_rows(kernel, request, &rows);
    pthread_mutex_unlock(&kernel->past_lock);
    return json_pack("{ss so}", "status", "ok", "history", rows.list);
}
