/* SPDX-License-Identifier: GPL-3.0-or-later */
/* f16 and bf16: every bit pattern as a number, rounding from f32 and f64 against a search for the nearest neighbour,
   and whole tensors, through the kernels, against single numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../tensor/half.h"
#include "../../tensor/tensor.h"
#include "../tap.h"

static TensorContext ctx;

/* The value of a bit pattern by the definition of the format. */
static double defined(unsigned h, int mantissa_bits, int bias)
{
    int exponent = (int)(h & 0x7FFF) >> mantissa_bits, most = (1 << (15 - mantissa_bits)) - 1;
    double mantissa = h & ((1u << mantissa_bits) - 1), unit = 1 << mantissa_bits, value;
    if (exponent == most)
        value = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else
        value = exponent ? ldexp(1 + mantissa / unit, exponent - bias) : ldexp(mantissa / unit, 1 - bias);
    return h & 0x8000 ? -value : value;
}

static double f16_value(unsigned h) { return defined(h, 10, 15); }
static double bf16_value(unsigned h) { return defined(h, 7, 127); }

/* The nearest pattern by bisection over the positive ones, which are in order; ties to the even pattern. */
static unsigned nearest(double value, double (*of)(unsigned), unsigned infinite)
{
    double size = fabs(value);
    unsigned low = 0, high = infinite, sign = signbit(value) ? 0x8000 : 0;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (of(middle) <= size)
            low = middle;
        else
            high = middle;
    }
    double below = of(low), above = high == infinite ? 2 * of(infinite - 1) - of(infinite - 2) : of(high);
    double left = size - below, right = above - size;
    bool up = right < left || (right == left && (high & 1) == 0);
    return sign | (size >= above || up ? high : low);
}

static void check_patterns(void)
{
    int wrong[4] = {0};
    for (unsigned h = 0; h < 65536; h++) {
        double f = f16_value(h), b = bf16_value(h);
        double got_f = (double)f32_from_f16((uint16_t)h), got_b = (double)f32_from_bf16((uint16_t)h);
        wrong[0] += !(got_f == f || (isnan(f) && isnan(got_f)));
        wrong[1] += !(got_b == b || (isnan(b) && isnan(got_b)));
        wrong[2] += isnan(f) ? !isnan(f32_from_f16(f16_from_f64(got_f))) : f16_from_f64(got_f) != h;
        wrong[3] += isnan(b) ? !isnan(f32_from_bf16(bf16_from_f64(got_b))) : bf16_from_f64(got_b) != h;
    }
    tap_ok(!wrong[0], "every f16 is read as the number it is");
    tap_ok(!wrong[1], "every bf16 is read as the number it is");
    tap_ok(!wrong[2], "every f16 comes back from its number");
    tap_ok(!wrong[3], "every bf16 comes back from its number");
}

static uint64_t state = 42;
static double random_double(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    double fraction = 1 + (double)(state >> 12) * 0x1p-52;
    int exponent = (int)(state >> 32 & 63) - 40;
    return ldexp(state & 2048 ? -fraction : fraction, exponent);
}

static void check_rounding(void)
{
    int narrow = 0, wide = 0;
    for (int i = 0; i < 200000; i++) {
        double d = random_double();
        if (i % 4 == 0)                          /* between two neighbours, and next to that */
            d = (f16_value((unsigned)i % 0x7BFF) + f16_value((unsigned)i % 0x7BFF + 1)) / 2;
        if (i % 8 == 0)
            d = nextafter(d, i % 16 ? 0.0 : 1e9);
        double single = (double)(float)d;
        narrow += f16_from_f64(d) != nearest(d, f16_value, 0x7C00);
        narrow += f16_from_f32((float)d) != nearest(single, f16_value, 0x7C00);
        wide += bf16_from_f64(d) != nearest(d, bf16_value, 0x7F80);
        wide += bf16_from_f32((float)d) != nearest(single, bf16_value, 0x7F80);
    }
    tap_ok(!narrow, "f16 is the nearest, ties to even, rounded once");
    tap_ok(!wide, "bf16 is the nearest, ties to even, rounded once");
}

/* Dense tensors go through the kernels of this processor, backward views through single numbers. */
static void check_tensor(Dtype half)
{
    enum { N = 4099 };
    int64_t shape[1] = {N}, back[1] = {-1};
    Tensor *x = tensor_new(&ctx, DTYPE_f32, 1, shape);
    for (int64_t i = 0; i < N; i++)
        tensor_store(x, i, i < 4 ? (double[]){(double)NAN, -(double)INFINITY, -0.0, 1e38}[i] : random_double());
    Tensor *dense = tensor_cast(&ctx, x, half), *turned = tensor_view(&ctx, x, 1, shape, back, N - 1);
    Tensor *single = tensor_cast(&ctx, turned, half), *again = tensor_cast(&ctx, dense, DTYPE_f32);
    int wrong = 0;
    for (int64_t i = 0; i < N; i++) {
        double a = tensor_item(dense, i), b = tensor_item(single, N - 1 - i), c = tensor_item(again, i);
        double right = dtype_round(half, tensor_item(x, i));
        wrong += !(a == right || (isnan(a) && isnan(right))) || !(a == b || (isnan(a) && isnan(b)))
               || !(a == c || (isnan(a) && isnan(c)));
    }
    tap_ok(!wrong, "tensors are rounded to %s as single numbers are", dtype_name(half));
    tensor_release(x);
    tensor_release(dense);
    tensor_release(turned);
    tensor_release(single);
    tensor_release(again);
}

int main(void)
{
    tensor_context_init(&ctx, NULL);
    check_patterns();
    check_rounding();
    check_tensor(DTYPE_f16);
    check_tensor(DTYPE_bf16);
    tap_ok(runtime_live_tensors() == 0, "no tensor is left");
    return tap_end();
}
