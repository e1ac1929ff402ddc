/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the resampling of images. */
#include <math.h>

#include "ops_test.h"

/* The pixel of an image, zero or the nearest one beyond its edge. */
static double pixel(const Array *x, int64_t n, int64_t c, int64_t i, int64_t j, bool border)
{
    int64_t h = x->shape[2], w = x->shape[3];
    if (border) {
        i = i < 0 ? 0 : i >= h ? h - 1 : i;
        j = j < 0 ? 0 : j >= w ? w - 1 : j;
    }
    return i < 0 || i >= h || j < 0 || j >= w ? 0 : x->v[((n * x->shape[1] + c) * h + i) * w + j];
}

static void ref_affine_sample(Ref *r)
{
    const Array *x = r->in[0], *theta = r->in[1];
    bool border = ref_str(r, "padding")[0] == 'b';
    int64_t shape[4] = {x->shape[0], x->shape[1], ref_none(r, "height") ? x->shape[2] : ref_int(r, "height"),
                        ref_none(r, "width") ? x->shape[3] : ref_int(r, "width")};
    double *v = ref_out(r, DTYPE_f32, 4, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        int64_t p[TENSOR_MAX_DIMS];
        ref_place(&r->out[0], i, p);
        const double *m = theta->v + p[0] * 6;
        double a = (2 * (double)p[3] + 1) / (double)shape[3] - 1, b = (2 * (double)p[2] + 1) / (double)shape[2] - 1;
        double across = ((m[0] * a + m[1] * b + m[2] + 1) * (double)x->shape[3] - 1) / 2;
        double down = ((m[3] * a + m[4] * b + m[5] + 1) * (double)x->shape[2] - 1) / 2;
        double fx = across - floor(across), fy = down - floor(down);
        int64_t j = (int64_t)floor(across), k = (int64_t)floor(down);
        v[i] = (1 - fy) * (1 - fx) * pixel(x, p[0], p[1], k, j, border)
             + (1 - fy) * fx * pixel(x, p[0], p[1], k, j + 1, border)
             + fy * (1 - fx) * pixel(x, p[0], p[1], k + 1, j, border)
             + fy * fx * pixel(x, p[0], p[1], k + 1, j + 1, border);
    }
}

const Case cases_resample[] = {
    {"affine_sample", "x[2,3,5,4] x[2,2,3]", "", .reference = ref_affine_sample, .only = "f32", .loose = 10},
    {"affine_sample", "x[1,2,5,4] x[1,2,3]", "height=3, width=7, padding=border", .reference = ref_affine_sample,
     .only = "f32", .loose = 10},
    {"affine_sample", "x[0,1,4,4] x[0,2,3]", "", .reference = ref_affine_sample, .only = "f32"},
    {"affine_sample", "x[1,1,4,4] x[2,2,3]", "", .error = ERROR_shape},
    {"affine_sample", "x[1,1,4,4] x[1,2,3]", "padding=reflect", .error = ERROR_value, .only = FLOATS},
    {"affine_sample", "x[9,3,28,28] x[9,2,3]", "", .reference = ref_affine_sample, .big = true, .loose = 100},
    {0},
};
