/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server tells a client that it can do. */
#include "lsp.h"

static json_t *legend(void)
{
    static const char *const types[] = {
        [TYPE_NAMESPACE] = "namespace", [TYPE_CLASS] = "class", [TYPE_TYPE_PARAMETER] = "typeParameter",
        [TYPE_PARAMETER] = "parameter", [TYPE_VARIABLE] = "variable", [TYPE_PROPERTY] = "property",
        [TYPE_FUNCTION] = "function", [TYPE_METHOD] = "method", [TYPE_KEYWORD] = "keyword", [TYPE_COMMENT] = "comment",
        [TYPE_STRING] = "string", [TYPE_NUMBER] = "number", [TYPE_OPERATOR] = "operator"};
    json_t *list = json_array();
    for (int i = 0; i < TYPE_COUNT; i++) json_array_append_new(list, json_string(types[i]));
    return json_pack("{so s[ss]}", "tokenTypes", list, "tokenModifiers", "declaration", "defaultLibrary");
}

json_t *capabilities(const Server *server)
{
    enum { INCREMENTAL = 2 };
    static const char *const encodings[] = {[ENCODING_UTF8] = "utf-8", [ENCODING_UTF16] = "utf-16",
                                            [ENCODING_UTF32] = "utf-32"};
    static const char *const plain[] = {
        "hoverProvider", "definitionProvider", "declarationProvider", "referencesProvider", "documentHighlightProvider",
        "documentSymbolProvider", "workspaceSymbolProvider", "foldingRangeProvider", "documentFormattingProvider",
        "documentRangeFormattingProvider", "inlayHintProvider"};
    json_t *made = json_pack("{ss s{sb si s{sb}} s{s[sss] sb} s{s[ss] s[s]} s{sb} s{s[s]} s{so sb sb}}",
        "positionEncoding", encodings[server->encoding],
        "textDocumentSync", "openClose", 1, "change", INCREMENTAL, "save", "includeText", 0,
        "completionProvider", "triggerCharacters", ".", "\"", "/", "resolveProvider", 1,
        "signatureHelpProvider", "triggerCharacters", "(", ",", "retriggerCharacters", "=",
        "renameProvider", "prepareProvider", 1,
        "codeActionProvider", "codeActionKinds", "quickfix",
        "semanticTokensProvider", "legend", legend(), "full", 1, "range", 1);
    for (size_t i = 0; made && i < sizeof plain / sizeof *plain; i++) json_object_set_new(made, plain[i], json_true());
    if (!made) return NULL;
    json_object_set_new(made, "workspace", json_pack("{s{sb sb}}", "workspaceFolders", "supported", 1,
                                                     "changeNotifications", 1));
    json_object_set_new(made, "notebookDocumentSync", json_pack("{s[{s{ss} s[{ss}]}]}", "notebookSelector", "notebook",
                                                                "notebookType", "jupyter-notebook", "cells", "language",
                                                                "tessera"));
    return made;
}
