/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs the UNARY and BINARY rows of ops.def, where and clamp, and their gradients. Values come from the kernel tables.
   A gradient is one pass of a kernel while nothing records, else the same expression read as calls of ops (which can
   be differentiated again). Rows whose derivative reads nothing but G always take the ops: there is nothing to fuse. */
#include <math.h>
#include <stdatomic.h>

#include "elementwise.h"
#include "sweep.h"
#include "vmath.h"

#define VOCABULARY_GRAPH
#include "vocabulary.h"

/* ---- derivatives as ops ---- */

typedef Tensor *UnaryGraph(Scope *s, Tensor *x, Tensor *y, Tensor *g);
typedef Tensor *BinaryGraph(Scope *s, Tensor *a, Tensor *b, Tensor *y, Tensor *g);

#define X x
#define A a
#define B b
#define Y y
#define G g

#define UNARY(name, class, value, derivative, ...)                                                                  \
    static Tensor *graph_##name(Scope *s, Tensor *x, Tensor *y, Tensor *g)                                          \
    {                                                                                                               \
        (void)s, (void)x, (void)y, (void)g;                                                                         \
        return derivative;                                                                                          \
    }
#define GRAPH_2(name, value)                                                                                        \
    static Tensor *graph_##name(Scope *s, Tensor *a, Tensor *b, Tensor *y, Tensor *g)                               \
    {                                                                                                               \
        (void)s, (void)a, (void)b, (void)y, (void)g;                                                                \
        return value;                                                                                               \
    }
#define BINARY(name, class, value, da, db, ...) GRAPH_2(name##_da, da) GRAPH_2(name##_db, db)
#include "ops.h"

#undef X
#undef A
#undef B
#undef Y
#undef G

static UnaryGraph *const unary_graph[UNARY_COUNT] = {
#define UNARY(name, ...) graph_##name,
#include "ops.h"
};

static BinaryGraph *const binary_graph[BINARY_COUNT][2] = {
#define BINARY(name, ...) { graph_##name##_da, graph_##name##_db },
#include "ops.h"
};

Tensor *elementwise_gradient(Scope *s, const OpDef *def, int k, Tensor *a, Tensor *b, Tensor *y, Tensor *g)
{
    int row = def->elementwise;
    return def->arity == 1 ? unary_graph[row](s, a, y, g) : binary_graph[row][k](s, a, b, y, g);
}

/* ---- values ---- */

typedef struct Job {          /* what a block needs besides its inputs */
    const Kernels *kernels;
    int row;
    Dtype dtype;              /* computed in */
    size_t out_size;          /* bytes of an element of the result */
    char *out[2];
    const void *bounds[2];
} Job;

static void job_init(Job *job, int row, Dtype dtype, const Tensor *out)
{
    job->kernels = kernels();
    job->row = row;
    job->dtype = dtype;
    job->out_size = dtype_size((Dtype)out->dtype);
    job->out[0] = out->data;
    job->out[1] = NULL;
}

/* The vector forms hold for |x| <= VMATH_TURNS; libm does the rest. */
static void redo_large_turns(int row, int64_t n, const float *x, float *y)
{
    float largest = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        largest = a > largest ? a : largest;
    }
    for (int64_t i = 0; i < n && largest > VMATH_TURNS; i++)
        if (fabsf(x[i]) > VMATH_TURNS)
            y[i] = row == UNARY_sin ? sinf(x[i]) : row == UNARY_cos ? cosf(x[i]) : tanf(x[i]);
}

bool unary_needs_libm(int row) { return row == UNARY_sin || row == UNARY_cos || row == UNARY_tan; }

static void unary_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    void *out = job->out[0] + at * (int64_t)job->out_size;
    job->kernels->unary[job->row][job->dtype](n, in[0], out);
    if (job->dtype == DTYPE_f32 && unary_needs_libm(job->row)) redo_large_turns(job->row, n, in[0], out);
}

static bool sweep_unary(OpCall *call, int row, Dtype dtype)
{
    Job job;
    job_init(&job, row, dtype, call->out[0]);
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, unary_body, &job);
    sweep_input(&sweep, call->in[0], dtype);
    return sweep_run(call->ctx, &sweep);
}

bool unary_run(OpCall *call)
{
    bool test = call->def->element == ELEMENT_TEST;
    int row = call->def->elementwise;
    if (row == UNARY_bitwise_not && call->in[0]->dtype == DTYPE_bool) row = UNARY_logical_not;    /* one bit, not eight */
    return sweep_unary(call, row, test ? (Dtype)call->in[0]->dtype : call->spec[0].dtype);
}

static void binary_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    job->kernels->binary[job->row][job->dtype](n, in[0], in[1], job->out[0] + at * (int64_t)job->out_size);
}

/* The dtype that a comparison is made in: an int tensor beside a float tensor needs more than f32 can tell apart. */
static Dtype test_dtype(const OpCall *call)
{
    const Tensor *a = call->in[0], *b = call->in[1];
    Dtype dtype = op_promote(2, call->in, false, false);
    bool plain = a->weak || b->weak, floats = dtype_class(dtype) == CLASS_FLOAT;
    bool mixed = dtype_class((Dtype)a->dtype) != dtype_class((Dtype)b->dtype);
    if (a->weak && b->weak) return floats ? DTYPE_f64 : dtype;
    return floats && mixed && !plain ? DTYPE_f64 : dtype;
}

typedef struct Search { Dtype dtype; bool negative; atomic_bool found; } Search;

static void search_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    (void)at;
    Search *search = arg;
    bool found = false;
    const int32_t *narrow = in[0];
    const int64_t *wide = in[0];
    for (int64_t i = 0; i < n; i++) {
        int64_t b = search->dtype == DTYPE_i32 ? narrow[i] : wide[i];
        found = found || (search->negative ? b < 0 : b == 0);
    }
    if (found) atomic_store_explicit(&search->found, true, memory_order_relaxed);
}

/* Refuses what whole numbers cannot do: divide by zero, take a negative power, be shifted by less than nothing. */
static bool check_whole(OpCall *call, int row, Dtype dtype)
{
    bool shift = row == BINARY_left_shift || row == BINARY_right_shift;
    bool division = row == BINARY_floordiv || row == BINARY_mod || row == BINARY_fmod;
    if ((!division && !shift && row != BINARY_pow) || dtype == DTYPE_u8) return true;
    const Tensor *b = call->in[1];
    Search search = { .dtype = dtype, .negative = !division };
    atomic_init(&search.found, false);
    Sweep sweep;
    sweep_init(&sweep, b->ndim, b->shape, search_body, &search);
    sweep_input(&sweep, b, dtype);
    if (tensor_size(call->out[0]) == 0) return true;
    if (!sweep_run(call->ctx, &sweep)) return false;
    if (!atomic_load(&search.found)) return true;
    if (division) return op_error(call, ERROR_zero, "a whole number is divided by zero");
    if (shift) {
        op_error(call, ERROR_value, "bits cannot be moved by a negative number of places");
        error_hint(&call->ctx->error, "%s moves them the other way",
                   row == BINARY_left_shift ? "right_shift" : "left_shift");
        return false;
    }
    op_error(call, ERROR_value, "a whole number has no negative power among the whole numbers");
    error_hint(&call->ctx->error, "make one side a float, as in x.to(f32)");
    return false;
}

int power_row(const Tensor *exponent)
{
    if (tensor_size(exponent) != 1) return -1;
    double e = tensor_item(exponent, 0);
    return e == 2.0 ? UNARY_square : e == 0.5 ? UNARY_sqrt : e == -1.0 ? UNARY_reciprocal : -1;
}

bool binary_run(OpCall *call)
{
    int row = call->def->elementwise;
    Dtype dtype = call->spec[0].dtype;
    if (call->def->element == ELEMENT_TEST) dtype = test_dtype(call);
    if (dtype_class(dtype) == CLASS_INT && !check_whole(call, row, dtype)) return false;
    if (row == BINARY_pow && dtype_class(dtype) == CLASS_FLOAT) {
        int unary = power_row(call->in[1]);
        if (unary >= 0) return sweep_unary(call, unary, dtype);
    }
    Job job;
    job_init(&job, row, dtype, call->out[0]);
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, binary_body, &job);
    sweep_input(&sweep, call->in[0], dtype);
    sweep_input(&sweep, call->in[1], dtype);
    return sweep_run(call->ctx, &sweep);
}

/* ---- gradients ---- */

static void unary_grad_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    job->kernels->unary_grad[job->row][job->dtype](n, in[0], in[1], in[2], job->out[0] + at * (int64_t)job->out_size);
}

bool unary_grad(GradCall *g)
{
    int row = g->def->elementwise;
    const TensorSpec *spec = &g->out_spec[0];
    if (grad_recording(g) || g->def->saves == SAVE_NONE || unary_needs_libm(row)) {
        Tensor *d = elementwise_gradient(g->s, g->def, 0, g->in[0], NULL, g->out[0], g->dy[0]);
        g->dx[0] = s_sum_to(g->s, d, &g->in_spec[0]);
        return g->dx[0] != NULL;
    }
    Tensor *d = grad_room(g, 0);
    if (!d) return false;
    Job job;
    job_init(&job, row, spec->dtype, d);
    Sweep sweep;
    sweep_init(&sweep, spec->ndim, spec->shape, unary_grad_body, &job);
    sweep_input(&sweep, g->in[0], spec->dtype);
    sweep_input(&sweep, g->out[0], spec->dtype);
    sweep_input(&sweep, g->dy[0], spec->dtype);
    if (!sweep_run(g->ctx, &sweep)) return false;
    g->dx[0] = s_sum_to(g->s, d, &g->in_spec[0]);
    return g->dx[0] != NULL;
}

static void binary_grad_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    for (int k = 0; k < 2; k++)
        if (job->out[k])
            job->kernels->binary_grad[job->row][k][job->dtype](n, in[0], in[1], in[2], in[3],
                                                               job->out[k] + at * (int64_t)job->out_size);
}

static bool binary_grad_graph(GradCall *g)
{
    for (int k = 0; k < 2; k++) {
        if (!g->wants[k]) continue;
        Tensor *d = elementwise_gradient(g->s, g->def, k, g->in[0], g->in[1], g->out[0], g->dy[0]);
        g->dx[k] = s_sum_to(g->s, d, &g->in_spec[k]);
        if (!g->dx[k]) return false;
    }
    return true;
}

/* d(a^2) = 2 a g, without a power in it */
static bool square_grad(GradCall *g)
{
    g->dx[0] = s_sum_to(g->s, s_mul(g->s, s_scale(g->s, g->in[0], 2.0), g->dy[0]), &g->in_spec[0]);
    return g->dx[0] != NULL;
}

bool binary_grad(GradCall *g)
{
    int row = g->def->elementwise;
    const TensorSpec *spec = &g->out_spec[0];
    if (row == BINARY_pow && !g->wants[1] && power_row(g->in[1]) == UNARY_square) return square_grad(g);
    if (grad_recording(g) || g->def->saves == SAVE_NONE) return binary_grad_graph(g);
    Job job;
    Tensor *d[2] = { NULL, NULL };
    if (g->wants[0] && g->wants[1])        /* the second one may take the place of g, the first one's last reader */
        d[0] = scope_own(g->s, tensor_new(g->ctx, spec->dtype, spec->ndim, spec->shape));
    else if (g->wants[0])
        d[0] = grad_room(g, 0);
    if (g->wants[1]) d[1] = grad_room(g, 0);
    for (int k = 0; k < 2; k++)
        if (g->wants[k] && !d[k]) return false;
    if (!d[0] && !d[1]) return true;
    job_init(&job, row, spec->dtype, d[0] ? d[0] : d[1]);
    for (int k = 0; k < 2; k++) job.out[k] = d[k] ? d[k]->data : NULL;
    Sweep sweep;
    sweep_init(&sweep, spec->ndim, spec->shape, binary_grad_body, &job);
    sweep_input(&sweep, g->in[0], spec->dtype);
    sweep_input(&sweep, g->in[1], spec->dtype);
    sweep_input(&sweep, g->out[0], spec->dtype);
    sweep_input(&sweep, g->dy[0], spec->dtype);
    if (!sweep_run(g->ctx, &sweep)) return false;
    for (int k = 0; k < 2; k++)
        if (d[k] && !(g->dx[k] = s_sum_to(g->s, d[k], &g->in_spec[k]))) return false;
    return true;
}

/* ---- where ---- */

bool shape_where(OpCall *call)
{
    TensorSpec spec[3], *out = &call->spec[0];
    for (int i = 0; i < 3; i++) spec_of(call->in[i], &spec[i]);
    if (spec[0].dtype != DTYPE_bool) {
        op_error(call, ERROR_dtype, "the condition must be bool, got %s", dtype_name(spec[0].dtype));
        error_hint(&call->ctx->error, "compare first, as in where(x != 0, a, b)");
        return false;
    }
    if (!shape_broadcast(call, &spec[1], &spec[2], out) || !shape_broadcast(call, &spec[0], out, out)) return false;
    out->dtype = op_promote(2, call->in + 1, false, false);
    return true;
}

static void where_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    job->kernels->where[job->dtype](n, in[0], in[1], in[2], job->out[0] + at * (int64_t)job->out_size);
}

bool where_run(OpCall *call)
{
    Job job;
    job_init(&job, 0, call->spec[0].dtype, call->out[0]);
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, where_body, &job);
    sweep_input(&sweep, call->in[0], DTYPE_bool);
    sweep_input(&sweep, call->in[1], job.dtype);
    sweep_input(&sweep, call->in[2], job.dtype);
    return sweep_run(call->ctx, &sweep);
}

bool where_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *c = g->in[0], *dy = g->dy[0], *zero = s_const(s, 0.0);
    if (g->wants[1]) g->dx[1] = s_sum_to(s, s_where(s, c, dy, zero), &g->in_spec[1]);
    if (g->wants[2]) g->dx[2] = s_sum_to(s, s_where(s, c, zero, dy), &g->in_spec[2]);
    return g->ctx->error.kind == ERROR_NONE;
}

/* ---- clamp ---- */

/* Bounds that are plain numbers (or absent) keep x's dtype and take one pass; tensors broadcast and promote. */
static bool plain_bounds(Tensor *const *in)
{
    return (!in[1] || in[1]->weak) && (!in[2] || in[2]->weak);
}

bool shape_clamp(OpCall *call)
{
    Tensor *const *in = call->in;
    if (!in[1] && !in[2]) return op_error(call, ERROR_argument, "needs low or high, or both");
    spec_of(in[0], &call->spec[0]);
    if (plain_bounds(in)) {
        if (!in[1] || !in[2] || tensor_item(in[1], 0) <= tensor_item(in[2], 0)) return true;
        return op_error(call, ERROR_value, "low %g is above high %g", tensor_item(in[1], 0), tensor_item(in[2], 0));
    }
    Tensor *present[3];
    int n = 0;
    for (int i = 0; i < 3; i++) {
        if (!in[i]) continue;
        present[n++] = in[i];
        TensorSpec spec;
        spec_of(in[i], &spec);
        if (!shape_broadcast(call, &call->spec[0], &spec, &call->spec[0])) return false;
    }
    call->spec[0].dtype = op_promote(n, present, false, false);
    return true;
}

static void clamp_body(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    job->kernels->clamp[job->dtype](n, in[0], job->bounds[0], job->bounds[1],
                                    job->out[0] + at * (int64_t)job->out_size);
}

#define CLAMP_BLOCK 512

/* min(max(x, low), high), in pieces that a small buffer holds between the two */
static void clamp_between(void *arg, int64_t at, int64_t n, const void *const *in)
{
    const Job *job = arg;
    double between[CLAMP_BLOCK];
    BinaryKernel *most = job->kernels->binary[BINARY_maximum][job->dtype];
    BinaryKernel *least = job->kernels->binary[BINARY_minimum][job->dtype];
    for (int64_t i = 0; i < n; i += CLAMP_BLOCK) {
        int64_t count = n - i < CLAMP_BLOCK ? n - i : CLAMP_BLOCK, byte = i * (int64_t)job->out_size;
        const char *x = in[0], *low = in[1], *high = in[2];
        char *out = job->out[0] + at * (int64_t)job->out_size + byte;
        if (low) most(count, x + byte, low + byte, high ? (void *)between : out);
        if (high) least(count, low ? (const void *)between : x + byte, high + byte, out);
    }
}

/* A bound as an element of [dtype]: for ints rounded inwards and held within what the dtype can say. */
static void clamp_bound(Dtype dtype, const Tensor *bound, bool upper, void *to)
{
    double none = upper ? HUGE_VAL : -HUGE_VAL, b = bound ? tensor_item(bound, 0) : none;
    if (dtype == DTYPE_f32) *(float *)to = (float)b;
    if (dtype == DTYPE_f64) *(double *)to = b;
    if (dtype_class(dtype) == CLASS_FLOAT) return;
    int64_t least = dtype == DTYPE_i64 ? INT64_MIN : dtype == DTYPE_i32 ? INT32_MIN : 0;
    int64_t most = dtype == DTYPE_i64 ? INT64_MAX : dtype == DTYPE_i32 ? INT32_MAX : dtype == DTYPE_u8 ? 255 : 1;
    b = upper ? floor(b) : ceil(b);
    int64_t v = b <= (double)least ? least : b >= (double)most ? most : (int64_t)b;
    if (dtype == DTYPE_i64) *(int64_t *)to = v;
    else if (dtype == DTYPE_i32) *(int32_t *)to = (int32_t)v;
    else *(uint8_t *)to = (uint8_t)v;
}

bool clamp_run(OpCall *call)
{
    Job job;
    int64_t bound[2];
    bool plain = plain_bounds(call->in);
    job_init(&job, 0, call->spec[0].dtype, call->out[0]);
    for (int k = 0; plain && k < 2; k++) {
        clamp_bound(job.dtype, call->in[1 + k], k == 1, &bound[k]);
        job.bounds[k] = &bound[k];
    }
    Sweep sweep;
    sweep_init(&sweep, call->spec[0].ndim, call->spec[0].shape, plain ? clamp_body : clamp_between, &job);
    for (int i = 0; i < (plain ? 1 : 3); i++) sweep_input(&sweep, call->in[i], job.dtype);
    return sweep_run(call->ctx, &sweep);
}

static Tensor *both_hold(Scope *s, Tensor *a, Tensor *b)
{
    return a && b ? s_binary(s, OP_logical_and, a, b) : a ? a : b;
}

bool clamp_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *low = g->in[1], *high = g->in[2], *zero = s_const(s, 0.0), *dy = g->dy[0];
    Tensor *above = low ? s_binary(s, OP_ge, x, low) : NULL, *below = high ? s_binary(s, OP_le, x, high) : NULL;
    Tensor *crossed = low && high ? s_binary(s, OP_gt, low, high) : NULL;     /* then high is the result */
    if (g->wants[0]) g->dx[0] = s_sum_to(s, s_where(s, both_hold(s, above, below), dy, zero), &g->in_spec[0]);
    if (low && g->wants[1]) {
        Tensor *is_low = s_binary(s, OP_lt, x, low);
        if (high) is_low = both_hold(s, is_low, s_binary(s, OP_le, low, high));
        g->dx[1] = s_sum_to(s, s_where(s, is_low, dy, zero), &g->in_spec[1]);
    }
    if (high && g->wants[2]) {
        Tensor *is_high = s_binary(s, OP_gt, x, high);
        if (low) is_high = s_binary(s, OP_logical_or, is_high, crossed);
        g->dx[2] = s_sum_to(s, s_where(s, is_high, dy, zero), &g->in_spec[2]);
    }
    return g->ctx->error.kind == ERROR_NONE;
}
