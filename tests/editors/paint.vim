" SPDX-License-Identifier: GPL-3.0-or-later
" usage: vim -es -u NONE -S paint.vim FILE ...
" As test_colours.c, with the syntax that `tessera editors` wrote to $EDITORS/vim; into $FOLDER.
set nocompatible encoding=utf-8 nomodeline
let &runtimepath = $EDITORS . "/vim," . &runtimepath
filetype plugin indent on
syntax on
let s:letters = {"tesseraKeyword": "k", "tesseraHeader": "k", "tesseraFn": "k", "tesseraConstant": "c", "tesseraNumber": "n",
  \ "tesseraString": "s", "tesseraEscape": "s", "tesseraSpec": "s", "tesseraComment": "#", "tesseraTodo": "#",
  \ "tesseraCommand": ":"}
let s:names = {}

function! s:Letter(line, column)
  let id = synID(a:line, a:column, 1)
  if !has_key(s:names, id)
    let s:names[id] = get(s:letters, synIDattr(id, "name"), "-")
  endif
  return s:names[id]
endfunction

for s:number in range(1, argc())
  execute "edit!" fnameescape(argv(s:number - 1))
  setfiletype tessera
  let s:painted = []
  for s:line in range(1, line("$"))
    let s:letters_of_line = ""
    let s:column = 1
    for s:character in split(getline(s:line), '\zs')
      let s:letters_of_line .= s:Letter(s:line, s:column)
      let s:column += strlen(s:character)
    endfor
    call add(s:painted, s:letters_of_line)
  endfor
  call writefile(s:painted, $FOLDER . "/" . s:number)
endfor
if v:errmsg != ""
  call writefile([v:errmsg], "/dev/stdout", "a")
  cquit
endif
qall!
