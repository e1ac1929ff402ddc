/* SPDX-License-Identifier: GPL-3.0-or-later */
/* docs/ops.md, made of the tables: ops by topic, the builtins, the library's functions by file. What an
   elementwise row takes and gives follows from its class; which errors an op gives, from the cases that test them. */
#include "manual.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lang/embedded.h"
#include "../lang/vm.h"
#include "ops/ops_test.h"

typedef struct Row { const char *topic; OpId op; } Row;      /* a heading or an op */
static const Row rows[] = {
#define TOPIC(title) {title, OP_COUNT},
#define OP(name, ...) {NULL, OP_##name},
#include "../tensor/ops.h"
};
enum { ROWS = sizeof rows / sizeof *rows };

static const Case *const sections[] = {
#define SECTION(name) cases_##name,
#include "ops/sections.def"
#undef SECTION
};

/* ---- parts of an entry ---- */

static const char *takes(const OpDef *def)
{
    switch (def->element) {
    case ELEMENT_FLOAT: return "Takes numbers of any dtype, gives floats: ints and bools become f32.";
    case ELEMENT_ARITH: return "Takes numbers of any dtype and keeps it; bool and u8 become i32.";
    case ELEMENT_SAME: return "Takes any dtype and keeps it.";
    case ELEMENT_TEST: return "Takes any dtype, gives bool.";
    case ELEMENT_LOGIC: return "Takes bools, gives bool.";
    case ELEMENT_BITS: return "Takes ints and bools and keeps the dtype.";
    case ELEMENT_INT: return "Takes ints and keeps the dtype.";
    case ELEMENT_NONE: break;
    }
    return "";
}

static const char *gradient(const OpDef *def)
{
    switch (def->mode) {
    case MODE_NOGRAD: return "No gradient: to ask for it is an error.";
    case MODE_ZERO: return "Its gradient is 0.";
    default: return "Differentiable, to any order.";
    }
}

static void print_errors(FILE *to, const OpDef *def)
{
    bool kinds[ERROR_KIND_COUNT] = {false};
    kinds[ERROR_dtype] = def->element >= ELEMENT_LOGIC;
    kinds[ERROR_shape] = def->arity == 2;
    kinds[ERROR_gradient] = def->mode == MODE_NOGRAD;
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++)
        for (const Case *test = sections[s]; test->op; test++)
            if (strcmp(test->op, def->name) == 0) {
                kinds[test->error] = true;
                kinds[ERROR_dtype] = kinds[ERROR_dtype] || test->refuses;
            }
    const char *before = " Errors: ";
    for (int k = 0; k < ERROR_KIND_COUNT; k++)
        if (k != ERROR_NONE && kinds[k]) {
            fprintf(to, "%s[%s](errors/%s.md)", before, error_kind_name((ErrorKind)k), error_kind_name((ErrorKind)k));
            before = ", ";
        }
    fputs(*before == ',' ? ".\n" : "\n", to);
}

/* Lines of at most 110 columns. */
static void print_text(FILE *to, const char *text)
{
    int column = 0;
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > 0 && column + 1 + (int)word > 110) fputc('\n', to), column = 0;
        if (column > 0) fputc(' ', to);
        fwrite(text, 1, word, to);
        column += (int)word + (column > 0);
        text += word + strspn(text + word, " \n");
    }
    fputc('\n', to);
}

static void print_example(FILE *to, const char *example)
{
    if (*example) fprintf(to, "\n    %s\n", example);
}

static void print_op(FILE *to, const OpDef *def)
{
    fprintf(to, "\n### %s\n\n    %s(%s)\n\n", def->name, def->name, def->signature);
    print_text(to, def->doc);
    fprintf(to, "\n%s%s%s", takes(def), *takes(def) ? " " : "", gradient(def));
    print_errors(to, def);
    print_example(to, def->example);
}

static void print_native(FILE *to, const NativeDef *def)
{
    fprintf(to, "\n### %s\n\n    %s(%s)\n\n", def->name, def->name, def->signature);
    print_text(to, def->doc);
    print_example(to, def->example);
}

/* ---- library functions: their help, as ?name shows it ---- */

static void print_library(FILE *to, Session *session, const EmbeddedName *name)
{
    char full[160];
    bool prelude = strcmp(name->module, "prelude") == 0;
    snprintf(full, sizeof full, "%s%s%s", prelude ? "" : name->module, prelude ? "" : ".", name->name);
    char *help = session_inspect(session, full, strlen(full), strlen(full));
    if (!help) return;
    char *doc = strchr(help, '\n'), *usage = help;
    if (doc) *doc++ = '\0';
    if (!prelude && strstr(usage, ": ")) usage = strstr(usage, ": ") + 2;
    fprintf(to, "\n### %s\n\n    %s\n\n", full, usage);
    char *example = doc ? strstr(doc, "\n    ") : NULL;
    if (example) *example++ = '\0';
    if (doc) print_text(to, doc);
    if (example) fprintf(to, "\n%s\n", example);
    free(help);
}

static bool in_file(const EmbeddedName *name, int file) { return name->file == file && name->name[0] != '_'; }

/* "# What a file is about." below its licence line */
static void print_about(FILE *to, const char *text)
{
    const char *line = strchr(text, '\n');
    if (!line || strncmp(line + 1, "# ", 2) != 0) return;
    fputc('\n', to);
    fprintf(to, "%.*s\n", (int)strcspn(line + 3, "\n"), line + 3);
}

static void print_file(FILE *to, Session *session, int file)
{
    const char *path = embedded_files[file].path;
    int count = 0;
    for (int i = 0; i < embedded_name_count; i++) count += in_file(&embedded_names[i], file);
    if (count == 0) return;
    fprintf(to, "\n## %s\n", path);
    print_about(to, (const char *)embedded_files[file].text);
    for (int i = 0; i < embedded_name_count; i++)
        if (in_file(&embedded_names[i], file)) print_library(to, session, &embedded_names[i]);
}

/* ---- the whole ---- */

static void anchor(const char *title, char *to)
{
    for (; *title; title++)
        if (!strchr(",./", *title)) *to++ = (char)(*title == ' ' ? '-' : tolower((unsigned char)*title));
    *to = '\0';
}

static void print_contents(FILE *to)
{
    for (int i = 0; i < ROWS; i++) {
        char link[128];
        if (rows[i].topic) {
            anchor(rows[i].topic, link);
            fprintf(to, "%s- [%s](#%s):", i ? "\n" : "", rows[i].topic, link);
        } else {
            fprintf(to, " [%s](#%s)", op_name(op_def(rows[i].op)), op_name(op_def(rows[i].op)));
        }
    }
    fputs("\n- [Builtins](#builtins):", to);
    for (int i = 0; i < native_count; i++)
        if (native_defs[i].name[0] != '_') fprintf(to, " %s", native_defs[i].name);
    fputc('\n', to);
    for (int file = 0; file < embedded_file_count; file++) {
        int count = 0;
        for (int i = 0; i < embedded_name_count; i++)
            if (in_file(&embedded_names[i], file)) {
                char link[256];
                anchor(embedded_files[file].path, link);
                if (count++ == 0) fprintf(to, "- [%s](#%s):", embedded_files[file].path, link);
                bool prelude = strcmp(embedded_names[i].module, "prelude") == 0;
                fprintf(to, " %s%s%s", prelude ? "" : embedded_names[i].module, prelude ? "" : ".", embedded_names[i].name);
            }
        if (count) fputc('\n', to);
    }
}

void manual_print(FILE *to, Session *session)
{
    fputs("# Ops and library functions\n\n"
          "Made by `make docs` from `tensor/ops.def`, `lang/builtins.def` and the `##` lines of the library: change those. The\n"
          "examples run as tests. `?name` at the prompt shows the same.\n\n"
          "Usage lists the parameters: `x` is a tensor (a number or a rectangular list stands for one), `axis:ints?` one int, a\n"
          "list of ints or none, `..shape:ints` all that follow, `=` a default. Elementwise ops of one argument keep its shape,\n"
          "those of two broadcast; axes count from the end when negative. Errors are the kinds of [errors/](errors).\n\n", to);
    print_contents(to);
    for (int i = 0; i < ROWS; i++)
        if (rows[i].topic) fprintf(to, "\n## %s\n", rows[i].topic);
        else print_op(to, op_def(rows[i].op));
    fputs("\n## Builtins\n", to);
    for (int i = 0; i < native_count; i++)
        if (native_defs[i].name[0] != '_') print_native(to, &native_defs[i]);
    for (int file = 0; file < embedded_file_count; file++) print_file(to, session, file);
}
