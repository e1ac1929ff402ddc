# SPDX-License-Identifier: GPL-3.0-or-later
"""The language server against what no client should send: broken headers and JSON, lies about lengths, wrong types, random
edits and messages. It answers or passes over, and goes on."""
import json
import os
import random
import re

from harness import Client, Refused, ok, run_tests, same

SOURCE = '''## doc
fn f(x: [n, d], k=2) -> [n, d] {
    y = x * k
    for i in 0..3 { y = y + i }
    y
}
model M(a) {
    param w = ones(a, 3)
    fn forward(x) = x @ self.w
}
m = M(2)
s = "a{m.w}b" # é😀
t = [q for q in [1, 2] if q > 1]
use "./none.tsr" as none_there
try { f(m(ones(4, 2))) } catch e { print(e) }
'''


def lives(client, name):
    """Whether the server still answers."""
    try:
        result = client.request("workspace/symbol", query="zz")
        return ok(isinstance(result, list), name)
    except (Refused, AssertionError, BrokenPipeError) as error:
        return ok(False, name, error)


def frame(body, length=None):
    return b"Content-Length: %d\r\n\r\n%s" % (len(body) if length is None else length, body)


def test_frames():
    client = Client()
    client.initialize()
    for name, data in (("no JSON", frame(b"{nonsense")), ("an empty body", frame(b"")), ("a number", frame(b"7")),
                       ("a string", frame(b'"x"')), ("a list", frame(b"[]")), ("null", frame(b"null")),
                       ("broken UTF-8", frame(b'{"method": "\xff\xfe"}')), ("no header", b"hello there\r\n\r\n"),
                       ("a length that is no number", b"Content-Length: many\r\n\r\n{}"),
                       ("a negative length", b"Content-Length: -5\r\n\r\n{}"),
                       ("a length too short", frame(b'{"jsonrpc": "2.0", "method": "x"}', 10)),
                       ("a length too long", frame(b'{"jsonrpc": "2.0"}', 40)),
                       ("two lengths", b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
                       ("another header first", b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
                       ("only line feeds", b"Content-Length: 2\n\n{}"), ("zeros", b"\0" * 100 + b"\r\n\r\n"),
                       ("a lone half character", frame(b'{"method": "x", "params": "\\ud83d"}')),
                       ("deep nesting", frame(b"[" * 5000)), ("a method that is none", frame(b'{"id": 1, "method": 3}')),
                       ("an id that is none", frame(b'{"id": {}, "method": "shutdown"}'))):
        client.raw(data)
        if name == "a length too long":      # it takes the start of the next message with it
            client.notify("$/setTrace", value="off")
        lives(client, f"after {name}")
    same(client.close(), 0, "fine at the end")


def test_params():
    client = Client()
    client.initialize()
    uri = "file:///tmp/h.tsr"
    client.open(uri, SOURCE)
    methods = re.findall(r'METHOD\("([^"]+)"', open(os.path.join(os.environ.get("SRCDIR", "."), "lsp", "methods.def")).read())
    values = [None, 1, -1, "x", [], {}, [[]], 1e300, True, {"uri": uri}, {"uri": 5}, 2 ** 62]
    for method in methods:
        if method in ("exit", "shutdown", "initialize"):
            continue
        for value in values:
            for params in (value, {"textDocument": value}, {"textDocument": {"uri": uri}, "position": value, "range": value,
                           "context": value, "newName": value, "contentChanges": value, "options": value},
                           {"textDocument": {"uri": uri}, "position": {"line": value, "character": value},
                            "range": {"start": value, "end": {"line": 1, "character": value}}, "newName": "q",
                            "contentChanges": [value], "context": {"diagnostics": [value]}},
                           {"notebookDocument": value, "cellTextDocuments": value, "change": {"cells": value},
                            "event": value, "changes": [value], "query": value, "id": value, "value": value}):
                client.next += 1
                identity = client.next
                client.send({"id": identity, "method": method, "params": params})
                client.send({"method": method, "params": params})
        if not lives(client, f"{method} with wrong params"):
            break
    same(client.close(), 0, "fine at the end")


def test_edits():
    """Random edits, each followed by a request somewhere."""
    seed = int(os.environ.get("TESSERA_SEED", "7"))
    chance = random.Random(seed)
    client = Client()
    client.initialize()
    uri = "file:///tmp/edits.tsr"
    client.open(uri, SOURCE)
    pieces = ["{", "}", "(", ")", "[", "]", '"', "'", "\n", "\r\n", "\r", ".", ",", "=", "->", "|>", "fn g(", "model ", "for x in ",
              "self.", "m.", "f(", "é", "😀", "\0", " ", "use \"./", "x", "nn.", "#", "##", "0..", "try {", "catch"]
    asked = ["hover", "completion", "definition", "references", "documentHighlight", "signatureHelp", "prepareRename", "rename"]
    whole = ["documentSymbol", "foldingRange", "semanticTokens/full", "inlayHint", "formatting"]
    for version in range(2, 402):
        line, character = chance.randrange(20), chance.randrange(30)
        end = {"line": line + chance.randrange(2), "character": chance.randrange(30)}
        client.change(uri, version, {"range": {"start": {"line": line, "character": character}, "end": end},
                                     "text": chance.choice(pieces) * chance.randrange(1, 3)})
        if version % 60 == 0:
            client.change(uri, version, {"text": SOURCE})
        identity = client.ask("textDocument/" + chance.choice(asked), textDocument={"uri": uri}, newName="other",
                              position={"line": chance.randrange(20), "character": chance.randrange(30)},
                              context={"includeDeclaration": True})
        more = client.ask("textDocument/" + chance.choice(whole), textDocument={"uri": uri},
                          range={"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}})
        for one in (identity, more):
            try:
                client.answer(one)
            except Refused:
                pass
            except AssertionError as error:
                ok(False, f"edit {version} of seed {seed}", error)
                return
    lives(client, "after 400 random edits")
    same(client.close(), 0, "fine at the end")


def test_noise():
    """Random bytes between good messages."""
    chance = random.Random(11)
    client = Client()
    client.initialize()
    for _ in range(60):
        good = frame(json.dumps({"jsonrpc": "2.0", "method": "$/setTrace", "params": {"value": "off"}}).encode())
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if b"ontent" in bytes(data).lower() and re.search(rb"length: *\d{3,}", bytes(data).lower()):
            continue             # a length that is longer would only wait for what never comes
        client.raw(bytes(data) + good + good)
    client.raw(b"\r\n\r\n" + good * 3)
    lives(client, "after noise")
    same(client.close(), 0, "fine at the end")


def test_many():
    client = Client()
    client.initialize()
    for i in range(300):
        client.open(f"file:///tmp/many/{i}.tsr", f"x{i} = ones({i}, 2)\n")
    for i in range(0, 300, 7):
        client.at("hover", f"file:///tmp/many/{i}.tsr", 0, 1)
    ok(client.published("file:///tmp/many/299.tsr") == [], "many open files")
    for i in range(300):
        client.notify("textDocument/didClose", textDocument={"uri": f"file:///tmp/many/{i}.tsr"})
    lives(client, "and none")
    long = "x = 1 + " * 100000 + "1\n"
    client.open("file:///tmp/long.tsr", long)
    ok(client.published("file:///tmp/long.tsr") is not None, "a very long line")
    client.open("file:///tmp/deep.tsr", "x = " + "(" * 20000 + "\n")
    ok(client.published("file:///tmp/deep.tsr"), "very deep brackets")
    ok(client.at("completion", "file:///tmp/deep.tsr", 0, 10000) is not None, "and completion in them")
    same(client.close(), 0, "fine at the end")


if __name__ == "__main__":
    run_tests(globals())
