/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stopping: where BREAK lies, what a step waits for, and the stop itself.
   Invariant: code with BREAK in it has its DebugCode, and code without a debugger has none. */
#include "debug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"

enum { HITS_MOST = 16 };

/* ---- code ---- */

/* Registers of variables keep their values: the instruction does not empty them. */
static Code kept(const Proto *proto, int pc, const bool *whole)
{
    Code w = proto->code[pc];
    const OpcodeInfo *info = &opcode_info[CODE_OP(w)];
    const unsigned reg[3] = {CODE_A(w), CODE_B(w), CODE_C(w)};
    for (int i = 0; i < 3; i++) {
        bool keep = info->operand[i] == OPERAND_R && reg[i] < (unsigned)proto->n_registers && whole[reg[i]];
        for (int j = 0; info->operand[i] == OPERAND_R && !keep && j < proto->n_names; j++) {
            const LocalName *name = &proto->names[j];
            keep = name->reg == (int)reg[i] && pc >= name->from && pc < name->to;
        }
        if (keep)
            w &= ~((Code)(1u << i) << 8);
    }
    return w;
}

void debug_adopt(Debugger *debugger, Proto *proto)
{
    (void)debugger;
    if (proto->n_code == 0)
        return;
    size_t code = (size_t)proto->n_code * sizeof(Code);
    DebugCode *debug = calloc(1, sizeof *debug + code + (size_t)proto->n_marks + 1);
    bool *whole = calloc((size_t)proto->n_registers + 1, sizeof *whole);
    if (!debug || !whole) {   /* it cannot be stopped in */
        free(debug);
        free(whole);
        return;
    }
    memcpy(debug->original, proto->code, code);
    debug->entry = proto->entry;
    proto->entry = 0;         /* CLEAR, where there is one */
    debug->breaks = (bool *)((char *)debug->original + code);
    proto->debug = debug;
    for (int i = 0; i < proto->n_names; i++)
        if (proto->names[i].reg >= 0 && proto->names[i].to == INT32_MAX)
            whole[proto->names[i].reg] = true;
    for (int pc = 0; pc < proto->n_code; pc++)
        proto->code[pc] = kept(proto, pc, whole);
    free(whole);
}

static void abandon(Proto *proto)
{
    if (!proto->debug)
        return;
    memcpy(proto->code, proto->debug->original, (size_t)proto->n_code * sizeof(Code));
    proto->entry = proto->debug->entry;
    free(proto->debug);
    proto->debug = NULL;
}

static bool is_shown(const Debugger *debugger, const Proto *proto)
{
    return !proto->source->library || !debugger->just_my_code || debugger->library;
}

void debug_arm(Debugger *debugger)
{
    for (Proto *proto = debugger->session->vm->protos; proto; proto = proto->next) {
        bool all = debugger->all && is_shown(debugger, proto);
        for (int i = 0; proto->debug && i < proto->n_marks; i++) {
            Code *w = &proto->code[proto->marks[i].pc];
            Code opcode = all || proto->debug->breaks[i] ? CODE_BREAK : proto->debug->original[proto->marks[i].pc] & 255;
            *w = (*w & ~(Code)255) | opcode;
        }
    }
}

Proto *debug_compiled(Vm *vm, Proto *proto)
{
    if (vm->debugger && proto) {
        breakpoints_bind(vm->debugger);
        debug_arm(vm->debugger);
    }
    return proto;
}

int debug_mark_at(const Proto *proto, int pc)
{
    int low = 0, high = proto->n_marks;
    while (low < high) {
        int middle = (low + high) / 2;
        if (proto->marks[middle].pc < pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low < proto->n_marks && proto->marks[low].pc == pc ? low : -1;
}

/* ---- attaching ---- */

bool session_debug_attached(const Session *session) { return session->vm->debugger != NULL; }
bool session_debug_stopped(const Session *session)
{
    return session->vm->debugger && session->vm->debugger->stopped;
}

bool session_debug_attach(Session *session, bool attached)
{
    Vm *vm = session->vm;
    if (!attached)
        debug_free(vm->debugger);
    else if (debug_attach(session))
        vm->debugger->held = true;
    else
        error_clear(&vm->tensors.error);
    return !attached || vm->debugger;
}

Debugger *debug_attach(Session *session)
{
    Vm *vm = session->vm;
    if (vm->debugger)
        return vm->debugger;
    Debugger *debugger = calloc(1, sizeof *debugger);
    if (!debugger) {
        vm_out_of_memory(vm);
        return NULL;
    }
    debugger->session = session;
    debugger->just_my_code = true;
    vm->debugger = debugger;
    for (Proto *proto = vm->protos; proto; proto = proto->next)
        debug_adopt(debugger, proto);
    return debugger;
}

/* In the midst of a stop it goes on to the stop's end with nothing left to stop for. */
void debug_free(Debugger *debugger)
{
    if (!debugger)
        return;
    Vm *vm = debugger->session->vm;
    debugger->errors = DEBUG_ERRORS_NONE;
    debugger->leaving = true;
    if (!debugger->testing)
        breakpoints_free(debugger);
    if (debugger->busy)
        return;
    for (Proto *proto = vm->protos; proto; proto = proto->next)
        abandon(proto);
    tree_forget(debugger);
    free(debugger->place);
    free(debugger);
    vm->debugger = NULL;
}

void session_debug_just_my_code(Session *session, bool just)
{
    if (session->vm->debugger)
        session->vm->debugger->just_my_code = just;
}

void session_debug_break_on_errors(Session *session, DebugErrors which)
{
    if (session->vm->debugger)
        session->vm->debugger->errors = which;
}

/* ---- steps ---- */

static void set_mode(Debugger *debugger, StepMode mode)
{
    const Vm *vm = debugger->session->vm;
    const Frame *frame = vm->n_frames ? &vm->frame[vm->n_frames - 1] : NULL;
    bool stepping = mode == STEP_INTO || mode == STEP_OVER || mode == STEP_OUT;
    debugger->mode = mode;
    debugger->depth = vm->n_frames;
    debugger->proto = frame ? frame->proto : NULL;
    debugger->library = stepping && frame && frame->proto->source->library;
    debugger->all = mode != STEP_NONE;
    debug_arm(debugger);
}

void debug_enter(Debugger *debugger, const Proto *skip)
{
    debugger->skip = skip;
    set_mode(debugger, STEP_ENTRY);
}

void debug_leave(Debugger *debugger)
{
    debugger->skip = NULL;
    set_mode(debugger, STEP_NONE);
}

void session_debug_stop_at_entry(Session *session)
{
    if (session->vm->debugger)
        debug_enter(session->vm->debugger, NULL);
}

void debug_begin(Debugger *debugger)
{
    tree_forget(debugger);
    if (debugger->mode == STEP_INTO || debugger->mode == STEP_OVER || debugger->mode == STEP_OUT)
        set_mode(debugger, STEP_NONE);
}

void session_debug_pause_on_interrupt(Session *session, bool pauses)
{
    pauses = pauses && session->vm->debugger;
    if (session->vm->debugger)
        session->vm->debugger->under_debug = pauses;
    atomic_store(&session->interrupt_pauses, pauses);
    if (!pauses)
        atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_PAUSE);
}

void session_debug_pause(Session *session)
{
    atomic_fetch_or(&session->vm->flags, FLAG_PAUSE);
}

void debug_safe_point(Vm *vm)
{
    atomic_fetch_and(&vm->flags, ~(unsigned)FLAG_PAUSE);
    if (vm->debugger && !vm->debugger->busy)
        set_mode(vm->debugger, STEP_PAUSE);
}

static bool step_ends(const Debugger *debugger, const Proto *proto)
{
    int depth = debugger->session->vm->n_frames;
    if (!debugger->all || !is_shown(debugger, proto))
        return false;
    switch (debugger->mode) {
    case STEP_NONE: return false;
    case STEP_ENTRY: return proto != debugger->skip;
    case STEP_PAUSE:
    case STEP_INTO: return true;
    case STEP_OVER: return depth < debugger->depth || (depth == debugger->depth && proto == debugger->proto);
    case STEP_OUT: return depth < debugger->depth;
    }
    return false;
}

/* ---- stops ---- */

/* As a value that is thrown again it has no trace: the user knows where it was. */
static void end_evaluation(Debugger *debugger)
{
    Vm *vm = debugger->session->vm;
    bool exiting = debugger->exiting;
    debugger->exiting = false;
    if (exiting) {
        vm_exit(vm, debugger->exit_code);
        return;
    }
    vm_fail(vm, ERROR_interrupt, "", "ended in the debugger");
    Value error = vm_take_error(vm);
    if (error.tag == TAG_ERROR)
        vm_set_error(vm, error);
    else
        vm_out_of_memory(vm);
    value_release(error);
}

static DebugAction ask(Debugger *debugger, const DebugStop *stop)
{
    const SessionConfig *config = &debugger->session->config;
    DebugAction action = config->stopped ? config->stopped(config->user, stop) : DEBUG_ASK;
    return action == DEBUG_ASK && !debugger->leaving ? debug_console(debugger, stop) : action;
}

/* False: the user ended what runs; the error is set. */
static bool stop(Debugger *debugger, const DebugStop *what, bool at_statement)
{
    static const StepMode modes[] = {[DEBUG_CONTINUE] = STEP_NONE, [DEBUG_STEP_IN] = STEP_INTO,
                                     [DEBUG_STEP_OVER] = STEP_OVER, [DEBUG_STEP_OUT] = STEP_OUT,
                                     [DEBUG_TERMINATE] = STEP_NONE, [DEBUG_ASK] = STEP_NONE};
    Session *session = debugger->session;
    bool pauses = atomic_exchange(&session->interrupt_pauses, false);
    atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_PAUSE);
    set_mode(debugger, STEP_NONE);
    debugger->stops++;
    debugger->top = session->vm->n_frames;
    debugger->bottom = session->vm->floor;
    debugger->at_statement = at_statement;
    debugger->stopped = true;
    debugger->busy++;
    DebugAction action = ask(debugger, what);
    atomic_fetch_and(&session->vm->flags, ~(unsigned)FLAG_PAUSE);     /* it was paused already */
    debugger->busy--;
    debugger->stopped = false;
    tree_forget(debugger);
    bool ends = action == DEBUG_TERMINATE || debugger->exiting;
    set_mode(debugger, ends ? STEP_NONE : modes[action]);
    if (ends)
        end_evaluation(debugger);
    atomic_store(&session->interrupt_pauses, pauses || debugger->under_debug);
    return !ends;
}

static bool look(Debugger *debugger, const Proto *proto, int pc)
{
    static const struct { DebugReason reason; const char *description; } steps[] = {
        [STEP_NONE] = {DEBUG_AT_STEP, ""}, [STEP_ENTRY] = {DEBUG_AT_ENTRY, "entry"},
        [STEP_PAUSE] = {DEBUG_AT_PAUSE, "pause"}, [STEP_INTO] = {DEBUG_AT_STEP, "step"},
        [STEP_OVER] = {DEBUG_AT_STEP, "step"}, [STEP_OUT] = {DEBUG_AT_STEP, "step"}};
    int hit[HITS_MOST], mark = debug_mark_at(proto, pc), count = 0;
    char *trouble = NULL, description[512];
    bool function = false;
    if (mark < 0)
        return true;
    if (proto->debug->breaks[mark])
        count = breakpoints_hit(debugger, proto, mark, hit, HITS_MOST, &function, &trouble);
    bool stepped = step_ends(debugger, proto);
    DebugStop what = {.reason = count ? DEBUG_AT_BREAKPOINT : steps[debugger->mode].reason, .n_breakpoints = count,
                      .breakpoint = hit, .function = function, .description = description};
    if (count)
        snprintf(description, sizeof description, "breakpoint %d%s%s", hit[0], trouble ? ": " : "", trouble ? trouble : "");
    else
        snprintf(description, sizeof description, "%s", steps[debugger->mode].description);
    free(trouble);
    return (!count && !stepped) || stop(debugger, &what, true);
}

static void free_if_left(Debugger *debugger)
{
    if (debugger->leaving && !debugger->busy)
        debug_free(debugger);
}

Code debug_break(Vm *vm)
{
    Debugger *debugger = vm->debugger;
    const Frame *frame = &vm->frame[vm->n_frames - 1];
    const Proto *proto = frame->proto;
    int pc = (int)(frame->pc - proto->code) - 1;
    bool fine = debugger->busy || look(debugger, proto, pc);
    free_if_left(debugger);
    return fine ? proto_code(proto, pc) : BREAK_ENDS;
}

/* The error is set aside as a value while the user looks around. */
bool debug_raised(Vm *vm)
{
    Debugger *debugger = vm->debugger;
    const Error *raised = &vm->tensors.error;
    if (!debugger || debugger->busy || debugger->errors == DEBUG_ERRORS_NONE || vm->exiting || !vm->n_frames ||
        raised->kind == ERROR_interrupt)
        return true;
    bool caught = failure_caught(vm);
    if (caught && debugger->errors == DEBUG_ERRORS_UNCAUGHT)
        return true;
    Value error = vm_take_error(vm);
    if (error.tag != TAG_ERROR)
        return vm_out_of_memory(vm);
    DiagnoseOptions options = {.color = debugger->session->config.color};
    const char *kind = error_kind_name(error.error->kind), *title = error_kind_title(error.error->kind);
    const char *message = error.error->message.tag == TAG_STRING ? error.error->message.string->text : "";
    char *text = diagnose_error(error.error, &options), description[512];
    snprintf(description, sizeof description, "%s: %s", title, message);
    DebugStop what = {.reason = DEBUG_AT_ERROR, .description = description, .error_kind = kind,
                      .error_message = message, .error = text ? text : description, .caught = caught};
    bool goes_on = stop(debugger, &what, false);
    if (goes_on)
        vm_set_error(vm, error);
    free(text);
    value_release(error);
    free_if_left(debugger);
    return goes_on;
}
