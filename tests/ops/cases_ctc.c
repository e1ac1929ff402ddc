/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of ctc_losses. The reference tries every path of classes and adds up those that spell the target. */
#include <math.h>

#include "ops_test.h"

/* Whether the path, repetitions and then blanks left out, is the target. */
static bool spells(const int *path, int64_t steps, const double *target, int64_t length, int blank)
{
    int64_t at = 0;
    for (int64_t t = 0; t < steps; t++) {
        if (path[t] == blank || (t > 0 && path[t] == path[t - 1]))
            continue;
        if (at == length || path[t] != (int)target[at++])
            return false;
    }
    return at == length;
}

static void ref_ctc(Ref *r)
{
    const Array *x = r->in[0], *target = r->in[1];
    int64_t n = x->shape[1], c = x->shape[2], width = target->shape[1];
    double *v = ref_out(r, x->dtype, 1, &n);
    for (int64_t i = 0; i < n; i++) {
        int64_t steps = (int64_t)r->in[2]->v[i], length = (int64_t)r->in[3]->v[i];
        int path[8] = {0};
        double sum = 0;
        for (bool more = true; more;) {
            double log_p = 0;
            for (int64_t t = 0; t < steps; t++)
                log_p += x->v[(t * n + i) * c + path[t]];
            if (spells(path, steps, target->v + i * width, length, (int)ref_int(r, "blank")))
                sum += exp(log_p);
            more = false;
            for (int64_t t = 0; t < steps && !more; t++) {
                path[t] = (path[t] + 1) % (int)c;
                more = path[t] != 0;
            }
        }
        v[i] = -log(sum);
    }
}

const Case cases_ctc[] = {
    {"ctc_losses", "x[4,2,3](-3,-0.5) i64[2,2](1,2) i64[2](4,4) i64[2](2,2)", "", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[5,3,3](-3,-0.5) i32[3,3](0,1) i32[3](4,5) i64[3](0,2)", "blank=2", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[6,4,3](-3,-0.5) i64[4,3](1,2) i64[4](5,6) i64[4](1,3)", "", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[3,2,4](-3,-0.5) i64[2,1](1,3) i64[2](2,3) i64[2](1,1)", "", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[3,2,4](-3,-0.5) i64[2,0](1,3) i64[2](1,3) i64[2](0,0)", "", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[3,0,4](-3,-0.5) i64[0,2](1,3) i64[0](1,3) i64[0](0,2)", "", ref_ctc, .only = FLOATS},
    {"ctc_losses", "x[1,1,2](-3,-0.5) i64[1,1](1,1) i64[1](1,1) i64[1](1,1)", "", ref_ctc, .only = FLOATS},
    /* no alignment: infinite, so no differences; the gradient is checked in tests/lang/losses.tsr */
    {"ctc_losses", "x[2,1,3](-3,-0.5) i64[1,2](1,1) i64[1](2,2) i64[1](2,2)", "", ref_ctc, .only = FLOATS,
     .no_grad = true},
    {"ctc_losses", "i32[2,1,3] i64[1,2](1,1) i64[1](2,2) i64[1](2,2)", "", .error = ERROR_dtype},
    {"ctc_losses", "f32[2,1,3] f32[1,2] i64[1](2,2) i64[1](2,2)", "", .error = ERROR_dtype},
    {"ctc_losses", "f32[2,3] i64[1,2](1,1) i64[1](2,2) i64[1](2,2)", "", .error = ERROR_shape},
    {"ctc_losses", "f32[2,2,3] i64[1,2](1,1) i64[2](2,2) i64[2](2,2)", "", .error = ERROR_shape},
    {"ctc_losses", "f32[2,1,3] i64[1,2](1,1) i64[1](3,3) i64[1](2,2)", "", .error = ERROR_index},
    {"ctc_losses", "f32[2,1,3] i64[1,2](1,1) i64[1](2,2) i64[1](3,3)", "", .error = ERROR_index},
    {"ctc_losses", "f32[2,1,3] i64[1,2](3,3) i64[1](2,2) i64[1](2,2)", "", .error = ERROR_index},
    {"ctc_losses", "f32[2,1,3] i64[1,2](0,0) i64[1](2,2) i64[1](2,2)", "", .error = ERROR_value},
    {"ctc_losses", "f32[2,1,3] i64[1,2](1,1) i64[1](2,2) i64[1](2,2)", "blank=3", .error = ERROR_index},
    {0},
};
