"""A tenant with a gate, an audit trail and peers, which listens for associations."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from imaging.dimse.calling import listening

from fhirserver.access.authority import Authority
from fhirserver.access.grant import SERVER
from fhirserver.app.audit import definitions_of
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.archive.port import Source
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.audit.patients import Patients
from fhirserver.blobs.store import open_blobs
from fhirserver.dicom.header import read_header
from fhirserver.dicom.identity import identity_of
from fhirserver.dicom.part10 import read_file_meta, written_file_meta
from fhirserver.imaging.dimse.peers import SERVICES, Peer, Peers
from fhirserver.imaging.dimse.session import Called, Limits
from fhirserver.interactions.accesses import Accesses
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.seal import AesSealer
from fhirserver.model.json import Resource, decode
from fhirserver.operations.imaging.store import Begin, Received
from fhirserver.operations.imaging.table import IMAGING_ROWS
from fhirserver.operations.table import OPERATIONS
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings

BASE = "http://example.org/fhir"
TITLE = "OURS"


def now() -> int:
    return time.time_ns() // 1000


class Hospital:
    """`archive` and `blobs` are None where a test needs none."""

    def __init__(self, running: Running, settings: Settings, archive: Any, blobs: Any) -> None:
        self.running = running
        self.store = running.store
        self.archive = archive
        self.blobs = blobs
        self.peers = Peers(running.store.records, now=now)
        self.access = Authority(running.store, running.store.records, now)
        numbers = count(1)
        definitions = definitions_of(settings)
        indexer = Indexer(definitions)
        context = Context(
            store=running.store,
            definitions=definitions,
            indexer=indexer,
            policy=Policy(auth="smart"),
            sealer=AesSealer(bytes(32), now=now, random=os.urandom),
            now=now,
            new_id=lambda: f"new-{next(numbers)}",
            concepts=running.store.concepts,
            access=self.access,
            base=BASE,
            archive=archive,
            blobs=blobs,
        )
        accesses = Accesses(running._trail, Patients(definitions, indexer), now)
        self.gate = Gate(context, OPERATIONS, accesses=accesses, imaging=IMAGING_ROWS)

    def called(self, **more: Any) -> Called:
        loop = asyncio.get_running_loop()
        fields = {"access": self.access} | more
        return Called("default", TITLE, BASE, self.peers, self.gate.dispatch, loop, **fields)

    async def peer(self, title: str, *services: str, **more: Any) -> Peer:
        """A peer of this machine."""
        fields = {"networks": ("127.0.0.1",), "services": services or SERVICES} | more
        return await self.peers.add(Peer(title=title, **fields))

    @asynccontextmanager
    async def listening(self, title: str, **more: Any) -> AsyncIterator[int]:
        async with listening(self.called(**more), title) as port:
            yield port

    async def put(self, *resources: Resource) -> None:
        for resource in resources:
            await self.ask("update", resource["resourceType"], resource["id"], resource=resource)

    async def ask(self, interaction: str, type: str, id: str | None = None, **more: Any) -> Answer:
        return await self.gate.dispatch(Request(interaction, BASE, type, id, grant=SERVER, **more))

    async def get(self, type: str, id: str) -> Resource:
        found: Resource = decode((await self.ask("read", type, id)).body or b"")
        return found

    async def keep(self, *files: Path, sender: str = "") -> None:
        """Keeps instances as a C-STORE would have."""
        for path in files:
            data = path.read_bytes()
            meta = read_file_meta(data)
            data = (
                written_file_meta(meta.sop_class, meta.instance, meta.transfer_syntax)
                + data[meta.start :]
            )
            start = read_file_meta(data).start
            header = read_header(data, meta.transfer_syntax, start=start)
            identity = identity_of(header, meta.sop_class, meta.instance)
            stored = await self.blobs.put(data)
            begun = await self.ask(
                "dicom-begin",
                "ImagingStudy",
                identity.study,
                imaging=Begin(Source(sender, "127.0.0.1")),
            )
            received = Received(stored, header, identity, meta.transfer_syntax, start, now())
            assert await begun.imaging.add([received]) == ["new"]

    async def all(self, type: str) -> list[Resource]:
        found = [version async for version in self.store.scan(type)]
        return [decode(item.body or b"") for item in found]

    async def events(self, code: str) -> list[Resource]:
        """The AuditEvents of a type, oldest first, whose caller is a peer."""
        await self.running._trail.settle()  # type: ignore[union-attr]
        events = sorted(await self.all("AuditEvent"), key=lambda item: item["id"])
        return [item for item in events if item["type"]["code"] == code]


@asynccontextmanager
async def opened(
    folder: Path, *, images: bool = False, archive: Any = None, blobs: Any = None
) -> AsyncIterator[Hospital]:
    """`images`: it keeps DICOM instances, in an archive of its own; else in the given one."""
    settings = Settings(data=folder)
    running = Running(settings, await open_store(settings))
    await running._trail.start()  # type: ignore[union-attr]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(running.close)
        if images:
            archive = SqliteArchive.open(folder / "archive.db", clock=now)
            stack.push_async_callback(archive.close)
            blobs = open_blobs(f"file://{folder / 'blobs'}", folder / "blobs" / "spool")
            stack.push_async_callback(blobs.close)
        yield Hospital(running, settings, archive, blobs)


__all__ = ["BASE", "TITLE", "Hospital", "Limits", "opened"]
