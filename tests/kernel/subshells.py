# SPDX-License-Identifier: GPL-3.0-or-later
"""Subshells: made, listed and deleted; their cells run while another shell's cell computes, sleeps, trains or asks, in
turn within each; errors, aborts, interrupts and deletions are each one's own. With words, only the tests whose names
contain one of them."""
import os
import sys
import time
from queue import Empty

from harness import Kernel, finish, ok

SLOW = float(os.environ.get("TESSERA_SLOW", "1"))     # sanitizers and valgrind take their time
PATIENCE = 30 * SLOW


class Shells(Kernel):
    """A kernel whose requests run side by side: messages are kept by the request that they belong to."""

    def __init__(self, **options):
        super().__init__(**options)
        self.heard, self.replies = {}, {}

    def create(self):
        answer = self.ask("create_subshell_request", {}, "control")
        return answer["subshell_id"] if answer["status"] == "ok" else answer

    def delete(self, shell):
        return self.ask("delete_subshell_request", {"subshell_id": shell}, "control")

    def list(self):
        return self.ask("list_subshell_request", {}, "control")["subshell_id"]

    def start(self, code="", shell=None, kind="execute_request", **content):
        message = self.client.session.msg(kind, {"code": code, **content})
        if shell is not None:
            message["header"]["subshell_id"] = shell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def listen(self, seconds=0.005):
        """Takes all that has come."""
        for get, kept in ((self.client.get_iopub_msg, self.heard), (self.client.get_shell_msg, self.replies)):
            try:
                while True:
                    message = get(timeout=0)
                    kept.setdefault(message["parent_header"].get("msg_id"), []).append(message)
            except Empty:
                pass
        time.sleep(seconds)

    def wait(self, condition, seconds=PATIENCE):
        end = time.time() + seconds
        while not condition():
            if time.time() > end:
                return False
            self.listen()
        return True

    def states(self, request):
        return [m["content"]["execution_state"] for m in self.heard.get(request, []) if m["msg_type"] == "status"]

    def is_over(self, request, replies=1):
        return "idle" in self.states(request) and len(self.replies.get(request, [])) == replies

    def end(self, request, seconds=PATIENCE):
        """Its reply, when it is over; else None."""
        return self.replies[request][0]["content"] if self.wait(lambda: self.is_over(request), seconds) else None

    def text(self, request):
        return "".join(m["content"]["text"] for m in self.heard.get(request, []) if m["msg_type"] == "stream")

    def echo(self, request):
        return "".join(m["content"]["data"]["text/plain"] for m in self.heard.get(request, [])
                       if m["msg_type"] == "execute_result")

    def do(self, code, shell=None, **content):
        request = self.start(code, shell, **content)
        return self.end(request), request

    def says(self, request, word):
        return self.wait(lambda: word in self.text(request))

    def interrupt(self):
        self.ask("interrupt_request", {}, "control")


def test_life(k):
    info = k.ask("kernel_info_request", {})
    ok("kernel subshells" in info["supported_features"], "the kernel says that it has subshells", info)
    ok(k.list() == [], "there is none at first")
    a, b = k.create(), k.create()
    ok(isinstance(a, str) and a != b and k.list() == [a, b], "two are made and listed")
    answer, request = k.do("x = 6\nx * 7", a)
    parent = k.heard[request][0]["parent_header"]
    ok(answer["status"] == "ok" and k.echo(request) == "42" and parent["subshell_id"] == a, "a cell runs in one", answer)
    _, second = k.do("x", b)
    _, third = k.do("x + 1")
    ok(k.echo(second) == "6" and k.echo(third) == "7", "variables are everybody's")
    ok(k.delete(a) == {"status": "ok"} and k.list() == [b], "one is deleted")
    answer, request = k.do("1", a)
    ok(answer["status"] == "error" and answer["ename"] == "unknown subshell" and a in answer["evalue"] and
       k.states(request) == ["busy", "idle"], "and what is sent to it is refused", answer)
    answer = k.delete(a)
    ok(answer["status"] == "error" and a in answer["evalue"], "it is deleted only once", answer)
    ok(k.delete(b)["status"] == "ok" and k.list() == [], "and the other")
    for shell in range(3):
        k.delete(k.create())
    ok(k.value("2 + 2") == "4", "the main shell goes on")


def test_concurrent(k):
    """A second cell while the first computes, wherever it may be."""
    shell = k.create()
    k.do("net = nn.Linear(8, 8); opt = optim.AdamW(net, lr=0.01); data = rand(16, 8); w = rand(500, 500)\n"
         "fn spin(n) { s = 0; for i in 0..n { s += i }; s }")
    for name, code in (("a tight loop", "while true { }"), ("calls", "while true { spin(1000) }"),
                       ("products", "while true { w @ w }"), ("sleep", "sleep(1000)"),
                       ("training", "while true { opt.step(() -> mean(net(data) ^ 2)) }"),
                       ("a stream", "for x in map(stream(0..10^12), x -> x + 1) { }"),
                       ("progress", "for i in progress(0..10^9) { spin(100) }")):
        request = k.start(f"print(\"begins\"); i = 0; {code}")
        k.says(request, "begins")
        worst, fine = 0, True
        for turn in range(5):
            start = time.time()
            answer, inner = k.do(f"print(\"turn {turn}\"); {turn} + 1", shell)
            worst = max(worst, time.time() - start)
            fine &= bool(answer) and answer["status"] == "ok" and k.echo(inner) == str(turn + 1) and \
                k.text(inner) == f"turn {turn}\n"
        ok(fine and not k.is_over(request), f"cells run in {name}", f"{answer}, worst {worst:.3f} s")
        ok(k.states(request)[-1] == "busy", f"and the first is busy again in {name}", k.states(request))
        print(f"# {name}: slowest of five {worst * 1e3:.1f} ms", flush=True)
        k.interrupt()
        answer = k.end(request)
        ok(answer and answer["status"] == "error" and answer["ename"] == "interrupted", f"which ends by an interrupt in {name}", answer)
    request = k.start("print(\"begins\"); seen = 0; while seen == 0 { }; seen * 2")
    k.says(request, "begins")
    k.do("seen = 21", shell)
    answer = k.end(request)
    ok(answer and k.echo(request) == "42", "the first sees what the second assigns", answer)
    request = k.start("print(\"begins\"); go = true; while go { opt.step(() -> mean(net(data) ^ 2)) }\nprint(\"done\")")
    k.says(request, "begins")
    _, inner = k.do("mean(net(data) ^ 2) >= 0.", shell)
    k.do("net.weight = net.weight * 0.5; go = false", shell)
    answer = k.end(request)
    ok(k.echo(inner) == "true" and answer["status"] == "ok" and "done" in k.text(request), "a model is looked at and changed", answer)
    k.delete(shell)


def test_symmetry(k):
    """The main shell's cells run in the midst of a subshell's too, and subshells' in each other's; each waits for itself."""
    a, b = k.create(), k.create()
    first = k.start("print(\"a\"); stop_a = false; while not stop_a { sleep(0.001) }; 1", a)
    k.says(first, "a")
    again = k.start("print(\"again\")", a)
    answer, main = k.do("2 + 3")
    ok(answer["status"] == "ok" and k.echo(main) == "5" and not k.is_over(first), "a cell of the main shell within a subshell's")
    second = k.start("print(\"b\"); stop_b = false; while not stop_b { sleep(0.001) }; 2", b)
    k.says(second, "b")
    ok(not k.text(again), "a shell's second cell waits for its first")
    third = k.start("stop_a = true\nprint(\"main\")")
    answer = k.end(third)
    ok(answer["status"] == "ok" and not k.wait(lambda: k.is_over(first), 0.3), "who was first waits for the inner ones")
    k.end(k.start("stop_b = true"))
    ok(k.end(second)["status"] == "ok" and k.end(first)["status"] == "ok" and k.end(again)["status"] == "ok" and
       k.echo(first) == "1" and k.text(again) == "again\n", "then all end, and what waited runs")
    counts = [k.replies[r][0]["content"]["execution_count"] for r in (first, main, second, third, again)]
    shown = [m["content"]["execution_count"] for r in (first, second) for m in k.heard[r] if m["msg_type"] == "execute_result"]
    ok(len(set(counts)) == 5 and shown == [counts[0], counts[2]], "each has its own count", (counts, shown))
    for shell in (a, b):
        k.delete(shell)


def test_errors(k):
    shell = k.create()
    request = k.start("print(\"begins\"); stop = false; while not stop { sleep(0.001) }; \"fine\"")
    k.says(request, "begins")
    answer, inner = k.do("nowhere + 1", shell)
    ok(answer["status"] == "error" and answer["ename"] == "name error" and
       [m["msg_type"] for m in k.heard[inner]] == ["status", "execute_input", "error", "status"], "an error is the second's own", answer)
    requests = [k.start(code, shell) for code in ("throw \"first\"", "1", "2")]
    main = k.start("\"still waits\"")
    answers = [k.end(r) for r in requests]
    ok([a["status"] for a in answers] == ["error", "aborted", "aborted"], "it aborts what waits in its own shell", answers)
    ok(not k.is_over(main) and not k.is_over(request), "and nothing in the others")
    answer, _ = k.do("3", shell)
    ok(answer["status"] == "ok", "which goes on afterwards", answer)
    answer, inner = k.do("4; ", shell, silent=True)
    ok(answer["status"] == "ok" and [m["msg_type"] for m in k.heard[inner]] == ["status", "status"], "silent is silent there too")
    answer, _ = k.do("y = 5", shell, user_expressions={"a": "y + 1", "b": "nope"})
    ok(answer["user_expressions"]["a"]["data"]["text/plain"] == "6" and answer["user_expressions"]["b"]["status"] == "error",
       "and has user expressions", answer)
    for kind, content in (("complete_request", {"code": "cross_ent", "cursor_pos": 9}), ("inspect_request", {"code": "y", "cursor_pos": 1}),
                          ("is_complete_request", {"code": "fn f(x) {"}), ("kernel_info_request", {}), ("comm_info_request", {})):
        answer = k.end(k.start(kind=kind, shell=shell, **content))
        ok(answer and answer["status"] in ("ok", "incomplete"), f"{kind} in a subshell", answer)
    k.do("stop = true", shell)
    ok(k.end(request)["status"] == "ok" and k.echo(request) == '"fine"' and k.end(main)["status"] == "ok", "the first is unharmed")
    requests = [k.start(code) for code in ("throw 1", "2")] + [k.start("3", shell)]
    answers = [k.end(r)["status"] for r in requests]
    ok(answers == ["error", "aborted", "ok"], "an error in the main shell aborts nothing in a subshell", answers)
    k.delete(shell)


def test_interrupt(k):
    """It is the kernel's: all cells that run end, innermost first, and what waits behind them is aborted."""
    shells = [k.create() for _ in range(3)]
    requests = []
    for shell in [None] + shells:
        requests.append(k.start("print(\"begins\"); while true { sleep(0.001) }", shell))
        k.says(requests[-1], "begins")
    waits = k.start("1", shells[0])
    k.interrupt()
    answers = [k.end(r) for r in requests]
    ok(all(a and a["ename"] == "interrupted" for a in answers), "an interrupt ends all cells that run", answers)
    ok(k.end(waits)["status"] == "aborted", "and aborts what waits behind them")
    ok(k.do("1", shells[1])[0]["status"] == "ok" and k.value("2") == "2", "all shells go on")
    for shell in shells:
        k.delete(shell)


def test_deletion(k):
    shell, other = k.create(), k.create()
    main = k.start("print(\"begins\"); stop = false; while not stop { sleep(0.001) }; \"fine\"")
    k.says(main, "begins")
    runs = k.start("print(\"runs\"); while true { }", shell)
    k.says(runs, "runs")
    waits = [k.start("1", shell), k.start("{}", shell, kind="comm_msg", comm_id="none", data={})]
    within = k.start("print(\"within\"); while not stop { sleep(0.001) }; 3", other)
    k.says(within, "within")
    ok(k.delete(shell)["status"] == "ok" and k.list() == [other], "a subshell is deleted while it runs")
    ok(k.end(waits[0])["status"] == "aborted" and k.wait(lambda: "idle" in k.states(waits[1])), "what waits in it is aborted")
    ok(not k.wait(lambda: k.is_over(runs), 0.2), "what runs in it waits for what runs within it")
    k.end(k.start("stop = true", k.create()))
    ok(k.end(within)["status"] == "ok" and k.end(runs)["ename"] == "interrupted", "and ends then", k.replies.get(runs))
    ok(k.end(main)["status"] == "ok" and k.echo(main) == '"fine"', "the main shell's cell is unharmed")
    alone = k.start("print(\"alone\"); input(\"?\")", other, allow_stdin=True)
    k.says(alone, "alone")
    k.delete(other)
    ok(k.end(alone)["ename"] == "interrupted", "a deleted one no longer waits for input")
    for shell in k.list():
        k.delete(shell)
    ok(k.value("1 + 1") == "2", "and the kernel is fine")


def test_input(k):
    """Each asks for itself; an answer that says what it answers goes there."""
    shell = k.create()
    k.do("")
    outer = k.start("input(\"outer? \")", allow_stdin=True)
    asked = k.client.get_stdin_msg(timeout=PATIENCE)
    inner = k.start("input(\"inner? \")", shell, allow_stdin=True)
    again = k.client.get_stdin_msg(timeout=PATIENCE)
    ok(asked["content"]["prompt"] == "outer? " and again["content"]["prompt"] == "inner? " and
       again["parent_header"]["subshell_id"] == shell and again["parent_header"]["msg_id"] == inner, "both ask", again)
    for question, text in ((asked, "for the outer"), (again, "for the inner")):
        answer = k.client.session.msg("input_reply", {"value": text}, parent=question)
        k.client.stdin_channel.send(answer)
    k.end(inner), k.end(outer)
    ok(k.echo(inner) == '"for the inner"' and k.echo(outer) == '"for the outer"', "and each gets its answer",
       (k.echo(inner), k.echo(outer)))
    other = k.create()
    outer = k.start("input(\"outer? \")", allow_stdin=True)
    k.client.get_stdin_msg(timeout=PATIENCE)
    requests = [k.start(str(i), s) for i in range(5) for s in (shell, other)]
    ok(all(k.end(r) for r in requests) and not k.is_over(outer), "ten cells run while one asks")
    k.client.input("done")
    k.end(outer)
    k.delete(other)
    request = k.start("input(\"plain? \")", shell, allow_stdin=True)
    k.client.get_stdin_msg(timeout=PATIENCE)
    k.client.input("plain")
    k.end(request)
    ok(k.echo(request) == '"plain"', "an answer without a parent is for who asked last")
    outer = k.start("print(\"begins\"); stop = false; while not stop { sleep(0.001) }; input(\"?\")", allow_stdin=False)
    k.says(outer, "begins")
    answer, _ = k.do("input(\"?\")", shell, allow_stdin=False)
    ok(answer["status"] == "error" and "nobody" in answer["evalue"], "who may not ask does not", answer)
    request = k.start("input(\"?\")", shell, allow_stdin=True)
    k.client.get_stdin_msg(timeout=PATIENCE)
    k.client.input("yes")
    k.end(request)
    k.do("stop = true", shell)
    answer = k.end(outer)
    ok(k.echo(request) == '"yes"' and answer["status"] == "error" and "nobody" in answer["evalue"], "each by its own request", answer)
    k.delete(shell)


def test_output(k):
    """What is printed belongs to who printed it, however much it is."""
    shell = k.create()
    outer = k.start("stop = false; n = 0; while not stop { n += 1; print(\"outer {n}\"); sleep(0.001) }")
    k.says(outer, "outer 1\n")
    text = ""
    for turn in range(20):
        _, inner = k.do(f"for i in 0..100 {{ print(\"inner {turn} {{i}}\") }}", shell)
        text += k.text(inner)
    _, flood = k.do("for i in 0..30000 { print(\"a flood of fifty characters to fill the kernel's limit\") }", shell)
    k.do("stop = true", shell)
    k.end(outer)
    lines = k.text(outer).splitlines()
    ok(text == "".join(f"inner {t} {i}\n" for t in range(20) for i in range(100)), "the second's output is whole and its own")
    ok(lines == [f"outer {i + 1}" for i in range(len(lines))], "and the first's", lines[:3])
    ok("left out" in k.text(flood) and "left out" not in k.text(outer), "a limit is each cell's own")
    outer = k.start("for i in progress(0..3) { if i == 1 { print(\"begins\"); sleep(0.5) } }; display(html(\"<i>1</i>\"), \"place\")")
    k.says(outer, "begins")
    _, inner = k.do("for i in progress(0..2) { i }\ndisplay(html(\"<b>2</b>\"), \"place\")", shell)
    k.end(outer)
    ids = [{m["content"]["transient"]["display_id"] for m in k.heard[r] if m["msg_type"] == "display_data" and
            m["content"].get("transient")} for r in (outer, inner)]
    ok(ids[0] and ids[1] and not ids[0] & ids[1], "progress and places are each one's own", ids)
    k.delete(shell)


def test_many(k):
    """Twenty at once, each within the one before it."""
    shells = [k.create() for _ in range(20)]
    ok(k.list() == shells, "twenty subshells")
    k.do("ends = 0\nfn leave(i) { while ends < i { sleep(0.001) }; i }")
    requests = []
    for i, shell in enumerate(shells):
        requests.append(k.start(f"print(\"begins\"); leave({20 - i})", shell))
        k.says(requests[-1], "begins")
    ok(not any(k.is_over(r) for r in requests), "twenty cells are under way")
    k.end(k.start("ends = 20"))
    answers = [k.end(r) for r in requests]
    ok(all(a and a["status"] == "ok" for a in answers) and [k.echo(r) for r in requests] == [str(20 - i) for i in range(20)],
       "and all end", answers[:3])
    requests = [k.start(f"{i} * {i}", shells[i % 20]) for i in range(200)]
    ok(all(k.end(r) for r in requests) and [k.echo(r) for r in requests] == [str(i * i) for i in range(200)],
       "two hundred cells, ten in each")
    for shell in shells:
        k.delete(shell)
    ok(k.list() == [], "all are deleted")


def test_deeper(k):
    """More than fit into each other: the last wait until there is room."""
    shells = [k.create() for _ in range(60)]
    k.do("stop = false")
    requests = [k.start("while not stop { sleep(0.001) }; 7", shell) for shell in shells]
    ended = []
    for _ in range(20):
        time.sleep(0.5 * SLOW)
        k.interrupt()
        k.wait(lambda: all(k.is_over(r) for r in requests), 1)
        ended.append(sum(k.is_over(r) for r in requests))
        if ended[-1] == 60:
            break
    ok(20 <= ended[0] < 60 and ended[-1] == 60, "sixty endless cells end by interrupts, about thirty at a time", ended)
    for shell in shells:
        k.delete(shell)
    ok(k.value("5") == "5", "and the kernel is fine")


def test_hostile(k):
    for shell in ("", "nothing", "x" * 100_000, 7, [], {}, True, "\u0000", "한글"):
        answer, request = k.do("1", shell)
        ok(answer and answer["status"] == "error" and answer["ename"] == "unknown subshell" and len(answer["evalue"]) < 1000,
           f"subshell_id {str(shell)[:20]!r} is refused", answer)
    answer, _ = k.do("1", None)
    ok(answer["status"] == "ok", "null is the main shell")
    for content in ({}, {"subshell_id": None}, {"subshell_id": 3}, {"subshell_id": "x" * 100_000}, {"subshell_id": ""}):
        answer = k.ask("delete_subshell_request", content, "control")
        ok(answer["status"] == "error", f"deleting {str(content)[:40]} is refused", answer)
    request = k.start("", "nothing", kind="comm_msg", comm_id="a", data={})
    ok(k.wait(lambda: k.states(request) == ["busy", "idle"]), "a comm message to nowhere is busy and idle")
    made = [k.create() for _ in range(1000)]
    answer = k.create()
    ok(isinstance(made[-1], str) and isinstance(answer, dict) and answer["status"] == "error", "a thousand subshells and no more", answer)
    for shell in made:
        k.delete(shell)
    ok(k.list() == [] and k.value("1") == "1", "and they are deleted again")


def converse(k, wait, word, value, error):
    """What a conversation looks like on the wire; texts that the languages differ in are left out."""
    seen = {"features": "kernel subshells" in k.ask("kernel_info_request", {})["supported_features"]}
    shell = k.create()
    seen["list"] = k.list() == [shell]
    request = k.start(wait)
    k.says(request, word)
    answer, inner = k.do(value, shell)
    seen["value"] = (answer["status"], k.echo(inner), k.is_over(request))
    seen["kinds"] = [m["msg_type"] for m in k.heard[inner]]
    seen["parent"] = all(m["parent_header"]["subshell_id"] == shell for m in k.heard[inner] + k.replies[inner])
    seen["counts"] = answer["execution_count"] > 0
    seen["error"] = k.do(error, shell)[0]["status"]
    requests = [k.start(code, shell) for code in (error, value, value)]
    seen["aborted"] = [k.end(r)["status"] for r in requests]
    seen["first"] = (k.end(request)["status"], "idle" in k.states(request))
    seen["delete"] = (k.delete(shell), k.list())
    seen["twice"] = k.delete(shell)["status"]
    answer, request = k.do(value, shell)
    seen["unknown"] = (answer["status"], k.states(request), sorted(answer))
    seen["goes on"] = k.do(value)[0]["status"]
    return seen


def test_ipykernel(k):
    """The same conversation with ipykernel 7, where Python has it."""
    try:
        import ipykernel
    except ImportError:
        ipykernel = None
    if not ipykernel or ipykernel.version_info[0] < 7:
        ok(True, "# SKIP Python has no ipykernel 7")
        return
    with Shells(name="python3") as other:
        theirs = converse(other, "print('begins', flush=True)\nimport time; time.sleep(4)", "begins", "6 * 7", "nowhere")
    ours = converse(k, "print(\"begins\"); sleep(4)", "begins", "6 * 7", "nowhere")
    ok(ours["kinds"] == ["status", "execute_input", "execute_result", "status"], "a cell in a subshell as on the main shell", ours)
    for name, value in theirs.items():
        ok(ours[name] == value, f"as ipykernel {ipykernel.__version__}: {name}", (ours[name], value))


def test_exit(k):
    shell = k.create()
    request = k.start("print(\"begins\"); while true { }")
    k.says(request, "begins")
    k.start("exit()", shell)
    end = time.time() + PATIENCE
    while k.alive() and time.time() < end:
        time.sleep(0.05)
    ok(not k.alive(), "exit() in a subshell ends the kernel")


def test_end(k):
    """Shut down while cells are nested."""
    shells = [k.create() for _ in range(5)]
    for shell in [None] + shells:
        k.says(k.start("print(\"begins\"); while true { }", shell), "begins")
    k.ask("shutdown_request", {"restart": False}, "control")
    end = time.time() + PATIENCE
    while k.alive() and time.time() < end:
        time.sleep(0.05)
    ok(not k.alive() and "alive" not in k.said(), "a kernel with six nested cells is shut down", k.said())


tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
words = sys.argv[1:]
for test in tests:
    if words and not any(word in test.__name__ for word in words):
        continue
    with Shells() as kernel:
        test(kernel)
        ok("Sanitizer" not in kernel.said(), f"{test.__name__} leaves nothing to complain of", kernel.said())
finish()
