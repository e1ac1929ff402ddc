/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the resampling of images. */
#include <math.h>

#include "ops_test.h"

/* ---- one axis ---- */

static double keys(double d, double a)
{
    d = fabs(d);
    return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1
         : d < 2  ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a
                  : 0;
}

/* How much element k of n counts for result i of m; without dividing by the sum of all. */
static double share(const Ref *r, int64_t k, int64_t i, int64_t n, int64_t m)
{
    const char *mode = ref_str(r, "mode");
    bool align = ref_bool(r, "align_corners"), smooth = ref_bool(r, "antialias"), is_cubic = mode[0] == 'c';
    double step = align ? (m > 1 ? (double)(n - 1) / (double)(m - 1) : 0)
                        : ref_none(r, "scale") ? (double)n / (double)m : 1 / ref_num(r, "scale");
    if (mode[0] == 'a')
        return k >= i * n / m && k * m < (i + 1) * n;
    if (mode[0] == 'n')
        return k == (int64_t)fmin(floor(((double)i + (mode[7] ? 0.5 : 0)) * step + 1e-9), (double)(n - 1));
    if (smooth) {
        double center = ((double)i + 0.5) * step - 0.5, wide = fmax(step, 1);
        return is_cubic ? keys(((double)k - center) / wide, -0.5) : fmax(0, 1 - fabs((double)k - center) / wide);
    }
    double place = align ? (double)i * step : ((double)i + 0.5) * step - 0.5, sum = 0;
    if (!is_cubic)
        return fmax(0, 1 - fabs((double)k - fmin(fmax(place, 0), (double)(n - 1))));
    for (int64_t j = -40; j < n + 40; j++)
        if ((j < 0 ? 0 : j >= n ? n - 1 : j) == k)
            sum += keys(place - (double)j, -0.75);
    return sum;
}

/* y [.., m, ..] from x [.., n, ..], or the other way round. */
static void resize(Ref *r, bool back)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t shape[TENSOR_MAX_DIMS], inner = 1;
    for (int i = 0; i < x->ndim; i++) {
        shape[i] = i == axis ? ref_int(r, "size") : x->shape[i];
        inner *= i > axis ? x->shape[i] : 1;
    }
    double *v = ref_out(r, ref_floating(x->dtype), x->ndim, shape);
    int64_t n = back ? shape[axis] : x->shape[axis], m = back ? x->shape[axis] : shape[axis];
    for (int64_t outer = 0; outer < x->size / x->shape[axis] / inner; outer++)
        for (int64_t i = 0; i < m; i++) {
            double all = 0;
            for (int64_t k = 0; k < n; k++)
                all += share(r, k, i, n, m);
            for (int64_t k = 0; k < n; k++)
                for (int64_t e = 0; e < inner; e++) {
                    int64_t far = (outer * n + k) * inner + e, near = (outer * m + i) * inner + e;
                    v[back ? far : near] += share(r, k, i, n, m) / all * x->v[back ? near : far];
                }
        }
}

static void ref_resize_axis(Ref *r) { resize(r, false); }
static void ref_resize_axis_grad(Ref *r) { resize(r, true); }

/* ---- anywhere ---- */

static double mirrored(double at, double low, double high)
{
    while (at < low || at > high)
        at = at < low ? 2 * low - at : 2 * high - at;
    return at;
}

static double inside(const Ref *r, double at, int64_t size)
{
    bool align = ref_bool(r, "align_corners");
    if (ref_str(r, "padding")[0] == 'r' && (size > 1 || !align))
        at = mirrored(at, align ? 0 : -0.5, align ? (double)size - 1 : (double)size - 0.5);
    return fmin(fmax(at, 0), (double)size - 1);
}

/* How much pixel k of an axis counts at coordinate g. */
static double counts(const Ref *r, double g, int64_t k, int64_t size)
{
    const char *mode = ref_str(r, "mode");
    bool zeros = ref_str(r, "padding")[0] == 'z', is_cubic = mode[0] == 'b' && mode[1] == 'i' && mode[2] == 'c';
    double at = ref_bool(r, "align_corners") ? (g + 1) / 2 * (double)(size - 1) : ((g + 1) * (double)size - 1) / 2;
    if (!zeros && !is_cubic)
        at = inside(r, at, size);
    if (mode[0] == 'n')
        return nearbyint(at) == (double)k;
    if (!is_cubic)
        return fmax(0, 1 - fabs(at - (double)k));
    double sum = 0;
    for (double j = floor(at) - 1; j <= floor(at) + 2; j++)
        if ((zeros ? j : inside(r, j, size)) == (double)k)
            sum += keys(at - j, -0.75);
    return sum;
}

static void ref_grid_sample(Ref *r)
{
    const Array *x = r->in[0], *grid = r->in[1];
    int space = x->ndim - 2;
    int64_t shape[5] = {x->shape[0], x->shape[1]}, pixels = 1, image = 1;
    for (int i = 0; i < space; i++) {
        pixels *= shape[2 + i] = grid->shape[1 + i];
        image *= x->shape[2 + i];
    }
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        int64_t plane = i / pixels, n = plane / shape[1];
        for (int64_t k = 0; k < image; k++) {
            double w = 1;
            for (int a = 0, axis = x->ndim - 1; a < space; a++, axis--) {
                int64_t step = 1;
                for (int later = axis + 1; later < x->ndim; later++)
                    step *= x->shape[later];
                w *= counts(r, grid->v[(n * pixels + i % pixels) * space + a], k / step % x->shape[axis],
                            x->shape[axis]);
            }
            v[i] += w * x->v[plane * image + k];
        }
    }
}

#define RESIZE(inputs, params) {"resize_axis", inputs, params, .reference = ref_resize_axis, .only = FLOATS}
#define BACK(inputs, params) {"resize_axis_grad", inputs, params, .reference = ref_resize_axis_grad, .only = FLOATS}
#define GRID(inputs, params) {"grid_sample", inputs, params, .reference = ref_grid_sample, .only = FLOATS, .loose = 20}

const Case cases_resample[] = {
    {"resize_axis", "x[2,4]", "axis=1, size=7", .reference = ref_resize_axis},
    RESIZE("x[2,3,5]", "axis=1, size=5, align_corners=true"),
    RESIZE("x[7,2]", "axis=0, size=3"),
    RESIZE("x[2,5]", "axis=-1, size=9, mode=nearest"),
    RESIZE("x[2,5,2]", "axis=1, size=3, mode=nearest-exact"),
    RESIZE("x[2,6]", "axis=1, size=9, mode=cubic"),
    RESIZE("x[2,3]", "axis=1, size=5, mode=cubic, align_corners=true"),
    RESIZE("x[2,7]", "axis=1, size=3, mode=area"),
    RESIZE("x[3,2]", "axis=0, size=7, mode=area"),
    RESIZE("x[2,9]", "axis=1, size=4, mode=linear, antialias=true"),
    RESIZE("x[2,11]", "axis=1, size=3, mode=cubic, antialias=true"),
    RESIZE("x[2,4]", "axis=1, size=9, mode=cubic, antialias=true"),
    RESIZE("x[2,5]", "axis=1, size=7, scale=1.5"),
    RESIZE("x[2,1]", "axis=1, size=1, mode=cubic, align_corners=true"),
    RESIZE("x[0,3]", "axis=1, size=4"),
    {"resize_axis", "x[2,0]", "axis=1, size=4", .error = ERROR_shape},
    {"resize_axis", "x[2,3]", "axis=1, size=0", .error = ERROR_value},
    {"resize_axis", "x[2,3]", "axis=1, size=4, mode=bilinear", .error = ERROR_value},
    {"resize_axis", "x[2,3]", "axis=1, size=4, mode=area, antialias=true", .error = ERROR_value},
    {"resize_axis", "x[2,3]", "axis=2, size=4", .error = ERROR_index},
    {"resize_axis", "x[2,3]", "axis=1, size=4, scale=0", .error = ERROR_value},
    RESIZE("x[2,3]", "axis=1, size=7, scale=0.9"),
    RESIZE("x[2,3]", "axis=1, size=5, mode=cubic, scale=0.3"),
    {"resize_axis", "x[70,33,50]", "axis=2, size=77, mode=cubic", .reference = ref_resize_axis, .big = true,
     .loose = 10},
    {"resize_axis", "x[3,90,500]", "axis=1, size=41, antialias=true", .reference = ref_resize_axis, .big = true,
     .loose = 10},
    BACK("x[2,7]", "axis=1, size=4"),
    BACK("x[2,5,3]", "axis=1, size=3, mode=cubic"),
    BACK("x[3,2]", "axis=0, size=7, mode=area"),
    BACK("x[2,4]", "axis=1, size=9, mode=linear, antialias=true"),
    BACK("x[2,1]", "axis=1, size=1"),
    BACK("x[0,3]", "axis=1, size=4"),
    {"resize_axis_grad", "x[2,0]", "axis=1, size=4", .error = ERROR_shape},
    {"resize_axis_grad", "x[3,41,500]", "axis=1, size=90, antialias=true", .reference = ref_resize_axis_grad,
     .big = true, .loose = 10},
    GRID("x[2,3,4,5] x[2,2,2,2](-0.8,0.9)", ""),
    GRID("x[1,2,3,4] x[1,3,2,2](-1.7,1.7)", "align_corners=true"),
    GRID("x[1,2,3,4] x[1,3,2,2](-1.7,1.7)", "padding=border"),
    GRID("x[1,2,3,4] x[1,3,2,2](-3.7,3.7)", "padding=reflection"),
    GRID("x[1,2,3,4] x[1,3,2,2](-3.7,3.7)", "padding=reflection, align_corners=true"),
    GRID("x[1,2,4,4] x[1,3,2,2](-1.7,1.7)", "mode=bicubic"),
    GRID("x[1,2,4,3] x[1,2,2,2](-2.7,2.6)", "mode=bicubic, padding=reflection"),
    GRID("x[1,2,4,3] x[1,2,2,2](-1.7,1.7)", "mode=bicubic, padding=border, align_corners=true"),
    GRID("x[2,2,4,3] x[2,2,2,2](-1.7,1.7)", "mode=nearest"),
    GRID("x[1,2,4,3] x[1,2,2,2](-2.7,2.7)", "mode=nearest, padding=reflection"),
    GRID("x[1,2,2,3,4] x[1,2,1,2,3](-1.4,1.4)", ""),
    GRID("x[1,2,2,3,4] x[1,2,1,2,3](-1.4,1.4)", "mode=nearest, padding=border"),
    GRID("x[2,1,1,1] x[2,1,1,2]", "padding=border"),
    GRID("x[0,2,3,3] x[0,2,2,2]", ""),
    {"grid_sample", "x[1,2,3,3] x[1,2,2,3]", "", .error = ERROR_shape},
    {"grid_sample", "x[1,2,3,3] x[2,2,2,2]", "", .error = ERROR_shape, .only = FLOATS},
    {"grid_sample", "x[1,2,3,3] x[1,2,2,2]", "mode=area", .error = ERROR_value, .only = FLOATS},
    {"grid_sample", "x[1,2,2,3,4] x[1,2,1,2,3]", "mode=bicubic", .error = ERROR_value, .only = FLOATS},
    {"grid_sample", "x[1,2,0,3] x[1,2,2,2]", "", .error = ERROR_shape, .only = FLOATS},
    {"grid_sample", "x[9,3,28,28] x[9,40,70,2](-1.2,1.2)", "", .reference = ref_grid_sample, .big = true,
     .loose = 100},
    {0},
};
