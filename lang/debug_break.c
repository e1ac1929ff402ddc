/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Breakpoints: which statement a line means, conditions, counts, and messages in place of stops. A line of a source may
   have been compiled several times, for a finally or for a function that was defined anew: a breakpoint lies in all.
   Invariant: spots name code that is alive, since each text that is compiled binds them anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "debug.h"

/* ---- names of sources ---- */

static char *real_path(const char *name)
{
    return *name == '<' ? NULL : realpath(name, NULL);
}

/* The same name, the same file, or the end of its path: "train.tsr" is "/home/me/train.tsr". */
static bool is_source(const Breakpoint *breakpoint, const Source *source)
{
    size_t wanted = strlen(breakpoint->source), length = strlen(source->name);
    if (!strcmp(breakpoint->source, source->name))
        return true;
    if (*breakpoint->source != '/' && *breakpoint->source != '<' && wanted < length &&
        source->name[length - wanted - 1] == '/' && !strcmp(source->name + length - wanted, breakpoint->source))
        return true;
    char *path = breakpoint->path && !source->library ? real_path(source->name) : NULL;
    bool same = path && !strcmp(path, breakpoint->path);
    free(path);
    return same;
}

static int line_of(const Source *source, uint32_t offset)
{
    uint32_t line, column;
    source_locate(source, offset, &line, &column);
    return (int)line;
}

/* ---- where they lie ---- */

static void add_spot(Breakpoint *breakpoint, const Proto *proto, int mark)
{
    if (breakpoint->n_spots == breakpoint->room) {
        int room = breakpoint->room ? breakpoint->room * 2 : 4;
        Spot *wider = realloc(breakpoint->spot, (size_t)room * sizeof *wider);
        if (!wider)
            return;
        breakpoint->spot = wider;
        breakpoint->room = room;
    }
    breakpoint->spot[breakpoint->n_spots++] = (Spot){proto, mark};
    if (proto->debug)
        proto->debug->breaks[mark] = true;
}

/* Code that ran once, as a cell's own does, is gone, but the line means the same statement. */
static void bind_line(Vm *vm, Breakpoint *breakpoint, const Source *source)
{
    uint32_t start = source_statement_from(source, (uint32_t)breakpoint->told.line);
    if (start == UINT32_MAX)
        return;
    breakpoint->told.verified = line_of(source, start);
    breakpoint->told.message[0] = 0;
    for (const Proto *proto = vm->protos; proto; proto = proto->next)
        for (int i = 0; proto->source == source && i < proto->n_marks; i++)
            if (proto->marks[i].span.start == start)
                add_spot(breakpoint, proto, i);
}

/* A text's code lies together in the list, but for what it made later. */
static void bind_lines(Vm *vm, Breakpoint *breakpoint)
{
    const Source *last = NULL, *bound[64];
    int n_bound = 0;
    for (const Proto *proto = vm->protos; proto; proto = proto->next) {
        bool known = proto->source == last;
        for (int i = 0; i < n_bound; i++)
            known = known || bound[i] == proto->source;
        last = proto->source;
        if (known || n_bound == 64 || !is_source(breakpoint, proto->source))
            continue;
        bound[n_bound++] = proto->source;
        bind_line(vm, breakpoint, proto->source);
    }
}

static void bind_first(Breakpoint *breakpoint, const Proto *proto)
{
    if (proto->n_marks == 0)
        return;
    add_spot(breakpoint, proto, 0);
    breakpoint->told.verified = line_of(proto->source, proto->marks[0].span.start);
}

/* "f", or "Model.method"; library functions of the name where the user has none. */
static void bind_named(Vm *vm, Breakpoint *breakpoint, bool library)
{
    const char *dot = strrchr(breakpoint->function, '.'), *name = dot ? dot + 1 : breakpoint->function;
    size_t length = dot ? (size_t)(dot - breakpoint->function) : 0;
    for (const Proto *proto = vm->protos; proto; proto = proto->next) {
        bool model = dot && proto->is_constructor && strlen(proto->name) == length &&
                     !strncmp(proto->name, breakpoint->function, length);
        if (proto->source->library != library)
            continue;
        if (!dot && proto->name && !strcmp(proto->name, name))
            bind_first(breakpoint, proto);
        for (int i = 0; model && i < proto->n_methods; i++)
            if (!strcmp(proto->methods[i]->name, name))
                bind_first(breakpoint, proto->methods[i]);
    }
}

static void bind_function(Vm *vm, Breakpoint *breakpoint)
{
    bind_named(vm, breakpoint, false);
    if (!breakpoint->n_spots)
        bind_named(vm, breakpoint, true);
}

void breakpoints_bind(Debugger *debugger)
{
    Vm *vm = debugger->session->vm;
    if (debugger->testing)
        return;
    for (Proto *proto = vm->protos; proto; proto = proto->next)
        if (proto->debug)
            memset(proto->debug->breaks, 0, (size_t)proto->n_marks * sizeof *proto->debug->breaks);
    for (Breakpoint *breakpoint = debugger->breakpoints; breakpoint; breakpoint = breakpoint->next) {
        breakpoint->n_spots = 0;
        if (breakpoint->broken)
            continue;
        if (breakpoint->function)
            bind_function(vm, breakpoint);
        else
            bind_lines(vm, breakpoint);
        if (breakpoint->n_spots)
            breakpoint->told.message[0] = 0;
    }
}

/* ---- what a text that is not compiled yet will have ---- */

static char *read_text(Vm *vm, const Breakpoint *breakpoint, size_t *length)
{
    if (!breakpoint->path)
        return NULL;
    char *text = module_read(vm, breakpoint->path, length);
    error_clear(&vm->tensors.error);
    return text;
}

/* The text is compiled for a module that nobody sees, so that lines are told by the same code as later. */
static void foresee(Debugger *debugger, Breakpoint *breakpoint, const char *text, size_t length)
{
    Vm *vm = debugger->session->vm;
    Module *nowhere = heap_new(sizeof *nowhere);
    Source *source = nowhere ? source_new(breakpoint->source, text, length, true) : NULL;
    Parse *parse = source ? parse_source(source, false) : NULL;
    bool muted;
    vm->debugger = NULL;
    Proto *proto = parse && !parse->errors ? compile_module(vm, nowhere, parse, &muted) : NULL;
    vm->debugger = debugger;
    uint32_t start = proto ? source_statement_from(source, (uint32_t)breakpoint->told.line) : UINT32_MAX;
    breakpoint->told.verified = start == UINT32_MAX ? 0 : line_of(source, start);
    if (start == UINT32_MAX)
        snprintf(breakpoint->told.message, sizeof breakpoint->told.message,
                 parse && parse->errors ? "the source has a syntax error" : "there is no statement at or after line %d",
                 breakpoint->told.line);
    proto_release(proto);
    if (parse)
        parse_free(parse);
    source_release(source);
    if (nowhere)
        value_release((Value){.tag = TAG_MODULE, .module = nowhere});
}

static bool is_loaded(const Vm *vm, const Breakpoint *breakpoint)
{
    const Source *last = NULL;
    for (const Proto *proto = vm->protos; proto; proto = proto->next) {
        if (proto->source != last && is_source(breakpoint, proto->source))
            return true;
        last = proto->source;
    }
    return false;
}

static void verify(Debugger *debugger, Breakpoint *breakpoint, const char *text, size_t length)
{
    DebugBreakpoint *told = &breakpoint->told;
    size_t read = length;
    if (breakpoint->broken || (told->verified && !text))
        return;
    char *file = text ? NULL : read_text(debugger->session->vm, breakpoint, &read);
    if (text || file)
        foresee(debugger, breakpoint, text ? text : file, read);
    else if (is_loaded(debugger->session->vm, breakpoint))
        snprintf(told->message, sizeof told->message, "there is no statement at or after line %d", told->line);
    else
        snprintf(told->message, sizeof told->message, "%.200s is not read yet", breakpoint->source);
    free(file);
}

/* ---- setting them ---- */

static void drop(Breakpoint *breakpoint)
{
    free(breakpoint->source);
    free(breakpoint->path);
    free(breakpoint->function);
    free((char *)(uintptr_t)breakpoint->told.condition);
    free((char *)(uintptr_t)breakpoint->told.hit_condition);
    free((char *)(uintptr_t)breakpoint->told.log_message);
    free(breakpoint->spot);
    proto_release(breakpoint->condition);
    free(breakpoint);
}

void breakpoints_free(Debugger *debugger)
{
    while (debugger->breakpoints) {
        Breakpoint *first = debugger->breakpoints;
        debugger->breakpoints = first->next;
        drop(first);
    }
}

static const char *copy_word(const char *text, bool *fine)
{
    if (!text || !text[strspn(text, " \t")])
        return NULL;
    char *copy = strdup(text);
    *fine = *fine && copy;
    return copy;
}

static bool read_hits(Breakpoint *breakpoint, const char *text)
{
    static const struct { const char *sign; HitTest test; } signs[] = {
        {">=", HIT_FROM}, {"<=", HIT_AT_MOST}, {"==", HIT_EQUAL}, {">", HIT_ABOVE}, {"<", HIT_BELOW}, {"=", HIT_EQUAL},
        {"%", HIT_MULTIPLE}, {"", HIT_FROM}};
    if (!text)
        return true;
    text += strspn(text, " ");
    size_t i = 0;
    while (strncmp(text, signs[i].sign, strlen(signs[i].sign)) != 0)
        i++;
    char *end;
    breakpoint->test = signs[i].test;
    breakpoint->wanted = strtoll(text + strlen(signs[i].sign), &end, 10);
    bool fine = end != text + strlen(signs[i].sign) && !end[strspn(end, " ")] && breakpoint->wanted > 0;
    if (!fine)
        snprintf(breakpoint->told.message, sizeof breakpoint->told.message,
                 "\"%.40s\" is no count of hits: write 3, == 3, >= 3, > 3, < 3, <= 3 or %% 3", text);
    return fine;
}

/* "x is {x}" as the text that the language fills in. */
static char *quoted(const char *message)
{
    Text out = {0};
    int open = 0;
    text_add(&out, "\"", 1);
    for (; *message; message++) {
        open += *message == '{' ? 1 : *message == '}' && open ? -1 : 0;
        if (!open && (*message == '"' || *message == '\\'))
            text_add(&out, "\\", 1);
        text_add(&out, message, 1);
    }
    text_add(&out, "\"", 1);
    if (out.failed)
        text_free(&out);
    return out.at;
}

/* Whether it is one expression; else the message says what is wrong. */
static bool is_expression(Breakpoint *breakpoint, const char *what, const char *text)
{
    Source *source = text ? source_new("<condition>", text, strlen(text), false) : NULL;
    Parse *parse = source ? parse_source(source, false) : NULL;
    bool fine = !text || (parse && !parse->errors && parse->statements.count == 1 &&
                          parse->statements.at[0]->kind == NODE_EXPR);
    if (!fine)
        snprintf(breakpoint->told.message, sizeof breakpoint->told.message, "the %s \"%.80s\" is no expression: %.100s", what,
                 text, parse && parse->errors ? parse->errors->message : "write one that gives true or false");
    if (parse)
        parse_free(parse);
    source_release(source);
    return fine;
}

/* The one that was there before at this line, taken out of the list, keeps its number and its count. */
static Breakpoint *take_earlier(Breakpoint **list, const DebugBreakpoint *asked, const char *function)
{
    for (Breakpoint **at = list; *at; at = &(*at)->next)
        if (function ? !strcmp((*at)->function, function) : (*at)->told.line == asked->line) {
            Breakpoint *found = *at;
            *at = found->next;
            return found;
        }
    return NULL;
}

static Breakpoint *make(Debugger *debugger, const char *source, const char *function, const DebugBreakpoint *asked,
                        Breakpoint **earlier)
{
    Breakpoint *made = calloc(1, sizeof *made), *before = take_earlier(earlier, asked, function);
    bool fine = made != NULL;
    if (fine) {
        made->source = source ? strdup(source) : NULL;
        made->path = source ? real_path(source) : NULL;
        made->function = function ? strdup(function) : NULL;
        made->told = (DebugBreakpoint){.line = asked->line, .id = before ? before->told.id : ++debugger->last_id};
        made->hits = before ? before->hits : 0;
        fine = source ? made->source != NULL : made->function != NULL;
        made->told.condition = copy_word(asked->condition, &fine);
        made->told.hit_condition = copy_word(asked->hit_condition, &fine);
        made->told.log_message = copy_word(asked->log_message, &fine);
    }
    if (before)
        drop(before);
    if (!fine) {
        if (made)
            drop(made);
        return NULL;
    }
    char *log = made->told.log_message ? quoted(made->told.log_message) : NULL;
    made->broken = !is_expression(made, "condition", made->told.condition) || !read_hits(made, made->told.hit_condition) ||
                   !is_expression(made, "message", log);
    free(log);
    return made;
}

static void append(Debugger *debugger, Breakpoint *made)
{
    Breakpoint **at = &debugger->breakpoints;
    while (*at && (*at)->told.id < made->told.id)
        at = &(*at)->next;
    made->next = *at;
    *at = made;
}

/* Takes those of one source, or of functions, out of the list. */
static Breakpoint *take_out(Debugger *debugger, const char *source)
{
    Breakpoint *taken = NULL, **end = &taken;
    for (Breakpoint **at = &debugger->breakpoints; *at;) {
        Breakpoint *here = *at;
        if (source ? here->source && !strcmp(here->source, source) : here->function != NULL) {
            *at = here->next;
            here->next = NULL;
            *end = here;
            end = &here->next;
        } else {
            at = &here->next;
        }
    }
    return taken;
}

static bool set_all(Debugger *debugger, const char *source, const char *const *names, const char *text, size_t length,
                    int count, DebugBreakpoint *asked)
{
    Breakpoint *earlier = take_out(debugger, source);
    bool fine = true;
    for (int i = 0; fine && i < count; i++) {
        Breakpoint *made = make(debugger, source, names ? names[i] : NULL, &asked[i], &earlier);
        fine = made != NULL;
        if (fine) {
            append(debugger, made);
            asked[i].id = made->told.id;
        }
    }
    while (earlier) {
        Breakpoint *first = earlier;
        earlier = first->next;
        drop(first);
    }
    breakpoints_bind(debugger);
    for (Breakpoint *at = debugger->breakpoints; at; at = at->next)
        for (int i = 0; fine && i < count; i++)
            if (asked[i].id == at->told.id) {
                if (source)
                    verify(debugger, at, text, length);
                else if (!at->n_spots && !at->broken)
                    snprintf(at->told.message, sizeof at->told.message, "no function %.100s is known yet", at->function);
                asked[i].verified = at->told.verified;
                memcpy(asked[i].message, at->told.message, sizeof asked[i].message);
            }
    debug_arm(debugger);
    return fine;
}

bool session_debug_set_breakpoints(Session *session, const char *source, const char *text, size_t length, int count,
                                   DebugBreakpoint *breakpoint)
{
    Debugger *debugger = session->vm->debugger;
    return debugger && !debugger->testing && set_all(debugger, source, NULL, text, length, count, breakpoint);
}

bool session_debug_set_functions(Session *session, int count, const char *const *names, DebugBreakpoint *breakpoint)
{
    Debugger *debugger = session->vm->debugger;
    return debugger && !debugger->testing && set_all(debugger, NULL, names, NULL, 0, count, breakpoint);
}

static void remove_one(Debugger *debugger, const Breakpoint *which)
{
    for (Breakpoint **at = &debugger->breakpoints; *at; at = &(*at)->next)
        if (*at == which) {
            Breakpoint *found = *at;
            *at = found->next;
            drop(found);
            return;
        }
}

static bool is_same(const Breakpoint *breakpoint, const char *source, const char *function, int line)
{
    return source ? breakpoint->source && !strcmp(breakpoint->source, source) && breakpoint->told.line == line
                  : breakpoint->function && !strcmp(breakpoint->function, function);
}

const Breakpoint *breakpoint_add(Debugger *debugger, const char *source, const char *function,
                                 const DebugBreakpoint *asked, char **error)
{
    Breakpoint *none = NULL, *before = debugger->breakpoints;
    *error = NULL;
    Breakpoint *made = debugger->testing ? NULL : make(debugger, source, function, asked, &none);
    if (!made)
        return NULL;
    while (before && !is_same(before, source, function, asked->line))
        before = before->next;
    append(debugger, made);
    breakpoints_bind(debugger);
    if (source)
        verify(debugger, made, NULL, 0);
    bool never = made->broken || (source && !made->told.verified);
    if (never && !made->broken && !made->path && !is_loaded(debugger->session->vm, made))
        snprintf(made->told.message, sizeof made->told.message, "%.200s is no file, and no code of that name has run",
                 source);
    if (never) {
        *error = strdup(made->told.message);
        debugger->last_id--;
    }
    remove_one(debugger, never ? made : before);
    breakpoints_bind(debugger);
    debug_arm(debugger);
    return never ? NULL : made;
}

bool breakpoint_remove(Debugger *debugger, int id)
{
    const Breakpoint *found = debugger->breakpoints;
    while (found && found->told.id != id)
        found = found->next;
    if (!found || debugger->testing)
        return false;
    remove_one(debugger, found);
    breakpoints_bind(debugger);
    debug_arm(debugger);
    return true;
}

const DebugPlace *session_debug_breakpoints(Session *session, int *count)
{
    Debugger *debugger = session->vm->debugger;
    int n = 0;
    *count = 0;
    for (const Breakpoint *at = debugger ? debugger->breakpoints : NULL; at; at = at->next) n++;
    DebugPlace *place = n ? realloc(debugger->place, (size_t)n * sizeof *place) : NULL;
    if (!place)
        return NULL;
    debugger->place = place;
    for (const Breakpoint *at = debugger->breakpoints; at; at = at->next)
        place[(*count)++] = (DebugPlace){at->source, at->function, &at->told};
    return place;
}

/* ---- at one ---- */

static bool counts(Breakpoint *breakpoint)
{
    long long hits = ++breakpoint->hits, wanted = breakpoint->wanted;
    switch (breakpoint->test) {
    case HIT_ALWAYS: return true;
    case HIT_FROM: return hits >= wanted;
    case HIT_EQUAL: return hits == wanted;
    case HIT_ABOVE: return hits > wanted;
    case HIT_BELOW: return hits < wanted;
    case HIT_AT_MOST: return hits <= wanted;
    case HIT_MULTIPLE: return hits % wanted == 0;
    }
    return true;
}

/* What was wrong in an evaluation, as one line. */
static char *trouble_of(EvalResult *result, const char *what)
{
    char *line = NULL;
    if (asprintf(&line, "its %s failed: %s error: %s", what, result->error_kind ? result->error_kind : "",
                 result->error_message ? result->error_message : "") < 0)
        line = NULL;
    return line;
}

/* Compiled once for each place, since a loop may come by a million times. */
static bool run_condition(Debugger *debugger, Breakpoint *breakpoint, const Proto *proto, int pc, Value *out,
                          EvalResult *result)
{
    FrameView view;
    const char *text = breakpoint->told.condition;
    bool fine = frame_view(debugger, 0, &view), muted;
    if (fine && (!breakpoint->condition || breakpoint->around != proto || breakpoint->around_pc != pc)) {
        Source *source = source_new("<condition>", text, strlen(text), false);
        Parse *parse = source ? parse_source(source, false) : NULL;
        source_release(source);
        proto_release(breakpoint->condition);
        breakpoint->condition = parse ? frame_compile(debugger, &view, parse, &muted) : NULL;
        breakpoint->around = proto;
        breakpoint->around_pc = pc;
        if (parse && parse->errors)
            session_fail_syntax(debugger->session, parse, result);
        if (parse)
            parse_free(parse);
    }
    fine = fine && breakpoint->condition && frame_run(debugger, &view, breakpoint->condition, out, result);
    frame_view_clear(&view);
    return fine;
}

static bool holds(Debugger *debugger, Breakpoint *breakpoint, const Proto *proto, int pc, char **trouble)
{
    EvalResult result = {0};
    Value value = VALUE_UNDEFINED;
    bool truth = true;
    if (!breakpoint->told.condition)
        return true;
    if (!run_condition(debugger, breakpoint, proto, pc, &value, &result)) {
        *trouble = trouble_of(&result, "condition");
    } else if (!arith_truth(debugger->session->vm, value, &truth)) {
        session_fail(debugger->session, &result);
        *trouble = trouble_of(&result, "condition");
        truth = true;
    }
    eval_result_clear(&result);
    value_release(value);
    return truth;
}

static void log_line(const Session *session, const char *text, size_t length)
{
    if (session->config.logged) {
        session->config.logged(session->config.user, text, length);
        return;
    }
    vm_output(session->vm, OUTPUT_OUT, text, length);
    vm_output(session->vm, OUTPUT_OUT, "\n", 1);
}

static void put_out(Debugger *debugger, const Breakpoint *breakpoint)
{
    EvalResult result = {0};
    Value value = VALUE_UNDEFINED;
    char *text = quoted(breakpoint->told.log_message), *trouble = NULL;
    if (text && frame_evaluate(debugger, 0, text, strlen(text), &value, NULL, &result) == EVAL_OK &&
        value.tag == TAG_STRING)
        log_line(debugger->session, value.string->text, value.string->length);
    else if ((trouble = trouble_of(&result, "message")))
        log_line(debugger->session, trouble, strlen(trouble));
    free(trouble);
    free(text);
    eval_result_clear(&result);
    value_release(value);
}

static bool lies_at(const Breakpoint *breakpoint, const Proto *proto, int mark)
{
    for (int i = 0; i < breakpoint->n_spots; i++)
        if (breakpoint->spot[i].proto == proto && breakpoint->spot[i].mark == mark)
            return true;
    return false;
}

int breakpoints_hit(Debugger *debugger, const Proto *proto, int mark, int *hit, int most, bool *function, char **trouble)
{
    int count = 0;
    debugger->at_statement = true;
    debugger->testing = true;
    debugger->top = debugger->session->vm->n_frames;
    debugger->bottom = debugger->session->vm->floor;
    debugger->busy++;
    for (Breakpoint *at = debugger->breakpoints; at && count < most; at = at->next) {
        if (!lies_at(at, proto, mark))
            continue;
        char *why = NULL;
        bool due = holds(debugger, at, proto, proto->marks[mark].pc, &why) && counts(at);
        if (why || (due && !at->told.log_message)) {
            hit[count++] = at->told.id;
            *function = *function || at->function;
        } else if (due) {
            put_out(debugger, at);
        }
        if (why && !*trouble)
            *trouble = why;
        else
            free(why);
    }
    debugger->busy--;
    debugger->testing = false;
    return count;
}
