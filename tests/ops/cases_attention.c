/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of attention: heads of every width, blocks and parts of queries, masks of both kinds. */
#include <math.h>

#include "ops_test.h"

/* What the mask says of query i and key j of [batch]: it broadcasts to [batch..., t, s]. */
static double mask_at(const Array *mask, const Array *scores, int64_t index)
{
    return mask ? ref_broadcast(mask, scores, index) : 0;
}

static void ref_attention(Ref *r)
{
    const Array *q = r->in[0], *k = r->in[1], *v = r->in[2], *mask = r->n_in > 3 ? r->in[3] : NULL;
    int n = q->ndim;
    int64_t t = q->shape[n - 2], d = q->shape[n - 1], s = k->shape[n - 2], e = v->shape[n - 1], shape[TENSOR_MAX_DIMS];
    Array scores = *q;
    scores.shape[n - 1] = s;
    for (int i = 0; i < n; i++)
        shape[i] = i == n - 1 ? e : q->shape[i];
    double *y = ref_out(r, ref_floating(q->dtype), n, shape);
    int64_t rows = 1;
    for (int i = 0; i < n - 1; i++)
        rows *= q->shape[i];
    for (int64_t row = 0; row < rows; row++) {
        double whole = 0, top = -HUGE_VAL;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < s; j++) {
                double x = 0, said = mask_at(mask, &scores, row * s + j);
                for (int64_t c = 0; c < d; c++)
                    x += q->v[row * d + c] * k->v[(row / t * s + j) * d + c];
                x *= ref_num(r, "scale");
                if (mask && mask->dtype != DTYPE_bool)
                    x += said;
                if ((mask && mask->dtype == DTYPE_bool && said == 0) || (ref_bool(r, "causal") && j > row % t) ||
                    x == -HUGE_VAL)
                    continue;
                top = pass == 0 && x > top ? x : top;
                whole += pass == 1 ? exp(x - top) : 0;
                for (int64_t c = 0; pass == 1 && c < e; c++)
                    y[row * e + c] += exp(x - top) * v->v[(row / t * s + j) * e + c];
            }
        for (int64_t c = 0; whole > 0 && c < e; c++)
            y[row * e + c] /= whole;
    }
}

#define SMALL(inputs, params) {"softmax_attention", inputs, params, .reference = ref_attention, .only = FLOATS}
#define BIG(inputs, params) {"softmax_attention", inputs, params, .reference = ref_attention, .big = true, .loose = 30}

const Case cases_attention[] = {
    SMALL("x[3,2] x[4,2] x[4,3] -", ""),
    SMALL("x[2,3,2] x[2,4,2] x[2,4,3] -", "scale=0.5, causal=true"),
    SMALL("x[2,2,3,2] x[2,2,4,2] x[2,2,4,1] bool[2,1,3,4](0,1)", "scale=0.5"),
    SMALL("x[2,3,2] x[2,4,2] x[2,4,3] x[3,4]", "causal=true"),
    SMALL("x[2,3,2] x[2,4,2] x[2,4,3] x[4]!", ""),
    SMALL("x[1,1] x[1,1] x[1,1] -", ""),
    SMALL("x[2,3,2] x[2,0,2] x[2,0,3] -", ""),
    SMALL("x[2,0,2] x[2,4,2] x[2,4,3] -", ""),
    BIG("x[3,37,20] x[3,50,20] x[3,50,33] -", "scale=0.3"),
    BIG("x[2,3,70,64] x[2,3,70,64] x[2,3,70,64] -", "scale=0.125, causal=true"),
    BIG("x[300,17] x[90,17] x[90,16] x[90]", "scale=0.2"),
    BIG("x[2,20,16] x[2,2100,16] x[2,2100,32] bool[2,1,2100](0,1)", "scale=0.2"),
    BIG("x[2,50,8] x[2,37,8] x[2,37,40] bool[50,37](0,1)", "causal=true"),
    BIG("x[2,70,96] x[2,90,96] x[2,90,48] -", "scale=0.1, causal=true"),
    BIG("x[3,100,16] x[3,16,16] x[3,16,112] -", "scale=0.25"),
    BIG("x[90,16] x[2700,16] x[2700,16] -", "scale=0.25"),
    {"softmax_attention", "x[2,3] x[4,2] x[4,3] -", "", .error = ERROR_shape},
    {"softmax_attention", "x[2,2] x[4,2] x[3,3] -", "", .error = ERROR_shape},
    {"softmax_attention", "x[2,2,2] x[3,4,2] x[2,4,3] -", "", .error = ERROR_shape},
    {"softmax_attention", "x[2] x[2] x[2] -", "", .error = ERROR_shape},
    {"softmax_attention", "x[2,2] x[4,2] x[4,3] x[3,4]", "", .error = ERROR_shape, .only = FLOATS},
    {"softmax_attention", "x[2,2] x[4,2] x[4,3] i64[2,4](0,1)", "", .error = ERROR_dtype},
    {0},
};
