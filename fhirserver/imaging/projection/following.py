"""What FHIR's side changes and the archive or a projection must know of.

A subject that was moved (`$merge`, a correction by hand) is told to the archive, whose rows
decide with it who sees a study. An order that comes after its study is linked then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhirserver.archive.port import Archive
from fhirserver.archive.query import Question
from fhirserver.dicom.mapping.issuers import DICOM_UID
from fhirserver.dicom.matching import key
from fhirserver.imaging.projection.gate import reference_id
from fhirserver.model.json import Resource, decode
from fhirserver.store.port import LogQuery, ServerStore, Stale, Version

COLLECTION: Final = "imaging.projection"
KEY: Final = "followed"

_STUDY: Final = "ImagingStudy"
_ORDER: Final = "ServiceRequest"
_TYPES: Final = (_STUDY, _ORDER)
_ACCESSION: Final = "00080050"
_WILDCARDS: Final = frozenset("*?\\")
_SINCE: Final = 3600 * 1_000_000
"""How far back a server looks that never followed before, in microseconds."""


class Following:
    """The log of a store, from where it was last followed to."""

    def __init__(self, archive: Archive, store: ServerStore, now: Callable[[], int]) -> None:
        self._archive = archive
        self._store = store
        self._now = now
        self._numbers: tuple[int, ...] = ()
        self._since: int | None = None
        self._seen: set[tuple[str, str, int]] = set()

    async def changed(self) -> list[str]:
        """Takes up what changed; the UIDs of studies that are to be projected again."""
        numbers = tuple([await self._store.latest(type) for type in _TYPES])
        if numbers == self._numbers:
            return []
        since = await self._begin()
        newest = since
        seen: set[tuple[str, str, int]] = set()
        last: dict[tuple[str, str], Version] = {}
        async for version in self._store.log(LogQuery(_TYPES, since=since)):
            one = (version.type, version.id, version.version)
            if version.last_updated > newest:
                newest = version.last_updated
                seen = set()
            seen.add(one)
            if one not in self._seen:
                last[version.type, version.id] = version
        found = [uid for each in last.values() if each.body for uid in await self._one(each)]
        self._numbers = numbers
        if newest != since or seen != self._seen:
            self._since, self._seen = newest, seen
            await self._note(newest)
        return found

    async def _begin(self) -> int:
        if self._since is None:
            record = await self._store.records.get(COLLECTION, KEY)
            self._since = int(record.body) if record else self._now() - _SINCE
        return self._since

    async def _note(self, since: int) -> None:
        try:
            await self._store.records.put(COLLECTION, KEY, str(since).encode())
        except Stale:  # another follows now
            return

    async def _one(self, version: Version) -> list[str]:
        resource = decode(version.body or b"{}")
        if version.type == _STUDY:
            await self._subject(version, resource)
            return []
        return await self._ordered(resource)

    async def _subject(self, version: Version, resource: Resource) -> None:
        uid = study_uid(resource)
        study = await self._archive.study(uid) if uid else None
        if study is None or study.imaging_study != version.id:
            return
        id = reference_id(resource.get("subject"), "Patient")
        subject = f"Patient/{id}" if id else None
        if subject != study.subject:
            await self._archive.projected(uid, study.projected, version.id, subject)

    async def _ordered(self, order: Resource) -> list[str]:
        """The studies that have the accession number of an order."""
        found = []
        for identifier in order.get("identifier", ()):
            value = identifier.get("value", "")
            if not value or not value.isprintable() or set(value) & _WILDCARDS:
                continue
            asked = key(_ACCESSION, "SH", value)
            if asked is not None:
                page = await self._archive.find(Question("study", (asked,)))
                found += [row.study_uid for row in page.rows]
        return found


def study_uid(resource: Resource) -> str:
    """The Study Instance UID of an ImagingStudy; empty where it has none."""
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") == DICOM_UID:
            return str(identifier.get("value", "")).removeprefix("urn:oid:")
    return ""
