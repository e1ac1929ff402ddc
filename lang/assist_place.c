/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands around a place in a text that is perhaps unfinished or wrong: the call, string, subscript or command that
   it lies in, and the value of a chain of names. One look from the start of the text; nothing is run. */
#include <string.h>

#include "assist.h"

bool assist_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

#define DEPTH 200             /* open brackets and strings; further ones are not told apart */

typedef struct Open { char what; size_t at; } Open;   /* a bracket, or the quote of a string */

typedef struct Look {
    Open open[DEPTH];
    int depth, beyond;
    bool comment;
} Look;

static void push(Look *look, char what, size_t at)
{
    if (look->depth == DEPTH) look->beyond++;
    else look->open[look->depth++] = (Open){what, at};
}

static void pop(Look *look)
{
    if (look->beyond) look->beyond--;
    else if (look->depth) look->depth--;
}

static char top(const Look *look)
{
    return look->depth ? look->open[look->depth - 1].what : 0;
}

static bool closes(char opener, char c)
{
    return (opener == '(' && c == ')') || (opener == '[' && c == ']') || (opener == '{' && c == '}');
}

/* One character inside a string; gives where to go on. */
static size_t step_string(Look *look, const char *text, size_t at, size_t end)
{
    char c = text[at], quote = top(look);
    if (c == quote || c == '\n') pop(look);
    else if (quote == '"' && c == '\\') return at + 2;
    else if (quote == '"' && c == '{' && at + 1 < end && text[at + 1] == '{') return at + 2;
    else if (quote == '"' && c == '{') push(look, '{', at);
    return at + 1;
}

static size_t step_code(Look *look, const char *text, size_t at, size_t end)
{
    char c = text[at];
    if (c == '#') {
        while (at < end && text[at] != '\n') at++;
        look->comment = at == end;
        return at;
    }
    if (c == '"' || c == '\'' || c == '(' || c == '[' || c == '{') push(look, c, at);
    else if (closes(top(look), c)) pop(look);
    return at + 1;
}

/* `name=` right before the word that ends at [cursor], or before the string that starts there. */
static void find_key(const char *text, size_t open, size_t cursor, Place *place)
{
    size_t at = cursor;
    while (at > open && assist_is_word(text[at - 1])) at--;
    while (at > open && text[at - 1] == ' ') at--;
    if (at <= open + 1 || text[at - 1] != '=' || strchr("=<>!", text[at - 2])) return;
    size_t end = at - 1;
    while (end > open && text[end - 1] == ' ') end--;
    size_t start = end;
    while (start > open && assist_is_word(text[start - 1])) start--;
    place->key = start;
    place->key_length = end - start;
}

void assist_place(const char *text, size_t cursor, Place *place)
{
    Look look = {.depth = 0};
    size_t line = 0;
    bool free_line = true;    /* nothing is open where the cursor's line starts */
    *place = (Place){.string = 0};
    for (size_t at = 0; at < cursor;) {
        char inside = top(&look);
        bool string = inside == '"' || inside == '\'';
        size_t next = string ? step_string(&look, text, at, cursor) : step_code(&look, text, at, cursor);
        if (text[at] == '\n') {
            line = at + 1;
            free_line = look.depth == 0;
        }
        at = next;
    }
    size_t first = line + strspn(text + line, " ");
    if (free_line && first < cursor && text[first] == ':') {
        place->has_command = true;
        place->command = first;
    }
    place->comment = look.comment;
    char inside = top(&look);
    int around = look.depth;
    if (inside == '"' || inside == '\'') {
        place->string_open = true;
        place->string = look.open[--around].at;
    }
    if (!around || look.beyond) return;
    const Open *open = &look.open[around - 1];
    place->has_call = open->what == '(';
    place->has_index = open->what == '[';
    place->call = place->index = open->at;
    if (place->has_call) find_key(text, open->at, place->string_open ? place->string : cursor, place);
}

/* ---- what stands before the cursor ---- */

static Value slot_value(const Slot *slot)
{
    return slot->value.tag != TAG_UNDEFINED ? slot->value : slot->function;
}

Value assist_chain_value(Vm *vm, const char *text, size_t start, size_t end)
{
    Value v = VALUE_UNDEFINED;
    bool first = true;
    while (start < end) {
        size_t stop = start;
        char name[128];
        while (stop < end && assist_is_word(text[stop]))
            stop++;
        if (stop == start || stop - start >= sizeof name)
            return VALUE_UNDEFINED;
        memcpy(name, text + start, stop - start);
        name[stop - start] = 0;
        const char *known = name_find(vm, name);
        uint32_t slot;
        Value next = VALUE_UNDEFINED;
        const Module *module = first ? vm->main : v.tag == TAG_MODULE ? v.module : NULL;
        if (module && known && module_find(module, known, &slot))
            next = slot_value(&module->slot[slot]);
        else if (v.tag == TAG_OBJECT && object_find_field(v.object, name) >= 0)
            next = v.object->field[object_find_field(v.object, name)];
        else if (v.tag == TAG_MAP && !map_get_text(v.map, name, &next))
            next = VALUE_UNDEFINED;
        if (next.tag == TAG_UNDEFINED)
            return next;
        v = next;
        first = false;
        start = stop + 1;
    }
    return v;
}

size_t assist_chain_start(const char *text, size_t end)
{
    size_t start = end;
    while (start > 0 && (assist_is_word(text[start - 1]) || text[start - 1] == '.'))
        start--;
    return start;
}
