// SPDX-License-Identifier: GPL-3.0-or-later
// usage: node paint.js FOLDER FILE ...
// node paint.js --indent FILE
// As test_colours.c, with the mode for CodeMirror that `tessera editors` wrote to $EDITORS/notebook/kernel.js.
const fs = require("fs");

let mode = null;
globalThis.define = (needs, make) =>
  make({ defineMode: (name, made) => (mode = made({ indentUnit: 4 })), defineMIME() {} }, {}).onload();
require(process.env.EDITORS + "/notebook/kernel.js");

// What a mode sees of a line, as CodeMirror's manual describes it.
class Stream {
  constructor(line) {
    this.string = line;
    this.pos = this.start = 0;
  }
  sol() { return this.pos === 0; }
  eol() { return this.pos >= this.string.length; }
  peek() { return this.string.charAt(this.pos) || undefined; }
  next() { return this.eol() ? undefined : this.string.charAt(this.pos++); }
  eat(what) { return this.peek() === what ? this.next() : undefined; }
  eatSpace() {
    const from = this.pos;
    while (/[\s\u00a0]/.test(this.string.charAt(this.pos))) this.pos++;
    return this.pos > from;
  }
  skipToEnd() { this.pos = this.string.length; }
  current() { return this.string.slice(this.start, this.pos); }
  match(what, consume) {
    if (typeof what === "string") {
      const found = this.string.startsWith(what, this.pos);
      if (found && consume !== false) this.pos += what.length;
      return found;
    }
    const found = this.string.slice(this.pos).match(what);
    if (found && found.index > 0) return null;
    if (found && consume !== false) this.pos += found[0].length;
    return found;
  }
}

const letters = { keyword: "k", atom: "c", number: "n", string: "s", "string-2": "s", comment: "#", meta: ":" };

function paintLine(line, state) {
  const stream = new Stream(line);
  let painted = "";
  if (line === "") mode.blankLine(state);
  while (!stream.eol()) {
    stream.start = stream.pos;
    const kind = mode.token(stream, state);
    if (stream.pos === stream.start) throw new Error("no progress in: " + line);
    painted += (letters[kind] || "-").repeat([...stream.current()].length);
  }
  return painted;
}

// A file without its indentation, indented anew.
function indent(file) {
  const state = mode.startState();
  for (const line of fs.readFileSync(file, "utf8").trimEnd().split("\n")) {
    console.log(" ".repeat(mode.indent(state, line.trim())) + line.trim());
    paintLine(line.trim(), state);
  }
}

const [folder, ...files] = process.argv.slice(2);
if (folder === "--indent") indent(files.pop());
files.forEach((file, i) => {
  let state = mode.startState();
  const lines = fs.readFileSync(file, "utf8").split("\n");
  const painted = lines.map(line => {
    state = mode.copyState(state);
    return paintLine(line, state);
  });
  fs.writeFileSync(`${folder}/${i + 1}`, painted.join("\n"));
});
