"""A group of commits put together in memory, on the state that the tenant's head names.

Each is checked against what the store holds and what the ones before it in the group make of
that. The result is a list of documents that can be written again and again with one effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bson import Int64

from fhirserver.search.match import Document
from fhirserver.store.mongo.document import Json, resource_document, version_document
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
    """What the store knows of a resource: its version, and the number of its first one."""

    version: int
    created: int
    is_live: bool


class Found(NamedTuple):
    """A resource that a condition selects, and its place in the store's order."""

    number: int
    key: Key


class Gone(NamedTuple):
    """Versions, and resources of which none is left, that are taken out for good, by their keys."""

    versions: tuple[Json, ...] = ()
    resources: tuple[Json, ...] = ()


@dataclass(slots=True)
class _Placed:
    """`follows` is the version of the resource before it, 0 where there is none."""

    change: Change
    number: int
    created: int
    was_live: bool
    instant: int
    follows: int


_NOTHING = Gone()
_NEVER = Stored(0, 0, is_live=False)


@dataclass(slots=True)
class Batch:
    """Commits that will be written together. `known` is what the store has of their resources.

    What is `gone` is not written with others; it takes a number, so that who did not know of it
    loses.
    """

    tenant: str
    group: str
    head: Head
    instant: int
    known: Mapping[Key, Stored]
    gone: Gone = _NOTHING
    _kept: list[_Placed] = field(default_factory=list)
    _staged: list[_Placed] = field(default_factory=list)
    _overlay: dict[Key, _Placed] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The last number given to what is kept."""
        return self.head.number + (1 if self.gone.versions else len(self._kept))

    @property
    def is_empty(self) -> bool:
        return not self._kept

    @property
    def types(self) -> tuple[str, ...]:
        """All types that the tenant has, with the batch."""
        return tuple(dict.fromkeys([*self.head.types, *(key.type for key in self.unwritten())]))

    @property
    def latest(self) -> dict[str, int]:
        """The last number of each type, with the batch."""
        return {**self.head.latest, **{item.change.type: item.number for item in self._kept}}

    def check(self, unchanged: Unchanged | None) -> None:
        """Raises `Outdated` when it does not hold."""
        if unchanged and self.latest.get(unchanged.type, 0) != unchanged.number:
            raise Outdated(f"A {unchanged.type} was changed meanwhile. Send the request again.")

    def stage(self, changes: Sequence[Change]) -> None:
        """Puts a commit on top. Raises `Stale` when a precondition does not hold."""
        staged = []
        for number, change in enumerate(changes, self.number + 1):
            key = Key(change.type, change.id)
            stored = self._stored(key)
            if stored.version != change.version - 1:
                raise Stale(f"{change.type}/{change.id} was changed meanwhile. Read it again.")
            created = stored.created or number
            follows = stored.version
            placed = _Placed(change, number, created, stored.is_live, self.instant, follows)
            staged.append(placed)
        self._staged = staged

    def restore(self, change: Change, instant: int) -> None:
        """Takes a version as another store numbered and dated it.

        Raises `Stale` where it is not newer than what is there.
        """
        key = Key(change.type, change.id)
        stored, number = self._stored(key), self.number + 1
        if change.version <= stored.version:
            raise Stale(f"{change.type}/{change.id} has that version already, or a later one.")
        created = stored.created or number
        placed = _Placed(change, number, created, stored.is_live, instant, stored.version)
        self._kept.append(placed)
        self._overlay[key] = placed

    def drop(self) -> None:
        """Takes the staged commit off again."""
        self._staged = []

    def keep(self) -> Committed:
        """Makes the staged commit a part of the batch."""
        self._kept += self._staged
        for item in self._staged:
            self._overlay[Key(item.change.type, item.change.id)] = item
        self._staged = []
        return Committed(self.number, self.instant if self._kept else self.head.instant)

    def unwritten(self) -> dict[Key, Unwritten]:
        """The changed resources as they will be."""
        states = self._overlay | {
            Key(item.change.type, item.change.id): item for item in self._staged
        }
        return {
            key: Unwritten(self._document(key, item), item.created) for key, item in states.items()
        }

    def resources(self) -> list[Json]:
        """The newest document of each resource, with the version it follows."""
        return [
            resource_document(self.tenant, item.change, item.created, item.number, item.instant)
            for item in self._overlay.values()
        ]

    def versions(self) -> list[Json]:
        """All new versions; one that was superseded in the batch says so."""
        out = []
        following = {
            (Key(item.change.type, item.change.id), item.follows): item for item in self._kept
        }
        for item in self._kept:
            document = version_document(
                self.tenant, item.change, item.number, item.instant, self.group
            )
            after = following.get((Key(item.change.type, item.change.id), item.change.version))
            if after is not None:
                document |= {"e": Int64(after.instant), "x": Int64(after.number)}
            out.append(document)
        return out

    def superseded(self) -> list[Json]:
        """The stored versions that come to an end."""
        seen: set[Key] = set()
        out: list[Json] = []
        for item in self._kept:
            key = Key(item.change.type, item.change.id)
            if key not in seen and item.follows:
                out.append({
                    "k": key.type,
                    "i": key.id,
                    "v": Int64(item.follows),
                    "e": Int64(item.instant),
                    "x": Int64(item.number),
                })  # fmt: skip
            seen.add(key)
        return out

    def counted(self) -> Counter[str]:
        """By how much the number of current resources changes, by type."""
        out: Counter[str] = Counter()
        for item in self._kept:
            is_live = item.change.body is not None
            out[field_name(item.change.type)] += int(is_live) - int(item.was_live)
        return out

    def _stored(self, key: Key) -> Stored:
        item = self._overlay.get(key)
        if item is None:
            return self.known.get(key, _NEVER)
        return Stored(item.change.version, item.created, item.change.body is not None)

    def _document(self, key: Key, item: _Placed) -> Document | None:
        if item.change.body is None:
            return None
        return Document(key.type, key.id, self.instant, item.change.entries)


def check(expected: Expectation, found: Iterable[Found]) -> None:
    """Raises `Stale` when the first resources found are not those expected."""
    first = [item.key for item in sorted(found)][: looked_for(expected)]
    if set(first) != set(expected.ids):
        raise Stale("What a condition selects was changed meanwhile. Try again.")


def looked_for(expected: Expectation) -> int:
    """How many resources are looked for."""
    return _LOOKED_FOR if len(expected.ids) <= _LOOKED_FOR else len(expected.ids) + 1
