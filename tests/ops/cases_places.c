/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of scatters, windows, padding with elements of the input, and what else takes elements from other places: roll
   of flattened elements, flip of all axes, diagonals of any two axes. */
#include <math.h>
#include <string.h>

#include "ops_test.h"

/* ---- scatters ---- */

typedef double Meet(double old, double new);

static double meet_put(double old, double new) { (void)old; return new; }
static double meet_prod(double old, double new) { return old * new; }
static double meet_add(double old, double new) { return old + new; }
static double meet_max(double old, double new) { return isnan(old) || isnan(new) ? (double)NAN : fmax(old, new); }
static double meet_min(double old, double new) { return isnan(old) || isnan(new) ? (double)NAN : fmin(old, new); }

static void scatter(Ref *r, Meet *meet)
{
    const Array *x = r->in[0], *index = r->in[1], *src = r->in[2];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t place[TENSOR_MAX_DIMS];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++)
        v[i] = x->v[i];
    for (int64_t i = 0; i < index->size; i++) {
        ref_place(index, i, place);
        place[axis] = (int64_t)index->v[i] + (index->v[i] < 0 ? x->shape[axis] : 0);
        double *to = &v[ref_index(x, place)];
        *to = meet(*to, src->v[src->ndim ? i : 0]);
    }
}

static void ref_scatter(Ref *r) { scatter(r, meet_put); }
static void ref_scatter_add(Ref *r) { scatter(r, meet_add); }
static void ref_scatter_prod(Ref *r) { scatter(r, meet_prod); }
static void ref_scatter_max(Ref *r) { scatter(r, meet_max); }
static void ref_scatter_min(Ref *r) { scatter(r, meet_min); }

/* ---- windows ---- */

static void ref_unfold(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim), n = x->ndim;
    int64_t size = ref_int(r, "size"), step = ref_int(r, "step"), shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    for (int d = 0; d < n; d++)
        shape[d] = x->shape[d];
    shape[axis] = 0;
    for (int64_t at = 0; at + size <= x->shape[axis]; at += step)
        shape[axis]++;
    shape[n] = size;
    double *v = ref_out(r, x->dtype, n + 1, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        place[axis] = place[axis] * step + place[n];
        v[i] = x->v[ref_index(x, place)];
    }
}

static void ref_overlap_add(Ref *r)
{
    const Array *x = r->in[0];
    int last = x->ndim - 1, axis = ref_axis(r, "axis", last);
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    for (int d = 0; d < last; d++)
        shape[d] = x->shape[d];
    shape[axis] = ref_int(r, "length");
    double *v = ref_out(r, x->dtype, last, shape);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        place[axis] = place[axis] * ref_int(r, "step") + place[last];
        v[ref_index(&r->out[0], place)] += x->v[i];
    }
}

/* ---- padding: a walk that turns or jumps at the ends ---- */

static int64_t walk(const char *mode, int64_t to, int64_t size)
{
    int64_t at = 0, way = to < 0 ? -1 : 1, step = way;
    for (int64_t i = 0; i != to; i += way) {
        bool leaves = at + step < 0 || at + step >= size;
        if (!leaves)
            at += step;
        else if (strcmp(mode, "circular") == 0)
            at = step > 0 ? 0 : size - 1;
        else if (strcmp(mode, "reflect") == 0) {
            step = -step;
            at += size > 1 ? step : 0;
        } else if (strcmp(mode, "symmetric") == 0)
            step = -step;
    }
    return at;
}

static void ref_pad_places(Ref *r)
{
    const Array *x = r->in[0];
    int64_t widths[TENSOR_MAX_DIMS], shape[TENSOR_MAX_DIMS], before[TENSOR_MAX_DIMS] = {0}, place[TENSOR_MAX_DIMS];
    int pairs = ref_ints(r, "widths", widths) / 2;
    for (int d = 0; d < x->ndim; d++)
        shape[d] = x->shape[d];
    for (int p = 0; p < pairs; p++) {
        before[x->ndim - 1 - p] = widths[2 * p];
        shape[x->ndim - 1 - p] += widths[2 * p] + widths[2 * p + 1];
    }
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        for (int d = 0; d < x->ndim; d++)
            place[d] = walk(ref_str(r, "mode"), place[d] - before[d], x->shape[d]);
        v[i] = x->v[ref_index(x, place)];
    }
}

/* ---- the rest ---- */

static void ref_roll_flat(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shift[TENSOR_MAX_DIMS];
    ref_ints(r, "shift", shift);
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++)
        v[((i + shift[0]) % x->size + x->size) % x->size] = x->v[i];
}

static void ref_flip_all(Ref *r)
{
    const Array *x = r->in[0];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++)
        v[x->size - 1 - i] = x->v[i];
}

static void ref_diagonal_axes(Ref *r)
{
    const Array *x = r->in[0];
    int a = ref_axis(r, "axis1", x->ndim), b = ref_axis(r, "axis2", x->ndim), n = 0;
    int64_t k = ref_int(r, "offset"), shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], kept[TENSOR_MAX_DIMS];
    for (int d = 0; d < x->ndim; d++)
        if (d != a && d != b)
            shape[n++] = x->shape[d];
    shape[n] = 0;
    for (int64_t i = 0; i < x->shape[a]; i++)
        shape[n] += i + k >= 0 && i + k < x->shape[b];
    double *v = ref_out(r, x->dtype, n + 1, shape);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        if (place[b] - place[a] != k)
            continue;
        n = 0;
        for (int d = 0; d < x->ndim; d++)
            if (d != a && d != b)
                kept[n++] = place[d];
        kept[n] = k < 0 ? place[b] : place[a];
        v[ref_index(&r->out[0], kept)] = x->v[i];
    }
}

/* Indices of a case come at random: [3,2] ones below 3 along an axis of 5 meet now and then. */
#define SCATTERS(name, fn)                                                                                             \
    {name, "x[5,3] i64[5,2](0,2) x[5,2]", "axis=1", .reference = fn},                                                  \
    {name, "x[5,3] i64[7,3](-5,4) x[7,3]", "axis=0", .reference = fn},                                                 \
    {name, "x[2,3,2] i32[1,4,2](0,2) x[1,4,2]", "axis=1", .reference = fn},                                            \
    {name, "x[5,3] u8[4,1](0,4) x[]", "axis=0", .reference = fn},                                                      \
    {name, "x[1] i64[0](0,0) x[0]", "axis=0", .reference = fn},                                                        \
    {name, "x[3] i64[2](0,2) x[3]", "axis=0", .error = ERROR_shape},                                                   \
    {name, "x[3] f32[3] x[3]", "axis=0", .error = ERROR_dtype},                                                        \
    {name, "x[3] i64[1](3,3) x[1]", "axis=0", .error = ERROR_index},                                                   \
    {name, "x[300,90] i64[300,40](0,89) x[300,40]", "axis=1", .reference = fn, .big = true}

#define SUMS "i32 i64 f32 f64"     /* sums of bools and u8 are not asked for here */

const Case cases_places[] = {
    SCATTERS("scatter", ref_scatter),
    {"scatter_add", "x[5,3] i64[5,2](0,2) x[5,2]", "axis=1", .reference = ref_scatter_add, .only = SUMS},
    {"scatter_add", "x[3,2] i64[6,2](0,2) x[6,2]", "axis=0", .reference = ref_scatter_add, .only = SUMS},
    {"scatter_add", "x[1] i64[0](0,0) x[0]", "axis=0", .reference = ref_scatter_add, .only = SUMS},
    {"scatter_add", "x[3] i64[2](0,2) x[3]", "axis=0", .error = ERROR_shape},
    {"scatter_add", "x[3] i64[1](3,3) x[1]", "axis=0", .error = ERROR_index},
    SCATTERS("scatter_prod", ref_scatter_prod),
    {"scatter_prod", "x[4]z i64[6](0,3) x[6]zz", "axis=0", .reference = ref_scatter_prod, .only = FLOATS,
     .no_second = true /* at a zero the rest counts as constant */},
    SCATTERS("scatter_max", ref_scatter_max),
    {"scatter_max", "x[4]n i64[6](0,3) x[6]", "axis=0", .reference = ref_scatter_max, .only = FLOATS, .no_grad = true},
    SCATTERS("scatter_min", ref_scatter_min),
    {"unfold", "x[7]", "axis=0, size=3", .reference = ref_unfold},
    {"unfold", "x[2,7,3]", "axis=1, size=2, step=2", .reference = ref_unfold},
    {"unfold", "x[5,2]", "axis=-2, size=5, step=9", .reference = ref_unfold},
    {"unfold", "x[0,4]", "axis=1, size=2", .reference = ref_unfold},
    {"unfold", "x[1,1]", "axis=0, size=1", .reference = ref_unfold},
    {"unfold", "x[3]", "axis=0, size=4", .error = ERROR_shape},
    {"unfold", "x[3]", "axis=0, size=1, step=0", .error = ERROR_value},
    {"unfold", "x[3]", "axis=1, size=1", .error = ERROR_index},
    {"overlap_add", "x[4,3]", "axis=0, length=8", .reference = ref_overlap_add, .only = "i64 f32 f64"},
    {"overlap_add", "x[2,3,2,4]", "axis=1, length=9, step=2", .reference = ref_overlap_add, .only = "i32 f32 f64"},
    {"overlap_add", "x[1,3]", "axis=-1, length=3", .reference = ref_overlap_add},
    {"overlap_add", "x[0,3]", "axis=0, length=4", .reference = ref_overlap_add},
    {"overlap_add", "x[2,3]", "axis=0, length=3", .error = ERROR_shape},
    {"overlap_add", "x[2,3]", "axis=0, length=9, step=0", .error = ERROR_value},
    {"overlap_add", "x[3]", "axis=0, length=9", .error = ERROR_shape},
    {"overlap_add", "x[200,90,7]", "axis=1, length=96", .reference = ref_overlap_add, .only = FLOATS, .big = true},
    {"pad", "x[4]", "widths=(3,2), mode=\"reflect\"", .reference = ref_pad_places},
    {"pad", "x[3,2]", "widths=(5,1,1,7), mode=\"reflect\"", .reference = ref_pad_places},
    {"pad", "x[1]", "widths=(2,2), mode=\"reflect\"", .reference = ref_pad_places},
    {"pad", "x[3,2]", "widths=(5,1,1,7), mode=\"symmetric\"", .reference = ref_pad_places},
    {"pad", "x[3,2]", "widths=(3,1,-1,2), mode=\"replicate\"", .reference = ref_pad_places},
    {"pad", "x[2,3,2]", "widths=(3,1,1,4,1,0), mode=\"circular\"", .reference = ref_pad_places},
    {"pad", "x[0,2]", "widths=(1,1), mode=\"circular\"", .reference = ref_pad_places},
    {"pad", "x[0,2]", "widths=(0,0,1,1), mode=\"circular\"", .error = ERROR_shape},
    {"pad", "x[2]", "widths=(1,1), mode=\"mirror\"", .error = ERROR_value},
    {"roll", "x[2,3]", "shift=4", .reference = ref_roll_flat},
    {"roll", "x[2,3]", "shift=-1", .reference = ref_roll_flat},
    {"roll", "x[0,3]", "shift=2", .reference = ref_roll_flat},
    {"roll", "x[2,3]", "shift=(1,2)", .error = ERROR_value},
    {"flip", "x[2,3]", "", .reference = ref_flip_all},
    {"flip", "x[]", "", .reference = ref_flip_all},
    {"diagonal", "x[2,3,4]", "axis1=0, axis2=1", .reference = ref_diagonal_axes},
    {"diagonal", "x[2,3,4]", "offset=1, axis1=2, axis2=0", .reference = ref_diagonal_axes},
    {"diagonal", "x[2,3,4]", "offset=-1, axis1=0, axis2=-1", .reference = ref_diagonal_axes},
    {"diagonal", "x[2,3]", "axis1=0, axis2=0", .error = ERROR_value},
    {0},
};
