"""A tenant with an archive and its projection, over real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
from dicom.mapping.data_sets import CT, STUDY, element, instance
from interactions.client import BASE, Client, now, open_context
from stores import url_of

from fhirserver.archive.opening import open_archive
from fhirserver.archive.port import Archive, Instance, Source
from fhirserver.audit.recorder import Event
from fhirserver.blobs.port import Blobs
from fhirserver.blobs.store import open_blobs
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.imaging.projection.following import Following
from fhirserver.imaging.projection.gate import Gate
from fhirserver.imaging.projection.lease import Lease
from fhirserver.imaging.projection.projector import QUIET, Projected, Projector
from fhirserver.imaging.projection.study import Assumed, Projection
from fhirserver.interactions.context import Context
from fhirserver.interactions.dispatch import Gate as ServerGate
from fhirserver.model.json import Resource
from fhirserver.operations.imaging.table import IMAGING_ROWS
from fhirserver.operations.table import OPERATIONS
from fhirserver.store.port import ServerStore

MRN = "https://example.org/mrn"
ACCESSION = "https://example.org/accession"
ISSUERS = Issuers({"HOSP": MRN}, MRN, ACCESSION, "https://example.org/visit")
ROOT = "http://example.org/dicom-web"
KEY = bytes(range(32))


class Recorded:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, *events: Event) -> None:
        self.events += events


class Place:
    """The parts, and what tests do with them."""

    def __init__(
        self, context: Context, archive: Archive, blobs: Blobs, recorded: Recorded
    ) -> None:
        self.recorded = recorded
        self.archive = archive
        self.blobs = blobs
        self.store = cast(ServerStore, context.store)
        self.client = Client(context, OPERATIONS)
        self.client.gate = ServerGate(context, OPERATIONS, imaging=IMAGING_ROWS)
        self.assumed = Assumed()
        self.issuers = ISSUERS
        self.ahead = 0

    def now(self) -> int:
        """The clock of projectors, which a test may set `ahead` (microseconds)."""
        return now() + self.ahead

    async def followed(self, projector: Projector) -> None:
        """Lets the projector take up what changed, and be quiet about it."""
        await projector._turn()
        for _ in range(20):
            if not projector._again and not await self.archive.changed():
                return
            self.ahead += QUIET
            await projector._turn()
        raise AssertionError("it was not projected")

    def projector(
        self, owner: str = "one", told: Callable[[Projected], Awaitable[None]] | None = None
    ) -> Projector:
        gate = Gate(self.client.gate.dispatch, BASE)

        async def sender(aet: str) -> Assumed:
            return self.assumed

        records = self.store.records
        return Projector(
            self.archive,
            Projection(self.archive, records, gate, self.issuers, sender, ROOT),
            Following(self.archive, self.store, gate, self.now),
            Lease(records, owner, self.now),
            self.now,
            told,
        )

    async def add(self, *headers: dict[str, Any]) -> None:
        await self.archive.add([row(header) for header in headers])

    async def project(self) -> None:
        """Projects all that is behind, as a command does."""
        await self.projector().settle()

    async def study(self, uid: str = STUDY) -> Resource:
        return await self.client.get(f"ImagingStudy/{uid}")

    async def found(self, search: str) -> list[Resource]:
        return [entry["resource"] for entry in (await self.client.get(search)).get("entry", ())]


def row(header: dict[str, Any]) -> Instance:
    uids = [header[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    digest = uids[2].encode().hex().ljust(64, "0")[-64:]
    return Instance(
        *uids,
        sop_class=CT,
        transfer_syntax="1.2.840.10008.1.2.1",
        blob=digest,
        size=1000,
        header=msgspec.json.encode(header),
        received=now(),
        source=Source("MODALITY", "127.0.0.1"),
    )


@asynccontextmanager
async def open_place(folder: Path) -> AsyncIterator[Place]:
    blobs = open_blobs(f"file://{folder}/blobs", folder / "blobs" / "spool")
    place = url_of(folder / "fhir.db") or folder / "archive.db"
    archive = await open_archive(place, tenant="default", clock=now)

    async def key() -> bytes:
        return KEY

    recorder = Recorded()
    try:
        async with open_context(folder / "fhir.db") as context:
            context = replace(
                context, archive=archive, blobs=blobs, pseudonyms=key, recorder=recorder
            )
            yield Place(context, archive, blobs, recorder)
    finally:
        await archive.close()
        await blobs.close()


JANE: Resource = {
    "resourceType": "Patient",
    "id": "jane",
    "identifier": [{"system": MRN, "value": "4711"}],
    "name": [{"family": "Doe", "given": ["Jane"]}],
    "gender": "female",
    "birthDate": "1970-02-03",
}

__all__ = ["ACCESSION", "JANE", "MRN", "STUDY", "Place", "element", "instance", "open_place", "row"]
