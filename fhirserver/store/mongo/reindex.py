"""Other entries for current versions (docs/adr/0027-custom-search-parameters.md).

A document tells by what number its entries were made, and takes none that were made by an
earlier one: so the head is looked at before, and may move on. What is contained and was not
yet indexed needs a number, and so a commit of the head.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from bson import Int64

from fhirserver.search.contained import CONTAINED
from fhirserver.search.entry import Contained, Entries
from fhirserver.store.mongo.batch import Head, Writing
from fhirserver.store.mongo.connection import Connection, unavailable
from fhirserver.store.mongo.document import (
    Json,
    Stamp,
    contained_field,
    keyed,
    reentered,
    resource_document,
)
from fhirserver.store.mongo.guard import Guard, Lost
from fhirserver.store.port import Entered, Key, Outdated, Unchanged

_AT_ONCE: Final = 50  # resources of one commit
_LOSSES: Final = 60
_FIELDS: Final = {"_id": 0, "k": 1, "i": 1, "v": 1, "n": 1, "m": 1, "u": 1, "p": 1}


class _Current(NamedTuple):
    """What is stored of a resource that gets other entries."""

    created: int
    stamp: Stamp
    parts: Mapping[Key, int]


class Reindexer:
    """Gives versions of one tenant other entries."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard) -> None:
        self._resources = connection.resource
        self._tenant = tenant
        self._guard = guard

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None) -> int:
        """As `Store.reindex`."""
        number = _number(await self._guard.position(), unchanged)
        current = await self._current(entered)
        regrouped = [item for item in entered if _is_regrouped(item, current)]
        passed = {id(item) for item in regrouped}
        count = await self._reenter([one for one in entered if id(one) not in passed], number)
        for start in range(0, len(regrouped), _AT_ONCE):
            count += await self._regroup(regrouped[start : start + _AT_ONCE], unchanged)
        return count

    async def _reenter(self, entered: Sequence[Entered], number: int) -> int:
        """Of those that contain what they did."""
        parts = [
            reentered(self._tenant, item, number, part)
            for item in entered
            for part in _parts(item.entries)
        ]
        if parts:
            await self._resources.bulk_write(parts, ordered=False)
        writes = [reentered(self._tenant, item, number) for item in entered]
        if not writes:
            return 0
        return (await self._resources.bulk_write(writes, ordered=False)).matched_count

    async def _regroup(self, entered: Sequence[Entered], unchanged: Unchanged | None) -> int:
        """Of those of which other parts are indexed than before."""
        for losses in range(_LOSSES):
            if losses:
                await self._guard.ask_for_turn()
            head = await self._guard.settled()
            number = _number(head, unchanged)
            current = await self._current(entered)
            there = [item for item in entered if Key(item.type, item.id) in current]
            writing = _Regrouping(self._tenant, head, number).writing(there, current)
            try:
                await self._guard.write(writing, head._replace(number=writing.number))
            except Lost:
                continue
            return len(there)
        raise unavailable("Too many writers at once. Try again.")

    async def _current(self, entered: Iterable[Entered]) -> dict[Key, _Current]:
        """Those of which that version is the current one."""
        versions = {Key(item.type, item.id): item.version for item in entered}
        wanted = keyed(self._tenant, versions)
        if not wanted:
            return {}
        found = await self._resources.find({"l": True, "$or": wanted}, _FIELDS).to_list(None)
        return {
            key: _Current(int(one["n"]), stamp, parts)
            for one in found
            for key in [Key(one["k"], one["i"])]
            for stamp in [Stamp(int(one["v"]), int(one["m"]), int(one["u"]))]
            for parts in [{Key(p["k"], p["i"]): int(p["n"]) for p in one.get("p", ())}]
            if stamp.version == versions[key]
        }


class _Regrouping:
    """Puts documents together for a commit, numbering the parts that are new."""

    def __init__(self, tenant: str, head: Head, number: int) -> None:
        self._tenant = tenant
        self._head = head
        self._mark = {"g": Int64(number)}
        self._last = head.number
        self._new: list[Json] = []
        self._same: list[Json] = []
        self._gone: list[Json] = []

    def writing(self, entered: Iterable[Entered], current: Mapping[Key, _Current]) -> Writing:
        """What is written for the resources, each of which is current."""
        for item in entered:
            key = Key(item.type, item.id)
            self._add(key, item.entries, current[key])
        return Writing(
            secrets.token_hex(8),
            self._head.number,
            max(self._last, self._head.number + 1),
            self._head.instant,
            {},
            {},
            resources=self._new,
            reentered=self._same,
            gone=self._gone,
        )

    def _add(self, key: Key, entries: Entries, stored: _Current) -> None:
        parts: dict[Key, int] = {}
        for part in _parts(entries):
            place = Key(part.type, part.id)
            if place in parts:
                continue
            is_new = place not in stored.parts
            self._last += is_new
            parts[place] = self._last if is_new else stored.parts[place]
            document = resource_document(
                self._tenant, place, parts[place], stored.stamp, part.entries
            )
            (self._new if is_new else self._same).append(document | self._mark)
        whole = resource_document(self._tenant, key, stored.created, stored.stamp, entries)
        self._same.append(whole | contained_field(parts) | self._mark)
        self._gone += [
            {"k": part.type, "i": part.id, "m": Int64(stored.stamp.number)}
            for part in stored.parts
            if part not in parts
        ]


def _parts(entries: Entries) -> Iterator[Contained]:
    for part in entries.get(CONTAINED, ()):
        assert isinstance(part, Contained)
        yield part


def _is_regrouped(item: Entered, current: Mapping[Key, _Current]) -> bool:
    """Whether other parts are to be indexed than are."""
    stored = current.get(Key(item.type, item.id))
    wanted = {Key(part.type, part.id) for part in _parts(item.entries)}
    return stored is not None and set(stored.parts) != wanted


def _number(head: Head, unchanged: Unchanged | None) -> int:
    """The number by which entries are made. Raises `Outdated` where it was another."""
    if unchanged is None:
        return 0
    if head.latest.get(unchanged.type, 0) != unchanged.number:
        raise Outdated(f"A {unchanged.type} was changed meanwhile.")
    return unchanged.number
