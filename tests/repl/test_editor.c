/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line editor as a person sees it: $TESSERA behind a pseudo-terminal, keys typed, whole screens compared, ¦ the
   cursor. Ctrl-L (\f) before a case puts the prompt on top of an empty screen. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "pseudo.h"
#include "terminal.h"

#define UP "\033[A"
#define DOWN "\033[B"
#define RIGHT "\033[C"
#define LEFT "\033[D"
#define PASTE "\033[200~"
#define PASTED "\033[201~"
#define CTRL_A "\001"
#define CTRL_C "\003"
#define CTRL_D "\004"
#define CTRL_E "\005"
#define CTRL_K "\013"
#define CTRL_R "\022"
#define CTRL_U "\025"
#define CTRL_Z "\032"
#define CTRL_UNDO "\037"
#define ALT_ENTER "\033\r"

enum { MAGENTA = 5, CYAN = 6, GREEN = 2, RED = 1, GREY = 8, PATIENCE = 20 };

static const char *program;
static char folder[] = "/tmp/tessera-editor-XXXXXX";
static Terminal t;

static void note_screen(void)
{
    char copy[8192];
    snprintf(copy, sizeof copy, "%s", terminal_text(&t, true));
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) tap_note("  %s", line);
}

/* Types, and waits for a screen. */
static void see(const char *keys, const char *screen, const char *name)
{
    terminal_type(&t, keys);
    if (!tap_ok(terminal_is(&t, screen, PATIENCE), "%s", name)) note_screen();
}

static void see_part(const char *keys, const char *part, const char *name)
{
    terminal_type(&t, keys);
    if (!tap_ok(terminal_has(&t, part, PATIENCE), "%s", name)) note_screen();
}

static void see_color(int row, int column, int color, const char *name)
{
    int found = terminal_color(&t, row, column);
    if (!tap_ok(found == color, "%s", name)) tap_note("colour %d, not %d", found, color);
}

/* An empty line on an empty screen. */
static void clear(void)
{
    terminal_type(&t, CTRL_C);
    terminal_settle(&t, 0.1);
    terminal_type(&t, "\f");
    terminal_is(&t, ">>> ¦", PATIENCE);
}

static void begin(int rows, int columns, const char *const *variables)
{
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    if (!tap_ok(terminal_start(&t, rows, columns, arguments, variables), "starts on %dx%d", columns, rows)) exit(1);
    if (!tap_ok(terminal_has(&t, ">>>", PATIENCE), "a prompt appears")) note_screen();
}

static void leave(void)
{
    terminal_type(&t, CTRL_C);
    terminal_settle(&t, 0.1);
    terminal_type(&t, CTRL_D);
    int status = terminal_finish(&t);
    tap_ok(status == 0, "Ctrl-D leaves (%d)", status);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = strchr(path + sizeof folder, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) tap_ok(false, "writes %s", path);
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static char *read_history(void)
{
    static char text[1 << 21];
    char path[256];
    snprintf(path, sizeof path, "%s/.local/state/tessera/history", folder);
    FILE *file = fopen(path, "r");
    size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[got] = 0;
    return text;
}

/* ---- blocks ---- */

static void test_blocks(void)
{
    begin(24, 80, NULL);
    clear();
    see("fn f(x) {\r", ">>> fn f(x) {\n...     ¦", "Enter in an open block goes on, indented");
    see_color(0, 4, MAGENTA, "a keyword has its colour");
    tap_ok(terminal_cell(&t, 0, 7).attrs.bold, "a declared name is bold");
    see("y = x + 12 # why\r", ">>> fn f(x) {\n...     y = x + 12 # why\n...     ¦", "the next line too");
    see_color(1, 16, CYAN, "a number has its colour");
    see_color(1, 19, GREY, "a comment has its colour");
    see("}", ">>> fn f(x) {\n...     y = x + 12 # why\n... }¦", "a closing brace goes back");
    tap_ok(terminal_cell(&t, 0, 12).attrs.underline && terminal_cell(&t, 2, 4).attrs.underline, "the pair is marked");
    see(UP RIGHT RIGHT RIGHT RIGHT, ">>> fn f(x) {\n...     y¦ = x + 12 # why\n... }", "Up moves in the block");
    tap_ok(!terminal_cell(&t, 0, 12).attrs.underline, "no pair is marked there");
    see("z", ">>> fn f(x) {\n...     yz¦ = x + 12 # why\n... }", "a key goes in there");
    see("\177", ">>> fn f(x) {\n...     y¦ = x + 12 # why\n... }", "Backspace takes it");
    see(CTRL_E ALT_ENTER "y * 2", ">>> fn f(x) {\n...     y = x + 12 # why\n...     y * 2¦\n... }", "Alt-Enter opens a line");
    see("\r", ">>> fn f(x) {\n...     y = x + 12 # why\n...     y * 2\n... }\n>>> ¦", "Enter runs a whole block from its midst");
    see("\ff(1)\r", ">>> f(1)\n26\n>>> ¦", "and it is there");
    see("\f" UP, ">>> f(1)¦", "Up recalls an entry");
    see(UP, ">>> fn f(x) {¦\n...     y = x + 12 # why\n...     y * 2\n... }", "a block is one entry");
    see(DOWN DOWN, ">>> fn f(x) {\n...     y = x + 12 # why\n...     y * 2¦\n... }", "Down moves in it");
    see(DOWN DOWN, ">>> f(1)¦", "and then to the next entry");
    clear();
    see("[1,\r2,\r3]", ">>> [1,\n...     2,\n...     3]¦", "brackets hold a block open");
    see("\r", ">>> [1,\n...     2,\n...     3]\n[1, 2, 3]\n>>> ¦", "and close it");
    clear();
    see("if true {\r\r", ">>> if true {\n...\n...     ¦", "blank lines are allowed");
    see("\177", ">>> if true {\n...\n... ¦", "Backspace takes an indentation at once");
    see("\t", ">>> if true {\n...\n...     ¦", "TAB gives it back");
    see_part("\r", "syntax error", "two blank lines end an unfinished block");
    clear();
    see("x = 1\033\ry = 2" CTRL_A CTRL_K, ">>> x = 1\n... ¦", "Ctrl-K cuts the line");
    see(CTRL_UNDO, ">>> x = 1\n... y = 2¦", "undo brings it back");
    see(CTRL_E CTRL_U, ">>> x = 1\n... ¦", "Ctrl-U cuts the line");
    see("\031", ">>> x = 1\n... y = 2¦", "Ctrl-Y brings it back");
    see(CTRL_A CTRL_A, ">>> ¦x = 1\n... y = 2", "Home once more: the block's start");
    see(CTRL_E CTRL_E, ">>> x = 1\n... y = 2¦", "End once more: its end");
    clear();
    see("1 )", ">>> 1 )¦", "a wrong bracket");
    see_color(0, 6, RED, "is red");
    clear();
    see("\"a{1 + 2}b", ">>> \"a{1 + 2}b¦", "an open string");
    see_color(0, 5, GREEN, "has its colour");
    see_color(0, 7, CYAN, "and so has the code in it");
    clear();
    see("abc", ">>> abc¦", "a line");
    see(CTRL_C, ">>> abc^C\n>>> ¦", "Ctrl-C drops it");
    see("\f1;\r", ">>> 1;\n>>> ¦", "a semicolon mutes");
    see("\f6 * 7\r_ + 1\r", ">>> 6 * 7\n42\n>>> _ + 1\n43\n>>> ¦", "_ is the last value");
    leave();
}

static void test_width(void)
{
    begin(8, 30, NULL);
    clear();
    see("x = \"漢字", ">>> x = \"漢字¦", "wide characters");
    tap_ok(terminal_cell(&t, 0, 9).width == 2 && terminal_cell(&t, 0, 11).chars[0] == 0x5B57, "take two columns");
    see(LEFT "a", ">>> x = \"漢a¦字", "and are gone over at once");
    clear();
    see("\"e\xCC\x81o\"" LEFT LEFT, ">>> \"e\xCC\x81¦o\"", "a combining mark takes none");
    see("\177", ">>> \"¦o\"", "Backspace takes it with its letter");
    clear();
    see("x = 1234567890123456789012345", ">>> x = 1234567890123456789012\n345¦", "a long line goes on below");
    see(CTRL_A, ">>> ¦x = 1234567890123456789012\n345", "and back");
    see(CTRL_E "678901234567890123456789012", ">>> x = 1234567890123456789012\n345678901234567890123456789012\n¦",
        "a full row has the cursor below");
    clear();
    see("y = \"123456789012345678901漢", ">>> y = \"123456789012345678901\n漢¦", "no wide character is parted");
    clear();
    see("\026\001", ">>> ^A¦", "a control is shown");
    leave();
}

/* ---- history ---- */

static void test_suggestion(void)
{
    begin(10, 60, NULL);
    clear();
    see("alpha = 12\r\f", ">>> ¦", "an entry");
    see("al", ">>> al¦pha = 12", "its rest is suggested");
    see_color(0, 6, GREY, "in grey");
    see_color(0, 5, -1, "what is typed is not");
    see(RIGHT, ">>> alpha = 12¦", "Right takes it");
    clear();
    see("al\033f", ">>> alpha¦ = 12", "Alt-F takes a word");
    see(CTRL_E, ">>> alpha = 12¦", "End takes the rest");
    clear();
    see("alX", ">>> alX¦", "other text has none");
    clear();
    see("b = 3\r\fal" UP, ">>> alpha = 12¦", "Up seeks what begins so");
    clear();
    see("fn g() {\r1 }\r\ffn", ">>> fn¦ g() { …", "of a block the first line");
    see(RIGHT, ">>> fn g() {\n...     1 }¦", "taken whole");
    clear();
    see_part(CTRL_R "g()", "(reverse-i-search)`g()': fn g() {", "Ctrl-R finds in blocks");
    see("\033\f", ">>> fn ¦g() {\n...     1 }", "and gives the whole block");
    clear();
    see_part(CTRL_R "12" CTRL_C, "^C", "Ctrl-C leaves a search");
    see("\fal", ">>> al¦pha = 12", "for an empty line");
    leave();
}

static void test_history(void)
{
    Terminal other;
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    remove_file(".local/state/tessera/history");
    begin(10, 60, NULL);
    tap_ok(terminal_start(&other, 10, 60, arguments, NULL) && terminal_has(&other, ">>>", PATIENCE), "a second session");
    char line[64];
    for (int i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "a%d = [\r%d]\r", i, i);
        terminal_type(&t, line);
        snprintf(line, sizeof line, "b%d = %d\r", i, i);
        terminal_type(&other, line);
    }
    see_part("\"a\" ++ \"done\"\r", "adone", "one has run all");
    terminal_type(&other, "\"b\" ++ \"done\"\r");
    tap_ok(terminal_has(&other, "bdone", PATIENCE), "the other too");
    terminal_type(&other, CTRL_D);
    tap_ok(terminal_finish(&other) == 0, "it leaves");
    see_part("while true { }\r", "\n>>> while true { }", "an entry that runs");
    terminal_settle(&t, 0.2);
    char *text = read_history();
    tap_ok(strstr(text, "while true { }\n") != NULL, "is on the disk");
    kill(t.child, SIGKILL);
    tap_ok(terminal_finish(&t) == 128 + SIGKILL, "and then a crash");
    int found = 0;
    text = read_history();
    for (int i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "\na%d = [\n    %d]\n", i, i);
        found += strstr(text, line) != NULL;
        snprintf(line, sizeof line, "\nb%d = %d\n", i, i);
        found += strstr(text, line) != NULL;
    }
    tap_ok(found == 40, "nothing of two sessions is lost (%d of 40)", found);
    begin(10, 60, NULL);
    clear();
    see(CTRL_R "a19", "(reverse-i-search)`a19': ¦a19 = [\n...     19]", "the next session finds the block");
    clear();
    see(UP, ">>> while true { }¦", "and what ran last");
    leave();
}

static void test_broken_history(void)
{
    char *big = malloc(3 << 20);
    size_t size = (size_t)sprintf(big, "old line\n#notastamp\n#1700000000\nx = \001\002 bad\n#1700000001\nfine = [\n1]\n");
    while (size < (5 << 18)) size += (size_t)sprintf(big + size, "#1700000002\nfill = %zu\n", size);
    strcpy(big + size, "#1700000003\nhalf a li");
    write_file(".local/state/tessera/history", big);
    free(big);
    begin(10, 60, NULL);
    clear();
    see(UP, ">>> half a li¦", "a cut entry is what it is");
    see(CTRL_C "\f#1234567890\r", ">>> #1234567890\n>>> ¦", "a comment that looks like a stamp");
    struct stat about;
    char path[256];
    snprintf(path, sizeof path, "%s/.local/state/tessera/history", folder);
    terminal_settle(&t, 0.1);
    tap_ok(stat(path, &about) == 0 && about.st_size < (3 << 18), "a file that grew too large is halved");
    tap_ok((about.st_mode & 0777) == 0600, "nobody else reads it");
    tap_ok(strstr(read_history(), "\nhalf a li\n#") && strstr(read_history(), "\n #1234567890\n"), "its end is whole");
    leave();
    remove_file(".local/state/tessera/history");
    mkdir(path, 0700);
    begin(10, 60, NULL);
    see_part("1 + 1\r", "the history cannot be kept: Is a directory\n2", "a history that cannot be written is told of");
    leave();
    rmdir(path);
}

/* ---- pasting ---- */

static void test_paste(void)
{
    static char big[40000], line[64];
    begin(24, 80, NULL);
    clear();
    see(PASTE "pasted = 5\nprint(\"ran\")\n" PASTED, ">>> pasted = 5\n... print(\"ran\")¦", "a paste runs nothing");
    see("\r", ">>> pasted = 5\n... print(\"ran\")\nran\n>>> ¦", "Enter runs it");
    clear();
    see(PASTE ">>> x = 3\r\n>>> x\r\n3\r\n>>> fn f() {\r\n...     4\r\n... }\r\n" PASTED,
        ">>> x = 3\n... x\n... fn f() {\n...     4\n... }¦", "prompts go, and what was printed");
    clear();
    see(PASTE "In [1]: y = 1\nIn [2]: y\nOut[2]: 1\n" PASTED, ">>> y = 1\n... y¦", "those of others too");
    clear();
    see(PASTE "        y = 1\n          y\n" PASTED, ">>> y = 1\n...   y¦", "a common indentation goes");
    clear();
    see(PASTE ">>> fn f() {\n    4\n}" PASTED, ">>> fn f() {\n...     4\n... }¦", "an open block keeps lines without a prompt");
    clear();
    see("a = 1" LEFT PASTE "2\033[31m3\a" PASTED, ">>> a = 2[31m3¦1", "controls go");
    clear();
    strcpy(big, PASTE "fn long() {\n");
    for (int i = 0; i < 498; i++) {
        snprintf(line, sizeof line, "    v%d = %d\n", i, i);
        strcat(big, line);
    }
    strcat(big, "    v497\n}\n" PASTED);
    see_part(big, "v497 = 497\n...     v497\n... }", "500 lines are pasted");
    see_part("\rlong() * 2\r", "994\n>>>", "and run");
    clear();
    see("p = 1\rq = [p,\r2]\rq\r", ">>> p = 1\n>>> q = [p,\n...     2]\n>>> q\n[1, 2]\n>>> ¦", "lines without marks run as they come");
    clear();
    see("input(\"who? \")\r", ">>> input(\"who? \")\nwho? ¦", "the program asks");
    see(PASTE "a\nb" PASTED, ">>> input(\"who? \")\nwho? a b¦", "a paste is one line there");
    see("\r", ">>> input(\"who? \")\nwho? a b\n\"a b\"\n>>> ¦", "and taken");
    leave();
}

/* ---- sizes ---- */

static void test_resize(void)
{
    begin(24, 60, NULL);
    clear();
    terminal_type(&t, "fn f(x) {\rlong_name = x + 1111111111 + 2222222222\r3" UP);
    see("", ">>> fn f(x) {\n...     l¦ong_name = x + 1111111111 + 2222222222\n...     3", "a block");
    terminal_resize(&t, 24, 30);
    see("", ">>> fn f(x) {\n...     l¦ong_name = x + 111111\n1111 + 2222222222\n...     3", "is drawn anew for a narrow screen");
    terminal_resize(&t, 30, 100);
    see("", ">>> fn f(x) {\n...     l¦ong_name = x + 1111111111 + 2222222222\n...     3", "and for a wide one");
    see("X", ">>> fn f(x) {\n...     lX¦ong_name = x + 1111111111 + 2222222222\n...     3", "and edited");
    clear();
    terminal_resize(&t, 60, 200);
    see("x = 1\r\fx\r", ">>> x\n1\n>>> ¦", "200x60");
    terminal_resize(&t, 3, 9);
    see("\f12345678", ">>> 12345\n678¦", "9x3");
    leave();
}

static void test_tall(void)
{
    static char keys[20000];
    char line[64];
    begin(10, 40, NULL);
    clear();
    strcpy(keys, "fn tall() {\r");
    for (int i = 1; i < 299; i++) {
        snprintf(line, sizeof line, "v%d = %d\r", i, i);
        strcat(keys, line);
    }
    terminal_type(&t, keys);
    see("v298", "...     v290 = 290\n...     v291 = 291\n...     v292 = 292\n...     v293 = 293\n...     v294 = 294\n"
        "...     v295 = 295\n...     v296 = 296\n...     v297 = 297\n...     v298 = 298\n...     v298¦", "300 lines scroll");
    see(UP UP UP UP UP UP UP UP UP UP "X", "...     v289X¦ = 289\n...     v290 = 290\n...     v291 = 291\n...     v292 = 292\n"
        "...     v293 = 293\n...     v294 = 294\n...     v295 = 295\n...     v296 = 296\n...     v297 = 297\n"
        "...     v298 = 298", "Up scrolls back, the cursor right");
    terminal_type(&t, "\177" CTRL_A CTRL_A);
    see("", ">>> ¦fn tall() {\n...     v1 = 1\n...     v2 = 2\n...     v3 = 3\n...     v4 = 4\n...     v5 = 5\n"
        "...     v6 = 6\n...     v7 = 7\n...     v8 = 8\n...     v9 = 9", "Home twice shows the first line");
    terminal_resize(&t, 12, 40);
    see("", ">>> ¦fn tall() {\n...     v1 = 1\n...     v2 = 2\n...     v3 = 3\n...     v4 = 4\n...     v5 = 5\n"
        "...     v6 = 6\n...     v7 = 7\n...     v8 = 8\n...     v9 = 9\n...     v10 = 10\n...     v11 = 11", "a taller screen shows more");
    terminal_type(&t, "\033[F\033[F");
    see("\r}", "...     v289 = 289\n...     v290 = 290\n...     v291 = 291\n...     v292 = 292\n...     v293 = 293\n"
        "...     v294 = 294\n...     v295 = 295\n...     v296 = 296\n...     v297 = 297\n...     v298 = 298\n...     v298\n... }¦", "End twice shows the last");
    see_part("\rtall() + 1\r", "... }\n>>> tall() + 1\n299\n>>>", "and it runs");
    leave();
}

/* ---- completion ---- */

static void test_completion(void)
{
    begin(24, 80, NULL);
    clear();
    see("unmistakable = randn(64, 10);\r\funm\t", ">>> unmistakable¦ = randn(64, 10);", "TAB completes");
    clear();
    terminal_type(&t, "zeta_one = ones(2, 3); zeta_two = 5\r\fzet\t");
    tap_ok(terminal_has(&t, "zeta_one  variable  f32[2, 3]\nzeta_two  variable  ", PATIENCE), "TAB lists kinds and shapes");
    see_part("", "\n>>> zeta_", "and what is common is there");
    clear();
    write_file("paths/data_one.csv", "");
    write_file("paths/data_two.csv", "");
    char keys[256], screen[512];
    snprintf(keys, sizeof keys, "read_csv(\"%s/pat\tda\t", folder);
    snprintf(screen, sizeof screen, "data_one.csv  file\ndata_two.csv  file\n>>> read_csv(\"%s/paths/data_", folder);
    see_part(keys, screen, "paths are completed within strings");
    clear();
    terminal_type(&t, "s\t");
    tap_ok(terminal_has(&t, " more; type on to see them\n>>> s", PATIENCE), "a long list stays on the screen");
    leave();
}

/* ---- interrupts ---- */

static void interrupt(const char *code, const char *name)
{
    clear();
    terminal_type(&t, code);
    terminal_type(&t, "\r");
    terminal_settle(&t, 0.4);
    double start = now();
    terminal_type(&t, CTRL_C);
    bool seen = terminal_has(&t, "interrupted", PATIENCE) && terminal_has(&t, "\n>>>", PATIENCE);
    double took = now() - start;
    if (!tap_ok(seen && took < 1, "Ctrl-C ends %s", name)) note_screen();
    tap_note("after %.0f ms", took * 1000);
}

static void test_interrupts(void)
{
    char code[256], path[200];
    begin(24, 80, NULL);
    see_part("kept = 7; w = randn(1500, 1500)\r" "\"rea\" ++ \"dy\"\r", "\"ready\"\n>>>", "some variables");
    interrupt("while true { }", "a loop");
    interrupt("while true { w @ w }", "matmul");
    interrupt("sleep(100)", "sleep");
    interrupt("input(\"name? \")", "input");
    snprintf(path, sizeof path, "%s/pipe", folder);
    mkfifo(path, 0600);
    snprintf(code, sizeof code, "read_text(\"%s\")", path);
    interrupt(code, "a file that does not come");
    unlink(path);
    clear();
    see("kept\r", ">>> kept\n7\n>>> ¦", "the variables are there");
    see_part("\ffn inner(a) = a @ ones(5)\rfn outer(b) = inner(b)\router(ones(3, 4))\r", "in inner", "an error in a nested call");
    see_part("\f:locals\r", "in inner\n", "whose frame can be looked at");
    see_part("", "  a  f32[3, 4]", "with its variables");
    see_part("\f:nonsense\r", "nonsense", "an unknown command");
    see_part("kept + 1\r", "\n8\n>>>", "and on");
    leave();
}

static void test_stop(void)
{
    char *arguments[] = {"sh", "-i", NULL};
    char command[512];
    const char *variables[] = {"PS1=$ ", NULL};
    tap_ok(terminal_start(&t, 24, 80, arguments, variables), "a shell");
    snprintf(command, sizeof command, "%s\r", program);
    see_part(command, ">>>", "Tessera from a shell");
    see_part("[1,\r2", "[1,\n...     2", "a block");
    see_part(CTRL_Z, "Stopped", "Ctrl-Z stops it");
    see_part("echo \"in\"side; fg\r", "inside\n", "the shell is there");
    see_part("", ">>> [1,\n...     2", "fg brings the block back");
    see_part("]\r", "[1, 2]\n>>>", "which goes on");
    terminal_type(&t, "sleep(100)\r");
    terminal_settle(&t, 0.3);
    terminal_type(&t, CTRL_Z);
    terminal_settle(&t, 0.5);
    see_part("fg\r", "fg\n", "it stops too");
    terminal_settle(&t, 0.3);
    see_part(CTRL_C, "interrupted", "and goes on, and ends");
    terminal_settle(&t, 0.3);
    terminal_type(&t, CTRL_D);
    terminal_settle(&t, 0.5);
    see_part("stty -a | grep -c ' icanon'; echo over; exit\r", "1\nover", "the terminal is as it was");
    tap_ok(terminal_finish(&t) == 0, "the shell ends");
}

static pid_t child_of(pid_t parent)
{
    char path[64];
    int child = -1;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%d", &child) != 1) child = -1;
    if (file) fclose(file);
    return child;
}

static void test_end(void)
{
    char *arguments[] = {"sh", "-i", NULL};
    char command[512];
    const char *variables[] = {"PS1=$ ", NULL};
    tap_ok(terminal_start(&t, 24, 80, arguments, variables), "a shell");
    snprintf(command, sizeof command, "%s\r", program);
    see_part(command, ">>>", "Tessera from a shell");
    pid_t child = child_of(t.child);
    if (tap_ok(child > 0, "its process")) kill(child, SIGTERM);
    see_part("", "Terminated", "SIGTERM ends it");
    see_part("stty -a | grep -c ' icanon'; echo over; exit\r", "1\nover", "the terminal is as it was");
    tap_ok(terminal_finish(&t) == 0, "the shell ends");
    begin(24, 80, NULL);
    see_part("last_words = 1\rx = 2", ">>> x = 2", "an entry, and half of one");
    close(t.file);
    int status = -1;
    for (double end = now() + PATIENCE; now() < end && waitpid(t.child, &status, WNOHANG) == 0;) usleep(10000);
    tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP, "the end of the terminal ends it");
    tap_ok(strstr(read_history(), "\nlast_words = 1\n") != NULL, "without losing the history");
    vterm_free(t.emulator);
}

/* ---- the start file ---- */

static void test_init(void)
{
    write_file(".config/tessera/init.tsr", "mine = 41\nfn twice(x) = 2 * x\n");
    begin(24, 80, NULL);
    see_part("\ftwice(mine)\r", "\n82\n>>>", "the start file's names are there");
    leave();
    write_file(".config/tessera/init.tsr", "mine = 41\nmine + [\n");
    begin(24, 80, NULL);
    see_part("", "syntax error", "a broken one is told of");
    see_part("1 + 1\r", "\n2\n>>>", "and locks nobody out");
    leave();
    write_file(".config/tessera/init.tsr", "mine = 41\nexit(3)\n");
    begin(24, 80, NULL);
    see_part("mine\r", "\n41\n>>>", "one that exits neither");
    leave();
    write_file(".config/tessera/init.tsr", "mine = 41\nwhile true { }\n");
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    tap_ok(terminal_start(&t, 24, 80, arguments, NULL), "one without end");
    terminal_settle(&t, 0.5);
    see_part(CTRL_C, "\n>>>", "is ended by Ctrl-C");
    leave();
    char *plain[] = {(char *)(uintptr_t)program, "--no-init", NULL};
    tap_ok(terminal_start(&t, 24, 80, plain, NULL) && terminal_has(&t, ">>>", PATIENCE), "--no-init");
    see_part("mine\r", "mine is not defined", "leaves it out");
    leave();
    remove_file(".config/tessera/init.tsr");
}

/* ---- manners ---- */

static void test_vi(void)
{
    write_file(".inputrc", "set editing-mode vi\nset keyseq-timeout 50\n");
    begin(24, 80, NULL);
    clear();
    see("fn f(x) {\rabc = 1\rdef_ = 2", ">>> fn f(x) {\n...     abc = 1\n...     def_ = 2¦", "vi's insert mode");
    see_color(0, 4, MAGENTA, "has colours");
    terminal_type(&t, "\033");
    terminal_settle(&t, 0.2);
    see("k0w", ">>> fn f(x) {\n...     ¦abc = 1\n...     def_ = 2", "k and 0 know lines");
    see("$", ">>> fn f(x) {\n...     abc = ¦1\n...     def_ = 2", "$ too");
    see("Izz", ">>> fn f(x) {\n... zz¦    abc = 1\n...     def_ = 2", "and I");
    terminal_type(&t, "\033");
    terminal_settle(&t, 0.2);
    see("uoy = 3", ">>> fn f(x) {\n...     abc = 1\n...     y = 3¦\n...     def_ = 2", "o opens a line");
    terminal_type(&t, "\033");
    terminal_settle(&t, 0.2);
    see("dd", ">>> fn f(x) {\n...     abc = 1\n... ¦    def_ = 2", "dd takes a line");
    see("kccnew", ">>> fn f(x) {\n...     new¦\n...     def_ = 2", "cc changes one");
    terminal_type(&t, "\033");
    terminal_settle(&t, 0.2);
    see("0wD", ">>> fn f(x) {\n...     ¦\n...     def_ = 2", "D cuts to the line's end");
    see("kdw", ">>> fn f¦x) {\n...\n...     def_ = 2", "other motions are as ever");
    see(CTRL_C "\f1 + 1\r", ">>> 1 + 1\n2\n>>> ¦", "Enter runs");
    terminal_type(&t, "\f\033");
    terminal_settle(&t, 0.2);
    see("k", ">>> 1 + ¦1", "k recalls");
    terminal_type(&t, "i" CTRL_U);
    leave();
    remove_file(".inputrc");
    write_file(".inputrc", "\"\\C-t\": \"40 + 2\\n\"\nset show-mode-in-prompt on\nset emacs-mode-string \"@\"\n");
    begin(24, 80, NULL);
    see_part("\f\024", "\n42\n@>>>", "macros of ~/.inputrc run, the mode is shown");
    leave();
    remove_file(".inputrc");
}

static void test_plain(void)
{
    const char *dumb[] = {"TERM=dumb", NULL}, *colorless[] = {"NO_COLOR=1", NULL};
    begin(24, 80, dumb);
    see_part("fn f() {\r", "fn f() {\n...", "a dumb terminal goes on");
    see_part("4 }\r", "... 4 }\n>>>", "and ends");
    see_part("f() * 2\r", ">>> f() * 2\n8\n>>>", "shows values");
    see_part("1 // 0\r", "division by zero", "and errors");
    leave();
    begin(24, 80, colorless);
    clear();
    see("fn f() {\r4 }\rf()\r", ">>> fn f() {\n...     4 }\n>>> f()\n4\n>>> ¦", "NO_COLOR: blocks as ever");
    see("f", ">>> fn f() {\n...     4 }\n>>> f()\n4\n>>> f¦", "without a suggestion");
    int colored = 0;
    for (int row = 0; row < 24; row++)
        for (int column = 0; column < 80; column++) {
            VTermScreenCell cell = terminal_cell(&t, row, column);
            colored += terminal_color(&t, row, column) >= 0 || cell.attrs.bold || cell.attrs.underline;
        }
    tap_ok(colored == 0, "without a colour");
    leave();
    char command[512], text[256] = "";
    snprintf(command, sizeof command, "echo 'x = [1,\n2]\nx' | %s 2>&1", program);
    FILE *pipe = popen(command, "r");
    size_t got = pipe ? fread(text, 1, sizeof text - 1, pipe) : 0;
    tap_ok(pipe && pclose(pipe) == 0 && got > 0 && strcmp(text, "[1, 2]\n") == 0, "from a pipe: no prompt, no colour");
    const char *locale[] = {"LC_ALL=C", "LANG", "LC_CTYPE", NULL};
    begin(24, 80, locale);
    clear();
    see("\"é漢\"" LEFT "\177", ">>> \"é¦\"", "UTF-8 in a locale without it");
    leave();
}

static void remove_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) tap_note("%s stays", folder);
}

static const struct { const char *name; void (*run)(void); } tests[] = {
    {"blocks", test_blocks}, {"width", test_width}, {"suggestion", test_suggestion}, {"history", test_history},
    {"broken", test_broken_history}, {"paste", test_paste}, {"resize", test_resize}, {"tall", test_tall},
    {"completion", test_completion}, {"interrupts", test_interrupts}, {"stop", test_stop}, {"end", test_end}, {"init", test_init},
    {"vi", test_vi}, {"plain", test_plain},
};

/* With a name only that one. */
int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    program = getenv("TESSERA");
    if (!program) program = "./tessera";
    if (!pty_usable()) {
        puts("1..0 # SKIP no pseudo-terminals here");
        return 0;
    }
    if (!mkdtemp(folder)) return 1;
    setenv("HOME", folder, 1);
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("INPUTRC");
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (!wanted || strcmp(wanted, tests[i].name) == 0) tests[i].run();
    remove_folder();
    return tap_end();
}
