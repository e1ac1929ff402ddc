/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tensor_print shows, character by character. */
#include <math.h>
#include <string.h>

#include "../../tensor/core.h"
#include "../tap.h"

static TensorContext ctx;

typedef struct Page { char text[20000]; size_t length; } Page;

static void add_text(void *to, const char *text, size_t length)
{
    Page *page = to;
    if (page->length + length < sizeof page->text)
        memcpy(page->text + page->length, text, length);
    page->length += length;
    page->text[page->length] = '\0';
}

static void shows(const char *what, Tensor *owned, int width, const char *want)
{
    static Page page;
    page.length = 0;
    tensor_print(owned, width, add_text, &page);
    if (!tap_ok(strcmp(page.text, want) == 0, "%s", what))
        tap_note("got <%s>, not <%s>", page.text, want);
    tensor_release(owned);
}

static Tensor *row(int64_t n, const float *values)
{
    return tensor_from_data(&ctx, DTYPE_f32, 1, &n, values);
}

static Tensor *grid(int64_t rows, int64_t columns, const float *values)
{
    const int64_t shape[2] = {rows, columns};
    return tensor_from_data(&ctx, DTYPE_f32, 2, shape, values);
}

static Tensor *counting(int ndim, const int64_t *shape)
{
    Tensor *t = tensor_new(&ctx, DTYPE_i32, ndim, shape);
    for (int64_t i = 0; i < tensor_size(t); i++)
        tensor_store_int(t, i, i);
    return t;
}

static void test_numbers(void)
{
    const float inf = (float)INFINITY, nan = (float)NAN;
    shows("four decimals, zeros dropped", row(2, (float[]){1, 2.7182818f}), 80, "1  2.7183");
    shows("whole floats", row(3, (float[]){1, -20, 300}), 80, "1  -20  300");
    shows("not a number and the infinities", row(3, (float[]){nan, inf, -inf}), 80, "nan  inf  -inf");
    shows("points align", grid(2, 2, (float[]){1, -2.5f, 100.25f, 0.5f}), 80, "  1      -2.5\n100.25    0.5");
    shows("a tiny neighbour keeps its digits", row(2, (float[]){0.99f, 3.2e-6f}), 80, "0.99  3.2e-06");
    shows("all tiny", row(3, (float[]){1.25e-7f, -2e-5f, 0}), 80, "1.25e-07  -2e-05  0");
    shows("very large", row(2, (float[]){1234567.5f, 2.5f}), 80, "1.2346e+06  2.5e+00");
    shows("large and small", grid(1, 2, (float[]){-12345.678f, 0.5f}), 80, "-12345.68       0.5");
    shows("a number", tensor_scalar(&ctx, DTYPE_f32, 0.1), 80, "0.1");
    shows("an int beyond doubles", tensor_scalar_int(&ctx, DTYPE_i64, INT64_MIN), 80, "-9223372036854775808");
    const int64_t two[1] = {2};
    shows("bools", tensor_from_data(&ctx, DTYPE_bool, 1, two, (uint8_t[]){1, 0}), 80, "true  false");
}

static void test_shapes(void)
{
    const int64_t none[2] = {0, 3}, cube[3] = {2, 1, 2}, many[1] = {2000}, tall[2] = {500, 3}, wide[2] = {2, 12},
              long_row[1] = {12};
    shows("nothing", tensor_new(&ctx, DTYPE_f32, 2, none), 80, "(empty)");
    shows("more than two axes", counting(3, cube), 80, "[0, :, :]\n0  1\n[1, :, :]\n2  3");
    shows("a long vector", counting(1, many), 80, "0  1  2  …  1997  1998  1999");
    shows("a tall matrix", counting(2, tall), 80,
          "   0     1     2\n   3     4     5\n   6     7     8\n…\n1491  1492  1493\n"
          "1494  1495  1496\n1497  1498  1499");
    shows("a matrix wider than the screen", counting(2, wide), 20, " 0   1  …  10  11\n12  13  …  22  23");
    shows("a vector wraps in columns", counting(1, long_row), 14, " 0   1   2   3\n 4   5   6   7\n 8   9  10  11");
    Tensor *t = counting(2, wide), *turned = tensor_view(&ctx, t, 2, (int64_t[]){3, 2}, (int64_t[]){4, 12}, 1);
    tensor_release(t);
    shows("a strided view", turned, 80, " 1  13\n 5  17\n 9  21");
}

int main(void)
{
    tensor_context_init(&ctx, NULL);
    test_numbers();
    test_shapes();
    return tap_end();
}
