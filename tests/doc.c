/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documentation is true: every op and every native has a doc, and its example `expression  # output` prints that
   when the language runs it. Output is compared with brackets, commas and runs of white space taken as one space,
   because examples fit on one line and tensors do not. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lang/lang.h"
#include "../lang/vm.h"

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

/* What [code] prints, or shows at the prompt, or the message of its error, is [expected]. */
static bool example_holds(const char *code, size_t length, const char *expected)
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
    if (!fine && !result.error) {    /* print() and the prompt differ for strings and tensors: either may be meant */
        char again[2048];
        int size = snprintf(again, sizeof again, "print(%.*s)", (int)length, code);
        eval_result_clear(&result);
        size_t kept = printed_length;
        session_eval(session, "<example>", again, (size_t)size, EVAL_INTERACTIVE, &result);
        fine = !result.error && same_words(printed + kept, expected);
    }
    if (!fine) {
        show("expected", expected);
        show("printed", printed);
        if (result.error) show("error", result.error);
    }
    eval_result_clear(&result);
    session_free(session);
    return fine;
}

static void check(const char *kind, const char *name, const char *doc, const char *example)
{
    char what[64];
    snprintf(what, sizeof what, "%s has a doc:", kind);
    report(doc && *doc, what, name);
    if (!example || !*example) return;
    snprintf(what, sizeof what, "example of %s", kind);
    const char *mark = strstr(example, "  # ");
    report(mark && example_holds(example, (size_t)(mark - example), mark + 4), what, name);
}

int main(void)
{
    for (int i = 0; i < OP_COUNT; i++) {
        const OpDef *def = op_def((OpId)i);
        check("op", op_name(def), op_doc(def), op_example(def));
    }
    for (int i = 0; i < native_count; i++) {
        const NativeDef *def = &native_defs[i];
        if (def->name[0] != '_') check("native", def->name, def->doc, def->example);
    }
    printf("1..%d\n", number);
    return 0;
}
