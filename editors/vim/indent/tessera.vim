" SPDX-License-Identifier: GPL-3.0-or-later
" One level below a line that leaves brackets open or ends in =, as tessera fmt writes it; a line that begins with closing
" brackets stands where the line that opened them does.
if exists("b:did_indent")
  finish
endif
let b:did_indent = 1
setlocal indentexpr=TesseraIndent() indentkeys=0},0),0],!^F,o,O
let b:undo_indent = "setlocal indentexpr< indentkeys<"

if exists("*TesseraIndent")
  finish
endif

function! s:Balance(number) abort
  let line = getline(a:number)
  let depth = 0
  for column in range(len(line))
    if line[column] !~# '[][(){}]' || synIDattr(synID(a:number, column + 1, 1), "name") =~# 'String\|Comment\|Escape\|Format'
      continue
    endif
    let depth += line[column] =~# '[[({]' ? 1 : depth > 0 ? -1 : 0
  endfor
  return depth
endfunction

function! TesseraIndent() abort
  let previous = prevnonblank(v:lnum - 1)
  if previous == 0
    return 0
  endif
  if getline(v:lnum) =~# '^\s*[])}]'
    call cursor(v:lnum, 1)
    let closing = searchpair('[[({]', '', '[])}]', 'bcnW', 'synIDattr(synID(line("."), col("."), 1), "name") =~# "String\\|Comment"')
    return closing > 0 && closing < v:lnum ? indent(closing) : indent(previous)
  endif
  let deeper = s:Balance(previous) > 0 || getline(previous) =~# '=\s*$'
  return indent(previous) + (deeper ? shiftwidth() : 0)
endfunction
