/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rearrange, reduce and repeat by patterns such as "b (h p) w -> b h (p w)" (the notation of einops). A pattern is read
   into axes and groups, sizes are solved from the shape, and the work is reshape, reduce, permute, expand, reshape.
   Invariant: every error shows the pattern, the shape and the sizes that were given. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

#define AXES_MOST 24
#define NAME_ROOM 32

/* An elementary axis. Numbers and the axes of `...` have names too: "#1" and ".0" and so on, which nobody can write. */
typedef struct Axis {
    char name[NAME_ROOM];
    int64_t size;             /* -1: not known yet */
} Axis;

/* One side of the arrow: axes in order, each in a group that is one axis of the tensor. */
typedef struct Side {
    int n, groups;
    int axis[AXES_MOST], group[AXES_MOST];
} Side;

typedef struct Pattern {
    OpCall *call;
    const char *text, *sizes; /* as written */
    int dots;                 /* axes that `...` stands for; -1: it is not there */
    int n_axes;
    Axis axis[AXES_MOST];
    Side left, right;
} Pattern;

static bool fail(Pattern *p, ErrorKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool fail(Pattern *p, ErrorKind kind, const char *format, ...)
{
    char reason[256], shape[160];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    shape_format(p->call->in[0]->ndim, p->call->in[0]->shape, shape, sizeof shape);
    return op_error(p->call, kind, "\"%s\" on %s%s%s: %s", p->text, shape, *p->sizes ? " with " : "", p->sizes, reason);
}

/* ---- reading ---- */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int find_axis(const Pattern *p, const char *name, size_t length)
{
    for (int i = 0; i < p->n_axes; i++)
        if (strlen(p->axis[i].name) == length && memcmp(p->axis[i].name, name, length) == 0)
            return i;
    return -1;
}

static int add_axis(Pattern *p, const char *name, size_t length, int64_t size)
{
    if (p->n_axes == AXES_MOST)
        return fail(p, ERROR_value, "there are more than %d axes", AXES_MOST) - 1;
    if (length >= NAME_ROOM)
        return fail(p, ERROR_value, "the name \"%.*s\" is too long", 40, name) - 1;
    Axis *axis = &p->axis[p->n_axes];
    memcpy(axis->name, name, length);
    axis->name[length] = '\0';
    axis->size = size;
    return p->n_axes++;
}

static bool push(Pattern *p, Side *side, int axis, int group)
{
    for (int i = 0; i < side->n; i++)
        if (side->axis[i] == axis)
            return fail(p, ERROR_value, "axis \"%s\" appears twice on one side", p->axis[axis].name);
    if (side->n == AXES_MOST)
        return fail(p, ERROR_value, "there are more than %d axes", AXES_MOST);
    side->axis[side->n] = axis;
    side->group[side->n++] = group;
    return true;
}

/* One name, number or `...` at *at goes into the side; inside parentheses [open] all belong to one group. */
static bool read_item(Pattern *p, Side *side, const char **at, bool open)
{
    const char *start = *at;
    if (strncmp(start, "...", 3) == 0) {
        *at += 3;
        if (p->dots < 0 || (side == &p->left && open))
            return fail(p, ERROR_value, p->dots < 0 ? "`...` stands only on the right" : "`...` is in parentheses");
        for (int i = 0; i < p->dots; i++) {
            char name[NAME_ROOM];
            size_t length = (size_t)snprintf(name, sizeof name, ".%d", i);
            int axis = find_axis(p, name, length);
            if (axis < 0 && (axis = add_axis(p, name, length, -1)) < 0)
                return false;
            if (!push(p, side, axis, open ? side->groups : side->groups++))
                return false;
        }
        return true;
    }
    int axis = -1;
    if (is_digit(*start)) {
        char name[NAME_ROOM];
        char *end;
        int64_t size = strtoll(start, &end, 10);
        *at = end;
        if (size < 1)
            return fail(p, ERROR_value, "an axis cannot have size %lld", (long long)size);
        if (size > 1)
            axis = add_axis(p, name, (size_t)snprintf(name, sizeof name, "#%d", p->n_axes), size);
        if (size > 1 && (axis < 0 || !push(p, side, axis, side->groups)))
            return false;
    } else {
        while (is_letter(**at) || is_digit(**at))
            ++*at;
        if (*at == start)
            return fail(p, ERROR_value, "\"%c\" has no place in a pattern", *start);
        axis = find_axis(p, start, (size_t)(*at - start));
        if (axis < 0)
            axis = add_axis(p, start, (size_t)(*at - start), -1);
        if (axis < 0 || !push(p, side, axis, side->groups))
            return false;
    }
    side->groups += open ? 0 : 1;
    return true;
}

static bool read_side(Pattern *p, Side *side, const char *at, const char *end)
{
    bool open = false;
    while (at < end) {
        if (*at == ' ') {
            at++;
        } else if (*at == '(' || *at == ')') {
            if (open == (*at == '('))
                return fail(p, ERROR_value, "the parentheses do not match");
            open = *at == '(';
            side->groups += open ? 0 : 1;
            at++;
        } else if (!read_item(p, side, &at, open)) {
            return false;
        }
    }
    return !open || fail(p, ERROR_value, "the parentheses do not match");
}

/* Top-level items before [end], `...` apart. */
static int count_groups(const char *at, const char *end, bool *dots)
{
    int n = 0, depth = 0;
    *dots = false;
    while (at < end) {
        if (*at == '(') n += depth++ == 0;
        else if (*at == ')') depth--;
        else if (end - at >= 3 && strncmp(at, "...", 3) == 0) { *dots = true; at += 2; }
        else if (*at != ' ') {
            n += depth == 0;
            while (at + 1 < end && (is_letter(at[1]) || is_digit(at[1]))) at++;
        }
        at++;
    }
    return n;
}

/* "h=3,w=4" */
static bool read_sizes(Pattern *p)
{
    const char *at = p->sizes;
    while (*at) {
        const char *equals = strchr(at, '=');
        if (!equals)
            return fail(p, ERROR_value, "sizes are written \"h=3,w=4\"");
        int axis = find_axis(p, at, (size_t)(equals - at));
        if (axis < 0)
            return fail(p, ERROR_value, "there is no axis \"%.*s\"", (int)(equals - at), at);
        char *end;
        p->axis[axis].size = strtoll(equals + 1, &end, 10);
        if (p->axis[axis].size < 0 || end == equals + 1)
            return fail(p, ERROR_value, "the size of \"%s\" is not a whole number", p->axis[axis].name);
        at = *end == ',' ? end + 1 : end;
    }
    return true;
}

static bool pattern_read(Pattern *p)
{
    const Tensor *x = p->call->in[0];
    const char *arrow = strstr(p->text, "->");
    if (!arrow)
        return fail(p, ERROR_value, "a pattern has an arrow, as in \"a b -> b a\"");
    bool dots;
    int groups = count_groups(p->text, arrow, &dots);
    p->dots = dots ? x->ndim - groups : -1;
    if ((!dots && groups != x->ndim) || (dots && p->dots < 0))
        return fail(p, ERROR_shape, "the left side has %d axes%s, the tensor has %d", groups,
                    dots ? " besides `...`" : "", x->ndim);
    return read_side(p, &p->left, p->text, arrow) && read_side(p, &p->right, arrow + 2, p->text + strlen(p->text)) &&
           read_sizes(p);
}

static bool on_side(const Side *side, int axis)
{
    for (int i = 0; i < side->n; i++)
        if (side->axis[i] == axis)
            return true;
    return false;
}

/* ---- solving ---- */

/* The sizes of one group of the left side, from the tensor's axis. */
static bool solve_group(Pattern *p, int group, int64_t size)
{
    int64_t known = 1;
    int unknown = -1;
    for (int i = 0; i < p->left.n; i++) {
        Axis *axis = &p->axis[p->left.axis[i]];
        if (p->left.group[i] != group)
            continue;
        if (axis->size >= 0)
            known *= axis->size;
        else if (unknown >= 0)
            return fail(p, ERROR_shape, "the sizes of \"%s\" and \"%s\" are both unknown", p->axis[unknown].name,
                        axis->name);
        else
            unknown = p->left.axis[i];
    }
    if (unknown >= 0 && known > 0 && size % known == 0) {
        p->axis[unknown].size = size / known;
        return true;
    }
    if (unknown >= 0)
        return fail(p, ERROR_shape, "axis %d of size %lld does not divide by %lld to give \"%s\"", group,
                    (long long)size, (long long)known, p->axis[unknown].name);
    return known == size || fail(p, ERROR_shape, "axis %d has size %lld, the pattern says %lld", group, (long long)size,
                                 (long long)known);
}

static bool pattern_solve(Pattern *p)
{
    const Tensor *x = p->call->in[0];
    for (int group = 0; group < p->left.groups; group++)
        if (!solve_group(p, group, x->shape[group]))
            return false;
    for (int i = 0; i < p->right.n; i++)
        if (p->axis[p->right.axis[i]].size < 0)
            return fail(p, ERROR_value, "the size of \"%s\" is not given", p->axis[p->right.axis[i]].name);
    int most = p->left.n > p->right.n ? p->left.n : p->right.n;
    if (p->right.groups > most)
        most = p->right.groups;
    return most <= TENSOR_MAX_DIMS || fail(p, ERROR_shape, "it needs %d axes, more than %d", most, TENSOR_MAX_DIMS);
}

/* ---- doing ---- */

/* x has the axes of the left side that are on the right too; puts them in the right side's order, adds its other axes
   and groups them. */
static Tensor *arrange(Pattern *p, Scope *s, Tensor *x, const Side *have)
{
    int order[TENSOR_MAX_DIMS], kept = 0;
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < p->right.n; i++)
        for (int j = 0; j < have->n; j++)
            if (have->axis[j] == p->right.axis[i])
                order[kept++] = j;
    bool moves = false;
    for (int i = 0; i < kept; i++)
        moves = moves || order[i] != i;
    if (moves)
        x = s_permute(s, x, order);
    for (int i = 0; i < p->right.n; i++)                           /* new axes as ones, then stretched */
        shape[i] = on_side(have, p->right.axis[i]) ? p->axis[p->right.axis[i]].size : 1;
    x = s_reshape(s, x, p->right.n, shape);
    bool grows = kept < p->right.n;
    for (int i = 0; i < p->right.n; i++)
        shape[i] = p->axis[p->right.axis[i]].size;
    if (grows)
        x = s_expand(s, x, p->right.n, shape);
    for (int group = 0; group < p->right.groups; group++)
        shape[group] = 1;
    for (int i = 0; i < p->right.n; i++)
        shape[p->right.group[i]] *= p->axis[p->right.axis[i]].size;
    return s_reshape(s, x, p->right.groups, shape);
}

/* Runs a pattern; [reduce] is a reduction's row, or OP_COUNT. */
static bool run_pattern(Pattern *p, OpId reduce)
{
    Scope s;
    scope_init(&s, p->call->ctx);
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < p->left.n; i++)
        shape[i] = p->axis[p->left.axis[i]].size;
    Tensor *x = s_reshape(&s, p->call->in[0], p->left.n, shape);
    Side kept = {0};
    Attr attr[2] = {attr_ints(0, NULL), attr_bool(false)};
    for (int i = 0; i < p->left.n; i++) {
        if (on_side(&p->right, p->left.axis[i]))
            kept.axis[kept.n++] = p->left.axis[i];
        else
            attr[0].ints.v[attr[0].ints.count++] = i;
    }
    if (reduce != OP_COUNT && attr[0].ints.count > 0 && x)
        x = s_op(&s, reduce, 1, &x, attr, 0);
    p->call->out[0] = tensor_retain(arrange(p, &s, x, &kept));
    scope_clear(&s);
    return p->call->out[0] != NULL;
}

/* Whether every axis of [a] is on [b]; [a_name] and [b_name] say which sides these are. */
static bool covers(Pattern *p, const Side *a, const Side *b, const char *a_name)
{
    for (int i = 0; i < a->n; i++)
        if (!on_side(b, a->axis[i]))
            return fail(p, ERROR_value, "axis \"%s\" is only on the %s side", p->axis[a->axis[i]].name, a_name);
    return true;
}

bool rearrange_run(OpCall *call)
{
    Pattern p = {.call = call, .text = call->attr[0].str, .sizes = call->attr[1].str};
    return pattern_read(&p) && covers(&p, &p.left, &p.right, "left") && covers(&p, &p.right, &p.left, "right") &&
           pattern_solve(&p) && run_pattern(&p, OP_COUNT);
}

bool reduce_run(OpCall *call)
{
    static const struct Reduction { const char *name; OpId id; } reductions[] = {
        {"mean", OP_mean}, {"sum", OP_sum}, {"max", OP_max}, {"min", OP_min}, {"prod", OP_prod}, {"any", OP_any},
        {"all", OP_all},
    };
    Pattern p = {.call = call, .text = call->attr[0].str, .sizes = call->attr[2].str};
    OpId id = OP_COUNT;
    for (size_t i = 0; i < sizeof reductions / sizeof reductions[0]; i++)
        if (strcmp(call->attr[1].str, reductions[i].name) == 0)
            id = reductions[i].id;
    if (id == OP_COUNT)
        return op_error(call, ERROR_value, "\"%s\" is not one of mean, sum, max, min, prod, any, all",
                        call->attr[1].str);
    return pattern_read(&p) && covers(&p, &p.right, &p.left, "right") && pattern_solve(&p) && run_pattern(&p, id);
}

bool repeat_run(OpCall *call)
{
    Pattern p = {.call = call, .text = call->attr[0].str, .sizes = call->attr[1].str};
    return pattern_read(&p) && covers(&p, &p.left, &p.right, "left") && pattern_solve(&p) && run_pattern(&p, OP_COUNT);
}
