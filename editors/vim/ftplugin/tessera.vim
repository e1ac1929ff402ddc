" SPDX-License-Identifier: GPL-3.0-or-later
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1
setlocal comments=b:##,b:# commentstring=#\ %s
setlocal expandtab shiftwidth=4 softtabstop=4
setlocal iskeyword=@,48-57,_,170,181,186,192-214,216-246,248-255
setlocal suffixesadd=.tsr
if executable("tessera")
  setlocal formatprg=tessera\ fmt\ -
endif
let b:undo_ftplugin = "setlocal comments< commentstring< expandtab< shiftwidth< softtabstop< iskeyword< suffixesadd< formatprg<"
