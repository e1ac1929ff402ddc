#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the sample of Fashion-MNIST that comes with Tessera, next to this script: the first 440 training images of each
# class, dealt in turn (classes 0 1 … 9 0 1 …), so that any run of whole tens is balanced. The same bytes every time.
# Usage: data/make-sample.sh [folder of the whole set; Debian's package dataset-fashion-mnist puts it there]
set -eu
export LC_ALL=C
from=${1:-/usr/share/datasets/fashion-mnist}
to=$(dirname "$0")
per_class=440
total=$((per_class * 10))

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The elements alone: labels start at byte 9, images at byte 17.
gzip -dc "$from/train-labels-idx1-ubyte.gz" | tail -c +9 | od -An -v -tu1 -w1 > "$work/labels"
gzip -dc "$from/train-images-idx3-ubyte.gz" | tail -c +17 > "$work/images"

# One line an image that is taken: its place in the sample, its place in the whole, its label.
n=0
while read -r label; do
    eval "k=\${count_$label:-0}"
    if [ "$k" -lt "$per_class" ]; then
        echo "$((k * 10 + label)) $n $label"
        eval "count_$label=$((k + 1))"
    fi
    n=$((n + 1))
done < "$work/labels" | sort -n > "$work/taken"
[ "$(wc -l < "$work/taken")" -eq "$total" ]

byte() { printf "\\$(printf %03o "$1")"; }
be32() { byte $(($1 >> 24 & 255)); byte $(($1 >> 16 & 255)); byte $(($1 >> 8 & 255)); byte $(($1 & 255)); }

{
    printf '\000\000\010\001'; be32 "$total"
    while read -r _ _ label; do byte "$label"; done < "$work/taken"
} | gzip -n -9 > "$work/labels.gz"
{
    printf '\000\000\010\003'; be32 "$total"; be32 28; be32 28
    while read -r _ place _; do
        dd if="$work/images" bs=784 skip="$place" count=1 2> /dev/null
    done < "$work/taken"
} | gzip -n -9 > "$work/images.gz"

cp "$work/images.gz" "$to/fashion-sample-images-idx3-ubyte.gz"
cp "$work/labels.gz" "$to/fashion-sample-labels-idx1-ubyte.gz"
