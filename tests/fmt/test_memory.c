/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter without memory: every allocation fails once. It must say so, or do without, and lose nothing; sanitizers
   and valgrind see the rest. The linker leads the calls here. */
#include <stdlib.h>
#include <string.h>

#include "../../lang/lang.h"
#include "../tap.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static long left = -1;        /* allocations until one fails; -1: none does */

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return fails() ? NULL : __real_realloc(block, size); }

static const char program[] =
    "## Doc.\nfn f(a: [n,2*k], b=1)->[n]{\n# why\nif a {b} else {\"{a}c\"} # x\n}\nmodel M(){param w=1\nfn g()=w}\n"
    "x=[i for i in 0..3 if i>1]|>map(y->{y})\ntry{f(x, ..[1])}catch e{throw e}\n";

int main(void)
{
    const SessionConfig config = {.color = false};
    EvalResult result;
    size_t length = sizeof program - 1, made = 0, again = 0;
    char *whole = session_format(&config, "test", program, length, &made, &result);
    tap_ok(whole != NULL, "with memory it formats");
    int failed = 0, wrong = 0;
    for (long n = 0;; n++) {
        left = n;
        char *text = session_format(&config, "test", program, length, &again, &result);
        bool all = left >= 0;
        left = -1;
        if (text) wrong += again != made || memcmp(text, whole, made) != 0;
        else wrong += result.error_kind && strcmp(result.error_kind, "memory") != 0;
        failed += text == NULL;
        eval_result_clear(&result);
        free(text);
        if (all) break;
    }
    tap_ok(failed > 10 && wrong == 0, "each of %d allocations fails once, and the formatter says so", failed);
    free(whole);
    return tap_end();
}
