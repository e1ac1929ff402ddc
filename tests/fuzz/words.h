/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of the language for the fuzzer, straight from their tables: tokens, functions, other languages' habits. */
#ifndef TESSERA_FUZZ_WORDS_H
#define TESSERA_FUZZ_WORDS_H

static const char *const words[] = {
#define TOKEN(id, text)
#define KEYWORD(id, text, op, binding) text,
#define SYMBOL(id, text, op, binding) text,
#define ASSIGN(id, text, op) text,
#define HABIT(id, text, instead, hint) text,
#include "../../lang/tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
#define NATIVE(name, signature, doc, example) #name,
#include "../../lang/builtins.def"
#undef NATIVE
#define WORD(text, hint) text,
#define NAME(text, hint) text,
#include "../../lang/habits.def"
#undef WORD
#undef NAME
};
enum { N_WORDS = sizeof words / sizeof *words };

#endif
