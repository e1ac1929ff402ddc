/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the second elementwise section: hyperbolic and inverse functions, special functions, bits. What libm lacks
   is computed here in another way than in the library: by integrals, bisection and plain sums. */
#include <math.h>

#include "ops_test.h"

static double f_frac(double x) { return x - trunc(x); }
static double f_sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }
static double f_log_sigmoid(double x) { return x < -40 ? x : -log1p(exp(-x)); }
static double f_mish(double x) { return x * tanh(x > 40 ? x : log1p(exp(x))); }
static double f_ndtr(double x) { return 0.5 * erfc(-x / sqrt(2)); }
static double f_log_ndtr(double x) { return log(0.5 * erfc(-x / sqrt(2))); }
static double f_lgamma(double x) { return lgamma(x); }
static double f_fmax(double a, double b) { return fmax(a, b); }
static double f_fmin(double a, double b) { return fmin(a, b); }
static double f_xlogy(double a, double b) { return isnan(b) ? b : a == 0 ? 0 : a * log(b); }
static double f_leaky(double x, double slope) { return x > 0 ? x : slope * x; }
static double f_elu(double x, double alpha) { return x > 0 ? x : alpha * expm1(x); }

static double f_logaddexp(double a, double b)
{
    return a == b ? a + log(2) : fmax(a, b) + log1p(exp(-fabs(a - b)));
}

static double bisect(double (*f)(double), double y, double low, double high)
{
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (low + high);
        *(f(middle) < y ? &low : &high) = middle;
    }
    return 0.5 * (low + high);
}

static double f_erfinv(double y) { return fabs(y) > 1 || isnan(y) ? (double)NAN : bisect(erf, y, -7, 7); }
static double f_ndtri(double p) { return bisect(f_ndtr, p, -9, 9); }

/* sum of k^-s from x on for s >= 2: terms, then the integral with a half term and two corrections */
static double zeta_from(double s, double x)
{
    double sum = 0;
    for (; x < 3000; x++)
        sum += pow(x, -s);
    return sum + pow(x, 1 - s) / (s - 1) + 0.5 * pow(x, -s) + s / 12 * pow(x, -s - 1);
}

static double f_digamma(double x)
{
    double shifted = x, sum = 0;
    for (; shifted < 3000; shifted++)
        sum -= 1 / shifted;
    return sum + log(shifted) - 0.5 / shifted - 1 / (12 * shifted * shifted);
}

static void ref_polygamma(Ref *r)
{
    double n = (double)ref_int(r, "n");
    double *v = ref_like(r, ref_floating(r->in[0]->dtype), r->in[0]);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = n == 0 ? f_digamma(r->in[0]->v[i])
                      : (fmod(n, 2) == 1 ? 1 : -1) * tgamma(n + 1) * zeta_from(n + 1, r->in[0]->v[i]);
}

/* The mean over angles of e^(x cos t) cos(order t): the trapezoid rule is exact to rounding for periodic functions. */
static double bessel(int order, double x, double scale)
{
    double sum = 0;
    for (int k = 0; k < 400; k++)
        sum += exp(x * cos(2 * M_PI * k / 400) - scale) * cos(order * 2 * M_PI * k / 400);
    return sum / 400;
}

static double f_i0(double x) { return bessel(0, x, 0); }
static double f_i1(double x) { return bessel(1, x, 0); }
static double f_i0e(double x) { return bessel(0, x, fabs(x)); }
static double f_i1e(double x) { return bessel(1, x, fabs(x)); }

static double f_not(double x) { return -x - 1; }
static double f_and(double a, double b) { return (double)((int64_t)a & (int64_t)b); }
static double f_or(double a, double b) { return (double)((int64_t)a | (int64_t)b); }
static double f_xor(double a, double b) { return (double)((int64_t)a ^ (int64_t)b); }
static double f_left(double a, double b) { return ldexp(a, (int)b); }
static double f_right(double a, double b) { return floor(ldexp(a, -(int)b)); }

static double f_gcd(double a, double b)
{
    for (double d = fmax(fabs(a), fabs(b)); d > 0; d--)
        if (fmod(a, d) == 0 && fmod(b, d) == 0)
            return d;
    return 0;
}

static double f_lcm(double a, double b) { return a == 0 || b == 0 ? 0 : fabs(a * b) / f_gcd(a, b); }

#define ONE(name, fn, range)                                                                                          \
    {name, "x[3,5]" range, "", ref_unary, .f1 = fn},                                                                  \
    {name, "x[2,0]" range, "", ref_unary, .f1 = fn},                                                                  \
    {name, "x[1,1]" range, "", ref_unary, .f1 = fn},                                                                  \
    {name, "x[]" range, "", ref_unary, .f1 = fn}
#define MANY(name, fn, range) {name, "x[7,2287]" range, "", ref_unary, .f1 = fn, .big = true}
#define EDGE(name, fn, range)                                                                                         \
    {name, "x[257]" range, "", ref_unary, .f1 = fn, .only = FLOATS, .no_grad = true, .relative = true}
#define TWO(name, fn, left, right)                                                                                    \
    {name, "x[3,5]" left " x[3,5]" right, "", ref_binary, .f2 = fn},                                                  \
    {name, "x[3,1]" left " x[2,1,4]" right, "", ref_binary, .f2 = fn},                                                \
    {name, "x[0,3]" left " x[1,3]" right, "", ref_binary, .f2 = fn},                                                  \
    {name, "x[1,1]" left " x[1]" right, "", ref_binary, .f2 = fn},                                                    \
    {name, "x[2,3]" left " x[4]" right, "", .error = ERROR_shape},                                                    \
    {name, "x[7,2287]" left " x[2287]" right, "", ref_binary, .f2 = fn, .big = true}
#define WHOLE(name, fn, left, right, refused)                                                                         \
    {name, "x[3,5]" left " x[3,5]" right, "", ref_binary, .f2 = fn, .refuses = refused},                              \
    {name, "x[3,1]" left " x[2,1,4]" right, "", ref_binary, .f2 = fn, .refuses = refused},                            \
    {name, "x[0,3]" left " x[1,3]" right, "", ref_binary, .f2 = fn, .refuses = refused},                              \
    {name, "i64[500]" left " i64[500]" right, "", ref_binary, .f2 = fn},                                              \
    {name, "u8[500](0,7) u8[500](0,5)", "", ref_binary, .f2 = fn},                                                    \
    {name, "i32[1]" left " int(2)", "", ref_binary, .f2 = fn}

const Case cases_special[] = {
    ONE("sinh", sinh, ""), ONE("cosh", cosh, ""), ONE("asin", asin, "(-0.9,0.9)"), ONE("acos", acos, "(-0.9,0.9)"),
    ONE("atan", atan, "(-4,4)"), ONE("asinh", asinh, "(-4,4)"), ONE("acosh", acosh, "(1.2,4)"),
    ONE("atanh", atanh, "(-0.8,0.8)"), ONE("exp2", exp2, ""), ONE("log10", log10, "(0.1,3)"),
    ONE("cbrt", cbrt, "(0.4,3)"), ONE("frac", f_frac, "(2.1,2.9)"), ONE("sinc", f_sinc, "(-3,3)"),
    ONE("sinc", f_sinc, "(-0.05,0.05)"), ONE("log_sigmoid", f_log_sigmoid, "(-4,4)"), ONE("mish", f_mish, "(-4,4)"),
    ONE("erfc", erfc, ""), ONE("erfinv", f_erfinv, "(-0.9,0.9)"), ONE("ndtr", f_ndtr, ""),
    ONE("ndtri", f_ndtri, "(0.05,0.95)"), ONE("log_ndtr", f_log_ndtr, "(-7,3)"), ONE("lgamma", f_lgamma, "(0.3,5)"),
    ONE("digamma", f_digamma, "(0.5,5)"), ONE("i0", f_i0, "(-3,3)"), ONE("i0e", f_i0e, "(-3,3)"),
    ONE("i1", f_i1, "(-3,3)"), ONE("i1e", f_i1e, "(-3,3)"),
    MANY("sinh", sinh, ""), MANY("cosh", cosh, ""), MANY("asin", asin, "(-0.97,0.97)"), MANY("acos", acos, "(-0.97,0.97)"),
    MANY("atan", atan, "(-9,9)"), MANY("asinh", asinh, "(-9,9)"), MANY("acosh", acosh, "(1.1,9)"),
    MANY("atanh", atanh, "(-0.9,0.9)"), MANY("exp2", exp2, ""), MANY("log10", log10, "(0.1,3)"),
    MANY("cbrt", cbrt, "(0.1,9)"), MANY("frac", f_frac, "(-9,9)"), MANY("log_sigmoid", f_log_sigmoid, "(-9,9)"),
    MANY("mish", f_mish, "(-9,9)"), MANY("erfc", erfc, "(-3,3)"), MANY("ndtr", f_ndtr, "(-3,3)"),
    {"polygamma", "x[3,5](0.5,5)", "n=0", .reference = ref_polygamma},
    {"polygamma", "x[3,5](0.7,5)", "n=1", .reference = ref_polygamma},
    {"polygamma", "x[5](0.8,5)", "n=2", ref_polygamma, .loose = 4}, {"polygamma", "x[2,0]", "n=2", .reference = ref_polygamma},
    {"polygamma", "x[1](2,3)", "n=5", ref_polygamma, .loose = 10}, {"polygamma", "x[3]", "n=-1", .error = ERROR_value},
    {"polygamma", "x[3]", "n=61", .error = ERROR_value},

    EDGE("sinh", sinh, "(-95,95)znpm"), EDGE("sinh", sinh, "(-1e-3,1e-3)z"), EDGE("cosh", cosh, "(-95,95)znpm"),
    EDGE("asin", asin, "(-1.1,1.1)znpm"), EDGE("acos", acos, "(-1.1,1.1)znpm"), EDGE("atan", atan, "(-1e6,1e6)znpm"),
    EDGE("asinh", asinh, "(-1e30,1e30)znpm"), EDGE("asinh", asinh, "(-1e-3,1e-3)z"),
    EDGE("acosh", acosh, "(0.9,1e20)znpm"), EDGE("atanh", atanh, "(-1.1,1.1)znpm"), EDGE("exp2", exp2, "(-160,140)znpm"),
    EDGE("log10", log10, "(0,1e30)znpm"), EDGE("log10", log10, "(-3,-1)"), EDGE("cbrt", cbrt, "(-1e30,1e30)znpm"),
    EDGE("cbrt", cbrt, "(-1e-30,1e-30)z"), EDGE("erfc", erfc, "(-9,9)znpm"), EDGE("ndtr", f_ndtr, "(-12,9)znpm"),
    EDGE("lgamma", f_lgamma, "(3,1e6)znp"), EDGE("log_sigmoid", f_log_sigmoid, "(-90,90)znpm"),
    EDGE("mish", f_mish, "(-40,90)znp"), EDGE("i0e", f_i0e, "(-100,100)z"), EDGE("i1e", f_i1e, "(-100,100)"),

    TWO("hypot", hypot, "", "(0.3,3)"), TWO("copysign", copysign, "", ""), TWO("fmax", f_fmax, "", "(-1.9,2.1)"),
    TWO("fmin", f_fmin, "", "(-1.9,2.1)"), TWO("xlogy", f_xlogy, "", "(0.5,3)"),
    TWO("logaddexp", f_logaddexp, "", "(-1.9,2.1)"), TWO("leaky_relu", f_leaky, "", "(0.1,2)"),
    TWO("elu", f_elu, "", "(0.3,2)"),
    {"leaky_relu", "x[3,5] num(0.2)", "", ref_binary, .f2 = f_leaky, .only = FLOATS},
    {"elu", "x[3,5] num(1.5)", "", ref_binary, .f2 = f_elu, .only = FLOATS},
    {"leaky_relu", "x[5] x[5](-0.5,-0.1)", "", ref_binary, .f2 = f_leaky, .only = FLOATS},
    {"logaddexp", "x[5] num(0.5)", "", ref_binary, .f2 = f_logaddexp},
    {"xlogy", "x[4]z x[4](0.5,3)", "", ref_binary, .f2 = f_xlogy, .only = FLOATS},
    {"xlogy", "x[7,1]znpm x[1,9]znpm", "", ref_binary, .f2 = f_xlogy, .only = FLOATS, .no_grad = true},
    {"hypot", "x[7,1](-1e30,1e30)znpm x[1,9]znpm", "", ref_binary, .f2 = hypot, .only = FLOATS, .no_grad = true,
     .relative = true},
    {"fmax", "x[7,1]znpm x[1,9]znpm", "", ref_binary, .f2 = f_fmax, .only = FLOATS, .no_grad = true},
    {"fmin", "x[7,1]znpm x[1,9]znpm", "", ref_binary, .f2 = f_fmin, .only = FLOATS, .no_grad = true},
    {"logaddexp", "x[7,1]znpm x[1,9]znpm", "", ref_binary, .f2 = f_logaddexp, .only = FLOATS, .no_grad = true},
    {"nextafter", "f64[3,5] f64[5]", "", ref_binary, .f2 = nextafter},
    {"nextafter", "f64[0] f64[1]", "", ref_binary, .f2 = nextafter},
    {"nextafter", "f64[7,1]znpm f64[1,9]znpm", "", ref_binary, .f2 = nextafter},
    {"fmod", "x[3,5](3.2,3.7) x[3,5](0.95,1.04)", "", ref_binary, .f2 = fmod},
    {"fmod", "x[3,1](3.2,3.7) x[2,1,4](0.95,1.04)", "", ref_binary, .f2 = fmod},
    {"fmod", "x[30](-9,9) x[30](1,4)", "", ref_binary, .f2 = fmod, .no_grad = true /* jumps are near */},
    {"fmod", "x[30](-9,9) x[30](-4,-1)", "", ref_binary, .f2 = fmod, .no_grad = true},
    {"fmod", "x[0,3] x[1,3](1,4)", "", ref_binary, .f2 = fmod},
    {"fmod", "i32[3] int(0)", "", .error = ERROR_zero},

    {"bitwise_not", "i32[3,5]", "", ref_unary, .f1 = f_not}, {"bitwise_not", "i64[0]", "", ref_unary, .f1 = f_not},
    {"bitwise_not", "i64[1]", "", ref_unary, .f1 = f_not}, {"bitwise_not", "f32[3]", "", .error = ERROR_dtype},
    WHOLE("bitwise_and", f_and, "(-9,9)", "(-9,9)", FLOATS), WHOLE("bitwise_or", f_or, "(-9,9)", "(-9,9)", FLOATS),
    WHOLE("bitwise_xor", f_xor, "(-9,9)", "(-9,9)", FLOATS), WHOLE("left_shift", f_left, "(0,9)", "(0,4)", "bool f32 f64"),
    WHOLE("right_shift", f_right, "(-90,90)", "(0,9)", "bool f32 f64"),
    WHOLE("gcd", f_gcd, "(-30,30)", "(-30,30)", "bool f32 f64"),
    WHOLE("lcm", f_lcm, "(-15,15)", "(-15,15)", "bool f32 f64"),
    {"bitwise_and", "bool[3,5] bool[5]", "", ref_binary, .f2 = f_and},
    {"bitwise_or", "bool[3,5] i32[5]", "", ref_binary, .f2 = f_or},
    {"left_shift", "i32[3] i32[3](-4,-1)", "", .error = ERROR_value},
    {"right_shift", "i64[3] int(-1)", "", .error = ERROR_value},
    {0},
};
