/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The renderer of errors, to the character: operands, carets under tabs and wide text, hidden library frames, folded
   recursion, several syntax errors, and widths. */
#include <stdlib.h>
#include <string.h>

#include "../../lang/diagnose.h"
#include "../tap.h"

static void check(const char *name, char *got, const char *want)
{
    bool fine = got && strcmp(got, want) == 0;
    if (!tap_ok(fine, "%s", name)) tap_note("want\n%s\n# got\n%s", want, got ? got : "nothing");
    free(got);
}

static Span span_of(const Source *source, const char *piece)
{
    const char *at = strstr(source->text, piece);
    uint32_t start = at ? (uint32_t)(at - source->text) : 0;
    return (Span){start, start + (uint32_t)strlen(piece)};
}

static Source *source_of(const char *name, const char *text, bool library)
{
    return source_new(name, text, strlen(text), library);
}

static void test_operands(void)
{
    Source *user = source_of("train.tsr", "a\nb\n    logits = h @ w2\nforward(x)", false);
    Source *library = source_of("nn/linear.tsr", "x @ w", true);
    Trace *trace = NULL;
    trace_add(&trace, library, span_of(library, "x @ w"), "Linear.forward");
    trace_add(&trace, user, span_of(user, "h @ w2"), "forward");
    trace_add(&trace, user, span_of(user, "forward(x)"), NULL);
    ErrorOperand operands[2] = {{0, "f32[32, 784]"}, {1, "f32[128, 10]"}};
    const char names[2][32] = {"h", ""};
    Diagnostic d = {.title = "shape error", .op = "matmul", .message = "inner sizes differ, 784 and 128", .n_operands = 2,
                    .operand = operands, .operand_name = names, .trace = trace, .hint = "transpose one"};
    check("operands, user frames, hint", diagnose(&d, NULL),
          "shape error: matmul: inner sizes differ, 784 and 128\n"
          "  h : f32[32, 784]     argument 2 : f32[128, 10]\n"
          "  train.tsr:3:14  in forward\n"
          "  3 |     logits = h @ w2\n"
          "                   ^^^^^^\n"
          "  train.tsr:4:1\n"
          "  4 | forward(x)\n"
          "      ^^^^^^^^^^\n"
          "  hint: transpose one");
    DiagnoseOptions all = {.library = true};
    char *text = diagnose(&d, &all);
    tap_ok(text && strstr(text, "nn/linear.tsr:1:1  in Linear.forward\n"), "library frames on request");
    free(text);
    DiagnoseOptions color = {.color = true};
    text = diagnose(&d, &color);
    tap_ok(text && strncmp(text, "\033[1;31mshape error\033[0m: matmul: \033[1m", 36) == 0, "colour on request");
    free(text);
    trace_free(trace);
    trace = NULL;
    trace_add(&trace, library, span_of(library, "x"), NULL);
    Diagnostic bare = {.title = "interrupted", .message = "interrupted", .trace = trace};
    check("library frames when there are no others", diagnose(&bare, NULL),
          "interrupted\n  nn/linear.tsr:1:1\n  1 | x @ w\n      ^");
    trace_free(trace);
    source_release(user);
    source_release(library);
}

static void test_columns(void)
{
    Source *source = source_of("w", "\tx\t= 日本e\xCC\x81 + q \x1b[1m\xFF", false);
    Trace *trace = NULL;
    trace_add(&trace, source, span_of(source, "日本e\xCC\x81"), NULL);
    Diagnostic d = {.title = "error", .message = "m", .trace = trace};
    check("tabs, wide and combining characters, controls", diagnose(&d, NULL),
          "error: m\n  w:1:6\n  1 |         x       = 日本e\xCC\x81 + q \xEF\xBF\xBD[1m\xEF\xBF\xBD\n"
          "                        ^^^^^");
    trace_free(trace);
    source_release(source);
    tap_ok(text_columns("a\tb", 3, 0) == 9 && text_columns("日", 3, 0) == 2 && text_columns("e\xCC\x81", 3, 0) == 1,
           "columns of texts");
    char line[2000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = 0;
    memcpy(line + 1500, " + y", 4);
    source = source_of("w", line, false);
    trace = NULL;
    trace_add(&trace, source, span_of(source, "+ y"), NULL);
    d.trace = trace;
    char *text = diagnose(&d, NULL);
    const char *caret = text ? strrchr(text, '\n') : NULL;
    tap_ok(caret && strlen(text) < 400 && strstr(caret, "^^^") && strstr(text, "+ y"), "a long line is shown around its carets");
    free(text);
    trace_free(trace);
    source_release(source);
}

static void test_recursion(void)
{
    Source *source = source_of("r.tsr", "fn f(x) = g(x)\nfn g(x) = f(x)\nf(1)", false);
    Trace *trace = NULL;
    for (int i = 0; i < 1000; i++) {
        trace_add(&trace, source, span_of(source, "g(x)\n"), "f");
        trace_add(&trace, source, (Span){25, 29}, "g");
    }
    trace_add(&trace, source, (Span){30, 34}, NULL);
    Diagnostic d = {.title = "recursion too deep", .message = "2000 calls are open", .trace = trace};
    check("recursion is folded", diagnose(&d, NULL),
          "recursion too deep: 2000 calls are open\n"
          "  r.tsr:1:11  in f\n  1 | fn f(x) = g(x)\n                ^^^^\n"
          "  r.tsr:2:11  in g\n  2 | fn g(x) = f(x)\n                ^^^^\n"
          "  … the same calls, 999 times more\n"
          "  r.tsr:3:1\n  3 | f(1)\n      ^^^^");
    tap_ok(trace->count <= TRACE_MAX && trace->left_out == 2001 - trace->count, "long traces keep their ends");
    trace_free(trace);
    source_release(source);
}

static void test_syntax(void)
{
    Source *source = source_of("s.tsr", "x = )\nif a {\n\n", false);
    Parse *parse = parse_source(source, false);
    check("syntax errors", diagnose_syntax(parse, NULL),
          "syntax error: expected a value, found ')'\n  s.tsr:1:5\n  1 | x = )\n          ^\n\n"
          "syntax error: this { is not closed\n  s.tsr:2:6\n  2 | if a {\n           ^");
    parse_free(parse);
    source_release(source);
    source = source_of("s.tsr", "x = 1 +\n\n", false);
    parse = parse_source(source, false);
    check("an error at the end", diagnose_syntax(parse, NULL),
          "syntax error: expected a value, but the text ends here\n  s.tsr:1:8\n  1 | x = 1 +\n             ^");
    parse_free(parse);
    source_release(source);
}

int main(void)
{
    test_operands();
    test_columns();
    test_recursion();
    test_syntax();
    return tap_end();
}
