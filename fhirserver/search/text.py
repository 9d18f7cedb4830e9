"""The words of a resource, for `_text` and `_content`.

https://hl7.org/fhir/R4/search.html#text. A word is what stands between white space and
punctuation, compared without case and accents, whole and not by its stem. A search finds what
has all its words, in any order; commas separate alternatives.
"""

from __future__ import annotations

import re
from html import unescape as unescape_markup
from typing import Any, Literal, TypeAlias

from fhirserver.errors import Invalid, TooCostly
from fhirserver.model.json import Resource
from fhirserver.search.entry import Words
from fhirserver.search.escape import unescape
from fhirserver.search.expression import TextIs
from fhirserver.search.params.string import fold

NARRATIVE = "_text"
CONTENT = "_content"

FullText: TypeAlias = Literal["all", "narrative", "none"]
TEXT_PARAMETERS: dict[FullText, tuple[str, ...]] = {
    "all": (NARRATIVE, CONTENT),
    "narrative": (NARRATIVE,),
    "none": (),
}
"""The parameters that can be searched by, as a server is set."""

MAX_WORDS = 32
"""How many words one alternative of a search may have."""

MAX_VALUES = 50
"""How many alternatives a search may have."""

_MARKUP = re.compile(r"<[^>]*>")
_TIME = re.compile(r"\d{4}-\d\d(?:-\d\d(?:T.*)?)?", re.ASCII | re.DOTALL)
_SYMBOLS = str.maketrans(dict.fromkeys("$+<=>^|~", " "))
_LONGEST_WORD = 200  # beyond that, what has no space is data and not language
_NO_TEXT = frozenset(
    {"resourceType", "id", "meta", "system", "reference", "url", "fullUrl", "profile", "data"}
    | {"contentType", "hash", "language", "implicitRules", "versionId", "lastUpdated"}
)
"""Properties that hold no language: addresses, codes of technique, binary data."""


def words_of(
    resource: Resource, params: tuple[str, ...] = (NARRATIVE, CONTENT)
) -> dict[str, tuple[Words, ...]]:
    """The words of the narrative, and those of all texts of a resource, narrative included."""
    found: dict[str, tuple[Words, ...]] = {}
    narrative = _narrative(resource)
    if narrative and NARRATIVE in params:
        found[NARRATIVE] = (Words(narrative),)
    if CONTENT in params:
        texts = _texts(resource)
        texts.append(narrative)
        content = _distinct(" ".join(texts))
        if content:
            found[CONTENT] = (Words(content),)
    return found


def text_is(param: str, values: tuple[str, ...]) -> TextIs:
    """What has all words of one of the values. Raises `Invalid` for a value without words.

    Raises `TooCostly` for too many values.
    """
    if len(values) > MAX_VALUES:
        raise TooCostly(f"Give at most {MAX_VALUES} texts.")
    alternatives = []
    for value in values:
        words = tuple(dict.fromkeys(_words(unescape(value))))
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
    return " ".join(dict.fromkeys(_words(text)))


def _words(text: str) -> list[str]:
    return fold(text.translate(_SYMBOLS)).split()


def _texts(resource: Resource) -> list[str]:
    """The texts of a resource and of what it contains, but for its own narrative."""
    texts: list[str] = []
    stack: list[Any] = [
        value for name, value in resource.items() if name not in _NO_TEXT and name != "text"
    ]
    while stack:
        value = stack.pop()
        kind = value.__class__
        if kind is dict:
            for name, item in value.items():
                if name in _NO_TEXT:
                    continue
                if item.__class__ is not str:
                    stack.append(item)
                elif name == "div":
                    texts.append(unescape_markup(_MARKUP.sub(" ", item)))
                elif _is_language(item):
                    texts.append(item)
        elif kind is list:
            stack += value
        elif kind is str and _is_language(value):
            texts.append(value)
    return texts


def _is_language(text: str) -> bool:
    if len(text) > _LONGEST_WORD and " " not in text:
        return False
    return not (text[:2].isdigit() and _TIME.fullmatch(text))
