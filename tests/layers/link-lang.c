/* SPDX-License-Identifier: GPL-3.0-or-later */
/* liblang alone, through lang.h: no terminal, two sessions in one process, no output that was not asked for. */
#include "../../lang/lang.h"

#include <stdio.h>
#include <string.h>

static void swallow(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)stream;
    (void)text;
    *(size_t *)user += length;
}

static bool check(void)
{
    size_t printed = 0;
    const SessionConfig config = {.user = &printed, .output = swallow};
    Session *first = session_new(&config), *second = session_new(&config);
    if (!first || !second) return false;
    EvalResult result;
    bool fine = session_eval(first, "one", "x = 41", 6, EVAL_INTERACTIVE, &result) == EVAL_OK;
    eval_result_clear(&result);
    fine = fine && session_eval(first, "two", "x + 1", 5, EVAL_INTERACTIVE, &result) == EVAL_OK && result.text &&
           strcmp(result.text, "42") == 0;
    eval_result_clear(&result);
    fine = fine && session_eval(second, "three", "x", 1, EVAL_INTERACTIVE, &result) == EVAL_ERROR && result.error;
    eval_result_clear(&result);
    session_free(first);
    session_free(second);
    return fine && printed == 0 && session_live_objects() == 0;
}

int main(void)
{
    bool fine = check();
    printf("1..1\n%s 1 - two sessions of liblang without a front end\n", fine ? "ok" : "not ok");
    return fine ? 0 : 1;
}
