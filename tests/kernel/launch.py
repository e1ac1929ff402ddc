# SPDX-License-Identifier: GPL-3.0-or-later
"""Registration (protocol 5.6) at a launcher of our own, since jupyter_client has none, and CurveZMQ with bare sockets, and
with jupyter_client where it is new enough. With words, only the tests whose names contain one of them."""
import glob
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time

import zmq
from jupyter_client.session import Session

from harness import Kernel, finish, home, ok, tessera

SLOW = float(os.environ.get("TESSERA_SLOW", "1"))
context = zmq.Context.instance()
PORTS = ("shell_port", "control_port", "stdin_port", "iopub_port", "hb_port")
DELIMITER = b"<IDS|MSG>"


def write(name, **fields):
    path = f"{home}/{name}.json"
    with open(path, "w") as file:
        json.dump(fields, file)
    return path


def start(path):
    return subprocess.Popen([tessera, "kernel", "-f", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def end_of(process, seconds=20):
    try:
        _, said = process.communicate(timeout=seconds * SLOW)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    return process.returncode, said


def sign(key, content):
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest().encode() if key else b""


class Client:
    """Bare sockets to a kernel; [curve] is what is set on each."""

    def __init__(self, connection, **curve):
        self.connection, self.curve, self.sockets = connection, curve, []
        self.session = Session(key=connection["key"].encode())

    def socket(self, kind, name):
        s = context.socket(kind)
        s.linger = 0
        for option, value in self.curve.items():
            setattr(s, option, value)
        if kind == zmq.SUB:
            s.setsockopt(zmq.SUBSCRIBE, b"")
        c = self.connection
        s.connect(f"{c['transport']}://{c['ip']}{'-' if c['transport'] == 'ipc' else ':'}{c[name + '_port']}")
        self.sockets.append(s)
        return s

    def ask(self, name="shell", kind="kernel_info_request", content=None, seconds=20):
        """The reply's content, or None."""
        s = self.socket(zmq.DEALER, name)
        self.session.send(s, kind, content or {})
        if not s.poll(int(1000 * seconds * SLOW)):
            return None
        _, frames = self.session.feed_identities(s.recv_multipart())
        return self.session.deserialize(frames)["content"]

    def beats(self, seconds=20):
        s = self.socket(zmq.REQ, "hb")
        s.send(b"beat")
        return bool(s.poll(int(1000 * seconds * SLOW))) and s.recv() == b"beat"

    def hears(self, seconds=20):
        s = self.socket(zmq.SUB, "iopub")
        return bool(s.poll(int(1000 * seconds * SLOW)))

    def close(self):
        for s in self.sockets:
            s.close()


class Launcher:
    """Waits for a registration and answers it."""

    def __init__(self, name, key="a key", transport="tcp", **fields):
        self.key, self.socket = key, context.socket(zmq.ROUTER)
        self.socket.linger = 0
        if transport == "tcp":
            ip, port = "127.0.0.1", self.socket.bind_to_random_port("tcp://127.0.0.1")
        else:
            ip, port = f"{home}/{name}", 7
            self.socket.bind(f"ipc://{ip}-{port}")
        self.path = write(name, transport=transport, registration_ip=ip, registration_port=port, key=key,
                          signature_scheme="hmac-sha256", **fields)
        self.process = start(self.path)

    def registration(self):
        """(who, signature, content), or None."""
        if not self.socket.poll(int(20_000 * SLOW)):
            return None
        who, delimiter, *rest = self.socket.recv_multipart()
        return (who, *rest) if delimiter == DELIMITER and len(rest) == 2 else None

    def answer(self, who, *frames):
        self.socket.send_multipart([who, *frames])

    def end(self, seconds=20):
        result = end_of(self.process, seconds)
        self.socket.close()
        return result


def test_registration():
    for key, transport in (("a key", "tcp"), ("", "tcp"), ("a key", "ipc")):
        name = f"a launcher over {transport}{'' if key else ' without a key'}"
        launcher = Launcher(f"reg-{transport}-{len(key)}", key, transport, kernel_id="seven")
        before = set(glob.glob(f"{home}/runtime/*.json"))
        who, signature, content = launcher.registration()
        ports = json.loads(content)
        ok(signature == sign(key, content) and ports["kernel_id"] == "seven" and set(ports) == {*PORTS, "kernel_id"} and
           all(isinstance(ports[p], str) and 0 < int(ports[p]) < 65536 for p in PORTS), f"{name} is told five ports", content)
        launcher.answer(who, DELIMITER, sign(key, b"ACK"), b"ACK")
        files = set(glob.glob(f"{home}/runtime/*.json"))
        mine = [f for f in files if f.endswith(f"-{launcher.process.pid}.json")]
        with open(mine[0]) as file:
            written = json.load(file)
        ok(all(written[p] == int(ports[p]) for p in PORTS) and written["key"] == key and os.stat(mine[0]).st_mode & 0o77 == 0,
           f"{name}: other clients find a connection file", (before, files))
        client = Client(written)
        info = client.ask()
        ok(info and info["implementation"] == "tessera" and client.beats() and client.hears(), f"{name} has a kernel", info)
        client.ask("control", "shutdown_request", {"restart": False})
        status, said = launcher.end()
        client.close()
        ok(status == 0 and not said and not os.path.exists(mine[0]) and os.path.exists(launcher.path),
           f"{name}: it ends, and takes away its own file only", (status, said))


def test_refusals():
    wrong = {
        "another key's signature": lambda l: (DELIMITER, sign("another key", b"ACK"), b"ACK"),
        "no signature": lambda l: (DELIMITER, b"", b"ACK"),
        "another word": lambda l: (DELIMITER, sign(l.key, b"NACK"), b"NACK"),
        "a long word": lambda l: (DELIMITER, sign(l.key, b"A" * 5000), b"A" * 5000),
        "too few frames": lambda l: (b"ACK",),
        "a thousand frames": lambda l: (b"x",) * 1000,
        "no delimiter": lambda l: (b"", sign(l.key, b"ACK"), b"ACK"),
        "nothing": lambda l: (b"",),
    }
    for number, (name, frames) in enumerate(wrong.items()):
        launcher = Launcher(f"wrong-{number}")
        who = launcher.registration()[0]
        launcher.answer(who, *frames(launcher))
        status, said = launcher.end()
        ok(status == 1 and "registration" in said and len(said.splitlines()) == 1, f"answered with {name}: one line, status 1",
           (status, said))
    launcher = Launcher("silent")
    start_time = time.time()
    launcher.registration()
    status, said = launcher.end(30)
    ok(status == 1 and "not acknowledged" in said and time.time() - start_time > 4, "no answer: one line, after 5 s", (status, said))
    status, said = end_of(start(write("nobody", registration_ip="127.0.0.1", registration_port=9, key="k")), 30)
    ok(status == 1 and "not acknowledged" in said, "nobody there: the same", (status, said))
    for name, fields, wanted in (("no port", {"registration_ip": "127.0.0.1"}, "registration_port"),
                                 ("no address", {"registration_port": 7}, "registration_ip"),
                                 ("a port that is text", {"registration_ip": "127.0.0.1", "registration_port": "7"}, "registration_port"),
                                 ("an id that is no text", {"registration_ip": "127.0.0.1", "registration_port": 7, "kernel_id": 3}, "kernel_id")):
        status, said = end_of(start(write("bad", key="k", **fields)))
        ok(status == 1 and wanted in said, f"{name}: one line, status 1", (status, said))
    ok(not glob.glob(f"{home}/runtime/kernel-*.json"), "and no connection file stays", os.listdir(f"{home}/runtime"))


def curve_of(public, secret, server=None):
    return {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": server or public}


def wait_for_file(path, process):
    end = time.time() + 20 * SLOW
    while time.time() < end and process.poll() is None:
        with open(path) as file:
            text = file.read()
        if text and all(json.loads(text)[p] for p in PORTS):
            return json.loads(text)
        time.sleep(0.02)
    return None


def test_curve():
    public, secret = zmq.curve_keypair()
    for transport in ("tcp", "ipc"):
        path = write(f"curve-{transport}", transport=transport, ip="127.0.0.1" if transport == "tcp" else f"{home}/curve",
                     key="a key", signature_scheme="hmac-sha256", curve_publickey=public.decode(), curve_secretkey=secret.decode(),
                     **{port: 0 for port in PORTS})
        process = start(path)
        connection = wait_for_file(path, process)
        ok(connection and connection["curve_publickey"] == public.decode(), f"a kernel with keys over {transport}",
           connection or end_of(process))
        if not connection:
            continue
        client = Client(connection, **curve_of(public, secret))
        info = client.ask()
        ok(info and client.ask("control") and client.beats() and client.hears(), f"a client with the keys, over {transport}", info)
        fresh = Client(connection, **curve_of(*zmq.curve_keypair(), server=public))
        ok(fresh.beats(), f"a heart with keys of its own, over {transport}")
        strangers = {"no keys": Client(connection), "another kernel's key": Client(connection, **curve_of(*zmq.curve_keypair()))}
        for name, stranger in strangers.items():
            ok(not stranger.ask(seconds=0.4) and not stranger.ask("control", seconds=0.2) and not stranger.beats(0.2) and
               not stranger.hears(0.2), f"a client with {name} reaches nothing, over {transport}")
            stranger.close()
        ok(client.ask(), f"and the kernel goes on, over {transport}")
        client.ask("control", "shutdown_request", {"restart": False})
        status, said = end_of(process)
        ok(status == 0 and not said, f"it ends, over {transport}", (status, said))
        client.close()
        fresh.close()


def test_curve_registration():
    public, secret = zmq.curve_keypair()
    launcher = Launcher("both", curve_publickey=public.decode(), curve_secretkey=secret.decode())
    who, _, content = launcher.registration()
    launcher.answer(who, DELIMITER, sign("a key", b"ACK"), b"ACK")
    connection = {**{p: int(v) for p, v in json.loads(content).items()}, "transport": "tcp", "ip": "127.0.0.1", "key": "a key"}
    client, stranger = Client(connection, **curve_of(public, secret)), Client(connection)
    ok(client.ask() and not stranger.ask(seconds=0.3), "registered and encrypted")
    client.ask("control", "shutdown_request", {"restart": False})
    ok(launcher.end()[0] == 0, "and ended")
    client.close()
    stranger.close()


def test_keys():
    (public, secret), (other, _) = zmq.curve_keypair(), zmq.curve_keypair()
    public, secret, other = public.decode(), secret.decode(), other.decode()
    for name, fields, wanted in (("only the public key", {"curve_publickey": public}, "curve_secretkey"),
                                 ("only the secret key", {"curve_secretkey": secret}, "curve_publickey"),
                                 ("a short key", {"curve_publickey": public[1:], "curve_secretkey": secret}, "curve_publickey"),
                                 ("a key with spaces", {"curve_publickey": public, "curve_secretkey": " " * 40}, "curve_secretkey"),
                                 ("a key that is a number", {"curve_publickey": 3, "curve_secretkey": secret}, "curve_publickey"),
                                 ("keys that are no pair", {"curve_publickey": other, "curve_secretkey": secret}, "public key of")):
        status, said = end_of(start(write("keys", ip="127.0.0.1", key="k", **{p: 0 for p in PORTS}, **fields)))
        ok(status == 1 and wanted in said and len(said.splitlines()) == 1, f"{name}: one line, status 1", (status, said))


def test_manager():
    """The newest jupyter_client makes the keys and connects with them."""
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import get_kernel_spec
    spec = get_kernel_spec("tessera")
    ok(spec.metadata.get("supported_encryption") == ["curve"], "the kernelspec says that it can be encrypted", spec.metadata)
    if not hasattr(KernelManager, "transport_encryption"):
        ok(True, "# SKIP this jupyter_client knows no transport_encryption")
        return
    for policy in ("auto", "required"):
        manager = KernelManager(kernel_name="tessera", transport_encryption=policy)
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        connection = manager.get_connection_info()
        ok("curve_publickey" in connection, f"transport_encryption {policy}: there are keys", sorted(connection))
        reply = client.execute("6 * 7", reply=True, timeout=30)
        ok(reply["content"]["status"] == "ok" and client.hb_channel.is_beating(), f"and a cell runs under {policy}", reply["content"])
        connection = {k: v.decode() if isinstance(v, bytes) else v for k, v in connection.items()}
        stranger = Client(connection)
        ok(not stranger.ask(seconds=0.4), f"nobody else gets through under {policy}")
        stranger.close()
        client.stop_channels()
        manager.restart_kernel(now=True)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        ok(client.execute("1", reply=True, timeout=30)["content"]["status"] == "ok", f"it starts again under {policy}")
        client.stop_channels()
        manager.shutdown_kernel(now=True)


tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
words = sys.argv[1:]
for test in tests:
    if words and not any(word in test.__name__ for word in words):
        continue
    if test in (test_curve, test_curve_registration, test_keys, test_manager) and not zmq.has("curve"):
        ok(True, f"{test.__name__} # SKIP this pyzmq has no CurveZMQ")
        continue
    test()
finish()
