-- SPDX-License-Identifier: GPL-3.0-or-later
-- Neovim's client starts the language server as an editor does: it attaches, edits a buffer, and asks. Speaks TAP.
local number, failed = 0, 0
local function check(name, condition, note)
    number = number + 1
    io.stdout:write((condition and "ok " or "not ok ") .. number .. " - " .. name .. "\n")
    if not condition then
        failed = failed + 1
        io.stdout:write("#   " .. vim.inspect(note):sub(1, 2000):gsub("\n", "\n#   ") .. "\n")
    end
end

local function run()
    local lines = { "fn scale(x: [n, d], factor=2.0) = x * factor", "net = nn.Linear(784, 10)", "out = net(ones(32, 784))",
        'wort = "😀"; bad = softmix(out)', "y   =  scale(out, factor=3.)" }
    vim.fn.writefile(lines, "main.tsr")
    vim.cmd("edit main.tsr")
    local buffer = vim.api.nvim_get_current_buf()
    local client = vim.lsp.start_client({ name = "tessera", cmd = { vim.env.TESSERA, "lsp" }, root_dir = vim.fn.getcwd() })
    check("the client starts", client ~= nil)
    check("and attaches", vim.lsp.buf_attach_client(buffer, client))
    check("a diagnostic comes", vim.wait(60000, function() return #vim.diagnostic.get(buffer) > 0 end, 50))
    local found = vim.diagnostic.get(buffer)[1] or {}
    check("at its place, behind an astral character", found.lnum == 3 and found.message and found.message:find("softmax"), found)

    local function ask(method, line, character, more)
        local params = vim.tbl_extend("force", { textDocument = vim.lsp.util.make_text_document_params(buffer),
            position = { line = line, character = character } }, more or {})
        local answers = vim.lsp.buf_request_sync(buffer, method, params, 60000) or {}
        for _, answer in pairs(answers) do return answer.result, answer.err or answer.error end
    end
    local hover = ask("textDocument/hover", 2, 1)
    check("hover knows the shape", hover and hover.contents.value:find("out: f32%[32, 10%]"), hover)
    local definition = ask("textDocument/definition", 4, 8)
    check("a definition is found", definition and definition.range.start.line == 0 and definition.range.start.character == 3, definition)

    local start, stop = lines[4]:find("softmix(out)", 1, true)
    vim.api.nvim_buf_set_text(buffer, 3, start - 1, 3, stop, { "net." })     -- as somebody types, in bytes
    local line = vim.api.nvim_buf_get_lines(buffer, 3, 4, true)[1]
    local completion = ask("textDocument/completion", 3, vim.str_utfindex and select(2, vim.str_utfindex(line, #line)) or #line)
    local labels = {}
    for _, item in ipairs(completion and completion.items or {}) do labels[item.label] = item.detail or "" end
    check("members are completed", labels.weight == "f32[10, 784]" and labels.forward and not labels.softmax, vim.tbl_keys(labels))
    vim.api.nvim_buf_set_lines(buffer, 3, 4, true, { "# gone" })
    check("the diagnostic goes", vim.wait(60000, function() return #vim.diagnostic.get(buffer) == 0 end, 50))

    local edit = ask("textDocument/rename", 0, 21, { newName = "gain" })
    check("a rename is answered", edit ~= nil)
    if edit then vim.lsp.util.apply_workspace_edit(edit, "utf-16") end
    local text = vim.api.nvim_buf_get_lines(buffer, 0, -1, true)
    check("and applied", text[1]:find("gain=2.0%) = x %* gain") and text[5]:find("gain=3%."), text)
    local _, refusal = ask("textDocument/rename", 2, 0, { newName = "if" })
    check("another is refused", refusal and refusal.message:find("no name"), refusal)
    local edits = ask("textDocument/formatting", 0, 0, { options = { tabSize = 4, insertSpaces = true } })
    if edits then vim.lsp.util.apply_text_edits(edits, buffer, "utf-16") end
    check("formatting", vim.api.nvim_buf_get_lines(buffer, 4, 5, true)[1] == "y = scale(out, gain=3.)",
        vim.api.nvim_buf_get_lines(buffer, 0, -1, true))
    local symbols = ask("textDocument/documentSymbol", 0, 0)
    check("symbols", symbols and symbols[1].name == "scale", symbols)

    vim.lsp.stop_client(client)
    check("the server ends", vim.wait(60000, function() return vim.lsp.get_client_by_id(client) == nil end, 50))
end

local fine, problem = pcall(run)
if not fine then check("the test runs", false, problem) end
io.stdout:write("1.." .. number .. "\n")
vim.cmd(failed == 0 and "qall!" or "cquit")
