/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a name is: usage, documentation, where it stands, its source; of variables their value. From the tables, the
   library's text and the values that exist: nothing is run and no library file is compiled. Also the search of
   apropos(). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "assist.h"
#include "builtins.h"
#include "command.h"
#include "date.h"
#include "display.h"
#include "embedded.h"
#include "print.h"
#include "suggest.h"
#include "table.h"

typedef struct Page {
    Vm *vm;
    Text usage, doc;          /* doc: lines; those set in by four blanks are examples */
    Text place;               /* "nn/linear.tsr:5" */
    Text value;               /* of a variable */
    Text source;
    bool wants_source;
} Page;

static void page_free(Page *page)
{
    text_free(&page->usage);
    text_free(&page->doc);
    text_free(&page->place);
    text_free(&page->value);
    text_free(&page->source);
}

static void add_row(Page *page, const char *name, const char *signature, const char *doc, const char *example)
{
    text_format(&page->usage, "%s(%s)", name, signature);
    text_format(&page->doc, "%s", doc);
    if (example && *example) text_format(&page->doc, "\n\n    %s", example);
}

static bool find_builtin(const char *name, Page *page)
{
    for (int i = 0; i < native_count; i++)
        if (!strcmp(native_defs[i].name, name)) {
            add_row(page, name, native_defs[i].signature, native_defs[i].doc, native_defs[i].example);
            text_format(&page->place, "built in");
            return true;
        }
    const OpDef *op = op_find(name);
    if (op) {
        add_row(page, name, op_signature_text(op), op_doc(op), op_example(op));
        text_format(&page->place, "an op, built in");
        return true;
    }
    for (int i = 0; i < constant_count; i++)
        if (!strcmp(constant_defs[i].name, name)) {
            text_format(&page->usage, "%s", name);
            text_format(&page->doc, "%s", constant_defs[i].doc);
            text_format(&page->place, "a constant, built in");
            return true;
        }
    return false;
}

/* ---- sources ---- */

/* Where the ## lines above the line that starts at [at] begin. */
static size_t above(const char *text, size_t at)
{
    while (at > 0) {
        size_t line = at - 1;
        while (line > 0 && text[line - 1] != '\n') line--;
        if (strncmp(text + line + strspn(text + line, " "), "##", 2) != 0) break;
        at = line;
    }
    return at;
}

static const Node *statement_at(const NodeList *list, uint32_t offset)
{
    for (int i = 0; i < list->count; i++)
        if (offset >= list->at[i]->span.start && offset < list->at[i]->span.end) return list->at[i];
    return NULL;
}

/* The statement, of the text or of a model in it, that [offset] lies in, with the ## lines above it. */
static void add_source(Source *source, uint32_t offset, bool member, Page *page)
{
    Parse *parse = page->wants_source ? parse_source(source, false) : NULL;
    if (!parse) return;
    const Node *node = statement_at(&parse->statements, offset), *inner = NULL;
    if (node && node->kind == NODE_MODEL && member) inner = statement_at(&node->model.body, offset);
    if (inner) node = inner;
    if (node) {
        size_t start = node->span.start;
        while (start > 0 && source->text[start - 1] == ' ') start--;      /* its indentation */
        start = above(source->text, start);
        text_add(&page->source, source->text + start, node->span.end - start);
    }
    parse_free(parse);
}

/* ---- the library ---- */

static const char *file_text(const EmbeddedName *name) { return (const char *)embedded_files[name->file].text; }

/* The declaration's line, and the first ## line above it, or NULL. */
static const char *find_line(const EmbeddedName *name, const char **doc)
{
    const char *line = file_text(name);
    *doc = NULL;
    for (int i = 1; i < name->line; i++) {
        bool comment = !strncmp(line, "##", 2);
        if (!comment) *doc = NULL;
        else if (!*doc) *doc = line;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return line;
}

/* Length of a declaration up to its body. */
static int header_length(const char *line)
{
    int depth = 0, i = 0, last = 0;
    for (; line[i] && (line[i] != '\n' || depth > 0); i++) {
        char c = line[i];
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
        if (depth == 0 && (c == '{' || c == '=')) break;
        if (c != ' ') last = i + 1;
    }
    return last;
}

void library_header(const EmbeddedName *name, Text *out)
{
    const char *doc, *line = find_line(name, &doc);
    int length = header_length(line);
    for (int i = 0; i < length; i++) {
        bool end = line[i] == '\n';
        text_add(out, end ? " " : line + i, 1);
        while (end && line[i + 1] == ' ') i++;
    }
}

void library_doc(const EmbeddedName *name, Text *out)
{
    const char *doc, *line = find_line(name, &doc);
    for (const char *at = doc; at && at < line; at += strcspn(at, "\n") + 1) {
        const char *words = at + 2 + (at[2] == ' ');
        text_format(out, "%s%.*s", at > doc ? "\n" : "", (int)strcspn(words, "\n"), words);
    }
}

static void add_library(const EmbeddedName *name, Page *page)
{
    const EmbeddedFile *file = &embedded_files[name->file];
    if (strcmp(name->module, "prelude") != 0) text_format(&page->usage, "%s: ", name->module);
    library_header(name, &page->usage);
    library_doc(name, &page->doc);
    text_format(&page->place, "%s:%d", file->path, name->line);
    const char *doc, *line = find_line(name, &doc);
    Source *source = page->wants_source ? source_new(file->path, file_text(name), file->length, true) : NULL;
    if (source) add_source(source, (uint32_t)(line - file_text(name)), false, page);
    source_release(source);
}

static bool find_library(const char *module, const char *name, Page *page)
{
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, module) && !strcmp(embedded_names[i].name, name)) {
            add_library(&embedded_names[i], page);
            return true;
        }
    return false;
}

static bool find_module(const char *module, Page *page)
{
    if (!module_is_standard(module)) return false;
    text_format(&page->usage, "module %s:", module);
    for (int i = 0; i < embedded_name_count; i++)
        if (!strcmp(embedded_names[i].module, module)) text_format(&page->usage, " %s", embedded_names[i].name);
    return true;
}

/* ---- values ---- */

static void add_proto(const Proto *proto, bool member, Page *page)
{
    uint32_t line, column;
    text_format(&page->usage, "%s", proto->signature ? proto->signature : "");
    text_format(&page->doc, "%s", proto->doc ? proto->doc : "");
    source_locate(proto->source, proto->span.start, &line, &column);
    text_format(&page->place, "%s:%u", proto->source->name, line);
    add_source(proto->source, proto->span.start, member, page);
}

#define VALUE_LINES 24
#define TENSOR_LINES 6
#define SUMMARY_MOST ((int64_t)1 << 20)       /* elements that are looked at */

/* min, max, mean and deviation of what is finite, and how much is not. */
static void add_summary(const Tensor *tensor, Page *page)
{
    int64_t size = tensor_size(tensor), count = 0;
    double min = 0, max = 0, mean = 0, squares = 0;
    if (size < 2 || size > SUMMARY_MOST || dtype_class((Dtype)tensor->dtype) == CLASS_BOOL) return;
    for (int64_t i = 0; i < size; i++) {
        double x = tensor_item(tensor, i), before = mean;
        if (!isfinite(x)) continue;
        count++;
        if (count == 1 || x < min) min = x;
        if (count == 1 || x > max) max = x;
        mean += (x - before) / (double)count;
        squares += (x - before) * (x - mean);
    }
    if (count)
        text_format(&page->value, "\nmin %.4g  max %.4g  mean %.4g  std %.4g", min, max, mean,
                    sqrt(squares / (double)count));
    if (count < size)
        text_format(&page->value, "%s%lld of %lld are nan or infinite", count ? "  " : "\n", (long long)(size - count),
                    (long long)size);
}

/* As much of the echo as a page takes; nothing where the type says it all. */
static void add_value(Value v, Page *page)
{
    Text shown = {0};
    bool fine = v.tag == TAG_TENSOR ? value_print(page->vm, v, &shown) : value_repr(page->vm, v, &shown);
    if (v.tag == TAG_STREAM || v.tag == TAG_MODULE || !fine) {
        text_free(&shown);
        return;
    }
    char described[96];
    value_describe(v, described, sizeof described);
    size_t start = strlen(described), end;
    bool repeats = v.tag == TAG_TENSOR && shown.length > start && shown.at[start] == '\n' &&
                   !memcmp(shown.at, described, start);
    start = end = repeats ? start + 1 : 0;
    int most = v.tag == TAG_TENSOR ? TENSOR_LINES : VALUE_LINES;
    for (int lines = 0; end < shown.length && lines < most; lines++) {
        const char *newline = memchr(shown.at + end, '\n', shown.length - end);
        end = newline ? (size_t)(newline - shown.at) + 1 : shown.length;
    }
    text_add(&page->value, shown.at + start, end - start);
    if (end < shown.length) text_format(&page->value, "…");
    text_free(&shown);
    if (v.tag == TAG_TENSOR) add_summary(v.tensor, page);
}

static void add_variable(Value v, const char *name, Page *page)
{
    char described[96];
    value_describe(v, described, sizeof described);
    text_format(&page->usage, "%s: %s", name, described);
    if (v.tag == TAG_OBJECT && v.object->model->constructor->doc)
        text_format(&page->doc, "%s", v.object->model->constructor->doc);
    if (page->vm->n_frames == 0) add_value(v, page);     /* else it may be half made: no more than kind and shape */
    if (page->wants_source && v.tag == TAG_OBJECT)
        add_source(v.object->model->constructor->source, v.object->model->constructor->span.start, false, page);
}

static bool describe_value(Value v, const char *name, Page *page)
{
    if (v.tag == TAG_MODEL) add_proto(v.model->constructor, false, page);
    else if (v.tag == TAG_FUNCTION && v.function->kind == FUNCTION_CLOSURE) add_proto(v.function->proto, false, page);
    else if (v.tag == TAG_FUNCTION && find_builtin(function_name(v), page)) return true;
    else if (v.tag == TAG_MODULE && v.module->is_namespace) return find_module(v.module->name, page);
    else add_variable(v, name, page);
    return true;
}

/* object.name, of a method, or module.name, of a member that is not loaded perhaps. */
static bool find_member(const char *text, size_t start, size_t dot, const char *name, Page *page)
{
    Value v = assist_chain_value(page->vm, text, start, dot);
    for (int i = 0; v.tag == TAG_OBJECT && i < v.object->model->constructor->n_methods; i++)
        if (!strcmp(v.object->model->constructor->methods[i]->name, name)) {
            add_proto(v.object->model->constructor->methods[i], true, page);
            return true;
        }
    char module[64];
    if (dot - start >= sizeof module) return false;
    memcpy(module, text + start, dot - start);
    module[dot - start] = 0;
    return find_library(module, name, page);
}

/* What a name of NumPy, PyTorch or another language is called here. */
static bool find_peer(const char *name, Page *page)
{
    char full[96];
    const char *hint = suggest_name(name);
    if (hint) text_format(&page->usage, "%s is not a name here: %s", name, hint);
    else if (library_name(name, full, sizeof full)) text_format(&page->usage, "%s is %s here", name, full);
    else return false;
    return true;
}

static bool find_name(Session *session, const char *text, size_t length, size_t cursor, Page *page)
{
    if (cursor > length) cursor = length;
    while (cursor < length && assist_is_word(text[cursor])) cursor++;
    while (cursor > 0 && !assist_is_word(text[cursor - 1])) cursor--;     /* on the bracket of a call: its function */
    size_t start = assist_chain_start(text, cursor), word = cursor;
    while (word > start && assist_is_word(text[word - 1])) word--;
    char name[128];
    if (word == cursor || cursor - word >= sizeof name) return false;
    memcpy(name, text + word, cursor - word);
    name[cursor - word] = 0;
    Value v = assist_chain_value(session->vm, text, start, cursor);
    if (v.tag != TAG_UNDEFINED) return describe_value(v, name, page);
    if (word > start && find_member(text, start, word - 1, name, page)) return true;
    return find_builtin(name, page) || find_library("prelude", name, page) || find_module(name, page) ||
           find_peer(name, page);
}

/* The name at the cursor; where there is none that is known, the function whose arguments the cursor is among. */
static bool find_page(Session *session, const char *text, size_t length, size_t cursor, Page *page)
{
    page->vm = session->vm;
    if (find_name(session, text, length, cursor, page)) return true;
    Place place;
    char *copy = strndup(text, length);
    if (copy) assist_place(copy, cursor < strlen(copy) ? cursor : strlen(copy), &place);
    bool found = copy && place.has_call && find_name(session, copy, place.call, place.call, page);
    free(copy);
    return found;
}

/* ---- as text ---- */

static char *text_taken(Text *text)
{
    text_add(text, "", 1);
    if (!text->failed) return text->at;
    text_free(text);
    return NULL;
}

static void add_section(Text *out, const char *before, const Text *section)
{
    if (section->length) text_format(out, "%s%.*s", before, (int)section->length, section->at);
}

char *session_inspect(Session *session, const char *text, size_t length, size_t cursor)
{
    Page page = {0};
    Text out = {0};
    bool found = find_page(session, text, length, cursor, &page);
    add_section(&out, "", &page.usage);
    add_section(&out, "\n", &page.doc);
    page_free(&page);
    if (found) return text_taken(&out);
    text_free(&out);
    return NULL;
}

/* On one line, but for the summary of a tensor. */
static bool is_one_value(const Page *page)
{
    const char *newline = memchr(page->value.at, '\n', page->value.length);
    return !newline || !strncmp(newline, "\nmin ", 5);
}

static void page_plain(const Page *page, int width, Text *out)
{
    if (page->usage.length) print_wrapped(out, page->usage.at, page->usage.length, 0, 4, width);
    if (page->doc.length) text_format(out, "\n");
    if (page->doc.length) print_wrapped(out, page->doc.at, page->doc.length, 0, 0, width);
    if (page->value.length) add_section(out, is_one_value(page) ? " = " : "\n", &page->value);
    add_section(out, page->doc.length ? "\n\n" : "\n", &page->place);
    if (page->wants_source) add_section(out, "\n\n", &page->source);
    if (page->wants_source && !page->source.length && page->place.length)
        text_format(out, ": its source is not in the language");
}

static void page_markdown(const Page *page, Text *out)
{
    add_section(out, "```tessera\n", &page->usage);
    text_format(out, "\n```\n");
    add_section(out, "\n", &page->doc);
    add_section(out, "\n\n```\n", &page->value);
    if (page->value.length) text_format(out, "\n```");
    add_section(out, "\n\n*", &page->place);
    if (page->place.length) text_format(out, "*");
    if (page->source.length) {
        add_section(out, "\n\n```tessera\n", &page->source);
        text_format(out, "\n```");
    }
}

static void html_block(Text *out, const char *open, const Text *section, const char *close)
{
    if (!section->length) return;
    text_format(out, "%s", open);
    html_escape(out, section->at, section->length);
    text_format(out, "%s", close);
}

/* Paragraphs, with examples between them. */
static void html_doc(const Text *doc, Text *out)
{
    bool code = false;
    if (doc->length) text_format(out, "<p>");
    for (size_t at = 0; at < doc->length;) {
        const char *end = memchr(doc->at + at, '\n', doc->length - at);
        size_t stop = end ? (size_t)(end - doc->at) : doc->length;
        bool example = stop - at > 4 && !strncmp(doc->at + at, "    ", 4);
        if (example != code) text_format(out, example ? "</p><pre>" : "</pre><p>");
        code = example;
        html_escape(out, doc->at + at + (code ? 4 : 0), stop - at - (code ? 4 : 0));
        text_format(out, "\n");
        at = stop + 1;
    }
    if (doc->length) text_format(out, code ? "</pre>" : "</p>");
}

static void page_html(const Page *page, Text *out)
{
    html_block(out, "<pre><b>", &page->usage, "</b></pre>");
    html_doc(&page->doc, out);
    html_block(out, "<pre>", &page->value, "</pre>");
    html_block(out, "<p><i>", &page->place, "</i></p>");
    html_block(out, "<pre>", &page->source, "</pre>");
}

static bool add_text_form(Vm *vm, Display *display, const char *mime, Text *text)
{
    bool fine = !text->failed && display_add(vm, display, mime, text->at ? text->at : "", text->length);
    text_free(text);
    return fine;
}

Display *session_describe(Session *session, const char *text, size_t length, size_t cursor, bool source)
{
    Page page = {.wants_source = source};
    Text plain = {0}, markdown = {0}, html = {0};
    bool found = find_page(session, text, length, cursor, &page);
    if (found) {
        page_plain(&page, print_width(session->vm), &plain);
        page_markdown(&page, &markdown);
        page_html(&page, &html);
    }
    page_free(&page);
    Display *display = found ? display_new(session->vm) : NULL;
    bool fine = display && add_text_form(session->vm, display, "text/plain", &plain) &&
                add_text_form(session->vm, display, "text/markdown", &markdown) &&
                add_text_form(session->vm, display, "text/html", &html);
    text_free(&plain);
    text_free(&markdown);
    text_free(&html);
    if (fine) return display;
    display_free(display);
    error_clear(&session->vm->tensors.error);
    return NULL;
}

char *session_source(Session *session, const char *name)
{
    Page page = {.wants_source = true};
    char *source = NULL;
    if (find_page(session, name, strlen(name), strlen(name), &page) && page.source.length && !page.source.failed)
        source = strndup(page.source.at, page.source.length);
    page_free(&page);
    return source;
}

void session_display_free(Display *display) { display_free(display); }

/* ---- commands ---- */

static bool show_page(CommandCall *call, bool source)
{
    Session *session = call->session;
    size_t length = strlen(call->argument);
    Display *display = session_describe(session, call->argument, length, length, source);
    if (!display) {
        vm_fail(session->vm, ERROR_name, "", "nothing is known of %s", call->argument);
        error_hint(&session->vm->tensors.error, "apropos(\"%s\") searches all names and docs", call->argument);
        return false;
    }
    call->result->display = display;
    call->result->text = strdup(display->form[0].data);
    return call->result->text ? command_page(call) : vm_out_of_memory(session->vm);
}

bool command_doc(CommandCall *call) { return show_page(call, false); }
bool command_source(CommandCall *call) { return show_page(call, true); }

/* ---- help() and apropos() ---- */

bool native_help(Vm *vm, const Value *args, Value *result)
{
    const char *name = args[0].tag == TAG_STRING ? args[0].string->text : function_name(args[0]);
    bool callable = value_callable(args[0]) && args[0].tag != TAG_OBJECT;
    *result = VALUE_NONE;
    if (args[0].tag != TAG_STRING && !(callable && *name)) {
        vm_fail(vm, ERROR_type, "help", "a name or a function was expected");
        error_hint(&vm->tensors.error, "write help(\"softmax\"), or help(softmax)");
        return false;
    }
    Display *display = session_describe(vm_session(vm), name, strlen(name), strlen(name), false);
    if (!display) {
        vm_fail(vm, ERROR_name, "help", "nothing is known of %.80s", name);
        error_hint(&vm->tensors.error, "apropos(\"%.80s\") searches all names and docs", name);
        return false;
    }
    display_send(vm, display);
    display_free(display);
    return true;
}

typedef struct Found { int rank; char name[96]; const char *doc; size_t length; } Found;
typedef struct Search { const char *word; Found *at; int count, room; bool failed; } Search;

#define FOUND_SHOWN 40

static bool has_word(const char *text, size_t length, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (!strncasecmp(text + i, word, n)) return true;
    return false;
}

/* By rank: the name itself, names that begin with the word, that have it, docs that do. */
static void search_row(Search *search, const char *module, const char *name, const char *doc, size_t length)
{
    size_t n = strlen(search->word);
    bool begins = !strncasecmp(name, search->word, n);
    int rank = begins && !name[n] ? 0 : begins ? 1 : has_word(name, strlen(name), search->word) ? 2 : 3;
    if (name[0] == '_' || search->failed || (rank == 3 && !has_word(doc, length, search->word))) return;
    if (search->count == search->room) {
        int room = search->room ? search->room * 2 : 64;
        Found *wider = realloc(search->at, (size_t)room * sizeof *wider);
        search->failed = !wider;
        if (!wider) return;
        search->at = wider;
        search->room = room;
    }
    Found *found = &search->at[search->count++];
    *found = (Found){.rank = rank, .doc = doc, .length = length};
    bool plain = !*module || !strcmp(module, "prelude");
    snprintf(found->name, sizeof found->name, "%s%s%s", plain ? "" : module, plain ? "" : ".", name);
}

static void search_all(Search *search, const Module *main)
{
    for (int i = 0; i < native_count; i++)
        search_row(search, "", native_defs[i].name, native_defs[i].doc, strlen(native_defs[i].doc));
    for (int i = 0; i < OP_COUNT; i++) {
        const OpDef *op = op_def((OpId)i);
        search_row(search, "", op_name(op), op_doc(op), strlen(op_doc(op)));
    }
    for (int i = 0; i < embedded_name_count; i++) {
        const char *doc, *line = find_line(&embedded_names[i], &doc);
        search_row(search, embedded_names[i].module, embedded_names[i].name, doc ? doc + 2 + (doc[2] == ' ') : "",
                   doc ? (size_t)(line - doc) - 3 : 0);
    }
    for (uint32_t i = 0; i < main->n_slots; i++) {
        Value f = main->slot[i].value.tag != TAG_UNDEFINED ? main->slot[i].value : main->slot[i].function;
        if (main->slot[i].value.tag == TAG_UNDEFINED && !main->slot[i].declared) continue;
        const Proto *proto = f.tag == TAG_MODEL ? f.model->constructor
                           : f.tag == TAG_FUNCTION && f.function->kind == FUNCTION_CLOSURE ? f.function->proto : NULL;
        const char *doc = proto && proto->doc ? proto->doc : "";
        search_row(search, "", main->slot[i].name, doc, strlen(doc));
    }
}

static int by_rank(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    return x->rank != y->rank ? x->rank - y->rank : strcmp(x->name, y->name);
}

/* One line each: the name and as much of its doc's first line as fits. */
static void show_found(const Search *search, int width, Text *out)
{
    int names = 0, shown = search->count < FOUND_SHOWN ? search->count : FOUND_SHOWN;
    for (int i = 0; i < shown; i++)
        if ((int)strlen(search->at[i].name) > names) names = (int)strlen(search->at[i].name);
    int room = width - names - 3 > 20 ? width - names - 3 : 20;
    for (int i = 0; i < shown; i++) {
        const Found *found = &search->at[i];
        const char *newline = memchr(found->doc, '\n', found->length);
        size_t length = newline ? (size_t)(newline - found->doc) : found->length;
        bool cut = length > (size_t)room;
        if (cut) for (length = (size_t)room - 1; length > 0 && (found->doc[length] & 0xc0) == 0x80;) length--;
        text_format(out, "%-*s  %.*s%s\n", names, found->name, (int)length, found->doc, cut ? "…" : "");
    }
    if (search->count > shown) text_format(out, "… %d more\n", search->count - shown);
}

bool native_apropos(Vm *vm, const Value *args, Value *result)
{
    Search search = {.word = args[0].string->text};
    Text out = {0};
    *result = VALUE_NONE;
    if (!*search.word) return vm_fail(vm, ERROR_value, "apropos", "the word to search for is empty");
    search_all(&search, vm->main);
    if (search.count > 1) qsort(search.at, (size_t)search.count, sizeof *search.at, by_rank);
    if (search.count == 0) text_format(&out, "nothing has \"%s\" in its name or doc\n", search.word);
    show_found(&search, print_width(vm), &out);
    bool fine = (!search.failed && !out.failed) || vm_out_of_memory(vm);
    if (fine) vm_output(vm, OUTPUT_OUT, out.at, out.length);
    free(search.at);
    text_free(&out);
    return fine;
}
