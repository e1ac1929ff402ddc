/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the rows that choose, add or replace elements by index or mask. */
#include "ops_test.h"

/* ---- index, index_add, index_put: index tensors for some axes in a row ---- */

/* The broadcast shape of the index tensors from input [first] on. */
static void index_shape(const Ref *r, int first, Array *shape)
{
    *shape = (Array){.size = 1};
    for (int k = first; k < r->n_in; k++)
        if (r->in[k]->ndim > shape->ndim)
            shape->ndim = r->in[k]->ndim;
    for (int i = 0; i < shape->ndim; i++) {
        shape->shape[i] = 1;
        for (int k = first; k < r->n_in; k++) {
            int at = i - (shape->ndim - r->in[k]->ndim);
            if (at >= 0 && r->in[k]->shape[at] != 1)
                shape->shape[i] = r->in[k]->shape[at];
        }
        shape->size *= shape->shape[i];
    }
}

/* The place in a tensor of [sizes] that [place], in the indexed view of it, means. */
static void indexed_place(const Ref *r, int first, int axis, const Array *by, const int64_t *sizes, int ndim,
                          const int64_t *place, int64_t *to)
{
    int count = r->n_in - first;
    int64_t at = 0;
    for (int i = 0; i < by->ndim; i++)
        at = at * by->shape[i] + place[axis + i];
    for (int i = 0; i < ndim; i++) {
        if (i < axis)
            to[i] = place[i];
        else if (i < axis + count) {
            to[i] = (int64_t)ref_broadcast(r->in[first + i - axis], by, at);
            to[i] += to[i] < 0 ? sizes[i] : 0;
        } else {
            to[i] = place[i - count + by->ndim];
        }
    }
}

/* The shape of x[..., indices, ...]. */
static int view_shape(const Ref *r, int first, int axis, const Array *by, const Array *x, int64_t *shape)
{
    int n = 0, count = r->n_in - first;
    for (int i = 0; i < axis; i++)
        shape[n++] = x->shape[i];
    for (int i = 0; i < by->ndim; i++)
        shape[n++] = by->shape[i];
    for (int i = axis + count; i < x->ndim; i++)
        shape[n++] = x->shape[i];
    return n;
}

static void ref_index_op(Ref *r)
{
    const Array *x = r->in[0];
    Array by;
    int axis = ref_axis(r, "first_axis", x->ndim);
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], from[TENSOR_MAX_DIMS];
    index_shape(r, 1, &by);
    int n = view_shape(r, 1, axis, &by, x, shape);
    double *v = ref_out(r, x->dtype, n, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        indexed_place(r, 1, axis, &by, x->shape, x->ndim, place, from);
        v[i] = x->v[ref_index(x, from)];
    }
}

static void ref_index_add(Ref *r)
{
    const Array *rows = r->in[0];
    Array by;
    int axis = (int)ref_int(r, "first_axis"), n = 0;
    int64_t shape[TENSOR_MAX_DIMS], sizes[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], to[TENSOR_MAX_DIMS];
    int count = ref_ints(r, "sizes", sizes);
    index_shape(r, 1, &by);
    for (int i = 0; i < axis; i++)
        shape[n++] = rows->shape[i];
    for (int i = 0; i < count; i++)
        shape[n++] = sizes[i];
    for (int i = axis + by.ndim; i < rows->ndim; i++)
        shape[n++] = rows->shape[i];
    double *v = ref_out(r, rows->dtype, n, shape);
    for (int64_t i = 0; i < rows->size; i++) {
        ref_place(rows, i, place);
        indexed_place(r, 1, axis, &by, shape, n, place, to);
        v[ref_index(&r->out[0], to)] += rows->v[i];
    }
}

static void ref_index_put(Ref *r)
{
    const Array *x = r->in[0];
    Array by, view = {.size = 1};
    int axis = ref_axis(r, "first_axis", x->ndim);
    int64_t place[TENSOR_MAX_DIMS], to[TENSOR_MAX_DIMS];
    index_shape(r, 2, &by);
    view.ndim = view_shape(r, 2, axis, &by, x, view.shape);
    for (int i = 0; i < view.ndim; i++)
        view.size *= view.shape[i];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++)
        v[i] = x->v[i];
    for (int64_t i = 0; i < view.size; i++) {
        ref_place(&view, i, place);
        indexed_place(r, 2, axis, &by, x->shape, x->ndim, place, to);
        double value = ref_broadcast(r->in[1], &view, i), *at = &v[ref_index(x, to)];
        *at = ref_bool(r, "accumulate") ? *at + value : value;
    }
}

/* ---- along one axis ---- */

static void select_axis(Ref *r, int axis, const Array *index)
{
    const Array *x = r->in[0];
    int64_t shape[TENSOR_MAX_DIMS], place[TENSOR_MAX_DIMS], from[TENSOR_MAX_DIMS];
    int n = 0;
    for (int i = 0; i < axis; i++)
        shape[n++] = x->shape[i];
    for (int i = 0; i < index->ndim; i++)
        shape[n++] = index->shape[i];
    for (int i = axis + 1; i < x->ndim; i++)
        shape[n++] = x->shape[i];
    double *v = ref_out(r, x->dtype, n, shape);
    for (int64_t i = 0; i < r->out[0].size; i++) {
        ref_place(&r->out[0], i, place);
        for (int k = 0; k < axis; k++)
            from[k] = place[k];
        from[axis] = (int64_t)index->v[ref_index(index, place + axis)];
        from[axis] += from[axis] < 0 ? x->shape[axis] : 0;
        for (int k = axis + 1; k < x->ndim; k++)
            from[k] = place[k - 1 + index->ndim];
        v[i] = x->v[ref_index(x, from)];
    }
}

static void ref_index_select(Ref *r) { select_axis(r, ref_axis(r, "axis", r->in[0]->ndim), r->in[1]); }
static void ref_embedding(Ref *r) { select_axis(r, 0, r->in[1]); }

static void ref_gather(Ref *r)
{
    const Array *x = r->in[0], *index = r->in[1];
    int axis = ref_axis(r, "axis", x->ndim);
    int64_t place[TENSOR_MAX_DIMS];
    double *v = ref_like(r, x->dtype, index);
    for (int64_t i = 0; i < index->size; i++) {
        ref_place(index, i, place);
        place[axis] = (int64_t)index->v[i] + (index->v[i] < 0 ? x->shape[axis] : 0);
        v[i] = x->v[ref_index(x, place)];
    }
}

/* ---- masks ---- */

static void ref_masked_fill(Ref *r)
{
    const Array *x = r->in[0];
    double *v = ref_like(r, x->dtype, x);
    for (int64_t i = 0; i < x->size; i++)
        v[i] = ref_broadcast(r->in[1], x, i) != 0 ? ref_num(r, "value") : x->v[i];
}

static void ref_masked_select(Ref *r)
{
    const Array *x = r->in[0];
    int64_t count = 0;
    for (int64_t i = 0; i < x->size; i++)
        count += ref_broadcast(r->in[1], x, i) != 0;
    double *v = ref_out(r, x->dtype, 1, &count);
    for (int64_t i = 0; i < x->size; i++)
        if (ref_broadcast(r->in[1], x, i) != 0)
            *v++ = x->v[i];
}

static void ref_nonzero(Ref *r)
{
    const Array *x = r->in[0];
    int64_t shape[2] = {0, x->ndim}, place[TENSOR_MAX_DIMS];
    for (int64_t i = 0; i < x->size; i++)
        shape[0] += x->v[i] != 0;
    double *v = ref_out(r, DTYPE_i64, 2, shape);
    for (int64_t i = 0; i < x->size; i++)
        if (x->v[i] != 0) {
            ref_place(x, i, place);
            for (int k = 0; k < x->ndim; k++)
                *v++ = (double)place[k];
        }
}

#define ACCUMULATES "i32 i64 f32 f64"     /* sums of bools and u8 are not asked for here */

const Case cases_index[] = {
    {"index", "x[5,3] i64[4](0,4)", "", .reference = ref_index_op},
    {"index", "x[5,3] i64[2,2](-5,4)", "", .reference = ref_index_op},
    {"index", "x[5,3] i64[4](0,4) i32[4](0,2)", "", .reference = ref_index_op},
    {"index", "x[5,3] i64[4,1](0,4) i64[2](0,2)", "", .reference = ref_index_op},
    {"index", "x[2,4,3] i64[5](0,3)", "first_axis=1", .reference = ref_index_op},
    {"index", "x[2,4,3] i64[2,2](0,3) i64[](0,2)", "first_axis=1", .reference = ref_index_op},
    {"index", "x[5,3] i64[0](0,4)", "", .reference = ref_index_op},
    {"index", "x[1,0] i64[1](0,0)", "", .reference = ref_index_op},
    {"index", "x[5] i64[1](5,5)", "", .error = ERROR_index},
    {"index", "x[5] i64[1](-6,-6)", "", .error = ERROR_index},
    {"index", "x[5] f32[1](1,2)", "", .error = ERROR_dtype},
    {"index", "x[5] i64[2](0,1) i64[2](0,1)", "", .error = ERROR_index},
    {"index", "x[5,3] i64[2](0,1) i64[3](0,1)", "", .error = ERROR_shape},
    {"index", "x[900,111] i64[2000](0,899)", "", .reference = ref_index_op, .big = true},
    {"index_add", "x[4,3] i64[4](0,4)", "first_axis=0, sizes=5", .reference = ref_index_add, .only = ACCUMULATES},
    {"index_add", "x[4] i64[4](0,4) i64[4](0,2)", "first_axis=0, sizes=(5,3)", .reference = ref_index_add,
     .only = ACCUMULATES},
    {"index_add", "x[2,4,3] i64[4](0,4)", "first_axis=1, sizes=5", .reference = ref_index_add, .only = ACCUMULATES},
    {"index_add", "x[0,1] i64[0](0,4)", "first_axis=0, sizes=5", .reference = ref_index_add, .only = ACCUMULATES},
    {"index_add", "x[1] i64[1](5,5)", "first_axis=0, sizes=5", .error = ERROR_index},
    {"index_add", "x[2000,111] i64[2000](0,899)", "first_axis=0, sizes=900", .reference = ref_index_add, .big = true,
     .loose = 10},
    {"index_put", "x[5,3] x[2,3] i64[2](0,4)", "", .reference = ref_index_put},
    {"index_put", "x[5,3] x[3] i64[4](0,4)", "", .reference = ref_index_put},
    {"index_put", "x[5,3] x[] i64[4](0,4) i64[4](0,2)", "", .reference = ref_index_put},
    {"index_put", "x[5,3] x[6,3] i64[6](0,4)", "", .reference = ref_index_put},
    {"index_put", "x[5,3] x[6,3] i64[6](0,4)", "accumulate=true", .reference = ref_index_put, .only = ACCUMULATES},
    {"index_put", "x[2,4] x[2,3] i64[3](0,3)", "first_axis=1, accumulate=true", .reference = ref_index_put,
     .only = ACCUMULATES},
    {"index_put", "x[1,0] x[0] i64[1](0,0)", "", .reference = ref_index_put},
    {"index_put", "x[5] x[3] i64[2](0,4)", "", .error = ERROR_shape},
    {"index_select", "x[5,3] i64[4](0,4)", "axis=0", .reference = ref_index_select},
    {"index_select", "x[5,3] i32[2,2](-3,2)", "axis=-1", .reference = ref_index_select},
    {"index_select", "x[5,3] i64[](0,4)", "axis=0", .reference = ref_index_select},
    {"index_select", "x[5,1] i64[0](0,4)", "axis=0", .reference = ref_index_select},
    {"index_select", "x[5] i64[1](7,7)", "axis=0", .error = ERROR_index},
    {"index_select", "x[5] i64[1](0,0)", "axis=1", .error = ERROR_index},
    {"embedding", "x[5,3] i64[4](0,4)", "", .reference = ref_embedding},
    {"embedding", "x[5,3] u8[2,2](0,4)", "", .reference = ref_embedding},
    {"embedding", "x[5,1] i64[0,2](0,4)", "", .reference = ref_embedding},
    {"embedding", "x[5,3] i64[1](9,9)", "", .error = ERROR_index},
    {"gather", "x[5,3] i64[5,2](0,2)", "axis=1", .reference = ref_gather},
    {"gather", "x[5,3] i64[2,3](-5,4)", "axis=0", .reference = ref_gather},
    {"gather", "x[5,1] i64[0,1](0,4)", "axis=0", .reference = ref_gather},
    {"gather", "x[5,3] i64[5](0,2)", "axis=0", .error = ERROR_shape},
    {"gather", "x[5] i64[1](5,5)", "axis=0", .error = ERROR_index},
    {"masked_fill", "x[3,4] bool[3,4]", "value=1", .reference = ref_masked_fill},
    {"masked_fill", "x[2,3,4] bool[3,1]", "value=0", .reference = ref_masked_fill},
    {"masked_fill", "x[0,1] bool[1]", "value=1", .reference = ref_masked_fill},
    {"masked_fill", "x[3] bool[2,3]", "value=0", .error = ERROR_shape},
    {"masked_fill", "x[3] i64[3]", "value=0", .error = ERROR_dtype},
    {"masked_fill", "x[300,333] bool[333]", "value=1", .reference = ref_masked_fill, .big = true},
    {"masked_select", "x[3,4] bool[3,4]", "", .reference = ref_masked_select},
    {"masked_select", "x[3,4] bool[4]", "", .reference = ref_masked_select},
    {"masked_select", "x[0,1] bool[0,1]", "", .reference = ref_masked_select},
    {"masked_select", "x[3] f32[3]", "", .error = ERROR_dtype},
    {"nonzero", "bool[3,4]", "", .reference = ref_nonzero},
    {"nonzero", "x[9](-2,1)", "", .reference = ref_nonzero},
    {"nonzero", "x[0,1]", "", .reference = ref_nonzero},
    {0},
};
