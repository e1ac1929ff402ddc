/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an editor colours: the lexer's own tokens as spans of kinds, of any text, finished or not. Comments, which are no
   tokens, are found between them. */
#include <stdlib.h>
#include <string.h>

#include "lang.h"
#include "lex.h"
#include "utf8.h"

typedef struct Spans {
    Highlight *at;
    int count, room;
    bool failed;
} Spans;

static void add(Spans *spans, size_t start, size_t end, HighlightKind kind)
{
    if (spans->failed || start >= end) return;
    if (spans->count == spans->room) {
        int room = spans->room * 2;
        Highlight *wider = realloc(spans->at, (size_t)room * sizeof *wider);
        if (!wider) {
            spans->failed = true;
            return;
        }
        spans->at = wider;
        spans->room = room;
    }
    spans->at[spans->count++] = (Highlight){start, end, kind, -1};
}

static bool is_member(const Tokens *tokens, int at)
{
    return at > 0 && tokens->at[at - 1].kind == TOKEN_DOT;
}

/* The words that are keywords only where a name or a string follows them. */
static bool is_header(const Tokens *tokens, int at)
{
    const Token *next = &tokens->at[at + 1];
    bool named = next->kind == TOKEN_NAME || next->kind == TOKEN_STRING;
    if (!named || next->first || is_member(tokens, at)) return false;
    for (const char *const *word = header_words; *word; word++)
        if (strcmp(tokens->at[at].name, *word) == 0) return true;
    return false;
}

static bool is_declared(const Tokens *tokens, int at)
{
    if (at == 0 || tokens->at[at].first || is_member(tokens, at - 1)) return false;
    const Token *before = &tokens->at[at - 1];
    return before->kind == TOKEN_FN || (before->kind == TOKEN_NAME && strcmp(before->name, "model") == 0);
}

static HighlightKind name_kind(const Tokens *tokens, int at, const char *text)
{
    if (is_header(tokens, at)) return HIGHLIGHT_KEYWORD;
    if (is_declared(tokens, at)) return HIGHLIGHT_DECLARED;
    return text[tokens->at[at].span.end] == '(' ? HIGHLIGHT_CALL : HIGHLIGHT_NAME;
}

static HighlightKind kind_of(const Tokens *tokens, int at, const char *text)
{
    TokenKind kind = (TokenKind)tokens->at[at].kind;
    if (token_info[kind].keyword && is_member(tokens, at)) return HIGHLIGHT_NAME;
    switch (kind) {
    case TOKEN_BAD: return HIGHLIGHT_WRONG;
    case TOKEN_NAME: return name_kind(tokens, at, text);
    case TOKEN_INT: case TOKEN_FLOAT: return HIGHLIGHT_NUMBER;
    case TOKEN_STRING: case TOKEN_FORMAT_SPEC: return HIGHLIGHT_STRING;
    case TOKEN_TRUE: case TOKEN_FALSE: case TOKEN_NONE: case TOKEN_DONE: return HIGHLIGHT_CONSTANT;
    case TOKEN_LPAREN: case TOKEN_LBRACKET: case TOKEN_LBRACE: return HIGHLIGHT_BRACKET;
    case TOKEN_RPAREN: case TOKEN_RBRACKET: case TOKEN_RBRACE:
        return tokens->at[at].partner < 0 ? HIGHLIGHT_WRONG : HIGHLIGHT_BRACKET;
    default: break;
    }
    char first = text[tokens->at[at].span.start];                        /* && is read as and */
    return token_info[kind].keyword && first >= 'a' && first <= 'z' ? HIGHLIGHT_KEYWORD : HIGHLIGHT_OPERATOR;
}

/* A piece of a string with {…}: its braces are code. */
static void add_piece(Spans *spans, const Token *token, const char *text)
{
    size_t start = token->span.start, end = token->span.end;
    if (start < end && token->kind != TOKEN_FORMAT_START && text[start] == '}')
        add(spans, start, start + 1, HIGHLIGHT_OPERATOR), start++;
    bool opens = start < end && token->kind != TOKEN_FORMAT_END;
    add(spans, start, end - opens, HIGHLIGHT_STRING);
    if (opens) add(spans, end - 1, end, HIGHLIGHT_OPERATOR);
}

static void add_comment(Spans *spans, const char *text, size_t start, size_t end)
{
    while (start < end) {
        const char *mark = memchr(text + start, '#', end - start);
        if (!mark) return;
        size_t first = (size_t)(mark - text), last = first;
        while (last < end && text[last] != '\n') last++;
        add(spans, first, last, HIGHLIGHT_COMMENT);
        start = last;
    }
}

/* `:word` or `?` at [text], or 0. */
static size_t command_length(const char *text)
{
    if (text[0] == '?') return strspn(text, "?");
    size_t word = text[0] == ':' ? strspn(text + 1, "abcdefghijklmnopqrstuvwxyz?") : 0;
    return word ? word + 1 : 0;
}

/* [span_of]: for each token the span it became, to join brackets. A line that begins with : or ? outside of brackets is a
   command. */
static void add_tokens(Spans *spans, const Tokens *tokens, const char *text, int *span_of)
{
    size_t end = 0;
    for (int i = 0; i < tokens->count; i++) {
        const Token *token = &tokens->at[i];
        size_t start = token->span.start;
        if (start < end && token->kind != TOKEN_END) continue;          /* of a command's word */
        add_comment(spans, text, end, start);
        end = token->span.end > end ? token->span.end : end;
        span_of[i] = spans->count;
        if (token->kind == TOKEN_END) break;
        size_t command = token->first && token->opener < 0 ? command_length(text + start) : 0;
        if (command) add(spans, start, end = start + command, HIGHLIGHT_COMMAND);
        else if (token->kind >= TOKEN_FORMAT_START && token->kind <= TOKEN_FORMAT_END) add_piece(spans, token, text);
        else add(spans, start, token->span.end, kind_of(tokens, i, text));
    }
    for (int i = 0; i < tokens->count && !spans->failed; i++)
        if (tokens->at[i].partner >= 0) spans->at[span_of[i]].partner = span_of[tokens->at[i].partner];
}

static void add_code(Spans *spans, const char *text, size_t length)
{
    Source *source = source_new("", text, length, false);
    Parse parse = {.source = source, .arena = arena_new()};
    Tokens tokens = {0};
    int open_lines, *span_of = NULL;
    spans->failed = !source || !parse.arena || !lex_source(&parse, &tokens, &open_lines)
                    || !(span_of = calloc((size_t)tokens.count, sizeof *span_of));
    if (!spans->failed) add_tokens(spans, &tokens, source->text, span_of);
    free(span_of);
    free(tokens.at);
    arena_free(parse.arena);
    source_release(source);
}

Highlight *language_highlight(const char *text, size_t length, int *count)
{
    Spans spans = {.room = 64};
    spans.at = calloc((size_t)spans.room, sizeof *spans.at);
    *count = 0;
    if (!spans.at) return NULL;
    const char *zero = memchr(text, 0, length);
    add_code(&spans, text, utf8_check(text, zero ? (size_t)(zero - text) : length));
    if (!spans.failed) {
        *count = spans.count;
        return spans.at;
    }
    free(spans.at);
    return NULL;
}
