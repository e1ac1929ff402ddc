/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of Fourier transforms, held to the defining sums. */
#include <math.h>
#include <string.h>

#include "ops_test.h"

/* The factor of a transform of n points by its norm. */
static double factor_of(const Ref *r, bool inverse, int64_t n)
{
    const char *norm = ref_str(r, "norm");
    if (norm[0] == 'o')
        return 1 / sqrt((double)n);
    return (norm[0] == 'b') == inverse ? 1 / (double)n : 1;
}

/* All four: complex x reads [..., 2], real x plain numbers, as complex numbers padded or cut to n; a half spectrum is
   completed by conjugates. y takes the first [keep] places. */
static void ref_transform(Ref *r, bool complex, bool half, bool inverse, bool complex_result)
{
    const Array *x = r->in[0];
    int ndim = x->ndim - complex, axis = ref_axis(r, "axis", ndim);
    int64_t had = x->shape[axis], shape[TENSOR_MAX_DIMS], before = 1, after = 1;
    int64_t n = !ref_none(r, "n") ? ref_int(r, "n") : half ? 2 * (had - 1) : had;
    int64_t keep = !complex ? n / 2 + 1 : n;
    memcpy(shape, x->shape, sizeof shape);
    for (int i = 0; i < ndim; i++)
        *(i < axis ? &before : &after) *= i == axis ? 1 : shape[i];
    shape[axis] = keep;
    shape[ndim] = 2;
    double *y = ref_out(r, ref_floating(x->dtype), ndim + complex_result, shape), factor = factor_of(r, inverse, n);
    for (int64_t row = 0; row < before * after; row++)
        for (int64_t k = 0; k < keep; k++) {
            double re = 0, im = 0;
            for (int64_t j = 0; j < n; j++) {
                bool mirrored = half && j > n / 2;
                int64_t from = mirrored ? n - j : j, at = (row / after * had + from) * after + row % after;
                double a = from < had ? x->v[complex ? 2 * at : at] : 0;
                double b = from < had && complex ? x->v[2 * at + 1] * (mirrored ? -1 : 1) : 0;
                if (half && (j == 0 || 2 * j == n))
                    b = 0;
                double angle = (inverse ? 2 : -2) * 3.14159265358979323846 * (double)(j * k % n) / (double)n;
                re += a * cos(angle) - b * sin(angle);
                im += a * sin(angle) + b * cos(angle);
            }
            int64_t to = (row / after * keep + k) * after + row % after;
            y[complex_result ? 2 * to : to] = re * factor;
            if (complex_result)
                y[2 * to + 1] = im * factor;
        }
}

static void ref_fft(Ref *r) { ref_transform(r, true, false, false, true); }
static void ref_ifft(Ref *r) { ref_transform(r, true, false, true, true); }
static void ref_rfft(Ref *r) { ref_transform(r, false, false, false, true); }
static void ref_irfft(Ref *r) { ref_transform(r, true, true, true, false); }

const Case cases_signal[] = {
    {"fft", "x[4,2]", "", .reference = ref_fft, .only = "i32 f32 f64"},
    {"fft", "x[3,5,2]", "norm=\"ortho\"", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[3,2,2]", "axis=0, norm=\"forward\"", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[2,4,2]", "n=7", .reference = ref_fft, .only = FLOATS, .loose = 4},
    {"fft", "x[5,2,2]", "n=3, axis=-2", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[1,2]", "", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[0,4,2]", "", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[0,2]", "n=3", .reference = ref_fft, .only = FLOATS},
    {"fft", "x[300,257,2]", "", .reference = ref_fft, .big = true, .loose = 100},
    {"fft", "x[4,3]", "", .error = ERROR_shape},
    {"fft", "x[2]", "", .error = ERROR_shape},
    {"fft", "x[0,2]", "", .error = ERROR_value},
    {"fft", "x[4,2]", "axis=1", .error = ERROR_index},
    {"fft", "x[4,2]", "norm=\"both\"", .error = ERROR_value},
    {"ifft", "x[6,2]", "", .reference = ref_ifft, .only = "u8 f32 f64"},
    {"ifft", "x[2,3,2,2]", "axis=1, norm=\"ortho\"", .reference = ref_ifft, .only = FLOATS},
    {"ifft", "x[3,2]", "n=5, norm=\"forward\"", .reference = ref_ifft, .only = FLOATS, .loose = 4},
    {"ifft", "x[1,1,2]", "", .reference = ref_ifft, .only = FLOATS},
    {"ifft", "x[0,4,2]", "", .reference = ref_ifft, .only = FLOATS},
    {"ifft", "x[4]", "", .error = ERROR_shape},
    {"rfft", "x[6]", "", .reference = ref_rfft, .only = "bool i64 f32 f64"},
    {"rfft", "x[2,5]", "norm=\"ortho\"", .reference = ref_rfft, .only = FLOATS},
    {"rfft", "x[4,3]", "axis=0, norm=\"forward\"", .reference = ref_rfft, .only = FLOATS},
    {"rfft", "x[2,4]", "n=7", .reference = ref_rfft, .only = FLOATS, .loose = 4},
    {"rfft", "x[2,7]", "n=4", .reference = ref_rfft, .only = FLOATS},
    {"rfft", "x[1]", "", .reference = ref_rfft, .only = FLOATS},
    {"rfft", "x[0,4]", "", .reference = ref_rfft, .only = FLOATS},
    {"rfft", "x[9,500]", "", .reference = ref_rfft, .big = true, .loose = 100},
    {"rfft", "x[4]", "n=0", .error = ERROR_value},
    {"rfft", "x[]", "", .error = ERROR_index},
    {"irfft", "x[4,2]", "", .reference = ref_irfft, .only = "i32 f32 f64"},
    {"irfft", "x[2,4,2]", "n=7, norm=\"ortho\"", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[3,2,2]", "axis=0, norm=\"forward\"", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[3,2]", "n=9", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[5,2]", "n=4", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[1,2]", "n=1", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[0,4,2]", "", .reference = ref_irfft, .only = FLOATS},
    {"irfft", "x[1,2]", "", .error = ERROR_value},
    {"irfft", "x[4]", "", .error = ERROR_shape},
    {0},
};
