"""The tokens of an expression.

https://hl7.org/fhirpath/N1/grammar.html, lexical rules. Keywords are words: the parser tells
them from names by where they stand.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from fhirserver.fhirpath.errors import FhirPathSyntaxError, position

MAX_LENGTH: Final = 32_768
"""How long an expression may be, in characters."""


class Kind(Enum):
    WORD = "name"
    DELIMITED = "delimited name"
    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "date and time"
    TIME = "time"
    SPECIAL = "special variable"
    SYMBOL = "symbol"
    END = "end of the expression"


class Token(NamedTuple):
    """A token; `text` has its quotes and escapes removed, `at` is its offset."""

    kind: Kind
    text: str
    at: int


_TOKEN = re.compile(
    r"""
      (?P<SKIP>      [ \r\n\t]+ | //[^\r\n]* | /\*.*?\*/ )
    | (?P<WORD>      [A-Za-z_][A-Za-z0-9_]* )
    | (?P<DATETIME>  @\d{4}(?:-\d\d(?:-\d\d)?)?T
                     (?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)? )
    | (?P<DATE>      @\d{4}(?:-\d\d(?:-\d\d)?)? )
    | (?P<TIME>      @T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)? )
    | (?P<NUMBER>    \d+(?:\.\d+)? )
    | (?P<STRING>    '(?:\\.|[^\\'])*' )
    | (?P<DELIMITED> `(?:\\.|[^\\`])*` )
    | (?P<SPECIAL>   \$(?:this|index|total)\b )
    | (?P<SYMBOL>    <= | >= | != | !~ | [()\[\]{},.+\-*/&|<>=~%] )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")

_UNFINISHED = {
    "'": "The string has no end: close it with a quote.",
    "`": "The name has no end: close it with a backtick.",
    "/": "The comment has no end: close it with */.",
    "@": "This is not a date, a date and time, or a time.",
    "$": "Only $this, $index and $total are special variables.",
}


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, the last one of kind END.

    Raises `FhirPathSyntaxError` for what is no token and for an expression that is too long.
    """
    if len(text) > MAX_LENGTH:
        raise FhirPathSyntaxError(f"Write the expression in at most {MAX_LENGTH} characters.")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (text.startswith("/*", at) and match.lastgroup == "SYMBOL"):
            reason = _UNFINISHED.get(text[at], f"'{text[at]}' means nothing here.")
            raise FhirPathSyntaxError(reason, position(text, at))
        name = match.lastgroup or ""
        if name != "SKIP":
            kind = Kind[name]
            found.append(Token(kind, _content(kind, match.group()), at))
        at = match.end()
    found.append(Token(Kind.END, "", len(text)))
    return found


def _content(kind: Kind, text: str) -> str:
    match kind:
        case Kind.STRING | Kind.DELIMITED:
            return unescape(text[1:-1])
        case Kind.DATE | Kind.DATETIME:
            return text[1:]
        case Kind.TIME:
            return text[2:]
        case _:
            return text


def unescape(text: str) -> str:
    r"""The text that an escaped one stands for; `\p` is `p` where `p` needs no escape."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_unescaped, text)
    return _SURROGATES.sub(lambda pair: _joined(pair.group()), plain)


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return chr(int(code, 16)) if code else _ESCAPED.get(letter, letter)


def _joined(pair: str) -> str:
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
