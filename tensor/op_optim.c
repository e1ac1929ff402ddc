/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of optimisers: many parameters with their gradients and states in one sweep over the threads, each read and
   written once (LARS and LAMB: their norms first). Where the caller owns a tensor alone the new value takes its place.
   Invariants: the pieces that a thread takes and a norm is summed over depend on sizes only; nothing is written before
   everything is checked and allocated, and what is written in place is not interrupted.

   sgd   d = g + decay p; m = momentum m + d (the first time d); p -= lr (nesterov ? d + momentum m : m)
   adam  m, v running means of g and g^2, bias-corrected; decoupled decay is AdamW
   lars  as lightly: d = trust |p| / (|g| + decay |p| + eps) (g + decay p) if decay is not 0 and neither norm is, then
         momentum as in sgd
   lamb  Adam's direction u, decay added; p -= lr |p| / |u| u */
#include <math.h>
#include <string.h>

#include "core.h"
#include "kernels.h"

#define PIECE 32768           /* elements that are summed alone, and the least that a task takes */
#define TILE 2048             /* elements converted at once */

/* What a phase reads and writes: the inputs p, g, m, v, then the results p', m', v'. */
enum { P, G, M, V, P_NEW, M_NEW, V_NEW, OPERANDS };
#define BIT(operand) (1u << (operand))
#define RESULT(i) ((i) == 0 ? P_NEW : M_NEW + (i) - 1)
#define INPUT_OF(i) ((i) == 0 ? P : M + (i) - 1)

typedef struct Part {         /* one parameter */
    struct { char *data; Dtype dtype; } operand[OPERANDS];
    Dtype dtype;              /* computed in */
    bool plain;               /* every operand is of that dtype */
    int64_t size;
    UpdateNumbers numbers;
    double first, second;     /* of the blend; the rate of LAMB's step */
} Part;

typedef struct Piece { int part; int64_t at, n; } Piece;

/* [sums] are two of this piece alone. */
typedef void PhaseBody(const Part *part, int64_t n, void *const *x, double *sums);
typedef struct Phase { unsigned reads, writes; PhaseBody *body; } Phase;

typedef struct Job {
    Part *part;
    Piece *piece;
    double *sum;              /* two of each piece */
    int64_t *task;            /* the first piece of each, and the end */
    int64_t n_pieces, n_tasks;
    int n;
    bool in_place;
    const Phase *phase;
} Job;

/* ---- bodies ---- */

static void sgd_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    (void)sums;
    kernels()->sgd[part->dtype](n, &part->numbers, x[P], x[G], x[M], x[P_NEW], x[M_NEW]);
}

static void adam_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    (void)sums;
    kernels()->adam[part->dtype](n, &part->numbers, x[P], x[G], x[M], x[V], x[P_NEW], x[M_NEW], x[V_NEW]);
}

static void norms_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    sums[0] += kernels()->dot[part->dtype](n, x[P], x[P]);
    sums[1] += kernels()->dot[part->dtype](n, x[G], x[G]);
}

static void norm_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    sums[0] += kernels()->dot[part->dtype](n, x[P], x[P]);
}

/* Moves m and v; of the direction only the norm is kept, since p must stay until that is known. */
static void direction_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    _Alignas(64) char direction[TILE * 8];
    const Kernels *k = kernels();
    int64_t size = (int64_t)dtype_size(part->dtype);
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t width = n - at < TILE ? n - at : TILE;
        char *y[OPERANDS];
        for (int i = 0; i < OPERANDS; i++) y[i] = x[i] ? (char *)x[i] + at * size : NULL;
        k->adam[part->dtype](width, &part->numbers, y[P], y[G], y[M], y[V], direction, y[M_NEW], y[V_NEW]);
        sums[0] += k->dot[part->dtype](width, y[P], y[P]);
        sums[1] += k->dot[part->dtype](width, direction, direction);
    }
}

static void follow_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    (void)sums;
    _Alignas(64) char direction[TILE * 8];
    const Kernels *k = kernels();
    int64_t size = (int64_t)dtype_size(part->dtype);
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t width = n - at < TILE ? n - at : TILE, to = at * size;
        char *p = (char *)x[P] + to;
        k->adam_direction[part->dtype](width, &part->numbers, p, (char *)x[M_NEW] + to, (char *)x[V_NEW] + to,
                                       direction);
        k->blend[part->dtype](width, 1.0, p, -part->second, direction, (char *)x[P_NEW] + to);
    }
}

static void blend_body(const Part *part, int64_t n, void *const *x, double *sums)
{
    (void)sums;
    kernels()->blend[part->dtype](n, part->first, x[P], part->second, x[G], x[P_NEW]);
}

static const Phase
    sgd_phase = {BIT(P) | BIT(G) | BIT(M), BIT(P_NEW) | BIT(M_NEW), sgd_body},
    adam_phase = {BIT(P) | BIT(G) | BIT(M) | BIT(V), BIT(P_NEW) | BIT(M_NEW) | BIT(V_NEW), adam_body},
    norms_phase = {BIT(P) | BIT(G), 0, norms_body},
    norm_phase = {BIT(P), 0, norm_body},
    direction_phase = {BIT(P) | BIT(G) | BIT(M) | BIT(V), BIT(M_NEW) | BIT(V_NEW), direction_body},
    follow_phase = {BIT(P) | BIT(M_NEW) | BIT(V_NEW), BIT(P_NEW), follow_body},
    blend_phase = {BIT(P) | BIT(G), BIT(P_NEW), blend_body};

/* ---- walking the pieces ---- */

/* Operands of another dtype pass through f32. */
static void convert_piece(const Phase *phase, const Part *part, const Piece *piece, double *sums)
{
    _Alignas(64) char buffer[OPERANDS][TILE * 8];
    const Kernels *k = kernels();
    for (int64_t at = piece->at, end = at + piece->n; at < end; at += TILE) {
        int64_t n = end - at < TILE ? end - at : TILE;
        void *x[OPERANDS];
        for (int i = 0; i < OPERANDS; i++) {
            Dtype dtype = part->operand[i].dtype;
            char *data = part->operand[i].data;
            x[i] = data ? data + at * (int64_t)dtype_size(dtype) : NULL;
            if (!data || dtype == part->dtype) continue;
            if (phase->reads & BIT(i)) k->convert[dtype][part->dtype](n, x[i], buffer[i]);
            x[i] = buffer[i];
        }
        phase->body(part, n, x, sums);
        for (int i = P_NEW; i < OPERANDS; i++) {
            Dtype dtype = part->operand[i].dtype;
            char *data = part->operand[i].data;
            if (!data || dtype == part->dtype || !(phase->writes & BIT(i))) continue;
            k->convert[part->dtype][dtype](n, buffer[i], data + at * (int64_t)dtype_size(dtype));
        }
    }
}

static void run_piece(const Phase *phase, const Part *part, const Piece *piece, double *sums)
{
    if (!part->plain) {
        convert_piece(phase, part, piece, sums);
        return;
    }
    int64_t offset = piece->at * (int64_t)dtype_size(part->dtype);
    void *x[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) x[i] = part->operand[i].data ? part->operand[i].data + offset : NULL;
    phase->body(part, piece->n, x, sums);
}

static void run_task(void *arg, int64_t task)
{
    const Job *job = arg;
    for (int64_t i = job->task[task]; i < job->task[task + 1]; i++)
        run_piece(job->phase, &job->part[job->piece[i].part], &job->piece[i], job->sum + 2 * i);
}

/* What lies in place is done to the end: half of it would be no value. */
static bool run_phase(TensorContext *ctx, Job *job, const Phase *phase)
{
    job->phase = phase;
    memset(job->sum, 0, (size_t)job->n_pieces * 2 * sizeof(double));
    return pool_run(job->in_place ? NULL : ctx, job->n_tasks, run_task, job);
}

static void cut_pieces(Job *job)
{
    int64_t filled = PIECE;
    job->n_pieces = job->n_tasks = 0;
    for (int i = 0; i < job->n; i++)
        for (int64_t at = 0; at < job->part[i].size; at += PIECE) {
            int64_t rest = job->part[i].size - at, n = rest < PIECE ? rest : PIECE;
            if (filled >= PIECE) {
                job->task[job->n_tasks++] = job->n_pieces;
                filled = 0;
            }
            job->piece[job->n_pieces++] = (Piece){i, at, n};
            filled += n;
        }
    job->task[job->n_tasks] = job->n_pieces;
}

/* One buffer for all of it; freed by scratch_release(job->part). */
static bool job_init(TensorContext *ctx, Job *job, int n, const Update *updates)
{
    int64_t pieces = 0;
    for (int i = 0; i < n; i++) pieces += (tensor_size(updates[i].in[0]) + PIECE - 1) / PIECE;
    size_t parts = (size_t)n * sizeof(Part), each = sizeof(Piece) + 2 * sizeof(double) + sizeof(int64_t);
    char *all = scratch_take(&ctx->error, parts + (size_t)pieces * each + sizeof(int64_t));
    if (!all) return false;
    memset(all, 0, parts);
    *job = (Job){.part = (Part *)(void *)all, .n = n};
    job->piece = (Piece *)(void *)(all + parts);
    job->sum = (double *)(void *)(job->piece + pieces);
    job->task = (int64_t *)(void *)(job->sum + 2 * pieces);
    return true;
}

static void set_operand(Part *part, int at, const Tensor *tensor)
{
    if (!tensor) return;
    part->operand[at].data = tensor->data;
    part->operand[at].dtype = (Dtype)tensor->dtype;
    part->plain = part->plain && (Dtype)tensor->dtype == part->dtype;
}

/* The tensors of [updates], which all lie dense. */
static void set_parts(Job *job, const Update *updates, const UpdateNumbers *numbers)
{
    for (int i = 0; i < job->n; i++) {
        Part *part = &job->part[i];
        Dtype dtype = (Dtype)updates[i].in[0]->dtype;
        part->dtype = dtype == DTYPE_f64 ? DTYPE_f64 : DTYPE_f32;
        part->plain = true;
        part->size = tensor_size(updates[i].in[0]);
        part->numbers = *numbers;
        for (int k = 0; k < UPDATE_IN; k++) set_operand(part, P + k, updates[i].in[k]);
        for (int k = 0; k < UPDATE_OUT; k++) {
            set_operand(part, RESULT(k), updates[i].out[k]);
            job->in_place = job->in_place || (updates[i].out[k] && updates[i].out[k] == updates[i].in[INPUT_OF(k)]);
        }
    }
    cut_pieces(job);
}

/* ---- rules ---- */

typedef struct Rule {
    OpId op;
    int inputs, outputs;
    bool (*numbers)(OpCall *call, UpdateNumbers *numbers);
    /* Runs the phases. */
    bool (*run)(TensorContext *ctx, const Attr *attr, Job *job);
} Rule;

/* The norms of every part, from the sums of its pieces in their order. */
static void add_sums(const Job *job, int64_t *at, int part, double norm[2])
{
    norm[0] = norm[1] = 0.0;
    for (; *at < job->n_pieces && job->piece[*at].part == part; ++*at)
        for (int k = 0; k < 2; k++) norm[k] += job->sum[2 * *at + k];
    norm[0] = sqrt(norm[0]);
    norm[1] = sqrt(norm[1]);
}

static bool sgd_numbers(OpCall *call, UpdateNumbers *u)
{
    const Attr *attr = call->attr;
    u->rate = attr[0].num;
    u->momentum = attr[1].num;
    u->decay = attr[2].num;
    u->nesterov = attr[3].b;
    return true;
}

static bool sgd_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    (void)attr;
    return run_phase(ctx, job, &sgd_phase);
}

static bool lars_numbers(OpCall *call, UpdateNumbers *u)
{
    u->rate = call->attr[0].num;
    u->momentum = call->attr[1].num;
    u->nesterov = call->attr[5].b;
    return true;
}

static bool lars_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    double decay = attr[2].num, trust = attr[3].num, eps = attr[4].num, norm[2];
    int64_t at = 0;
    if (decay != 0.0 && !run_phase(ctx, job, &norms_phase)) return false;
    for (int i = 0; i < job->n && decay != 0.0; i++) {
        UpdateNumbers *u = &job->part[i].numbers;
        add_sums(job, &at, i, norm);
        norm[1] *= fabs(u->gradient);
        if (norm[0] == 0.0 || norm[1] == 0.0) continue;
        u->decay = decay;
        u->scale = trust * norm[0] / (norm[1] + decay * norm[0] + eps);
    }
    return run_phase(ctx, job, &sgd_phase);
}

/* Attributes: step, lr, beta1, beta2, eps, weight_decay */
static bool lamb_numbers(OpCall *call, UpdateNumbers *u)
{
    const Attr *attr = call->attr;
    double step = (double)attr[0].i;
    if (attr[0].i < 1) return op_error(call, ERROR_value, "step counts from 1, got %lld", (long long)attr[0].i);
    u->rate = attr[1].num;
    u->beta1 = attr[2].num;
    u->beta2 = attr[3].num;
    u->eps = attr[4].num;
    u->decay = attr[5].num;
    u->correct1 = 1.0 / (1.0 - pow(u->beta1, step));
    u->correct2 = 1.0 / (1.0 - pow(u->beta2, step));
    u->decoupled = true;
    return true;
}

static bool lamb_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    double norm[2];
    int64_t at = 0;
    (void)attr;
    if (!run_phase(ctx, job, &direction_phase)) return false;
    for (int i = 0; i < job->n; i++) {
        Part *part = &job->part[i];
        add_sums(job, &at, i, norm);
        part->second = part->numbers.rate * (norm[0] > 0.0 && norm[1] > 0.0 ? norm[0] / norm[1] : 1.0);
    }
    return run_phase(ctx, job, &follow_phase);
}

static bool adam_numbers(OpCall *call, UpdateNumbers *u)
{
    if (!lamb_numbers(call, u)) return false;
    u->decoupled = call->attr[6].b;
    u->whole = true;
    return true;
}

static bool adam_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    (void)attr;
    return run_phase(ctx, job, &adam_phase);
}

static const Rule rules[] = {
    {OP_sgd_update, 3, 2, sgd_numbers, sgd_run},
    {OP_adam_update, 4, 3, adam_numbers, adam_run},
    {OP_lars_update, 3, 2, lars_numbers, lars_run},
    {OP_lamb_update, 4, 3, lamb_numbers, lamb_run},
};

static const Rule *find_rule(const OpDef *def)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (op_def(rules[i].op) == def) return &rules[i];
    return NULL;
}

int update_slots(const OpDef *def)
{
    const Rule *rule = find_rule(def);
    return rule ? rule->outputs - 1 : -1;
}

/* ---- running ---- */

/* A copy where [x] does not lie dense or no kernel converts it into what its parameter is computed in. */
static Tensor *straight(TensorContext *ctx, Tensor *x, Dtype parameter)
{
    Dtype dtype = (Dtype)x->dtype;
    if (dtype_class(dtype) != CLASS_FLOAT || (parameter == DTYPE_f64 && dtype_is_half(dtype)))
        return tensor_cast(ctx, x, dtype_class(parameter) == CLASS_FLOAT ? parameter : DTYPE_f32);
    return tensor_contiguous(ctx, x);
}

/* Copies [updates] with their inputs owned; released in any case. */
static bool straighten(TensorContext *ctx, int n, const Update *updates, Update *dense)
{
    for (int i = 0; i < n; i++) {
        dense[i] = updates[i];
        memset(dense[i].in, 0, sizeof dense[i].in);
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < UPDATE_IN; k++) {
            Tensor *x = updates[i].in[k];
            if (x && !(dense[i].in[k] = straight(ctx, x, (Dtype)updates[i].in[0]->dtype))) return false;
        }
    return true;
}

/* Updates whose results are there; *total, where asked for, becomes the joint norm of the first inputs. */
static bool run_updates(TensorContext *ctx, int n, const Update *updates, const UpdateNumbers *numbers,
                        const Rule *rule, const Attr *attr, double *total)
{
    Update *dense = scratch_take(&ctx->error, (size_t)n * sizeof *dense);
    if (!dense) return false;
    Job job = {0};
    bool done = straighten(ctx, n, updates, dense) && job_init(ctx, &job, n, dense);
    if (done) {
        set_parts(&job, dense, numbers);
        done = !tensor_interrupted(ctx) && rule->run(ctx, attr, &job);
    }
    for (int64_t i = 0; i < job.n_pieces && done && total; i++) *total += job.sum[2 * i];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < UPDATE_IN; k++) tensor_release(dense[i].in[k]);
    scratch_release(job.part);
    scratch_release(dense);
    return done;
}

static const UpdateNumbers neutral = {.gradient = 1.0, .scale = 1.0};

/* ---- one parameter: the ops ---- */

/* All tensors have p's shape; results have p's dtype. */
static bool shape_update(OpCall *call, int inputs, int outputs)
{
    TensorSpec p, other;
    spec_of(call->in[0], &p);
    if (dtype_class(p.dtype) != CLASS_FLOAT)
        return op_error(call, ERROR_dtype, "parameters must be floats, got %s", dtype_name(p.dtype));
    for (int i = 1; i < inputs; i++) {
        if (!call->in[i]) continue;
        spec_of(call->in[i], &other);
        if (spec_equal_shape(&p, &other)) continue;
        char left[96], right[96];
        shape_format(p.ndim, p.shape, left, sizeof left);
        shape_format(other.ndim, other.shape, right, sizeof right);
        return op_error(call, ERROR_shape, "the parameter is %s, but %s is %s", left,
                        op_signature(call->def)->param[i].name, right);
    }
    call->n_out = outputs;
    for (int i = 0; i < outputs; i++) call->spec[i] = p;
    return true;
}

bool shape_sgd(OpCall *call) { return shape_update(call, 3, 2); }
bool shape_adam(OpCall *call) { return shape_update(call, 4, 3); }

static bool run_one(OpCall *call, bool first)
{
    const Rule *rule = find_rule(call->def);
    UpdateNumbers numbers = neutral;
    Update one = {0};
    for (int i = 0; i < rule->inputs; i++) one.in[i] = i == M && first ? NULL : call->in[i];
    for (int i = 0; i < rule->outputs; i++) one.out[i] = call->out[i];
    return rule->numbers(call, &numbers) && run_updates(call->ctx, 1, &one, &numbers, rule, call->attr, NULL);
}

bool sgd_update_run(OpCall *call) { return run_one(call, call->attr[4].b); }
bool lars_update_run(OpCall *call) { return run_one(call, call->attr[6].b); }
bool adam_update_run(OpCall *call) { return run_one(call, false); }
bool lamb_update_run(OpCall *call) { return run_one(call, false); }

/* ---- many parameters ---- */

/* The result that takes the place of [in], or a new one. */
static Tensor *result_for(TensorContext *ctx, Tensor *in, Dtype parameter, bool own)
{
    Dtype dtype = parameter == DTYPE_f64 || dtype_class((Dtype)in->dtype) != CLASS_FLOAT ? parameter : (Dtype)in->dtype;
    if (ctx->meta) return tensor_meta(ctx, dtype, in->ndim, in->shape);
    bool here = own && dtype == (Dtype)in->dtype && !in->meta && !in->weak && tensor_is_unshared(in);
    return here && tensor_is_contiguous(in) ? tensor_retain(in) : tensor_new(ctx, dtype, in->ndim, in->shape);
}

static bool make_results(TensorContext *ctx, int n, Update *updates)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < UPDATE_OUT; k++) {
            Tensor *in = updates[i].in[INPUT_OF(k)];
            if (!in) continue;
            updates[i].out[k] = result_for(ctx, in, (Dtype)updates[i].in[0]->dtype, updates[i].own[k]);
            if (!updates[i].out[k]) return false;
        }
    return true;
}

static void drop_results(int n, Update *updates)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < UPDATE_OUT; k++) tensor_slot(&updates[i].out[k], NULL);
}

/* Whether each update may be made, and the numbers of all. */
static bool check_updates(TensorContext *ctx, const OpDef *def, const Rule *rule, const Attr *attr, int n,
                          Update *updates, UpdateNumbers *numbers, int *at)
{
    for (int i = 0; i < n; i++) {
        OpCall call = {.ctx = ctx, .def = def, .n_in = rule->inputs, .in = updates[i].in, .attr = attr};
        *at = i;
        if (def->shape(&call) && rule->numbers(&call, numbers)) continue;
        op_error_complete(&call);
        return false;
    }
    *at = -1;
    return true;
}

static bool update_all_unwatched(TensorContext *ctx, const OpDef *def, const Attr *attr, double gradient, int n,
                                 Update *updates, int *at)
{
    const Rule *rule = find_rule(def);
    UpdateNumbers numbers = neutral;
    numbers.gradient = gradient;
    if (!check_updates(ctx, def, rule, attr, n, updates, &numbers, at)) return false;
    bool done = make_results(ctx, n, updates)
             && (ctx->meta || n == 0 || run_updates(ctx, n, updates, &numbers, rule, attr, NULL));
    if (!done) drop_results(n, updates);
    return done;
}

bool update_all(TensorContext *ctx, const OpDef *rule, const Attr *attr, double gradient, int n, Update *updates,
                int *at)
{
    OpWatch *watch = ctx->watch;
    if (watch) watch->begin(watch, rule->name);
    bool done = update_all_unwatched(ctx, rule, attr, gradient, n, updates, at);
    if (watch) watch->end(watch);
    return done;
}

static bool blend_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    for (int i = 0; i < job->n; i++) {
        job->part[i].first = attr[0].num;
        job->part[i].second = attr[1].num;
    }
    return run_phase(ctx, job, &blend_phase);
}

bool blend_all(TensorContext *ctx, double a, double b, int n, Update *updates)
{
    static const Rule rule = {.run = blend_run};
    Attr attr[2] = {attr_num(a), attr_num(b)};
    bool done = make_results(ctx, n, updates)
             && (ctx->meta || n == 0 || run_updates(ctx, n, updates, &neutral, &rule, attr, NULL));
    if (!done) drop_results(n, updates);
    return done;
}

static bool total_run(TensorContext *ctx, const Attr *attr, Job *job)
{
    (void)attr;
    return run_phase(ctx, job, &norm_phase);
}

bool joint_norm(TensorContext *ctx, int n, Tensor *const *tensors, double *norm)
{
    static const Rule rule = {.run = total_run};
    *norm = 0.0;
    if (ctx->meta || n == 0) return true;
    Update *updates = scratch_take(&ctx->error, (size_t)n * sizeof *updates);
    if (!updates) return false;
    for (int i = 0; i < n; i++) updates[i] = (Update){.in = {tensors[i]}};
    bool done = run_updates(ctx, n, updates, &neutral, &rule, NULL, norm);
    *norm = sqrt(*norm);
    scratch_release(updates);
    return done;
}
