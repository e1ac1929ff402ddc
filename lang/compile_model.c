/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Models. The body is the constructor's code: register 0 is the new object, the parameters follow and are copied into
   hidden fields, and every name that the body assigns is a field. Names of loops in the body stay variables of the
   constructor. Methods read fields by name through register 0. */
#include <stdlib.h>
#include <string.h>

#include "compile.h"

int model_field(const Proto *model, const char *name)
{
    for (int i = 0; i < model->n_fields; i++)
        if (model->fields[i].name == name)
            return i;
    return -1;
}

static int count_declared(const Proto *p)
{
    int count = 0;
    for (int i = 0; i < p->n_fields; i++)
        count += !p->fields[i].hidden;
    return count;
}

static void add_field(Fn *fn, const char *name, FieldKind kind, bool hidden)
{
    Proto *p = fn->proto;
    int known = model_field(p, name);
    if (known >= 0) {         /* a constructor parameter that the body assigns becomes a field like others */
        if (kind != FIELD_PLAIN)
            p->fields[known].kind = (uint8_t)kind;
        if (p->fields[known].hidden)
            p->fields[known].declared = count_declared(p);
        p->fields[known].hidden = false;
        return;
    }
    FieldInfo *wider = realloc(p->fields, (size_t)(p->n_fields + 1) * sizeof *wider);
    if (!wider) {
        fn->c->failed = true;
        return;
    }
    p->fields = wider;
    int declared = count_declared(p);
    p->fields[p->n_fields++] = (FieldInfo){.name = name, .kind = (uint8_t)kind, .hidden = hidden, .declared = declared};
}

/* Declared fields in the order of the body, then the constructor's parameters. */
static void order_fields(Proto *p)
{
    int hidden = count_declared(p);
    for (int i = 0; i < p->n_fields; i++)
        p->fields[p->fields[i].hidden ? hidden++ : p->fields[i].declared].nth = i;
}

static void found_field(void *to, const char *name, Origin origin)
{
    Fn *fn = to;
    if (origin == ORIGIN_LOOP || origin == ORIGIN_FUNCTION)
        return;
    FieldKind kind = origin == ORIGIN_PARAM ? FIELD_PARAM : origin == ORIGIN_BUFFER ? FIELD_BUFFER : FIELD_PLAIN;
    add_field(fn, compile_name(fn->c, name), kind, false);
}

static void found_loop(void *to, const char *name, Origin origin)
{
    Fn *fn = to;
    const char *kept = compile_name(fn->c, name);
    if (origin != ORIGIN_LOOP || model_field(fn->proto, kept) >= 0)
        return;
    for (int i = 0; i < fn->n_bindings; i++)
        if (fn->binding[i].name == kept)
            return;
    bind(fn, kept, fn->n_locals++, true);
}

static void collect_fields(Fn *fn, const Node *model)
{
    const NodeList *body = &model->model.body;
    for (int i = 0; i < model->model.n_parameters; i++)
        add_field(fn, compile_name(fn->c, model->model.parameters[i].name), FIELD_PLAIN, true);
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind != NODE_FN)
            collect_assigned(body->at[i], found_field, fn);
    order_fields(fn->proto);
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind != NODE_FN)
            collect_assigned(body->at[i], found_loop, fn);
}

static void add_method(Fn *fn, Node *node)
{
    Proto *p = fn->proto;
    const char *name = compile_name(fn->c, node->function->name);
    if (model_field(p, name) >= 0 && !p->fields[model_field(p, name)].hidden)
        compile_error(fn->c, node->span, NULL, "%s is a field and a method of this model", name);
    Proto *method = compile_function(fn, node->function, FN_METHOD, NULL, NULL);
    if (!method)
        return;
    for (int i = 0; i < p->n_methods; i++)
        if (p->methods[i]->name == name)
            compile_error(fn->c, node->span, NULL, "this model has two methods called %s", name);
    Proto **wider = realloc(p->methods, (size_t)(p->n_methods + 1) * sizeof(Proto *));
    if (!wider) {
        fn->c->failed = true;
        proto_release(method);
        return;
    }
    p->methods = wider;
    p->methods[p->n_methods++] = method;
}

static void cell(Fn *fn, Node *node)
{
    int mark = fn->top, field = model_field(fn->proto, compile_name(fn->c, node->cell.name));
    int r = expr(fn, node->cell.value, -1);
    int32_t pc = emit3(fn, CODE_INIT_FIELD, r, field, 0, node->span);
    note_operand(fn, pc, 0, node->cell.value);
    fn->top = mark;
}

/* The parameters' names stand for registers while defaults and contracts are compiled, for fields afterwards. */
static void store_parameters(Fn *fn, const Node *model)
{
    for (int i = 0; i < model->model.n_parameters; i++) {
        const char *name = compile_name(fn->c, model->model.parameters[i].name);
        for (int j = 0; j < fn->n_bindings; j++)
            if (fn->binding[j].name == name)
                fn->binding[j].name = "";
        emit3(fn, CODE_INIT_FIELD, 1 + i, i, 0, model->model.parameters[i].span);
    }
}

static Proto *constructor(Fn *up, Node *node)
{
    Compiler *c = up->c;
    Fn fn;
    if (!fn_open(c, up, &fn, FN_CONSTRUCTOR, node->model.name, node->model.header))
        return NULL;
    Proto *p = fn.proto;
    int n = node->model.n_parameters;
    p->signature = signature_text(c, node->model.name, n, node->model.parameters);
    p->doc = node->model.doc ? strdup(node->model.doc) : NULL;
    p->has_self = p->is_constructor = true;
    fn.model = p;
    bind(&fn, compile_name(c, "self"), 0, true);
    flow_assign(&fn, 0);
    compile_parameters(&fn, n, node->model.parameters, 1);
    fn.n_locals = 1 + n;
    collect_fields(&fn, node);
    fn.top = p->n_registers = fn.n_locals;
    if (fn.n_locals > 1 + n)
        emit3(&fn, CODE_CLEAR, 1 + n, fn.n_locals - 1 - n, 0, node->model.header);
    FieldInfo *fields = p->fields;
    int n_fields = p->n_fields;
    p->n_fields = 0;          /* defaults and contracts see parameters only */
    compile_defaults(&fn, n, node->model.parameters, 1);
    contract_compile(&fn, n, node->model.parameters, 1, NULL, node->model.header);
    p->fields = fields;
    p->n_fields = n_fields;
    store_parameters(&fn, node);
    for (int i = 0; i < node->model.body.count; i++) {
        Node *statement_node = node->model.body.at[i];
        if (statement_node->kind == NODE_CELL)
            cell(&fn, statement_node);
        else if (statement_node->kind != NODE_FN)
            statement(&fn, statement_node, -1);
    }
    emit3(&fn, CODE_RETURN, 0, 0, 0, node->model.header);
    for (int i = 0; i < node->model.body.count; i++)
        if (node->model.body.at[i]->kind == NODE_FN)
            add_method(&fn, node->model.body.at[i]);
    return fn_close(&fn);
}

void model_statement(Fn *fn, Node *node)
{
    if (fn->kind != FN_MODULE) {
        compile_error(fn->c, node->span, NULL, "a model is declared outside functions");
        return;
    }
    int mark = fn->top, to = temp(fn), proto = add_proto(fn, constructor(fn, node));
    emit3(fn, CODE_MODEL, to, 0, proto, node->span);
    emit_wide(fn, CODE_SET_FUNCTION, to, (int32_t)compile_slot(fn->c, compile_name(fn->c, node->model.name)),
              node->span);
    fn->top = mark;
}
