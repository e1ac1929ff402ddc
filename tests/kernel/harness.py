# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's tests in Python share: a home of their own with the kernel installed, TAP, and a client that waits
for what belongs to a request."""
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time

tessera = os.path.abspath(os.environ["TESSERA"])
home = os.environ.get("TESSERA_TEST_HOME")          # of the test that started this one
if not home:
    home = tempfile.mkdtemp(prefix="tessera-kernel-")
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(home, ignore_errors=True))
    os.environ["TESSERA_TEST_HOME"] = home
for name in [n for n in os.environ if n.startswith(("JUPYTER", "IPYTHON"))]:
    del os.environ[name]
os.environ.update(HOME=home, XDG_STATE_HOME=os.environ.get("TESSERA_TEST_STATE", f"{home}/state"), XDG_DATA_HOME=f"{home}/data",
                  JUPYTER_RUNTIME_DIR=f"{home}/runtime", JUPYTER_DATA_DIR=f"{home}/data/jupyter",
                  JUPYTER_CONFIG_DIR=f"{home}/config", JUPYTER_PLATFORM_DIRS="1", PYDEVD_DISABLE_FILE_VALIDATION="1")
os.makedirs(f"{home}/runtime", exist_ok=True)
spec = f"{home}/data/jupyter/kernels/tessera/kernel.json"
if not os.path.exists(spec):
    subprocess.run([tessera, "kernel", "install"], check=True, stdout=subprocess.DEVNULL)

count = failed = 0


def ok(condition, name, note=""):
    """One result of the test."""
    global count, failed
    count += 1
    print(f"{'ok' if condition else 'not ok'} {count} - {name}", flush=True)
    if not condition:
        failed += 1
        for line in str(note).splitlines()[:60]:
            print(f"#   {line[:500]}", flush=True)
    return bool(condition)


def finish():
    print(f"1..{count}", flush=True)
    sys.stdout.flush()
    sys.exit(1 if failed else 0)


class Kernel:
    """A kernel and its client. run() gives all that belongs to one request."""

    def __init__(self, transport="tcp", ready=True, name="tessera", **options):
        from jupyter_client import KernelManager
        self.manager = KernelManager(kernel_name=name, transport=transport)
        self.errors = open(f"{home}/stderr-{time.time()}", "w+")
        self.manager.start_kernel(stderr=self.errors, **options)
        self.client = self.manager.client()
        self.client.start_channels()
        if ready:
            self.client.wait_for_ready(timeout=60)

    @property
    def pid(self):
        provisioner = getattr(self.manager, "provisioner", None)
        return getattr(provisioner, "pid", None) or provisioner.process.pid

    def send(self, kind, content, channel="shell"):
        message = self.client.session.msg(kind, content)
        getattr(self.client, f"{channel}_channel").send(message)
        return message["header"]["msg_id"]

    def reply(self, request, channel="shell", timeout=30):
        get = getattr(self.client, f"get_{channel}_msg")
        while True:
            message = get(timeout=timeout)
            if message["parent_header"].get("msg_id") == request:
                return message

    def outputs(self, request, timeout=60):
        """The request's messages on iopub, up to its idle."""
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != request:
                continue
            messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages

    def run(self, code, timeout=60, **options):
        request = self.client.execute(code, **options)
        messages = self.outputs(request, timeout)
        return self.reply(request)["content"], messages

    def ask(self, kind, content, channel="shell", timeout=30):
        return self.reply(self.send(kind, content, channel), channel, timeout)["content"]

    def value(self, code):
        """What the cell's value is, as text, or what went wrong."""
        answer, messages = self.run(code)
        if answer["status"] != "ok":
            return answer
        return "".join(m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result")

    def alive(self):
        return self.manager.is_alive()

    def said(self):
        self.errors.flush()
        with open(self.errors.name) as file:
            return file.read()

    def stop(self):
        self.client.stop_channels()
        if self.alive():
            self.manager.shutdown_kernel(now=True)
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def stream(messages, name="stdout"):
    return "".join(m["content"]["text"] for m in messages
                   if m["msg_type"] == "stream" and m["content"]["name"] == name)


def kinds(messages):
    return [m["msg_type"] for m in messages]
