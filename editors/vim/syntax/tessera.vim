" SPDX-License-Identifier: GPL-3.0-or-later
" Tessera's colours. A string ends with its line, and with it what is open in its braces; every line begins anew.
if exists("b:current_syntax")
  finish
endif
syntax iskeyword @,48-57,_,170,181,186,192-214,216-246,248-255

syntax cluster tesseraCode contains=tesseraComment,tesseraNumber,tesseraString,tesseraMember,tesseraKeyword,tesseraConstant,tesseraHeader,tesseraFn,tesseraCall,tesseraOperator

syntax keyword tesseraKeyword @{keywords: }
syntax keyword tesseraConstant @{constants: }
syntax match tesseraCall /\k\+\ze(/ contains=tesseraBuiltin,tesseraKeyword,tesseraConstant
syntax match tesseraBuiltin /\v<%(@{builtins:|})\ze\(/ contained
syntax match tesseraHeader /\v<%(@{headers:|})>\ze\s*%(%(%(@{keywords:|}|@{constants:|})>)@!%(\d)@!\k|'|@{plain:vim})/
syntax keyword tesseraFn fn nextgroup=tesseraName skipwhite
syntax match tesseraFn /\v<model>\ze\s+%(%(@{keywords:|}|@{constants:|})>)@!%(\d)@!\k/ nextgroup=tesseraName skipwhite
syntax match tesseraName /\v%(%(@{keywords:|}|@{constants:|})>)@!%(\d)@!\k+/ contained
syntax match tesseraDot /\./ contained
syntax match tesseraOperator /\v[@{operators}]/
syntax match tesseraMember /\v\.@1<!\.\.@!\s*%(\d)@!\k+/ contains=tesseraDot
syntax match tesseraNumber /\v%(\k@1<!|[.]@=)%(@{number:vim})/
syntax match tesseraNumber /\v\k@1<!%(@{pointed:vim})%([.]|\k)@!/
syntax match tesseraOperator /\.\.\.\=/
syntax match tesseraCommand /\v^\s*\zs%(:[a-z?]+|\?+)/

syntax match tesseraString /'[^']*'\=/
syntax region tesseraString start=/"/ end=/"/ end=/^/ end=/$/ contains=tesseraEscape,tesseraFormat
syntax region tesseraFormat matchgroup=tesseraBrace start=/{/ end=/}/ end=/$/ end=/^/ contained contains=@tesseraCode,tesseraSpec,tesseraInner
syntax match tesseraEscape /\v@{escape:vim}/ contained
syntax match tesseraSpec /:[^}"]*/ contained
syntax region tesseraInner start=/(/ end=/)/ end=/\ze}/ end=/$/ end=/^/ contained transparent contains=@tesseraCode,tesseraInner
syntax region tesseraInner start=/\[/ end=/\]/ end=/\ze}/ end=/$/ end=/^/ contained transparent contains=@tesseraCode,tesseraInner
syntax region tesseraInner start=/{/ end=/}/ end=/$/ end=/^/ contained transparent contains=@tesseraCode,tesseraInner
syntax match tesseraComment /#.*/ contains=@Spell,tesseraTodo
syntax keyword tesseraTodo TODO FIXME contained
syntax sync minlines=1

highlight default link tesseraKeyword Keyword
highlight default link tesseraConstant Constant
highlight default link tesseraHeader Keyword
highlight default link tesseraFn Keyword
highlight default link tesseraName Function
highlight default link tesseraBuiltin Function
highlight default link tesseraOperator Operator
highlight default link tesseraNumber Number
highlight default link tesseraString String
highlight default link tesseraEscape SpecialChar
highlight default link tesseraBrace Special
highlight default link tesseraSpec String
highlight default link tesseraCommand PreProc
highlight default link tesseraComment Comment
highlight default link tesseraTodo Todo
let b:current_syntax = "tessera"
