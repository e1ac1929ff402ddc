/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ops on f16 and bf16: their inputs become f32, the op runs, and its floats are rounded back. The three steps are ops
   themselves, so gradients of any order follow. Views and casts do not come here: they move bytes. */
#include "core.h"

bool op_takes_halves(const OpDef *def, int n_in, Tensor *const *in, const Attr *attr)
{
    if (def->view)
        return false;
    for (int i = 0; i < n_in; i++)
        if (in[i] && dtype_is_half((Dtype)in[i]->dtype))
            return true;
    int at = op_dtype_attr(def);
    return at >= 0 && !attr[at].none && dtype_is_half(attr[at].dtype);
}

/* What the results become: the dtype asked for, or the one half dtype of all float tensors, else f32. */
static Dtype result_dtype(const OpDef *def, int n_in, Tensor *const *in, const Attr *attr)
{
    int at = op_dtype_attr(def);
    if (at >= 0 && !attr[at].none)
        return attr[at].dtype;
    Dtype found = DTYPE_f32;
    for (int i = 0; i < n_in; i++) {
        if (!in[i] || in[i]->weak || dtype_class((Dtype)in[i]->dtype) != CLASS_FLOAT)
            continue;
        if (def->shape == shape_same)            /* the first decides */
            return (Dtype)in[i]->dtype;
        if (!dtype_is_half((Dtype)in[i]->dtype) || (found != DTYPE_f32 && found != (Dtype)in[i]->dtype))
            return DTYPE_f32;
        found = (Dtype)in[i]->dtype;
    }
    return found;
}

/* In a comparison a plain number counts as the half float that it would be stored as. */
static Tensor *widened(Scope *s, const OpDef *def, Tensor *x, Dtype dtype)
{
    if (x && dtype_is_half((Dtype)x->dtype))
        return s_cast(s, x, DTYPE_f32);
    if (x && x->weak && x->dtype == DTYPE_f64 && def->element == ELEMENT_TEST)
        return s_const(s, dtype_round(dtype, x->scalar.f));
    return x;
}

static bool run_wide(Scope *s, const OpDef *def, Dtype dtype, int n_in, Tensor *const *in, Tensor **wide,
                     const Attr *attr, Tensor **out, int *n_out)
{
    for (int i = 0; i < n_in; i++) {
        wide[i] = widened(s, def, in[i], dtype);
        if (in[i] && !wide[i])
            return false;
    }
    Attr asked[OP_MAX_ATTRS];
    int at = op_dtype_attr(def);
    if (at >= 0) {
        unsigned strings;
        for (int i = 0, count = op_attr_count(def, &strings); i < count; i++)
            asked[i] = attr[i];
        if (!asked[at].none && dtype_is_half(asked[at].dtype))
            asked[at].dtype = DTYPE_f32;
        attr = asked;
    }
    bool narrow = s->ctx->narrow, product = def == op_def(OP_matmul) || def == op_def(OP_linear);
    s->ctx->narrow = narrow || (dtype == DTYPE_bf16 && product);    /* what is bf16 already loses nothing by it */
    bool done = op_call(s->ctx, def, n_in, wide, attr, out, n_out);
    s->ctx->narrow = narrow;
    return done;
}

/* The error of the f32 run shows f32 tensors; the user's are half. */
static void name_halves(Error *error, Tensor *const *in, int n_in)
{
    for (int i = 0; i < error->n_operands; i++) {
        ErrorOperand *operand = &error->operand[i];
        if (operand->input >= 0 && operand->input < n_in && in[operand->input])
            tensor_type_name(in[operand->input], operand->type, sizeof operand->type);
    }
}

static bool narrow_results(Scope *s, Dtype dtype, Tensor **out, int n_out)
{
    for (int i = 0; i < n_out; i++) {
        if (!dtype_is_half(dtype) || out[i]->dtype != DTYPE_f32)
            continue;
        Tensor *narrow = s_cast(s, out[i], dtype);
        if (!narrow)
            return false;
        tensor_slot(&out[i], tensor_retain(narrow));
    }
    return true;
}

bool op_call_widened(TensorContext *ctx, const OpDef *def, int n_in, Tensor *const *in, const Attr *attr, Tensor **out,
                     int *n_out)
{
    Scope s;
    Dtype dtype = result_dtype(def, n_in, in, attr);
    size_t bytes = (size_t)(n_in > 0 ? n_in : 1) * sizeof(Tensor *);
    Tensor **wide = block_take(bytes);
    if (!wide)
        return error_set(&ctx->error, ERROR_memory, def->name, "no memory is left for its inputs");
    scope_init(&s, ctx);
    *n_out = 0;
    bool ok = run_wide(&s, def, dtype, n_in, in, wide, attr, out, n_out) && narrow_results(&s, dtype, out, *n_out);
    if (!ok) {
        for (int i = 0; i < *n_out; i++)
            tensor_slot(&out[i], NULL);
        name_halves(&ctx->error, in, n_in);
    }
    scope_clear(&s);
    block_give(wide, bytes);
    return ok;
}
