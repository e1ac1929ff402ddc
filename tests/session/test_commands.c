/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands of a session through lang.h, as the terminal and notebooks meet them: what they answer, wrong use, and
   inputs in which code and commands alternate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lang/lang.h"
#include "../tap.h"

static char printed[1 << 16];

static void output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    size_t used = strlen(printed), room = sizeof printed - 1 - used;
    memcpy(printed + used, text, length < room ? length : room);
    printed[used + (length < room ? length : room)] = 0;
}

static Session *open_session(void)
{
    SessionConfig config = {.output = output, .width = 80};
    return session_new(&config);
}

/* All that [code] shows: output, then the answer, then the error. */
static const char *shown(Session *session, const char *code)
{
    EvalResult result;
    printed[0] = 0;
    session_eval(session, "<in>", code, strlen(code), EVAL_INTERACTIVE, &result);
    if (result.text) output(NULL, OUTPUT_OUT, result.text, strlen(result.text));
    if (result.error) output(NULL, OUTPUT_ERR, result.error, strlen(result.error));
    if (result.status == EVAL_EXIT) output(NULL, OUTPUT_OUT, "[left]", 6);
    eval_result_clear(&result);
    return printed;
}

static void expect(Session *session, const char *code, const char *wanted)
{
    const char *got = shown(session, code);
    if (!tap_ok(strcmp(got, wanted) == 0, "%.*s", (int)strcspn(code, "\n"), code)) tap_note("wanted %s\ngot %s", wanted, got);
}

static void expect_part(Session *session, const char *code, const char *part)
{
    const char *got = shown(session, code);
    if (!tap_ok(strstr(got, part) != NULL, "%.*s: %.*s", (int)strcspn(code, "\n"), code, (int)strcspn(part, "\n"), part))
        tap_note("got %s", got);
}

static void test_pieces(void)
{
    Session *s = open_session();
    expect(s, "x = 3\n?x\nx + 1\ny = 2\ny", "x: int\n2");
    expect(s, "  x ?", "x: int");
    expect_part(s, "z = [1,\n?\n]", "syntax error: expected a value, found '?'");
    expect(s, "fn f(a:\n  int?\n) = a\nf(2)", "2");
    expect(s, "nope\n:reset", "name error: nope is not defined\n  <in>:1:1\n  1 | nope\n      ^^^^");
    expect(s, "x", "3");
    expect_part(s, "?x\n\nwrong", "x: int\nname error: wrong is not defined\n  <in>:3:1\n  3 | wrong\n      ^^^^^");
    expect(s, "?x\n:quit\ny = 5", "x: int\n[left]");
    expect(s, "y", "2");
    session_free(s);
}

static void test_use(void)
{
    Session *s = open_session();
    expect_part(s, ":help", ":doc name");
    expect_part(s, "?", ":doc name");
    expect(s, ":help quit", ":quit\nleaves, as exit() does");
    expect(s, ":help :quit", ":quit\nleaves, as exit() does");
    expect_part(s, ":help softmax", "softmax(x, axis:int=-1)");
    expect_part(s, ":doc softmax", "softmax(x, axis:int=-1)");
    expect_part(s, "softmax?", "softmax(x, axis:int=-1)");
    expect(s, ":doc", "argument error: :doc needs an argument\n  hint: :doc name: what a name is, the same as ?name");
    expect(s, "?xyzzy", "name error: nothing is known of xyzzy");
    expect(s, ":quit now", "argument error: :quit takes no argument\n  hint: :quit: leaves, as exit() does");
    expect(s, ":rest", "name error: there is no command :rest\n  hint: did you mean :reset? :help lists the commands");
    expect(s, ":qu", "name error: there is no command :qu\n  hint: did you mean :quit? :help lists the commands");
    expect(s, ":", "name error: there is no command :\n  hint: :help lists the commands");
    expect(s, ":q", "[left]");
    session_free(s);
}

static void test_reset(void)
{
    Session *s = open_session();
    expect(s, "x = ones(3)\nfn f() = 1\nmodel M() { a = 1 }\nm = M()", "");
    expect(s, ":reset", "");
    expect_part(s, "x", "name error: x is not defined");
    expect_part(s, "f()", "name error: f is not defined");
    expect(s, "relu(-1.)", "0.0");
    session_free(s);
}

static void test_complete(void)
{
    Session *s = open_session();
    int indent;
    tap_ok(session_is_complete(s, ":help", 5, &indent) == CODE_COMPLETE, "a command is complete");
    tap_ok(session_is_complete(s, ":nope {", 7, &indent) == CODE_COMPLETE, "an unknown command is complete");
    tap_ok(session_is_complete(s, "f?", 2, &indent) == CODE_COMPLETE, "a question is complete");
    tap_ok(session_is_complete(s, "?f\nif x {", 9, &indent) == CODE_INCOMPLETE && indent == 4, "code behind a command is not");
    session_free(s);
}

int main(void)
{
    test_pieces();
    test_use();
    test_reset();
    test_complete();
    tap_ok(session_live_objects() == 0, "nothing is alive after the last session (%lld)", session_live_objects());
    return tap_end();
}
