# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's path through JupyterLab's debugger: the bug, a breakpoint in the gutter, the panel's variables and stack, steps,
a look at a tensor, the console, a copy to the globals, an error, and the bug again."""
import json
import time

from harness import ok

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CELLS = ["""# Fläche 😀: the path is made of a hash of these bytes
fn area(side) {
    grid = reshape(arange(side * side), [side, side])
    total = sum(grid)
    total * 2
}
answer = 0
for i in 2..4 {
    answer += area(i)
}
answer""", """fn worse(parts) {
    whole = 12
    whole // parts
}
worse(0)""", """turns = 0
while true {
    turns += 1
}""", "grid", "layer = nn.Linear(2, 1);"]


def write_notebook(path):
    cells = [{"cell_type": "code", "execution_count": None, "id": f"cell{i}", "metadata": {}, "outputs": [], "source": source}
             for i, source in enumerate(CELLS)]
    spec = {"display_name": "Tessera", "language": "tessera", "name": "tessera"}
    with open(path, "w") as file:
        json.dump({"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}, file)


class Panel:
    """What the debugger's side bar shows, and its buttons."""

    def __init__(self, lab):
        self.lab = lab

    def select(self, index):
        self.lab.js(f"const book = window.jupyterapp.shell.currentWidget.content; book.activeCellIndex = {index};"
                    f"book.widgets[{index}].node.scrollIntoView({{block: 'center'}})")
        time.sleep(0.4)

    def run(self, index):
        self.select(index)
        self.lab.command("notebook:run-cell")

    def gutter(self, index, line):
        """A click beside a line, where breakpoints are."""
        self.select(index)
        marks = self.lab.browser.find_elements(By.CSS_SELECTOR, f".jp-Notebook .jp-Cell:nth-child({index + 1}) "
                                               ".cm-gutter.cm-breakpoint-gutter > .cm-gutterElement")
        shown = [m for m in marks if m.is_displayed() and m.size["height"] > 0]
        ActionChains(self.lab.browser).move_to_element(shown[line - 1]).click_and_hold().release().perform()

    def click(self, command):
        self.lab.browser.find_element(By.CSS_SELECTOR, f"#jp-debugger-sidebar [data-command='debugger:{command}']").click()

    def frames(self):
        return self.lab.js("return [...document.querySelectorAll('.jp-DebuggerCallstackFrame')].map(e => e.innerText"
                           ".replace(/\\s+/g, ' ').trim())")

    def wait_frame(self, text, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            frames = self.frames()
            if frames and text in frames[0]:
                time.sleep(0.5)
                return True
            time.sleep(0.1)
        return False

    def variables(self):
        """name -> what stands beside it"""
        return self.lab.js("return Object.fromEntries([...document.querySelectorAll('.jp-DebuggerVariables-name')].map(e => "
                           "[e.innerText.replace(/:$/, ''), (e.nextElementSibling || {}).innerText || '']))")

    def wait_variable(self, name, seconds=10):
        return self.lab.wait(f"[...document.querySelectorAll('.jp-DebuggerVariables-name')].some(e => e.innerText.replace(/:$/, '') "
                             f"== '{name}')", seconds)

    def variable(self, name):
        for element in self.lab.browser.find_elements(By.CSS_SELECTOR, ".jp-DebuggerVariables-name"):
            if element.text.rstrip(":") == name:
                return element
        raise LookupError(f"{name} is not among the variables")

    def is_running(self):
        return self.lab.wait("document.querySelectorAll('.jp-DebuggerCallstackFrame').length == 0", 20)


def attach(lab, panel):
    bug = lab.wait("document.querySelector('.jp-DebuggerBugButton') && true", 20)
    ok(bug, "there is a bug in the toolbar")
    time.sleep(1)
    lab.browser.find_element(By.CSS_SELECTOR, ".jp-DebuggerBugButton").click()
    ok(lab.wait("window.jupyterapp.shell.currentWidget.node.getAttribute('data-jp-debugger') == 'true'", 20), "it starts the debugger")
    ok(lab.wait("document.querySelector('#jp-debugger-sidebar') && document.querySelector('#jp-debugger-sidebar').offsetWidth > 50", 10),
       "its panel opens")
    time.sleep(0.5)
    lab.see("debugger")


def break_and_step(lab, panel):
    panel.gutter(0, 4)
    ok(lab.wait("document.querySelectorAll('.jp-DebuggerBreakpoint').length == 1", 10), "a click in the gutter sets a breakpoint")
    time.sleep(0.3)
    lab.see("breakpoint")
    panel.run(0)
    ok(panel.wait_frame("area"), "the cell stops in the function", panel.frames())
    frames = panel.frames()
    ok(len(frames) == 2 and "Cell [*]:4" in frames[0] and "Cell [*]:9" in frames[1],
       "the stack names the cell, whose hash the page computed too", frames)
    ok(panel.wait_variable("side") and panel.variables()["side"] == "2", "its variables are shown", panel.variables())
    ok("2, 2" in panel.variables().get("grid", ""), "a tensor with its shape", panel.variables())
    ok(lab.wait("document.querySelectorAll('.jp-DebuggerEditor-highlight').length == 1", 10), "the line is marked")
    ok(lab.wait("document.querySelector('.jp-DebuggerPausedOverlay') && true", 5), "and the notebook is said to be paused")
    lab.see("stopped")
    panel.click("next")
    ok(panel.wait_frame(":5") and panel.wait_variable("total"), "next goes to the next line", panel.frames())
    lab.see("next")
    panel.click("stepOut")
    ok(lab.wait("document.querySelectorAll('.jp-DebuggerCallstackFrame').length == 1", 10), "step out leaves the function", panel.frames())
    panel.click("continue")
    ok(panel.wait_frame("area") and panel.wait_variable("side") and panel.variables()["side"] == "3", "continue goes on to the next call",
       panel.variables())
    lab.see("next-call")


def look(lab, panel):
    ActionChains(lab.browser).move_to_element(panel.variable("grid")).perform()
    time.sleep(0.3)
    lens = [b for b in lab.browser.find_elements(By.CSS_SELECTOR, ".jp-DebuggerVariables-renderVariable") if b.is_displayed()]
    if ok(lens, "a lens appears beside it"):
        ActionChains(lab.browser).move_to_element(lens[0]).click().perform()
        ok(lab.wait("document.querySelector('.jp-DebuggerRichVariable') && document.querySelector('.jp-DebuggerRichVariable').innerText"
                    ".includes('8')", 10), "which shows it whole", lab.browser.get_log("browser"))
        time.sleep(0.7)
        lab.see("rendered")
        lab.js("[...window.jupyterapp.shell.widgets('main')].filter(w => w.id.startsWith('jp-debugger-variable')).forEach(w => w.close())")
        time.sleep(0.5)
    panel.variable("grid").click()
    ok(panel.wait_variable("shape"), "a tensor opens", panel.variables())
    time.sleep(0.3)
    lab.see("opened-tensor")
    ActionChains(lab.browser).context_click(panel.variable("grid")).perform()
    entry = lab.wait("[...document.querySelectorAll('.lm-Menu-item')].find(e => e.innerText.includes('Copy Variable to Globals')) && true", 10)
    time.sleep(0.3)
    lab.see("menu")
    if ok(entry, "the menu of a variable offers a copy to the globals"):
        for item in lab.browser.find_elements(By.CSS_SELECTOR, ".lm-Menu-item"):
            if "Copy Variable to Globals" in item.text:
                item.click()
                break
        time.sleep(1)


def console(lab, panel):
    panel.click("evaluate")
    ok(lab.wait("document.querySelector('.jp-DebugConsole .jp-CodeConsole-promptCell .cm-content') && true", 10), "a console opens")
    time.sleep(1)
    lab.browser.find_element(By.CSS_SELECTOR, ".jp-DebugConsole .jp-CodeConsole-promptCell .cm-content").click()
    lab.keys("side * 100 + sum(grid)")
    ActionChains(lab.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    ok(lab.wait("document.querySelector('.jp-DebugConsole').innerText.includes('336')", 10), "and evaluates in the frame",
       lab.js("return document.querySelector('.jp-DebugConsole').innerText"))
    ok(panel.wait_variable("side"), "the variables stay", panel.variables())
    time.sleep(0.3)
    lab.see("console")
    panel.click("evaluate")
    time.sleep(0.7)


def finish_cell(lab, panel):
    panel.click("continue")
    ok(lab.wait(f"{lab.CELLS}[0].outputArea.node.innerText.includes('84')", 20), "the cell ends with its value",
       lab.js(f"return {lab.CELLS}[0].outputArea.node.innerText"))
    ok(panel.is_running(), "and the stack is empty")
    panel.run(3)
    ok(lab.wait(f"{lab.CELLS}[3].outputArea.node.innerText.includes('8')", 10), "the copy is a variable of the session",
       lab.js(f"return {lab.CELLS}[3].outputArea.node.innerText"))
    ok(panel.wait_variable("answer"), "the globals are shown while nothing is stopped", panel.variables())
    time.sleep(0.5)
    lab.see("globals")


def sources(lab, panel):
    panel.run(4)
    listed = ("[...document.querySelectorAll('.jp-DebuggerKernelSource-source')].find(e => e.innerText.includes('nn/linear.tsr'))")
    if ok(lab.wait(f"{listed} && true", 10), "the library's modules are listed"):
        lab.js(f"{listed}.click()")
        ok(lab.wait("[...document.querySelectorAll('[data-jp-debugger=true] .cm-content')].some(e => e.innerText.includes('model Linear'))", 10),
           "and can be read")
        time.sleep(0.5)
        lab.see("source")
        lab.js("[...window.jupyterapp.shell.widgets('main')].filter(w => w.title.label == 'linear.tsr').forEach(w => w.close())")
        time.sleep(0.5)


def errors(lab, panel):
    lab.browser.find_element(By.CSS_SELECTOR, ".jp-PauseOnExceptions").click()
    ok(lab.wait("[...document.querySelectorAll('.lm-Menu-item')].some(e => e.innerText.includes('uncaught'))", 10),
       "there is a choice of errors to stop at")
    time.sleep(0.3)
    lab.see("filters")
    for item in lab.browser.find_elements(By.CSS_SELECTOR, ".lm-Menu-item"):
        if "uncaught" in item.text:
            item.click()
            break
    time.sleep(1)
    panel.run(1)
    ok(panel.wait_frame("worse"), "an error stops the cell in the frame that failed", panel.frames())
    ok(panel.wait_variable("parts") and panel.variables()["parts"] == "0", "with what made it fail", panel.variables())
    lab.see("failed-frame")
    panel.click("continue")
    ok(lab.wait(f"{lab.CELLS}[1].outputArea.node.innerText.includes('zero')", 20), "and is shown when the cell goes on")


def pause(lab, panel):
    panel.run(2)
    time.sleep(0.7)
    panel.click("continue")
    ok(panel.wait_frame("Cell [*]:"), "pause stops an endless loop", panel.frames())
    ok(panel.wait_variable("turns"), "and shows how far it is", panel.variables())
    time.sleep(0.3)
    lab.see("paused")
    lab.browser.find_element(By.CSS_SELECTOR, ".jp-DebuggerBugButton").click()
    ok(lab.wait("window.jupyterapp.shell.currentWidget.node.getAttribute('data-jp-debugger') != 'true'", 20), "the bug ends the debugger")
    time.sleep(0.5)
    lab.command("notebook:interrupt-kernel")
    ok(lab.idle(10), "the loop, which went on, stops as ever")
    lab.see("detached")


def walk_debugger(lab, work):
    write_notebook(f"{work}/debugger.ipynb")
    ok(lab.open("debugger.ipynb"), "a notebook to debug opens")
    panel = Panel(lab)
    attach(lab, panel)
    break_and_step(lab, panel)
    look(lab, panel)
    console(lab, panel)
    finish_cell(lab, panel)
    sources(lab, panel)
    errors(lab, panel)
    pause(lab, panel)
