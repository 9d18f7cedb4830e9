"""The words of a resource, for `_text` and `_content`.

https://hl7.org/fhir/R4/search.html#text. A word is what stands between white space and
punctuation, compared without case and accents, whole and not by its stem. A search finds what
has all its words, in any order; commas separate alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape as unescape_markup
from typing import Any

from fhirserver.errors import Invalid
from fhirserver.model.json import Resource
from fhirserver.search.entry import Words
from fhirserver.search.escape import unescape
from fhirserver.search.expression import TextIs
from fhirserver.search.params.string import fold

NARRATIVE = "_text"
CONTENT = "_content"

MAX_WORDS = 32
"""How many words one alternative of a search may have."""

_MARKUP = re.compile(r"<[^>]*>")
_TIME = re.compile(r"\d{4}-\d\d(?:-\d\d(?:T.*)?)?", re.ASCII | re.DOTALL)
_LONGEST_WORD = 200  # beyond that, what has no space is data and not language
_NO_TEXT = frozenset(
    {"resourceType", "id", "meta", "system", "reference", "url", "fullUrl", "profile", "data"}
    | {"contentType", "hash", "language", "implicitRules", "versionId", "lastUpdated"}
)
"""Properties that hold no language: addresses, codes of technique, binary data."""


def words_of(resource: Resource) -> dict[str, tuple[Words, ...]]:
    """The words of the narrative, and those of all texts of a resource, narrative included."""
    found: dict[str, tuple[Words, ...]] = {}
    narrative = _narrative(resource)
    if narrative:
        found[NARRATIVE] = (Words(narrative),)
    content = _distinct(" ".join(_texts(resource)))
    both = f"{narrative} {content}" if narrative and content else narrative or content
    if both:
        found[CONTENT] = (Words(" ".join(dict.fromkeys(both.split()))),)
    return found


def text_is(param: str, values: tuple[str, ...]) -> TextIs:
    """What has all words of one of the values. Raises `Invalid` for a value without words."""
    alternatives = []
    for value in values:
        words = tuple(dict.fromkeys(fold(unescape(value)).split()))
        if not words:
            raise Invalid("Search a text by at least one word.")
        if len(words) > MAX_WORDS:
            raise Invalid(f"Search a text by at most {MAX_WORDS} words.")
        alternatives.append(words)
    return TextIs(param, tuple(alternatives))


def _narrative(resource: Resource) -> str:
    text = resource.get("text")
    markup = text.get("div") if isinstance(text, dict) else None
    if not isinstance(markup, str):
        return ""
    return _distinct(unescape_markup(_MARKUP.sub(" ", markup)))


def _distinct(text: str) -> str:
    return " ".join(dict.fromkeys(fold(text).split()))


def _texts(resource: Resource) -> Iterator[str]:
    """The texts of a resource and of what it contains, but for its own narrative."""
    stack: list[Any] = [
        value for name, value in resource.items() if name not in _NO_TEXT and name != "text"
    ]
    while stack:
        value = stack.pop()
        kind = value.__class__
        if kind is str:
            if _is_language(value):
                yield value
        elif kind is list:
            stack += value
        elif kind is dict:
            markup = value.get("div")
            if markup.__class__ is str:
                yield unescape_markup(_MARKUP.sub(" ", markup))
            stack += [
                item for name, item in value.items() if name not in _NO_TEXT and name != "div"
            ]


def _is_language(text: str) -> bool:
    if len(text) > _LONGEST_WORD and " " not in text:
        return False
    return not (text[:4].isdigit() and _TIME.fullmatch(text))
