/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values as a tree that front ends open piece by piece: scopes of frames, what is inside of values, one line for each.
   Nothing of the user's runs for it. What is shown costs what is shown: a list of a million items gives groups.
   Invariant: a reference is an index into debugger->node, plus one. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "print.h"

enum { PREVIEW_BYTES = 100, PREVIEW_ITEMS = 12, PREVIEW_DEPTH = 3, STRING_MOST = 80, GROUP = 1000,
       SUMMARY_MOST = 1 << 20 };

/* ---- one line ---- */

static void preview(Vm *vm, Value v, int depth, Text *out);

static void preview_string(const String *string, Text *out)
{
    bool longer = string->length > STRING_MOST;
    text_add(out, "\"", 1);
    print_line(out, string->text, string->length, STRING_MOST);
    text_string(out, longer ? "" : "\"");
}

static void preview_items(Vm *vm, const List *list, int depth, Text *out)
{
    for (int64_t i = 0; i < list->count; i++) {
        if (i)
            text_string(out, ", ");
        if (i == PREVIEW_ITEMS || out->length > PREVIEW_BYTES) {
            text_string(out, "…");
            return;
        }
        preview(vm, list->at[i], depth + 1, out);
    }
}

static void preview_map(Vm *vm, const Map *map, bool set, int depth, Text *out)
{
    int shown = 0;
    for (int64_t i = 0; i < map->used; i++) {
        const MapEntry *entry = &map->entry[i];
        if (entry->key.tag == TAG_UNDEFINED)
            continue;
        if (shown++)
            text_string(out, ", ");
        if (shown > PREVIEW_ITEMS || out->length > PREVIEW_BYTES) {
            text_string(out, "…");
            return;
        }
        if (entry->key.tag == TAG_STRING && !set && print_is_word(entry->key.string->text))
            text_string(out, entry->key.string->text);
        else
            preview(vm, entry->key, depth + 1, out);
        if (!set) {
            text_string(out, ": ");
            preview(vm, entry->value, depth + 1, out);
        }
    }
}

static void preview_number(const Tensor *t, int64_t at, Text *out)
{
    Dtype dtype = (Dtype)t->dtype;
    if (dtype == DTYPE_bool)
        text_string(out, tensor_item(t, at) != 0 ? "true" : "false");
    else if (dtype_class(dtype) == CLASS_FLOAT)
        text_format(out, "%.4g", tensor_item(t, at));
    else
        text_int(out, tensor_item_int(t, at));
}

/* Its first elements, with brackets as they would be written. */
static void preview_tensor(const Tensor *t, Text *out)
{
    int64_t size = tensor_size(t);
    int open = 0;
    if (t->meta || size == 0) {
        text_string(out, t->meta ? "without values" : "[]");
        return;
    }
    for (int64_t i = 0; i < size; i++) {
        int64_t block = 1;
        int starts = 0;       /* axes that begin anew with this element */
        for (int d = t->ndim - 1; d >= 0 && i % (block *= t->shape[d]) == 0; d--) starts++;
        for (; i && open > t->ndim - starts; open--) text_string(out, "]");
        if (i)
            text_string(out, ", ");
        if (i == PREVIEW_ITEMS / 2) {
            text_string(out, "…");
            break;
        }
        for (; open < t->ndim; open++) text_string(out, "[");
        preview_number(t, i, out);
    }
    for (; open > 0; open--) text_string(out, "]");
}

static void preview_object(Vm *vm, const Object *object, int depth, Text *out)
{
    const Proto *model = object->model->constructor;
    int shown = 0;
    text_format(out, "%s(", object_model_name(object));
    for (int i = 0; i < model->n_fields && depth == 0; i++) {
        int field = object_nth_field(object, i);
        if (object_field_hidden(object, field) || object->field[field].tag == TAG_UNDEFINED)
            continue;
        if (shown++)
            text_string(out, ", ");
        if (shown > PREVIEW_ITEMS || out->length > PREVIEW_BYTES) {
            text_string(out, "…");
            break;
        }
        char type[96];
        text_format(out, "%s: ", model->fields[field].name);
        value_describe(object->field[field], type, sizeof type);
        if (object->field[field].tag < TAG_STRING)
            preview(vm, object->field[field], depth + 1, out);
        else
            text_string(out, type);
    }
    text_string(out, depth ? "…)" : ")");
}

static void preview_other(Value v, Text *out)
{
    char type[96];
    switch ((Tag)v.tag) {
    case TAG_FUNCTION:
    case TAG_MODEL:
        text_string(out, v.tag == TAG_MODEL ? "model " : "fn ");
        if (!function_header(v, out))
            text_string(out, function_name(v));
        break;
    case TAG_MODULE: text_format(out, "module %s", module_name(v.module)); break;
    case TAG_ERROR:
        text_format(out, "%s: ", error_kind_title(v.error->kind));
        if (v.error->message.tag == TAG_STRING)
            print_line(out, v.error->message.string->text, v.error->message.string->length, STRING_MOST);
        break;
    default:
        value_describe(v, type, sizeof type);
        text_string(out, type);
    }
}

static void preview(Vm *vm, Value v, int depth, Text *out)
{
    char type[96];
    if (depth > PREVIEW_DEPTH && v.tag >= TAG_LIST) {
        text_string(out, "…");
        return;
    }
    switch ((Tag)v.tag) {
    case TAG_STRING: preview_string(v.string, out); break;
    case TAG_LIST:
    case TAG_TUPLE:
        text_string(out, v.tag == TAG_LIST ? "[" : "(");
        preview_items(vm, v.list, depth, out);
        text_string(out, v.tag == TAG_LIST ? "]" : ")");
        break;
    case TAG_MAP:
    case TAG_SET:
        text_string(out, v.tag == TAG_MAP ? "{" : "set([");
        preview_map(vm, v.map, v.tag == TAG_SET, depth, out);
        text_string(out, v.tag == TAG_MAP ? "}" : "])");
        break;
    case TAG_TENSOR:
        value_describe(v, type, sizeof type);
        if (depth > 0)
            text_string(out, type);
        else
            preview_tensor(v.tensor, out);
        break;
    case TAG_OBJECT: preview_object(vm, v.object, depth, out); break;
    case TAG_FUNCTION:
    case TAG_MODEL:
    case TAG_MODULE:
    case TAG_STREAM:
    case TAG_ERROR: preview_other(v, out); break;
    case TAG_RANGE:
        text_format(out, "%lld..%lld", (long long)v.range->start, (long long)v.range->stop);
        if (v.range->step != 1)
            text_format(out, " by %lld", (long long)v.range->step);
        break;
    case TAG_SCALAR:
        if (dtype_class((Dtype)v.dtype) == CLASS_FLOAT)
            print_float(out, v.f, (Dtype)v.dtype);
        else if (v.dtype == DTYPE_bool)
            text_string(out, v.i ? "true" : "false");
        else
            text_int(out, v.i);
        break;
    default: value_repr(vm, v, out);
    }
}

void value_preview(Vm *vm, Value v, Text *out)
{
    preview(vm, v, 0, out);
}

/* ---- what is inside ---- */

static int shown_fields(const Object *object)
{
    const Proto *model = object->model->constructor;
    int count = 0;
    for (int i = 0; i < model->n_fields; i++)
        count += !object_field_hidden(object, i);
    return count;
}

/* `_` is the prompt's, and changes with every input. */
static bool is_member(const Slot *slot)
{
    if (!strcmp(slot->name, "_"))
        return false;
    return slot->value.tag != TAG_UNDEFINED || (slot->declared && slot->function.tag != TAG_UNDEFINED);
}

static long long members(const Module *module)
{
    long long count = 0;
    for (uint32_t i = 0; i < module->n_slots; i++)
        count += is_member(&module->slot[i]);
    return count;
}

static const char *const error_members[] = {"kind", "message", "value", "hint", "op"};
static const char *const tensor_members[] = {"shape", "dtype", "size", "min", "max", "mean"};
enum { TENSOR_MEMBERS = 6, TENSOR_SHORT = 3 };

/* Figures that take a look at every element are told of tensors that are not too large. */
static int tensor_named(const Tensor *t)
{
    bool numbers = !t->meta && t->dtype != DTYPE_bool && tensor_size(t) > 0 && tensor_size(t) <= SUMMARY_MOST;
    return numbers ? TENSOR_MEMBERS : TENSOR_SHORT;
}

static void count_inside(Value v, long long *named, long long *indexed)
{
    *named = *indexed = 0;
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE: *indexed = v.list->count; break;
    case TAG_MAP: *named = v.map->count; break;
    case TAG_SET: *indexed = v.map->count; break;
    case TAG_TENSOR:
        *named = tensor_named(v.tensor);
        *indexed = v.tensor->ndim > 0 && !v.tensor->meta ? v.tensor->shape[0] : 0;
        break;
    case TAG_OBJECT: *named = shown_fields(v.object); break;
    case TAG_FUNCTION:
        *named = v.function->kind == FUNCTION_CLOSURE ? v.function->n_values : 0;
        break;
    case TAG_MODULE: *named = members(v.module); break;
    case TAG_ERROR: *named = sizeof error_members / sizeof *error_members; break;
    default: break;
    }
}

/* ---- entries ---- */

static int node_new(Debugger *debugger, NodeWhat what, int frame, Value v, const char *expression, long long start,
                    long long count)
{
    if (debugger->n_nodes == debugger->node_room) {
        int room = debugger->node_room ? debugger->node_room * 2 : 64;
        TreeNode *wider = room > 1 << 24 ? NULL : realloc(debugger->node, (size_t)room * sizeof *wider);
        if (!wider)
            return 0;
        debugger->node = wider;
        debugger->node_room = room;
    }
    debugger->node[debugger->n_nodes] = (TreeNode){.what = what, .frame = frame, .value = value_retain(v), .start = start,
                                                   .count = count, .expression = expression ? strdup(expression) : NULL};
    return ++debugger->n_nodes;
}

void tree_forget(Debugger *debugger)
{
    for (int i = 0; i < debugger->n_nodes; i++) {
        value_release(debugger->node[i].value);
        free(debugger->node[i].expression);
    }
    free(debugger->node);
    debugger->node = NULL;
    debugger->n_nodes = debugger->node_room = 0;
}

void debug_variables_clear(DebugVariables *variables)
{
    for (int i = 0; i < variables->count; i++) {
        DebugVariable *variable = &variables->at[i];
        free(variable->name);
        free(variable->value);
        free(variable->type);
        free(variable->expression);
    }
    free(variables->at);
    *variables = (DebugVariables){0};
}

/* Room is made in powers of two. */
static DebugVariable *add_entry(DebugVariables *out)
{
    if ((out->count & (out->count - 1)) == 0) {
        DebugVariable *wider = realloc(out->at, (size_t)(out->count ? out->count * 2 : 1) * sizeof *wider);
        if (!wider)
            return NULL;
        out->at = wider;
    }
    out->at[out->count] = (DebugVariable){0};
    return &out->at[out->count++];
}

static char *text_take(Text *text)
{
    if (!text->at && !text->failed)
        text_add(text, "", 0);
    if (text->failed)
        text_free(text);
    return text->at;
}

bool tree_add(Debugger *debugger, DebugVariables *out, const char *name, DebugKind kind, Value v, int frame,
              const char *expression)
{
    Text value = {0};
    char type[128];
    DebugVariable *made = add_entry(out);
    if (!made)
        return false;
    value_preview(debugger->session->vm, v, &value);
    value_describe(v, type, sizeof type);
    *made = (DebugVariable){.name = strdup(name), .value = text_take(&value), .type = strdup(type), .kind = kind,
                            .expression = expression ? strdup(expression) : NULL};
    count_inside(v, &made->named, &made->indexed);
    if (made->named + made->indexed > 0)
        made->reference = node_new(debugger, TREE_VALUE, frame, v, expression, 0, 0);
    return made->name && made->value && made->type;
}

/* Something that has entries and no value of its own: a scope, a group. */
static bool add_holder(Debugger *debugger, DebugVariables *out, const char *name, NodeWhat what, int frame, Value v,
                       const char *expression, long long start, long long count, bool named)
{
    DebugVariable *made = add_entry(out);
    if (!made)
        return false;
    char value[64] = "";
    if (what == TREE_RANGE)
        snprintf(value, sizeof value, "%lld", count);
    *made = (DebugVariable){.name = strdup(name), .value = strdup(value), .type = strdup(""), .kind = DEBUG_GROUP};
    made->named = named ? count : 0;
    made->indexed = named ? 0 : count;
    made->reference = node_new(debugger, what, frame, v, expression, start, count);
    return made->name && made->value && made->type && made->reference;
}

/* ---- children of a value ---- */

typedef struct Opening {      /* what is being opened */
    Debugger *debugger;
    DebugVariables *out;
    int frame;
    const char *expression;   /* of the value, or NULL */
    bool fine;
} Opening;

static void add_child(Opening *o, const char *name, DebugKind kind, Value v, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* [format]: what stands behind the value's expression; NULL: this cannot be written. */
static void add_child(Opening *o, const char *name, DebugKind kind, Value v, const char *format, ...)
{
    Text text = {0};
    if (o->expression && format) {
        char small[256];
        va_list list;
        va_start(list, format);
        int length = vsnprintf(small, sizeof small, format, list);
        va_end(list);
        if (length > 0 && (size_t)length < sizeof small)
            text_format(&text, "%s%s", o->expression, small);
    }
    o->fine = o->fine && tree_add(o->debugger, o->out, name, kind, v, o->frame, text.at);
    text_free(&text);
}

static void open_list(Opening *o, const List *list, long long from, long long to)
{
    char name[32];
    for (long long i = from; i < to && i < list->count && o->fine; i++) {
        snprintf(name, sizeof name, "%lld", i);
        add_child(o, name, DEBUG_PLAIN, list->at[i], "[%lld]", i);
    }
}

static void open_entry(Opening *o, const MapEntry *entry, bool set, long long at)
{
    Text key = {0};
    char name[32];
    bool text = entry->key.tag == TAG_STRING, plain = text && print_is_word(entry->key.string->text);
    value_preview(o->debugger->session->vm, entry->key, &key);
    if (set) {
        snprintf(name, sizeof name, "%lld", at);
        add_child(o, name, DEBUG_PLAIN, entry->key, NULL);
    } else if (plain || key.failed) {
        add_child(o, plain ? entry->key.string->text : "", DEBUG_PLAIN, entry->value, "[\"%s\"]",
                  plain ? entry->key.string->text : "");
    } else {
        add_child(o, key.at, DEBUG_PLAIN, entry->value, text ? NULL : "[%s]", key.at);
    }
    text_free(&key);
}

static void open_map(Opening *o, const Map *map, bool set, long long from, long long to)
{
    long long at = 0;
    for (int64_t i = 0; i < map->used && at < to && o->fine; i++) {
        if (map->entry[i].key.tag == TAG_UNDEFINED)
            continue;
        if (at >= from)
            open_entry(o, &map->entry[i], set, at);
        at++;
    }
}

static void open_object(Opening *o, const Object *object, long long from, long long to)
{
    static const DebugKind kinds[] = {[FIELD_PLAIN] = DEBUG_FIELD, [FIELD_PARAM] = DEBUG_PARAM,
                                      [FIELD_BUFFER] = DEBUG_BUFFER};
    const Proto *model = object->model->constructor;
    long long at = 0;
    for (int i = 0; i < model->n_fields && at < to && o->fine; i++) {
        int field = object_nth_field(object, i);
        if (object_field_hidden(object, field))
            continue;
        if (at >= from && object->field[field].tag != TAG_UNDEFINED)
            add_child(o, model->fields[field].name, kinds[model->fields[field].kind], object->field[field], ".%s",
                      model->fields[field].name);
        at++;
    }
}

static void open_captures(Opening *o, const FunctionObject *function, long long from, long long to)
{
    const Proto *proto = function->proto;
    for (int i = 0; i < proto->n_names && o->fine; i++) {
        int capture = -1 - proto->names[i].reg;
        if (capture >= 0 && capture >= from && capture < to && capture < function->n_values &&
            function->value[capture].tag != TAG_UNDEFINED)
            add_child(o, proto->names[i].name, DEBUG_CAPTURED, function->value[capture], NULL);
    }
}

static void open_module(Opening *o, const Module *module, bool session, long long from, long long to)
{
    long long at = 0;
    for (int functions = 0; functions < 2; functions++)
        for (uint32_t i = 0; i < module->n_slots && at < to && o->fine; i++) {
            const Slot *slot = &module->slot[i];
            bool variable = slot->value.tag != TAG_UNDEFINED;
            if (!is_member(slot) || variable == functions)
                continue;
            DebugKind kind = variable ? DEBUG_GLOBAL : DEBUG_FUNCTION;
            Value v = variable ? slot->value : slot->function;
            if (at >= from && session)
                o->fine = tree_add(o->debugger, o->out, slot->name, kind, v, o->frame, slot->name);
            else if (at >= from)
                add_child(o, slot->name, kind, v, ".%s", slot->name);
            at++;
        }
}

static void open_error(Opening *o, const ErrorObject *error, long long from, long long to)
{
    for (long long i = from; i < to && i < (long long)(sizeof error_members / sizeof *error_members); i++) {
        Value v = i == 0 ? string_from(error_kind_name(error->kind)) : i == 1 ? value_retain(error->message)
                : i == 2 ? value_retain(error->value) : i == 3 ? value_retain(error->hint) : string_from(error->op);
        add_child(o, error_members[i], DEBUG_PLAIN, v, i < 4 ? ".%s" : NULL, error_members[i]);
        value_release(v);
    }
}

/* ---- tensors ---- */

static Value summary(const Tensor *t, long long which)
{
    int64_t size = tensor_size(t);
    double least = (double)INFINITY, most = -(double)INFINITY, sum = 0;
    bool whole = dtype_class((Dtype)t->dtype) == CLASS_INT;
    for (int64_t i = 0; i < size; i++) {
        double x = tensor_item(t, i);
        least = x < least || isnan(x) ? x : least;
        most = x > most || isnan(x) ? x : most;
        sum += x;
    }
    double found = which == 3 ? least : which == 4 ? most : sum / (double)size;
    return whole ? which < 5 ? value_int((int64_t)found) : value_float(found)
                 : value_scalar_float((Dtype)t->dtype, found);
}

static Value tensor_member(const Tensor *t, long long which)
{
    Value v;
    switch (which) {
    case 0:
        v = tuple_new(t->ndim);
        for (int i = 0; v.tag != TAG_UNDEFINED && i < t->ndim; i++)
            v.list->at[i] = value_int(t->shape[i]);
        return v;
    case 1: return string_from(dtype_name((Dtype)t->dtype));
    case 2: return value_int(tensor_size(t));
    default: return summary(t, which);
    }
}

static void open_members(Opening *o, Value v, long long from, long long to)
{
    int named = tensor_named(v.tensor);
    for (long long i = from; i < to && i < named && o->fine; i++) {
        Value member = tensor_member(v.tensor, i);
        add_child(o, tensor_members[i], DEBUG_PLAIN, member, i < TENSOR_SHORT ? ".%s" : ".%s()", tensor_members[i]);
        value_release(member);
    }
}

/* Rows are views, taken outside of what is being recorded. */
static void open_rows(Opening *o, Value v, long long from, long long to)
{
    Vm *vm = o->debugger->session->vm;
    Suspended kept;
    char name[32];
    frame_visit(o->debugger, &kept);
    for (long long i = from; i < to && i < v.tensor->shape[0] && o->fine; i++) {
        Value row = VALUE_UNDEFINED;
        if (!do_index(vm, v, value_int(i), &row)) {
            o->fine = false;
            error_clear(&vm->tensors.error);
            break;
        }
        snprintf(name, sizeof name, "%lld", i);
        add_child(o, name, DEBUG_PLAIN, row, "[%lld]", i);
        value_release(row);
    }
    frame_visit_end(o->debugger, &kept);
}

/* ---- opening ---- */

/* Named ones from..to-1, or indexed ones. */
static void open_value(Opening *o, Value v, bool named, long long from, long long to)
{
    switch ((Tag)v.tag) {
    case TAG_LIST:
    case TAG_TUPLE:
        if (!named)
            open_list(o, v.list, from, to);
        break;
    case TAG_MAP:
    case TAG_SET:
        if (named == (v.tag == TAG_MAP))
            open_map(o, v.map, v.tag == TAG_SET, from, to);
        break;
    case TAG_TENSOR:
        if (named)
            open_members(o, v, from, to);
        else
            open_rows(o, v, from, to);
        break;
    case TAG_OBJECT: open_object(o, v.object, from, to); break;
    case TAG_FUNCTION: open_captures(o, v.function, from, to); break;
    case TAG_MODULE: open_module(o, v.module, false, from, to); break;
    case TAG_ERROR: open_error(o, v.error, from, to); break;
    default: break;
    }
}

/* Groups of a thousand, or of more where these would be very many themselves. */
static void open_groups(Opening *o, Value v, bool named, long long from, long long count)
{
    char name[64];
    long long size = GROUP;
    while (count / size > GROUP)
        size *= GROUP;
    for (long long start = 0; start < count && o->fine; start += size) {
        long long in = count - start < size ? count - start : size;
        snprintf(name, sizeof name, "%lld..%lld", from + start, from + start + in);
        o->fine = add_holder(o->debugger, o->out, name, TREE_RANGE, o->frame, v, o->expression, from + start, in, named);
    }
}

static void open_part(Opening *o, Value v, bool named, long long from, long long all, long long start, long long count)
{
    if (count > 0)
        open_value(o, v, named, from + start, from + (start + count < all ? start + count : all));
    else if (all - start > GROUP)
        open_groups(o, v, named, from + start, all - start);
    else
        open_value(o, v, named, from + start, from + all);
}

static void open_scope(Opening *o, NodeWhat what)
{
    FrameView view;
    if (!frame_view(o->debugger, o->frame, &view)) {
        o->fine = false;
        return;
    }
    for (int i = 0; i < view.count && o->fine && (what == TREE_LOCALS || what == TREE_CAPTURED); i++) {
        const FrameVariable *variable = &view.variable[i];
        if (variable->captured == (what == TREE_CAPTURED) && variable->slot->tag != TAG_UNDEFINED)
            o->fine = tree_add(o->debugger, o->out, variable->name, what == TREE_LOCALS ? DEBUG_LOCAL : DEBUG_CAPTURED,
                               *variable->slot, o->frame, variable->name);
    }
    if (what == TREE_FIELDS && view.model) {
        o->expression = "self";
        open_object(o, view.variable[0].slot->object, 0, view.model->n_fields);
    }
    if (what == TREE_GLOBALS)
        open_module(o, view.module, true, 0, members(view.module));
    frame_view_clear(&view);
}

bool session_debug_variables(Session *session, int reference, DebugFilter filter, long long start, long long count,
                             DebugVariables *out)
{
    Debugger *debugger = session->vm->debugger;
    *out = (DebugVariables){0};
    if (!debugger || reference < 1 || reference > debugger->n_nodes || start < 0 || count < 0)
        return false;
    TreeNode node = debugger->node[reference - 1];       /* more may be made, elsewhere, while this one is opened */
    Opening o = {.debugger = debugger, .out = out, .frame = node.frame, .expression = node.expression, .fine = true};
    long long named = 0, indexed = 0;
    if (node.what == TREE_VALUE || node.what == TREE_RANGE)
        count_inside(node.value, &named, &indexed);
    if (node.what == TREE_RANGE) {
        open_part(&o, node.value, indexed == 0 || named > indexed, node.start, node.count, start, count);
    } else if (node.what == TREE_VALUE) {
        if (filter != DEBUG_INDEXED && named)
            open_part(&o, node.value, true, 0, named, filter == DEBUG_NAMED ? start : 0, filter == DEBUG_NAMED ? count : 0);
        if (filter != DEBUG_NAMED && indexed)
            open_part(&o, node.value, false, 0, indexed, start, count);
    } else if (filter != DEBUG_INDEXED) {
        open_scope(&o, node.what);
    }
    if (!o.fine)
        debug_variables_clear(out);
    return o.fine;
}

/* ---- scopes ---- */

static bool add_scope(Debugger *debugger, DebugVariables *out, const char *name, NodeWhat what, int frame, long long count)
{
    return count == 0 || add_holder(debugger, out, name, what, frame, VALUE_UNDEFINED, NULL, 0, count, true);
}

bool session_debug_scopes(Session *session, int frame, DebugVariables *out)
{
    Debugger *debugger = session->vm->debugger;
    FrameView view;
    long long locals = 0, captured = 0;
    *out = (DebugVariables){0};
    if (!debugger || frame < 0 || !frame_view(debugger, frame, &view))
        return false;
    for (int i = 0; i < view.count; i++)
        if (view.variable[i].slot->tag != TAG_UNDEFINED) {
            locals += !view.variable[i].captured;
            captured += view.variable[i].captured;
        }
    bool fine = add_scope(debugger, out, "Locals", TREE_LOCALS, frame, locals) &&
                add_scope(debugger, out, "Captured", TREE_CAPTURED, frame, captured) &&
                add_scope(debugger, out, "Fields", TREE_FIELDS, frame,
                          view.model ? shown_fields(view.variable[0].slot->object) : 0) &&
                add_scope(debugger, out, "Globals", TREE_GLOBALS, frame, members(view.module));
    frame_view_clear(&view);
    if (!fine)
        debug_variables_clear(out);
    return fine;
}

bool session_debug_globals(Session *session, DebugVariables *out)
{
    Debugger *debugger = session->vm->debugger;
    *out = (DebugVariables){0};
    if (!debugger)
        return false;
    Opening o = {.debugger = debugger, .out = out, .frame = -1, .fine = true};
    open_module(&o, session->vm->main, true, 0, members(session->vm->main));
    if (!o.fine)
        debug_variables_clear(out);
    return o.fine;
}

/* ---- setting ---- */

static EvalStatus no_entry(const char *name, EvalResult *result)
{
    Text text = {0};
    text_format(&text, "%s cannot be assigned here", name);
    *result = (EvalResult){.status = EVAL_ERROR, .error_kind = strdup("name")};
    result->error_message = text_take(&text);
    result->error = strdup(result->error_message ? result->error_message : "");
    return EVAL_ERROR;
}

/* A module's variable, which a local of its name may hide. */
static EvalStatus set_global(Debugger *debugger, int frame, const char *name, const char *text, size_t length,
                             EvalResult *result)
{
    FrameView view;
    Value value = VALUE_UNDEFINED;
    uint32_t slot;
    if (frame_evaluate(debugger, frame, text, length, &value, NULL, result) != EVAL_OK)
        return result->status;
    const char *known = name_find(debugger->session->vm, name);
    bool found = known && frame_view(debugger, frame, &view);
    if (found) {
        found = module_find(view.module, known, &slot) && is_member(&view.module->slot[slot]);
        if (found)
            value_set(&view.module->slot[slot].value, value_retain(value));
        frame_view_clear(&view);
    }
    value_release(value);
    return found ? EVAL_OK : no_entry(name, result);
}

static char *target_of(const TreeNode *node, const char *name)
{
    Text text = {0};
    bool digits = name[strspn(name, "0123456789")] == 0;
    Tag tag = (Tag)node->value.tag;
    if (node->what == TREE_LOCALS)
        text_string(&text, name);
    else if (node->what == TREE_FIELDS)
        text_format(&text, "self.%s", name);
    else if (!node->expression || (tag != TAG_LIST && tag != TAG_MAP && tag != TAG_OBJECT && tag != TAG_TENSOR))
        return NULL;
    else if (tag == TAG_OBJECT)
        text_format(&text, "%s.%s", node->expression, name);
    else if (digits || *name == '"')
        text_format(&text, "%s[%s]", node->expression, name);
    else if (tag == TAG_MAP)
        text_format(&text, "%s[\"%s\"]", node->expression, name);
    return text_take(&text);
}

EvalStatus session_debug_set(Session *session, int reference, const char *name, const char *text, size_t length,
                             DebugVariables *out, EvalResult *result)
{
    Debugger *debugger = session->vm->debugger;
    *out = (DebugVariables){0};
    if (!debugger || reference < 1 || reference > debugger->n_nodes)
        return no_entry(name, result);
    TreeNode node = debugger->node[reference - 1];
    char *target = node.what == TREE_GLOBALS ? strdup(name) : target_of(&node, name), *given = strndup(text, length);
    Text code = {0};
    Value value = VALUE_UNDEFINED;
    if (!target || !*target || !given) {
        no_entry(name, result);
    } else if (node.what == TREE_GLOBALS) {
        set_global(debugger, node.frame, name, text, length, result);
    } else {
        text_format(&code, "%s = (%s)", target, given);
        if (code.failed)
            no_entry(name, result);
        else
            frame_evaluate(debugger, node.frame, code.at, code.length, &value, NULL, result);
        value_release(value);
    }
    if (result->status == EVAL_OK) {
        EvalResult again;
        if (frame_evaluate(debugger, node.frame, target, strlen(target), &value, NULL, &again) == EVAL_OK)
            tree_add(debugger, out, name, DEBUG_PLAIN, value, node.frame, target);
        value_release(value);
        eval_result_clear(&again);
    }
    text_free(&code);
    free(target);
    free(given);
    return result->status;
}
