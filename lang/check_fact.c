/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be known of a value, and how rules that only understand values are asked about it: in worlds. A world gives
   each named size a number. Two worlds of distinct primes tell which sizes of a result are numbers and which are names;
   an error is certain when it comes in every world of a larger set, in which sizes equal each other, one, the numbers
   that stand nearby, or something that everything divides. Values that are not known make no error certain. */
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "check.h"

/* ---- ints ---- */

const Extent *extent_number(Checker *c, int64_t number)
{
    Extent *extent = check_alloc(c, sizeof *extent);
    extent->number = number;
    return extent;
}

const Extent *extent_symbol(Checker *c, const char *name)
{
    Extent *extent = check_alloc(c, sizeof *extent);
    extent->kind = EXTENT_SYMBOL;
    extent->symbol = c->n_symbols++;
    extent->name = name;
    return extent;
}

static bool work(Operator op, int64_t a, int64_t b, int64_t *out)
{
    if ((op == OPERATOR_FLOORDIV || op == OPERATOR_MOD) && (b == 0 || b == -1)) {
        *out = op == OPERATOR_MOD ? 0 : -a;
        return b != 0 && a != INT64_MIN;
    }
    switch (op) {
    case OPERATOR_ADD: return !__builtin_add_overflow(a, b, out);
    case OPERATOR_SUB: return !__builtin_sub_overflow(a, b, out);
    case OPERATOR_MUL: return !__builtin_mul_overflow(a, b, out);
    case OPERATOR_FLOORDIV: *out = a / b - (a % b != 0 && (a < 0) != (b < 0)); return true;
    case OPERATOR_MOD: *out = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0); return true;
    default: return false;
    }
}

const Extent *extent_work(Checker *c, Operator op, const Extent *left, const Extent *right)
{
    int64_t number;
    if (left->kind == EXTENT_NUMBER && right->kind == EXTENT_NUMBER)
        return work(op, left->number, right->number, &number) ? extent_number(c, number) : NULL;
    Extent *extent = check_alloc(c, sizeof *extent);
    *extent = (Extent){.kind = EXTENT_WORKED, .op = op, .left = left, .right = right};
    return extent;
}

bool extent_same(const Extent *a, const Extent *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind)
        return false;
    if (a->kind == EXTENT_WORKED)
        return a->op == b->op && extent_same(a->left, b->left) && extent_same(a->right, b->right);
    return a->kind == EXTENT_NUMBER ? a->number == b->number : a->symbol == b->symbol;
}

static bool extent_in(const Extent *extent, const World *world, int64_t *out)
{
    int64_t a, b;
    if (extent->kind == EXTENT_NUMBER) {
        *out = extent->number;
        return true;
    }
    if (extent->kind == EXTENT_WORKED)
        return extent_in(extent->left, world, &a) && extent_in(extent->right, world, &b) &&
               work(extent->op, a, b, out);
    for (int i = 0; i < world->n; i++)
        if (world->symbol[i] == extent->symbol) {
            *out = world->size[i];
            return true;
        }
    return false;
}

/* ---- facts ---- */

const Fact *fact_new(Checker *c, FactKind kind)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    fact->kind = kind;
    return fact;
}

const Fact *fact_bool(Checker *c, bool known, bool value)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_BOOL, .known = known, .boolean = value};
    return fact;
}

const Fact *fact_float(Checker *c, bool known, double value)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_FLOAT, .known = known, .number = value};
    return fact;
}

const Fact *fact_int(Checker *c, const Extent *extent)
{
    if (!extent)
        return NULL;
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_INT, .extent = extent};
    return fact;
}

const Fact *fact_number(Checker *c, int64_t number)
{
    return fact_int(c, extent_number(c, number));
}

const Fact *fact_string(Checker *c, const char *text, uint32_t length)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_STRING, .string = {text, length}};
    return fact;
}

const Fact *fact_list(Checker *c, FactKind kind, int count, const Fact *const *at)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = kind, .list = {count, at}};
    return fact;
}

const Fact *fact_tensor(Checker *c, Dtype dtype, bool any_dtype, int ndim, const Extent *const *dim)
{
    Fact *fact = check_alloc(c, sizeof *fact);
    *fact = (Fact){.kind = FACT_TENSOR, .tensor = {dtype, any_dtype, ndim, dim}};
    return fact;
}

bool fact_is_int(const Fact *fact, int64_t *number)
{
    if (!fact || fact->kind != FACT_INT || fact->extent->kind != EXTENT_NUMBER)
        return false;
    *number = fact->extent->number;
    return true;
}

bool fact_has_map(const Fact *fact)
{
    if (fact->kind == FACT_LIST || fact->kind == FACT_TUPLE)
        for (int i = 0; i < fact->list.count; i++)
            if (fact->list.at[i] && fact_has_map(fact->list.at[i]))
                return true;
    return fact->kind == FACT_MAP;
}

bool fact_callable(const Fact *fact)
{
    return fact && ((fact->kind >= FACT_FUNCTION && fact->kind <= FACT_MODEL) ||
                    (fact->kind == FACT_OBJECT && model_method(fact, "forward")));
}

static bool same_tensor(const Fact *a, const Fact *b)
{
    bool same = a->tensor.ndim == b->tensor.ndim && a->tensor.dtype == b->tensor.dtype &&
                a->tensor.any_dtype == b->tensor.any_dtype;
    for (int i = 0; same && i < a->tensor.ndim; i++)
        same = extent_same(a->tensor.dim[i], b->tensor.dim[i]);
    return same;
}

/* Equal facts only: what is known in part on both sides is rarely of use. */
const Fact *fact_join(const Fact *a, const Fact *b)
{
    if (a == b)
        return a;
    if (!a || !b || a->kind != b->kind)
        return NULL;
    switch (a->kind) {
    case FACT_NONE: return a;
    case FACT_BOOL: return a->known && b->known && a->boolean == b->boolean ? a : !a->known ? a : !b->known ? b : NULL;
    case FACT_FLOAT: return !a->known ? a : !b->known ? b : NULL;
    case FACT_INT: return extent_same(a->extent, b->extent) ? a : NULL;
    case FACT_TENSOR: return same_tensor(a, b) ? a : NULL;
    case FACT_LIST:
    case FACT_TUPLE:
        if (a->list.count != b->list.count)
            return NULL;
        for (int i = 0; i < a->list.count; i++)
            if (!a->list.at[i] || fact_join(a->list.at[i], b->list.at[i]) != a->list.at[i])
                return NULL;
        return a;
    default: return NULL;
    }
}

/* ---- to values ---- */

static bool list_value(Checker *c, const Fact *fact, const World *world, Value *out)
{
    bool tuple = fact->kind == FACT_TUPLE;
    *out = tuple ? tuple_new(fact->list.count) : list_new(fact->list.count);
    if (out->tag == TAG_UNDEFINED)
        return false;
    for (int i = 0; i < fact->list.count; i++) {
        Value item;
        if (!fact->list.at[i] || !fact_value(c, fact->list.at[i], world, &item)) {
            value_set(out, VALUE_UNDEFINED);
            return false;
        }
        if (tuple)
            out->list->at[i] = item;
        else if (!list_push_take(out->list, item)) {
            value_set(out, VALUE_UNDEFINED);
            return false;
        }
    }
    return true;
}

/* Of a map the keys alone: nobody asks a rule about its values. */
static bool map_value(Checker *c, const Fact *fact, const World *world, Value *out)
{
    *out = map_new();
    for (int i = 0; out->tag == TAG_MAP && i < fact->map.count; i++) {
        Value key;
        if (!fact_value(c, fact->map.key[i], world, &key)) {
            value_set(out, VALUE_UNDEFINED);
            return false;
        }
        bool set = map_set_take(out->map, key, VALUE_NONE);
        value_release(key);
        if (!set)
            value_set(out, VALUE_UNDEFINED);
    }
    return out->tag == TAG_MAP;
}

static bool tensor_value(Checker *c, const Fact *fact, const World *world, Value *out)
{
    Dtype dtype = fact->tensor.dtype;
    int64_t shape[TENSOR_MAX_DIMS];
    if (fact->tensor.ndim == 0) {
        *out = dtype_class(dtype) == CLASS_FLOAT ? value_scalar_float(dtype, world->number + 0.25)
                                                 : value_scalar_int(dtype, dtype == DTYPE_bool ? world->number & 1
                                                                                                : world->number);
        return true;
    }
    for (int i = 0; i < fact->tensor.ndim; i++)
        if (!extent_in(fact->tensor.dim[i], world, &shape[i]) || shape[i] < 0)
            return false;
    Tensor *tensor = tensor_meta(&c->vm->tensors, dtype, fact->tensor.ndim, shape);
    if (!tensor) {
        error_clear(&c->vm->tensors.error);
        return false;
    }
    *out = (Value){.tag = TAG_TENSOR, .tensor = tensor};
    return true;
}

bool fact_value(Checker *c, const Fact *fact, const World *world, Value *out)
{
    int64_t number;
    *out = VALUE_UNDEFINED;
    switch (fact->kind) {
    case FACT_NONE: *out = VALUE_NONE; return true;
    case FACT_BOOL: *out = value_bool(fact->known ? fact->boolean : world->number & 1); return true;
    case FACT_FLOAT: *out = value_float(fact->known ? fact->number : world->number + 0.25); return true;
    case FACT_INT:
        if (!extent_in(fact->extent, world, &number))
            return false;
        *out = value_int(number);
        return true;
    case FACT_STRING: *out = string_new(fact->string.text, fact->string.length); return out->tag != TAG_UNDEFINED;
    case FACT_LIST:
    case FACT_TUPLE: return list_value(c, fact, world, out);
    case FACT_TENSOR: return tensor_value(c, fact, world, out);
    case FACT_MAP: return map_value(c, fact, world, out);
    case FACT_NATIVE: *out = function_of_native(fact->native); return out->tag != TAG_UNDEFINED;
    case FACT_OP: *out = function_of_op(fact->op); return out->tag != TAG_UNDEFINED;
    default: return false;
    }
}

/* ---- what the inputs hang on ---- */

enum { EXTENTS_MOST = 40, NUMBERS_MOST = 24, PRODUCTS_MOST = 8, DIVISORS_MOST = 160 };

typedef struct Gathered {
    World world;              /* its symbols */
    const Extent *extent[EXTENTS_MOST];     /* that are no numbers */
    int n_extents;
    int64_t number[NUMBERS_MOST];
    int n_numbers;
    int64_t product[PRODUCTS_MOST];         /* of the sizes that stand together: what is regrouped divides them */
    int n_products;
    bool hidden;              /* some value is not known */
    bool any_dtype;
    bool plain;               /* no tensor among them */
    bool too_much;
} Gathered;

static void gather_number(Gathered *g, int64_t number)
{
    for (int i = 0; i < g->n_numbers; i++)
        if (g->number[i] == number)
            return;
    if (g->n_numbers < NUMBERS_MOST && number > 1)
        g->number[g->n_numbers++] = number;
}

static void gather_symbols(Gathered *g, const Extent *extent)
{
    if (extent->kind == EXTENT_NUMBER) {
        gather_number(g, extent->number);
    } else if (extent->kind == EXTENT_WORKED) {
        gather_symbols(g, extent->left);
        gather_symbols(g, extent->right);
    } else {
        for (int i = 0; i < g->world.n; i++)
            if (g->world.symbol[i] == extent->symbol)
                return;
        if (g->world.n == WORLD_SYMBOLS)
            g->too_much = true;
        else
            g->world.symbol[g->world.n++] = extent->symbol;
    }
}

static void gather_extent(Gathered *g, const Extent *extent)
{
    gather_symbols(g, extent);
    if (extent->kind == EXTENT_NUMBER)
        return;
    for (int i = 0; i < g->n_extents; i++)
        if (extent_same(g->extent[i], extent))
            return;
    if (g->n_extents < EXTENTS_MOST)
        g->extent[g->n_extents++] = extent;
}

/* Multiplies numbers that stand together; a product of one is none. */
static void gather_product(Gathered *g, int64_t product)
{
    if (g->n_products < PRODUCTS_MOST && product > 1 && product < 1 << 24)
        g->product[g->n_products++] = product;
}

static void times(int64_t *product, const Extent *extent)
{
    if (extent->kind != EXTENT_NUMBER || __builtin_mul_overflow(*product, extent->number, product))
        *product = extent->kind == EXTENT_NUMBER ? 0 : *product;
}

static void gather(Gathered *g, const Fact *fact)
{
    int64_t product = 1;
    switch (fact->kind) {
    case FACT_BOOL:
    case FACT_FLOAT: g->hidden = g->hidden || !fact->known; break;
    case FACT_INT: gather_extent(g, fact->extent); break;
    case FACT_LIST:
    case FACT_TUPLE:
        for (int i = 0; i < fact->list.count; i++)
            if (fact->list.at[i]) {
                gather(g, fact->list.at[i]);
                if (fact->list.at[i]->kind == FACT_INT)
                    times(&product, fact->list.at[i]->extent);
            }
        gather_product(g, product);
        break;
    case FACT_TENSOR:
        g->plain = false;
        g->hidden = g->hidden || fact->tensor.ndim == 0;
        g->any_dtype = g->any_dtype || fact->tensor.any_dtype;
        for (int i = 0; i < fact->tensor.ndim; i++) {
            gather_extent(g, fact->tensor.dim[i]);
            times(&product, fact->tensor.dim[i]);
        }
        gather_product(g, product);
        break;
    default: break;
    }
}

/* ---- back to facts ---- */

typedef struct Reading { Checker *c; const Gathered *g; const World *one, *two; } Reading;

static const Extent *find_pair(const Reading *r, int64_t a, int64_t b)
{
    static const Operator ops[] = {OPERATOR_MUL, OPERATOR_FLOORDIV, OPERATOR_ADD, OPERATOR_SUB};
    const Gathered *g = r->g;
    int64_t xa, xb, ya, yb, za, zb;
    for (int i = 0; i < g->n_extents; i++)
        for (int j = 0; j < g->n_extents + g->n_numbers; j++) {
            Extent number = {.number = j < g->n_extents ? 0 : g->number[j - g->n_extents]};
            const Extent *other = j < g->n_extents ? g->extent[j] : &number;
            if (!extent_in(g->extent[i], r->one, &xa) || !extent_in(g->extent[i], r->two, &xb) ||
                !extent_in(other, r->one, &ya) || !extent_in(other, r->two, &yb))
                continue;
            for (int k = 0; k < 4; k++)
                if (work(ops[k], xa, ya, &za) && work(ops[k], xb, yb, &zb) && za == a && zb == b)
                    return extent_work(r->c, ops[k], g->extent[i],
                                       j < g->n_extents ? other : extent_number(r->c, number.number));
        }
    return NULL;
}

/* The int that is a in the one world and b in the other. */
static const Extent *read_extent(const Reading *r, int64_t a, int64_t b)
{
    int64_t xa, xb;
    if (r->g->world.n == 0 && !r->g->hidden)
        return extent_number(r->c, a);
    if (a == b)
        return extent_number(r->c, a);
    for (int i = 0; i < r->g->n_extents; i++)
        if (extent_in(r->g->extent[i], r->one, &xa) && extent_in(r->g->extent[i], r->two, &xb) && xa == a && xb == b)
            return r->g->extent[i];
    const Extent *found = find_pair(r, a, b);
    return found ? found : extent_symbol(r->c, NULL);
}

static const Fact *read_value(const Reading *r, Value a, Value b);

static const Fact *read_plain(const Reading *r, Dtype dtype)
{
    if (dtype == DTYPE_bool)
        return fact_bool(r->c, false, false);
    return dtype_class(dtype) == CLASS_FLOAT ? fact_float(r->c, false, 0) : fact_int(r->c, extent_symbol(r->c, NULL));
}

static const Fact *read_tensor(const Reading *r, const Tensor *a, const Tensor *b)
{
    if (a->ndim != b->ndim || a->dtype != b->dtype)
        return NULL;
    if (a->ndim == 0 && (a->weak || r->g->plain))
        return read_plain(r, (Dtype)a->dtype);
    const Extent **dim = check_alloc(r->c, (size_t)(a->ndim + 1) * sizeof *dim);
    for (int i = 0; i < a->ndim; i++)
        dim[i] = read_extent(r, a->shape[i], b->shape[i]);
    return fact_tensor(r->c, (Dtype)a->dtype, r->g->any_dtype, a->ndim, dim);
}

static const Fact *read_list(const Reading *r, Value a, Value b)
{
    if (a.list->count != b.list->count || a.list->count > 1000)
        return NULL;
    int count = (int)a.list->count;
    const Fact **at = check_alloc(r->c, (size_t)(count + 1) * sizeof *at);
    for (int i = 0; i < count; i++)
        at[i] = read_value(r, a.list->at[i], b.list->at[i]);
    return fact_list(r->c, a.tag == TAG_LIST ? FACT_LIST : FACT_TUPLE, count, at);
}

static const Fact *read_value(const Reading *r, Value a, Value b)
{
    Checker *c = r->c;
    bool sure = r->g->world.n == 0 && !r->g->hidden;
    if (a.tag != b.tag)
        return NULL;
    switch ((Tag)a.tag) {
    case TAG_NONE: return fact_new(c, FACT_NONE);
    case TAG_BOOL: return fact_bool(c, sure, a.b);
    case TAG_INT: return fact_int(c, r->g->hidden ? extent_symbol(c, NULL) : read_extent(r, a.i, b.i));
    case TAG_FLOAT: return fact_float(c, sure, a.f);
    case TAG_SCALAR: return a.dtype == b.dtype ? fact_tensor(c, (Dtype)a.dtype, r->g->any_dtype, 0, NULL) : NULL;
    case TAG_STRING: {
        if (!sure || a.string->length > 4096)
            return NULL;
        char *text = check_alloc(c, a.string->length + 1);
        memcpy(text, a.string->text, a.string->length);
        return fact_string(c, text, a.string->length);
    }
    case TAG_LIST:
    case TAG_TUPLE: return read_list(r, a, b);
    case TAG_TENSOR: return read_tensor(r, a.tensor, b.tensor);
    default: return NULL;
    }
}

/* ---- worlds ---- */

enum { RESULTS_MOST = WORLD_RESULTS, DIVISIBLE = 5040 };

static void set_sizes(World *world, int64_t size)
{
    for (int i = 0; i < world->n; i++)
        world->size[i] = size;
}

static void set_primes(World *world, bool second)
{
    static const int16_t primes[2][WORLD_SYMBOLS] = {{401, 409, 419, 421, 431, 433, 439, 443, 449, 457, 461, 463},
                                                     {601, 607, 613, 617, 619, 631, 641, 643, 647, 653, 659, 661}};
    for (int i = 0; i < world->n; i++)
        world->size[i] = primes[second][i];
    world->number = second ? 2 : 1;
}

static void drop(int n, Value *values)
{
    for (int i = 0; i < n; i++)
        value_set(&values[i], VALUE_UNDEFINED);
}

/* What the rule says in a world; true: an error that could be certain. */
static bool fails_in(Checker *c, const Gathered *g, const World *world, Ask *ask, void *to, int n)
{
    Value values[RESULTS_MOST];
    memset(values, 0, (size_t)n * sizeof *values);
    Error *error = &c->vm->tensors.error;
    error_clear(error);
    if (ask(c, world, to, n, values)) {
        drop(n, values);
        error_clear(error);
        return false;
    }
    bool about_dtype = error->kind == ERROR_dtype || error->kind == ERROR_type;
    bool fails = error->kind != ERROR_NONE && error->kind != ERROR_internal && error->kind != ERROR_memory &&
                 error->kind != ERROR_interrupt && !g->hidden && !(g->any_dtype && about_dtype);
    if (!fails)
        error_clear(error);
    return fails;
}

/* Numbers that a size might be so that all goes well: those nearby, and what divides a product of them. */
static int likely_sizes(const Gathered *g, int64_t *sizes)
{
    int count = 0;
    for (int i = 0; i < g->n_numbers; i++)
        sizes[count++] = g->number[i];
    for (int i = 0; i < g->n_products; i++)
        for (int64_t d = 2; d * d <= g->product[i] && count + 2 <= DIVISORS_MOST; d++)
            if (g->product[i] % d == 0) {
                sizes[count++] = d;
                sizes[count++] = g->product[i] / d;
            }
    return count;
}

static bool fails_in_all(Checker *c, const Gathered *g, Ask *ask, void *to, int n)
{
    int64_t sizes[DIVISORS_MOST + NUMBERS_MOST];
    int n_sizes = likely_sizes(g, sizes);
    World world = g->world;
    set_sizes(&world, 1);
    if (!fails_in(c, g, &world, ask, to, n))
        return false;
    if (world.n == 0)
        return true;
    set_sizes(&world, DIVISIBLE);
    if (!fails_in(c, g, &world, ask, to, n))
        return false;
    for (int i = 0; i < n_sizes; i++) {
        set_sizes(&world, sizes[i]);
        if (!fails_in(c, g, &world, ask, to, n))
            return false;
        for (int k = 0; world.n > 1 && k < 2 * world.n; k++) {      /* one alone, the others ones or primes */
            if (k < world.n)
                set_sizes(&world, 1);
            else
                set_primes(&world, false);
            world.size[k % world.n] = sizes[i];
            if (!fails_in(c, g, &world, ask, to, n))
                return false;
        }
    }
    set_primes(&world, false);
    return fails_in(c, g, &world, ask, to, n);      /* the error that is shown */
}

static void replace_number(char *text, size_t size, int64_t number, const char *shown)
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)number), new_length = strlen(shown);
    for (char *at = strstr(text, digits); at; at = strstr(at + 1, digits)) {
        bool whole = (at == text || at[-1] < '0' || at[-1] > '9') && (at[length] < '0' || at[length] > '9');
        size_t rest = strlen(at + length) + 1;
        if (!whole || (size_t)(at - text) + new_length + rest > size)
            continue;
        memmove(at + new_length, at + length, rest);
        memcpy(at, shown, new_length);
    }
}

/* In an error, the numbers that stood for named sizes become the names, and products of one with a number too. */
static void show_names(const Gathered *g, const World *world, char *text, size_t size)
{
    for (int i = 0; i < g->n_extents; i++) {
        const Extent *extent = g->extent[i];
        const char *name = extent->name ? extent->name : "?";
        int64_t number, product;
        char shown[64];
        if (extent->kind != EXTENT_SYMBOL || !extent_in(extent, world, &number))
            continue;
        replace_number(text, size, number, name);
        for (int k = 0; k < g->n_numbers + g->n_products; k++) {
            int64_t factor = k < g->n_numbers ? g->number[k] : g->product[k - g->n_numbers];
            snprintf(shown, sizeof shown, "%lld*%s", (long long)factor, name);
            if (work(OPERATOR_MUL, factor, number, &product))
                replace_number(text, size, product, shown);
        }
        for (int k = i + 1; k < g->n_extents; k++) {
            const Extent *other = g->extent[k];
            int64_t factor;
            if (other->kind != EXTENT_SYMBOL || !extent_in(other, world, &factor) ||
                !work(OPERATOR_MUL, number, factor, &product))
                continue;
            snprintf(shown, sizeof shown, "%s*%s", name, other->name ? other->name : "?");
            replace_number(text, size, product, shown);
        }
    }
}

static void show_error(Checker *c, const Gathered *g)
{
    World world = g->world;
    Error *error = &c->vm->tensors.error;
    set_primes(&world, false);
    show_names(g, &world, error->message, sizeof error->message);
    for (int i = 0; i < error->n_operands; i++) {
        char *type = error->operand[i].type, *shape = strchr(type, '[');
        show_names(g, &world, type, sizeof error->operand[i].type);
        if (g->any_dtype && shape && shape > type)       /* the dtype was a guess */
            memmove(type, shape, strlen(shape) + 1);
    }
}

Answer worlds_ask(Checker *c, const Inputs *inputs, Ask *ask, void *to, int n_results, const Fact **results)
{
    Gathered g;               /* large: what is used of it is set */
    Value one[RESULTS_MOST], two[RESULTS_MOST];
    memset(one, 0, (size_t)n_results * sizeof *one);
    memset(two, 0, (size_t)n_results * sizeof *two);
    g.world.n = g.n_extents = g.n_numbers = g.n_products = 0;
    g.hidden = g.any_dtype = g.too_much = false;
    g.plain = true;
    int64_t product = 1;
    for (int i = 0; i < inputs->n; i++) {
        gather(&g, inputs->at[i]);
        if (inputs->at[i]->kind == FACT_INT)
            times(&product, inputs->at[i]->extent);
    }
    gather_product(&g, product);
    if (g.too_much)
        return ANSWER_UNKNOWN;
    World first = g.world, second = g.world;
    set_primes(&first, false);
    set_primes(&second, true);
    if (!ask(c, &first, to, n_results, one)) {
        bool certain = c->vm->tensors.error.kind != ERROR_NONE && fails_in_all(c, &g, ask, to, n_results);
        if (certain)
            show_error(c, &g);
        else
            error_clear(&c->vm->tensors.error);
        return certain ? ANSWER_ERROR : ANSWER_UNKNOWN;
    }
    bool sure = first.n == 0 && !g.hidden;
    bool fine = sure || ask(c, &second, to, n_results, two);
    error_clear(&c->vm->tensors.error);
    Reading reading = {c, &g, &first, &second};
    for (int i = 0; fine && i < n_results; i++)
        results[i] = read_value(&reading, one[i], sure ? one[i] : two[i]);
    drop(n_results, one);
    drop(n_results, two);
    return fine ? ANSWER_FINE : ANSWER_UNKNOWN;
}
