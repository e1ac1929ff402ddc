/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures and progress in terminals: this test is the terminal. It answers the program's questions as kitty, iTerm2, a
   terminal with sixels or one that knows nothing would, and looks at what comes. */
#include <pthread.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../repl/line.h"
#include "../../repl/screen.h"
#include "talk.h"

#define ASKS_KITTY "\033_Gi=31,"
#define ASKS_ATTRIBUTES "\033[c"
#define KITTY_ANSWERS "\033_Gi=31;OK\033\\"
#define ANSWERS "\033[?62;22c"
#define SIXEL_ANSWERS "\033[?62;4;22c"
#define PNG_BASE64 "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEklEQVR42mP4z8DAAMIM/4EAAB/uBfvxq7p3AAAAAElFTkSuQmCC"

/* Red, green; blue, white. */
static const char source[] =
    "bytes = u8(tensor([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0,\n"
    "    0, 253, 212, 154, 115, 0, 0, 0, 18, 73, 68, 65, 84, 120, 218, 99, 248, 207, 192, 192, 0, 194, 12, 255, 129, 0,\n"
    "    0, 31, 238, 5, 251, 241, 171, 186, 119, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130]))\n"
    "fn png(bytes, text) = ({show: () -> ({\"text/plain\": text, \"image/png\": bytes})})\n"
    "small = png(bytes, \"four points\")\n"
    "wide = bytes\n"
    "wide[16:24] = u8([0, 0, 15, 160, 0, 0, 3, 232])      # 4000x1000, as its head says\n"
    "wide = png(wide, \"wide\")\n"
    "chart = {show: () -> ({\"text/plain\": \"a chart\", \"image/svg+xml\": \"<svg/>\", \"image/png\": bytes})}\n";

typedef struct Terminal {
    const char *env[8];       /* names and values in turn */
    int columns, rows;        /* 0: 80 and 24 */
    int pixels_x, pixels_y;
} Terminal;

static char folder[] = "/tmp/tessera-pictures-XXXXXX";
static const char *program;

/* ---- threads that put out lines while one is edited, as a loader's warnings would ---- */

static Screen screen;

static void *talk(void *number)
{
    char text[40];
    for (int i = 0; i < 20; i++) {
        usleep(20000);
        int length = snprintf(text, sizeof text, "thread %d note %d\n", (int)(size_t)number, i);
        screen_output(&screen, i % 2 ? OUTPUT_ERR : OUTPUT_OUT, text, (size_t)length);
    }
    return NULL;
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static void take_notes(void *user)
{
    (void)user;
    screen_take_notes(&screen);
}

static int edit_beside_threads(void)
{
    char *error = NULL;
    bool cancelled;
    int indent;
    pthread_t thread[2];
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    screen_open(&screen);
    const LineModule *lines = session_open_module("repl", &error);
    if (!lines) {
        puts(error);
        free(error);
        fflush(stdout);
        return 2;
    }
    Session *session = session_new(&(SessionConfig){.width = 80});
    lines->open(&(LineHost){.session = session, .interrupted = never, .wake = screen_wake(&screen), .woken = take_notes});
    for (size_t i = 0; i < 2; i++)
        if (pthread_create(&thread[i], NULL, talk, (void *)(i + 1)) != 0) return 1;
    char *line = lines->read("? ", NULL, &cancelled);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    screen_take_notes(&screen);
    bool whole = line && session_is_complete(session, line, strlen(line), &indent) == CODE_COMPLETE;
    printf("read: %s\n", whole ? line : "nothing");
    fflush(stdout);
    free(line);
    lines->close();
    session_free(session);
    return 0;
}

/* ---- the terminal ---- */

static void become(const Terminal *as, char *const *arguments)
{
    static const char *const foreign[] = {"TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL", "COLORTERM", "TESSERA_PICTURES",
                                          "NO_COLOR"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) unsetenv(foreign[i]);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    for (int i = 0; i < 8 && as->env[i]; i += 2) setenv(as->env[i], as->env[i + 1], 1);
    execv(program, arguments);
    _exit(127);
}

/* [arguments] NULL: this program's own editor with threads. */
static bool start(const Terminal *as, char *const *arguments)
{
    struct winsize size = {.ws_row = (unsigned short)(as->rows ? as->rows : 24),
                           .ws_col = (unsigned short)(as->columns ? as->columns : 80),
                           .ws_xpixel = (unsigned short)as->pixels_x, .ws_ypixel = (unsigned short)as->pixels_y};
    n_seen = looked = 0;
    child = forkpty(&terminal, NULL, NULL, &size);
    if (child == 0 && arguments) become(as, arguments);
    if (child == 0) _exit(edit_beside_threads());
    return child > 0;
}

static void note_seen(size_t from)
{
    char text[2000];
    size_t used = 0;
    for (size_t i = from; i < n_seen && used + 8 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, seen[i] < ' ' && seen[i] >= 0 ? "\\%03o" : "%c", seen[i]);
    tap_note("seen: %.*s", (int)used, text);
}

static bool expect(const char *text, const char *name)
{
    size_t before = looked;
    if (tap_ok(wait_for(text, 20), "%s", name)) return true;
    note_seen(before);
    return false;
}

/* Starts a script of [source] and [code]. */
static bool run(const Terminal *as, const char *code)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/script.tsr", folder);
    FILE *file = fopen(path, "w");
    bool fine = file && fputs(source, file) >= 0 && fputs(code, file) >= 0 && fclose(file) == 0;
    char *arguments[] = {"tessera", "run", path, NULL};
    return tap_ok(fine && start(as, arguments), "a terminal runs: %.*s", (int)strcspn(code, "\n"), code);
}

static bool saw(const char *text)
{
    seen[n_seen] = 0;
    return strstr(seen, text) != NULL;
}

/* ---- what terminals are ---- */

static void test_kitty(void)
{
    if (!run(&(Terminal){0}, "display(small)\ndisplay(chart)\nprint(\"end\")\n")) return;
    if (expect(ASKS_KITTY, "the program asks for graphics")) expect(ASKS_ATTRIBUTES, "and for what every terminal answers");
    type(KITTY_ANSWERS ANSWERS);
    expect("\033_Ga=T,f=100,q=2,c=16,r=8,m=0;" PNG_BASE64 "\033\\", "a kitty gets the file itself");
    expect("\033_Ga=T,", "charts are pictures too");
    expect("end", "and the script goes on");
    tap_ok(finish() == 0 && !saw("62;22c"), "no answer is echoed");
}

static void test_iterm2(void)
{
    if (!run(&(Terminal){.env = {"LC_TERMINAL", "iTerm2"}}, "display(small)\n")) return;
    wait_for(ASKS_ATTRIBUTES, 20);
    type(ANSWERS);
    expect("\033]1337;File=inline=1;size=75;width=16;height=8;preserveAspectRatio=1:" PNG_BASE64 "\007", "iTerm2 too");
    tap_ok(finish() == 0, "and ends");
}

static void test_sixel(void)
{
    if (!run(&(Terminal){0}, "display(small)\n")) return;
    wait_for(ASKS_ATTRIBUTES, 20);
    type("\033[6;20;10t" SIXEL_ANSWERS);
    expect("\033P", "sixels begin");
    expect("\"1;1;160;156", "as many as 16 columns of 10 pixels and 8 rows of 20, in sixes");
    expect("\033\\", "and end");
    tap_ok(finish() == 0, "and the program too");
}

/* Answers that cannot be. */
static void test_nonsense(void)
{
    static const char *const answers[] = {"\033[6;99999;99999t" SIXEL_ANSWERS, "\033[6;-1;0t\033[6;;t" SIXEL_ANSWERS,
                                          "\033_Gi=31;ENOENT\033\\\033[?99999999999999999999999;;4c", "\033_G\033_G;OK\033[?4"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (!run(&(Terminal){0}, "display(small)\nprint(\"end\")\n")) return;
        wait_for(ASKS_ATTRIBUTES, 20);
        type(answers[i]);
        expect(i < 3 ? "\033P" : "\033[0m", "an answer that cannot be");
        expect("end\r\n", "does no harm");
        tap_ok(finish() == 0, "at all");
    }
}

static void test_silence(void)
{
    if (!run(&(Terminal){.env = {"COLORTERM", "truecolor"}}, "display(small)\ndisplay(chart)\nprint(\"end\")\n")) return;
    wait_for(ASKS_ATTRIBUTES, 20);
    double asked = now();
    expect("\033[0m", "without an answer blocks are drawn");
    double waited = now() - asked;
    if (!tap_ok(waited < 1, "after a tenth of a second")) tap_note("%g s", waited);
    expect("a chart", "charts by their text");
    tap_ok(finish() == 0, "and ends");
}

static void test_multiplexer(void)
{
    if (!run(&(Terminal){.env = {"TMUX", "/tmp/none", "LC_TERMINAL", "iTerm2"}}, "display(small)\nprint(\"end\")\n")) return;
    wait_for(ASKS_ATTRIBUTES, 20);
    type(ANSWERS);
    expect("end", "a multiplexer that answers");
    tap_ok(finish() == 0 && !saw(ASKS_KITTY) && !saw("1337;") && saw("\033[0m"), "gets blocks, whatever is around it");
}

static void test_refusals(void)
{
    static const Terminal plain[] = {{.env = {"NO_COLOR", "1"}}, {.env = {"TERM", "dumb"}}, {.env = {"TESSERA_PICTURES", "none"}},
                                     {.env = {"TERM", "dumb", "TESSERA_PICTURES", "kitty"}}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!run(&plain[i], "display(small)\n")) return;
        bool fine = wait_for("four points\r\n", 20);
        if (!tap_ok(finish() == 0 && fine && !saw("\033"), "%s=%s: a line of text", plain[i].env[0], plain[i].env[1])) note_seen(0);
    }
    if (!run(&(Terminal){.env = {"TESSERA_PICTURES", "kitty", "NO_COLOR", "1"}}, "display(small)\n")) return;
    expect("\033_Ga=T", "TESSERA_PICTURES wins over NO_COLOR");
    tap_ok(finish() == 0 && !saw(ASKS_ATTRIBUTES), "and nothing is asked");
}

/* The letter of the colour that [code], such as "38;2;255;0;0", names. */
static char find_colour(const char *code)
{
    static const struct { const char *code; char letter; } colours[] = {
        {"2;255;0;0", 'r'}, {"2;0;255;0", 'g'}, {"2;0;0;255", 'b'}, {"2;255;255;255", 'w'},
        {"5;196", 'r'}, {"5;46", 'g'}, {"5;21", 'b'}, {"5;231", 'w'},
    };
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
        if (strncmp(code, colours[i].code, strlen(colours[i].code)) == 0) return colours[i].letter;
    return '?';
}

/* What blanks look like: a letter for each, a line for each row. Anything but blanks is a '?'. */
static void look(const char *at, char *picture, size_t size)
{
    char front = '.', back = '.', *end = picture + size - 2;
    bool reverse = false;
    for (; *at && picture < end; at++) {
        if (*at == '\033' && at[1] == '[') {
            const char *code = at + 2, *found;
            at += strcspn(at, "m");
            if (*code == '0') front = back = '.', reverse = false;
            if (*code == '7') reverse = true;
            if ((found = strstr(code, "38;")) && found < at) front = find_colour(found + 3);
            if ((found = strstr(code, "48;")) && found < at) back = find_colour(found + 3);
        } else if (*at == '\n') {
            *picture++ = '\n';
        } else if (*at != '\r') {
            *picture++ = *at != ' ' ? '?' : reverse ? front : back;
        }
    }
    *picture = 0;
}

#define LINES_4(line) line "\n" line "\n" line "\n" line "\n"

/* The four points on 16 columns and 8 rows. */
static void test_blocks(void)
{
    static const char *const names[] = {"truecolor", ""};
    for (int i = 0; i < 2; i++) {
        char picture[1000];
        if (!run(&(Terminal){.env = {"TESSERA_PICTURES", "blocks", "COLORTERM", names[i]}}, "display(small)\n")) return;
        finish();
        look(seen, picture, sizeof picture);
        bool fine = strcmp(picture, LINES_4("rrrrrrrrgggggggg") LINES_4("bbbbbbbbwwwwwwww") "????.??????\n") == 0;
        if (!tap_ok(fine, "blocks and the text below, colours %s", *names[i] ? names[i] : "256")) tap_note("%s", picture);
    }
}

static void test_sizes(void)
{
    static const struct { Terminal as; const char *expected; } cases[] = {
        {{.env = {"TESSERA_PICTURES", "kitty"}}, "c=80,r=10,"},
        {{.env = {"TESSERA_PICTURES", "kitty"}, .columns = 200, .rows = 60, .pixels_x = 2000, .pixels_y = 1200}, "c=80,r=10,"},
        {{.env = {"TESSERA_PICTURES", "kitty"}, .columns = 30, .rows = 60}, "c=30,r=4,"},
        {{.env = {"TESSERA_PICTURES", "kitty"}, .columns = 80, .rows = 7}, "c=40,r=5,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!run(&cases[i].as, "display(wide)\n")) return;
        expect(cases[i].expected, "fits");
        finish();
    }
}

static void test_damage(void)
{
    if (!run(&(Terminal){.env = {"TESSERA_PICTURES", "blocks"}}, "display(png(bytes[:40], \"cut\"))\ndisplay(png(bytes[:7], \"none\"))\n")) return;
    expect("cut\r\n", "a damaged picture is its text");
    expect("none\r\n", "and one without a head");
    tap_ok(finish() == 0, "without harm");
}

static void test_places(void)
{
    const Terminal kitty = {.env = {"TESSERA_PICTURES", "kitty"}};
    if (!run(&kitty, "display(small, \"p\")\ndisplay(small, \"p\")\nprint(1)\ndisplay(small, \"p\")\n"
                     "display(\"one\\ntwo\", \"t\")\ndisplay(\"three\", \"t\")\n")) return;
    expect("i=33554433,c=16,r=8", "a picture with a name");
    expect("\033[8A\r\033[J\033_Ga=T,f=100,q=2,i=33554433,", "is replaced where it ends above the cursor");
    expect("1\r\n", "but not across what was printed later");
    expect("four points\r\n", "then a line tells of it");
    expect("\"one\\ntwo\"", "texts");
    expect("\033[1A\r\033[J\"three\"", "are replaced as well");
    tap_ok(finish() == 0, "and ends");
}

/* ---- progress ---- */

static const char nested[] =
    "for e in progress(0..2, \"学習\", curve=true) {\n"
    "    for i in progress(0..8, \"batch\") { sleep(0.05); report(loss=1 / (1 + i + 8 * e)) }\n"
    "    if e == 0 { print(\"between\") }\n"
    "}\n"
    "print(\"end\")\n";

static void test_progress(void)
{
    if (!run(&(Terminal){0}, nested)) return;
    expect("\r学習 0/2  ────────────────────────  0:00", "the outer line, as soon as it begins");
    expect("\r\nbatch 0/8  ──", "the inner one below, the bars at one height");
    expect("\r\033[1A学習 0/2", "both in place again");
    expect("loss 1", "with what was reported");
    expect("\n        1 \xE2", "and the curve below");
    expect("A\033[Jbetween\r\n", "all of it goes before a line of output");
    expect("学習 1/2   ━━━━━━━━━━━━────────────", "and comes back");
    expect("batch ", "with the next inner loop");
    expect("学習 2/2  ━━━━━━━━━━━━━━━━━━━━━━━━", "what is over stays");
    expect("\033[K\033[J\r\nend\r\n", "the cursor below it");
    tap_ok(finish() == 0 && !saw("stopped"), "and ends well");
}

static void test_progress_narrow(void)
{
    if (!run(&(Terminal){.columns = 20}, "for i in progress(0..3, \"学学学学学学学学学学学学\") { sleep(0.12) }\n")) return;
    expect("\r学学学学学学学学学\033[K", "a line is cut before its last column, between wide characters");
    finish();
    if (!run(&(Terminal){.rows = 4}, nested)) return;
    expect("学習 2/2", "a low terminal");
    tap_ok(finish() == 0 && !saw("\xE2\xA0"), "has no curve");
    if (!run(&(Terminal){.env = {"LC_ALL", "C"}}, "for i in progress(0..2, \"a\\tb\", curve=true) { report(loss=i); sleep(0.12) }\n")) return;
    expect("\ra b 1/2  ############------------", "without Unicode bars are ASCII; control characters do not pass");
    finish();
}

static void test_progress_stops(void)
{
    static const char endless[] = "for e in progress(0..2, \"outer\") { for i in progress(0..999, \"inner\") { sleep(0.02) } }\n";
    if (!run(&(Terminal){.env = {"NO_COLOR", "1"}}, endless)) return;
    expect(" left", "a loop runs");
    type("\003");
    expect("outer 0/2", "Ctrl-C: the lines");
    expect("stopped\033[K\r\ninner ", "both");
    expect("stopped\033[K\033[J\r\n", "say where it stopped");
    expect("interrupted", "and the message stands below");
    tap_ok(finish() == 130, "with its status");
    if (!run(&(Terminal){.env = {"NO_COLOR", "1"}},
             "try { for i in progress(0..9) { throw i } } catch e { 0 }\nfor i in progress(0..9, \"again\") { 1 // i }\n")) return;
    expect("stopped", "an error that is caught closes its line");
    expect("again 0/9", "the next loop");
    expect("stopped\033[K\033[J\r\ndivision by zero", "and one that is not");
    tap_ok(finish() == 1, "with its status");
}

/* It takes ten seconds, in which the other tests run. */
static pid_t start_file(const char *to)
{
    char path[64];
    snprintf(path, sizeof path, "%s/file.tsr", folder);
    FILE *file = fopen(path, "w");
    if (!file || fputs("for e in progress(0..2, \"outer\") { for i in progress(0..53, \"inner\", curve=true) {\n"
                       "    report(loss=0.5)\n    sleep(0.1)\n} }\n", file) < 0 || fclose(file) != 0) return -1;
    pid_t started = fork();
    if (started != 0) return started;
    if (!freopen(to, "w", stderr)) _exit(126);
    execl(program, "tessera", "run", path, NULL);
    _exit(127);
}

static void test_file(pid_t started, const char *path)
{
    char text[2000];
    int status = -1, lines = 0, strange = 0;
    if (!tap_ok(started > 0 && waitpid(started, &status, 0) == started && status == 0, "a script with standard error in a file")) return;
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[length] = 0;
    for (size_t i = 0; i < length; i++) {
        lines += text[i] == '\n';
        strange += text[i] != '\n' && (text[i] < ' ' || text[i] > '~');
    }
    bool fine = lines >= 2 && lines <= 4 && strange == 0 && strncmp(text, "outer 1/2  inner ", 17) == 0;
    if (!tap_ok(fine && strstr(text, "outer 2/2  "), "a line every ten seconds and at the end, nothing else")) tap_note("%s", text);
}

/* ---- keys and threads ---- */

static void test_typed_ahead(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/script.tsr", folder);
    FILE *file = fopen(path, "w");
    if (!file || fputs(source, file) < 0 || fclose(file) != 0) return;
    char *arguments[] = {"tessera", "run", "--prompt", path, NULL};
    if (!tap_ok(start(&(Terminal){.env = {"NO_COLOR", ""}}, arguments), "a prompt")) return;
    expect(">>> ", "waits");
    type("small\r");
    expect(ASKS_ATTRIBUTES, "the first picture asks the terminal");
    type("40 \033[D" KITTY_ANSWERS "+" ANSWERS " 2\r");
    expect("\033_Ga=T,", "keys between the answers do not hide them");
    expect("\r\n42\r\n", "and come to the prompt");
    type("6 *" KITTY_ANSWERS "\033[6;16;8t" ANSWERS " 7\r");
    expect("\r\n42\r\n", "answers that come late are not typed");
    type("display(small, \"p\")\r");
    expect("\033_Ga=T,", "a picture with a name");
    type("update_display(small, \"p\")\r");
    expect("four points", "of which the next input tells");
    tap_ok(!saw("\033[8A"), "without going back over the prompt");
    type("x = [6, 7]\r\004");
    tap_ok(finish() == 0, "which goes on");
}

static void test_typed_input(void)
{
    if (!run(&(Terminal){0}, "display(small)\nprint(\"[\" ++ input(\"name? \") ++ \"]\" ++ input(\"more? \"))\n")) return;
    wait_for(ASKS_ATTRIBUTES, 20);
    type("Ax\177da\nLove" ANSWERS "lace\n");
    if (!expect("[Ada]Lovelace\r\n", "input() gets what was typed while the terminal was asked")) note_seen(0);
    tap_ok(finish() == 0, "all of it");
}

static void test_threads(void)
{
    if (!tap_ok(start(&(Terminal){0}, NULL), "threads beside an edited line")) return;
    if (!wait_for("? ", 20)) {
        tap_ok(finish() == 2, "# SKIP no line editor here");
        note_seen(0);
        return;
    }
    type("12345");
    expect("thread 1 note 3\r\n", "what a thread says stands in lines of its own");
    expect("? 12345", "and the edited line is drawn again below them");
    type("678\r");
    expect("read: 12345678", "as it was");
    tap_ok(finish() == 0, "and ends");
    int count = 0, whole = 0;
    for (const char *at = seen; (at = strstr(at, "thread ")) != NULL; at++, count++)
        whole += at > seen && strchr("\n\rJK", at[-1]) && strncmp(at + strcspn(at, "\r\n"), "\r\n", 2) == 0;
    if (!tap_ok(count == 40 && whole == count, "nothing is lost, and each begins a line")) note_seen(0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    program = getenv("TESSERA");
    if (!program) program = "./tessera";
    if (!pty_usable()) {
        puts("1..0 # SKIP no pseudo-terminals here");
        return 0;
    }
    if (!mkdtemp(folder)) return 1;
    setenv("XDG_STATE_HOME", folder, 1);
    char log[64];
    snprintf(log, sizeof log, "%s/log", folder);
    pid_t filed = start_file(log);
    test_kitty();
    test_iterm2();
    test_sixel();
    test_silence();
    test_nonsense();
    test_multiplexer();
    test_refusals();
    test_blocks();
    test_sizes();
    test_damage();
    test_places();
    test_typed_ahead();
    test_typed_input();
    test_threads();
    test_progress();
    test_progress_narrow();
    test_progress_stops();
    test_file(filed, log);
    return tap_end();
}
