/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grad, value_and_grad, vjp, no_grad and _gradients: they call a function of the language with leaves in place of
   numbers, and run backward. What is differentiated by may be a number, a tensor, a list, tuple or map of those, or an
   object: then its unfrozen parameters, whose cells hold leaves while the function runs and are put back in any case.

   Invariant: grad_begin and grad_end are paired, cells are restored, vm_training is restored, on every path. */
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "builtins.h"
#include "walk.h"

#define DEPTH_LIMIT 200

typedef struct Swap { Object *object; int field; Value original; Tensor *leaf; } Swap;     /* object: retained */

/* Everything to differentiate by, in the order in which it is met. */
typedef struct Leaves {
    Vm *vm;
    TensorContext *ctx;
    const char *function;     /* for errors */
    int count, room;
    Tensor **leaf, **grad;    /* owned */
    int n_swaps;
    Swap *swap;               /* cells that hold leaves now */
} Leaves;

static void leaves_clear(Leaves *leaves)
{
    list_tensors_free(leaves->leaf, leaves->count);
    list_tensors_free(leaves->grad, leaves->count);
    free(leaves->swap);
}

/* ---- putting leaves in ---- */

static bool add_leaf(Leaves *leaves, Tensor *owned)
{
    if (leaves->count == leaves->room) {
        int room = leaves->room ? leaves->room * 2 : 32;
        Tensor **leaf = realloc(leaves->leaf, (size_t)room * sizeof *leaf);
        if (leaf) leaves->leaf = leaf;
        if (!leaf) {
            tensor_release(owned);
            return vm_out_of_memory(leaves->vm);
        }
        leaves->room = room;
    }
    Tensor *leaf = grad_leaf(leaves->ctx, owned);
    tensor_release(owned);
    if (!leaf) return false;
    leaves->leaf[leaves->count++] = leaf;
    return true;
}

static bool number_leaf(Leaves *leaves, Value v, Value *out)
{
    TensorContext *ctx = leaves->ctx;
    Tensor *tensor = v.tag == TAG_INT ? tensor_weak(ctx, true, (double)v.i, 0) : value_to_tensor(ctx, v);
    if (!tensor) return false;
    if (dtype_class((Dtype)tensor->dtype) != CLASS_FLOAT) {
        char type[128];
        tensor_type_name(tensor, type, sizeof type);
        tensor_release(tensor);
        vm_fail(leaves->vm, ERROR_gradient, leaves->function, "cannot differentiate by %s", type);
        error_hint(&ctx->error, "write f32(x) to make it floats");
        return false;
    }
    if (!add_leaf(leaves, tensor)) return false;
    *out = (Value){.tag = TAG_TENSOR, .tensor = tensor_retain(leaves->leaf[leaves->count - 1])};
    return true;
}

/* Cells of all objects in [root] hold leaves from here on. */
static bool swap_cells(Leaves *leaves, const CellList *cells)
{
    Swap *swap = realloc(leaves->swap, (size_t)(leaves->n_swaps + cells->count + 1) * sizeof *swap);
    if (!swap) return vm_out_of_memory(leaves->vm);
    leaves->swap = swap;
    for (int i = 0; i < cells->count; i++) {
        Value *cell = &cells->at[i].object->field[cells->at[i].field];
        Value leaf;
        if (!number_leaf(leaves, *cell, &leaf)) return false;
        leaves->swap[leaves->n_swaps++] = (Swap){cells->at[i].object, cells->at[i].field, *cell, leaf.tensor};
        cells->at[i].object->refs++;
        *cell = leaf;
    }
    return true;
}

/* A cell that the function itself stored into keeps what was stored. */
static void restore_cells(Leaves *leaves)
{
    for (int i = leaves->n_swaps - 1; i >= 0; i--) {
        Swap *swap = &leaves->swap[i];
        Value *cell = &swap->object->field[swap->field];
        if (cell->tag == TAG_TENSOR && cell->tensor == swap->leaf) value_set(cell, swap->original);
        else value_release(swap->original);
        value_release((Value){.tag = TAG_OBJECT, .object = swap->object});
    }
    leaves->n_swaps = 0;
}

static bool leaf_value(Leaves *leaves, Value v, int depth, Value *out);

static bool leaf_row(Leaves *leaves, Value v, int depth, Value *out)
{
    Value row = v.tag == TAG_TUPLE ? tuple_new(v.list->count) : list_new(v.list->count);
    if (row.tag == TAG_UNDEFINED) return vm_out_of_memory(leaves->vm);
    for (int64_t i = 0; i < v.list->count; i++) {
        Value item;
        bool fine = leaf_value(leaves, v.list->at[i], depth + 1, &item);
        if (fine && row.tag == TAG_TUPLE) row.list->at[i] = item;
        else if (fine) fine = list_push_take(row.list, item) || vm_out_of_memory(leaves->vm);
        if (!fine) {
            value_release(row);
            return false;
        }
    }
    *out = row;
    return true;
}

static bool leaf_map(Leaves *leaves, Value v, int depth, Value *out)
{
    Value map = map_new();
    bool fine = map.tag != TAG_UNDEFINED || vm_out_of_memory(leaves->vm);
    for (int64_t i = 0; fine && i < v.map->used; i++) {
        Value item;
        if (v.map->entry[i].key.tag == TAG_UNDEFINED) continue;
        fine = leaf_value(leaves, v.map->entry[i].value, depth + 1, &item);
        fine = fine && (map_set_take(map.map, v.map->entry[i].key, item) || vm_out_of_memory(leaves->vm));
    }
    if (fine) *out = map;
    else value_release(map);
    return fine;
}

/* [v] with leaves in it; owned. */
static bool leaf_value(Leaves *leaves, Value v, int depth, Value *out)
{
    if (depth > DEPTH_LIMIT) {
        return vm_fail(leaves->vm, ERROR_recursion, leaves->function, "the argument is nested too deeply");
    }
    CellList cells = {0};
    bool fine = true;
    switch ((Tag)v.tag) {
    case TAG_INT: case TAG_FLOAT: case TAG_SCALAR: case TAG_TENSOR: return number_leaf(leaves, v, out);
    case TAG_LIST:
    case TAG_TUPLE: return leaf_row(leaves, v, depth, out);
    case TAG_MAP: return leaf_map(leaves, v, depth, out);
    case TAG_OBJECT:
        fine = walk_cells(leaves->vm, v, WALK_PARAMS | WALK_UNFROZEN, &cells) && swap_cells(leaves, &cells);
        cells_clear(&cells);
        break;
    default: break;
    }
    if (fine) *out = value_retain(v);
    return fine;
}

/* ---- taking gradients out ---- */

static Value grad_of(Leaves *leaves, int *at, bool plain)
{
    Tensor *grad = tensor_retain(leaves->grad[(*at)++]);
    return plain ? value_from_tensor_plain_take(grad) : value_from_tensor_take(grad);
}

/* The map path -> gradient of an object's parameters. */
static bool object_grads(Leaves *leaves, Value v, int *at, Value *out)
{
    CellList cells = {0};
    Value map = map_new();
    bool fine = map.tag != TAG_UNDEFINED || vm_out_of_memory(leaves->vm);
    fine = fine && walk_cells(leaves->vm, v, WALK_PARAMS | WALK_UNFROZEN, &cells);
    for (int i = 0; fine && i < cells.count; i++) {
        Value key = string_from(cells.at[i].path);
        fine = key.tag != TAG_UNDEFINED && map_set_take(map.map, key, grad_of(leaves, at, false));
        if (!fine) vm_out_of_memory(leaves->vm);
        value_release(key);
    }
    cells_clear(&cells);
    if (fine) *out = map;
    else value_release(map);
    return fine;
}

static bool grad_value(Leaves *leaves, Value v, int *at, Value *out);

static bool grad_row(Leaves *leaves, Value v, int *at, Value *out)
{
    Value row = v.tag == TAG_TUPLE ? tuple_new(v.list->count) : list_new(v.list->count);
    bool fine = row.tag != TAG_UNDEFINED || vm_out_of_memory(leaves->vm);
    for (int64_t i = 0; fine && i < v.list->count; i++) {
        Value item;
        fine = grad_value(leaves, v.list->at[i], at, &item);
        if (fine && row.tag == TAG_TUPLE) row.list->at[i] = item;
        else if (fine) fine = list_push_take(row.list, item) || vm_out_of_memory(leaves->vm);
    }
    if (fine) *out = row;
    else value_release(row);
    return fine;
}

static bool grad_map(Leaves *leaves, Value v, int *at, Value *out)
{
    Value map = map_new();
    bool fine = map.tag != TAG_UNDEFINED || vm_out_of_memory(leaves->vm);
    for (int64_t i = 0; fine && i < v.map->used; i++) {
        Value item;
        if (v.map->entry[i].key.tag == TAG_UNDEFINED) continue;
        fine = grad_value(leaves, v.map->entry[i].value, at, &item);
        fine = fine && (map_set_take(map.map, v.map->entry[i].key, item) || vm_out_of_memory(leaves->vm));
    }
    if (fine) *out = map;
    else value_release(map);
    return fine;
}

/* The gradients in the shape of [v], the argument as it was given. */
static bool grad_value(Leaves *leaves, Value v, int *at, Value *out)
{
    switch ((Tag)v.tag) {
    case TAG_INT:
    case TAG_FLOAT: *out = grad_of(leaves, at, true); return true;
    case TAG_SCALAR:
    case TAG_TENSOR: *out = grad_of(leaves, at, false); return true;
    case TAG_LIST:
    case TAG_TUPLE: return grad_row(leaves, v, at, out);
    case TAG_MAP: return grad_map(leaves, v, at, out);
    case TAG_OBJECT: return object_grads(leaves, v, at, out);
    default: *out = VALUE_NONE; return true;
    }
}

/* ---- running backward ---- */

/* What is differentiated: the value, or the first of a tuple. */
static Value loss_of(Value value)
{
    return value.tag == TAG_TUPLE && value.list->count > 0 ? value.list->at[0] : value;
}

static bool is_float_number(Value v)
{
    return v.tag == TAG_FLOAT || v.tag == TAG_INT ||
           (v.tag == TAG_SCALAR && dtype_class((Dtype)v.dtype) == CLASS_FLOAT);
}

static bool check_loss(Leaves *leaves, Value loss, bool must_depend)
{
    char described[128];
    value_describe(loss, described, sizeof described);
    bool tensor = loss.tag == TAG_TENSOR && tensor_size(loss.tensor) == 1 &&
                  dtype_class((Dtype)loss.tensor->dtype) == CLASS_FLOAT;
    if (!tensor && !is_float_number(loss)) {
        vm_fail(leaves->vm, ERROR_gradient, leaves->function, "the loss must be a one-element float tensor, got %s",
                described);
        if (loss.tag == TAG_TENSOR) error_hint(&leaves->ctx->error, "write mean(loss) or sum(loss)");
        if (loss.tag == TAG_NONE) error_hint(&leaves->ctx->error, "end the function with the loss");
        return false;
    }
    if (must_depend && (!tensor || !loss.tensor->node)) {
        vm_fail(leaves->vm, ERROR_gradient, leaves->function, "the loss does not depend on any parameter");
        error_hint(&leaves->ctx->error, "was it computed outside the function, by stop_grad, or from frozen models?");
        return false;
    }
    return true;
}

static bool backward(Leaves *leaves, Tensor *output, Tensor *seed)
{
    leaves->grad = list_tensors_new(leaves->ctx, leaves->count);
    if (!leaves->grad) return false;
    return grad_backward(leaves->ctx, 1, &output, &seed, leaves->count, leaves->leaf, leaves->grad);
}

/* Zeros where the value is a constant. */
static bool zero_grads(Leaves *leaves)
{
    leaves->grad = list_tensors_new(leaves->ctx, leaves->count);
    if (!leaves->grad) return false;
    for (int i = 0; i < leaves->count; i++) {
        const Tensor *leaf = leaves->leaf[i];
        leaves->grad[i] = tensor_zeros(leaves->ctx, (Dtype)leaf->dtype, leaf->ndim, leaf->shape);
        if (!leaves->grad[i]) return false;
    }
    return true;
}

static bool backward_from(Leaves *leaves, Value loss, Value seed)
{
    if (loss.tag != TAG_TENSOR || !loss.tensor->node) return zero_grads(leaves);
    if (seed.tag == TAG_UNDEFINED) return backward(leaves, loss.tensor, NULL);
    Tensor *given = value_to_tensor_dtype(leaves->ctx, seed, (Dtype)loss.tensor->dtype);
    if (!given) return false;
    bool same = given->ndim == loss.tensor->ndim &&
                memcmp(given->shape, loss.tensor->shape, (size_t)given->ndim * sizeof *given->shape) == 0;
    char have[128], want[128];
    tensor_type_name(given, have, sizeof have);
    tensor_type_name(loss.tensor, want, sizeof want);
    bool fine = same || vm_fail(leaves->vm, ERROR_shape, leaves->function, "v is %s, but f gives %s", have, want);
    fine = fine && backward(leaves, loss.tensor, given);
    tensor_release(given);
    return fine;
}

/* ---- values without their graph ---- */

/* [v] with tensors detached, recursively through lists, tuples and maps; owned. */
static bool detach(Vm *vm, Value v, int depth, Value *out)
{
    if (v.tag == TAG_TENSOR && v.tensor->node) {
        Tensor *tensor = tensor_detach(vm_tensors(vm), v.tensor);
        if (!tensor) return false;
        *out = value_from_tensor_take(tensor);
        return true;
    }
    *out = value_retain(v);
    if (depth > DEPTH_LIMIT || (v.tag != TAG_LIST && v.tag != TAG_TUPLE && v.tag != TAG_MAP)) return true;
    bool map = v.tag == TAG_MAP;
    int64_t count = map ? v.map->used : v.list->count;
    for (int64_t i = 0; i < count; i++) {
        if (map && v.map->entry[i].key.tag == TAG_UNDEFINED) continue;
        Value item = map ? v.map->entry[i].value : v.list->at[i], plain;
        if (item.tag < TAG_LIST) continue;
        bool fine = detach(vm, item, depth + 1, &plain);
        if (fine && plain.tag == item.tag && plain.heap == item.heap) {
            value_release(plain);
            continue;
        }
        if (fine) fine = (map ? map_own(out) : list_own(out)).tag != TAG_UNDEFINED || vm_out_of_memory(vm);
        if (!fine) {
            value_set(out, VALUE_NONE);
            return false;
        }
        if (map) map_set_take(out->map, v.map->entry[i].key, plain);
        else value_set(&out->list->at[i], plain);
    }
    return true;
}

/* ---- grad and value_and_grad ---- */

/* Calls f with leaves in argument [argnum]; fills *value (owned) and *gradient (owned). [seed] UNDEFINED: a scalar
   loss. Called inside a level of recording. */
static bool differentiate(Leaves *leaves, Value f, int n_args, const Value *args, int n_named, const NamedValue *named,
                          int argnum, Value seed, Value *value, Value *gradient)
{
    Value *given = malloc((size_t)(n_args + 1) * sizeof *given);
    if (!given) return vm_out_of_memory(leaves->vm);
    if (n_args) memcpy(given, args, (size_t)n_args * sizeof *given);
    Value replaced = VALUE_UNDEFINED;
    *value = VALUE_UNDEFINED;
    bool fine = leaf_value(leaves, args[argnum], 0, &replaced);
    if (fine) {
        given[argnum] = replaced;
        fine = vm_call(leaves->vm, f, n_args, given, n_named, named, value);
    }
    value_release(replaced);
    free(given);
    Value loss = loss_of(*value);
    if (fine && seed.tag == TAG_UNDEFINED) fine = check_loss(leaves, loss, false);
    fine = fine && backward_from(leaves, loss, seed);      /* which may run parts of f again */
    restore_cells(leaves);
    int at = 0;
    if (fine) fine = grad_value(leaves, args[argnum], &at, gradient);
    if (!fine) value_set(value, VALUE_UNDEFINED);
    return fine;
}

/* The same with its own level of recording, and the value detached unless an outer level records. */
static bool differentiate_at_level(Vm *vm, const char *function, Value f, int n_args, const Value *args, int n_named,
                                   const NamedValue *named, int argnum, Value seed, Value *value, Value *gradient)
{
    TensorContext *ctx = vm_tensors(vm);
    Leaves leaves = {.vm = vm, .ctx = ctx, .function = function};
    if (argnum < 0 || argnum >= n_args) {
        return vm_fail(vm, ERROR_argument, function, "there is no positional argument %d to differentiate by", argnum);
    }
    grad_begin(ctx);
    bool fine = differentiate(&leaves, f, n_args, args, n_named, named, argnum, seed, value, gradient);
    grad_end(ctx);
    leaves_clear(&leaves);
    if (fine && ctx->recording == 0) {
        Value recorded = *value;
        fine = detach(vm, recorded, 0, value);
        value_release(recorded);
        if (!fine) value_release(*gradient);
    }
    return fine;
}

/* args: f, argnum, then ..args and ..named of the call */
static bool run_grad(Vm *vm, const char *function, const Value *args, Value *value, Value *gradient)
{
    const List *list = args[2].list;
    const Map *map = args[3].map;
    NamedValue named[32];
    int n_named = 0;
    for (int64_t i = 0; i < map->used && n_named < 32; i++) {
        if (map->entry[i].key.tag != TAG_STRING) continue;
        named[n_named++] = (NamedValue){map->entry[i].key.string->text, map->entry[i].value};
    }
    return differentiate_at_level(vm, function, args[0], (int)list->count, list->at, n_named, named, (int)args[1].i,
                                  VALUE_UNDEFINED, value, gradient);
}

static bool call_grad(Vm *vm, const Value *args, Value *result)
{
    Value value;
    if (!run_grad(vm, "grad", args, &value, result)) return false;
    value_release(value);
    return true;
}

static bool give_pair(Vm *vm, Value first, Value second, Value *result)
{
    Value pair = tuple_new(2);
    if (pair.tag == TAG_UNDEFINED) {
        value_release(first);
        value_release(second);
        return vm_out_of_memory(vm);
    }
    pair.list->at[0] = first;
    pair.list->at[1] = second;
    *result = pair;
    return true;
}

static bool call_value_and_grad(Vm *vm, const Value *args, Value *result)
{
    Value value, gradient;
    if (!run_grad(vm, "value_and_grad", args, &value, &gradient)) return false;
    return give_pair(vm, value, gradient, result);
}

static const NativeDef grad_def = {"grad", "..args, ..named:map", call_grad, "The gradient of a function.", ""};
static const NativeDef value_and_grad_def = {"value_and_grad", "..args, ..named:map", call_value_and_grad,
                                             "A function's value and gradient.", ""};

static bool make_grad(Vm *vm, const NativeDef *def, const Value *args, Value *result)
{
    if (!native_is_callable(args[0])) {
        native_wants(vm, def->name, "f", "a function", args[0]);
        error_hint(&vm_tensors(vm)->error, "write %s(x -> …)(x)", def->name);
        return false;
    }
    if (args[1].i < 0) return vm_fail(vm, ERROR_value, def->name, "argnum must not be negative");
    return native_give(vm, function_native_closure(def, 2, args), result);
}

bool native_grad(Vm *vm, const Value *args, Value *result)
{
    return make_grad(vm, &grad_def, args, result);
}

bool native_value_and_grad(Vm *vm, const Value *args, Value *result)
{
    return make_grad(vm, &value_and_grad_def, args, result);
}

/* What vjp(f, x) gives beside the value: bound are f, x and the random state in which f ran, so that it runs alike. */
static bool call_pull(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    uint64_t seed = ctx->seed, counter = ctx->counter;
    Value value;
    ctx->seed = (uint64_t)args[2].i;
    ctx->counter = (uint64_t)args[3].i;
    bool fine = differentiate_at_level(vm, "vjp", args[0], 1, &args[1], 0, NULL, 0, args[4], &value, result);
    ctx->seed = seed;
    ctx->counter = counter;
    if (fine) value_release(value);
    return fine;
}

static const NativeDef pull_def = {"pull", "v", call_pull, "The gradient of the sum of v times the function's value.", ""};

bool native_vjp(Vm *vm, const Value *args, Value *result)
{
    const TensorContext *ctx = vm_tensors(vm);
    Value value, second;
    if (!native_is_callable(args[0])) return native_wants(vm, "vjp", "f", "a function", args[0]);
    if (args[2].tag != TAG_NONE) {
        bool fine = differentiate_at_level(vm, "vjp", args[0], 1, &args[1], 0, NULL, 0, args[2], &value, &second);
        return fine && give_pair(vm, value, second, result);
    }
    Value bound[4] = {args[0], args[1], value_int((int64_t)ctx->seed), value_int((int64_t)ctx->counter)};
    if (!vm_call(vm, args[0], 1, &args[1], 0, NULL, &value)) return false;
    second = function_native_closure(&pull_def, 4, bound);
    if (second.tag != TAG_UNDEFINED) return give_pair(vm, value, second, result);
    value_release(value);
    return vm_out_of_memory(vm);
}

bool native_no_grad(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    if (!native_is_callable(args[0])) return native_wants(vm, "no_grad", "f", "a function", args[0]);
    int recording = ctx->recording;
    if (recording) vm_hold_visits(vm, true);         /* models still hold leaves */
    ctx->recording = 0;
    bool fine = vm_call(vm, args[0], 0, NULL, 0, NULL, result);
    ctx->recording = recording;
    if (recording) vm_hold_visits(vm, false);
    return fine;
}

bool native_autocast(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    Dtype dtype;
    if (!value_to_dtype(args[0], &dtype) || dtype != DTYPE_bf16)
        return vm_fail(vm, ERROR_value, "autocast", "products are computed in bf16, not in %s", dtype_name(dtype));
    if (!native_is_callable(args[1])) return native_wants(vm, "autocast", "f", "a function", args[1]);
    bool narrow = ctx->narrow;
    ctx->narrow = true;
    bool fine = vm_call(vm, args[1], 0, NULL, 0, NULL, result);
    ctx->narrow = narrow;
    return fine;
}

/* ---- for optimisers ---- */

static bool gradients_inside(Leaves *leaves, Value models, Value f, Value *value, Value *gradients)
{
    CellList cells = {0};
    bool fine = walk_cells(leaves->vm, models, WALK_PARAMS | WALK_UNFROZEN, &cells) && swap_cells(leaves, &cells);
    cells_clear(&cells);
    *value = VALUE_UNDEFINED;
    if (fine && leaves->count == 0) {
        fine = vm_fail(leaves->vm, ERROR_gradient, "step", "the model has no unfrozen parameters");
    }
    fine = fine && vm_call(leaves->vm, f, 0, NULL, 0, NULL, value);
    Value loss = loss_of(*value);
    fine = fine && check_loss(leaves, loss, true) && backward_from(leaves, loss, VALUE_UNDEFINED);
    restore_cells(leaves);
    int at = 0;
    fine = fine && object_grads(leaves, models, &at, gradients);
    if (!fine) value_set(value, VALUE_UNDEFINED);
    return fine;
}

bool native__gradients(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    Leaves leaves = {.vm = vm, .ctx = ctx, .function = "step"};
    Value value, gradients, plain;
    if (!native_is_callable(args[1])) {
        native_wants(vm, "step", "f", "a function", args[1]);
        error_hint(&vm_tensors(vm)->error, "the loss is computed inside it: opt.step(() -> loss(net(x), y))");
        return false;
    }
    bool training = vm_training(vm);
    vm_set_training(vm, true);
    grad_begin(ctx);
    bool fine = gradients_inside(&leaves, args[0], args[1], &value, &gradients);
    grad_end(ctx);
    vm_set_training(vm, training);
    leaves_clear(&leaves);
    if (!fine) return false;
    fine = detach(vm, value, 0, &plain);
    value_release(value);
    if (!fine) {
        value_release(gradients);
        return false;
    }
    return give_pair(vm, plain, gradients, result);
}
