// SPDX-License-Identifier: GPL-3.0-or-later
// Starts `tessera lsp` and hands what VS Code asks to it, and what it answers to VS Code. Positions need no change: both count
// lines from 0 and columns in UTF-16. Without the program there are colours and nothing else, and one message that says so.
"use strict";
const vscode = require("vscode");
const { spawn } = require("child_process");

const language = "tessera";

// ---- messages ----

class Server {
  constructor(command, failed) {
    this.next = 0;
    this.waiting = new Map();
    this.rest = Buffer.alloc(0);
    this.handlers = new Map();
    this.gone = false;
    this.process = spawn(command, ["lsp"], { stdio: ["pipe", "pipe", "pipe"] });
    this.process.on("error", error => this.end(() => failed(error.message)));
    this.process.on("exit", code => this.end(() => code && failed(`it ended with status ${code}`)));
    this.process.stdin.on("error", () => {});
    this.process.stdout.on("data", data => this.take(data));
  }

  end(tell) {
    if (this.gone) return;
    this.gone = true;
    for (const { reject } of this.waiting.values()) reject(new Error("the language server has ended"));
    this.waiting.clear();
    tell();
  }

  send(message) {
    if (this.gone) return;
    const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
    this.process.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
    this.process.stdin.write(body);
  }

  notify(method, params) {
    this.send({ method, params });
  }

  request(method, params, token) {
    if (this.gone) return Promise.resolve(null);
    const id = ++this.next;
    if (token) token.onCancellationRequested(() => this.notify("$/cancelRequest", { id }));
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ id, method, params });
    });
  }

  take(data) {
    this.rest = Buffer.concat([this.rest, data]);
    for (;;) {
      const end = this.rest.indexOf("\r\n\r\n");
      const length = end < 0 ? null : /content-length: *(\d+)/i.exec(this.rest.toString("latin1", 0, end));
      if (!length || this.rest.length < end + 4 + Number(length[1])) return;
      const start = end + 4, stop = start + Number(length[1]);
      const message = JSON.parse(this.rest.toString("utf8", start, stop));
      this.rest = this.rest.subarray(stop);
      this.hear(message);
    }
  }

  hear(message) {
    if (message.method !== undefined) {
      const handler = this.handlers.get(message.method);
      if (handler) handler(message.params);
      if (message.id !== undefined) this.send({ id: message.id, result: null });
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (!waiting) return;
    if (!message.error) waiting.resolve(message.result);
    else if (message.error.code === -32800) waiting.resolve(null);
    else waiting.reject(new Error(message.error.message));
  }
}

// ---- to and from the protocol ----

const fromPosition = at => ({ line: at.line, character: at.character });
const fromRange = range => ({ start: fromPosition(range.start), end: fromPosition(range.end) });
const toPosition = at => new vscode.Position(at.line, at.character);
const toRange = range => new vscode.Range(toPosition(range.start), toPosition(range.end));
const toLocation = at => at && new vscode.Location(vscode.Uri.parse(at.uri), toRange(at.range));
const toText = text => text && text.value !== undefined ? new vscode.MarkdownString(text.value) : text || undefined;
const toEdits = edits => (edits || []).map(edit => new vscode.TextEdit(toRange(edit.range), edit.newText));

function toWorkspaceEdit(edit) {
  const made = new vscode.WorkspaceEdit();
  for (const [uri, edits] of Object.entries(edit.changes || {})) made.set(vscode.Uri.parse(uri), toEdits(edits));
  return made;
}

function toDiagnostic(found) {
  const made = new vscode.Diagnostic(toRange(found.range), found.message, found.severity - 1);
  made.source = found.source;
  const page = found.codeDescription;
  made.code = page ? { value: found.code, target: vscode.Uri.parse(page.href) } : found.code;
  made.tags = found.tags;
  made.relatedInformation = (found.relatedInformation || []).map(
    one => new vscode.DiagnosticRelatedInformation(toLocation(one.location), one.message));
  made.sent = found;           // a quick fix needs it as it came
  return made;
}

function toItem(item) {
  const made = new vscode.CompletionItem(item.label, item.kind - 1);
  made.detail = item.detail;
  made.documentation = toText(item.documentation);
  made.sortText = item.sortText;
  made.insertText = item.textEdit.newText;
  made.range = toRange(item.textEdit.range);
  made.sent = item;
  return made;
}

function toSymbol(symbol) {
  const made = new vscode.DocumentSymbol(symbol.name, symbol.detail || "", symbol.kind - 1, toRange(symbol.range),
    toRange(symbol.selectionRange));
  made.children = symbol.children.map(toSymbol);
  return made;
}

function toSignatures(help) {
  if (!help) return null;
  const made = new vscode.SignatureHelp();
  made.signatures = help.signatures.map(one => {
    const signature = new vscode.SignatureInformation(one.label, toText(one.documentation));
    signature.parameters = one.parameters.map(parameter => new vscode.ParameterInformation(parameter.label));
    return signature;
  });
  made.activeSignature = help.activeSignature;
  made.activeParameter = help.activeParameter;
  return made;
}

// ---- what VS Code asks ----

function providers(server, legend) {
  const languages = vscode.languages;
  const at = (document, position) => ({ textDocument: { uri: document.uri.toString() }, position: fromPosition(position) });
  const on = (document, more) => ({ textDocument: { uri: document.uri.toString() }, ...more });
  const ask = (method, params, token) => server.request("textDocument/" + method, params, token);
  const list = [
    languages.registerCompletionItemProvider(language, {
      provideCompletionItems: async (document, position, token) => {
        const found = await ask("completion", at(document, position), token);
        return found && new vscode.CompletionList(found.items.map(toItem), found.isIncomplete);
      },
      resolveCompletionItem: async (item, token) => {
        const found = await server.request("completionItem/resolve", item.sent, token);
        if (found) item.documentation = toText(found.documentation);
        return item;
      }
    }, ".", "\"", "/"),
    languages.registerHoverProvider(language, {
      provideHover: async (document, position, token) => {
        const found = await ask("hover", at(document, position), token);
        return found && new vscode.Hover(toText(found.contents), toRange(found.range));
      }
    }),
    languages.registerSignatureHelpProvider(language, {
      provideSignatureHelp: async (document, position, token) =>
        toSignatures(await ask("signatureHelp", at(document, position), token))
    }, "(", ",", "="),
    languages.registerDefinitionProvider(language, {
      provideDefinition: async (document, position, token) => toLocation(await ask("definition", at(document, position), token))
    }),
    languages.registerReferenceProvider(language, {
      provideReferences: async (document, position, context, token) =>
        (await ask("references", { ...at(document, position), context: { includeDeclaration: context.includeDeclaration } }, token) || []).map(toLocation)
    }),
    languages.registerDocumentHighlightProvider(language, {
      provideDocumentHighlights: async (document, position, token) =>
        (await ask("documentHighlight", at(document, position), token) || []).map(
          one => new vscode.DocumentHighlight(toRange(one.range), one.kind - 1))
    }),
    languages.registerRenameProvider(language, {
      prepareRename: async (document, position, token) => {
        const found = await ask("prepareRename", at(document, position), token);
        return found && { range: toRange(found.range), placeholder: found.placeholder };
      },
      provideRenameEdits: async (document, position, newName, token) => {
        const found = await ask("rename", { ...at(document, position), newName }, token);
        return found && toWorkspaceEdit(found);
      }
    }),
    languages.registerDocumentSymbolProvider(language, {
      provideDocumentSymbols: async (document, token) => (await ask("documentSymbol", on(document), token) || []).map(toSymbol)
    }),
    languages.registerWorkspaceSymbolProvider({
      provideWorkspaceSymbols: async (query, token) =>
        (await server.request("workspace/symbol", { query }, token) || []).map(
          one => new vscode.SymbolInformation(one.name, one.kind - 1, one.containerName || "", toLocation(one.location)))
    }),
    languages.registerFoldingRangeProvider(language, {
      provideFoldingRanges: async (document, context, token) =>
        (await ask("foldingRange", on(document), token) || []).map(
          one => new vscode.FoldingRange(one.startLine, one.endLine, one.kind === "comment" ? 1 : undefined))
    }),
    languages.registerDocumentFormattingEditProvider(language, {
      provideDocumentFormattingEdits: async (document, options, token) => toEdits(await ask("formatting", on(document, { options }), token))
    }),
    languages.registerDocumentRangeFormattingEditProvider(language, {
      provideDocumentRangeFormattingEdits: async (document, range, options, token) =>
        toEdits(await ask("rangeFormatting", on(document, { range: fromRange(range), options }), token))
    }),
    languages.registerCodeActionsProvider(language, {
      provideCodeActions: async (document, range, context, token) => {
        const diagnostics = context.diagnostics.map(one => one.sent).filter(Boolean);
        const found = await ask("codeAction", on(document, { range: fromRange(range), context: { diagnostics } }), token);
        return (found || []).map(one => {
          const action = new vscode.CodeAction(one.title, vscode.CodeActionKind.QuickFix);
          action.edit = toWorkspaceEdit(one.edit);
          action.diagnostics = context.diagnostics.filter(d => one.diagnostics.some(s => s.message === d.message));
          action.isPreferred = one.isPreferred;
          return action;
        });
      }
    }, { providedCodeActionKinds: [vscode.CodeActionKind.QuickFix] }),
    languages.registerInlayHintsProvider(language, {
      provideInlayHints: async (document, range, token) =>
        (await ask("inlayHint", on(document, { range: fromRange(range) }), token) || []).map(
          one => new vscode.InlayHint(toPosition(one.position), one.label, one.kind))
    })
  ];
  if (legend) {
    list.push(languages.registerDocumentSemanticTokensProvider(language, {
      provideDocumentSemanticTokens: async (document, token) => {
        const found = await ask("semanticTokens/full", on(document), token);
        return found && new vscode.SemanticTokens(new Uint32Array(found.data));
      }
    }, new vscode.SemanticTokensLegend(legend.tokenTypes, legend.tokenModifiers)));
  }
  return list;
}

// ---- texts ----

const notebookOf = document =>
  (vscode.workspace.notebookDocuments || []).find(one => one.getCells().some(cell => cell.document === document));
const textOf = document => ({ uri: document.uri.toString(), languageId: language, version: document.version, text: document.getText() });
const isOurs = document => document.languageId === language;

// A notebook is opened as one, with the cells in our language, and opened anew when cells come, go or move.
function openNotebook(server, notebook) {
  const cells = notebook.getCells().filter(cell => isOurs(cell.document));
  if (cells.length === 0) return;
  server.notify("notebookDocument/didOpen", {
    notebookDocument: {
      uri: notebook.uri.toString(), notebookType: notebook.notebookType, version: notebook.version,
      cells: cells.map(cell => ({ kind: 2, document: cell.document.uri.toString() }))
    },
    cellTextDocuments: cells.map(cell => textOf(cell.document))
  });
}

function followTexts(server) {
  const workspace = vscode.workspace;
  const open = document => {
    if (!isOurs(document)) return;
    const notebook = notebookOf(document);
    if (notebook) openNotebook(server, notebook);
    else server.notify("textDocument/didOpen", { textDocument: textOf(document) });
  };
  const changed = event => {
    if (!isOurs(event.document) || event.contentChanges.length === 0) return;
    const document = { uri: event.document.uri.toString(), version: event.document.version };
    const changes = event.contentChanges.map(one => ({ range: fromRange(one.range), text: one.text }));
    const notebook = notebookOf(event.document);
    if (!notebook) server.notify("textDocument/didChange", { textDocument: document, contentChanges: changes });
    else
      server.notify("notebookDocument/didChange", {
        notebookDocument: { uri: notebook.uri.toString(), version: notebook.version },
        change: { cells: { textContent: [{ document, changes }] } }
      });
  };
  const closed = document => {
    if (isOurs(document) && !notebookOf(document))
      server.notify("textDocument/didClose", { textDocument: { uri: document.uri.toString() } });
  };
  workspace.textDocuments.forEach(open);
  const list = [workspace.onDidOpenTextDocument(open), workspace.onDidChangeTextDocument(changed), workspace.onDidCloseTextDocument(closed)];
  if (workspace.onDidChangeNotebookDocument)
    list.push(workspace.onDidChangeNotebookDocument(event => {
      if (event.contentChanges.length) openNotebook(server, event.notebook);
    }));
  const watcher = workspace.createFileSystemWatcher("**/*.tsr");
  const told = type => uri => server.notify("workspace/didChangeWatchedFiles", { changes: [{ uri: uri.toString(), type }] });
  list.push(watcher, watcher.onDidCreate(told(1)), watcher.onDidChange(told(2)), watcher.onDidDelete(told(3)));
  return list;
}

// ---- life ----

let running;

async function activate(context) {
  const command = vscode.workspace.getConfiguration("tessera").get("path") || "tessera";
  const server = new Server(command, why =>
    vscode.window.showWarningMessage(`Tessera: the language server does not run (${command} lsp: ${why}). The setting tessera.path says where the program is.`));
  const diagnostics = vscode.languages.createDiagnosticCollection(language);
  running = server;
  context.subscriptions.push(diagnostics);
  server.handlers.set("textDocument/publishDiagnostics", found =>
    diagnostics.set(vscode.Uri.parse(found.uri), found.diagnostics.map(toDiagnostic)));
  const folders = (vscode.workspace.workspaceFolders || []).map(one => ({ uri: one.uri.toString(), name: one.name }));
  let result = null;
  try {
    result = await server.request("initialize", {
      processId: process.pid, rootUri: null, workspaceFolders: folders,
      capabilities: {
        general: { positionEncodings: ["utf-16"] },
        textDocument: {
          hover: { contentFormat: ["markdown"] }, publishDiagnostics: { relatedInformation: true },
          documentSymbol: { hierarchicalDocumentSymbolSupport: true }
        }
      }
    });
  } catch (error) {
    return;                    // told already
  }
  if (!result) return;
  server.notify("initialized", {});
  const tokens = result.capabilities.semanticTokensProvider;
  context.subscriptions.push(...providers(server, tokens && tokens.legend), ...followTexts(server));
}

async function deactivate() {
  if (!running || running.gone) return;
  try {
    await running.request("shutdown");
  } catch (error) {
    return;
  }
  running.notify("exit");
}

module.exports = { activate, deactivate };
