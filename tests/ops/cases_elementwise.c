/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the elementwise rows: each row in one to three shapes, empty and single ones, broadcasting, and sizes that
   no vector width divides. References are libm's doubles. */
#include <math.h>

#include "ops_test.h"

static double f_neg(double x) { return -x; }
static double f_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double f_rsqrt(double x) { return 1 / sqrt(x); }
static double f_square(double x) { return x * x; }
static double f_reciprocal(double x) { return 1 / x; }
static double f_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_relu(double x) { return x > 0 ? x : 0; }
static double f_gelu(double x) { return x * 0.5 * erfc(-x / sqrt(2)); }
static double f_silu(double x) { return x / (1 + exp(-x)); }
static double f_softplus(double x) { return x > 30 ? x : log1p(exp(x)); }
static double f_isnan(double x) { return isnan(x) ? 1 : 0; }
static double f_isinf(double x) { return isinf(x) ? 1 : 0; }
static double f_isfinite(double x) { return isfinite(x) ? 1 : 0; }
static double f_not(double x) { return x == 0; }
static double f_gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * pow(x, 3)))); }

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_floordiv(double a, double b) { return floor(a / b); }
static double f_mod(double a, double b) { return a - b * floor(a / b); }
static double f_eq(double a, double b) { return a == b; }
static double f_ne(double a, double b) { return a != b; }
static double f_lt(double a, double b) { return a < b; }
static double f_le(double a, double b) { return a <= b; }
static double f_gt(double a, double b) { return a > b; }
static double f_ge(double a, double b) { return a >= b; }
static double f_and(double a, double b) { return a != 0 && b != 0; }
static double f_or(double a, double b) { return a != 0 || b != 0; }
static double f_xor(double a, double b) { return (a != 0) != (b != 0); }

static void ref_where(Ref *r)
{
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    ref_broadcast_shape(r, &ndim, shape);
    double *v = ref_out(r, r->in[1]->dtype > r->in[2]->dtype ? r->in[1]->dtype : r->in[2]->dtype, ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = ref_broadcast(r->in[ref_broadcast(r->in[0], &r->out[0], i) != 0 ? 1 : 2], &r->out[0], i);
}

static void ref_clamp(Ref *r)
{
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    ref_broadcast_shape(r, &ndim, shape);
    Dtype dtype = r->in[0]->dtype;
    for (int k = 1; k < r->n_in; k++)
        if (r->in[k] && !r->in[k]->weak && r->in[k]->dtype > dtype)
            dtype = r->in[k]->dtype;
    double *v = ref_out(r, dtype, ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        v[i] = ref_broadcast(r->in[0], &r->out[0], i);
        if (r->n_in > 1 && r->in[1])
            v[i] = fmax(v[i], ref_broadcast(r->in[1], &r->out[0], i));
        if (r->n_in > 2 && r->in[2])
            v[i] = fmin(v[i], ref_broadcast(r->in[2], &r->out[0], i));
    }
}

/* Numbers that ints are held between are rounded inwards. */
static void ref_clamp_whole(Ref *r)
{
    double *v = ref_like(r, r->in[0]->dtype, r->in[0]);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = fmin(fmax(r->in[0]->v[i], ceil(r->in[1]->v[0])), floor(r->in[2]->v[0]));
}

static double f_max(double a, double b) { return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b); }
static double f_min(double a, double b) { return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b); }
static double f_relu_nan(double x) { return isnan(x) ? x : f_relu(x); }

/* A row of one input: a matrix, nothing, one element, no axes, and enough for several tasks and odd tails. */
#define ONE(name, fn, range)                                                                                          \
    {name, "x[3,5]" range, "", ref_unary, .f1 = fn},                                                     \
    {name, "x[2,0]" range, "", ref_unary, .f1 = fn},                                                     \
    {name, "x[1,1]" range, "", ref_unary, .f1 = fn},                                                     \
    {name, "x[]" range, "", ref_unary, .f1 = fn},                                                        \
    {name, "x[7,14287]" range, "", ref_unary, .f1 = fn, .big = true}
#define EDGE(name, fn, range)                                                                                         \
    {name, "x[257]" range, "", ref_unary, .f1 = fn, .only = FLOATS, .no_grad = true, .relative = true}
#define EDGES(name, fn)                                                                                               \
    {name, "x[7,1]znpm x[1,9]znpm", "", ref_binary, .f2 = fn, .only = FLOATS, .no_grad = true, .relative = true}
#define TWO(name, fn, left, right)                                                                                    \
    {name, "x[3,5]" left " x[3,5]" right, "", ref_binary, .f2 = fn},                                     \
    {name, "x[3,1]" left " x[2,1,4]" right, "", ref_binary, .f2 = fn},                                   \
    {name, "x[]" left " x[4]" right, "", ref_binary, .f2 = fn},                                          \
    {name, "x[4]" left " x[]" right, "", ref_binary, .f2 = fn},                                          \
    {name, "x[0,3]" left " x[1,3]" right, "", ref_binary, .f2 = fn},                                     \
    {name, "x[1,1]" left " x[1]" right, "", ref_binary, .f2 = fn},                                       \
    {name, "x[2,3]" left " x[4]" right, "", .error = ERROR_shape},                                       \
    {name, "x[7,14287]" left " x[7,14287]" right, "", ref_binary, .f2 = fn, .big = true},                \
    {name, "x[300,333]" left " x[333]" right, "", ref_binary, .f2 = fn, .big = true},                    \
    {name, "x[300,1]" left " x[300,333]" right, "", ref_binary, .f2 = fn, .big = true}

const Case cases_elementwise[] = {
    ONE("neg", f_neg, ""),
    ONE("abs", fabs, ""),
    ONE("sign", f_sign, ""),
    ONE("exp", exp, ""),
    ONE("expm1", expm1, ""),
    ONE("log", log, "(0.1,3)"),
    ONE("log1p", log1p, "(-0.8,3)"),
    ONE("log2", log2, "(0.1,3)"),
    ONE("sqrt", sqrt, "(0.1,3)"),
    ONE("rsqrt", f_rsqrt, "(0.3,3)"),
    ONE("square", f_square, ""),
    ONE("reciprocal", f_reciprocal, "(0.4,3)"),
    ONE("sin", sin, "(-4,4)"),
    ONE("cos", cos, "(-4,4)"),
    ONE("tan", tan, "(-1.2,1.2)"),
    ONE("tanh", tanh, ""),
    ONE("sigmoid", f_sigmoid, "(-4,4)"),
    ONE("relu", f_relu, ""),
    ONE("gelu", f_gelu, ""),
    ONE("gelu_tanh", f_gelu_tanh, ""),
    ONE("silu", f_silu, ""),
    ONE("softplus", f_softplus, "(-4,4)"),
    ONE("erf", erf, ""),
    ONE("floor", floor, ""),
    ONE("ceil", ceil, ""),
    ONE("round", rint, ""),
    ONE("trunc", trunc, ""),
    ONE("isnan", f_isnan, ""),
    ONE("isinf", f_isinf, ""),
    ONE("isfinite", f_isfinite, ""),
    {"logical_not", "bool[3,5]", "", ref_unary, .f1 = f_not},
    {"logical_not", "bool[2,0]", "", ref_unary, .f1 = f_not},
    {"logical_not", "bool[1]", "", ref_unary, .f1 = f_not},
    {"logical_not", "i32[3]", "", .error = ERROR_dtype},

    /* the ends of the number line: a zero, NaN and both infinities, values that over- and underflow, and steps that no
       range reduction may miss */
    EDGE("neg", f_neg, "(-100,100)znpm"), EDGE("abs", fabs, "(-100,100)znpm"), EDGE("sign", f_sign, "(-100,100)znpm"),
    EDGE("exp", exp, "(-120,120)znpm"), EDGE("exp", exp, "(-1e-3,1e-3)z"), EDGE("expm1", expm1, "(-120,120)znpm"),
    EDGE("expm1", expm1, "(-1e-6,1e-6)z"), EDGE("log", log, "(0,1e30)znpm"), EDGE("log", log, "(0.9,1.1)"),
    EDGE("log", log, "(-3,-1)"), EDGE("log1p", log1p, "(-0.999,1e20)znpm"), EDGE("log1p", log1p, "(-1e-6,1e-6)z"),
    EDGE("log2", log2, "(0,1e30)znpm"), EDGE("sqrt", sqrt, "(0,1e30)znpm"), EDGE("sqrt", sqrt, "(-3,-1)"),
    EDGE("rsqrt", f_rsqrt, "(0,1e30)znpm"), EDGE("square", f_square, "(-1e15,1e15)znpm"),
    EDGE("reciprocal", f_reciprocal, "(-100,100)znpm"), EDGE("tanh", tanh, "(-30,30)znpm"),
    EDGE("tanh", tanh, "(-1e-3,1e-3)z"), EDGE("sigmoid", f_sigmoid, "(-80,80)znpm"), EDGE("erf", erf, "(-7,7)znpm"),
    EDGE("erf", erf, "(-1e-3,1e-3)z"), EDGE("relu", f_relu_nan, "(-100,100)znpm"),
    EDGE("floor", floor, "(-1e10,1e10)znpm"),
    EDGE("ceil", ceil, "(-1e10,1e10)znpm"), EDGE("round", rint, "(-4,4)znpm"), EDGE("trunc", trunc, "(-1e10,1e10)znpm"),
    EDGE("isnan", f_isnan, "znpm"), EDGE("isinf", f_isinf, "znpm"), EDGE("isfinite", f_isfinite, "znpm"),
    EDGE("softplus", f_softplus, "(-80,80)znp"), EDGE("silu", f_silu, "(-60,60)znp"),
    {"sin", "x[257](-3000,3000)znpm", "", ref_unary, .f1 = sin, .only = FLOATS, .no_grad = true},
    {"cos", "x[257](-3000,3000)znpm", "", ref_unary, .f1 = cos, .only = FLOATS, .no_grad = true},
    {"tan", "x[257](-1.5,1.5)znpm", "", ref_unary, .f1 = tan, .only = FLOATS, .no_grad = true, .relative = true},
    {"gelu", "x[257](-30,30)znp", "", ref_unary, .f1 = f_gelu, .only = FLOATS, .no_grad = true},
    {"gelu_tanh", "x[257](-30,30)znp", "", ref_unary, .f1 = f_gelu_tanh, .only = FLOATS, .no_grad = true},
    EDGES("add", f_add), EDGES("sub", f_sub), EDGES("mul", f_mul), EDGES("div", f_div), EDGES("maximum", f_max),
    EDGES("minimum", f_min), EDGES("eq", f_eq), EDGES("ne", f_ne), EDGES("lt", f_lt), EDGES("le", f_le),
    EDGES("gt", f_gt), EDGES("ge", f_ge), EDGES("pow", pow), EDGES("atan2", atan2),
    {"floordiv", "x[7,1]zn x[1,9]zn", "", ref_binary, .f2 = f_floordiv, .only = FLOATS, .no_grad = true},
    {"pow", "x[9](-3,3)znpm num(2)", "", ref_binary, .f2 = pow, .only = FLOATS, .no_grad = true},
    {"pow", "x[9](-3,3)znpm num(0)", "", ref_binary, .f2 = pow, .only = FLOATS, .no_grad = true},
    {"pow", "x[9](-3,3) num(0.5)", "", ref_binary, .f2 = pow, .only = FLOATS, .no_grad = true},
    {"pow", "x[9](-3,3) int(3)", "", ref_binary, .f2 = pow},
    {"pow", "x[9](0.2,3)z num(2)", "", ref_binary, .f2 = pow, .only = FLOATS},
    {"pow", "x[4](0.2,3) num(-1.5)", "", ref_binary, .f2 = pow, .only = FLOATS},

    TWO("add", f_add, "", ""),
    TWO("sub", f_sub, "", ""),
    TWO("mul", f_mul, "", ""),
    TWO("div", f_div, "", "(0.5,3)"),
    TWO("floordiv", f_floordiv, "(-9,9)", "(0.6,3)"),
    {"mod", "x[3,5](3.1,3.9) x[3,5](0.9,1.1)", "", ref_binary, .f2 = f_mod},
    {"mod", "x[3,1](3.1,3.9) x[2,1,4](0.9,1.1)", "", ref_binary, .f2 = f_mod},
    {"mod", "x[3](-9,9) x[3](1,4)", "", ref_binary, .f2 = f_mod, .no_grad = true /* jumps are near */},
    {"mod", "x[3](-9,9) x[3](-4,-1)", "", ref_binary, .f2 = f_mod, .no_grad = true},
    {"mod", "x[0,3] x[1,3](1,4)", "", ref_binary, .f2 = f_mod},
    {"mod", "x[1] x[1](1,4)", "", ref_binary, .f2 = f_mod},
    {"mod", "i32[3] int(0)", "", .error = ERROR_zero},
    {"floordiv", "i64[3] int(0)", "", .error = ERROR_zero},
    TWO("pow", pow, "(0.3,2)", "(0.2,2.5)"),
    {"pow", "x[5](-3,3) num(3)", "", ref_binary, .f2 = pow, .only = FLOATS},
    {"pow", "i32[3] i32[3](-3,-1)", "", .error = ERROR_value},
    TWO("maximum", fmax, "", "(-1.9,2.1)"),
    TWO("minimum", fmin, "", "(-1.9,2.1)"),
    TWO("atan2", atan2, "(-3,3)", "(0.3,3)"),
    TWO("eq", f_eq, "", ""),
    TWO("ne", f_ne, "", ""),
    TWO("lt", f_lt, "", ""),
    TWO("le", f_le, "", ""),
    TWO("gt", f_gt, "", ""),
    TWO("ge", f_ge, "", ""),
    {"logical_and", "bool[3,5] bool[5]", "", ref_binary, .f2 = f_and},
    {"logical_and", "bool[3,0] bool[1]", "", ref_binary, .f2 = f_and},
    {"logical_and", "bool[1] bool[1]", "", ref_binary, .f2 = f_and},
    {"logical_and", "bool[3] i32[3]", "", .error = ERROR_dtype},
    {"logical_or", "bool[3,5] bool[5]", "", ref_binary, .f2 = f_or},
    {"logical_or", "bool[3,0] bool[1]", "", ref_binary, .f2 = f_or},
    {"logical_or", "bool[1] bool[1]", "", ref_binary, .f2 = f_or},
    {"logical_xor", "bool[3,5] bool[5]", "", ref_binary, .f2 = f_xor},
    {"logical_xor", "bool[3,0] bool[1]", "", ref_binary, .f2 = f_xor},
    {"logical_xor", "bool[1] bool[1]", "", ref_binary, .f2 = f_xor},

    /* promotion between tensors */
    {"add", "u8[3](0,9) f32[3]", "", ref_binary, .f2 = f_add},
    {"add", "bool[3] i64[3]", "", ref_binary, .f2 = f_add},
    {"mul", "i32[3] f64[3]", "", ref_binary, .f2 = f_mul},
    {"sub", "u8[3](0,9) u8[3](0,9)", "", ref_binary, .f2 = f_sub},
    {"div", "i64[3] i32[3](1,4)", "", ref_binary, .f2 = f_div},
    {"lt", "i64[3] f32[3]", "", ref_binary, .f2 = f_lt},

    {"where", "bool[3,4] x[3,4] x[3,4]", "", .reference = ref_where},
    {"where", "bool[3,1] x[2,1,4] x[]", "", .reference = ref_where},
    {"where", "bool[0] x[1] x[0]", "", .reference = ref_where},
    {"where", "bool[1] x[1] x[1]", "", .reference = ref_where},
    {"where", "i32[3] x[3] x[3]", "", .error = ERROR_dtype},
    {"gelu", "x[530,521]", "", ref_unary, .f1 = f_gelu, .big = true},      /* more than a core's cache */
    {"where", "bool[300,333] x[300,1] x[333]", "", ref_where, .big = true},
    {"clamp", "x[3,5] num(-1.01) num(0.77)", "", ref_clamp, .only = FLOATS},
    {"clamp", "x[3,5] int(-1) int(1)", "", ref_clamp, .no_grad = true, .only = FLOATS},
    {"clamp", "i32[3,5](-9,9) num(-2.5) num(3.5)", "", .reference = ref_clamp_whole},
    {"clamp", "x[3,5] num(0.33) -", "", ref_clamp, .only = FLOATS},
    {"clamp", "x[3,5] - num(0.33)", "", ref_clamp, .only = FLOATS},
    {"clamp", "x[0,5] - int(1)", "", .reference = ref_clamp},
    {"clamp", "x[1] - num(1.5)", "", ref_clamp, .only = FLOATS},
    {"clamp", "x[7,14287] num(-1.01) num(0.77)", "", ref_clamp, .big = true},
    {"clamp", "x[3,5] x[3,5](-1.5,-0.4) x[3,5](0.3,1.6)", "", .reference = ref_clamp},
    {"clamp", "x[3,1] x[2,1,4](-1.5,-0.4) num(0.77)", "", .reference = ref_clamp, .only = FLOATS},
    {"clamp", "x[3,4] - x[4](0.3,1.6)", "", .reference = ref_clamp},
    {"clamp", "x[3,4] x[](-1.5,-0.4) -", "", .reference = ref_clamp},
    {"clamp", "x[3,5] x[3,5](0.3,1.6) x[3,5](-1.5,-0.4)", "", .reference = ref_clamp},
    {"clamp", "i32[3,4] f64[4](0.3,1.6) i64[](2,4)", "", .reference = ref_clamp},
    {"clamp", "x[300,333] x[333](-1.5,-0.4) x[300,1](0.3,1.6)", "", ref_clamp, .big = true},
    {"clamp", "x[3,4] x[3](-1.5,-0.4) -", "", .error = ERROR_shape},
    {"clamp", "x[3] int(2) int(1)", "", .error = ERROR_value},
    {"clamp", "x[3] - -", "", .error = ERROR_argument},
    {0},
};
