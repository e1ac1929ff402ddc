# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: paint_textmate.py FOLDER FILE ...
As test_colours.c, with the TextMate grammar that `tessera editors` wrote to $EDITORS/vscode, read as VS Code reads one: line
by line, the leftmost match wins, of equal ones the end of what is open, then the first in the list."""
import json
import os
import re
import sys

with open(os.environ["EDITORS"] + "/vscode/syntaxes/tessera.tmLanguage.json", encoding="utf-8") as grammar_file:
    grammar = json.load(grammar_file)
# The innermost scope that stands here decides.
letters = [("comment", "#"), ("string", "s"), ("constant.character.escape", "s"), ("constant.other.placeholder", "s"),
           ("constant.numeric", "n"), ("constant.language", "c"), ("keyword.control", "k"), ("storage", "k"),
           ("keyword.other.command", ":"), ("", "-")]


def compiled(pattern):
    return re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda m: re.escape(chr(int(m[1], 16))), pattern))


def prepare(rule):
    """Compiles what is in a rule of the grammar."""
    for key in ("match", "begin", "end"):
        if key in rule:
            rule[key] = compiled(rule[key])
    for inner in rule.get("patterns", []):
        prepare(inner)


def flat(patterns):
    """The rules of a list, with what its includes name in their places."""
    for rule in patterns:
        part = grammar["repository"][rule["include"][1:]] if "include" in rule else None
        if part and "begin" not in part:
            yield from flat(part["patterns"])
        else:
            yield part or rule


def letter(scopes):
    return next(letter for start, letter in letters if scopes[-1].startswith(start)) if scopes else "-"


def captures(painted, found, rule, key, scopes):
    for number, capture in rule.get(key, {}).items():
        for at in range(*found.span(int(number))):
            painted[at] = letter(scopes + [capture["name"]])


def paint_line(line, stack):
    """The letters of a line that ends in a newline; changes the stack of open rules and their scopes."""
    painted, at = ["-"] * len(line), 0
    while at < len(line):
        open_rule, scopes = stack[-1]
        candidates = [(open_rule, open_rule["end"])] if "end" in open_rule else []
        candidates += [(rule, rule.get("match", rule.get("begin"))) for rule in flat(open_rule["patterns"])]
        best = None
        for number, (rule, pattern) in enumerate(candidates):
            found = pattern.search(line, at)
            if found and (best is None or found.start() < best[1].start()):
                best = rule, found, number == 0 and "end" in open_rule
        inside = scopes + [open_rule[key] for key in ("name", "contentName") if key in open_rule]
        for place in range(at, best[1].start() if best else len(line)):
            painted[place] = letter(inside)
        if not best:
            break
        rule, found, ends = best
        outer = (scopes if ends else inside) + ([rule["name"]] if "name" in rule else [])
        for place in range(*found.span()):
            painted[place] = letter(outer)
        captures(painted, found, rule, "endCaptures" if ends else "captures" if "match" in rule else "beginCaptures", outer)
        if ends:
            stack.pop()
        elif "begin" in rule:
            stack.append((rule, inside))
        elif found.start() == found.end():
            raise SystemExit(f"a rule matches nothing: {rule['match'].pattern} in {line!r} at {at}")
        at = found.end()
    return "".join(painted[:-1])


prepare(grammar)
for part in grammar["repository"].values():
    prepare(part)
for number, path in enumerate(sys.argv[2:], 1):
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    stack = [({"patterns": grammar["patterns"]}, [])]
    with open(f"{sys.argv[1]}/{number}", "w", newline="") as file:
        file.write("\n".join(paint_line(line + "\n", stack) for line in lines))
