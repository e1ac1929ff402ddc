/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fuzz target: any bytes are parsed; what parses is checked, compiled, formatted, parsed again with the same tree, and
   formatted again without a change. With TESSERA_FUZZ=run it also runs, for a twentieth of a second of CPU time, without
   files and sleep. In a debug build no object may outlive its session. Built by clang for libFuzzer (tests/fuzz/run), and
   by any compiler with replay.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "../../lang/compile.h"
#include "../../lang/session.h"
#include "../../lang/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what a program must not touch: calls are led here by the linker ---- */

static bool running;

/* Where the fuzzer itself writes what it found, from the midst of a program that has crashed. */
static bool is_finding(const char *path)
{
    return strstr(path, "/finding-") != NULL;
}

#define ALLOW_IF(type, name, parameters, arguments, failure, allowed) \
    type __real_##name parameters;                                    \
    type __wrap_##name parameters;                                    \
    type __wrap_##name parameters                                     \
    {                                                                 \
        if (!running || (allowed)) return __real_##name arguments;    \
        errno = EACCES;                                               \
        return failure;                                               \
    }
#define DENY(type, name, parameters, arguments, failure) ALLOW_IF(type, name, parameters, arguments, failure, false)
DENY(int, open, (const char *path, int flags, unsigned mode), (path, flags, mode), -1)
ALLOW_IF(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, is_finding(path))
DENY(int, rename, (const char *from, const char *to), (from, to), -1)
DENY(int, unlink, (const char *path), (path), -1)
DENY(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left), -1)

/* ---- running ---- */

enum { MICROSECONDS = 50000 };

static Session *interruptible;

static void on_time(int signal_number)
{
    (void)signal_number;
    if (interruptible) session_interrupt(interruptible);
}

/* It goes off again and again, in case the interrupt is met by what catches or cleans up. */
static void set_timer(Session *session)
{
    long time = session ? MICROSECONDS : 0;
    const struct itimerval timer = {.it_interval = {0, time / 5}, .it_value = {0, time}};
    interruptible = session;
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
}

static void ignore_output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    (void)text;
    (void)length;
}

static void run(Session *session, const char *text, size_t length)
{
    EvalResult result;
    struct sigaction action = {.sa_handler = on_time, .sa_flags = SA_RESTART};
    sigaction(SIGVTALRM, &action, NULL);
    running = true;
    set_timer(session);
    session_eval(session, "fuzz", text, length, EVAL_INTERACTIVE, &result);
    set_timer(NULL);
    running = false;
    eval_result_clear(&result);
}

/* ---- what must hold ---- */

static void demand(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void compile(Session *session, const char *text, size_t length)
{
    bool muted;
    Source *source = source_new("fuzz", text, length, false);
    Parse *parse = source ? parse_source(source, false) : NULL;
    Proto *proto = parse && !parse->errors ? compile_module(session->vm, session->vm->main, parse, &muted) : NULL;
    demand(!parse || proto || parse->errors, "a program was not compiled, and no error says why");
    proto_release(proto);
    parse_free(parse);
    source_release(source);
}

static void ignore_finding(void *user, const CheckFinding *finding)
{
    (void)user;
    (void)finding;
}

static void check(Session *session, const char *text, size_t length)
{
    running = true;                                      /* it may not read files that the program names */
    session_check(session, "fuzz.tsr", text, length, ignore_finding, NULL);
    running = false;
}

static void format(const char *text, size_t length)
{
    const SessionConfig config = {.color = false};
    size_t made = 0, again = 0;
    EvalResult result;
    char *formatted = session_format(&config, "fuzz", text, length, &made, &result);
    demand(formatted || (result.error_kind && strcmp(result.error_kind, "internal") != 0), "formatting changed a program");
    eval_result_clear(&result);
    if (!formatted) return;
    char *twice = session_format(&config, "fuzz", formatted, made, &again, &result);
    bool stable = twice && made == again && memcmp(formatted, twice, made) == 0;
    if (!stable) fprintf(stderr, "---- once:\n%s---- twice:\n%s", formatted, twice ? twice : result.error);
    demand(stable, "formatting a second time made a difference");
    eval_result_clear(&result);
    free(formatted);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *mode = getenv("TESSERA_FUZZ");
    const SessionConfig config = {.output = ignore_output};
    long long before = session_live_objects();
    format(text, size);
    Session *session = session_new(&config);
    demand(session != NULL, "there is no session");
    if (mode && strcmp(mode, "run") == 0) {
        run(session, text, size);
    } else {
        check(session, text, size);
        compile(session, text, size);
    }
    session_free(session);
    demand(session_live_objects() == before, "objects outlived their session");
    return 0;
}
