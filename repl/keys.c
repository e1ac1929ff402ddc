/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What keys do in a block of several lines: readline's commands know one line only, so those that mean a line take its
   bounds from here, and Enter, brackets, Backspace and TAB know indentation. Keys that ~/.inputrc binds stay bound: not
   keys are taken over but readline's functions, wherever they are bound. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "editor.h"

/* ---- lines of the block ---- */

static int line_start(int at)
{
    while (at > 0 && rl_line_buffer[at - 1] != '\n') at--;
    return at;
}

static int line_end(int at)
{
    while (at < rl_end && rl_line_buffer[at] != '\n') at++;
    return at;
}

static int indent_of(int at)
{
    int start = line_start(at), end = start;
    while (end < rl_end && rl_line_buffer[end] == ' ') end++;
    return end - start;
}

/* Only spaces stand between the line's start and [at]. */
static bool only_spaces(int at)
{
    int start = line_start(at);
    return (int)strspn(rl_line_buffer + start, " ") >= at - start;
}

static void insert_spaces(int count)
{
    for (; count > 0; count--) rl_insert_text(" ");
}

/* ---- Enter ---- */

/* How deep a line at [at] stands. */
static int wanted_indent(int at)
{
    int indent = 0;
    if (session_is_complete(editor.host.session, rl_line_buffer, (size_t)at, &indent) != CODE_INCOMPLETE)
        indent = indent_of(at);
    return indent;
}

static int open_line(int count, int key)
{
    (void)count;
    (void)key;
    int indent = editor.code ? wanted_indent(rl_point) : 0;
    rl_begin_undo_group();
    int after = rl_point;
    while (after < rl_end && rl_line_buffer[after] == ' ') after++;
    rl_delete_text(rl_point, after);
    if (rl_point < rl_end && strchr("})]", rl_line_buffer[rl_point])) indent -= INDENT;
    int before = rl_point;
    while (before > line_start(rl_point) && rl_line_buffer[before - 1] == ' ') before--;
    if (before > line_start(rl_point)) {                 /* a blank line keeps its place */
        rl_delete_text(before, rl_point);
        rl_point = before;
    }
    rl_insert_text("\n");
    insert_spaces(indent);
    rl_end_undo_group();
    if (rl_editing_mode == 0) rl_vi_insertion_mode(1, 0);
    return 0;
}

/* An unfinished block runs all the same, and says why not, after two blank lines at its end. */
static bool gives_up(void)
{
    int newlines = 0;
    for (int at = rl_end; at > 0 && strchr(" \n", rl_line_buffer[at - 1]); at--) newlines += rl_line_buffer[at - 1] == '\n';
    return rl_point == rl_end && newlines >= 2;
}

static int enter(int count, int key)
{
    int indent;
    bool whole = !editor.code || gives_up()
                 || session_is_complete(editor.host.session, rl_line_buffer, (size_t)rl_end, &indent) != CODE_INCOMPLETE;
    if (!whole) return open_line(count, key);
    if (rl_editing_mode == 0) rl_vi_movement_mode(1, key);       /* so that . repeats what was inserted */
    rl_done = 1;                                         /* rl_newline would move a cursor whose place it does not know */
    RL_SETSTATE(RL_STATE_DONE);
    return 0;
}

/* ---- indentation ---- */

/* Where the bracket that [at] closes was opened, or -1. */
static int opener_of(int at)
{
    int count, opener = -1;
    Highlight *spans = editor.host.highlight(rl_line_buffer, (size_t)rl_end, &count);
    for (int i = 0; spans && i < count; i++)
        if (spans[i].start == (size_t)at && spans[i].partner >= 0 && spans[i].partner < i)
            opener = (int)spans[spans[i].partner].start;
    free(spans);
    return opener;
}

/* A closing bracket in front of a line stands as deep as the line that opened it. */
static int close_bracket(int count, int key)
{
    bool first = only_spaces(rl_point) && editor.code && count == 1;
    rl_insert(count, key);
    if (!first) return 0;
    int opener = opener_of(rl_point - 1), start = line_start(rl_point);
    int wanted = opener >= 0 ? indent_of(opener) : -1, now = rl_point - 1 - start;
    if (wanted < 0 || wanted >= now) return 0;
    rl_delete_text(start, start + now - wanted);
    rl_point -= now - wanted;
    return 0;
}

static int rub_out(int count, int key)
{
    int start = line_start(rl_point), spaces = rl_point - start;
    if (!editor.code || count != 1 || spaces < 2 || !only_spaces(rl_point)) return rl_rubout(count, key);
    int back = spaces % INDENT ? spaces % INDENT : INDENT;
    rl_delete_text(rl_point - back, rl_point);
    rl_point -= back;
    return 0;
}

static int complete_or_indent(int count, int key)
{
    if (editor.code && only_spaces(rl_point) && (rl_point > 0 || rl_end > 0)) {
        insert_spaces(INDENT - (rl_point - line_start(rl_point)) % INDENT);
        return 0;
    }
    if (rl_last_func == complete_or_indent) rl_last_func = rl_complete;      /* so that it sees the second TAB */
    return rl_complete(count, key);
}

/* ---- moving ---- */

/* vi's 0 and $ stay in their line. */
static bool in_vi_movement(void)
{
    return rl_editing_mode == 0 && rl_get_keymap() == vi_movement_keymap;
}

static int go_home(int count, int key)
{
    (void)count;
    (void)key;
    int start = line_start(rl_point);
    rl_point = start < rl_point || in_vi_movement() ? start : 0;
    return 0;
}

static int previous_line(int count, int key);
static int next_line(int count, int key);

/* As many characters into the line at [start] as [from] is into its own; readline's Left and Right know characters. */
static void go_into(int start, int from)
{
    int column = 0;
    for (int at = line_start(from); at < from; at++) column += ((unsigned char)rl_line_buffer[at] & 0xC0) != 0x80;
    int at = start, end = line_end(start);
    for (; at < end && column > 0; column--)
        do at++; while (at < end && ((unsigned char)rl_line_buffer[at] & 0xC0) == 0x80);
    rl_point = at;
}

/* Entries that begin as the line does up to the cursor; the whole history from an empty line. */
static int search_history(int (*search)(int, int), int count, int key)
{
    bool going = rl_last_func == previous_line || rl_last_func == next_line;
    static bool searching;
    if (!going) searching = rl_point == rl_end && rl_end > 0 && !memchr(rl_line_buffer, '\n', (size_t)rl_end);
    if (!searching)
        return search == rl_history_search_backward ? rl_get_previous_history(count, key)
                                                    : rl_get_next_history(count, key);
    if (going) rl_last_func = search;
    else if (search == rl_history_search_forward) return rl_get_next_history(count, key);
    return search(count, key);
}

static int previous_line(int count, int key)
{
    int start = line_start(rl_point);
    if (start > 0) {
        go_into(line_start(start - 1), rl_point);
        return 0;
    }
    search_history(rl_history_search_backward, count, key);
    rl_point = line_end(0);                              /* so that the next Up leaves the block again */
    return 0;
}

static int next_line(int count, int key)
{
    int end = line_end(rl_point);
    if (end < rl_end) {
        go_into(end + 1, rl_point);
        return 0;
    }
    search_history(rl_history_search_forward, count, key);
    rl_point = rl_end;
    return 0;
}

/* ---- the suggestion ---- */

const char *keys_suggestion(void)
{
    bool wanted = editor.code && rl_point == rl_end && rl_end > 0 && !RL_ISSTATE(RL_STATE_ISEARCH);
    if (!wanted || !rl_line_buffer[strspn(rl_line_buffer, " ")]) return NULL;
    HIST_ENTRY **list = history_list();
    for (int i = history_length - 1; list && i >= 0; i--)
        if (list[i]->line[0] == rl_line_buffer[0] && strncmp(list[i]->line, rl_line_buffer, (size_t)rl_end) == 0
            && list[i]->line[rl_end])
            return list[i]->line + rl_end;
    return NULL;
}

/* Takes the suggestion, or of it the first word; false: there is none. */
static bool take_suggestion(bool word)
{
    const char *text = editor.host.color ? keys_suggestion() : NULL;
    if (!text) return false;
    size_t length = strlen(text);
    if (word) {
        length = strcspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        length += strspn(text + length, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    }
    char *taken = strndup(text, length);
    if (taken) rl_insert_text(taken);
    free(taken);
    return true;
}

static int forward_char(int count, int key)
{
    return take_suggestion(false) ? 0 : rl_forward_char(count, key);
}

static int forward_word(int count, int key)
{
    return take_suggestion(true) ? 0 : rl_forward_word(count, key);
}

static int go_end(int count, int key)
{
    (void)count;
    (void)key;
    int end = line_end(rl_point);
    if (in_vi_movement()) {                              /* its $ is the last character */
        while (end > line_start(rl_point) && ((unsigned char)rl_line_buffer[--end] & 0xC0) == 0x80) continue;
        rl_point = end;
        return 0;
    }
    if (end > rl_point) rl_point = end;
    else if (!take_suggestion(false)) rl_point = rl_end;
    return 0;
}

/* ---- cutting ---- */

static int kill_to_end(int count, int key)
{
    (void)count;
    (void)key;
    int end = line_end(rl_point);
    rl_kill_text(rl_point, end > rl_point || end == rl_end ? end : end + 1);
    return 0;
}

static int kill_to_start(int count, int key)
{
    (void)count;
    (void)key;
    int start = line_start(rl_point), end = rl_point;
    if (start == end && start > 0) start--;
    rl_kill_text(end, start);
    rl_point = start;
    return 0;
}

/* ---- vi's commands of lines ---- */

static int vi_insert_at_start(int count, int key)
{
    rl_point = line_start(rl_point);
    return rl_vi_insertion_mode(count, key);
}

static int vi_append_at_end(int count, int key)
{
    rl_point = line_end(rl_point);
    return rl_vi_insertion_mode(count, key);
}

/* dd, cc and yy: the whole line, not the whole block; other motions are readline's affair. */
static int vi_line_or(rl_command_func_t *theirs, int count, int key)
{
    int next = key >= 'a' ? editor_next_key(-1) : -1;    /* D and C take no second key */
    if (next != key) {
        if (next >= 0) editor_untake_key();
        return theirs(count, key);
    }
    int start = line_start(rl_point), end = line_end(rl_point);
    bool all = key == 'c' || key == 'y';                 /* the newline stays */
    if (!all && end < rl_end) end++;
    else if (!all && start > 0) start--;
    if (key == 'y') {
        int point = rl_point;
        rl_mark = start;
        rl_point = end;
        rl_copy_region_to_kill(1, key);
        rl_point = point;
        return 0;
    }
    if (key == 'c') start += indent_of(rl_point);
    rl_kill_text(start, end);
    rl_point = key == 'c' ? start : line_start(start < rl_end ? start : rl_end);
    return key == 'c' ? rl_vi_insertion_mode(1, key) : 0;
}

static int vi_delete(int count, int key)
{
    return vi_line_or(rl_vi_delete_to, count, key);
}

static int vi_change(int count, int key)
{
    return vi_line_or(rl_vi_change_to, count, key);
}

static int vi_yank(int count, int key)
{
    return vi_line_or(rl_vi_yank_to, count, key);
}

static int vi_open_below(int count, int key)
{
    rl_point = line_end(rl_point);
    return open_line(count, key);
}

/* ---- the screen ---- */

static int clear_screen(int count, int key)
{
    (void)count;
    (void)key;
    editor_clear(false);
    return 0;
}

static int clear_display(int count, int key)
{
    (void)count;
    (void)key;
    editor_clear(true);
    return 0;
}

static int redraw(int count, int key)
{
    (void)count;
    (void)key;
    editor_refresh(false);
    return 0;
}

/* ---- binding ---- */

static const struct { rl_command_func_t *theirs, *ours; } replaced[] = {
    {rl_newline, enter},
    {rl_get_previous_history, previous_line},
    {rl_get_next_history, next_line},
    {rl_beg_of_line, go_home},
    {rl_end_of_line, go_end},
    {rl_forward_char, forward_char},
    {rl_forward_word, forward_word},
    {rl_kill_line, kill_to_end},
    {rl_unix_line_discard, kill_to_start},
    {rl_rubout, rub_out},
    {rl_complete, complete_or_indent},
    {rl_bracketed_paste_begin, paste_text},
    {rl_clear_screen, clear_screen},
    {rl_clear_display, clear_display},
    {rl_refresh_line, redraw},
    {rl_vi_delete_to, vi_delete},
    {rl_vi_change_to, vi_change},
    {rl_vi_yank_to, vi_yank},
    {rl_vi_insert_beg, vi_insert_at_start},
    {rl_vi_append_eol, vi_append_at_end},
};

/* A terminal far away answers late what it can show (pictures.c): nobody typed that. Up to its last byte, a letter, or a
   backslash behind an escape. */
static int drop_answer(int count, int key)
{
    bool graphics = key == 'G';
    (void)count;
    do key = editor_next_key(1);
    while (key >= 0 && (graphics ? key != '\\' : (key < 'A' || key > '~')));
    return 0;
}

static void replace_in(Keymap map)
{
    for (int key = 0; key < KEYMAP_SIZE; key++) {
        if (map[key].type == ISKMAP) {
            replace_in((Keymap)(uintptr_t)map[key].function);       /* as readline itself keeps it */
            continue;
        }
        for (size_t i = 0; map[key].type == ISFUNC && i < sizeof replaced / sizeof *replaced; i++)
            if (map[key].function == replaced[i].theirs) map[key].function = replaced[i].ours;
    }
}

static void bind_brackets(Keymap map)
{
    for (const char *bracket = ")]}"; *bracket; bracket++)
        if (map[(int)*bracket].type == ISFUNC && map[(int)*bracket].function == rl_insert)
            map[(int)*bracket].function = close_bracket;
}

/* Keys that readline gives to what is of no use here: Alt-Enter changes to vi's mode, vi's Ctrl-L inserts itself. */
static void bind_key(Keymap map, int key, rl_command_func_t *unless, rl_command_func_t *ours)
{
    if (map[key].type == ISFUNC && (!map[key].function || map[key].function == unless))
        map[key].function = ours;
}

void keys_bind(void)
{
    static const char *const maps[] = {"emacs", "vi-insert", "vi-command"}, *const answers[] = {"\\e[?", "\\e[6;", "\\e_G"};
    rl_add_defun("insert-line", open_line, -1);
    for (int i = 0; i < 3; i++) replace_in(rl_get_keymap_by_name(maps[i]));
    for (int i = 0; i < 2; i++) {
        Keymap map = rl_get_keymap_by_name(maps[i]);
        bind_brackets(map);
        for (size_t j = 0; j < sizeof answers / sizeof *answers; j++)
            rl_bind_keyseq_if_unbound_in_map(answers[j], drop_answer, map);
    }
    Keymap meta = rl_get_keymap_by_name("emacs-meta"), insert = rl_get_keymap_by_name("vi-insert");
    bind_key(meta, RETURN, rl_vi_editing_mode, open_line);
    bind_key(meta, NEWLINE, rl_vi_editing_mode, open_line);
    bind_key(insert, CTRL('L'), rl_insert, clear_screen);
    bind_key(rl_get_keymap_by_name("vi-command"), 'o', NULL, vi_open_below);
    rl_bind_keyseq_if_unbound_in_map("\\e\\C-m", open_line, insert);
}
