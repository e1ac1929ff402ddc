# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel as a client sees it: cells, questions while a cell computes, interrupts, output, places in text, input,
comms, history. With words, only the tests whose names contain one of them."""
import json
import os
import signal
import subprocess
import sys
import time
from queue import Empty

from harness import Kernel, finish, home, kinds, ok, stream, tessera

SLOW = float(os.environ.get("TESSERA_SLOW", "1"))     # sanitizers and valgrind take their time


def test_cells(k):
    answer, messages = k.run("x = 6\nx * 7")
    ok(answer["status"] == "ok" and answer["payload"] == [] and answer["user_expressions"] == {}, "a cell runs", answer)
    ok(kinds(messages) == ["status", "execute_input", "execute_result", "status"], "busy, input, result, idle", kinds(messages))
    count = answer["execution_count"]
    ok(messages[1]["content"]["execution_count"] == messages[2]["content"]["execution_count"] == count, "with one count")
    answer, messages = k.run("x = 5; print(x)", silent=True)
    ok(kinds(messages) == ["status", "status"] and answer["execution_count"] == count, "a silent cell shows and counts nothing",
       kinds(messages))
    answer, _ = k.run("", silent=True)
    ok(answer["status"] == "ok" and answer["execution_count"] == count, "an empty silent cell tells the count", answer)
    answer, _ = k.run("x", store_history=False)
    ok(answer["execution_count"] == count, "a cell that is not stored does not count")
    answer, _ = k.run("y = x", user_expressions={"a": "y + 1", "b": "nowhere", "c": "html(\"<i>2</i>\")"})
    values = answer["user_expressions"]
    ok(values["a"]["data"]["text/plain"] == "6" and values["b"]["status"] == "error" and values["b"]["ename"] == "name error"
       and values["c"]["data"]["text/html"] == "<i>2</i>", "user expressions, each with its own value or error", values)
    answer, messages = k.run("fn half(x: [n, 2*k]) = x\nhalf(ones(2, 3))")
    errors = [m["content"] for m in messages if m["msg_type"] == "error"]
    text = "\n".join(answer.get("traceback", []))
    ok(answer["status"] == "error" and answer["ename"] == "shape error" and len(errors) == 1 and
       errors[0]["traceback"] == answer["traceback"], "an error is told once, and in the reply", answer)
    ok("\x1b[" in text and "half(ones(2, 3))" in text and "[2, 3]" in text, "with colour, source and shapes", text)
    answer, messages = k.run("1 +* 2")
    ok(answer["ename"] == "syntax error", "a syntax error", answer)
    answer, messages = k.run("42;")
    ok("execute_result" not in kinds(messages), "a semicolon keeps a value quiet")


def test_info(k):
    for channel in ("shell", "control"):
        info = k.ask("kernel_info_request", {}, channel)
        language = info["language_info"]
        ok(info["status"] == "ok" and info["protocol_version"] >= "5.5" and info["implementation"] == "tessera"
           and language["name"] == "tessera" and language["file_extension"] == ".tsr" and "/" in language["mimetype"]
           and language["codemirror_mode"] == {"name": "tessera", "mime": "text/x-python"} and language["pygments_lexer"] == "tessera"
           and all(set(link) == {"text", "url"} for link in info["help_links"]) and info["banner"],
           f"kernel_info on {channel}", info)
    ports = k.ask("connect_request", {})
    ok(ports.get("shell_port") or ports.get("shell"), "connect_request tells the ports", ports)
    request = k.send("no_such_request", {"a": 1})
    ok(kinds(k.outputs(request)) == ["status", "status"], "an unknown request is only busy and idle")


def test_places(k):
    for text, before, wanted in (("𝐚é = 1; cross_ent", "", "cross_entropy"), ('s = "한글 👩‍🔬 e\u0301"; cross_ent', "", "cross_entropy")):
        reply = k.ask("complete_request", {"code": text, "cursor_pos": len(text)})
        start, end = reply["cursor_start"], reply["cursor_end"]
        ok(reply["matches"] == [wanted] and text[start:end] == "cross_ent", f"places count codepoints in {text[:12]}…", reply)
    types = reply["metadata"]["_jupyter_types_experimental"]
    ok(len(types) == len(reply["matches"]) and types[0]["text"] == wanted and types[0]["type"] == "function"
       and "label_smoothing" in types[0]["signature"] and types[0]["start"] == start and types[0]["end"] == end, "matches have types", types)
    k.run("größe = ones(2, 3)")
    reply = k.ask("complete_request", {"code": "𝐚 grö", "cursor_pos": 5})
    ok(reply["matches"] == ["größe"] and (reply["cursor_start"], reply["cursor_end"]) == (2, 5), "of our own names too", reply)
    for place in (0, 10_000, -3):
        reply = k.ask("complete_request", {"code": "한 nn.", "cursor_pos": place})
        ok(reply["status"] == "ok", f"the place {place} is no trouble", reply)
    for code, place, found in (("한 = cross_entropy(1)", 8, True), ("größe", 3, True), ("nowhere_known", 4, False), ("", 0, False)):
        reply = k.ask("inspect_request", {"code": code, "cursor_pos": place, "detail_level": 0})
        ok(reply["status"] == "ok" and reply["found"] == found and ("text/plain" in reply["data"]) == found,
           f"inspect in '{code}'", reply)
    for code, status in (("1", "complete"), ("fn f(x) {", "incomplete"), ("1 +* 2", "invalid"), ("", "complete")):
        reply = k.ask("is_complete_request", {"code": code})
        ok(reply["status"] == status and ("indent" in reply) == (status == "incomplete"), f"'{code}' is {status}", reply)
    reply = k.ask("is_complete_request", {"code": "fn f(x) {\n    if x {"})
    ok(len(reply["indent"]) == 8, "an open block has its indent", reply)


def test_busy(k):
    """Completion, inspection and information while a cell computes, and the cell is busy again afterwards."""
    k.run("w = randn(400, 400)\nfn spin(n) { s = 0; for i in 0..n { s += i }; s }")
    for code, name in (("while true { }", "a tight loop"), ("while true { spin(1000) }", "calls"),
                       ("while true { w @ w }", "matrix products"), ("sleep(60)", "sleep")):
        request = k.client.execute(code)
        time.sleep(0.3)
        worst, fine = 0, True
        for kind, content in (("complete_request", {"code": "spi", "cursor_pos": 3}),
                              ("inspect_request", {"code": "w", "cursor_pos": 1, "detail_level": 0}),
                              ("is_complete_request", {"code": "1"}), ("kernel_info_request", {}),
                              ("history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False}),
                              ("comm_info_request", {})) * 3:
            start = time.time()
            try:
                fine &= k.ask(kind, content, timeout=5 * SLOW)["status"] in ("ok", "complete")
            except Empty:
                fine = False
            worst = max(worst, time.time() - start)
        ok(fine, f"questions are answered in {name}", f"worst {worst:.3f} s")
        states = []
        while True:
            try:
                message = k.client.get_iopub_msg(timeout=0.1)
            except Empty:
                break
            if message["msg_type"] == "status":
                states.append((message["content"]["execution_state"], message["parent_header"]["msg_id"] == request))
        ok(states and states[-1] == ("busy", True), f"and the cell is busy afterwards in {name}", states[-4:])
        k.manager.interrupt_kernel()
        k.outputs(request)
        k.reply(request)


def test_interrupts(k):
    """By message and by signal, wherever a cell may be; the variables stay."""
    k.run("kept = 42\nbig = randn(2048, 2048)\nf = x -> sum(tanh(x @ x @ x))\nw = randn(300, 300)")
    loops = {
        "a tight loop": "while true { }",
        "a native op": "while true { big @ big }",
        "sleep": "sleep(100)",
        "a flood": "while true { print(\"flood\") }",
        "backward": "while true { grad(f)(w) }",
        "a loop that catches": "while true { try { sleep(0.001); throw 1 } catch e { } }",
    }
    for name, code in loops.items():
        times, fine = [], 0
        for turn in range(14):
            request = k.client.execute(code)
            time.sleep(0.12 if turn else 0.4)
            start = time.time()
            if turn % 2:
                os.kill(k.pid, signal.SIGINT)
            else:
                k.send("interrupt_request", {}, "control")
            try:
                k.outputs(request, timeout=20 * SLOW)
                times.append(time.time() - start)
                fine += k.reply(request)["content"]["ename"] == "interrupted"
            except Empty:
                break
        times.sort()
        ok(fine == 14 and times[-3] < (0.15 if SLOW == 1 else 5), f"{name} is interrupted 14 times",
           f"{fine} times; seconds {[round(t, 3) for t in times]}")
    ok(k.value("kept") == "42" and k.value("w.shape") == "[300, 300]", "the variables are there", k.value("w.shape"))
    for _ in range(50):
        os.kill(k.pid, signal.SIGINT)
        time.sleep(0.002)
    ok(k.alive() and k.value("kept + 1") == "43", "50 signals while idle change nothing")


def test_input_interrupt(k):
    for by_signal in (False, True):
        request = k.client.execute("answer = input(\"waits \")", allow_stdin=True)
        k.client.get_stdin_msg(timeout=10)
        os.kill(k.pid, signal.SIGINT) if by_signal else k.send("interrupt_request", {}, "control")
        k.outputs(request)
        ok(k.reply(request)["content"]["status"] == "error", f"input ends by {'signal' if by_signal else 'message'}")
    k.client.input("too late")
    ok(k.value("1 + 1") == "2", "an answer that nobody waits for is dropped")


def minds_interrupts(pid):
    """Whether SIGINT is caught, ignored or blocked: the system's default would end the process."""
    with open(f"/proc/{pid}/status") as file:
        return any(line.startswith(("SigBlk", "SigIgn", "SigCgt")) and int(line.split()[1], 16) & 2 for line in file)


def test_early_signals():
    """From the moment that the process can mind them, soon after the loader has made it."""
    fine, waited = 0, []
    for turn in range(20):
        start = time.time()
        k = Kernel(ready=False)
        while not minds_interrupts(k.pid):
            pass
        waited.append(time.time() - start)
        for _ in range(5):
            os.kill(k.pid, signal.SIGINT)
            time.sleep(0.0005 * turn / 5)
        try:
            k.client.wait_for_ready(timeout=20 * SLOW)
            fine += k.value("2 + 2") == "4"
        except Exception as error:
            ok(False, f"signals at {turn / 2} ms", f"{error} {k.said()}")
        k.stop()
    ok(fine == 20, "signals in the first moments of life change nothing", fine)


def test_abort(k):
    requests = [k.client.execute("1 // 0")] + [k.client.execute("ran = 1") for _ in range(5)]
    others = [k.send("kernel_info_request", {}), k.client.complete("spi")]
    answers = {}
    while len(answers) < 8:
        message = k.client.get_shell_msg(timeout=10)
        answers[message["parent_header"]["msg_id"]] = message["content"]
    ok([answers[r]["status"] for r in requests] == ["error"] + ["aborted"] * 5, "what was queued behind an error is aborted",
       [answers[r]["status"] for r in requests])
    ok(all(answers[r]["status"] == "ok" for r in others), "other requests are answered")
    ok(k.value("3 * 3") == "9", "a cell sent afterwards runs")
    requests = [k.client.execute("1 // 0", stop_on_error=False), k.client.execute("2 + 3")]
    ok([k.reply(r)["content"]["status"] for r in requests] == ["error", "ok"], "without stop_on_error the next one runs")


def test_output(k):
    answer, messages = k.run("for i in 0..10000 { print(i, flush=true) }")
    text = stream(messages)
    ok(text.split() == [str(i) for i in range(10000)], "ten thousand flushed prints come whole and in order")
    count = kinds(messages).count("stream")
    ok(count <= 5, "in five messages at most", count)
    answer, messages = k.run("for i in 0..4 { print(i); sleep(0.2) }")
    ok(kinds(messages).count("stream") == 4, "slow ones come as they are printed", kinds(messages))
    answer, messages = k.run("for i in 0..3 { print(\"o{i}\"); warn(\"e{i}\") }; display(html(\"<b>x</b>\")); print(\"end\")")
    got = [m["content"].get("text") or m["msg_type"] for m in messages if m["msg_type"] in ("stream", "display_data")]
    ok(got == ["o0\n", "e0\n", "o1\n", "e1\n", "o2\n", "e2\n", "display_data", "end\n"], "both streams and what is shown keep their order",
       got)
    answer, messages = k.run("for i in 0..5 { print(\"t{i}\"); write_text(\"c{i}\\n\", \"/proc/self/fd/1\", append=true) }")
    ok(stream(messages) == "".join(f"t{i}\nc{i}\n" for i in range(5)), "what goes past the language to stdout is in its place",
       repr(stream(messages)))
    answer, messages = k.run("write_text(\"from C\", \"/proc/self/fd/2\", append=true)")
    ok(stream(messages, "stderr") == "from C", "and to stderr, before the cell is done")
    start, before = time.time(), memory(k.pid)
    answer, messages = k.run("line = repeat_text(\"x\", 99)\nfor i in 0..1000000 { print(line) }", timeout=120 * SLOW)
    text = stream(messages)
    note = stream(messages, "stderr")
    ok(answer["status"] == "ok" and len(text) < 3_000_000 and "left out" in note and text.rstrip().endswith("x" * 99),
       "of 100 MB the beginning, the end and a note are shown", f"{len(text)} bytes, note {note}")
    rate = kinds(messages).count("stream") / max(time.time() - start, 1)
    ok(rate < 300, "in few messages", rate)
    ok(memory(k.pid) - before < (30_000 if SLOW == 1 else 600_000), "and memory stays bounded", f"{before} to {memory(k.pid)} kB")
    ok(stream(k.run("print(\"again\")")[1]) == "again\n", "the next cell has its own limit")


def memory(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_displays(k):
    answer, messages = k.run("display(1, \"a\"); for i in 0..200 { display(html(\"<p>{i}</p>\"), \"a\") }")
    shown = [m for m in messages if m["msg_type"] == "display_data"]
    updates = [m for m in messages if m["msg_type"] == "update_display_data"]
    place = shown[0]["content"]["transient"]["display_id"]
    ok(len(shown) == 1 and all(m["content"]["transient"]["display_id"] == place for m in updates), "a name is one place")
    ok(updates[-1]["content"]["data"]["text/html"] == "<p>199</p>" and len(updates) < 20,
       "updates are thinned, the last one is kept", len(updates))
    answer, messages = k.run("update_display(html(\"later\"), \"a\")")
    ok([m["content"]["transient"]["display_id"] for m in messages if m["msg_type"] == "update_display_data"] == [place],
       "a later cell updates it")
    answer, messages = k.run("display(2, \"a\")")
    ok([m["content"]["transient"]["display_id"] != place for m in messages if m["msg_type"] == "display_data"] == [True],
       "a later cell that shows has a place of its own")
    answer, messages = k.run("for i in progress(0..50) { sleep(0.01); report(loss=1 / (i + 1)) }")
    bars = [m["msg_type"] for m in messages if "display" in m["msg_type"]]
    ok(bars and bars[0] == "display_data" and set(bars[1:]) == {"update_display_data"} and len(bars) < 15, "progress is one place too", bars)
    last = [m["content"]["data"] for m in messages if "display" in m["msg_type"]][-1]
    ok("50/50" in last["text/plain"], "whose last state is kept", last.get("text/plain"))
    request = k.client.execute("for i in progress(0..5000) { sleep(0.01) }")
    time.sleep(0.4)
    k.manager.interrupt_kernel()
    bars = [m["content"]["data"]["text/plain"] for m in k.outputs(request) if "display" in m["msg_type"]]
    k.reply(request)
    ok(bars and "/5000" in bars[-1], "on an interrupt too", bars[-1:])
    answer, messages = k.run("clear_output(wait=true); print(1)")
    clear = [m["content"] for m in messages if m["msg_type"] == "clear_output"]
    ok(clear == [{"wait": True}], "clear_output", clear)
    answer, messages = k.run("plot([1., 2., 4.])")
    data = [m["content"]["data"] for m in messages if m["msg_type"] == "execute_result"][0]
    ok(data["image/svg+xml"].lstrip().startswith("<") and data["text/plain"] and all(
        "/" in mime and ";" not in mime for mime in data), "a plot is SVG and text", list(data))
    answer, messages = k.run("vega({mark: \"bar\", data: {values: [{x: 1}]}})")
    data = [m["content"]["data"] for m in messages if m["msg_type"] == "execute_result"][0]
    ok(data["application/vnd.vegalite.v5+json"]["mark"] == "bar" and "text/html" not in data, "JSON forms are JSON", data)


def test_input(k):
    request = k.client.execute("name = input(\"name? \")\nword = password(\"word? \")\n(name, word)", allow_stdin=True)
    first = k.client.get_stdin_msg(timeout=10)["content"]
    k.client.input("Ada")
    second = k.client.get_stdin_msg(timeout=10)["content"]
    k.client.input("𝐚한")
    messages = k.outputs(request)
    k.reply(request)
    ok(first == {"prompt": "name? ", "password": False} and second == {"prompt": "word? ", "password": True},
       "input and password ask", (first, second))
    result = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
    ok(result == ['("Ada", "𝐚한")'], "and get what is typed", result)
    answer, _ = k.run("input(\"never\")", allow_stdin=False)
    ok(answer["status"] == "error", "a client without stdin gets an error at once", answer)
    k.client.input("left over")
    time.sleep(0.2)                                      # it has a socket of its own, and may come late
    request = k.client.execute("input(\"\")", allow_stdin=True)
    k.client.get_stdin_msg(timeout=10)
    ok(k.ask("complete_request", {"code": "cross_ent", "cursor_pos": 9})["matches"] == ["cross_entropy"],
       "questions are answered while input waits")
    k.client.input("now")
    result = [m["content"]["data"]["text/plain"] for m in k.outputs(request) if m["msg_type"] == "execute_result"]
    k.reply(request)
    ok(result == ['"now"'], "an old answer is not taken for a new one", result)


def test_payloads(k):
    answer, messages = k.run("?cross_entropy")
    ok([p["source"] for p in answer["payload"]] == ["page"] and "labels" in answer["payload"][0]["data"]["text/plain"]
       and kinds(messages) == ["status", "execute_input", "status"], "help opens the pager", answer["payload"])
    answer, _ = k.run("next_input(\"1 + 1\")")
    payload = answer["payload"][0]
    ok(payload["source"] == "set_next_input" and payload["text"] == "1 + 1" and payload["replace"] is False,
       "next_input fills the next cell", answer["payload"])
    answer, messages = k.run("x = 5\n:time x * 2")
    ok(answer["status"] == "ok" and stream(messages) + json.dumps(kinds(messages)), "commands work in cells", answer)


def test_comms(k):
    def open_comm(target, name, data):
        return k.outputs(k.send("comm_open", {"comm_id": name, "target_name": target, "data": data}))

    messages = open_comm("nobody", "c0", {})
    ok(kinds(messages) == ["status", "comm_close", "status"], "a comm that nobody wants is closed", kinds(messages))
    k.run("seen = []\ncomm_register(\"echo\", (id, m) -> comm_send(id, {event: m.event, data: m.data, sizes: "
          "[len(b) for b in m.buffers]}, m.buffers))")
    messages = open_comm("echo", "c1", {"a": [1, None]})
    answers = [m["content"] for m in messages if m["msg_type"] == "comm_msg"]
    ok(answers == [{"comm_id": "c1", "data": {"event": "open", "data": {"a": [1, None]}, "sizes": []}}],
       "the handler hears of an open one, and answers", answers)
    message = k.client.session.msg("comm_msg", {"comm_id": "c1", "data": 7})
    k.client.session.send(k.client.shell_channel.socket, message, buffers=[b"ab", b"xyz"])
    messages = k.outputs(message["header"]["msg_id"])
    got = [m for m in messages if m["msg_type"] == "comm_msg"]
    ok(got and got[0]["content"]["data"]["sizes"] == [2, 3] and [bytes(b) for b in got[0]["buffers"]] == [b"ab", b"xyz"],
       "buffers go both ways", got)
    ok(list(k.ask("comm_info_request", {"target_name": "echo"})["comms"]) == ["c1"], "comm_info tells of it")
    answer, messages = k.run("c = comm_open(\"page\", {n: 1}, (id, m) -> print(m.event, m.data))")
    opened = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    ok(len(opened) == 1 and opened[0]["target_name"] == "page" and opened[0]["data"] == {"n": 1}, "code opens one", opened)
    messages = k.outputs(k.send("comm_msg", {"comm_id": opened[0]["comm_id"], "data": "hi"}))
    ok(stream(messages) == "message hi\n", "and hears what the page says", kinds(messages))
    k.outputs(k.send("comm_close", {"comm_id": opened[0]["comm_id"], "data": {}}))
    ok(list(k.ask("comm_info_request", {})["comms"]) == ["c1"], "a closed one is gone")


def test_history(k):
    k.run("h1 = 10")
    k.run("h1 + 1")
    ask = lambda **options: [tuple(row) for row in k.ask("history_request", {"raw": True, **options})["history"]]
    tail = ask(hist_access_type="tail", n=2, output=True)
    session = tail[0][0]
    ok([row[2][0] for row in tail] == ["h1 = 10", "h1 + 1"] and tail[1][2][1] == "11", "the tail, with results", tail)
    ok(ask(hist_access_type="range", session=0, start=tail[0][1], stop=-1, output=False)[:1] == [(session, tail[0][1], "h1 = 10")],
       "a range of this session")
    ok(len(ask(hist_access_type="search", pattern="h1*", n=1, output=False)) == 1, "a search")
    with Kernel() as other:
        other.run("other = 1")
        past = other.ask("history_request", {"raw": True, "output": False, "hist_access_type": "tail", "n": 2})["history"]
        ok(past[0][2] == "h1 + 1" and past[1][2] == "other = 1" and past[1][0] != session, "kernels share it, each with its session", past)
        back = other.ask("history_request", {"raw": True, "output": False, "hist_access_type": "range", "session": -1,
                                             "start": 1, "stop": 1000})["history"]
        ok(back and len({row[0] for row in back}) == 1 and back[0][0] < past[1][0], "a session that counts back", back)
    import threading
    kernels = [Kernel() for _ in range(2)]
    threads = [threading.Thread(target=lambda k=k, i=i: [k.run(f"\"both {i} {j}\"") for j in range(40)])
               for i, k in enumerate(kernels)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = ask(hist_access_type="search", pattern='"both*', n=1000, output=False)
    ok(len({row[2] for row in rows}) == 80, "two kernels at once lose nothing", len(rows))
    for kernel in kernels:
        kernel.stop()


def test_restart(k):
    k.run("gone = 1")
    k.manager.restart_kernel(now=False)
    k.client.wait_for_ready(timeout=30)
    ok(k.value("gone").get("ename") == "name error", "a restart begins anew")
    start = time.time()
    k.manager.shutdown_kernel(now=False)
    ok(not k.alive() and time.time() - start < 2 * SLOW, "shutdown is quick", time.time() - start)
    k = Kernel()
    request = k.client.execute("while true { }")
    time.sleep(0.3)
    start = time.time()
    k.manager.shutdown_kernel(now=False)
    ok(not k.alive() and time.time() - start < 3 * SLOW, "from inside a cell too", time.time() - start)
    k.stop()


ALONE = [test_early_signals]


def main():
    words = sys.argv[1:]
    tests = [f for name, f in globals().items() if name.startswith("test_") and
             (not words or any(word in name for word in words))]
    for transport in ("tcp", "ipc"):
        k = None
        for test in tests:
            if transport == "ipc" and test not in (test_cells, test_abort, test_restart):
                continue
            if test in ALONE:
                test()
                continue
            if not k or not k.alive():
                k = Kernel(transport)
            try:
                test(k)
            except Exception as error:
                import traceback
                ok(False, f"{test.__name__} over {transport}", traceback.format_exc() + k.said())
                k.stop()
                k = None
        if k:
            said = k.said()
            k.stop()
            ok(not said, f"the kernel over {transport} said nothing on stderr", said)
    finish()


main()
