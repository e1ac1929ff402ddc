/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of random rows with parameters: their types and errors, and that layouts and threads change nothing. What they
   draw is checked in tests/tensor/test_random.c. */
#include "ops_test.h"

/* Parameters broadcast to the shape, their own when it is empty. */
static void ref_drawn(Ref *r)
{
    int64_t shape[TENSOR_MAX_DIMS];
    int ndim = ref_ints(r, "shape", shape);
    if (ndim == 0)
        ref_broadcast_shape(r, &ndim, shape);
    ref_out(r, ref_dtype(r, "dtype"), ndim, shape);
    r->any_value = true;
}

static void ref_multinomial(Ref *r)
{
    int64_t shape[TENSOR_MAX_DIMS];
    const Array *x = r->in[0];
    for (int i = 0; i < x->ndim; i++)
        shape[i] = i == x->ndim - 1 ? ref_int(r, "count") : x->shape[i];
    ref_out(r, DTYPE_i64, x->ndim, shape);
    r->any_value = true;
}

const Case cases_random[] = {
    {"bernoulli", "x[2,3](0,1)", "", .reference = ref_drawn},
    {"bernoulli", "num(0.3)", "shape=(2,3)", .reference = ref_drawn},
    {"bernoulli", "num(1)", "shape=(1), dtype=f64", .reference = ref_drawn},
    {"bernoulli", "x[3](0,1)", "shape=(2,3), dtype=f64", .reference = ref_drawn},
    {"bernoulli", "x[0](0,1)", "", .reference = ref_drawn},
    {"bernoulli", "num(0)", "shape=(0,2)", .reference = ref_drawn},
    {"bernoulli", "num(1)", "shape=(1), dtype=bool", .error = ERROR_dtype},
    {"bernoulli", "num(1.5)", "shape=(2)", .error = ERROR_value},
    {"bernoulli", "x[3](0,1)", "shape=(2)", .error = ERROR_shape},
    {"bernoulli", "x[3](0,1)n", "", .error = ERROR_value, .only = FLOATS},
    {"gamma", "x[2,3](0.1,3)", "", .reference = ref_drawn},
    {"gamma", "x[1](1,3)", "shape=(4,2), dtype=f64", .reference = ref_drawn},
    {"gamma", "x[0](1,2)", "", .reference = ref_drawn},
    {"gamma", "x[2]z", "", .error = ERROR_value, .only = FLOATS},
    {"gamma", "x[2](1,2)p", "", .error = ERROR_value, .only = FLOATS},
    {"gamma", "x[2](1,2)", "dtype=i64", .error = ERROR_dtype},
    {"poisson", "x[2,3](0,30)", "", .reference = ref_drawn},
    {"poisson", "x[1](0,3)", "shape=(4,2), dtype=f64", .reference = ref_drawn},
    {"poisson", "x[0](1,2)", "", .reference = ref_drawn},
    {"poisson", "x[2](-2,-1)", "", .error = ERROR_value, .only = FLOATS},
    {"poisson", "x[2,3](0,3)", "shape=(3)", .error = ERROR_shape},
    {"binomial", "i64[2,1](0,90) x[3](0,1)", "", .reference = ref_drawn},
    {"binomial", "num(40) x[1](0,1)", "shape=(3,2), dtype=f64", .reference = ref_drawn},
    {"binomial", "i64[0](1,2) x[1](0,1)", "", .reference = ref_drawn},
    {"binomial", "num(2.5) x[2](0,1)", "", .error = ERROR_value},
    {"binomial", "num(3) x[2](1.5,2)", "", .error = ERROR_value},
    {"binomial", "i64[2](1,3) x[3](0,1)", "", .error = ERROR_shape},
    {"multinomial", "x[2,5](0.1,3)", "count=3", .reference = ref_multinomial, .only = FLOATS},
    {"multinomial", "x[5](1,3)", "count=9, replacement=true", .reference = ref_multinomial},
    {"multinomial", "x[3,1](1,2)", "count=1", .reference = ref_multinomial},
    {"multinomial", "x[0,3](1,2)", "count=2", .reference = ref_multinomial},
    {"multinomial", "x[2,3](1,2)", "count=0", .reference = ref_multinomial},
    {"multinomial", "x[3](1,2)", "count=4", .error = ERROR_value},
    {"multinomial", "x[3](-2,-1)", "count=1", .error = ERROR_value, .only = FLOATS},
    {"multinomial", "x[2]zz", "count=1, replacement=true", .error = ERROR_value},
    {"multinomial", "x[](1,2)", "count=1", .error = ERROR_shape},
    {"multinomial", "x[3](1,2)", "count=-1", .error = ERROR_value},
    {0},
};
