#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# usage: check-layers.sh [SRCDIR]
# Reads the includes of every C file and fails when one points up:
#     repl, kernel, lsp -> lang.h only      data -> lang/formats.h only      lang -> tensor      tensor -> nothing of ours
# and when a library ends the process, jumps or prints by itself. Also keeps the budgets that a machine can count:
# 1,200 lines a file, a licence line first. Speaks TAP.
cd "${1:-${SRCDIR:-.}}" || exit 1
export LC_ALL=C
number=0

# report NAME TEXT: passes when TEXT is empty.
report() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        echo "$2" | sed 's/^/#   /'
    fi
}

# includes FOLDER: lines "FILE header", quoted includes only, as paths from the top.
includes() {
    find "$1" -name '*.[ch]' ! -path '*/embedded.c' | sort | while read -r file; do
        sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file" | while read -r header; do
            case $header in
                ../*) echo "$file ${header#../}" ;;
                */*) echo "$file $header" ;;
                *) echo "$file ${file%/*}/$header" ;;
            esac
        done
    done
}

# Words in code, not in comments or strings: good enough for a grep.
code() {
    sed -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's@/\*.*\*/@@' -e 's@^ *\*.*@@' -e 's@/\*.*@@' -e 's@^   [^#]*\*/@@' "$1"
}
calls() {
    find "$1" -name '*.c' ! -path '*/embedded.c' | sort | while read -r file; do
        code "$file" | grep -nE "(^|[^A-Za-z0-9_.>])($2) *\(" | sed "s@^@$file:@"
    done
}

echo "1..13"
report "tensor includes only tensor" "$(includes tensor | awk '$2 !~ /^tensor\//')"
report "lang includes only lang and tensor" "$(includes lang | awk '$2 !~ /^(lang|tensor)\//')"
report "lang sees of tensor only what its headers show" \
    "$(includes lang | awk '$2 ~ /^tensor\// && $2 !~ /^tensor\/(tensor|error|ops)\.h$/ && $2 !~ /\.def$/')"
report "repl includes only repl and lang.h" \
    "$(if [ -d repl ]; then includes repl | awk '$2 !~ /^repl\// && $2 != "lang/lang.h"'; fi)"
report "kernel includes only kernel and lang.h" \
    "$(includes kernel | awk '$2 !~ /^kernel\// && $2 != "lang/lang.h"')"
report "lsp includes only lsp and lang.h" \
    "$(includes lsp | awk '$2 !~ /^lsp\// && $2 != "lang/lang.h"')"
report "data includes only data and lang/formats.h" \
    "$(includes data | awk '$2 !~ /^data\// && $2 != "lang/formats.h"')"
report "plot includes only lang/draw.h" \
    "$(includes plot | awk '$2 != "lang/draw.h"')"
report "libraries do not end the process, jump or print" \
    "$(for folder in tensor lang data plot; do
           # job.c leaves a process that is already ending, past destructors that abandoned threads would not survive
           calls $folder 'exit|_exit|quick_exit|abort|setjmp|sigsetjmp|longjmp|siglongjmp|printf|puts|putchar|perror' |
               grep -v '^tensor/job\.c:.*_exit(exit_status)'
           find $folder -name '*.c' ! -path '*/embedded.c' | sort | while read -r file; do
               code "$file" | grep -nwE 'stdout|stderr' | sed "s@^@$file:@"
           done
       done)"
sources=$(find tensor lang data plot repl kernel lsp tests bench -name '*.[ch]' ! -path '*/embedded.c' 2>/dev/null | sort)
report "no file is longer than 1,200 lines" \
    "$(for file in $sources; do wc -l "$file"; done | awk '$1 > 1200')"
report "every file starts with its licence" \
    "$(for file in $sources $(find tensor lang nn ssl data plot examples -name '*.def' -o -name '*.tsr'); do
           head -n 2 "$file" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' || echo "$file"
       done)"
report "every kind of error has its page in docs/errors" \
    "$(sed -n 's/^ERROR(\([a-z]*\),.*/\1/p' tensor/errors.def | while read -r kind; do
           [ -f "docs/errors/$kind.md" ] || echo "$kind"
       done)"
report "every C file is in Makefile.am" \
    "$(for file in $(find tensor lang data plot repl kernel lsp tests bench -name '*.[ch]' -o -name '*.def' | sort); do
           case $file in
               lang/embedded.c) continue ;;
           esac    # a program of one file is listed by its own name
           grep -qE "(^|[[:space:]=])(${file%.c}|$file)([[:space:]]|\$)" Makefile.am || echo "$file"
       done)"
