/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The little language of parameters that ops.def and builtins.def share:
       x, y?, xs:tensors, axis:int=-1, axes:ints?, keepdim:bool=false, ..shape:ints, ..options:map
   `?` admits none, before or after the word; `=` gives a default up to the next comma outside quotes and brackets.
   A word is a ParamKind without its prefix; a rest without one is `any`. Defaults stay text: who binds reads them. */
#include <ctype.h>
#include <string.h>

#include "tensor.h"

static const struct Word { const char *text; ParamKind kind; } words[] = {
    {"tensor", PARAM_tensor}, {"tensors", PARAM_tensors}, {"int", PARAM_int}, {"ints", PARAM_ints}, {"num", PARAM_num},
    {"bool", PARAM_bool}, {"str", PARAM_str}, {"dtype", PARAM_dtype}, {"any", PARAM_any}, {"map", PARAM_any},
    {"padding", PARAM_padding},
};

static const char *skip_space(const char *at)
{
    while (*at == ' ' || *at == '\n')
        at++;
    return at;
}

static const char *end_of_word(const char *at)
{
    while (isalnum((unsigned char)*at) || *at == '_')
        at++;
    return at;
}

/* The kind that a word names; `map` after `..` takes the named arguments. */
static bool read_kind(const char **at, Param *param)
{
    const char *start = skip_space(*at), *end = end_of_word(start);
    size_t length = (size_t)(end - start);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].text) != length || memcmp(words[i].text, start, length) != 0)
            continue;
        param->kind = words[i].kind;
        if (param->rest && strcmp(words[i].text, "map") == 0) {
            param->rest = false;
            param->named_rest = true;
        }
        *at = end;
        return true;
    }
    return false;
}

static bool read_mark(const char **at, char mark)
{
    *at = skip_space(*at);
    if (**at != mark)
        return false;
    (*at)++;
    return true;
}

static void read_default(const char **at, Param *param)
{
    const char *start = skip_space(*at), *p = start;
    int depth = 0;
    char quote = '\0';
    for (; *p && (quote || depth > 0 || *p != ','); p++) {
        if (quote)
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (strchr("([{", *p))
            depth++;
        else if (strchr(")]}", *p))
            depth--;
    }
    *at = p;
    while (p > start && p[-1] == ' ')
        p--;
    param->fallback = start;
    param->fallback_length = (int)(p - start);
}

static bool read_param(const char **at, Param *param)
{
    *param = (Param){.kind = PARAM_tensor};
    *at = skip_space(*at);
    if ((*at)[0] == '.' && (*at)[1] == '.') {
        param->rest = true;
        param->kind = PARAM_any;
        *at += 2;
    }
    const char *end = end_of_word(*at);
    size_t length = (size_t)(end - *at);
    if (length == 0 || length >= sizeof param->name)
        return false;
    memcpy(param->name, *at, length);
    *at = end;
    param->optional = read_mark(at, '?');
    if (read_mark(at, ':') && !read_kind(at, param))
        return false;
    param->optional = read_mark(at, '?') || param->optional;
    if (read_mark(at, '='))
        read_default(at, param);
    *at = skip_space(*at);
    return true;
}

bool signature_parse(const char *text, Signature *signature)
{
    signature->count = 0;
    const char *at = skip_space(text);
    while (*at) {
        if (signature->count == SIGNATURE_MAX || !read_param(&at, &signature->param[signature->count]))
            return false;
        signature->count++;
        if (*at && !read_mark(&at, ','))
            return false;
    }
    return true;
}
