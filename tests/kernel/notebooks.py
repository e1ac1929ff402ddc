# SPDX-License-Identifier: GPL-3.0-or-later
"""Executes each notebook of notebooks/ (or those whose names contain a word) and compares with what is stored: the kinds of
outputs of each cell in their order, the forms of what is shown, and errors to the letter. Numbers may differ from one
machine to another. With --accept the outputs are stored instead."""
import glob
import os
import sys
import time

from harness import finish, home, ok

import nbformat
from nbclient import NotebookClient

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "notebooks")
LARGEST = 400_000     # bytes of a notebook with its outputs


def outline(cell):
    """What must stay the same of a cell's outputs."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            found.append(f"error {output.ename}: {output.evalue}")
        elif output.output_type == "stream":
            found.append(f"stream {output.name}")
        else:
            found.append(f"{output.output_type} {' '.join(sorted(output.data))}")
    return found


def tidy(notebook):
    """Without times, which would change with every run."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def check(path, accept):
    name = os.path.basename(path)
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    start = time.time()
    try:
        NotebookClient(fresh, timeout=300, kernel_name="tessera", resources={"metadata": {"path": home}}).execute()
    except Exception as error:
        ok(False, f"{name} runs", error)
        return
    took = time.time() - start
    ok(True, f"{name} runs in {took:.1f} s")
    tidy(fresh)
    if accept:
        nbformat.write(fresh, path)
        return
    different = [f"cell {i}: stored {outline(a)}, now {outline(b)}" for i, (a, b) in enumerate(zip(stored.cells, fresh.cells))
                 if outline(a) != outline(b)]
    ok(not different, f"{name} shows what is stored", "\n".join(different) + "\nmake accept-notebooks stores it anew")
    wrong = [f"cell {i}" for i, cell in enumerate(fresh.cells) if cell.cell_type == "code" and
             any(o.startswith("error") for o in outline(cell)) != ("raises-exception" in cell.metadata.get("tags", []))]
    ok(not wrong, f"{name} fails only where it says so", wrong)
    twice = [f"cell {i}: {outline(cell)}" for i, cell in enumerate(fresh.cells) if cell.cell_type == "code" and
             len([o for o in outline(cell) if o.startswith("display_data")]) > 3]
    ok(not twice, f"{name}: what updates itself is stored once", twice)
    ok(os.path.getsize(path) < LARGEST, f"{name} is small", os.path.getsize(path))


words = [word for word in sys.argv[1:] if word != "--accept"]
paths = sorted(glob.glob(f"{folder}/*.ipynb"))
for path in paths:
    if not words or any(word in path for word in words):
        check(path, "--accept" in sys.argv)
ok(len(paths) >= 4, "there are notebooks", paths)
finish()
