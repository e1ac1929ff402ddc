/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Special functions that libm lacks: inverses of the error function by Halley's method, the derivatives of log gamma by
   recurrence, reflection and Euler-Maclaurin sums, the modified Bessel functions by series. Plain scalar code: what is
   called a million times a second stands in vmath.h. */
#include "special.h"

#include <math.h>

#define PI 3.14159265358979323846

/* ---- error function and normal distribution ---- */

/* x >= 0 with erf(x) = y and erfc(x) = c, where c = 1 - y: the caller knows the smaller one exactly. */
static double inverse_erf(double y, double c)
{
    double l = y < 0.5 ? log1p(-y * y) : log(c * (1.0 + y));
    double t = 2.0 / (PI * 0.147) + 0.5 * l;
    double x = sqrt(sqrt(t * t - l / 0.147) - t);        /* Winitzki's approximation, good to 2e-3 */
    for (int i = 0; i < 3 && x > 0.0; i++) {
        double slope = 1.12837916709551257390 * exp(-x * x);
        double u = (y < 0.5 ? erf(x) - y : c - erfc(x)) / slope;
        x -= u / (1.0 + x * u);
    }
    return x;
}

double special_erfinv(double y)
{
    double a = fabs(y);
    if (!(a < 1.0)) return a == 1.0 ? copysign((double)INFINITY, y) : (double)NAN;
    if (a < 1e-9) return y * 0.88622692545275801365;     /* sqrt(pi) / 2 */
    return copysign(inverse_erf(a, 1.0 - a), y);
}

double special_ndtri(double p)
{
    if (!(p >= 0.0 && p <= 1.0)) return (double)NAN;
    if (p == 0.0 || p == 1.0) return p == 0.0 ? -(double)INFINITY : (double)INFINITY;
    if (fabs(p - 0.5) < 1e-9) return (p - 0.5) * 2.50662827463100050242;
    double c = p < 0.5 ? 2.0 * p : 2.0 * (1.0 - p);
    double y = p < 0.5 ? 1.0 - c : 2.0 * p - 1.0;
    double x = 1.41421356237309504880 * inverse_erf(y, c);
    return p < 0.5 ? -x : x;
}

double special_log_ndtr(double x)
{
    if (x > -5.0) return x < 1.0 ? log(0.5 * erfc(-x * 0.70710678118654752440))
                                 : log1p(-0.5 * erfc(x * 0.70710678118654752440));
    if (!(x <= -5.0)) return x;
    if (x < -1e150) return -0.5 * x * x;
    double a = -x, f = a;                                /* Mills's ratio as a continued fraction, from its end */
    for (int k = 100; k > 0; k--) f = a + k / f;
    return -0.5 * x * x - 0.91893853320467274178 - log(f);
}

/* ---- gamma ---- */

double special_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);                           /* lgamma() writes a global */
}

/* B_2k */
static const double bernoulli[] = {
    1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0, -3617.0 / 510.0,
    43867.0 / 798.0, -174611.0 / 330.0,
};
#define TERMS ((int)(sizeof bernoulli / sizeof bernoulli[0]))

/* sum over k >= 0 of (x + k)^-s for x > 0 and a whole s >= 2, by Euler and Maclaurin beyond x + k = 16 + s / 2 */
static double hurwitz_zeta(int s, double x)
{
    double sum = 0.0;
    for (; x < 16.0 + 0.5 * s; x += 1.0) sum += pow(x, -s);
    double power = pow(x, -s);
    sum += power * x / (s - 1) + 0.5 * power;
    double factor = s * power / x;
    for (int k = 1; k <= TERMS; k++) {
        double term = factor * bernoulli[k - 1];
        for (int j = 2; j <= 2 * k; j++) term /= j;
        sum += term;
        factor *= (s + 2 * k - 1.0) * (s + 2 * k) / (x * x);
    }
    return sum;
}

/* The derivative of that order of pi cot(pi x), as a polynomial in c = cot(pi x): c' = -pi (1 + c^2). */
static double cotangent_derivative(int order, double x)
{
    double p[SPECIAL_MAX_ORDER + 2] = { 0.0, 1.0 }, r = x - rint(x);
    double c = fabs(r) == 0.5 ? 0.0 : 1.0 / tan(PI * r), y = 0.0, scale = PI;
    for (int n = 0; n < order; n++) {
        double q[SPECIAL_MAX_ORDER + 2] = { 0.0 };
        for (int i = 1; i <= n + 1; i++) {
            q[i - 1] += i * p[i];
            q[i + 1] += i * p[i];
        }
        for (int i = 0; i <= n + 2; i++) p[i] = q[i];
        scale *= -PI;
    }
    for (int i = order + 1; i >= 0; i--) y = y * c + p[i];
    return scale * y;
}

double special_digamma(double x)
{
    if (x == 0.0) return copysign((double)INFINITY, -x);
    if (x < 0.0) {
        if (x == floor(x)) return (double)NAN;
        return special_digamma(1.0 - x) - cotangent_derivative(0, x);
    }
    if (!(x < 1e17)) return log(x);
    double y = 0.0;
    for (; x < 12.0; x += 1.0) y -= 1.0 / x;
    double z = 1.0 / (x * x), tail = 0.0;
    for (int k = TERMS; k >= 1; k--) tail = (tail + bernoulli[k - 1] / (2 * k)) * z;
    return y + log(x) - 0.5 / x - tail;
}

/* (-1)^(n+1) n! zeta(n + 1, x), for x < 0 by reflection */
double special_polygamma(int order, double x)
{
    if (order == 0) return special_digamma(x);
    if (isnan(x)) return x;
    double sign = order % 2 != 0 ? 1.0 : -1.0;
    if (x <= 0.0 && x == floor(x)) return order % 2 != 0 ? (double)INFINITY : (double)NAN;
    if (x < 0.0) return -sign * special_polygamma(order, 1.0 - x) - cotangent_derivative(order, x);
    if (isinf(x)) return 0.0;
    return sign * tgamma(order + 1.0) * hurwitz_zeta(order + 1, x);
}

/* ---- modified Bessel functions of the first kind, scaled by e^-|x| ---- */

static double bessel_scaled(int order, double a)
{
    double term = 1.0, sum = 1.0;
    if (a < 30.0) {                                      /* (a/2)^order sum (a^2/4)^k / (k! (k + order)!) */
        double z = 0.25 * a * a;
        for (int k = 1; k < 200 && term > 1e-18 * sum; k++) {
            term *= z / ((double)k * (k + order));
            sum += term;
        }
        return exp(-a) * sum * (order == 1 ? 0.5 * a : 1.0);
    }
    if (isinf(a)) return 0.0;
    for (int k = 1; k < 30; k++) {                       /* Hankel's expansion; its terms fall up to k = 2 a */
        double odd = 2.0 * k - 1.0;
        term *= -(4.0 * order * order - odd * odd) / (8.0 * a * k);
        sum += term;
    }
    return sum / sqrt(2.0 * PI * a);
}

double special_i0e(double x)
{
    return isnan(x) ? x : bessel_scaled(0, fabs(x));
}

double special_i1e(double x)
{
    return isnan(x) ? x : copysign(bessel_scaled(1, fabs(x)), x);
}
