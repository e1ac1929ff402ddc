/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger through lang.h: where it stops and why, steps, breakpoints with what they may carry, frames, values as
   trees, evaluating and assigning in frames, and that nothing is left behind when a run is ended in its midst. A case is
   a program, what is done at each stop (lines of a script), and the whole log of what was seen. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lang/lang.h"
#include "../tap.h"

enum { LOG_MOST = 1 << 17 };

typedef struct Bench {        /* what a session's callbacks write and read */
    Session *session;
    const char *script;       /* what is left of it */
    char log[LOG_MOST];
    int reference;            /* of the tree that "open" shows next */
    bool interrupts;          /* "loop" is interrupted from another thread */
} Bench;

__attribute__((format(printf, 2, 3))) static void note(Bench *bench, const char *format, ...)
{
    size_t used = strlen(bench->log);
    va_list list;
    va_start(list, format);
    vsnprintf(bench->log + used, sizeof bench->log - used, format, list);
    va_end(list);
}

static void on_output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)stream;
    note(user, "%.*s", (int)length, text);
}

/* ---- what a script can say ---- */

static void evaluate(Bench *bench, int frame, const char *text)
{
    EvalResult result;
    EvalStatus status = session_debug_evaluate(bench->session, frame, text, strlen(text), NULL, &result);
    if (status == EVAL_OK)
        note(bench, "= %s\n", result.text ? result.text : "");
    else if (status == EVAL_INTERRUPTED)
        note(bench, "interrupted\n");
    else
        note(bench, "! %s: %s\n", result.error_kind ? result.error_kind : "", result.error_message ? result.error_message : "");
    eval_result_clear(&result);
}

static void list(Bench *bench, const DebugVariables *variables)
{
    for (int i = 0; i < variables->count; i++) {
        const DebugVariable *v = &variables->at[i];
        note(bench, "%s%s=%s:%s%s", i ? " | " : "", v->name, v->value, v->type, v->reference ? "+" : "");
    }
    note(bench, "\n");
}

/* "scopes 0", "scope 0 Locals", "open NAME" of what was listed last, "page NAME from count" */
static void look(Bench *bench, const char *word, const char *rest)
{
    static DebugVariables last;
    DebugVariables found = {0};
    char name[64] = "";
    int frame = 0;
    long long from = 0, count = 0;
    bool fine = true;
    if (!strcmp(word, "scope") || !strcmp(word, "scopes")) {
        sscanf(rest, "%d %63s", &frame, name);
        fine = session_debug_scopes(bench->session, frame, &found);
    } else {
        sscanf(rest, "%63s %lld %lld", name, &from, &count);
        found = last;
        last = (DebugVariables){0};
    }
    for (int i = 0; *name && i < found.count; i++)
        if (!strcmp(found.at[i].name, name)) {
            int reference = found.at[i].reference;
            note(bench, "[%lld,%lld] ", found.at[i].named, found.at[i].indexed);
            debug_variables_clear(&found);
            fine = session_debug_variables(bench->session, reference, count ? DEBUG_INDEXED : DEBUG_ALL, from, count, &found);
            bench->reference = reference;
            break;
        }
    if (!fine)
        note(bench, "no such\n");
    else
        list(bench, &found);
    debug_variables_clear(&last);
    last = found;
    if (!strcmp(word, "page") || !strcmp(word, "last")) {      /* the last look: nothing is kept */
        debug_variables_clear(&last);
    }
}

static void frames(Bench *bench)
{
    for (int i = 0; i < session_debug_depth(bench->session); i++) {
        DebugFrame frame;
        session_debug_frame(bench->session, i, &frame);
        note(bench, "%s%s:%d%s", i ? " < " : "", frame.function ? frame.function : "lambda", frame.line,
             frame.library ? "(library)" : "");
    }
    note(bench, "\n");
}

static void *interrupt_soon(void *session)
{
    nanosleep(&(struct timespec){0, 30 * 1000 * 1000}, NULL);
    session_interrupt(session);
    return NULL;
}

static void loop(Bench *bench)
{
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt_soon, bench->session);
    evaluate(bench, 0, "while true {}");
    pthread_join(thread, NULL);
}

static void set(Bench *bench, const char *rest)
{
    char name[64], text[128];
    DebugVariables shown;
    EvalResult result = {0};
    if (sscanf(rest, "%63s %127[^\n]", name, text) != 2)
        return;
    session_debug_set(bench->session, bench->reference, name, text, strlen(text), &shown, &result);
    if (result.status == EVAL_OK)
        list(bench, &shown);
    else
        note(bench, "! %s\n", result.error_message);
    debug_variables_clear(&shown);
    eval_result_clear(&result);
}

static void copy(Bench *bench, const char *rest)
{
    char from[64], to[64];
    EvalResult result;
    if (sscanf(rest, "%63s %63s", from, to) != 2)
        return;
    session_debug_copy(bench->session, 0, from, to, &result);
    note(bench, "%s\n", result.status == EVAL_OK ? "copied" : result.error_message);
    eval_result_clear(&result);
}

static void breakpoint(Bench *bench, const char *rest)
{
    DebugBreakpoint at = {.line = atoi(rest)};
    bool set_ = session_debug_set_breakpoints(bench->session, "a.tsr", NULL, 0, at.line ? 1 : 0, &at);
    note(bench, "%s %d %s\n", set_ ? "set" : "not set", at.verified, at.message);
}

static bool act(Bench *bench, const char *line, DebugAction *action)
{
    static const struct { const char *word; DebugAction action; } actions[] = {
        {"in", DEBUG_STEP_IN}, {"over", DEBUG_STEP_OVER}, {"out", DEBUG_STEP_OUT}, {"go", DEBUG_CONTINUE},
        {"end", DEBUG_TERMINATE}};
    char word[32] = "";
    sscanf(line, "%31s", word);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(word, actions[i].word)) {
            *action = actions[i].action;
            return true;
        }
    const char *rest = line + strlen(word) + (line[strlen(word)] == ' ');
    if (*line == '?') evaluate(bench, line[1] >= '0' && line[1] <= '9' ? line[1] - '0' : 0, line + 2);
    else if (!strcmp(word, "frames")) frames(bench);
    else if (!strcmp(word, "loop")) loop(bench);
    else if (!strcmp(word, "set")) set(bench, rest);
    else if (!strcmp(word, "copy")) copy(bench, rest);
    else if (!strcmp(word, "break")) breakpoint(bench, rest);
    else if (!strcmp(word, "detach")) session_debug_attach(bench->session, false);
    else look(bench, word, rest);
    return false;
}

static DebugAction on_stop(void *user, const DebugStop *stop)
{
    static const char *const reasons[] = {"entry", "step", "breakpoint", "pause", "error"};
    Bench *bench = user;
    DebugFrame frame = {0};
    DebugAction action = DEBUG_CONTINUE;
    session_debug_frame(bench->session, 0, &frame);
    note(bench, "%s %s:%d", reasons[stop->reason], frame.function ? frame.function : "lambda", frame.line);
    for (int i = 0; i < stop->n_breakpoints; i++) note(bench, " #%d", stop->breakpoint[i]);
    if (stop->reason == DEBUG_AT_ERROR) note(bench, " %s%s", stop->error_kind, stop->caught ? " caught" : "");
    if (strchr(stop->description, ':') && stop->reason == DEBUG_AT_BREAKPOINT) note(bench, " (%s)", stop->description);
    note(bench, "\n");
    bool done = false;
    while (!done && *bench->script) {
        char line[256];
        size_t length = strcspn(bench->script, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, bench->script);
        bench->script += length + (bench->script[length] == '\n');
        done = act(bench, line, &action);
    }
    return action;
}

/* ---- cases ---- */

static Session *open_bench(Bench *bench)
{
    SessionConfig config = {.user = bench, .output = on_output, .stopped = on_stop, .width = 80};
    *bench = (Bench){.script = ""};
    return bench->session = session_new(&config);
}

static EvalStatus run(Bench *bench, const char *name, const char *code)
{
    EvalResult result;
    session_eval(bench->session, name, code, strlen(code), EVAL_INTERACTIVE, &result);
    EvalStatus status = result.status;
    if (result.text) note(bench, "%s\n", result.text);
    if (result.error) note(bench, "%s error\n", result.error_kind);
    eval_result_clear(&result);
    return status;
}

static void is(Bench *bench, const char *wanted, const char *what)
{
    if (!tap_ok(strcmp(bench->log, wanted) == 0, "%s", what)) tap_note("wanted\n%s\ngot\n%s", wanted, bench->log);
    bench->log[0] = 0;
}

/* Runs [code] as a.tsr from its first statement on, by the script. */
static void case_from_entry(const char *what, const char *code, const char *script, const char *wanted)
{
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    session_debug_stop_at_entry(s);
    bench.script = script;
    run(&bench, "a.tsr", code);
    is(&bench, wanted, what);
    session_free(s);
}

static void case_at_line(const char *what, const char *code, int line, const char *script, const char *wanted)
{
    Bench bench;
    Session *s = open_bench(&bench);
    DebugBreakpoint at = {.line = line};
    session_debug_attach(s, true);
    session_debug_set_breakpoints(s, "a.tsr", NULL, 0, 1, &at);
    bench.script = script;
    run(&bench, "a.tsr", code);
    is(&bench, wanted, what);
    session_free(s);
}

static const char calls[] =
    "fn g(a) {\n  b = a + 1\n  b * 2\n}\n"                              /* 1 - 4 */
    "fn f(x) {\n  total = 0\n  for i in 0..2 {\n"                       /* 5 - 7 */
    "    if i == 1 { total += g(i) } else { total += 1 }\n  }\n"        /* 8 - 9 */
    "  total\n}\n"                                                      /* 10 - 11 */
    "y = f(3)\nz = y\n";                                                /* 12 - 13 */

static void test_steps(void)
{
    case_from_entry("steps in: calls, loops, branches", calls, "in\nin\nin\nin\nin\nin\nin\nin\nin\nin\nin\nin\n",
                    "entry :12\nstep f:6\nstep f:7\nstep f:8\nstep f:8\nstep f:8\nstep f:8\nstep g:2\nstep g:3\n"
                    "step f:10\nstep :13\n");
    case_from_entry("steps over", calls, "over\nover\nover\n", "entry :12\nstep :13\n");
    case_at_line("steps over in a function, then out of it", calls, 6, "over\nover\nover\nover\nover\nover\nover\ngo\n",
                 "breakpoint f:6 #1\nstep f:7\nstep f:8\nstep f:8\nstep f:8\nstep f:8\nstep f:10\nstep :13\n");
    case_at_line("a step out goes to the statement after the call", calls, 2, "frames\nout\nframes\nout\n",
                 "breakpoint g:2 #1\ng:2 < f:8 < :12\nstep f:10\nf:10 < :12\nstep :13\n");
    case_at_line("recursion: over stays in its own call",
                 "fn fact(n) {\n  if n < 2 { return 1 }\n  m = fact(n - 1)\n  n * m\n}\nx = fact(3)\n", 3,
                 "break 0\nover\n?0n\nover\n?0x\n",
                 "breakpoint fact:3 #1\nset 0 \nstep fact:4\n= 3\n");
}

static void test_errors(void)
{
    static const char code[] = "fn f(x) {\n  try {\n    throw x\n  } catch e {\n    m = e.message\n  } finally {\n"
                               "    n = 2\n  }\n  m\n}\nf(\"bad\")\n";
    case_at_line("try, catch and finally", code, 3, "over\n?0e.message\nover\nover\n?0m\nover\n",
                 "breakpoint f:3 #1\nstep f:5\n= \"bad\"\nstep f:7\nstep f:9\n= \"bad\"\n\"bad\"\n");
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    session_debug_break_on_errors(s, DEBUG_ERRORS_UNCAUGHT);
    run(&bench, "a.tsr", code);
    is(&bench, "\"bad\"\n", "a caught error does not stop");
    session_debug_break_on_errors(s, DEBUG_ERRORS_ALL);
    bench.script = "frames\n?0x\n";
    run(&bench, "a.tsr", code);
    is(&bench, "error f:3 thrown caught\nf:3 < :11\n= \"bad\"\n\"bad\"\n", "where all errors stop it does");
    session_debug_break_on_errors(s, DEBUG_ERRORS_UNCAUGHT);
    bench.script = "?0a\n?0a = 5\n?0a\n?0nope\n";
    run(&bench, "a.tsr", "fn h(a) {\n  c = a * 2\n  ones(2, 3) @ ones(2, c)\n}\nh(4)\n");
    is(&bench, "error h:3 shape\n= 4\n= \n= 5\n! name: nope is not defined\nshape error\n",
       "the frame of an uncaught error can be looked at, and the error stays the same");
    bench.script = "over\nover\n?0k\n";
    run(&bench, "a.tsr", "fn h() = 1 + none\ntry { h() } finally {\n  k = 3\n  k += 1\n}\n");
    is(&bench, "error h:1 type\nstep :3\nstep :4\n= 3\ntype error\n", "a step from an error goes on in what handles it");
    bench.script = "end\n";
    tap_ok(run(&bench, "a.tsr", "throw 1") == EVAL_INTERRUPTED, "ended at an error");
    is(&bench, "error :1 thrown\ninterrupt error\n", "ended at an error: the log");
    session_debug_break_on_errors(s, DEBUG_ERRORS_NONE);
    run(&bench, "a.tsr", "throw 1");
    is(&bench, "thrown error\n", "errors pass when nobody asked for them");
    session_free(s);
}

static void test_places(void)
{
    case_at_line("in a comprehension over lines", "fn f(n) {\n  ys = [\n    i * n\n    for i in 0..3\n  ]\n  sum(ys)\n}\nf(10)\n",
                 3, "?0i\n?0n\ngo\n?0i\ngo\ngo\n",
                 "breakpoint f:3 #1\n= 0\n= 10\nbreakpoint f:3 #1\n= 1\nbreakpoint f:3 #1\n30\n");
    case_at_line("in a lambda of grad", "fn f(w) {\n  k = 3.0\n  g = grad(x -> {\n    y = x * k\n    y ^ 2\n  })\n  g(w)\n}\nf(2.0)\n",
                 5, "frames\n?0y\n?0k\n?0x\n?0k = 4.0\nover\n",
                 "breakpoint lambda:5 #1\nlambda:5 < f:7 < :9\n= f64[]  6\n= 3.0\n= f64[]  2\n"
                 "! name: k belongs to the function outside\n36.0\n");
    case_at_line("in the function of opt.step",
                 "net = nn.Linear(4, 1)\nopt = optim.SGD(net, lr=0.1)\nx = ones(2, 4)\n"
                 "loss = opt.step(() -> {\n  y = net(x)\n  mean(y ^ 2)\n})\nloss.ndim\n",
                 6, "?0shape(y)\n?0y = y * 2\nin\n",
                 "breakpoint lambda:6 #1\n= [2, 1]\n= \nstep :8\n0\n");
    case_at_line("in a stream's function", "s = stream([1, 2]) |> map(x -> {\n  y = x + 1\n  y\n})\nfor v in s {\n  print(v)\n}\n",
                 2, "?0x\nover\nover\n?0v\nbreak 0\ngo\n",
                 "breakpoint lambda:2 #1\n= 1\nstep lambda:3\nstep :6\n= 2\nset 0 \n2\n3\n");
    case_at_line("in a method and a constructor",
                 "model M(a) {\n  param w = ones(2) * a\n  n = 1\n  fn forward(x) {\n    y = w * x\n    self.n = 5\n    y\n  }\n}\n"
                 "m = M(3.0)\nm(2.0)\n",
                 5, "?0w\n?0n\n?0self.n = 7\n?0n\n?0n = 2\nscope 0 Fields\nset n 9\n?0n\ngo\n",
                 "breakpoint forward:5 #1\n= f32[2]  3  3\n= 1\n= \n= 7\n"
                 "! syntax: n is a field of this model, which only self.n can change\n"
                 "[2,0] w=[3, 3]:f32[2]+ | n=7:int\nn=9:int\n= 9\nf32[2]  6  6\n");
    case_at_line("in a constructor", "model M(a) {\n  n = a\n  k = n + 1\n}\nM(3).k\n", 3, "?0n\ngo\n",
                 "breakpoint M:3 #1\n= 3\n4\n");
}

static void test_tests(void)
{
    char path[] = "/tmp/debug-XXXXXX.tsr";
    Bench bench;
    Session *s = open_bench(&bench);
    EvalResult result;
    int file = mkstemps(path, 4);
    static const char code[] = "k = 4\ntest \"one\" {\n  a = k + 1\n  assert a == 5\n}\n";
    bool written = file >= 0 && write(file, code, sizeof code - 1) == (ssize_t)sizeof code - 1;
    if (file >= 0) close(file);
    session_debug_attach(s, true);
    DebugBreakpoint at = {.line = 4};
    tap_ok(written && session_debug_set_breakpoints(s, path, NULL, 0, 1, &at), "a file that is not read yet");
    bench.script = "?0a\ngo\n";
    extern void report(void *user, const char *name, const EvalResult *one);
    session_test_file(s, path, report, &bench, &result);
    is(&bench, "breakpoint one:4 #1\n= 5\none fine\n", "in a test's block");
    eval_result_clear(&result);
    session_free(s);
    unlink(path);
}

void report(void *user, const char *name, const EvalResult *one);
void report(void *user, const char *name, const EvalResult *one)
{
    note(user, "%s %s\n", name, one->status == EVAL_OK ? "fine" : "failed");
}

/* ---- what a breakpoint may carry ---- */

static void one_breakpoint(const char *what, DebugBreakpoint at, const char *script, const char *wanted)
{
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    session_debug_set_breakpoints(s, "a.tsr", NULL, 0, 1, &at);
    if (*at.message && !strstr(at.message, "not read yet")) note(&bench, "%s\n", at.message);
    bench.script = script;
    run(&bench, "a.tsr", "s = 0\nfor i in 0..6 {\n  s += i\n}\ns\n");
    is(&bench, wanted, what);
    session_free(s);
}

static void test_conditions(void)
{
    one_breakpoint("a condition", (DebugBreakpoint){.line = 3, .condition = "i == 4"}, "?0s\n",
                   "breakpoint :3 #1\n= 6\n15\n");
    one_breakpoint("a count", (DebugBreakpoint){.line = 3, .hit_condition = "5"}, "?0i\ngo\n?0i\n",
                   "breakpoint :3 #1\n= 4\nbreakpoint :3 #1\n= 5\n15\n");
    one_breakpoint("an exact count", (DebugBreakpoint){.line = 3, .hit_condition = "== 2"}, "?0i\n",
                   "breakpoint :3 #1\n= 1\n15\n");
    one_breakpoint("each third time", (DebugBreakpoint){.line = 3, .hit_condition = "% 3"}, "?0i\ngo\n?0i\n",
                   "breakpoint :3 #1\n= 2\nbreakpoint :3 #1\n= 5\n15\n");
    one_breakpoint("a count of what the condition lets through",
                   (DebugBreakpoint){.line = 3, .condition = "i > 1", .hit_condition = "==2"}, "?0i\n",
                   "breakpoint :3 #1\n= 3\n15\n");
    one_breakpoint("a message", (DebugBreakpoint){.line = 3, .condition = "i > 3", .log_message = "i is {i}, \"s\" {s:.1f}"}, "",
                   "i is 4, \"s\" 6.0\ni is 5, \"s\" 10.0\n15\n");
    one_breakpoint("a condition that is no expression", (DebugBreakpoint){.line = 3, .condition = "i =="}, "",
                   "the condition \"i ==\" is no expression: expected a value, but the text ends here\n15\n");
    one_breakpoint("an assignment is no condition", (DebugBreakpoint){.line = 3, .condition = "i = 3"}, "",
                   "the condition \"i = 3\" is no expression: write one that gives true or false\n15\n");
    one_breakpoint("a count that is none", (DebugBreakpoint){.line = 3, .hit_condition = "often"}, "",
                   "\"often\" is no count of hits: write 3, == 3, >= 3, > 3, < 3, <= 3 or % 3\n15\n");
    one_breakpoint("a condition that fails stops", (DebugBreakpoint){.line = 3, .condition = "nope > 1"}, "end\n",
                   "breakpoint :3 #1 (breakpoint 1: its condition failed: name error: nope is not defined)\ninterrupt error\n");
    one_breakpoint("a condition that gives no truth stops", (DebugBreakpoint){.line = 3, .condition = "[i]"}, "end\n",
                   "breakpoint :3 #1 (breakpoint 1: its condition failed: type error: "
                   "a condition must be one bool, got list of 1)\ninterrupt error\n");
}

static void test_lines(void)
{
    static const char text[] = "# one\nfn f(x) {\n  # two\n  x + 1\n}\n\ny = f(1)\n";
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    DebugBreakpoint at[] = {{.line = 1}, {.line = 3}, {.line = 6}, {.line = 8}};
    session_debug_set_breakpoints(s, "cell", text, sizeof text - 1, 4, at);
    tap_ok(at[0].verified == 4 && at[1].verified == 4 && at[2].verified == 7 && at[3].verified == 0,
           "lines of a text that is not run yet: %d %d %d %d", at[0].verified, at[1].verified, at[2].verified, at[3].verified);
    tap_ok(strcmp(at[3].message, "there is no statement at or after line 8") == 0, "%s", at[3].message);
    run(&bench, "cell", text);
    is(&bench, "breakpoint :7 #3\nbreakpoint f:4 #1 #2\n", "it stops where it was told");
    DebugBreakpoint again[] = {{.line = 6}, {.line = 7}};
    session_debug_set_breakpoints(s, "cell", NULL, 0, 2, again);
    tap_ok(again[0].id == at[2].id && again[1].id > at[3].id, "a line keeps its number");
    int count;
    const DebugPlace *place = session_debug_breakpoints(s, &count);
    tap_ok(count == 2 && !strcmp(place[0].source, "cell") && place[0].breakpoint->verified == 7, "they can be listed");
    DebugBreakpoint nowhere = {.line = 3};
    session_debug_set_breakpoints(s, "/nowhere/x.tsr", NULL, 0, 1, &nowhere);
    tap_ok(nowhere.verified == 0 && strcmp(nowhere.message, "/nowhere/x.tsr is not read yet") == 0, "%s", nowhere.message);
    session_debug_set_breakpoints(s, "cell", NULL, 0, 0, NULL);
    run(&bench, "other", "f(2)");
    is(&bench, "3\n", "none are left");
    const char *names[] = {"f", "later", "M.forward"};
    DebugBreakpoint functions[3] = {{0}};
    session_debug_set_functions(s, 3, names, functions);
    tap_ok(functions[0].verified == 4 && !functions[1].verified &&
               strcmp(functions[1].message, "no function later is known yet") == 0, "of functions: %s", functions[1].message);
    run(&bench, "other", "fn later() = f(3)\nmodel M { fn forward(x) = x }\nlater() + M()(1)");
    is(&bench, "breakpoint later:1 #8\nbreakpoint f:4 #7\nbreakpoint forward:2 #9\n5\n", "they stop in functions that come later");
    size_t length;
    const char *source = session_debug_source(s, "cell", &length);
    tap_ok(source && length == sizeof text - 1 && !memcmp(source, text, length), "a source can be read");
    tap_ok(session_debug_source(s, "nn/linear.tsr", &length) && !session_debug_source(s, "no such", &length),
           "so can the library's, and nothing else");
    session_free(s);
}

static void test_earlier_code(void)
{
    Bench bench;
    Session *s = open_bench(&bench);
    run(&bench, "a.tsr", "fn f(x) {\n  y = x + 1\n  z = y * 2\n  z\n}\nf(1)");
    session_debug_attach(s, true);
    DebugBreakpoint at = {.line = 4};
    session_debug_set_breakpoints(s, "a.tsr", NULL, 0, 1, &at);
    bench.script = "?0x + y\n?0fn f(x) = 100\n?0f(1)\n";
    run(&bench, "b", "f(3)\nf(3)");
    is(&bench, "4\nbreakpoint f:4 #1\n= 7\n= \n= 100\n100\n",
       "code from before the debugger stops, its variables are there, and it may be defined anew meanwhile");
    bench.script = "detach\n";
    run(&bench, "a.tsr", "fn f(x) {\n  y = x + 1\n  z = y * 2\n  z\n}\nf(1) + f(2)");
    is(&bench, "breakpoint f:4 #1\n10\n", "detached in the midst of a stop it goes on");
    tap_ok(!session_debug_attached(s), "then it is gone");
    session_free(s);
}

/* ---- values ---- */

static void test_trees(void)
{
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    const char *names[] = {"stop"};
    DebugBreakpoint at = {0};
    session_debug_set_functions(s, 1, names, &at);
    run(&bench, "a.tsr", "fn stop(xs, m, t, net) {\n  n = 1\n  n\n}\nbig = list(range(0, 1000000))\n;");
    bench.script = "scopes 0\nscope 0 Locals\nlast xs\n"
                   "scope 0 Locals\npage xs 999998 5\n"
                   "scope 0 Locals\nopen m\nset a 5\n?0m.a\nset list [9]\n?0m.list[0]\nopen list\nset 0 4\n?0m\n"
                   "scope 0 Locals\nlast t\nscope 0 Locals\npage t 1 1\n"
                   "scope 0 Locals\nopen net\nlast weight\n";
    run(&bench, "a.tsr", "stop(list(range(0, 3000)), {a: 1, list: [1, 2], \"two words\": none}, [[1.5, 2], [3, 4]] |> tensor, "
                         "nn.Linear(2, 1, bias=false))");
    const char *line = strstr(bench.log, "xs=");
    tap_ok(line && strstr(line, "xs=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …]:list of 3000+ | m={a: 1, list: [1, 2], "
                                "\"two words\": none}:map of 3+ | t=[[1.5, 2], [3, 4]]:f32[2, 2]+ | "
                                "net=Linear(weight: f32[1, 2], bias: none):Linear+\n"), "locals");
    tap_ok(strstr(bench.log, "[0,3000] 0..1000=1000:+ | 1000..2000=1000:+ | 2000..3000=1000:+\n"), "many come in groups");
    tap_ok(strstr(bench.log, "[0,3000] \n"), "a page behind the end is empty");
    tap_ok(strstr(bench.log, "[3,0] a=1:int | list=[1, 2]:list of 2+ | \"two words\"=none:none\n"), "a map");
    tap_ok(strstr(bench.log, "a=5:int\n= 5\nlist=[9]:list of 1+\n= 9\n"), "a map's entries are assigned");
    tap_ok(strstr(bench.log, "shape=(2, 2):tuple of 2+ | dtype=\"f32\":str | size=4:int | min=1.5:f32[] | max=4.0:f32[] | "
                             "mean=2.625:f32[] | 0=[1.5, 2]:f32[2]+ | 1=[3, 4]:f32[2]+\n"), "a tensor");
    tap_ok(strstr(bench.log, "[6,2] 1=[3, 4]:f32[2]+\n"), "a row of it");
    tap_ok(strstr(bench.log, "[2,0] weight=[["), "a model");
    bench.log[0] = 0;
    bench.script = "scope 0 Locals\npage xs 999998 5\n";
    run(&bench, "a.tsr", "stop(big, 0, 0, 0)");
    tap_ok(strstr(bench.log, "[0,1000000] 999998=999998:int | 999999=999999:int\n"), "a page of a million");
    bench.log[0] = 0;
    bench.script = "scope 0 Locals\nopen xs\nopen 999000..1000000\n";
    run(&bench, "a.tsr", "stop(big, 0, 0, 0)");
    tap_ok(strstr(bench.log, "999000=999000:int | 999001=999001:int"), "the last group of a million");
    DebugVariables globals;
    tap_ok(session_debug_globals(s, &globals) && globals.count == 2 && !strcmp(globals.at[0].name, "big") &&
               !strcmp(globals.at[1].name, "stop") && globals.at[1].kind == DEBUG_FUNCTION, "the session's variables, not stopped");
    debug_variables_clear(&globals);
    EvalResult result;
    DebugVariables value;
    session_debug_evaluate(s, -1, "big[3:5]", 8, &value, &result);
    tap_ok(result.status == EVAL_OK && !strcmp(result.text, "[3, 4]") && value.count == 1 && value.at[0].indexed == 2,
           "evaluated while nothing is stopped");
    debug_variables_clear(&value);
    eval_result_clear(&result);
    tap_ok(!session_debug_variables(s, 100000, DEBUG_ALL, 0, 0, &value) && !session_debug_scopes(s, 0, &value),
           "references and frames that are not there are refused");
    session_free(s);
}

static void test_assigning(void)
{
    case_at_line("frames' variables are read and assigned", calls, 2,
                 "?0a + 40\n?0a = 10\n?1total = 100\n?1i\n?2nope = 3\n?0nope\n?0b\nover\n?0b\ncopy b kept\ngo\n",
                 "breakpoint g:2 #1\n= 41\n= \n= \n= 1\n= \n= 3\n! name: b has no value here: it is assigned on another path only\n"
                 "step g:3\n= 11\ncopied\n");
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    const char *names[] = {"f"};
    DebugBreakpoint at = {0};
    session_debug_set_functions(s, 1, names, &at);
    run(&bench, "a.tsr", "fn f(xs) {\n  n = len(xs)\n  xs\n}\nall = [1, 2]\n;");
    bench.script = "?0xs ++= [3]\n?0xs[0] = 9\n?0all\n?0[x + 1 for x in xs]\n?0map(xs, x -> x + len(xs))\n?0xs = 5; nope()\n?0xs\n"
                   "?0throw 3\n?0(\n?0for i in 0..2 { xs += i }\n?0xs\nloop\n?0copy\ngo\n";
    run(&bench, "a.tsr", "f(all)\nall");
    is(&bench, "breakpoint f:2 #1\n= \n= \n= [1, 2]\n= [10, 3, 4]\n= [12, 5, 6]\n! name: nope is not defined\n= 5\n"
               "! thrown: 3\n! syntax: expected a value, but the text ends here\n= \n= 6\ninterrupted\n= fn copy(x)\ntype error\n",
       "values are values: what others hold stays; what was assigned before an error stays assigned");
    session_free(s);
}

/* ---- other threads, ends ---- */

static void *pause_soon(void *session)
{
    nanosleep(&(struct timespec){0, 30 * 1000 * 1000}, NULL);
    session_debug_pause(session);
    return NULL;
}

static void test_pause(void)
{
    Bench bench;
    pthread_t thread;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    bench.script = "?0i > 0\nloop\n?0i = -5\nover\ngo\n";
    pthread_create(&thread, NULL, pause_soon, s);
    tap_ok(run(&bench, "a.tsr", "i = 0\nwhile i >= 0 {\n  i += 1\n}\ni\n") == EVAL_OK, "a loop is paused and goes on");
    pthread_join(thread, NULL);
    is(&bench, "pause :3\n= true\ninterrupted\n= \nstep :5\n-4\n", "the log of the pause");
    session_free(s);
}

static void test_end(void)
{
    Bench bench;
    Session *s = open_bench(&bench);
    session_debug_attach(s, true);
    const char *names[] = {"f"};
    DebugBreakpoint at = {0};
    session_debug_set_functions(s, 1, names, &at);
    bench.script = "scope 0 Locals\nopen x\nend\n";
    EvalStatus status = run(&bench, "a.tsr", "fn f(x) {\n  y = [x, x]\n  y\n}\n"
                                             "try { map(stream([[1], [2]]), f) |> list } catch e { print(\"no\") } finally { print(\"left\") }\n");
    tap_ok(status == EVAL_INTERRUPTED, "ending interrupts what runs");
    is(&bench, "breakpoint f:2 #1\n[1,0] x=[1]:list of 1+\n[0,1] 0=1:int\nleft\ninterrupt error\n",
       "its finally blocks run, its catch blocks do not");
    bench.script = "?0exit(3)\ngo\n";
    tap_ok(run(&bench, "a.tsr", "f(1)") == EVAL_EXIT, "exit() while stopped leaves");
    bench.log[0] = 0;
    run(&bench, "b.tsr", "1 + 1");
    is(&bench, "2\n", "then all is as before");
    session_free(s);
}

static void test_depth(void)
{
    case_at_line("deep recursion", "fn f(n) {\n  if n == 0 {\n    return 0\n  }\n  1 + f(n - 1)\n}\nf(20000)\n", 3,
                 "?0n\n?9n\nout\n", "breakpoint f:3 #1\n= 0\n= 9\n20000\n");
    case_at_line("a library's frames are marked", "fn f(x) {\n  x + 1\n}\nnet = nn.Sequential(f)\nnet(1)\n", 2, "frames\nin\n",
                 "breakpoint f:2 #1\nf:2 < forward:7(library) < :5\n2\n");
}

int main(void)
{
    test_steps();
    test_errors();
    test_places();
    test_tests();
    test_conditions();
    test_lines();
    test_earlier_code();
    test_trees();
    test_assigning();
    test_pause();
    test_end();
    test_depth();
    tap_ok(session_live_objects() == 0, "nothing is alive after the last session (%lld)", session_live_objects());
    return tap_end();
}
