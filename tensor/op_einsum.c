/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of products by a pattern such as "b i k, b k j -> b i j" or "bik,bkj->bij". The cheapest pair of
   operands is contracted until one is left; each step is a batched matrix product of permuted and reshaped views.

   An axis is a letter, or a name where blanks stand between names. Invariant: during the contraction every operand
   carries each of its axes once. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "op.h"

#define LABELS_MOST 48
#define LABEL_ROOM 24

/* A tensor with labelled axes. */
typedef struct Term {
    Tensor *x;                /* borrowed */
    int n;
    int label[TENSOR_MAX_DIMS];
} Term;

typedef struct Einsum {
    OpCall *call;
    Scope *s;
    const char *text;
    bool words;               /* axes are words, not letters */
    int n_labels;
    char name[LABELS_MOST][LABEL_ROOM];
    int64_t size[LABELS_MOST];
    int dots[TENSOR_MAX_DIMS], n_dots;   /* labels of `...`, aligned at the end */
} Einsum;

static bool is_name(char c) { return isalpha((unsigned char)c) || c == '_' || (c & 0x80); }

/* The label of a name, made when new; -1 when there are too many. */
static int label_of(Einsum *e, const char *name, size_t length)
{
    for (int i = 0; i < e->n_labels; i++)
        if (strlen(e->name[i]) == length && memcmp(e->name[i], name, length) == 0)
            return i;
    if (e->n_labels == LABELS_MOST || length >= LABEL_ROOM)
        return op_error(e->call, ERROR_value, "\"%s\": too many axes or too long a name", e->text) - 1;
    memcpy(e->name[e->n_labels], name, length);
    e->name[e->n_labels][length] = '\0';
    e->size[e->n_labels] = -1;
    return e->n_labels++;
}

/* Reads labels up to [end]; `...` becomes -1. */
static bool read_labels(Einsum *e, const char *at, const char *end, int *label, int *n)
{
    *n = 0;
    while (at < end) {
        size_t length = 1;
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        if (*n > TENSOR_MAX_DIMS)
            return op_error(e->call, ERROR_value, "\"%s\" names more than %d axes of one tensor", e->text,
                            TENSOR_MAX_DIMS);
        if (end - at >= 3 && strncmp(at, "...", 3) == 0) {
            label[(*n)++] = -1;
            at += 3;
            continue;
        }
        if (!is_name(*at))
            return op_error(e->call, ERROR_value, "\"%s\": \"%c\" has no place in a pattern", e->text, *at);
        while (e->words && at + length < end && (is_name(at[length]) || isdigit((unsigned char)at[length])))
            length++;
        if ((label[(*n)++] = label_of(e, at, length)) < 0)
            return false;
        at += length;
    }
    return true;
}

static bool set_size(Einsum *e, int label, int64_t size)
{
    if (e->size[label] == -1 || e->size[label] == 1 || size == 1 || e->size[label] == size) {
        if (size != 1 || e->size[label] == -1)
            e->size[label] = size;
        return true;
    }
    return op_error(e->call, ERROR_shape, "\"%s\": axis \"%s\" has sizes %lld and %lld", e->text, e->name[label],
                    (long long)e->size[label], (long long)size);
}

/* The labels of operand x, `...` written out; sizes noted. */
static bool read_term(Einsum *e, Tensor *x, const char *at, const char *end, Term *term)
{
    int label[TENSOR_MAX_DIMS + 1], n;
    if (!read_labels(e, at, end, label, &n))
        return false;
    int dots = -1;
    for (int i = 0; i < n; i++) {
        if (label[i] == -1 && dots >= 0)
            return op_error(e->call, ERROR_value, "\"%s\" has `...` twice in one term", e->text);
        if (label[i] == -1)
            dots = i;
    }
    int rest = x->ndim - (n - (dots >= 0));
    if (rest < 0 || (rest > 0 && dots < 0))
        return op_error(e->call, ERROR_shape, "\"%s\": \"%.*s\" names %d axes, the tensor has %d", e->text,
                        (int)(end - at), at, n - (dots >= 0), x->ndim);
    *term = (Term){.x = x};
    for (int i = 0; i < n; i++) {
        if (i != dots) {
            term->label[term->n++] = label[i];
            continue;
        }
        for (int j = 0; j < rest; j++) {
            char name[LABEL_ROOM];
            int back = rest - j, made = label_of(e, name, (size_t)snprintf(name, sizeof name, ".%d", back));
            if (made < 0)
                return false;
            if (back > e->n_dots)
                e->n_dots = back;
            e->dots[TENSOR_MAX_DIMS - back] = made;
            term->label[term->n++] = made;
        }
    }
    for (int d = 0; d < x->ndim; d++)
        if (!set_size(e, term->label[d], x->shape[d]))
            return false;
    return true;
}

/* The labels of the result: those on the right, or else all that occur once, in alphabetical order, after `...`. */
static bool read_result(Einsum *e, const char *arrow, const Term *terms, int n_terms, Term *result)
{
    int label[TENSOR_MAX_DIMS + 1], n = 0, count[LABELS_MOST] = {0};
    *result = (Term){0};
    if (arrow) {
        if (!read_labels(e, arrow + 2, arrow + strlen(arrow), label, &n))
            return false;
    } else {
        label[n++] = -1;
        for (int t = 0; t < n_terms; t++)
            for (int d = 0; d < terms[t].n; d++)
                count[terms[t].label[d]]++;
        for (int i = 0; i < e->n_labels; i++) {
            if (count[i] != 1 || e->name[i][0] == '.')
                continue;
            if (n > TENSOR_MAX_DIMS)
                return op_error(e->call, ERROR_shape, "\"%s\" gives more than %d axes", e->text, TENSOR_MAX_DIMS);
            int at = n++;
            for (; at > 1 && strcmp(e->name[label[at - 1]], e->name[i]) > 0; at--)
                label[at] = label[at - 1];
            label[at] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        int first = label[i] == -1 ? TENSOR_MAX_DIMS - e->n_dots : 0, last = label[i] == -1 ? TENSOR_MAX_DIMS : 1;
        for (int j = first; j < last; j++) {
            int made = label[i] == -1 ? e->dots[j] : label[i];
            if (result->n == TENSOR_MAX_DIMS)
                return op_error(e->call, ERROR_shape, "\"%s\" gives more than %d axes", e->text, TENSOR_MAX_DIMS);
            if (e->size[made] == -1)
                return op_error(e->call, ERROR_value, "\"%s\": axis \"%s\" is only in the result", e->text,
                                e->name[made]);
            for (int k = 0; k < result->n; k++)
                if (result->label[k] == made)
                    return op_error(e->call, ERROR_value, "\"%s\": axis \"%s\" is twice in the result", e->text,
                                    e->name[made]);
            result->label[result->n++] = made;
        }
    }
    return true;
}

/* ---- contraction ---- */

static int place_of(const Term *t, int label)
{
    for (int d = 0; d < t->n; d++)
        if (t->label[d] == label)
            return d;
    return -1;
}

/* Takes the diagonal of axes with one label, until each label is there once. */
static void merge_repeats(Einsum *e, Term *t)
{
    for (int a = 0; a < t->n; a++)
        for (int b = a + 1; b < t->n && t->x; b++) {
            if (t->label[a] != t->label[b])
                continue;
            int order[TENSOR_MAX_DIMS], n = 0, label = t->label[a];
            Term merged = {.n = 0};
            if (t->x->shape[a] != t->x->shape[b]) {                /* one of them has size 1 */
                int64_t shape[TENSOR_MAX_DIMS];
                memcpy(shape, t->x->shape, sizeof shape);
                shape[a] = shape[b] = e->size[label];
                t->x = s_expand(e->s, t->x, t->n, shape);
            }
            for (int d = 0; d < t->n; d++) {
                if (d == a || d == b)
                    continue;
                merged.label[merged.n++] = t->label[d];
                order[n++] = d;
            }
            order[n++] = a;
            order[n] = b;
            Attr last[3] = {attr_int(0), attr_int(-2), attr_int(-1)};
            Tensor *moved = s_permute(e->s, t->x, order);
            merged.x = moved ? s_op(e->s, OP_diagonal, 1, &moved, last, 0) : NULL;
            merged.label[merged.n++] = label;
            *t = merged;
            a = -1;
            break;
        }
}

/* Sums the axes of t that nobody needs any more. */
static void drop_axes(Einsum *e, Term *t, const bool needed[LABELS_MOST])
{
    bool axes[TENSOR_MAX_DIMS] = {false};
    Term left = {.n = 0};
    for (int d = 0; d < t->n; d++) {
        axes[d] = !needed[t->label[d]];
        if (!axes[d])
            left.label[left.n++] = t->label[d];
    }
    left.x = left.n < t->n ? s_sum(e->s, t->x, axes, false) : t->x;
    *t = left;
}

/* t with its axes as [labels], stretched where [stretch] says, reshaped to three groups of n[0], n[1] and n[2] axes. */
static Tensor *grouped(Einsum *e, const Term *t, const int *labels, const int n[3])
{
    int order[TENSOR_MAX_DIMS] = {0}, total = n[0] + n[1] + n[2];
    int64_t shape[TENSOR_MAX_DIMS], three[3] = {1, 1, 1};
    for (int i = 0; i < total; i++) {
        order[i] = place_of(t, labels[i]);
        shape[i] = e->size[labels[i]];
        three[i < n[0] ? 0 : i < n[0] + n[1] ? 1 : 2] *= shape[i];
    }
    Tensor *x = s_permute(e->s, t->x, order);
    bool stretch = false;
    for (int i = 0; x && i < total; i++)
        stretch = stretch || x->shape[i] != shape[i];
    if (stretch)
        x = s_expand(e->s, x, total, shape);
    return s_reshape(e->s, x, 3, three);
}

/* a b summed over what is in both and not needed later. */
static bool contract(Einsum *e, const Term *a, const Term *b, const bool needed[LABELS_MOST], Term *out)
{
    int left[TENSOR_MAX_DIMS * 3], right[TENSOR_MAX_DIMS * 3], batch[TENSOR_MAX_DIMS], rows[TENSOR_MAX_DIMS];
    int inner[TENSOR_MAX_DIMS], columns[TENSOR_MAX_DIMS], n_batch = 0, n_rows = 0, n_inner = 0, n_columns = 0;
    for (int d = 0; d < a->n; d++) {
        int label = a->label[d];
        if (place_of(b, label) < 0) rows[n_rows++] = label;
        else if (needed[label]) batch[n_batch++] = label;
        else inner[n_inner++] = label;
    }
    for (int d = 0; d < b->n; d++)
        if (place_of(a, b->label[d]) < 0)
            columns[n_columns++] = b->label[d];
    if (n_batch + n_rows + n_columns > TENSOR_MAX_DIMS)
        return op_error(e->call, ERROR_shape, "\"%s\" needs more than %d axes on the way", e->text, TENSOR_MAX_DIMS);
    int n = 0, m = 0;
    *out = (Term){.n = 0};
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < n_batch; i++) left[n++] = right[m++] = out->label[out->n++] = batch[i];
    for (int i = 0; i < n_rows; i++) left[n++] = out->label[out->n++] = rows[i];
    for (int i = 0; i < n_inner; i++) left[n++] = right[m++] = inner[i];
    for (int i = 0; i < n_columns; i++) right[m++] = out->label[out->n++] = columns[i];
    Tensor *x = grouped(e, a, left, (int[3]){n_batch, n_rows, n_inner});
    Tensor *y = grouped(e, b, right, (int[3]){n_batch, n_inner, n_columns});
    for (int i = 0; i < out->n; i++)
        shape[i] = e->size[out->label[i]];
    out->x = s_reshape(e->s, s_matmul(e->s, x, y), out->n, shape);
    return out->x != NULL;
}

/* The axes that the result or a term other than [a] and [b] has. */
static void find_needed(const Term *terms, int n_terms, int a, int b, const Term *result, bool needed[LABELS_MOST])
{
    memset(needed, 0, LABELS_MOST * sizeof *needed);
    for (int i = 0; i < result->n; i++) needed[result->label[i]] = true;
    for (int t = 0; t < n_terms; t++)
        for (int d = 0; t != a && t != b && d < terms[t].n; d++) needed[terms[t].label[d]] = true;
}

/* Multiplications that contracting two terms takes. */
static double cost_of(const Einsum *e, const Term *a, const Term *b)
{
    double cost = 1.0;
    for (int d = 0; d < a->n; d++) cost *= (double)e->size[a->label[d]];
    for (int d = 0; d < b->n; d++)
        if (place_of(a, b->label[d]) < 0) cost *= (double)e->size[b->label[d]];
    return cost;
}

/* Contracts the cheapest pair of terms, the first of several, until one is left. */
static bool contract_pairs(Einsum *e, Term *terms, int n_terms, const Term *result)
{
    bool needed[LABELS_MOST];
    for (; n_terms > 1; n_terms--) {
        int first = 0, second = 1;
        for (int i = 0; i < n_terms; i++)
            for (int j = i + 1; j < n_terms; j++)
                if (cost_of(e, &terms[i], &terms[j]) < cost_of(e, &terms[first], &terms[second])) {
                    first = i;
                    second = j;
                }
        Term made;
        find_needed(terms, n_terms, first, second, result, needed);
        if (!contract(e, &terms[first], &terms[second], needed, &made)) return false;
        terms[first] = made;
        memmove(&terms[second], &terms[second + 1], (size_t)(n_terms - second - 1) * sizeof *terms);
    }
    return true;
}

/* Contracts all terms and orders the result's axes. */
static Tensor *contract_all(Einsum *e, Term *terms, int n_terms, const Term *result)
{
    bool needed[LABELS_MOST];
    for (int t = 0; t < n_terms; t++) {
        find_needed(terms, n_terms, t, t, result, needed);
        merge_repeats(e, &terms[t]);
        if (terms[t].x) drop_axes(e, &terms[t], needed);
        if (!terms[t].x) return NULL;
    }
    if (!contract_pairs(e, terms, n_terms, result)) return NULL;
    Term sum = terms[0];
    int order[TENSOR_MAX_DIMS];
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < result->n; i++) {
        order[i] = place_of(&sum, result->label[i]);
        shape[i] = e->size[result->label[i]];
    }
    Tensor *y = s_permute(e->s, sum.x, order);
    for (int i = 0; y && i < result->n; i++)
        if (y->shape[i] != shape[i])
            y = s_expand(e->s, y, result->n, shape);
    return y;
}

/* Whether axes are words: some term has a blank between two names. */
static bool has_words(const char *text)
{
    for (const char *at = text; *at; at++) {
        const char *next = at + 1;
        while (isspace((unsigned char)*next))
            next++;
        if ((is_name(*at) || isdigit((unsigned char)*at)) && next > at + 1 && is_name(*next))
            return true;
    }
    return false;
}

static Tensor *einsum(Einsum *e)
{
    OpCall *call = e->call;
    const char *arrow = strstr(e->text, "->"), *end = arrow ? arrow : e->text + strlen(e->text), *at = e->text;
    Term terms[OP_MAX_IN], result;
    if (call->n_in < 1 || call->n_in > OP_MAX_IN) {
        op_error(call, ERROR_value, "it takes 1 to %d tensors, not %d", OP_MAX_IN, call->n_in);
        return NULL;
    }
    for (int t = 0; t < call->n_in; t++) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        if ((t < call->n_in - 1) != (comma != NULL)) {
            op_error(call, ERROR_value, "\"%s\" does not have one term for each of %d tensors", e->text, call->n_in);
            return NULL;
        }
        if (!read_term(e, call->in[t], at, stop, &terms[t]))
            return NULL;
        at = stop + 1;
    }
    return read_result(e, arrow, terms, call->n_in, &result) ? contract_all(e, terms, call->n_in, &result) : NULL;
}

bool einsum_run(OpCall *call)
{
    Scope s;
    scope_init(&s, call->ctx);
    Einsum e = {.call = call, .s = &s, .text = call->attr[0].str};
    e.words = has_words(e.text);
    call->out[0] = tensor_retain(einsum(&e));
    scope_clear(&s);
    return call->out[0] != NULL;
}
