// The colours of Tessera for CodeMirror 5 and for the stream languages of CodeMirror 6: one line after the other, a
// string never goes over its end. A state holds
//   open: the open brackets, and f for the { of a string, innermost last
//   deep: of each of those n, or l below its line, if it is the first that its line opens, else x, for the indentation
//   text: within a string; behind: letters follow a number; first: nothing is before on the line; goesOn: = is in front
//   before: fn, model or a dot in front
function tesseraMode() {
  const words = list => new Set(list.split(" "));
  const keywords = words("@{keywords: }");
  const constants = words("@{constants: }");
  const headers = words("@{headers: }");
  const builtins = words("@{builtins: }");
  const letter = "@{letters:javascript}";
  const start = text => new RegExp("^(?:" + text + ")", "u");
  const name = start(`[${letter}][${letter}0-9]*`);
  const behindNumber = start(`[${letter}0-9]+`);
  const pointed = start(String.raw`(?:@{pointed:javascript})(?![.${letter}0-9])`);
  const number = start(String.raw`@{number:javascript}`);
  const escape = start(String.raw`@{escape:javascript}`);
  const plainString = start(String.raw`@{plain:javascript}`);
  const raw = /^'[^']*'?/;
  const command = /^(?::[a-z?]+|\?+)/;
  const operator = /^[@{operators}]/;
  const closes = { ")": "(", "]": "[", "}": "{" };

  // A line ends strings, and with them what is open in their braces.
  function beginLine(state) {
    const format = state.open.indexOf("f");
    if (format >= 0) state.open = state.open.slice(0, format);
    if (state.before !== ".") state.before = "";
    state.text = false;
    state.first = true;
    state.deep = state.deep.slice(0, state.open.length).replace(/n/g, "l");
  }

  function open(state, bracket) {
    state.open += bracket;
    state.deep += state.deep.includes("n") ? "x" : "n";
  }

  function close(state, bracket) {
    const wanted = closes[bracket];
    let at = state.open.length - 1;
    if (bracket === "}") while (at >= 0 && state.open[at] !== wanted && state.open[at] !== "f") at--;
    if (at < 0 || (state.open[at] !== wanted && !(bracket === "}" && state.open[at] === "f"))) return "error";
    state.text = state.open[at] === "f";
    state.open = state.open.slice(0, at);
    state.deep = state.deep.slice(0, at);
    return state.text ? "operator" : "bracket";
  }

  function string(stream, state) {
    if (stream.match('"')) {
      state.text = false;
      return "string";
    }
    if (stream.match(escape)) return "string-2";
    if (stream.eat("{")) {
      open(state, "f");
      state.text = false;
      return "operator";
    }
    stream.next();
    stream.match(/^[^"{}\\]+/);
    return "string";
  }

  // A name or a string follows on this line.
  function isHeader(stream) {
    const rest = stream.string.slice(stream.pos).replace(/^[ \t\r]+/, "");
    const next = name.exec(rest);
    if (next) return !keywords.has(next[0]) && !constants.has(next[0]);
    const text = plainString.exec(rest);
    return rest[0] === "'" || text !== null;
  }

  function word(stream, state, before) {
    const text = stream.match(name)[0];
    const called = stream.peek() === "(";
    state.before = before !== "." && (text === "fn" || text === "model") ? text : "";
    if (before !== "." && keywords.has(text)) return "keyword";
    if (before !== "." && constants.has(text)) return "atom";
    if (before !== "." && headers.has(text) && isHeader(stream)) return "keyword";
    if (before === "fn" || before === "model") return "def";
    if (before === ".") return "property";
    return called && builtins.has(text) ? "builtin" : "variable";
  }

  function code(stream, state) {
    const before = state.before, first = state.first;
    if (stream.peek() === "#") {
      stream.skipToEnd();
      return "comment";
    }
    state.before = "";
    state.first = state.goesOn = false;
    if (first && !state.open && stream.match(command)) return "meta";
    if (stream.match(pointed) || stream.match(number)) {
      const end = stream.pos;
      if (stream.match(behindNumber)) {
        stream.pos = end;
        state.behind = true;
      }
      return "number";
    }
    if (stream.eat('"')) {
      state.text = true;
      stream.match(/^[^"{}\\]+/);
      return "string";
    }
    if (stream.match(raw)) return "string";
    if (stream.peek() === ":" && state.open.endsWith("f")) {
      stream.match(/^:[^}"]*/);
      return "string";
    }
    if (stream.match(name, false)) return word(stream, state, before);
    if (stream.match(/^\.\.\.?/)) return "operator";
    const bracket = stream.match(/^[()[\]{}]/);
    if (bracket && "([{".includes(bracket[0])) {
      open(state, bracket[0]);
      return "bracket";
    }
    if (bracket) return close(state, bracket[0]);
    if (stream.match(operator)) {
      if (stream.current() === ".") state.before = ".";
      state.goesOn = stream.current() === "=";
      return ".,:;".includes(stream.current()) ? "punctuation" : "operator";
    }
    stream.match(/^./su);
    return "error";
  }

  return {
    name: "tessera",
    startState: () => ({ open: "", deep: "", text: false, before: "", first: true, behind: false, goesOn: false }),
    copyState: state => Object.assign({}, state),
    token(stream, state) {
      if (stream.sol()) beginLine(state);
      if (state.text) return string(stream, state);
      if (state.behind) {                       // letters directly behind a number are no name
        state.behind = false;
        stream.match(behindNumber);
        return "error";
      }
      if (stream.eatSpace()) return null;
      return code(stream, state);
    },
    blankLine(state) {
      beginLine(state);
    },
    indent(state, textAfter, context) {
      const format = state.open.indexOf("f");
      const deep = format < 0 ? state.deep : state.deep.slice(0, format);
      const closing = /^\s*[)\]}]/.test(textAfter);
      const levels = deep.replace(/x/g, "").length + (closing ? -1 : state.goesOn ? 1 : 0);
      const unit = context && context.unit ? context.unit : typeof context === "object" ? 4 : this.indentUnit || 4;
      return Math.max(0, levels) * unit;
    },
    lineComment: "#",
    fold: "brace",
    electricInput: /^\s*[)\]}]$/,
    closeBrackets: "()[]{}''\"\"",
    languageData: {
      commentTokens: { line: "#" },
      closeBrackets: { brackets: ["(", "[", "{", "'", '"'] },
      indentOnInput: /^\s*[)\]}]$/
    }
  };
}
