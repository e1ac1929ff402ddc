// SPDX-License-Identifier: GPL-3.0-or-later
// usage: node vscode.js FOLDER: as much of VS Code as the extension in FOLDER/vscode asks for; what it registers is then asked
// as the editor would. A range is serialised as VS Code does it, as a list, which no server understands.
"use strict";
const Module = require("module");
const path = require("path");
const folder = process.argv[2];
let number = 0, failed = 0;

function check(name, condition, note) {
  number++;
  console.log(`${condition ? "ok" : "not ok"} ${number} - ${name}`);
  if (condition) return;
  failed++;
  console.log("#   " + JSON.stringify(note));
}

class Position {
  constructor(line, character) { this.line = line; this.character = character; }
}
class Range {
  constructor(start, end) { this.start = start; this.end = end; }
  toJSON() { return [this.start, this.end]; }
}
class Uri {
  constructor(text) { this.text = text; }
  toString() { return this.text; }
  static parse(text) { return new Uri(text); }
}
const plain = (...names) => class { constructor(...values) { names.forEach((name, i) => { this[name] = values[i]; }); } };
const listeners = {}, registered = {}, published = {}, warnings = [];
const event = name => listener => { listeners[name] = listener; return { dispose() {} }; };
const register = name => (...values) => {
  registered[name] = values.find(value => value && typeof value === "object" && Object.values(value).some(one => typeof one === "function"));
  return { dispose() {} };
};
class WorkspaceEdit {
  constructor() { this.edits = {}; }
  set(uri, edits) { this.edits[uri.toString()] = edits; }
}
const documentOf = (uri, text) => ({ uri: new Uri(uri), languageId: "tessera", version: 1, text, getText() { return this.text; } });
const first = documentOf("file://" + path.join(folder, "main.tsr"),
  "fn scale(x: [n, d], factor=2.0) = x * factor\nout = scale(ones(32, 784))\nbad = softmix(out)\n");
const workspace = {
  textDocuments: [first], notebookDocuments: [], workspaceFolders: [{ uri: new Uri("file://" + folder), name: "w" }],
  getConfiguration: () => ({ get: () => process.env.TESSERA }),
  onDidOpenTextDocument: event("open"), onDidChangeTextDocument: event("change"), onDidCloseTextDocument: event("close"),
  onDidChangeNotebookDocument: event("notebook"),
  createFileSystemWatcher: () => ({ onDidCreate: event("create"), onDidChange: event("write"), onDidDelete: event("delete"), dispose() {} })
};
const names = ["CompletionItem", "Hover", "SignatureHelp", "Definition", "Reference", "DocumentHighlight", "Rename", "DocumentSymbol",
  "WorkspaceSymbol", "FoldingRange", "DocumentSemanticTokens"];
const languages = {
  createDiagnosticCollection: () => ({ set(uri, list) { published[uri.toString()] = list; }, dispose() {} }),
  registerDocumentFormattingEditProvider: register("format"), registerDocumentRangeFormattingEditProvider: register("formatRange"),
  registerCodeActionsProvider: register("action"), registerInlayHintsProvider: register("inlay")
};
for (const name of names) languages[`register${name}Provider`] = register(name);
const vscode = {
  Position, Range, Uri, WorkspaceEdit, workspace, languages,
  window: { showWarningMessage: text => warnings.push(text) },
  Location: plain("uri", "range"), MarkdownString: plain("value"), TextEdit: plain("range", "newText"),
  Diagnostic: plain("range", "message", "severity"), DiagnosticRelatedInformation: plain("location", "message"),
  CompletionItem: plain("label", "kind"), CompletionList: plain("items", "isIncomplete"), Hover: plain("contents", "range"),
  SignatureHelp: plain(), SignatureInformation: plain("label", "documentation"), ParameterInformation: plain("label"),
  DocumentHighlight: plain("range", "kind"), DocumentSymbol: plain("name", "detail", "kind", "range", "selectionRange"),
  SymbolInformation: plain("name", "kind", "containerName", "location"), FoldingRange: plain("start", "end", "kind"),
  CodeAction: plain("title", "kind"), CodeActionKind: { QuickFix: "quickfix" }, InlayHint: plain("position", "label", "kind"),
  SemanticTokens: plain("data"), SemanticTokensLegend: plain("types", "modifiers")
};
const load = Module._load;
Module._load = function (name, ...more) { return name === "vscode" ? vscode : load.call(this, name, ...more); };

const until = async test => { for (let i = 0; i < 1200 && !test(); i++) await new Promise(done => setTimeout(done, 50)); return test(); };
const token = { onCancellationRequested() {} };
const at = (line, character) => new Position(line, character);

async function run() {
  const extension = require(path.join(folder, "vscode", "extension.js"));
  const context = { subscriptions: [] };
  await extension.activate(context);
  check("it activates", context.subscriptions.length > 15, context.subscriptions.length);
  const uri = first.uri.toString();
  check("findings are shown", await until(() => published[uri] && published[uri].length === 1), published);
  const finding = published[uri][0];
  check("at their place", finding.range.start.line === 2 && finding.range.start.character === 6 && finding.severity === 0, finding);
  const actions = await registered.action.provideCodeActions(first, finding.range, { diagnostics: [finding] }, token);
  check("with a quick fix", actions.length === 1 && actions[0].edit.edits[uri][0].newText === "softmax", actions);
  const hover = await registered.Hover.provideHover(first, at(1, 1), token);
  check("hover", hover.contents.value.includes("fn") === false && hover.contents.value.includes("out"), hover);
  const definition = await registered.Definition.provideDefinition(first, at(1, 8), token);
  check("definition", definition.range.start.line === 0 && definition.range.start.character === 3, definition);
  const list = await registered.CompletionItem.provideCompletionItems(first, at(2, 10), token);
  const item = list.items.find(one => one.label === "softmax");
  check("completion", item && item.range.start.character === 6, list.items.length);
  const resolved = await registered.CompletionItem.resolveCompletionItem(item, token);
  check("with documentation", resolved.documentation.value.includes("e^x"), resolved);
  const help = await registered.SignatureHelp.provideSignatureHelp(first, at(1, 12), token);
  check("signatures", help.signatures[0].label.startsWith("scale(x: [n, d]") && help.activeParameter === 0, help);
  const edit = await registered.Rename.provideRenameEdits(first, at(0, 21), "gain", token);
  check("renaming", edit.edits[uri].length === 2, edit);
  const refusal = await registered.Rename.provideRenameEdits(first, at(0, 21), "if", token).catch(error => error.message);
  check("and what it refuses", String(refusal).includes("no name"), refusal);
  const symbols = await registered.DocumentSymbol.provideDocumentSymbols(first, token);
  check("symbols", symbols[0].name === "scale" && symbols[0].kind === 11, symbols);
  const references = await registered.Reference.provideReferences(first, at(0, 4), { includeDeclaration: true }, token);
  check("references", references.length === 2, references);
  const tokens = await registered.DocumentSemanticTokens.provideDocumentSemanticTokens(first, token);
  check("colours", tokens.data.length > 20 && tokens.data.length % 5 === 0, tokens);
  const edits = await registered.format.provideDocumentFormattingEdits(first, { tabSize: 4, insertSpaces: true }, token);
  check("formatting, of what is formatted", edits.length === 0, edits);
  listeners.change({ document: { ...first, version: 2, uri: first.uri },
    contentChanges: [{ range: new Range(at(2, 6), at(2, 13)), text: "softmax" }] });
  check("a change is sent", await until(() => published[uri].length === 0), published[uri]);
  await extension.deactivate();
  check("nothing was warned of", warnings.length === 0, warnings);
}

run().catch(error => check("the test runs", false, error.stack)).then(() => {
  console.log(`1..${number}`);
  process.exit(failed ? 1 : 0);
});
