# SPDX-License-Identifier: GPL-3.0-or-later
"""The debugger over real sockets: the conversation of JupyterLab, and what no front end should ever send."""
import random
import sys
import time
from queue import Empty

from harness import Kernel, finish, ok, stream


def murmur2(data, seed):
    """MurmurHash2 of 32 bits, from its description."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = seed ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at:at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        value = value * multiplier & mask ^ word
    if data[whole:]:
        value = (value ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15


class Debugger:
    """A client's side. Messages on iopub are kept until they are looked for."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.seq = 0
        self.heard = []

    def send(self, command, arguments=None):
        self.seq += 1
        content = {"type": "request", "seq": self.seq, "command": command}
        if arguments is not None:
            content["arguments"] = arguments
        return self.kernel.send("debug_request", content, "control")

    def ask(self, command, timeout=30, **arguments):
        """The whole answer."""
        return self.kernel.reply(self.send(command, arguments), "control", timeout)["content"]

    def body(self, command, **arguments):
        answer = self.ask(command, **arguments)
        assert answer["success"], answer
        return answer["body"]

    def take(self, wanted, timeout=30):
        """The first message, heard or to come, that [wanted] is true of; what was heard before it stays."""
        for i, message in enumerate(self.heard):
            if wanted(message):
                return self.heard.pop(i)
        end = time.time() + timeout
        while time.time() < end:
            try:
                message = self.kernel.client.get_iopub_msg(timeout=max(0.01, end - time.time()))
            except Empty:
                break
            if wanted(message):
                return message
            self.heard.append(message)
        return None

    def event(self, name, timeout=30):
        message = self.take(lambda m: m["msg_type"] == "debug_event" and m["content"]["event"] == name, timeout)
        return message["content"]["body"] if message else None

    def stopped(self, timeout=30):
        """Why, and the line of the innermost frame."""
        body = self.event("stopped", timeout)
        if not body:
            return None, None
        frames = self.frames()
        return body["reason"], frames[0]["line"]

    def finish(self, request, timeout=60):
        """All that the cell said, and its reply."""
        idle = self.take(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle"
                         and m["parent_header"].get("msg_id") == request, timeout)
        assert idle, "the cell does not end"
        mine = [m for m in self.heard if m["parent_header"].get("msg_id") == request]
        self.heard = [m for m in self.heard if m not in mine]
        return self.kernel.reply(request)["content"], mine

    def frames(self):
        return self.body("stackTrace", threadId=1)["stackFrames"]

    def locals(self, frame=0):
        """The variables of the frame's first scope, by name."""
        scopes = self.body("scopes", frameId=self.frames()[frame]["id"])["scopes"]
        return {v["name"]: v for v in self.inside(scopes[0]["variablesReference"])}

    def inside(self, reference, **paging):
        return self.body("variables", variablesReference=reference, **paging)["variables"]

    def attach(self):
        capabilities = self.body("initialize", clientID="test", clientName="test", adapterID="", pathFormat="path",
                                 linesStartAt1=True, columnsStartAt1=True, supportsVariableType=True,
                                 supportsVariablePaging=True, supportsRunInTerminalRequest=True, locale="en")
        self.body("attach")
        return capabilities

    def run(self, code, *lines, **more):
        """Sets breakpoints and starts the cell, as a front end does."""
        path = self.body("dumpCell", code=code)["sourcePath"]
        self.body("setBreakpoints", source={"path": path}, breakpoints=[dict(line=n, **more) for n in lines],
                  sourceModified=False)
        return path, self.kernel.client.execute(code)

    def go(self, command="continue"):
        self.body(command, threadId=1)
        return self.event("continued")

    def end(self):
        self.ask("disconnect", restart=False, terminateDebuggee=False)
        self.event("terminated")


CELL = """fn square(x) {
    y = x * x
    y
}
total = 0
for i in 1..4 {
    total += square(i)
}
total"""


def test_info(k):
    d = Debugger(k)
    info = k.ask("kernel_info_request", {})
    ok(info["debugger"] is True and "debugger" in info["supported_features"], "kernel_info tells of the debugger", info)
    body = d.body("debugInfo")
    wanted = {"isStarted": bool, "hashMethod": str, "hashSeed": int, "tmpFilePrefix": str, "tmpFileSuffix": str,
              "breakpoints": list, "stoppedThreads": list, "richRendering": bool, "exceptionPaths": list,
              "copyToGlobals": bool}
    ok({name: type(value) for name, value in body.items()} == wanted, "debugInfo has every field, of its type", body)
    ok(body["hashMethod"] == "Murmur2" and not body["isStarted"] and body["copyToGlobals"] and body["richRendering"],
       "and says what is so", body)
    texts = ["", "1", "12", "123", "1234", "12345", "x = 'ä€😀'\n", "\n\n", "日本", CELL, "e\u0301" * 50]
    paths = [d.body("dumpCell", code=code)["sourcePath"] for code in texts]
    names = [f"{body['tmpFilePrefix']}{murmur2(code.encode(), body['hashSeed'])}{body['tmpFileSuffix']}" for code in texts]
    ok(paths == names, "a cell's path is made of the hash that front ends compute", list(zip(paths, names)))
    d.body("initialize")
    ok(d.body("debugInfo")["isStarted"], "and tells when it is started")
    d.end()


def test_conversation(k):
    """What JupyterLab does from the click on the bug to the click on it again."""
    d = Debugger(k)
    capabilities = d.attach()
    ok(all(capabilities.get(name) for name in ("supportsConfigurationDoneRequest", "supportsConditionalBreakpoints",
                                               "supportsLogPoints", "supportsSetVariable", "supportsModulesRequest")),
       "initialize tells the capabilities", capabilities)
    ok(d.event("initialized") == {}, "attach is answered by 'initialized'")
    ok(d.event("thread") == {"reason": "started", "threadId": 1}, "and 'thread'")
    ok(d.ask("configurationDone")["success"], "configurationDone is answered")
    ok([t["id"] for t in d.body("threads")["threads"]] == [1], "there is one thread")
    path = d.body("dumpCell", code=CELL)["sourcePath"]
    answer = d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}, {"line": 8}], sourceModified=False)
    points = answer["breakpoints"]
    ok(points[0]["verified"] and points[0]["line"] == 2 and points[0]["source"]["path"] == path, "a breakpoint is verified",
       answer)
    ok(points[1]["verified"] and points[1]["line"] == 9, "one on a brace moves to the next statement", answer)
    ok(d.body("debugInfo")["breakpoints"][0]["source"] == path, "debugInfo lists them", d.body("debugInfo"))
    request = k.client.execute(CELL)
    body = d.event("stopped")
    ok(body["reason"] == "breakpoint" and body["threadId"] == 1 and body["allThreadsStopped"]
       and body["hitBreakpointIds"] == [points[0]["id"]], "the cell stops there", body)
    ok(d.body("debugInfo")["stoppedThreads"] == [1], "debugInfo tells who is stopped")
    frames = d.frames()
    ok([(f["name"], f["line"], f["source"]["path"]) for f in frames] == [("square", 2, path), ("<cell>", 7, path)],
       "the stack has the cell's path and lines", frames)
    text = d.body("source", source={"path": path}, sourceReference=0)
    ok(text["content"] == CELL, "its source can be had", text)
    scopes = d.body("scopes", frameId=frames[0]["id"])["scopes"]
    ok(scopes[-1]["name"] == "Globals", "the last scope are the globals", scopes)
    ok(d.locals()["x"]["value"] == "1", "the first has the argument", scopes)
    d.go("next")
    ok(d.stopped() == ("step", 3), "next goes on to the next line")
    ok(d.locals()["y"]["value"] == "1", "and there is another variable")
    d.go("stepOut")
    reason, line = d.stopped()
    ok(reason == "step" and line in (6, 7) and len(d.frames()) == 1, "step out leaves the function", (reason, line))
    d.go("continue")
    ok(d.stopped() == ("breakpoint", 2), "continue goes on to the next breakpoint")
    ok(d.locals()["x"]["value"] == "2", "of the next call", d.locals())
    d.body("setBreakpoints", source={"path": path}, breakpoints=[])
    d.go("continue")
    answer, said = d.finish(request)
    ok(answer["status"] == "ok", "and to the end", answer)
    ok(k.value("total") == "14", "with the right value")
    d.end()
    ok(not d.body("debugInfo")["isStarted"] and d.body("debugInfo")["breakpoints"] == [], "disconnect ends it all")
    ok(k.run(CELL)[0]["status"] == "ok" and not d.event("stopped", 0.3), "and nothing stops any more")


def test_steps(k):
    d = Debugger(k)
    d.attach()
    _, request = d.run(CELL, 7)
    ok(d.stopped() == ("breakpoint", 7), "a breakpoint outside functions")
    d.go("stepIn")
    ok(d.stopped() == ("step", 2), "step in enters the function", d.frames())
    d.go("stepOut")
    d.stopped()
    for _ in range(2):
        if d.frames()[0]["line"] != 7:
            d.go("next")
            d.stopped()
    d.go("next")
    reason, line = d.stopped()
    ok(reason in ("step", "breakpoint") and len(d.frames()) == 1, "next steps over it", (reason, line))
    d.end()
    answer, _ = d.finish(request)
    ok(answer["status"] == "ok", "disconnect lets a stopped cell go on", answer)


def test_kinds(k):
    """Conditions, counts, log points, functions, cells that ran before and cells that run again."""
    d = Debugger(k)
    k.run(CELL)
    d.attach()
    _, request = d.run(CELL, 2, condition="x == 3")
    d.stopped()
    ok(d.locals()["x"]["value"] == "3", "a condition", d.locals())
    d.end()
    d.finish(request)
    d.attach()
    _, request = d.run(CELL, 2, hitCondition="2")
    d.stopped()
    ok(d.locals()["x"]["value"] == "2", "a number of hits", d.locals())
    d.end()
    d.finish(request)
    d.attach()
    _, request = d.run(CELL, 2, logMessage="x is {x}")
    answer, said = d.finish(request)
    ok(answer["status"] == "ok" and stream(said) == "x is 1\nx is 2\nx is 3\n", "a log point tells and does not stop", said)
    text = "".join(m["content"]["body"]["output"] for m in d.heard if m["msg_type"] == "debug_event"
                   and m["content"]["event"] == "output")
    ok(text == "x is 1\nx is 2\nx is 3\n", "also as events", text)
    path, request = d.run("for i in 0..20000 {\n    i\n}", 2, logMessage="{i}")
    d.finish(request)
    events = [m for m in d.heard if m["msg_type"] == "debug_event" and m["content"]["event"] == "output"]
    ok(len(events) < 2000 and "".join(m["content"]["body"]["output"] for m in events).endswith("19999\n"),
       "a loop's messages go out together", len(events))
    d.heard.clear()
    answer = d.body("setFunctionBreakpoints", breakpoints=[{"name": "square"}, {"name": "nobody"}])
    ok(answer["breakpoints"][0]["verified"], "a function's breakpoint", answer)
    request = k.client.execute("square(5)")
    body = d.event("stopped")
    ok(body and body["reason"] == "function breakpoint" and d.frames()[0]["name"] == "square", "stops in an earlier cell's function",
       body)
    path = d.frames()[0]["source"]["path"]
    ok(path == d.body("dumpCell", code=CELL)["sourcePath"], "which has its path", path)
    d.body("setFunctionBreakpoints", breakpoints=[])
    d.go()
    d.finish(request)
    d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}])
    request = k.client.execute("square(6)")
    ok(d.stopped() == ("breakpoint", 2), "a breakpoint in a cell that ran before", d.heard)
    d.go()
    d.finish(request)
    for n in range(2):
        request = k.client.execute(CELL)
        body = d.event("stopped")
        number = d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}])["breakpoints"][0]["id"]
        ok(body and body["hitBreakpointIds"] == [number], f"the cell runs again, and stops ({n})", body)
        d.body("setBreakpoints", source={"path": path}, breakpoints=[])
        d.go()
        d.finish(request)
        d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}])
    d.body("setBreakpoints", source={"path": path}, breakpoints=[])
    lines = d.body("breakpointLocations", source={"path": path}, line=1, endLine=100)["breakpoints"]
    ok([l["line"] for l in lines if l["line"] in (2, 3, 7, 9)] == [2, 3, 7, 9] and {"line": 8} not in lines,
       "where breakpoints can be", lines)
    d.end()


def test_values(k):
    d = Debugger(k)
    d.attach()
    code = """fn look(n, name) {
    t = tensor([[1., 2., 3.], [4., 5., 6.]])
    many = list(0..1000)
    most = list(0..50000)
    known = {a: 1, "b c": [1, 2]}
    flag = true
    x = 2.5
    big = 9007199254740993
    t
}
seen = 1
look(3, "Ada\\n");"""
    _, request = d.run(code, 9)
    d.stopped()
    found = d.locals()
    ok(found["n"]["value"] == "3" and found["n"]["type"] == "int", "an int", found["n"])
    ok(found["flag"]["value"] == "true" and found["flag"]["type"] == "bool", "a bool", found["flag"])
    ok(found["x"]["value"] == "2.5" and found["x"]["type"] == "float", "a float", found["x"])
    ok("Ada" in found["name"]["value"] and found["name"]["type"] == "str", "a string", found["name"])
    ok("f32[2, 3]" in found["t"]["type"] and found["t"]["variablesReference"] > 0, "a tensor tells dtype and shape", found["t"])
    ok("9007199254740993" in found["big"]["value"] and "type" not in found["big"], "a number too large for JavaScript", found["big"])
    ok(found["many"]["indexedVariables"] == 1000, "a list tells how long it is", found["many"])
    some = d.inside(found["many"]["variablesReference"], filter="indexed", start=500, count=3)
    ok([v["value"] for v in some] == ["500", "501", "502"], "and is read in pages", some)
    groups = d.inside(found["most"]["variablesReference"])
    ok(1 < len(groups) < 1000 and groups[1]["variablesReference"] > 0, "or in groups", groups[:2])
    ok(d.inside(groups[1]["variablesReference"])[0]["value"].isdigit(), "that open", groups[1])
    rows = d.inside(found["t"]["variablesReference"])
    ok([r["value"] for r in rows if r["name"].isdigit()] == ["[1, 2, 3]", "[4, 5, 6]"], "a tensor has rows", rows)
    keys = d.inside(found["known"]["variablesReference"])
    ok({"1"} <= {v["value"] for v in keys} and len(keys) == 2, "a map has keys", keys)
    frame = d.frames()[0]["id"]
    for context in ("repl", "watch", "hover"):
        ok(d.body("evaluate", expression="n + x", frameId=frame, context=context)["result"] == "5.5", f"an expression for {context}")
        frame = d.frames()[0]["id"]
    answer = d.ask("evaluate", expression="nobody + 1", frameId=frame, context="repl")
    ok(not answer["success"] and "nobody" in answer["message"], "one that fails says why", answer)
    answer = d.body("evaluate", expression="t", frameId=frame, context="watch")
    ok(answer["variablesReference"] > 0 and len(d.inside(answer["variablesReference"])) >= 2, "a value that can be opened", answer)
    frame = d.frames()[0]["id"]
    d.body("evaluate", expression="n = 40", frameId=frame, context="repl")
    ok(d.locals()["n"]["value"] == "40", "an assignment changes the variable", d.locals()["n"])
    scopes = d.body("scopes", frameId=d.frames()[0]["id"])["scopes"]
    answer = d.body("setVariable", variablesReference=scopes[0]["variablesReference"], name="n", value="41 + 1")
    ok(answer["value"] == "42" and d.locals()["n"]["value"] == "42", "setVariable", answer)
    bundle = d.body("richInspectVariables", variableName="t", frameId=d.frames()[0]["id"])
    ok("text/plain" in bundle["data"] and "text/html" in bundle["data"] and isinstance(bundle["metadata"], dict),
       "a variable in all its forms", bundle)
    ok(d.body("richInspectVariables", variableName="nobody", frameId=d.frames()[0]["id"])["data"] == {}, "or none")
    frame = d.frames()[0]["id"]
    ok(d.ask("copyToGlobals", srcVariableName="t", dstVariableName="taken", srcFrameId=frame)["success"], "a variable is copied")
    answer = d.ask("copyToGlobals", srcVariableName="nobody", dstVariableName="taken2", srcFrameId=frame)
    ok(not answer["success"], "one that is not there is not", answer)
    answer = d.ask("copyToGlobals", srcVariableName="t", dstVariableName="1 = 2", srcFrameId=frame)
    ok(not answer["success"], "nor under a name that is none", answer)
    targets = d.body("completions", text="nam", column=4, frameId=frame)["targets"]
    ok({"label": "name", "start": 0, "length": 3, "type": "variable"} in targets, "completion knows the frame", targets[:5])
    targets = d.body("completions", text="😀 = 1\nnn.LayerN", line=2, column=10)["targets"]
    ok(any(t["label"] == "LayerNorm" and t["start"] == 3 for t in targets), "and the session", targets[:5])
    d.go()
    answer, _ = d.finish(request)
    value = k.value("taken[1, 2]")
    ok(answer["status"] == "ok" and value == "6.0", "the copy is there when the cell is over", (answer, value))
    ok(not d.ask("scopes", frameId=frame)["success"], "frames are gone then")
    names = {v["name"]: v for v in d.body("inspectVariables")["variables"]}
    ok(names["seen"]["value"] == "1" and "taken" in names, "inspectVariables has the globals", list(names))
    ok(len(d.inside(names["taken"]["variablesReference"])) >= 2, "which can be opened while nothing is stopped")
    ok("text/html" in d.body("richInspectVariables", variableName="taken")["data"], "and seen in all forms")
    ok(d.body("evaluate", expression="seen + 1", context="repl")["result"] == "2", "and used")
    modules = d.body("modules")
    ok(modules["totalModules"] == len(modules["modules"]), "modules are listed", modules)
    if modules["modules"]:
        one = modules["modules"][0]
        ok(d.body("source", source={"path": one["path"]})["content"], "with their sources", one)
    ok(isinstance(d.body("loadedSources")["sources"], list), "and loaded sources")
    d.end()


def test_errors(k):
    d = Debugger(k)
    d.attach()
    code = "fn worse(a) {\n    b = a // 0\n    b\n}\ntry { worse(1) } catch e { 2 }\nworse(7)"
    answer = d.body("setExceptionBreakpoints", filters=["uncaught", "nonsense"])
    ok([b["verified"] for b in answer["breakpoints"]] == [True, False], "filters that are known", answer)
    _, request = d.run(code)
    body = d.event("stopped")
    ok(body and body["reason"] == "exception" and "zero" in body["description"], "an error stops the cell", body)
    frames = d.frames()
    ok((frames[0]["name"], frames[0]["line"]) == ("worse", 2) and d.locals()["a"]["value"] == "7",
       "with the frame that failed, the second time, which nothing catches", frames)
    info = d.body("exceptionInfo", threadId=1)
    ok(info["exceptionId"] == "division by zero" and "7" in info["description"] and info["breakMode"] == "unhandled"
       and "\033" not in info["details"]["stackTrace"], "exceptionInfo", info)
    d.go()
    answer, _ = d.finish(request)
    ok(answer["status"] == "error", "and then fails as ever", answer)
    d.body("setExceptionBreakpoints", filters=["all"])
    _, request = d.run(code)
    d.event("stopped")
    ok(d.locals()["a"]["value"] == "1", "all errors, those that are caught too", d.frames())
    d.body("setExceptionBreakpoints", filters=[])
    d.go()
    answer, _ = d.finish(request)
    ok(answer["status"] == "error" and not d.event("stopped", 0.2), "no filter, no stop")
    d.end()


def test_busy(k):
    """Requests while a cell runs, pause, and what else arrives while it is stopped."""
    d = Debugger(k)
    request = k.client.execute("n = 0\nwhile true {\n    n += 1\n}")
    time.sleep(0.3)
    d.attach()
    ok(d.body("debugInfo")["isStarted"], "a debugger is attached while a cell runs")
    ok({v["name"] for v in d.body("inspectVariables")["variables"]} >= {"n"}, "and sees its variables")
    d.body("pause", threadId=1)
    reason, line = d.stopped()
    ok(reason == "pause" and line in (2, 3), "pause stops an endless loop", (reason, line))
    first = int(d.body("evaluate", expression="n", frameId=d.frames()[0]["id"], context="repl")["result"])
    ok(k.ask("complete_request", {"code": "cross_en", "cursor_pos": 8})["matches"] == ["cross_entropy"], "completion while stopped")
    ok(k.ask("inspect_request", {"code": "n", "cursor_pos": 1, "detail_level": 0})["found"], "inspection while stopped")
    ok(k.ask("kernel_info_request", {}, "control")["status"] == "ok", "kernel_info while stopped")
    k.send("comm_open", {"comm_id": "c", "target_name": "nobody", "data": {}})
    later = k.client.execute("n > 0")
    for _ in range(3):
        d.go("next")
        d.stopped()
    second = int(d.body("evaluate", expression="n", frameId=d.frames()[0]["id"], context="repl")["result"])
    ok(second - first in (1, 2, 3), "steps in it", (first, second))
    d.send("evaluate", {"expression": "while true { }", "context": "repl"})
    time.sleep(0.3)
    k.manager.interrupt_kernel()
    time.sleep(0.3)
    ok(d.body("debugInfo")["stoppedThreads"] == [1], "an interrupt ends an endless evaluation, not the stop")
    k.manager.interrupt_kernel()
    answer, _ = d.finish(request)
    ok(answer["status"] == "error" and answer["ename"] == "interrupted", "the next one ends the cell", answer)
    ok(k.reply(later)["content"]["status"] == "aborted", "and what waited is aborted")
    ok(k.value("n > 0") == "true" and k.value("1 + 1") == "2", "the session is as ever")
    request = k.client.execute("while true {\n    n += 1\n}")
    time.sleep(0.2)
    d.body("pause")
    d.stopped()
    later = k.client.execute("n = 'waited'")
    d.body("terminate")
    answer, _ = d.finish(request)
    ok(answer["status"] == "error" and d.event("terminated") == {}, "terminate ends the cell", answer)
    d.end()
    k.reply(later)


def test_ends(k):
    """Shutdown and restart while stopped."""
    for restart in (True, False):
        d = Debugger(k)
        d.attach()
        _, request = d.run("a = 1\na + 1", 2)
        d.stopped()
        start = time.time()
        if restart:
            k.manager.restart_kernel(now=False)
            k.client.stop_channels()
            k.client = k.manager.client()
            k.client.start_channels()
            k.client.wait_for_ready(timeout=60)
            ok(not Debugger(k).body("debugInfo")["isStarted"], "a stopped kernel restarts")
        else:
            k.manager.shutdown_kernel(now=False)
            ok(not k.alive() and k.said() == "", "a stopped kernel shuts down", (time.time() - start, k.said()))


COMMANDS = ["attach", "breakpointLocations", "completions", "configurationDone", "continue", "copyToGlobals", "debugInfo",
            "dumpCell", "evaluate", "exceptionInfo", "initialize", "inspectVariables", "launch", "loadedSources", "modules",
            "next", "pause", "richInspectVariables", "scopes", "setBreakpoints", "setExceptionBreakpoints",
            "setFunctionBreakpoints", "setVariable", "source", "stackTrace", "stepIn", "stepOut", "threads", "variables",
            "disconnect", "terminate"]
NEEDS_NOTHING = {"debugInfo", "disconnect", "initialize", "loadedSources", "modules"}


def test_wrong(k):
    d = Debugger(k)
    for content in ({}, {"command": 7}, {"command": "evaluate", "arguments": []}, {"type": "response", "command": "attach"},
                    {"command": None, "seq": "x"}, {"type": "request", "seq": 1, "command": "nonsense"},
                    {"command": "a" * 100000}):
        answer = k.reply(k.send("debug_request", content, "control"), "control")["content"]
        ok(answer["success"] is False and answer["message"] and answer["type"] == "response", f"refused: {str(content)[:60]}", answer)
    for command in COMMANDS:
        answer = d.ask(command)
        if command not in NEEDS_NOTHING:
            ok(answer["success"] is False and answer["message"], f"{command} before initialize, without arguments", answer)
        d.ask("disconnect")
    d.attach()
    wrong = [("setBreakpoints", {"source": {}, "breakpoints": []}), ("setBreakpoints", {"source": {"path": "x"}, "breakpoints": 3}),
             ("setBreakpoints", {"source": {"path": "x"}, "breakpoints": [{"line": "1"}]}),
             ("setBreakpoints", {"source": {"path": "x"}, "breakpoints": [{"line": 1, "condition": 3}]}),
             ("source", {"source": {"path": "/etc/nowhere"}}), ("variables", {"variablesReference": 12345}),
             ("variables", {"variablesReference": -1}), ("variables", {"variablesReference": 10 ** 18}), ("scopes", {"frameId": 1}),
             ("stackTrace", {"threadId": 99}), ("evaluate", {"expression": "1", "frameId": 3}),
             ("evaluate", {"expression": "1 +* 2"}), ("continue", {"threadId": 1}), ("exceptionInfo", {"threadId": 1}),
             ("richInspectVariables", {"variableName": "1 + 1"}), ("setExceptionBreakpoints", {"filters": "all"}),
             ("setFunctionBreakpoints", {"breakpoints": [{}]}), ("dumpCell", {"code": 3}), ("completions", {"text": "x"}),
             ("setVariable", {"variablesReference": 77, "name": "x", "value": "1"})]
    for command, arguments in wrong:
        answer = d.ask(command, **arguments)
        ok(answer["success"] is False and answer["message"] and "body" in answer, f"{command} {arguments} is refused", answer)
    answer = d.body("setBreakpoints", source={"path": "/nowhere.tsr"}, breakpoints=[{"line": 1}, {"line": -5}, {"line": 10 ** 12}])
    ok([b["verified"] for b in answer["breakpoints"]] == [False] * 3 and answer["breakpoints"][0]["message"],
       "breakpoints in no file are not verified", answer)
    path = d.body("dumpCell", code="1 +* (")["sourcePath"]
    answer = d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 1}])
    ok(not answer["breakpoints"][0]["verified"], "nor in what is no program", answer)
    ok(d.body("stackTrace", threadId=1) == {"stackFrames": [], "totalFrames": 0}, "no frames while nothing is stopped")
    _, request = d.run(CELL, 2, condition="x +* 1")
    body = d.event("stopped", 3)
    if body:
        d.end()
    ok(d.finish(request)[0]["status"] == "ok", "a condition that is none does no harm", body)
    d.end()


def junk(random, depth=0):
    """Any JSON."""
    kind = random.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return random.choice([0, 1, -1, 2, 3, 7, 2 ** 31, 2 ** 53, -2 ** 63, 1.5, 1e308])
    if kind < 4:
        return random.choice(["", "x", "total", "ä😀", "1 + 1", "x = [", "\0", "a" * 3000, "{", "<cell 1>", "named", "/", "square"])
    if kind < 6:
        return random.choice([None, True, False])
    if kind == 6:
        return [junk(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(["path", "line", "name", "condition", "x", "threadId"]): junk(random, depth + 1) for _ in range(3)}


ARGUMENTS = ["threadId", "frameId", "variablesReference", "source", "breakpoints", "expression", "code", "name", "value",
             "filter", "filters", "start", "count", "text", "column", "line", "endLine", "context", "variableName",
             "srcVariableName", "dstVariableName", "srcFrameId", "startFrame", "levels", "lines", "linesStartAt1"]


def test_fuzz(k, seed=20261122):
    """Arguments of any kind, also while stopped: each request is answered, and the kernel lives."""
    generator = random.Random(seed)
    d = Debugger(k)
    commands = [c for c in COMMANDS if c not in ("pause",)]
    answered = 0
    for turn in range(6):
        d.attach()
        _, request = d.run(CELL, 2)
        d.event("stopped")
        sent = []
        for _ in range(60):
            command = generator.choice(commands)
            sent.append(d.send(command, {name: junk(generator) for name in generator.sample(ARGUMENTS, generator.randrange(6))}
                               if generator.random() < 0.9 else junk(generator)))
        while sent:                        # in any order: some are answered while an earlier one's expression is evaluated
            message = k.client.get_control_msg(timeout=60)
            if message["parent_header"].get("msg_id") in sent:
                sent.remove(message["parent_header"]["msg_id"])
                answered += message["content"]["type"] == "response"
        d.ask("disconnect")
        d.finish(request)
        d.heard.clear()
    ok(answered == 360 and k.alive(), "360 requests of any kind are answered", answered)
    ok(k.value("1 + 1") == "2", "and the session is as ever")


def test_cycles(k):
    d = Debugger(k)
    path = None
    for _ in range(100):
        d.attach()
        path = d.body("dumpCell", code=CELL)["sourcePath"]
        d.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}])
        d.end()
        d.heard.clear()
    request = k.client.execute(CELL)
    ok(d.finish(request)[0]["status"] == "ok" and not d.event("stopped", 0.2), "100 times attached and detached")
    for _ in range(10):
        d.attach()
        _, request = d.run(CELL, 2)
        d.event("stopped")
        d.end()
        fine = d.finish(request)[0]["status"] == "ok"
    ok(fine, "ten times while a cell is stopped")


def main():
    words = sys.argv[1:]
    tests = [test_info, test_conversation, test_steps, test_kinds, test_values, test_errors, test_busy, test_wrong, test_fuzz,
             test_cycles, test_ends]
    with Kernel() as k:
        for test in tests:
            if words and test.__name__[5:] not in words:
                continue
            try:
                test(k)
            except Exception:
                import traceback
                ok(False, test.__name__, traceback.format_exc() + k.said())
    finish()


main()
