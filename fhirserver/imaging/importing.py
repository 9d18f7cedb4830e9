"""Files of a folder into the archive: what `fhirserver dicom import` does.

Each file is read once: its header is looked at, and its data set goes to the blobs with File
Meta Information of our own, as by every other way in. What is no DICOM instance is refused with
a reason; what is there already is passed over. The gate is asked for each study, as for a peer.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from fhirserver.access.grant import SERVER
from fhirserver.archive.port import Source
from fhirserver.blobs.port import CHUNK, Spool
from fhirserver.dicom.header import read_header
from fhirserver.dicom.identity import identity_of
from fhirserver.dicom.part10 import read_file_meta, written_file_meta
from fhirserver.dicom.unreadable import Unreadable
from fhirserver.interactions.request import Answer, Request
from fhirserver.load.journal import Journal
from fhirserver.operations.imaging.store import Begin, Received, Transfer

_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_TOGETHER: Final = 4
_OPEN: Final = 256  # studies of which a transfer is open at a time
_ATTEMPTS: Final = 3
_SOURCE: Final = Source("", "file")


@dataclass(slots=True)
class Tally:
    """What became of the files."""

    files: int = 0
    stored: int = 0
    there: int = 0
    other: int = 0
    refused: int = 0
    studies: int = 0


class Watcher(Protocol):
    """Hears of each file, as they are done."""

    def done(self, path: Path) -> None: ...

    def refused(self, path: Path, reason: str) -> None: ...


class Importer:
    """`dispatch` is the gate's; `now` gives microseconds since 1970."""

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        spool: Spool,
        base: str,
        now: Callable[[], int],
    ) -> None:
        self._dispatch = dispatch
        self._spool = spool
        self._base = base
        self._now = now
        self._transfers: dict[str, Transfer] = {}
        self._begun: set[str] = set()
        self._beginning = asyncio.Lock()
        self._under_way: dict[str, int] = {}
        self._tally = Tally()

    async def run(self, paths: Iterable[Path], journal: Journal, watcher: Watcher) -> Tally:
        """Imports files and folders of files; what the journal has is passed over.

        Raises `Unavailable` when disk, archive or audit trail fail: the files up to there are
        in the journal, and another run goes on with the others.
        """
        waiting = files(paths)

        async def lane() -> None:
            for path in waiting:
                await self._file(path, journal, watcher)

        lanes = [asyncio.create_task(lane()) for _ in range(_TOGETHER)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for one in lanes:
                one.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            for uid in list(self._transfers):
                await self._end(uid)
        self._tally.studies = len(self._begun)
        return self._tally

    async def _file(self, path: Path, journal: Journal, watcher: Watcher) -> None:
        self._tally.files += 1
        try:
            mark = _mark(path)
            if journal.has(mark, 0, 1):
                self._tally.there += 1
            else:
                await self._one(path)
                journal.add(mark, 0, 1)
        except (Unreadable, OSError, ValueError) as error:
            self._tally.refused += 1
            watcher.refused(path, str(error) or type(error).__name__)
        watcher.done(path)

    async def _one(self, path: Path) -> None:
        for _ in range(_ATTEMPTS):
            received = await asyncio.to_thread(read_instance, path, self._spool, self._now)
            uid = received.identity.study
            transfer = await self._transfer(uid)
            try:
                (outcome,) = await transfer.add([received])
            finally:
                self._under_way[uid] -= 1
            if outcome != "again":  # its blob was being deleted in that moment
                break
        if outcome in ("new", "replaced"):
            self._tally.stored += 1
        elif outcome == "same":
            self._tally.there += 1
        else:
            self._tally.other += 1
            raise Unreadable("There is another instance with the same SOP Instance UID.")

    async def _transfer(self, uid: str) -> Transfer:
        """The open transfer of a study, which is then under way."""
        async with self._beginning:
            self._under_way[uid] = self._under_way.get(uid, 0) + 1
            found = self._transfers.pop(uid, None)
            if found is None:
                await self._make_room()
                request = Request(
                    "dicom-begin",
                    self._base,
                    "ImagingStudy",
                    uid,
                    imaging=Begin(_SOURCE),
                    grant=SERVER,
                )
                answer = await self._dispatch(request)
                assert isinstance(answer.imaging, Transfer)
                found = answer.imaging
                self._begun.add(uid)
            self._transfers[uid] = found  # the last one used is the last one to be ended
            return found

    async def _make_room(self) -> None:
        idle = [uid for uid in self._transfers if not self._under_way.get(uid)]
        for uid in idle[: max(0, len(self._transfers) - _OPEN + 1)]:
            await self._end(uid)

    async def _end(self, uid: str) -> None:
        transfer = self._transfers.pop(uid)
        self._under_way.pop(uid, None)
        await self._dispatch(
            Request("dicom-store", self._base, "ImagingStudy", uid, imaging=transfer, grant=SERVER)
        )


def read_instance(path: Path, spool: Spool, now: Callable[[], int]) -> Received:
    """The instance of a file, its blob written. Raises `Unreadable`, `OSError`, `Unavailable`."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise Unreadable("The file is empty.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data, spool, now)


def _read(data: mmap.mmap, spool: Spool, now: Callable[[], int]) -> Received:
    view = memoryview(data)
    try:
        meta = read_file_meta(view)
        if meta.sop_class == _DIRECTORY:
            raise Unreadable("This is a directory of a medium, not an instance.")
        header = read_header(view, meta.transfer_syntax, start=meta.start)
        identity = identity_of(header)  # whatever the file says of it
        head = written_file_meta(identity.sop_class, identity.instance, meta.transfer_syntax)
        blob = spool.open()
        try:
            blob.write(head)
            for at in range(meta.start, len(view), CHUNK):
                blob.write(view[at : at + CHUNK])
            stored = blob.commit()
        finally:
            blob.abort()
        return Received(stored, header, identity, meta.transfer_syntax, len(head), now())
    finally:
        view.release()


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files, and those below folders, in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from (found for found in sorted(path.rglob("*")) if found.is_file())
        else:
            yield path


def _mark(path: Path) -> str:
    """What a journal knows a file by: it is not read anew as long as it looks the same."""
    stat = path.stat()
    told = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
