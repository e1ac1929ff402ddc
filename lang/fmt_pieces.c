/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter's first half: the pieces of a text, what each one is, and which line ends and spaces stand between them.
   Line ends stay where the writer put them, except before { else , and ; and around the statements of a block. */
#include "fmt.h"

#include <stdlib.h>
#include <string.h>

#include "tree.h"

/* ---- cutting ---- */

static Piece *add_piece(Pieces *pieces, int kind, Span span)
{
    if (pieces->count == pieces->room) {
        int room = pieces->room ? pieces->room * 2 : 1024;
        Piece *wider = pieces->room < 1 << 26 ? realloc(pieces->at, (size_t)room * sizeof *wider) : NULL;
        if (!wider) return NULL;
        pieces->at = wider;
        pieces->room = room;
    }
    Piece *piece = &pieces->at[pieces->count++];
    *piece = (Piece){.kind = (uint8_t)kind, .span = span, .opener = -1, .partner = -1, .owner = -1};
    for (uint32_t i = span.start; i < span.end; i++)
        piece->width += ((unsigned char)pieces->source->text[i] & 0xC0) != 0x80;
    return piece;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The comments between two tokens, and how many line ends (2 at most) stand before what follows. */
static bool cut_gap(Pieces *pieces, uint32_t at, uint32_t end, uint8_t *lines)
{
    const char *text = pieces->source->text;
    *lines = 0;
    for (; at < end; at++) {
        if (text[at] == '\n' && *lines < 2) ++*lines;
        if (text[at] != '#') continue;
        const char *line_end = memchr(text + at, '\n', end - at);
        uint32_t stop = line_end ? (uint32_t)(line_end - text) : end, last = stop;
        while (is_blank(text[last - 1])) last--;
        Piece *comment = add_piece(pieces, PIECE_COMMENT, (Span){at, last});
        if (!comment) return false;
        comment->lines = *lines;
        *lines = 0;
        at = stop - 1;
    }
    return true;
}

/* A string with {…} counts as one token; *i moves to its last. */
static Span token_span(const Tokens *tokens, int *i)
{
    Span span = tokens->at[*i].span;
    if (tokens->at[*i].kind != TOKEN_FORMAT_START) return span;
    for (int depth = 1; depth > 0 && *i + 1 < tokens->count;) {
        uint8_t kind = tokens->at[++*i].kind;
        depth += kind == TOKEN_FORMAT_START;
        depth -= kind == TOKEN_FORMAT_END;
    }
    span.end = tokens->at[*i].span.end;
    return span;
}

/* A word of the language that is a name where it stands. */
static bool is_member(const Tokens *tokens, int i)
{
    return token_info[tokens->at[i].kind].keyword && i > 0 && tokens->at[i - 1].kind == TOKEN_DOT;
}

static bool cut_tokens(Pieces *pieces, const Tokens *tokens)
{
    uint32_t end = 0;
    for (int i = 0; i < tokens->count; i++) {
        const Token *token = &tokens->at[i];
        uint8_t lines;
        int kind = token->kind == TOKEN_FORMAT_START ? TOKEN_STRING : is_member(tokens, i) ? TOKEN_NAME : token->kind;
        if (!cut_gap(pieces, end, token->span.start, &lines)) return false;
        if (kind == TOKEN_END) break;
        Piece *piece = add_piece(pieces, kind, token_span(tokens, &i));
        if (!piece) return false;
        piece->lines = lines;
        end = piece->span.end;
    }
    return true;
}

static void find_brackets(Pieces *pieces)
{
    int32_t open = -1;                                   /* those around it are found by their openers */
    for (int i = 0; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        piece->opener = open;
        if (fmt_closes(piece) && open >= 0) {
            piece->partner = open;
            piece->opener = pieces->at[open].opener;
            pieces->at[open].partner = i;
            open = piece->opener;
        } else if (fmt_opens(piece)) {
            open = i;
        }
    }
}

/* ---- what the tree knows of pieces ---- */

/* The first piece at or behind a place in the text. */
static int piece_at(const Pieces *pieces, uint32_t offset)
{
    int low = 0, high = pieces->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (pieces->at[middle].span.start < offset) low = middle + 1; else high = middle;
    }
    return low;
}

static int next_of_kind(const Pieces *pieces, int at, int kind)
{
    while (at < pieces->count && pieces->at[at].kind != kind) at++;
    return at;
}

/* [at]: the piece of the {; [owner]: where what it belongs to begins. */
static void mark_block(Pieces *pieces, int at, int owner)
{
    if (at >= pieces->count || pieces->at[at].kind != TOKEN_LBRACE || pieces->at[at].partner < 0) return;
    pieces->at[at].block = pieces->at[pieces->at[at].partner].block = true;
    pieces->at[at].owner = owner < at ? owner : at;
}

static void mark_body(Pieces *pieces, const Node *block, int owner)
{
    if (!block || block->kind != NODE_BLOCK) return;
    int at = piece_at(pieces, block->span.start);
    if (at < pieces->count && pieces->at[at].span.start == block->span.start) mark_block(pieces, at, owner);
}

static void mark_statements(Pieces *pieces, NodeList list)
{
    for (int i = 0; i < list.count; i++) {
        int at = piece_at(pieces, list.at[i]->span.start);
        if (at < pieces->count && pieces->at[at].span.start == list.at[i]->span.start)
            pieces->at[at].statement = true;
    }
}

static void mark_contract(Pieces *pieces, const Node *node)
{
    if (node->contract.kind != CONTRACT_SHAPE) return;
    int at = next_of_kind(pieces, piece_at(pieces, node->span.start), TOKEN_LBRACKET);
    if (at < pieces->count) pieces->at[at].shape = true;
}

/* Parentheses around a node belong to its span; what it begins with stands behind them. What stands in a string is one
   piece with it. */
static void mark(Node *node, void *to)
{
    Pieces *pieces = to;
    if (node->kind == NODE_FORMAT) return;
    int start = piece_at(pieces, node->span.start);
    switch (node->kind) {
    case NODE_BLOCK: mark_statements(pieces, node->list); break;
    case NODE_IF:
        start = next_of_kind(pieces, start, TOKEN_IF);
        mark_body(pieces, node->branch.then, start);
        mark_body(pieces, node->branch.otherwise, start);
        break;
    case NODE_TRY:
        start = next_of_kind(pieces, start, TOKEN_TRY);
        mark_body(pieces, node->attempt.body, start);
        mark_body(pieces, node->attempt.handler, start);
        mark_body(pieces, node->attempt.finally, start);
        break;
    case NODE_WHILE: case NODE_FOR: mark_body(pieces, node->loop.body, start); break;
    case NODE_FN: case NODE_LAMBDA:
        mark_body(pieces, node->function->body, piece_at(pieces, node->function->header.start));
        break;
    case NODE_TEST: mark_body(pieces, node->test.body, start); break;
    case NODE_MODEL:
        mark_block(pieces, next_of_kind(pieces, piece_at(pieces, node->model.header.end), TOKEN_LBRACE), start);
        mark_statements(pieces, node->model.body);
        break;
    case NODE_CONTRACT: mark_contract(pieces, node); break;
    default: break;
    }
    tree_children(node, mark, pieces);
}

/* ---- what the neighbours tell ---- */

bool fmt_ends_value(const Piece *piece)
{
    switch (piece->kind) {
    case TOKEN_NAME: case TOKEN_INT: case TOKEN_FLOAT: case TOKEN_STRING: case TOKEN_RPAREN: case TOKEN_RBRACKET:
    case TOKEN_RBRACE: case TOKEN_TRUE: case TOKEN_FALSE: case TOKEN_NONE: case TOKEN_DONE: case TOKEN_QUESTION:
        return true;
    default: return false;
    }
}

/* Words that are keys of a map, - and .. that stand before their operand, the in of a for, brackets within shapes. */
static void find_roles(Pieces *pieces)
{
    const Piece *before = NULL, *loop = NULL;
    for (int i = 0; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        const Piece *opener = piece->opener < 0 ? NULL : &pieces->at[piece->opener];
        if (piece->kind == PIECE_COMMENT) continue;
        if (token_info[piece->kind].keyword && opener && opener->kind == TOKEN_LBRACE && !opener->block
            && i + 1 < pieces->count && pieces->at[i + 1].kind == TOKEN_COLON)
            piece->kind = TOKEN_NAME;
        if (piece->kind == TOKEN_MINUS || piece->kind == TOKEN_RANGE)
            piece->prefix = !before || piece->statement || !fmt_ends_value(before);
        if (fmt_opens(piece) && opener && opener->shape) piece->shape = true;
        piece->loop = piece->kind == TOKEN_IN && loop && loop->opener == piece->opener;
        if (piece->loop || piece->kind == TOKEN_FOR) loop = piece->loop ? NULL : piece;
        before = piece;
    }
}

/* ---- line ends ---- */

static bool is_comment(const Pieces *pieces, int at)
{
    return at < 0 || at >= pieces->count || pieces->at[at].kind == PIECE_COMMENT;
}

/* , and ; end lines and never begin them. */
static void move_separators(Pieces *pieces)
{
    for (int i = 1; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        bool separator = piece->kind == TOKEN_COMMA || piece->kind == TOKEN_SEMICOLON;
        if (!separator || piece->lines == 0 || is_comment(pieces, i - 1) || fmt_opens(piece - 1)) continue;
        if (!is_comment(pieces, i + 1) && pieces->at[i + 1].lines < piece->lines) pieces->at[i + 1].lines = piece->lines;
        piece->lines = 0;
    }
}

/* A block whose statements are on lines of their own has its braces alone at both ends. */
static void open_blocks(Pieces *pieces)
{
    for (int i = 0; i < pieces->count; i++) {
        const Piece *piece = &pieces->at[i];
        bool closes = piece->kind == TOKEN_RBRACE && piece->block;
        bool alone = piece->kind == PIECE_COMMENT || (piece->lines > 0 && (piece->statement || closes));
        int opener = closes ? piece->partner : piece->opener;
        if (!alone || opener < 0 || !pieces->at[opener].block) continue;
        int closer = pieces->at[opener].partner;
        if (!is_comment(pieces, opener + 1)) pieces->at[opener + 1].lines = 1;
        pieces->at[closer].lines = opener + 1 == closer ? 0 : 1;
    }
}

static void settle_lines(Pieces *pieces)
{
    move_separators(pieces);
    open_blocks(pieces);
    for (int i = 0; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        bool opened = i > 0 && fmt_opens(&pieces->at[i - 1]);
        if (i == 0) piece->lines = 0;
        else if (is_comment(pieces, i - 1)) piece->lines = piece->lines > 1 ? 2 : 1;
        else if (piece->kind == TOKEN_LBRACE && piece->block) piece->lines = 0;
        else if (fmt_follows_block(piece) && pieces->at[i - 1].lines > 0) piece->lines = 0;
        if (piece->lines > 1 && (opened || fmt_closes(piece))) piece->lines = 1;
    }
}

/* ---- spaces ---- */

static bool is_product(int kind)
{
    return kind == TOKEN_STAR || kind == TOKEN_SLASH || kind == TOKEN_FLOORDIV || kind == TOKEN_PERCENT
           || kind == TOKEN_AT || kind == TOKEN_CARET;
}

/* Whether two pieces without a space between them would be read as something else: `1. .max`, `0.. .5`. */
static bool would_merge(const Pieces *pieces, const Piece *before, const Piece *piece)
{
    const char *text = pieces->source->text;
    return text[before->span.end - 1] == '.' && text[piece->span.start] == '.';
}

static bool colon_takes_space(const Pieces *pieces, const Piece *colon)
{
    return colon->opener < 0 || pieces->at[colon->opener].kind != TOKEN_LBRACKET || pieces->at[colon->opener].shape;
}

static bool takes_space(const Pieces *pieces, const Piece *before, const Piece *piece)
{
    const Piece *opener = piece->opener < 0 ? NULL : &pieces->at[piece->opener];
    bool in_brackets = opener && opener->kind != TOKEN_LBRACE;
    if (before->kind == TOKEN_LBRACE && piece->partner >= 0 && &pieces->at[piece->partner] == before) return false;
    if ((before->kind == TOKEN_LBRACE && before->block) || (piece->kind == TOKEN_RBRACE && piece->block)) return true;
    if (fmt_closes(piece) || fmt_opens(before)) return false;
    switch (piece->kind) {
    case TOKEN_COMMA: case TOKEN_SEMICOLON: case TOKEN_QUESTION: case TOKEN_DOT: case TOKEN_BAR: return false;
    case TOKEN_COLON: return before->kind == TOKEN_COMMA;
    case TOKEN_LPAREN: case TOKEN_LBRACKET: if (fmt_ends_value(before)) return false; else break;
    default: break;
    }
    if (before->kind == TOKEN_COMMA || before->kind == TOKEN_SEMICOLON) return true;
    if (before->kind == TOKEN_DOT || before->kind == TOKEN_BAR || before->prefix) return false;
    if (before->kind == TOKEN_RANGE || (piece->kind == TOKEN_RANGE && !piece->prefix)) return false;
    if (before->kind == TOKEN_COLON) return colon_takes_space(pieces, before);
    if (in_brackets && (piece->kind == TOKEN_ASSIGN || before->kind == TOKEN_ASSIGN)) return false;
    if (opener && opener->shape && (is_product(piece->kind) || is_product(before->kind))) return false;
    return true;
}

static void settle_spaces(Pieces *pieces)
{
    const Piece *before = NULL;
    for (int i = 0; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        if (piece->kind == PIECE_COMMENT) continue;
        piece->space = before && (takes_space(pieces, before, piece) || would_merge(pieces, before, piece));
        before = piece;
    }
}

bool fmt_pieces(Parse *parse, Pieces *pieces)
{
    Tokens tokens = {0};
    int open_lines;
    *pieces = (Pieces){.source = parse->source};
    bool fine = lex_source(parse, &tokens, &open_lines) && cut_tokens(pieces, &tokens);
    free(tokens.at);
    if (!fine) return false;
    find_brackets(pieces);
    mark_statements(pieces, parse->statements);
    for (int i = 0; i < parse->statements.count; i++) mark(parse->statements.at[i], pieces);
    find_roles(pieces);
    settle_lines(pieces);
    settle_spaces(pieces);
    return true;
}
