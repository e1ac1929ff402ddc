/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parser: trees as s-expressions, errors with their places, what is incomplete, nesting, speed, and a storm of
   damaged programs. `test_parse FILE…` parses files and prints their trees instead. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lang/ast.h"
#include "../tap.h"

/* ---- trees as text ---- */

static char out[1 << 20];
static size_t n_out;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(out + n_out, sizeof out - n_out, format, arguments);
    va_end(arguments);
    n_out += (size_t)n;
    if (n_out >= sizeof out) n_out = sizeof out - 1;
}

static const char *const operators[] = {"", "+", "-", "*", "/", "//", "%", "@", "^", "++", "and", "or", "not", "neg",
                                        "==", "!=", "<", "<=", ">", ">=", "in", "not-in"};

static void dump(const Node *node);

static void dump_list(const char *head, NodeList list)
{
    put("(%s", head);
    for (int i = 0; i < list.count; i++) {
        put(" ");
        dump(list.at[i]);
    }
    put(")");
}

static void dump_contract(const Node *node)
{
    switch (node->contract.kind) {
    case CONTRACT_ANY: put("_"); break;
    case CONTRACT_WORD: put("%s", node->contract.word); break;
    case CONTRACT_LIST: dump_list("list", node->contract.items); break;
    case CONTRACT_TUPLE: dump_list("tuple", node->contract.items); break;
    case CONTRACT_OPTIONAL: dump_list("?", node->contract.items); break;
    case CONTRACT_SHAPE:
        put("%s[", node->contract.word ? node->contract.word : "");
        for (int i = 0; i < node->contract.n_axes; i++) {
            const Axis *axis = &node->contract.axes[i];
            put("%s%s", i ? " " : "", axis->forced ? "=" : "");
            if (axis->kind == AXIS_ANY) put("_");
            else if (axis->kind == AXIS_REST) put("...");
            else if (axis->kind == AXIS_PACK) put("..%s", axis->name);
            else dump(axis->size);
            if (axis->or_one) put("|1");
        }
        put("]");
    }
}

static void dump_parameters(int count, const Parameter *parameters)
{
    put("(");
    for (int i = 0; i < count; i++) {
        const Parameter *parameter = &parameters[i];
        put("%s%s%s", i ? " " : "", parameter->rest ? ".." : parameter->named_rest ? "..map:" : "", parameter->name);
        if (parameter->contract) {
            put(":");
            dump_contract(parameter->contract);
        }
        if (parameter->fallback) {
            put("=");
            dump(parameter->fallback);
        }
    }
    put(")");
}

static void dump_function(const char *head, const Function *function)
{
    put("(%s %s", head, function->name ? function->name : "");
    dump_parameters(function->n_parameters, function->parameters);
    if (function->result) {
        put(" -> ");
        dump_contract(function->result);
    }
    if (function->doc) put(" '%s'", function->doc);
    put(" ");
    dump(function->body);
    put(")");
}

static void dump_clauses(int count, const ForClause *clauses)
{
    for (int i = 0; i < count; i++) {
        put(" for ");
        dump(clauses[i].target);
        put(" ");
        dump(clauses[i].iterable);
        if (clauses[i].condition) {
            put(" if ");
            dump(clauses[i].condition);
        }
    }
}

static void dump_call(const Node *node)
{
    put("(call ");
    dump(node->call.callee);
    for (int i = 0; i < node->call.count; i++) {
        put(" ");
        if (node->call.args[i].name) put("%s=", node->call.args[i].name);
        dump(node->call.args[i].value);
    }
    put(")");
}

static void dump_optional(const Node *node)
{
    if (node) dump(node);
    else put("-");
}

static void dump_pair(const char *head, const Node *a, const Node *b)
{
    put("(%s ", head);
    dump_optional(a);
    put(" ");
    dump_optional(b);
    put(")");
}

static void dump_statement(const Node *node)
{
    switch (node->kind) {
    case NODE_EXPR:
        dump(node->unary.child);
        if (node->unary.muted) put(";");
        break;
    case NODE_ASSIGN:
        put("(%s= ", operators[node->assign.op]);
        dump(node->assign.target);
        if (node->assign.contract) {
            put(":");
            dump_contract(node->assign.contract);
        }
        put(" ");
        dump(node->assign.value);
        put(node->assign.muted ? ");" : ")");
        break;
    case NODE_WHILE: dump_pair("while", node->loop.clause.condition, node->loop.body); break;
    case NODE_FOR:
        put("(for ");
        dump(node->loop.clause.target);
        put(" ");
        dump(node->loop.clause.iterable);
        put(" ");
        dump(node->loop.body);
        put(")");
        break;
    case NODE_BREAK: put("(break)"); break;
    case NODE_CONTINUE: put("(continue)"); break;
    case NODE_RETURN: case NODE_THROW:
        put(node->kind == NODE_RETURN ? "(return " : "(throw ");
        dump_optional(node->unary.child);
        put(")");
        break;
    case NODE_ASSERT: dump_pair("assert", node->binary.left, node->binary.right); break;
    case NODE_FN: dump_function("fn", node->function); break;
    case NODE_MODEL:
        put("(model %s", node->model.name);
        dump_parameters(node->model.n_parameters, node->model.parameters);
        if (node->model.doc) put(" '%s'", node->model.doc);
        put(" ");
        dump_list("do", node->model.body);
        put(")");
        break;
    case NODE_CELL:
        put("(%s %s ", node->cell.is_param ? "param" : "buffer", node->cell.name);
        dump(node->cell.value);
        put(")");
        break;
    case NODE_USE: put("(use %s%s as %s)", node->use.file ? "file " : "", node->use.path, node->use.name); break;
    case NODE_OPTION:
        put("(option %s ", node->option.name);
        dump(node->option.value);
        put(" '%s')", node->option.help ? node->option.help : "");
        break;
    case NODE_TEST:
        put("(test '%s' ", node->test.title);
        dump(node->test.body);
        put(")");
        break;
    default: put("?%d", (int)node->kind);
    }
}

static void dump_leaf(const Node *node)
{
    switch (node->kind) {
    case NODE_INT: put("%lld", (long long)node->integer); break;
    case NODE_FLOAT: put("%gf", node->number); break;
    case NODE_BOOL: put(node->boolean ? "true" : "false"); break;
    case NODE_NONE: put("none"); break;
    case NODE_DONE: put("done"); break;
    case NODE_ELLIPSIS: put("..."); break;
    case NODE_NAME: put("%s", node->name); break;
    case NODE_STRING: put("'%.*s'", (int)node->string.length, node->string.text); break;
    case NODE_FORMAT_ITEM:
        put("{");
        dump(node->item.value);
        if (node->item.spec) put(":%s", node->item.spec);
        put("}");
        break;
    case NODE_MEMBER:
        put("(. ");
        dump(node->member.value);
        put(" %s)", node->member.name);
        break;
    default: dump_statement(node);
    }
}

static void dump_slice(const Node *node)
{
    put("(: ");
    dump_optional(node->slice.start);
    put(" ");
    dump_optional(node->slice.stop);
    put(" ");
    dump_optional(node->slice.step);
    put(")");
}

static void dump_choice(const Node *node)
{
    put("(if ");
    dump(node->branch.condition);
    put(" ");
    dump(node->branch.then);
    if (node->branch.otherwise) put(" ");
    if (node->branch.otherwise) dump(node->branch.otherwise);
    put(")");
}

static void dump_attempt(const Node *node)
{
    put("(try ");
    dump(node->attempt.body);
    put(" %s ", node->attempt.name ? node->attempt.name : "-");
    dump_optional(node->attempt.handler);
    put(" ");
    dump_optional(node->attempt.finally);
    put(")");
}

static void dump(const Node *node)
{
    switch (node->kind) {
    case NODE_CONTRACT: dump_contract(node); break;
    case NODE_FORMAT: dump_list("fmt", node->list); break;
    case NODE_LIST: dump_list("list", node->list); break;
    case NODE_TUPLE: dump_list("tuple", node->list); break;
    case NODE_MAP: dump_list("map", node->list); break;
    case NODE_BLOCK: dump_list("do", node->list); break;
    case NODE_ENTRY: dump_pair(":", node->binary.left, node->binary.right); break;
    case NODE_RANGE: dump_pair("..", node->binary.left, node->binary.right); break;
    case NODE_PIPE: dump_pair("|>", node->binary.left, node->binary.right); break;
    case NODE_BINARY: dump_pair(operators[node->binary.op], node->binary.left, node->binary.right); break;
    case NODE_SPREAD: case NODE_UNARY:
        put("(%s ", node->kind == NODE_SPREAD ? ".." : operators[node->unary.op]);
        dump(node->unary.child);
        put(")");
        break;
    case NODE_COMPREHENSION:
        put("(all ");
        if (node->comprehension.key) dump(node->comprehension.key);
        if (node->comprehension.key) put(": ");
        dump(node->comprehension.element);
        dump_clauses(node->comprehension.count, node->comprehension.clauses);
        put(")");
        break;
    case NODE_COMPARE:
        put("(cmp ");
        for (int i = 0; i < node->compare.count; i++) {
            if (i) put(" %s ", operators[node->compare.ops[i - 1]]);
            dump(node->compare.operands[i]);
        }
        put(")");
        break;
    case NODE_CALL: dump_call(node); break;
    case NODE_INDEX:
        put("(at ");
        dump(node->index.value);
        for (int i = 0; i < node->index.subscripts.count; i++) {
            put(" ");
            dump(node->index.subscripts.at[i]);
        }
        put(")");
        break;
    case NODE_SLICE: dump_slice(node); break;
    case NODE_LAMBDA: dump_function("->", node->function); break;
    case NODE_IF: dump_choice(node); break;
    case NODE_TRY: dump_attempt(node); break;
    default: dump_leaf(node);
    }
}

static Parse *parse_text(const char *text, size_t length, bool at_prompt)
{
    Source *source = source_new("test", text, length, false);
    Parse *parse = source ? parse_source(source, at_prompt) : NULL;
    source_release(source);
    return parse;
}

static const char *tree_of(const Parse *parse)
{
    n_out = 0;
    out[0] = 0;
    for (int i = 0; i < parse->statements.count; i++) {
        if (i) put(" ");
        dump(parse->statements.at[i]);
    }
    return out;
}

/* ---- the tests ---- */

static void expect_tree(const char *text, const char *tree)
{
    Parse *parse = parse_text(text, strlen(text), false);
    bool fine = parse && !parse->errors && strcmp(tree_of(parse), tree) == 0;
    tap_ok(fine, "tree of %.60s", text[strcspn(text, "\n")] ? "several lines" : text);
    if (!fine) tap_note("text %s\n# want %s\n# got  %s", text, tree, parse ? tree_of(parse) : "nothing");
    if (parse && parse->errors) tap_note("error %s", parse->errors->message);
    parse_free(parse);
}

/* [expected]: "line:column message" of each error, joined with " | "; a hint follows in < >. */
static void expect_errors(const char *text, const char *expected)
{
    Parse *parse = parse_text(text, strlen(text), false);
    n_out = 0;
    out[0] = 0;
    for (SyntaxError *error = parse ? parse->errors : NULL; error; error = error->next) {
        uint32_t line, column;
        source_locate(parse->source, error->span.start, &line, &column);
        put("%s%u:%u %s", error == parse->errors ? "" : " | ", line, column, error->message);
        if (error->hint[0]) put(" <%s>", error->hint);
    }
    bool fine = parse && strcmp(out, expected) == 0;
    tap_ok(fine, "error %.50s", expected);
    if (!fine) tap_note("text %s\n# want %s\n# got  %s", text, expected, out);
    parse_free(parse);
}

static void expect_complete(const char *text, int indent)      /* -1: complete or wrong */
{
    Parse *parse = parse_text(text, strlen(text), true);
    int got = parse && parse->incomplete ? parse->indent : -1;
    if (!tap_ok(got == indent, "completeness of %.40s", text)) tap_note("want %d, got %d", indent, got);
    parse_free(parse);
}

static void test_expressions(void)
{
    expect_tree("1 + 2 * 3", "(+ 1 (* 2 3))");
    expect_tree("-x^2", "(neg (^ x 2))");
    expect_tree("2^-3^2", "(^ 2 (neg (^ 3 2)))");
    expect_tree("-x @ y", "(@ (neg x) y)");
    expect_tree("a - b - c // d % e", "(- (- a b) (% (// c d) e))");
    expect_tree("not a == b and c or d", "(or (and (not (cmp a == b)) c) d)");
    expect_tree("a < b <= c", "(cmp a < b <= c)");
    expect_tree("(a < b) < c", "(cmp (cmp a < b) < c)");
    expect_tree("x in 0..5", "(cmp x in (.. 0 5))");
    expect_tree("x not in xs == y", "(cmp x not-in xs == y)");
    expect_tree("a ++ b + c..d", "(.. (++ a (+ b c)) d)");
    expect_tree("x |> f(a) |> g", "(|> (|> x (call f a)) g)");
    expect_tree("x -> x |> f", "(-> (x) (|> x f))");
    expect_tree("(x, y=2) -> { x }", "(-> (x y=2) (do x))");
    expect_tree("() -> (..xs) -> xs", "(-> () (-> (..xs) xs))");
    expect_tree("f(x -> x + 1, key=y -> y)", "(call f (-> (x) (+ x 1)) key=(-> (y) y))");
    expect_tree("(a), (a,), ()", "(tuple a (tuple a) (tuple))");
    expect_tree("x.T.f(1)[0].in", "(. (at (call (. (. x T) f) 1) 0) in)");
    expect_tree("x[i, a:b, ..., :, ::2, 1:, :-1, none]",
                "(at x i (: a b -) ... (: - - -) (: - - 2) (: 1 - -) (: - (neg 1) -) none)");
    expect_tree("{a: 1, \"b c\": 2, [k]: v, ..m, if: 3, 4: 5, true: 6, (1, 2): 7}",
                "(map (: 'a' 1) (: 'b c' 2) (: k v) (.. m) (: 'if' 3) (: 4 5) (: true 6) (: (tuple 1 2) 7))");
    expect_tree("{}", "(map)");
    expect_tree("[1, ..xs, 2,]", "(list 1 (.. xs) 2)");
    expect_tree("[x^2 for x in xs if x > 1 for (i, y) in x]",
                "(all (^ x 2) for x xs if (cmp x > 1) for (tuple i y) x)");
    expect_tree("{k: v for k, v in m if a if b}", "(all k: v for (tuple k v) m if (and a b))");
    expect_tree("{[k ++ \"a\"]: v for k in m}", "(all (++ k 'a'): v for k m)");
    expect_tree("f(..xs, a=1, ..m)", "(call f (.. xs) a=1 (.. m))");
    expect_tree("if a { 1 } else if b { 2 } else { 3 }", "(if a (do 1) (if b (do 2) (do 3)))");
    expect_tree("x = if a { 1 } else { {b: 1} }", "(= x (if a (do 1) (do (map (: 'b' 1)))))");
    expect_tree("try { f() } catch e { 0 } finally { g() }", "(try (do (call f)) e (do 0) (do (call g)))");
    expect_tree("while x { break; continue }", "(while x (do (break) (continue)))");
    expect_tree("train = test + model.option", "(= train (+ test (. model option)))");
}

static void test_literals(void)
{
    expect_tree("1_000; 0xff; 0b101; 0o17; 1e-3; 1.; 1.5; .5; 2.5E+2", "1000; 255; 5; 15; 0.001f; 1f; 1.5f; 0.5f; 250f");
    expect_tree("1..3", "(.. 1 3)");
    expect_tree("1.T", "(. 1 T)");
    expect_tree("[1., 2.]", "(list 1f 2f)");
    expect_tree("9223372036854775807", "9223372036854775807");
    expect_tree("-9223372036854775808", "-9223372036854775808");
    expect_tree("\"a\\n\\t\\\"\\\\\\u{e9}\"", "'a\n\t\"\\\xC3\xA9'");
    expect_tree("'raw \\n {x}'", "'raw \\n {x}'");
    expect_tree("\"a{x:.3f}b{{c}}{y + 1}\"", "(fmt 'a' {x:.3f} 'b{c}' {(+ y 1)})");
    expect_tree("\"{m[\"k\"]}{f({a: 1}, x -> {x})}\"",
                "(fmt {(at m 'k')} {(call f (map (: 'a' 1)) (-> (x) (do x)))})");
    expect_tree("\"\"", "''");
    expect_tree("true; false; none; done", "true; false; none; done");
    expect_tree("\xCE\xB8 = \xCE\xB1_1", "(= \xCE\xB8 \xCE\xB1_1)");
    expect_tree("\xEF\xBB\xBFx", "x");
}

static void test_statements(void)
{
    expect_tree("a = 1; b += 2\nc[0] //= 3;", "(= a 1); (+= b 2) (//= (at c 0) 3);");
    expect_tree("a, b = b, a", "(= (tuple a b) (tuple b a))");
    expect_tree("(a, [b, ..c]) = f()", "(= (tuple a (list b (.. c))) (call f))");
    expect_tree("self.x = 1; m.k[2] ++= [3]", "(= (. self x) 1); (++= (at (. m k) 2) (list 3))");
    expect_tree("y: f32[b, 2*k] = x", "(= y:f32[b (* 2 k)] x)");
    expect_tree("x = a +\n  b", "(= x (+ a b))");
    expect_tree("x = f\n  .g(1)\n  |> h\ny", "(= x (|> (call (. f g) 1) h)) y");
    expect_tree("x\n(y)\n[z]\n-w", "x y (list z) (neg w)");
    expect_tree("f(\n a,\n b\n)", "(call f a b)");
    expect_tree("[1,\n\n 2 # two\n]", "(list 1 2)");
    expect_tree("m = {\n a: 1,\n b: 2,\n}", "(= m (map (: 'a' 1) (: 'b' 2)))");
    expect_tree("for i, (x, y) in zip(a, b) { x; }", "(for (tuple i (tuple x y)) (call zip a b) (do x;))");
    expect_tree("if x\n{\n a\n b }\nelse { c }", "(if x (do a b) (do c))");
    expect_tree("return_ = 1; in_ = 2", "(= return_ 1); (= in_ 2)");
    expect_tree("fn f() { return }\nfn g() { return 1, 2 }", "(fn f() (do (return -))) (fn g() (do (return (tuple 1 2))))");
    expect_tree("throw \"no {x}\"; assert a == b, \"msg\"", "(throw (fmt 'no ' {x})) (assert (cmp a == b) 'msg')");
    expect_tree("use nn; use \"./my_m.tsr\" as m; use '../a.tsr'", "(use nn as nn) (use file ./my_m.tsr as m) (use file ../a.tsr as a)");
    expect_tree("option lr = 1e-3 \"rate\"\noption name = \"x\" \"help\"", "(option lr 0.001f 'rate') (option name 'x' 'help')");
    expect_tree("test \"adds\" { assert 1 + 1 == 2 }", "(test 'adds' (do (assert (cmp (+ 1 1) == 2) -)))");
    expect_tree("param = buffer; model = use(test)", "(= param buffer); (= model (call use test))");
}

static void test_declarations(void)
{
    expect_tree("## Adds.\n##  More\nfn f(x: [b, d|1]?, y=2) -> [b] = x + y",
                "(fn f(x:(? [b d|1]) y=2) -> [b] 'Adds.\n More' (+ x y))");
    expect_tree("fn f(x: [..., _, =N], y: [..a], s: str, g: fn, l: list([b, d]), t: ([k], int), m: nn.Linear) = 1",
                "(fn f(x:[... _ =N] y:[..a] s:str g:fn l:(list [b d]) t:(tuple [k] int) m:nn.Linear) 1)");
    expect_tree("fn f(a, ..xs, key=1, ..opts: map) { a }", "(fn f(a ..xs key=1 ..map:opts:map) (do a))");
    expect_tree("fn f(..a, ..b) = a", "(fn f(..a ..map:b) a)");
    expect_tree("fn f() -> [b]\n{\n 1\n}", "(fn f() -> [b] (do 1))");
    expect_tree("fn f(x) =\n  x, 1", "(fn f(x) (tuple x 1))");
    expect_tree("## M\nmodel M(d, k=2) { param w = ones(d); buffer b = 0; l = L(d)\n fn forward(x) = x }",
                "(model M(d k=2) 'M' (do (param w (call ones d)) (buffer b 0) (= l (call L d)) (fn forward(x) x)))");
    expect_tree("model E { if a { param w = 1 } }", "(model E() (do (if a (do (param w 1)))))");
}

static void test_errors(void)
{
    expect_errors("x = (1 + 2\ny = 3", "1:5 this ( is not closed <members are separated by commas, over several lines too>");
    expect_errors("x = 1 +", "1:8 expected a value, but the text ends here");
    expect_errors("x = )\ny = *\nz", "1:5 expected a value, found ')' | 2:5 expected a value, found '*'");
    expect_errors("fn f() {\n  x = 1 2\n  y = ]\n}\nz = = 3",
                  "2:9 expected a new line or ';', found a number | 3:7 expected a value, found ']' | "
                  "5:5 an assignment has no value <compare with ==; assigning is a statement of its own>");
    expect_errors("x = 99999999999999999999", "1:5 this int is too large <ints have 64 bits; write it as a float, such as 1e19>");
    expect_errors("x = 9223372036854775808",
                  "1:5 this int is too large <ints have 64 bits; write it as a float, such as 1e19>");
    expect_errors("3x", "1:1 letters follow this number directly <a name cannot begin with a digit; a product needs its *: 2*x>");
    expect_errors("x = \"abc\ny = 1", "1:5 this string is not closed <a string ends on its line with \"; a new line inside it is written \\n>");
    expect_errors("x = \"a{b + \ny = 1", "1:5 this string is not closed <a string and its {…} end on the line where they begin>");
    expect_errors("ok = 1\nx = \"\xFF\"", "2:6 broken UTF-8: byte 0xFF <sources are UTF-8; iconv -f LATIN1 -t UTF-8 converts>");
    expect_errors("\"\\d+\"", "1:2 this escape is unknown <a backslash is written \\\\; in raw strings '…' it needs nothing>");
    expect_errors("\"{}\"", "1:3 nothing stands between { and } <a brace itself is written {{>");
    expect_errors("f() = 3", "1:1 a call cannot be assigned to <a function is declared by: fn f(x) = …>");
    expect_errors("a = b = c", "1:7 an assignment has no value <write two statements>");
    expect_errors("x = f(\"a\n", "1:7 this string is not closed <a string ends on its line with \"; a new line inside it is written \\n>");
    expect_errors("}", "1:1 this } closes nothing");
    expect_errors("a == not b", "1:6 'not' binds looser than the operator before it <put it in parentheses: (not x)>");
    expect_errors("a + x -> y", "1:7 a lambda cannot stand behind an operator <put the lambda in parentheses: (x -> …)>");
    expect_errors("fn f(a=1, b) = a", "1:11 'b' has no default but stands after one that has <give it a default, or move it before those that have one>");
    expect_errors("fn f(a, a) = a", "1:9 two parameters are called 'a'");
    expect_errors("param w = 1", "1:1 param stands only in a model's body <declare it in the body of a model>");
    expect_errors(".foo", "1:1 nothing stands before this . <it continues a value: put it behind one>");
    expect_errors("for = 3", "1:1 'for' is a word of the language <choose another name>");
}

static void test_habits(void)
{
    static const char colon[] = " <a block stands in braces: { … }>";
    char text[300];
    expect_errors("def f(x):\n    return x\ny = 1", "1:1 there is no def <a function is: fn name(x) { … }>");
    expect_errors("x = None; ", "1:5 there is no None <write none>");
    expect_errors("if x {\n} elif y {\n}", "2:3 there is no elif <write else if>");
    snprintf(text, sizeof text, "1:5 expected '{' after the condition%s", colon);
    expect_errors("if x:\n    y = 1\n    z = )\nw = 2", text);
    expect_errors("if x = 3 { y }", "1:6 an assignment has no value <compare with ==>");
    expect_errors("for (i = 0; i < 3; i++) { x }", "1:5 the head of 'for' stands without parentheses <a loop is: for i in 0..n { … }>");
    expect_errors("for (x in xs) { x }", "1:5 the head of 'for' stands without parentheses <a loop is: for i in 0..n { … }>");
    expect_errors("i++\nj--", "1:2 there is no ++ that counts up <write i += 1> | 2:2 there is no -- <write i -= 1>");
    expect_errors("a && b\nc || d\n!e", "1:3 there is no && <write and> | 2:3 there is no || <write or> | 3:1 there is no ! <write not>");
    expect_errors("x ** 2\nf(**k)", "1:3 there is no ** <powers are x ^ 2; arguments are spread by ..> | "
                  "2:3 there is no ** <powers are x ^ 2; arguments are spread by ..>");
    expect_errors("import torch as th", "1:1 there is no import <standard modules (nn, data …) need no "
                  "import; a file is loaded by: use \"./file.tsr\" as name>");
    expect_errors("let x = 3", "1:1 there is no let <a variable is made by assigning: name = value>");
    expect_errors("f = lambda x: x", "1:5 there is no lambda <a lambda is: x -> …>");
    expect_errors("x = 3 // three of", "1:16 expected a new line or ';', found 'of' <// divides and rounds down; comments begin with #>");
    expect_errors("// text", "1:1 expected a value, found '//' <comments begin with #>");
    expect_errors("/* text */", "1:1 expected a value, found '/' <comments begin with #>");
    expect_errors("class A(B) { }", "1:1 there is no class <models are declared by: model Name(x) { … }>");
    expect_errors("x = a if c else b", "1:7 expected a new line or ';', found 'if' <a choice is a value too: if c { a } else { b }>");
    expect_errors("sum(x for x in xs)", "1:7 a comprehension stands in [ ] <put the comprehension in brackets: sum([x^2 for x in xs])>");
    expect_errors("print \"a\"", "1:7 expected a new line or ';', found a string <a call has parentheses: print(x)>");
    expect_errors("f\"a{x}\"", "1:1 strings take no letter in front <\"…{x}…\" shows values by itself; '…' is raw>");
    expect_errors("x -> {a: 1}", "1:8 a contract follows ':', such as x: [b, d] = … <a map after -> needs parentheses: x -> ({a: 1})>");
    expect_errors("model M(d) { fn f(self, x) = x }", "1:19 self is no parameter <leave self out: methods see it>");
    expect_errors("try { } except e { }", "1:9 there is no except <errors are caught by: try { … } catch e { … }>");
}

static void test_completeness(void)
{
    expect_complete("1 + 1", -1);
    expect_complete("", -1);
    expect_complete("fn f(x) {", 4);
    expect_complete("fn f(x) {\n  if x {", 8);
    expect_complete("f(1,", 4);
    expect_complete("f([{", 4);
    expect_complete("x = 1 +", 4);
    expect_complete("if x", 4);
    expect_complete("if x { 1 }", -1);
    expect_complete("fn f(x)", 4);
    expect_complete("try { 1 }", 4);
    expect_complete("x = \"abc", -1);
    expect_complete("x = ) + (", -1);
    expect_complete(".sum()", -1);
    expect_complete("|> f", -1);
    Parse *parse = parse_text(".a\n.b", 5, true);
    tap_ok(parse && !parse->errors && strcmp(tree_of(parse), "(. (. _ a) b)") == 0, "a prompt's line goes on from _");
    parse_free(parse);
}

/* ---- nesting, speed, damage ---- */

static char *repeated(const char *before, const char *piece, int times, const char *after)
{
    size_t n = strlen(piece), head = strlen(before), tail = strlen(after);
    char *text = malloc(head + n * (size_t)times + tail + 1), *at = text;
    if (!text) return NULL;
    memcpy(at, before, head);
    for (at += head; times > 0; times--, at += n) memcpy(at, piece, n);
    memcpy(at, after, tail + 1);
    return text;
}

static void expect_bounded(const char *name, const char *before, const char *piece, const char *after, bool fine)
{
    char *text = repeated(before, piece, 100000, after);
    clock_t start = clock();
    Parse *parse = text ? parse_text(text, strlen(text), false) : NULL;
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    tap_ok(parse && !parse->errors == fine && seconds < 5, "100,000 times %s", name);
    parse_free(parse);
    free(text);
}

static void test_nesting(void)
{
    static const char *const pieces[] = {"(", "[", "{", "{a:", "-", "not ", "x^", "x -> ", "if x { ", "fn f() { ", "\"{", "f(",
                                         "x[", "() -> { ", "if x {} else ", "try { ", "model M { ", "for (", "fn f(x: (",
                                         "fn f(x=", "a: [", "x = ", "a.b", "a(b)", "a + ", "a |> ", "a ++ ", "[for x in "};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) expect_bounded(pieces[i], "", pieces[i], "", false);
    expect_bounded("a comparison", "a", " < a", "", true);
    expect_bounded("a list's member", "[", "1, ", "]", true);
    expect_bounded("a statement", "", "x = f(1)\n", "", true);
}

static void test_speed(void)
{
    static const char body[] = "fn step_N(net, batch, rate=1e-3) {\n    loss = nn.cross_entropy(net(batch.image), batch.label)\n"
                               "    if loss > 3.5 and batch.size != 0 { print(\"high {loss:.3f}\") }\n    x = [i^2 for i in 0..10]\n"
                               "    loss * rate\n}\n";
    char *text = repeated("", body, 167, "");
    clock_t start = clock();
    Parse *parse = text ? parse_text(text, strlen(text), false) : NULL;
    double ms = (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC;
    tap_ok(parse && !parse->errors && ms < 60, "1,000 lines are parsed in a few milliseconds");
    tap_note("%.2f ms", ms);
    parse_free(parse);
    free(text);
}

static const char *const corpus[] = {
    "fn attention(q: [..., t, d], k: [..., s, d]?) -> [..., t, d] =\n    softmax(q @ k.T / sqrt(d), -1) @ v # why\n",
    ("## Doc\nmodel Block(dim, heads=3, ..rest) {\n n1 = nn.LayerNorm(dim);  qkv = 3\n param scale = ones(dim)\n"
    " fn forward(x: f32[b, t|1, =dim]) -> ([b], list(int)) {\n (q, k, ..v) = f(x, \"b t (three h d)\", three=3)\n x + q\n }\n}\n"),
    "for i, batch in progress(train.batches(256, shuffle=true)) { loss = opt.step(() -> { x[i, 1:2, ..., ::2] }) }",
    "try { throw \"a{x:.3f}{{b}}{m[\"k\"]}\\u{e9}\" } catch e { e.kind } finally { if a { 1 } else if b { 2 } else { 3 } }",
    "m = {a: 1, \"b\": 2, [k]: v, ..n}; l = [x^2 for (x, y) in zip(a, b) if x not in y]\n  .f()\n |> g(1, h=2)\nz: [b] = 0x1f",
    "use \"./a.tsr\" as m; option lr = 1e-3 \"rate\"; test \"t\" { assert a < b <= c, 'raw' }\nwhile not x { break; continue }",
};

/* A small generator of its own: the same damage everywhere. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void test_damage(void)
{
    uint32_t state = 12345;
    int parsed = 0, lost = 0;
    clock_t start = clock();
    for (size_t c = 0; c < sizeof corpus / sizeof *corpus; c++) {
        size_t length = strlen(corpus[c]);
        char *text = malloc(length + 1);
        if (!text) return;
        for (size_t cut = 0; cut <= length; cut++) {
            memcpy(text, corpus[c], length);
            Parse *parse = parse_text(text, cut, cut % 2);
            if (!parse || (parse->incomplete && !parse->errors)) lost++;
            parse_free(parse);
            parsed++;
        }
        for (int round = 0; round < 1500; round++) {
            memcpy(text, corpus[c], length);
            for (uint32_t flips = 1 + next_random(&state) % 4; flips > 0; flips--) {
                static const char likely[] = "(){}[]\"'\n;:,.=->|x1+*^@#?\\ \xC3\xFF";
                size_t at = next_random(&state) % length;
                uint32_t what = next_random(&state);
                text[at] = what % 4 ? likely[what / 4 % (sizeof likely - 1)] : (char)(what >> 8);
            }
            Parse *parse = parse_text(text, length, false);
            lost += !parse;
            if (parse) tree_of(parse);
            parse_free(parse);
            parsed++;
        }
        free(text);
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    tap_ok(lost == 0 && seconds < 60, "%d damaged programs are parsed without harm", parsed);
}

static int show_files(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        static char text[1 << 20];
        size_t length = file ? fread(text, 1, sizeof text, file) : 0;
        if (file) fclose(file);
        Parse *parse = parse_text(text, length, false);
        for (SyntaxError *error = parse ? parse->errors : NULL; error; error = error->next) {
            uint32_t line, column;
            source_locate(parse->source, error->span.start, &line, &column);
            printf("%s:%u:%u %s (%s)\n", argv[i], line, column, error->message, error->hint);
            failed = 1;
        }
        if (parse) printf("%s\n", tree_of(parse));
        parse_free(parse);
    }
    return failed;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return show_files(argc, argv);
    test_expressions();
    test_literals();
    test_statements();
    test_declarations();
    test_errors();
    test_habits();
    test_completeness();
    test_nesting();
    test_speed();
    test_damage();
    return tap_end();
}
