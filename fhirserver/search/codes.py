"""Codes that a search stands for and that only a store knows: asked for, then compiled with.

`code:in=[value set]` is compiled to the codes of the value set. Compiling is pure, so it cannot
read them: it raises `Unanswered`, its caller asks the store and compiles again with the answer
(`fhirserver.interactions.codes`). Without answers only what is packaged is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from fhirserver.search.expression import TokenValue
from fhirserver.terminology import Terminology

MAX_CODES = 10_000
"""How many codes a value set or hierarchy may have, to be searched for."""

Relation: TypeAlias = Literal["in", "below", "above"]


class CodesAsked(NamedTuple):
    """The codes of the value set `url`, or those below or above `code` in the system `url`."""

    relation: Relation
    url: str
    code: str = ""


Codes: TypeAlias = Mapping[CodesAsked, tuple[TokenValue, ...] | None]
"""What was answered; None where the store cannot tell, so that what is packaged counts."""


class Unanswered(Exception):
    """The search rests on codes that were not asked for yet. No refusal: nobody sees it."""

    def __init__(self, asked: CodesAsked) -> None:
        super().__init__(asked)
        self.asked = asked


def codes_of(
    asked: CodesAsked, codes: Codes | None, terminology: Terminology
) -> tuple[TokenValue, ...] | None:
    """The codes, if they are known. Raises `Unanswered`."""
    if codes is not None:
        if asked not in codes:
            raise Unanswered(asked)
        found = codes[asked]
        if found is not None:
            return found
    if asked.relation == "in":
        expansion = terminology.expand(asked.url)
        if expansion is None:
            return None
        return tuple(TokenValue(coding.system, coding.code) for coding in expansion)
    relation = terminology.subsumed if asked.relation == "below" else terminology.ancestors
    related = relation(asked.url, asked.code)
    return (
        None if related is None else tuple(TokenValue(asked.url, item) for item in sorted(related))
    )
