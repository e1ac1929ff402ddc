# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's path through JupyterLab: open a notebook, run all, see the plot and the bar, complete, look a name up, stop a
cell, restart; then the colours (colours.py), the debugger (debugger.py) and subshells (subshell.py). A screenshot of each
step goes to the folder that is given; words after it pick paths: tour, colours, debugger, subshell."""
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "kernel"))
from colours import walk_colours
from debugger import walk_debugger
from harness import finish, home, ok
from subshell import walk_subshell

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pictures = sys.argv[1] if len(sys.argv) > 1 else None
paths = sys.argv[2:] or ["tour", "colours", "debugger", "subshell"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_lab():
    """The server, over loopback, in a folder with the notebooks."""
    work = f"{home}/work"
    shutil.copytree(os.path.join(here, "..", "..", "notebooks"), work)
    port = free_port()
    log = open(f"{home}/lab.log", "w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser", f"--port={port}",
         "--ip=127.0.0.1", "--IdentityProvider.token=", f"--ServerApp.root_dir={work}", "--ServerApp.port_retries=0",
         "--MappingKernelManager.transport_encryption=auto", "--LabApp.news_url=",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        stdout=log, stderr=subprocess.STDOUT, cwd=work)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2)
            return server, address
        except OSError:
            time.sleep(0.2)
    return server, None


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1000",
                     f"--user-data-dir={home}/browser", "--no-first-run", "--disable-background-networking"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


class Lab:
    def __init__(self, browser, address):
        self.browser = browser
        self.address = address
        self.step = 0

    def js(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def command(self, name, arguments="{}"):
        self.js(f"window.jupyterapp.commands.execute('{name}', {arguments})")

    def wait(self, code, seconds=60):
        """Until the expression of the page is true; its value."""
        end = time.time() + seconds
        while time.time() < end:
            try:
                value = self.js(f"return ({code})")
                if value:
                    return value
            except Exception:
                pass
            time.sleep(0.1)
        return None

    def see(self, name):
        self.step += 1
        if pictures:
            os.makedirs(pictures, exist_ok=True)
            self.browser.save_screenshot(f"{pictures}/{self.step:02}-{name}.png")

    def open(self, notebook):
        self.browser.get(f"{self.address}/lab/tree/{notebook}?reset")
        return self.idle()

    KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"

    def idle(self, seconds=60):
        return self.wait(f"{self.KERNEL}.status == 'idle'", seconds)

    CELLS = "window.jupyterapp.shell.currentWidget.content.widgets"

    def new_cell(self, code):
        """A cell at the end, with the keyboard in it."""
        self.js(f"const book = window.jupyterapp.shell.currentWidget.content; book.activeCellIndex = book.widgets.length - 1;")
        self.command("notebook:insert-cell-below")
        time.sleep(0.5)
        self.command("notebook:enter-edit-mode")
        time.sleep(0.3)
        self.keys(code)

    def keys(self, *keys):
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()

    def run(self):
        webdriver.ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

    def last_output(self):
        return self.js(f"const c = {self.CELLS}.filter(c => c.model.type == 'code' && c.outputArea.model.length);"
                       "return c[c.length - 1].outputArea.node.innerText")


def walk(lab):
    ok(lab.open("1-first-tour.ipynb"), "a notebook opens, with its kernel")
    language = lab.wait(f"{lab.CELLS}[1].model.mimeType")
    ok(language and language != "text/plain", "cells are highlighted", language)
    lab.see("opened")
    lab.command("notebook:run-all-cells")
    time.sleep(1)
    ok(lab.wait(f"{lab.CELLS}.filter(c => c.model.type == 'code').every(c => c.model.executionCount > 0)", 120) and lab.idle(120),
       "run all runs all")
    errors = lab.js(f"return {lab.CELLS}.filter(c => c.model.type == 'code').map(c => c.outputArea.model.toJSON()).flat()"
                    ".filter(o => o.output_type == 'error').map(o => o.evalue)")
    ok(errors == [], "without an error", errors)
    plots = "document.querySelectorAll('.jp-RenderedSVG').length"
    lab.js(f"{lab.CELLS}[9].node.scrollIntoView()")
    ok(lab.wait(plots, 10), "plots are drawn")
    time.sleep(0.5)
    lab.see("plot")
    lab.js(f"{lab.CELLS}[11].node.scrollIntoView()")
    bar = lab.wait(f"{lab.CELLS}[11].outputArea.node.innerText", 10)
    ok(bar and "600/600" in bar and bar.count("600/600") == 1, "a bar of progress, once", bar)
    time.sleep(0.5)
    lab.see("progress")
    lab.js(f"{lab.CELLS}[14].node.scrollIntoView()")
    time.sleep(0.5)
    lab.see("model")

    lab.new_cell("cross_ent")
    lab.keys(Keys.TAB)
    found = lab.wait("[...document.querySelectorAll('.jp-Completer-item')].map(e => e.innerText).join('|') || "
                     f"({lab.CELLS}.at(-1).model.sharedModel.source == 'cross_entropy' && 'cross_entropy')", 10)
    ok(found and "cross_entropy" in found, "Tab completes", found)
    lab.see("completed")
    lab.keys(Keys.ESCAPE)
    lab.new_cell("nn.")
    lab.keys(Keys.TAB)
    found = lab.wait("[...document.querySelectorAll('.jp-Completer-item')].map(e => e.innerText).join('|').match(/.*Conv2d.*/s)[0]", 10)
    ok(found and "Conv2d" in found, "members of a module, with their types", found)
    time.sleep(0.7)
    lab.see("members")
    lab.keys(Keys.ESCAPE)
    lab.new_cell("layer_norm")
    webdriver.ActionChains(lab.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    found = lab.wait("[...document.querySelectorAll('.jp-Tooltip')].map(e => e.innerText).join('|')", 10)
    ok(found and "layer_norm" in found, "Shift-Tab explains", found)
    lab.see("explained")
    lab.keys(Keys.ESCAPE)

    lab.new_cell("stays = 41; for i in progress(0..100000) { sleep(0.01) }")
    lab.run()
    ok(lab.wait(f"{lab.KERNEL}.status == 'busy'", 10), "a long cell is busy")
    time.sleep(1.5)
    first = lab.last_output()
    time.sleep(1)
    ok(first != lab.last_output() and "/100000" in lab.last_output(), "its bar moves", (first, lab.last_output()))
    lab.see("busy")
    start = time.time()
    lab.browser.find_element(By.CSS_SELECTOR, "jp-button[data-command='notebook:interrupt-kernel'], "
                             "button[data-command='notebook:interrupt-kernel'], [data-jp-item-name='interrupt'] jp-button").click()
    ok(lab.idle(10) and time.time() - start < 5, "Stop stops it", time.time() - start)
    time.sleep(0.5)
    lab.see("stopped")
    lab.new_cell("stays + 1")
    lab.run()
    ok(lab.wait(f"{lab.CELLS}.some(c => c.model.type == 'code' && c.outputArea.node.innerText.trim().endsWith('42'))", 10),
       "the variables are there")
    lab.new_cell("ones(3, 4) @ ones(5, 6)")
    lab.run()
    ok(lab.wait(f"{lab.CELLS}.some(c => c.model.type == 'code' && c.outputArea.node.innerText.includes('inner sizes differ'))", 10),
       "an error shows shapes and source")
    time.sleep(0.5)
    lab.see("error")

    lab.command("notebook:restart-kernel")
    accept = lab.wait("document.querySelector('.jp-Dialog .jp-mod-accept') && true", 10)
    if accept:
        lab.see("restarting")
        lab.browser.find_element(By.CSS_SELECTOR, ".jp-Dialog .jp-mod-accept").click()
    time.sleep(1.5)
    ok(lab.idle(30), "the kernel restarts")
    lab.new_cell("stays")
    lab.run()
    ok(lab.wait(f"{lab.CELLS}.some(c => c.model.type == 'code' && c.outputArea.node.innerText.includes('stays is not defined'))", 15),
       "and begins anew")
    lab.see("restarted")

    lab.open("2-fashion.ipynb")
    lab.command("notebook:run-all-cells")
    ok(lab.wait(f"{lab.CELLS}[6].outputArea.node.querySelector('.jp-RenderedSVG') && true", 60), "a curve is drawn while a model learns")
    lab.js(f"{lab.CELLS}[6].node.scrollIntoView()")
    time.sleep(1)
    lab.see("learning")
    ok(lab.wait(f"{lab.CELLS}.filter(c => c.model.type == 'code').every(c => c.model.executionCount > 0)", 120) and lab.idle(120), "to the end")
    shown = lab.js(f"return {lab.CELLS}[6].outputArea.model.toJSON().map(o => o.output_type)")
    ok(shown.count("display_data") <= 3, "and stands there once", shown)
    lab.js(f"{lab.CELLS}[10].node.scrollIntoView()")
    time.sleep(1)
    lab.see("learned")


def main():
    server, address = start_lab()
    browser = None
    try:
        if ok(address, "JupyterLab starts"):
            browser = start_browser()
            lab = Lab(browser, address)
            if "tour" in paths:
                walk(lab)
            if "colours" in paths:
                walk_colours(lab)
            if "debugger" in paths:
                walk_debugger(lab, f"{home}/work")
            if "subshell" in paths:
                walk_subshell(lab)
    except Exception:
        import traceback
        ok(False, "the walk", traceback.format_exc())
        if browser and pictures:
            browser.save_screenshot(f"{pictures}/failed.png")
    finally:
        if browser:
            browser.quit()
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
    finish()


main()
