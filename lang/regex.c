/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module `regex`: the only place that sees PCRE2. Patterns and texts are UTF-8, and \d, \w and the like mean all of
   Unicode. Invariant: it calls no function of ours, so that it can be opened beside any program. */
#include "regex.h"

#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define HEAP_KIB (64 * 1024)  /* what one match may take for going back */

struct RegexCode {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    int groups;
    char **name;              /* of the groups from 1 on, at [0..groups) */
};

static void free_code(RegexCode *r)
{
    if (!r)
        return;
    for (int i = 0; r->name && i < r->groups; i++)
        free(r->name[i]);
    free(r->name);
    pcre2_match_context_free(r->context);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    free(r);
}

/* The table of names has entries of the same size: the group's number in two bytes, the name, a 0. */
static bool read_names(RegexCode *r)
{
    uint32_t count = 0, size = 0, groups = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &table);
    r->groups = (int)groups;
    r->name = calloc(groups + 1, sizeof *r->name);
    if (!r->name)
        return false;
    for (uint32_t i = 0; i < count; i++, table += size) {
        int group = table[0] << 8 | table[1];
        char *name = malloc(size);
        if (!name)
            return false;
        snprintf(name, size, "%s", (const char *)table + 2);
        free(r->name[group - 1]);
        r->name[group - 1] = name;
    }
    return true;
}

static RegexCode *compile(const char *pattern, size_t length, size_t *at, char why[REGEX_WHY])
{
    int error = 0;
    RegexCode *r = calloc(1, sizeof *r);
    *at = 0;
    snprintf(why, REGEX_WHY, "out of memory");
    if (!r)
        return NULL;
    r->code = pcre2_compile((PCRE2_SPTR)pattern, length, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, at,
                            NULL);
    if (!r->code) {
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, REGEX_WHY);
        free_code(r);
        return NULL;
    }
    r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
    r->context = pcre2_match_context_create(NULL);
    if (r->data && r->context && read_names(r)) {
        pcre2_set_heap_limit(r->context, HEAP_KIB);
        return r;
    }
    free_code(r);
    return NULL;
}

static int groups(const RegexCode *r)
{
    return r->groups;
}

static const char *group_name(const RegexCode *r, int group)
{
    return r->name[group - 1];
}

static RegexResult match(RegexCode *r, const char *text, size_t length, size_t start, bool again, uint32_t limit,
                         const size_t **spans)
{
    uint32_t options = PCRE2_NO_UTF_CHECK | (again ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0);
    pcre2_set_match_limit(r->context, limit);
    int found = pcre2_match(r->code, (PCRE2_SPTR)text, length, start, options, r->data, r->context);
    *spans = pcre2_get_ovector_pointer(r->data);
    if (found > 0)
        return REGEX_FOUND;
    if (found == PCRE2_ERROR_NOMATCH)
        return REGEX_NONE;
    return found == PCRE2_ERROR_NOMEMORY ? REGEX_MEMORY : REGEX_LIMIT;
}

__attribute__((visibility("default"))) const RegexModule tessera_module_regex = {
    .compile = compile, .free = free_code, .groups = groups, .group_name = group_name, .match = match};
