"""The words of a resource, for `_text` and `_content`.

https://hl7.org/fhir/R4/search.html#text. A word is what stands between white space and
punctuation, compared without case and accents, whole and not by its stem. A search finds what
has all its words, in any order; commas separate alternatives.
"""

from __future__ import annotations

import re
from functools import lru_cache
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
_KEPT = 80  # up to that length, the words of a text are kept
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
        words: dict[str, None] = {}
        for text in _texts(resource):
            words.update(_kept_words(text) if len(text) <= _KEPT else _all_words(text))
        words.update(dict.fromkeys(narrative.split()))
        content = " ".join(words)
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
    return _distinct(_without_markup(markup))


def _without_markup(text: str) -> str:
    return unescape_markup(_MARKUP.sub(" ", text))


def _distinct(text: str) -> str:
    return " ".join(dict.fromkeys(_words(text)))


def _words(text: str) -> list[str]:
    return fold(text.translate(_SYMBOLS)).split()


def _all_words(text: str) -> dict[str, None]:
    return dict.fromkeys(_words(text) if _is_language(text) else ())


# Displays, units and names come again and again.
_kept_words = lru_cache(maxsize=16_384)(_all_words)


def _texts(resource: Resource) -> dict[str, None]:
    """The texts of a resource and of what it contains, but for its own narrative, each once."""
    texts: dict[str, None] = {}
    stack: list[Any] = [
        {name: value for name, value in resource.items() if name != "text"},
    ]
    while stack:
        value = stack.pop()
        if value.__class__ is dict:
            for name, item in value.items():
                if name in _NO_TEXT:
                    continue
                kind = item.__class__
                if kind is dict or kind is list:
                    stack.append(item)
                elif kind is str:
                    text = " " + _without_markup(item) if name == "div" else item
                    texts[text] = None
        else:
            for item in value:
                kind = item.__class__
                if kind is dict or kind is list:
                    stack.append(item)
                elif kind is str:
                    texts[item] = None
    return texts


def _is_language(text: str) -> bool:
    if len(text) > _LONGEST_WORD and " " not in text:
        return False
    return not (text[:2].isdigit() and _TIME.fullmatch(text))
