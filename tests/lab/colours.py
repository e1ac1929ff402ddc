# SPDX-License-Identifier: GPL-3.0-or-later
"""What colours a cell in JupyterLab: Tessera's own extension, and as at the prompt."""
import os
import subprocess
import time

from harness import home, ok

here = os.path.dirname(os.path.abspath(__file__))

# Of each character of a cell the class by which the page colours it.
CLASSES = """[...arguments[0].node.querySelectorAll('.cm-line')].map(line => {
    const classes = [], walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const names = walker.currentNode.parentElement.className.split(' ').filter(name => !name.startsWith('cm-'));
        for (const c of walker.currentNode.data) classes.push(names.join(' '));
    }
    return classes;
})"""


def walk_colours(lab):
    """The page's colours of what is hard are the prompt's: whatever class a character has, all with that class are of one
    kind there, and every kind but plain names has one."""
    path = os.path.join(here, "..", "editors", "hard.txt")
    subprocess.run([os.path.join(os.path.dirname(os.environ["TESSERA"]), "tests/editors/test_colours"), home, path], check=True)
    lab.open("1-first-tour.ipynb")
    cell = f"{lab.CELLS}[1]"
    lab.js(f"{cell}.model.sharedModel.setSource(arguments[0]); {cell}.node.scrollIntoView()", open(path).read().rstrip("\n"))
    ok(lab.wait(f"{cell}.model.mimeType == 'text/x-tessera'", 10), "cells are Tessera, not Python")
    lab.wait(f"{cell}.node.querySelectorAll('.cm-line span').length > 300", 10)
    time.sleep(1)
    lab.see("colours")
    painted = lab.js("return " + CLASSES.replace("arguments[0]", cell))
    kinds, wrong = {}, []
    for number, (wanted, found) in enumerate(zip(open(f"{home}/1").read().split("\n"), painted)):
        if len(wanted) != len(found):
            wrong.append(f"line {number + 1}: {len(found)} characters, not {len(wanted)}")
        for column, (letter, name) in enumerate(zip(wanted, found)):
            if kinds.setdefault(name, letter) != letter or (letter != "-" and not name):
                wrong.append(f"{number + 1}:{column + 1} '{name}' is {kinds[name]} elsewhere and {letter} here")
    ok(len(painted) > 40 and len(kinds) > 8 and not wrong, "and have the prompt's colours", "\n".join(wrong[:20]) or (len(painted), kinds))
    lab.command("apputils:change-theme", "{theme: 'JupyterLab Dark'}")
    time.sleep(1.5)
    lab.see("colours-dark")
    lab.command("apputils:change-theme", "{theme: 'JupyterLab Light'}")
