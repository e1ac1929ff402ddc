/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a debugger shows: frames, scopes, variables, and what an expression is worth in a frame. */
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

/* JavaScript's numbers are whole up to here. */
#define LARGEST_WHOLE 9007199254740991.0

/* ---- frames ---- */

/* The frame that a number names: 0 the innermost. */
static bool frame_of(DebugCall *call, json_int_t number, int *frame)
{
    const Debugger *debugger = call->debugger;
    int depth = session_debug_depth(call->session);
    json_int_t begun = debugger->first_frame, index = number - begun - 1;
    if (!debugger->stop) return debug_refuse(call, "nothing is stopped");
    if (index >= 0 && number <= debugger->frame) index %= depth + 1;
    if (index < 0 || index >= depth || number > debugger->frame)
        return debug_refuse(call, "there is no frame %lld: the cell has gone on", (long long)number);
    *frame = (int)index;
    return true;
}

bool debug_frame(DebugCall *call, int *frame)
{
    json_int_t number;
    const json_t *given = json_object_get(call->arguments, "frameId");
    *frame = call->debugger->stop ? 0 : -1;
    if (!given || json_is_null(given)) return true;
    return debug_number(call, "frameId", &number) && frame_of(call, number, frame);
}

static json_t *name_of(const DebugFrame *frame)
{
    if (!frame->function) return json_string("<lambda>");
    if (*frame->function) return json_from_text(frame->function);
    return json_string(debug_cell_number(frame->source) ? "<cell>" : "<module>");
}

static json_t *stack_frame(DebugCall *call, const DebugFrame *frame, json_int_t number)
{
    int lines = call->debugger->lines_from - 1, columns = call->debugger->columns_from - 1;
    json_t *shown = json_pack("{sI so si si so}", "id", number, "name", name_of(frame), "line", frame->line + lines, "column",
                              frame->column + columns, "source", debug_source_of(call->session, frame->source, frame->library));
    if (frame->end_line > 0) {
        json_object_set_new(shown, "endLine", json_integer(frame->end_line + lines));
        json_object_set_new(shown, "endColumn", json_integer(frame->end_column + columns));
    }
    if (frame->library) json_object_set_new(shown, "presentationHint", json_string("subtle"));
    return shown;
}

bool debug_stack_trace(DebugCall *call)
{
    json_int_t start, levels;
    int depth = call->debugger->stop ? session_debug_depth(call->session) : 0;
    json_t *frames = json_array();
    json_object_set_new(call->body, "stackFrames", frames);
    json_object_set_new(call->body, "totalFrames", json_integer(depth));
    if (!debug_thread(call) || !debug_number_or(call, "startFrame", 0, &start) || !debug_number_or(call, "levels", 0, &levels))
        return false;
    DebugFrame frame;
    for (json_int_t i = start; i < depth && (levels == 0 || i - start < levels); i++)
        if (session_debug_frame(call->session, (int)i, &frame))
            json_array_append_new(frames, stack_frame(call, &frame, call->debugger->frame - depth + i));
    return true;
}

/* JupyterLab empties its variables after an evaluation, and fills them when the innermost frame's number is new. */
static void renumber_frames(Debugger *debugger, const Session *session)
{
    debugger->frame += session_debug_depth(session) + 1;
}

/* ---- variables ---- */

static bool is_long(const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return number > LARGEST_WHOLE || number < -LARGEST_WHOLE;
}

/* JupyterLab's tree shows the value of what is of a type that it knows, and of everything else the type alone. So types
   are told where they say more than the value: of tensors, and of what is too long for a line. */
static const char *type_of(const DebugVariable *variable)
{
    static const char *const known[] = {"bool", "float", "int", "str"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], variable->type) == 0)
            return strcmp(known[i], "int") == 0 && is_long(variable->value) ? NULL : known[i];
    bool tensor = strchr(variable->type, '['), cut = strstr(variable->value, "…");
    return variable->reference > 0 && (tensor || cut) ? variable->type : NULL;
}

/* Into [shown]: what a Variable, and the answers of evaluate and setVariable, have in common. */
static void add_inside(json_t *shown, const DebugVariable *variable)
{
    const char *type = type_of(variable);
    if (type) json_object_set_new(shown, "type", json_from_text(type));
    json_object_set_new(shown, "variablesReference", json_integer(variable->reference));
    if (variable->named > 0) json_object_set_new(shown, "namedVariables", json_integer(variable->named));
    if (variable->indexed > 0) json_object_set_new(shown, "indexedVariables", json_integer(variable->indexed));
}

static const char *kind_of(const DebugVariable *variable)
{
    switch (variable->kind) {
    case DEBUG_FUNCTION: return "method";
    case DEBUG_GROUP: return "virtual";
    case DEBUG_FIELD: case DEBUG_PARAM: case DEBUG_BUFFER: return "property";
    case DEBUG_PLAIN: case DEBUG_LOCAL: case DEBUG_CAPTURED: case DEBUG_GLOBAL: break;
    }
    return "data";
}

static json_t *variable_of(const DebugVariable *variable)
{
    json_t *shown = json_pack("{so so s{ss}}", "name", json_from_text(variable->name), "value", json_from_text(variable->value),
                              "presentationHint", "kind", kind_of(variable));
    if (variable->expression) json_object_set_new(shown, "evaluateName", json_from_text(variable->expression));
    add_inside(shown, variable);
    return shown;
}

static void answer_with(DebugCall *call, DebugVariables *variables)
{
    json_t *list = json_array();
    for (int i = 0; i < variables->count; i++) json_array_append_new(list, variable_of(&variables->at[i]));
    json_object_set_new(call->body, "variables", list);
    debug_variables_clear(variables);
}

bool debug_scopes(DebugCall *call)
{
    DebugVariables found = {0};
    json_t *scopes = json_array();
    json_int_t number;
    int frame;
    json_object_set_new(call->body, "scopes", scopes);
    if (!debug_number(call, "frameId", &number) || !frame_of(call, number, &frame)) return false;
    if (!session_debug_scopes(call->session, frame, &found)) return debug_refuse(call, "out of memory");
    for (int i = 0; i < found.count; i++) {
        json_t *scope = json_pack("{so sb}", "name", json_from_text(found.at[i].name), "expensive", 0);
        add_inside(scope, &found.at[i]);
        json_object_del(scope, "type");
        if (found.at[i].kind == DEBUG_LOCAL) json_object_set_new(scope, "presentationHint", json_string("locals"));
        json_array_append_new(scopes, scope);
    }
    debug_variables_clear(&found);
    return true;
}

bool debug_inspect_variables(DebugCall *call)
{
    DebugVariables found = {0};
    if (!session_debug_globals(call->session, &found)) return debug_refuse(call, "out of memory");
    answer_with(call, &found);
    return true;
}

static bool read_filter(DebugCall *call, DebugFilter *filter)
{
    const json_t *given = json_object_get(call->arguments, "filter");
    const char *name = given && !json_is_null(given) ? debug_text(call, "filter", NULL) : "";
    *filter = DEBUG_ALL;
    if (!name) return false;
    if (strcmp(name, "named") == 0) *filter = DEBUG_NAMED;
    else if (strcmp(name, "indexed") == 0) *filter = DEBUG_INDEXED;
    else if (*name) return debug_refuse(call, "the argument 'filter' must be \"named\" or \"indexed\"");
    return true;
}

bool debug_variables(DebugCall *call)
{
    json_int_t reference, start, count;
    DebugFilter filter;
    DebugVariables found = {0};
    json_object_set_new(call->body, "variables", json_array());
    if (!debug_number(call, "variablesReference", &reference) || !debug_number_or(call, "start", 0, &start) ||
        !debug_number_or(call, "count", 0, &count) || !read_filter(call, &filter)) return false;
    if (reference > INT32_MAX || !session_debug_variables(call->session, (int)reference, filter, start, count, &found))
        return debug_refuse(call, "there are no variables %lld: the cell has gone on", (long long)reference);
    answer_with(call, &found);
    return true;
}

/* ---- evaluating ---- */

/* An interrupt ends the evaluation, not the cell that is stopped around it. */
static EvalStatus evaluate(DebugCall *call, int frame, const char *text, size_t length, DebugVariables *out, EvalResult *result)
{
    Kernel *kernel = call->kernel;
    bool inside = kernel->cell != NULL;
    Evaluation evaluation;
    if (!inside) evaluation_begin(kernel, &evaluation, call->request, false);
    EvalStatus status = session_debug_evaluate(call->session, frame, text, length, out, result);
    if (!inside) evaluation_end(kernel);
    else if (status == EVAL_INTERRUPTED) atomic_store(&kernel->interrupted, false);
    return status;
}

/* The whole text where a person typed the expression, a line where a tree has room for one. */
bool debug_evaluate(DebugCall *call)
{
    int frame;
    size_t length;
    EvalResult result = {0};
    DebugVariables found = {0};
    const char *text = debug_text(call, "expression", &length);
    const char *context = json_string_value(json_object_get(call->arguments, "context"));
    if (!text || !debug_frame(call, &frame)) return false;
    EvalStatus status = evaluate(call, frame, text, length, &found, &result);
    bool fine = status == EVAL_OK || debug_refuse_result(call, &result);
    bool whole = context && (strcmp(context, "repl") == 0 || strcmp(context, "clipboard") == 0);
    if (fine) {
        const char *shown = whole || found.count == 0 ? result.text : found.at[0].value;
        json_object_set_new(call->body, "result", json_from_text(shown ? shown : ""));
        if (found.count > 0) add_inside(call->body, &found.at[0]);
        else json_object_set_new(call->body, "variablesReference", json_integer(0));
        if (frame == 0) renumber_frames(call->debugger, call->session);
    }
    debug_variables_clear(&found);
    eval_result_clear(&result);
    return fine;
}

bool debug_set_variable(DebugCall *call)
{
    json_int_t reference;
    size_t length;
    EvalResult result = {0};
    DebugVariables found = {0};
    const char *name = debug_text(call, "name", NULL), *value = name ? debug_text(call, "value", &length) : NULL;
    if (!value || !debug_number(call, "variablesReference", &reference)) return false;
    if (reference > INT32_MAX) return debug_refuse(call, "there are no variables %lld", (long long)reference);
    EvalStatus status = session_debug_set(call->session, (int)reference, name, value, length, &found, &result);
    bool fine = status == EVAL_OK || debug_refuse_result(call, &result);
    if (fine && found.count > 0) {
        json_object_set_new(call->body, "value", json_from_text(found.at[0].value));
        add_inside(call->body, &found.at[0]);
    }
    debug_variables_clear(&found);
    eval_result_clear(&result);
    return fine;
}

static bool is_identifier(const char *name)
{
    if (!*name || (*name >= '0' && *name <= '9')) return false;
    for (; *name; name++)
        if (!(*name == '_' || (unsigned char)*name >= 0x80 || (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z')))
            return false;
    return true;
}

/* All forms that notebooks show; none where the name means nothing, as the panel has words for that. */
bool debug_rich_inspect_variables(DebugCall *call)
{
    int frame;
    EvalResult result = {0};
    const char *name = debug_text(call, "variableName", NULL);
    json_object_update_missing_new(call->body, json_pack("{s{} s{}}", "data", "metadata"));
    if (!name || !debug_frame(call, &frame)) return false;
    if (!is_identifier(name)) return debug_refuse(call, "'%.60s' is no variable's name", name);
    if (evaluate(call, frame, name, strlen(name), NULL, &result) == EVAL_OK && result.display) {
        json_t *bundle = bundle_of(result.display);
        json_object_update(call->body, bundle);
        json_decref(bundle);
    }
    eval_result_clear(&result);
    return true;
}

bool debug_copy_to_globals(DebugCall *call)
{
    int frame;
    json_int_t number;
    EvalResult result = {0};
    const char *from = debug_text(call, "srcVariableName", NULL), *to = from ? debug_text(call, "dstVariableName", NULL) : NULL;
    if (!to || !debug_number(call, "srcFrameId", &number) || !frame_of(call, number, &frame)) return false;
    if (!is_identifier(to)) return debug_refuse(call, "'%.60s' is no variable's name", to);
    bool fine = session_debug_copy(call->session, frame, from, to, &result) == EVAL_OK || debug_refuse_result(call, &result);
    eval_result_clear(&result);
    return fine;
}
