/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A second text in the midst of a first: what is each one's own, what is shared, interrupts, exit(), and that nothing the
   second does to variables, functions, models and streams hurts the first. The first asks for the visit by printing
   "go", so every case is the same in every run; the last ones ask from another thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lang/lang.h"
#include "../tap.h"

enum { MOST = 2048 };

typedef struct Visitor {
    Session *session;
    const char *inner;        /* what is run */
    int visits, most;         /* so far, and at most */
    bool interrupt;           /* raised when the visit begins */
    EvalStatus status;
    char shown[MOST];         /* echo or [kind] of the last one */
} Visitor;

static const char *shown_of(const EvalResult *result, char shown[MOST])
{
    if (result->status == EVAL_OK) snprintf(shown, MOST, "%s", result->text ? result->text : "");
    else if (result->status == EVAL_EXIT) snprintf(shown, MOST, "[exit %d]", result->exit_code);
    else snprintf(shown, MOST, "[%s]", result->error_kind ? result->error_kind : "?");
    return shown;
}

static void on_visit(void *user)
{
    Visitor *visitor = user;
    EvalResult result;
    if (visitor->visits == visitor->most) return;
    visitor->visits++;
    if (visitor->interrupt) session_interrupt(visitor->session);
    const char *inner = visitor->inner;
    visitor->status = session_eval(visitor->session, "<inner>", inner, strlen(inner), EVAL_INTERACTIVE, &result);
    shown_of(&result, visitor->shown);
    eval_result_clear(&result);
}

static void on_output(void *user, OutputStream stream, const char *text, size_t length)
{
    Visitor *visitor = user;
    if (length >= 2 && strncmp(text, "go", 2) == 0) session_request_visit(visitor->session);
    (void)stream;
}

static char *on_input(void *user, const char *prompt, bool secret)
{
    Visitor *visitor = user;
    (void)prompt;
    (void)secret;
    if (session_may_visit(visitor->session)) on_visit(user);
    return strdup("typed");
}

static Session *open_visited(Visitor *visitor)
{
    SessionConfig config = {.user = visitor, .output = on_output, .visit = on_visit, .input = on_input, .width = 80};
    *visitor = (Visitor){.most = 1};
    return visitor->session = session_new(&config);
}

static const char *eval(Session *session, const char *code)
{
    static char shown[MOST];
    EvalResult result;
    session_eval(session, "<outer>", code, strlen(code), EVAL_INTERACTIVE, &result);
    shown_of(&result, shown);
    eval_result_clear(&result);
    return shown;
}

static void is(const char *got, const char *wanted, const char *what)
{
    if (!tap_ok(strcmp(got, wanted) == 0, "%s", what)) tap_note("wanted %s, got %s", wanted, got);
}

/* In a new session after [before]: the first text with the second in its midst. */
static void nested(const char *before, const char *outer, const char *wanted, const char *inner, const char *inner_wanted)
{
    Visitor visitor;
    Session *session = open_visited(&visitor);
    eval(session, before);
    visitor.visits = 0;
    visitor.inner = inner;
    const char *got = eval(session, outer);
    bool right = strcmp(got, wanted) == 0 && strcmp(visitor.shown, inner_wanted) == 0 && visitor.visits == 1;
    if (!tap_ok(right, "%.*s  <-  %.*s", (int)strcspn(outer, "\n"), outer, (int)strcspn(inner, "\n"), inner))
        tap_note("wanted %s and %s, got %s and %s in %d visits", wanted, inner_wanted, got, visitor.shown, visitor.visits);
    session_free(session);
}

/* ---- what is each one's own ---- */

static void test_own(void)
{
    nested("", "x = 1; print(\"go\"); x + 1", "2", "1 + 2", "3");
    nested("5", "print(\"go\"); _ * 2", "10", "7", "7");
    nested("", "print(\"go\"); 3", "3", "nope", "[name]");
    nested("", "print(\"go\"); 3", "3", "1 +* 2", "[syntax]");
    nested("", "print(\"go\"); 3", "3", "fn deep(n) = deep(n + 1) + 1\ndeep(0)", "[recursion]");
    nested("", "try { assert 1 == 2, \"mine\" } catch e { print(\"go\"); e.message }", "\"mine\"", "throw \"other\"", "[thrown]");
    nested("", "try { assert 1 == 2, \"mine\" } finally { print(\"go\"); y = 1 }", "[assertion]", "throw \"other\"",
           "[thrown]");
    nested("", "fn f() { print(\"go\"); nope() }\nf()", "[name]", "1", "1");
    nested("", "sleep(0.05); print(\"go\"); sleep(0.05); 4", "4", "sleep(0.01); 5", "5");
    nested("", "input(\"?\")", "\"typed\"", "6 * 7", "42");
    nested("model M() { fn forward(x) { print(\"go\"); (x, training()) } }", "m = M(); train(m); m(1)", "(1, true)",
           "training()", "false");
    nested("", "f = grad(x -> x ^ 3); print(\"go\"); f(2.0)", "12.0", "grad(x -> x ^ 2)(5.0)", "10.0");
    nested("", "seed(1); a = rand(); print(\"go\"); b = rand(); seed(1); c = rand(3); same(b, c[1])", "false", "rand(); 1",
           "1");
    nested("", "seed(3); print(\"go\"); seed(5); a = rand(); seed(5); same(a, rand())", "true", "seed(9); 1", "1");
}

/* The profile of one does not see the ops of the other. */
static void test_watch(void)
{
    Visitor visitor;
    Session *session = open_visited(&visitor);
    visitor.inner = "svd(ones(3, 3));";
    const char *got = eval(session, ":prof print(\"go\"); sum(rand(10))");
    tap_ok(visitor.visits == 1 && strstr(got, "sum") && !strstr(got, "svd"), "a profile sees its own ops");
    visitor.visits = 0;
    visitor.inner = ":prof sum(ones(3))";
    got = eval(session, ":prof print(\"go\"); sort(rand(10)); sort(rand(10))");
    tap_ok(visitor.visits == 1 && strstr(visitor.shown, "sum") && !strstr(visitor.shown, "sort") && strstr(got, "sort"),
           "two profiles, one within the other");
    session_free(session);
}

/* ---- what is shared, and that it is safe ---- */

static void test_shared(void)
{
    nested("x = 1", "print(\"go\"); x", "9", "x = 9", "");
    nested("xs = [1, 2, 3]", "for x in xs { if x == 1 { print(\"go\") }; last = x }\n(last, len(xs))", "(3, 1)",
           "xs = [7]; xs", "[7]");
    nested("xs = [1, 2, 3]", "s = 0; for x in xs { if x == 1 { print(\"go\") }; s += x }\n(s, xs)", "(6, [50, 2, 3])",
           "xs[0] = 50; xs ++= [4]; xs = xs[:3]; len(xs)", "3");
    nested("m = {a: 1, b: 2}", "s = 0; for k in m { if k == \"a\" { print(\"go\") }; s += 1 }\n(s, len(m))", "(2, 100)",
           "for i in 0..98 { m[i] = i }\nlen(m)", "100");
    nested("t = ones(3)", "u = t; print(\"go\"); sum(u)", "3.0", "t[0] = 100.; sum(t)", "102.0");
    nested("t = ones(1000)\nfn go() { print(\"go\"); 1.0 }", "sum((t + 1) * 2 + go() - t)", "-2000.0", "t[:] = 7.; sum(t)", "7000.0");
    nested("fn f(n) { if n == 0 { print(\"go\"); 0 } else { f(n - 1) + 1 } }", "f(3)", "3", "fn f(n) = 100\nf(1)", "100");
    nested("fn f(n) { print(\"go\"); n + g(n) }\nfn g(n) = n", "f(3)", "103", "fn g(n) = 100\ng(1)", "100");
    nested("model M(a) { w = [a, a]; fn forward(x) { print(\"go\"); x + w[0] } }\nm = M(2)", "m(1)", "3",
           "model M(a) { v = a; fn forward(x) = 100 }\nm = M(5); m(1)", "100");
    nested("model M(a) { w = [a]; fn forward(x) { print(\"go\"); x + w[0] } }\nm = M(2)", "m(1)", "8", "m.w = [7]; m.w[0]",
           "7");
    nested("", "s = map(stream([1, 2, 3]), x -> { if x == 2 { print(\"go\") }; x * 2 })\nt = 0; for x in s { t += x }\nt",
           "12", "next(s)", "[value]");
    nested("", "sort([3, 1, 2], key=x -> { if x == 1 { print(\"go\") }; x })", "[1, 2, 3]", "1", "1");
    nested("x = 1", "print(\"go\"); x", "[name]", ":reset\n2", "2");
    nested("x = 1", "y = 2; fn f() { print(\"go\"); y }\nf()", "[name]", ":reset\n2", "2");
    nested("", "for i in progress(0..3) { if i == 1 { print(\"go\") } }\n1", "1", "for i in progress(0..2) { i }\n2", "2");
    nested("p = progress(0..3)", "for i in p { if i == 1 { print(\"go\") } }\n1", "1",
           "p = none; q = progress(0..5); next(q); 3", "3");
    nested("", "print(\"go\"); nn.Linear(2, 3); 1", "1", "nn.Linear(2, 3); 2", "2");
    nested("m = nn.Linear(2, 2); o = optim.SGD(m, lr=0.1)",
           "fn f() { print(\"go\"); sum(m(ones(1, 2)) * 0.0) }\no.step(f); m(ones(1, 3)).shape", "[1, 3]",
           "m = nn.Linear(3, 3); 2", "2");
}

/* Within gradient calls nobody looks; whoever calls session_eval there all the same, such as a debugger, hurts nothing. */
static void test_gradients(void)
{
    nested("m = nn.Linear(2, 2)", "grad(w -> { print(\"go\"); sum(w * 2) })(ones(3)); 1", "1", "sum(m(ones(1, 2)) * 0.0)",
           "0.0");
    nested("xs = []", "g = grad(w -> { xs; print(\"go\"); sum(w * 2) })(ones(3)); (g[0], xs)", "(2.0, [1])",
           "xs = [1]; xs[0]", "1");
    nested("m = nn.Linear(2, 2); o = optim.SGD(m, lr=0.1)",
           "o.step(() -> { no_grad(() -> { print(\"go\"); 1 }); mean(m(ones(1, 2)) ^ 2) }); \"stepped\"", "\"stepped\"",
           "training()", "false");
    nested("", "autocast(bf16, () -> { print(\"go\"); x = ones(1, 300); (x @ x.T).shape })", "[1, 1]",
           "y = ones(1, 2) * 1.001; (y @ y.T)[0, 0] == 1.001 * 2.002 or abs((y @ y.T)[0, 0] - 2.004002) < 0.00001", "true");
}

static void test_exit(void)
{
    nested("", "x = 1; print(\"go\"); x + 1", "2", "exit(3)", "[exit 3]");
    nested("", "try { print(\"go\"); exit(2) } finally { y = 1 }", "[exit 2]", "exit(3)", "[exit 3]");
    nested("", "try { exit(2) } finally { print(\"go\"); y = 1 }", "[exit 2]", "1", "1");
}

static void test_interrupt(void)
{
    Visitor visitor;
    Session *session = open_visited(&visitor);
    visitor.inner = "while true { 1 }";
    visitor.interrupt = true;
    is(eval(session, "print(\"go\"); 0; sum = 0\nfor i in 0..10 { sum += i }\nsum"), "45", "an interrupt ends the innermost");
    tap_ok(visitor.status == EVAL_INTERRUPTED, "which says so");
    visitor.visits = 0;
    visitor.interrupt = false;
    visitor.inner = "1";
    is(eval(session, "print(\"go\"); 0; 5"), "5", "and the session goes on");
    session_free(session);
}

/* A visit that visits: as deep as there is room. */
static void test_deep(void)
{
    Visitor visitor;
    Session *session = open_visited(&visitor);
    eval(session, "n = 0; most = 0");
    visitor.most = 1000;
    visitor.inner = "n += 1; most = n; print(\"go\"); 0; n -= 1; most";
    is(eval(session, "print(\"go\"); 0; n"), "0", "visits within visits all end");
    tap_ok(visitor.visits > 20 && visitor.visits < 1000, "as many as there is room for: %d", visitor.visits);
    is(eval(session, "most == n"), "false", "and all have run");
    session_free(session);
}

static void test_records(void)
{
    Visitor visitor;
    Session *session = open_visited(&visitor);
    visitor.inner = "print(\"inner\")";
    eval(session, "print(\"one\"); print(\"go\"); print(\"two\")");
    char path[] = "/tmp/tessera-visit-XXXXXX.ipynb", code[128];
    int file = mkstemps(path, 6);
    close(file);
    remove(path);
    snprintf(code, sizeof code, ":save %s", path);
    eval(session, code);
    static char text[8192];
    FILE *in = fopen(path, "r");
    size_t length = in ? fread(text, 1, sizeof text - 1, in) : 0;
    text[length] = 0;
    const char *one = strstr(text, "one\\n"), *two = strstr(text, "two\\n"), *inner = strstr(text, "inner\\n");
    tap_ok(one && two && inner && one < two && two < inner, "each input is saved with its own output");
    if (in) fclose(in);
    remove(path);
    session_free(session);
}

/* ---- asked for by another thread ---- */

static void *ask(void *arg)
{
    Visitor *visitor = arg;
    for (int i = 0; i < 50; i++) {
        nanosleep(&(struct timespec){0, 2 * 1000 * 1000}, NULL);
        session_request_visit(visitor->session);
    }
    nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    session_interrupt(visitor->session);
    return NULL;
}

static void asked(const char *before, const char *outer, const char *inner, const char *check, const char *wanted)
{
    Visitor visitor;
    pthread_t thread;
    Session *session = open_visited(&visitor);
    eval(session, before);
    visitor.inner = inner;
    visitor.most = 1000;
    pthread_create(&thread, NULL, ask, &visitor);
    const char *got = eval(session, outer);
    pthread_join(thread, NULL);
    bool stopped = strcmp(got, "[interrupt]") == 0;
    got = eval(session, check);
    if (!tap_ok(stopped && visitor.visits > 0 && visitor.status == EVAL_OK && strcmp(got, wanted) == 0, "while %s", outer))
        tap_note("%d visits, the last gave %s; then %s", visitor.visits, visitor.shown, got);
    session_free(session);
}

static void test_threads(void)
{
    asked("x = [1, 2, 3]; n = 0", "while true { s = 0; for i in x { s += i } }", "x = [n, n]; n += 1; len(x)", "len(x)", "2");
    asked("x = rand(100, 100); n = 0", "while true { y = x @ x; y[0, 0] = 1. }", "x[0, 0] = 2.; n += 1; x[0, 0]", "n > 0",
          "true");
    asked("n = 0", "while true { sleep(100) }", "n += 1; n", "n > 0", "true");
    asked("m = nn.Linear(4, 4); o = optim.AdamW(m, lr=0.01); x = rand(8, 4); n = 0",
          "while true { o.step(() -> mean(m(x) ^ 2)) }", "n += 1; m(x).shape", "m(x).shape", "[8, 4]");
    asked("m = nn.Linear(4, 4); x = rand(8, 4); n = 0", "while true { k = m; optim.SGD(k, lr=0.1).step(() -> mean(k(x) ^ 2)) }",
          "m = nn.Linear(4, 4); n += 1; 1", "m(x).shape", "[8, 4]");
    asked("fn f(n) = if n < 2 { n } else { f(n - 1) + f(n - 2) }", "while true { f(18) }",
          "fn f(n) = if n < 2 { n } else { f(n - 1) + f(n - 2) }\nf(5)", "f(10)", "55");
    asked("n = 0", "for x in map(stream(0..10^12), x -> x + 1) { y = x }", "n += 1; n", "n > 0", "true");
    asked("n = 0", "while true { try { throw \"a\" } catch e { 1 } finally { z = 2 } }",
          "try { throw \"b\" } catch e { n += 1 }\nn", "z", "2");
}

int main(void)
{
    test_own();
    test_watch();
    test_shared();
    test_gradients();
    test_exit();
    test_interrupt();
    test_deep();
    test_records();
    test_threads();
    tap_ok(session_live_objects() == 0, "nothing outlives its session");
    return tap_end();
}
