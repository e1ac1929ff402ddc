/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cases of the rows that take a pattern. One table says in letters what each pattern means: a nested loop over all
   letters reads each input and writes the output at the row-major places that its letters give. */
#include <string.h>

#include "ops_test.h"

typedef struct Meaning {
    const char *params;
    const char *letters;      /* every axis of the loop */
    int64_t sizes[6];
    const char *in[2], *out;  /* letters in row-major order, groups written out */
    int ndim;
    int64_t shape[6];         /* of the result */
    char how;                 /* = the value, + sums of products, m means, x the largest, b whether any */
} Meaning;

static const Meaning meanings[] = {
    {"pattern=\"a b c -> c (a b)\"", "abc", {2, 3, 4}, {"abc"}, "cab", 2, {4, 6}, '='},
    {"pattern=\"(a b) -> b a\", sizes=\"a=2\"", "ab", {2, 3}, {"ab"}, "ba", 2, {3, 2}, '='},
    {"pattern=\"b t (n h d) -> n b h t d\", sizes=\"n=3,h=2\"", "btnhd", {2, 3, 3, 2, 2}, {"btnhd"}, "nbhtd", 5,
     {3, 2, 2, 3, 2}, '='},
    {"pattern=\"... d -> d ...\"", "abd", {2, 3, 4}, {"abd"}, "dab", 3, {4, 2, 3}, '='},
    {"pattern=\"a b -> a 1 b\"", "ab", {3, 4}, {"ab"}, "ab", 3, {3, 1, 4}, '='},
    {"pattern=\"a 1 b -> (b a)\"", "ab", {3, 4}, {"ab"}, "ba", 1, {12}, '='},
    {"pattern=\"a b -> b a\"", "ab", {0, 1}, {"ab"}, "ba", 2, {1, 0}, '='},
    {"pattern=\"c (h p) (w q) -> (h w) (p q c)\", sizes=\"p=2,q=2\"", "chpwq", {2, 2, 2, 3, 2}, {"chpwq"}, "hwpqc", 2,
     {6, 8}, '='},

    {"pattern=\"a b -> a\", op=sum", "ab", {3, 4}, {"ab"}, "a", 1, {3}, '+'},
    {"pattern=\"a b -> b\", op=mean", "ab", {3, 4}, {"ab"}, "b", 1, {4}, 'm'},
    {"pattern=\"(a b) c -> c a\", op=max, sizes=\"b=2\"", "abc", {2, 2, 3}, {"abc"}, "ca", 2, {3, 2}, 'x'},
    {"pattern=\"a b -> \", op=sum", "ab", {3, 4}, {"ab"}, "", 0, {0}, '+'},
    {"pattern=\"a b -> 1 b\", op=any", "ab", {3, 4}, {"ab"}, "b", 2, {1, 4}, 'b'},
    {"pattern=\"a b -> b\", op=sum", "ab", {0, 1}, {"ab"}, "b", 1, {1}, '+'},

    {"pattern=\"a -> (a b)\", sizes=\"b=3\"", "ab", {4, 3}, {"a"}, "ab", 1, {12}, '='},
    {"pattern=\"a b -> c a d b\", sizes=\"c=2,d=3\"", "abcd", {2, 3, 2, 3}, {"ab"}, "cadb", 4, {2, 2, 3, 3}, '='},
    {"pattern=\"h w -> (h p) (w q)\", sizes=\"p=2,q=2\"", "hwpq", {2, 3, 2, 2}, {"hw"}, "hpwq", 2, {4, 6}, '='},
    {"pattern=\"a b -> a b c\", sizes=\"c=2\"", "abc", {0, 1, 2}, {"ab"}, "abc", 3, {0, 1, 2}, '='},

    {"pattern=\"ij,jk->ik\"", "ijk", {2, 3, 4}, {"ij", "jk"}, "ik", 2, {2, 4}, '+'},
    {"pattern=\"ij,j->i\"", "ij", {2, 3}, {"ij", "j"}, "i", 1, {2}, '+'},
    {"pattern=\"bij,bkj->bik\"", "bijk", {2, 3, 4, 2}, {"bij", "bkj"}, "bik", 3, {2, 3, 2}, '+'},
    {"pattern=\"i,j->ij\"", "ij", {3, 2}, {"i", "j"}, "ij", 2, {3, 2}, '+'},
    {"pattern=\"ij->ji\"", "ij", {3, 2}, {"ij"}, "ji", 2, {2, 3}, '+'},
    {"pattern=\"ij->\"", "ij", {3, 2}, {"ij"}, "", 0, {0}, '+'},
    {"pattern=\"ij,ij->\"", "ij", {3, 2}, {"ij", "ij"}, "", 0, {0}, '+'},
    {"pattern=\"batch head query depth, batch head key depth -> batch head query key\"", "bhqdk", {2, 1, 3, 2, 4},
     {"bhqd", "bhkd"}, "bhqk", 4, {2, 1, 3, 4}, '+'},
    {"pattern=\"ij,kj->ik\"", "ijk", {0, 3, 1}, {"ij", "kj"}, "ik", 2, {0, 1}, '+'},
};

static int64_t at_letters(const Meaning *m, const char *word, const int64_t *place)
{
    int64_t index = 0;
    for (; *word; word++) {
        int axis = (int)(strchr(m->letters, *word) - m->letters);
        index = index * m->sizes[axis] + place[axis];
    }
    return index;
}

static Dtype result_dtype(const Ref *r, char how)
{
    Dtype d = r->in[0]->dtype;
    bool is_einsum = strcmp(r->test->op, "einsum") == 0;
    return how == 'b' ? DTYPE_bool : how == 'm' ? ref_floating(d) : how != '+' || dtype_class(d) == CLASS_FLOAT ? d
         : is_einsum ? ref_arithmetic(d) : DTYPE_i64;
}

static void ref_pattern(Ref *r)
{
    const Meaning *m = meanings;
    while (strcmp(m->params, r->test->params) != 0)
        m++;
    double *v = ref_out(r, result_dtype(r, m->how), m->ndim, m->shape);
    int64_t total = 1, place[6], each = 1;
    int n = (int)strlen(m->letters);
    for (int i = 0; i < n; i++) {
        total *= m->sizes[i];
        each *= strchr(m->out, m->letters[i]) ? 1 : m->sizes[i];
    }
    for (int64_t i = 0; m->how == 'x' && i < r->out[0].size; i++)
        v[i] = -1e300;
    for (int64_t i = 0; i < total; i++) {
        int64_t rest = i;
        for (int k = n - 1; k >= 0; rest /= m->sizes[k--])
            place[k] = rest % m->sizes[k];
        double value = 1, *to = &v[at_letters(m, m->out, place)];
        for (int k = 0; k < r->n_in; k++)
            value *= r->in[k]->v[at_letters(m, m->in[k], place)];
        switch (m->how) {
        case '=': *to = value; break;
        case '+': *to += value; break;
        case 'm': *to += value / (double)each; break;
        case 'x': *to = value > *to ? value : *to; break;
        default: *to = *to != 0 || value != 0;
        }
    }
}

#define P(op, inputs, params) {op, inputs, params, .reference = ref_pattern}

const Case cases_pattern[] = {
    P("rearrange", "x[2,3,4]", "pattern=\"a b c -> c (a b)\""),
    P("rearrange", "x[6]", "pattern=\"(a b) -> b a\", sizes=\"a=2\""),
    P("rearrange", "x[2,3,12]", "pattern=\"b t (n h d) -> n b h t d\", sizes=\"n=3,h=2\""),
    P("rearrange", "x[2,3,4]", "pattern=\"... d -> d ...\""),
    P("rearrange", "x[3,4]", "pattern=\"a b -> a 1 b\""),
    P("rearrange", "x[3,1,4]", "pattern=\"a 1 b -> (b a)\""),
    P("rearrange", "x[0,1]", "pattern=\"a b -> b a\""),
    P("rearrange", "x[2,4,6]", "pattern=\"c (h p) (w q) -> (h w) (p q c)\", sizes=\"p=2,q=2\""),
    {"rearrange", "x[2,3]", "pattern=\"a b -> a c\"", .error = ERROR_value},
    {"rearrange", "x[2,3]", "pattern=\"a b c -> a b c\"", .error = ERROR_shape},
    {"rearrange", "x[5]", "pattern=\"(a b) -> a b\", sizes=\"a=2\"", .error = ERROR_shape},
    {"rearrange", "x[6]", "pattern=\"(a b) -> a b\"", .error = ERROR_shape},
    {"rearrange", "x[6]", "pattern=\"a\"", .error = ERROR_value},
    P("reduce", "x[3,4]", "pattern=\"a b -> a\", op=sum"),
    P("reduce", "x[3,4]", "pattern=\"a b -> b\", op=mean"),
    P("reduce", "x[4,3]", "pattern=\"(a b) c -> c a\", op=max, sizes=\"b=2\""),
    P("reduce", "x[3,4]", "pattern=\"a b -> \", op=sum"),
    P("reduce", "x[3,4]", "pattern=\"a b -> 1 b\", op=any"),
    P("reduce", "x[0,1]", "pattern=\"a b -> b\", op=sum"),
    {"reduce", "x[3,4]", "pattern=\"a b -> a\", op=median", .error = ERROR_value},
    P("repeat", "x[4]", "pattern=\"a -> (a b)\", sizes=\"b=3\""),
    P("repeat", "x[2,3]", "pattern=\"a b -> c a d b\", sizes=\"c=2,d=3\""),
    P("repeat", "x[2,3]", "pattern=\"h w -> (h p) (w q)\", sizes=\"p=2,q=2\""),
    P("repeat", "x[0,1]", "pattern=\"a b -> a b c\", sizes=\"c=2\""),
    {"repeat", "x[4]", "pattern=\"a -> (a b)\"", .error = ERROR_value},
    P("einsum", "x[2,3] x[3,4]", "pattern=\"ij,jk->ik\""),
    P("einsum", "x[2,3] x[3]", "pattern=\"ij,j->i\""),
    P("einsum", "x[2,3,4] x[2,2,4]", "pattern=\"bij,bkj->bik\""),
    P("einsum", "x[3] x[2]", "pattern=\"i,j->ij\""),
    {"einsum", "x[3,2]", "pattern=\"ij->ji\"", .reference = ref_pattern, .only = FLOATS},
    {"einsum", "x[3,2]", "pattern=\"ij->\"", .reference = ref_pattern, .only = FLOATS},
    P("einsum", "x[3,2] x[3,2]", "pattern=\"ij,ij->\""),
    P("einsum", "x[2,1,3,2] x[2,1,4,2]", 
      "pattern=\"batch head query depth, batch head key depth -> batch head query key\""),
    P("einsum", "x[0,3] x[1,3]", "pattern=\"ij,kj->ik\""),
    {"einsum", "x[2,3] x[4,2]", "pattern=\"ij,jk->ik\"", .error = ERROR_shape},
    {"einsum", "x[2,3]", "pattern=\"ij,jk->ik\"", .error = ERROR_value},
    {"einsum", "x[2,3]", "pattern=\"ij->k\"", .error = ERROR_value},
    {0},
};
