/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the checker finds, kept for editors: the fact of each expression and name of one source, and facts as text. A place
   that is reached several times keeps what holds of all. Followed calls are not kept: they tell of one call only. */
#include <string.h>

#include "check.h"

typedef struct Note { const void *key; const Fact *fact; } Note;

static Note *find_note(const Checker *c, const void *key)
{
    size_t mask = c->note_room - 1, i = ((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15u >> 20 & mask;
    while (c->note[i].key && c->note[i].key != key)
        i = (i + 1) & mask;
    return &c->note[i];
}

static bool widen_notes(Checker *c)
{
    if (c->n_notes * 2 < c->note_room)
        return true;
    Note *old = c->note;
    size_t room = c->note_room, wider = room ? room * 2 : 1024;
    Note *made = arena_alloc(c->arena, wider * sizeof *made);
    if (!made)
        return !(c->no_memory = true);
    c->note = made;
    c->note_room = wider;
    for (size_t i = 0; i < room; i++)
        if (old[i].key)
            *find_note(c, old[i].key) = old[i];
    return true;
}

/* What holds of both, as a reader wants it: an int whichever, a tensor of unknown length. */
static const Fact *both(Checker *c, const Fact *a, const Fact *b)
{
    const Fact *joined = fact_join(a, b);
    if (joined || !a || !b || a->kind != b->kind)
        return joined;
    if (a->kind == FACT_OBJECT)
        return a->object.model == b->object.model ? a : NULL;
    if (a->kind == FACT_INT)
        return fact_int(c, extent_symbol(c, NULL));
    if (a->kind == FACT_FLOAT)
        return fact_float(c, false, 0);
    if (a->kind != FACT_TENSOR || a->tensor.ndim != b->tensor.ndim || a->tensor.dtype != b->tensor.dtype)
        return NULL;
    const Extent **dim = check_alloc(c, (size_t)(a->tensor.ndim + 1) * sizeof *dim);
    for (int i = 0; i < a->tensor.ndim; i++)
        dim[i] = extent_same(a->tensor.dim[i], b->tensor.dim[i]) ? a->tensor.dim[i] : extent_symbol(c, NULL);
    return fact_tensor(c, a->tensor.dtype, a->tensor.any_dtype || b->tensor.any_dtype, a->tensor.ndim, dim);
}

void check_note(Checker *c, const Env *e, const void *key, const Fact *fact)
{
    if (!c->noted || e->inlined || e->unit != c->noted || !widen_notes(c))
        return;
    Note *note = find_note(c, key);
    c->n_notes += note->key == NULL;
    note->fact = note->key ? both(c, note->fact, fact) : fact;
    note->key = key;
}

const Fact *check_noted(const Checker *c, const void *key)
{
    return c->note_room && key ? find_note(c, key)->fact : NULL;
}

bool fact_telling(const Fact *fact)
{
    if (fact && (fact->kind == FACT_LIST || fact->kind == FACT_TUPLE))
        for (int i = 0; i < fact->list.count; i++)
            if (fact_telling(fact->list.at[i]))
                return true;
    return fact && fact->kind == FACT_TENSOR && fact->tensor.ndim > 0;
}

/* ---- as text ---- */

static void extent_text(const Extent *extent, bool inside, Text *out)
{
    static const struct { Operator op; const char *text; } signs[] = {
        {OPERATOR_ADD, " + "}, {OPERATOR_SUB, " - "}, {OPERATOR_MUL, "*"}, {OPERATOR_FLOORDIV, "//"},
        {OPERATOR_MOD, " % "}};
    if (extent->kind == EXTENT_NUMBER) {
        text_format(out, "%lld", (long long)extent->number);
    } else if (extent->kind == EXTENT_SYMBOL) {
        text_format(out, "%s", extent->name ? extent->name : "_");
    } else {
        text_format(out, "%s", inside ? "(" : "");
        extent_text(extent->left, true, out);
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
            if (signs[i].op == extent->op)
                text_format(out, "%s", signs[i].text);
        extent_text(extent->right, true, out);
        text_format(out, "%s", inside ? ")" : "");
    }
}

static void tensor_text(const Fact *fact, Text *out)
{
    if (!fact->tensor.any_dtype)
        text_format(out, "%s", dtype_name(fact->tensor.dtype));
    else if (fact->tensor.ndim == 0)
        text_format(out, "tensor");
    for (int i = 0; i < fact->tensor.ndim; i++) {
        text_format(out, "%s", i ? ", " : "[");
        extent_text(fact->tensor.dim[i], false, out);
    }
    text_format(out, "%s", fact->tensor.ndim ? "]" : "");
}

enum { SHOWN_ITEMS = 6 };

static void items_text(const Fact *fact, Text *out)
{
    Text first = {0}, next = {0};
    int count = fact->list.count;
    bool same = fact->kind == FACT_LIST && count > 0;
    if (same)
        fact_text(fact->list.at[0], &first);
    for (int i = 1; i < count && same; i++) {
        next.length = 0;
        fact_text(fact->list.at[i], &next);
        same = next.length == first.length && !memcmp(next.at, first.at, next.length);
    }
    bool known = same && !(first.length == 1 && *first.at == '_');
    text_format(out, "%s", fact->kind == FACT_TUPLE ? "(" : count && (known || !same) ? "list(" : "list");
    if (known)
        text_format(out, "%.*s)", (int)first.length, first.at);
    for (int i = 0; i < count && !same && i < SHOWN_ITEMS; i++) {
        text_format(out, "%s", i ? ", " : "");
        fact_text(fact->list.at[i], out);
    }
    if (!same)
        text_format(out, "%s%s", count > SHOWN_ITEMS ? ", …" : "", fact->kind == FACT_TUPLE || count ? ")" : "");
    text_free(&first);
    text_free(&next);
}

void fact_text(const Fact *fact, Text *out)
{
    static const char *const words[] = {[FACT_NONE] = "none", [FACT_BOOL] = "bool", [FACT_INT] = "int",
        [FACT_FLOAT] = "float", [FACT_STRING] = "str", [FACT_MAP] = "map", [FACT_FUNCTION] = "fn", [FACT_NATIVE] = "fn",
        [FACT_OP] = "fn", [FACT_MODEL] = "model", [FACT_FILE] = "module", [FACT_STANDARD] = "module"};
    if (!fact)
        text_format(out, "_");
    else if (fact->kind == FACT_TENSOR)
        tensor_text(fact, out);
    else if (fact->kind == FACT_LIST || fact->kind == FACT_TUPLE)
        items_text(fact, out);
    else if (fact->kind == FACT_OBJECT)
        text_format(out, "%s", fact->object.model->model.name);
    else
        text_format(out, "%s", words[fact->kind]);
}
