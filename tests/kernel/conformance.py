# SPDX-License-Identifier: GPL-3.0-or-later
"""jupyter_kernel_test with every attribute set: all tests run, none is skipped, over tcp and ipc; in Debian's version, and
in that of the environment TESSERA_VENV (make check-lab makes one) where there is one. Each kernel is a process of its own
whose client mostly waits, so all run at once."""
import json
import os
import subprocess
import sys
import unittest

import harness

import jupyter_kernel_test
from jupyter_client import KernelManager


class Manager(KernelManager):
    """A kernel of the transport that is asked for."""

    def __init__(self, **options):
        super().__init__(kernel_name="tessera", transport=os.environ.get("TRANSPORT", "tcp"), **options)


class TesseraTests(jupyter_kernel_test.KernelTests):
    kernel_name = "tessera"
    language_name = "tessera"
    file_extension = ".tsr"
    code_hello_world = 'print("hello, world")'
    code_stderr = 'warn("careful")'
    completion_samples = [
        {"text": "cross_ent", "matches": {"cross_entropy"}},
        {"text": "nn.LayerN", "matches": {"LayerNorm"}},
    ]
    complete_code_samples = ["1", "print(\"hello, world\")", "fn f(x) = x * 2\n", "if true { 1 } else { 2 }"]
    incomplete_code_samples = ["print(\"hello\",", "fn f(x) {", "x = [1,\n2", "model M() {\n    fn forward(x) = x"]
    invalid_code_samples = ["import = 7q", "1 +* 2", ")"]
    code_page_something = "?cross_entropy"
    code_generate_error = "1 // 0"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "\"tile\" ++ \"s\"", "result": '"tiles"'},
        {"code": "tensor([[1, 2], [3, 4]]).T[0]", "mime": "text/plain"},
        {"code": "html(\"<b>1</b>\")", "mime": "text/html", "result": "<b>1</b>"},
    ]
    code_display_data = [
        {"code": "display(html(\"<b>2</b>\"))", "mime": "text/html"},
        {"code": "display(markdown(\"*2*\"))", "mime": "text/markdown"},
        {"code": "display(plot([1., 4., 2.]))", "mime": "image/svg+xml"},
    ]
    code_history_pattern = "6 ?*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "cross_entropy"
    code_clear_output = "clear_output()"

    @classmethod
    def setUpClass(cls):
        cls.km = Manager()
        cls.km.start_kernel()
        cls.kc = cls.km.client()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=60)


if hasattr(jupyter_kernel_test, "IopubWelcomeTests"):
    class TesseraWelcomeTests(jupyter_kernel_test.IopubWelcomeTests):
        kernel_name = "tessera"
        support_iopub_welcome = True

        @classmethod
        def setUpClass(cls):
            cls.km = Manager()
            cls.km.start_kernel()
            cls.kc = cls.km.client()


class Results(unittest.TestResult):
    """What became of each test, and why."""

    def __init__(self):
        super().__init__()
        self.all = {}

    def stopTest(self, test):
        super().stopTest(test)
        self.all.setdefault(test.id().split(".", 1)[1], "")

    def note(self, test, text):
        name = getattr(test, "test_case", test).id().split(".", 1)[1]
        self.all[name] = self.all.get(name, "") + text

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, self.errors[-1][1])

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, self.failures[-1][1])

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.note(subtest, "".join(self._exc_info_to_string(error, test)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, f"skipped: {reason}")


def run_here():
    results = Results()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(results)
    print(json.dumps({"version": jupyter_kernel_test.__version__, "tests": results.all}))


def main():
    pythons = [sys.executable]
    newest = os.path.join(os.environ.get("TESSERA_VENV", ""), "bin", "python")
    if os.environ.get("TESSERA_VENV") and os.path.exists(newest):
        pythons.append(newest)
    runs = []
    for python in pythons:
        for transport in ("tcp", "ipc"):
            place = f"{harness.home}/{len(runs)}"
            environment = dict(os.environ, ONE_RUN="1", TRANSPORT=transport, TESSERA_TEST_STATE=place)
            runs.append((transport, subprocess.Popen([python, "-B", __file__], env=environment, text=True,
                                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)))
    for transport, process in runs:
        out, err = process.communicate(timeout=300)
        try:
            found = json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            harness.ok(False, f"over {transport}", err)
            continue
        for name, why in found["tests"].items():
            harness.ok(not why, f"{found['version']} over {transport}: {name.split('.')[-1]}", why)
        wanted = 12 if found["version"] < "0.6" else 13
        harness.ok(len(found["tests"]) == wanted, f"{found['version']} over {transport}: {wanted} tests ran",
                   list(found["tests"]))
    harness.finish()


if __name__ == "__main__":
    run_here() if os.environ.get("ONE_RUN") else main()
