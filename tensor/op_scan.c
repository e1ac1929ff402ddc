/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running reductions along an axis other than cumsum (op_reduce.c): cumprod cummax cummin logcumsumexp. Rows are dense
   and spread over the pool; each is one pass from its start. Invariant: running floats are doubles. */
#include <math.h>

#include "op.h"
#include "rows.h"

#define LOWEST (-1e30)        /* stands for log(0) where -inf would become NaN in a higher gradient */

typedef struct Scan {
    Dtype dtype;              /* of x */
    int64_t n, x_size, y_size;
    const char *x;
    char *y;
    int64_t *at;              /* of cummax and cummin: where each value stands */
    bool flag;                /* cummin; backwards */
} Scan;

/* Runs [body] over the rows of call->in[0] along attribute 0; out[1] takes places when there is one. */
static bool scan_run(OpCall *call, RowsBody *body, bool flag)
{
    Tensor *x = call->in[0], *out = call->out[0];
    int axis = 0;
    if (x->ndim > 0 && !op_axis(call, call->attr[0].i, x->ndim, &axis)) return false;
    if (tensor_size(x) == 0) return true;
    Tensor *wide = tensor_cast(call->ctx, x, call->n_out == 1 && out->dtype != x->dtype ? (Dtype)out->dtype
                                                                                        : (Dtype)x->dtype);
    Tensor *rows = wide ? rows_along(call->ctx, wide, axis) : NULL, *at = NULL;
    Tensor *values = rows ? rows_like(call->ctx, out, axis) : NULL;
    if (call->n_out == 2 && values) at = rows_like(call->ctx, call->out[1], axis);
    bool ok = values && (call->n_out == 1 || at);
    if (ok) {
        Scan scan = {.dtype = (Dtype)rows->dtype, .n = x->ndim > 0 ? x->shape[axis] : 1, .x = rows->data,
                     .y = values->data, .at = at ? (int64_t *)(void *)at->data : NULL, .flag = flag,
                     .x_size = (int64_t)dtype_size((Dtype)rows->dtype), .y_size = (int64_t)dtype_size((Dtype)out->dtype)};
        ok = rows_run(call->ctx, tensor_size(x) / scan.n, scan.n, body, &scan) &&
             rows_back(call->ctx, values, axis, out) && (!at || rows_back(call->ctx, at, axis, call->out[1]));
    }
    tensor_release(at);
    tensor_release(values);
    tensor_release(rows);
    tensor_release(wide);
    return ok;
}

/* A number alone is its own row. */
static bool scan_axis(OpCall *call)
{
    int axis;
    int64_t given = call->attr[0].i;
    return (call->in[0]->ndim == 0 && (given == 0 || given == -1)) || op_axis(call, given, call->in[0]->ndim, &axis);
}

/* ---- cumprod ---- */

bool shape_cumprod(OpCall *call)
{
    if (!scan_axis(call)) return false;
    spec_of(call->in[0], &call->spec[0]);
    if (dtype_class((Dtype)call->in[0]->dtype) != CLASS_FLOAT) call->spec[0].dtype = DTYPE_i64;
    return true;
}

#define PROD_ROWS(type, running)                                                                                       \
    for (int64_t r = first; r < first + count; r++) {                                                                  \
        const type *x = (const type *)(const void *)scan->x + r * scan->n;                                             \
        type *y = (type *)(void *)scan->y + r * scan->n;                                                               \
        running product = 1;                                                                                           \
        for (int64_t i = 0; i < scan->n; i++) y[i] = (type)(product = product * (running)x[i]);                        \
    }

static void prod_rows(void *arg, int64_t first, int64_t count)
{
    const Scan *scan = arg;
    switch (scan->dtype) {
    case DTYPE_f32: PROD_ROWS(float, double) break;
    case DTYPE_f64: PROD_ROWS(double, double) break;
    default: PROD_ROWS(int64_t, uint64_t) break;
    }
}

bool cumprod_run(OpCall *call) { return scan_run(call, prod_rows, false); }

/* Without a division, for rows with zeros: each element in turn is replaced by 1. x [.., n] and dy [.., n]. */
static Tensor *product_slopes(GradCall *g, Tensor *x, Tensor *dy)
{
    Scope *s = g->s;
    int ndim = x->ndim;
    int64_t n = x->shape[ndim - 1], wide[TENSOR_MAX_DIMS], mask[TENSOR_MAX_DIMS];
    Tensor *rows = s_unsqueeze(s, x, ndim - 1), *slopes = s_unsqueeze(s, dy, ndim - 1);
    if (!rows || !slopes) {
        if (g->ctx->error.kind == ERROR_NONE)
            error_set(&g->ctx->error, ERROR_shape, "cumprod", "the gradient at a zero needs one axis more than %d", ndim);
        return NULL;
    }
    for (int d = 0; d <= ndim; d++) {
        wide[d] = d == ndim - 1 ? n : rows->shape[d];
        mask[d] = d >= ndim - 1 ? n : 1;
    }
    Tensor *eye = scope_own(s, tensor_zeros(g->ctx, DTYPE_bool, ndim + 1, mask));
    for (int64_t i = 0; eye && i < n; i++) tensor_store_int(eye, i * n + i, 1);
    Tensor *replaced = s_where(s, eye, s_const(s, 1.0), s_expand(s, rows, ndim + 1, wide));
    Attr last = attr_int(-1), diagonal = attr_int(0);
    Tensor *products = replaced ? s_op(s, OP_cumprod, 1, &replaced, &last, 0) : NULL;
    Tensor *later = products ? s_op(s, OP_triu, 1, &products, &diagonal, 0) : NULL;
    bool axes[TENSOR_MAX_DIMS] = {false};
    axes[ndim] = true;
    return s_sum(s, s_mul(s, later, slopes), axes, false);
}

bool cumprod_grad(GradCall *g)
{
    Scope *s = g->s;
    Tensor *x = g->in[0], *dy = g->dy[0];
    bool zero = false;
    int64_t size = tensor_size(x);
    for (int64_t i = 0; i < size && !zero; i++) zero = tensor_item(x, i) == 0.0;
    if (x->ndim == 0) {
        g->dx[0] = dy;
    } else if (zero) {
        int axis = (int)(g->attr[0].i < 0 ? g->attr[0].i + x->ndim : g->attr[0].i), last = x->ndim - 1;
        Tensor *dx = product_slopes(g, s_transpose(s, x, axis, last), s_transpose(s, dy, axis, last));
        g->dx[0] = s_transpose(s, dx, axis, last);
    } else {
        Attr back[2] = {g->attr[0], attr_bool(true)};
        Tensor *flow = s_mul(s, dy, g->out[0]);
        flow = flow ? s_op(s, OP_cumsum, 1, &flow, back, 0) : NULL;
        g->dx[0] = s_div(s, flow, x);
    }
    return g->dx[0] != NULL;
}

/* ---- cummax and cummin: (values, places), the last of equals ---- */

bool shape_cummax(OpCall *call)
{
    if (!scan_axis(call)) return false;
    call->n_out = 2;
    spec_of(call->in[0], &call->spec[0]);
    call->spec[1] = call->spec[0];
    call->spec[1].dtype = DTYPE_i64;
    return true;
}

#define EXTREME_ROWS(type)                                                                                             \
    for (int64_t r = first; r < first + count; r++) {                                                                  \
        const type *x = (const type *)(const void *)scan->x + r * scan->n;                                             \
        type *y = (type *)(void *)scan->y + r * scan->n, best = x[0];                                                  \
        int64_t *at = scan->at + r * scan->n, place = 0;                                                               \
        for (int64_t i = 0; i < scan->n; i++) {                                                                        \
            if (x[i] != x[i] || (scan->flag ? x[i] <= best : x[i] >= best)) {                                          \
                best = x[i];                                                                                           \
                place = i;                                                                                             \
            }                                                                                                          \
            y[i] = best;                                                                                               \
            at[i] = place;                                                                                             \
        }                                                                                                              \
    }

static void extreme_rows(void *arg, int64_t first, int64_t count)
{
    const Scan *scan = arg;
    switch (scan->dtype) {
    case DTYPE_f32: EXTREME_ROWS(float) break;
    case DTYPE_f64: EXTREME_ROWS(double) break;
    case DTYPE_i64: EXTREME_ROWS(int64_t) break;
    case DTYPE_i32: EXTREME_ROWS(int32_t) break;
    default: EXTREME_ROWS(uint8_t) break;
    }
}

bool cummax_run(OpCall *call) { return scan_run(call, extreme_rows, false); }
bool cummin_run(OpCall *call) { return scan_run(call, extreme_rows, true); }
bool cummax_grad(GradCall *g) { return rows_grad_places(g, g->attr[0].i); }
bool cummin_grad(GradCall *g) { return rows_grad_places(g, g->attr[0].i); }

/* ---- logcumsumexp ---- */

bool shape_logcumsumexp(OpCall *call)
{
    if (!scan_axis(call)) return false;
    spec_of(call->in[0], &call->spec[0]);
    if (dtype_class((Dtype)call->in[0]->dtype) != CLASS_FLOAT) call->spec[0].dtype = DTYPE_f32;
    return true;
}

static double add_logs(double a, double b)
{
    if (isnan(a) || isnan(b)) return (double)NAN;
    double high = a > b ? a : b, low = a > b ? b : a;
    return isinf(high) ? high : high + log1p(exp(low - high));
}

#define LOG_ROWS(type)                                                                                                 \
    for (int64_t r = first; r < first + count; r++) {                                                                  \
        const type *x = (const type *)(const void *)scan->x + r * scan->n;                                             \
        type *y = (type *)(void *)scan->y + r * scan->n;                                                               \
        double sum = -(double)INFINITY;                                                                                \
        for (int64_t k = 0; k < scan->n; k++) {                                                                        \
            int64_t i = scan->flag ? scan->n - 1 - k : k;                                                              \
            sum = add_logs(sum, (double)x[i]);                                                                         \
            y[i] = (type)sum;                                                                                          \
        }                                                                                                              \
    }

static void log_rows(void *arg, int64_t first, int64_t count)
{
    const Scan *scan = arg;
    if (scan->dtype == DTYPE_f32) LOG_ROWS(float)
    else LOG_ROWS(double)
}

bool logcumsumexp_run(OpCall *call) { return scan_run(call, log_rows, call->attr[1].b); }

/* e^x times the sums, the other way, of what arrives where [sign] dy is positive, over e^y: all by logarithms. */
static Tensor *log_flow(GradCall *g, Tensor *y, double sign)
{
    Scope *s = g->s;
    Tensor *dy = s_scale(s, g->dy[0], sign), *zero = s_const(s, 0.0);
    Tensor *flows = s_binary(s, OP_gt, dy, zero);
    Tensor *logs = s_unary(s, OP_log, s_where(s, flows, dy, s_const(s, 1.0)));
    logs = s_sub(s, s_where(s, flows, logs, s_const(s, LOWEST)), y);
    Attr attr[2] = {g->attr[0], attr_bool(!g->attr[1].b)};
    Tensor *sums = logs ? s_op(s, OP_logcumsumexp, 1, &logs, attr, 0) : NULL;
    return s_unary(s, OP_exp, s_add(s, g->in[0], sums));
}

/* The same as a matrix of all pairs, e^(x_k - y_i), whose own gradient is right where dy is 0 too. */
static Tensor *log_pairs(GradCall *g, Tensor *y, int axis)
{
    Scope *s = g->s;
    int last = y->ndim - 1;
    int64_t n = y->shape[axis];
    Tensor *x = s_unsqueeze(s, s_transpose(s, g->in[0], axis, last), last + 1);
    Tensor *to = s_unsqueeze(s, s_transpose(s, y, axis, last), last);
    Tensor *dy = s_unsqueeze(s, s_transpose(s, g->dy[0], axis, last), last);
    Tensor *mask = scope_own(s, tensor_zeros(g->ctx, DTYPE_bool, 2, (int64_t[]){n, n}));
    for (int64_t k = 0; mask && k < n; k++)
        for (int64_t i = 0; i < n; i++) mask->data[k * n + i] = g->attr[1].b ? i <= k : i >= k;
    Tensor *weights = s_unary(s, OP_exp, s_where(s, mask, s_sub(s, x, to), s_const(s, LOWEST)));
    bool axes[TENSOR_MAX_DIMS] = {false};
    axes[last + 1] = true;
    return s_transpose(s, s_sum(s, s_mul(s, weights, dy), axes, false), axis, last);
}

bool logcumsumexp_grad(GradCall *g)
{
    Scope *s = g->s;
    int ndim = g->in_spec[0].ndim;
    Tensor *none = s_binary(s, OP_eq, g->out[0], s_const(s, -(double)INFINITY));
    Tensor *y = s_where(s, none, s_const(s, 0.0), g->out[0]), *dx;
    if (ndim == 0) dx = g->dy[0];
    else if (y && grad_recording(g) && ndim < TENSOR_MAX_DIMS)
        dx = log_pairs(g, y, (int)(g->attr[0].i < 0 ? g->attr[0].i + ndim : g->attr[0].i));
    else dx = s_sub(s, log_flow(g, y, 1.0), log_flow(g, y, -1.0));
    g->dx[0] = s_cast(s, dx, g->in_spec[0].dtype);
    return g->dx[0] != NULL;
}
