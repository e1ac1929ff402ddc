/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Expressions of elementwise ops in one pass against the same ops one by one: the same bits of values, of gradients
   where each leaf is read once, and of second gradients; every row, both float dtypes, views and broadcasts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../tap.h"

#define MOST_NODES 20
#define LEAVES 7

static TensorContext ctx;
static atomic_uint flag;

/* Nodes 0..LEAVES are the leaves; the others call op on earlier ones. */
typedef struct Expression {
    int n;
    const OpDef *op[MOST_NODES];
    int arg[MOST_NODES][2];
} Expression;

static const OpDef *ending;   /* a sum or mean behind it; NULL: none */

static int arity(const OpDef *def) { return op_signature(def)->count; }

static int call(Expression *e, const OpDef *op, int a, int b)
{
    e->op[e->n] = op;
    e->arg[e->n][0] = a;
    e->arg[e->n][1] = b;
    return e->n++;
}

static void begin(Expression *e) { e->n = LEAVES; }

/* How often each node is read; only what is read once and later may be put off. */
static void count_reads(const Expression *e, int *reads)
{
    memset(reads, 0, MOST_NODES * sizeof *reads);
    for (int i = LEAVES; i < e->n; i++)
        for (int k = 0; k < arity(e->op[i]); k++)
            reads[e->arg[i][k]]++;
}

/* The last node's value, owned; NULL on an error. */
static Tensor *evaluate(const Expression *e, Tensor *const *leaf, bool fused, int *n_deferred)
{
    Tensor *value[MOST_NODES] = {NULL};
    int reads[MOST_NODES], n_out;
    bool fine = true;
    count_reads(e, reads);
    for (int i = 0; i < LEAVES; i++)
        value[i] = leaf[i];
    for (int i = LEAVES; i < e->n && fine; i++) {
        Tensor *in[2] = {value[e->arg[i][0]], value[e->arg[i][1]]};
        ctx.defer = fused && (i < e->n - 1 ? reads[i] == 1 : ending != NULL);
        fine = fused ? op_call_fused(&ctx, e->op[i], arity(e->op[i]), in, NULL, &value[i], &n_out)
                     : op_call(&ctx, e->op[i], arity(e->op[i]), in, NULL, &value[i], &n_out);
        if (fine && value[i]->deferred)
            ++*n_deferred;
    }
    for (int i = LEAVES; i < e->n - 1; i++)
        tensor_release(value[i]);
    Tensor *last = fine ? value[e->n - 1] : NULL, *sum = NULL;
    if (!ending || !last)
        return last;
    Attr all[2] = {{.none = true}, {.b = false}};
    fine = fused ? op_call_fused(&ctx, ending, 1, &last, all, &sum, &n_out)
                 : op_call(&ctx, ending, 1, &last, all, &sum, &n_out);
    tensor_release(last);
    return fine ? sum : NULL;
}

static bool same_bits(const Tensor *a, const Tensor *b)
{
    if (!a || !b || a->dtype != b->dtype || a->ndim != b->ndim ||
        memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape))
        return false;
    for (int64_t i = 0, n = tensor_size(a); i < n; i++) {
        double x = tensor_item(a, i), y = tensor_item(b, i);
        if (!(x == y && signbit(x) == signbit(y)) && !(isnan(x) && isnan(y)))
            return false;
    }
    return true;
}

/* Gradients by all leaves, of order 1, or of the sum of the squares of the first ones, of order 2. */
static bool gradients(const Expression *e, Tensor *const *leaf, bool fused, int order, Tensor **grads)
{
    Scope s;
    scope_init(&s, &ctx);
    Tensor *inner[LEAVES], *first[LEAVES] = {NULL};
    int deferred = 0;
    grad_begin(&ctx);
    for (int i = 0; i < LEAVES; i++)
        inner[i] = leaf[i]->weak ? leaf[i] : scope_own(&s, grad_leaf(&ctx, leaf[i]));
    bool fine;
    if (order == 1) {
        Tensor *y = scope_own(&s, evaluate(e, inner, fused, &deferred));
        Tensor *seed = scope_own(&s, tensor_detach(&ctx, leaf[1]));
        fine = y && seed && grad_backward(&ctx, 1, &y, ending ? NULL : &seed, LEAVES, inner, grads);
    } else {
        fine = gradients(e, inner, fused, order - 1, first);
        Tensor *sum = NULL;
        for (int i = 0; fine && i < LEAVES; i++) {
            if (inner[i]->weak || !first[i]->node)
                continue;
            bool all[TENSOR_MAX_DIMS] = {true, true};
            Tensor *square = s_sum(&s, s_mul(&s, first[i], first[i]), all, false);
            sum = sum ? s_add(&s, sum, square) : square;
        }
        for (int i = 0; i < LEAVES; i++) {
            scope_own(&s, first[i]);
            grads[i] = NULL;
        }
        fine = fine && (!sum || grad_backward(&ctx, 1, &sum, NULL, LEAVES, inner, grads));
    }
    grad_end(&ctx);
    scope_clear(&s);
    return fine;
}

static Tensor *random_tensor(Dtype dtype, int ndim, int64_t a, int64_t b)
{
    int64_t shape[2] = {a, b};
    if (ndim == 1)
        shape[0] = b;
    Tensor *t = tensor_new(&ctx, dtype, ndim, shape);
    for (int64_t i = 0; i < tensor_size(t); i++) {
        double v = 0.1 + 0.8 * rand() / RAND_MAX;
        if (dtype == DTYPE_f32)
            ((float *)(void *)t->data)[i] = (float)v;
        else
            ((double *)(void *)t->data)[i] = v;
    }
    return t;
}

/* Dense, dense, transposed, a row for all, a column for all, every second column, a plain number. */
static void make_leaves(Dtype dtype, Tensor **leaf)
{
    enum { ROWS = 70, COLUMNS = 90 };
    int64_t shape[2] = {ROWS, COLUMNS}, across[2] = {1, ROWS}, second[2] = {2 * COLUMNS, 2};
    leaf[0] = random_tensor(dtype, 2, ROWS, COLUMNS);
    leaf[1] = random_tensor(dtype, 2, ROWS, COLUMNS);
    Tensor *turned = random_tensor(dtype, 2, COLUMNS, ROWS), *wide = random_tensor(dtype, 2, ROWS, 2 * COLUMNS);
    leaf[2] = tensor_view(&ctx, turned, 2, shape, across, 0);
    leaf[3] = random_tensor(dtype, 1, 0, COLUMNS);
    leaf[4] = random_tensor(dtype, 2, ROWS, 1);
    leaf[5] = tensor_view(&ctx, wide, 2, shape, second, 0);
    leaf[6] = tensor_weak(&ctx, true, 0.75, 0);
    tensor_release(turned);
    tensor_release(wide);
}

static bool same_gradients(const Expression *e, Tensor *const *leaf, int order)
{
    Tensor *fused[LEAVES] = {NULL}, *plain[LEAVES] = {NULL};
    bool same = gradients(e, leaf, true, order, fused) && gradients(e, leaf, false, order, plain);
    for (int i = 0; i < LEAVES; i++) {
        same = same && (leaf[i]->weak || (!fused[i] && !plain[i]) || same_bits(fused[i], plain[i]));
        tensor_release(fused[i]);
        tensor_release(plain[i]);
    }
    return same;
}

static bool same_value(const Expression *e, Tensor *const *leaf, int *deferred)
{
    int none = 0;
    Tensor *fused = evaluate(e, leaf, true, deferred), *plain = evaluate(e, leaf, false, &none);
    bool same = same_bits(fused, plain);
    tensor_release(fused);
    tensor_release(plain);
    return same;
}

/* R(a * b, c) with d added, and d - R(c, a) times a row: each row first, within and last. */
static void test_row(const OpDef *row, Tensor *const *leaf)
{
    const OpDef *mul = op_def(OP_mul), *add = op_def(OP_add), *sub = op_def(OP_sub);
    bool values = true, first = true, second = true;
    int deferred = 0;
    for (int form = 0; form < 3; form++) {
        Expression e;
        begin(&e);
        if (form == 0)
            call(&e, add, call(&e, row, call(&e, mul, 0, 6), 4), 2);
        else if (form == 1)
            call(&e, mul, call(&e, sub, 1, call(&e, row, 5, 0)), 3);
        else
            call(&e, row, call(&e, mul, 0, 3), call(&e, add, 2, 6));
        values = values && same_value(&e, leaf, &deferred);
        first = first && same_gradients(&e, leaf, 1);
        second = second && same_gradients(&e, leaf, 2);
    }
    const char *end = ending ? op_name(ending) : "values", *dtype = dtype_name((Dtype)leaf[0]->dtype);
    tap_ok(ctx.error.kind == ERROR_NONE && values && deferred > 0, "%s, %s, %s", op_name(row), dtype, end);
    if (ctx.error.kind != ERROR_NONE)
        tap_note("%s", ctx.error.message);
    tap_ok(first, "%s, %s, %s: gradients", op_name(row), dtype, end);
    tap_ok(second, "%s, %s, %s: second gradients", op_name(row), dtype, end);
    error_clear(&ctx.error);
}

/* Trees at random, beyond the longest that one pass takes. */
static void test_random(Tensor *const *leaf)
{
    const OpDef *some[] = {op_def(OP_add), op_def(OP_sub), op_def(OP_mul), op_def(OP_maximum), op_def(OP_tanh),
                           op_def(OP_gelu), op_def(OP_neg), op_def(OP_square), op_def(OP_relu), op_def(OP_sin)};
    bool same = true;
    int deferred = 0;
    for (int round = 0; round < 300 && same; round++) {
        Expression e;
        begin(&e);
        int last = LEAVES + 2 + rand() % (MOST_NODES - LEAVES - 2);
        while (e.n < last)
            call(&e, some[rand() % 10], e.n == LEAVES ? rand() % LEAVES : e.n - 1, rand() % e.n);
        same = same_value(&e, leaf, &deferred);
    }
    tap_ok(same && deferred > 300, "300 trees at random, %d results put off, %s", deferred,
           dtype_name((Dtype)leaf[0]->dtype));
}

/* Longer than one tile, and not a multiple of it. */
static void test_long_sum(Dtype dtype)
{
    Tensor *leaf[LEAVES];
    for (int i = 0; i < LEAVES; i++)
        leaf[i] = random_tensor(dtype, 2, 333, i == 1 ? 1 : 777);
    Expression e;
    int deferred = 0;
    begin(&e);
    call(&e, op_def(OP_tanh), call(&e, op_def(OP_mul), 0, 1), 0);
    ending = op_def(OP_sum);
    bool same = same_value(&e, leaf, &deferred) && same_gradients(&e, leaf, 1);
    ending = NULL;
    tap_ok(same && deferred == 2, "a long sum, %s", dtype_name(dtype));
    for (int i = 0; i < LEAVES; i++)
        tensor_release(leaf[i]);
}

static void test_interrupt(Tensor *const *leaf)
{
    Expression e;
    int deferred = 0;
    begin(&e);
    call(&e, op_def(OP_add), call(&e, op_def(OP_mul), 0, 1), 2);
    int64_t shape[2] = {3000, 3000}, still[2] = {0, 0};
    Tensor *wide[LEAVES];
    for (int i = 0; i < LEAVES; i++)
        wide[i] = i < 3 ? tensor_view(&ctx, leaf[0], 2, shape, still, 0) : tensor_retain(leaf[i]);
    atomic_store(&flag, FLAG_INTERRUPT);
    Tensor *made = evaluate(&e, wide, true, &deferred);
    atomic_store(&flag, 0);
    tap_ok(!made && ctx.error.kind == ERROR_interrupt, "a pass ends when it is interrupted");
    tensor_release(made);
    error_clear(&ctx.error);
    for (int i = 0; i < LEAVES; i++)
        tensor_release(wide[i]);
}

/* What cannot be put off is computed, and says what is wrong as ever. */
static void test_refusals(Tensor *const *leaf)
{
    Tensor *odd = random_tensor((Dtype)leaf[0]->dtype, 2, 71, 90), *out = NULL, *late = NULL;
    Tensor *in[2] = {leaf[0], odd};
    int n_out;
    ctx.defer = true;
    tap_ok(!op_call_fused(&ctx, op_def(OP_add), 2, in, NULL, &out, &n_out) && ctx.error.kind == ERROR_shape,
           "shapes that do not fit are an error at once");
    error_clear(&ctx.error);
    ctx.defer = true;
    Tensor *both[2] = {leaf[0], leaf[1]};
    bool fine = op_call_fused(&ctx, op_def(OP_add), 2, both, NULL, &late, &n_out) && late->deferred;
    tap_ok(fine, "a sum is put off");
    in[0] = late;
    tap_ok(!op_call_fused(&ctx, op_def(OP_add), 2, in, NULL, &out, &n_out) && ctx.error.kind == ERROR_shape,
           "or when the late one meets another shape");
    error_clear(&ctx.error);
    tap_ok(!late->deferred, "which computes it");
    tensor_release(late);
    tensor_release(odd);
}

int main(void)
{
    tensor_context_init(&ctx, &flag);
    int64_t before = tensor_live_count();
    for (int d = 0; d < 2; d++) {
        Tensor *leaf[LEAVES];
        make_leaves(d ? DTYPE_f64 : DTYPE_f32, leaf);
        for (int i = 0; i < OP_COUNT; i++) {
            const OpDef *row = op_def((OpId)i);
            bool float_row = row->element == ELEMENT_FLOAT || row->element == ELEMENT_ARITH || row->element == ELEMENT_SAME;
            if (float_row && row->mode == MODE_DIFF)
                test_row(row, leaf);
            ending = op_def(i % 2 ? OP_sum : OP_mean);
            if (float_row && row->mode == MODE_DIFF)
                test_row(row, leaf);
            ending = NULL;
        }
        test_random(leaf);
        test_long_sum((Dtype)leaf[0]->dtype);
        test_interrupt(leaf);
        test_refusals(leaf);
        for (int i = 0; i < LEAVES; i++)
            tensor_release(leaf[i]);
    }
    tap_ok(tensor_live_count() == before, "no tensor is left");
    return tap_end();
}
