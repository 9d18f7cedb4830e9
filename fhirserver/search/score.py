"""How relevant a resource is to the words that it was searched by.

https://hl7.org/fhir/R4/search.html#score, docs/adr/0025-relevance-and-totals.md. The score is the
cosine of the angle between the words asked for and those of the text, each counted once: found /
sqrt(asked * size). It is 1 for a text of nothing but these words, and less the more else the
text has. It looks at this resource only, so it is the same in every store, and no other
resource shows in it.
"""

from __future__ import annotations

from math import sqrt

from fhirserver.search.entry import Entries, Words
from fhirserver.search.expression import And, Expression, TextIs

SCORE = "_score"
"""The name of the score, as a key to sort by."""

_DIGITS = 4


def texts_of(where: Expression) -> tuple[TextIs, ...]:
    """The texts that whatever matches must have."""
    parts = where.parts if isinstance(where, And) else (where,)
    return tuple(part for part in parts if isinstance(part, TextIs))


def asked_words(text: TextIs) -> tuple[str, ...]:
    """The words of all alternatives, each once."""
    return tuple(dict.fromkeys(word for words in text.values for word in words))


def score(texts: tuple[TextIs, ...], entries: Entries) -> float:
    """The mean of what each text has of the words that were asked for, in [0, 1]."""
    counts: list[int] = []
    for text in texts:
        asked = asked_words(text)
        words = {
            word
            for entry in entries.get(text.param, ())
            if isinstance(entry, Words)
            for word in entry.text.split()
        }
        counts += (len(asked), len(words.intersection(asked)), len(words))
    return score_of(*counts)


def score_of(*counts: int) -> float:
    """The same from the numbers of words asked for, found and there, text by text."""
    total = 0.0
    for n in range(0, len(counts), 3):
        asked, found, size = counts[n : n + 3]
        if found:
            total += found / sqrt(asked * size)
    return total / (len(counts) // 3)


def shown(value: float) -> float:
    """The score of a match as an answer tells it: never 0, which would be no match."""
    return max(round(value, _DIGITS), 10.0**-_DIGITS)
