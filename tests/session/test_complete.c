/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion through lang.h: what is offered at the mark | of a text, in order, and where it goes; then every prefix of
   some programs with the cursor at every place, which must neither fail nor take long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../lang/lang.h"
#include "../tap.h"

static void output(void *user, OutputStream stream, const char *text, size_t length)
{
    (void)user;
    (void)stream;
    (void)text;
    (void)length;
}

static bool at_mark(Session *session, const char *marked, Completions *found, char *text, size_t room)
{
    const char *mark = strchr(marked, '|');
    size_t cursor = (size_t)(mark - marked);
    snprintf(text, room, "%.*s%s", (int)cursor, marked, mark + 1);
    return session_complete(session, text, strlen(text), cursor, found);
}

/* The text with the first candidate put in, and the kind and detail of all (… at the end: of more than these). */
static void expect(Session *session, const char *marked, const char *made, const char *wanted)
{
    char text[512], got[4096] = "", whole[1024] = "";
    Completions found;
    if (!tap_ok(at_mark(session, marked, &found, text, sizeof text), "completes %s", marked)) return;
    size_t used = 0;
    for (int i = 0; i < found.count && used < sizeof got; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%s %s %s", i ? ", " : "", found.at[i].text, found.at[i].kind,
                                 found.at[i].detail);
    if (found.count)
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)found.start, text, found.at[0].text, text + found.end);
    size_t open = strlen(wanted) > 3 && !strcmp(wanted + strlen(wanted) - 3, "…") ? strlen(wanted) - 3 : sizeof got;
    bool fine = !strncmp(got, wanted, open) && (!made || !strcmp(whole, made));
    if (!tap_ok(fine, "offers of %s", marked)) tap_note("wanted %s | %s\ngot %s | %s", made ? made : "", wanted, whole, got);
    completions_clear(&found);
}

/* Whether [name] is offered. */
static void offers(Session *session, const char *marked, const char *name, bool yes)
{
    char text[512];
    Completions found;
    bool has = false;
    at_mark(session, marked, &found, text, sizeof text);
    for (int i = 0; i < found.count; i++) has = has || !strcmp(found.at[i].text, name);
    tap_ok(has == yes, "%s %s %s", marked, yes ? "offers" : "does not offer", name);
    completions_clear(&found);
}

static void run(Session *session, const char *code)
{
    EvalResult result;
    session_eval(session, "<in>", code, strlen(code), EVAL_INTERACTIVE, &result);
    tap_ok(result.status == EVAL_OK, "runs %.*s", (int)strcspn(code, "\n"), code);
    eval_result_clear(&result);
}

static const char setting[] =
    "zebra = ones(64, 10)\nzeta_fn = (xx, steps=3) -> xx\nbatch = {image: ones(2, 3), label: [1, 2], \"two words\": 3}\n"
    "table = {inner: {deep: 1}}\n"
    "fn resize_it(x, how=\"near\", wide=false) {\n    assert how in [\"near\", \"far\"]\n    if how == \"odd\" { 1 } else { 2 }\n}\n"
    "model Block(dim, heads=3) {\n    size = dim\n    fn forward(x, mask=none) = x\n    fn grow(by, twice=false) = by\n}\n"
    "block = Block(4)\n_private = 1";

static void test_names(Session *s)
{
    expect(s, "zeb|", "zebra", "zebra variable f32[64, 10]");
    expect(s, "y = ZEB| + 1", "y = zebra + 1", "zebra variable f32[64, 10]");
    expect(s, "y = zeb|ra + 1", "y = zebra + 1", "zebra variable f32[64, 10]");
    expect(s, "zeta_f|", NULL, "zeta_fn function (xx, steps=3)");
    expect(s, "adamw|", NULL, "");
    expect(s, "optim.adamw|", "optim.AdamW", "AdamW function AdamW(net, lr=1e-3, …");
    expect(s, "batch.la|", "batch.label", "label variable list of 2");
    expect(s, "table.inner.d|", "table.inner.deep", "deep variable int");
    expect(s, "block.gr|", "block.grow", "grow method grow(by, twice=false)");
    offers(s, "|", "_private", false);
    expect(s, "_priv|", "_private", "_private variable int");
    expect(s, "conti|", "contiguous", "contiguous function contiguous(x), continue keyword ");
    expect(s, "# zeb|", NULL, "");
    expect(s, "12|", NULL, "");
    offers(s, "fn f(alpha, beta) {\n    gamma = alp|", "alpha", true);
    offers(s, "fn f(alpha, beta) {\n    gamma = 1\n    gam|", "gamma", true);
    offers(s, "zebra.soft|", "softmax", true);
    offers(s, "a..zeb|", "zebra", true);
    offers(s, "?zeb|", "zebra", true);
}

static void test_arguments(Session *s)
{
    expect(s, "conv2d(x, w, st|)", "conv2d(x, w, stride=)", "stride= argument stride:ints=1…");
    offers(s, "conv2d(x, stride=2, st|", "stride=", false);
    offers(s, "x.conv2d(st|", "stride=", true);
    offers(s, "x.conv2d(|", "x=", false);
    offers(s, "Block(4, he|", "heads=", true);
    offers(s, "block(x, ma|", "mask=", true);
    offers(s, "block.grow(1, tw|", "twice=", true);
    offers(s, "zeta_fn(st|", "steps=", true);
    offers(s, "nn.Linear(3, 4, bi|", "bias=", true);
    offers(s, "f(conv2d(x, [1, 2], (3), st|", "stride=", true);
    offers(s, "conv2d(x, w)\nst|", "stride=", false);
    offers(s, "conv2d(x, w[st|", "stride=", false);
}

static void test_values(Session *s)
{
    expect(s, "interpolate(x, mode=\"bil|\")", "interpolate(x, mode=\"bilinear\")", "bilinear value mode");
    expect(s, "interpolate(x, mode=bil|)", "interpolate(x, mode=\"bilinear\")", "\"bilinear\" value mode");
    expect(s, "conv2d(x, w, padding=\"|\")", "conv2d(x, w, padding=\"same\")", "same value padding, valid value padding");
    expect(s, "conv2d(x, w, padding=|)", "conv2d(x, w, padding=\"same\")", "\"same\" value padding, \"valid\" value padding");
    expect(s, "zeros(3, dtype=bf|)", "zeros(3, dtype=bf16)", "bf16 dtype dtype");
    expect(s, "pad(x, [1, 1], mode=\"re|", "pad(x, [1, 1], mode=\"reflect", "reflect value mode, replicate value mode");
    expect(s, "resize_it(3, how=\"|\")", "resize_it(3, how=\"far\")", "far value how, near value how, odd value how");
    expect(s, "resize_it(3, wide=|)", "resize_it(3, wide=false)", "false value wide, true value wide");
    offers(s, "f(a == |", "zebra", true);
}

static void test_keys(Session *s)
{
    expect(s, "batch[\"|\"]", "batch[\"image\"]", "image key f32[2, 3], label key list of 2, two words key int");
    expect(s, "batch[\"tw|", "batch[\"two words", "two words key int");
    expect(s, "table.inner[\"|", NULL, "deep key int");
    expect(s, "f(batch[\"la|\"])", "f(batch[\"label\"])", "label key list of 2");
    offers(s, "batch[|", "\"image\"", true);
    offers(s, "\"loss {batch.im|}\"", "image", true);
}

static void test_paths(Session *s)
{
    char folder[] = "/tmp/tessera-complete-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0) return;
    fclose(fopen("alpha.tsr", "w"));
    fclose(fopen("albert.csv", "w"));
    fclose(fopen(".hidden", "w"));
    mkdir("alps", 0700);
    fclose(fopen("alps/one.png", "w"));
    expect(s, "load(\"al|\")", "load(\"albert.csv\")", "albert.csv file , alpha.tsr file , alps/ folder ");
    expect(s, "load('alps/|')", "load('alps/one.png')", "one.png file ");
    expect(s, "load(\"|", NULL, "albert.csv file , alpha.tsr file , alps/ folder ");
    expect(s, "load(\".h|", "load(\".hidden", ".hidden file ");
    expect(s, "load(\"none/|", NULL, "");
    expect(s, ":load al|", NULL, "albert.csv file , alpha.tsr file , alps/ folder ");
    char path[64];
    const char *const files[] = {"alps/one.png", "alpha.tsr", "albert.csv", ".hidden"};
    for (int i = 0; i < 4; i++) unlink(files[i]);
    rmdir("alps");
    snprintf(path, sizeof path, "%s", folder);
    tap_ok(chdir("/") == 0 && rmdir(path) == 0, "the folder goes");
}

static void test_commands(Session *s)
{
    expect(s, ":ti|", ":time", "time command runs code often enough to tell how long it takes and what it allocates");
    expect(s, ":doc zeb|", ":doc zebra", "zebra variable f32[64, 10]");
    expect(s, ":time conv2d(x, w, st|)", ":time conv2d(x, w, stride=)", "stride= argument stride:ints=1…");
    expect(s, ":help ti|", NULL, "time command runs code often enough to tell how long it takes and what it allocates, tile function "
                                 "tile(x, ..repeats:ints)…");
    expect(s, ":mem zeb|", NULL, "");
    offers(s, "x = 1\n:re|", "reset", true);
    offers(s, "x = [1,\n:re|", "reset", false);
}

/* ---- any text ---- */

static const char *const programs[] = {
    "fn attention(q: [..., t, d], k: [..., s, d]) -> [..., t, d] =\n    softmax(q @ k.T / sqrt(d), -1) @ v  # \"why?\n",
    ("model Block(dim, heads=3) {\n    n1 = nn.LayerNorm(dim);  qkv = nn.Linear(dim, 3*dim)\n    fn forward(x) {\n"
     "        (q, k) = rearrange(qkv(n1(x)), \"b t (three h d) -> three b h t d\", three=3, h=heads)\n    }\n}\n"),
    "batch[\"la{zebra.shape[0]}\\\"x\"].f(mode=\"\xc3\xa4\xe2\x82\xac\", ..rest)\n:time conv2d(x, st='same'\n?zebra\n:nope \"\n",
    ")]}\"}{[(\"{((((\"{\"{\"{\\", "x = {a: 1, \"b c\": 2, ..m}\nfor i in 0..3 { x[i] |> f(a.b.c.) }\n:save /\n:load ~/\n"};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_everywhere(Session *s)
{
    bool fine = true;
    int asked = 0, indent;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        size_t length = strlen(programs[i]);
        for (size_t end = 0; end <= length; end++) {
            char *text = malloc(end + 1);            /* exactly so long: what reads behind it is seen */
            memcpy(text, programs[i], end);
            text[end] = 0;
            for (size_t cursor = end > 60 ? end - 60 : 0; cursor <= end; cursor++, asked++) {
                Completions found;
                fine = session_complete(s, text, end, cursor, &found) && fine;
                fine = fine && found.start <= found.end && found.start <= cursor && found.end <= end;
                completions_clear(&found);
                free(session_inspect(s, text, end, cursor));
            }
            session_is_complete(s, text, end, &indent);
            free(text);
        }
    }
    tap_ok(fine, "every prefix of every program can be completed at every place (%d times)", asked);
}

static void test_speed(Session *s)
{
    static const char *const texts[] = {"", "a", "y = conv2d(zebra, s", "zebra.", "nn."};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double best = 1;
        for (int round = 0; round < 20; round++) {
            Completions found;
            double start = seconds();
            session_complete(s, texts[i], strlen(texts[i]), strlen(texts[i]), &found);
            double took = seconds() - start;
            completions_clear(&found);
            if (took < best) best = took;
        }
        tap_note("%.3f ms", best * 1e3);
        tap_ok(best < 0.02, "completes \"%s\" at once", texts[i]);      /* 0.8 ms are asked for; sanitizers take longer */
    }
}

int main(void)
{
    SessionConfig config = {.output = output, .width = 80};
    Session *s = session_new(&config);
    run(s, setting);
    test_names(s);
    test_arguments(s);
    test_values(s);
    test_keys(s);
    test_paths(s);
    test_commands(s);
    test_everywhere(s);
    test_speed(s);
    session_free(s);
    tap_ok(session_live_objects() == 0, "nothing is alive after the last session (%lld)", session_live_objects());
    return tap_end();
}
