"""One study of the archive as an ImagingStudy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from fhirserver.archive.port import Archive, Study
from fhirserver.dicom.mapping.endpoint import endpoint
from fhirserver.dicom.mapping.facts import MAPPED_TAGS, StudyFacts, study_facts
from fhirserver.dicom.mapping.imaging_study import Links, imaging_study, study_status
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers
from fhirserver.imaging.projection import orders, patients
from fhirserver.imaging.projection.gate import Gate
from fhirserver.imaging.projection.steps import announced, statuses, steps_of
from fhirserver.imaging.projection.three_way import merged
from fhirserver.model.json import Resource, decode, encode
from fhirserver.store.records import Records

TYPE: Final = "ImagingStudy"
COLLECTION: Final = "imaging.projected"
"""What the projection last wrote of each study, without its series."""

ENDPOINT: Final = "dicomweb"


class Assumed(NamedTuple):
    """What is known of a sender whose headers leave it open: issuer of patient ids, time zone."""

    issuer: str = ""
    zone: str = ""


Sender: TypeAlias = Callable[[str], Awaitable[Assumed]]
"""What is assumed of the sender of a calling AE title."""


class Projection:
    """`address` is that of the DICOMweb service; without one there is no Endpoint."""

    def __init__(
        self,
        archive: Archive,
        records: Records,
        gate: Gate,
        issuers: Issuers,
        sender: Sender,
        address: str = "",
    ) -> None:
        self._archive = archive
        self._records = records
        self._gate = gate
        self._issuers = issuers
        self._sender = sender
        self._address = address
        self._has_endpoint = False

    async def project(self, study: Study) -> str:
        """Brings the ImagingStudy to what the archive has; its id.

        Whatever happened before, the same archive gives the same ImagingStudy, and no version
        of it where nothing changed. Raises what the gate refuses it by.
        """
        id = study.imaging_study or await self._adopted(study.uid)
        last = await self._last(study.uid)
        if study.instances:
            now = await self._now(study)
        else:
            now = last | await self._cancelled(study.uid, id, is_known=bool(last))
        written = await self._write(study.uid, id, last, now)
        patient = self._gate.own_id(written.get("subject"), "Patient")
        await self._archive.projected(
            study.uid, study.revision, id, f"Patient/{patient}" if patient else None
        )
        return id

    async def announce(self, uid: str) -> str | None:
        """Brings the ImagingStudy of a study of which the archive never had anything to what its
        performed procedure steps say; its id, None where they say too little.

        Raises what the gate refuses it by.
        """
        now = announced(uid, await steps_of(self._gate, uid))
        if now is None:
            return None
        id = await self._adopted(uid)
        await self._write(uid, id, await self._last(uid), now)
        return id

    async def _write(self, uid: str, id: str, last: Resource, now: Resource) -> Resource:
        written = await self._gate.write(TYPE, id, lambda present: _resource(last, now, present))
        kept = {name: value for name, value in now.items() if name != "series"}
        if kept != last:
            await self._records.put(COLLECTION, uid, encode(kept))
        return written

    async def _adopted(self, uid: str) -> str:
        """The id of the ImagingStudy that somebody made for the study before it arrived."""
        found = await self._gate.identified(TYPE, DICOM_UID, f"urn:oid:{uid}")
        return found[0]["id"] if len(found) == 1 else uid

    async def _last(self, uid: str) -> Resource:
        record = await self._records.get(COLLECTION, uid)
        return decode(record.body) if record else {}

    async def _now(self, study: Study) -> Resource:
        """What the archive says now."""
        facts, aet = await self._facts(study)
        assumed = await self._sender(aet)
        issuers = self._issuers
        if assumed.issuer:
            issuers = replace(issuers, assumed=assumed.issuer)
        data = facts.attributes
        subject = await patients.subject(self._gate, study.uid, data, issuers)
        links = Links(
            subject,
            await orders.based_on(self._gate, study.uid, data, issuers, subject),
            await orders.encounter(self._gate, data, issuers, subject),
            await self._endpoints(),
        )
        return await asyncio.to_thread(imaging_study, facts, links, issuers, assumed.zone)

    async def _facts(self, study: Study) -> tuple[StudyFacts, str]:
        """The facts of a study, and the AE title that its first instance came from."""
        headers: list[dict[str, Any]] = []
        aet = ""
        async for held, header in self._archive.headers(study.uid):
            aet = aet or held.source.aet
            headers.append(_needed(header))
        return await asyncio.to_thread(study_facts, study.uid, headers), aet

    async def _cancelled(self, uid: str, id: str, *, is_known: bool) -> Resource:
        """What changes of a study whose instances were deleted; the rest of it stays."""
        status = study_status(0, statuses(await steps_of(self._gate, uid)), was_deleted=True)
        if is_known:
            return {"status": status, "numberOfSeries": 0, "numberOfInstances": 0}
        present = await self._gate.read(TYPE, id)
        subject = (present or {}).get("subject") or {"display": "unknown"}
        made = imaging_study(StudyFacts(uid, {}, ()), Links(subject), self._issuers)
        return made | {"status": status}

    async def _endpoints(self) -> list[Resource]:
        if not self._address:
            return []
        if not self._has_endpoint:
            made = endpoint(self._address)
            await self._gate.write("Endpoint", ENDPOINT, lambda present: (present or {}) | made)
            self._has_endpoint = True
        return [{"reference": f"Endpoint/{ENDPOINT}"}]


def _resource(last: Resource, now: Resource, present: Resource | None) -> Resource:
    return now if present is None else merged(last, now, present)


def _needed(header: bytes) -> dict[str, Any]:
    """The elements of a header that an ImagingStudy tells of; the others are not even made."""
    whole = _elements(header)
    return {tag: msgspec.json.decode(whole[tag]) for tag in MAPPED_TAGS & whole.keys()}


_elements: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
