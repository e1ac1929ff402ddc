/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The few words of TAP that a C test speaks. A test file includes it once; main ends with `return tap_end();`. */
#ifndef TESSERA_TAP_H
#define TESSERA_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

/* One result: "ok 3 - text". Returns [condition]. */
__attribute__((format(printf, 2, 3))) static inline bool tap_ok(bool condition, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s %d - ", condition ? "ok" : "not ok", ++tap_count);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    tap_failed += !condition;
    return condition;
}

/* A line for the reader. */
__attribute__((format(printf, 1, 2))) static inline void tap_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("# ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static inline int tap_end(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif
