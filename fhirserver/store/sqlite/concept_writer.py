"""Writes concepts: those of a resource in its own commit, staged ones in many small ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias

import apsw

from fhirserver.model.json import encode
from fhirserver.store.concept_start import LONGEST_VALUE
from fhirserver.store.sqlite.concept_schema import SHIFT
from fhirserver.terminology.concept import Concept, ConceptSet, text_of, value_of
from fhirserver.terminology.words import words_of

CHUNK: Final = 5000
"""Concepts that are written in one commit of a staging."""

_AT_ONCE: Final = 100
_SMALL: Final = 20_000  # concepts that are removed at once when their resource goes

_NEW_SYSTEM = """INSERT INTO code_system(rid, url, version, supplements, state, concepts, info)
    VALUES (?,?,?,?,?,?,?)"""
_STAGED = """SELECT csid, concepts FROM code_system
    WHERE rid IS NULL AND url=? AND version IS ? AND state='staged' ORDER BY csid DESC LIMIT 1"""
_OF_RANGE = (
    ("concept", "cid"),
    ("concept_child", "parent"),
    ("concept_parent", "child"),
    ("concept_ancestor", "ancestor"),
)
_OF_SYSTEM = ("concept_code", "concept_folded", "concept_property", "concept_word")


Closure: TypeAlias = list[tuple[int, tuple[int, ...], tuple[int, ...]]]
"""Concepts by number, with the numbers of their parents and of all their ancestors."""


class ConceptWriter:
    """The statements of one connection, inside transactions that others begin and end."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def replace(self, rid: int, parts: ConceptSet | None) -> None:
        """The code system of the resource numbered `rid` is now this one, or none."""
        execute = self._connection.execute
        old = list(execute("SELECT csid, url, version, state FROM code_system WHERE rid=?", (rid,)))
        execute("UPDATE code_system SET rid=NULL, state='old' WHERE rid=?", (rid,))
        if parts is not None:
            self._add(rid, parts, old)
        for csid in self.left_over(_SMALL):
            self.remove(csid)

    def _add(self, rid: int, parts: ConceptSet, old: Sequence[tuple[int, str, str, str]]) -> None:
        info = parts.info
        if info.content == "not-present" and not parts.concepts and self._take(rid, parts, old):
            return
        supplements = info.supplements and info.supplements.partition("|")[0]
        row = (rid, info.url, info.version, supplements, "own", len(parts.concepts))
        self._connection.execute(_NEW_SYSTEM, (*row, encode(info.resource)))
        loader = Loader(self._connection, self._connection.last_insert_rowid())
        loader.add(parts.concepts)
        for closure in loader.closure():
            loader.add_closure(closure)

    def _take(self, rid: int, parts: ConceptSet, old: Sequence[tuple[int, str, str, str]]) -> bool:
        """Takes staged concepts into use, or keeps those that the resource has taken before."""
        info = parts.info
        csid = None
        for number, _ in self._connection.execute(_STAGED, (info.url, info.version)):
            csid = number
        if csid is None:
            kept = [item[0] for item in old if item[1:] == (info.url, info.version, "taken")]
            csid = kept[0] if kept else None
        if csid is None:
            return False
        self._connection.execute(
            "UPDATE code_system SET rid=?, state='taken', info=? WHERE csid=?",
            (rid, encode(info.resource), csid),
        )
        return True

    def begin(self, url: str, version: str | None) -> int:
        """A new system that nobody sees; what was staged before for the same is dropped."""
        self._connection.execute(
            "UPDATE code_system SET state='old' WHERE rid IS NULL AND url=? AND version IS ?",
            (url, version),
        )
        self._connection.execute(_NEW_SYSTEM, (None, url, version, None, "loading", 0, None))
        return self._connection.last_insert_rowid()

    def finish(self, csid: int, concepts: int) -> None:
        """What is loaded can be taken into use."""
        self._connection.execute(
            "UPDATE code_system SET state='staged', concepts=? WHERE csid=?", (concepts, csid)
        )

    def left_over(self, most: int = 1 << 62) -> list[int]:
        """Systems that nothing uses any more, of so many concepts at the most."""
        rows = self._connection.execute(
            "SELECT csid FROM code_system WHERE rid IS NULL AND state='old' AND concepts<=?",
            (most,),
        )
        return [csid for (csid,) in rows]

    def remove(self, csid: int) -> None:
        """Removes all of a system."""
        low, high = csid << SHIFT, (csid + 1) << SHIFT
        execute = self._connection.execute
        execute("DELETE FROM concept_words WHERE rowid>=? AND rowid<?", (low, high))
        execute("DELETE FROM concept_term WHERE tid>=? AND tid<?", (low, high))
        for table, column in _OF_RANGE:
            execute(f"DELETE FROM {table} WHERE {column}>=? AND {column}<?", (low, high))
        for table in _OF_SYSTEM:
            execute(f"DELETE FROM {table} WHERE csid=?", (csid,))
        execute("DELETE FROM code_system WHERE csid=?", (csid,))


class Loader:
    """Writes the concepts of one system, chunk by chunk; the hierarchy when all are there."""

    def __init__(self, connection: apsw.Connection, csid: int) -> None:
        self._connection = connection
        self._csid = csid
        self._next = csid << SHIFT
        self._next_term = csid << SHIFT
        self._cids: dict[str, int] = {}
        self._parents: dict[int, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._cids)

    def add(self, concepts: Iterable[Concept]) -> None:
        """Writes concepts; a code that is there already is left out."""
        rows, properties, terms = [], set(), []
        for concept in concepts:
            if concept.code in self._cids:
                continue
            cid = self._next
            self._next += 1
            self._cids[concept.code] = cid
            if concept.parents:
                self._parents[cid] = concept.parents
            rows.append(
                (cid, concept.code, concept.code.casefold(), concept.display, _data(concept))
            )
            for item in concept.data.get("property", ()):
                value = text_of(value_of(item))[:LONGEST_VALUE]
                properties.add((self._csid, item["code"], value, cid))
            terms += [
                (place, len(words), " ".join(words), cid)
                for place, words in enumerate(_terms(concept))
            ]
        self._insert("concept", rows)
        self._insert("concept_code", sorted((self._csid, row[1], row[0]) for row in rows))
        self._insert("concept_folded", sorted((self._csid, row[2], row[0]) for row in rows))
        self._insert("concept_property", sorted(properties))
        self._add_terms(terms)

    def _add_terms(self, terms: list[tuple[int, int, str, int]]) -> None:
        """Writes names, the likeliest first, for a search reads them in that order."""
        terms.sort(key=lambda item: (min(item[0], 1), item[1]))
        numbers = range(self._next_term, self._next_term + len(terms))
        self._next_term += len(terms)
        self._insert(
            "concept_term", [(tid, item[3]) for tid, item in zip(numbers, terms, strict=True)]
        )
        self._insert(
            "concept_words(rowid, words)",
            [(tid, item[2]) for tid, item in zip(numbers, terms, strict=True)],
        )
        uses = Counter(word for item in terms for word in item[2].split())
        self._connection.executemany(
            "INSERT INTO concept_word VALUES (?,?,?) "
            "ON CONFLICT DO UPDATE SET uses=uses+excluded.uses",
            [(self._csid, word, count) for word, count in sorted(uses.items())],
        )

    def closure(self) -> Iterator[Closure]:
        """For each concept with parents: its number, theirs, and those of all ancestors."""
        known: dict[int, tuple[int, ...]] = {}
        parents = {
            cid: tuple(dict.fromkeys(self._cids[code] for code in codes if code in self._cids))
            for cid, codes in self._parents.items()
        }
        chunk = []
        for cid in parents:
            chunk.append((cid, parents[cid], _above(cid, parents, known)))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        yield chunk

    def add_closure(self, chunk: Closure) -> None:
        """Writes a chunk of what `closure` gives."""
        parents = [(cid, n, p) for cid, above, _ in chunk for n, p in enumerate(above)]
        self._insert("concept_parent", parents)
        self._insert("concept_child", sorted((parent, cid) for cid, _, parent in parents))
        pairs = sorted((ancestor, cid) for cid, _, above in chunk for ancestor in above)
        self._insert("concept_ancestor", pairs)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        marks = f"({','.join('?' * len(rows[0]))})"
        start = 0
        for count in (_AT_ONCE, 1):
            statement = f"INSERT OR IGNORE INTO {table} VALUES {','.join([marks] * count)}"
            while len(rows) - start >= count:
                some = rows[start : start + count]
                self._connection.execute(statement, list(chain.from_iterable(some)))
                start += count


def _above(
    cid: int, parents: dict[int, tuple[int, ...]], known: dict[int, tuple[int, ...]]
) -> tuple[int, ...]:
    """All ancestors of a concept; a circle ends where it began."""
    if cid in known:
        return known[cid]
    found: dict[int, None] = {}
    todo = list(parents.get(cid, ()))
    while todo:
        parent = todo.pop()
        if parent in found or parent == cid:
            continue
        found[parent] = None
        above = known.get(parent)
        if above is None:
            todo += parents.get(parent, ())
        else:
            found.update(dict.fromkeys(item for item in above if item != cid))
    known[cid] = tuple(found)
    return known[cid]


def _terms(concept: Concept) -> Iterator[tuple[str, ...]]:
    for term in concept.terms():
        words = words_of(term)
        if words:
            yield words


def _data(concept: Concept) -> bytes:
    hidden = ("code", "display")
    data = {name: value for name, value in concept.data.items() if name not in hidden}
    if concept.parents:
        data["parents"] = list(concept.parents)
    return encode(data)
