" SPDX-License-Identifier: GPL-3.0-or-later
" One level below the line with the innermost bracket that is open, one more behind a line that ends in =, as tessera fmt
" writes it; a line that begins with a closing bracket stands where the line that opened it does.
if exists("b:did_indent")
  finish
endif
let b:did_indent = 1
setlocal indentexpr=TesseraIndent() indentkeys=0},0),0],!^F,o,O
let b:undo_indent = "setlocal indentexpr< indentkeys<"

if exists("*TesseraIndent")
  finish
endif

function! TesseraIndent() abort
  let previous = prevnonblank(v:lnum - 1)
  if previous == 0
    return 0
  endif
  call cursor(v:lnum, 1)
  let skip = 'synIDattr(synID(line("."), col("."), 1), "name") =~# "String\\|Comment\\|Spec\\|Brace\\|Escape"'
  let opened = searchpair('[[({]', '', '[])}]', 'bnW', skip, max([1, v:lnum - 500]))
  if getline(v:lnum) =~# '^\s*[])}]'
    return opened > 0 ? indent(opened) : 0
  endif
  let base = opened > 0 ? indent(opened) + shiftwidth() : 0
  return base + (getline(previous) =~# '=\s*$' && previous >= opened ? shiftwidth() : 0)
endfunction
