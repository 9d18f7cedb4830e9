"""What a transaction makes, as search will see it: for conditions that may mean it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fhirserver.errors import TooCostly
from fhirserver.search.entry import Token
from fhirserver.search.expression import And, Expression, IdIs, TokenIs
from fhirserver.search.match import Document, match, world_of
from fhirserver.store.port import Key

_MAX_MATCHES = 100_000


class Made:
    """The resources that a transaction writes."""

    def __init__(self, documents: Iterable[Document]) -> None:
        made = {(item.type, item.id): item for item in documents}
        self._by_type: dict[str, list[Document]] = defaultdict(list)
        self._by_token: dict[tuple[str, str, str], list[Document]] = defaultdict(list)
        self._budget = _MAX_MATCHES
        self._world = world_of(made.values())
        for item in made.values():
            self._by_type[item.type].append(item)
            for param, entries in item.entries.items():
                for code in {entry.code for entry in entries if isinstance(entry, Token)}:
                    self._by_token[item.type, param, code].append(item)

    def matching(self, type: str, where: Expression) -> list[Key]:
        """Those of a type that match. Raises `TooCostly` when far too many are looked at."""
        candidates = self._candidates(type, where)
        self._budget -= len(candidates)
        if self._budget < 0:
            raise TooCostly("The transaction has too many conditions: send smaller ones.")
        found = [item for item in candidates if match(where, item, self._world)]
        return [Key(item.type, item.id) for item in found]

    def _candidates(self, type: str, where: Expression) -> list[Document]:
        parts = where.parts if isinstance(where, And) else (where,)
        for part in parts:
            if isinstance(part, IdIs):
                keys = ((type, id) for id in dict.fromkeys(part.ids))
                return [self._world[key] for key in keys if key in self._world]
            if isinstance(part, TokenIs):
                codes = {value.code for value in part.values}
                if None not in codes:
                    found = [
                        item
                        for code in codes
                        for item in self._by_token[type, part.param, code or ""]
                    ]
                    return list({item.id: item for item in found}.values())
        return self._by_type.get(type, [])
