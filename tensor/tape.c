/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tape: nodes of finished calls, linked to the nodes that made their inputs, and backward over them. Nodes point
   to nodes, never to the tensors they made; a saved output is kept as an alias without its node, so nothing forms a
   cycle. A node keeps only what its row saves, and gives it up as soon as backward has used it, unless an enclosing
   level may come back to it.
   Invariant: edges lead to older nodes only, so what is older than every leaf cannot lead to one. Walks and releases
   use links in the nodes, never recursion: chains may be millions long. */
#include <stdio.h>
#include <string.h>

#include "blocks.h"
#include "core.h"

typedef struct Edge {
    GradNode *node;           /* owned; NULL: leads nowhere */
    int32_t out;
} Edge;

struct GradNode {
    int32_t refs;
    int32_t n_in;
    uint8_t n_out, n_attr;
    int32_t place;            /* where it was recorded, as context->watch said */
    bool narrow;              /* the context's when it was recorded: its gradient's products are alike */
    uint32_t remade;          /* bit i: saved input i is made again by the hook of the node that edge i leads to */
    bool spent;               /* backward has used it up */
    bool reaches;             /* in this pass: leads to a leaf */
    bool asked;               /* in this pass: is one of the leaves */
    const OpDef *def;         /* NULL: a leaf, which passes gradients on as they are */
    uint64_t order;           /* when it was made */
    uint64_t pass;            /* the last pass that saw it */
    size_t bytes;
    GradNode *parent;         /* in a walk: where it came from */
    GradNode *next;           /* in a list: of a pass, or of nodes to free */
    int32_t cursor;           /* in a walk: the next edge */
    Edge *edge;               /* [n_in] */
    Tensor **in, **out;       /* [n_in], [n_out]: saved; NULL where not */
    Tensor **grad;            /* [n_out]: what has arrived in this pass */
    TensorSpec *in_spec, *out_spec;
    Attr *attr;
    GradHook *hook;           /* the rule of a node that is no row's; owned */
};

/* What nodes with a hook have for a row. */
static const OpDef hook_row = {.name = "with_grad", .mode = MODE_DIFF, .elementwise = -1};

static _Atomic(uint64_t) node_orders, pass_numbers;

/* ---- nodes ---- */

static size_t text_bytes(const Attr *attr, int n_attr, unsigned strings)
{
    size_t bytes = 0;
    for (int i = 0; i < n_attr; i++)
        if ((strings >> i & 1) && !attr[i].none && attr[i].str)
            bytes += strlen(attr[i].str) + 1;
    return bytes;
}

/* A blank node with room for its parts behind it. */
static GradNode *new_node(TensorContext *context, const OpDef *def, int n_in, int n_out, int n_attr, size_t text)
{
    size_t ins = (size_t)n_in, outs = (size_t)n_out;
    size_t bytes = sizeof(GradNode) + ins * (sizeof(Edge) + sizeof(Tensor *) + sizeof(TensorSpec)) +
                   outs * (2 * sizeof(Tensor *) + sizeof(TensorSpec)) + (size_t)n_attr * sizeof(Attr) + text;
    GradNode *node = block_take(bytes);
    if (!node) {
        error_set(&context->error, ERROR_memory, "", "no memory is left to record gradients");
        return NULL;
    }
    *node = (GradNode){.refs = 1, .narrow = context->narrow, .n_in = n_in, .n_out = (uint8_t)n_out, .n_attr = (uint8_t)n_attr, .def = def,
                       .bytes = bytes, .place = context->watch ? context->watch->place : 0};
    node->order = atomic_fetch_add_explicit(&node_orders, 1, memory_order_relaxed);
    node->edge = (Edge *)(void *)(node + 1);
    node->in = (Tensor **)(void *)(node->edge + n_in);
    node->out = node->in + n_in;
    node->grad = node->out + n_out;
    node->attr = (Attr *)(void *)(node->grad + n_out);
    node->in_spec = (TensorSpec *)(void *)(node->attr + n_attr);
    node->out_spec = node->in_spec + n_in;
    for (int i = 0; i < n_in; i++) {
        node->edge[i] = (Edge){NULL, 0};
        node->in[i] = NULL;
    }
    for (int i = 0; i < n_out; i++)
        node->out[i] = node->grad[i] = NULL;
    return node;
}

void grad_node_retain(GradNode *node)
{
    node->refs++;
}

/* Nodes whose count reached 0 wait here, so that freeing one never recurses into the next. */
static _Thread_local GradNode *dead;
static _Thread_local bool freeing;

/* Lets go of what the node keeps alive. */
static void drop_contents(GradNode *node)
{
    for (int i = 0; i < node->n_in; i++) {
        tensor_release(node->in[i]);
        node->in[i] = NULL;
        GradNode *to = node->edge[i].node;
        node->edge[i].node = NULL;
        if (to)
            grad_node_release(to);
    }
    for (int i = 0; i < node->n_out; i++) {
        tensor_release(node->out[i]);
        node->out[i] = NULL;
    }
    if (node->hook)
        node->hook->release(node->hook);
    node->hook = NULL;
}

void grad_node_release(GradNode *node)
{
    if (--node->refs > 0)
        return;
    node->next = dead;
    dead = node;
    if (freeing)
        return;
    freeing = true;
    while (dead) {
        GradNode *last = dead;
        dead = last->next;
        drop_contents(last);
        for (int i = 0; i < last->n_out; i++)
            tensor_release(last->grad[i]);
        block_give(last, last->bytes);
    }
    freeing = false;
}

/* ---- recording ---- */

void grad_begin(TensorContext *context)
{
    context->recording++;
}

void grad_end(TensorContext *context)
{
    context->recording--;
}

static const Tensor *stand_in(TensorContext *ctx, GradBoundary *boundary, const Tensor *tensor);
static bool is_beyond(const GradBoundary *boundary, const GradNode *node);

/* False: memory is out. */
static bool set_edge(TensorContext *ctx, GradNode *node, int i, const Tensor *tensor)
{
    if (!tensor || !tensor->node || dtype_class((Dtype)tensor->dtype) != CLASS_FLOAT)
        return true;
    if (ctx->boundary && is_beyond(ctx->boundary, tensor->node))
        tensor = stand_in(ctx, ctx->boundary, tensor);
    if (!tensor)
        return false;
    node->edge[i] = (Edge){tensor->node, tensor->node_out};
    tensor->node->refs++;
    return true;
}

static Tensor *alias_of(TensorContext *context, const Tensor *tensor, GradNode *node, int out)
{
    Tensor *alias = tensor_view(context, tensor, tensor->ndim, tensor->shape, tensor->stride, 0);
    if (!alias)
        return NULL;
    alias->weak = tensor->weak;
    alias->node = node;
    alias->node_out = out;
    if (node)
        node->refs++;
    return alias;
}

static bool saves_input(const OpDef *def, int i)
{
    return (def->saves & SAVE_IN(i < 7 ? i : 7)) != 0;
}

/* From here keeping a result costs more than making it again. */
#define REMAKE_FROM 65536     /* elements */

static bool can_remake(const GradNode *node, int i, const Tensor *x)
{
    const GradNode *maker = node->edge[i].node;
    return node->n_in <= OP_MAX_IN && maker && maker == x->node && maker->hook && maker->hook->remake && !x->meta &&
           tensor_size(x) >= REMAKE_FROM && tensor_is_contiguous(x);
}

static bool fill_inputs(GradNode *node, const OpCall *call)
{
    for (int i = 0; i < call->n_in; i++) {
        Tensor *x = call->in[i];
        if (!x) {
            node->in_spec[i] = (TensorSpec){.ndim = 0};
            continue;
        }
        spec_of(x, &node->in_spec[i]);
        if (!set_edge(call->ctx, node, i, x))
            return false;
        if (saves_input(call->def, i) && can_remake(node, i, x))
            node->remade |= 1u << i;
        else if (saves_input(call->def, i))
            node->in[i] = tensor_retain(x);
    }
    return true;
}

static void fill_attrs(GradNode *node, const OpCall *call, unsigned strings)
{
    char *text = (char *)(node->out_spec + node->n_out);
    for (int i = 0; i < node->n_attr; i++) {
        node->attr[i] = call->attr[i];
        if (!(strings >> i & 1) || call->attr[i].none || !call->attr[i].str)
            continue;
        size_t length = strlen(call->attr[i].str) + 1;
        node->attr[i].str = memcpy(text, call->attr[i].str, length);
        text += length;
    }
}

/* Gives output [i] its node; an output that is somebody else's tensor becomes an alias first. */
static bool fill_output(GradNode *node, OpCall *call, int i)
{
    Tensor *y = call->out[i];
    spec_of(y, &node->out_spec[i]);
    if (call->def->saves & SAVE_OUT(i)) {
        node->out[i] = alias_of(call->ctx, y, NULL, 0);
        if (!node->out[i])
            return false;
    }
    if (dtype_class((Dtype)y->dtype) != CLASS_FLOAT)
        return true;          /* indices may be saved, but nothing flows through them */
    if (y->refs > 1 || y->node) {
        Tensor *alias = alias_of(call->ctx, y, NULL, 0);
        if (!alias)
            return false;
        tensor_release(y);
        call->out[i] = y = alias;
    }
    y->node = node;
    y->node_out = i;
    node->refs++;
    return true;
}

static bool any_float_output(const OpCall *call)
{
    for (int i = 0; i < call->n_out; i++)
        if (dtype_class((Dtype)call->out[i]->dtype) == CLASS_FLOAT)
            return true;
    return false;
}

bool tape_record(OpCall *call)
{
    if (!any_float_output(call))
        return true;
    unsigned strings;
    int n_attr = op_attr_count(call->def, &strings);
    if (!call->attr)
        n_attr = 0;
    GradNode *node = new_node(call->ctx, call->def, call->n_in, call->n_out, n_attr,
                              strings ? text_bytes(call->attr, n_attr, strings) : 0);
    if (!node)
        return false;
    bool filled = fill_inputs(node, call);
    fill_attrs(node, call, strings);
    for (int i = 0; i < call->n_out && filled; i++)
        filled = fill_output(node, call, i);
    grad_node_release(node);
    return filled;
}

Tensor *grad_leaf(TensorContext *context, Tensor *tensor)
{
    if (dtype_class((Dtype)tensor->dtype) != CLASS_FLOAT) {
        char type[96];
        tensor_type_name(tensor, type, sizeof type);
        error_set(&context->error, ERROR_gradient, "grad", "only float tensors have gradients, got %s", type);
        return NULL;
    }
    GradNode *node = new_node(context, NULL, 1, 1, 0, 0);
    if (!node)
        return NULL;
    spec_of(tensor, &node->in_spec[0]);
    spec_of(tensor, &node->out_spec[0]);
    Tensor *leaf = set_edge(context, node, 0, tensor) ? alias_of(context, tensor, node, 0) : NULL;
    grad_node_release(node);
    return leaf;
}

/* ---- boundaries ---- */

struct GradBoundary {
    GradBoundary *outer;
    uint64_t since;           /* what has a smaller order lies beyond */
    int count, room;
    Tensor **in, **leaf;      /* [count], in order of arrival */
    int32_t *slot;            /* hash of (node, out): 1 + place, 0 empty; [2 * room], a power of two */
};

static bool is_beyond(const GradBoundary *boundary, const GradNode *node)
{
    return node->order < boundary->since;
}

/* Zeros of that shape that take no memory, with that output's node. */
static Tensor *without_data(TensorContext *ctx, GradNode *node, int out)
{
    static const int64_t still[TENSOR_MAX_DIMS];
    const TensorSpec *spec = &node->out_spec[out];
    Tensor *zero = tensor_scalar(ctx, spec->dtype, 0);
    Tensor *tensor = zero ? tensor_view(ctx, zero, spec->ndim, spec->shape, still, 0) : NULL;
    tensor_release(zero);
    if (tensor) {
        tensor->node = node;
        tensor->node_out = out;
        node->refs++;
    }
    return tensor;
}

static int32_t *slot_of(GradBoundary *b, const GradNode *node, int out)
{
    size_t mask = 2 * (size_t)b->room - 1, at = ((uintptr_t)node >> 6) * 31 + (size_t)out;
    for (at &= mask; b->slot[at]; at = (at + 1) & mask) {
        const Tensor *in = b->in[b->slot[at] - 1];
        if (in->node == node && in->node_out == out)
            break;
    }
    return &b->slot[at];
}

static bool grow(TensorContext *ctx, GradBoundary *b)
{
    int room = b->room ? 2 * b->room : 16;
    size_t old = (size_t)b->room, new = (size_t)room;
    GradBoundary more = *b;
    more.room = room;
    more.in = block_take(2 * new * sizeof *more.in);
    more.slot = block_take(2 * new * sizeof *more.slot);
    bool ok = more.in && more.slot;
    if (ok) {
        more.leaf = more.in + new;
        memset(more.slot, 0, 2 * new * sizeof *more.slot);
        for (int i = 0; i < b->count; i++) {
            more.in[i] = b->in[i];
            more.leaf[i] = b->leaf[i];
            *slot_of(&more, more.in[i]->node, more.in[i]->node_out) = i + 1;
        }
    }
    block_give(ok ? b->in : more.in, 2 * (ok ? old : new) * sizeof *b->in);
    block_give(ok ? b->slot : more.slot, 2 * (ok ? old : new) * sizeof *b->slot);
    if (ok)
        *b = more;
    return ok || error_set(&ctx->error, ERROR_memory, "", "no memory is left to record gradients");
}

/* A leaf in place of [node]'s output, itself linked to it as the next boundary sees it. */
static Tensor *new_stand_in(TensorContext *ctx, GradBoundary *b, const Tensor *in)
{
    GradNode *node = new_node(ctx, NULL, 1, 1, 0, 0);
    if (!node)
        return NULL;
    node->order = b->since;
    spec_of(in, &node->in_spec[0]);
    spec_of(in, &node->out_spec[0]);
    GradBoundary *active = ctx->boundary;
    ctx->boundary = b->outer;
    Tensor *leaf = set_edge(ctx, node, 0, in) ? without_data(ctx, node, 0) : NULL;
    ctx->boundary = active;
    grad_node_release(node);
    return leaf;
}

static const Tensor *stand_in(TensorContext *ctx, GradBoundary *b, const Tensor *tensor)
{
    if (b->count == b->room && !grow(ctx, b))
        return NULL;
    int32_t *slot = slot_of(b, tensor->node, tensor->node_out);
    if (*slot)
        return b->leaf[*slot - 1];
    Tensor *in = without_data(ctx, tensor->node, tensor->node_out), *leaf = in ? new_stand_in(ctx, b, in) : NULL;
    if (!leaf) {
        tensor_release(in);
        return NULL;
    }
    b->in[b->count] = in;
    b->leaf[b->count] = leaf;
    *slot = ++b->count;
    return leaf;
}

GradBoundary *grad_boundary_begin(TensorContext *ctx, int n, Tensor *const *in)
{
    GradBoundary *b = block_take(sizeof *b);
    if (!b) {
        error_set(&ctx->error, ERROR_memory, "", "no memory is left to record gradients");
        return NULL;
    }
    *b = (GradBoundary){.outer = ctx->boundary};
    b->since = atomic_fetch_add_explicit(&node_orders, 1, memory_order_relaxed);
    ctx->boundary = b;
    for (int i = 0; i < n; i++)
        if (!stand_in(ctx, b, in[i])) {
            grad_boundary_end(ctx, b);
            grad_boundary_free(b);
            return NULL;
        }
    return b;
}

int grad_boundary_end(TensorContext *ctx, GradBoundary *b)
{
    ctx->boundary = b->outer;
    return b->count;
}

bool grad_boundary_is_beyond(const GradBoundary *b, const Tensor *tensor)
{
    return is_beyond(b, tensor->node);
}

Tensor *const *grad_boundary_inputs(const GradBoundary *b)
{
    return b->in;
}

Tensor *const *grad_boundary_leaves(const GradBoundary *b)
{
    return b->leaf;
}

void grad_boundary_free(GradBoundary *b)
{
    for (int i = 0; i < b->count; i++) {
        tensor_release(b->in[i]);
        tensor_release(b->leaf[i]);
    }
    block_give(b->in, 2 * (size_t)b->room * sizeof *b->in);
    block_give(b->slot, 2 * (size_t)b->room * sizeof *b->slot);
    block_give(b, sizeof *b);
}

/* ---- gradients from outside the table ---- */

bool grad_hook_take(TensorContext *ctx, GradHook *hook, int n_in, Tensor *const *in, int n_out, Tensor **out)
{
    GradNode *node = new_node(ctx, &hook_row, n_in, n_out, 0, 0);
    if (!node) {
        hook->release(hook);
        return false;
    }
    node->hook = hook;
    OpCall call = {.ctx = ctx, .def = &hook_row, .n_in = n_in, .in = in, .n_out = 1};
    bool ok = fill_inputs(node, &call);
    for (int i = 0; ok && i < n_out; i++) {
        spec_of(out[i], &node->out_spec[i]);
        Tensor *alias = alias_of(ctx, out[i], node, i);
        ok = alias != NULL;
        if (ok)
            tensor_slot(&out[i], alias);
    }
    grad_node_release(node);
    return ok;
}

/* ---- one backward pass ---- */

typedef struct Pass {
    TensorContext *ctx;
    uint64_t number;
    uint64_t oldest;          /* order of the oldest leaf */
    bool keep;                /* an enclosing level may come back */
    GradNode *list;           /* nodes that lead to a leaf, users before makers; each counted once */
} Pass;

static void visit(Pass *pass, GradNode *node, GradNode *parent)
{
    node->pass = pass->number;
    node->reaches = node->asked = false;
    node->parent = parent;
    node->cursor = 0;
}

/* Marks and lists what lies between [root] and the leaves: a depth-first walk whose stack is in the nodes. */
static void walk(Pass *pass, GradNode *root)
{
    if (root->order < pass->oldest || (root->pass == pass->number && root->cursor >= 0))
        return;
    if (root->pass != pass->number)
        visit(pass, root, NULL);
    root->parent = NULL;
    root->cursor = 0;
    for (GradNode *node = root; node;) {
        GradNode *to = node->cursor < node->n_in ? node->edge[node->cursor].node : NULL;
        if (node->cursor < node->n_in) {
            node->cursor++;
            if (!to || to->order < pass->oldest)
                continue;
            bool fresh = to->pass != pass->number;
            if (fresh)
                visit(pass, to, node);
            else if (to->cursor < 0) {        /* a leaf not walked yet */
                to->cursor = 0;
                to->parent = node;
                fresh = true;
            } else
                node->reaches = node->reaches || to->reaches;
            node = fresh ? to : node;
            continue;
        }
        GradNode *parent = node->parent;
        if (node->reaches || node->asked || (node->spent && node->def)) {
            node->reaches = true;
            node->refs++;
            node->next = pass->list;
            pass->list = node;
        }
        if (parent)
            parent->reaches = parent->reaches || node->reaches;
        node = parent;
    }
}

/* to += from: [n] elements of from, one behind the other, in rows of [row] elements that are [step] apart in to. */
typedef struct Addition { char *to; const char *from; int64_t n, row, step; Dtype dtype; } Addition;
#define ADD_CHUNK (1 << 15)

static void add_run(const Addition *a, const char *from, char *to, int64_t n)
{
    if (a->dtype == DTYPE_f32) {
        block_kernels()->add(n, (const float *)(const void *)from, (float *)(void *)to);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        ((double *)(void *)to)[i] += ((const double *)(const void *)from)[i];
}

static void add_task(void *arg, int64_t task)
{
    const Addition *a = arg;
    int64_t first = task * ADD_CHUNK, last = first + ADD_CHUNK < a->n ? first + ADD_CHUNK : a->n;
    int64_t size = (int64_t)dtype_size(a->dtype);
    while (first < last) {
        int64_t inside = first % a->row, left = a->row - inside, n = left < last - first ? left : last - first;
        add_run(a, a->from + first * size, a->to + (first / a->row * a->step + inside) * size, n);
        first += n;
    }
}

static bool add_in_place(Pass *pass, Addition *job)
{
    return pool_run(pass->ctx, (job->n + ADD_CHUNK - 1) / ADD_CHUNK, add_task, job);
}

/* slot += dx in place, where nobody else sees the sum. */
static bool can_add_in_place(const Pass *pass, const Tensor *sum, const Tensor *dx)
{
    return !pass->keep && tensor_is_unshared(sum) && sum->dtype == dx->dtype &&
           (sum->dtype == DTYPE_f32 || sum->dtype == DTYPE_f64) && tensor_is_contiguous(sum) &&
           tensor_is_contiguous(dx);
}

/* ---- gradients in parts ---- */

/* A rule may write its gradients as the parts of one tensor, as softmax_attention does where q, k and v are; their storage
   says which parts there are (bits of storage->parts). What selects one from its input then takes the storage as a whole for
   the gradient of the input, and the others find their parts there. Invariant: a storage has one whole at most, and until
   all parts have been joined only those that have been count. */
#define PARTS 0xffffu
#define PARTS_AXIS_AT 16                  /* the axis of the whole that the parts are along */
#define PARTS_TAKEN 0x80000000u           /* there is a whole */

static bool is_waiting(const Tensor *t)
{
    return t && t->storage && (t->storage->parts & PARTS_TAKEN) &&
           (size_t)tensor_size(t) * dtype_size((Dtype)t->dtype) == t->storage->bytes;
}

static void join(Storage *storage, int64_t part)
{
    storage->parts &= ~(1u << part);
    if (!(storage->parts & PARTS))
        storage->parts = 0;
}

/* Copies a whole without the parts that have not come: something else is added, or they never will. */
static bool settle(Pass *pass, Tensor **slot)
{
    if (!is_waiting(*slot))
        return true;
    uint32_t parts = (*slot)->storage->parts & PARTS;
    int axis = (int)((*slot)->storage->parts >> PARTS_AXIS_AT & 15);
    Tensor *dense = tensor_copy(pass->ctx, *slot);
    if (!dense)
        return false;
    int64_t bytes = dense->stride[axis] * (int64_t)dtype_size((Dtype)dense->dtype), count = dense->shape[axis];
    int64_t rows = tensor_size(dense) / (count * dense->stride[axis]);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t part = 0; part < count; part++)
            if (parts >> part & 1)
                memset(dense->data + (row * count + part) * bytes, 0, (size_t)bytes);
    tensor_slot(slot, dense);
    return true;
}

static bool accumulate(Pass *pass, GradNode *node, int out, Tensor *dx)
{
    Tensor **slot = &node->grad[out];
    if (!*slot) {
        *slot = tensor_retain(dx);
        return true;
    }
    if (!settle(pass, slot))
        return false;
    if (can_add_in_place(pass, *slot, dx)) {
        int64_t n = tensor_size(dx);
        return add_in_place(pass, &(Addition){(*slot)->data, dx->data, n, n > 0 ? n : 1, 0, (Dtype)dx->dtype});
    }
    Tensor *in[2] = {*slot, dx}, *sum;
    int n_out;
    if (!op_call(pass->ctx, op_def(OP_add), 2, in, NULL, &sum, &n_out))
        return false;
    tensor_slot(slot, sum);
    return true;
}

static bool misfit(Pass *pass, const GradNode *node, int i, const Tensor *dx)
{
    char got[96], want[96];
    tensor_type_name(dx, got, sizeof got);
    shape_format(node->in_spec[i].ndim, node->in_spec[i].shape, want, sizeof want);
    return error_set(&pass->ctx->error, ERROR_internal, node->def->name, "its gradient for input %d is %s, not %s%s", i,
                     got, dtype_name(node->in_spec[i].dtype), want);
}

/* Passes what the gradient rule gave to the makers of the inputs. */
static bool pass_on(Pass *pass, GradNode *node, const bool *wants, Tensor **dx)
{
    for (int i = 0; i < node->n_in; i++) {
        if (!wants[i] || !dx[i])
            continue;
        TensorSpec spec;
        spec_of(dx[i], &spec);
        if (spec.dtype != node->in_spec[i].dtype || !spec_equal_shape(&spec, &node->in_spec[i]))
            return misfit(pass, node, i, dx[i]);
        if (!accumulate(pass, node->edge[i].node, node->edge[i].out, dx[i]))
            return false;
    }
    return true;
}

static bool no_gradient(Pass *pass, const GradNode *node)
{
    Error *error = &pass->ctx->error;
    error_set(error, ERROR_gradient, node->def->name, "has no gradient");
    error_hint(error, "stop_grad(x) around its argument treats the result as a constant");
    for (int i = 0; i < node->n_in && error->n_operands < ERROR_MAX_OPERANDS; i++) {
        ErrorOperand *operand = &error->operand[error->n_operands++];
        int used = snprintf(operand->type, sizeof operand->type, "%s", dtype_name(node->in_spec[i].dtype));
        operand->input = i;
        shape_format(node->in_spec[i].ndim, node->in_spec[i].shape, operand->type + used,
                     sizeof operand->type - (size_t)used);
    }
    return false;
}

static bool used_up(Pass *pass, const GradNode *node)
{
    return error_set(&pass->ctx->error, ERROR_gradient, node->def->name, "its record was used by an earlier gradient");
}

/* The saved outputs as the gradient rule reads them: part of the record when a higher order may ask. */
static bool lend_outputs(Pass *pass, GradNode *node, Scope *s, Tensor **out)
{
    for (int i = 0; i < node->n_out; i++) {
        out[i] = node->out[i];
        if (out[i] && pass->keep && dtype_class((Dtype)out[i]->dtype) == CLASS_FLOAT)
            out[i] = scope_own(s, alias_of(pass->ctx, node->out[i], node, i));
        if (node->out[i] && !out[i])
            return false;
    }
    return true;
}

/* The saved inputs as the rule reads them, those that were not kept made again. */
static Tensor *const *lend_inputs(Pass *pass, GradNode *node, Scope *s, Tensor **room)
{
    if (!node->remade)
        return node->in;
    for (int i = 0; i < node->n_in; i++) {
        GradNode *maker = node->edge[i].node;
        room[i] = node->in[i];
        if (!(node->remade >> i & 1))
            continue;
        if (!maker->hook) {
            used_up(pass, node);
            return NULL;
        }
        Tensor *made = scope_own(s, maker->hook->remake(maker->hook, pass->ctx));
        room[i] = made && pass->keep ? scope_own(s, alias_of(pass->ctx, made, maker, node->edge[i].out)) : made;
        if (!room[i])
            return NULL;
    }
    return room;
}

static bool call_rule(Pass *pass, GradNode *node, bool *wants, Tensor **dx)
{
    Tensor *out[OP_MAX_OUT], *room[OP_MAX_IN];
    Scope s;
    scope_init(&s, pass->ctx);
    for (int i = 0; i < node->n_in; i++) {
        const GradNode *to = node->edge[i].node;
        wants[i] = to && to->pass == pass->number && to->reaches;
        dx[i] = NULL;
    }
    Tensor *const *in = lend_inputs(pass, node, &s, room);
    GradCall g = {.ctx = pass->ctx, .s = &s, .def = node->def, .n_in = node->n_in, .n_out = node->n_out, .in = in,
                  .out = out, .in_spec = node->in_spec, .out_spec = node->out_spec, .attr = node->attr,
                  .dy = node->grad, .wants = wants, .dx = dx};
    bool done = in && lend_outputs(pass, node, &s, out) && node->def->grad(&g) && pass->ctx->error.kind == ERROR_NONE &&
                pass_on(pass, node, wants, dx);
    scope_clear(&s);
    if (!done)
        error_set(&pass->ctx->error, ERROR_internal, node->def->name, "its gradient failed without saying why");
    return done;
}

static bool call_hook(Pass *pass, GradNode *node, bool *wants, Tensor **dx)
{
    for (int i = 0; i < node->n_in; i++) {
        const GradNode *to = node->edge[i].node;
        wants[i] = to && to->pass == pass->number && to->reaches;
        dx[i] = NULL;
    }
    bool done = node->hook->gradient(node->hook, pass->ctx, node->grad, wants, dx) && pass_on(pass, node, wants, dx);
    for (int i = 0; i < node->n_in; i++)
        tensor_release(dx[i]);
    return done || error_set(&pass->ctx->error, ERROR_internal, "with_grad", "its gradient failed without saying why");
}

/* A rule may write over what arrived, unless somebody else holds it: who asked for it does. */
static void hold_asked(const GradNode *node, bool hold)
{
    for (int i = 0; node->asked && i < node->n_out; i++)
        if (hold)
            tensor_retain(node->grad[i]);
        else
            tensor_release(node->grad[i]);
}

static bool any_rule(Pass *pass, GradNode *node, bool *wants, Tensor **dx)
{
    bool narrow = pass->ctx->narrow;
    pass->ctx->narrow = node->narrow;
    hold_asked(node, true);
    bool done = node->hook ? call_hook(pass, node, wants, dx) : call_rule(pass, node, wants, dx);
    hold_asked(node, false);
    pass->ctx->narrow = narrow;
    return done;
}

static bool watched_rule(Pass *pass, GradNode *node, bool *wants, Tensor **dx)
{
    OpWatch *watch = pass->ctx->watch;
    watch->begin_gradient(watch, node->def->name, node->place);
    bool done = any_rule(pass, node, wants, dx);
    watch->end(watch);
    return done;
}

/* The rows of a part of a contiguous tensor; false: its elements do not lie in such. */
static bool find_rows(const Tensor *part, Addition *job)
{
    int d = part->ndim;
    job->row = 1;
    for (; d > 0 && (part->shape[d - 1] == 1 || part->stride[d - 1] == job->row); d--)
        job->row *= part->shape[d - 1];
    job->step = d > 0 ? part->stride[d - 1] : job->row;
    for (int64_t step = job->step; d > 0; d--) {
        if (part->shape[d - 1] > 1 && part->stride[d - 1] != step)
            return false;
        step *= part->shape[d - 1];
    }
    return true;
}

/* Which part a select node takes, and along which axis. */
static int64_t selected(const GradNode *node, int *axis)
{
    const TensorSpec *spec = &node->in_spec[0];
    int64_t at = node->attr[1].i;
    *axis = (int)(node->attr[0].i < 0 ? node->attr[0].i + spec->ndim : node->attr[0].i);
    return at < 0 ? at + spec->shape[*axis] : at;
}

/* The whole that [dy], a part, lies in as the gradient of the input of [node], which selects it. NULL: there
   is none, or the pass's error says why not. */
static Tensor *take_whole(Pass *pass, const GradNode *node, const Tensor *dy)
{
    const TensorSpec *spec = &node->in_spec[0];
    Storage *storage = dy->storage;
    int axis;
    int64_t part = selected(node, &axis), count = spec->shape[axis], step, stride[TENSOR_MAX_DIMS];
    if (!storage || !storage->parts || (storage->parts & PARTS_TAKEN) || !(storage->parts >> part & 1) ||
        storage->parts != (1u << count) - 1 || (step = tensor_parts_step(dy, count)) == 0 ||
        (size_t)spec_size(spec) * dtype_size(spec->dtype) != storage->bytes ||
        dy->data != (char *)storage->data + part * step * (int64_t)dtype_size(spec->dtype))
        return NULL;
    for (int d = 0; d < spec->ndim; d++)
        stride[d] = d == axis ? step : dy->stride[d - (d > axis)];
    Tensor *whole = tensor_view(pass->ctx, dy, spec->ndim, spec->shape, stride, -part * step);
    if (whole) {
        storage->parts |= PARTS_TAKEN | (uint32_t)axis << PARTS_AXIS_AT;
        join(storage, part);
    }
    return whole;
}

/* Whether the part of [sum] that [node] selects is [dy] itself, which then counts from now on. */
static bool is_joined(Pass *pass, const GradNode *node, Tensor *sum, const Tensor *dy)
{
    int axis, n_out;
    int64_t part = selected(node, &axis);
    Tensor *place;
    if (!is_waiting(sum) || axis != (int)(sum->storage->parts >> PARTS_AXIS_AT & 15) || !(sum->storage->parts >> part & 1) ||
        !op_call(pass->ctx, node->def, 1, &sum, node->attr, &place, &n_out))
        return false;
    bool same = place->data == dy->data;
    for (int d = 0; d < dy->ndim; d++)
        same = same && (dy->shape[d] == 1 || place->stride[d] == dy->stride[d]);
    tensor_release(place);
    if (same)
        join(sum->storage, part);
    return same;
}

/* select and slice: where gradients of other parts have arrived before, this one is added at its place. Else each part
   would be a whole tensor of zeros around it. False: not done; the pass's error tells whether it failed. */
static bool add_part(Pass *pass, GradNode *node)
{
    const Edge *edge = &node->edge[0];
    Tensor *dy = node->grad[0], *part;
    int n_out;
    if ((node->def != op_def(OP_select) && node->def != op_def(OP_slice)) || !dy || dy->ndim == 0 || !edge->node ||
        edge->node->pass != pass->number || !edge->node->reaches)
        return false;
    Tensor *sum = edge->node->grad[edge->out];
    if (node->def == op_def(OP_select) && !pass->keep) {
        if (sum ? is_joined(pass, node, sum, dy) : (edge->node->grad[edge->out] = take_whole(pass, node, dy)) != NULL)
            return true;
        if (pass->ctx->error.kind != ERROR_NONE)
            return false;
    }
    if (!sum || is_waiting(sum) || tensor_size(dy) == 0 || !can_add_in_place(pass, sum, dy) ||
        !op_call(pass->ctx, node->def, 1, &sum, node->attr, &part, &n_out))
        return false;
    Addition job = {part->data, dy->data, tensor_size(dy), 1, 0, (Dtype)dy->dtype};
    bool done = part->storage == sum->storage && find_rows(part, &job) && add_in_place(pass, &job);
    tensor_release(part);
    return done;
}

#define FEW 16

static bool differentiate(Pass *pass, GradNode *node)
{
    if (!node->def) {
        Edge *edge = &node->edge[0];
        bool on = edge->node && edge->node->pass == pass->number && edge->node->reaches;
        return !on || accumulate(pass, edge->node, edge->out, node->grad[0]);
    }
    if (node->spent)
        return used_up(pass, node);
    if (node->def->mode == MODE_NOGRAD)
        return no_gradient(pass, node);
    if (add_part(pass, node))
        return true;
    if (pass->ctx->error.kind != ERROR_NONE)
        return false;
    bool few_wants[FEW];
    Tensor *few_dx[FEW];
    bool (*rule)(Pass *, GradNode *, bool *, Tensor **) = pass->ctx->watch ? watched_rule : any_rule;
    if (node->n_in <= FEW)
        return rule(pass, node, few_wants, few_dx);
    size_t n = (size_t)node->n_in, bytes = n * (sizeof(Tensor *) + sizeof(bool));
    Tensor **dx = block_take(bytes);
    if (!dx)
        return error_set(&pass->ctx->error, ERROR_memory, node->def->name, "no memory is left for its gradient");
    bool done = rule(pass, node, (bool *)(dx + n), dx);
    block_give(dx, bytes);
    return done;
}

static bool anything_arrived(const GradNode *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->grad[i])
            return true;
    return false;
}

/* Takes the nodes off the list in order; after an error only cleans up. */
static bool run_pass(Pass *pass, bool good)
{
    while (pass->list) {
        GradNode *node = pass->list;
        pass->list = node->next;
        for (int i = 0; good && i < node->n_out; i++)
            good = settle(pass, &node->grad[i]);
        if (good && anything_arrived(node)) {
            good = !tensor_interrupted(pass->ctx) && differentiate(pass, node);
            if (good && !pass->keep && node->def) {
                drop_contents(node);
                node->spent = true;
            }
        }
        for (int i = 0; i < node->n_out && !node->asked; i++) {
            tensor_release(node->grad[i]);
            node->grad[i] = NULL;
        }
        grad_node_release(node);
    }
    return good;
}

/* ---- seeds and results ---- */

static Tensor *ones_like(TensorContext *ctx, const Tensor *output)
{
    Tensor *one = tensor_new(ctx, (Dtype)output->dtype, output->ndim, output->shape);
    if (one)
        tensor_store(one, 0, 1.0);
    return one;
}

static Tensor *seed_for(Pass *pass, const Tensor *output, Tensor *seed)
{
    char type[96], got[96];
    tensor_type_name(output, type, sizeof type);
    if (!seed) {
        if (tensor_size(output) == 1)
            return ones_like(pass->ctx, output);
        error_set(&pass->ctx->error, ERROR_gradient, "grad", "starts from one number, got %s", type);
        error_hint(&pass->ctx->error, "take its sum() or mean() first");
        return NULL;
    }
    TensorSpec a, b;
    spec_of(output, &a);
    spec_of(seed, &b);
    if (!spec_equal_shape(&a, &b)) {
        tensor_type_name(seed, got, sizeof got);
        error_set(&pass->ctx->error, ERROR_shape, "grad", "the output is %s, but what multiplies it is %s", type, got);
        return NULL;
    }
    if (seed->dtype == output->dtype && !seed->weak)
        return tensor_retain(seed);
    Scope s;
    scope_init(&s, pass->ctx);
    Tensor *cast = tensor_retain(seed->node && pass->keep ? s_cast(&s, seed, (Dtype)output->dtype) : NULL);
    scope_clear(&s);
    return cast ? cast : tensor_cast(pass->ctx, seed, (Dtype)output->dtype);
}

static bool plant_seeds(Pass *pass, int n, Tensor *const *outputs, Tensor *const *seeds)
{
    for (int i = 0; i < n; i++) {
        GradNode *node = outputs[i]->node;
        Tensor *seed = seed_for(pass, outputs[i], seeds ? seeds[i] : NULL);
        if (!seed)
            return false;
        bool counts = node && node->pass == pass->number && node->reaches;
        bool planted = !counts || accumulate(pass, node, outputs[i]->node_out, seed);
        tensor_release(seed);
        if (!planted)
            return false;
    }
    return true;
}

static void mark_leaves(Pass *pass, int n, Tensor *const *leaves)
{
    pass->oldest = UINT64_MAX;
    for (int i = 0; i < n; i++) {
        GradNode *node = leaves[i]->node;
        if (!node)
            continue;
        visit(pass, node, NULL);
        node->asked = true;
        node->cursor = -1;    /* not walked yet */
        pass->oldest = node->order < pass->oldest ? node->order : pass->oldest;
    }
}

static bool collect(Pass *pass, int n, Tensor *const *leaves, Tensor **grads)
{
    bool good = true;
    for (int i = 0; i < n; i++) {
        GradNode *node = leaves[i]->node;
        Tensor *grad = node ? node->grad[leaves[i]->node_out] : NULL;
        if (grad)
            grads[i] = tensor_retain(grad);
        else
            grads[i] = tensor_zeros(pass->ctx, (Dtype)leaves[i]->dtype, leaves[i]->ndim, leaves[i]->shape);
        good = good && grads[i];
    }
    return good;
}

static void clear_leaves(int n, Tensor *const *leaves)
{
    for (int i = 0; i < n; i++) {
        GradNode *node = leaves[i]->node;
        for (int j = 0; node && j < node->n_out; j++) {
            tensor_release(node->grad[j]);
            node->grad[j] = NULL;
        }
    }
}

bool grad_backward(TensorContext *context, int n_outputs, Tensor *const *outputs, Tensor *const *seeds, int n_leaves,
                   Tensor *const *leaves, Tensor **grads)
{
    context->recording--;     /* this level is not recorded on */
    Pass pass = {.ctx = context, .number = atomic_fetch_add(&pass_numbers, 1) + 1, .keep = context->recording > 0};
    for (int i = 0; i < n_leaves; i++)
        grads[i] = NULL;
    mark_leaves(&pass, n_leaves, leaves);
    for (int i = 0; i < n_outputs; i++)
        if (outputs[i]->node)
            walk(&pass, outputs[i]->node);
    bool good = run_pass(&pass, plant_seeds(&pass, n_outputs, outputs, seeds));
    good = good && collect(&pass, n_leaves, leaves, grads);
    clear_leaves(n_leaves, leaves);
    for (int i = 0; i < n_leaves && !good; i++)
        tensor_slot(&grads[i], NULL);
    context->recording++;
    return good;
}

/* ---- looking ---- */

bool grad_node_kept(const GradNode *node, const OpDef *def, GradCall *g)
{
    if (node->def != def || node->spent || node->remade)
        return false;
    *g = (GradCall){.def = def, .n_in = node->n_in, .n_out = node->n_out, .in = node->in, .out = node->out,
                    .in_spec = node->in_spec, .out_spec = node->out_spec, .attr = node->attr};
    return true;
}

static void spec_name(const TensorSpec *spec, char *buffer, size_t size)
{
    int used = snprintf(buffer, size, "%s", dtype_name(spec->dtype));
    if (used > 0 && (size_t)used < size)
        shape_format(spec->ndim, spec->shape, buffer + used, size - (size_t)used);
}

const char *grad_node_name(const GradNode *node)
{
    return node->hook ? node->hook->name : node->def ? op_name(node->def) : "";
}

void grad_node_type(const GradNode *node, char *buffer, size_t size)
{
    spec_name(&node->out_spec[0], buffer, size);
}

int grad_node_inputs(const GradNode *node)
{
    return node->n_in;
}

const GradNode *grad_node_input(const GradNode *node, int i)
{
    return node->edge[i].node;
}

void grad_node_input_type(const GradNode *node, int i, char *buffer, size_t size)
{
    spec_name(&node->in_spec[i], buffer, size);
}
