/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives with regular expressions. The matching is PCRE2's, inside the module `regex`; here are the patterns that a
   session keeps compiled, matches as maps whose places count characters, and replacing and splitting.
   Invariant: a pattern in use is counted, so that a function called for each match may match other patterns. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "builtins.h"
#include "print.h"
#include "regex.h"

#define KEPT 32               /* patterns */
#define FIRST_LIMIT 1000000u  /* steps until an interrupt is looked for … */
#define LAST_LIMIT 30000000u  /* … and until a match is given up */

typedef struct Pattern {
    int refs;
    RegexCode *code;
    uint64_t used;            /* when */
    size_t length;
    char text[];
} Pattern;

struct RegexCache {
    const RegexModule *module;
    uint64_t clock;
    Pattern *at[KEPT];
};

static void pattern_release(struct RegexCache *cache, Pattern *pattern)
{
    if (!pattern || --pattern->refs > 0) return;
    cache->module->free(pattern->code);
    free(pattern);
}

void regex_cache_free(struct RegexCache *cache)
{
    for (int i = 0; cache && i < KEPT; i++) pattern_release(cache, cache->at[i]);
    free(cache);
}

static int64_t points(const char *text, size_t length)
{
    int64_t n = 0;
    for (size_t i = 0; i < length; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* The session's cache, the module opened; NULL is an error. */
static struct RegexCache *open_cache(Vm *vm)
{
    struct RegexCache **cache = &vm_native_state(vm)->regex;
    if (*cache) return *cache;
    const RegexModule *module = runtime_open_module(&vm_tensors(vm)->error, "regex");
    if (!module) return NULL;
    *cache = calloc(1, sizeof **cache);
    if (*cache) (*cache)->module = module;
    else vm_out_of_memory(vm);
    return *cache;
}

static Pattern *compile(Vm *vm, const char *function, const RegexModule *module, const String *text)
{
    size_t at;
    char why[REGEX_WHY];
    Pattern *pattern = malloc(sizeof *pattern + text->length + (size_t)1);
    RegexCode *code = pattern ? module->compile(text->text, text->length, &at, why) : NULL;
    if (!code) {
        if (!pattern) vm_out_of_memory(vm);
        else vm_fail(vm, ERROR_value, function, "the pattern '%.100s' is wrong at place %lld: %s", text->text,
                     (long long)points(text->text, at), why);
        free(pattern);
        return NULL;
    }
    *pattern = (Pattern){.refs = 1, .code = code, .length = text->length};
    memcpy(pattern->text, text->text, text->length + (size_t)1);
    return pattern;
}

/* The compiled pattern, counted for the caller; it takes the place of the one that was not used for longest. */
static Pattern *find_pattern(Vm *vm, const char *function, struct RegexCache *cache, const String *text)
{
    int oldest = 0;
    Pattern *found = NULL;
    for (int i = 0; i < KEPT && !found; i++) {
        Pattern *p = cache->at[i];
        if (p && p->length == text->length && memcmp(p->text, text->text, text->length) == 0) found = p;
        else if (cache->at[oldest] && (!p || p->used < cache->at[oldest]->used)) oldest = i;
    }
    if (!found) {
        found = compile(vm, function, cache->module, text);
        if (!found) return NULL;
        pattern_release(cache, cache->at[oldest]);
        cache->at[oldest] = found;
    }
    found->used = ++cache->clock;
    found->refs++;
    return found;
}

/* ---- going from match to match ---- */

typedef struct Search {
    Vm *vm;
    const char *function;
    struct RegexCache *cache;
    const RegexModule *module;
    Pattern *pattern;
    const String *text;
    size_t start;             /* where to look for the next one */
    bool again;               /* the last one was empty and ended here */
    const size_t *span;       /* of the match that was found */
    size_t counted;           /* bytes before it … */
    int64_t place;            /* … and how many characters they are */
} Search;

static bool search_begin(Vm *vm, const char *function, const Value *args, Search *s)
{
    struct RegexCache *cache = open_cache(vm);
    Pattern *pattern = cache ? find_pattern(vm, function, cache, args[1].string) : NULL;
    if (!pattern) return false;
    *s = (Search){.vm = vm, .function = function, .cache = cache, .module = cache->module, .pattern = pattern,
                  .text = args[0].string};
    return true;
}

static void search_end(Search *s)
{
    pattern_release(s->cache, s->pattern);
}

static bool give_up(Search *s)
{
    vm_fail(s->vm, ERROR_value, s->function, "the pattern '%.100s' takes too many steps on this text",
            s->pattern->text);
    error_hint(&vm_tensors(s->vm)->error, "a repetition of a repetition, as in (a+)+, tries every division of the text; "
               "(a++)+ keeps what it has");
    return false;
}

/* Matches with few steps first, so that an interrupt need not wait for all. */
static bool attempt(Search *s, RegexResult *found)
{
    for (uint32_t limit = FIRST_LIMIT;; limit = LAST_LIMIT) {
        if (tensor_interrupted(vm_tensors(s->vm))) return false;
        *found = s->module->match(s->pattern->code, s->text->text, s->text->length, s->start, s->again, limit,
                                  &s->span);
        if (*found == REGEX_MEMORY) return vm_out_of_memory(s->vm);
        if (*found != REGEX_LIMIT) return true;
        if (limit == LAST_LIMIT) return give_up(s);
    }
}

/* The next match; *more false at the end. After an empty one a longer one at its place counts, else the search goes on
   behind the next character. */
static bool search_next(Search *s, bool *more)
{
    RegexResult found = REGEX_NONE;
    for (;;) {
        *more = false;
        if (s->start > s->text->length) return true;
        if (!attempt(s, &found)) return false;
        if (found == REGEX_FOUND) break;
        if (!s->again) return true;
        s->again = false;
        do s->start++;
        while (s->start < s->text->length && ((unsigned char)s->text->text[s->start] & 0xC0) == 0x80);
    }
    *more = true;
    s->start = s->span[1];
    s->again = s->span[1] <= s->span[0];
    return true;
}

static Value group_text(const Search *s, int group)
{
    size_t from = s->span[2 * group], to = s->span[2 * group + 1];
    return from == REGEX_UNSET ? VALUE_NONE : string_new(s->text->text + from, to > from ? to - from : 0);
}

/* The character at which byte [at] begins; what was counted before is not counted again. */
static int64_t place_of(Search *s, size_t at)
{
    if (at < s->counted) s->counted = 0, s->place = 0;
    s->place += points(s->text->text + s->counted, at - s->counted);
    s->counted = at;
    return s->place;
}

static bool put(Map *map, const char *name, Value owned)
{
    Value key = string_from(name);
    bool fine = owned.tag != TAG_UNDEFINED && key.tag != TAG_UNDEFINED;
    if (fine) fine = map_set_take(map, key, owned);
    else value_release(owned);
    value_release(key);
    return fine;
}

/* {text, start, end, groups, names} of what was found. */
static bool match_map(Search *s, Value *result)
{
    int n = s->module->groups(s->pattern->code);
    Value map = map_new(), groups = list_new(n), names = map_new();
    bool fine = map.tag != TAG_UNDEFINED && groups.tag != TAG_UNDEFINED && names.tag != TAG_UNDEFINED;
    for (int i = 1; fine && i <= n; i++) {
        const char *name = s->module->group_name(s->pattern->code, i);
        Value text = group_text(s, i);
        if (name) fine = put(names.map, name, value_retain(text));
        fine = text.tag != TAG_UNDEFINED && list_push_take(groups.list, text) && fine;
    }
    if (fine) {
        fine = put(map.map, "text", group_text(s, 0)) && put(map.map, "start", value_int(place_of(s, s->span[0]))) &&
               put(map.map, "end", value_int(place_of(s, s->span[1]))) &&
               put(map.map, "groups", value_retain(groups)) && put(map.map, "names", value_retain(names));
    }
    value_release(groups);
    value_release(names);
    if (fine) *result = map;
    else value_release(map);
    return fine || vm_out_of_memory(s->vm);
}

bool native_match(Vm *vm, const Value *args, Value *result)
{
    Search s;
    bool more;
    if (!search_begin(vm, "match", args, &s)) return false;
    *result = VALUE_NONE;
    bool fine = search_next(&s, &more) && (!more || match_map(&s, result));
    search_end(&s);
    return fine;
}

bool native_matches(Vm *vm, const Value *args, Value *result)
{
    Search s;
    bool more = false;
    if (!search_begin(vm, "matches", args, &s)) return false;
    bool fine = search_next(&s, &more);
    *result = value_bool(more);
    search_end(&s);
    return fine;
}

bool native_find_all(Vm *vm, const Value *args, Value *result)
{
    Search s;
    bool more;
    if (!search_begin(vm, "find_all", args, &s)) return false;
    Value list = list_new(0), map;
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    while (fine && (fine = search_next(&s, &more)) && more) {
        fine = match_map(&s, &map) && (list_push_take(list.list, map) || vm_out_of_memory(vm));
    }
    search_end(&s);
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

/* ---- replacing ---- */

/* The group that stands behind a $: a digit, {number} or {name}. Gives what follows, or NULL. */
static const char *read_group(const Search *s, const char *at, int *group)
{
    int n = s->module->groups(s->pattern->code);
    if (isdigit((unsigned char)*at)) {
        *group = *at - '0';
        return *group <= n ? at + 1 : NULL;
    }
    const char *end = *at == '{' ? strchr(at, '}') : NULL;
    if (!end) return NULL;
    size_t length = (size_t)(end - at) - 1;
    char *after;
    long number = strtol(at + 1, &after, 10);
    *group = number >= 0 && number <= n ? (int)number : 0;
    if (after == end && length > 0 && isdigit((unsigned char)at[1])) return number <= n ? end + 1 : NULL;
    for (*group = 1; *group <= n; ++*group) {
        const char *name = s->module->group_name(s->pattern->code, *group);
        if (name && strlen(name) == length && memcmp(name, at + 1, length) == 0) return end + 1;
    }
    return NULL;
}

static bool add_template(const Search *s, const String *template, Text *out)
{
    const char *at = template->text, *end = at + template->length, *dollar;
    while ((dollar = memchr(at, '$', (size_t)(end - at)))) {
        int group;
        text_add(out, at, (size_t)(dollar - at));
        if (dollar[1] == '$') {
            text_add(out, "$", 1);
            at = dollar + 2;
            continue;
        }
        at = read_group(s, dollar + 1, &group);
        if (!at) {
            vm_fail(s->vm, ERROR_value, s->function, "the pattern has no group for \"%.40s\"", dollar);
            error_hint(&vm_tensors(s->vm)->error, "$1 and ${name} put in groups, $0 the whole match, $$ is a dollar");
            return false;
        }
        if (s->span[2 * group] != REGEX_UNSET && s->span[2 * group + 1] > s->span[2 * group]) {
            text_add(out, s->text->text + s->span[2 * group], s->span[2 * group + 1] - s->span[2 * group]);
        }
    }
    text_add(out, at, (size_t)(end - at));
    return true;
}

static bool add_call(Search *s, Value function, Text *out)
{
    Value map, text;
    if (!match_map(s, &map)) return false;
    bool fine = vm_call(s->vm, function, 1, &map, 0, NULL, &text);
    value_release(map);
    if (!fine) return false;
    fine = value_print(s->vm, text, out);
    value_release(text);
    return fine;
}

bool native_replace_all(Vm *vm, const Value *args, Value *result)
{
    Search s;
    Text out = {0};
    bool more, called = native_is_callable(args[2]);
    int64_t most = args[3].tag == TAG_NONE ? INT64_MAX : args[3].i;
    if (!called && args[2].tag != TAG_STRING) {
        return native_wants(vm, "replace_all", "by", "a string or a function", args[2]);
    }
    if (!search_begin(vm, "replace_all", args, &s)) return false;
    size_t done = 0;
    bool fine = true;
    for (int64_t n = 0; n < most; n++) {
        fine = search_next(&s, &more);
        if (!fine || !more) break;
        size_t from = s.span[0], to = s.span[1];              /* a call may match anew */
        if (from > done) text_add(&out, s.text->text + done, from - done);
        fine = called ? add_call(&s, args[2], &out) : add_template(&s, args[2].string, &out);
        if (!fine) break;
        done = to;
    }
    text_add(&out, s.text->text + done, s.text->length - done);
    search_end(&s);
    if (fine) return native_give_text(vm, &out, result);
    text_free(&out);
    return false;
}

bool native_split_by(Vm *vm, const Value *args, Value *result)
{
    Search s;
    bool more;
    int64_t most = args[2].tag == TAG_NONE ? INT64_MAX : args[2].i;
    if (!search_begin(vm, "split_by", args, &s)) return false;
    Value list = list_new(0);
    bool fine = list.tag != TAG_UNDEFINED || vm_out_of_memory(vm);
    size_t done = 0;
    for (int64_t n = 0; fine && n <= most; n++) {
        more = false;
        if (n < most && !(fine = search_next(&s, &more))) break;
        size_t from = more ? s.span[0] : s.text->length;
        Value part = string_new(s.text->text + done, from > done ? from - done : 0);
        fine = (part.tag != TAG_UNDEFINED && list_push_take(list.list, part)) || vm_out_of_memory(vm);
        if (!more) break;
        done = s.span[1];
    }
    search_end(&s);
    if (fine) *result = list;
    else value_release(list);
    return fine;
}

bool native_escape_pattern(Vm *vm, const Value *args, Value *result)
{
    const String *s = args[0].string;
    Text out = {0};
    for (uint32_t i = 0; i < s->length; i++) {
        if (s->text[i] && strchr("\\^$.[]|()?*+{}#- \t\n\r\f\v", s->text[i])) text_add(&out, "\\", 1);
        text_add(&out, s->text + i, 1);
    }
    return native_give_text(vm, &out, result);
}
