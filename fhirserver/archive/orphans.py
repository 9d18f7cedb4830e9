"""What a process that ended early left of archive and blobs, and how that is mended.

A write is: bytes to the spool, the blob in its place, then the row, then the acknowledgement. So
the end of a process leaves files in the spool and blobs without a row, of instances that nobody
was told are kept; a row without its blob is a loss of the storage.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fhirserver.archive.freeing import delete_freed
from fhirserver.archive.port import Archive
from fhirserver.blobs.port import Blobs
from fhirserver.errors import Fault, NotFound, Unavailable

_SOME: Final = 500


class Orphans(NamedTuple):
    """`leftovers`: writes that were broken off. `blobs`: names of blobs without a row, which may
    be those of writes that go on now. `missing`: digests of rows whose blob is not there.

    `rows` and `kept`: how many different blobs rows have, and how many there are.
    """

    leftovers: int
    blobs: tuple[str, ...]
    missing: tuple[str, ...]
    rows: int
    kept: int


class Mended(NamedTuple):
    """How many leftovers, blobs and rows were taken away."""

    leftovers: int
    blobs: int
    rows: int


async def find_orphans(archive: Archive, blobs: Blobs) -> Orphans:
    """Compares all rows with all blobs; in memory are 16 bytes of each."""
    named = {_short(blobs.name(digest)) async for digest in archive.blobs()}
    rows, kept = len(named), 0
    without_row = []
    async for blob in blobs.list():
        kept += 1
        short = _short(blob.name)
        if short in named:
            named.discard(short)
        else:
            without_row.append(blob.name)
    missing: list[str] = []
    if named:  # rows may have been deleted since
        listed = [digest async for digest in archive.blobs() if _short(blobs.name(digest)) in named]
        missing = [digest for digest in listed if not await blobs.has(digest)]
    return Orphans(await blobs.leftovers(), tuple(without_row), tuple(missing), rows, kept)


async def mend(archive: Archive, blobs: Blobs, found: Orphans) -> Mended:
    """Takes away what `find_orphans` found, also while a server writes: see `freeing`.

    Instances without their bytes are deleted, so that they can be sent again. Raises `Unavailable`
    where there is no blob at all, but rows: then it is the storage that is not there.
    """
    if found.missing and not found.kept:
        raise Unavailable("There is no stored object at all. Is their storage in its place?")
    leftovers = await blobs.sweep()
    removed = 0
    for start in range(0, len(found.blobs), _SOME):
        digests = []
        for name in found.blobs[start : start + _SOME]:
            try:
                digests.append(await blobs.digest(name))
            except NotFound:
                continue
            except Fault:  # what is there was never whole
                await blobs.remove(name)
                removed += 1
        await archive.free(digests)
    removed += await delete_freed(archive, blobs)
    return Mended(leftovers, removed, await _delete_rows(archive, blobs, found.missing))


async def _delete_rows(archive: Archive, blobs: Blobs, digests: tuple[str, ...]) -> int:
    number = 0
    for start in range(0, len(digests), _SOME):
        for held in await archive.held_by_blob(digests[start : start + _SOME]):
            if await blobs.has(held.blob):  # it came again since
                continue
            number += (await archive.delete(held.study, held.series, held.instance)).instances
    return number


def _short(name: str) -> bytes:
    return bytes.fromhex(name[:32])
