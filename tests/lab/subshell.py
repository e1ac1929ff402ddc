# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's look at a training run from the notebook's subshell console: the notebook computes, the console runs cells
meanwhile, sees and changes what the notebook has, and the notebook ends well. The server encrypts what it sends."""
import glob
import json
import time

from harness import home, ok

from selenium.webdriver.common.keys import Keys

TRAINING = ("net = nn.Linear(8, 8); opt = optim.AdamW(net, lr=0.01); data = rand(16, 8); go = true; steps = 0",
            "while go { loss = opt.step(() -> mean((net(data) - data) ^ 2)); steps += 1 }; \"trained\"")
CONSOLE = "document.querySelector('.jp-CodeConsole')"


def shown(lab):
    return lab.js(f"const c = {CONSOLE}; return c ? c.querySelector('.jp-CodeConsole-content').innerText : ''")


def type_into_console(lab, code, wanted):
    """Whether the console shows it, when the code was typed and run."""
    lab.js(f"{CONSOLE}.querySelector('.jp-CodeConsole-promptCell .cm-content').focus()")
    time.sleep(0.3)
    lab.keys(code)
    lab.keys(Keys.ESCAPE)
    time.sleep(0.2)
    lab.js(f"{CONSOLE}.querySelector('.jp-CodeConsole-promptCell .cm-content').focus()")
    lab.command("console:run-forced")
    end = time.time() + 15
    while time.time() < end:
        if wanted in shown(lab):
            return True
        time.sleep(0.1)
    return False


def walk_subshell(lab):
    ok(lab.open("1-first-tour.ipynb"), "a notebook for a training run")
    kernels = [json.load(open(path)) for path in glob.glob(f"{home}/runtime/kernel-*.json")]
    ok(kernels and all("curve_publickey" in kernel for kernel in kernels), "its kernel is encrypted", [sorted(k) for k in kernels])
    offered = lab.js("return window.jupyterapp.commands.hasCommand('notebook:create-subshell-console')")
    if not offered:
        ok(True, "# SKIP this JupyterLab has no subshell consoles")
        return
    ok(lab.wait("window.jupyterapp.commands.isVisible('notebook:create-subshell-console')", 10), "the menu offers a subshell console")
    for code in TRAINING:
        lab.new_cell(code)
        lab.run()
    ok(lab.wait(f"{lab.KERNEL}.status == 'busy'", 10), "the notebook trains")
    lab.js("window.thebook = window.jupyterapp.shell.currentWidget")
    lab.command("notebook:create-subshell-console", "{activate: true}")
    ok(lab.wait(f"{CONSOLE} && {CONSOLE}.querySelector('.jp-CodeConsole-promptCell .cm-content') && true", 20), "a console opens")
    time.sleep(1.5)
    ok(type_into_console(lab, "(steps > 0, net.weight.shape)", "(true, [8, 8])"), "its cell runs while the notebook computes",
       shown(lab))
    ok(type_into_console(lab, "nowhere", "nowhere is not defined"), "its errors are its own", shown(lab))
    time.sleep(0.5)
    lab.see("subshell")
    prompts = lab.js("return thebook.content.widgets.filter(c => c.model.type == 'code').map(c => c.promptNode.innerText)")
    ok("[*]:" in prompts, "and the notebook's cell is still running", prompts)
    ok(type_into_console(lab, "go = false; \"told\"", '"told"'), "it tells the notebook to stop", shown(lab))
    ok(lab.wait("thebook.content.widgets.filter(c => c.model.type == 'code').map(c => c.outputArea.node.innerText).join()"
                ".includes('\"trained\"')", 20), "which ends well")
    time.sleep(0.5)
    lab.see("subshell-over")
