/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter's inside. A text is cut into pieces, tokens and comments, which are written again unchanged and in
   order: only what stands between them is decided, line ends and spaces by fmt_pieces.c, where lines are indented and
   broken by fmt_lines.c. So nothing that the writer said can be lost. */
#ifndef TESSERA_FMT_H
#define TESSERA_FMT_H

#include "lex.h"
#include "vm.h"

enum { PIECE_COMMENT = TOKEN_COUNT, FMT_WIDTH = 120, FMT_INDENT = 4 };

typedef struct Piece {
    Span span;
    uint8_t kind;             /* a TokenKind or PIECE_COMMENT. A string with {…} is one STRING, a word behind . a NAME */
    uint8_t lines;            /* line ends before it; 2: a blank line too */
    bool space;               /* before it, when it does not begin a line */
    bool statement;           /* begins a statement */
    bool block;               /* { or } of a block */
    bool shape;               /* [ of a contract, and brackets in one */
    bool prefix;              /* - or .. that stands before its operand */
    bool loop;                /* the in of a for */
    int32_t width;            /* columns that its text takes */
    int32_t opener;           /* the bracket around it, or -1 */
    int32_t partner;          /* of a bracket */
    int32_t owner;            /* of a block's {: the piece that begins what the block belongs to */
    int32_t indent;           /* set by the layout: of the line that it is on */
    int32_t column;           /* where it begins */
} Piece;

typedef struct Pieces {
    const Source *source;
    Piece *at;
    int count, room;
} Pieces;

/* [parse] has no errors. False: memory is out. Free with free(pieces->at) either way. */
bool fmt_pieces(Parse *parse, Pieces *pieces);

/* Whether lines mean something where [piece] stands: a line end may end a statement. */
static inline bool fmt_in_block(const Pieces *pieces, const Piece *piece)
{
    return piece->opener < 0 || pieces->at[piece->opener].block;
}

static inline bool fmt_opens(const Piece *piece)
{
    return piece->kind == TOKEN_LPAREN || piece->kind == TOKEN_LBRACKET || piece->kind == TOKEN_LBRACE;
}

static inline bool fmt_closes(const Piece *piece)
{
    return piece->kind == TOKEN_RPAREN || piece->kind == TOKEN_RBRACKET || piece->kind == TOKEN_RBRACE;
}

bool fmt_ends_value(const Piece *piece);   /* what follows is an operator, or a bracket of a call or subscript */

/* else, catch or finally: what follows a }. */
static inline bool fmt_follows_block(const Piece *piece)
{
    return piece->kind == TOKEN_ELSE || piece->kind == TOKEN_CATCH || piece->kind == TOKEN_FINALLY;
}

/* Indents and breaks lines, and writes all pieces. False: memory is out. */
bool fmt_lines(Pieces *pieces, Text *out);

#endif
