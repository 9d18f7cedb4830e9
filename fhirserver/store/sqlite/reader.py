"""Reading on one connection: single versions, and the searches and histories of a thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fhirserver.store.port import Key, Noted, Version
from fhirserver.store.sqlite.changes import LATEST, METHODS
from fhirserver.store.sqlite.concepts import StoredSource
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import Dictionary
from fhirserver.store.sqlite.explain import Explainer
from fhirserver.store.sqlite.history import Historian
from fhirserver.store.sqlite.search import Searcher

_CURRENT = """SELECT v.version, v.instant, v.method, v.body
    FROM resource r CROSS JOIN version v ON v.vid=r.vid WHERE r.tid=? AND r.id=?"""
_HEADS = """SELECT r.id, v.version, v.instant, v.method, v.body
    FROM json_each(?) k CROSS JOIN resource r INDEXED BY resource_id ON r.tid=? AND r.id=k.value
    CROSS JOIN version v ON v.vid=r.vid"""
_NUMBERED = """SELECT v.version, v.instant, v.method, v.body
    FROM resource r CROSS JOIN version v ON v.rid=r.rid
    WHERE r.tid=? AND r.id=? AND v.version=?"""
_NOTED = "SELECT vid, body FROM note ORDER BY vid"
_GREATEST = (1 << 63) - 1
_COUNTS = """SELECT t.name, count(*) FROM resource r INDEXED BY resource_live
    JOIN type t ON t.tid=r.tid WHERE r.live AND substr(t.name, 1, 1)<>'#' GROUP BY r.tid"""


class Reader:
    """A connection for reading, of one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.connection = Connection(path)
        self.names = names = Dictionary(self.connection)
        self._type_number = names.type
        self.search = Searcher(self.connection, names)
        self.explain = Explainer(self.connection, names, self.search)
        self.history = Historian(self.connection, names)
        self.terminology = StoredSource(self.connection, names)

    def read(self, type: str, id: str, version: int | None) -> Version | None:
        """As `Store.read`."""
        tid = self._type_number(type)
        if version is None:
            row = self.connection.execute(_CURRENT, (tid, id)).fetchone()
        elif version > _GREATEST:
            return None
        else:
            row = self.connection.execute(_NUMBERED, (tid, id, version)).fetchone()
        if row is None:
            return None
        number, instant, method, body = row
        return Version(type, id, number, instant * 1000, METHODS[method], body)

    def heads(self, keys: Sequence[Key]) -> dict[Key, Version]:
        """As `Store.heads`: one statement for each type."""
        by_type: dict[str, list[str]] = {}
        for type, id in keys:
            by_type.setdefault(type, []).append(id)
        return {
            Key(type, id): Version(type, id, number, instant * 1000, METHODS[method], body)
            for type, ids in by_type.items()
            for id, number, instant, method, body in self.connection.execute(
                _HEADS, (json.dumps(ids, ensure_ascii=False), self._type_number(type))
            )
        }

    def counts(self) -> dict[str, int]:
        """As `Store.counts`."""
        return dict(self.connection.execute(_COUNTS))

    def latest(self, type: str) -> int:
        """As `Store.latest`."""
        return self.connection.execute(LATEST, (self._type_number(type),)).get or 0

    def noted(self) -> list[Noted]:
        """As `ServerStore.noted`."""
        return [Noted(vid, body) for vid, body in self.connection.execute(_NOTED)]

    def close(self) -> None:
        self.connection.close()
