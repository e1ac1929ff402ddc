/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the words of the language for libFuzzer's -dict: tokens, functions, ops, other languages' habits, straight from
   their tables. */
#include <stdio.h>

static void word(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') printf("\\%c", *text);
        else if (*text > 0x20 && *text < 0x7F) putchar(*text);
        else printf("\\x%02X", (unsigned char)*text);
    }
    puts("\"");
}

int main(void)
{
#define TOKEN(id, text)
#define KEYWORD(id, text, op, binding) word(text);
#define SYMBOL(id, text, op, binding) word(text);
#define ASSIGN(id, text, op) word(text);
#define HABIT(id, text, instead, hint) word(text);
#include "../../lang/tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
#define NATIVE(name, signature, doc, example) word(#name);
#include "../../lang/builtins.def"
#undef NATIVE
#define WORD(text, hint) word(text);
#define NAME(text, hint) word(text);
#include "../../lang/habits.def"
#undef WORD
#undef NAME
    return 0;
}
