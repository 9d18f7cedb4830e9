"""A code system whose concepts are documents: one that was imported.

A document of `concept` has the set (`s`) that it is of, its place (`n`), code (`c`, folded `f`),
display (`d`) and element (`b`); the codes above it (`a` at any distance, `r` right above), its
properties (`p`, as `name` NUL `value`), the words of all its names (`w`) and how many words the
preferred one has (`z`). `concept_word` has each word of a set with its number of uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from pymongo.database import Database

from fhirserver.definitions.value_set import Filter
from fhirserver.store.concept_start import LONGEST_VALUE, start_of, stored_concept
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import CONCEPT, CONCEPT_WORD
from fhirserver.terminology.concept import Concept, SystemInfo
from fhirserver.terminology.condition import meets
from fhirserver.terminology.spelling import nearest
from fhirserver.terminology.words import CANDIDATES, Query, has_words

NUL: Final = "\x00"

_LAST: Final = "\U0010ffff"
_FEW: Final = 64
_LOOKED_AT: Final = 4 * CANDIDATES
_SHOWN: Final = {"_id": 0, "c": 1, "d": 1, "b": 1}


class StoredSystem:
    """A `fhirserver.terminology.source.System` of the set `token`."""

    def __init__(
        self, database: Database[Json], token: str, info: SystemInfo, concepts: int
    ) -> None:
        self._concepts = database[CONCEPT]
        self._words = database[CONCEPT_WORD]
        self._token = token
        self._info = info
        self._size = concepts

    @property
    def info(self) -> SystemInfo:
        return self._info

    @property
    def is_complete(self) -> bool:
        return True

    def find(self, code: str) -> Concept | None:
        found = self._concepts.find_one({"s": self._token, "c": code}, _SHOWN)
        if found is None and not self._info.case_sensitive:
            folded = {"s": self._token, "f": code.casefold()}
            found = self._concepts.find_one(folded, _SHOWN, sort=[("n", 1)])
        return None if found is None else _concept(found)

    def is_below(self, code: str, ancestor: str) -> bool:
        wanted = {"s": self._token, "c": code, "a": ancestor}
        return self._concepts.find_one(wanted, {"_id": 1}) is not None

    def children(self, code: str) -> Sequence[str]:
        return [item.code for item in self._in_order({"r": code})]

    def above(self, code: str) -> Sequence[str]:
        found: dict[str, None] = {}
        level = [code]
        while level:
            rows = self._concepts.find({"s": self._token, "c": {"$in": level}}, {"c": 1, "r": 1})
            parents = {row["c"]: row.get("r", ()) for row in rows}
            following = dict.fromkeys(
                parent
                for child in level
                for parent in parents.get(child, ())
                if parent not in found and parent != code
            )
            found |= following
            level = list(following)
        return tuple(found)

    def select(self, filters: Sequence[Filter]) -> Iterator[Concept]:
        start, rest = self._start(filters)
        for concept in start:
            if all(meets(item, concept, self) for item in rest):
                yield concept

    def corrected(self, query: Query) -> Query:
        return query.corrected(tuple(map(self._known, query.words)))

    def search(self, query: Query, filters: Sequence[Filter]) -> Iterator[Concept]:
        seen: set[str] = set()
        for concept in self._having(query):
            if concept.code in seen or not has_words(query, concept):
                continue
            seen.add(concept.code)
            if all(meets(item, concept, self) for item in filters):
                yield concept
            if len(seen) == CANDIDATES:
                return

    def size(self) -> int | None:
        return self._size

    # --- what to begin with -----------------------------------------------------------------

    def _start(self, filters: Sequence[Filter]) -> tuple[Iterator[Concept], Sequence[Filter]]:
        """The concepts to begin with, and the filters left to try."""
        way, item, rest = start_of(self._info, filters)
        if way == "below":
            return self._hierarchy(item), rest
        if way == "value":
            value = f"{item.property}{NUL}{item.value[:LONGEST_VALUE]}"
            return self._in_order({"p": value}), rest
        return self._in_order({}), rest

    def _hierarchy(self, item: Filter) -> Iterator[Concept]:
        if item.op == "is-a":
            yield from self._in_order({"c": item.value})
        yield from self._in_order({"a": item.value})

    def _in_order(self, wanted: Json) -> Iterator[Concept]:
        rows = self._concepts.find({"s": self._token, **wanted}, _SHOWN, sort=[("n", 1)])
        return map(_concept, rows)

    # --- words ------------------------------------------------------------------------------

    def _having(self, query: Query) -> Iterator[Concept]:
        """Those whose code begins as was typed, that have the words whole, that have them begun."""
        begins = {"s": self._token, "f": {"$gte": query.text, "$lt": query.text + _LAST}}
        yield from map(_concept, self._concepts.find(begins, _SHOWN).limit(CANDIDATES))
        for wanted in ({"w": {"$all": list(query.words)}}, {"$and": self._begun(query)}):
            rows = self._concepts.find({"s": self._token, **wanted}, _SHOWN)
            yield from map(_concept, rows.sort([("z", 1), ("n", 1)]).limit(_LOOKED_AT))

    def _begun(self, query: Query) -> list[Json]:
        out: list[Json] = []
        for word in query.words:
            rows = self._words.find(self._beginning(word), {"w": 1}).limit(_FEW + 1)
            words = [row["w"] for row in rows]
            few: Any = {"$in": words} if len(words) <= _FEW else {"$regex": f"^{re.escape(word)}"}
            out.append({"w": few})
        return out

    def _known(self, word: str) -> str:
        return known_word(word, self._uses)

    def _uses(self, text: str) -> Iterator[tuple[str, int]]:
        for row in self._words.find(self._beginning(text), {"w": 1, "u": 1}):
            yield row["w"], int(row["u"])

    def _beginning(self, text: str) -> Json:
        return {"s": self._token, "w": {"$gte": text, "$lt": text + _LAST}}


_ALIKE: Final = 2


def known_word(word: str, uses: Callable[[str], Iterable[tuple[str, int]]]) -> str:
    """The word, if a name has one that begins so; else the one nearest to it, if there is.

    `uses` gives the words that begin so, with their number of uses.
    """
    if next(iter(uses(word)), None) is not None:
        return word
    candidates: dict[str, int] = {}
    for start in dict.fromkeys((word[:2], word[:1], word[1:2])):
        candidates |= {
            text: count for text, count in uses(start) if abs(len(text) - len(word)) <= _ALIKE
        }
        found = nearest(word, candidates)
        if found:
            return found[0]
    return word


def _concept(row: Json) -> Concept:
    return stored_concept(row["c"], row.get("d"), row["b"])
