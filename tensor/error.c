/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The error record: filled once, cleared by whoever handled it. Rendering is left to the language.
   Invariant: a set error is never overwritten, so the first cause survives the clean-up that follows it. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[ERROR_KIND_COUNT] = {
    [ERROR_NONE] = "none",
#define ERROR(name, title) [ERROR_##name] = #name,
#include "errors.def"
#undef ERROR
};

static const char *const kind_titles[ERROR_KIND_COUNT] = {
    [ERROR_NONE] = "no error",
#define ERROR(name, title) [ERROR_##name] = title,
#include "errors.def"
#undef ERROR
};

bool error_set(Error *error, ErrorKind kind, const char *op, const char *format, ...)
{
    if (error->kind != ERROR_NONE)
        return false;
    error->kind = kind;
    error->hint[0] = '\0';
    error->n_operands = 0;
    snprintf(error->op, sizeof error->op, "%s", op ? op : "");
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return false;
}

void error_hint(Error *error, const char *format, ...)
{
    if (error->kind == ERROR_NONE || error->hint[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error->hint, sizeof error->hint, format, args);
    va_end(args);
}

void error_clear(Error *error)
{
    error->kind = ERROR_NONE;
    error->op[0] = error->message[0] = error->hint[0] = '\0';
    error->n_operands = 0;
}

const char *error_kind_name(ErrorKind kind)
{
    return kind < ERROR_KIND_COUNT ? kind_names[kind] : "internal";
}

const char *error_kind_title(ErrorKind kind)
{
    return kind < ERROR_KIND_COUNT ? kind_titles[kind] : "internal error";
}
