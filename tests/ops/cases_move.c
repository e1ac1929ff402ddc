/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the rows that move axes and elements. The references find, for every place of the result, the place of the
   input that it shows. */
#include "ops_test.h"

/* The same elements in the same order under another shape. */
static void keep_order(Ref *r, Dtype dtype, int ndim, const int64_t *shape)
{
    double *v = ref_out(r, dtype, ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = r->in[0]->v[i];
}

static void ref_reshape(Ref *r)
{
    int64_t shape[TENSOR_MAX_DIMS], known = 1;
    int n = ref_ints(r, "shape", shape), open = -1;
    for (int i = 0; i < n; i++) {
        if (shape[i] < 0)
            open = i;
        else
            known *= shape[i];
    }
    if (open >= 0)
        shape[open] = r->in[0]->size / known;
    keep_order(r, r->in[0]->dtype, n, shape);
}

static void ref_flatten(Ref *r)
{
    const Array *x = r->in[0];
    int start = ref_axis(r, "start", x->ndim), stop = ref_axis(r, "stop", x->ndim), n = 0;
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < start; i++)
        shape[n++] = x->shape[i];
    shape[n] = 1;
    for (int i = start; i <= stop && i < x->ndim; i++)
        shape[n] *= x->shape[i];
    n++;
    for (int i = stop + 1; i < x->ndim; i++)
        shape[n++] = x->shape[i];
    keep_order(r, x->dtype, n, shape);
}

static void ref_squeeze(Ref *r)
{
    const Array *x = r->in[0];
    int64_t axes[TENSOR_MAX_DIMS], shape[TENSOR_MAX_DIMS];
    int count = ref_none(r, "axis") ? 0 : ref_ints(r, "axis", axes), n = 0;
    for (int i = 0; i < x->ndim; i++) {
        bool drop = count == 0 && x->shape[i] == 1;
        for (int k = 0; k < count; k++)
            drop = drop || axes[k] == i || axes[k] == i - x->ndim;
        if (!drop)
            shape[n++] = x->shape[i];
    }
    keep_order(r, x->dtype, n, shape);
}

static void ref_unsqueeze(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim + 1), n = 0;
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i <= x->ndim; i++)
        shape[i] = i == axis ? 1 : x->shape[n++];
    keep_order(r, x->dtype, x->ndim + 1, shape);
}

static void ref_same(Ref *r)
{
    keep_order(r, r->in[0]->dtype, r->in[0]->ndim, r->in[0]->shape);
}

static void ref_to(Ref *r)
{
    Dtype dtype = ref_dtype(r, "dtype");
    keep_order(r, dtype, r->in[0]->ndim, r->in[0]->shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        double *v = &r->out[0].v[i];
        *v = dtype == DTYPE_bool ? *v != 0 : dtype <= DTYPE_i64 ? (double)(int64_t)*v
           : dtype == DTYPE_f32 ? (double)(float)*v : *v;
    }
}

static void show_permuted(Ref *r, const int *order)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], from[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[order[i]];
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        for (int k = 0; k < x->ndim; k++)
            from[order[k]] = place[k];
        v[i] = x->v[ref_index(x, from)];
    }
}

static void ref_permute(Ref *r)
{
    int64_t axes[TENSOR_MAX_DIMS];
    int order[TENSOR_MAX_DIMS], n = ref_ints(r, "axes", axes);
    for (int i = 0; i < n; i++)
        order[i] = (int)(axes[i] < 0 ? axes[i] + n : axes[i]);
    show_permuted(r, order);
}

static void ref_transpose(Ref *r)
{
    int order[TENSOR_MAX_DIMS], n = r->in[0]->ndim, a = ref_axis(r, "a", n), b = ref_axis(r, "b", n);
    for (int i = 0; i < n; i++)
        order[i] = i == a ? b : i == b ? a : i;
    show_permuted(r, order);
}

static bool names_axis(const Ref *r, const char *param, int axis, int ndim)
{
    int64_t axes[TENSOR_MAX_DIMS];
    int n = ref_ints(r, param, axes);
    for (int i = 0; i < n; i++)
        if (axes[i] == axis || axes[i] == axis - ndim)
            return true;
    return false;
}

static void ref_flip(Ref *r)
{
    const Array *x = r->in[0];
    int64_t place[TENSOR_MAX_DIMS];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        for (int k = 0; k < x->ndim; k++)
            if (names_axis(r, "axis", k, x->ndim))
                place[k] = x->shape[k] - 1 - place[k];
        v[i] = x->v[ref_index(x, place)];
    }
}

static void ref_expand(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS];
    int n = ref_ints(r, "shape", shape);
    for (int i = 0; i < n; i++)
        if (shape[i] < 0)
            shape[i] = x->shape[i + x->ndim - n];
    double *v = ref_out(r, x->dtype, n, shape);
    for (int64_t i = 0; i < r->out[0].size; i++)
        v[i] = ref_broadcast(x, &r->out[0], i);
}

/* Python's clamping of one bound. */
static int64_t bound(const Ref *r, const char *param, int64_t size, int64_t fallback, int64_t least, int64_t most)
{
    if (ref_none(r, param))
        return fallback;
    int64_t at = ref_int(r, param);
    if (at < 0)
        at += size;
    return at < least ? least : at > most ? most : at;
}

static void ref_slice(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t size = x->shape[axis], step = ref_int(r, "step"), shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    int64_t start = step > 0 ? bound(r, "start", size, 0, 0, size) : bound(r, "start", size, size - 1, -1, size - 1);
    int64_t stop = step > 0 ? bound(r, "stop", size, size, 0, size) : bound(r, "stop", size, -1, -1, size - 1);
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    shape[axis] = 0;
    for (int64_t at = start; step > 0 ? at < stop : at > stop; at += step)
        shape[axis]++;
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        place[axis] = start + place[axis] * step;
        v[i] = x->v[ref_index(x, place)];
    }
}

static void ref_unslice(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    shape[axis] = ref_int(r, "size");
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        place[axis] = ref_int(r, "start") + place[axis] * ref_int(r, "step");
        v[ref_index(&r->out[0], place)] = x->v[i];
    }
}

static void ref_select(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim), n = 0;
    int64_t at = ref_int(r, "index"), shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++)
        if (i != axis)
            shape[n++] = x->shape[i];
    double *v = ref_out(r, x->dtype, n, shape);
    for (int64_t i = 0, to = 0; i < x->size; i++) {
        ref_place(x, i, place);
        if (place[axis] == (at < 0 ? at + x->shape[axis] : at))
            v[to++] = x->v[i];
    }
}

static Dtype widest(const Ref *r)
{
    Dtype d = r->in[0]->dtype;
    for (int i = 1; i < r->n_in; i++)
        d = r->in[i]->dtype > d ? r->in[i]->dtype : d;
    return d;
}

static void ref_concat(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], before = 0;
    for (int i = 0; i < x->ndim; i++)
        shape[i] = i == axis ? 0 : x->shape[i];
    for (int k = 0; k < r->n_in; k++)
        shape[axis] += r->in[k]->shape[axis];
    double *v = ref_out(r, widest(r), x->ndim, shape);
    for (int k = 0; k < r->n_in; k++) {
        for (int64_t i = 0; i < r->in[k]->size; i++) {
            ref_place(r->in[k], i, place);
            place[axis] += before;
            v[ref_index(&r->out[0], place)] = r->in[k]->v[i];
        }
        before += r->in[k]->shape[axis];
    }
}

static void ref_stack(Ref *r)
{
    const Array *x = r->in[0];
    int axis = ref_axis(r, "axis", x->ndim + 1), n = 0;
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], to[TENSOR_MAX_DIMS];
    for (int i = 0; i <= x->ndim; i++)
        shape[i] = i == axis ? r->n_in : x->shape[n++];
    double *v = ref_out(r, widest(r), x->ndim + 1, shape);
    for (int k = 0; k < r->n_in; k++)
        for (int64_t i = 0; i < x->size; i++) {
            ref_place(x, i, place);
            n = 0;
            for (int a = 0; a <= x->ndim; a++)
                to[a] = a == axis ? k : place[n++];
            v[ref_index(&r->out[0], to)] = r->in[k]->v[i];
        }
}

static void ref_tile(Ref *r)
{
    const Array *x = r->in[0];
    int64_t repeats[TENSOR_MAX_DIMS], shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    int count = ref_ints(r, "repeats", repeats), n = count > x->ndim ? count : x->ndim;
    for (int i = 0; i < n; i++) {
        int64_t size = i < n - x->ndim ? 1 : x->shape[i - (n - x->ndim)];
        shape[i] = size * (i < n - count ? 1 : repeats[i - (n - count)]);
    }
    double *v = ref_out(r, x->dtype, n, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        for (int k = 0; k < x->ndim; k++)
            place[n - x->ndim + k] %= x->shape[k];
        v[i] = x->v[ref_index(x, place + n - x->ndim)];
    }
}

static void ref_roll(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shift[TENSOR_MAX_DIMS], axes[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS];
    int n = ref_ints(r, "axis", axes);
    ref_ints(r, "shift", shift);
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        for (int k = 0; k < n; k++) {
            int64_t axis = axes[k] < 0 ? axes[k] + x->ndim : axes[k], size = x->shape[axis];
            place[axis] = (((place[axis] + shift[k]) % size) + size) % size;
        }
        v[ref_index(x, place)] = x->v[i];
    }
}

static void ref_pad(Ref *r)
{
    const Array *x = r->in[0];
    int64_t widths[TENSOR_MAX_DIMS], shape[TENSOR_MAX_DIMS], before[TENSOR_MAX_DIMS] = {0}, place[TENSOR_MAX_DIMS];
    int pairs = ref_ints(r, "widths", widths) / 2;
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    for (int p = 0; p < pairs; p++) {
        int axis = x->ndim - 1 - p;
        before[axis] = widths[2 * p];
        shape[axis] += widths[2 * p] + widths[2 * p + 1];
    }
    double *v = ref_out(r, x->dtype, x->ndim, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        bool inside = true;
        ref_place(&r->out[0], i, place);
        for (int k = 0; k < x->ndim; k++) {
            place[k] -= before[k];
            inside = inside && place[k] >= 0 && place[k] < x->shape[k];
        }
        v[i] = inside ? x->v[ref_index(x, place)] : ref_num(r, "value");
    }
}

static void triangle(Ref *r, bool lower)
{
    const Array *x = r->in[0];
    int64_t place[TENSOR_MAX_DIMS], k = ref_int(r, "k");
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        int64_t above = place[x->ndim - 1] - place[x->ndim - 2];
        v[i] = (lower ? above <= k : above >= k) ? x->v[i] : 0;
    }
}

static void ref_tril(Ref *r) { triangle(r, true); }
static void ref_triu(Ref *r) { triangle(r, false); }

static void ref_diagonal(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], k = ref_int(r, "offset");
    int n = x->ndim;
    int64_t rows = x->shape[n - 2], columns = x->shape[n - 1], length = 0;
    for (int64_t i = 0; i < rows; i++)
        length += i + k >= 0 && i + k < columns;
    for (int i = 0; i < n - 2; i++)
        shape[i] = x->shape[i];
    shape[n - 2] = length;
    double *v = ref_out(r, x->dtype, n - 1, shape);
    for (int64_t i = 0, to = 0; i < x->size; i++) {
        ref_place(x, i, place);
        if (place[n - 1] - place[n - 2] == k)
            v[to++] = x->v[i];
    }
}

static void ref_diag_embed(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], k = ref_int(r, "offset");
    int n = x->ndim;
    for (int i = 0; i < n - 1; i++)
        shape[i] = x->shape[i];
    shape[n - 1] = ref_none(r, "rows") ? x->shape[n - 1] + (k < 0 ? -k : k) : ref_int(r, "rows");
    shape[n] = ref_none(r, "columns") ? x->shape[n - 1] + (k < 0 ? -k : k) : ref_int(r, "columns");
    double *v = ref_out(r, x->dtype, n + 1, shape);
    for (int64_t i = 0; i < x->size; i++) {
        ref_place(x, i, place);
        place[n] = place[n - 1] + (k > 0 ? k : 0);
        place[n - 1] += k < 0 ? -k : 0;
        v[ref_index(&r->out[0], place)] = x->v[i];
    }
}

static void ref_diag(Ref *r)
{
    const Array *x = r->in[0];
    int64_t k = ref_int(r, "offset");
    if (x->ndim == 2) {
        ref_diagonal(r);
        return;
    }
    int64_t n = x->size + (k < 0 ? -k : k), shape[2] = {n, n};
    double *v = ref_out(r, x->dtype, 2, shape);
    for (int64_t i = 0; i < x->size; i++)
        v[(i + (k < 0 ? -k : 0)) * n + i + (k > 0 ? k : 0)] = x->v[i];
}

static void ref_one_hot(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], classes = ref_int(r, "classes");
    for (int i = 0; i < x->ndim; i++)
        shape[i] = x->shape[i];
    shape[x->ndim] = classes;
    double *v = ref_out(r, DTYPE_f32, x->ndim + 1, shape);
    for (int64_t i = 0; i < x->size; i++)
        v[i * classes + (int64_t)x->v[i]] = 1;
}

const Case cases_move[] = {
    {"reshape", "x[2,3,4]", "shape=(4,6)", .reference = ref_reshape},
    {"reshape", "x[2,3,4]", "shape=(-1,2)", .reference = ref_reshape},
    {"reshape", "x[1]", "", .reference = ref_reshape},
    {"reshape", "x[]", "shape=(1,1)", .reference = ref_reshape},
    {"reshape", "x[0,3]", "shape=(3,0,2)", .reference = ref_reshape},
    {"reshape", "x[0,3]", "shape=(-1,3)", .reference = ref_reshape},
    {"reshape", "x[2,3]", "shape=(4,2)", .error = ERROR_shape},
    {"reshape", "x[2,3]", "shape=(-1,-1)", .error = ERROR_shape},
    {"reshape", "x[2,3]", "shape=(4,-1)", .error = ERROR_shape},
    {"flatten", "x[2,3,4]", "", .reference = ref_flatten},
    {"flatten", "x[2,3,4]", "start=1", .reference = ref_flatten},
    {"flatten", "x[2,3,1,4]", "start=1, stop=-2", .reference = ref_flatten},
    {"flatten", "x[2,0]", "", .reference = ref_flatten},
    {"squeeze", "x[1,3,1]", "", .reference = ref_squeeze},
    {"squeeze", "x[1,3,1]", "axis=-1", .reference = ref_squeeze},
    {"squeeze", "x[1,0,1]", "axis=(0,2)", .reference = ref_squeeze},
    {"squeeze", "x[1,3,1]", "axis=1", .error = ERROR_shape},
    {"squeeze", "x[1,3,1]", "axis=3", .error = ERROR_index},
    {"unsqueeze", "x[2,3]", "axis=0", .reference = ref_unsqueeze},
    {"unsqueeze", "x[2,3]", "axis=-1", .reference = ref_unsqueeze},
    {"unsqueeze", "x[0,1]", "axis=1", .reference = ref_unsqueeze},
    {"unsqueeze", "x[2,3]", "axis=3", .error = ERROR_index},
    {"unsqueeze", "x[1,1,1,1,1,1,1,1]", "axis=0", .error = ERROR_shape},
    {"permute", "x[2,3,4]", "axes=(2,0,1)", .reference = ref_permute},
    {"permute", "x[2,3,4]", "axes=(-1,1,0)", .reference = ref_permute},
    {"permute", "x[0,1]", "axes=(1,0)", .reference = ref_permute},
    {"permute", "x[2,3]", "axes=(0,0)", .error = ERROR_shape},
    {"permute", "x[2,3]", "axes=(0)", .error = ERROR_shape},
    {"permute", "x[2,3]", "axes=(0,2)", .error = ERROR_index},
    {"transpose", "x[2,3,4]", "", .reference = ref_transpose},
    {"transpose", "x[2,3,4]", "a=0, b=-1", .reference = ref_transpose},
    {"transpose", "x[0,1]", "", .reference = ref_transpose},
    {"transpose", "x[3]", "", .error = ERROR_index},
    {"flip", "x[2,3]", "axis=1", .reference = ref_flip},
    {"flip", "x[2,3,2]", "axis=(0,-1)", .reference = ref_flip},
    {"flip", "x[0,1]", "axis=(0,1)", .reference = ref_flip},
    {"flip", "x[2]", "axis=1", .error = ERROR_index},
    {"expand", "x[3,1]", "shape=(2,3,4)", .reference = ref_expand},
    {"expand", "x[3,1]", "shape=(-1,4)", .reference = ref_expand},
    {"expand", "x[]", "shape=(2,2)", .reference = ref_expand},
    {"expand", "x[0,1]", "shape=(2,0,3)", .reference = ref_expand},
    {"expand", "x[1]", "shape=(0)", .reference = ref_expand},
    {"expand", "x[3]", "shape=(4)", .error = ERROR_shape},
    {"expand", "x[2,3]", "shape=(3)", .error = ERROR_shape},
    {"slice", "x[7,2]", "axis=0, start=1, stop=6, step=2", .reference = ref_slice},
    {"slice", "x[2,7]", "axis=-1, start=-3", .reference = ref_slice},
    {"slice", "x[2,7]", "axis=1, stop=-2", .reference = ref_slice},
    {"slice", "x[7]", "axis=0, start=-100, stop=100, step=3", .reference = ref_slice},
    {"slice", "x[7]", "axis=0, start=5, stop=2", .reference = ref_slice},
    {"slice", "x[7]", "axis=0, step=-2", .reference = ref_slice},
    {"slice", "x[7]", "axis=0, start=5, stop=1, step=-1", .reference = ref_slice},
    {"slice", "x[0,1]", "axis=0", .reference = ref_slice},
    {"slice", "x[7]", "axis=0, step=0", .error = ERROR_value},
    {"slice", "x[7]", "axis=1", .error = ERROR_index},
    {"unslice", "x[3,2]", "axis=0, start=1, step=2, size=7", .reference = ref_unslice},
    {"unslice", "x[2,3]", "axis=1, start=5, step=-2, size=6", .reference = ref_unslice},
    {"unslice", "x[0,1]", "axis=0, start=0, step=1, size=3", .reference = ref_unslice},
    {"unslice", "x[3]", "axis=0, start=1, step=2, size=5", .error = ERROR_index},
    {"select", "x[2,3,4]", "axis=1, index=2", .reference = ref_select},
    {"select", "x[2,3]", "axis=-1, index=-3", .reference = ref_select},
    {"select", "x[1,0]", "axis=0, index=0", .reference = ref_select},
    {"select", "x[3]", "axis=0, index=3", .error = ERROR_index},
    {"select", "x[3]", "axis=0, index=-4", .error = ERROR_index},
    {"concat", "x[2,3] x[1,3] x[4,3]", "", .reference = ref_concat},
    {"concat", "x[2,3] x[2,1]", "axis=-1", .reference = ref_concat},
    {"concat", "x[2,3] x[0,3]", "", .reference = ref_concat},
    {"concat", "x[1]", "", .reference = ref_concat},
    {"concat", "x[2] f64[3]", "", .reference = ref_concat},
    {"concat", "x[2,3] x[2,2]", "", .error = ERROR_shape},
    {"concat", "x[2,3] x[2]", "", .error = ERROR_shape},
    {"concat", "x[]", "", .error = ERROR_shape},
    {"concat", "x[2,3] x[2,3]", "axis=2", .error = ERROR_index},
    {"stack", "x[2,3] x[2,3]", "", .reference = ref_stack},
    {"stack", "x[2,3] x[2,3] x[2,3]", "axis=-1", .reference = ref_stack},
    {"stack", "x[] x[]", "", .reference = ref_stack},
    {"stack", "x[0,1] x[0,1]", "axis=1", .reference = ref_stack},
    {"stack", "x[2,3] x[3,2]", "", .error = ERROR_shape},
    {"tile", "x[2,3]", "repeats=(2,2)", .reference = ref_tile},
    {"tile", "x[2,3]", "repeats=(3)", .reference = ref_tile},
    {"tile", "x[3]", "repeats=(2,1,2)", .reference = ref_tile},
    {"tile", "x[1]", "repeats=(0)", .reference = ref_tile},
    {"tile", "x[0,2]", "repeats=(2,2)", .reference = ref_tile},
    {"tile", "x[2]", "repeats=(-1)", .error = ERROR_value},
    {"roll", "x[5]", "shift=2, axis=0", .reference = ref_roll},
    {"roll", "x[3,4]", "shift=(1,-6), axis=(0,-1)", .reference = ref_roll},
    {"roll", "x[0,1]", "shift=(1,1), axis=(0,1)", .reference = ref_roll},
    {"roll", "x[5]", "shift=1, axis=1", .error = ERROR_index},
    {"pad", "x[3,2]", "widths=(1,2)", .reference = ref_pad},
    {"pad", "x[3,2]", "widths=(0,1,2,0), value=7", .reference = ref_pad, .only = "u8 i32 i64 f32 f64"},
    {"pad", "x[4,3]", "widths=(-1,1,-1,-2)", .reference = ref_pad},
    {"pad", "x[0,1]", "widths=(0,0,1,1), value=1", .reference = ref_pad},
    {"pad", "x[3]", "widths=(-2,-2)", .error = ERROR_shape},
    {"pad", "x[3]", "widths=(1)", .error = ERROR_shape},
    {"pad", "x[3]", "widths=(1,1,1,1)", .error = ERROR_shape},
    {"tril", "x[3,4]", "", .reference = ref_tril},
    {"tril", "x[2,3,3]", "k=-1", .reference = ref_tril},
    {"tril", "x[1,0]", "", .reference = ref_tril},
    {"triu", "x[3,4]", "", .reference = ref_triu},
    {"triu", "x[2,3,3]", "k=2", .reference = ref_triu},
    {"triu", "x[1,0]", "", .reference = ref_triu},
    {"tril", "x[3]", "", .error = ERROR_shape},
    {"diagonal", "x[3,4]", "", .reference = ref_diagonal},
    {"diagonal", "x[2,4,3]", "offset=-2", .reference = ref_diagonal},
    {"diagonal", "x[3,4]", "offset=3", .reference = ref_diagonal},
    {"diagonal", "x[1,0]", "", .reference = ref_diagonal},
    {"diagonal", "x[3]", "", .error = ERROR_shape},
    {"diag_embed", "x[3]", "", .reference = ref_diag_embed},
    {"diag_embed", "x[2,3]", "offset=-1", .reference = ref_diag_embed},
    {"diag_embed", "x[3]", "offset=1, rows=3, columns=5", .reference = ref_diag_embed},
    {"diag_embed", "x[1,0]", "", .reference = ref_diag_embed},
    {"diag", "x[3]", "", .reference = ref_diag},
    {"diag", "x[3]", "offset=-2", .reference = ref_diag},
    {"diag", "x[3,4]", "offset=1", .reference = ref_diag},
    {"diag", "x[0]", "", .reference = ref_diag},
    {"diag", "x[1,1]", "", .reference = ref_diag},
    {"one_hot", "i64[3,2](0,3)", "classes=4", .reference = ref_one_hot},
    {"one_hot", "u8[3](0,3)", "classes=4", .reference = ref_one_hot},
    {"one_hot", "i32[0,1](0,3)", "classes=4", .reference = ref_one_hot},
    {"one_hot", "i64[3](4,5)", "classes=4", .error = ERROR_index},
    {"one_hot", "i64[3](-2,-1)", "classes=4", .error = ERROR_index},
    {"one_hot", "f32[3]", "classes=4", .error = ERROR_dtype},
    {"to", "x[3,4](-3,3)", "dtype=f64", .reference = ref_to},
    {"to", "x[3,4](-3,3)", "dtype=f32", .reference = ref_to, .no_grad = true /* rounding: no smooth differences */},
    {"to", "x[3,4](-3,3)", "dtype=i64", .reference = ref_to},
    {"to", "x[3,4](-3,3)", "dtype=i32", .reference = ref_to},
    {"to", "x[3,4](0,3)", "dtype=u8", .reference = ref_to},
    {"to", "x[3,4](-3,3)", "dtype=bool", .reference = ref_to},
    {"to", "x[0,1]", "dtype=f32", .reference = ref_to},
    {"to", "x[300,333]", "dtype=f64", .reference = ref_to, .big = true},
    {"contiguous", "x[3,4]", "", .reference = ref_same},
    {"contiguous", "x[1]", "", .reference = ref_same},
    {"contiguous", "x[0,1]", "", .reference = ref_same},
    {"stop_grad", "x[3,4]", "", .reference = ref_same},
    {"stop_grad", "x[1]", "", .reference = ref_same},
    {"stop_grad", "x[0,1]", "", .reference = ref_same},
    {"concat", "x[300,100] x[300,233]", "axis=1", .reference = ref_concat, .big = true},
    {"permute", "x[37,41,29]", "axes=(2,0,1)", .reference = ref_permute, .big = true},
    {"roll", "x[300,333]", "shift=(7,-11), axis=(0,1)", .reference = ref_roll, .big = true},
    {"pad", "x[2,3,90,91]", "widths=(2,2,2,2)", .reference = ref_pad, .big = true},
    {0},
};
