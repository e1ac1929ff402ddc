/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prompt as a user meets it: drives $TESSERA over a pseudo-terminal, types, and looks for what must appear. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prompted.h"

static void test_prompt(const char *program)
{
    char *arguments[] = {"tessera", NULL};
    if (!tap_ok(start(program, arguments, NULL, 24, 80), "starts on a terminal")) return;
    expect(NULL, "> ", "a prompt appears");
    expect("40 + 2\r", "42\r\n", "a value is shown");
    expect(NULL, "> ", "the prompt is back");
    expect("x = 7\r", "> ", "an assignment shows nothing");
    expect("fn twice(n) {\r", ". ", "an open block asks for more");
    expect("2 * n }\r", "> ", "its end ends the statement");
    expect("twice(x)\r", "14\r\n", "what was declared is there");
    expect("y = (1 +\r", ". ", "an open parenthesis asks for more");
    expect("\003", "> ", "Ctrl-C drops the lines");
    expect("1 // 0\r", "division by zero", "an error is shown");
    expect(NULL, "> ", "and the prompt is back");
    expect("x\r", "7\r\n", "with the variables");
    expect("while true { }\r", "\n", "a loop without end");
    usleep(300000);
    expect("\003", "interrupted", "is ended by Ctrl-C");
    expect("x + 1\r", "8\r\n", "and the session goes on");
    expect("w = randn(1500, 1500)\r", "> ", "a matrix");
    expect("while true { w @ w; fold(0..100000, 0, (a, b) -> a + b) }\r", "\n", "long kernels and callbacks");
    usleep(300000);
    double start_time = now();
    expect("\003", "interrupted", "are ended by Ctrl-C");
    tap_ok(now() - start_time < 2, "soon");
    expect("abc\025x + 2\r", "9\r\n", "lines can be edited");
    expect(NULL, "> ", "the prompt waits");
    expect("w = password(\"say: \")\r", "\nsay: ", "a password is asked for");
    expect("hidden\r", "> ", "and taken");
    expect("w\r", "\"hidden\"", "as it was typed");
    const char *shown = strstr(seen, "hidden");
    tap_ok(shown && shown[-1] == '"', "without being shown");
    expect("\004", "", "Ctrl-D");
    tap_ok(finish() == 0, "leaves with status 0");
}

static void test_script(const char *program, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/prompt.tsr", folder);
    FILE *file = fopen(path, "w");
    if (!file || fputs("for i in progress(0..40, \"work\") { sleep(0.02) }\nkept = 5\nprint(\"over\")\n", file) < 0 || fclose(file) != 0) {
        tap_ok(false, "writes a script");
        return;
    }
    char *arguments[] = {"tessera", "run", "--prompt", path, NULL};
    if (!tap_ok(start(program, arguments, NULL, 24, 80), "a script with --prompt")) return;
    expect(NULL, "work 40/40", "progress is drawn on a terminal");
    expect(NULL, "over", "the script runs");
    expect(NULL, "> ", "a prompt follows");
    expect("kept + 1\r", "6\r\n", "with its variables");
    expect("exit(4)\r", "", "exit");
    tap_ok(finish() == 4, "gives its status");
    unlink(path);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *program = getenv("TESSERA");
    char folder[] = "/tmp/tessera-prompt-XXXXXX";
    if (!program) program = "./tessera";
    if (!pty_usable()) {
        puts("1..0 # SKIP no pseudo-terminals here");
        return 0;
    }
    if (!mkdtemp(folder)) return 1;
    setenv("XDG_STATE_HOME", folder, 1);
    test_prompt(program);
    test_script(program, folder);
    char path[sizeof folder + 32];
    snprintf(path, sizeof path, "%s/tessera/history", folder);
    tap_ok(access(path, R_OK) == 0, "the history is kept");
    unlink(path);
    snprintf(path, sizeof path, "%s/tessera", folder);
    rmdir(path);
    rmdir(folder);
    return tap_end();
}
