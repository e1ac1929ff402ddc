/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion at the prompt and in notebooks: from the tables, the index of the library and the values that exist.
   Nothing is run and no library file is compiled for it. What the cursor stands in (a call, a string, the brackets of a
   map, a command) is found in assist_place.c; any unfinished text will do. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "assist.h"
#include "builtins.h"
#include "command.h"
#include "date.h"
#include "embedded.h"
#include "lex.h"

static const char *const tensor_members[] = {"T", "dtype", "ndim", "shape", "size"};

/* ---- collecting ---- */

typedef enum Rank { RANK_FIRST, RANK_OWN, RANK_MEMBER, RANK_FUNCTION, RANK_MODULE, RANK_KEYWORD, RANK_TEXT } Rank;

typedef struct Offer { Completion made; Rank rank; } Offer;

typedef struct Collector {
    const char *prefix;
    size_t length;
    const char *folder;       /* that paths go out from; NULL: the process's */
    size_t guess;             /* where names are looked for that the text itself seems to give values to */
    bool any_case;            /* take names that differ in the case of letters */
    int count, room;
    Offer *at;
    bool failed;
} Collector;

/* [text] is what is inserted, [name] what the prefix is compared with. */
static void offer_as(Collector *c, Rank rank, const char *text, const char *name, const char *kind, const char *detail)
{
    int differs = c->any_case ? strncasecmp(name, c->prefix, c->length) : strncmp(name, c->prefix, c->length);
    if (c->failed || differs || (name[0] == '_' && c->length == 0)) return;
    if (c->count == c->room) {
        int room = c->room ? c->room * 2 : 64;
        Offer *wider = realloc(c->at, (size_t)room * sizeof *wider);
        c->failed = !wider;
        if (!wider) return;
        c->at = wider;
        c->room = room;
    }
    Offer *one = &c->at[c->count++];
    *one = (Offer){{strdup(text), strdup(kind), strdup(detail ? detail : ""), NULL}, rank};
    c->failed = !one->made.text || !one->made.kind || !one->made.detail;
}

static void offer(Collector *c, Rank rank, const char *name, const char *kind, const char *detail)
{
    offer_as(c, rank, name, name, kind, detail);
}

static void offer_free(Offer *one)
{
    free(one->made.text);
    free(one->made.kind);
    free(one->made.detail);
}

static int by_text(const void *a, const void *b)
{
    const Offer *x = a, *y = b;
    int order = strcmp(x->made.text, y->made.text);
    return order ? order : (int)x->rank - (int)y->rank;
}

static int by_rank(const void *a, const void *b)
{
    const Offer *x = a, *y = b;
    return x->rank != y->rank ? (int)x->rank - (int)y->rank : strcmp(x->made.text, y->made.text);
}

/* Each text once, by its best rank; then in the order in which they are listed. */
static bool hand_over(Collector *c, Completions *out)
{
    int kept = 0;
    if (c->count > 1) qsort(c->at, (size_t)c->count, sizeof *c->at, by_text);
    for (int i = 0; i < c->count; i++)
        if (kept && !c->failed && !strcmp(c->at[kept - 1].made.text, c->at[i].made.text)) offer_free(&c->at[i]);
        else c->at[kept++] = c->at[i];
    c->count = kept;
    if (kept > 1 && !c->failed) qsort(c->at, (size_t)kept, sizeof *c->at, by_rank);
    out->at = !c->failed && kept ? malloc((size_t)kept * sizeof *out->at) : NULL;
    bool fine = !c->failed && (out->at || !kept);
    for (int i = 0; i < kept; i++)
        if (fine) out->at[out->count++] = c->at[i].made;
        else offer_free(&c->at[i]);
    free(c->at);
    return fine;
}

/* ---- names ---- */

static const char *kind_of(Value v)
{
    switch (v.tag) {
    case TAG_FUNCTION: return "function";
    case TAG_MODEL: return "model";
    case TAG_MODULE: return "module";
    default: return "variable";
    }
}

static void offer_value(Collector *c, Rank rank, const char *name, Value v)
{
    char described[96];
    Text header = {0};
    if (v.tag == TAG_UNDEFINED) return;
    value_describe(v, described, sizeof described);
    if ((v.tag == TAG_FUNCTION || v.tag == TAG_MODEL) && function_header(v, &header)) text_add(&header, "", 1);
    offer(c, rank, name, kind_of(v), header.at && !header.failed ? header.at : described);
    text_free(&header);
}

/* A name of the library; its declaration is looked up only where few names are left. */
static void offer_library(Collector *c, Rank rank, const EmbeddedName *name)
{
    Text header = {0};
    if (strncasecmp(name->name, c->prefix, c->length) != 0) return;
    if (c->length > 0 || rank == RANK_MEMBER) {
        library_header(name, &header);
        text_add(&header, "", 1);
    }
    const char *detail = header.failed || !header.at ? "" : header.at;
    if (!strncmp(detail, "fn ", 3)) detail += 3;
    if (!strncmp(detail, "model ", 6)) detail += 6;
    offer(c, rank, name->name, name->is_model ? "model" : "function", detail);
    text_free(&header);
}

static void offer_builtin(Collector *c, const char *name, const char *signature)
{
    char detail[256];
    snprintf(detail, sizeof detail, "%s(%s)", name, signature);
    if (name[0] != '_') offer(c, RANK_FUNCTION, name, "function", detail);
}

static void offer_functions(Collector *c)
{
    for (int i = 0; i < native_count; i++) offer_builtin(c, native_defs[i].name, native_defs[i].signature);
    for (int i = 0; i < OP_COUNT; i++)
        offer_builtin(c, op_name(op_def((OpId)i)), op_signature_text(op_def((OpId)i)));
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, "prelude")) offer_library(c, RANK_FUNCTION, &embedded_names[i]);
}

static void offer_slots(Collector *c, const Module *module, bool functions_only)
{
    for (uint32_t i = 0; i < module->n_slots; i++) {
        const Slot *slot = &module->slot[i];
        if (slot->value.tag != TAG_UNDEFINED && !functions_only) offer_value(c, RANK_OWN, slot->name, slot->value);
        else if (slot->declared) offer_value(c, RANK_OWN, slot->name, slot->function);
    }
}

static void offer_module(Collector *c, const char *name, const Module *module)
{
    if (module && !module->is_namespace) {
        offer_slots(c, module, false);
        return;
    }
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, name)) offer_library(c, RANK_MEMBER, &embedded_names[i]);
}

static void offer_keys(Collector *c, const Map *map, const char *form)
{
    for (int64_t i = 0; i < map->used; i++) {
        char text[256], described[96];
        if (map->entry[i].key.tag != TAG_STRING) continue;
        const char *key = map->entry[i].key.string->text;
        snprintf(text, sizeof text, form, key);
        value_describe(map->entry[i].value, described, sizeof described);
        offer_as(c, RANK_FIRST, text, key, "key", described);
    }
}

static bool is_name(const char *text)
{
    for (const char *at = text; *at; at++)
        if (!assist_is_word(*at)) return false;
    return *text && !(*text >= '0' && *text <= '9');
}

static void offer_members(Collector *c, const Vm *vm, Value v)
{
    if (v.tag == TAG_MODULE) {
        offer_module(c, v.module->name, v.module);
        return;
    }
    if (v.tag == TAG_OBJECT) {
        const Proto *model = v.object->model->constructor;
        for (int i = 0; i < model->n_fields; i++)
            if (!model->fields[i].hidden) offer_value(c, RANK_MEMBER, model->fields[i].name, v.object->field[i]);
        for (int i = 0; i < model->n_methods; i++)
            offer(c, RANK_MEMBER, model->methods[i]->name, "method", model->methods[i]->signature);
        return;
    }
    for (int64_t i = 0; v.tag == TAG_MAP && i < v.map->used; i++)
        if (v.map->entry[i].key.tag == TAG_STRING && is_name(v.map->entry[i].key.string->text))
            offer_value(c, RANK_FIRST, v.map->entry[i].key.string->text, v.map->entry[i].value);
    if (c->count > 0) return;            /* keys; functions are for those who type on */
    for (size_t i = 0; v.tag == TAG_DATE && date_members[i]; i++) offer(c, RANK_MEMBER, date_members[i], "member", NULL);
    for (size_t i = 0; v.tag == TAG_TENSOR && i < sizeof tensor_members / sizeof *tensor_members; i++)
        offer(c, RANK_MEMBER, tensor_members[i], "member", NULL);
    offer_slots(c, vm->main, true);
    offer_functions(c);
}

static void offer_names(Collector *c, const Vm *vm)
{
    offer_slots(c, vm->main, false);
    offer_functions(c);
    for (int i = 0; i < constant_count; i++)
        offer(c, RANK_FUNCTION, constant_defs[i].name, "constant", constant_defs[i].doc);
    for (int i = 0; i < embedded_name_count; i++)
        if (strcmp(embedded_names[i].module, "prelude") != 0 &&
            (i == 0 || strcmp(embedded_names[i].module, embedded_names[i - 1].module) != 0))
            offer(c, RANK_MODULE, embedded_names[i].module, "module", NULL);
    for (int i = 0; i < TOKEN_COUNT; i++)
        if (token_info[i].keyword) offer(c, RANK_KEYWORD, token_info[i].text, "keyword", NULL);
    for (const char *const *word = header_words; *word; word++) offer(c, RANK_KEYWORD, *word, "keyword", NULL);
}

/* Names that the text itself gives values to, or that stand in the head of a function. */
static void offer_text(Collector *c, const char *text, size_t length, size_t skip)
{
    bool head = false;
    for (size_t at = 0; at < length; at++) {
        if (!assist_is_word(text[at])) {
            head = head && text[at] != '{' && text[at] != '\n';
            continue;
        }
        size_t end = at;
        while (end < length && assist_is_word(text[end])) end++;
        size_t next = end;
        while (next < length && text[next] == ' ') next++;
        bool assigned = next < length && text[next] == '=' && (next + 1 == length || text[next + 1] != '=');
        char name[64];
        if (end - at < sizeof name && at != skip && !(text[at] >= '0' && text[at] <= '9')) {
            memcpy(name, text + at, end - at);
            name[end - at] = 0;
            bool declares = !strcmp(name, "fn") || !strcmp(name, "model") || !strcmp(name, "for");
            if ((assigned || head) && !declares) offer(c, RANK_TEXT, name, "name", NULL);
            head = declares || (head && strcmp(name, "in") != 0);
        }
        at = end - 1;
    }
}

/* ---- arguments ---- */

bool assist_next_part(const char **text, SignaturePart *part)
{
    const char *at = *text + strspn(*text, " ,\n");
    int depth = 0;
    if (!*at || *at == ')') return false;
    *part = (SignaturePart){.at = at};
    part->rest = !strncmp(at, "..", 2);
    part->name_start = part->rest ? 2 : 0;
    for (part->name = 0; assist_is_word(at[part->name_start + part->name]);) part->name++;
    char quote = 0;
    for (; *at && (quote || depth > 0 || (*at != ',' && *at != ')')); at++) {
        if (quote) quote = *at == quote ? 0 : quote;
        else if (*at == '"' || *at == '\'') quote = *at;
        else if (*at == '(' || *at == '[' || *at == '{') depth++;
        else if (*at == ')' || *at == ']' || *at == '}') depth--;
        else if (*at == ':' && depth == 0 && !part->type) part->type = at + 1 + strspn(at + 1, " ");
        else if (*at == '=' && depth == 0 && !part->fallback) part->fallback = at + 1 + strspn(at + 1, " ");
    }
    part->length = (size_t)(at - part->at);
    if (part->type)
        part->type_length = (size_t)((part->fallback ? part->fallback - 1 : at) - part->type);
    if (part->fallback) part->fallback_length = (size_t)(at - part->fallback);
    *text = at;
    return true;
}

const char *assist_signature(const char *name)
{
    for (int i = 0; i < native_count; i++)
        if (!strcmp(native_defs[i].name, name)) return native_defs[i].signature;
    const OpDef *op = op_find(name);
    if (op) return op_signature_text(op);
    return NULL;
}

/* What is known of the callee: its signature's inside, and its source where it is written in the language. */
typedef struct Callee {
    char name[128];
    const char *signature;
    Text made;                /* what [signature] lies in, if it was put together */
    const char *source;
    size_t source_length;
    bool method;              /* x.f(…): the first parameter is x */
} Callee;

static void callee_proto(Callee *callee, const Proto *proto)
{
    const char *open = proto->signature ? strchr(proto->signature, '(') : NULL;
    callee->signature = open ? open + 1 : NULL;
    callee->source = proto->source->text + proto->span.start;
    callee->source_length = proto->source->length - proto->span.start;
}

static void callee_library(Callee *callee, const EmbeddedName *name)
{
    library_header(name, &callee->made);
    text_add(&callee->made, "", 1);
    const char *open = callee->made.failed ? NULL : strchr(callee->made.at, '(');
    callee->signature = open ? open + 1 : NULL;
    const EmbeddedFile *file = &embedded_files[name->file];
    const char *line = (const char *)file->text;
    for (int i = 1; i < name->line; i++) line += strcspn(line, "\n") + 1;
    callee->source = line;
    callee->source_length = file->length - (size_t)(line - (const char *)file->text);
}

static bool library_callee(Callee *callee, const char *module, const char *name)
{
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, module) && !strcmp(embedded_names[i].name, name)) {
            callee_library(callee, &embedded_names[i]);
            return true;
        }
    return false;
}

static const Proto *proto_of(Value v)
{
    if (v.tag == TAG_MODEL) return v.model->constructor;
    if (v.tag == TAG_FUNCTION && v.function->kind == FUNCTION_CLOSURE) return v.function->proto;
    if (v.tag == TAG_OBJECT && v.object->model->forward >= 0)
        return v.object->model->method[v.object->model->forward].function->proto;
    return NULL;
}

/* Who is called by the bracket at [open]. */
static bool find_callee(Vm *vm, const char *text, size_t open, Callee *callee)
{
    char module[64], *name = callee->name;
    size_t end = open, start = assist_chain_start(text, end), word = end;
    while (word > start && assist_is_word(text[word - 1])) word--;
    if (word == end || end - word >= sizeof callee->name) return false;
    memcpy(name, text + word, end - word);
    name[end - word] = 0;
    const Proto *proto = proto_of(assist_chain_value(vm, text, start, end));
    if (proto) {
        callee_proto(callee, proto);
        return true;
    }
    if (word > start) {
        Value v = assist_chain_value(vm, text, start, word - 1);
        for (int i = 0; v.tag == TAG_OBJECT && i < v.object->model->constructor->n_methods; i++)
            if (!strcmp(v.object->model->constructor->methods[i]->name, name)) {
                callee_proto(callee, v.object->model->constructor->methods[i]);
                return true;
            }
        if (word - 1 - start < sizeof module) {
            memcpy(module, text + start, word - 1 - start);
            module[word - 1 - start] = 0;
            if (module_is_standard(module)) return library_callee(callee, module, name);
        }
        callee->method = true;
    }
    uint32_t slot;
    const char *known = name_find(vm, name);
    if (known && module_find(vm->main, known, &slot) && vm->main->slot[slot].declared)
        proto = proto_of(vm->main->slot[slot].function);
    if (proto) callee_proto(callee, proto);
    else callee->signature = assist_signature(name);
    return callee->signature || library_callee(callee, "prelude", name);
}

/* Whether the call that opens at [open] names that argument already. */
static bool is_given(const char *text, size_t open, size_t cursor, const SignaturePart *part)
{
    for (size_t at = open + 1; at + part->name < cursor; at++)
        if (!assist_is_word(text[at - 1]) && !memcmp(text + at, part->at + part->name_start, part->name)) {
            size_t next = at + part->name;
            while (next < cursor && text[next] == ' ') next++;
            if (next < cursor && text[next] == '=') return true;
        }
    return false;
}

static void offer_arguments(Collector *c, Vm *vm, const char *text, const Place *place, size_t start)
{
    Callee callee = {0};
    SignaturePart part;
    if (!find_callee(vm, text, place->call, &callee)) {
        text_free(&callee.made);
        return;
    }
    bool first = true;
    for (const char *at = callee.signature; at && assist_next_part(&at, &part); first = false) {
        char name[80], detail[96];
        if (part.rest || part.name == 0 || part.name > 60 || (first && callee.method)) continue;
        if (is_given(text, place->call, start, &part)) continue;
        snprintf(name, sizeof name, "%.*s=", (int)part.name, part.at + part.name_start);
        snprintf(detail, sizeof detail, "%.*s", (int)(part.length < 90 ? part.length : 90), part.at);
        offer(c, RANK_FIRST, name, "argument", detail);
    }
    text_free(&callee.made);
}

/* ---- the values that an argument takes ---- */

static void offer_word(Collector *c, const char *at, size_t length, bool quoted, const char *of)
{
    char word[64], text[70];
    if (length == 0 || length >= sizeof word) return;
    memcpy(word, at, length);
    word[length] = 0;
    snprintf(text, sizeof text, quoted ? "\"%s\"" : "%s", word);
    offer_as(c, RANK_FIRST, text, word, "value", of);
}

/* Strings between [at] and the end of their list, or the one that stands there. */
static void offer_strings(Collector *c, const char *at, const char *end, bool list, bool quoted, const char *of)
{
    while (at < end && *at != ']' && *at != '\n') {
        const char *close = *at == '"' ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
        if (close) offer_word(c, at + 1, (size_t)(close - at - 1), quoted, of);
        if (close && !list) return;
        at = close ? close + 1 : at + 1;
    }
}

/* What a source compares a name with: name == "x", name in ["x", "y"], names = ["x", "y"]. */
static void offer_compared(Collector *c, const Callee *callee, const SignaturePart *part, bool quoted, const char *of)
{
    const char *end = callee->source + callee->source_length;
    const char *stop = memmem(callee->source, callee->source_length, "\n}", 2);
    if (stop) end = stop;
    for (const char *at = callee->source; at + part->name < end; at++) {
        if (memcmp(at, part->at + part->name_start, part->name) != 0) continue;
        if (at > callee->source && assist_is_word(at[-1])) continue;
        const char *next = at + part->name;
        bool plural = *next == 's' && next + 1 < end && !assist_is_word(next[1]);
        if (!plural && assist_is_word(*next)) continue;
        next += plural;
        while (next < end && *next == ' ') next++;
        if (end - next < 4) return;
        bool compared = !strncmp(next, "== \"", 4) || !strncmp(next, "!= \"", 4);
        if (!plural && compared) offer_strings(c, next + 3, end, false, quoted, of);
        else if (!strncmp(next, "in [", 4)) offer_strings(c, next + 4, end, true, quoted, of);
        else if (plural && !strncmp(next, "= [", 3)) offer_strings(c, next + 3, end, true, quoted, of);
    }
}

static void offer_choices(Collector *c, const Callee *callee, const char *name, bool quoted)
{
    static const struct { const char *function, *parameter, *words; } choices[] = {
#define CHOICE(function, parameter, words) {#function, #parameter, words},
#include "choices.def"
#undef CHOICE
    };
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (!callee->source && !strcmp(choices[i].function, callee->name) && !strcmp(choices[i].parameter, name))
            for (const char *at = choices[i].words; *at; at += strcspn(at, " "), at += *at == ' ')
                offer_word(c, at, strcspn(at, " "), quoted, name);
}

static bool is_type(const SignaturePart *part, const char *type)
{
    return part->type && part->type_length >= strlen(type) && !strncmp(part->type, type, strlen(type));
}

static void offer_for_part(Collector *c, const Callee *callee, const SignaturePart *part, bool in_string)
{
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)(part->name < 70 ? part->name : 70), part->at + part->name_start);
    const char *fallback = part->fallback ? part->fallback : "";
    bool boolean = is_type(part, "bool") || !strncmp(fallback, "true", 4) || !strncmp(fallback, "false", 5);
    if (is_type(part, "padding")) {
        offer_word(c, "same", 4, !in_string, name);
        offer_word(c, "valid", 5, !in_string, name);
    } else if (boolean && !in_string) {
        offer_word(c, "true", 4, false, name);
        offer_word(c, "false", 5, false, name);
    } else if (is_type(part, "dtype") || !strcmp(name, "dtype")) {
        for (int i = 0; i < DTYPE_COUNT; i++) offer(c, RANK_FIRST, dtype_name((Dtype)i), "dtype", name);
    }
    offer_choices(c, callee, name, !in_string);
    if (callee->source) offer_compared(c, callee, part, !in_string, name);
    if (part->fallback && part->fallback_length > 2 && part->fallback[0] == '"' && c->count > 0)
        offer_word(c, part->fallback + 1, part->fallback_length - 2, !in_string, name);
}

/* Behind `name=` in a call: what that parameter takes. True: some were known. */
static bool offer_values(Collector *c, Vm *vm, const char *text, const Place *place, bool in_string)
{
    Callee callee = {0};
    SignaturePart part;
    int before = c->count;
    bool known = place->has_call && place->key_length > 0 && find_callee(vm, text, place->call, &callee);
    for (const char *at = known ? callee.signature : NULL; at && assist_next_part(&at, &part);)
        if (part.name == place->key_length && !memcmp(part.at + part.name_start, text + place->key, part.name))
            offer_for_part(c, &callee, &part, in_string);
    text_free(&callee.made);
    return c->count > before;
}

/* ---- files ---- */

#define FILES_SEEN 2000

static void offer_files(Collector *c, const char *folder)
{
    DIR *files = opendir(*folder ? folder : ".");
    struct dirent *entry;
    for (int seen = 0; files && seen < FILES_SEEN && (entry = readdir(files)); seen++) {
        char name[300], path[4400];
        struct stat about;
        if (entry->d_name[0] == '.' && c->prefix[0] != '.') continue;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (strncmp(entry->d_name, c->prefix, c->length) != 0) continue;
        bool is_folder = entry->d_type == DT_DIR;
        if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
            snprintf(path, sizeof path, "%s%s", folder, entry->d_name);
            is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
        }
        snprintf(name, sizeof name, "%s%s", entry->d_name, is_folder ? "/" : "");
        offer(c, RANK_FIRST, name, is_folder ? "folder" : "file", NULL);
    }
    if (files) closedir(files);
}

/* The path in text[from..cursor): its last part is completed. */
static void complete_path(Collector *c, const char *text, size_t from, size_t cursor, size_t *start)
{
    bool relative = text[from] != '/' && text[from] != '~' && c->folder;
    char folder[4096] = "";
    size_t slash = cursor;
    while (slash > from && text[slash - 1] != '/') slash--;
    const char *home = text[from] == '~' && slash > from ? getenv("HOME") : NULL;
    size_t skip = home ? 1 : 0;
    const char *base = home ? home : relative ? c->folder : "";
    if (slash - from + strlen(base) + 2 >= sizeof folder) return;
    snprintf(folder, sizeof folder, "%s%s%.*s", base, relative ? "/" : "", (int)(slash - from - skip),
             text + from + skip);
    *start = slash;
    c->prefix = text + slash;
    c->length = cursor - slash;
    offer_files(c, folder);
}

/* ---- by place ---- */

static void complete_member(Collector *c, Vm *vm, const char *text, size_t start)
{
    size_t root = assist_chain_start(text, start - 1);
    char name[64] = "";
    if (start - 1 - root < sizeof name) {
        memcpy(name, text + root, start - 1 - root);
        name[start - 1 - root] = 0;
    }
    Value v = assist_chain_value(vm, text, root, start - 1);
    if (v.tag == TAG_UNDEFINED && module_is_standard(name)) offer_module(c, name, NULL);
    else offer_members(c, vm, v);
}

static void complete_code(Collector *c, Vm *vm, const char *text, size_t length, const Place *place, size_t start)
{
    if (start > 0 && text[start - 1] == '.' && !(start > 1 && text[start - 2] == '.')) {
        complete_member(c, vm, text, start);
        return;
    }
    if (place->has_index) {
        Value map = assist_chain_value(vm, text, assist_chain_start(text, place->index), place->index);
        if (map.tag == TAG_MAP && start == place->index + 1) offer_keys(c, map.map, "\"%.200s\"");
    }
    if (place->key_length > 0 && offer_values(c, vm, text, place, false)) return;
    if (place->has_call && place->key_length == 0) offer_arguments(c, vm, text, place, start);
    offer_names(c, vm);
    offer_text(c, text + c->guess, length - c->guess, start - c->guess);
}

static void complete_string(Collector *c, Vm *vm, const char *text, size_t cursor, const Place *place, size_t *start)
{
    *start = place->string + 1;
    c->prefix = text + *start;
    c->length = cursor - *start;
    if (place->has_index && place->index + 1 == place->string) {
        Value map = assist_chain_value(vm, text, assist_chain_start(text, place->index), place->index);
        if (map.tag == TAG_MAP) {
            offer_keys(c, map.map, "%.200s");
            return;
        }
    }
    if (!offer_values(c, vm, text, place, true)) complete_path(c, text, place->string + 1, cursor, start);
}

static void complete_command(Collector *c, Vm *vm, const char *text, size_t length, size_t cursor, const Place *place,
                             size_t *start)
{
    size_t end = place->command + 1;
    while (end < cursor && assist_is_word(text[end])) end++;
    const Command *command = command_find(text + place->command + 1, end - place->command - 1);
    bool names = end == cursor;
    size_t argument = end;
    while (argument < cursor && text[argument] == ' ') argument++;
    if (names || (command && command->takes == TAKES_COMMAND)) {
        if (names) *start = place->command + 1;
        c->prefix = text + *start;
        c->length = cursor - *start;
        for (int i = 0; i < command_count; i++)
            offer(c, RANK_FIRST, commands[i].name, "command", commands[i].doc);
    }
    if (names || !command || command->takes == TAKES_NOTHING || command->takes == TAKES_TEXT) return;
    if (command->takes == TAKES_FILE) complete_path(c, text, argument, cursor, start);
    else if (place->string_open) complete_string(c, vm, text, cursor, place, start);
    else complete_code(c, vm, text, length, place, *start);
}

static bool complete(Session *session, const char *text, size_t length, size_t cursor, const char *folder, size_t guess,
                     bool any_case, Completions *out)
{
    size_t start = cursor, end = cursor;
    Place place;
    assist_place(text, cursor, &place);
    while (start > 0 && assist_is_word(text[start - 1])) start--;
    while (end < length && assist_is_word(text[end])) end++;
    Collector c = {.prefix = text + start, .length = cursor - start, .folder = folder, .guess = guess <= start ? guess : start,
                   .any_case = any_case};
    bool number = start < cursor && text[start] >= '0' && text[start] <= '9';
    if (place.has_command) complete_command(&c, session->vm, text, length, cursor, &place, &start);
    else if (place.string_open) complete_string(&c, session->vm, text, cursor, &place, &start);
    else if (!place.comment && !number) complete_code(&c, session->vm, text, length, &place, start);
    *out = (Completions){.start = start, .end = end};
    return hand_over(&c, out);
}

/* Names as they are typed; where none begins so, whatever the case of their letters. */
bool assist_complete(Session *session, const char *text, size_t length, size_t cursor, const char *folder, size_t guess,
                     Completions *out)
{
    if (cursor > length) cursor = length;
    char *copy = strndup(text, length);      /* ends in a 0 */
    *out = (Completions){0};
    if (!copy) return false;
    length = strlen(copy);
    if (cursor > length) cursor = length;
    bool fine = complete(session, copy, length, cursor, folder, guess, false, out);
    if (fine && out->count == 0 && out->start < cursor) {
        completions_clear(out);
        fine = complete(session, copy, length, cursor, folder, guess, true, out);
    }
    free(copy);
    return fine;
}

bool session_complete(Session *session, const char *text, size_t length, size_t cursor, Completions *out)
{
    return assist_complete(session, text, length, cursor, NULL, 0, out);
}

void completions_clear(Completions *completions)
{
    for (int i = 0; i < completions->count; i++) {
        free(completions->at[i].text);
        free(completions->at[i].kind);
        free(completions->at[i].detail);
        free(completions->at[i].doc);
    }
    free(completions->at);
    *completions = (Completions){0};
}
