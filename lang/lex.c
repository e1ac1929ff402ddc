/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lexer. It refuses broken UTF-8 and what is no token; newlines are no tokens but a mark on the token after them,
   since only the parser knows where they matter. Strings with {…} come as FORMAT_START, the tokens of the expression,
   FORMAT_MIDDLE …, FORMAT_END; the text pieces are decoded here. */
#include "lex.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

const TokenInfo token_info[TOKEN_COUNT] = {
#define TOKEN(id, words) [TOKEN_##id] = {.text = words},
#define KEYWORD(id, words, operator_, tightness) \
    [TOKEN_##id] = {.text = words, .binding = tightness, .keyword = true, .op = OPERATOR_##operator_},
#define SYMBOL(id, words, operator_, tightness) \
    [TOKEN_##id] = {.text = words, .binding = tightness, .symbol = true, .op = OPERATOR_##operator_},
#define ASSIGN(id, words, operator_) \
    [TOKEN_##id] = {.text = words, .symbol = true, .assignment = true, .op = OPERATOR_##operator_},
#define HABIT(id, words, instead, hint) [TOKEN_##id] = {.text = words, .symbol = true},
#include "tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
};

const char *const header_words[] = {
#define TOKEN(id, words)
#define KEYWORD(id, words, operator_, tightness)
#define SYMBOL(id, words, operator_, tightness)
#define ASSIGN(id, words, operator_)
#define HABIT(id, words, instead, hint)
#define HEADER(words) words,
#include "tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
    NULL};

/* What a HABIT symbol stands for. */
static const struct { uint8_t kind; const char *hint; } read_as[TOKEN_COUNT] = {
#define TOKEN(id, words)
#define KEYWORD(id, words, operator_, tightness)
#define SYMBOL(id, words, operator_, tightness)
#define ASSIGN(id, words, operator_)
#define HABIT(id, words, instead, advice) [TOKEN_##id] = {TOKEN_##instead, advice},
#include "tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
};

static const uint8_t symbol_order[] = {          /* as the table lists them: longer ones first */
#define TOKEN(id, words)
#define KEYWORD(id, words, operator_, tightness)
#define SYMBOL(id, words, operator_, tightness) TOKEN_##id,
#define ASSIGN(id, words, operator_) TOKEN_##id,
#define HABIT(id, words, instead, hint) TOKEN_##id,
#include "tokens.def"
#undef TOKEN
#undef KEYWORD
#undef SYMBOL
#undef ASSIGN
#undef HABIT
};

typedef struct Lexer {
    Parse *parse;
    Tokens *out;
    const char *text;
    uint32_t at, length;
    bool first;               /* the next token begins a line */
    bool failed;              /* memory is out */
    int32_t *open;            /* tokens of open brackets and strings, innermost last */
    int n_open, open_room;
    int n_formats;            /* open strings among them */
    char *piece;              /* decoded text of the string at hand */
    size_t n_piece, piece_room;
} Lexer;

/* source_locate without the column, whose counting would be quadratic on long lines. */
static uint32_t line_of(const Source *source, uint32_t offset)
{
    uint32_t low = 0, high = source->n_lines;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (source->line_start[middle] <= offset) low = middle; else high = middle;
    }
    return low + 1;
}

bool syntax_error_add(Parse *parse, Span span, const char *hint, const char *format, ...)
{
    SyntaxError **link = &parse->errors;
    uint32_t line = line_of(parse->source, span.start);
    for (int count = 0; *link; link = &(*link)->next, count++) {
        uint32_t other = line_of(parse->source, (*link)->span.start);
        if (other == line || count == 20) return true;
        if (other > line) break;
    }
    SyntaxError *error = arena_alloc(parse->arena, sizeof *error);
    if (!error) return false;
    error->span = span;
    if (hint) snprintf(error->hint, sizeof error->hint, "%s", hint);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->next = *link;
    *link = error;
    return true;
}

static void complain(Lexer *lexer, uint32_t start, uint32_t end, const char *hint, const char *message)
{
    if (!syntax_error_add(lexer->parse, (Span){start, end}, hint, "%s", message)) lexer->failed = true;
}

/* A place to write one more of [size] bytes each, or NULL. */
static void *grown(Lexer *lexer, void **array, int count, int *room, size_t size)
{
    if (count == *room) {
        int more = *room ? *room * 2 : 64;
        void *wider = *room < 1 << 28 ? realloc(*array, (size_t)more * size) : NULL;
        if (!wider) {
            lexer->failed = true;
            return NULL;
        }
        *array = wider;
        *room = more;
    }
    return (char *)*array + (size_t)count * size;
}

static Token *emit(Lexer *lexer, TokenKind kind, uint32_t start)
{
    static Token lost;
    Tokens *out = lexer->out;
    Token *token = grown(lexer, (void **)&out->at, out->count, &out->room, sizeof *token);
    if (!token) {
        lexer->at = lexer->length;
        return &lost;
    }
    *token = (Token){.kind = (uint8_t)kind, .first = lexer->first, .span = {start, lexer->at}, .partner = -1,
                     .opener = lexer->n_open ? lexer->open[lexer->n_open - 1] : -1};
    out->count++;
    lexer->first = false;
    return token;
}

static void push(Lexer *lexer, int32_t token)
{
    int32_t *place = grown(lexer, (void **)&lexer->open, lexer->n_open, &lexer->open_room, sizeof *place);
    if (!place) return;
    *place = token;
    lexer->n_open++;
}

static bool is_format(const Lexer *lexer, int32_t token)
{
    uint8_t kind = lexer->out->at[token].kind;
    return kind == TOKEN_FORMAT_START || kind == TOKEN_FORMAT_MIDDLE;
}

static bool in_format(const Lexer *lexer)
{
    return lexer->n_open > 0 && is_format(lexer, lexer->open[lexer->n_open - 1]);
}

/* ---- names and numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_far_letter(uint32_t c)
{
    static const struct { uint32_t first, last; } letters[] = {
#define LETTERS(from, to) {from, to},
#include "letters.def"
#undef LETTERS
    };
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (c <= letters[i].last) return c >= letters[i].first;
    return false;
}

/* Bytes of the letter or digit at [at], or 0. */
static uint32_t name_piece(const Lexer *lexer, uint32_t at)
{
    if (at >= lexer->length) return 0;
    char c = lexer->text[at];
    if (is_letter(c) || is_digit(c)) return 1;
    if ((unsigned char)c < 0x80) return 0;
    uint32_t codepoint = 0;
    int size = utf8_decode(lexer->text + at, lexer->length - at, &codepoint);
    return is_far_letter(codepoint) ? (uint32_t)size : 0;
}

static void lex_name(Lexer *lexer)
{
    uint32_t start = lexer->at, size;
    while ((size = name_piece(lexer, lexer->at)) > 0) lexer->at += size;
    size_t length = lexer->at - start;
    const char *word = lexer->text + start;
    const char *name = arena_name(lexer->parse->arena, word, length);
    if (!name) lexer->failed = true;
    TokenKind kind = TOKEN_NAME;
    for (int i = TOKEN_FN; i <= TOKEN_NOT; i++)
        if (token_info[i].text[0] == word[0] && strlen(token_info[i].text) == length
            && memcmp(token_info[i].text, word, length) == 0)
            kind = (TokenKind)i;
    emit(lexer, kind, start)->name = name;
}

static bool in_base(char c, int base)
{
    return base == 16 ? is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f') : c >= '0' && c < '0' + base;
}

/* Digits of [base] with single _ between them, copied without the _ to [digits]; the count, even beyond [room]. */
static int lex_digits(Lexer *lexer, int base, char *digits, int room)
{
    int count = 0;
    for (; lexer->at < lexer->length; lexer->at++) {
        char c = lexer->text[lexer->at];
        if (c == '_' && count > 0 && in_base(lexer->text[lexer->at + 1], base)) continue;
        if (!in_base(c, base)) break;
        if (count < room) digits[count] = c;
        count++;
    }
    return count;
}

static void finish_int(Lexer *lexer, uint32_t start, const char *digits, int count, int base)
{
    uint64_t value = 0;
    bool over = false;
    for (int i = 0; i < count; i++) {
        char c = digits[i];
        uint64_t digit = (uint64_t)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
        over |= __builtin_mul_overflow(value, (uint64_t)base, &value) || __builtin_add_overflow(value, digit, &value);
    }
    Token *token = emit(lexer, TOKEN_INT, start);
    token->smallest = !over && value == (uint64_t)INT64_MAX + 1;
    token->integer = token->smallest ? INT64_MIN : (int64_t)value;
    if (over || (value > INT64_MAX && !token->smallest))
        complain(lexer, start, lexer->at, "ints have 64 bits; write it as a float, such as 1e19",
                 "this int is too large");
}

enum { DIGITS_MAX = 800 };

/* The part of a number from its point or exponent on. [text] holds [count] digits so far. */
static void finish_float(Lexer *lexer, uint32_t start, char *text, int count)
{
    if (lexer->text[lexer->at] == '.') {
        text[count++] = '.';
        lexer->at++;
        if (lexer->at < lexer->length && is_digit(lexer->text[lexer->at]))
            count += lex_digits(lexer, 10, text + count, DIGITS_MAX);
    }
    if (lexer->at < lexer->length && (lexer->text[lexer->at] | 32) == 'e') {
        uint32_t next = lexer->at + 1;
        if (next < lexer->length && (lexer->text[next] == '+' || lexer->text[next] == '-')) next++;
        if (next < lexer->length && is_digit(lexer->text[next]) && count < 2 * DIGITS_MAX) {
            text[count++] = 'e';
            if (!is_digit(lexer->text[lexer->at + 1])) text[count++] = lexer->text[lexer->at + 1];
            lexer->at = next;
            count += lex_digits(lexer, 10, text + count, DIGITS_MAX);
        }
    }
    double value = 0;
    if (count > 2 * DIGITS_MAX) complain(lexer, start, lexer->at, NULL, "this number has too many digits");
    else {
        text[count] = 0;
        value = strtod(text, NULL);
    }
    emit(lexer, TOKEN_FLOAT, start)->number = value;
}

static bool takes_point(const Lexer *lexer)
{
    uint32_t at = lexer->at;
    if (at >= lexer->length || lexer->text[at] != '.') return false;
    return at + 1 >= lexer->length || (lexer->text[at + 1] != '.' && (is_digit(lexer->text[at + 1])
                                                                      || name_piece(lexer, at + 1) == 0));
}

static void lex_number(Lexer *lexer)
{
    char digits[3 * DIGITS_MAX + 8];
    uint32_t start = lexer->at;
    int base = 10, count = 0;
    if (lexer->text[start] == '0' && start + 1 < lexer->length) {
        char c = (char)(lexer->text[start + 1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : c == 'o' ? 8 : 10;
    }
    if (base != 10) lexer->at += 2;
    count = lex_digits(lexer, base, digits, DIGITS_MAX);
    bool exponent = base == 10 && lexer->at < lexer->length && (lexer->text[lexer->at] | 32) == 'e';
    if (count > DIGITS_MAX) {
        complain(lexer, start, lexer->at, NULL, "this number has too many digits");
        emit(lexer, TOKEN_INT, start);
    } else if (base == 10 && (exponent || takes_point(lexer))) {
        finish_float(lexer, start, digits, count);
    } else {
        if (count == 0) complain(lexer, start, lexer->at, NULL, "digits are missing after this");
        finish_int(lexer, start, digits, count, base);
    }
    uint32_t end = lexer->at;
    for (uint32_t size; (size = name_piece(lexer, lexer->at)) > 0;) lexer->at += size;
    if (lexer->at > end)
        complain(lexer, start, lexer->at, "a name cannot begin with a digit; a product needs its *: 2*x",
                 "letters follow this number directly");
}

/* ---- strings ---- */

static void add_byte(Lexer *lexer, char c)
{
    if (lexer->n_piece == lexer->piece_room) {
        size_t room = lexer->piece_room ? lexer->piece_room * 2 : 256;
        char *wider = realloc(lexer->piece, room);
        if (!wider) {
            lexer->failed = true;
            return;
        }
        lexer->piece = wider;
        lexer->piece_room = room;
    }
    lexer->piece[lexer->n_piece++] = c;
}

static void emit_piece(Lexer *lexer, TokenKind kind, uint32_t start)
{
    char *text = arena_alloc(lexer->parse->arena, lexer->n_piece + 1);
    if (!text) lexer->failed = true;
    else if (lexer->n_piece) memcpy(text, lexer->piece, lexer->n_piece);
    Token *token = emit(lexer, kind, start);
    token->string.text = text;
    token->string.length = (uint32_t)lexer->n_piece;
    lexer->n_piece = 0;
}

/* \u{1F600}; lexer->at is behind the u. */
static void lex_codepoint(Lexer *lexer, uint32_t start)
{
    uint32_t codepoint = 0;
    int digits = 0;
    char bytes[4];
    bool closed = false;
    if (lexer->at < lexer->length && lexer->text[lexer->at] == '{') {
        for (lexer->at++; lexer->at < lexer->length && digits <= 8; lexer->at++) {
            char c = lexer->text[lexer->at];
            if (c == '}') {
                closed = true;
                lexer->at++;
                break;
            }
            if (!in_base(c, 16)) break;
            codepoint = codepoint * 16 + (uint32_t)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
            digits++;
        }
    }
    int size = closed && digits > 0 && digits <= 8 ? utf8_encode(codepoint, bytes) : 0;
    if (size == 0)
        complain(lexer, start, lexer->at, "a character by its number is \\u{1F600}", "this is no character");
    for (int i = 0; i < size; i++) add_byte(lexer, bytes[i]);
}

static void lex_escape(Lexer *lexer)
{
    static const char from[] = "ntr0\\\"'e", to[] = "\n\t\r\0\\\"'\033";
    uint32_t start = lexer->at++;
    char c = lexer->text[lexer->at];
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        add_byte(lexer, to[known - from]);
        lexer->at++;
    } else if (c == 'u') {
        lexer->at++;
        lex_codepoint(lexer, start);
    } else if (lexer->at < lexer->length && c != '\n') {
        uint32_t codepoint;
        lexer->at += (uint32_t)utf8_decode(lexer->text + lexer->at, lexer->length - lexer->at, &codepoint);
        complain(lexer, start, lexer->at,
                 c == '{' || c == '}' ? "a brace is written {{ or }}"
                                      : "a backslash is written \\\\; in raw strings '…' it needs nothing",
                 "this escape is unknown");
    }
}

/* The text of a string up to its end or its next {. [start]: of the token, whose text begins at lexer->at. */
static void lex_piece(Lexer *lexer, uint32_t start, bool begins)
{
    while (lexer->at < lexer->length && lexer->text[lexer->at] != '\n' && !lexer->failed) {
        char c = lexer->text[lexer->at];
        char next = lexer->text[lexer->at + 1];
        if (c == '"') {
            lexer->at++;
            emit_piece(lexer, begins ? TOKEN_STRING : TOKEN_FORMAT_END, start);
            return;
        }
        if (c == '{' && next != '{') {
            lexer->at++;
            emit_piece(lexer, begins ? TOKEN_FORMAT_START : TOKEN_FORMAT_MIDDLE, start);
            if (lexer->failed) return;
            push(lexer, lexer->out->count - 1);
            lexer->n_formats++;
            return;
        }
        if (c == '\\') {
            lex_escape(lexer);
            continue;
        }
        if (c == '}' && next != '}')
            complain(lexer, lexer->at, lexer->at + 1, "a brace itself is written }}", "this } closes nothing");
        if ((c == '{' || c == '}') && next == c) lexer->at++;
        add_byte(lexer, c);
        lexer->at++;
    }
    complain(lexer, start, begins ? lexer->at : start + 1,
             "a string ends on its line with \"; a new line inside it is written \\n", "this string is not closed");
    emit_piece(lexer, begins ? TOKEN_STRING : TOKEN_FORMAT_END, start);
}

static void lex_raw(Lexer *lexer)
{
    uint32_t start = lexer->at++;
    while (lexer->at < lexer->length && lexer->text[lexer->at] != '\n' && lexer->text[lexer->at] != '\'')
        add_byte(lexer, lexer->text[lexer->at++]);
    if (lexer->at < lexer->length && lexer->text[lexer->at] == '\'') lexer->at++;
    else complain(lexer, start, lexer->at, "a raw string ends on its line with '", "this string is not closed");
    emit_piece(lexer, TOKEN_STRING, start);
}

/* The format after ':' in {x:.3f}. */
static void lex_spec(Lexer *lexer)
{
    uint32_t start = lexer->at++;
    while (lexer->at < lexer->length && !strchr("}\"\n", lexer->text[lexer->at]))
        add_byte(lexer, lexer->text[lexer->at++]);
    emit_piece(lexer, TOKEN_FORMAT_SPEC, start);
}

/* A line ends within {…} of a string: the string is closed there. */
static void break_formats(Lexer *lexer)
{
    uint32_t start = lexer->at;
    while (lexer->n_formats > 0 && lexer->n_open > 0) {
        int32_t token = lexer->open[--lexer->n_open];
        if (!is_format(lexer, token)) continue;
        start = lexer->out->at[token].span.start;
        lexer->n_formats--;
        emit_piece(lexer, TOKEN_FORMAT_END, lexer->at);
    }
    complain(lexer, start, lexer->at, "a string and its {…} end on the line where they begin",
             "this string is not closed");
}

/* ---- symbols ---- */

static void open_bracket(Lexer *lexer, TokenKind kind)
{
    lexer->at++;
    emit(lexer, kind, lexer->at - 1);
    if (!lexer->failed) push(lexer, lexer->out->count - 1);
}

static void close_bracket(Lexer *lexer, TokenKind closer, TokenKind opener)
{
    uint32_t start = lexer->at++;
    int found = lexer->n_open - 1;
    if (closer == TOKEN_RBRACE)                          /* a } also ends what was left open inside its braces */
        while (found >= 0 && lexer->out->at[lexer->open[found]].kind != opener && !is_format(lexer, lexer->open[found]))
            found--;
    if (found >= 0 && closer == TOKEN_RBRACE && is_format(lexer, lexer->open[found])) {
        lexer->n_open = found;
        lexer->n_formats--;
        lex_piece(lexer, start, false);
        return;
    }
    bool matches = found >= 0 && lexer->out->at[lexer->open[found]].kind == opener;
    int32_t partner = matches ? lexer->open[found] : -1;
    if (matches) lexer->n_open = found;
    Token *token = emit(lexer, closer, start);
    if (lexer->failed || !matches) return;
    token->partner = partner;
    lexer->out->at[partner].partner = lexer->out->count - 1;
}

static void lex_habit(Lexer *lexer, TokenKind kind, uint32_t start)
{
    char message[32];
    snprintf(message, sizeof message, "there is no %s", token_info[kind].text);
    bool of_name = kind == TOKEN_BANG && start > 0 && isalnum((unsigned char)lexer->text[start - 1]);
    complain(lexer, start, lexer->at,
             of_name ? "names have no !; a value is appended by xs ++= [x]" : read_as[kind].hint, message);
    emit(lexer, (TokenKind)read_as[kind].kind, start);
}

static void lex_unknown(Lexer *lexer)
{
    static const struct { const char *text, *hint; } known[] = {
        {"“", "strings stand in \"…\""}, {"”", "strings stand in \"…\""}, {"‘", "raw strings stand in '…'"},
        {"’", "raw strings stand in '…'"}, {"−", "minus is written -"}, {"–", "minus is written -"},
        {"×", "times is written *"}, {"·", "times is written *, the matrix product @"}, {"÷", "divide with /"},
        {"≤", "write <="}, {"≥", "write >="}, {"≠", "write !="}, {"→", "write ->"}, {"…", "write ..."},
        {"\\", "a line goes on inside ( ), [ ] and behind an operator; no \\ is needed"},
        {"&", "write and; of sets, intersection(a, b)"}, {"`", "strings stand in \"…\" or '…'"}, {"$", "names have no $; strings take {name}"},
        {"~", "not negates bools"}, {"\xC2\xA0", "this is a non-breaking space; write a plain one"},
    };
    uint32_t codepoint = 0, start = lexer->at;
    int size = utf8_decode(lexer->text + start, lexer->length - start, &codepoint);
    lexer->at += (uint32_t)size;
    const char *hint = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].text) == (size_t)size && memcmp(known[i].text, lexer->text + start, (size_t)size) == 0)
            hint = known[i].hint;
    char message[64];
    if (codepoint < 0x20 || codepoint == 0x7F) snprintf(message, sizeof message, "a control character (%u)", codepoint);
    else snprintf(message, sizeof message, "no text of the language has a '%.*s'", size, lexer->text + start);
    complain(lexer, start, lexer->at, hint, message);
    emit(lexer, TOKEN_BAD, start);
}

static void lex_symbol(Lexer *lexer)
{
    const char *text = lexer->text + lexer->at;
    size_t left = lexer->length - lexer->at;
    for (size_t i = 0; i < sizeof symbol_order; i++) {
        TokenKind kind = (TokenKind)symbol_order[i];
        const char *symbol = token_info[kind].text;
        if (symbol[0] != text[0]) continue;
        size_t length = strlen(symbol);
        if (length > left || memcmp(symbol, text, length) != 0) continue;
        switch (kind) {
        case TOKEN_LPAREN: case TOKEN_LBRACKET: case TOKEN_LBRACE: open_bracket(lexer, kind); return;
        case TOKEN_RPAREN: close_bracket(lexer, kind, TOKEN_LPAREN); return;
        case TOKEN_RBRACKET: close_bracket(lexer, kind, TOKEN_LBRACKET); return;
        case TOKEN_RBRACE: close_bracket(lexer, kind, TOKEN_LBRACE); return;
        default: break;
        }
        lexer->at += (uint32_t)length;
        if (read_as[kind].hint) lex_habit(lexer, kind, lexer->at - (uint32_t)length);
        else emit(lexer, kind, lexer->at - (uint32_t)length);
        return;
    }
    lex_unknown(lexer);
}

static void lex_token(Lexer *lexer)
{
    char c = lexer->text[lexer->at];
    if (c == '\n') {
        if (lexer->n_formats > 0) break_formats(lexer);
        lexer->first = true;
        lexer->at++;
    } else if (c == ' ' || c == '\t' || c == '\r') {
        lexer->at++;
    } else if (c == '#') {
        while (lexer->at < lexer->length && lexer->text[lexer->at] != '\n') lexer->at++;
    } else if (is_digit(c) || (c == '.' && is_digit(lexer->text[lexer->at + 1]))) {
        lex_number(lexer);
    } else if (c == '"') {
        lexer->at++;
        lex_piece(lexer, lexer->at - 1, true);
    } else if (c == '\'') {
        lex_raw(lexer);
    } else if (c == ':' && in_format(lexer)) {
        lex_spec(lexer);
    } else if (name_piece(lexer, lexer->at) > 0) {
        lex_name(lexer);
    } else {
        lex_symbol(lexer);
    }
}

/* Lines on which brackets are open at the end: the depth of the next line. */
static int count_open_lines(const Lexer *lexer)
{
    int lines = 0;
    uint32_t last = 0;
    for (int i = 0; i < lexer->n_open; i++) {
        uint32_t line = line_of(lexer->parse->source, lexer->out->at[lexer->open[i]].span.start);
        lines += line != last;
        last = line;
    }
    return lines;
}

bool lex_source(Parse *parse, Tokens *tokens, int *open_lines)
{
    const Source *source = parse->source;
    Lexer lexer = {.parse = parse, .out = tokens, .text = source->text, .length = source->length, .first = true};
    size_t broken = utf8_check(source->text, source->length);
    const char *zero = memchr(source->text, 0, broken);
    if (zero) broken = (size_t)(zero - source->text);
    if (broken < source->length) {
        char message[64];
        unsigned byte = (unsigned char)source->text[broken];
        snprintf(message, sizeof message, zero ? "a zero byte in the text" : "broken UTF-8: byte 0x%02X", byte);
        complain(&lexer, (uint32_t)broken, (uint32_t)broken + 1,
                 zero ? NULL : "sources are UTF-8; iconv -f LATIN1 -t UTF-8 converts", message);
        lexer.length = 0;
    } else if (source->length >= 3 && memcmp(source->text, "\xEF\xBB\xBF", 3) == 0) {
        lexer.at = 3;
    }
    while (lexer.at < lexer.length && !lexer.failed) lex_token(&lexer);
    if (lexer.n_formats > 0 && !lexer.failed) break_formats(&lexer);
    lexer.at = lexer.length;
    *open_lines = lexer.failed ? 0 : count_open_lines(&lexer);
    lexer.n_open = 0;
    lexer.first = true;
    emit(&lexer, TOKEN_END, lexer.length);
    free(lexer.open);
    free(lexer.piece);
    return !lexer.failed;
}
