/* SPDX-License-Identifier: GPL-3.0-or-later */
/* checkpoint and with_grad: functions whose gradient is not that of the ops they ran. Both leave one node on the tape
   with a rule of this file: checkpoint runs the function again and differentiates that, with_grad calls a function of
   the user. Invariant: such a rule holds values that are older than its node, so nothing forms a cycle. */
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "builtins.h"

#define MOST_NAMED 32
#define MOST_RESULTS 100

typedef struct Rule {
    GradHook hook;
    Vm *vm;
    Value function;           /* f of checkpoint, the backward of with_grad */
    Value args;               /* list */
    Value named;              /* map, of checkpoint */
    uint64_t seed, counter;   /* the random state and the mode in which f ran */
    bool training;
    int n_in;
    Tensor **in;              /* what f read that is recorded, as the boundary met it */
} Rule;

static void rule_release(GradHook *hook)
{
    Rule *rule = (Rule *)hook;
    value_release(rule->function);
    value_release(rule->args);
    value_release(rule->named);
    list_tensors_free(rule->in, rule->n_in);
    free(rule);
}

static Rule *rule_new(Vm *vm, GradHook hook, Value function, Value args, Value named)
{
    Rule *rule = malloc(sizeof *rule);
    if (!rule) {
        vm_out_of_memory(vm);
        return NULL;
    }
    *rule = (Rule){.hook = hook, .vm = vm, .function = value_retain(function), .args = value_retain(args),
                   .named = value_retain(named), .seed = vm_tensors(vm)->seed, .counter = vm_tensors(vm)->counter,
                   .training = vm_training(vm)};
    return rule;
}

static bool call_with(Vm *vm, Value f, const List *list, const Map *map, Value *result)
{
    NamedValue named[MOST_NAMED];
    int n = 0;
    for (int64_t i = 0; i < map->used && n < MOST_NAMED; i++)
        if (map->entry[i].key.tag == TAG_STRING)
            named[n++] = (NamedValue){map->entry[i].key.string->text, map->entry[i].value};
    return vm_call(vm, f, (int)list->count, list->at, n, named, result);
}

/* ---- checkpoint ---- */

/* Places of the recorded tensors that f made: f's value, or items of it when it is a row. */
typedef struct Results {
    int count;
    int place[MOST_RESULTS];  /* -1: the value itself */
    Tensor *tensor[MOST_RESULTS];      /* borrowed from the value */
} Results;

static bool find_results(Vm *vm, Value value, const GradBoundary *boundary, Results *results)
{
    bool row = native_is_row(value);
    results->count = 0;
    for (int64_t i = 0; i < (row ? value.list->count : 1); i++) {
        Value item = row ? value.list->at[i] : value;
        if (item.tag != TAG_TENSOR || !item.tensor->node || grad_boundary_is_beyond(boundary, item.tensor)) continue;
        if (results->count == MOST_RESULTS) return vm_fail(vm, ERROR_value, "checkpoint", "f gives too many tensors");
        results->place[results->count] = row ? (int)i : -1;
        results->tensor[results->count++] = item.tensor;
    }
    return true;
}

/* Runs f again and differentiates what it recorded, up to the boundary. */
static bool differentiate_again(Rule *rule, TensorContext *ctx, Tensor *const *dy, Tensor **dx)
{
    Value value = VALUE_UNDEFINED;
    Results results = {0};
    GradBoundary *boundary = grad_boundary_begin(ctx, rule->n_in, rule->in);
    if (!boundary) return false;
    bool fine = call_with(rule->vm, rule->function, rule->args.list, rule->named.map, &value);
    int met = grad_boundary_end(ctx, boundary);
    fine = fine && find_results(rule->vm, value, boundary, &results);
    if (fine && met != rule->n_in)
        fine = vm_fail(rule->vm, ERROR_gradient, "checkpoint", "f read other values when it ran again");
    Tensor *outputs[MOST_RESULTS], *seeds[MOST_RESULTS];
    int n = 0;
    for (int i = 0; fine && i < results.count; i++) {
        if (!dy[i]) continue;
        outputs[n] = results.tensor[i];
        seeds[n++] = dy[i];
    }
    fine = fine && grad_backward(ctx, n, outputs, seeds, rule->n_in, grad_boundary_leaves(boundary), dx);
    value_release(value);
    grad_boundary_free(boundary);
    return fine;
}

static bool checkpoint_gradient(GradHook *hook, TensorContext *ctx, Tensor *const *dy, const bool *wants, Tensor **dx)
{
    Rule *rule = (Rule *)hook;
    uint64_t seed = ctx->seed, counter = ctx->counter;
    bool training = vm_training(rule->vm);
    (void)wants;
    ctx->seed = rule->seed;
    ctx->counter = rule->counter;
    vm_set_training(rule->vm, rule->training);
    grad_begin(ctx);
    bool fine = differentiate_again(rule, ctx, dy, dx);
    grad_end(ctx);
    vm_set_training(rule->vm, training);
    ctx->seed = seed;
    ctx->counter = counter;
    return fine;
}

/* [value] with its recorded tensors replaced by ones that have nothing but the rule behind them. Takes the rule. */
static bool hang_on_rule(Rule *rule, const GradBoundary *boundary, Value *value)
{
    TensorContext *ctx = vm_tensors(rule->vm);
    Results results = {0};
    Tensor *out[MOST_RESULTS] = {0};
    bool fine = find_results(rule->vm, *value, boundary, &results);
    for (int i = 0; fine && i < results.count; i++) fine = (out[i] = tensor_detach(ctx, results.tensor[i])) != NULL;
    if (!fine) rule_release(&rule->hook);
    else fine = grad_hook_take(ctx, &rule->hook, rule->n_in, rule->in, results.count, out);
    fine = fine && (!native_is_row(*value) || list_own(value).tag != TAG_UNDEFINED || vm_out_of_memory(rule->vm));
    for (int i = 0; i < results.count; i++) {
        Value *place = results.place[i] < 0 ? value : &value->list->at[results.place[i]];
        if (fine) value_set(place, (Value){.tag = TAG_TENSOR, .tensor = out[i]});
        else tensor_release(out[i]);
    }
    return fine;
}

static bool keep_inputs(Rule *rule, const GradBoundary *boundary, int n)
{
    Tensor *const *in = grad_boundary_inputs(boundary);
    rule->in = list_tensors_new(vm_tensors(rule->vm), n);
    for (int i = 0; rule->in && i < n; i++) rule->in[rule->n_in++] = tensor_retain(in[i]);
    return rule->in != NULL;
}

/* Runs f as usual, but what it recorded is dropped for a rule that records it again. args: f, ..args, ..named */
static bool run_checkpoint(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    if (ctx->recording == 0) return call_with(vm, args[0], args[1].list, args[2].map, result);
    GradHook hook = {"checkpoint", checkpoint_gradient, rule_release, NULL};
    Rule *rule = rule_new(vm, hook, args[0], args[1], args[2]);
    GradBoundary *boundary = rule ? grad_boundary_begin(ctx, 0, NULL) : NULL;
    if (!boundary) {
        if (rule) rule_release(&rule->hook);
        return false;
    }
    *result = VALUE_UNDEFINED;
    bool fine = call_with(vm, args[0], args[1].list, args[2].map, result);
    int n = grad_boundary_end(ctx, boundary);
    fine = fine && keep_inputs(rule, boundary, n);
    if (fine && n > 0) fine = hang_on_rule(rule, boundary, result);
    else rule_release(&rule->hook);
    grad_boundary_free(boundary);
    if (!fine) value_set(result, VALUE_UNDEFINED);
    return fine;
}

static const NativeDef checkpoint_def = {"checkpoint", "..args, ..named:map", run_checkpoint,
                                         "A function that is run again for its gradient.", ""};

bool native_checkpoint(Vm *vm, const Value *args, Value *result)
{
    if (!native_is_callable(args[0])) return native_wants(vm, "checkpoint", "f", "a function or model", args[0]);
    return native_give(vm, function_native_closure(&checkpoint_def, 1, args), result);
}

/* ---- with_grad ---- */

/* The gradient for argument [i] as the user's function gave it; NULL with no error for none. */
static bool take_gradient(Rule *rule, TensorContext *ctx, int i, Value given, Tensor **dx)
{
    const Tensor *arg = rule->args.list->at[i].tensor;
    if (given.tag == TAG_NONE) return true;
    Tensor *tensor = value_to_tensor_dtype(ctx, given, (Dtype)arg->dtype);
    if (!tensor) return false;
    bool same = tensor->ndim == arg->ndim && memcmp(tensor->shape, arg->shape, (size_t)arg->ndim * sizeof *arg->shape) == 0;
    *dx = tensor;
    if (same) return true;
    char have[128], want[128];
    tensor_type_name(tensor, have, sizeof have);
    tensor_type_name(arg, want, sizeof want);
    return vm_fail(rule->vm, ERROR_shape, "with_grad", "argument %d is %s, but its gradient %s", i + 1, want, have);
}

static bool own_gradient(GradHook *hook, TensorContext *ctx, Tensor *const *dy, const bool *wants, Tensor **dx)
{
    Rule *rule = (Rule *)hook;
    const List *list = rule->args.list;
    int n = (int)list->count;
    Value *given = malloc((size_t)(n + 1) * sizeof *given), answer = VALUE_UNDEFINED;
    if (!given) return vm_out_of_memory(rule->vm);
    memcpy(given, list->at, (size_t)n * sizeof *given);
    given[n] = value_from_tensor_take(tensor_retain(dy[0]));
    bool fine = vm_call(rule->vm, rule->function, n + 1, given, 0, NULL, &answer);
    value_release(given[n]);
    free(given);
    bool row = fine && n > 1 && native_is_row(answer) && answer.list->count == n;
    if (fine && n > 1 && !row)
        fine = vm_fail(rule->vm, ERROR_value, "with_grad", "backward must give %d gradients, one an argument", n);
    for (int i = 0; fine && i < n; i++)
        fine = !wants[i] || take_gradient(rule, ctx, i, row ? answer.list->at[i] : answer, &dx[i]);
    value_release(answer);
    return fine;
}

static bool any_recorded(const List *list)
{
    for (int64_t i = 0; i < list->count; i++)
        if (list->at[i].tag == TAG_TENSOR && list->at[i].tensor->node) return true;
    return false;
}

/* [value], made without a record, as what the arguments lead to by the rule. Takes the rule. */
static bool hang_on_args(Rule *rule, Value *value)
{
    TensorContext *ctx = vm_tensors(rule->vm);
    const List *list = rule->args.list;
    int n = (int)list->count;
    Tensor *out = value_to_tensor(ctx, *value), **in = out ? list_tensors_new(ctx, n) : NULL;
    bool is_float = out && dtype_class((Dtype)out->dtype) == CLASS_FLOAT;
    if (out && !is_float) vm_fail(rule->vm, ERROR_gradient, "with_grad", "f must give a float tensor");
    for (int i = 0; in && i < n; i++) in[i] = list->at[i].tag == TAG_TENSOR ? list->at[i].tensor : NULL;
    bool fine = in && is_float;
    if (fine) fine = grad_hook_take(ctx, &rule->hook, n, in, 1, &out);
    else rule_release(&rule->hook);
    free(in);
    if (fine) value_set(value, (Value){.tag = TAG_TENSOR, .tensor = out});
    else tensor_release(out);
    return fine;
}

/* args: f, backward, ..args */
static bool run_with_grad(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    const List *list = args[2].list;
    int recording = ctx->recording;
    if (recording == 0 || !any_recorded(list)) return vm_call(vm, args[0], (int)list->count, list->at, 0, NULL, result);
    ctx->recording = 0;
    bool fine = vm_call(vm, args[0], (int)list->count, list->at, 0, NULL, result);
    ctx->recording = recording;
    if (!fine) return false;
    Rule *rule = rule_new(vm, (GradHook){"with_grad", own_gradient, rule_release, NULL}, args[1], args[2], VALUE_NONE);
    fine = rule && hang_on_args(rule, result);
    if (!fine) value_set(result, VALUE_UNDEFINED);
    return fine;
}

static const NativeDef with_grad_def = {"with_grad", "..args", run_with_grad, "A function with a gradient of its own.", ""};

bool native_with_grad(Vm *vm, const Value *args, Value *result)
{
    if (!native_is_callable(args[0])) return native_wants(vm, "with_grad", "f", "a function", args[0]);
    if (!native_is_callable(args[1])) return native_wants(vm, "with_grad", "backward", "a function", args[1]);
    return native_give(vm, function_native_closure(&with_grad_def, 2, args), result);
}
