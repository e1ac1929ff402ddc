/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The language through its public face: values that stay between evaluations, rendered errors, options of scripts,
   interrupts from another thread, completion, help, several sessions at once, and nothing alive at the end. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "opened.h"

#define PATIENCE 2.0          /* seconds: an interrupt takes 10 ms, but the machine may be busy */

/* Echo of [code]; of an error its kind in brackets. */
static const char *eval(Session *session, const char *code)
{
    static char shown[2048];
    EvalResult result;
    session_eval(session, "<test>", code, strlen(code), EVAL_INTERACTIVE, &result);
    if (result.status == EVAL_OK)
        snprintf(shown, sizeof shown, "%s", result.text ? result.text : "");
    else
        snprintf(shown, sizeof shown, "[%s]", result.error_kind ? result.error_kind : "exit");
    eval_result_clear(&result);
    return shown;
}

static void expect(Session *session, const char *code, const char *wanted)
{
    const char *got = eval(session, code);
    if (!tap_ok(strcmp(got, wanted) == 0, "%.*s", (int)strcspn(code, "\n"), code))
        tap_note("wanted %s, got %s", wanted, got);
}

static void test_eval(void)
{
    Session *s = open_session(), *other = open_session();
    expect(s, "x = 3", "");
    expect(s, "x + 1", "4");
    expect(s, "x + 1;", "");
    expect(s, "_ * 10", "40");
    expect(s, ".max(7)", "40");
    expect(s, "fn f(a) = a * x", "");
    expect(s, "f(2)", "6");
    expect(s, "y = 1\nnope(2)\nz = 3", "[name]");
    expect(s, "y", "1");
    expect(s, "z", "[name]");
    expect(s, "1 +* 2", "[syntax]");
    expect(s, "try { exit(3) } catch e { 1 } finally { w = 8 }", "[exit]");
    expect(s, "w", "8");
    expect(other, "x", "[name]");
    session_free(other);
    session_free(s);
}

static char displayed[1024];

/* "id[+] mime=data mime=data", + for an update. */
static void on_display(void *user, const Display *display)
{
    (void)user;
    size_t used = strlen(displayed);
    used += (size_t)snprintf(displayed + used, sizeof displayed - used, "%d%s", display->id, display->update ? "+" : "");
    for (int i = 0; i < display->count; i++)
        used += (size_t)snprintf(displayed + used, sizeof displayed - used, " %s=%s", display->form[i].mime,
                                 display->form[i].data);
    snprintf(displayed + used, sizeof displayed - used, ";");
}

static void expect_display(Session *session, const char *code, const char *wanted)
{
    displayed[0] = 0;
    eval(session, code);
    if (!tap_ok(strcmp(displayed, wanted) == 0, "shown: %s", code))
        tap_note("wanted %s, got %s", wanted, displayed);
}

static void test_display(void)
{
    SessionConfig config = {.output = output, .width = 80, .display = on_display, .forms = "image/svg+xml text/html"};
    Session *s = session_new(&config);
    expect_display(s, "display([1, 2])", "0 text/plain=[1, 2];");
    expect(s, "pic = {show: () -> ({\"image/svg+xml\": () -> \"<svg/>\", \"text/plain\": \"a picture\", \"image/png\": "
              "() -> { throw \"not asked for\" }})}; 1", "1");
    expect_display(s, "display(pic)", "0 text/plain=a picture image/svg+xml=<svg/>;");
    expect_display(s, "for i in 0..3 { display(\"step {i}\", \"run\") }; display(3, \"other\")",
                   "1 text/plain=\"step 0\";1+ text/plain=\"step 1\";1+ text/plain=\"step 2\";2 text/plain=3;");
    expect(s, "pic", "a picture");
    expect(s, "model Twice(x) { fn show() = {show: () -> x} }", "");
    expect(s, "Twice(pic)", "a picture");
    expect(s, "Twice(\"bare\")", "bare");
    session_set_forms(s, "image/png");
    expect(s, "pic", "[thrown]");
    expect(s, "model Endless() { fn show() = Endless() }\nEndless()", "[recursion]");
    expect(s, "display({show: () -> ({\"text/plain\": 3})})", "[type]");
    EvalResult result;
    const char *code = "{show: () -> ({\"image/png\": u8([137, 80, 0, 71])})}";
    session_eval(s, "<test>", code, strlen(code), EVAL_INTERACTIVE, &result);
    tap_ok(result.display && result.display->count == 2 && result.display->form[1].length == 4 &&
           memcmp(result.display->form[1].data, "\211P\0G", 5) == 0, "the echo has all forms, bytes as they are");
    eval_result_clear(&result);
    session_free(s);
}

static void test_display_names(void)
{
    SessionConfig config = {.output = output, .width = 80, .display = on_display};
    Session *s = session_new(&config);
    expect_display(s, "display(1, \"a\"); display(2, \"a\")", "1 text/plain=1;1+ text/plain=2;");
    expect_display(s, "display(3, \"a\"); display(4, \"a\")", "2 text/plain=3;2+ text/plain=4;");
    expect_display(s, "update_display(5, \"a\")", "2+ text/plain=5;");
    expect_display(s, "display(6, \"b\"); display(7, \"a\")", "3 text/plain=6;4 text/plain=7;");
    expect(s, "update_display(5, \"c\")", "[value]");
    session_free(s);
}

/* ---- progress ---- */

static double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct Told {
    int displays, id, wrong;  /* wrong: an update of something else, or a first one that is no first one */
    char text[1000], html[8000], first[200];
} Told;

static void on_told_display(void *user, const Display *display)
{
    Told *told = user;
    told->wrong += told->displays == 0 ? display->update : !display->update || display->id != told->id;
    told->id = display->id;
    snprintf(told->text, sizeof told->text, "%s", display->form[0].data);
    snprintf(told->html, sizeof told->html, "%s", display->count > 1 ? display->form[1].data : "");
    if (told->displays++ == 0) snprintf(told->first, sizeof told->first, "%.199s", told->text);
}

static void expect_told(Told *told, const char *code, const char *text, const char *html, const char *error)
{
    SessionConfig config = {.user = told, .output = output, .width = 80, .display = on_told_display, .forms = "text/html"};
    EvalResult result;
    Session *s = session_new(&config);
    *told = (Told){0};
    session_eval(s, "<test>", code, strlen(code), EVAL_SCRIPT, &result);
    bool fine = told->displays > 0 && told->wrong == 0 && strstr(told->text, text) && strstr(told->html, html) &&
                strcmp(result.error_kind ? result.error_kind : "", error) == 0;
    if (!tap_ok(fine, "progress as displays: %.60s", code))
        tap_note("%d, %d wrong, %s: %s; %s", told->displays, told->wrong, result.error_kind, told->text, told->html);
    eval_result_clear(&result);
    session_free(s);
}

/* A front end without bars of its own gets displays that take their own place. */
static void test_progress(void)
{
    Told told;
    expect_told(&told, "for x in progress([1, 2, 3], \"<b>\") { report(loss=0.5) }", "<b> 3/3  ",
                "&lt;b&gt; 3/3 <progress max=\"3\" value=\"3\"></progress> ", "");
    tap_ok(strcmp(told.first, "<b> 0/3  0:00") == 0 && strstr(told.text, "0:00  loss 0.5"), "the first and the last line");
    double start = clock_seconds();
    expect_told(&told, "for e in progress(0..3, \"outer\") { for x in progress(0..1000, \"inner\") { sleep(0.0001) } }",
                "outer 3/3", "outer 3/3", "");
    tap_ok(told.displays >= 3 && told.displays <= 4 + 10 * (clock_seconds() - start) &&
           !strstr(told.text, "inner"), "at most ten a second, and what is over is gone");
    expect_told(&told, "for e in progress(0..2) { for x in progress(0..2) { report(n=x) }; if e == 5 { report(n=0) } }",
                "0:00  n 1", "n 1", "");
    expect_told(&told, "for e in progress(0..3, \"outer\") { for x in progress(0..9, \"inner\") { [1][e + x] } }",
                "outer 0/3  0:00  stopped\ninner 1/9", "stopped</div></div>", "index");
    expect_told(&told, "for e in progress(0..2) { try { for x in progress(0..9, \"inner\") { throw x } } catch e { 1 } }", "2/2", "", "");
    tap_ok(!strstr(told.text, "inner"), "what failed and was caught is not told at the end");
    expect_told(&told, "for x in progress(0..40, curve=true) { report(acc=x * 1.0, loss=1 / (1 + x)) }", "        1 \xE2",
                "<path fill=\"none\"", "");
    expect_told(&told, "for x in progress(0..1000, curve=\"acc\") { report(loss=1, acc=if x < 5 { nan } else { x }) }", "    997.5 \xE2",
                "\" d=\"M", "");
    expect_told(&told, "for x in progress(0..2, curve=true) { report(name=\"x\") }", "2/2", "2/2", "");
    expect_told(&told, "for x in progress([1, 2], total=4) { if x == 1 { break } }", "0/4", "", "");
    tap_ok(!strstr(told.text, "stopped"), "a break is no failure");
    Session *s = session_new(&(SessionConfig){.output = output, .width = 80});
    expect(s, "progress([1], curve=3)", "[type]");
    expect(s, "fold(progress([1, 2], curve=true), 0, (a, b) -> a + b)", "3");
    session_free(s);
}

static void test_forms(void)
{
    SessionConfig config = {.output = output, .width = 80, .display = on_display,
                            .forms = "text/html text/markdown text/latex image/svg+xml application/vnd.vegalite.v5+json"};
    Session *s = session_new(&config);
    expect_display(s, "display(html(\"<b>a</b>\"))", "0 text/plain=a text/html=<b>a</b>;");
    expect_display(s, "display(markdown(\"*a*\"))", "0 text/plain=*a* text/markdown=*a*;");
    expect_display(s, "display(latex('$\\pi$'))", "0 text/plain=$\\pi$ text/latex=$\\pi$;");
    expect_display(s, "display(svg(\"<svg/>\"))", "0 text/plain=svg of 6 characters image/svg+xml=<svg/>;");
    expect_display(s, "display(vega({mark: {type: \"line\"}, data: {values: [{x: tensor([1])[0]}]}}))",
                   "0 text/plain=vega-lite chart: line application/vnd.vegalite.v5+json="
                   "{\"$schema\": \"https://vega.github.io/schema/vega-lite/v5.json\", \"mark\": {\"type\": \"line\"}, "
                   "\"data\": {\"values\": [{\"x\": 1}]}};");
    expect(s, "html(3)", "[type]");
    expect(s, "vega({mark: x -> x})", "[value]");
    expect(s, "html(\"<style>x {{}}</style><!-- no --><p>a &amp; b</p><table><tr><th>1</th><td>2<\")", "a & b\n1  2");
    expect(s, "html(\"&nope; 1 < 2\")", "&nope; 1");
    session_free(s);
}

/* ---- what a notebook offers ---- */

static void add_event(const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(displayed);
    va_start(arguments, format);
    vsnprintf(displayed + used, sizeof displayed - used, format, arguments);
    va_end(arguments);
}

static char *on_input(void *user, const char *prompt, bool secret)
{
    (void)user;
    add_event("%s%s;", secret ? "secret " : "", prompt);
    return strcmp(prompt, "end") == 0 ? NULL : strdup("typed");
}

static void on_clear(void *user, bool wait)
{
    (void)user;
    add_event("clear%s;", wait ? " later" : "");
}

static void on_page(void *user, const Display *display)
{
    add_event("page ");
    on_display(user, display);
}

static void on_next_input(void *user, const char *text, bool replace)
{
    (void)user;
    add_event("next%s %s;", replace ? " instead" : "", text);
}

/* "event id-or-target data[buffer bytes];" */
static void on_comm(void *user, const CommMessage *message)
{
    (void)user;
    add_event("comm %d %s %.*s", message->event, message->event == COMM_OPEN ? message->target : message->id,
              (int)message->length, message->data);
    for (int i = 0; i < message->n_buffers; i++) add_event("[%zu]", message->buffer[i].length);
    add_event(";");
}

static void expect_comm(Session *s, CommMessage message, bool wanted_known, EvalStatus wanted_status, const char *wanted)
{
    bool known;
    EvalResult result;
    displayed[0] = 0;
    message.length = strlen(message.data);
    EvalStatus status = session_comm(s, &message, &known, &result);
    if (!tap_ok(known == wanted_known && status == wanted_status && strcmp(displayed, wanted) == 0, "comm %d of %s: %s",
                message.event, message.id, message.data))
        tap_note("known %d, status %d, %s %s", known, status, displayed, result.error ? result.error : "");
    eval_result_clear(&result);
}

static void test_comms(Session *s)
{
    const CommBuffer two = {"\1\2", 2};
    expect_display(s, "comm_register(\"echo\", (id, m) -> comm_send(id, [m.event, m.data], m.buffers))", "");
    expect_comm(s, (CommMessage){COMM_OPEN, "i1", "echo", "{\"a\": 1}", 0, 0, NULL}, true, EVAL_OK,
                "comm 1 i1 [\"open\", {\"a\": 1}];");
    expect_comm(s, (CommMessage){COMM_MESSAGE, "i1", NULL, "[2]", 0, 1, &two}, true, EVAL_OK,
                "comm 1 i1 [\"message\", [2]][2];");
    expect_comm(s, (CommMessage){COMM_MESSAGE, "i1", NULL, "{", 0, 0, NULL}, true, EVAL_ERROR, "");
    expect_comm(s, (CommMessage){COMM_MESSAGE, "i2", NULL, "1", 0, 0, NULL}, false, EVAL_OK, "");
    expect_comm(s, (CommMessage){COMM_OPEN, "i3", "nobody", "1", 0, 0, NULL}, false, EVAL_OK, "");
    expect(s, "comm_send(\"i3\", 1)", "[value]");
    expect(s, "comm_send(\"i1\", x -> x)", "[value]");
    expect(s, "comm_send(\"i1\", 1, [2])", "[type]");
    expect(s, "comm_register(\"echo\", 1)", "[type]");
    expect_comm(s, (CommMessage){COMM_CLOSE, "i1", NULL, "{}", 0, 0, NULL}, true, EVAL_ERROR, "");   /* it answers */
    expect_comm(s, (CommMessage){COMM_MESSAGE, "i1", NULL, "1", 0, 0, NULL}, false, EVAL_OK, "");
    expect_display(s, "comm_register(\"echo\")", "");
    expect_comm(s, (CommMessage){COMM_OPEN, "i4", "echo", "1", 0, 0, NULL}, false, EVAL_OK, "");
    expect_display(s, "c = comm_open(\"page\", {b: 2}, (id, m) -> print(m.data), [f32([1., 2.])])",
                   "comm 0 page {\"b\": 2}[8];");
    expect(s, "len(c)", "32");
    expect(s, "comm_close(c); comm_send(c)", "[value]");
}

static void test_notebook(void)
{
    SessionConfig config = {.output = output, .width = 80, .display = on_display, .input = on_input, .clear = on_clear,
                            .page = on_page, .next_input = on_next_input, .comm = on_comm};
    Session *s = session_new(&config);
    expect_display(s, "x = input(\"name\"); y = password(\"word\"); z = input(\"end\")", "name;secret word;end;");
    expect(s, "(x, y, z)", "(\"typed\", \"typed\", none)");
    expect_display(s, "clear_output(); clear_output(wait=true)", "clear;clear later;");
    expect_display(s, "page([1])", "page 0 text/plain=[1];");
    displayed[0] = 0;
    expect(s, "?page", "");
    tap_ok(strncmp(displayed, "page 0 text/plain=page(x)", 25) == 0, "help opens the pager: %.40s", displayed);
    expect_display(s, "next_input(\"1 + 1\"); next_input(\"2\", replace=true)", "next 1 + 1;next instead 2;");
    test_comms(s);
    session_free(s);
    config = (SessionConfig){.output = output, .width = 80, .display = on_display};
    s = session_new(&config);
    expect(s, "password()", "[io]");
    expect(s, "comm_open(\"page\")", "[io]");
    expect_display(s, "clear_output(); page(1)", "0 text/plain=1;");
    session_free(s);
}

static void *interrupt_later(void *session)
{
    struct timespec pause = {0, 50 * 1000 * 1000};
    nanosleep(&pause, NULL);
    session_interrupt(session);
    return NULL;
}

static void interrupted(Session *s, const char *code)
{
    pthread_t thread;
    EvalResult result;
    struct timespec start, end;
    pthread_create(&thread, NULL, interrupt_later, s);
    clock_gettime(CLOCK_MONOTONIC, &start);
    session_eval(s, "<test>", code, strlen(code), EVAL_INTERACTIVE, &result);
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_join(thread, NULL);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    tap_ok(result.status == EVAL_INTERRUPTED && seconds < 10, "interrupted: %.*s", (int)strcspn(code, "\n"), code);
    eval_result_clear(&result);
}

static void test_interrupt(void)
{
    Session *s = open_session();
    interrupted(s, "while true { 1 }");
    interrupted(s, "fn f() { for i in 0..1000000000000 { i } }\nf()");
    interrupted(s, "while true { try { while true { } } catch e { } }");
    interrupted(s, "try { while true { } } finally { cleaned = 1 }");
    interrupted(s, "while true { try { matches(repeat_text(\"a\", 60) ++ \"!\", '^(a|a)*$') } catch e { 1 } }");
    interrupted(s, "any_of(stream(0..10^15), x -> x < 0)");
    interrupted(s, "max(stream(0..10^15))");
    expect(s, "cleaned", "1");
    expect(s, "1 + 1", "2");
    session_free(s);
}

/* Requests while it computes; the last one ends it. */
typedef struct Asker {
    Session *session;
    atomic_int served, found;
    double slowest;
} Asker;

static void on_request(void *user)
{
    Asker *asker = user;
    Completions found;
    if (session_complete(asker->session, "reque", 5, 5, &found)) {
        atomic_store(&asker->found, found.count == 1 && !strcmp(found.at[0].text, "requested"));
        completions_clear(&found);
    }
    char *help = session_inspect(asker->session, "requested", 9, 9);
    if (!help) atomic_store(&asker->found, 0);
    free(help);
    atomic_fetch_add(&asker->served, 1);
}

enum { REQUESTS = 20 };

static void *ask(void *arg)
{
    Asker *asker = arg;
    for (int i = 0; i < REQUESTS; i++) {
        nanosleep(&(struct timespec){0, 5 * 1000 * 1000}, NULL);
        double start = clock_seconds();
        session_request(asker->session);
        while (atomic_load(&asker->served) <= i && clock_seconds() - start < 5)
            nanosleep(&(struct timespec){0, 20000}, NULL);
        if (clock_seconds() - start > asker->slowest) asker->slowest = clock_seconds() - start;
    }
    session_interrupt(asker->session);
    return NULL;
}

static void requested(const char *code)
{
    pthread_t thread;
    EvalResult result;
    Asker asker = {0};
    SessionConfig config = {.user = &asker, .output = output, .serve = on_request, .width = 80};
    asker.session = session_new(&config);
    eval(asker.session, "requested = ones(3, 4)");
    pthread_create(&thread, NULL, ask, &asker);
    session_eval(asker.session, "<test>", code, strlen(code), EVAL_INTERACTIVE, &result);
    pthread_join(thread, NULL);
    if (!tap_ok(result.status == EVAL_INTERRUPTED && asker.served == REQUESTS && asker.found && asker.slowest < PATIENCE,
                "answers while it runs: %s", code))
        tap_note("status %d, served %d, found %d, slowest %.3f s", result.status, asker.served, asker.found, asker.slowest);
    eval_result_clear(&result);
    expect(asker.session, "sum(requested)", "12.0");
    session_free(asker.session);
}

static void test_requests(void)
{
    requested("while true { 1 }");
    requested("x = rand(600, 600); while true { x = x @ x }");
    requested("x = rand(3000, 3000); for i in 0..1000 { y = x @ x }");
    requested("sleep(100)");
    requested("max(stream(0..10^15))");
    requested("while true { sort(rand(10000000)) }");
    requested("while true { try { assert sum(sort(rand(1000000))) < 0 } catch e { 1 } }");
}

/* Interrupts [code] while it is deep in a library, and gives the seconds until it returns. */
typedef struct Stopper { Session *session; struct timespec at; } Stopper;

static void *stop_later(void *arg)
{
    Stopper *stopper = arg;
    struct timespec pause = {0, 300 * 1000 * 1000};
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &stopper->at);
    session_interrupt(stopper->session);
    return NULL;
}

static void abandoned(Session *s, const char *code)
{
    pthread_t thread;
    EvalResult result;
    struct timespec end;
    Stopper stopper = {.session = s};
    pthread_create(&thread, NULL, stop_later, &stopper);
    session_eval(s, "<test>", code, strlen(code), EVAL_INTERACTIVE, &result);
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_join(thread, NULL);
    double seconds = (double)(end.tv_sec - stopper.at.tv_sec) + 1e-9 * (double)(end.tv_nsec - stopper.at.tv_nsec);
    if (!tap_ok(result.status == EVAL_INTERRUPTED && seconds < PATIENCE, "leaves %s at once", code))
        tap_note("status %d after %.3f s", (int)result.status, seconds);
    eval_result_clear(&result);
}

/* The threads left behind still run while the session goes on, closes, and the process ends. */
static void test_abandoned(void)
{
    Session *s = open_session();
    eval(s, "x = uniform(-1, 1, 3000, 3000)");
    abandoned(s, "svd(x)");
    expect(s, "svd([[0., 2.], [3., 0.]])[1][0]", "3.0");
    abandoned(s, "eigh(x)");
    abandoned(s, "svd(x[:2400])");
    expect(s, "y = uniform(-1, 1, 400, 400); max(abs(inv(y) @ y - eye(400))) < 0.1", "true");
    session_free(s);
}

static bool offers(Session *s, const char *text, const char *name)
{
    Completions c;
    bool found = false;
    session_complete(s, text, strlen(text), strlen(text), &c);
    for (int i = 0; i < c.count; i++)
        found = found || !strcmp(c.at[i].text, name);
    completions_clear(&c);
    return found;
}

static void test_assist(void)
{
    Session *s = open_session();
    int indent;
    eval(s, "## Adds.\nfn add_up(a, b=1) = a + b\nmodel Box(n) {\n    size = n\n    fn grow() = n\n}\nbox = Box(2)\n"
            "m = {alpha: {beta: 1}}");
    tap_ok(offers(s, "add_", "add_up"), "completes a function");
    tap_ok(offers(s, "x = soft", "softmax"), "completes an op");
    tap_ok(offers(s, "box.", "size") && offers(s, "box.gr", "grow"), "completes members of an object");
    tap_ok(!offers(s, "box.", "n"), "hides a constructor's parameter");
    tap_ok(offers(s, "m.alpha.b", "beta"), "completes keys");
    tap_ok(offers(s, "nn.Lin", "Linear") && offers(s, "opt", "optim"), "completes standard modules");
    char *help = session_inspect(s, "add_up", 6, 6);
    tap_ok(help && !strcmp(help, "add_up(a, b=1)\nAdds."), "shows a function's documentation");
    free(help);
    help = session_inspect(s, "nn.Linear(", 10, 10);
    tap_ok(help && strstr(help, "Linear(inputs, outputs, bias=true)"), "shows a library model's documentation");
    free(help);
    help = session_inspect(s, "torch.cat", 9, 9);
    tap_ok(help && strstr(help, "concat"), "help says what a name of PyTorch is called here");
    free(help);
    tap_ok(session_is_complete(s, "fn f() {", 8, &indent) == CODE_INCOMPLETE, "an open brace is incomplete");
    tap_ok(session_is_complete(s, "1 + 1", 5, &indent) == CODE_COMPLETE, "an expression is complete");
    session_free(s);
}

static void run(const char *code, int argc, const char *const *words, EvalStatus status, const char *wanted)
{
    Session *s = open_session();
    EvalResult result;
    char path[] = "/tmp/tessera-session-XXXXXX", *argv[8];
    int file = mkstemp(path);
    if (file < 0 || write(file, code, strlen(code)) < 0)
        return;
    close(file);
    for (int i = 0; i < argc; i++)
        argv[i] = strdup(words[i]);
    char *kept[8];
    memcpy(kept, argv, sizeof kept);
    printed[0] = 0;
    session_run_file(s, path, argc, argv, &result);
    if (!tap_ok(result.status == status && strstr(printed, wanted), "options: %s", argc ? words[0] : "none"))
        tap_note("status %d, printed %s, error %s", (int)result.status, printed, result.error ? result.error : "");
    eval_result_clear(&result);
    for (int i = 0; i < argc; i++)
        free(kept[i]);
    unlink(path);
    session_free(s);
}

static void test_options(void)
{
    const char *code = "option lr = 0.1 \"learning rate\"\noption batch_size = 8\noption fast = true\n"
                       "option name = \"a\"\nprint(lr, batch_size, fast, name, args())\n";
    run(code, 0, NULL, EVAL_OK, "0.1 8 true a []");
    run(code, 3, (const char *const[]){"--lr=2", "--batch-size", "16"}, EVAL_OK, "2.0 16 true a []");
    run(code, 4, (const char *const[]){"--no-fast", "--name", "b", "rest"}, EVAL_OK, "0.1 8 false b [\"rest\"]");
    run(code, 1, (const char *const[]){"--help"}, EVAL_OK, "learning rate  (default 0.1)");
    run(code, 1, (const char *const[]){"--batchsize=3"}, EVAL_ERROR, "");
    run(code, 1, (const char *const[]){"--batch-size=3.5"}, EVAL_ERROR, "");
}

typedef struct Checked { int errors, warnings; char lines[1024]; } Checked;

static void on_finding(void *user, const CheckFinding *finding)
{
    Checked *checked = user;
    size_t used = strlen(checked->lines);
    checked->errors += finding->severity == CHECK_ERROR;
    checked->warnings += finding->severity == CHECK_WARNING;
    snprintf(checked->lines + used, sizeof checked->lines - used, "%s %d:%d %zu-%zu %s%s|", finding->kind,
             finding->place.line, finding->place.column, finding->place.start, finding->place.end, finding->message,
             finding->related ? " @" : "");
}

static void test_check(void)
{
    static const char code[] = "fn ä(x: [n, 3]) = x\nä(ones(2, 4))\nx = y1\nprint(x)\nfn g(a) { a + 1\n a }\nprint(9)\n";
    Session *s = open_session();
    Checked checked = {0};
    eval(s, "y1 = 5\nfn kept() = y1");
    printed[0] = 0;
    bool fine = session_check(s, "a.tsr", code, sizeof code - 1, on_finding, &checked);
    if (!tap_ok(fine && checked.errors == 2 && checked.warnings == 1 && !*printed, "check finds, and runs nothing"))
        tap_note("%d errors, %d warnings: %s %s", checked.errors, checked.warnings, checked.lines, printed);
    if (!tap_ok(strstr(checked.lines, "shape 2:1 21-35 ä: axis 1 of x is 4, not 3 @|") &&
                    strstr(checked.lines, "name 3:5 40-42 y1 is not defined|") && strstr(checked.lines, "no-effect 5:11 "),
                "findings are data: kinds, places in bytes and columns, messages, the place inside"))
        tap_note("%s", checked.lines);
    expect(s, "kept() + y1", "10");
    expect(s, "x", "[name]");
    checked = (Checked){0};
    fine = session_check(s, "a.tsr", "", 0, on_finding, &checked) && session_check(s, "a.tsr", "1", 1, on_finding, &checked);
    tap_ok(fine && !checked.errors && !checked.warnings, "nothing is wrong with an empty text");
    session_free(s);
}

/* Each span as its kind's letter and its text; brackets with the distance to their partner. */
static void expect_highlight(const char *code, const char *wanted)
{
    static const char letters[] = "kcns#vfdo(:!";
    char found[1024] = "";
    int count, used = 0;
    Highlight *spans = language_highlight(code, strlen(code), &count);
    for (int i = 0; spans && i < count; i++) {
        used += snprintf(found + used, sizeof found - (size_t)used, "%s%c%.*s", i ? " " : "", letters[spans[i].kind],
                         (int)(spans[i].end - spans[i].start), code + spans[i].start);
        if (spans[i].partner >= 0) used += snprintf(found + used, sizeof found - (size_t)used, "%+d", spans[i].partner - i);
    }
    free(spans);
    if (!tap_ok(strcmp(found, wanted) == 0, "colours of %s", code)) tap_note("%s", found);
}

static void test_highlight(void)
{
    expect_highlight("fn f(x) = x + 1", "kfn df ((+2 vx ()-2 o= vx o+ n1");
    expect_highlight("model M(n) { param w", "kmodel dM ((+2 vn ()-2 ({ kparam vw");
    expect_highlight("model = use.x", "vmodel o= vuse o. vx");
    expect_highlight("use \"a.tsr\" as b # why", "kuse s\"a.tsr\" kas vb ## why");
    expect_highlight("print(\"a{b:.2f}c\"", "fprint (( s\"a o{ vb s:.2f o} sc\"");
    expect_highlight("\"open {x", "s\"open  o{ vx");
    expect_highlight("'raw", "s'raw");
    expect_highlight("true ) x.for $ é 漢", "ctrue !) vx o. vfor !$ vé v漢");
    expect_highlight(":time f(1)", "::time ff ((+2 n1 ()-2");
    expect_highlight("?nn.Linear", ":? vnn o. vLinear");
    expect_highlight("x\n  :mem\n??x", "vx ::mem :?? vx");
    expect_highlight("[\n:b]; :", "([+3 o: vb (]-3 o; o:");
    expect_highlight("a.fn b; fn b", "va o. vfn vb o; kfn db");
    expect_highlight("x.true && !y", "vx o. vtrue o&& o! vy");
    expect_highlight("ok \xff x", "vok");
    expect_highlight("{\n# one\n}  # two", "({+2 ## one (}-2 ## two");
    expect_highlight("", "");
}

int main(void)
{
    test_eval();
    test_display();
    test_display_names();
    test_progress();
    test_forms();
    test_notebook();
    test_interrupt();
    test_requests();
    test_assist();
    test_options();
    test_check();
    test_highlight();
    test_abandoned();
    tap_ok(session_live_objects() == 0, "nothing is alive after the last session (%lld)", session_live_objects());
    return tap_end();
}
