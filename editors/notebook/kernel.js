// SPDX-License-Identifier: GPL-3.0-or-later
// Tessera's colours in Notebook 6, which loads this file from the kernel's folder before the kernel is asked.
define(["codemirror/lib/codemirror", "base/js/namespace"], (CodeMirror, Jupyter) => {
@{part:mode.js}
  return {
    onload() {
      CodeMirror.defineMode("tessera", config => Object.assign(tesseraMode(), { indentUnit: config.indentUnit }));
      CodeMirror.defineMIME("text/x-tessera", "tessera");
      const cells = Jupyter.notebook ? Jupyter.notebook.get_cells() : [];
      for (const cell of cells) if (cell.cell_type === "code") cell.code_mirror.setOption("mode", { name: "tessera" });
    }
  };
});
