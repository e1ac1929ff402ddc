/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files by which other editors colour Tessera: the templates of editors/, which lie in the program, with every
   @{TABLE:HOW} filled from the tables that the lexer itself reads. HOW is what stands between words, or the dialect of
   regular expressions and strings that the place is written in. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embedded.h"
#include "lang.h"
#include "lex.h"

static const char folder[] = "editors/", parts[] = "editors/parts/";

typedef enum Dialect { JAVASCRIPT, PYTHON, ONIGURUMA, VIM, ELISP, DIALECTS } Dialect;
static const char *const dialects[DIALECTS] = {"javascript", "python", "oniguruma", "vim", "elisp"};

/* ---- words ---- */

static bool is_constant(TokenKind kind)
{
    return kind == TOKEN_TRUE || kind == TOKEN_FALSE || kind == TOKEN_NONE || kind == TOKEN_DONE;
}

static int collect_tokens(const char **words, bool constants)
{
    int count = 0;
    for (int i = 0; i < TOKEN_COUNT; i++)
        if (token_info[i].keyword && is_constant((TokenKind)i) == constants) words[count++] = token_info[i].text;
    return count;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *const functions[] = {
#define OP(name, ...) #name,
#include "tensor/ops.h"
#define NATIVE(name, signature, doc, example) #name,
#include "builtins.def"
#undef NATIVE
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* What is called without a `use`: ops, natives and the prelude's, those for the libraries excepted. */
static int collect_builtins(const char **words)
{
    int count = 0, unique = 0;
    for (int i = 0; i < FUNCTIONS; i++)
        if (functions[i][0] != '_') words[count++] = functions[i];
    for (int i = 0; i < embedded_name_count; i++)
        if (strcmp(embedded_names[i].module, "prelude") == 0) words[count++] = embedded_names[i].name;
    qsort(words, (size_t)count, sizeof *words, compare);
    for (int i = 0; i < count; i++)
        if (unique == 0 || strcmp(words[i], words[unique - 1]) != 0) words[unique++] = words[i];
    return unique;
}

static int collect_headers(const char **words)
{
    int count = 0;
    for (const char *const *word = header_words; *word; word++) words[count++] = *word;
    return count;
}

/* How many, or -1: no table of words has that name. */
static int collect(const char *name, const char **words)
{
    if (strcmp(name, "keywords") == 0) return collect_tokens(words, false);
    if (strcmp(name, "constants") == 0) return collect_tokens(words, true);
    if (strcmp(name, "headers") == 0) return collect_headers(words);
    if (strcmp(name, "builtins") == 0) return collect_builtins(words);
    return -1;
}

/* ---- regular expressions ---- */

/* [regex] of patterns.def in a dialect; for JSON and Emacs Lisp inside a string of theirs. */
static void put_regex(FILE *out, const char *regex, Dialect dialect)
{
    bool in_class = false;
    for (const char *at = regex; *at; at++) {
        bool group = !in_class && strncmp(at, "(?:", 3) == 0;
        in_class = *at == '[' || (in_class && *at != ']');
        if (dialect == ELISP) {
            if (!in_class && strchr("(|){}", *at)) fputs("\\\\", out);
            if (*at == '"') fputc('\\', out);
            fputc(*at, out);
        } else if (dialect == ONIGURUMA) {
            if (*at == '"' || *at == '\\') fputc('\\', out);
            fputc(*at, out);
        } else if (dialect == VIM && group) {
            fputs("%(", out);
            at += 2;
        } else {
            fputc(*at, out);
        }
    }
}

static void put_codepoint(FILE *out, unsigned codepoint, Dialect dialect)
{
    if (dialect == JAVASCRIPT) fprintf(out, "\\u{%x}", codepoint);
    else if (dialect == ONIGURUMA) fprintf(out, "\\\\x{%x}", codepoint);
    else fprintf(out, "\\U%08x", codepoint);
}

/* What a name may begin with, for a class. */
static void put_letters(FILE *out, Dialect dialect)
{
    static const struct { unsigned first, last; } letters[] = {
#define LETTERS(from, to) {from, to},
#include "letters.def"
#undef LETTERS
    };
    fputs("a-zA-Z_", out);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        put_codepoint(out, letters[i].first, dialect);
        if (letters[i].first == letters[i].last) continue;
        fputc('-', out);
        put_codepoint(out, letters[i].last, dialect);
    }
}

/* The characters of operators, for a class: no dialect reads - first and ^ last as anything else. */
static void put_operators(FILE *out)
{
    bool seen[256] = {false};
    for (int i = 0; i < TOKEN_COUNT; i++)
        for (const char *c = token_info[i].symbol ? token_info[i].text : ""; *c; c++) seen[(unsigned char)*c] = true;
    fputc('-', out);
    for (int c = 0; c < 256; c++)
        if (seen[c] && !strchr("-^()[]{}", c)) fputc(c, out);
    fputc('^', out);
}

/* ---- filling ---- */

static bool put_pattern(FILE *out, const char *name, const char *how)
{
    static const struct { const char *name, *regex; } patterns[] = {
#define PATTERN(called, text) {#called, text},
#include "patterns.def"
#undef PATTERN
    };
    int dialect = 0;
    while (dialect < DIALECTS && strcmp(dialects[dialect], how) != 0) dialect++;
    if (dialect == DIALECTS) return false;
    bool letters = strcmp(name, "letters") == 0;
    if (letters) put_letters(out, (Dialect)dialect);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (strcmp(patterns[i].name, name) == 0) {
            put_regex(out, patterns[i].regex, (Dialect)dialect);
            return true;
        }
    return letters;
}

static bool put_words(FILE *out, const char *name, const char *between)
{
    const char **words = calloc((size_t)(FUNCTIONS + TOKEN_COUNT + embedded_name_count), sizeof *words);
    int count = words ? collect(name, words) : -1;
    for (int i = 0; i < count; i++) fprintf(out, "%s%s", i ? between : "", words[i]);
    free(words);
    return count >= 0;
}

static bool fill(FILE *out, const char *path, int depth);

static bool put_table(FILE *out, const char *name, const char *how, int depth)
{
    if (strcmp(name, "part") == 0) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", parts, how);
        return depth == 0 && fill(out, path, depth + 1);
    }
    if (strcmp(name, "version") == 0) return fputs(session_version(), out) >= 0;
    if (strcmp(name, "operators") == 0) {
        put_operators(out);
        return true;
    }
    return put_pattern(out, name, how) || put_words(out, name, how);
}

/* False: no such file, or a place in it that no table fills. */
static bool fill(FILE *out, const char *path, int depth)
{
    size_t length;
    const char *text = session_embedded(path, &length);
    while (text) {
        const char *place = strstr(text, "@{"), *end = place ? strchr(place, '}') : NULL;
        if (!end) return fputs(text, out) >= 0;
        fwrite(text, 1, (size_t)(place - text), out);
        char name[64];
        size_t size = (size_t)(end - place) - 2;
        if (size >= sizeof name) return false;
        memcpy(name, place + 2, size);
        name[size] = 0;
        char *how = strchr(name, ':');
        if (how) *how++ = 0;
        if (!put_table(out, name, how ? how : "", depth)) return false;
        text = end + 1;
    }
    return false;
}

const char *language_editor_name(int index)
{
    for (int i = 0; i < embedded_file_count; i++) {
        const char *path = embedded_files[i].path;
        if (strncmp(path, folder, sizeof folder - 1) != 0 || strncmp(path, parts, sizeof parts - 1) == 0) continue;
        if (index-- == 0) return path + sizeof folder - 1;
    }
    return NULL;
}

char *language_editor_file(const char *name, size_t *length)
{
    char path[128], *text = NULL;
    snprintf(path, sizeof path, "%s%s", folder, name);
    FILE *out = open_memstream(&text, length);
    if (!out) return NULL;
    bool fine = fill(out, path, 0) && !ferror(out);
    if (fclose(out) == 0 && fine) return text;
    free(text);
    return NULL;
}
