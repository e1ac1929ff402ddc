/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of optimisers over many parameters at once: against the formulas in plain f64, in place and beside, the same
   bits for any number of threads, and all or nothing on errors and interrupts. */
#include <math.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../tap.h"

#define COUNT 6
#define RATE 0.05
#define DECAY 0.02
#define STEP 3
#define FACTOR 0.5

static TensorContext ctx;

/* Sizes below, at and above what one task takes. */
static const int64_t shapes[COUNT][2] = {{3, 5}, {1, 1}, {0, 4}, {128, 256}, {300, 333}, {7, 2049}};

typedef struct Set { Tensor *p, *g, *m, *v; } Set;

static double uniform(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / 16777216.0;
}

static Tensor *fill(Dtype dtype, const int64_t *shape, uint32_t seed, double low, double high)
{
    Tensor *t = tensor_new(&ctx, dtype, 2, shape);
    for (int64_t i = 0; i < tensor_size(t); i++) tensor_store(t, i, low + (high - low) * uniform(&seed));
    return t;
}

static void make_sets(Set *set, Dtype dtype)
{
    for (uint32_t i = 0; i < COUNT; i++)
        set[i] = (Set){fill(dtype, shapes[i], 4 * i, -1, 1), fill(dtype, shapes[i], 4 * i + 1, -1, 1),
                       fill(dtype, shapes[i], 4 * i + 2, -1, 1), fill(dtype, shapes[i], 4 * i + 3, 0, 1)};
}

static void free_sets(Set *set)
{
    for (int i = 0; i < COUNT; i++) {
        tensor_release(set[i].p);
        tensor_release(set[i].g);
        tensor_release(set[i].m);
        tensor_release(set[i].v);
    }
}

static Tensor *copy(const Tensor *t) { return t ? tensor_copy(&ctx, t) : NULL; }

static void copy_sets(Set *to, const Set *from)
{
    for (int i = 0; i < COUNT; i++)
        to[i] = (Set){copy(from[i].p), copy(from[i].g), copy(from[i].m), copy(from[i].v)};
}

static void fill_updates(Update *updates, const Set *set, OpId rule, bool own)
{
    bool second = rule == OP_adam_update || rule == OP_lamb_update;
    for (int i = 0; i < COUNT; i++)
        updates[i] = (Update){.in = {set[i].p, set[i].g, set[i].m, second ? set[i].v : NULL}, .own = {own, own, own}};
}

static void drop(Update *updates)
{
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < UPDATE_OUT; k++) tensor_slot(&updates[i].out[k], NULL);
}

static const Attr *numbers(OpId rule)
{
    static Attr sgd[5], adam[7], lars[7];
    sgd[0] = attr_num(RATE), sgd[1] = attr_num(0.9), sgd[2] = attr_num(DECAY), sgd[3] = attr_bool(true);
    sgd[4] = attr_bool(false);
    adam[0] = attr_int(STEP), adam[1] = attr_num(RATE), adam[2] = attr_num(0.9), adam[3] = attr_num(0.99);
    adam[4] = attr_num(1e-8), adam[5] = attr_num(DECAY), adam[6] = attr_bool(true);
    lars[0] = attr_num(RATE), lars[1] = attr_num(0.9), lars[2] = attr_num(DECAY), lars[3] = attr_num(0.1);
    lars[4] = attr_num(1e-8), lars[5] = lars[6] = attr_bool(false);
    return rule == OP_sgd_update ? sgd : rule == OP_lars_update ? lars : adam;
}

/* ---- the formulas ---- */

static double norm_of(const Tensor *t)
{
    double sum = 0;
    for (int64_t i = 0; i < tensor_size(t); i++) sum += tensor_item(t, i) * tensor_item(t, i);
    return sqrt(sum);
}

static double adam_direction(const Set *s, int64_t i, double *m, double *v)
{
    double g = FACTOR * tensor_item(s->g, i);
    *m = 0.9 * tensor_item(s->m, i) + 0.1 * g;
    *v = 0.99 * tensor_item(s->v, i) + 0.01 * g * g;
    return *m / (1 - pow(0.9, STEP)) / (sqrt(*v / (1 - pow(0.99, STEP))) + 1e-8) + DECAY * tensor_item(s->p, i);
}

/* What element i of the parameter and its state become. [scale]: LARS's, or LAMB's trust. */
static void expect(OpId rule, const Set *s, int64_t i, double scale, double want[3])
{
    double p = tensor_item(s->p, i);
    if (rule == OP_sgd_update || rule == OP_lars_update) {
        double d = scale * (FACTOR * tensor_item(s->g, i) + DECAY * p);
        want[1] = 0.9 * tensor_item(s->m, i) + d;
        want[0] = p - RATE * (rule == OP_sgd_update ? d + 0.9 * want[1] : want[1]);
        return;
    }
    want[0] = p - RATE * scale * adam_direction(s, i, &want[1], &want[2]);
}

static double scale_of(OpId rule, const Set *s)
{
    double p = norm_of(s->p), sum = 0, m, v;
    if (rule == OP_lars_update) return 0.1 * p / (FACTOR * norm_of(s->g) + DECAY * p + 1e-8);
    if (rule != OP_lamb_update) return 1;
    for (int64_t i = 0; i < tensor_size(s->p); i++) sum += pow(adam_direction(s, i, &m, &v), 2);
    return p / sqrt(sum);
}

static bool as_expected(OpId rule, const Set *before, const Update *updates, double tolerance)
{
    double worst = 0, want[3];
    for (int i = 0; i < COUNT; i++) {
        double scale = scale_of(rule, &before[i]);
        for (int64_t k = 0; k < tensor_size(before[i].p); k++) {
            expect(rule, &before[i], k, scale, want);
            for (int j = 0; j < UPDATE_OUT; j++)
                if (updates[i].out[j])
                    worst = fmax(worst, fabs(tensor_item(updates[i].out[j], k) - want[j]) / fmax(1, fabs(want[j])));
        }
    }
    if (worst > tolerance) tap_note("%s: off by %g", op_name(op_def(rule)), worst);
    return worst <= tolerance;
}

/* ---- tests ---- */

static const OpId rules[] = {OP_sgd_update, OP_adam_update, OP_lars_update, OP_lamb_update};

static bool run(OpId rule, Update *updates)
{
    int at;
    return update_all(&ctx, op_def(rule), numbers(rule), FACTOR, COUNT, updates, &at);
}

static bool same_results(const Update *a, const Update *b)
{
    bool same = true;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < UPDATE_OUT; k++)
            same = same && (!a[i].out[k] || tensor_same(a[i].out[k], b[i].out[k]));
    return same;
}

static bool unchanged(const Set *a, const Set *b)
{
    bool same = true;
    for (int i = 0; i < COUNT; i++)
        same = same && tensor_same(a[i].p, b[i].p) && tensor_same(a[i].g, b[i].g) && tensor_same(a[i].m, b[i].m)
            && tensor_same(a[i].v, b[i].v);
    return same;
}

static bool took_place(const Update *updates)
{
    for (int i = 0; i < COUNT; i++)
        if (updates[i].out[0] != updates[i].in[0] || updates[i].out[1] != updates[i].in[2]) return false;
    return true;
}

static void test_rule(OpId rule, Dtype dtype, double tolerance)
{
    Set set[COUNT], before[COUNT];
    Update beside[COUNT], placed[COUNT];
    const char *name = op_name(op_def(rule)), *type = dtype_name(dtype);
    make_sets(set, dtype);
    copy_sets(before, set);
    fill_updates(beside, set, rule, false);
    bool done = run(rule, beside);
    tap_ok(done && as_expected(rule, before, beside, tolerance), "%s of %s is the formula", name, type);
    tap_ok(done && unchanged(set, before), "%s leaves what others may hold alone", name);
    for (int threads = 1; threads <= 4 && done; threads *= 2) {
        Set again[COUNT];
        copy_sets(again, before);
        pool_set_threads(threads);
        fill_updates(placed, again, rule, true);
        done = run(rule, placed);
        tap_ok(done && took_place(placed) && same_results(placed, beside),
               "%s of %s in place, %d threads: same bits", name, type, threads);
        drop(placed);
        free_sets(again);
    }
    pool_set_threads(0);
    drop(beside);
    free_sets(set);
    free_sets(before);
}

/* The same values in a tensor that lies transposed. */
static Tensor *turned(const Tensor *t)
{
    const int64_t back[2] = {t->shape[1], t->shape[0]}, stride[2] = {1, t->shape[0]};
    Tensor *all = tensor_new(&ctx, DTYPE_f32, 2, back), *view = tensor_view(&ctx, all, 2, t->shape, stride, 0);
    tensor_release(all);
    for (int64_t i = 0; i < tensor_size(t); i++) tensor_store(view, i, tensor_item(t, i));
    return view;
}

/* Half of the parameters transposed, one shared, one state seen by a view. */
static void test_layouts(OpId rule)
{
    Set set[COUNT], odd[COUNT];
    Update plain[COUNT], updates[COUNT];
    make_sets(set, DTYPE_f32);
    copy_sets(odd, set);
    for (int i = 0; i < COUNT; i += 2) tensor_slot(&odd[i].p, turned(set[i].p));
    tensor_retain(odd[3].p);
    Tensor *window = tensor_view(&ctx, odd[4].m, 2, shapes[4], odd[4].m->stride, 0);
    fill_updates(plain, set, rule, false);
    fill_updates(updates, odd, rule, true);
    bool done = run(rule, plain) && run(rule, updates);
    tap_ok(done && same_results(updates, plain), "%s of views and transposes", op_name(op_def(rule)));
    tap_ok(done && updates[3].out[0] != odd[3].p && tensor_same(odd[3].p, set[3].p),
           "a shared parameter is not touched");
    tap_ok(done && updates[4].out[1] != odd[4].m && tensor_same(window, set[4].m), "nor what a view shows");
    tap_ok(done && updates[5].out[0] == odd[5].p, "the others are updated in place");
    tensor_release(odd[3].p);
    tensor_release(window);
    drop(plain);
    drop(updates);
    free_sets(set);
    free_sets(odd);
}

static void test_errors(void)
{
    Set set[COUNT], before[COUNT];
    Update updates[COUNT];
    int at = 0;
    make_sets(set, DTYPE_f32);
    copy_sets(before, set);
    fill_updates(updates, set, OP_adam_update, true);
    updates[4].in[1] = set[3].g;
    bool done = update_all(&ctx, op_def(OP_adam_update), numbers(OP_adam_update), 1, COUNT, updates, &at);
    tap_ok(!done && at == 4 && ctx.error.kind == ERROR_shape && unchanged(set, before) && !updates[0].out[0],
           "a gradient of another shape: an error, and nothing is written");
    error_clear(&ctx.error);
    fill_updates(updates, set, OP_adam_update, true);
    Attr wrong[7];
    memcpy(wrong, numbers(OP_adam_update), sizeof wrong);
    wrong[0] = attr_int(0);
    done = update_all(&ctx, op_def(OP_adam_update), wrong, 1, COUNT, updates, &at);
    tap_ok(!done && ctx.error.kind == ERROR_value && unchanged(set, before),
           "step 0 is an error, and nothing is written");
    error_clear(&ctx.error);
    free_sets(set);
    free_sets(before);
}

/* An interrupt after [left] looks that the op takes at the flags: while it copies gradients that lie transposed. */
static struct { atomic_uint asked; atomic_int left; } caller;

static void look(void *owner)
{
    (void)owner;
    if (atomic_fetch_sub(&caller.left, 1) == 1) atomic_store(&caller.asked, FLAG_REQUEST | FLAG_INTERRUPT);
}

static void test_interrupts(OpId rule)
{
    Set before[COUNT];
    Update whole[COUNT];
    make_sets(before, DTYPE_f32);
    for (int i = 3; i < 5; i++) tensor_slot(&before[i].g, turned(before[i].g));
    fill_updates(whole, before, rule, false);
    bool good = run(rule, whole), done = false;
    int refused = 0;
    for (int n = 0; n < 10000 && good && !done; n++) {
        Set set[COUNT];
        Update updates[COUNT];
        copy_sets(set, before);
        for (int i = 3; i < 5; i++) tensor_slot(&set[i].g, tensor_retain(before[i].g));
        fill_updates(updates, set, rule, true);
        atomic_store(&caller.left, n);
        atomic_store(&caller.asked, n == 0 ? FLAG_REQUEST | FLAG_INTERRUPT : FLAG_REQUEST);
        ctx.asked = &caller.asked;
        ctx.serve = look;
        done = run(rule, updates);
        ctx.asked = NULL;
        good = done ? same_results(updates, whole) : ctx.error.kind == ERROR_interrupt && unchanged(set, before);
        refused += !done;
        error_clear(&ctx.error);
        drop(updates);
        free_sets(set);
    }
    tap_ok(good && done && refused > 0, "%s: an interrupt comes before everything or after it (%d times before)",
           op_name(op_def(rule)), refused);
    drop(whole);
    free_sets(before);
}

static void test_blend(void)
{
    Set set[COUNT];
    Update updates[COUNT];
    Tensor *all[COUNT];
    double sum = 0, norm = 0, worst = 0;
    make_sets(set, DTYPE_f32);
    for (int i = 0; i < COUNT; i++) {
        all[i] = set[i].p;
        sum += pow(norm_of(set[i].p), 2);
        updates[i] = (Update){.in = {copy(set[i].p), set[i].g}, .own = {true}};
    }
    tap_ok(joint_norm(&ctx, COUNT, all, &norm) && fabs(norm - sqrt(sum)) < 1e-6 * norm,
           "the joint norm of many tensors");
    bool done = blend_all(&ctx, 0.9, 0.1, COUNT, updates);
    for (int i = 0; i < COUNT; i++)
        for (int64_t k = 0; k < tensor_size(set[i].p); k++)
            worst = fmax(worst, fabs(tensor_item(updates[i].out[0], k) - 0.9 * tensor_item(set[i].p, k)
                                     - 0.1 * tensor_item(set[i].g, k)));
    tap_ok(done && worst < 1e-6 && updates[4].out[0] == updates[4].in[0], "a blend of many tensors, in place");
    for (int i = 0; i < COUNT; i++) tensor_release(updates[i].in[0]);
    drop(updates);
    free_sets(set);
}

int main(void)
{
    tensor_context_init(&ctx, NULL);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        test_rule(rules[i], DTYPE_f32, 2e-6);
        test_rule(rules[i], DTYPE_f64, 1e-12);
        test_rule(rules[i], DTYPE_f16, 2e-3);
        test_rule(rules[i], DTYPE_bf16, 2e-2);
        test_layouts(rules[i]);
        test_interrupts(rules[i]);
    }
    test_errors();
    test_blend();
    tap_ok(runtime_live_tensors() == 0, "no tensor is left");
    return tap_end();
}
