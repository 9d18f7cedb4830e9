"""Terminology as one connection reads it: a source of code systems, value sets and maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import apsw

from fhirserver.definitions.value_set import Filter
from fhirserver.model.json import Resource, decode
from fhirserver.store.concept_start import LONGEST_VALUE, start_of, stored_concept
from fhirserver.store.concepts import SystemCount
from fhirserver.store.sqlite.concept_schema import SHIFT
from fhirserver.store.sqlite.concept_search import corrected, found_terms
from fhirserver.store.sqlite.decoded import Decoded
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.terminology.concept import Concept, SystemInfo
from fhirserver.terminology.condition import meets
from fhirserver.terminology.source import System
from fhirserver.terminology.words import Query

_SYSTEMS = "SELECT csid, state, concepts, info FROM code_system WHERE url=? AND rid IS NOT NULL"
_SUPPLEMENTS = """SELECT csid, state, concepts, info FROM code_system
    WHERE supplements=? AND rid IS NOT NULL"""
_FIND = """SELECT c.cid, c.code, c.display, c.data FROM concept_code k
    CROSS JOIN concept c ON c.cid=k.cid WHERE k.csid=? AND k.code=?"""
_FIND_FOLDED = """SELECT c.cid, c.code, c.display, c.data FROM concept_folded k
    CROSS JOIN concept c ON c.cid=k.cid WHERE k.csid=? AND k.folded=? LIMIT 1"""
_CID = "SELECT cid FROM concept_code WHERE csid=? AND code=?"
_BELOW = "SELECT 1 FROM concept_ancestor WHERE ancestor=? AND cid=?"
_CHILDREN = """SELECT c.code FROM concept_child k CROSS JOIN concept c ON c.cid=k.child
    WHERE k.parent=? ORDER BY k.child"""
_PARENTS = """SELECT p.parent, c.code FROM concept_parent p CROSS JOIN concept c ON c.cid=p.parent
    WHERE p.child=? ORDER BY p.n"""
_ALL = "SELECT cid, code, display, data FROM concept WHERE cid>=? AND cid<? ORDER BY cid"
_DESCENDANTS = """SELECT c.cid, c.code, c.display, c.data FROM concept_ancestor a
    CROSS JOIN concept c ON c.cid=a.cid WHERE a.ancestor=? ORDER BY a.cid"""
_WITH_VALUE = """SELECT c.cid, c.code, c.display, c.data FROM concept_property p
    CROSS JOIN concept c ON c.cid=p.cid WHERE p.csid=? AND p.property=? AND p.value=?
    ORDER BY p.cid"""
_ONE = "SELECT cid, code, display, data FROM concept WHERE cid=?"
_BY_URL = """SELECT v.vid, v.body FROM uri u CROSS JOIN resource r ON r.rid=u.rid
    CROSS JOIN version v ON v.vid=r.vid WHERE u.pid=? AND u.value=? AND r.live"""
_BY_TYPE = """SELECT v.vid, v.body FROM resource r CROSS JOIN version v ON v.vid=r.vid
    WHERE r.tid=? AND r.live"""
_COUNTS = """SELECT url, version, state, concepts, info FROM code_system
    WHERE rid IS NOT NULL AND supplements IS NULL ORDER BY url, version"""

_DECODED = Decoded(32 << 20)


class StoredSource:
    """A `fhirserver.terminology.source.Source` over the tables of a store."""

    def __init__(self, connection: apsw.Connection, names: Dictionary) -> None:
        self._connection = connection
        self._names = names
        self._open: list[apsw.Cursor] = []

    def release(self) -> None:
        """Ends what a question has not read to its end: it would hold on to an old snapshot."""
        for cursor in self._open:
            cursor.close(True)
        self._open.clear()

    def code_systems(self, url: str) -> Sequence[System]:
        return self._systems(_SYSTEMS, url)

    def supplements(self, url: str) -> Sequence[System]:
        return self._systems(_SUPPLEMENTS, url)

    def value_sets(self, url: str) -> Sequence[Resource]:
        return self._by_url("ValueSet", url)

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        if url is not None:
            return self._by_url("ConceptMap", url)
        tid = self._names.type("ConceptMap")
        return [_DECODED.of(vid, body) for vid, body in self._connection.execute(_BY_TYPE, (tid,))]

    def counts(self) -> list[SystemCount]:
        """As `ConceptStore.code_systems`."""
        return [
            SystemCount(url, version, _content(state, SystemInfo(decode(info))), concepts)
            for url, version, state, concepts, info in self._connection.execute(_COUNTS)
        ]

    def _by_url(self, type: str, url: str) -> list[Resource]:
        pid = self._names.param(self._names.type(type), "url")
        if pid == UNKNOWN:
            return []
        return [
            _DECODED.of(vid, body) for vid, body in self._connection.execute(_BY_URL, (pid, url))
        ]

    def _systems(self, statement: str, url: str) -> list[System]:
        rows = list(self._connection.execute(statement, (url,)))
        return [
            StoredSystem(self._connection, csid, _info(csid, info), state, concepts, self._open)
            for csid, state, concepts, info in rows
            if concepts or _content(state, _info(csid, info)) != "not-present"
        ]


class StoredSystem:
    """A `fhirserver.terminology.source.System` whose concepts are rows."""

    def __init__(
        self,
        connection: apsw.Connection,
        csid: int,
        info: SystemInfo,
        state: str,
        concepts: int,
        opened: list[apsw.Cursor],
    ) -> None:
        self._open = opened
        self._connection = connection
        self._csid = csid
        self._info = info
        self._is_complete = _content(state, info) == "complete"
        self._size = concepts

    @property
    def info(self) -> SystemInfo:
        return self._info

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    def find(self, code: str) -> Concept | None:
        for row in self._connection.execute(_FIND, (self._csid, code)):
            return stored_concept(*row[1:])
        if not self._info.case_sensitive:
            for row in self._connection.execute(_FIND_FOLDED, (self._csid, code.casefold())):
                return stored_concept(*row[1:])
        return None

    def is_below(self, code: str, ancestor: str) -> bool:
        above, below = self._cid(ancestor), self._cid(code)
        if above is None or below is None:
            return False
        return bool(self._connection.execute(_BELOW, (above, below)).get)

    def children(self, code: str) -> Sequence[str]:
        cid = self._cid(code)
        return [] if cid is None else [code for (code,) in self._rows(_CHILDREN, cid)]

    def above(self, code: str) -> Sequence[str]:
        cid = self._cid(code)
        found: dict[str, None] = {}
        todo = [] if cid is None else [cid]
        seen = set(todo)
        while todo:
            for parent, name in self._rows(_PARENTS, todo.pop(0)):
                if parent not in seen:
                    seen.add(parent)
                    found[name] = None
                    todo.append(parent)
        return tuple(found)

    def select(self, filters: Sequence[Filter]) -> Iterator[Concept]:
        start, rest = self._start(filters)
        for row in start:
            concept = stored_concept(*row[1:])
            if all(meets(item, concept, self) for item in rest):
                yield concept

    def corrected(self, query: Query) -> Query:
        return corrected(self._connection, self._csid, query)

    def search(self, query: Query, filters: Sequence[Filter]) -> Iterator[Concept]:
        for cid in found_terms(self._connection, self._csid, query):
            for row in list(self._connection.execute(_ONE, (cid,))):
                concept = stored_concept(*row[1:])
                if all(meets(item, concept, self) for item in filters):
                    yield concept

    def size(self) -> int | None:
        return self._size

    def _start(
        self, filters: Sequence[Filter]
    ) -> tuple[Iterator[tuple[int, str, str | None, bytes]], Sequence[Filter]]:
        """The rows to begin with, and the filters left to try."""
        way, item, rest = start_of(self._info, filters)
        if way == "below":
            return self._hierarchy(item), rest
        if way == "value":
            args = (self._csid, item.property, item.value[:LONGEST_VALUE])
            return self._rows(_WITH_VALUE, *args), rest
        return self._rows(_ALL, self._csid << SHIFT, (self._csid + 1) << SHIFT), rest

    def _hierarchy(self, item: Filter) -> Iterator[tuple[int, str, str | None, bytes]]:
        cid = self._cid(item.value)
        if cid is None:
            return
        if item.op == "is-a":
            yield from self._rows(_ONE, cid)
        yield from self._rows(_DESCENDANTS, cid)

    def _cid(self, code: str) -> int | None:
        found = self._connection.execute(_CID, (self._csid, code)).get
        return None if found is None else int(found)

    def _rows(self, statement: str, *args: int | str) -> Iterator[tuple]:  # type: ignore[type-arg]
        """Rows read one by one, so that who needs few reads few."""
        cursor = self._connection.cursor()
        self._open.append(cursor)
        cursor.execute(statement, args)
        return cursor


def _content(state: str, info: SystemInfo) -> str:
    """What of the code system is here: one whose concepts were imported is complete."""
    return "complete" if state == "taken" else info.content


@lru_cache(maxsize=1024)
def _info(csid: int, info: bytes) -> SystemInfo:
    return SystemInfo(decode(info))
