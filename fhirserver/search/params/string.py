"""String parameters: names, addresses, titles.

https://hl7.org/fhir/R4/search.html#string. A value is found from the start of the text or
of any later word in it, whatever the case, accents, punctuation and white space.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from fhirserver.errors import Invalid
from fhirserver.search.entry import Simple, String
from fhirserver.search.escape import unescape
from fhirserver.search.expression import StringIs, StringMode
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values

MAX_WORDS = 24
"""How many later words of a long text can be found from their start."""

MAX_LATER = 80
"""How many characters are kept from the start of a later word."""

_WITHIN_WORDS = "'’ʼ`´."  # O'Brien is obrien, J.R. is jr
_LETTERS = {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "þ": "th"} | {
    "æ": "ae",
    "œ": "oe",
}


def _plain(code: int) -> str | None:
    """What a character is read as: itself, a space, or nothing (None)."""
    character = chr(code)
    if character in _WITHIN_WORDS:
        return None
    category = unicodedata.category(character)
    if category[0] in "PZC":
        return " "
    return None if category == "Mn" else _LETTERS.get(character, character)


class _Plain(dict[int, str | None]):
    """The table of `_plain`, filled as characters are met."""

    def __missing__(self, code: int) -> str | None:
        found = self[code] = _plain(code)
        return found


_PLAIN = _Plain()
_ASCII = {code: _plain(code) for code in range(128)}
_is_folded = re.compile(r"[a-z0-9]+(?: [a-z0-9]+)*").fullmatch


def fold(text: str) -> str:
    """The text without case, accents, punctuation and superfluous white space.

    Folding what is folded changes nothing.
    """
    if text.isascii():
        text = text.lower()
        return text if _is_folded(text) else " ".join(text.translate(_ASCII).split())
    text = unicodedata.normalize("NFKD", text)
    text = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(text.lower().translate(_PLAIN).split())


def strings(text: str) -> Sequence[String]:
    """The entries of one text: the whole, and what begins at each later word."""
    return _kept_strings(text) if len(text) <= MAX_LATER else _strings(text)


def _strings(text: str) -> tuple[String, ...]:
    folded = fold(text)
    found = [String(folded, text)]
    at = folded.find(" ")
    while at >= 0 and len(found) <= MAX_WORDS:
        found.append(String(folded[at + 1 : at + 1 + MAX_LATER], ""))
        at = folded.find(" ", at + 1)
    return tuple(found)


# Displays, cities and names come again and again.
_kept_strings = lru_cache(maxsize=16_384)(_strings)


def _of(*names: str) -> Convert:
    """The entries of the named members, which may be texts or lists of texts."""

    def convert(value: Any) -> Iterable[String]:
        found: list[String] = []
        for name in names:
            part = value.get(name)
            if part.__class__ is str:
                found += strings(part)
            elif part.__class__ is list:
                for item in part:
                    if item.__class__ is str:
                        found += strings(item)
        return found

    return convert


def _text(value: Any) -> Iterable[String]:
    return strings(value) if isinstance(value, str) and value else ()


def concept_texts(value: Any) -> Iterable[Simple]:
    """The text and displays of a CodeableConcept."""
    found: list[Simple] = []
    for coding in value.get("coding") or ():
        found += display(coding)
    text = value.get("text")
    if text.__class__ is str:
        found += strings(text)
    return found


def display(value: Any) -> Iterable[Simple]:
    """The display of a Coding or Reference."""
    found = value.get("display")
    return strings(found) if found.__class__ is str else ()


_CONVERT: dict[str, Convert] = {
    "string": _text,
    "markdown": _text,
    "code": _text,
    "id": _text,
    "uri": _text,
    "url": _text,
    "canonical": _text,
    "HumanName": _of("text", "family", "given", "prefix", "suffix"),
    "Address": _of("text", "line", "city", "district", "state", "postalCode", "country"),
    "CodeableConcept": concept_texts,
    "Coding": display,
    "Annotation": _of("text"),
    "ContactPoint": _of("value"),
    "Identifier": _of("value"),
}


def text_search(code: str, values: Values, mode: StringMode) -> StringIs:
    """What finds the values in the texts of the entries under `code`.

    Raises `Invalid` for a value that has nothing left to search for.
    """
    if mode is StringMode.EXACT:
        return StringIs(code, mode, tuple(map(unescape, values)))
    folded = tuple(fold(unescape(value)) for value in values)
    if not all(folded):
        raise Invalid("Search a text by at least one letter or digit.")
    return StringIs(code, mode, folded)


def _starts(parameter: Parameter, _: str, values: Values, __: Knowledge) -> StringIs:
    return text_search(parameter.code, values, StringMode.STARTS)


def _contains(parameter: Parameter, _: str, values: Values, __: Knowledge) -> StringIs:
    return text_search(parameter.code, values, StringMode.CONTAINS)


def _exact(parameter: Parameter, _: str, values: Values, __: Knowledge) -> StringIs:
    return text_search(parameter.code, values, StringMode.EXACT)


STRING = ParameterType(
    convert=_CONVERT, modifiers={"": _starts, "contains": _contains, "exact": _exact}
)
