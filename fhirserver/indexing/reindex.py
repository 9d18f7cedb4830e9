"""The job that makes the index entries of stored resources anew.

It walks type by type, page by page; after each page its place is durable. What is written
meanwhile has its entries by the parameters then in effect, so a page that rests on older ones
is refused by the store and made again. When all is done, the marks of the store say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from fhirserver.errors import TooCostly
from fhirserver.indexing.marks import Marks, change_marks
from fhirserver.indexing.registry import Known, Registry
from fhirserver.jobs.task import Task
from fhirserver.model.json import decode
from fhirserver.search.contained import CONTAINED_TYPE, MARK
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Cursor,
    Not,
    Query,
    TokenIs,
    TokenValue,
    TypeIs,
)
from fhirserver.search.parameter_check import concrete
from fhirserver.search.plan import too_costly
from fhirserver.search.rules import REVISION, changed_since
from fhirserver.search.text import FullText
from fhirserver.store.port import Entered, Outdated, Store, Version
from fhirserver.store.records import Records

_PAGE: Final = 100
_SLICE: Final = 8  # resources between two looks at what else is to be done
_GATHER: Final = 0.3  # seconds: parameters that come one after another share a pass


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands, as its checkpoint.

    `left` are the types still to be walked, and `MARK` for what contains others; `cursor` is
    where in the first of them. The rest is what was in effect at the beginning, which is what
    will be marked. `costly` names a resource for each custom parameter, by its URL, that has too
    much to do on it.
    """

    left: list[str]
    every: list[str]
    stamps: dict[str, str]
    full_text: FullText
    rules: int
    cursor: list[int | float | str | None] | None = None
    done: int = 0
    total: int = 0
    begun: int = 0
    costly: dict[str, str] = {}


class Reindexing:
    """The work of `REINDEX` jobs.

    Arguments: `base`, the service base URL under which it was asked for, where no other is kept;
    `types`, those to be done, if not all that is not wholly indexed.
    """

    def __init__(
        self, store: Store, records: Records, registry: Registry, full_text: FullText
    ) -> None:
        self._store = store
        self._records = records
        self._registry = registry
        self._full_text = full_text

    async def __call__(self, task: Task) -> Any:
        """The outcome as Parameters."""
        types = task.job.arguments.get("types")
        place = msgspec.convert(task.job.checkpoint, _Place) if task.job.checkpoint else None
        done = 0
        while True:
            if place is None:
                place = await self._begin(types, done)
                await self._save(task, place)
            place = await self._walk(task, place)
            await self._mark(place)
            done = place.done
            known = await self._registry.refresh()
            if types is not None or not known.unready:
                return _told(place)
            if place.begun == known.unchanged.number and known.unready <= {*place.every}:
                return _told(place)  # what cannot be marked will not be, whatever is done
            place = None

    async def _begin(self, types: Sequence[str] | None, done: int) -> _Place:
        if types is None:
            await asyncio.sleep(_GATHER)
        known = await self._registry.refresh()
        wanted = sorted(known.unready) if types is None else sorted(types)
        counts = await self._store.counts()
        return _Place(
            left=[*(type_ for type_ in wanted if counts.get(type_)), MARK],
            every=wanted,
            stamps=dict(known.stamps),
            full_text=self._full_text,
            rules=REVISION,
            done=done,
            total=done + sum(counts.get(type_, 0) for type_ in wanted),
            begun=known.unchanged.number,
        )

    async def _walk(self, task: Task, place: _Place) -> _Place:
        base = await self._registry.base(task.job.arguments.get("base", ""))
        while place.left:
            after: Cursor | None = tuple(place.cursor) if place.cursor is not None else None
            page = await self._store.search(_query(place, after))
            costly = await reindex(self._store, self._registry, page.versions, base)
            is_last = page.next is None
            place = msgspec.structs.replace(
                place,
                left=place.left[1:] if is_last else place.left,
                cursor=None if page.next is None else list(page.next),
                done=place.done + len(page.versions),
                costly=costly | place.costly,
            )
            await self._save(task, place)
            await task.rest()
        return place

    async def _save(self, task: Task, place: _Place) -> None:
        await task.save(
            msgspec.to_builtins(place),
            done=place.done,
            total=max(place.total, place.done),
            phase=f"{place.left[0]}:" if place.left else "marking:",
        )

    async def _mark(self, place: _Place) -> None:
        """Notes by what all resources can now be found."""
        known = await self._registry.refresh()
        covered = {*place.every}
        costly = {
            item.id
            for item in known.definitions.custom_search_parameters
            if item.url in place.costly
        }
        indexed = {
            id: stamp
            for id, stamp in place.stamps.items()
            if known.stamps.get(id) == stamp
            and _types_of(known, id) <= covered
            and id not in costly
        }

        def marked(marks: Marks) -> Marks:
            marks = msgspec.structs.replace(marks, parameters=marks.parameters | indexed)
            if covered >= {type_ for type_, _ in changed_since(marks.rules)}:
                marks = msgspec.structs.replace(marks, rules=max(marks.rules, place.rules))
            if covered >= known.definitions.resource_types:
                marks = msgspec.structs.replace(marks, full_text=place.full_text)
            return marks

        await change_marks(self._records, marked)


def _query(place: _Place, after: Cursor | None) -> Query:
    """What is walked now: a type, or last of all what contains resources of the types."""
    type_ = place.left[0]
    if type_ != MARK:
        return Query((type_,), EVERYTHING, count=_PAGE, after=after)
    contains = TokenIs(CONTAINED_TYPE, tuple(TokenValue(None, name) for name in place.every))
    return Query((), And((contains, Not(TypeIs(tuple(place.every))))), count=_PAGE, after=after)


async def reindex(
    store: Store, registry: Registry, versions: Sequence[Version], base: str
) -> dict[str, str]:
    """Gives versions their entries anew, if they are still the current ones.

    What comes back names one of them for each parameter, by its URL, that has too much to do on
    it: they have no entries by that.
    """
    while True:
        known = await registry.refresh()
        entered, costly = await _entered(known, versions, base)
        try:
            await store.reindex(entered, known.unchanged)
        except Outdated:
            continue
        return costly


async def _entered(
    known: Known, versions: Sequence[Version], base: str
) -> tuple[list[Entered], dict[str, str]]:
    entered = []
    costly: dict[str, str] = {}
    for number, version in enumerate(versions):
        if version.body is not None:
            over: set[str] = set()
            entries = known.indexer.entries(decode(version.body), base, over=over)
            costly |= dict.fromkeys(over, f"{version.type}/{version.id}")
            entered.append(Entered(version.type, version.id, version.version, entries))
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    return entered, costly


def _types_of(known: Known, id: str) -> set[str]:
    for parameter in known.definitions.custom_search_parameters:
        if parameter.id == id:
            return set(concrete(known.definitions, parameter.base))
    return set()


def _told(place: _Place) -> Mapping[str, Any]:
    """The outcome. Raises `TooCostly` where a parameter cannot be searched by yet."""
    if place.costly:
        texts = [f"{too_costly([url])[:-1]}: {at}." for url, at in place.costly.items()]
        raise TooCostly(" ".join(texts))
    issue = {
        "severity": "information",
        "code": "informational",
        "details": {"text": f"{place.done} resources were indexed anew."},
        "diagnostics": f"{place.done} resources were indexed anew.",
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}
