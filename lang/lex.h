/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From text to tokens, for the parser alone. The whole text is cut at once, so that looking ahead is an index: brackets
   know their partners, and each token the bracket that it stands in. */
#ifndef TESSERA_LEX_H
#define TESSERA_LEX_H

#include "ast.h"

typedef enum TokenKind {
#define TOKEN(id, text) TOKEN_##id,
#define KEYWORD(id, text, op, binding) TOKEN_##id,
#define SYMBOL(id, text, op, binding) TOKEN_##id,
#define ASSIGN(id, text, op) TOKEN_##id,
#define HABIT(id, text, instead, hint) TOKEN_##id,
#include "tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
    TOKEN_COUNT
} TokenKind;

typedef struct TokenInfo {
    const char *text;         /* as written, or what messages call it */
    uint8_t binding;          /* of the binary operator; 0: it is none */
    bool keyword, symbol, assignment;
    Operator op;
} TokenInfo;
extern const TokenInfo token_info[TOKEN_COUNT];
/* Names that are keywords to the reader where a name or a string follows; NULL is last. */
extern const char *const header_words[];

typedef struct Token {
    uint8_t kind;
    bool first;               /* of its line */
    bool smallest;            /* INT: 2^63, fine only behind a minus */
    Span span;
    int32_t opener;           /* the bracket around it, or -1 */
    int32_t partner;          /* of a bracket, or -1 */
    union {
        const char *name;     /* NAME; interned. Keywords too, for members and keys */
        int64_t integer;
        double number;
        struct { const char *text; uint32_t length; } string;
    };
} Token;

typedef struct Tokens { Token *at; int count, room; } Tokens;

/* Fills [tokens] (END is last; free with free(tokens->at)), adding errors to [parse]. False: memory is out. */
bool lex_source(Parse *parse, Tokens *tokens, int *open_lines);

/* Records an error in order of position; one for each line, 20 for each text. False: memory is out. */
bool syntax_error_add(Parse *parse, Span span, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
