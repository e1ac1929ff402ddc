# SPDX-License-Identifier: GPL-3.0-or-later
"""Every feature of the language server, over the real process. `features WORD…` runs the tests whose names contain one."""
import os
import random
import re
import subprocess
import tempfile

from harness import TESSERA, Client, Refused, apply, ok, place, run_tests, same, span

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="tessera-lsp-"))
os.environ["XDG_CACHE_HOME"] = os.path.join(FOLDER, "cache")
QUICKFIX = {"diagnostics": []}

MODEL = '''use "./other.tsr" as other

## Scales x by a factor.
fn scale(x: [n, d], factor=2.0) -> [n, d] {
    total = sum(x, 0)
    x * total
}
model Net(inputs, outputs) {
    param w = zeros(outputs, inputs)
    bias = zeros(outputs)
    fn forward(x: [rows, inputs]) {
        h = x @ w.T + self.bias
        relu(h)
    }
}
net = Net(784, 10)
out = net(ones(32, 784))
small = scale(out, factor=3.)
    |> softmax(-1)
    |> mean(0)
layer = nn.Linear(3, 4)
z = layer(ones(2, 3))
doubled = [item * 2 for item in [1, 2, 3]]
plus = other.helper(small)
try { net.w } catch problem { print(problem) }
'''
OTHER = "## Adds one.\nfn helper(x) = x + 1\nfn twice(x) = helper(helper(x))\nanswer = 42\n"


def write(name, text):
    path = os.path.join(FOLDER, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", newline="") as file:
        file.write(text)
    return "file://" + path.replace(" ", "%20")


def session(**more):
    write("other.tsr", OTHER)
    client = Client()
    client.initialize(FOLDER, **more)
    return client


def opened(text, name="main.tsr", client=None, **more):
    client = client or session(**more)
    uri = "file://" + os.path.join(FOLDER, name)
    client.open(uri, text)
    return client, uri


def where(text, word, nth=1):
    start = span(text, word, nth)["start"]
    return start["line"], start["character"]


def hover(client, uri, text, word, nth=1):
    found = client.at("hover", uri, *where(text, word, nth))
    return found["contents"]["value"] if found else None


def labels(client, uri, line, character):
    return [item["label"] for item in client.at("completion", uri, line, character)["items"]]


def complete(text, client=None):
    """The items at § in a text."""
    plain, line, character = place(text, "§")
    client, uri = opened(plain, client=client)
    items = client.at("completion", uri, line, character)["items"]
    return client, items


# ---- life ----

def test_life():
    client = Client()
    refusal = client.refused("textDocument/hover", textDocument={"uri": "file:///x"}, position={"line": 0, "character": 0})
    same(getattr(refusal, "code", refusal), -32002, "a request before initialize is refused")
    result = client.initialize(FOLDER)
    same(result["serverInfo"]["name"], "tessera", "initialize says who answers")
    same(getattr(client.refused("initialize", capabilities={}), "code", None), -32600, "a second initialize is refused")
    same(getattr(client.refused("no/such"), "code", None), -32601, "an unknown method is refused")
    client.notify("no/such", x=1)
    client.notify("$/setTrace", value="verbose")
    same(client.request("workspace/symbol", query="nothing called so"), [], "unknown notifications are passed over")
    ok(client.wait_note(lambda n: n["method"] == "$/logTrace"), "the trace is told of")
    same(client.request("shutdown"), None, "shutdown is answered")
    same(getattr(client.refused("workspace/symbol", query=""), "code", None), -32600, "after shutdown requests are refused")
    same(client.end(), 0, "exit after shutdown: status 0")
    client = Client()
    client.initialize()
    same(client.end(), 1, "exit without shutdown: status 1")
    client = Client()
    client.process.stdin.close()
    same(client.process.wait(60), 1, "the end of the input: status 1")


def test_parent():
    import subprocess
    parent = subprocess.Popen(["true"])
    parent.wait()
    client = Client()
    client.request("initialize", processId=parent.pid, capabilities={})
    same(client.process.wait(60), 1, "the server ends when its parent is gone")


def test_encodings():
    for offered, wanted, column in ((None, "utf-16", 9), (["utf-8", "utf-16"], "utf-8", 13), (["utf-32"], "utf-32", 8),
                                    (["utf-7", "utf-16"], "utf-16", 9)):
        client = Client()
        capabilities = {"general": {"positionEncodings": offered}} if offered else {}
        result = client.request("initialize", processId=None, capabilities=capabilities)
        same(result["capabilities"]["positionEncoding"], wanted, f"of {offered} {wanted} is taken")
        client.notify("initialized")
        client.open("file:///e.tsr", 'y = "😀é"; y\n')
        found = client.at("definition", "file:///e.tsr", 0, column + 2)
        same(found and found["range"]["end"]["character"], 1, f"{wanted}: a place behind astral characters")
        client.change("file:///e.tsr", 2, {"range": {"start": {"line": 0, "character": column + 1},
                                                     "end": {"line": 0, "character": column + 2}}, "text": "  nonsuch"})
        found = [d for d in client.latest("file:///e.tsr", 2) if d["code"] == "name"]
        ok(found and found[0]["range"]["start"]["line"] == 0, f"{wanted}: an edit behind them", client.diagnostics)
        client.close()


# ---- diagnostics ----

def test_diagnostics():
    text = "x = ones(2, 3)\ny = x @ x\nz = softmix(x)\n"
    client, uri = opened(text)
    found = client.published(uri)
    same([d["code"] for d in found], ["shape", "name"], "what is wrong is published")
    same(found[0]["range"], {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 9}}, "with its range")
    same(found[0]["severity"], 1, "errors are errors")
    ok("did you mean softmax?" in found[1]["message"], "the hint is part of the message", found)
    link = found[0].get("codeDescription", {}).get("href", "")
    ok(link.endswith("errors/shape.md") and os.path.exists(link[7:]), "a page about the kind of error is named", link)
    actions = client.request("textDocument/codeAction", textDocument={"uri": uri}, range=found[1]["range"],
                             context={"diagnostics": found})
    same([a["title"] for a in actions], ["Write softmax"], "a suggestion is a quick fix")
    same(apply(text, actions[0]["edit"]["changes"][uri]), text.replace("softmix", "softmax"), "that mends the text")
    client.change(uri, 2, {"text": "x = 1\n"})
    same(client.published(uri, 2), [], "what is mended is published as nothing")
    client.change(uri, 3, {"text": "fn f(x: [n, 3]) = x @ x\nfn g(y) = f(y)\nf(ones(2, 4))\n"})
    found = client.published(uri, 3)
    ok(any("relatedInformation" in d for d in found), "where it fails inside a function is related", found)
    client.change(uri, 4, {"text": "fn f(x) {\n    return 1\n    x + 1\n}\n"})
    found = client.published(uri, 4)
    same([(d["severity"], d.get("tags")) for d in found], [(2, [1])], "warnings of what nothing reaches are grey")
    client.notify("textDocument/didClose", textDocument={"uri": uri})
    same(client.published(uri, 5), [], "closing a file takes them away")
    same(client.close(), 0, "fine at the end")


def test_used_files():
    client = session()
    main, other = "file://" + FOLDER + "/main.tsr", "file://" + FOLDER + "/other.tsr"
    client.open(main, 'use "./other.tsr" as other\nprint(other.helper(1))\n')
    same(client.published(main), [], "a used file on disk is read")
    client.open(other, OTHER.replace("helper", "assistant"))
    found = client.published(main, 2)
    ok(found and "helper" in found[0]["message"], "a change in the editor is seen where it is used", found)
    client.change(other, 2, {"text": OTHER})
    same(client.published(main, 3), [], "and its way back")
    client.notify("textDocument/didClose", textDocument={"uri": other})
    client.published(main, 4)
    write("other.tsr", "fn nothing() = 1\n")
    client.notify("workspace/didChangeWatchedFiles", changes=[{"uri": other, "type": 2}])
    ok(client.published(main, 5), "a change on disk too")
    os.remove(os.path.join(FOLDER, "other.tsr"))
    client.notify("workspace/didChangeWatchedFiles", changes=[{"uri": other, "type": 3}])
    found = client.published(main, 6)
    ok(found and found[0]["code"] == "module", "a file that is gone is an error where it is used", found)
    same(client.close(), 0, "fine at the end")


# ---- hover ----

def test_hover():
    client, uri = opened(MODEL)
    for word, nth, wanted in (("out", 1, "out: f32[32, 10]"), ("net", 1, "net: Net"), ("total", 1, "total: [d]"),
                              ("z", 1, "z: f32[2, 4]"), ("small", 1, "small: f32[10]"), ("plus", 1, "plus: f32[10]"),
                              ("scale", 2, "fn scale(x: [n, d], factor=2.0) -> [n, d]"), ("Net", 2, "model Net(inputs, outputs)"),
                              ("w", 1, "param w"), ("factor", 2, "factor=2.0"), ("item", 1, "item: int"),
                              ("w", 3, "param w: f32[10, 784]")):
        got = hover(client, uri, MODEL, word, nth)
        ok(got and wanted in got, f"hover of {word}: {wanted}", got)
    ok("Scales x by a factor." in hover(client, uri, MODEL, "scale", 2), "documentation of a function")
    ok("Adds one." in hover(client, uri, MODEL, "helper"), "documentation from another file")
    ok("e^x" in hover(client, uri, MODEL, "softmax"), "documentation of what is built in")
    ok("x @ weight.T" in hover(client, uri, MODEL, "Linear"), "documentation of the library")
    ok("module nn" in hover(client, uri, MODEL, "nn"), "a module of the library")
    same(client.at("hover", uri, 1, 0), None, "nothing where there is no name")
    same(client.close(), 0, "fine at the end")


# ---- completion ----

def test_completion():
    client, items = complete(MODEL + "net.§")
    same(sorted(i["label"] for i in items), ["bias", "forward", "inputs", "outputs", "w"], "members of an object")
    same([i.get("detail") for i in items if i["label"] == "w"], ["f32[10, 784]"], "with their shapes")
    _, items = complete(MODEL + "if net.f§ {\n}\n", client)
    same([i["label"] for i in items], ["forward"], "in the head of a block")
    _, items = complete(MODEL + "nn.Linear(3, 4).§", client)
    ok({"weight", "forward"} <= {i["label"] for i in items}, "members of a call's result")
    _, items = complete(MODEL + "other.§", client)
    same(sorted(i["label"] for i in items), ["answer", "helper", "twice"], "members of a file")
    _, items = complete(MODEL + "nn.Lin§", client)
    same([i["label"] for i in items], ["Linear"], "members of the library")
    done_item = client.request("completionItem/resolve", **items[0])
    ok("weight" in done_item["documentation"]["value"], "resolve brings documentation")
    _, items = complete(MODEL + "out.sh§", client)
    ok("shape" in [i["label"] for i in items], "members of a tensor")
    _, items = complete(MODEL + "scale(out, §", client)
    same([i["label"] for i in items][:2], ["x=", "factor="], "names of arguments come first")
    _, items = complete(MODEL + "scale(out, factor=1, §", client)
    ok("factor=" not in [i["label"] for i in items], "but not those that are given")
    _, items = complete(MODEL.replace("    relu(h)", "    relu(§"), client)
    found = [i["label"] for i in items]
    ok({"h", "x", "rows", "w", "bias", "self", "net", "softmax"} <= set(found), "locals, sizes, fields and the rest", found[:12])
    ok("total" not in found, "locals of another function are left out")
    ok(found.index("h") < found.index("net") < found.index("softmax"), "nearest first")
    _, items = complete(MODEL.replace("    relu(h)", "    self.§"), client)
    same(sorted(i["label"] for i in items), ["bias", "forward", "inputs", "outputs", "w"], "members of self")
    _, items = complete("ys = map([1], (first, second) -> fi§", client)
    ok("first" in [i["label"] for i in items], "parameters of a lambda that is not finished")
    _, items = complete('use "./§"', client)
    ok("other.tsr" in [i["label"] for i in items], "files beside the file")
    _, items = complete('x = softm§ # ', client)
    same(items[0]["label"], "softmax", "what is built in")
    edit = items[0]["textEdit"]
    same((edit["newText"], edit["range"]["start"]["character"]), ("softmax", 4), "an edit replaces the word")
    _, items = complete("# softm§", client)
    same(items, [], "nothing in a comment")
    _, items = complete("fn f(abc) {\n    x = [abc\n    y = ab§\n}\nfn g() = 1\n", client)
    ok("abc" in [i["label"] for i in items], "in a text that does not parse")
    same(client.close(), 0, "fine at the end")


def test_signature():
    client = session()
    for code, label, active in (("scale(§", "scale(x: [n, d], factor=2.0) -> [n, d]", 0),
                                ("scale(out, §", "scale(x: [n, d], factor=2.0) -> [n, d]", 1),
                                ("scale(factor=§", "scale(x: [n, d], factor=2.0) -> [n, d]", 1),
                                ("scale([1, 2], \"a,b\", §", "scale(x: [n, d], factor=2.0) -> [n, d]", 2),
                                ("softmax(out, §)", "softmax(x, axis:int=-1)", 1),
                                ("out.softmax(§", "softmax(x, axis:int=-1)", 1),
                                ("nn.Linear(2, §", "Linear(inputs, outputs, bias=true)", 1),
                                ("net(§", "forward(x: [rows, inputs])", 0), ("Net(§", "Net(inputs, outputs)", 0)):
        plain, line, character = place(MODEL + code, "§")
        _, uri = opened(plain, client=client)
        got = client.at("signatureHelp", uri, line, character)
        same(got and (got["signatures"][0]["label"], got["activeParameter"]), (label, active), f"signature: {code}")
        if got:
            first = got["signatures"][0]["parameters"][0]["label"]
            ok(label[first[0]:first[1]].startswith(label[label.index("(") + 1:].split(",")[0].rstrip(")")[:3]),
               "  with the places of parameters", first)
    plain, line, character = place("x = (1 + §", "§")
    _, uri = opened(plain, client=client)
    same(client.at("signatureHelp", uri, line, character), None, "none in plain parentheses")
    same(client.close(), 0, "fine at the end")


# ---- names ----

def test_definition():
    client, uri = opened(MODEL)
    for word, nth, to, target in (("net", 2, "net", 1), ("Net", 2, "Net", 1), ("h", 2, "h", 1), ("inputs", 3, "inputs", 1),
                                  ("bias", 2, "bias", 1), ("factor", 3, "factor", 2), ("total", 2, "total", 1),
                                  ("item", 1, "item", 2), ("problem", 2, "problem", 1), ("n", 2, "n", 1), ("w", 3, "w", 1)):
        got = client.at("definition", uri, *where(MODEL, word, nth))
        same(got and (got["uri"], got["range"]), (uri, span(MODEL, to, target)), f"definition of {word} ({nth})")
    got = client.at("definition", uri, *where(MODEL, "helper"))
    same(got, {"uri": "file://" + FOLDER + "/other.tsr", "range": span(OTHER, "helper")}, "in another file")
    got = client.at("definition", uri, 0, 8)
    same(got["uri"], "file://" + FOLDER + "/other.tsr", "the path of use leads to the file")
    got = client.at("definition", uri, *where(MODEL, "Linear"))
    path = got["uri"][7:]
    ok(path.endswith("nn/linear.tsr") and not os.access(path, os.W_OK) or os.getuid() == 0, "the library's source", path)
    line = open(path).read().split("\n")[got["range"]["start"]["line"]]
    ok(line.startswith("model Linear"), "at its declaration", line)
    same(client.at("definition", uri, *where(MODEL, "softmax")), None, "what is built in has no source")
    same(client.close(), 0, "fine at the end")


def ranges(found):
    return [(r["range"]["start"]["line"], r["range"]["start"]["character"]) for r in found]


def test_references():
    client, uri = opened(MODEL)
    got = client.at("references", uri, *where(MODEL, "bias"), context={"includeDeclaration": True})
    same(ranges(got), [where(MODEL, "bias"), where(MODEL, "bias", 2)], "a field, in the body and behind self")
    got = client.at("references", uri, *where(MODEL, "bias"), context={"includeDeclaration": False})
    same(ranges(got), [where(MODEL, "bias", 2)], "without the declaration")
    got = client.at("references", uri, *where(MODEL, "helper"), context={"includeDeclaration": True})
    same(sorted(os.path.basename(r["uri"]) for r in got), ["main.tsr", "other.tsr", "other.tsr", "other.tsr"],
         "a function of another file, in both")
    got = client.at("documentHighlight", uri, *where(MODEL, "net"))
    same([(r["range"], r["kind"]) for r in got], [(span(MODEL, "net"), 3), (span(MODEL, "net", 2), 2), (span(MODEL, "net", 3), 2)],
         "highlights tell writing from reading")
    same(client.close(), 0, "fine at the end")


def rename(client, uri, text, word, nth, name):
    line, character = where(text, word, nth)
    changes = client.at("rename", uri, line, character, newName=name)["changes"]
    return apply(text, changes.get(uri, [])), changes


def test_rename():
    client, uri = opened(MODEL)
    for word, nth, name, count in (("scale", 1, "scaled", 2), ("total", 1, "sums", 2), ("n", 1, "batch", 2), ("Net", 1, "Network", 2),
                                   ("w", 1, "weight", 3), ("bias", 2, "offset", 2), ("factor", 3, "gain", 2), ("item", 2, "one", 2),
                                   ("problem", 1, "e", 2), ("h", 2, "hidden", 2), ("inputs", 1, "columns", 3), ("x", 2, "data", 0)):
        got, _ = rename(client, uri, MODEL, word, nth, name)
        ok(len(re.findall(rf"(?<!\w){name}(?!\w)", got)) == count or count == 0, f"{word} becomes {name} at {count} places", got)
    got, _ = rename(client, uri, MODEL, "inputs", 1, "columns")
    client.open("file://" + FOLDER + "/renamed.tsr", got)
    same(client.published("file://" + FOLDER + "/renamed.tsr"), [], "the renamed program is as good")
    for word, nth, name, says in (("total", 1, "x", "is taken"), ("softmax", 1, "soft", "built in"), ("Linear", 1, "L", "library"),
                                  ("total", 1, "if", "no name"), ("total", 1, "2x", "no name"), ("forward", 1, "run", "forward"),
                                  ("self", 1, "this", "self"), ("out", 1, "ones", "is taken")):
        line, character = where(MODEL, word, nth)
        refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": line, "character": character},
                                 newName=name)
        ok(says in getattr(refusal, "message", ""), f"{word} does not become {name}: {says}", refusal)
    line, character = where(MODEL, "bias")
    got = client.at("prepareRename", uri, line, character)
    same(got, {"range": span(MODEL, "bias"), "placeholder": "bias"}, "prepareRename gives the name")
    refusal = client.refused("textDocument/prepareRename", textDocument={"uri": uri}, position={"line": 1, "character": 0})
    ok("no name here" in getattr(refusal, "message", ""), "and refuses where there is none")
    text = "model A() {\n    w = 1\n    fn get() = 2\n}\nfn use_it(a) = a.w\nfn more(b) = b.get()\n"
    _, uri = opened(text, "unsure.tsr", client)
    for word in ("w", "get"):
        line, character = where(text, word)
        refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": line, "character": character},
                                 newName="v")
        ok("known" in getattr(refusal, "message", "") or "certain" in getattr(refusal, "message", ""),
           f"{word} is not renamed where the object is not known", refusal)
    text = "model A() {\n    w = 1\n}\nfn use_it(a: A) = a.w\n"
    _, uri = opened(text, "sure.tsr", client)
    got, _ = rename(client, uri, text, "w", 1, "v")
    same(got, text.replace("w = 1", "v = 1").replace("a.w", "a.v"), "a parameter's contract makes it known")
    text = "x = 1\nfn f() {\n    y = x\n    y\n}\n"
    _, uri = opened(text, "hide.tsr", client)
    refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": 2, "character": 4}, newName="x")
    ok("is taken" in getattr(refusal, "message", ""), "a local does not hide what it reads", refusal)
    text = "fn loss(x) = x + 1\nloss = loss(1)\nmodel C() {\n    fn next() = done\n}\n"
    _, uri = opened(text, "both.tsr", client)
    for word, says in (("loss", "a variable and a function"), ("next", "stream")):
        line, character = where(text, word)
        refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": line, "character": character},
                                 newName="other")
        ok(says in getattr(refusal, "message", ""), f"{word}: {says}", refusal)
    for call in ("f(..{first: 4})", "options = load(path)\nf(..options)"):
        text = "fn f(first, second=1) = first\nfn more(path) {\n    " + call.replace("\n", "\n    ") + "\n}\n"
        _, uri = opened(text, "spread.tsr", client)
        refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": 0, "character": 5}, newName="a")
        ok("line" in getattr(refusal, "message", ""), f"no parameter that may be spread: {call}", refusal)
    same(client.close(), 0, "fine at the end")


def declared(client, uri):
    """Where names are declared that could be renamed, as line, column, length."""
    data = client.request("textDocument/semanticTokens/full", textDocument={"uri": uri})["data"]
    line = column = 0
    for i in range(0, len(data), 5):
        down, right, length, kind, modifiers = data[i:i + 5]
        line, column = line + down, right if down else column + right
        if modifiers & 1 and 1 <= kind <= 7:
            yield line, column, length


def test_rename_meaning():
    """Programs print the same when a name in them is another, wherever a rename is not refused."""
    folder = os.path.join(os.environ.get("SRCDIR", "."), "tests", "lang")
    chance, client, renamed = random.Random(3), session(), 0

    def printed(text):
        with open(os.path.join(FOLDER, "program.tsr"), "w", newline="") as file:
            file.write(text)
        run = subprocess.run([TESSERA, "run", os.path.join(FOLDER, "program.tsr")], capture_output=True, text=True, cwd=FOLDER)
        return run.returncode, run.stdout

    for name in chance.sample(sorted(f for f in os.listdir(folder) if f.endswith(".tsr")), 12):
        with open(os.path.join(folder, name), newline="") as file:
            text = file.read()
        uri, before = "file://" + os.path.join(folder, name), printed(text)
        client.open(uri, text)
        places = list(declared(client, uri)) if before[0] == 0 and 'use "' not in text else []
        for line, column, length in chance.sample(places, min(3, len(places))):
            old = text.split("\n")[line].encode("utf-16-le")[2 * column:2 * (column + length)].decode("utf-16-le")
            try:
                edits = client.at("rename", uri, line, column, newName="renamed_thing")["changes"].get(uri, [])
            except Refused:
                continue
            if old not in before[1]:     # else it prints its own names
                renamed += 1
                same(printed(apply(text, edits)), before, f"{name}: another name for {old}")
    ok(renamed > 5, "some could be renamed", renamed)
    same(client.close(), 0, "fine at the end")


def test_rename_files():
    client, uri = opened(MODEL)
    line, character = where(MODEL, "helper")
    changes = client.at("rename", uri, line, character, newName="add_one")["changes"]
    other = "file://" + FOLDER + "/other.tsr"
    same(sorted(os.path.basename(u) for u in changes), ["main.tsr", "other.tsr"], "a function is renamed where it is used")
    same(apply(OTHER, changes[other]), OTHER.replace("helper", "add_one"), "everywhere in its own file")
    refusal = client.refused("textDocument/rename", textDocument={"uri": uri}, position={"line": line, "character": character},
                             newName="twice")
    ok("is taken" in getattr(refusal, "message", ""), "not to a name that its file has", refusal)
    same(client.close(), 0, "fine at the end")


# ---- outline, folding, colours, shapes ----

def names_of(symbols):
    return [(s["name"], s["kind"], names_of(s["children"])) for s in symbols]


def test_symbols():
    client, uri = opened(MODEL + 'test "it works" { assert true }\noption lr = 0.1 "rate"\n')
    found = names_of(client.request("textDocument/documentSymbol", textDocument={"uri": uri}))
    same(found[:3], [("other", 2, []), ("scale", 12, []),
                     ("Net", 5, [("w", 8, []), ("bias", 8, []), ("forward", 6, [])])], "a tree of declarations")
    ok(("it works", 12, []) in found and ("lr", 14, []) in found, "tests and options too", found)
    found = client.request("workspace/symbol", query="hlp")
    same([(s["name"], os.path.basename(s["location"]["uri"])) for s in found], [("helper", "other.tsr")], "symbols of the workspace")
    found = client.request("textDocument/foldingRange", textDocument={"uri": uri})
    ok({"startLine": 7, "endLine": 13} in found and {"startLine": 10, "endLine": 12} in found, "blocks fold", found)
    same(client.close(), 0, "fine at the end")


def test_broken_text():
    text = "fn good(x) = x + 1\nfn bad(x = {\n    y = (1 +\n}\nmodel M() {\n    w = [1, 2\n    fn forward(x) = x\n}\nfn last(a) = good(a)\n"
    client, uri = opened(text)
    ok(client.published(uri), "errors are published")
    found = client.request("textDocument/documentSymbol", textDocument={"uri": uri})
    ok("good" in [s["name"] for s in found], "symbols of what parses", found)
    got = hover(client, uri, text, "good", 1)
    ok(got and "fn good(x)" in got, "hover there", got)
    refusal = client.refused("textDocument/formatting", textDocument={"uri": uri}, options={"tabSize": 4, "insertSpaces": True})
    ok(isinstance(refusal, Refused), "formatting is refused", refusal)
    same(client.close(), 0, "fine at the end")


def test_tokens():
    text = "fn f(x: [n, 3]) = softmax(x) # é😀\nzé = f(ones(2, 3))  # c\n"
    client, uri = opened(text)
    legend = client.request("textDocument/semanticTokens/full", textDocument={"uri": uri})["data"]
    types = ["namespace", "class", "typeParameter", "parameter", "variable", "property", "function", "method", "keyword",
             "comment", "string", "number", "operator"]
    line = column = 0
    seen = []
    for i in range(0, len(legend), 5):
        down, right, length, kind, _ = legend[i:i + 5]
        line, column = line + down, right if down else column + right
        units = text.split("\n")[line].encode("utf-16-le")
        seen.append((units[2 * column:2 * (column + length)].decode("utf-16-le"), types[kind]))
    for wanted in (("fn", "keyword"), ("f", "function"), ("x", "parameter"), ("n", "typeParameter"), ("softmax", "function"),
                   ("# é😀", "comment"), ("zé", "variable"), ("2", "number"), ("# c", "comment")):
        ok(wanted in seen, f"{wanted[0]} is a {wanted[1]}", seen)
    same(client.close(), 0, "fine at the end")


def test_inlays():
    client, uri = opened(MODEL)
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    got = client.request("textDocument/inlayHint", textDocument={"uri": uri}, range=whole)
    lines = {}
    for hint in got:
        lines.setdefault(hint["position"]["line"], []).append((hint["position"]["character"], hint["label"]))
    same(lines.get(16), [(3, ": f32[32, 10]")], "the shape of what is assigned")
    same(lines.get(18), [(18, "  f32[32, 10]")], "the shape behind a step of a chain")
    same(lines.get(4), [(9, ": [d]")], "named sizes in a function")
    ok(15 not in lines and 22 not in lines, "nothing where there is nothing to say", lines)
    part = {"start": {"line": 21, "character": 0}, "end": {"line": 22, "character": 0}}
    got = client.request("textDocument/inlayHint", textDocument={"uri": uri}, range=part)
    same([h["label"] for h in got], [": f32[2, 4]"], "only in the range that is asked for")
    same(client.close(), 0, "fine at the end")


def test_formatting():
    text = "fn f( x ) {\n  y=x+1\n\n\n  y\n}\nz   =  f( 2 )\n"
    wanted = "fn f(x) {\n    y = x + 1\n\n    y\n}\nz = f(2)\n"
    client, uri = opened(text)
    options = {"tabSize": 4, "insertSpaces": True}
    edits = client.request("textDocument/formatting", textDocument={"uri": uri}, options=options)
    same(apply(text, edits), wanted, "the text in the one style")
    part = {"start": {"line": 6, "character": 0}, "end": {"line": 6, "character": 13}}
    edits = client.request("textDocument/rangeFormatting", textDocument={"uri": uri}, range=part, options=options)
    same(apply(text, edits), text.replace("z   =  f( 2 )", "z = f(2)"), "a range alone")
    client.change(uri, 2, {"text": wanted})
    same(client.request("textDocument/formatting", textDocument={"uri": uri}, options=options), [], "nothing to do")
    same(client.close(), 0, "fine at the end")


# ---- texts ----

def test_sync():
    client, uri = opened("a = 1\r\nb = a\rc = b\nd = c\n")
    same(client.published(uri), [], "any line end will do")
    got = client.at("definition", uri, 2, 4)
    same(got and got["range"]["start"], {"line": 1, "character": 0}, "lines count by every one of them")
    def edit(version, line, start, end, new, end_line=None):
        client.change(uri, version, {"range": {"start": {"line": line, "character": start},
                                               "end": {"line": end_line if end_line is not None else line, "character": end}},
                                     "text": new})
    edit(2, 0, 0, 1, "first")
    ok(client.latest(uri, 2), "an edit changes the text")
    edit(3, 1, 4, 5, "first")
    same(client.latest(uri, 3), [], "and the next one mends it")
    edit(4, 2, 0, 0, "", end_line=99)
    got = client.request("textDocument/documentSymbol", textDocument={"uri": uri})
    same([s["name"] for s in got], ["first", "b"], "a range that ends beyond the end")
    client.change(uri, 5, {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "text": "x = 1\n"},
                  {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}, "text": "y😀"})
    got = client.request("textDocument/documentSymbol", textDocument={"uri": uri})
    ok("first" in [s["name"] for s in got], "several edits at once, one after the other", got)
    same(client.close(), 0, "fine at the end")


def test_uris():
    client = session()
    write("a b/üs ed.tsr", "fn helper(x) = x\n")
    uri = "file://" + FOLDER + "/a%20b/m%C3%A4in.tsr"
    client.open(uri, 'use "./üs ed.tsr" as used\nq = used.helper(1)\n')
    same(client.published(uri), [], "a percent-encoded path")
    got = client.at("definition", uri, 1, 11)
    same(got and got["uri"], "file://" + FOLDER + "/a%20b/%C3%BCs%20ed.tsr", "and one in an answer")
    client.open("untitled:Untitled-1", "x = 1\nprint(x, nonsuch)\n")
    found = client.published("untitled:Untitled-1")
    same([d["code"] for d in found], ["name"], "a text without a file")
    same(client.at("definition", "untitled:Untitled-1", 1, 6)["uri"], "untitled:Untitled-1", "and a place in it")
    refusal = client.refused("textDocument/hover", textDocument={"uri": "file:///not/open.tsr"}, position={"line": 0, "character": 0})
    same(getattr(refusal, "code", refusal), -32602, "a document that is not open is refused")
    same(client.close(), 0, "fine at the end")


def test_folders():
    client = Client()
    write("one/first.tsr", "fn in_first() = 1\n")
    write("two/second.tsr", "fn in_second() = 1\n")
    client.initialize([FOLDER + "/one", FOLDER + "/two"])
    found = {s["name"] for s in client.request("workspace/symbol", query="in_")}
    same(found, {"in_first", "in_second"}, "several folders")
    client.notify("workspace/didChangeWorkspaceFolders", event={"added": [], "removed": [{"uri": "file://" + FOLDER + "/one"}]})
    found = {s["name"] for s in client.request("workspace/symbol", query="in_")}
    same(found, {"in_second"}, "one that is taken away")
    same(client.close(), 0, "fine at the end")


def test_notebook():
    client = session()
    notebook, a, b = "file://" + FOLDER + "/n.ipynb", "vscode-notebook-cell:n#a", "vscode-notebook-cell:n#b"
    def cell(uri, text):
        return {"uri": uri, "languageId": "tessera", "version": 1, "text": text}
    client.notify("notebookDocument/didOpen",
                  notebookDocument={"uri": notebook, "notebookType": "jupyter-notebook", "version": 1,
                                    "cells": [{"kind": 2, "document": a}, {"kind": 2, "document": b}]},
                  cellTextDocuments=[cell(a, ":time 1\nx = ones(2, 3)\nfn f(y) = y"), cell(b, "f(x) @ x\nx?")])
    found = client.published(b)
    same([(d["code"], d["range"]["start"]) for d in found], [("shape", {"line": 0, "character": 0})],
         "a cell sees those before it; commands are passed over")
    same(client.published(a), [], "findings belong to their cell")
    got = client.at("definition", b, 0, 0)
    same((got["uri"], got["range"]["start"]["line"]), (a, 2), "a definition in another cell")
    got = client.at("hover", b, 0, 2)
    ok("f32[2, 3]" in got["contents"]["value"], "shapes go from cell to cell", got)
    client.notify("notebookDocument/didChange", notebookDocument={"uri": notebook, "version": 2},
                  change={"cells": {"textContent": [{"document": {"uri": b, "version": 2}, "changes": [{"text": "f(x) + x\n"}]}]}})
    same(client.published(b, 2), [], "a cell changes")
    client.notify("notebookDocument/didChange", notebookDocument={"uri": notebook, "version": 3},
                  change={"cells": {"structure": {"array": {"start": 0, "deleteCount": 1, "cells": []},
                                                  "didClose": [{"uri": a}]}}})
    found = client.published(b, 3)
    same(sorted(d["code"] for d in found), ["name", "name"], "a cell goes away")
    client.notify("notebookDocument/didClose", notebookDocument={"uri": notebook}, cellTextDocuments=[{"uri": b}])
    same(client.published(b, 4), [], "the notebook is closed")
    same(client.close(), 0, "fine at the end")


def test_cancel():
    client, uri = opened("x = 1\n")
    client.published(uri)
    body = b""
    import json
    for identity, method in ((901, "textDocument/documentSymbol"), (902, "textDocument/documentSymbol")):
        text = json.dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": {"textDocument": {"uri": uri}}}).encode()
        body += b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
    text = json.dumps({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 902}}).encode()
    client.raw(body + b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
    ok(client.answer(901), "a request beside a cancelled one is answered")
    try:
        client.answer(902)
        ok(False, "the cancelled one is refused")
    except Refused as error:
        same(error.code, -32800, "the cancelled one is refused")
    client.notify("$/cancelRequest", id=901)
    client.notify("$/cancelRequest", id="never asked")
    same(client.close(), 0, "fine at the end")


if __name__ == "__main__":
    run_tests(globals())
