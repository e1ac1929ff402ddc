/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pasted text: it arrives between two marks of the terminal, becomes part of the line, and nothing of it runs. Prompts of
   a copied session go, with what the session printed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <readline/readline.h>

#include "editor.h"

/* ---- reading ---- */

typedef struct Pasted {
    char *text;
    size_t length, room;
} Pasted;

static bool add(Pasted *pasted, const char *bytes, size_t size)
{
    if (pasted->length + size + 1 > pasted->room) {
        size_t room = (pasted->length + size + 1) * 2;
        char *wider = realloc(pasted->text, room);
        if (!wider) return false;
        pasted->text = wider;
        pasted->room = room;
    }
    memcpy(pasted->text + pasted->length, bytes, size);
    pasted->length += size;
    pasted->text[pasted->length] = 0;
    return true;
}

/* Up to the closing mark; a terminal that forgets it is not waited for longer than some seconds. */
static bool read_pasted(Pasted *pasted)
{
    static const char mark[] = "\033[201~";
    const size_t size = sizeof mark - 1;
    for (int key; (key = editor_next_key(3)) >= 0;) {
        char c = (char)key;
        if (!add(pasted, &c, 1)) return false;
        if (pasted->length >= size && memcmp(pasted->text + pasted->length - size, mark, size) == 0) {
            pasted->length -= size;
            break;
        }
    }
    if (!pasted->text) return false;
    pasted->text[pasted->length] = 0;
    return true;
}

/* Line ends become newlines; controls, which would be shown as ^A and refused by the language, go. */
static void clean(Pasted *pasted)
{
    size_t kept = 0;
    for (size_t at = 0; at < pasted->length; at++) {
        char c = pasted->text[at];
        if (c == '\r') {
            if (at + 1 < pasted->length && pasted->text[at + 1] == '\n') continue;
            c = '\n';
        }
        bool control = ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
        if (!control) pasted->text[kept++] = c;
    }
    while (kept > 0 && pasted->text[kept - 1] == '\n') kept--;
    pasted->text[kept] = 0;
    pasted->length = kept;
}

/* ---- prompts ---- */

/* Bytes of a prompt in front of [line]: *first of a statement, else of a line that goes on; 0: none. */
static size_t prompt_length(const char *line, bool *first)
{
    static const struct { const char *text; bool first; } known[] = {
        {LINE_PROMPT, true}, {LINE_MORE, false}, {"tessera> ", true}, {"> ", true}, {"   ...: ", false},
    };
    size_t size = strcspn(line, "\n");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].text);
        bool bare = size == length - 1 && memcmp(line, known[i].text, size) == 0;      /* editors cut spaces at the end */
        *first = known[i].first;
        if (bare) return size;
        if (strncmp(line, known[i].text, length) == 0) return length;
    }
    size_t digits = strncmp(line, "In [", 4) == 0 ? strspn(line + 4, "0123456789") : 0;
    *first = true;
    if (digits > 0 && strncmp(line + 4 + digits, "]: ", 3) == 0) return digits + 7;
    size_t spaces = strspn(line, " ");                   /* "    ...: " as wide as its In [10]: */
    *first = false;
    return spaces > 2 && strncmp(line + spaces, "...: ", 5) == 0 ? spaces + 5 : 0;
}

/* Of a copied session what was typed. Lines without a prompt are what it printed, unless the statement before them is
   still open. */
static void strip_prompts(Pasted *pasted)
{
    Pasted made = {0};
    size_t statement = 0;
    bool first, fine = true;
    int indent;
    if (prompt_length(pasted->text + strspn(pasted->text, "\n"), &first) == 0 || !first) return;
    for (const char *line = pasted->text; *line && fine;) {
        size_t size = strcspn(line, "\n"), prompt = prompt_length(line, &first);
        bool open = made.length > statement
                    && session_is_complete(editor.host.session, made.text + statement, made.length - statement, &indent)
                           == CODE_INCOMPLETE;
        if (prompt > 0 && first) statement = made.length;
        if (prompt > 0 || open) fine = add(&made, line + prompt, size - prompt) && add(&made, "\n", 1);
        line += size + (line[size] == '\n');
    }
    if (fine && made.length > 0) {
        made.text[--made.length] = 0;
        free(pasted->text);
        *pasted = made;
    } else {
        free(made.text);
    }
}

/* What all lines are indented by goes. */
static void dedent(Pasted *pasted)
{
    size_t least = SIZE_MAX, kept = 0;
    for (const char *line = pasted->text; *line;) {
        size_t size = strcspn(line, "\n"), spaces = strspn(line, " ");
        if (spaces < size && spaces < least) least = spaces;
        line += size + (line[size] == '\n');
    }
    if (least == SIZE_MAX || least == 0) return;
    for (const char *line = pasted->text; *line;) {
        size_t size = strcspn(line, "\n"), spaces = strspn(line, " ");
        size_t drop = spaces < least ? spaces : least, whole = size + (line[size] == '\n');
        memmove(pasted->text + kept, line + drop, whole - drop);
        kept += whole - drop;
        line += whole;
    }
    pasted->text[kept] = 0;
    pasted->length = kept;
}

int paste_text(int count, int key)
{
    Pasted pasted = {0};
    (void)count;
    (void)key;
    if (read_pasted(&pasted)) {
        clean(&pasted);
        if (editor.code) {
            strip_prompts(&pasted);
            if (rl_end == 0) dedent(&pasted);
        } else {
            for (char *c = pasted.text; *c; c++) *c = *c == '\n' ? ' ' : *c;
        }
        if (pasted.length > 0) rl_insert_text(pasted.text);
    }
    free(pasted.text);
    return 0;
}
