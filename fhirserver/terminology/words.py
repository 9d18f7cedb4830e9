"""The words of names, as people type them, and how well a concept answers them.

`hypert`, `chest pain`, `I20.9`: every word that is typed must begin a word of one name of the
concept, or the whole be the beginning of its code. Case and accents make no difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from fhirserver.terminology.concept import Concept

CANDIDATES = 250
"""How many concepts that have the words are compared with each other, at most."""

_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*")
_ASIDE = re.compile(r"\s*[(\[][^)\]]*[)\]]")
_MANY = 16  # words of a query that count


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed: folded as a whole, and its words."""

    text: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Query | None:
        """The query of a text; None where it has no words."""
        words = words_of(text)[:_MANY]
        return cls(fold(text), words) if words else None

    def corrected(self, words: tuple[str, ...]) -> Query:
        """The query with these words instead of its own."""
        text = self.text
        for typed, meant in zip(self.words, words, strict=True):
            if typed != meant:
                text = text.replace(typed, meant, 1)
        return Query(text, words)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """The text without case, accents and superfluous space."""
    # Taken apart first: a mathematical letter has no case of its own, its plain letter has.
    folded = unicodedata.normalize("NFKD", text).casefold()
    flat = unicodedata.normalize("NFKD", folded)
    return " ".join("".join(c for c in flat if not unicodedata.combining(c)).split())


def words_of(text: str) -> tuple[str, ...]:
    """The folded words of a text."""
    return tuple(_WORD.findall(fold(text)))


def has_words(query: Query, concept: Concept) -> bool:
    """Whether one name of the concept has all the words, or its code begins as was typed."""
    return names_have(query, concept.code, concept.terms())


def names_have(query: Query, code: str, names: Iterable[str]) -> bool:
    """As `has_words`, of a code and the names that a value set gives it."""
    if fold(code).startswith(query.text):
        return True
    return any(_has_all(query.words, words_of(name)) for name in names)


def rank(query: Query, concept: Concept) -> tuple[int, int, int, str]:
    """How far a concept is from what was typed: the smaller, the better.

    The code itself comes first, then a name that is what was typed (asides in brackets left
    out), one that begins with it, one that has its words whole, and then the others; among
    equals preferred names before synonyms, short ones before long ones.
    """
    code = fold(concept.code)
    if code == query.text:
        return 0, 0, 0, code
    length = len(concept.display or code)
    best = (1, 0) if code.startswith(query.text) else (12, 0)
    for place, term in enumerate(concept.terms()):
        distance = _distance(query, term)
        if place and distance > _EXACT:
            distance += 2  # a synonym that only begins so says less than a name with the word
        best = min(best, (distance, min(place, 1)))
    return (*best, length, code)


_EXACT = 2


def _distance(query: Query, term: str) -> int:
    whole = fold(term)
    plain = fold(_ASIDE.sub("", term)) if "(" in whole or "[" in whole else whole
    if query.text in (whole, plain):
        return _EXACT
    if plain.startswith(query.text) and not plain[len(query.text) :][:1].isalnum():
        return 3 if plain[len(query.text)] == "," else 4  # `pain, unspecified` before `pain in ..`
    words = words_of(whole)
    if set(query.words) <= set(words):
        return 5
    if plain.startswith(query.text):
        return 6
    return 7 if _has_all(query.words, words) else 10


def _has_all(wanted: Iterable[str], words: Iterable[str]) -> bool:
    found = tuple(words)
    return all(any(word.startswith(part) for word in found) for part in wanted)
