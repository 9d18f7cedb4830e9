"""The search parameters that a store's resources are indexed and searched by, as they now are.

Whoever asks for them gets those of the last commit of a SearchParameter, whichever worker made
it: the number of that commit is one look-up in an index. What changed since is read alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter, search_parameter
from fhirserver.indexing.marks import Marked, Marks, change_marks, marks_of, read_marks
from fhirserver.jobs.table import JobTable
from fhirserver.model.json import Resource, decode
from fhirserver.search.index import Indexer
from fhirserver.search.parameter_check import (
    TYPE,
    check_parameter,
    concrete,
    is_active,
    is_standard,
)
from fhirserver.search.rules import changed_since
from fhirserver.search.text import TEXT_PARAMETERS, FullText
from fhirserver.store.port import HistoryQuery, Key, Store, Unchanged, Version
from fhirserver.store.records import ABSENT, Records

REINDEX = "reindex"
"""The kind of job that makes entries anew, and the name of the one that catches up."""

_LOG = logging.getLogger("fhirserver.indexing")
_LOOKED_BACK = 20  # versions in which a parameter is looked for that is indexed
_TRIED_AGAIN = 600 * 1_000_000  # microseconds after which a job that failed gets a successor


class Custom(NamedTuple):
    """An active SearchParameter resource, in one version.

    Versions begin again after an expunge, instants do not.
    """

    version: int
    last_updated: int
    resource: Resource
    parameter: SearchParameter

    @property
    def stamp(self) -> str:
        return f"{self.version}@{self.last_updated}"


class Known(NamedTuple):
    """What is in effect. `unchanged` is what a commit states that was prepared by it.

    `stamps` tell the custom parameters apart, by the id of their resource: a stamp is another
    one when entries have to be made anew. `unready` are the types of which not all resources
    can be found by all parameters,
    `leftover` those to be cleaned. `refused` says why a stored parameter has no effect.
    """

    definitions: Definitions
    indexer: Indexer
    unchanged: Unchanged
    stamps: Mapping[str, str]
    unready: frozenset[str]
    refused: Mapping[str, str]
    leftover: frozenset[str] = frozenset()


class InEffect(NamedTuple):
    """What is in effect, and the service base URL to index by."""

    known: Known
    base: str


class Registry:
    """Keeps `Known` up to date. `standard` are the definitions without custom parameters.

    One that `observes` writes nothing: it serves nobody. `fixed` is the service base URL that is
    set, if one is.
    """

    def __init__(
        self,
        store: Store,
        records: Records,
        jobs: JobTable,
        standard: Definitions,
        full_text: FullText,
        *,
        observes: bool = False,
        fixed: str = "",
    ) -> None:
        self._fixed = fixed
        self._store = store
        self._records = records
        self._jobs = jobs
        self._standard = standard
        self._full_text = full_text
        self._observes = observes
        self._custom: dict[str, Custom] = {}
        self._refused: dict[str, str] = {}
        self._checked: dict[str, str] = {}
        self._dropped: list[SearchParameter] = []
        self._read_up_to: int | None = None
        self._lock = asyncio.Lock()
        self._marked: Marked | None = None
        self._caught_up: tuple[int, int, int] | None = None
        self._known = Known(
            standard, Indexer(standard, full_text), Unchanged(TYPE, -1), {}, frozenset(), {}
        )

    @property
    def known(self) -> Known:
        """What was in effect when it was last asked for."""
        return self._known

    async def current(self, base: str = "") -> InEffect:
        """What is in effect now.

        `base` is the service base URL of who asks. While not all is indexed, there is a job
        that catches up, as soon as any base is known.
        """
        known = await self.refresh()
        marked = self._marked
        assert marked is not None
        base = await self.base(base)
        if (known.unready or known.leftover) and base:
            state = (known.unchanged.number, marked.revision, self._jobs.now() // _TRIED_AGAIN)
            if state != self._caught_up:
                self._caught_up = state
                await self._jobs.ensure(REINDEX, REINDEX, {"base": base})
        return InEffect(known, base)

    async def refresh(self) -> Known:
        """What is in effect now, whoever asks."""
        known = self._known
        number = await self._store.latest(TYPE)
        if number == known.unchanged.number and not known.unready and not known.leftover:
            return known
        async with self._lock:
            number = await self._store.latest(TYPE)
            is_new = number != self._known.unchanged.number
            if is_new:
                await self._read()
            before = self._marked
            if self._observes:
                self._marked = await read_marks(self._records) or Marked(Marks(), ABSENT)
            else:
                self._marked = await marks_of(self._store, self._records, self._full_text)
            if is_new or before is None or before.revision != self._marked.revision:
                if not self._observes:
                    await self._carry_forward()
                self._known = self._made(number, self._marked.marks)
            return self._known

    async def base(self, asked: str = "") -> str:
        """The service base URL to index by: that which is set, else the first one asked under.

        References of the same store are read by the same one, whoever asks under what name.
        """
        if asked and (self._marked is None or not self._marked.marks.base):
            await self._note_base(asked)
        return self._fixed or (self._marked.marks.base if self._marked else "")

    async def _note_base(self, base: str) -> None:
        def noted(marks: Marks) -> Marks:
            return marks if marks.base else msgspec.structs.replace(marks, base=base)

        self._marked = await change_marks(self._records, noted)

    # --- what is stored --------------------------------------------------------------------

    async def _read(self) -> None:
        """Reads the SearchParameters that were changed since it last did."""
        if self._read_up_to is None:
            last = (await self._store.history(HistoryQuery(TYPE, count=1))).versions
            async for version in self._store.scan(TYPE):
                self._take(version)
            # What is written while it scans may be behind it, so it is read again.
            self._read_up_to = last[0].last_updated if last else 0
            return
        seen = set()
        query = HistoryQuery(TYPE, since=self._read_up_to, count=200)
        while True:
            page = await self._store.history(query)
            for version in page.versions:  # the newest first
                if version.id not in seen:
                    seen.add(version.id)
                    self._take(version)
            if page.next is None:
                break
            query = replace(query, after=page.next)
        keys = [Key(TYPE, id) for id in self._custom]
        there = {version.id for version in await self._store.read_many(keys)}
        for id in self._custom.keys() - there:  # what was expunged has no history
            self._dropped.append(self._custom.pop(id).parameter)

    def _take(self, version: Version) -> None:
        self._read_up_to = max(self._read_up_to or 0, version.last_updated)
        before = self._custom.pop(version.id, None)
        if before is not None:
            self._dropped.append(before.parameter)
        if version.body is None:
            return
        resource = decode(version.body)
        if is_active(resource) and not is_standard(self._standard, resource):
            try:
                parameter = search_parameter(resource, custom=True)
            except (KeyError, TypeError, AttributeError):
                return
            self._custom[version.id] = Custom(
                version.version, version.last_updated, resource, parameter
            )

    # --- what it means ---------------------------------------------------------------------

    def _sound(self) -> dict[str, Custom]:
        """Those that can work; what was stored before it was checked may not."""
        sound = self._custom
        refused: dict[str, str] = {}
        while True:
            every = self._standard.with_search_parameters(
                custom.parameter for custom in sound.values()
            )
            wrong = {}
            for id, stamp in _stamps(sound).items():
                if self._checked.get(id) == stamp:
                    continue
                issues = check_parameter(every, sound[id].resource)
                if issues:
                    wrong[id] = issues[0].text
                else:
                    self._checked[id] = stamp
            if not wrong:
                break
            refused |= wrong
            sound = {id: custom for id, custom in sound.items() if id not in wrong}
        for id in refused.keys() - self._refused.keys():
            _LOG.warning("SearchParameter/%s has no effect: %s", id, refused[id])
        self._refused = refused
        return sound

    def _made(self, number: int, marks: Marks) -> Known:
        sound = self._sound()
        stamps = _stamps(sound)
        unindexed = set(changed_since(marks.rules))
        unready = {type_ for type_, _ in unindexed}
        for name in TEXT_PARAMETERS[self._full_text]:
            if name not in TEXT_PARAMETERS[marks.full_text]:
                unindexed.add(("Resource", name))
                unready |= self._standard.resource_types
        for id, custom in sound.items():
            if marks.parameters.get(id) != stamps[id]:
                types = concrete(self._standard, custom.parameter.base)
                unready |= set(types)
                every = (*types, *custom.parameter.base)
                unindexed |= {(type_, custom.parameter.code) for type_ in every}
        definitions = self._standard
        if sound or unindexed:
            definitions = definitions.with_search_parameters(
                (custom.parameter for custom in sound.values()), unindexed
            )
        return Known(
            definitions,
            self._known.indexer.by(definitions),
            Unchanged(TYPE, number),
            {id: stamps[id] for id in sound},
            frozenset(unready),
            self._refused,
            frozenset(marks.leftover),
        )

    async def _carry_forward(self) -> None:
        """Marks new versions of indexed parameters that differ in nothing that is indexed.

        What is no longer in effect loses its mark, and the references found by it are to go: they
        would count for integrity.
        """
        assert self._marked is not None
        marks = self._marked.marks.parameters
        stamps = _stamps(self._custom)
        carried = {}
        for id, stamp in stamps.items():
            known = marks.get(id)
            if known == stamp or (known and await self._is_same(id, known, stamp)):
                carried[id] = stamp
        leftover = await self._leftover(marks, carried)
        if carried != marks or leftover:

            def changed(found: Marks) -> Marks:
                others = {
                    id: stamp for id, stamp in found.parameters.items() if marks.get(id) != stamp
                }
                return msgspec.structs.replace(
                    found,
                    parameters=carried | others,
                    leftover=tuple(sorted(leftover.union(found.leftover))),
                )

            self._marked = await change_marks(self._records, changed)

    async def _leftover(self, marks: Mapping[str, str], carried: Mapping[str, str]) -> set[str]:
        """The types that references were found in by what is not in effect any more."""
        dropped = self._dropped
        self._dropped = []
        for id in marks.keys() - carried.keys():
            number = _version_of(marks[id].partition("+")[0])
            version = await self._store.read(TYPE, id, number)
            if version is not None and version.body is not None:
                dropped.append(search_parameter(decode(version.body), custom=True))
        now = {_meaning(custom.parameter) for custom in self._custom.values()}
        return {
            type_
            for parameter in dropped
            if parameter.type == "reference" and _meaning(parameter) not in now
            for type_ in concrete(self._standard, parameter.base)
        }

    async def _is_same(self, id: str, marked: str, stamp: str) -> bool:
        """Whether each version since the marked one is indexed in the same way."""
        if "+" in marked or "+" in stamp:
            return False
        first, last = _version_of(marked), _version_of(stamp)
        if not first < last <= first + _LOOKED_BACK:
            return False
        wanted = _meaning(self._custom[id].parameter)
        for number in range(first, last):
            version = await self._store.read(TYPE, id, number)
            if version is None or version.body is None:
                return False
            if number == first and marked != f"{number}@{version.last_updated}":
                return False
            resource = decode(version.body)
            if not is_active(resource) or _meaning(search_parameter(resource)) != wanted:
                return False
        return True


def _version_of(stamp: str) -> int:
    return int(stamp.partition("@")[0])


def _stamps(customs: Mapping[str, Custom]) -> dict[str, str]:
    """For each the version of its resource, with those of the custom ones that it is made of."""
    by_url = {custom.parameter.url: (id, custom.stamp) for id, custom in customs.items()}
    stamps = {}
    for id, custom in customs.items():
        parts = [
            "{}/{}".format(*by_url[url])
            for component in custom.parameter.components
            if (url := component.definition.partition("|")[0]) in by_url
        ]
        stamps[id] = "+".join([custom.stamp, *parts])
    return stamps


def _meaning(parameter: SearchParameter) -> tuple[object, ...]:
    """What index entries depend on."""
    return (
        parameter.code,
        frozenset(parameter.base),
        parameter.type,
        parameter.expression,
        parameter.components,
        frozenset(parameter.target),
    )
