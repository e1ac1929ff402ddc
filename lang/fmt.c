/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter: from a text to the same program in the one style. What was made is parsed again and its tree compared,
   so that a mistake of the formatter is an error and never a changed program. */
#include "fmt.h"

#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
#include "lang.h"
#include "tree.h"

static char *fail(EvalResult *result, const SessionConfig *config, ErrorKind kind, const char *message)
{
    const DiagnoseOptions options = {.color = config->color};
    const Diagnostic diagnostic = {.title = error_kind_title(kind), .message = message};
    result->status = EVAL_ERROR;
    result->error = diagnose(&diagnostic, &options);
    result->error_kind = strdup(error_kind_name(kind));
    result->error_message = strdup(message);
    return NULL;
}

static char *fail_syntax(EvalResult *result, const SessionConfig *config, const Parse *parse)
{
    const DiagnoseOptions options = {.color = config->color};
    result->status = EVAL_ERROR;
    result->error = diagnose_syntax(parse, &options);
    result->error_kind = strdup(error_kind_name(ERROR_syntax));
    result->error_message = strdup(parse->errors->message);
    return NULL;
}

static Parse *parse_text(const char *name, const char *text, size_t length)
{
    Source *source = source_new(name, text, length, false);
    Parse *parse = source ? parse_source(source, false) : NULL;
    source_release(source);
    return parse;
}

static TreeAnswer compare(const Parse *parse, const Text *made)
{
    Parse *again = parse_text(parse->source->name, made->at, made->length);
    if (!again) return TREE_NO_MEMORY;
    TreeAnswer answer = again->errors ? TREE_DIFFERENT : tree_compare(parse, again);
    parse_free(again);
    return answer;
}

char *session_format(const SessionConfig *config, const char *name, const char *text, size_t length, size_t *made,
                     EvalResult *result)
{
    Text out = {0};
    Pieces pieces = {0};
    *result = (EvalResult){0};
    text_add(&out, "", 0);                               /* an empty program has a text too */
    Parse *parse = parse_text(name, text, length);
    if (parse && parse->errors) {
        fail_syntax(result, config, parse);
        parse_free(parse);
        text_free(&out);
        return NULL;
    }
    bool fine = parse && fmt_pieces(parse, &pieces) && fmt_lines(&pieces, &out);
    TreeAnswer answer = fine ? compare(parse, &out) : TREE_NO_MEMORY;
    free(pieces.at);
    parse_free(parse);
    if (answer == TREE_SAME) {
        *made = out.length;
        return out.at;
    }
    text_free(&out);
    if (answer != TREE_DIFFERENT) return fail(result, config, ERROR_memory, "no memory is left to format this");
    return fail(result, config, ERROR_internal, "formatting would have changed this program, so nothing was changed");
}
