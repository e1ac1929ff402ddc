/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the rows that make tensors. What random rows draw is checked in test_random.c; here only their types. */
#include <math.h>

#include "ops_test.h"

static void filled(Ref *r, double value)
{
    int64_t shape[TENSOR_MAX_DIMS];
    int n = ref_ints(r, "shape", shape);
    double *v = ref_out(r, ref_dtype(r, "dtype"), n, shape);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = value;
}

static void ref_zeros(Ref *r) { filled(r, 0); }
static void ref_ones(Ref *r) { filled(r, 1); }
static void ref_full(Ref *r) { filled(r, ref_num(r, "value")); }

static void ref_eye(Ref *r)
{
    int64_t n = ref_int(r, "n"), shape[2] = {n, ref_none(r, "m") ? n : ref_int(r, "m")};
    double *v = ref_out(r, ref_dtype(r, "dtype"), 2, shape);
    for (int64_t i = 0; i < shape[0] && i < shape[1]; i++)
        v[i * shape[1] + i] = 1;
}

static void ref_arange(Ref *r)
{
    bool one = ref_none(r, "stop");
    double start = one ? 0 : ref_num(r, "start"), stop = ref_num(r, one ? "start" : "stop"), step = ref_num(r, "step");
    int64_t n = 0;
    while (step > 0 ? start + (double)n * step < stop : start + (double)n * step > stop)
        n++;
    bool whole = r->attr[0].whole && (one || r->attr[1].whole) && r->attr[2].whole;
    double *v = ref_out(r, !ref_none(r, "dtype") ? ref_dtype(r, "dtype") : whole ? DTYPE_i64 : DTYPE_f32, 1, &n);
    for (int64_t i = 0; i < n; i++)
        v[i] = start + (double)i * step;
}

static void ref_linspace(Ref *r)
{
    int64_t n = ref_int(r, "count");
    double *v = ref_out(r, ref_dtype(r, "dtype"), 1, &n), a = ref_num(r, "start"), b = ref_num(r, "stop");
    for (int64_t i = 0; i < n; i++)
        v[i] = n == 1 ? a : a + (b - a) * (double)i / (double)(n - 1);
}

static void random_like(Ref *r, Dtype dtype)
{
    int64_t shape[TENSOR_MAX_DIMS];
    int n = ref_ints(r, "shape", shape);
    ref_out(r, dtype, n, shape);
    r->any_value = true;
}

static void ref_random(Ref *r) { random_like(r, ref_dtype(r, "dtype")); }
static void ref_randint(Ref *r) { random_like(r, DTYPE_i64); }

static void ref_randperm(Ref *r)
{
    int64_t n = ref_int(r, "n");
    ref_out(r, DTYPE_i64, 1, &n);
    r->any_value = true;
}

static void ref_dropout(Ref *r)
{
    double *v = ref_like(r, r->in[0]->dtype, r->in[0]), p = ref_num(r, "p");
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = p == 0 ? r->in[0]->v[i] : 0;
    r->any_value = p > 0 && p < 1;
}

/* One case each in every dtype that a row can make. */
#define MAKES(name, params, fn)                                                                                       \
    {name, "", params ", dtype=bool", .reference = fn}, {name, "", params ", dtype=u8", .reference = fn},             \
    {name, "", params ", dtype=i32", .reference = fn}, {name, "", params ", dtype=i64", .reference = fn},             \
    {name, "", params ", dtype=f32", .reference = fn}, {name, "", params ", dtype=f64", .reference = fn}

const Case cases_create[] = {
    MAKES("zeros", "shape=(2,3)", ref_zeros),
    {"zeros", "", "shape=(2,0,3)", .reference = ref_zeros},
    {"zeros", "", "shape=(1)", .reference = ref_zeros},
    {"zeros", "", "", .reference = ref_zeros},
    {"zeros", "", "shape=(-1)", .error = ERROR_value},
    {"zeros", "", "shape=(1099511627776,1099511627776)", .error = ERROR_memory},
    MAKES("ones", "shape=(2,3)", ref_ones),
    {"ones", "", "shape=(0)", .reference = ref_ones},
    {"ones", "", "shape=(1,1)", .reference = ref_ones},
    {"full", "", "shape=(2,3), value=2, dtype=u8", .reference = ref_full},
    {"full", "", "shape=(2,3), value=-2.5, dtype=f64", .reference = ref_full},
    {"full", "", "shape=(1), value=-3, dtype=i64", .reference = ref_full},
    {"full", "", "shape=(0,3), value=0.5", .reference = ref_full},
    MAKES("eye", "n=3", ref_eye),
    {"eye", "", "n=2, m=4", .reference = ref_eye},
    {"eye", "", "n=4, m=2", .reference = ref_eye},
    {"eye", "", "n=0", .reference = ref_eye},
    {"eye", "", "n=1", .reference = ref_eye},
    {"eye", "", "n=-1", .error = ERROR_value},
    {"arange", "", "start=5", .reference = ref_arange},
    {"arange", "", "start=2, stop=9, step=3", .reference = ref_arange},
    {"arange", "", "start=5, stop=0, step=-2", .reference = ref_arange},
    {"arange", "", "start=0.5, stop=3", .reference = ref_arange},
    {"arange", "", "start=0.0, stop=3", .reference = ref_arange},
    {"arange", "", "start=0, stop=1, step=0.1, dtype=f64", .reference = ref_arange},
    {"arange", "", "start=0", .reference = ref_arange},
    {"arange", "", "start=1", .reference = ref_arange},
    {"arange", "", "start=5, stop=2", .reference = ref_arange},
    {"arange", "", "start=0, stop=3, step=0", .error = ERROR_value},
    {"linspace", "", "start=0, stop=1, count=5", .reference = ref_linspace},
    {"linspace", "", "start=2, stop=-3, count=11, dtype=f64", .reference = ref_linspace},
    {"linspace", "", "start=2, stop=3, count=1", .reference = ref_linspace},
    {"linspace", "", "start=2, stop=3, count=0", .reference = ref_linspace},
    {"rand", "", "shape=(2,3)", .reference = ref_random},
    {"rand", "", "shape=(1), dtype=f64", .reference = ref_random},
    {"rand", "", "shape=(0,3)", .reference = ref_random},
    {"randn", "", "shape=(2,3)", .reference = ref_random},
    {"randn", "", "shape=(1), dtype=f64", .reference = ref_random},
    {"randn", "", "shape=(0,3)", .reference = ref_random},
    {"randn", "", "shape=(300,333)", .reference = ref_random, .big = true},
    {"uniform", "", "low=5, high=6, shape=(2,3)", .reference = ref_random},
    {"uniform", "", "low=5, high=6, shape=(1), dtype=f64", .reference = ref_random},
    {"uniform", "", "low=5, high=6, shape=(0)", .reference = ref_random},
    {"randint", "", "low=-2, high=3, shape=(2,3)", .reference = ref_randint},
    {"randint", "", "low=0, high=1, shape=(1)", .reference = ref_randint},
    {"randint", "", "low=0, high=1, shape=(0,2)", .reference = ref_randint},
    {"randint", "", "low=3, high=3, shape=(2)", .error = ERROR_value},
    {"randperm", "", "n=7", .reference = ref_randperm},
    {"randperm", "", "n=1", .reference = ref_randperm},
    {"randperm", "", "n=0", .reference = ref_randperm},
    {"randperm", "", "n=-1", .error = ERROR_value},
    {"dropout", "x[3,4]", "p=0", .reference = ref_dropout, .only = FLOATS},
    {"dropout", "x[3,4]", "p=0.4", .reference = ref_dropout, .only = FLOATS},
    {"dropout", "x[3,4]", "p=1", .reference = ref_dropout, .only = FLOATS},
    {"dropout", "x[0,1]", "", .reference = ref_dropout, .only = FLOATS},
    {"dropout", "x[3]", "p=-0.1", .error = ERROR_value},
    {"dropout", "x[300,333]", "", .reference = ref_dropout, .big = true},
    {0},
};
