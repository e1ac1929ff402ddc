/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model as a tree, as text and as a page's foldable lists: one line per cell and submodel, shapes, and parameter counts in a right-hand column. A submodel
   that appears twice is shown once and counted once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "table.h"
#include "walk.h"

#define DEPTH_LIMIT 24
#define ROWS_LIMIT 400
#define OPEN_LIMIT 12         /* a tree of at most so many rows needs no folding at first */

typedef struct Row { char *text; int64_t count; int depth; } Row;   /* text is indented; count -1: none */

typedef struct Tree {
    Printer *p;
    Row *row;
    int count, room;
    bool failed;
    PointerSet seen;          /* objects shown */
} Tree;

static int add_row(Tree *tree, Text *text, int depth, int64_t count)
{
    if (tree->count == tree->room) {
        int room = tree->room ? tree->room * 2 : 32;
        Row *row = realloc(tree->row, (size_t)room * sizeof *row);
        if (!row) {
            tree->failed = true;
            text_free(text);
            return -1;
        }
        tree->row = row;
        tree->room = room;
    }
    if (text->failed || !text->at) tree->failed = true;
    tree->row[tree->count] = (Row){text->at, count, depth};
    *text = (Text){0};
    return tree->count++;
}

static int64_t show_object(Tree *tree, const Object *object, const char *label, int depth);

static int64_t cell_size(Value v)
{
    return v.tag == TAG_TENSOR ? tensor_size(v.tensor) : v.tag == TAG_NONE ? 0 : 1;
}

static int64_t show_cell(Tree *tree, const Object *object, int index, int depth)
{
    Value v = object->field[index];
    if (v.tag == TAG_NONE || v.tag == TAG_UNDEFINED) return 0;
    bool param = object_field_kind(object, index) == FIELD_PARAM;
    char type[128];
    value_describe(v, type, sizeof type);
    Text text = {0};
    text_format(&text, "%*s%s  %s%s", 2 * depth, "", object_field_name(object, index), type, param ? "" : "  (buffer)");
    int64_t size = param ? cell_size(v) : 0;
    add_row(tree, &text, depth, param ? size : -1);
    return size;
}

/* Submodels in a field, inside lists and maps too; returns whether there was one, so that it needs no line as data. */
static bool show_submodels(Tree *tree, Value v, const char *label, int depth, int64_t *total)
{
    char path[160];
    bool any = false;
    if (depth > DEPTH_LIMIT || tree->count > ROWS_LIMIT) return false;
    if (v.tag == TAG_OBJECT) {
        *total += show_object(tree, v.object, label, depth);
        return true;
    }
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++) {
            snprintf(path, sizeof path, "%s.%lld", label, (long long)i);
            any |= show_submodels(tree, v.list->at[i], path, depth, total);
        }
    } else if (v.tag == TAG_MAP) {
        for (int64_t i = 0; i < v.map->used; i++) {
            const MapEntry *entry = &v.map->entry[i];
            if (entry->key.tag != TAG_STRING) continue;
            snprintf(path, sizeof path, "%s.%.60s", label, entry->key.string->text);
            any |= show_submodels(tree, entry->value, path, depth, total);
        }
    }
    return any;
}

static void show_plain(Tree *tree, const char *name, Value v, int depth)
{
    Text text = {0};
    text_format(&text, "%*s%s = ", 2 * depth, "", name);
    Text shown = {0};
    if ((v.tag >= TAG_BOOL && v.tag <= TAG_SCALAR) || v.tag == TAG_NONE || v.tag == TAG_RANGE) {
        value_print(tree->p->vm, v, &shown);
    } else {
        char described[128];
        value_describe(v, described, sizeof described);
        text_string(&shown, described);
    }
    text_add(&text, shown.at ? shown.at : "", shown.length);
    text_free(&shown);
    add_row(tree, &text, depth, -1);
}

static void show_field(Tree *tree, const Object *object, int i, int depth, int64_t *total)
{
    Value v = object->field[i];
    const char *name = object_field_name(object, i);
    if (object_field_kind(object, i) != FIELD_PLAIN) {
        *total += show_cell(tree, object, i, depth);
        return;
    }
    bool plain = !show_submodels(tree, v, name, depth, total);
    if (plain && !object_field_hidden(object, i) && v.tag != TAG_UNDEFINED) show_plain(tree, name, v, depth);
}

/* Returns the number of parameters that were not counted before. */
static int64_t show_object(Tree *tree, const Object *object, const char *label, int depth)
{
    Text text = {0};
    text_format(&text, "%*s%s%s%s", 2 * depth, "", label, *label ? " : " : "", object_model_name(object));
    bool added;
    if (!pointer_set_add(&tree->seen, object, &added)) tree->failed = true;
    if (!added) {
        text_string(&text, "  (shown above)");
        add_row(tree, &text, depth, -1);
        return 0;
    }
    if (object->frozen) text_string(&text, "  frozen");
    if (object->mode) text_string(&text, object->mode == 1 ? "  train" : "  eval");
    int head = add_row(tree, &text, depth, 0);
    int64_t total = 0;
    for (int place = 0; place < object->n_fields && tree->count <= ROWS_LIMIT; place++)
        show_field(tree, object, object_nth_field(object, place), depth + 1, &total);
    if (head >= 0) tree->row[head].count = total;
    return total;
}

static int count_column(const Tree *tree)
{
    int column = 0;
    for (int i = 0; i < tree->count; i++) {
        int columns = print_columns(tree->row[i].text, strlen(tree->row[i].text));
        if (tree->row[i].count >= 0 && columns > column) column = columns;
    }
    return column + 2;
}

static void tree_free(Tree *tree)
{
    for (int i = 0; i < tree->count; i++) free(tree->row[i].text);
    free(tree->row);
    pointer_set_free(&tree->seen);
}

void print_object(Printer *p, const Object *object)
{
    Tree tree = {.p = p};
    int64_t total = show_object(&tree, object, "", 0);
    int column = tree.failed ? 0 : count_column(&tree);
    for (int i = 0; !tree.failed && i < tree.count; i++) {
        if (i) text_add(p->out, "\n", 1);
        text_string(p->out, tree.row[i].text);
        if (tree.row[i].count < 0 || total == 0) continue;
        Text number = {0};
        print_thousands(&number, tree.row[i].count);
        text_spaces(p->out, column - print_columns(tree.row[i].text, strlen(tree.row[i].text)) + 11 - (int)number.length);
        text_add(p->out, number.at ? number.at : "", number.length);
        if (i == 0) text_string(p->out, " parameters");
        text_free(&number);
    }
    if (!tree.failed && tree.count > ROWS_LIMIT) text_string(p->out, "\n…");
    p->out->failed |= tree.failed;
    tree_free(&tree);
}

/* ---- the tree folded, for pages ---- */

static void fold_row(Text *out, const Tree *tree, int i, bool total)
{
    const Row *row = &tree->row[i];
    const char *text = row->text + 2 * row->depth;
    html_escape(out, text, strlen(text));
    if (row->count < 0 || !total) return;
    text_string(out, " <small>");
    print_thousands(out, row->count);
    text_string(out, i == 0 ? " parameters</small>" : "</small>");
}

/* The rows from *at on that are deeper than [depth]; a row with such rows below it can be folded. */
static void fold_rows(Text *out, const Tree *tree, int *at, int depth, bool total)
{
    text_string(out, "<ul style=\"list-style:none;margin:0;padding-left:1.5em\">\n");
    while (*at < tree->count && tree->row[*at].depth > depth) {
        int i = (*at)++, own = tree->row[i].depth;
        bool folds = *at < tree->count && tree->row[*at].depth > own;
        text_string(out, folds ? tree->count <= OPEN_LIMIT ? "<li><details open><summary>" : "<li><details><summary>" : "<li>");
        fold_row(out, tree, i, total);
        if (folds) {
            text_string(out, "</summary>\n");
            fold_rows(out, tree, at, own, total);
            text_string(out, "</details>");
        }
        text_string(out, "</li>\n");
    }
    text_string(out, "</ul>");
}

void html_object(Vm *vm, const Object *object, Text *out)
{
    Printer p = {vm, out, print_width(vm), false};
    Tree tree = {.p = &p};
    int64_t total = show_object(&tree, object, "", 0);
    int at = 1;
    if (!tree.failed) {
        text_string(out, "<div style=\"font-family:monospace\">\n<details open><summary>");
        fold_row(out, &tree, 0, total > 0);
        text_string(out, "</summary>\n");
        fold_rows(out, &tree, &at, 0, total > 0);
        text_string(out, tree.count > ROWS_LIMIT ? "…</details></div>" : "</details></div>");
    }
    out->failed |= tree.failed;
    tree_free(&tree);
}
