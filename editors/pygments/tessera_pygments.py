# SPDX-License-Identifier: GPL-3.0-or-later
"""Tessera's colours for Pygments. A string never goes over the end of its line, nor do the braces in it; inside those the
rules of code hold again, but that : begins a format where no other bracket is open."""
from pygments.lexer import RegexLexer, bygroups, default, include, words
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Text, Whitespace

LETTER = r"@{letters:python}"
NAME = rf"[{LETTER}][{LETTER}0-9]*"
END = rf"(?![{LETTER}0-9])"
KEYWORDS = "@{keywords: }".split()
CONSTANTS = "@{constants: }".split()
HEADERS = "@{headers: }".split()
BUILTINS = "@{builtins: }".split()
RESERVED = f"(?:{'|'.join(KEYWORDS + CONSTANTS)}){END}"
NUMBER = r"@{number:python}"
POINTED = r"@{pointed:python}"
ESCAPE = r"@{escape:python}"
PLAIN = r"""@{plain:python}"""


def brackets(line_ends, closer):
    """What stands behind an open bracket. Where line_ends, a string is around it, which ends with the line."""
    kind = "format-" if line_ends else ""
    rules = [(closer, Punctuation, "#pop")]
    if closer != r"\}":
        rules.append((r"(?=\})", Text, "#pop"))
    if line_ends:
        rules.append((r"(?=\n)", Text, "#pop"))
    return rules + [include(f"{kind}open"), include("code")]


class TesseraLexer(RegexLexer):
    name = "Tessera"
    aliases = ["tessera"]
    filenames = ["*.tsr"]
    mimetypes = ["text/x-tessera"]

    tokens = {
        "root": [
            (r"^([ \t\r]*)(:[a-z?]+|\?+)", bygroups(Whitespace, Name.Function.Magic)),
            include("open"),
            include("code"),
        ],
        "open": [
            (r"\(", Punctuation, "round"),
            (r"\[", Punctuation, "square"),
            (r"\{", Punctuation, "curly"),
        ],
        "round": brackets(False, r"\)"),
        "square": brackets(False, r"\]"),
        "curly": brackets(False, r"\}"),
        "format-open": [
            (r"\(", Punctuation, "format-round"),
            (r"\[", Punctuation, "format-square"),
            (r"\{", Punctuation, "format-curly"),
        ],
        "format-round": brackets(True, r"\)"),
        "format-square": brackets(True, r"\]"),
        "format-curly": brackets(True, r"\}"),
        "format": [
            (r"\}", String.Interpol, "#pop"),
            (r':[^}"\n]*', String.Double),
            (r"(?=\n)", Text, "#pop"),
            include("format-open"),
            include("code"),
        ],
        "string": [
            (r'"', String.Double, "#pop"),
            (ESCAPE, String.Escape),
            (r"\{", String.Interpol, "format"),
            (r"(?=\n)", Text, "#pop"),
            (r'[^"{}\\\n]+|[}\\]', String.Double),
        ],
        "code": [
            (r"\n|[ \t\r]+", Whitespace),
            (r"##.*", Comment.Special),
            (r"#.*", Comment.Single),
            (rf"(?:{POINTED})(?![.{LETTER}0-9])", Number.Float),
            (rf"({NUMBER})([{LETTER}0-9]*)", bygroups(Number, Text)),
            (r'"', String.Double, "string"),
            (r"'[^'\n]*'?", String.Single),
            (r"\.\.\.?", Operator),
            (r"\.", Punctuation, "member"),
            (rf"(?:fn){END}", Keyword.Declaration, "declared"),
            (words(CONSTANTS, suffix=END), Keyword.Constant),
            (words(KEYWORDS, suffix=END), Keyword),
            (rf"(?:{'|'.join(HEADERS)}){END}(?=[ \t\r]*(?:(?!{RESERVED})[{LETTER}]|'|{PLAIN}))", Keyword.Declaration, "declared"),
            (words(BUILTINS, suffix=END + r"(?=\()"), Name.Builtin),
            (NAME, Name),
            (r"[,:;]", Punctuation),
            (r"[)\]}]", Error),
            (r"[@{operators}]", Operator),
        ],
        "member": [
            (r"[ \t\r\n]+", Whitespace),
            (r"#.*", Comment.Single),
            (NAME, Name.Attribute, "#pop"),
            default("#pop"),
        ],
        "declared": [
            (r"[ \t\r]+", Whitespace),
            (rf"(?!{RESERVED}){NAME}", Name.Function, "#pop"),
            default("#pop"),
        ],
    }
