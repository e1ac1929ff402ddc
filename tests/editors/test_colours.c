/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What other editors colour with: every file is made, and no place in it is left open; no table is known by a wrong name.
   usage: test_colours [FOLDER FILE ...]
   With files, the reference of tests/editors/agree: writes each to FOLDER/1, FOLDER/2 … with every character as the letter
   of its colour (k keyword, c constant, n number, s string, # comment, : command, - anything else); lines stay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "lang/lang.h"

static const char letters[HIGHLIGHT_KINDS] = {
    [HIGHLIGHT_KEYWORD] = 'k', [HIGHLIGHT_CONSTANT] = 'c', [HIGHLIGHT_NUMBER] = 'n', [HIGHLIGHT_STRING] = 's',
    [HIGHLIGHT_COMMENT] = '#', [HIGHLIGHT_COMMAND] = ':',
};

static char *read_file(const char *path, size_t *length)
{
    enum { ROOM = 1 << 22 };
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(ROOM) : NULL;
    if (text) *length = fread(text, 1, ROOM, file);
    if (file) fclose(file);
    return text;
}

/* Of a text whose colours are [spans]. */
static void paint(FILE *out, const char *text, size_t length, const Highlight *spans, int count)
{
    size_t at = 0;
    for (int k = 0; k <= count; k++) {
        size_t start = k < count ? spans[k].start : length, end = k < count ? spans[k].end : length;
        for (; at < end; at++) {
            char letter = at >= start ? letters[spans[k].kind] : 0;
            if (text[at] == '\n') fputc('\n', out);
            else if (((unsigned char)text[at] & 0xC0) != 0x80) fputc(letter ? letter : '-', out);
        }
    }
}

static int paint_files(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        char path[4096];
        size_t length = 0;
        int count = 0;
        char *text = read_file(argv[i], &length);
        Highlight *spans = text ? language_highlight(text, length, &count) : NULL;
        snprintf(path, sizeof path, "%s/%d", argv[1], i - 1);
        FILE *out = spans ? fopen(path, "wb") : NULL;
        if (!out) {
            perror(text ? path : argv[i]);
            return 1;
        }
        paint(out, text, length, spans, count);
        fclose(out);
        free(spans);
        free(text);
    }
    return 0;
}

static bool made(const char *name, const char *part)
{
    size_t length;
    char *text = language_editor_file(name, &length);
    bool fine = text && strlen(text) == length && strstr(text, part) && !strstr(text, "@{");
    free(text);
    return fine;
}

int main(int argc, char **argv)
{
    const char *name;
    size_t length;
    if (argc > 1) return paint_files(argc, argv);
    int count = 0;
    while ((name = language_editor_name(count))) {
        if (!tap_ok(made(name, ""), "%s is filled", name)) tap_note("no such table, or a place is left open");
        tap_ok(strncmp(name, "parts/", 6) != 0, "and no part of others");
        count++;
    }
    tap_ok(count > 5, "files for several editors");
    tap_ok(made("notebook/kernel.js", "fn if else"), "keywords");
    tap_ok(made("pygments/tessera_pygments.py", " matmul "), "functions");
    tap_ok(made("emacs/tessera-mode.el", "[0-9]\\\\(?:_?[0-9]\\\\)*"), "regular expressions as Emacs writes them");
    tap_ok(made("vscode/package.json", session_version()), "the version");
    tap_ok(!language_editor_file("parts/none.js", &length), "no file of another name");
    return tap_end();
}
