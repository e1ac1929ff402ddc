/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads a case's inputs and parameters and makes tensors and attributes of them. The values depend on the text of the
   case alone. A mistake in a case ends the test program: it is ours. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops_test.h"

static void bad_case(const Case *test, const char *why)
{
    fprintf(stderr, "bad case of %s (%s | %s): %s\n", test->op, test->inputs, test->params, why);
    abort();
}

uint64_t next_random(uint64_t *state)     /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* ---- values ---- */

static void fill_floats(Array *a, double low, double high, uint64_t *state)
{
    double step = (high - low) / (double)(a->size ? a->size : 1);
    for (int64_t i = 0; i < a->size; i++)
        a->v[i] = low + step * ((double)i + 0.3 + 0.4 * (double)(next_random(state) >> 11) * 0x1p-53);
    for (int64_t i = a->size - 1; i > 0; i--) {
        int64_t j = (int64_t)(next_random(state) % (uint64_t)(i + 1));
        double t = a->v[i];
        a->v[i] = a->v[j];
        a->v[j] = t;
    }
    double gap = step / 4 < 0.02 ? step / 4 : 0.02;
    for (int64_t i = 0; i < a->size; i++)
        if (fabs(a->v[i]) < gap && low < 0)
            a->v[i] = gap;
}

static bool fill_ints(Array *a, double low, double high, uint64_t *state)
{
    double most = a->dtype == DTYPE_bool ? 1 : a->dtype == DTYPE_u8 ? 255 : 1e9;
    low = ceil(low);
    high = floor(high);
    if (a->dtype <= DTYPE_u8 && low < 0)
        low = 0;
    if (high > most)
        high = most;
    for (int64_t i = 0; i < a->size; i++)
        a->v[i] = low + (double)(next_random(state) % (uint64_t)(high >= low ? high - low + 1 : 1));
    return high >= low || a->size == 0;
}

static Tensor *make_tensor(TensorContext *ctx, Array *a)
{
    Tensor *t = tensor_new(ctx, a->dtype, a->ndim, a->shape);
    if (!t)
        abort();
    for (int64_t i = 0; i < a->size; i++) {
        tensor_store(t, i, a->v[i]);
        a->v[i] = tensor_item(t, i);
    }
    return t;
}

/* ---- inputs ---- */

static const char *parse_shape(const Case *test, const char *at, Array *a)
{
    if (*at++ != '[')
        bad_case(test, "a shape is missing");
    for (a->ndim = 0, a->size = 1; *at != ']'; a->ndim++) {
        char *end;
        a->shape[a->ndim] = strtoll(at, &end, 10);
        if (end == at)
            bad_case(test, "a length is missing");
        a->size *= a->shape[a->ndim];
        at = *end == ',' ? end + 1 : end;
    }
    return at + 1;
}

static const char *parse_range(const Case *test, const char *at, double *low, double *high)
{
    if (*at != '(')
        return at;
    char *end;
    *low = *high = strtod(at + 1, &end);
    if (*end == ',')
        *high = strtod(end + 1, &end);
    if (*end != ')')
        bad_case(test, "a range does not end");
    return end + 1;
}

/* Makes the matrices of the last two axes well conditioned, and definite where they are symmetric. */
static void raise_diagonal(Array *a)
{
    int64_t columns = a->shape[a->ndim - 1], rows = a->shape[a->ndim - 2];
    for (int64_t i = 0; i < a->size; i++)
        if (i / columns % rows == i % columns)
            a->v[i] += 2 * (double)columns;
}

static const char *parse_input(TensorContext *ctx, const Case *test, const char *at, Dtype dtype, Inputs *in,
                               bool *good, uint64_t *state)
{
    int k = in->n++;
    Array *a = &in->array[k];
    char word[8] = "";
    double low = -2, high = 2;
    if (*at == '-')
        return at + 1;
    for (size_t i = 0; i + 1 < sizeof word && ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9')); i++)
        word[i] = *at++;
    if (!strcmp(word, "num") || !strcmp(word, "int")) {
        at = parse_range(test, at, &low, &high);
        a->dtype = word[0] == 'n' ? DTYPE_f64 : DTYPE_i64;
        a->size = 1;
        a->weak = in->constant[k] = true;
        a->v = malloc(sizeof *a->v);
        a->v[0] = low;
        in->tensor[k] = tensor_weak(ctx, word[0] == 'n', low, (int64_t)low);
        return at;
    }
    a->dtype = dtype;
    if (strcmp(word, "x") && !dtype_from_name(word, &a->dtype))
        bad_case(test, "an unknown dtype");
    at = parse_range(test, parse_shape(test, at, a), &low, &high);
    a->v = malloc((size_t)(a->size + 1) * sizeof *a->v);
    if (dtype_class(a->dtype) == CLASS_FLOAT)
        fill_floats(a, low, high, state);
    else
        *good = fill_ints(a, low, high, state) && *good;
    in->constant[k] = dtype_class(a->dtype) != CLASS_FLOAT;
    for (int i = 0; *at && *at != ' '; at++)
        if (*at == '!')
            in->constant[k] = true;
        else if (*at == 'z')
            a->v[i++] = 0;
        else if (*at == 'd')
            raise_diagonal(a);
        else if (*at == 'n' || *at == 'p' || *at == 'm')
            a->v[i++] = *at == 'n' ? (double)NAN : *at == 'p' ? HUGE_VAL : -HUGE_VAL;
        else
            bad_case(test, "an unknown letter behind an input");
    in->tensor[k] = make_tensor(ctx, a);
    return at;
}

/* ---- parameters ---- */

static void parse_ints(const char *at, const char *end, Attr *attr)
{
    attr->ints.count = 0;
    while (at < end) {
        if ((*at >= '0' && *at <= '9') || *at == '-') {
            char *next;
            attr->ints.v[attr->ints.count++] = strtoll(at, &next, 10);
            at = next;
        } else {
            at++;
        }
    }
}

static void parse_value(const Case *test, const Param *p, const char *at, int length, Attr *attr, char text[96])
{
    snprintf(text, 96, "%.*s", length, at);
    if (text[0] == '"' || text[0] == '\'') {
        memmove(text, text + 1, strlen(text));
        text[strcspn(text, "\"'")] = 0;
    }
    attr->none = !strcmp(text, "none");
    if (attr->none)
        return;
    switch (p->kind) {
    case PARAM_int: attr->i = strtoll(text, NULL, 10); break;
    case PARAM_num:
        attr->num = strtod(text, NULL);
        attr->whole = strpbrk(text, ".en") == NULL;
        break;
    case PARAM_bool: attr->b = !strcmp(text, "true"); break;
    case PARAM_str: attr->str = text; break;
    case PARAM_ints: parse_ints(at, at + length, attr); break;
    case PARAM_padding:
        parse_ints(at, at + length, attr);
        if (!strncmp(at, "same", 4))
            attr->ints.count = PADDING_SAME;
        break;
    case PARAM_dtype:
        if (!dtype_from_name(text, &attr->dtype))
            bad_case(test, "an unknown dtype among the parameters");
        break;
    default: bad_case(test, "a parameter of an unknown kind");
    }
}

/* The text behind "name=" up to a comma outside brackets; NULL when the case leaves it out. */
static const char *find_value(const char *params, const char *name, int *length)
{
    size_t n = strlen(name);
    for (const char *at = params; *at;) {
        int depth = 0;
        bool quoted = false;
        const char *end = at;
        for (; *end && (quoted || depth > 0 || *end != ','); end++) {
            quoted = quoted != (*end == '"');
            depth += quoted ? 0 : (*end == '(') - (*end == ')');
        }
        if (!strncmp(at, name, n) && at[n] == '=') {
            *length = (int)(end - at - (ptrdiff_t)n - 1);
            return at + n + 1;
        }
        at = *end ? end + 1 + strspn(end + 1, " ") : end;
    }
    return NULL;
}

static void parse_params(const Case *test, const Signature *signature, Inputs *in)
{
    int count = 0, used = 0;
    for (int i = 0; i < signature->count; i++) {
        const Param *p = &signature->param[i];
        if (p->kind == PARAM_tensor || p->kind == PARAM_tensors)
            continue;
        if (count >= 8)
            bad_case(test, "too many parameters");
        Attr *attr = &in->attr[count];
        int length = 0;
        const char *value = find_value(test->params, p->name, &length);
        used += value != NULL;
        if (!value && p->fallback) {
            value = p->fallback;
            length = p->fallback_length;
        }
        if (value)
            parse_value(test, p, value, length, attr, in->text[count]);
        else if (p->optional)
            attr->none = true;
        else if (!p->rest)
            bad_case(test, "a parameter is missing");
        count++;
    }
    int given = 0;
    bool quoted = false;
    for (const char *c = test->params; *c; c++) {
        quoted = quoted != (*c == '"');
        given += *c == '=' && !quoted;
    }
    if (given != used)
        bad_case(test, "a parameter that the row does not have");
}

bool is_listed(const char *list, Dtype dtype)
{
    const char *name = dtype_name(dtype);
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strncmp(at, name, length) == 0 && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

bool inputs_build(TensorContext *ctx, const Case *test, Dtype dtype, Inputs *in)
{
    bool good = true;
    uint64_t state = 1;
    memset(in, 0, sizeof *in);
    for (const char *c = test->op; *c; c++)
        state = state * 31 + (unsigned char)*c;
    for (const char *c = test->inputs; *c; c++)
        state = state * 31 + (unsigned char)*c;
    for (const char *at = test->inputs; *at; at += strspn(at, " ")) {
        if (in->n == OP_MAX_IN)
            bad_case(test, "too many inputs");
        at = parse_input(ctx, test, at, dtype, in, &good, &state);
        if (*at && *at != ' ')
            bad_case(test, "inputs are separated by spaces");
    }
    parse_params(test, op_signature(op_find(test->op)), in);
    return good;
}

void inputs_free(Inputs *in)
{
    for (int i = 0; i < in->n; i++) {
        tensor_release(in->tensor[i]);
        free(in->array[i].v);
    }
    memset(in, 0, sizeof *in);
}
