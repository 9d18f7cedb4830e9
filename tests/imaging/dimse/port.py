"""A hospital whose DICOM port is served by our own receiver, over its archive and blobs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from imaging.dimse.hospital import TITLE, Hospital, now, opened

from fhirserver.archive.opening import open_archive
from fhirserver.archive.port import Archive, Held
from fhirserver.blobs.port import Blobs
from fhirserver.blobs.store import open_blobs
from fhirserver.imaging.dimse.listening import Listening, Places, listener
from fhirserver.imaging.dimse.serving import Hosted, Serving
from fhirserver.imaging.dimse.session import Limits


@dataclass
class Port:
    """`number` is the TCP port, which `listening` serves. `left` counts the associations that have
    ended."""

    hospital: Hospital
    archive: Archive
    blobs: Blobs
    folder: Path
    number: int = 0
    left: list[None] = field(default_factory=list)
    listening: Listening | None = None

    async def held(self, *studies: str) -> list[Held]:
        found: list[Held] = []
        for study in studies:
            found += await self.archive.held(study)
        return found

    async def ended(self) -> list[None]:
        return self.left

    async def parts(self) -> int:
        """Files that are still being written."""
        return len(list((self.folder / "blobs" / "spool").glob("*")))


@asynccontextmanager
async def port(
    folder: Path,
    *,
    limits: Limits = Limits(silence=5.0),  # noqa: B008 - frozen
    most: int = 20,
    most_of_peer: int = 10,
    longest: int = 2**30,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Port]:
    archive = await open_archive(folder / "imaging.db", tenant="default", clock=now)
    blobs = open_blobs(f"file://{folder}/blobs", folder / "blobs" / "spool")
    try:
        async with opened(folder, archive=archive, blobs=blobs) as hospital:
            place = Port(hospital, archive, blobs, folder)
            called = hospital.called(limits=limits)
            numbers = count(1)

            def find(title: str) -> Hosted | None:
                if title != TITLE:
                    return None
                return Hosted(called, blobs.spool, lambda: place.left.append(None))

            house = Serving(
                find,
                limits=limits,
                places=Places(most, most_of_peer),
                longest=longest,
                private=True,
                request_id=lambda: f"a{next(numbers)}",
            )
            with listener("127.0.0.1", 0) as socket:
                place.number = socket.getsockname()[1]
                listening = place.listening = Listening(socket, house, most=most, tls=tls)
                listening.start()
                try:
                    yield place
                finally:
                    await asyncio.to_thread(listening.stop, 2.0)
    finally:
        await archive.close()
        await blobs.close()
