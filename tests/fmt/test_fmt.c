/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter: the cases of tests/fmt/cases/NAME.txt; every source of the repository, which is as the formatter would write it
   and stays the same under random changes of its spaces; and random line ends, under which the meaning, the comments
   and the second formatting stay the same. `test_fmt FILE…` tries other files. */
#include <ftw.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lang/fmt.h"
#include "../../lang/lang.h"
#include "../../lang/tree.h"
#include "../tap.h"

static const SessionConfig config;

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    *length = 0;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        size_t size = (size_t)ftell(file);
        rewind(file);
        text = malloc(size + 1);
        *length = text ? fread(text, 1, size, file) : 0;
        if (text) text[*length] = 0;
    }
    if (file) fclose(file);
    return text;
}

static char *format(const char *text, size_t length, size_t *made)
{
    EvalResult result;
    char *formatted = session_format(&config, "test", text, length, made, &result);
    if (!formatted && result.error_kind && strcmp(result.error_kind, "syntax") != 0) tap_note("%s", result.error);
    eval_result_clear(&result);
    return formatted;
}

static Parse *parse(const char *text, size_t length)
{
    Source *source = source_new("test", text, length, false);
    Parse *parse = source ? parse_source(source, false) : NULL;
    source_release(source);
    return parse;
}

static bool same_tree(const char *a, size_t a_length, const char *b, size_t b_length)
{
    Parse *x = parse(a, a_length), *y = parse(b, b_length);
    bool same = x && y && !x->errors && !y->errors && tree_compare(x, y) == TREE_SAME;
    parse_free(x);
    parse_free(y);
    return same;
}

/* ---- the table of cases ---- */

/* The next line that is [mark], or begins with it, from [at]; NULL: none. */
static char *find_line(char *at, const char *mark)
{
    for (char *line = at; line; line = strchr(line, '\n')) {
        line += line != at;
        if (strncmp(line, mark, strlen(mark)) == 0) return line;
    }
    return NULL;
}

/* \r and \t in a case are written so, since both are blanks that nobody sees. */
static size_t unescape(char *text, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        bool escape = text[i] == '\\' && i + 1 < length && (text[i + 1] == 'r' || text[i + 1] == 't');
        text[n++] = !escape ? text[i] : text[++i] == 'r' ? '\r' : '\t';
    }
    return n;
}

static void try_case(const char *file, const char *name, char *before, size_t length, const char *after, size_t expected)
{
    size_t made = 0, again = 0;
    length = unescape(before, length);
    char *got = format(before, length, &made);
    bool fine = got && made == expected && memcmp(got, after, made) == 0;
    if (!tap_ok(fine, "%s: %s", file, name)) tap_note("got:\n%s", got ? got : "an error");
    char *twice = got ? format(got, made, &again) : NULL;
    tap_ok(twice && again == made && memcmp(twice, got, made) == 0, "%s: %s, again", file, name);
    tap_ok(got && same_tree(before, length, got, made), "%s: %s means the same", file, name);
    free(got);
    free(twice);
}

static void try_cases(const char *path)
{
    size_t length;
    char *text = read_file(path, &length), *file = strrchr(path, '/');
    char *at = text ? find_line(text, "=== ") : NULL;
    tap_ok(at != NULL, "%s has cases", path);
    while (at) {
        char *name = at + 4, *before = strchr(at, '\n') + 1, *next = find_line(before, "=== ");
        char *end = next ? next : text + length, *bar = find_line(before, "---\n");
        name[strcspn(name, "\n")] = 0;
        if (bar && bar < end) try_case(file + 1, name, before, (size_t)(bar - before), bar + 4, (size_t)(end - bar - 4));
        else {
            char *copy = strndup(before, (size_t)(end - before));
            try_case(file + 1, name, copy, (size_t)(end - before), before, (size_t)(end - before));
            free(copy);
        }
        at = next;
    }
    free(text);
}

/* ---- random changes ---- */

static uint64_t state = 1;

static unsigned draw(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

typedef struct Changed { char *at; size_t length, room; } Changed;

static void put(Changed *changed, const char *text, size_t length)
{
    if (changed->length + length > changed->room) {
        changed->room = (changed->length + length) * 2;
        changed->at = realloc(changed->at, changed->room);
        if (!changed->at) abort();
    }
    if (length) memcpy(changed->at + changed->length, text, length);
    changed->length += length;
}

static bool is_wordy(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("_.\"'", c)
           || (unsigned char)c >= 0x80;
}

static void put_blanks(Changed *changed, unsigned least)
{
    static const char blanks[] = " \t    \t ";
    unsigned count = least + draw(4);
    put(changed, blanks + draw(2), count < 6 ? count : 6);
}

/* The text with other blanks between its pieces; [lines]: and, seldom, with other line ends. */
static Changed change(const char *text, size_t length, bool lines)
{
    Changed changed = {0};
    Pieces pieces = {0};
    Parse *tree = parse(text, length);
    if (!tree || tree->errors || !fmt_pieces(tree, &pieces)) abort();
    uint32_t end = 0;
    for (int i = 0; i < pieces.count; i++) {
        const Piece *piece = &pieces.at[i];
        int breaks = 0;
        for (uint32_t j = end; j < piece->span.start; j++) breaks += text[j] == '\n';
        bool comment = i > 0 && pieces.at[i - 1].kind == PIECE_COMMENT;
        if (lines && !comment && draw(40) == 0) breaks = breaks ? 0 : 1 + (int)draw(2);
        if (breaks > 1) breaks += (int)draw(3);
        for (int j = 0; j < breaks; j++) {
            put_blanks(&changed, 0);
            if (draw(2)) put(&changed, "\r", 1);
            put(&changed, "\n", 1);
        }
        bool wordy = i > 0 && !breaks && is_wordy(text[end - 1]) && is_wordy(text[piece->span.start]);
        if (!(wordy && end == piece->span.start)) put_blanks(&changed, wordy || piece->kind == PIECE_COMMENT);
        put(&changed, text + piece->span.start, piece->span.end - piece->span.start);
        end = piece->span.end;
    }
    free(pieces.at);
    parse_free(tree);
    return changed;
}

/* Tokens and comments are the same in the same order, and comments stand behind code or not as before. */
static bool same_pieces(const char *a, size_t a_length, const char *b, size_t b_length)
{
    Pieces x = {0}, y = {0};
    Parse *tree_x = parse(a, a_length), *tree_y = parse(b, b_length);
    bool same = tree_x && tree_y && fmt_pieces(tree_x, &x) && fmt_pieces(tree_y, &y) && x.count == y.count;
    for (int i = 0; i < x.count && same; i++) {
        Span p = x.at[i].span, q = y.at[i].span;
        same = p.end - p.start == q.end - q.start && memcmp(a + p.start, b + q.start, p.end - p.start) == 0
               && x.at[i].kind == y.at[i].kind
               && (x.at[i].kind != PIECE_COMMENT || !x.at[i].lines == !y.at[i].lines);
    }
    free(x.at);
    free(y.at);
    parse_free(tree_x);
    parse_free(tree_y);
    return same;
}

/* Formatting is stable, means the same and keeps every piece. */
static bool holds(const char *text, size_t length)
{
    size_t made = 0, again = 0;
    char *formatted = format(text, length, &made), *twice = formatted ? format(formatted, made, &again) : NULL;
    bool stable = twice && made == again && memcmp(formatted, twice, made) == 0;
    bool fine = stable && same_tree(text, length, formatted, made) && same_pieces(text, length, formatted, made);
    if (!fine) tap_note("%s:\n%.*s\nbecomes\n%s\nand\n%s", stable ? "changed" : "not stable", (int)length, text,
                        formatted ? formatted : "an error", twice ? twice : "an error");
    free(formatted);
    free(twice);
    return fine;
}

static void try_changes(const char *path, const char *text, size_t length, int rounds)
{
    int same = 0, tried = 0, held = 0, legal = 0;
    for (int round = 0; round < rounds; round++) {
        Changed blanks = change(text, length, false), lines = change(text, length, true);
        size_t made = 0;
        char *formatted = format(blanks.at, blanks.length, &made);
        bool equal = formatted && made == length && memcmp(formatted, text, made) == 0;
        if (!equal) tap_note("%.*s\nbecomes\n%s", (int)blanks.length, blanks.at, formatted ? formatted : "an error");
        tried++;
        same += equal;
        if (same_tree(text, length, lines.at, lines.length)) {
            legal++;
            held += holds(lines.at, lines.length);
        }
        free(formatted);
        free(blanks.at);
        free(lines.at);
    }
    tap_ok(same == tried && held == legal, "%s: other spaces are undone, other line ends are kept (%d of %d, %d of %d)",
           path, same, tried, held, legal);
}

/* ---- files ---- */

static int files;

static void try_file(const char *path, bool settled)
{
    size_t length, made = 0;
    files++;
    char *text = read_file(path, &length), *formatted = text ? format(text, length, &made) : NULL;
    if (!text || (!formatted && !settled)) {
        free(text);
        return;
    }
    if (settled)
        tap_ok(formatted && made == length && memcmp(text, formatted, made) == 0,
               "%s is formatted (else: tessera fmt FILE, or make fmt)", path);
    tap_ok(formatted && holds(text, length), "%s: stable, the same program, every comment in its place", path);
    if (formatted) try_changes(path, formatted, made, length < 4000 ? 6 : 2);
    free(text);
    free(formatted);
}

/* Every source of the repository; those of tests/check and tests/errors keep the text that their findings show. */
static int visit(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    const char *name = path + place->base, *end = strrchr(name, '.');
    bool made = name[0] == '.' || strncmp(name, "build", 5) == 0 || strncmp(name, "tessera-", 8) == 0;
    if (type == FTW_D) return made && place->level > 0 ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
    bool shown = strstr(path, "tests/check/") || strstr(path, "tests/errors/");
    if (type == FTW_F && end && strcmp(end, ".tsr") == 0) try_file(path, !shown);
    if (type == FTW_F && end && strcmp(end, ".txt") == 0 && strstr(path, "tests/fmt/cases/")) try_cases(path);
    return FTW_CONTINUE;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) try_file(argv[i], false);
    if (argc > 1) return tap_end();
    nftw(getenv("SRCDIR") ? getenv("SRCDIR") : ".", visit, 16, FTW_PHYS | FTW_ACTIONRETVAL);
    tap_ok(files > 100, "there are sources");
    return tap_end();
}
