/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands of a session through lang.h, as the terminal and notebooks meet them: what they answer, wrong use, and
   inputs in which code and commands alternate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opened.h"

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
    expect(s, "x = 3\n?x\nx + 1\ny = 2\ny", "x: int = 3\n2");
    expect(s, "  x ?", "x: int = 3");
    expect_part(s, "z = [1,\n?\n]", "syntax error: expected a value, found '?'");
    expect(s, "fn f(a:\n  int?\n) = a\nf(2)", "2");
    expect(s, "nope\n:reset", "name error: nope is not defined\n  <in>:1:1\n  1 | nope\n      ^^^^");
    expect(s, "x", "3");
    expect_part(s, "?x\n\nwrong", "x: int = 3\nname error: wrong is not defined\n  <in>:3:1\n  3 | wrong\n      ^^^^^");
    expect(s, "?x\n:quit\ny = 5", "x: int = 3\n[left]");
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
    expect(s, "?xyzzy", "name error: nothing is known of xyzzy\n  hint: apropos(\"xyzzy\") searches all names and docs");
    expect(s, ":quit now", "argument error: :quit takes no argument\n  hint: :quit: leaves, as exit() does");
    expect(s, ":rest", "name error: there is no command :rest\n  hint: did you mean :reset? :help lists the commands");
    expect(s, ":qu", "name error: there is no command :qu\n  hint: did you mean :quit? :help lists the commands");
    expect(s, ":", "name error: there is no command :\n  hint: :help lists the commands");
    expect(s, ":q", "[left]");
    session_free(s);
}

static void expect_forms(Session *session, const char *text, bool source, const char *plain, const char *markdown,
                         const char *html)
{
    Display *page = session_describe(session, text, strlen(text), strlen(text), source);
    bool fine = page && page->count == 3 && !strcmp(page->form[0].data, plain) && !strcmp(page->form[1].data, markdown) &&
                !strcmp(page->form[2].data, html);
    if (!tap_ok(fine, "forms of %s", text) && page)
        tap_note("got %s\n----\n%s\n----\n%s", page->form[0].data, page->form[1].data, page->form[2].data);
    session_display_free(page);
}

static char paged[4096];

static void on_page(void *user, const Display *display)
{
    (void)user;
    snprintf(paged, sizeof paged, "%d %s", display->count, display->form[0].data);
}

static void test_inspect(void)
{
    Session *s = open_session();
    expect(s, "## Adds <two>.\n##\n##     add_up(1)  # 2\nfn add_up(a, b=1) = a + b\n"
              "model Box(n) {\n    size = n\n    ## Grows it.\n    fn grow(by) = size + by\n}\nbox = Box(2); x = f32([1, 2])", "");
    expect_forms(s, "add_up", true,
                 "add_up(a, b=1)\nAdds <two>.\n\n    add_up(1)  # 2\n\n<in>:4\n\n"
                 "## Adds <two>.\n##\n##     add_up(1)  # 2\nfn add_up(a, b=1) = a + b",
                 "```tessera\nadd_up(a, b=1)\n```\n\nAdds <two>.\n\n    add_up(1)  # 2\n\n*<in>:4*\n\n```tessera\n"
                 "## Adds <two>.\n##\n##     add_up(1)  # 2\nfn add_up(a, b=1) = a + b\n```",
                 "<pre><b>add_up(a, b=1)</b></pre><p>Adds &lt;two&gt;.\n\n</p><pre>add_up(1)  # 2\n</pre><p><i>&lt;in&gt;:4</i></p>"
                 "<pre>## Adds &lt;two&gt;.\n##\n##     add_up(1)  # 2\nfn add_up(a, b=1) = a + b</pre>");
    expect(s, "??box.grow", "grow(by)\nGrows it.\n\n<in>:8\n\n    ## Grows it.\n    fn grow(by) = size + by");
    expect(s, "?x", "x: f32[2] = 1  2\nmin 1  max 2  mean 1.5  std 0.5");
    expect_part(s, "big = eye(100)\n?big", "big: f32[100, 100]\n1  0");
    expect_part(s, "?big", "…\nmin 0  max 1  mean 0.01  std 0.0995");
    expect_part(s, "nans = f32([1, 0]) / 0\n?nans", "2 of 2 are nan or infinite");
    expect_part(s, "?box", "box: Box\nBox");
    expect_part(s, "??nn.Linear", "\n\n## x @ weight.T + bias");
    expect_part(s, "?nn.Linear", "\n\nnn/linear.tsr:");
    expect_part(s, "??relu", "built in: its source is not in the language");
    expect_part(s, ":source relu", "built in: its source is not in the language");
    char *call = session_inspect(s, "conv2d(x2, [w2], st_", 20, 20);
    tap_ok(call && !strncmp(call, "conv2d(", 7), "among the arguments of a call: the function");
    free(call);
    tap_ok(!session_inspect(s, "(str_", 5, 5) && !session_inspect(s, "", 0, 0), "nothing, where nothing is known");
    expect_part(s, "help(\"conv2d\")", "conv2d(x, weight, bias?");
    expect_part(s, "help(relu)", "relu(x)\n");
    expect_part(s, "help(add_up)", "Adds <two>.");
    expect_part(s, "help(3)", "type error: help: a name or a function was expected");
    expect_part(s, "help(\"xyzzy\")", "name error: help: nothing is known of xyzzy");
    expect_part(s, "apropos(\"softmax\")", "softmax                e^x divided by its sum");
    expect_part(s, "apropos(\"GROWTH of nothing\")", "nothing has \"GROWTH of nothing\" in its name or doc");
    expect_part(s, "apropos(\"adds <\")", "add_up  Adds <two>.\n");
    expect_part(s, "apropos(\"\")", "value error");
    session_free(s);
    SessionConfig config = {.output = output, .width = 80, .page = on_page};
    s = session_new(&config);
    expect(s, "?relu", "");
    tap_ok(!strncmp(paged, "3 relu(x)\n", 10), "a page goes to the pager where there is one");
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

static void test_time(void)
{
    Session *s = open_session();
    expect(s, "x = ones(64, 64); n = 0", "");
    expect_part(s, ":time x @ x", " median of ");
    expect_part(s, ":time x @ x", "1 tensor a run; at most ");
    expect_part(s, ":time n = n + 1", "0 tensors a run; at most 0 B");
    expect(s, "n > 100", "true");
    expect_part(s, ":time\nfor i in 0..3 {\n    i\n}\n?n\n", " median of ");
    expect_part(s, ":time\nfor i in 0..3 {\n    i\n}\n?n\n", "n: int = ");
    expect_part(s, ":time x @ wrong", "name error: wrong is not defined\n  <in>:1:11\n  1 |       x @ wrong\n                ^^^^^");
    expect(s, ":time 1 +", "syntax error: expected a value, but the text ends here\n  <in>:1:10\n  1 |       1 +\n               ^");
    expect_part(s, ":time", ":time needs an argument");
    expect_part(s, "x = ones(64, 64)\n:prof x @ x", " a run, mean of ");
    expect_part(s, ":prof x @ x", "  matmul");
    expect_part(s, ":prof x @ x", "        1   16.0 KB  <in>:1  x @ x");
    expect_part(s, ":prof y = grad(v -> {\n    sum(v @ v)\n})(x)", "        2   64.0 KB  <in>:2  sum(v @ v)");
    expect_part(s, ":prof grad(v -> sum(softmax(v)))(x)", "        1   32.0 KB  softmax");
    expect_part(s, ":prof grad(v -> sum(tanh(v)))(x)", "  fused tanh sum\n");
    expect_part(s, ":prof grad(v -> sum(v * x + v))(x)", "  fused mul add\n");
    expect(s, "y.shape", "[64, 64]");
    expect_part(s, ":prof x @ wrong", "name error: wrong is not defined");
    expect_part(s, ":prof x @ ones(3)", "inner sizes differ, 64 and 3");
    expect_part(s, ":prof", ":prof needs an argument");
    expect(s, "sum(x)", "4096.0");
    session_free(s);
}

static void test_shape(void)
{
    Session *s = open_session();
    expect(s, "net = nn.Linear(784, 10); x = ones(64, 784); seed(1); a = randn(2); seed(1)", "");
    expect(s, ":shape net(x)", "f32[64, 10]");
    expect(s, ":shape {y: net(x), rest: [x, 3, (x.T, \"s\")]}", "{y: f32[64, 10], rest: [f32[64, 784], int, (f32[784, 64], str)]}");
    expect(s, ":shape zeros(1000000, 1000000) @ zeros(1000000, 3)", "f32[1000000, 3]");
    expect(s, ":shape randn(2)", "f32[2]");
    expect(s, "same(a, randn(2))", "true");
    expect(s, "sum(x)", "50176.0");
    expect_part(s, ":shape x = 3", ":shape takes an expression");
    expect_part(s, ":shape (y = net(x))", "error");
    expect_part(s, ":shape net(x.T)", "shape error: linear: x has 64 inputs, weight takes 784");
    expect_part(s, ":shape nonzero(x)", "hint: this shape depends on values, which :shape does not compute");
    expect(s, "model Count() {\n    seen = none\n    fn forward(x) {\n        self.seen = x + 1\n        x\n    }\n}\nc = Count()", "");
    expect_part(s, ":shape c(x)", "seen is stored into here, and only shapes are being computed");
    expect(s, "c.seen", "");
    session_free(s);
}

static void test_graph(void)
{
    Session *s = open_session();
    expect(s, "x = ones(4, 3); w = ones(3, 2); y = zeros(4, 2); net = nn.Linear(3, 2)\nfn loss() = mean((net(x) - y)^2)", "");
    expect(s, ":graph sum(x @ w)", "sum  f32[]\nmatmul  f32[4, 2]\n  x : f32[4, 3]\n  w : f32[3, 2]");
    expect(s, ":graph exp(x) * exp(x)", "mul  f32[4, 3]\n  exp  f32[4, 3]\n  x : f32[4, 3]\n  exp  f32[4, 3]\n  x : f32[4, 3]");
    expect_part(s, ":graph loss()", "net.weight : f32[2, 3]");
    expect_part(s, ":graph --dot sum(x)", "digraph gradient {\n    rankdir = BT\n    node [shape = box]\n    n1 [label = \"sum\\nf32[]\"]\n    n2 -> n1\n    n2 [label = \"x\\nf32[4, 3]\", style = rounded]\n}");
    expect(s, "z = sum(x)", "");
    expect_part(s, ":graph z", "gradient error: the value depends on no float tensor or model in a variable");
    expect_part(s, ":graph x @ y", "shape error: matmul");
    expect(s, "grad(x -> sum(x))([1.])", "[1.0]");
    expect(s, "sum(net.weight) == sum(net.weight)", "true");
    expect_part(s, ":graph --dot", "error");
    session_free(s);
}

static void test_bytecode(void)
{
    Session *s = open_session();
    expect(s, "fn twice(a) = a * 2", "");
    expect(s, ":bytecode twice", "twice: 2 registers, 1 parameters\n    0  MUL_K            r1 r0 2\n    1  RETURN           r1!");
    expect_part(s, ":bytecode nn.Linear", "INIT_FIELD");
    expect_part(s, ":bytecode twice(3) + 1", "GET_CALLEE       r1 twice");
    expect_part(s, ":bytecode relu", "relu is built in: it has no bytecode");
    expect_part(s, ":bytecode nope", "name error: nope is not defined");
    expect_part(s, "x = 3\n:bytecode x", "x is no function, but int");
    session_free(s);
}

static void test_mem(void)
{
    Session *s = open_session();
    expect_part(s, ":mem", "of a budget of ");
    expect(s, "big = zeros(100, 100); view = big[:50]; net = nn.Linear(3, 2); n = 3", "");
    expect_part(s, ":mem", "big                 39.1 KB  f32[100, 100]\n");
    expect_part(s, ":mem", "view                    0 B  f32[50, 100]\n");
    expect_part(s, ":mem", "Linear, 2 tensors\n");
    expect_part(s, ":mem big", ":mem takes no argument");
    session_free(s);
}

static void test_failure(void)
{
    Session *s = open_session();
    expect(s, ":locals", "value error: no error has been kept: nothing has failed in this session");
    expect_part(s, ":trace", "no error has been kept");
    expect(s, "fn inner(h, w, k=3) { z = k + 1\n h2 = relu(h)\n h2 @ w }\n"
              "fn outer(xs) { scale = 0.5\n late = 1\n inner(xs, ones(8, 2)) * scale + late }", "");
    expect_part(s, "outer(ones(4, 3))", "shape error: matmul: inner sizes differ, 3 and 8");
    expect(s, ":locals", "frame 1 of 3: <in>:3:2  in inner\n  3 |  h2 @ w }\n  h   f32[4, 3]\n  w   f32[8, 2]\n  k   3\n  z   4\n"
                         "  h2  f32[4, 3]");
    expect(s, ":down", "value error: this is the innermost frame");
    expect(s, ":up", "frame 2 of 3: <in>:6:2  in outer\n  6 |  inner(xs, ones(8, 2)) * scale + late }");
    expect(s, ":locals", "frame 2 of 3: <in>:6:2  in outer\n  6 |  inner(xs, ones(8, 2)) * scale + late }\n  xs     f32[4, 3]\n"
                         "  scale  0.5\n  late   1");
    expect(s, ":locals scale", "0.5");
    expect(s, "_ * 2", "1.0");
    expect(s, ":locals nope", "name error: the frame has no variable nope with a value");
    expect_part(s, ":up", "frame 3 of 3: <in>:1:1");
    expect_part(s, ":locals", "its variables are the session's");
    expect(s, ":up", "value error: this is the outermost frame");
    expect(s, "try { outer(ones(2)) } catch e { 1 }", "1");
    expect_part(s, ":trace", "inner sizes differ, 3 and 8");
    expect_part(s, "nn.Linear(4, 2)(ones(3, 5))", "shape error: linear");
    expect_part(s, ":trace", "nn/linear.tsr:");
    expect_part(s, ":down", "in forward  (library)");
    expect_part(s, ":locals", "  self  Linear\n  x     f32[3, 5]");
    expect_part(s, "y = 3\nthrow [1, y]", "[1, 3]");
    expect_part(s, ":trace", "[1, 3]");
    expect_part(s, "fn deep(n) = deep(n + 1) + 1\ndeep(0)", "recursion too deep");
    expect_part(s, ":locals", "frame 1 of 40");
    expect_part(s, "fn each(a) { b = a * 2\n map([1, 2], x -> x @ b) }\neach(7)", "error");
    expect_part(s, ":locals", "in a lambda");
    expect_part(s, ":locals", "  b  14");
    expect(s, ":reset\n:locals", "value error: no error has been kept: nothing has failed in this session");
    EvalResult result;
    session_eval(s, "<script>", "fn f(a) = a @ a\nf(1)", 20, EVAL_SCRIPT, &result);
    eval_result_clear(&result);
    expect_part(s, ":locals", "no error has been kept");
    session_free(s);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (file && fputs(text, file) >= 0) fclose(file);
}

static const char *read_file(const char *path)
{
    static char text[16384];
    FILE *file = fopen(path, "r");
    size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[got] = 0;
    if (file) fclose(file);
    return text;
}

static void expect_file(const char *path, const char *wanted)
{
    const char *got = read_file(path);
    if (!tap_ok(!strcmp(got, wanted), "%s has what it should", path)) tap_note("wanted %s\ngot %s", wanted, got);
}

static bool in_folder(char *folder)
{
    return tap_ok(mkdtemp(folder) && chdir(folder) == 0, "a folder of our own");
}

static void test_load(void)
{
    char folder[] = "/tmp/tessera-commands-XXXXXX";
    Session *s = open_session();
    if (!in_folder(folder)) return;
    write_file("a.tsr", "loaded = 1\nfn twice(x) = 2 * x\n");
    write_file("m.tsr", "fn f() = _helper()\nfn _helper() = 1\nfn gone() = 1\nkept = 5\n");
    expect(s, ":load a.tsr", "");
    expect(s, "twice(loaded)", "2");
    expect(s, "use \"./m.tsr\" as m\nm.f()", "1");
    expect(s, "g = m.f; g()", "1");
    expect(s, ":reload", "no file has changed");
    write_file("m.tsr", "fn f() = _helper() + kept\nfn _helper() = 20\nkept = 6\n");
    expect(s, ":reload", "reloaded m.tsr");
    expect(s, "m.f()", "26");
    expect(s, "g()", "20");
    expect_part(s, "m.gone()", "error");
    write_file("a.tsr", "loaded = 10\n# longer now\n");
    expect(s, ":reload\nloaded", "loaded a.tsr again\n10");
    write_file("m.tsr", "fn f() = {{ wrong\n");
    expect_part(s, ":reload", "syntax error");
    expect(s, "m.f()", "26");
    expect_part(s, ":load nope.tsr", "cannot read nope.tsr: No such file or directory");
    write_file("bad.tsr", "x = 1\ny = x @ x\n");
    expect_part(s, ":load bad.tsr", "bad.tsr:2:5");
    expect_part(s, ":load", ":load needs an argument");
    expect(s, ":reset\n:reload", "no file has changed");
    session_free(s);
    unlink("a.tsr");
    unlink("m.tsr");
    unlink("bad.tsr");
    tap_ok(chdir("/") == 0 && rmdir(folder) == 0, "the folder goes");
}

static void test_save(void)
{
    char folder[] = "/tmp/tessera-commands-XXXXXX";
    SessionConfig config = {.output = output, .width = 80, .forms = "text/html"};
    Session *s = session_new(&config);
    if (!in_folder(folder)) return;
    shown(s, "x = 3");
    shown(s, "# a note\n:time x\ny = x + 1");
    shown(s, "x @ nope");
    shown(s, "print(\"hi\"); display([1, 2]); y * 2");
    expect(s, ":save a.tsr", "wrote 4 inputs to a.tsr");
    expect_file("a.tsr", "x = 3\n# a note\n# :time x\ny = x + 1\n# name error:\n# x @ nope\n"
                         "print(\"hi\"); display([1, 2]); y * 2\n");
    expect_part(s, ":save a.txt", ":save writes .tsr or .ipynb, not a.txt");
    expect_part(s, ":save /nope/a.tsr", "error");
    shown(s, ":save a.ipynb");
    const char *wanted[] = {"\"nbformat\": 4", "\"nbformat_minor\": 5", "\"name\": \"tessera\"", "\"id\": \"input-4\"",
                            "\"source\": \"x = 3\"", "\"ename\": \"name\"", "\"text\": \"hi\\n\"",
                            "\"output_type\": \"display_data\"", "\"text/plain\": \"8\"", "\"execution_count\": 4"};
    bool has_json = *read_file("a.ipynb") != 0;      /* without the module for JSON an error has said so */
    for (size_t i = 0; has_json && i < sizeof wanted / sizeof *wanted; i++)
        if (!tap_ok(strstr(read_file("a.ipynb"), wanted[i]) != NULL, "the notebook has %s", wanted[i]))
            tap_note("%s", read_file("a.ipynb"));
    shown(s, "b = read_text(\"a.ipynb\")");
    expect(s, has_json ? "n = parse_json(b); [len(n.cells), n.cells[3].outputs[2].data]" : "1",
           has_json ? "[7, {\"text/plain\": \"8\"}]" : "1");
    expect(s, ":reset", "");
    expect(s, ":save a.tsr", "wrote 0 inputs to a.tsr");
    expect_file("a.tsr", "");
    session_free(s);
    unlink("a.tsr");
    unlink("a.ipynb");
    tap_ok(chdir("/") == 0 && rmdir(folder) == 0, "the folder goes");
}

/* "Edits" by writing what the test wants. */
static const char *edit_into, *edit_seen;
static char edited[2048];

static bool on_edit(void *user, const char *path, int line, char **error)
{
    (void)user;
    snprintf(edited, sizeof edited, "%d %s", line, read_file(path));
    edit_seen = edited;
    if (!edit_into) *error = strdup("no such program");
    else if (*edit_into) write_file(path, edit_into);
    return edit_into != NULL;
}

static void on_next_input(void *user, const char *text, bool replace)
{
    (void)user;
    snprintf(edited, sizeof edited, "%d %s", replace, text);
}

static void test_edit(void)
{
    char folder[] = "/tmp/tessera-commands-XXXXXX";
    SessionConfig config = {.output = output, .width = 80, .edit = on_edit};
    Session *s = session_new(&config);
    if (!in_folder(folder)) return;
    shown(s, "## Doc.\nfn f(x) = x + 1");
    edit_into = "fn f(x) = x + 2\nf(1)\n";
    expect(s, ":edit f", "3");
    tap_ok(!strcmp(edited, "1 ## Doc.\nfn f(x) = x + 1"), "the editor sees the source");
    edit_into = "";
    expect(s, ":edit f", "");
    expect(s, "f(1)", "3");
    edit_into = "fn new() = 7\n";
    expect(s, ":edit new", "");
    tap_ok(!strcmp(edited, "1 fn new() {\n}\n"), "of a new function its frame");
    expect(s, "new()", "7");
    edit_into = "fn new() = (\n";
    expect_part(s, ":edit new", "syntax error");
    expect(s, "new()", "7");
    write_file("m.tsr", "fn one() = 1\n\nfn two() = 2\n");
    shown(s, "use \"./m.tsr\" as m");
    edit_into = "fn one() = 1\n\nfn two() = 22\n";
    expect(s, ":edit m.two", "");
    tap_ok(!strncmp(edited, "3 fn one()", 10), "a function of a file is edited there, at its line");
    expect(s, "m.two()", "22");
    edit_into = "here = 5\n";
    expect(s, ":edit ./new.tsr", "");
    expect(s, "here", "5");
    edit_into = NULL;
    expect(s, ":edit f", "file error: the editor failed: no such program");
    expect_part(s, ":save b.tsr", "wrote ");
    tap_ok(strstr(read_file("b.tsr"), "fn f(x) = x + 2\nf(1)\n") != NULL, "what was edited is what is saved");
    session_free(s);
    config = (SessionConfig){.output = output, .width = 80, .next_input = on_next_input};
    s = session_new(&config);
    shown(s, "fn f(x) = x + 1");
    expect(s, ":edit f", "");
    tap_ok(!strcmp(edited, "0 fn f(x) = x + 1"), "where there is no editor, the source is the next input");
    session_free(s);
    s = open_session();
    expect(s, ":edit f", "file error: there is no editor here");
    expect(s, ":edit a/b.tsr", "file error: there is no editor for files here");
    session_free(s);
    unlink("m.tsr");
    unlink("new.tsr");
    unlink("b.tsr");
    tap_ok(chdir("/") == 0 && rmdir(folder) == 0, "the folder goes");
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
    test_inspect();
    test_reset();
    test_time();
    test_shape();
    test_graph();
    test_bytecode();
    test_mem();
    test_failure();
    test_load();
    test_save();
    test_edit();
    test_complete();
    tap_ok(session_live_objects() == 0, "nothing is alive after the last session (%lld)", session_live_objects());
    return tap_end();
}
