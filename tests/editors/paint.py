# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: paint.py FOLDER FILE ...
As test_colours.c, with the lexer for Pygments that `tessera editors` wrote to $EDITORS/pygments."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.environ["EDITORS"] + "/pygments")
from pygments.token import Comment, Keyword, Name, Number, String
from tessera_pygments import TesseraLexer

letters = [(String.Interpol, "-"), (String, "s"), (Comment, "#"), (Keyword.Constant, "c"), (Keyword, "k"), (Number, "n"),
           (Name.Function.Magic, ":")]
lexer = TesseraLexer()
for number, path in enumerate(sys.argv[2:], 1):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    painted = []
    for _, kind, piece in lexer.get_tokens_unprocessed(text):
        letter = next((letter for token, letter in letters if kind in token), "-")
        painted.append("".join("\n" if c == "\n" else letter for c in piece))
    with open(f"{sys.argv[1]}/{number}", "w", newline="") as file:
        file.write("".join(painted))
