/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A loop that makes and drops values of one kind ends with the memory it began with, to the byte, and the process does
   not grow: for every kind of value, and for what keeps something behind the scenes (caches, interned names, traces of
   errors). Kinds that are dear to make have a share of the rounds; TESSERA_ITERATIONS says how
   often for all of them. Tools that watch memory run it less. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lang/lang.h"
#include "../tap.h"

#define ITERATIONS 10000000L
#define ITERATIONS_WATCHED 3000L      /* under sanitizers and valgrind */
#define WARM_UP 1000L                 /* what is kept on first use is there afterwards */
#define GROWTH (4L << 20)             /* bytes that the process may take more: pages of the allocators */

/* What stands around the loops: built once. */
static const char setup[] =
    "model Point(x, y) {\n"
    "    sum = x + y\n"
    "    fn move(by) { self.sum = sum + by }\n"
    "    fn forward(z) = z + sum\n"
    "}\n"
    "model Countdown(n) {\n"
    "    left = n\n"
    "    fn next() = if left == 0 { done } else { self.left = left - 1; left }\n"
    "}\n"
    "fn fails(n) { throw \"no {n}\" }\n"
    "fn adder(n) = x -> x + n\n"
    "fn rest(..xs, ..named: map) = xs\n"
    "text = \"a b c\"\n"
    "xs = [3, 1, 2]\n"
    "m = {a: 1}\n"
    "t = ones(4)\n"
    "big = ones(8, 8)\n"
    "point = Point(1, 2)\n"
    "slope = grad(x -> sum(x * x))\n";

/* [share]: of the iterations, for what takes long. */
static const struct Kind { const char *name, *body; double share; } kinds[] = {
    {"int", "v = i * 3 - i // 2", 1},
    {"int overflow caught", "v = try { 9223372036854775807 + i + 1 } catch e { 0 }", 0.1},
    {"float", "v = i * 0.5 + 1.0", 1},
    {"bool and none", "v = if i % 2 == 0 { none } else { i > 3 }", 1},
    {"string", "v = \"item {i}\"", 1},
    {"string appended", "v = \"a\"; v ++= \"bc\"; v ++= v", 1},
    {"string split and joined", "v = join(split(text, \" \"), \"-\")", 0.2},
    {"list", "v = [i, i + 1, i + 2]", 1},
    {"list grown", "v = []; v ++= [i]; v ++= [i]; v ++= [1, 2, 3, 4, 5, 6, 7, 8]", 0.5},
    {"list changed while shared", "v = [1, 2]; w = v; w[0] = i", 1},
    {"comprehension", "v = [x * 2 for x in 0..4 if x != i]", 0.5},
    {"sort", "v = sort(xs, x -> -x)", 0.1},
    {"tuple", "v = (i, i + 1); (a, b) = v", 1},
    {"map", "v = {a: i, b: 2}; v.c = i", 1},
    {"map of many keys", "v = {..m}; for k in 0..12 { v[k] = i }; v = remove(v, 3)", 0.1},
    {"map counted", "v = {}; v[\"k\"] = 1; v[\"k\"] += i", 1},
    {"range", "v = i..i + 3; w = len(v)", 1},
    {"nested", "v = [{a: [(i, \"x\")]}, [[i]]]; v[0].a[0] = (1,)", 0.5},
    {"small tensor", "v = t + i", 0.5},
    {"tensor made of a list", "v = tensor([i, 2, 3])", 0.5},
    {"tensor view", "v = big[1:3].T", 0.3},
    {"tensor changed", "v = t; v[1] = i", 0.3},
    {"large tensor", "v = zeros(64, 64)", 0.2},
    {"0-d result", "v = sum(t) + i", 0.5},
    {"gradient", "v = slope(t)", 0.05},
    {"closure", "v = adder(i); w = v(1)", 1},
    {"bound method", "v = point.move; v(1)", 0.5},
    {"object", "v = Point(i, 1); v.move(2)", 0.5},
    {"object called", "v = Point(i, 1)(3)", 0.5},
    {"copy of an object", "v = copy(point)", 0.5},
    {"stream", "v = map(xs, x -> x + i); w = 0; for x in v { w += x }", 0.1},
    {"stream dropped half way", "for x in map(0..9, x -> [x]) { if x[0] == 1 { break } }", 0.1},
    {"stream of an object", "w = 0; for x in Countdown(2) { w += x }", 0.1},
    {"rest and named arguments", "v = rest(i, 2, a=1, b=\"x\")", 0.2},
    {"error caught", "v = try { fails(i) } catch e { e.message }", 0.05},
    {"error of an op caught", "v = try { t + big[:, :3] } catch e { e.kind }", 0.05},
    {"error through finally", "try { try { fails(i) } finally { v = [i] } } catch e { w = e.trace }", 0.05},
    {"set", "v = set([i, 1, 2]); w = 1 in v", 0.3},
};

static void ignore(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    (void)text;
    (void)length;
}

static bool eval(Session *session, const char *code)
{
    EvalResult result;
    session_eval(session, "<test>", code, strlen(code), EVAL_SCRIPT, &result);
    bool fine = result.status == EVAL_OK;
    if (!fine)
        tap_note("%s", result.error ? result.error : "failed");
    eval_result_clear(&result);
    return fine;
}

static long resident_bytes(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static long iterations(bool *watched)
{
    const char *asked = getenv("TESSERA_ITERATIONS");
    *watched = getenv("TESSERA_NO_CACHE") != NULL;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    *watched = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    *watched = true;
#endif
#endif
    return asked ? atol(asked) : *watched ? ITERATIONS_WATCHED : ITERATIONS;
}

static bool run(Session *session, const char *name, long n)
{
    char code[64];
    snprintf(code, sizeof code, "%s(%ld)", name, n);
    return eval(session, code);
}

static void test_kind(Session *session, const struct Kind *kind, long n, bool watched)
{
    char code[512];
    snprintf(code, sizeof code, "fn loop(n) { for i in 0..n { %s } }", kind->body);
    n = getenv("TESSERA_ITERATIONS") ? n : (long)((double)n * kind->share);
    bool fine = eval(session, code) && run(session, "loop", WARM_UP) && run(session, "loop", WARM_UP);
    long long bytes = session_live_bytes(), objects = session_live_objects();
    long resident = resident_bytes();
    fine = fine && run(session, "loop", n > WARM_UP ? n : WARM_UP);
    long long more = session_live_bytes() - bytes, alive = session_live_objects() - objects;
    long grown = resident_bytes() - resident;
    if (!tap_ok(fine && !more && !alive && (watched || grown < GROWTH), "%s", kind->name))
        tap_note("after %ld: %lld bytes and %lld objects more, the process %ld bytes larger", n, more, alive, grown);
}

int main(void)
{
    SessionConfig config = {.output = ignore, .width = 80};
    Session *session = session_new(&config);
    bool watched;
    long n = iterations(&watched);
    if (!tap_ok(session && eval(session, setup), "the setup runs"))
        return tap_end();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        test_kind(session, &kinds[i], n, watched);
    session_free(session);
    tap_ok(session_live_objects() == 0 && session_live_bytes() == 0, "nothing is left (%lld objects, %lld bytes)",
           session_live_objects(), session_live_bytes());
    return tap_end();
}
