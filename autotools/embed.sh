#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# usage: embed.sh SRCDIR > embedded.c
# Writes the library sources, the examples and the templates for editors as byte arrays (string literals have a limit in
# ISO C), with an index of what each module exports: the functions and models at the start of a line whose name has no
# leading underscore. The module of a file is the folder it lies in. Needs only od, sed, sort and awk.
set -eu
export LC_ALL=C
cd "$1"

library=$(for folder in data lang/prelude nn plot ssl; do
    [ -d "$folder" ] && find "$folder" -name '*.tsr'
done | sort)
examples=$(if [ -d examples ]; then find examples -name '*.tsr' | sort; fi)
editors=$(find editors -type f ! -name '*~' | sort)

cat <<'END'
/* Made by autotools/embed.sh; do not edit. */
#include "lang/embedded.h"

END
i=0
for file in $library $examples $editors; do
    printf 'static const unsigned char file_%d[] = { /* %s */\n' "$i" "$file"
    od -An -v -tx1 "$file" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
    printf '0};\n'
    i=$((i + 1))
done
echo
echo 'const EmbeddedFile embedded_files[] = {'
i=0
for file in $library $examples $editors; do
    printf '    {"%s", file_%d, sizeof file_%d - 1},\n' "$file" "$i" "$i"
    i=$((i + 1))
done
echo '    {0, 0, 0}'
echo '};'
echo "const int embedded_file_count = $i;"
echo
echo 'const EmbeddedName embedded_names[] = {'
names=$(i=0
for file in $library; do
    module=${file%/*}
    module=${module##*/}
    awk -v module="$module" -v file="$i" '
        /^(fn|model) +[A-Za-z][A-Za-z0-9_]*/ {
            name = $2
            sub(/[^A-Za-z0-9_].*/, "", name)
            print module, name, file, ($1 == "model" ? "true" : "false"), NR
        }' "$file"
    i=$((i + 1))
done | sort -k1,1 -k2,2)
echo "$names" | awk 'NF {
    if (($1 " " $2) == last) { print "embed.sh: " $1 "." $2 " is declared twice" > "/dev/stderr"; exit 1 }
    last = $1 " " $2
    printf "    {\"%s\", \"%s\", %s, %s, %s},\n", $1, $2, $3, $4, $5
}'
echo '    {0, 0, 0, 0, 0}'
echo '};'
printf 'const int embedded_name_count = %d;\n' "$(echo "$names" | awk 'NF' | wc -l)"
