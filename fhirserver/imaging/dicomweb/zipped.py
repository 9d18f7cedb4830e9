"""Instances as one ZIP file, which browsers can keep (PS3.18, 8.7.3.5.2; PS3.12, V).

Nothing is compressed, as pixels are so or do not gain, and nothing held: sizes follow each file.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.imaging.dicomweb.choice import Choice
from fhirserver.imaging.dicomweb.objects import Objects, check_all
from fhirserver.imaging.dicomweb.response import Streamed

_READABLE: Final = 0o644 << 16


async def in_zip(objects: Objects, retrieved: Retrieved, choice: Choice, name: str) -> Streamed:
    """Instances in a folder for each series. That the first can be had as chosen is known before
    the answer begins. Raises `NotAcceptable`."""
    first = await objects.file(retrieved.instances[0], retrieved, choice)
    check_all(retrieved, choice)

    async def pieces() -> AsyncIterator[bytes]:
        out = _Taken()
        with ZipFile(out, "w", ZIP_STORED) as archive:
            for index, held in enumerate(retrieved.instances):
                file = first if index == 0 else await objects.file(held, retrieved, choice)
                entry = ZipInfo(_name(held))
                entry.external_attr = _READABLE
                with archive.open(entry, "w", force_zip64=True) as target:
                    async for piece in file.pieces:
                        target.write(piece)
                        for written in out.taken():
                            yield written
        for written in out.taken():
            yield written

    disposition = f'attachment; filename="{name}.zip"'.encode("ascii")
    headers = [(b"content-type", b"application/zip"), (b"content-disposition", disposition)]
    return Streamed(200, headers, pieces())


def _name(held: Held) -> str:
    return f"{held.series}/{held.instance}.dcm"


class _Taken(io.RawIOBase):
    """A file that cannot be gone back in: what is written to it is taken away at once."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._waiting.append(bytes(data))
        return len(data)

    def taken(self) -> Iterator[bytes]:
        """What came since the last time, put together where it is small."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
