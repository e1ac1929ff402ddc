" SPDX-License-Identifier: GPL-3.0-or-later
autocmd BufRead,BufNewFile *.tsr setfiletype tessera
