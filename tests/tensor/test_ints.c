/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whole numbers at their limits: arithmetic wraps and never traps, no op passes a 64-bit value through a double, and
   what cannot be is an error. */
#include <stdlib.h>

#include "../../tensor/op.h"
#include "../tap.h"

static TensorContext ctx;

static Tensor *make(Dtype dtype, int64_t n, const int64_t *v)
{
    Tensor *t = tensor_new(&ctx, dtype, 1, &n);
    for (int64_t i = 0; i < n; i++)
        tensor_store_int(t, i, v[i]);
    return t;
}

static Tensor *call(const char *name, int n_in, Tensor *const *in, const Attr *attr)
{
    Tensor *out[OP_MAX_OUT] = {0};
    int n = 0;
    if (!op_call(&ctx, op_find(name), n_in, in, attr, out, &n))
        return NULL;
    for (int i = 1; i < n; i++)
        tensor_release(out[i]);
    return out[0];
}

static void expect(const char *what, Tensor *t, Dtype dtype, int n, const int64_t *v)
{
    bool good = t && t->dtype == dtype && tensor_size(t) == n;
    int64_t got = 0;
    for (int i = 0; good && i < n; i++)
        good = (got = tensor_item_int(t, i)) == v[i];
    if (!tap_ok(good, "%s", what))
        tap_note("%s, %lld, %s", t ? dtype_name((Dtype)t->dtype) : "nothing", (long long)got, ctx.error.message);
    error_clear(&ctx.error);
    tensor_release(t);
}

typedef struct Pair {
    const char *op;
    int64_t a, b, i64, i32;   /* results in i64, and of INT32 limits in i32 */
} Pair;

/* In i32 the limits of i64 stand for those of i32. */
static int64_t narrow(int64_t x)
{
    return x == INT64_MAX ? INT32_MAX : x == INT64_MIN ? INT32_MIN : x;
}

static void test_pairs(void)
{
    static const Pair pairs[] = {
        {"add", INT64_MAX, 1, INT64_MIN, INT32_MIN},
        {"sub", INT64_MIN, 1, INT64_MAX, INT32_MAX},
        {"mul", INT64_MIN, -1, INT64_MIN, INT32_MIN},
        {"mul", INT64_MAX, 2, -2, -2},
        {"floordiv", INT64_MIN, -1, INT64_MIN, INT32_MIN},
        {"mod", INT64_MIN, -1, 0, 0},
        {"floordiv", -7, 2, -4, -4},
        {"floordiv", 7, -2, -4, -4},
        {"floordiv", INT64_MAX, 10, 922337203685477580, 214748364},
        {"mod", -7, 2, 1, 1},
        {"mod", 7, -2, -1, -1},
        {"mod", INT64_MAX, 10, 7, 7},
        {"pow", 3, 20, 3486784401, -808182895},
        {"pow", 2, 63, INT64_MIN, 0},
        {"pow", 0, 0, 1, 1},
        {"pow", -1, 101, -1, -1},
        {"maximum", INT64_MAX, INT64_MIN, INT64_MAX, INT32_MAX},
        {"minimum", INT64_MAX, INT64_MIN, INT64_MIN, INT32_MIN},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int wide = 0; wide < 2; wide++) {
            const Pair *p = &pairs[i];
            Dtype dtype = wide ? DTYPE_i64 : DTYPE_i32;
            int64_t a[5], b[5], want[5];
            for (int k = 0; k < 5; k++) {
                a[k] = wide ? p->a : narrow(p->a);
                b[k] = wide ? p->b : narrow(p->b);
                want[k] = wide ? p->i64 : p->i32;
            }
            Tensor *in[2] = {make(dtype, 5, a), make(dtype, 5, b)};
            char what[128];
            snprintf(what, sizeof what, "%s of %lld and %lld in %s", p->op, (long long)a[0], (long long)b[0],
                     dtype_name(dtype));
            expect(what, call(p->op, 2, in, NULL), dtype, 5, want);
            tensor_release(in[0]);
            tensor_release(in[1]);
        }
}

static void test_singles(void)
{
    static const int64_t limits[] = {INT64_MIN, INT64_MAX, INT64_MIN + 1, ((int64_t)1 << 53) + 1};
    static const char *const same[] = {"floor", "ceil", "round", "trunc", "contiguous", "relu"};
    Tensor *t = make(DTYPE_i64, 4, limits);
    expect("neg wraps", call("neg", 1, &t, NULL), DTYPE_i64, 4,
           (int64_t[]){INT64_MIN, INT64_MIN + 1, INT64_MAX, -(((int64_t)1 << 53) + 1)});
    expect("abs wraps", call("abs", 1, &t, NULL), DTYPE_i64, 4,
           (int64_t[]){INT64_MIN, INT64_MAX, INT64_MAX, ((int64_t)1 << 53) + 1});
    for (int i = 0; i < 6; i++) {
        int64_t want[4];
        for (int k = 0; k < 4; k++)
            want[k] = i == 5 && limits[k] < 0 ? 0 : limits[k];
        expect(same[i], call(same[i], 1, &t, NULL), DTYPE_i64, 4, want);
    }
    tensor_release(t);
}

/* 2^53 + 1 and its like: a double would lose the one. */
static void test_exact(void)
{
    const int64_t big = ((int64_t)1 << 53) + 1, v[] = {big, 3, big + 2, -big};
    Tensor *t = make(DTYPE_i64, 4, v), *index = make(DTYPE_i64, 2, (int64_t[]){2, 0});
    Tensor *mask = make(DTYPE_bool, 4, (int64_t[]){0, 0, 1, 0});
    Attr all[] = {attr_none(), attr_bool(false)}, last[] = {attr_int(0), attr_bool(false)};
    expect("sum", call("sum", 1, &t, all), DTYPE_i64, 1, (int64_t[]){big + 5});
    expect("max", call("max", 1, &t, all), DTYPE_i64, 1, (int64_t[]){big + 2});
    expect("min", call("min", 1, &t, all), DTYPE_i64, 1, (int64_t[]){-big});
    expect("argmax", call("argmax", 1, &t, all), DTYPE_i64, 1, (int64_t[]){2});
    expect("cumsum", call("cumsum", 1, &t, last), DTYPE_i64, 4, (int64_t[]){big, big + 3, 2 * big + 5, big + 5});
    expect("sort", call("sort", 1, &t, last), DTYPE_i64, 4, (int64_t[]){-big, 3, big, big + 2});
    expect("gather", call("gather", 2, (Tensor *[]){t, index}, last), DTYPE_i64, 2, (int64_t[]){big + 2, big});
    expect("concat", call("concat", 2, (Tensor *[]){t, index}, last), DTYPE_i64, 6,
           (int64_t[]){big, 3, big + 2, -big, 2, 0});
    expect("where", call("where", 3, (Tensor *[]){mask, t, t}, NULL), DTYPE_i64, 4, v);
    expect("flip", call("flip", 1, &t, (Attr[]){attr_ints(1, (int64_t[]){0})}), DTYPE_i64, 4,
           (int64_t[]){-big, big + 2, 3, big});
    Tensor *rows = make(DTYPE_i64, 4, (int64_t[]){0, 0, 1, 1});
    expect("index_add", call("index_add", 2, (Tensor *[]){t, rows},
                             (Attr[]){attr_int(0), attr_ints(1, (int64_t[]){2})}), DTYPE_i64, 2,
           (int64_t[]){big + 3, 2});
    tensor_release(rows);
    Tensor *near = make(DTYPE_i64, 4, (int64_t[]){big - 1, 3, big + 2, -big});
    expect("eq", call("eq", 2, (Tensor *[]){t, near}, NULL), DTYPE_bool, 4, (int64_t[]){0, 1, 1, 1});
    expect("gt", call("gt", 2, (Tensor *[]){t, near}, NULL), DTYPE_bool, 4, (int64_t[]){1, 0, 0, 0});
    tensor_release(near);
    tensor_release(t);
    tensor_release(index);
    tensor_release(mask);
    Tensor *bytes = make(DTYPE_u8, 3, (int64_t[]){255, 255, 255}), *pair[] = {bytes, bytes};
    expect("u8 adds in i32", call("add", 2, pair, NULL), DTYPE_i32, 3, (int64_t[]){510, 510, 510});
    expect("u8 sums in i64", call("sum", 1, &bytes, all), DTYPE_i64, 1, (int64_t[]){765});
    tensor_release(bytes);
    Tensor *narrow_sum = make(DTYPE_i32, 3, (int64_t[]){INT32_MAX, INT32_MAX, INT32_MAX});
    expect("i32 sums in i64", call("sum", 1, &narrow_sum, all), DTYPE_i64, 1, (int64_t[]){3 * (int64_t)INT32_MAX});
    tensor_release(narrow_sum);
}

static void expect_error(const char *op, int64_t a, int64_t b, ErrorKind kind)
{
    for (int wide = 0; wide < 2; wide++) {
        Dtype dtype = wide ? DTYPE_i64 : DTYPE_i32;
        int64_t left[] = {1, a}, right[] = {1, b};
        Tensor *in[2] = {make(dtype, 2, left), make(dtype, 2, right)}, *t = call(op, 2, in, NULL);
        tap_ok(!t && ctx.error.kind == kind, "%s of %lld and %lld in %s is an error", op, (long long)a, (long long)b,
               dtype_name(dtype));
        error_clear(&ctx.error);
        tensor_release(t);
        tensor_release(in[0]);
        tensor_release(in[1]);
    }
}

int main(void)
{
    tensor_context_init(&ctx, NULL);
    test_pairs();
    test_singles();
    test_exact();
    expect_error("floordiv", 5, 0, ERROR_zero);
    expect_error("mod", 5, 0, ERROR_zero);
    expect_error("pow", 2, -1, ERROR_value);
    return tap_end();
}
