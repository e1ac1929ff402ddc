/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames and calls: the machine's birth and end, its stack, binding arguments to parameters, and calling back from C.
   The loop in vm.c calls closures with plain arguments by itself; everything else comes here.
   Invariant: nothing lies above the innermost frame's registers. */
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "machine.h"
#include "suggest.h"

#define SEGMENT_VALUES 16384

/* A row of builtins.def as its calls need it: made when it is first called. */
typedef struct NativeRow {
    bool known;
    Signature signature;
    Value fallback[SIGNATURE_MAX];
} NativeRow;

/* ---- the machine ---- */

static Segment *segment_new(Segment *below, size_t values)
{
    Segment *segment = calloc(1, sizeof *segment + values * sizeof(Value));
    if (segment) {
        segment->below = below;
        segment->end = segment->at + values;
    }
    return segment;
}

Vm *vm_new(struct Session *session)
{
    Vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    tensor_context_init(&vm->tensors, &vm->flags);
    vm->session = session;
    vm->frame = calloc(MAX_FRAMES, sizeof *vm->frame);        /* pages that are never touched cost nothing */
    vm->segment = segment_new(NULL, SEGMENT_VALUES);
    vm->natives = calloc((size_t)native_count + 1, sizeof *vm->natives);
    vm->main = vm->frame && vm->segment && vm->natives ? module_new(vm, "main") : NULL;
    if (!vm->main) {
        vm_free(vm);
        return NULL;
    }
    return vm;
}

void vm_free(Vm *vm)
{
    if (!vm)
        return;
    value_release(vm->thrown);
    trace_free(vm->trace);
    failure_free(vm->failure);
    for (Module *module = vm->modules; module; module = module->next)
        module_clear(module);
    while (vm->modules) {
        Module *module = vm->modules;
        vm->modules = module->next;
        value_release((Value){.tag = TAG_MODULE, .module = module});
    }
    while (vm->segment) {
        Segment *segment = vm->segment;
        vm->segment = segment->below;
        free(segment);
    }
    free(vm->spare);
    free(vm->frame);
    for (int i = 0; vm->natives && i < native_count; i++)
        bind_defaults_release(&vm->natives[i].signature, vm->natives[i].fallback);
    free(vm->natives);
    text_free(&vm->scratch);
    regex_cache_free(vm->native_state.regex);
    value_release(vm->native_state.places);
    value_release(vm->native_state.comms);
    value_release(vm->native_state.comm_targets);
    names_free(vm->names);
    free(vm);
}

TensorContext *vm_tensors(Vm *vm) { return &vm->tensors; }
struct Session *vm_session(Vm *vm) { return vm->session; }
bool vm_training(const Vm *vm) { return vm->training; }
void vm_set_training(Vm *vm, bool training) { vm->training = training; }
NativeState *vm_native_state(Vm *vm) { return &vm->native_state; }

/* ---- frames ---- */

static bool too_deep(Vm *vm)
{
    vm_fail(vm, ERROR_recursion, "", "more than %d calls are open",
            vm->c_depth >= MAX_C_DEPTH ? MAX_C_DEPTH : MAX_FRAMES);
    error_hint(&vm->tensors.error, "a function that calls itself needs a case that ends it");
    return false;
}

/* The end of the innermost frame's registers. */
static Value *stack_top(const Vm *vm)
{
    const Frame *frame = &vm->frame[vm->n_frames - 1];
    return vm->n_frames ? frame->base + frame->proto->n_registers : vm->segment->at;
}

/* [count] registers from [from] on, or at the start of a new segment when they do not fit. */
static Value *reserve(Vm *vm, Value *from, int count, unsigned *flags)
{
    if (count <= vm->segment->end - from)
        return from;
    size_t values = (size_t)count > SEGMENT_VALUES ? (size_t)count : SEGMENT_VALUES;
    Segment *segment = vm->spare;
    if (segment && segment->end - segment->at >= count)
        vm->spare = NULL;
    else
        segment = segment_new(NULL, values);
    if (!segment) {
        vm_out_of_memory(vm);
        return NULL;
    }
    segment->below = vm->segment;
    vm->segment = segment;
    *flags |= FRAME_SEGMENT;
    return segment->at;
}

static void segment_pop(Vm *vm)
{
    Segment *segment = vm->segment;
    vm->segment = segment->below;
    free(vm->spare);
    vm->spare = segment;
}

static bool push(Vm *vm, FunctionObject *function, Proto *proto, Value *base, Value *result, unsigned flags)
{
    if (vm->n_frames == MAX_FRAMES)
        return too_deep(vm);
    Frame *frame = &vm->frame[vm->n_frames++];
    *frame = (Frame){.function = function, .proto = proto, .pc = proto->code + proto->entry, .base = base,
                     .result = result, .flags = (uint8_t)flags, .training = vm->training};
    if (proto->has_self && base[0].object->mode) {
        frame->flags |= FRAME_TRAINING;
        vm->training = base[0].object->mode == 1;
    }
    return true;
}

void frame_pop(Vm *vm)
{
    Frame *frame = &vm->frame[--vm->n_frames];
    for (int i = 0; i < frame->proto->n_registers; i++)
        value_set(&frame->base[i], VALUE_UNDEFINED);
    if (frame->flags & FRAME_TRAINING)
        vm->training = frame->training;
    if (frame->flags & FRAME_SEGMENT)
        segment_pop(vm);
}

/* ---- binding ---- */

static const char *shown_name(const Proto *proto)
{
    return proto->name && *proto->name ? proto->name : "this function";
}

static bool too_many(Vm *vm, const Proto *proto, int got)
{
    if (!proto->n_params)
        vm_fail(vm, ERROR_argument, shown_name(proto), "takes no arguments, got %d", got);
    vm_fail(vm, ERROR_argument, shown_name(proto), "takes %s%d argument%s, got %d",
            proto->n_required < proto->n_params ? "at most " : "", proto->n_params,
            proto->n_params == 1 ? "" : "s", got);
    error_hint(&vm->tensors.error, "%s", proto->signature ? proto->signature : "");
    return false;
}

static bool unknown_argument(Vm *vm, const Proto *proto, const char *name)
{
    Suggest suggest;
    suggest_start(&suggest, name);
    for (int i = 0; i < proto->n_params; i++)
        suggest_offer(&suggest, proto->params[i].name);
    vm_fail(vm, ERROR_argument, shown_name(proto), "there is no parameter %s", name);
    if (!suggest_hint(&suggest, &vm->tensors.error))
        error_hint(&vm->tensors.error, "%s", proto->signature ? proto->signature : "");
    return false;
}

/* The parameters that may be left out have no value then; what must be there is looked at. */
static bool check_missing(Vm *vm, const Proto *proto, const Value *first)
{
    for (int i = 0; i < proto->n_required; i++)
        if (first[i].tag == TAG_UNDEFINED && !proto->params[i].has_default && !proto->params[i].rest &&
            !proto->params[i].named_rest) {
            vm_fail(vm, ERROR_argument, shown_name(proto), "the argument %s is missing", proto->params[i].name);
            error_hint(&vm->tensors.error, "%s", proto->signature ? proto->signature : "");
            return false;
        }
    return true;
}

typedef struct Given { int n; const Value *args; int n_named; const NamedValue *named; } Given;

static int find_rest(const Proto *proto, bool named)
{
    for (int i = 0; i < proto->n_params; i++)
        if (named ? proto->params[i].named_rest : proto->params[i].rest && !proto->params[i].named_rest)
            return i;
    return -1;
}

static bool bind_positional(Vm *vm, const Proto *proto, Value *first, const Given *given)
{
    int rest = find_rest(proto, false), plain = 0;
    while (plain < proto->n_params && !proto->params[plain].rest && !proto->params[plain].named_rest)
        plain++;
    int direct = given->n < plain ? given->n : plain;
    if (given->n > plain && rest < 0)
        return too_many(vm, proto, given->n);
    for (int i = 0; i < direct; i++)
        first[i] = value_retain(given->args[i]);
    if (rest < 0)
        return true;
    Value list = list_new(given->n - direct);
    if (list.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int i = direct; i < given->n; i++)
        list.list->at[list.list->count++] = value_retain(given->args[i]);
    first[rest] = list;
    return true;
}

static bool bind_named(Vm *vm, const Proto *proto, Value *first, const Given *given)
{
    int rest = find_rest(proto, true);
    if (rest >= 0 && (first[rest] = map_new()).tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    for (int i = 0; i < given->n_named; i++) {
        const NamedValue *named = &given->named[i];
        int found = -1;
        for (int j = 0; j < proto->n_params && found < 0; j++)
            if (!proto->params[j].rest && !proto->params[j].named_rest && !strcmp(proto->params[j].name, named->name))
                found = j;
        if (found < 0 && rest < 0)
            return unknown_argument(vm, proto, named->name);
        if (found < 0) {
            Value key = string_from(named->name);
            bool set = key.tag != TAG_UNDEFINED && map_set_take(first[rest].map, key, value_retain(named->value));
            value_release(key);
            if (!set)
                return vm_out_of_memory(vm);
        } else if (first[found].tag != TAG_UNDEFINED) {
            return vm_fail(vm, ERROR_argument, shown_name(proto), "the argument %s is given twice", named->name);
        } else {
            first[found] = value_retain(named->value);
        }
    }
    return true;
}

/* A frame at the top of the stack with the arguments copied into it; [self] is retained. */
static bool enter(Vm *vm, FunctionObject *function, Proto *proto, Value self, const Given *given, Value *result,
                  unsigned flags)
{
    unsigned opened = 0;
    Value *base = reserve(vm, stack_top(vm), proto->n_registers + 1, &opened);
    if (!base)
        return false;
    for (int i = 0; i < proto->n_params + 1; i++)
        base[i] = VALUE_UNDEFINED;
    Value *first = base;
    if (proto->has_self)
        *first++ = value_retain(self);
    if (bind_positional(vm, proto, first, given) && bind_named(vm, proto, first, given) &&
        check_missing(vm, proto, first) && push(vm, function, proto, base, result, flags | opened))
        return true;
    for (int i = 0; i < proto->n_params + 1; i++)
        value_set(&base[i], VALUE_UNDEFINED);
    if (opened)
        segment_pop(vm);
    return false;
}

/* The same with the arguments where they are: taken. [base] includes the object of a method. */
static bool enter_in_place(Vm *vm, FunctionObject *function, Proto *proto, Value *base, int n, Value *result)
{
    Value *first = base + (proto->has_self ? 1 : 0);
    for (int i = n; i < proto->n_params; i++)
        first[i] = VALUE_UNDEFINED;
    return check_missing(vm, proto, first) && push(vm, function, proto, base, result, 0);
}

bool call_bind(Vm *vm, const Proto *proto, Value *first, int n, const Value *args, int n_named, const NamedValue *named)
{
    Given given = {n, args, n_named, named};
    return bind_positional(vm, proto, first, &given) && bind_named(vm, proto, first, &given) &&
           check_missing(vm, proto, first);
}

static bool fits_in_place(const Vm *vm, const Proto *proto, const Value *base, int n)
{
    return proto->simple && n <= proto->n_params && proto->n_registers < vm->segment->end - base;
}

/* ---- natives and ops ---- */

static bool learn_row(Vm *vm, const NativeDef *def, NativeRow *row)
{
    if (row->known)
        return true;
    if (!signature_parse(def->signature, &row->signature))
        return vm_fail(vm, ERROR_internal, def->name, "the signature \"%s\" is wrong", def->signature);
    row->known = true;
    return bind_defaults(vm, &row->signature, row->fallback);
}

/* How many arguments the native takes as they are; -1 when they must be looked at. */
static int takes_any(const FunctionObject *function, const Signature *signature)
{
    for (int i = 0; i < signature->count; i++) {
        const Param *param = &signature->param[i];
        if (param->rest || param->named_rest || (param->kind != PARAM_tensor && param->kind != PARAM_any))
            return -1;
    }
    return function->n_values ? -1 : signature->count;
}

#define MOST_CARRIED 8        /* values that a native carries */

/* Plain arguments of the right kinds are handed on as they lie, without counting; everything else is bound. */
static bool run_row(Vm *vm, FunctionObject *function, NativeRow *row, const Given *given, Value *result)
{
    const NativeDef *def = function->native;
    Value bound[SIGNATURE_MAX + MOST_CARRIED];
    int n = function->n_values < MOST_CARRIED ? function->n_values : MOST_CARRIED;
    for (int i = 0; i < n; i++)
        bound[i] = function->value[i];
    if (!given->n_named && bind_plain(&row->signature, given->n, given->args, row->fallback, bound + n))
        return def->run(vm, bound, result);
    if (!bind_signature(vm, def->name, &row->signature, given->n, given->args, given->n_named, given->named, bound + n))
        return false;
    bool fine = def->run(vm, bound, result);
    for (int i = 0; i < row->signature.count; i++)
        value_release(bound[n + i]);
    return fine;
}

/* Rows of the table are kept; what a native makes for itself (grad's result) is learned each time. */
static bool run_native(Vm *vm, FunctionObject *function, const Given *given, Value *result)
{
    const NativeDef *def = function->native;
    if (def >= native_defs && def < native_defs + native_count) {
        NativeRow *row = &vm->natives[def - native_defs];
        if (!learn_row(vm, def, row))
            return false;
        function->takes = (int8_t)takes_any(function, &row->signature);
        return run_row(vm, function, row, given, result);
    }
    NativeRow own;
    own.known = false;
    memset(own.fallback, 0, sizeof own.fallback);
    bool fine = learn_row(vm, def, &own) && run_row(vm, function, &own, given, result);
    bind_defaults_release(&own.signature, own.fallback);
    return fine;
}

/* ---- calling anything ---- */

static bool not_callable(Vm *vm, Value callee)
{
    char text[96];
    value_describe(callee, text, sizeof text);
    if (callee.tag == TAG_OBJECT)
        return vm_fail(vm, ERROR_type, "", "%s has no method forward, so it cannot be called", text);
    vm_fail(vm, ERROR_type, "", "a value of type %s cannot be called", text);
    if (callee.tag == TAG_LIST || callee.tag == TAG_TENSOR || callee.tag == TAG_MAP)
        error_hint(&vm->tensors.error, "elements are taken with [ ]");
    return false;
}

static bool bound_begin(Vm *vm, const FunctionObject *function, const Given *given, Value *result, unsigned flags,
                        bool *entered);

/* plot(x) is plot.plot(x): a module is called through its function of the same name. */
static bool module_main(Vm *vm, Module *module, Value *main)
{
    if (module_member(vm, module, module_name(module), main))
        return true;
    if (vm->tensors.error.kind == ERROR_name)
        error_clear(&vm->tensors.error);
    return false;
}

/* The general way; arguments are borrowed. */
static bool begin(Vm *vm, Value callee, const Given *given, Value *result, unsigned flags, bool *entered)
{
    Value made = VALUE_UNDEFINED;
    bool fine;
    *entered = true;
    if (callee.tag == TAG_FUNCTION && callee.function->kind == FUNCTION_CLOSURE)
        return enter(vm, callee.function, callee.function->proto, VALUE_UNDEFINED, given, result, flags);
    if (callee.tag == TAG_FUNCTION && callee.function->kind == FUNCTION_METHOD)
        return bound_begin(vm, callee.function, given, result, flags, entered);
    if (callee.tag == TAG_OBJECT && callee.object->model->forward >= 0) {
        FunctionObject *forward = callee.object->model->method[callee.object->model->forward].function;
        return enter(vm, forward, forward->proto, callee, given, result, flags);
    }
    if (callee.tag == TAG_MODEL) {
        Object *object = object_new(callee.model);
        if (!object)
            return vm_out_of_memory(vm);
        fine = enter(vm, NULL, callee.model->constructor, (Value){.tag = TAG_OBJECT, .object = object}, given, result,
                     flags);
        value_release((Value){.tag = TAG_OBJECT, .object = object});
        return fine;
    }
    *entered = false;
    if (callee.tag == TAG_MODULE && module_main(vm, callee.module, &made))
        return begin(vm, made, given, result, flags, entered);
    if (callee.tag != TAG_FUNCTION)
        return not_callable(vm, callee);
    if (callee.function->kind == FUNCTION_OP)
        fine = op_apply(vm, callee.function->op, given->n, given->args, given->n_named, given->named, &made);
    else
        fine = run_native(vm, callee.function, given, &made);
    if (fine)
        value_set(result, made);
    return fine;
}

#define FEW 16

static bool bound_begin(Vm *vm, const FunctionObject *function, const Given *given, Value *result, unsigned flags,
                        bool *entered)
{
    Value object = function->value[0], inner = function->value[1];
    if (inner.tag == TAG_FUNCTION && inner.function->kind == FUNCTION_CLOSURE && inner.function->proto->has_self) {
        *entered = true;
        return enter(vm, inner.function, inner.function->proto, object, given, result, flags);
    }
    Value few[FEW], *args = given->n + 1 <= FEW ? few : malloc((size_t)(given->n + 1) * sizeof *args);
    if (!args)
        return vm_out_of_memory(vm);
    args[0] = object;
    for (int i = 0; i < given->n; i++)
        args[i + 1] = given->args[i];
    Given more = {given->n + 1, args, given->n_named, given->named};
    bool fine = begin(vm, inner, &more, result, flags, entered);
    if (args != few)
        free(args);
    return fine;
}

static void drop_all(Value *args, int n)
{
    for (int i = 0; i < n; i++)
        value_set(&args[i], VALUE_UNDEFINED);
}

/* A frame that was just entered runs functions of [callee]: what the caller's register loses must live on. The register
   [result] keeps it, so it is put there when it came from elsewhere. */
bool call_begin(Vm *vm, Value *callee, Value *args, int n, Value *result, bool *entered)
{
    if (callee->tag == TAG_FUNCTION && callee->function->kind == FUNCTION_CLOSURE &&
        fits_in_place(vm, callee->function->proto, args, n)) {
        *entered = true;
        return enter_in_place(vm, callee->function, callee->function->proto, args, n, result);
    }
    if (callee->tag == TAG_OBJECT && callee + 1 == args && callee->object->model->forward >= 0) {
        FunctionObject *forward = callee->object->model->method[callee->object->model->forward].function;
        if (fits_in_place(vm, forward->proto, callee, n)) {
            *entered = true;
            return enter_in_place(vm, forward, forward->proto, callee, n, result);
        }
    }
    Given given = {n, args, 0, NULL};
    bool fine = begin(vm, *callee, &given, result, 0, entered);
    if (fine)                 /* else they stay where the failed frame can be looked at */
        drop_all(args, n);
    return fine;
}

/* ---- named arguments and spreads ---- */

typedef struct Spread {
    Value *args;
    NamedValue *named;
    int n, n_named, room, named_room;
} Spread;

static bool spread_add(Vm *vm, Spread *s, const char *name, Value v)
{
    if (!name && s->n == s->room) {
        int room = s->room ? s->room * 2 : 16;
        Value *wider = realloc(s->args, (size_t)room * sizeof *wider);
        if (!wider)
            return vm_out_of_memory(vm);
        s->args = wider;
        s->room = room;
    }
    if (name && s->n_named == s->named_room) {
        int room = s->named_room ? s->named_room * 2 : 16;
        NamedValue *wider = realloc(s->named, (size_t)room * sizeof *wider);
        if (!wider)
            return vm_out_of_memory(vm);
        s->named = wider;
        s->named_room = room;
    }
    if (name)
        s->named[s->n_named++] = (NamedValue){name, v};
    else
        s->args[s->n++] = v;
    return true;
}

static bool spread_value(Vm *vm, Spread *s, Value v)
{
    if (v.tag == TAG_LIST || v.tag == TAG_TUPLE) {
        for (int64_t i = 0; i < v.list->count; i++)
            if (!spread_add(vm, s, NULL, v.list->at[i]))
                return false;
        return true;
    }
    if (v.tag != TAG_MAP)
        return vm_fail(vm, ERROR_type, "..", "only lists, tuples and maps can be spread into arguments, not %s",
                       value_type_name(v));
    for (int64_t i = 0; i < v.map->used; i++) {
        const MapEntry *entry = &v.map->entry[i];
        if (entry->key.tag == TAG_UNDEFINED)
            continue;
        if (entry->key.tag != TAG_STRING)
            return vm_fail(vm, ERROR_type, "..", "names of arguments are strings, not %s", value_type_name(entry->key));
        if (!spread_add(vm, s, entry->key.string->text, entry->value))
            return false;
    }
    return true;
}

bool call_begin_named(Vm *vm, Value *callee, Value *args, int n, int extra, const Site *site, Value *result,
                      bool *entered)
{
    Spread s = {0};
    bool fine = true;
    for (int i = 0; fine && i < n; i++) {
        int at = i - extra;
        if (at >= 0 && site->spread[at])
            fine = spread_value(vm, &s, args[i]);
        else
            fine = spread_add(vm, &s, at >= 0 ? site->names[at] : NULL, args[i]);
    }
    Given given = {s.n, s.args, s.n_named, s.named};
    fine = fine && begin(vm, *callee, &given, result, 0, entered);
    free(s.args);
    free(s.named);
    drop_all(args, n);
    return fine;
}

/* ---- x.f(…) ---- */

static bool begin_by_site(Vm *vm, Value *callee, Value *args, int n, int extra, const Site *site, Value *result,
                          bool *entered)
{
    return site->plain ? call_begin(vm, callee, args, n, result, entered)
                       : call_begin_named(vm, callee, args, n, extra, site, result, entered);
}

bool call_no_method(Vm *vm, Value v, const char *name)
{
    Suggest suggest;
    suggest_start(&suggest, name);
    if (v.tag == TAG_OBJECT) {
        const Proto *model = v.object->model->constructor;
        for (int i = 0; i < model->n_methods; i++)
            suggest_offer(&suggest, model->methods[i]->name);
    } else {
        for (int i = 0; i < OP_COUNT; i++)
            suggest_offer(&suggest, op_name(op_def((OpId)i)));
        for (int i = 0; i < native_count; i++)
            if (native_defs[i].name[0] != '_')
                suggest_offer(&suggest, native_defs[i].name);
    }
    vm_fail(vm, ERROR_name, "", "%s has no method %s, and no function is called %s", value_type_name(v), name,
            name);
    Value member;
    bool found = true;
    if (v.tag == TAG_MAP && map_get_text(v.map, name, &member)) {
        error_hint(&vm->tensors.error, "to call what the map holds, write (m.%s)(…)", name);
        return false;
    }
    if (value_member(vm, v, name, &member, &found) && found) {
        value_release(member);
        suggest.best = NULL;
    }
    if (!suggest_hint(&suggest, &vm->tensors.error) && found)
        error_hint(&vm->tensors.error, "it is no function: write .%s without ()", name);
    return false;
}

/* Method or field of the object by the site's cache. */
static void find_in_object(const Object *object, Site *site)
{
    if (site->model_id == object->model->id)
        return;
    site->model_id = object->model->id;
    site->index = model_find_method(object->model, site->name);
    site->is_method = site->index >= 0;
    if (!site->is_method)
        site->index = object_find_field(object, site->name);
}

static bool object_method(Vm *vm, Value *window, int n, Site *site, bool *entered, bool *found)
{
    Object *object = window[1].object;
    find_in_object(object, site);
    *found = true;
    if (site->index >= 0 && site->is_method) {
        FunctionObject *method = object->model->method[site->index].function;
        if (site->plain && fits_in_place(vm, method->proto, window + 1, n)) {
            *entered = true;
            return enter_in_place(vm, method, method->proto, window + 1, n, window);
        }
        Value bound = function_bound(window[1], (Value){.tag = TAG_FUNCTION, .function = method});
        if (bound.tag == TAG_UNDEFINED)
            return vm_out_of_memory(vm);
        value_set(&window[0], bound);
        value_set(&window[1], VALUE_UNDEFINED);
        return begin_by_site(vm, window, window + 2, n, 0, site, window, entered);
    }
    if (site->index >= 0 && value_callable(object->field[site->index])) {
        value_set(&window[0], value_retain(object->field[site->index]));
        value_set(&window[1], VALUE_UNDEFINED);
        return begin_by_site(vm, window, window + 2, n, 0, site, window, entered);
    }
    *found = false;
    return true;
}

bool method_begin(Vm *vm, const Proto *proto, Value *window, int n, Site *site, bool *entered)
{
    bool found = false;
    Value callee;
    site->of_module = window[1].tag == TAG_MODULE;
    if (window[1].tag == TAG_OBJECT) {
        bool fine = object_method(vm, window, n, site, entered, &found);
        if (!fine || found)
            return fine;
    }
    if (window[1].tag == TAG_MODULE) {
        if (!module_member(vm, window[1].module, site->name, &callee))
            return false;
        value_set(&window[0], value_retain(callee));
        value_set(&window[1], VALUE_UNDEFINED);
        return begin_by_site(vm, window, window + 2, n, 0, site, window, entered);
    }
    if (site->nested && value_callable(window[0]))
        return begin_by_site(vm, window, window + 1, n + 1, 1, site, window, entered);
    if (!global_function(vm, proto->module, site->slot, &callee, &found))
        return false;
    if (!found)
        return call_no_method(vm, window[1], site->name);
    value_set(&window[0], value_retain(callee));
    return begin_by_site(vm, window, window + 1, n + 1, 1, site, window, entered);
}

/* ---- from C ---- */

static bool run_entered(Vm *vm)
{
    if (vm->c_depth >= MAX_C_DEPTH) {
        frame_pop(vm);
        return too_deep(vm);
    }
    vm->c_depth++;
    bool fine = vm_run(vm);
    vm->c_depth--;
    return fine;
}

static bool call_from_c(Vm *vm, Value callee, const Given *given, Value *result)
{
    Value made = VALUE_UNDEFINED;
    bool entered;
    value_retain(callee);
    bool fine = begin(vm, callee, given, &made, FRAME_ENTRY, &entered);
    if (fine && entered)
        fine = run_entered(vm);
    value_release(callee);
    if (fine)
        *result = made;
    else
        value_release(made);
    return fine;
}

bool vm_call(Vm *vm, Value callee, int n_args, const Value *args, int n_named, const NamedValue *named, Value *result)
{
    Given given = {n_args, args, n_named, named};
    return vm_safe_point(vm) && call_from_c(vm, callee, &given, result);
}

bool vm_call_method(Vm *vm, Value object, const char *name, int n_args, const Value *args, Value *result, bool *found)
{
    const char *known = name_find(vm, name);
    int method = object.tag == TAG_OBJECT && known ? model_find_method(object.object->model, known) : -1;
    *found = method >= 0;
    if (!*found)
        return true;
    Value bound = function_bound(object, object.object->model->method[method]);
    if (bound.tag == TAG_UNDEFINED)
        return vm_out_of_memory(vm);
    Given given = {n_args, args, 0, NULL};
    bool fine = call_from_c(vm, bound, &given, result);
    value_release(bound);
    return fine;
}

bool vm_run_proto(Vm *vm, Proto *proto, Value *result)
{
    return vm_run_with(vm, proto, 0, NULL, result);
}

bool vm_run_with(Vm *vm, Proto *proto, int n, const Value *values, Value *result)
{
    Value made = VALUE_UNDEFINED;
    unsigned opened = 0;
    Value *base = reserve(vm, stack_top(vm), proto->n_registers + 1, &opened);
    if (!base)
        return false;
    for (int i = 0; i < n; i++)
        base[i] = value_retain(values[i]);
    proto->refs++;
    bool pushed = push(vm, NULL, proto, base, &made, FRAME_ENTRY | opened), fine = pushed && run_entered(vm);
    if (!pushed) {
        for (int i = 0; i < n; i++)
            value_set(&base[i], VALUE_UNDEFINED);
        if (opened)
            segment_pop(vm);
    }
    proto_release(proto);
    if (fine)
        *result = made;
    return fine;
}
