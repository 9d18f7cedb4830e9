"""What FHIR's side changes and the archive or a projection must know of.

A subject that was moved (`$merge`, a correction by hand) is told to the archive, whose rows
decide with it who sees a study. An order that comes after its study is linked then, and a
performed procedure step that begins or ends may change the status of its study.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhirserver.archive.port import Archive
from fhirserver.archive.query import Question
from fhirserver.dicom.mapping.attributes import is_uid
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers
from fhirserver.dicom.matching import key
from fhirserver.imaging.projection import steps
from fhirserver.imaging.projection.gate import Gate
from fhirserver.model.json import Resource, decode
from fhirserver.store.port import LogQuery, ServerStore, Stale, Version

COLLECTION: Final = "imaging.projection"
KEY: Final = "followed"

_STUDY: Final = "ImagingStudy"
_ORDER: Final = "ServiceRequest"
_TYPES: Final = (_STUDY, _ORDER, steps.TYPE)
_ACCESSION: Final = "00080050"
_NUMBERS: Final = frozenset({"PLAC", "FILL"})
_WILDCARDS: Final = frozenset("*?\\")
_SINCE: Final = 3600 * 1_000_000
"""How far back a server looks that never followed before, in microseconds."""


class Following:
    """The log of a store, from where it was last followed to."""

    def __init__(
        self, archive: Archive, store: ServerStore, gate: Gate, now: Callable[[], int]
    ) -> None:
        self._archive = archive
        self._store = store
        self._gate = gate
        self._now = now
        self._numbers: tuple[int, ...] = ()
        self._since: int | None = None
        self._noted: int | None = None
        self._seen: set[tuple[str, str, int]] = set()

    async def changed(self) -> list[str]:
        """Takes up what changed; the UIDs of studies that are to be projected again.

        Until that is `noted`, another worker that goes on from here begins where this one did.
        """
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
        return found

    async def _begin(self) -> int:
        if self._since is None:
            record = await self._store.records.get(COLLECTION, KEY)
            self._since = int(record.body) if record else self._now() - _SINCE
            self._noted = self._since if record else None
        return self._since

    async def noted(self) -> None:
        """Remembers how far was followed: all that was told is projected."""
        if self._since is None or self._since == self._noted:
            return
        try:
            await self._store.records.put(COLLECTION, KEY, str(self._since).encode())
        except Stale:  # another follows now
            return
        self._noted = self._since

    async def _one(self, version: Version) -> list[str]:
        resource = decode(version.body or b"{}")
        if version.type == _STUDY:
            await self._subject(version, resource)
            return []
        if version.type == steps.TYPE:
            return [uid] if (uid := steps.studied(resource)) else []
        return [*await self._ordered(resource), *await self._of_patient(resource)]

    async def _subject(self, version: Version, resource: Resource) -> None:
        uid = study_uid(resource)
        study = await self._archive.study(uid) if uid else None
        if study is None or study.imaging_study != version.id:
            return
        id = self._gate.own_id(resource.get("subject"), "Patient")
        subject = f"Patient/{id}" if id else None
        if subject != study.subject:
            await self._archive.projected(uid, study.projected, version.id, subject)

    async def _ordered(self, order: Resource) -> list[str]:
        """The studies that have the UID or the accession number of an order."""
        found = []
        for identifier in order.get("identifier", ()):
            value = identifier.get("value", "")
            if identifier.get("system") == DICOM_UID:
                uid = value.removeprefix("urn:oid:")
                found += [uid] if is_uid(uid) else []
                continue
            if not value or not value.isprintable() or set(value) & _WILDCARDS:
                continue
            asked = key(_ACCESSION, "SH", value)
            if asked is not None:
                page = await self._archive.find(Question("study", (asked,)))
                found += [row.study_uid for row in page.rows]
        return found

    async def _of_patient(self, order: Resource) -> list[str]:
        """The studies of the patient that tell of a placer's or filler's number of the order."""
        numbers = {
            identifier.get("value")
            for identifier in order.get("identifier", ())
            if any(
                one.get("code") in _NUMBERS for one in identifier.get("type", {}).get("coding", ())
            )
        }
        patient = self._gate.own_id(order.get("subject"), "Patient")
        if not numbers or patient is None:
            return []
        found = []
        for resource in await self._gate.search(_STUDY, "patient", f"Patient/{patient}"):
            study = await self._archive.study(study_uid(resource))
            if study is None or not study.header:
                continue
            requests = Issuers().requests(decode(study.header))
            if any(one.value in numbers for request in requests for one in request.numbers):
                found.append(study.uid)
        return found


def study_uid(resource: Resource) -> str:
    """The Study Instance UID of an ImagingStudy; empty where it has none."""
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") == DICOM_UID:
            return str(identifier.get("value", "")).removeprefix("urn:oid:")
    return ""
