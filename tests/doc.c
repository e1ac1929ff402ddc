/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documentation is true: every op, native and library function has a doc, and its example `expression  # output` prints that
   when the language runs it. Output is compared with brackets, commas and runs of white space taken as one space,
   because examples fit on one line and tensors do not. docs/ops.md is what the tables make (manual.c); --markdown
   writes it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lang/embedded.h"
#include "../lang/lang.h"
#include "../lang/vm.h"
#include "manual.h"

static char printed[8192];
static size_t printed_length;
static int number;

static void collect(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    if (length > sizeof printed - 1 - printed_length) length = sizeof printed - 1 - printed_length;
    memcpy(printed + printed_length, text, length);
    printed_length += length;
    printed[printed_length] = '\0';
}

static bool is_gap(char c)
{
    return isspace((unsigned char)c) || strchr("[](),", c) != NULL;
}

/* Equal but for gaps. */
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        while (*a && is_gap(*a)) a++;
        while (*b && is_gap(*b)) b++;
        while (*a && !is_gap(*a) && *a == *b) a++, b++;
        if ((*a && !is_gap(*a)) || (*b && !is_gap(*b))) return false;
        if (!*a || !*b) break;
    }
    while (*a && is_gap(*a)) a++;
    while (*b && is_gap(*b)) b++;
    return !*a && !*b;
}

static void report(bool fine, const char *what, const char *name)
{
    printf("%s %d - %s %s\n", fine ? "ok" : "not ok", ++number, what, name);
}

static void show(const char *label, const char *text)
{
    printf("#   %s: ", label);
    for (; text && *text; text++) fputs(*text == '\n' ? "\n#     " : (char[]){*text, 0}, stdout);
    printf("\n");
}

/* Runs [code]; true when what it prints and shows is [expected]. */
static bool shows(const char *code, size_t length, const char *expected, char *error, size_t room)
{
    const SessionConfig config = {.output = collect};
    Session *session = session_new(&config);
    if (!session) return false;
    EvalResult result;
    printed_length = 0;
    printed[0] = '\0';
    session_eval(session, "<example>", code, length, EVAL_INTERACTIVE, &result);
    if (result.text) collect(NULL, OUTPUT_OUT, result.text, strlen(result.text));
    bool fine = !result.error && same_words(printed, expected);
    snprintf(error, room, "%s", result.error ? result.error : "");
    eval_result_clear(&result);
    session_free(session);
    return fine;
}

/* print() and the prompt show strings and tensors differently; an example may mean either. */
static void check_example(const char *what, const char *name, const char *example)
{
    char error[2048] = "", code[2048];
    const char *mark = strstr(example, "  # ");
    if (!mark) {
        report(false, what, name);
        show("no `expression  # output`", example);
        return;
    }
    bool fine = shows(example, (size_t)(mark - example), mark + 4, error, sizeof error);
    if (!fine && !*error) {
        int size = snprintf(code, sizeof code, "print(%.*s)", (int)(mark - example), example);
        fine = shows(code, (size_t)size, mark + 4, error, sizeof error);
    }
    report(fine, what, name);
    if (fine) return;
    show("example", example);
    show("printed", printed);
    show("error", error);
}

static void check(const char *kind, const char *name, const char *doc, const char *example)
{
    char what[64];
    snprintf(what, sizeof what, "%s has a doc:", kind);
    report(doc && *doc, what, name);
    if (!example || !*example) return;
    snprintf(what, sizeof what, "example of %s", kind);
    check_example(what, name, example);
}

/* A function or model of the library: its ## lines describe it, and those that are set in by four more blanks and have
   `  # ` are examples. */
static void check_library(Session *session, const EmbeddedName *name)
{
    char full[128];
    bool prelude = strcmp(name->module, "prelude") == 0;
    snprintf(full, sizeof full, "%s%s%s", prelude ? "" : name->module, prelude ? "" : ".", name->name);
    char *help = session_inspect(session, full, strlen(full), strlen(full));
    char *line = help ? strchr(help, '\n') : NULL;
    report(line != NULL, "library function has a doc:", full);
    for (char *next; line; line = next) {
        next = strchr(++line, '\n');
        if (next) *next = '\0';
        if (strncmp(line, "    ", 4) == 0 && strstr(line, "  # ")) check_example("example of library", full, line + 4);
    }
    free(help);
}

/* Whether docs/ops.md is what the tables make now. */
static void check_manual(Session *session)
{
    char path[4096], *now = NULL;
    size_t length = 0;
    const char *folder = getenv("SRCDIR");
    snprintf(path, sizeof path, "%s/docs/ops.md", folder ? folder : ".");
    FILE *to = open_memstream(&now, &length);
    if (!to) return;
    manual_print(to, session);
    fclose(to);
    FILE *file = fopen(path, "r");
    char *committed = malloc(length + 2);
    size_t got = file && committed ? fread(committed, 1, length + 1, file) : 0;
    bool same = got == length && memcmp(committed, now, length) == 0;
    report(same, "is up to date:", "docs/ops.md");
    if (!same) show("remedy", "make docs, and commit docs/ops.md");
    if (file) fclose(file);
    free(committed);
    free(now);
}

/* docs/language.md names every builtin. */
static void check_named(const char *name)
{
    static char *page;
    char path[4096], word[80];
    if (!page) {
        const char *folder = getenv("SRCDIR");
        snprintf(path, sizeof path, "%s/docs/language.md", folder ? folder : ".");
        FILE *file = fopen(path, "r");
        size_t room = 1 << 20, length = 0;
        page = calloc(1, room);
        if (file && page) length = fread(page, 1, room - 1, file);
        if (file) fclose(file);
        if (length == 0) return;
    }
    snprintf(word, sizeof word, "`%s`", name);
    if (!strstr(page, word)) report(false, "is named in docs/language.md:", name);
}

/* docs/repl.md has each command's row as the table has it. */
static void check_commands(void)
{
    static const struct { const char *name, *argument, *doc; } commands[] = {
#define COMMAND(name, alias, argument, takes, doc) {#name, argument, doc},
#include "../lang/commands.def"
#undef COMMAND
    };
    char path[4096], row[512];
    const char *folder = getenv("SRCDIR");
    snprintf(path, sizeof path, "%s/docs/repl.md", folder ? folder : ".");
    FILE *file = fopen(path, "r");
    size_t room = 1 << 20;
    char *page = calloc(1, room);
    if (file && page && fread(page, 1, room - 1, file) == 0) *page = '\0';
    if (file) fclose(file);
    for (size_t i = 0; page && i < sizeof commands / sizeof *commands; i++) {
        snprintf(row, sizeof row, "\n| `:%s%s%s` | %s |\n", commands[i].name, *commands[i].argument ? " " : "",
                 commands[i].argument, commands[i].doc);
        report(strstr(page, row) != NULL, "docs/repl.md has the row of", commands[i].name);
        if (!strstr(page, row)) show("the row", row + 1);
    }
    free(page);
}

int main(int argc, char **argv)
{
    const SessionConfig config = {.output = collect};
    Session *session = session_new(&config);
    if (!session) return 1;
    if (argc > 1 && strcmp(argv[1], "--markdown") == 0) {
        manual_print(stdout, session);
        session_free(session);
        return 0;
    }
    for (int i = 0; i < OP_COUNT; i++) {
        const OpDef *def = op_def((OpId)i);
        check("op", op_name(def), op_doc(def), op_example(def));
        if (!*op_example(def)) report(false, "op has an example:", op_name(def));
    }
    for (int i = 0; i < native_count; i++) {
        const NativeDef *def = &native_defs[i];
        if (def->name[0] == '_') continue;
        check("native", def->name, def->doc, def->example);
        check_named(def->name);
    }
    for (int i = 0; i < embedded_name_count; i++) check_library(session, &embedded_names[i]);
    check_manual(session);
    check_commands();
    session_free(session);
    printf("1..%d\n", number);
    return 0;
}
