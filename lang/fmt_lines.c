/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formatter's second half: indents each line by the brackets that are open, breaks lines that are too long at their
   outermost place, aligns comments behind lines, and writes the text. A line that is broken here is one that the writer
   could have broken there, so that formatting again changes nothing. */
#include "fmt.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_MAX = FMT_WIDTH / 2, COMMENT_SHIFT_MAX = 40 };

typedef struct Frame {        /* an open bracket, or the whole text */
    bool block;
    bool header;              /* of a block: what is at hand is the head of if, while or for, before its { */
    int base;                 /* where the closing bracket stands when it begins a line */
    int indent;               /* where lines inside begin */
    int follow;               /* of a block: where else stands when it begins a line */
} Frame;

typedef struct Line { int start, comment; } Line;   /* pieces: its first, and the comment behind its code, or -1 */

typedef struct Layout {
    Pieces *pieces;
    Frame *frame;             /* innermost last */
    int depth, frame_room;
    Line *line;
    int n_lines, line_room;
    int closed_follow;        /* of the block that was closed last */
} Layout;

/* ---- indentation ---- */

static bool push_frame(Layout *layout, Frame frame)
{
    if (layout->depth == layout->frame_room) {
        int room = layout->frame_room ? layout->frame_room * 2 : 64;
        Frame *wider = realloc(layout->frame, (size_t)room * sizeof *wider);
        if (!wider) return false;
        layout->frame = wider;
        layout->frame_room = room;
    }
    layout->frame[layout->depth++] = frame;
    return true;
}

static int line_indent(const Layout *layout, int at)
{
    const Pieces *pieces = layout->pieces;
    const Piece *piece = &pieces->at[at];
    const Frame *frame = &layout->frame[layout->depth - 1];
    const Piece *code = piece, *end = pieces->at + pieces->count;
    while (code < end && code->kind == PIECE_COMMENT) code++;
    if (fmt_closes(piece)) return frame->base;
    if (code < end && fmt_follows_block(code)) return layout->closed_follow;
    if (piece->kind == TOKEN_LBRACE && piece->block && piece->owner < at) return pieces->at[piece->owner].indent;
    bool begins = code == end || code->statement || fmt_closes(code);
    if (!frame->block || begins) return frame->indent;
    return frame->indent + (frame->header ? 2 : 1) * FMT_INDENT;
}

static int aligned(int column, int base)
{
    return column <= ALIGN_MAX ? column : base + FMT_INDENT;
}

/* A block on one line has its else below its if. */
static Frame block_frame(const Layout *layout, const Piece *piece)
{
    const Piece *at = layout->pieces->at, *owner = &at[piece->owner];
    Frame frame = {.block = true, .base = owner->indent, .indent = owner->indent + FMT_INDENT};
    bool chained = piece->owner > 0 && owner[-1].kind == TOKEN_ELSE;
    frame.follow = chained ? layout->closed_follow : aligned(owner->column, frame.base);
    return frame;
}

/* A bracket with its content on the same line aligns what follows with it, unless that were too far to the right; else
   lines inside are indented once. */
static bool open_frame(Layout *layout, int at)
{
    const Piece *piece = &layout->pieces->at[at];
    if (piece->block) {
        layout->frame[layout->depth - 1].header = false;
        return push_frame(layout, block_frame(layout, piece));
    }
    bool alone = at + 1 < layout->pieces->count && (piece[1].lines > 0 || piece[1].kind == PIECE_COMMENT);
    Frame frame = {.base = piece->indent, .indent = piece->indent + FMT_INDENT};
    if (!alone) frame.indent = aligned(piece->column + piece->width, frame.base);
    return push_frame(layout, frame);
}

/* Goes past the pieces of a line that stands. What is behind a bracket of an earlier line counts as indented like the
   surroundings of that bracket, not like the line, which is aligned to its content. */
static bool advance(Layout *layout, int start, int end)
{
    int depth = layout->depth, indent = layout->pieces->at[start].indent;
    for (int i = start; i < end && fmt_closes(&layout->pieces->at[i]); i++) depth--;
    for (int i = start; i < end; i++) {
        Piece *piece = &layout->pieces->at[i];
        Frame *frame = &layout->frame[layout->depth - 1];
        piece->indent = indent;
        if (piece->statement) frame->header = false;
        if (piece->kind == TOKEN_IF || piece->kind == TOKEN_WHILE || piece->kind == TOKEN_FOR) frame->header = true;
        if (fmt_opens(piece) && !open_frame(layout, i)) return false;
        if (!fmt_closes(piece) || layout->depth == 1) continue;
        if (piece->block) layout->closed_follow = piece->lines > 0 ? frame->base : frame->follow;
        if (--layout->depth >= depth) continue;
        depth = layout->depth;
        indent = layout->frame[depth - 1].indent;
    }
    return true;
}

/* ---- long lines ---- */

/* Where a line may be broken, best first among those of one depth; operators by how tightly they bind. Behind an opening
   bracket only when nothing else is left. */
enum { BREAK_BLOCK, BREAK_BODY, BREAK_CLAUSE, BREAK_COMMA, BREAK_INNER_BLOCK, BREAK_OPERATOR, BREAK_OPENED = 200,
       BREAK_NEVER };
enum { DEPTH_LAST = INT_MAX - 1 };

/* What the statement of a piece begins with, when the piece stands in no bracket of it. */
static int statement_kind(const Pieces *pieces, int at)
{
    if (!fmt_in_block(pieces, &pieces->at[at])) return TOKEN_END;
    while (at > 0 && !pieces->at[at].statement) {
        at--;
        if (fmt_closes(&pieces->at[at]) && pieces->at[at].partner >= 0) at = pieces->at[at].partner;
    }
    return pieces->at[at].kind;
}

/* A { with something behind it on its line. */
static bool is_closed_up(const Piece *piece, int at)
{
    return piece->kind == TOKEN_LBRACE && piece->block && piece->partner > at + 1 && piece[1].lines == 0
           && piece[1].kind != PIECE_COMMENT;
}

/* Whether the line after an opening bracket gives the first thing in it the room that it lacks here. */
static bool opens_better(const Piece *piece)
{
    int indent = piece[-1].indent + FMT_INDENT;
    return indent < piece[-1].column && indent + piece->width <= FMT_WIDTH;
}

/* How good it is to break the line before piece [at]. */
static int rank_break(const Pieces *pieces, int at)
{
    const Piece *piece = &pieces->at[at], *before = piece - 1;
    bool block = fmt_in_block(pieces, piece);
    if (is_closed_up(piece, at)) return block ? BREAK_BLOCK : BREAK_INNER_BLOCK;
    if (at == 0 || piece->kind == TOKEN_COMMA || piece->kind == TOKEN_SEMICOLON) return BREAK_NEVER;
    if (fmt_closes(piece)) return BREAK_NEVER;
    if (fmt_opens(before) && !before->block) return opens_better(piece) ? BREAK_OPENED : BREAK_NEVER;
    if (before->kind == TOKEN_ASSIGN) return statement_kind(pieces, at - 1) == TOKEN_FN ? BREAK_BODY : BREAK_NEVER;
    if (before->kind == TOKEN_COMMA)
        return !block || statement_kind(pieces, at - 1) == TOKEN_ASSERT ? BREAK_COMMA : BREAK_NEVER;
    if (before->kind == TOKEN_SEMICOLON)
        return piece->statement && (piece->opener < 0 || !is_closed_up(&pieces->at[piece->opener], piece->opener))
            ? BREAK_COMMA : BREAK_NEVER;
    if (!block && (piece->kind == TOKEN_FOR || (piece->kind == TOKEN_IF && fmt_ends_value(before)))) return BREAK_CLAUSE;
    if (piece->kind == TOKEN_PIPE) return BREAK_OPERATOR;
    if (before->kind == TOKEN_CONCAT && block) return BREAK_NEVER;     /* at the end of a line it looks like i++ */
    bool operator = before->kind < TOKEN_COUNT && token_info[before->kind].binding > 0 && before->kind != TOKEN_NOT
                    && before->kind != TOKEN_RANGE && !before->prefix && !before->loop;
    return operator ? BREAK_OPERATOR + token_info[before->kind].binding : BREAK_NEVER;
}

/* A block's braces leave the line, and those of the else or catch behind it, which stay with the }. */
static void expand_block(Pieces *pieces, int opener)
{
    for (int at = opener;;) {
        int closer = pieces->at[at].partner;
        if (is_closed_up(&pieces->at[at], at)) pieces->at[at + 1].lines = pieces->at[closer].lines = 1;
        at = closer + 1;
        if (at >= pieces->count || !fmt_follows_block(&pieces->at[at])) return;
        if (pieces->at[closer].lines > 0) pieces->at[at].lines = 0;
        while (at < pieces->count && !(pieces->at[at].kind == TOKEN_LBRACE && pieces->at[at].block))
            at = fmt_opens(&pieces->at[at]) && pieces->at[at].partner > at ? pieces->at[at].partner + 1 : at + 1;
        if (at == pieces->count) return;
    }
}

/* Breaks the line from [start], of which the piece [over] is the first that ends beyond the margin. False: nowhere. */
static bool break_line(Layout *layout, int start, int over)
{
    Pieces *pieces = layout->pieces;
    int best = -1, best_level = INT_MAX, best_rank = BREAK_NEVER, depth = 0;
    for (int i = start; i <= over; i++) {
        const Piece *piece = &pieces->at[i];
        if (i > start && fmt_opens(piece - 1)) depth++;
        if (fmt_closes(piece)) depth--;
        int rank = i > start || is_closed_up(piece, i) ? rank_break(pieces, i) : BREAK_NEVER;
        int level = rank == BREAK_OPENED ? DEPTH_LAST : depth;
        if (rank == BREAK_NEVER || level > best_level || (level == best_level && rank > best_rank)) continue;
        if (level == best_level && rank == best_rank && is_closed_up(piece, i)) continue;
        best = i;
        best_level = level;
        best_rank = rank;
    }
    if (best < 0) return false;
    if (is_closed_up(&pieces->at[best], best)) expand_block(pieces, best);
    else pieces->at[best].lines = 1;
    return true;
}

/* ---- lines ---- */

/* Places the pieces of the line from [start]; *end: the first of the next line. The piece that passes [margin], or -1. */
static int place_line(Layout *layout, int start, int indent, int margin, int *end)
{
    const Pieces *pieces = layout->pieces;
    int column = indent;
    for (int i = start; i < pieces->count; i++) {
        Piece *piece = &pieces->at[i];
        if (i > start && piece->lines > 0) {
            *end = i;
            return -1;
        }
        if (i > start && piece->space) column++;
        piece->indent = indent;
        piece->column = column;
        column += piece->width;
        if (column > margin && piece->kind != PIECE_COMMENT) return i;
    }
    *end = pieces->count;
    return -1;
}

static bool add_line(Layout *layout, int start, int end)
{
    if (layout->n_lines == layout->line_room) {
        int room = layout->line_room ? layout->line_room * 2 : 256;
        Line *wider = realloc(layout->line, (size_t)room * sizeof *wider);
        if (!wider) return false;
        layout->line = wider;
        layout->line_room = room;
    }
    bool comment = end - 1 > start && layout->pieces->at[end - 1].kind == PIECE_COMMENT;
    layout->line[layout->n_lines++] = (Line){start, comment ? end - 1 : -1};
    return true;
}

static bool lay_out(Layout *layout)
{
    int end;
    for (int start = 0; start < layout->pieces->count; start = end) {
        int indent = line_indent(layout, start), over;
        while ((over = place_line(layout, start, indent, FMT_WIDTH, &end)) >= 0)
            if (!break_line(layout, start, over)) {
                place_line(layout, start, indent, INT_MAX, &end);
                break;
            }
        if (!add_line(layout, start, end) || !advance(layout, start, end)) return false;
    }
    return true;
}

/* ---- comments behind lines ---- */

typedef struct Run { int from, to, nearest, column, widest; } Run;   /* lines; where their comments could begin, and do */

/* Whether the comment of line [run->to] can stand in one column with those before. */
static bool join_run(const Layout *layout, Run *run)
{
    const Line *line = &layout->line[run->to];
    const Piece *at = layout->pieces->at, *comment = &at[line->comment], *code = comment - 1;
    int own = code->column + code->width + 2, column = own > run->column ? own : run->column;
    int nearest = own < run->nearest ? own : run->nearest;
    int widest = comment->width > run->widest ? comment->width : run->widest;
    if (run->to > run->from && (at[line->start].lines > 1 || at[line->start].indent != at[line[-1].start].indent
                                || column - nearest > COMMENT_SHIFT_MAX || column + widest > FMT_WIDTH))
        return false;
    run->nearest = nearest;
    run->column = column;
    run->widest = widest;
    run->to++;
    return true;
}

/* Comments behind neighbouring lines stand in one column, as long as none is moved far or beyond the margin. */
static void align_comments(Layout *layout)
{
    Run run;
    for (int from = 0; from < layout->n_lines; from = run.to) {
        run = (Run){from, from, INT_MAX, 0, 0};
        while (run.to < layout->n_lines && layout->line[run.to].comment >= 0 && join_run(layout, &run)) continue;
        for (int i = from; i < run.to; i++) layout->pieces->at[layout->line[i].comment].column = run.column;
        if (run.to == from) run.to++;
    }
}

/* ---- writing ---- */

static void add_blanks(Text *out, int count)
{
    static const char blanks[] = "                                                                ";
    for (int some; count > 0; count -= some) {
        some = count < (int)sizeof blanks - 1 ? count : (int)sizeof blanks - 1;
        text_add(out, blanks, (size_t)some);
    }
}

static void write_pieces(const Layout *layout, Text *out)
{
    const Pieces *pieces = layout->pieces;
    int column = 0;
    for (int i = 0; i < pieces->count; i++) {
        const Piece *piece = &pieces->at[i];
        if (piece->lines > 0) text_add(out, "\n\n", piece->lines);
        if (piece->lines > 0) column = 0;
        add_blanks(out, piece->column - column);
        text_add(out, pieces->source->text + piece->span.start, piece->span.end - piece->span.start);
        column = piece->column + piece->width;
    }
    if (pieces->count > 0) text_add(out, "\n", 1);
}

bool fmt_lines(Pieces *pieces, Text *out)
{
    Layout layout = {.pieces = pieces};
    bool fine = push_frame(&layout, (Frame){.block = true}) && lay_out(&layout);
    if (fine) {
        align_comments(&layout);
        write_pieces(&layout, out);
    }
    free(layout.frame);
    free(layout.line);
    return fine && !out->failed;
}
