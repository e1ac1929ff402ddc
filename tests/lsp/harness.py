# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the language server: starts it, frames messages, keeps what it publishes, and counts checks as TAP."""
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

TESSERA = os.environ.get("TESSERA", "./tessera")
WAIT = 60                       # seconds until a missing answer is a failure; nothing is timed

number = 0
failed = 0


def ok(condition, name, note=""):
    global number, failed
    number += 1
    print(f"{'ok' if condition else 'not ok'} {number} - {name}", flush=True)
    if not condition:
        failed += 1
        for line in str(note).splitlines():
            print(f"#   {line}", flush=True)
    return condition


def same(got, wanted, name):
    return ok(got == wanted, name, f"got    {got!r}\nwanted {wanted!r}")


def done():
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


def run_tests(names):
    """The functions test_… among a file's names, or those that the command line's words are part of."""
    wanted = sys.argv[1:]
    for name, test in list(names.items()):
        if name.startswith("test_") and (not wanted or any(word in name for word in wanted)):
            print(f"# {name[5:]}", flush=True)
            test()
    done()


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message")


class Client:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([TESSERA, "lsp", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.next = 0
        self.answers = {}
        self.notes = []          # notifications and requests of the server
        self.diagnostics = {}    # uri -> list of what was published
        self.changed = threading.Condition()
        self.closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        stream = self.process.stdout
        while True:
            length = None
            while True:
                line = stream.readline()
                if line in (b"", b"\r\n"):
                    break
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if length is None:
                break
            message = json.loads(stream.read(length).decode("utf-8"))
            with self.changed:
                if "method" in message:
                    self.notes.append(message)
                    if message["method"] == "textDocument/publishDiagnostics":
                        self.diagnostics.setdefault(message["params"]["uri"], []).append(message["params"])
                    elif "id" in message:
                        self.send({"id": message["id"], "result": None})
                else:
                    self.answers[message.get("id")] = message
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.raw(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method, **params):
        self.send({"method": method, "params": params})

    def ask(self, method, **params):
        self.next += 1
        self.send({"id": self.next, "method": method, "params": params})
        return self.next

    def answer(self, identity):
        with self.changed:
            self.changed.wait_for(lambda: identity in self.answers or self.closed, WAIT)
            message = self.answers.pop(identity, None)
        if message is None:
            raise AssertionError(f"no answer to {identity}; exit {self.process.poll()}")
        if "error" in message:
            raise Refused(message["error"])
        return message["result"]

    def request(self, method, **params):
        return self.answer(self.ask(method, **params))

    def refused(self, method, **params):
        try:
            return f"answered {self.request(method, **params)!r}"
        except Refused as error:
            return error

    def wait_note(self, wanted):
        """The first notification for which [wanted] holds."""
        with self.changed:
            found = self.changed.wait_for(lambda: next((n for n in self.notes if wanted(n)), None) or self.closed, WAIT)
        return found if isinstance(found, dict) else None

    def published(self, uri, count=1):
        """What was published for [uri] the [count]-th time."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.diagnostics.get(uri, [])) >= count or self.closed, WAIT)
            seen = self.diagnostics.get(uri, [])
        return seen[count - 1]["diagnostics"] if len(seen) >= count else None

    def latest(self, uri, version):
        """What was published for that version of the text."""
        with self.changed:
            def there():
                return next((p for p in self.diagnostics.get(uri, []) if p.get("version") == version), None)
            self.changed.wait_for(lambda: there() or self.closed, WAIT)
            return there() and there()["diagnostics"]

    def initialize(self, root=None, **more):
        capabilities = {
            "general": {"positionEncodings": more.pop("encodings", ["utf-16"])},
            "textDocument": {
                "hover": {"contentFormat": ["markdown", "plaintext"]},
                "publishDiagnostics": {"relatedInformation": True},
                "documentSymbol": {"hierarchicalDocumentSymbolSupport": True}}}
        roots = [{"uri": "file://" + one, "name": "w"} for one in ([root] if isinstance(root, str) else root or [])]
        result = self.request("initialize", processId=os.getpid(), rootUri=None, workspaceFolders=roots,
                              capabilities=capabilities, **more)
        self.notify("initialized")
        return result

    def open(self, uri, text, version=1):
        self.notify("textDocument/didOpen",
                    textDocument={"uri": uri, "languageId": "tessera", "version": version, "text": text})

    def change(self, uri, version, *changes):
        self.notify("textDocument/didChange", textDocument={"uri": uri, "version": version},
                    contentChanges=list(changes))

    def at(self, method, uri, line, character, **more):
        return self.request("textDocument/" + method, textDocument={"uri": uri},
                            position={"line": line, "character": character}, **more)

    def close(self):
        """shutdown and exit; gives the exit status."""
        try:
            self.request("shutdown")
        except (Refused, AssertionError, BrokenPipeError):
            pass
        return self.end()

    def end(self):
        try:
            self.notify("exit")
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
        try:
            return self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "hangs"


def place(text, mark="|"):
    """The text without its mark, and the line and UTF-16 column where it stood."""
    at = text.index(mark)
    before = text[:at]
    line = before.count("\n")
    column = len(before.rpartition("\n")[2].encode("utf-16-le")) // 2
    return before + text[at + len(mark):], line, column


def span(text, word, nth=1):
    """The range of the nth whole word in a text."""
    import re
    found = [m for m in re.finditer(r"(?<!\w)" + re.escape(word) + r"(?!\w)", text)][nth - 1]
    def position(at):
        before = text[:at]
        return {"line": before.count("\n"), "character": len(before.rpartition("\n")[2].encode("utf-16-le")) // 2}
    return {"start": position(found.start()), "end": position(found.end())}


def apply(text, edits):
    """The text after edits whose columns are UTF-16."""
    lines = text.split("\n")
    starts, total = [], 0
    for line in lines:
        starts.append(total)
        total += len(line) + 1
    def offset(position):
        line = lines[position["line"]] if position["line"] < len(lines) else ""
        units, column = 0, 0
        while column < len(line) and units < position["character"]:
            units += 2 if ord(line[column]) > 0xFFFF else 1
            column += 1
        return (starts[position["line"]] if position["line"] < len(lines) else len(text)) + column
    for edit in sorted(edits, key=lambda e: (e["range"]["start"]["line"], e["range"]["start"]["character"]), reverse=True):
        start, end = offset(edit["range"]["start"]), offset(edit["range"]["end"])
        text = text[:start] + edit["newText"] + text[end:]
    return text
