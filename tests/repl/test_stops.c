/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger as a user of the prompt meets it, over a pseudo-terminal: :debug, :break and what is typed while something
   is stopped, wrong input among it, Ctrl-C in every state, and `tessera debug`. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prompted.h"

static const char *program;
static char folder[] = "/tmp/tessera-stops-XXXXXX";

static bool write_script(void)
{
    FILE *file = fopen("train.tsr", "w");
    bool fine = file && fputs("option n = 3 \"rounds\"\n\nfn loss(w) {\n  d = w - 3.0\n  d * d\n}\n\nw = 0.0\n"
                              "for i in 0..n {\n  w -= 0.1 * grad(loss)(w)\n}\nprint(\"done\")\n", file) >= 0;
    return (!file || fclose(file) == 0) && fine;
}

static void test_steps(void)
{
    char *arguments[] = {"tessera", "--no-init", NULL};
    if (!tap_ok(start(program, arguments, folder, 40, 100), "a prompt")) return;
    expect(":load train.tsr\r", "done", "a file is loaded");
    expect(":debug loss(5.0)\r", "entry: loss at train.tsr:4", ":debug stops at the first statement");
    expect(NULL, "->    4 |   d = w - 3.0", "with the lines around it");
    expect(NULL, "(debug) loss at train.tsr:4> ", "and a prompt that says where");
    expect(":next\r", "->    5 |   d * d", ":next");
    expect("d + 1\r", "3.0", "an expression is evaluated there");
    expect(":locals\r", "d  2.0", "its variables");
    expect("d = 10.0\r", "> ", "one is assigned");
    expect("nope\r", "nope is not defined", "an error comes back to the prompt");
    expect(NULL, "(debug) loss at train.tsr:5> ", "which is still there");
    expect(":where\r", "->  0  loss at train.tsr:5", ":where");
    expect(NULL, " 1  <input 2>:1", "with who called");
    expect(":up\r", "loss(5.0)", ":up");
    expect(NULL, "(debug) <input 2>:1> ", "which the prompt tells");
    expect(":up\r", "this is the outermost frame", "no further");
    expect(":down\r", "(debug) loss at train.tsr:5> ", ":down");
    expect("while true {}\r", "\n", "a loop in an evaluation");
    usleep(300000);
    expect("\003", "interrupted", "Ctrl-C ends it");
    expect(NULL, "(debug) loss at train.tsr:5> ", "and nothing else");
    expect("abc\003", "(debug) loss at train.tsr:5> ", "Ctrl-C drops what is typed");
    expect("(1 +\r", "... ", "what is not whole asks for more");
    expect("1)\r", "2", "then runs");
    expect(":debug 1\r", "stopped already", ":debug in the debugger");
    expect(":reset\r", "leaves the debugger first", ":reset in the debugger");
    expect(":continue\r", "100.0", ":continue gives the value");
    expect(":step\r", "nothing is stopped", ":step when nothing is stopped");
    expect(":debug 1 + 1\r", "no statement of yours was reached", "nothing to stop at");
    expect(":debug for i in 0..2 {\r", ". ", "a block");
    expect("loss(1.0) }\r", "entry: <input", "is stopped at itself");
    expect(":step\r", "->", ":step");
    expect("\r", "loss at train.tsr:4> ", "Enter takes the step again");
    expect(":out\r", "step: <input", ":out");
    expect(":quit\r", "interrupted: ended in the debugger", ":quit ends the run");
    expect("1 + 1\r", "2", "and the session goes on");
    expect("\004", "", "Ctrl-D");
    tap_ok(finish() == 0, "leaves");
}

static void test_breaks(void)
{
    char *arguments[] = {"tessera", "--no-init", NULL};
    if (!tap_ok(start(program, arguments, folder, 40, 100), "a prompt")) return;
    expect(":break nowhere:3\r", "nowhere is no file, and no code of that name has run", "a file that is not there");
    expect(":break train.tsr:99\r", "there is no statement at or after line 99", "a line behind the end");
    expect(":break train.tsr:4 if (\r", "is no expression", "a condition that cannot be read");
    expect(":break 1 + 1\r", "is no place", "no place");
    expect(":break train.tsr:3\r", "breakpoint 1  train.tsr:4  (line 3 has no statement)", "a file that is not read yet");
    expect(":break later if n > 2\r", "breakpoint 2  later  (not defined yet)  if n > 2", "a function that is not there yet");
    expect(":break\r", "2  later  (not defined yet)", ":break lists them");
    expect(":load train.tsr\r", "breakpoint 1: loss at train.tsr:4", "the file stops");
    expect(NULL, "train.tsr:4> ", "in the loop");
    expect("w = 100.0\r", "> ", "something is changed");
    expect(":unbreak 1\r", "> ", "the breakpoint goes");
    expect(":c\r", "done", "it runs to its end");
    expect("fn later(n) {\r", ". ", "the function");
    expect("  n + 1\r}\r", "> ", "is defined");
    expect("later(1)\r", "2", "its condition does not hold");
    expect("later(5)\r", "breakpoint 2: later at", "now it does");
    expect("fn later(n) = 0\r", "> ", "it is defined anew meanwhile");
    expect(":c\r", "6", "what runs stays what it was");
    expect("later(5)\r", "breakpoint 2: later at", "the new one stops as well");
    expect(":c\r", "0", "and gives its value");
    expect(":unbreak 9\r", "there is no breakpoint 9", "one that is not there");
    expect(":unbreak all\r", "> ", "all go");
    expect(":break error\r", "stops where an error is raised that nothing catches", ":break error");
    expect("fn bad(k) {\r", ". ", "a function");
    expect("  q = k * 2\r  q + none\r}\r", "> ", "that fails");
    expect("bad(4)\r", "none", "it fails");
    expect(NULL, "(debug) bad at <input", "and is stopped in");
    expect("q\r", "8", "its variables are there");
    expect(":c\r", "type error", "then the error goes on");
    expect(":unbreak error\r", "> ", "errors pass again");
    expect("bad(5)\r", "type error", "one does");
    expect(":debug\r", "(debug) bad at <input", ":debug alone looks at what failed");
    expect("q * 10\r", "100", "in its frame");
    expect(":next\r", "it has ended with this error", "but does not go on");
    expect(":quit\r", ">>> ", ":quit leaves");
    expect(":debug while true { x = 1 }\r", "entry: ", "a loop without end");
    expect(":c\r", "\n", "runs");
    usleep(300000);
    expect("\003", "pause: <input", "Ctrl-C stops it in the debugger");
    expect("x\r", "1", "where it is");
    expect(":c\r", "\n", "it goes on");
    usleep(300000);
    expect("\003", "pause: <input", "and is stopped again");
    expect("\004", "ended in the debugger", "Ctrl-D leaves the debugger");
    expect("while true {}\r", "\n", "outside of :debug");
    usleep(300000);
    expect("\003", "interrupted", "Ctrl-C interrupts");
    expect("exit(3)\r", "", "exit");
    tap_ok(finish() == 3, "leaves");
}

static void test_program(void)
{
    char *arguments[] = {"tessera", "debug", "train.tsr", "--n", "2", NULL};
    if (!tap_ok(start(program, arguments, folder, 40, 100), "tessera debug")) return;
    expect(NULL, "entry: train.tsr:1", "stops at the first statement");
    expect(":break loss\r", "breakpoint 1  loss", "a function that is declared later");
    expect(":c\r", "breakpoint 1: loss at train.tsr:4", "is stopped in");
    expect("n\r", "2", "the script's option holds");
    expect("exit(5)\r", "", "exit() leaves");
    tap_ok(finish() == 5, "with its status");
    if (!tap_ok(start(program, arguments, folder, 40, 100), "tessera debug")) return;
    expect(NULL, "train.tsr:1> ", "asks");
    expect(":c\r", "done", "runs to the end");
    tap_ok(finish() == 0, "and ends");
    if (!tap_ok(start(program, arguments, folder, 40, 100), "tessera debug")) return;
    expect(NULL, "train.tsr:1> ", "asks");
    expect(":quit\r", "ended in the debugger", "is left");
    tap_ok(finish() == 130, "as if interrupted");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *named = getenv("TESSERA");
    char *path = realpath(named ? named : "./tessera", NULL);
    if (!pty_usable()) {
        puts("1..0 # SKIP no pseudo-terminals here");
        free(path);
        return 0;
    }
    if (!path || !mkdtemp(folder) || chdir(folder) != 0 || !write_script()) return 1;
    program = path;
    setenv("XDG_STATE_HOME", folder, 1);
    test_steps();
    test_breaks();
    test_program();
    unlink("train.tsr");
    unlink("tessera/history");
    rmdir("tessera");
    if (chdir("/") != 0) tap_note("cannot leave %s", folder);
    tap_ok(rmdir(folder) == 0, "nothing else was written");
    free(path);
    return tap_end();
}
