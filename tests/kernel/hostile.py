# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel against the world: 200 clients that join while it publishes, messages that are wrong in every way, connection
files that are wrong, parents that die, many lives in a row. With words, only the tests whose names contain one of them."""
import hashlib
import hmac
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time

import zmq
from jupyter_client.session import Session

from harness import Kernel, finish, home, ok, tessera

SLOW = float(os.environ.get("TESSERA_SLOW", "1"))
context = zmq.Context.instance()


class Raw:
    """A client of bare sockets."""

    def __init__(self, connection):
        self.connection = connection
        self.session = Session(key=connection["key"].encode())
        self.sockets = []

    def socket(self, kind, name, **options):
        s = context.socket(kind)
        s.linger = 0
        for option, value in options.items():
            setattr(s, option, value)
        c = self.connection
        between = "-" if c["transport"] == "ipc" else ":"
        s.connect(f"{c['transport']}://{c['ip']}{between}{c[name + '_port']}")
        self.sockets.append(s)
        return s

    def receive(self, s, seconds=20):
        """The next message, or None."""
        if not s.poll(int(1000 * seconds * SLOW)):
            return None
        _, frames = self.session.feed_identities(s.recv_multipart())
        return self.session.deserialize(frames)

    def idle(self, s, request, seconds=20):
        """The states of a request, up to its idle."""
        states = []
        while not states or states[-1] != "idle":
            message = self.receive(s, seconds)
            if message is None:
                return states
            if message["msg_type"] == "status" and message["parent_header"].get("msg_id") == request:
                states.append(message["content"]["execution_state"])
        return states

    def close(self):
        for s in self.sockets:
            s.close()


def connection_of(k):
    with open(k.manager.connection_file) as file:
        return json.load(file)


def test_joiners(k):
    """Each new client is welcomed first, and then misses nothing."""
    connection = connection_of(k)
    noise = k.client.execute("while true { display(1); sleep(0.001) }")
    welcomed = complete = 0
    for _ in range(200):
        raw = Raw(connection)
        sub, shell = raw.socket(zmq.SUB, "iopub", subscribe=b""), raw.socket(zmq.DEALER, "shell")
        first = raw.receive(sub)
        welcomed += first is not None and first["msg_type"] == "iopub_welcome" and first["content"] == {"subscription": ""} \
            and not first["parent_header"]
        request = raw.session.send(shell, "kernel_info_request", {})["header"]["msg_id"]
        complete += raw.idle(sub, request) == ["busy", "idle"]
        raw.close()
    ok(welcomed == 200, "200 of 200 clients are welcomed first, while the kernel publishes", welcomed)
    ok(complete == 200, "and see busy and idle of their first request", complete)
    raw = Raw(connection)
    subs = [raw.socket(zmq.SUB, "iopub", subscribe=topic) for topic in (b"", b"", b"", b"stream")]
    firsts = [raw.receive(s) for s in subs]
    ok([f and f["content"].get("subscription") for f in firsts] == ["", "", "", "stream"], "several at once, each with its topic",
       firsts)
    raw.close()
    k.manager.interrupt_kernel()
    k.outputs(noise)
    k.reply(noise)


def frames_of(key, kind="kernel_info_request", content=b"{}", number=[0]):
    """A message as it should be: signature, header, parent, metadata, content."""
    number[0] += 1
    header = json.dumps({"msg_id": f"m{number[0]}-{time.time()}", "session": "s", "username": "u", "version": "5.4",
                         "date": "2026-11-22T00:00:00Z", "msg_type": kind}).encode()
    parts = [header, b"{}", b"{}", content]
    return [b"<IDS|MSG>", sign(key, parts)] + parts


def sign(key, parts):
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def wrong_messages(key):
    good = frames_of(key)
    yield "no delimiter", good[1:]
    yield "no frames behind the delimiter", good[:1]
    yield "too few frames", good[:5]
    yield "a wrong signature", [good[0], b"0" * 64] + good[2:]
    yield "a short signature", [good[0], good[1][:10]] + good[2:]
    yield "an empty signature", [good[0], b""] + good[2:]
    yield "an upper case signature", [good[0], good[1].upper()] + good[2:]
    for name, at, part in (("a header that is no JSON", 0, b"{"), ("a header that is a list", 0, b"[]"),
                           ("a header with bytes that are no UTF-8", 0, b'{"msg_type": "\xff\xfe"}'),
                           ("a header without a type", 0, b"{}"), ("a type that is a number", 0, b'{"msg_type": 3}'),
                           ("a deep header", 0, b"[" * 100000), ("an empty header", 0, b""), ("a 0 in the header", 0, b'{"msg_type": "a\\u0000b"}'),
                           ("content that is no JSON", 3, b"nope"), ("content that is a number", 3, b"3"),
                           ("content that is not UTF-8", 3, b'{"code": "\xc3\x28"}')):
        parts = frames_of(key)[2:]
        parts[at] = part
        yield name, [b"<IDS|MSG>", sign(key, parts)] + parts


def odd_messages(key):
    """Signed and well formed, but not what a client would send."""
    for kind, content in (("execute_request", {}), ("execute_request", {"code": 3}), ("execute_request", {"code": None, "silent": "x"}),
                          ("execute_request", {"code": "\u0000\ud7ff", "user_expressions": [1]}), ("complete_request", {"code": [], "cursor_pos": "a"}),
                          ("complete_request", {"code": "nn.", "cursor_pos": 2**62}), ("complete_request", {"code": "é" * 9, "cursor_pos": -2**62}),
                          ("inspect_request", {"code": "x", "cursor_pos": None}), ("is_complete_request", {"code": {}}),
                          ("history_request", {}), ("history_request", {"hist_access_type": "tail", "n": "many"}),
                          ("history_request", {"hist_access_type": "search", "pattern": 3, "n": -5}),
                          ("history_request", {"hist_access_type": "range", "session": 10**18, "start": -9, "stop": 10**18}),
                          ("comm_open", {}), ("comm_open", {"comm_id": 1, "target_name": None}), ("comm_msg", {"comm_id": "no"}),
                          ("comm_close", {}), ("comm_info_request", {"target_name": []}), ("input_reply", {"value": "x"}),
                          ("debug_request", {"command": "attach"}), ("", {}), ("x" * 5000, {"a": [[[]]]}), ("status", {}),
                          ("execute_reply", {}), ("kernel_info_reply", {})):
        yield f"{kind[:30]} {json.dumps(content)[:40]}", frames_of(key, kind, json.dumps(content).encode())


def test_messages(k):
    connection = connection_of(k)
    key = connection["key"].encode()
    raw = Raw(connection)
    shell, control = raw.socket(zmq.DEALER, "shell"), raw.socket(zmq.DEALER, "control")

    def answers(s):
        s.send_multipart(frames_of(key))
        while True:
            reply = raw.receive(s)
            if reply is None or reply["msg_type"] == "kernel_info_reply":
                return reply is not None

    bad = []
    for s in (shell, control):
        for name, frames in list(wrong_messages(key)):
            s.send_multipart(frames)
            if not s.poll(15):
                continue
            bad.append((name, s.recv_multipart()))
    ok(not bad, "wrong messages get no answer", bad)
    ok(answers(shell) and answers(control) and k.alive(), "and the kernel serves on")
    for s in (shell, control):
        for name, frames in odd_messages(key):
            s.send_multipart(frames)
    ok(answers(shell) and answers(control) and k.alive(), "odd messages change nothing", k.said())
    again = frames_of(key)
    shell.send_multipart(again)
    first = raw.receive(shell)
    while first and first["msg_type"] != "kernel_info_reply":
        first = raw.receive(shell)
    shell.send_multipart(again)
    shell.send_multipart(frames_of(key, "is_complete_request", b'{"code": "1"}'))
    later = [raw.receive(shell)]         # answers to the odd ones may come late
    while later[-1] and later[-1]["msg_type"] != "is_complete_reply":
        later.append(raw.receive(shell))
    twice = [m for m in later if m and m["parent_header"].get("msg_id") == json.loads(again[2])["msg_id"]]
    ok(first and later[-1] and not twice, "a message that comes again is refused", later)
    large = json.dumps({"code": "# " + "x" * (64 << 20), "silent": True}).encode()
    frames = frames_of(key, "execute_request", large)
    raw.session.check_pid = False
    shell.send_multipart(frames)
    wanted, reply = json.loads(frames[2])["msg_id"], raw.receive(shell, 60)
    while reply and reply["parent_header"].get("msg_id") != wanted:
        reply = raw.receive(shell, 60)
    ok(reply and reply["content"]["status"] == "ok", "64 MB of code", reply and reply["content"])
    buffers = frames_of(key, "comm_msg", b'{"comm_id": "none", "data": {}}') + [os.urandom(1 << 20)] * 20
    shell.send_multipart(buffers)
    shell.send_multipart([b"x"] * 300 + frames_of(key))
    ok(answers(shell), "many buffers, many identities")
    chance = random.Random(7)
    for _ in range(1500):
        frames = frames_of(key)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(frames))
            part = bytearray(frames[at])
            if part and chance.random() < 0.8:
                part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
            else:
                part = bytearray(os.urandom(chance.randrange(40)))
            frames[at] = bytes(part)
        if chance.random() < 0.5 and len(frames) == 6:
            frames[1] = sign(key, frames[2:])
        (shell if chance.random() < 0.5 else control).send_multipart(frames)
    ok(answers(shell) and answers(control) and k.alive(), "1500 damaged messages", k.said())
    stranger = context.socket(zmq.REQ)
    stranger.linger = 0
    stranger.connect(f"tcp://{connection['ip']}:{connection['hb_port']}")
    stranger.send(b"ping \xff")
    ok(stranger.poll(5000) and stranger.recv() == b"ping \xff", "the heart beats")
    stranger.close()
    raw.close()


def test_heart(k):
    connection = connection_of(k)
    heart = context.socket(zmq.REQ)
    heart.linger = 0
    heart.connect(f"tcp://{connection['ip']}:{connection['hb_port']}")
    k.run("big = randn(2048, 2048)")
    request = k.client.execute("big @ big @ big @ big; big @ big @ big")
    worst = 0
    for _ in range(50):
        start = time.time()
        heart.send(b"x")
        if not heart.poll(5000):
            worst = 5
            break
        heart.recv()
        worst = max(worst, time.time() - start)
    heart.close()
    k.manager.interrupt_kernel()
    k.outputs(request)
    k.reply(request)
    ok(worst < 3 * SLOW, "it beats in a native op too", worst)


# ---- processes of our own ----

def write_connection(name, **changes):
    path = f"{home}/{name}.json"
    fields = {"transport": "tcp", "ip": "127.0.0.1", "key": "a key", "signature_scheme": "hmac-sha256", "shell_port": 0,
              "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0}
    fields.update(changes)
    with open(path, "w") as file:
        json.dump({name: value for name, value in fields.items() if value is not None}, file)
    return path


def start(path, **options):
    return subprocess.Popen([tessera, "kernel", "-f", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, **options)


def free_ports(count):
    sockets = [context.socket(zmq.REP) for _ in range(count)]
    ports = [s.bind_to_random_port("tcp://127.0.0.1") for s in sockets]
    for s in sockets:
        s.close()
    return ports


NAMES = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


def test_connection_files():
    broken = f"{home}/broken.json"
    with open(broken, "w") as file:
        file.write("{")
    taken = context.socket(zmq.REP)
    port = taken.bind_to_random_port("tcp://127.0.0.1")
    cases = [
        ("a file that is not JSON", broken, "broken.json"),
        ("a folder", home, home),
        ("no shell_port", write_connection("a", shell_port=None), "shell_port"),
        ("a port that is a string", write_connection("b", hb_port="x"), "hb_port"),
        ("a port that is too high", write_connection("c", hb_port=70000), "hb_port"),
        ("a signature scheme of others", write_connection("d", signature_scheme="hmac-md5"), "hmac-md5"),
        ("a transport of others", write_connection("e", transport="udp"), "udp"),
        ("an address of others", write_connection("f", ip="192.0.2.1"), "192.0.2.1"),
        ("a key that is a number", write_connection("g", key=3), "key"),
        ("a port that is taken", write_connection("h", shell_port=port), str(port)),
    ]
    for name, path, wanted in cases:
        process = start(path)
        try:
            _, said = process.communicate(timeout=20 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
        ok(process.returncode == 1 and wanted in said and len(said.splitlines()) == 1, f"{name}: one line, status 1",
           f"status {process.returncode}: {said}")
    taken.close()
    process = subprocess.run([tessera, "kernel", "-f"], capture_output=True, text=True, timeout=20)
    ok(process.returncode == 2 and process.stderr, "an option without its value is a wrong command line", process)


def test_new_file():
    """A connection file that is not there is made, and taken away again."""
    path = f"{home}/made.json"
    process = start(path)
    for _ in range(int(100 * SLOW)):
        if os.path.exists(path) and os.path.getsize(path):
            break
        time.sleep(0.05)
    ok(os.path.exists(path) and stat.S_IMODE(os.stat(path).st_mode) == 0o600, "a connection file is made, for its owner alone")
    with open(path) as file:
        connection = json.load(file)
    ok(all(connection[name] > 0 for name in NAMES) and len(connection["key"]) >= 32, "with ports and a key", connection)
    raw = Raw(connection)
    shell = raw.socket(zmq.DEALER, "shell")
    raw.session.send(shell, "kernel_info_request", {})
    ok(raw.receive(shell) is not None, "by which a client reaches it")
    process.terminate()
    process.wait(timeout=10 * SLOW)
    process.stderr.close()
    ok(not os.path.exists(path), "and goes with the kernel")
    raw.close()


def test_lives():
    """Fifty lives in a row leave no process, no socket and no file."""
    fine, times = 0, []
    for turn in range(50):
        ipc = turn % 2
        prefix = f"{home}/k{turn}"
        ports = free_ports(5) if not ipc else range(1, 6)
        connection = dict(zip(NAMES, ports), key="k", transport="ipc" if ipc else "tcp", ip=prefix if ipc else "127.0.0.1")
        path = write_connection(f"life{turn}", **connection)
        process = start(path)
        raw = Raw(connection)
        control = raw.socket(zmq.DEALER, "control")
        if turn % 5 == 4:
            time.sleep(0.02 * SLOW)
        for _ in range(2):                               # until the kernel has the port, a stranger's socket may take it
            raw.session.send(control, "shutdown_request", {"restart": False})
            reply = raw.receive(control, 5)
            if reply:
                break
        replied = time.time()
        try:
            status = process.wait(timeout=10 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            status = None
        times.append(time.time() - replied)
        _, said = process.communicate()
        raw.close()
        fine += status == 0 and reply is not None and reply["content"]["status"] == "ok" and not said
        if status != 0 or said:
            ok(False, f"life {turn}", f"status {status}: {said}")
    ok(fine == 50, "50 lives end with status 0, in silence", fine)
    ok(sorted(times)[25] < 0.05 * SLOW, "soon after the reply", f"median {sorted(times)[25]:.3f} s")
    left = [name for name in os.listdir(home) if name.startswith("k") and "-" in name]
    ok(not left, "no socket is left behind", left)
    database = f"{home}/state/tessera/history.sqlite"
    if os.path.exists(database):
        import sqlite3
        with sqlite3.connect(database, timeout=1) as file:
            ok(file.execute("BEGIN IMMEDIATE").fetchall() == [], "no lock on the history either")


def test_parents():
    """The kernel goes when its parent is killed, or its manager."""
    path = write_connection("orphan", **dict(zip(NAMES, free_ports(5))))
    code = ("import subprocess, sys, time\n"
            f"p = subprocess.Popen([{tessera!r}, 'kernel', '-f', {path!r}], start_new_session=True)\n"
            "print(p.pid, flush=True)\ntime.sleep(100)")
    for busy in (False, True):
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        pid = int(parent.stdout.readline())
        with open(path) as file:
            raw = Raw(json.load(file))
        shell = raw.socket(zmq.DEALER, "shell")
        raw.session.send(shell, "kernel_info_request", {})
        raw.receive(shell)
        if busy:
            raw.session.send(shell, "execute_request", {"code": "while true { }"})
            time.sleep(0.3)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        killed = time.time()
        while time.time() - killed < 10 * SLOW and alive(pid):
            time.sleep(0.05)
        took = time.time() - killed
        ok(not alive(pid) and took < 2.5 * SLOW, f"a kernel goes when its parent is killed{', from a cell' if busy else ''}", took)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
        raw.close()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main():
    words = sys.argv[1:]
    tests = [f for name, f in list(globals().items()) if name.startswith("test_") and
             (not words or any(word in name for word in words))]
    for test in tests:
        k = Kernel() if test.__code__.co_argcount else None
        try:
            test(k) if k else test()
        except Exception:
            import traceback
            ok(False, test.__name__, traceback.format_exc() + (k.said() if k else ""))
        if k:
            k.stop()
    finish()


main()
