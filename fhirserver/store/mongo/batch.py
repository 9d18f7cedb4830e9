"""A group of commits put together in memory, on the state that the tenant's head names.

Each is checked against what the store holds and what the ones before it in the group make of
that. The result is a list of documents that can be written again and again with one effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from bson import Int64

from fhirserver.search.contained import CONTAINED
from fhirserver.search.entry import Contained
from fhirserver.search.match import Document, contained_in
from fhirserver.store.mongo.document import (
    Json,
    Stamp,
    contained_field,
    resource_document,
    version_document,
)
from fhirserver.store.mongo.document import field as field_name
from fhirserver.store.mongo.links import Unwritten
from fhirserver.store.port import (
    Change,
    Committed,
    Expectation,
    Key,
    Outdated,
    Stale,
    Unchanged,
)

_LOOKED_FOR = 2


class Head(NamedTuple):
    """Where a tenant stands: the last number and instant given, and its types.

    `latest` is the last number of each type.
    """

    number: int
    instant: int
    types: tuple[str, ...]
    latest: Mapping[str, int]


class Stored(NamedTuple):
    """What the store knows of a resource: its version, and the number of its first one; what it
    contains, with the numbers by which that was first there."""

    version: int
    created: int
    is_live: bool
    parts: Mapping[Key, int]


class Found(NamedTuple):
    """A resource that a condition selects, and its place in the store's order."""

    number: int
    key: Key


class Writing(NamedTuple):
    """What is to be written, from the number `start` on; it has one effect however often it is
    written. Without versions it takes others out (`expunged`, by k, i, v).

    `latest` are the last numbers of types, `over` stored versions that come to an end,
    `reentered` documents of `resource` with other entries for the version that is there, `gone`
    those that go unless they are newer than m, `notes` those of commits, by number.
    """

    group: str
    start: int
    number: int
    instant: int
    counted: Mapping[str, int]
    latest: Mapping[str, int]
    versions: Sequence[Json] = ()
    over: Sequence[Json] = ()
    resources: Sequence[Json] = ()
    reentered: Sequence[Json] = ()
    gone: Sequence[Json] = ()
    expunged: Sequence[Json] = ()
    notes: Mapping[int, bytes] = MappingProxyType({})

    @property
    def pending(self) -> Json:
        """The documents as they stand in the head of a store without transactions."""
        return {
            "w": self.group,
            "from": Int64(self.start),
            "n": Int64(self.number),
            "last": {type_: Int64(number) for type_, number in self.latest.items()},
            "versions": list(self.versions),
            "over": list(self.over),
            "resources": list(self.resources),
            "reentered": list(self.reentered),
            "gone": list(self.gone),
            "expunged": list(self.expunged),
        }


@dataclass(slots=True)
class _Placed:
    change: Change
    number: int
    last: int
    instant: int
    created: int
    before: Stored
    parts: dict[Key, int]

    @property
    def key(self) -> Key:
        return Key(self.change.type, self.change.id)

    @property
    def after(self) -> Stored:
        is_live = self.change.body is not None
        return Stored(self.change.version, self.created, is_live, self.parts)

    @property
    def document(self) -> Document | None:
        if self.change.body is None:
            return None
        return Document(*self.key, self.instant, self.change.entries)


_NEVER = Stored(0, 0, is_live=False, parts={})


@dataclass(slots=True)
class Batch:
    """Commits that will be written together. `known` is what the store has of their resources."""

    tenant: str
    group: str
    head: Head
    instant: int
    known: Mapping[Key, Stored]
    _kept: list[_Placed] = field(default_factory=list)
    _staged: list[_Placed] = field(default_factory=list)
    _overlay: dict[Key, _Placed] = field(default_factory=dict)
    _notes: dict[int, bytes] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The last number given to what is kept."""
        return self._kept[-1].last if self._kept else self.head.number

    @property
    def is_empty(self) -> bool:
        return not self._kept

    @property
    def types(self) -> tuple[str, ...]:
        """All types that the tenant has, with the batch."""
        changed = (item.change.type for item in (*self._overlay.values(), *self._staged))
        return tuple(dict.fromkeys([*self.head.types, *changed]))

    @property
    def latest(self) -> dict[str, int]:
        """The last number of each type, with the batch."""
        return {**self.head.latest, **{item.change.type: item.number for item in self._kept}}

    @property
    def left(self) -> Head:
        """Where the tenant stands once the batch is written."""
        return Head(self.number, self.instant, self.types, self.latest)

    def check(self, unchanged: Unchanged | None) -> None:
        """Raises `Outdated` when it does not hold."""
        if unchanged and self.latest.get(unchanged.type, 0) != unchanged.number:
            raise Outdated(f"A {unchanged.type} was changed meanwhile. Send the request again.")

    def stage(self, changes: Sequence[Change]) -> None:
        """Puts a commit on top. Raises `Stale` when a precondition does not hold."""
        staged = []
        last = self.number
        for change in changes:
            before = self._stored(Key(change.type, change.id))
            if before.version != change.version - 1:
                raise Stale(f"{change.type}/{change.id} was changed meanwhile. Read it again.")
            staged.append(_placed(change, before, last, self.instant))
            last = staged[-1].last
        self._staged = staged

    def drop(self) -> None:
        """Takes the staged commit off again."""
        self._staged = []

    def keep(self, note: bytes | None = None) -> Committed:
        """Makes the staged commit a part of the batch."""
        self._kept += self._staged
        if note is not None and self._staged:
            self._notes[self.number] = note
        self._overlay |= {item.key: item for item in self._staged}
        self._staged = []
        return Committed(self.number, self.instant if self._kept else self.head.instant)

    def restore(self, change: Change, instant: int) -> None:
        """Puts a version on top as another store numbered and dated it.

        Raises `Stale` where it is not newer than what is there.
        """
        before = self._stored(Key(change.type, change.id))
        if change.version <= before.version:
            raise Stale(f"{change.type}/{change.id} is there already.")
        if instant < (self._kept[-1].instant if self._kept else self.head.instant):
            raise Stale("The store has later commits than what is to be restored.")
        self._staged = [_placed(change, before, self.number, instant)]
        self.instant = instant
        self.keep()

    def unwritten(self) -> dict[Key, Unwritten]:
        """The changed resources as they will be, with what they contain."""
        out: dict[Key, Unwritten] = {}
        for key, item in (self._overlay | {item.key: item for item in self._staged}).items():
            document = item.document
            out |= dict.fromkeys(self.known.get(key, _NEVER).parts, Unwritten(None, 0))
            out[key] = Unwritten(document, item.created)
            for part in contained_in(document) if document else ():
                place = Key(part.type, part.id)
                out[place] = Unwritten(part, item.parts[place])
        return out

    def writing(self) -> Writing:
        """What is kept, as it is written."""
        return Writing(
            self.group,
            self.head.number,
            self.number,
            self.instant,
            self._counted(),
            self.latest,
            self._versions(),
            self._superseded(),
            [document for item in self._overlay.values() for document in self._resources(item)],
            gone=self._gone(),
            notes=self._notes,
        )

    def _resources(self, item: _Placed) -> list[Json]:
        """The newest documents of a resource and of what it contains."""
        stamp = Stamp(item.change.version, item.number, item.instant)
        entries = None if item.change.body is None else item.change.entries
        out = resource_document(self.tenant, item.key, item.created, stamp, entries)
        documents = [out | contained_field(item.parts)]
        for part in item.change.entries.get(CONTAINED, ()):
            assert isinstance(part, Contained)
            key = Key(part.type, part.id)
            created = item.parts[key]
            documents.append(resource_document(self.tenant, key, created, stamp, part.entries))
        return documents

    def _gone(self) -> list[Json]:
        """What the stored resources contain, and contain no more."""
        return [
            {"k": part.type, "i": part.id, "m": Int64(item.number - 1)}
            for key, item in self._overlay.items()
            for part in self.known.get(key, _NEVER).parts
            if part not in item.parts
        ]

    def _versions(self) -> list[Json]:
        """All new versions; one that was superseded in the batch says so."""
        following = {(item.key, item.before.version): item for item in self._kept}
        out = []
        for item in self._kept:
            document = version_document(
                self.tenant, item.change, item.number, item.instant, self.group
            )
            then = following.get((item.key, item.change.version))
            if then is not None:
                document |= {"e": Int64(then.instant), "x": Int64(then.number)}
            out.append(document)
        return out

    def _superseded(self) -> list[Json]:
        """The stored versions that come to an end."""
        first = {item.key: item for item in reversed(self._kept)}
        return [
            {
                "k": key.type,
                "i": key.id,
                "v": Int64(item.before.version),
                "e": Int64(item.instant),
                "x": Int64(item.number),
            }
            for key, item in first.items()
            if item.before.version
        ]

    def _counted(self) -> Counter[str]:
        """By how much the number of current resources changes, by type."""
        out: Counter[str] = Counter()
        for item in self._kept:
            is_live = item.change.body is not None
            out[field_name(item.change.type)] += int(is_live) - int(item.before.is_live)
        return out

    def _stored(self, key: Key) -> Stored:
        item = self._overlay.get(key)
        return self.known.get(key, _NEVER) if item is None else item.after


def _placed(change: Change, before: Stored, last: int, instant: int) -> _Placed:
    """A change with the numbers after `last`: one for its version, one for each new part."""
    number = last = last + 1
    parts: dict[Key, int] = {}
    for part in change.entries.get(CONTAINED, ()):
        assert isinstance(part, Contained)
        key = Key(part.type, part.id)
        if key in before.parts:
            parts[key] = before.parts[key]
        elif key not in parts:
            last += 1
            parts[key] = last
    return _Placed(change, number, last, instant, before.created or number, before, parts)


def check(expected: Expectation, found: Iterable[Found]) -> None:
    """Raises `Stale` when the first resources found are not those expected."""
    first = [item.key for item in sorted(found)][: looked_for(expected)]
    if set(first) != set(expected.ids):
        raise Stale("What a condition selects was changed meanwhile. Try again.")


def looked_for(expected: Expectation) -> int:
    """How many resources are looked for."""
    return _LOOKED_FOR if len(expected.ids) <= _LOOKED_FOR else len(expected.ids) + 1
