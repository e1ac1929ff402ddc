/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x[…] and x[…] = v for tensors. Ints, slices, `...` and none are basic: they make a view, or a copy when the
   result is small, so that a row neither pins its storage nor blocks writes. Tensors and lists of ints, and masks,
   choose elements; beside them an int counts as a 0-d index, and the chosen axes come first unless they stand
   together: all as in NumPy.

   A tensor that carries a gradient is indexed and changed by ops only, so that the gradient stays right. */
#include <stdlib.h>
#include <string.h>

#include "ast.h"
#include "bridge.h"
#include "index.h"

#define SMALL_BYTES 65536     /* a result of up to so many bytes … */
#define SMALL_SHARE 16        /* … and up to one in so many of its storage's is copied */
#define ENTRIES (2 * TENSOR_MAX_DIMS)

typedef enum EntryKind { ENTRY_INT, ENTRY_SLICE, ENTRY_CHOSEN, ENTRY_NEW } EntryKind;

typedef struct Entry {
    EntryKind kind;
    int axis;                 /* of x; of ENTRY_NEW none */
    Steps steps;              /* SLICE; INT: start is the place */
    Tensor *index;            /* CHOSEN: owned ints */
} Entry;

typedef struct Plan {
    Vm *vm;
    TensorContext *ctx;
    Tensor *x;
    int count;
    Entry entry[ENTRIES];
    int n_chosen;             /* entries of that kind */
} Plan;

static void plan_clear(Plan *plan)
{
    for (int i = 0; i < plan->count; i++) tensor_release(plan->entry[i].index);
}

/* ---- reading subscripts ---- */

static Entry *add_entry(Plan *plan, EntryKind kind, int axis)
{
    if (plan->count == ENTRIES) {
        vm_fail(plan->vm, ERROR_index, "", "too many subscripts");
        return NULL;
    }
    Entry *entry = &plan->entry[plan->count++];
    *entry = (Entry){.kind = kind, .axis = axis};
    return entry;
}

/* A mask over k axes becomes k index vectors: the places where it is true. */
static bool add_mask(Plan *plan, Tensor *mask, int *axis)
{
    int k = mask->ndim;
    int64_t size = tensor_size(mask), n = 0, *out[TENSOR_MAX_DIMS];
    for (int d = 0; d < k; d++) {
        if (mask->shape[d] == plan->x->shape[*axis + d]) continue;
        return vm_fail(plan->vm, ERROR_shape, "", "a mask of size %lld does not fit axis %d of size %lld",
                       (long long)mask->shape[d], *axis + d, (long long)plan->x->shape[*axis + d]);
    }
    mask = tensor_contiguous(plan->ctx, mask);
    if (!mask) return false;
    const char *bools = mask->data;
    for (int64_t i = 0; i < size; i++) n += bools[i];
    for (int d = 0; d < k; d++) {
        Entry *entry = add_entry(plan, ENTRY_CHOSEN, (*axis)++);
        if (!entry || !(entry->index = tensor_new(plan->ctx, DTYPE_i64, 1, &n))) return tensor_release(mask), false;
        out[d] = (int64_t *)(void *)entry->index->data;
        plan->n_chosen++;
    }
    for (int64_t i = 0, at = 0; i < size; i++) {
        if (!bools[i]) continue;
        int64_t rest = i;
        for (int d = k - 1; d >= 0; d--) {
            out[d][at] = rest % mask->shape[d];
            rest /= mask->shape[d];
        }
        at++;
    }
    tensor_release(mask);
    return true;
}

static bool add_chosen(Plan *plan, Value v, int *axis)
{
    Tensor *index = value_to_tensor(plan->ctx, v);
    if (!index) return false;
    if (tensor_size(index) == 0 && dtype_class((Dtype)index->dtype) == CLASS_FLOAT) {
        Tensor *empty = tensor_cast(plan->ctx, index, DTYPE_i64);
        tensor_release(index);
        if (!(index = empty)) return false;
    }
    bool fine = true;
    if (index->dtype == DTYPE_bool) {
        fine = add_mask(plan, index, axis);
        tensor_release(index);
        return fine;
    }
    char type[128];
    tensor_type_name(index, type, sizeof type);
    fine = dtype_class((Dtype)index->dtype) == CLASS_INT ||
           vm_fail(plan->vm, ERROR_type, "", "an index must hold ints or bools, got %s", type);
    Entry *entry = fine ? add_entry(plan, ENTRY_CHOSEN, (*axis)++) : NULL;
    if (!entry) {
        tensor_release(index);
        return false;
    }
    entry->index = index;
    plan->n_chosen++;
    return true;
}

static bool add_full(Plan *plan, int from, int to)
{
    for (; from < to; from++) {
        Entry *entry = add_entry(plan, ENTRY_SLICE, from);
        if (!entry) return false;
        entry->steps = (Steps){0, 1, plan->x->shape[from]};
    }
    return true;
}

/* How many axes of x a subscript takes. */
static int axes_taken(const Subscript *s)
{
    if (s->ellipsis) return 0;
    if (s->slice) return 1;
    if (s->value.tag == TAG_NONE) return 0;
    if (s->value.tag == TAG_TENSOR && s->value.tensor->dtype == DTYPE_bool) return s->value.tensor->ndim;
    const Value *v = &s->value;
    int depth = 0;                                   /* a nested list of bools is a mask too */
    while (v->tag == TAG_LIST && v->list->count > 0) {
        v = &v->list->at[0];
        depth++;
    }
    return v->tag == TAG_BOOL && depth > 0 ? depth : 1;
}

static bool add_subscript(Plan *plan, const Subscript *s, int *axis)
{
    int64_t index;
    Entry *entry;
    if (s->slice) {
        entry = add_entry(plan, ENTRY_SLICE, *axis);
        return entry && index_steps(plan->vm, s, plan->x->shape[(*axis)++], &entry->steps);
    }
    if (s->value.tag == TAG_NONE) return add_entry(plan, ENTRY_NEW, -1) != NULL;
    if (value_to_int(s->value, &index)) {
        entry = add_entry(plan, ENTRY_INT, *axis);
        if (!entry || !index_place(plan->vm, index, plan->x->shape[*axis], *axis, &entry->steps.start)) return false;
        (*axis)++;
        return true;
    }
    bool row = s->value.tag == TAG_LIST || s->value.tag == TAG_TENSOR || s->value.tag == TAG_RANGE;
    if (row) return add_chosen(plan, s->value, axis);
    char described[96];
    value_describe(s->value, described, sizeof described);
    return vm_fail(plan->vm, ERROR_type, "", "an index must be an int, a slice or a tensor, got %s", described);
}

static bool plan_read(Plan *plan, int count, const Subscript *subscripts)
{
    int taken = 0, ellipses = 0, axis = 0;
    for (int i = 0; i < count; i++) {
        taken += axes_taken(&subscripts[i]);
        ellipses += subscripts[i].ellipsis;
    }
    if (ellipses > 1) return vm_fail(plan->vm, ERROR_index, "", "an index can have one `...` only");
    if (taken > plan->x->ndim) {
        char type[128];
        tensor_type_name(plan->x, type, sizeof type);
        return vm_fail(plan->vm, ERROR_index, "", "%d subscript%s for %s, which has %d ax%s", taken, taken == 1 ? "" : "s", type, plan->x->ndim,
                       plan->x->ndim == 1 ? "is" : "es");
    }
    for (int i = 0; i < count; i++) {
        if (subscripts[i].ellipsis) {
            int to = axis + plan->x->ndim - taken;
            if (!add_full(plan, axis, to)) return false;
            axis = to;
        } else if (!add_subscript(plan, &subscripts[i], &axis)) {
            return false;
        }
    }
    return add_full(plan, axis, plan->x->ndim);
}

/* ---- basic indexing ---- */

/* The region that ints and slices choose, as a view; chosen axes stay whole. */
static Tensor *basic_view(Plan *plan)
{
    Tensor *x = plan->x;
    int64_t shape[ENTRIES], stride[ENTRIES], offset = 0;
    int ndim = 0;
    for (int i = 0; i < plan->count; i++) {
        const Entry *entry = &plan->entry[i];
        if (entry->kind == ENTRY_NEW) {
            shape[ndim] = 1;
            stride[ndim++] = 0;
            continue;
        }
        int64_t step = x->stride[entry->axis];
        if (entry->kind != ENTRY_CHOSEN) offset += entry->steps.start * step;
        if (entry->kind == ENTRY_INT) continue;
        shape[ndim] = entry->kind == ENTRY_SLICE ? entry->steps.count : x->shape[entry->axis];
        stride[ndim++] = entry->kind == ENTRY_SLICE ? step * entry->steps.step : step;
    }
    if (ndim > TENSOR_MAX_DIMS) {
        vm_fail(plan->vm, ERROR_shape, "", "the result would have %d axes; %d are possible", ndim, TENSOR_MAX_DIMS);
        return NULL;
    }
    int64_t size = 1;
    for (int d = 0; d < ndim; d++) size *= shape[d];
    return tensor_view(plan->ctx, x, ndim, shape, stride, size ? offset : 0);
}

static Tensor *call_take(TensorContext *ctx, OpId id, Tensor *owned, const Attr *attr)
{
    Tensor *out[OP_MAX_OUT] = {0};
    int n_out = 0;
    bool fine = owned && op_call(ctx, op_def(id), 1, &owned, attr, out, &n_out);
    tensor_release(owned);
    return fine ? out[0] : NULL;
}

/* The same by ops, for a tensor with a gradient. */
static Tensor *basic_ops(Plan *plan)
{
    Tensor *y = tensor_retain(plan->x);
    int axis = 0;
    for (int i = 0; i < plan->count && y; i++) {
        const Entry *entry = &plan->entry[i];
        Steps s = entry->steps;
        if (entry->kind == ENTRY_INT) {
            Attr attr[2] = {{.i = axis}, {.i = s.start}};
            y = call_take(plan->ctx, OP_select, y, attr);
            continue;
        }
        if (entry->kind == ENTRY_NEW) y = call_take(plan->ctx, OP_unsqueeze, y, &(Attr){.i = axis});
        bool full = entry->kind != ENTRY_SLICE || (s.step == 1 && s.count == plan->x->shape[entry->axis]);
        if (!full) {
            int64_t stop = s.start + s.count * s.step;
            Attr attr[4] = {{.i = axis}, {.i = s.start}, {.none = stop < 0, .i = stop}, {.i = s.step}};
            if (s.count == 0) attr[2] = (Attr){.i = s.start};
            y = call_take(plan->ctx, OP_slice, y, attr);
        }
        axis++;
    }
    return y;
}

static Tensor *small_copy_take(TensorContext *ctx, Tensor *owned)
{
    if (!owned || owned->ndim == 0 || owned->node || !owned->storage) return owned;
    size_t bytes = (size_t)tensor_size(owned) * dtype_size((Dtype)owned->dtype);
    if (bytes > SMALL_BYTES || bytes * SMALL_SHARE > owned->storage->bytes) return owned;
    Tensor *copy = tensor_copy(ctx, owned);
    tensor_release(owned);
    return copy;
}

/* ---- chosen elements ---- */

/* Beside index tensors an int is a 0-d one. */
static bool ints_chosen(Plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        Entry *entry = &plan->entry[i];
        if (entry->kind != ENTRY_INT) continue;
        entry->index = tensor_scalar_int(plan->ctx, DTYPE_i64, entry->steps.start);
        if (!entry->index) return false;
        entry->kind = ENTRY_CHOSEN;
        entry->steps = (Steps){0};
        plan->n_chosen++;
    }
    return true;
}

/* Whether the chosen entries stand together; *first is where they begin. */
static bool together(const Plan *plan, int *first)
{
    int last = -1;
    *first = -1;
    for (int i = 0; i < plan->count; i++) {
        if (plan->entry[i].kind != ENTRY_CHOSEN) continue;
        if (*first < 0) *first = i;
        else if (last != i - 1) return false;
        last = i;
    }
    return true;
}

static Tensor *get_chosen(Plan *plan, Tensor *owned)
{
    int first;
    if (!together(plan, &first)) {                   /* bring them to the front */
        Attr order = {.ints = {.count = plan->count}};
        int to = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < plan->count; i++)
                if ((plan->entry[i].kind == ENTRY_CHOSEN) == (pass == 0)) order.ints.v[to++] = i;
        }
        owned = call_take(plan->ctx, OP_permute, owned, &order);
        first = 0;
    }
    if (!owned) return NULL;
    Tensor *in[TENSOR_MAX_DIMS + 1] = {owned}, *out[OP_MAX_OUT] = {0};
    int n = 1, n_out = 0;
    for (int i = 0; i < plan->count; i++)
        if (plan->entry[i].kind == ENTRY_CHOSEN) in[n++] = plan->entry[i].index;
    Attr attr = {.i = first};
    bool fine = op_call(plan->ctx, op_def(OP_index), n, in, &attr, out, &n_out);
    tensor_release(owned);
    return fine ? out[0] : NULL;
}

static Tensor *plan_get(Plan *plan)
{
    if (plan->n_chosen && !ints_chosen(plan)) return NULL;
    Tensor *y = plan->x->node ? basic_ops(plan) : basic_view(plan);
    if (y && plan->n_chosen) return get_chosen(plan, y);
    return small_copy_take(plan->ctx, y);
}

/* The user wrote x[…], not a call of the op that does it: of its operands only the first [kept] say something. */
static bool own_error(TensorContext *ctx, int kept)
{
    Error *error = &ctx->error;
    if (strcmp(error->op, "index") == 0 || strcmp(error->op, "index_put") == 0) {
        error->op[0] = '\0';
        if (error->n_operands > kept) error->n_operands = kept;
    }
    return false;
}

bool tensor_index_get(Vm *vm, Tensor *x, int count, const Subscript *subscripts, Value *result)
{
    Plan plan = {.vm = vm, .ctx = vm_tensors(vm), .x = x};
    Tensor *out = plan_read(&plan, count, subscripts) ? plan_get(&plan) : NULL;
    plan_clear(&plan);
    if (!out) return own_error(plan.ctx, 1);
    *result = value_from_tensor_take(out);
    return true;
}

/* ---- setting ---- */

static bool fits_dtype(Vm *vm, const Tensor *x, const Tensor *v)
{
    if (dtype_class((Dtype)v->dtype) <= dtype_class((Dtype)x->dtype)) return true;
    vm_fail(vm, ERROR_dtype, "", "%s values cannot be stored in a tensor of %s", dtype_name((Dtype)v->dtype),
            dtype_name((Dtype)x->dtype));
    error_hint(&vm_tensors(vm)->error, "write to(v, %s) to convert them", dtype_name((Dtype)x->dtype));
    return false;
}

static bool set_view(Plan *plan, Value *slot, Tensor *v)
{
    if (!tensor_is_unshared(plan->x)) {
        Tensor *copy = tensor_copy(plan->ctx, plan->x);
        if (!copy) return false;
        value_set(slot, (Value){.tag = TAG_TENSOR, .tensor = copy});
        plan->x = copy;
    }
    Tensor *view = basic_view(plan);
    bool fine = view && tensor_assign(plan->ctx, view, v);
    tensor_release(view);
    return fine;
}

/* An entry as an index tensor whose elements run along axis [at] of [ndim]. */
static Tensor *entry_index(Plan *plan, const Entry *entry, int at, int ndim)
{
    int64_t shape[ENTRIES];
    if (entry->kind == ENTRY_CHOSEN) {               /* its own axes end at [at] */
        int own = entry->index->ndim;
        for (int d = 0; d < ndim; d++) shape[d] = d > at - own && d <= at ? entry->index->shape[d - (at - own + 1)] : 1;
        Attr attr = {.ints = {.count = ndim}};
        memcpy(attr.ints.v, shape, (size_t)ndim * sizeof *shape);
        return call_take(plan->ctx, OP_reshape, tensor_retain(entry->index), &attr);
    }
    for (int d = 0; d < ndim; d++) shape[d] = d == at ? entry->steps.count : 1;
    Tensor *index = tensor_new(plan->ctx, DTYPE_i64, ndim, shape);
    for (int64_t i = 0; index && i < entry->steps.count; i++) {
        ((int64_t *)(void *)index->data)[i] = entry->steps.start + i * entry->steps.step;
    }
    return index;
}

/* Where each entry from [first] to [last] runs in the places' common axes, [at] being its last one. Returns their
   number. */
static int lay_axes(const Plan *plan, int first, int last, int *at)
{
    int chosen_ndim = 0, ndim = 0, group, place = -1;
    bool adjacent = together(plan, &group);
    for (int i = first; i <= last; i++) {
        const Entry *entry = &plan->entry[i];
        if (entry->kind == ENTRY_CHOSEN && entry->index->ndim > chosen_ndim) chosen_ndim = entry->index->ndim;
    }
    if (plan->n_chosen && !adjacent) {
        ndim = chosen_ndim;
        place = chosen_ndim - 1;
    }
    for (int i = first; i <= last; i++) {
        const Entry *entry = &plan->entry[i];
        if (entry->kind == ENTRY_SLICE) at[i] = ndim++;
        else if (entry->kind == ENTRY_CHOSEN && adjacent && i == group) {
            ndim += chosen_ndim;
            place = ndim - 1;
        }
    }
    for (int i = first; i <= last; i++)
        if (plan->entry[i].kind == ENTRY_CHOSEN) at[i] = place;
    return ndim;
}

/* v (+1) without leading axes of size 1 beyond [most], which the places do not have. */
static Tensor *without_ones(Plan *plan, Tensor *v, int most)
{
    tensor_retain(v);
    while (v && v->ndim > most && v->shape[0] == 1) v = call_take(plan->ctx, OP_select, v, (Attr[2]){{.i = 0}, {.i = 0}});
    return v;
}

/* Whether index tensors may write into x itself: nobody else sees it, no gradient is recorded, and its dtype adds up as
   it stands. */
static bool puts_in_place(const Plan *plan, const Tensor *v, bool accumulate)
{
    const Tensor *x = plan->x;
    return !x->node && !v->node && !plan->ctx->meta && tensor_is_unshared(x) && tensor_is_contiguous(x) &&
           !(accumulate && dtype_is_half((Dtype)x->dtype));
}

/* By index_put, which differentiates and accumulates: every entry from the first that is no full slice to the last
   becomes an index tensor. */
static Tensor *set_chosen(Plan *plan, Tensor *v, bool accumulate)
{
    int first = plan->count, last = -1, group, at[ENTRIES], n = 2, n_out = 0;
    if (!ints_chosen(plan)) return NULL;
    for (int i = 0; i < plan->count; i++) {
        const Entry *entry = &plan->entry[i];
        bool full = entry->kind == ENTRY_SLICE && entry->steps.step == 1 &&
                    entry->steps.count == plan->x->shape[entry->axis];
        if (full) continue;
        if (first > i) first = i;
        last = i;
    }
    if (last < 0) first = last = 0;                  /* x[:] = v: one axis will do */
    if (!together(plan, &group)) first = 0;
    int ndim = lay_axes(plan, first, last, at);
    if (ndim > TENSOR_MAX_DIMS || last - first + 3 > OP_MAX_IN) {
        vm_fail(plan->vm, ERROR_index, "", "an index of so many axes cannot be assigned to");
        return NULL;
    }
    Tensor *in[OP_MAX_IN] = {plan->x, without_ones(plan, v, plan->x->ndim - (last - first + 1) + ndim)};
    Tensor *out[OP_MAX_OUT] = {0};
    bool fine = in[1] != NULL;
    for (int i = first; i <= last && fine; i++, n++) {
        in[n] = entry_index(plan, &plan->entry[i], at[i], ndim);
        fine = in[n] != NULL;
    }
    Attr attr[2] = {{.i = first}, {.b = accumulate}};
    if (fine && puts_in_place(plan, v, accumulate)) {
        fine = tensor_index_put(plan->ctx, in, n, first, accumulate);
        out[0] = fine ? tensor_retain(plan->x) : NULL;
    } else {
        fine = fine && op_call(plan->ctx, op_def(OP_index_put), n, in, attr, out, &n_out);
    }
    for (int i = 1; i < n; i++) tensor_release(in[i]);
    return fine ? out[0] : NULL;
}

static bool plan_set(Plan *plan, Value *slot, Tensor *v, bool accumulate)
{
    for (int i = 0; i < plan->count; i++) {
        if (plan->entry[i].kind == ENTRY_NEW) {
            return vm_fail(plan->vm, ERROR_index, "", "none adds an axis only where an index is read");
        }
    }
    if (!fits_dtype(plan->vm, plan->x, v)) return false;
    if (!plan->n_chosen && !accumulate && !plan->x->node && !v->node) return set_view(plan, slot, v);
    Tensor *out = set_chosen(plan, v, accumulate);
    if (!out) return false;
    value_set(slot, (Value){.tag = TAG_TENSOR, .tensor = out});
    return true;
}

/* What is stored: v; for x[i] += v with index tensors v itself, to be accumulated; else x[i] op v. */
static bool operand(Vm *vm, Value x, int count, const Subscript *s, int op, Value v, bool accumulate, Value *out)
{
    if (op == OPERATOR_NONE || (accumulate && op == OPERATOR_ADD)) *out = value_retain(v);
    else if (accumulate) return arith_unary(vm, OPERATOR_NEG, v, out);
    else {
        Value old;
        if (!tensor_index_get(vm, x.tensor, count, s, &old)) return false;
        bool fine = arith_binary(vm, op, old, v, out);
        value_release(old);
        return fine;
    }
    return true;
}

bool tensor_index_set(Vm *vm, Value *slot, int count, const Subscript *subscripts, int op, Value v)
{
    Plan plan = {.vm = vm, .ctx = vm_tensors(vm), .x = slot->tensor};
    Value stored = VALUE_UNDEFINED;
    bool fine = plan_read(&plan, count, subscripts);
    bool accumulate = plan.n_chosen > 0 && (op == OPERATOR_ADD || op == OPERATOR_SUB);
    fine = fine && operand(vm, *slot, count, subscripts, op, v, accumulate, &stored);
    Tensor *tensor = fine ? value_to_tensor(plan.ctx, stored) : NULL;
    fine = tensor && plan_set(&plan, slot, tensor, accumulate);
    tensor_release(tensor);
    value_release(stored);
    plan_clear(&plan);
    return fine || own_error(plan.ctx, 0);
}
