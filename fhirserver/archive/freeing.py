"""Blobs that no row has: how they are deleted without losing one that comes again at that moment.

Whoever deletes claims the digests first. A row that is added with a claimed digest, or with one
that was deleted in the last day, is refused (`again`) until its writer has looked that the blob is
there; so what was acknowledged has its blob, whatever happened in between.
"""

from __future__ import annotations

from fhirserver.archive.port import Archive
from fhirserver.blobs.port import Blobs


async def delete_freed(archive: Archive, blobs: Blobs) -> int:
    """Deletes the blobs of instances that were deleted; how many they were.

    Broken off, it can be called again; what was claimed is free for others ten minutes later.
    """
    number = 0
    while digests := await archive.freed():
        for digest in digests:
            await blobs.delete(digest)
        await archive.dropped(digests)
        number += len(digests)
    return number
